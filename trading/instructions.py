"""What our own side has told an open order, numbered without gaps."""

from datetime import datetime

import msgspec

from trading.events import Instruction


class InstructionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction. `order_id` and `number` (1, 2, 3, ...) are its key."""

    order_id: str
    number: int
    instruction: Instruction
    at: datetime | None = None
    """When it was kept, by the machine's clock; None in a row from before rows had it."""
