"""A pytest plugin: the fixture `recorded_history`, once for each recorded history, and reports without a traceback.

    pytest_plugins = ["replay.plugin"]      # in conftest.py, or: pytest -p replay.plugin

    def test_todays_code_does_what_is_recorded(recorded_history):
        recorded_history.replay()

`replay_histories` (a folder, `tests/histories`) and `replay_app` (`function_app:app`) may be set in pytest's
configuration, or as `--replay-histories` and `--replay-app`.
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

_FIXTURE = "recorded_history"
_SETTINGS = {
    "replay_histories": ("tests/histories", "folder of the recorded histories"),
    "replay_app": ("function_app:app", "the app whose orchestrators are replayed, as module:name"),
}


class RecordedHistory(msgspec.Struct, frozen=True):
    """A file with a recorded history, and the app to replay it against."""

    path: Path
    app: Any

    def replay(self) -> None:
        """Replay it against today's code. Raises ReplayError or HistoryError, whose text is the whole report."""
        from replay.replayer import replay_history

        replay_history(self.path, self.app)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the histories are, and which app they are replayed against."""
    group = parser.getgroup("replay", "replaying recorded orchestration histories")
    for name, (default, text) in _SETTINGS.items():
        parser.addini(name, text, default=default)
        group.addoption("--" + name.replace("_", "-"), help=f"{text} ({default})")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each file."""
    if _FIXTURE not in metafunc.fixturenames:
        return
    folder = _folder(metafunc.config)
    files = sorted(folder.glob("*.json"))
    # Without a file there is one test all the same, which fails: pytest would skip it in silence.
    metafunc.parametrize(_FIXTURE, files or [None], indirect=True, ids=[file.stem for file in files] or ["none"])


@pytest.fixture
def recorded_history(request: pytest.FixtureRequest) -> Iterator[RecordedHistory]:
    """A recorded history, with the app's local settings in the environment as the host would have them."""
    if request.param is None:
        pytest.fail(
            f"there is no recorded history in {_folder(request.config)}: record one with `python -m replay record`",
            pytrace=False,
        )
    before = dict(os.environ)
    yield RecordedHistory(request.param, _setting(request.config, "replay_app"))
    os.environ.clear()
    os.environ.update(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A difference is a report of its own: where in this package it was raised helps nobody."""
    report = yield
    if call.excinfo is not None and _FIXTURE in getattr(item, "fixturenames", ()):
        from replay.apps import AppError
        from replay.history import HistoryError
        from replay.replayer import ReplayError

        if isinstance(call.excinfo.value, ReplayError | HistoryError | AppError):
            report.longrepr = str(call.excinfo.value)
    return report


def _folder(config: pytest.Config) -> Path:
    return config.rootpath / _setting(config, "replay_histories")


def _setting(config: pytest.Config, name: str) -> str:
    return str(config.getoption(name) or config.getini(name))
