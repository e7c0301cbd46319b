"""Orders and positions over HTTP."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import msgspec

from gateway.journal import Journal
from storage.clock import market_now
from storage.orders import RegisteredOrder
from storage.services import instructions, order_register, tables
from storage.settings import settings
from trading.events import AmendRequested, CancelRequested, Instruction
from trading.exposure import ExposureState, Limits, gross_exposure
from trading.identity import ORDER_ID
from trading.instructions import InstructionRow
from trading.journal import JournalRow
from trading.messages import (
    EXPOSURE_KEY,
    CancelMode,
    LiveStatus,
    Placement,
    RecordDetail,
    UnblockSymbol,
    decoded,
    encoded,
    position_key,
)
from trading.specs import Spec, SpecError, check_time
from triggers.amending import what_it_becomes, what_it_is
from triggers.answers import answer, refusal
from triggers.instances import is_running, is_unattended, start
from triggers.instructing import wake
from triggers.openapi import document
from triggers.requests import BadRequestError, read_amendment, read_order
from triggers.views import (
    AmendmentNoted,
    Cancelling,
    ExposureView,
    OrderLine,
    OrderList,
    OrderView,
    Placed,
    PositionLine,
    PositionList,
)

LONGEST_LIST = 1000

bp = df.Blueprint()


@bp.route(route="orders", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def place_order(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Places an order, once for each `order_id`: 202, 200 for a repeat, 409 for another order under the same id."""
    received_at = datetime.now(UTC)
    try:
        spec, reference_price = read_order(req.get_body(), generated_id=uuid.uuid4().hex)
    except BadRequestError as error:
        return refusal(400, error.field, error.value, error.message)
    known = await asyncio.to_thread(order_register().get, spec.order_id)
    if known is not None:
        return _repeated(spec, _spec(known))
    try:
        # Only now: what was placed in time may be repeated afterwards.
        check_time(spec, market_now(settings()))
    except SpecError as error:
        return refusal(400, error.field, msgspec.to_builtins(error.value), error.message)
    placement = Placement(spec=spec, reference_price=reference_price, received_at=received_at)
    if await start(client, "order", spec.order_id, encoded(placement)):
        location = f"{req.url.partition('?')[0].rstrip('/')}/{spec.order_id}"
        return answer(Placed(order_id=spec.order_id), 202, {"Location": location})
    # It was placed a moment ago, and is not in the register yet.
    return _repeated(spec, await _placed(spec.order_id, await client.get_status(spec.order_id, show_input=True)))


@bp.route(route="orders", methods=["GET"])
async def list_orders(req: func.HttpRequest) -> func.HttpResponse:
    """The newest orders; `open=true` for those that have not ended, `limit` for how many."""
    open_only = req.params.get("open", "false")
    if open_only not in ("true", "false"):
        return refusal(400, "open", open_only, "has to be true or false")
    limit = req.params.get("limit", "100")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= LONGEST_LIST):
        return refusal(400, "limit", limit, f"has to be a whole number from 1 to {LONGEST_LIST}")
    orders = await asyncio.to_thread(order_register().list, open_only=open_only == "true", limit=int(limit))
    return answer(OrderList(orders=[_line(order) for order in orders]))


