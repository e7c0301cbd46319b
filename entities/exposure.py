"""The one authority on how much may be at stake: approves orders, and follows the journal for what they became."""

from collections.abc import Sequence
from typing import Any

import azure.durable_functions as df
import msgspec
from msgspec.structs import replace

from entities.following import Applied, advanced, forgetting, rows_missing, rows_up_to, trades_of
from storage.settings import settings
from trading import exposure as rules
from trading.commands import BlockSymbol
from trading.journal import JournalRow
from trading.messages import OrderEnded, Payload, Reserving, UnblockSymbol, decoded, encoded

bp = df.Blueprint()


class Stakes(msgspec.Struct, frozen=True, kw_only=True):
    """The entity's state."""

    exposure: rules.ExposureState = rules.ExposureState()
    applied: Applied = {}


@bp.entity_trigger(context_name="context")
def exposure(context: df.DurableEntityContext) -> None:
    """There is one, under the key `main`. Operations:

    - `reserve` (`Reserving`), whose result is a `Decision`; a repeat for an order that has its reservation is approved;
    - `block` (`BlockSymbol`) and `unblock` (`UnblockSymbol`): whether new orders in a symbol are denied;
    - `apply` (a `JournalRow`);
    - `release` (`OrderEnded`), to be called, not signalled: the journal up to the order's last row, then what is left
      of its reservation is given back;
    - `forget` (`OrderEnded`): the register has the order's last row now.

    States are worked out first and set last, as in `position`.
    """
    context.set_result(None)
    stakes = decoded(context.get_state(dict), Stakes)
    stakes, result = _after(stakes, context.operation_name, context.get_input())
    context.set_state(encoded(stakes))
    context.set_result(result)


def _after(stakes: Stakes, operation: str, given: Any) -> tuple[Stakes, Payload | None]:
    if operation == "reserve":
        return _reserved(stakes, decoded(given, Reserving))
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
        applied = forgetting(stakes.applied, decoded(given, OrderEnded))
        return replace(stakes, applied=applied), None
    raise ValueError(f"operation={operation}: has to be reserve, block, unblock, apply, release or forget")


def _reserved(stakes: Stakes, wanted: Reserving) -> tuple[Stakes, Payload]:
    own = settings()
    limits = rules.Limits(
        max_order_notional=own.max_order_notional,
        max_symbol_notional=own.max_symbol_notional,
        max_gross_notional=own.max_gross_notional,
    )
    state, decision = rules.reserve(
        stakes.exposure, limits, wanted.order_id, wanted.symbol, wanted.side, wanted.quantity, wanted.price
    )
    return replace(stakes, exposure=state), encoded(decision)


def _with_rows(stakes: Stakes, rows: Sequence[JournalRow]) -> Stakes:
    state = stakes.exposure
    for trade in (trade for row in rows for trade in trades_of(row)):
        if trade.is_busted:
            state = rules.apply_bust(state, trade.symbol, trade.side, trade.quantity, trade.price)
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
