"""The process's hold on the FIX session: a candidate for its lease, and where orders are handed in."""

import asyncio
import atexit
import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
from azure.core.exceptions import AzureError

from fix.codec import encode
from fix.message import FieldError
from gateway import translate
from gateway.copies import Copies
from gateway.delivery import Recorder, Wake
from gateway.drop_copy import DropCopy, DropCopyStatus
from gateway.hours import closes_at, opens_at
from gateway.journal import Journal
from gateway.lease import Candidate, Held, LeaseLostError, RowRefusedError, lease_clock
from gateway.leaving import is_too_late
from gateway.outbox import Entry, Outbox, State
from gateway.pump import Pump
from gateway.purging import is_past
from gateway.resets import ResetRequests
from storage.alerts import Alerts
from storage.orders import OrderRegister
from storage.secrets import Credentials, drop_copy_credentials, fix_credentials
from storage.settings import Settings, settings
from storage.tables import Tables
from trading.commands import CancelOrder, VenueCommand
from trading.journal import JournalRow

_log = logging.getLogger("gateway")
T = TypeVar("T")

_THREADS = 8
_SUBMIT_TIMEOUT = 30.0
_STOP_TIMEOUT = 30.0
_LONGEST_SLEEP = 10.0
_RESET_LOOK, _RESET_LOOK_READY = 2.0, 10.0
"""Seconds from one look for a reset that was asked of another process to the next: while there is no session, while
there is one."""
_PATIENCE = 30.0
"""Seconds without a session that is ready, or without an answer, after which a human is told."""


