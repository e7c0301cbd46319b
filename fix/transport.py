"""FIX sessions on asyncio sockets: `connect` for an initiator, `serve` for an acceptor of any number of sessions.

No tasks, only callbacks of the event loop, so nothing is left running when a connection is over. Events reach the
application in order, one at a time, through a plain synchronous callable. After each slice of them the loop gets its
turn, so heartbeats and reads wait for one callback at most, not for a queue of them; while the application does not
keep up, reading pauses, and the peer's silence is not held against it.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from ssl import SSLContext
from typing import Literal, cast

from fix.codec import Decoded, Decoder
from fix.events import Disconnect, MessageReceived, MessageRefused, Rejected, SessionEvent
from fix.message import Message
from fix.session import NotLoggedOn, Reading, Session, State

_LOG = logging.getLogger(__name__)

_WRITE_LIMIT = 4 << 20
"""Bytes that may wait for a peer that does not read, before the connection is dropped."""
_SLICE = 0.005
"""Seconds of application callbacks before the loop gets its turn."""
_WRITE_AFTER = 0.00015
"""Seconds for which what several callbacks send is gathered into one write."""
_MOST_WAITING = 1000
"""Events that wait for the application before reading pauses."""
_CLOSE_TIMEOUT = 2.0
"""Seconds that a peer has to take what is still to be sent at the end."""
_GREETING_LIMIT = 1 << 16
_GREETING_TIMEOUT = 10.0
"""Bytes and seconds that a new connection has for its Logon."""

_NUMBERED = (MessageReceived, MessageRefused, Rejected)

ProcessedBy = Literal["callback", "application"]
"""When a message is done with: once `on_event` has returned, or when the application calls `session.processed`."""
EventHandler = Callable[["Connection", SessionEvent], None]
SessionLookup = Callable[[str, str], Session | None]


class Connection(asyncio.Protocol):
    """A session on a socket. Made by `connect` and by `serve`; all of it belongs to one event loop's thread."""

    def __init__(
        self,
        session: Session,
        on_event: EventHandler,
        *,
        write_limit: int = _WRITE_LIMIT,
        processed_by: ProcessedBy = "callback",
        on_writable: Callable[[], None] | None = None,
    ) -> None:
        self.session = session
        self._on_event = on_event
        self._tells_processed = processed_by == "callback"
        self._write_limit = write_limit
        self._on_writable = on_writable
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[str] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[SessionEvent] = deque()
        self._delivery: asyncio.Handle | None = None
        self._delivering = False
        self._done: list[int] = []
        self._gave_up = False
        self._now = read_clocks()
        self._timer: asyncio.TimerHandle | None = None
        self._tick_is_due = False
        self._closing: asyncio.TimerHandle | None = None
        self._writable = True
        self._reading = True
        self._over = False
        self._reason = ""
        self._failure: Exception | None = None

    @property
    def is_open(self) -> bool:
        """Not closed, and not about to be."""
        transport = self._transport
        return transport is not None and self._closing is None and not self._over and not transport.is_closing()

    @property
    def is_writable(self) -> bool:
        """Whether the peer takes what is sent. What is sent while it does not waits for it."""
        return self._writable

    @property
    def peer(self) -> str:
        """Address and port of the other side, for messages to humans."""
        return _peer_name(self._transport)

    def send(self, message: Message) -> int:
        """Send an application message; its MsgSeqNum. Raises `NotLoggedOn`, or `FieldError` for what cannot be sent.

        Called from within `on_event`, it leaves when that has returned; what several calls of `on_event` send may be
        gathered for a fraction of a millisecond.
        """
        if not self.is_open:
            # The session may not know yet; it would keep the message to resend it after the next Logon.
            raise NotLoggedOn(f"{self.session.config.session_id}: the connection is closed")
        now = self._now
        if not self._delivering or time.monotonic() - now.monotonic > _WRITE_AFTER:
            self._now = now = read_clocks()
        number = self.session.send(message, now)
        if not self._delivering:
            self._flush()
        return number

    def logout(self, text: str = "") -> None:
        """End the session in good form; the connection closes when the peer has answered or its time is over."""
        self._handle(self.session.logout(read_clocks(), text))

    def close(self, reason: str = "closed") -> None:
        """Close without a Logout. What is to be sent still is, if the peer takes it within two seconds."""
        if self._transport is None or not self.is_open:
            return
        self._reason = self._reason or reason
        self._stop_timer()
        self._transport.write(self._bytes_to_send())
        if self._failure is not None:
            return
        self._closing = self._loop.call_later(_CLOSE_TIMEOUT, self._transport.abort)
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        # Half of it first, the rest when the peer closes: unread bytes at a close would reset the connection, and the
        # Logout that says why would be lost on its way.
        self._transport.write_eof()
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def abort(self, reason: str) -> None:
        """End at once; what is not yet on its way is not sent. All events are delivered before this returns (called
        from within `on_event`, after that has returned)."""
        if not self._over:
            self._reason = self._reason or reason
            if self._transport is not None:
                self._transport.abort()
            self._finish(reason)
        self._deliver(until_empty=True)

    async def closed(self) -> str:
        """Wait for the end, after the last event was delivered; why it ended. Raises what `on_event` raised."""
        return await asyncio.shield(self._closed)

    def on_end(self, tell: Callable[["asyncio.Future[str]"], None]) -> None:
        """Have it told, with the reason or what was raised, when `closed` would return."""
        self._closed.add_done_callback(tell)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        _set_no_delay(self._transport)
        # What the kernel does not take is not made yet: it may be unwanted by the time that the peer reads again.
        # Not 0: asyncio's TLS would take an empty buffer for a full one.
        self._transport.set_write_buffer_limits(high=1, low=0)
        try:
            events = self.session.connected(read_clocks())
        except Exception as error:
            self._fail(error)
            return
        self._handle(events)

    def data_received(self, data: bytes) -> None:
        if not self.is_open:
            return
        try:
            events = self.session.receive(data, read_clocks())
        except Exception as error:
            self._fail(error)
            return
        self._handle(events)

    def eof_received(self) -> bool:
        self._reason = self._reason or "the peer closed the connection"
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._finish(str(error) if error else "the connection was closed")

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._flush()
        if self._on_writable is not None and self._writable:
            self._on_writable()

    # Inside

    def _handle(self, events: list[SessionEvent]) -> None:
        self._waiting += events
        self._flush()
        for event in events:
            if isinstance(event, Disconnect):
                self.close(event.reason)
        self._schedule_tick()
        if self._delivery is None:
            self._deliver()

    def _deliver(self, *, until_empty: bool = False) -> None:
        if self._delivering:
            return
        if self._delivery is not None:
            self._delivery.cancel()
            self._delivery = None
        self._delivering = True
        self._now = read_clocks()
        began = written = self._now.monotonic
        waiting, on_event, monotonic = self._waiting, self._on_event, time.monotonic
        while waiting:
            event = waiting.popleft()
            if self._gave_up and isinstance(event, _NUMBERED):
                continue
            try:
                on_event(self, event)
            except NotLoggedOn as error:
                if self.is_open and self.session.state is State.IN_SESSION:
                    self._fail(error)  # it was another session that it wanted to send by
                else:
                    self._give_up()
            except Exception as error:
                self._fail(error)
            else:
                if isinstance(event, _NUMBERED):
                    self._done.append(event.number)
            now = monotonic()
            if now - written > _WRITE_AFTER:
                self._write()
                written = now
                self._now = read_clocks()
                if now - began > _SLICE and not until_empty:
                    break
        self._delivering = False
        self._write()
        if self._waiting:
            self._delivery = self._loop.call_soon(self._deliver)
        elif self._over:
            self._resolve()
        self._throttle()

    def _write(self) -> None:
        """Send what the callbacks have sent, and with it goes what they are done with."""
        self._tell_done()
        self._flush()

    def _tell_done(self) -> None:
        if self._done:
            if self._tells_processed:
                self.session.processed(*self._done)
            self._done.clear()

    def _give_up(self) -> None:
        """The application could not do with a message what it wanted to, since the session is over or ends: that
        one, and what comes after it, is to come again after the next Logon."""
        self._gave_up = True
        if self._over:
            self._give_back()

    def _give_back(self) -> None:
        if self._tells_processed:
            self._tell_done()
            self.session.give_back()

    def _throttle(self) -> None:
        if self._transport is None or not self.is_open:
            return
        if self._reading and len(self._waiting) > _MOST_WAITING:
            self._reading = False
            self._transport.pause_reading()
        elif not self._reading and len(self._waiting) <= _MOST_WAITING // 2:
            self._reading = True
            self._transport.resume_reading()

    def _flush(self) -> None:
        if self._transport is None or not self.is_open:
            return
        while self._writable:
            data = self._bytes_to_send()
            if not data:
                return
            self._transport.write(data)
        unsent = self._transport.get_write_buffer_size() + self.session.waiting_bytes
        if unsent > self._write_limit:
            self._reason = f"the peer does not read: {unsent} bytes wait for it, the limit is {self._write_limit}"
            _LOG.warning("%s, %s: %s", self.session.config.session_id, self.peer, self._reason)
            self._transport.abort()

    def _bytes_to_send(self) -> bytes:
        try:
            return self.session.bytes_to_send(read_clocks())
        except Exception as error:
            self._fail(error, "the session's store")
            return b""

    def _schedule_tick(self) -> None:
        if not self.is_open or self._tick_is_due:
            return
        due = self.session.next_tick()
        if due == float("inf"):
            self._stop_timer()
        elif self._timer is None or due < self._timer.when():
            # One that is set for earlier than needed finds that out when it fires: cheaper than a new one a message.
            self._stop_timer()
            self._timer = self._loop.call_at(due, self._tick)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        # Not before the socket was looked at once more: after a callback that took long, what the peer sent meanwhile
        # is still unread, and must not be taken for silence. The loop runs timers after what it read.
        self._tick_is_due = True
        self._timer = self._loop.call_later(0, self._tick_after_reading)

    def _tick_after_reading(self) -> None:
        self._timer = None
        self._tick_is_due = False
        if not self.is_open:
            return
        try:
            events = self.session.tick(read_clocks(), reading=self._reading)
        except Exception as error:
            self._fail(error, "the session's store")
            return
        self._handle(events)

    def _fail(self, error: Exception, who: str = "the application") -> None:
        """Something of ours raised: no more messages are delivered, and nothing is sent."""
        self._failure = self._failure or error
        self._reason = self._reason or f"{who} failed"
        _LOG.error("%s: %s failed, its connection is closed", self.session.config.session_id, who, exc_info=error)
        self._give_up()
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, reason: str) -> None:
        """The socket is gone."""
        if self._over:
            return
        self._over = True
        self._reason = self._reason or reason
        self._stop_timer()
        if self._closing is not None:
            self._closing.cancel()
        if self._gave_up:
            self._give_back()
        if self.session.state is not State.DISCONNECTED:
            self._waiting += self.session.disconnected(read_clocks())
        try:
            self.session.save()
        except Exception as error:
            self._fail(error, "the session's store")
        if self._delivery is None:
            self._deliver()

    def _resolve(self) -> None:
        if self._closed.done():
            return
        if self._failure is not None:
            self._closed.set_exception(self._failure)
        else:
            self._closed.set_result(self._reason)


