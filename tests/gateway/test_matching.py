"""The drop copy's decisions, in virtual time: every order of copies and journal rows."""

import itertools
from datetime import timedelta
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.matching import Awaiting, Copy, Outage, Trade, Verdict, Waiting, find, judge
from tests.gateway.conftest import AT
from trading.events import OrderAccepted, OrderFilled, TradeBusted, TradeCorrected, VenueEvent
from trading.journal import JournalRow
from trading.orders import Side

PATIENCE = 30.0
ORDER = "order-1"


def fill(exec_id: str = "E1", quantity: int = 10, days: int = 0) -> OrderFilled:
    return OrderFilled(
        cl_ord_id=f"{ORDER}.e1",
        exec_id=exec_id,
        quantity=Decimal(quantity),
        price=Decimal("100.10"),
        cum_quantity=Decimal(quantity),
        leaves_quantity=Decimal(0),
        at=AT + timedelta(days=days),
    )


def copy(event: Trade, **changes: object) -> Copy:
    made = Copy(cl_ord_id=f"{ORDER}.e1", event=event, symbol="IBM", side=Side.BUY)
    return msgspec.structs.replace(made, **changes)


def row(event: VenueEvent, number: int = 1, order_id: str = ORDER) -> JournalRow:
    return JournalRow(order_id=order_id, number=number, event=event, symbol="IBM", side=Side.BUY, received_at=AT)


def told(one: Copy, *rows: JournalRow) -> str:
    verdict = judge(1, one, {ORDER: rows})
    return "; ".join(map(str, verdict.differences)) or verdict.kind


def test_a_copy_is_matched_by_order_exec_id_and_trading_day() -> None:
    assert told(copy(fill()), row(OrderAccepted(cl_ord_id=f"{ORDER}.e1", at=AT)), row(fill(), 2)) == "matched"
    assert told(copy(fill()), row(fill("E2")), row(fill(days=1), 2)) == "unknown"
    assert told(copy(fill(), cl_ord_id="order-2.e1"), row(fill())) == "unknown"


def test_a_price_that_is_written_otherwise_is_the_same_price() -> None:
    written = msgspec.structs.replace(fill(), price=Decimal("100.1000"))
    assert told(copy(written), row(fill())) == "matched"


def test_a_trade_of_an_order_that_nobody_knew_is_found_under_the_orphans_name() -> None:
    orphan = row(fill(), order_id="orphan-order-1_e1")
    assert copy(fill()).order_ids == (ORDER, "orphan-order-1_e1")
    assert find(copy(fill()), [orphan]) == orphan
    assert copy(fill(), cl_ord_id="theirs").order_ids == ("orphan-theirs",)


def test_a_copy_that_names_no_order_of_ours_is_found_by_its_exec_id_day_symbol_and_side() -> None:
    nameless = copy(msgspec.structs.replace(fill(), cl_ord_id="V7"), cl_ord_id="V7", names_ours=False)
    assert told(nameless, row(fill())) == "matched"
    assert told(nameless, row(fill("E2")), row(fill(days=1), 2)) == "unknown"
    assert told(msgspec.structs.replace(nameless, symbol="MSFT"), row(fill())) == "unknown"
    assert told(msgspec.structs.replace(nameless, side=Side.SELL), row(fill())) == "unknown"
    assert told(nameless, row(fill(quantity=9))) == "LastQty (32) copy=10 journal=9"
    # Its own orphan comes first.
    orphan = row(nameless.event, order_id="orphan-V7")
    verdict = judge(1, nameless, {ORDER: [row(fill())], "orphan-V7": [orphan]})
    assert (verdict.row, verdict.differences) == (orphan, ())


