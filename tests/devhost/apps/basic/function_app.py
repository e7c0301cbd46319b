# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""A small app of the common kinds of functions."""

import json
import os
import threading
import time
import typing
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
more = df.Blueprint()


# HTTP


@app.route(route="start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    body = req.get_body()
    identifier = await client.start_new(
        req.route_params["name"], req.params.get("id"), json.loads(body) if body else None
    )
    return client.create_check_status_response(req, identifier)


@more.route(route="echo/{word}/{number:int?}", methods=["GET", "PUT"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    answer = {"route": dict(req.route_params), "query": dict(req.params), "body": req.get_body().decode()}
    return func.HttpResponse(
        json.dumps(answer), status_code=201, headers={"X-Kind": "echo"}, mimetype="application/json"
    )


@more.route(route="echo/fixed", methods=["GET"])
def fixed(req: func.HttpRequest) -> str:
    return "literal"


@more.route(route="bad", methods=["GET"])
def bad(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("this function is bad")


@app.route(route="client/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def use_client(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Everything that the SDK's client can do, in one call."""
    identifier = req.route_params["id"]
    await client.start_new("approval", identifier, 3600)
    shown = await client.get_status(identifier, show_input=True)
    await client.suspend(identifier, "coffee")
    await client.resume(identifier, "work")
    listed = await client.get_status_by(instance_id_prefix=identifier)
    await client.raise_event(identifier, "approve", {"by": "me"})
    outcome = await client.wait_for_completion_or_create_check_status_response(req, identifier, 5000, 50)
    await client.signal_entity(df.EntityId("counter", identifier), "add", 3)
    while not (state := await client.read_entity_state(df.EntityId("counter", identifier))).entity_exists:
        pass
    purged = await client.purge_instance_history(identifier)
    answer = {
        "input": shown.input_,
        "listed": [each.instance_id for each in listed],
        "outcome": json.loads(outcome.get_body()),
        "state": state.entity_state,
        "purged": purged.instances_deleted,
    }
    return func.HttpResponse(json.dumps(answer), mimetype="application/json")


@more.route(route="stall", methods=["GET"])
async def stall(req: func.HttpRequest) -> str:
    """What must not be done on the worker's event loop."""
    time.sleep(float(req.params["seconds"]))  # noqa: ASYNC251
    return "awake"


# Orchestrations


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext):
    value = context.get_input() or 0
    for _ in range(3):
        value = yield context.call_activity("add_one", value)
    return value


@app.activity_trigger(input_name="value")
def add_one(value: int) -> int:
    return value + 1


@app.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext):
    values = yield context.task_all([context.call_activity("double", n) for n in range(context.get_input())])
    return sum(values)


@app.activity_trigger(input_name="value")
async def double(value: int) -> int:
    return value * 2


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    if context.operation_name == "add":
        total = context.get_state(lambda: 0) + context.get_input()
        context.set_state(total)
        context.set_result(total)
    elif context.operation_name == "fail":
        raise ValueError("no such luck")
    elif context.operation_name == "delete":
        context.destruct_on_exit()


@app.orchestration_trigger(context_name="context")
def count(context: df.DurableOrchestrationContext):
    entity = df.EntityId("Counter", context.get_input())
    context.signal_entity(entity, "add", 5)
    first = yield context.call_entity(entity, "add", 2)
    try:
        yield context.call_entity(entity, "fail", None)
    except Exception as error:
        return [first, str(error)]


@app.orchestration_trigger(context_name="context")
def approval(context: df.DurableOrchestrationContext):
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=context.get_input()))
    event = context.wait_for_external_event("approve")
    context.set_custom_status("waiting")
    winner = yield context.task_any([event, timer])
    if winner == event:
        timer.cancel()
        context.set_custom_status("approved")
        return {"approved": json.loads(event.result)}
    return "timed out"


@app.orchestration_trigger(context_name="context")
def three_events(context: df.DurableOrchestrationContext):
    yield context.call_activity("add_one", 1)
    found = []
    for _ in range(3):
        event = yield context.wait_for_external_event("item")
        found.append(json.loads(event))
    return found


@app.orchestration_trigger(context_name="context")
def parent(context: df.DurableOrchestrationContext):
    first = yield context.call_sub_orchestrator("chain", 10)
    try:
        yield context.call_sub_orchestrator("broken", None, f"{context.instance_id}-child")
    except Exception as error:
        return [first, str(error)]


@app.orchestration_trigger(context_name="context")
def broken(context: df.DurableOrchestrationContext):
    yield context.call_activity("add_one", 1)
    raise RuntimeError("broken on purpose")


@app.orchestration_trigger(context_name="context")
def rounds(context: df.DurableOrchestrationContext):
    left = context.get_input()
    context.set_custom_status({"left": left})
    yield context.call_activity("add_one", left)
    if left > 0:
        context.continue_as_new(left - 1)
        return None
    return "done"


@app.orchestration_trigger(context_name="context")
def stubborn(context: df.DurableOrchestrationContext):
    options = df.RetryOptions(first_retry_interval_in_milliseconds=20, max_number_of_attempts=3)
    try:
        yield context.call_activity_with_retry("fail", options, context.get_input())
    except Exception as error:
        return str(error)


@app.activity_trigger(input_name="value")
def fail(value: str) -> None:
    raise ValueError(f"cannot do {value}")


@app.orchestration_trigger(context_name="context")
def unknown_activity(context: df.DurableOrchestrationContext):
    yield context.call_activity("nowhere", None)


@app.orchestration_trigger(context_name="context")
def version(context: df.DurableOrchestrationContext):
    return context.version


# Things for crashes: what was done goes to a file, a line each.


def _note(line: str) -> None:
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(line + "\n")


@app.orchestration_trigger(context_name="context")
def long_way(context: df.DurableOrchestrationContext):
    for step in range(3):
        yield context.call_activity("slow_step", f"{context.instance_id}-{step}")
        yield context.call_entity(df.EntityId("counter", "steps"), "add", 1)
        yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=20))
    return "arrived"


