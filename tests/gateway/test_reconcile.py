"""The comparison of the venue's open orders with ours: pure."""

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.outbox import Entry
from gateway.reconcile import Book, Comparison, Inquiry, Kind, book, compare, judge, missing
from gateway.translate import Standing
from trading.commands import CancelOrder, ReplaceOrder, SubmitOrder, VenueCommand
from trading.events import (
    CancelRejected,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderReplaced,
    OrderReported,
    OrderRestated,
    VenueEvent,
)
from trading.journal import JournalRow
from trading.orders import OrderType, Side, TimeInForce

AT = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def submit(name: str, quantity: int = 10, time_in_force: TimeInForce = TimeInForce.GTC) -> SubmitOrder:
    return SubmitOrder(
        cl_ord_id=name,
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(quantity),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(181),
        time_in_force=time_in_force,
    )


def replace(name: str, orig: str, quantity: int) -> ReplaceOrder:
    return ReplaceOrder(
        cl_ord_id=name,
        orig_cl_ord_id=orig,
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(quantity),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(181),
    )


def cancel(name: str, orig: str) -> CancelOrder:
    return CancelOrder(cl_ord_id=name, orig_cl_ord_id=orig, symbol="IBM", side=Side.BUY, quantity=Decimal(10))


def fill(name: str, quantity: int, cum: int, leaves: int, exec_id: str = "E1") -> OrderFilled:
    return OrderFilled(
        cl_ord_id=name,
        exec_id=exec_id,
        quantity=Decimal(quantity),
        price=Decimal(181),
        cum_quantity=Decimal(cum),
        leaves_quantity=Decimal(leaves),
        at=AT,
    )


def standing(name: str = "a.e1", **fields: Any) -> Standing:
    values: dict[str, Any] = {
        "order_id": "V1",
        "cl_ord_id": name,
        "symbol": "IBM",
        "side": Side.BUY,
        "is_open": True,
        "status": "0",
        "quantity": Decimal(10),
        "cum_quantity": Decimal(0),
        "leaves_quantity": Decimal(10),
        "limit_price": Decimal(181),
        "request": "1-1",
        "at": AT,
        **fields,
    }
    return Standing(**values)


def entries(*commands: VenueCommand, state: Any = "acknowledged") -> list[Entry]:
    return [Entry(order_id="a", command=command, at=AT, state=state) for command in commands]


def rows(*events: VenueEvent) -> list[JournalRow]:
    return [
        JournalRow(order_id="a", number=number, event=event, symbol="IBM", side=Side.BUY, received_at=AT)
        for number, event in enumerate(events, 1)
    ]


def ours(*events: VenueEvent, **fields: Any) -> Book:
    return book("a", entries(submit("a.e1")), rows(*events), **fields)


def replacing(*events: VenueEvent, **fields: Any) -> Book:
    return book("a", entries(submit("a.e1"), replace("a.e2", "a.e1", 6)), rows(*events), **fields)


def of_the_day(*events: VenueEvent) -> Book:
    return book("a", entries(submit("a.e1", time_in_force=TimeInForce.DAY)), rows(*events))


def pending(name: str, status: str, orig: str = "a.e1") -> OrderReported:
    return OrderReported(cl_ord_id=name, orig_cl_ord_id=orig, exec_type=status, order_status=status, at=AT)


def answered(*standings: Standing) -> Inquiry:
    inquiry = Inquiry("1-1")
    for number, each in enumerate(standings, 50):
        inquiry.answer(number, each)
    inquiry.give_up()
    return inquiry


ACCEPTED = OrderAccepted(cl_ord_id="a.e1", at=AT)
CANCELED = OrderCanceled(cl_ord_id="a.e1", cum_quantity=Decimal(0), at=AT)
FILLED = fill("a.e1", 10, 10, 0)
DONE_FOR_DAY = OrderReported(cl_ord_id="a.e1", exec_type="3", order_status="3", at=AT)


