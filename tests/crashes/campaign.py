"""Runs a load on a host that is killed at random instants, and compares with a run in which nothing was killed.

A round is one load on a fresh database: hosts are started and killed while the load's users go on, until the load has
come to rest. In some rounds two hosts serve the file, each killed for itself. Rounds follow each other until the app
has had its share of kills.
"""

import difflib
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from tests.apps.service import Service
from tests.apps.serving import APPS
from tests.crashes import outcome
from tests.crashes.client import Client
from tests.crashes.loads import Load, Scene
from tests.devhost.running import RunningHost

_INSTANCE = re.compile(r"\S+: \{")
_START = 0.5
"""Seconds within which a host that is killed while it starts dies."""
_LIFE = 0.7
"""Seconds that a host which is killed at work lives at most."""
_TRANSACTIONS = 60
"""So many transactions a host that dies after one of them gets done on average."""
_SHARES = {"start": 25, "work": 40, "commit": 35}
"""Of a hundred kills, how many hit a host while it starts, at any instant of its work, right after a commit."""
_PATIENCE = 90.0
"""Seconds within which a round must come to rest."""


@dataclass
class Report:
    """What came of an app's rounds."""

    app: str
    rounds: int = 0
    rounds_of_two: int = 0
    """Those of the rounds in which two hosts served one file."""
    kills: Counter[str] = field(default_factory=Counter)
    """How often a host was killed, by the moment."""
    instances: int = 0
    problems: list[str] = field(default_factory=list)
    """Differences to the undisturbed run, and what went wrong otherwise."""


