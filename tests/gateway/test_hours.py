"""The session's hours: when it is held, when its numbers begin again, and that no clock that jumps does harm."""

from concurrent.futures import Future
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.schedule import Schedule
from gateway.gateway import Gateway
from gateway.hours import MARGIN, begins_again, closes_at, opens_at
from gateway.lease import ROW_KEY, Lease, following
from storage.clock import time_of
from tests.gateway.conftest import AT, MarketClock, World, cancel_order, entry_order, until
from trading.events import CancelRejected, OrderRejected
from trading.journal import JournalRow

DAILY = Schedule.daily(time(17, 5), time(17), "America/New_York", days=("sun", "mon", "tue", "wed", "thu"))
WEEKLY = Schedule.weekly("sun", time(17, 5), "fri", time(17), "America/New_York")
SECOND = timedelta(seconds=1)
MONDAY = datetime(2026, 1, 5, 22, 5, tzinfo=UTC)
"""When a daily window begins."""

moments = st.integers(0, 365 * 24 * 3600).map(lambda second: MONDAY + second * SECOND)
schedules = st.sampled_from([DAILY, WEEKLY, Schedule.daily(time(0), time(0)), Schedule.daily(time(8), time(16))])


def test_without_a_schedule_the_session_is_always_open_and_its_numbers_never_begin_again() -> None:
    assert opens_at(None, AT) is None
    assert closes_at(None, AT) == datetime.max.replace(tzinfo=UTC)
    assert not begins_again(None, AT, AT + timedelta(days=400))


def test_a_window_is_a_margin_shorter_at_both_ends() -> None:
    assert opens_at(DAILY, MONDAY) == opens_at(DAILY, MONDAY - SECOND) == MONDAY + MARGIN
    end = MONDAY + timedelta(hours=23, minutes=55)
    assert closes_at(DAILY, MONDAY + MARGIN) == closes_at(DAILY, end - MARGIN - SECOND) == end - MARGIN
    assert closes_at(DAILY, end - MARGIN) is None
    assert opens_at(DAILY, end - MARGIN) == end + timedelta(minutes=5) + MARGIN


@given(schedules, moments)
def test_at_every_moment_it_is_open_or_says_when_it_will_be(schedule: Schedule, now: datetime) -> None:
    opens = opens_at(schedule, now)
    assert (opens is None) == (closes_at(schedule, now) is not None)
    if opens is not None:
        assert opens > now
        assert opens_at(schedule, opens) is None
        assert opens_at(schedule, opens - SECOND) == opens


@given(schedules, moments, moments)
def test_numbers_begin_again_with_a_later_window_and_never_with_an_earlier_one(
    schedule: Schedule, since: datetime, now: datetime
) -> None:
    if closes_at(schedule, since) is None or closes_at(schedule, now) is None:
        return
    assert begins_again(schedule, since, now) == (since < now and not schedule.same_window(since, now))


@given(schedules, st.lists(moments, min_size=1, max_size=12))
def test_a_clock_that_jumps_to_and_fro_begins_the_numbers_at_most_once_for_each_window(
    schedule: Schedule, readings: list[datetime]
) -> None:
    lease: Lease | None = None
    windows = set()
    for utc in readings:
        if closes_at(schedule, utc) is None:
            continue
        before, lease = lease, following(lease, owner="a", block=9, schedule=schedule, utc=utc, expiry="", token="")
        windows.add(schedule.window_at(utc))
        if before is None or lease.generation > before.generation:
            assert (lease.block_start, lease.inbound, lease.window_epoch) == (1, 1, lease.epoch)
        else:
            assert (lease.block_start, lease.numbers_since) == (before.block_end, before.numbers_since)
    assert lease is None or lease.generation <= len(windows)


def test_a_row_from_before_there_were_hours_keeps_its_numbers() -> None:
    old = Lease(owner="a", epoch=3, block_start=1, block_end=51, inbound=7)
    new = following(old, owner="b", block=50, schedule=DAILY, utc=MONDAY + MARGIN, expiry="", token="")
    assert (new.block_start, new.inbound, new.generation) == (51, 7, 1)
    assert datetime.fromisoformat(new.numbers_since) == MONDAY + MARGIN
    # In which hours it was written nobody knows: what is uncertain by it may be of earlier ones.
    assert new.window_epoch == 4
    later = following(new, owner="c", block=50, schedule=DAILY, utc=MONDAY + 2 * MARGIN, expiry="", token="")
    assert (later.epoch, later.window_epoch) == (5, 4)
    always = following(old, owner="b", block=50, schedule=None, utc=MONDAY, expiry="", token="")
    assert always.window_epoch == 1


@pytest.mark.parametrize("header", [None, "", "soon"])
def test_an_answer_without_a_proper_date_tells_no_time(header: str | None) -> None:
    assert time_of(header) is None
    assert time_of("Mon, 05 Jan 2026 22:05:09 GMT") == MONDAY + timedelta(seconds=9)


