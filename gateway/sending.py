"""In what order messages leave that have to wait, because the venue's limit is reached or there is no session. Pure.

- What one order hands in leaves in its own order: an exit never overtakes what its own order handed in before.
- Orders that have something waiting which protects (a cancel, a replace, an exit) come before those that only open
  positions; so a cancel takes what its order has waiting before it along.
- Orders of the same urgency take turns: none waits for another's second message.
- One message in `OPENING_SHARE` is an opening order's while one waits. Trailing stops can use up a venue's limit for
  hours; entries would then never trade, and nobody would hear why. What it costs the others is bounded: they wait for a
  quarter more messages at most.
"""

from bisect import insort
from collections.abc import Container
from datetime import datetime
from enum import IntEnum
from heapq import heappop, heappush
from typing import Generic, TypeVar

import msgspec

from trading.commands import SubmitOrder, VenueCommand
from trading.identity import LETTERS, Role

T = TypeVar("T")

OPENING_SHARE = 5

Place = tuple[str, int, str]


class Urgency(IntEnum):
    PROTECTS = 0
    OPENS = 1


def urgency_of(command: VenueCommand) -> Urgency:
    """By the role in the ClOrdID: an entry opens a position, all else makes one smaller or keeps orders right."""
    child = command.cl_ord_id.partition(".")[2]
    opens = isinstance(command, SubmitOrder) and child.startswith(LETTERS[Role.ENTRY])
    return Urgency.OPENS if opens else Urgency.PROTECTS


class _Waiting(msgspec.Struct, Generic[T], frozen=True):
    key: str
    lane: str
    place: Place
    urgency: Urgency
    item: T


class SendQueue(Generic[T]):
    """What waits, by its key (the ClOrdID). A lane is what keeps its own order: an order's messages."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting[T]] = {}
        self._lanes: dict[str, list[_Waiting[T]]] = {}
        # The lanes of each urgency, the one whose turn is next first.
        self._turns: dict[Urgency, dict[str, None]] = {urgency: {} for urgency in Urgency}
        self._protecting: dict[str, int] = {}  # how many of a lane's protect
        self._in_a_row = 0  # that protected, while something that opens waited
        self._deadlines: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: object) -> bool:
        return key in self._waiting

    def get(self, key: str) -> T | None:
        waiting = self._waiting.get(key)
        return None if waiting is None else waiting.item

    def lane(self, name: str) -> list[T]:
        """What waits in a lane, in its order."""
        return [waiting.item for waiting in self._lanes.get(name, ())]

    def add(
        self,
        key: str,
        item: T,
        *,
        lane: str,
        place: Place,
        urgency: Urgency = Urgency.OPENS,
        deadline: datetime | None = None,
    ) -> None:
        """Have it wait at its place in its lane. What waits already under this key is taken out."""
        self.remove(key)
        waiting = _Waiting(key, lane, place, urgency, item)
        self._waiting[key] = waiting
        insort(self._lanes.setdefault(lane, []), waiting, key=lambda one: one.place)
        self._protecting[lane] = self._protecting.get(lane, 0) + (urgency is Urgency.PROTECTS)
        self._find_turn(lane)
        if deadline is not None:
            heappush(self._deadlines, (deadline, key))

    def first(self, *, held_back: Container[str] = ()) -> T | None:
        """Whose turn it is, of the lanes that are not held back; None where nothing waits in any."""
        lane = self._next_lane(held_back)
        return None if lane is None else self._lanes[lane][0].item

    def take(self, *, held_back: Container[str] = ()) -> T:
        """Take out whose turn it is, as `first` says. Raises LookupError where nothing waits."""
        lane = self._next_lane(held_back)
        if lane is None:
            raise LookupError("nothing waits")
        was_opening = lane in self._turns[Urgency.OPENS]
        self._in_a_row = 0 if was_opening or not self._turns[Urgency.OPENS] else self._in_a_row + 1
        first = self._lanes[lane][0]
        for turns in self._turns.values():
            turns.pop(lane, None)
        return self._take_out(first)

    def take_all(self) -> list[T]:
        """Take out all that waits, in no order."""
        return [self._take_out(one) for one in list(self._waiting.values())]

    def remove(self, key: str) -> T | None:
        """Take it out, whosever turn it is; None where it does not wait."""
        waiting = self._waiting.get(key)
        return None if waiting is None else self._take_out(waiting)

    def late(self, now: datetime) -> list[T]:
        """What waits and whose deadline has come, each told once: the earliest first."""
        found = list[T]()
        while self._deadlines and self._deadlines[0][0] <= now:
            waiting = self._waiting.get(heappop(self._deadlines)[1])
            if waiting is not None:
                found.append(waiting.item)
        return found

    def next_deadline(self) -> datetime | None:
        """The earliest of what waits."""
        while self._deadlines and self._deadlines[0][1] not in self._waiting:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _next_lane(self, held_back: Container[str]) -> str | None:
        protecting, opening = (
            next((lane for lane in self._turns[urgency] if lane not in held_back), None) for urgency in Urgency
        )
        if protecting is None or (opening is not None and self._in_a_row >= OPENING_SHARE - 1):
            return opening
        return protecting

    def _take_out(self, waiting: _Waiting[T]) -> T:
        del self._waiting[waiting.key]
        lane = self._lanes[waiting.lane]
        lane.remove(waiting)
        self._protecting[waiting.lane] -= waiting.urgency is Urgency.PROTECTS
        self._find_turn(waiting.lane)
        return waiting.item

    def _find_turn(self, lane: str) -> None:
        """A lane goes by the best that waits in it; where that has changed, it begins at the end of the others."""
        if not self._lanes[lane]:
            del self._lanes[lane], self._protecting[lane]
            for turns in self._turns.values():
                turns.pop(lane, None)
            return
        urgency = Urgency.PROTECTS if self._protecting[lane] else Urgency.OPENS
        for other, turns in self._turns.items():
            if other is not urgency:
                turns.pop(lane, None)
        self._turns[urgency].setdefault(lane)
