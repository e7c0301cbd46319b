"""The one way in which an orchestrator here waits for external events.

azure-functions-durable 1.7.0 keeps an event that arrives while nobody waits for its name in
`context.deferred_tasks[name]`: a second one overwrites the first, and the one that is kept is delivered again to
every later wait (azure-functions-durable-python issue 507). The mapping below queues instead, and hands out each
update once.

The rest of the shape follows from how the host replays: it awaits an orchestrator's actions one after another.

- One wait task, used again until it fires: a second one for the same name would take the event from the first.
- A timer that lost is cancelled: the host would otherwise not schedule the next action before it fires.
- One timer at a time, and none longer than the host can cancel: it splits those of more than six days into pieces
  and never learns that one of them was cancelled.
"""

import warnings
from collections import deque
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

# The SDK warns of every event that waits for its wait, which here is nothing out of the ordinary.
warnings.filterwarnings("ignore", message="Potential duplicate Task completion")

LONGEST_TIMER = timedelta(days=5)
"""A longer wait returns early, without an event."""

Steps = Generator[Any, Any, Any]
"""What an orchestrator is to the SDK: yields tasks, is sent their results."""


class QueuedUpdates:
    """Takes the place of `context.deferred_tasks`, of which the SDK uses `in`, `[key]` and `[key] = update`."""

    def __init__(self) -> None:
        self._updates: dict[int | str, deque[Callable[[], None]]] = {}

    def __contains__(self, key: int | str) -> bool:
        return key in self._updates

    def __setitem__(self, key: int | str, update: Callable[[], None]) -> None:
        self._updates.setdefault(key, deque()).append(update)

    def __getitem__(self, key: int | str) -> Callable[[], None]:
        """The oldest update of this key, which is no longer in the mapping then."""
        updates = self._updates[key]
        update = updates.popleft()
        if not updates:
            del self._updates[key]
        return update


class Inbox:
    """The external events of one name, each exactly once and in the order of their arrival.

    To be made before the orchestrator's first yield: what arrives earlier would be kept in the SDK's own mapping.
    """

    def __init__(self, context: Any, name: str) -> None:
        self._context = context
        self._name = name
        self._queued = QueuedUpdates()
        self._wait: Any = None
        context.deferred_tasks = self._queued

    def receive(self, until: datetime | None = None) -> Steps:
        """Wait for the next event; its payload, or None when `until` has come or `LONGEST_TIMER` has gone by first."""
        if self._wait is None:
            self._wait = self._context.wait_for_external_event(self._name)
        if until is None or self.has_arrived():
            yield self._wait
        else:
            # The SDK writes any zone's time as if it were UTC.
            at = min(until, self._context.current_utc_datetime + LONGEST_TIMER).astimezone(UTC)
            timer = self._context.create_timer(at)
            winner = yield self._context.task_any([self._wait, timer])
            if winner is timer:
                return None
            timer.cancel()
        payload = self._wait.result
        self._wait = None
        return payload

    def has_arrived(self) -> bool:
        """Whether an event is there already: no timer need be made then only to be cancelled."""
        return self._name in self._queued or (self._wait is not None and self._wait.is_completed)
