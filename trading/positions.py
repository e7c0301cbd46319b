"""Positions at average cost, and the profit that closing them realized."""

from decimal import Decimal

import msgspec

from trading.orders import Side

ZERO = Decimal(0)


_FINEST = Decimal("1e-12")


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of a symbol. `quantity` is negative when short; `average_price` is 0 when flat."""

    symbol: str
    quantity: Decimal = ZERO
    average_price: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    closed_average_price: Decimal = ZERO
    """The average price of what was closed last: what comes back when the closing trade is busted."""


def apply_fill(position: Position, side: Side, quantity: Decimal, price: Decimal) -> Position:
    """The position after a trade. What goes beyond closing it opens the other way round, at the trade's price."""
    signed = side.sign * quantity
    total = position.quantity + signed
    if position.quantity * signed >= 0:
        cost = position.quantity * position.average_price + signed * price
        return msgspec.structs.replace(position, quantity=total, average_price=cost / total if total else ZERO)
    closed = min(abs(signed), abs(position.quantity))
    direction = 1 if position.quantity > 0 else -1
    profit = direction * closed * (price - position.average_price)
    average_price = ZERO if not total else position.average_price if total * direction > 0 else price
    return msgspec.structs.replace(
        position,
        quantity=total,
        average_price=average_price,
        realized_pnl=_money(position.realized_pnl + profit),
        closed_average_price=position.average_price,
    )


def apply_bust(position: Position, side: Side, quantity: Decimal, price: Decimal) -> Position:
    """The position without a trade of this side, quantity and price, which the venue has busted.

    Exact when the trade was the last one, or when all trades since went the same way. Otherwise the split between
    average price and realized profit depends on what came between; their sum, the money paid and received, is exact
    always.
    """
    signed = side.sign * quantity
    total = position.quantity - signed
    average_price = _average_price_without(position, signed, price) if total else ZERO
    paid = position.quantity * position.average_price - signed * price
    realized = _money(position.realized_pnl - paid + total * average_price)
    return msgspec.structs.replace(position, quantity=total, average_price=average_price, realized_pnl=realized)


def _average_price_without(position: Position, signed: Decimal, price: Decimal) -> Decimal:
    total = position.quantity - signed
    if position.quantity * total <= 0:
        return position.closed_average_price or price
    if abs(total) > abs(position.quantity):
        return position.average_price
    average_price = (position.quantity * position.average_price - signed * price) / total
    return average_price if average_price > 0 else position.average_price


def _money(amount: Decimal) -> Decimal:
    """Without the tail that an average price with 28 digits leaves."""
    exponent = amount.as_tuple().exponent
    return amount.quantize(_FINEST) if isinstance(exponent, int) and exponent < -12 else amount
