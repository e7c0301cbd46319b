"""The session's lease: a table row that one process holds at a time, and the only writer of what the holder changes.

The rules:

- A candidate takes the row if there is none, if it says released, or if its ETag has stayed the same for the lease time
  by the candidate's own monotonic clock. No two machines' clocks are ever compared.
- Taking it raises the epoch and reserves a block of outbound numbers, in the one conditional write that takes it. Where
  the numbers are to begin again (a new window of the session's hours, a reset that is wanted), the same write begins
  their next generation.
- Every write of the holder carries the lease row under its ETag, in one transaction: so a write succeeds only while the
  lease is held, and every write renews it.
- The holder counts the lease time from the moment before a write was sent, a candidate from the moment after it has
  read the row, and the holder stops a margin earlier: it has stopped before anybody may follow.
- A write whose answer was lost is told by its token in the row: applied, or not, or the row is somebody else's.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, TypeVar

import msgspec
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.data.tables import TableClient, TableTransactionError

from fix.schedule import Schedule
from gateway.hours import begins_again, closes_at
from storage.clock import PRECISION, time_of
from storage.tables import Operation, Row, creating, replacing

T = TypeVar("T")

_log = logging.getLogger("gateway.lease")

ROW_KEY = "lease"
_LARGEST_TRANSACTION = 100
_SAFETY = 0.1  # the part of the lease time that a holder leaves unused
_LATER_AT_MOST = 50


def lease_clock() -> float:
    """Monotonic seconds that go on while the machine is suspended, where there is such a clock (Linux)."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class LeaseLostError(Exception):
    """Somebody else holds the lease, or it has run out. Nothing may be sent any more."""


class RowRefusedError(Exception):
    """A row of the change is not what the change expects: it exists already, or was changed. Nothing was written."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The lease row. `[block_start, block_end)` are the outbound numbers that are the holder's to use.

    `inbound` is the next inbound number to be processed: what is below was journalled and delivered. `generation`
    counts how often the session's numbers began again, and `numbers_since` says when they did, by storage's clock;
    `window_epoch` is the first epoch in this window of the session's hours.
    `reset` is true from when both sides are to begin again at 1 by the next Logon (141=Y) until the venue has answered
    that; whoever takes the lease meanwhile begins a generation of its own, since nobody knows what the venue has heard.
    `expiry` is for people to read; nothing depends on it.
    """

    owner: str
    epoch: int
    block_start: int
    block_end: int
    inbound: int = 1
    generation: int = 1
    numbers_since: str = ""
    window_epoch: int = 1
    reset: bool = False
    released: bool = False
    expiry: str = ""
    token: str = ""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A lease just taken: the row as written, its ETag, the monotonic time before the write, and the one at which the
    session's hours end."""

    lease: Lease
    etag: str
    since: float
    closes: float = inf


