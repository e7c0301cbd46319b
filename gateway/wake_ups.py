"""From the session's gateway to the durable world: who is told of new rows of the journal."""

import asyncio
import logging
import time
from concurrent.futures import Future
from typing import Any

import azure.durable_functions as df
import msgspec

from gateway.delivery import Wake
from gateway.gateway import gateway
from storage.orders import RegisteredOrder
from storage.services import alerts, instructions, order_register
from trading.events import OrderFilled, OrderReplaced, OrderRestated, TradeBusted, TradeCorrected, VenueEvent
from trading.journal import JournalRow
from trading.messages import EXPOSURE_KEY, LiveStatus, OrderReopened, Payload, Reported, encoded, position_key

_NOBODY_THERE = ("No instance with ID", "is gone")
"""What the SDK's `raise_event` says for 404 and for 410. It has no exception of its own for them."""

_RUNNING = (
    df.OrchestrationRuntimeStatus.Running,
    df.OrchestrationRuntimeStatus.Pending,
    df.OrchestrationRuntimeStatus.ContinuedAsNew,
)
PATIENCE = 60.0
"""Seconds that an orchestration may take to end after it has recorded its order. Then the sweep looks after it."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0

_log = logging.getLogger(__name__)
_resuming: set[asyncio.Task[None]] = set()
"""Held here: the event loop alone does not keep a task alive."""


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
        entities = df.EntityId("position", position_key(row.symbol)), df.EntityId("exposure", EXPOSURE_KEY)
        await asyncio.gather(*(client.signal_entity(entity, "apply", plain) for entity in entities))
    *before, last = rows
    try:
        await client.raise_event(last.order_id, "event", encoded(Reported(row=last, before=before)))
    except Exception as error:
        if not any(sign in str(error) for sign in _NOBODY_THERE):
            raise
    opening = [row for row in rows if _opens_again(row.event)]
    if opening:
        await _resume_if_ended(client, opening)


def _opens_again(event: VenueEvent) -> bool:
    """Whether an order that has ended has something to do by this: a trade, or a child that works again."""
    if isinstance(event, OrderRestated):
        return event.leaves_quantity > 0
    if isinstance(event, OrderReplaced):
        return event.quantity > event.cum_quantity
    return isinstance(event, OrderFilled | TradeBusted | TradeCorrected)


async def _resume_if_ended(client: Any, rows: list[JournalRow]) -> None:
    """Open an order again of which the venue has said this after its end, and start its orchestration from there.

    The register is asked after the event was raised, and not the orchestration: one that is just ending still accepts
    events that it will never look at. Until that one is out of the way the other is tried again, beside the wake-ups of
    all other orders; where it never is, the sweep starts the other.
    """
    resumption = await asyncio.to_thread(_reopened, rows)
    if resumption is None:
        return
    # Now, and not only when the orchestration runs: a halt must not close beside it what it holds.
    reopened = OrderReopened(order_id=rows[0].order_id)
    await client.signal_entity(df.EntityId("exposure", EXPOSURE_KEY), "reopen", encoded(reopened))
    if not await _start(client, rows[0].order_id, resumption):
        resuming = asyncio.create_task(_resume_later(client, rows))
        _resuming.add(resuming)
        resuming.add_done_callback(_resuming.discard)


async def _resume_later(client: Any, rows: list[JournalRow]) -> None:
    order_id = rows[0].order_id
    pause, deadline = _FIRST_PAUSE, time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        try:
            resumption = await asyncio.to_thread(_reopened, rows)
            if resumption is None or await _start(client, order_id, resumption):
                return
        except Exception:
            _log.exception("%s could not be started again; it will be tried again", order_id)
    _log.warning("%s has not ended yet, and the sweep will start it again", order_id)


def _reopened(rows: list[JournalRow]) -> Payload | None:
    """What the order's orchestration is to be started with, after its record was taken back; None where it need not."""
    order_id = rows[0].order_id
    if not order_register().has_ended(order_id):
        return None
    order = order_register().get(order_id)
    ended = None if order is None else order.last_end()
    if order is None or ended is None:
        return None  # of an order that nobody knows the gateway has told already
    late = [row for row in rows if row.number > ended.last_number]
    if not late:
        return None
    if order.record is not None:
        for row in late:
            trade = _trade(row)
            if trade:
                text = f"{trade} after the order had ended as {order.record.outcome}; it counts in the position"
                alerts().raise_alert("LATE_EXECUTION", text, order_id, f"LATE_EXECUTION-{row.number}")
        if ended.resumption is not None:
            told = instructions().read(order_id, after=ended.instructed)
            order_register().reopen(order_id, *ended.end, deaf_to=told[-1].number if told else 0)
            return _resumption(order_register().get(order_id))
    return ended.resumption


def _resumption(order: RegisteredOrder | None) -> Payload | None:
    ended = None if order is None else order.last_end()
    return None if ended is None else ended.resumption


async def _start(client: Any, order_id: str, resumption: Payload) -> bool:
    """Whether the order's orchestration runs: this one, or one that is not about to end."""
    try:
        await client.start_new("order", order_id, resumption)
    except Exception:  # the SDK has no exception of its own for 409
        status = await client.get_status(order_id)
        if not status or status.runtime_status not in _RUNNING:
            raise
        live = msgspec.convert(status.custom_status or {}, LiveStatus)
        return live.phase != "ending"
    return True


def _trade(row: JournalRow) -> str:
    """The trade that a row tells of, in words; empty where it tells of none."""
    event = row.event
    if not isinstance(event, OrderFilled | TradeBusted | TradeCorrected):
        return ""
    return f"{type(event).__name__} {row.side} {event.quantity} {row.symbol} at {event.price} ({event.cl_ord_id})"
