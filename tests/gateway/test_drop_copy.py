"""The drop copy against a venue on a real socket: what it tells is matched with the journal, whatever dies."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ServiceRequestError
from azure.data.tables import UpdateMode

from fix import orders as fix
from fix.message import Message
from fix.reconnect import Pauses, Reconnect
from fix.transport import connect
from gateway import drop_copy, line
from gateway.copies import Copies
from gateway.drop_copy import DropCopy, DropCopyStatus
from gateway.gateway import Gateway
from gateway.journal import Journal, Origin
from gateway.lease import ROW_KEY
from storage.tables import Tables
from tests.gateway.conftest import AT, World, entry_order, until
from tests.gateway.counterparty import Counterparty
from tests.gateway.test_hours import around_now
from tests.gateway.test_takeover import Faulty
from tests.venue.member import quote, venue
from trading.events import OrderFilled
from trading.identity import order_id_of, orphan_order_id
from trading.journal import JournalRow
from trading.orders import Side


class Copied:
    """A world with a drop copy, and the venue's side of that."""

    def __init__(self, world: World, refuse: str | None = None) -> None:
        client = f"D{uuid.uuid4().hex[:10].upper()}"
        self.world = world
        self.venue = Counterparty(client, refuse=refuse)
        world.settings = world.with_settings(
            drop_copy_sender_comp_id=client,
            drop_copy_port=self.venue.port,
            drop_copy_patience_seconds=0.6,
        )
        self.session = world.settings.drop_copy_session
        self.copies = Copies(world.tables, self.session)
        self._others: list[DropCopy] = []

    def other_process(self, tables: Tables | None = None, **changes: object) -> DropCopy:
        """The drop copy of a process that has nothing to do with the trading session."""
        own = self.world.with_settings(**changes)
        other = DropCopy(own, tables or self.world.tables, uuid.uuid4().hex, None, lambda: datetime.now(UTC))
        self._others.append(other)
        other.start()
        return other

    def trade(self, gateway: Gateway) -> str:
        """An order that the venue has; its ClOrdID."""
        order_id = self.world.order()
        command = entry_order(order_id)
        gateway.submit(order_id, command, AT)
        until(lambda: self.world.events(order_id))
        return command.cl_ord_id

    def codes(self, cl_ord_id: str) -> list[str]:
        return [alert.code for alert in self.world.alerts.list(cl_ord_id.partition(".")[0])]

    def session_codes(self) -> list[str]:
        return [alert.code for alert in self.world.alerts.list(self.session)]

    def rows(self) -> list[str]:
        """What is kept beside the lease."""
        found = self.world.tables.sessions.query_entities(f"PartitionKey eq '{self.session}'")
        return [str(row["RowKey"]) for row in found if row["RowKey"] != ROW_KEY]

    def lease(self) -> dict[str, Any]:
        return dict(self.world.tables.sessions.get_entity(self.session, ROW_KEY))

    def is_done(self, status: DropCopyStatus | None) -> bool:
        """Whether all that the venue has sent is processed."""
        assert status is not None
        return status.logged_on and status.next_inbound == self.venue.session.next_outbound

    def steal(self, **changes: object) -> None:
        """Take the lease as another process would, and let it go."""
        row = self.world.tables.sessions.get_entity(self.session, ROW_KEY)
        row.update(owner="thief", epoch=row["epoch"] + 1, token="stolen", released=True, **changes)
        self.world.tables.sessions.update_entity(
            row, mode=UpdateMode.REPLACE, etag=row.metadata["etag"], match_condition=MatchConditions.IfNotModified
        )

    def close(self) -> None:
        for other in self._others:
            other.stop()
        self.world.close()
        self.venue.close()


@pytest.fixture
def copied(tables: Tables) -> Iterator[Copied]:
    copied = Copied(World(tables))
    yield copied
    copied.close()


