"""What a strategy or a user asks for: the input of an order's lifecycle."""

import re
from decimal import Decimal

import msgspec

from trading.identity import ORDER_ID
from trading.orders import OrderType, Side, TimeInForce


class SingleSpec(msgspec.Struct, frozen=True, kw_only=True, tag="single", forbid_unknown_fields=True):
    """One order, sent and followed to its end."""

    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType = OrderType.LIMIT
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    valid_for: int | None = None
    """Seconds of the market's clock after which what is unfilled is cancelled."""


class BracketSpec(msgspec.Struct, frozen=True, kw_only=True, tag="bracket", forbid_unknown_fields=True):
    """An entry, and for what it fills a stop and a take-profit of which one cancels the other."""

    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    entry_type: OrderType = OrderType.LIMIT
    entry_price: Decimal | None = None
    """The limit of a limit entry, the trigger of a stop entry, None for a market entry."""
    stop_price: Decimal
    take_profit_price: Decimal
    time_in_force: TimeInForce = TimeInForce.GTC
    """The entry's; exits are good till cancelled."""
    valid_for: int | None = None
    """Seconds of the market's clock after which what the entry has not filled is cancelled."""


Spec = SingleSpec | BracketSpec


class SpecError(ValueError):
    """A spec that must not become an order: which field, what it was, and what would be right."""

    def __init__(self, field: str, value: object, message: str) -> None:
        super().__init__(f"{field}: {value!s}: {message}")
        self.field = field
        self.value = value
        self.message = message


def check(spec: Spec) -> None:
    """Raise `SpecError` for the first field that is wrong."""
    if not ORDER_ID.fullmatch(spec.order_id):
        raise SpecError("order_id", spec.order_id, "must be 1 to 64 letters, digits, '_' or '-'")
    check_symbol(spec.symbol)
    _check_positive("quantity", spec.quantity)
    if spec.valid_for is not None and not 1 <= spec.valid_for <= _LONGEST_VALID_FOR:
        raise SpecError("valid_for", spec.valid_for, f"must be 1 to {_LONGEST_VALID_FOR} seconds, or left out")
    if isinstance(spec, SingleSpec):
        _check_prices_of_single(spec)
    else:
        _check_prices_of_bracket(spec)


def check_symbol(symbol: str) -> None:
    """Raise `SpecError` for what cannot be traded under this name."""
    if not _SYMBOL.fullmatch(symbol):
        raise SpecError("symbol", symbol, "must be 1 to 32 letters, digits, or any of . _ - : = ^ + /")


_LONGEST_VALID_FOR = 10 * 365 * 24 * 60 * 60
_SYMBOL = re.compile(r"[A-Za-z0-9._:=^+/-]{1,32}")


def _check_prices_of_single(spec: SingleSpec) -> None:
    _check_price("limit_price", spec.limit_price, needed=spec.order_type is OrderType.LIMIT, order_type=spec.order_type)
    _check_price("stop_price", spec.stop_price, needed=spec.order_type is OrderType.STOP, order_type=spec.order_type)


def _check_prices_of_bracket(spec: BracketSpec) -> None:
    _check_price(
        "entry_price", spec.entry_price, needed=spec.entry_type is not OrderType.MARKET, order_type=spec.entry_type
    )
    _check_positive("stop_price", spec.stop_price)
    _check_positive("take_profit_price", spec.take_profit_price)
    sign, lower, higher = (1, "below", "above") if spec.side is Side.BUY else (-1, "above", "below")
    if sign * (spec.take_profit_price - spec.stop_price) <= 0:
        raise SpecError(
            "stop_price",
            spec.stop_price,
            f"must be {lower} take_profit_price {spec.take_profit_price} to protect a {spec.side} order",
        )
    if spec.entry_price is None:
        return
    if sign * (spec.entry_price - spec.stop_price) <= 0:
        raise SpecError(
            "stop_price", spec.stop_price, f"must be {lower} entry_price {spec.entry_price} for a {spec.side} order"
        )
    if sign * (spec.take_profit_price - spec.entry_price) <= 0:
        raise SpecError(
            "take_profit_price",
            spec.take_profit_price,
            f"must be {higher} entry_price {spec.entry_price} for a {spec.side} order",
        )


def _check_price(field: str, value: Decimal | None, *, needed: bool, order_type: OrderType) -> None:
    if needed and value is None:
        raise SpecError(field, value, f"is needed for a {order_type} order")
    if not needed and value is not None:
        raise SpecError(field, value, f"must be left out for a {order_type} order")
    if value is not None:
        _check_positive(field, value)


def _check_positive(field: str, value: Decimal) -> None:
    if not value.is_finite() or value <= 0:
        raise SpecError(field, value, "must be a number above 0")
