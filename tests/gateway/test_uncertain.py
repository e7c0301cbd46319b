"""What was claimed and not reported: it is asked about after every logon, and leaves again only if it is wanted."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from fix import orders as fix
from gateway import settling
from gateway.gateway import Gateway, Submission
from gateway.lease import Lease, LeaseWriter
from storage.tables import Operation
from tests.gateway.conftest import AT, MarketClock, Stalled, World, cancel_order, entry_order, until
from trading.events import CancelRejected, OrderAccepted, OrderCanceled, OrderRejected

SOON = AT + timedelta(seconds=60)
LATER = AT + timedelta(hours=2)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_ANSWER_TIMEOUT", 0.1)


def types(world: World, cl_ord_id: str) -> list[tuple[str, str | None]]:
    """What the venue got under a ClOrdID: MsgType, and PossResend (97)."""
    return [(message.msg_type, message.get(97)) for message in world.venue.sent(cl_ord_id)]


def test_an_uncertain_order_that_is_too_late_or_cancelled_is_not_sent_again_and_its_order_is_told(
    world: World, clock: MarketClock
) -> None:
    """Claimed, and the process died; meanwhile the order's time ran out, or its cancel was put into the outbox."""
    first = world.logged_on(order_release="manual", market_clock=str(clock.path))
    late, cancelled, wanted = (world.order() for _ in range(3))
    for order_id in (late, cancelled, wanted):
        first.submit(order_id, entry_order(order_id, deadline=SOON if order_id == late else None), AT)
    first.stop()
    clock.set(LATER)
    elsewhere = Gateway(world.with_settings(market_clock=str(clock.path)), world.tables, None)
    for order_id in (late, cancelled):
        assert elsewhere.submit(order_id, cancel_order(order_id, f"{order_id}.x2", f"{order_id}.e1"), AT).state == (
            "pending"
        )
    second = world.logged_on(market_clock=str(clock.path))
    until(lambda: len(world.woken) == 5 and not second.status().busy)
    for order_id in (late, cancelled):
        assert types(world, f"{order_id}.e1") == [("H", None)]
        rejected, cancel_rejected = world.events(order_id)
        assert isinstance(rejected, OrderRejected)
        assert "no longer wanted" in rejected.reason
        # The lifecycle waits for an answer to its cancel too, and the venue gives it.
        assert isinstance(cancel_rejected, CancelRejected)
        assert cancel_rejected.reason_code == 1
    assert types(world, f"{wanted}.e1") == [("H", None), ("D", "Y")]
    until(lambda: world.state(f"{late}.e1") == world.state(f"{cancelled}.e1") == "acknowledged")


def test_an_order_that_waits_here_for_a_session_is_not_sent_once_it_is_too_late_or_cancelled(
    world: World, clock: MarketClock
) -> None:
    gateway = world.logged_on(order_release="manual", market_clock=str(clock.path))
    late, cancelled = world.order(), world.order()
    gateway.submit(late, entry_order(late, deadline=SOON), AT)
    gateway.submit(cancelled, entry_order(cancelled), AT)
    world.venue.cut()
    until(lambda: not gateway.status().logged_on)
    # Without a session nothing is claimed: the cancel waits in the outbox, and is looked for there.
    cancel = cancel_order(cancelled, f"{cancelled}.x2", f"{cancelled}.e1")
    assert gateway.submit(cancelled, cancel, AT).state == "pending"
    clock.set(LATER)
    until(lambda: gateway.status().held == 3)
    assert gateway.release() == 3
    until(lambda: len(world.woken) == 3)
    assert [type(event) for event in world.events(late)] == [OrderRejected]
    assert [type(event) for event in world.events(cancelled)] == [OrderRejected, CancelRejected]
    # Nor does the cancel: the venue could only say that it knows no such order.
    assert world.venue.received == []


def test_an_order_whose_time_runs_out_before_it_leaves_is_rejected(world: World, clock: MarketClock) -> None:
    gateway = world.logged_on(order_release="manual", market_clock=str(clock.path))
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id, deadline=SOON), AT)
    clock.set(LATER)
    gateway.release()
    until(lambda: world.woken)
    assert isinstance(world.woken[0].event, OrderRejected)
    assert world.venue.received == []
    until(lambda: world.state(f"{order_id}.e1") == "acknowledged")
    assert gateway.submit(order_id, entry_order(order_id), AT) == Submission(state="acknowledged")