class GatewayError(Exception):
    """The gateway cannot say what became of a request. It may be repeated: nothing is sent twice."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What became of what was handed in. `not_sent`: it never left and never will."""

    state: State
    not_sent: bool = False


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the session stands. In a process that does not hold it, the numbers are 0.

    `next_outbound` counts what was written to the socket, `next_inbound` what was journalled and delivered; `held` are
    orders that wait for release(); `busy` is true while anything is under way inside; `activity` only goes up; `text`
    says why there is no session. `generation` counts how often the numbers began again at 1; `reset_wanted`: they will
    with the next Logon, by an operator's wish. `opens_at` is when the session's hours begin, null within them.
    """

    session: str
    owner: str = ""
    epoch: int = 0
    logged_on: bool = False
    next_outbound: int = 0
    next_inbound: int = 0
    held: int = 0
    busy: bool = False
    activity: int = 0
    generation: int = 0
    reset_wanted: bool = False
    opens_at: datetime | None = None
    text: str = ""
    drop_copy: DropCopyStatus | None = None
    """None where there is none."""


def _machine_clock() -> datetime:
    return datetime.now(UTC)


class Gateway:
    """One for each process. `start` may be called again at any time; every method from any thread."""

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        credentials: Credentials | None,
        drop_copy_credentials: Credentials | None = None,
        utc: Callable[[], datetime] = _machine_clock,
    ) -> None:
        self._utc = utc
        self._resets = ResetRequests(tables, settings.session)
        self._reset_asked: asyncio.Event | None = None
        self._settings = settings
        self._tables = tables
        self._credentials = credentials
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._outbox = Outbox(tables, settings.session)
        copied = settings.drop_copy_session
        self._drop_copy = DropCopy(settings, tables, self._owner, drop_copy_credentials, utc) if copied else None
        self._journal = Journal(tables, before_trade=Copies(tables, copied).expect if copied else None)
        self._register = OrderRegister(tables)
        self._recorder = Recorder(settings.session, self._journal, self._outbox, self._register, Alerts(tables))
        self._lock = threading.Lock()
        self._wake: Wake | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._candidate: Candidate | None = None
        self._pump: Pump | None = None
        self._handing_in = 0
        self._activity = 0
        self._text = ""

    def start(self, wake: Wake) -> None:
        """Become a candidate for the session's lease, or go on as one; `wake` replaces the one given before."""
        self._start_trading(wake)
        if self._drop_copy is not None:
            self._drop_copy.start()

    def _start_trading(self, wake: Wake) -> None:
        with self._lock:
            self._wake = wake
            if self._thread is not None and self._thread.is_alive():
                return
            ready = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(ready,), name="gateway", daemon=True)
            self._thread.start()
            ready.wait()

    def submit(self, order_id: str, command: VenueCommand, at: datetime) -> Submission:
        """Hand in an order, a replace or a cancel; `at` becomes its TransactTime (60). Blocks until it is stored.

        May be repeated with the same ClOrdID: it is sent once, and what became of it is said again. A cancel of an
        order that has not left takes it back, and nothing is sent.

        Raises:
            fix.message.FieldError: FIX does not allow this command. Nothing was stored.
            GatewayError, AzureError: unknown whether it was stored. Repeat it.
        """
        (answer,) = self.submit_all([Entry(order_id=order_id, command=command, at=at)])
        if isinstance(answer, FieldError):
            raise answer
        return answer

    def submit_all(self, entries: Sequence[Entry]) -> list[Submission | FieldError]:
        """Hand in several, as `submit` does each: in this order, and in one write where they can be. What FIX does not
        allow is its answer."""
        answers: list[Submission | FieldError | None] = [_refusal(entry) for entry in entries]
        allowed = [entry for entry, refusal in zip(entries, answers, strict=True) if refusal is None]
        with self._lock:
            self._handing_in += 1
            self._activity += 1
        try:
            submitted = iter(self._submit_all(allowed))
        finally:
            with self._lock:
                self._handing_in -= 1
        return [next(submitted) if answer is None else answer for answer in answers]

    def status(self) -> SessionStatus:
        """How the session stands now."""
        loop = self._loop
        if loop is None or not loop.is_running():
            return SessionStatus(session=self._settings.session, activity=self._activity, text="not started")
        drop_copy = self._drop_copy.status() if self._drop_copy is not None else None
        return msgspec.structs.replace(self._ask(self._status()), drop_copy=drop_copy)

    def opens_at(self) -> datetime | None:
        """When the session's hours begin, by this machine's clock; None within them."""
        return opens_at(self._settings.fix_schedule, self._utc())

    def seconds_open(self) -> float:
        """How long the session's hours go on, by this machine's clock; 0 out of them."""
        now = self._utc()
        end = closes_at(self._settings.fix_schedule, now)
        return (end - now).total_seconds() if end else 0.0

    def reset(self) -> None:
        """Have both sides begin again at 1 (141=Y), whichever process holds the session. May be repeated; it is carried
        out in any case, within the session's hours. Blocks until it is stored. Raises AzureError."""
        self._resets.ask()
        loop, asked = self._loop, self._reset_asked
        if loop is not None and asked is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; another process will find the request
                loop.call_soon_threadsafe(asked.set)

    def reset_is_wanted(self) -> bool:
        """Whether a reset is still to come, by storage. Raises AzureError."""
        return self._resets.is_wanted()

    def reset_drop_copy(self) -> bool:
        """The same of the drop copy's numbers; whether there is one. Raises AzureError."""
        if self._drop_copy is not None:
            self._drop_copy.reset()
        return self._drop_copy is not None

    def release(self) -> int:
        """Send what is held, in the order of the ClOrdIDs; how many that were. For ORDER_RELEASE=manual."""
        loop = self._loop
        return self._ask(self._release()) if loop is not None and loop.is_running() else 0

    def stop(self) -> None:
        """Log out, give the lease back, and end the thread; the same for the drop copy. `start` may follow."""
        self._stop_trading()
        if self._drop_copy is not None:
            self._drop_copy.stop()

    def _stop_trading(self) -> None:
        with self._lock:
            thread, loop, stopping = self._thread, self._loop, self._stopping
            self._thread = None
        if thread is None or loop is None or stopping is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(stopping.set)
        thread.join(_STOP_TIMEOUT)

    # Handing in, in the caller's thread

    def _submit_all(self, entries: Sequence[Entry]) -> list[Submission]:
        cancelled = {entry.command.orig_cl_ord_id for entry in entries if isinstance(entry.command, CancelOrder)}
        states = [self._settled(entry, is_wanted=entry.cl_ord_id not in cancelled) for entry in entries]
        claiming = [entry for entry, state in zip(entries, states, strict=True) if state is None]
        claimed = iter(self._claim_all(claiming))
        return [_submission(next(claimed) if state is None else state) for state in states]

    def _settled(self, entry: Entry, *, is_wanted: bool) -> State | None:
        """What became of an entry that need not be claimed. One is not wanted that comes together with its cancel."""
        command = entry.command
        if is_past(entry, self._register, self._settings):
            stored = self._outbox.read(entry.cl_ord_id)
            return stored.entry.state if stored else "acknowledged"
        if isinstance(command, CancelOrder) and self._withdraw(command):
            return "dead"
        if not is_wanted or is_too_late(command, self._settings):
            return self._outbox.insert(msgspec.structs.replace(entry, state="dead")).state
        return None

    def _claim_all(self, entries: Sequence[Entry]) -> list[State]:
        """Through the pump where there is one that accepts, else through the outbox, where one will find them."""
        pump = self._pump
        if not entries or pump is None or not pump.accepts:
            return [self._leave_in_outbox(entry) for entry in entries]
        try:
            states = self._ask(_accept_all(pump, entries))
        except LeaseLostError as error:
            states = [error] * len(entries)
        for entry, state in zip(entries, states, strict=True):
            # Where the epoch ends meanwhile, what it was about to claim is cancelled.
            if isinstance(state, LeaseLostError | RowRefusedError | asyncio.CancelledError):
                _log.warning("%s goes through the outbox: %r", entry.cl_ord_id, state)
            elif isinstance(state, BaseException):
                raise state
        return [
            self._leave_in_outbox(entry) if isinstance(state, BaseException) else state
            for entry, state in zip(entries, states, strict=True)
        ]

    def _leave_in_outbox(self, entry: Entry) -> State:
        state = self._outbox.insert(entry).state
        pump, loop = self._pump, self._loop
        if pump is not None and loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; another process will find the row
                loop.call_soon_threadsafe(pump.look_now, entry)
        return state

    def _withdraw(self, command: CancelOrder) -> bool:
        pump = self._pump
        if pump is not None and pump.has_claimed(command.orig_cl_ord_id):
            return False
        return self._outbox.withdraw(command.orig_cl_ord_id)

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        """Have the loop's thread do it, and wait."""
        loop = self._loop
        try:
            if loop is None:
                raise RuntimeError("not started")
            future = asyncio.run_coroutine_threadsafe(question, loop)
        except RuntimeError as error:
            question.close()
            raise LeaseLostError(f"{self._settings.session}: the gateway has ended") from error
        try:
            return future.result(_SUBMIT_TIMEOUT)
        except TimeoutError:
            raise GatewayError(f"{self._settings.session}: no answer in {_SUBMIT_TIMEOUT:.0f} s") from None
        except CancelledError:
            raise LeaseLostError(f"{self._settings.session}: the epoch has ended") from None

    # In the loop's thread

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._main(ready))
        except Exception:
            _log.exception("%s: the gateway has died", self._settings.session)
            raise

    async def _main(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = stopping = asyncio.Event()
        self._reset_asked = asyncio.Event()
        self._candidate = candidate = Candidate(
            lambda: self._tables.sessions,
            self._settings.session,
            self._owner,
            lease_seconds=self._settings.lease_seconds,
            block=self._settings.sequence_block,
            schedule=self._settings.fix_schedule,
        )
        ready.set()
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="gateway-storage")
        watch = asyncio.create_task(self._watch(candidate, pool))
        try:
            while not stopping.is_set():
                opens = self.opens_at()
                if opens is not None:
                    # In pieces: the clock may be set meanwhile.
                    await _wait(stopping, min((opens - self._utc()).total_seconds(), _LONGEST_SLEEP))
                    continue
                held = await self._look(candidate, pool)
                if held is not None:
                    await self._hold(held, pool, stopping)
                else:
                    await _wait(stopping, min(1.0, self._settings.lease_seconds / 5))
        finally:
            watch.cancel()
            pool.shutdown(wait=False, cancel_futures=True)

    async def _look(self, candidate: Candidate, pool: ThreadPoolExecutor) -> Held | None:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, candidate.look)
        except AzureError as error:
            self._text = f"the lease cannot be read: {error}"
            _log.warning("%s: %s", self._settings.session, self._text)
            return None

    async def _hold(self, held: Held, pool: ThreadPoolExecutor, stopping: asyncio.Event) -> None:
        _log.info("%s: %s holds the lease, epoch %d", self._settings.session, self._owner, held.lease.epoch)
        self._text = ""
        self._journal.forget()
        self._pump = Pump(
            settings=self._settings,
            tables=self._tables,
            outbox=self._outbox,
            recorder=self._recorder,
            credentials=self._credentials,
            held=held,
            wake=self._wake_up,
            pool=pool,
            on_activity=self._count,
            on_text=self._say,
        )
        guard = asyncio.create_task(self._guard(self._pump, held, pool))
        try:
            await self._pump.run(stopping)
        except LeaseLostError as error:
            self._text = f"lease lost: {error}"
            _log.warning("%s", self._text)
        except Exception as error:
            # The epoch is over, the process still a candidate: the next epoch begins with what storage says.
            self._text = f"epoch {held.lease.epoch} failed: {error}"
            _log.exception("%s: %s", self._settings.session, self._text)
            await _wait(stopping, 1.0)
        finally:
            guard.cancel()
            if self._candidate is not None:
                self._candidate.seen = self._pump.lease
            self._pump = None

    async def _guard(self, pump: Pump, held: Held, pool: ThreadPoolExecutor) -> None:
        """End the epoch with the session's hours, or for a reset that is asked for."""
        assert self._reset_asked is not None, "_main has made it"
        while lease_clock() < held.closes:
            try:
                if await asyncio.get_running_loop().run_in_executor(pool, self._resets.is_asked):
                    _log.warning("%s: a reset of the numbers is asked for", self._settings.session)
                    pump.end(reset=True)
                    return
            except AzureError as error:
                _log.warning("%s: the request for a reset cannot be read: %s", self._settings.session, error)
            pause = _RESET_LOOK_READY if pump.ready else _RESET_LOOK
            await _wait(self._reset_asked, max(0.0, min(pause, held.closes - lease_clock())))
            self._reset_asked.clear()
        _log.info("%s: the session's hours are over", self._settings.session)
        pump.end()

    async def _watch(self, candidate: Candidate, pool: ThreadPoolExecutor) -> None:
        """Tell a human, once for each outage, that orders wait while this process has the lease and no ready session;
        and, once for each, of orders that the venue leaves unanswered."""
        since, told = time.monotonic(), False
        while True:
            await asyncio.sleep(_PATIENCE / 10)
            pump = self._pump
            is_ours = candidate.seen is not None and candidate.seen.owner == self._owner
            if pump is not None and pump.ready:
                pump.tell_unanswered(_PATIENCE)
            if not is_ours or (pump is not None and pump.ready) or self.opens_at() is not None:
                since, told = time.monotonic(), False
            elif not told and time.monotonic() - since >= _PATIENCE:
                tell = partial(self._tell_outage, time.monotonic() - since)
                try:
                    told = await asyncio.get_running_loop().run_in_executor(pool, tell)
                except AzureError as error:
                    _log.warning("%s: the outage could not be told: %s", self._settings.session, error)

    def _tell_outage(self, seconds: float) -> bool:
        """Whether anything waits, so that a human was told."""
        waiting = len(self._outbox.unfinished())
        if waiting:
            text = f"no session for {seconds:.0f} s while {waiting} orders or requests wait for one: {self._text}"
            self._recorder.alert("NO_SESSION", text, f"no-session-{datetime.now(UTC).isoformat()}")
        return waiting > 0

    async def _status(self) -> SessionStatus:
        pump, seen = self._pump, self._candidate.seen if self._candidate else None
        opens = self.opens_at()
        with self._lock:
            handing_in, activity = self._handing_in > 0, self._activity
        if pump is None:
            return SessionStatus(
                session=self._settings.session,
                owner=seen.owner if seen and not seen.released else "",
                epoch=seen.epoch if seen else 0,
                busy=handing_in,
                activity=activity,
                generation=seen.generation if seen else 0,
                reset_wanted=seen.reset if seen else False,
                opens_at=opens,
                text=self._text if opens is None else f"out of hours until {opens.isoformat()}",
            )
        return SessionStatus(
            session=self._settings.session,
            owner=self._owner,
            epoch=pump.epoch,
            logged_on=pump.logged_on,
            next_outbound=pump.next_outbound,
            next_inbound=pump.next_inbound,
            held=pump.held,
            busy=handing_in or pump.busy,
            activity=activity,
            generation=pump.lease.generation,
            reset_wanted=pump.lease.reset or pump.will_reset,
            opens_at=opens,
            text=self._text,
        )

    async def _release(self) -> int:
        return self._pump.release() if self._pump is not None else 0

    def _wake_up(self, rows: list[JournalRow]) -> "Future[None]":
        assert self._wake is not None, "start has set it"
        return self._wake(rows)

    def _count(self) -> None:
        with self._lock:
            self._activity += 1

    def _say(self, text: str) -> None:
        self._text = text


def _refusal(entry: Entry) -> FieldError | None:
    """What could never leave is refused before there is a row for it."""
    try:
        message = translate.to_message(entry.command, entry.at)
        encode("FIX.4.4", message.msg_type, [], message.fields)
    except FieldError as error:
        return error
    return None


async def _accept_all(pump: Pump, entries: Sequence[Entry]) -> list[State | BaseException]:
    """All at once, so that the lease's writer takes them together, in their order."""
    return await asyncio.gather(*(pump.accept(entry) for entry in entries), return_exceptions=True)


def _submission(state: State) -> Submission:
    return Submission(state=state, not_sent=state == "dead")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


_gateway: Gateway | None = None
_making = threading.Lock()


def gateway() -> Gateway:
    """The process's one, made from its settings. Raises SettingsError."""
    global _gateway
    with _making:
        if _gateway is None:
            own = settings()
            _gateway = Gateway(own, Tables(own.storage_connection), fix_credentials(own), drop_copy_credentials(own))
            # A process that ends in an orderly way logs out and gives the lease back, so that another goes on at once.
            atexit.register(_gateway.stop)
        return _gateway
