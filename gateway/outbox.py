"""The outbox: every order, replace and cancel that was handed in, and how far it has come.

    pending <─> claimed(epoch) ──> sent(number, time) ──> acknowledged
       │           └──────────────────┴──> given_up ──┘
       └─────> dead

Only a holder of the lease claims, and no byte leaves before the row says `claimed` by its own epoch. Only what is
pending may become dead: of what is claimed, nobody but the venue can say whether it has left. The one exception is the
holder that has claimed it, not sent it, and logged out: it may make it pending again. That it was sent is written down
with whatever is written next, so a row that says `claimed` may have been sent as well: a successor takes both alike.
What is not at the venue and no longer wanted is given up by the holder before anybody is told: so no later holder sends
it, and one that has been followed, and does not know, says nothing of what its successor has sent. Beside each row that
is neither acknowledged nor dead there is a row of an index, so that neither poll nor take-over reads what is long done.
"""

from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Literal

import msgspec
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity, TableTransactionError

from storage.tables import Operation, Row, Tables, creating, deleting, merging, replacing, table_key
from trading.commands import VenueCommand

State = Literal["pending", "claimed", "sent", "given_up", "acknowledged", "dead"]
UNCERTAIN = frozenset[State]({"claimed", "sent"})
"""What an epoch has claimed, and nobody has written down yet what became of it."""

