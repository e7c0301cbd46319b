"""The drop copy: a second FIX session, in which the venue repeats what it has reported, matched with the journal.

What one has and the other has not, or has otherwise, a human is told. The session has a lease, a thread and an event
loop of its own, so that it may live in another process than the trading session, and nothing that befalls it touches
trading. It sends administrative messages only.

A copy is processed when it was matched, or a human was told; so a successor gets from the venue what was not. Only
trades, busts and corrections are matched: what else the venue reports moves no position, and the journal does not keep
its ExecID.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from azure.core.exceptions import AzureError

from fix.events import LoggedOn, MessageReceived, MessageRefused, Rejected, SessionEvent
from fix.message import FieldError, Message
from gateway import translate
from gateway.calls import Calls
from gateway.copies import Copies, Unknown, key_of
from gateway.hours import opens_at
from gateway.journal import Journal
from gateway.lease import Candidate, Held, LeaseLostError, LeaseWriter, RowRefusedError, lease_clock
from gateway.line import Ends, Line, Reserve
from gateway.matching import Awaiting, Copy, Outage, Trade, Verdict, Waiting, find, is_same_trade, judge
from gateway.resets import DROP_COPY_RESET_PATH, ResetRequests, marked
from storage.alerts import Alerts
from storage.secrets import Credentials
from storage.settings import Settings
from storage.tables import Operation, Tables
from trading.journal import JournalRow

_log = logging.getLogger("gateway.drop_copy")

_THREADS = 4
_START_TIMEOUT, _STOP_TIMEOUT = 5.0, 30.0
_DRAIN_TIMEOUT = 2.0
_LONGEST_SLEEP = 10.0
_RESET_LOOK = 10.0
_MOST_WAITING = 10_000
"""Copies that wait for the journal before the connection is given up, until half of them are settled."""
_NUMBERS_IN_RESERVE = 20
_UNKNOWN_KEPT = timedelta(days=7)
"""For so long the journal may still bring the trade of a copy that a human was told of."""


class DropCopyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the drop copy stands. In a process that does not hold it, the numbers are 0.

    `waiting` are copies whose trade the journal does not have yet; `text` says why there is no session.
    """

    session: str
    owner: str = ""
    epoch: int = 0
    logged_on: bool = False
    next_inbound: int = 0
    waiting: int = 0
    text: str = ""