class Candidate:
    """Looks at the row again and again, and takes it when it may. Its calls block; one thread at a time."""

    def __init__(
        self,
        sessions: Callable[[], TableClient],
        session: str,
        owner: str,
        *,
        lease_seconds: float,
        block: int,
        schedule: Schedule | None = None,
        monotonic: Callable[[], float] = lease_clock,
    ) -> None:
        self._sessions = sessions
        self._schedule = schedule
        self._session = session
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._block = block
        self._monotonic = monotonic
        self._seen_etag = ""
        self._seen_at = 0.0
        self._tried: dict[str, float] = {}  # tokens of tries whose answer may have been lost, and when they began
        self.seen: Lease | None = None

    def look(self) -> Held | None:
        """Read the row, and take it if it may be taken. Raises AzureError where storage does not answer."""
        dates: list[datetime | None] = []
        asked = self._monotonic()
        try:
            row = self._sessions().get_entity(
                self._session,
                ROW_KEY,
                raw_response_hook=lambda answer: dates.append(time_of(answer.http_response.headers.get("Date"))),
                **_impatient(self._lease_seconds),
            )
        except ResourceNotFoundError:
            return self._take(None, "", asked, _latest(dates))
        now, utc = self._monotonic(), _latest(dates)
        lease, etag = _lease(row), str(row.metadata["etag"])
        self.seen = lease
        if lease.token in self._tried:
            return Held(lease=lease, etag=etag, since=self._tried.pop(lease.token), closes=self._closes(asked, utc))
        if etag != self._seen_etag:
            self._seen_etag, self._seen_at = etag, now
        if lease.released or now - self._seen_at >= self._lease_seconds:
            return self._take(lease, etag, asked, utc)
        return None

    def _take(self, previous: Lease | None, etag: str, asked: float, utc: datetime) -> Held | None:
        since, closes = self._monotonic(), self._closes(asked, utc)
        if closes <= since:
            return None
        lease = following(
            previous,
            owner=self._owner,
            block=self._block,
            schedule=self._schedule,
            utc=utc,
            expiry=_expiry(self._lease_seconds),
            token=uuid.uuid4().hex,
        )
        self._tried[lease.token] = since
        row = _row(self._session, lease)
        try:
            written = self._sessions().submit_transaction(
                [replacing(row, etag) if previous else creating(row)], **_impatient(self._lease_seconds)
            )
        except TableTransactionError as error:
            if error.status_code not in (404, 409, 412):
                raise
            del self._tried[lease.token]
            return None  # another candidate was faster
        self._tried.clear()
        self.seen = lease
        return Held(lease=lease, etag=str(written[0]["etag"]), since=since, closes=closes)

    def _closes(self, asked: float, utc: datetime) -> float:
        """The monotonic time at which the hours end that storage's clock is in, which was asked at `asked` and then
        said `utc`; that has passed where it is in none. It is not later than that, for how slow the answer was and
        although its second was rounded down."""
        if self._schedule is None:
            return inf
        end = closes_at(self._schedule, utc)
        return asked if end is None else asked + (end - utc - PRECISION).total_seconds()


def following(
    previous: Lease | None,
    *,
    owner: str,
    block: int,
    schedule: Schedule | None,
    utc: datetime,
    expiry: str,
    token: str,
) -> Lease:
    """The row of who takes the lease at `utc`: the next epoch, with the numbers that follow, or those of a new
    generation. Pure."""
    if previous is None:
        previous = Lease(owner="", epoch=0, block_start=1, block_end=1, numbers_since=utc.isoformat())
    # A row without it was written before there were hours: its numbers go on. In which hours nobody knows, so whatever
    # is uncertain by it counts as of earlier ones.
    since = datetime.fromisoformat(previous.numbers_since or utc.isoformat())
    is_new_window = begins_again(schedule, since, utc)
    anew = is_new_window or previous.reset
    epoch, start = previous.epoch + 1, 1 if anew else previous.block_end
    return Lease(
        owner=owner,
        epoch=epoch,
        block_start=start,
        block_end=start + block,
        inbound=1 if anew else previous.inbound,
        generation=previous.generation + anew,
        numbers_since=(utc if anew else since).isoformat(),
        window_epoch=epoch if is_new_window or (schedule and not previous.numbers_since) else previous.window_epoch,
        reset=previous.reset,
        expiry=expiry,
        token=token,
    )


Change = Callable[[Lease], Lease]


class _Work(msgspec.Struct):
    operations: tuple[Operation, ...]
    change: Change | None = None
    done: "asyncio.Future[None] | None" = None

    @property
    def keys(self) -> set[str]:
        return {str(operation[1]["RowKey"]) for operation in self.operations}


