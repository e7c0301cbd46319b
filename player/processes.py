"""Child processes that do not outlive this one: started, waited for until ready, ended."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_LEASH = Path(__file__).with_name("leash.py")


class ProcessError(Exception):
    """A process did not start, or ended by itself; the message ends with the last lines it wrote."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on this port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """One child process, in the project's folder, that writes to a log file.

    It has a process group of its own, so that a Ctrl-C in the terminal reaches only the parent, which then ends its
    children in order. On Linux the kernel kills the child when the thread that started it is gone, however it went;
    therefore `start` is called on the main thread.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._command = list(command)
        self._log = log
        self._environ = dict(os.environ if environ is None else environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._written_before = 0

    @property
    def pid(self) -> int:
        """The process id of the last start; raises where there was none."""
        if self._process is None:
            raise ProcessError(f"{self.name} was not started")
        return self._process.pid

    def start(self) -> None:
        """Start it, for the first time or again; the log goes on."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._written_before = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *self._command],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environ,
                start_new_session=True,
            )

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_until(self, is_ready: Callable[[], bool], within: float = 30.0) -> None:
        """Wait until the process is ready; raises `ProcessError` where it ends before or takes longer than `within`."""
        deadline = time.monotonic() + within
        while not is_ready():
            if not self.is_running():
                raise self.failure("ended before it was ready")
            if time.monotonic() > deadline:
                raise self.failure(f"is not ready after {within:.0f} s")
            time.sleep(0.02)

    def has_written(self, text: str) -> bool:
        """Whether the log holds this since the last start."""
        return text in self._written()

    def failure(self, what: str) -> ProcessError:
        """An error that says what happened to this process, with its exit code and the last lines of its log."""
        code = None if self._process is None else self._process.poll()
        said = [line for line in self._written().splitlines() if line.strip()][-5:]
        return ProcessError(
            f"{self.name} {what}"
            + (f" (exit code {code})" if code is not None else "")
            + (f": {' | '.join(said)}" if said else "")
            + f" [log: {self._log}]"
        )

    def stop(self, grace: float = 5.0) -> None:
        """End it and whatever it has started: politely, and after `grace` seconds by force."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _written(self) -> str:
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(self._written_before)
            return log.read().decode(errors="replace")