def test_each_field_that_differs_is_named_with_both_values() -> None:
    bust = TradeBusted(
        cl_ord_id=f"{ORDER}.s2", exec_id="E1", ref_exec_id="E0", quantity=Decimal(9), price=Decimal(101), at=AT
    )
    assert told(copy(bust, symbol="MSFT", side=Side.SELL), row(fill())) == (
        "ExecType (150) copy=H journal=F; ClOrdID (11) copy=order-1.s2 journal=order-1.e1; "
        "ExecRefID (19) copy=E0 journal=; Symbol (55) copy=MSFT journal=IBM; Side (54) copy=sell journal=buy; "
        "LastQty (32) copy=9 journal=10; LastPx (31) copy=101 journal=100.10"
    )
    correction = TradeCorrected(
        cl_ord_id=f"{ORDER}.e1", exec_id="E9", ref_exec_id="E1", quantity=Decimal(9), price=Decimal(101), at=AT
    )
    other = msgspec.structs.replace(correction, ref_exec_id="E2")
    assert told(copy(correction), row(correction)) == "matched"
    assert told(copy(correction), row(other)) == "ExecRefID (19) copy=E1 journal=E2"


def test_the_journal_is_looked_at_more_and_more_rarely_and_last_when_the_patience_is_over() -> None:
    waiting = Waiting(PATIENCE)
    assert waiting.next_look() is None
    waiting.take(7, copy(fill()), 0.0)
    looks = []
    while (now := waiting.next_look()) is not None:
        looks.append(now)
        verdicts = waiting.judge(waiting.due(now), {}, now)
    assert looks == [0.25, 0.75, 1.75, 3.75, 7.75, 15.75, 30.0]
    assert [(verdict.number, verdict.kind) for verdict in verdicts] == [(7, "unknown")]


def test_what_is_looked_for_the_last_time_is_that_whose_patience_is_over() -> None:
    waiting = Waiting(PATIENCE)
    for number in (7, 8):
        waiting.take(number, copy(fill()), float(number))
    assert (waiting.last_chance(36.9), waiting.last_chance(37.0)) == ([], [copy(fill())])


def test_an_outage_is_told_once_and_over_when_the_session_has_lasted() -> None:
    outage = Outage(PATIENCE, 0.0)
    assert [outage.look(None, now) for now in (29.0, 30.0, 31.0, 90.0)] == [None, "begun", None, None]
    # One that comes and goes is the same outage.
    assert [outage.look(91.0, now) for now in (91.0, 120.0)] == [None, None]
    assert [outage.look(None, now) for now in (121.0, 180.0)] == [None, None]
    assert [outage.look(190.0, now) for now in (219.0, 220.0, 400.0)] == [None, "over", None]
    # A short one is none.
    assert [outage.look(None, 401.0), outage.look(402.0, 403.0), outage.look(402.0, 432.0)] == [None, None, "over"]
    assert [outage.look(None, now) for now in (500.0, 529.0, 530.0)] == [None, None, "begun"]


def test_one_that_is_lost_again_and_again_is_out() -> None:
    outage = Outage(PATIENCE, 0.0)
    news = [outage.look(now - 1.0 if int(now) % 10 else None, now) for now in map(float, range(200))]
    assert [one for one in news if one] == ["begun"]


def test_the_patience_for_a_copy_begins_when_the_session_is_complete() -> None:
    awaiting = Awaiting(PATIENCE)
    assert awaiting.overdue(["a"], 0.0, 100.0) == []
    assert awaiting.overdue(["a", "b"], 0.0, 129.0) == []
    assert awaiting.overdue(["a", "b"], 0.0, 130.0) == ["a"]
    assert awaiting.overdue(["a", "b"], 101.0, 130.0) == []
    awaiting.wait_again("a", 130.0)
    assert awaiting.overdue(["a", "b"], 0.0, 159.0) == ["b"]
    # What was not there for a while begins anew.
    assert awaiting.overdue([], 0.0, 160.0) == []
    assert awaiting.overdue(["a"], 0.0, 170.0) == []


