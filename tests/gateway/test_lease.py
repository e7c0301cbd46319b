"""The lease's rules on real storage, with the candidates' clocks in the test's hand."""

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.exceptions import ResourceNotFoundError, ServiceRequestError

from fix.schedule import Schedule
from gateway.lease import ROW_KEY, Candidate, Held, LeaseLostError, LeaseWriter, RowRefusedError
from storage.clock import time_of
from storage.tables import Row, Tables, creating, merging


@pytest.fixture
def session() -> str:
    return f"FIX.4.4-{uuid.uuid4().hex}-VENUE"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def candidate(tables: Tables, session: str, owner: str, clock: Clock) -> Candidate:
    return Candidate(lambda: tables.sessions, session, owner, lease_seconds=10, block=100, monotonic=clock)


def taken(candidate: Candidate) -> Held:
    held = candidate.look()
    assert held is not None
    return held


def test_the_first_candidate_takes_the_lease_with_a_block_of_numbers(tables: Tables, session: str) -> None:
    lease = taken(candidate(tables, session, "a", Clock())).lease
    assert (lease.owner, lease.epoch, lease.block_start, lease.block_end, lease.inbound) == ("a", 1, 1, 101, 1)


def test_a_lease_is_taken_when_it_has_not_changed_for_its_time_by_the_candidates_clock(
    tables: Tables, session: str
) -> None:
    taken(candidate(tables, session, "a", Clock()))
    clock = Clock()
    other = candidate(tables, session, "b", clock)
    assert other.look() is None
    clock.now += 9.9
    assert other.look() is None
    clock.now += 0.1
    lease = taken(other).lease
    assert (lease.owner, lease.epoch, lease.block_start, lease.block_end) == ("b", 2, 101, 201)


async def test_every_write_of_the_holder_puts_the_take_over_off(tables: Tables, session: str) -> None:
    clock = Clock()
    held = taken(candidate(tables, session, "a", clock))
    other = candidate(tables, session, "b", clock)
    async with running(tables, session, held, clock) as writer:
        for _ in range(3):
            assert other.look() is None
            clock.now += 8
            await writer.commit()
        assert writer.valid_until == clock.now + 9
        assert other.look() is None


async def test_a_lease_given_back_is_taken_at_once_and_its_cursor_goes_on(tables: Tables, session: str) -> None:
    clock = Clock()
    writer = LeaseWriter(tables.sessions, session, taken(candidate(tables, session, "a", clock)), lease_seconds=10)
    writer.advance_inbound(17)
    writer.later(creating(row(session, "left")))
    writer.give_back()
    await writer.run()
    assert not writer.holds
    with pytest.raises(LeaseLostError):
        await writer.commit()
    lease = taken(candidate(tables, session, "b", clock)).lease
    assert (lease.epoch, lease.inbound, lease.released) == (2, 17, False)
    assert tables.sessions.get_entity(session, "left")


