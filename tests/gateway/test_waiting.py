"""What waits to be sent: for the venue's limit, for its turn, for a session; and what becomes of it meanwhile."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from fix import orders as fix
from fix.message import Message
from gateway import claiming, leaving, settling
from gateway.gateway import Gateway
from gateway.outbox import Entry
from storage.tables import Tables
from tests.gateway.conftest import AT, MarketClock, Stalled, World, cancel_order, entry_order, until
from tests.gateway.test_takeover import steal
from trading.events import CancelRejected, OrderAccepted, OrderRejected

SOON = AT + timedelta(seconds=60)
LATER = AT + timedelta(hours=2)


def entry(order_id: str, child: str = "e1", *, deadline: datetime | None = None) -> Entry:
    return Entry(order_id=order_id, command=entry_order(order_id, f"{order_id}.{child}", deadline=deadline), at=AT)


def cancel(order_id: str, child: str = "x2", orig: str = "e1") -> Entry:
    return Entry(order_id=order_id, command=cancel_order(order_id, f"{order_id}.{child}", f"{order_id}.{orig}"), at=AT)


def received(world: World) -> list[str]:
    return [message.require(11) for _, message in world.venue.received]


def full(gateway: Gateway) -> None:
    """Nothing may leave until `freed`."""
    assert gateway._pump is not None
    gateway._pump._leaving._throttle._limit = 1
    gateway._pump._leaving._throttle.note(time.monotonic() + 3600)


def freed(gateway: Gateway) -> None:
    running = gateway._pump
    assert running is not None
    assert gateway._loop is not None
    running._leaving._throttle._limit = 0
    gateway._loop.call_soon_threadsafe(running._leaving.flush)


def noted_times(world: World, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When orders, requests and questions about single orders come to the venue, from now on."""
    times: list[float] = []
    on_message = world.venue._on_message

    def noting(message: Message) -> None:
        times.append(time.monotonic())
        on_message(message)

    monkeypatch.setattr(world.venue, "_on_message", noting)
    return times


def test_no_more_leaves_in_a_second_than_the_venue_allows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    times = noted_times(world, monkeypatch)
    gateway = world.logged_on(fix_messages_per_second=10)
    orders = [world.order() for _ in range(25)]
    gateway.submit_all([entry(order_id) for order_id in orders])
    assert gateway.status().busy
    until(lambda: len(world.woken) == 25)
    assert sorted(received(world)) == sorted(f"{order_id}.e1" for order_id in orders)
    # The limit is kept where it leaves; what the venue's end sees comes a little unevenly.
    assert all(later - earlier > 0.9 for earlier, later in zip(times, times[10:], strict=False))
    assert times[-1] - times[0] > 1.9


def test_cancels_and_exits_leave_before_entries_and_each_order_in_its_own_order(world: World) -> None:
    gateway = world.logged_on()
    one, two, three = (world.order() for _ in range(3))
    gateway.submit_all([entry(three, "s1")])
    until(lambda: world.woken)
    full(gateway)
    gateway.submit_all([entry(one), entry(two), entry(two, "e2"), entry(two, "s3"), cancel(three, "x2", "s1")])
    freed(gateway)
    until(lambda: len(received(world)) == 6)
    # The second order has an exit waiting, so what it has handed in before goes as soon.
    assert received(world) == [f"{three}.s1", f"{two}.e1", f"{three}.x2", f"{two}.e2", f"{two}.s3", f"{one}.e1"]


def test_an_order_that_is_cancelled_while_it_waits_does_not_leave_and_neither_does_its_cancel(world: World) -> None:
    gateway = world.logged_on()
    order_id, other = world.order(), world.order()
    full(gateway)
    gateway.submit_all([entry(order_id), entry(other)])
    # Told at once, and not when its turn comes.
    assert gateway.submit(order_id, cancel(order_id).command, AT).not_sent is False
    until(lambda: len(world.events(order_id)) == 2)
    assert [type(event) for event in world.events(order_id)] == [OrderRejected, CancelRejected]
    until(lambda: world.state(f"{order_id}.e1") == world.state(f"{order_id}.x2") == "acknowledged")
    freed(gateway)
    until(lambda: world.events(other))
    assert received(world) == [f"{other}.e1"]


