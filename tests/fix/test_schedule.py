"""The hours of a session: across changes of the clock, midnights, weeks and zones."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from fix.schedule import WEEKDAYS, Schedule, Window

TICK = timedelta(microseconds=1)
NEW_YORK, LONDON, TOKYO, SYDNEY = "America/New_York", "Europe/London", "Asia/Tokyo", "Australia/Sydney"
CHICAGO = "America/Chicago"


def at(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(start: str, end: str, zone: str, end_zone: str = "", days: str = "") -> Schedule:
    return Schedule.daily(
        time.fromisoformat(start), time.fromisoformat(end), zone, end_zone=end_zone, days=tuple(days.split())
    )


def weekly(start: str, end: str, zone: str, end_zone: str = "") -> Schedule:
    """`sun 17:00` to `fri 17:00`."""
    (start_day, begins), (end_day, ends) = start.split(), end.split()
    return Schedule.weekly(
        start_day, time.fromisoformat(begins), end_day, time.fromisoformat(ends), zone, end_zone=end_zone
    )


WINDOWS = [
    ("New York in winter", daily("09:30", "16:00", NEW_YORK), "2024-03-08 14:30", "2024-03-08 21:00"),
    ("and in summer", daily("09:30", "16:00", NEW_YORK), "2024-03-11 13:30", "2024-03-11 20:00"),
    ("the last of summer", daily("09:30", "16:00", NEW_YORK), "2024-11-01 13:30", "2024-11-01 20:00"),
    ("the first of winter", daily("09:30", "16:00", NEW_YORK), "2024-11-04 14:30", "2024-11-04 21:00"),
    ("over the night", daily("18:00", "17:00", NEW_YORK), "2024-03-07 23:00", "2024-03-08 22:00"),
    ("a night without an hour", daily("18:00", "17:00", NEW_YORK), "2024-03-09 23:00", "2024-03-10 21:00"),
    ("a night with an hour more", daily("18:00", "17:00", NEW_YORK), "2024-11-02 22:00", "2024-11-03 22:00"),
    ("a start that is left out", daily("02:30", "05:00", NEW_YORK), "2024-03-10 07:00", "2024-03-10 09:00"),
    ("an end that is left out", daily("01:00", "02:30", NEW_YORK), "2024-03-10 06:00", "2024-03-10 07:00"),
    ("a start that comes twice", daily("01:30", "04:00", NEW_YORK), "2024-11-03 05:30", "2024-11-03 09:00"),
    ("an end that comes twice", daily("00:00", "01:30", NEW_YORK), "2024-11-03 04:00", "2024-11-03 05:30"),
    ("both of them twice", daily("01:15", "01:45", NEW_YORK), "2024-11-03 05:15", "2024-11-03 05:45"),
    ("London, the last of winter", daily("08:00", "16:30", LONDON), "2024-03-30 08:00", "2024-03-30 16:30"),
    ("London, the first of summer", daily("08:00", "16:30", LONDON), "2024-03-31 07:00", "2024-03-31 15:30"),
    ("London, the last of summer", daily("08:00", "16:30", LONDON), "2024-10-26 07:00", "2024-10-26 15:30"),
    ("London, the first of winter", daily("08:00", "16:30", LONDON), "2024-10-27 08:00", "2024-10-27 16:30"),
    ("a day of 24 hours", daily("00:00", "00:00", LONDON), "2024-01-15 00:00", "2024-01-16 00:00"),
    ("a day of 23 hours", daily("00:00", "00:00", LONDON), "2024-03-31 00:00", "2024-03-31 23:00"),
    ("a day of 25 hours", daily("00:00", "00:00", LONDON), "2024-10-26 23:00", "2024-10-28 00:00"),
    ("Tokyo in winter", daily("09:00", "15:00", TOKYO), "2024-01-15 00:00", "2024-01-15 06:00"),
    ("Tokyo in summer", daily("09:00", "15:00", TOKYO), "2024-07-15 00:00", "2024-07-15 06:00"),
    ("Tokyo's night", daily("16:30", "06:00", TOKYO), "2024-07-15 07:30", "2024-07-15 21:00"),
    ("Sydney, the last of summer", daily("10:00", "16:00", SYDNEY), "2024-04-05 23:00", "2024-04-06 05:00"),
    ("Sydney, the first of winter", daily("10:00", "16:00", SYDNEY), "2024-04-07 00:00", "2024-04-07 06:00"),
    ("Sydney, the last of winter", daily("10:00", "16:00", SYDNEY), "2024-10-05 00:00", "2024-10-05 06:00"),
    ("Sydney, the first of summer", daily("10:00", "16:00", SYDNEY), "2024-10-05 23:00", "2024-10-06 05:00"),
    ("Sydney's shortest night", daily("17:10", "07:00", SYDNEY), "2024-10-05 07:10", "2024-10-05 20:00"),
    ("a jump of half an hour", daily("02:15", "10:00", "Australia/Lord_Howe"), "2024-10-05 15:30", "2024-10-05 23:00"),
    ("before a day that was left out", daily("09:00", "17:00", "Pacific/Apia"), "2011-12-29 19:00", "2011-12-30 03:00"),
    ("after a day that was left out", daily("09:00", "17:00", "Pacific/Apia"), "2011-12-30 19:00", "2011-12-31 03:00"),
    ("seconds", daily("09:30:15", "09:30:16", "UTC"), "2024-02-29 09:30:15", "2024-02-29 09:30:16"),
    ("over a year's end", daily("22:00", "02:00", "UTC"), "2024-12-31 22:00", "2025-01-01 02:00"),
    ("a day of the week", daily("09:00", "17:00", "UTC", days="mon fri"), "2024-06-07 09:00", "2024-06-07 17:00"),
    ("the night after it", daily("20:00", "04:00", "UTC", days="fri"), "2024-06-07 20:00", "2024-06-08 04:00"),
    ("a week in winter", weekly("sun 17:00", "fri 17:00", CHICAGO), "2024-03-03 23:00", "2024-03-08 23:00"),
    ("a week in summer", weekly("sun 17:00", "fri 17:00", CHICAGO), "2024-03-10 22:00", "2024-03-15 22:00"),
    ("the last week of summer", weekly("sun 17:00", "fri 17:00", CHICAGO), "2024-10-27 22:00", "2024-11-01 22:00"),
    ("the first of winter, weekly", weekly("sun 17:00", "fri 17:00", CHICAGO), "2024-11-03 23:00", "2024-11-08 23:00"),
    (
        "from one change to the other side",
        weekly("sat 12:00", "mon 12:00", CHICAGO),
        "2024-03-09 18:00",
        "2024-03-11 17:00",
    ),
    ("a whole week", weekly("sun 17:00", "sun 17:00", CHICAGO), "2024-06-02 22:00", "2024-06-09 22:00"),
    ("a week without an hour", weekly("sun 17:00", "sun 17:00", CHICAGO), "2024-03-03 23:00", "2024-03-10 22:00"),
    ("a week but for an hour", weekly("sun 17:00", "sun 16:00", CHICAGO), "2024-06-02 22:00", "2024-06-09 21:00"),
    ("one day of the week", weekly("mon 09:00", "mon 17:00", CHICAGO), "2024-06-03 14:00", "2024-06-03 22:00"),
    ("over the weekend", weekly("fri 17:00", "mon 08:00", CHICAGO), "2024-06-07 22:00", "2024-06-10 13:00"),
    ("two zones in summer", daily("08:00", "17:00", LONDON, NEW_YORK), "2024-06-03 07:00", "2024-06-03 21:00"),
    ("two zones, one in summer", daily("08:00", "17:00", LONDON, NEW_YORK), "2024-03-18 08:00", "2024-03-18 21:00"),
    ("two zones in winter", daily("08:00", "17:00", LONDON, NEW_YORK), "2024-01-15 08:00", "2024-01-15 22:00"),
    ("an end of the next day there", daily("17:00", "08:00", NEW_YORK, TOKYO), "2024-06-03 21:00", "2024-06-03 23:00"),
    ("an end of the next but one", daily("17:00", "06:00", NEW_YORK, TOKYO), "2024-06-03 21:00", "2024-06-04 21:00"),
    ("an end after the next start", daily("06:00", "17:00", TOKYO, NEW_YORK), "2024-01-07 21:00", "2024-01-08 21:00"),
    (
        "an end after a day, without a next start",
        daily("06:00", "17:00", TOKYO, NEW_YORK, days="mon"),
        "2024-01-07 21:00",
        "2024-01-08 22:00",
    ),
    ("a week of two zones", weekly("sun 17:00", "sat 06:00", NEW_YORK, TOKYO), "2024-06-02 21:00", "2024-06-07 21:00"),
    (
        "a week that its next ends",
        weekly("wed 00:00", "tue 07:10", SYDNEY, CHICAGO),
        "2024-11-05 13:00",
        "2024-11-12 13:00",
    ),
    (
        "a week of two zones, turned round",
        weekly("mon 06:00", "fri 17:00", SYDNEY, NEW_YORK),
        "2024-03-31 19:00",
        "2024-04-05 21:00",
    ),
]


@pytest.mark.parametrize(
    ("schedule", "start", "end"), [row[1:] for row in WINDOWS], ids=[row[0].replace(" ", "_") for row in WINDOWS]
)
def test_a_window_begins_and_ends_by_the_clocks_of_its_zones(schedule: Schedule, start: str, end: str) -> None:
    window = Window(at(start), at(end))
    for inside in (window.start, window.start + (window.end - window.start) / 2, window.end - TICK):
        assert schedule.window_at(inside) == window
        assert schedule.same_window(window.start, inside)
    for outside in (window.start - TICK, window.end):
        assert schedule.window_at(outside) != window
        assert not schedule.same_window(window.start, outside)
    assert schedule.next_start(window.start) == window.start
    assert schedule.next_start(window.start - TICK) == window.start
    assert schedule.next_start(window.start + TICK) >= window.end


@pytest.mark.parametrize(
    ("schedule", "moment", "next_start"),
    [
        (daily("09:30", "16:00", NEW_YORK), "2024-03-08 21:00", "2024-03-09 14:30"),
        (daily("09:30", "16:00", NEW_YORK), "2024-03-09 21:00", "2024-03-10 13:30"),
        (daily("09:30", "16:00", NEW_YORK, days="mon tue wed thu fri"), "2024-03-08 21:00", "2024-03-11 13:30"),
        (daily("20:00", "04:00", "UTC", days="fri"), "2024-06-08 04:00", "2024-06-14 20:00"),
        (weekly("sun 17:00", "fri 17:00", CHICAGO), "2024-03-08 23:00", "2024-03-10 22:00"),
        (weekly("sun 17:00", "fri 17:00", CHICAGO), "2024-11-02 12:00", "2024-11-03 23:00"),
        # What lies within the hour that is left out is not there that day.
        (daily("02:10", "02:50", NEW_YORK), "2024-03-10 07:00", "2024-03-11 06:10"),
        (daily("02:10", "02:50", NEW_YORK, days="sun"), "2024-03-04 12:00", "2024-03-17 06:10"),
        (weekly("sun 02:10", "sun 02:50", NEW_YORK), "2024-03-03 07:50", "2024-03-17 06:10"),
        (daily("09:00", "17:00", "Pacific/Apia", days="fri"), "2011-12-24 12:00", "2012-01-05 19:00"),
    ],
)
def test_out_of_hours_the_next_start_is_known(schedule: Schedule, moment: str, next_start: str) -> None:
    assert schedule.window_at(at(moment)) is None
    assert schedule.next_start(at(moment)) == at(next_start)
    assert not schedule.same_window(at(moment), at(moment))


def test_in_two_windows_the_numbers_are_not_the_same_even_if_one_follows_the_other_at_once() -> None:
    schedule = daily("17:00", "17:00", NEW_YORK)
    assert schedule.same_window(at("2024-06-03 21:00"), at("2024-06-04 20:59:59"))
    assert not schedule.same_window(at("2024-06-03 20:59:59"), at("2024-06-03 21:00"))
    # The same hours, a week of downtime between them.
    assert not schedule.same_window(at("2024-06-03 22:00"), at("2024-06-10 22:00"))


def test_a_schedule_of_one_zone_may_say_so_twice() -> None:
    once, twice = daily("18:00", "17:00", NEW_YORK), daily("18:00", "17:00", NEW_YORK, NEW_YORK)
    for moment in ("2024-03-10 12:00", "2024-11-03 12:00", "2024-11-03 22:30"):
        assert once.window_at(at(moment)) == twice.window_at(at(moment))


def test_a_second_time_of_a_clock_that_goes_back_is_never_meant() -> None:
    assert Schedule.daily(time(1, 30, fold=1), time(4), NEW_YORK).next_start(at("2024-11-03 00:00")) == at(
        "2024-11-03 05:30"
    )
    gap = Schedule.daily(time(2, 30, fold=1), time(4), NEW_YORK)
    assert gap.next_start(at("2024-03-10 00:00")) == at("2024-03-10 07:00")


@pytest.mark.parametrize("method", ["window_at", "next_start", "same_window"])
def test_a_moment_without_a_zone_is_refused(method: str) -> None:
    naive = datetime(2024, 6, 3, 12)  # noqa: DTZ001 - the point of it
    arguments = [naive, at("2024-06-03 12:00")] if method == "same_window" else [naive]
    with pytest.raises(ValueError, match="utc is 2024-06-03T12:00:00: it must have a time zone"):
        getattr(daily("09:00", "17:00", "UTC"), method)(*arguments)


# Settings

NINE, FIVE = time(9), time(17)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"start": "09:00"}, "start is '09:00': it must be a time of day without a zone"),
        ({"end": None}, "end is None: it must be a time of day"),
        ({"end": time(17, tzinfo=UTC)}, r"end is datetime.time\(17, 0, tzinfo=.*\): it must be .* without a zone"),
        ({"start": at("2024-06-03 09:00")}, r"start is datetime.datetime\(2024.*\): it must be a time of day"),
        ({"zone": "Europe/Nowhere"}, "zone is 'Europe/Nowhere': it must be a time zone .* such as Europe/London"),
        ({"zone": ""}, "zone is '': it must be a time zone"),
        ({"zone": "../etc/passwd"}, "zone is '../etc/passwd': it must be a time zone"),
        ({"zone": "Europe"}, "zone is 'Europe': it must be a time zone"),
        ({"end_zone": "Mars/Olympus"}, "end_zone is 'Mars/Olympus': it must be a time zone"),
        ({"days": ("mon", "funday")}, "days has 'funday': it must be one of mon, tue, wed, thu, fri, sat, sun"),
        ({"days": ("Mon",)}, "days has 'Mon': it must be one of mon"),
        ({"days": ("",)}, "days has '': it must be one of mon"),
        ({"days": ("mon", "mon")}, r"days is \('mon', 'mon'\): each day must be there once"),
        ({"start_day": "sonntag", "end_day": "fri"}, "start_day has 'sonntag': it must be one of mon"),
        ({"start_day": "sun", "end_day": "friday"}, "end_day has 'friday': it must be one of mon"),
        ({"start_day": "sun"}, "end_day is missing: with start_day it must be given too"),
        ({"end_day": "fri"}, "start_day is missing: with end_day it must be given too"),
        (
            {"start_day": "sun", "end_day": "fri", "days": ("mon",)},
            r"days is \('mon',\): it is for daily sessions, start_day and end_day are for weekly ones",
        ),
    ],
)
def test_a_wrong_setting_is_told_by_name_and_value(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        Schedule(**{"start": NINE, "end": FIVE, **wrong})


@pytest.mark.parametrize(("start_day", "end_day"), [("", "fri"), ("sun", ""), ("", "")])
def test_a_week_without_its_days_is_refused(start_day: str, end_day: str) -> None:
    with pytest.raises(ValueError, match=f"start_day is {start_day!r} and end_day is {end_day!r}: both must be given"):
        Schedule.weekly(start_day, NINE, end_day, FIVE)


# Any schedule, any moment

ZONES = st.sampled_from(
    [
        *("UTC", NEW_YORK, CHICAGO, LONDON, TOKYO, SYDNEY, "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"),
        *("America/St_Johns", "Pacific/Chatham", "Africa/Casablanca", "Asia/Tehran", "Etc/GMT+12", "Etc/GMT-14"),
    ]
)
# Times at which clocks are changed, more than others.
TIMES = st.builds(time, st.integers(0, 23) | st.integers(0, 3), st.sampled_from([0, 10, 30, 50, 59]))
DAYS = st.lists(st.sampled_from(WEEKDAYS), unique=True, max_size=7).map(tuple)
DAILY = st.builds(Schedule.daily, TIMES, TIMES, ZONES, days=DAYS, end_zone=st.just("") | ZONES)
WEEKLY = st.builds(
    Schedule.weekly,
    st.sampled_from(WEEKDAYS),
    TIMES,
    st.sampled_from(WEEKDAYS),
    TIMES,
    ZONES,
    end_zone=st.just("") | ZONES,
)
SCHEDULES = DAILY | WEEKLY
CHANGES = ["2024-03-10 07:00", "2024-11-03 06:00", "2024-03-31 01:00", "2024-10-27 01:00", "2024-04-06 16:00"]
CHANGES += ["2024-10-05 16:00", "2011-12-30 10:00", "2024-10-05 15:30"]
MOMENTS = st.datetimes(
    datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis wants it so
    datetime(2036, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
) | st.builds(
    lambda change, away: at(change) + away,
    st.sampled_from(CHANGES),
    st.timedeltas(timedelta(days=-9), timedelta(days=9)),
)


@given(SCHEDULES, MOMENTS)
@settings(max_examples=300, deadline=None)
@example(weekly("sun 02:10", "sun 02:50", NEW_YORK), at("2024-03-03 07:50"))
@example(daily("17:00", "06:00", NEW_YORK, TOKYO), at("2024-06-03 12:00"))
@example(weekly("wed 00:00", "tue 07:10", SYDNEY, CHICAGO), at("2024-11-05 13:00"))
def test_a_window_has_its_start_and_not_its_end_and_every_moment_between(schedule: Schedule, moment: datetime) -> None:
    window = schedule.window_at(moment)
    event("in hours" if window else "out of hours")
    if window is None:
        window = schedule.window_at(schedule.next_start(moment))
        assert window is not None
        assert window.start > moment
    else:
        assert window.start <= moment < window.end
    for inside in (window.start, window.end - TICK):
        assert schedule.window_at(inside) == window
    for outside in (window.start - TICK, window.end):
        assert schedule.window_at(outside) != window
    assert window.start.tzinfo is window.end.tzinfo is UTC


@given(SCHEDULES, MOMENTS)
@settings(max_examples=150, deadline=None)
def test_windows_follow_each_other_and_never_overlap(schedule: Schedule, moment: datetime) -> None:
    windows = []
    for _ in range(8):
        start = schedule.next_start(moment)
        assert start >= moment
        window = schedule.window_at(start)
        assert window is not None
        assert window.start == start
        windows.append(window)
        moment = start + TICK
    for one, following in pairwise(windows):
        assert one.start < one.end <= following.start < following.end
        # There is no third one between them.
        if one.end < following.start:
            assert schedule.window_at(one.end) is None
            assert schedule.window_at(one.end + (following.start - one.end) / 2) is None


@given(SCHEDULES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=16)))
@settings(max_examples=200, deadline=None)
def test_until_the_next_start_no_window_begins(schedule: Schedule, moment: datetime, later: timedelta) -> None:
    start = schedule.next_start(moment)
    between = min(moment + later, start - TICK)
    assume(between >= moment)
    window = schedule.window_at(between)
    assert window is None or window.start < moment
    assert schedule.next_start(between) == start


@given(SCHEDULES, MOMENTS, st.timedeltas(timedelta(days=-8), timedelta(days=8)))
@settings(max_examples=200, deadline=None)
def test_two_moments_are_in_the_same_window_if_it_has_both(
    schedule: Schedule, moment: datetime, away: timedelta
) -> None:
    other = moment + away
    window = schedule.window_at(moment)
    expected = window is not None and window.start <= other < window.end
    event(f"same window: {expected}")
    assert schedule.same_window(moment, other) is expected
    assert schedule.same_window(other, moment) is expected


@given(SCHEDULES, MOMENTS, st.integers(-14, 14))
@settings(max_examples=100, deadline=None)
def test_a_moment_is_the_same_in_every_zone(schedule: Schedule, moment: datetime, hours: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    assert schedule.window_at(elsewhere) == schedule.window_at(moment)
    assert schedule.next_start(elsewhere) == schedule.next_start(moment)


@given(TIMES, TIMES, ZONES, DAYS, MOMENTS)
@settings(max_examples=300, deadline=None)
def test_where_the_clocks_do_not_change_the_hours_are_what_the_clock_shows(
    start: time, end: time, zone: str, days: tuple[str, ...], moment: datetime
) -> None:
    local = moment.astimezone(ZoneInfo(zone))
    offsets = {(moment + hours * timedelta(hours=12)).astimezone(ZoneInfo(zone)).utcoffset() for hours in range(-5, 6)}
    assume(len(offsets) == 1)

    def begins(day: date) -> bool:
        return not days or WEEKDAYS[day.weekday()] in days

    clock, today, yesterday = local.time(), local.date(), local.date() - timedelta(days=1)
    if start < end:
        expected = begins(today) and start <= clock < end
    else:
        expected = (begins(today) and clock >= start) or (begins(yesterday) and clock < end)
    assert (Schedule.daily(start, end, zone, days=days).window_at(moment) is not None) is expected
