"""After a logon the venue's open orders are compared with ours: each difference, over real sockets and storage."""

import threading
from concurrent.futures import Future
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from fix import orders as fix
from gateway import asking
from gateway.gateway import Gateway
from gateway.reconcile import Comparison, Difference, Reconciliation, compare
from storage.orders import OrderRecord
from storage.reconciliations import Reconciliations
from tests.gateway.conftest import AT, World, cancel_order, entry_order, until
from trading.commands import ReplaceOrder
from trading.events import (
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderReplaced,
    OrderReported,
    OrderRestated,
    TradeBusted,
    TradeCorrected,
)
from trading.identity import orphan_order_id
from trading.journal import JournalRow
from trading.orders import OrderType, Side

ENTRY = {
    "symbol": "IBM",
    "side": fix.Side.BUY,
    "order_qty": Decimal(10),
    "leaves_qty": Decimal(10),
    "cum_qty": Decimal(0),
    "price": Decimal("181.5"),
}


def records(world: World) -> list[Reconciliation]:
    """The reconciliations of the session, newest first."""
    found = Reconciliations(world.tables).list(world.session, 100)
    return [msgspec.json.decode(each, type=Reconciliation) for each in found]


def codes(world: World) -> list[str]:
    return sorted(alert.code for alert in world.alerts.list(world.session))


def working(world: World, gateway: Gateway, *, filled: int = 0) -> str:
    """An order whose entry works at the venue, and of which we know that."""
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.events(order_id))
    if filled:
        world.venue.report(
            f"{order_id}.e1",
            fix.ExecType.TRADE,
            fix.OrdStatus.PARTIALLY_FILLED,
            last_qty=Decimal(filled),
            last_px=Decimal(181),
            cum_qty=Decimal(filled),
            leaves_qty=Decimal(10 - filled),
            exec_id=f"T-{order_id}",
        )
        until(lambda: len(world.events(order_id)) == 2)
    return order_id


def again(world: World, gateway: Gateway) -> Reconciliation:
    """Log on once more; what comes of it."""
    count = len(records(world))
    world.venue.cut()
    until(lambda: len(records(world)) > count and not gateway.status().busy)
    return records(world)[0]


def found(record: Reconciliation) -> list[tuple[str, str, str]]:
    return [(each.kind, each.cl_ord_id, each.done) for each in record.differences]


def test_after_each_logon_the_venue_is_asked_for_its_open_orders_before_any_order_leaves(world: World) -> None:
    elsewhere = Gateway(world.settings, world.tables, None)
    waiting = world.order()
    elsewhere.submit(waiting, entry_order(waiting), AT)
    gateway = world.logged_on()
    until(lambda: world.state(f"{waiting}.e1") == "acknowledged" and not gateway.status().busy)
    assert [number for number, _ in world.venue.received] == [3]  # after the Logon and the question
    first = records(world)[0]
    assert (first.epoch, first.listed, first.compared, first.found, first.text) == (1, 0, 0, 0, "")
    second = again(world, gateway)
    assert (second.listed, second.compared, second.asked, second.left_out, second.found) == (1, 1, 0, 0, 0)
    assert [message.get(584) for message in world.venue.inquiries] == ["1-1", "1-2"]
    assert codes(world) == []
    assert world.events(waiting) == [OrderAccepted(cl_ord_id=f"{waiting}.e1", at=AT)]


def test_an_order_that_has_ended_here_and_works_at_the_venue_is_opened_again(world: World) -> None:
    gateway = world.logged_on()
    order_id = working(world, gateway)
    world.venue.report(f"{order_id}.e1", fix.ExecType.CANCELED, fix.OrdStatus.CANCELED)
    until(lambda: len(world.events(order_id)) == 2)
    world.venue.book[f"{order_id}.e1"] = {**ENTRY}
    record = again(world, gateway)
    assert found(record) == [("working", f"{order_id}.e1", "journalled as OrderRestated")]
    restated = world.events(order_id)[-1]
    assert isinstance(restated, OrderRestated)
    assert (restated.is_listed, restated.quantity, restated.leaves_quantity) == (True, Decimal(10), Decimal(10))
    assert codes(world) == ["RECONCILE_WORKING"]
    # With that it works here too: the next logon finds nothing.
    assert again(world, gateway).found == 0
    assert codes(world) == ["RECONCILE_WORKING"]


