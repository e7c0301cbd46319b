"""What stands between the hosts and the others, and breaks: a FIX proxy and a storage proxy, each its own process.

`python -m tests.chaos.proxies fix --listen N --target N --control N` (storage: `--listen N N`, one for each host). The
control API is HTTP with JSON: `POST /faults/KIND` begins a fault, with its parameters as the body,
`DELETE /faults/KIND` (`?door=N` for the fault of one door) ends it, `GET /state` tells what went through.
"""

import argparse
import asyncio
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import msgspec
from aiohttp import web

Direction = Literal["out", "in"]
_HOST = "127.0.0.1"
_CHUNK = 1 << 16
_HEAD_LIMIT = 1 << 20
_MSG_TYPE = re.compile(rb"\x0135=([^\x01]+)\x01")
_SENDER = re.compile(rb"\x0149=([^\x01]+)\x01")
_BEFORE_THE_NEXT = 0.1
"""Seconds in which the venue takes bytes that are to come before what a new connection brings."""


class FaultError(Exception):
    """There is no such fault, or its parameters are wrong."""


class _Link:
    """One connection of a host, and the one to the venue that belongs to it. `out` is the way to the venue."""

    def __init__(self, host: asyncio.StreamWriter, venue: asyncio.StreamWriter) -> None:
        self.ends: dict[Direction, asyncio.StreamWriter] = {"in": host, "out": venue}
        self.sender: str | None = None
        """The SenderCompID (49) of the first that the host has sent; empty where that has none."""
        self.lost: set[Direction] = set()
        """In which directions bytes vanish."""
        self.kept: list[bytes] | None = None
        """What the host has sent, while that is held to arrive late."""

    @property
    def is_broken(self) -> bool:
        """Whether one end may be gone without the other's hearing of it."""
        return bool(self.lost) or self.kept is not None

    def abort(self) -> None:
        for end in self.ends.values():
            end.transport.abort()