@pytest.mark.usefixtures("impatient")
def test_a_venue_that_does_not_answer_about_one_order_holds_up_only_that_order(
    world: World, clock: MarketClock
) -> None:
    first = world.logged_on(order_release="manual")
    silent, cancelled = world.order(), world.order()
    world.venue.deaf |= {f"{silent}.e1", f"{cancelled}.e1"}
    for order_id in (silent, cancelled):
        first.submit(order_id, entry_order(order_id), AT)
    first.stop()
    second = world.gateway(market_clock=str(clock.path))
    until(lambda: second.status().logged_on)
    # While questions are open nothing is claimed: what would be too late afterwards is then not sent.
    new = world.order()
    assert second.submit(new, entry_order(new), AT).state == "pending"
    second.submit(cancelled, cancel_order(cancelled, f"{cancelled}.x2", f"{cancelled}.e1"), AT)
    until(lambda: world.state(f"{new}.e1") == world.state(f"{cancelled}.x2") == "acknowledged")
    assert {(alert.code, alert.key) for alert in world.alerts.list(world.session)} == {
        ("UNCERTAIN_ORDER", f"{silent}.e1"),
        ("UNCERTAIN_ORDER", f"{cancelled}.e1"),
    }
    until(lambda: not second.status().busy)
    # The question stays open; after the answer the order leaves, unless its cancel has left before it.
    world.venue.deaf.clear()
    until(lambda: world.state(f"{silent}.e1") == world.state(f"{cancelled}.e1") == "acknowledged")
    assert [one for one in types(world, f"{silent}.e1") if one[0] == "D"] == [("D", "Y")]
    assert [one for one in types(world, f"{cancelled}.e1") if one[0] == "D"] == []
    assert [type(event) for event in world.events(cancelled)] == [CancelRejected, OrderRejected]


def test_a_resend_that_the_venue_asks_for_does_not_bring_back_an_order_that_is_too_late(
    world: World, clock: MarketClock
) -> None:
    gateway = world.logged_on(market_clock=str(clock.path))
    late, wanted = world.order(), world.order()
    world.venue.mute |= {f"{late}.e1", f"{wanted}.e1"}
    gateway.submit(late, entry_order(late, deadline=SOON), AT)
    gateway.submit(wanted, entry_order(wanted), AT)
    until(lambda: len(world.venue.received) == 2)
    clock.set(LATER)
    world.venue.forget(2)
    until(lambda: len(world.woken) == 2)
    assert types(world, f"{late}.e1") == [("H", None)]
    assert [type(event) for event in world.events(late)] == [OrderRejected]
    # The other one is resent under its old number, and the question finds it.
    assert types(world, f"{wanted}.e1") == [("D", None), ("H", None)]
    assert [type(event) for event in world.events(wanted)] == [OrderAccepted]


def test_an_order_that_the_venue_lost_is_asked_about_after_a_reconnect_and_sent_again(world: World) -> None:
    """Scenarios 18 and 19, within one process: the venue has the one, and lost the other."""
    gateway = world.logged_on()
    lost, known = world.order(), world.order()
    world.venue.deaf.add(f"{lost}.s2")
    world.venue.mute.add(f"{known}.s2")
    gateway.submit(lost, entry_order(lost, f"{lost}.s2"), AT)
    gateway.submit(known, entry_order(known, f"{known}.s2"), AT)
    until(lambda: len(world.venue.received) == 2)
    world.venue.deaf.clear()
    world.venue.cut()
    until(lambda: len(world.woken) == 2 and gateway.status().epoch == 1)
    assert types(world, f"{lost}.s2") == [("D", None), ("H", None), ("D", "Y")]
    assert types(world, f"{known}.s2") == [("D", None), ("H", None)]
    assert world.events(lost) == [OrderAccepted(cl_ord_id=f"{lost}.s2", at=AT)]
    assert world.events(known) == [OrderAccepted(cl_ord_id=f"{known}.s2", at=AT)]
    assert world.alerts.list(world.session) == []


def test_an_unreported_cancel_is_sent_again_after_a_reconnect(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.woken)
    world.venue.deaf.add(f"{order_id}.x2")
    gateway.submit(order_id, cancel_order(order_id, f"{order_id}.x2", f"{order_id}.e1"), AT)
    until(lambda: world.venue.sent(f"{order_id}.x2"))
    world.venue.deaf.clear()
    world.venue.cut()
    until(lambda: len(world.woken) == 2)
    assert types(world, f"{order_id}.x2") == [("F", None), ("F", "Y")]
    assert isinstance(world.woken[1].event, OrderCanceled)


