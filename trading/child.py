"""One order at the venue, as far as we know it: what it asks for, what it has traded, what we have asked about it.

An `Order` only learns. `apply` takes in one report and is total: any report, in any state, any number of times, and
gives back the very same order where nothing is new. Whoever decides what should happen next looks at the result.

The rules; sections are those of FIX 4.4, volume 4, and the matrices those of its appendix D, which are tests:

- What is traded is the sum of the executions, each counted once by its ExecID and day, whatever state the order is in.
  A fill after a cancel, or beyond the quantity, is a fill.
- `stage` is the order's own; a request in flight (cancel or replace) lies over it, and stays until the venue has
  answered it, even when the order has ended meanwhile. ("OrdStatus precedence": pending cancel, pending replace, then
  the rest.)
- Done for day, suspended, stopped, calculated, accepted for bidding, and what is pending without our asking, are stages
  of an order that is open: it counts as working, since it may trade. For a day order, done for day is the end.
- An order that has ended stays so. Only a confirmed replace opens it again (C.1.c), or that the venue lists it as open
  when it is asked; and one that was filled, a bust, a correction or a change of the venue's own that says that there is
  more to trade (J.1.a).
- A corporate action may put an order, and what it has traded, into other units. That is done once for each.
- The ClOrdID of an accepted replace is the order's from then on, that of a refused one never was (D.1, D.2).
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

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
    ACCEPTED_FOR_BIDDING = "accepted_for_bidding"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    DONE_FOR_DAY = "done_for_day"
    CALCULATED = "calculated"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"


_UNACKNOWLEDGED = frozenset({OrderStatus.PENDING_NEW, OrderStatus.ACCEPTED_FOR_BIDDING})
_PENDING = frozenset({OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_REPLACE})
_OVER_FOR_TODAY = frozenset({OrderStatus.DONE_FOR_DAY, OrderStatus.CALCULATED})
_HELD = frozenset({OrderStatus.SUSPENDED, OrderStatus.STOPPED})
_OPEN = frozenset({OrderStatus.NEW}) | _UNACKNOWLEDGED | _PENDING | _OVER_FOR_TODAY | _HELD
_SURVIVES_A_REPLACE = _HELD | _OVER_FOR_TODAY
_TRADES_AGAIN = _UNACKNOWLEDGED | _OVER_FOR_TODAY | {OrderStatus.SUSPENDED}
"""Stages that a trade ends. A stopped order stays so while it trades (L.1.a), a pending one too (B.1.b)."""

_TOLD = {
    "3": OrderStatus.DONE_FOR_DAY,
    "6": OrderStatus.PENDING_CANCEL,
    "7": OrderStatus.STOPPED,
    "9": OrderStatus.SUSPENDED,
    "B": OrderStatus.CALCULATED,
    "D": OrderStatus.ACCEPTED_FOR_BIDDING,
    "E": OrderStatus.PENDING_REPLACE,
}
"""The stages that the venue only tells, by ExecType (150) and OrdStatus (39)."""

_WORKS = frozenset("01")
_ENDED_AT_VENUE = frozenset("248C")
_OPEN_AT_VENUE = frozenset("01567A9DE")
_OVER_FOR_TODAY_AT_VENUE = frozenset("3B")
_OVERNIGHT = frozenset({"gtc", "gtd"})
"""Times in force of orders that outlive the day."""

_TOO_LATE = 0  # CxlRejReason (102)
_UNKNOWN_ORDER = 1  # CxlRejReason (102)
_CORPORATE_ACTION = 0  # ExecRestatementReason (378)


class Execution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trade as it now stands; busted, its quantity is 0."""

    quantity: Decimal
    price: Decimal
    at: datetime


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A cancel or a replace that the venue has not answered yet."""

    cl_ord_id: str
    kind: Literal["cancel", "replace"]


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    requests: tuple[Request, ...] = ()
    """In flight, oldest first. More than one only where they were chained."""
    asked_ids: tuple[str, ...] = ()
    executions: tuple[Execution, ...] = ()
    executed: dict[str, int] = {}
    """Which of the executions a report was about, by its day and ExecID (17); never changed in place.

    A trade has its own id and those of its corrections. With the day, because venues promise that they are unique for
    one, and a GTC order lives longer.
    """
    cum_quantity: Decimal = ZERO
    """CumQty (14): the sum of the executions."""
    venue_cum_quantity: Decimal = ZERO
    """The highest CumQty (14) that the venue has told of, less what it has taken back since."""
    value: Decimal = ZERO
    """The sum of the executions' quantity times price."""
    ending: bool = False
    """The venue refused a request because the order is over, and the report of that is still to come."""
    rescaled_at: datetime | None = None
    """When a corporate action has last put the order into other units, such as twice the shares at half the price."""
    setbacks: int = 0
    """How often the venue ended the order or changed its quantity unasked."""
    refused_cancels: int = 0
    refused_replaces: int = 0
    """Of an order that works, since the last that was confirmed."""

    @property
    def slot(self) -> tuple[Role, int, int]:
        """Its place in the lifecycle: there is never more than one order in it that works."""
        return self.role, self.leg, self.rung

    @property
    def cl_ord_id(self) -> str:
        """The current ClOrdID (11): that of the order, or of the last replace that was accepted."""
        return self.cl_ord_ids[-1]

    @property
    def request(self) -> Request | None:
        """The last request in flight."""
        return self.requests[-1] if self.requests else None

    @property
    def average_price(self) -> Decimal:
        """AvgPx (6): 0 where nothing was traded."""
        return self.value / self.cum_quantity if self.cum_quantity else ZERO

    @property
    def leaves_quantity(self) -> Decimal:
        """LeavesQty (151): what may still trade."""
        return self.quantity - self.cum_quantity if self.stage in _OPEN else ZERO

    @property
    def is_open(self) -> bool:
        """Whether it works at the venue, or may come to."""
        return self.stage in _OPEN

    @property
    def is_settled(self) -> bool:
        """Whether it is over, and nothing about it is unanswered."""
        return not self.requests and self.stage not in _OPEN

    @property
    def is_rescaled(self) -> bool:
        """Whether its quantities and prices are in other units than those in which it was asked for."""
        return self.rescaled_at is not None

    @property
    def is_short_of_reports(self) -> bool:
        """Whether it is over, and the venue has traded more of it than we were told of."""
        return self.stage not in _OPEN and self.venue_cum_quantity > self.cum_quantity

    @property
    def status(self) -> OrderStatus:
        """OrdStatus (39), by the specification's precedence: what is pending goes before what is."""
        if self.requests:
            return OrderStatus.PENDING_CANCEL if _cancel_is_asked(self) else OrderStatus.PENDING_REPLACE
        if self.stage is OrderStatus.NEW and self.cum_quantity:
            return OrderStatus.PARTIALLY_FILLED
        return self.stage

    def answers_to(self, cl_ord_id: str) -> bool:
        """Whether a ClOrdID was ever this order's, or that of a request about it."""
        return cl_ord_id in self.cl_ord_ids or cl_ord_id in self.asked_ids


