"""The processes of a run: Azurite, the venue, and the development host with the app."""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from gateway.gateway import SessionStatus
from player.azurite import azurite_process, connection_string
from player.client import Client
from player.processes import Process, free_port, is_listening

ROOT = Path(__file__).resolve().parent.parent
HUB = "market-data"
_SENDER = "DESK"
_TARGET = "VENUE"
_USERNAME = "desk"
_PASSWORD = "development-only"
_RETRY_HOST_FOR = 60.0
_LOGON_WITHIN = 20.0
_GIVE_UP_AFTER = 2.0
"""Seconds after the first logon that failed, in which the session tries again."""


class StackError(Exception):
    """The system does not start, or stopped working for good."""


class StackOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to start the system. Everything a run writes goes into `out`; ports that are None are chosen."""

    out: Path
    lockstep: bool
    settings: dict[str, str]
    """Settings of the app besides those that this module knows: the strategy's and the limits."""
    host_port: int | None = None
    control_port: int | None = None
    """The venue's control API."""
    venue_arguments: tuple[str, ...] = ()


class Stack:
    """The running system. The host is started again whenever a request finds it dead, as Azure would."""

    def __init__(self, options: StackOptions) -> None:
        out = options.out.resolve()
        logs = out / "logs"
        state = out / "state"
        self._azurite_port = free_port()
        self._fix_port = free_port()
        self.control_port = options.control_port or free_port()
        self.host_port = options.host_port or free_port()
        self.restarts = 0
        self.storage_connection = connection_string(self._azurite_port)
        self.azurite = azurite_process(self._azurite_port, logs / "azurite.log")
        self.venue_process = Process("the venue", self._venue_command(options), logs / "venue.log")
        self.host_process = Process(
            "the host", self._host_command(options, state), logs / "host.log", self._host_environment(options, state)
        )
        self.host = Client(self.host_port, retry_for=_RETRY_HOST_FOR, before_retry=self._revive_host)
        self.venue = Client(self.control_port)

    def start(self) -> None:
        """Start everything and wait until the FIX session is logged on. Raises `StackError` or `ProcessError`."""
        for port, option in ((self.host_port, "--port"), (self.control_port, "--venue-port")):
            if is_listening(port):
                raise StackError(f"port {port} is in use: end what listens there, or take another with {option}")
        self.azurite.start()
        self.venue_process.start()
        self.azurite.wait_until(lambda: is_listening(self._azurite_port))
        self.venue_process.wait_until(lambda: self.venue_process.has_written("venue: FIX on"))
        self._start_host()
        self._wait_for_logon()

    def stop(self) -> None:
        """End all processes, the host first."""
        self.host.close()
        self.venue.close()
        for process in (self.host_process, self.venue_process, self.azurite):
            process.stop()

    def check(self) -> None:
        """Raise `ProcessError` where something ended that is not started again; start the host where that has."""
        for process in (self.azurite, self.venue_process):
            if not process.is_running():
                raise process.failure("ended by itself")
        self._revive_host()

    def _venue_command(self, options: StackOptions) -> list[str]:
        ports = ["--fix-port", str(self._fix_port), "--control-port", str(self.control_port)]
        logon = ["--comp-id", _TARGET, "--username", _USERNAME, "--password", _PASSWORD]
        return [sys.executable, "-m", "venue", *ports, *logon, *options.venue_arguments]

    def _host_command(self, options: StackOptions, state: Path) -> list[str]:
        command = [sys.executable, "-m", "devhost", "start", "--app", str(ROOT), "--port", str(self.host_port)]
        command += ["--db", str(state / "host.db")]
        if options.lockstep:
            command += ["--virtual-clock", str(state / "market_clock")]
            for orchestrator in ("fix_session", "backoff"):
                command += ["--real-time", orchestrator]
        for function in ("run_session", "supervise_session", "sweep_orders"):
            command += ["--background", function]
        return command

    def _host_environment(self, options: StackOptions, state: Path) -> dict[str, str]:
        lockstep = {"MARKET_CLOCK": str(state / "market_clock"), "ORDER_RELEASE": "manual"} if options.lockstep else {}
        quiet = {"AzureFunctionsJobHost__logging__logLevel__Function": "Warning"} if options.lockstep else {}
        return {
            **os.environ,
            "AzureWebJobsStorage": self.storage_connection,
            "FIX_HOST": "127.0.0.1",
            "FIX_PORT": str(self._fix_port),
            "FIX_SENDER_COMP_ID": _SENDER,
            "FIX_TARGET_COMP_ID": _TARGET,
            "FIX_USERNAME": _USERNAME,
            "FIX_PASSWORD": _PASSWORD,
            "LEASE_SECONDS": "3",
            "MARKET_DATA_HUB": HUB,
            **lockstep,
            **quiet,
            **options.settings,
        }

    def _start_host(self) -> None:
        self.host_process.start()
        self.host_process.wait_until(lambda: self.host_process.has_written("devhost: listening on"))

    def _revive_host(self) -> None:
        if self.host_process.is_running():
            return
        self.restarts += 1
        self._start_host()

    def _wait_for_logon(self) -> None:
        deadline = time.monotonic() + _LOGON_WITHIN
        refused_at = float("inf")
        while True:
            session = msgspec.convert(self.host.get("/api/session"), SessionStatus)
            if session.logged_on:
                return
            now = time.monotonic()
            if session.text:
                refused_at = min(refused_at, now)
            if now > min(deadline, refused_at + _GIVE_UP_AFTER):
                raise StackError(f"the FIX session does not log on: {session.text or 'no answer from the venue'}")
            time.sleep(0.05)


@contextmanager
def running(options: StackOptions) -> Iterator[Stack]:
    """The system, started and logged on, until the block ends; then nothing of it is left, however the block ends."""
    with ExitStack() as cleanup:
        cleanup.enter_context(_alone_in(options.out))
        _clear(options)
        stack = Stack(options)
        cleanup.callback(stack.stop)
        stack.start()
        yield stack


def _clear(options: StackOptions) -> None:
    """Take away what an earlier run has left, by name: the folder may be one of the user's own."""
    for pattern in ("logs/*.log", "state/host.db*", "state/market_clock*"):
        for left in options.out.glob(pattern):
            left.unlink()
    (options.out / "state").mkdir(parents=True, exist_ok=True)


def writable(out: Path) -> Path:
    """The folder, made if need be. Raises `StackError` where nothing can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".lock").touch()
    except OSError as error:
        raise StackError(f"--out {out}: nothing can be written there: {error.strerror}") from None
    return out


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    with writable(out).joinpath(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"another run writes to {out}: wait for its end, or take another folder with --out"
            ) from None
        yield
