"""The durable extension's HTTP API (DURABLE.md, section 7): for the SDK's client, and for outsiders."""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec
from aiohttp import web

from devhost import entities, history
from devhost.engine import Engine
from devhost.history import Event, EventType, Status, parse_stamp, stamp
from devhost.instances import (
    AlreadyRunningError,
    EngineError,
    InvalidIdError,
    NoInstanceError,
    NotFailedError,
    OverError,
    UnknownFunctionError,
)
from devhost.store import InstanceRow, Store

RPC_PREFIX = "/durabletask"
WEBHOOK_PREFIX = "/runtime/webhooks/durabletask"
_ALL = -1
_LONGEST_WAIT = 600
_PAGE = 100
"""Instances in one answer, unless the request says how many."""

_HTTP_STATUS: dict[type[EngineError], int] = {
    UnknownFunctionError: 400,
    InvalidIdError: 400,
    AlreadyRunningError: 409,
    NoInstanceError: 404,
    OverError: 410,
    NotFailedError: 412,
}


class DurableApi:
    """Handlers for one engine and its store. `links` gives an instance's management URLs."""

    def __init__(self, engine: Engine, store: Store, links: Callable[[str], dict[str, str]]) -> None:
        self._engine = engine
        self._store = store
        self._links = links

    def routes(self) -> list[web.RouteDef]:
        """The routes under both prefixes."""
        found = []
        for prefix in (RPC_PREFIX, WEBHOOK_PREFIX):
            instance = f"{prefix}/instances/{{instance}}"
            entity = f"{prefix}/entities/{{name}}"
            found += [
                web.post(f"{prefix}/orchestrators/{{function}}", self._start),
                web.post(f"{prefix}/orchestrators/{{function}}/{{instance}}", self._start),
                web.get(f"{prefix}/instances", self._list, allow_head=False),
                web.get(f"{prefix}/instances/", self._list, allow_head=False),
                web.delete(f"{prefix}/instances", self._purge_many),
                web.delete(f"{prefix}/instances/", self._purge_many),
                web.get(instance, self._show, allow_head=False),
                web.delete(instance, self._purge),
                web.post(f"{instance}/raiseEvent/{{event}}", self._raise_event),
                web.post(f"{instance}/terminate", self._terminate),
                web.post(f"{instance}/suspend", self._suspend),
                web.post(f"{instance}/resume", self._resume),
                web.post(f"{instance}/restart", self._restart),
                web.post(f"{instance}/rewind", self._rewind),
                web.get(f"{prefix}/entities", self._list_entities, allow_head=False),
                web.get(f"{prefix}/entities/", self._list_entities, allow_head=False),
                web.get(entity, self._list_entities, allow_head=False),
                web.get(f"{entity}/{{key}}", self._show_entity, allow_head=False),
                web.post(f"{entity}/{{key}}", self._signal),
            ]
        return found

    async def _start(self, request: web.Request) -> web.Response:
        input_text = await _json_body(request)
        try:
            identifier = self._engine.start(
                request.match_info["function"],
                request.match_info.get("instance"),
                input_text,
                request.query.get("version"),
            )
        except EngineError as error:
            _refuse(error)
        if "timeout" in request.query:
            row = await self._over(
                identifier, _seconds(request, "timeout", 10), _seconds(request, "pollingInterval", 1)
            )
            if row is not None and row.status is Status.COMPLETED:
                return web.Response(text=row.output or "null", content_type="application/json")
            if row is not None:
                return _json(_shown(row, with_input=True), 500 if row.status is Status.FAILED else 200)
        return self._accepted(identifier)

    async def _over(self, instance_id: str, within: float, interval: float) -> InstanceRow | None:
        """The instance once it has ended, looked at in intervals; None if it has not within the time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while True:
            row = self._store.instance(instance_id)
            if row is None or row.status.is_over:
                return row
            if loop.time() >= deadline:
                return None
            await asyncio.sleep(min(interval, max(deadline - loop.time(), 0)))

    def _accepted(self, instance_id: str) -> web.Response:
        links = self._links(instance_id)
        headers = {"Location": links["statusQueryGetUri"], "Retry-After": "10"}
        return _json({**links, "id": instance_id}, 202, headers)

    async def _show(self, request: web.Request) -> web.Response:
        row = self._store.instance(request.match_info["instance"])
        if row is None:
            return _error(404, f"No instance with ID '{request.match_info['instance']}' was found.")
        shown = _shown(row, with_input=_flag(request, "showInput", default=True))
        if _flag(request, "showHistory"):
            events = [event for episode in self._store.history(row.id) for event in history.decode_all(episode.events)]
            shown["historyEvents"] = _shown_history(
                events,
                with_output=_flag(request, "showHistoryOutput"),
                with_input=_flag(request, "showInput", default=True),
            )
        if row.status is Status.FAILED and _flag(request, "returnInternalServerErrorOnFailure"):
            return _json(shown, 500)
        if row.status.is_over:
            return _json(shown)
        headers = {"Location": self._links(row.id)["statusQueryGetUri"], "Retry-After": "10"}
        return _json(shown, 202, headers)

    async def _list(self, request: web.Request) -> web.Response:
        top = request.query.get("top", str(_PAGE))
        if not top.isdecimal() or int(top) < 1:
            return _error(400, f"top is '{top}', it must be a whole number above 0")
        rows = self._find(request, int(top) + 1, request.headers.get("x-ms-continuation-token", ""))
        page = rows[: int(top)]
        token = page[-1].id if len(rows) > len(page) else ""
        with_input = _flag(request, "showInput", default=True)
        return _json([_shown(row, with_input=with_input) for row in page], 200, {"x-ms-continuation-token": token})

    def _find(self, request: web.Request, limit: int, after: str = "") -> list[InstanceRow]:
        query = request.query
        return self._store.instances(
            prefix=query.get("instanceIdPrefix", ""),
            after=after,
            created_from=_moment(query.get("createdTimeFrom"), "createdTimeFrom"),
            created_to=_moment(query.get("createdTimeTo"), "createdTimeTo"),
            statuses=_statuses(query.get("runtimeStatus", "")),
            limit=limit,
        )

    async def _purge(self, request: web.Request) -> web.Response:
        purged = self._engine.purge([request.match_info["instance"]])
        return _json({"instancesDeleted": purged}, 200 if purged else 404)

    async def _purge_many(self, request: web.Request) -> web.Response:
        if "createdTimeFrom" not in request.query:
            return _error(400, "Please provide value for 'createdTimeFrom' parameter.")
        purged = self._engine.purge([row.id for row in self._find(request, limit=-1)])
        return _json({"instancesDeleted": purged}, 200 if purged else 404)

    async def _raise_event(self, request: web.Request) -> web.Response:
        input_text = await _json_body(request) or "null"
        return _accept(
            lambda: self._engine.raise_event(request.match_info["instance"], request.match_info["event"], input_text)
        )

    async def _terminate(self, request: web.Request) -> web.Response:
        return _accept(lambda: self._engine.terminate(request.match_info["instance"], request.query.get("reason", "")))

    async def _suspend(self, request: web.Request) -> web.Response:
        return _accept(lambda: self._engine.suspend(request.match_info["instance"], request.query.get("reason", "")))

    async def _resume(self, request: web.Request) -> web.Response:
        return _accept(lambda: self._engine.resume(request.match_info["instance"], request.query.get("reason", "")))

    async def _rewind(self, request: web.Request) -> web.Response:
        return _accept(lambda: self._engine.rewind(request.match_info["instance"], request.query.get("reason", "")))

    async def _restart(self, request: web.Request) -> web.Response:
        new_id = _flag(request, "restartWithNewInstanceId", default=True)
        try:
            identifier = self._engine.restart(request.match_info["instance"], new_id=new_id)
        except EngineError as error:
            _refuse(error)
        return self._accepted(identifier)

    async def _list_entities(self, request: web.Request) -> web.Response:
        begin = f"@{request.match_info['name'].lower()}@" if "name" in request.match_info else "@"
        found = []
        for identifier, state, updated in self._store.entities(begin, _ALL):
            if identifier.startswith(begin):
                name, key = entities.name_and_key(identifier)
                shown = {"entityId": {"name": name, "key": key}, "lastOperationTime": updated}
                found.append(shown | ({"state": msgspec.Raw(state.encode())} if _flag(request, "fetchState") else {}))
        return _json(found)

    async def _show_entity(self, request: web.Request) -> web.Response:
        state = self._store.entity(entities.entity_id(request.match_info["name"], request.match_info["key"]))
        if state is None:
            return web.Response(status=404)
        return web.Response(text=state, content_type="application/json")

    async def _signal(self, request: web.Request) -> web.Response:
        input_text = await _json_body(request)
        name, key = request.match_info["name"], request.match_info["key"]
        return _accept(lambda: self._engine.signal_entity(name, key, request.query.get("op", ""), input_text))


def _accept(act: Callable[[], None]) -> web.Response:
    try:
        act()
    except EngineError as error:
        _refuse(error)
    return web.Response(status=202)


def _refuse(error: EngineError) -> NoReturn:
    body = msgspec.json.encode({"Message": str(error), "ExceptionMessage": str(error)})
    raise _HttpError(_HTTP_STATUS[type(error)], body)


class _HttpError(web.HTTPException):
    def __init__(self, status: int, body: bytes) -> None:
        self.status_code = status
        super().__init__(body=body, content_type="application/json")


def _error(status: int, message: str) -> web.Response:
    return _json({"Message": message, "ExceptionMessage": message}, status)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, headers=headers, content_type="application/json"
    )


async def _json_body(request: web.Request) -> str | None:
    """The body's JSON text as it came, None if there is none."""
    body = await request.read()
    if not body.strip():
        return None
    try:
        msgspec.json.decode(body)
        return body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"Only application/json request content is supported: {error}"
        raise _HttpError(400, msgspec.json.encode({"Message": message, "ExceptionMessage": message})) from None