class LeaseWriter:
    """Everything that the holder writes into the session's partition goes through here, many changes in one write.

    `run` has to be running for any of it to happen. Not for several threads.
    """

    def __init__(
        self,
        sessions: TableClient,
        session: str,
        held: Held,
        *,
        lease_seconds: float,
        monotonic: Callable[[], float] = lease_clock,
    ) -> None:
        self._sessions = sessions
        self._session = session
        self._lease_seconds = lease_seconds
        self._monotonic = monotonic
        self._lease = held.lease
        self._etag = held.etag
        self._since = held.since
        self._eager: deque[_Work] = deque()
        self._lazy: dict[str, _Work] = {}  # by the row that each is about
        self._inbound = held.lease.inbound
        self._ended = False
        self._giving_back = False
        self._releasing = False
        self._called = asyncio.Event()
        # A thread of its own: renewing must not wait behind anything else that storage is slow with.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gateway-lease")

    @property
    def lease(self) -> Lease:
        """The row as last written."""
        return self._lease

    @property
    def valid_until(self) -> float:
        """The monotonic time after which this process may not act as the holder."""
        return self._since + self._lease_seconds * (1 - _SAFETY)

    @property
    def holds(self) -> bool:
        """Whether this process may act as the holder now: not any more while the lease is being let go."""
        return not self._ended and not self._releasing and self._monotonic() < self.valid_until

    async def watch(self) -> None:
        """Wait until the lease has run out, which every write puts off; then raise LeaseLostError."""
        until = 0.0
        while until != self.valid_until:
            until = self.valid_until
            await asyncio.sleep(max(0.0, until - self._monotonic()))
        raise LeaseLostError(f"{self._session}: the lease of epoch {self._lease.epoch} has run out")

    async def commit(self, *operations: Operation, change: Change | None = None) -> None:
        """Write now, in one transaction with the lease. What was to be written later of a row that this changes is not
        written any more: it is older.

        Raises:
            RowRefusedError: one of these operations cannot be; none of them was done.
            LeaseLostError: not done, or nobody knows whether it was done.
        """
        if self._ended:
            raise LeaseLostError(f"{self._session}: epoch {self._lease.epoch} is over")
        for operation in operations:
            if operation[0] == "update":
                self._lazy.pop(str(operation[1]["RowKey"]), None)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._eager.append(_Work(operations, change, done))
        self._called.set()
        await done

    def later(self, *operations: Operation) -> None:
        """Write with the next commit or renewal, the first operation's row once, as it was given last.

        What must not be lost when the process dies does not belong here.
        """
        row = str(operations[0][1]["RowKey"])
        self._lazy.pop(row, None)
        self._lazy[row] = _Work(operations)
        if len(self._lazy) >= _LATER_AT_MOST:
            self._called.set()

    def advance_inbound(self, number: int) -> None:
        """`number` is the next inbound number to be processed; written with the next commit or renewal."""
        self._inbound = max(self._inbound, number)

    def give_back(self) -> None:
        """Write what is left, then let the lease go, so that the next candidate takes it at once; `run` returns."""
        self._giving_back = True
        self._called.set()

    async def run(self) -> None:
        """Write what is to be written, and renew after a third of the lease time without a write.

        Raises:
            LeaseLostError: somebody else has the lease, or storage did not answer before it ran out.
        """
        try:
            while not self._giving_back:
                renew_at = self._since + self._lease_seconds / 3
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, renew_at - self._monotonic())):
                        await self._called.wait()
                self._called.clear()
                await self._write(self._next_batch())
                while self._eager:
                    await self._write(self._next_batch())
            while self._eager or self._lazy:
                await self._write(self._next_batch())
            self._releasing = True
            await self._write([_Work((), lambda lease: msgspec.structs.replace(lease, released=True))])
        finally:
            self._end()

    def _end(self) -> None:
        self._ended = True
        for work in self._eager:
            _fail(work, LeaseLostError(f"{self._session}: epoch {self._lease.epoch} is over"))
        self._eager.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _next_batch(self) -> list[_Work]:
        """What fits into one transaction, in the order it came, no row twice: storage would refuse that."""
        batch: list[_Work] = []
        rows = {ROW_KEY}
        for work in (*self._eager, *self._lazy.values()):
            if rows & work.keys or len(rows) + len(work.keys) > _LARGEST_TRANSACTION:
                break
            rows |= work.keys
            batch.append(work)
        for work in batch:
            if self._eager and self._eager[0] is work:
                self._eager.popleft()
            else:
                del self._lazy[next(iter(self._lazy))]
        return batch

    async def _write(self, batch: list[_Work]) -> None:
        try:
            while True:
                refused = await self._write_or_refuse(batch)
                if refused is None:
                    break
                _fail(refused, RowRefusedError(f"{self._session}: not what was expected of {sorted(refused.keys)}"))
                batch = [work for work in batch if work is not refused]
        except BaseException:
            for work in batch:
                _fail(work, LeaseLostError(f"{self._session}: epoch {self._lease.epoch} ended during a write"))
            raise
        for work in batch:
            if work.done is not None and not work.done.done():
                work.done.set_result(None)

    async def _write_or_refuse(self, batch: list[_Work]) -> _Work | None:
        """Write the batch, however many tries that takes; or say because of which work it cannot be written.

        The token stays the same from try to try: whichever of them storage carries out, it is the same write.
        """
        lease = msgspec.structs.replace(
            self._lease, inbound=self._inbound, expiry=_expiry(self._lease_seconds), token=uuid.uuid4().hex
        )
        operations: list[Operation] = []
        owners: list[_Work | None] = [None]
        for work in batch:
            lease = work.change(lease) if work.change else lease
            operations += work.operations
            owners += [work] * len(work.operations)
        pause = 0.05
        begun = self._monotonic()
        while True:
            since = self._monotonic()
            fault: Exception
            try:
                etag = await self._in_thread(self._submit, lease, operations)
            except AzureError as error:
                fault = error
            else:
                self._applied(lease, etag, since)
                return None
            found = await self._in_thread(self._find)
            if found is not None:
                if found[0].token == lease.token:
                    self._applied(lease, found[1], begun)  # nobody knows which of the tries it was
                    return None
                if found[0].token != self._lease.token:
                    raise LeaseLostError(f"{self._session}: {found[0].owner} took the lease, epoch {found[0].epoch}")
                refused = _refused(fault, owners)
                if refused is not None:
                    return refused
            if self._monotonic() >= self.valid_until:
                raise LeaseLostError(f"{self._session}: the lease could not be renewed in time: {fault}")
            _log.warning("%s: storage did not take a write, trying again: %s", self._session, fault)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1)

    def _applied(self, lease: Lease, etag: str, since: float) -> None:
        self._lease, self._etag, self._since = lease, etag, since

    def _submit(self, lease: Lease, operations: list[Operation]) -> str:
        written = self._sessions.submit_transaction(
            [replacing(_row(self._session, lease), self._etag), *operations], **_impatient(self._lease_seconds)
        )
        return str(written[0]["etag"])

    def _find(self) -> tuple[Lease, str] | None:
        """The row as it is, with its ETag; None where storage does not answer."""
        try:
            row = self._sessions.get_entity(self._session, ROW_KEY, **_impatient(self._lease_seconds))
        except AzureError:
            return None
        return _lease(row), str(row.metadata["etag"])

    async def _in_thread(self, call: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)


