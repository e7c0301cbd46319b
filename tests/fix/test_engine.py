"""The engine as its users see it: initiator and acceptor on real sockets, with certificates, hosts and hours."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from ssl import SSLContext
from typing import Any, Literal

import pytest
import trustme

from fix.config import SessionConfig, password
from fix.engine import Acceptor, Application, Initiator, Unsupported
from fix.events import Disconnect, LoggedOn, MessageReceived, NumbersReset, Rejected
from fix.log import FileLog
from fix.message import FieldError, Message
from fix.polling import polling_loop
from fix.reconnect import Attempt, Pauses, Reconnect
from fix.schedule import Schedule
from fix.session import NotLoggedOn, Reading, Session, State
from fix.sqlite_store import SqliteStore
from fix.store import MemoryStore
from fix.tls import TlsError, client_tls, server_tls
from fix.transport import Connection, read_clocks
from tests.fix.wire import START, Side, brief, frame, order, until

HOST = "127.0.0.1"
QUICK = Pauses(first=0.01, longest=0.05, stable_after=0.001)


class Notes(Application):
    """Notes what it is told, by the names of the callbacks."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.connection: Connection | None = None

    def on_logon(self, connection: Connection) -> None:
        self.connection = connection
        self.told.append("logon")

    def on_message(self, connection: Connection, received: MessageReceived) -> None:
        match received.message.get(11):
            case "unreadable":
                received.message.require(38)
            case "unwanted":
                raise Unsupported
        self.told.append(f"message {received.message.get(11) or received.message.get(380)}")

    def on_reject(self, connection: Connection, rejected: Rejected) -> None:
        self.told.append(f"reject {rejected.ref_number}")

    def on_reset(self, connection: Connection) -> None:
        self.told.append("reset")

    def on_logout(self, connection: Connection, reason: str) -> None:
        self.connection = None
        self.told.append(f"logout: {reason}")


class Recorded(Reconnect):
    """Remembers what was to be tried."""

    attempts: list[Attempt]

    def next(self) -> Attempt:
        attempt = super().next()
        self.attempts = [*getattr(self, "attempts", []), attempt]
        return attempt


def desk(**changed: Any) -> SessionConfig:
    return SessionConfig("initiator", "DESK", "VENUE", **changed)


def venue(**changed: Any) -> SessionConfig:
    return SessionConfig("acceptor", "VENUE", "DESK", **changed)


@asynccontextmanager
async def listening(
    application: Application, *, config: SessionConfig | None = None, tls: SSLContext | None = None
) -> AsyncIterator[Acceptor]:
    acceptor = Acceptor([config or venue()], application, tls=tls)
    await acceptor.listen(HOST, 0)
    try:
        yield acceptor
    finally:
        await acceptor.close()


@asynccontextmanager
async def running(initiator: Initiator) -> AsyncIterator[Initiator]:
    running = asyncio.create_task(initiator.run())
    try:
        yield initiator
    finally:
        initiator.stop()
        await asyncio.wait_for(running, 10)


async def test_an_application_sees_five_callbacks_and_no_mechanics() -> None:
    ours, theirs = Notes(), Notes()
    async with listening(theirs) as acceptor:
        initiator = Initiator(desk(), ours, [(HOST, acceptor.port)])
        async with running(initiator):
            await until(lambda: ours.told and theirs.told)
            assert initiator.send(order("a")) == 2
            await until(lambda: "message a" in theirs.told)
            assert theirs.connection
            theirs.connection.send(order("b"))
            await until(lambda: "message b" in ours.told)
            assert ours.connection
            ours.connection._handle(initiator.session.reset(read_clocks()))
            await until(lambda: initiator.session.next_inbound == 2)
        await until(lambda: len(theirs.told) == 4)
    assert ours.told == ["logon", "message b", "reset", "logout: the peer logged out"]
    assert theirs.told == ["logon", "message a", "reset", "logout: the peer logged out"]
    with pytest.raises(NotLoggedOn):
        initiator.send(order("c"))


