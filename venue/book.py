"""The order book of one symbol: price-time priority, against the replayed touch and between orders.

The touch is the last known bid and ask, each side until it is told anew. Its known size is used up by trades until the
next touch, an unknown size never is. An arriving order trades at the touch's price or at a resting order's limit,
whichever is better for it, the touch first where they are equal. A resting limit order trades at its own limit when the
touch reaches it. At the first touch after a close all that can trade do so at that touch's price, as in an opening
auction.

A stop is triggered by the touch on the side it would trade against and is a market order from then on. A market order
that finds nobody waits for the next touch. Orders of one session do not trade with each other.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import NamedTuple

from venue.orders import Fill, Order, Side

Match = tuple[Fill] | tuple[Fill, Fill]
"""A trade: one fill against the touch or a range, two between orders (the resting order's first)."""
_Rank = tuple[int, Decimal, int]


@dataclass(slots=True)
class Liquidity:
    """One side of the touch. `size` None: unlimited."""

    price: Decimal
    size: Decimal | None = None

    @property
    def is_left(self) -> bool:
        return self.size is None or self.size > 0

    def take(self, wanted: Decimal) -> Decimal:
        """As much of `wanted` as there is; what is taken is gone."""
        if self.size is None:
            return wanted
        taken = min(wanted, self.size)
        self.size -= taken
        return taken


class _Bar(NamedTuple):
    """The range whose stops were looked at, and the last order that had arrived by then."""

    low: Decimal
    high: Decimal
    last_priority: int


class Book:
    """Working orders of one symbol and the touch they trade against."""

    def __init__(self) -> None:
        self.is_closed = False
        self._touch: dict[Side, Liquidity] = {}  # by the side of the order that trades against it: BUY the ask
        self._resting: dict[Side, list[Order]] = {side: [] for side in Side}
        self._stops: dict[Side, list[Order]] = {side: [] for side in Side}
        self._last_priority = 0
        self._bar: _Bar | None = None

    # ---- orders

    def take(self, order: Order) -> list[Match]:
        """Let an arriving order trade what it can at once. What is left is not in the book: see `rest`."""
        order.priority = self._next_priority()
        if self.is_closed:
            return []
        if order.waits_for_trigger:
            if not self._is_triggered(order):
                return []
            order.is_triggered = True
        return self._trade_arriving(order)

    def rest(self, order: Order) -> None:
        """Keep what is left of an order after `take`."""
        order.is_queued = self.is_closed and not order.waits_for_trigger
        self._insert(order)

    def remove(self, order: Order) -> None:
        orders, rank = self._place(order)
        del orders[bisect_left(orders, rank(order), key=rank)]

    def can_fill(self, order: Order) -> bool:
        """Whether an arriving order could trade its whole quantity at once (fill or kill)."""
        if self.is_closed:
            return False
        touch = self._reached_touch(order)
        if touch is not None and touch.size is None:
            return True
        others = [other for other in self._resting[order.side.opposite] if other.session != order.session]
        limits = [
            other for other in others if other.limit_price and order.side.accepts(other.limit_price, order.limit_price)
        ]
        markets = [other for other in others if other.limit_price is None]
        if order.limit_price is None and not limits:
            markets = []
        offered = sum((other.leaves_quantity for other in limits + markets), start=Decimal(0))
        if touch is not None and touch.size is not None:
            offered += touch.size
        return offered >= order.leaves_quantity

    # ---- prices

    def set_touch(self, *, bid: Liquidity | None, ask: Liquidity | None) -> list[Match]:
        """A new touch; a side that is None is not known anew and stays as it was. Opens the symbol if it was closed."""
        was_closed, self.is_closed = self.is_closed, False
        self._bar = None
        self._touch |= {side: liquidity for side, liquidity in ((Side.BUY, ask), (Side.SELL, bid)) if liquidity}
        triggered = self._trigger_stops()
        matches = [match for side in Side for match in self._trade_resting(side, at_touch=was_closed)]
        if was_closed:
            matches += self._cross_queued()
        for order in triggered:
            matches += self._trade_arriving(order)
            if order.is_working:
                self._insert(order)
        return matches

    def close(self) -> None:
        """No touch, no trades until the next touch."""
        self.is_closed = True
        self._touch = {}

    def range_stops(self, low: Decimal, high: Decimal) -> list[Match]:
        """The price moved through [low, high]: fill the stops it reached at their stop price.

        A stop that the whole range lies beyond gets the nearest price of the range. The touch of before is gone: nobody
        knows where in the bar the market is, and what arrives now waits for the next touch.
        """
        if self.is_closed:
            return []
        self._touch = {}
        self._bar = _Bar(low, high, self._last_priority)
        reached = [order for order in self._stops[Side.SELL] if _stop(order) >= low]
        reached += [order for order in self._stops[Side.BUY] if _stop(order) <= high]
        matches: list[Match] = []
        for order in sorted(reached, key=_priority):
            self.remove(order)
            order.is_triggered = True
            price = min(_stop(order), high) if order.side is Side.SELL else max(_stop(order), low)
            matches.append((order.fill(order.leaves_quantity, price),))
        return matches

    def range_limits(self, low: Decimal, high: Decimal) -> list[Match]:
        """The price moved through [low, high]: fill the limit orders it reached at their limit.

        After `range_stops` of the same range only those that had arrived before it: within a bar nobody knows what came
        first, and an order whose stop could not trade in it must not have its take-profit trade in it.
        """
        if self.is_closed:
            return []
        self._touch = {}
        is_same_bar = self._bar is not None and (self._bar.low, self._bar.high) == (low, high)
        arrived_by = self._bar.last_priority if self._bar is not None and is_same_bar else self._last_priority
        matches: list[Match] = []
        for side, best in ((Side.BUY, low), (Side.SELL, high)):
            for order in self._resting[side].copy():
                limit = order.limit_price
                if limit is None or order.priority > arrived_by:
                    continue
                if not side.accepts(best, limit):
                    break
                self.remove(order)
                matches.append((order.fill(order.leaves_quantity, limit),))
        return matches

    # ---- matching

    def _trade_arriving(self, order: Order) -> list[Match]:
        matches: list[Match] = []
        while order.leaves_quantity > 0:
            touch = self._reached_touch(order)
            other, price = self._counterparty(order)
            if touch is not None and (other is None or not order.side.prefers(price, touch.price)):
                matches.append((order.fill(touch.take(order.leaves_quantity), touch.price),))
            elif other is not None:
                quantity = min(order.leaves_quantity, other.leaves_quantity)
                matches.append((other.fill(quantity, price), order.fill(quantity, price)))
                if not other.is_working:
                    self.remove(other)
            else:
                break
        return matches

    def _counterparty(self, order: Order) -> tuple[Order | None, Decimal]:
        """The resting order that an arriving order trades with next, and the price.

        A resting market order comes first, at the best limit there is: the next resting order's, else the arriving
        order's own. Two market orders alone have no price to trade at.
        """
        market: Order | None = None
        for other in self._resting[order.side.opposite]:
            if other.session == order.session:
                continue
            if other.limit_price is None:
                market = market or other
            elif order.side.accepts(other.limit_price, order.limit_price):
                return market or other, other.limit_price
            else:
                break
        if market is not None and order.limit_price is not None:
            return market, order.limit_price
        return None, Decimal(0)

    def _trade_resting(self, side: Side, *, at_touch: bool) -> list[Match]:
        """Let resting orders of one side trade against the touch: each at its own limit, or all `at_touch`."""
        matches: list[Match] = []
        while self._resting[side]:
            order = self._resting[side][0]
            touch = self._reached_touch(order)
            if touch is None:
                break
            price = touch.price if order.limit_price is None or at_touch else order.limit_price
            matches.append((order.fill(touch.take(order.leaves_quantity), price),))
            if not order.is_working:
                del self._resting[side][0]
        return matches

    def _cross_queued(self) -> list[Match]:
        """Let the orders that came in with an opening touch trade with those of other sessions."""
        queued = [order for order in chain(*self._resting.values()) if order.is_queued]
        for order in queued:
            order.is_queued = False
        matches: list[Match] = []
        for order in sorted(queued, key=_priority):
            if order.is_working:
                self.remove(order)
                matches += self._trade_arriving(order)
            if order.is_working:
                self._insert(order)
        return matches

    def _trigger_stops(self) -> list[Order]:
        """Take the stops that the touch reaches out of the book: they arrive as market orders, best stop first."""
        triggered: list[Order] = []
        for stops in self._stops.values():
            while stops and self._is_triggered(stops[0]):
                order = stops.pop(0)
                order.is_triggered = True
                order.priority = self._next_priority()
                triggered.append(order)
        return triggered

    def _is_triggered(self, order: Order) -> bool:
        touch = self._touch.get(order.side)
        return touch is not None and order.side.opposite.accepts(touch.price, _stop(order))

    def _reached_touch(self, order: Order) -> Liquidity | None:
        """The touch if the order may trade against it and there is anything left of it."""
        touch = self._touch.get(order.side)
        if touch is None or not touch.is_left or not order.side.accepts(touch.price, order.limit_price):
            return None
        return touch

    # ---- order of the book

    def _insert(self, order: Order) -> None:
        orders, rank = self._place(order)
        insort(orders, order, key=rank)

    def _place(self, order: Order) -> tuple[list[Order], Callable[[Order], _Rank]]:
        if order.waits_for_trigger:
            return self._stops[order.side], _trigger_rank
        return self._resting[order.side], _trade_rank

    def _next_priority(self) -> int:
        self._last_priority += 1
        return self._last_priority


def _stop(order: Order) -> Decimal:
    if order.stop_price is None:
        raise ValueError(f"{order.cl_ord_id}: a stop order without a stop price")
    return order.stop_price


def _priority(order: Order) -> int:
    return order.priority


def _trade_rank(order: Order) -> _Rank:
    """Market orders, then the best limit, then the earliest."""
    if order.limit_price is None:
        return 0, Decimal(0), order.priority
    return 1, -order.limit_price * order.side.sign, order.priority


def _trigger_rank(order: Order) -> _Rank:
    """The stop that the price reaches first, then the earliest."""
    return 0, _stop(order) * order.side.sign, order.priority
