"""An event loop that polls its sockets for a little while before it goes to sleep.

To wake a thread that sleeps in the kernel takes longer than all else that happens to a message: on a virtual machine
40 to 60 microseconds. Where a core can be spared, a loop that has just been busy had better stay awake for a moment.
The loop is asyncio's own; only its selector is another.
"""

import asyncio
import os
import selectors
import time
from collections.abc import Callable
from functools import partial

_give_way: Callable[[], object] = getattr(os, "sched_yield", partial(time.sleep, 0))


class _PollingSelector(selectors.DefaultSelector):
    """Polls for `seconds` after the last thing that happened, then sleeps like any other."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._awake_until = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        now = time.perf_counter()
        until = self._awake_until if timeout is None else min(self._awake_until, now + timeout)
        while not ready and now < until:
            _give_way()  # to whoever has something to do
            ready = super().select(0)
            now = time.perf_counter()
        if not ready and (timeout is None or timeout > 0):
            ready = super().select(timeout)
            now = time.perf_counter()
        if ready:
            self._awake_until = now + self._seconds
        return ready


def polling_loop(seconds: float = 0.0005) -> asyncio.AbstractEventLoop:
    """For `asyncio.Runner(loop_factory=polling_loop)`. Uses a core fully for `seconds` after whatever happens."""
    if not seconds > 0:
        raise ValueError(f"seconds is {seconds}: it must be more than 0")
    return asyncio.SelectorEventLoop(_PollingSelector(seconds))
