"""The gateway in one process: real storage, real sockets."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from fix import orders as fix
from fix.message import FieldError, Message
from fix.reconnect import Pauses
from gateway.gateway import Gateway, Submission
from gateway.outbox import Entry
from storage.secrets import fix_credentials
from tests.gateway.conftest import AT, World, cancel_order, entry_order, until
from trading.commands import ReplaceOrder, SubmitOrder
from trading.events import CancelRejected, OrderAccepted, OrderFilled, OrderRejected
from trading.journal import JournalRow
from trading.orders import OrderType, Side


def settled(world: World, gateway: Gateway) -> bool:
    """Nothing under way inside, and the numbers of both sides meet."""
    status = gateway.status()
    numbers = (status.next_inbound, status.next_outbound)
    return not status.busy and numbers == (world.venue.session.next_outbound, world.venue.session.next_inbound)


def test_an_order_is_sent_and_its_report_is_journalled_and_delivered(world: World) -> None:
    gateway = world.logged_on()
    before = gateway.status().activity
    order_id = world.order()
    assert gateway.submit(order_id, entry_order(order_id), AT).state == "sent"
    until(lambda: world.woken)
    assert world.woken == world.journal.read(order_id)
    row = world.woken[0]
    assert row.number == 1
    assert row.event == OrderAccepted(cl_ord_id=f"{order_id}.e1", at=AT)
    assert row.sent_at is not None
    assert row.sent_at <= row.received_at
    until(lambda: settled(world, gateway))
    assert gateway.status().activity > before
    until(lambda: world.state(f"{order_id}.e1") == "acknowledged")


def test_a_report_that_comes_while_our_clock_is_wrong_is_not_lost(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: settled(world, gateway))
    world.venue.mistimed(lambda: world.venue.fill(f"{order_id}.e1", 10, "3000"))
    until(lambda: world.venue.logons == 2)
    until(lambda: len(world.events(order_id)) == 2)
    assert [type(event) for event in world.events(order_id)] == [OrderAccepted, OrderFilled]
    until(lambda: settled(world, gateway))


def test_a_repeated_submit_sends_once(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    command = entry_order(order_id)
    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(gateway.submit, order_id, command, AT) for _ in range(4)]:
            assert future.result().state in ("sent", "acknowledged")
    until(lambda: world.woken)
    assert gateway.submit(order_id, command, AT).state == "acknowledged"
    until(lambda: world.state(command.cl_ord_id) == "acknowledged")
    assert len(world.venue.sent(command.cl_ord_id)) == 1


def test_a_repeat_in_the_next_process_sends_nothing(world: World) -> None:
    order_id = world.order()
    command = entry_order(order_id)
    first = world.logged_on()
    first.submit(order_id, command, AT)
    until(lambda: world.woken)
    first.stop()
    second = world.logged_on()
    assert second.submit(order_id, command, AT) == Submission(state="acknowledged")
    assert len(world.venue.sent(command.cl_ord_id)) == 1


def test_a_command_that_fix_does_not_allow_is_refused_before_there_is_a_row(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    command = SubmitOrder(
        cl_ord_id=f"{order_id}.e1", symbol="IBM", side=Side.BUY, quantity=Decimal(1), order_type=OrderType.LIMIT
    )
    with pytest.raises(FieldError, match="tag 44"):
        gateway.submit(order_id, command, AT)
    foreign = msgspec.structs.replace(entry_order(order_id), symbol="株")
    with pytest.raises(FieldError, match="tag 55"):
        gateway.submit(order_id, foreign, AT)
    assert world.state(command.cl_ord_id) is None


def test_orders_from_a_process_without_the_session_are_found_by_the_holder_in_order(world: World) -> None:
    order_id = world.order()
    elsewhere = Gateway(world.settings, world.tables, None)
    assert elsewhere.submit(order_id, entry_order(order_id), AT).state == "pending"
    stop = entry_order(order_id, f"{order_id}.s10")
    elsewhere.submit(order_id, stop, AT)
    elsewhere.submit(order_id, cancel_order(order_id, f"{order_id}.x12", f"{order_id}.s11"), AT)
    world.logged_on()
    until(lambda: len(world.venue.received) == 3)
    assert [message.get(11) for _, message in world.venue.received] == [
        f"{order_id}.e1",
        f"{order_id}.s10",
        f"{order_id}.x12",
    ]


def test_a_pending_order_that_is_cancelled_is_dead_and_never_sent(world: World) -> None:
    elsewhere = Gateway(world.settings, world.tables, None)
    order_id = world.order()
    elsewhere.submit(order_id, entry_order(order_id), AT)
    cancel = cancel_order(order_id, f"{order_id}.x2", f"{order_id}.e1")
    for _ in range(2):
        assert elsewhere.submit(order_id, cancel, AT) == Submission(state="dead", not_sent=True)
    gateway = world.logged_on()
    assert gateway.submit(order_id, entry_order(order_id), AT) == Submission(state="dead", not_sent=True)
    assert gateway.submit(order_id, cancel, AT).not_sent
    until(lambda: settled(world, gateway))
    assert world.venue.received == []


def test_an_order_that_is_handed_in_together_with_its_cancel_never_leaves(world: World) -> None:
    gateway = world.logged_on()
    order_id, other = world.order(), world.order()
    cancel = cancel_order(order_id, f"{order_id}.x2", f"{order_id}.e1")
    entries = [Entry(order_id=order_id, command=each, at=AT) for each in (entry_order(order_id), cancel)]
    entries.append(Entry(order_id=other, command=entry_order(other), at=AT))
    for _ in range(2):
        assert [answer.not_sent for answer in gateway.submit_all(entries) if isinstance(answer, Submission)] == [
            True,
            True,
            False,
        ]
    until(lambda: settled(world, gateway))
    assert [message.get(11) for message in world.venue.sent(f"{other}.e1")] == [f"{other}.e1"]
    assert world.venue.sent(f"{order_id}.e1") == world.venue.sent(f"{order_id}.x2") == []


def test_an_order_whose_deadline_has_passed_is_never_sent(world: World, tmp_path: Path) -> None:
    elsewhere = Gateway(world.settings, world.tables, None)
    late, early = world.order(), world.order()
    assert elsewhere.submit(late, entry_order(late, deadline=AT), AT) == Submission(state="dead", not_sent=True)
    # One that is in time when it is handed in, and too late when the session comes.
    (tmp_path / "clock").write_text(AT.isoformat())
    waiting = Gateway(world.with_settings(market_clock=str(tmp_path / "clock")), world.tables, None)
    assert waiting.submit(early, entry_order(early, deadline=AT + timedelta(seconds=1)), AT).state == "pending"
    gateway = world.logged_on()
    until(lambda: world.state(f"{early}.e1") == "dead")
    cancel = cancel_order(early, f"{early}.x2", f"{early}.e1")
    assert gateway.submit(early, cancel, AT).not_sent
    assert world.venue.received == []


def test_held_orders_leave_in_the_order_of_their_cl_ord_ids(world: World) -> None:
    gateway = world.logged_on(order_release="manual")
    orders = [world.order() for _ in range(3)]
    for order_id in reversed(orders):
        gateway.submit(order_id, entry_order(order_id, f"{order_id}.s10"), AT)
        gateway.submit(order_id, entry_order(order_id, f"{order_id}.e9"), AT)
    status = gateway.status()
    assert (status.held, status.busy) == (6, False)
    assert world.venue.received == []
    assert gateway.release() == 6
    until(lambda: len(world.woken) == 6 and settled(world, gateway))
    expected = [f"{order_id}.{child}" for order_id in orders for child in ("e9", "s10")]
    assert [message.get(11) for _, message in world.venue.received] == expected
    assert gateway.status().held == gateway.release() == 0


def test_more_orders_than_a_block_has_numbers_leave_within_reserved_blocks(world: World) -> None:
    gateway = world.logged_on()
    orders = [world.order() for _ in range(60)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda order_id: gateway.submit(order_id, entry_order(order_id), AT), orders))
    until(lambda: len(world.woken) == 60 and settled(world, gateway))
    lease = world.lease()
    assert lease.block_start == 1
    assert gateway.status().next_outbound <= lease.block_end
    # The first number is the Logon's, the second that of the question which orders are open.
    assert [number for number, _ in world.venue.received] == list(range(3, 63))
    gateway.stop()
    assert world.lease().inbound == world.venue.session.next_outbound


def test_a_trade_that_comes_twice_is_one_row(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    for _ in range(2):
        world.venue.fill(f"{order_id}.e1", 10, "181.5", exec_id="T1")
    until(lambda: len(world.woken) == 3 and settled(world, gateway))
    assert [row.number for row in world.woken] == [1, 2, 2]
    fill = world.journal.read(order_id, after=1)[0].event
    assert isinstance(fill, OrderFilled)
    assert (fill.quantity, fill.price) == (Decimal(10), Decimal("181.5"))


def test_an_execution_of_an_order_nobody_knows_is_journalled_as_an_orphan_with_an_alert(world: World) -> None:
    gateway = world.logged_on()
    name = f"{world.session[8:]}/desk"
    world.venue.fill(name, 5, "10")
    until(lambda: world.woken)
    orphan = world.woken[0].order_id
    assert orphan == f"orphan-{name.replace('/', '_')}"
    assert [alert.code for alert in world.alerts.list(orphan)] == ["ORPHAN_EXECUTION"]
    world.venue.fill(f"{name}.e1", 5, "10")
    until(lambda: len(world.woken) == 2 and settled(world, gateway))
    assert world.woken[1].order_id == f"orphan-{name.replace('/', '_')}_e1"


def test_a_message_that_the_venues_session_refuses_is_a_rejected_order(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    world.venue.mute |= {f"{order_id}.e1", f"{order_id}.x2"}
    gateway.submit(order_id, entry_order(order_id), AT)
    gateway.submit(order_id, cancel_order(order_id, f"{order_id}.x2", f"{order_id}.e1"), AT)
    until(lambda: len(world.venue.received) == 2)
    numbers = [number for number, _ in world.venue.received]
    world.venue.send(
        fix.business_message_reject(
            ref_msg_type="D", business_reject_reason=4, ref_seq_num=numbers[0], text="not available"
        )
    )
    world.venue.send(fix.business_message_reject(ref_msg_type="F", business_reject_reason=4, ref_seq_num=numbers[1]))
    until(lambda: len(world.woken) == 2 and settled(world, gateway))
    rejected, cancel_rejected = (row.event for row in world.woken)
    assert isinstance(rejected, OrderRejected)
    assert rejected.reason == "not available"
    assert isinstance(cancel_rejected, CancelRejected)
    assert cancel_rejected.orig_cl_ord_id == f"{order_id}.e1"


def test_a_reject_of_the_session_is_a_rejected_order(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    world.venue.mute.add(f"{order_id}.e1")
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.venue.received)
    world.venue.reject(world.venue.received[0][0], "no such symbol")
    until(lambda: world.woken and settled(world, gateway))
    event = world.woken[0].event
    assert isinstance(event, OrderRejected)
    assert event.reason == "no such symbol"


def test_a_cancel_reject_gets_symbol_and_side_from_what_was_sent(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    replace = ReplaceOrder(
        cl_ord_id=f"{order_id}.e2",
        orig_cl_ord_id=f"{order_id}.e1",
        symbol="IBM",
        side=Side.SELL,
        quantity=Decimal(4),
        order_type=OrderType.MARKET,
    )
    world.venue.mute.add(replace.cl_ord_id)
    gateway.submit(order_id, replace, AT)
    until(lambda: world.venue.received)
    for name in (replace.cl_ord_id, "nobody.x1"):
        world.venue.send(
            fix.order_cancel_reject(
                order_id="V1",
                cl_ord_id=name,
                orig_cl_ord_id=replace.orig_cl_ord_id,
                ord_status=fix.OrdStatus.FILLED,
                cxl_rej_response_to=fix.CxlRejResponseTo.REPLACE,
                cxl_rej_reason=0,
                transact_time=AT,
            )
        )
    until(lambda: world.woken and settled(world, gateway))
    assert (world.woken[0].symbol, world.woken[0].side) == ("IBM", Side.SELL)
    assert [alert.code for alert in world.alerts.list(world.session)] == ["UNKNOWN_ORDER"]


def test_a_message_that_cannot_be_read_is_an_alert_and_stops_nothing(world: World) -> None:
    gateway = world.logged_on()
    world.venue.send(Message("8", [(11, "a.e1"), (150, "?")]))
    world.venue.send(Message("B", [(148, "news")]))
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.woken and settled(world, gateway))
    assert [alert.code for alert in world.alerts.list(world.session)] == ["UNREADABLE_MESSAGE"]
    assert [message.msg_type for _, message in world.venue.received] == ["j", "D"]


def test_a_message_that_the_session_rejects_is_an_alert_since_it_does_not_come_again(world: World) -> None:
    gateway = world.logged_on()
    number = world.venue.session.next_outbound
    world.venue.mistimed(lambda: world.venue.fill("a.e1", 10, "3000"), "yesterday")
    until(lambda: world.alerts.list(world.session))
    (alert,) = world.alerts.list(world.session)
    assert alert.code == "UNREADABLE_MESSAGE"
    assert alert.text.startswith(f"message {number} (8) was rejected by our session: tag 52 is 'yesterday'")
    until(lambda: gateway.status().next_inbound == number + 1)
    assert gateway.status().logged_on


def test_a_wake_up_that_fails_is_repeated_until_it_succeeds_and_nothing_overtakes_it(world: World) -> None:
    tries: list[JournalRow] = []

    def wake(rows: list[JournalRow]) -> "Future[None]":
        tries.extend(rows)
        if len(tries) == 1:
            raise ConnectionError("the host is not there")
        done = world.wake(rows)
        if len(tries) == 2:
            failed: Future[None] = Future()
            failed.cancel()
            world.woken.clear()
            return failed
        return done

    gateway = world.gateway(wake)
    until(lambda: gateway.status().logged_on)
    order_id, other = world.order(), world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    gateway.submit(other, entry_order(other), AT)
    until(lambda: len(world.woken) == 2 and settled(world, gateway))
    assert [row.order_id for row in world.woken] == [order_id, other]
    assert [row.order_id for row in tries] == [order_id] * 3 + [other]


def test_after_a_cut_connection_the_same_process_goes_on(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.woken)
    world.venue.cut()
    until(lambda: world.venue.logons == 2 and gateway.status().logged_on)
    other = world.order()
    gateway.submit(other, entry_order(other), AT)
    until(lambda: len(world.woken) == 2 and settled(world, gateway))
    assert gateway.status().epoch == 1
    assert len(world.venue.received) == 2


def test_a_venue_that_refuses_the_logon_is_told_in_the_status_and_not_asked_in_a_hot_loop(world: World) -> None:
    world.venue.refuse = "wrong password"
    gateway = world.gateway()
    until(lambda: "wrong password" in gateway.status().text)
    assert not gateway.status().logged_on
    world.venue.refuse = None
    until(lambda: gateway.status().logged_on)
    assert gateway.status().text == ""
    assert gateway.status().next_outbound < 10


def test_a_human_is_told_once_for_each_outage_in_which_orders_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.gateway._PATIENCE", 0.3)
    monkeypatch.setattr("gateway.line._PAUSES", Pauses(first=0.2, longest=0.2))
    world.venue.refuse = "MsgSeqNum too low, expecting 57"
    gateway = world.gateway()
    until(lambda: "expecting 57" in gateway.status().text)

    def told(times: int) -> Callable[[], bool]:
        return lambda: len(world.alerts.list(world.session)) == times

    def acknowledged(order_id: str) -> Callable[[], bool]:
        return lambda: world.state(f"{order_id}.e1") == "acknowledged"

    for outage in (1, 2):
        order_id = world.order()
        # Nobody was told before: nothing had waited.
        assert len(world.alerts.list(world.session)) == outage - 1
        gateway.submit(order_id, entry_order(order_id), AT)
        until(told(outage))
        world.venue.refuse = None
        until(acknowledged(order_id))
        world.venue.refuse = "not now"
        world.venue.cut()
        until(lambda: "not now" in gateway.status().text)
    codes, texts = zip(*((alert.code, alert.text) for alert in world.alerts.list(world.session)), strict=True)
    assert codes == ("NO_SESSION", "NO_SESSION")
    assert "1 orders or requests wait" in texts[0]
    assert "expecting 57 (our Logon had MsgSeqNum " in texts[0]
    assert "POST /api/session/reset" in texts[0]


def test_a_human_is_told_of_an_order_that_the_venue_leaves_unanswered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.gateway._PATIENCE", 0.3)
    gateway = world.logged_on()
    answered, unanswered = world.order(), world.order()
    world.venue.mute.add(f"{unanswered}.e1")
    for order_id in (answered, unanswered):
        gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.alerts.list(world.session))
    assert [(alert.code, alert.key) for alert in world.alerts.list(world.session)] == [
        ("UNANSWERED", f"unanswered-{unanswered}.e1")
    ]


def test_credentials_are_fetched_for_each_logon(world: World) -> None:
    @dataclass
    class Secret:
        value: str | None

    class Vault:
        def __init__(self) -> None:
            self.read = 0

        def get_secret(self, name: str) -> Secret:
            self.read += 1
            return Secret(f"{name}-{self.read}")

    vault = Vault()
    settings = world.with_settings(key_vault_uri="https://a.vault.azure.net")
    gateway = Gateway(settings, world.tables, fix_credentials(settings, vault))
    world.gateways.append(gateway)
    gateway.start(world.wake)
    until(lambda: gateway.status().logged_on)
    world.venue.cut()
    until(lambda: world.venue.logons == 2)
    used = {(logon.get(553), logon.get(554)) for logon in world.venue.logon_messages}
    assert used == {("fix-username-1", "fix-password-2"), ("fix-username-3", "fix-password-4")}


def test_status_before_the_start_and_after_the_stop(world: World) -> None:
    gateway = Gateway(world.settings, world.tables, None)
    assert gateway.status().text == "not started"
    assert gateway.release() == 0
    gateway.start(world.wake)
    gateway.start(world.wake)
    until(lambda: gateway.status().logged_on)
    gateway.stop()
    gateway.stop()
    assert gateway.status().text == "not started"
    assert not world.venue.online
    gateway.start(world.wake)
    world.gateways.append(gateway)
    until(lambda: gateway.status().logged_on)
    assert gateway.status().epoch == 2


def test_what_is_handed_in_together_leaves_in_its_order_and_is_answered_one_by_one(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    commands = [entry_order(order_id, f"{order_id}.e{number}") for number in range(1, 6)]
    commands[2] = msgspec.structs.replace(commands[2], symbol="\x01")
    entries = [Entry(order_id=order_id, command=command, at=AT) for command in commands]
    for _ in range(2):
        answers = gateway.submit_all(entries)
        assert [isinstance(answer, FieldError) for answer in answers] == [False, False, True, False, False]
    until(lambda: len(world.woken) == 4 and settled(world, gateway))
    sent = [message.get(11) for _, message in world.venue.received if message.msg_type == "D"]
    assert sent == [f"{order_id}.e{number}" for number in (1, 2, 4, 5)]


def test_what_is_handed_in_together_without_the_session_is_found_by_its_holder(world: World) -> None:
    holder = world.logged_on()
    order_id = world.order()
    commands = [entry_order(order_id, f"{order_id}.e{number}") for number in (1, 2)]
    elsewhere = Gateway(world.settings, world.tables, None)
    answers = elsewhere.submit_all([Entry(order_id=order_id, command=command, at=AT) for command in commands])
    assert [answer.state for answer in answers if isinstance(answer, Submission)] == ["pending", "pending"]
    until(lambda: len(world.woken) == 2 and settled(world, holder))


def test_an_acceptance_goes_with_the_next_report_of_its_order_that_is_there_already(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    commands = [entry_order(order_id, f"{order_id}.e{number}") for number in (1, 2, 3)]
    gateway.submit_all([Entry(order_id=order_id, command=command, at=AT) for command in commands])
    until(lambda: len(world.woken) == 3 and settled(world, gateway))
    assert [row.number for row in world.woken] == [1, 2, 3]
    assert world.wake_ups < 3
