"""Replays recorded histories against today's orchestrators, cut at every event.

At each cut the orchestrator runs, in the SDK's own executor, on the history up to there, and the host's rules
(devhost/matching.py) say what its answer schedules. That has to be what the history has:

- at the end of what came into an episode, exactly what is recorded as scheduled by then, and the custom status where
  it is known;
- at a cut before that, nothing else than what is recorded by the episode's end, and nothing that earlier episodes had
  scheduled may be missing;
- at the end of a finished generation, its recorded output, failure or next input; before, no end at all.

The SDK compares nothing during a replay, and the host only kind, name and order (DURABLE.md, section 2).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from devhost.history import Event, EventType, encode
from devhost.matching import Plan, match, request_id_of
from replay import steps
from replay.apps import orchestrators
from replay.execution import (
    Call,
    Execution,
    Line,
    OrchestratorFunction,
    execute,
    raising_lines,
    returning_lines,
)
from replay.history import History, HistoryError, read
from replay.steps import FieldDifference, Step

_TAIL = (
    '"upperSchemaVersion":1,"upperSchemaVersionNew":2,"longRunningTimerIntervalDuration":"3.00:00:00",'
    '"maximumShortTimerDuration":"6.00:00:00","defaultHttpAsyncRequestSleepTimeMillseconds":30000'
)


_EVERY_EVENT_HAS = ("EventType", "EventId", "Timestamp")
_METHODS = {
    "activity": "call_activity",
    "sub-orchestration": "call_sub_orchestrator",
    "entity call": "call_entity",
    "entity signal": "signal_entity",
}


class ReplayError(AssertionError):
    """Today's code does something else than what is recorded. The message is a report for people; `differences` holds
    what differs at the first cut at which anything does."""

    def __init__(self, report: str, differences: "Sequence[Difference]") -> None:
        super().__init__(report)
        self.differences = tuple(differences)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as recorded."""

    kind: Literal["different", "missing", "extra", "never yielded"]
    cut: int
    """How many of the history's events the orchestrator was given."""
    episode: int
    event: int | None
    """The recorded event's place in the history, None where there is none."""
    recorded: Step | None
    actual: Step | None
    fields: tuple[FieldDifference, ...] = ()
    made_by: Call | None = None
    """What the orchestrator asked for, and on which lines."""
    waiting: tuple[Call, ...] = ()
    """What the orchestrator waits for at this cut."""
    actual_steps: tuple[Step, ...] = ()
    """All that today's code schedules up to this cut."""


class _Episode(msgspec.Struct):
    """One episode of a history: `incoming` and `end` are places in its events, the ends of its parts."""

    number: int
    incoming: int
    end: int
    is_suspended: bool
    is_terminated: bool
    last_allowed: int
    """The episode through whose end its incoming events may have their consequences: its own, or, while the instance is
    suspended, the one in which it goes on."""


class _Script(msgspec.Struct):
    """What a history says that an orchestrator did."""

    execution_id: str
    version: str | None
    events: list[Event]
    episodes: list[_Episode]
    recorded: dict[int, tuple[int, int, Step]]
    """By sequence id: the episode, the event's place, the step."""
    ending: tuple[int, Step] | None
    statuses: Mapping[int, Any]
    carried_status: Any
    request_ids: dict[str, str]
    """What entity calls are answered under, as recorded, and by the host's rules here."""


def replay_history(history: Path | str | History, app: Any = None) -> None:
    """Replay a recorded history, or the file that holds one, against today's code.

    `app` is a function app (`df.DFApp`), the text `module:name` of one, or a mapping of names to orchestrators; None is
    `function_app:app`. Raises ReplayError with a report, HistoryError for a file that is none, AppError for an app that
    cannot be loaded.
    """
    from replay.report import relative, report

    source = "a recorded history" if isinstance(history, History) else relative(str(history))
    recorded = history if isinstance(history, History) else read(Path(history))
    known = orchestrators(app)
    function = known.get(recorded.orchestrator.lower())
    if function is None:
        names = ", ".join(sorted(known)) or "none"
        raise ReplayError(
            f"{source}: the app has no orchestrator '{recorded.orchestrator}' any more; it has: {names}.\n"
            "Instances of it that are still running will fail. Keep it until they have ended, or delete this history.",
            (),
        )
    found = replay(recorded, function)
    if found:
        raise ReplayError(report(source, recorded, found), found)


