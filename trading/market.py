"""Market data as it comes in: the JSON body of one event of the hub is one `Tick` or one `Bar`."""

from datetime import datetime
from decimal import Decimal

import msgspec


class Tick(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="tick"):
    """A quote, a trade, or both. What the source did not say is None; `ts` is the exchange's time, UTC."""

    ts: datetime
    symbol: str
    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None
    last_size: Decimal | None = None


class Bar(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="bar"):
    """A period's prices. `ts` is the period's end, UTC: nothing in a bar is known before it."""

    ts: datetime
    symbol: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None = None


MarketData = Tick | Bar
