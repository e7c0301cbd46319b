"""Whether a drop copy and the journal tell the same. Pure: monotonic seconds and rows come in, verdicts go out.

A trade, bust or correction is the same in both if it is of the same order and has the same ExecID (17) on the same
trading day, as in the journal (`gateway/journal.py`). What it says is then compared field by field. A copy that names
no order of ours, but the venue's OrderID (37) or a ClOrdID of its own, may be of any: of that with the same trade.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from trading.events import OrderFilled, TradeBusted, TradeCorrected, VenueEvent
from trading.identity import order_id_of, orphan_order_id
from trading.journal import JournalRow
from trading.orders import Side

Trade = OrderFilled | TradeBusted | TradeCorrected
"""The reports that are matched: what moves a position."""

_EXEC_TYPES = {OrderFilled: "F", TradeBusted: "H", TradeCorrected: "G"}
_FIRST_PAUSE = 0.25
"""Seconds that the journal has before it is looked at, since the copy may come before the report itself."""


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A trade as the drop copy tells it. `cl_ord_id` leads to the order; that of `event` is as the report has it.

    `names_ours` is false where the report has no ClOrdID of ours, so that it may be of any order.
    """

    cl_ord_id: str
    event: Trade
    symbol: str
    side: Side
    names_ours: bool = True

    @property
    def order_ids(self) -> tuple[str, ...]:
        """Under which the journal may have it: the order's, or an orphan's where nobody here knows that order."""
        own, orphan = order_id_of(self.cl_ord_id), orphan_order_id(self.cl_ord_id)
        return (own, orphan) if own else (orphan,)

    def may_be_of(self, row: JournalRow) -> bool:
        """Whether the row's order may be the copy's."""
        is_alike = not self.names_ours and (row.symbol, row.side) == (self.symbol, self.side)
        return row.order_id in self.order_ids or is_alike


class Difference(NamedTuple):
    """A field with both of its values, as text."""

    field: str
    copied: str
    journalled: str

    def __str__(self) -> str:
        return f"{self.field} copy={self.copied} journal={self.journalled}"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a copy, by the number of its message. `row` is the journal's; None: the journal has none."""

    number: int
    copy: Copy
    row: JournalRow | None
    differences: tuple[Difference, ...] = ()

    @property
    def kind(self) -> Literal["matched", "differs", "unknown"]:
        if self.row is None:
            return "unknown"
        return "differs" if self.differences else "matched"


def is_same_trade(one: VenueEvent, other: VenueEvent) -> bool:
    """Whether two reports about one order are about one trade, or bust, or correction."""
    return (
        isinstance(one, Trade)
        and isinstance(other, Trade)
        and one.exec_id == other.exec_id
        and one.at.date() == other.at.date()
    )


def find(copy: Copy, rows: Iterable[JournalRow]) -> JournalRow | None:
    """The copy's row among those of the orders that it may be of."""
    return next((row for row in rows if copy.may_be_of(row) and is_same_trade(row.event, copy.event)), None)


def differences(copy: Copy, row: JournalRow) -> tuple[Difference, ...]:
    """What the copy says otherwise than the journal, in the order of a report's fields.

    Of an order that it does not name it cannot have the ClOrdID.
    """
    copied, journalled = copy.event, row.event
    assert isinstance(journalled, Trade), "find has seen to it"
    named = copied.cl_ord_id if row.order_id in copy.order_ids else journalled.cl_ord_id
    pairs = {
        "ExecType (150)": (_EXEC_TYPES[type(copied)], _EXEC_TYPES[type(journalled)]),
        "ClOrdID (11)": (named, journalled.cl_ord_id),
        "ExecRefID (19)": (_ref_exec_id(copied), _ref_exec_id(journalled)),
        "Symbol (55)": (copy.symbol, row.symbol),
        "Side (54)": (copy.side, row.side),
        "LastQty (32)": (copied.quantity, journalled.quantity),
        "LastPx (31)": (copied.price, journalled.price),
    }
    return tuple(Difference(field, str(one), str(other)) for field, (one, other) in pairs.items() if one != other)


