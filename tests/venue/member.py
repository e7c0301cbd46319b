"""A venue in a process of its own, and a member of it: a FIX initiator that keeps what it is told."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from fix.config import SessionConfig
from fix.config import password as fix_password
from fix.events import Disconnect, LoggedOn, MessageReceived, SessionEvent
from fix.message import Message
from fix.orders import (
    ExecutionReport,
    OrdType,
    Side,
    TimeInForce,
    new_order_single,
    order_cancel_replace_request,
    order_cancel_request,
    read_execution_report,
)
from fix.session import Session
from fix.store import MemoryStore
from fix.transport import Connection, connect
from tests.venue.desk import AT

PATIENCE = 10.0
"""Seconds that anything may take before the test fails."""
USER, PASSWORD = "trader", "s3cret"
_ROOT = Path(__file__).resolve().parents[2]


class VenueProcess(msgspec.Struct):
    process: subprocess.Popen[str]
    fix_port: int
    control_port: int
    log: Path

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.control_port}{path}"

    async def post(self, path: str, body: Any = None, *, expected: int = 200) -> Any:
        async with (
            aiohttp.ClientSession() as http,
            http.post(self.url(path), data=msgspec.json.encode(body) if body is not None else b"") as response,
        ):
            assert response.status == expected, await response.text()
            return await response.json()

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as http, http.get(self.url(path)) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def delete(self, path: str) -> Any:
        async with aiohttp.ClientSession() as http, http.delete(self.url(path)) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def prices(self, *events: dict[str, Any], at: str | None = "2013-10-07T13:30:00Z") -> int:
        """How many FIX messages they caused."""
        answer = await self.post("/prices", {"at": at, "events": list(events)})
        return int(answer["sent"])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "venue", *arguments]


@contextmanager
def venue(folder: Path, *arguments: str) -> Iterator[VenueProcess]:
    """Run a venue on free ports until the block ends."""
    log = folder / "venue.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command("--fix-port", "0", "--control-port", "0", *arguments),
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        assert ready[:3] == ["venue:", "FIX", "on"], log.read_text()
        yield VenueProcess(process, int(ready[3].rstrip(",")), int(ready[6]), log)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Member:
    """A session of the venue's. With the numbers of an earlier one it goes on as a restarted process would."""

    def __init__(
        self,
        comp_id: str,
        *,
        password: str = PASSWORD,
        next_outbound: int = 1,
        next_inbound: int = 1,
        target: str = "VENUE",
    ) -> None:
        config = SessionConfig(
            role="initiator",
            sender_comp_id=comp_id,
            target_comp_id=target,
            logon_fields=fix_password(lambda: (USER, password)),
        )
        self.session = Session(config, MemoryStore(next_outbound=next_outbound, next_inbound=next_inbound))
        self.events: asyncio.Queue[SessionEvent] = asyncio.Queue()
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        assert self._connection is not None
        return self._connection

    async def connect(self, venue: VenueProcess) -> None:
        self._connection = await connect("127.0.0.1", venue.fix_port, self.session, self._note)

    async def log_on(self, venue: VenueProcess) -> None:
        await self.connect(venue)
        event = await self.event()
        assert isinstance(event, LoggedOn), event

    async def log_out(self) -> None:
        self.connection.logout()
        await asyncio.wait_for(self.connection.closed(), PATIENCE)

    async def event(self) -> SessionEvent:
        return await asyncio.wait_for(self.events.get(), PATIENCE)

    async def received(self) -> MessageReceived:
        event = await self.event()
        assert isinstance(event, MessageReceived), event
        return event

    async def message(self) -> Message:
        return (await self.received()).message

    async def report(self) -> ExecutionReport:
        return read_execution_report(await self.message())

    async def refused(self) -> str:
        """Why the venue ended the connection instead of logging on."""
        event = await self.event()
        assert isinstance(event, Disconnect), event
        return event.reason

    def buy(self, cl_ord_id: str, symbol: str, quantity: int, limit: str, *, poss_resend: bool = False) -> None:
        self.place(cl_ord_id, symbol, Side.BUY, quantity, limit=limit, poss_resend=poss_resend)

    def place(
        self,
        cl_ord_id: str,
        symbol: str,
        side: Side,
        quantity: int,
        *,
        limit: str | None = None,
        stop: str | None = None,
        poss_resend: bool = False,
    ) -> None:
        self.connection.send(
            new_order_single(
                cl_ord_id=cl_ord_id,
                symbol=symbol,
                side=side,
                order_qty=Decimal(quantity),
                ord_type=OrdType.LIMIT if limit else OrdType.STOP if stop else OrdType.MARKET,
                price=Decimal(limit) if limit else None,
                stop_px=Decimal(stop) if stop else None,
                time_in_force=TimeInForce.GTC,
                transact_time=AT,
                poss_resend=poss_resend,
            )
        )

    def replace(self, cl_ord_id: str, orig: str, symbol: str, quantity: int, limit: str) -> None:
        self.connection.send(
            order_cancel_replace_request(
                cl_ord_id=cl_ord_id,
                orig_cl_ord_id=orig,
                symbol=symbol,
                side=Side.BUY,
                order_qty=Decimal(quantity),
                ord_type=OrdType.LIMIT,
                price=Decimal(limit),
                transact_time=AT,
            )
        )

    def cancel(self, cl_ord_id: str, orig: str, symbol: str, side: Side = Side.BUY) -> None:
        self.connection.send(
            order_cancel_request(cl_ord_id=cl_ord_id, orig_cl_ord_id=orig, symbol=symbol, side=side, transact_time=AT)
        )

    def _note(self, _connection: Connection, event: SessionEvent) -> None:
        self.events.put_nowait(event)


def quote(symbol: str, bid: str | None, ask: str | None, size: str | None = None) -> dict[str, Any]:
    return {"kind": "quote", "symbol": symbol, "bid": bid, "ask": ask, "bid_size": size, "ask_size": size}