def both(copied: Copied) -> Gateway:
    """A process that holds both sessions."""
    gateway = copied.world.logged_on()
    until(lambda: own(gateway).logged_on)
    return gateway


def own(gateway: Gateway) -> DropCopyStatus:
    status = gateway.status().drop_copy
    assert status is not None
    return status


def test_a_trade_and_its_copy_meet_and_nothing_is_left_of_it(copied: Copied) -> None:
    gateway = both(copied)
    cl_ord_id = copied.trade(gateway)
    copied.venue.report(cl_ord_id, fix.ExecType.NEW, fix.OrdStatus.NEW)
    copied.world.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(copied.rows)
    copied.venue.fill(cl_ord_id, 10, "181.50", exec_id="T1")
    until(lambda: copied.is_done(own(gateway)) and copied.rows() == [])
    all_is_told(copied)
    assert copied.codes(cl_ord_id) == copied.session_codes() == []
    assert copied.venue.received == []
    gateway.stop()
    assert copied.lease()["inbound"] == copied.venue.session.next_outbound


def test_a_copy_that_comes_before_the_trade_waits_for_it(copied: Copied) -> None:
    gateway = both(copied)
    cl_ord_id = copied.trade(gateway)
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: own(gateway).waiting == 1)
    assert not copied.is_done(own(gateway))
    copied.world.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: copied.is_done(own(gateway)))
    assert own(gateway).waiting == 0
    all_is_told(copied)
    assert copied.codes(cl_ord_id) == []
    until(lambda: copied.rows() == [])


def test_a_trade_and_a_copy_that_name_only_the_venues_order_id_meet(copied: Copied) -> None:
    gateway = both(copied)
    cl_ord_id = copied.trade(gateway)
    for side in (copied.world.venue, copied.venue):
        side.report(
            "",
            fix.ExecType.TRADE,
            fix.OrdStatus.FILLED,
            order_id=f"V-{cl_ord_id}",
            exec_id="T1",
            last_qty=Decimal(10),
            last_px=Decimal("181.5"),
            cum_qty=Decimal(10),
        )
    until(lambda: copied.is_done(own(gateway)) and copied.rows() == [])
    all_is_told(copied)
    assert copied.codes(cl_ord_id) == []
    assert copied.world.alerts.list(orphan_order_id(f"V-{cl_ord_id}")) == []


def test_a_bust_is_matched_like_a_trade(copied: Copied) -> None:
    gateway = both(copied)
    cl_ord_id = copied.trade(gateway)
    for side, quantity in ((copied.world.venue, 10), (copied.venue, 9)):
        side.fill(cl_ord_id, 10, "181.5", exec_id="T1")
        side.report(
            cl_ord_id,
            fix.ExecType.TRADE_CANCEL,
            fix.OrdStatus.NEW,
            exec_id="T2",
            exec_ref_id="T1",
            last_qty=Decimal(quantity),
            last_px=Decimal("181.5"),
        )
    until(lambda: copied.is_done(own(gateway)))
    (alert,) = copied.world.alerts.list(cl_ord_id.partition(".")[0])
    assert alert.code == "DROP_COPY_DIFFERS"
    assert "LastQty (32) copy=9 journal=10" in alert.text
    assert copied.rows() == []


def test_a_trade_that_only_the_drop_copy_tells_is_an_alert_with_its_numbers(copied: Copied) -> None:
    gateway = both(copied)
    cl_ord_id = copied.trade(gateway)
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: copied.is_done(own(gateway)))
    (alert,) = copied.world.alerts.list(cl_ord_id.partition(".")[0])
    assert alert.code == "DROP_COPY_UNKNOWN"
    assert alert.text.endswith(f"ClOrdID={cl_ord_id} ExecID=T1 buy 10 IBM at 181.5 on 2013-10-07T13:30:00+00:00")
    # The same trade in a message of another number, as a venue may send it, is the same alert.
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: copied.is_done(own(gateway)))
    assert copied.codes(cl_ord_id) == ["DROP_COPY_UNKNOWN"]
    # When its report comes after all, nobody waits for a second copy.
    copied.world.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: len(copied.world.journal.read(cl_ord_id.partition(".")[0])) == 2)
    until(lambda: copied.rows() == [])
    all_is_told(copied)
    assert copied.codes(cl_ord_id) == ["DROP_COPY_UNKNOWN"]