def _flag(request: web.Request, name: str, *, default: bool = False) -> bool:
    value = request.query.get(name)
    return default if value is None else value.lower() == "true"


def _seconds(request: web.Request, name: str, default: float) -> float:
    text = request.query.get(name)
    try:
        seconds = default if text is None else float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _LONGEST_WAIT:
        message = f"{name} is '{text}', it must be a number of seconds, {_LONGEST_WAIT} at most"
        raise _HttpError(400, msgspec.json.encode({"Message": message, "ExceptionMessage": message}))
    return seconds


def _moment(text: str | None, name: str) -> str | None:
    if not text:
        return None
    try:
        return stamp(parse_stamp(text))
    except ValueError:
        message = f"{name} is '{text}', it must be an ISO-8601 time such as 2026-01-31T09:30:00Z"
        raise _HttpError(400, msgspec.json.encode({"Message": message, "ExceptionMessage": message})) from None


def _statuses(text: str) -> list[Status]:
    known = {status.text.lower(): status for status in Status}
    found = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name.lower() not in known:
            message = f"runtimeStatus has '{name}', it must be of {', '.join(status.text for status in Status)}"
            raise _HttpError(400, msgspec.json.encode({"Message": message, "ExceptionMessage": message}))
        found.append(known[name.lower()])
    return found


