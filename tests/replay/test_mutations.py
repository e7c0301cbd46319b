"""Each orchestrator, changed in ten ways: its golden history fails every time, with a report that names the change."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import msgspec
import pytest

from devhost.matching import EntityMessage, Scheduled
from replay.apps import orchestrators
from replay.history import History, read
from replay.replayer import ReplayError, replay_history
from tests.devhost.running import ROOT
from tests.replay.driving import drive

pytestmark = pytest.mark.filterwarnings("ignore:Potential duplicate Task completion")

TEN_WAYS = (
    "steps swapped",
    "activity renamed",
    "input changed",
    "timer changed",
    "step added at the end",
    "output changed",
    "entity operation renamed",
    "status changed",
    "retry changed",
    "branch inverted",
)
SAMPLE = "tests.replay.sample_app"
ORDER, RETRYING, WAITING = "orchestrators.order", "orchestrators.retrying", "orchestrators.waiting"
PIPELINE, SESSION = "orchestrators.signal_pipeline", "orchestrators.fix_session"
_HOME = {"order": ORDER, "backoff": RETRYING, "signal_pipeline": PIPELINE, "fix_session": SESSION, "purchase": SAMPLE}


class Change(msgspec.Struct, frozen=True):
    """A change of the text of a module, which `golden` finds; its report has the `named` texts, old and new."""

    golden: str
    old: str
    new: str
    named: tuple[str, ...]
    module: str | None = None
    """Where it is, if not in the orchestrator's own module."""


class DoesNotApply(msgspec.Struct, frozen=True):
    """Why an orchestrator cannot be changed in this way."""

    because: str