def ask(order: Order, kind: Literal["cancel", "replace"], cl_ord_id: str, *, chained: bool = False) -> Order:
    """The order with a request in flight. There must be none yet, unless the new one is `chained` to it.

    FIX lets a request name one that is unanswered as its OrigClOrdID (41) (appendix D.2); many venues refuse that.
    """
    assert chained or not order.requests, f"{order.cl_ord_id} already waits for the answer to {order.request}"
    return msgspec.structs.replace(
        order,
        requests=(*order.requests, Request(cl_ord_id=cl_ord_id, kind=kind)),
        asked_ids=(*order.asked_ids, cl_ord_id),
    )


def is_over_today(order: Order, status: str) -> bool:
    """Whether an OrdStatus (39), done for day or calculated, is the end of an order that does not last overnight."""
    return status in _OVER_FOR_TODAY_AT_VENUE and order.time_in_force not in _OVERNIGHT


def apply(order: Order, event: Event) -> Order:
    """The order after a report about it. Repeats, and what is about no single order, change nothing."""
    learn = _LEARN.get(type(event))
    if learn is None:
        return order
    after = learn(order, event)
    # A repeat may be from before a bust.
    told = ZERO if after is order else getattr(event, "cum_quantity", ZERO)
    return msgspec.structs.replace(after, venue_cum_quantity=told) if told > after.venue_cum_quantity else after


