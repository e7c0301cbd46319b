"""One order at the venue, as far as we know it: what it asks for, what it has traded, what we have asked about it.

An `Order` only learns. `apply` takes in one report and is total: any report, in any state, any number of times.
Whoever decides what should happen next looks at the result.

The rules:

- What is traded is the sum of the executions, each counted once by its ExecID and day, whatever state the order is in.
  A fill after a cancel, or beyond the quantity, is a fill.
- `stage` is the order's own; a request in flight (cancel or replace, at most one) lies over it, and stays until the
  venue has answered it, even when the order has ended meanwhile (FIX 4.4, volume 4, appendix D).
- An order that has ended stays so; only a confirmed replace opens it again.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

from trading.events import (
    CancelRejected,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderNotSent,
    OrderRejected,
    OrderReplaced,
    OrderReported,
    OrderRestated,
    TradeBusted,
    TradeCorrected,
)
from trading.identity import Role
from trading.orders import OrderType, Side, TimeInForce

ZERO = Decimal(0)


class OrderStatus(StrEnum):
    """OrdStatus (39), and two of our own: `not_sent` (it never left) and `unknown` (to the venue)."""

    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"


_OPEN = frozenset({OrderStatus.PENDING_NEW, OrderStatus.NEW})
_ENDED_AT_VENUE = frozenset("2348C")
_OPEN_AT_VENUE = frozenset("01A6E")
_TOO_LATE = 0
_UNKNOWN_ORDER = 1


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A trade as it now stands; busted, its quantity is 0.

    `exec_ids` are its own ExecID (17) and those of its corrections, each with its day: venues promise that they are
    unique for a day, and a GTC order lives longer.
    """

    exec_ids: tuple[str, ...]
    quantity: Decimal
    price: Decimal
    at: datetime


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A cancel or a replace that the venue has not answered yet."""

    cl_ord_id: str
    kind: Literal["cancel", "replace"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """`cl_ord_ids` is the chain of accepted ids, first to current; `asked_ids` are those of all requests about it."""

    role: Role
    leg: int = 0
    """Which of several: the leg of the lifecycle."""
    rung: int = 0
    """Which of several orders of a role in a leg: rungs of a ladder, slices."""
    cl_ord_ids: tuple[str, ...]
    symbol: str
    side: Side
    quantity: Decimal
    """OrderQty (38) as the venue has confirmed it, or as it was sent."""
    order_type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    stage: OrderStatus = OrderStatus.PENDING_NEW
    reason: str = ""
    """Why it was rejected, in the venue's words."""
    request: Request | None = None
    asked_ids: tuple[str, ...] = ()
    executions: tuple[Execution, ...] = ()
    cum_quantity: Decimal = ZERO
    """CumQty (14): the sum of the executions."""
    ending: bool = False
    """The venue refused a request because the order is over, and the report of that is still to come."""
    setbacks: int = 0
    """How often the venue ended or changed the order unasked."""
    refused_cancels: int = 0
    refused_replaces: int = 0
    """Of an order that works, since the last that was confirmed."""

    @property
    def cl_ord_id(self) -> str:
        """The current ClOrdID (11)."""
        return self.cl_ord_ids[-1]

    @property
    def average_price(self) -> Decimal:
        """AvgPx (6): 0 where nothing was traded."""
        traded = self.cum_quantity
        return sum((each.quantity * each.price for each in self.executions), ZERO) / traded if traded else ZERO

    @property
    def leaves_quantity(self) -> Decimal:
        """LeavesQty (151): what may still trade."""
        return self.quantity - self.cum_quantity if self.is_open else ZERO

    @property
    def is_open(self) -> bool:
        """Whether it works at the venue, or may come to."""
        return self.stage in _OPEN

    @property
    def is_settled(self) -> bool:
        """Whether it is over, and nothing about it is unanswered."""
        return not self.is_open and self.request is None

    @property
    def status(self) -> OrderStatus:
        """OrdStatus (39), by the specification's precedence: what is pending goes before what is."""
        if self.request is not None:
            return OrderStatus.PENDING_CANCEL if self.request.kind == "cancel" else OrderStatus.PENDING_REPLACE
        if self.stage is OrderStatus.NEW and self.cum_quantity:
            return OrderStatus.PARTIALLY_FILLED
        return self.stage

    def answers_to(self, cl_ord_id: str) -> bool:
        """Whether a ClOrdID was ever this order's, or that of a request about it."""
        return cl_ord_id in self.cl_ord_ids or cl_ord_id in self.asked_ids