@pytest.mark.parametrize(
    ("known", "venue", "expected"),
    [
        pytest.param(ours(ACCEPTED), standing(), [], id="the same"),
        pytest.param(ours(ACCEPTED), standing(limit_price=None), [], id="no price told"),
        pytest.param(
            ours(ACCEPTED, fill("a.e1", 4, 4, 6)),
            standing(cum_quantity=Decimal(4), leaves_quantity=Decimal(6), status="1"),
            [],
            id="the same, partly filled",
        ),
        pytest.param(ours(ACCEPTED), standing(status="6", cl_ord_id="a.x2", orig_cl_ord_id="a.e1"), [], id="pending"),
        pytest.param(
            replacing(ACCEPTED, pending("a.e2", "E")),
            standing(status="E", cl_ord_id="a.e2", orig_cl_ord_id="a.e1"),
            [],
            id="a replace is pending",
        ),
        pytest.param(
            replacing(ACCEPTED, pending("a.e2", "E")),
            standing(status="E", cl_ord_id="a.e2", orig_cl_ord_id="a.e1", quantity=Decimal(6)),
            [],
            id="a replace is pending, and its terms are told",
        ),
        pytest.param(
            replacing(ACCEPTED, CANCELED, pending("a.e2", "E")),
            standing(status="E", cl_ord_id="a.e2", orig_cl_ord_id="a.e1"),
            [("working", OrderRestated)],
            id="works though cancelled, and a replace is pending",
        ),
        pytest.param(ours(ACCEPTED, CANCELED), standing(), [("working", OrderRestated)], id="works though cancelled"),
        pytest.param(
            ours(ACCEPTED),
            standing(quantity=Decimal(8), leaves_quantity=Decimal(8)),
            [("terms", OrderRestated)],
            id="smaller",
        ),
        pytest.param(ours(ACCEPTED), standing(limit_price=Decimal(9)), [("terms", OrderRestated)], id="other price"),
        pytest.param(ours(ACCEPTED), standing(cum_quantity=Decimal(3)), [("fills", None)], id="a fill unheard"),
        pytest.param(
            ours(ACCEPTED, FILLED),
            standing(cum_quantity=Decimal(6), leaves_quantity=Decimal(4)),
            [("fills", None), ("working", None)],
            id="a bust unheard",
        ),
        pytest.param(
            ours(ACCEPTED, FILLED),
            standing(quantity=Decimal(15), cum_quantity=Decimal(10), leaves_quantity=Decimal(5)),
            [("working", OrderRestated)],
            id="larger, and so not filled",
        ),
        pytest.param(of_the_day(ACCEPTED, DONE_FOR_DAY), standing(status="3"), [], id="its day is done"),
        pytest.param(
            of_the_day(ACCEPTED), standing(status="B"), [("ended", OrderExpired)], id="its day is done unheard"
        ),
        pytest.param(
            ours(ACCEPTED, DONE_FOR_DAY), standing(status="3"), [], id="done for the day, and lasts overnight"
        ),
        pytest.param(ours(ACCEPTED), standing(status="3"), [], id="done for the day unheard, and lasts overnight"),
        pytest.param(ours(ACCEPTED, is_open=False), standing(), [("working", OrderRestated)], id="its order has ended"),
    ],
)
def test_an_order_that_the_venue_lists_is_compared_with_ours(
    known: Book, venue: Standing, expected: list[tuple[Kind, type | None]]
) -> None:
    found = compare([known], answered(venue), ()).findings
    assert [(each.kind, type(each.event) if each.event else None) for each in found] == expected
    assert all(each.number == 50 for each in found)


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        ({"status": "4", "cum_quantity": Decimal(0)}, "OrderCanceled"),
        ({"status": "4", "cum_quantity": Decimal(3)}, "OrderCanceled"),
        ({"status": "C"}, "OrderExpired"),
        ({"status": "2", "cum_quantity": Decimal(0)}, "OrderCanceled"),
        ({"status": "2", "cum_quantity": Decimal(10)}, None),
    ],
)
def test_an_order_that_is_over_at_the_venue_is_over_here_unless_its_trades_are_missing(
    fields: dict[str, Any], event: str | None
) -> None:
    known = ours(ACCEPTED)
    found = judge(known, known.orders[0], standing(is_open=False, request="", **fields), 50)
    *fills, ended = found
    assert ended.kind == "ended"
    assert (type(ended.event).__name__ if ended.event else None) == event
    assert bool(fills) == bool(fields.get("cum_quantity"))


@pytest.mark.parametrize("known", [ours(ACCEPTED), ours(ACCEPTED, fill("a.e1", 4, 4, 6))])
def test_an_order_that_works_is_not_ended_by_a_refusal_of_the_question_about_it(known: Book) -> None:
    answer = standing(is_open=False, request="", status="8", text="too many requests")
    (finding,) = judge(known, known.orders[0], answer, 50)
    assert (finding.kind, finding.event) == ("unanswered", None)
    assert finding.venue == "the venue refuses the question: too many requests"


def test_an_order_that_the_venue_does_not_know_was_cancelled_by_it() -> None:
    known = ours(ACCEPTED, fill("a.e1", 4, 4, 6))
    event = missing(known, known.orders[0], 50, AT).event
    assert isinstance(event, OrderCanceled)
    assert (event.orig_cl_ord_id, event.cum_quantity) == (None, Decimal(4))


