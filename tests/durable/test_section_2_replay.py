# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""Section 2, replay: what other tests do not show (docs/durable.md has all)."""

import json
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import msgspec
import pytest

from devhost import history
from devhost.history import Event, EventType, Status
from devhost.matching import match, read_answer
from replay.environment import START, DurableTestEnvironment, OrchestrationError
from tests.durable.conftest import Spied

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def three(context: df.DurableOrchestrationContext):
    found = []
    for name in ("a", "b", "c"):
        found.append((yield context.call_activity("echo", name)))
    return found


@app.orchestration_trigger(context_name="context")
def everything(context: df.DurableOrchestrationContext):
    """One of each that takes a sequence id, and a wait, which takes none."""
    entity = df.EntityId("counter", "k")
    wait = context.wait_for_external_event("go")
    yield context.call_activity("echo", 1)
    context.signal_entity(entity, "add", {"n": 1})
    yield context.call_entity(entity, "add", {"n": 1})
    yield wait
    yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    yield context.call_sub_orchestrator("nothing")
    options = df.RetryOptions(5000, 2)
    try:
        yield context.call_activity_with_retry("fail", options, 1)
    except Exception:
        return "failed"


@app.orchestration_trigger(context_name="context")
def nothing(context: df.DurableOrchestrationContext):
    return None


@app.orchestration_trigger(context_name="context")
def catches_early(context: df.DurableOrchestrationContext):
    """One sibling fails at once, the other is a child that takes an hour; then another activity."""
    try:
        yield context.task_all([context.call_activity("fail", 1), context.call_sub_orchestrator("an_hour")])
    except Exception:
        yield context.call_activity("echo", "after the failure")
    return context.current_utc_datetime.isoformat()


@app.orchestration_trigger(context_name="context")
def an_hour(context: df.DurableOrchestrationContext):
    yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))


@app.orchestration_trigger(context_name="context")
def leaves_a_timer(context: df.DurableOrchestrationContext):
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=context.get_input()["hours"]))
    winner = yield context.task_any([context.wait_for_external_event("go"), timer])
    if winner is not timer and context.get_input()["cancel"]:
        timer.cancel()
    return "done"


@app.activity_trigger(input_name="value")
def echo(value: str) -> str:
    return value


@app.activity_trigger(input_name="value")
def fail(value: str) -> None:
    raise ValueError("no")


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    context.set_state(context.get_state(lambda: 0) + 1)
    context.set_result(None)


async def test_the_host_sends_the_whole_history_and_the_sdk_answers_with_all_actions(spied: Spied) -> None:
    """The host sends the whole history every time; the SDK runs the generator from the start and answers with all
    actions since the generation began."""
    async with DurableTestEnvironment(app) as env:
        await env.run("three")
    lengths = [len(call["history"]) for call in spied.orchestrator_calls]
    assert lengths == [2, 6, 10, 14]
    for shorter, longer in zip(spied.orchestrator_calls, spied.orchestrator_calls[1:], strict=False):
        strip = [{**event, "IsPlayed": None} for event in longer["history"]]
        assert strip[: len(shorter["history"])] == [{**event, "IsPlayed": None} for event in shorter["history"]]
    assert [len(answer["actions"][0]) for answer in spied.answers] == [1, 2, 3, 3]


async def test_sequence_ids_are_one_each_in_action_order_and_none_for_external_events() -> None:
    """One each for activity, timer, sub-orchestration, entity call and signal; none for external events. A retry takes
    one for its first try, then for each failure one for the delay and one for the new try, and a last timer."""
    async with DurableTestEnvironment(app) as env:
        await env.start("everything", instance_id="i")
        await env.settle()
        await env.raise_event("i", "go")
        assert await env.result("i") == "failed"
        scheduled = [event for event in env.history("i").events if event["EventId"] >= 0]
    kinds = [(event["EventId"], EventType(event["EventType"])) for event in scheduled]
    assert kinds == [
        (0, EventType.TASK_SCHEDULED),
        (1, EventType.EVENT_SENT),
        (2, EventType.EVENT_SENT),
        (3, EventType.TIMER_CREATED),
        (4, EventType.SUB_ORCHESTRATION_CREATED),
        (5, EventType.TASK_SCHEDULED),
        (6, EventType.TIMER_CREATED),
        (7, EventType.TASK_SCHEDULED),
        (8, EventType.TIMER_CREATED),
    ]
    last = scheduled[-1]
    assert last["FireAt"] == last["Timestamp"]


async def test_after_a_failure_in_task_all_the_next_action_waits_for_the_slowest_sibling() -> None:
    """task_all is complete for the host when all children are, although the SDK raises on the first failure."""
    async with DurableTestEnvironment(app) as env:
        assert await env.run("catches_early", instance_id="i") == (START + timedelta(hours=1)).isoformat()
        [echoed] = [each for each in env.history("i").events if each.get("Name") == "echo"]
        assert history.parse_stamp(echoed["Timestamp"]) == START + timedelta(hours=1)


@pytest.mark.parametrize(("cancel", "hours"), [(True, 0), (False, 5)])
async def test_an_uncancelled_timer_keeps_a_finished_orchestrator_running(cancel: bool, hours: int) -> None:
    """An instance ends only when no task is open."""
    async with DurableTestEnvironment(app) as env:
        await env.start("leaves_a_timer", {"hours": 5, "cancel": cancel}, instance_id="i")
        await env.settle()
        await env.raise_event("i", "go")
        await env.settle()
        assert env.status("i") is (Status.COMPLETED if cancel else Status.RUNNING)
        await env.result("i")
        assert env.now == START + timedelta(hours=hours)


