"""Timer triggers: at the start, past due after a pause, tried again, and remembered."""

import sqlite3
from pathlib import Path

import pytest

from tests.devhost.running import RunningHost, wait_until


def start(folder: Path) -> RunningHost:
    return RunningHost("clockwork", folder, settings={"NOTES": str(folder / "notes")})


def notes(folder: Path) -> list[str]:
    path = folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


def set_next(folder: Path, moment: str) -> None:
    """Let all schedules be as if their next run had been due then."""
    with sqlite3.connect(folder / "devhost.db") as connection:
        rows = [(name, moment) for name in ("at_startup", "yearly", "forgetful", "stubborn")]
        connection.executemany("INSERT OR REPLACE INTO schedule (function, last, next) VALUES (?, NULL, ?)", rows)
    connection.close()


def test_one_that_runs_on_startup_does_and_the_others_wait(tmp_path: Path) -> None:
    with start(tmp_path) as host:
        wait_until(lambda: notes(tmp_path) == ["at_startup False"], "the run at the start")
        host.stop()
    assert notes(tmp_path) == ["at_startup False"]


def test_a_run_that_was_missed_is_made_up_for_once_as_past_due(tmp_path: Path) -> None:
    with start(tmp_path) as host:
        wait_until(lambda: bool(notes(tmp_path)), "the start")
        host.kill()
    set_next(tmp_path, "2020-01-01T00:00:00.000000Z")
    with start(tmp_path) as host:
        wait_until(lambda: "yearly True" in notes(tmp_path), "the missed run")
        wait_until(lambda: "at_startup True" in notes(tmp_path), "the missed run of the other")
        wait_until(lambda: notes(tmp_path).count("stubborn retry 2") == 1, "the last retry")
        host.wait_until_idle()
        host.kill()
    with start(tmp_path) as host:
        wait_until(lambda: notes(tmp_path).count("at_startup False") == 2, "the next start")
        host.kill()
    found = notes(tmp_path)
    assert found.count("yearly True") == 1
    assert not [note for note in found if note.startswith("forgetful")]  # without a monitor nothing is remembered
    assert [note for note in found if note.startswith("stubborn")] == [f"stubborn retry {n}" for n in range(3)]


@pytest.mark.parametrize("schedule", ["every noon", "0 0 25 * * *", "00:00:30"])
def test_a_schedule_that_cannot_be_read_keeps_the_host_from_starting(tmp_path: Path, schedule: str) -> None:
    with pytest.raises(AssertionError, match="devhost: at_startup: "):
        RunningHost("clockwork", tmp_path, settings={"NOTES": str(tmp_path / "notes"), "YEARLY": schedule})
