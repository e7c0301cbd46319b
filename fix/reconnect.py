"""Where an initiator tries next, and after what pause. Pure: durations come in, and chance as a `Random`."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from typing import NamedTuple


class Host(NamedTuple):
    name: str
    port: int


@dataclass(frozen=True)
class Pauses:
    """In seconds. After each round of all hosts the pause doubles, from `first` to `longest`; up to a quarter of it is
    taken off by chance, so that many do not come at once."""

    first: float = 0.5
    longest: float = 30.0
    stable_after: float = 5.0
    """Time logged on after which a session is a success, and the next pause is the first again. A Logon that is
    followed by a Logout at once, over and over, does not become a hot loop."""

    def __post_init__(self) -> None:
        for name in ("first", "longest", "stable_after"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be more than 0 seconds, and finite")
        if self.longest < self.first:
            raise ValueError(f"longest is {self.longest}: it must be at least first, which is {self.first}")


class Attempt(NamedTuple):
    host: Host
    pause: float
    """Seconds to wait before it."""


class Reconnect:
    """The rules: a success is a Logon, not a TCP connect. After a failure the next host is tried at once, until all
    were tried once; then comes the pause. A session that was logged on and ended begins again with the first host
    (`return_to_first`), or with the one it had.

    Raises `ValueError` for hosts that cannot be.
    """

    def __init__(
        self,
        hosts: Sequence[tuple[str, int]],
        pauses: Pauses | None = None,
        *,
        return_to_first: bool = True,
        random: Random | None = None,
    ) -> None:
        if not hosts:
            raise ValueError("hosts is empty: there must be at least one (name, port)")
        for name, port in hosts:
            if not name or not isinstance(port, int) or not 0 < port < 65536:
                raise ValueError(f"hosts has {name!r}, {port!r}: it must be a name and a port from 1 to 65535")
        self._hosts = [Host(name, port) for name, port in hosts]
        for host in self._hosts:
            # Of a host that is there twice the second attempt would come at once.
            if self._hosts.count(host) > 1:
                raise ValueError(f"hosts has {host.name!r}, {host.port} twice: each must be there once")
        self._pauses = pauses or Pauses()
        self._return_to_first = return_to_first
        self._random = random or Random()
        self._at = 0
        self._failures = 0
        self._pause = self._pauses.first
        self._next_pause = 0.0

    def next(self) -> Attempt:
        """What to try now. Follow it by `failed` or `ended`."""
        pause = self._next_pause * (1 - self._random.random() / 4)
        return Attempt(self._hosts[self._at], pause)

    def failed(self) -> None:
        """No connection, or no Logon: refused, or not in time."""
        self._failures += 1
        self._at = (self._at + 1) % len(self._hosts)
        if self._failures % len(self._hosts):
            self._next_pause = 0.0
        else:
            self._wait_longer()

    def ended(self, lasted: float) -> None:
        """A session is over that was logged on for so many seconds. One that was not stable counts as a failure: a host
        that takes every Logon and drops it is not the only one that is ever tried."""
        if lasted < self._pauses.stable_after:
            self.failed()
            return
        self._failures = 0
        if self._return_to_first:
            self._at = 0
        self._pause = self._pauses.first
        self._wait_longer()

    def _wait_longer(self) -> None:
        self._next_pause = self._pause
        self._pause = min(2 * self._pause, self._pauses.longest)
