"""The engine as an application sees it: five callbacks, an `Initiator` that stays logged on, an `Acceptor` for many.

See `examples/`. Everything runs in one asyncio event loop; callbacks are plain functions, called one at a time and in
order. What they raise, except for the two errors below, ends the connection and comes out of `run` or `close`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from ssl import SSLContext

from fix.config import SessionConfig
from fix.events import LoggedOn, LoggedOut, MessageReceived, NumbersReset, Rejected, SessionEvent
from fix.log import Log
from fix.message import FieldError, Message, MissingTag
from fix.orders import business_message_reject
from fix.reconnect import Host, Reconnect
from fix.session import NotLoggedOn, Session
from fix.store import MemoryStore, Store
from fix.transport import Connection, Server, connect, serve

_LOG = logging.getLogger(__name__)
_LONGEST_SLEEP = 60.0
"""Seconds, out of hours: a clock that was set in the meantime is noticed."""


class Unsupported(Exception):  # noqa: N818 - what it is, in BusinessRejectReason's words
    """Raised by `on_message` for a MsgType that the application has no use for: answered with 35=j, 380=3."""


class Application:
    """What happens to a session. Each does nothing until it is overridden."""

    def on_logon(self, connection: Connection) -> None:
        """Both Logons were exchanged: `connection.send` works until `on_logout`."""

    def on_message(self, connection: Connection, received: MessageReceived) -> None:
        """An application message, in order. What returns from here is done with; after a crash within it, it comes
        again, with `possible_duplicate`. A `FieldError` about what it says is answered with a BusinessMessageReject
        (35=j). With `NotLoggedOn`, since the session has ended in the meantime, it comes again after the next Logon."""

    def on_reject(self, connection: Connection, rejected: Rejected) -> None:
        """The peer's session will not have a message of ours (35=3)."""

    def on_reset(self, connection: Connection) -> None:
        """Both sides begin again at 1."""

    def on_logout(self, connection: Connection, reason: str) -> None:
        """The session ended. Comes once after each `on_logon`."""


