"""What is done does not stay in the outbox for ever, nor beside it.

A row goes when it was acknowledged or dead for `OUTBOX_DAYS` and its order has ended. Until then a repeat of its
submission finds the row. From then on it finds that the order has ended since: what an order handed in before its end
is not sent after it, whatever the outbox has, also where a late trade has opened the order again.
"""

import logging
from datetime import UTC, datetime, timedelta
from functools import cache

from azure.data.tables import TableTransactionError

from gateway.copies import forget_before
from gateway.outbox import Entry, Outbox, Stored
from storage.clock import market_now
from storage.orders import OrderRegister
from storage.reconciliations import Reconciliations
from storage.settings import Settings
from storage.tables import Tables
from storage.watches import Watches

_log = logging.getLogger("gateway.purging")

_AT_ONCE = 100
_SURELY_THERE = timedelta(hours=12)
"""No row goes before its submission is this old, by any machine's clock: OUTBOX_DAYS is 1 at least."""


def purge(outbox: Outbox, register: OrderRegister, settings: Settings, now: datetime | None = None) -> int:
    """Remove what is done for long enough; how many rows. `now` is the machine's time.

    What changes meanwhile stays, and what could not be removed is found by the next run. Raises AzureError.
    """
    days = timedelta(days=settings.outbox_days)
    handed_in_before = market_now(settings) - days
    has_ended = cache(lambda order_id: _has_ended(register, order_id))
    removed, batch = 0, list[Stored]()
    for stored in outbox.done_before((now or datetime.now(UTC)) - days):
        if stored.entry.at < handed_in_before and has_ended(stored.entry.order_id):
            batch.append(stored)
        if len(batch) == _AT_ONCE:
            removed += _remove(outbox, batch)
            batch.clear()
    return removed + (_remove(outbox, batch) if batch else 0)


def purge_records(tables: Tables, settings: Settings, now: datetime | None = None) -> int:
    """Remove what is as old of two things that nothing else ends: what came of each logon's comparison, and trades that
    await their copies, as while the drop copy is out or off for good. Raises AzureError."""
    before = (now or datetime.now(UTC)) - timedelta(days=settings.outbox_days)
    return Reconciliations(tables).remove_before(settings.session, before) + forget_before(tables, before)


def purge_watches(watches: Watches, register: OrderRegister, settings: Settings) -> int:
    """Remove what is left of the prices that orders waited for, where the order has ended for as long; how many.

    Until then a watch that is written late finds that a newer one has ended. Raises AzureError.
    """
    ended_before = market_now(settings) - timedelta(days=settings.outbox_days)

    def is_past(order_id: str) -> bool:
        order = register.get(order_id)
        return order is not None and order.record is not None and order.record.finished_at < ended_before

    return watches.remove(is_past)


def is_past(entry: Entry, register: OrderRegister, settings: Settings) -> bool:
    """Whether an entry was handed in before its order's last end, and its row may be gone: a late repeat.

    Costs nothing where the entry is as new as they are. Raises AzureError.
    """
    if market_now(settings) - entry.at < _SURELY_THERE:
        return False
    order = register.get(entry.order_id)
    record = (order.record or order.taken_back) if order else None
    return record is not None and entry.at <= record.finished_at


def _has_ended(register: OrderRegister, order_id: str) -> bool:
    order = register.get(order_id)
    return order is not None and order.record is not None


def _remove(outbox: Outbox, batch: list[Stored]) -> int:
    try:
        outbox.remove(batch)
    except TableTransactionError as error:
        if error.status_code not in (404, 412):
            raise
        _log.info("rows of the outbox have changed meanwhile, %d stay until the next time", len(batch))
        return 0
    return len(batch)