def ask(order: Order, kind: Literal["cancel", "replace"], cl_ord_id: str) -> Order:
    """The order with a request in flight. There must be none yet."""
    assert order.request is None, f"{order.cl_ord_id} already waits for the answer to {order.request}"
    return msgspec.structs.replace(
        order, request=Request(cl_ord_id=cl_ord_id, kind=kind), asked_ids=(*order.asked_ids, cl_ord_id)
    )


def apply(order: Order, event: Event) -> Order:
    """The order after a report about it. Repeats, and what is about no single order, change nothing."""
    match event:
        case OrderAccepted():
            return _opened(order)
        case OrderFilled():
            return _filled(order, event)
        case OrderCanceled():
            return _canceled(order, event)
        case OrderExpired():
            return _ended(order, OrderStatus.EXPIRED)
        case OrderReplaced():
            return _replaced(order, event)
        case OrderRejected():
            return _rejected(order, event)
        case OrderRestated():
            return _restated(order, event)
        case CancelRejected():
            return _cancel_rejected(order, event)
        case TradeBusted():
            return _trade_changed(order, event, ZERO)
        case TradeCorrected():
            return _trade_changed(order, event, event.quantity)
        case OrderNotSent():
            return _not_sent(order, event)
        case OrderReported():
            return _opened(order) if event.order_status in {"0", "1"} else order
        case _:
            return order


def _opened(order: Order) -> Order:
    if order.stage is not OrderStatus.PENDING_NEW:
        return order
    # A cancel refused as unknown had overtaken the order itself: now it can be asked for again.
    return msgspec.structs.replace(order, stage=OrderStatus.NEW, ending=False)


def _filled(order: Order, event: OrderFilled) -> Order:
    exec_id = _of_day(event.exec_id, event.at)
    if _execution(order, exec_id) is not None:
        return order
    execution = Execution(exec_ids=(exec_id,), quantity=event.quantity, price=event.price, at=event.at)
    return _with_executions(_opened(order), (*order.executions, execution), filled=event.leaves_quantity == 0)


def _canceled(order: Order, event: OrderCanceled) -> Order:
    order = _ended(order, OrderStatus.CANCELED)
    if _cancel_is_asked(order) and event.orig_cl_ord_id is not None:
        return msgspec.structs.replace(order, request=None)
    return order


def _cancel_is_asked(order: Order) -> bool:
    return order.request is not None and order.request.kind == "cancel"


def _ended(order: Order, stage: OrderStatus, reason: str = "") -> Order:
    asked = _cancel_is_asked(order)
    if not order.is_open:
        return order
    return msgspec.structs.replace(
        order, stage=stage, reason=reason, ending=False, setbacks=order.setbacks + (0 if asked else 1)
    )


def _replaced(order: Order, event: OrderReplaced) -> Order:
    if event.cl_ord_id in order.cl_ord_ids:
        return order
    if order.request is not None and order.request.cl_ord_id == event.cl_ord_id:
        order = msgspec.structs.replace(order, request=None)
    order = msgspec.structs.replace(
        order,
        cl_ord_ids=(*order.cl_ord_ids, event.cl_ord_id),
        quantity=event.quantity,
        limit_price=order.limit_price if event.limit_price is None else event.limit_price,
        stop_price=order.stop_price if event.stop_price is None else event.stop_price,
        stage=OrderStatus.NEW,
        ending=False,
        refused_replaces=0,
    )
    return _completed(order)


def _rejected(order: Order, event: OrderRejected) -> Order:
    if event.cl_ord_id in order.cl_ord_ids:
        return _ended(order, OrderStatus.REJECTED, event.reason)
    return _refused(order, event.cl_ord_id)


