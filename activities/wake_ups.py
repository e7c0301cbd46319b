"""From the session's gateway to the durable world: who is told of new rows of the journal."""

import asyncio
from concurrent.futures import Future
from typing import Any

import azure.durable_functions as df
import msgspec

from gateway.delivery import Wake
from gateway.gateway import gateway
from storage.services import alerts, order_register
from trading.events import OrderFilled, TradeBusted, TradeCorrected
from trading.journal import JournalRow
from trading.messages import EXPOSURE_KEY, RecordDetail, Reported, encoded, position_key

_NOBODY_THERE = ("No instance with ID", "is gone")
"""What the SDK's `raise_event` says for 404 and for 410. It has no exception of its own for them."""


def hold_session(client: Any) -> None:
    """Make this process a candidate for the session's lease, with wake-ups through this client. May be repeated.

    To be called on the worker's event loop: wake-ups come from the gateway's thread and run there.
    """
    gateway().start(_waker(client, asyncio.get_running_loop()))


def _waker(client: Any, loop: asyncio.AbstractEventLoop) -> Wake:
    def wake(rows: list[JournalRow]) -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(tell(client, rows), loop)

    return wake


async def tell(client: Any, rows: list[JournalRow]) -> None:
    """Tell the entities and the order's orchestration of rows of one order. Raises unless all have them: then it is to
    be repeated.

    The entities come first: they count what was traded whether or not an orchestration still listens.
    """
    for row in rows:
        plain = encoded(row)
        await client.signal_entity(df.EntityId("position", position_key(row.symbol)), "apply", plain)
        await client.signal_entity(df.EntityId("exposure", EXPOSURE_KEY), "apply", plain)
    *before, last = rows
    try:
        await client.raise_event(last.order_id, "event", encoded(Reported(row=last, before=before)))
    except Exception as error:
        if not any(sign in str(error) for sign in _NOBODY_THERE):
            raise
    for row in rows:
        if isinstance(row.event, OrderFilled | TradeBusted | TradeCorrected):
            await asyncio.to_thread(_notice_late_trade, row)


def _notice_late_trade(row: JournalRow) -> None:
    """Alert on a trade that no lifecycle will handle.

    The register is asked after the event was raised, and not the orchestration: one that is just ending still accepts
    events that it will never look at.
    """
    order = order_register().get(row.order_id)
    if order is None or order.record is None:
        return  # of an order that nobody knows the gateway has told already
    detail = msgspec.json.decode(order.record.detail, type=RecordDetail)
    if row.number > detail.last_number:
        text = f"{_trade(row)} after the order had ended as {order.record.outcome}; it counts in the position"
        alerts().raise_alert("LATE_EXECUTION", text, row.order_id, f"LATE_EXECUTION-{row.number}")


def _trade(row: JournalRow) -> str:
    event = row.event
    assert isinstance(event, OrderFilled | TradeBusted | TradeCorrected)
    return f"{type(event).__name__} {row.side} {event.quantity} {row.symbol} at {event.price} ({event.cl_ord_id})"
