import json
import logging

import azure.durable_functions as df
import azure.functions as func

bp = df.Blueprint()


@bp.route(route="startOrchestrator", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def start_orchestrator(req: func.HttpRequest, client):
    instance_id = await client.start_new("my-orchestrator", req.params.get("instanceId"), json.loads(req.get_body()))
    logging.info(f"Started orchestration with ID = '{instance_id}'.")
    return client.create_check_status_response(req, instance_id)


@bp.orchestration_trigger(context_name="context", orchestration="my-orchestrator")
def my_orchestrator(context: df.DurableOrchestrationContext):
    greetings = []
    for city in context.get_input():
        greetings.append((yield context.call_activity("say_hello", city)))
    count = yield context.call_entity(df.EntityId("greeting_counter", "all"), "add", len(greetings))
    return {"greetings": greetings, "lastSeen": count >= len(greetings)}


@bp.activity_trigger(input_name="city", activity="say_hello")
def greet(city: str) -> str:
    return f"Hello {city}!"


@bp.entity_trigger(context_name="context")
def greeting_counter(context: df.DurableEntityContext):
    total = context.get_state(lambda: 0) + context.get_input()
    context.set_state(total)
    context.set_result(total)
