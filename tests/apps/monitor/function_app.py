import json
import logging
import os
import urllib.parse
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
def E3_Monitor(context: df.DurableOrchestrationContext):
    monitor_request = context.get_input()
    if not monitor_request or not monitor_request.get("location") or not monitor_request.get("phone"):
        raise ValueError("a location and a phone are required as input")

    expiring_at = context.current_utc_datetime + timedelta(seconds=float(os.environ["EXPIRY_SECONDS"]))
    while context.current_utc_datetime < expiring_at:
        is_clear = yield context.call_activity("E3_GetIsClear", monitor_request["location"])
        if is_clear:
            yield context.call_activity("E3_SendGoodWeatherAlert", monitor_request)
            return "alerted"

        next_check = context.current_utc_datetime + timedelta(seconds=float(os.environ["POLLING_SECONDS"]))
        yield context.create_timer(next_check)

    return "expired"


@myApp.activity_trigger(input_name="location")
def E3_GetIsClear(location: str) -> bool:
    with urllib.request.urlopen(f"{os.environ['WEATHER_URL']}?location={urllib.parse.quote(location)}") as response:
        return json.load(response)["conditions"] == "clear"


@myApp.activity_trigger(input_name="request")
def E3_SendGoodWeatherAlert(request: dict) -> str:
    message = {"to": request["phone"], "body": f"The weather in {request['location']} is clear!"}
    urllib.request.urlopen(os.environ["SMS_URL"], json.dumps(message).encode()).close()
    return "sent"
