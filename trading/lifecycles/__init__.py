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
from trading.lifecycles import (
    bracket,
    engine,
    flatten,
    iceberg,
    multi_leg,
    oco,
    oto,
    scale,
    single,
    trailing,
    twap,
)
from trading.lifecycles.engine import Kind
from trading.lifecycles.state import State
from trading.orders import Side
from trading.specs import (
    Amendment,
    BracketSpec,
    Common,
    FlattenSpec,
    IcebergSpec,
    MultiLegSpec,
    OcoSpec,
    OtoSpec,
    ScaleSpec,
    SingleSpec,
    Spec,
    TrailingSpec,
    TwapSpec,
    check,
)

__all__ = ["ChildSummary", "OrderSummary", "State", "begin", "handle", "is_finished", "refusal", "start", "summary"]

KINDS: dict[type[Common], Kind] = {
    SingleSpec: single.KIND,
    BracketSpec: bracket.KIND,
    OcoSpec: oco.KIND,
    OtoSpec: oto.KIND,
    MultiLegSpec: multi_leg.KIND,
    TrailingSpec: trailing.KIND,
    TwapSpec: twap.KIND,
    IcebergSpec: iceberg.KIND,
    ScaleSpec: scale.KIND,
    FlattenSpec: flatten.KIND,
}


class ChildSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One venue order, as an order's record keeps it."""

    cl_ord_ids: list[str]
    role: Role
    leg: int = 0
    symbol: str = ""
    side: Side
    quantity: Decimal
    cum_quantity: Decimal
    average_price: Decimal
    status: OrderStatus


class OrderSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole order: what its entries have filled, and every child. `outcome` is empty while the order is not over.

    Of several legs the first that has traded: quantities of different symbols have no sum.
    """

    outcome: str
    filled_quantity: Decimal
    average_price: Decimal
    children: list[ChildSummary]


def start(spec: Spec, now: datetime) -> tuple[State, list[Command]]:
    """Begin an order; `now` is the market's clock. Raises `trading.specs.SpecError` for a spec that is wrong."""
    check(spec)
    return begin(spec, now)


def begin(spec: Spec, now: datetime) -> tuple[State, list[Command]]:
    """Begin an order whose spec was found right when it was placed: a rule that is newer than it does not end it."""
    return engine.begin(KINDS[type(spec)], spec, now)


def handle(state: State, event: Event, now: datetime) -> tuple[State, list[Command]]:
    """Take in what has happened; `now` is the market's clock. Total: no event is wrong in any state."""
    return engine.proceed(KINDS[type(state.spec)], state, event, now)


def refusal(state: State, amendment: Amendment) -> str:
    """Why an order cannot become what a user wants it to be; empty where it can."""
    return engine.refusal(KINDS[type(state.spec)], state, amendment)


def is_finished(state: State) -> bool:
    """Whether the order is over: `Finish` was commanded, and nothing has opened it again."""
    return bool(state.outcome)


def summary(state: State) -> OrderSummary:
    """What has come of an order so far."""
    entries = [order for order in state.orders if order.role is Role.ENTRY]
    leg = next((order.leg for order in entries if order.cum_quantity), 0)
    entered = [order for order in entries if order.leg == leg]
    filled = sum((order.cum_quantity for order in entered), Decimal(0))
    paid = sum((order.cum_quantity * order.average_price for order in entered), Decimal(0))
    return OrderSummary(
        outcome=state.outcome,
        filled_quantity=filled,
        average_price=paid / filled if filled else Decimal(0),
        children=[
            ChildSummary(
                cl_ord_ids=list(order.cl_ord_ids),
                role=order.role,
                leg=order.leg,
                symbol=order.symbol,
                side=order.side,
                quantity=order.quantity,
                cum_quantity=order.cum_quantity,
                average_price=order.average_price,
                status=order.status,
            )
            for order in state.orders
        ],
    )
