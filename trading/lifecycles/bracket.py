"""A bracket: an entry, and for what it has filled a stop and a take-profit of which one cancels the other.

The entry works until it has filled, its time is over or a user says so; the exits follow what is open (`protected`).
A user may take the take-profit away, and give one again. The bracket ends when nothing is open, works or is unanswered;
a late report opens it again.
"""

from trading.events import PriceTouched, TimerFired
from trading.lifecycles import protected
from trading.lifecycles.engine import Judgement, Kind, closes_all
from trading.lifecycles.entries import entry
from trading.lifecycles.state import Plan, State
from trading.orders import OrderType
from trading.specs import BracketSpec


def _plan(state: State, spec: BracketSpec) -> Plan:
    plan = Plan()
    entry(
        plan,
        state,
        symbol=spec.symbol,
        side=spec.side,
        quantity=spec.quantity,
        order_type=spec.entry_type,
        price=spec.entry_price,
        time_in_force=spec.time_in_force,
        synthetic=spec.synthetic,
    )
    protected.exits_of(plan, state, spec)
    return plan


def _heed(state: State, spec: BracketSpec, event: TimerFired | PriceTouched) -> Judgement:
    if not isinstance(event, PriceTouched):
        return state, []
    if spec.synthetic and spec.entry_type is OrderType.STOP:
        state = protected.touched_entry(state, event.prices, side=spec.side, entry_price=spec.entry_price)
    return protected.touched_of(state, spec, event)


KIND = Kind(
    plan=_plan,
    outcome=protected.outcome_of,
    judge=protected.judge_of,
    heed=_heed,
    closes=closes_all,
)
