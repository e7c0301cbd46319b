"""Rows that came into the journal after their order's end, and of which nobody was told.

A report is written down in a thread, which goes on where the epoch that had it is over: its wake-up was cancelled then.
The next holder is given the report once more by the venue, and repeats the wake-up; unless the session's numbers have
begun again. For an order that is open the sweep notices. Of one that has ended nobody else looks at the journal.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from gateway.journal import Journal
from gateway.outbox import Outbox
from storage.orders import OrderRegister
from trading.journal import JournalRow

_READERS = 8


def rows_after_the_end(
    outbox: Outbox, register: OrderRegister, journal: Journal, now: datetime
) -> list[list[JournalRow]]:
    """By order, what the journal has of it after its last end; of those that have ended and are in the outbox still.

    The register is not ordered by time, and to go through all of it is too much. An order leaves the outbox when it has
    ended and OUTBOX_DAYS are over: looked for once a day, before that, each is found once at least. Goes through
    the whole outbox. Raises AzureError.
    """

    def rows_of(order_id: str) -> list[JournalRow]:
        order = register.get(order_id)
        ended = order.last_end() if order is not None and order.record is not None else None
        return [] if ended is None else journal.read(order_id, after=ended.last_number)

    order_ids = dict.fromkeys(stored.entry.order_id for stored in outbox.done_before(now))
    with ThreadPoolExecutor(_READERS) as readers:
        return [rows for rows in readers.map(rows_of, order_ids) if rows]
