# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""A small app that uses everything that a replay compares. Tests change its text: see test_mutations."""

from datetime import timedelta

import azure.durable_functions as df

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def purchase(context: df.DurableOrchestrationContext):
    given = context.get_input()
    context.set_custom_status({"phase": "reserving"})
    account = df.EntityId("account", given["buyer"])
    left = yield context.call_entity(account, "reserve", {"amount": given["amount"]})
    if left < 0:
        context.set_custom_status({"phase": "refused"})
        return {"state": "refused", "left": left}
    prices = yield context.task_all([context.call_activity("price", item) for item in given["items"]])
    retry = df.RetryOptions(first_retry_interval_in_milliseconds=5000, max_number_of_attempts=3)
    order = yield context.call_activity_with_retry("place_order", retry, {"prices": prices})
    context.set_custom_status({"phase": "waiting", "order": order})
    approved = yield from approval(context, timedelta(hours=2))
    if context.version == "2.0":
        yield context.call_activity("audit", {"order": order, "approved": approved})
    shipped = yield context.call_sub_orchestrator("shipping", {"order": order}, f"{context.instance_id}-ship", "1.0")
    context.signal_entity(account, "settle", {"order": order})
    yield context.call_activity("notify", {"order": order, "shipped": shipped})
    return {"state": "done", "approved": approved, "order": order}


def approval(context, longest: timedelta):
    """Whether somebody has approved in time."""
    event = context.wait_for_external_event("approved")
    timer = context.create_timer(context.current_utc_datetime + longest)
    winner = yield context.task_any([event, timer])
    if winner == timer:
        return False
    timer.cancel()
    return True


@app.orchestration_trigger(context_name="context")
def shipping(context: df.DurableOrchestrationContext):
    label = yield context.call_activity("label", context.get_input())
    return {"label": label}


@app.orchestration_trigger(context_name="context")
def rounds(context: df.DurableOrchestrationContext):
    left = context.get_input()
    context.set_custom_status({"left": left})
    yield context.call_activity("work", left)
    if left > 0:
        context.continue_as_new(left - 1)
        return None
    return "done"
