# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="type-arg,untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""Section 7, the protocol: what other tests do not show (docs/durable.md has all)."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import pytest

from devhost.history import EventType
from devhost.matching import Failed, match, read_failure
from devhost.worker import binding_of
from replay.environment import DurableTestEnvironment, OrchestrationError
from tests.devhost.running import RunningHost, wait_until
from tests.durable.conftest import Spied

app = df.DFApp()
HOOKS = "/runtime/webhooks/durabletask"
RPC = "/durabletask"


@app.orchestration_trigger(context_name="context")
def parent(context: df.DurableOrchestrationContext):
    return (yield context.call_sub_orchestrator("everything", {"n": 1}))


@app.orchestration_trigger(context_name="context")
def everything(context: df.DurableOrchestrationContext):
    """One action of each kind, and an end by continuing as new."""
    if context.get_input() == {"n": 2}:
        return "over"
    entity = df.EntityId("counter", "k")
    retry = df.RetryOptions(1000, 2)
    yield context.call_activity("echo", {"a": 1})
    yield context.call_activity_with_retry("echo", retry, {"a": 1})
    yield context.call_sub_orchestrator("child", {"a": 1}, "the-child")
    yield context.call_sub_orchestrator_with_retry("child", retry, {"a": 1})
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    yield context.task_any([context.wait_for_external_event("go"), timer])
    yield context.task_all([context.call_entity(entity, "add", {"n": 1})])
    context.signal_entity(entity, "add", {"n": 1})
    try:
        yield context.call_activity("fail", None)
        yield None
    except Exception:
        context.set_custom_status({"almost": "done"})
    context.continue_as_new({"n": 2})


@app.orchestration_trigger(context_name="context")
def child(context: df.DurableOrchestrationContext):
    return context.get_input()


@app.orchestration_trigger(context_name="context")
def calls_nobody(context: df.DurableOrchestrationContext):
    yield context.call_activity("nobody", None)


@app.activity_trigger(input_name="value")
def echo(value: dict) -> dict:
    return value


@app.activity_trigger(input_name="value")
def fail(value: Any) -> None:
    raise ValueError("no")


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    context.set_state(context.get_state(lambda: 0) + context.get_input()["n"])
    context.set_result(context.get_state(lambda: 0))


async def run_everything() -> list[dict[str, Any]]:
    """The events of the instance's first generation."""
    async with DurableTestEnvironment(app) as env:
        assert await env.run("everything", {"n": 1}, instance_id="i") == "over"
        return env.histories("i")[0].events


async def test_the_call_of_an_orchestrator_has_these_keys(spied: Spied) -> None:
    """And its history begins with 12 and 0."""
    async with DurableTestEnvironment(app) as env:
        await env.run("parent", instance_id="p")
    calls = spied.orchestrator_calls
    for call in calls:
        assert {
            key: call[key] for key in call if key not in ("history", "input", "instanceId", "parentInstanceId")
        } == {
            "isReplaying": len(call["history"]) > 2,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "longRunningTimerIntervalDuration": "3.00:00:00",
            "maximumShortTimerDuration": "6.00:00:00",
            "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
        }
        assert [event["EventType"] for event in call["history"][:2]] == [12, 0]
    parents = {call["instanceId"]: call["parentInstanceId"] for call in calls}
    middle = parents["the-child"]
    assert (parents["p"], parents[middle]) == (None, "p")
    assert next(call["input"] for call in calls if call["instanceId"] == middle) == '{"n": 1}'


async def test_the_answer_of_an_orchestrator_has_these_keys(spied: Spied) -> None:
    """isDone, schemaVersion 2, actions whose outer list has one element, and output or custom status where there is."""
    await run_everything()
    for answer in spied.answers:
        assert set(answer) <= {"isDone", "schemaVersion", "actions", "output", "error", "customStatus"}
        assert answer["schemaVersion"] == 2
        assert len(answer["actions"]) == 1
    assert spied.answers[-1]["output"] == "over"
    assert any(answer.get("customStatus") == {"almost": "done"} for answer in spied.answers)


async def test_each_kind_of_action_has_its_number_and_its_fields(spied: Spied) -> None:
    """Retries arrive wrapped in 12."""
    await run_everything()
    [actions] = max((answer["actions"] for answer in spied.answers), key=lambda found: len(found[0]))
    assert [action["actionType"] for action in actions] == [0, 12, 2, 12, 11, 12, 9, 0, 4]
    call, retried, child, retried_child, either, every, signal, _, again = actions
    assert (call["functionName"], call["input"]) == ("echo", '{"a": 1}')
    [inner] = retried["compoundActions"]
    assert inner["actionType"] == 1
    assert inner["retryOptions"] == {"firstRetryIntervalInMilliseconds": 1000, "maxNumberOfAttempts": 2}
    assert (child["functionName"], child["instanceId"], child["input"]) == ("child", "the-child", '{"a": 1}')
    assert retried_child["compoundActions"][0]["actionType"] == 3
    assert [each["actionType"] for each in either["compoundActions"]] == [6, 5]
    wait, timer = either["compoundActions"]
    assert wait["externalEventName"] == "go"
    assert (timer["fireAt"], timer["isCanceled"]) == ("2026-01-05T15:30:00.000000Z", False)
    [asked] = every["compoundActions"]
    assert (asked["actionType"], asked["instanceId"], asked["operation"]) == (7, "@counter@k", "add")
    assert signal["instanceId"] == "@counter@k"
    assert again["input"] == '{"n": 2}'


