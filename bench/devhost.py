"""How fast the development host is: three-activity orchestrations a second, and what a lockstep batch costs.

Prints one JSON line. `orchestrations_per_second`: so many instances are started over HTTP and run to their end, in a
process of its own, with its state in SQLite. `in_memory_per_second`: the same on `durabletask.testing`, the engine in
memory that Microsoft's newer SDK brings for tests, with client, worker and engine in this process, nothing kept.
`ratio` is the former by the latter. `lockstep_batch_ms`: one Event Hub batch through a trigger with a durable client to
an orchestration of three activities and to idleness, on a virtual clock.
"""

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
from durabletask.client import TaskHubGrpcClient
from durabletask.task import ActivityContext, OrchestrationContext
from durabletask.testing import create_test_backend
from durabletask.worker import TaskHubGrpcWorker

_ROOT = Path(__file__).resolve().parent.parent
_APP = _ROOT / "tests" / "devhost" / "apps" / "basic"
_INSTANCES = 600
_STARTERS = 8
_BATCHES = 300


@contextlib.contextmanager
def _host(*arguments: str) -> Iterator[str]:
    """A host on a free port and a new file; its URL."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "devhost", "start", "--app", str(_APP), "--port", "0"]
        options = ["--db", f"{folder}/devhost.db", *(text.replace("FOLDER", folder) for text in arguments)]
        process = subprocess.Popen(
            [*command, *options], cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield line.rpartition(" ")[2].strip()
        finally:
            process.terminate()
            process.wait(timeout=10)


async def _throughput(url: str) -> float:
    async with aiohttp.ClientSession(url) as session:
        await _start_many(session, "warm", 20)
        begin = time.perf_counter()
        await _start_many(session, "i", _INSTANCES)
        return _INSTANCES / (time.perf_counter() - begin)


async def _start_many(session: aiohttp.ClientSession, prefix: str, count: int) -> None:
    numbers = iter(range(count))

    async def starter() -> None:
        for number in numbers:
            async with session.post(f"/durabletask/orchestrators/chain/{prefix}{number}", json="1") as response:
                response.raise_for_status()

    await asyncio.gather(*(starter() for _ in range(_STARTERS)))
    async with session.get("/devhost/idle?wait=60") as response:
        assert (await response.json())["idle"]


async def _lockstep(url: str) -> float:
    async with aiohttp.ClientSession(url) as session:
        for number in range(20):
            await _batch(session, number)
        begin = time.perf_counter()
        for number in range(20, 20 + _BATCHES):
            await _batch(session, number)
        return (time.perf_counter() - begin) / _BATCHES * 1000


async def _batch(session: aiohttp.ClientSession, number: int) -> None:
    event = {"sequence_number": number, "enqueued_time": "2026-01-05T14:30:00Z", "body": {"value": number}}
    body = {"partition": "0", "events": [event]}
    async with session.post("/devhost/eventhubs/market/events?wait=60", json=body) as response:
        assert (await response.json())["idle"]


def _in_memory() -> float:
    """The same chain on `durabletask.testing`, its instances started before any is waited for."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    backend = create_test_backend(port=port)
    address = f"localhost:{port}"

    def add(_: ActivityContext, number: int) -> int:
        return number + 1

    def chain(context: OrchestrationContext, number: int) -> Generator[Any, Any, int]:
        for _ in range(3):
            number = yield context.call_activity(add, input=number)
        return number

    try:
        with TaskHubGrpcWorker(host_address=address, log_handler=logging.NullHandler()) as worker:
            worker.add_orchestrator(chain)
            worker.add_activity(add)
            worker.start()
            client = TaskHubGrpcClient(host_address=address, log_handler=logging.NullHandler())

            def run(count: int) -> None:
                started = [client.schedule_new_orchestration(chain, input=1) for _ in range(count)]
                for instance in started:
                    state = client.wait_for_orchestration_completion(instance, timeout=120)
                    assert state is not None
                    assert state.serialized_output == "4"

            run(20)
            begin = time.perf_counter()
            run(_INSTANCES)
            return _INSTANCES / (time.perf_counter() - begin)
    finally:
        backend.stop()


def main() -> None:
    """Run the measurements and print them."""
    with _host() as url:
        rate = asyncio.run(_throughput(url))
    in_memory = _in_memory()
    with _host("--virtual-clock", "FOLDER/clock") as url:
        cost = asyncio.run(_lockstep(url))
    result = {
        "benchmark": "devhost",
        "orchestrations_per_second": round(rate, 1),
        "in_memory_per_second": round(in_memory, 1),
        "ratio": round(rate / in_memory, 2),
        "lockstep_batch_ms": round(cost, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
