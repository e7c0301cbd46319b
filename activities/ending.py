"""The end of an order: positions and exposure have all of it, then its record is written, then they may forget it."""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import azure.durable_functions as df
import msgspec

from gateway.journal import Journal
from storage.orders import OrderRecord
from storage.services import order_register, tables
from trading.exposure import ExposureState
from trading.messages import (
    EXPOSURE_KEY,
    OrderEnded,
    Payload,
    RecordDetail,
    Recording,
    decoded,
    encoded,
    position_key,
)

PATIENCE = 10.0
"""Seconds for an entity to come to it. Then the activity fails, and is done again."""
_FIRST_LOOK = 0.005
_LONGEST_PAUSE = 0.25

bp = df.Blueprint()

_IsDone = Callable[[Any, OrderEnded], bool]
"""Whether an entity's state shows that it is through with an order."""


class EntityBehindError(Exception):
    """An entity has not done in time what it was told. It may be told again."""


@bp.activity_trigger(input_name="payload")
@bp.durable_client_input(client_name="client")
async def end_order(payload: Payload, client: df.DurableOrchestrationClient) -> Payload:
    """Writes how the order ended; `behind` is true, and the order stays open, where the journal has more.

    Before that, the entities have applied all rows: the record is what they go by for an order that they do not
    remember. A signal cannot be answered, and is lost where its operation fails. So their states are looked at until
    they show it; that costs the order's history nothing.

    The journal is looked at once more after the record is written: whoever appends a trade and then finds the order
    finished opens it again (`activities/wake_ups.py`), so a row that comes in between is noticed by one of the two.
    """
    recording = decoded(payload, Recording)
    told = [(df.EntityId("position", position_key(each)), _ended(recording, each)) for each in recording.symbols]
    if told:
        told.append((df.EntityId("exposure", EXPOSURE_KEY), told[0][1]))
    if await asyncio.to_thread(_has_more, recording):
        return {"behind": True}
    if not await asyncio.to_thread(_is_recorded, recording):
        await asyncio.gather(*(_settle(client, entity, ended) for entity, ended in told))
        if await asyncio.to_thread(_record, recording):
            return {"behind": True}
    for entity, ended in told:
        await client.signal_entity(entity, "forget", encoded(ended))
    return {"behind": False}


async def _settle(client: Any, entity: df.EntityId, ended: OrderEnded) -> None:
    """Have an entity apply all of the order, and give its reservation back. Raises `EntityBehindError`."""
    operation, is_done = _SETTLING[entity.name]
    await client.signal_entity(entity, operation, encoded(ended))
    pause, deadline = _FIRST_LOOK, time.monotonic() + PATIENCE
    while True:
        state = await client.read_entity_state(entity)
        if is_done(state.entity_state if state.entity_exists else {}, ended):
            return
        if time.monotonic() > deadline:
            raise EntityBehindError(
                f"{entity.name} {entity.key}: {operation} up to row {ended.last_number} is not done"
            )
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _has_applied(state: Any, ended: OrderEnded) -> bool:
    applied: int = state.get("applied", {}).get(ended.order_id, 0)
    return applied >= ended.last_number


def _has_released(state: Any, ended: OrderEnded) -> bool:
    exposure = msgspec.convert(state.get("exposure", {}), ExposureState)
    reservation = exposure.reservations.get(ended.order_id)
    return _has_applied(state, ended) and (reservation is None or not reservation.stakes)


_SETTLING: dict[str, tuple[str, _IsDone]] = {
    "position": ("catch_up", _has_applied),
    "exposure": ("release", _has_released),
}


def _ended(recording: Recording, symbol: str) -> OrderEnded:
    return OrderEnded(order_id=recording.order_id, symbol=symbol, last_number=recording.last_number)


def _has_more(recording: Recording) -> bool:
    return bool(Journal(tables()).read(recording.order_id, after=recording.last_number))


def _is_recorded(recording: Recording) -> bool:
    """Whether this was done before, up to its answer. The entities may have forgotten the order by now."""
    order = order_register().get(recording.order_id)
    ended = order.last_end() if order and order.record else None
    return ended is not None and ended.last_number == recording.last_number


def _record(recording: Recording) -> bool:
    """Whether the journal has more after all."""
    summary = recording.summary
    detail = RecordDetail(
        last_number=recording.last_number,
        timing=recording.timing,
        children=list(summary.children) if summary else [],
        resumption=recording.resumption,
    )
    record = OrderRecord(
        outcome=recording.outcome,
        text=recording.text,
        filled_quantity=summary.filled_quantity if summary else Decimal(0),
        average_price=summary.average_price if summary else None,
        finished_at=recording.finished_at,
        detail=msgspec.json.encode(detail).decode(),
    )
    order_register().finish(recording.order_id, record)
    behind = _has_more(recording)
    if behind:
        order_register().reopen(recording.order_id, recording.last_number)
    return behind
