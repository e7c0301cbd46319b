"""What an order puts at stake, read from its spec before anything of it is sent."""

from decimal import Decimal

import msgspec

from trading.orders import OrderType, Side
from trading.specs import (
    BracketSpec,
    FlattenSpec,
    IcebergSpec,
    Leg,
    MultiLegSpec,
    OcoSpec,
    OtoSpec,
    ScaleSpec,
    SingleSpec,
    Spec,
    TrailingSpec,
    TwapSpec,
)


class Stake(msgspec.Struct, frozen=True, kw_only=True):
    """What one entry may still add to a position, at the price it is judged by."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal

    @property
    def notional(self) -> Decimal:
        return self.quantity * self.price


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A position, or a part of one, that is held before the order begins. `side` is the position's."""

    symbol: str
    side: Side
    quantity: Decimal


class NoPriceError(ValueError):
    """An order at market came without the price that its exposure is to be judged by."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"REFERENCE_PRICE: {symbol} market order without a reference_price")


def stakes(spec: Spec, reference_price: Decimal | None) -> list[Stake]:
    """What the order may add to positions: one for each of its entries, empty where it only takes away.

    An entry is judged by its own price, one at market by `reference_price` or by that of its leg. A market entry of a
    bracket trades between its stop and its take-profit or makes no sense: it is judged by the higher of them; it has
    both as long as it has filled nothing. Of an OCO both entries count, since both may fill.

    Raises:
        NoPriceError: nothing tells the price of an entry.
    """
    match spec:
        case SingleSpec():
            price = spec.limit_price or spec.stop_price or reference_price
            return [_stake(spec.symbol, spec.side, spec.quantity, price)]
        case BracketSpec():
            price = spec.entry_price or max(spec.stop_price, spec.take_profit_price or spec.stop_price)
            return [_stake(spec.symbol, spec.side, spec.quantity, price)]
        case OcoSpec():
            return [_stake(spec.symbol, entry.side, entry.quantity, entry.price) for entry in spec.entries]
        case OtoSpec():
            return [_of_leg(leg) for leg in spec.orders]
        case MultiLegSpec():
            return [_of_leg(leg) for leg in spec.legs]
        case TrailingSpec(entry_type=None):
            return []
        case TrailingSpec():
            return [_stake(spec.symbol, spec.side, spec.quantity, spec.entry_price or reference_price)]
        case TwapSpec():
            return [_stake(spec.symbol, spec.side, spec.quantity, spec.limit_price or spec.reference_price)]
        case IcebergSpec():
            return [_stake(spec.symbol, spec.side, spec.quantity, spec.limit_price)]
        case ScaleSpec():
            return [_stake(spec.symbol, spec.side, rung.quantity, rung.price) for rung in spec.rungs]
        case FlattenSpec():
            return []


def holding(spec: Spec) -> Holding | None:
    """The position that the order takes over, to protect or to close it; None where it begins with none."""
    match spec:
        case FlattenSpec() | TrailingSpec(entry_type=None):
            return Holding(symbol=spec.symbol, side=spec.side, quantity=spec.quantity)
        case _:
            return None


def symbols(spec: Spec) -> list[str]:
    """The symbols that the order trades, each once, in the order in which the spec names them."""
    match spec:
        case OtoSpec():
            return list(dict.fromkeys(leg.symbol for leg in spec.orders))
        case MultiLegSpec():
            return list(dict.fromkeys(leg.symbol for leg in spec.legs))
        case _:
            return [spec.symbol]


def protects(spec: Spec) -> bool:
    """Whether what the order holds gets exits of its own, or is closed by it: nobody else is to close it too."""
    match spec:
        case BracketSpec() | TrailingSpec() | ScaleSpec() | FlattenSpec():
            return True
        case OcoSpec():
            return all(entry.exit_stop_price is not None for entry in spec.entries)
        case _:
            return False


def _of_leg(leg: Leg) -> Stake:
    price = leg.reference_price if leg.order_type is OrderType.MARKET else leg.price
    return _stake(leg.symbol, leg.side, leg.quantity, price)


def _stake(symbol: str, side: Side, quantity: Decimal, price: Decimal | None) -> Stake:
    if price is None:
        raise NoPriceError(symbol)
    return Stake(symbol=symbol, side=side, quantity=quantity, price=price)
