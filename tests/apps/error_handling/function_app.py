import json
import logging
import os
import urllib.error
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
def TransferFunds(context: df.DurableOrchestrationContext):
    transfer_details = context.get_input()

    yield context.call_activity(
        "DebitAccount", {"account": transfer_details["sourceAccount"], "amount": transfer_details["amount"]}
    )

    try:
        yield context.call_activity(
            "CreditAccount", {"account": transfer_details["destinationAccount"], "amount": transfer_details["amount"]}
        )
        return "transferred"
    except Exception:
        # What was taken goes back.
        yield context.call_activity(
            "CreditAccount", {"account": transfer_details["sourceAccount"], "amount": transfer_details["amount"]}
        )
        return "refunded"


@myApp.activity_trigger(input_name="booking")
def DebitAccount(booking: dict) -> None:
    post("debit", booking)


@myApp.activity_trigger(input_name="booking")
def CreditAccount(booking: dict) -> None:
    post("credit", booking)


def post(kind: str, booking: dict) -> None:
    try:
        urllib.request.urlopen(f"{os.environ['BANK_URL']}/{kind}", json.dumps(booking).encode()).close()
    except urllib.error.HTTPError as error:
        raise ValueError(f"the bank refused the {kind} of {booking['account']}: {error.code}") from None


@myApp.orchestration_trigger(context_name="context")
def CallFlakyFunctionWithRetry(context: df.DurableOrchestrationContext):
    first_retry_interval_in_milliseconds = int(os.environ["RETRY_MILLISECONDS"])
    max_number_of_attempts = 3
    retry_options = df.RetryOptions(first_retry_interval_in_milliseconds, max_number_of_attempts)
    return (yield context.call_activity_with_retry("FlakyFunction", retry_options, context.get_input()))


@myApp.orchestration_trigger(context_name="context")
def CallFlakyFunctionWithTimeout(context: df.DurableOrchestrationContext):
    deadline = context.current_utc_datetime + timedelta(seconds=float(os.environ["TIMEOUT_SECONDS"]))
    activity_task = context.call_activity("FlakyFunction", context.get_input())
    timeout_task = context.create_timer(deadline)

    winner = yield context.task_any([activity_task, timeout_task])
    if winner == activity_task:
        timeout_task.cancel()
        return True
    return False


@myApp.activity_trigger(input_name="name")
def FlakyFunction(name: str) -> str:
    with urllib.request.urlopen(f"{os.environ['BANK_URL']}/flaky?name={name}") as response:
        answer = json.load(response)
    if answer["fails"]:
        raise RuntimeError(f"{name} failed")
    return f"{name} worked"