@app.activity_trigger(input_name="step")
def slow_step(step: str) -> str:
    _note(step)
    time.sleep(0.02)
    return step


@app.orchestration_trigger(context_name="context")
def gated(context: df.DurableOrchestrationContext):
    answer = yield context.call_activity("gate", context.get_input())
    return answer


@app.activity_trigger(input_name="name")
def gate(name: str) -> str:
    """Waits until its file exists."""
    _note(f"gate {name}")
    while not Path(name).exists():
        time.sleep(0.01)
    return "open"


# Time


@app.orchestration_trigger(context_name="context")
def alarm(context: df.DurableOrchestrationContext):
    begun = context.current_utc_datetime
    yield context.create_timer(begun + timedelta(seconds=context.get_input()))
    return [begun.isoformat(), context.current_utc_datetime.isoformat()]


@app.orchestration_trigger(context_name="context")
def weekly(context: df.DurableOrchestrationContext):
    for week in range(1, 5):
        yield context.create_timer(context.current_utc_datetime + timedelta(days=7))
        yield context.call_activity("note", f"{context.instance_id} {week}")
    return context.current_utc_datetime.isoformat()


@app.orchestration_trigger(context_name="context")
def real_alarm(context: df.DurableOrchestrationContext):
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=context.get_input()))
    return context.current_utc_datetime.isoformat()


@app.orchestration_trigger(context_name="context")
def watch(context: df.DurableOrchestrationContext):
    yield context.call_activity("watch_gate", context.get_input())
    return "watched"


@app.activity_trigger(input_name="name")
def watch_gate(name: str) -> None:
    while not Path(name).exists():
        time.sleep(0.01)


@app.orchestration_trigger(context_name="context")
def noted(context: df.DurableOrchestrationContext):
    yield context.call_activity("note", f"{context.get_input()} a")
    yield context.call_activity("note", f"{context.get_input()} b")


_RUNNING = threading.Lock()


@app.activity_trigger(input_name="line")
async def note(line: str) -> None:
    if not _RUNNING.acquire(blocking=False):
        line += " NOT ALONE"
    _note(line)
    _RUNNING.release()


# Event Hub and timer


@app.event_hub_message_trigger(
    arg_name="events", event_hub_name="%HUB%", connection="HubConnection", cardinality="many"
)
@app.durable_client_input(client_name="client")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00.05")
async def on_events(
    events: typing.List[func.EventHubEvent],  # noqa: UP006  # the worker refuses list[...]
    client: df.DurableOrchestrationClient,
) -> None:
    value = json.loads(events[0].get_body())["value"]
    numbers = [event.sequence_number for event in events]
    partition = (events[0].metadata or {})["PartitionContext"]["PartitionId"]
    if "NOTES" in os.environ:
        _note(f"batch {partition} {numbers} {events[0].enqueued_time:%H:%M}")
    if value == "fail":
        raise ValueError("this batch fails")
    if isinstance(value, str) and value.startswith("start "):
        for number in range(int(value.split()[1])):
            await client.start_new("noted", f"noted-{numbers[0]}-{number}", f"{numbers[0]}-{number}")
    else:
        await client.start_new("chain", f"batch-{numbers[0]}", value)


@app.timer_trigger(schedule="*/1 * * * * *", arg_name="timer")
@app.durable_client_input(client_name="client")
async def tick(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    await client.signal_entity(df.EntityId("counter", "ticks"), "add", 1)


app.register_functions(more)
