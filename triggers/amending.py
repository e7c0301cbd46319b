"""What an open order is to be, as far as that can be said before the order itself decides. Pure."""

import contextlib
from collections.abc import Sequence

from trading.child import OrderStatus
from trading.events import AmendRequested, CancelRequested, TradingHalted
from trading.identity import Role
from trading.instructions import InstructionRow
from trading.messages import LiveStatus
from trading.specs import Amendment, BracketSpec, OneSymbol, SingleSpec, Spec, SpecError, TrailingSpec, amended

_OF_EXITS = frozenset({"stop_price", "take_profit_price", "no_take_profit", "trail"})
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
    if isinstance(after, OneSymbol) and after.quantity < live.filled_quantity:
        raise SpecError("quantity", after.quantity, f"must be at least {live.filled_quantity}, which has filled")
    over = _why_over(before, live, halted=any(isinstance(each, TradingHalted) for each in told))
    for name, value in amendment.values().items():
        if over and _is_of_entry(spec, name):
            raise SpecError(name, value, f"cannot be amended any more: {over}")
    return after


def _has_entered(live: LiveStatus) -> bool:
    return live.filled_quantity > 0


def _is_of_entry(spec: Spec, name: str) -> bool:
    return isinstance(spec, SingleSpec) or name not in _OF_EXITS


def _why_over(spec: Spec, live: LiveStatus, *, halted: bool) -> str:
    """Why there is no entry to amend; empty where there is."""
    if isinstance(spec, OneSymbol) and live.filled_quantity >= spec.quantity:
        return f"the entry is complete, {live.filled_quantity} have filled"
    if halted:
        return "trading was halted, and the entry is no longer wanted"
    entries = [child for child in live.children if child.role is Role.ENTRY]
    # Where an entry is sent in parts, that one of them is over says nothing of the next.
    in_one = isinstance(spec, SingleSpec | BracketSpec | TrailingSpec)
    return f"the entry is {entries[-1].status}" if in_one and entries and entries[-1].status in _OVER else ""
