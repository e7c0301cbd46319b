"""Prices to steps: what the venue sees, when, and when the strategy hears of it."""

from datetime import UTC, datetime
from decimal import Decimal

from player.steps import Step, steps
from trading.market import Bar, Tick


def _at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2013, 10, day, hour, minute, tzinfo=UTC)


def _bar(symbol: str, day: int) -> Bar:
    return Bar(
        ts=_at(day, 21),
        symbol=symbol,
        open=Decimal("10.5"),
        high=Decimal(12),
        low=Decimal(9),
        close=Decimal(11),
        volume=Decimal(1),
    )


def test_ticks_of_one_timestamp_are_one_step() -> None:
    first = Tick(ts=_at(7, 14), symbol="IBM", bid=Decimal("1.10"), ask=Decimal("1.20"), bid_size=Decimal(5))
    second = Tick(ts=_at(7, 14), symbol="IBM", last=Decimal("1.15"))
    later = Tick(ts=_at(7, 15), symbol="IBM", last=Decimal("1.16"), last_size=Decimal(3))
    quote: dict[str, object] = {
        "kind": "quote",
        "symbol": "IBM",
        "bid": "1.10",
        "ask": "1.20",
        "bid_size": "5",
        "ask_size": None,
    }
    assert list(steps([first, second, later])) == [
        Step(
            at=_at(7, 14),
            prices=[quote, {"kind": "trade", "symbol": "IBM", "price": "1.15", "size": None}],
            batch=[first, second],
        ),
        Step(at=_at(7, 15), prices=[{"kind": "trade", "symbol": "IBM", "price": "1.16", "size": "3"}], batch=[later]),
    ]


def test_a_quote_stands_after_the_trade_of_its_own_row() -> None:
    (step,) = steps([Tick(ts=_at(7, 14), symbol="IBM", bid=Decimal(1), ask=Decimal(2), last=Decimal(3))])
    assert [event["kind"] for event in step.prices] == ["trade", "quote"]


def test_day_orders_expire_where_the_date_of_ticks_changes() -> None:
    ticks = [Tick(ts=_at(day, 14), symbol="IBM", last=Decimal(1)) for day in (7, 7, 8)]
    found = list(steps(ticks))
    assert [(step.at, step.end_of_day) for step in found] == [
        (_at(7, 14), False),
        (_at(7, 14), True),
        (_at(8, 14), False),
    ]


def test_a_bar_is_open_then_stops_then_limits_then_close_and_the_strategy_hears_of_it_last() -> None:
    bars = [_bar("A", 7), _bar("B", 7)]
    found = list(steps(bars))
    assert [step.at for step in found] == [_at(7, 14, 30), *[_at(7, 17, 45)] * 3, _at(7, 21), _at(7, 21)]
    assert [step.prices[0] for step in found] == [
        {"kind": "trade", "symbol": "A", "price": "10.5", "size": None},
        {"kind": "range", "symbol": "A", "low": "9", "high": "12", "only": "stops"},
        {"kind": "range", "symbol": "A", "low": "9", "high": "12", "only": "limits"},
        {"kind": "range", "symbol": "A", "low": "9", "high": "12", "only": "stops"},
        {"kind": "trade", "symbol": "A", "price": "11", "size": None},
        {"kind": "close", "symbol": "A"},
    ]
    assert [len(step.prices) for step in found] == [2] * 6
    assert [step.batch for step in found] == [[], [], [], [], [], bars]
    assert [step.end_of_day for step in found] == [False, False, False, False, False, True]
