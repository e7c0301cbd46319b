"""What an order is, in the terms of FIX: side, type, time in force, status."""

from enum import StrEnum


class Side(StrEnum):
    """Side (54)."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for what adds to a position, -1 for what takes from it."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """OrdType (40)."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"


class TimeInForce(StrEnum):
    """TimeInForce (59)."""

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
