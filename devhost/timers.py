"""The pending timers of orchestrations, in memory, on the two clocks."""

import asyncio
import heapq
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from devhost.clock import utc_now
from devhost.history import parse_stamp
from devhost.scheduler import Scheduler
from devhost.store import TimerRow

_Heap = list[tuple[datetime, int, TimerRow]]


class Timers:
    """Virtual timers wait to be asked for; real ones call `fire` when the system's clock says so."""

    def __init__(self, scheduler: Scheduler, fire: Callable[[Sequence[TimerRow]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._scheduler = scheduler
        self._fire = fire
        self._pending: dict[tuple[str, int], TimerRow] = {}
        self._virtual: _Heap = []
        self._real: _Heap = []
        self._alarm: asyncio.TimerHandle | None = None
        self._has_virtual = asyncio.Event()

    def add_virtual(self, timer: TimerRow) -> None:
        """A timer that fires when the virtual clock is set past it."""
        self._has_virtual.set()
        self._pending[timer.instance_id, timer.task_id] = timer
        heapq.heappush(self._virtual, (parse_stamp(timer.fire_at), timer.number, timer))

    def add_real(self, timer: TimerRow, *, is_work: bool) -> None:
        """A timer of the system's clock; with `is_work` the host is not idle before it fires or goes."""
        self._pending[timer.instance_id, timer.task_id] = timer
        heapq.heappush(self._real, (parse_stamp(timer.fire_at), timer.number, timer))
        if is_work:
            self._scheduler.hold(timer, f"timer {timer.task_id} of {timer.instance_id}")
        self._arm()

    def find(self, instance_id: str, task_id: int) -> TimerRow | None:
        """A pending timer of an instance's present generation."""
        return self._pending.get((instance_id, task_id))

    def remove(self, timer: TimerRow) -> None:
        """The timer fired or was cancelled."""
        if self._pending.get((timer.instance_id, timer.task_id)) is timer:
            del self._pending[timer.instance_id, timer.task_id]
        self._scheduler.release(timer)

    def remove_all(self, instance_id: str) -> None:
        """The instance has ended."""
        for timer in [each for each in self._pending.values() if each.instance_id == instance_id]:
            self.remove(timer)

    def keep_those_of(self, instance_ids: Collection[str]) -> None:
        """Forget the timers of all other instances: another host fires them."""
        for timer in [each for each in self._pending.values() if each.instance_id not in instance_ids]:
            self.remove(timer)

    def next_virtual(self) -> datetime | None:
        """When the next virtual timer is due."""
        self._drop_gone(self._virtual)
        return self._virtual[0][0] if self._virtual else None

    async def wait_for_virtual(self) -> datetime:
        """When the next virtual timer is due, once there is one."""
        while (due := self.next_virtual()) is None:
            self._has_virtual.clear()
            await self._has_virtual.wait()
        return due

    def due_by(self, moment: datetime) -> list[TimerRow]:
        """Take the virtual timers that are due by then, the earliest first; the caller fires and removes them."""
        return self._take_due(self._virtual, moment)

    def stop(self) -> None:
        """Fire no more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        self._alarm = None
        due = self._take_due(self._real, utc_now())
        if due:
            self._fire(due)
        self._arm()

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._drop_gone(self._real)
        if self._real:
            delay = (self._real[0][0] - utc_now()).total_seconds()
            self._alarm = self._loop.call_later(max(delay, 0), self._ring)

    def _take_due(self, heap: _Heap, moment: datetime) -> list[TimerRow]:
        due: list[TimerRow] = []
        while True:
            self._drop_gone(heap)
            if not heap or heap[0][0] > moment:
                return due
            due.append(heapq.heappop(heap)[2])

    def _drop_gone(self, heap: _Heap) -> None:
        while heap:
            timer = heap[0][2]
            if self._pending.get((timer.instance_id, timer.task_id)) is timer:
                return
            heapq.heappop(heap)
