"""What an answer asks for beyond its history, by the host's rules (DURABLE.md, sections 2 and 3)."""

import contextlib
import json
import random
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.durable_functions as df
from hypothesis import given, settings
from hypothesis import strategies as st

from devhost import history
from devhost.history import Event, stamp
from devhost.matching import (
    Action,
    Activity,
    Answer,
    Completed,
    ContinuedAsNew,
    EntityMessage,
    Failed,
    Plan,
    RetryOptions,
    SubOrchestration,
    Timer,
    match,
    read_answer,
    read_failure,
)

NOW = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def call(name: str) -> Action:
    return Action(action_type=0, function_name=name, input="1")


def child(name: str, instance_id: str | None = None) -> Action:
    return Action(action_type=2, function_name=name, input="1", instance_id=instance_id)


def timer(*, cancelled: bool = False) -> Action:
    return Action(action_type=5, fire_at=stamp(LATER), is_canceled=cancelled)


def wait(name: str) -> Action:
    return Action(action_type=6, external_event_name=name)


def any_of(*children: Action) -> Action:
    return Action(action_type=11, compound_actions=children)


def all_of(*children: Action) -> Action:
    return Action(action_type=12, compound_actions=children)


def entity(*, signal: bool = False) -> Action:
    return Action(action_type=9 if signal else 7, instance_id="@counter@k", operation="add", input="1")


def with_retry(name: str, attempts: int) -> Action:
    options = RetryOptions(first_retry_interval_in_milliseconds=5000, max_number_of_attempts=attempts)
    return all_of(Action(action_type=1, function_name=name, input="1", retry_options=options))


def again(input_text: str) -> Action:
    return Action(action_type=4, input=input_text)


def started() -> list[Event]:
    begun = history.execution_started(
        NOW, name="o", version=None, input_text=None, instance_id="i", execution_id="e", parent_instance_id=None
    )
    return [history.orchestrator_started(NOW), begun]


def scheduled(task_id: int, name: str) -> Event:
    return history.task_scheduled(NOW, task_id, name, "1")


def completed(task_id: int) -> Event:
    return history.task_completed(NOW, task_id, "1")


def failed(task_id: int) -> Event:
    return history.task_failed(NOW, task_id, "no", "")


def created(task_id: int) -> Event:
    return history.timer_created(NOW, task_id, LATER)


def fired(task_id: int) -> Event:
    return history.timer_fired(LATER, task_id, LATER)


def raised(name: str) -> Event:
    return history.event_raised(NOW, name, "1")


def plan(events: list[Event], *actions: Action, done: bool = False, error: str | None = None) -> Plan:
    answer = Answer(is_done=done, actions=actions, output="7", error=error)
    return match([*started(), *events], answer, "o", "e")


def names(found: Plan) -> list[str]:
    return [each.name for each in found.scheduled if isinstance(each, Activity | SubOrchestration)]


def test_an_action_waits_for_the_one_before_it() -> None:
    assert names(plan([], call("a"), call("b"))) == ["a"]
    assert names(plan([scheduled(0, "a"), completed(0)], call("a"), call("b"))) == ["b"]
    assert names(plan([scheduled(0, "a"), failed(0)], call("a"), call("b"))) == ["b"]


def test_what_is_in_the_history_is_not_scheduled_again() -> None:
    assert plan([scheduled(0, "a")], call("a")).scheduled == ()


def test_all_is_complete_when_the_slowest_child_is_even_after_a_failure() -> None:
    both = all_of(call("a"), call("b"))
    history_so_far = [scheduled(0, "a"), scheduled(1, "b"), failed(0)]
    assert names(plan(history_so_far, both, call("c"))) == []
    assert names(plan([*history_so_far, completed(1)], both, call("c"))) == ["c"]


def test_any_over_tasks_scheduled_before_waits_for_the_new_ones_alone() -> None:
    first = any_of(wait("x"), call("a"))
    so_far = [scheduled(0, "a"), completed(0)]
    assert names(plan([*so_far, scheduled(1, "b"), raised("x")], first, any_of(call("b")), call("c"))) == []
    assert names(plan([*so_far, scheduled(1, "b"), completed(1)], first, any_of(call("b")), call("c"))) == ["c"]


def test_a_cancelled_timer_counts_as_complete_and_is_named() -> None:
    found = plan([created(0), raised("x")], any_of(timer(cancelled=True), wait("x")), done=True)
    assert found.cancelled_timers == (0,)
    assert found.outcome == Completed("7")


def test_an_open_task_keeps_a_finished_instance_open() -> None:
    so_far = [created(0), raised("x")]
    assert plan(so_far, any_of(timer(), wait("x")), done=True).outcome is None
    assert plan([*so_far, fired(0)], any_of(timer(), wait("x")), done=True).outcome == Completed("7")


def test_a_finished_orchestrator_waits_for_actions_it_does_not_wait_for() -> None:
    assert plan([], wait("never"), done=True).outcome is None


