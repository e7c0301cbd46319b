"""When the session may be held, and when its numbers begin again. Pure: moments come in, decisions go out.

Two clocks are asked, each for what it can do no harm with. The machine's own says when to look at storage, no more:
where it is wrong, a process sleeps too long or looks in vain. Storage's, which is the same for all processes, says
whether the lease may be taken and whether the numbers begin again. A holder counts the time that its window has left
from there, by its monotonic clock. So a machine's clock that jumps never begins the numbers again.
"""

from datetime import UTC, datetime, timedelta

from fix.schedule import Schedule

MARGIN = timedelta(seconds=2)
"""Taken off both ends of a window: by so much may storage's clock and the venue's differ. A Logon that came too early
would be counted by the venue's old numbers, and be refused by the new ones."""


def closes_at(schedule: Schedule | None, utc: datetime) -> datetime | None:
    """Until when the session may be held; None where it may not be now. Without a schedule, for ever."""
    if schedule is None:
        return datetime.max.replace(tzinfo=UTC)
    window = schedule.window_at(utc)
    if window is None or not window.start + MARGIN <= utc < window.end - MARGIN:
        return None
    return window.end - MARGIN


def opens_at(schedule: Schedule | None, utc: datetime) -> datetime | None:
    """When it may be held next; None where it may be now."""
    if schedule is None or closes_at(schedule, utc) is not None:
        return None
    window = schedule.window_at(utc)
    if window is not None and utc < window.start + MARGIN:
        return window.start + MARGIN
    return schedule.next_start(utc) + MARGIN


def begins_again(schedule: Schedule | None, since: datetime, utc: datetime) -> bool:
    """Whether numbers that began at `since` are of a window before the one of `utc`.

    Numbers of a later time are kept: then a clock has gone back, and that is no new window.
    """
    window = schedule.window_at(utc) if schedule else None
    return window is not None and since < window.start
