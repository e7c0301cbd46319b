"""Decides what runs next, and knows whether anything is left to do.

Work comes in kinds, each a queue of its own, first in, first out. Normally each kind has a limit of how many run at
once. A *serial* scheduler runs one at a time over all kinds, in the order of the kinds: episodes and entities, as they
come, before activities before event batches. So the same inputs give the same order of work in every run, which
lockstep replays need. Only entities also run beside an activity, which may wait for what one of them does. Any other
piece of work that itself waits for other work would wait for ever: so after a while the others may go on beside it.

Background work runs at once, beside everything, and does not count: a host is idle while it runs.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

_LOG = logging.getLogger("devhost")
_PATIENCE = 5.0
"""Seconds that one piece of work keeps a serial scheduler to itself."""


class Work(IntEnum):
    """The kinds of work, the most urgent first."""

    EPISODE = 0
    ENTITY = 1
    ACTIVITY = 2
    BATCH = 3


class Job:
    """A piece of work that was handed in."""

    def __init__(self, kind: Work, label: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.kind = kind
        self.label = label
        self.run = run
        self.holds_slot = False
        self.task: asyncio.Task[None] | None = None


class Scheduler:
    """Runs work on the event loop it was made in."""

    def __init__(self, limits: dict[Work, int], is_serial: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._is_serial = is_serial
        self._queues: dict[Work, deque[Job]] = {kind: deque() for kind in Work}
        self._slots_taken = dict.fromkeys(Work, 0)
        self._running: set[Job] = set()
        self._held: dict[object, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle_waiters: set[asyncio.Future[None]] = set()
        self._is_stopped = False

    def submit(self, kind: Work, label: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `run()` when its turn comes. What it raises is a fault of the host's, and logged."""
        queue = Work.EPISODE if self._is_serial and kind is Work.ENTITY else kind
        self._queues[queue].append(Job(kind, label, run))
        self._start_what_may()

    def submit_background(self, label: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `run()` at once; it does not count as work."""
        if not self._is_stopped:
            self._spawn(self._guard(label, run))

    @contextmanager
    def counted(self, label: str) -> Iterator[None]:
        """The host is not idle while the block runs, which needs no turn of its own."""
        token = object()
        self.hold(token, label)
        try:
            yield
        finally:
            self.release(token)

    def hold(self, token: object, label: str) -> None:
        """The host is not idle until `token` is released."""
        self._held[token] = label

    def release(self, token: object) -> None:
        """What `hold` held is over."""
        self._held.pop(token, None)
        self._tell_if_idle()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued, runs, or is held."""
        return not (self._running or self._held or any(self._queues.values()))

    def busy(self) -> list[str]:
        """What keeps the host from being idle, running before waiting."""
        waiting = [job.label for queue in self._queues.values() for job in queue]
        return [job.label for job in self._running] + list(self._held.values()) + waiting

    async def wait_until_idle(self, seconds: float) -> bool:
        """Whether the host became idle within that time; it answers the moment it does."""
        try:
            async with asyncio.timeout(seconds):
                # What woke the waiter may have been followed by new work before its turn came.
                while not self.is_idle:
                    await self._next_idle_moment()
        except TimeoutError:
            return self.is_idle
        return True

    async def _next_idle_moment(self) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._idle_waiters.add(waiter)
        try:
            await waiter
        finally:
            self._idle_waiters.discard(waiter)

    def halt(self) -> None:
        """Start nothing more."""
        self._is_stopped = True

    async def drain(self, seconds: float) -> None:
        """Start nothing more, and give what runs that long to end; background work is not waited for."""
        self.halt()
        running = [job.task for job in self._running if job.task is not None]
        if running:
            await asyncio.wait(running, timeout=seconds)

    async def stop(self) -> None:
        """Start nothing more, and cancel what runs."""
        self.halt()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_what_may(self) -> None:
        while not self._is_stopped:
            job = self._next()
            if job is None:
                return
            job.holds_slot = True
            self._slots_taken[job.kind] += 1
            self._running.add(job)
            job.task = self._spawn(self._run(job))

    def _next(self) -> Job | None:
        if self._is_serial and any(self._slots_taken.values()):
            return self._next_beside_an_activity()
        for kind, queue in self._queues.items():
            if queue and self._slots_taken[kind] < self._limits[kind]:
                return queue.popleft()
        return None

    def _next_beside_an_activity(self) -> Job | None:
        if any(taken for kind, taken in self._slots_taken.items() if kind is not Work.ACTIVITY):
            return None
        queue = self._queues[Work.EPISODE]
        found = next((job for job in queue if job.kind is Work.ENTITY), None)
        if found is not None:
            queue.remove(found)
        return found

    async def _run(self, job: Job) -> None:
        impatience = self._loop.call_later(_PATIENCE, self._go_on_beside, job) if self._is_serial else None
        try:
            await self._guard(job.label, job.run)
        finally:
            if impatience is not None:
                impatience.cancel()
            self._running.discard(job)
            self._free_slot(job)
            self._start_what_may()
            self._tell_if_idle()

    async def _guard(self, label: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await run()
        except asyncio.CancelledError:
            raise
        except Exception:
            _LOG.exception("%s: a fault of the host", label)

    def _go_on_beside(self, job: Job) -> None:
        _LOG.warning("%s takes over %.0f s: other work goes on beside it, in no fixed order", job.label, _PATIENCE)
        self._free_slot(job)
        self._start_what_may()

    def _free_slot(self, job: Job) -> None:
        if job.holds_slot:
            job.holds_slot = False
            self._slots_taken[job.kind] -= 1

    def _tell_if_idle(self) -> None:
        if self._idle_waiters and self.is_idle:
            for waiter in self._idle_waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
