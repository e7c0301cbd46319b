"""HTTP answers: JSON, money as strings."""

import azure.functions as func
import msgspec

from triggers.views import Problem, Refusal


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """A response with `body` as its JSON."""
    encoded = msgspec.json.encode(body)
    return func.HttpResponse(encoded, status_code=status, mimetype="application/json", headers=headers)


def refusal(status: int, field: str, value: object, message: str) -> func.HttpResponse:
    """A 4xx, or 503, that names the field, its value, and what is wrong with it."""
    return answer(Refusal(error=Problem(field=field, value=value, message=message)), status)
