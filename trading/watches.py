"""Prices that open orders wait for, and which of them the market has come to."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from trading.events import PriceTouched
from trading.market import Bar, MarketData


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """An order waits for its symbol to trade at `below` or under, or at `above` or over."""

    order_id: str
    symbol: str
    number: int
    """Counts the order's watches in this symbol, from 1: the last one stands."""
    below: Decimal | None = None
    above: Decimal | None = None


Touch = tuple[Watch, PriceTouched]


def touched(watches: Iterable[Watch], data: MarketData) -> list[Touch]:
    """The watches that this tick or bar has come to, each with what its order is to be told.

    A bar has been at its low and at its high. A tick is where it has traded; without a trade, where one could: at the
    bid for `below`, at the ask for `above`, and at the other where there is only one of them. A price of 0 is none. One
    bar may have come to both prices of a watch, in an order that nobody knows: then `below` is told.
    """
    low, high = _range(data)
    found = []
    for watch in watches:
        if watch.symbol != data.symbol:
            continue
        if low and watch.below is not None and low <= watch.below:
            price = low
        elif high and watch.above is not None and high >= watch.above:
            price = high
        else:
            continue
        found.append((watch, PriceTouched(symbol=watch.symbol, watch=watch.number, price=price, at=data.ts)))
    return found


def _range(data: MarketData) -> tuple[Decimal | None, Decimal | None]:
    if isinstance(data, Bar):
        return data.low, data.high
    return data.last or data.bid or data.ask, data.last or data.ask or data.bid
