# The SDK's decorators are untyped, and what an orchestrator yields and returns is any JSON.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-any-unimported,no-any-return,misc"
"""Section 5, entities: what other tests do not show (docs/durable.md has all)."""

import azure.durable_functions as df
import pytest

from replay.environment import DurableTestEnvironment
from tests.durable.conftest import Spied

app = df.DFApp()


@app.entity_trigger(context_name="context")
def purse(context: df.DurableEntityContext) -> None:
    """Sets its state before it fails, and a result only when it is asked for one."""
    held = context.get_state(lambda: 0)
    match context.operation_name:
        case "add":
            context.set_state(held + 1)
            context.set_result(held + 1)
        case "add_and_fail":
            context.set_state(held + 1)
            raise ValueError("failed after the state was set")
        case "say_nothing":
            context.set_state(held)


@app.orchestration_trigger(context_name="context")
def asks_in_one_batch(context: df.DurableOrchestrationContext):
    entity = df.EntityId("purse", "k")
    return (
        yield context.task_all([context.call_entity(entity, "add", {}), context.call_entity(entity, "say_nothing", {})])
    )


@app.orchestration_trigger(context_name="context")
def asks_for_failure(context: df.DurableOrchestrationContext):
    try:
        yield context.call_entity(df.EntityId("purse", "k"), "add_and_fail", {})
    except Exception as error:
        return str(error)


@pytest.mark.parametrize("missing", ["signal_entity", "call_entity", "start_new", "lock", "schedule_new_orchestration"])
def test_an_entity_can_neither_lock_nor_signal_nor_call(missing: str) -> None:
    """In 1.7.0: no locks, no signals or calls from inside an entity."""
    assert not hasattr(df.DurableEntityContext, missing)
    assert not hasattr(df.DurableOrchestrationContext, "lock")


async def test_the_state_set_before_an_operation_failed_is_kept() -> None:
    """No rollback."""
    async with DurableTestEnvironment(app) as env:
        assert "failed after the state was set" in await env.run("asks_for_failure")
        assert env.entity_state("purse", "k") == 1


async def test_an_operation_that_sets_no_result_returns_the_one_before_it_of_the_same_batch(spied: Spied) -> None:
    """Always set one."""
    async with DurableTestEnvironment(app) as env:
        assert await env.run("asks_in_one_batch") == [1, 1]
    assert [len(call["batch"]) for call in spied.entity_calls] == [2]


async def test_operations_are_carried_out_one_after_another_in_the_order_in_which_they_came() -> None:
    """An entity's operations are never concurrent, however many senders there are."""
    async with DurableTestEnvironment(app) as env:
        for _ in range(60):
            await env.signal("purse", "k", "add", {"n": 1})
        await env.settle()
        assert env.entity_state("purse", "k") == 60
