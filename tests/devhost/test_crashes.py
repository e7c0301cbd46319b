"""kill -9 in the middle, and going on: nothing lost, nothing doubled in what the engine itself keeps."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.devhost.running import RunningHost

_INSTANCES = 12
_STEPS = 3
_KILLS = 3


def test_killed_again_and_again_every_instance_arrives_and_every_operation_counts_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    settings = {"NOTES": str(tmp_path / "notes")}
    with RunningHost("basic", tmp_path, settings=settings) as host:
        for number in range(_INSTANCES):
            host.start("long_way", f"way-{number}")
        time.sleep(0.1)
        host.kill()
    for _ in range(_KILLS - 1):
        with RunningHost("basic", tmp_path, settings=settings) as host:
            # Not a wait for something: the moment of the kill is to be any.
            time.sleep(chance.uniform(0.0, 0.15))
            host.kill()
    with RunningHost("basic", tmp_path, settings=settings) as host:
        for number in range(_INSTANCES):
            assert host.wait_for(f"way-{number}") == "arrived"
        host.wait_until_idle()
        assert host.entity("counter", "steps") == _INSTANCES * _STEPS
    done = Counter((tmp_path / "notes").read_text().split())
    assert set(done) == {f"way-{number}-{step}" for number in range(_INSTANCES) for step in range(_STEPS)}


def test_what_was_answered_is_kept_and_a_second_host_on_the_file_is_refused(tmp_path: Path) -> None:
    """A start, an event, a signal and a termination that were accepted count, however soon the host dies."""
    with RunningHost("basic", tmp_path) as host:
        host.start("approval", "a", 3600)
        host.start("approval", "b", 3600)
        host.raise_event("a", "approve", 7)
        host.call("POST", "/durabletask/instances/b/terminate?reason=enough")
        host.call("POST", "/durabletask/entities/counter/k?op=add", "4")
        with pytest.raises(AssertionError, match="belongs to a host that is running"):
            RunningHost("basic", tmp_path)
        host.kill()
    with RunningHost("basic", tmp_path) as host:
        assert host.wait_for("a") == {"approved": 7}
        assert host.wait_for("b", "Terminated") == "enough"
        host.wait_until_idle()
        assert host.entity("counter", "k") == 4
