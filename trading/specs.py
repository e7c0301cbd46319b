"""What a strategy or a user asks for: the input of an order's lifecycle."""

from decimal import Decimal

import msgspec

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
