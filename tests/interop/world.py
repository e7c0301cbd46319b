"""Two processes that talk to each other, and what they say of it."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import trustme

Name = Literal["ours", "quickfix"]
_MODULES = {"ours": "tests.interop.our_side", "quickfix": "tests.interop.quickfix_side"}
_PATIENCE = 60.0


class InteropError(AssertionError):
    """What was expected did not come about."""


class Side:
    """One engine in a process of its own. Its events are kept over its deaths."""

    def __init__(self, name: Name, options: dict[str, Any]) -> None:
        self.name = name
        self.events: list[dict[str, Any]] = []
        self._options = options
        self._process: subprocess.Popen[str]
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", _MODULES[self.name], json.dumps(self._options)]
        errors = Path(self._options["folder"]) / f"{self.name}.err"
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors.open("a"), text=True
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        seen = len(self.events)
        self._reader.start()
        self.until(lambda: any(event["event"] == "ready" for event in self.events[seen:]), "to be ready")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{") and line.endswith("}\n"):
                self.events.append(json.loads(line))

    def tell(self, do: str, **what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()

    def ask(self, do: str, answer: str, **what: object) -> dict[str, Any]:
        seen = len(self.events)
        self.tell(do, **what)
        self.until(lambda: any(event["event"] == answer for event in self.events[seen:]), f"to answer {do}")
        return next(event for event in self.events[seen:] if event["event"] == answer)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join(10)
        self.events.append({"event": "logout", "reason": "killed"})

    def stop(self) -> None:
        if self._process.poll() is None:
            self.tell("stop")
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise InteropError(f"{self.name} did not stop") from None

    def end(self) -> None:
        if self._process.poll() is None:
            self.kill()

    @property
    def is_logged_on(self) -> bool:
        """By what it said last: QuickFIX tells of a logout at every try that comes to nothing."""
        last = next((one["event"] for one in reversed(list(self.events)) if one["event"] in ("logon", "logout")), None)
        return last == "logon"

    def received(self, prefix: str) -> list[dict[str, Any]]:
        return [one for one in list(self.events) if one["event"] == "message" and one["id"].startswith(f"{prefix}-")]

    def sent(self, prefix: str) -> list[str]:
        return [one["id"] for one in list(self.events) if one["event"] == "sent" and one["id"].startswith(f"{prefix}-")]

    def until_logged_on(self) -> None:
        self.until(lambda: self.is_logged_on, "to be logged on")

    def until_sent(self, prefix: str, count: int) -> None:
        self.until(lambda: len(self.sent(prefix)) >= count, f"to send {count}")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise InteropError(f"{self.name} was waited for {what}; its last events: {self.events[-5:]}")
            time.sleep(0.005)


class World:
    """Our engine in a role, QuickFIX in the other."""

    def __init__(self, our_role: Literal["initiator", "acceptor"], version: str, **options: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="interop-")
        common = {"folder": self._folder.name, "version": version, "port": _free_port(), **options}
        if options.get("tls"):
            _make_certificates(Path(self._folder.name))
        their_role = "acceptor" if our_role == "initiator" else "initiator"
        sides: list[tuple[Name, str]] = [("ours", our_role), ("quickfix", their_role)]
        # The one that listens is there first.
        made = {name: Side(name, common | {"role": role}) for name, role in sorted(sides, key=lambda side: side[1])}
        self.ours, self.theirs = made["ours"], made["quickfix"]

    def __enter__(self) -> "World":
        self.until_logged_on()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            for path in sorted(Path(self._folder.name).glob("*.err")):
                sys.stderr.write(path.read_text()[-2000:])
        self.ours.end()
        self.theirs.end()
        self._folder.cleanup()

    def until_logged_on(self) -> None:
        for side in (self.ours, self.theirs):
            side.until_logged_on()

    def until_all_received(self, sender: Side, receiver: Side, prefix: str, count: int) -> None:
        """Each of them once, in order; what comes again says so."""
        names = [f"{prefix}-{number}" for number in range(1, count + 1)]
        receiver.until(lambda: len({one["id"] for one in receiver.received(prefix)}) >= count, f"to receive {count}")
        received = receiver.received(prefix)
        fresh = list(dict.fromkeys(one["id"] for one in received))
        if fresh != names:
            missing = sorted(set(names) - set(fresh))
            raise InteropError(
                f"{receiver.name} received {len(fresh)} of {count}, or out of order; missing {missing[:5]}"
            )
        seen: set[str] = set()
        for one in received:
            if one["id"] in seen and not one["duplicate"]:
                raise InteropError(f"{receiver.name} received {one['id']} twice without PossDupFlag")
            seen.add(one["id"])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _make_certificates(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("server", "client"):
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        (folder / f"{name}.pem").write_bytes(chain)
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
        (folder / f"{name}.key").chmod(0o600)
