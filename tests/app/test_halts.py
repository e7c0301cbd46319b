"""Halting all trading over HTTP: scenario 28."""

import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import msgspec
import pytest

from player.stack import Stack, StackOptions, running
from storage.orders import OrderRecord, RegisteredOrder
from storage.services import instructions, order_register
from tests.app.entities import AT, Entity, Order, apply
from tests.app.test_http import BRACKET, LIMITS, Api, placed, until, working
from trading.commands import BlockSymbol
from trading.events import Instruction, TradingHalted
from trading.exposure import Account, ExposureState
from trading.identity import ORDER_ID, halt_order_id
from trading.messages import OrderReopened, Placement, RecordDetail, Timing, decoded, encoded
from trading.orders import Side
from trading.specs import BracketSpec, FlattenSpec, SingleSpec
from triggers import halts, requests
from triggers.instructing import tell


class Client:
    """The durable client of a host with one entity, exposure. While `deaf` it hears of nothing; what is said then is
    `late`. The request `overtaking` comes just before whatever else.

    The next halt is number `halt`, one of the test's own: the register keeps what other tests have placed.
    """

    def __init__(self) -> None:
        self.halt = uuid.uuid4().int % 10**9
        before = ExposureState(account=Account(halts=self.halt - 1))
        self.exposure = Entity("exposure")
        self.exposure.raw = msgspec.json.encode({"exposure": before, "applied": {}}).decode()
        self.events: list[str] = []
        self.placed: list[FlattenSpec] = []
        self.deaf = False
        self.late: list[tuple[str, Any]] = []
        self.overtaking: dict[str, Any] | None = None
        self.dead: set[str] = set()

    async def signal_entity(self, entity: df.EntityId, operation: str, given: Any) -> None:
        assert (entity.name, entity.key) == ("exposure", "main")
        if self.overtaking is not None:
            self.exposure.batch(("set_mode", self.overtaking))
        if self.deaf:
            self.late.append((operation, given))
        else:
            self.exposure.batch((operation, given))

    def hear_late(self) -> None:
        """What was said while it was deaf comes now."""
        self.exposure.batch(*self.late)

    async def read_entity_state(self, entity: df.EntityId) -> Any:
        assert entity.name == "exposure"
        return SimpleNamespace(entity_exists=True, entity_state=self.exposure.state)

    async def raise_event(self, instance_id: str, name: str, payload: Any) -> None:
        assert name == "event"
        self.events.append(instance_id)

    async def get_status(self, instance_id: str) -> Any:
        statuses = df.OrchestrationRuntimeStatus
        return SimpleNamespace(runtime_status=statuses.Failed if instance_id in self.dead else statuses.Running)

    async def start_new(self, name: str, instance_id: str, given: Any) -> str:
        assert name == "order"
        placement = decoded(given, Placement)
        spec = placement.spec
        assert isinstance(spec, FlattenSpec)
        assert spec.order_id == instance_id
        self.placed.append(spec)
        # As far as the orchestration goes at once: the register, then exposure.
        order_register().register(instance_id, "token", msgspec.json.encode(spec).decode(), AT)
        decision = self.exposure.batch(("reserve", encoded(placement.reserving())))
        assert decision == [{"approved": True, "reason": ""}]
        return instance_id


def ended_after(last_number: int) -> OrderRecord:
    detail = msgspec.json.encode(RecordDetail(last_number=last_number, timing=Timing())).decode()
    return OrderRecord(outcome="canceled", finished_at=AT, detail=detail)


