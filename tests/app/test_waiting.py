"""The one way to wait, against the SDK's own executor."""

import random
from datetime import timedelta, timezone
from functools import partial
from typing import Any

import azure.durable_functions as df
import pytest

from orchestrators.waiting import Inbox, QueuedUpdates, Steps
from tests.app.host import Host


def test_an_update_is_handed_out_once_and_in_order() -> None:
    queued = QueuedUpdates()
    seen: list[int] = []
    queued["event"] = lambda: seen.append(1)
    queued["event"] = lambda: seen.append(2)
    while "event" in queued:
        queued["event"]()
    assert seen == [1, 2]


def _collector(count: int, deadline_seconds: int | None) -> Any:
    """An orchestrator that takes `count` events, and does an activity after each."""

    def collect(context: Any) -> Steps:
        inbox = Inbox(context, "event")
        got: list[Any] = []
        while len(got) < count:
            until = None
            if deadline_seconds is not None:
                until = context.current_utc_datetime + timedelta(seconds=deadline_seconds)
            payload = yield from inbox.receive(until)
            if payload is None:
                continue
            got.append(payload)
            yield context.call_activity("note", payload)
        return {"got": got}

    return df.Orchestrator.create(collect)


def _note(noted: list[Any], name: str, given: Any) -> None:
    noted.append(given)


@pytest.mark.parametrize("timers", [False, True], ids=["without timers", "with timers"])
def test_in_a_hundred_random_schedules_no_event_is_lost_or_doubled(timers: bool) -> None:
    for seed in range(100):
        chance = random.Random(seed)
        count = chance.randint(1, 6)
        noted: list[Any] = []
        host = Host(_collector(count, 30 if timers else None), None, partial(_note, noted))
        left = list(range(count))
        while not host.ended:
            what = chance.random()
            if what < 0.45 and left:  # early, late, several at once
                for _ in range(chance.randint(1, 3)):
                    if left:
                        host.raise_event(left.pop(0))
            elif what < 0.6:
                host.complete_one()
            elif what < 0.75 and timers:
                host.advance(chance.choice([1, 31, 31, 100]))
            else:
                host.episode()
        assert [int(each) for each in host.output["got"]] == list(range(count)), seed
        assert [int(each) for each in noted] == list(range(count)), seed


def test_a_wait_beyond_what_the_host_can_cancel_is_cut_into_pieces() -> None:
    def wait(context: Any) -> Steps:
        inbox = Inbox(context, "event")
        return (yield from inbox.receive(context.current_utc_datetime + timedelta(days=30)))

    host = Host(df.Orchestrator.create(wait), None, partial(_note, []))
    host.run()
    assert host.next_timer == host.now + timedelta(days=5)
    host.advance(5 * 86400)
    host.run()
    assert host.ended
    assert host.output is None


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_a_time_in_any_zone_is_waited_for(hours: int) -> None:
    def wait(context: Any) -> Steps:
        until = (context.current_utc_datetime + timedelta(hours=1)).astimezone(timezone(timedelta(hours=hours)))
        return (yield from Inbox(context, "event").receive(until))

    host = Host(df.Orchestrator.create(wait), None, partial(_note, []))
    host.run()
    assert host.next_timer == host.now + timedelta(hours=1)