def test_a_difference_that_comes_back_is_told_again(world: World) -> None:
    gateway = world.logged_on()
    order_id = working(world, gateway)
    for times in (1, 2):
        world.venue.report(f"{order_id}.e1", fix.ExecType.CANCELED, fix.OrdStatus.CANCELED)
        until(lambda: isinstance(world.events(order_id)[-1], OrderCanceled))
        world.venue.book[f"{order_id}.e1"] = {**ENTRY}
        assert found(again(world, gateway)) == [("working", f"{order_id}.e1", "journalled as OrderRestated")]
        assert codes(world) == ["RECONCILE_WORKING"] * times


def test_an_order_that_was_to_be_opened_again_when_the_process_died_is_opened_again_by_the_next(world: World) -> None:
    """The journal says that it works, and nobody was told: its order has ended."""
    gateway = world.logged_on()
    order_id = working(world, gateway)
    world.register.finish(order_id, OrderRecord(outcome="canceled", finished_at=AT))
    record = again(world, gateway)
    assert found(record) == [("working", f"{order_id}.e1", "journalled as OrderRestated")]
    assert isinstance(world.events(order_id)[-1], OrderRestated)


def test_an_order_that_was_taken_back_before_it_left_and_works_at_the_venue_is_opened_again(world: World) -> None:
    elsewhere = Gateway(world.settings, world.tables, None)
    dead = world.order()
    elsewhere.submit(dead, entry_order(dead), AT)
    assert elsewhere.submit(dead, cancel_order(dead, f"{dead}.x2", f"{dead}.e1"), AT).not_sent
    never = world.order()
    world.venue.book |= {f"{dead}.e1": {**ENTRY}, f"{never}.e9": {**ENTRY}}
    gateway = world.logged_on()
    until(lambda: len(world.woken) == 2)
    assert {each.cl_ord_id: each.ours for each in records(world)[0].differences} == {
        f"{dead}.e1": "not_sent quantity=10 traded=0 limit=181.5",
        f"{never}.e9": "never sent",
    }
    for order_id in (dead, never):
        assert [type(event) for event in world.events(order_id)] == [OrderRestated]
    assert codes(world) == ["RECONCILE_WORKING", "RECONCILE_WORKING"]
    again(world, gateway)
    assert [row.number for row in world.woken] == [1] * len(world.woken)
    assert not world.venue.received


def test_an_order_at_the_venue_that_nobody_knows_is_an_orphan_and_nothing_is_sent_for_it(world: World) -> None:
    world.venue.book |= {"DESK-7": {**ENTRY}, "nobody.e1": {**ENTRY}}
    gateway = world.logged_on()
    until(lambda: len(world.woken) == 2)
    assert {row.order_id for row in world.woken} == {orphan_order_id("DESK-7"), orphan_order_id("nobody.e1")}
    assert {type(row.event) for row in world.woken} == {OrderReported}
    assert [each.kind for each in records(world)[0].differences] == ["orphan", "orphan"]
    again(world, gateway)
    assert world.venue.received == []
    assert {row.number for row in world.woken} == {1}
    assert codes(world) == ["RECONCILE_ORPHAN", "RECONCILE_ORPHAN"]
    assert [alert.code for alert in world.alerts.list(orphan_order_id("DESK-7"))] == ["ORPHAN_EXECUTION"]


def test_an_order_that_the_venue_neither_lists_nor_knows_is_cancelled_by_the_venue(world: World) -> None:
    """Scenario 25: what becomes of it is the lifecycle's to decide."""
    gateway = world.logged_on()
    order_id = working(world, gateway, filled=4)
    world.venue.book.clear()
    world.venue.known.clear()
    record = again(world, gateway)
    assert found(record) == [("missing", f"{order_id}.e1", "journalled as OrderCanceled")]
    assert (record.listed, record.asked) == (0, 1)
    ended = world.events(order_id)[-1]
    assert isinstance(ended, OrderCanceled)
    assert (ended.orig_cl_ord_id, ended.cum_quantity) == (None, Decimal(4))
    assert codes(world) == ["RECONCILE_MISSING"]
    assert again(world, gateway).found == 0


