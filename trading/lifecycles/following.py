"""Legs that follow another one's fills: sent in parts as it fills, never for more than the ratio allows."""

from decimal import Decimal

from trading.identity import Role
from trading.lifecycles.entries import entry
from trading.lifecycles.state import Plan, State
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
    room = min(leg.quantity, state.traded(Role.ENTRY, by) * leg.quantity / led.quantity)
    for part in parts:
        room -= part.quantity if part.is_open else part.cum_quantity
    for part in parts:
        if not part.is_open:
            continue
        # The venue may have made it larger or smaller, or busted what it follows: then it is not for what it was.
        in_full = part.quantity + (lot - part.quantity % lot) % lot
        quantity = in_lots(min(in_full, part.quantity + room), lot)
        _part(plan, state, leg, number=number, rung=part.rung, quantity=quantity)
        more = max(quantity, part.cum_quantity) - part.quantity
        if more > 0 or room < 0:
            # What is taken back frees nothing before the venue has confirmed it.
            room -= more if more > 0 else max(room, more)
    room = in_lots(room, lot)
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
