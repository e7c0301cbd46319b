"""The crossover strategy: what it signals, and that batching does not matter."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.market import Bar, MarketData, Tick
from trading.orders import OrderType, Side
from trading.signals.sma import Signal, SmaConfig, SmaState, on_batch
from trading.specs import check

START = datetime(2013, 10, 7, 13, 30, 0, 72000, tzinfo=UTC)
CONFIG = SmaConfig(fast=2, slow=4, notional=Decimal(100_000), reward_ratio=Decimal(2), valid_for=60)


def quote(seconds: float, bid: str | None, ask: str | None, symbol: str = "IBM", last: str | None = None) -> Tick:
    return Tick(
        ts=START + timedelta(seconds=seconds),
        symbol=symbol,
        bid=None if bid is None else Decimal(bid),
        ask=None if ask is None else Decimal(ask),
        last=None if last is None else Decimal(last),
    )


def trades(*prices: str) -> list[MarketData]:
    return [quote(number, None, None, last=price) for number, price in enumerate(prices)]


def signals_of(batch: Sequence[MarketData], config: SmaConfig = CONFIG) -> list[Signal]:
    return on_batch(config, SmaState(), batch)[1]


def test_crossing_up_buys_at_the_ask() -> None:
    batch = [
        *trades("10.00", "9.90", "9.80", "9.70"),
        quote(4, "10.18", "10.20"),
    ]
    [signal] = signals_of(batch)
    assert signal.order_id == "sma-IBM-20131007T133004072Z"
    assert signal.ts == START + timedelta(seconds=4)
    spec = signal.spec
    assert (spec.order_id, spec.symbol, spec.side, spec.valid_for) == (signal.order_id, "IBM", Side.BUY, 60)
    assert (spec.entry_type, spec.entry_price) == (OrderType.LIMIT, Decimal("10.20"))
    # The slow window is 9.90, 9.80, 9.70 and the mid 10.19: it moved 0.49.
    assert (spec.stop_price, spec.take_profit_price) == (Decimal("9.71"), Decimal("11.18"))
    assert spec.quantity == 9803


def test_crossing_down_sells_at_the_bid() -> None:
    [signal] = signals_of([*trades("10.00", "10.10", "10.20", "10.30"), quote(4, "9.80", "9.82")])
    spec = signal.spec
    assert (spec.side, spec.entry_price) == (Side.SELL, Decimal("9.80"))
    # From 10.30 down to the mid of 9.81.
    assert (spec.stop_price, spec.take_profit_price) == (Decimal("10.29"), Decimal("8.82"))


def test_the_first_side_is_no_crossing() -> None:
    assert signals_of(trades("10", "11", "12", "13", "14")) == []


def test_averages_that_only_meet_have_not_crossed() -> None:
    falling = trades("10", "9", "8", "7")
    assert signals_of([*falling, *trades("7", "7", "7", "7")]) == []
    assert [each.spec.side for each in signals_of(trades("10", "9", "8", "7", "7", "7", "7", "8"))] == [Side.BUY]


def test_a_constant_price_is_no_signal() -> None:
    assert signals_of(trades(*["1.38727"] * 50)) == []


def test_a_bar_is_its_close() -> None:
    bars = [
        Bar(
            ts=START + timedelta(days=day),
            symbol="SPY",
            open=Decimal(1),
            high=Decimal(99),
            low=Decimal(1),
            close=Decimal(close),
        )
        for day, close in enumerate(["10.0", "9.9", "9.8", "9.7", "10.5"])
    ]
    [signal] = signals_of(bars)
    assert signal.order_id == "sma-SPY-20131011T133000072Z"
    assert signal.spec.entry_price == Decimal("10.5")


@pytest.mark.parametrize(
    "useless",
    [
        quote(4, None, None),
        quote(4, "10", None),
        quote(4, "NaN", "Infinity"),
        quote(4, "0", "11"),
        quote(4, None, None, last="-1"),
        quote(4, None, None, last="0.000000001"),
    ],
)
def test_what_is_no_price_is_passed_over(useless: Tick) -> None:
    before = trades("10", "9", "8", "7")
    after = [quote(5, "10", "10")]
    assert signals_of([*before, useless, *after]) == signals_of([*before, *after])


def test_a_stop_lies_beyond_the_spread() -> None:
    wide = [quote(number, "10.00", "10.20") for number in (1, 2, 3)]
    [signal] = signals_of([*trades("10.11"), *wide, quote(4, "10.01", "10.20")])
    assert signal.spec.side is Side.BUY
    assert signal.spec.stop_price == Decimal("9.99")


def test_prices_are_given_to_the_finest_exponent_seen_so_far() -> None:
    batch = [*trades("10", "9.9", "9.85", "9.7", "10.5"), *trades("10.123456")]
    [signal] = signals_of(batch)
    assert str(signal.spec.entry_price) == "10.50"


def test_an_order_is_for_at_least_one() -> None:
    config = msgspec.structs.replace(CONFIG, notional=Decimal(5))
    [signal] = signals_of(trades("10.0", "9.9", "9.8", "9.7", "10.5"), config)
    assert signal.spec.quantity == 1


def test_there_is_one_signal_for_a_symbol_and_a_time() -> None:
    prices = ["10.0", "9.9", "9.8", "9.7", "10.5", "5.0", "20.0"]
    batch = [quote(0, None, None, last=price) for price in prices]
    [signal] = signals_of(batch)
    state, signals = SmaState(), []
    for each in batch:
        state, found = on_batch(CONFIG, state, [each])
        signals.extend(found)
    assert signals == [signal]


def test_symbols_do_not_mix_and_signals_keep_the_order_of_their_prices() -> None:
    one = trades("10.0", "9.9", "9.8", "9.7", "10.5")
    other = [msgspec.structs.replace(each, symbol="A/B") for each in one]
    mixed = [each for pair in zip(other, one, strict=True) for each in pair]
    assert [each.order_id for each in signals_of(mixed)] == [
        "sma-A_B-20131007T133004072Z",
        "sma-IBM-20131007T133004072Z",
    ]


def test_prices_too_large_for_machine_integers_are_summed_all_the_same() -> None:
    small = signals_of(trades("10.0", "9.9", "9.8", "9.7", "10.5"))
    large = signals_of(trades(*(f"{price}0000000000000.12345678" for price in (10, 9, 8, 7, 11))))
    assert len(small) == len(large) == 1


def test_prices_too_low_for_a_stop_are_no_signal() -> None:
    assert signals_of(trades("0.05", "0.04", "0.03", "0.02", "0.01", "0.06")) != []
    assert signals_of(trades("4", "3", "2", "1", "1", "1", "1", "2"), msgspec.structs.replace(CONFIG, slow=3)) != []
    low = [quote(0, "3", "3"), quote(1, "3", "3"), quote(2, "4", "4"), quote(3, "4", "4"), quote(4, "1", "1")]
    assert signals_of(low) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("fast", 0), ("slow", 2), ("notional", Decimal(0)), ("reward_ratio", Decimal(-1)), ("notional", Decimal("NaN"))],
)
def test_a_wrong_setting_is_named(field: str, value: int | Decimal) -> None:
    settings: dict[str, Any] = {"fast": 2, "slow": 4, "notional": Decimal(1), "reward_ratio": Decimal(1)}
    settings[field] = value
    with pytest.raises(ValueError, match=f"{field}: {value}: must be"):
        SmaConfig(**settings)


PRICES = st.one_of(
    st.integers(1, 300).map(lambda cents: Decimal(cents) / 100),
    st.integers(1, 20).map(Decimal),
    st.decimals("0.0001", 9, places=5).filter(lambda price: price > 0),
)


@st.composite
def market_data(draw: st.DrawFn) -> MarketData:
    symbol = draw(st.sampled_from(["IBM", "MSFT"]))
    ts = START + timedelta(milliseconds=draw(st.integers(0, 40)))
    price, spread = draw(PRICES), draw(st.integers(0, 3))
    kind = draw(st.sampled_from(["quote", "trade", "bar", "empty"]))
    if kind == "quote":
        return Tick(ts=ts, symbol=symbol, bid=price, ask=price + Decimal(spread) / 100)
    if kind == "trade":
        return Tick(ts=ts, symbol=symbol, last=price)
    if kind == "bar":
        return Bar(ts=ts, symbol=symbol, open=price, high=price, low=price, close=price)
    return Tick(ts=ts, symbol=symbol, bid=price)


DATA = st.lists(market_data(), max_size=60).map(lambda data: sorted(data, key=lambda each: each.ts))
CONFIGS = st.tuples(st.integers(1, 4), st.integers(1, 5)).map(
    lambda each: msgspec.structs.replace(CONFIG, fast=each[0], slow=each[0] + each[1])
)


@settings(max_examples=200, deadline=None)
@given(DATA, CONFIGS, st.lists(st.integers(0, 60), max_size=10))
def test_the_same_prices_give_the_same_signals_however_they_are_cut(
    data: list[MarketData], config: SmaConfig, cuts: list[int]
) -> None:
    whole_state, whole = on_batch(config, SmaState(), data)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    state, signals = SmaState(), []
    for begin, end in pairwise(edges):
        state = msgspec.json.decode(msgspec.json.encode(state), type=SmaState)
        state, found = on_batch(config, state, data[begin:end])
        signals.extend(found)
    assert signals == whole
    assert state == whole_state


@settings(max_examples=200, deadline=None)
@given(DATA, CONFIGS)
def test_every_signal_is_an_order_that_can_be_placed(data: list[MarketData], config: SmaConfig) -> None:
    signals = signals_of(data, config)
    for signal in signals:
        check(signal.spec)
        assert signal.spec.quantity == int(signal.spec.quantity)
    assert len({each.order_id for each in signals}) == len(signals)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(10_000, 10_020).map(lambda cents: Decimal(cents) / 100), max_size=40), CONFIGS)
def test_it_crosses_where_a_plain_calculation_does(prices: list[Decimal], config: SmaConfig) -> None:
    def average(end: int, length: int) -> Fraction:
        return sum((Fraction(price) for price in prices[end - length : end]), Fraction(0)) / length

    crossings, side = [], 0
    for end in range(config.slow, len(prices) + 1):
        difference = average(end, config.fast) - average(end, config.slow)
        now = (difference > 0) - (difference < 0) or side
        if now * side < 0:
            crossings.append((START + timedelta(seconds=end - 1), Side.BUY if now > 0 else Side.SELL))
        side = now
    signals = signals_of(trades(*map(str, prices)), config)
    assert [(each.ts, each.spec.side) for each in signals] == crossings
