"""What an orchestrator's answer asks for that its history does not have yet: a pure function of history and actions.

The SDK answers every episode with all the actions of the generation so far. The host's side replays them against the
history by the rules of DURABLE.md, section 2: it awaits them one after another, gives each that counts a sequence id
when it schedules it, and takes completions from the history in the order in which they are written there.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Protocol
from uuid import NAMESPACE_URL, uuid5

import msgspec

from devhost import durable_http
from devhost.durable_http import HttpRequest
from devhost.history import Event, EventType, parse_stamp

_FAILURE_STATE = "$OutOfProcData$:"
"""In front of the state that the SDK puts into the exception of a failed orchestrator."""

_MAXIMUM_CUSTOM_STATUS = 16 * 1024


class ActionType(IntEnum):
    """The number of each kind of action in the protocol."""

    CALL_ACTIVITY = 0
    CALL_ACTIVITY_WITH_RETRY = 1
    CALL_SUB_ORCHESTRATOR = 2
    CALL_SUB_ORCHESTRATOR_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    CREATE_TIMER = 5
    WAIT_FOR_EXTERNAL_EVENT = 6
    CALL_ENTITY = 7
    CALL_HTTP = 8
    SIGNAL_ENTITY = 9
    WHEN_ANY = 11
    WHEN_ALL = 12


class RetryOptions(msgspec.Struct, frozen=True, rename="camel"):
    """How often and how soon a call is tried again. The interval is in milliseconds."""

    first_retry_interval_in_milliseconds: int
    max_number_of_attempts: int


class Action(msgspec.Struct, frozen=True, rename="camel"):
    """One action of an answer; which fields it has depends on its type."""

    action_type: int
    function_name: str = ""
    input: str | None = None
    instance_id: str | None = None
    version: str | None = None
    operation: str = ""
    fire_at: str = ""
    is_canceled: bool = False
    external_event_name: str = ""
    retry_options: RetryOptions | None = None
    http_request: HttpRequest | None = None
    compound_actions: tuple["Action", ...] = ()


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """What an orchestrator answered. `output` and `custom_status` are JSON text, None where absent.

    Without actions (None, not none of them) it did not get as far as answering, and `error` says why.
    """

    is_done: bool
    actions: tuple[Action, ...] | None = None
    output: str | None = None
    custom_status: str | None = None
    error: str | None = None
    has_bad_numbers: bool = False
    """Whether there was NaN or Infinity in it."""


class _WireAnswer(msgspec.Struct, frozen=True, rename="camel"):
    is_done: bool
    actions: list[list[Action]]
    output: msgspec.Raw = msgspec.Raw()
    error: str | None = None
    custom_status: msgspec.Raw = msgspec.Raw()


_DECODER = msgspec.json.Decoder(_WireAnswer)


def read_answer(text: str) -> Answer:
    """The answer in a JSON text. Where it has NaN or Infinity, which the SDK lets pass, null is taken instead."""
    has_bad_numbers = False
    try:
        wire = _DECODER.decode(text)
    except msgspec.ValidationError as error:
        return Answer(is_done=False, error=f"the orchestrator's answer cannot be understood: {error}")
    except msgspec.DecodeError:
        has_bad_numbers = True
        wire = _DECODER.decode(_without_bad_numbers(text))
    status = bytes(wire.custom_status).decode() or None
    actions = tuple(action for generation in wire.actions for action in generation)
    size = len(status.encode("utf-16-le")) if status else 0
    if size > _MAXIMUM_CUSTOM_STATUS:
        problem = (
            "The UTF-16 size of the JSON-serialized payload must not exceed 16 KB. "
            f"The current payload size is {size / 1024:.2f} KB."
        )
        return Answer(is_done=False, error=problem)
    return Answer(
        is_done=wire.is_done,
        actions=actions,
        output=bytes(wire.output).decode() or None,
        custom_status=status,
        error=wire.error,
        has_bad_numbers=has_bad_numbers,
    )


def _without_bad_numbers(text: str) -> str:
    """A JSON text whose NaN and Infinity are null, also in the JSON texts within: Python writes them, JSON has none."""

    def cleaned(value: Any) -> Any:
        match value:
            case dict():
                return {key: cleaned(each) for key, each in value.items()}
            case list():
                return [cleaned(each) for each in value]
            case str() if value.startswith(("{", "[")) and ("NaN" in value or "Infinity" in value):
                try:
                    return json.dumps(cleaned(json.loads(value, parse_constant=lambda _: None)))
                except ValueError:
                    return value
        return value

    return json.dumps(cleaned(json.loads(text, parse_constant=lambda _: None)))


def read_failure(message: str) -> Answer:
    """The answer behind the exception of a failed orchestrator: its state is in the message, if the SDK raised it."""
    problem, label, state = message.partition(_FAILURE_STATE)
    if not label:
        return Answer(is_done=False, error=message or "unknown error")
    answer = read_answer(state)
    return msgspec.structs.replace(answer, error=answer.error or problem.strip())


class Activity(msgspec.Struct, frozen=True):
    """Schedule an activity; `input` is JSON text."""

    id: int
    name: str
    input: str | None


class Timer(msgspec.Struct, frozen=True):
    """Schedule a timer."""

    id: int
    fire_at: datetime


class SubOrchestration(msgspec.Struct, frozen=True):
    """Start a child instance; without an `instance_id` it gets one made of execution id and sequence id."""

    id: int
    name: str
    instance_id: str | None
    version: str | None
    input: str | None


class EntityMessage(msgspec.Struct, frozen=True):
    """Call or signal an entity; an answer to a call comes back under `request_id`."""

    id: int
    entity_id: str
    operation: str
    input: str | None
    is_signal: bool
    request_id: str


Scheduled = Activity | Timer | SubOrchestration | EntityMessage


class Completed(msgspec.Struct, frozen=True):
    """The instance is done; `output` is JSON text."""

    output: str | None


class Failed(msgspec.Struct, frozen=True):
    """The instance has failed."""

    message: str


class ContinuedAsNew(msgspec.Struct, frozen=True):
    """A new generation begins, with the events that arrived after the old one had decided so."""

    input: str | None
    carried: tuple[Event, ...]


Outcome = Completed | Failed | ContinuedAsNew


class Plan(msgspec.Struct, frozen=True):
    """What an episode has to carry out."""

    scheduled: tuple[Scheduled, ...]
    cancelled_timers: tuple[int, ...]
    """Sequence ids of all timers of the generation that nobody waits for any more."""
    outcome: Outcome | None
    """None while the instance goes on."""
    held_back_by: tuple[str, ...] = ()
    """What the host still waits for although the orchestrator has gone on."""
    kept_open_by: tuple[str, ...] = ()
    """What keeps the instance of an orchestrator Running that is done."""
    dropped_events: tuple[str, ...] = ()
    """Names of events that came to this generation and that the next one will not have."""


class NonDeterminismError(Exception):
    """The orchestrator's actions do not fit the history that its earlier self has made."""


