"""The test environment: real orchestrators and entities in this process, time that skips, crashes anywhere."""

import asyncio
import json
import os
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import replay.environment
from devhost.history import EventType, Status
from devhost.instances import UnknownFunctionError
from replay.environment import (
    START,
    ActivityCall,
    CrashTest,
    DurableTestEnvironment,
    OrchestrationError,
    after,
    before,
)
from tests.replay.shop import app


def environment(**fakes: Any) -> DurableTestEnvironment:
    return DurableTestEnvironment(app, activities=fakes)


async def test_an_orchestration_runs_with_its_own_activities() -> None:
    async with environment() as env:
        assert await env.run("purchase", {"item": "tea", "pieces": 3}) == {"paid": 30, "stock": 97}


async def test_an_activity_is_replaced_by_a_plain_or_an_asynchronous_function() -> None:
    async def charge(given: dict[str, Any]) -> int:
        return 1000 + int(given["pieces"])

    async with environment(charge=charge, price=len) as env:
        assert await env.run("purchase", {"item": "tea", "pieces": 3}) == {"paid": 1003, "stock": 97}


async def test_a_replacement_of_an_activity_that_the_app_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no activity 'chrage'; it has: charge, gift-wrap, price, refer"):
        async with environment(chrage=len):
            pass


async def test_a_failing_replacement_fails_the_activity_as_a_real_one_would() -> None:
    def charge(given: object) -> None:
        raise RuntimeError("card refused")

    async with environment(charge=charge) as env:
        with pytest.raises(OrchestrationError, match="Activity function 'charge' failed:  RuntimeError: card refused"):
            await env.run("purchase", {"item": "tea", "pieces": 3})


async def test_time_skips_to_the_timers_and_stands_still_otherwise() -> None:
    async with environment() as env:
        assert await env.run("reminder", {"days": 300}, instance_id="r") == "reminded"
        assert env.now == START + timedelta(days=300)


async def test_an_event_in_time_wins_and_time_goes_by_only_as_far_as_it_is_told_to() -> None:
    async with environment() as env:
        await env.start("reminder", {"days": 2}, instance_id="r")
        await env.advance(timedelta(days=1))
        assert (env.status("r"), env.custom_status("r")) == (Status.RUNNING, "waiting")
        assert env.next_timer == START + timedelta(days=2)
        await env.raise_event("r", "answer", {"yes": True})
        await env.settle()
        assert await env.result("r") == {"yes": True}
        assert env.now == START + timedelta(days=1)


async def test_timers_due_at_one_instant_fire_in_the_order_of_their_making() -> None:
    async with environment() as env:
        for name in ("b", "a", "c"):
            await env.start("reminder", {"days": 1, "note": name}, instance_id=name)
        await env.advance(timedelta(days=1))
        assert env.entity_state("notes", "all") == ["b", "a", "c"]


async def test_an_instance_that_waits_for_what_never_comes_is_told_instead_of_waited_for() -> None:
    async with environment() as env:
        await env.start("patient", instance_id="p")
        told = r"p is Running and can never end by itself: .* it waits for wait_for_external_event 'never'"
        with pytest.raises(OrchestrationError, match=told):
            await env.result("p")


async def test_a_terminated_instance_has_no_result() -> None:
    async with environment() as env:
        await env.start("patient", instance_id="p")
        await env.terminate("p", "enough")
        with pytest.raises(OrchestrationError, match="p is Terminated: enough"):
            await env.result("p")


async def test_unknown_names_are_refused() -> None:
    async with environment() as env:
        with pytest.raises(UnknownFunctionError, match="'purchaes'"):
            await env.start("purchaes")
        with pytest.raises(KeyError, match="no instance nobody"):
            env.status("nobody")


async def test_http_triggers_and_the_durable_api_are_served() -> None:
    async with environment() as env:

        def fetch(path: str, data: bytes | None = None) -> Any:
            with urllib.request.urlopen(env.url + path, data, timeout=10) as answer:
                return json.load(answer)

        started = await asyncio.to_thread(fetch, "/api/purchases", b'{"item": "tea", "pieces": 2}')
        assert await env.result(started["id"]) == {"paid": 20, "stock": 98}
        shown = await asyncio.to_thread(fetch, f"/durabletask/instances/{started['id']}")
        assert shown["runtimeStatus"] == "Completed"


async def test_all_generations_of_an_eternal_orchestration_can_be_looked_at() -> None:
    async with environment() as env:
        await env.start("counting", 0, instance_id="c")
        assert await env.result("c") == 3
        generations = env.histories("c")
        assert [each.events[-2]["EventType"] for each in generations] == [EventType.CONTINUE_AS_NEW] * 3 + [
            EventType.EXECUTION_COMPLETED
        ]
        assert [json.loads(json.loads(each.events[-2]["Input"])) for each in generations[:-1]] == [1, 2, 3]


