"""The one authority on how much may be at stake: approves orders, and follows the journal for what they became."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import azure.durable_functions as df
import msgspec
from msgspec.structs import replace

from entities.following import Applied, advanced, forgetting, rows_missing, rows_up_to, trades_of
from gateway.journal import Journal
from storage.services import order_register, tables
from storage.settings import settings
from trading import exposure as rules
from trading.commands import BlockSymbol
from trading.journal import JournalRow
from trading.messages import AccountMode, OrderEnded, Payload, Reserving, UnblockSymbol, decoded, encoded
from trading.specs import Spec
from trading.stakes import Stake, protects

bp = df.Blueprint()


class Stakes(msgspec.Struct, frozen=True, kw_only=True):
    """The entity's state."""

    exposure: rules.ExposureState = rules.ExposureState()
    applied: Applied = {}


@bp.entity_trigger(context_name="context")
def exposure(context: df.DurableEntityContext) -> None:
    """There is one, under the key `main`. Operations:

    - `reserve` (`Reserving`), whose result is a `Decision`; a repeat for an order that has its reservation is approved;
    - `set_mode` (`AccountMode`): whether trading is halted;
    - `block` (`BlockSymbol`) and `unblock` (`UnblockSymbol`): whether new orders in a symbol are denied;
    - `apply` (a `JournalRow`);
    - `release` (`OrderEnded`), where it seems to have missed rows: the journal up to the order's last row, then what is
      left of its reservation is given back;
    - `forget` (`OrderEnded`): the register has the order's last row now, and nothing of it is held here any more.

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
    if operation == "set_mode":
        wanted = decoded(given, AccountMode)
        state = rules.set_mode(stakes.exposure, wanted.mode, wanted.reason, wanted.request)
        return replace(stakes, exposure=state), None
    if operation == "block":
        block = decoded(given, BlockSymbol)
        return replace(stakes, exposure=rules.block(stakes.exposure, block.symbol, block.reason)), None
    if operation == "unblock":
        return replace(stakes, exposure=rules.unblock(stakes.exposure, decoded(given, UnblockSymbol).symbol)), None
    if operation == "apply":
        return _with_rows(stakes, rows_up_to(stakes.applied, decoded(given, JournalRow))), None
    if operation == "release":
        ended = decoded(given, OrderEnded)
        stakes = _with_rows(stakes, rows_missing(stakes.applied, ended))
        return replace(stakes, exposure=rules.release(stakes.exposure, ended.order_id)), None
    if operation == "forget":
        ended = decoded(given, OrderEnded)
        state = rules.forget(stakes.exposure, ended.order_id)
        return Stakes(exposure=state, applied=forgetting(stakes.applied, ended)), None
    raise ValueError(f"operation={operation}: has to be {', '.join(_OPERATIONS)}")


_OPERATIONS = ("reserve", "set_mode", "block", "unblock", "apply", "release", "forget")


def _reserved(stakes: Stakes, wanted: Reserving) -> tuple[Stakes, Payload]:
    own = settings()
    limits = rules.Limits(
        max_order_notional=own.max_order_notional,
        max_symbol_notional=own.max_symbol_notional,
        max_gross_notional=own.max_gross_notional,
    )
    state, decision = rules.reserve(
        stakes.exposure,
        limits,
        wanted.order_id,
        wanted.stakes,
        reduce_only=wanted.reduce_only,
        protected=wanted.protected,
        holding=wanted.holding,
    )
    return replace(stakes, exposure=state), encoded(decision)


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
    order = order_register().get(order_id)
    held: dict[str, Decimal] = {}
    for trade in (
        trade for row in Journal(tables()).read(order_id) if row.number <= applied for trade in trades_of(row)
    ):
        signed = trade.side.sign * (-trade.quantity if trade.is_busted else trade.quantity)
        held[trade.symbol] = held.get(trade.symbol, Decimal(0)) + signed
    return rules.Reservation(
        stakes=[stake],
        protected=order is not None and protects(msgspec.json.decode(order.spec_json, type=Spec)),
        held=held,
    )
