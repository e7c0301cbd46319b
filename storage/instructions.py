"""What our own side tells open orders: kept beside the order's row, so that a lost event loses nothing."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from azure.core.exceptions import ResourceExistsError

from storage.tables import Row, Tables, table_key
from trading.events import Instruction
from trading.instructions import InstructionRow

_REMEMBERED = 10_000


class Instructions:
    """Rows in the order's partition of table `Orders`, numbered 1, 2, 3 without gaps.

    May be shared by threads and written by several processes.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._last: dict[str, int] = {}
        """The last number that this process knows of, by order."""

    def append(self, order_id: str, instruction: Instruction) -> InstructionRow:
        """Keep an instruction under the order's next number.

        Raises:
            AzureError: unknown whether it is kept. Telling an order the same thing twice does no harm.
        """
        last, token, now = self._last.get(order_id, 0), uuid.uuid4().hex, datetime.now(UTC)
        while True:
            row = InstructionRow(order_id=order_id, number=last + 1, instruction=instruction, at=now)
            if self._insert(row, token):
                break
            # There is one already: somebody else's, or our own, where the client has tried again for want of an answer.
            later = list(self._entities(order_id, last))
            if later[0]["token"] == token:
                break
            last += len(later)
        if len(self._last) >= _REMEMBERED:
            self._last.pop(next(iter(self._last)), None)
        self._last[order_id] = row.number
        return row

    def read(self, order_id: str, after: int = 0) -> list[InstructionRow]:
        """The order's instructions with numbers above `after`, in order."""
        return [msgspec.json.decode(row["row"], type=InstructionRow) for row in self._entities(order_id, after)]

    def _entities(self, order_id: str, after: int) -> Iterator[Row]:
        wanted = f"PartitionKey eq '{table_key(order_id)}' and RowKey gt '{_key(after)}' and RowKey lt 'i}}'"
        return iter(self._tables.orders.query_entities(wanted))

    def _insert(self, row: InstructionRow, token: str) -> bool:
        try:
            self._tables.orders.create_entity(
                {
                    "PartitionKey": table_key(row.order_id),
                    "RowKey": _key(row.number),
                    "row": msgspec.json.encode(row).decode(),
                    "token": token,
                }
            )
        except ResourceExistsError:
            return False
        return True


def _key(number: int) -> str:
    return f"i|{number:08}"
