"""Durable HTTP (`call_http`), as the Durable extension carries it out: an activity of the host's own for each request.

Sources: the extension's `DurableOrchestrationContext.CallHttpAsync` and `TaskHttpActivityShim`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec

ACTIVITY = "BuiltIn::HttpActivity"
"""The name that histories show."""

DEFAULT_PAUSE = timedelta(milliseconds=30_000)
"""Between polls where the answer has no Retry-After: `defaultHttpAsyncRequestSleepTimeMillseconds`."""

_TIMEOUT = aiohttp.ClientTimeout(total=100)
"""What .NET's HttpClient waits for an answer."""

_ACCEPTED = 202
_NOT_TO_ANOTHER_ORIGIN = ("authorization", "cookie")
_NEVER_TO_A_POLL = "x-functions-key"


class RequestFailedError(Exception):
    """A request had no answer; the message is type and text of what went wrong."""


class HttpRequest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A request as the SDK puts it into the action. `content` is the body's text."""

    method: str
    uri: str
    content: str | None = None
    headers: dict[str, str] | None = None
    token_source: dict[str, Any] | None = None
    asynchronous_pattern_enabled: bool = True
    """Whether the host polls while the answer is 202; the Python SDK cannot say no."""


class HttpResponse(msgspec.Struct, frozen=True, rename="camel"):
    """What the orchestrator gets, as a dict. A header that came several times is a list."""

    status_code: int
    headers: dict[str, str | list[str]]
    content: str | None


def encode(request: HttpRequest) -> str:
    """The activity's input as JSON text."""
    return msgspec.json.encode(request).decode()


def poll(first: HttpRequest, result: str, now: datetime) -> tuple[HttpRequest, datetime] | None:
    """The next request and its time, if an answer calls for one: 202, with the place to ask at in `Location`.

    Each poll is made from the first request: its headers, but no function key, and no credentials to another origin.
    """
    try:
        response = msgspec.json.decode(result, type=HttpResponse)
    except msgspec.DecodeError:
        return None
    if response.status_code != _ACCEPTED or not first.asynchronous_pattern_enabled:
        return None
    headers = {name.lower(): value for name, value in response.headers.items()}
    location, pause = headers.get("location"), headers.get("retry-after")
    if not isinstance(location, str):
        return None
    uri = urljoin(first.uri, location)
    is_same = _origin(uri) == _origin(first.uri)
    kept = {
        name: value
        for name, value in (first.headers or {}).items()
        if name.lower() != _NEVER_TO_A_POLL and (is_same or name.lower() not in _NOT_TO_ANOTHER_ORIGIN)
    }
    request = HttpRequest("GET", uri, headers=kept or None, token_source=first.token_source if is_same else None)
    seconds = timedelta(seconds=int(pause)) if isinstance(pause, str) and pause.isdecimal() else DEFAULT_PAUSE
    return request, now + seconds


async def perform(input_text: str) -> str:
    """Make a request; the answer as JSON text. Raises RequestFailedError."""
    request = msgspec.json.decode(input_text, type=HttpRequest)
    if request.token_source is not None:
        raise RequestFailedError(
            "InvalidOperationException: tokenSource: this host has no managed identity; leave it out locally"
        )
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(request.method, request.uri, data=request.content, headers=request.headers) as answer,
        ):
            content = await answer.text()
            response = HttpResponse(answer.status, headers_of(answer.headers), content)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise RequestFailedError(f"HttpRequestException: {request.method} {request.uri}: {error}") from error
    return msgspec.json.encode(response).decode()


def headers_of(headers: Mapping[str, str]) -> dict[str, str | list[str]]:
    """An answer's headers as the orchestrator gets them."""
    found: dict[str, str | list[str]] = {}
    for name, value in headers.items():
        before = found.get(name)
        if before is None:
            found[name] = value
        else:
            found[name] = [*(before if isinstance(before, list) else [before]), value]
    return found


def _origin(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.scheme.lower(), parts.netloc.lower()
