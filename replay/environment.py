"""A test environment that skips time: an app's real orchestrators and entities in the test's own process.

    async with DurableTestEnvironment(app, activities={"charge": charge}) as env:
        await env.start("order", {"amount": 7}, instance_id="order-1")
        assert await env.result("order-1") == "paid"

Time is virtual: it stands still while anything can run, and `result` and `advance` let it skip to the next timer. Work
runs one piece at a time and ids are made of counters, so a test does the same in every run. The durable state is a
file; `crash_when` ends the engine at any transaction, and a new one goes on from that file, as after `kill -9`.
"""

import asyncio
import inspect
import json
import os
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock
from uuid import NAMESPACE_URL, uuid5

import msgspec
from aiohttp import web

from devhost import entities
from devhost.api import DurableApi
from devhost.app import App, Function, Kind, examine
from devhost.clock import MarketClock
from devhost.configuration import HostOptions, read_host_options
from devhost.engine import Engine
from devhost.eventhub import EventHubs, IncomingBatch, IncomingEvent
from devhost.history import Status
from devhost.http import HttpTriggers
from devhost.scheduler import Scheduler, Work
from devhost.store import EpisodeRow, InstanceRow, Store
from devhost.worker import Worker, binding_of, links_for
from replay.history import History
from replay.recording import history_of
from replay.replayer import waiting_for

START = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
_REAL_SECONDS = 30.0
"""How long, by the system's clock, work may go on before a wait is given up as hanging."""
_THREADS = 8

Fake = Callable[[Any], Any] | Callable[[Any], Awaitable[Any]]
"""What stands in for an activity: gets its input, returns its result, may raise."""


class ActivityCall(msgspec.Struct, frozen=True):
    """An activity that was called, replaced or not, and what it was given."""

    name: str
    given: Any


class Commit(msgspec.Struct, frozen=True):
    """A transaction of the engine's, as `crash_when` is asked about it.

    `number` counts them from 1, from the call of `crash_when`. `label` says what it is for, such as `episode order-1`,
    `activity charge order-1` (it ran, and its result is being stored), `entity @counter@k`. `is_done` is false just
    before it and true just after.
    """

    number: int
    label: str
    is_done: bool


CrashTest = Callable[[Commit], bool]
"""Says at which transactions the engine is to end."""


def before(label: str) -> CrashTest:
    """Just before what `label` begins like is stored: `before("activity charge")` is when it has run, for nothing."""
    return lambda commit: not commit.is_done and _begins(commit.label, label)


def after(label: str) -> CrashTest:
    """Just after what `label` begins like is stored: `after("episode order-1")` is before any of its activities run."""
    return lambda commit: commit.is_done and _begins(commit.label, label)


def _begins(label: str, words: str) -> bool:
    return f"{label} ".startswith(f"{words} ")


class OrchestrationError(Exception):
    """An instance did not end well; the message is its failure's text, or what it still waits for."""


class _CrashError(asyncio.CancelledError):
    """Ends the engine. A cancellation, because nothing in the host swallows that, and a task may end by it unheard."""

    def __init__(self, commit: Commit) -> None:
        super().__init__(commit.label)
        self.commit = commit