async def connect(
    host: str,
    port: int,
    session: Session,
    on_event: EventHandler,
    *,
    tls: SSLContext | None = None,
    connect_timeout: float = 10,
    write_limit: int = _WRITE_LIMIT,
    processed_by: ProcessedBy = "callback",
    on_writable: Callable[[], None] | None = None,
) -> Connection:
    """Connect an initiator's session; its Logon is then on its way. `tls` as of `fix.tls.client_tls`: the certificate
    must be for `host`, which is also told to the server (SNI).

    `on_event(connection, event)` may be called before this returns; `on_writable` is, whenever the peer takes again
    what is sent after it has not. Raises `OSError` (`TimeoutError` after
    `connect_timeout` seconds) where there is no connection to be had, and what the credentials raise.
    Reconnecting is the caller's: with the same `Session` after `closed()`, with a pause of its own choice.
    """
    if session.state is not State.DISCONNECTED:
        raise RuntimeError(f"{session!r} has a connection already")
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(connect_timeout):
        _, connection = await loop.create_connection(
            lambda: Connection(
                session, on_event, write_limit=write_limit, processed_by=processed_by, on_writable=on_writable
            ),
            host,
            port,
            ssl=tls,
        )
    if connection.session.state is State.DISCONNECTED:
        await connection.closed()
    return connection


