"""Crossover of two simple moving averages, worked out as prices come in.

All sums are of whole numbers (prices in halves of the finest unit seen), so a result never depends on how the prices
were cut into batches, nor on rounding.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from trading.market import Bar, MarketData
from trading.orders import OrderType, Side
from trading.specs import BracketSpec

FINEST_EXPONENT = -8
"""Prices are taken to eight decimals: more would be noise of the source, and would overflow 64-bit sums."""

Numbers = npt.NDArray[Any]


class SmaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`fast` and `slow` are numbers of prices, `notional` is an order's size in money, `valid_for` seconds."""

    fast: int
    slow: int
    notional: Decimal
    reward_ratio: Decimal
    """The take-profit's distance from the entry, in distances of the stop."""
    valid_for: int | None = None

    def __post_init__(self) -> None:
        if self.fast < 1:
            raise ValueError(f"fast: {self.fast}: must be at least 1")
        if self.slow <= self.fast:
            raise ValueError(f"slow: {self.slow}: must be more than fast ({self.fast})")
        if not self.notional.is_finite() or self.notional <= 0:
            raise ValueError(f"notional: {self.notional}: must be a number above 0")
        if not self.reward_ratio.is_finite() or self.reward_ratio <= 0:
            raise ValueError(f"reward_ratio: {self.reward_ratio}: must be a number above 0")


