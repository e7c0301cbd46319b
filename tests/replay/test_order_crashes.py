"""The order driver with crashes at its transactions: the same orders at the venue, the same end."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.environment import Commit
from tests.replay.trading_world import trading, world
from tests.trading.desk import ENTRY, STOP, TAKE_PROFIT


async def bracket(crashes: Mapping[int, bool]) -> tuple[int, Any]:
    """A bracket that its take-profit ends. The engine dies at these transactions, before (False) or after (True) they
    are done: how often, and what came of it."""
    async with trading() as (env, journals):

        def dies(commit: Commit) -> bool:
            return crashes.get(commit.number) is commit.is_done

        env.crash_when(dies)
        played = world(env, journals, "bracket")
        await played.place()
        await played.say(played.desk.accepted(ENTRY), played.desk.filled(ENTRY, 10))
        await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT))
        await played.say(played.desk.filled(TAKE_PROFIT, 10))
        await played.say(played.desk.canceled(STOP))
        result = (env.output("bracket"), list(journals.commands), env.entity_state("position", "IBM"))
        return env.crashes, result


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_crash_at_any_transaction_of_a_bracket_changes_nothing(is_done: bool) -> None:
    _, undisturbed = await bracket({})
    assert undisturbed[0]["outcome"] == "take_profit"
    assert len(undisturbed[1]) == 4
    number = 1
    while (died := await bracket({number: is_done}))[0]:
        assert died == (1, undisturbed), f"after a crash at transaction {number}"
        number += 1
    assert number > 40


async def opened_again(crashes: Mapping[int, bool]) -> tuple[int, Any]:
    """The same, from where the trade of the take-profit was busted after the bracket's end until its stop ends it."""
    async with trading() as (env, journals):
        played = world(env, journals, "bracket")
        await played.place()
        await played.say(played.desk.accepted(ENTRY), played.desk.filled(ENTRY, 10))
        trade = played.desk.filled(TAKE_PROFIT, 10)
        await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT), trade)
        await played.say(played.desk.canceled(STOP))
        await played.say(played.desk.busted(TAKE_PROFIT, trade), heard=False)
        env.crash_when(lambda commit: crashes.get(commit.number) is commit.is_done)
        await played.resume()
        await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT))
        await played.say(played.desk.filled(STOP, 10))
        await played.say(played.desk.canceled(TAKE_PROFIT))
        result = (env.output("bracket"), list(journals.commands), env.entity_state("position", "IBM"))
        return env.crashes, result


@pytest.mark.parametrize("is_done", [False, True])
async def test_42_neither_does_one_of_an_order_that_is_opened_again(is_done: bool) -> None:
    _, undisturbed = await opened_again({})
    assert undisturbed[0]["outcome"] == "stop_loss"
    assert len(undisturbed[1]) == 7
    number = 1
    while (died := await opened_again({number: is_done}))[0]:
        assert died == (1, undisturbed), f"after a crash at transaction {number}"
        number += 1
    assert number > 25


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.integers(1, 40), st.booleans(), min_size=2, max_size=12))
def test_neither_do_several_crashes_in_one_run(crashes: dict[int, bool]) -> None:
    _, undisturbed = asyncio.run(bracket({}))
    assert asyncio.run(bracket(crashes)) == (len(crashes), undisturbed)