def _accepted(order: Order, _: OrderAccepted) -> Order:
    return _working(order)


def _working(order: Order) -> Order:
    """The order, where it is open, as one that works: acknowledged, resumed, no longer pending."""
    if order.stage is OrderStatus.NEW or order.stage not in _OPEN:
        return order
    # A cancel refused as unknown had overtaken the order itself: now it can be asked for again.
    return msgspec.structs.replace(order, stage=OrderStatus.NEW, ending=False)


def _reported(order: Order, event: OrderReported) -> Order:
    """What the venue only tells: a condition of the order, or how it stands."""
    # The type first: while a cancel is pending, OrdStatus says that instead (precedence).
    told = _TOLD.get(event.exec_type) or _TOLD.get(event.order_status)
    if told is None:
        return _working(order) if event.order_status in _WORKS else order
    stage = order.stage
    if stage is told or stage not in _OPEN:
        return order
    if told in _OVER_FOR_TODAY and order.time_in_force not in _OVERNIGHT:
        return _ended(order, OrderStatus.EXPIRED)
    if told in _PENDING and (order.requests or _is_about_a_request(order, event)):
        return order
    if told is OrderStatus.ACCEPTED_FOR_BIDDING and stage is not OrderStatus.PENDING_NEW:
        return order
    return msgspec.structs.replace(order, stage=told, ending=False)


def _is_about_a_request(order: Order, event: OrderReported) -> bool:
    """Whether a report is about a request of ours: it has that one's id, and is not about the order itself."""
    if event.cl_ord_id not in order.asked_ids:
        return False
    return event.cl_ord_id != order.cl_ord_id or event.orig_cl_ord_id not in {None, event.cl_ord_id}


def _filled(order: Order, event: OrderFilled) -> Order:
    name = _of_day(event.exec_id, event.at)
    if name in order.executed:
        return order
    quantity, price = event.quantity, event.price
    cum_quantity = order.cum_quantity + quantity
    stage, ending = order.stage, order.ending
    if stage in _OPEN:
        if cum_quantity >= order.quantity or not event.leaves_quantity:
            stage, ending = OrderStatus.FILLED, False
        elif stage in _TRADES_AGAIN:
            stage, ending = OrderStatus.NEW, False
    return msgspec.structs.replace(
        order,
        stage=stage,
        ending=ending,
        executions=(*order.executions, Execution(quantity=quantity, price=price, at=event.at)),
        executed={**order.executed, name: len(order.executions)},
        cum_quantity=cum_quantity,
        venue_cum_quantity=max(order.venue_cum_quantity, event.cum_quantity),
        value=order.value + quantity * price,
    )


def _busted(order: Order, event: TradeBusted) -> Order:
    return _trade_changed(order, event, ZERO)


def _corrected(order: Order, event: TradeCorrected) -> Order:
    return _trade_changed(order, event, event.quantity)


def _trade_changed(order: Order, event: TradeBusted | TradeCorrected, quantity: Decimal) -> Order:
    name = _of_day(event.exec_id, event.at)
    if name in order.executed:
        return order
    index = _referred_to(order, event.ref_exec_id)
    if index is None:
        # The trade itself is still to come: it must not count as it was.
        index = len(order.executions)
        trade = Execution(quantity=ZERO, price=event.price, at=event.at)
        executed = {**order.executed, _of_day(event.ref_exec_id, event.at): index, name: index}
    else:
        trade = order.executions[index]
        executed = {**order.executed, name: index}
    changed = msgspec.structs.replace(trade, quantity=quantity, price=event.price)
    order = msgspec.structs.replace(
        order,
        executions=(*order.executions[:index], changed, *order.executions[index + 1 :]),
        executed=executed,
        cum_quantity=order.cum_quantity + quantity - trade.quantity,
        venue_cum_quantity=order.venue_cum_quantity - max(ZERO, trade.quantity - quantity),
        value=order.value + quantity * event.price - trade.quantity * trade.price,
    )
    if order.stage is OrderStatus.FILLED and event.leaves_quantity and order.cum_quantity < order.quantity:
        return msgspec.structs.replace(order, stage=OrderStatus.NEW)
    return _completed(order)


