import json
import logging

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
def CheckSiteAvailable(context: df.DurableOrchestrationContext):
    url = context.get_input()

    # Invoke an HTTP endpoint; one that answers 202 with a Location is asked again until it is done.
    response = yield context.call_http("GET", url)
    if response["statusCode"] >= 400:
        return f"{url} is not available: {response['statusCode']}"
    return response["content"]


@myApp.orchestration_trigger(context_name="context")
def PostOrder(context: df.DurableOrchestrationContext):
    request = context.get_input()
    headers = {"Content-Type": "application/json"}
    response = yield context.call_http("POST", request["url"], content=request["order"], headers=headers)
    if response["statusCode"] != 200:
        raise Exception(f"the order was answered {response['statusCode']}")
    return json.loads(response["content"])
