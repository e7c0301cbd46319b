"""The FIX session: HTTP and timers."""

import asyncio
import logging
from datetime import UTC, datetime

import azure.durable_functions as df
import azure.functions as func
import msgspec
from azure.functions.warmup import WarmUpContext

from gateway.gateway import gateway
from gateway.journal import Journal
from gateway.late import rows_after_the_end
from gateway.outbox import Outbox
from gateway.purging import purge, purge_records, purge_watches
from gateway.reconcile import Reconciliation
from gateway.wake_ups import hold_session, tell
from storage.services import order_register, reconciliations, tables, watches
from storage.settings import settings
from triggers.answers import answer, refusal
from triggers.instances import is_running, start
from triggers.views import ReconciliationList, Released, ResetView

SESSION_INSTANCE = "fix-session"
_MOST_RECONCILIATIONS = 100

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


@bp.timer_trigger(arg_name="timer", schedule="0 10 4 * * *", run_on_startup=False, use_monitor=False)
@bp.durable_client_input(client_name="client")
async def purge_outbox(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Once a day: whoever has missed rows of an order that has ended is told of them; then what is long done goes from
    the outbox and from beside it, and so do watches of orders long over."""
    del timer
    outbox = Outbox(tables(), settings().session)
    now = datetime.now(UTC)
    for rows in await asyncio.to_thread(rows_after_the_end, outbox, order_register(), Journal(tables()), now):
        try:
            await tell(client, rows)
        except Exception:
            _log.exception("nobody could be told of late rows of %s; it will be tried again", rows[-1].order_id)
    removed = await asyncio.to_thread(purge, outbox, order_register(), settings())
    beside = await asyncio.to_thread(purge_records, tables(), settings())
    watched = await asyncio.to_thread(purge_watches, watches(), order_register(), settings())
    _log.info("%d rows removed from the outbox, %d from beside it, %d watches", removed, beside, watched)
