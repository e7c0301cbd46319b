"""What the gateway's tests are made of: short leases, unique sessions, a venue that does as it is told."""

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.delivery import Wake
from gateway.gateway import Gateway
from gateway.journal import Journal
from gateway.lease import ROW_KEY, Lease
from gateway.outbox import Outbox
from storage.alerts import Alerts
from storage.orders import OrderRegister
from storage.settings import Secret, Settings
from storage.tables import Tables
from tests.gateway.counterparty import Counterparty
from trading.commands import CancelOrder, SubmitOrder
from trading.events import VenueEvent
from trading.journal import JournalRow
from trading.orders import OrderType, Side

AT = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def until(condition: Callable[[], object], within: float = 10) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


class MarketClock:
    """The market's time, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set(AT)

    def set(self, at: datetime) -> None:
        self.path.write_text(at.isoformat())


class World:
    """One session with its venue, its storage, and as many gateways as the test starts."""

    def __init__(self, tables: Tables, *, refuse: str | None = None) -> None:
        client = f"C{uuid.uuid4().hex[:10].upper()}"
        self.venue = Counterparty(client, refuse=refuse)
        self.tables = tables
        self.settings = Settings(
            storage_connection=Secret("not used here"),
            fix_host="127.0.0.1",
            fix_port=self.venue.port,
            fix_sender_comp_id=client,
            fix_target_comp_id="VENUE",
            lease_seconds=1.2,
            sequence_block=50,
            max_order_notional=Decimal(1),
            max_symbol_notional=Decimal(1),
            max_gross_notional=Decimal(1),
        )
        self.session = self.settings.session
        self.register = OrderRegister(tables)
        self.journal = Journal(tables)
        self.outbox = Outbox(tables, self.session)
        self.alerts = Alerts(tables)
        self.woken: list[JournalRow] = []
        self.wake_ups = 0
        self.gateways: list[Gateway] = []
        self._orders = itertools.count(1)

    def with_settings(self, **changes: object) -> Settings:
        return msgspec.structs.replace(self.settings, **changes)

    def gateway(self, wake: Wake | None = None, **changes: object) -> Gateway:
        """A gateway as a process of its own would have it, started."""
        gateway = Gateway(self.with_settings(**changes), self.tables, None)
        gateway.start(wake or self.wake)
        self.gateways.append(gateway)
        return gateway

    def logged_on(self, **changes: Any) -> Gateway:
        """The same, and it holds the session."""
        gateway = self.gateway(**changes)
        until(lambda: gateway.status().logged_on and not gateway.status().busy)
        return gateway

    def wake(self, rows: list[JournalRow]) -> "Future[None]":
        self.woken += rows
        self.wake_ups += 1
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def order(self) -> str:
        """The id of a new order that the register knows."""
        order_id = f"order-{self.session[8:18]}-{next(self._orders)}"
        self.register.register(order_id, "token", "{}", AT)
        return order_id

    def lease(self) -> Lease:
        row = self.tables.sessions.get_entity(self.session, ROW_KEY)
        return Lease(**{field: row[field] for field in Lease.__struct_fields__})

    def state(self, cl_ord_id: str) -> str | None:
        stored = self.outbox.read(cl_ord_id)
        return stored.entry.state if stored else None

    def events(self, order_id: str) -> list[VenueEvent]:
        """What its orchestration was told of an order."""
        return [row.event for row in self.woken if row.order_id == order_id]

    def close(self) -> None:
        for gateway in self.gateways:
            gateway.stop()
        self.venue.close()


@pytest.fixture
def tables(storage_connection: str) -> Tables:
    """Tables of the test's own: what it finds open is its own, too."""
    return Tables(storage_connection, f"T{uuid.uuid4().hex[:12]}")


@pytest.fixture
def world(tables: Tables) -> Iterator[World]:
    world = World(tables)
    yield world
    world.close()


class Stalled:
    """A gateway whose event loop stands still from the first wake-up on, like a stopped process, until `go_on`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._standing = threading.Event()
        self._going_on = threading.Event()
        self.gateway = world.gateway(self._wake)
        until(lambda: self.gateway.status().logged_on and not self.gateway.status().busy)

    def stall(self) -> str:
        """Stop it, by an order whose report it then does not deliver; that order's id."""
        order_id = self.world.order()
        self.gateway.submit(order_id, entry_order(order_id), AT)
        assert self._standing.wait(5)
        return order_id

    def go_on(self) -> None:
        self._going_on.set()

    def _wake(self, rows: list[JournalRow]) -> "Future[None]":
        self._standing.set()
        self._going_on.wait(30)
        return self.world.wake(rows)


@pytest.fixture
def stalled(world: World) -> Iterator[Stalled]:
    stalled = Stalled(world)
    yield stalled
    stalled.go_on()


@pytest.fixture
def clock(tmp_path: Path) -> MarketClock:
    return MarketClock(tmp_path / "clock")


def entry_order(order_id: str, cl_ord_id: str | None = None, *, deadline: datetime | None = None) -> SubmitOrder:
    return SubmitOrder(
        cl_ord_id=cl_ord_id or f"{order_id}.e1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(10),
        order_type=OrderType.LIMIT,
        limit_price=Decimal("181.5"),
        deadline=deadline,
    )


def cancel_order(order_id: str, cl_ord_id: str, orig_cl_ord_id: str) -> CancelOrder:
    return CancelOrder(
        cl_ord_id=cl_ord_id, orig_cl_ord_id=orig_cl_ord_id, symbol="IBM", side=Side.BUY, quantity=Decimal(10)
    )
