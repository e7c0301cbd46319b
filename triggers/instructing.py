"""How our own side tells an open order something."""

import asyncio
import logging
from typing import Any

from storage.services import instructions
from trading.events import Instruction
from trading.instructions import InstructionRow
from trading.messages import Instructed, encoded

_PAUSES = (0.05, 0.2, 0.5)
"""Seconds between the attempts to wake an order: a stop that is kept here is not to wait a minute for the sweep."""

_log = logging.getLogger(__name__)


async def tell(client: Any, order_id: str, instruction: Instruction) -> InstructionRow:
    """Keep an instruction, and wake the order with it. `client` is the durable client.

    What is kept cannot be lost: where the event does not come through, the sweep wakes the order.

    Raises:
        AzureError: unknown whether it is kept. It may be repeated.
    """
    row = await asyncio.to_thread(instructions().append, order_id, instruction)
    await wake(client, row)
    return row


async def wake(client: Any, row: InstructionRow) -> None:
    """Wake an order with an instruction that is kept."""
    order_id = row.order_id
    for pause in (*_PAUSES, None):
        try:
            await client.raise_event(order_id, "event", encoded(Instructed(row=row)))
            break
        except Exception:
            if pause is None:
                _log.exception("instruction %d of %s is kept, and the sweep will tell the order", row.number, order_id)
                break
        await asyncio.sleep(pause)
