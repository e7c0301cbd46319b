"""Positions at average cost, and the profit that closing them realized."""

from decimal import Decimal

import msgspec

from trading.orders import Side

ZERO = Decimal(0)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of a symbol. `quantity` is negative when short; `average_price` is 0 when flat."""

    symbol: str
    quantity: Decimal = ZERO
    average_price: Decimal = ZERO
    realized_pnl: Decimal = ZERO


def apply_fill(position: Position, side: Side, quantity: Decimal, price: Decimal) -> Position:
    """The position after a trade. What goes beyond closing it opens the other way round, at the trade's price."""
    signed = side.sign * quantity
    total = position.quantity + signed
    if position.quantity * signed >= 0:
        cost = position.quantity * position.average_price + signed * price
        return msgspec.structs.replace(position, quantity=total, average_price=cost / total if total else ZERO)
    closed = min(abs(signed), abs(position.quantity))
    direction = 1 if position.quantity > 0 else -1
    realized = position.realized_pnl + direction * closed * (price - position.average_price)
    average_price = ZERO if not total else position.average_price if total * direction > 0 else price
    return msgspec.structs.replace(position, quantity=total, average_price=average_price, realized_pnl=realized)
