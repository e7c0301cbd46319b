"""HTTP triggers: routes, requests and responses as the worker makes them."""

import logging
import re
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from azure.functions import HttpResponse
from azure.functions.http import HttpRequest

from devhost.app import App, Function, Kind, http_methods
from devhost.keys import Keys
from devhost.scheduler import Scheduler
from devhost.worker import FunctionFailedError, Worker

_LOG = logging.getLogger("devhost")
_CONSTRAINTS = {
    "int": r"-?\d+",
    "long": r"-?\d+",
    "alpha": r"[A-Za-z]+",
    "guid": r"[0-9A-Fa-f-]{32,38}",
    "bool": "true|false",
}
"""What ASP.NET's route constraints let through; others let everything through here."""
_PARAMETER = re.compile(
    r"\{(?P<star>\*{0,2})(?P<name>[^}:=?]+)(?::(?P<constraint>[^}=?]+))?(?:=[^}?]*)?(?P<optional>\??)\}"
)


class HttpTriggers:
    """Handlers for the app's HTTP functions. Without `keys` every request is let through."""

    def __init__(
        self,
        app: App,
        scheduler: Scheduler,
        worker: Worker,
        *,
        route_prefix: str,
        background: Sequence[str],
        keys: Keys | None = None,
    ) -> None:
        self._keys = keys
        self._scheduler = scheduler
        self._worker = worker
        self._prefix = f"/{route_prefix}" if route_prefix else ""
        self._background = {name.lower() for name in background}
        self._functions = sorted(app.of(Kind.HTTP), key=lambda each: _generality(_route(each)))

    def described(self) -> list[tuple[str, str, str]]:
        """Name, methods and path of each function, for the log."""
        return [
            (each.name, ",".join(http_methods(each)).replace("*", "ANY"), f"{self._prefix}/{_route(each)}")
            for each in self._functions
        ]

    def routes(self) -> list[web.RouteDef]:
        """The routes, the most particular first: a literal segment goes before a parameter."""
        found = []
        for function in self._functions:
            for path in _paths(_route(function)):
                handler = self._handler(function)
                full = f"{self._prefix}/{path}" if path else self._prefix or "/"
                found += [web.route(method, full, handler) for method in http_methods(function)]
        return found

    def _handler(self, function: Function) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        level = str(function.trigger.get("authLevel", "function"))

        async def handle(request: web.Request) -> web.StreamResponse:
            if self._keys is not None and not self._keys.opens_function(request, function.name, level):
                return web.Response(status=401)
            if function.name.lower() in self._background:
                return await self._invoke(function, request)
            with self._scheduler.counted(f"HTTP trigger {function.name}"):
                return await self._invoke(function, request)

        return handle

    async def _invoke(self, function: Function, request: web.Request) -> web.StreamResponse:
        given = HttpRequest(
            method=request.method,
            url=str(request.url),
            headers=dict(request.headers),
            params=dict(request.query),
            route_params={name: value for name, value in request.match_info.items() if value},
            body_type="bytes",
            body=await request.read(),
        )
        try:
            known = {**request.query, **request.match_info}
            return _response(await self._worker.call(function, given, known=known))
        except FunctionFailedError as failure:
            _LOG.error("HTTP trigger %s raised", function.name, exc_info=failure.__cause__)
        except TypeError as error:
            _LOG.error("HTTP trigger %s: %s", function.name, error)
        return web.Response(status=500)


def _response(result: object) -> web.Response:
    match result:
        case None:
            return web.Response(status=204)
        case str():
            return web.Response(text=result)
        case HttpResponse():
            response = web.Response(status=result.status_code, body=result.get_body())
            for name, value in result.headers.items():
                response.headers.add(name, value)
            if "content-type" not in result.headers:
                charset = f"; charset={result.charset}" if result.mimetype.startswith("text/") else ""
                response.headers["Content-Type"] = f"{result.mimetype}{charset}"
            return response
    raise TypeError(f"it returned {type(result).__name__}, not an azure.functions.HttpResponse or str")


def _route(function: Function) -> str:
    return str(function.trigger.get("route", function.name)).strip("/")


def _generality(route: str) -> list[int]:
    return [0 if "{" not in part else 2 if "{*" in part else 1 for part in route.split("/")]


def _paths(route: str) -> list[str]:
    """A route template as aiohttp's paths: two, where its last parameter may be left out."""
    optional = _PARAMETER.search(route.rpartition("/")[2])
    paths = [_PARAMETER.sub(_aiohttp_parameter, route)]
    if optional is not None and (optional["optional"] or optional["star"]):
        paths.append(_PARAMETER.sub(_aiohttp_parameter, route.rpartition("/")[0]))
    return paths


def _aiohttp_parameter(match: re.Match[str]) -> str:
    pattern = ".*" if match["star"] else _CONSTRAINTS.get(match["constraint"] or "", "[^/]+")
    return f"{{{match['name']}:{pattern}}}"