@pytest.fixture
def client(app: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(halts, "PATIENCE", 0.3)
    for order in order_register().list(open_only=True):  # of other tests
        order_register().finish(order.order_id, ended_after(1_000))
    return Client()


async def ask(client: Client, method: str, body: object = None) -> tuple[int, Any]:
    function = {"POST": halts.halt_trading, "GET": halts.show_halt, "DELETE": halts.resume_trading}[method]
    text = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    request = func.HttpRequest(method, "/api/halt", body=text)
    response = await _user_function(function)(request, client)
    return response.status_code, msgspec.json.decode(response.get_body())


def _user_function(function: Any) -> Any:
    """The function as it is written, under what the SDK has wrapped around it for its own client."""
    return function._function._func.__wrapped__


def told(order: Order) -> list[Instruction]:
    return [row.instruction for row in instructions().read(order.order_id)]


def bracket(client: Client, *, filled: int = 0, symbol: str = "IBM") -> Order:
    """An open bracket for 10 of which so much has filled."""
    order = Order(symbol=symbol)
    order.register(
        BracketSpec(
            order_id=order.order_id,
            symbol=symbol,
            side=Side.BUY,
            quantity=Decimal(10),
            entry_price=Decimal(3000),
            stop_price=Decimal(2950),
            take_profit_price=Decimal(3050),
        )
    )
    client.exposure.batch(("reserve", order.reserving(10, 3000, protected=True)))
    if filled:
        client.exposure.batch(apply(order.filled(filled, 3000)))
    return order


def single(client: Client, *, filled: int, symbol: str = "IBM", side: Side = Side.BUY) -> Order:
    """An open order for 10 without exits, of which so much has filled."""
    order = Order(symbol=symbol, side=side)
    spec = SingleSpec(order_id=order.order_id, symbol=symbol, side=side, quantity=Decimal(10), limit_price=Decimal(100))
    order.register(spec)
    client.exposure.batch(("reserve", order.reserving(10, 100)), apply(order.filled(filled, 100)))
    return order


def opened_again(order: Order) -> None:
    """After an end of which exposure has forgotten the order: the venue has said more, and exposure does not know."""
    order_register().finish(order.order_id, ended_after(1))
    order_register().reopen(order.order_id, 1)


def end(client: Client, order: Order, last_number: int = 1) -> None:
    ended = order.ended(last_number)
    client.exposure.batch(("release", ended))
    order_register().finish(order.order_id, ended_after(last_number))
    client.exposure.batch(("forget", ended))


async def test_28_a_halt_lets_nothing_in_but_what_reduces_and_tells_every_open_order(client: Client) -> None:
    waiting, filled, over = bracket(client), bracket(client, filled=4), single(client, filled=10)
    end(client, over)
    status, answer = await ask(client, "POST", {"reason": "news"})
    assert (status, answer["mode"], answer["reason"], answer["number"]) == (
        202,
        "reducing",
        "news",
        client.halt,
    )
    assert answer["told"] == 2
    assert told(waiting) == told(filled) == [TradingHalted(number=client.halt)]
    assert told(over) == []
    assert sorted(client.events) == sorted([waiting.order_id, filled.order_id])
    assert client.placed == []
    results = client.exposure.batch(
        ("reserve", Order().reserving(1, 3000)),
        ("reserve", Order(side=Side.SELL).reserving(11, 3000)),
        ("reserve", Order(side=Side.SELL).reserving(10, 3000)),
    )
    assert [each["reason"] for each in results] == [
        "REDUCE_ONLY: order=1 position=14 side=buy",
        "REDUCE_ONLY: order=11 position=14 working=4",
        "",
    ]


async def test_28_with_flatten_what_no_open_order_protects_is_closed_and_once_however_often_it_is_asked(
    client: Client,
) -> None:
    protected = bracket(client, filled=4)
    bare, short = single(client, filled=6), single(client, filled=3, symbol="EUR/USD", side=Side.SELL)
    end(client, bare)
    end(client, short)
    for _ in range(2):
        assert (await ask(client, "POST", {"flatten": True}))[0] == 202
    assert told(protected) == [TradingHalted(flatten=True, number=client.halt)] * 2
    assert [(each.order_id, each.symbol, each.side, each.quantity) for each in client.placed] == [
        (f"halt-{client.halt}-EUR_2fUSD", "EUR/USD", Side.SELL, Decimal(3)),
        (f"halt-{client.halt}-IBM", "IBM", Side.BUY, Decimal(6)),
    ]
    assert [each.reference_price for each in client.placed] == [100, Decimal(12600) / 10]
    assert instructions().read(f"halt-{client.halt}-IBM") == []


async def test_what_an_order_without_exits_leaves_is_closed_when_the_halt_is_asked_for_after_its_end(
    client: Client,
) -> None:
    order = single(client, filled=4)
    _, answer = await ask(client, "POST", {"flatten": True})
    assert (answer["closing"], answer["waiting"]) == ({}, ["IBM"])
    client.exposure.batch(apply(order.filled(1, 100)))  # it crossed the cancel
    end(client, order, 2)
    _, answer = await ask(client, "POST", {"flatten": True})
    assert (answer["closing"], answer["waiting"]) == ({"IBM": f"halt-{client.halt}-IBM"}, [])
    assert [each.quantity for each in client.placed] == [5]


async def test_a_closing_order_that_has_ended_and_left_something_is_followed_by_another(client: Client) -> None:
    end(client, single(client, filled=4))
    await ask(client, "POST", {"flatten": True})
    refused = Order(side=Side.SELL)
    refused.order_id = f"halt-{client.halt}-IBM"
    end(client, refused, 0)
    _, answer = await ask(client, "POST", {"flatten": True})
    assert answer["closing"] == {"IBM": f"halt-{client.halt}_2-IBM"}


async def test_a_blocked_symbol_is_named_and_left_until_it_is_unblocked(client: Client) -> None:
    end(client, single(client, filled=4))
    client.exposure.batch(("block", encoded(BlockSymbol(symbol="IBM", reason="DOUBLE_EXIT"))))
    _, answer = await ask(client, "POST", {"flatten": True})
    assert (answer["closing"], answer["blocked"]) == ({}, ["IBM"])
    client.exposure.batch(("unblock", {"symbol": "IBM"}))
    _, answer = await ask(client, "POST", {"flatten": True})
    assert answer["closing"] == {"IBM": f"halt-{client.halt}-IBM"}


async def test_trading_goes_on_after_the_halt_and_the_next_one_is_another(client: Client) -> None:
    number = client.halt
    assert await ask(client, "GET") == (200, {"mode": "open", "reason": "", "flatten": False, "number": number - 1})
    await ask(client, "POST", {"reason": "news"})
    assert await ask(client, "GET") == (200, {"mode": "reducing", "reason": "news", "flatten": False, "number": number})
    for _ in range(2):
        assert await ask(client, "DELETE") == (200, {"mode": "open", "reason": "", "flatten": False, "number": number})
    assert (await ask(client, "POST"))[1]["number"] == number + 1


async def test_a_halt_that_does_not_come_about_is_not_claimed_and_tells_nobody(client: Client) -> None:
    order = bracket(client)
    client.deaf = True
    for method, mode in (("POST", "reducing"), ("DELETE", "open")):
        status, answer = await ask(client, method)
        assert status == 503
        assert (answer["error"]["field"], answer["error"]["value"]) == ("mode", mode)
    assert told(order) == []


async def test_a_resumption_that_comes_late_does_not_lift_the_halt_that_came_after_it(client: Client) -> None:
    await ask(client, "POST", {"reason": "news"})
    client.deaf = True
    assert (await ask(client, "DELETE"))[0] == 503
    client.deaf = False
    assert (await ask(client, "DELETE"))[0] == 200
    assert (await ask(client, "POST", {"reason": "more news"}))[0] == 202
    client.hear_late()
    view = {"mode": "reducing", "reason": "more news", "flatten": False, "number": client.halt + 1}
    assert await ask(client, "GET") == (200, view)


async def test_a_halt_that_comes_late_does_not_close_what_is_held_after_trading_was_resumed(client: Client) -> None:
    end(client, single(client, filled=4))
    client.deaf = True
    assert (await ask(client, "POST", {"flatten": True}))[0] == 503
    client.deaf = False
    assert (await ask(client, "POST"))[0] == 202
    assert (await ask(client, "DELETE"))[0] == 200
    client.hear_late()
    await halts.keep_halt(client)
    assert (await ask(client, "GET"))[1]["mode"] == "open"
    assert client.placed == []


@pytest.mark.parametrize(
    ("method", "body", "other", "status"),
    [
        ("POST", {}, {"mode": "open"}, 409),
        ("POST", {"flatten": True}, {"mode": "reducing"}, 409),
        ("POST", {}, {"mode": "reducing", "flatten": True}, 202),
        ("DELETE", None, {"mode": "reducing"}, 409),
        ("DELETE", None, {"mode": "open"}, 200),
    ],
)
async def test_who_is_overtaken_by_another_request_hears_what_is_the_case(
    client: Client, method: str, body: object, other: dict[str, Any], status: int
) -> None:
    """Ours is not carried out then, and never will be: it is answered as wanted only where it is so all the same."""
    await ask(client, "POST" if method == "DELETE" else "DELETE")
    order = bracket(client)
    client.overtaking = {"request": uuid.uuid4().hex, **other}
    answered, answer = await ask(client, method, body)
    assert answered == status
    account = client.exposure.state["exposure"]["account"]
    assert (account["mode"], account["requests"][-1]) == (other["mode"], client.overtaking["request"])
    if status == 409:
        assert answer["error"]["field"] == "mode"
        assert told(order) == []


async def test_an_order_that_cannot_be_told_is_named_and_the_others_are_told(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bracket(client), bracket(client)

    async def fail_for_first(client: Any, order_id: str, instruction: Instruction) -> object:
        if order_id == first.order_id:
            raise OSError("storage is away")
        return await tell(client, order_id, instruction)

    monkeypatch.setattr(halts, "tell", fail_for_first)
    status, answer = await ask(client, "POST", {"flatten": True})
    assert status == 503
    assert (answer["error"]["field"], answer["error"]["value"]) == ("orders", [first.order_id])
    assert told(second) == [TradingHalted(flatten=True, number=client.halt)]
    assert (await ask(client, "GET"))[1]["mode"] == "reducing"


async def test_a_halt_is_seen_through_by_the_sweep_where_the_process_that_was_asked_for_it_dies(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    protected = bracket(client, filled=4)
    end(client, single(client, filled=6))

    async def die(*_: object) -> list[str]:
        raise SystemError

    with monkeypatch.context() as patch:
        patch.setattr(halts, "_tell_all", die)
        with pytest.raises(SystemError):
            await ask(client, "POST", {"flatten": True})
    assert told(protected) == []
    for _ in range(2):
        await halts.keep_halt(client)
    assert told(protected) == [TradingHalted(flatten=True, number=client.halt)]
    assert [(each.symbol, each.quantity) for each in client.placed] == [("IBM", Decimal(6))]


async def test_the_sweep_closes_what_had_to_wait_when_the_halt_was_asked_for(client: Client) -> None:
    order = single(client, filled=4)
    await ask(client, "POST", {"flatten": True})
    await halts.keep_halt(client)
    assert client.placed == []
    end(client, order)
    await halts.keep_halt(client)
    assert [each.quantity for each in client.placed] == [4]


async def test_an_order_that_is_opened_again_while_trading_is_halted_hears_of_the_halt(client: Client) -> None:
    order = single(client, filled=10)
    end(client, order)
    await ask(client, "POST", {"reason": "news"})
    opened_again(order)
    for _ in range(2):
        await halts.keep_halt(client)
    assert told(order) == [TradingHalted(number=client.halt)]


async def test_an_order_hears_of_each_halt_and_once_more_where_it_is_to_close_after_all(client: Client) -> None:
    order, number = bracket(client, filled=4), client.halt
    for halt, body in ((number, {}), (number, {"flatten": True}), (number + 1, {})):
        if halt > number:
            await ask(client, "DELETE")
        await ask(client, "POST", body)
        await halts.keep_halt(client)
    assert told(order) == [
        TradingHalted(number=number),
        TradingHalted(number=number, flatten=True),
        TradingHalted(number=number + 1),
    ]


async def test_the_sweep_tells_nobody_of_a_halt_that_is_over_nor_an_order_that_may_be_placed_in_one(
    client: Client,
) -> None:
    held = single(client, filled=10)
    end(client, held)
    await ask(client, "POST", {})
    reducing, denied = Order(side=Side.SELL), Order()
    client.exposure.batch(("reserve", reducing.reserving(4, 100)))
    for order in (reducing, denied):
        order_register().register(order.order_id, "token", "{}", AT)
    await halts.keep_halt(client)
    assert told(reducing) == told(denied) == []
    await ask(client, "DELETE")
    order = bracket(client)
    await halts.keep_halt(client)
    assert told(order) == []


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[None]], *, looks: int = 1) -> None:
    """Something happens while a halt is being carried out: as it looks for the open orders for the n-th time."""
    look, left = halts._open_orders, [looks]

    async def looked() -> list[RegisteredOrder]:
        left[0] -= 1
        found = await look()
        if left[0] == 0:
            await happens()
        return found

    monkeypatch.setattr(halts, "_open_orders", looked)


async def test_a_sweep_that_was_stopped_does_not_close_what_was_bought_after_the_halt(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(client, single(client, filled=4))
    await ask(client, "POST", {"flatten": False})
    client.exposure.batch(("set_mode", {"mode": "reducing", "flatten": True, "request": "another process, which dies"}))

    async def closed_lifted_and_bought() -> None:
        await halts.keep_halt(client)
        closing = Order(side=Side.SELL)
        closing.order_id = client.placed[0].order_id
        client.exposure.batch(apply(closing.filled(4, 100, child="c1")))
        end(client, closing)
        await ask(client, "DELETE")
        end(client, single(client, filled=5))

    meanwhile(monkeypatch, closed_lifted_and_bought)
    await halts.keep_halt(client)
    assert [(each.order_id, each.quantity) for each in client.placed] == [(f"halt-{client.halt}-IBM", Decimal(4))]


async def test_a_closing_order_whose_start_comes_after_the_halt_is_denied(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(client, single(client, filled=4))
    late: list[Placement] = []

    async def keep(name: str, instance_id: str, given: Any) -> str:
        late.append(decoded(given, Placement))
        return instance_id

    monkeypatch.setattr(client, "start_new", keep)
    await ask(client, "POST", {"flatten": True})
    await ask(client, "DELETE")
    reserving = ("reserve", encoded(late[0].reserving()))
    reason = f"HALT_OVER: halt={client.halt} mode=open number={client.halt}"
    assert client.exposure.batch(reserving) == [{"approved": False, "reason": reason}]


async def test_a_sweep_that_was_stopped_tells_nobody_of_a_halt_that_is_over(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = single(client, filled=10)
    end(client, order)
    await ask(client, "POST", {"reason": "news"})
    opened_again(order)

    async def lifted() -> None:
        await ask(client, "DELETE")

    meanwhile(monkeypatch, lifted)
    await halts.keep_halt(client)
    assert told(order) == []


@pytest.mark.parametrize("looks", [1, 2])
@pytest.mark.parametrize("methods", [["DELETE"], ["DELETE", "POST"]])
async def test_who_asks_for_a_halt_that_is_over_before_it_is_carried_out_hears_that(
    client: Client, monkeypatch: pytest.MonkeyPatch, looks: int, methods: list[str]
) -> None:
    """`looks` of 1: before the orders are told; of 2: before positions are closed."""
    end(client, single(client, filled=4))
    order = bracket(client, symbol="MSFT")

    async def lifted() -> None:
        for method in methods:
            await ask(client, method)

    meanwhile(monkeypatch, lifted, looks=looks)
    status, answer = await ask(client, "POST", {"flatten": True})
    assert (status, answer["error"]["field"]) == (409, "mode")
    assert client.placed == []
    of_this = [each for each in told(order) if isinstance(each, TradingHalted) and each.number == client.halt]
    assert len(of_this) == looks - 1


async def test_what_an_order_holds_that_was_opened_again_is_not_closed_before_exposure_knows_whose_it_is(
    client: Client,
) -> None:
    order = bracket(client, filled=4)
    end(client, order)
    opened_again(order)
    client.exposure.batch(apply(order.filled(1, 3000)))
    status, answer = await ask(client, "POST", {"flatten": True})
    assert (status, answer["closing"], answer["waiting"]) == (202, {}, ["IBM"])
    await halts.keep_halt(client)
    assert client.placed == []
    client.exposure.batch(("reopen", encoded(OrderReopened(order_id=order.order_id))))
    _, answer = await ask(client, "POST", {"flatten": True})
    assert (answer["closing"], answer["waiting"]) == ({}, [])


async def test_a_halt_names_the_open_orders_whose_orchestration_has_died(client: Client) -> None:
    alive, dead = bracket(client), bracket(client)
    client.dead = {dead.order_id}
    status, answer = await ask(client, "POST", {})
    assert (status, answer["told"], answer["unattended"]) == (202, 2, [dead.order_id])
    assert told(alive) == told(dead) == [TradingHalted(number=client.halt)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[1]", "body"),
        ({"flatten": "yes"}, "flatten"),
        ({"reason": "x" * 201}, "reason"),
        ({"symbol": "IBM"}, "symbol"),
    ],
)
async def test_a_wrong_request_is_answered_with_400_and_the_field(client: Client, body: object, field: str) -> None:
    status, answer = await ask(client, "POST", body)
    assert status == 400
    assert answer["error"]["field"] == field
    assert (await ask(client, "GET"))[1]["mode"] == "open"


@pytest.mark.parametrize("symbol", ["IBM", "EUR/USD", "A.B", "A_B", "A-B", "^" * 32, "X" * 32])
def test_the_id_of_a_closing_order_is_one_of_its_own_that_no_client_may_take(symbol: str) -> None:
    ids = {halt_order_id(halt, symbol, attempt) for halt in (1, 12) for attempt in (1, 2)}
    assert len(ids) == 4
    assert all(ORDER_ID.fullmatch(each) for each in ids)
    assert halt_order_id(1, symbol) != halt_order_id(1, symbol + "x")
    with pytest.raises(requests.BadRequestError, match="must not begin with"):
        requests.read_order(msgspec.json.encode({**BRACKET, "order_id": ids.pop()}), "generated")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    out: Path = tmp_path_factory.mktemp("halts")
    with running(StackOptions(out=out, lockstep=False, settings=dict(LIMITS))) as started:
        yield started


def test_on_the_host_an_order_is_denied_while_trading_is_halted_and_placed_after(stack: Stack) -> None:
    api = Api(stack.host_port)
    assert api("GET", "/api/halt") == (200, {"mode": "open", "reason": "", "flatten": False, "number": 0})
    status, answer = api("POST", "/api/halt", {"reason": "news"})
    assert (status, answer["mode"], answer["told"]) == (202, "reducing", 0)
    denied = placed(api)
    until(lambda: api("GET", f"/api/orders/{denied}")[1].get("outcome") == "denied")
    assert api.order(denied)["text"] == "REDUCE_ONLY: order=10 position=0"
    assert api("DELETE", "/api/halt") == (200, {"mode": "open", "reason": "", "flatten": False, "number": 1})
    approved = f"t-{uuid.uuid4().hex}"
    assert api("POST", "/api/orders", {**BRACKET, "order_id": approved})[0] == 202
    working(api, approved)
    api("DELETE", f"/api/orders/{approved}")
    outcome(api, approved)


def quote(stack: Stack, symbol: str, bid: int, ask: int) -> None:
    event = {"kind": "quote", "symbol": symbol, "bid": str(bid), "ask": str(ask), "bid_size": None, "ask_size": None}
    stack.venue.post("/prices", {"at": datetime.now(UTC).isoformat(), "events": [event]})


def outcome(api: Api, order_id: str) -> Any:
    return until(lambda: api("GET", f"/api/orders/{order_id}")[1].get("outcome"))


def position(api: Api, symbol: str) -> str:
    held = {each["symbol"]: each["quantity"] for each in api("GET", "/api/positions")[1]["positions"]}
    return str(held.get(symbol, "0"))


def test_28_on_the_host_entries_are_cancelled_exits_stay_and_with_flatten_all_positions_are_closed(
    stack: Stack,
) -> None:
    api = Api(stack.host_port)
    waiting = placed(api)
    working(api, waiting)
    quote(stack, "AAPL", 100, 101)
    prices = {"symbol": "AAPL", "entry_price": "101", "stop_price": "90", "take_profit_price": "120"}
    protected = placed(api, **prices)
    until(lambda: len(api.order(protected).get("children", [])) == 3)
    quote(stack, "MSFT", 99, 100)
    bought = f"t-{uuid.uuid4().hex}"
    single = {"type": "single", "symbol": "MSFT", "side": "buy", "quantity": "3", "order_type": "market"}
    assert api("POST", "/api/orders", {**single, "order_id": bought, "reference_price": "100"})[0] == 202
    assert outcome(api, bought) == "filled"

    status, answer = api("POST", "/api/halt")
    assert (status, answer["told"]) == (202, 2)
    outcome(api, waiting)
    assert api.order(waiting)["filled_quantity"] == "0"
    assert [each["status"] for each in api.order(protected)["children"]] == ["filled", "new", "new"]

    status, answer = api("POST", "/api/halt", {"flatten": True})
    assert (status, list(answer["closing"])) == (202, ["MSFT"])
    outcome(api, answer["closing"]["MSFT"])
    outcome(api, protected)
    until(lambda: position(api, "AAPL") == position(api, "MSFT") == "0")
    status, answer = api("POST", "/api/halt", {"flatten": True})
    assert (status, answer["told"], answer["closing"], answer["waiting"]) == (202, 0, {}, [])
    assert api("DELETE", "/api/halt")[0] == 200


def test_38_on_the_host_an_order_that_may_only_reduce_takes_no_more_than_there_is(stack: Stack) -> None:
    api = Api(stack.host_port)
    quote(stack, "ORCL", 100, 100)
    market = {"type": "single", "symbol": "ORCL", "order_type": "market", "reference_price": "100"}

    def ended(side: str, quantity: str, *, reduce_only: bool) -> str:
        order_id = f"t-{uuid.uuid4().hex}"
        body = {**market, "order_id": order_id, "side": side, "quantity": quantity, "reduce_only": reduce_only}
        assert api("POST", "/api/orders", body)[0] == 202
        return f"{outcome(api, order_id)} {api.order(order_id)['text']}"

    assert ended("buy", "10", reduce_only=False).startswith("filled")
    assert ended("sell", "15", reduce_only=True) == "denied REDUCE_ONLY: order=15 position=10"
    assert ended("sell", "10", reduce_only=True).startswith("filled")
    assert position(api, "ORCL") == "0"


def test_the_legs_of_an_order_are_positions_of_their_own_and_its_reservation_ends_with_it(stack: Stack) -> None:
    api = Api(stack.host_port)
    quote(stack, "A1", 100, 100)
    quote(stack, "B1", 50, 50)
    order_id = f"t-{uuid.uuid4().hex}"
    legs = [
        {"symbol": symbol, "side": side, "quantity": "10", "order_type": "market", "reference_price": price}
        for symbol, side, price in (("A1", "buy", "100"), ("B1", "sell", "50"))
    ]
    assert api("POST", "/api/orders", {"type": "multi_leg", "order_id": order_id, "legs": legs})[0] == 202
    assert outcome(api, order_id) == "filled"
    assert (position(api, "A1"), position(api, "B1")) == ("10", "-10")
    until(lambda: order_id not in api("GET", "/api/exposure")[1]["reservations"])