def test_a_cancel_that_another_process_puts_into_the_outbox_ends_an_order_that_waits(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    full(gateway)
    gateway.submit_all([entry(order_id)])
    elsewhere = Gateway(world.settings, world.tables, None)
    assert elsewhere.submit(order_id, cancel(order_id).command, AT).state == "pending"
    until(lambda: len(world.events(order_id)) == 2)
    freed(gateway)
    until(lambda: not gateway.status().busy)
    assert received(world) == []


def test_a_cancel_that_another_process_puts_into_the_outbox_is_noticed_without_a_session(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    full(gateway)
    gateway.submit_all([entry(order_id)])
    world.venue.refuse = "not now"
    world.venue.cut()
    until(lambda: not gateway.status().logged_on)
    elsewhere = Gateway(world.settings, world.tables, None)
    assert elsewhere.submit(order_id, cancel(order_id).command, AT).state == "pending"
    until(lambda: world.events(order_id))
    assert [type(event) for event in world.events(order_id)] == [OrderRejected]
    freed(gateway)
    world.venue.refuse = None
    until(lambda: len(world.events(order_id)) == 2)
    assert received(world) == []


def test_an_order_and_its_cancel_that_are_found_together_both_stay_here_and_are_told(world: World) -> None:
    order_id = world.order()
    world.outbox.insert(entry(order_id))
    world.outbox.insert(cancel(order_id))
    world.logged_on()
    until(lambda: len(world.events(order_id)) == 2)
    assert [type(event) for event in world.events(order_id)] == [OrderRejected, CancelRejected]
    assert received(world) == []


def test_requests_about_an_order_that_did_not_leave_are_answered_with_it(world: World, clock: MarketClock) -> None:
    """A cancel that had come before its order's time ran out, for the order's replaced form."""
    gateway = world.logged_on(market_clock=str(clock.path))
    order_id = world.order()
    full(gateway)
    gateway.submit_all([entry(order_id, deadline=SOON)])
    gateway.submit_all([cancel(order_id, "x3", "e2"), cancel(order_id, "x4", "e1")])
    until(lambda: len(world.events(order_id)) == 2)
    freed(gateway)
    # That of a ClOrdID that nobody has handed in is the venue's to refuse.
    until(lambda: len(world.events(order_id)) == 3)
    assert received(world) == [f"{order_id}.x3"]


@pytest.mark.parametrize("with_session", [True, False])
def test_an_order_whose_time_runs_out_while_it_waits_is_told_in_time(world: World, with_session: bool) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    full(gateway)
    deadline = datetime.now(UTC) + timedelta(seconds=0.4)
    gateway.submit_all([entry(order_id, deadline=deadline)])
    if not with_session:
        world.venue.refuse = "not now"
        world.venue.cut()
        until(lambda: not gateway.status().logged_on)
    until(lambda: world.events(order_id))
    (row,) = world.woken
    assert isinstance(row.event, OrderRejected)
    assert timedelta(0) <= row.received_at - deadline < timedelta(seconds=0.5)
    assert received(world) == []


def test_an_order_whose_time_runs_out_on_its_way_to_the_socket_does_not_leave(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is stopped after it has looked at the time, for less than its lease."""
    gateway = world.logged_on()
    order_id, is_over = world.order(), False

    def is_too_late(_command: object, _settings: object) -> bool:
        nonlocal is_over
        is_over = is_over or (gateway._pump is not None and gateway._pump._leaving._being_sent is not None)
        return is_over

    monkeypatch.setattr(leaving, "is_too_late", is_too_late)
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.events(order_id))
    assert isinstance(world.woken[0].event, OrderRejected)
    # It has a number, so the venue is asked: it has not come.
    assert [message.msg_type for _, message in world.venue.received] == ["H"]
    assert gateway.status().epoch == 1


def test_what_the_peer_does_not_take_waits_where_it_can_be_taken_back(world: World) -> None:
    gateway = world.logged_on()
    order_id, other = world.order(), world.order()
    assert gateway._pump is not None
    connection = gateway._pump._line._connection
    assert connection is not None
    connection._writable = False
    gateway.submit_all([entry(order_id), entry(other)])
    gateway.submit_all([cancel(order_id)])
    until(lambda: len(world.events(order_id)) == 2)
    connection._writable = True
    until(lambda: world.events(other))
    assert received(world) == [f"{other}.e1"]


def test_an_order_whose_time_is_over_by_the_markets_clock_is_told_while_it_waits(
    world: World, clock: MarketClock
) -> None:
    gateway = world.logged_on(market_clock=str(clock.path))
    order_id = world.order()
    full(gateway)
    gateway.submit_all([entry(order_id, deadline=SOON)])
    assert gateway.status().busy
    clock.set(LATER)
    until(lambda: world.events(order_id))
    assert isinstance(world.woken[0].event, OrderRejected)
    assert received(world) == []


def test_an_uncertain_order_that_waits_to_leave_again_and_whose_time_runs_out_is_told(
    world: World, clock: MarketClock
) -> None:
    gateway = world.logged_on(market_clock=str(clock.path), order_release="manual")
    order_id = world.order()
    gateway.submit_all([entry(order_id, deadline=SOON)])
    steal(world, released=True)
    until(lambda: gateway.status().epoch == 3 and gateway.status().held == 1)
    clock.set(LATER)
    gateway.release()
    until(lambda: world.events(order_id))
    assert isinstance(world.woken[0].event, OrderRejected)
    assert [message.msg_type for _, message in world.venue.received] == ["H"]


def test_questions_after_a_take_over_and_orders_share_the_limit(
    world: World, stalled: Stalled, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncertain = [world.order() for _ in range(6)]
    world.venue.mute |= {f"{order_id}.e1" for order_id in uncertain}
    stalled.gateway.submit_all([entry(order_id) for order_id in uncertain])
    until(lambda: len(received(world)) == 6)
    stalled.stall()
    times = noted_times(world, monkeypatch)
    second = world.gateway(fix_messages_per_second=5)
    until(lambda: second.status().logged_on)
    stop = world.order()
    second.submit(stop, entry(stop, "s1").command, AT)
    until(lambda: {row.order_id for row in world.woken} >= {*uncertain, stop})
    # Before them leaves the question about all open orders; the venue's end does not note that here.
    assert len(times) == 7
    assert all(later - earlier > 0.9 for earlier, later in zip(times, times[5:], strict=False))
    assert second.status().epoch == 2


def test_a_question_about_all_orders_that_the_venue_asks_for_again_counts_against_the_limit(world: World) -> None:
    """As any other application message that it has resent."""
    world.venue.holds_list = True
    gateway = world.gateway(fix_messages_per_second=1)
    until(lambda: world.venue.inquiries)
    assert gateway._pump is not None
    throttle = gateway._pump._leaving._throttle
    until(lambda: not throttle.wait(time.monotonic()))
    assert gateway._pump.may_resend(world.venue.inquiries[0])
    assert throttle.wait(time.monotonic()) > 0


def test_an_exit_does_not_wait_behind_all_questions_after_a_take_over(
    world: World, stalled: Stalled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than for answers nobody waits; then questions and orders take turns."""
    uncertain = [world.order() for _ in range(20)]
    world.venue.mute |= {f"{order_id}.e1" for order_id in uncertain}
    stalled.gateway.submit_all([entry(order_id) for order_id in uncertain])
    until(lambda: len(received(world)) == 20)
    stalled.stall()
    monkeypatch.setattr(settling, "_ANSWER_TIMEOUT", 0.4)
    second = world.gateway(fix_messages_per_second=4)
    until(lambda: second.status().logged_on)
    stop = world.order()
    second.submit(stop, entry(stop, "s1").command, AT)
    until(lambda: world.venue.sent(f"{stop}.s1"))
    assert len([message for _, message in world.venue.received if message.msg_type == "H"]) < 15


def test_that_it_was_sent_is_written_down_with_number_and_time_and_no_transaction_of_its_own(world: World) -> None:
    storage = Counting(world.tables)
    world.tables = storage
    gateway = world.logged_on(lease_seconds=30)
    answered, unanswered = world.order(), world.order()
    world.venue.mute.add(f"{unanswered}.e1")
    gateway.submit(unanswered, entry_order(unanswered), AT)
    until(lambda: world.venue.received)
    assert world.state(f"{unanswered}.e1") == "claimed"
    before = storage.transactions
    gateway.submit(answered, entry_order(answered), AT)
    # The one is written down with the other's claim.
    assert storage.transactions == before + 1
    stored = world.outbox.read(f"{unanswered}.e1")
    assert stored is not None
    assert (stored.entry.state, stored.entry.number) == ("sent", world.venue.received[0][0])
    assert stored.entry.sent_at is not None
    until(lambda: world.events(answered))
    gateway.stop()
    stored = world.outbox.read(f"{answered}.e1")
    assert stored is not None
    assert (stored.entry.state, stored.entry.number) == ("acknowledged", world.venue.received[1][0])
    row = world.journal.read(answered)[0]
    assert stored.entry.sent_at == row.sent_at
    # A successor asks about what is sent as about what is claimed.
    world.venue.mute.clear()
    world.logged_on()
    until(lambda: world.state(f"{unanswered}.e1") == "acknowledged")
    assert [message.msg_type for message in world.venue.sent(f"{unanswered}.e1")] == ["D", "H"]
    stored = world.outbox.read(f"{unanswered}.e1")
    assert stored is not None
    assert stored.entry.number == world.venue.received[0][0]


def test_that_it_was_sent_being_written_down_late_does_not_keep_an_order_from_leaving_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    name = f"{order_id}.s2"
    world.venue.deaf.add(name)
    gateway.submit_all([entry(order_id, "s2")])
    until(lambda: world.venue.sent(name))
    until(lambda: world.state(name) == "sent")
    read, reads = gateway._outbox.read, 0

    def changed_after(cl_ord_id: str) -> Any:
        """The row as it was just before its sending is written down."""
        nonlocal reads
        stored = read(cl_ord_id)
        reads += 1
        if reads <= 3:
            row = world.tables.sessions.get_entity(world.session, f"o|{name}")
            world.tables.sessions.update_entity(row)
        return stored

    monkeypatch.setattr(gateway._outbox, "read", changed_after)
    world.venue.deaf.clear()
    world.venue.cut()
    until(lambda: world.events(order_id))
    assert [(message.msg_type, message.get(97)) for message in world.venue.sent(name)] == [
        ("D", None),
        ("H", None),
        ("D", "Y"),
    ]


def test_where_the_venue_takes_a_cl_ord_id_twice_nothing_but_a_cancel_is_sent_again(
    world: World, stalled: Stalled
) -> None:
    stop, cancelled = world.order(), world.order()
    names = [f"{stop}.s2", f"{cancelled}.x2"]
    world.venue.deaf |= {*names}
    stalled.gateway.submit_all([entry(stop, "s2"), cancel(cancelled)])
    until(lambda: len(received(world)) == 2)
    stalled.stall()
    world.venue.deaf.clear()
    second = world.logged_on(fix_repeated_clordid="accepted")
    until(lambda: world.state(names[1]) == "acknowledged")
    assert [message.msg_type for message in world.venue.sent(names[0])] == ["D", "H"]
    assert [message.get(97) for message in world.venue.sent(names[1], "F")] == [None, "Y"]
    (alert,) = world.alerts.list(world.session)
    assert (alert.code, alert.key) == ("UNCERTAIN_ORDER", names[0])
    assert "not sent again" in alert.text
    # It waits for the human; what the venue says of it after all is heard.
    assert world.events(stop) == []
    assert world.state(names[0]) in ("claimed", "sent")
    world.venue.report(names[0], fix.ExecType.NEW, fix.OrdStatus.NEW)
    until(lambda: world.events(stop))
    assert world.events(stop) == [OrderAccepted(cl_ord_id=names[0], at=AT)]
    assert second.status().epoch == 2


def test_where_the_venue_takes_a_cl_ord_id_twice_an_uncertain_order_that_is_cancelled_ends(world: World) -> None:
    first = world.logged_on(order_release="manual")
    order_id = world.order()
    first.submit_all([entry(order_id)])
    first.stop()
    elsewhere = Gateway(world.settings, world.tables, None)
    elsewhere.submit(order_id, cancel(order_id).command, AT)
    world.logged_on(fix_repeated_clordid="accepted")
    until(lambda: len(world.events(order_id)) == 2)
    assert {type(event) for event in world.events(order_id)} == {OrderRejected, CancelRejected}
    assert world.venue.sent(f"{order_id}.e1", "D") == []


def test_an_idle_session_asks_rarely_and_finds_what_another_process_puts_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_LONGEST_POLL", 0.8)
    storage = Counting(world.tables)
    world.tables = storage
    gateway = world.logged_on(lease_seconds=30)
    silent = world.order()
    world.venue.mute.add(f"{silent}.e1")
    gateway.submit(silent, entry_order(silent), AT)
    until(lambda: len(storage.queries) >= 5 and storage.queries[-1] - storage.queries[-2] >= 0.75)
    # Rarer and rarer, one request each, also while something waits for the venue's answer.
    gaps = [later - earlier for earlier, later in pairwise(storage.queries)]
    assert len([gap for gap in gaps if gap < 0.75]) <= 5
    storage.reads = 0
    asked = len(storage.queries)
    until(lambda: len(storage.queries) == asked + 2)
    assert storage.reads == 0
    order_id = world.order()
    begun = time.monotonic()
    world.outbox.insert(entry(order_id))
    until(lambda: world.events(order_id))
    assert time.monotonic() - begun < 0.8 + 0.5
    # After that it looks again soon.
    asked = len(storage.queries)
    until(lambda: len(storage.queries) >= asked + 2)
    assert min(later - earlier for earlier, later in pairwise(storage.queries[asked - 1 :])) < 0.3


class Counting(Tables):
    """The same tables; what is asked of the sessions' is counted."""

    def __init__(self, tables: Tables) -> None:
        self._real = tables
        self.transactions = 0
        self.reads = 0  # of the outbox's rows
        self.queries: list[float] = []

    def _table(self, name: str) -> Any:
        client = self._real._table(name)
        return _CountingClient(self, client) if name == "Sessions" else client


class _CountingClient:
    def __init__(self, counts: Counting, client: Any) -> None:
        self._counts = counts
        self._client = client

    def submit_transaction(self, *args: Any, **options: Any) -> Any:
        self._counts.transactions += 1
        return self._client.submit_transaction(*args, **options)

    def query_entities(self, *args: Any, **options: Any) -> Any:
        self._counts.queries.append(time.monotonic())
        return self._client.query_entities(*args, **options)

    def get_entity(self, partition: str, key: str, **options: Any) -> Any:
        self._counts.reads += key.startswith("o|")
        return self._client.get_entity(partition, key, **options)
