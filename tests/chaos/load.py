"""Clients and a market: orders are placed, amended and cancelled over HTTP, and prices move, whatever dies.

What is asked for comes from the seed; what the machine makes of it does not. A client is an at-least-once one: it asks
again, at any host, until it has a definite answer, and now and then also when it has one.
"""

import heapq
import http.client
import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Literal
from zlib import crc32

import msgspec

from player.client import Client, RefusedError, UnreachableError
from player.stack import HUB
from tests.chaos.facts import Promise, PromisedInstruction

SYMBOLS = tuple(f"CH{letter}" for letter in "ABCDEF")
_KINDS = {
    "bracket": 50,
    "trailing": 8,
    "single": 10,
    "oco": 9,
    "multi_leg": 8,
    "twap": 5,
    "iceberg": 5,
    "scale": 5,
}
"""Of a hundred orders, how many are of each kind."""
_CENTRE, _WIDEST = 100.0, 6.0
_STEP, _PULL = 0.25, 0.01
"""By how much a price moves at a time, and is drawn back to the centre. In an outage of some seconds it seldom goes as
far as from one exit to the other: that blocks a symbol."""
_BETWEEN_PRICES, _BETWEEN_TICKS, _BETWEEN_ACTS = 0.15, 1.0, 4.0
_LATEST = 20
"""Trades, of which the venue takes back or corrects one."""
_BETWEEN_LOOKS = 0.5
"""Seconds after which a human looks again whether a symbol is blocked, and unblocks it."""
_TIMEOUT = 4.0
"""Seconds in which a host has to answer a client."""
_BEFORE_ASKING_AGAIN = 0.3
_CLIENTS = 4


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An order to be placed, `at` seconds after the beginning; the prices of `body` are distances from the market's.

    Of the times, `amended` and `cancelled` are seconds after it was accepted.
    """

    at: float
    order_id: str
    body: dict[str, Any]
    repeats: int = 0
    """How often it is placed once more although it was accepted, each time at another host."""
    amended: float | None = None
    amendment: dict[str, str] = {}
    cancelled: float | None = None
    mode: Literal["flatten", "keep_exits"] = "flatten"

    @property
    def protects(self) -> bool:
        """Whether what it fills gets a stop."""
        return self.body["type"] in ("bracket", "trailing", "oco", "scale")


def plans(seed: int, count: int, per_second: float) -> list[Plan]:
    """What clients ask for, from the seed."""
    chance = random.Random(f"{seed} orders")
    return [_plan(chance, number, number / per_second, seed) for number in range(count)]


def _plan(chance: random.Random, number: int, at: float, seed: int) -> Plan:
    (kind,) = chance.choices(list(_KINDS), list(_KINDS.values()))
    order_id = f"chaos-{seed}-{number:04}"
    body: dict[str, Any] = {"type": kind, "order_id": order_id}
    if chance.random() < 0.25:
        body["valid_for"] = chance.randint(3, 12)
    body |= _BODIES[kind](chance)
    is_amended = kind in ("bracket", "trailing") and chance.random() < 0.25
    return Plan(
        at=at,
        order_id=order_id,
        body=body,
        repeats=chance.choices((0, 1, 2), (60, 30, 10))[0],
        amended=chance.uniform(0.2, 6) if is_amended else None,
        amendment={"quantity": str(chance.randint(8, 20))} if is_amended else {},
        cancelled=chance.uniform(0.2, 8) if chance.random() < 0.2 else None,
        mode=chance.choice(("flatten", "keep_exits")),
    )


def _bracket(chance: random.Random) -> dict[str, Any]:
    side, sign = _side(chance)
    entry = -sign * chance.uniform(-0.3, 1.2)
    return {
        "symbol": chance.choice(SYMBOLS),
        "side": side,
        "quantity": str(chance.randint(5, 20)),
        "entry_price": entry,
        "stop_price": entry - sign * chance.uniform(1.7, 3.5),
        "take_profit_price": entry + sign * chance.uniform(1.7, 3.5),
    }


def _trailing(chance: random.Random) -> dict[str, Any]:
    side, sign = _side(chance)
    return {
        "symbol": chance.choice(SYMBOLS),
        "side": side,
        "quantity": str(chance.randint(5, 20)),
        "entry_price": -sign * chance.uniform(-0.3, 1.2),
        "trail": {"amount": f"{chance.uniform(1.5, 3):.2f}", "step": "0.2"},
    }


def _single(chance: random.Random) -> dict[str, Any]:
    side, sign = _side(chance)
    quantity, symbol = str(chance.randint(5, 20)), chance.choice(SYMBOLS)
    if chance.random() < 0.3:
        return {"symbol": symbol, "side": side, "quantity": quantity, "order_type": "market", "reference_price": 0.0}
    return {"symbol": symbol, "side": side, "quantity": quantity, "limit_price": -sign * chance.uniform(-0.3, 2)}


def _oco(chance: random.Random) -> dict[str, Any]:
    distance = chance.uniform(0.8, 2)
    entries: list[dict[str, Any]] = []
    for side, sign in (("buy", 1), ("sell", -1)):
        price = sign * distance
        entry = {"side": side, "quantity": "10", "order_type": "stop", "price": price}
        exits = {"exit_stop_price": price - sign * 3, "exit_take_profit_price": price + sign * 3}
        entries.append(entry | exits)
    return {"symbol": chance.choice(SYMBOLS), "entries": entries, "valid_for": chance.randint(5, 20)}


def _multi_leg(chance: random.Random) -> dict[str, Any]:
    one, other = chance.sample(SYMBOLS, 2)
    legs = [
        {"symbol": one, "side": "buy", "quantity": "12", "price": chance.uniform(-1, 0.5)},
        {"symbol": other, "side": "sell", "quantity": "12", "price": chance.uniform(-0.5, 1)},
    ]
    failure = chance.choice(("unwind", "complete", "keep"))
    return {"legs": legs, "on_leg_failure": failure, "valid_for": chance.randint(5, 15)}


def _twap(chance: random.Random) -> dict[str, Any]:
    side, sign = _side(chance)
    return {
        "symbol": chance.choice(SYMBOLS),
        "side": side,
        "quantity": str(chance.randint(8, 20)),
        "limit_price": -sign * chance.uniform(-0.5, 0.5),
        "duration": chance.randint(4, 15),
        "slices": chance.randint(2, 4),
        "at_end": chance.choice(("leave", "cross")),
    }


def _iceberg(chance: random.Random) -> dict[str, Any]:
    side, sign = _side(chance)
    return {
        "symbol": chance.choice(SYMBOLS),
        "side": side,
        "quantity": str(chance.randint(8, 20)),
        "limit_price": -sign * chance.uniform(-0.3, 0.8),
        "display_quantity": str(chance.randint(2, 6)),
    }


def _scale(chance: random.Random) -> dict[str, Any]:
    side, sign = _side(chance)
    first = -sign * chance.uniform(-0.3, 0.6)
    second = first - sign * 0.5
    return {
        "symbol": chance.choice(SYMBOLS),
        "side": side,
        "rungs": [{"quantity": str(chance.randint(3, 9)), "price": price} for price in (first, second)],
        "stop_price": second - sign * chance.uniform(1.7, 3),
        "take_profit_price": first + sign * chance.uniform(1.7, 3),
    }


def _side(chance: random.Random) -> tuple[str, int]:
    return chance.choice((("buy", 1), ("sell", -1)))


_BODIES: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "bracket": _bracket,
    "trailing": _trailing,
    "single": _single,
    "oco": _oco,
    "multi_leg": _multi_leg,
    "twap": _twap,
    "iceberg": _iceberg,
    "scale": _scale,
}


def placed_at(body: Any, prices: dict[str, float], symbol: str = "") -> Any:
    """The body with its distances added to the prices of its symbols: a float is a distance."""
    if isinstance(body, float):
        return f"{prices[symbol] + body:.2f}"
    if isinstance(body, dict):
        symbol = body.get("symbol", symbol)
        return {name: placed_at(value, prices, symbol) for name, value in body.items()}
    if isinstance(body, list):
        return [placed_at(each, prices, symbol) for each in body]
    return body


class Market:
    """The prices at the venue, and market data for the hosts: a walk from the seed for each symbol."""

    def __init__(self, venue_port: int, host_ports: Sequence[int], seed: int) -> None:
        self._venue = Client(venue_port, timeout=_TIMEOUT)
        self._hosts = [Client(port, timeout=_TIMEOUT) for port in host_ports]
        self._chance = random.Random(f"{seed} prices")
        self.prices = dict.fromkeys(SYMBOLS, _CENTRE)
        self._numbers = itertools.count(1)

    def meddle(self) -> None:
        """What a venue does unasked: it cancels an order, corrects a trade's price or takes a trade back.

        Such a request has no key, so it is about something that is there now, and is not made again where nobody
        answers.
        """
        act = self._chance.choices(("cancel", "correct", "bust"), (5, 3, 2))[0]
        try:
            if act == "cancel":
                working = [
                    each["cl_ord_ids"][-1] for each in self._venue.get("/orders") if each["status"] in ("0", "1")
                ]
                if working:
                    self._venue.post(f"/orders/{self._chance.choice(working)}/cancel")
                return
            trades = self._venue.get("/executions")[-_LATEST:]
            if trades:
                trade = self._chance.choice(trades)
                price = f"{float(trade['price']) + 0.01:.2f}"
                body = {"quantity": trade["quantity"], "price": price} if act == "correct" else None
                self._venue.post(f"/trades/{trade['exec_id']}/{act}", body)
        except (UnreachableError, RefusedError):
            return

    def move(self) -> None:
        """One step of each price, told to the venue; what it does not hear now it hears with the next."""
        sizes: dict[str, str | None] = {}
        for symbol in SYMBOLS:
            price = self.prices[symbol] + self._chance.gauss(0, _STEP) + _PULL * (_CENTRE - self.prices[symbol])
            self.prices[symbol] = price = min(max(price, _CENTRE - _WIDEST), _CENTRE + _WIDEST)
            sizes[symbol] = self._chance.choice((None, None, "3", "7"))
        self._show(sizes)

    def rest(self) -> bool:
        """Let the prices stand where they are, with as much behind them as anybody wants; whether the venue heard."""
        return self._show(dict.fromkeys(SYMBOLS))

    def tell(self) -> None:
        """The prices as market data, to any host: what gets lost is not told again."""
        now = msgspec.to_builtins(datetime.now(UTC))
        events = [
            {
                "enqueued_time": now,
                "sequence_number": next(self._numbers),
                "body": {"kind": "tick", "ts": now, "symbol": symbol, "last": f"{price:.2f}"},
            }
            for symbol, price in self.prices.items()
        ]
        host = self._chance.choice(self._hosts)
        self._try(host, f"/devhost/eventhubs/{HUB}/events", {"partition": "0", "events": events})

    def close(self) -> None:
        for client in (self._venue, *self._hosts):
            client.close()

    def _show(self, sizes: Mapping[str, str | None]) -> bool:
        events = [
            {
                "kind": "quote",
                "symbol": symbol,
                "bid": f"{self.prices[symbol] - 0.05:.2f}",
                "ask": f"{self.prices[symbol] + 0.05:.2f}",
                "bid_size": size,
                "ask_size": size,
            }
            for symbol, size in sizes.items()
        ]
        return self._try(self._venue, "/prices", {"events": events})

    @staticmethod
    def _try(client: Client, path: str, body: Any) -> bool:
        try:
            client.post(path, body)
        except (UnreachableError, RefusedError):
            return False
        return True


class _Desk:
    """Requests to any of the hosts, from one thread: the status and the body of the answer."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports

    def ask(self, host: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status 0: no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[host % len(self._ports)], timeout=_TIMEOUT)
        try:
            encoded = None if body is None else msgspec.json.encode(body)
            connection.request(method, path, encoded, {"Content-Type": "application/json"} if encoded else {})
            response = connection.getresponse()
            text = response.read()
            return response.status, msgspec.json.decode(text) if text else None
        except (OSError, http.client.HTTPException, msgspec.DecodeError):
            return 0, None
        finally:
            connection.close()


