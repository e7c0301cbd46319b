"""Legs that follow another one's fills: sent in parts as it fills, never for more than the ratio allows."""

from decimal import Decimal

from trading.child import Order
from trading.identity import Role
from trading.lifecycles.entries import entry, will_be_sent_again
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
        time_in_force=leg.time_in_force,
        leg=number,
        all_or_none=all_or_none,
    )


def following(plan: Plan, state: State, leg: Leg, *, number: int, led: Leg, by: int, lot: Decimal) -> None:
    """Add a leg that follows leg `by` (`led`): the parts that are on, and one more for what is not asked for yet."""
    parts = state.of(Role.ENTRY, number)
    asked = [_asked_for(state, part, lot) for part in parts]
    room = min(leg.quantity, state.traded(Role.ENTRY, by) * leg.quantity / led.quantity)
    for quantity in asked:
        room -= quantity
    # First those that are yet to be sent again: they can be for less at once, and no request has to be confirmed.
    for part, was in sorted(zip(parts, asked, strict=True), key=lambda each: each[0].is_open):
        if part.is_open:
            # The venue may have made it larger or smaller, or busted what it follows: then it is not for what it was.
            in_full = was + (lot - was % lot) % lot
            quantity = in_lots(min(in_full, was + room), lot)
        elif was > part.cum_quantity:
            quantity = part.cum_quantity + in_lots(was - part.cum_quantity + min(room, ZERO), lot)
        else:
            continue
        earlier = state.entered(number, part.rung) - part.cum_quantity
        _part(plan, state, leg, number=number, rung=part.rung, quantity=earlier + quantity)
        more = max(quantity, part.cum_quantity) - was
        if more > 0 or room < 0:
            # What is taken back frees nothing before the venue has confirmed it.
            room -= more if more > 0 else max(room, more)
    room = in_lots(room, lot)
    if room > 0:
        rung = max([part.rung + 1 for part in parts], default=0)
        _part(plan, state, leg, number=number, rung=rung, quantity=room)


def _asked_for(state: State, part: Order, lot: Decimal) -> Decimal:
    """What a part has filled and may still fill: one that the venue has rejected, once its retry is due."""
    if part.is_open:
        return part.quantity
    filled = part.cum_quantity
    is_last = state.latest(Role.ENTRY, part.leg, part.rung) is part
    if is_last and will_be_sent_again(state, part) and filled < part.quantity:
        return filled + in_lots(part.quantity - filled, lot)
    return filled


def _part(plan: Plan, state: State, leg: Leg, *, number: int, rung: int, quantity: Decimal) -> None:
    entry(
        plan,
        state,
        symbol=leg.symbol,
        side=leg.side,
        quantity=quantity,
        order_type=leg.order_type,
        price=leg.price,
        time_in_force=leg.time_in_force,
        leg=number,
        rung=rung,
    )
