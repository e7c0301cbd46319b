"""Closes a position that is held: one order at market, tried until the venue takes it. A user's cancel stops that."""

from trading.identity import Role
from trading.lifecycles import protected
from trading.lifecycles.engine import Judgement, Kind
from trading.lifecycles.state import Closing, LegState, Plan, State
from trading.specs import FlattenSpec


def _legs(spec: FlattenSpec) -> tuple[LegState, ...]:
    return (LegState(held=spec.quantity, closing=Closing.FLATTEN),)


def _plan(state: State, spec: FlattenSpec) -> Plan:
    plan = Plan()
    is_taken_back = state.over in ("canceled", "expired")
    # Who stops it keeps the position that is left, but not one the other way round.
    if not is_taken_back or state.legs[0].closing is Closing.DOUBLE_EXIT:
        protected.close(plan, state, symbol=spec.symbol, side=spec.side)
        plan.more_entries = plan.more
    return plan


def _judge(before: State, state: State, spec: FlattenSpec) -> Judgement:
    return protected.judge(before, state, symbol=spec.symbol, side=spec.side, reopened_is_closed=False)


def _outcome(state: State, spec: FlattenSpec) -> str:
    if state.legs[0].closing is Closing.DOUBLE_EXIT:
        return "double_exit"
    if state.traded(Role.CLOSE):
        return "closed" if not state.open_quantity(0, spec.side) else state.over
    return state.over


KIND = Kind(plan=_plan, outcome=_outcome, legs=_legs, judge=_judge)
