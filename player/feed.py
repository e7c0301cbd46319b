"""Feeds a replay's steps to the venue and the host: in lockstep, or in real time.

In lockstep the next step goes out when nothing is left to do: the host is idle, the session holds no orders back and
works on nothing, and session and venue have seen each other's last message. Requests to the host are repeated until it
has answered, since it may die and come back at any moment: setting the clock to a time it has, and handing in events
with sequence numbers it has, changes nothing. Requests to the venue are never repeated.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from gateway.gateway import SessionStatus
from player.steps import Step
from trading.market import MarketData

_PARTITION = "0"
_LARGEST_BATCH = 256
"""maxEventBatchSize of host.json."""
_HOST_WAITS = 5
"""Seconds that the host may take for an answer about being idle."""


class FeedError(Exception):
    """The replay cannot go on; says what is still under way, and where."""


class Server(Protocol):
    """What the feed needs of a client: JSON in, JSON out."""

    def get(self, path: str) -> object: ...
    def post(self, path: str, body: object = None) -> object: ...


class VenueSession(msgspec.Struct, frozen=True):
    """The venue's side of the FIX session."""

    session: str
    logged_on: bool
    next_inbound: int
    next_outbound: int


class VenueState(msgspec.Struct, frozen=True):
    """The venue's answer to GET /state, as far as it is needed here."""

    sessions: list[VenueSession]
    orders: int
    working: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the replay is."""

    at: datetime
    rows: int
    orders: int


class _Idle(msgspec.Struct, frozen=True):
    idle: bool = False
    busy: list[object] = []


class _Clock(msgspec.Struct, frozen=True):
    now: datetime | None
    next_timer: datetime | None = None


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the hub. `enqueued_time` is when it came in, by the machine's clock."""

    enqueued_time: datetime
    body: MarketData
    sequence_number: int = -1


class _Sent(msgspec.Struct, frozen=True):
    sent: int


