"""What a deployment gets, and the settings it needs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pathspec
import pytest

from storage.settings import SettingsError, load
from tests.app.conftest import ROOT, local_settings

_WORKSHOP = {"tests", "devhost", "venue", "player", "replay", "bench", "docs", "infra", "out", ".venv"}


def _deployed() -> list[Path]:
    ignored = pathspec.PathSpec.from_lines("gitignore", (ROOT / ".funcignore").read_text().splitlines())
    found = []
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        folders[:] = [name for name in folders if not ignored.match_file(f"{here / name}/")]
        found += [here / name for name in files if not ignored.match_file(str(here / name))]
    return found


def test_a_deployment_has_the_app_and_nothing_of_the_workshop() -> None:
    deployed = _deployed()
    assert not {path.parts[0] for path in deployed} & _WORKSHOP
    names = {str(path) for path in deployed}
    assert {"function_app.py", "host.json", "requirements.txt", "constraints.txt"} <= names
    assert "local.settings.json" not in names


def test_what_is_deployed_loads_by_itself(tmp_path: Path) -> None:
    for path in _deployed():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    # `make setup` lets the environment's Python find the whole project from anywhere: not here.
    script = (
        "import sys, pathlib; sys.path = [each for each in sys.path if not (pathlib.Path(each) / 'devhost').is_dir()];"
        " import function_app; print(len(function_app.app.get_functions()))"
    )
    environment = {"PATH": os.environ["PATH"], **local_settings()}
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 20


def test_wrong_settings_stop_the_start_and_are_all_named(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], **local_settings(), "FIX_PORT": "high", "MAX_ORDER_NOTIONAL": ""}
    run = subprocess.run(
        [sys.executable, "-c", "import function_app"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "FIX_PORT=high" in run.stderr
    assert "MAX_ORDER_NOTIONAL: has to be set" in run.stderr
    assert local_settings()["FIX_PASSWORD"] not in run.stderr


class _Recorded(Mapping[str, str]):
    """An environment that remembers what was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def test_no_setting_that_the_code_reads_is_missing_in_local_settings() -> None:
    environment = _Recorded(local_settings())
    load(environment)
    assert environment.asked - set(local_settings()) == set()


def test_no_setting_that_a_binding_names_is_missing_in_local_settings(functions: tuple[Any, ...]) -> None:
    named: set[str] = set()
    for function in functions:
        for binding in function.get_bindings():
            plain: dict[str, Any] = binding.get_dict_repr()
            named |= {value.strip("%") for value in plain.values() if isinstance(value, str) and value.startswith("%")}
            named |= {value for name, value in plain.items() if name == "connection" and value}
    assert named == {"MARKET_DATA_HUB", "EventHubConnection"}
    assert named <= set(local_settings())


def test_local_settings_are_for_development() -> None:
    values = local_settings()
    assert values["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"
    assert "UseDevelopmentEmulator=true" in values["EventHubConnection"]
    assert values["PYTHON_ISOLATE_WORKER_DEPENDENCIES"] == "1"
    assert values["FUNCTIONS_WORKER_RUNTIME"] == "python"


def test_the_longest_slice_that_can_be_set_ends_well_before_the_hosts_own_limit() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    limit = datetime.strptime(host["functionTimeout"], "%H:%M:%S").replace(tzinfo=UTC)
    seconds = limit.hour * 3600 + limit.minute * 60 + limit.second
    load({**local_settings(), "SLICE_SECONDS": "240"})
    with pytest.raises(SettingsError, match="from 1 to 240"):
        load({**local_settings(), "SLICE_SECONDS": "241"})
    assert seconds >= 2 * 240


def test_the_host_polls_soon_enough_for_trading_and_takes_no_prices_of_yesterday() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    assert host["version"] == "2.0"
    assert host["extensionBundle"]["version"] == "[4.*, 5.0.0)"
    durable = host["extensions"]["durableTask"]
    assert durable["defaultVersion"] == "1"
    assert durable["storageProvider"]["maxQueuePollingInterval"] <= "00:00:01"
    assert host["extensions"]["eventHubs"]["initialOffsetOptions"] == {"type": "fromEnd"}
    assert durable["tracing"]["traceInputsAndOutputs"] is False  # orders are nobody's business but their owner's
