# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""An app for several hosts on one file: what was done goes to the file NOTES, a line each, with the process's id."""

import atexit
import json
import os
import time
import typing
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def _note(line: str) -> None:
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{line} {os.getpid()} {time.time()}\n")


def _wait_for(name: str) -> None:
    while not Path(name).exists():
        time.sleep(0.01)


@app.orchestration_trigger(context_name="context")
def way(context: df.DurableOrchestrationContext):
    for step in range(3):
        yield context.call_activity("step", f"{context.instance_id}-{step}")
        yield context.call_entity(df.EntityId("counter", f"steps-{step}"), "add", 1)
        yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=20))
    return "arrived"


@app.activity_trigger(input_name="name")
def step(name: str) -> None:
    _note(f"step {name}")
    time.sleep(0.02)


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    if context.operation_name == "add":
        context.set_state(context.get_state(lambda: 0) + context.get_input())
    elif context.operation_name == "wait":
        _note(f"operation {context.entity_key}")
        _wait_for(context.get_input())
        context.set_state(context.get_state(lambda: 0) + 1)
    context.set_result(None)


@app.orchestration_trigger(context_name="context")
def gated(context: df.DurableOrchestrationContext):
    yield context.call_activity("gate", context.get_input())
    return "open"


@app.activity_trigger(input_name="name")
def gate(name: str) -> None:
    _note(f"gate {Path(name).name}")
    _wait_for(name)


@app.orchestration_trigger(context_name="context")
def approval(context: df.DurableOrchestrationContext):
    first = yield context.wait_for_external_event("approve")
    second = yield context.wait_for_external_event("confirm")
    return [json.loads(first), json.loads(second)]


@app.orchestration_trigger(context_name="context")
def rounds(context: df.DurableOrchestrationContext):
    left = context.get_input()
    event = yield context.wait_for_external_event("go")
    if left > 1:
        context.continue_as_new(left - 1)
        return None
    return json.loads(event)


@app.event_hub_message_trigger(
    arg_name="events", event_hub_name="market", connection="HubConnection", cardinality="many"
)
async def on_events(events: typing.List[func.EventHubEvent]) -> None:  # noqa: UP006  # the worker refuses list[...]
    partition = (events[0].metadata or {})["PartitionContext"]["PartitionId"]
    _note(f"batch {partition} {events[0].sequence_number}")


@app.timer_trigger(schedule="*/1 * * * * *", arg_name="timer")
def tick(timer: func.TimerRequest) -> None:
    _note("tick")


if "AT_EXIT" in os.environ:
    atexit.register(lambda: _note("exit"))
    atexit.register(lambda: _wait_for("/nowhere") if os.environ["AT_EXIT"] == "hang" else None)
