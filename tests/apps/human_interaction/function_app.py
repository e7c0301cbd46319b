import json
import logging
import os
import random
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
def E4_SmsPhoneVerification(context: df.DurableOrchestrationContext):
    phone_number = context.get_input()
    if not phone_number:
        raise Exception("A phone number is required as input")

    challenge_code = yield context.call_activity("E4_SendSmsChallenge", phone_number)

    expiration = context.current_utc_datetime + timedelta(seconds=float(os.environ["CHALLENGE_SECONDS"]))
    timeout_task = context.create_timer(expiration)

    authorized = False
    for _ in range(3):
        challenge_response_task = context.wait_for_external_event("SmsChallengeResponse")
        winner = yield context.task_any([challenge_response_task, timeout_task])
        if winner == challenge_response_task:
            # The user answered: is it the code?
            if challenge_response_task.result == challenge_code:
                authorized = True
                break
        else:
            # Too late
            break

    if not timeout_task.is_completed:
        # An open timer would keep the instance running until it fires.
        timeout_task.cancel()

    return authorized


@myApp.activity_trigger(input_name="phoneNumber")
def E4_SendSmsChallenge(phoneNumber: str) -> int:
    challenge_code = random.randint(1000, 9999)
    send_sms(phoneNumber, f"Your verification code is {challenge_code}")
    return challenge_code


@myApp.orchestration_trigger(context_name="context")
def ApprovalWorkflow(context: df.DurableOrchestrationContext):
    request = context.get_input()
    yield context.call_activity("RequestApproval", request)

    due_time = context.current_utc_datetime + timedelta(
        seconds=request.get("seconds", float(os.environ["APPROVAL_SECONDS"]))
    )
    durable_timeout_task = context.create_timer(due_time)
    approval_event = context.wait_for_external_event("ApprovalEvent")
    context.set_custom_status("waiting for approval")

    winning_task = yield context.task_any([approval_event, durable_timeout_task])
    if approval_event == winning_task:
        durable_timeout_task.cancel()
        context.set_custom_status("approved" if approval_event.result["approved"] else "rejected")
        return (yield context.call_activity("ProcessApproval", approval_event.result))
    context.set_custom_status("escalated")
    return (yield context.call_activity("Escalate", request))


@myApp.activity_trigger(input_name="request")
def RequestApproval(request: dict):
    send_sms(request["manager"], f"Please approve {request['what']}")


@myApp.activity_trigger(input_name="decision")
def ProcessApproval(decision: dict) -> str:
    return f"{decision['by']} said {'yes' if decision['approved'] else 'no'}"


@myApp.activity_trigger(input_name="request")
def Escalate(request: dict) -> str:
    send_sms("the director", f"{request['manager']} did not answer: {request['what']}")
    return "escalated"


def send_sms(to: str, body: str) -> None:
    urllib.request.urlopen(os.environ["SMS_URL"], json.dumps({"to": to, "body": body}).encode()).close()
