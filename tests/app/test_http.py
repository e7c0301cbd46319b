"""The app over HTTP, as a process of its own under the development host, with venue and Azurite beside it."""

import http.client
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from player.stack import Stack, StackOptions, running
from storage.alerts import Alerts
from storage.tables import Tables
from trading.market import Tick
from trading.messages import MarketBatch, Numbered, encoded

BRACKET = {
    "type": "bracket",
    "symbol": "IBM",
    "side": "buy",
    "quantity": "10",
    "entry_price": "3000",
    "stop_price": "2950",
    "take_profit_price": "3050",
}
LIMITS = {"MAX_ORDER_NOTIONAL": "100000", "MAX_SYMBOL_NOTIONAL": "250000", "MAX_GROSS_NOTIONAL": "1000000"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {**LIMITS, "SMA_FAST": "2", "SMA_SLOW": "3", "SMA_NOTIONAL": "20000", "SMA_VALID_FOR_SECONDS": "3600"}
    out: Path = tmp_path_factory.mktemp("app")
    with running(StackOptions(out=out, lockstep=False, settings=settings)) as started:
        yield started


@pytest.fixture
def api(stack: Stack) -> "Api":
    return Api(stack.host_port)


class Api:
    """Plain requests: status and JSON."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            text = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            return response.status, msgspec.json.decode(answer) if answer else None
        finally:
            connection.close()

    def order(self, order_id: str) -> Any:
        status, order = self("GET", f"/api/orders/{order_id}")
        assert status == 200, order
        return order


def until(found: Callable[[], Any], within: float = 15) -> Any:
    """What is found once it is true."""
    deadline = time.monotonic() + within
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return value


def placed(api: Api, **changes: object) -> str:
    order_id = f"t-{uuid.uuid4().hex[:12]}"
    status, answer = api("POST", "/api/orders", {**BRACKET, "order_id": order_id, **changes})
    assert (status, answer) == (202, {"order_id": order_id})
    return order_id


def working(api: Api, order_id: str) -> Any:
    def find() -> Any:
        status, order = api("GET", f"/api/orders/{order_id}")
        return order if status == 200 and order.get("children") and order["children"][0]["status"] == "new" else None

    return until(find)


WRONG = {
    "not JSON": (b"{", "body"),
    "not text": (b"\xff\xfe", "body"),
    "no object": (b"[1]", "body"),
    "nothing": (b"", "body"),
    "no type": ({"symbol": "IBM"}, "type"),
    "unknown type": ({**BRACKET, "type": "moon"}, "type"),
    "unknown field": ({**BRACKET, "leverage": 3}, "leverage"),
    "no symbol": ({name: value for name, value in BRACKET.items() if name != "symbol"}, "symbol"),
    "a symbol that is no symbol": ({**BRACKET, "symbol": "I B M"}, "symbol"),
    "unknown side": ({**BRACKET, "side": "hold"}, "side"),
    "quantity zero": ({**BRACKET, "quantity": "0"}, "quantity"),
    "quantity not a number": ({**BRACKET, "quantity": "NaN"}, "quantity"),
    "quantity without an end": ({**BRACKET, "quantity": "1e400"}, "quantity"),
    "quantity a list": ({**BRACKET, "quantity": [1]}, "quantity"),
    "stop above entry": ({**BRACKET, "stop_price": "3001"}, "stop_price"),
    "take-profit below entry": ({**BRACKET, "take_profit_price": "2990"}, "take_profit_price"),
    "limit entry without its price": ({**BRACKET, "entry_price": None}, "entry_price"),
    "valid_for zero": ({**BRACKET, "valid_for": 0}, "valid_for"),
    "valid_for beyond all calendars": ({**BRACKET, "valid_for": 9223372036854775807}, "valid_for"),
    "valid_for half a second": ({**BRACKET, "valid_for": 0.5}, "valid_for"),
    "good till a time that is over": ({**BRACKET, "good_till": "2020-01-02T15:04:05Z"}, "good_till"),
    "an order id with a dot": ({**BRACKET, "order_id": "a.b"}, "order_id"),
    "an order id of the app's own": ({**BRACKET, "order_id": "signals-market-data-0"}, "order_id"),
    "market order without reference": (
        {"type": "single", "symbol": "IBM", "side": "buy", "quantity": "1", "order_type": "market"},
        "reference_price",
    ),
    "limit order with reference": (
        {"type": "single", "symbol": "IBM", "side": "buy", "quantity": "1", "limit_price": "1", "reference_price": "1"},
        "reference_price",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_order_is_answered_with_400_and_the_field(api: Api, what: str) -> None:
    body, field = WRONG[what]
    status, answer = api("POST", "/api/orders", body)
    assert status == 400, answer
    assert set(answer["error"]) == {"field", "value", "message"}
    assert answer["error"]["field"] == field
    assert answer["error"]["message"]


def test_a_wrong_choice_is_answered_with_what_there_is_to_choose_from(api: Api) -> None:
    _, answer = api("POST", "/api/orders", {**BRACKET, "side": "hold"})
    assert answer["error"] == {"field": "side", "value": "hold", "message": "has to be one of buy, sell"}


def test_a_bracket_is_placed_seen_working_cancelled_and_over(api: Api) -> None:
    order_id = placed(api)
    order = working(api, order_id)
    assert order["phase"] == "working"
    assert order["spec"]["entry_price"] == "3000"
    assert order["children"][0]["role"] == "entry"
    assert api("GET", "/api/exposure")[1]["reservations"][order_id]["stakes"][0]["quantity"] == "10"
    assert api("DELETE", f"/api/orders/{order_id}?mode=flatten") == (202, {"order_id": order_id, "mode": "flatten"})
    ended = until(lambda: (order := api.order(order_id))["phase"] == "ended" and order)
    assert ended["outcome"] == "canceled"
    assert ended["filled_quantity"] == "0"
    assert [row["number"] for row in ended["journal"]] == list(range(1, len(ended["journal"]) + 1))
    until(lambda: order_id not in api("GET", "/api/exposure")[1]["reservations"])
    status, answer = api("DELETE", f"/api/orders/{order_id}")
    assert status == 409
    assert answer["error"]["field"] == "id"
    listed = {line["order_id"]: line["outcome"] for line in api("GET", "/api/orders")[1]["orders"]}
    assert listed[order_id] == "canceled"


def test_the_same_order_may_be_placed_again_and_is_one_order(api: Api, stack: Stack) -> None:
    order_id = placed(api)
    body = {**BRACKET, "order_id": order_id, "quantity": "10.0"}
    answers = [api("POST", "/api/orders", body) for _ in range(3)]
    assert answers == [(200, {"order_id": order_id})] * 3
    working(api, order_id)
    assert api("POST", "/api/orders", body) == (200, {"order_id": order_id})
    status, answer = api("POST", "/api/orders", {**BRACKET, "order_id": order_id, "quantity": "11"})
    assert status == 409
    assert answer["error"]["field"] == "order_id"
    api("DELETE", f"/api/orders/{order_id}")
    until(lambda: api.order(order_id)["phase"] == "ended")
    assert api("POST", "/api/orders", body) == (200, {"order_id": order_id})
    entries = [order for order in stack.venue.get("/orders") if order["cl_ord_ids"][0].startswith(f"{order_id}.e")]
    assert len(entries) == 1


def test_an_order_without_an_id_gets_one(api: Api) -> None:
    status, answer = api("POST", "/api/orders", BRACKET)
    assert status == 202
    working(api, answer["order_id"])
    api("DELETE", f"/api/orders/{answer['order_id']}")


def test_a_denied_order_says_by_which_numbers(api: Api) -> None:
    order_id = placed(api, quantity="1000")
    ended = until(lambda: api("GET", f"/api/orders/{order_id}")[1].get("outcome") and api.order(order_id))
    assert ended["outcome"] == "denied"
    assert ended["text"] == "MAX_NOTIONAL: order=3000000 limit=100000"


def test_a_market_order_fills_and_is_a_position(api: Api, stack: Stack) -> None:
    quote = {"kind": "quote", "symbol": "MSFT", "bid": "99", "ask": "100", "bid_size": None, "ask_size": None}
    stack.venue.post("/prices", {"at": datetime.now(UTC).isoformat(), "events": [quote]})
    order_id = f"t-{uuid.uuid4().hex[:12]}"
    body = {"type": "single", "order_id": order_id, "symbol": "MSFT", "side": "buy", "quantity": 3}
    status, _ = api("POST", "/api/orders", {**body, "order_type": "market", "reference_price": 101.5})
    assert status == 202
    until(lambda: api("GET", f"/api/orders/{order_id}")[1].get("outcome") == "filled")
    held = {each["symbol"]: each for each in api("GET", "/api/positions")[1]["positions"]}
    assert (held["MSFT"]["quantity"], held["MSFT"]["average_price"]) == ("3", "100")
    assert api.order(order_id)["timing"]["sent_at"] is not None


def test_an_order_that_nobody_placed_is_not_found(api: Api) -> None:
    for method in ("GET", "DELETE"):
        status, answer = api(method, "/api/orders/nobody")
        assert status == 404
        assert answer["error"]["field"] == "id"


@pytest.mark.parametrize("trick", ["{}%3F", "{}%23", "{}%3Fx=1", "{}%2Fx", "..%2F{}", "%20"])
def test_an_id_that_no_order_can_have_is_not_found_whatever_it_looks_like(api: Api, trick: str) -> None:
    order_id = placed(api)
    working(api, order_id)
    for method in ("GET", "DELETE", "PATCH"):
        assert api(method, f"/api/orders/{trick.format(order_id)}")[0] == 404
    assert api.order(order_id)["phase"] == "working"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1001", "open=maybe"])
def test_a_wrong_parameter_of_the_list_is_named(api: Api, query: str) -> None:
    status, answer = api("GET", f"/api/orders?{query}")
    assert status == 400
    assert answer["error"]["field"] == query.partition("=")[0]


def test_a_wrong_mode_of_cancelling_is_named_and_flatten_is_not_taken_back(api: Api) -> None:
    order_id = placed(api)
    assert api("DELETE", f"/api/orders/{order_id}?mode=later")[1]["error"]["field"] == "mode"
    assert api("DELETE", f"/api/orders/{order_id}?mode=flatten")[0] == 202
    status, _ = api("DELETE", f"/api/orders/{order_id}?mode=keep_exits")
    assert status == 409
    until(lambda: api.order(order_id)["phase"] == "ended")


def test_an_order_is_amended_and_shows_what_it_was_told(api: Api) -> None:
    order_id = placed(api)
    working(api, order_id)
    status, answer = api("PATCH", f"/api/orders/{order_id}", {"quantity": "12", "stop_price": 2900})
    assert (status, answer["order_id"], answer["number"]) == (202, order_id, 1)
    assert (answer["spec"]["quantity"], answer["spec"]["stop_price"]) == ("12", "2900")
    assert api("PATCH", f"/api/orders/{order_id}", {"entry_price": "2940"})[0] == 202
    order = until(lambda: (order := api.order(order_id))["journal"] and order)
    assert order["spec"] == {**answer["spec"], "entry_price": "2940"}
    assert [row["instruction"]["amendment"] for row in order["instructions"]] == [
        {"quantity": "12", "stop_price": "2900"},
        {"entry_price": "2940"},
    ]
    # What it was placed as is what makes a repeat, whatever it is by now.
    assert api("POST", "/api/orders", {**BRACKET, "order_id": order_id})[0] == 200
    api("DELETE", f"/api/orders/{order_id}")
    until(lambda: api.order(order_id)["phase"] == "ended")


def test_an_amendment_that_cannot_be_is_refused_and_leaves_nothing_behind(api: Api) -> None:
    order_id = placed(api)
    working(api, order_id)
    path = f"/api/orders/{order_id}"
    for body, wanted in (
        ({"quantity": "-1"}, (400, "quantity")),
        ({"leverage": 3}, (400, "leverage")),
        ({}, (400, "amendment")),
        ({"display_quantity": "1"}, (409, "display_quantity")),
        ({"stop_price": "3001"}, (409, "stop_price")),
    ):
        status, answer = api("PATCH", path, body)
        assert (status, answer["error"]["field"]) == wanted
    assert api("PATCH", "/api/orders/nobody", {"quantity": "1"})[0] == 404
    assert api.order(order_id)["instructions"] == []
    assert api("DELETE", path)[0] == 202
    assert api("PATCH", path, {"stop_price": "2900"})[0] == 409
    until(lambda: api.order(order_id)["phase"] == "ended")
    status, answer = api("PATCH", path, {"stop_price": "2900"})
    assert (status, answer["error"]["message"]) == (409, "the order has ended: canceled")


def test_orders_are_released_only_where_they_are_held(api: Api) -> None:
    status, answer = api("POST", "/api/session/release")
    assert status == 409
    assert answer["error"]["value"] == "immediate"
    assert api("GET", "/api/session")[1]["logged_on"] is True


def test_what_came_of_each_logon_is_listed(api: Api) -> None:
    until(lambda: api("GET", "/api/session/reconciliations")[1]["reconciliations"])
    status, answer = api("GET", "/api/session/reconciliations?limit=1")
    assert status == 200
    (last,) = answer["reconciliations"]
    assert last["session"] == api("GET", "/api/session")[1]["session"]
    assert last["differences"] == []
    status, answer = api("GET", "/api/session/reconciliations?limit=0")
    assert (status, answer["error"]["field"]) == (400, "limit")


def test_the_interface_describes_itself(api: Api) -> None:
    status, document = api("GET", "/api/openapi.json")
    assert status == 200
    assert document["openapi"] == "3.1.0"
    text = msgspec.json.encode(document).decode()
    references = {part.partition('"')[0] for part in text.split('"$ref":"#/components/schemas/')[1:]}
    assert references <= set(document["components"]["schemas"])
    paths = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert ("post", "/api/orders") in paths
    assert {("delete", "/api/orders/{id}"), ("patch", "/api/orders/{id}")} <= paths
    kinds = document["paths"]["/api/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert len(kinds) == 10


def test_the_same_signal_delivered_five_times_is_one_order_also_after_it_has_ended(api: Api, stack: Stack) -> None:
    prices = ("100", "99", "98", "110")  # the average of two crosses that of three from below with the last
    ticks = [
        Tick(ts=datetime(2026, 1, 5, 14, 30, second, tzinfo=UTC), symbol="SIG", last=Decimal(price))
        for second, price in enumerate(prices)
    ]
    batch = MarketBatch(
        hub="market-data",
        partition="9",
        received_at=datetime.now(UTC),
        events=[Numbered(number=number, data=tick) for number, tick in enumerate(ticks)],
    )
    order_id = "sma-SIG-20260105T143003000Z"

    def deliver(times: int) -> None:
        for _ in range(times):
            path = "/runtime/webhooks/durabletask/orchestrators/signal_pipeline"
            run = stack.host.post(path, encoded(batch))["id"]
            until(lambda: instance(stack, run)["runtimeStatus"] == "Completed")  # noqa: B023 - called in this turn
            assert instance(stack, run)["output"] == {"orders": 1}

    deliver(3)
    working(api, order_id)
    api("DELETE", f"/api/orders/{order_id}")
    until(lambda: api.order(order_id)["phase"] == "ended" and instance(stack, order_id)["runtimeStatus"] == "Completed")
    deliver(2)
    until(lambda: instance(stack, order_id).get("output") == {"outcome": "duplicate"})
    assert api.order(order_id)["outcome"] == "canceled"
    entries = [order for order in stack.venue.get("/orders") if order["cl_ord_ids"][0].startswith(order_id)]
    assert len(entries) == 1


def test_a_message_that_cannot_be_read_is_left_out_and_the_partition_goes_on(api: Api, stack: Stack) -> None:
    prices = ("100", "99", "98", "110")
    bodies: list[object] = [{"kind": "tick", "symbol": "BAD", "ts": "yesterday"}, "junk", {"kind": "bar"}]
    bodies += [
        {"kind": "tick", "symbol": "SIG2", "ts": f"2026-01-05T14:30:0{second}Z", "last": price}
        for second, price in enumerate(prices)
    ]
    events = [
        {"sequence_number": number, "enqueued_time": datetime.now(UTC).isoformat(), "body": body}
        for number, body in enumerate(bodies)
    ]
    stack.host.post("/devhost/eventhubs/market-data/events", {"partition": "3", "events": events})
    order_id = "sma-SIG2-20260105T143003000Z"
    working(api, order_id)
    api("DELETE", f"/api/orders/{order_id}")
    left_out = [alert.key for alert in Alerts(Tables(stack.storage_connection)).list("market-data-3")]
    assert sorted(left_out) == ["message-0", "message-1", "message-2"]


def instance(stack: Stack, instance_id: str) -> Any:
    return stack.host.get(f"/runtime/webhooks/durabletask/instances/{instance_id}")
