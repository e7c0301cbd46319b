"""What the gateway asks of storage: for each order, and for each hour in which nothing happens.

Two gateways, as two processes have them, on one session with a real venue; the tables are behind a proxy that counts.
Prints one JSON line, all in storage transactions:

- `idle_hour_holder`, `idle_hour_candidate`: nothing happens, with the lease time of the settings;
- `order_where_held`: an order that is handed in where the session is held, until its acceptance is journalled;
- `order_elsewhere`: the same, handed in at the other process, so that the holder has to find it;
- `burst_order`: one of many at once where the session is held, so that writes go together.

And `elsewhere_ms`, the median until the venue has an order that was handed in elsewhere, after a pause long enough for
the poll to have become slow, and `elsewhere_busy_ms`, the same among other orders.
"""

import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median

from bench.bracket import CountingProxy, counted
from gateway.gateway import Gateway
from player.azurite import connection_string
from player.client import Client
from player.processes import Process, free_port
from storage.orders import OrderRegister
from storage.settings import Settings, load
from storage.tables import Tables
from trading.commands import SubmitOrder
from trading.journal import JournalRow
from trading.orders import OrderType, Side

_ORDERS = 100
_IDLE_SECONDS = 20.0
_SLOW_POLL = 5.0
_LIMITS = dict.fromkeys(("MAX_ORDER_NOTIONAL", "MAX_SYMBOL_NOTIONAL", "MAX_GROSS_NOTIONAL"), "1000000000")


class Desk:
    """Hands orders in, and counts what they cost."""

    def __init__(self, proxy: CountingProxy, settings: Settings) -> None:
        self._proxy = proxy
        self._settings = settings
        self._numbers = itertools.count(1)
        self._told: set[str] = set()
        tables = Tables(settings.storage_connection)
        self._register = OrderRegister(tables)
        self.holder = self._gateway(tables)
        _until(lambda: self.holder.status().logged_on and not self.holder.status().busy)

    def another(self) -> Gateway:
        """A second process's gateway."""
        return self._gateway(Tables(self._settings.storage_connection))

    def new_orders(self, count: int) -> list[str]:
        """The ids of new orders, registered."""
        ids = [f"order-{next(self._numbers)}" for _ in range(count)]
        for order_id in ids:
            self._register.register(order_id, "token", "{}", datetime.now(UTC))
        return ids

    def place(self, gateway: Gateway, order_id: str) -> None:
        order = SubmitOrder(
            cl_ord_id=f"{order_id}.e1",
            symbol="IBM",
            side=Side.BUY,
            quantity=Decimal(1),
            order_type=OrderType.LIMIT,
            limit_price=Decimal(1),
        )
        gateway.submit(order_id, order, datetime.now(UTC))

    def wait_for(self, *order_ids: str) -> None:
        """Until the acceptances of these are journalled, and their wake-ups out."""
        _until(lambda: self._told.issuperset(order_ids))

    def idle_hour(self) -> float:
        """What an hour costs in which nothing happens."""
        time.sleep(_SLOW_POLL)
        before = self._proxy.requests
        time.sleep(_IDLE_SECONDS)
        return (self._proxy.requests - before) * 3600 / _IDLE_SECONDS

    @contextmanager
    def counting(self, idle_hour: float) -> Iterator[Callable[[], float]]:
        """What the block costs beyond what an idle system does in that time."""
        begun, before = time.monotonic(), self._proxy.requests

        def cost() -> float:
            return self._proxy.requests - before - (time.monotonic() - begun) * idle_hour / 3600

        yield cost

    def _gateway(self, tables: Tables) -> Gateway:
        gateway = Gateway(self._settings, tables, None)
        gateway.start(self._wake)
        return gateway

    def _wake(self, rows: list[JournalRow]) -> "Future[None]":
        self._told.update(row.order_id for row in rows)
        done: Future[None] = Future()
        done.set_result(None)
        return done


def _until(found: Callable[[], object], within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while not found():
        if time.monotonic() > deadline:
            raise TimeoutError("the gateway does not go on")
        time.sleep(0.001)


@contextmanager
def venue(folder: Path) -> Iterator[tuple[int, Client]]:
    """A venue: the port that members log on at, and its control API."""
    fix_port, control_port = free_port(), free_port()
    command = [sys.executable, "-m", "venue", "--fix-port", str(fix_port), "--control-port", str(control_port)]
    process = Process("the venue", command, folder / "venue.log")
    process.start()
    try:
        process.wait_until(lambda: process.has_written("venue: FIX on"))
        yield fix_port, Client(control_port)
    finally:
        process.stop()


def cost_each(desk: Desk, gateway: Gateway, idle_hour: float) -> float:
    """One order after another."""
    ids = desk.new_orders(_ORDERS)
    with desk.counting(idle_hour) as cost:
        for order_id in ids:
            desk.place(gateway, order_id)
            desk.wait_for(order_id)
        return cost() / _ORDERS


def cost_at_once(desk: Desk, gateway: Gateway, idle_hour: float) -> float:
    """All in a burst, from many threads."""
    ids = desk.new_orders(_ORDERS)
    with desk.counting(idle_hour) as cost, ThreadPoolExecutor(16) as threads:
        for placed in [threads.submit(desk.place, gateway, order_id) for order_id in ids]:
            placed.result()
        desk.wait_for(*ids)
        return cost() / _ORDERS


def median_ms(desk: Desk, gateway: Gateway, *, pause: float, times: int) -> float:
    """From an order's being handed in to its being accepted; the pauses differ, so as not to meet the poll."""
    taken = []
    for number, order_id in enumerate(desk.new_orders(times)):
        time.sleep(pause * (1 + number / 10))
        begun = time.monotonic()
        desk.place(gateway, order_id)
        desk.wait_for(order_id)
        taken.append((time.monotonic() - begun) * 1000)
    return round(median(taken), 1)


def main() -> None:
    with counted() as proxy, tempfile.TemporaryDirectory() as folder, venue(Path(folder)) as (fix_port, _):
        environment = {
            **_LIMITS,
            "AzureWebJobsStorage": connection_string(proxy.port),
            "FIX_HOST": "127.0.0.1",
            "FIX_PORT": str(fix_port),
            "FIX_SENDER_COMP_ID": "DESK",
            "FIX_TARGET_COMP_ID": "VENUE",
        }
        settings = load(environment)
        desk = Desk(proxy, settings)
        alone = desk.idle_hour()
        where_held = cost_each(desk, desk.holder, alone)
        at_once = cost_at_once(desk, desk.holder, alone)
        other = desk.another()
        both = desk.idle_hour()
        figures = {
            "lease_seconds": settings.lease_seconds,
            "idle_hour_holder": round(alone),
            "idle_hour_candidate": round(both - alone),
            "order_where_held": round(where_held, 2),
            "burst_order": round(at_once, 2),
            "order_elsewhere": round(cost_each(desk, other, both), 2),
            "elsewhere_busy_ms": median_ms(desk, other, pause=0, times=50),
            "elsewhere_ms": median_ms(desk, other, pause=_SLOW_POLL, times=5),
        }
        for gateway in (other, desk.holder):
            gateway.stop()
    print(json.dumps({"benchmark": "gateway", **figures}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
