"""Several hosts on one file, as real processes: they share the work; nothing is lost or doubled when one is gone."""

import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.devhost.running import RunningHost, wait_until

_STEPS = 3


class _Note:
    """A line of what the app did: which process, and when."""

    def __init__(self, line: str) -> None:
        self.what, pid, moment = line.rsplit(" ", 2)
        self.pid = int(pid)
        self.moment = float(moment)


def _notes(folder: Path, begin: str) -> list[_Note]:
    path = folder / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    return [note for note in map(_Note, lines) if note.what.startswith(begin)]


@contextmanager
def _hosts(folder: Path, count: int, *options: str) -> Iterator[list[RunningHost]]:
    """So many hosts, once each has its share of the partitions."""
    with ExitStack() as stack:
        hosts = [_host(stack, folder, *options) for _ in range(count)]
        _wait_for_shares(folder, hosts)
        yield hosts


def _host(stack: ExitStack, folder: Path, *options: str) -> RunningHost:
    return stack.enter_context(RunningHost("shared", folder, *options, settings={"NOTES": str(folder / "notes")}))


def _shares(folder: Path) -> dict[int, int]:
    """How many partitions each process has."""
    with closing(sqlite3.connect(folder / "devhost.db")) as connection:
        owners = connection.execute("SELECT owner FROM partition WHERE owner IS NOT NULL").fetchall()
    return dict(Counter(int(owner.split("-")[0]) for (owner,) in owners))


def _wait_for_shares(folder: Path, hosts: list[RunningHost]) -> None:
    def is_fair() -> bool:
        shares = _shares(folder)
        numbers = sorted(shares.values())
        return (
            set(shares) == {host.process.pid for host in hosts} and sum(numbers) == 4 and numbers[-1] - numbers[0] <= 1
        )

    wait_until(is_fair, f"{len(hosts)} hosts to have equal shares")


