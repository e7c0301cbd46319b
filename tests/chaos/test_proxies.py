"""What the proxies do to bytes, seen by real sockets."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from player.client import Client, RefusedError
from player.processes import Process, free_port
from tests.chaos.proxies import FaultError, FixProxy, StorageProxy

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _listen(accept: Accept) -> int:
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


class End:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def gets(self, data: bytes) -> None:
        async with asyncio.timeout(2):
            assert await self.reader.readexactly(len(data)) == data

    async def hears_nothing(self, seconds: float = 0.1) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.reader.read(1)

    async def is_closed(self) -> None:
        async with asyncio.timeout(2):
            with contextlib.suppress(ConnectionError):
                assert await self.reader.read(1) == b""


class Fix:
    """A FIX proxy, whoever connects to it, and what the venue then has."""

    def __init__(self) -> None:
        self.venue: asyncio.Queue[End] = asyncio.Queue()

    async def start(self) -> None:
        self.proxy = FixProxy(await _listen(self._accept))
        self._port = await _listen(self.proxy.accept)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.venue.put_nowait(End(reader, writer))

    async def connection(self, first: bytes = b"hello") -> tuple[End, End]:
        host = End(*await asyncio.open_connection("127.0.0.1", self._port))
        async with asyncio.timeout(2):
            venue = await self.venue.get()
        host.send(first)
        await venue.gets(first)
        return host, venue


@pytest.fixture
async def fix() -> Fix:
    found = Fix()
    await found.start()
    return found


async def test_bytes_go_through_in_both_directions_and_a_close_as_well(fix: Fix) -> None:
    host, venue = await fix.connection()
    venue.send(b"answer")
    await host.gets(b"answer")
    host.writer.close()
    await venue.is_closed()


async def test_a_cut_closes_both_ends(fix: Fix) -> None:
    host, venue = await fix.connection()
    fix.proxy.begin("cut", {})
    await host.is_closed()
    await venue.is_closed()
    await fix.connection()


@pytest.mark.parametrize("direction", ["out", "in", "both"])
async def test_a_half_open_connection_swallows_what_is_sent_and_is_dead_afterwards(fix: Fix, direction: str) -> None:
    host, venue = await fix.connection()
    fix.proxy.begin("half_open", {"direction": direction})
    host.send(b"to the venue")
    venue.send(b"to the host")
    for end, data, way in ((venue, b"to the venue", "out"), (host, b"to the host", "in")):
        if direction in (way, "both"):
            await end.hears_nothing()
        else:
            await end.gets(data)
    await fix.connection()  # a new one is as it should be
    order = b"8=FIX.4.4\x019=5\x0135=D\x0110=1\x01"
    host.send(order)
    await (venue.gets(order) if direction == "in" else venue.hears_nothing())
    assert fix.proxy.state()["swallowed"] == ({} if direction == "in" else {"": {"D": 1}})
    assert fix.proxy.hit["half_open"] > 0
    fix.proxy.end("half_open")
    await host.is_closed()
    await venue.is_closed()


async def test_neither_end_of_a_half_open_connection_hears_that_the_other_has_gone(fix: Fix) -> None:
    host, venue = await fix.connection()
    fix.proxy.begin("half_open", {"direction": "out"})
    host.writer.transport.abort()
    await venue.hears_nothing()
    fix.proxy.end("half_open")
    await venue.is_closed()


async def test_what_is_delayed_arrives_later_in_its_order(fix: Fix) -> None:
    host, venue = await fix.connection()
    fix.proxy.begin("delay", {"seconds": 0.3, "direction": "out"})
    begun = time.monotonic()
    host.send(b"first ")
    fix.proxy.begin("delay", {"seconds": 0.0, "direction": "out"})
    host.send(b"second")
    venue.send(b"at once")
    await host.gets(b"at once")
    assert time.monotonic() - begun < 0.3
    await venue.gets(b"first second")


async def test_a_delay_holds_each_byte_for_its_time(fix: Fix) -> None:
    host, venue = await fix.connection()
    fix.proxy.begin("delay", {"seconds": 0.3, "direction": "both"})
    begun = time.monotonic()
    host.send(b"slow")
    await venue.gets(b"slow")
    assert time.monotonic() - begun >= 0.3
    fix.proxy.end("delay")
    host.send(b"fast")
    await venue.gets(b"fast")


async def test_old_bytes_arrive_on_the_old_connection_when_a_new_one_exists(fix: Fix) -> None:
    host, venue = await fix.connection()
    fix.proxy.begin("late", {"seconds": 0.1})
    host.send(b"an old order")
    await host.is_closed()
    await venue.hears_nothing()
    new_host, new_venue = await fix.connection()
    fix.proxy.end("late")
    await venue.gets(b"an old order")
    await venue.is_closed()
    new_host.send(b"still there")
    await new_venue.gets(b"still there")


async def test_old_bytes_may_arrive_just_before_the_same_members_next_logon(fix: Fix) -> None:
    host, venue = await fix.connection(_logon(b"DESK"))
    fix.proxy.begin("late", {"seconds": 0.1, "release": "before_logon"})
    host.send(b"an old order")
    await host.is_closed()
    await fix.connection(_logon(b"DESKCOPY"))  # another member's is no reason
    await venue.hears_nothing()
    arrived = asyncio.create_task(venue.gets(b"an old order"))
    await fix.connection(_logon(b"DESK"))
    assert arrived.done()
    await arrived
    await venue.hears_nothing()  # the new Logon is what ends the old connection
    fix.proxy.end("late")
    await venue.is_closed()


def _logon(sender: bytes) -> bytes:
    return b"8=FIX.4.4\x019=5\x0135=A\x0149=" + sender + b"\x0110=1\x01"


async def test_a_proxy_says_who_is_connected_and_what_its_faults_have_hit(fix: Fix) -> None:
    for kind in ("cut", "half_open", "late"):
        fix.proxy.begin(kind, {"seconds": 0.0})
        fix.proxy.end(kind)
    assert fix.proxy.state() == {"senders": [], "accepted": 0, "swallowed": {}, "hit": {}}
    host, venue = await fix.connection(_logon(b"DESK"))
    assert fix.proxy.state()["senders"] == ["DESK"]
    fix.proxy.begin("delay", {"seconds": 0.1, "direction": "out"})
    host.send(b"slow")
    await venue.gets(b"slow")
    fix.proxy.end("delay")
    fix.proxy.begin("late", {"seconds": 0.1})
    host.send(b"old")
    await host.is_closed()
    fix.proxy.end("late")
    await venue.gets(b"old")
    host, _ = await fix.connection()
    fix.proxy.begin("cut", {})
    await host.is_closed()
    assert {kind: fix.proxy.hit[kind] > 0 for kind in ("delay", "late", "cut")} == dict.fromkeys(
        ("delay", "late", "cut"), True
    )


async def test_a_venue_that_is_down_closes_the_connection() -> None:
    proxy = FixProxy(free_port())
    host = End(*await asyncio.open_connection("127.0.0.1", await _listen(proxy.accept)))
    await host.is_closed()


async def test_a_fault_that_does_not_exist_is_refused(fix: Fix) -> None:
    with pytest.raises(FaultError, match=r"storage_slow is not a fault of a FIX proxy: cut, half_open, delay, late"):
        fix.proxy.begin("storage_slow", {})
    with pytest.raises(FaultError, match="cut is not a fault of a storage proxy"):
        StorageProxy(1).begin("cut", {})


class Storage:
    """A service that remembers what was carried out, behind a storage proxy with two doors."""

    def __init__(self) -> None:
        self.carried_out: list[bytes] = []
        self.has_come = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def start(self) -> None:
        self.proxy = StorageProxy(await _listen(self._serve))
        self.doors = [await _listen(partial(self.proxy.accept, door)) for door in range(2)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                self.carried_out.append(await reader.readexactly(length))
                self.has_come.set()
                await self.may_answer.wait()
                if head.startswith(b"DELETE"):
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                else:
                    writer.write(
                        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n2\r\n, \r\n0\r\n\r\n"
                    )

    async def asks(self, body: bytes, door: int = 0) -> str:
        """What an unsuspecting client hears; empty where the connection is closed on it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.doors[door])
        writer.write(b"POST /table HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        try:
            async with asyncio.timeout(2):
                head = await reader.readuntil(b"\r\n\r\n")
            return head.decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return ""
        finally:
            writer.close()


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    found = Storage()
    await found.start()
    yield found
    found.may_answer.set()


async def test_requests_and_answers_of_every_form_go_through_one_connection_and_are_counted(storage: Storage) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", storage.doors[0])
    writer.write(b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\none")
    writer.write(b"DELETE /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n")
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n2\r\n, \r\n0\r\n\r\n"
    expected = chunked + b"HTTP/1.1 204 No Content\r\n\r\n" + chunked
    async with asyncio.timeout(2):
        assert await reader.readexactly(len(expected)) == expected
    assert storage.carried_out == [b"one", b"", b""]
    assert storage.proxy.state() == {"requests": 3, "hit": {}, "under_way": 0}
    writer.close()


@pytest.mark.parametrize(
    ("kind", "heard", "is_carried_out"),
    [
        ("storage_errors", "500 Internal Server Error", False),
        ("storage_throttle", "503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1", False),
        ("wrong_date", "403 Forbidden", False),
        ("lost_requests", "", False),
        ("lost_answers", "", True),
        ("storage_slow", "200 OK", True),
    ],
)
async def test_a_fault_of_storage_is_carried_out_or_not_as_it_says(
    storage: Storage, kind: str, heard: str, is_carried_out: bool
) -> None:
    storage.proxy.begin(kind, {"seconds": 0.2})
    begun = time.monotonic()
    answer = await storage.asks(b"row")
    assert heard in answer
    assert bool(answer) == bool(heard)
    assert (storage.carried_out == [b"row"]) is is_carried_out
    assert kind != "storage_slow" or time.monotonic() - begun >= 0.2
    storage.proxy.end(kind)
    assert "200 OK" in await storage.asks(b"row")


async def test_a_fault_may_be_for_one_door(storage: Storage) -> None:
    storage.proxy.begin("storage_errors", {"door": 1})
    assert "200 OK" in await storage.asks(b"row", door=0)
    assert "500 " in await storage.asks(b"row", door=1)
    storage.proxy.begin("storage_errors", {"door": 0})
    storage.proxy.end("storage_errors", 1)
    assert "500 " in await storage.asks(b"row", door=0)
    assert "200 OK" in await storage.asks(b"row", door=1)


async def test_a_share_of_the_requests_is_hit(storage: Storage) -> None:
    storage.proxy.begin("storage_errors", {"share": 0.5})
    answers = ["500 " in await storage.asks(b"row") for _ in range(60)]
    assert 10 < sum(answers) < 50
    assert storage.proxy.hit == {"storage_errors": sum(answers)}


async def test_quiesce_waits_for_what_is_under_way_and_holds_what_comes(storage: Storage) -> None:
    storage.may_answer.clear()
    under_way = asyncio.create_task(storage.asks(b"before"))
    await asyncio.wait_for(storage.has_come.wait(), 2)
    quiet = asyncio.create_task(storage.proxy.quiesce())
    await asyncio.wait([quiet], timeout=0.1)
    assert not quiet.done()
    storage.may_answer.set()
    await asyncio.wait_for(quiet, 2)
    assert "200 OK" in await under_way
    held = asyncio.create_task(storage.asks(b"after"))
    await asyncio.wait([held], timeout=0.1)
    assert storage.carried_out == [b"before"]
    await storage.proxy.resume()
    assert "200 OK" in await held


async def test_a_service_that_is_down_closes_the_connection() -> None:
    proxy = StorageProxy(free_port())
    found = Storage()
    found.doors = [await _listen(partial(proxy.accept, 0))]
    assert await found.asks(b"row") == ""


def test_a_proxy_is_a_process_that_is_told_what_to_do_over_http(tmp_path: Path) -> None:
    listen, control = free_port(), free_port()
    ports = ["--listen", str(listen), "--target", str(free_port()), "--control", str(control)]
    process = Process("proxy", [sys.executable, "-m", "tests.chaos.proxies", "storage", *ports], tmp_path / "proxy.log")
    process.start()
    client = Client(control)
    try:
        process.wait_until(lambda: process.has_written(f"proxy: storage on {listen}"))
        client.post("/faults/storage_errors", {"share": 0.5, "door": 0})
        client.delete("/faults/storage_errors?door=0")
        client.post("/quiesce")
        client.post("/resume")
        assert client.get("/state") == {"requests": 0, "hit": {}, "under_way": 0}
        with pytest.raises(RefusedError, match=r"400 .*late is not a fault"):
            client.post("/faults/late", {})
        with pytest.raises(RefusedError, match=r"400 .*share"):
            client.post("/faults/storage_errors", {"share": "all"})
    finally:
        client.close()
        process.stop()
