"""Rewinding a failed instance, as DurableTask.AzureStorage does it (`AzureTableTrackingStore.RewindHistoryAsync`).

The history is kept, and what failed in it becomes a generic event that nobody reads: each failed activity with its
scheduling, so that it is scheduled again; each failure of a child, which is rewound itself; and the instance's own end.
"""

from collections.abc import Sequence

from devhost.history import Event, EventType, Status

_FAILURES = (EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED)


def rewound(episodes: Sequence[Sequence[Event]]) -> tuple[list[list[Event]], list[str]]:
    """A failed instance's episodes made ready to go on, and the ids of the children that have failed."""
    events = [event for episode in episodes for event in episode]
    tasks = {event["TaskScheduledId"] for event in events if event["EventType"] in _FAILURES}
    children = [
        event["InstanceId"]
        for event in events
        if event["EventType"] == EventType.SUB_ORCHESTRATION_CREATED and event["EventId"] in tasks
    ]
    made_ready = [
        [_generic(event) if _is_of_the_failure(event, tasks) else event for event in episode] for episode in episodes
    ]
    return made_ready, children


def _is_of_the_failure(event: Event, tasks: set[int]) -> bool:
    kind = event["EventType"]
    if kind == EventType.TASK_SCHEDULED:
        return event["EventId"] in tasks
    if kind == EventType.EXECUTION_COMPLETED:
        return bool(event["OrchestrationStatus"] == Status.FAILED)
    return kind in _FAILURES


def _generic(event: Event) -> Event:
    kept = {key: event[key] for key in ("IsPlayed", "Timestamp")}
    name = EventType(event["EventType"]).name
    return {"EventType": int(EventType.GENERIC), "EventId": -1, **kept, "Data": f"Rewound: {name}"}
