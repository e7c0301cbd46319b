"""What is held of one symbol: a projection of the journal."""

from collections.abc import Sequence
from typing import Any

import azure.durable_functions as df
import msgspec

from entities.following import Applied, advanced, forgetting, rows_missing, rows_up_to, trades_of
from trading.journal import JournalRow
from trading.messages import OrderEnded, decoded, encoded
from trading.positions import Position, apply_bust, apply_fill

bp = df.Blueprint()


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The entity's state; None as `position` before the first row."""

    position: Position | None = None
    applied: Applied = {}


@bp.entity_trigger(context_name="context")
def position(context: df.DurableEntityContext) -> None:
    """One for each symbol. Operations:

    - `apply` (a `JournalRow`);
    - `catch_up` (`OrderEnded`), where it seems to have missed rows: the journal up to the order's last;
    - `forget` (`OrderEnded`): the register has the order's last row now.

    The SDK rolls nothing back, so a state is worked out first and set last: an operation that fails changes nothing.
    And it gives the last operation's result to one that sets none, so each sets one.
    """
    context.set_result(None)
    held = decoded(context.get_state(dict), Held)
    held = _after(held, context.operation_name, context.get_input())
    context.set_state(encoded(held))


def _after(held: Held, operation: str, given: Any) -> Held:
    if operation == "apply":
        row = decoded(given, JournalRow)
        return _with_rows(held, rows_up_to(held.applied, row), row.symbol)
    if operation == "catch_up":
        ended = decoded(given, OrderEnded)
        return _with_rows(held, rows_missing(held.applied, ended), ended.symbol)
    if operation == "forget":
        return msgspec.structs.replace(held, applied=forgetting(held.applied, decoded(given, OrderEnded)))
    raise ValueError(f"operation={operation}: has to be apply, catch_up or forget")


def _with_rows(held: Held, rows: Sequence[JournalRow], symbol: str) -> Held:
    position = held.position or Position(symbol=symbol)
    for row in rows:
        for trade in trades_of(row):
            if trade.symbol == position.symbol:
                change = apply_bust if trade.is_busted else apply_fill
                position = change(position, trade.side, trade.quantity, trade.price)
    return Held(position=position, applied=advanced(held.applied, rows))