class Server:
    """The listening side of any number of sessions; made by `serve`."""

    def __init__(
        self,
        session_for: SessionLookup,
        on_event: EventHandler,
        tls: SSLContext | None,
        write_limit: int,
        processed_by: ProcessedBy,
    ) -> None:
        self._tls = tls
        self._processed_by = processed_by
        self._session_for = session_for
        self._on_event = on_event
        self._write_limit = write_limit
        self._listener: asyncio.Server | None = None
        self._greetings: set[_Greeting] = set()
        self._connections: dict[Session, Connection] = {}
        self._failures: list[BaseException] = []

    @property
    def port(self) -> int:
        """The port that is listened on: the one that the system chose where 0 was asked for."""
        assert self._listener is not None
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def connections(self) -> list[Connection]:
        """Of every session that has one now."""
        return [connection for connection in self._connections.values() if connection.is_open]

    async def listen(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Greeting(self), host, port, ssl=self._tls)

    def logout(self, text: str = "") -> None:
        """End every session in good form; go on listening."""
        for connection in self.connections:
            connection.logout(text)

    async def close(self) -> None:
        """Stop listening and close every connection; returns when all are gone. Raises what an `on_event` raised."""
        assert self._listener is not None
        self._listener.close()
        for greeting in list(self._greetings):
            greeting.end("the server closes")
        connections = list(self._connections.values())
        for connection in connections:
            connection.close("the server closes")
        for connection in connections:
            with contextlib.suppress(Exception):  # noted by _ended
                await connection.closed()
        if self._failures:
            raise self._failures[0]

    def _ended(self, ended: asyncio.Future[str]) -> None:
        error = ended.exception()
        if error is not None:
            self._failures.append(error)

    def greeted(self, greeting: "_Greeting", first: Decoded, data: bytes) -> None:
        """A first message came: find its session and hand the socket over."""
        transport, logon = greeting.leave(), first.message
        sender, target = logon.get(49) or "", logon.get(56) or ""
        session = self._session_for(sender, target) if logon.msg_type == "A" else None
        if session is None:
            # Volume 2, "Logon": one that is not known gets no answer.
            _LOG.warning("%s: no session for %r to %r (35=%s)", _peer_name(transport), sender, target, logon.msg_type)
            transport.abort()
            return
        old = self._connections.get(session)
        if old is not None:
            refusal = session.judge(first, read_clocks()) if session.state is not State.DISCONNECTED else None
            if refusal is not None:
                # A Logout would use up a number of the session that lives.
                _LOG.warning("%s: Logon of %s refused: %s", _peer_name(transport), session.config.session_id, refusal)
                transport.abort()
                return
            old.abort("a new Logon of this session came on another connection")
        connection = Connection(session, self._on_event, write_limit=self._write_limit, processed_by=self._processed_by)
        connection.on_end(self._ended)
        self._connections[session] = connection
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(data)

    def welcome(self, greeting: "_Greeting") -> None:
        self._greetings.add(greeting)

    def leave(self, greeting: "_Greeting") -> None:
        self._greetings.discard(greeting)


