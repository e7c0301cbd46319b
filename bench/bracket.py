"""What one bracket costs, from its placement over HTTP to its take-profit, on the development host with a real venue.

Prints one JSON line, with the means of some brackets one after another:

- `history_events` of the order's orchestration, `activities` and `episodes` among them;
- `longest_episode_ms`: the SDK's replay of the whole history, the last episode of a bracket being its longest;
- `storage_transactions`: requests to the tables, less what the idle system makes in that time;
- `billable_executions`: activities, episodes, entity operations and the HTTP trigger, as Azure bills functions. A host
  may run several operations of an entity in one execution: then it is less.
"""

import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from devhost.history import EventType
from orchestrators.order import order
from player.azurite import azurite, connection_string
from player.processes import free_port
from player.stack import Stack, StackOptions, running
from replay.history import History
from replay.recording import HostFile
from tests.chaos.proxies import StorageProxy

_BRACKETS = 20
_IDLE_SECONDS = 10.0
_REPLAYS = 20
_SYMBOL = "IBM"
_BRACKET = {
    "type": "bracket",
    "symbol": _SYMBOL,
    "side": "buy",
    "quantity": "10",
    "entry_price": "100",
    "stop_price": "95",
    "take_profit_price": "105",
    "valid_for": 3600,
}
_LIMITS = dict.fromkeys(("MAX_ORDER_NOTIONAL", "MAX_SYMBOL_NOTIONAL", "MAX_GROSS_NOTIONAL"), "1000000000")


class CountingProxy:
    """Stands before a table service and counts the requests that go through."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._proxy = StorageProxy(target)

    @property
    def requests(self) -> int:
        """How many have come so far."""
        return self._proxy.requests

    async def serve(self) -> None:
        """Until the process ends."""
        await self._proxy.listen([self.port])
        await asyncio.Event().wait()


@contextmanager
def counted() -> Iterator[CountingProxy]:
    """A table service of its own, behind a proxy that counts."""
    port = free_port()
    with azurite(port):
        proxy = CountingProxy(port)
        threading.Thread(target=lambda: asyncio.run(proxy.serve()), daemon=True).start()
        yield proxy


def play(stack: Stack, order_id: str) -> None:
    """One bracket: its entry fills, then its take-profit."""
    stack.host.post("/api/orders", {**_BRACKET, "order_id": order_id})
    _until(lambda: _works(stack, order_id, "entry"))
    _trade(stack, bid="99", ask="100")
    _until(lambda: _works(stack, order_id, "stop") and _works(stack, order_id, "take_profit"))
    _trade(stack, bid="105", ask="106")
    _until(lambda: _instance(stack, order_id)["runtimeStatus"] == "Completed")
    assert _instance(stack, order_id)["output"]["outcome"] == "take_profit"


def _trade(stack: Stack, bid: str, ask: str) -> None:
    quote = {"kind": "quote", "symbol": _SYMBOL, "bid": bid, "ask": ask, "bid_size": None, "ask_size": None}
    stack.venue.post("/prices", {"at": datetime.now(UTC).isoformat(), "events": [quote]})


def _works(stack: Stack, order_id: str, role: str) -> bool:
    live = _instance(stack, order_id).get("customStatus") or {}
    return any(child["role"] == role and child["status"] == "new" for child in live.get("children", []))


def _instance(stack: Stack, instance_id: str) -> Any:
    return stack.host.get(f"/runtime/webhooks/durabletask/instances/{instance_id}")


def _until(found: Callable[[], object], within: float = 15.0) -> None:
    deadline = time.monotonic() + within
    while not found():
        if time.monotonic() > deadline:
            raise TimeoutError("the bracket does not go on")
        time.sleep(0.005)


def longest_episode_ms(history: History) -> float:
    """The SDK's replay of all there is: the quickest of some, so that other processes do not count."""
    payload = json.dumps(
        {
            "history": history.events,
            "input": history.events[1]["Input"],
            "instanceId": history.instance_id,
            "isReplaying": False,
            "parentInstanceId": None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "longRunningTimerIntervalDuration": "3.00:00:00",
            "maximumShortTimerDuration": "6.00:00:00",
        }
    )
    taken = []
    for _ in range(_REPLAYS):
        begin = time.perf_counter()
        order._function._func(payload)
        taken.append((time.perf_counter() - begin) * 1000)
    return min(taken)


def measured(history: History, rows: int) -> dict[str, float]:
    """The figures of one bracket; `rows` are its journal's, of each of which both entities are told."""
    kinds = [event["EventType"] for event in history.events]
    activities, episodes = kinds.count(EventType.TASK_SCHEDULED), kinds.count(EventType.ORCHESTRATOR_STARTED)
    return {
        "history_events": len(kinds),
        "activities": activities,
        "episodes": episodes,
        "longest_episode_ms": longest_episode_ms(history),
        "billable_executions": activities + episodes + kinds.count(EventType.EVENT_SENT) + 2 * rows + 1,
    }


def main() -> None:
    with counted() as proxy, tempfile.TemporaryDirectory() as folder:
        settings = {**_LIMITS, "AzureWebJobsStorage": connection_string(proxy.port)}
        with running(StackOptions(out=Path(folder), lockstep=False, settings=settings)) as stack:
            for number in range(3):
                play(stack, f"warm-{number}")
            begun, before = time.monotonic(), proxy.requests
            for number in range(_BRACKETS):
                play(stack, f"bracket-{number}")
            taken, requests = time.monotonic() - begun, proxy.requests - before
            before = proxy.requests
            time.sleep(_IDLE_SECONDS)
            idle = (proxy.requests - before) / _IDLE_SECONDS * taken
            found = []
            for number in range(_BRACKETS):
                order_id = f"bracket-{number}"
                rows = len(stack.host.get(f"/api/orders/{order_id}")["journal"])
                found.append(measured(HostFile(Path(folder) / "state" / "host.db").history(order_id), rows))
    means = {name: round(mean(each[name] for each in found), 2) for name in found[0]}
    transactions = round((requests - idle) / _BRACKETS, 1)
    print(json.dumps({"benchmark": "bracket", **means, "storage_transactions": transactions}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
