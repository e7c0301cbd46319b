"""Legs that follow another one's fills: sent in parts as it fills, never for more than the ratio allows."""

from decimal import Decimal

from trading.identity import Role
from trading.lifecycles.entries import entry
from trading.lifecycles.state import ZERO, Plan, State
from trading.specs import Leg


def in_lots(quantity: Decimal, lot: Decimal) -> Decimal:
    """What of a quantity can be ordered; the rest is carried."""
    return quantity // lot * lot


def leading(plan: Plan, state: State, leg: Leg, *, number: int, all_or_none: bool = False) -> None:
    """Add a leg that is sent as a whole."""
    entry(
        plan,
        state,
        symbol=leg.symbol,
        side=leg.side,
        quantity=leg.quantity,
        order_type=leg.order_type,
        price=leg.price,
        leg=number,
        all_or_none=all_or_none,
    )


def following(plan: Plan, state: State, leg: Leg, *, number: int, led: Leg, by: int, lot: Decimal) -> None:
    """Add a leg that follows leg `by` (`led`): the parts that work, and one more for what is not asked for yet."""
    parts = state.of(Role.ENTRY, number)
    committed = ZERO
    for part in parts:
        committed += part.quantity if part.is_open else part.cum_quantity
        if not part.is_settled:
            _part(plan, state, leg, number=number, rung=part.rung, quantity=part.quantity)
    allowed = min(leg.quantity, in_lots(state.traded(Role.ENTRY, by) * leg.quantity / led.quantity, lot))
    room = in_lots(allowed - committed, lot)
    if room > 0:
        rung = parts[-1].rung + 1 if parts else 0
        _part(plan, state, leg, number=number, rung=rung, quantity=room)


def _part(plan: Plan, state: State, leg: Leg, *, number: int, rung: int, quantity: Decimal) -> None:
    entry(
        plan,
        state,
        symbol=leg.symbol,
        side=leg.side,
        quantity=quantity,
        order_type=leg.order_type,
        price=leg.price,
        leg=number,
        rung=rung,
    )
