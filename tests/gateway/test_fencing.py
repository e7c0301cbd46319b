"""The last check before the socket, with the lease's clock in the test's hand."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from fix.config import SessionConfig
from fix.message import Message
from fix.session import Reading, Session
from fix.store import MemoryStore
from gateway.fencing import FencedSession
from gateway.lease import Held, Lease, LeaseWriter
from storage.tables import Tables
from tests.gateway.conftest import Stalled, World, until


class Machine:
    """A holder of the lease and its session, and a venue's end that takes what is written."""

    def __init__(self, tables: Tables) -> None:
        self.now = 1000.0
        lease = Lease(owner="a", epoch=1, block_start=1, block_end=101)
        self.writer = LeaseWriter(
            tables.sessions,
            "session",
            Held(lease=lease, etag="", since=self.now),
            lease_seconds=10,
            monotonic=lambda: self.now,
        )
        self.cuts = 0
        self.session = FencedSession(
            SessionConfig(role="initiator", sender_comp_id="US", target_comp_id="VENUE", heartbeat_interval=30),
            MemoryStore(),
            block_end=lambda: lease.block_end,
            may_write=lambda: self.writer.holds,
            on_cut=self._on_cut,
        )
        self.venue = Session(SessionConfig(role="acceptor", sender_comp_id="VENUE", target_comp_id="US"))
        self.venue.connected(self.reading)
        self.session.connected(self.reading)

    def _on_cut(self) -> None:
        self.cuts += 1

    @property
    def reading(self) -> Reading:
        return Reading(datetime(2013, 10, 7, 13, 30, tzinfo=UTC), self.now)

    def log_on(self) -> None:
        self.venue.receive(self.session.bytes_to_send(self.reading), self.reading)
        self.session.receive(self.venue.bytes_to_send(), self.reading)

    def stop(self, seconds: float) -> None:
        self.now += seconds


def sends_an_order(machine: Machine) -> None:
    machine.session.send(Message("D", [(11, "a.e1")]), machine.reading)


def beats(machine: Machine) -> None:
    machine.session.tick(machine.reading)


def reads_a_test_request(machine: Machine) -> None:
    machine.venue._transmit("1", [(112, "alive?")])
    machine.session.receive(machine.venue.bytes_to_send(), machine.reading)


def reads_a_resend_request(machine: Machine) -> None:
    machine.venue._transmit("2", [(7, "1"), (16, "0")])
    machine.session.receive(machine.venue.bytes_to_send(), machine.reading)


def logs_out(machine: Machine) -> None:
    machine.session.logout(machine.reading)


@pytest.mark.parametrize("goes_on", [sends_an_order, beats, reads_a_test_request, reads_a_resend_request, logs_out])
def test_who_was_stopped_past_its_lease_writes_nothing_whatever_it_goes_on_with(
    tables: Tables, goes_on: Callable[[Machine], None]
) -> None:
    machine = Machine(tables)
    machine.log_on()
    machine.session.send(Message("D", [(11, "a.e0")]), machine.reading)
    assert machine.session.bytes_to_send(machine.reading)
    machine.stop(31)
    goes_on(machine)
    assert machine.session.bytes_to_send(machine.reading) == b""
    assert machine.cuts == 1


@pytest.mark.parametrize("goes_on", [sends_an_order, beats, reads_a_test_request, reads_a_resend_request, logs_out])
def test_within_the_lease_all_of_that_leaves(tables: Tables, goes_on: Callable[[Machine], None]) -> None:
    machine = Machine(tables)
    machine.log_on()
    machine.session.send(Message("D", [(11, "a.e0")]), machine.reading)
    machine.session.bytes_to_send(machine.reading)
    machine.writer._since += 31
    machine.stop(31)
    goes_on(machine)
    assert machine.session.bytes_to_send(machine.reading)
    assert machine.cuts == 0


def test_a_logon_does_not_leave_after_the_lease(tables: Tables) -> None:
    machine = Machine(tables)
    machine.stop(9.1)
    assert machine.session.bytes_to_send(machine.reading) == b""


def test_a_stop_while_the_bytes_are_made_is_noticed(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tables)
    machine.log_on()
    sends_an_order(machine)
    monkeypatch.setattr(machine.session._store, "commit", lambda: machine.stop(3600))
    assert machine.session.bytes_to_send(machine.reading) == b""
    assert machine.cuts == 1


def test_what_was_held_back_does_not_leave_when_the_lease_is_renewed_after_all(tables: Tables) -> None:
    machine = Machine(tables)
    machine.log_on()
    machine.stop(10)
    sends_an_order(machine)
    assert machine.session.bytes_to_send(machine.reading) == b""
    assert machine.session.is_cut
    machine.writer._since = machine.now
    assert machine.writer.holds
    assert machine.session.bytes_to_send(machine.reading) == b""
    assert machine.cuts == 1
    # The next connection is another one.
    machine.session.disconnected(machine.reading)
    machine.session.connected(machine.reading)
    assert b"35=A" in machine.session.bytes_to_send(machine.reading)


def test_a_process_that_stood_still_past_its_lease_answers_nothing_that_had_come_meanwhile(
    world: World, stalled: Stalled
) -> None:
    stalled.stall()
    world.venue.test_request(3)
    expected = world.venue.session.next_inbound
    since = stalled.gateway._pump
    assert since is not None
    until(lambda: not since._writer.holds)
    stalled.go_on()
    until(lambda: not world.venue.online)
    assert world.venue.session.next_inbound == expected
