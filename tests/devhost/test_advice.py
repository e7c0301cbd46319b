# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""The author of an orchestrator is warned where it behaves otherwise than one would think."""

import logging
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import azure.durable_functions as df
import pytest

from orchestrators.waiting import Inbox
from replay.environment import DurableTestEnvironment, OrchestrationError

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def reuses_a_wait_beside_a_timer(context: df.DurableOrchestrationContext):
    wait = context.wait_for_external_event("go")
    first = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    yield context.task_any([wait, first])
    second = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    yield context.task_any([wait, second])
    return (yield context.call_activity("echo", "after"))


@app.orchestration_trigger(context_name="context")
def leaves_a_timer_open(context: df.DurableOrchestrationContext):
    wait = context.wait_for_external_event("go")
    yield context.task_any([wait, context.create_timer(context.current_utc_datetime + timedelta(hours=1))])
    return "done"


@app.orchestration_trigger(context_name="context")
def drops_an_event(context: df.DurableOrchestrationContext):
    yield context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
    if context.get_input() == 0:
        context.continue_as_new(1)
        return None
    return (yield context.wait_for_external_event("go"))


@app.orchestration_trigger(context_name="context")
def forgets_to_yield(context: df.DurableOrchestrationContext):
    context.call_activity("echo", "never")
    return (yield context.call_activity("echo", "once"))


@app.orchestration_trigger(context_name="context")
def takes_two_early_events(context: df.DurableOrchestrationContext):
    yield context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
    first = yield context.wait_for_external_event("go")
    second = yield context.wait_for_external_event("go")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def has_a_naive_time(context: df.DurableOrchestrationContext):
    yield context.create_timer(datetime(2026, 1, 5, 15, 0))  # noqa: DTZ001


@app.orchestration_trigger(context_name="context")
def has_another_zone(context: df.DurableOrchestrationContext):
    zone = timezone(timedelta(hours=-5))
    yield context.create_timer((context.current_utc_datetime + timedelta(minutes=1)).astimezone(zone))
    return "late"


@app.orchestration_trigger(context_name="context")
def answers_nan(context: df.DurableOrchestrationContext):
    yield context.call_activity("echo", 1)
    return {"mean": float("nan"), "text": "NaN", "list": [float("inf"), 1]}


@app.orchestration_trigger(context_name="context")
def is_written_well(context: df.DurableOrchestrationContext):
    inbox = Inbox(context, "go")
    found = []
    yield context.call_activity("echo", "first")
    for _ in range(3):
        found.append((yield from inbox.receive(until=context.current_utc_datetime + timedelta(days=1))))
    return found


@app.activity_trigger(input_name="value")
def echo(value: str) -> str:
    return value


async def warnings_of(caplog: pytest.LogCaptureFixture, name: str, *events: object, given: Any = None) -> list[str]:
    """The codes of the warnings that an instance gets to which these events are raised at once."""
    caplog.set_level(logging.WARNING, "devhost")
    async with DurableTestEnvironment(app) as env:
        await env.start(name, given, instance_id="i")
        await env.settle()
        for event in events:
            await env.raise_event("i", "go", event)
        with suppress(OrchestrationError):  # how it ends is not what is asked here
            await env.result("i")
    told = [record for record in caplog.records if record.name == "devhost" and record.levelno == logging.WARNING]
    return [str(record.args[2]) for record in told if isinstance(record.args, tuple) and len(record.args) == 4]


@pytest.mark.parametrize(
    ("name", "events", "given", "codes"),
    [
        ("reuses_a_wait_beside_a_timer", (), None, []),
        ("reuses_a_wait_beside_a_timer", ("now",), None, ["HELD_BACK"]),
        ("leaves_a_timer_open", ("now",), None, ["KEPT_OPEN"]),
        ("drops_an_event", (), 1, []),
        ("drops_an_event", ("one",), 1, []),
        ("forgets_to_yield", (), None, ["NEVER_YIELDED"]),
        ("takes_two_early_events", ("one", "two"), None, ["EVENT_OVERWRITTEN", "EVENT_AGAIN"]),
        ("has_a_naive_time", (), None, ["NAIVE_TIME"]),
        ("has_another_zone", (), None, ["NOT_UTC"]),
        ("answers_nan", (), None, ["NOT_JSON"]),
        ("is_written_well", ("one", "two", "three"), None, []),
    ],
)
async def test_the_author_is_warned_once_of_each_thing(
    caplog: pytest.LogCaptureFixture, name: str, events: tuple[object, ...], given: object, codes: list[str]
) -> None:
    assert sorted(set(await warnings_of(caplog, name, *events, given=given))) == sorted(codes)


async def test_an_event_that_continue_as_new_drops_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "devhost")
    async with DurableTestEnvironment(app) as env:
        await env.start("drops_an_event", 0, instance_id="i")
        await env.settle()
        await env.raise_event("i", "go", "lost")
        with pytest.raises(OrchestrationError, match="can never end"):
            await env.result("i")
    assert "EVENTS_DROPPED: continue_as_new drops event 'go'" in caplog.text


async def test_a_number_that_json_does_not_know_becomes_null() -> None:
    async with DurableTestEnvironment(app) as env:
        assert await env.run("answers_nan") == {"mean": None, "text": "NaN", "list": [None, 1]}
