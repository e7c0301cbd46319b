"""FIX data types as text (FIX 4.4 volume 1, "FIX Field Data Types"): int, float, Boolean, UTCTimestamp."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from fix.message import FieldError

_FLOAT = re.compile(r"-?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_SECOND = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)", re.ASCII)
_BAD_FORMAT = 6
"""SessionRejectReason (373): incorrect data format for value."""


def format_decimal(tag: int, value: Decimal) -> str:
    """As few digits as say the number exactly, without an exponent; raises `FieldError` for what is not a number."""
    if not value.is_finite():
        raise FieldError(tag, value, "a finite number")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def parse_decimal(tag: int, text: str) -> Decimal:
    """A FIX float: digits with at most one point and a leading minus; raises `FieldError`."""
    if not _FLOAT.fullmatch(text):
        raise FieldError(tag, text, "a number such as 12.5, without exponent", reason=_BAD_FORMAT)
    return Decimal(text)


def parse_integer(tag: int, text: str) -> int:
    """A FIX int; raises `FieldError`."""
    if text.isdecimal() and text.isascii() and len(text) <= 18:
        return int(text)
    if not _INTEGER.fullmatch(text):
        raise FieldError(tag, text, "a whole number", reason=_BAD_FORMAT)
    return int(text)


def parse_boolean(tag: int, text: str) -> bool:
    """Y or N; raises `FieldError`."""
    if text not in ("Y", "N"):
        raise FieldError(tag, text, "Y or N", reason=_BAD_FORMAT)
    return text == "Y"


def format_timestamp(tag: int, at: datetime, digits: int = 3) -> str:
    """UTCTimestamp with so many digits of the second's fraction (0 to 6); raises `FieldError` without a zone."""
    if at.tzinfo is not UTC:
        if at.utcoffset() is None:
            raise FieldError(tag, at.isoformat(), "a time with a time zone")
        at = at.astimezone(UTC)
    second = _format_second(at.year, at.month, at.day, at.hour, at.minute, at.second)
    return f"{second}.{at.microsecond:06}"[: 18 + digits] if digits else second


@lru_cache(maxsize=64)
def _format_second(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:
    # Every message carries one or two times, most of them of the same second: so both ways are remembered.
    return f"{year:04}{month:02}{day:02}-{hour:02}:{minute:02}:{second:02}"


def parse_timestamp(tag: int, text: str) -> datetime:
    """UTCTimestamp, whole seconds or any fraction, kept to the microsecond; raises `FieldError`.

    A leap second (`:60`) is taken as the second before it, which is what the machine's clock shows then.
    """
    second, fraction = _parse_second(text[:17]), text[18:]
    if second is not None:
        if len(text) == 17:
            return second
        if text[17] == "." and fraction.isdecimal() and fraction.isascii() and len(fraction) <= 12:
            return second + timedelta(microseconds=int(fraction[:6].ljust(6, "0")))
    raise FieldError(tag, text, "a UTC time such as 20131007-13:30:00.072", reason=_BAD_FORMAT)


@lru_cache(maxsize=1024)
def _parse_second(text: str) -> datetime | None:
    match = _SECOND.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        return datetime(year, month, day, hour, minute, 59 if second == 60 else second, tzinfo=UTC)
    except ValueError:
        return None
