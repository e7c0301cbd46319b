"""What the venue says is open, against what our journal and outbox say: pure.

After a logon the venue is asked for all its open orders. Its answers and our rows can only be compared where neither
has moved meanwhile, so `Inquiry` keeps in mind what was sent and reported since the question: of those orders the venue
has just spoken, or is about to. Everything else that differs is a `Finding`, with what is to be journalled about it:

========== ======================================================= ==================================================
kind       what differs                                            what is done
========== ======================================================= ==================================================
working    the venue lists it; with us it is over, or never left   OrderRestated or OrderReplaced: it is open again
orphan     the venue lists it; nobody here knows it                journalled under an orphan's name; nothing is sent
ended      with us it works; the venue says that it is over        what the venue says
missing    with us it works; the venue does not know it            OrderCanceled: the venue has ended it unasked
terms      quantity, price or ClOrdID                              OrderRestated, or OrderReplaced
fills      what has traded                                         nothing: no execution is made up
unanswered with us it works; the venue neither lists nor answers   nothing
========== ======================================================= ==================================================

Each of them is told to a human. Where trades differ no row can be true: CumQty (14) and AvgPx (6) tell neither the
price nor the ExecID (17) of what is missing, so that the trade itself, reported later, would count a second time.
"""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from gateway.outbox import Entry
from gateway.translate import Standing, named_in
from trading import child
from trading.child import Order, OrderStatus
from trading.commands import CancelOrder, ReplaceOrder, SubmitOrder
from trading.events import (
    OrderCanceled,
    OrderExpired,
    OrderNotSent,
    OrderReplaced,
    OrderReported,
    OrderRestated,
    VenueEvent,
)
from trading.identity import Role, order_id_of, orphan_order_id
from trading.journal import JournalRow
from trading.orders import Side

Kind = Literal["working", "orphan", "ended", "missing", "terms", "fills", "unanswered"]
_UNHEARD = OrderStatus.PENDING_NEW
"""The stage of an order of which the venue has said nothing yet: whoever sent it finds out, and not a comparison."""
_FILLED, _REJECTED, _EXPIRED = "2", "8", "C"  # OrdStatus (39)
_PENDING = frozenset("6E")  # OrdStatus (39): a request waits at the venue, and the report has its ClOrdID


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One difference. `event` is what is to be journalled of it, None where nothing is; `number` is that of the venue's
    message (34) that showed it, None where the same is to be journalled once only, however often it is found."""

    kind: Kind
    order_id: str
    cl_ord_id: str
    symbol: str
    side: Side
    ours: str
    venue: str
    event: VenueEvent | None = None
    number: int | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as it is recorded, and what was done about it."""

    kind: Kind
    order_id: str
    cl_ord_id: str
    ours: str
    venue: str
    done: str


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of comparing the venue's open orders with ours, after a logon.

    `listed` are the orders that the venue listed, `asked` those that it was asked about one by one, `compared` those of
    ours that work, but for `left_out`: those changed meanwhile, or wait for the venue. Times are the machine's.
    """

    session: str
    epoch: int
    asked_at: datetime
    finished_at: datetime
    listed: int
    asked: int
    compared: int
    left_out: int
    found: int
    """How many differences there were; `differences` has the first of them."""
    differences: list[Difference]
    text: str = ""
    """Why the venue's list was not to be had, where it was not."""