def waiting_for(history: History, app: Any) -> list[str]:
    """What today's code waits for at a history's end, such as `wait_for_external_event 'approved'`; none once it has
    ended. `app` as for `replay_history`. Raises HistoryError."""
    script = _script(history)
    function = orchestrators(app)[history.orchestrator.lower()]
    events = [encode({**event, "IsPlayed": False}) for event in script.events]
    execution = execute(function, _payload(history, script, events, is_replaying=False))
    return [call.what for call in execution.waiting]


def replay(history: History, function: OrchestratorFunction) -> list[Difference] | None:
    """What differs at the first cut at which anything does, None if nothing does. Raises HistoryError."""
    script = _script(history)
    played = [encode({**event, "IsPlayed": True}) for event in script.events]
    fresh = [encode({**event, "IsPlayed": False}) for event in script.events]
    walked = _for_the_walk(script)
    for episode in script.episodes:
        if episode.is_terminated:
            break
        first = _begin(script, episode)
        for cut in range(first + 1, episode.end + 1):
            if cut < 2 or script.events[cut - 1]["EventType"] in steps.ENDINGS:
                continue
            texts = [*played[:first], *fresh[first:cut]]
            payload = _payload(history, script, texts, is_replaying=first > 0)
            execution = execute(function, payload)
            plan = match(walked[cut], execution.answer, history.orchestrator, script.execution_id)
            found = _Comparison(script, episode, cut, execution, plan).differences()
            if found:
                return [_located(each, execution, function, payload) for each in found]
    return None


def _begin(script: _Script, episode: _Episode) -> int:
    return 0 if episode.number == 0 else script.episodes[episode.number - 1].end


def _located(difference: Difference, execution: Execution, function: OrchestratorFunction, payload: str) -> Difference:
    """With the line of an output or a failure, for which the orchestrator asks nobody."""
    actual = difference.actual
    lines: tuple[Line, ...] = ()
    what = ""
    if actual is not None and actual.kind == "completed":
        what, lines = "return", returning_lines(function, payload)
    elif actual is not None and actual.kind == "failed" and execution.error is not None:
        what, lines = type(execution.error).__name__, raising_lines(execution.error)
    if not lines:
        return difference
    return msgspec.structs.replace(difference, made_by=Call(what, lines))


