"""The command line: what keeps the host from starting is one clear line and exit code 2."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from devhost.configuration import ConfigurationError, HostOptions, read_host_options, read_local_settings
from tests.devhost.running import APPS, ROOT


def test_what_keeps_the_host_from_starting_is_one_line(tmp_path: Path) -> None:
    apps = {name: tmp_path / name for name in ("broken", "raising", "busy")}
    for folder in apps.values():
        shutil.copytree(APPS / "basic", folder)
    (apps["broken"] / "local.settings.json").write_text('{"Values": {"A": 1,}}')
    (apps["raising"] / "function_app.py").write_text("import nowhere_to_be_found\n")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        messages = {
            "broken": "is not JSON: line 1, column 20",
            "raising": "function_app.py, line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
            "busy": f"port {port} is in use",
        }
        running = {name: _start(folder, "--port", port if name == "busy" else "0") for name, folder in apps.items()}
        for name, message in messages.items():
            _, errors = running[name].communicate(timeout=30)
            lines = [line for line in errors.splitlines() if line.startswith("devhost: ")]
            assert running[name].returncode == 2, errors
            assert len(lines) == 1
            assert message in lines[0]
            assert "Traceback" not in errors


def _start(app: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "devhost", "start", "--app", str(app), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_host_json_is_honoured_without_regard_to_case(tmp_path: Path) -> None:
    document = {
        "version": "2.0",
        "extensions": {
            "Http": {"routePrefix": "v1"},
            "eventHubs": {"maxEventBatchSize": 7},
            "durableTask": {
                "hubName": "Hub",
                "maxConcurrentActivityFunctions": 3,
                "maxConcurrentOrchestratorFunctions": 2,
                "defaultVersion": "2.1",
            },
        },
    }
    (tmp_path / "host.json").write_text(json.dumps(document))
    assert read_host_options(tmp_path) == HostOptions("v1", 7, "Hub", 3, 2, "2.1")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[]", "must be a JSON object"),
        ("{}", '"version" is null, it must be "2.0"'),
        ('{"version": "2.0", "extensions": {"eventHubs": {"maxEventBatchSize": 0}}}', "maxEventBatchSize is 0"),
        ('{"version": "2.0", "extensions": {"durableTask": {"hubName": 5}}}', "hubName is 5, it must be a text"),
        ('{"version": "2.0", "extensions": []}', "must be an object"),
        ('{"version": "2.0", "extensions": {"durableTask": {"hubName": "%NO_SUCH_SETTING%"}}}', "NO_SUCH_SETTING"),
    ],
)
def test_a_wrong_host_json_is_refused(tmp_path: Path, document: str, message: str) -> None:
    (tmp_path / "host.json").write_text(document)
    with pytest.raises(ConfigurationError) as caught:
        read_host_options(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"IsEncrypted": true}', "it is encrypted"),
        ('{"Values": []}', '"Values" must be an object'),
        ('{"Values": {"A": 1}}', 'the value of "A" must be a text in quotes'),
    ],
)
def test_wrong_local_settings_are_refused(tmp_path: Path, document: str, message: str) -> None:
    (tmp_path / "local.settings.json").write_text(document)
    with pytest.raises(ConfigurationError) as caught:
        read_local_settings(tmp_path)
    assert message in str(caught.value)


def test_local_settings_need_not_exist(tmp_path: Path) -> None:
    assert read_local_settings(tmp_path) == {}