def _shown(row: InstanceRow, *, with_input: bool) -> dict[str, Any]:
    def value(text: str | None) -> Any:
        return None if text is None else msgspec.Raw(text.encode())

    return {
        "name": row.name,
        "instanceId": row.id,
        "runtimeStatus": row.status.text,
        "input": value(row.input) if with_input else None,
        "customStatus": value(row.custom_status),
        "output": value(row.output),
        "createdTime": row.created,
        "lastUpdatedTime": row.updated,
    }


_SHOWN_NAMES = {
    EventType.EXECUTION_STARTED: "ExecutionStarted",
    EventType.EXECUTION_COMPLETED: "ExecutionCompleted",
    EventType.EXECUTION_TERMINATED: "ExecutionTerminated",
    EventType.TASK_COMPLETED: "TaskCompleted",
    EventType.TASK_FAILED: "TaskFailed",
    EventType.SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationInstanceCompleted",
    EventType.SUB_ORCHESTRATION_FAILED: "SubOrchestrationInstanceFailed",
    EventType.TIMER_CREATED: "TimerCreated",
    EventType.TIMER_FIRED: "TimerFired",
    EventType.EVENT_SENT: "EventSent",
    EventType.EVENT_RAISED: "EventRaised",
    EventType.EXECUTION_SUSPENDED: "ExecutionSuspended",
    EventType.EXECUTION_RESUMED: "ExecutionResumed",
}


def _shown_history(events: list[Event], *, with_output: bool, with_input: bool) -> list[dict[str, Any]]:
    """History as the API shows it: no episodes, and what was scheduled within its completion."""
    scheduled: dict[int, Event] = {}
    shown = []
    for event in events:
        kind = EventType(event["EventType"])
        if kind in (EventType.TASK_SCHEDULED, EventType.SUB_ORCHESTRATION_CREATED):
            scheduled[event["EventId"]] = event
        if kind not in _SHOWN_NAMES:
            continue
        entry: dict[str, Any] = {"EventType": _SHOWN_NAMES[kind], "Timestamp": event["Timestamp"]}
        begun = scheduled.get(event.get("TaskScheduledId", -1))
        if begun is not None:
            entry["ScheduledTime"] = begun["Timestamp"]
            entry["FunctionName"] = begun["Name"]
            if with_input:
                entry["Input"] = begun["Input"]
        for key in ("Name", "FireAt", "Reason", "Details", "InstanceId"):
            if event.get(key) is not None:
                entry["FunctionName" if key == "Name" and kind is EventType.EXECUTION_STARTED else key] = event[key]
        if with_input and event.get("Input") is not None:
            entry["Input"] = event["Input"]
        if with_output and event.get("Result") is not None:
            entry["Result"] = event["Result"]
        if kind is EventType.EXECUTION_COMPLETED:
            entry["OrchestrationStatus"] = Status(event["OrchestrationStatus"]).text
        shown.append(entry)
    return shown
