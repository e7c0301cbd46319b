"""From the venue to the journal, and from the journal to whoever is concerned.

Reports are written down side by side for different orders and one after another for each order, off the event loop, so
that heartbeats go on. The wake-ups follow in the order in which the messages came. A message is done when both have
happened; the inbound cursor advances over the unbroken prefix of what is done.

A report that nobody is in a hurry for, such as an acceptance, goes together with the next of its order where that has
arrived or arrives within `_MOMENT`: each wake-up costs an orchestration an episode. Two exits are accepted as one.
"""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from gateway.journal import Journal, Origin
from gateway.outbox import Entry, Outbox
from gateway.reconcile import Book, Finding, book
from gateway.translate import Report, named_in
from storage.alerts import Alerts
from storage.orders import OrderRegister
from trading.commands import CancelOrder, SubmitOrder, VenueCommand
from trading.events import CancelRejected, OrderAccepted, OrderReported, VenueEvent
from trading.identity import order_id_of, orphan_order_id
from trading.journal import JournalRow
from trading.orders import Side

_log = logging.getLogger("gateway.delivery")

_WAKE_TIMEOUT = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_MOMENT = 0.01
_EVERY_ORDER = 100_000

Wake = Callable[[list[JournalRow]], "Future[None]"]
"""Tells orchestrator and entities of rows of one order, in order; the future is done when all have them, and fails if
that has to be repeated."""