TABLE: dict[tuple[str, str], Change | DoesNotApply] = {
    # purchase: the sample, which has everything
    ("purchase", "steps swapped"): Change(
        "sample",
        '    context.signal_entity(account, "settle", {"order": order})\n'
        '    yield context.call_activity("notify", {"order": order, "shipped": shipped})\n',
        '    yield context.call_activity("notify", {"order": order, "shipped": shipped})\n'
        '    context.signal_entity(account, "settle", {"order": order})\n',
        ("entity signal 9", "activity 9 notify"),
    ),
    ("purchase", "activity renamed"): Change("sample", '"price"', '"quote"', ('"price"', '"quote"')),
    ("purchase", "input changed"): Change(
        "sample", '{"prices": prices}', '{"prices": prices, "fee": 1}', ("input.fee", "(absent)")
    ),
    ("purchase", "timer changed"): Change(
        "sample", "hours=2", "hours=3", ("fire at", "T16:30:", "T17:30:", "in approval")
    ),
    ("purchase", "step added at the end"): Change(
        "sample",
        '    return {"state": "done"',
        '    yield context.call_activity("tidy_up")\n    return {"state": "done"',
        ("extra", "tidy_up"),
    ),
    ("purchase", "output changed"): Change(
        "sample", '"state": "done"', '"state": "ready"', ("output.state", '"done"', '"ready"')
    ),
    ("purchase", "entity operation renamed"): Change(
        "sample", '"reserve"', '"hold"', ("operation", '"reserve"', '"hold"')
    ),
    ("purchase", "status changed"): Change(
        "sample", '"phase": "waiting"', '"phase": "asking"', ("custom status", '"waiting"', '"asking"')
    ),
    ("purchase", "retry changed"): Change(
        "sample",
        "first_retry_interval_in_milliseconds=5000",
        "first_retry_interval_in_milliseconds=9000",
        ("timer 4", "call_activity_with_retry 'place_order'"),
    ),
    ("purchase", "branch inverted"): Change(
        "sample", 'context.version == "2.0"', 'context.version != "2.0"', ("activity 7 audit", '"sub-orchestration"')
    ),
    # order
    ("order", "steps swapped"): Change(
        "scenario-12",
        "        if self._is_due(BlockSymbol):\n            return (yield from self._block())\n",
        "        if self._is_due(RaiseAlert):\n            return (yield from self._alert())\n"
        "        if self._is_due(BlockSymbol):\n            return (yield from self._block())\n",
        ("raise_alerts", "in _alert"),
    ),
    ("order", "activity renamed"): Change(
        "order-duplicate", '"register_order"', '"enter_order"', ('"register_order"', '"enter_order"')
    ),
    ("order", "input changed"): Change(
        "scenario-01",
        "last_number=progress.seen,",
        "last_number=progress.seen + 1,",
        ("input.last_number",),
    ),
    ("order", "timer changed"): Change(
        "order-expires",
        "LONGEST_TIMER = timedelta(days=5)",
        "LONGEST_TIMER = timedelta(seconds=5)",
        ("fire at", "in receive"),
        WAITING,
    ),
    ("order", "step added at the end"): Change(
        "scenario-01",
        "        return _result(finish)\n\n    def _record(",
        '        yield from self._do("tidy_up", {})\n        return _result(finish)\n\n    def _record(',
        ("extra", "tidy_up", "in _end"),
    ),
    ("order", "output changed"): Change(
        "order-denied", '"text": finish.text}', '"reason": finish.text}', ("output.text", "output.reason")
    ),
    ("order", "entity operation renamed"): Change(
        "order-denied", '"reserve"', '"hold"', ("operation", '"reserve"', '"hold"')
    ),
    ("order", "status changed"): Change(
        "scenario-01",
        "seen=progress.seen,\n            instructed",
        "seen=progress.seen + 1,\n            instructed",
        ("value.seen", "in _show"),
    ),
    ("order", "retry changed"): Change(
        "order-tries-again",
        "back_off(self._context, progress.failures)",
        "back_off(self._context, progress.failures + 1)",
        ("backoff: different input.seconds",),
    ),
    ("order", "branch inverted"): Change(
        "order-duplicate", 'if not registration["ours"]', 'if registration["ours"]', ("completed",)
    ),
    # backoff: one timer
    ("backoff", "steps swapped"): DoesNotApply("it has one step"),
    ("backoff", "activity renamed"): DoesNotApply("it calls no activity"),
    ("backoff", "input changed"): DoesNotApply("it calls nothing that has an input"),
    ("backoff", "timer changed"): Change(
        "order-tries-again-2", "timedelta(seconds=seconds)", "timedelta(seconds=seconds + 1)", ("fire at", "in backoff")
    ),
    ("backoff", "step added at the end"): Change(
        "order-tries-again-2",
        "+ timedelta(seconds=seconds))\n",
        '+ timedelta(seconds=seconds))\n    yield context.call_activity("tidy_up")\n',
        ("extra", "tidy_up"),
    ),
    ("backoff", "output changed"): Change(
        "order-tries-again-2",
        "+ timedelta(seconds=seconds))\n",
        '+ timedelta(seconds=seconds))\n    return "rested"\n',
        ("output", "null", '"rested"'),
    ),
    ("backoff", "entity operation renamed"): DoesNotApply("it calls no entity"),
    ("backoff", "status changed"): Change(
        "order-tries-again-2",
        '    seconds = context.get_input()["seconds"]\n',
        '    seconds = context.get_input()["seconds"]\n    context.set_custom_status("resting")\n',
        ("custom status", "null", '"resting"'),
    ),
    ("backoff", "retry changed"): DoesNotApply("it retries nothing"),
    ("backoff", "branch inverted"): DoesNotApply("it has no branch"),
    # signal_pipeline
    ("signal_pipeline", "steps swapped"): Change(
        "signal-pipeline",
        '        placements = yield from patiently(context, "generate_signals", batch)\n'
        "        if placements:\n"
        '            yield from patiently(context, "start_orders", placements)\n',
        '        yield from patiently(context, "start_orders", batch)\n'
        '        placements = yield from patiently(context, "generate_signals", batch)\n',
        ('"generate_signals"', '"start_orders"', "in patiently"),
    ),
    ("signal_pipeline", "activity renamed"): Change(
        "signal-pipeline", '"generate_signals"', '"make_signals"', ('"generate_signals"', '"make_signals"')
    ),
    ("signal_pipeline", "input changed"): Change(
        "signal-pipeline",
        '"start_orders", placements)',
        '"start_orders", placements[:1])',
        ("activity 1 start_orders", "input"),
    ),
    ("signal_pipeline", "timer changed"): DoesNotApply("it makes no timer; its pauses are sub-orchestrations"),
    ("signal_pipeline", "step added at the end"): Change(
        "signal-pipeline",
        '    return {"orders"',
        '    yield context.call_activity("tidy_up", batch)\n    return {"orders"',
        ("extra", "tidy_up"),
    ),
    ("signal_pipeline", "output changed"): Change(
        "signal-pipeline", '"orders": len(placements)', '"orders": placements', ("output.orders",)
    ),
    ("signal_pipeline", "entity operation renamed"): DoesNotApply("it calls no entity"),
    ("signal_pipeline", "status changed"): Change(
        "signal-pipeline",
        "    batch = context.get_input()\n",
        '    batch = context.get_input()\n    context.set_custom_status("working")\n',
        ("custom status", '"working"'),
    ),
    ("signal_pipeline", "retry changed"): Change(
        "signal-pipeline-alerts", "ATTEMPTS = 20", "ATTEMPTS = 19", ("raise_alerts", "generate_signals"), RETRYING
    ),
    ("signal_pipeline", "branch inverted"): Change(
        "signal-pipeline", "        if placements:", "        if not placements:", ("missing", "start_orders")
    ),
    # fix_session
    ("fix_session", "steps swapped"): DoesNotApply("it has one step on each of its ways"),
    ("fix_session", "activity renamed"): Change(
        "fix-session", '"run_session"', '"keep_session"', ('"run_session"', '"keep_session"')
    ),
    ("fix_session", "input changed"): Change(
        "fix-session", '"run_session", {}', '"run_session", {"slice": 60}', ("input.slice", "(absent)", "60")
    ),
    ("fix_session", "timer changed"): Change(
        "fix-session-2", "timedelta(seconds=5)", "timedelta(seconds=6)", ("fire at", "in fix_session")
    ),
    ("fix_session", "step added at the end"): Change(
        "fix-session",
        "    context.continue_as_new({})",
        '    yield context.call_activity("tidy_up")\n    context.continue_as_new({})',
        ("extra", "tidy_up"),
    ),
    ("fix_session", "output changed"): Change(
        "fix-session", "continue_as_new({})", 'continue_as_new({"again": True})', ("continued as new", "input.again")
    ),
    ("fix_session", "entity operation renamed"): DoesNotApply("it calls no entity"),
    ("fix_session", "status changed"): Change(
        "fix-session", "set_custom_status(status)", 'set_custom_status({"now": status})', ("custom status", "value.now")
    ),
    ("fix_session", "retry changed"): Change(
        "fix-session-2",
        "        yield context.create_timer(context.current_utc_datetime + PAUSE_AFTER_FAILURE)\n",
        "",
        ("missing: timer 1",),
    ),
    ("fix_session", "branch inverted"): DoesNotApply("it has no branch: what is caught is decided by the activity"),
}


