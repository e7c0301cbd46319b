"""A development host as a process of its own, for tests."""

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = Path(__file__).resolve().parent / "apps"


class RunningHost:
    """A host serving an app, with its state in `folder`; a context manager that ends it.

    `app` is a folder, or the name of one of the test apps beside this file. A host that is not awaited may still be
    starting: `listens` says whether it is ready. `command` is the module that serves, with arguments of its own.
    """

    def __init__(
        self,
        app: str | Path,
        folder: Path,
        *options: str,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        is_awaited: bool = True,
        command: Sequence[str] = ("devhost",),
    ) -> None:
        self.folder = folder
        self._log_path = folder / "devhost.log"
        line = [sys.executable, "-m", *command, "start", "--app", str(APPS / app), "--port", str(port)]
        for name, value in (settings or {}).items():
            line += ["--set", f"{name}={value}"]
        with self._log_path.open("a") as log:
            self.process = subprocess.Popen(
                [*line, "--db", str(folder / "devhost.db"), *options],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.url = ""
        if is_awaited:
            assert self.listens(None), self.log

    def listens(self, seconds: float | None) -> bool:
        """Whether it is ready within that time; None waits until it is, or has ended."""
        output = self.process.stdout
        if not self.url and output is not None and select.select([output], [], [], seconds)[0]:
            line = output.readline()
            if line.startswith("devhost: listening on "):
                self.url = line.split()[-1]
        return bool(self.url)

    def __enter__(self) -> "RunningHost":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        elif self.process.stdout:
            self.process.stdout.close()

    @property
    def log(self) -> str:
        """What the host logged."""
        return self._log_path.read_text()

    def kill(self) -> None:
        """End it without warning, as `kill -9` does."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def stop(self) -> float:
        """Ask it to end; the seconds it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=10)
        return time.monotonic() - begin

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the decoded JSON of an answer; None for an empty one, the text if it is not JSON."""
        status, data, _ = self.exchange(method, path, body)
        return status, data

    def exchange(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """As `call`, with the headers."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json", **(headers or {})}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, _decoded(response.read()), dict(response.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error.read()), dict(error.headers)

    def start(self, orchestrator: str, instance: str, given: Any = None) -> None:
        """Start an instance as the SDK's client does: its input as JSON text in JSON."""
        body = None if given is None else json.dumps(given)
        status, answer = self.call("POST", f"/durabletask/orchestrators/{orchestrator}/{instance}", body)
        assert status == 202, answer

    def raise_event(self, instance: str, name: str, data: Any = None) -> int:
        """Raise an event as the SDK's client does."""
        status, _ = self.call("POST", f"/durabletask/instances/{instance}/raiseEvent/{name}", json.dumps(data))
        return status

    def status(self, instance: str) -> dict[str, Any]:
        """An instance's status."""
        code, answer = self.call("GET", f"/durabletask/instances/{instance}")
        assert code in (200, 202), answer
        assert isinstance(answer, dict)
        return answer

    def wait_for(self, instance: str, runtime_status: str = "Completed") -> Any:
        """The output of an instance, once it has that status."""
        found: dict[str, Any] = {}

        def is_there() -> bool:
            found.update(self.status(instance))
            return bool(found["runtimeStatus"] == runtime_status)

        wait_until(is_there, f"{instance} to be {runtime_status}")
        return found["output"]

    def wait_for_custom_status(self, instance: str, status: Any) -> None:
        """Wait until an instance has set this as its custom status."""
        wait_until(
            lambda: bool(self.status(instance)["customStatus"] == status),
            f"{instance} to have the custom status {status}",
        )

    def run(self, orchestrator: str, instance: str, given: Any = None) -> Any:
        """Start an instance and wait for its output."""
        self.start(orchestrator, instance, given)
        return self.wait_for(instance)

    def wait_until_idle(self, seconds: float = 20) -> None:
        """Wait until the host says that it is idle."""
        _, answer = self.call("GET", f"/devhost/idle?wait={seconds}")
        assert answer["idle"], answer

    def entity(self, name: str, key: str) -> Any:
        """An entity's state, None if it does not exist."""
        code, answer = self.call("GET", f"/durabletask/entities/{name}/{key}")
        return answer if code == 200 else None


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 15) -> None:
    """Ask again and again until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.01)


def events(*numbers: int, partition: str = "0", value: Any = 0) -> dict[str, Any]:
    """The body of a post of Event Hub events."""
    return {
        "partition": partition,
        "events": [
            {"sequence_number": number, "enqueued_time": "2026-01-05T14:30:00Z", "body": {"n": number, "value": value}}
            for number in numbers
        ],
    }


def _decoded(data: bytes) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()
