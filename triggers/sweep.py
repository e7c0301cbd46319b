"""The second line behind wake-ups: once a minute, what was missed is noticed and made good."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import msgspec

from gateway.hours import opens_at
from gateway.journal import Journal
from gateway.outbox import Outbox
from gateway.translate import named_in
from storage.orders import RegisteredOrder
from storage.services import alerts, instructions, order_register, tables
from storage.settings import settings
from trading.child import OrderStatus
from trading.events import OrderReported
from trading.journal import JournalRow
from trading.messages import EXPOSURE_KEY, LiveStatus, OrderEnded, RecordDetail, Woken, encoded, position_key
from trading.specs import Spec
from trading.stakes import symbols
from triggers.halts import keep_halt
from triggers.instances import is_running, start

GRACE = timedelta(seconds=15)
"""How long an orchestration may take to handle a row before the sweep thinks that it has missed it."""
PATIENCE = timedelta(seconds=60)
"""How long the venue may leave a child's submission or a request about it unanswered, by the clock of machines."""
_EVERY_ORDER = 100_000
_PENDING = frozenset({OrderStatus.PENDING_NEW, OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_REPLACE})
_PENDING_AT_VENUE = frozenset("A6E")
"""ExecType (150): the venue has the request, and says that its answer is still to come."""
_EXPOSURE = df.EntityId("exposure", EXPOSURE_KEY)

bp = df.Blueprint()
_log = logging.getLogger(__name__)