@pytest.mark.parametrize(
    ("status", "event"), [(fix.OrdStatus.CANCELED, OrderCanceled), (fix.OrdStatus.EXPIRED, OrderExpired)]
)
def test_an_order_that_is_over_at_the_venue_ends_here_as_it_did_there(
    world: World, status: fix.OrdStatus, event: type
) -> None:
    gateway = world.logged_on()
    order_id = working(world, gateway)
    world.venue.book.clear()
    world.venue.statuses[f"{order_id}.e1"] = {"ord_status": status, "order_qty": Decimal(10)}
    assert found(again(world, gateway)) == [("ended", f"{order_id}.e1", f"journalled as {event.__name__}")]
    assert isinstance(world.events(order_id)[-1], event)
    assert codes(world) == ["RECONCILE_ENDED"]
    assert again(world, gateway).found == 0


def test_an_order_about_which_the_venue_refuses_to_be_asked_works_on(world: World) -> None:
    gateway = world.logged_on()
    order_id = working(world, gateway)
    world.venue.book.clear()
    world.venue.statuses[f"{order_id}.e1"] = {
        "ord_status": fix.OrdStatus.REJECTED,
        "ord_rej_reason": 99,
        "text": "too many requests",
    }
    assert found(again(world, gateway)) == [("unanswered", f"{order_id}.e1", "told to a human")]
    assert world.events(order_id) == [OrderAccepted(cl_ord_id=f"{order_id}.e1", at=AT)]
    assert codes(world) == ["RECONCILE_UNANSWERED"]


def test_a_fill_that_was_never_reported_is_told_to_a_human_and_no_execution_is_made_up(world: World) -> None:
    gateway = world.logged_on()
    part, whole = working(world, gateway, filled=4), working(world, gateway)
    world.venue.book[f"{part}.e1"] |= {"cum_qty": Decimal(7), "leaves_qty": Decimal(3), "avg_px": Decimal("181.3")}
    del world.venue.book[f"{whole}.e1"]
    world.venue.statuses[f"{whole}.e1"] = {
        "ord_status": fix.OrdStatus.FILLED,
        "order_qty": Decimal(10),
        "cum_qty": Decimal(10),
        "avg_px": Decimal("181.5"),
    }
    rows = len(world.woken)
    record = again(world, gateway)
    assert sorted(found(record)) == [
        ("ended", f"{whole}.e1", "told to a human"),
        ("fills", f"{part}.e1", "told to a human"),
        ("fills", f"{whole}.e1", "told to a human"),
    ]
    lost = next(each for each in record.differences if each.cl_ord_id == f"{part}.e1")
    assert (lost.ours, lost.venue) == ("traded=4 average=181", "traded=7 average=181.3: 3 more at about 181.7")
    assert len(world.woken) == rows
    again(world, gateway)
    assert codes(world) == ["RECONCILE_ENDED", "RECONCILE_FILLS", "RECONCILE_FILLS"]
    # The trade itself, should it be reported after all, counts once, as any other.
    world.venue.fill(f"{whole}.e1", 10, "181.5")
    until(lambda: isinstance(world.events(whole)[-1], OrderFilled))


def test_a_trade_that_the_venue_has_taken_back_unheard_is_told_to_a_human(world: World) -> None:
    gateway = world.logged_on()
    order_id = working(world, gateway, filled=4)
    world.venue.book[f"{order_id}.e1"] |= {"cum_qty": Decimal(0), "leaves_qty": Decimal(10)}
    record = again(world, gateway)
    assert found(record) == [("fills", f"{order_id}.e1", "told to a human")]
    assert codes(world) == ["RECONCILE_FILLS"]


