"""The report of a replay that failed: plain text for a terminal and a CI log, of bounded width: pure."""

import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from devhost.history import Event, EventType
from replay import steps
from replay.execution import Call
from replay.history import History
from replay.replayer import Difference
from replay.steps import Step

WIDTH = 112
_LABEL = 14
_AROUND = 4
_LONGEST_VALUE = 600
_MOST_LINES = 6
_MOST_FIELDS = 12

_EVENT_NAMES = {
    EventType.EXECUTION_STARTED: "ExecutionStarted",
    EventType.EXECUTION_COMPLETED: "ExecutionCompleted",
    EventType.EXECUTION_TERMINATED: "ExecutionTerminated",
    EventType.TASK_SCHEDULED: "TaskScheduled",
    EventType.TASK_COMPLETED: "TaskCompleted",
    EventType.TASK_FAILED: "TaskFailed",
    EventType.SUB_ORCHESTRATION_CREATED: "SubOrchestrationCreated",
    EventType.SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationCompleted",
    EventType.SUB_ORCHESTRATION_FAILED: "SubOrchestrationFailed",
    EventType.TIMER_CREATED: "TimerCreated",
    EventType.TIMER_FIRED: "TimerFired",
    EventType.ORCHESTRATOR_STARTED: "OrchestratorStarted",
    EventType.ORCHESTRATOR_COMPLETED: "OrchestratorCompleted",
    EventType.EVENT_SENT: "EventSent",
    EventType.EVENT_RAISED: "EventRaised",
    EventType.CONTINUE_AS_NEW: "ContinueAsNew",
    EventType.EXECUTION_SUSPENDED: "ExecutionSuspended",
    EventType.EXECUTION_RESUMED: "ExecutionResumed",
}

_ADVICE = (
    "An instance that is running when this code is deployed would go wrong here, silently or with a non-determinism"
    " error.",
    "- Not meant: undo the change above.",
    "- Meant for new instances only: keep the old way for the old ones, `if context.version == ...:`, give host.json a"
    " new defaultVersion, and record a history of the new way beside this one.",
    "- Meant, and no instance is running that began before it: record the history again.",
)


def report(source: str, history: History, found: Sequence[Difference]) -> str:
    """What differs first, beside what is recorded; where the orchestrator makes it; what can be done about it."""
    first = found[0]
    lines = [f"{source}: today's code does not do what is recorded.", ""]
    lines += _labelled("orchestrator", f"{history.orchestrator}, version {_version(history)}")
    lines += _labelled("instance", history.instance_id)
    if history.note:
        lines += _labelled("note", history.note)
    lines += _labelled("cut", _cut(history, first))
    lines += _labelled("difference", _told(first))
    lines.append("")
    lines += _table(history, first)
    lines.append("")
    lines += _fields(first)
    if first.made_by is not None:
        lines += _made_by("made by", first.made_by)
    for call in first.waiting[:3] if first.actual is None else ():
        lines += _made_by("waits for", call)
    for other in found[1:4]:
        lines += _labelled("and", _told(other))
    if len(found) > 4:
        lines += _labelled("and", f"{len(found) - 4} more at this cut")
    lines.append("")
    for text in _ADVICE:
        lines += textwrap.wrap(text, WIDTH, subsequent_indent="  " if text.startswith("-") else "")
    return "\n".join(line.rstrip() for line in lines)


def _version(history: History) -> str:
    return history.version or history.events[1].get("Version") or "none"


def _cut(history: History, difference: Difference) -> str:
    event = history.events[difference.cut - 1]
    return (
        f"given the first {difference.cut} of {len(history.events)} events, up to {_event(event)}"
        f" (episode {difference.episode}, {event.get('Timestamp', '')})"
    )


def _told(difference: Difference) -> str:
    recorded, actual = difference.recorded, difference.actual
    if difference.kind == "never yielded" and actual is not None:
        return f"{actual.kind} is called and never yielded: the host never hears of it"
    if recorded is None and actual is not None:
        return f"extra: the code now has {_step(actual)}, and nothing of it is recorded by then"
    if actual is None and recorded is not None:
        return f"missing: {_step(recorded)} is recorded, and the code does not get there"
    assert recorded is not None
    assert actual is not None
    places = ", ".join(each.path for each in difference.fields[:4])
    more = f" and {len(difference.fields) - 4} more" if len(difference.fields) > 4 else ""
    return f"{_headline(recorded)}: different {places}{more}"