class _UnderWay(msgspec.Struct, frozen=True):
    """A message of the venue's, by its number, or something of our own, which has none."""

    number: int | None
    lane: str
    task: asyncio.Task[JournalRow | None]
    delivered: Callable[[], None] | None = None


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A report with what is known about its message. `command` is what it answers, where this process had sent that."""

    report: Report
    origin: Origin
    received_at: datetime
    sent_at: datetime | None
    command: VenueCommand | None


class Recorder:
    """Writes reports into the journal. Calls block; may be shared by threads, not for two reports of one order."""

    def __init__(self, session: str, journal: Journal, outbox: Outbox, register: OrderRegister, alerts: Alerts) -> None:
        self._session = session
        self._journal = journal
        self._outbox = outbox
        self._register = register
        self._alerts = alerts

    def record(self, received: Received) -> JournalRow | None:
        """The row of the report, new or from the first time it came; None where it tells nothing that has a row."""
        report = received.report
        if report.event is None:
            return None
        order_id = order_id_of(report.cl_ord_id) or orphan_order_id(report.cl_ord_id)
        if report.kind == "known" and not self._is_news(received):
            # Unless it was news when it came the first time: then nobody may have been told.
            return self._journal.find(order_id, report.event, received.origin)
        # What this process has sent was handed in by an order that is registered.
        known = received.command is not None or self._register.is_known(order_id)
        symbol, side = report.symbol, report.side
        if symbol is None or side is None:
            command = received.command or self._stored_command(report.cl_ord_id)
            if command is None:
                text = f"message {received.origin.number} is about {report.cl_ord_id}, which was never sent from here"
                self.alert("UNKNOWN_ORDER", text, f"unknown-{report.cl_ord_id}")
                return None
            symbol, side = command.symbol, command.side
        if not known:
            order_id = self._orphaned(report.cl_ord_id, symbol, side)
        row, is_new = self._journal.append(
            order_id,
            report.event,
            origin=received.origin,
            symbol=symbol,
            side=side,
            received_at=received.received_at,
            sent_at=received.sent_at,
        )
        if not is_new:
            _log.info("message %d repeats row %d of %s", received.origin.number, row.number, row.order_id)
        return row

    def reconcile(self, finding: Finding, origin: Origin | None, check_lease: Callable[[], None]) -> JournalRow | None:
        """Tell a human of a difference, and write down what the journal is to say of it, if anything.

        Raises what `check_lease` raises, which is called just before each.
        """
        check_lease()
        text = f"{finding.cl_ord_id}: with us {finding.ours}; at the venue {finding.venue}"
        self.alert(f"RECONCILE_{finding.kind.upper()}", text, _key(finding, origin))
        if finding.event is None:
            return None
        check_lease()
        if finding.kind == "orphan":
            self._orphaned(finding.cl_ord_id, finding.symbol, finding.side)
        row, _ = self._journal.append(
            finding.order_id,
            finding.event,
            origin=origin,
            symbol=finding.symbol,
            side=finding.side,
            received_at=datetime.now(UTC),
        )
        return row

    def book(self, order_id: str, *, is_open: bool) -> Book:
        """What outbox and journal say of an order. `is_open`: the register has not seen its end."""
        is_known = is_open or self._register.is_known(order_id)
        entries = self._outbox.of_order(order_id)
        return book(order_id, entries, self._journal.read(order_id), is_known=is_known, is_open=is_open)

    def open_orders(self) -> list[str]:
        """The orders of the register that have not ended."""
        return [order.order_id for order in self._register.list(open_only=True, limit=_EVERY_ORDER)]

    def conclude(self, entry: Entry, event: VenueEvent) -> JournalRow:
        """Write down of an entry what the venue will not say, since it does not have it."""
        row, _ = self._journal.append(
            entry.order_id,
            event,
            origin=None,
            symbol=entry.command.symbol,
            side=entry.command.side,
            received_at=datetime.now(UTC),
        )
        return row

    def told(self, entry: Entry) -> JournalRow | None:
        """The last row that says what became of an entry; the outbox may not know of it yet."""
        rows = [row for row in self._journal.read(entry.order_id) if entry.cl_ord_id in named_in(row.event)]
        return rows[-1] if rows else None

    def cancel_was_asked(self, entry: Entry) -> bool:
        """Whether an order's cancel is in the outbox, or was answered already, as of an order that is unknown."""
        unfinished = self._outbox.unfinished(order_id=entry.order_id)
        answered = (row.event for row in self._journal.read(entry.order_id))
        return any(
            isinstance(stored.entry.command, CancelOrder) and stored.entry.command.orig_cl_ord_id == entry.cl_ord_id
            for stored in unfinished
        ) or any(
            isinstance(event, CancelRejected)
            and event.response_to == "cancel"
            and event.orig_cl_ord_id == entry.cl_ord_id
            for event in answered
        )

    def alert(self, code: str, text: str, key: str) -> None:
        """Tell a human of something that the session cannot handle; once for each `key`."""
        self._alerts.raise_alert(code, text, self._session, key)

    def _orphaned(self, cl_ord_id: str, symbol: str, side: Side) -> str:
        """The name under which an order is journalled that nobody here knows; a human is told."""
        order_id = orphan_order_id(cl_ord_id)
        text = f"the venue reports {cl_ord_id} ({side} {symbol}), an order that nobody here knows"
        self._alerts.raise_alert("ORPHAN_EXECUTION", text, order_id, "orphan")
        return order_id

    def _is_news(self, received: Received) -> bool:
        """Whether the answer to our question is all we have of this order: its own reports came to nobody."""
        if not isinstance(received.command, SubmitOrder):
            return False
        cl_ord_id = received.report.cl_ord_id
        return not any(
            cl_ord_id in named_in(row.event)
            for row in self._journal.read(order_id_of(cl_ord_id) or orphan_order_id(cl_ord_id))
        )

    def _stored_command(self, cl_ord_id: str) -> VenueCommand | None:
        stored = self._outbox.read(cl_ord_id)
        return stored.entry.command if stored else None