def test_a_quantity_or_a_price_that_the_venue_has_changed_unheard_is_a_restatement(world: World) -> None:
    gateway = world.logged_on()
    smaller, dearer = working(world, gateway, filled=4), working(world, gateway)
    world.venue.book[f"{smaller}.e1"] |= {"order_qty": Decimal(8), "leaves_qty": Decimal(4)}
    world.venue.book[f"{dearer}.e1"]["price"] = Decimal(182)
    record = again(world, gateway)
    assert sorted(found(record)) == sorted(
        ("terms", f"{order_id}.e1", "journalled as OrderRestated") for order_id in (smaller, dearer)
    )
    restated = [world.events(order_id)[-1] for order_id in (smaller, dearer)]
    assert all(isinstance(event, OrderRestated) for event in restated)
    assert [(event.quantity, event.limit_price) for event in restated if isinstance(event, OrderRestated)] == [
        (Decimal(8), Decimal("181.5")),
        (Decimal(10), Decimal(182)),
    ]
    assert codes(world) == ["RECONCILE_TERMS", "RECONCILE_TERMS"]
    assert again(world, gateway).found == 0


def test_an_order_that_was_replaced_and_ended_unheard_is_the_one_that_was_asked_about(world: World) -> None:
    """The answer has the replace's ClOrdID, and the one that was asked about as OrigClOrdID (41)."""
    gateway = world.logged_on()
    order_id = working(world, gateway)
    world.venue.book.clear()
    world.venue.statuses[f"{order_id}.e1"] = {
        "cl_ord_id": f"{order_id}.e2",
        "orig_cl_ord_id": f"{order_id}.e1",
        "ord_status": fix.OrdStatus.CANCELED,
        "order_qty": Decimal(6),
    }
    assert found(again(world, gateway)) == [("ended", f"{order_id}.e1", "journalled as OrderCanceled")]


def replacing(order_id: str) -> ReplaceOrder:
    return ReplaceOrder(
        cl_ord_id=f"{order_id}.e2",
        orig_cl_ord_id=f"{order_id}.e1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(6),
        order_type=OrderType.LIMIT,
        limit_price=Decimal("181.5"),
    )


def test_a_replace_that_was_refused_to_us_and_carried_out_is_an_accepted_one(world: World) -> None:
    gateway = world.logged_on()
    order_id = working(world, gateway)
    world.venue.mute.add(f"{order_id}.e2")
    gateway.submit(order_id, replacing(order_id), AT)
    until(lambda: world.venue.sent(f"{order_id}.e2"))
    world.venue.send(
        fix.order_cancel_reject(
            order_id=f"V-{order_id}.e1",
            cl_ord_id=f"{order_id}.e2",
            orig_cl_ord_id=f"{order_id}.e1",
            ord_status=fix.OrdStatus.NEW,
            cxl_rej_response_to=fix.CxlRejResponseTo.REPLACE,
            cxl_rej_reason=3,
            transact_time=AT,
        )
    )
    until(lambda: world.state(f"{order_id}.e2") == "acknowledged")
    old = world.venue.book.pop(f"{order_id}.e1")
    world.venue.book[f"{order_id}.e2"] = old | {
        "orig_cl_ord_id": f"{order_id}.e1",
        "order_qty": Decimal(6),
        "leaves_qty": Decimal(6),
    }
    record = again(world, gateway)
    assert found(record) == [("terms", f"{order_id}.e1", "journalled as OrderReplaced")]
    replaced = world.events(order_id)[-1]
    assert isinstance(replaced, OrderReplaced)
    assert (replaced.cl_ord_id, replaced.quantity) == (f"{order_id}.e2", Decimal(6))
    assert again(world, gateway).found == 0


@pytest.mark.parametrize("kind", ["cancel", "replace"])
def test_a_request_that_the_venue_never_got_is_sent_again_and_is_no_difference(world: World, kind: str) -> None:
    gateway = world.logged_on()
    order_id = working(world, gateway)
    name = f"{order_id}.x2" if kind == "cancel" else f"{order_id}.e2"
    world.venue.deaf.add(name)
    command = cancel_order(order_id, name, f"{order_id}.e1") if kind == "cancel" else replacing(order_id)
    gateway.submit(order_id, command, AT)
    until(lambda: world.venue.sent(name))
    if kind == "cancel":
        world.venue.deaf.clear()
    record = again(world, gateway)
    assert record.found == 0
    assert [message.get(97) for message in world.venue.sent(name)] == [None, "Y"]
    assert codes(world) == []