def test_signals_take_an_id_and_are_not_waited_for() -> None:
    found = plan([], entity(signal=True), call("a"))
    assert [each.id for each in found.scheduled] == [0, 1]
    assert isinstance(found.scheduled[0], EntityMessage)
    assert found.scheduled[0].is_signal


def test_an_entity_call_is_answered_under_its_requests_id() -> None:
    first = plan([], entity(), call("a"))
    (message,) = first.scheduled
    assert isinstance(message, EntityMessage)
    sent = history.event_sent(NOW, 0, "@counter@k", {"id": message.request_id})
    assert names(plan([sent], entity(), call("a"))) == []
    answered = history.event_raised(NOW, message.request_id, '{"result":"1"}')
    assert names(plan([sent, answered], entity(), call("a"))) == ["a"]


def test_an_early_event_is_kept_for_the_first_who_waits() -> None:
    so_far = [scheduled(0, "a"), raised("x"), raised("x"), completed(0)]
    assert names(plan(so_far, call("a"), wait("x"), wait("x"), call("b"))) == ["b"]
    assert names(plan(so_far[:2] + so_far[3:], call("a"), wait("x"), wait("x"), call("b"))) == []


def test_event_names_match_without_regard_to_case() -> None:
    assert names(plan([raised("Approve")], wait("approve"), call("a"))) == ["a"]


def test_an_event_goes_to_the_newest_waiter() -> None:
    older = any_of(wait("x"), call("a"))
    so_far = [scheduled(0, "a"), completed(0), raised("x")]
    assert names(plan(so_far, older, wait("x"), call("b"))) == ["b"]


def test_an_instance_that_waits_without_open_actions_goes_on() -> None:
    found = plan([scheduled(0, "a"), completed(0)], any_of(wait("x"), call("a")))
    assert (found.scheduled, found.outcome) == ((), None)


def test_a_new_generation_carries_what_came_after_the_decision() -> None:
    so_far = [raised("early"), scheduled(0, "a"), completed(0), raised("late")]
    found = plan(so_far, call("a"), again("5"), done=True)
    assert isinstance(found.outcome, ContinuedAsNew)
    assert found.outcome.input == "5"
    assert [event["Name"] for event in found.outcome.carried] == ["late"]


def test_a_failed_orchestrators_actions_are_carried_out_before_it_fails() -> None:
    assert plan([], entity(signal=True), error="oh").outcome == Failed("Orchestrator function 'o' failed: oh")
    assert len(plan([], entity(signal=True), error="oh").scheduled) == 1
    assert plan([], call("a"), error="oh").outcome is None


def test_an_orchestrator_that_did_not_answer_fails_at_once() -> None:
    found = match([*started(), scheduled(0, "a")], Answer(is_done=False, error="oh"), "o", "e")
    assert found.outcome == Failed("Orchestrator function 'o' failed: oh")


def test_a_retry_takes_a_timer_and_a_try_for_each_failure_and_a_last_timer_that_is_due_at_once() -> None:
    action = with_retry("a", 2)
    so_far = [scheduled(0, "a"), failed(0)]
    (delay,) = plan(so_far, action).scheduled
    assert delay == Timer(1, NOW + timedelta(seconds=5))
    so_far += [created(1), fired(1)]
    assert plan(so_far, action).scheduled == (Activity(2, "a", "1"),)
    so_far += [scheduled(2, "a"), failed(2)]
    assert plan(so_far, action).scheduled == (Timer(3, NOW),)
    so_far += [created(3), fired(3)]
    assert names(plan(so_far, action, call("b"))) == ["b"]


def test_a_retry_that_succeeds_is_over() -> None:
    assert names(plan([scheduled(0, "a"), completed(0)], with_retry("a", 3), call("b"))) == ["b"]


def test_a_child_has_the_id_it_was_given_or_none() -> None:
    found = plan([], all_of(child("x"), child("y", "mine")))
    assert [each.instance_id for each in found.scheduled if isinstance(each, SubOrchestration)] == [None, "mine"]


def test_a_renamed_activity_is_noticed() -> None:
    outcome = plan([scheduled(0, "old")], call("new")).outcome
    assert isinstance(outcome, Failed)
    assert "scheduled an activity task with sequence ID 0 and named 'old'" in outcome.message
    assert "instead scheduled an activity task named 'new'" in outcome.message


def test_a_step_of_another_kind_is_noticed() -> None:
    outcome = plan([scheduled(0, "a")], timer()).outcome
    assert isinstance(outcome, Failed)
    assert "instead scheduled a timer task" in outcome.message


def test_a_step_that_is_gone_is_noticed() -> None:
    outcome = plan([scheduled(0, "a")], done=True).outcome
    assert isinstance(outcome, Failed)
    assert "hasn't (yet?) scheduled this task" in outcome.message