class Delivery:
    """The messages under way, in the order they came. `run` has to be running; all in one event loop."""

    def __init__(self, wake: Wake, pool: Executor, on_done: Callable[[int], None]) -> None:
        self._wake = wake
        self._pool = pool
        self._on_done = on_done
        self._under_way: deque[_UnderWay] = deque()
        self._lanes: dict[str, asyncio.Task[JournalRow | None]] = {}
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def take(
        self,
        number: int | None,
        lane: str,
        record: Callable[[], JournalRow | None],
        recorded: Callable[[], None] | None = None,
    ) -> None:
        """Do `record` in a thread until it succeeds, after what is in the same lane; `recorded`; then the wake-up.

        `number` is that of the venue's message; None for what did not come from the venue. No message brings that again
        if the process dies, so `recorded` then comes after the wake-up.
        """
        delivered = recorded if number is None else None
        before = self._lanes.get(lane)
        task = asyncio.get_running_loop().create_task(self._record(before, record, None if delivered else recorded))
        self._lanes[lane] = task
        task.add_done_callback(lambda done: self._leave(lane, done))
        self._under_way.append(_UnderWay(number, lane, task, delivered))
        self._idle.clear()
        self._arrived.set()

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._under_way)

    async def journalled(self) -> None:
        """Wait until all that was taken by now is written down. It need not have been delivered."""
        tasks = [each.task for each in self._under_way]
        if tasks:
            await asyncio.wait(tasks)

    async def until_idle(self) -> None:
        """Wait until nothing is under way."""
        await self._idle.wait()

    async def run(self) -> None:
        """Deliver until cancelled; then nothing is under way any more."""
        try:
            while True:
                await self._arrived.wait()
                while self._under_way:
                    count, rows = await self._next()
                    if rows:
                        await self._deliver(rows)
                    for done in [self._under_way.popleft() for _ in range(count)]:
                        if done.delivered is not None:
                            done.delivered()
                        if done.number is not None:
                            self._on_done(done.number)
                self._idle.set()
                self._arrived.clear()
        finally:
            for each in self._under_way:
                each.task.cancel()
            self._under_way.clear()

    async def _next(self) -> tuple[int, list[JournalRow]]:
        """The rows to tell of next, and of how many of those under way they are."""
        count, rows = 0, list[JournalRow]()
        while True:
            each = self._under_way[count]
            count += 1
            row = await each.task
            if row is None:
                return count, rows
            rows.append(row)
            is_quiet = isinstance(row.event, OrderAccepted | OrderReported) and row.order_id == each.lane
            if is_quiet and count == len(self._under_way):
                await self._another()
            if not is_quiet or count == len(self._under_way) or self._under_way[count].lane != each.lane:
                return count, rows

    async def _another(self) -> None:
        """Give what may come next a moment."""
        self._arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT):
                await self._arrived.wait()

    async def _record(
        self,
        before: "asyncio.Task[JournalRow | None] | None",
        record: Callable[[], JournalRow | None],
        recorded: Callable[[], None] | None,
    ) -> JournalRow | None:
        if before is not None:
            await asyncio.wait([before])
        pause = _FIRST_PAUSE
        while True:
            try:
                row = await asyncio.get_running_loop().run_in_executor(self._pool, record)
            except Exception:
                # Whatever it is, going on without the report is worse than waiting for somebody to look at it.
                _log.exception("a report could not be journalled, trying again in %.1f s", pause)
            else:
                if recorded is not None:
                    recorded()
                return row
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _deliver(self, rows: list[JournalRow]) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                # asyncio.wait, unlike await, tells a future that its maker has cancelled from a cancel of this task.
                future = asyncio.wrap_future(self._wake(rows))
                done, _ = await asyncio.wait([future], timeout=_WAKE_TIMEOUT)
                if not done:
                    raise TimeoutError(f"no answer in {_WAKE_TIMEOUT:.0f} s")
                if future.cancelled():
                    raise TimeoutError("cancelled")
                future.result()
            except Exception as error:
                row = rows[-1]
                _log.warning("row %d of %s could not be delivered, trying again: %r", row.number, row.order_id, error)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _leave(self, lane: str, task: "asyncio.Task[JournalRow | None]") -> None:
        if self._lanes.get(lane) is task:
            del self._lanes[lane]


def _key(finding: Finding, origin: Origin | None) -> str:
    """What is told once. A difference that is journalled is gone with that, so that one like it is another; what is not
    stays the same, however often it is found."""
    if finding.event is not None and origin is not None:
        which = f"{origin.generation}-{origin.number}"
    else:
        which = hashlib.sha256(f"{finding.ours} {finding.venue}".encode()).hexdigest()[:16]
    return f"reconcile-{finding.kind}-{finding.cl_ord_id}-{which}"
