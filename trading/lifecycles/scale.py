"""A ladder of limit entries, and one stop and one take-profit for all that they have filled together."""

from trading.lifecycles import protected
from trading.lifecycles.engine import Kind, closes_all
from trading.lifecycles.entries import entry
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
    protected.exits_of(plan, state, spec)
    return plan


KIND = Kind(
    plan=_plan,
    outcome=protected.outcome_of,
    judge=protected.judge_of,
    heed=protected.touched_of,
    closes=closes_all,
)