class Inquiry:
    """One question about all open orders: its answers, and what was sent and reported since it was asked."""

    def __init__(self, request: str) -> None:
        self.request = request
        self.listed: dict[int, Standing] = {}
        """By the number of the message (34)."""
        self.is_complete = False
        """Whether no more answers are to come."""
        self._answers = 0
        self._changed: set[str] = set()

    def answer(self, number: int, standing: Standing) -> None:
        """One of the answers. The one that says that there are no open orders is refused (39=8), and lists none."""
        self._answers += 1
        if standing.is_open:
            self.listed[number] = standing
        total = standing.total
        none_at_all = standing.status == _REJECTED and total is None
        has_all = total is not None and self._answers >= total
        self.is_complete = self.is_complete or standing.is_last or has_all or none_at_all

    @property
    def answers(self) -> int:
        return self._answers

    def give_up(self) -> None:
        self.is_complete = True

    def sent(self, *cl_ord_ids: str) -> None:
        """An order left, or a request about one."""
        self._changed.update(cl_ord_ids)

    def reported(self, *cl_ord_ids: str, resent: bool = False) -> None:
        """The venue said something of an order. What it resends before its last answer it had said before the question;
        so it is in the journal when that is read, and in the answers too."""
        if self.is_complete or not resent:
            self._changed.update(cl_ord_ids)

    def has_changed(self, order: Order) -> bool:
        return any(name in self._changed for name in (*order.cl_ord_ids, *order.asked_ids))

    def names_changed(self, standing: Standing) -> bool:
        return standing.cl_ord_id in self._changed or standing.orig_cl_ord_id in self._changed


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the outbox and the journal have it: all that it has ever had at the venue."""

    order_id: str
    orders: tuple[Order, ...] = ()
    replaces: frozenset[str] = frozenset()
    """The ClOrdIDs of its replaces."""
    reported: frozenset[str] = frozenset()
    """The ClOrdIDs that its journal names, also where the outbox has long forgotten what was sent under them."""
    is_known: bool = True
    """Whether the order is in the register."""
    is_open: bool = True
    """Whether it has not ended there."""

    def find(self, standing: Standing) -> Order | None:
        names = [name for name in (standing.cl_ord_id, standing.orig_cl_ord_id) if name]
        return next((order for name in names for order in self.orders if order.answers_to(name)), None)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`unlisted` are ours that work and that the venue has not listed: it is to be asked about each."""

    findings: list[Finding]
    unlisted: list[tuple[Book, Order]]
    compared: int
    left_out: int


def book(
    order_id: str,
    entries: Iterable[Entry],
    rows: Iterable[JournalRow],
    *,
    is_known: bool = True,
    is_open: bool = True,
) -> Book:
    """Each child of an order, as the venue's reports have left it."""
    orders: list[Order] = []
    replaces = set[str]()
    for entry in sorted(entries, key=lambda each: each.place):
        command = entry.command
        if isinstance(command, SubmitOrder):
            orders.append(_order(command))
        else:
            index = _place(orders, command.orig_cl_ord_id)
            if index is not None:
                kind: Literal["cancel", "replace"] = "cancel" if isinstance(command, CancelOrder) else "replace"
                orders[index] = child.ask(orders[index], kind, command.cl_ord_id, chained=True)
            if isinstance(command, ReplaceOrder):
                replaces.add(command.cl_ord_id)
        if entry.state == "dead":
            _learn(orders, OrderNotSent(cl_ord_id=command.cl_ord_id, reason=""))
    reported = set[str]()
    for row in rows:
        _learn(orders, row.event)
        reported.update(named_in(row.event))
    return Book(
        order_id=order_id,
        orders=tuple(orders),
        replaces=frozenset(replaces),
        reported=frozenset(reported),
        is_known=is_known,
        is_open=is_open,
    )


def compare(books: Iterable[Book], inquiry: Inquiry, in_flight: Container[str]) -> Comparison:
    """What the venue lists against what the books say. `in_flight`: the ClOrdIDs of which nothing was heard yet."""
    by_order = {each.order_id: each for each in books}
    findings: list[Finding] = []
    met = set[tuple[str, ...]]()
    left_out = set[tuple[str, ...]]()
    for number, standing in inquiry.listed.items():
        order_id = order_id_of_standing(standing)
        known = by_order.get(order_id or "")
        order = known.find(standing) if known else None
        if order is not None:
            met.add(order.cl_ord_ids)
        is_unheard = order is not None and (order.stage is _UNHEARD or _those(in_flight, order))
        # Of an order that was opened again long after its end nobody but its lifecycle knows what it was.
        is_forgotten = known is not None and order is None and known.is_open and standing.cl_ord_id in known.reported
        if inquiry.names_changed(standing) or standing.cl_ord_id in in_flight or is_unheard or is_forgotten:
            left_out.add(order.cl_ord_ids if order else (standing.cl_ord_id,))
        elif order is None or known is None:
            findings.append(_unknown(known, order_id, standing, number))
        elif inquiry.has_changed(order):
            left_out.add(order.cl_ord_ids)
        else:
            findings += judge(known, order, standing, number)
    unlisted: list[tuple[Book, Order]] = []
    compared = 0
    for each in by_order.values():
        for order in each.orders:
            if not order.is_open or order.stage is _UNHEARD or order.cl_ord_ids in left_out:
                continue
            if inquiry.has_changed(order) or _those(in_flight, order):
                left_out.add(order.cl_ord_ids)
                continue
            compared += 1
            if order.cl_ord_ids not in met:
                unlisted.append((each, order))
    return Comparison(findings=findings, unlisted=unlisted, compared=compared, left_out=len(left_out))