class _Comparison:
    """One cut: what today's code does against what the history has."""

    def __init__(self, script: _Script, episode: _Episode, cut: int, execution: Execution, plan: Plan) -> None:
        self._script = script
        self._episode = episode
        self._cut = cut
        self._execution = execution
        self._plan = plan
        self._is_whole = cut >= episode.incoming and not episode.is_suspended
        recorded = script.recorded
        self._actual = {
            item.id: steps.actual_step(item, recorded[item.id][2] if item.id in recorded else None, script.version)
            for item in plan.scheduled
        }

    def differences(self) -> list[Difference]:
        endings = self._of_endings()
        # A failure explains what is missing, so it comes first.
        is_failure = any(each.actual is not None and each.actual.kind == "failed" for each in endings)
        found = [*endings, *self._of_steps()] if is_failure else [*self._of_steps(), *endings]
        if not found:
            found = [*self._of_status(), *self._of_what_vanishes()]
        return found

    def _of_steps(self) -> list[Difference]:
        due = self._episode.number + (1 if self._is_whole else 0)
        found = []
        for number in sorted({*self._actual, *self._script.recorded}):
            episode, event, recorded = self._script.recorded.get(number, (None, None, None))
            actual = self._actual.get(number)
            call = None if actual is None else self._call(actual)
            if episode is None or episode > self._episode.last_allowed:
                if actual is not None:
                    found.append(self._difference("extra", None, None, actual, call))
            elif actual is None:
                if episode < due:
                    found.append(self._difference("missing", event, recorded, None, None))
            elif recorded is not None and (fields := steps.differences(recorded, actual)):
                found.append(self._difference("different", event, recorded, actual, call, fields))
        return found

    def _call(self, step: Step) -> Call | None:
        """What has asked for a step; checked, as the polls of `call_http` shift the host's ids against the SDK's."""
        call = self._execution.calls.get(step.id) if step.id is not None else None
        return call if call is not None and _may_make(call, step) else None

    def _of_endings(self) -> list[Difference]:
        is_last = self._episode is self._script.episodes[-1]
        event, recorded = self._script.ending or (None, None)
        if self._plan.outcome is None:
            if recorded is not None and is_last and self._is_whole:
                return [self._difference("missing", event, recorded, None, None)]
            return []
        actual = steps.actual_ending(self._plan.outcome)
        call = self._execution.continued if actual.kind == "continued as new" else None
        if recorded is None or not is_last:
            return [self._difference("extra", None, None, actual, call)]
        fields = steps.differences(recorded, actual)
        return [self._difference("different", event, recorded, actual, call, fields)] if fields else []

    def _of_status(self) -> list[Difference]:
        number = self._episode.number
        if not self._is_whole or number not in self._script.statuses:
            return []
        recorded = self._script.statuses[number]
        text = self._execution.answer.custom_status
        # The SDK does not send an empty status, so the one from before stays.
        actual = self._script.carried_status if text is None else json.loads(text)
        if not actual and not recorded:
            return []
        before, after = steps.status_step(recorded), steps.status_step(actual)
        fields = steps.differences(before, after)
        return [self._difference("different", None, before, after, self._execution.status, fields)] if fields else []

    def _of_what_vanishes(self) -> list[Difference]:
        if self._plan.outcome is None or not self._execution.answer.is_done:
            return []
        return [
            self._difference("never yielded", None, None, Step(None, call.what, {}), call)
            for call in self._execution.never_yielded
        ]

    def _difference(
        self,
        kind: Literal["different", "missing", "extra", "never yielded"],
        event: int | None,
        recorded: Step | None,
        actual: Step | None,
        call: Call | None,
        fields: tuple[FieldDifference, ...] = (),
    ) -> Difference:
        return Difference(
            kind=kind,
            cut=self._cut,
            episode=self._episode.number,
            event=event,
            recorded=recorded,
            actual=actual,
            fields=fields,
            made_by=call,
            waiting=self._execution.waiting,
            actual_steps=tuple(self._actual[number] for number in sorted(self._actual)),
        )


def _may_make(call: Call, step: Step) -> bool:
    method, _, name = call.what.partition(" ")
    if step.kind == "timer":
        return method in ("create_timer", "call_http") or method.endswith("_with_retry")
    if step.kind == "activity" and method == "call_http":
        return True
    return method.startswith(_METHODS[step.kind]) and str(step.fields.get("name", "")) in name