def _pause(host: RunningHost, folder: Path) -> None:
    """Stop the process, but not within a transaction: nobody could write to the file then."""
    while True:
        host.process.send_signal(signal.SIGSTOP)
        with closing(sqlite3.connect(folder / "devhost.db", isolation_level=None, timeout=0.1)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                host.process.send_signal(signal.SIGCONT)
                continue
            connection.execute("ROLLBACK")
            return


def _start_ways(hosts: list[RunningHost], count: int) -> None:
    for number in range(count):
        hosts[number % len(hosts)].start("way", f"way-{number}")


def _check_ways(host: RunningHost, count: int) -> None:
    for number in range(count):
        assert host.wait_for(f"way-{number}") == "arrived"
    for step in range(_STEPS):
        assert host.entity("counter", f"steps-{step}") == count


@pytest.mark.parametrize("count", [2, 3])
def test_hosts_share_the_load_and_everything_is_done_once(tmp_path: Path, count: int) -> None:
    with _hosts(tmp_path, count) as hosts:
        _start_ways(hosts, 24)
        _check_ways(hosts[-1], 24)
        steps = _notes(tmp_path, "step ")
        assert Counter(note.what for note in steps) == {
            f"step way-{number}-{step}": 1 for number in range(24) for step in range(_STEPS)
        }
        assert {note.pid for note in steps} == {host.process.pid for host in hosts}


def test_when_one_host_is_killed_the_other_goes_on_at_once(tmp_path: Path) -> None:
    with _hosts(tmp_path, 2) as (dying, living):
        _start_ways([dying, living], 24)
        wait_until(lambda: len(_notes(tmp_path, "step ")) > 12, "the load to be under way")
        dying.kill()
        _wait_for_shares(tmp_path, [living])
        _check_ways(living, 24)
        assert {note.what for note in _notes(tmp_path, "step ")} == {
            f"step way-{number}-{step}" for number in range(24) for step in range(_STEPS)
        }


def test_a_host_that_was_stopped_past_its_lease_doubles_nothing_when_it_goes_on(tmp_path: Path) -> None:
    with _hosts(tmp_path, 2) as (hanging, living):
        _start_ways([hanging, living], 16)
        for number in range(4):
            living.start("gated", f"gated-{number}", str(tmp_path / "gate"))
        wait_until(lambda: len(_notes(tmp_path, "step ")) > 8, "the load to be under way")
        wait_until(lambda: len(_notes(tmp_path, "gate ")) == 4, "the gates to be reached")
        _pause(hanging, tmp_path)
        try:
            _wait_for_shares(tmp_path, [living])
            _check_ways(living, 16)
            hanging.process.send_signal(signal.SIGCONT)
            _wait_for_shares(tmp_path, [hanging, living])
        finally:
            hanging.process.send_signal(signal.SIGCONT)
        (tmp_path / "gate").touch()
        for number in range(4):
            assert hanging.wait_for(f"gated-{number}") == "open"
        _check_ways(hanging, 16)
        for number in range(16):
            kinds = [event["EventType"] for event in _history(hanging, f"way-{number}")]
            assert kinds.count("TaskCompleted") == _STEPS
            assert kinds.count("TimerFired") == _STEPS


def _history(host: RunningHost, instance: str) -> list[dict[str, str]]:
    _, answer = host.call("GET", f"/durabletask/instances/{instance}?showHistory=true")
    found: list[dict[str, str]] = answer["historyEvents"]
    return found


def test_partitions_are_shared_anew_when_a_host_joins_and_when_one_leaves(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = _host(stack, tmp_path)
        _wait_for_shares(tmp_path, [first])
        second = _host(stack, tmp_path)
        _wait_for_shares(tmp_path, [first, second])
        third = _host(stack, tmp_path)
        _wait_for_shares(tmp_path, [first, second, third])
        first.start("gated", "g", str(tmp_path / "gate"))
        wait_until(lambda: bool(_notes(tmp_path, "gate ")), "the activity to run")
        first.stop()
        assert first.process.returncode == 0
        _wait_for_shares(tmp_path, [second, third])
        (tmp_path / "gate").touch()
        assert third.wait_for("g") == "open"


def test_a_request_may_arrive_at_any_host(tmp_path: Path) -> None:
    with _hosts(tmp_path, 2) as (one, other):
        names = [f"a-{number}" for number in range(8)]
        for name in names:
            one.start("approval", name)
            assert other.raise_event(name, "approve", 1) == 202
            assert one.raise_event(name, "confirm", 2) == 202
        assert [other.wait_for(name) for name in names] == [[1, 2]] * 8
        for name in names:
            assert one.raise_event(name, "approve") == 410
            status, _ = one.call("POST", f"/durabletask/instances/{name}/restart?restartWithNewInstanceId=false")
            assert status == 202
            assert other.call("POST", f"/durabletask/orchestrators/approval/{name}")[0] == 409
            other.call("POST", f"/durabletask/instances/{name}/suspend?reason=tea")
            one.wait_for(name, "Suspended")
            one.call("POST", f"/durabletask/instances/{name}/resume?reason=work")
            other.wait_for(name, "Running")
            other.call("POST", f"/durabletask/instances/{name}/terminate?reason=enough")
            assert one.wait_for(name, "Terminated") == "enough"
            assert other.call("DELETE", f"/durabletask/instances/{name}") == (200, {"instancesDeleted": 1})
            assert one.call("GET", f"/durabletask/instances/{name}")[0] == 404
            for host in (one, other):
                host.call("POST", f"/durabletask/entities/counter/{name}?op=add", "2")
        wait_until(lambda: all(one.entity("counter", name) == 4 for name in names), "the counters to be 4")


def _wait_for_input(host: RunningHost, instance: str, value: str) -> None:
    wait_until(lambda: host.status(instance)["input"] == value, f"the generation of {instance} with {value} left")


def test_events_that_arrive_at_another_host_while_a_generation_ends_are_kept_in_order(tmp_path: Path) -> None:
    with _hosts(tmp_path, 2) as (one, other):
        for name in ("r-0", "r-1", "r-2"):
            one.start("rounds", name, 5)
            for number in range(5):
                _wait_for_input(one, name, str(5 - number))
                assert (one, other)[number % 2].raise_event(name, "go", number) == 202
            assert other.wait_for(name) == 4


def test_a_timer_trigger_and_an_event_hub_partition_run_on_one_host_at_a_time(tmp_path: Path) -> None:
    with _hosts(tmp_path, 2) as (one, other):
        for number in range(10):
            for partition in ("0", "1", "2", "3"):
                event = {"sequence_number": number, "enqueued_time": "2026-01-05T14:30:00Z", "body": {}}
                body = {"partition": partition, "events": [event]}
                host = (one, other)[number % 2]
                assert host.call("POST", "/devhost/eventhubs/market/events", body)[0] == 202
        wait_until(lambda: len(_notes(tmp_path, "batch ")) >= 40, "the batches")
        for partition in ("0", "1", "2", "3"):
            notes = _notes(tmp_path, f"batch {partition} ")
            assert [note.what for note in notes] == [f"batch {partition} {number}" for number in range(10)]
        begin = len(_notes(tmp_path, "tick"))
        wait_until(lambda: len(_notes(tmp_path, "tick")) >= begin + 2, "two runs of the timer trigger")
        seconds = [int(note.moment) for note in _notes(tmp_path, "tick")]
        assert len(set(seconds)) == len(seconds), seconds


@pytest.mark.parametrize("hidden", [True, False])
def test_what_a_dead_host_held_is_hidden_only_if_that_is_asked_for(tmp_path: Path, hidden: bool) -> None:
    """host.json: partitions 1 s, messages 3 s, activities 4 s; all renewed about when a third of the time is over."""
    options = ["--visibility-timeouts"] if hidden else []
    gate = str(tmp_path / "gate")
    with ExitStack() as stack:
        dying = _host(stack, tmp_path, *options)
        dying.start("gated", "g", gate)
        dying.call("POST", "/durabletask/entities/counter/k?op=wait", json.dumps(gate))
        wait_until(lambda: len(_notes(tmp_path, "gate ") + _notes(tmp_path, "operation ")) == 2, "both to run")
        dying.kill()
        died = time.time()
        (tmp_path / "gate").touch()
        living = _host(stack, tmp_path, *options)
        ready = time.time()
        living.start("way", "w")
        assert living.wait_for("g") == "open"
        wait_until(lambda: living.entity("counter", "k") == 1, "the operation to run again")
        living.wait_for("w")

        def after(kind: str) -> float:
            return _notes(tmp_path, kind)[-1].moment - (died if hidden else ready)

        if hidden:
            assert after("step w-0") > 0.3
            assert after("operation ") > 1.3
            assert after("gate ") > 2.2
        else:
            assert max(after("step w-0"), after("operation "), after("gate ")) < 2


@pytest.mark.parametrize("how", ["quick", "hang"])
def test_at_sigterm_functions_end_and_exit_handlers_run(tmp_path: Path, how: str) -> None:
    settings = {"NOTES": str(tmp_path / "notes"), "AT_EXIT": how}
    with RunningHost("shared", tmp_path, settings=settings) as host:
        host.start("way", "w")
        wait_until(lambda: bool(_notes(tmp_path, "step ")), "an activity to run")
        assert host.stop() < 4
        assert host.process.returncode == 0
        assert _shares(tmp_path) == {}
        assert len(_notes(tmp_path, "exit")) == (how == "quick")
        assert ("exit handlers take over" in host.log) == (how == "hang")


def test_a_file_that_a_host_needs_for_itself_or_of_another_version_is_refused(tmp_path: Path) -> None:
    nowhere = {"NOTES": os.devnull}
    with (
        RunningHost("shared", tmp_path, "--virtual-clock", str(tmp_path / "clock"), settings=nowhere),
        pytest.raises(AssertionError, match="belongs to a host with virtual time that is running"),
    ):
        RunningHost("shared", tmp_path, settings=nowhere)
    with closing(sqlite3.connect(tmp_path / "devhost.db")) as connection:
        connection.execute("UPDATE setting SET value = '1' WHERE name = 'schema'")
        connection.commit()
    with pytest.raises(AssertionError, match="tables of another version of the host"):
        RunningHost("shared", tmp_path, settings=nowhere)
