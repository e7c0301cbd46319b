import json
import logging
import os
import urllib.request
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
def BillingIssuer(context: df.DurableOrchestrationContext):
    days = context.get_input()
    for day in range(days):
        deadline = context.current_utc_datetime + timedelta(seconds=float(os.environ["DAY_SECONDS"]))
        yield context.create_timer(deadline)
        yield context.call_activity("SendBillingEvent", {"instance": context.instance_id, "day": day})
    return f"{days} bills"


@myApp.activity_trigger(input_name="bill")
def SendBillingEvent(bill: dict) -> None:
    urllib.request.urlopen(os.environ["BILLING_URL"], json.dumps(bill).encode()).close()


@myApp.orchestration_trigger(context_name="context")
def TryGetQuote(context: df.DurableOrchestrationContext):
    deadline = context.current_utc_datetime + timedelta(seconds=float(os.environ["TIMEOUT_SECONDS"]))
    activity_task = context.call_activity("GetQuote", context.get_input())
    timeout_task = context.create_timer(deadline)

    winner = yield context.task_any([activity_task, timeout_task])
    if winner == activity_task:
        timeout_task.cancel()
        return activity_task.result
    return "no quote in time"


@myApp.activity_trigger(input_name="symbol")
def GetQuote(symbol: str) -> str:
    return f"{symbol} at 101.5"
