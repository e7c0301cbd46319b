"""Order lifecycles: pure deciders. Events and the time go in, the next state and what to do come out.

`start` and `handle` are all that drives an order, in production, in a backtest and in tests. A state goes to JSON and
back without loss. A finished order still takes events in: what is late is counted, and may open it again.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from trading.child import OrderStatus
from trading.commands import Command
from trading.events import Event
from trading.identity import Role
from trading.lifecycles import bracket, single
from trading.lifecycles.bracket import BracketState
from trading.lifecycles.single import SingleState
from trading.orders import Side
from trading.specs import BracketSpec, SingleSpec, Spec, check

__all__ = [
    "BracketState",
    "ChildSummary",
    "OrderSummary",
    "SingleState",
    "State",
    "handle",
    "is_finished",
    "start",
    "summary",
]

State = SingleState | BracketState


class ChildSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One venue order, as an order's record keeps it."""

    cl_ord_ids: list[str]
    role: Role
    side: Side
    quantity: Decimal
    cum_quantity: Decimal
    average_price: Decimal
    status: OrderStatus


class OrderSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole order: the entry's totals, and every child. `outcome` is empty while the order is not over."""

    outcome: str
    filled_quantity: Decimal
    average_price: Decimal
    children: list[ChildSummary]


def start(spec: Spec, now: datetime) -> tuple[State, list[Command]]:
    """Begin an order; `now` is the market's clock. Raises `trading.specs.SpecError` for a spec that is wrong."""
    check(spec)
    match spec:
        case SingleSpec():
            return single.start(spec, now)
        case BracketSpec():
            return bracket.start(spec, now)


def handle(state: State, event: Event, now: datetime) -> tuple[State, list[Command]]:
    """Take in what has happened; `now` is the market's clock. Total: no event is wrong in any state."""
    match state:
        case SingleState():
            return single.handle(state, event, now)
        case BracketState():
            return bracket.handle(state, event, now)


def is_finished(state: State) -> bool:
    """Whether the order is over: `Finish` was commanded, and nothing has opened it again."""
    return bool(state.outcome)


def summary(state: State) -> OrderSummary:
    """What has come of an order so far."""
    entry = state.children.orders[0]
    return OrderSummary(
        outcome=state.outcome,
        filled_quantity=entry.cum_quantity,
        average_price=entry.average_price,
        children=[
            ChildSummary(
                cl_ord_ids=list(order.cl_ord_ids),
                role=order.role,
                side=order.side,
                quantity=order.quantity,
                cum_quantity=order.cum_quantity,
                average_price=order.average_price,
                status=order.status,
            )
            for order in state.children.orders
        ],
    )
