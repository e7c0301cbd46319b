"""Recorded histories against the code they were recorded from, and against code that was changed."""

import json
import random
import threading
import time
from collections.abc import Callable, Generator
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devhost.history import EventType
from devhost.matching import EntityMessage, Scheduled
from replay.apps import orchestrators
from replay.history import History, HistoryError, StatusAt, write
from replay.replayer import Difference, ReplayError, replay, replay_history
from tests.replay import sample_app
from tests.replay.driving import NOW, drive

pytestmark = pytest.mark.filterwarnings("ignore:Potential duplicate Task completion")

Orchestrator = Callable[[Any], Generator[Any, Any, Any]]


def made(orchestrator: Orchestrator) -> Callable[[str], str]:
    handle: Callable[[str], str] = df.Orchestrator.create(orchestrator)
    return handle


def recorded(orchestrator: Orchestrator, **more: Any) -> History:
    return drive(made(orchestrator), "o", **more)


def first(history: History, orchestrator: Orchestrator) -> Difference:
    found = replay(history, made(orchestrator))
    assert found, "no difference was found"
    return found[0]


def chain(context: Any) -> Generator[Any, Any, Any]:
    yield context.call_activity("a", {"n": 1, "m": 2})
    yield context.call_activity("b", 1)
    return "done"


def test_the_code_that_was_recorded_replays_without_a_difference() -> None:
    assert replay(recorded(chain), made(chain)) is None