def test_every_orchestrator_of_the_app_is_changed_in_every_way() -> None:
    with mock.patch.dict(os.environ):  # which gets the app's local settings
        assert {*orchestrators("function_app:app"), "purchase"} == set(_HOME)
    assert set(TABLE) == {(orchestrator, way) for orchestrator in _HOME for way in TEN_WAYS}


def _cases() -> list[Any]:
    return [
        pytest.param(orchestrator, change, id=f"{orchestrator}: {way}")
        for (orchestrator, way), change in TABLE.items()
        if isinstance(change, Change)
    ]


@pytest.mark.parametrize(("orchestrator", "change"), _cases())
def test_a_change_is_found_and_named(
    orchestrator: str, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = _golden(change.golden)
    assert history.orchestrator == orchestrator
    replay_history(history, {orchestrator: _function(orchestrator, tmp_path, monkeypatch)})
    with pytest.raises(ReplayError) as failure:
        replay_history(history, {orchestrator: _function(orchestrator, tmp_path, monkeypatch, change)})
    report = str(failure.value)
    for text in change.named:
        assert text in report, report


def _golden(name: str) -> History:
    if name != "sample":
        return read(ROOT / "tests" / "histories" / f"{name}.json")
    given = {"buyer": "b", "amount": 3, "items": ["x", "y"]}
    function = orchestrators(importlib.import_module(SAMPLE).app)["purchase"]
    return drive(function, "purchase", given, do=_Shop().do, raised=[("approved", True)], version="2.0")


class _Shop:
    """The sample's world, in which placing an order fails once."""

    def __init__(self) -> None:
        self._tries = 0

    def do(self, item: Scheduled) -> Any:
        if isinstance(item, EntityMessage):
            return 5
        if getattr(item, "name", "") == "place_order":
            self._tries += 1
            if self._tries == 1:
                raise ValueError("not now")
        return "it"


def _function(
    orchestrator: str, folder: Path, monkeypatch: pytest.MonkeyPatch, change: Change | None = None
) -> Callable[[str], str]:
    """The orchestrator out of copies of its modules, changed or not."""
    home = _HOME[orchestrator]
    changed = (change.module or home) if change else home
    with monkeypatch.context() as patch:
        copy = _copy(changed, folder, change)
        patch.setitem(sys.modules, changed, copy)
        if changed != home:
            # What it imports from the changed module, it has to import anew.
            copy = _copy(home, folder, None)
    return orchestrators(copy.bp if hasattr(copy, "bp") else copy.app)[orchestrator]


def _copy(name: str, folder: Path, change: Change | None) -> ModuleType:
    original = importlib.util.find_spec(name)
    assert original is not None
    assert original.origin is not None
    text = Path(original.origin).read_text()
    if change is not None:
        assert text.count(change.old) == 1, f"{name} has {change.old!r} {text.count(change.old)} times"
        text = text.replace(change.old, change.new)
    path = folder / f"{name.rpartition('.')[2]}{'_changed' if change else ''}.py"
    path.write_text(text)
    copy = ModuleType(name)
    copy.__file__ = str(path)
    exec(compile(text, str(path), "exec"), vars(copy))
    return copy
