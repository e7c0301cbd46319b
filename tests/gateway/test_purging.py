"""What goes from the outbox and when, and that nothing is sent again because its row has gone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from azure.data.tables import TableTransactionError

from gateway.copies import Copies
from gateway.gateway import Gateway, Submission
from gateway.journal import Journal
from gateway.outbox import Entry
from gateway.purging import purge, purge_records, purge_watches
from storage.orders import OrderRecord
from storage.reconciliations import Reconciliations
from storage.watches import Watches
from tests.gateway.conftest import AT, World, cancel_order, entry_order, until
from tests.gateway.test_drop_copy import append
from trading.messages import RecordDetail, Timing
from trading.watches import Watch

ENDED = AT + timedelta(minutes=5)
NEXT_WEEK = datetime.now(UTC) + timedelta(days=8)


def end(world: World, order_id: str, at: datetime = ENDED) -> None:
    detail = RecordDetail(last_number=1, timing=Timing(received_at=AT))
    record = OrderRecord(outcome="filled", finished_at=at, detail=msgspec.json.encode(detail).decode())
    world.register.finish(order_id, record)


def acknowledged(world: World, gateway: Gateway, order_id: str) -> str:
    """The ClOrdID of an order that was sent and acknowledged."""
    command = entry_order(order_id)
    gateway.submit(order_id, command, AT)
    until(lambda: world.state(command.cl_ord_id) == "acknowledged")
    return command.cl_ord_id


def test_what_is_done_for_long_and_whose_order_has_ended_goes(world: World) -> None:
    gateway = world.logged_on()
    ended, still_open, dead, young = (world.order() for _ in range(4))
    for order_id in (ended, still_open):
        acknowledged(world, gateway, order_id)
    gateway.submit(dead, entry_order(dead, deadline=AT), AT)
    gateway.submit(young, entry_order(young, deadline=AT), datetime.now(UTC))
    waiting = world.order()
    world.outbox.insert(Entry(order_id=waiting, command=entry_order(waiting), at=AT))
    for order_id in (ended, dead, young, waiting):
        end(world, order_id)
    assert purge(world.outbox, world.register, world.settings) == 0
    assert purge(world.outbox, world.register, world.settings, NEXT_WEEK) == 2
    assert [world.state(f"{order_id}.e1") for order_id in (ended, dead)] == [None, None]
    assert world.state(f"{still_open}.e1") == "acknowledged"
    assert world.state(f"{young}.e1") == "dead"
    assert world.state(f"{waiting}.e1") is not None
    assert purge(world.outbox, world.register, world.settings, NEXT_WEEK) == 0


def test_more_rows_than_a_transaction_holds_go(world: World) -> None:
    order_id = world.order()
    for number in range(103):
        command = entry_order(order_id, f"{order_id}.e{number}")
        world.outbox.insert(Entry(order_id=order_id, command=command, at=AT, state="dead"))
    end(world, order_id)
    assert purge(world.outbox, world.register, world.settings, NEXT_WEEK) == 103


def test_a_row_that_changes_meanwhile_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = world.order()
    world.outbox.insert(Entry(order_id=order_id, command=entry_order(order_id), at=AT, state="dead"))
    (done,) = world.outbox.done_before(NEXT_WEEK)
    row = world.tables.sessions.get_entity(world.session, f"o|{order_id}.e1")
    world.tables.sessions.update_entity(row)
    with pytest.raises(TableTransactionError):
        world.outbox.remove([done])
    end(world, order_id)
    monkeypatch.setattr(world.outbox, "done_before", lambda _before: [done])
    assert purge(world.outbox, world.register, world.settings, NEXT_WEEK) == 0
    assert world.state(f"{order_id}.e1") == "dead"


def test_a_repeat_of_what_has_gone_is_not_sent_also_where_its_order_is_open_again(world: World) -> None:
    gateway = world.logged_on()
    order_id = world.order()
    name = acknowledged(world, gateway, order_id)
    end(world, order_id)
    assert purge(world.outbox, world.register, world.settings, NEXT_WEEK) == 1
    elsewhere = Gateway(world.settings, world.tables, None)
    cancel = cancel_order(order_id, f"{order_id}.x2", name)
    for _ in range(2):
        for handing_in in (gateway, elsewhere):
            assert handing_in.submit(order_id, entry_order(order_id), AT) == Submission(state="acknowledged")
            assert handing_in.submit(order_id, cancel, ENDED) == Submission(state="acknowledged")
        world.register.reopen(order_id, 1)
    assert world.state(name) is None
    # What it hands in since it was opened again leaves.
    later = entry_order(order_id, f"{order_id}.s3")
    gateway.submit(order_id, later, ENDED + timedelta(seconds=1))
    until(lambda: world.venue.sent(later.cl_ord_id))
    assert [message.get(11) for _, message in world.venue.received] == [name, later.cl_ord_id]


def test_a_repeat_whose_row_is_still_there_is_told_what_it_says(world: World) -> None:
    order_id = world.order()
    elsewhere = Gateway(world.settings, world.tables, None)
    dead = entry_order(order_id, deadline=AT)
    assert elsewhere.submit(order_id, dead, AT).not_sent
    end(world, order_id)
    assert elsewhere.submit(order_id, dead, AT) == Submission(state="dead", not_sent=True)


def test_what_nothing_else_ends_goes_with_the_outbox(world: World) -> None:
    """What came of each logon, and trades whose copies never came: of a drop copy that is switched off by now, too."""
    records, session = Reconciliations(world.tables), world.session
    today = datetime.now(UTC)
    for number in range(103):
        records.add(session, today - timedelta(days=8, seconds=number), b"old")
    records.add(session, today - timedelta(days=6), b"young")
    records.add(f"{session}-other", today - timedelta(days=8), b"other")
    copies = Copies(world.tables, f"FIX.4.4-D{session}-VENUE")
    append(Journal(world.tables, before_trade=copies.expect), world.order(), 1)
    world.tables.sessions.create_entity({"PartitionKey": session, "RowKey": "o|kept"})
    assert not world.settings.drop_copy_session
    assert purge_records(world.tables, world.settings) == 103
    assert (records.list(session, 10), records.list(f"{session}-other", 10)) == ([b"young"], [b"other"])
    assert len(copies.read()[0]) == 1
    assert purge_records(world.tables, world.settings, NEXT_WEEK) >= 2
    assert (records.list(session, 10), copies.read()[0]) == ([], {})
    assert world.tables.sessions.get_entity(session, "o|kept") is not None


def test_what_is_left_of_a_watch_goes_when_its_order_has_ended_for_long(world: World) -> None:
    watches, symbol = Watches(world.tables, 0), f"W{world.session}"
    ended, young, opened_again, _still_open = orders = [world.order() for _ in range(4)]
    for order_id in orders:
        watches.put(Watch(order_id=order_id, symbol=symbol, number=1, below=Decimal(95)))
        watches.put(Watch(order_id=order_id, symbol=symbol, number=2))
    for order_id, at in ((ended, ENDED), (young, datetime.now(UTC)), (opened_again, ENDED)):
        end(world, order_id, at)
    world.register.reopen(opened_again, 1)
    assert purge_watches(watches, world.register, world.settings) >= 1
    for order_id in orders:
        watches.put(Watch(order_id=order_id, symbol=symbol, number=1, below=Decimal(95)))
    assert [each.order_id for each in watches.waiting(symbol)] == [ended], "the others' rows have the number still"