@pytest.mark.parametrize(("name", "reason"), [("unreadable", "5"), ("unwanted", "3")])
async def test_what_the_application_cannot_read_gets_a_business_reject(name: str, reason: str) -> None:
    ours = Notes()
    async with listening(Notes()) as acceptor, running(Initiator(desk(), ours, [(HOST, acceptor.port)])) as initiator:
        await until(lambda: ours.told)
        initiator.send(order(name))
        await until(lambda: f"message {reason}" in ours.told)
    assert ours.told[:2] == ["logon", f"message {reason}"]


async def test_what_a_callback_raises_comes_out_of_run() -> None:
    class Broken(Application):
        def on_logon(self, connection: Connection) -> None:
            raise LookupError("what the application did not expect")

    async with listening(Notes()) as acceptor:
        with pytest.raises(LookupError, match="did not expect"):
            await Initiator(desk(), Broken(), [(HOST, acceptor.port)]).run()


async def test_a_refused_logon_is_tried_again_after_pauses_that_grow() -> None:
    async with listening(Notes(), config=venue(authenticate=lambda _: "not today")) as acceptor:
        reconnect = Recorded([(HOST, acceptor.port)], QUICK, random=Random(1))
        ours = Notes()
        async with running(Initiator(desk(), ours, reconnect)):
            await until(lambda: len(getattr(reconnect, "attempts", [])) >= 5)
    pauses = [attempt.pause for attempt in reconnect.attempts]
    assert pauses[0] == 0
    assert pauses[1] >= 0.0075
    assert pauses[4] > pauses[1]
    assert ours.told == []


async def test_a_host_that_takes_connections_and_no_logon_is_left_for_the_next() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    dead = await asyncio.start_server(hang_up, HOST, 0)
    ours = Notes()
    async with dead, listening(Notes()) as acceptor:
        hosts = [(HOST, dead.sockets[0].getsockname()[1]), (HOST, acceptor.port)]
        async with running(Initiator(desk(), ours, Reconnect(hosts, QUICK))):
            await until(lambda: "logon" in ours.told)
    assert ours.told[0] == "logon"


async def number_of_an_order(store_path: Path, port: int) -> int:
    """Which one has the order that a desk sends as soon as it is logged on, before it logs out."""
    ours, store = Notes(), SqliteStore(store_path, desk().session_id)
    async with running(Initiator(desk(), ours, [(HOST, port)], store=store)) as initiator:
        await until(lambda: ours.told)
        number = initiator.send(order("a"))
    store.close()
    return number


async def test_numbers_in_a_file_go_on_after_a_new_start(tmp_path: Path) -> None:
    async with listening(Notes()) as acceptor:
        assert await number_of_an_order(tmp_path / "desk.db", acceptor.port) == 2
        assert await number_of_an_order(tmp_path / "desk.db", acceptor.port) == 5


async def test_no_secret_is_in_the_log_of_a_logon(tmp_path: Path) -> None:
    log = FileLog(tmp_path, "desk")
    config = desk(logon_fields=password(lambda: ("desk", "hunter2")))
    ours = Notes()
    async with listening(Notes()) as acceptor, running(Initiator(config, ours, [(HOST, acceptor.port)], log=log)):
        await until(lambda: ours.told)
    log.close()
    written = (tmp_path / "desk.messages.log").read_text()
    assert "553=desk|554=***|" in written
    assert "hunter2" not in written
    assert [line.split()[1] for line in written.splitlines()] == [">", "<", ">", "<"]
    assert "the peer logged out" in (tmp_path / "desk.events.log").read_text()


# TLS


class Certificates:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.authority = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.authority)

    def issue(self, name: str, *identities: str) -> tuple[Path, Path]:
        issued = self._authority.issue_cert(*identities)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def test_both_sides_show_certificates(certificates: Certificates) -> None:
    certificate, key = certificates.issue("venue", HOST)
    ours_certificate, our_key = certificates.issue("desk", "desk.example")
    theirs = server_tls(certificate=certificate, key=key, client_ca_file=certificates.authority)
    ours = client_tls(ca_file=certificates.authority, certificate=ours_certificate, key=our_key)
    desk_notes, venue_notes = Notes(), Notes()
    async with (
        listening(venue_notes, tls=theirs) as acceptor,
        running(Initiator(desk(), desk_notes, [(HOST, acceptor.port)], tls=ours)) as initiator,
    ):
        await until(lambda: desk_notes.told)
        initiator.send(order("a"))
        await until(lambda: "message a" in venue_notes.told)
    assert venue_notes.told == ["logon", "message a", "logout: the peer logged out"]


