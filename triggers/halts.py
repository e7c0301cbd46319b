"""The halt of all trading over HTTP: nothing adds to a position any more, and, if wanted, every position is closed."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import msgspec
from msgspec.structs import replace

from storage.orders import RegisteredOrder
from storage.services import instructions, order_register
from trading.events import TradingHalted
from trading.exposure import Account, ExposureState, Mode, halt, unprotected, unsettled
from trading.identity import HALT_PREFIX, halt_order_id
from trading.messages import EXPOSURE_KEY, AccountMode, Placement, encoded
from trading.specs import FlattenSpec, Spec
from trading.stakes import Holding, symbols
from triggers.answers import answer, refusal
from triggers.instances import is_running, is_unattended, start
from triggers.instructing import tell
from triggers.orders import exposure_state
from triggers.requests import BadRequestError, read_halt
from triggers.views import Halted, HaltView

PATIENCE = 10.0
"""Seconds to wait for the exposure entity to show what was asked for, and for orders to end."""
_BETWEEN_LOOKS = 0.1
_EVERY_ORDER = 100_000
_AT_ONCE = 32

bp = df.Blueprint()
_log = logging.getLogger(__name__)


@bp.route(route="halt", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def halt_trading(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Halts trading, tells all open orders, and with `flatten` closes what none of them protects or closes: 202.

    The orders are told when exposure approves nothing new any more: an order is in the register before it asks. From
    then on the halt is exposure's to remember and the sweep's to see through, whatever becomes of this process.
    """
    try:
        asked = read_halt(req.get_body())
    except BadRequestError as error:
        return refusal(400, error.field, error.value, error.message)
    exposure = await _with_mode(client, "reducing", asked.reason, flatten=asked.flatten)
    if isinstance(exposure, func.HttpResponse):
        return exposure
    try:
        return await _carried_out(client, exposure.account)
    except _HaltOverError:
        return refusal(409, "mode", "reducing", "trading was resumed before all of the halt was carried out: ask again")


async def _carried_out(client: Any, account: Account) -> func.HttpResponse:
    """The answer after the open orders have been told, and what is to be closed has its orders."""
    order_ids = [order.order_id for order in await _open_orders() if not order.order_id.startswith(HALT_PREFIX)]
    halted = halt(account)
    untold = await _tell_all(client, order_ids, halted) if halted else []
    if untold:
        message = "trading is halted, but these orders could not be told yet: the sweep tells them, or ask again"
        return refusal(503, "orders", untold, message)
    told = Halted(
        mode=account.mode,
        reason=account.reason,
        flatten=account.flatten,
        number=account.halts,
        told=len(order_ids),
        unattended=await _unattended(client, order_ids),
    )
    return answer(await _flattened(client, told) if account.flatten else told, 202)


