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
def E1_HelloSequence(context: df.DurableOrchestrationContext):
    tokyo = yield context.call_activity("E1_SayHello", "Tokyo")
    seattle = yield context.call_activity("E1_SayHello", "Seattle")
    london = yield context.call_activity("E1_SayHello", "London")
    return [tokyo, seattle, london]


@myApp.activity_trigger(input_name="name")
def E1_SayHello(name: str) -> str:
    return f"Hello {name}!"


# Each function's output is the next one's input; the caller sees how far it is by the custom status.


@myApp.orchestration_trigger(context_name="context")
def Chaining(context: df.DurableOrchestrationContext):
    try:
        x = yield context.call_activity("F1", context.get_input())
        context.set_custom_status({"done": "F1", "value": x})
        y = yield context.call_activity("F2", x)
        context.set_custom_status({"done": "F2", "value": y})
        return (yield context.call_activity("F3", y))
    except Exception as error:
        context.set_custom_status("failed")
        return f"compensated: {error}"


@myApp.activity_trigger(input_name="value")
def F1(value: int) -> int:
    return value + 1


@myApp.activity_trigger(input_name="value")
def F2(value: int) -> int:
    return value * 10


@myApp.activity_trigger(input_name="value")
def F3(value: int) -> str:
    if value < 0:
        raise ValueError(f"{value} is below zero")
    return f"the result is {value}"