@pytest.mark.parametrize("wrong", ["another host", "an authority that is not believed", "no client certificate"])
async def test_a_certificate_that_does_not_prove_it_is_no_session(tmp_path: Path, wrong: str) -> None:
    certificates = Certificates(tmp_path)
    identity = "venue.example" if wrong == "another host" else HOST
    certificate, key = certificates.issue("venue", identity)
    client_ca = certificates.authority if wrong == "no client certificate" else None
    theirs = server_tls(certificate=certificate, key=key, client_ca_file=client_ca)
    believed = None if wrong == "an authority that is not believed" else certificates.authority
    notes = Notes()
    async with listening(Notes(), tls=theirs) as acceptor:
        reconnect = Recorded([(HOST, acceptor.port)], QUICK)
        async with running(Initiator(desk(), notes, reconnect, tls=client_tls(ca_file=believed))):
            await until(lambda: len(getattr(reconnect, "attempts", [])) >= 3)
    assert notes.told == []


def test_certificates_and_keys_that_cannot_be_used_are_refused_by_name(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    certificate, key = certificates.issue("venue", HOST)
    _, other_key = certificates.issue("other", HOST)
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("not a certificate")
    missing = tmp_path / "missing.pem"
    cases: list[tuple[Callable[[], SSLContext], str]] = [
        (lambda: server_tls(certificate=missing, key=key), f"certificate is {missing}: it cannot be read"),
        (lambda: server_tls(certificate=certificate, key=missing), f"key is {missing}: it cannot be read"),
        (lambda: server_tls(certificate=nonsense, key=key), f"certificate is {nonsense}"),
        (lambda: server_tls(certificate=certificate, key=other_key), f"key {other_key}"),
        (lambda: client_tls(ca_file=nonsense), f"ca_file is {nonsense}"),
        (lambda: client_tls(ca_file=missing), f"ca_file is {missing}: it cannot be read"),
        (lambda: client_tls(key=key), "certificate is missing"),
    ]
    for make, said in cases:
        with pytest.raises(TlsError) as raised:
            make()
        assert said in str(raised.value)


# Hours

DAY = Schedule(start=START.time(), end=(START + timedelta(hours=2)).time())


def at(hours: float) -> Reading:
    return Reading(START + timedelta(hours=hours), 1000 + hours * 3600)


def test_the_session_ends_with_its_hours() -> None:
    side = Side(config=desk_like("acceptor"))
    side.logs_on()
    side.sends()
    assert side.session.next_tick() <= 1000 + 2 * 3600
    assert side.session.tick(at(2)) == []
    assert brief(side.sends(), 58)[-1] == ("5", "the session's hours are over")
    assert side.session.state is State.LOGOUT_SENT


def desk_like(role: Literal["initiator", "acceptor"]) -> SessionConfig:
    return SessionConfig(role, "SELF", "PEER", schedule=DAY, heartbeat_interval=0)


def test_out_of_hours_there_is_no_logon() -> None:
    session = Session(desk_like("initiator"))
    assert session.connected(at(-1)) == [Disconnect("out of session hours")]
    assert session.bytes_to_send() == b""
    assert session.out_of_hours(at(3).utc)
    assert not session.out_of_hours(at(1).utc)


@pytest.mark.parametrize(("hours", "number"), [(1, 41), (24, 1), (24 * 30 + 1, 1)])
def test_numbers_begin_again_in_the_next_window_also_after_a_downtime(hours: float, number: int) -> None:
    store = MemoryStore(next_outbound=41, next_inbound=17, created=START)
    session = Session(desk_like("initiator"), store)
    events = session.connected(at(hours))
    assert (NumbersReset() in events) == (number == 1)
    text = session.bytes_to_send().decode("latin-1")
    assert f"\x0134={number}\x01" in text
    # Both sides know the hours: nothing has to be said.
    assert "\x01141=" not in text
    answer = f"35=A|49=PEER|56=SELF|34={17 if number == 41 else 1}|98=0|108=0"
    stamp = at(hours).utc.strftime("%Y%m%d-%H:%M:%S")
    assert LoggedOn() in session.receive(frame(f"{answer}|52={stamp}"), at(hours))


async def test_out_of_hours_an_initiator_does_not_call() -> None:
    now = datetime.now(UTC)
    closed = Schedule((now + timedelta(hours=3)).time(), (now + timedelta(hours=4)).time())
    reconnect = Recorded([(HOST, 1)])
    async with running(Initiator(desk(schedule=closed), Notes(), reconnect)):
        await asyncio.sleep(0)
    assert not hasattr(reconnect, "attempts")


# Settings


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"begin_string": "FIX.9.9"}, "begin_string is 'FIX.9.9': it must be one of FIX.4.2"),
        ({"sender_comp_id": ""}, "sender_comp_id is ''"),
        ({"heartbeat_interval": -1}, "heartbeat_interval is -1"),
        ({"resend_chunk": 1.5}, "resend_chunk is 1.5"),
        ({"sending_time_digits": 4}, "sending_time_digits is 4: it must be 3 or 6"),
        ({"validate": "some"}, "validate is 'some'"),
        ({"authenticate": lambda _: None}, "authenticate is set: it is for an acceptor"),
        ({"role": "spectator"}, "role is 'spectator'"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"it must be|it is for") as raised:
        SessionConfig(**{"role": "initiator", "sender_comp_id": "A", "target_comp_id": "B", **changed})
    assert said in str(raised.value)


