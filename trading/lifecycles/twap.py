"""A quantity over time, in slices: what a slice has not filled when its time is over goes to the next one.

The next slice is sent once the cancel of the one before is confirmed: together they never ask for more than is left.
"""

from datetime import timedelta
from decimal import Decimal

from msgspec.structs import replace

from trading.child import OrderStatus
from trading.commands import Command, RaiseAlert, SetTimer
from trading.events import PriceTouched, TimerFired
from trading.identity import Role
from trading.lifecycles.engine import Judgement, Kind
from trading.lifecycles.entries import entered_outcome, entry
from trading.lifecycles.state import Plan, State
from trading.orders import OrderType
from trading.specs import AtEnd, TwapSpec

SLICE = "slice"


def _plan(state: State, spec: TwapSpec) -> Plan:
    plan = Plan()
    slices = state.of(Role.ENTRY)
    number = _current(state)
    filled = state.traded(Role.ENTRY)
    if state.over or filled >= spec.quantity:
        return plan
    crosses = number > spec.slices
    if crosses and spec.at_end is AtEnd.LEAVE:
        return plan
    plan.more = plan.more_entries = not crosses
    if any(order.rung != number and not order.is_settled for order in slices):
        plan.more = True
        return plan
    own = sum((order.cum_quantity for order in slices if order.rung == number), Decimal(0))
    due = _due_by(spec, number) - (filled - own)
    if due > own:
        at_market = crosses or spec.limit_price is None
        entry(
            plan,
            state,
            symbol=spec.symbol,
            side=spec.side,
            quantity=due,
            order_type=OrderType.MARKET if at_market else OrderType.LIMIT,
            price=None if at_market else spec.limit_price,
            time_in_force=spec.time_in_force,
            rung=number,
        )
    return plan


def _current(state: State) -> int:
    """The slice that is on, from 1; one more than there are when all are over."""
    return state.slice + 1


def _due_by(spec: TwapSpec, number: int) -> Decimal:
    """What all slices up to this one should have filled together."""
    if number >= spec.slices:
        return spec.quantity
    lots = spec.quantity * number / spec.slices // spec.lot
    return lots * spec.lot


def _at_first(state: State, spec: TwapSpec) -> list[Command]:
    return [_end_of_slice(state, spec)]


def _end_of_slice(state: State, spec: TwapSpec) -> SetTimer:
    seconds = spec.duration * _current(state) / spec.slices
    return SetTimer(name=SLICE, at=state.started_at + timedelta(seconds=seconds))


def _heed(state: State, spec: TwapSpec, event: TimerFired | PriceTouched) -> Judgement:
    if not isinstance(event, TimerFired) or event.name != SLICE or _current(state) > spec.slices:
        return state, []
    state = _next_slice(state)
    return state, [_end_of_slice(state, spec)] if _current(state) <= spec.slices else []


def _judge(before: State, state: State, spec: TwapSpec) -> Judgement:
    order = state.latest(Role.ENTRY, 0, _current(state))
    was = before.latest(Role.ENTRY, 0, _current(state))
    refused = (
        order is not None and order.stage is OrderStatus.REJECTED and (was is None or was.stage is not order.stage)
    )
    if order is None or not refused:
        return state, []
    text = f"{order.cl_ord_id}: {order.reason}; its quantity goes to the next slice"
    return state, [RaiseAlert(code="SLICE_REJECTED", text=text)]


def _next_slice(state: State) -> State:
    return replace(state, slice=state.slice + 1)


def _outcome(state: State, spec: TwapSpec) -> str:
    filled = state.traded(Role.ENTRY) >= spec.quantity
    outcome = entered_outcome(state, filled=filled)
    if not state.over and outcome == "canceled":  # by the slices' ends, not by anybody
        return "expired" if state.traded(Role.ENTRY) else "expired_unfilled"
    return outcome


KIND = Kind(plan=_plan, outcome=_outcome, judge=_judge, heed=_heed, at_first=_at_first)
