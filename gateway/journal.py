"""The execution journal: what the venue said of each order, numbered without gaps, each report once.

Nothing fences it: a report is true whoever writes it down. (What we ourselves say of an order that the venue does not
have is not; the lease's holder decides it in the outbox first.) A row is inserted under the order's next number, and
whoever inserts row n has read or written all rows before it; so a writer that knows of no repeat among them, and whose
insert is not refused, has not written one. A repeat is recognised by the number of its message in the session, and for
trades also by the ExecID (17) of the trading day, since a venue may send a trade again in a message of a new number.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby

import msgspec
from azure.core.exceptions import AzureError, ResourceExistsError

from gateway.matching import Trade
from storage.tables import Row, Tables, table_key
from trading.events import VenueEvent
from trading.identity import ORPHAN_PREFIX
from trading.journal import JournalRow
from trading.orders import Side

_REMEMBERED = 10_000
_IS_ORPHAN = f"PartitionKey ge '{ORPHAN_PREFIX}' and PartitionKey lt '{ORPHAN_PREFIX}~'"


class Origin(msgspec.Struct, frozen=True):
    """The message that a report came in: session, how often its numbers were reset, MsgSeqNum (34)."""

    session: str
    generation: int
    number: int


class _Known:
    """What a writer knows of an order's rows: all of them, up to the last that it has read or written."""

    def __init__(self) -> None:
        self.last = 0
        self._marks: dict[str, JournalRow] = {}

    def add(self, row: JournalRow, marks: list[str]) -> None:
        # In this order, and never back: whoever sees `last` finds the marks of all rows up to it.
        self._marks.update(dict.fromkeys(marks, row))
        self.last = max(self.last, row.number)

    def find(self, marks: list[str]) -> JournalRow | None:
        return next((self._marks[mark] for mark in marks if mark in self._marks), None)


BeforeTrade = Callable[[JournalRow], Callable[[], None] | None]
"""What it has done is taken back by what it returns, if anything."""


class Journal:
    """Table `Journal`, one partition for each order. May be shared by threads and written by several processes.

    Two threads of a process may write the same order: what an epoch that is over had begun goes on in its thread while
    the process, holding the lease once more, is given the same report again.
    """

    def __init__(self, tables: Tables, before_trade: BeforeTrade | None = None) -> None:
        """`before_trade` hears of each new trade, bust and correction just before its row is inserted."""
        self._tables = tables
        self._before_trade = before_trade
        self._known: dict[str, _Known] = {}

    def append(
        self,
        order_id: str,
        event: VenueEvent,
        *,
        origin: Origin | None,
        symbol: str,
        side: Side,
        received_at: datetime,
        sent_at: datetime | None = None,
    ) -> tuple[JournalRow, bool]:
        """Add a report under the order's next number: its row, and whether it is new. A repeat finds the first's.

        `origin` None: it came in no message of the venue, but is what we ourselves say of a ClOrdID, once for each.
        """
        marks = _marks(event, origin)
        known = self._known.get(order_id)
        if known is None:
            known = self._remember(order_id)
        tell_before = self._before_trade if origin is not None and isinstance(event, Trade) else None
        if tell_before is not None and known.last == 0:
            self._read_up(order_id, known, 0)  # a repeat must not be told of
        announced: JournalRow | None = None
        take_back: Callable[[], None] | None = None
        while True:
            last = known.last  # before the search: what another thread adds after it refuses the insert
            earlier = known.find(marks)
            if earlier is not None:
                if take_back is not None and earlier != announced:
                    take_back()  # another writer was faster, and what it has announced may be settled already
                return earlier, False
            row = JournalRow(
                order_id=order_id,
                number=last + 1,
                event=event,
                symbol=symbol,
                side=side,
                received_at=received_at,
                sent_at=sent_at,
            )
            if tell_before is not None:
                announced, take_back = row, tell_before(row) or take_back
            try:
                inserted = self._insert(row, marks)
            except AzureError:
                self._known.pop(order_id, None)  # nobody knows whether it is there: the next try reads what is
                raise
            if inserted:
                known.add(row, marks)
                return row, True
            self._read_up(order_id, known, last)

    def forget(self) -> None:
        """Others may have written since: read what there is, instead of remembering it."""
        self._known = {}

    def find(self, order_id: str, event: VenueEvent, origin: Origin) -> JournalRow | None:
        """The row that a report has already."""
        marks = set(_marks(event, origin))
        found = (entity for entity in self._entities(order_id, 0) if marks & set(str(entity["marks"]).split()))
        return next(map(_row, found), None)

    def read(self, order_id: str, after: int = 0) -> list[JournalRow]:
        """The order's rows with numbers above `after`, in order."""
        return [_row(entity) for entity in self._entities(order_id, after)]

    def written_at(self, row: JournalRow) -> datetime | None:
        """When the row was inserted, by the clock of storage."""
        return self._tables.journal.get_entity(table_key(row.order_id), _key(row.number)).metadata["timestamp"]

    def all_rows(self) -> Iterator[JournalRow]:
        """Every row of every order, by order and number. Reads the whole table: for reports and reconciliation."""
        return (_row(entity) for entity in self._tables.journal.list_entities())

    def orphans(self) -> list[list[JournalRow]]:
        """The rows of each order that nobody knows, in order."""
        found = self._tables.journal.query_entities(_IS_ORPHAN)
        return [list(rows) for _, rows in groupby(map(_row, found), key=lambda row: row.order_id)]

    def _insert(self, row: JournalRow, marks: list[str]) -> bool:
        try:
            self._tables.journal.create_entity(
                {
                    "PartitionKey": table_key(row.order_id),
                    "RowKey": _key(row.number),
                    "row": msgspec.json.encode(row).decode(),
                    "marks": " ".join(marks),
                }
            )
        except ResourceExistsError:
            return False
        return True

    def _entities(self, order_id: str, after: int) -> Iterator[Row]:
        partition = table_key(order_id)
        return iter(self._tables.journal.query_entities(f"PartitionKey eq '{partition}' and RowKey gt '{_key(after)}'"))

    def _read_up(self, order_id: str, known: _Known, after: int) -> None:
        for entity in self._entities(order_id, after):
            known.add(_row(entity), str(entity["marks"]).split())

    def _remember(self, order_id: str) -> _Known:
        """Nothing is known at first: if there are rows, the first insert is refused, and they are read."""
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)), None)
        return self._known.setdefault(order_id, _Known())


def _row(entity: Row) -> JournalRow:
    return msgspec.json.decode(entity["row"], type=JournalRow)


def _key(number: int) -> str:
    return f"j|{number:08}"


def _marks(event: VenueEvent, origin: Origin | None) -> list[str]:
    if origin is None:
        return [f"own|{table_key(event.cl_ord_id)}"]
    marks = [f"message|{table_key(origin.session)}|{origin.generation}|{origin.number}"]
    if isinstance(event, Trade):
        marks.append(f"trade|{event.at.date().isoformat()}|{table_key(event.exec_id)}")
    return marks
