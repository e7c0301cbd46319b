"""FIX data types as text (FIX 4.4 volume 1, "FIX Field Data Types"): int, float, Boolean, UTCTimestamp."""

import re
from datetime import UTC, datetime
from decimal import Decimal

from fix.message import FieldError

_FLOAT = re.compile(r"-?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_TIMESTAMP = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?", re.ASCII)
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
    if not _INTEGER.fullmatch(text):
        raise FieldError(tag, text, "a whole number", reason=_BAD_FORMAT)
    return int(text)


def parse_boolean(tag: int, text: str) -> bool:
    """Y or N; raises `FieldError`."""
    if text not in ("Y", "N"):
        raise FieldError(tag, text, "Y or N", reason=_BAD_FORMAT)
    return text == "Y"


def format_timestamp(tag: int, at: datetime) -> str:
    """UTCTimestamp with milliseconds; raises `FieldError` for a time without a zone."""
    if at.utcoffset() is None:
        raise FieldError(tag, at.isoformat(), "a time with a time zone")
    utc = at.astimezone(UTC)
    # By hand: strftime takes several times as long, and every message carries one.
    return (
        f"{utc.year:04}{utc.month:02}{utc.day:02}-"
        f"{utc.hour:02}:{utc.minute:02}:{utc.second:02}.{utc.microsecond // 1000:03}"
    )


def parse_timestamp(tag: int, text: str) -> datetime:
    """UTCTimestamp, whole seconds or any fraction, kept to the microsecond; raises `FieldError`.

    A leap second (`:60`) is taken as the second before it, which is what the machine's clock shows then.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is not None:
        year, month, day, hour, minute, second = map(int, match.groups()[:6])
        fraction = int((match[7] or "0").ljust(6, "0")[:6])
        try:
            return datetime(year, month, day, hour, minute, 59 if second == 60 else second, fraction, UTC)
        except ValueError:
            pass
    raise FieldError(tag, text, "a UTC time such as 20131007-13:30:00.072", reason=_BAD_FORMAT)
