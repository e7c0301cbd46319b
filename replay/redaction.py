"""Takes confidential values out of a recorded history: pure.

What is found under the given paths is replaced wherever it occurs, also within longer texts, in ids and under other
names: an orchestrator passes its input on. Equal values get the same placeholder, so that what the orchestrator does
stays what it was.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from devhost.history import Event, EventType
from replay.history import History
from replay.steps import canonical, unwrapped

_KINDS = {
    EventType.TASK_COMPLETED: ("result", "Result"),
    EventType.SUB_ORCHESTRATION_COMPLETED: ("result", "Result"),
    EventType.EXECUTION_COMPLETED: ("output", "Result"),
    EventType.EVENT_RAISED: ("event", "Input"),
}


_TEXTS = ("Name", "Input", "Result", "Reason", "Details", "InstanceId", "OrchestrationInstance", "ParentInstance")
_SHORTEST_PART = 4


def unmatched(history: History, paths: Sequence[str]) -> list[str]:
    """The paths under which a history has nothing: most likely they are misspelt."""
    return [path for path in paths if not any(True for _ in _found(history, path))]


def redact(history: History, paths: Sequence[str]) -> History:
    """The history without what is under the paths.

    A path begins with the kind of payload (`input`, `result`, `event`, `output`, `status`) and goes on with the names
    of fields; lists do not count, `*` stands for one part or more: `input.password`, `*.account`.
    """
    values: dict[str, str | int | float] = {}
    for path in paths:
        values.update((canonical(leaf), leaf) for leaf in _found(history, path))
    hiding = _Hiding({key: f"<redacted-{number}>" for number, key in enumerate(values, 1)}, values)
    return msgspec.structs.replace(
        history,
        instance_id=hiding.text(history.instance_id),
        parent_instance_id=history.parent_instance_id and hiding.text(history.parent_instance_id),
        events=[hiding.event(event) for event in history.events],
        statuses=[msgspec.structs.replace(each, value=hiding.value(each.value)) for each in history.statuses],
        carried_status=hiding.value(history.carried_status),
    )


class _Hiding:
    """Puts placeholders in the place of values."""

    def __init__(self, names: Mapping[str, str], values: Mapping[str, str | int | float]) -> None:
        self._names = names
        # Within longer texts the longest goes first, as one value may be part of another; a short one stands alone.
        texts = [value for value in values.values() if isinstance(value, str) and len(value) >= _SHORTEST_PART]
        self._parts = {text: names[canonical(text)] for text in sorted(texts, key=len, reverse=True)}

    def event(self, event: Event) -> Event:
        return {key: self._field(each) if key in _TEXTS else each for key, each in event.items()}

    def value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.value(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if value is None or isinstance(value, bool):
            return value
        name = self._names.get(canonical(value))
        if name is not None:
            return name
        return self._field(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        for part, name in self._parts.items():
            text = text.replace(part, name)
        return self._names.get(canonical(text), text)

    def _field(self, value: Any) -> Any:
        """A text that is JSON is looked through; the ids in the objects of a start are texts too."""
        if isinstance(value, dict):
            return {key: self._field(each) for key, each in value.items()}
        if not isinstance(value, str):
            return value
        try:
            inner = json.loads(value)
        except ValueError:
            return self.text(value)
        changed = self.value(inner)
        return value if canonical(changed) == canonical(inner) else json.dumps(changed)


def _found(history: History, path: str) -> Iterator[str | int | float]:
    for kind, payload in _payloads(history):
        for value in _under(payload, (kind,), path.split(".")):
            yield from _leaves(value)


def _payloads(history: History) -> Iterator[tuple[str, Any]]:
    requests = {
        json.loads(event["Input"]).get("id") for event in history.events if event["EventType"] == EventType.EVENT_SENT
    }
    for event in history.events:
        kind, key = _KINDS.get(event["EventType"], ("input", "Input"))
        is_answer = kind == "event" and event["Name"] in requests
        yield ("result" if is_answer else kind), _payload(event, key)
    for status in history.statuses:
        yield "status", status.value
    yield "status", history.carried_status


def _payload(event: Event, key: str) -> Any:
    value = unwrapped(event.get(key))
    if event["EventType"] == EventType.TASK_SCHEDULED and isinstance(value, list):
        return [unwrapped(each) if isinstance(each, str) else each for each in value]
    if event["EventType"] in (EventType.EVENT_SENT, EventType.EVENT_RAISED) and isinstance(value, dict):
        inner = value.get("input", value.get("result"))
        return unwrapped(inner) if isinstance(inner, str) else value
    return value


def _under(value: Any, at: tuple[str, ...], path: Sequence[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _under(each, at, path)
        return
    if _fits(at, path):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _under(each, (*at, key), path)


def _fits(at: Sequence[str], path: Sequence[str]) -> bool:
    if not path or not at:
        return not path and not at
    if path[0] == "*":
        return _fits(at[1:], path[1:]) or _fits(at[1:], path)
    return at[0] == path[0] and _fits(at[1:], path[1:])


def _leaves(value: Any) -> Iterator[str | int | float]:
    """The texts and numbers in a value. True, false and null tell nothing."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif value not in (None, "") and not isinstance(value, bool):
        yield value
