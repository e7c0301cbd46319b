"""What an orchestrator did, in one form for what a history has and for what today's code asks for: pure.

Two steps are the same if kind and fields are: JSON by its values (the order of keys and white space do not matter,
`1`, `1.0` and `"1"` are three values), times by their instant.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from devhost.history import Event, EventType, Status, parse_stamp, stamp
from devhost.matching import (
    Activity,
    Completed,
    ContinuedAsNew,
    EntityMessage,
    Failed,
    Outcome,
    Scheduled,
    SubOrchestration,
    Timer,
)

CHOSEN_BY_HOST = "(chosen by the host)"
"""Stands for an instance id that the orchestrator leaves to the host."""

OUTGOING = (
    EventType.TASK_SCHEDULED,
    EventType.SUB_ORCHESTRATION_CREATED,
    EventType.TIMER_CREATED,
    EventType.EVENT_SENT,
)
ENDINGS = (EventType.EXECUTION_COMPLETED, EventType.CONTINUE_AS_NEW)

_STATUS_NAMES = {Status.COMPLETED: "completed", Status.FAILED: "failed", Status.CONTINUED_AS_NEW: "continued as new"}


class Step(msgspec.Struct, frozen=True):
    """One thing that an orchestrator did. `id` is its sequence id, None for its end and for its custom status."""

    id: int | None
    kind: str
    fields: Mapping[str, Any]


class FieldDifference(msgspec.Struct, frozen=True):
    """A field, or a place in a field's JSON value, that differs."""

    path: str
    recorded: Any
    actual: Any


class _Absent:
    """What stands in for a place that one side does not have."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


def recorded_step(event: Event, execution_id: str) -> Step:
    """The step behind an outgoing event of a history. Raises KeyError or ValueError where the event is not one."""
    number = event["EventId"]
    match event["EventType"]:
        case EventType.TASK_SCHEDULED:
            return Step(number, "activity", {"name": event["Name"], "input": _activity_input(event.get("Input"))})
        case EventType.TIMER_CREATED:
            return Step(number, "timer", {"fire at": _instant(parse_stamp(event["FireAt"]))})
        case EventType.SUB_ORCHESTRATION_CREATED:
            instance_id = event["InstanceId"]
            is_chosen = re.fullmatch(f"{re.escape(execution_id)}:[0-9A-Fa-f]+", instance_id)
            fields = {
                "name": event["Name"],
                "instance id": CHOSEN_BY_HOST if is_chosen else instance_id,
                "version": event.get("Version") or None,
                "input": unwrapped(event.get("Input")),
            }
            return Step(number, "sub-orchestration", fields)
        case EventType.EVENT_SENT:
            message = json.loads(event["Input"])
            fields = {
                "entity": event["InstanceId"],
                "operation": message.get("op"),
                "input": unwrapped(message.get("input")),
            }
            return Step(number, "entity signal" if message.get("signal") else "entity call", fields)
        case other:
            raise ValueError(f"an event of type {other} schedules nothing")


def actual_step(item: Scheduled, recorded: Step | None, version: str | None) -> Step:
    """The step behind what today's code schedules.

    A version that the code does not name is the host's default, which as a rule is the parent's own: both `version`
    and no version at all are taken for it. `recorded` is the step of the same sequence id.
    """
    match item:
        case Activity():
            return Step(item.id, "activity", {"name": item.name, "input": _json(item.input)})
        case Timer():
            return Step(item.id, "timer", {"fire at": _instant(item.fire_at)})
        case SubOrchestration():
            chosen = item.version
            if chosen is None and recorded is not None and recorded.fields.get("version") == version:
                chosen = version
            fields = {
                "name": item.name,
                "instance id": item.instance_id or CHOSEN_BY_HOST,
                "version": chosen,
                "input": _json(item.input),
            }
            return Step(item.id, "sub-orchestration", fields)
        case EntityMessage():
            kind = "entity signal" if item.is_signal else "entity call"
            return Step(
                item.id, kind, {"entity": item.entity_id, "operation": item.operation, "input": _json(item.input)}
            )


def recorded_ending(event: Event) -> Step:
    """The end of a generation, as its history has it."""
    if event["EventType"] == EventType.CONTINUE_AS_NEW:
        return Step(None, "continued as new", {"input": unwrapped(event.get("Input", event.get("Result")))})
    status = Status(event["OrchestrationStatus"])
    kind = _STATUS_NAMES.get(status, status.text.lower())
    result = event.get("Result")
    if status is Status.COMPLETED:
        return Step(None, kind, {"output": _json(result)})
    if status is Status.CONTINUED_AS_NEW:
        return Step(None, kind, {"input": unwrapped(result)})
    message = _json(result)
    return Step(None, kind, {"message": _trimmed(message if isinstance(message, str) else str(result))})


def actual_ending(outcome: Outcome) -> Step:
    """The end of a generation, as today's code has it."""
    match outcome:
        case Completed():
            return Step(None, "completed", {"output": _json(outcome.output)})
        case Failed():
            return Step(None, "failed", {"message": _trimmed(outcome.message)})
        case ContinuedAsNew():
            return Step(None, "continued as new", {"input": _json(outcome.input)})


def status_step(value: Any) -> Step:
    """A custom status."""
    return Step(None, "custom status", {"value": value})


def differences(recorded: Step, actual: Step) -> tuple[FieldDifference, ...]:
    """Where two steps differ; of a JSON value, the innermost places."""
    if recorded.kind != actual.kind:
        return (FieldDifference("kind", recorded.kind, actual.kind),)
    found: list[FieldDifference] = []
    for name in dict.fromkeys([*recorded.fields, *actual.fields]):
        found.extend(_differing(name, recorded.fields.get(name), actual.fields.get(name)))
    return tuple(found)


def unwrapped(text: str | None) -> Any:
    """The value in a JSON text of a JSON text, which is how the host stores what the SDK sends as text."""
    value = _json(text)
    return _json(value) if isinstance(value, str) else value


def shown(value: Any) -> str:
    """A value as a report has it."""
    return repr(value) if value is ABSENT else canonical(value)


def canonical(value: Any) -> str:
    """One text for each JSON value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _differing(path: str, recorded: Any, actual: Any) -> Iterator[FieldDifference]:
    if isinstance(recorded, dict) and isinstance(actual, dict):
        for key in dict.fromkeys([*recorded, *actual]):
            yield from _differing(f"{path}.{key}", recorded.get(key, ABSENT), actual.get(key, ABSENT))
    elif isinstance(recorded, list) and isinstance(actual, list) and len(recorded) == len(actual):
        for number, (left, right) in enumerate(zip(recorded, actual, strict=True)):
            yield from _differing(f"{path}[{number}]", left, right)
    elif recorded is ABSENT or actual is ABSENT or canonical(recorded) != canonical(actual):
        yield FieldDifference(path, recorded, actual)


def _json(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _activity_input(text: str | None) -> Any:
    arguments = _json(text)
    if isinstance(arguments, list) and len(arguments) == 1:
        return _json(arguments[0]) if isinstance(arguments[0], str) else arguments[0]
    return arguments


def _instant(moment: datetime) -> str:
    return stamp(moment)


def _trimmed(message: str) -> str:
    return "\n".join(line.strip() for line in message.strip().splitlines())
