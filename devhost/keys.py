"""Access keys, as the Functions host has them: asked for only with `--enable-auth`, as by Core Tools.

A key comes as `code=` in the query or as the header `x-functions-key`. The master key opens everything; the host key
and a function's own key open HTTP triggers of the level `function`; the system key of the Durable extension opens its
webhooks.
"""

import hmac
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from devhost.configuration import ConfigurationError

SYSTEM_KEY = "durabletask_extension"
_WEBHOOKS = "/runtime/webhooks/"
_OPEN_ADMIN = ("/admin/host/ping",)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Keys(msgspec.Struct, frozen=True):
    """The keys of one host; `functions` has one for each HTTP function, by its name."""

    master: str
    host: str
    system: str
    functions: dict[str, str]

    def opens_function(self, request: web.Request, name: str, level: str) -> bool:
        """Whether a request may call an HTTP function of that level: `anonymous`, `function` or `admin`."""
        match level.lower():
            case "anonymous":
                return True
            case "function":
                return _is_one_of(request, [self.functions.get(name, ""), self.host, self.master])
            case _:
                return _is_one_of(request, [self.master])

    def opens_host(self, request: web.Request) -> bool:
        """Whether a request may go to the host's own paths. The SDK's way to it, /durabletask/, is local and open."""
        if request.path.startswith(_WEBHOOKS):
            return _is_one_of(request, [self.system, self.master])
        if request.path.startswith("/admin/") and request.path not in _OPEN_ADMIN:
            return _is_one_of(request, [self.master])
        return True

    def routes(self) -> list[web.RouteDef]:
        """The key management endpoints that show keys to whoever has the master key."""

        def shown(found: dict[str, str]) -> Callable[[web.Request], Awaitable[web.Response]]:
            async def handle(_: web.Request) -> web.Response:
                return _json({"keys": [{"name": name, "value": value} for name, value in found.items()], "links": []})

            return handle

        async def of_function(request: web.Request) -> web.Response:
            key = self.functions.get(request.match_info["name"])
            return web.Response(status=404) if key is None else await shown({"default": key})(request)

        async def system(request: web.Request) -> web.Response:
            if request.match_info["name"] != SYSTEM_KEY:
                return web.Response(status=404)
            return _json({"name": SYSTEM_KEY, "value": self.system})

        async def master(_: web.Request) -> web.Response:
            return _json({"name": "_master", "value": self.master})

        return [
            web.get("/admin/host/keys", shown({"default": self.host})),
            web.get("/admin/host/functionkeys", shown({"default": self.host})),
            web.get("/admin/host/systemkeys", shown({SYSTEM_KEY: self.system})),
            web.get("/admin/host/systemkeys/_master", master),
            web.get("/admin/host/systemkeys/{name}", system),
            web.get("/admin/functions/{name}/keys", of_function),
        ]

    def guard(self) -> Any:
        """The middleware that answers 401 where a key is missing or wrong."""

        @web.middleware
        async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
            return await handler(request) if self.opens_host(request) else web.Response(status=401)

        return check


def keys_in(path: Path, functions: Sequence[str]) -> Keys:
    """The keys kept in a file that only its owner can read; made where there are none, and for functions that are new.

    Raises ConfigurationError if the file is not one of keys.
    """
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Keys)
    except FileNotFoundError:
        kept = Keys(_new(), _new(), _new(), {})
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path} does not hold this host's keys: {error}; delete it for new ones") from None
    missing = {name: _new() for name in functions if name not in kept.functions}
    if missing or not path.exists():
        kept = msgspec.structs.replace(kept, functions=kept.functions | missing)
        _write(path, kept)
    return kept


def _write(path: Path, keys: Keys) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(keys), indent=2))
    new.replace(path)


def _new() -> str:
    return secrets.token_urlsafe(40)


def _is_one_of(request: web.Request, right: Sequence[str]) -> bool:
    given = request.query.get("code") or request.headers.get("x-functions-key") or ""
    return any(key and hmac.compare_digest(given.encode(), key.encode()) for key in right)


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
