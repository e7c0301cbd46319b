"""What goes to an entity function and what comes back (DURABLE.md, sections 5 and 7): pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from devhost.history import Event
from devhost.matching import EntityMessage


class Request(msgspec.Struct, frozen=True, rename="camel"):
    """An operation that waits for an entity. `input` is the JSON text that the entity's `get_input` decodes.

    `parent` and `parent_execution` name the orchestration to which the answer goes, under the request's `id`.
    """

    op: str
    signal: bool
    id: str
    input: str | None = None
    parent: str | None = None
    parent_execution: str | None = None


class Result(msgspec.Struct, frozen=True, rename="camel"):
    """How one operation ended; `result` is JSON text, of the message if it is an error."""

    is_error: bool
    result: str


class BatchAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """What an entity function answered to a batch."""

    entity_exists: bool
    entity_state: str | None
    results: list[Result]


def entity_id(name: str, key: str) -> str:
    """The instance id of an entity; names are without regard to case."""
    return f"@{name.lower()}@{key}"


def is_entity(instance_id: str) -> bool:
    """Whether an id is an entity's."""
    return instance_id.startswith("@")


def name_and_key(identifier: str) -> tuple[str, str]:
    """An entity's name and key, from its instance id."""
    name, _, key = identifier[1:].partition("@")
    return name, key


def request_of(message: EntityMessage, parent_id: str, parent_execution_id: str) -> Request:
    """The request behind an orchestrator's call or signal. Its input is JSON of the JSON text, as the SDK has it."""
    return Request(
        op=message.operation,
        signal=message.is_signal,
        id=message.request_id,
        input=None if message.input is None else msgspec.json.encode(message.input).decode(),
        parent=None if message.is_signal else parent_id,
        parent_execution=None if message.is_signal else parent_execution_id,
    )


def read_request(event: Event) -> Request:
    """The request in a stored message."""
    return msgspec.convert(event, Request)


def batch(identifier: str, state: str | None, requests: Sequence[Request]) -> str:
    """The JSON text that an entity function gets; `state` is the JSON text of its state, None if it does not exist."""
    name, key = name_and_key(identifier)
    payload = {
        "self": {"name": name, "key": key},
        "exists": state is not None,
        "state": state,
        "batch": [{"name": each.op, "input": each.input, "isSignal": each.signal} for each in requests],
    }
    return msgspec.json.encode(payload).decode()


def read_answer(text: str, operations: int) -> BatchAnswer:
    """The answer to a batch of so many operations. Raises ValueError if it is not one."""
    answer = msgspec.json.decode(text, type=BatchAnswer)
    if len(answer.results) != operations:
        raise ValueError(f"the entity answered {len(answer.results)} of {operations} operations")
    return answer


def failed(message: str, operations: int, state: str | None) -> BatchAnswer:
    """The answer of a batch that failed as a whole: each operation in error, the state as it was."""
    result = Result(is_error=True, result=msgspec.json.encode(message).decode())
    return BatchAnswer(entity_exists=state is not None, entity_state=state, results=[result] * operations)


def response(result: Result) -> str:
    """The input of the EventRaised event that answers a call."""
    payload: dict[str, Any] = {"result": result.result}
    if result.is_error:
        payload["exceptionType"] = "System.Exception"
    return msgspec.json.encode(payload).decode()
