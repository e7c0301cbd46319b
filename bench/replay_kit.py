"""How fast the replay kit is: a history replayed at every cut, and a trading day on time that skips.

Prints two JSON lines. `replay`: a golden history of an order, cut to its first 100 events, replayed at every cut.
`day`: 200 brackets of one trading day through the real order driver and the real entities in the test environment, all
with a time limit: a quarter of them expire by it, the others end by take-profit or stop.
"""

import asyncio
import json
import logging
import time
from collections import Counter
from datetime import timedelta

import msgspec

from replay.history import read
from replay.replayer import replay_history
from tests.replay.goldens import FOLDER
from tests.replay.trading_world import World, trading, world
from tests.trading.desk import ENTRY, STOP, TAKE_PROFIT
from trading.identity import Role

_EVENTS = 100
_BRACKETS = 200
_DAY = timedelta(hours=6, minutes=30)
_SLOTS_TO_EXPIRE = 6
"""Brackets that are placed within a time limit of 600 s."""


def _replay() -> dict[str, object]:
    whole = read(FOLDER / "order-generations.json")
    history = msgspec.structs.replace(whole, events=whole.events[:_EVENTS])
    begin = time.perf_counter()
    replay_history(history)
    return {"events": len(history.events), "seconds": round(time.perf_counter() - begin, 3)}


async def _day() -> dict[str, object]:
    begin = time.perf_counter()
    async with trading() as (env, journals):
        opening = env.now
        orders: list[World] = []
        for number in range(_BRACKETS + _SLOTS_TO_EXPIRE):
            if number < _BRACKETS:
                played = world(env, journals, f"bracket-{number}", symbol=f"S{number}", valid_for=600)
                orders.append(played)
                await played.place()
                await played.say(played.desk.accepted(ENTRY))
                if number % 4:
                    await _to_the_end(played, TAKE_PROFIT if number % 2 else STOP)
            expired = number - _SLOTS_TO_EXPIRE
            if expired >= 0 and expired % 4 == 0:
                await orders[expired].say(orders[expired].desk.canceled(ENTRY))
            await env.advance(_DAY / _BRACKETS)
        hours = round((env.now - opening) / timedelta(hours=1), 1)
        outcomes = Counter(env.output(played.order_id)["outcome"] for played in orders)
    seconds = round(time.perf_counter() - begin, 2)
    return {"brackets": _BRACKETS, "simulated_hours": hours, "seconds": seconds, "outcomes": outcomes}


async def _to_the_end(played: World, won: Role) -> None:
    desk = played.desk
    await played.say(desk.filled(ENTRY, 10))
    await played.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    await played.say(desk.filled(won, 10))
    await played.say(desk.canceled(STOP if won is TAKE_PROFIT else TAKE_PROFIT))


def main() -> None:
    """Run both and print them."""
    logging.getLogger("devhost").setLevel(logging.ERROR)
    print(json.dumps({"benchmark": "replay", **_replay()}))
    print(json.dumps({"benchmark": "day", **asyncio.run(_day())}))


if __name__ == "__main__":
    main()
