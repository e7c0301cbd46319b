"""NCRONTAB schedules."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.schedules import ScheduleError, parse


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 */5 * * * *", "2026-01-05T14:32:10", "2026-01-05T14:35:00"),
        ("*/5 * * * *", "2026-01-05T14:32:10", "2026-01-05T14:35:00"),
        ("*/15 * * * * *", "2026-01-05T14:32:45.5", "2026-01-05T14:33:00"),
        ("30 30 9 * * Mon-Fri", "2026-01-02T09:30:30", "2026-01-05T09:30:30"),
        ("0 0 0 1 jan *", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("0 0 12 29 2 *", "2026-01-01T00:00:00", "2028-02-29T12:00:00"),
        ("0 0 8,20 * * 0", "2026-01-03T00:00:00", "2026-01-04T08:00:00"),
        ("0 0 8 * * 7", "2026-01-03T00:00:00", "2026-01-04T08:00:00"),
        ("0 10-20/5 * * * *", "2026-01-05T14:16:00", "2026-01-05T14:20:00"),
        ("5/20 * * * * *", "2026-01-05T14:16:06", "2026-01-05T14:16:25"),
    ],
)
def test_the_next_time_of_a_schedule(expression: str, after: str, expected: str) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert parse(expression).next(moment) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("* * *", "six fields"),
        ("60 * * * * *", "second field of the schedule must be 0 to 59"),
        ("0 0 0 0 * *", "day field"),
        ("0 0 0 * smarch *", "month field"),
        ("0 5-1 * * * *", "goes backwards"),
        ("0 */0 * * * *", "the step must be 1 or more"),
    ],
)
def test_a_wrong_schedule_says_what_is_wrong(expression: str, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        parse(expression)


def test_a_schedule_without_any_time_is_found_out() -> None:
    with pytest.raises(ScheduleError, match="no time within"):
        parse("0 0 0 30 2 *").next(datetime(2026, 1, 1, tzinfo=UTC))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_each_time_is_behind_the_one_before_and_fits(moment: datetime) -> None:
    schedule = parse("*/20 */7 3-5 * * 1,3")
    following = schedule.next(moment)
    assert following > moment
    assert following.second % 20 == 0
    assert following.minute % 7 == 0
    assert following.hour in (3, 4, 5)
    assert following.isoweekday() in (1, 3)
