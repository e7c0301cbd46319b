"""The market data trigger and the strategy's activities."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import msgspec
import pytest
from azure.functions.meta import Datum
from hypothesis import given
from hypothesis import strategies as st

from activities import signals, watching
from orchestrators.signal_pipeline import signal_pipeline
from storage.orders import OrderRecord
from storage.services import alerts, instructions, order_register, watches
from storage.settings import settings
from tests.app.host import Host
from trading.events import PriceTouched
from trading.market import Bar, MarketData, Tick
from trading.messages import Instructed, MarketBatch, Numbered, decoded, encoded
from triggers import instances, market_data, session
from triggers.instructing import tell

AT = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


def tick(number: int = 0, *, symbol: str = "IBM", last: str | None = None, bid: str | None = "99") -> Tick:
    at = AT + timedelta(seconds=number)
    price = Decimal(last) if last else None
    return Tick(ts=at, symbol=symbol, bid=Decimal(bid) if bid else None, ask=Decimal(100), last=price)


def event(number: int, data: object, partition: str, at: datetime | None = None) -> func.EventHubEvent:
    """A message; `at` is when the hub has got it."""
    body = data if isinstance(data, bytes) else msgspec.json.encode(data)
    metadata = {"PartitionContext": Datum(f'{{"PartitionId":"{partition}"}}', "json")}
    return func.EventHubEvent(body=body, trigger_metadata=metadata, sequence_number=number, enqueued_time=at)


class Client:
    """Starts pipelines; while one is `running`, refuses as the host does. `broken` is any other failure. Whom it was
    asked to wake is in `woken`."""

    def __init__(self, *, running: int = 0, broken: bool = False) -> None:
        self.started: list[MarketBatch] = []
        self.running = running
        self._broken = broken
        self.woken: list[tuple[str, int]] = []

    async def raise_event(self, instance_id: str, name: str, given: Any) -> None:
        instructed = decoded(given, Instructed)
        self.woken.append((instance_id, instructed.row.number))

    async def start_new(self, name: str, instance_id: str, given: Any) -> str:
        if self._broken:
            raise Exception("503")
        if self.running:
            self.running -= 1
            raise Exception("409: it is running")
        assert name == "signal_pipeline"
        batch = decoded(given, MarketBatch)
        assert instance_id == f"signals-market-data-{batch.partition}"
        self.started.append(batch)
        return instance_id

    async def get_status(self, instance_id: str) -> Any:
        if self._broken:
            return None
        return type("Status", (), {"runtime_status": df.OrchestrationRuntimeStatus.Running})()


@pytest.fixture
def partition(app: None) -> str:
    return uuid.uuid4().hex


async def deliver(events: Sequence[func.EventHubEvent], client: Client) -> None:
    function = market_data.market_data._function._func.client_function
    await function(list(events), client)


async def test_a_batch_starts_the_partitions_pipeline_once_however_often_it_comes(partition: str) -> None:
    client = Client()
    events = [event(number, tick(number), partition) for number in (7, 8)]
    for _ in range(3):
        await deliver(events, client)
    (batch,) = client.started
    assert [each.number for each in batch.events] == [7, 8]
    assert (batch.hub, batch.partition) == ("market-data", partition)
    assert (datetime.now(UTC) - batch.received_at).total_seconds() < 10


async def test_of_a_batch_that_overlaps_only_what_is_new_is_handed_on(partition: str) -> None:
    client = Client()
    await deliver([event(1, tick(1), partition), event(2, tick(2), partition)], client)
    await deliver([event(2, tick(2), partition), event(3, tick(3), partition)], client)
    assert [[each.number for each in batch.events] for batch in client.started] == [[1, 2], [3]]


async def test_a_message_that_cannot_be_read_is_left_out_with_an_alert(partition: str) -> None:
    client = Client()
    events = [event(1, b"{", partition), event(2, tick(2), partition), event(3, b'{"kind":"tock"}', partition)]
    await deliver(events, client)
    assert [each.number for each in client.started[0].events] == [2]
    assert sorted(alert.key for alert in alerts().list(f"market-data-{partition}")) == ["message-1", "message-3"]


async def test_a_batch_of_nothing_readable_stops_nobody(partition: str) -> None:
    client = Client()
    await deliver([event(1, b"{", partition)], client)
    assert client.started == []
    await deliver([event(2, tick(2), partition)], client)
    assert len(client.started) == 1


async def test_a_pipeline_that_is_still_running_is_waited_for(partition: str) -> None:
    client = Client(running=3)
    await deliver([event(1, tick(1), partition)], client)
    assert len(client.started) == 1


async def test_a_pipeline_that_runs_too_long_fails_the_trigger_and_the_batch_comes_again(
    partition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_data, "_BETWEEN_TRIES", 0)
    client = Client(running=1000)
    with pytest.raises(market_data.PartitionBusyError):
        await deliver([event(1, tick(1), partition)], client)
    client.running = 0
    await deliver([event(1, tick(1), partition)], client)
    assert len(client.started) == 1


async def test_a_start_that_fails_does_not_move_the_cursor(partition: str) -> None:
    with pytest.raises(Exception, match="503"):
        await deliver([event(1, tick(1), partition)], Client(broken=True))
    client = Client()
    await deliver([event(1, tick(1), partition)], client)
    assert len(client.started) == 1


async def test_a_batch_of_no_known_partition_is_refused() -> None:
    nameless = func.EventHubEvent(body=b"{}", trigger_metadata={}, sequence_number=1)
    with pytest.raises(ValueError, match="PartitionContext"):
        await deliver([nameless], Client())


async def test_an_order_is_told_once_when_its_price_is_touched(partition: str) -> None:
    symbol, client = f"W{partition[:8]}", Client()
    order_id = watch_price(symbol, below=95)
    for number, price in enumerate(["97", "95", "94"], start=1):
        await deliver([event(number, tick(number, symbol=symbol, last=price), partition)], client)
    (row,) = instructions().read(order_id)
    assert row.instruction == PriceTouched(symbol=symbol, watch=1, price=Decimal(95), at=AT + timedelta(seconds=2))
    assert client.woken == [(order_id, 1)]
    assert len(client.started) == 3


async def test_of_a_batch_all_from_the_first_price_that_touches_is_told_also_where_quotes_are_conflated(
    partition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_data, "LARGE_BATCH", 1)
    symbol, client = f"W{partition[:8]}", Client()
    order_id = watch_price(symbol, above=105)
    quotes = [Tick(ts=AT, symbol=symbol, bid=Decimal(bid), ask=Decimal(bid + 1)) for bid in (100, 106, 107, 101)]
    await deliver([event(number, quote, partition) for number, quote in enumerate(quotes)], client)
    (row,) = instructions().read(order_id)
    assert isinstance(row.instruction, PriceTouched)
    # Entries are judged by bid and ask.
    assert list(map(int, row.instruction.prices)) == [106, 108, 101, 102]
    assert [len(batch.events) for batch in client.started] == [1]


async def test_a_new_watch_is_told_again_and_one_without_prices_is_not(partition: str) -> None:
    symbol, client = f"W{partition[:8]}", Client()
    order_id = watch_price(symbol, 1, below=95)
    await deliver([event(1, tick(1, symbol=symbol, last="95"), partition)], client)
    watch_price(symbol, 2, below=90)
    await deliver([event(2, tick(2, symbol=symbol, last="93"), partition)], client)
    await deliver([event(3, tick(3, symbol=symbol, last="90"), partition)], client)
    watch_price(symbol, 3, below=80)
    watch_price(symbol, 4)
    await deliver([event(4, tick(4, symbol=symbol, last="70"), partition)], client)
    told = [row.instruction for row in instructions().read(order_id)]
    assert [each.watch for each in told if isinstance(each, PriceTouched)] == [1, 2]


async def test_what_the_market_did_before_the_next_watch_is_judged_by_that_one(partition: str) -> None:
    symbol, client = f"W{partition[:8]}", Client()
    order_id = watch_price(symbol, 1, below=2950, above=3010, side="sell")

    async def trade(number: int, *prices: str) -> None:
        ticks = [tick(number + at, symbol=symbol, last=price) for at, price in enumerate(prices)]
        await deliver([event(number + at, each, partition) for at, each in enumerate(ticks)], client)

    await trade(1, "3005", "3012", "3060")
    await trade(4, "2940")
    await trade(5, "3020")
    watch_price(symbol, 2, below=3010, above=3070, side="sell", was_heard=True)
    await trade(6, "3021")
    told = [row.instruction for row in instructions().read(order_id)]
    heard = [(each.watch, *map(int, each.prices)) for each in told if isinstance(each, PriceTouched)]
    assert heard == [(1, 3012, 3060), (2, 2940, 3021)]


async def test_an_order_that_was_told_just_before_the_process_died_is_not_stopped_by_what_it_has_heard(
    partition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbol, client = f"W{partition[:8]}", Client()
    order_id = watch_price(symbol, 1, below=2950, above=3010, side="sell")
    prices = ["3012", "2990", "3060"]
    batch = [event(at, tick(at, symbol=symbol, last=price), partition) for at, price in enumerate(prices)]
    await deliver(batch, client)
    watch_price(symbol, 2, below=3010, above=3070, side="sell", was_heard=True)
    for cursors in ("_told", "_cursors"):
        monkeypatch.setattr(market_data, cursors, {})
    await deliver(batch, client)
    assert len(instructions().read(order_id)) == 1


async def test_a_batch_that_a_dead_host_had_in_its_hands_does_not_touch_a_watch_that_began_since(
    partition: str,
) -> None:
    symbol, client = f"W{partition[:8]}", Client()
    began = datetime.now(UTC)
    order_id = watch_price(symbol, below=95, side="sell", begins=began.isoformat())

    async def trade(number: int, price: str, at: datetime | None) -> int:
        await deliver([event(number, tick(number, symbol=symbol, last=price), partition, at)], client)
        return len(instructions().read(order_id))

    # Whatever the data say of themselves: recorded prices are years old.
    assert await trade(1, "94", began - timedelta(milliseconds=1)) == 0
    assert await trade(2, "94", (began - timedelta(seconds=1)).replace(tzinfo=None)) == 0
    assert await trade(3, "96", began) == 0
    assert await trade(4, "95", began) == 1
    assert [len(batch.events) for batch in client.started] == [1, 1, 1, 1], "signals hear of all"


async def test_a_stop_that_is_amended_is_not_touched_by_prices_of_before(partition: str) -> None:
    symbol, client = f"W{partition[:8]}", Client()
    began = datetime.now(UTC) - timedelta(seconds=10)
    order_id = watch_price(symbol, 1, below=90, side="sell", begins=began.isoformat())
    amended = began + timedelta(seconds=5)
    watch_price(symbol, 2, below=95, side="sell", begins=amended.isoformat())
    for number, seconds, told in ((1, 4, 0), (2, 5, 1)):
        at = began + timedelta(seconds=seconds)
        await deliver([event(number, tick(number, symbol=symbol, last="94"), partition, at)], client)
        assert len(instructions().read(order_id)) == told


async def test_a_watch_that_is_written_late_is_not_told_and_hands_nothing_on(partition: str) -> None:
    symbol, client = f"W{partition[:8]}", Client()
    order_id = watch_price(symbol, 1, below=95, side="sell")
    watch_price(symbol, 2)
    watch_price(symbol, 1, below=95, side="sell")
    await deliver([event(1, tick(1, symbol=symbol, last="94"), partition)], client)
    watch_price(symbol, 3, below=95, side="sell")
    await deliver([event(2, tick(2, symbol=symbol, last="96"), partition)], client)
    assert instructions().read(order_id) == []


async def test_what_is_left_of_watches_goes_with_the_daily_purge(partition: str) -> None:
    symbol, client = f"W{partition[:8]}", Client()
    order_id = watch_price(symbol, 1, below=95)
    watch_price(symbol, 2)
    order_register().register(order_id, "token", "{}", AT)
    order_register().finish(order_id, OrderRecord(outcome="filled", finished_at=datetime.now(UTC) - timedelta(days=8)))
    await session.purge_outbox._function._func.client_function(None, client)
    watch_price(symbol, 1, below=95)
    assert [each.number for each in watches().waiting(symbol)] == [1]


async def test_in_a_replay_in_lockstep_the_data_say_when_they_came(
    partition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = tmp_path / "clock"
    clock.write_text(AT.isoformat())
    monkeypatch.setenv("MARKET_CLOCK", str(clock))
    settings.cache_clear()
    symbol, client = f"W{partition[:8]}", Client()
    order_id = watch_price(symbol, below=95, side="sell", begins=(AT + timedelta(seconds=2)).isoformat())
    for number, told in ((1, 0), (2, 1)):
        data = tick(number, symbol=symbol, last="94")
        # By the machine's clock, which may be before the time of the data or long after.
        await deliver([event(number, data, partition, AT - timedelta(days=1))], client)
        assert len(instructions().read(order_id)) == told


async def test_watches_that_cannot_be_read_keep_no_signal_and_bring_the_batch_again(
    partition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbol, client = f"W{partition[:8]}", Client()
    order_id = watch_price(symbol, below=95)
    batch = [event(1, tick(1, symbol=symbol, last="95"), partition)]
    with monkeypatch.context() as broken:
        broken.setattr(market_data, "tell", _fail)
        for _ in range(2):
            with pytest.raises(OSError, match="storage is not there"):
                await deliver(batch, client)
    assert len(client.started) == 1
    assert instructions().read(order_id) == []
    await deliver(batch, client)
    assert len(instructions().read(order_id)) == 1
    assert len(client.started) == 1


async def test_an_order_that_cannot_be_told_keeps_no_other_waiting(
    partition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = f"W1{partition[:8]}", f"W2{partition[:8]}"
    for symbol in (first, second):
        watch_price(symbol, below=95)
    batch = [
        event(number, tick(number, symbol=symbol, last="90"), partition) for number, symbol in ((1, first), (2, second))
    ]

    async def tell_second(client: Client, order_id: str, touch: PriceTouched) -> None:
        if order_id == f"o-{first}":
            raise OSError("storage is not there")
        await tell(client, order_id, touch)

    with monkeypatch.context() as broken:
        broken.setattr(market_data, "tell", tell_second)
        with pytest.raises(OSError, match="storage is not there"):
            await deliver(batch, Client())
    assert [len(instructions().read(f"o-{symbol}")) for symbol in (first, second)] == [0, 1]
    await deliver(batch, Client())
    for symbol in (first, second):
        told = {row.instruction for row in instructions().read(f"o-{symbol}")}
        assert len(told) == 1, "the same may come again: an order takes in one touch of each watch"


async def test_an_order_is_told_although_the_pipeline_cannot_be_started(partition: str) -> None:
    symbol = f"W{partition[:8]}"
    order_id = watch_price(symbol, below=95)
    batch = [event(1, tick(1, symbol=symbol, last="95"), partition)]
    with pytest.raises(Exception, match="503"):
        await deliver(batch, Client(broken=True))
    client = Client()
    await deliver(batch, client)
    assert len(instructions().read(order_id)) == len(client.started) == 1


def watch_price(symbol: str, number: int = 1, begins: str | None = None, **wanted: object) -> str:
    """The activity, as the order's orchestration calls it; the order's id."""
    order_id = f"o-{symbol}"
    command = {"type": "WatchPrice", "symbol": symbol, "number": number, **wanted}
    given = {"order_id": order_id, "command": command}
    watching.watch_prices._function._func([given if begins is None else {**given, "begins": begins}])
    return order_id


async def _fail(*_: object) -> None:
    raise OSError("storage is not there")


def test_an_instance_that_has_ended_is_not_running() -> None:
    for name, running in (("Running", True), ("Pending", True), ("ContinuedAsNew", True), ("Suspended", True)):
        status = type("Status", (), {"runtime_status": df.OrchestrationRuntimeStatus(name)})()
        assert instances.is_running(status) is running
    for name in ("Completed", "Failed", "Terminated", "Canceled"):
        status = type("Status", (), {"runtime_status": df.OrchestrationRuntimeStatus(name)})()
        assert instances.is_running(status) is False
    assert instances.is_running(None) is False


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"kind":"tick","symbol":"A"}', "ts"),
        (b'{"kind":"tick","symbol":"A","ts":"2026-01-05T14:30:00"}', "zone"),
        (b'{"kind":"tick","symbol":"A","ts":"2026-01-05T14:30:00Z","bid":"NaN"}', "bid=NaN"),
        (b'{"kind":"tick","symbol":"A","ts":"2026-01-05T14:30:00Z","last":"-1"}', "last=-1"),
        (b'{"kind":"tick","symbol":"A","ts":"2026-01-05T14:30:00Z","last":"x"}', "$.last"),
        (b'{"kind":"tick","symbol":"ES H6","ts":"2026-01-05T14:30:00Z"}', "symbol: ES H6"),
        (b'{"kind":"bar","symbol":"A","ts":"2026-01-05T14:30:00Z","open":"1","high":"1","low":"1"}', "close"),
    ],
)
def test_a_message_that_is_no_tick_and_no_bar_is_named(body: bytes, says: str) -> None:
    with pytest.raises(market_data.UnreadableMessageError, match=says.replace("$", r"\$")):
        market_data.decode(body)


def _any_data() -> st.SearchStrategy[MarketData]:
    symbols = st.sampled_from(["A", "B"])
    quote = st.builds(lambda symbol: tick(symbol=symbol), symbols)
    trade = st.builds(lambda symbol: tick(symbol=symbol, last="99.5"), symbols)
    one = Decimal(1)
    bar = st.builds(lambda symbol: Bar(ts=AT, symbol=symbol, open=one, high=one, low=one, close=one), symbols)
    return st.one_of(quote, quote, trade, bar)


@given(st.lists(_any_data(), max_size=40))
def test_a_small_batch_is_never_conflated(batch: list[MarketData]) -> None:
    events = [Numbered(number=number, data=data) for number, data in enumerate(batch)]
    assert market_data.conflated(events) == events


@given(st.lists(_any_data(), min_size=1, max_size=40))
def test_of_a_large_batch_only_superseded_quotes_are_left_out(batch: list[MarketData]) -> None:
    events = [Numbered(number=number, data=data) for number, data in enumerate(batch)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(market_data, "LARGE_BATCH", 1)
        kept = market_data.conflated(events)
    assert kept[-1] == events[-1]
    numbers = {each.number for each in kept}
    for index, each in enumerate(events):
        if each.number in numbers:
            continue
        assert isinstance(each.data, Tick)
        assert each.data.last is None
        following = [later for later in events[index + 1 :] if later.data.symbol == each.data.symbol]
        assert isinstance(following[0].data, Tick)
        assert following[0].data.last is None
    assert [each.number for each in kept] == sorted(numbers)


def a_batch(partition: str, prices: Sequence[str], first: int = 0) -> dict[str, Any]:
    ticks = [tick(first + index, last=price, bid=None) for index, price in enumerate(prices)]
    return encoded(
        MarketBatch(
            hub="market-data",
            partition=partition,
            received_at=AT,
            events=[Numbered(number=first + index, data=each) for index, each in enumerate(ticks)],
        )
    )


@pytest.fixture
def crossing(partition: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SMA_FAST", "2")
    monkeypatch.setenv("SMA_SLOW", "3")
    settings.cache_clear()
    return partition


def _generate(batch: dict[str, Any]) -> Any:
    return signals.generate_signals._function._func(batch)


def test_a_batch_that_comes_again_gives_the_same_orders(crossing: str) -> None:
    batch = a_batch(crossing, ["100", "99", "98", "110"])
    first = _generate(batch)
    assert [each["spec"]["order_id"] for each in first] == ["sma-IBM-20260105T143003000Z"]
    assert datetime.fromisoformat(first[0]["received_at"]) == AT
    assert _generate(batch) == first


def test_what_the_strategy_has_seen_is_left_out_whatever_the_trigger_knew(crossing: str) -> None:
    assert _generate(a_batch(crossing, ["100", "99", "98"])) == []
    overlapping = _generate(a_batch(crossing, ["100", "99", "98", "110"]))
    assert len(overlapping) == 1
    assert _generate(a_batch(crossing, ["100", "99"])) == []


def test_a_batch_that_keeps_failing_is_told_once_and_the_next_one_again() -> None:
    told = []
    for number in (7, 9):
        failures, alerted = 45, set[str]()

        def do(name: str, given: Any, alerted: set[str] = alerted) -> Any:
            nonlocal failures
            if name == "raise_alerts":
                alerted.update(alert["key"] for alert in given)
            elif name == "generate_signals":
                failures -= 1
                if failures:
                    raise RuntimeError("storage is not there")
            return []

        numbered = [Numbered(number=each, data=tick(each)) for each in (number - 1, number)]
        batch = MarketBatch(hub="market", partition="0", received_at=AT, events=numbered)
        host = Host(signal_pipeline._function._func, encoded(batch), do, instance_id="signals-market-0")
        host.run()
        assert host.output == {"orders": 0}
        told.append(alerted)
    assert told == [{"PIPELINE_FAILS-7"}, {"PIPELINE_FAILS-9"}]