def judge(known: Book, order: Order, standing: Standing, number: int) -> list[Finding]:
    """What differs between an order of ours and what the venue says of it."""
    if standing.status == _REJECTED:
        # What was accepted once cannot be rejected any more (FIX 4.4 volume 4, appendix D): the question was.
        return [unanswered(known, order, f"the venue refuses the question: {standing.text}")]
    findings = []
    if standing.cum_quantity != order.cum_quantity:
        findings.append(_finding("fills", known.order_id, order, _cum(order), _traded(standing, order), None, number))
    kind, event = _news(known, order, standing)
    if kind is not None:
        is_new = event is not None and (child.apply(order, event) is not order or _is_ended(known, order))
        ours, venue = _in_words(order), _standing_in_words(standing)
        findings.append(_finding(kind, known.order_id, order, ours, venue, event if is_new else None, number))
    return findings


def missing(known: Book, order: Order, number: int, at: datetime) -> Finding:
    """The venue does not know an order that works with us."""
    event = OrderCanceled(
        cl_ord_id=order.cl_ord_id,
        cum_quantity=order.cum_quantity,
        reason="neither listed among the venue's open orders nor known to it when asked",
        at=at,
    )
    return _finding("missing", known.order_id, order, _in_words(order), "unknown", event, number)


def unanswered(known: Book, order: Order, why: str) -> Finding:
    return _finding("unanswered", known.order_id, order, _in_words(order), why, None, None)


def order_id_of_standing(standing: Standing) -> str | None:
    """The order that a ClOrdID of the venue's answer leads to."""
    names = [name for name in (standing.cl_ord_id, standing.orig_cl_ord_id) if name]
    return next((found for name in names if (found := order_id_of(name)) is not None), None)


def _order(command: SubmitOrder) -> Order:
    return Order(
        role=Role.ENTRY,  # what it is for makes no difference to what the venue says of it
        cl_ord_ids=(command.cl_ord_id,),
        symbol=command.symbol,
        side=command.side,
        quantity=command.quantity,
        order_type=command.order_type,
        limit_price=command.limit_price,
        stop_price=command.stop_price,
        time_in_force=command.time_in_force,
    )


def _learn(orders: list[Order], event: VenueEvent | OrderNotSent) -> None:
    names = (event.cl_ord_id, getattr(event, "orig_cl_ord_id", None))
    index = next((place for name in names if name and (place := _place(orders, name)) is not None), None)
    if index is not None:
        orders[index] = child.apply(orders[index], event)


def _place(orders: Sequence[Order], name: str) -> int | None:
    return next((index for index, order in enumerate(orders) if order.answers_to(name)), None)


def _those(names: Container[str], order: Order) -> bool:
    return any(name in names for name in (*order.cl_ord_ids, *order.asked_ids))


def _news(known: Book, order: Order, standing: Standing) -> tuple[Kind | None, VenueEvent | None]:
    """In which way an order stands otherwise than with us, and what the journal is to say of it; None where nothing
    true can be said."""
    if standing.is_open and not child.is_over_today(order, standing.status):
        if not order.is_open or _is_ended(known, order):
            return "working", _listed(known, order, standing)
        if standing.status in _PENDING:
            # The terms are those of before the request or after it, as each venue has it: its answer is still to come.
            return None, None
        differs = standing.quantity != order.quantity or _is_renamed(known, order, standing)
        prices = ((order.limit_price, standing.limit_price), (order.stop_price, standing.stop_price))
        differs = differs or any(None not in pair and pair[0] != pair[1] for pair in prices)
        return ("terms", _listed(known, order, standing)) if differs else (None, None)
    return ("ended", _end(order, standing)) if order.is_open else (None, None)


def _is_ended(known: Book, order: Order) -> bool:
    """Whether a child works, by the journal too, of an order that has ended: who was to be told of it was not."""
    return order.is_open and not known.is_open


