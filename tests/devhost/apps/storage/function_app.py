# The SDK's decorators are untyped.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,unreachable"
"""An app of queue triggers, queue and blob bindings, and a warm-up."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def _note(text: str) -> None:
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(text + "\n")


@app.warm_up_trigger(arg_name="warmup")
def warm(warmup) -> None:
    _note("warm")


@app.queue_trigger(arg_name="msg", queue_name="%IN_QUEUE%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="confirmed", queue_name="confirmed", connection="AzureWebJobsStorage")
@app.blob_output(arg_name="receipt", path="receipts/{customer}/{rand-guid}.txt", connection="AzureWebJobsStorage")
def take_order(msg: func.QueueMessage, confirmed: func.Out[str], receipt: func.Out[str]) -> None:
    order = json.loads(msg.get_body())
    _note(f"order {order['n']} try {msg.dequeue_count}")
    if order.get("hang"):
        _hang_unless_open()
    if order.get("bad"):
        raise ValueError("a bad order")
    confirmed.set(f"order {order['n']}")
    receipt.set(f"receipt of {order['n']}")


def _hang_unless_open() -> None:
    if not Path(os.environ["NOTES"]).with_name("gate").exists():
        threading.Event().wait(3600)


@app.route(route="notes/{name}", methods=["PUT"])
@app.blob_output(arg_name="blob", path="notes/{name}.txt", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="told", queue_name="told", connection="AzureWebJobsStorage")
def put_note(req: func.HttpRequest, blob: func.Out[bytes], told: func.Out[str]) -> str:
    blob.set(req.get_body())
    if req.params.get("unfit"):
        unfit: Any = object()  # what no queue takes
        told.set(unfit)
    return "put"


@app.route(route="notes/{name}", methods=["GET"])
@app.blob_input(arg_name="blob", path="notes/{name}.txt", connection="AzureWebJobsStorage")
def get_note(req: func.HttpRequest, blob: func.InputStream) -> func.HttpResponse:
    if blob is None:
        return func.HttpResponse(status_code=404)
    return func.HttpResponse(blob.read())


@app.route(route="lost", methods=["POST"])
@app.blob_output(arg_name="blob", path="notes/{nobody}.txt", connection="AzureWebJobsStorage")
def lost(req: func.HttpRequest, blob: func.Out[str]) -> str:
    blob.set("x")
    return "written"
