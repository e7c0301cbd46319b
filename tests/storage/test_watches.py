"""The prices that orders wait for, on real storage."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from storage.tables import Tables
from storage.watches import Watches
from trading.events import PriceTouched
from trading.market import Tick
from trading.messages import Numbered
from trading.watches import Arrival, Watch, judged

AT = datetime(2026, 1, 5, tzinfo=UTC)
BELOW = Arrival(message=Numbered(number=9, data=Tick(ts=AT, symbol="EUR/USD", last=Decimal(94))), at=AT)


@pytest.fixture
def tables(storage_connection: str) -> Tables:
    """Tables of the test's own."""
    return Tables(storage_connection, prefix=f"T{uuid.uuid4().hex[:12]}")


def watch(number: int, below: int | None = 95, *, order_id: str = "o-1", symbol: str = "EUR/USD") -> Watch:
    price = None if below is None else Decimal(below)
    return Watch(order_id=order_id, symbol=symbol, number=number, below=price)


def touch(watch: Watch) -> tuple[Watch, PriceTouched | None]:
    """A rule: it is touched, if it was not."""
    told = PriceTouched(symbol=watch.symbol, watch=watch.number, price=Decimal(90), at=AT)
    return (watch, None) if watch.told else (replace(watch, told=told, seen={"0": 7}), told)


def test_a_watch_is_found_by_its_symbol_until_it_is_over(tables: Tables) -> None:
    watches = Watches(tables, 0)
    for each in (watch(1), watch(1, order_id="o-2"), watch(1, symbol="IBM")):
        watches.put(each)
    assert watches.waiting("EUR/USD") == [watch(1), watch(1, order_id="o-2")]
    watches.put(watch(2, None))
    assert watches.waiting("EUR/USD") == [watch(1, order_id="o-2")]
    watches.put(watch(2, None))
    assert watches.waiting("GBP/USD") == []


def test_an_older_watch_never_takes_a_newer_ones_place(tables: Tables) -> None:
    watches = Watches(tables, 0)
    for number in (2, 1, 2):
        watches.put(watch(number, 90 + number))
    assert watches.waiting("EUR/USD") == [watch(2, 92)]
    watches.put(watch(1, None))
    assert watches.waiting("EUR/USD") == [watch(2, 92)]
    watches.put(watch(3, None))
    assert watches.waiting("EUR/USD") == []
    watches.put(watch(4, None))
    assert watches.waiting("EUR/USD") == []


def test_a_watch_that_is_written_late_is_not_made_again_where_a_newer_one_has_ended(tables: Tables) -> None:
    watches = Watches(tables, 0)
    watches.put(watch(1))
    watches.judge(watch(1), touch)
    watches.put(watch(2, None))
    watches.put(watch(1))
    assert watches.waiting("EUR/USD") == []
    assert watches.judge(watch(1), lambda now: judged(now, "0", [BELOW])) is None
    watches.put(watch(3))
    assert watches.waiting("EUR/USD") == [watch(3)], "it begins with nothing of the ones before"


def test_watches_without_prices_of_orders_that_have_ended_are_removed(tables: Tables) -> None:
    watches = Watches(tables, 0)
    for order_id in ("o-1", "o-2"):
        watches.put(watch(1, order_id=order_id))
        watches.put(watch(2, None, order_id=order_id))
    watches.put(watch(1, order_id="o-3"))
    asked = []

    def is_past(order_id: str) -> bool:
        asked.append(order_id)
        return order_id != "o-2"

    assert watches.remove(is_past) == 1
    assert asked == ["o-1", "o-2"], "nobody asks about an order that waits"
    assert watches.waiting("EUR/USD") == [watch(1, order_id="o-3")]
    watches.put(watch(1, order_id="o-2"))
    assert watches.waiting("EUR/USD") == [watch(1, order_id="o-3")]


def test_a_watch_that_begins_while_the_one_before_is_removed_stays(tables: Tables) -> None:
    watches = Watches(tables, 0)
    watches.put(watch(2, None))

    def open_again(order_id: str) -> bool:
        watches.put(watch(3))
        return order_id == "o-1"

    assert watches.remove(open_again) == 0
    assert watches.waiting("EUR/USD") == [watch(3)]


def test_of_watches_of_the_same_moment_the_newest_stands(tables: Tables) -> None:
    watches = Watches(tables, 0)
    watches.waiting("EUR/USD")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: watches.put(watch(number)), (3, 7, 1, 8, 2, 6, 5, 4)))
    assert watches.waiting("EUR/USD") == [watch(8)]


def test_what_was_read_is_good_for_a_while_and_ones_own_watch_is_seen_at_once(tables: Tables) -> None:
    ours, theirs = Watches(tables, 1000), Watches(tables, 1000)
    assert ours.waiting("EUR/USD") == theirs.waiting("EUR/USD") == []
    ours.put(watch(1))
    assert ours.waiting("EUR/USD") == [watch(1)]
    assert theirs.waiting("EUR/USD") == []
    ours.put(watch(2, None))
    assert ours.waiting("EUR/USD") == []
    assert Watches(tables, 0).waiting("EUR/USD") == []


def test_a_watch_that_was_touched_stays_until_its_orders_next_one_which_goes_on_from_it(tables: Tables) -> None:
    watches = Watches(tables, 0)
    watches.put(watch(1))
    told = watches.judge(watch(1), touch)
    assert told is not None
    assert watches.judge(watch(1), touch) is None
    assert watches.waiting("EUR/USD") == [replace(watch(1), told=told, seen={"0": 7})]
    watches.put(watch(2, 80), was_heard=False)
    assert watches.waiting("EUR/USD") == [replace(watch(2, 80), since=(Decimal(90),), seen={"0": 7})]
    watches.put(watch(3, 70), was_heard=True)
    assert watches.waiting("EUR/USD") == [replace(watch(3, 70), since=(Decimal(90),), seen={"0": 7})]


def test_a_rule_is_asked_of_the_watch_as_it_now_is(tables: Tables) -> None:
    watches = Watches(tables, 0)
    watches.put(watch(2, 80))
    told = watches.judge(watch(1), touch)
    assert told is not None
    assert told.watch == 2
    assert watches.judge(watch(1, order_id="o-2"), touch) is None
    assert watches.judge(watch(1, symbol="IBM"), touch) is None


def test_a_watch_that_changes_while_a_rule_is_asked_is_asked_again(tables: Tables) -> None:
    watches = Watches(tables, 0)
    watches.put(watch(1))
    asked = []

    def slow(now: Watch) -> tuple[Watch, PriceTouched | None]:
        asked.append(now.number)
        if now.number == 1:
            Watches(tables, 0).put(watch(2, 80))
        return touch(now)

    told = watches.judge(watch(1), slow)
    assert told is not None
    assert (told.watch, asked) == (2, [1, 2])


def test_a_watch_begins_now_at_the_latest_whatever_the_clock_of_its_machine_says(tables: Tables) -> None:
    watches, now = Watches(tables, 0), datetime.now(UTC)
    for number, ahead in enumerate((timedelta(hours=3), timedelta(days=-1)), start=1):
        watches.put(replace(watch(number), begins=now + ahead))
        (found,) = watches.waiting("EUR/USD")
        assert found.begins is not None
        assert found.begins <= now + min(ahead, timedelta(seconds=30))
