# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""Section 4, values: what other tests do not show (docs/durable.md has all)."""

import inspect
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import azure.durable_functions as df
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.durable_functions.models.utils import http_utils
from azure.durable_functions.models.utils.df_serialization import df_dumps

from devhost.worker import binding_of
from replay.environment import START, DurableTestEnvironment, OrchestrationError
from tests.durable.conftest import Spied

app = df.DFApp()


@dataclass
class Price:
    amount: int


class Colour(Enum):
    RED = 1


UNFIT: dict[str, Any] = {
    "decimal": Decimal("1.5"),
    "dataclass": Price(1),
    "datetime": START,
    "date": date(2026, 1, 5),
    "uuid": UUID(int=1),
    "enum": Colour.RED,
    "bytes": b"x",
}


@app.orchestration_trigger(context_name="context")
def sends(context: df.DurableOrchestrationContext):
    yield context.call_activity("echo", UNFIT[context.get_input()])


@app.orchestration_trigger(context_name="context")
def returns(context: df.DurableOrchestrationContext):
    yield context.call_activity("echo", 1)
    return UNFIT[context.get_input()]


@app.orchestration_trigger(context_name="context")
def sends_nan(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("echo", float("nan")))


@app.orchestration_trigger(context_name="context")
def naive(context: df.DurableOrchestrationContext):
    yield context.create_timer(datetime(2026, 1, 5, 15, 0))  # noqa: DTZ001


@app.orchestration_trigger(context_name="context")
def eastern(context: df.DurableOrchestrationContext):
    at = (context.current_utc_datetime + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-5)))
    yield context.create_timer(at)


@app.orchestration_trigger(context_name="context")
def talks(context: df.DurableOrchestrationContext):
    context.set_custom_status("x" * context.get_input())
    yield context.call_activity("echo", 1)
    return "said"


@app.activity_trigger(input_name="value")
def echo(value: Any) -> Any:
    return value


@app.entity_trigger(context_name="context")
def reader(context: df.DurableEntityContext) -> None:
    context.set_result({"got": context.get_input()})


@pytest.mark.parametrize("orchestrator", ["sends", "returns"])
@pytest.mark.parametrize("kind", ["decimal", "datetime", "date", "uuid", "enum", "bytes"])
async def test_what_is_not_json_raises_a_type_error(orchestrator: str, kind: str) -> None:
    """Everything that crosses a durable boundary is JSON."""
    async with DurableTestEnvironment(app) as env:
        with pytest.raises(OrchestrationError, match=r"does not expose a `to_json`|not JSON serializable"):
            await env.run(orchestrator, kind)
    with pytest.raises(TypeError):
        df_dumps(UNFIT[kind])


async def test_nan_passes_the_sdk_and_is_not_json(spied: Spied) -> None:
    """NaN passes and is not JSON."""
    async with DurableTestEnvironment(app) as env:
        await env.run("sends_nan")
    [[action]] = spied.answers[0]["actions"]
    assert action["input"] == "NaN"
    with pytest.raises(ValueError, match="NaN"):
        json.loads(action["input"], parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise ValueError(name)


class _Recorder:
    """Takes what the SDK's client sends, and answers as told."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, str]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append((request.path, await request.text()))
        return web.json_response({"id": "i"}, status=202)


@pytest.fixture
async def recorder() -> AsyncIterator[tuple[_Recorder, df.DurableOrchestrationClient]]:
    found = _Recorder()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", found.handle)
    async with TestServer(application) as server:
        yield found, df.DurableOrchestrationClient(binding_of(str(server.make_url("")).rstrip("/"), "hub"))
        await http_utils._close_session()


async def test_the_client_sends_a_json_string_of_json(recorder: Any) -> None:
    """start_new, raise_event and signal_entity do."""
    found, client = recorder
    await client.start_new("order", "i", {"a": 1})
    await client.raise_event("i", "go", {"a": 1})
    await client.signal_entity(df.EntityId("counter", "k"), "add", {"a": 1})
    for _, body in found.bodies:
        assert json.loads(json.loads(body)) == {"a": 1}
    assert len(found.bodies) == 3


@pytest.mark.parametrize("falsy", [0, False, "", []])
async def test_a_falsy_input_to_an_entity_is_sent_as_none(recorder: Any, falsy: object) -> None:
    """By the client's signal_entity: always send an object."""
    found, client = recorder
    await client.signal_entity(df.EntityId("reader", "k"), "read", falsy)
    assert [body for _, body in found.bodies] == [""]


async def test_the_entity_then_cannot_read_it(caplog: pytest.LogCaptureFixture) -> None:
    """Its get_input() raises."""
    async with DurableTestEnvironment(app) as env:
        await env.signal("reader", "k", "read", {"n": 0})
        await env.settle()
        assert "operation 'read' failed" not in caplog.text
        await env.signal("reader", "k", "read")
        await env.settle()
    assert "entity @reader@k: operation 'read' failed" in caplog.text
    assert "the JSON object must be str, bytes or bytearray, not NoneType" in caplog.text


def test_retry_options_know_a_first_interval_and_a_number_of_attempts() -> None:
    """No backoff, no filter by error."""
    parameters = list(inspect.signature(df.RetryOptions.__init__).parameters)[1:]
    assert parameters == ["first_retry_interval_in_milliseconds", "max_number_of_attempts"]


async def test_a_naive_fire_time_raises() -> None:
    """create_timer wants an aware UTC datetime."""
    async with DurableTestEnvironment(app) as env:
        with pytest.raises(OrchestrationError, match="offset-naive and offset-aware"):
            await env.run("naive")


async def test_a_fire_time_of_another_zone_is_written_as_if_it_were_utc() -> None:
    """An hour from now in New York is four hours ago in UTC's clothes: the timer fires at once."""
    async with DurableTestEnvironment(app) as env:
        await env.run("eastern", instance_id="i")
        assert env.now == START
        [created] = [event for event in env.history("i").events if "FireAt" in event and event["EventId"] == 0]
        assert created["FireAt"].startswith((START + timedelta(hours=-4)).astimezone(UTC).isoformat()[:19])


@pytest.mark.parametrize(("length", "is_right"), [(8190, True), (8191, False)])
async def test_a_custom_status_over_16_kib_of_utf_16_fails_the_orchestration(length: int, is_right: bool) -> None:
    """With its two quotes it may have 8,192 characters."""
    async with DurableTestEnvironment(app) as env:
        if is_right:
            assert await env.run("talks", length) == "said"
        else:
            with pytest.raises(OrchestrationError, match="must not exceed 16 KB"):
                await env.run("talks", length)