async def test_cancelling_a_timer_longer_than_six_days_never_reaches_the_host() -> None:
    """Such timers are split into three-day pieces: the present piece stays open."""
    async with DurableTestEnvironment(app) as env:
        await env.start("leaves_a_timer", {"hours": 240, "cancel": True}, instance_id="i")
        await env.settle()
        await env.raise_event("i", "go")
        assert await env.result("i") == "done"
        assert env.now == START + timedelta(days=3)


def answered(function: Any, events: list[Event]) -> str:
    payload = {
        "history": events,
        "input": None,
        "instanceId": "i",
        "isReplaying": True,
        "parentInstanceId": None,
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 2,
        "longRunningTimerIntervalDuration": "3.00:00:00",
        "maximumShortTimerDuration": "6.00:00:00",
        "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
    }
    return str(df.Orchestrator.create(function)(msgspec.json.encode(payload).decode()))


def recorded() -> list[Event]:
    """`first` ran and gave 1, `second` ran and gave 2."""
    begun = history.execution_started(
        START, name="o", version=None, input_text=None, instance_id="i", execution_id="e", parent_instance_id=None
    )
    events = [history.orchestrator_started(START), begun]
    for number, name in enumerate(("first", "second")):
        events += [
            history.task_scheduled(START, number, name, '"x"'),
            history.orchestrator_completed(START),
            history.orchestrator_started(START),
            history.task_completed(START, number, str(number + 1)),
        ]
    return events


def as_it_was(context: Any) -> Any:
    first = yield context.call_activity("first", "x")
    second = yield context.call_activity("second", "x")
    return [first, second]


def swapped(context: Any) -> Any:
    second = yield context.call_activity("second", "x")
    first = yield context.call_activity("first", "x")
    return [first, second]


def other_input(context: Any) -> Any:
    first = yield context.call_activity("first", "y")
    second = yield context.call_activity("second", "x")
    return [first, second]


def other_kind(context: Any) -> Any:
    yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    second = yield context.call_activity("second", "x")
    return [None, second]


def test_the_sdk_feeds_one_activitys_result_to_another_without_a_word() -> None:
    """The SDK checks nothing during replay."""
    assert json.loads(answered(as_it_was, recorded()))["output"] == [1, 2]
    assert json.loads(answered(swapped, recorded()))["output"] == [2, 1]


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (as_it_was, None),
        (other_input, None),
        (
            swapped,
            "named 'first', but the current orchestration replay instead scheduled an activity task named 'sec",
        ),
        (other_kind, "but the current orchestration replay instead scheduled a timer task with this sequence ID"),
    ],
)
def test_the_host_notices_kind_name_and_order_but_not_inputs(function: Any, problem: str | None) -> None:
    """The host notices a changed kind, name or order, but not changed inputs."""
    plan = match(recorded(), read_answer(answered(function, recorded())), "o", "e")
    message = getattr(plan.outcome, "message", "")
    if problem is None:
        assert message == ""
    else:
        assert message.startswith("Non-Deterministic workflow detected: A previous execution of this orchestration")
        assert problem in message


def test_the_host_does_not_notice_a_changed_timer() -> None:
    """Nor changed timer durations."""
    begun = recorded()[:2]

    def at(hours: int) -> Any:
        def orchestrate(context: Any) -> Any:
            yield context.create_timer(context.current_utc_datetime + timedelta(hours=hours))

        return orchestrate

    events = [
        *begun,
        history.timer_created(START, 0, START + timedelta(hours=1)),
        history.orchestrator_completed(START),
        history.orchestrator_started(START),
        history.timer_fired(START, 0, START + timedelta(hours=1)),
    ]
    for hours in (1, 9):
        plan = match(events, read_answer(answered(at(hours), events)), "o", "e")
        assert plan.scheduled == ()
        assert "Non-Deterministic" not in getattr(plan.outcome, "message", "")


def test_a_task_that_is_called_and_never_yielded_vanishes() -> None:
    """It is in no answer."""

    def forgets(context: Any) -> Any:
        context.call_activity("never", "x")
        yield context.call_activity("first", "x")

    [actions] = json.loads(answered(forgets, recorded()[:2]))["actions"]
    assert [action["functionName"] for action in actions] == ["first"]


async def test_an_orchestrator_that_raises_has_its_actions_carried_out_first() -> None:
    """See section 7: a failing orchestrator's actions are still carried out, then the instance fails."""
    raising = df.DFApp()

    @raising.orchestration_trigger(context_name="context")
    def signals_and_raises(context: df.DurableOrchestrationContext):
        context.signal_entity(df.EntityId("counter", "k"), "add", {"n": 1})
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=1))
        raise RuntimeError("on purpose")

    raising.register_functions(_counter())
    async with DurableTestEnvironment(raising) as env:
        with pytest.raises(OrchestrationError, match="Orchestrator function 'signals_and_raises' failed: on purpose"):
            await env.run("signals_and_raises")
        assert env.entity_state("counter", "k") == 1


def _counter() -> Any:
    blueprint = df.Blueprint()

    @blueprint.entity_trigger(context_name="context")
    def counter(context: df.DurableEntityContext) -> None:
        context.set_state(context.get_state(lambda: 0) + 1)
        context.set_result(None)

    return blueprint