def test_what_nothing_was_heard_of_yet_is_neither_missing_nor_a_difference() -> None:
    unheard = book("a", entries(submit("a.e1"), state="claimed"), [])
    for inquiry in (answered(), answered(standing())):
        comparison = compare([unheard], inquiry, ())
        assert (comparison.findings, comparison.unlisted) == ([], [])
    pending = book("a", entries(submit("a.e1"), cancel("a.x2", "a.e1")), rows(ACCEPTED))
    assert compare([pending], answered(), {"a.x2"}).unlisted == []
    assert compare([pending], answered(standing(quantity=Decimal(8))), {"a.x2"}).findings == []


def test_an_order_is_found_by_every_cl_ord_id_of_its_chain() -> None:
    replaced = OrderReplaced(
        cl_ord_id="a.e2", orig_cl_ord_id="a.e1", quantity=Decimal(6), cum_quantity=Decimal(0), at=AT
    )
    known = book("a", entries(submit("a.e1"), replace("a.e2", "a.e1", 6)), rows(ACCEPTED, replaced))
    for name in ("a.e1", "a.e2"):
        assert compare([known], answered(standing(name, quantity=Decimal(6))), ()) == Comparison(
            findings=[], unlisted=[], compared=1, left_out=0
        )
    refused = CancelRejected(cl_ord_id="a.e2", orig_cl_ord_id="a.e1", response_to="replace", at=AT)
    known = book("a", entries(submit("a.e1"), replace("a.e2", "a.e1", 6)), rows(ACCEPTED, refused))
    (finding,) = compare([known], answered(standing("a.e2", quantity=Decimal(6))), ()).findings
    assert isinstance(finding.event, OrderReplaced)


def test_an_order_whose_submission_the_outbox_has_forgotten_is_opened_again_or_left_to_its_lifecycle() -> None:
    ended = book("a", [], rows(ACCEPTED, CANCELED), is_open=False)
    (finding,) = compare([ended], answered(standing()), ()).findings
    assert finding.kind == "working"
    assert isinstance(finding.event, OrderRestated)
    opened = book("a", [], rows(ACCEPTED, CANCELED, finding.event))
    comparison = compare([opened], answered(standing()), ())
    assert (comparison.findings, comparison.left_out) == ([], 1)


@pytest.mark.parametrize(
    ("answers", "is_complete"),
    [
        ([], False),
        ([standing(total=2)], False),
        ([standing(total=2), standing("b.e1", total=2)], True),
        ([standing(is_last=True)], True),
        ([standing()], False),
        ([standing(is_open=False, status="8", total=0)], True),
        ([standing(is_open=False, status="8")], True),
    ],
)
def test_the_list_is_complete_when_the_venue_says_so(answers: list[Standing], is_complete: bool) -> None:
    inquiry = Inquiry("1-1")
    for number, each in enumerate(answers):
        inquiry.answer(number, each)
    assert inquiry.is_complete is is_complete
    assert len(inquiry.listed) == sum(each.is_open for each in answers)


# Interleavings of the question with orders, requests, reports and answers


@dataclass
class VenueOrder:
    names: list[str]
    quantity: int
    cum: int = 0
    is_open: bool = True
    is_of_the_day: bool = False
    is_done_for_day: bool = False
    pending: CancelOrder | ReplaceOrder | None = None
    """The request that the venue has taken and not decided."""


