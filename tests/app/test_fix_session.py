"""The session's eternal orchestration and the triggers beside it: what they keep warm, and when nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.functions.warmup import WarmUpContext

from gateway.gateway import SessionStatus
from tests.app.host import Host
from trading.messages import encoded
from triggers import session

FRIDAY_EVENING = datetime(2026, 1, 9, 22, tzinfo=UTC)


def fix_session(functions: tuple[Any, ...]) -> Any:
    (function,) = [each for each in functions if each.get_function_name() == "fix_session"]
    return function.get_user_function()


class Slices:
    """What `run_session` says, one after another; then the slice does not end."""

    def __init__(self, *statuses: SessionStatus | Exception) -> None:
        self.left = list(statuses)
        self.done = 0

    def __call__(self, name: str, _given: Any) -> Any:
        assert name == "run_session"
        status = self.left.pop(0)
        self.done += 1
        if isinstance(status, Exception):
            raise status
        return encoded(status)


def out_of_hours(opens_at: datetime) -> SessionStatus:
    return SessionStatus(session="S", opens_at=opens_at)


def test_within_hours_one_slice_follows_the_other(functions: tuple[Any, ...]) -> None:
    slices = Slices(*[SessionStatus(session="S")] * 3)
    host = Host(fix_session(functions), {}, slices)
    for generation in range(3):
        assert host.generation == generation
        host.episode()
        assert host.next_timer is None
        host.complete_one()
        host.episode()
    assert slices.done == 3


def test_out_of_hours_it_sleeps_until_they_begin_and_keeps_nothing_warm(functions: tuple[Any, ...]) -> None:
    begin = FRIDAY_EVENING + timedelta(minutes=20, seconds=2)
    slices = Slices(out_of_hours(begin))
    host = Host(fix_session(functions), {}, slices, now=FRIDAY_EVENING)
    host.run()
    assert (host.generation, host.next_timer, slices.done) == (0, begin, 1)
    slices.left.append(SessionStatus(session="S"))
    host.advance(timedelta(minutes=20, seconds=2).total_seconds())
    host.episode()
    assert host.generation == 1
    host.episode()
    host.complete_one()
    assert slices.done == 2


def test_a_machine_whose_clock_has_jumped_keeps_the_others_cold_for_half_an_hour_at_most(
    functions: tuple[Any, ...],
) -> None:
    slices = Slices(out_of_hours(FRIDAY_EVENING + timedelta(days=365)), SessionStatus(session="S"))
    host = Host(fix_session(functions), {}, slices, now=FRIDAY_EVENING)
    host.run()
    assert host.next_timer == FRIDAY_EVENING + timedelta(minutes=30)
    host.advance(timedelta(minutes=30).total_seconds())
    host.episode()
    assert host.generation == 1
    host.episode()
    host.complete_one()
    host.episode()
    assert (host.generation, slices.done) == (2, 2)


def test_a_slice_that_fails_is_followed_by_another(functions: tuple[Any, ...]) -> None:
    slices = Slices(RuntimeError("storage"), out_of_hours(FRIDAY_EVENING + timedelta(hours=1)))
    host = Host(fix_session(functions), {}, slices, now=FRIDAY_EVENING)
    host.run()
    assert "storage" in host.custom_status["error"]
    host.advance(5)
    host.run()
    assert slices.done == 2


class Calls:
    """Stands for the process's gateway and its durable client."""

    def __init__(self, opens_at: datetime | None) -> None:
        self._opens_at = opens_at
        self.held = 0
        self.started: list[str] = []

    def opens_at(self) -> datetime | None:
        return self._opens_at

    def hold(self, _client: Any) -> None:
        self.held += 1

    async def get_status(self, _instance: str) -> None:
        return None

    async def start(self, _client: Any, name: str, _instance: str, _given: Any) -> None:
        self.started.append(name)


@pytest.mark.parametrize(
    ("opens_at", "held", "started"), [(None, 1, ["fix_session"]), (FRIDAY_EVENING, 0, list[str]())]
)
async def test_the_timer_makes_its_process_a_candidate_and_starts_the_session_within_hours_only(
    opens_at: datetime | None, held: int, started: list[str], functions: tuple[Any, ...], monkeypatch: Any
) -> None:
    calls = Calls(opens_at)
    monkeypatch.setattr(session, "gateway", lambda: calls)
    monkeypatch.setattr(session, "hold_session", calls.hold)
    monkeypatch.setattr(session, "start", calls.start)
    monkeypatch.setattr(session, "is_running", lambda _status: False)
    await called(functions, "supervise_session", calls)
    assert (calls.held, calls.started) == (held, started)


async def test_the_warm_up_makes_a_new_process_a_candidate(functions: tuple[Any, ...], monkeypatch: Any) -> None:
    calls = Calls(None)
    monkeypatch.setattr(session, "hold_session", calls.hold)
    await called(functions, "warm_up", calls)
    assert calls.held == 1


async def called(functions: tuple[Any, ...], name: str, client: Any) -> None:
    """Call it as it was before the SDK put its own client in."""
    (function,) = [each for each in functions if each.get_function_name() == name]
    inner = function.get_user_function().__wrapped__
    await inner(WarmUpContext(), client)