def test_a_trade_that_comes_late_and_is_not_what_the_copy_said_is_an_alert(copied: Copied) -> None:
    gateway = both(copied)
    cl_ord_id = copied.trade(gateway)
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: copied.codes(cl_ord_id))
    copied.world.venue.fill(cl_ord_id, 10, "181.4", exec_id="T1")
    until(lambda: len(copied.codes(cl_ord_id)) == 2)
    assert set(copied.codes(cl_ord_id)) == {"DROP_COPY_UNKNOWN", "DROP_COPY_DIFFERS"}
    until(lambda: copied.rows() == [])


def test_a_trade_of_nobody_here_is_an_alert(copied: Copied) -> None:
    drop_copy = copied.other_process()
    until(lambda: drop_copy.status().logged_on)
    theirs = f"THEIRS{uuid.uuid4().hex}"
    copied.venue.fill(theirs, 10, "181.5", exec_id="T1")
    until(lambda: copied.is_done(drop_copy.status()))
    assert [alert.code for alert in copied.world.alerts.list(f"orphan-{theirs}")] == ["DROP_COPY_UNKNOWN"]


def test_a_trade_without_a_copy_is_an_alert_once(copied: Copied) -> None:
    gateway = both(copied)
    cl_ord_id = copied.trade(gateway)
    copied.world.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: copied.codes(cl_ord_id) and copied.rows() == [])
    (alert,) = copied.world.alerts.list(cl_ord_id.partition(".")[0])
    assert alert.code == "DROP_COPY_MISSING"
    assert f"row 2 of the journal in 0.6 s: OrderFilled ClOrdID={cl_ord_id} ExecID=T1 buy 10 IBM at 181.5" in alert.text
    # It comes after all.
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: copied.is_done(own(gateway)))
    all_is_told(copied)
    assert copied.codes(cl_ord_id) == ["DROP_COPY_MISSING"]


def test_a_copy_that_is_expected_once_the_journal_has_the_trade_is_not_missed(copied: Copied) -> None:
    """A second writer of the trade was about to journal it, and could not take that back."""
    gateway = both(copied)
    cl_ord_id = copied.trade(gateway)
    copied.world.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: len(copied.world.events(cl_ord_id.partition(".")[0])) == 2 and copied.is_done(own(gateway)))
    until(lambda: copied.rows() == [])
    copied.copies.expect(copied.world.journal.read(cl_ord_id.partition(".")[0])[1])
    assert len(copied.rows()) == 1
    until(lambda: copied.rows() == [])
    assert copied.codes(cl_ord_id) == []


def test_no_copy_is_missed_while_the_session_is_out(copied: Copied) -> None:
    copied.venue.refuse = "not now"
    gateway = copied.world.logged_on()
    cl_ord_id = copied.trade(gateway)
    copied.world.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: copied.session_codes() == ["DROP_COPY_DOWN"])
    assert copied.codes(cl_ord_id) == []
    copied.venue.refuse = None
    until(lambda: own(gateway).logged_on)
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: copied.is_done(own(gateway)))
    all_is_told(copied)
    assert copied.codes(cl_ord_id) == []


def test_no_copy_is_missed_while_the_venue_resends(copied: Copied) -> None:
    counted = Counted(copied.world.tables)
    watching = copied.other_process(counted, drop_copy_patience_seconds=0.4)
    until(lambda: watching.status().logged_on)
    order_id = copied.world.order()
    append(Journal(copied.world.tables, before_trade=copied.copies.expect), order_id, 1)

    def resends() -> bool:
        done = watching.status().next_inbound
        copied.venue.store(news())  # lost on its way
        copied.venue.send(news())
        until(lambda: watching.status().next_inbound > done + 1)
        return counted.calls.count("Sessions.query_entities") > 5

    until(resends)
    assert copied.world.alerts.list(order_id) == []
    until(lambda: copied.world.alerts.list(order_id))


