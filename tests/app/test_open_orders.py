"""Telling open orders something while the venue fills them: the app as its own process, venue and Azurite beside."""

import itertools
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from player.client import Client
from player.stack import Stack, StackOptions, running
from tests.app.test_http import BRACKET, LIMITS, Api, placed, until, working

_messages = itertools.count(1)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    out: Path = tmp_path_factory.mktemp("open")
    with running(StackOptions(out=out, lockstep=False, settings=LIMITS)) as started:
        yield started


@pytest.fixture
def api(stack: Stack) -> Api:
    return Api(stack.host_port)


@pytest.fixture
def symbol() -> str:
    return f"S{uuid.uuid4().hex[:8]}"


def quote(venue: Client, symbol: str, bid: int, ask: int, size: int | None = None) -> None:
    sizes = {"bid_size": size and str(size), "ask_size": size and str(size)}
    event = {"kind": "quote", "symbol": symbol, "bid": str(bid), "ask": str(ask), **sizes}
    venue.post("/prices", {"at": datetime.now(UTC).isoformat(), "events": [event]})


@contextmanager
def trading_in_ones(stack: Stack, symbol: str, bid: int, ask: int) -> Iterator[None]:
    """The market goes on beside the test, one at a time."""
    ended = threading.Event()

    def go_on() -> None:
        venue = Client(stack.control_port)
        while not ended.wait(0.02):
            quote(venue, symbol, bid, ask, size=1)
        venue.close()

    market = threading.Thread(target=go_on)
    market.start()
    try:
        yield
    finally:
        ended.set()
        market.join()


def tick(stack: Stack, symbol: str, last: str) -> None:
    event = {
        "sequence_number": next(_messages),
        "enqueued_time": datetime.now(UTC).isoformat(),
        "body": {"kind": "tick", "symbol": symbol, "ts": datetime.now(UTC).isoformat(), "last": last},
    }
    stack.host.post("/devhost/eventhubs/market-data/events", {"partition": "7", "events": [event]})


def ended(api: Api, order_id: str) -> Any:
    return until(lambda: (order := api.order(order_id))["phase"] == "ended" and order)


def position(api: Api, symbol: str) -> Decimal:
    held = {each["symbol"]: each["quantity"] for each in api("GET", "/api/positions")[1]["positions"]}
    return Decimal(held.get(symbol, "0"))


def working_at_venue(stack: Stack, symbol: str) -> list[Any]:
    orders: list[Any] = stack.venue.get("/orders")
    return [order for order in orders if order["symbol"] == symbol and Decimal(order["leaves_quantity"])]


def test_a_bracket_is_amended_again_and_again_while_it_fills_and_then_flattened(
    api: Api, stack: Stack, symbol: str
) -> None:
    order_id = placed(api, symbol=symbol, quantity="20")
    working(api, order_id)
    path = f"/api/orders/{order_id}"
    accepted = 0
    with trading_in_ones(stack, symbol, bid=2999, ask=3000):
        for step in range(15):
            status, answer = api("PATCH", path, {"stop_price": str(2900 + step), "quantity": str(20 + step)})
            assert status == 202 or (status, answer["error"]["field"]) == (409, "quantity"), answer
            accepted += status == 202
        until(lambda: Decimal(api.order(order_id)["children"][0]["cum_quantity"]) >= 5)
        assert api("DELETE", f"{path}?mode=flatten")[0] == 202
        assert api("PATCH", path, {"stop_price": "2950"})[0] == 409
        order = ended(api, order_id)
    assert accepted > 0
    assert len(order["instructions"]) == accepted + 1
    assert order["outcome"] == "closed"
    assert position(api, symbol) == 0
    assert working_at_venue(stack, symbol) == []


def test_the_exits_are_amended_while_one_of_them_fills(api: Api, stack: Stack, symbol: str) -> None:
    order_id = placed(api, symbol=symbol, quantity="20")
    working(api, order_id)
    quote(stack.venue, symbol, 2999, 3000)
    until(lambda: len(api.order(order_id)["children"]) == 3)
    with trading_in_ones(stack, symbol, bid=3050, ask=3051):
        for step in range(10):
            assert api("PATCH", f"/api/orders/{order_id}", {"stop_price": str(2900 + step)})[0] in (202, 409)
        order = ended(api, order_id)
    assert order["outcome"] == "take_profit"
    assert position(api, symbol) == 0
    assert working_at_venue(stack, symbol) == []


def test_a_stop_that_is_kept_here_trades_when_the_market_data_touch_it(api: Api, stack: Stack, symbol: str) -> None:
    order_id = placed(api, symbol=symbol, synthetic=True)
    working(api, order_id)
    quote(stack.venue, symbol, 2999, 3000)
    until(lambda: Decimal(api.order(order_id)["filled_quantity"] or api.order(order_id)["children"][0]["cum_quantity"]))
    assert [child["role"] for child in api.order(order_id)["children"]] == ["entry"]
    quote(stack.venue, symbol, 2950, 2951)

    def stopped() -> Any:
        tick(stack, symbol, "2950")
        order = api.order(order_id)
        return order["phase"] == "ended" and order

    order = until(stopped)
    assert order["outcome"] == "stop_loss"
    assert [row["instruction"]["type"] for row in order["instructions"]] == ["PriceTouched"]
    assert position(api, symbol) == 0


def test_an_order_that_is_cancelled_right_after_it_was_placed_ends(api: Api, symbol: str) -> None:
    ids = []
    for _ in range(5):
        order_id = f"t-{uuid.uuid4().hex[:12]}"
        assert api("POST", "/api/orders", {**BRACKET, "symbol": symbol, "order_id": order_id})[0] == 202
        assert api("DELETE", f"/api/orders/{order_id}")[0] == 202
        ids.append(order_id)
    assert {ended(api, order_id)["outcome"] for order_id in ids} <= {"canceled", "not_sent"}