class FixProxy:
    """Passes FIX bytes on, in both directions, as long as nothing is wrong with it.

    Faults (`begin`, `end`):

    - `cut`: both ends of every connection are closed, at once and without a word.
    - `half_open` (`direction`: out, in, both): what comes on the connections that exist now vanishes, and neither end
      hears that the other one is gone. When it ends these connections are closed.
    - `delay` (`seconds`, `direction`): bytes arrive so much later, in their order.
    - `late` (`seconds`, `release`): what a host sends from now on is held, after `seconds` the host's end is closed,
      the venue's is not. The venue gets what was held on the old connection: with `release` `before_logon` just before
      what the same member's next connection brings first, else when the fault ends, when there may be a new one.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._links: list[_Link] = []
        self._delays: dict[Direction, float] = {}
        self._half_open: list[_Link] = []
        self._late: list[_Link] = []
        self._before_logon = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.swallowed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By SenderCompID (49): how many messages of each MsgType (35) have vanished on half-open connections, on the
        way to the venue."""
        self.hit: Counter[str] = Counter()
        """By kind: how many connections were cut; how many pieces vanished, were delayed, or held to arrive late."""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a host."""
        self.accepted += 1
        try:
            venue_reader, venue_writer = await asyncio.open_connection(_HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, venue_writer)
        self._links.append(link)
        try:
            await asyncio.gather(self._carry(link, "out", reader), self._carry(link, "in", venue_reader))
        finally:
            self._links.remove(link)
            if not link.is_broken:
                link.abort()

    def begin(self, kind: str, parameters: dict[str, float | str]) -> None:
        """Raises `FaultError` where there is no such fault."""
        directions: list[Direction] = [
            each for each in ("out", "in") if parameters.get("direction", "both") in (each, "both")
        ]
        seconds = float(parameters.get("seconds", 0))
        match kind:
            case "cut":
                for link in list(self._links):
                    self.hit[kind] += 1
                    link.abort()
            case "half_open":
                for link in self._links:
                    link.lost.update(directions)
                    self._half_open.append(link)
            case "delay":
                self._delays = dict.fromkeys(directions, seconds)
            case "late":
                self._before_logon = parameters.get("release") == "before_logon"
                for link in self._links:
                    if link.kept is None:
                        link.kept = []
                        self._late.append(link)
                        self._soon(self._leave(link, seconds))
            case _:
                raise FaultError(f"{kind} is not a fault of a FIX proxy: cut, half_open, delay, late")

    def end(self, kind: str, door: int | None = None) -> None:
        """End a fault; one that is not there is fine. Of doors it has one."""
        del door
        match kind:
            case "half_open":
                for link in self._half_open:
                    link.lost.clear()
                    if link.kept is None:
                        link.abort()
                self._half_open.clear()
            case "delay":
                self._delays.clear()
            case "late":
                for link in self._late:
                    self._soon(self._deliver(link))
                self._late.clear()

    def state(self) -> dict[str, object]:
        senders = [link.sender for link in self._links if link.sender and not link.is_broken]
        return {"senders": senders, "accepted": self.accepted, "swallowed": self.swallowed, "hit": self.hit}

    async def _carry(self, link: _Link, direction: Direction, source: asyncio.StreamReader) -> None:
        """Pass on what comes, when it is due, in its order."""
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        writing = asyncio.create_task(self._write(link, direction, due))
        loop = asyncio.get_running_loop()
        try:
            while data := await source.read(_CHUNK):
                self.hit["delay"] += direction in self._delays
                due.put_nowait((loop.time() + self._delays.get(direction, 0.0), data))
        except OSError:
            pass
        due.put_nowait((loop.time() + self._delays.get(direction, 0.0), b""))
        await writing

    async def _write(self, link: _Link, direction: Direction, due: "asyncio.Queue[tuple[float, bytes]]") -> None:
        loop = asyncio.get_running_loop()
        while True:
            at, data = await due.get()
            await asyncio.sleep(max(0.0, at - loop.time()))
            if not data:
                if not link.is_broken:
                    link.abort()
                return
            if direction == "out" and link.sender is None:
                link.sender = _sender(data)
                await self._let_held_before(link)
            if direction in link.lost:
                self.hit["half_open"] += 1
                if direction == "out":
                    self.swallowed[link.sender or ""].update(each.decode() for each in _MSG_TYPE.findall(data))
                continue
            if direction == "out" and link.kept is not None:
                self.hit["late"] += 1
                link.kept.append(data)
                continue
            try:
                link.ends[direction].write(data)
                await link.ends[direction].drain()
            except OSError:
                continue  # the reader of that end notices as well, and ends the link

    async def _leave(self, link: _Link, seconds: float) -> None:
        await asyncio.sleep(seconds)
        link.ends["in"].transport.abort()

    async def _let_held_before(self, link: _Link) -> None:
        """Give the venue what the old connections of the same member hold, where it is to have that first."""
        held = (
            [old for old in self._late if old is not link and old.sender == link.sender] if self._before_logon else []
        )
        for old in held:
            await self._hand_over(old)
        if held:
            await asyncio.sleep(_BEFORE_THE_NEXT)

    async def _deliver(self, link: _Link) -> None:
        await self._hand_over(link)
        link.kept = None
        await asyncio.sleep(_BEFORE_THE_NEXT)
        link.abort()

    async def _hand_over(self, link: _Link) -> None:
        kept, link.kept = link.kept or [], []
        with suppress(OSError):
            for data in kept:
                link.ends["out"].write(data)
            await link.ends["out"].drain()

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _sender(data: bytes) -> str:
    found = _SENDER.search(data)
    return found[1].decode() if found else ""


class StorageFault(msgspec.Struct, frozen=True):
    """What happens to a `share` of the requests that come in by a `door` (None: by any)."""

    kind: str
    share: float = 1.0
    seconds: float = 0.0
    door: int | None = None


_ANSWERS = {
    "storage_errors": ("500 Internal Server Error", "InternalError", ""),
    "storage_throttle": ("503 Service Unavailable", "ServerBusy", "Retry-After: 1\r\n"),
    "wrong_date": ("403 Forbidden", "AuthenticationFailed", ""),
}
_STORAGE_FAULTS = (*_ANSWERS, "storage_slow", "lost_answers", "lost_requests")


class StorageProxy:
    """Passes requests on to a table service, one after another for each connection, and counts them.

    Faults:

    - `storage_errors`: 500, and nothing is carried out. `storage_throttle`: 503 with Retry-After, `wrong_date`: 403,
      likewise.
    - `lost_requests`: the connection is closed, and nothing is carried out.
    - `lost_answers`: carried out, and the connection is closed instead of an answer.
    - `storage_slow`: carried out, and answered `seconds` later.

    The account's key signs the path and no host, so the requests are passed on as they are.
    """

    def __init__(self, target: int, seed: int = 0) -> None:
        self._target = target
        self._rng = random.Random(seed)
        self._faults: dict[tuple[str, int | None], StorageFault] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.requests = 0
        self.hit: Counter[str] = Counter()
        """How many requests were hit by each kind of fault."""

    def begin(self, kind: str, parameters: dict[str, float | str]) -> None:
        """Raises `FaultError` where there is no such fault."""
        if kind not in _STORAGE_FAULTS:
            raise FaultError(f"{kind} is not a fault of a storage proxy: {', '.join(_STORAGE_FAULTS)}")
        fault = msgspec.convert({"kind": kind, **parameters}, StorageFault)
        self._faults[kind, fault.door] = fault

    def end(self, kind: str, door: int | None = None) -> None:
        """End a fault of this door; one that is not there is fine."""
        self._faults.pop((kind, door), None)

    def state(self) -> dict[str, object]:
        return {"requests": self.requests, "hit": self.hit, "under_way": self._under_way}

    async def quiesce(self) -> None:
        """Hold what comes from now on, and wait until what is under way was answered by the service."""
        self._open.clear()
        await self._quiet.wait()

    async def resume(self) -> None:
        """Let what was held go on."""
        self._open.set()

    async def listen(self, ports: Sequence[int]) -> None:
        """Serve connections from now on, by one door for each of these ports."""
        for door, port in enumerate(ports):
            await asyncio.start_server(partial(self.accept, door), _HOST, port, limit=_HEAD_LIMIT)

    async def accept(self, door: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, which came in by this door."""
        service: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                request = await _read_request(reader)
                self.requests += 1
                await self._open.wait()
                fault = self._fault(door)
                kind = fault.kind if fault else ""
                if kind == "lost_requests":
                    return
                if kind in _ANSWERS:
                    writer.write(_refusal(*_ANSWERS[kind]))
                    await writer.drain()
                    continue
                if service is None or service[0].at_eof():
                    service = await self._connect()
                answer = await self._pass_on(request, *service)
                if kind == "lost_answers":
                    return
                if fault and kind == "storage_slow":
                    await asyncio.sleep(fault.seconds)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            writer.transport.abort()
            if service is not None:
                service[1].transport.abort()

    def _fault(self, door: int) -> StorageFault | None:
        for fault in self._faults.values():
            if fault.door in (None, door) and self._rng.random() < fault.share:
                self.hit[fault.kind] += 1
                return fault
        return None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(_HOST, self._target, limit=_HEAD_LIMIT)

    async def _pass_on(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        self._under_way += 1
        self._quiet.clear()
        try:
            writer.write(request)
            return await _read_answer(reader)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()


def _refusal(status: str, code: str, header: str) -> bytes:
    text = {"odata.error": {"code": code, "message": {"lang": "en-us", "value": "a fault that was injected"}}}
    body = msgspec.json.encode(text)
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{header}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await _read_body(reader, head)


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if head.split(b" ", 2)[1] in (b"204", b"304"):
        return head
    return head + await _read_body(reader, head)


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if _header(head, b"transfer-encoding") != b"chunked":
        return await reader.readexactly(int(_header(head, b"content-length") or 0))
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(size.partition(b";")[0], 16) + 2)
        body += size + chunk
        if chunk == b"\r\n":
            return body


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip().lower()
    return b""


