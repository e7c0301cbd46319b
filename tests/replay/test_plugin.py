"""The pytest plugin, in a project of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devhost.history import EventType
from replay.apps import orchestrators
from replay.history import History, write
from tests.devhost.running import ROOT
from tests.replay import sample_app
from tests.replay.driving import drive

TEST = """
def test_todays_code_does_what_is_recorded(recorded_history):
    recorded_history.replay()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "function_app.py").write_text(Path(sample_app.__file__).read_text())
    (tmp_path / "test_histories.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nreplay_histories = recorded\n")
    return tmp_path


@pytest.fixture
def history() -> History:
    return drive(orchestrators(sample_app.app)["rounds"], "rounds", 0)


def run(project: Path, *options: str) -> tuple[int, str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "replay.plugin",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "-v",
        *options,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    found = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return found.returncode, found.stdout + found.stderr


def test_each_file_is_a_test_and_a_difference_is_its_report_alone(project: Path, history: History) -> None:
    write(project / "recorded" / "good.json", history)
    changed = next(event for event in history.events if event["EventType"] == EventType.TASK_SCHEDULED)
    changed["Name"] = "rest"
    write(project / "recorded" / "other.json", history)
    (project / "recorded" / "torn.json").write_text("{")
    code, out = run(project)
    assert code == 1, out
    assert "test_todays_code_does_what_is_recorded[good] PASSED" in out
    assert "test_todays_code_does_what_is_recorded[other] FAILED" in out
    assert "activity 0 rest: different name" in out
    assert "torn.json: is no recorded history" in out
    assert "Traceback" not in out
    assert "replay/plugin.py" not in out


def test_no_file_is_a_failure_that_says_so(project: Path) -> None:
    code, out = run(project)
    assert code == 1, out
    assert "there is no recorded history in" in out


def test_folder_and_app_can_be_given_on_the_command_line(project: Path, history: History) -> None:
    write(project / "elsewhere" / "good.json", history)
    code, out = run(project, "--replay-histories", "elsewhere", "--replay-app", "function_app")
    assert code == 0, out
    code, out = run(project, "--replay-histories", "elsewhere", "--replay-app", "nowhere:app")
    assert code == 1, out
    assert "nowhere cannot be imported" in out
