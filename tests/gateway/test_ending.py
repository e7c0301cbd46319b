"""How an epoch ends: nothing leaves after the lease was given back, and nothing that has come is left behind."""

import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from gateway import pump
from gateway.delivery import Recorder
from gateway.lease import Lease, LeaseWriter
from gateway.outbox import Entry
from gateway.pump import Pump
from tests.gateway.conftest import AT, World, cancel_order, until
from tests.gateway.test_waiting import entry, full, received
from trading.events import OrderRejected, VenueEvent
from trading.identity import orphan_order_id
from trading.journal import JournalRow


def test_a_process_that_stops_while_it_connects_sends_nothing_after_it_has_given_the_lease_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes a while in storage, where it says `released` before the process hears of it."""
    heard = threading.Event()
    submit, on_message = LeaseWriter._submit, world.venue._on_message

    def slowly(self: LeaseWriter, lease: Lease, operations: Any) -> str:
        etag = submit(self, lease, operations)
        if lease.released:
            heard.wait(1.5)
        return etag

    def noting(message: Any) -> None:
        heard.set()
        on_message(message)

    monkeypatch.setattr(LeaseWriter, "_submit", slowly)
    monkeypatch.setattr(world.venue, "_on_message", noting)
    gateway = world.logged_on(lease_seconds=9)
    order_id = world.order()
    full(gateway)
    gateway.submit(order_id, entry(order_id).command, entry(order_id).at)
    world.venue.cut()
    until(lambda: not gateway.status().logged_on)
    assert gateway._pump is not None
    gateway._pump._leaving._throttle._limit = 0
    gateway.stop()
    assert world.lease().released
    assert (world.venue.logons, received(world)) == (1, [])


def test_a_report_of_nobody_that_waits_for_the_venues_list_does_not_hold_up_the_epochs_end(world: World) -> None:
    """The connection is lost before the list comes, and by these numbers there is not to be another."""
    world.venue.holds_list = True
    gateway = world.gateway()
    until(lambda: world.venue.inquiries)
    world.venue.fill("", 10, "181.5")
    until(lambda: gateway._pump is not None and gateway._pump._hearing._nameless)
    world.venue.refuse = "not now"
    world.venue.cut()
    until(lambda: not gateway.status().logged_on)
    gateway.reset()
    world.venue.holds_list = False
    until(lambda: gateway.status().generation == 2)
    assert [alert.code for alert in world.alerts.list(orphan_order_id("V-"))] == ["ORPHAN_EXECUTION"]


def test_a_connection_whose_logon_was_held_back_ends_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process was stopped past its lease while it connected, and the lease could be renewed after all."""
    may_write, looks = Pump.may_write, 0

    def not_at_first(self: Pump) -> bool:
        nonlocal looks
        looks += 1
        return looks > 1 and may_write(self)

    monkeypatch.setattr(Pump, "may_write", not_at_first)
    gateway = world.gateway()
    until(lambda: gateway.status().logged_on, within=4)
    assert looks > 1


def test_a_human_is_told_when_a_wake_up_that_fails_keeps_the_session_from_ending(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "_ENDS_SLOWLY", 0.2)
    stuck = True

    def wake(rows: list[JournalRow]) -> "Future[None]":
        if stuck:
            raise ConnectionError("nobody there")
        return world.wake(rows)

    gateway = world.gateway(wake)
    until(lambda: gateway.status().logged_on and not gateway.status().busy)
    order_id = world.order()
    gateway.submit(order_id, entry(order_id).command, AT)
    until(lambda: world.journal.read(order_id))
    gateway.reset()
    until(lambda: world.alerts.list(world.session))
    (alert,) = world.alerts.list(world.session)
    assert alert.code == "SESSION_ENDS_SLOWLY"
    assert "is not yet journalled and delivered" in alert.text
    assert gateway.status().text == alert.text
    stuck = False
    until(lambda: gateway.status().generation == 2 and gateway.status().logged_on)
    assert len(world.events(order_id)) == 1
    assert gateway.status().text == ""


def test_what_was_given_up_is_told_before_the_epoch_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next may begin days later: with the session's next hours."""
    conclude, told = Recorder.conclude, list[int]()

    def slowly(self: Recorder, given_up: Entry, event: VenueEvent) -> JournalRow:
        deadline = time.monotonic() + 1
        while world.lease().generation == 1 and time.monotonic() < deadline:
            pass
        told.append(world.lease().generation)
        return conclude(self, given_up, event)

    monkeypatch.setattr(Recorder, "conclude", slowly)
    gateway = world.logged_on()
    order_id = world.order()
    full(gateway)
    gateway.submit(order_id, entry(order_id).command, entry(order_id).at)
    gateway.submit(order_id, cancel_order(order_id, f"{order_id}.x2", f"{order_id}.e1"), AT)
    gateway.reset()
    until(lambda: gateway.status().generation == 2)
    until(lambda: world.state(f"{order_id}.e1") == "acknowledged")
    assert told[0] == 1
    assert isinstance(world.events(order_id)[0], OrderRejected)
