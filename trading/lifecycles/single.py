"""A single order: sent, followed to its end, and cancelled when its time is over or a user says so.

A user's cancel ends what is unfilled, in either mode: there are no exits, and what was filled is kept.
"""

from trading.child import OrderStatus
from trading.events import PriceTouched, TimerFired
from trading.identity import Role
from trading.lifecycles.engine import Judgement, Kind
from trading.lifecycles.entries import entered_outcome, entry
from trading.lifecycles.state import Plan, State, with_leg
from trading.specs import SingleSpec


def _plan(state: State, spec: SingleSpec) -> Plan:
    plan = Plan()
    entry(
        plan,
        state,
        symbol=spec.symbol,
        side=spec.side,
        quantity=spec.quantity,
        order_type=spec.order_type,
        price=spec.limit_price or spec.stop_price,
        time_in_force=spec.time_in_force,
        synthetic=spec.synthetic,
    )
    return plan


def _heed(state: State, spec: SingleSpec, event: TimerFired | PriceTouched) -> Judgement:
    return (with_leg(state, 0, touched=(Role.ENTRY,)) if isinstance(event, PriceTouched) else state), []


def _outcome(state: State, spec: SingleSpec) -> str:
    entered = state.latest(Role.ENTRY)
    is_filled = entered is not None and entered.stage is OrderStatus.FILLED
    return entered_outcome(state, filled=is_filled or state.traded(Role.ENTRY) >= spec.quantity)


KIND = Kind(plan=_plan, outcome=_outcome, heed=_heed)