def test_what_this_host_cannot_do_fails_the_instance_and_says_so() -> None:
    outcome = plan([], Action(action_type=8)).outcome
    assert isinstance(outcome, Failed)
    assert "call_http" in outcome.message


def test_numbers_that_json_does_not_know_become_null() -> None:
    text = '{"isDone":true,"actions":[[{"actionType":0,"functionName":"f","input":"[NaN, \\"NaN\\"]"}]],"output":NaN}'
    answer = read_answer(text)
    assert (answer.output, answer.has_bad_numbers, answer.error) == ("null", True, None)
    assert answer.actions is not None
    assert answer.actions[0].input == '[null, "NaN"]'


def test_an_answer_of_another_shape_is_an_error() -> None:
    assert "cannot be understood" in (read_answer('{"isDone":1,"actions":[[]]}').error or "")


def test_a_custom_status_over_16_kib_is_an_error() -> None:
    text = json.dumps({"isDone": False, "actions": [[]], "customStatus": "x" * 8200})
    assert "must not exceed 16 KB" in (read_answer(text).error or "")


def test_the_state_in_a_failures_message_is_read() -> None:
    state = {"isDone": False, "actions": [[{"actionType": 0, "functionName": "a"}]], "error": "oh"}
    answer = read_failure(f"oh\n\n$OutOfProcData$:{json.dumps(state)}")
    assert (answer.error, answer.actions) == ("oh", (Action(action_type=0, function_name="a"),))
    assert read_failure("plain") == Answer(is_done=False, error="plain")


# Random orchestrators through the real SDK, their tasks completing in any order.

_STEPS = st.lists(st.sampled_from(["one", "all", "any", "child", "entity", "signal", "retry"]), max_size=6)


@settings(max_examples=40, deadline=None)
@given(steps=_STEPS, seed=st.integers(0, 1000))
def test_whatever_completes_first_each_task_is_scheduled_once_and_the_end_is_reached(
    steps: list[str], seed: int
) -> None:
    chance = random.Random(seed)

    def orchestrate(context: Any) -> Generator[Any, Any, int]:
        options = df.RetryOptions(1000, 2)
        for number, step in enumerate(steps):
            tasks = [context.call_activity(f"{number}-{n}", n) for n in range(3)] if step in ("all", "any") else []
            match step:
                case "one":
                    yield context.call_activity(f"{number}", None)
                case "all":
                    yield context.task_all(tasks)
                case "any":
                    yield context.task_any(tasks)
                case "child":
                    yield context.call_sub_orchestrator("child", None)
                case "entity":
                    yield context.call_entity(df.EntityId("counter", "k"), "add", 1)
                case "signal":
                    context.signal_entity(df.EntityId("counter", "k"), "add", 1)
                case "retry":
                    # Both attempts may fail: then the SDK raises, which is the end of the step too.
                    with contextlib.suppress(Exception):
                        yield context.call_activity_with_retry("retried", options, None)
        return len(steps)

    handle = df.Orchestrator.create(orchestrate)
    past, arriving, open_tasks, seen = [], started()[1:], [], []
    for _ in range(200):
        past += [history.orchestrator_started(NOW), *arriving]
        payload = json.dumps(
            {
                "history": past,
                "input": None,
                "instanceId": "i",
                "isReplaying": False,
                "parentInstanceId": None,
                "upperSchemaVersion": 1,
                "upperSchemaVersionNew": 2,
            }
        )
        found = match(past, read_answer(handle(payload)), "o", "e")
        if found.outcome is not None:
            assert found.outcome == Completed(str(len(steps)))
            return
        for item in found.scheduled:
            seen.append(item.id)
            past.append(_recorded(item))
            if not (isinstance(item, EntityMessage) and item.is_signal):
                open_tasks.append(item)
        past.append(history.orchestrator_completed(NOW))
        assert len(seen) == len(set(seen))
        assert open_tasks, "nothing is left to happen and the end is not reached"
        arriving = [_end_of(open_tasks.pop(chance.randrange(len(open_tasks))), chance)]
    raise AssertionError("no end after 200 episodes")


def _recorded(item: Any) -> Event:
    match item:
        case Activity():
            return history.task_scheduled(NOW, item.id, item.name, item.input)
        case SubOrchestration():
            return history.sub_orchestration_created(NOW, item.id, item.name, "c", None, item.input)
        case Timer():
            return history.timer_created(NOW, item.id, item.fire_at)
        case _:
            return history.event_sent(NOW, item.id, item.entity_id, {"id": item.request_id})


def _end_of(item: Any, chance: random.Random) -> Event:
    match item:
        case Activity():
            is_failure = item.name == "retried" and chance.random() < 0.2
            return failed(item.id) if is_failure else completed(item.id)
        case SubOrchestration():
            return history.sub_orchestration_completed(NOW, item.id, "1")
        case Timer():
            return history.timer_fired(NOW, item.id, item.fire_at)
        case _:
            return history.event_raised(NOW, item.request_id, '{"result":"1"}')
