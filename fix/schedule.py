"""When a session may be logged on: daily or weekly hours by the clocks on the wall, each end in a time zone of its own.

Pure: moments come in as aware datetimes, windows go out in UTC. A window is one unbroken stretch of hours; sequence
numbers live as long as it does. Time zones are the system's (IANA); where there are none, the package tzdata brings
them.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)


class Window(NamedTuple):
    """From `start` on, until just before `end`; both UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Schedule:
    """Sessions of some hours a day, or of some days a week.

    - Daily: `start` to `end`, on the `days` on which it begins (all without). An end that is not after the start
      is on the next day (the next but one, where two zones want it); equal ends make a day of 24 hours that begins anew
      at that time.
    - Weekly: from `start` on `start_day` to `end` on `end_day`; the same day and an end that is not after the start
      make a whole week.

    `start` and `end` are what the clock shows in `zone`; `end_zone` is for an end that another clock decides. A time
    that a clock leaves out in spring is the moment at which it jumps; of one that it shows twice in autumn the first
    counts. Where two zones make an end come after the next start, the window ends at that start.

    Raises `ValueError` that names field, value and what would be right.
    """

    start: time
    end: time
    zone: str = "UTC"
    end_zone: str = ""
    days: tuple[str, ...] = ()
    start_day: str = ""
    end_day: str = ""

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            at = getattr(self, name)
            if not isinstance(at, time) or at.tzinfo is not None:
                raise ValueError(f"{name} is {at!r}: it must be a time of day without a zone, such as time(9, 30)")
        for name in ("zone", "end_zone"):
            _zone(name, getattr(self, name) or self.zone)
        for name, days in (("days", self.days), ("start_day", (self.start_day,)), ("end_day", (self.end_day,))):
            for day in days:
                if day not in WEEKDAYS and (day or name == "days"):
                    raise ValueError(f"{name} has {day!r}: it must be one of {', '.join(WEEKDAYS)}")
        if bool(self.start_day) != bool(self.end_day):
            missing, given = ("end_day", "start_day") if self.start_day else ("start_day", "end_day")
            raise ValueError(f"{missing} is missing: with {given} it must be given too")
        if self.start_day and self.days:
            raise ValueError(
                f"days is {self.days!r}: it is for daily sessions, start_day and end_day are for weekly ones"
            )
        if len(set(self.days)) != len(self.days):
            raise ValueError(f"days is {self.days!r}: each day must be there once")

    @classmethod
    def daily(
        cls, start: time, end: time, zone: str = "UTC", *, days: tuple[str, ...] = (), end_zone: str = ""
    ) -> "Schedule":
        return cls(start, end, zone, end_zone, days=days)

    @classmethod
    def weekly(
        cls, start_day: str, start: time, end_day: str, end: time, zone: str = "UTC", *, end_zone: str = ""
    ) -> "Schedule":
        if not (start_day and end_day):
            raise ValueError(f"start_day is {start_day!r} and end_day is {end_day!r}: both must be given")
        return cls(start, end, zone, end_zone, start_day=start_day, end_day=end_day)

    def window_at(self, utc: datetime) -> Window | None:
        """The window that a moment is in, or None out of hours. Raises `ValueError` for a time without a zone."""
        # A window of a week may have begun eight days ago, by the widest of zones.
        windows = self._windows(_utc_date(utc) - 9 * _DAY)
        following = [window.start for window in windows[1:]] + [datetime.max.replace(tzinfo=UTC)]
        for window, next_start in zip(windows, following, strict=True):
            end = min(window.end, next_start)
            if window.start <= utc < end:
                return Window(window.start, end)
        return None

    def next_start(self, utc: datetime) -> datetime:
        """When the next window begins: at the moment itself or later. Raises `ValueError` for a time without a zone."""
        windows = self._windows(_utc_date(utc) - 2 * _DAY)
        return min(window.start for window in windows if window.start >= utc)

    def same_window(self, one: datetime, other: datetime) -> bool:
        """Whether both are in one and the same window: then numbers of the one are good at the other."""
        window = self.window_at(one)
        return window is not None and window == self.window_at(other)

    def _windows(self, first: date) -> list[Window]:
        """Those that begin within 24 days: the one asked for, a week's next, which may end it, and one more, because
        one may fall into the hour that is left out."""
        beginning = (self.start_day,) if self.start_day else self.days or WEEKDAYS
        days = [first + number * _DAY for number in range(24)]
        windows = [self._window(day) for day in days if WEEKDAYS[day.weekday()] in beginning]
        # One that lies within the hour that is left out in spring is not there that day.
        return [window for window in windows if window.start < window.end]

    def _window(self, day: date) -> Window:
        """The window that begins on a day of the start's zone."""
        start_zone = _zone("zone", self.zone)
        end_zone = _zone("end_zone", self.end_zone or self.zone)
        start = _instant(day, self.start, start_zone)
        last = day
        if self.end_day:
            last += (WEEKDAYS.index(self.end_day) - day.weekday()) % 7 * _DAY
        step = 7 * _DAY if self.end_day else _DAY
        if start_zone == end_zone:
            # By what the clock shows: of two times that it leaves out, the moment would be the same.
            if last == day and self.end <= self.start:
                last += step
        else:
            while _instant(last, self.end, end_zone) <= start:
                last += step
        return Window(start, _instant(last, self.end, end_zone))


def _zone(name: str, key: str) -> ZoneInfo:
    try:
        return ZoneInfo(key)
    except (KeyError, OSError, ValueError):
        raise ValueError(
            f"{name} is {key!r}: it must be a time zone that is known here, such as Europe/London"
        ) from None


def _utc_date(utc: datetime) -> date:
    if utc.utcoffset() is None:
        raise ValueError(f"utc is {utc.isoformat()}: it must have a time zone")
    return utc.astimezone(UTC).date()


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """When the clock in the zone shows it, the first time; when it jumps over it, the moment of the jump."""
    local = datetime.combine(day, at.replace(fold=0), zone)
    utc = local.astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return utc
    # In the gap. Read by the offset before it, the time is behind the jump by as much as it is into the gap.
    before, after = local.utcoffset(), local.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    low, high = utc - abs(after - before), utc + abs(after - before)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