@bp.route(route="orders/{id}", methods=["GET"])
@bp.durable_client_input(client_name="client")
async def show_order(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """One order: what was asked for, how it stands or ended, its children, and what the venue has said of it."""
    order_id = req.route_params["id"]
    if not ORDER_ID.fullmatch(order_id):
        return _unknown(order_id)  # the SDK puts it into a URL as it is
    status = await client.get_status(order_id, show_input=True)
    order = await asyncio.to_thread(order_register().get, order_id)
    if order is not None:
        rows, told = await asyncio.gather(
            asyncio.to_thread(Journal(tables()).read, order_id), asyncio.to_thread(instructions().read, order_id)
        )
        return answer(_view(order, rows, told, status))
    if not _is_order(status):
        return _unknown(order_id)
    spec = decoded(status.input_, Placement).spec
    phase = "unattended" if is_unattended(None, status) else "registering"
    return answer(OrderView(order_id=order_id, spec=spec, created_at=status.created_time, phase=phase))


@bp.route(route="orders/{id}", methods=["PATCH"])
@bp.durable_client_input(client_name="client")
async def amend_placed_order(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Asks the order to be another from now on: 202 with what it will be; 409 where it cannot be that.

    The order itself has the last word: where the venue has said otherwise by then, it stays and an alert tells so.
    """
    order_id = req.route_params["id"]
    if not ORDER_ID.fullmatch(order_id):
        return _unknown(order_id)
    try:
        amendment = read_amendment(req.get_body())
    except BadRequestError as error:
        return refusal(400, error.field, error.value, error.message)
    found = await _open_order(client, order_id)
    if isinstance(found, func.HttpResponse):
        return found
    spec, live = found
    told = await asyncio.to_thread(instructions().read, order_id)
    try:
        after = what_it_becomes(spec, told, live, amendment)
    except SpecError as error:
        return refusal(409, error.field, msgspec.to_builtins(error.value), error.message)
    row = await _tell(client, order_id, AmendRequested(amendment=amendment))
    if isinstance(row, func.HttpResponse):
        return row
    return answer(AmendmentNoted(order_id=order_id, number=row.number, spec=after), 202)


@bp.route(route="orders/{id}", methods=["DELETE"])
@bp.durable_client_input(client_name="client")
async def cancel_placed_order(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Asks the order to end: 202. `mode=flatten` (the default) closes what was filled, `keep_exits` leaves it to them.

    It may be asked for again: then what the venue refused too often is tried again. `flatten` is never taken back.
    """
    order_id = req.route_params["id"]
    if not ORDER_ID.fullmatch(order_id):
        return _unknown(order_id)
    mode = req.params.get("mode", "flatten")
    if mode not in ("flatten", "keep_exits"):
        return refusal(400, "mode", mode, "has to be flatten or keep_exits")
    found = await _open_order(client, order_id)
    if isinstance(found, func.HttpResponse):
        return found
    wanted = CancelRequested(mode="flatten" if mode == "flatten" else "keep_exits")
    if wanted.mode == "keep_exits" and "flatten" in await asyncio.to_thread(_cancels, order_id):
        return refusal(409, "mode", mode, "the order was told to flatten already, which is not taken back")
    row = await _tell(client, order_id, wanted)
    if isinstance(row, func.HttpResponse):
        return row
    return answer(Cancelling(order_id=order_id, mode=wanted.mode), 202)


@bp.route(route="positions", methods=["GET"])
@bp.durable_client_input(client_name="client")
async def list_positions(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """What is held of each symbol that was ever traded, from the position entities."""
    del req
    exposure = await exposure_state(client)
    ids = [df.EntityId("position", position_key(symbol)) for symbol in sorted(exposure.positions)]
    states = await asyncio.gather(*(client.read_entity_state(each) for each in ids))
    positions = [msgspec.convert(each.entity_state["position"], PositionLine) for each in states if each.entity_exists]
    return answer(PositionList(positions=positions))


@bp.route(route="exposure", methods=["GET"])
@bp.durable_client_input(client_name="client")
async def show_exposure(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """What is at stake: reservations by order, positions by symbol, blocked symbols, the gross exposure, the limits."""
    del req
    exposure = await exposure_state(client)
    own = settings()
    limits = Limits(
        max_order_notional=own.max_order_notional,
        max_symbol_notional=own.max_symbol_notional,
        max_gross_notional=own.max_gross_notional,
    )
    return answer(
        ExposureView(
            reservations=exposure.reservations,
            positions=exposure.positions,
            blocked=exposure.blocked,
            gross=gross_exposure(exposure),
            limits=limits,
        )
    )


@bp.route(route="exposure/blocked", methods=["DELETE"])
@bp.durable_client_input(client_name="client")
async def unblock_symbol(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Lets new orders in a symbol come again, after it was blocked: 202; 404 where it is not.

    It may come later, and then lifts nothing but what was seen here.
    """
    symbol = req.params.get("symbol", "")
    reason = (await exposure_state(client)).blocked.get(symbol)
    if reason is None:
        return refusal(404, "symbol", symbol, "is not blocked")
    unblock = UnblockSymbol(symbol=symbol, reason=reason)
    await client.signal_entity(df.EntityId("exposure", EXPOSURE_KEY), "unblock", encoded(unblock))
    return answer(unblock, 202)


@bp.route(route="openapi.json", methods=["GET"])
async def describe(req: func.HttpRequest) -> func.HttpResponse:
    """This interface as OpenAPI 3.1."""
    del req
    return answer(document())


def _cancels(order_id: str) -> list[CancelMode]:
    """In which modes the order was told to end."""
    told = (row.instruction for row in instructions().read(order_id))
    return [each.mode for each in told if isinstance(each, CancelRequested)]


async def exposure_state(client: Any) -> ExposureState:
    """What the exposure entity has last stored."""
    state = await client.read_entity_state(df.EntityId("exposure", EXPOSURE_KEY))
    return msgspec.convert(state.entity_state["exposure"], ExposureState) if state.entity_exists else ExposureState()


async def _open_order(client: Any, order_id: str) -> tuple[Spec, LiveStatus] | func.HttpResponse:
    """What an open order was placed as and how it stands; or the answer where there is none that could be told."""
    status = await client.get_status(order_id, show_input=True)
    order = await asyncio.to_thread(order_register().get, order_id)
    if order is None and not _is_order(status):
        return _unknown(order_id)
    if order is not None and order.record is not None:
        return refusal(409, "id", order_id, f"the order has ended: {order.record.outcome}")
    if is_unattended(order, status):
        found = status.runtime_status.name if status else "missing"
        return refusal(
            409, "id", order_id, f"its orchestration is {found}: the order is open, and nobody looks after it"
        )
    live = _live(status)
    if is_running(status) and live.phase in ("denied", "ending"):
        return refusal(409, "id", order_id, "the order is about to end")
    return _spec(order) if order else await _placed(order_id, status), live


async def _tell(client: Any, order_id: str, instruction: Instruction) -> InstructionRow | func.HttpResponse:
    """Tell an order that was open just now; the answer where it has ended before it could hear it.

    The register is looked at after the instruction is kept, and `end_order` looks at the instructions after the record
    is written: one of the two notices. Where both do, the order goes on, and hears what is refused here.
    """
    row = await asyncio.to_thread(instructions().append, order_id, instruction)
    order = await asyncio.to_thread(order_register().get, order_id)
    if order is not None and not order.hears(row.number):
        record = order.record or order.taken_back
        return refusal(409, "id", order_id, f"the order has ended: {record.outcome if record else ''}")
    await wake(client, row)
    return row


async def _placed(order_id: str, status: Any) -> Spec:
    """What an order was placed as, that is about to come into the register or just came into it.

    The instance's input tells until its first continue-as-new, by when the order has long been in the register.
    """
    known = await asyncio.to_thread(order_register().get, order_id)
    return decoded(status.input_, Placement).spec if known is None else _spec(known)


def _repeated(spec: Spec, placed: Spec) -> func.HttpResponse:
    if spec == placed:
        return answer(Placed(order_id=spec.order_id), 200)
    return refusal(409, "order_id", spec.order_id, "another order was placed under this id")


def _unknown(order_id: str) -> func.HttpResponse:
    return refusal(404, "id", order_id, "no such order")


def _is_order(status: Any) -> bool:
    return bool(status) and status.name == "order"


def _spec(order: RegisteredOrder) -> Spec:
    spec: Spec = msgspec.json.decode(order.spec_json, type=Spec)
    return spec


def _spec_at_end(order: RegisteredOrder, detail: RecordDetail) -> Spec:
    """What the order had become, by the state that it would go on from; one that was denied has none."""
    if detail.resumption is None:
        return _spec(order)
    spec: Spec = msgspec.convert(detail.resumption["state"]["spec"], Spec)
    return spec


def _line(order: RegisteredOrder) -> OrderLine:
    outcome = order.record.outcome if order.record else None
    return OrderLine(order_id=order.order_id, spec=_spec(order), created_at=order.created_at, outcome=outcome)


def _live(status: Any) -> LiveStatus:
    return msgspec.convert(status.custom_status, LiveStatus) if status and status.custom_status else LiveStatus()


def _phase(order: RegisteredOrder, status: Any, live: LiveStatus) -> str:
    if is_running(status):
        return live.phase
    return "unattended" if is_unattended(order, status) else "resuming"


def _view(order: RegisteredOrder, rows: list[JournalRow], told: list[InstructionRow], status: Any) -> OrderView:
    if order.record is None:
        live = _live(status)
        return OrderView(
            order_id=order.order_id,
            spec=what_it_is(_spec(order), told, live),
            created_at=order.created_at,
            phase=_phase(order, status, live),
            children=live.children,
            journal=rows,
            instructions=told,
        )
    detail = msgspec.json.decode(order.record.detail, type=RecordDetail)
    return OrderView(
        order_id=order.order_id,
        spec=_spec_at_end(order, detail),
        created_at=order.created_at,
        phase="ended",
        children=detail.children,
        journal=rows,
        instructions=told,
        outcome=order.record.outcome,
        text=order.record.text,
        filled_quantity=order.record.filled_quantity,
        average_price=order.record.average_price,
        finished_at=order.record.finished_at,
        timing=detail.timing,
    )
