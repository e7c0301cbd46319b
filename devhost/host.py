"""The host: puts the parts together, starts and stops them."""

import errno
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from azure.functions.warmup import WarmUpContext

from devhost import logs
from devhost.admin import AdminApi
from devhost.api import DurableApi
from devhost.app import App, Kind, load
from devhost.clock import MarketClock
from devhost.configuration import (
    ConfigurationError,
    HostOptions,
    apply_settings,
    read_host_options,
    read_local_settings,
)
from devhost.engine import Engine
from devhost.eventhub import EventHubs
from devhost.http import HttpTriggers
from devhost.keys import Keys, keys_in
from devhost.ownership import LeasedOwner
from devhost.page import Page, refuse_other_sites
from devhost.partitions import Partitions, Timeouts
from devhost.scheduler import Scheduler, Work
from devhost.schedules import TimerTriggers
from devhost.store import Store
from devhost.worker import FunctionFailedError, Worker, binding_of, links_for

if TYPE_CHECKING:
    from devhost.bindings import Storage
    from devhost.queues import QueueTriggers

_LOG = logging.getLogger("devhost")
_ADDRESS = "127.0.0.1"
_LARGEST_BODY = 64 * 1024 * 1024
_DRAIN_SECONDS = 0.8
"""How long functions may go on once the host is to end."""
_CANCEL_SECONDS = 0.3
"""How long asynchronous functions then have to take their cancellation."""


class PortError(Exception):
    """The port cannot be listened on."""


class HostArguments(msgspec.Struct, frozen=True):
    """What the command line says."""

    folder: Path
    port: int
    database: Path
    virtual_clock: Path | None = None
    virtual_time: datetime | None = None
    """Where a clock begins that skips the time in which nothing happens."""
    real_time: tuple[str, ...] = ()
    background: tuple[str, ...] = ()
    settings: Mapping[str, str] = {}
    visibility_timeouts: bool = False
    """What a dead host had in its hands stays hidden for the times in host.json."""
    enable_auth: bool = False
    """Whether keys are asked for."""


class Host:
    """One app being served. Raises ConfigurationError, LoadError, ScheduleError, StoreError, ClockError, PortError."""

    def __init__(self, arguments: HostArguments) -> None:
        self._arguments = arguments
        folder = arguments.folder
        if not folder.is_dir():
            raise ConfigurationError(f"{folder} is no folder")
        apply_settings(read_local_settings(folder), arguments.settings)
        self._options = read_host_options(folder)
        logs.set_function_level(self._options.function_log_level)
        self._threads = _thread_count()
        os.chdir(folder)
        self._app = load(folder)
        _check_named(self._app, arguments)
        self.base_url = ""

    async def start(self) -> None:
        """Listen, then go on with what an earlier host left open."""
        arguments, options, app = self._arguments, self._options, self._app
        runner_socket = _listen(arguments.port)
        self.base_url = f"http://{_ADDRESS}:{runner_socket.getsockname()[1]}"
        is_virtual = arguments.virtual_clock is not None or arguments.virtual_time is not None
        self._store = Store(arguments.database, shared=not is_virtual, partition_count=options.partition_count)
        if self._store.partition_count != options.partition_count:
            _LOG.warning(
                "%s was made with %d partitions and keeps them: partitionCount %d in host.json counts for a new file",
                arguments.database,
                self._store.partition_count,
                options.partition_count,
            )
        timeouts = Timeouts(options.control_queue_visibility_timeout, options.work_item_queue_visibility_timeout)
        partitions = Partitions(
            self._store,
            lease_seconds=options.lease_interval,
            timeouts=timeouts if arguments.visibility_timeouts else None,
        )
        clock = MarketClock(self._store, arguments.virtual_clock, arguments.virtual_time)
        limits = {
            Work.EPISODE: options.maximum_concurrent_orchestrators,
            Work.ENTITY: options.maximum_concurrent_entities,
            Work.ACTIVITY: options.maximum_concurrent_activities,
            Work.BATCH: 32,
        }
        self._scheduler = scheduler = Scheduler(limits, is_serial=clock.is_virtual)
        keys = self._keys()
        binding = binding_of(self.base_url, options.hub_name, **({"code": keys.system} if keys else {}))
        self._storage = _storage(app, options)
        self._worker = worker = Worker(self._threads, binding, self._storage)
        background = arguments.background
        self._engine = engine = Engine(
            app,
            self._store,
            clock,
            scheduler,
            worker,
            options,
            real_time=arguments.real_time,
            background=background,
            partitions=partitions,
        )
        owner = LeasedOwner(partitions)
        hubs = EventHubs(
            app,
            self._store,
            scheduler,
            worker,
            maximum_batch=options.maximum_event_batch_size,
            background=background,
            ownership=owner,
        )
        self._queues = _queue_triggers(app, self._storage, scheduler, worker, options, background)
        self._timers = TimerTriggers(app, self._store, scheduler, worker, background, owner)
        http = HttpTriggers(app, scheduler, worker, route_prefix=options.route_prefix, background=background, keys=keys)
        links = msgspec.json.decode(binding)["managementUrls"]
        api = DurableApi(engine, self._store, lambda identifier: links_for(links, identifier))
        admin = AdminApi(app, engine, clock, scheduler, hubs, self._timers, self.base_url, self._queues)
        self._log_functions(http, hubs)
        page = Page(app, self._store, clock, scheduler, options.route_prefix)
        server = web.Application(client_max_size=_LARGEST_BODY, middlewares=[refuse_other_sites])
        if keys is not None:
            server.middlewares.append(keys.guard())
            server.add_routes(keys.routes())
        server.add_routes([*api.routes(), *admin.routes(), *page.routes(), *http.routes()])
        self._runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.2, handle_signals=False)
        await self._runner.setup()
        # The socket listens already, so what is recovered can call back; nobody is answered from half a memory.
        await _warm_up(app, worker)
        engine.recover()
        hubs.recover()
        await web.SockSite(self._runner, runner_socket).start()
        self._timers.start()
        if self._queues is not None:
            self._queues.start()
        if arguments.virtual_time is not None:
            scheduler.submit_background("skipping of time", engine.skip_time)

    async def stop(self) -> None:
        """Start nothing more, let what runs end for a moment, give everything back to the other hosts, close the file.
        What was cut off runs again: at once at another host, or at the next start."""
        _LOG.info("stopping")
        self._engine.stop()
        await self._timers.stop()
        if self._queues is not None:
            await self._queues.stop()
        # What runs may still ask its durable client for something, so the server goes last.
        await self._scheduler.drain(_DRAIN_SECONDS)
        await self._scheduler.stop()
        await self._worker.stop(_CANCEL_SECONDS)
        if self._storage is not None:
            await self._storage.close()
        self._engine.leave()
        await self._runner.cleanup()
        self._store.close()

    def _keys(self) -> Keys | None:
        if not self._arguments.enable_auth:
            return None
        path = self._arguments.database.with_name(self._arguments.database.name + ".keys.json")
        _LOG.info("keys are asked for; they are in %s", path)
        return keys_in(path, [function.name for function in self._app.of(Kind.HTTP)])

    def _log_functions(self, http: HttpTriggers, hubs: EventHubs) -> None:
        for warning in self._app.warnings:
            _LOG.warning("%s", warning)
        routes = [(name, methods, self.base_url + path) for name, methods, path in http.described()]
        others = [(each.name, each.kind.value) for each in self._app.functions if each.kind is not Kind.HTTP]
        _LOG.info("%s", logs.banner(routes, others))
        _LOG.info("instances, entities and functions in a browser: %s/devhost", self.base_url)
        for hub in sorted(hubs.hubs):
            _LOG.info("events for hub %s: POST %s/devhost/eventhubs/%s/events", hub, self.base_url, hub)


