"""The host's two clocks: the system's, and that of the orchestrators, which may be virtual."""

import time
from datetime import UTC, datetime
from pathlib import Path

from devhost.history import parse_stamp, stamp
from devhost.store import Store, Transaction

_SETTING = "virtual_clock"
BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
"""What a virtual clock shows that was never set."""


class ClockError(Exception):
    """The clock cannot be set so; the message says why."""


def utc_now() -> datetime:
    """The clock that durable timers follow: that of storage, which is right also where a test has the host's jump.

    A timer is a message that Azure Storage hides for so long (DTFx, `GetVisibilityDelay`), whatever the host's clock
    shows by then.
    """
    return datetime.fromtimestamp(time.time(), UTC)


class MarketClock:
    """The time of orchestrators: the system's, or a virtual one that stands still until it is set.

    A virtual clock lives in the database. It begins at `start`, or goes on where it was. With a `mirror` it is written
    to a text file of one ISO-8601 line, so that the app sees the same time; the file is replaced at once, never
    rewritten in place.
    """

    def __init__(self, store: Store, mirror: Path | None = None, start: datetime | None = None) -> None:
        self._mirror = mirror
        self.is_virtual = mirror is not None or start is not None
        """Whether the clock stands still until it is set."""
        kept = store.setting(_SETTING)
        self._now = parse_stamp(kept) if kept else start or BEFORE_ALL
        if self.is_virtual and kept is None:
            with store.transaction("clock") as tx:
                self.keep(tx, self._now)
        self._write_mirror()

    def now(self) -> datetime:
        """The market's time."""
        return self._now if self.is_virtual else utc_now()

    def check(self, moment: datetime) -> None:
        """Raises ClockError if the clock cannot be set to `moment`."""
        if not self.is_virtual:
            raise ClockError(
                "the clock is the system's; start the host with --virtual-clock or --virtual-time to set it"
            )
        if moment < self._now:
            raise ClockError(f"the clock shows {stamp(self._now)} and cannot go back to {stamp(moment)}")

    def keep(self, tx: Transaction, moment: datetime) -> None:
        """Store the new time; it counts from `show` on."""
        tx.set_setting(_SETTING, stamp(moment))

    def show(self, moment: datetime) -> None:
        """The new time, once it is stored, for this process and for the app."""
        self._now = moment
        self._write_mirror()

    def _write_mirror(self) -> None:
        if self._mirror is None:
            return
        new = self._mirror.with_name(self._mirror.name + ".new")
        try:
            new.write_text(stamp(self._now) + "\n", encoding="ascii")
            new.replace(self._mirror)
        except OSError as error:
            raise ClockError(f"the clock's file {self._mirror} cannot be written: {error.strerror}") from None
