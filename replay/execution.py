"""Runs an orchestrator on a history through the SDK's own executor, and remembers which of its lines asked for what."""

import linecache
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, SimpleNamespace, TracebackType
from typing import Any

import azure.durable_functions as df
import msgspec
from azure.durable_functions import orchestrator as sdk
from azure.durable_functions.models import TaskOrchestrationExecutor
from azure.durable_functions.models.Task import AtomicTask

from devhost.matching import Answer, read_answer, read_failure

OrchestratorFunction = Callable[[str], str]
"""What the SDK makes of an orchestrator: the payload's JSON text in, the answer's JSON text out (or it raises)."""

_SDK_FOLDER = str(Path(df.__file__).parent)
_EXECUTOR_FILE: str = TaskOrchestrationExecutor.__file__
_DEEPEST = 40
_LOCK = threading.Lock()


class Line(msgspec.Struct, frozen=True):
    """A line of the app."""

    path: str
    number: int
    function: str

    @property
    def source(self) -> str:
        """The line's text, empty where its file is not there."""
        return linecache.getline(self.path, self.number).strip()


class Call(msgspec.Struct, frozen=True):
    """Something that the orchestrator asked its context for: what, and the app's lines, the innermost first."""

    what: str
    lines: tuple[Line, ...]


class Execution(msgspec.Struct, frozen=True):
    """What came of one run."""

    answer: Answer
    error: BaseException | None
    calls: dict[int, Call]
    """By the sequence id that the SDK gave to what was asked for."""
    continued: Call | None
    status: Call | None
    waiting: tuple[Call, ...]
    """What was asked for, has no answer in the history, and was yielded."""
    never_yielded: tuple[Call, ...]
    """What was asked for and never reached the host, which vanishes without a word."""


def execute(function: OrchestratorFunction, payload: str) -> Execution:
    """Run the function on a payload as the worker does."""
    made: list[_TracingContext] = []
    error: BaseException | None = None
    with _contexts_made_into(made):
        try:
            answer = read_answer(function(payload))
        except Exception as failure:
            answer = read_failure(str(failure))
            error = failure.__cause__ or failure
    if not made:
        return Execution(answer, error, {}, None, None, (), ())
    context = made[0]
    return Execution(
        answer=answer,
        error=error,
        calls=context.numbered,
        continued=context.continued_by,
        status=context.status_by,
        waiting=context.waiting(),
        never_yielded=context.never_yielded(),
    )


def returning_lines(function: OrchestratorFunction, payload: str) -> tuple[Line, ...]:
    """The line on which the orchestrator itself returned, for an output that is not as recorded.

    A second run under a profiler, which the runs at every cut can do without.
    """
    code: CodeType | None = getattr(getattr(function, "orchestrator_function", None), "__code__", None)
    ended: list[Line] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        # A generator's frame "returns" at each yield, too: the last time is the real one.
        if event == "return" and frame.f_code is code:
            ended[:] = [_line(frame)]

    if code is None:
        return ()
    previous = sys.getprofile()
    sys.setprofile(note)
    try:
        execute(function, payload)
    finally:
        sys.setprofile(previous)
    return tuple(ended)


def raising_lines(error: BaseException) -> tuple[Line, ...]:
    """The app's lines through which an exception came, the innermost first."""
    lines = []
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if not _is_machinery(frame.f_code.co_filename):
            lines.append(Line(frame.f_code.co_filename, trace.tb_lineno, frame.f_code.co_name))
        trace = trace.tb_next
    return tuple(reversed(lines))


@contextmanager
def _contexts_made_into(made: "list[_TracingContext]") -> Iterator[None]:
    owner = threading.get_ident()
    with _LOCK, warnings.catch_warnings():
        # The SDK warns of each event that arrives before it is waited for: this is not the place to hear of it.
        warnings.filterwarnings("ignore", message="Potential duplicate Task completion")
        original = sdk.DurableOrchestrationContext

        def from_json(text: str) -> Any:
            if threading.get_ident() != owner:
                return original.from_json(text)  # a host in this process runs orchestrators meanwhile
            context: _TracingContext = _TracingContext.from_json(text)
            made.append(context)
            return context

        sdk.DurableOrchestrationContext = SimpleNamespace(from_json=from_json)
        try:
            yield
        finally:
            sdk.DurableOrchestrationContext = original


