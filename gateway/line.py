"""An epoch's way to the venue: one connection after the other, and the numbers that may be used on them.

Trading session and drop copy have one each. It tries the hosts by turns, logs on with credentials and certificates that
it fetches anew each time, has more sequence numbers reserved before they run out, and knows what of the venue's
messages is not yet done with.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import Protocol

import msgspec

from fix.config import SessionConfig, password
from fix.events import LoggedOn, LoggedOut, MessageReceived, MessageRefused, Rejected, SessionEvent
from fix.message import Message
from fix.reconnect import Host, Pauses, Reconnect
from fix.session import NotLoggedOn
from fix.store import MemoryStore
from fix.tls import TlsError, client_tls
from fix.transport import Connection, connect
from gateway.calls import Calls
from gateway.fencing import FencedSession
from gateway.lease import Lease, LeaseLostError, LeaseWriter
from gateway.resets import answered, explained
from storage.secrets import Credentials
from storage.settings import Settings

_log = logging.getLogger("gateway.line")

_PAUSES = Pauses(first=0.2, longest=15.0, stable_after=5.0)
_CUT = "what was on its way to the socket may not leave any more"


class Owner(Protocol):
    """What the epoch does for its line."""

    def may_write(self) -> bool:
        """Asked in the last call before the socket, of whatever is to leave."""
        ...

    def may_resend(self, message: Message) -> bool:
        """Whether an application message may leave again because the venue asks for its number."""
        ...

    def on_event(self, event: SessionEvent) -> None: ...

    async def while_logged_on(self) -> None:
        """Begun after each logon, when its reset is written down; cancelled when the connection ends."""
        ...

    def on_end(self) -> None:
        """There is no connection any more, whether or not there was a session."""
        ...

    def on_room(self) -> None:
        """More may leave: the peer reads again, or numbers were reserved."""
        ...

    def say(self, text: str) -> None:
        """Why there is no session, for humans; empty where there is one."""
        ...


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks with whom, where, and how a human has both begin their numbers again."""

    session: str
    sender: str
    target: str
    hosts: Sequence[Host]
    credentials: Credentials | None
    reset_path: str


class Reserve(msgspec.Struct, frozen=True):
    """How many reserved numbers there have to be: more than `least` to connect and to send, or only the session itself
    uses them; and where there are `few` or less, more are reserved."""

    least: int
    few: float


