"""A host for one orchestration, in memory: the protocol of DURABLE.md sections 2 and 7, and nothing around it.

It is slow and exact where it matters here: the whole history is replayed in every episode, and the actions of the
answer are awaited one after another, as the real host does.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

Result = Any
Function = Callable[[str], str]
"""What the SDK makes of an orchestrator function: the payload's text in, the answer's text out."""


class OrchestrationFailedError(Exception):
    """The orchestrator raised."""


class Host:
    """One instance. `do` is asked for the result of every activity, entity call and sub-orchestration; it may raise."""

    def __init__(
        self,
        function: Function,
        given: object,
        do: Callable[[str, Any], Any],
        *,
        instance_id: str = "order-1",
        now: datetime = datetime(2026, 1, 5, 14, 30, tzinfo=UTC),
    ) -> None:
        self._function = function
        self._do = do
        self._instance_id = instance_id
        self.now = now
        self.generation = 0
        self.output: Any = None
        self.ended = False
        self.custom_status: Any = None
        self.signals: list[tuple[str, str, Any]] = []
        self.longest_history = 0
        self._arriving: list[dict[str, Any]] = []
        self._started = False
        self._starting: dict[str, Any] = {}
        self._begin(json.dumps(given))

    def raise_event(self, payload: object) -> None:
        """An event named `event`, its payload encoded twice as the Python client does. Not handled before `run`."""
        self._arriving.append(self._event(15, Name="event", Input=json.dumps(json.dumps(payload))))

    def run(self) -> None:
        """Episodes until nothing is left to do but to wait."""
        while not self.ended and (not self._started or self._arriving or self._pending):
            if not self._started or self._arriving:
                self.episode()
            else:
                self.complete_one()

    def complete_one(self) -> bool:
        """Let the oldest piece of work end; whether there was one."""
        if not self._pending:
            return False
        task_id, kind, name, given = self._pending.pop(0)
        try:
            result = self._do(name, given)
        except Exception as error:
            failed = {"activity": 6, "child": 9}
            if kind == "entity":
                reply = {"result": json.dumps(str(error)), "exceptionType": "Error"}
                self._arriving.append(self._event(15, Name=f"guid-{task_id}", Input=json.dumps(reply)))
            else:
                self._arriving.append(self._event(failed[kind], TaskScheduledId=task_id, Reason=str(error), Details=""))
            return True
        text = json.dumps(result)
        if kind == "entity":
            self._arriving.append(self._event(15, Name=f"guid-{task_id}", Input=json.dumps({"result": text})))
        else:
            done = {"activity": 5, "child": 8}[kind]
            self._arriving.append(self._event(done, TaskScheduledId=task_id, Result=text))
        return True

    def advance(self, seconds: float) -> None:
        """Let time go by, and fire what is due."""
        self.now += timedelta(seconds=seconds)
        self._fire()

    def _fire(self) -> None:
        due = sorted((at, task_id) for task_id, at in self._timers.items() if at <= self.now)
        for at, task_id in due:
            del self._timers[task_id]
            self._arriving.append(self._event(11, TimerId=task_id, FireAt=at.isoformat()))

    @property
    def next_timer(self) -> datetime | None:
        return min(self._timers.values(), default=None)

    def episode(self) -> None:
        """What has arrived goes into the history, the orchestrator is replayed, its actions are taken."""
        if self._started and not self._arriving:
            return
        arriving, self._arriving = self._arriving, []
        self._history += [self._event(12), *([] if self._started else [self._starting]), *arriving]
        self._started = True
        self.longest_history = max(self.longest_history, len(self._history))
        answer = json.loads(self._replay())
        self.custom_status = answer.get("customStatus")
        restart = self._take(answer["actions"][0])
        if restart is not None:
            self.generation += 1
            self._begin(restart)  # what was in this history and not consumed is gone with it
            return
        if answer["isDone"]:
            self.ended = True
            self.output = answer.get("output")
            assert not self._timers, "an uncancelled timer keeps an instance running"
            return
        self._history.append(self._event(13))
        self._fire()
        for event in self._history:
            event["IsPlayed"] = True

    def _begin(self, given: str) -> None:
        self._history: list[dict[str, Any]] = []
        self._timers: dict[int, datetime] = {}
        self._known: set[int] = set()
        self._pending: list[tuple[int, str, str, Any]] = []
        self._started = False
        self._input = given
        self._starting = self._event(0, Name="order", Version="1", Input=given)

    def _replay(self) -> str:
        payload = {
            "history": self._history,
            "input": self._input,
            "instanceId": self._instance_id,
            "isReplaying": False,
            "parentInstanceId": None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "longRunningTimerIntervalDuration": "3.00:00:00",
            "maximumShortTimerDuration": "6.00:00:00",
        }
        try:
            return self._function(json.dumps(payload))
        except Exception as error:
            self.ended = True
            raise OrchestrationFailedError(str(error)) from error

    def _take(self, actions: list[dict[str, Any]]) -> str | None:
        """Schedule what is new, up to the first action that is not complete; the input of a new generation."""
        ids = iter(range(1_000_000))
        events = self._events_raised()
        for action in actions:
            if action["actionType"] == 4:
                return str(action["input"])
            if not self._is_complete(action, ids, events):
                return None
        return None

    def _events_raised(self) -> Iterator[dict[str, Any]]:
        return iter([event for event in self._history if event["EventType"] == 15 and event["Name"] == "event"])

    def _is_complete(self, action: dict[str, Any], ids: Iterator[int], events: Iterator[dict[str, Any]]) -> bool:
        kind = action["actionType"]
        if kind == 11:
            complete = [self._is_complete(each, ids, events) for each in action["compoundActions"]]
            return any(complete)  # of a list: every child takes its id, whichever is complete
        if kind == 6:
            return next(events, None) is not None
        task_id = next(ids)
        if kind == 5:
            return self._timer(task_id, action)
        if kind == 9:
            if task_id not in self._known:
                self.signals.append((action["instanceId"], action["operation"], json.loads(action["input"])))
            self._known.add(task_id)
            return True
        if task_id not in self._known:
            self._schedule(task_id, action)
        return any(
            event.get("TaskScheduledId") == task_id or event.get("Name") == f"guid-{task_id}"
            for event in self._history
            if event["EventType"] in (5, 6, 8, 9, 15)
        )

    def _timer(self, task_id: int, action: dict[str, Any]) -> bool:
        if task_id not in self._known:
            self._known.add(task_id)
            at = datetime.fromisoformat(action["fireAt"])
            assert at <= self.now + timedelta(days=6), "the host splits a timer of more than six days into pieces"
            self._timers[task_id] = at
            self._history.append(self._event(10, EventId=task_id, FireAt=action["fireAt"]))
        if action["isCanceled"]:
            self._timers.pop(task_id, None)
            return True
        return any(event["EventType"] == 11 and event["TimerId"] == task_id for event in self._history)

    def _schedule(self, task_id: int, action: dict[str, Any]) -> None:
        self._known.add(task_id)
        kind = {0: "activity", 2: "child", 7: "entity"}[action["actionType"]]
        given = json.loads(action["input"])
        if kind == "entity":
            name = f"{action['instanceId']}.{action['operation']}"
            request = {"id": f"guid-{task_id}", "op": action["operation"]}
            event = self._event(
                14, EventId=task_id, InstanceId=action["instanceId"], Name="op", Input=json.dumps(request)
            )
        else:
            name = action["functionName"]
            event = self._event(4 if kind == "activity" else 7, EventId=task_id, Name=name, Input=action["input"])
        self._history.append(event)
        self._pending.append((task_id, kind, name, given))

    def _event(self, kind: int, **fields: Any) -> dict[str, Any]:
        stamp = self.now.isoformat().replace("+00:00", "Z")
        return {"EventType": kind, "EventId": -1, "IsPlayed": False, "Timestamp": stamp, **fields}