KEYS = {
    EventType.EXECUTION_STARTED: {
        "Name", "Version", "Input", "OrchestrationInstance", "ParentInstance", "Tags", "ScheduledStartTime"
    },
    EventType.TASK_SCHEDULED: {"Name", "Version", "Input"},
    EventType.TASK_COMPLETED: {"TaskScheduledId", "Result"},
    EventType.TASK_FAILED: {"TaskScheduledId", "Reason", "Details"},
    EventType.SUB_ORCHESTRATION_CREATED: {"Name", "Version", "InstanceId", "Input"},
    EventType.SUB_ORCHESTRATION_COMPLETED: {"TaskScheduledId", "Result"},
    EventType.TIMER_CREATED: {"FireAt"},
    EventType.TIMER_FIRED: {"TimerId", "FireAt"},
    EventType.EVENT_SENT: {"InstanceId", "Name", "Input"},
    EventType.EVENT_RAISED: {"Name", "Input"},
    EventType.CONTINUE_AS_NEW: {"Input"},
    EventType.ORCHESTRATOR_STARTED: set(),
    EventType.ORCHESTRATOR_COMPLETED: set(),
}  # fmt: skip


async def test_each_event_of_a_history_has_its_keys() -> None:
    """PascalCase; every one has EventType, EventId (-1 where nothing is scheduled), IsPlayed and an ISO time with Z."""
    events = await run_everything()
    assert {EventType(event["EventType"]) for event in events} == set(KEYS)
    scheduling = (4, 7, 10, 14)
    for event in events:
        kind = EventType(event["EventType"])
        assert set(event) == {"EventType", "EventId", "IsPlayed", "Timestamp"} | KEYS[kind], kind
        assert (event["EventId"] >= 0) is (kind in scheduling)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["Timestamp"])


async def test_inputs_and_results_are_written_as_the_extension_writes_them() -> None:
    """An activity's input is a list of one JSON text; a child without an id gets one of execution id and sequence id;
    an entity is asked by a request message and answers under the request's guid with a result that is JSON text."""
    events = await run_everything()
    by_kind: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        by_kind.setdefault(event["EventType"], []).append(event)
    started = by_kind[0][0]
    assert set(started["OrchestrationInstance"]) == {"InstanceId", "ExecutionId"}
    [text] = json.loads(by_kind[4][0]["Input"])
    assert json.loads(text) == {"a": 1}
    assert json.loads(by_kind[5][0]["Result"]) == {"a": 1}
    given, made = by_kind[7]
    assert given["InstanceId"] == "the-child"
    assert made["InstanceId"] == f"{started['OrchestrationInstance']['ExecutionId']}:{made['EventId']:04x}"
    asked, signalled = by_kind[14]
    request = json.loads(asked["Input"])
    assert (asked["InstanceId"], asked["Name"], request["op"], request["signal"]) == ("@counter@k", "op", "add", False)
    assert json.loads(json.loads(request["input"])) == {"n": 1}
    assert json.loads(signalled["Input"])["signal"] is True
    [answer] = by_kind[15]
    assert answer["Name"] == request["id"]
    assert json.loads(json.loads(answer["Input"])["result"]) == 1


async def test_a_failing_activity_says_so_in_these_words() -> None:
    """TaskFailed, Reason `Activity function '<name>' failed:  <Type>: <message>`; an unknown one fails the same way."""
    [failed] = [event for event in await run_everything() if event["EventType"] == EventType.TASK_FAILED]
    assert failed["Reason"] == "Activity function 'fail' failed:  ValueError: no"
    async with DurableTestEnvironment(app) as env:
        with pytest.raises(OrchestrationError, match="Activity function 'nobody' failed:  The function 'nobody' does"):
            await env.run("calls_nobody")


def test_a_failing_orchestrators_state_is_in_its_exceptions_message() -> None:
    """After `$OutOfProcData$:`; its actions are still carried out, then the instance fails."""
    state = json.dumps({"isDone": False, "schemaVersion": 2, "actions": [[]], "error": "no luck"})
    answer = read_failure(f"no luck\n\n$OutOfProcData$:{state}")
    assert (answer.actions, answer.error) == ((), "no luck")
    outcome = match([], answer, "order", "e").outcome
    assert outcome is None or isinstance(outcome, Failed)