def _script(history: History) -> _Script:
    whose = f"the history of {history.instance_id}"
    for place, event in enumerate(history.events):
        if missing := [key for key in _EVERY_EVENT_HAS if key not in event]:
            raise HistoryError(f"{whose}: event {place} has no {' and no '.join(missing)}")
    events = _whole_episodes(history.events)
    kinds = [event["EventType"] for event in events]
    if history.events and not events:
        raise HistoryError(f"{whose} has no whole episode: it ends before an OrchestratorCompleted (13)")
    if kinds[:2] != [EventType.ORCHESTRATOR_STARTED, EventType.EXECUTION_STARTED]:
        raise HistoryError(
            f"{whose} begins with events of the types {kinds[:2]}; it must begin with OrchestratorStarted (12) and "
            "ExecutionStarted (0)"
        )
    if EventType.GENERIC in kinds:
        raise HistoryError(
            f"{whose} has been rewound (event {kinds.index(EventType.GENERIC)}): what failed is no longer in it, so it"
            " cannot be replayed; record an instance that was not"
        )
    begun = events[1]
    execution_id = (begun.get("OrchestrationInstance") or {}).get("ExecutionId") or ""
    version = history.version if begun.get("Version") is None else begun["Version"]
    events = [events[0], {**begun, "Version": version}, *events[2:]]
    recorded: dict[int, tuple[int, int, Step]] = {}
    ending = None
    request_ids = {}
    for episode in (episodes := _episodes(events)):
        for place in range(0 if episode.number == 0 else episodes[episode.number - 1].end, episode.end):
            event = events[place]
            try:
                if event["EventType"] in steps.OUTGOING:
                    step = steps.recorded_step(event, execution_id)
                    recorded[event["EventId"]] = (episode.number, place, step)
                    if step.kind == "entity call":
                        request_ids[json.loads(event["Input"])["id"]] = request_id_of(execution_id, event["EventId"])
                elif event["EventType"] in steps.ENDINGS:
                    ending = (place, steps.recorded_ending(event))
            except (KeyError, ValueError) as error:
                told = f"{type(error).__name__}: {error}"
                raise HistoryError(
                    f"{whose}: event {place} (type {event['EventType']}) cannot be read: {told}"
                ) from None
    statuses = {each.episode: each.value for each in history.statuses}
    return _Script(
        execution_id, version or None, events, episodes, recorded, ending, statuses, history.carried_status, request_ids
    )


def _whole_episodes(events: list[Event]) -> list[Event]:
    """The events without those of a last episode whose end is not recorded: what it scheduled, nobody knows."""
    for place in range(len(events) - 1, -1, -1):
        kind = events[place]["EventType"]
        if kind == EventType.ORCHESTRATOR_COMPLETED or kind in steps.ENDINGS:
            break
        if kind == EventType.ORCHESTRATOR_STARTED:
            return events[:place]
    return events


def _episodes(events: Sequence[Event]) -> list[_Episode]:
    starts = [place for place, event in enumerate(events) if event["EventType"] == EventType.ORCHESTRATOR_STARTED]
    episodes = []
    is_suspended = False
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(events)], strict=True)):
        kinds = [event["EventType"] for event in events[start:end]]
        for kind in kinds:
            if kind in (EventType.EXECUTION_SUSPENDED, EventType.EXECUTION_RESUMED):
                is_suspended = kind == EventType.EXECUTION_SUSPENDED
        closing = (*steps.OUTGOING, *steps.ENDINGS, EventType.ORCHESTRATOR_COMPLETED)
        incoming = next((start + place for place, kind in enumerate(kinds) if kind in closing), end)
        is_terminated = EventType.EXECUTION_TERMINATED in kinds
        episodes.append(_Episode(number, incoming, end, is_suspended, is_terminated, number))
    for episode in reversed(episodes):
        if episode.is_suspended:
            following = episodes[episode.number + 1 : episode.number + 2]
            # A suspension that did not end: what the code would do next, nobody has seen.
            episode.last_allowed = following[0].last_allowed if following else episode.number
    return episodes


def _for_the_walk(script: _Script) -> "list[list[Event]]":
    """For each cut its events without those that only confirm what was scheduled: so the plan has all there is."""
    cuts: list[list[Event]] = [[]]
    events: list[Event] = []
    for recorded in script.events:
        event, kind = recorded, recorded["EventType"]
        if kind == EventType.EVENT_RAISED and event["Name"] in script.request_ids:
            event = {**event, "Name": script.request_ids[event["Name"]]}
        if kind not in steps.OUTGOING and kind not in steps.ENDINGS:
            events = [*events, event]
        cuts.append(events)
    return cuts


def _payload(history: History, script: _Script, events: Sequence[str], *, is_replaying: bool) -> str:
    begun = script.events[1]
    parent = history.parent_instance_id
    fields = {"instanceId": history.instance_id, "isReplaying": is_replaying, "parentInstanceId": parent}
    given = begun.get("Input") or "null"
    return f'{{"history":[{",".join(events)}],"input":{given},{msgspec.json.encode(fields).decode()[1:-1]},{_TAIL}}}'