def test_a_trade_that_was_announced_and_not_journalled_is_not_missed(copied: Copied) -> None:
    drop_copy = copied.other_process()
    until(lambda: drop_copy.status().logged_on)
    order_id = copied.world.order()
    dying = Dying(copied.world.tables, before_trade=copied.copies.expect)
    with pytest.raises(KeyboardInterrupt):
        append(dying, order_id, 1)
    assert len(copied.rows()) == 1
    all_is_told(copied)
    assert copied.world.alerts.list(order_id) == []
    # The venue tells the successor again, and now a copy is waited for.
    append(Journal(copied.world.tables, before_trade=copied.copies.expect), order_id, 1)
    until(lambda: copied.world.alerts.list(order_id))
    until(lambda: copied.rows() == [])


def test_a_copy_whose_process_died_before_it_was_processed_comes_again_and_is_told_once(copied: Copied) -> None:
    gateway = both(copied)
    cl_ord_id = copied.trade(gateway)
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: own(gateway).waiting == 1)
    copied.steal()
    until(lambda: own(gateway).epoch == 3 and own(gateway).waiting == 1)
    until(lambda: copied.is_done(own(gateway)))
    assert copied.codes(cl_ord_id) == ["DROP_COPY_UNKNOWN"]
    # It was told, and neither that nor the number of its message were written down.
    (unknown,) = copied.rows()
    copied.world.tables.sessions.delete_entity(copied.session, unknown)
    copied.steal(inbound=1)
    until(lambda: own(gateway).epoch == 5 and own(gateway).waiting == 1)
    until(lambda: copied.is_done(own(gateway)))
    assert copied.codes(cl_ord_id) == ["DROP_COPY_UNKNOWN"]


def test_another_process_takes_over_where_the_first_loses_storage(copied: Copied) -> None:
    storage = Faulty(copied.world.tables)
    first = copied.other_process(storage)
    until(lambda: first.status().logged_on)
    trading = copied.world.logged_on()
    cl_ord_id = copied.trade(trading)
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: first.status().waiting == 1)
    storage.broken = True
    until(lambda: own(trading).logged_on)
    assert own(trading).epoch == 2
    assert not first.status().logged_on
    # The copy had been received, and comes again.
    copied.world.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: copied.is_done(own(trading)))
    all_is_told(copied)
    assert copied.codes(cl_ord_id) == []
    until(lambda: copied.rows() == [])


def test_a_handover_that_is_asked_for_takes_no_lease_time(copied: Copied) -> None:
    first = copied.other_process(lease_seconds=30)
    until(lambda: first.status().logged_on)
    second = copied.other_process(lease_seconds=2)
    begun = time.monotonic()
    first.stop()
    until(lambda: second.status().logged_on)
    assert time.monotonic() - begun < 3


