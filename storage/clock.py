"""The market's clock, which order timers, deadlines and TransactTime (60) go by; and storage's, the same for all."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from storage.settings import Settings

PRECISION = timedelta(seconds=1)
"""Of `time_of`: by less than so much may it be later than that."""


class ClockError(Exception):
    """The file that MARKET_CLOCK names cannot be read, or holds no time."""


def market_now(settings: Settings) -> datetime:
    """The market's time, aware, in UTC: the system's, or in a replay the one in the file that MARKET_CLOCK names.

    Raises:
        ClockError: the file is not there or does not hold one ISO-8601 time with its zone.
    """
    if not settings.market_clock:
        return datetime.now(UTC)
    try:
        text = Path(settings.market_clock).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ClockError(f"MARKET_CLOCK={settings.market_clock}: cannot be read: {error}") from error
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ClockError(f"MARKET_CLOCK={settings.market_clock}: holds {text!r}, not an ISO-8601 time") from None
    if at.tzinfo is None:
        raise ClockError(f"MARKET_CLOCK={settings.market_clock}: holds {text!r}, a time without its zone")
    return at.astimezone(UTC)


def time_of(date_header: str | None) -> datetime | None:
    """What the clock of whoever answered says, by its `Date` header: whole seconds, rounded down."""
    try:
        return parsedate_to_datetime(date_header or "").astimezone(UTC)
    except ValueError:
        return None
