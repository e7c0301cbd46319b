"""A single order: sent, followed to its end, and cancelled when its time is over or a user says so."""

from datetime import datetime, timedelta

import msgspec

from trading.child import Order, OrderStatus
from trading.commands import Command, Finish, RaiseAlert, SetTimer
from trading.events import CancelRequested, Event, TimerFired
from trading.identity import Role
from trading.lifecycles.children import ZERO, Children, Place, forgive, learn, steer, take
from trading.specs import BracketSpec, SingleSpec

VALID_FOR = "valid_for"


class SingleState(msgspec.Struct, frozen=True, kw_only=True, tag="single"):
    """`over` is why the order is no longer wanted: empty, `expired` or `canceled`. `outcome` is empty until the end."""

    spec: SingleSpec
    children: Children
    over: str = ""
    outcome: str = ""


def start(spec: SingleSpec, now: datetime) -> tuple[SingleState, list[Command]]:
    place = Place(
        role=Role.ENTRY,
        symbol=spec.symbol,
        side=spec.side,
        quantity=spec.quantity,
        order_type=spec.order_type,
        limit_price=spec.limit_price,
        stop_price=spec.stop_price,
        time_in_force=spec.time_in_force,
        deadline=valid_until(spec, now),
    )
    children, commands = take(Children(order_id=spec.order_id), [place])
    return SingleState(spec=spec, children=children), commands + valid_for_timer(spec, now)


def handle(
    state: SingleState,
    event: Event,
    now: datetime,  # noqa: ARG001 - all lifecycles are handed the time; this one needs none
) -> tuple[SingleState, list[Command]]:
    """A user's cancel ends what is unfilled, in either mode: there are no exits, and what was filled is kept."""
    position = state.children.position()
    children, alerts = learn(state.children, event)
    state = msgspec.structs.replace(state, children=children)
    match event:
        case TimerFired(name="valid_for"):
            state = msgspec.structs.replace(state, over=state.over or "expired")
        case CancelRequested():
            state = msgspec.structs.replace(state, over="canceled", children=forgive(children))
    order = state.children.orders[0]
    children, commands = take(state.children, steer(order, ZERO if state.over else order.leaves_quantity))
    state = msgspec.structs.replace(state, children=children)
    if state.outcome and children.position() != position:
        text = f"{state.spec.order_id} had ended as {state.outcome}: position={position} now={children.position()}"
        return state, [*commands, *alerts, RaiseAlert(code="LATE_FILL", text=text)]
    if state.outcome or not children.is_settled:
        return state, [*commands, *alerts]
    state = msgspec.structs.replace(state, outcome=_outcome(order, state.over))
    return state, [*commands, *alerts, *ending(order, state.outcome)]


def valid_until(spec: SingleSpec | BracketSpec, now: datetime) -> datetime | None:
    """When what is unfilled is no longer wanted; None for never."""
    return None if spec.valid_for is None else now + timedelta(seconds=spec.valid_for)


def valid_for_timer(spec: SingleSpec | BracketSpec, now: datetime) -> list[Command]:
    at = valid_until(spec, now)
    return [] if at is None else [SetTimer(name=VALID_FOR, at=at)]


def ending(order: Order, outcome: str) -> list[Command]:
    """The last commands, the venue's reason with them; that an order never left is for a human to know."""
    finish = Finish(outcome=outcome, text=order.reason)
    if outcome != "not_sent":
        return [finish]
    return [RaiseAlert(code="ORDER_NOT_SENT", text=f"{order.cl_ord_id}: {order.reason}"), finish]


def unfilled_outcome(order: Order, over: str) -> str:
    """The name for an order that has ended and traded nothing."""
    match order.stage:
        case OrderStatus.REJECTED | OrderStatus.UNKNOWN:
            return str(order.stage)
        case OrderStatus.NOT_SENT:
            return "canceled" if over == "canceled" else "not_sent"
        case OrderStatus.EXPIRED:
            return "expired_unfilled"
        case OrderStatus.FILLED:
            return "busted"
        case _:
            return "expired_unfilled" if over == "expired" else "canceled"


def _outcome(order: Order, over: str) -> str:
    if not order.cum_quantity:
        return unfilled_outcome(order, over)
    if order.stage is OrderStatus.FILLED:
        return "filled"
    return "expired" if over == "expired" or order.stage is OrderStatus.EXPIRED else "canceled"