def test_what_is_sent_or_reported_after_the_question_is_no_difference(world: World) -> None:
    gateway = world.logged_on()
    filled, cancelled = working(world, gateway), working(world, gateway)
    count = len(records(world))
    world.venue.holds_list = True
    world.venue.cut()
    until(lambda: len(world.venue.inquiries) == 2 and gateway.status().logged_on)
    # What the venue will answer is how it was when it was asked; and new orders do not wait for that.
    listed = {name: dict(fields) for name, fields in world.venue.book.items()}
    new = world.order()
    until(lambda: gateway.submit(new, entry_order(new), AT).state == "acknowledged")
    assert gateway.status().busy
    world.venue.fill(f"{filled}.e1", 10, "181.5")
    gateway.submit(cancelled, cancel_order(cancelled, f"{cancelled}.x2", f"{cancelled}.e1"), AT)
    until(lambda: world.state(f"{cancelled}.x2") == "acknowledged")
    world.venue.book = listed
    world.venue.list_now()
    until(lambda: len(records(world)) > count and not gateway.status().busy)
    record = records(world)[0]
    assert (record.listed, record.left_out, record.found) == (2, 3, 0)
    assert codes(world) == []
    assert world.venue.sent(f"{filled}.e1", "H") == world.venue.sent(f"{new}.e1", "H") == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_ANSWER_TIMEOUT", 0.2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", ["refuses", "silent", "setting"])
def test_a_venue_that_lists_nothing_is_asked_about_each_order_and_a_human_is_told_once(world: World, how: Any) -> None:
    if how != "setting":
        world.venue.lists = how
    gateway = world.logged_on(fix_mass_status="no" if how == "setting" else "yes")
    orders = [working(world, gateway) for _ in range(7)]
    first = again(world, gateway)
    assert (first.listed, first.compared, first.asked, first.found) == (0, 7, 7, 0)
    world.venue.known.pop(f"{orders[3]}.e1")
    second = again(world, gateway)
    assert found(second) == [("missing", f"{orders[3]}.e1", "journalled as OrderCanceled")]
    assert codes(world) == sorted(["RECONCILE_MISSING"] + ["MASS_STATUS_REFUSED"] * (how != "setting"))
    assert len(world.venue.inquiries) == {"refuses": 1, "silent": 3, "setting": 0}[how]
    expected = {"refuses": "the venue refuses", "silent": "no answer to", "setting": "FIX_MASS_STATUS=no"}[how]
    assert second.text.startswith(expected)


@pytest.mark.usefixtures("impatient")
def test_an_order_about_which_the_venue_says_nothing_at_all_is_told_to_a_human(world: World) -> None:
    gateway = world.logged_on()
    order_id = working(world, gateway)
    world.venue.book.clear()
    world.venue.deaf.add(f"{order_id}.e1")
    record = again(world, gateway)
    assert found(record) == [("unanswered", f"{order_id}.e1", "told to a human")]
    assert codes(world) == ["RECONCILE_UNANSWERED"]
    assert len(world.events(order_id)) == 1
    # A venue that answers no questions at all is not asked for ever.
    others = [working(world, gateway) for _ in range(15)]
    world.venue.book.clear()
    world.venue.deaf |= {f"{other}.e1" for other in others}
    record = again(world, gateway)
    assert record.asked == 10
    assert record.text == "6 orders were not asked about"
    assert "RECONCILE_INCOMPLETE" in codes(world)


def test_a_comparison_that_fails_does_not_keep_orders_from_leaving(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "compare", lambda *_: 1 / 0)
    gateway = world.logged_on()
    working(world, gateway)
    until(lambda: codes(world) == ["RECONCILE_FAILED"])
    assert gateway.status().epoch == 1
    world.venue.cut()
    until(lambda: codes(world) == ["RECONCILE_FAILED"] * 2)


