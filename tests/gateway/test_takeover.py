"""Two gateways on one session, as two processes have them: who may send, and what becomes of what is uncertain."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ServiceRequestError
from azure.data.tables import UpdateMode

from fix import orders as fix
from gateway.gateway import Gateway
from gateway.lease import ROW_KEY, Lease, LeaseWriter
from storage.tables import Operation, Tables
from tests.gateway.conftest import AT, Stalled, World, cancel_order, entry_order, until
from trading.events import OrderAccepted, OrderFilled
from trading.journal import JournalRow


def test_a_second_gateway_takes_over_when_the_first_stalls_and_the_first_sends_no_more(
    world: World, stalled: Stalled
) -> None:
    order_id = stalled.stall()
    begun = time.monotonic()
    second = world.gateway()
    until(lambda: second.status().logged_on)
    assert time.monotonic() - begun < world.settings.lease_seconds + 2
    status = second.status()
    assert (status.epoch, status.next_outbound > 50) == (2, True)
    # What the first had journalled and not delivered is delivered by the second.
    until(lambda: [row.order_id for row in world.woken] == [order_id])
    stalled.go_on()
    until(lambda: not stalled.gateway.status().logged_on)
    other = world.order()
    assert stalled.gateway.submit(other, entry_order(other), AT).state == "pending"
    until(lambda: world.state(f"{other}.e1") == "acknowledged")
    assert len(world.journal.read(order_id)) == 1
    assert len(world.venue.sent(f"{order_id}.e1", "D")) == len(world.venue.sent(f"{other}.e1", "D")) == 1
    until(lambda: stalled.gateway.status().owner == second.status().owner)
    assert second.status().epoch == 2


def test_an_uncertain_order_that_the_venue_has_is_not_sent_again(world: World, stalled: Stalled) -> None:
    order_id = world.order()
    cl_ord_id = f"{order_id}.s2"
    world.venue.mute.add(cl_ord_id)
    stalled.gateway.submit(order_id, entry_order(order_id, cl_ord_id), AT)
    until(lambda: world.venue.sent(cl_ord_id))
    stalled.stall()
    world.logged_on()
    assert [message.msg_type for message in world.venue.sent(cl_ord_id)] == ["D", "H"]
    until(lambda: world.state(cl_ord_id) == "acknowledged")
    # Nothing but the answer says that the order works, so the answer is journalled.
    assert [row.event for row in world.journal.read(order_id)] == [OrderAccepted(cl_ord_id=cl_ord_id, at=AT)]


def test_an_uncertain_order_that_the_venue_does_not_have_is_sent_again_under_its_cl_ord_id(
    world: World, stalled: Stalled
) -> None:
    order_id = world.order()
    cl_ord_id = f"{order_id}.s2"
    world.venue.deaf.add(cl_ord_id)
    stalled.gateway.submit(order_id, entry_order(order_id, cl_ord_id), AT)
    until(lambda: world.venue.sent(cl_ord_id))
    stalled.stall()
    world.venue.deaf.clear()
    second = world.gateway()
    # Handed in while the question is open or before it: it waits.
    new = world.order()
    second.submit(new, entry_order(new), AT)
    until(lambda: world.state(f"{new}.e1") == "acknowledged" and world.state(cl_ord_id) == "acknowledged")
    types = [(message.msg_type, message.get(97)) for message in world.venue.sent(cl_ord_id)]
    assert types == [("D", None), ("H", None), ("D", "Y")]
    ids = [message.get(11) for _, message in world.venue.received]
    assert ids.index(f"{new}.e1") > ids.index(cl_ord_id)
    assert [row.event for row in world.journal.read(order_id)] == [OrderAccepted(cl_ord_id=cl_ord_id, at=AT)]
    assert world.alerts.list(world.session) == []


@pytest.mark.parametrize("honours_resend", [True, False])
def test_an_uncertain_cancel_is_sent_again_and_its_refusal_as_a_duplicate_is_no_cancel_reject(
    world: World, stalled: Stalled, honours_resend: bool
) -> None:
    order_id = world.order()
    cancel = cancel_order(order_id, f"{order_id}.x2", f"{order_id}.e1")
    world.venue.mute.add(cancel.cl_ord_id)
    world.venue.honours_resend = honours_resend
    stalled.gateway.submit(order_id, cancel, AT)
    until(lambda: world.venue.sent(cancel.cl_ord_id))
    stalled.stall()
    world.logged_on()
    until(lambda: world.state(cancel.cl_ord_id) == "acknowledged")
    assert [(message.msg_type, message.get(97)) for message in world.venue.sent(cancel.cl_ord_id)] == [
        ("F", None),
        ("F", "Y"),
    ]
    assert world.journal.read(order_id) == []
    assert world.alerts.list(world.session) == []


def test_reports_that_a_gap_brings_back_are_recognised_and_delivered(world: World) -> None:
    """The first process has journalled and not delivered; while nobody was there, the order filled."""

    def fail(_rows: list[JournalRow]) -> "Future[None]":
        raise ConnectionError("nobody there")

    first = world.gateway(fail)
    until(lambda: first.status().logged_on)
    order_id = world.order()
    first.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.journal.read(order_id))
    world.venue.fill(f"{order_id}.e1", 10, "181.5")
    until(lambda: len(world.journal.read(order_id)) == 2)
    first.stop()
    assert world.lease().released
    second = world.gateway()
    until(lambda: len(world.woken) == 2)
    assert world.woken == world.journal.read(order_id)
    assert isinstance(world.woken[1].event, OrderFilled)
    until(lambda: not second.status().busy)
    second.stop()
    assert world.lease().inbound == world.venue.session.next_outbound


def test_a_lease_that_somebody_took_ends_the_session_at_once(world: World) -> None:
    gateway = world.logged_on()
    steal(world)
    order_id = world.order()
    # Claiming shows that the lease is gone: nothing is sent, the order waits for the new owner.
    assert gateway.submit(order_id, entry_order(order_id), AT).state == "pending"
    until(lambda: not world.venue.online)
    assert world.venue.received == []
    assert world.state(f"{order_id}.e1") == "pending"


def test_a_holder_whose_storage_stalls_stops_sending_before_its_lease_runs_out(world: World) -> None:
    storage = Faulty(world.tables)
    world.tables = storage
    gateway = world.logged_on(lease_seconds=1.5)
    storage.broken = True
    begun = time.monotonic()
    until(lambda: not world.venue.online)
    assert time.monotonic() - begun < 1.5
    storage.broken = False
    until(lambda: gateway.status().logged_on)
    assert gateway.status().epoch == 2


def test_a_claim_that_is_under_way_when_the_lease_runs_out_goes_through_the_outbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = world.logged_on()
    over = threading.Event()
    submit = LeaseWriter._submit

    def stalling(writer: LeaseWriter, lease: Lease, operations: list[Operation]) -> str:
        if lease.epoch == 1 and operations:
            over.wait(10)
            raise ServiceRequestError("no answer")
        return submit(writer, lease, operations)

    monkeypatch.setattr(LeaseWriter, "_submit", stalling)
    order_id = world.order()
    assert gateway.submit(order_id, entry_order(order_id), AT).state == "pending"
    over.set()
    until(lambda: world.state(f"{order_id}.e1") == "acknowledged")
    assert len(world.venue.sent(f"{order_id}.e1", "D")) == 1


def test_a_write_whose_answer_was_lost_is_found_to_be_done(world: World) -> None:
    storage = Faulty(world.tables)
    world.tables = storage
    gateway = world.logged_on()
    order_id = world.order()
    storage.lose_answers = 1
    assert gateway.submit(order_id, entry_order(order_id), AT).state == "sent"
    until(lambda: world.woken)
    assert storage.lose_answers == 0
    assert gateway.status().epoch == 1
    assert len(world.venue.sent(f"{order_id}.e1")) == 1


def test_a_handover_that_is_asked_for_takes_no_lease_time(world: World) -> None:
    first = world.gateway(lease_seconds=30)
    until(lambda: first.status().logged_on)
    second = Gateway(world.with_settings(lease_seconds=5), world.tables, None)
    second.start(world.wake)
    world.gateways.append(second)
    begun = time.monotonic()
    first.stop()
    until(lambda: second.status().logged_on)
    assert time.monotonic() - begun < 2


def test_a_late_report_of_an_uncertain_order_spares_its_second_sending(world: World) -> None:
    """ "Unknown" is the answer to a question that overtook the original (scenario 19)."""
    first = world.logged_on(order_release="manual")
    order_id = world.order()
    cl_ord_id = f"{order_id}.s2"
    first.submit(order_id, entry_order(order_id, cl_ord_id), AT)
    steal(world, released=True)
    until(lambda: not first.status().logged_on or first.status().epoch == 3)
    until(lambda: first.status().logged_on and first.status().held == 1)
    assert [message.msg_type for message in world.venue.sent(cl_ord_id)] == ["H"]
    world.venue.report(cl_ord_id, fix.ExecType.NEW, fix.OrdStatus.NEW, leaves_qty=Decimal(10))
    until(lambda: first.status().held == 0)
    assert first.release() == 0
    until(lambda: world.state(cl_ord_id) == "acknowledged")
    assert world.venue.sent(cl_ord_id, "D") == []


def test_more_uncertain_orders_than_a_block_has_numbers_are_all_asked_about(world: World, stalled: Stalled) -> None:
    orders = [world.order() for _ in range(45)]
    world.venue.mute |= {f"{order_id}.e1" for order_id in orders}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda order_id: stalled.gateway.submit(order_id, entry_order(order_id), AT), orders))
    until(lambda: len(world.venue.received) == 45)
    stalled.stall()
    second = world.gateway()
    until(lambda: {row.order_id for row in world.woken} > set(orders))
    assert all(world.venue.sent(f"{order_id}.e1", "H") for order_id in orders)
    assert all(len(world.venue.sent(f"{order_id}.e1", "D")) == 1 for order_id in orders)
    until(lambda: second.status().logged_on and not second.status().busy)
    assert second.status().next_outbound <= world.lease().block_end


def test_an_idle_session_stays_within_reserved_numbers_and_its_successor_can_log_on(world: World) -> None:
    first = world.logged_on(sequence_block=13, fix_heartbeat_seconds=1, lease_seconds=2)
    end = world.lease().block_end
    # Neither these nor the heartbeats that follow are told to anybody.
    world.venue.test_request(end - first.status().next_outbound - 1)
    until(lambda: world.venue.session.next_inbound > end)
    assert world.venue.logons == 1
    assert first.status().next_outbound <= world.lease().block_end
    steal(world, released=True)
    until(lambda: world.venue.logons == 2 and first.status().logged_on)


def test_no_number_leaves_that_is_not_reserved_however_many_the_venue_asks_for(world: World) -> None:
    gateway = world.logged_on()
    world.venue.test_request(2 * world.settings.sequence_block)
    until(lambda: world.venue.logons == 2 and gateway.status().logged_on)
    # The answers were withheld; what is expected next is the number after the second Logon's.
    until(lambda: world.venue.session.next_inbound == gateway.status().next_outbound)
    assert gateway.status().next_outbound <= world.lease().block_end
    assert world.venue.received == []


def steal(world: World, *, released: bool = False) -> None:
    """Take the lease as another process would."""
    row = world.tables.sessions.get_entity(world.session, ROW_KEY)
    row.update(owner="thief", epoch=row["epoch"] + 1, token="stolen", released=released)
    world.tables.sessions.update_entity(
        row, mode=UpdateMode.REPLACE, etag=row.metadata["etag"], match_condition=MatchConditions.IfNotModified
    )


class Faulty(Tables):
    """The same tables; the sessions' can be out of reach, or do what is asked and not say so."""

    def __init__(self, tables: Tables) -> None:
        self._real = tables
        self.broken = False
        self.lose_answers = 0

    def _table(self, name: str) -> Any:
        client = self._real._table(name)
        return _FaultyClient(self, client) if name == "Sessions" else client


class _FaultyClient:
    def __init__(self, faults: Faulty, client: Any) -> None:
        self._faults = faults
        self._client = client

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def faulty(*args: Any, **options: Any) -> Any:
            if self._faults.broken:
                raise ServiceRequestError("out of reach")
            answer = call(*args, **options)
            if name == "submit_transaction" and len(args[0]) > 1 and self._faults.lose_answers:
                self._faults.lose_answers -= 1
                raise ServiceRequestError("the answer was lost")
            return answer

        return faulty
