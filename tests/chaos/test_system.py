"""The system under each kind of fault, and what the gateway promises for it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableServiceClient

from player.client import Client
from tests.chaos.faults import Fault, Kind
from tests.chaos.inside import Inside
from tests.chaos.system import Effects, Injected, System

_TAKE_OVER = 2.0
"""Seconds after the lease's time in which another host is logged on."""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("system")) as system:
        yield system
        assert system.died == []


@pytest.fixture
def system(started: System) -> Iterator[System]:
    started.wait_until_healthy()
    yield started
    started.heal_all()


def _fault(kind: Kind, target: str, duration: float = 0.0, **parameters: float | str) -> Fault:
    return Fault(at=0, kind=kind, target=target, duration=duration, parameters=parameters)


def _until(found: Callable[[], bool], within: float) -> float:
    """Seconds until it was found."""
    begun = time.monotonic()
    while not found():
        assert time.monotonic() - begun < within, f"not within {within:g} s"
        time.sleep(0.01)
    return time.monotonic() - begun


def _is_logged_on(system: System, name: str) -> bool:
    status = system.status(name)
    return status is not None and status.logged_on


def _holder(system: System) -> tuple[str, str]:
    """The host that holds the lease, and the other one."""
    holder = system.holder()
    assert holder is not None
    (other,) = set(system.names) - {holder}
    return holder, other


def _logons(system: System) -> list[Any]:
    client = Client(system.control_port)  # the venue may have been killed since the last request
    try:
        return list(client.get("/logons?session=FIX.4.4-VENUE-DESK"))
    finally:
        client.close()


def _at_venue(system: System, order_id: str) -> list[Any]:
    return [order for order in system.venue.get("/orders") if order["cl_ord_ids"][0].startswith(order_id)]


def _sessions_at_once(logons: list[Any]) -> list[Any]:
    return [later for earlier, later in pairwise(logons) if earlier["until"] is None]


def test_two_hosts_run_on_one_file_and_one_of_them_is_logged_on(system: System) -> None:
    def owners() -> set[str]:
        return {status.owner for status in system.statuses() if status is not None}

    _until(lambda: len(owners()) == 1 and owners() != {""}, 5)
    assert [status is not None and status.logged_on for status in system.statuses()].count(True) == 1
    assert system.requests() > 0


def test_after_a_kill_the_other_host_is_logged_on_within_the_lease_time_and_two_seconds(system: System) -> None:
    holder, other = _holder(system)
    system.inject(_fault("kill", "holder", 1.0))
    taken = _until(lambda: _is_logged_on(system, other), system.lease_seconds + _TAKE_OVER)
    assert taken > 0
    assert system.log[-1].what == holder
    system.heal_all()
    system.wait_until_healthy()
    assert not _sessions_at_once(_logons(system))


def test_a_holder_that_is_stopped_past_its_lease_sends_nothing_when_it_goes_on(system: System) -> None:
    """What it sends is seen on its way to the venue, on a connection that nobody closes. The order that it was given
    while it was stopped leaves from the other host, once."""
    holder, other = _holder(system)
    system.inject(_fault("half_open", "fix-proxy", 60, direction="out"))
    stopped = system.inject(_fault("stop", holder, 60))
    before = system.swallowed()
    order = {"type": "single", "symbol": "IBM", "side": "buy", "quantity": "10", "limit_price": "1"}
    order["order_id"] = "stopped-1"
    with ThreadPoolExecutor(1) as giving:
        given = giving.submit(system.hosts[system.names.index(holder)].post, "/api/orders", order)
        _until(lambda: _is_logged_on(system, other), system.lease_seconds + _TAKE_OVER)
        system.heal(stopped)
        given.result()
    _until(lambda: len(_at_venue(system, "stopped-1")) == 1, 10)
    assert not _is_logged_on(system, holder)
    assert _is_logged_on(system, other)
    assert system.swallowed() == before
    system.heal_all()
    assert not _sessions_at_once(_logons(system))
    assert len(_at_venue(system, "stopped-1")) == 1


def test_a_cut_connection_is_made_again_by_the_same_host(system: System) -> None:
    holder, _ = _holder(system)
    logons = len(_logons(system))
    injected = system.inject(_fault("cut", "fix-proxy"))
    system.heal(injected)
    assert injected.had_effect
    _until(lambda: len(_logons(system)) > logons and _is_logged_on(system, holder), 5)


def test_a_killed_venue_knows_its_sessions_again(system: System) -> None:
    logons = len(_logons(system))
    system.inject(_fault("kill", "venue", 0.2))
    system.heal_all()
    _until(lambda: len(_logons(system)) > logons and system.is_logged_on(), 10)


def test_a_killed_azurite_has_lost_nothing_that_it_acknowledged(system: System) -> None:
    service = TableServiceClient.from_connection_string(system.storage_connection)
    table = service.create_table_if_not_exists("kept")
    written = table.create_entity({"PartitionKey": "a", "RowKey": "b", "text": "kept", "number": 7})
    pid = system.pid("azurite")
    system.inject(_fault("kill", "azurite", 0.3))
    system.heal_all()
    assert system.pid("azurite") != pid
    found = table.get_entity("a", "b")
    assert (found["text"], found["number"], found.metadata["etag"]) == ("kept", 7, written["etag"])
    system.wait_until_healthy()


