"""What an open order is to be, as far as that can be said before the order itself decides. Pure."""

import contextlib
from collections.abc import Sequence

from trading.child import OrderStatus
from trading.events import AmendRequested, CancelRequested, TradingHalted
from trading.identity import Role
from trading.instructions import InstructionRow
from trading.messages import LiveStatus
from trading.specs import (
    Amendment,
    BracketSpec,
    OneSymbol,
    SingleSpec,
    Spec,
    SpecError,
    TrailingSpec,
    amended,
    check_room,
)

_OVER = frozenset(
    {OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED, OrderStatus.NOT_SENT, OrderStatus.UNKNOWN}
)


def what_it_is(placed: Spec, rows: Sequence[InstructionRow], live: LiveStatus) -> Spec:
    """What an order placed as `placed` is to be: as its lifecycle has it, with what it has not decided about yet."""
    asked = [(row.number, row.instruction.amendment) for row in rows if isinstance(row.instruction, AmendRequested)]
    heard = [amendment for number, amendment in asked if number <= live.instructed]
    unheard = [amendment for number, amendment in asked if number > live.instructed]
    spec = live.spec or placed
    for amendment in [*heard[len(heard) - live.undecided :], *unheard]:
        with contextlib.suppress(SpecError):
            spec = amended(spec, amendment, entered=_has_entered(live))
    return spec


def what_it_becomes(spec: Spec, rows: Sequence[InstructionRow], live: LiveStatus, amendment: Amendment) -> Spec:
    """What an order placed as `spec` is to be, after its instructions so far and this amendment.

    Raises `SpecError` where it cannot be that: nothing of this kind to amend, a quantity that is traded already, an
    entry that is over, an order that was told to end. What the venue says meanwhile may still make it impossible.
    """
    told = [row.instruction for row in rows]
    if any(isinstance(each, CancelRequested) for each in told):
        raise SpecError("id", spec.order_id, "cannot be amended: the order was told to end")
    before = what_it_is(spec, rows, live)
    after = amended(before, amendment, entered=_has_entered(live))
    over = _why_over(before, live, halted=any(isinstance(each, TradingHalted) for each in told))
    check_room(before, amendment, filled=live.filled_quantity, over=over)
    return after


def _has_entered(live: LiveStatus) -> bool:
    return live.filled_quantity > 0


def _why_over(spec: Spec, live: LiveStatus, *, halted: bool) -> str:
    """As `check_room` wants it."""
    if isinstance(spec, OneSymbol) and live.filled_quantity >= spec.quantity:
        return f"which is complete: {live.filled_quantity} have filled"
    if halted:
        return "which is no longer wanted: trading was halted"
    entries = [child for child in live.children if child.role is Role.ENTRY]
    # Where an entry is sent in parts, that one of them is over says nothing of the next.
    in_one = isinstance(spec, SingleSpec | BracketSpec | TrailingSpec)
    return f"which is {entries[-1].status}" if in_one and entries and entries[-1].status in _OVER else ""
