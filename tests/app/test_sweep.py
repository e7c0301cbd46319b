"""What the sweep does for positions and exposure where a signal was lost, or its operation has failed."""

import uuid
from decimal import Decimal

import pytest

from storage.orders import RegisteredOrder
from storage.services import order_register
from tests.app.entities import Client, Entity, Order, apply
from trading.identity import orphan_order_id
from trading.orders import Side
from trading.specs import Leg, MultiLegSpec, SingleSpec
from triggers import sweep

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def client() -> Client:
    return Client()


def registered(order: Order) -> RegisteredOrder:
    found = order_register().get(order.order_id)
    assert found is not None
    return found


def an_order() -> Order:
    order = Order()
    order.register(
        SingleSpec(order_id=order.order_id, symbol="IBM", side=Side.BUY, quantity=Decimal(10), limit_price=Decimal(100))
    )
    return order


async def test_the_last_row_of_an_open_order_is_told_again_to_whoever_missed_it(client: Client) -> None:
    order = an_order()
    client.entities["exposure"].batch(apply(order.accepted()))
    client.entities["position"].batch(apply(order.filled(4, 100)))
    client.entities["exposure"].batch(apply(order.filled(6, 100)))
    for _ in range(2):
        await sweep._Followers(client).tell(registered(order))
        assert client.position == "10"
        assert client.entities["exposure"].state["exposure"]["positions"]["IBM"]["quantity"] == "10"
        assert client.signals == [("position", "apply")]


async def test_of_an_order_that_both_follow_nobody_is_told_anything(client: Client) -> None:
    order = an_order()
    for row in (order.accepted(), order.filled(4, 100)):
        for name in ("position", "exposure"):
            client.entities[name].batch(apply(row))
    await sweep._Followers(client).tell(registered(order))
    assert client.signals == []


async def test_of_an_order_that_is_open_again_only_what_came_after_its_last_end_is_told(client: Client) -> None:
    order = an_order()
    order.filled(4, 100)
    order.finish(1)
    order_register().reopen(order.order_id, 1)
    await sweep._Followers(client).tell(registered(order))
    assert client.signals == []
    order.filled(6, 100)
    await sweep._Followers(client).tell(registered(order))
    assert client.position == "6"
    assert sorted(client.signals) == [("exposure", "apply"), ("position", "apply")]


async def test_each_position_is_told_of_the_rows_in_its_symbol(client: Client) -> None:
    other = client.entities["position/AAPL"] = Entity("position")
    order = Order()
    legs = tuple(Leg(symbol=each, side=Side.BUY, quantity=Decimal(4), price=Decimal(100)) for each in ("AAPL", "IBM"))
    order.register(MultiLegSpec(order_id=order.order_id, legs=legs))
    order.filled(3, 100, symbol="AAPL")
    order.filled(4, 100)
    await sweep._Followers(client).tell(registered(order))
    assert client.position == "4"
    assert other.state["position"]["quantity"] == "3"


async def test_what_traded_of_an_order_that_nobody_knows_is_told_until_it_counts(client: Client) -> None:
    symbol = f"S{uuid.uuid4().hex[:8]}"
    position = client.entities[f"position/{symbol}"] = Entity("position")
    order = Order(symbol=symbol)
    order.order_id = orphan_order_id(f"{uuid.uuid4().hex}.e1")
    first = order.filled(4, 100)
    position.batch(apply(first))
    order.filled(3, 100)
    client.losing = {"apply"}
    await sweep._tell_of_orphans(sweep._Followers(client))
    assert position.state["position"]["quantity"] == "4"
    client.losing = set()
    for _ in range(2):
        await sweep._tell_of_orphans(sweep._Followers(client))
        assert position.state["position"]["quantity"] == "7"
