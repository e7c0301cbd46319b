"""Timer triggers: NCRONTAB schedules with seconds, and running functions by them on the system's clock."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from azure.functions.meta import Datum
from azure.functions.timer import TimerRequestConverter

from devhost.app import App, Function, Kind
from devhost.clock import utc_now
from devhost.history import parse_stamp, stamp
from devhost.ownership import Ownership, SoleOwner
from devhost.scheduler import Scheduler
from devhost.store import ScheduleRow, Store
from devhost.worker import FunctionFailedError, Worker

_LOG = logging.getLogger("devhost")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_YEARS_AHEAD = 8
"""How far a schedule is searched: the 29th of February may be that far away."""


class ScheduleError(ValueError):
    """An NCRONTAB expression that cannot be read; the message says what would be right."""


class Schedule(msgspec.Struct, frozen=True):
    """When a timer trigger runs: the allowed values of each field of an NCRONTAB expression, in UTC."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""

    def next(self, after: datetime) -> datetime:
        """The first time behind `after`. Raises ScheduleError if there is none within years."""
        moment = after.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        day = moment.replace(hour=0, minute=0, second=0)
        for _ in range(366 * _YEARS_AHEAD):
            if self._has_day(day):
                for hour in self.hours:
                    for minute in self.minutes:
                        for second in self.seconds:
                            candidate = day.replace(hour=hour, minute=minute, second=second)
                            if candidate >= moment:
                                return candidate
            day += timedelta(days=1)
        raise ScheduleError(f"the schedule has no time within {_YEARS_AHEAD} years")

    def _has_day(self, day: datetime) -> bool:
        weekday = (day.weekday() + 1) % 7
        return day.month in self.months and day.day in self.days and weekday in self.weekdays


def parse(expression: str) -> Schedule:
    """Read `{second} {minute} {hour} {day} {month} {weekday}`; with five fields the second is 0. Raises
    ScheduleError."""
    fields = expression.split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != 6:
        raise ScheduleError(
            f"'{expression}' is not an NCRONTAB expression: it needs six fields, second minute hour day month weekday"
        )
    second, minute, hour, day, month, weekday = fields
    return Schedule(
        seconds=tuple(sorted(_values(second, 0, 59, "second"))),
        minutes=tuple(sorted(_values(minute, 0, 59, "minute"))),
        hours=tuple(sorted(_values(hour, 0, 23, "hour"))),
        days=frozenset(_values(day, 1, 31, "day")),
        months=frozenset(_values(month, 1, 12, "month", _MONTHS)),
        weekdays=frozenset(each % 7 for each in _values(weekday, 0, 7, "weekday", _DAYS)),
    )


def _values(field: str, low: int, high: int, name: str, names: Sequence[str] = ()) -> set[int]:
    def number(text: str) -> int:
        if text[:3].lower() in names:
            return names.index(text[:3].lower()) + low
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ScheduleError(f"'{text}' in the {name} field of the schedule must be {low} to {high}")
        return int(text)

    found: set[int] = set()
    for part in field.split(","):
        span, slash, step_text = part.partition("/")
        step = 1
        if slash:
            if not step_text.isdecimal() or int(step_text) < 1:
                raise ScheduleError(f"'{part}' in the {name} field of the schedule: the step must be 1 or more")
            step = int(step_text)
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        elif dash:
            begin, end = number(first), number(last)
        else:
            begin = number(first)
            end = high if slash else begin
        if begin > end:
            raise ScheduleError(f"'{part}' in the {name} field of the schedule goes backwards")
        found.update(range(begin, end + 1, step))
    return found