def test_the_order_of_keys_and_white_space_are_no_difference() -> None:
    def other(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("a", {"m": 2, "n": 1})
        yield context.call_activity("b", 1)
        return "done"

    assert replay(recorded(chain), made(other)) is None


@pytest.mark.parametrize("value", [1.0, "1", True, None, [1], {"n": 1}])
def test_another_kind_of_value_is_a_difference(value: Any) -> None:
    def other(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("a", {"n": 1, "m": 2})
        yield context.call_activity("b", value)
        return "done"

    found = first(recorded(chain), other)
    assert (found.kind, found.fields[0].path, found.fields[0].recorded) == ("different", "input", 1)


def test_steps_that_were_swapped_differ_at_the_first_of_them() -> None:
    def other(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("b", 1)
        yield context.call_activity("a", {"n": 1, "m": 2})
        return "done"

    found = first(recorded(chain), other)
    assert (found.event, [each.path for each in found.fields]) == (2, ["name", "input"])


def test_a_step_that_was_added_at_the_end_is_extra() -> None:
    def other(context: Any) -> Generator[Any, Any, Any]:
        yield from chain(context)
        yield context.call_activity("c")
        return "done"

    found = first(recorded(chain), other)
    assert found.kind == "extra"
    assert found.actual is not None
    assert found.actual.fields["name"] == "c"
    assert found.made_by is not None
    assert found.made_by.lines[0].source == 'yield context.call_activity("c")'


def test_a_step_that_is_called_and_not_yielded_is_told_of() -> None:
    def other(context: Any) -> Generator[Any, Any, Any]:
        result = yield from chain(context)
        context.call_activity("c")
        return result

    assert first(recorded(chain), other).kind == "never yielded"


def test_a_step_that_is_no_longer_taken_is_missing() -> None:
    def other(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("a", {"n": 1, "m": 2})
        return "done"

    kinds = {(each.kind, each.recorded is None) for each in replay(recorded(chain), made(other)) or []}
    assert kinds == {("missing", False), ("extra", True)}


def test_an_output_that_was_changed_is_found_with_its_line() -> None:
    def other(context: Any) -> Generator[Any, Any, Any]:
        yield from chain(context)
        return {"state": "done"}

    found = first(recorded(chain), other)
    assert found.fields[0].path == "output"
    assert found.made_by is not None
    assert found.made_by.lines[0].source == 'return {"state": "done"}'


def test_a_failure_that_was_changed_is_found_with_its_line() -> None:
    def failing(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("a")
        raise ValueError("no account")

    def other(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("a")
        raise ValueError("no such account")

    history = recorded(failing)
    assert replay(history, made(failing)) is None
    found = first(history, other)
    assert found.fields[0].path == "message"
    assert found.made_by is not None
    assert found.made_by.lines[0].source == 'raise ValueError("no such account")'


def test_what_the_code_of_a_version_does_is_compared_with_histories_of_that_version() -> None:
    def branching(context: Any) -> Generator[Any, Any, Any]:
        if context.version == "1.0":
            yield context.call_activity("old")
        else:
            yield context.call_activity("new")

    for version in ("1.0", "2.0"):
        assert replay(recorded(branching, version=version), made(branching)) is None
    found = first(msgspec.structs.replace(recorded(branching, version="1.0")), without_branch)
    assert found.fields[0].recorded == "old"


def without_branch(context: Any) -> Generator[Any, Any, Any]:
    yield context.call_activity("new")


def test_a_running_instance_must_not_end_and_not_do_more() -> None:
    history = recorded(chain, episodes=2)

    def ending(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("a", {"n": 1, "m": 2})
        return "done"

    def doing_more(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("a", {"n": 1, "m": 2})
        yield context.task_all([context.call_activity("b", 1), context.call_activity("c")])

    assert replay(history, made(chain)) is None
    assert {each.kind for each in replay(history, made(ending)) or []} == {"missing", "extra"}
    assert first(history, doing_more).kind == "extra"


def test_an_event_that_is_waited_for_under_another_name_is_found_where_it_came() -> None:
    def waiting(name: str) -> Orchestrator:
        def orchestrate(context: Any) -> Generator[Any, Any, Any]:
            got = yield context.wait_for_external_event(name)
            yield context.call_activity("a", got)

        return orchestrate

    history = recorded(waiting("approved"), raised=[("approved", 1)])
    assert replay(history, made(waiting("approved"))) is None
    found = first(history, waiting("denied"))
    assert found.kind == "missing"
    assert found.waiting[0].what == "wait_for_external_event 'denied'"


def test_the_fire_time_of_a_timer_is_compared_as_an_instant() -> None:
    def waking(hours: int) -> Orchestrator:
        def orchestrate(context: Any) -> Generator[Any, Any, Any]:
            yield context.create_timer(context.current_utc_datetime + timedelta(hours=hours))

        return orchestrate

    history = recorded(waking(1))
    created = next(event for event in history.events if event["EventType"] == EventType.TIMER_CREATED)
    created["FireAt"] = created["FireAt"].replace(".000000Z", ".0000000Z")
    assert replay(history, made(waking(1))) is None
    assert first(history, waking(2)).fields[0].path == "fire at"


def test_the_delay_of_a_retry_shows_in_its_timer_and_its_attempts_in_what_follows() -> None:
    def retrying(delay: int, attempts: int) -> Orchestrator:
        def orchestrate(context: Any) -> Generator[Any, Any, Any]:
            yield context.call_activity_with_retry("a", df.RetryOptions(delay, attempts), 1)

        return orchestrate

    def fail(_: Scheduled) -> Any:
        raise ValueError("no")

    history = recorded(retrying(1000, 3), do=fail)
    assert replay(history, made(retrying(1000, 3))) is None
    assert first(history, retrying(2000, 3)).fields[0].path == "fire at"
    assert first(history, retrying(1000, 2)).fields[0].path == "fire at"


def test_a_guid_of_a_real_hub_takes_the_place_of_a_request_id() -> None:
    def asking(context: Any) -> Generator[Any, Any, Any]:
        value = yield context.call_entity(df.EntityId("counter", "k"), "add", 1)
        yield context.call_activity("a", value)

    history = recorded(asking)
    text = msgspec.json.encode(history).decode()
    sent = next(event for event in history.events if event["EventType"] == EventType.EVENT_SENT)
    guid = json.loads(sent["Input"])["id"]
    other = msgspec.json.decode(text.replace(guid, "11111111-2222-3333-4444-555555555555"), type=History)
    assert replay(other, made(asking)) is None


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('"counter", "k"', '"counter", "l"', "entity"),
        ('"add"', '"subtract"', "operation"),
        ("1)", "2)", "input"),
        ("call_entity", "signal_entity", "kind"),
    ],
)
def test_a_changed_call_of_an_entity_is_found(old: str, new: str, path: str) -> None:
    def asking(call: str) -> Orchestrator:
        def orchestrate(context: Any) -> Generator[Any, Any, Any]:
            task = eval(call, {"context": context, "df": df})
            if task is not None:
                yield task

        return orchestrate

    call = 'context.call_entity(df.EntityId("counter", "k"), "add", 1)'
    found = first(recorded(asking(call)), asking(call.replace(old, new)))
    assert found.fields[0].path == path


@pytest.mark.parametrize(
    ("now", "path"),
    [
        (("other", 1, "c-1", "1"), "name"),
        (("child", 2, "c-1", "1"), "input"),
        (("child", 1, "c-2", "1"), "instance id"),
        (("child", 1, None, "1"), "instance id"),
        (("child", 1, "c-1", "2"), "version"),
    ],
)
def test_a_changed_sub_orchestration_is_found(now: tuple[Any, ...], path: str) -> None:
    def starting(arguments: tuple[Any, ...]) -> Orchestrator:
        def orchestrate(context: Any) -> Generator[Any, Any, Any]:
            yield context.call_sub_orchestrator(*arguments)

        return orchestrate

    history = recorded(starting(("child", 1, "c-1", "1")))
    assert replay(history, made(starting(("child", 1, "c-1", "1")))) is None
    assert first(history, starting(now)).fields[0].path == path


def test_the_input_of_the_next_generation_is_compared() -> None:
    def going_on(step: int) -> Orchestrator:
        def orchestrate(context: Any) -> Generator[Any, Any, Any]:
            yield context.call_activity("a")
            context.continue_as_new({"round": context.get_input() + step})

        return orchestrate

    history = recorded(going_on(1), given=1)
    assert replay(history, made(going_on(1))) is None
    found = first(history, going_on(2))
    assert (found.fields[0].path, found.fields[0].recorded, found.fields[0].actual) == ("input.round", 2, 3)
    assert found.made_by is not None
    assert found.made_by.what == "continue_as_new"


def test_a_status_that_was_left_by_the_generation_before_is_no_difference() -> None:
    history = msgspec.structs.replace(recorded(chain), carried_status={"round": 1})
    left = [StatusAt(episode=each.episode, value={"round": 1}) for each in history.statuses]
    assert replay(msgspec.structs.replace(history, statuses=left), made(chain)) is None


def test_a_status_that_is_not_known_is_not_compared() -> None:
    def telling(context: Any) -> Generator[Any, Any, Any]:
        context.set_custom_status("working")
        return (yield from chain(context))

    history = recorded(telling)
    assert first(history, chain).fields[0].path == "value"
    assert replay(msgspec.structs.replace(history, statuses=[]), made(chain)) is None


def test_an_input_that_depends_on_the_clock_of_the_machine_is_found() -> None:
    def unsteady(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("a", time.perf_counter_ns())

    assert first(recorded(unsteady), unsteady).fields[0].path == "input"


def test_what_happened_while_the_instance_was_suspended_has_its_consequences_afterwards() -> None:
    def waiting(context: Any) -> Generator[Any, Any, Any]:
        yield context.wait_for_external_event("go")
        yield context.call_activity("a")

    history = recorded(waiting, raised=[("go", 1)])
    came = next(place for place, event in enumerate(history.events) if event["EventType"] == EventType.EVENT_RAISED)
    stopped, resumed = deepcopy(history.events[0]), deepcopy(history.events[0])
    between = [
        {**stopped, "EventType": int(EventType.ORCHESTRATOR_COMPLETED)},
        {**resumed, "Timestamp": history.events[came - 1]["Timestamp"]},
        {**stopped, "EventType": int(EventType.EXECUTION_RESUMED), "Reason": "work"},
    ]
    suspended = {**stopped, "EventType": int(EventType.EXECUTION_SUSPENDED), "Reason": "coffee"}
    events = [*history.events[:came], suspended, history.events[came], *between, *history.events[came + 1 :]]
    assert replay(msgspec.structs.replace(history, events=events, statuses=[]), made(waiting)) is None


def test_a_terminated_instance_is_replayed_up_to_its_end() -> None:
    history = recorded(chain, episodes=2)
    moment = history.events[-1]["Timestamp"]
    base = {"EventId": -1, "IsPlayed": True, "Timestamp": moment}
    events = [
        *history.events,
        {**base, "EventType": 12},
        {**base, "EventType": 3, "Input": "enough"},
        {**base, "EventType": 1, "OrchestrationStatus": 5, "Result": '"enough"'},
        {**base, "EventType": 13},
    ]
    assert replay(msgspec.structs.replace(history, events=events), made(chain)) is None


def test_a_file_is_replayed_and_the_error_is_a_report(tmp_path: Path) -> None:
    write(tmp_path / "chain.json", recorded(chain))
    replay_history(tmp_path / "chain.json", {"o": made(chain)})
    with pytest.raises(ReplayError) as failure:
        replay_history(tmp_path / "chain.json", {"o": made(without_branch)})
    text = str(failure.value)
    assert text.startswith(f"{tmp_path}/chain.json: today's code does not do what is recorded.")
    assert "test_replaying.py" in text
    assert 'yield context.call_activity("new")' in text
    assert max(len(line) for line in text.splitlines()[1:]) <= 112


def test_a_report_has_recorded_and_actual_side_by_side() -> None:
    def other(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("a", {"n": 1, "m": 3})
        yield context.call_activity("b", 1)
        return "done"

    with pytest.raises(ReplayError) as failure:
        replay_history(recorded(chain), {"o": made(other)})
    lines = str(failure.value).splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("        recorded"))
    assert lines[begin : begin + 8] == [
        "        recorded                                             today's code",
        "      0 OrchestratorStarted                                |",
        '      1 ExecutionStarted o "null"                          |',
        '>     2 activity 0 a {"m": 2, "n": 1}                      # activity 0 a {"m": 3, "n": 1}',
        ">         input.m: 2                                       #   input.m: 3",
        "      3 OrchestratorCompleted                              |",
        "      4 OrchestratorStarted                                |",
        "      5 TaskCompleted 0 1                                  |",
    ]
    assert lines[begin + 8] == "      6 activity 1 b 1                                     |"


def test_a_timer_of_more_than_six_days_replays_in_its_pieces() -> None:
    def sleeping(days: int) -> Orchestrator:
        def orchestrate(context: Any) -> Generator[Any, Any, Any]:
            yield context.create_timer(NOW + timedelta(days=days))
            yield context.call_activity("a")

        return orchestrate

    history = recorded(sleeping(10))
    assert sum(event["EventType"] == EventType.TIMER_CREATED for event in history.events) == 3
    assert replay(history, made(sleeping(10))) is None
    found = first(history, sleeping(11))
    assert found.fields[0].path == "fire at"
    assert found.made_by is not None
    assert found.made_by.what.startswith("create_timer")


def test_what_a_host_in_the_same_process_runs_meanwhile_is_kept_apart() -> None:
    history = recorded(chain)
    answers: list[str] = []

    def beside(payload: str) -> str:
        thread = threading.Thread(target=lambda: answers.append(made(chain)(payload)))
        thread.start()
        thread.join()
        return made(without_branch)(payload)

    found = replay(history, beside)
    assert found
    assert found[0].made_by is not None
    assert found[0].made_by.what == "call_activity 'new'"
    assert json.loads(answers[0])["actions"][0][0]["functionName"] == "a"


def test_an_orchestrator_that_is_gone_is_told_of() -> None:
    with pytest.raises(ReplayError, match="has no orchestrator 'o' any more; it has: purchase, rounds, shipping"):
        replay_history(recorded(chain), sample_app.app)


def test_a_history_that_begins_wrongly_is_no_history() -> None:
    history = recorded(chain)
    with pytest.raises(HistoryError, match="must begin with OrchestratorStarted"):
        replay(msgspec.structs.replace(history, events=[]), made(chain))
    with pytest.raises(HistoryError, match="has no whole episode"):
        replay(msgspec.structs.replace(history, events=history.events[:2]), made(chain))
    with pytest.raises(HistoryError, match="event 1 has no EventId and no Timestamp"):
        replay(msgspec.structs.replace(history, events=[history.events[0], {"EventType": 0}]), made(chain))


def test_a_hundred_events_are_replayed_at_every_cut_in_less_than_a_second() -> None:
    def long(context: Any) -> Generator[Any, Any, Any]:
        for number in range(24):
            yield context.call_activity("a", number)

    history = recorded(long)
    assert len(history.events) >= 100
    begin = time.process_time()
    assert replay(history, made(long)) is None
    assert time.process_time() - begin < 1


def test_a_durable_http_call_replays_with_its_polls_and_a_changed_one_is_found() -> None:
    def asking(uri: str) -> Orchestrator:
        def orchestrate(context: Any) -> Generator[Any, Any, Any]:
            answer = yield context.call_http("GET", uri)
            return answer["statusCode"]

        return orchestrate

    answers = [
        {"statusCode": 202, "headers": {"Location": "/state", "Retry-After": "1"}, "content": ""},
        {"statusCode": 200, "headers": {}, "content": "ready"},
    ]
    history = recorded(asking("https://bank.example/pay"), do=lambda _: answers.pop(0))
    assert not answers
    assert replay(history, made(asking("https://bank.example/pay"))) is None
    found = first(history, asking("https://bank.example/play"))
    assert found.fields[0].path == "input.uri"
    assert found.made_by is not None


def buy(item: Scheduled) -> Any:
    """The sample's world: a retry is needed for the order."""
    return 5 if isinstance(item, EntityMessage) else "it"


PURCHASE = {"buyer": "b", "amount": 3, "items": ["x", "y"]}


@pytest.mark.parametrize("version", [None, "2.0"])
@pytest.mark.parametrize("raised", [[], [("approved", True)]])
def test_a_purchase_replays_however_it_went(version: str | None, raised: list[tuple[str, Any]]) -> None:
    function = orchestrators(sample_app.app)["purchase"]
    history = drive(function, "purchase", PURCHASE, do=buy, raised=raised, version=version)
    assert replay(history, function) is None


# Properties

STEPS = st.lists(
    st.sampled_from(["one", "all", "any", "child", "entity", "signal", "retry", "timer", "event"]), max_size=6
)


def random_orchestrator(names: list[str]) -> Orchestrator:
    def orchestrate(context: Any) -> Generator[Any, Any, Any]:
        results = []
        for number, step in enumerate(names):
            context.set_custom_status({"step": number})
            results.append((yield from _take(context, number, step)))
        return results

    return orchestrate


def _take(context: Any, number: int, step: str) -> Generator[Any, Any, Any]:
    match step:
        case "one":
            return (yield context.call_activity(f"{number}", {"n": number}))
        case "all":
            return (yield context.task_all([context.call_activity(f"{number}-{n}", n) for n in range(3)]))
        case "any":
            tasks = [context.call_activity(f"{number}-{n}", n) for n in range(2)]
            return (yield context.task_any(tasks)) is tasks[0]
        case "child":
            return (yield context.call_sub_orchestrator("child", number))
        case "entity":
            return (yield context.call_entity(df.EntityId("counter", "k"), "add", number))
        case "signal":
            return context.signal_entity(df.EntityId("counter", "k"), "add", number) and None
        case "retry":
            try:
                return (yield context.call_activity_with_retry("retried", df.RetryOptions(1000, 2), number))
            except Exception as error:
                return str(error)
        case "timer":
            return (yield context.create_timer(context.current_utc_datetime + timedelta(minutes=number + 1)))
        case _:
            return (yield context.wait_for_external_event("go"))


def _random_history(names: list[str], seed: int) -> History:
    chance = random.Random(seed)

    def do(item: Scheduled) -> Any:
        if getattr(item, "name", "") == "retried" and chance.random() < 0.4:
            raise ValueError("no")
        return chance.randrange(10)

    raised = [("go", n) for n in range(names.count("event"))]
    return recorded(random_orchestrator(names), do=do, raised=raised, chance=chance)


@settings(max_examples=25, deadline=None)
@given(names=STEPS, seed=st.integers(0, 1000), data=st.data())
def test_every_part_of_a_recorded_run_replays(names: list[str], seed: int, data: st.DataObject) -> None:
    history = _random_history(names, seed)
    function = made(random_orchestrator(names))
    assert replay(history, function) is None
    first = next(place for place, event in enumerate(history.events, 1) if event["EventType"] == 13)
    end = data.draw(st.integers(first, len(history.events)))
    assert replay(msgspec.structs.replace(history, events=history.events[:end]), function) is None


_COMPARED = {
    4: ("Name", "Input"),
    7: ("Name", "Input", "InstanceId", "Version"),
    10: ("FireAt",),
    14: ("InstanceId", "Input"),
}


@settings(max_examples=40, deadline=None)
@given(names=STEPS.filter(bool), seed=st.integers(0, 1000), data=st.data())
def test_every_change_of_what_is_recorded_is_found(names: list[str], seed: int, data: st.DataObject) -> None:
    history = deepcopy(_random_history(names, seed))
    function = made(random_orchestrator(names))
    places = [place for place, event in enumerate(history.events) if event["EventType"] in (*_COMPARED, 1)]
    place = data.draw(st.sampled_from(places))
    event = history.events[place]
    change = data.draw(st.sampled_from(["remove", "repeat", "change"]))
    if change == "remove":
        del history.events[place]
    elif change == "repeat" and event["EventType"] != 1:
        numbers = [each["EventId"] for each in history.events]
        history.events.insert(place + 1, {**event, "EventId": max(numbers) + 1})
    elif event["EventType"] == 1:
        event["Result"] = '["another"]'
    else:
        field = data.draw(st.sampled_from(_COMPARED[event["EventType"]]))
        event[field] = _changed(event["EventType"], field, event.get(field))
    assert replay(history, function), f"{change} of {event}"


def _changed(kind: int, field: str, value: Any) -> Any:
    if field == "FireAt":
        return (NOW + timedelta(days=3)).isoformat()
    if field == "Version":
        return "9"
    if field != "Input":
        return value + "x"
    if kind == 14:
        return json.dumps({**json.loads(value), "op": "other"})
    return json.dumps(["9000"]) if kind == 4 else json.dumps("9000")


def test_the_end_of_an_instance_that_is_recorded_as_running_is_found() -> None:
    history = recorded(chain)
    kept = [event for event in history.events if event["EventType"] != EventType.EXECUTION_COMPLETED]
    found = first(msgspec.structs.replace(history, events=kept), chain)
    assert found.kind == "extra"
    assert found.actual is not None
    assert found.actual.kind == "completed"
