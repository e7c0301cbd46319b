"""A small app of the common kinds of functions."""

import json
import logging
import typing
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    body = req.get_body()
    identifier = await client.start_new(
        req.route_params["name"], req.params.get("id"), json.loads(body) if body else None
    )
    return client.create_check_status_response(req, identifier)


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
    elif context.operation_name == "get":
        context.set_result(context.get_state(lambda: 0))
    elif context.operation_name == "fail":
        raise ValueError("no such luck")
    elif context.operation_name == "delete":
        context.destruct_on_exit()


@app.orchestration_trigger(context_name="context")
def count(context: df.DurableOrchestrationContext):
    entity = df.EntityId("counter", context.get_input())
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
        return {"approved": event.result}
    return "timed out"


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


@app.event_hub_message_trigger(
    arg_name="events", event_hub_name="%HUB%", connection="HubConnection", cardinality="many"
)
@app.durable_client_input(client_name="client")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00.05")
async def on_events(events: typing.List[func.EventHubEvent], client: df.DurableOrchestrationClient) -> None:
    numbers = [event.sequence_number for event in events]
    logging.info("batch %s", numbers)
    await client.start_new("chain", f"batch-{numbers[0]}", json.loads(events[0].get_body())["value"])


@app.timer_trigger(schedule="*/1 * * * * *", arg_name="timer")
@app.durable_client_input(client_name="client")
async def tick(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    await client.signal_entity(df.EntityId("counter", "ticks"), "add", 1)