def _canceled(order: Order, event: OrderCanceled) -> Order:
    ended = _ended(order, OrderStatus.CANCELED)
    # A venue may answer a replace by cancelling the order: then the report has the replace's id.
    waiting = tuple(
        each
        for each in ended.requests
        if each.cl_ord_id != event.cl_ord_id and (each.kind == "replace" or event.orig_cl_ord_id is None)
    )
    return ended if len(waiting) == len(ended.requests) else msgspec.structs.replace(ended, requests=waiting)


def _expired(order: Order, _: OrderExpired) -> Order:
    return _ended(order, OrderStatus.EXPIRED)


def _ended(order: Order, stage: OrderStatus, reason: str = "") -> Order:
    if order.stage not in _OPEN:
        return order
    setbacks = order.setbacks if _cancel_is_asked(order) else order.setbacks + 1
    return msgspec.structs.replace(order, stage=stage, reason=reason, ending=False, setbacks=setbacks)


def _cancel_is_asked(order: Order) -> bool:
    return any(each.kind == "cancel" for each in order.requests)


def _replaced(order: Order, event: OrderReplaced) -> Order:
    if event.cl_ord_id in order.cl_ord_ids:
        if event.cl_ord_id != order.cl_ord_id or event.orig_cl_ord_id not in {"", event.cl_ord_id}:
            return order
        return _changed_by_venue(order, event, max(event.quantity, event.cum_quantity))
    if event.cl_ord_id not in order.asked_ids:
        order = msgspec.structs.replace(order, cl_ord_ids=(*order.cl_ord_ids, event.cl_ord_id))
        return _changed_by_venue(order, event, max(event.quantity, event.cum_quantity))
    order = msgspec.structs.replace(
        order,
        cl_ord_ids=(*order.cl_ord_ids, event.cl_ord_id),
        requests=_without(order.requests, event.cl_ord_id),
        quantity=event.quantity,
        limit_price=order.limit_price if event.limit_price is None else event.limit_price,
        stop_price=order.stop_price if event.stop_price is None else event.stop_price,
        stage=order.stage if order.stage in _SURVIVES_A_REPLACE else OrderStatus.NEW,
        ending=False,
        refused_replaces=0,
    )
    return _completed(order)


def _restated(order: Order, event: OrderRestated) -> Order:
    if event.reason_code == _CORPORATE_ACTION and (order.rescaled_at is None or event.at > order.rescaled_at):
        order = _rescaled(order, event)
    # Where OrderQty (38) and LeavesQty (151) contradict each other, what may trade is not to be underestimated.
    return _changed_by_venue(order, event, max(event.quantity, event.cum_quantity + event.leaves_quantity))


def _changed_by_venue(order: Order, event: OrderReplaced | OrderRestated, quantity: Decimal) -> Order:
    """The order with other terms, or in force again, without our asking (E.1.c, H.1.a)."""
    # A report that does not know of all the trades is from before the end; what the venue lists is not.
    is_listed = isinstance(event, OrderRestated) and event.is_listed
    is_later = order.stage is OrderStatus.FILLED and event.cum_quantity >= order.cum_quantity
    reopens = (is_listed or is_later) and order.cum_quantity < quantity
    if order.stage not in _OPEN and not reopens:
        return order
    stage = order.stage if order.stage in _HELD else OrderStatus.NEW
    changed = msgspec.structs.replace(
        order,
        quantity=quantity,
        limit_price=order.limit_price if event.limit_price is None else event.limit_price,
        stop_price=order.stop_price if event.stop_price is None else event.stop_price,
        stage=stage,
        ending=order.ending and stage is order.stage,
        setbacks=order.setbacks if quantity == order.quantity else order.setbacks + 1,
    )
    return order if changed == order else _completed(changed)