class _Waiter(msgspec.Struct):
    copy: Copy
    since: float
    look_at: float
    pause: float


class Waiting:
    """The copies that came and are not settled, by the numbers of their messages.

    The journal is looked at for each a moment after it came, and after longer and longer pauses; the last time when
    its patience is over.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._first_pause = min(_FIRST_PAUSE, patience)
        self._waiters: dict[int, _Waiter] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def take(self, number: int, copy: Copy, now: float) -> None:
        pause = self._first_pause
        self._waiters[number] = _Waiter(copy=copy, since=now, look_at=now + pause, pause=pause)

    def next_look(self) -> float | None:
        """When the journal is to be looked at next; None while nothing waits."""
        return min((waiter.look_at for waiter in self._waiters.values()), default=None)

    def due(self, now: float) -> dict[int, Copy]:
        """For which copies the journal is to be looked at now."""
        return {number: waiter.copy for number, waiter in self._waiters.items() if waiter.look_at <= now}

    def last_chance(self, now: float) -> list[Copy]:
        """Which copies are not looked for again after `now`."""
        return [waiter.copy for waiter in self._waiters.values() if now - waiter.since >= self._patience]

    def judge(self, numbers: Iterable[int], rows: Mapping[str, Sequence[JournalRow]], now: float) -> list[Verdict]:
        """What became of the copies that were due at `now`, by the journal's `rows`, read after that, by order.

        What has a verdict does not wait any more; the others are due again later.
        """
        verdicts = []
        for number in numbers:
            waiter = self._waiters[number]
            verdict = judge(number, waiter.copy, rows)
            if verdict.kind == "unknown" and now - waiter.since < self._patience:
                waiter.pause = 2 * waiter.pause
                waiter.look_at = min(now + waiter.pause, waiter.since + self._patience)
                continue
            del self._waiters[number]
            verdicts.append(verdict)
        return verdicts

    def has_copy_of(self, row: JournalRow) -> bool:
        """Whether a copy of this trade has come and waits."""
        return any(find(waiter.copy, [row]) is not None for waiter in self._waiters.values())


def judge(number: int, copy: Copy, rows: Mapping[str, Sequence[JournalRow]]) -> Verdict:
    """What the journal's `rows`, by order, say to a copy."""
    order_ids = dict.fromkeys((*copy.order_ids, *rows))  # its own first
    row = find(copy, (row for order_id in order_ids for row in rows.get(order_id, ())))
    if row is None:
        return Verdict(number=number, copy=copy, row=None)
    return Verdict(number=number, copy=copy, row=row, differences=differences(copy, row))


class Awaiting:
    """The journal's trades of which no copy has come, by their keys, and since when each is waited for."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: dict[str, float] = {}

    def overdue(self, keys: Iterable[str], connected_since: float, now: float) -> list[str]:
        """Which of those that are without a copy now have been so for the patience, and the session logged on for it.

        `connected_since` is when it logged on, or when the last message came that the venue had sent before: what it
        has yet to resend may hold the copies.
        """
        self._since = {key: self._since.get(key, now) for key in keys}
        return [key for key, since in self._since.items() if now - max(since, connected_since) >= self._patience]

    def wait_again(self, key: str, now: float) -> None:
        """The patience begins anew."""
        self._since[key] = now


class Outage:
    """Since when there is no session, and whether a human has to know.

    It is over when the session has been logged on for the patience without a break: one that is lost again and again
    is out.
    """

    def __init__(self, patience: float, now: float) -> None:
        self._patience = patience
        self._began: float | None = now
        self._told = False

    def look(self, logged_on_since: float | None, now: float) -> Literal["begun", "over", None]:
        """What is new: an outage is `begun` where it has lasted longer than the patience; each is told once."""
        if logged_on_since is None:
            if self._began is None:
                self._began, self._told = now, False
            if not self._told and now - self._began >= self._patience:
                self._told = True
                return "begun"
        elif self._began is not None and now - logged_on_since >= self._patience:
            self._began = None
            return "over"
        return None


def _ref_exec_id(event: Trade) -> str:
    return "" if isinstance(event, OrderFilled) else event.ref_exec_id
