"""What the gateway itself says of an order, and what no message of the venue brings again."""

import threading
from concurrent.futures import Future
from datetime import timedelta

import pytest

from gateway.lease import Change, Lease, LeaseWriter, RowRefusedError
from gateway.outbox import Entry
from storage.tables import Operation
from tests.gateway.conftest import AT, MarketClock, World, entry_order, until
from tests.gateway.test_takeover import steal
from tests.gateway.test_waiting import cancel, entry, freed, full, received
from trading.events import OrderAccepted, OrderRejected
from trading.journal import JournalRow

SOON = AT + timedelta(seconds=60)
LATER = AT + timedelta(hours=2)


def nobody_there(_rows: list[JournalRow]) -> "Future[None]":
    raise ConnectionError("nobody there")


def test_a_process_whose_lease_was_taken_does_not_say_that_an_order_was_given_up(
    world: World, clock: MarketClock
) -> None:
    """It does not know of it yet: its successor, whose clock may be another, may have sent the order."""
    gateway = world.logged_on(order_release="manual", market_clock=str(clock.path))
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id, deadline=SOON), AT)
    clock.set(LATER)
    steal(world)
    gateway.release()
    until(lambda: not gateway.status().logged_on)
    assert world.journal.read(order_id) == []
    assert world.state(f"{order_id}.e1") == "claimed"


def test_what_a_process_gave_up_and_did_not_tell_its_successor_tells(world: World) -> None:
    order_id = world.order()
    entry = Entry(order_id=order_id, command=entry_order(order_id), at=AT, state="given_up", epoch=1)
    world.outbox.insert(entry)
    world.logged_on()
    until(lambda: world.state(f"{order_id}.e1") == "acknowledged")
    assert [type(event) for event in world.events(order_id)] == [OrderRejected]
    assert world.venue.received == []


def test_what_was_given_up_and_journalled_is_delivered_by_the_successor(world: World, clock: MarketClock) -> None:
    first = world.gateway(nobody_there, order_release="manual", market_clock=str(clock.path))
    until(lambda: first.status().logged_on and not first.status().busy)
    order_id = world.order()
    first.submit(order_id, entry_order(order_id, deadline=SOON), AT)
    clock.set(LATER)
    first.release()
    until(lambda: world.journal.read(order_id))
    first.stop()
    world.logged_on(market_clock=str(clock.path))
    until(lambda: world.events(order_id))
    assert world.woken == world.journal.read(order_id)
    until(lambda: world.state(f"{order_id}.e1") == "acknowledged")


def test_an_answer_that_was_journalled_and_not_delivered_is_delivered_when_it_comes_again(world: World) -> None:
    """Nothing but the answer to a question says that the order works."""
    first = world.logged_on()
    order_id = world.order()
    world.venue.mute.add(f"{order_id}.e1")
    first.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.venue.sent(f"{order_id}.e1"))
    first.stop()
    second = world.gateway(nobody_there)
    until(lambda: world.journal.read(order_id))
    second.stop()
    world.logged_on()
    until(lambda: world.events(order_id))
    assert world.events(order_id) == [OrderAccepted(cl_ord_id=f"{order_id}.e1", at=AT)]
    assert len(world.journal.read(order_id)) == 1


def test_an_exit_does_not_wait_while_another_order_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = world.logged_on(lease_seconds=9)
    given_up, other = world.order(), world.order()
    full(gateway)
    gateway.submit_all([entry(given_up), entry(other, "s1")])
    submit, written = LeaseWriter._submit, threading.Event()

    def slowly(self: LeaseWriter, lease: Lease, operations: list[Operation]) -> str:
        if any(row.get("state") == "given_up" for row in (operation[1] for operation in operations)):
            written.wait(5)
        return submit(self, lease, operations)

    monkeypatch.setattr(LeaseWriter, "_submit", slowly)
    gateway.submit(given_up, cancel(given_up).command, AT)
    assert gateway._pump is not None
    until(lambda: gateway._pump is not None and gateway._pump._leaving._giving_up)
    freed(gateway)
    until(lambda: received(world) == [f"{other}.s1"], within=3)
    written.set()
    until(lambda: len(world.events(given_up)) == 2)
    assert received(world) == [f"{other}.s1"]


def test_an_epoch_in_which_an_order_cannot_be_given_up_ends_and_the_next_goes_by_the_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    full(gateway)
    gateway.submit(order_id, entry_order(order_id), AT)
    commit, refused = LeaseWriter.commit, list[tuple[Operation, ...]]()

    async def refusing(self: LeaseWriter, *operations: Operation, change: Change | None = None) -> None:
        if operations and operations[0][1].get("state") == "given_up" and not refused:
            refused.append(operations)
            raise RowRefusedError("as a row that has gone")
        await commit(self, *operations, change=change)

    monkeypatch.setattr(LeaseWriter, "commit", refusing)
    gateway.submit(order_id, cancel(order_id).command, AT)
    until(lambda: len(world.events(order_id)) == 2)
    assert refused
    assert gateway.status().epoch > 1
    assert world.venue.sent(f"{order_id}.e1", "D") == []