@bp.route(route="halt", methods=["GET"])
@bp.durable_client_input(client_name="client")
async def show_halt(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Whether trading is halted, and why."""
    del req
    return answer(_view(await exposure_state(client)))


@bp.route(route="halt", methods=["DELETE"])
@bp.durable_client_input(client_name="client")
async def resume_trading(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Lets new orders come again. Those that the halt has cancelled stay cancelled."""
    del req
    exposure = await _with_mode(client, "open")
    return exposure if isinstance(exposure, func.HttpResponse) else answer(_view(exposure))


async def keep_halt(client: Any) -> None:
    """While trading is halted, do what is not done of it: for the sweep.

    The process that was asked for the halt may have died on the way, orders that had ended may have been opened again,
    and what is to be closed may have had to wait.
    """
    exposure = await exposure_state(client)
    halted = halt(exposure.account)
    if halted is None:
        return
    orders = await _open_orders()
    missing = [
        order.order_id
        for order in orders
        if _is_concerned(order, exposure) and not await asyncio.to_thread(_has_heard, order.order_id, halted)
    ]
    with suppress(_HaltOverError):  # then there is nothing left to do of it
        await _tell_all(client, missing, halted)
        if halted.flatten:
            await _close_all(client, halted.number, exposure, orders)


def _is_concerned(order: RegisteredOrder, exposure: ExposureState) -> bool:
    """Whether the halt that is on is about an order.

    One that only reduces may be placed during a halt, and stays unless all is to be closed. One that exposure does not
    know has not been approved yet, and will not be to add to a position; unless it has been opened again just now.
    """
    if order.order_id.startswith(HALT_PREFIX):
        return False
    reservation = exposure.reservations.get(order.order_id)
    if reservation is None:
        return order.taken_back is not None
    return exposure.account.flatten or not reservation.reduce_only


def _has_heard(order_id: str, halted: TradingHalted) -> bool:
    """Whether an order was told of this halt, and of closing where it is to."""
    told = [row.instruction for row in instructions().read(order_id)]
    return any(
        isinstance(each, TradingHalted) and each.number == halted.number and each.flatten >= halted.flatten
        for each in told
    )


async def _open_orders() -> list[RegisteredOrder]:
    return await asyncio.to_thread(order_register().list, open_only=True, limit=_EVERY_ORDER)


async def _with_mode(
    client: Any, mode: Mode, reason: str = "", *, flatten: bool = False
) -> ExposureState | func.HttpResponse:
    """What exposure shows once it has taken the mode on; or the answer where it did not: in time, or at all."""
    before = (await exposure_state(client)).account.last_request
    wanted = AccountMode(mode=mode, reason=reason, flatten=flatten, request=uuid.uuid4().hex, after=before)
    await client.signal_entity(df.EntityId("exposure", EXPOSURE_KEY), "set_mode", encoded(wanted))
    # The mode alone may still be there from before, and about to change.
    exposure = await _exposure_when(client, lambda state: state.account.last_request != before)
    account = exposure.account
    if account.last_request == before:
        message = f"was not seen within {PATIENCE:g} s, and may come yet, unless another request comes first: ask again"
        return refusal(503, "mode", mode, message)
    if account.mode != mode or account.flatten < flatten:
        now = f"{account.mode}, flatten {str(account.flatten).lower()}"
        return refusal(
            409, "mode", mode, f"another request was carried out meanwhile, and the mode is {now}: ask again"
        )
    return exposure


async def _exposure_when(client: Any, condition: Callable[[ExposureState], bool]) -> ExposureState:
    """What exposure shows when it meets the condition, or after all patience."""
    deadline = time.monotonic() + PATIENCE
    while True:
        exposure = await exposure_state(client)
        if condition(exposure) or time.monotonic() >= deadline:
            return exposure
        await asyncio.sleep(_BETWEEN_LOOKS)


class _HaltOverError(Exception):
    """The halt that is being carried out is not on any more."""


async def _look_again(client: Any, number: int) -> None:
    """Just before something is done of a halt: whoever does it may have been stopped since it looked last.

    Raises:
        _HaltOverError: this halt is not on.
    """
    halted = halt((await exposure_state(client)).account)
    if halted is None or halted.number != number:
        raise _HaltOverError


async def _tell_all(client: Any, order_ids: Sequence[str], halted: TradingHalted) -> list[str]:
    """The orders that could not be told."""
    untold = []
    for first in range(0, len(order_ids), _AT_ONCE):
        some = order_ids[first : first + _AT_ONCE]
        await _look_again(client, halted.number)
        results = await asyncio.gather(*(tell(client, each, halted) for each in some), return_exceptions=True)
        for order_id, result in zip(some, results, strict=True):
            if isinstance(result, BaseException):
                _log.error("%s could not be told that trading is halted", order_id, exc_info=result)
                untold.append(order_id)
    return untold


async def _unattended(client: Any, order_ids: Sequence[str]) -> list[str]:
    """The open orders that keep what they are told, and have nobody to hear it."""
    found = []
    for first in range(0, len(order_ids), _AT_ONCE):
        some = order_ids[first : first + _AT_ONCE]
        are_unattended = await asyncio.gather(*(_is_unattended(client, each) for each in some))
        found += [order_id for order_id, is_so in zip(some, are_unattended, strict=True) if is_so]
    return found


async def _is_unattended(client: Any, order_id: str) -> bool:
    status = await client.get_status(order_id)
    if is_running(status):
        return False
    order = await asyncio.to_thread(order_register().get, order_id)  # afterwards: it may just have ended
    return order is not None and is_unattended(order, status)


async def _flattened(client: Any, halted: Halted) -> Halted:
    """The answer after what is held has its closing order, where it needs one and can have one."""
    exposure = await _exposure_when(client, lambda state: not unsettled(state))
    closing, waiting, blocked = await _close_all(client, halted.number, exposure, await _open_orders())
    return replace(halted, closing=closing, waiting=waiting, blocked=blocked)


async def _close_all(
    client: Any, number: int, exposure: ExposureState, orders: Sequence[RegisteredOrder]
) -> tuple[dict[str, str], list[str], list[str]]:
    """Have closed in a halt what no order protects or closes: by symbol the order that does, then the symbols that
    have to wait, then those that are blocked.

    What an order without exits leaves behind is known when it has ended, and what one protects that has been opened
    again, when exposure has heard of it; until then its symbol is left alone, or the same quantity might be closed
    twice. So `orders`, the open ones, are to be looked up after `exposure`.
    """
    waiting = unsettled(exposure)
    for order in orders:
        if order.taken_back is not None and order.order_id not in exposure.reservations:
            waiting.update(symbols(msgspec.json.decode(order.spec_json, type=Spec)))
    closing: dict[str, str] = {}
    blocked = []
    for holding in unprotected(exposure):
        symbol = holding.symbol
        if symbol in waiting:
            continue
        if symbol in exposure.blocked:
            blocked.append(symbol)
        else:
            await _look_again(client, number)
            closing[symbol] = await _close(client, number, holding, exposure)
    return closing, sorted(waiting), blocked


async def _close(client: Any, number: int, holding: Holding, exposure: ExposureState) -> str:
    """Place the order that closes a position, unless it is on its way; its id.

    One that has ended and left something is followed by another. That nothing is closed twice, nor after the halt,
    exposure sees to.
    """
    attempt = 1
    order_id = halt_order_id(number, holding.symbol)
    while (known := await asyncio.to_thread(order_register().get, order_id)) is not None:
        if known.record is None:
            return order_id
        attempt += 1
        order_id = halt_order_id(number, holding.symbol, attempt)
    spec = FlattenSpec(
        order_id=order_id,
        symbol=holding.symbol,
        side=holding.side,
        quantity=holding.quantity,
        reference_price=exposure.positions[holding.symbol].average_price,
    )
    await start(client, "order", order_id, encoded(Placement(spec=spec, received_at=datetime.now(UTC))))
    return order_id


def _view(exposure: ExposureState) -> HaltView:
    account = exposure.account
    return HaltView(mode=account.mode, reason=account.reason, flatten=account.flatten, number=account.halts)
