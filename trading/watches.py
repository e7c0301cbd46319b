"""Prices that open orders wait for, and what orders are told of the market when it has come to one.

Nothing between two watches of an order is lost: a watch that was touched goes on collecting where the market turns, and
the next one begins with that.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

import msgspec
from msgspec.structs import replace

from trading.events import PriceTouched
from trading.market import Bar, MarketData
from trading.messages import Numbered
from trading.orders import Side

MOST_TURNS = 50
"""Of the market, that are kept for an order: those of the largest swings."""


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the hub, and when it came, by the market's clock: None where nothing says."""

    message: Numbered
    at: datetime | None = None


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """An order waits for its symbol to trade at `below` or under, or at `above` or over."""

    order_id: str
    symbol: str
    number: int
    """Counts the order's watches in this symbol, from 1: the last one stands."""
    below: Decimal | None = None
    above: Decimal | None = None
    side: Side | None = None
    """Of the exit that waits: it says which prices count (`prices_for`). None where entries wait."""
    begins: datetime | None = None
    """By the market's clock: what came before has nothing to say. None, of rows of before, lets all of it count."""
    before: "Watch | None" = None
    """The one whose place it took untouched: what comes late, of before this one began, was for that one."""
    told: PriceTouched | None = None
    """What its order was told. From then on it only collects for the order's next one."""
    since: tuple[Decimal, ...] = ()
    """Where the market turned that the order has not been told yet."""
    seen: dict[str, int] = {}
    """The last message that is in `told` or `since`, by partition: it may come again."""

    @property
    def waits(self) -> bool:
        """Whether it has prices: one without only keeps its number, against an older one that is written late."""
        return self.below is not None or self.above is not None

    def is_touched_at(self, price: Decimal) -> bool:
        return (self.below is not None and price <= self.below) or (self.above is not None and price >= self.above)


def judged(watch: Watch, partition: str, arrivals: Sequence[Arrival]) -> tuple[Watch, PriceTouched | None]:
    """The watch after messages of its symbol, the very same if nothing is new; and what its order is to be told.

    What came before the watch began does not count, unless it touches also the one that it took the place of; what came
    in that very moment does. The order is told again where the messages come again, since nobody knows whether it was.
    """
    last = watch.seen.get(partition, -1)
    fresh = [arrival for arrival in arrivals if arrival.message.number > last]
    watch = _begun(watch, fresh)
    counting = [arrival.message.data for arrival in fresh if _counts(arrival, watch)]
    path = [*watch.since, *(price for data in counting for price in prices_for(watch, data))]
    newest = arrivals[-1].message
    seen = {**watch.seen, partition: newest.number}
    if watch.told is not None:
        since = turning_points(path)
        after = watch if since == watch.since else replace(watch, since=since, seen=seen)
        return after, watch.told if len(fresh) < len(arrivals) else None
    first = next((number for number, price in enumerate(path) if watch.is_touched_at(price)), None)
    if first is None:
        # What was kept for it has been judged: it is not for a watch that is put in its place later.
        return replace(watch, since=()) if watch.since else watch, None
    price, *then = turning_points(path[first:])
    touch = PriceTouched(symbol=watch.symbol, watch=watch.number, price=price, then=tuple(then), at=newest.data.ts)
    return replace(watch, told=touch, since=(), seen=seen), touch


def succeeding(watch: Watch, before: Watch, *, was_heard: bool) -> Watch:
    """The watch in the place of the one before.

    After one that was touched, or that has yet to judge what was kept for it, it begins where that one ended: with what
    the order has not heard of the market. After any other it begins by itself.
    """
    if not watch.waits:
        return watch
    # Where it is of another side, other prices count for it.
    if watch.side is not before.side:
        return replace(watch, seen=before.seen)
    if before.told is None and not before.since:
        return replace(watch, seen=before.seen, before=replace(before, before=None) if watch.begins else None)
    unheard = before.told.prices if before.told is not None and not was_heard else ()
    since = turning_points([*unheard, *before.since])
    return replace(watch, begins=before.begins, since=since, seen=before.seen)


def _begun(watch: Watch, fresh: Iterable[Arrival]) -> Watch:
    """The watch itself; where something has come late that touches it and the one before it, as it stands from then."""
    before = watch.before
    if before is None or watch.told is not None:
        return watch
    for arrival in fresh:
        if _counts(arrival, before) and not _counts(arrival, watch):
            prices = prices_for(watch, arrival.message.data)
            if any(watch.is_touched_at(price) and before.is_touched_at(price) for price in prices):
                return replace(watch, begins=arrival.at, before=None)
    return watch


def _counts(arrival: Arrival, watch: Watch) -> bool:
    return arrival.at is None or watch.begins is None or arrival.at >= watch.begins


def prices_for(watch: Watch, data: MarketData) -> list[Decimal]:
    """The prices of a tick or a bar that count for a watch, one after another. A price of 0 is none.

    - A trade is where the market is. Without one, an exit is judged by the quote at which it would trade; where that
      is missing, the other one counts if it shows that the stop's side is reached. Entries are judged by both
      quotes: the bid is what has to fall to `below`, the ask what has to rise to `above`.
    - A bar was at its open first and at its close last. In between, what hurts an exit comes first: the low where
      it sells, the high where it buys.
    """
    found: list[Decimal | None]
    if isinstance(data, Bar):
        middle = (data.high, data.low) if watch.side is Side.BUY else (data.low, data.high)
        found = [data.open, *middle, data.close]
    elif data.last:
        found = [data.last]
    elif watch.side is None:
        found = [data.bid, data.ask]
    else:
        own, other = (data.bid, data.ask) if watch.side is Side.SELL else (data.ask, data.bid)
        stop = watch.below if watch.side is Side.SELL else watch.above
        hurts = other and stop is not None and watch.side.sign * (other - stop) >= 0
        found = [own or (other if hurts else None)]
    return [price for price in found if price]


def turning_points(path: Iterable[Decimal]) -> tuple[Decimal, ...]:
    """Where a path of prices begins, turns and ends. Of too many turns the smallest swings are left out."""
    turns: list[Decimal] = []
    for price in path:
        if turns and price == turns[-1]:
            continue
        if len(turns) > 1 and (turns[-1] > turns[-2]) is (price > turns[-1]):
            turns[-1] = price
        else:
            turns.append(price)
        if len(turns) > MOST_TURNS:
            _leave_out_smallest_swing(turns)
    return tuple(turns)


def _leave_out_smallest_swing(turns: list[Decimal]) -> None:
    swings = [abs(after - before) for before, after in pairwise(turns)]
    smallest = swings.index(min(swings))
    if smallest == 0:
        del turns[0]
    elif smallest == len(swings) - 1:
        del turns[-1]
    else:
        del turns[smallest : smallest + 2]
