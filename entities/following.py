"""How an entity follows the journal: each row once, in order for each order, whatever the signals do.

An entity keeps the number of the last row it has applied for each order. It forgets it when the order has ended: from
then on the register counts, which knows the order's last end, also where it is open again. An end is written there only
after each entity's state has shown that it has applied all of the order's rows. Nothing durable is written from inside
an entity: the host may carry out a batch a second time, from the state before it, and what was written on the way would
speak of a state that never was.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from gateway.journal import Journal
from storage.services import order_register, tables
from trading.events import OrderFilled, TradeBusted, TradeCorrected
from trading.identity import is_entry
from trading.journal import JournalRow
from trading.messages import OrderEnded
from trading.orders import Side
from trading.projection import rows_to_apply

Applied = dict[str, int]
"""The number of the last row applied, by order."""


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """What a row changes in a position: a trade to count, or one to take back."""

    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    uses_reservation: bool = False
    """Whether it is a fill of the entry, for which exposure was reserved."""
    is_busted: bool = False


def rows_up_to(applied: Applied, row: JournalRow) -> list[JournalRow]:
    """The rows to apply when `row` arrives: it, or none, or with it those that were missed."""
    last = _last_applied(applied, row.order_id)
    return rows_to_apply(last, row, lambda after: Journal(tables()).read(row.order_id, after=after))


def rows_missing(applied: Applied, ended: OrderEnded) -> list[JournalRow]:
    """The rows to apply when an order has ended, so that nothing of it is missing."""
    last = _last_applied(applied, ended.order_id)
    if last >= ended.last_number:
        return []
    return Journal(tables()).read(ended.order_id, after=last)


def rows_since(applied: Applied, order_id: str) -> list[JournalRow]:
    """All of an order's rows that are not applied yet."""
    return Journal(tables()).read(order_id, after=_last_applied(applied, order_id))


def _last_applied(applied: Applied, order_id: str) -> int:
    if order_id in applied:
        return applied[order_id]
    order = order_register().get(order_id)
    ended = None if order is None else order.last_end()
    return 0 if ended is None else ended.last_number


def advanced(applied: Applied, rows: Sequence[JournalRow]) -> Applied:
    """The map after these rows."""
    return applied | {row.order_id: row.number for row in rows}


def forgetting(applied: Applied, ended: OrderEnded) -> Applied:
    """The map without an ended order, unless more of it was applied than its record knows of."""
    if applied.get(ended.order_id, 0) > ended.last_number:
        return applied
    return {order_id: number for order_id, number in applied.items() if order_id != ended.order_id}


def trades_of(row: JournalRow) -> list[Trade]:
    """What the row changes in the position of its symbol."""
    event = row.event
    if isinstance(event, OrderFilled):
        return [_trade(row, event, uses_reservation=is_entry(event.cl_ord_id))]
    if isinstance(event, TradeBusted):
        return [_trade(row, event, is_busted=True)]
    if isinstance(event, TradeCorrected):
        before = _corrected(row, event.ref_exec_id)
        return [*([_trade(row, before, is_busted=True)] if before else []), _trade(row, event)]
    return []


def _corrected(row: JournalRow, exec_id: str) -> OrderFilled | TradeCorrected | None:
    """The trade that a correction replaces; None where the venue corrects one that it never reported."""
    for earlier in reversed(Journal(tables()).read(row.order_id)):
        event = earlier.event
        if earlier.number < row.number and isinstance(event, OrderFilled | TradeCorrected) and event.exec_id == exec_id:
            return event
    return None


def _trade(
    row: JournalRow,
    event: OrderFilled | TradeBusted | TradeCorrected,
    *,
    uses_reservation: bool = False,
    is_busted: bool = False,
) -> Trade:
    return Trade(
        order_id=row.order_id,
        symbol=row.symbol,
        side=row.side,
        quantity=event.quantity,
        price=event.price,
        uses_reservation=uses_reservation,
        is_busted=is_busted,
    )