async def test_a_batch_of_an_entity_and_its_answer_have_these_keys(spied: Spied) -> None:
    """Each operation's input is JSON of the JSON text."""
    async with DurableTestEnvironment(app) as env:
        for _ in range(2):
            await env.signal("counter", "k", "add", {"n": 2})
            await env.settle()
    first, second = spied.entity_calls
    assert first == {
        "self": {"name": "counter", "key": "k"},
        "exists": False,
        "state": None,
        "batch": [{"name": "add", "input": json.dumps(json.dumps({"n": 2})), "isSignal": True}],
    }
    assert (second["exists"], second["state"]) == (True, "2")
    answer = spied.entity_answers[0]
    assert set(answer) == {"entityExists", "entityState", "results", "signals"}
    assert (answer["entityExists"], answer["entityState"], answer["signals"]) == (True, "2", [])
    assert set(answer["results"][0]) == {"isError", "duration", "startTime", "result"}


def test_a_durable_client_is_made_of_this_binding() -> None:
    """rpcBaseUrl ends in a slash."""
    binding = json.loads(binding_of("http://127.0.0.1:7071", "Hub"))
    assert set(binding) == {
        "taskHubName", "connectionName", "creationUrls", "managementUrls", "baseUrl", "requiredQueryStringParameters",
        "rpcBaseUrl",
    }  # fmt: skip
    assert binding["rpcBaseUrl"].endswith("/")
    assert set(binding["managementUrls"]) == {
        "id", "statusQueryGetUri", "sendEventPostUri", "terminatePostUri", "rewindPostUri", "purgeHistoryDeleteUri",
        "restartPostUri", "suspendPostUri", "resumePostUri",
    }  # fmt: skip
    assert binding["managementUrls"]["id"] == "INSTANCEID"
    assert binding["requiredQueryStringParameters"].startswith("code=")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    folder = tmp_path_factory.mktemp("routes")
    with RunningHost("basic", folder, settings={"NOTES": str(folder / "notes")}) as running:
        yield running


@pytest.mark.parametrize("base", [RPC, HOOKS])
def test_the_routes_answer_as_the_extensions_do(host: RunningHost, base: str) -> None:
    """Under rpcBaseUrl, and the same under the webhooks' path."""
    tag = base.rsplit("/", 1)[-1] + str(len(base))

    def ask(method: str, path: str, body: Any = None) -> int:
        return host.call(method, f"{base}/{path}", body)[0]

    waiting, failed = f"waiting-{tag}", f"failed-{tag}"
    assert ask("POST", f"orchestrators/approval/{waiting}", "3600") == 202
    assert ask("POST", f"orchestrators/approval/{waiting}", "3600") == 409
    assert ask("POST", "orchestrators/nobody") == 400
    assert ask("POST", f"orchestrators/chain/{waiting}-v?version=2", "1") == 202
    status, answer, headers = host.exchange("GET", f"{base}/instances/{waiting}")
    assert (status, answer["runtimeStatus"] in ("Pending", "Running")) == (202, True)
    assert {"Location", "Retry-After"} <= set(headers)
    assert ask("GET", "instances/nobody") == 404
    for action in ("suspend", "resume"):
        assert ask("POST", f"instances/{waiting}/{action}?reason=x") == 202
    assert ask("POST", f"instances/{waiting}/rewind?reason=x") == 412
    assert ask("POST", f"instances/{waiting}/raiseEvent/other", b"{no") == 400
    assert ask("DELETE", f"instances/{waiting}") == 404
    assert ask("POST", f"instances/{waiting}/terminate?reason=x") == 202
    host.wait_for(waiting, "Terminated")
    assert ask("GET", f"instances/{waiting}") == 200
    for action in ("raiseEvent/approve", "terminate", "suspend", "resume", "rewind"):
        assert ask("POST", f"instances/{waiting}/{action}", "1") == 410
        assert ask("POST", f"instances/nobody/{action}", "1") == 404
    assert ask("POST", f"orchestrators/unknown_activity/{failed}") == 202
    host.wait_for(failed, "Failed")
    assert ask("POST", f"instances/{failed}/rewind?reason=x") == 202
    assert ask("POST", "instances/nobody/restart") == 404
    code, started = host.call("POST", f"{base}/instances/{waiting}/restart?restartWithNewInstanceId=true")
    assert code == 202
    assert {"id", "statusQueryGetUri", "sendEventPostUri"} <= set(started)
    assert ask("GET", f"instances/?runtimeStatus=Terminated&instanceIdPrefix={waiting}") == 200
    assert ask("DELETE", f"instances/{waiting}") == 200
    assert ask("DELETE", "instances/?createdTimeFrom=2100-01-01T00:00:00Z") == 404
    assert ask("GET", f"entities/counter/nobody-{tag}") == 404
    assert ask("POST", f"entities/counter/{tag}?op=add", "2") == 202
    wait_until(lambda: host.entity("counter", tag) == 2, "the entity's state")
    assert ask("GET", f"entities/counter/{tag}") == 200


def test_http_functions_have_the_route_prefix_and_timers_their_three_facts(host: RunningHost) -> None:
    """Route prefix `api`; timers get Schedule, ScheduleStatus and IsPastDue (the worker's TimerRequest needs them)."""
    assert host.call("GET", "/api/echo/fixed")[0] == 200
    assert host.call("GET", "/echo/fixed")[0] == 404
    wait_until(lambda: (host.entity("counter", "ticks") or 0) >= 1, "a timer's tick")