class Holder:
    """What the drop copy does with its decisions, on rows in memory instead of storage."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting = Waiting(PATIENCE)
        self.awaiting = Awaiting(PATIENCE)
        self.journal: list[JournalRow] = []
        self.expected: dict[str, JournalRow] = {}
        self.unknown: dict[str, Copy] = {}
        self.alerts: list[tuple[str, str]] = []
        self.processed: list[int] = []
        self._numbers = itertools.count(1)

    def journals(self, event: OrderFilled) -> None:
        one = row(event, len(self.journal) + 1)
        if find(copy(event), self.journal) is None:  # the journal recognises a repeat
            self.expected[event.exec_id] = one
            self.journal.append(one)

    def copies(self, event: OrderFilled) -> None:
        self.waiting.take(next(self._numbers), copy(event), self.now)

    def passes(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.25)
            self.settle()
            if self.now % (PATIENCE / 2) == 0:
                self.look_for_missing()

    def settle(self) -> None:
        for verdict in self.waiting.judge(self.waiting.due(self.now), {ORDER: self.journal}, self.now):
            self.conclude(verdict)
            self.processed.append(verdict.number)

    def conclude(self, verdict: Verdict) -> None:
        exec_id = verdict.copy.event.exec_id
        if verdict.kind == "unknown":
            self.unknown[exec_id] = verdict.copy
        else:
            self.expected.pop(exec_id, None)
        self.tell(verdict.kind, exec_id)

    def look_for_missing(self) -> None:
        for exec_id, one in list(self.unknown.items()):
            if find(one, self.expected.values()) is not None:
                del self.unknown[exec_id]
                self.conclude(judge(0, one, {ORDER: self.journal}))
        for exec_id in self.awaiting.overdue(self.expected, 0.0, self.now):
            if not self.waiting.has_copy_of(self.expected[exec_id]):
                del self.expected[exec_id]
                self.tell("missing", exec_id)

    def tell(self, kind: str, exec_id: str) -> None:
        if kind != "matched" and (kind, exec_id) not in self.alerts:
            self.alerts.append((kind, exec_id))


EXECS = st.sampled_from(["E1", "E2", "E3"])
DIFFERING = "E3"
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("journal"), EXECS, st.just(10)),
        st.tuples(st.just("copy"), EXECS, st.just(10)),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from([1, 10, 29, 31, 100])),
    ),
    max_size=25,
)


@given(STEPS)
def test_whatever_comes_when_each_difference_is_told_once_and_nothing_else_is(
    steps: list[tuple[str, str, int]],
) -> None:
    holder = Holder()
    came: dict[str, list[float]] = {}
    journalled: dict[str, float] = {}
    for what, exec_id, number in steps:
        if what == "wait":
            holder.passes(number)
        elif what == "journal":
            journalled.setdefault(exec_id, holder.now)
            holder.journals(fill(exec_id))
        else:
            came.setdefault(exec_id, []).append(holder.now)
            holder.copies(fill(exec_id, number - (exec_id == DIFFERING)))
    holder.passes(4 * PATIENCE)

    # Every message is done with, once.
    assert sorted(holder.processed) == list(range(1, sum(map(len, came.values())) + 1))
    # What both have is forgotten, and so is what a human was told of, but for copies that may still find their trade.
    assert holder.expected == {}
    assert len(holder.waiting) == 0
    assert len(set(holder.alerts)) == len(holder.alerts)
    for exec_id in ("E1", "E2", "E3"):
        codes = {code for code, of in holder.alerts if of == exec_id}
        copies, written = came.get(exec_id, []), journalled.get(exec_id)
        if written is None:
            assert codes == ({"unknown"} if copies else set())
        elif not copies:
            assert codes == {"missing"}
        else:
            first = copies[0]
            assert ("differs" in codes) == (exec_id == DIFFERING)
            # A trade that was journalled in time is never unknown, a copy that came in time never missing.
            if written - first != PATIENCE:
                assert ("unknown" in codes) == (written - first > PATIENCE)
            if first - written < PATIENCE:
                assert "missing" not in codes
            elif first - written > 2 * PATIENCE:
                assert "missing" in codes
