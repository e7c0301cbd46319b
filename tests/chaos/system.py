"""The whole system in processes, each of which can be killed, stopped, cut off or lied to while the others go on."""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gateway.gateway import SessionStatus
from player.azurite import azurite_process, connection_string
from player.client import Client, RefusedError, UnreachableError
from player.processes import Process, ProcessError, free_port, is_listening
from tests.chaos.faults import ALL_HOSTS, HOLDER, LEASE_SECONDS, Fault
from tests.chaos.inside import Inside

_ROOT = Path(__file__).resolve().parent.parent.parent
_SAVES = Path(__file__).parent / "inject" / "azurite_saves.js"
_APP = ("function_app.py", "local.settings.json", "requirements.txt")
_FOLDERS = ("activities", "entities", "fix", "gateway", "orchestrators", "storage", "trading", "triggers")
_HIDDEN = "00:00:05"
"""How long the development host hides what a dead host had: the shortest that a hanging process does not trip over."""
_SENDER, _TARGET = "DESK", "VENUE"
_USERNAME, _PASSWORD = "desk", "development-only"
TRADING_SESSION = f"FIX.4.4-{_TARGET}-{_SENDER}"
"""Its name at the venue."""
_COPY = "DESKCOPY"
_MESSAGES_PER_SECOND = 200
_DATE_TOLERANCE = 900.0
"""Seconds by which the date of a request may be off, before Azure Storage refuses it (Shared Key authorization)."""
_LIMITS = dict.fromkeys(("MAX_ORDER_NOTIONAL", "MAX_SYMBOL_NOTIONAL", "MAX_GROSS_NOTIONAL"), "1000000000")
_WORKERS = 32
_QUIET_WITHIN = 20.0
_CONNECTED_WITHIN = 1.0
_WRONG_DATE = "wrong_date"
_SHM_WRITE_LOCKS = range(120, 123)
"""Bytes of SQLite's -shm file whose lock says that a process writes, checkpoints or recovers (SQLite's WAL format)."""


class Injected(msgspec.Struct):
    """What was broken from when to when; `what` names what was really hit. `until` is None while it lasts."""

    fault: Fault
    what: str
    since: datetime
    until: datetime | None = None
    had_effect: bool = False
    """Whether it changed anything: known when it is over."""


class Effects(NamedTuple):
    """How many faults there were, and how many of them had an effect."""

    injected: int
    effective: int


class _Part(msgspec.Struct):
    """One process of the system, and how to see that it works."""

    name: str
    process: Process
    is_ready: Callable[[], bool]


class _Active(msgspec.Struct):
    injected: Injected
    resources: frozenset[str]
    over: threading.Event
    ended: "Future[None]"