class _Asked(msgspec.Struct, kw_only=True):
    """A request until it has its answer."""

    kind: Literal["place", "amend", "cancel"]
    plan: Plan
    host: int
    body: Any = None
    left: int = 0
    """How often it is to be placed once more."""


_IS_DEFINITE = frozenset({200, 201, 202, 400, 404, 409})


class Load:
    """Clients who place the plans at their times, and go on about what they have placed."""

    def __init__(self, planned: Sequence[Plan], market: Market, host_ports: Sequence[int], seed: int) -> None:
        self._market = market
        self._desk = _Desk(host_ports)
        self._chance = random.Random(f"{seed} hosts")
        self._seed = seed
        self._statuses: dict[str, list[int]] = {}
        self._instructed: list[PromisedInstruction] = []
        self.refusals: list[str] = []
        """What was refused for its own sake (400): a plan that cannot be an order."""
        self._due: list[tuple[float, int, _Asked]] = []
        self._ties = itertools.count()
        self._under_way = 0
        self._changed = threading.Condition()
        self._ending = False
        self._placing = True
        self._begun = time.monotonic()
        self._threads = ThreadPoolExecutor(_CLIENTS + 2, thread_name_prefix="load")
        for plan in planned:
            self._put(plan.at, _Asked(kind="place", plan=plan, host=self._any_host(), left=plan.repeats))

    @property
    def placed(self) -> int:
        """How many orders were accepted."""
        return sum(promise.is_accepted for promise in self.promises())

    def start(self) -> None:
        self._begun = time.monotonic()
        self._threads.submit(self._move)
        self._threads.submit(self._unblock)
        for _ in range(_CLIENTS):
            self._threads.submit(self._serve)

    def stop_placing(self) -> None:
        """From now on nothing new is placed; what was begun goes on until it has its answer."""
        with self._changed:
            self._placing = False
            self._due = [
                each for each in self._due if each[2].kind != "place" or each[2].plan.order_id in self._statuses
            ]
            heapq.heapify(self._due)
            self._changed.notify_all()

    def wait_for_answers(self, within: float) -> bool:
        """Whether all that was begun has its definite answer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._due and not self._under_way, within)

    def wind_up(self, order_ids: Sequence[str]) -> None:
        """Cancel about half of these, by the seed, and leave the others as they are."""
        for order_id in order_ids:
            if crc32(f"{self._seed} {order_id}".encode()) % 2:
                plan = Plan(at=0, order_id=order_id, body={})
                self._put(0.0, _Asked(kind="cancel", plan=plan, host=self._any_host()))

    def stop(self) -> None:
        """End the threads; the market stands still from now on."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._threads.shutdown()

    def promises(self) -> list[Promise]:
        """What clients were told of their orders."""
        with self._changed:
            return [Promise(order_id=order_id, statuses=tuple(each)) for order_id, each in self._statuses.items()]

    def promised_instructions(self) -> list[PromisedInstruction]:
        """Of what clients were told that it is kept."""
        with self._changed:
            return list(self._instructed)

    # In threads

    def _move(self) -> None:
        told, acted = 0.0, time.monotonic()
        while not self._ending:
            self._market.move()
            if self._placing and time.monotonic() - acted >= _BETWEEN_ACTS:
                acted = time.monotonic()
                self._market.meddle()
            if time.monotonic() - told >= _BETWEEN_TICKS:
                told = time.monotonic()
                self._market.tell()
            with self._changed:
                self._changed.wait_for(lambda: self._ending, _BETWEEN_PRICES)

    def _unblock(self) -> None:
        """What a human does who is told of a double exit."""
        for host in itertools.count():
            if self._ending:
                return
            status, shown = self._desk.ask(host, "GET", "/api/exposure")
            for symbol in shown["blocked"] if status == 200 else ():
                self._desk.ask(host, "DELETE", f"/api/exposure/blocked?symbol={symbol}")
            with self._changed:
                self._changed.wait_for(lambda: self._ending, _BETWEEN_LOOKS)

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._ending and (not self._due or self._due[0][0] > self._now()):
                    self._changed.wait(self._due[0][0] - self._now() if self._due else None)
                if self._ending:
                    return
                _, _, asked = heapq.heappop(self._due)
                self._under_way += 1
            try:
                self._ask(asked)
            finally:
                with self._changed:
                    self._under_way -= 1
                    self._changed.notify_all()

    def _ask(self, asked: _Asked) -> None:
        plan, path = asked.plan, f"/api/orders/{asked.plan.order_id}"
        if asked.kind == "place":
            asked.body = asked.body or placed_at(plan.body, self._market.prices)
            with self._changed:
                self._statuses.setdefault(plan.order_id, [])  # it has been begun
            status, answer = self._desk.ask(asked.host, "POST", "/api/orders", asked.body)
        elif asked.kind == "amend":
            status, answer = self._desk.ask(asked.host, "PATCH", path, plan.amendment)
        else:
            status, answer = self._desk.ask(asked.host, "DELETE", f"{path}?mode={plan.mode}")
        if status not in _IS_DEFINITE:
            asked.host += 1
            self._put(self._now() + _BEFORE_ASKING_AGAIN, asked)
            return
        with self._changed:
            self._answered(asked, status, answer)

    def _answered(self, asked: _Asked, status: int, answer: Any) -> None:
        plan = asked.plan
        if asked.kind == "place" or status == 404:
            statuses = self._statuses.setdefault(plan.order_id, [])
            is_first = not statuses
            statuses.append(status)
            if status == 400:
                self.refusals.append(f"{plan.order_id}: {answer}")
            elif asked.kind == "place" and is_first:
                self._follow_up(plan)
            if asked.kind == "place" and asked.left and status != 400:
                again = msgspec.structs.replace(asked, host=asked.host + 1, left=asked.left - 1)
                self._put(self._now() + self._chance.choice((0.0, 0.5, 5.0)), again)
        elif status == 202 and asked.kind == "cancel":
            self._instructed.append(PromisedInstruction(order_id=plan.order_id, kind="cancel", mode=plan.mode))
        elif status == 202:
            number = int(answer["number"])
            self._instructed.append(PromisedInstruction(order_id=plan.order_id, kind="amend", number=number))

    def _follow_up(self, plan: Plan) -> None:
        if plan.amended is not None:
            self._put(self._now() + plan.amended, _Asked(kind="amend", plan=plan, host=self._any_host()))
        if plan.cancelled is not None:
            self._put(self._now() + plan.cancelled, _Asked(kind="cancel", plan=plan, host=self._any_host()))

    def _put(self, at: float, asked: _Asked) -> None:
        with self._changed:
            heapq.heappush(self._due, (at, next(self._ties), asked))
            self._changed.notify()

    def _any_host(self) -> int:
        return self._chance.randrange(1000)

    def _now(self) -> float:
        return time.monotonic() - self._begun