def campaign(
    loads: tuple[Load, ...],
    kills: int,
    seed: int,
    *,
    parallel: int,
    size: int = 1,
    killed: Callable[[], None] = lambda: None,
) -> list[Report]:
    """Kill hosts until so many kills are done, shared over the loads; `killed` is called at each of them."""
    shares = [kills // len(loads) + (place < kills % len(loads)) for place in range(len(loads))]
    with ThreadPoolExecutor(parallel) as pool:
        jobs = [
            pool.submit(_rounds, load, size, share, random.Random(f"{seed} {load.app}"), killed)
            for load, share in zip(loads, shares, strict=True)
        ]
        return [job.result() for job in jobs]


def _rounds(load: Load, size: int, kills: int, chance: random.Random, killed: Callable[[], None]) -> Report:
    report = Report(load.app)
    expected = _round(load, size, 0, 1, chance, report, killed)
    if expected is None:
        return report
    report.instances = sum(_INSTANCE.match(line) is not None for line in expected)
    while report.kills.total() < kills and not report.problems:
        report.rounds += 1
        hosts = 2 if load.is_for_two and report.rounds % 2 else 1
        report.rounds_of_two += hosts - 1
        actual = _round(load, size, kills - report.kills.total(), hosts, chance, report, killed)
        if actual is not None and actual != expected:
            difference = difflib.unified_diff(
                expected, actual, "undisturbed", f"round {report.rounds}", n=2, lineterm=""
            )
            report.problems += difference
    return report


def _round(
    load: Load, size: int, kills: int, hosts: int, chance: random.Random, report: Report, killed: Callable[[], None]
) -> list[str] | None:
    """The outcome of a round with at most so many kills of so many hosts; None if it did not come to rest."""
    with _LOCK:
        ports = [next(_PORTS) for _ in range(hosts)]
    with tempfile.TemporaryDirectory(prefix="crashes-") as name, Service() as service:
        scene = Scene(Client(ports, _PATIENCE), service, Path(name), size)
        load.prepare(scene)
        settings = {key: text.format(service=service.url, folder=scene.folder) for key, text in load.settings.items()}

        def host(port: int, *command: str) -> RunningHost:
            return RunningHost(
                APPS / load.app, scene.folder, port=port, settings=settings, is_awaited=False, command=command
            )

        users = _Users(load, scene)
        budget = iter(range(kills))

        def kill_again_and_again(port: int, seed: float) -> None:
            own_chance = random.Random(seed)
            while users.are_busy and next(budget, None) is not None:
                moment = _one_life(partial(host, port), users, own_chance)
                report.kills[moment] += 1
                killed()

        try:
            with ThreadPoolExecutor(hosts) as pool:
                list(pool.map(kill_again_and_again, ports, [chance.random() for _ in ports]))
        except HostEndedError as error:
            report.problems.append(str(error))
            return None
        with ExitStack() as stack:
            last = [stack.enter_context(host(port, "devhost")) for port in ports]
            if all(each.listens(None) for each in last):
                users.wait()
                if users.problem is None:
                    return _outcome(load, scene)
            report.problems.append(f"{users.problem}; the hosts' last words:\n{last[0].log[-2000:]}")
            return None


def _ports() -> Iterator[int]:
    """Ports that are free, and that no process gets which asks for any."""
    for place in count(os.getpid() * 20):
        port = 10_000 + place % 20_000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


_PORTS = _ports()
_LOCK = threading.Lock()


def _one_life(host: Callable[..., RunningHost], users: "_Users", chance: random.Random) -> str:
    """Start a host and kill it; the moment at which it died. Raises HostEndedError."""
    (moment,) = chance.choices(list(_SHARES), list(_SHARES.values()))
    number = 1 + int(chance.expovariate(1 / _TRANSACTIONS))
    command = ("tests.crashes.dying", str(number)) if moment == "commit" else ("devhost",)
    with host(*command) as killed:
        killed.listens(chance.uniform(0, _START) if moment == "start" else None)
        if moment == "work":
            users.wait_beside(killed.process, chance.uniform(0, _LIFE))
        elif moment == "commit":
            users.wait_beside(killed.process, _LIFE)
        code = killed.process.poll()
    if code is None:
        return "work" if moment == "commit" else moment
    if code != -signal.SIGKILL:
        raise HostEndedError(f"a host ended by itself, with exit code {code}; its last words:\n{killed.log[-2000:]}")
    return moment


class HostEndedError(Exception):
    """A host ended that nobody had killed."""


class _Users:
    """Those who use the app, in a thread of their own."""

    def __init__(self, load: Load, scene: Scene) -> None:
        self.problem: str | None = None
        self._load = load
        self._scene = scene
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def are_busy(self) -> bool:
        """Whether the load has not come to rest yet."""
        return self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the load has come to rest, at most so long."""
        self._thread.join(seconds)

    def wait_beside(self, process: "subprocess.Popen[str]", seconds: float) -> None:
        """Wait until the load has come to rest or the process has ended, at most so long."""
        deadline = time.monotonic() + seconds
        while self.are_busy and process.poll() is None and time.monotonic() < deadline:
            self.wait(0.01)

    def _run(self) -> None:
        try:
            self._load.run(self._scene)
            self._scene.client.settle()
        except Exception as error:
            self.problem = f"{type(error).__name__}: {error}"


def _outcome(load: Load, scene: Scene) -> list[str]:
    client = scene.client

    def mask(line: str) -> str:
        return outcome.masked(line.replace(str(scene.folder), "<folder>"), load.masks)

    blocks = []
    for status in client.instances():
        identifier = status["instanceId"]
        history = client.history(identifier)
        blocks.append(outcome.instance_lines(status, history, load.shape_of(identifier), mask))
    lines = [line for block in sorted(blocks) for line in block]
    lines += [f"entity {name} {key} = {client.entity(name, key)}" for name, key in load.entities]
    # Activities run at least once: what counts is that each effect is there.
    effects = {f"posted {path} {body}" for path, body in scene.service.posts}
    if load.effects:
        effects |= {f"file {path.name}: {path.read_text()}" for path in (scene.folder / load.effects).iterdir()}
    return lines + sorted({mask(effect) for effect in effects})