class Line:
    """One for each epoch, in its event loop. `stay_connected` has to be running."""

    def __init__(
        self,
        ends: Ends,
        owner: Owner,
        *,
        settings: Settings,
        writer: LeaseWriter,
        calls: Calls,
        reserve: Reserve,
    ) -> None:
        self._ends = ends
        self._owner = owner
        self._settings = settings
        self._writer = writer
        self._calls = calls
        self._reserve = reserve
        self._session = FencedSession(
            SessionConfig(
                role="initiator",
                sender_comp_id=ends.sender,
                target_comp_id=ends.target,
                heartbeat_interval=settings.fix_heartbeat_seconds,
                logon_fields=password(lambda: self._logon) if ends.credentials else None,
                may_resend=owner.may_resend,
                # A report that is refused does not come again, and it is rather our clock that has jumped.
                mistimed="end",
                reset_on_logon=writer.lease.reset,
            ),
            MemoryStore(next_outbound=writer.lease.block_start, next_inbound=writer.lease.inbound),
            block_end=lambda: self._writer.lease.block_end,
            may_write=owner.may_write,
            on_cut=self._on_cut,
        )
        self._logon = ("", "")
        self._connection: Connection | None = None
        self._logged_on = asyncio.Event()
        self._logged_on_since: float | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._closing = False
        self._reserving: asyncio.Task[None] | None = None
        self._all_processed = asyncio.Event()
        self._all_processed.set()

    @property
    def logged_on(self) -> bool:
        return self._logged_on_since is not None

    @property
    def logged_on_since(self) -> float | None:
        """The monotonic time of the Logon; None without a session."""
        return self._logged_on_since

    @property
    def next_outbound(self) -> int:
        return self._session.next_outbound

    @property
    def next_inbound(self) -> int:
        """The number of the first message of the venue's that is not yet done with."""
        return self._session.next_unprocessed

    @property
    def has_under_way(self) -> bool:
        """Whether a message of the venue's has come that is not yet done with."""
        return self._session.has_under_way

    @property
    def has_room(self) -> bool:
        """Whether an application message may use a number; the last ones are the session's own."""
        return self._numbers_left > self._reserve.least

    @property
    def peer_reads(self) -> bool:
        """While it does not, what waits here can still be taken back; in the connection's buffer it could not."""
        return self._connection is not None and self._connection.is_writable and not self._session.is_cut

    def send(self, message: Message) -> int:
        """Send an application message; its number. Raises `fix.session.NotLoggedOn`."""
        if self._connection is None:
            raise NotLoggedOn(f"{self._ends.session} has no connection")
        return self._connection.send(message)

    def processed(self, *numbers: int) -> None:
        """These messages of the venue's are done with: a successor need not get them again."""
        self._session.processed(*numbers)
        if not self._session.has_under_way:
            self._all_processed.set()
        self._writer.advance_inbound(self.next_inbound)

    async def until_all_processed(self) -> None:
        await self._all_processed.wait()

    def hold_off(self, reason: str) -> None:
        """End the connection, and make none until `go_on`."""
        if self._wanted.is_set():
            self._wanted.clear()
            self.hang_up(reason)

    def go_on(self) -> None:
        self._wanted.set()

    # The end

    def close(self) -> None:
        """No connection is made after the one that there is, or that is being made."""
        self._closing = True

    async def log_out(self, patience: float) -> None:
        """Returns when the connection has ended, after `patience` seconds at the latest."""
        if self._connection is not None and self.logged_on:
            self._connection.logout()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._connection.closed()

    def hang_up(self, reason: str) -> None:
        """End the connection at once."""
        if self._connection is not None:
            self._connection.abort(reason)

    def end(self, reason: str) -> list[asyncio.Task[None]]:
        """Nothing happens by itself any more. What is under way is to be cancelled, as `stay_connected` is."""
        self.close()
        self._log_off()
        self.hang_up(reason)
        return [self._reserving] if self._reserving is not None else []

    # Numbers

    @property
    def _numbers_left(self) -> int:
        return self._writer.lease.block_end - self._session.next_outbound

    def keep_numbers(self) -> None:
        """Reserve the next block before this one is used up.

        To be called from time to time: heartbeats and answers to the venue's use numbers without anybody being told.
        """
        if self._numbers_left <= self._reserve.few and self._reserving is None:
            self._reserving = asyncio.get_running_loop().create_task(self._reserve_in_advance())
        if self._numbers_left <= 0:
            self.hang_up("the reserved sequence numbers are used up")

    async def _reserve_in_advance(self) -> None:
        try:
            with contextlib.suppress(LeaseLostError):
                await self._reserve_block()
        finally:
            self._reserving = None
        self._owner.on_room()

    async def _reserve_block(self) -> None:
        def longer(lease: Lease) -> Lease:
            return msgspec.structs.replace(lease, block_end=lease.block_end + self._settings.sequence_block)

        await self._writer.commit(change=longer)

    # Connections

    async def stay_connected(self) -> None:
        """Make one connection after the other, until cancelled. Raises LeaseLostError, and what `while_logged_on`
        raises but for `NotLoggedOn`."""
        reconnect = Reconnect(self._ends.hosts, _PAUSES)
        while True:
            host, pause = reconnect.next()
            if pause:
                _log.warning("%s: trying %s:%d in %.1f s", self._ends.session, *host, pause)
            await asyncio.sleep(pause)
            await self._wanted.wait()
            await self._unless_closing()
            logged_on_for, reason = await self._one_connection(host)
            await self._unless_closing()
            if logged_on_for is None:
                reconnect.failed()
            else:
                reconnect.ended(logged_on_for)
            what = "no session" if logged_on_for is None else "session ended"
            self._owner.say(f"{what} with {host.name}:{host.port}: {reason}")

    async def _unless_closing(self) -> None:
        if self._closing:
            await asyncio.Event().wait()  # until the epoch ends

    async def _one_connection(self, host: Host) -> tuple[float | None, str]:
        """For how long there was a session, None where there was none, and why it ended or could not be."""
        if self._ends.credentials is not None:
            try:
                self._logon = await self._calls.once(self._ends.credentials)
            except Exception as error:
                return None, f"the credentials could not be had: {error}"
        while not self.has_room:
            await self._reserve_block()
        sent = 1 if self._session.config.reset_on_logon else self._session.next_outbound
        expected = 1 if self._session.config.reset_on_logon else self._session.next_inbound
        try:
            # Read anew each time, so that certificates may be renewed.
            tls = await self._calls.once(partial(_tls_context, self._settings))
            self._connection = await connect(
                *host,
                self._session,
                self._on_event,
                tls=tls,
                processed_by="application",
                on_writable=self._owner.on_room,
            )
        except (OSError, TlsError) as error:
            return None, str(error) or "no answer"
        if self._session.is_cut:  # by its Logon already, when it was not yet known here
            self._connection.abort(_CUT)
        work: asyncio.Task[None] | None = None
        ended = asyncio.create_task(self._connection.closed())
        logon = asyncio.create_task(self._logged_on.wait())
        try:
            await asyncio.wait([ended, logon], return_when=asyncio.FIRST_COMPLETED)
            begun = time.monotonic() if logon.done() else None
            if begun is not None and self._writer.lease.reset:
                await self._writer.commit(change=answered)
            if begun is not None and not ended.done():
                work = asyncio.create_task(self._owner.while_logged_on())
                await asyncio.wait([ended, work], return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    with contextlib.suppress(NotLoggedOn):  # the connection is about to end
                        work.result()
            reason = explained(await ended, sent=sent, expected=expected, reset_path=self._ends.reset_path)
            return None if begun is None else time.monotonic() - begun, reason
        finally:
            self._log_off()
            self._connection.abort("given up")
            for task in (ended, logon, work):
                if task is not None:
                    task.cancel()
            self._owner.on_end()

    def _on_event(self, connection: Connection, event: SessionEvent) -> None:
        self._connection = connection  # it may speak before `connect` has returned
        match event:
            case LoggedOn():
                # What the venue has answered is not asked for again; should this connection end, the numbers go on.
                self._session.config = replace(self._session.config, reset_on_logon=False)
                self._logged_on.set()
                self._logged_on_since = time.monotonic()
                self._owner.say("")
            case LoggedOut():
                self._log_off()
            case MessageReceived() | MessageRefused() | Rejected():
                self._all_processed.clear()
            case _:
                pass
        self._owner.on_event(event)
        if self._closing and isinstance(event, LoggedOn):
            connection.logout()  # it was being made when the end came
        self.keep_numbers()

    def _log_off(self) -> None:
        self._logged_on.clear()
        self._logged_on_since = None

    def _on_cut(self) -> None:
        if self._connection is not None:
            # Not at once: it is in the middle of writing.
            asyncio.get_running_loop().call_soon(self._connection.abort, _CUT)


def _tls_context(settings: Settings) -> SSLContext | None:
    """How connections are encrypted; None where they are not."""
    if settings.fix_tls == "off":
        return None
    ca, certificate, key = (
        Path(path) if path else None
        for path in (settings.fix_tls_ca_file, settings.fix_tls_certificate_file, settings.fix_tls_key_file)
    )
    return client_tls(ca_file=ca, certificate=certificate, key=key)
