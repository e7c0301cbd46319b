# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,type-arg,no-any-unimported,no-any-return,misc"
"""A small shop, for the replay kit's own tests."""

import json
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="purchases", methods=["POST"])
@app.durable_client_input(client_name="client")
async def buy(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    identifier = await client.start_new("purchase", None, req.get_json())
    return func.HttpResponse(json.dumps({"id": identifier}), mimetype="application/json")


@app.orchestration_trigger(context_name="context")
def purchase(context: df.DurableOrchestrationContext):
    wanted = context.get_input()
    price = yield context.call_activity("price", wanted["item"])
    stock = yield context.call_entity(df.EntityId("stock", wanted["item"]), "take", {"pieces": wanted["pieces"]})
    bill = {"id": context.instance_id, "pieces": wanted["pieces"], "price": price}
    paid = yield context.call_activity("charge", bill)
    return {"paid": paid, "stock": stock}


@app.orchestration_trigger(context_name="context")
def reminder(context: df.DurableOrchestrationContext):
    given = context.get_input()
    context.set_custom_status("waiting")
    answer = context.wait_for_external_event("answer")
    timer = context.create_timer(context.current_utc_datetime + timedelta(days=given["days"]))
    winner = yield context.task_any([answer, timer])
    if winner == answer:
        timer.cancel()
        return json.loads(answer.result)
    context.signal_entity(df.EntityId("notes", "all"), "add", {"note": given.get("note", "")})
    return "reminded"


@app.orchestration_trigger(context_name="context")
def patient(context: df.DurableOrchestrationContext):
    yield context.wait_for_external_event("never")


@app.orchestration_trigger(context_name="context")
def counting(context: df.DurableOrchestrationContext):
    count = context.get_input()
    yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    if count == 3:
        return count
    context.continue_as_new(count + 1)


@app.orchestration_trigger(context_name="context")
def prices(context: df.DurableOrchestrationContext):
    return (yield context.task_all([context.call_activity("price", item) for item in context.get_input()]))


@app.orchestration_trigger(context_name="context")
def referral(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("refer", context.get_input()))


@app.orchestration_trigger(context_name="context")
def wrapping(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("gift-wrap", "tea"))


@app.orchestration_trigger(context_name="context")
def versioned(context: df.DurableOrchestrationContext):
    yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    return context.version


@app.activity_trigger(input_name="wanted")
@app.durable_client_input(client_name="client")
async def refer(wanted: dict, client: df.DurableOrchestrationClient) -> str:
    identifier = f"purchase-{wanted['item']}"
    if not (await client.get_status(identifier)).instance_id:
        await client.start_new("purchase", identifier, wanted)
    return identifier


@app.activity_trigger(input_name="item", activity="gift-wrap")
def gift_wrap(item: str) -> str:
    return "in paper"


@app.activity_trigger(input_name="item")
def price(item: str) -> int:
    return 10


@app.activity_trigger(input_name="bill")
def charge(bill: dict) -> int:
    return bill["pieces"] * bill["price"]


@app.entity_trigger(context_name="context")
def stock(context: df.DurableEntityContext) -> None:
    left = context.get_state(lambda: 100) - context.get_input()["pieces"]
    context.set_state(left)
    context.set_result(left)


@app.entity_trigger(context_name="context")
def notes(context: df.DurableEntityContext) -> None:
    context.set_state([*context.get_state(list), context.get_input()["note"]])
    context.set_result(None)
