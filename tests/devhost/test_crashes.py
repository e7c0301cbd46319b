"""kill -9 in the middle, and going on: nothing lost, nothing doubled in what the engine itself keeps.

`make crash` is the long form.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.crashes import outcome
from tests.crashes.campaign import campaign
from tests.crashes.loads import LOADS, Scene
from tests.devhost.running import RunningHost


def test_killed_at_random_instants_every_app_comes_to_what_it_comes_to_undisturbed() -> None:
    reports = campaign(LOADS, kills=len(LOADS), seed=7, parallel=3)
    assert {report.app: report.problems for report in reports} == {load.app: [] for load in LOADS}
    assert sum(report.kills.total() for report in reports) == len(LOADS)


def test_a_campaign_tells_a_run_that_came_out_otherwise() -> None:
    chaining = next(load for load in LOADS if load.app == "function_chaining")
    inputs = iter([1, 2])

    def another_each_time(scene: Scene) -> None:
        scene.client.start("Chaining", "chain", next(inputs))
        scene.client.wait_until_over("chain")

    (report,) = campaign((replace(chaining, run=another_each_time),), kills=1, seed=1, parallel=1)
    assert any(line.startswith("-chain") and "the result is 20" in line for line in report.problems)
    assert any(line.startswith("+chain") and "the result is 30" in line for line in report.problems)


def test_what_was_answered_is_kept_and_a_host_that_needs_the_file_for_itself_is_refused(tmp_path: Path) -> None:
    """A start, an event, a signal and a termination that were accepted count, however soon the host dies."""
    with RunningHost("basic", tmp_path) as host:
        host.start("approval", "a", 3600)
        host.start("approval", "b", 3600)
        host.raise_event("a", "approve", 7)
        host.call("POST", "/durabletask/instances/b/terminate?reason=enough")
        host.call("POST", "/durabletask/entities/counter/k?op=add", "4")
        with pytest.raises(AssertionError, match="belongs to a host that is running, and virtual time needs it"):
            RunningHost("basic", tmp_path, "--virtual-clock", str(tmp_path / "clock"))
        host.kill()
    with RunningHost("basic", tmp_path) as host:
        assert host.wait_for("a") == {"approved": 7}
        assert host.wait_for("b", "Terminated") == "enough"
        host.wait_until_idle()
        assert host.entity("counter", "k") == 4


def test_two_runs_have_in_common_what_is_left_without_times_ids_and_ports() -> None:
    status = {"instanceId": "0123456789abcdef0123456789abcdef:0001", "output": "http://127.0.0.1:7071/x"}
    event = {"EventType": "EventRaised", "Name": "8d5e957f-297e-4e5b-a1c5-9c2a55d1d4a7", "Timestamp": "now"}
    assert outcome.instance_lines({**status, "createdTime": "then"}, [event], outcome.in_order) == [
        '<execution>:0001: {"instanceId": "<execution>:0001", "output": "<address>/x"}',
        '<execution>:0001   {"EventType": "EventRaised", "Name": "<guid>"}',
    ]
