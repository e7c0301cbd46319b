"""What our own side tells open orders: kept beside the order's row, so that a lost event loses nothing."""

import msgspec
from azure.core.exceptions import ResourceExistsError

from storage.tables import Tables, table_key
from trading.events import Instruction
from trading.instructions import InstructionRow


class Instructions:
    """Rows in the order's partition of table `Orders`, numbered 1, 2, 3 without gaps.

    May be shared by threads and written by several processes.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def append(self, order_id: str, instruction: Instruction) -> InstructionRow:
        """Keep an instruction under the order's next number.

        Raises:
            AzureError: unknown whether it is kept. Telling an order the same thing twice does no harm.
        """
        earlier = self.read(order_id)
        while True:
            row = InstructionRow(order_id=order_id, number=len(earlier) + 1, instruction=instruction)
            try:
                self._tables.orders.create_entity(
                    {
                        "PartitionKey": table_key(order_id),
                        "RowKey": _key(row.number),
                        "row": msgspec.json.encode(row).decode(),
                    }
                )
            except ResourceExistsError:
                # Somebody else's, or our own: the client tries again when the answer to its insert is lost.
                earlier += self.read(order_id, after=len(earlier))
                if row in earlier:
                    return row
            else:
                return row

    def read(self, order_id: str, after: int = 0) -> list[InstructionRow]:
        """The order's instructions with numbers above `after`, in order."""
        wanted = f"PartitionKey eq '{table_key(order_id)}' and RowKey gt '{_key(after)}' and RowKey lt 'i}}'"
        rows = self._tables.orders.query_entities(wanted)
        return [msgspec.json.decode(row["row"], type=InstructionRow) for row in rows]


def _key(number: int) -> str:
    return f"i|{number:08}"
