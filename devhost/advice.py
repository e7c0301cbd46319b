"""Warns where an orchestrator behaves otherwise than its author will think (DURABLE.md, sections 2 to 4).

Some of it shows in what the host makes of an answer (`of_plan`); the rest only inside the SDK: within `watching` an
orchestrator gets a context that notes what the SDK lets pass without a word.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df
import msgspec
from azure.durable_functions import orchestrator as sdk

from devhost.matching import Answer, Plan

_NO_OFFSET = timedelta(0)


class Advice(msgspec.Struct, frozen=True):
    """One warning. An instance gets each code once."""

    code: str
    text: str


def of_plan(plan: Plan) -> list[Advice]:
    """What an episode's plan shows."""
    found = []
    if plan.held_back_by:
        found.append(
            Advice(
                "HELD_BACK",
                f"the orchestrator has gone on, but the host still waits for {_listed(plan.held_back_by)}: what was"
                " asked for since then begins only after that. Cancel a timer that has lost; task_all is over when all"
                " are; let a call_http that is answered by 202 be the last call",
            )
        )
    if plan.kept_open_by:
        found.append(
            Advice(
                "KEPT_OPEN",
                f"the orchestrator is done, but stays Running until {_listed(plan.kept_open_by)} is over: cancel what"
                " can be cancelled, a timer that is not needed any more",
            )
        )
    if plan.dropped_events:
        found.append(
            Advice(
                "EVENTS_DROPPED",
                f"continue_as_new drops {_listed(plan.dropped_events)}: delivered, and not consumed by this generation",
            )
        )
    return found


def of_answer(answer: Answer) -> list[Advice]:
    """What an answer itself shows."""
    if not answer.has_bad_numbers:
        return []
    text = (
        "the answer has NaN or Infinity (output, custom status or an input), which is not JSON: null is taken instead"
    )
    return [Advice("NOT_JSON", text)]


class Notes:
    """What was noted while an orchestrator ran."""

    def __init__(self) -> None:
        self._found: list[Advice] = []
        self.context: _WatchedContext | None = None

    def add(self, code: str, text: str) -> None:
        """Note a warning."""
        self._found.append(Advice(code, text))

    def found(self, *, is_done: bool) -> list[Advice]:
        """All warnings; `is_done` says whether the orchestrator has ended, and so will yield nothing more."""
        lost = self.context.never_yielded() if self.context is not None and is_done else []
        if not lost:
            return self._found
        text = f"{_listed(lost)} never yielded: the host has not heard of it, nothing was started"
        return [*self._found, Advice("NEVER_YIELDED", text)]


@contextmanager
def watching(notes: Notes) -> Iterator[None]:
    """Note what an orchestrator does that runs in this thread within the block."""
    _RUNNING.notes = notes
    try:
        yield
    finally:
        _RUNNING.notes = None


class _Running(threading.local):
    notes: Notes | None = None


_RUNNING = _Running()


class _WatchedContext(df.DurableOrchestrationContext):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._notes = _RUNNING.notes or Notes()
        self._notes.context = self
        self._made: list[tuple[str, Any]] = []
        self.deferred_tasks = _Deferred(self._notes)

    def create_timer(self, fire_at: Any) -> Any:
        offset = fire_at.utcoffset()
        if offset is None:
            self._notes.add(
                "NAIVE_TIME", f"create_timer({fire_at}) has no time zone: add to context.current_utc_datetime instead"
            )
        elif offset != _NO_OFFSET:
            self._notes.add(
                "NOT_UTC", f"create_timer({fire_at}) is not UTC; the SDK writes it as if it were: use astimezone(UTC)"
            )
        return super().create_timer(fire_at)

    def remember(self, method: str, name: object, task: Any) -> None:
        self._made.append((f"{method}({name})", task))

    def never_yielded(self) -> list[str]:
        return [what for what, task in self._made if not task._is_scheduled]


class _Deferred(dict[Any, Any]):
    """The SDK's store of what came before it was waited for: one of each name, given to every later wait."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._notes = notes
        self._given: set[Any] = set()

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, str) and key in self:
            self._notes.add(
                "EVENT_OVERWRITTEN",
                f"a second event '{key}' has come before one was waited for, and takes the first one's place"
                " (azure-functions-durable-python issue 507)",
            )
        super().__setitem__(key, value)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str) and key in self._given:
            self._notes.add(
                "EVENT_AGAIN",
                f"an event '{key}' that came early is delivered once more, to a later wait"
                " (azure-functions-durable-python issue 507)",
            )
        self._given.add(key)
        return super().__getitem__(key)


def _remembering(method: str) -> Callable[..., Any]:
    original = getattr(df.DurableOrchestrationContext, method)

    def call(self: _WatchedContext, name: Any, *args: Any, **kwargs: Any) -> Any:
        task = original(self, name, *args, **kwargs)
        self.remember(method, name, task)
        return task

    return call


for _method in (
    "call_activity",
    "call_activity_with_retry",
    "call_sub_orchestrator",
    "call_sub_orchestrator_with_retry",
    "call_entity",
    "call_http",
):
    setattr(_WatchedContext, _method, _remembering(_method))


def _from_json(text: str) -> Any:
    made = df.DurableOrchestrationContext if _RUNNING.notes is None else _WatchedContext
    return made.from_json(text)


def install() -> None:
    """Let the SDK make its contexts here. Orchestrators that are not watched get the SDK's own."""
    sdk.DurableOrchestrationContext = SimpleNamespace(from_json=_from_json)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names)