class TimerTriggers:
    """Runs the app's timer triggers, each one at a time, on the one host that owns it. Raises ScheduleError for one
    that cannot be read."""

    def __init__(
        self,
        app: App,
        store: Store,
        scheduler: Scheduler,
        worker: Worker,
        background: Sequence[str],
        ownership: Ownership | None = None,
    ) -> None:
        self._ownership = ownership or SoleOwner()
        self._ownership.watch(self._ownership_changed)
        self._changed = asyncio.Event()
        self._store = store
        self._scheduler = scheduler
        self._worker = worker
        self._background = {name.lower() for name in background}
        self._schedules: dict[str, tuple[Function, Schedule]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        for function in app.of(Kind.TIMER):
            try:
                self._schedules[function.name] = (function, parse(function.trigger["schedule"]))
            except ScheduleError as error:
                raise ScheduleError(f"{function.name}: {error}") from None

    def start(self) -> None:
        """Begin to run the triggers when they are due."""
        for function, schedule in self._schedules.values():
            task = asyncio.get_running_loop().create_task(self._run_for_ever(function, schedule))
            self._tasks.add(task)

    async def stop(self) -> None:
        """Run nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def run_now(self, function: Function) -> None:
        """Run a trigger once, out of its turn."""
        _, schedule = self._schedules[function.name]
        await self._run(function, self._row(function, schedule), is_past_due=False)

    async def _run_for_ever(self, function: Function, schedule: Schedule) -> None:
        key = f"timer:{function.name}"
        is_first = True
        while True:
            await self._until_ours(key)
            row = self._row(function, schedule)
            is_past_due = self._store.schedule(function.name) is not None and parse_stamp(row.next) < utc_now()
            if is_first and function.trigger.get("runOnStartup") and not is_past_due:
                with self._ownership.working(key):
                    await self._run(function, row, is_past_due=False)
            is_first = False
            await self._run_while_ours(key, function, schedule, row, is_past_due)

    async def _run_while_ours(
        self, key: str, function: Function, schedule: Schedule, row: ScheduleRow, is_past_due: bool
    ) -> None:
        stored = self._store.schedule(function.name)
        while True:
            due = parse_stamp(row.next)
            await _sleep_until(due)
            if not self._ownership.owns(key) or self._store.schedule(function.name) != stored:
                return
            with self._ownership.working(key):
                await self._run(function, row, is_past_due=is_past_due)
                is_past_due = False
                next_due = schedule.next(max(due, utc_now()))
                stored = row = ScheduleRow(function.name, stamp(utc_now()), stamp(next_due))
                with self._store.transaction(f"schedule of {function.name}") as tx:
                    tx.put_schedule(row)

    async def _until_ours(self, key: str) -> None:
        while not self._ownership.owns(key):
            await self._changed.wait()

    def _ownership_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _row(self, function: Function, schedule: Schedule) -> ScheduleRow:
        row = self._store.schedule(function.name)
        if row is None or function.trigger.get("useMonitor") is False:
            row = ScheduleRow(function.name, None, stamp(schedule.next(utc_now())))
        return row

    async def _run(self, function: Function, row: ScheduleRow, *, is_past_due: bool) -> None:
        request = TimerRequestConverter.decode(_datum(row, is_past_due), trigger_metadata=None)
        if function.name.lower() in self._background:
            await self._attempts(function, request)
            return
        with self._scheduler.counted(f"timer trigger {function.name}"):
            await self._attempts(function, request)

    async def _attempts(self, function: Function, request: Any) -> None:
        retry = 0
        while True:
            try:
                await self._worker.call(function, request, retry)
            except FunctionFailedError as failure:
                _LOG.error("timer trigger %s raised", function.name, exc_info=failure.__cause__)
            else:
                return
            retry += 1
            if function.retry is None or 0 <= function.retry.maximum_retries < retry:
                return
            await asyncio.sleep(function.retry.delay(retry))


async def _sleep_until(moment: datetime) -> None:
    """Sleep by the monotonic clock, again if the system's clock then says that it was too short."""
    wait = (moment - utc_now()).total_seconds()
    if wait > 0:
        await asyncio.sleep(wait)
        await _sleep_until(moment)


def _datum(row: ScheduleRow, is_past_due: bool) -> Datum:
    status = {"Last": row.last or "0001-01-01T00:00:00Z", "Next": row.next, "LastUpdated": row.last or ""}
    info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": is_past_due}
    return Datum(msgspec.json.encode(info).decode(), "json")
