"""An iceberg: one limit order after another, none larger than what may be shown."""

from decimal import Decimal

from trading.child import OrderStatus
from trading.identity import Role
from trading.lifecycles.engine import Kind
from trading.lifecycles.entries import entered_outcome, entry, was_withdrawn
from trading.lifecycles.state import Plan, State
from trading.orders import OrderType
from trading.specs import IcebergSpec


def _plan(state: State, spec: IcebergSpec) -> Plan:
    plan = Plan()
    shown = state.of(Role.ENTRY)
    filled = state.traded(Role.ENTRY)
    left = spec.quantity - filled
    current = shown[-1] if shown else None
    rung = 0 if current is None else current.rung
    already = state.entered(0, rung)
    # A busted trade opens an earlier one again: until that is gone, no more is shown.
    is_reopened = any(not order.is_settled for order in shown[:-1])
    if current is not None and current.is_settled and (current.stage is OrderStatus.FILLED or was_withdrawn(current)):
        rung, already = rung + 1, Decimal(0)
        if is_reopened:
            return plan
    if left > 0:
        room = spec.display_quantity - already
        if current is not None and is_reopened:
            room = min(room, current.leaves_quantity)
        entry(
            plan,
            state,
            symbol=spec.symbol,
            side=spec.side,
            quantity=already + min(room, left),
            order_type=OrderType.LIMIT,
            price=spec.limit_price,
            time_in_force=spec.time_in_force,
            rung=rung,
        )
    return plan


def _outcome(state: State, spec: IcebergSpec) -> str:
    return entered_outcome(state, filled=state.traded(Role.ENTRY) >= spec.quantity)


KIND = Kind(plan=_plan, outcome=_outcome)
