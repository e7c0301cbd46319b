# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""Durable HTTP: what `call_http` sends, what the orchestrator gets, and what the host does with a 202."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import azure.durable_functions as df
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict

from devhost import durable_http
from devhost.durable_http import HttpRequest, HttpResponse, poll
from devhost.history import EventType
from replay.environment import START, DurableTestEnvironment

NOW = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def fetch(context: df.DurableOrchestrationContext):
    given = context.get_input()
    return (yield context.call_http(given["method"], given["url"], given.get("content"), given.get("headers")))


@app.orchestration_trigger(context_name="context")
def fetch_then_echo(context: df.DurableOrchestrationContext):
    response = yield context.call_http("GET", context.get_input())
    echoed = yield context.call_activity("echo", response["statusCode"])
    return [response["statusCode"], echoed]


@app.orchestration_trigger(context_name="context")
def with_token(context: df.DurableOrchestrationContext):
    source = df.ManagedIdentityTokenSource("https://management.core.windows.net")
    yield context.call_http("GET", context.get_input(), token_source=source)


@app.activity_trigger(input_name="value")
def echo(value: int) -> int:
    return value


class Service:
    """A server on loopback; `polls` is how often it answers 202 before it is done."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], str]] = []
        self.polls = 2
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path, dict(request.headers), await request.text()))
        if request.path == "/plain":
            return web.json_response({"hello": "world"}, headers={"X-Kind": "plain"})
        if self.polls == 0:
            return web.Response(text="done")
        self.polls -= 1
        return web.Response(status=202, text="wait", headers={"Location": "/work/7", "Retry-After": "60"})


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    served = Service()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", served.handle)
    async with TestServer(application) as server:
        served.url = str(server.make_url("")).rstrip("/")
        yield served


async def test_the_orchestrator_gets_status_headers_and_content(service: Service) -> None:
    async with DurableTestEnvironment(app) as env:
        given = {"method": "POST", "url": f"{service.url}/plain", "content": {"a": 1}, "headers": {"X-Own": "mine"}}
        response = await env.run("fetch", given, instance_id="f")
        assert response["statusCode"] == 200
        assert response["headers"]["X-Kind"] == "plain"
        assert response["content"] == '{"hello": "world"}'
        [(method, path, headers, body)] = service.seen
        assert (method, path, headers["X-Own"], body) == ("POST", "/plain", "mine", '{"a": 1}')
        [scheduled] = [event for event in env.history("f").events if event["EventType"] == EventType.TASK_SCHEDULED]
        assert scheduled["Name"] == "BuiltIn::HttpActivity"


async def test_a_202_is_polled_at_its_location_until_it_is_done_and_only_then_does_the_instance_end(
    service: Service,
) -> None:
    """The host polls; the orchestrator of this SDK has the 202 (azure-functions-durable-python issue 380)."""
    async with DurableTestEnvironment(app) as env:
        response = await env.run("fetch", {"method": "GET", "url": f"{service.url}/work"}, instance_id="f")
        assert (response["statusCode"], response["content"]) == (202, "wait")
        assert [(method, path) for method, path, *_ in service.seen] == [("GET", "/work")] + [("GET", "/work/7")] * 2
        assert env.now == START + timedelta(seconds=120)
        kinds = [EventType(event["EventType"]) for event in env.history("f").events]
        assert kinds.count(EventType.TASK_SCHEDULED) == 3
        assert kinds.count(EventType.TIMER_FIRED) == 2


async def test_what_follows_a_polled_request_gets_what_the_polling_brought_and_the_author_is_warned(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK counts one id for the request and one for the activity; the host's second id is the pause's timer."""
    service.polls = 1
    async with DurableTestEnvironment(app) as env:
        assert await env.run("fetch_then_echo", f"{service.url}/work") == [202, None]
    assert f"HELD_BACK: the orchestrator has gone on, but the host still waits for the next poll of {service.url}" in (
        caplog.text
    )


async def test_a_request_that_nobody_answers_fails_the_orchestration() -> None:
    async with DurableTestEnvironment(app) as env:
        with pytest.raises(Exception, match=r"BuiltIn::HttpActivity' failed: .*HttpRequestException: GET http://127"):
            await env.run("fetch", {"method": "GET", "url": "http://127.0.0.1:1/nobody"})


async def test_a_token_source_is_refused_with_the_reason(service: Service) -> None:
    async with DurableTestEnvironment(app) as env:
        with pytest.raises(Exception, match="tokenSource: this host has no managed identity"):
            await env.run("with_token", f"{service.url}/plain")
    assert service.seen == []


def answer(status: int, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return msgspec.json.encode(HttpResponse(status, dict(named), "")).decode()


def polled(first: HttpRequest, result: str) -> tuple[HttpRequest, datetime]:
    found = poll(first, result, NOW)
    assert found is not None
    return found


FIRST = HttpRequest(
    "POST",
    "https://a.example/start",
    content="body",
    headers={"Authorization": "Bearer t", "Cookie": "c", "x-functions-key": "k", "Accept": "text/plain"},
    token_source={"resource": "r"},
)


def test_a_poll_is_a_get_without_body_and_function_key() -> None:
    request, at = polled(FIRST, answer(202, Location="https://a.example/7", Retry_After="5"))
    assert (request.method, request.uri, request.content) == ("GET", "https://a.example/7", None)
    assert request.headers == {"Authorization": "Bearer t", "Cookie": "c", "Accept": "text/plain"}
    assert request.token_source == FIRST.token_source
    assert at == NOW + timedelta(seconds=5)


def test_no_credentials_go_to_another_origin() -> None:
    request, _ = polled(FIRST, answer(202, Location="https://b.example/7"))
    assert request.headers == {"Accept": "text/plain"}
    assert request.token_source is None


def test_without_retry_after_the_pause_is_thirty_seconds_and_a_location_may_be_relative() -> None:
    request, at = polled(FIRST, answer(202, location="7"))
    assert request.uri == "https://a.example/7"
    assert at == NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("first", "result"),
    [
        (FIRST, answer(200, Location="/7")),
        (FIRST, answer(202)),
        (FIRST, "no JSON"),
        (msgspec.structs.replace(FIRST, asynchronous_pattern_enabled=False), answer(202, Location="/7")),
    ],
)
def test_nothing_else_is_polled(first: HttpRequest, result: str) -> None:
    assert poll(first, result, NOW) is None


def test_a_header_that_came_twice_is_a_list() -> None:
    found = durable_http.headers_of(CIMultiDict([("A", "1"), ("B", "2"), ("A", "3")]))
    assert found == {"A": ["1", "3"], "B": "2"}
