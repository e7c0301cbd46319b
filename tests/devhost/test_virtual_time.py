"""A host on virtual time: it skips to the next timer whenever nothing else is left to do."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from tests.devhost.running import APPS, ROOT, RunningHost, wait_until

START = "2026-01-05T14:30:00Z"


def virtual(folder: Path) -> RunningHost:
    return RunningHost("basic", folder, "--virtual-time", START, settings={"NOTES": str(folder / "notes")})


def hold_the_clock(host: RunningHost) -> Path:
    """An activity runs until the file is made."""
    gate = host.folder / "gate"
    host.start("gated", "gated", str(gate))
    wait_until(lambda: "activity gate of gated" in host.call("GET", "/devhost/idle")[1]["busy"], "the activity")
    return gate


def test_a_year_of_timers_takes_no_time_and_they_fire_in_order(tmp_path: Path) -> None:
    with virtual(tmp_path) as host:
        gate = hold_the_clock(host)
        host.start("approval", "long", 365 * 86400)
        host.start("approval", "short", 60)
        gate.touch()
        assert host.wait_for("long") == "timed out"
        assert host.wait_for("short") == "timed out"
        short, long = (datetime.fromisoformat(host.status(each)["lastUpdatedTime"]) for each in ("short", "long"))
        begin = datetime.fromisoformat(START)
        assert [(each - begin).total_seconds() for each in (short, long)] == [60, 365 * 86400]


def test_timers_that_are_due_at_once_fire_in_the_order_of_their_making(tmp_path: Path) -> None:
    with virtual(tmp_path) as host:
        gate = hold_the_clock(host)
        for name in ("second", "first", "third"):
            host.start("weekly", name)
        gate.touch()
        end = datetime.fromisoformat(START) + timedelta(weeks=4)
        assert {host.wait_for(name) for name in ("first", "second", "third")} == {end.isoformat()}
    notes = (tmp_path / "notes").read_text().splitlines()[1:]
    assert notes == [f"{name} {week}" for week in range(1, 5) for name in ("second", "first", "third")]


def test_the_clock_stands_still_while_an_activity_runs(tmp_path: Path) -> None:
    with virtual(tmp_path) as host:
        gate = hold_the_clock(host)
        host.start("approval", "approval", 3600)
        host.wait_for_custom_status("approval", "waiting")
        host.raise_event("approval", "approve", "in time")
        gate.touch()
        assert host.wait_for("approval") == {"approved": "in time"}


def test_time_goes_on_where_it_stood_after_a_crash(tmp_path: Path) -> None:
    with virtual(tmp_path) as host:
        host.start("approval", "first", 3600)
        host.wait_for("first")
        host.kill()
    with virtual(tmp_path) as host:
        host.start("approval", "second", 3600)
        host.wait_for("second")
        ended = datetime.fromisoformat(host.status("second")["lastUpdatedTime"])
        assert (ended - datetime.fromisoformat(START)).total_seconds() == 7200


def test_a_start_that_is_no_time_and_two_virtual_clocks_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "devhost", "start", "--app", str(APPS / "basic"), "--db", str(tmp_path / "db")]
    wrong = subprocess.run([*command, "--virtual-time", "noon"], check=False, cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "'noon' is not a time" in wrong.stderr
    both = [*command, "--virtual-time", START, "--virtual-clock", str(tmp_path / "clock")]
    refused = subprocess.run(both, check=False, cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "give one of them" in refused.stderr