Proxy = FixProxy | StorageProxy


def control(proxy: Proxy) -> web.Application:
    """The control API of a proxy."""

    async def begin(request: web.Request) -> web.Response:
        text = await request.text()
        try:
            proxy.begin(request.match_info["kind"], msgspec.json.decode(text) if text else {})
        except (FaultError, msgspec.MsgspecError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(proxy.state())

    async def end(request: web.Request) -> web.Response:
        door = request.query.get("door")
        proxy.end(request.match_info["kind"], None if door is None else int(door))
        return web.json_response(proxy.state())

    async def state(request: web.Request) -> web.Response:
        return web.json_response(proxy.state())

    application = web.Application()
    application.router.add_post("/faults/{kind}", begin)
    application.router.add_delete("/faults/{kind}", end)
    application.router.add_get("/state", state)
    if isinstance(proxy, StorageProxy):
        application.router.add_post("/quiesce", _answering(proxy, proxy.quiesce))
        application.router.add_post("/resume", _answering(proxy, proxy.resume))
    return application


def _answering(proxy: Proxy, act: Callable[[], Awaitable[None]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        await act()
        return web.json_response(proxy.state())

    return handle


async def _serve(options: argparse.Namespace) -> None:
    proxy: Proxy
    if options.kind == "fix":
        proxy = FixProxy(options.target)
        await asyncio.start_server(proxy.accept, _HOST, options.listen[0])
    else:
        proxy = StorageProxy(options.target, options.seed)
        await proxy.listen(options.listen)
    runner = web.AppRunner(control(proxy), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, _HOST, options.control).start()
    print(f"proxy: {options.kind} on {', '.join(map(str, options.listen))}", flush=True)
    await asyncio.Event().wait()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.proxies")
    parser.add_argument("kind", choices=("fix", "storage"))
    parser.add_argument("--listen", type=int, nargs="+", required=True)
    parser.add_argument("--target", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0, help="which requests a share is made of")
    asyncio.run(_serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
