"""The venue orders of one lifecycle: which there are, what they have traded together, and how steps become commands."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec

from trading import child
from trading.child import Order, OrderStatus
from trading.commands import CancelOrder, Command, RaiseAlert, ReplaceOrder, SubmitOrder, VenueCommand
from trading.events import CancelRejected, Event, OrderRejected, OrderRestated, TradeBusted
from trading.identity import CANCEL_LETTER, LETTERS, Role, cl_ord_id
from trading.orders import OrderType, Side, TimeInForce

ZERO = Decimal(0)

PATIENCE = 3
"""How often the venue may cross us in one matter before we try another way."""


class Children(msgspec.Struct, frozen=True, kw_only=True):
    """All orders ever sent, oldest first. `issued` counts their ClOrdIDs and those of the requests about them."""

    order_id: str
    orders: tuple[Order, ...] = ()
    issued: int = 0

    def of(self, role: Role) -> list[Order]:
        return [order for order in self.orders if order.role is role]

    def latest(self, role: Role) -> Order | None:
        return next((order for order in reversed(self.orders) if order.role is role), None)

    def traded(self, *roles: Role) -> Decimal:
        return sum((order.cum_quantity for order in self.orders if order.role in roles), ZERO)

    def position(self) -> Decimal:
        """What all of them together have bought less what they have sold."""
        return sum((order.side.sign * order.cum_quantity for order in self.orders), ZERO)

    def setbacks(self, role: Role) -> int:
        return sum(order.setbacks for order in self.orders if order.role is role)

    def find(self, event: Event) -> Order | None:
        """The order that an event is about, by any ClOrdID it ever had."""
        for each in (getattr(event, "cl_ord_id", None), getattr(event, "orig_cl_ord_id", None)):
            for order in self.orders:
                if each is not None and order.answers_to(each):
                    return order
        return None

    @property
    def is_settled(self) -> bool:
        return all(order.is_settled for order in self.orders)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A new order should work."""

    role: Role
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    deadline: datetime | None = None


@dataclass(frozen=True)
class Resize:
    """An order should have `leaves` left to trade."""

    order: Order
    leaves: Decimal


@dataclass(frozen=True)
class Withdraw:
    """An order should not work any more."""

    order: Order


Step = Place | Resize | Withdraw


def take(children: Children, steps: Iterable[Step]) -> tuple[Children, list[Command]]:
    """Number the steps and note them as under way: the children after them, and the commands that do them."""
    commands: list[Command] = []
    command: VenueCommand
    for step in steps:
        match step:
            case Place():
                children, command = _place(children, step)
            case Resize():
                children, command = _resize(children, step)
            case Withdraw():
                children, command = _withdraw(children, step)
        commands.append(command)
    return children, commands


def steer(order: Order | None, leaves: Decimal, place: Place | None = None) -> list[Step]:
    """What brings an order to the quantity it should have left: nothing while it is right, or while an answer is due.

    Where none works, `place` is sent, if given.
    """
    if order is None or order.is_settled:
        return [place] if place is not None else []
    if order.request is not None or order.ending or order.leaves_quantity == leaves:
        return []
    if leaves and order.refused_replaces < PATIENCE:
        return [] if order.stage is OrderStatus.PENDING_NEW else [Resize(order, leaves)]
    # Where there is no changing it, one that is gone makes room for a right one.
    return [Withdraw(order)] if order.refused_cancels < PATIENCE else []


def learn(children: Children, event: Event) -> tuple[Children, list[RaiseAlert]]:
    """Take an event in: the children after it, and what a human should know of it."""
    before = children.find(event)
    if before is None:
        stranger = getattr(event, "cl_ord_id", None)
        if stranger is None:
            return children, []
        text = f"{children.order_id} has no child {stranger}: {event}"
        return children, [RaiseAlert(code="UNKNOWN_CHILD", text=text)]
    after = child.apply(before, event)
    return with_order(children, before, after), alerts_about(before, after, event)