def _rescaled(order: Order, event: OrderRestated) -> Order:
    """The order in the units of after a corporate action: what is traded is worth what it was (H.1.b)."""
    before, now = order.cum_quantity, event.cum_quantity
    order = msgspec.structs.replace(order, rescaled_at=event.at)
    if not before or not now or before == now:
        return order
    executions = tuple(
        msgspec.structs.replace(each, quantity=each.quantity * now / before, price=each.price * before / now)
        for each in order.executions
    )
    return msgspec.structs.replace(order, executions=executions, cum_quantity=now, venue_cum_quantity=now)


def _rejected(order: Order, event: OrderRejected) -> Order:
    if event.cl_ord_id in order.cl_ord_ids:
        return _ended(order, OrderStatus.REJECTED, event.reason)
    return _refused(order, event.cl_ord_id)


def _cancel_rejected(order: Order, event: CancelRejected) -> Order:
    waiting = _without(order.requests, event.cl_ord_id)
    if len(waiting) == len(order.requests):
        return order
    is_open = order.stage in _OPEN
    if event.reason_code == _UNKNOWN_ORDER and is_open and order.stage not in _UNACKNOWLEDGED:
        # What was reported of it came before this answer, so there is nothing to wait for.
        order = msgspec.structs.replace(order, requests=waiting)
        return _ended(order, OrderStatus.UNKNOWN, event.reason)
    status, over_today = event.order_status, is_over_today(order, event.order_status)
    over = status in _ENDED_AT_VENUE or over_today
    works = status in _OPEN_AT_VENUE or (status in _OVER_FOR_TODAY_AT_VENUE and not over_today)
    too_late = event.reason_code == _TOO_LATE and not works
    if over or too_late or event.reason_code == _UNKNOWN_ORDER:
        return msgspec.structs.replace(order, requests=waiting, ending=is_open)
    return _refused(order, event.cl_ord_id)


def _refused(order: Order, cl_ord_id: str) -> Order:
    """The order goes on as it was before the request (B.1.a, D.1.c): with its last accepted ClOrdID and terms."""
    request = next((each for each in order.requests if each.cl_ord_id == cl_ord_id), None)
    if request is None:
        return order
    counts = order.stage in _OPEN
    return msgspec.structs.replace(
        order,
        requests=_without(order.requests, cl_ord_id),
        refused_cancels=order.refused_cancels + (counts and request.kind == "cancel"),
        refused_replaces=order.refused_replaces + (counts and request.kind == "replace"),
    )


def _without(requests: tuple[Request, ...], cl_ord_id: str) -> tuple[Request, ...]:
    return tuple(each for each in requests if each.cl_ord_id != cl_ord_id)


def _not_sent(order: Order, event: OrderNotSent) -> Order:
    if event.cl_ord_id not in order.cl_ord_ids:
        return _refused(order, event.cl_ord_id)
    if order.stage is not OrderStatus.PENDING_NEW:
        return order
    order = _ended(order, OrderStatus.NOT_SENT, event.reason)
    # What never left cannot be asked about either.
    return msgspec.structs.replace(order, requests=())


def _completed(order: Order) -> Order:
    """The order, ended where nothing is left of it."""
    if order.stage in _OPEN and order.cum_quantity >= order.quantity:
        return msgspec.structs.replace(order, stage=OrderStatus.FILLED, ending=False)
    return order


def _referred_to(order: Order, exec_id: str) -> int | None:
    """Which trade an ExecRefID (19) means: it names no day, so the latest of that id."""
    return next(
        (index for name, index in reversed(order.executed.items()) if name.partition(" ")[2] == exec_id),
        None,
    )


def _of_day(exec_id: str, at: datetime) -> str:
    return f"{at.date()} {exec_id}"


_LEARN: dict[type, Callable[[Order, Any], Order]] = {
    OrderAccepted: _accepted,
    OrderFilled: _filled,
    OrderCanceled: _canceled,
    OrderExpired: _expired,
    OrderReplaced: _replaced,
    OrderRejected: _rejected,
    OrderRestated: _restated,
    OrderReported: _reported,
    OrderNotSent: _not_sent,
    CancelRejected: _cancel_rejected,
    TradeBusted: _busted,
    TradeCorrected: _corrected,
}
"""How an order learns from each kind of event; from all others it learns nothing."""