def _listed(known: Book, order: Order, standing: Standing) -> VenueEvent:
    if _is_renamed(known, order, standing):
        return OrderReplaced(
            cl_ord_id=standing.cl_ord_id,
            orig_cl_ord_id=order.cl_ord_id,
            quantity=standing.quantity,
            cum_quantity=standing.cum_quantity,
            limit_price=standing.limit_price,
            stop_price=standing.stop_price,
            at=standing.at,
        )
    return OrderRestated(
        cl_ord_id=order.cl_ord_id,
        quantity=standing.quantity,
        cum_quantity=standing.cum_quantity,
        leaves_quantity=standing.leaves_quantity,
        limit_price=standing.limit_price,
        stop_price=standing.stop_price,
        is_listed=True,
        at=standing.at,
    )


def _is_renamed(known: Book, order: Order, standing: Standing) -> bool:
    """Whether the venue has carried out a replace of which we know nothing, or that it was refused."""
    is_carried_out = standing.status not in _PENDING
    return is_carried_out and standing.cl_ord_id in known.replaces and standing.cl_ord_id not in order.cl_ord_ids


def _end(order: Order, standing: Standing) -> VenueEvent | None:
    name, at = order.cl_ord_id, standing.at
    if standing.status == _FILLED and standing.cum_quantity > order.cum_quantity:
        # Without the trades it would be over and its position unknown: another in its place might be one too many.
        return None
    if standing.status == _EXPIRED or child.is_over_today(order, standing.status):
        return OrderExpired(cl_ord_id=name, cum_quantity=standing.cum_quantity, at=at)
    return OrderCanceled(cl_ord_id=name, cum_quantity=standing.cum_quantity, reason=standing.text, at=at)


def _unknown(known: Book | None, order_id: str | None, standing: Standing, number: int) -> Finding:
    """The venue lists what never left here: a child that its order does not know, or an order that nobody knows."""
    is_ours = known is not None and known.is_known and order_id is not None
    name = standing.cl_ord_id
    was_sent = known is not None and is_ours and name in known.reported
    event: VenueEvent = OrderReported(
        cl_ord_id=name, exec_type="I", order_status=standing.status, text=standing.text, at=standing.at
    )
    if is_ours:
        event = OrderRestated(
            cl_ord_id=name,
            quantity=standing.quantity,
            cum_quantity=standing.cum_quantity,
            leaves_quantity=standing.leaves_quantity,
            limit_price=standing.limit_price,
            stop_price=standing.stop_price,
            is_listed=True,
            at=standing.at,
        )
    return Finding(
        kind="working" if is_ours else "orphan",
        order_id=order_id if is_ours and order_id else orphan_order_id(name),
        cl_ord_id=name,
        symbol=standing.symbol,
        side=standing.side,
        ours="over" if was_sent else "never sent" if is_ours else "unknown",
        venue=_standing_in_words(standing),
        event=event,
        number=number if was_sent else None,
    )


def _finding(
    kind: Kind, order_id: str, order: Order, ours: str, venue: str, event: VenueEvent | None, number: int | None
) -> Finding:
    return Finding(
        kind=kind,
        order_id=order_id,
        cl_ord_id=order.cl_ord_id,
        symbol=order.symbol,
        side=order.side,
        ours=ours,
        venue=venue,
        event=event,
        number=number,
    )


def _cum(order: Order) -> str:
    return f"traded={order.cum_quantity} average={order.average_price}"


def _traded(standing: Standing, order: Order) -> str:
    text = f"traded={standing.cum_quantity} average={standing.average_price}"
    more = standing.cum_quantity - order.cum_quantity
    if more > 0 and standing.average_price is not None:
        worth = standing.average_price * standing.cum_quantity - order.value
        text += f": {more} more at about {_short(worth / more)}"
    return text


def _short(number: Decimal) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _in_words(order: Order) -> str:
    return _words(order.status, order.quantity, order.cum_quantity, order.limit_price, order.stop_price)


def _standing_in_words(standing: Standing) -> str:
    state = "open" if standing.is_open else "over"
    words = _words(state, standing.quantity, standing.cum_quantity, standing.limit_price, standing.stop_price)
    return f"{words} OrdStatus={standing.status} OrderID={standing.order_id}"


def _words(state: str, quantity: Decimal, traded: Decimal, limit: Decimal | None, stop: Decimal | None) -> str:
    prices = [f" {name}={price}" for name, price in (("limit", limit), ("stop", stop)) if price is not None]
    return f"{state} quantity={quantity} traded={traded}{''.join(prices)}"