def test_an_initiator_and_an_acceptor_want_sessions_of_their_role() -> None:
    with pytest.raises(ValueError, match="it must be 'initiator'"):
        Initiator(venue(), Notes(), [(HOST, 1)])
    with pytest.raises(ValueError, match="it must be 'acceptor'"):
        Acceptor([desk()], Notes())
    with pytest.raises(ValueError, match="given twice"):
        Acceptor([venue(), venue()], Notes())
    with pytest.raises(ValueError, match="at least one session"):
        Acceptor([], Notes())


def test_a_loop_that_polls_is_a_loop() -> None:
    async def talk() -> list[str]:
        ours = Notes()
        async with listening(Notes()) as acceptor, running(Initiator(desk(), ours, [(HOST, acceptor.port)])):
            await until(lambda: ours.told)
        return ours.told

    with asyncio.Runner(loop_factory=polling_loop) as runner:
        assert runner.run(talk())[0] == "logon"
    with pytest.raises(ValueError, match="seconds is 0"):
        polling_loop(0)


def test_a_message_of_the_application_is_sent_with_microseconds_where_that_is_set() -> None:
    config = SessionConfig("acceptor", "SELF", "PEER", sending_time_digits=6)
    side = Side(config=config)
    side.logs_on()
    side.session.send(Message("D", [(11, "a")]), side.now)
    assert [message.get(52) for message in side.sends()] == ["20131007-13:30:00.000000"] * 2


# When the application, its store or its venue fails


class Answering(Notes):
    """Answers every message, as a venue does."""

    def on_message(self, connection: Connection, received: MessageReceived) -> None:
        connection.send(order(f"answer to {received.message.get(11)}"))
        super().on_message(connection, received)


async def test_messages_that_a_logout_overtakes_come_again() -> None:
    theirs = Answering()
    async with listening(theirs) as acceptor:
        session = Session(desk())
        for first in (True, False):
            reader, writer = await asyncio.open_connection(HOST, acceptor.port)
            session.connected(read_clocks())
            writer.write(session.bytes_to_send())
            session.receive(await reader.read(4096), read_clocks())
            if first:
                for name in "abc":
                    session.send(order(name), read_clocks())
                session.logout(read_clocks())
            writer.write(session.bytes_to_send())
            while data := await reader.read(4096):
                if session.state is State.DISCONNECTED:
                    break
                session.receive(data, read_clocks())
                writer.write(session.bytes_to_send())
                if "message c" in theirs.told:
                    break
            session.disconnected(read_clocks())
            writer.close()
        await until(lambda: theirs.told.count("logon") == 2 and theirs.told[-1].startswith("logout"))
    messages = [told for told in theirs.told if told.startswith("message")]
    assert messages == ["message a", "message b", "message c"]
    assert [told.split(":")[0] for told in theirs.told if ":" in told or told == "logon"] == ["logon", "logout"] * 2