class Feed:
    """A replay under way; `hub` is the name of the Event Hub that the host's trigger listens to."""

    def __init__(self, host: Server, venue: Server, hub: str, settle_within: float = 60.0) -> None:
        self._host = host
        self._venue = venue
        self._hub = hub
        self._settle_within = settle_within
        self._settled: tuple[str, int, int] | None = None
        self._clock: _Clock | None = None
        """The host's clock; None where it may have changed, or may have a new timer."""
        self._gathered: list[_Event] = []
        self._rows = 0
        self._orders = 0

    def in_lockstep(self, steps: Iterable[Step]) -> Iterator[Progress]:
        """Feed one step after another, each when the one before has been dealt with. Raises `FeedError`."""
        for step in steps:
            self._advance_clock(step.at)
            self._show_prices(step, step.at)
            if step.batch:
                self._settle(self._hand_in(_events(step.batch), wait=_HOST_WAITS))
            yield Progress(at=step.at, rows=self._rows, orders=self._orders)

    def in_real_time(self, steps: Iterable[Step], speed: float) -> Iterator[Progress]:
        """Feed the steps at the data's pace times `speed`, and wait at the end until all is dealt with.

        What gathers while the host works on a batch is the next batch, as an Event Hub would have it.
        """
        first = at = None
        started = time.monotonic()
        for step in steps:
            at = step.at
            first = first or at
            due = started + (at - first).total_seconds() / speed
            while (left := due - time.monotonic()) > 0:
                self._pass_on()
                time.sleep(min(left, 0.01 if self._gathered else 0.2))
                yield Progress(at=at, rows=self._rows, orders=self._orders)
            self._show_prices(step, datetime.now(UTC), settle=False)
            self._gathered += _events(step.batch)
            self._pass_on()
            yield Progress(at=at, rows=self._rows, orders=self._orders)
        deadline = time.monotonic() + self._settle_within
        while self._gathered:
            if time.monotonic() > deadline:
                raise FeedError(f"the host has not taken the last batch within {self._settle_within:.0f} s")
            self._pass_on()
            time.sleep(0.01)
        self.settle()
        if at is not None:
            yield Progress(at=at, rows=self._rows, orders=self._orders)

    def settle(self) -> None:
        """Wait until nothing is left to do, letting go what the session holds back; `FeedError` where that takes long.

        Held orders leave only when all else is quiet: which orders leave together, and in which order, must not
        depend on how fast the machine is.
        """
        self._settled = None
        self._settle()

    def _settle(self, idle: _Idle | None = None) -> None:
        """As `settle`, but the venue is left alone where the session has done nothing since it was last at rest.

        Only right where the venue itself cannot have been set going since. `idle` is what the host has just said.
        """
        self._clock = None
        deadline = time.monotonic() + self._settle_within
        pause = 0.0005
        looked: tuple[str, int, int] | None = None
        while True:
            idle = idle or msgspec.convert(self._host.get(f"/devhost/idle?wait={_HOST_WAITS}"), _Idle)
            session = msgspec.convert(self._host.get("/api/session"), SessionStatus)
            mark = (session.owner, session.epoch, session.activity)
            problem = _under_way(idle, session)
            idle = None
            if problem is None and session.held == 0 and mark == self._settled:
                return
            problem = problem or _on_the_way(session, self._venue_state())
            # Two looks alike: between them nothing was on its way from the one to the other.
            if problem is None and mark == looked:
                if session.held == 0:
                    self._settled = mark
                    return
                self._host.post("/api/session/release")
                looked = None
                continue
            looked = mark if problem is None else None
            if problem is None:
                continue
            if time.monotonic() > deadline:
                raise FeedError(f"the replay does not settle within {self._settle_within:.0f} s: {problem}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def _advance_clock(self, at: datetime) -> None:
        # Timer by timer: what one sets in motion has to be over before the next fires.
        while True:
            clock = self._clock or msgspec.convert(self._host.get("/devhost/clock"), _Clock)
            if clock.next_timer is None or clock.next_timer > at:
                break
            self._host.post("/devhost/clock", {"now": max(clock.next_timer, clock.now or clock.next_timer)})
            self.settle()
        if clock.now is None or clock.now < at:
            self._host.post("/devhost/clock", {"now": at})
        self._clock = _Clock(now=at, next_timer=clock.next_timer)

    def _show_prices(self, step: Step, at: datetime, *, settle: bool = True) -> None:
        sent = 0
        if step.prices:
            answer = self._venue.post("/prices", {"at": at, "events": step.prices})
            sent += msgspec.convert(answer, _Sent).sent
        if step.end_of_day:
            sent += msgspec.convert(self._venue.post("/end_of_day", {"at": at}), _Sent).sent
        if sent and settle:
            self.settle()

    def _pass_on(self) -> None:
        """Hand in what has gathered, unless the host still works."""
        if self._gathered and msgspec.convert(self._host.get("/devhost/idle?wait=0"), _Idle).idle:
            self._hand_in(self._gathered[:_LARGEST_BATCH], wait=0)
            del self._gathered[:_LARGEST_BATCH]
            self._venue_state()

    def _hand_in(self, events: list[_Event], wait: int) -> _Idle:
        numbered = [msgspec.structs.replace(event, sequence_number=self._rows + n) for n, event in enumerate(events)]
        answer = self._host.post(
            f"/devhost/eventhubs/{self._hub}/events?wait={wait}", {"partition": _PARTITION, "events": numbered}
        )
        self._rows += len(events)
        return msgspec.convert(answer, _Idle)

    def _venue_state(self) -> VenueState:
        state = msgspec.convert(self._venue.get("/state"), VenueState)
        self._orders = state.orders
        return state


def _events(batch: Iterable[MarketData]) -> list[_Event]:
    now = datetime.now(UTC)
    return [_Event(enqueued_time=now, body=data) for data in batch]


def _under_way(idle: _Idle, session: SessionStatus) -> str | None:
    """What host and session are still at, or None. Orders that are held back do not count."""
    if not idle.idle:
        more = f" and {len(idle.busy) - 3} more" if len(idle.busy) > 3 else ""
        return f"the host is busy with {idle.busy[:3]}{more}"
    if not session.logged_on:
        return f"the FIX session is not logged on: {session.text or 'no reason known'}"
    if session.busy:
        return "the FIX session has work under way"
    return None


def _on_the_way(session: SessionStatus, venue: VenueState) -> str | None:
    """What one side has sent and the other has not dealt with, or None."""
    ours = [peer for peer in venue.sessions if peer.logged_on]
    if len(ours) != 1:
        return f"the venue has {len(ours)} sessions logged on"
    if (session.next_outbound, session.next_inbound) != (ours[0].next_inbound, ours[0].next_outbound):
        return (
            f"the FIX session is at outbound={session.next_outbound} inbound={session.next_inbound}, "
            f"the venue at inbound={ours[0].next_inbound} outbound={ours[0].next_outbound}"
        )
    return None
