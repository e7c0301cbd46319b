"""The one authority on how much may be at stake: approves orders, and follows the journal for what they became."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import azure.durable_functions as df
import msgspec
from msgspec.structs import replace

from entities.following import Applied, advanced, forgetting, rows_missing, rows_since, rows_up_to, trades_of
from gateway.journal import Journal
from storage.services import order_register, tables
from storage.settings import settings
from trading import exposure as rules
from trading.commands import BlockSymbol
from trading.identity import HALT_PREFIX, is_entry
from trading.journal import JournalRow
from trading.messages import (
    AccountMode,
    Amending,
    OrderEnded,
    OrderReopened,
    Payload,
    Reserving,
    UnblockSymbol,
    decoded,
    encoded,
)
from trading.orders import Side
from trading.specs import Spec
from trading.stakes import Holding, Stake, holding, protects

bp = df.Blueprint()


class Stakes(msgspec.Struct, frozen=True, kw_only=True):
    """The entity's state."""

    exposure: rules.ExposureState = rules.ExposureState()
    applied: Applied = {}


@bp.entity_trigger(context_name="context")
def exposure(context: df.DurableEntityContext) -> None:
    """There is one, under the key `main`. Operations:

    - `reserve` (`Reserving`), whose result is a `Decision`; a repeat for an order that has its reservation is approved;
    - `amend` (`Amending`), whose result is a `Decision`: whether an open order may become another;
    - `set_mode` (`AccountMode`): whether trading is halted; one that comes late changes nothing;
    - `block` (`BlockSymbol`) and `unblock` (`UnblockSymbol`): whether new orders in a symbol are denied;
    - `apply` (a `JournalRow`);
    - `release` (`OrderEnded`), where it seems to have missed rows: the journal up to the order's last row, then what is
      left of its reservation is given back;
    - `forget` (`OrderEnded`): the register has the order's last row now, and nothing of it is held here any more;
    - `reopen` (`OrderReopened`): it is open again, and what it holds is its own to protect; the result is the
      `TradingHalted` that it has to hear, or null.

    States are worked out first and set last, as in `position`.
    """
    context.set_result(None)
    stakes = decoded(_as_of_now(decoded(context.get_state(dict), dict)), Stakes)
    stakes, result = _after(stakes, context.operation_name, context.get_input())
    context.set_state(encoded(stakes))
    context.set_result(result)


def _after(stakes: Stakes, operation: str, given: Any) -> tuple[Stakes, Payload | None]:
    if operation == "reserve":
        return _reserved(stakes, decoded(given, Reserving))
    if operation == "amend":
        return _amended(stakes, decoded(given, Amending))
    if operation == "set_mode":
        wanted = decoded(given, AccountMode)
        state = rules.set_mode(
            stakes.exposure,
            wanted.mode,
            wanted.reason,
            wanted.request,
            flatten=wanted.flatten,
            after=wanted.after,
        )
        return replace(stakes, exposure=state), None
    if operation == "block":
        block = decoded(given, BlockSymbol)
        return replace(stakes, exposure=rules.block(stakes.exposure, block.symbol, block.reason)), None
    if operation == "unblock":
        seen = decoded(given, UnblockSymbol)
        return replace(stakes, exposure=rules.unblock(stakes.exposure, seen.symbol, seen.reason)), None
    if operation == "apply":
        return _with_rows(stakes, rows_up_to(stakes.applied, decoded(given, JournalRow))), None
    if operation == "release":
        ended = decoded(given, OrderEnded)
        stakes = _with_rows(stakes, rows_missing(stakes.applied, ended))
        return replace(stakes, exposure=rules.release(stakes.exposure, ended.order_id)), None
    if operation == "forget":
        ended = decoded(given, OrderEnded)
        applied = forgetting(stakes.applied, ended)
        if ended.order_id in applied or _is_open(ended.order_id):
            return stakes, None  # there was more, and the order is open again
        return Stakes(exposure=rules.forget(stakes.exposure, ended.order_id), applied=applied), None
    if operation == "reopen":
        order_id = decoded(given, OrderReopened).order_id
        halted = None if order_id.startswith(HALT_PREFIX) else rules.halt(stakes.exposure.account)
        return _reopened(stakes, order_id), None if halted is None else encoded(halted)
    raise ValueError(f"operation={operation}: has to be {', '.join(_OPERATIONS)}")


_OPERATIONS = ("reserve", "amend", "set_mode", "block", "unblock", "apply", "release", "forget", "reopen")


