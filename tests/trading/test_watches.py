"""Which of the prices that are waited for the market has come to."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.events import PriceTouched
from trading.market import Bar, MarketData, Tick
from trading.watches import Watch, touched

AT = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
PRICES = st.one_of(st.none(), st.integers(0, 20).map(Decimal))
TICKS = st.builds(Tick, ts=st.just(AT), symbol=st.just("IBM"), bid=PRICES, ask=PRICES, last=PRICES)


def watch(below: Decimal | int | None = None, above: Decimal | int | None = None, symbol: str = "IBM") -> Watch:
    prices = {"below": below, "above": above}
    given_prices = {name: None if price is None else Decimal(price) for name, price in prices.items()}
    return Watch(order_id="o", symbol=symbol, number=3, **given_prices)


def tick(last: int | None = None, bid: int | None = None, ask: int | None = None) -> Tick:
    def price(value: int | None) -> Decimal | None:
        return None if value is None else Decimal(value)

    return Tick(ts=AT, symbol="IBM", last=price(last), bid=price(bid), ask=price(ask))


def bar(low: int, high: int) -> Bar:
    middle = Decimal(low + high) / 2
    return Bar(ts=AT, symbol="IBM", open=middle, high=Decimal(high), low=Decimal(low), close=middle)


@pytest.mark.parametrize(
    ("data", "waiting", "price"),
    [
        (tick(last=95), watch(below=95), 95),
        (tick(last=96), watch(below=95), None),
        (tick(last=105), watch(above=105), 105),
        (tick(last=104), watch(above=105), None),
        (tick(last=96, bid=94, ask=106), watch(below=95, above=105), None),  # where it trades goes before quotes
        (tick(bid=95, ask=97), watch(below=95), 95),
        (tick(bid=96, ask=97), watch(below=95), None),
        (tick(bid=104, ask=105), watch(above=105), 105),
        (tick(ask=94), watch(below=95), 94),
        (tick(bid=106), watch(above=105), 106),
        (tick(bid=0, ask=97), watch(below=95), None),
        (tick(last=0, bid=94), watch(below=95), 94),
        (tick(), watch(below=95, above=105), None),
        (bar(95, 100), watch(below=95), 95),
        (bar(96, 105), watch(below=95, above=105), 105),
        (bar(90, 110), watch(below=95, above=105), 90),
        (bar(0, 100), watch(below=95), None),
        (tick(last=95), watch(below=95, symbol="MSFT"), None),
        (tick(last=95), watch(), None),
    ],
)
def test_a_watch_is_touched_where_the_market_has_been(data: MarketData, waiting: Watch, price: int | None) -> None:
    told = [] if price is None else [PriceTouched(symbol="IBM", watch=3, price=Decimal(price), at=AT)]
    assert [touch for _, touch in touched([waiting], data)] == told


@given(
    st.builds(watch, PRICES, PRICES), st.builds(Tick, ts=st.just(AT), symbol=st.just("IBM"), bid=PRICES, last=PRICES)
)
def test_what_is_told_is_always_at_or_beyond_what_was_waited_for(waiting: Watch, data: Tick) -> None:
    for each, touch in touched([waiting], data):
        assert each is waiting
        assert touch.price > 0
        beyond_below = waiting.below is not None and touch.price <= waiting.below
        beyond_above = waiting.above is not None and touch.price >= waiting.above
        assert beyond_below or beyond_above