def test_a_request_whose_report_comes_while_it_is_claimed_anew_is_not_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed, going_on = threading.Event(), threading.Event()
    gateway = world.logged_on()
    order_id = world.order()
    cancel = cancel_order(order_id, f"{order_id}.x2", f"{order_id}.e1")
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.woken)
    world.venue.mute.add(cancel.cl_ord_id)
    gateway.submit(order_id, cancel, AT)
    until(lambda: world.state(cancel.cl_ord_id) == "sent")
    submit = LeaseWriter._submit

    def slow(writer: LeaseWriter, lease: Lease, operations: list[Operation]) -> str:
        if any(operation[1].get("state") == "claimed" for operation in operations):
            claimed.set()
            going_on.wait(30)
        return submit(writer, lease, operations)

    monkeypatch.setattr(LeaseWriter, "_submit", slow)
    world.venue.cut()
    assert claimed.wait(5)
    world.venue.report(cancel.cl_ord_id, fix.ExecType.CANCELED, fix.OrdStatus.CANCELED, orig_cl_ord_id=f"{order_id}.e1")
    until(lambda: len(world.events(order_id)) == 2)
    going_on.set()
    until(lambda: world.state(cancel.cl_ord_id) == "acknowledged" and not gateway.status().busy)
    assert types(world, cancel.cl_ord_id) == [("F", None)]


@pytest.mark.usefixtures("impatient")
def test_an_unknown_that_answers_an_earlier_process_is_not_taken_for_an_answer(world: World) -> None:
    """The predecessor had asked, heard "unknown" and sent the order again; its successor hears the old answer first."""
    first = world.logged_on(order_release="manual")
    order_id = world.order()
    cl_ord_id = f"{order_id}.e1"
    first.submit(order_id, entry_order(order_id), AT)
    first.stop()
    world.venue.deaf.add(cl_ord_id)
    answer = fix.execution_report(
        order_id="V",
        exec_id="E",
        cl_ord_id=cl_ord_id,
        exec_type=fix.ExecType.ORDER_STATUS,
        ord_status=fix.OrdStatus.REJECTED,
        ord_rej_reason=5,
        symbol="IBM",
        side=fix.Side.BUY,
        leaves_qty=Decimal(0),
        cum_qty=Decimal(0),
        avg_px=Decimal(0),
        transact_time=AT,
    )
    world.venue.store(answer)
    second = world.gateway()
    until(lambda: second.status().next_inbound == world.venue.session.next_outbound)
    # The question is still open: it is asked again.
    asked = len(world.venue.sent(cl_ord_id, "H"))
    until(lambda: len(world.venue.sent(cl_ord_id, "H")) > asked)
    world.venue.report(cl_ord_id, fix.ExecType.NEW, fix.OrdStatus.NEW)
    until(lambda: world.state(cl_ord_id) == "acknowledged")
    assert world.venue.sent(cl_ord_id, "D") == []


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_may_refuse_the_question_is_none_and_the_order_is_asked_about_again(world: World) -> None:
    """A venue that answers too many questions with 39=8: were its order rejected with that, another might follow."""
    gateway = world.logged_on()
    order_id = world.order()
    cl_ord_id = f"{order_id}.e1"
    world.venue.mute.add(cl_ord_id)
    world.venue.statuses[cl_ord_id] = {"ord_status": fix.OrdStatus.REJECTED, "ord_rej_reason": 99}
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.venue.sent(cl_ord_id))
    world.venue.cut()
    until(lambda: len(world.venue.sent(cl_ord_id, "H")) >= 2)
    assert world.woken == []
    world.venue.statuses.clear()
    until(lambda: world.state(cl_ord_id) == "acknowledged")
    assert [type(event) for event in world.events(order_id)] == [OrderAccepted]
    assert len(world.venue.sent(cl_ord_id, "D")) == 1


def test_an_order_whose_reports_are_journalled_is_neither_asked_about_nor_sent_again(
    world: World, stalled: Stalled
) -> None:
    """The acknowledgement was not yet written down, and the venue knows nothing of the order any more."""
    order_id = stalled.stall()
    assert world.state(f"{order_id}.e1") == "claimed"
    world.venue.lose_sent()
    world.logged_on()
    assert types(world, f"{order_id}.e1") == [("D", None)]
    # Nor does anybody know whether it was delivered: it is, again.
    until(lambda: [row.order_id for row in world.woken] == [order_id])
    until(lambda: world.state(f"{order_id}.e1") == "acknowledged")


def test_a_first_sending_that_is_refused_as_a_duplicate_is_a_rejected_order(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    world.venue.mute.add(f"{order_id}.e1")
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.venue.received)
    world.venue.report(f"{order_id}.e1", fix.ExecType.REJECTED, fix.OrdStatus.REJECTED, ord_rej_reason=6)
    until(lambda: world.woken)
    assert isinstance(world.woken[0].event, OrderRejected)
    assert [alert.code for alert in world.alerts.list(world.session)] == ["DUPLICATE_CLORDID"]
    until(lambda: world.state(f"{order_id}.e1") == "acknowledged")
    # Of an order that nobody here has sent it says nothing but that.
    world.venue.report("other.e1", fix.ExecType.REJECTED, fix.OrdStatus.REJECTED, ord_rej_reason=6)
    until(lambda: len(world.alerts.list(world.session)) == 2)
    assert len(world.woken) == 1