def match(history: Sequence[Event], answer: Answer, orchestrator: str, execution_id: str) -> Plan:
    """The plan for an answer to `history`, which includes the events of the present episode.

    An answer that does not fit the history fails the instance, in DTFx's words.
    """
    if answer.actions is None:
        return Plan((), (), Failed(f"Orchestrator function '{orchestrator}' failed: {answer.error}"))
    walk = _Walk(answer.actions, execution_id)
    try:
        for event in history:
            walk.take(event)
    except NonDeterminismError as error:
        return Plan((), (), Failed(f"Non-Deterministic workflow detected: {error}"))
    except UnsupportedActionError as error:
        return Plan((), (), Failed(f"Orchestrator function '{orchestrator}' failed: {error}"))
    outcome = _outcome(walk, answer, orchestrator)
    is_ahead = answer.is_done or walk.is_ahead
    return Plan(
        walk.unconfirmed(),
        tuple(walk.cancelled),
        outcome,
        held_back_by=walk.open_names() if is_ahead and not walk.is_finished else (),
        kept_open_by=walk.open_names() if walk.is_finished and (answer.is_done or walk.continued) else (),
        dropped_events=walk.dropped_events() if isinstance(outcome, ContinuedAsNew) else (),
    )


def _outcome(walk: "_Walk", answer: Answer, orchestrator: str) -> Outcome | None:
    if not walk.is_finished or walk.open:
        return None
    if answer.error:
        return Failed(f"Orchestrator function '{orchestrator}' failed: {answer.error}")
    if not answer.is_done:
        return None
    if walk.continued:
        return ContinuedAsNew(walk.continued.input, tuple(walk.carried))
    return Completed(answer.output)


