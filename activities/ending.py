"""The end of an order: positions and exposure have all of it, then its record is written, then they may forget it."""

import asyncio
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import azure.durable_functions as df
import msgspec

from gateway.journal import Journal
from storage.orders import OrderRecord
from storage.services import instructions, order_register, tables
from trading.journal import JournalRow
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
_TELL_AFTER = 0.02
_LONGEST_PAUSE = 0.25
_CATCHING_UP = {"position": "catch_up", "exposure": "release"}
"""The operation with which an entity reads what it has missed."""

bp = df.Blueprint()


class EntityBehindError(Exception):
    """An entity has not applied an order's rows in time. It may be looked at again."""


@bp.activity_trigger(input_name="payload")
@bp.durable_client_input(client_name="client")
async def end_order(payload: Payload, client: df.DurableOrchestrationClient) -> Payload:
    """Writes how the order ended; `behind` is true, and the order stays open, where the journal or the instructions
    have more: what the user was told is under way has to be refused at least.

    Before that, the entities have applied all rows: the record is what they go by for an order that they do not
    remember. They are told of each row before the order is, so a look at their states nearly always shows it at once,
    and costs the order's history nothing.

    Both are looked at once more after the record is written: whoever appends a trade and then finds the order
    finished opens it again (`gateway/wake_ups.py`), so a row that comes in between is noticed by one of the two.
    """
    recording = decoded(payload, Recording)
    rows = await asyncio.to_thread(Journal(tables()).read, recording.order_id)
    if (rows and rows[-1].number > recording.last_number) or await asyncio.to_thread(_was_told_more, recording):
        # It may have got as far as the record before its process died.
        await asyncio.to_thread(_take_back, recording)
        return {"behind": True}
    entities = _entities(recording, rows)
    is_recorded, before = await asyncio.to_thread(_ends, recording)
    if not is_recorded:
        missing = [(entity, ended) for entity, ended in entities if ended.last_number > before]
        await asyncio.gather(*(_wait_for(client, entity, ended) for entity, ended in missing))
        if await asyncio.to_thread(_record, recording):
            return {"behind": True}
    for entity, ended in entities:
        # Where this is lost, the sweep says it again: an order that is over must not keep its reservation.
        await client.signal_entity(
            entity, "forget", encoded(msgspec.structs.replace(ended, last_number=recording.last_number))
        )
    return {"behind": False}


def _entities(recording: Recording, rows: Sequence[JournalRow]) -> list[tuple[df.EntityId, OrderEnded]]:
    """Who has a part in the order, and up to which row each is told of it: a position of the rows in its symbol."""
    last = {row.symbol: row.number for row in rows}
    ended = {
        symbol: OrderEnded(order_id=recording.order_id, symbol=symbol, last_number=last.get(symbol, 0))
        for symbol in recording.symbols
    }
    found = [(df.EntityId("position", position_key(symbol)), each) for symbol, each in ended.items()]
    for symbol in recording.symbols[:1]:
        whole = OrderEnded(order_id=recording.order_id, symbol=symbol, last_number=recording.last_number)
        found.append((df.EntityId("exposure", EXPOSURE_KEY), whole))
    return found


async def _wait_for(client: Any, entity: df.EntityId, ended: OrderEnded) -> None:
    """Until an entity has applied its rows of the order. Raises `EntityBehindError`."""
    pause, deadline = _FIRST_LOOK, time.monotonic() + PATIENCE
    is_told = False
    while not await _has_applied(client, entity, ended):
        if time.monotonic() > deadline:
            raise EntityBehindError(f"{entity.name} {entity.key}: row {ended.last_number} is not applied")
        if pause > _TELL_AFTER and not is_told:
            is_told = True  # it may have failed on the row, which then is not told again by anybody else
            await client.signal_entity(entity, _CATCHING_UP[entity.name], encoded(ended))
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _has_applied(client: Any, entity: df.EntityId, ended: OrderEnded) -> bool:
    state = await client.read_entity_state(entity)
    applied: dict[str, int] = state.entity_state["applied"] if state.entity_exists else {}
    return applied.get(ended.order_id, 0) >= ended.last_number


def _ends(recording: Recording) -> tuple[bool, int]:
    """Whether this was done before, up to its answer; and the last row of the order's last end, 0 where it never had
    one. By an end all entities have applied all rows up to it, and may have forgotten the order."""
    order = order_register().get(recording.order_id)
    ended = order.last_end() if order else None
    if order is None or ended is None:
        return False, 0
    this = (recording.last_number, recording.instructed or 0)
    return order.record is not None and ended.end == this, ended.last_number


def _record(recording: Recording) -> bool:
    """Whether more was said after all."""
    summary = recording.summary
    detail = RecordDetail(
        last_number=recording.last_number,
        instructed=recording.instructed or 0,
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
    said_more = bool(Journal(tables()).read(recording.order_id, after=recording.last_number))
    behind = said_more or _was_told_more(recording)
    if behind:
        _take_back(recording)
    return behind


def _take_back(recording: Recording) -> None:
    order_register().reopen(recording.order_id, recording.last_number, recording.instructed or 0)


def _was_told_more(recording: Recording) -> bool:
    instructed = recording.instructed
    return instructed is not None and bool(instructions().read(recording.order_id, after=instructed))