def _refused(fault: Exception, owners: list[_Work | None]) -> _Work | None:
    """The work whose row storage refused. What has no index (storage is down or busy) is nobody's fault."""
    if not isinstance(fault, TableTransactionError) or fault.status_code not in (400, 404, 409, 412):
        return None
    return owners[fault.index] if fault.index < len(owners) else None


def _fail(work: _Work, error: Exception) -> None:
    if work.done is None:
        # Nothing is lost by it: whoever holds the lease next finds out anew.
        _log.info("a later write is given up: %s", error)
    elif not work.done.done():
        work.done.set_exception(error)


def _impatient(lease_seconds: float) -> dict[str, Any]:
    """Options of a storage call that would rather fail than take so long that the lease runs out meanwhile."""
    return {"retry_total": 0, "connection_timeout": lease_seconds / 3, "read_timeout": lease_seconds / 3}


def _expiry(lease_seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=lease_seconds)).isoformat()


def _row(session: str, lease: Lease) -> Row:
    return {"PartitionKey": session, "RowKey": ROW_KEY, **msgspec.structs.asdict(lease)}


def _lease(row: Row) -> Lease:
    # A row that was written before there was a field does not have it.
    return Lease(**{field: row[field] for field in Lease.__struct_fields__ if field in row})


def _latest(dates: list[datetime | None]) -> datetime:
    """Storage's clock as it was told last; this machine's where storage does not tell."""
    return (dates[-1] if dates else None) or datetime.now(UTC)
