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
def ProcessOrderOrchestrator(context: df.DurableOrchestrationContext):
    order_id = context.get_input()
    done = [(yield context.call_activity("ValidateOrder", order_id))]

    if context.version == "1.0":
        # Preserve the logic of the instances that are under way
        done.append((yield context.call_activity("ProcessPayment", order_id)))
    else:
        # New logic: a discount before the payment
        done.append((yield context.call_activity("ApplyDiscount", order_id)))
        done.append((yield context.call_activity("ProcessPaymentWithDiscount", order_id)))

    context.set_custom_status({"version": context.version})
    yield context.wait_for_external_event("packed")
    done.append((yield context.call_sub_orchestrator("ShipOrder", order_id)))
    return done


@myApp.orchestration_trigger(context_name="context")
def ShipOrder(context: df.DurableOrchestrationContext):
    label = yield context.call_activity("PrintLabel", context.get_input())
    return f"{label} by {context.version}"


@myApp.activity_trigger(input_name="orderId")
def ValidateOrder(orderId: str) -> str:
    return f"validated {orderId}"


@myApp.activity_trigger(input_name="orderId")
def ProcessPayment(orderId: str) -> str:
    return f"paid {orderId}"


@myApp.activity_trigger(input_name="orderId")
def ApplyDiscount(orderId: str) -> str:
    return f"discounted {orderId}"


@myApp.activity_trigger(input_name="orderId")
def ProcessPaymentWithDiscount(orderId: str) -> str:
    return f"paid {orderId} less the discount"


@myApp.activity_trigger(input_name="orderId")
def PrintLabel(orderId: str) -> str:
    return f"shipped {orderId}"
