"""The host's admin endpoints, and the development host's own: clock, idleness, the way in for Event Hub batches."""

import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from aiohttp import web

from devhost.app import App, Function, Kind
from devhost.clock import ClockError, MarketClock
from devhost.engine import Engine
from devhost.eventhub import EventHubs, IncomingBatch, OrderError, UnknownHubError
from devhost.history import stamp
from devhost.scheduler import Scheduler
from devhost.schedules import TimerTriggers

if TYPE_CHECKING:
    from devhost.queues import QueueTriggers

_LONGEST_WAIT = 3600.0


class ClockSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /devhost/clock`."""

    now: Annotated[datetime, msgspec.Meta(tz=True)]


class AdminApi:
    """Handlers for the host's parts."""

    def __init__(
        self,
        app: App,
        engine: Engine,
        clock: MarketClock,
        scheduler: Scheduler,
        hubs: EventHubs,
        timers: TimerTriggers,
        base_url: str,
        queues: "QueueTriggers | None" = None,
    ) -> None:
        self._queues = queues
        self._app = app
        self._engine = engine
        self._clock = clock
        self._scheduler = scheduler
        self._hubs = hubs
        self._timers = timers
        self._base_url = base_url
        self._started = time.monotonic()

    def routes(self) -> list[web.RouteDef]:
        """The routes under /admin and /devhost."""
        return [
            web.get("/admin/host/status", self._status),
            web.get("/admin/host/ping", self._ping),
            web.post("/admin/host/ping", self._ping),
            web.get("/admin/functions", self._functions),
            web.get("/admin/functions/{name}", self._function),
            web.post("/admin/functions/{name}", self._invoke),
            web.get("/devhost/clock", self._show_clock),
            web.post("/devhost/clock", self._set_clock),
            web.get("/devhost/idle", self._idle),
            web.post("/devhost/eventhubs/{hub}/events", self._post_events),
        ]

    async def _status(self, _: web.Request) -> web.Response:
        uptime = int((time.monotonic() - self._started) * 1000)
        return _json({"id": "devhost", "state": "Running", "version": "4.0.0.0", "processUptime": uptime})

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _functions(self, _: web.Request) -> web.Response:
        return _json([self._described(function) for function in self._app.functions])

    async def _function(self, request: web.Request) -> web.Response:
        function = self._find(request.match_info["name"])
        return web.Response(status=404) if function is None else _json(self._described(function))

    def _find(self, name: str) -> Function | None:
        return next((each for each in self._app.functions if each.name.lower() == name.lower()), None)

    def _described(self, function: Function) -> Mapping[str, Any]:
        return {
            "name": function.name,
            "language": "python",
            "isDisabled": False,
            "href": f"{self._base_url}/admin/functions/{function.name}",
            "config": {"scriptFile": "function_app.py", "bindings": function.bindings},
        }

    async def _invoke(self, request: web.Request) -> web.Response:
        function = self._find(request.match_info["name"])
        if function is None:
            return web.Response(status=404)
        body = _decoded(await request.read(), Any)
        if not isinstance(body, dict):
            return _error(400, 'the body must be a JSON object such as {"input": ""}')
        if function.kind is Kind.TIMER:
            run = partial(self._timers.run_now, function)
        elif function.kind is Kind.QUEUE and self._queues is not None:
            run = partial(self._queues.run_now, function, str(body.get("input", "")))
        else:
            return _error(
                400,
                f"{function.name} has a {function.kind.value}; only timer and queue triggers are run this way here."
                " Events for an Event Hub trigger go to POST /devhost/eventhubs/HUB/events",
            )
        self._scheduler.submit_background(f"{function.kind.value} {function.name}", run)
        return web.Response(status=202)

    async def _show_clock(self, _: web.Request) -> web.Response:
        due = self._engine.next_virtual_timer()
        return _json(
            {
                "now": stamp(self._clock.now()) if self._clock.is_virtual else None,
                "next_timer": None if due is None else stamp(due),
            }
        )

    async def _set_clock(self, request: web.Request) -> web.Response:
        setting = _decoded(await request.read(), ClockSetting)
        wait = _wait(request)
        try:
            self._engine.set_clock(setting.now)
        except ClockError as error:
            return _error(409, str(error))
        answer: dict[str, Any] = {"now": stamp(self._clock.now())}
        if wait is not None:
            answer["idle"] = await self._scheduler.wait_until_idle(wait)
        return _json(answer)

    async def _idle(self, request: web.Request) -> web.Response:
        is_idle = await self._scheduler.wait_until_idle(_wait(request) or 0)
        busy = self._scheduler.busy()
        return _json({"idle": is_idle and not busy, "work": len(busy), "busy": busy[:100]})

    async def _post_events(self, request: web.Request) -> web.Response:
        batch = _decoded(await request.read(), IncomingBatch)
        wait = _wait(request)
        try:
            stored = self._hubs.post(request.match_info["hub"], batch)
        except UnknownHubError as error:
            return _error(404, str(error))
        except OrderError as error:
            return _error(400, str(error))
        answer: dict[str, Any] = msgspec.to_builtins(stored)
        if wait is not None:
            answer["idle"] = await self._scheduler.wait_until_idle(wait)
        return _json(answer, 202)


def _wait(request: web.Request) -> float | None:
    text = request.query.get("wait")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _LONGEST_WAIT:
        raise web.HTTPBadRequest(
            text=_problem(f"wait is '{text}', it must be a number of seconds, at most {_LONGEST_WAIT:.0f}"),
            content_type="application/json",
        )
    return seconds


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(
            text=_problem(f"the body is wrong: {error}"), content_type="application/json"
        ) from None


def _problem(message: str) -> str:
    return msgspec.json.encode({"error": message}).decode()


def _error(status: int, message: str) -> web.Response:
    return web.Response(status=status, text=_problem(message), content_type="application/json")


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