# On real storage and sockets, at whatever time of the day the test runs


def around_now(ends_in: timedelta = timedelta(hours=1)) -> Schedule:
    """Hours that have begun an hour ago, to the second as all hours are."""
    now = datetime.now(UTC).replace(microsecond=0) + SECOND
    return Schedule.daily((now - timedelta(hours=1)).time(), (now + ends_in).time())


def far_from_now() -> Schedule:
    now = datetime.now(UTC)
    return Schedule.daily((now + timedelta(hours=2)).time(), (now + timedelta(hours=3)).time())


def age_numbers(world: World, by: timedelta) -> None:
    """As if the numbers had begun so long ago."""
    row = world.tables.sessions.get_entity(world.session, ROW_KEY)
    since = datetime.fromisoformat(row["numbers_since"]) - by
    world.tables.sessions.update_entity({**row, "numbers_since": since.isoformat()})


def restart_venue_numbers(world: World) -> None:
    """The venue's own numbers begin again with its hours."""

    def begin_again() -> None:
        world.venue.memory.reset(datetime.now(UTC))
        world.venue.session._next_outbound = world.venue.session._next_inbound = 1

    world.venue.call(begin_again)


def test_out_of_hours_nobody_looks_at_storage_or_logs_on_and_orders_wait(world: World) -> None:
    # A machine's clock that is two hours ahead: storage is not even asked whether it agrees.
    ahead = datetime.now(UTC) + timedelta(hours=2)
    gateway = Gateway(world.with_settings(fix_schedule=around_now()), world.tables, None, utc=lambda: ahead)
    gateway.start(world.wake)
    world.gateways.append(gateway)
    order_id = world.order()
    assert gateway.submit(order_id, entry_order(order_id), AT).state == "pending"
    status = gateway.status()
    assert status.opens_at is not None
    assert status.opens_at > ahead
    assert status.text == f"out of hours until {status.opens_at.isoformat()}"
    with pytest.raises(Exception, match="ResourceNotFound"):
        world.tables.sessions.get_entity(world.session, ROW_KEY)
    world.logged_on(fix_schedule=around_now())
    until(lambda: world.venue.sent(f"{order_id}.e1"))


def test_storages_clock_has_the_last_word_on_whether_the_lease_may_be_taken(world: World) -> None:
    now = datetime.now(UTC)
    behind = Gateway(
        world.with_settings(fix_schedule=far_from_now()),
        world.tables,
        None,
        utc=lambda: now + timedelta(hours=2, minutes=30),
    )
    behind.start(world.wake)
    world.gateways.append(behind)
    assert behind.opens_at() is None
    until(lambda: behind._candidate is not None)
    assert behind._candidate is not None
    assert behind._candidate.look() is None
    assert world.venue.logons == 0


def test_at_the_windows_end_the_session_logs_out_and_gives_the_lease_back(world: World) -> None:
    gateway = world.logged_on(fix_schedule=around_now(ends_in=timedelta(seconds=7)))
    until(lambda: not world.venue.online)
    until(lambda: world.lease().released)
    until(lambda: gateway.status().opens_at is not None)
    order_id = world.order()
    assert gateway.submit(order_id, entry_order(order_id), AT).state == "pending"
    assert gateway.status().owner == ""
    assert world.venue.logons == 1


def test_a_report_that_is_still_being_delivered_at_the_windows_end_is_waited_for(world: World) -> None:
    """The venue would not send it again: in its next hours it counts anew."""
    stuck = True

    def wake(rows: list[JournalRow]) -> "Future[None]":
        if stuck:
            raise ConnectionError("nobody there")
        return world.wake(rows)

    gateway = world.gateway(wake, fix_schedule=around_now(ends_in=timedelta(seconds=7)))
    until(lambda: gateway.status().logged_on)
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: not world.venue.online)
    assert not world.lease().released
    stuck = False
    until(lambda: world.lease().released)
    assert world.woken == world.journal.read(order_id)
    assert world.lease().inbound == world.venue.session.next_outbound


def test_in_a_new_window_the_numbers_begin_at_one_whatever_process_takes_the_session_up(world: World) -> None:
    first = world.logged_on(fix_schedule=around_now())
    order_id = world.order()
    first.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.woken)
    first.stop()
    before = world.lease()
    age_numbers(world, timedelta(hours=2))
    restart_venue_numbers(world)
    second = world.logged_on(fix_schedule=around_now())
    assert world.venue.logon_messages[-1].require(34) == "1"
    assert world.venue.logon_messages[-1].get(141) is None
    lease = world.lease()
    assert (lease.generation, lease.block_start, lease.window_epoch) == (before.generation + 1, 1, lease.epoch)
    other = world.order()
    second.submit(other, entry_order(other), AT)
    # The report has the number of one in the old window, and is none of its repeats.
    until(lambda: world.journal.read(other))
    assert world.venue.logons == 2