class _Dispatcher:
    """Events to callbacks."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, connection: Connection, event: SessionEvent) -> None:
        match event:
            case MessageReceived():
                self._pass_on(connection, event)
            case LoggedOn():
                self._application.on_logon(connection)
            case LoggedOut(reason):
                self._application.on_logout(connection, reason)
            case Rejected():
                self._application.on_reject(connection, event)
            case NumbersReset():
                self._application.on_reset(connection)
            case _:
                pass  # the transport disconnects by itself

    def _pass_on(self, connection: Connection, received: MessageReceived) -> None:
        try:
            self._application.on_message(connection, received)
        except Unsupported:
            self._refuse(connection, received, 3, f"MsgType (35) {received.message.msg_type} is not supported")
        except FieldError as error:
            if not _is_theirs(error, received.message):
                raise
            self._refuse(connection, received, 5 if isinstance(error, MissingTag) else 0, str(error))

    def _refuse(self, connection: Connection, received: MessageReceived, reason: int, text: str) -> None:
        message = received.message
        refusal = business_message_reject(
            ref_msg_type=message.msg_type,
            business_reject_reason=reason,
            ref_seq_num=received.number,
            business_reject_ref_id=message.get(11),
            text=text,
        )
        try:
            connection.send(refusal)
        except NotLoggedOn:
            _LOG.warning("message %d was refused, and the session had ended: %s", received.number, text)


def _is_theirs(error: FieldError, message: Message) -> bool:
    """Whether it is the received message that has the wrong value, and not one that the application was making."""
    if isinstance(error, MissingTag):
        return message.get(error.tag) is None
    return (error.tag, error.value) in message.fields


class Initiator:
    """Keeps one session logged on, whatever happens to connections, until it is stopped.

    `hosts` are tried by the rules of `fix.reconnect`; out of the schedule's hours it sleeps. `tls` as of
    `fix.tls.client_tls`.
    """

    def __init__(
        self,
        config: SessionConfig,
        application: Application,
        hosts: Sequence[tuple[str, int]] | Reconnect,
        *,
        store: Store | None = None,
        log: Log | None = None,
        tls: SSLContext | None = None,
        connect_timeout: float = 10,
    ) -> None:
        if config.role != "initiator":
            raise ValueError(f"config.role is {config.role!r}: it must be 'initiator'")
        self._config = config
        self._reconnect = hosts if isinstance(hosts, Reconnect) else Reconnect(hosts)
        self._session = Session(config, store, log)
        self._log = log
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._connection: Connection | None = None
        self._stopping = asyncio.Event()
        self._logged_on_at = 0.0
        """By the monotonic clock; 0 as long as this connection has no Logon."""
        self._dispatch = _Dispatcher(application)

    @property
    def session(self) -> Session:
        return self._session

    def send(self, message: Message) -> int:
        """Send an application message; its MsgSeqNum. Raises `NotLoggedOn`, and then it will not leave later either, or
        `FieldError` for what cannot be sent."""
        if self._connection is None:
            raise NotLoggedOn(f"{self._config.session_id} has no connection")
        return self._connection.send(message)

    def stop(self, text: str = "") -> None:
        """Log out, and have `run` return."""
        self._stopping.set()
        if self._connection is not None:
            self._connection.logout(text)

    async def run(self) -> None:
        """Until `stop`. Raises what a callback or `logon_fields` raised, but for an `OSError` of the latter: that
        counts as a connection that could not be had."""
        while not self._stopping.is_set():
            if await self._is_out_of_hours():
                continue
            attempt = self._reconnect.next()
            await self._sleep(attempt.pause)
            if not self._stopping.is_set():
                await self._hold(attempt.host)

    async def _is_out_of_hours(self) -> bool:
        now = datetime.now(UTC)
        schedule = self._config.schedule
        if schedule is None or not self._session.out_of_hours(now):
            return False
        await self._sleep(min(_LONGEST_SLEEP, (schedule.next_start(now) - now).total_seconds()))
        return True

    async def _hold(self, host: Host) -> None:
        """One connection, from beginning to end."""
        self._logged_on_at = 0.0
        name = self._config.session_id
        try:
            connection = await connect(
                host.name,
                host.port,
                self._session,
                self._on_event,
                tls=self._tls,
                connect_timeout=self._connect_timeout,
            )
        except OSError as error:
            reason = str(error) or "no answer"
        else:
            reason = await self._until_closed(connection)
        finally:
            self._connection = None
        if self._logged_on_at:
            self._tell(f"{name}: the session with {host.name}:{host.port} ended: {reason}")
            self._reconnect.ended(time.monotonic() - self._logged_on_at)
        else:
            self._tell(f"{name}: no session with {host.name}:{host.port}: {reason}")
            self._reconnect.failed()

    async def _until_closed(self, connection: Connection) -> str:
        self._connection = connection
        if self._stopping.is_set():
            connection.logout()
        try:
            return await connection.closed()
        except asyncio.CancelledError:
            connection.abort("given up")
            raise

    def _on_event(self, connection: Connection, event: SessionEvent) -> None:
        if isinstance(event, LoggedOn):
            self._connection = connection
            self._logged_on_at = time.monotonic()
        self._dispatch(connection, event)

    def _tell(self, text: str) -> None:
        _LOG.warning("%s", text)
        if self._log is not None:
            self._log.event(datetime.now(UTC), text)
            self._log.flush()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


class Acceptor:
    """Listens for the sessions that are given, each told by its CompIDs; any other is sent away.

    `tls` as of `fix.tls.server_tls`.
    """

    def __init__(
        self,
        configs: Iterable[SessionConfig],
        application: Application,
        *,
        store_for: Callable[[SessionConfig], Store] = lambda _config: MemoryStore(),
        log_for: Callable[[SessionConfig], Log | None] = lambda _config: None,
        tls: SSLContext | None = None,
    ) -> None:
        self._application = application
        self._tls = tls
        self._server: Server | None = None
        self._sessions: dict[tuple[str, str], Session] = {}
        for config in configs:
            if config.role != "acceptor":
                raise ValueError(f"the role of {config.session_id} is {config.role!r}: it must be 'acceptor'")
            # As the initiator says them: it is the sender there.
            key = (config.target_comp_id, config.sender_comp_id)
            if key in self._sessions:
                raise ValueError(f"{config.session_id} is given twice, or has the CompIDs of another")
            self._sessions[key] = Session(config, store_for(config), log_for(config))
        if not self._sessions:
            raise ValueError("configs is empty: there must be at least one session")

    @property
    def sessions(self) -> list[Session]:
        return list(self._sessions.values())

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._server is None:
            raise RuntimeError("it does not listen yet")
        return self._server.port

    async def listen(self, host: str, port: int) -> None:
        """Begin to accept. Raises `OSError` where the port cannot be had."""
        self._server = await serve(
            host,
            port,
            lambda sender, target: self._sessions.get((sender, target)),
            _Dispatcher(self._application),
            tls=self._tls,
        )

    def logout(self, text: str = "") -> None:
        """End every session in good form; go on listening."""
        if self._server is not None:
            self._server.logout(text)

    async def close(self) -> None:
        """Stop listening and close every connection. Raises what a callback raised."""
        if self._server is not None:
            await self._server.close()