def _restated(order: Order, event: OrderRestated) -> Order:
    if not order.is_open or event.quantity == order.quantity:
        return order
    order = msgspec.structs.replace(_opened(order), quantity=event.quantity, setbacks=order.setbacks + 1)
    return _completed(order)


def _cancel_rejected(order: Order, event: CancelRejected) -> Order:
    if order.request is None or order.request.cl_ord_id != event.cl_ord_id:
        return order
    over = event.order_status in _ENDED_AT_VENUE
    if event.reason_code == _UNKNOWN_ORDER and order.stage is OrderStatus.NEW:
        # What was reported of it came before this answer, so there is nothing to wait for.
        order = msgspec.structs.replace(order, request=None)
        return _ended(order, OrderStatus.UNKNOWN, event.reason)
    too_late = event.reason_code == _TOO_LATE and event.order_status not in _OPEN_AT_VENUE
    if over or too_late or event.reason_code == _UNKNOWN_ORDER:
        return msgspec.structs.replace(order, request=None, ending=order.is_open)
    return _refused(order, event.cl_ord_id)


def _refused(order: Order, cl_ord_id: str) -> Order:
    """The order goes on as it was before the request."""
    if order.request is None or order.request.cl_ord_id != cl_ord_id:
        return order
    if not order.is_open:
        return msgspec.structs.replace(order, request=None)
    if order.request.kind == "cancel":
        return msgspec.structs.replace(order, request=None, refused_cancels=order.refused_cancels + 1)
    return msgspec.structs.replace(order, request=None, refused_replaces=order.refused_replaces + 1)


def _not_sent(order: Order, event: OrderNotSent) -> Order:
    if event.cl_ord_id not in order.cl_ord_ids:
        return _refused(order, event.cl_ord_id)
    if order.stage is not OrderStatus.PENDING_NEW:
        return order
    order = _ended(order, OrderStatus.NOT_SENT, event.reason)
    # What never left cannot be asked about either.
    return msgspec.structs.replace(order, request=None)


def _trade_changed(order: Order, event: TradeBusted | TradeCorrected, quantity: Decimal) -> Order:
    exec_id = _of_day(event.exec_id, event.at)
    if _execution(order, exec_id) is not None:
        return order
    found = _referred_to(order, event.ref_exec_id)
    if found is None:
        # The trade itself is still to come: it must not count as it was.
        changed = Execution(
            exec_ids=(_of_day(event.ref_exec_id, event.at), exec_id), quantity=quantity, price=event.price, at=event.at
        )
        return _with_executions(order, (*order.executions, changed))
    changed = msgspec.structs.replace(found, exec_ids=(*found.exec_ids, exec_id), quantity=quantity, price=event.price)
    return _with_executions(order, tuple(changed if each is found else each for each in order.executions))


def _with_executions(order: Order, executions: tuple[Execution, ...], *, filled: bool = False) -> Order:
    cum_quantity = sum((each.quantity for each in executions), ZERO)
    return _completed(msgspec.structs.replace(order, executions=executions, cum_quantity=cum_quantity), filled=filled)


def _completed(order: Order, *, filled: bool = False) -> Order:
    """The order, ended where nothing is left of it, or where the venue says so (`filled`)."""
    if order.is_open and (filled or order.cum_quantity >= order.quantity):
        return msgspec.structs.replace(order, stage=OrderStatus.FILLED, ending=False)
    return order


def _execution(order: Order, exec_id: str) -> Execution | None:
    return next((each for each in order.executions if exec_id in each.exec_ids), None)


def _referred_to(order: Order, exec_id: str) -> Execution | None:
    """The trade that an ExecRefID (19) means: it names no day, so the latest of that id."""
    return next(
        (each for each in reversed(order.executions) if any(own.partition(" ")[2] == exec_id for own in each.exec_ids)),
        None,
    )


def _of_day(exec_id: str, at: datetime) -> str:
    return f"{at.date().isoformat()} {exec_id}"
