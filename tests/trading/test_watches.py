"""Which of the prices that are waited for the market has come to, and what orders are told of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from trading.market import Bar, MarketData, Tick
from trading.messages import Numbered
from trading.orders import Side
from trading.watches import MOST_TURNS, Arrival, Watch, judged, prices_for, succeeding, turning_points

AT = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
PRICES = st.one_of(st.none(), st.integers(0, 20).map(Decimal))
SIDES = st.sampled_from([None, *Side])
PATHS = st.lists(st.integers(1, 40).map(Decimal), max_size=200)
BUY, SELL = Side.BUY, Side.SELL


def watch(below: int | None = None, above: int | None = None, side: Side | None = None) -> Watch:
    return Watch(order_id="o", symbol="IBM", number=3, below=_price(below), above=_price(above), side=side)


def tick(last: int | None = None, bid: int | None = None, ask: int | None = None) -> Tick:
    return Tick(ts=AT, symbol="IBM", last=_price(last), bid=_price(bid), ask=_price(ask))


def bar(low: int, high: int, close: int = 100) -> Bar:
    return Bar(ts=AT, symbol="IBM", open=Decimal(100), high=Decimal(high), low=Decimal(low), close=Decimal(close))


def _price(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def judge(waiting: Watch, data: Sequence[MarketData], first: int = 1) -> tuple[Watch, list[int] | None]:
    """What becomes of the watch, and the prices that its order is told. Message 7 comes at second 7, and so on."""
    after, touch = judged(waiting, "0", arrivals(data, first))
    return after, None if touch is None else [int(price) for price in touch.prices]


def arrivals(data: Sequence[MarketData], first: int = 1) -> list[Arrival]:
    return [
        Arrival(message=Numbered(number=number, data=each), at=second(number))
        for number, each in enumerate(data, start=first)
    ]


def second(number: int) -> datetime:
    return AT + timedelta(seconds=number)


def trades(*prices: int) -> list[Tick]:
    return [tick(last=price) for price in prices]


@pytest.mark.parametrize(
    ("data", "waiting", "told"),
    [
        (tick(last=95), watch(below=95), [95]),
        (tick(last=96), watch(below=95), None),
        (tick(last=105), watch(above=105), [105]),
        (tick(last=104), watch(above=105), None),
        (tick(last=96, bid=94, ask=106), watch(below=95, above=105), None),  # where it trades goes before quotes
        (tick(bid=95, ask=97), watch(below=95), [95, 97]),
        (tick(bid=96, ask=97), watch(below=95), None),
        (tick(bid=104, ask=105), watch(above=105), [105]),
        (tick(ask=94), watch(below=95), [94]),
        (tick(bid=106), watch(above=105), [106]),
        (tick(bid=0, ask=97), watch(below=95), None),
        (tick(last=0, bid=94), watch(below=95), [94]),
        (tick(), watch(below=95, above=105), None),
        (tick(last=95), watch(), None),
        (bar(95, 100), watch(below=95), [95, 100]),
        (bar(0, 100), watch(below=95), None),
    ],
)
def test_a_watch_is_touched_where_the_market_has_been(data: MarketData, waiting: Watch, told: list[int] | None) -> None:
    assert judge(waiting, [data])[1] == told


@pytest.mark.parametrize(
    ("data", "waiting", "told"),
    [
        (tick(bid=99, ask=150), watch(95, 105, SELL), None),  # an ask far away is no gain of a long position
        (tick(bid=105, ask=106), watch(95, 105, SELL), [105]),
        (tick(bid=95, ask=104), watch(95, 105, SELL), [95]),
        (tick(bid=50, ask=101), watch(95, 105, BUY), None),  # nor is a bid far away one of a short position
        (tick(bid=94, ask=95), watch(95, 105, BUY), [95]),
        (tick(bid=94, ask=105), watch(95, 105, BUY), [105]),
        (tick(ask=150), watch(95, 105, SELL), None),
        (tick(ask=95), watch(95, 105, SELL), [95]),  # whoever would buy does so for no more
        (tick(bid=50), watch(95, 105, BUY), None),
        (tick(bid=105), watch(95, 105, BUY), [105]),
        (tick(ask=95), watch(above=105, side=SELL), None),
    ],
)
def test_an_exit_is_judged_by_the_quote_at_which_it_would_trade(
    data: Tick, waiting: Watch, told: list[int] | None
) -> None:
    assert judge(waiting, [data])[1] == told


@pytest.mark.parametrize(("side", "told"), [(SELL, [90, 110, 102]), (BUY, [110, 90, 102])], ids=["long", "short"])
def test_of_a_bar_over_both_prices_the_one_that_hurts_comes_first(side: Side, told: list[int]) -> None:
    assert judge(watch(95, 105, side), [bar(90, 110, 102)])[1] == told


def test_an_order_is_told_where_the_market_turned_after_the_touch() -> None:
    waiting = watch(2950, 3010, SELL)
    after, told = judge(waiting, trades(3000, 3005, 3012, 3030, 3060, 2990, 2940, 3005))
    assert told == [3012, 3060, 2940, 3005]
    assert after.told is not None
    assert after.told.at == AT


def test_what_the_market_does_until_the_next_watch_is_what_that_one_begins_with() -> None:
    told, _ = judge(watch(2950, 3010, SELL), trades(3012))
    collecting, again = judge(told, trades(3060, 2940, 3005), first=2)
    assert again is None
    following = succeeding(watch(3010, 3070, SELL), collecting, was_heard=True)
    _, prices = judge(following, trades(3006), first=5)
    assert prices == [2940, 3006]


def test_what_an_order_did_not_hear_is_judged_again_by_its_next_watch() -> None:
    told, _ = judge(watch(2950, 3010, SELL), trades(2949))
    assert succeeding(watch(2950, 3020, SELL), told, was_heard=True).since == ()
    after = succeeding(watch(2950, 3020, SELL), told, was_heard=False)
    assert judge(after, trades(3000), first=2)[1] == [2949, 3000]


def test_a_watch_of_another_side_does_not_begin_with_prices_that_do_not_count_for_it() -> None:
    told, _ = judge(watch(above=105), [tick(bid=100, ask=105)])
    assert succeeding(watch(95, 110, SELL), told, was_heard=False).since == ()


def test_messages_that_come_again_are_told_again_and_not_judged_by_the_next_watch() -> None:
    batch = trades(3012, 2970, 3060)
    told, prices = judge(watch(2950, 3010, SELL), batch)
    assert judge(told, batch) == (told, prices), "nobody knows whether the order was told"
    following = succeeding(watch(3010, 3070, SELL), told, was_heard=True)
    assert judge(following, batch) == (following, None)


def test_a_watch_that_nothing_touches_stays_the_very_same() -> None:
    waiting = watch(95, 105, SELL)
    assert judge(waiting, trades(96, 100, 104))[0] is waiting
    told, _ = judge(waiting, trades(95))
    after, _ = judge(told, trades(96), first=2)
    assert judge(after, trades(96), first=3)[0] is after


def test_what_came_before_a_watch_began_does_not_touch_it_and_what_came_in_that_moment_does() -> None:
    waiting = replace(watch(95, side=SELL), begins=second(7))
    assert judge(waiting, trades(94), first=6) == (waiting, None)
    assert judge(waiting, trades(94), first=7)[1] == [94]
    assert judge(waiting, trades(93, 94, 96, 95), first=5)[1] == [95]


def test_a_bar_that_comes_after_a_watch_began_counts_as_a_whole() -> None:
    waiting = replace(watch(95, side=SELL), begins=second(7))
    assert judge(waiting, [bar(90, 100)], first=6)[1] is None
    assert judge(waiting, [bar(90, 100)], first=7)[1] == [90, 100]


def test_where_nothing_says_when_a_message_came_or_a_watch_began_it_counts() -> None:
    message = Numbered(number=1, data=tick(last=94))
    assert judged(replace(watch(95), begins=second(7)), "0", [Arrival(message=message)])[1] is not None
    assert judged(watch(95), "0", [Arrival(message=message, at=AT)])[1] is not None


def test_a_stop_that_is_amended_is_not_touched_by_what_came_before_that() -> None:
    before = replace(watch(90, side=SELL), begins=second(1))
    amended = succeeding(replace(watch(95, side=SELL), begins=second(7)), before, was_heard=False)
    assert judge(amended, trades(94, 96), first=6)[1] is None
    assert judge(amended, trades(94, 96, 95), first=6)[1] == [95]


def test_what_touches_an_amended_watch_counts_also_from_before_where_it_would_have_touched_the_one_of_then() -> None:
    before = replace(watch(90, 110, SELL), begins=second(3))
    amended = succeeding(replace(watch(95, 110, SELL), begins=second(7)), before, was_heard=False)
    assert judge(amended, trades(111), first=6)[1] == [111]
    touched, told = judge(amended, trades(94, 89, 94), first=4)
    assert told == [89, 94], "with all that came after it"
    assert judge(touched, trades(100), first=7)[0].since == (Decimal(100),)
    assert judge(amended, trades(89), first=2)[1] is None
    lower = succeeding(replace(watch(85, 110, SELL), begins=second(7)), before, was_heard=False)
    assert judge(lower, trades(89), first=6)[1] is None
    entry = succeeding(replace(watch(95, 110), begins=second(7)), before, was_heard=False)
    assert judge(entry, trades(89), first=6)[1] is None


def test_what_a_watch_began_with_and_was_not_touched_by_is_not_for_an_amended_one() -> None:
    told, _ = judge(replace(watch(2950, 3010, SELL), begins=second(1)), trades(3012))
    collecting, _ = judge(told, trades(2996, 3005), first=2)
    following = succeeding(replace(watch(2990, 3070, SELL), begins=second(9)), collecting, was_heard=True)
    at_once = succeeding(replace(watch(3000, 3070, SELL), begins=second(20)), following, was_heard=False)
    assert judge(at_once, trades(3004), first=4)[1] == [2996, 3005, 3004], "nothing had judged it by then"
    quiet, _ = judge(following, trades(3004), first=4)
    amended = succeeding(replace(watch(3000, 3070, SELL), begins=second(20)), quiet, was_heard=False)
    assert judge(amended, trades(3004), first=20) == (amended, None)


def test_the_next_watch_begins_where_the_one_that_was_touched_ended() -> None:
    told, _ = judge(replace(watch(2950, 3010, SELL), begins=second(1)), trades(3012))
    following = succeeding(replace(watch(2990, 3070, SELL), begins=second(9)), told, was_heard=True)
    assert judge(following, trades(2980), first=2)[1] == [2980]
    assert judge(following, trades(2980), first=1)[1] is None


def test_an_exit_does_not_begin_where_the_entry_was_touched() -> None:
    told, _ = judge(replace(watch(above=105), begins=second(1)), trades(105))
    exit_ = succeeding(replace(watch(95, 110, SELL), begins=second(9)), told, was_heard=True)
    assert judge(exit_, trades(94), first=8)[1] is None
    assert judge(exit_, trades(94), first=9)[1] == [94]


@pytest.mark.parametrize("side", [None, SELL])
def test_a_watch_without_prices_keeps_nothing_for_the_next_one(side: Side | None) -> None:
    told, _ = judge(replace(watch(95, side=side), begins=second(1)), trades(94))
    collecting, _ = judge(told, trades(93), first=2)
    over = replace(watch(), begins=second(3))
    assert succeeding(over, collecting, was_heard=False) == over
    assert judge(over, trades(94), first=4) == (over, None)
    following = succeeding(replace(watch(95, side=side), begins=second(9)), over, was_heard=False)
    assert judge(following, trades(94), first=8) == (following, None)


LEVELS = st.lists(st.sampled_from([8, 9, 10, 11, 12, 12, 13, 13]), min_size=1, max_size=40)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(1, 8)),
        st.tuples(st.just("again"), st.integers(1, 8)),
        st.tuples(st.sampled_from(["heard", "unheard", "over"]), st.just(0)),
        st.tuples(st.just("amend"), st.integers(8, 12)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(LEVELS, STEPS, st.integers(0, 10), st.integers(0, 6))
def test_of_any_batches_repeats_and_watches_nothing_from_before_touches_and_nothing_after_is_lost(
    levels: list[int], steps: list[tuple[str, int]], begins: int, lag: int
) -> None:
    """`lag` messages are always in the hub and not delivered yet: what is asked for now begins after them."""
    # Of a price's fraction the message that it came with can be told.
    prices = [level + Decimal(number) / 1000 for number, level in enumerate(levels)]
    stop = Decimal(10)
    waiting = Watch(order_id="o", symbol="IBM", number=1, below=stop, side=SELL, begins=second(begins))
    since, delivered, told = begins, 0, list[Decimal]()
    amended: tuple[int, Decimal] | None = None
    for step, amount in steps:
        if step in ("deliver", "again"):
            start = delivered if step == "deliver" else max(0, delivered - amount)
            data = [tick_at(price) for price in prices[start : start + amount]]
            if not data:
                continue
            delivered = max(delivered, start + len(data))
            was = waiting
            waiting, touch = judged(waiting, "0", arrivals(data, start))
            if touch is not None and was.told is None:
                told += touch.prices
                since, amended = min(since, int(touch.price % 1 * 1000)), None
        else:
            now = max(since, delivered + lag)
            asked = replace(waiting, number=waiting.number + 1, told=None, since=(), seen={}, begins=second(now))
            if step == "over":
                waiting = succeeding(replace(asked, below=None), waiting, was_heard=True)
                asked = replace(asked, number=asked.number + 1, below=stop)
                waiting = succeeding(asked, waiting, was_heard=True)
                since, told, amended = now, [], None
            elif step == "amend" and waiting.told is None and not waiting.since:
                waiting = succeeding(replace(asked, below=Decimal(amount)), waiting, was_heard=False)
                unheard = max(since, waiting.seen.get("0", -1) + 1)
                since, told, stop, amended = now, [], Decimal(amount), (unheard, stop)
            elif step in ("heard", "unheard") and waiting.told is not None:
                told = told if step == "heard" else [price for price in told if price not in waiting.told.prices]
                waiting = succeeding(asked, waiting, was_heard=step == "heard")
        assert waiting.begins == second(since)
        known = [*told, *waiting.since]
        assert all(price % 1 * 1000 >= since for price in known), "a message from before has touched it"
        touching = [price for price in prices[since:delivered] if price <= stop]
        if amended is not None:
            of_then, stop_of_then = amended
            touching += [price for price in prices[of_then : min(since, delivered)] if price <= min(stop, stop_of_then)]
        assert bool(known) is bool(touching)
        assert not touching or min(known) == min(touching), "a message from after is lost"


@given(LEVELS, st.integers(8, 12), st.integers(8, 12), st.integers(0, 40), st.integers(1, 40))
def test_of_what_comes_late_that_counts_which_touches_both_the_amended_watch_and_the_one_of_then(
    levels: list[int], stop_of_then: int, stop: int, amended: int, size: int
) -> None:
    before = replace(watch(stop_of_then, side=SELL), begins=second(0))
    waiting = succeeding(replace(watch(stop, side=SELL), begins=second(amended)), before, was_heard=False)
    touching = [
        number
        for number, level in enumerate(levels)
        if level <= (stop if number >= amended else min(stop, stop_of_then))
    ]
    for start in range(0, len(levels), size):
        waiting, _ = judged(waiting, "0", arrivals(trades(*levels[start : start + size]), start))
    known = [*(waiting.told.prices if waiting.told else ()), *waiting.since]
    path = [Decimal(level) for level in levels[touching[0] :]] if touching else []
    assert turning_points(known) == turning_points(path)


def tick_at(price: Decimal) -> Tick:
    return Tick(ts=AT, symbol="IBM", last=price)


@given(PRICES, PRICES, SIDES, st.lists(PRICES, min_size=1), st.lists(PRICES, min_size=1))
def test_what_is_told_is_always_at_or_beyond_what_was_waited_for(
    below: Decimal | None,
    above: Decimal | None,
    side: Side | None,
    bids: list[Decimal | None],
    lasts: list[Decimal | None],
) -> None:
    waiting = Watch(order_id="o", symbol="IBM", number=3, below=below, above=above, side=side)
    data = [Tick(ts=AT, symbol="IBM", bid=bid, last=last) for bid, last in zip(bids, lasts, strict=False)]
    after, touch = judged(waiting, "0", arrivals(data))
    touching = [price for each in data for price in prices_for(waiting, each) if waiting.is_touched_at(price)]
    assert (touch is None) is (not touching)
    assert (after is waiting) is (touch is None)
    if touch is not None:
        assert touch.price > 0
        assert waiting.is_touched_at(touch.price) or len(touch.prices) == MOST_TURNS
        assert min(touch.prices) <= min(touching)
        assert max(touch.prices) >= max(touching)


@given(PATHS)
def test_turning_points_keep_the_extremes_and_the_largest_fall_and_rise_and_are_never_too_many(
    path: list[Decimal],
) -> None:
    turns = turning_points(path)
    assert len(turns) <= MOST_TURNS
    assert turning_points(turns) == turns
    if path:
        assert (min(turns), max(turns)) == (min(path), max(path))
    for sign in (1, -1):
        assert _largest_fall([sign * price for price in turns]) == _largest_fall([sign * price for price in path])


def _largest_fall(path: Sequence[Decimal]) -> Decimal:
    best, most = Decimal(-1000), Decimal(0)
    for price in path:
        best = max(best, price)
        most = max(most, best - price)
    return most


@given(PATHS, st.integers(1, 199))
def test_turning_points_of_two_parts_are_those_of_the_whole(path: list[Decimal], cut: int) -> None:
    assert turning_points([*turning_points(path[:cut]), *path[cut:]]) == turning_points(path)


@given(st.lists(st.integers(1, 40).map(Decimal), max_size=MOST_TURNS), st.integers(1, 20))
def test_a_stop_that_follows_is_touched_by_turning_points_where_the_whole_path_touches_it(
    path: list[Decimal], distance: int
) -> None:
    assert _follows(path, distance) == _follows(turning_points(path), distance)


def _follows(path: Sequence[Decimal], distance: int) -> tuple[Decimal | None, bool]:
    best: Decimal | None = None
    for price in path:
        best = price if best is None else max(best, price)
        if price <= best - distance:
            return best, True
    return best, False