async def _purchase_with(crash_at: set[int], *, is_done: bool) -> tuple[Any, list[str], int, Any]:
    charged = []

    def charge(given: dict[str, Any]) -> int:
        charged.append(given["id"])
        return 10 * int(given["pieces"])

    async with environment(charge=charge) as env:
        env.crash_when(lambda commit: commit.number in crash_at and commit.is_done is is_done)
        result = await env.run("purchase", {"item": "tea", "pieces": 3}, instance_id="p")
        return result, charged, env.crashes, [event["EventType"] for event in env.history("p").events]


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_crash_at_any_commit_changes_nothing_but_how_often_an_activity_runs(is_done: bool) -> None:
    undisturbed = await _purchase_with(set(), is_done=is_done)
    assert undisturbed[2] == 0
    number = 0
    while True:
        number += 1
        result, charged, crashes, kinds = await _purchase_with({number}, is_done=is_done)
        if crashes == 0:
            break
        assert result == undisturbed[0]
        assert set(charged) == set(undisturbed[1])
        assert len(charged) <= 2
        assert sorted(kinds) == sorted(undisturbed[3])
    assert number > 8


@pytest.mark.parametrize(
    ("where", "times_called"),
    [
        (before("activity charge"), 3),
        (after("activity charge"), 1),
        (before("activity charge p"), 3),
        (before("episode"), 1),
        (after("entity @stock@tea"), 1),
        (before("activity char"), 1),
    ],
)
async def test_a_crash_is_put_before_or_after_something_is_stored(where: CrashTest, times_called: int) -> None:
    async with environment() as env:
        env.crash_when(where, times=2)
        assert await env.run("purchase", {"item": "tea", "pieces": 3}, instance_id="p") == {"paid": 30, "stock": 97}
        charged = [call for call in env.calls if call.name == "charge"]
    assert charged == times_called * [ActivityCall("charge", {"id": "p", "pieces": 3, "price": 10})]


async def test_nothing_new_begins_once_the_engine_has_ended() -> None:
    async with environment(price=len) as env:
        env.crash_when(before("activity price"), times=1)
        assert await env.run("prices", ["tea", "milk", "salt"], instance_id="p") == [3, 4, 4]
        assert env.crashes == 1
        assert [call.given for call in env.calls] == ["tea", "tea", "milk", "salt"]


async def test_the_activities_called_are_listed_replaced_or_not() -> None:
    async with environment(price=lambda _: 7) as env:
        await env.run("purchase", {"item": "tea", "pieces": 2}, instance_id="p")
        assert env.calls == [
            ActivityCall("price", "tea"),
            ActivityCall("charge", {"id": "p", "pieces": 2, "price": 7}),
        ]


async def test_an_activity_with_a_durable_client_reaches_the_environment() -> None:
    async with environment() as env:
        assert await env.run("referral", {"item": "tea", "pieces": 1}) == "purchase-tea"
        assert await env.result("purchase-tea") == {"paid": 10, "stock": 99}


async def test_a_client_whose_host_dies_under_it_asks_again() -> None:
    async with environment() as env:
        env.crash_when(after("start purchase-tea"), times=1)
        assert await env.run("referral", {"item": "tea", "pieces": 1}) == "purchase-tea"
        assert await env.result("purchase-tea") == {"paid": 10, "stock": 99}
        assert env.crashes == 1
        assert [call.name for call in env.calls].count("refer") == 2


async def test_an_activity_with_a_name_of_its_own_is_replaced_by_that_name() -> None:
    async with environment(**{"gift-wrap": lambda _: "in gold"}) as env:
        assert await env.run("wrapping") == "in gold"
        assert env.calls == [ActivityCall("gift-wrap", "tea")]


async def test_host_json_says_which_version_is_started() -> None:
    host_json = {"version": "2.0", "extensions": {"durableTask": {"defaultVersion": "7"}}}
    async with DurableTestEnvironment(app, host_json=host_json) as env:
        assert await env.run("versioned") == "7"
    async with DurableTestEnvironment(app) as env:
        assert await env.run("versioned") is None


async def test_an_environment_that_was_refused_leaves_no_settings_behind() -> None:
    with pytest.raises(ValueError, match="no activity 'chrage'"):
        async with DurableTestEnvironment(app, activities={"chrage": len}, settings={"SHOP": "closed"}):
            pass
    assert "SHOP" not in os.environ


async def test_an_eternal_orchestration_is_given_up_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay.environment, "_REAL_SECONDS", 0.5)
    async with environment() as env:
        await env.start("counting", 4, instance_id="c")
        with pytest.raises(OrchestrationError, match=r"c is Running at 20.*an eternal one is watched with advance"):
            await env.result("c")


async def test_two_runs_have_the_same_history_to_the_last_id(tmp_path: Path) -> None:
    async def recorded() -> Any:
        async with environment() as env:
            await env.run("purchase", {"item": "tea", "pieces": 3}, instance_id="p")
            return env.history("p")

    assert await recorded() == await recorded()
