"""Makes recorded histories without a host: runs an orchestrator by the host's rules and keeps what happens."""

import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from devhost import history
from devhost.history import Event, Status
from devhost.matching import (
    Activity,
    Completed,
    ContinuedAsNew,
    EntityMessage,
    Failed,
    Scheduled,
    SubOrchestration,
    Timer,
    match,
    read_answer,
    read_failure,
)
from replay.history import History, StatusAt

NOW = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
EXECUTION = "0123456789abcdef0123456789abcdef"

Do = Callable[[Scheduled], Any]
"""The result of an activity, a child or an entity call; it may raise."""


def nothing(_: Scheduled) -> Any:
    """A world in which everything gives 1."""
    return 1


def drive(
    function: Callable[[str], str],
    name: str,
    given: Any = None,
    *,
    do: Do = nothing,
    raised: Sequence[tuple[str, Any]] = (),
    version: str | None = None,
    episodes: int = 100,
    chance: random.Random | None = None,
) -> History:
    """Run one generation to its end, or for so many episodes.

    External events come when nothing else but a timer is awaited. With `chance`, what is pending completes in any
    order, several at a time.
    """
    events: list[Event] = []
    statuses: list[StatusAt] = []
    now = NOW
    input_text = json.dumps(json.dumps(given))
    begun = history.execution_started(
        now,
        name=name,
        version=version,
        input_text=input_text,
        instance_id="i-1",
        execution_id=EXECUTION,
        parent_instance_id=None,
    )
    arriving = [begun]
    pending: list[Scheduled] = []
    waiting = list(raised)
    for episode in range(episodes):
        events += [history.orchestrator_started(now), *arriving]
        payload = {
            "history": events,
            "input": json.dumps(given),
            "instanceId": "i-1",
            "isReplaying": False,
            "parentInstanceId": None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "longRunningTimerIntervalDuration": "3.00:00:00",
            "maximumShortTimerDuration": "6.00:00:00",
        }
        try:
            answer = read_answer(function(json.dumps(payload)))
        except Exception as error:
            answer = read_failure(str(error))
        plan = match(events, answer, name, EXECUTION)
        for item in plan.scheduled:
            events.append(_recorded(item, now))
            if not (isinstance(item, EntityMessage) and item.is_signal):
                pending.append(item)
        pending = [item for item in pending if item.id not in plan.cancelled_timers]
        statuses.append(StatusAt(episode=episode, value=json.loads(answer.custom_status or "null")))
        if plan.outcome is not None:
            events.append(_ending(plan.outcome, now))
        events.append(history.orchestrator_completed(now))
        if plan.outcome is not None:
            break
        work = [item for item in pending if not isinstance(item, Timer)]
        due = work[:1] if chance is None or not work else chance.sample(work, chance.randint(1, len(work)))
        now += timedelta(seconds=1)
        if due:
            arriving = [_completed(item, do, now) for item in due]
            pending = [item for item in pending if item not in due]
        elif waiting:
            event, data = waiting.pop(0)
            arriving = [history.event_raised(now, event, json.dumps(json.dumps(data)))]
        else:
            timers = [item for item in pending if isinstance(item, Timer)]
            if not timers:
                break
            timer = min(timers, key=lambda item: item.fire_at)
            now = max(now, timer.fire_at)
            arriving = [history.timer_fired(now, timer.id, timer.fire_at)]
            pending.remove(timer)
    return History(orchestrator=name, instance_id="i-1", version=version, events=events, statuses=statuses)


def _recorded(item: Scheduled, now: datetime) -> Event:
    match item:
        case Activity():
            return history.task_scheduled(now, item.id, item.name, item.input)
        case SubOrchestration():
            child_id = item.instance_id or f"{EXECUTION}:{item.id:04x}"
            return history.sub_orchestration_created(
                now, item.id, item.name, child_id, item.version, json.dumps(item.input)
            )
        case Timer():
            return history.timer_created(now, item.id, item.fire_at)
        case EntityMessage():
            request = {
                "op": item.operation,
                "signal": item.is_signal,
                "id": item.request_id,
                "input": json.dumps(item.input),
            }
            return history.event_sent(now, item.id, item.entity_id, request)


def _completed(item: Scheduled, do: Do, now: datetime) -> Event:
    try:
        result = json.dumps(do(item))
    except Exception as error:
        if isinstance(item, EntityMessage):
            reply = {"result": json.dumps(str(error)), "exceptionType": "System.Exception"}
            return history.event_raised(now, item.request_id, json.dumps(reply))
        failed = history.task_failed if isinstance(item, Activity) else history.sub_orchestration_failed
        return failed(now, item.id, str(error), "")
    if isinstance(item, EntityMessage):
        return history.event_raised(now, item.request_id, json.dumps({"result": result}))
    done = history.task_completed if isinstance(item, Activity) else history.sub_orchestration_completed
    return done(now, item.id, result)


def _ending(outcome: Completed | Failed | ContinuedAsNew, now: datetime) -> Event:
    match outcome:
        case Completed():
            return history.execution_completed(now, Status.COMPLETED, outcome.output)
        case Failed():
            return history.execution_completed(now, Status.FAILED, json.dumps(outcome.message))
        case ContinuedAsNew():
            return history.continued_as_new(now, json.dumps(outcome.input))