class SymbolState(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a symbol between batches."""

    exponent: int = 0
    """The finest exponent its prices have had: -2 for cents."""
    prices: list[int] = []
    """The last prices, at most `slow` of them, in halves of 10 ** exponent: a mid of two prices is a whole number."""
    side: int = 0
    """Where the fast average last was: 1 above the slow one, -1 below, 0 not known yet."""
    last_order_id: str = ""


class SmaState(msgspec.Struct, frozen=True, kw_only=True):
    """The strategy's memory, by symbol."""

    symbols: dict[str, SymbolState] = {}


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A bracket to place. `ts` is the time of the tick or bar that caused it; `received_at` when it reached us."""

    order_id: str
    spec: BracketSpec
    symbol: str
    ts: datetime
    received_at: datetime | None = None


class _Price(msgspec.Struct, frozen=True):
    """One usable price: its place in the batch, what it was, and what one would pay (`ask`) or get (`bid`)."""

    index: int
    ts: datetime
    bid: Decimal
    ask: Decimal


def on_batch(config: SmaConfig, state: SmaState, batch: Sequence[MarketData]) -> tuple[SmaState, list[Signal]]:
    """Take in prices in time order; the signals are in the order of the prices that caused them."""
    by_symbol: dict[str, list[_Price]] = {}
    for index, data in enumerate(batch):
        price = _usable_price(index, data)
        if price is not None:
            by_symbol.setdefault(data.symbol, []).append(price)
    symbols = dict(state.symbols)
    found: list[tuple[int, Signal]] = []
    for symbol, prices in by_symbol.items():
        symbols[symbol], signals = _on_prices(config, symbol, symbols.get(symbol, SymbolState()), prices)
        found.extend(signals)
    found.sort(key=lambda each: each[0])
    return SmaState(symbols=symbols), [signal for _, signal in found]


def _usable_price(index: int, data: MarketData) -> _Price | None:
    """The quote where both sides are there, else the print; None where there is no price above 0."""
    if isinstance(data, Bar):
        bid = ask = _to_finest(data.close)
    else:
        bid, ask, last = _to_finest(data.bid), _to_finest(data.ask), _to_finest(data.last)
        if bid is None or ask is None:
            bid = ask = last
    return _Price(index, data.ts, bid, ask) if bid is not None and ask is not None else None


def _to_finest(price: Decimal | None) -> Decimal | None:
    """The price to eight decimals at most; None where it is no price."""
    if price is None or not price.is_finite():
        return None
    if _exponent(price) < FINEST_EXPONENT:
        price = _rounded(price, Decimal(1).scaleb(FINEST_EXPONENT))
    return price if price > 0 else None


def _exponent(price: Decimal) -> int:
    exponent = price.as_tuple().exponent
    assert isinstance(exponent, int), f"{price} is no price"
    return exponent


def _on_prices(
    config: SmaConfig, symbol: str, state: SymbolState, prices: list[_Price]
) -> tuple[SymbolState, list[tuple[int, Signal]]]:
    """The signals with the places of their prices in the batch."""
    # A price's own exponent and those before it count for its signal, not what came later in the same batch.
    exponents = [min(_exponent(price.bid), _exponent(price.ask)) for price in prices]
    exponents = list(accumulate(exponents, min, initial=state.exponent))[1:]
    exponent = exponents[-1]
    known = [each * 10 ** (state.exponent - exponent) for each in state.prices]
    window = _numbers(
        config, [*known, *(int(price.bid.scaleb(-exponent)) + int(price.ask.scaleb(-exponent)) for price in prices)]
    )
    sides = _sides(config, window, state.side, len(prices))
    signals = []
    last_order_id = state.last_order_id
    for at in np.flatnonzero(sides[1:] * sides[:-1] < 0).tolist():
        price = prices[at]
        order_id = _order_id(symbol, price.ts)
        end = len(known) + at + 1
        movement = _range(window[end - config.slow : end], exponent)
        side = Side.BUY if sides[at + 1] > 0 else Side.SELL
        spec = _bracket(config, symbol, order_id, side, price, movement, Decimal(1).scaleb(exponents[at]))
        if spec is None or order_id == last_order_id:
            continue
        last_order_id = order_id
        signals.append((price.index, Signal(order_id=order_id, spec=spec, symbol=symbol, ts=price.ts)))
    last = [int(each) for each in window[-config.slow :]]
    return SymbolState(exponent=exponent, prices=last, side=int(sides[-1]), last_order_id=last_order_id), signals


def _numbers(config: SmaConfig, values: list[int]) -> Numbers:
    """Machine integers where all sums fit, Python's own where they do not."""
    largest = max(values) * max(len(values), config.fast * config.slow)
    return np.array(values, dtype=np.int64 if largest < 2**63 else object)


def _sides(config: SmaConfig, window: Numbers, side: int, count: int) -> Numbers:
    """Where the fast average is after each of the last `count` prices, the side before them first."""
    fast, slow = _last_sums(window, config.fast, count), _last_sums(window, config.slow, count)
    sides = np.sign(fast * config.slow - slow * config.fast)
    too_early = max(0, config.slow - 1 - (len(window) - count))
    sides[:too_early] = 0
    sides = np.concatenate(([side], sides)).astype(np.int64)
    # Averages that meet have not crossed yet: the side before them stays.
    last_known = np.maximum.accumulate(np.where(sides != 0, np.arange(len(sides)), 0))
    return np.asarray(sides[last_known])


def _last_sums(window: Numbers, length: int, count: int) -> Numbers:
    """The sum of the `length` prices that end at each of the last `count`; of fewer where there are no more yet."""
    sums = np.concatenate((np.zeros(length, dtype=np.int64), np.cumsum(window)))
    return np.asarray((sums[length:] - sums[:-length])[-count:])


def _range(window: Numbers, exponent: int) -> Decimal:
    """Highest less lowest, in money again."""
    return Decimal(int(window.max() - window.min())).scaleb(exponent) / 2


def _bracket(
    config: SmaConfig, symbol: str, order_id: str, side: Side, price: _Price, movement: Decimal, unit: Decimal
) -> BracketSpec | None:
    """The order, its prices in whole `unit`s; None where prices are too low to fit an exit below them."""
    entry = price.ask if side is Side.BUY else price.bid
    # A stop within the spread would be triggered by the very quote that the entry trades at.
    distance = max(movement, price.ask - price.bid + 2 * unit, 2 * unit)
    reward = max(distance * config.reward_ratio, unit)
    stop = max(unit, _rounded(entry - side.sign * distance, unit))
    take_profit = max(unit, _rounded(entry + side.sign * reward, unit))
    entry = _rounded(entry, unit)
    if not side.sign * stop < side.sign * entry < side.sign * take_profit:
        return None
    return BracketSpec(
        order_id=order_id,
        symbol=symbol,
        side=side,
        quantity=max(Decimal(1), config.notional // entry),
        entry_type=OrderType.LIMIT,
        entry_price=entry,
        stop_price=stop,
        take_profit_price=take_profit,
        valid_for=config.valid_for,
    )


def _rounded(price: Decimal, unit: Decimal) -> Decimal:
    return price.quantize(unit, ROUND_HALF_EVEN)


def _order_id(symbol: str, ts: datetime) -> str:
    """The same tick or bar gives the same id, however often it comes."""
    utc = ts.astimezone(UTC)
    return f"sma-{re.sub('[^A-Za-z0-9_-]', '_', symbol)}-{utc:%Y%m%dT%H%M%S}{utc.microsecond // 1000:03}Z"