_INDEX = "w|"
_READERS = 8


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One message to the venue. `at` becomes its TransactTime (60); `epoch` is the claiming holder's.

    `number` and `sent_at` are MsgSeqNum (34) and the machine's time of the last sending that is known of. `reason` says
    why it was given up.
    """

    order_id: str
    command: VenueCommand
    at: datetime
    state: State = "pending"
    epoch: int = 0
    number: int = 0
    sent_at: datetime | None = None
    reason: str = ""

    @property
    def cl_ord_id(self) -> str:
        return self.command.cl_ord_id

    @property
    def place(self) -> tuple[str, int, str]:
        """Sorts by order, then by the counter of its ClOrdIDs (`….s2` before `….x10`): the order to send in."""
        counter = "".join(character for character in self.cl_ord_id.rpartition(".")[2] if character.isdigit())
        return self.order_id, int(counter or 0), self.cl_ord_id


class Stored(msgspec.Struct, frozen=True):
    """An entry as storage has it, and when it was last written, by the clock of storage."""

    entry: Entry
    etag: str
    written_at: datetime


class Outbox:
    """The rows `o|{ClOrdID}` in the session's partition of table `Sessions`. Calls block; may be shared by threads."""

    def __init__(self, tables: Tables, session: str) -> None:
        self._tables = tables
        self._session = session

    def read(self, cl_ord_id: str) -> Stored | None:
        try:
            row = self._tables.sessions.get_entity(self._session, _key(cl_ord_id))
        except ResourceNotFoundError:
            return None
        return _stored(row)

    def insert(self, entry: Entry) -> Entry:
        """Put in a pending (or already dead) entry, without the lease; or the one there is of its ClOrdID."""
        try:
            self._tables.sessions.submit_transaction(self._creating(entry))
        except TableTransactionError as error:
            existing = self.read(entry.cl_ord_id) if error.status_code == 409 else None
            if existing is None:
                raise
            return existing.entry
        return entry

    def withdraw(self, cl_ord_id: str) -> bool:
        """Whether the entry is dead, having been pending until now or dead before: it never left and never will."""
        while True:
            stored = self.read(cl_ord_id)
            if stored is None or stored.entry.state != "pending":
                return stored is not None and stored.entry.state == "dead"
            try:
                self._tables.sessions.submit_transaction(self.burying(stored))
            except TableTransactionError as error:
                if error.status_code not in (404, 409, 412):
                    raise
            else:
                return True

    def unfinished(self, known: Container[str] = (), order_id: str = "") -> list[Stored]:
        """What is neither acknowledged nor dead, in the order to send in; of one order or all, without `known`."""
        first, end = (f"{_index_key(order_id)}.", f"{_index_key(order_id)}/") if order_id else (_INDEX, "w}")
        index = self._tables.sessions.query_entities(
            f"PartitionKey eq '{self._session}' and RowKey ge '{first}' and RowKey lt '{end}'"
        )
        wanted = [row["cl_ord_id"] for row in index if row["cl_ord_id"] not in known]
        with ThreadPoolExecutor(_READERS) as readers:  # after a crash in a busy hour there may be hundreds
            found = list(readers.map(self.read, wanted))
        stored = [entry for entry in found if entry is not None and entry.entry.state not in ("acknowledged", "dead")]
        return sorted(stored, key=lambda one: one.entry.place)

    def of_order(self, order_id: str) -> list[Entry]:
        """All that was ever handed in of an order."""
        key = _key(order_id)
        rows = self._tables.sessions.query_entities(
            f"PartitionKey eq '{self._session}' and RowKey ge '{key}.' and RowKey lt '{key}/'"
        )
        return [msgspec.json.decode(row["entry"], type=Entry) for row in rows]

    def done_before(self, before: datetime) -> Iterator[Stored]:
        """What was acknowledged or dead by then, by the clock of storage. Goes through the whole outbox."""
        rows = self._tables.sessions.query_entities(
            f"PartitionKey eq '{self._session}' and RowKey ge 'o|' and RowKey lt 'o}}' and Timestamp lt @before"
            " and (state eq 'acknowledged' or state eq 'dead')",
            parameters={"before": before},
        )
        return (_stored(row) for row in rows)

    def remove(self, done: Sequence[Stored]) -> None:
        """Take rows away, 100 at most, all or none. Raises TableTransactionError where one has changed."""
        self._tables.sessions.submit_transaction(
            [deleting(self._session, _key(each.entry.cl_ord_id), each.etag) for each in done]
        )

    def claiming_new(self, entry: Entry, epoch: int) -> list[Operation]:
        """For the holder: put the entry in as claimed; refused where its ClOrdID is there already."""
        return self._creating(msgspec.structs.replace(entry, state="claimed", epoch=epoch))

    def claiming(self, stored: Stored, epoch: int) -> list[Operation]:
        """For the holder: claim what is pending, or claim anew what an older epoch had claimed."""
        return [replacing(self._row(msgspec.structs.replace(stored.entry, state="claimed", epoch=epoch)), stored.etag)]

    def giving_back(self, entry: Entry) -> list[Operation]:
        """For the holder: what it has claimed itself for the first time, and will not send, is pending again."""
        return [merging(self._row(msgspec.structs.replace(entry, state="pending", epoch=0)))]

    def noting_sent(self, entry: Entry) -> list[Operation]:
        """For the holder: it has left, under the number and at the time that the entry has."""
        return [merging(self._row(msgspec.structs.replace(entry, state="sent")))]

    def giving_up(self, entry: Entry) -> list[Operation]:
        """For the holder: the venue does not have what this epoch has claimed, and it will not be sent any more."""
        return [merging(self._row(msgspec.structs.replace(entry, state="given_up")))]

    def acknowledging(self, entry: Entry) -> list[Operation]:
        """For the holder: what became of it is known, and written down."""
        row = self._row(msgspec.structs.replace(entry, state="acknowledged"))
        return [merging(row), deleting(self._session, _index_key(entry.cl_ord_id))]

    def burying(self, stored: Stored) -> list[Operation]:
        """What is pending becomes dead; refused where it has been claimed."""
        return [
            replacing(self._row(msgspec.structs.replace(stored.entry, state="dead")), stored.etag),
            deleting(self._session, _index_key(stored.entry.cl_ord_id)),
        ]

    def _creating(self, entry: Entry) -> list[Operation]:
        operations = [creating(self._row(entry))]
        if entry.state != "dead":
            index = {"PartitionKey": self._session, "RowKey": _index_key(entry.cl_ord_id)}
            operations.append(creating({**index, "cl_ord_id": entry.cl_ord_id}))
        return operations

    def _row(self, entry: Entry) -> Row:
        return {
            "PartitionKey": self._session,
            "RowKey": _key(entry.cl_ord_id),
            "state": entry.state,
            "epoch": entry.epoch,
            "entry": msgspec.json.encode(entry).decode(),
        }


def _stored(row: TableEntity) -> Stored:
    written_at = row.metadata["timestamp"]
    assert written_at is not None, "every row that is read has one"
    return Stored(msgspec.json.decode(row["entry"], type=Entry), str(row.metadata["etag"]), written_at)


def _key(cl_ord_id: str) -> str:
    return f"o|{table_key(cl_ord_id)}"


def _index_key(cl_ord_id: str) -> str:
    return f"{_INDEX}{table_key(cl_ord_id)}"