def _table(history: History, difference: Difference) -> list[str]:
    """Recorded events and what today's code makes of them, around the difference."""
    left_width = (WIDTH - 11) // 2
    right_width = WIDTH - 11 - left_width
    actual = {step.id: step for step in difference.actual_steps}
    place = difference.event if difference.event is not None else difference.cut - 1
    first = max(0, place - _AROUND)
    rows: list[tuple[bool, str, str, str]] = []
    for number in range(first, min(len(history.events), place + 1 + _AROUND)):
        event = history.events[number]
        is_here = number == difference.event
        if is_here and difference.recorded is not None:
            right = "(nothing)" if difference.actual is None else _step(difference.actual)
            rows.append((True, str(number), _step(difference.recorded), right))
            rows += _field_rows(difference)
        elif event["EventType"] in steps.OUTGOING:
            step = steps.recorded_step(event, _execution_id(history))
            mine = actual.get(step.id)
            rows.append((False, str(number), _step(step), "" if mine is None else _step(mine)))
        else:
            rows.append((False, str(number), _event(event), ""))
        if difference.event is None and number == place:
            recorded = "(nothing)" if difference.recorded is None else _step(difference.recorded)
            rows.append((True, "", recorded, "" if difference.actual is None else _step(difference.actual)))
            rows += _field_rows(difference)
    lines = [f"{'':8}{'recorded':{left_width}}   today's code".rstrip()]
    for marked, where, left, right in rows:
        lines.append(
            f"{'>' if marked else ' '} {where:>5} {_short(left, left_width):{left_width}} "
            f"{'|' if not marked or left == right else '#'} {_short(right, right_width)}"
        )
    return lines


def _field_rows(difference: Difference) -> list[tuple[bool, str, str, str]]:
    """The places that differ, one below the other, so that they stand side by side however long the rest is."""
    return [
        (True, "", f"  {each.path}: {steps.shown(each.recorded)}", f"  {each.path}: {steps.shown(each.actual)}")
        for each in difference.fields[:3]
    ]


def _fields(difference: Difference) -> list[str]:
    lines: list[str] = []
    for each in difference.fields[:_MOST_FIELDS]:
        lines += _labelled(each.path, "")
        lines += _labelled("  recorded", _clipped(steps.shown(each.recorded)))
        lines += _labelled("  now", _clipped(steps.shown(each.actual)))
    if len(difference.fields) > _MOST_FIELDS:
        lines += _labelled("", f"... and {len(difference.fields) - _MOST_FIELDS} more fields")
    if not difference.fields:
        for label, step in (("recorded", difference.recorded), ("now", difference.actual)):
            if step is not None and step.fields:
                lines += _labelled(label, _clipped(_step(step)))
    return lines


def _made_by(label: str, call: Call) -> list[str]:
    lines = _labelled(label, call.what)
    for depth, line in enumerate(call.lines[:_MOST_LINES]):
        # In one piece, however long, so that it can be clicked on.
        where = f"{relative(line.path)}:{line.number} in {line.function}"
        lines.append(f"  {'  from' if depth else '  at':{_LABEL}}{where}")
        if line.source:
            lines.append(" " * (_LABEL + 4) + _short(line.source, WIDTH - _LABEL - 4))
    if len(call.lines) > _MOST_LINES:
        lines += _labelled("", f"... and {len(call.lines) - _MOST_LINES} frames further out")
    return lines


def _labelled(label: str, text: str) -> list[str]:
    if len(label) >= _LABEL:
        return [f"  {label}", *(_labelled("", text) if text else [])]
    width = WIDTH - _LABEL - 2
    wrapped = list(_wrapped(text, width)) or [""]
    return [f"  {label:{_LABEL}}{wrapped[0]}", *(" " * (_LABEL + 2) + line for line in wrapped[1:])]


def _wrapped(text: str, width: int) -> Iterator[str]:
    for line in text.splitlines():
        yield from textwrap.wrap(line, width, break_on_hyphens=False) or [""]


def _headline(step: Step) -> str:
    name = step.fields.get("name") or step.fields.get("entity")
    return " ".join(str(part) for part in (step.kind, step.id, name) if part is not None)


def _step(step: Step) -> str:
    told = [_headline(step)]
    for field, value in step.fields.items():
        if field in ("name", "entity") or (value is None and field != "output"):
            continue
        if field in ("operation", "fire at"):
            told.append(str(value))
        elif field in ("input", "output", "value", "message"):
            told.append(steps.canonical(value))
        else:
            told.append(f"{field}={value}")
    return " ".join(told)


def _event(event: Event) -> str:
    kind = event["EventType"]
    told: list[Any] = [_EVENT_NAMES.get(kind, f"event of type {kind}")]
    told += [event[key] for key in ("TaskScheduledId", "TimerId", "Name") if event.get(key) is not None]
    payload = event.get("Result") or event.get("Reason") or event.get("Input")
    if kind == EventType.EXECUTION_STARTED:
        payload = event.get("Input")
    if payload:
        told.append(payload)
    return _short(" ".join(str(each) for each in told), WIDTH - 30)


def _execution_id(history: History) -> str:
    return (history.events[1].get("OrchestrationInstance") or {}).get("ExecutionId") or ""


def relative(path: str) -> str:
    """A path as it is written in the working folder, if it is in there."""
    short = os.path.relpath(path)
    return path if short.startswith("..") else Path(short).as_posix()


def _short(text: str, width: int) -> str:
    text = text[: len(text) - len(text.lstrip())] + " ".join(text.split())
    return text if len(text) <= width else text[: width - 3] + "..."


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}... ({len(text)} characters)"