def test_of_candidates_at_the_same_moment_one_takes_it(tables: Tables, session: str) -> None:
    candidates = [candidate(tables, session, str(number), Clock()) for number in range(4)]
    found: list[Held | None] = []
    threads = [threading.Thread(target=lambda one=one: found.append(one.look())) for one in candidates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([held for held in found if held]) == 1


def test_a_take_whose_answer_was_lost_is_recognised(tables: Tables, session: str) -> None:
    clock = Clock()
    client: Any = Lossy(tables.sessions)
    one = Candidate(lambda: client, session, "a", lease_seconds=10, block=100, monotonic=clock)
    with pytest.raises(ServiceRequestError):
        one.look()
    clock.now += 1
    held = taken(one)
    assert (held.lease.owner, held.lease.epoch, held.since) == ("a", 1, 1000.0)


async def test_many_commits_are_few_transactions(tables: Tables, session: str) -> None:
    client = Lossy(tables.sessions, losing=0)
    held = taken(candidate(tables, session, "a", Clock()))
    async with running(client, session, held, Clock()) as writer:
        await asyncio.gather(*(writer.commit(creating(row(session, f"r{number}"))) for number in range(250)))
    assert client.transactions <= 5
    assert len(list(tables.sessions.query_entities(f"PartitionKey eq '{session}'"))) == 251


async def test_what_is_to_be_written_later_goes_with_the_next_write_and_each_row_once_as_it_was_given_last(
    tables: Tables, session: str
) -> None:
    client = Lossy(tables.sessions, losing=0)
    tables.sessions.create_entity(row(session, "a"))
    held = taken(candidate(tables, session, "a", Clock()))
    async with running(client, session, held, Clock()) as writer:
        writer.later(merging({**row(session, "a"), "state": "sent", "number": 7}))
        writer.later(creating(row(session, "b")))
        writer.later(merging({**row(session, "a"), "state": "acknowledged"}))
        await writer.commit(creating(row(session, "c")))
    assert client.transactions == 1
    found = tables.sessions.get_entity(session, "a")
    assert (found["state"], "number" in found) == ("acknowledged", False)
    assert tables.sessions.get_entity(session, "b")


async def test_what_was_to_be_written_later_never_overwrites_what_was_written_since(
    tables: Tables, session: str
) -> None:
    tables.sessions.create_entity(row(session, "a"))
    held = taken(candidate(tables, session, "a", Clock()))
    async with running(tables, session, held, Clock()) as writer:
        writer.later(merging({**row(session, "a"), "state": "sent"}))
        claimed = writer.commit(merging({**row(session, "a"), "state": "claimed"}))
        given_up = writer.commit(merging({**row(session, "a"), "state": "given_up"}))
        await asyncio.gather(claimed, given_up)
        await writer.commit()
    assert tables.sessions.get_entity(session, "a")["state"] == "given_up"


async def test_what_is_refused_does_not_take_the_others_of_its_transaction_with_it(
    tables: Tables, session: str
) -> None:
    held = taken(candidate(tables, session, "a", Clock()))
    tables.sessions.create_entity(row(session, "there"))
    async with running(tables, session, held, Clock()) as writer:
        results = await asyncio.gather(
            *(writer.commit(creating(row(session, key))) for key in ("one", "there", "two", "two")),
            return_exceptions=True,
        )
    assert [type(result) for result in results] == [type(None), RowRefusedError, type(None), RowRefusedError]


async def test_a_holder_that_was_followed_learns_it_with_its_next_write_and_writes_nothing(
    tables: Tables, session: str
) -> None:
    clock = Clock()
    held = taken(candidate(tables, session, "a", clock))
    other = candidate(tables, session, "b", clock)
    other.look()
    clock.now += 10
    taken(other)
    writer = LeaseWriter(tables.sessions, session, held, lease_seconds=10)
    run = asyncio.create_task(writer.run())
    with pytest.raises(LeaseLostError):
        await writer.commit(creating(row(session, "late")))
    with pytest.raises(LeaseLostError, match="b took the lease, epoch 2"):
        await run
    assert not writer.holds
    keys = [one["RowKey"] for one in tables.sessions.query_entities(f"PartitionKey eq '{session}'")]
    assert keys == [ROW_KEY]


async def test_a_lost_answer_is_no_lost_lease(tables: Tables, session: str) -> None:
    held = taken(candidate(tables, session, "a", Clock()))
    client = Lossy(tables.sessions)
    async with running(client, session, held, Clock()) as writer:
        await writer.commit(creating(row(session, "one")))
        await writer.commit(creating(row(session, "two")))
        assert writer.holds
    assert client.losing == 0


def row(session: str, key: str) -> Row:
    return {"PartitionKey": session, "RowKey": key}


@asynccontextmanager
async def running(tables: Any, session: str, held: Held, clock: Clock) -> AsyncIterator[LeaseWriter]:
    """A writer whose `run` goes on for the block."""
    client = tables.sessions if isinstance(tables, Tables) else tables
    writer = LeaseWriter(client, session, held, lease_seconds=10, monotonic=clock)
    run = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


class Lossy:
    """A client whose next transactions are done, and their answers lost."""

    def __init__(self, client: Any, losing: int = 1) -> None:
        self._client = client
        self.losing = losing
        self.transactions = 0

    def get_entity(self, *args: Any, **options: Any) -> Any:
        return self._client.get_entity(*args, **options)

    def submit_transaction(self, *args: Any, **options: Any) -> Any:
        self.transactions += 1
        answer = self._client.submit_transaction(*args, **options)
        if self.losing:
            self.losing -= 1
            raise ServiceRequestError("the answer was lost")
        return answer


class Dated(Lossy):
    """A client whose storage has a clock of its own."""

    def __init__(self, client: Any, utc: datetime, clock: Clock | None = None) -> None:
        super().__init__(client, losing=0)
        self.utc = utc
        self._clock = clock or Clock()

    def get_entity(self, *args: Any, **options: Any) -> Any:
        tell = options.pop("raw_response_hook")
        headers = {"Date": format_datetime(self.utc, usegmt=True)}
        tell(SimpleNamespace(http_response=SimpleNamespace(headers=headers)))
        self._clock.now += 3  # on its way
        return super().get_entity(*args, **options)


def test_storage_tells_its_time(tables: Tables, session: str) -> None:
    told: list[Any] = []
    with pytest.raises(ResourceNotFoundError):
        tables.sessions.get_entity(session, ROW_KEY, raw_response_hook=told.append)
    (answer,) = told
    utc = time_of(answer.http_response.headers["Date"])
    assert utc is not None
    assert abs(utc - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_new_window_by_storages_clock_begins_the_numbers_again_with_the_take(tables: Tables, session: str) -> None:
    """The machine's clock, which here is in neither window, is not asked."""
    storage = Dated(tables.sessions, datetime(2031, 3, 3, 9, 0, tzinfo=UTC))
    schedule = Schedule.daily(time(8), time(16))

    def looked(owner: str) -> Held | None:
        clock = Clock()
        one = Candidate(
            lambda: cast(Any, storage), session, owner, lease_seconds=10, block=100, schedule=schedule, monotonic=clock
        )
        held = one.look()
        clock.now += 10
        return held or one.look()

    first = looked("a")
    assert first is not None
    # Until 16:00 less the margin, by the monotonic clock, and less the second that `Date` leaves out.
    assert first.closes == 1000 + 7 * 3600 - 2 - 1
    generations = []
    for utc in (
        "2031-03-03T15:59:56",
        "2031-03-03T15:59:57",
        "2031-03-03T16:30:00",
        "2031-03-04T08:00:01",
        "2031-03-04T08:00:02",
    ):
        storage.utc = datetime.fromisoformat(utc).replace(tzinfo=UTC)
        held = looked("b")
        generations.append(held and (held.lease.generation, held.lease.block_start, held.lease.window_epoch))
    assert generations == [(1, 101, 1), None, None, None, (2, 1, 3)]


def test_the_time_to_the_hours_end_is_counted_from_before_storage_was_asked(tables: Tables, session: str) -> None:
    """So that however slow the answer, and though `Date` is rounded down, the margin is left for the clocks."""
    clock = Clock()
    storage = Dated(tables.sessions, datetime(2031, 3, 3, 15, 59, tzinfo=UTC), clock)
    one = Candidate(
        lambda: cast(Any, storage),
        session,
        "a",
        lease_seconds=10,
        block=100,
        schedule=Schedule.daily(time(8), time(16)),
        monotonic=clock,
    )
    begun = clock.now
    held = one.look()
    assert held is not None
    assert held.closes == begun + 60 - 2 - 1
