"""Turns prices into the steps of a replay. Pure.

A tick step is one timestamp. A bar becomes six steps of its day: the open, the range for stops, for limits, and once
more for the stops that came with what the limits filled, the close, and the end of the day, which only then gives the
bar to the strategy. So where a bar spans both exits of an order, the stop fills, also where the bar filled its entry.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from itertools import groupby

import msgspec

from trading.market import Bar, MarketData, Tick

OPEN = time(14, 30, tzinfo=UTC)
WITHIN = time(17, 45, tzinfo=UTC)
"""When the range between low and high is taken to be traded: the middle of the session."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of the replay: first the venue sees its prices, then the host gets the batch."""

    at: datetime
    prices: list[dict[str, object]]
    """The venue's price events (POST /prices)."""
    end_of_day: bool = False
    """DAY orders expire after these prices."""
    batch: list[MarketData]


def steps(prices: Iterable[MarketData]) -> Iterator[Step]:
    """The steps of prices in time order, all ticks or all bars."""
    days: datetime | None = None
    for ts, rows in groupby(prices, key=lambda price: price.ts):
        batch = list(rows)
        if isinstance(batch[0], Bar):
            yield from _bar_steps(ts, [bar for bar in batch if isinstance(bar, Bar)])
            continue
        if days is not None and days.date() != ts.date():
            yield Step(at=days, prices=[], end_of_day=True, batch=[])
        days = ts
        ticks = [tick for tick in batch if isinstance(tick, Tick)]
        yield Step(at=ts, prices=[event for tick in ticks for event in _tick_events(tick)], batch=batch)


def _tick_events(tick: Tick) -> Iterator[dict[str, object]]:
    # A trade replaces an older touch, and a quote of the same row is not older.
    if tick.last is not None:
        yield {"kind": "trade", "symbol": tick.symbol, "price": str(tick.last), "size": _text(tick.last_size)}
    if tick.bid is not None or tick.ask is not None:
        yield {
            "kind": "quote",
            "symbol": tick.symbol,
            "bid": _text(tick.bid),
            "ask": _text(tick.ask),
            "bid_size": _text(tick.bid_size),
            "ask_size": _text(tick.ask_size),
        }


def _bar_steps(close: datetime, bars: list[Bar]) -> Iterator[Step]:
    day = close.date()
    within = datetime.combine(day, WITHIN)
    yield Step(at=datetime.combine(day, OPEN), prices=[_trade(bar.symbol, bar.open) for bar in bars], batch=[])
    for only in ("stops", "limits", "stops"):
        yield Step(
            at=within,
            prices=[
                {"kind": "range", "symbol": bar.symbol, "low": str(bar.low), "high": str(bar.high), "only": only}
                for bar in bars
            ],
            batch=[],
        )
    yield Step(at=close, prices=[_trade(bar.symbol, bar.close) for bar in bars], batch=[])
    closing: list[dict[str, object]] = [{"kind": "close", "symbol": bar.symbol} for bar in bars]
    yield Step(at=close, prices=closing, end_of_day=True, batch=list(bars))


def _trade(symbol: str, price: Decimal) -> dict[str, object]:
    return {"kind": "trade", "symbol": symbol, "price": str(price), "size": None}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