@pytest.mark.parametrize("error", [TimeoutError("in a callback"), ZeroDivisionError("in a callback")])
async def test_whatever_a_callback_raises_is_the_applications(error: Exception) -> None:
    class Broken(Notes):
        def on_message(self, connection: Connection, received: MessageReceived) -> None:
            raise error

    theirs, ours = Notes(), Broken()
    async with listening(theirs) as acceptor:
        initiator = Initiator(desk(), ours, [(HOST, acceptor.port)])
        running = asyncio.create_task(initiator.run())
        await until(lambda: theirs.connection)
        assert theirs.connection
        theirs.connection.send(order("a"))
        with pytest.raises(type(error), match="in a callback"):
            await asyncio.wait_for(running, 10)
    assert ours.told == ["logon", "logout: the connection was lost"]
    assert initiator.session.next_inbound == 2, "it comes again with the next Logon"


async def test_an_order_that_the_application_makes_wrongly_is_not_the_peers_fault() -> None:
    class Careless(Notes):
        def on_message(self, connection: Connection, received: MessageReceived) -> None:
            connection.send(Message("8", [(37, "")]))

    ours = Notes()
    acceptor = Acceptor([venue()], Careless())
    await acceptor.listen(HOST, 0)
    async with running(Initiator(desk(), ours, [(HOST, acceptor.port)])) as initiator:
        await until(lambda: ours.told)
        initiator.send(order("a"))
        await until(lambda: len(ours.told) > 1)
    assert ours.told[1].startswith("logout")
    with pytest.raises(FieldError, match="tag 37"):
        await acceptor.close()


class Failing(MemoryStore):
    broken = False

    def commit(self) -> None:
        if self.broken:
            raise OSError("no space left on device")


async def test_a_store_that_fails_ends_the_session_and_is_told() -> None:
    store, ours = Failing(), Notes()
    async with listening(Notes()) as acceptor:
        initiator = Initiator(desk(), ours, [(HOST, acceptor.port)], store=store)
        running = asyncio.create_task(initiator.run())
        await until(lambda: ours.told)
        store.broken = True
        initiator.send(order("a"))
        with pytest.raises(OSError, match="no space left"):
            await asyncio.wait_for(running, 10)
    assert ours.told == ["logon", "logout: the connection was lost"]


async def test_a_connection_is_closed_when_run_is_cancelled() -> None:
    theirs, ours = Notes(), Notes()
    async with listening(theirs) as acceptor:
        initiator = Initiator(desk(), ours, [(HOST, acceptor.port)])
        running = asyncio.create_task(initiator.run())
        await until(lambda: ours.told and theirs.told)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: len(theirs.told) == 2)
        assert initiator.session.state is State.DISCONNECTED
    assert len(ours.told) == 2


async def test_a_logon_that_would_be_refused_does_not_end_the_session_that_lives() -> None:
    theirs, ours = Notes(), Notes()
    asked: list[Message] = []

    def authenticate(logon: Message) -> None:
        asked.append(logon)

    async with (
        listening(theirs, config=venue(authenticate=authenticate)) as acceptor,
        running(Initiator(desk(), ours, [(HOST, acceptor.port)])) as initiator,
    ):
        await until(lambda: ours.told)
        stamp = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y%m%d-%H:%M:%S")
        for text in (
            f"35=A|49=DESK|56=VENUE|34=1|52={stamp}|98=0|108=30",
            f"35=A|49=DESK|56=VENUE|34=1|52={datetime.now(UTC):%Y%m%d-%H:%M:%S}|98=0|108=30",
        ):
            reader, writer = await asyncio.open_connection(HOST, acceptor.port)
            writer.write(frame(text))
            assert await reader.read() == b""
            writer.close()
        initiator.send(order("a"))
        await until(lambda: "message a" in theirs.told)
    assert theirs.told[0] == "logon"
    assert theirs.told.count("logon") == 1
    assert len(asked) <= 2


@pytest.mark.parametrize("name", ["initiator", "acceptor"])
def test_the_examples_are_what_they_say(name: str) -> None:
    module = importlib.import_module(f"examples.{name}")
    assert module.__doc__
    assert f"python -m examples.{name}" in module.__doc__