class _Greeting(asyncio.Protocol):
    """A new connection until its first message says whose it is."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._data = bytearray()
        self._decoder = Decoder(_GREETING_LIMIT)
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.welcome(self)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(_GREETING_TIMEOUT, self.end, f"no Logon within {_GREETING_TIMEOUT:g} s")

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._decoder.feed(data)
        first = self._decoder.next()
        if first is not None:
            self._server.greeted(self, first, bytes(self._data))
        elif len(self._data) > _GREETING_LIMIT:
            self.end("no Logon in what it sent")

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - why does not matter before the Logon
        self.leave()

    def leave(self) -> asyncio.Transport:
        """Stop watching the connection; its transport."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._server.leave(self)
        assert self._transport is not None
        return self._transport

    def end(self, reason: str) -> None:
        transport = self.leave()
        _LOG.warning("%s: closed: %s", _peer_name(transport), reason)
        transport.abort()


async def serve(
    host: str,
    port: int,
    session_for: SessionLookup,
    on_event: EventHandler,
    *,
    tls: SSLContext | None = None,
    write_limit: int = _WRITE_LIMIT,
    processed_by: ProcessedBy = "callback",
) -> Server:
    """Listen for initiators. Raises `OSError` where the port cannot be had.

    `session_for(sender, target)` gets SenderCompID (49) and TargetCompID (56) of the first Logon as the initiator sent
    them, and gives the acceptor's session for it, the same object at every reconnect, or None: then the connection is
    closed without an answer. A new Logon of a session that has a connection ends that one first. `tls` as of
    `fix.tls.server_tls`.
    """
    server = Server(session_for, on_event, tls, write_limit, processed_by)
    await server.listen(host, port)
    return server


def read_clocks() -> Reading:
    """The machine's clocks now."""
    return Reading(datetime.now(UTC), time.monotonic())


def _set_no_delay(transport: asyncio.Transport) -> None:
    connected = transport.get_extra_info("socket")
    if connected is not None and connected.family in (socket.AF_INET, socket.AF_INET6):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _peer_name(transport: asyncio.Transport | None) -> str:
    address = transport.get_extra_info("peername") if transport is not None else None
    return f"{address[0]}:{address[1]}" if address else "a peer that is gone"