class _Control:
    """Requests to a proxy's control API, from any thread: it may have been killed since the last one."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str) -> Any:
        return self._ask(lambda client: client.get(path))

    def post(self, path: str, body: object = None) -> Any:
        return self._ask(lambda client: client.post(path, body))

    def delete(self, path: str) -> Any:
        return self._ask(lambda client: client.delete(path))

    def hits(self, kind: str) -> int:
        """How often this kind of fault has hit anything."""
        return int(self.get("/state")["hit"].get(kind, 0))

    def _ask(self, question: Callable[[Client], Any]) -> Any:
        client = Client(self._port, timeout=_QUIET_WITHIN)
        try:
            return question(client)
        finally:
            client.close()


class System:
    """Azurite behind a storage proxy, the venue behind a FIX proxy, and hosts that share one file, in real time.

    `start` and `stop` belong together; `inject` and what follows may be called from any thread, one at a time. All
    state and all logs are in `folder`. Its processes die with this one.
    """

    def __init__(
        self, folder: Path, *, hosts: int = 2, settings: Mapping[str, str] | None = None, seed: int = 0
    ) -> None:
        self.folder = folder.resolve()
        self.logs = self.folder / "logs"
        self.log: list[Injected] = []
        self.died: list[str] = []
        """Processes that had ended by themselves when they were to be killed or stopped."""
        self.names = [f"host-{chr(ord('a') + number)}" for number in range(hosts)]
        self.host_ports = [free_port() for _ in self.names]
        self.control_port = free_port()
        self.lease_seconds = LEASE_SECONDS
        self._settings = dict(settings or {})
        self._state = self.folder / "state"
        self._azurite_port = free_port()
        self._doors = [free_port() for _ in self.names]
        self._venue_port, self._fix_port = free_port(), free_port()
        self._fix_control_port, self._storage_control_port = free_port(), free_port()
        self._saved = self._state / "azurite.saved"
        self._active: list[_Active] = []
        self._pool: ThreadPoolExecutor | None = None
        self._stopping = False
        self.hosts = [Client(port, timeout=15, retry_for=60) for port in self.host_ports]
        self.venue = Client(self.control_port, timeout=15)
        self.storage_connection = connection_string(self._azurite_port)
        """Past the proxy: for whoever looks at the tables."""
        self._fix = _Control(self._fix_control_port)
        self._storage = _Control(self._storage_control_port)
        self._inside: dict[str, Inside] = {}
        self._parts: dict[str, _Part] = {}
        self._seed = seed

    # Start and stop

    def start(self) -> None:
        """Start everything and wait until the session is logged on. Raises `ProcessError`; `stop` is due then, too."""
        for folder in (self._state, self.logs, self._state / "azurite"):
            folder.mkdir(parents=True, exist_ok=True)
        self._inside = {name: Inside(self._state / f"{name}.inside") for name in self.names}
        self._parts = {part.name: part for part in self._make_parts(self._make_app())}
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="chaos")
        first = [name for name in self._parts if name not in self.names]
        for names in (first, self.names):
            for started in [self._pool.submit(self._start, name) for name in names]:
                started.result()
        self.wait_until_healthy(30)

    def stop(self) -> None:
        """End all processes, whatever state they are in."""
        self._stopping = True
        for active in self._active:
            active.over.set()
        for client in (*self.hosts, self.venue):
            client.close()
        for part in self._parts.values():
            self._signal(part.name, signal.SIGKILL)
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        for part in self._parts.values():  # what an ending fault has started meanwhile
            part.process.stop(grace=0.0)

    def __enter__(self) -> "System":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop()

    # Faults

    def inject(self, fault: Fault) -> Injected:
        """Begin a fault, which ends by itself after its duration; what it hit.

        What still affects the same process or the same proxy is ended before, so that faults on one thing follow each
        other, while those on others overlap.
        """
        if self._pool is None:
            raise ProcessError("the system is not started")
        resolved = self._resolved(fault)
        resources = self._resources(resolved)
        self._end_all(active for active in self._active if active.resources & resources)
        injected = Injected(fault=fault, what=resolved.target, since=datetime.now(UTC))
        end = self._begin(resolved)
        self.log.append(injected)
        over = threading.Event()
        ended = self._pool.submit(self._end_later, injected, over, end)
        self._active.append(_Active(injected=injected, resources=resources, over=over, ended=ended))
        return injected

    def heal(self, injected: Injected) -> None:
        """End this fault now. Returns when all that it hit works again; raises `ProcessError` where it does not."""
        self._end_all(active for active in self._active if active.injected is injected)

    def heal_all(self) -> None:
        """End all faults. Returns when every process runs; whether the session is logged on is another question."""
        self._end_all(self._active)
        for name, part in self._parts.items():
            if not part.process.is_running():
                raise part.process.failure(f"({name}) has ended by itself")

    # How it stands

    def statuses(self) -> list[SessionStatus | None]:
        """What each host says of the session; None for one that does not answer within a second."""
        with ThreadPoolExecutor(len(self.host_ports)) as asking:
            return list(asking.map(self._status, self.host_ports))

    def status(self, name: str) -> SessionStatus | None:
        """What this host says; None if it does not answer within a second."""
        return self._status(self.host_ports[self.names.index(name)])

    def holder(self) -> str | None:
        """The name of the host that holds the lease, as those say that answer."""
        pids = {str(self._parts[name].process.pid): name for name in self.names}
        found = [status for status in self.statuses() if status is not None and status.owner]
        for status in sorted(found, key=lambda status: -status.epoch):
            owner = status.owner.split("-")[-2]
            if owner in pids:
                return pids[owner]
        return None

    def is_logged_on(self) -> bool:
        """Whether a host says that it is logged on."""
        return any(status is not None and status.logged_on for status in self.statuses())

    def wait_until_healthy(self, within: float = 30.0) -> float:
        """Wait until all hosts answer and one is logged on; the seconds that took. Raises `ProcessError`."""
        begun = time.monotonic()
        while True:
            statuses = self.statuses()
            if all(status is not None for status in statuses) and any(
                status is not None and status.logged_on for status in statuses
            ):
                return time.monotonic() - begun
            if time.monotonic() - begun > within:
                raise ProcessError(f"not healthy after {within:.0f} s: {statuses} [logs: {self.logs}]")
            time.sleep(0.05)

    def requests(self) -> int:
        """How many requests the hosts have made to storage."""
        return int(self._storage.get("/state")["requests"])

    def swallowed(self) -> dict[str, int]:
        """How many of the trading session's messages of each MsgType (35) have vanished on half-open connections, on
        their way to the venue."""
        return dict(self._fix.get("/state")["swallowed"].get(_SENDER, {}))

    def effects(self) -> dict[str, Effects]:
        """By kind, of the faults that are over: how many there were, and how many of them had an effect."""
        over = [each for each in self.log if each.until is not None]
        kinds = Counter(each.fault.kind for each in over)
        effective = Counter(each.fault.kind for each in over if each.had_effect)
        return {kind: Effects(number, effective[kind]) for kind, number in sorted(kinds.items())}

    def pid(self, name: str) -> int:
        """The process id of a part, by its name."""
        return self._parts[name].process.pid

    # What it is made of

    def _make_app(self) -> Path:
        """The app as it is deployed, with times in its host.json that suit a test. Azure takes these from settings."""
        app = self._state / "app"
        app.mkdir(exist_ok=True)
        for name in (*_APP, *_FOLDERS):
            with suppress(FileExistsError):
                (app / name).symlink_to(_ROOT / name)
        document = json.loads((_ROOT / "host.json").read_text())
        document["extensions"]["durableTask"]["storageProvider"].update(
            controlQueueVisibilityTimeout=_HIDDEN, workItemQueueVisibilityTimeout=_HIDDEN, leaseInterval=_HIDDEN
        )
        (app / "host.json").write_text(json.dumps(document))
        return app

    def _make_parts(self, app: Path) -> list[_Part]:
        venue = ["--fix-port", self._venue_port, "--control-port", self.control_port, "--state", self._state / "venue"]
        logon = ["--comp-id", _TARGET, "--username", _USERNAME, "--password", _PASSWORD]
        logon += ["--drop-copy", f"{_SENDER}={_COPY}"]
        fix = ["--listen", self._fix_port, "--target", self._venue_port, "--control", self._fix_control_port]
        storage = ["--listen", *self._doors, "--target", self._azurite_port, "--control", self._storage_control_port]
        parts = [
            self._azurite(),
            self._python("venue", "venue: FIX on", "venue", *venue, *logon),
            self._python("fix-proxy", "proxy: fix on", "tests.chaos.proxies", "fix", *fix),
            self._python(
                "storage-proxy", "proxy: storage", "tests.chaos.proxies", "storage", *storage, "--seed", self._seed
            ),
        ]
        for name, port, door in zip(self.names, self.host_ports, self._doors, strict=True):
            start = ["start", "--app", app, "--port", port, "--db", self._state / "hosts.db", "--visibility-timeouts"]
            for function in ("run_session", "supervise_session", "sweep_orders"):
                start += ["--background", function]
            environ = {**os.environ, **self._host_settings(door), **self._inside[name].environ}
            parts.append(self._python(name, "devhost: listening on", "devhost", *start, environ=environ))
        return parts

    def _azurite(self) -> _Part:
        process = azurite_process(
            self._azurite_port,
            self.logs / "azurite.log",
            location=self._state / "azurite",
            node_options=["--require", str(_SAVES)],
            environ={**os.environ, "AZURITE_SAVED": str(self._saved)},
        )
        return _Part("azurite", process, lambda: is_listening(self._azurite_port))

    def _python(
        self, name: str, ready: str, module: str, *arguments: object, environ: Mapping[str, str] | None = None
    ) -> _Part:
        command = [sys.executable, "-m", module, *map(str, arguments)]
        process = Process(name, command, self.logs / f"{name}.log", environ)
        return _Part(name, process, lambda: process.has_written(ready))

    def _host_settings(self, door: int) -> dict[str, str]:
        return {
            "AzureWebJobsStorage": connection_string(door),
            "FIX_HOST": "127.0.0.1",
            "FIX_PORT": str(self._fix_port),
            "FIX_SENDER_COMP_ID": _SENDER,
            "FIX_TARGET_COMP_ID": _TARGET,
            "FIX_USERNAME": _USERNAME,
            "FIX_PASSWORD": _PASSWORD,
            "FIX_HEARTBEAT_SECONDS": "1",
            "FIX_MESSAGES_PER_SECOND": str(_MESSAGES_PER_SECOND),
            "DROP_COPY_SENDER_COMP_ID": _COPY,
            "DROP_COPY_USERNAME": _USERNAME,
            "DROP_COPY_PASSWORD": _PASSWORD,
            "DROP_COPY_PATIENCE_SECONDS": "30",
            "LEASE_SECONDS": f"{self.lease_seconds:g}",
            "SLICE_SECONDS": "10",
            "SEQUENCE_BLOCK": "100",
            "AzureFunctionsJobHost__logging__logLevel__Function": "Warning",
            **_LIMITS,
            **self._settings,
        }

    def _start(self, name: str) -> None:
        part = self._parts[name]
        part.process.start()
        part.process.wait_until(part.is_ready)

    # How faults are done

    def _resolved(self, fault: Fault) -> Fault:
        """The same fault with the name of a host instead of `holder`."""
        if HOLDER not in (fault.target, fault.parameters.get("host")):
            return fault
        holder = self.holder() or self.names[0]
        parameters = {
            key: holder if (key, value) == ("host", HOLDER) else value for key, value in fault.parameters.items()
        }
        return msgspec.structs.replace(
            fault, target=holder if fault.target == HOLDER else fault.target, parameters=parameters
        )

    def _resources(self, fault: Fault) -> frozenset[str]:
        """What a fault has for itself."""
        names = self.names if fault.target == ALL_HOSTS else [fault.target]
        if fault.kind in ("clock", "wake_ups"):
            return frozenset(f"{name} {fault.kind}" for name in names)
        if fault.target == "storage-proxy":
            return frozenset({f"{fault.target} {fault.kind}"})
        return frozenset(names)

    def _begin(self, fault: Fault) -> Callable[[], bool]:
        """Begin it; what is returned ends it, and says whether it had an effect."""
        names = self.names if fault.target == ALL_HOSTS else [fault.target]
        match fault.kind:
            case "kill":
                return self._kill(names, fault.parameters.get("again"))
            case "stop":
                return self._stop(names)
            case "clock":
                return self._clock(names, float(fault.parameters["offset"]))
            case "wake_ups":
                return self._inside_all(names, {key: fault.parameters[key] for key in ("drop", "repeat")})
            case "cut" | "half_open" | "late":
                self._wait_for_connection()
                return self._at_proxy(self._fix, fault.kind, fault.parameters)
            case "delay":
                return self._at_proxy(self._fix, fault.kind, fault.parameters)
            case _:
                parameters: dict[str, Any] = dict(fault.parameters)
                if "host" in parameters:
                    parameters["door"] = self.names.index(parameters.pop("host"))
                return self._at_proxy(self._storage, fault.kind, parameters)

    def _signal_all(self, names: list[str], number: signal.Signals) -> None:
        for name in names:
            self._signal(name, number)

    def _stop(self, names: list[str]) -> Callable[[], bool]:
        self._note_dead(names)
        for name in names:
            self._freeze(name)
        had_effect = any(_is_stopped(self.pid(name)) for name in names)

        def end() -> bool:
            self._signal_all(names, signal.SIGCONT)
            return had_effect

        return end

    def _clock(self, names: list[str], offset: float) -> Callable[[], bool]:
        """A host whose clock is far off has its requests to storage refused, too."""
        end_inside = self._inside_all(names, {"offset": offset})
        doors = [self.names.index(name) for name in names] if abs(offset) > _DATE_TOLERANCE else []
        for door in doors:
            self._storage.post(f"/faults/{_WRONG_DATE}", {"door": door})

        def end() -> bool:
            for door in doors:
                self._storage.delete(f"/faults/{_WRONG_DATE}?door={door}")
            return end_inside()

        return end

    def _inside_all(self, names: list[str], numbers: Mapping[str, float | str]) -> Callable[[], bool]:
        def set_all(values: Mapping[str, float]) -> None:
            for name in names:
                self._inside[name].set(**values)

        kinds = [number for number, key in enumerate(("offset", "drop", "repeat")) if numbers.get(key)]

        def effects() -> list[int]:
            return [self._inside[name].effects()[kind] for name in names for kind in kinds]

        before = effects()
        set_all({key: float(value) for key, value in numbers.items()})

        def end() -> bool:
            set_all(dict.fromkeys(numbers, 0.0))
            return effects() != before

        return end

    def _wait_for_connection(self) -> None:
        """Wait a moment for the trading session's connection, without which there is nothing to break."""
        deadline = time.monotonic() + _CONNECTED_WITHIN
        while _SENDER not in self._fix.get("/state")["senders"] and time.monotonic() < deadline:
            time.sleep(0.02)

    def _at_proxy(self, proxy: _Control, kind: str, parameters: Mapping[str, object]) -> Callable[[], bool]:
        before, query = proxy.hits(kind), f"?door={parameters['door']}" if "door" in parameters else ""
        proxy.post(f"/faults/{kind}", parameters)

        def end() -> bool:
            proxy.delete(f"/faults/{kind}{query}")
            return proxy.hits(kind) > before

        return end

    def _note_dead(self, names: Iterable[str]) -> None:
        """Keep in mind which of these have ended by themselves: killing and starting them would hide it."""
        for name in names:
            if not self._parts[name].process.is_running():
                self.died.append(str(self._parts[name].process.failure("has ended by itself")))

    def _kill(self, names: list[str], again: float | str | None) -> Callable[[], bool]:
        self._note_dead(names)
        had_effect = any(self._parts[name].process.is_running() for name in names)
        for name in names:
            if name == "azurite":
                self._kill_azurite()
            else:
                self._end(name)

        def start_again() -> bool:
            if again is not None and "azurite" not in names:
                for name in names:
                    self._parts[name].process.start()
                time.sleep(float(again))
                self._note_dead(names)
                for name in names:
                    self._end(name)
            for name in names:
                self._parts[name].process.start()
            for name in names:
                part = self._parts[name]
                part.process.wait_until(part.is_ready)
            return had_effect

        return start_again

    def _end(self, name: str) -> None:
        self._signal(name, signal.SIGKILL)
        self._parts[name].process.stop(grace=0.0)

    def _kill_azurite(self) -> None:
        """Kill it when all that it has acknowledged is on its disk: real storage loses nothing of that, ever."""
        self._storage.post("/quiesce")
        try:
            self._saved.unlink(missing_ok=True)
            self._signal("azurite", signal.SIGUSR2)
            self._parts["azurite"].process.wait_until(self._saved.exists, _QUIET_WITHIN)
            self._end("azurite")
        finally:
            self._storage.post("/resume")

    def _freeze(self, name: str) -> None:
        """Stop a process. A host is not stopped in the middle of a write to the file that the hosts share: the others
        would wait for its lock, which the storage that the file stands for does not have."""
        self._signal(name, signal.SIGSTOP)
        for _ in range(1000 if name in self.names else 0):
            if not self._writes_to_hosts_file(self.pid(name)):
                return
            self._signal(name, signal.SIGCONT)
            time.sleep(0.002)
            self._signal(name, signal.SIGSTOP)

    def _writes_to_hosts_file(self, pid: int) -> bool:
        _wait_until_stopped(pid)
        try:
            inode = (self._state / "hosts.db-shm").stat().st_ino
        except FileNotFoundError:
            return False
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "->" or fields[3] != "WRITE" or fields[4] != str(pid):
                continue
            if fields[5].rpartition(":")[2] == str(inode) and int(fields[6]) in _SHM_WRITE_LOCKS:
                return True
        return False

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self._parts[name].process
        if process.is_running():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _end_later(self, injected: Injected, over: threading.Event, end: Callable[[], bool]) -> None:
        over.wait(injected.fault.duration)
        if self._stopping:
            return
        injected.had_effect = end()
        injected.until = datetime.now(UTC)

    def _end_all(self, chosen: Iterable[_Active]) -> None:
        ending = list(chosen)
        for active in ending:
            active.over.set()
        for active in ending:
            self._active.remove(active)
        for active in ending:
            active.ended.result()

    def _status(self, port: int) -> SessionStatus | None:
        client = Client(port, timeout=1.0)
        try:
            return msgspec.convert(client.get("/api/session"), SessionStatus)
        except (UnreachableError, RefusedError):
            return None
        finally:
            client.close()


def _wait_until_stopped(pid: int) -> None:
    """SIGSTOP takes effect a moment after it was sent: the process's threads have to reach the kernel."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline and _state(pid) not in ("T", ""):
        time.sleep(0.001)


def _is_stopped(pid: int) -> bool:
    _wait_until_stopped(pid)
    return _state(pid) == "T"


def _state(pid: int) -> str:
    """A process's state as the kernel shows it; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
