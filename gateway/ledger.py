"""What an epoch knows of the messages to the venue that it has claimed, or an older one had.

In memory, and pure: the time is given.
"""

from collections import ChainMap
from collections.abc import Container, Iterable
from datetime import datetime
from typing import NamedTuple, TypeVar

from gateway.outbox import Entry, State

K = TypeVar("K")
V = TypeVar("V")

_REMEMBERED = 10_000


class Sent(NamedTuple):
    """What left under a number: MsgType (35), and the ClOrdID that it was about."""

    msg_type: str = ""
    cl_ord_id: str = ""


class Ledger:
    """One for each epoch, in its event loop; only `has_claimed` and what `known` returns may be asked by any thread."""

    def __init__(self) -> None:
        self._claimed: dict[str, Entry] = {}  # by this epoch, lately
        self._unreported: dict[str, Entry] = {}  # claimed, by this epoch or an older one, and nothing heard of it yet
        self._sent_at: dict[str, datetime] = {}
        self._unanswered: dict[str, float] = {}  # when what was not yet reported was sent, the oldest first
        self._numbers: dict[int, Sent] = {}
        self._sent_again: set[str] = set()
        self._cancelled: dict[str, None] = {}  # orders that were asked to be cancelled
        self._never_left: dict[str, None] = {}  # what this epoch has claimed, and concluded without having sent it

    def has_claimed(self, cl_ord_id: str) -> bool:
        """Whether this epoch has, lately."""
        return cl_ord_id in self._claimed

    def claimed(self, cl_ord_id: str) -> Entry | None:
        """What this epoch has claimed, as it was last written down."""
        return self._claimed.get(cl_ord_id)

    def unreported(self, cl_ord_id: str) -> Entry | None:
        """What was claimed, and of which the venue has said nothing yet."""
        return self._unreported.get(cl_ord_id)

    @property
    def all_unreported(self) -> list[Entry]:
        return list(self._unreported.values())

    @property
    def unreported_ids(self) -> frozenset[str]:
        return frozenset(self._unreported)

    @property
    def known(self) -> Container[str]:
        """The ClOrdIDs of what need not be looked for in the outbox."""
        return ChainMap(self._claimed, self._unreported)

    def state(self, cl_ord_id: str) -> State | None:
        """How far it has come; None for what this epoch has not claimed."""
        if cl_ord_id not in self._claimed:
            return None
        if cl_ord_id not in self._unreported:
            return "acknowledged"
        return "sent" if cl_ord_id in self._sent_at else "claimed"

    def sent_at(self, cl_ord_id: str) -> datetime | None:
        """When this epoch has sent it, lately."""
        return self._sent_at.get(cl_ord_id)

    def sent_as(self, number: int | None) -> Sent:
        """What has left under a number; empty where that is not known."""
        return self._numbers.get(number or 0, Sent())

    def was_sent_again(self, cl_ord_id: str) -> bool:
        return cl_ord_id in self._sent_again

    def was_cancelled(self, cl_ord_id: str) -> bool:
        """Whether the order was asked to be cancelled."""
        return cl_ord_id in self._cancelled

    def has_never_left(self, cl_ord_id: str) -> bool:
        """Whether this epoch has concluded it, and neither it nor an older one can have sent it."""
        return cl_ord_id in self._never_left

    # What happens

    def note_taken_over(self, entry: Entry) -> None:
        """An older epoch had claimed it."""
        self._unreported[entry.cl_ord_id] = entry

    def note_taken_up(self, entry: Entry) -> None:
        """This epoch has claimed it."""
        remember(self._claimed, entry.cl_ord_id, entry)
        self._unreported[entry.cl_ord_id] = entry

    def note_leaving(self, number: int, sent: Sent) -> None:
        remember(self._numbers, number, sent)

    def note_sent(self, entry: Entry, sent_at: datetime, now: float) -> None:
        """It has left, at that time; `now` is the monotonic clock's."""
        self.note_taken_up(entry)
        cl_ord_id = entry.cl_ord_id
        remember(self._sent_at, cl_ord_id, sent_at)
        self._unanswered.pop(cl_ord_id, None)
        self._unanswered[cl_ord_id] = now

    def note_sent_again(self, cl_ord_id: str) -> None:
        """The venue may have had it before, from us."""
        self._sent_again.add(cl_ord_id)

    def note_cancelled(self, cl_ord_id: str) -> None:
        """The order was asked to be cancelled."""
        remember(self._cancelled, cl_ord_id, None)

    def note_concluded(self, cl_ord_id: str, *, may_have_left: bool) -> None:
        """It will not leave any more."""
        self._unreported.pop(cl_ord_id, None)
        if not may_have_left:
            remember(self._never_left, cl_ord_id, None)

    def take_reported(self, cl_ord_ids: Iterable[str]) -> list[Entry]:
        """The venue has spoken of these; the entries of which it had not before."""
        entries = [self._unreported.pop(one) for one in cl_ord_ids if one in self._unreported]
        for entry in entries:
            self.note_told(entry.cl_ord_id)
        return entries

    def note_told(self, cl_ord_id: str) -> None:
        """A human knows that it is not answered, or it is."""
        self._unanswered.pop(cl_ord_id, None)

    def take_unanswered(self, since: float) -> list[str]:
        """What was sent by then and is not reported, each told once."""
        found = []
        while self._unanswered:
            cl_ord_id, sent = next(iter(self._unanswered.items()))
            if sent > since:
                break
            del self._unanswered[cl_ord_id]
            if cl_ord_id in self._unreported:
                found.append(cl_ord_id)
        return found


def remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep the latest; what is older than all that can matter is forgotten."""
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