def _storage(app: App, options: HostOptions) -> "Storage | None":
    """The storage accounts of queue and blob bindings, if the app has any: its packages take a while to import."""
    if not any(each.kind is Kind.QUEUE or each.inputs or each.outputs for each in app.functions):
        return None
    from devhost.bindings import Storage

    return Storage(is_base64=options.queues.is_base64)


def _queue_triggers(
    app: App,
    storage: "Storage | None",
    scheduler: Scheduler,
    worker: Worker,
    options: HostOptions,
    background: Sequence[str],
) -> "QueueTriggers | None":
    if storage is None or not app.of(Kind.QUEUE):
        return None
    from devhost.queues import QueueTriggers

    return QueueTriggers(app, storage, scheduler, worker, options.queues, background)


async def _warm_up(app: App, worker: Worker) -> None:
    """Run the warm-up triggers, before anything else."""
    for function in app.of(Kind.WARM_UP):
        try:
            await worker.call(function, WarmUpContext())
        except FunctionFailedError as failure:
            _LOG.error("warm-up trigger %s raised", function.name, exc_info=failure.__cause__)


def _check_named(app: App, arguments: HostArguments) -> None:
    names = {function.name.lower() for function in app.functions}
    for option, given in (("--real-time", arguments.real_time), ("--background", arguments.background)):
        for name in given:
            if name.lower() not in names:
                raise ConfigurationError(f"{option} {name}: the app has no function of that name")
    is_virtual = arguments.virtual_clock is not None or arguments.virtual_time is not None
    if arguments.real_time and not is_virtual:
        raise ConfigurationError("--real-time says something only together with --virtual-clock or --virtual-time")
    if arguments.virtual_clock is not None and arguments.virtual_time is not None:
        raise ConfigurationError("--virtual-clock is set by hand and --virtual-time by itself: give one of them")
    if arguments.visibility_timeouts and is_virtual:
        raise ConfigurationError("--visibility-timeouts are of real time: give it without a virtual clock")


def _thread_count() -> int:
    name = "PYTHON_THREADPOOL_THREAD_COUNT"
    text = os.environ.get(name)
    if text is None:
        return min(32, (os.cpu_count() or 1) + 4)
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise ConfigurationError(f"the setting {name} is '{text}', it must be 1 to 1000")
    return int(text)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_ADDRESS, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortError(f"port {port} is in use: stop what listens there, or give another with --port") from None
        raise PortError(f"cannot listen on port {port}: {error.strerror}") from None
    listener.setblocking(False)
    return listener
