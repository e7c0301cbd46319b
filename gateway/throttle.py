"""How many application messages may leave in a second. Pure: the time is given."""

from collections import deque

_WINDOW = 1.0


class Throttle:
    """Never more than `per_second` messages that ask first in any window of one second; 0: as many as there are.

    What cannot wait, since the venue itself has asked for it, is noted all the same: what asks then waits longer.
    Nobody knows what a predecessor has sent just before the `begin`: it counts as if that were all it could.
    Times are seconds of a monotonic clock and never go back.
    """

    def __init__(self, per_second: int, begin: float) -> None:
        self._limit = per_second
        self._times: deque[float] = deque([begin] * per_second)  # of what left in the last second

    def wait(self, now: float) -> float:
        """Seconds until a message may leave; 0 if it may now."""
        times = self._times
        while times and now - times[0] >= _WINDOW:
            times.popleft()
        if not self._limit or len(times) < self._limit:
            return 0.0
        return max(times[-self._limit] + _WINDOW - now, 1e-6)

    def note(self, now: float) -> None:
        """A message leaves."""
        if self._limit:
            self._times.append(now)
