import json
import logging
import os
import pathlib
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

myApp = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@myApp.route(route="orchestrators/{functionName}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client):
    body = req.get_body()
    instance_id = await client.start_new(
        req.route_params["functionName"], req.params.get("instanceId"), json.loads(body) if body else None
    )
    logging.info(f"Started orchestration with ID = '{instance_id}'.")
    return client.create_check_status_response(req, instance_id)


@myApp.orchestration_trigger(context_name="context")
def Periodic_Cleanup_Loop(context: df.DurableOrchestrationContext):
    yield context.call_activity("DoCleanup")

    # The instance sleeps, without a process
    next_cleanup = context.current_utc_datetime + timedelta(seconds=float(os.environ["CLEANUP_SECONDS"]))
    yield context.create_timer(next_cleanup)

    context.continue_as_new(None)


@myApp.activity_trigger(input_name="nothing")
def DoCleanup(nothing) -> int:
    waste = sorted(pathlib.Path(os.environ["CLEANUP_FOLDER"]).glob("*.tmp"))
    for path in waste:
        path.unlink(missing_ok=True)
    return len(waste)


@myApp.route(route="cleanup", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def Trigger_Eternal_Orchestration(req: func.HttpRequest, client):
    """Starts the one instance, if it does not run: a singleton."""
    instance_id = "StaticId"
    existing_instance = await client.get_status(instance_id)
    if existing_instance.runtime_status in (
        df.OrchestrationRuntimeStatus.Pending,
        df.OrchestrationRuntimeStatus.Running,
        df.OrchestrationRuntimeStatus.ContinuedAsNew,
    ):
        return func.HttpResponse(f"An instance with ID '{instance_id}' already exists.", status_code=409)
    await client.start_new("Periodic_Cleanup_Loop", instance_id, None)
    return client.create_check_status_response(req, instance_id)


# A counter that lives in its own input, and ends when it is told to.


@myApp.orchestration_trigger(context_name="context")
def E3_Counter(context: df.DurableOrchestrationContext):
    counter_state = context.get_input() or 0
    context.set_custom_status(counter_state)
    operation = yield context.wait_for_external_event("operation")

    if operation == "incr":
        counter_state += 1
    elif operation == "decr":
        counter_state -= 1
    elif operation == "end":
        return counter_state

    context.continue_as_new(counter_state)


# Ends when there is nothing left to do: it does not continue as new then.


@myApp.orchestration_trigger(context_name="context")
def Countdown(context: df.DurableOrchestrationContext):
    left = context.get_input()
    left = yield context.call_activity("OneLess", left)
    if left > 0:
        context.continue_as_new(left)
        return None
    return "lift-off"


@myApp.activity_trigger(input_name="number")
def OneLess(number: int) -> int:
    return number - 1
