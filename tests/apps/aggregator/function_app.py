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


@myApp.entity_trigger(context_name="context")
def Counter(context: df.DurableEntityContext):
    current_value = context.get_state(lambda: 0)
    operation = context.operation_name
    if operation == "add":
        current_value += context.get_input()
    elif operation == "reset":
        current_value = 0
    elif operation == "get":
        pass
    elif operation == "delete":
        context.set_result(current_value)
        context.destruct_on_exit()
        return
    context.set_state(current_value)
    context.set_result(current_value)


@myApp.route(route="Counter/{entityKey}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def signal_counter(req: func.HttpRequest, client):
    entity_id = df.EntityId("Counter", req.route_params["entityKey"])
    await client.signal_entity(entity_id, req.params.get("op", "add"), int(req.params.get("amount", 1)))
    return func.HttpResponse(status_code=202)


@myApp.route(route="Counter/{entityKey}", methods=["GET"])
@myApp.durable_client_input(client_name="client")
async def read_counter(req: func.HttpRequest, client):
    entity_id = df.EntityId("Counter", req.route_params["entityKey"])
    entity_state_result = await client.read_entity_state(entity_id)
    if not entity_state_result.entity_exists:
        return func.HttpResponse("no such counter", status_code=404)
    return func.HttpResponse(str(entity_state_result.entity_state))


# Two-way communication: calls wait for the entity's answer. One-way: signals do not.


@myApp.orchestration_trigger(context_name="context")
def AddAndRead(context: df.DurableOrchestrationContext):
    request = context.get_input()
    entity_id = df.EntityId("Counter", request["key"])
    context.signal_entity(entity_id, "add", 100)
    for amount in request["amounts"]:
        yield context.call_entity(entity_id, "add", amount)
    return (yield context.call_entity(entity_id, "get"))