def request_id_of(execution_id: str, number: int) -> str:
    """The id of the request that a call of an entity, or a signal to one, sends under that sequence id."""
    return str(uuid5(NAMESPACE_URL, f"{execution_id}_{number}"))


class UnsupportedActionError(Exception):
    """An action that this host does not carry out."""


class _Awaited(Protocol):
    @property
    def is_done(self) -> bool: ...


class _Task:
    """Something that is awaited and that one event completes."""

    def __init__(self, is_done: bool = False) -> None:
        self.is_done = is_done


class _Compound:
    """Several things that are awaited together."""

    def __init__(self, rule: Callable[[Iterable[bool]], bool], children: list[_Awaited]) -> None:
        self._rule = rule
        self._children = children

    @property
    def is_done(self) -> bool:
        return self._rule(child.is_done for child in self._children)


class _Retry(_Task):
    """A call that is tried again: after each failure a timer, after the last one a timer that is due at once."""

    def __init__(self, walk: "_Walk", action: Action) -> None:
        super().__init__()
        if action.retry_options is None:
            raise UnsupportedActionError(f"a call of '{action.function_name}' with retry has no retryOptions")
        self._walk = walk
        self._action = action
        self._options = action.retry_options
        self._attempts = 0
        self._try()

    def _try(self) -> None:
        self._attempts += 1
        self._walk.schedule_call(self._action, self)

    def completed(self, result: str | None, *, failed: bool) -> None:  # noqa: ARG002
        """The present try ended."""
        if not failed:
            self.is_done = True
            return
        is_last = self._attempts >= self._options.max_number_of_attempts
        delay = 0 if is_last else self._options.first_retry_interval_in_milliseconds
        self._walk.schedule_timer(self._walk.now + timedelta(milliseconds=delay), _Delay(self))

    def delay_over(self) -> None:
        """The timer after a failure fired."""
        if self._attempts >= self._options.max_number_of_attempts:
            self.is_done = True
        else:
            self._try()


class _HttpCall(_Task):
    """A durable HTTP request: an activity of the host's own, and while the answer is 202, a timer and the next poll.

    The SDK knows nothing of the polling (azure-functions-durable-python issue 380): its orchestrator gets the 202, and
    goes on while the host polls. The polls' sequence ids then stand in the way of those that the SDK counts.
    """

    def __init__(self, walk: "_Walk", request: HttpRequest) -> None:
        super().__init__()
        self._walk = walk
        self._request = request
        self._next_request = request
        walk.schedule_activity(durable_http.ACTIVITY, durable_http.encode(request), self)

    def completed(self, result: str | None, *, failed: bool) -> None:
        """A request ended."""
        poll = None if failed else durable_http.poll(self._request, result or "", self._walk.now)
        if poll is None:
            self.is_done = True
            return
        self._next_request, at = poll
        self._walk.schedule_timer(at, _Delay(self), f"the next poll of {self._next_request.uri}")

    def delay_over(self) -> None:
        """It is time to ask again."""
        self._walk.schedule_activity(durable_http.ACTIVITY, durable_http.encode(self._next_request), self)


class _Delay(_Task):
    def __init__(self, after: _Retry | _HttpCall) -> None:
        super().__init__()
        self.after = after


_SCHEDULING: dict[int, tuple[type, str]] = {
    EventType.TASK_SCHEDULED: (Activity, "an activity task"),
    EventType.SUB_ORCHESTRATION_CREATED: (SubOrchestration, "a sub-orchestration task"),
    EventType.TIMER_CREATED: (Timer, "a timer task"),
    EventType.EVENT_SENT: (EntityMessage, "an entity message"),
}
_COMPLETIONS = {
    EventType.TASK_COMPLETED: ("TaskScheduledId", False),
    EventType.TASK_FAILED: ("TaskScheduledId", True),
    EventType.SUB_ORCHESTRATION_COMPLETED: ("TaskScheduledId", False),
    EventType.SUB_ORCHESTRATION_FAILED: ("TaskScheduledId", True),
    EventType.TIMER_FIRED: ("TimerId", False),
}