@dataclass
class Model:
    """A venue and us, a queue in each direction between: what is sent, handled and heard is up to the drawn steps."""

    to_venue: deque[VenueCommand | str] = field(default_factory=deque)
    to_us: deque[VenueEvent | Standing] = field(default_factory=deque)
    at_venue: list[VenueOrder] = field(default_factory=list)
    outbox: list[Entry] = field(default_factory=list)
    journal: list[JournalRow] = field(default_factory=list)
    unreported: set[str] = field(default_factory=set)
    inquiry: Inquiry | None = None
    issued: int = 0
    heard: int = 0
    execs: int = 0
    loses: bool = False

    def send(self, command: VenueCommand) -> None:
        self.outbox += entries(command)
        self.unreported.add(command.cl_ord_id)
        self.to_venue.append(command)
        if self.inquiry is not None:
            self.inquiry.sent(*filter(None, (command.cl_ord_id, getattr(command, "orig_cl_ord_id", None))))

    def order(self, place: int) -> None:
        self.issued += 1
        time_in_force = TimeInForce.DAY if place % 2 else TimeInForce.GTC
        self.send(submit(f"a.e{self.issued}", time_in_force=time_in_force))

    def request(self, place: int) -> None:
        """Cancel or replace something that we think is open and about which nothing is asked."""
        candidates = [each for each in self.book().orders if each.is_open and not each.requests]
        if candidates:
            self.issued += 1
            orig = candidates[place % len(candidates)].cl_ord_id
            name = f"a.x{self.issued}" if place % 2 else f"a.e{self.issued}"
            self.send(cancel(name, orig) if place % 2 else replace(name, orig, 12))

    def ask(self, place: int = 0) -> None:
        if self.inquiry is None:
            self.inquiry = Inquiry("1-1")
            self.to_venue.append("?")

    def handle(self, place: int = 0) -> None:
        """The venue takes the next message."""
        if not self.to_venue:
            return
        message = self.to_venue.popleft()
        if isinstance(message, str):
            self.list_open()
        elif isinstance(message, SubmitOrder):
            is_of_the_day = message.time_in_force is TimeInForce.DAY
            self.at_venue.append(VenueOrder([message.cl_ord_id], int(message.quantity), is_of_the_day=is_of_the_day))
            self.tell(OrderAccepted(cl_ord_id=message.cl_ord_id, at=AT))
        elif place % 2:
            self.hold(message)
        else:
            self.change(message)

    def hold(self, message: CancelOrder | ReplaceOrder) -> None:
        """Tell that a request is pending, and decide it later."""
        name, orig = message.cl_ord_id, message.orig_cl_ord_id
        found = next((each for each in self.at_venue if each.is_open and orig in each.names), None)
        if found is None or found.pending is not None or (found.is_of_the_day and found.is_done_for_day):
            self.change(message)
            return
        found.pending = message
        self.tell(pending(name, _status(found), orig))

    def decide(self, place: int) -> None:
        waiting = [each for each in self.at_venue if each.pending]
        if waiting:
            found = waiting[place % len(waiting)]
            message, found.pending = found.pending, None
            assert message is not None
            if place % 3:
                self.change(message)
            else:
                self.refuse(message, _status(found))

    def day(self, place: int) -> None:
        """The day is done, and no request waits: what is of the day is over, and the venue lists it all the same."""
        working = [each for each in self.at_venue if each.is_open and not each.is_done_for_day and not each.pending]
        if working:
            found = working[place % len(working)]
            found.is_done_for_day = True
            name = found.names[-1]
            self.tell(OrderReported(cl_ord_id=name, exec_type="3", order_status="3", at=AT))

    def change(self, message: CancelOrder | ReplaceOrder) -> None:
        name, orig = message.cl_ord_id, message.orig_cl_ord_id
        found = next((each for each in self.at_venue if each.is_open and orig in each.names), None)
        if found is None:
            self.refuse(message, "4")
        elif found.is_of_the_day and found.is_done_for_day:
            self.refuse(message, "3")
        elif isinstance(message, CancelOrder):
            found.is_open = False
            self.tell(OrderCanceled(cl_ord_id=name, orig_cl_ord_id=orig, cum_quantity=Decimal(found.cum), at=AT))
        else:
            found.names.append(name)
            found.quantity = int(message.quantity)
            quantity, cum = message.quantity, Decimal(found.cum)
            self.tell(OrderReplaced(cl_ord_id=name, orig_cl_ord_id=orig, quantity=quantity, cum_quantity=cum, at=AT))

    def refuse(self, message: CancelOrder | ReplaceOrder, status: str) -> None:
        self.tell(
            CancelRejected(
                cl_ord_id=message.cl_ord_id,
                orig_cl_ord_id=message.orig_cl_ord_id,
                response_to="cancel" if isinstance(message, CancelOrder) else "replace",
                reason_code=0,
                order_status=status,
                at=AT,
            )
        )

    def trade(self, place: int) -> None:
        working = [each for each in self.at_venue if each.is_open and not each.is_done_for_day]
        if working:
            found = working[place % len(working)]
            quantity = min(1 + place % 10, found.quantity - found.cum)
            found.cum += quantity
            found.is_open = found.cum < found.quantity
            self.execs += 1
            name = found.names[-1]
            self.tell(fill(name, quantity, found.cum, found.quantity - found.cum, f"E{self.execs}"))

    def end(self, place: int) -> None:
        working = [each for each in self.at_venue if each.is_open]
        if working:
            found = working[place % len(working)]
            found.is_open = False
            self.tell(OrderCanceled(cl_ord_id=found.names[-1], cum_quantity=Decimal(found.cum), at=AT))

    def list_open(self) -> None:
        working = [each for each in self.at_venue if each.is_open]
        for place, each in enumerate(working, 1):
            quantities: dict[str, Any] = {"quantity": Decimal(each.quantity), "cum_quantity": Decimal(each.cum)}
            leaves = Decimal(each.quantity - each.cum)
            names: dict[str, Any] = {"name": each.names[-1], "status": _status(each)}
            if each.pending is not None:
                names |= {"name": each.pending.cl_ord_id, "orig_cl_ord_id": each.names[-1]}
            is_last = place == len(working)
            self.to_us.append(standing(leaves_quantity=leaves, is_last=is_last, **names, **quantities))
        if not working:
            self.to_us.append(standing("NONE", is_open=False, status="8", total=0))

    def tell(self, event: VenueEvent) -> None:
        # The first report of an order is not lost: of what nothing was heard the holder asks by itself.
        if not (self.loses and self.inquiry is None and not isinstance(event, OrderAccepted)):
            self.to_us.append(event)

    def hear(self, place: int = 0) -> None:
        """We take the next message."""
        if not self.to_us:
            return
        message = self.to_us.popleft()
        self.heard += 1
        if isinstance(message, Standing):
            assert self.inquiry is not None
            self.inquiry.answer(self.heard, message)
            return
        names = {message.cl_ord_id, getattr(message, "orig_cl_ord_id", None) or message.cl_ord_id}
        self.unreported -= names
        self.journal = rows(*[row.event for row in self.journal], message)
        if self.inquiry is not None:
            self.inquiry.reported(*names)

    def book(self) -> Book:
        return book("a", self.outbox, self.journal)