def test_an_outage_is_told_once_whoever_notices_it_and_trading_goes_on(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_PAUSES", Pauses(first=0.2, longest=0.3))
    copied.venue.refuse = "who are you"
    gateway = copied.world.logged_on()
    until(copied.session_codes)
    assert "who are you" in own(gateway).text
    copied.steal()
    until(lambda: own(gateway).epoch == 3)
    tries = len(copied.venue.logon_messages)
    until(lambda: len(copied.venue.logon_messages) == tries + 6)  # for longer than the patience
    assert copied.session_codes() == ["DROP_COPY_DOWN"]
    assert copied.rows() == ["outage"]
    assert gateway.status().logged_on
    copied.trade(gateway)
    copied.venue.refuse = None
    until(lambda: own(gateway).logged_on)
    assert own(gateway).text == ""
    until(lambda: copied.rows() == [])
    # The next one is another.
    copied.venue.refuse = "not again"
    copied.venue.cut()
    until(lambda: len(copied.session_codes()) == 2)


def test_a_connection_that_is_lost_for_a_moment_is_no_outage(copied: Copied) -> None:
    gateway = both(copied)
    copied.venue.cut()
    until(lambda: copied.venue.logons == 2 and own(gateway).logged_on)
    all_is_told(copied)
    assert copied.session_codes() == []
    assert gateway.status().epoch == own(gateway).epoch == 1


def test_what_is_no_trade_is_processed_and_nothing_is_answered(copied: Copied) -> None:
    gateway = both(copied)
    copied.venue.report("order-1.e1", fix.ExecType.NEW, fix.OrdStatus.NEW)
    copied.venue.send(news())
    copied.venue.send(Message("8", [(37, "V1"), (17, "T1"), (150, "F"), (797, "Y")]))
    until(lambda: copied.is_done(own(gateway)))
    (alert,) = copied.world.alerts.list(copied.session)
    assert alert.code == "DROP_COPY_UNREADABLE"
    assert alert.text.startswith("message 4 (8) cannot be read: tag ")
    assert copied.venue.received == []


def test_a_copy_that_the_session_rejects_is_an_alert_since_it_does_not_come_again(copied: Copied) -> None:
    watching = copied.other_process()
    until(lambda: watching.status().logged_on)
    copied.venue.mistimed(lambda: copied.venue.fill("a.e1", 10, "3000"), "yesterday")
    until(lambda: copied.is_done(watching.status()))
    assert copied.session_codes() == ["DROP_COPY_UNREADABLE"]


def test_out_of_hours_there_is_no_session_and_nothing_of_before_is_left_unsettled(copied: Copied) -> None:
    hours = around_now(ends_in=timedelta(seconds=7))
    watching = copied.other_process(fix_schedule=hours, drop_copy_patience_seconds=6.0)
    until(lambda: watching.status().logged_on)
    cl_ord_id = f"{copied.world.order()}.e1"
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: not copied.venue.online)
    assert (watching.status().waiting, copied.codes(cl_ord_id)) == (1, [])
    # The venue's numbers may begin again: it will not send this once more.
    until(lambda: copied.lease()["released"])
    assert copied.codes(cl_ord_id) == ["DROP_COPY_UNKNOWN"]
    assert copied.lease()["inbound"] == copied.venue.session.next_outbound
    until(lambda: watching.status().text.startswith("out of hours until "))
    assert copied.session_codes() == []


def test_a_reset_begins_the_numbers_again_when_what_has_come_is_settled(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_copy, "_RESET_LOOK", 0.1)
    watching = copied.other_process()
    until(lambda: watching.status().logged_on)
    cl_ord_id = f"{copied.world.order()}.e1"
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: watching.status().waiting == 1)
    watching.reset()
    until(lambda: copied.lease()["generation"] == 2 and watching.status().logged_on)
    assert copied.codes(cl_ord_id) == ["DROP_COPY_UNKNOWN"]
    logon = copied.venue.logon_messages[-1]
    assert (logon.require(34), logon.get(141)) == ("1", "Y")
    # It is done once.
    until(lambda: not copied.lease()["reset"])
    copied.venue.cut()
    until(lambda: copied.venue.logon_messages[-1].get(141) is None and watching.status().logged_on)
    assert copied.lease()["generation"] == 2


