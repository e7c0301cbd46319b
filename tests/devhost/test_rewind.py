# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""A failed instance is rewound: what failed in it runs again, what succeeded does not."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import azure.durable_functions as df
import pytest

from devhost.history import EventType, Status
from devhost.instances import NoInstanceError, NotFailedError, OverError
from replay.environment import DurableTestEnvironment, OrchestrationError
from replay.history import HistoryError
from replay.replayer import replay_history

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def three_steps(context: df.DurableOrchestrationContext):
    results = []
    for step in ("first", "second", "third"):
        results.append((yield context.call_activity("work", step)))
        yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    return results


@app.orchestration_trigger(context_name="context")
def family(context: df.DurableOrchestrationContext):
    good = context.call_sub_orchestrator("child", "good", "good-child")
    bad = context.call_sub_orchestrator("child", "bad", "bad-child")
    return (yield context.task_all([good, bad]))


@app.orchestration_trigger(context_name="context")
def child(context: df.DurableOrchestrationContext):
    yield context.call_activity("work", "before")
    return (yield context.call_activity("work", context.get_input()))


@app.orchestration_trigger(context_name="context")
def broken(context: df.DurableOrchestrationContext):
    yield context.call_activity("work", "before")
    raise RuntimeError("broken by itself")


@app.activity_trigger(input_name="step")
def work(step: str) -> str:
    return step


class Work:
    """An activity that fails for some steps as long as it is told to."""

    def __init__(self, *failing: str) -> None:
        self.failing = set(failing)
        self.done: Counter[str] = Counter()

    def __call__(self, step: str) -> str:
        self.done[step] += 1
        if step in self.failing:
            raise RuntimeError(f"no {step}")
        return step


@asynccontextmanager
async def failed_at_the_second_step() -> AsyncIterator[tuple[DurableTestEnvironment, Work]]:
    """The instance `i` of `three_steps`."""
    work = Work("second")
    async with DurableTestEnvironment(app, activities={"work": work}) as env:
        await env.start("three_steps", instance_id="i")
        with pytest.raises(OrchestrationError, match="no second"):
            await env.result("i")
        yield env, work


async def test_what_failed_runs_again_and_what_succeeded_does_not() -> None:
    async with failed_at_the_second_step() as (env, work):
        work.failing.clear()
        await env.rewind("i", "mended")
        assert env.status("i") is Status.RUNNING
        assert await env.result("i") == ["first", "second", "third"]
        assert work.done == {"first": 1, "second": 2, "third": 1}
        kinds = [EventType(event["EventType"]) for event in env.history("i").events]
        assert kinds.count(EventType.GENERIC) == 4  # scheduling and failure, the end, and the word that woke it
        assert EventType.TASK_FAILED not in kinds


async def test_it_may_fail_again_and_be_rewound_again() -> None:
    work = Work("first")
    async with DurableTestEnvironment(app, activities={"work": work}) as env:
        await env.start("three_steps", instance_id="i")
        for _ in range(2):
            with pytest.raises(OrchestrationError, match="no first"):
                await env.result("i")
            await env.rewind("i")
        work.failing.clear()
        assert await env.result("i") == ["first", "second", "third"]
        assert work.done["first"] == 3


async def test_only_the_failed_child_is_rewound_and_its_parent_hears_of_it() -> None:
    work = Work("bad")
    async with DurableTestEnvironment(app, activities={"work": work}) as env:
        await env.start("family", instance_id="parent")
        with pytest.raises(OrchestrationError, match="no bad"):
            await env.result("parent")
        work.failing.clear()
        await env.rewind("parent")
        assert (env.status("parent"), env.status("bad-child")) == (Status.RUNNING, Status.RUNNING)
        assert await env.result("parent") == ["good", "bad"]
        assert work.done == {"before": 2, "good": 1, "bad": 2}


async def test_an_orchestrator_that_broke_by_itself_is_run_again() -> None:
    async with DurableTestEnvironment(app) as env:
        await env.start("broken", instance_id="i")
        with pytest.raises(OrchestrationError, match="broken by itself"):
            await env.result("i")
        await env.rewind("i")
        with pytest.raises(OrchestrationError, match="broken by itself"):
            await env.result("i")


async def test_a_rewound_history_is_not_replayed_but_refused() -> None:
    async with failed_at_the_second_step() as (env, work):
        replay_history(env.history("i"), app)
        work.failing.clear()
        await env.rewind("i")
        await env.result("i")
        with pytest.raises(HistoryError, match=r"the history of i has been rewound \(event \d+\)"):
            replay_history(env.history("i"), app)


async def test_a_rewound_instance_survives_a_crash() -> None:
    async with failed_at_the_second_step() as (env, work):
        work.failing.clear()
        await env.rewind("i")
        await env.crash()
        assert await env.result("i") == ["first", "second", "third"]


async def test_only_what_has_failed_can_be_rewound() -> None:
    async with DurableTestEnvironment(app, activities={"work": Work()}) as env:
        with pytest.raises(NoInstanceError):
            await env.rewind("nobody")
        await env.start("three_steps", instance_id="i")
        await env.settle()
        with pytest.raises(NotFailedError, match="it is Running"):
            await env.rewind("i")
        await env.result("i")
        with pytest.raises(OverError, match="it is Completed"):
            await env.rewind("i")
