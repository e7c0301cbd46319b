"""The page at `/devhost`: what the host has stored, for a browser. What its buttons do is the durable HTTP API's."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from devhost import history
from devhost.app import App, Kind, http_methods
from devhost.clock import MarketClock
from devhost.history import Status, stamp
from devhost.scheduler import Scheduler
from devhost.store import InstanceRow, Store

_FOLDER = Path(__file__).with_name("page")
_MOST = 500
_SHOWN_WORK = 20


class Page:
    """Handlers for the page and the data that it shows."""

    def __init__(self, app: App, store: Store, clock: MarketClock, scheduler: Scheduler, route_prefix: str) -> None:
        self._app = app
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._prefix = f"/{route_prefix}" if route_prefix else ""

    def routes(self) -> list[web.AbstractRouteDef]:
        """The routes of page, files and data."""
        return [
            web.get("/devhost", self._index),
            web.get("/devhost/", self._index),
            web.static("/devhost/page", _FOLDER),
            web.get("/devhost/instances", self._instances),
            web.get("/devhost/instances/{instance}", self._instance),
            web.get("/devhost/entities", self._entities),
            web.get("/devhost/functions", self._functions),
            web.get("/devhost/state", self._state),
        ]

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(
            _FOLDER / "index.html",
            headers={"Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:"},
        )

    async def _instances(self, request: web.Request) -> web.Response:
        query = request.query
        top, wanted = query.get("top", "50"), query.get("status", "")
        statuses = {each.text: each for each in Status}
        if not top.isdecimal() or not 1 <= int(top) <= _MOST:
            return _json({"error": f"top is '{top}', it must be 1 to {_MOST}"}, 400)
        if wanted and wanted not in statuses:
            return _json({"error": f"status is '{wanted}', it must be one of {', '.join(statuses)}"}, 400)
        rows = self._store.newest_instances(
            prefix=query.get("prefix", ""),
            name=query.get("name", ""),
            status=statuses.get(wanted),
            before=(query["before"], query.get("behind", "")) if "before" in query else None,
            limit=int(top),
        )
        return _json([_shown(row) for row in rows])

    async def _instance(self, request: web.Request) -> web.Response:
        identifier = request.match_info["instance"]
        row = self._store.instance(identifier)
        if row is None:
            return _json({"error": f"there is no instance '{identifier}'"}, 404)
        events = [event for episode in self._store.history(identifier) for event in history.decode_all(episode.events)]
        more = {
            "input": row.input,
            "output": row.output,
            "children": self._store.children(identifier),
            "events": events,
        }
        return _json(_shown(row) | more)

    async def _entities(self, request: web.Request) -> web.Response:
        found = []
        for identifier, state, updated in self._store.entities(request.query.get("text", ""), _MOST):
            name, _, key = identifier[1:].partition("@")
            found.append({"name": name, "key": key, "state": state, "updated": updated})
        return _json(found)

    async def _functions(self, _: web.Request) -> web.Response:
        found = []
        for function in self._app.functions:
            trigger = function.trigger
            if function.kind is Kind.HTTP:
                methods = ", ".join(http_methods(function)).replace("*", "any method")
                detail = f"{methods} {self._prefix}/{str(trigger.get('route', function.name)).strip('/')}"
            else:
                detail = str(trigger.get("schedule") or trigger.get("eventHubName") or trigger.get("queueName") or "")
            found.append({"name": function.name, "kind": function.kind.value, "detail": detail})
        return _json(found)

    async def _state(self, _: web.Request) -> web.Response:
        busy = self._scheduler.busy()
        now = stamp(self._clock.now()) if self._clock.is_virtual else None
        return _json({"clock": now, "work": len(busy), "busy": busy[:_SHOWN_WORK]})


@web.middleware
async def refuse_other_sites(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A page of another site must not make a developer's browser change anything in the host."""
    is_change = request.method not in ("GET", "HEAD", "OPTIONS")
    if is_change and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and _is_ours(request.path):
        return _json({"error": "requests from pages of another site are refused"}, 403)
    return await handler(request)


def _is_ours(path: str) -> bool:
    return path.startswith(("/devhost/", "/durabletask/", "/runtime/", "/admin/"))


def _shown(row: InstanceRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "status": row.status.text,
        "created": row.created,
        "updated": row.updated,
        "execution_id": row.execution_id,
        "generation": row.generation,
        "custom_status": row.custom_status,
        "parent_id": row.parent_id,
    }


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
