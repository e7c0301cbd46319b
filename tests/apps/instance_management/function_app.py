import json
import logging
import os
import urllib.request

import azure.durable_functions as df
import azure.functions as func

myApp = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def answer(value, status_code=200):
    return func.HttpResponse(json.dumps(value), status_code=status_code, mimetype="application/json")


@myApp.route(route="orchestrators/{functionName}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client):
    body = req.get_body()
    instance_id = await client.start_new(
        req.route_params["functionName"], req.params.get("instanceId"), json.loads(body) if body else None
    )
    logging.info(f"Started orchestration with ID = '{instance_id}'.")
    return client.create_check_status_response(req, instance_id)


@myApp.route(route="orchestrators/{functionName}/wait", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def http_start_and_wait(req: func.HttpRequest, client):
    instance_id = await client.start_new(req.route_params["functionName"], req.params.get("instanceId"), None)
    return await client.wait_for_completion_or_create_check_status_response(
        req, instance_id, int(req.params.get("timeout", 10000)), 100
    )


@myApp.route(route="status/{id}", methods=["GET"])
@myApp.durable_client_input(client_name="client")
async def get_status(req: func.HttpRequest, client):
    status = await client.get_status(
        req.route_params["id"], show_history=True, show_history_output=True, show_input=True
    )
    return answer(status.to_json())


@myApp.route(route="status", methods=["GET"])
@myApp.durable_client_input(client_name="client")
async def get_status_by(req: func.HttpRequest, client):
    statuses = [df.OrchestrationRuntimeStatus(name) for name in req.params.get("runtimeStatus", "Running").split(",")]
    instances = await client.get_status_by(runtime_status=statuses)
    return answer(sorted(instance.instance_id for instance in instances))


@myApp.route(route="all", methods=["GET"])
@myApp.durable_client_input(client_name="client")
async def get_all_status(req: func.HttpRequest, client):
    instances = await client.get_status_all()
    return answer({instance.instance_id: instance.runtime_status.name for instance in instances})


@myApp.route(route="raise/{id}/{event}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def raise_event(req: func.HttpRequest, client):
    await client.raise_event(req.route_params["id"], req.route_params["event"], json.loads(req.get_body()))
    return answer("raised", 202)


@myApp.route(route="terminate/{id}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def terminate(req: func.HttpRequest, client):
    await client.terminate(req.route_params["id"], "Found a bug")
    return answer("terminated", 202)


@myApp.route(route="suspend/{id}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def suspend(req: func.HttpRequest, client):
    await client.suspend(req.route_params["id"], "Need to pause workflow")
    return answer("suspended", 202)


@myApp.route(route="resume/{id}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def resume(req: func.HttpRequest, client):
    await client.resume(req.route_params["id"], "Continue workflow")
    return answer("resumed", 202)


@myApp.route(route="rewind/{id}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def rewind(req: func.HttpRequest, client):
    await client.rewind(req.route_params["id"], "Orchestrator failed and needs to be revived.")
    return answer("rewound", 202)


@myApp.route(route="restart/{id}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def restart(req: func.HttpRequest, client):
    await client.restart(req.route_params["id"], restart_with_new_instance_id=False)
    return answer("restarted", 202)


@myApp.route(route="purge/{id}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def purge(req: func.HttpRequest, client):
    result = await client.purge_instance_history(req.route_params["id"])
    return answer(result.instances_deleted)


@myApp.route(route="payload/{id}", methods=["GET"])
@myApp.durable_client_input(client_name="client")
async def management_payload(req: func.HttpRequest, client):
    return answer(client.create_http_management_payload(req.route_params["id"]))


@myApp.orchestration_trigger(context_name="context")
def HelloWorld(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("Hello", context.get_input() or "world"))


@myApp.orchestration_trigger(context_name="context")
def WaitForApproval(context: df.DurableOrchestrationContext):
    context.set_custom_status("waiting")
    approval = yield context.wait_for_external_event("Approval")
    if approval == "no":
        raise Exception("not approved")
    return (yield context.call_activity("Hello", approval))


@myApp.orchestration_trigger(context_name="context")
def DeliverParcel(context: df.DurableOrchestrationContext):
    yield context.call_activity("Hello", "parcel")
    return (yield context.call_activity("Deliver", context.instance_id))


@myApp.activity_trigger(input_name="parcel")
def Deliver(parcel: str) -> str:
    # Fails while the courier refuses
    urllib.request.urlopen(os.environ["COURIER_URL"], json.dumps(parcel).encode()).close()
    return "delivered"


@myApp.activity_trigger(input_name="name")
def Hello(name: str) -> str:
    return f"Hello {name}!"
