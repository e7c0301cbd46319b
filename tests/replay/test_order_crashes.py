"""The order driver with a crash at every transaction in turn: the same orders at the venue, the same end."""

from typing import Any

import pytest

from replay.environment import Commit
from tests.replay.trading_world import trading, world
from tests.trading.desk import ENTRY, STOP, TAKE_PROFIT


async def bracket(crash_at: int, *, is_done: bool) -> tuple[int, Any, Any]:
    """A bracket that its take-profit ends; the engine dies at one transaction: how often, and what came of it."""
    async with trading() as (env, journals):

        def dies(commit: Commit) -> bool:
            return commit.number == crash_at and commit.is_done is is_done

        env.crash_when(dies)
        played = world(env, journals, "bracket")
        await played.place()
        await played.say(played.desk.accepted(ENTRY), played.desk.filled(ENTRY, 10))
        await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT))
        await played.say(played.desk.filled(TAKE_PROFIT, 10))
        await played.say(played.desk.canceled(STOP))
        position = env.entity_state("position", "IBM")
        return env.crashes, (env.output("bracket"), list(journals.commands)), position


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_crash_at_any_transaction_of_a_bracket_changes_nothing(is_done: bool) -> None:
    _, result, position = await bracket(0, is_done=is_done)
    assert result[0]["outcome"] == "take_profit"
    number = 1
    while (died := await bracket(number, is_done=is_done))[0]:
        assert died == (1, result, position), f"after a crash at transaction {number}"
        number += 1
    assert number > 40
