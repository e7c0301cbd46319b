# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""An app with an HTTP function of each level, and an orchestration that one of them starts."""

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="open", auth_level=func.AuthLevel.ANONYMOUS)
def for_all(req: func.HttpRequest) -> str:
    return "open"


@app.route(route="closed")
def for_some(req: func.HttpRequest) -> str:
    return "closed"


@app.route(route="own", auth_level=func.AuthLevel.ADMIN)
def for_one(req: func.HttpRequest) -> str:
    return "own"


@app.route(route="start", auth_level=func.AuthLevel.ANONYMOUS)
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    identifier = await client.start_new("short", "short")
    return client.create_check_status_response(req, identifier)


@app.orchestration_trigger(context_name="context")
def short(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("echo", "done"))


@app.activity_trigger(input_name="value")
def echo(value: str) -> str:
    return value