def test_in_the_same_window_the_numbers_go_on(world: World) -> None:
    world.logged_on(fix_schedule=around_now()).stop()
    before = world.lease()
    age_numbers(world, timedelta(minutes=30))
    world.logged_on(fix_schedule=around_now())
    lease = world.lease()
    assert (lease.generation, lease.block_start) == (before.generation, before.block_end)


def test_a_machines_clock_that_jumps_a_day_does_not_begin_the_numbers_again(world: World) -> None:
    jump = timedelta(0)
    settings = world.with_settings(fix_schedule=around_now())
    gateway = Gateway(settings, world.tables, None, utc=lambda: datetime.now(UTC) + jump)
    gateway.start(world.wake)
    world.gateways.append(gateway)
    until(lambda: gateway.status().logged_on)
    jump = timedelta(days=1)
    # The holder goes on, and who follows it takes the numbers up where they are.
    assert gateway.status().opens_at is None
    gateway.stop()
    gateway.start(world.wake)
    until(lambda: gateway.status().logged_on)
    assert (world.lease().generation, world.venue.logons) == (1, 2)


def test_an_order_of_earlier_hours_that_the_venue_does_not_know_is_not_sent_again(world: World) -> None:
    """It may have been done, and forgotten overnight with its ClOrdID."""
    first = world.logged_on(fix_schedule=around_now())
    order_id = world.order()
    cl_ord_id = f"{order_id}.e1"
    world.venue.mute.add(cl_ord_id)
    first.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.venue.sent(cl_ord_id, "D"))
    first.stop()
    age_numbers(world, timedelta(hours=2))
    restart_venue_numbers(world)
    world.venue.lose_sent()
    world.logged_on(fix_schedule=around_now())
    until(lambda: world.alerts.list(order_id) or world.alerts.list(world.session))
    (alert,) = [*world.alerts.list(order_id), *world.alerts.list(world.session)]
    assert alert.code == "UNCERTAIN_ORDER"
    assert "hours before these" in alert.text
    assert len(world.venue.sent(cl_ord_id, "D")) == 1


def test_what_is_claimed_and_has_not_left_at_the_windows_end_waits_for_the_next(world: World) -> None:
    first = world.logged_on(order_release="manual", fix_schedule=around_now(ends_in=timedelta(seconds=7)))
    order_id = world.order()
    cl_ord_id = f"{order_id}.e1"
    first.submit(order_id, entry_order(order_id), AT)
    assert (world.state(cl_ord_id), first.status().held) == ("claimed", 1)
    until(lambda: world.lease().released)
    assert world.state(cl_ord_id) == "pending"
    age_numbers(world, timedelta(hours=2))
    restart_venue_numbers(world)
    world.logged_on(fix_schedule=around_now())
    until(lambda: world.woken)
    assert [message.msg_type for message in world.venue.sent(cl_ord_id)] == ["D"]
    assert world.alerts.list(world.session) == []


def test_out_of_hours_nobody_is_told_of_an_outage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.gateway._PATIENCE", 0.2)
    asked = 0

    def utc() -> datetime:
        nonlocal asked
        asked += 1
        return datetime.now(UTC)

    settings = world.with_settings(fix_schedule=around_now(ends_in=timedelta(seconds=7)))
    gateway = Gateway(settings, world.tables, None, utc=utc)
    gateway.start(world.wake)
    world.gateways.append(gateway)
    until(lambda: gateway.status().logged_on)
    until(lambda: gateway.opens_at() is not None and world.lease().released)
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    # The watch over outages asks each tenth of its patience.
    asked = 0
    until(lambda: asked > 30)
    assert world.alerts.list(world.session) == []


@pytest.mark.parametrize("is_late", [False, True])
def test_an_order_that_was_cancelled_and_is_given_back_at_the_windows_end_does_not_leave_in_the_next(
    world: World, clock: MarketClock, is_late: bool
) -> None:
    """It was claimed when its cancel was handed in, so the cancel has a row of its own, which is the later one.

    Its order waits for an answer to both, also where its time has run out by then.
    """
    gateway = world.logged_on(order_release="manual", market_clock=str(clock.path))
    order_id = world.order()
    deadline = AT + timedelta(minutes=1)
    gateway.submit(order_id, entry_order(order_id, deadline=deadline), AT)
    gateway.submit(order_id, cancel_order(order_id, f"{order_id}.x2", f"{order_id}.e1"), AT)
    assert gateway.status().held == 2
    assert gateway._pump is not None
    assert gateway._loop is not None
    if is_late:
        clock.set(deadline)
    # What is held leaves at once in the next epoch.
    gateway._settings = world.with_settings(market_clock=str(clock.path))
    gateway._loop.call_soon_threadsafe(gateway._pump.end)
    until(lambda: len(world.events(order_id)) == 2)
    assert [type(event) for event in world.events(order_id)] == [OrderRejected, CancelRejected]
    until(lambda: world.state(f"{order_id}.e1") == world.state(f"{order_id}.x2") == "acknowledged")
    assert world.venue.received == []
