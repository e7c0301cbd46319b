"""How an order ends: entities first, record last, and whatever dies in between."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from activities import ending
from gateway.journal import Journal
from storage.orders import RegisteredOrder
from storage.services import instructions, order_register, tables
from tests.app.entities import AT, Client, Entity, Order, apply
from trading.events import CancelRequested
from trading.messages import RecordDetail, Recording, Timing, encoded

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def order(client: Client) -> Order:
    """An order that has reserved 10 and filled 4; neither entity has heard of its rows."""
    order = Order()
    order_register().register(order.order_id, "token", "{}", AT)
    client.entities["exposure"].batch(("reserve", order.reserving(10, 3000)))
    order.accepted()
    order.filled(4, 3000)
    return order


def _recording(order: Order, last_number: int, symbols: tuple[str, ...], instructed: int | None = None) -> Recording:
    return Recording(
        order_id=order.order_id,
        symbols=list(symbols),
        last_number=last_number,
        outcome="canceled",
        text="",
        timing=Timing(),
        finished_at=AT,
        instructed=instructed,
    )


async def end(
    client: Client,
    order: Order,
    last_number: int,
    symbols: tuple[str, ...] = ("IBM",),
    instructed: int | None = None,
) -> Any:
    recording = _recording(order, last_number, symbols, instructed)
    return await ending.end_order._function._func.client_function(encoded(recording), client)


def registered(order: Order) -> RegisteredOrder:
    found = order_register().get(order.order_id)
    assert found is not None
    return found


async def test_the_entities_have_all_of_an_order_before_it_is_recorded(client: Client, order: Order) -> None:
    assert await end(client, order, 2) == {"behind": False}
    assert client.position == "4"
    assert client.reservations == {}
    record = registered(order).record
    assert record is not None
    assert msgspec.json.decode(record.detail, type=RecordDetail).last_number == 2
    # Neither had heard of its rows, so that they had to be told to read them.
    assert sorted(client.signals[:2]) == [("exposure", "release"), ("position", "catch_up")]
    assert sorted(client.signals[2:]) == [("exposure", "forget"), ("position", "forget")]


async def test_entities_that_have_all_rows_are_only_looked_at(client: Client, order: Order) -> None:
    for row in Journal(tables()).read(order.order_id):
        for entity in client.entities.values():
            entity.batch(apply(row))
    assert await end(client, order, 2) == {"behind": False}
    assert sorted(client.signals) == [("exposure", "forget"), ("position", "forget")]
    assert [entity.state["applied"] for entity in client.entities.values()] == [{}, {}]


def test_a_position_is_only_to_have_the_rows_of_its_own_symbol(order: Order) -> None:
    first, second = Journal(tables()).read(order.order_id)
    rows = [first, msgspec.structs.replace(second, symbol="AAPL")]
    entities = ending._entities(_recording(order, 2, ("MSFT", "IBM")), rows)
    needed = {(entity.name, entity.key): ended.last_number for entity, ended in entities}
    assert needed == {("position", "MSFT"): 0, ("position", "IBM"): 1, ("exposure", "main"): 2}


async def test_an_order_that_was_ended_up_to_the_answer_is_ended_again(client: Client, order: Order) -> None:
    for _ in range(2):
        assert await end(client, order, 2) == {"behind": False}
    client.entities["position"].batch(apply(order.filled(3, 3000)))
    assert client.position == "7"
    assert client.reservations == {}


@pytest.mark.parametrize("lost", ["catch_up", "release"])
async def test_where_an_entity_has_not_heard_it_nothing_is_recorded_and_it_is_told_again(
    client: Client, order: Order, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "PATIENCE", 0.1)
    client.losing = {lost}
    with pytest.raises(ending.EntityBehindError, match="row 2 is not applied"):
        await end(client, order, 2)
    assert registered(order).record is None
    client.losing = set()
    assert await end(client, order, 2) == {"behind": False}
    assert (client.position, client.reservations) == ("4", {})


async def test_an_order_stays_open_while_the_journal_has_more_than_the_lifecycle_has_seen(
    client: Client, order: Order
) -> None:
    assert await end(client, order, 1) == {"behind": True}
    assert registered(order).record is None
    assert client.signals == []


async def test_a_row_that_comes_while_the_record_is_written_takes_it_back(
    client: Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = order_register().finish

    def crossed(order_id: str, record: Any) -> None:
        order.filled(3, 3000)
        finish(order_id, record)

    with monkeypatch.context() as patch:
        patch.setattr(order_register(), "finish", crossed)
        assert await end(client, order, 2) == {"behind": True}
    assert registered(order).record is None
    assert order.order_id in client.reservations
    assert await end(client, order, 3) == {"behind": False}
    assert (client.position, client.reservations) == ("7", {})


async def test_an_end_that_comes_late_does_not_have_a_trade_counted_twice(
    client: Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process was stopped before it wrote the record: when it goes on, the order was open again, and has ended."""
    finish = order_register().finish

    async def lived_on() -> None:
        assert await end(client, order, 2) == {"behind": False}
        order.filled(3, 3000)
        order_register().reopen(order.order_id, 2)
        assert await end(client, order, 3) == {"behind": False}

    def crossed(order_id: str, record: Any) -> None:
        monkeypatch.setattr(order_register(), "finish", finish)
        asyncio.run(lived_on())
        finish(order_id, record)

    monkeypatch.setattr(order_register(), "finish", crossed)
    assert await end(client, order, 2) == {"behind": True}
    order.filled(1, 3000)
    order_register().reopen(order.order_id, 3)
    assert await end(client, order, 4) == {"behind": False}
    assert (client.position, client.reservations) == ("8", {})


