from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.message import FieldError
from fix.values import (
    format_decimal,
    format_timestamp,
    parse_boolean,
    parse_decimal,
    parse_integer,
    parse_timestamp,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("100", "100"),
        ("100.0", "100"),
        ("1E+2", "100"),
        ("1E-7", "0.0000001"),
        ("0.10", "0.1"),
        ("-0.00", "0"),
        ("0E+3", "0"),
        ("-12.50", "-12.5"),
        ("123456789012345678901234567890.12", "123456789012345678901234567890.12"),
    ],
)
def test_a_number_is_written_without_exponent_and_needless_zeros(value: str, text: str) -> None:
    assert format_decimal(44, Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_not_written(value: str) -> None:
    with pytest.raises(FieldError, match="tag 44"):
        format_decimal(44, Decimal(value))


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_comes_back_as_it_was(value: Decimal) -> None:
    assert parse_decimal(44, format_decimal(44, value)) == value


@pytest.mark.parametrize("text", ["1e5", "", ".", "-", "+1", "1,5", " 1", "1 ", "NaN", "٣", "1.2.3", "0x1", "1_0"])
def test_what_is_not_a_fix_float_is_refused(text: str) -> None:
    with pytest.raises(FieldError, match="tag 44") as caught:
        parse_decimal(44, text)
    assert caught.value.reason == 6


@pytest.mark.parametrize(("text", "value"), [("23.", "23"), (".5", "0.5"), ("00023.23", "23.23"), ("-7", "-7")])
def test_every_form_of_a_fix_float_is_read(text: str, value: str) -> None:
    assert parse_decimal(44, text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "1.0", "x", "٣", " 1", "9" * 30])
def test_what_is_not_a_whole_number_is_refused(text: str) -> None:
    with pytest.raises(FieldError, match="tag 36"):
        parse_integer(36, text)


def test_a_boolean_is_y_or_n() -> None:
    assert parse_boolean(43, "Y")
    assert not parse_boolean(43, "N")
    with pytest.raises(FieldError, match="Y or N"):
        parse_boolean(43, "y")


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    at = datetime(2013, 10, 7, 9, 30, 0, 72_999, timezone(timedelta(hours=-4)))
    assert format_timestamp(60, at) == "20131007-13:30:00.072"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(FieldError, match="time zone"):
        format_timestamp(60, datetime(2013, 10, 7))  # noqa: DTZ001 - the point of it


@pytest.mark.parametrize(
    ("text", "second", "microsecond"),
    [
        ("20131007-13:30:05", 5, 0),
        ("20131007-13:30:05.072", 5, 72_000),
        ("20131007-13:30:05.072123", 5, 72_123),
        ("20131007-13:30:05.072123999", 5, 72_123),
        ("20131007-13:30:60", 59, 0),
    ],
)
def test_a_time_is_read_at_any_precision(text: str, second: int, microsecond: int) -> None:
    assert parse_timestamp(60, text) == datetime(2013, 10, 7, 13, 30, second, microsecond, UTC)


@pytest.mark.parametrize(
    "text", ["", "20131007", "20131307-13:30:00", "20131007-24:30:00", "20131007-13:30", "2013-10-07T13:30:00Z"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(FieldError, match="a UTC time such as"):
        parse_timestamp(60, text)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_comes_back_to_the_millisecond(at: datetime) -> None:
    assert parse_timestamp(60, format_timestamp(60, at)) == at.replace(microsecond=at.microsecond // 1000 * 1000)