@bp.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=False, use_monitor=False)
@bp.durable_client_input(client_name="client")
async def sweep_orders(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Wakes each open order that has missed something, starts one that was opened again and does not run, alerts on one
    that has died, and on what the venue leaves unanswered; tells the entities again of what they have missed; sees a
    halt through."""
    del timer
    followers = _Followers(client)
    for order in await asyncio.to_thread(order_register().list, open_only=True, limit=_EVERY_ORDER):
        for look in (_look_after(client, order.order_id), followers.tell(order)):
            try:
                await look
            except Exception:
                _log.exception("the sweep could not look after %s; it will be tried again", order.order_id)
    for rest in (_tell_of_orphans(followers), keep_halt(client), _let_go(client)):
        try:
            await rest
        except Exception:
            _log.exception("a part of the sweep failed; it will be tried again")


class _Followers:
    """Positions and exposure, as one sweep sees them: each state is read once.

    A signal whose operation fails is used up, and of an order that works for weeks the next row may be long in coming.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._applied: dict[str, Mapping[str, int]] = {}

    async def tell(self, order: RegisteredOrder) -> None:
        """Tell them of an open order's rows that they have not applied."""
        end = order.last_end()
        ended = 0 if end is None else end.last_number
        traded = symbols(msgspec.json.decode(order.spec_json, type=Spec))
        entities = [_EXPOSURE, *map(_position, traded)]
        after = min([await self._last_applied(entity, order.order_id, ended) for entity in entities])
        await self.follow(await asyncio.to_thread(Journal(tables()).read, order.order_id, after), ended)

    async def follow(self, rows: Sequence[JournalRow], ended: int = 0) -> None:
        """The same of these rows of one order, which last ended with row `ended`."""
        # Who hears of a row reads up those before it.
        last = [(_EXPOSURE, row) for row in rows[-1:]]
        last += [(_position(symbol), row) for symbol, row in {row.symbol: row for row in rows}.items()]
        for entity, row in last:
            if await self._last_applied(entity, row.order_id, ended) < row.number:
                await self._client.signal_entity(entity, "apply", encoded(row))

    async def _last_applied(self, entity: df.EntityId, order_id: str, ended: int) -> int:
        """Of an order that it does not remember, an entity has applied all up to the last end."""
        if str(entity) not in self._applied:
            state = await self._client.read_entity_state(entity)
            self._applied[str(entity)] = state.entity_state["applied"] if state.entity_exists else {}
        return self._applied[str(entity)].get(order_id, ended)


def _position(symbol: str) -> df.EntityId:
    return df.EntityId("position", position_key(symbol))


async def _tell_of_orphans(followers: _Followers) -> None:
    """Of executions of orders that nobody here knows, which no end of an order will make sure of."""
    for rows in await asyncio.to_thread(Journal(tables()).orphans):
        await followers.follow(rows)


async def _let_go(client: Any) -> None:
    """Have exposure forget orders that have ended: the signal that says so at an order's end may have been lost."""
    state = await client.read_entity_state(_EXPOSURE)
    if not state.entity_exists:
        return
    for order_id in state.entity_state["exposure"].get("reservations", {}):
        try:
            ended = await asyncio.to_thread(_end_of, order_id)
            # Where more is applied than the record knows of, the order is about to be opened again.
            if ended is not None and state.entity_state["applied"].get(order_id, 0) <= ended.last_number:
                await client.signal_entity(_EXPOSURE, "forget", encoded(ended))
        except Exception:
            _log.exception("the sweep could not have exposure forget %s; it will be tried again", order_id)


def _end_of(order_id: str) -> OrderEnded | None:
    order = order_register().get(order_id)
    if order is None or order.record is None:
        return None
    last = msgspec.json.decode(order.record.detail, type=RecordDetail).last_number
    return OrderEnded(order_id=order_id, symbol="", last_number=last)


async def _look_after(client: Any, order_id: str) -> None:
    status = await client.get_status(order_id)
    if not is_running(status):
        await _look_into(client, order_id, status)
        return
    live = msgspec.convert(status.custom_status, LiveStatus) if status.custom_status else LiveStatus()
    if await asyncio.to_thread(_has_missed_something, order_id, live):
        await client.raise_event(order_id, "event", encoded(Woken()))
    # Out of hours nothing is asked of the venue: what waits for the next window is no silence of its.
    is_open = opens_at(settings().fix_schedule, datetime.now(UTC)) is None
    if is_open and any(child.status in _PENDING for child in live.children):
        await asyncio.to_thread(_alert_on_unanswered, order_id)


async def _look_into(client: Any, order_id: str, status: Any) -> None:
    """An order whose orchestration does not run, unless it has just ended."""
    order: RegisteredOrder | None = await asyncio.to_thread(order_register().get, order_id)
    if order is None or order.record is not None:
        return
    ended = order.last_end()
    has_failed = bool(status) and status.runtime_status is not df.OrchestrationRuntimeStatus.Completed
    if ended is not None and ended.resumption is not None and not has_failed:
        await start(client, "order", order_id, ended.resumption)
        return
    found = status.runtime_status.name if status else "missing"
    text = f"the order is open and its orchestration is {found}: nobody looks after it"
    # Each death by itself: somebody may have brought the orchestration back since the last one.
    died = status.last_updated_time if status else f"missing-{ended.last_number if ended else 0}"
    await asyncio.to_thread(alerts().raise_alert, "ORDER_UNATTENDED", text, order_id, f"ORDER_UNATTENDED-{died}")


def _has_missed_something(order_id: str, live: LiveStatus) -> bool:
    if instructions().read(order_id, after=live.instructed):
        return True
    now = datetime.now(UTC)
    # What is written down for later than now was written by a clock that was wrong, and says nothing.
    return any(not now - GRACE <= row.received_at <= now for row in Journal(tables()).read(order_id, after=live.seen))


def _alert_on_unanswered(order_id: str) -> None:
    now = datetime.now(UTC)
    for cl_ord_id, since in _unanswered(order_id).items():
        if now - since > PATIENCE:
            text = f"{cl_ord_id}: no answer of the venue since {since.isoformat(timespec='seconds')}"
            alerts().raise_alert("NO_ANSWER", text, order_id, f"NO_ANSWER-{cl_ord_id}")


def _unanswered(order_id: str) -> dict[str, datetime]:
    """Since when each ClOrdID waits for its answer: by the outbox where the venue has said nothing of it, by the
    journal where it has said no more than that the answer is pending."""
    unfinished = Outbox(tables(), settings().session).unfinished(order_id=order_id)
    since = {stored.entry.cl_ord_id: stored.written_at for stored in unfinished}
    for row in Journal(tables()).read(order_id):
        for cl_ord_id in named_in(row.event):
            since.pop(cl_ord_id, None)
        if isinstance(row.event, OrderReported) and row.event.exec_type in _PENDING_AT_VENUE:
            since[row.event.cl_ord_id] = row.received_at
    return since