class _Walk:
    """The host's walk through the actions, driven by the events of the history."""

    def __init__(self, actions: Sequence[Action], execution_id: str) -> None:
        self._actions = actions
        self._execution_id = execution_id
        self._next = 0
        self._current: _Awaited | None = None
        self._last_id = -1
        self._scheduled: dict[int, Scheduled] = {}
        self._waiters: dict[str, list[_Task]] = {}
        self._buffered: dict[str, list[None]] = {}
        self.now = datetime.min.replace(tzinfo=UTC)
        self._names: dict[int, str] = {}
        self.open: dict[int, _Task] = {}
        self.cancelled: list[int] = []
        self.continued: Action | None = None
        self.carried: list[Event] = []

    @property
    def is_finished(self) -> bool:
        """Whether every action has been awaited."""
        return self._current is None and self._next >= len(self._actions)

    @property
    def is_ahead(self) -> bool:
        """Whether the orchestrator has asked for more than has been awaited."""
        return self._next < len(self._actions)

    def open_names(self) -> tuple[str, ...]:
        """What has been scheduled and has not come, in words."""
        return tuple(self._names[number] for number in self.open)

    def dropped_events(self) -> tuple[str, ...]:
        """The names of events that nobody has waited for."""
        return tuple(f"event '{name}'" for name, waiting in self._buffered.items() for _ in waiting)

    def unconfirmed(self) -> tuple[Scheduled, ...]:
        """What was scheduled and is not in the history."""
        return tuple(self._scheduled.values())

    def take(self, event: Event) -> None:
        """Go on as far as this event of the history lets the walk go."""
        kind = event["EventType"]
        if kind == EventType.ORCHESTRATOR_STARTED:
            self.now = parse_stamp(event["Timestamp"])
        elif kind == EventType.EXECUTION_STARTED:
            self._advance()
        elif kind in _SCHEDULING:
            self._confirm(event)
        elif kind in _COMPLETIONS:
            key, failed = _COMPLETIONS[kind]
            self._complete(event[key], event.get("Result"), failed=failed)
            self._advance()
        elif kind == EventType.EVENT_RAISED:
            self._raise(event)
            self._advance()

    def schedule_call(self, action: Action, task: _Task) -> None:
        """Schedule the activity or child instance of a call."""
        number = self._number(task, f"'{action.function_name}'")
        if action.action_type in (ActionType.CALL_ACTIVITY, ActionType.CALL_ACTIVITY_WITH_RETRY):
            self._scheduled[number] = Activity(number, action.function_name, action.input)
        else:
            self._scheduled[number] = SubOrchestration(
                number, action.function_name, action.instance_id or None, action.version, action.input
            )

    def schedule_activity(self, name: str, input_text: str, task: _Task) -> None:
        """Schedule an activity that no action names."""
        number = self._number(task, f"'{name}'")
        self._scheduled[number] = Activity(number, name, input_text)

    def schedule_timer(self, fire_at: datetime, task: _Task, name: str = "") -> int:
        """Schedule a timer; its sequence id. `name` says what it is for, where it is not the orchestrator's own."""
        number = self._number(task, name or f"the timer that fires at {fire_at:%Y-%m-%dT%H:%M:%SZ}")
        self._scheduled[number] = Timer(number, fire_at)
        return number

    def _number(self, task: _Task, name: str) -> int:
        self._last_id += 1
        self.open[self._last_id] = task
        self._names[self._last_id] = name
        return self._last_id

    def _advance(self) -> None:
        while self._current is None or self._current.is_done:
            self._current = None
            if self._next >= len(self._actions):
                return
            action = self._actions[self._next]
            self._next += 1
            self._current = self._invoke(action)

    def _invoke(self, action: Action) -> _Awaited:
        match action.action_type:
            case ActionType.CALL_ACTIVITY | ActionType.CALL_SUB_ORCHESTRATOR:
                task = _Task()
                self.schedule_call(action, task)
                return task
            case ActionType.CALL_ACTIVITY_WITH_RETRY | ActionType.CALL_SUB_ORCHESTRATOR_WITH_RETRY:
                return _Retry(self, action)
            case ActionType.CREATE_TIMER:
                return self._timer(action)
            case ActionType.WAIT_FOR_EXTERNAL_EVENT:
                return self._wait(action.external_event_name)
            case ActionType.CALL_ENTITY:
                return self._wait(self._send(action, is_signal=False))
            case ActionType.SIGNAL_ENTITY:
                self._send(action, is_signal=True)
                return _Task(is_done=True)
            case ActionType.CONTINUE_AS_NEW:
                self.continued = action
                return _Task(is_done=True)
            case ActionType.WHEN_ALL:
                return _Compound(all, [self._invoke(child) for child in action.compound_actions])
            case ActionType.WHEN_ANY:
                return _Compound(any, [self._invoke(child) for child in action.compound_actions])
            case ActionType.CALL_HTTP:
                if action.http_request is None:
                    raise UnsupportedActionError("a call_http without an httpRequest")
                return _HttpCall(self, action.http_request)
            case other:
                raise UnsupportedActionError(f"unknown action type {other}")

    def _timer(self, action: Action) -> _Task:
        task = _Task(is_done=action.is_canceled)
        number = self.schedule_timer(parse_stamp(action.fire_at), task)
        if action.is_canceled:
            del self.open[number]
            self.cancelled.append(number)
        return task

    def _send(self, action: Action, is_signal: bool) -> str:
        self._last_id += 1
        number = self._last_id
        request_id = request_id_of(self._execution_id, number)
        self._scheduled[number] = EntityMessage(
            number, action.instance_id or "", action.operation, action.input, is_signal, request_id
        )
        return request_id

    def _wait(self, name: str) -> _Task:
        key = name.lower()
        if self._buffered.get(key):
            self._buffered[key].pop()
            return _Task(is_done=True)
        task = _Task()
        self._waiters.setdefault(key, []).append(task)
        return task

    def _raise(self, event: Event) -> None:
        if self.continued is not None:
            self.carried.append(event)
            return
        key = event["Name"].lower()
        waiters = self._waiters.get(key)
        if waiters:
            waiters.pop().is_done = True
        else:
            self._buffered.setdefault(key, []).append(None)

    def _complete(self, number: int, result: str | None, *, failed: bool) -> None:
        task = self.open.pop(number, None)
        if task is None:
            return
        if isinstance(task, _Retry | _HttpCall):
            task.completed(result, failed=failed)
            return
        task.is_done = True
        if isinstance(task, _Delay):
            task.after.delay_over()

    def _confirm(self, event: Event) -> None:
        expected_type, noun = _SCHEDULING[event["EventType"]]
        number = event["EventId"]
        name = _name_of(event)
        scheduled = self._scheduled.pop(number, None)
        past = f"A previous execution of this orchestration scheduled {noun} with sequence ID {number}{name}"
        question = "Was a change made to the orchestrator code after this instance had already started running?"
        if scheduled is None:
            raise NonDeterminismError(
                f"{past}, but the current replay execution hasn't (yet?) scheduled this task. {question}"
            )
        if not isinstance(scheduled, expected_type) or not _fits(scheduled, event):
            raise NonDeterminismError(
                f"{past}, but the current orchestration replay instead scheduled "
                f"{_describe(scheduled)} with this sequence ID. {question}"
            )


def _name_of(event: Event) -> str:
    if event["EventType"] == EventType.TIMER_CREATED:
        return ""
    if event["EventType"] == EventType.EVENT_SENT:
        return f" and entity '{event['InstanceId']}'"
    return f" and named '{event['Name']}'"


def _fits(scheduled: Scheduled, event: Event) -> bool:
    match scheduled:
        case Activity() | SubOrchestration():
            return bool(scheduled.name == event["Name"])
        case EntityMessage():
            return bool(scheduled.entity_id == event["InstanceId"])
        case Timer():
            return True


def _describe(scheduled: Scheduled) -> str:
    match scheduled:
        case Activity():
            return f"an activity task named '{scheduled.name}'"
        case SubOrchestration():
            return f"a sub-orchestration task named '{scheduled.name}'"
        case EntityMessage():
            return f"an entity message to '{scheduled.entity_id}'"
        case Timer():
            return "a timer task"