def _status(order: VenueOrder) -> str:
    """OrdStatus (39), by its precedence."""
    if order.pending is not None:
        return "6" if isinstance(order.pending, CancelOrder) else "E"
    return "3" if order.is_done_for_day else "1" if order.cum else "0"


def steps(*more: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    names = ["order", "request", "handle", "handle", "trade", "end", "hear", "hear", *more]
    return st.lists(st.tuples(st.sampled_from(names), st.integers(0, 9)), max_size=25)


STEPS = steps("day", "decide")


def take(model: Model, steps: list[tuple[str, int]]) -> None:
    for name, place in steps:
        getattr(model, name)(place)


def complete(model: Model) -> Comparison:
    """Let the answers come, with all that was said before them."""
    assert model.inquiry is not None
    while not model.inquiry.is_complete:
        if not model.to_us:
            model.handle()
        model.hear()
    return compare([model.book()], model.inquiry, model.unreported)


REPLACE_PENDING = [("order", 0), ("handle", 0), ("hear", 0), ("request", 0), ("handle", 1), ("hear", 0)]
DAY_DONE = [("order", 1), ("handle", 0), ("day", 0), ("hear", 0), ("hear", 0)]


@given(before=STEPS, after=STEPS)
@example(before=REPLACE_PENDING, after=[])
@example(before=DAY_DONE, after=[])
def test_where_no_report_is_lost_no_interleaving_makes_a_difference(
    before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    model = Model()
    take(model, before)
    model.ask()
    take(model, after)
    comparison = complete(model)
    assert comparison.findings == []
    assert comparison.unlisted == []


@given(before=STEPS, lost=STEPS, after=STEPS)
def test_each_order_that_differs_and_was_not_touched_since_the_question_is_found(
    before: list[tuple[str, int]], lost: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    model = Model()
    take(model, before)
    model.loses = True
    take(model, lost)
    model.loses = False
    model.ask()
    while model.to_venue:  # what left before the question arrives before it
        model.handle()
    truth = {each.names[0]: dataclasses.replace(each) for each in model.at_venue}
    take(model, after)
    comparison = complete(model)
    assert model.inquiry is not None
    found = {each.cl_ord_id for each in comparison.findings} | {order.cl_ord_id for _, order in comparison.unlisted}
    for order in model.book().orders:
        at_venue = truth.get(order.cl_ord_ids[0])
        if at_venue is None or model.inquiry.has_changed(order) or not order.is_open:
            continue
        if any(order.answers_to(name) for name in model.unreported):
            continue
        status = _status(at_venue)
        differs = not at_venue.is_open or (at_venue.is_of_the_day and status == "3")
        differs = differs or at_venue.cum != order.cum_quantity
        differs = differs or (status not in "6E" and at_venue.quantity != order.quantity)
        assert (order.cl_ord_id in found) == differs