def test_what_a_comparison_has_found_is_not_written_down_when_the_lease_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was stopped in between: its list is older than what its successor has done since."""
    standing, going_on = threading.Event(), threading.Event()

    def stopped(*given: Any) -> Comparison:
        if not standing.is_set():
            standing.set()
            going_on.wait(30)
        return compare(*given)

    first = world.logged_on()
    order_id = working(world, first)
    world.venue.report(f"{order_id}.e1", fix.ExecType.CANCELED, fix.OrdStatus.CANCELED)
    until(lambda: len(world.events(order_id)) == 2)
    world.venue.book[f"{order_id}.e1"] = {**ENTRY}
    monkeypatch.setattr(asking, "compare", stopped)
    world.venue.cut()
    assert standing.wait(5)
    try:
        world.venue.book.clear()
        second = world.gateway()
        until(lambda: second.status().logged_on and not second.status().busy)
    finally:
        going_on.set()
    until(lambda: first.status().owner == second.status().owner)
    assert [record.epoch for record in records(world)] == [2, 1]
    assert [type(row.event) for row in world.journal.read(order_id)] == [OrderAccepted, OrderCanceled]
    assert codes(world) == []


def test_a_comparison_does_not_wait_for_a_wake_up(world: World) -> None:
    """It reads the journal: what is written there need not have been told."""

    def wake(_: list[JournalRow]) -> Future[None]:
        return Future()

    gateway = world.gateway(wake)
    until(lambda: gateway.status().logged_on and not gateway.status().busy)
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: len(world.journal.read(order_id)) == 1)
    count = len(records(world))
    world.venue.cut()
    until(lambda: len(records(world)) > count)
    assert (records(world)[0].compared, records(world)[0].found) == (1, 0)


@pytest.mark.parametrize("known_by", ["e1", "e2"])
def test_an_order_is_missing_only_if_the_venue_knows_it_by_none_of_its_cl_ord_ids(world: World, known_by: str) -> None:
    """A venue that lists nothing, and has come up from a copy of before the replace, or has carried out one unheard."""
    gateway = world.logged_on(fix_mass_status="no")
    order_id = working(world, gateway)
    world.venue.mute.add(f"{order_id}.e2")
    gateway.submit(order_id, replacing(order_id), AT)
    until(lambda: world.venue.sent(f"{order_id}.e2"))
    told = (
        (fix.ExecType.REPLACED, fix.OrdStatus.NEW)
        if known_by == "e1"
        else (
            fix.ExecType.PENDING_REPLACE,
            fix.OrdStatus.PENDING_REPLACE,
        )
    )
    rows = len(world.events(order_id))
    world.venue.report(
        f"{order_id}.e2", *told, orig_cl_ord_id=f"{order_id}.e1", order_qty=Decimal(6), leaves_qty=Decimal(6)
    )
    until(lambda: len(world.events(order_id)) > rows)
    world.venue.book = {f"{order_id}.{known_by}": {**ENTRY, "order_qty": Decimal(6), "leaves_qty": Decimal(6)}}
    world.venue.known.pop(f"{order_id}.{'e2' if known_by == 'e1' else 'e1'}")
    record = again(world, gateway)
    assert "missing" not in [each.kind for each in record.differences]
    assert not any(isinstance(event, OrderCanceled) for event in world.events(order_id))
    world.venue.known.clear()
    assert "missing" in [each.kind for each in again(world, gateway).differences]


# Reports that name none of our ClOrdIDs


def test_a_report_that_names_only_the_venues_order_id_is_its_orders(world: World) -> None:
    gateway = world.logged_on()
    order_id = working(world, gateway)
    order = f"V-{order_id}.e1"
    trade: dict[str, Any] = {"last_qty": Decimal(4), "last_px": Decimal(181), "cum_qty": Decimal(4)}
    world.venue.report(
        "", fix.ExecType.TRADE, fix.OrdStatus.PARTIALLY_FILLED, order_id=order, leaves_qty=Decimal(6), **trade
    )
    world.venue.report("DESK-1", fix.ExecType.CANCELED, fix.OrdStatus.CANCELED, order_id=order, cum_qty=Decimal(4))
    until(lambda: len(world.events(order_id)) == 3)
    _, filled, cancelled = world.events(order_id)
    assert isinstance(filled, OrderFilled)
    assert isinstance(cancelled, OrderCanceled)
    assert filled.cl_ord_id == cancelled.cl_ord_id == f"{order_id}.e1"
    assert cancelled.orig_cl_ord_id is None
    assert world.alerts.list(orphan_order_id("DESK-1")) == []
    gateway.stop()


def test_after_a_take_over_the_venues_list_says_whose_order_id_it_is(world: World) -> None:
    first = world.logged_on()
    order_id = working(world, first)
    first.stop()
    trade: dict[str, Any] = {"last_qty": Decimal(10), "last_px": Decimal(181), "cum_qty": Decimal(10)}
    late = fix.execution_report(
        order_id=f"V-{order_id}.e1",
        exec_id="late",
        exec_type=fix.ExecType.TRADE,
        ord_status=fix.OrdStatus.PARTIALLY_FILLED,
        symbol="IBM",
        side=fix.Side.BUY,
        leaves_qty=Decimal(6),
        avg_px=Decimal(181),
        transact_time=AT,
        **{**trade, "last_qty": Decimal(4), "cum_qty": Decimal(4)},
    )
    world.venue.store(late)  # it is resent before the venue has listed anything
    world.venue.book[f"{order_id}.e1"] |= {"cum_qty": Decimal(4), "leaves_qty": Decimal(6)}
    second = world.logged_on()
    until(lambda: len(world.events(order_id)) == 2)
    world.venue.report("", fix.ExecType.TRADE, fix.OrdStatus.FILLED, order_id=f"V-{order_id}.e1", **trade)
    until(lambda: len(world.events(order_id)) == 3)
    assert [type(event) for event in world.events(order_id)] == [OrderAccepted, OrderFilled, OrderFilled]
    until(lambda: not second.status().busy)
    assert records(world)[0].found == 0
    assert world.alerts.list(orphan_order_id(f"V-{order_id}.e1")) == []


def test_a_bust_and_a_correction_may_name_any_cl_ord_id_of_the_chain(world: World) -> None:
    gateway = world.logged_on()
    order_id = working(world, gateway, filled=4)
    gateway.submit(order_id, replacing(order_id), AT)
    until(lambda: world.venue.sent(f"{order_id}.e2"))
    world.venue.report(
        f"{order_id}.e2",
        fix.ExecType.REPLACED,
        fix.OrdStatus.PARTIALLY_FILLED,
        orig_cl_ord_id=f"{order_id}.e1",
        order_qty=Decimal(6),
        cum_qty=Decimal(4),
        leaves_qty=Decimal(2),
    )
    trade: dict[str, Any] = {
        "last_qty": Decimal(4),
        "exec_ref_id": f"T-{order_id}",
        "order_qty": Decimal(6),
        "leaves_qty": Decimal(2),
    }
    world.venue.report(
        f"{order_id}.e2",
        fix.ExecType.TRADE_CORRECT,
        fix.OrdStatus.PARTIALLY_FILLED,
        last_px=Decimal(180),
        cum_qty=Decimal(4),
        orig_cl_ord_id=f"{order_id}.e1",
        **trade,
    )
    world.venue.report(
        f"{order_id}.e1",
        fix.ExecType.TRADE_CANCEL,
        fix.OrdStatus.NEW,
        last_px=Decimal(180),
        **{**trade, "leaves_qty": Decimal(6)},
    )
    until(lambda: len(world.events(order_id)) == 5)
    *_, corrected, busted = world.events(order_id)
    assert isinstance(corrected, TradeCorrected)
    assert isinstance(busted, TradeBusted)
    assert corrected.ref_exec_id == busted.ref_exec_id == f"T-{order_id}"
    world.venue.book = {
        f"{order_id}.e2": {**ENTRY, "order_qty": Decimal(6), "leaves_qty": Decimal(6), "cum_qty": Decimal(0)}
    }
    assert again(world, gateway).differences == list[Difference]()