@pytest.mark.parametrize("more", ["row", "instruction"])
async def test_an_end_that_comes_late_is_not_written_over_an_order_that_is_open_again(
    client: Client, order: Order, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    """A process was stopped before it wrote the record; another did so, and then more was said. Nobody repeats the
    first: it may not leave the order ended for a moment, in which it dies."""
    finish = order_register().finish
    after: list[bool] = []

    async def lived_on() -> None:
        assert await end(client, order, 2, instructed=0) == {"behind": False}
        if more == "row":
            order.filled(3, 3000)
            order_register().reopen(order.order_id, 2)
        else:
            instructions().append(order.order_id, CancelRequested())
            assert await end(client, order, 2, instructed=0) == {"behind": True}

    def crossed(order_id: str, record: Any) -> None:
        monkeypatch.setattr(order_register(), "finish", finish)
        asyncio.run(lived_on())
        finish(order_id, record)
        after.append(registered(order).record is None)

    monkeypatch.setattr(order_register(), "finish", crossed)
    assert await end(client, order, 2, instructed=0) == {"behind": True}
    assert after == [True]
    assert order.order_id in {each.order_id for each in order_register().list(open_only=True)}


async def test_an_end_that_was_told_less_does_not_take_the_true_end_back(client: Client, order: Order) -> None:
    for _ in range(3):
        instructions().append(order.order_id, CancelRequested())
    assert await end(client, order, 2, instructed=3) == {"behind": False}
    await end(client, order, 2, instructed=2)
    assert registered(order).record is not None


async def test_an_end_that_comes_late_has_nobody_forget_an_order_that_is_open_again(
    client: Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process was stopped before its signals; by its repetition the order goes on, for what it was told."""
    signal, late = client.signal_entity, list[Any]()

    async def stopped(entity: Any, operation: str, given: Any) -> None:
        if operation == "forget":
            late.append((entity, operation, given))
        else:
            await signal(entity, operation, given)

    with monkeypatch.context() as patch:
        patch.setattr(client, "signal_entity", stopped)
        assert await end(client, order, 2, instructed=0) == {"behind": False}
    instructions().append(order.order_id, CancelRequested())
    assert await end(client, order, 2, instructed=0) == {"behind": True}
    for each in late:
        await signal(*each)
    assert order.order_id in client.reservations
    assert await end(client, order, 2, instructed=1) == {"behind": False}
    assert client.reservations == {}


async def test_an_order_in_several_symbols_that_was_opened_again_ends_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "PATIENCE", 0.2)
    client.entities["position/AAPL"] = Entity("position")
    order, both = Order(), ("IBM", "AAPL")
    order_register().register(order.order_id, "token", "{}", AT)
    order.filled(4, 200, symbol="AAPL")
    trade = order.filled(4, 3000)
    assert await end(client, order, 2, both) == {"behind": False}
    order.busted(trade)
    order_register().reopen(order.order_id, 2)
    assert await end(client, order, 3, both) == {"behind": False}
    assert client.position == "0"
    assert client.entities["position/AAPL"].state["position"]["quantity"] == "4"


async def test_a_process_that_died_after_it_wrote_the_record_has_it_taken_back_by_its_repetition(
    client: Client, order: Order
) -> None:
    assert await end(client, order, 2) == {"behind": False}
    order.filled(3, 3000)
    assert await end(client, order, 2) == {"behind": True}
    assert registered(order).record is None
    assert order.order_id in {each.order_id for each in order_register().list(open_only=True)}


async def test_an_order_stays_open_while_it_was_told_something_that_its_lifecycle_has_not_heard(
    client: Client, order: Order
) -> None:
    instructions().append(order.order_id, CancelRequested())
    assert await end(client, order, 2, instructed=0) == {"behind": True}
    assert registered(order).record is None
    assert await end(client, order, 2, instructed=1) == {"behind": False}


async def test_what_an_order_is_told_while_the_record_is_written_takes_it_back(
    client: Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = order_register().finish

    def crossed(order_id: str, record: Any) -> None:
        instructions().append(order_id, CancelRequested())
        finish(order_id, record)

    monkeypatch.setattr(order_register(), "finish", crossed)
    assert await end(client, order, 2, instructed=0) == {"behind": True}
    assert registered(order).record is None


async def test_an_order_that_was_denied_is_recorded_and_no_entity_hears_of_it(client: Client) -> None:
    order = Order()
    order_register().register(order.order_id, "token", "{}", AT)
    assert await end(client, order, 0, symbols=()) == {"behind": False}
    assert client.signals == []
    record = registered(order).record
    assert record is not None
    assert record.filled_quantity == Decimal(0)


async def test_an_order_of_which_the_venue_said_nothing_gives_its_reservation_back(client: Client) -> None:
    order = Order()
    order_register().register(order.order_id, "token", "{}", AT)
    client.entities["exposure"].batch(("reserve", order.reserving(10, 3000)))
    assert await end(client, order, 0) == {"behind": False}
    assert client.reservations == {}
