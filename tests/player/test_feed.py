"""Lockstep: nothing goes on before all that was set going is over."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from player.feed import Feed, FeedError
from player.steps import Step
from tests.player.fakes import FakeSystem
from trading.market import Tick

START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def _step(seconds: int, rows: int = 1) -> Step:
    at = START + timedelta(seconds=seconds)
    batch = [Tick(ts=at, symbol="IBM", last=Decimal(1)) for _ in range(rows)]
    return Step(at=at, prices=[{"kind": "trade"}], batch=list(batch))


def _play(system: FakeSystem, *steps: Step, within: float = 5.0) -> None:
    for _ in Feed(system.host, system.venue, "market-data", within).in_lockstep(steps):
        assert (system.work_of_host, system.held, system.on_the_way) == (0, 0, 0), "the step was not over"


def test_a_step_sets_the_clock_then_shows_the_prices_then_hands_in_the_batch() -> None:
    system = FakeSystem()
    _play(system, _step(0))
    sent = [request for request in system.requests if request.startswith("POST")]
    assert sent == ["POST /devhost/clock", "POST /prices", "POST /devhost/eventhubs/market-data/events"]
    assert system.now == START


def test_sequence_numbers_are_those_of_the_rows() -> None:
    system = FakeSystem()
    _play(system, _step(0, rows=2), _step(1), _step(2, rows=3))
    assert system.sequence_numbers == [0, 1, 2, 3, 4, 5]


def test_held_orders_leave_when_the_host_is_idle_and_their_answers_are_waited_for() -> None:
    system = FakeSystem()
    system.to_hold = [3, 2]
    system.sends = [0, 3, 2]
    _play(system, _step(0))
    assert system.requests.count("POST /api/session/release") == 2
    assert (system.session_outbound, system.session_inbound) == (6, 6)


def test_what_the_venue_sends_on_prices_is_over_before_the_batch_goes_out() -> None:
    system = FakeSystem()
    system.sends = [4]
    _play(system, _step(0))
    handed_in = system.requests.index("POST /devhost/eventhubs/market-data/events")
    assert "GET /state" in system.requests[:handed_in]
    assert system.session_inbound == 5


def test_timers_fire_one_by_one_before_the_step_they_are_due_at() -> None:
    system = FakeSystem()
    system.timers = [START + timedelta(seconds=second) for second in (2, 1, 2, 9)]
    system.timers[2] += timedelta(milliseconds=1)
    system.to_hold = [0, 1, 1, 1]
    _play(system, _step(0), _step(5))
    assert system.now == START + timedelta(seconds=5)
    assert system.timers == [START + timedelta(seconds=9)]
    assert system.session_outbound == 4


def test_a_step_in_which_nothing_happens_does_not_ask_the_venue() -> None:
    system = FakeSystem()
    feed = Feed(system.host, system.venue, "market-data")
    list(feed.in_lockstep([_step(0)]))
    looks = system.requests.count("GET /state")
    list(feed.in_lockstep([_step(1), _step(2), _step(3)]))
    assert system.requests.count("GET /state") == looks


def test_what_never_settles_is_named() -> None:
    system = FakeSystem()
    system.stuck = True
    with pytest.raises(FeedError, match=r"does not settle within 0 s: the host is busy with \['order'\]"):
        _play(system, _step(0), within=0.2)


def test_numbers_that_never_meet_are_named() -> None:
    system = FakeSystem()
    system.venue_outbound = 9
    with pytest.raises(FeedError, match=r"outbound=1 inbound=1, the venue at inbound=1 outbound=9"):
        _play(system, _step(0), within=0.2)


def test_a_session_that_is_refused_is_named_with_the_venues_text() -> None:
    system = FakeSystem()
    system.logged_on = False
    with pytest.raises(FeedError, match="not logged on: password refused"):
        _play(system, _step(0), within=0.2)


def test_real_time_keeps_the_datas_pace_and_leaves_the_clock_alone() -> None:
    system = FakeSystem()
    progress = list(Feed(system.host, system.venue, "market-data").in_real_time([_step(0), _step(30)], speed=100))
    assert progress[-1].rows == 2
    assert progress[-1].at == START + timedelta(seconds=30)
    assert "POST /devhost/clock" not in system.requests
    assert len(progress) >= 4, "it shows that it waits"