def test_an_answered_reset_is_written_down_as_soon_as_it_is_answered(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_epoch: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("gateway.drop_copy._Epoch._watch_outage", nothing)
    monkeypatch.setattr(drop_copy, "_RESET_LOOK", 0.1)
    watching = copied.other_process()
    until(lambda: watching.status().logged_on)
    watching.reset()
    until(lambda: copied.lease()["generation"] == 2 and not copied.lease()["reset"])


def test_a_session_lasts_from_its_logon_and_not_from_the_first_try_to_connect(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow to connect, a host that drops every session is one that fails."""
    lasted: list[float] = []

    class Noting(Reconnect):
        def ended(self, seconds: float) -> None:
            lasted.append(seconds)
            super().ended(seconds)

    async def slowly(*args: Any, **options: Any) -> Any:
        await asyncio.sleep(0.7)
        return await connect(*args, **options)

    monkeypatch.setattr(line, "Reconnect", Noting)
    monkeypatch.setattr(line, "connect", slowly)
    watching = copied.other_process()
    until(lambda: watching.status().logged_on)
    copied.venue.cut()
    until(lambda: lasted)
    assert lasted[0] < 0.7


def test_numbers_that_the_venue_refuses_are_told_with_the_way_out(copied: Copied) -> None:
    copied.venue.refuse = "MsgSeqNum too low, expecting 57 but received 1"
    watching = copied.other_process()
    until(lambda: "POST /api/session/drop-copy/reset has both sides begin again at 1" in watching.status().text)


def test_more_copies_than_may_wait_are_left_at_the_venue(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drop_copy, "_MOST_WAITING", 4)
    gateway = both(copied)
    cl_ord_id = copied.trade(gateway)
    for number in range(4):
        copied.venue.fill(cl_ord_id, 1, "181.5", exec_id=f"T{number}")
    until(lambda: not copied.venue.online)
    until(lambda: "4 copies wait" in own(gateway).text)
    assert gateway.status().logged_on
    for number in range(4):
        copied.world.venue.fill(cl_ord_id, 1, "181.5", exec_id=f"T{number}")
    until(lambda: copied.is_done(own(gateway)))
    assert copied.venue.logons == 2
    all_is_told(copied)
    assert copied.codes(cl_ord_id) == []
    until(lambda: copied.rows() == [])


def test_an_idle_session_stays_within_reserved_numbers(copied: Copied) -> None:
    drop_copy = copied.other_process(sequence_block=50)
    until(lambda: drop_copy.status().logged_on)
    copied.venue.test_request(200)
    until(lambda: copied.venue.logons == 2 and drop_copy.status().logged_on)
    until(lambda: copied.venue.session.next_inbound > 50)
    assert copied.venue.session.next_inbound <= copied.lease()["block_end"]


def test_a_repeat_of_a_trade_is_not_waited_for_again(copied: Copied) -> None:
    order_id = copied.world.order()
    first = Journal(copied.world.tables, before_trade=copied.copies.expect)
    row, _ = append(first, order_id, 1)
    (key,) = copied.rows()
    copied.world.tables.sessions.delete_entity(copied.session, key)
    successor = Journal(copied.world.tables, before_trade=copied.copies.expect)
    assert append(successor, order_id, 1) == append(successor, order_id, 2) == (row, False)
    # One that had the session before remembers what was so then.
    append(successor, order_id, 3, exec_id="T2")
    until(copied.rows)
    for key in copied.rows():
        copied.world.tables.sessions.delete_entity(copied.session, key)
    first.forget()
    assert append(first, order_id, 3, exec_id="T2")[1] is False
    assert copied.rows() == []


def test_a_trade_whose_row_was_written_without_an_answer_is_not_waited_for_again(copied: Copied) -> None:
    journal = Unheard(copied.world.tables, before_trade=copied.copies.expect)
    order_id = copied.world.order()
    journal.is_heard = True
    append(journal, order_id, 1, exec_id="T0")
    journal.is_heard = False
    with pytest.raises(ServiceRequestError):
        append(journal, order_id, 2)
    for key in copied.rows():
        copied.world.tables.sessions.delete_entity(copied.session, key)  # its copy has come
    assert append(journal, order_id, 2)[1] is False
    assert copied.rows() == []


def test_a_trade_that_another_process_has_journalled_meanwhile_is_not_waited_for_again(copied: Copied) -> None:
    order_id = copied.world.order()

    def stopped(row: JournalRow) -> Callable[[], None] | None:
        successor = Journal(copied.world.tables, before_trade=copied.copies.expect)
        append(successor, order_id, 1, received_at=AT + timedelta(seconds=1))
        (key,) = copied.rows()
        copied.world.tables.sessions.delete_entity(copied.session, key)  # its copy has come
        return copied.copies.expect(row)

    assert append(Journal(copied.world.tables, before_trade=stopped), order_id, 1)[1] is False
    assert copied.rows() == []


def test_a_trade_waits_no_longer_than_two_seconds_for_its_row(copied: Copied) -> None:
    allowed: list[float] = []

    class Slow(Tables):
        """Storage that answers nothing for as long as it is let."""

        def __init__(self) -> None:
            pass

        def _table(self, _name: str) -> Any:
            return self

        def create_entity(self, _row: object, **options: Any) -> None:
            assert options["retry_total"] == 0
            allowed.append(options["connection_timeout"] + options["read_timeout"])
            raise ServiceRequestError("slow")

    append(Journal(copied.world.tables, before_trade=Copies(Slow(), copied.session).expect), copied.world.order(), 1)
    assert allowed
    assert allowed[0] <= 2


def test_a_trade_is_journalled_even_where_nobody_can_be_told_of_it(copied: Copied) -> None:
    storage = Faulty(copied.world.tables)
    storage.broken = True
    order_id = copied.world.order()
    journal = Journal(copied.world.tables, before_trade=Copies(storage, copied.session).expect)
    assert append(journal, order_id, 1)[1] is True
    assert copied.rows() == []


def test_what_the_exchange_tells_only_one_of_the_two_sessions_is_told_to_a_human(
    copied: Copied, tmp_path: Path
) -> None:
    world = copied.world
    member, watcher = world.settings.fix_sender_comp_id, world.settings.drop_copy_sender_comp_id
    with venue(tmp_path, "--drop-copy", f"{member}={watcher}") as exchange:
        gateway = world.logged_on(fix_port=exchange.fix_port, drop_copy_port=exchange.fix_port)
        until(lambda: own(gateway).logged_on)

        def lose_trades_of(client: str) -> None:
            session = f"FIX.4.4-VENUE-{client}"
            fault = {"direction": "outbound", "action": "lose", "fields": {"150": "F"}, "session": session}
            asyncio.run(exchange.post("/faults", fault))

        def trade() -> str:
            cl_ord_id = copied.trade(gateway)
            asyncio.run(exchange.prices(quote("IBM", "181", "181.5")))
            return cl_ord_id

        both_told = trade()
        until(lambda: len(world.journal.read(order_id_of(both_told) or "")) == 2)
        lose_trades_of(watcher)
        only_trading = trade()
        until(lambda: copied.codes(only_trading) == ["DROP_COPY_MISSING"])
        asyncio.run(exchange.delete("/faults"))
        lose_trades_of(member)
        only_copy = trade()
        until(lambda: copied.codes(only_copy) == ["DROP_COPY_UNKNOWN"])
        assert len(world.journal.read(order_id_of(only_copy) or "")) == 1
        assert copied.codes(both_told) == copied.session_codes() == []


def test_without_a_drop_copy_nothing_is_done_for_one(world: World) -> None:
    counted = Counted(world.tables)
    append(Journal(counted), world.order(), 1)
    assert counted.calls == ["Journal.create_entity"]
    gateway = world.logged_on()
    assert gateway.status().drop_copy is None
    assert not any(thread.name.startswith("drop-copy") for thread in threading.enumerate())


def test_with_a_drop_copy_a_trade_costs_one_more_write(copied: Copied) -> None:
    counted = Counted(copied.world.tables)
    order_id = copied.world.order()
    journal = Journal(counted, before_trade=Copies(counted, copied.session).expect)
    append(journal, order_id, 1)
    assert counted.calls == ["Journal.query_entities", "Sessions.create_entity", "Journal.create_entity"]
    counted.calls.clear()
    append(journal, order_id, 2, exec_id="T2")
    assert counted.calls == ["Sessions.create_entity", "Journal.create_entity"]


def test_a_match_costs_one_read_of_the_order_and_a_part_of_a_write(copied: Copied) -> None:
    counted = Counted(copied.world.tables)
    watching = copied.other_process(counted)
    until(lambda: watching.status().logged_on)
    order_id = copied.world.order()
    append(Journal(copied.world.tables, before_trade=copied.copies.expect), order_id, 1)
    copied.venue.fill(f"{order_id}.e1", 10, "181.5", exec_id="T1")
    until(lambda: copied.is_done(watching.status()))
    assert [call for call in counted.calls if call.startswith(("Journal", "Alerts"))] == ["Journal.query_entities"]
    assert copied.rows() == []


def test_a_trade_of_an_order_that_nobody_knew_is_found_among_the_orphans(copied: Copied) -> None:
    watching = copied.other_process()
    until(lambda: watching.status().logged_on)
    cl_ord_id = f"{copied.world.order()}.e1"
    orphan = orphan_order_id(cl_ord_id)
    append(Journal(copied.world.tables, before_trade=copied.copies.expect), orphan, 1, cl_ord_id=cl_ord_id)
    copied.venue.fill(cl_ord_id, 10, "181.5", exec_id="T1")
    until(lambda: copied.is_done(watching.status()))
    all_is_told(copied)
    assert copied.codes(cl_ord_id) == []
    assert copied.world.alerts.list(orphan) == []


def news() -> Message:
    return Message("B", [(148, "news"), (33, "1"), (58, "text")])


def all_is_told(copied: Copied) -> None:
    """Wait until a human was told of whatever there was to tell until now: of a later trade without a copy they are."""
    order_id = copied.world.order()
    append(Journal(copied.world.tables, before_trade=copied.copies.expect), order_id, 1)
    until(lambda: copied.world.alerts.list(order_id))


def append(
    journal: Journal,
    order_id: str,
    number: int,
    exec_id: str = "T1",
    cl_ord_id: str = "",
    received_at: datetime = AT,
) -> tuple[JournalRow, bool]:
    event = OrderFilled(
        cl_ord_id=cl_ord_id or f"{order_id}.e1",
        exec_id=exec_id,
        quantity=Decimal(10),
        price=Decimal("181.5"),
        cum_quantity=Decimal(10),
        leaves_quantity=Decimal(0),
        at=AT,
    )
    return journal.append(
        order_id,
        event,
        origin=Origin("FIX.4.4-A-B", 1, number),
        symbol="IBM",
        side=Side.BUY,
        received_at=received_at,
    )


class Unheard(Journal):
    """One whose first row is written, and the answer is lost."""

    is_heard = False

    def _insert(self, row: JournalRow, marks: list[str]) -> bool:
        inserted = super()._insert(row, marks)
        if not self.is_heard:
            self.is_heard = True
            raise ServiceRequestError("no answer")
        return inserted


class Dying(Journal):
    """One whose process ends before the row is there."""

    def _insert(self, row: JournalRow, marks: list[str]) -> bool:
        raise KeyboardInterrupt(row, marks)


class Counted(Tables):
    """The same tables; what is asked of them is noted."""

    def __init__(self, tables: Tables) -> None:
        self._real = tables
        self.calls: list[str] = []

    def _table(self, name: str) -> Any:
        return _CountedClient(self, name, self._real._table(name))


class _CountedClient:
    def __init__(self, counted: Counted, table: str, client: Any) -> None:
        self._counted = counted
        self._table = table
        self._client = client

    def __getattr__(self, name: str) -> Any:
        self._counted.calls.append(f"{self._table}.{name}")
        return getattr(self._client, name)
