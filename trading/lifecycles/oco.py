"""One cancels the other: two entries, of which the first that trades ends the other one.

What has filled keeps its life: with exits, it is protected as a bracket's entry is. If both fill, because the cancel
came too late, the one reported second is closed at market.
"""

from decimal import Decimal

from trading.commands import Command, RaiseAlert
from trading.events import PriceTouched, TimerFired
from trading.identity import Role
from trading.lifecycles import protected
from trading.lifecycles.engine import Judgement, Kind, totals
from trading.lifecycles.entries import entered_outcome, entry
from trading.lifecycles.state import Closing, LegState, Plan, State, with_leg
from trading.orders import OrderType
from trading.specs import OcoSpec


def _plan(state: State, spec: OcoSpec) -> Plan:
    plan = Plan()
    for leg, each in enumerate(spec.entries):
        other_is_out = state.legs[1 - leg].closing is Closing.BOTH_FILLED
        is_silent = _waits(state, spec, leg) and _is_under_way(state, 1 - leg)
        if other_is_out or not (is_silent or state.traded(Role.ENTRY, 1 - leg)):
            entry(
                plan,
                state,
                symbol=spec.symbol,
                side=each.side,
                quantity=each.quantity,
                order_type=each.order_type,
                price=each.price,
                time_in_force=each.time_in_force,
                leg=leg,
                synthetic=spec.synthetic,
            )
        if _is_protected(spec, leg):
            protected.exits(
                plan,
                state,
                symbol=spec.symbol,
                side=each.side,
                stop_price=each.exit_stop_price,
                take_profit_price=each.exit_take_profit_price,
                leg=leg,
                synthetic=spec.synthetic,
            )
        elif state.legs[leg].closing:
            protected.close(plan, state, symbol=spec.symbol, side=each.side, leg=leg)
    return plan


def _judge(before: State, state: State, spec: OcoSpec) -> Judgement:
    commands: list[Command] = []
    for leg, each in enumerate(spec.entries):
        is_second = state.traded(Role.ENTRY, leg) and not before.traded(Role.ENTRY, leg)
        if is_second and state.traded(Role.ENTRY, 1 - leg) and not any(one.closing for one in state.legs):
            commands.append(RaiseAlert(code="BOTH_FILLED", text=f"{spec.order_id}: {totals(state)}"))
            state = with_leg(state, leg, closing=Closing.BOTH_FILLED)
        if _is_protected(spec, leg) or state.legs[leg].closing:
            reopened_is_closed = spec.when_reopened == "close"
            state, told = protected.judge(
                before,
                state,
                symbol=spec.symbol,
                side=each.side,
                leg=leg,
                reopened_is_closed=reopened_is_closed,
            )
            commands += told
    return state, commands


def _heed(state: State, spec: OcoSpec, event: TimerFired | PriceTouched) -> Judgement:
    if isinstance(event, PriceTouched):
        for price in event.prices:
            for leg in range(len(spec.entries)):
                state = _at(state, spec, leg, price)
    return state, []


def _at(state: State, spec: OcoSpec, leg: int, price: Decimal) -> State:
    entry = spec.entries[leg]
    if state.traded(Role.ENTRY, leg):
        return protected.touched(
            state,
            [price],
            side=entry.side,
            stop_price=entry.exit_stop_price,
            take_profit_price=entry.exit_take_profit_price,
            leg=leg,
        )
    is_touched = _waits(state, spec, leg) and entry.side.sign * (price - entry.price) >= 0
    if not is_touched or _is_under_way(state, 1 - leg):
        return state
    return with_leg(state, leg, touched=(Role.ENTRY,))


def _waits(state: State, spec: OcoSpec, leg: int) -> bool:
    """Whether the leg's entry is kept here until its price is touched."""
    is_kept_here = spec.synthetic and spec.entries[leg].order_type is OrderType.STOP
    return is_kept_here and Role.ENTRY not in state.legs[leg].touched


def _is_under_way(state: State, leg: int) -> bool:
    """Whether the leg's entry was touched, and may trade any moment: the other one is not to be sent beside it."""
    if Role.ENTRY not in state.legs[leg].touched:
        return False
    order, hold = state.latest(Role.ENTRY, leg), state.hold("submit", Role.ENTRY, leg)
    return order is None or not order.is_settled or (hold is not None and hold.status != "given_up")


def _outcome(state: State, spec: OcoSpec) -> str:
    if any(leg.closing is Closing.BOTH_FILLED for leg in state.legs):
        return "both_filled"
    for leg, each in enumerate(spec.entries):
        traded = state.traded(Role.ENTRY, leg)
        if traded:
            protects = _is_protected(spec, leg)
            return protected.outcome(state, leg) if protects else entered_outcome(state, filled=traded >= each.quantity)
    return entered_outcome(state, filled=False)


def _is_protected(spec: OcoSpec, leg: int) -> bool:
    return spec.entries[leg].exit_stop_price is not None


def _legs(spec: OcoSpec) -> tuple[LegState, ...]:
    return tuple([LegState() for _ in spec.entries])


KIND = Kind(plan=_plan, outcome=_outcome, legs=_legs, judge=_judge, heed=_heed, closes=_is_protected)
