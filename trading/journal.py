"""The execution journal's row: what the venue said of one order, numbered without gaps."""

from datetime import datetime

import msgspec

from trading.events import VenueEvent
from trading.orders import Side


class JournalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One report of the venue. `order_id` and `number` (1, 2, 3, ...) are its key; `event` is what was said."""

    order_id: str
    number: int
    event: VenueEvent
    symbol: str
    side: Side
    received_at: datetime
    """When the report arrived, by the machine's clock."""
    sent_at: datetime | None = None
    """When the message it answers left, by the machine's clock; None where another process had sent it."""
