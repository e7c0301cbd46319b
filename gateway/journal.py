"""The execution journal: what the venue said of each order, numbered without gaps, each report once.

Nothing fences it. A report is true whoever writes it down, and every way in which it can come twice is recognised by
a marker row that is written in the same transaction: the number of its message in the session, and for trades the
ExecID (17) of the trading day, since a venue may send a trade again in a message of a new number.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableTransactionError

from storage.tables import Tables, creating, table_key
from trading.events import OrderFilled, TradeBusted, TradeCorrected, VenueEvent
from trading.journal import JournalRow
from trading.orders import Side

_ROWS = "RowKey ge 'j|' and RowKey lt 'j}'"
_REMEMBERED = 100_000


class Origin(msgspec.Struct, frozen=True):
    """The message that a report came in: session, how often its numbers were reset, MsgSeqNum (34)."""

    session: str
    generation: int
    number: int


class Journal:
    """Table `Journal`, one partition for each order. May be shared by threads and written by several processes."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._last: dict[str, int] = {}  # a guess, and never above the truth: rows are never taken out

    def append(
        self,
        order_id: str,
        event: VenueEvent,
        *,
        origin: Origin,
        symbol: str,
        side: Side,
        received_at: datetime,
        sent_at: datetime | None = None,
    ) -> tuple[JournalRow, bool]:
        """Add a report under the order's next number: its row, and whether it is new. A repeat finds the first's."""
        markers = [_message_marker(origin)]
        if isinstance(event, OrderFilled | TradeBusted | TradeCorrected):
            markers.append(_trade_marker(event))
        while True:
            row = JournalRow(
                order_id=order_id,
                number=self._last.get(order_id, 0) + 1,
                event=event,
                symbol=symbol,
                side=side,
                received_at=received_at,
                sent_at=sent_at,
            )
            if self._insert(row, markers):
                self._remember(order_id, row.number)
                return row, True
            earlier = self._written_earlier(order_id, markers)
            if earlier is not None:
                return earlier, False
            self._remember(order_id, self._last_number(order_id))

    def read(self, order_id: str, after: int = 0) -> list[JournalRow]:
        """The order's rows with numbers above `after`, in order."""
        return [
            msgspec.json.decode(entity["row"], type=JournalRow)
            for entity in self._tables.journal.query_entities(
                f"PartitionKey eq '{table_key(order_id)}' and RowKey gt '{_row_key(after)}' and RowKey lt 'j}}'"
            )
        ]

    def all_rows(self) -> Iterator[JournalRow]:
        """Every row of every order, by order and number. Reads the whole table: for reports and reconciliation."""
        for entity in self._tables.journal.query_entities(_ROWS):
            yield msgspec.json.decode(entity["row"], type=JournalRow)

    def _insert(self, row: JournalRow, markers: list[str]) -> bool:
        partition = table_key(row.order_id)
        text = msgspec.json.encode(row).decode()
        operations = [
            creating({"PartitionKey": partition, "RowKey": _row_key(row.number), "row": text}),
            *(creating({"PartitionKey": partition, "RowKey": key, "number": row.number}) for key in markers),
        ]
        try:
            self._tables.journal.submit_transaction(operations)
        except TableTransactionError as error:
            if error.status_code != 409:
                raise
            return False
        return True

    def _written_earlier(self, order_id: str, markers: list[str]) -> JournalRow | None:
        partition = table_key(order_id)
        for key in markers:
            try:
                number = int(self._tables.journal.get_entity(partition, key)["number"])
            except ResourceNotFoundError:
                continue
            entity = self._tables.journal.get_entity(partition, _row_key(number))
            return msgspec.json.decode(entity["row"], type=JournalRow)
        return None

    def _last_number(self, order_id: str) -> int:
        last = self._last.get(order_id, 0)
        for entity in self._tables.journal.query_entities(
            f"PartitionKey eq '{table_key(order_id)}' and RowKey gt '{_row_key(last)}' and RowKey lt 'j}}'",
            select=["RowKey"],
        ):
            last = int(str(entity["RowKey"]).removeprefix("j|"))
        return last

    def _remember(self, order_id: str, number: int) -> None:
        self._last[order_id] = max(number, self._last.get(order_id, 0))
        if len(self._last) > _REMEMBERED:
            self._last.pop(next(iter(self._last)), None)


def _row_key(number: int) -> str:
    return f"j|{number:08}"


def _message_marker(origin: Origin) -> str:
    return f"i|{table_key(origin.session)}|{origin.generation:06}|{origin.number:010}"


def _trade_marker(event: OrderFilled | TradeBusted | TradeCorrected) -> str:
    return f"x|{event.at.date().isoformat()}|{table_key(event.exec_id)}"
