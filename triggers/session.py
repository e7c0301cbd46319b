"""The FIX session and the watch over the open orders: HTTP and timers."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import msgspec
from azure.functions.warmup import WarmUpContext

from gateway.gateway import gateway
from gateway.hours import opens_at
from gateway.journal import Journal
from gateway.outbox import Outbox
from gateway.purging import purge, purge_records
from gateway.reconcile import Reconciliation
from gateway.translate import named_in
from gateway.wake_ups import hold_session
from storage.orders import RegisteredOrder
from storage.services import alerts, instructions, order_register, reconciliations, tables
from storage.settings import settings
from trading.child import OrderStatus
from trading.events import OrderReported
from trading.messages import EXPOSURE_KEY, LiveStatus, OrderEnded, RecordDetail, Woken, encoded
from triggers.answers import answer, refusal
from triggers.halts import keep_halt
from triggers.instances import is_running, start
from triggers.views import ReconciliationList, Released, ResetView

SESSION_INSTANCE = "fix-session"
GRACE = timedelta(seconds=15)
"""How long an orchestration may take to handle a row before the sweep thinks that it has missed it."""
PATIENCE = timedelta(seconds=60)
"""How long the venue may leave a child's submission or a request about it unanswered, by the clock of machines."""
_EVERY_ORDER = 100_000
_MOST_RECONCILIATIONS = 100
_PENDING = frozenset({OrderStatus.PENDING_NEW, OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_REPLACE})
_PENDING_AT_VENUE = frozenset("A6E")
"""ExecType (150): the venue has the request, and says that its answer is still to come."""

bp = df.Blueprint()
_log = logging.getLogger(__name__)


@bp.route(route="session", methods=["GET"])
async def show_session(req: func.HttpRequest) -> func.HttpResponse:
    """How the FIX session stands, as this process sees it."""
    del req
    return answer(await asyncio.to_thread(gateway().status))


@bp.route(route="session/reset", methods=["POST"])
async def reset_session(req: func.HttpRequest) -> func.HttpResponse:
    """Has both sides' sequence numbers begin again at 1, whichever process holds the session."""
    del req
    await asyncio.to_thread(gateway().reset)
    return answer(ResetView(wanted=True), 202)


@bp.route(route="session/reset", methods=["GET"])
async def show_reset(req: func.HttpRequest) -> func.HttpResponse:
    """Whether such a reset is still to come."""
    del req
    return answer(ResetView(wanted=await asyncio.to_thread(gateway().reset_is_wanted)))


@bp.route(route="session/reconciliations", methods=["GET"])
async def show_reconciliations(req: func.HttpRequest) -> func.HttpResponse:
    """What came of comparing our open orders with the venue's after the last logons, newest first; `limit` for how
    many."""
    limit = req.params.get("limit", "20")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= _MOST_RECONCILIATIONS):
        return refusal(400, "limit", limit, f"has to be a whole number from 1 to {_MOST_RECONCILIATIONS}")
    found = await asyncio.to_thread(reconciliations().list, settings().session, int(limit))
    return answer(
        ReconciliationList(reconciliations=[msgspec.json.decode(each, type=Reconciliation) for each in found])
    )


@bp.route(route="session/drop-copy/reset", methods=["POST"])
async def reset_drop_copy(req: func.HttpRequest) -> func.HttpResponse:
    """Has both sides' sequence numbers of the drop copy begin again at 1. 409 where there is none."""
    del req
    if not await asyncio.to_thread(gateway().reset_drop_copy):
        return refusal(409, "DROP_COPY_SENDER_COMP_ID", "", "has to be set for there to be a drop copy")
    return answer(ResetView(wanted=True), 202)


@bp.route(route="session/release", methods=["POST"])
async def release_orders(req: func.HttpRequest) -> func.HttpResponse:
    """Lets held orders go, in the order of their ClOrdIDs. For replays: 409 unless ORDER_RELEASE=manual."""
    del req
    mode = settings().order_release
    if mode != "manual":
        return refusal(409, "ORDER_RELEASE", mode, "has to be manual for orders to be held and released")
    return answer(Released(released=await asyncio.to_thread(gateway().release)))


@bp.warm_up_trigger(arg_name="warmup")
@bp.durable_client_input(client_name="client")
async def warm_up(warmup: WarmUpContext, client: df.DurableOrchestrationClient) -> None:
    """Makes a new process a candidate for the session's lease before there is any work for it."""
    del warmup
    hold_session(client)


@bp.timer_trigger(arg_name="timer", schedule="*/15 * * * * *", run_on_startup=True, use_monitor=False)
@bp.durable_client_input(client_name="client")
async def supervise_session(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Makes this process a candidate for the session's lease, and starts the session's eternal orchestration where it
    does not run: at the first start, and should it ever fail. Out of the session's hours it does nothing."""
    del timer
    if gateway().opens_at() is not None:
        return
    hold_session(client)
    if not is_running(await client.get_status(SESSION_INSTANCE)):
        await start(client, "fix_session", SESSION_INSTANCE, {})


@bp.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=False, use_monitor=False)
@bp.durable_client_input(client_name="client")
async def sweep_orders(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """The second line behind wake-ups: wakes each open order that has missed something, starts one that was opened
    again and does not run, alerts on one that has died, and on what the venue leaves unanswered; sees a halt through.
    """
    del timer
    for order in await asyncio.to_thread(order_register().list, open_only=True, limit=_EVERY_ORDER):
        try:
            await _look_after(client, order.order_id)
        except Exception:
            _log.exception("the sweep could not look after %s; it will be tried again", order.order_id)
    for rest in (keep_halt, _let_go):
        try:
            await rest(client)
        except Exception:
            _log.exception("the sweep could not do its %s; it will be tried again", rest.__name__)


@bp.timer_trigger(arg_name="timer", schedule="0 10 4 * * *", run_on_startup=False, use_monitor=False)
async def purge_outbox(timer: func.TimerRequest) -> None:
    """Once a day: what is long done goes from the outbox, and from beside it."""
    del timer
    outbox = Outbox(tables(), settings().session)
    removed = await asyncio.to_thread(purge, outbox, order_register(), settings())
    beside = await asyncio.to_thread(purge_records, tables(), settings())
    _log.info("%d rows removed from the outbox, %d from beside it", removed, beside)


async def _let_go(client: Any) -> None:
    """Have exposure forget orders that have ended: the signal that says so at an order's end may have been lost."""
    exposure = df.EntityId("exposure", EXPOSURE_KEY)
    state = await client.read_entity_state(exposure)
    if not state.entity_exists:
        return
    for order_id in state.entity_state["exposure"].get("reservations", {}):
        try:
            ended = await asyncio.to_thread(_end_of, order_id)
            # Where more is applied than the record knows of, the order is about to be opened again.
            if ended is not None and state.entity_state["applied"].get(order_id, 0) <= ended.last_number:
                await client.signal_entity(exposure, "forget", encoded(ended))
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
    await asyncio.to_thread(alerts().raise_alert, "ORDER_UNATTENDED", text, order_id, "ORDER_UNATTENDED")


def _has_missed_something(order_id: str, live: LiveStatus) -> bool:
    if instructions().read(order_id, after=live.instructed):
        return True
    overdue = datetime.now(UTC) - GRACE
    return any(row.received_at < overdue for row in Journal(tables()).read(order_id, after=live.seen))


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