def _limits() -> rules.Limits:
    own = settings()
    return rules.Limits(
        max_order_notional=own.max_order_notional,
        max_symbol_notional=own.max_symbol_notional,
        max_gross_notional=own.max_gross_notional,
    )


def _amended(stakes: Stakes, wanted: Amending) -> tuple[Stakes, Payload]:
    # All that there is, and not what the order knows of: it may have filled more by now.
    stakes = _with_rows(stakes, rows_since(stakes.applied, wanted.order_id))
    filled = _filled(wanted.order_id, stakes.applied.get(wanted.order_id, 0))
    state, decision = rules.amend(stakes.exposure, _limits(), wanted.order_id, wanted.stakes, filled)
    return replace(stakes, exposure=state), encoded(decision)


def _reserved(stakes: Stakes, wanted: Reserving) -> tuple[Stakes, Payload]:
    state, decision = rules.reserve(
        stakes.exposure,
        _limits(),
        wanted.order_id,
        wanted.stakes,
        reduce_only=wanted.reduce_only,
        protected=wanted.protected,
        holding=wanted.holding,
    )
    return replace(stakes, exposure=state), encoded(decision)


def _reopened(stakes: Stakes, order_id: str) -> Stakes:
    stakes = _with_rows(stakes, rows_since(stakes.applied, order_id))
    if order_id in stakes.exposure.reservations:
        return stakes
    spec = _spec(order_id)
    if spec is None:
        return stakes
    applied = stakes.applied.get(order_id, 0)
    held = _held(order_id, applied, holding(spec))
    reservation = rules.Reservation(protected=protects(spec), held=held)
    reservations = stakes.exposure.reservations | {order_id: reservation}
    return replace(stakes, exposure=replace(stakes.exposure, reservations=reservations))


def _with_rows(stakes: Stakes, rows: Sequence[JournalRow]) -> Stakes:
    state = stakes.exposure
    for trade in (trade for row in rows for trade in trades_of(row)):
        if trade.is_busted:
            state = rules.apply_bust(state, trade.order_id, trade.symbol, trade.side, trade.quantity, trade.price)
        else:
            state = rules.apply_fill(
                state,
                trade.order_id,
                trade.uses_reservation,
                trade.symbol,
                trade.side,
                trade.quantity,
                trade.price,
            )
    return Stakes(exposure=state, applied=advanced(stakes.applied, rows))


def _as_of_now(state: Payload) -> Payload:
    """A state as it was when a reservation was a single stake, and nobody asked who protects what is held."""
    reservations = state.get("exposure", {}).get("reservations", {})
    for order_id, reservation in reservations.items():
        if "stakes" not in reservation:
            applied = state["applied"].get(order_id, 0)
            reservations[order_id] = encoded(_with_what_it_holds(order_id, decoded(reservation, Stake), applied))
    return state


def _with_what_it_holds(order_id: str, stake: Stake, applied: int) -> rules.Reservation:
    """The order's reservation now, from the register and the rows of its journal that have been applied."""
    spec = _spec(order_id)
    return rules.Reservation(
        stakes=[stake], protected=spec is not None and protects(spec), held=_held(order_id, applied, None)
    )


def _is_open(order_id: str) -> bool:
    """Whether the register has no end of the order, or none that stands: whoever says that it is over was held up."""
    order = order_register().get(order_id)
    return order is not None and order.record is None


def _spec(order_id: str) -> Spec | None:
    order = order_register().get(order_id)
    return None if order is None else msgspec.json.decode(order.spec_json, type=Spec)


def _filled(order_id: str, applied: int) -> dict[tuple[str, Side], Decimal]:
    """What the order's entries have traded up to a row of its journal."""
    filled: dict[tuple[str, Side], Decimal] = {}
    for row in Journal(tables()).read(order_id):
        if row.number <= applied and is_entry(row.event.cl_ord_id):
            for trade in trades_of(row):
                key = trade.symbol, trade.side
                quantity = -trade.quantity if trade.is_busted else trade.quantity
                filled[key] = filled.get(key, Decimal(0)) + quantity
    return filled


def _held(order_id: str, applied: int, taken_over: Holding | None) -> dict[str, Decimal]:
    """By symbol, what an order took over and has traded up to a row of its journal."""
    held = {taken_over.symbol: taken_over.side.sign * taken_over.quantity} if taken_over else {}
    for trade in (
        trade for row in Journal(tables()).read(order_id) if row.number <= applied for trade in trades_of(row)
    ):
        signed = trade.side.sign * (-trade.quantity if trade.is_busted else trade.quantity)
        held[trade.symbol] = held.get(trade.symbol, Decimal(0)) + signed
    return held
