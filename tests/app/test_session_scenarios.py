"""Scenarios of the session with the whole system in processes of their own, in real time."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.journal import Journal
from gateway.outbox import UNCERTAIN, Entry, Outbox
from player.stack import Stack, StackOptions, running
from storage.alerts import Alerts
from storage.tables import Tables
from tests.app.test_http import LIMITS, Api, placed, until, working
from trading.commands import SubmitOrder
from trading.events import OrderFilled
from trading.identity import orphan_order_id
from trading.orders import OrderType, Side

SESSION = "FIX.4.4-DESK-VENUE"
QUICK = {**LIMITS, "FIX_HEARTBEAT_SECONDS": "1"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    out: Path = tmp_path_factory.mktemp("without")
    with running(StackOptions(out=out, lockstep=False, settings=QUICK)) as started:
        yield started


@contextmanager
def silent_venue(stack: Stack) -> Iterator[None]:
    """The venue's process is stopped: connections are taken, and nothing is answered."""
    os.kill(stack.venue_process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stack.venue_process.pid, signal.SIGCONT)


def logged_on(stack: Stack) -> bool:
    return bool(stack.host.get("/api/session")["logged_on"])


def outbox_state(stack: Stack, cl_ord_id: str) -> str:
    stored = Outbox(Tables(stack.storage_connection), SESSION).read(cl_ord_id)
    assert stored is not None
    return stored.entry.state


def held_positions(stack: Stack) -> list[dict[str, str]]:
    positions: list[dict[str, str]] = stack.host.get("/api/positions")["positions"]
    return positions


def ids_at_venue(stack: Stack) -> list[str]:
    return [cl_ord_id for order in stack.venue.get("/orders") for cl_ord_id in order["cl_ord_ids"]]


def test_29_an_execution_of_an_order_that_nobody_knows_counts_and_is_told(stack: Stack) -> None:
    """It has left through the outbox; nobody registered it, and the process that has sent it is gone."""
    stranger = "stranger-29"
    order = SubmitOrder(
        cl_ord_id=f"{stranger}.e1",
        symbol="STRANGE",
        side=Side.BUY,
        quantity=Decimal(7),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(100),
    )
    tables = Tables(stack.storage_connection)
    Outbox(tables, SESSION).insert(Entry(order_id=stranger, command=order, at=datetime.now(UTC)))
    until(lambda: f"{stranger}.e1" in ids_at_venue(stack))
    os.kill(stack.host_process.pid, signal.SIGKILL)
    quote = {"kind": "quote", "symbol": "STRANGE", "bid": "99", "ask": "100", "bid_size": None, "ask_size": None}
    stack.venue.post("/prices", {"events": [quote]})
    until(lambda: not stack.host_process.is_running())
    stack.check()

    api = Api(stack.host_port)
    orphan = orphan_order_id(f"{stranger}.e1")
    rows = until(lambda: [row for row in Journal(tables).read(orphan) if isinstance(row.event, OrderFilled)])
    assert [(row.event.quantity, row.event.price) for row in rows] == [(7, 100)]
    until(lambda: {held["symbol"]: held["quantity"] for held in held_positions(stack)}.get("STRANGE") == "7")
    assert "ORPHAN_EXECUTION" in [alert.code for alert in Alerts(tables).list(orphan)]
    assert [each for each in ids_at_venue(stack) if each.startswith("stranger")] == [f"{stranger}.e1"]
    assert api("GET", f"/api/orders/{stranger}")[0] == 404


def test_40_what_never_left_by_its_deadline_ends_as_not_sent_and_never_leaves(stack: Stack) -> None:
    api = Api(stack.host_port)
    with silent_venue(stack):
        until(lambda: not logged_on(stack))
        order_id = placed(api, valid_for=2)
        entry = f"{order_id}.e1"
        until(lambda: api.order(order_id)["outcome"] == "not_sent")
        assert outbox_state(stack, entry) == "dead"
        assert order_id not in str(api("GET", "/api/exposure"))
        alerts = Alerts(Tables(stack.storage_connection)).list(order_id)
        assert [alert.code for alert in alerts] == ["ORDER_NOT_SENT"]
    later = placed(api)
    working(api, later)
    assert f"{later}.e1" in ids_at_venue(stack)
    assert entry not in ids_at_venue(stack)
    assert outbox_state(stack, entry) == "dead"


def test_40_what_was_claimed_by_its_deadline_is_unknown_until_the_venue_has_been_asked(stack: Stack) -> None:
    """It was lost at the venue's door, and then there was no session."""
    api = Api(stack.host_port)
    stack.venue.post("/faults", {"direction": "inbound", "action": "lose", "fields": {"35": "D", "55": "LOST"}})
    order_id = placed(api, symbol="LOST", valid_for=4)
    entry = f"{order_id}.e1"
    until(lambda: stack.venue.get("/faults")[0]["cl_ord_ids"] == [entry])
    stack.venue.delete("/faults")
    with silent_venue(stack):
        until(lambda: not logged_on(stack))
        # Its time runs out: what it asks for then is a cancel, which the venue has to answer too.
        until(lambda: api.order(order_id)["children"][0]["status"] == "pending_cancel")
        order = api.order(order_id)
        assert order["outcome"] is None
        assert outbox_state(stack, entry) in UNCERTAIN
        assert order_id in str(api("GET", "/api/exposure"))
    until(lambda: api.order(order_id)["outcome"])
    assert api.order(order_id)["filled_quantity"] == "0"
    until(lambda: outbox_state(stack, entry) == "acknowledged")
    assert entry not in ids_at_venue(stack)
    assert order_id not in str(api("GET", "/api/exposure"))
