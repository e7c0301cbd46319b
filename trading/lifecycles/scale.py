"""A ladder of limit entries, and one stop and one take-profit for all that they have filled together."""

from decimal import Decimal

from trading.events import PriceTouched, TimerFired
from trading.identity import Role
from trading.lifecycles import protected
from trading.lifecycles.engine import Judgement, Kind, closes_all
from trading.lifecycles.entries import entry, unfilled_outcome
from trading.lifecycles.state import Plan, State
from trading.orders import OrderType
from trading.specs import ScaleSpec


def _plan(state: State, spec: ScaleSpec) -> Plan:
    plan = Plan()
    for number, rung in enumerate(spec.rungs):
        entry(
            plan,
            state,
            symbol=spec.symbol,
            side=spec.side,
            quantity=rung.quantity,
            order_type=OrderType.LIMIT,
            price=rung.price,
            time_in_force=spec.time_in_force,
            rung=number,
        )
    protected.exits(
        plan,
        state,
        symbol=spec.symbol,
        side=spec.side,
        stop_price=spec.stop_price,
        take_profit_price=spec.take_profit_price,
        synthetic=spec.synthetic,
    )
    return plan


def _judge(before: State, state: State, spec: ScaleSpec) -> Judgement:
    return protected.judge(
        before, state, symbol=spec.symbol, side=spec.side, reopened_is_closed=spec.when_reopened == "close"
    )


def _heed(state: State, spec: ScaleSpec, event: TimerFired | PriceTouched) -> Judgement:
    if isinstance(event, PriceTouched):
        state = protected.touched(
            state,
            event.prices,
            side=spec.side,
            stop_price=spec.stop_price,
            take_profit_price=spec.take_profit_price,
        )
    return state, []


def _outcome(state: State, spec: ScaleSpec) -> str:
    return protected.outcome(state) if state.traded(Role.ENTRY) > Decimal(0) else unfilled_outcome(state)


KIND = Kind(plan=_plan, outcome=_outcome, judge=_judge, heed=_heed, closes=closes_all)
