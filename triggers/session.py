"""The FIX session and the watch over the open orders: HTTP and timers."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import msgspec

from gateway.gateway import gateway
from gateway.journal import Journal
from storage.orders import RegisteredOrder
from storage.services import alerts, cancel_requests, order_register, tables
from storage.settings import settings
from trading.messages import LiveStatus, Woken, encoded
from triggers.answers import answer, refusal
from triggers.instances import is_running, start
from triggers.views import Released

SESSION_INSTANCE = "fix-session"
GRACE = timedelta(seconds=15)
"""How long an orchestration may take to handle a row before the sweep thinks that it has missed it."""
_EVERY_ORDER = 100_000

bp = df.Blueprint()
_log = logging.getLogger(__name__)


@bp.route(route="session", methods=["GET"])
async def show_session(req: func.HttpRequest) -> func.HttpResponse:
    """How the FIX session stands, as this process sees it."""
    del req
    return answer(await asyncio.to_thread(gateway().status))


@bp.route(route="session/release", methods=["POST"])
async def release_orders(req: func.HttpRequest) -> func.HttpResponse:
    """Lets held orders go, in the order of their ClOrdIDs. For replays: 409 unless ORDER_RELEASE=manual."""
    del req
    mode = settings().order_release
    if mode != "manual":
        return refusal(409, "ORDER_RELEASE", mode, "has to be manual for orders to be held and released")
    return answer(Released(released=await asyncio.to_thread(gateway().release)))


@bp.timer_trigger(arg_name="timer", schedule="*/15 * * * * *", run_on_startup=True, use_monitor=False)
@bp.durable_client_input(client_name="client")
async def supervise_session(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Starts the session's eternal orchestration where it does not run: at the first start, and should it ever fail."""
    del timer
    if not is_running(await client.get_status(SESSION_INSTANCE)):
        await start(client, "fix_session", SESSION_INSTANCE, {})


@bp.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=False, use_monitor=False)
@bp.durable_client_input(client_name="client")
async def sweep_orders(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """The second line behind wake-ups: wakes each open order that has missed something, alerts on one that has died."""
    del timer
    for order in await asyncio.to_thread(order_register().list, open_only=True, limit=_EVERY_ORDER):
        try:
            await _look_after(client, order.order_id)
        except Exception:
            _log.exception("the sweep could not look after %s; it will be tried again", order.order_id)


async def _look_after(client: Any, order_id: str) -> None:
    status = await client.get_status(order_id)
    if not is_running(status):
        await asyncio.to_thread(_alert_unless_ended, order_id, status)
        return
    live = msgspec.convert(status.custom_status, LiveStatus) if status.custom_status else LiveStatus()
    if await asyncio.to_thread(_has_missed_something, order_id, live):
        await client.raise_event(order_id, "event", encoded(Woken()))


def _alert_unless_ended(order_id: str, status: Any) -> None:
    order: RegisteredOrder | None = order_register().get(order_id)
    if order is not None and order.record is None:
        found = status.runtime_status.name if status else "missing"
        text = f"the order is open and its orchestration is {found}: nobody looks after it"
        alerts().raise_alert("ORDER_UNATTENDED", text, order_id, "ORDER_UNATTENDED")


def _has_missed_something(order_id: str, live: LiveStatus) -> bool:
    if cancel_requests().asked(order_id) not in (None, live.cancel):
        return True
    overdue = datetime.now(UTC) - GRACE
    return any(row.received_at < overdue for row in Journal(tables()).read(order_id, after=live.seen))
