"""History events of an orchestration: their types, their keys and how they are built (DURABLE.md, section 7).

An event is the JSON object that the Durable extension sends to the SDK. `Timestamp` is ISO-8601 with microseconds and
Z.
"""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import msgspec

Event = dict[str, Any]
"""One history event, with the PascalCase keys that the SDK reads."""


class EventType(IntEnum):
    """The number of each kind of event in the protocol."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_CREATED = 7
    SUB_ORCHESTRATION_COMPLETED = 8
    SUB_ORCHESTRATION_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    CONTINUE_AS_NEW = 16
    GENERIC = 17
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


class Status(IntEnum):
    """Runtime status of an instance, with DTFx's numbers."""

    RUNNING = 0
    COMPLETED = 1
    CONTINUED_AS_NEW = 2
    FAILED = 3
    CANCELED = 4
    TERMINATED = 5
    PENDING = 6
    SUSPENDED = 7

    @property
    def text(self) -> str:
        """The name that the HTTP API shows, such as `ContinuedAsNew`."""
        return _STATUS_TEXT[self]

    @property
    def is_over(self) -> bool:
        """Whether an instance of this status has ended."""
        return self in (Status.COMPLETED, Status.FAILED, Status.CANCELED, Status.TERMINATED)


_STATUS_TEXT = {
    Status.RUNNING: "Running",
    Status.COMPLETED: "Completed",
    Status.CONTINUED_AS_NEW: "ContinuedAsNew",
    Status.FAILED: "Failed",
    Status.CANCELED: "Canceled",
    Status.TERMINATED: "Terminated",
    Status.PENDING: "Pending",
    Status.SUSPENDED: "Suspended",
}


def stamp(moment: datetime) -> str:
    """An aware time as the protocol writes it: UTC, microseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def parse_stamp(text: str) -> datetime:
    """The aware time behind an ISO-8601 text; a text without an offset is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def encode(event: Event) -> str:
    """An event's JSON text."""
    return msgspec.json.encode(event).decode()


def decode_all(events: str) -> list[Event]:
    """The events of a text that has them one after another, comma between."""
    return msgspec.json.decode(f"[{events}]", type=list[Event])


def _event(kind: EventType, moment: datetime, event_id: int = -1, **keys: Any) -> Event:
    return {"EventType": int(kind), "EventId": event_id, "IsPlayed": False, "Timestamp": stamp(moment), **keys}


def orchestrator_started(moment: datetime) -> Event:
    """The opening of an episode; `moment` is what the orchestrator sees as the current time."""
    return _event(EventType.ORCHESTRATOR_STARTED, moment)


def orchestrator_completed(moment: datetime) -> Event:
    """The end of an episode."""
    return _event(EventType.ORCHESTRATOR_COMPLETED, moment)


def execution_started(
    moment: datetime,
    *,
    name: str,
    version: str | None,
    input_text: str | None,
    instance_id: str,
    execution_id: str,
    parent_instance_id: str | None,
) -> Event:
    """The start of an instance or of a new generation of it; `input_text` is JSON text."""
    parent = {"OrchestrationInstance": {"InstanceId": parent_instance_id}} if parent_instance_id else None
    return _event(
        EventType.EXECUTION_STARTED,
        moment,
        Name=name,
        Version=version,
        Input=input_text,
        OrchestrationInstance={"InstanceId": instance_id, "ExecutionId": execution_id},
        ParentInstance=parent,
        Tags=None,
        ScheduledStartTime=None,
    )


def execution_completed(moment: datetime, status: Status, result: str | None) -> Event:
    """The end of an instance; `result` is its output as JSON text, or the failure's message."""
    return _event(
        EventType.EXECUTION_COMPLETED, moment, OrchestrationStatus=int(status), Result=result, FailureDetails=None
    )


def continued_as_new(moment: datetime, input_text: str | None) -> Event:
    """The end of a generation; `input_text` is the next one's input as JSON text."""
    return _event(EventType.CONTINUE_AS_NEW, moment, Input=input_text)


def generic(moment: datetime, data: str) -> Event:
    """Something that no orchestrator reads."""
    return _event(EventType.GENERIC, moment, Data=data)


def execution_terminated(moment: datetime, reason: str) -> Event:
    """Somebody ended the instance from outside."""
    return _event(EventType.EXECUTION_TERMINATED, moment, Input=reason)


def execution_suspended(moment: datetime, reason: str) -> Event:
    """From here on events wait until the instance is resumed."""
    return _event(EventType.EXECUTION_SUSPENDED, moment, Reason=reason)


def execution_resumed(moment: datetime, reason: str) -> Event:
    """The end of a suspension."""
    return _event(EventType.EXECUTION_RESUMED, moment, Reason=reason)


def task_scheduled(moment: datetime, task_id: int, name: str, input_text: str | None) -> Event:
    """An activity was scheduled; its input is wrapped in a list of one text, as DTFx has it."""
    wrapped = msgspec.json.encode([input_text]).decode()
    return _event(EventType.TASK_SCHEDULED, moment, task_id, Name=name, Version="", Input=wrapped)


def task_completed(moment: datetime, task_id: int, result: str | None) -> Event:
    """An activity's result as JSON text."""
    return _event(EventType.TASK_COMPLETED, moment, TaskScheduledId=task_id, Result=result)


def task_failed(moment: datetime, task_id: int, reason: str, details: str) -> Event:
    """An activity raised."""
    return _event(EventType.TASK_FAILED, moment, TaskScheduledId=task_id, Reason=reason, Details=details)


def sub_orchestration_created(
    moment: datetime, task_id: int, name: str, instance_id: str, version: str | None, input_text: str | None
) -> Event:
    """A child instance was scheduled."""
    return _event(
        EventType.SUB_ORCHESTRATION_CREATED,
        moment,
        task_id,
        Name=name,
        Version=version,
        InstanceId=instance_id,
        Input=input_text,
    )


def sub_orchestration_completed(moment: datetime, task_id: int, result: str | None) -> Event:
    """A child instance ended well; `result` is JSON text."""
    return _event(EventType.SUB_ORCHESTRATION_COMPLETED, moment, TaskScheduledId=task_id, Result=result)


def sub_orchestration_failed(moment: datetime, task_id: int, reason: str, details: str) -> Event:
    """A child instance failed, was terminated, or could not be started."""
    return _event(EventType.SUB_ORCHESTRATION_FAILED, moment, TaskScheduledId=task_id, Reason=reason, Details=details)


def timer_created(moment: datetime, task_id: int, fire_at: datetime) -> Event:
    """A timer was scheduled."""
    return _event(EventType.TIMER_CREATED, moment, task_id, FireAt=stamp(fire_at))


def timer_fired(moment: datetime, task_id: int, fire_at: datetime) -> Event:
    """A timer came due."""
    return _event(EventType.TIMER_FIRED, moment, TimerId=task_id, FireAt=stamp(fire_at))


def event_sent(moment: datetime, task_id: int, entity_id: str, request: dict[str, Any]) -> Event:
    """An entity was called or signalled; `request` is the message that it gets."""
    text = msgspec.json.encode(request).decode()
    return _event(EventType.EVENT_SENT, moment, task_id, InstanceId=entity_id, Name="op", Input=text)


def event_raised(moment: datetime, name: str, input_text: str) -> Event:
    """An external event, or an entity's answer (then `name` is the request's id)."""
    return _event(EventType.EVENT_RAISED, moment, Name=name, Input=input_text)