def forgive(children: Children) -> Children:
    """Forget earlier setbacks, and stop waiting for ends that do not come: a human wants it tried again."""
    orders = tuple(
        msgspec.structs.replace(each, setbacks=0, refused_cancels=0, refused_replaces=0, ending=False)
        for each in children.orders
    )
    return msgspec.structs.replace(children, orders=orders)


def alerts_about(before: Order, after: Order, event: Event) -> list[RaiseAlert]:
    """Where a report is out of the ordinary for any order, whatever it is for."""
    name = f"{after.role} {after.cl_ord_id}"
    alerts = []
    if after.cum_quantity > max(before.cum_quantity, after.quantity):
        alerts.append(("OVERFILL", f"{name}: quantity={after.quantity} traded={after.cum_quantity}"))
    if isinstance(event, TradeBusted) and before.executions != after.executions:
        alerts.append(("TRADE_BUSTED", f"{name}: {event.quantity} at {event.price}, ExecID {event.ref_exec_id}"))
    if after.refused_cancels > before.refused_cancels:
        alerts.append(("CANCEL_REJECTED", f"{name}: {_reason(event)}"))
    if after.stage is OrderStatus.UNKNOWN and before.is_open:
        alerts.append(("ORDER_UNKNOWN", f"{name}: {_reason(event)}"))
    if after.refused_replaces > before.refused_replaces:
        alerts.append(("REPLACE_REJECTED", f"{name}: {_reason(event)}"))
    if isinstance(event, OrderRestated) and after.quantity != before.quantity:
        alerts.append(("ORDER_RESTATED", f"{name}: quantity={after.quantity} instead of {before.quantity}"))
    return [RaiseAlert(code=code, text=text) for code, text in alerts]


def with_order(children: Children, before: Order, after: Order) -> Children:
    if after is before:
        return children
    orders = tuple(after if each is before else each for each in children.orders)
    return msgspec.structs.replace(children, orders=orders)


def _reason(event: Event) -> str:
    match event:
        case CancelRejected():
            return f"{event.reason} (CxlRejReason {event.reason_code}, OrdStatus {event.order_status})"
        case OrderRejected():
            return event.reason or "no reason given"
        case _:
            return str(event)


def _place(children: Children, step: Place) -> tuple[Children, SubmitOrder]:
    number = children.issued + 1
    name = cl_ord_id(children.order_id, LETTERS[step.role], number)
    order = Order(
        role=step.role,
        cl_ord_ids=(name,),
        symbol=step.symbol,
        side=step.side,
        quantity=step.quantity,
        order_type=step.order_type,
        limit_price=step.limit_price,
        stop_price=step.stop_price,
        time_in_force=step.time_in_force,
    )
    command = SubmitOrder(
        cl_ord_id=name,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        order_type=order.order_type,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        time_in_force=order.time_in_force,
        deadline=step.deadline,
    )
    return msgspec.structs.replace(children, orders=(*children.orders, order), issued=number), command


def _resize(children: Children, step: Resize) -> tuple[Children, ReplaceOrder]:
    order = step.order
    number = children.issued + 1
    name = cl_ord_id(children.order_id, LETTERS[order.role], number)
    command = ReplaceOrder(
        cl_ord_id=name,
        orig_cl_ord_id=order.cl_ord_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.cum_quantity + step.leaves,
        order_type=order.order_type,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        time_in_force=order.time_in_force,
    )
    children = with_order(children, order, child.ask(order, "replace", name))
    return msgspec.structs.replace(children, issued=number), command


def _withdraw(children: Children, step: Withdraw) -> tuple[Children, CancelOrder]:
    order = step.order
    number = children.issued + 1
    name = cl_ord_id(children.order_id, CANCEL_LETTER, number)
    command = CancelOrder(
        cl_ord_id=name,
        orig_cl_ord_id=order.cl_ord_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
    )
    children = with_order(children, order, child.ask(order, "cancel", name))
    return msgspec.structs.replace(children, issued=number), command