class DropCopy:
    """One for each process. `start` may be called again at any time; every method from any thread."""

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        owner: str,
        credentials: Credentials | None,
        utc: Callable[[], datetime],
    ) -> None:
        self._utc = utc
        self._settings = settings
        self._tables = tables
        self._owner = owner
        self._credentials = credentials
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._candidate: Candidate | None = None
        self._epoch: _Epoch | None = None
        self._text = ""

    def start(self) -> None:
        """Become a candidate for the drop copy's lease, or go on as one."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            ready = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(ready,), name="drop-copy", daemon=True)
            self._thread.start()
            ready.wait(_START_TIMEOUT)

    def stop(self) -> None:
        """Log out, give the lease back, and end the thread. `start` may follow."""
        with self._lock:
            thread, loop, stopping = self._thread, self._loop, self._stopping
            self._thread = None
        if thread is None or loop is None or stopping is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(stopping.set)
        thread.join(_STOP_TIMEOUT)

    def status(self) -> DropCopyStatus:
        """How the session stands now."""
        epoch, seen = self._epoch, self._candidate.seen if self._candidate else None
        if epoch is None:
            return DropCopyStatus(
                session=self._settings.drop_copy_session,
                owner=seen.owner if seen and not seen.released else "",
                epoch=seen.epoch if seen else 0,
                text=self._text,
            )
        return DropCopyStatus(
            session=self._settings.drop_copy_session,
            owner=self._owner,
            epoch=epoch.epoch,
            logged_on=epoch.logged_on,
            next_inbound=epoch.next_inbound,
            waiting=epoch.waiting,
            text=self._text,
        )

    def reset(self) -> None:
        """Have both sides begin again at 1 (141=Y), whichever process holds the drop copy. Blocks until it is stored.
        Raises AzureError."""
        ResetRequests(self._tables, self._settings.drop_copy_session).ask()

    # In the thread

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._main(ready))
        except Exception:
            _log.exception("%s: the drop copy has died", self._settings.drop_copy_session)
            raise

    async def _main(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = stopping = asyncio.Event()
        lease_seconds = self._settings.lease_seconds
        self._candidate = candidate = Candidate(
            lambda: self._tables.sessions,
            self._settings.drop_copy_session,
            self._owner,
            lease_seconds=lease_seconds,
            block=self._settings.sequence_block,
            schedule=self._settings.fix_schedule,
        )
        ready.set()
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="drop-copy-storage")
        try:
            while not stopping.is_set():
                opens = opens_at(self._settings.fix_schedule, self._utc())
                if opens is not None:
                    self._text = f"out of hours until {opens.isoformat()}"
                    # In pieces: the clock may be set meanwhile.
                    await _wait(stopping, min((opens - self._utc()).total_seconds(), _LONGEST_SLEEP))
                    continue
                try:
                    held = await self._loop.run_in_executor(pool, candidate.look)
                except AzureError as error:
                    self._say(f"the lease cannot be read: {error}")
                    held = None
                if held is not None:
                    await self._hold(held, pool, stopping)
                else:
                    # Rarer than for the trading session: nobody's order waits for this one.
                    await _wait(stopping, lease_seconds / 2)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    async def _hold(self, held: Held, pool: Executor, stopping: asyncio.Event) -> None:
        self._text = ""
        self._epoch = _Epoch(self._settings, self._tables, self._credentials, held, pool, self._say)
        _log.info("%s: %s holds the lease, epoch %d", self._settings.drop_copy_session, self._owner, held.lease.epoch)
        try:
            await self._epoch.run(stopping)
        except LeaseLostError as error:
            self._say(f"lease lost: {error}")
        except Exception as error:
            # The epoch is over, the process still a candidate: the next epoch begins with what storage says.
            self._say(f"epoch {held.lease.epoch} failed: {error}")
            _log.exception("%s: epoch %d failed", self._settings.drop_copy_session, held.lease.epoch)
            await _wait(stopping, 1.0)
        finally:
            self._epoch = None

    def _say(self, text: str) -> None:
        self._text = text
        if text:
            _log.warning("%s: %s", self._settings.drop_copy_session, text)


class _Epoch:
    """What the holder of the lease does for as long as it holds it. All of it belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        credentials: Credentials | None,
        held: Held,
        pool: Executor,
        on_text: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._name = settings.drop_copy_session
        self.say = on_text
        self._closes = held.closes
        self._resets = ResetRequests(tables, self._name)
        self._will_reset = False
        self._journal = Journal(tables)
        self._alerts = Alerts(tables)
        self._copies = Copies(tables, self._name)
        self._calls = Calls(self._name, pool)
        self._writer = LeaseWriter(tables.sessions, self._name, held, lease_seconds=settings.lease_seconds)
        self._line = Line(
            Ends(
                session=self._name,
                sender=settings.drop_copy_sender_comp_id,
                target=settings.drop_copy_target,
                hosts=settings.drop_copy_hosts,
                credentials=credentials,
                reset_path=DROP_COPY_RESET_PATH,
            ),
            self,
            settings=settings,
            writer=self._writer,
            calls=self._calls,
            reserve=Reserve(least=_NUMBERS_IN_RESERVE, few=_NUMBERS_IN_RESERVE),
        )
        self._complete_since = 0.0  # the session is logged on and nothing was resent since
        self._closing = False
        self._patience = settings.drop_copy_patience_seconds
        self._waiting = Waiting(self._patience)
        self._awaiting = Awaiting(self._patience)
        self._unreadable: dict[int, str] = {}
        self._arrived = asyncio.Event()
        # What is settled and what is missing is decided by turns: neither sees the other half done.
        self._deciding = asyncio.Lock()

    @property
    def epoch(self) -> int:
        return self._writer.lease.epoch

    @property
    def logged_on(self) -> bool:
        return self._line.logged_on

    @property
    def next_inbound(self) -> int:
        return self._line.next_inbound

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def run(self, stopping: asyncio.Event) -> None:
        """Live through the epoch, until `stopping` is set: then log out and give the lease back.

        The same when the session's hours end or a reset is asked for, but not before all that has come is settled: the
        numbers begin again then, and the venue will not send it again.

        Raises:
            LeaseLostError: the epoch ended by itself.
        """
        writer = asyncio.create_task(self._writer.run())
        work: list[Coroutine[Any, Any, None]] = [
            self._writer.watch(),
            self._watch_outage(),
            self._line.stay_connected(),
            self._settle(),
            self._look_for_missing(),
        ]
        tasks = [writer, *map(asyncio.create_task, work)]
        stop = asyncio.create_task(stopping.wait())
        end = asyncio.create_task(self._until_end())
        try:
            done, _ = await asyncio.wait([*tasks, stop, end], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self._close()
            await self._line.log_out(_DRAIN_TIMEOUT)
            if self._will_reset and end.done():
                await self._writer.commit(self._resets.taking_up(), change=marked)
            self._writer.advance_inbound(self.next_inbound)
            self._writer.give_back()
            await writer
        finally:
            self._closing = True
            everything = [*tasks, stop, end, *self._line.end("the drop copy's lease is over")]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def _until_end(self) -> None:
        """Wait until the session's hours are over, or a reset is asked for, and what came until then is settled."""
        while lease_clock() < self._closes and not self._will_reset:
            self._will_reset = await self._calls.patiently(self._resets.is_asked)
            if not self._will_reset:
                await asyncio.sleep(max(0.0, min(_RESET_LOOK, self._closes - lease_clock())))
        why = "a reset of the numbers is asked for" if self._will_reset else "the session's hours are over"
        _log.warning("%s: %s", self._name, why)
        self._close()
        await self._line.log_out(_DRAIN_TIMEOUT)
        await self._line.until_all_processed()

    def _close(self) -> None:
        self._closing = True
        self._line.close()

    # What the line asks and tells

    def may_write(self) -> bool:
        return self._writer.holds

    def may_resend(self, _message: Message) -> bool:
        """It sends none that could be resent."""
        return False

    async def while_logged_on(self) -> None:
        """It has nothing to ask."""

    def on_end(self) -> None: ...

    def on_room(self) -> None: ...

    def on_event(self, event: SessionEvent) -> None:
        match event:
            case LoggedOn():
                self._complete_since = time.monotonic()
            case MessageReceived():
                if event.possible_duplicate:
                    self._complete_since = time.monotonic()
                self._on_message(event)
                if len(self._waiting) >= _MOST_WAITING:
                    self._line.hold_off(f"{_MOST_WAITING} copies wait for their trades")
            case MessageRefused():
                text = f"message {event.number} ({event.message.msg_type}) was rejected by our session: {event.reason}"
                self._unreadable[event.number] = text
                self._arrived.set()
            case Rejected():
                self._line.processed(event.number)
            case _:
                pass

    def _on_message(self, event: MessageReceived) -> None:
        number, message = event.number, event.message
        try:
            report = translate.from_message(message)
        except FieldError as error:
            self._unreadable[number] = f"message {number} ({message.msg_type}) cannot be read: {error}"
            self._arrived.set()
            return
        if report is None or not isinstance(report.event, Trade) or report.symbol is None or report.side is None:
            self._line.processed(number)
            return
        copy = Copy(
            cl_ord_id=report.cl_ord_id,
            event=report.event,
            symbol=report.symbol,
            side=report.side,
            names_ours=bool(report.name),
        )
        self._waiting.take(number, copy, time.monotonic())
        self._arrived.set()

    # Copies, and their trades in the journal

    async def _settle(self) -> None:
        """Look for the trades of the copies that wait, and conclude on each that is found, or waited for too long."""
        while True:
            await self._until_due()
            async with self._deciding:
                now = time.monotonic()
                due = self._waiting.due(now)
                rows = await self._rows_for(due.values())
                rows |= await self._rows_by_trade(self._waiting.last_chance(now), rows)
                verdicts = self._waiting.judge(due, rows, now)
                unreadable, self._unreadable = self._unreadable, {}
                await asyncio.gather(
                    *(self._conclude(verdict) for verdict in verdicts),
                    *(self._tell_unreadable(number, text) for number, text in unreadable.items()),
                )
                self._line.processed(*(verdict.number for verdict in verdicts), *unreadable)
            if len(self._waiting) <= _MOST_WAITING / 2:
                self._line.go_on()

    async def _until_due(self) -> None:
        while not self._unreadable:
            self._arrived.clear()
            next_look = self._waiting.next_look()
            pause = None if next_look is None else next_look - time.monotonic()
            if pause is not None and pause <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._arrived.wait()

    async def _rows_for(self, copies: Collection[Copy]) -> dict[str, list[JournalRow]]:
        """The journal's rows of the copies' orders, and of orphans where a trade is not found there."""
        rows = await self._rows_of({copy.order_ids[0] for copy in copies})
        orphans = {copy.order_ids[-1] for copy in copies if judge(0, copy, rows).row is None}
        return rows | await self._rows_of(orphans - rows.keys())

    async def _rows_by_trade(
        self, copies: Collection[Copy], rows: Mapping[str, Sequence[JournalRow]]
    ) -> dict[str, list[JournalRow]]:
        """The journal's rows of the orders whose trades await copies such as these, which name no order of ours."""
        nameless = [copy for copy in copies if not copy.names_ours and judge(0, copy, rows).row is None]
        if not nameless:
            return {}
        expected, _ = await self._calls.patiently(self._copies.read)
        found = [find(copy, expected.values()) for copy in nameless]
        return await self._rows_of({trade.order_id for trade in found if trade is not None})

    async def _rows_of(self, order_ids: Iterable[str]) -> dict[str, list[JournalRow]]:
        wanted = list(order_ids)
        found = await asyncio.gather(
            *(self._calls.patiently(partial(self._journal.read, order_id)) for order_id in wanted)
        )
        return dict(zip(wanted, found, strict=True))

    async def _conclude(self, verdict: Verdict) -> None:
        """Tell of it, if it is to be told; then write down that this is done. Either may be done again."""
        copy, row = verdict.copy, verdict.row
        if row is None:
            order_id = copy.order_ids[0]
            key = key_of(order_id, copy.event)
            text = f"the drop copy has a trade that the journal does not have: {_told(copy)}"
            await self._tell("DROP_COPY_UNKNOWN", text, order_id, f"drop-copy-unknown-{key}")
            await self._write(self._copies.keeping(Unknown(key=key, copy=copy, told_at=datetime.now(UTC))))
            return
        key = key_of(row.order_id, copy.event)
        if verdict.differences:
            told = "; ".join(map(str, verdict.differences))
            text = f"the drop copy and row {row.number} of the journal differ: {told}: {_told(copy)}"
            await self._tell("DROP_COPY_DIFFERS", text, row.order_id, f"drop-copy-differs-{key}")
        await self._write(self._copies.met(key))

    async def _tell_unreadable(self, number: int, text: str) -> None:
        key = f"message-{self._writer.lease.generation}-{number}"
        await self._tell("DROP_COPY_UNREADABLE", text, self._name, key)

    # Trades, and their copies

    async def _look_for_missing(self) -> None:
        """Tell of the trades of the journal of which no copy comes while the session is there."""
        while True:
            await asyncio.sleep(self._patience / 2)
            if not self.logged_on:
                continue
            async with self._deciding:
                expected, unknown = await self._calls.patiently(self._copies.read)
                for one in unknown:
                    await self._look_again(one, expected)
                now = time.monotonic()
                for key in self._awaiting.overdue(expected, self._complete_since, now):
                    await self._look_into(key, expected[key], now)

    async def _look_again(self, unknown: Unknown, expected: dict[str, JournalRow]) -> None:
        """A copy of which a human was told that the journal does not have it; now it may."""
        trade = find(unknown.copy, expected.values())
        if trade is not None:
            rows = await self._rows_of([trade.order_id])
            verdict = judge(0, unknown.copy, rows)
            if verdict.row is None:
                return  # it is about to be journalled
            await self._conclude(verdict)
            del expected[key_of(trade.order_id, trade.event)]
            _log.warning("%s: the journal has now what the drop copy told: %s", self._name, _told(unknown.copy))
        if trade is not None or datetime.now(UTC) - unknown.told_at > _UNKNOWN_KEPT:
            await self._write(self._copies.forgetting(unknown))

    async def _look_into(self, key: str, expected: JournalRow, now: float) -> None:
        """A trade whose copy is overdue."""
        journal = await self._calls.patiently(partial(self._journal.read, expected.order_id))
        row = next((row for row in journal if is_same_trade(row.event, expected.event)), None)
        if row is None:
            # Whoever was about to journal it has died: the venue tells the trading session again.
            self._awaiting.wait_again(key, now)
        elif await self._calls.patiently(partial(self._is_stale, key, row)):
            await self._write(self._copies.met(key))
        elif self.logged_on and self._complete_since < now and not self._waiting.has_copy_of(row):
            assert isinstance(row.event, Trade), "it is the same trade"
            copy = Copy(cl_ord_id=row.event.cl_ord_id, event=row.event, symbol=row.symbol, side=row.side)
            text = f"no drop copy came of row {row.number} of the journal in {self._patience:g} s: {_told(copy)}"
            await self._tell("DROP_COPY_MISSING", text, row.order_id, f"drop-copy-missing-{key}")
            await self._write(self._copies.met(key))

    def _is_stale(self, key: str, row: JournalRow) -> bool:
        """Whether a copy was expected only when the journal had the trade already: by a second writer, who could not
        take that back. The first has expected it before, and that was met. By storage's clock for both."""
        noted_at, written_at = self._copies.noted_at(key), self._journal.written_at(row)
        return noted_at is not None and written_at is not None and noted_at > written_at

    # Outages

    async def _watch_outage(self) -> None:
        """Tell of each outage that lasts longer than the patience, once, whichever process notices it."""
        outage = Outage(self._patience, time.monotonic())
        while True:
            await asyncio.sleep(min(1.0, self._patience / 10))
            self._line.keep_numbers()
            if self._closing:
                continue
            news = outage.look(self._line.logged_on_since, time.monotonic())
            if news == "begun":
                await self._tell_outage()
            elif news == "over" and await self._calls.patiently(self._copies.outage) is not None:
                await self._write(self._copies.ending_outage())

    async def _tell_outage(self) -> None:
        since = await self._calls.patiently(self._copies.outage)
        if since is None:
            since, operation = self._copies.beginning_outage()
            await self._write(operation)
        text = f"no drop copy session, or none that lasts, for {self._patience:g} s: trades are not compared"
        await self._tell("DROP_COPY_DOWN", text, self._name, f"drop-copy-down-{since}")

    # Storage

    async def _write(self, operation: Operation) -> None:
        with contextlib.suppress(RowRefusedError):  # it was done before
            await self._writer.commit(operation)

    async def _tell(self, code: str, text: str, order_id: str, key: str) -> None:
        """Tell a human, once for each `key`. Not as one whose lease is over: its successor knows better."""
        if not self._writer.holds:
            raise LeaseLostError(f"{self._name}: the lease of epoch {self.epoch} is over")
        await self._calls.patiently(partial(self._alerts.raise_alert, code, text, order_id, key))


def _told(copy: Copy) -> str:
    """All of a trade's numbers, for a human."""
    event = copy.event
    what = type(event).__name__
    text = (
        f"{what} ClOrdID={event.cl_ord_id} ExecID={event.exec_id} {copy.side} {event.quantity} {copy.symbol}"
        f" at {event.price} on {event.at.isoformat()}"
    )
    ref = getattr(event, "ref_exec_id", "")
    return f"{text} ExecRefID={ref}" if ref else text


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
