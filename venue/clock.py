"""The market's time."""

from datetime import UTC, datetime


class MarketClock:
    """The time that came with the last prices; where none came with them, the machine's.

    A replay says what time it is, so that two runs on the same data report the same times.
    """

    def __init__(self) -> None:
        self.replayed: datetime | None = None

    def now(self) -> datetime:
        return self.replayed or datetime.now(UTC)