class DurableTestEnvironment:
    """Runs an app on the development host's engine; an asynchronous context manager.

    `app` is the app object (or a blueprint); `activities` replaces activities by name, with plain or asynchronous
    functions of one argument; an unknown name raises ValueError. `settings` are the app's, over the environment's.
    `start` is where time begins. `host_json` is what the app's host.json holds; without it all is as by default.
    """

    def __init__(
        self,
        app: Any,
        *,
        activities: Mapping[str, Fake] | None = None,
        settings: Mapping[str, str] | None = None,
        start: datetime = START,
        host_json: Mapping[str, Any] | None = None,
    ) -> None:
        self._given_app = app
        self._activities = activities or {}
        self._settings = mock.patch.dict(os.environ, settings or {})
        self._start = start
        self._host_json = host_json
        self._options = HostOptions()
        self._ids = 0
        self._commits = 0
        self._crash_test: CrashTest = lambda _: False
        self._crashes_left: int | None = None
        self._generations: dict[str, list[History]] = {}
        self.calls: list[ActivityCall] = []
        """The activities that were called, replaced or not, in this order; one that was called again is in it again."""
        self.crashes = 0
        """How often the engine has been ended."""
        self.url = ""
        """Where the app's HTTP triggers and the durable HTTP API are."""

    async def __aenter__(self) -> Self:
        self._settings.start()
        self._given_app.functions_bindings = {}  # names of the last call: it refuses to be asked twice
        self._folder = tempfile.TemporaryDirectory(prefix="durable-test-")
        try:
            if self._host_json is not None:
                folder = Path(self._folder.name)
                (folder / "host.json").write_text(json.dumps(self._host_json), encoding="utf-8")
                self._options = read_host_options(folder)
            self._app = self._watched(_with_fakes(examine(self._given_app.get_functions()), self._activities))
            await self._open()
        except BaseException:
            self._folder.cleanup()
            self._settings.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()
        self._folder.cleanup()
        self._settings.stop()

    # What a test does

    async def start(
        self, orchestrator: str, given: Any = None, *, instance_id: str | None = None, version: str | None = None
    ) -> str:
        """Start an instance; its id. `given` is what the Python client would send. Raises devhost's EngineError."""
        identifier = instance_id or self._new_id()
        await self._durably(lambda: self._engine.start(orchestrator, identifier, _sent(given), version))
        return identifier

    async def raise_event(self, instance_id: str, name: str, data: Any = None) -> None:
        """Raise an external event, encoded as the Python client encodes it."""
        await self._durably(lambda: self._engine.raise_event(instance_id, name, json.dumps(json.dumps(data))))

    async def signal(self, entity: str, key: str, operation: str, given: Any = None) -> None:
        """Signal an entity."""
        await self._durably(lambda: self._engine.signal_entity(entity, key, operation, _sent(given)))

    async def terminate(self, instance_id: str, reason: str = "") -> None:
        """End an instance from outside."""
        await self._durably(lambda: self._engine.terminate(instance_id, reason))

    async def rewind(self, instance_id: str, reason: str = "") -> None:
        """Let a failed instance go on from before its failure."""
        await self._durably(lambda: self._engine.rewind(instance_id, reason))

    async def send_events(self, hub: str, events: Sequence[IncomingEvent], partition: str = "0") -> None:
        """Let Event Hub events arrive, as one batch."""
        batch = IncomingBatch(events=list(events), partition=partition)
        await self._durably(lambda: self._hubs.post(hub, batch))

    async def settle(self) -> None:
        """Until nothing can run without time passing."""
        while True:
            idle = asyncio.ensure_future(self._scheduler.wait_until_idle(_REAL_SECONDS))
            crashed = asyncio.ensure_future(self._crashed.wait())
            await asyncio.wait((idle, crashed), return_when=asyncio.FIRST_COMPLETED)
            crashed.cancel()
            if self._crashed.is_set():
                idle.cancel()
                await self.crash()
                continue
            if not idle.result():
                raise TimeoutError(f"still busy after {_REAL_SECONDS:.0f} s: {', '.join(self._scheduler.busy())}")
            return

    async def advance(self, by: timedelta) -> None:
        """Let so much time go by, firing each timer at its time."""
        until = self.now + by
        await self.settle()
        while (due := self._engine.next_virtual_timer()) is not None and due <= until:
            await self._set_clock(max(due, self.now))
        await self._set_clock(until)

    async def result(self, instance_id: str) -> Any:
        """An instance's output; time skips until it has ended. Raises OrchestrationError: with the failure's text, or
        with what it waits for if it can never end, or has not within half a minute of real time."""
        give_up = time.monotonic() + _REAL_SECONDS
        while True:
            await self.settle()
            row = self._row(instance_id)
            if row.status.is_over:
                break
            due = self._engine.next_virtual_timer()
            if due is None:
                raise OrchestrationError(
                    f"{instance_id} is {row.status.text} and can never end by itself: no timer is left; "
                    + self._waiting(instance_id)
                )
            if time.monotonic() > give_up:
                raise OrchestrationError(
                    f"{instance_id} is {row.status.text} at {self.now.isoformat()}, after {_REAL_SECONDS:.0f} s of"
                    f" skipping time; an eternal one is watched with advance(). {self._waiting(instance_id)}"
                )
            await self._set_clock(max(due, self.now))
        output = None if row.output is None else json.loads(row.output)
        if row.status is not Status.COMPLETED:
            raise OrchestrationError(f"{instance_id} is {row.status.text}: {output}")
        return output

    async def run(self, orchestrator: str, given: Any = None, *, instance_id: str | None = None) -> Any:
        """Start an instance and wait for its output, skipping time. Raises OrchestrationError."""
        return await self.result(await self.start(orchestrator, given, instance_id=instance_id))

    @property
    def now(self) -> datetime:
        """The time of orchestrators."""
        return self._clock.now()

    @property
    def next_timer(self) -> datetime | None:
        """When the next timer is due."""
        return self._engine.next_virtual_timer()

    # What a test looks at

    def status(self, instance_id: str) -> Status:
        """An instance's runtime status. Raises KeyError."""
        return self._row(instance_id).status

    def output(self, instance_id: str) -> Any:
        """What an instance has ended with; None as long as it has not. Raises KeyError."""
        text = self._row(instance_id).output
        return None if text is None else json.loads(text)

    def custom_status(self, instance_id: str) -> Any:
        """What the orchestrator set last. Raises KeyError."""
        text = self._row(instance_id).custom_status
        return None if text is None else json.loads(text)

    def entity_state(self, name: str, key: str) -> Any:
        """An entity's state; None if it does not exist."""
        text = self._store.entity(entities.entity_id(name, key))
        return None if text is None else json.loads(text)

    def history(self, instance_id: str) -> History:
        """The instance's present or last generation. Raises KeyError."""
        row = self._row(instance_id)
        return history_of(row, self._store.history(instance_id))

    def histories(self, instance_id: str) -> list[History]:
        """All generations of an instance, the present or last one at the end. Raises KeyError."""
        return [*self._generations.get(instance_id, []), self.history(instance_id)]

    # Crashes

    def crash_when(self, test: CrashTest, times: int | None = None) -> None:
        """End the engine at each transaction for which `test` holds, as if its process had been killed there; `times`
        times at most. A later call takes the place of this one."""
        self._crash_test = test
        self._crashes_left = times
        self._commits = 0

    async def crash(self) -> None:
        """End the engine now; a new one goes on from what was committed."""
        while True:
            self.crashes += 1
            await self._close()
            try:
                await self._open()
            except _CrashError:
                continue
            return

    # How it is done

    async def _open(self) -> None:
        self._crashed = asyncio.Event()
        self._store = Store(
            Path(self._folder.name) / "environment.db",
            before_commit=lambda label: self._asked(label, is_done=False),
            after_commit=lambda label: self._asked(label, is_done=True),
        )
        self._clock = MarketClock(self._store, start=self._start)
        self._scheduler = Scheduler(dict.fromkeys(Work, 1), is_serial=True)
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        binding = binding_of(self.url, self._options.hub_name)
        self._worker = Worker(_THREADS, binding)
        self._engine = Engine(
            self._app,
            self._store,
            self._clock,
            self._scheduler,
            self._worker,
            self._options,
            on_generation=self._keep_generation,
            new_id=self._new_id,
        )
        self._hubs = EventHubs(
            self._app,
            self._store,
            self._scheduler,
            self._worker,
            maximum_batch=self._options.maximum_event_batch_size,
            background=(),
        )
        triggers = HttpTriggers(
            self._app, self._scheduler, self._worker, route_prefix=self._options.route_prefix, background=()
        )
        links = msgspec.json.decode(binding)["managementUrls"]
        api = DurableApi(self._engine, self._store, lambda identifier: links_for(links, identifier))
        server = web.Application()
        server.add_routes([*api.routes(), *triggers.routes()])
        self._runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1, handle_signals=False)
        await self._runner.setup()
        self._engine.recover()
        self._hubs.recover()
        await web.SockSite(self._runner, listener).start()

    async def _close(self) -> None:
        self._engine.stop()
        await self._scheduler.stop()
        await self._worker.stop(_REAL_SECONDS)
        await self._runner.cleanup()
        self._store.close()

    async def _durably(self, act: Callable[[], object]) -> None:
        """Ask like a client that asks again until it is answered."""
        while True:
            try:
                act()
            except _CrashError as crash:
                await self.crash()
                if crash.commit.is_done:
                    return
            else:
                return

    async def _set_clock(self, moment: datetime) -> None:
        await self._durably(lambda: self._engine.set_clock(moment))
        await self.settle()

    def _asked(self, label: str, *, is_done: bool) -> None:
        """Called around each commit. Nothing is committed any more once the engine has ended."""
        if not is_done and not self._crashed.is_set():
            self._commits += 1
        commit = Commit(self._commits, label, is_done)
        if self._crashed.is_set():
            raise _CrashError(commit)
        if self._crashes_left != 0 and self._crash_test(commit):
            if self._crashes_left is not None:
                self._crashes_left -= 1
            self._crashed.set()
            self._scheduler.halt()
            raise _CrashError(commit)

    def _new_id(self) -> str:
        self._ids += 1
        return uuid5(NAMESPACE_URL, f"durable-test-{self._ids}").hex

    def _keep_generation(self, row: InstanceRow, episodes: Sequence[EpisodeRow]) -> None:
        self._generations.setdefault(row.id, []).append(history_of(row, episodes))

    def _watched(self, app: App) -> App:
        """The app, whose activities are in `calls` before they run."""

        def watched(function: Function) -> Function:
            if function.kind is not Kind.ACTIVITY:
                return function

            def call(**arguments: Any) -> Any:
                self.calls.append(ActivityCall(function.durable_name, arguments[function.trigger_parameter]))
                return function.call(**arguments)

            return msgspec.structs.replace(function, call=call)

        return msgspec.structs.replace(app, functions=tuple(watched(function) for function in app.functions))

    def _waiting(self, instance_id: str) -> str:
        """What an instance waits for, by its history: a sentence."""
        row = self._row(instance_id)
        if row.status is Status.SUSPENDED:
            return "it is suspended"
        waits = waiting_for(self.history(instance_id), self._given_app)
        return f"it waits for {', '.join(waits)}" if waits else f"its custom status is {row.custom_status}"

    def _row(self, instance_id: str) -> InstanceRow:
        row = self._store.instance(instance_id)
        if row is None:
            raise KeyError(f"no instance {instance_id} has been started")
        return row


def _sent(given: Any) -> str | None:
    """What the Python client makes of an input: JSON text in JSON."""
    return None if given is None else json.dumps(json.dumps(given))


def _with_fakes(app: App, fakes: Mapping[str, Fake]) -> App:
    known = {function.durable_name.lower(): function.durable_name for function in app.of(Kind.ACTIVITY)}
    for name in fakes:
        if name.lower() not in known:
            names = ", ".join(sorted(known.values())) or "none"
            raise ValueError(f"activities: the app has no activity '{name}'; it has: {names}")
    by_name = {name.lower(): fake for name, fake in fakes.items()}

    def replaced(function: Function) -> Function:
        fake = by_name.get(function.durable_name.lower()) if function.kind is Kind.ACTIVITY else None
        if fake is None:
            return function
        return msgspec.structs.replace(
            function,
            call=lambda given: fake(given),  # noqa: PLW0108  # whatever its parameter is called
            is_async=inspect.iscoroutinefunction(fake),
            trigger_parameter="given",
            client_parameters=(),
            wants_context=False,
        )

    return msgspec.structs.replace(app, functions=tuple(replaced(function) for function in app.functions))