def test_a_holder_whose_storage_fails_gives_way_to_the_other(system: System) -> None:
    _, other = _holder(system)
    system.inject(_fault("storage_errors", "storage-proxy", 60, host="holder"))
    # Its last write may have been just before.
    _until(lambda: _is_logged_on(system, other), system.lease_seconds + _TAKE_OVER)


def test_a_clock_that_jumps_ends_the_session_and_one_that_is_right_again_brings_it_back(system: System) -> None:
    holder, _ = _holder(system)
    wrong = system.inject(_fault("clock", holder, 60, offset=600.0))
    _until(lambda: not system.is_logged_on(), 10)
    system.heal(wrong)
    assert wrong.had_effect
    system.wait_until_healthy(20)


def test_storage_refuses_a_host_whose_clock_is_more_than_a_quarter_of_an_hour_off(system: System) -> None:
    """So another host takes over where the clock of only this one is wrong."""
    holder, other = _holder(system)
    system.inject(_fault("clock", holder, 60, offset=1000.0))
    _until(lambda: _is_logged_on(system, other), system.lease_seconds + _TAKE_OVER)
    system.heal_all()
    system.wait_until_healthy(20)


def test_a_fault_says_whether_it_had_an_effect(system: System) -> None:
    before = system.effects().get("wake_ups", Effects(0, 0))
    idle = system.inject(_fault("wake_ups", "hosts", 60, drop=0.0, repeat=0.0))
    slow = system.inject(_fault("storage_slow", "storage-proxy", 60, seconds=0.01))
    cut = system.inject(_fault("half_open", "fix-proxy", 60, direction="out"))
    stopped = system.inject(_fault("stop", "venue", 1.5))
    _until(lambda: _is_over(stopped), 5)
    system.heal_all()
    assert not idle.had_effect
    assert slow.had_effect
    assert cut.had_effect
    assert stopped.had_effect
    assert system.effects()["wake_ups"] == Effects(before.injected + 1, before.effective)


def test_a_process_that_had_died_by_itself_is_told(system: System) -> None:
    _, other = _holder(system)
    os.kill(system.pid(other), signal.SIGKILL)
    os.waitid(os.P_PID, system.pid(other), os.WEXITED | os.WNOWAIT)
    injected = system.inject(_fault("kill", other))
    system.heal_all()
    assert not injected.had_effect
    (died,) = system.died
    assert died.startswith(f"{other} has ended by itself")
    system.died.clear()


def _is_over(injected: Injected) -> bool:
    return injected.until is not None


def test_what_was_injected_is_logged_with_its_time(system: System) -> None:
    begun = datetime.now(UTC)
    injected = system.inject(_fault("wake_ups", "hosts", 60, drop=0.1, repeat=0.1))
    assert injected is system.log[-1]
    assert not _is_over(injected)
    system.heal(injected)
    assert _is_over(injected)
    assert begun <= injected.since <= (injected.until or begun) <= datetime.now(UTC)


def test_a_fault_ends_by_itself_and_one_on_the_same_process_ends_it_early(system: System) -> None:
    first = system.inject(_fault("stop", "venue", 60))
    second = system.inject(_fault("stop", "venue", 0.1))
    assert _is_over(first)
    _until(lambda: _is_over(second), 2)


_RUNNING = """
import sys, time
from pathlib import Path
from tests.chaos.faults import Fault
from tests.chaos.system import System

with System(Path(sys.argv[1])) as system:
    system.inject(Fault(at=0, kind="stop", target="hosts", duration=60))
    parts = ("azurite", "venue", "fix-proxy", "storage-proxy", "host-a", "host-b")
    print(*(system.pid(name) for name in parts), flush=True)
    time.sleep(60)
"""


def test_nothing_is_left_of_a_system_whose_process_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _RUNNING, str(tmp_path)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        pids = [int(pid) for pid in running.stdout.readline().split()]
        running.kill()
    assert len(pids) == 6
    _until(lambda: not any(_is_running(pid) for pid in pids), 5)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


_ASKING = """
import asyncio, json, time
from datetime import UTC, datetime
from azure.durable_functions.models.DurableOrchestrationClient import DurableOrchestrationClient

calls = []
class Client(DurableOrchestrationClient):
    def __init__(self):
        self._function_invocation_id = None
        self._post_async_request = self._post
        self._get_raise_event_url = lambda *args: ""
    async def _post(self, *args, **options):
        calls.append(args)
        return [202]
async def main():
    client = Client()
    for _ in range(200):
        await client.raise_event("id", "event", None)
asyncio.run(main())
print(json.dumps([len(calls), datetime.now(UTC).timestamp() - time.time()]))
"""


@pytest.mark.parametrize(
    ("drop", "repeat", "fewest", "most"), [(0.0, 0.0, 200, 200), (0.5, 0.0, 60, 140), (0.0, 0.5, 260, 340)]
)
def test_wake_ups_are_dropped_and_repeated_and_the_clock_is_wrong_inside_a_process(
    tmp_path: Path, drop: float, repeat: float, fewest: int, most: int
) -> None:
    inside = Inside(tmp_path / "inside")
    inside.set(offset=-600.0, drop=drop, repeat=repeat)
    asked = subprocess.run(
        [sys.executable, "-c", _ASKING],
        env={**os.environ, **inside.environ},
        capture_output=True,
        check=True,
        text=True,
    )
    calls, off = json.loads(asked.stdout)
    clock, dropped, repeated = inside.effects()
    assert clock > 0
    assert calls == 200 - dropped + repeated
    assert fewest <= calls <= most
    assert off == pytest.approx(-600, abs=1)