def _is_machinery(path: str) -> bool:
    return path == __file__ or path.startswith((_SDK_FOLDER, "<"))


def _line(frame: FrameType) -> Line:
    return Line(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _lines() -> tuple[Line, ...]:
    lines: list[Line] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename != _EXECUTOR_FILE and len(lines) < _DEEPEST:
        if not _is_machinery(frame.f_code.co_filename):
            lines.append(_line(frame))
        frame = frame.f_back
    return tuple(lines)


def _told(method: str, action: Any) -> str:
    children = getattr(action, "compound_tasks", None)
    if children:
        action = children[0]
    entity = f"{action.operation}' of '{action.instance_id}" if hasattr(action, "operation") else None
    name = entity or getattr(action, "function_name", None) or getattr(action, "external_event_name", None)
    if name is None and hasattr(action, "fire_at"):
        name = action.fire_at.isoformat()
    return f"{method} '{name}'" if name else method


class _TracingContext(df.DurableOrchestrationContext):
    """The SDK's context, which also remembers who asked for what."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked: dict[int, tuple[Any, Call]] = {}
        self.numbered: dict[int, Call] = {}
        self.continued_by: Call | None = None
        self.status_by: Call | None = None

    def ask(self, method: str, task: Any) -> None:
        """Remember the task that a method has just made."""
        self.asked[id(task)] = (task, Call(_told(method, task.action_repr), _lines()))

    def waiting(self) -> tuple[Call, ...]:
        """What was yielded and has not come."""
        tasks = [task for found in self.open_tasks.values() for task in (found if isinstance(found, list) else [found])]
        calls = [self._call_of(task) for task in tasks if not task.is_completed]
        return tuple(dict.fromkeys(call for call in calls if call is not None))

    def never_yielded(self) -> tuple[Call, ...]:
        """Calls that the host never hears of. Timers and waits are often made before it is known whether they are
        needed."""
        return tuple(
            call for task, call in self.asked.values() if not task._is_scheduled and call.what.startswith("call_")
        )

    def signal_entity(self, *args: Any, **kwargs: Any) -> Any:
        self.numbered[self._sequence_number] = call = Call("signal_entity", _lines())
        task = super().signal_entity(*args, **kwargs)
        self.numbered[self._sequence_number - 1] = Call(_told("signal_entity", task.action_repr), call.lines)
        return task

    def continue_as_new(self, *args: Any, **kwargs: Any) -> None:
        self.continued_by = Call("continue_as_new", _lines())
        super().continue_as_new(*args, **kwargs)

    def set_custom_status(self, *args: Any, **kwargs: Any) -> None:
        self.status_by = Call("set_custom_status", _lines())
        super().set_custom_status(*args, **kwargs)

    def _add_to_open_tasks(self, task: Any) -> None:
        super()._add_to_open_tasks(task)
        if isinstance(task, AtomicTask) and isinstance(task.id, int):
            call = self._call_of(task)
            if call is not None:
                self.numbered.setdefault(task.id, call)

    def _call_of(self, task: Any) -> Call | None:
        """The call behind a task: a retry's tries and pauses, and a long timer's pieces, have it from their parent."""
        while task is not None:
            if id(task) in self.asked:
                return self.asked[id(task)][1]
            task = task.parent
        return None


def _asking(method: str) -> Callable[..., Any]:
    original = getattr(df.DurableOrchestrationContext, method)

    def call(self: _TracingContext, *args: Any, **kwargs: Any) -> Any:
        task = original(self, *args, **kwargs)
        self.ask(method, task)
        return task

    return call


for _method in (
    "call_activity",
    "call_activity_with_retry",
    "call_sub_orchestrator",
    "call_sub_orchestrator_with_retry",
    "call_entity",
    "call_http",
    "create_timer",
    "wait_for_external_event",
):
    setattr(_TracingContext, _method, _asking(_method))
