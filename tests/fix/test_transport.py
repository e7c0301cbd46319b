"""Sessions on real sockets of the loopback interface."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fix import transport
from fix.codec import Decoder, encode
from fix.config import SessionConfig, password
from fix.events import Disconnect, LoggedOn, LoggedOut, MessageReceived, SessionEvent
from fix.message import Message
from fix.session import NotLoggedOn, Session, State
from fix.transport import Connection, Server, connect, read_clocks, serve
from tests.fix.wire import order, until

HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def _short_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hand-made peers never close first."""
    monkeypatch.setattr(transport, "_CLOSE_TIMEOUT", 0.2)


class Log:
    """An application that notes what it is told."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []

    def __call__(self, connection: Connection, event: SessionEvent) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str | None]:
        return [event.message.get(11) for event in self.events if isinstance(event, MessageReceived)]

    def count(self, kind: type[SessionEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def venue_session(**changed: Any) -> Session:
    return Session(SessionConfig("acceptor", "VENUE", "DESK", **changed))


def desk_session(**changed: Any) -> Session:
    return Session(SessionConfig("initiator", "DESK", "VENUE", **changed))


@asynccontextmanager
async def listening(
    session: Session, on_event: Callable[[Connection, SessionEvent], None], *, write_limit: int = 4 << 20
) -> AsyncIterator[Server]:
    def session_for(sender: str, target: str) -> Session | None:
        return session if (sender, target) == ("DESK", "VENUE") else None

    server = await serve(HOST, 0, session_for, on_event, write_limit=write_limit)
    try:
        yield server
    finally:
        await server.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left running"


class RawPeer:
    """A socket and bytes, for peers that do not behave."""

    def __init__(self, port: int, **options: int) -> None:
        self.socket = socket.socket()
        for name, value in options.items():
            self.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        self.socket.connect((HOST, port))
        self.socket.setblocking(False)
        self.decoder = Decoder()
        self.number = 1

    def message(self, msg_type: str, fields: list[tuple[int, str]], *, sender: str = "DESK") -> bytes:
        stamp = read_clocks().utc.strftime("%Y%m%d-%H:%M:%S.%f")[:-3]
        header = [(49, sender), (56, "VENUE"), (34, str(self.number)), (52, stamp)]
        self.number += 1
        return encode("FIX.4.4", msg_type, header, fields)

    async def send(self, msg_type: str, fields: list[tuple[int, str]], *, sender: str = "DESK") -> None:
        data = self.message(msg_type, fields, sender=sender)
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def logs_on(self, heartbeat: int = 30) -> None:
        await self.send("A", [(98, "0"), (108, str(heartbeat))])
        message = await self.receive()
        assert message is not None
        assert message.msg_type == "A"

    async def receive(self) -> Message | None:
        """The next message, or None when the connection is at its end."""
        while (decoded := self.decoder.next()) is None:
            try:
                data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 65536), 5)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.decoder.feed(data)
        return decoded.message


async def test_messages_go_both_ways_and_a_logout_ends_it() -> None:
    desk, session = Log(), desk_session()

    def venue(connection: Connection, event: SessionEvent) -> None:
        if isinstance(event, MessageReceived):
            connection.send(Message("8", [(11, f"re {event.message.get(11)}")]))

    async with listening(venue_session(), venue) as server:
        connection = await connect(HOST, server.port, session, desk)
        await until(lambda: desk.events)
        assert [connection.send(order(name)) for name in "abc"] == [2, 3, 4]
        await until(lambda: desk.names == ["re a", "re b", "re c"])
        connection.logout("done")
        assert await connection.closed() == "the peer logged out"
        assert desk.events[-2:] == [LoggedOut("the peer logged out"), Disconnect("the peer logged out")]
        assert session.state is State.DISCONNECTED
        with pytest.raises(NotLoggedOn):
            connection.send(order("d"))


async def test_small_messages_are_not_held_back_by_the_socket() -> None:
    async with listening(venue_session(), Log()) as server:
        connection = await connect(HOST, server.port, desk_session(), Log())
        await until(lambda: server.connections)
        for one in (connection, server.connections[0]):
            assert one._transport is not None
            assert one._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_after_a_reconnect_what_got_lost_arrives_once() -> None:
    desk, venue = Log(), Log()
    session, acceptor = desk_session(), venue_session()
    async with listening(acceptor, venue) as server:
        connection = await connect(HOST, server.port, session, desk)
        await until(lambda: venue.events)
        connection.send(order("a"))
        await until(lambda: venue.names == ["a"])
        # What leaves in the same instant in which the connection dies.
        session.send(order("b"), read_clocks())
        session.send(order("c"), read_clocks())
        session.bytes_to_send()
        connection.abort("pulled the plug")
        assert await connection.closed() == "pulled the plug"
        connection = await connect(HOST, server.port, session, desk)
        await until(lambda: venue.names == ["a", "b", "c"])
        marks = [event.possible_duplicate for event in venue.events if isinstance(event, MessageReceived)]
        assert marks == [False, True, True]
        assert desk.count(LoggedOn) == 2


async def test_a_new_logon_ends_the_old_connection_first() -> None:
    venue = Log()
    async with listening(venue_session(), venue) as server:
        old = RawPeer(server.port)
        await old.logs_on()
        await old.send("D", [(11, "a")])
        new = RawPeer(server.port)
        new.number = 3
        await new.logs_on()
        assert await old.receive() is None
        await new.send("D", [(11, "b")])
        await until(lambda: venue.names == ["a", "b"])
        kinds = [type(event) for event in venue.events]
        assert kinds == [LoggedOn, MessageReceived, LoggedOut, LoggedOn, MessageReceived]


async def test_a_logon_that_is_refused_does_not_end_the_connection_of_another() -> None:
    venue = Log()
    session = venue_session(authenticate=lambda logon: None if logon.get(554) == "right" else "bad password")
    async with listening(session, venue) as server:
        connection = await connect(
            HOST, server.port, desk_session(logon_fields=password(lambda: ("desk", "right"))), Log()
        )
        await until(lambda: venue.events)
        rival = RawPeer(server.port)
        await rival.send("A", [(98, "0"), (108, "30"), (554, "wrong")])
        assert await rival.receive() is None
        connection.send(order("a"))
        await until(lambda: venue.names == ["a"])


async def test_a_refused_logon_is_told_why() -> None:
    desk = Log()
    async with listening(venue_session(authenticate=lambda _: "bad password"), Log()) as server:
        connection = await connect(HOST, server.port, desk_session(), desk)
        assert await connection.closed() == "the Logon was refused: bad password"
        assert desk.events == [Disconnect("the Logon was refused: bad password")]


async def test_a_logon_of_nobody_we_know_gets_no_answer() -> None:
    async with listening(venue_session(), Log()) as server:
        peer = RawPeer(server.port)
        await peer.send("A", [(98, "0"), (108, "30")], sender="STRANGER")
        assert await peer.receive() is None
        peer = RawPeer(server.port)
        await peer.send("D", [(11, "a")])
        assert await peer.receive() is None
        peer = RawPeer(server.port)
        peer.socket.send(b"GET / HTTP/1.1\r\n" * 5000)
        assert await peer.receive() is None


async def test_several_sessions_share_a_port() -> None:
    sessions = {name: Session(SessionConfig("acceptor", "VENUE", name)) for name in ("ONE", "TWO")}
    venue = Log()
    server = await serve(HOST, 0, lambda sender, _target: sessions.get(sender), venue)
    logs = {name: Log() for name in sessions}
    for name, log in logs.items():
        await connect(HOST, server.port, Session(SessionConfig("initiator", name, "VENUE")), log)
    await until(lambda: venue.count(LoggedOn) == 2)
    assert {connection.session.config.target_comp_id for connection in server.connections} == {"ONE", "TWO"}
    server.logout("end of day")
    await until(lambda: all(LoggedOut("end of day") in log.events for log in logs.values()))
    await server.close()


async def test_an_exception_of_the_application_closes_the_connection_and_is_raised() -> None:
    def broken(connection: Connection, event: SessionEvent) -> None:
        seen.append(event)
        if isinstance(event, MessageReceived):
            raise ZeroDivisionError("in the application")

    seen: list[SessionEvent] = []
    venue = Log()
    async with listening(venue_session(), venue) as server:
        connection = await connect(HOST, server.port, desk_session(), broken)
        await until(lambda: server.connections and venue.events)
        for name in "ab":
            server.connections[0].send(order(name))
        with pytest.raises(ZeroDivisionError, match="in the application"):
            await connection.closed()
        kinds = [type(event) for event in seen]
        assert kinds == [LoggedOn, MessageReceived, LoggedOut], "no more messages for an application that has failed"
        assert connection.session.state is State.DISCONNECTED
        await until(lambda: LoggedOut("the connection was lost") in venue.events)


async def test_an_exception_in_the_acceptors_application_is_raised_when_the_server_closes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(connection: Connection, event: SessionEvent) -> None:
        raise ZeroDivisionError("in the application")

    desk = Log()
    session = venue_session()
    server = await serve(HOST, 0, lambda _sender, _target: session, broken)
    connection = await connect(HOST, server.port, desk_session(), desk)
    await connection.closed()
    with pytest.raises(ZeroDivisionError):
        await server.close()
    assert "its connection is closed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_missing_credentials_are_raised_by_connect() -> None:
    def no_vault() -> tuple[str, str]:
        raise PermissionError("the vault is closed")

    async with listening(venue_session(), Log()) as server:
        session = desk_session(logon_fields=password(no_vault))
        with pytest.raises(PermissionError, match="the vault is closed"):
            await connect(HOST, server.port, session, Log())
        assert session.state is State.DISCONNECTED


async def test_a_refused_connection_is_an_os_error() -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        with pytest.raises(OSError, match=r"Connect call failed|refused"):
            await connect(HOST, unused.getsockname()[1], desk_session(), Log())


def quicken(connection: Connection) -> None:
    """A fifth of a second between heartbeats: HeartBtInt (108) knows whole seconds only, and they are long."""
    session: Any = connection.session
    session._interval = 0.2
    connection._schedule_tick()


async def test_heartbeats_do_not_wait_for_a_queue_of_slow_callbacks() -> None:
    def slow(connection: Connection, event: SessionEvent) -> None:
        if isinstance(event, MessageReceived):
            time.sleep(0.02)  # an application that is slow
            handled.append(event.number)

    handled: list[int] = []
    async with listening(venue_session(), slow) as server:
        peer = RawPeer(server.port)
        await peer.logs_on()
        quicken(server.connections[0])
        # Twice the interval; all of it is read at once.
        for _ in range(20):
            await peer.send("D", [(11, "a")])
        message = await peer.receive()
        assert message is not None
        assert message.msg_type == "0"
        assert 0 < len(handled) < 20
        await until(lambda: len(handled) == 20)
        assert handled == sorted(handled)


async def test_what_came_while_the_loop_was_held_up_is_read_before_silence_is_judged() -> None:
    async with listening(venue_session(), Log()) as server:
        peer = RawPeer(server.port)
        await peer.logs_on()
        (connection,) = server.connections
        quicken(connection)
        await until(lambda: connection.session._test_pending)
        assert connection._timer is not None
        due = connection._timer.when()

        def somebody_elses_callback() -> None:
            peer.socket.send(peer.message("0", []))
            time.sleep(0.6)  # three intervals

        # In one turn of the loop: first the callback, then the tick, with the peer's answer still unread.
        asyncio.get_running_loop().call_at(due - 0.001, somebody_elses_callback)
        time.sleep(max(0, due - time.monotonic()) + 0.005)  # noqa: ASYNC251 - the point of it
        await until(lambda: connection.session.next_inbound == 3)
        assert connection.session.state is State.IN_SESSION


async def test_a_peer_that_is_not_listened_to_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_MOST_WAITING", 10)

    def slow(connection: Connection, event: SessionEvent) -> None:
        if isinstance(event, MessageReceived):
            time.sleep(0.02)  # an application that is slow
            paused.append(not connection._reading)

    paused: list[bool] = []
    async with listening(venue_session(), slow) as server:
        peer = RawPeer(server.port)
        await peer.logs_on()
        quicken(server.connections[0])
        for _ in range(50):
            await peer.send("D", [(11, "a")])
        await until(lambda: len(paused) >= 45)
        assert paused.count(True) > 30, "that is longer than 2.4 intervals"
        assert server.connections[0].session.state is State.IN_SESSION


async def test_reading_pauses_for_an_application_that_does_not_keep_up() -> None:
    def slow(connection: Connection, event: SessionEvent) -> None:
        if isinstance(event, MessageReceived):
            queued.append(len(connection._waiting))
            if event.number < 50:
                time.sleep(0.006)  # each takes a slice

    queued: list[int] = []
    total = 10_000
    async with listening(venue_session(), slow) as server:
        connection = await connect(HOST, server.port, desk_session(), Log())
        await until(lambda: connection.session.state is State.IN_SESSION)
        for _ in range(total):
            connection.send(order("a"))
        await until(lambda: len(queued) == total, within=15)
        assert max(queued) < total / 2


async def test_a_peer_that_does_not_read_is_dropped_before_it_fills_the_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Log()
    async with listening(venue_session(), desk, write_limit=200_000) as server:
        peer = RawPeer(server.port, SO_RCVBUF=4096)
        await peer.logs_on()
        (connection,) = server.connections
        sent = 0
        with caplog.at_level(logging.WARNING):
            while connection.is_open:
                assert sent < 100_000
                sent = connection.send(Message("B", [(58, "x" * 1000)]))
        with pytest.raises(NotLoggedOn):
            connection.send(order("a"))
        assert "the peer does not read" in await connection.closed()
        assert "the limit is 200000" in caplog.text
        assert desk.count(LoggedOut) == 1


async def test_whoever_sends_knows_at_once_that_the_peer_does_not_read_and_when_it_does_again() -> None:
    """What waits elsewhere can still be taken back."""
    told: list[bool] = []
    venue = Log()
    async with listening(venue_session(), venue) as server:
        connection = await connect(
            HOST, server.port, desk_session(), Log(), on_writable=lambda: told.append(connection.is_writable)
        )
        await until(lambda: connection.session.state is State.IN_SESSION)
        (peer,) = server.connections
        assert peer._transport is not None
        peer._transport.pause_reading()
        sent = 0
        while connection.is_writable:
            sent += 1
            connection.send(Message("B", [(58, "x" * 1000)]))
        assert told == []
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() < 3000
        peer._transport.resume_reading()
        await until(lambda: venue.count(MessageReceived) == sent)
        assert told == [True]


async def test_a_large_resend_to_a_slow_reader_takes_no_memory_and_loses_nothing() -> None:
    session, desk = desk_session(), Log()
    venue = Log()
    async with listening(venue_session(), venue) as server:
        connection = await connect(HOST, server.port, session, desk, write_limit=300_000)
        await until(lambda: connection.session.state is State.IN_SESSION)
        text = "x" * 500
        for number in range(5000):
            session.send(Message("D", [(11, str(number)), (58, text)]), read_clocks())
            session.bytes_to_send()
        connection.abort("all of it lost")
        # 2.5 MB to resend, eight times what may wait.
        await connect(HOST, server.port, session, desk, write_limit=300_000)
        await until(lambda: len(venue.names) == 5000, within=15)
        assert venue.names == [str(number) for number in range(5000)]


async def test_close_sends_what_is_left_and_does_not_wait_for_ever() -> None:
    async with listening(venue_session(), Log()) as server:
        peer = RawPeer(server.port)
        await peer.logs_on()
        (connection,) = server.connections
        connection.send(order("last"))
        connection.close("enough")
        assert not connection.is_open
        with pytest.raises(NotLoggedOn):
            connection.send(order("too late"))
        message = await peer.receive()
        assert message is not None
        assert message.get(11) == "last"
        # The peer reads and never closes.
        assert await connection.closed() == "enough"
        assert connection.session.state is State.DISCONNECTED


async def test_a_connection_whose_reading_pauses_still_sees_the_peer_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_CLOSE_TIMEOUT", 60)
    monkeypatch.setattr(transport, "_MOST_WAITING", 1)

    def slow(connection: Connection, event: SessionEvent) -> None:
        if isinstance(event, MessageReceived):
            time.sleep(0.02)  # an application that is slow

    async with listening(venue_session(), slow) as server:
        peer = RawPeer(server.port)
        await peer.logs_on()
        (connection,) = server.connections
        for _ in range(20):
            await peer.send("D", [(11, "a")])
        await until(lambda: not connection._reading)
        connection.close("enough")
        assert await peer.receive() is None
        peer.socket.close()
        assert await asyncio.wait_for(connection.closed(), 5) == "enough"


async def test_a_logout_that_says_why_arrives_though_the_peer_goes_on_sending() -> None:
    async with listening(venue_session(), Log()) as server:
        peer = RawPeer(server.port)
        await peer.logs_on()
        # More than is read at once: at a close, what is unread would reset the connection.
        for _ in range(1500):
            peer.number = 1
            await peer.send("D", [(11, "a" * 1000)])
        message = await peer.receive()
        assert message is not None
        assert message.get(58) == "MsgSeqNum too low, expecting 2 but received 1"
        end = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer.socket, 1), 5)
        assert end == b"", "an end in good form, no reset"


async def test_events_are_delivered_one_at_a_time_also_when_a_callback_causes_more() -> None:
    depth = 0
    order_of_events: list[str] = []

    def nested(connection: Connection, event: SessionEvent) -> None:
        nonlocal depth
        assert depth == 0
        depth += 1
        order_of_events.append(type(event).__name__)
        if isinstance(event, LoggedOn):
            connection.logout()
            connection.abort("at once")
        depth -= 1

    async with listening(venue_session(), Log()) as server:
        connection = await connect(HOST, server.port, desk_session(), nested)
        assert await connection.closed() == "at once"
    assert order_of_events == ["LoggedOn", "LoggedOut"]


async def test_a_session_cannot_be_connected_twice() -> None:
    session = desk_session()
    async with listening(venue_session(), Log()) as server:
        await connect(HOST, server.port, session, Log())
        with pytest.raises(RuntimeError, match="has a connection already"):
            await connect(HOST, server.port, session, Log())


async def test_a_silent_peer_is_asked_and_then_left() -> None:
    venue = Log()
    async with listening(venue_session(), venue) as server:
        peer = RawPeer(server.port)
        await peer.logs_on()
        quicken(server.connections[0])
        types = []
        while (message := await peer.receive()) is not None:
            types.append(message.msg_type)
        assert types.count("1") == 1
        assert "0" in types
        assert "nothing received for" in str(venue.events[-1])
