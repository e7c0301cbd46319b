"""The state machine of an order's lifecycle as a Mermaid diagram, made from the code: `python -m trading.explain`.

A small order of the kind is played through everything that an honest venue, the clock, the market and a user may do
with it: `start`, and then `handle` for each event that is possible in each state that comes out, breadth first. States
that differ in numbers only count as one; what is drawn is what works, and what is being cancelled.
"""

import argparse
import re
import sys
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from pathlib import Path

from trading.child import Order, OrderStatus, Request
from trading.commands import (
    BlockSymbol,
    CancelOrder,
    CancelTimer,
    Command,
    Finish,
    RaiseAlert,
    ReplaceOrder,
    SetTimer,
    SubmitOrder,
    WatchPrice,
)
from trading.events import (
    CancelRejected,
    CancelRequested,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    PriceTouched,
    TimerFired,
)
from trading.identity import Role
from trading.lifecycles import handle, is_finished, start
from trading.lifecycles.engine import VALID_UNTIL
from trading.lifecycles.state import Slot, State
from trading.orders import OrderType, Side
from trading.specs import (
    BracketSpec,
    FlattenSpec,
    IcebergSpec,
    Leg,
    MultiLegSpec,
    OcoEntry,
    OcoSpec,
    OtoSpec,
    Rung,
    ScaleSpec,
    SingleSpec,
    Spec,
    Trail,
    TrailingSpec,
    TwapSpec,
)

NOW = datetime(2024, 1, 2, 15, tzinfo=UTC)
BUY, SELL = Side.BUY, Side.SELL
ONE, TWO = Decimal(1), Decimal(2)

EXAMPLES: dict[str, Spec] = {
    "single": SingleSpec(
        order_id="single-1", symbol="A", side=BUY, quantity=TWO, limit_price=Decimal(100), valid_for=60
    ),
    "bracket": BracketSpec(
        order_id="bracket-1",
        symbol="A",
        side=BUY,
        quantity=TWO,
        entry_price=Decimal(100),
        stop_price=Decimal(90),
        take_profit_price=Decimal(110),
        valid_for=60,
    ),
    "oco": OcoSpec(
        order_id="oco-1",
        symbol="A",
        entries=(
            OcoEntry(side=BUY, quantity=ONE, order_type=OrderType.STOP, price=Decimal(110)),
            OcoEntry(side=SELL, quantity=ONE, order_type=OrderType.STOP, price=Decimal(90)),
        ),
        valid_for=60,
    ),
    "oto": OtoSpec(
        order_id="oto-1",
        orders=(
            Leg(symbol="A", side=BUY, quantity=TWO, price=Decimal(100)),
            Leg(symbol="B", side=SELL, quantity=TWO, price=Decimal(50)),
        ),
    ),
    "multi_leg": MultiLegSpec(
        order_id="multi_leg-1",
        legs=(
            Leg(symbol="A", side=BUY, quantity=ONE, price=Decimal(100)),
            Leg(symbol="B", side=SELL, quantity=ONE, price=Decimal(50)),
        ),
        valid_for=60,
    ),
    "trailing": TrailingSpec(
        order_id="trailing-1",
        symbol="A",
        side=BUY,
        quantity=ONE,
        entry_price=Decimal(100),
        trail=Trail(amount=Decimal(10)),
    ),
    "twap": TwapSpec(
        order_id="twap-1", symbol="A", side=BUY, quantity=TWO, duration=60, slices=2, limit_price=Decimal(100)
    ),
    "iceberg": IcebergSpec(
        order_id="iceberg-1", symbol="A", side=BUY, quantity=TWO, limit_price=Decimal(100), display_quantity=ONE
    ),
    "scale": ScaleSpec(
        order_id="scale-1",
        symbol="A",
        side=BUY,
        rungs=(Rung(quantity=ONE, price=Decimal(100)), Rung(quantity=ONE, price=Decimal(95))),
        stop_price=Decimal(90),
        take_profit_price=Decimal(110),
    ),
    "flatten": FlattenSpec(order_id="flatten-1", symbol="A", side=BUY, quantity=ONE, reference_price=Decimal(100)),
}
"""A small order of each kind."""

START = END = "[*]"
MOST_STATES = 12
"""A diagram with more is not read by anybody: then a coarser one is drawn."""
MOST_SURPRISES = 1
_TOO_MANY = 50_000
"""Situations: guards against a lifecycle that never comes back to where it was."""

Edge = tuple[str, str, str, str]
"""From and to (names of states), what was commanded, what happened."""


@dataclass(frozen=True)
class Situation:
    """An order, the replaces that its venue has not answered, its timers, how often it was taken off its way."""

    state: State
    replaces: tuple[ReplaceOrder, ...] = ()
    timers: frozenset[str] = frozenset()
    surprises: int = 0


class Detail(IntEnum):
    """What a state's name tells of the orders that are not over."""

    GROUPS = 0
    """Which groups of them work, or are being cancelled: stop and take-profit are both exits."""
    ORDERS = 1
    """Which of them work, or are being cancelled."""
    ALL = 2
    """Also whether the venue has acknowledged them, and which are being changed."""


def diagram(kind: str) -> str:
    """The Mermaid diagram (`stateDiagram-v2`) of a kind of order. Raises `KeyError` for a kind that there is not."""
    first, commands, steps = _explored(EXAMPLES[kind])
    for detail in reversed(Detail):
        edges = {(START, _named(first, detail), _words(first.state, commands), "")}
        for before, happened, told, after in steps:
            edges.add((_named(before, detail), _named(after, detail), _words(after.state, told), happened))
        if len({source for source, *_ in edges} - {START}) <= MOST_STATES:
            break
    return _drawn(edges)


def with_diagrams(text: str) -> str:
    """A document with its diagrams as they are now: each stands between `<!-- diagram: KIND -->` and `<!-- end -->`."""

    def made(match: re.Match[str]) -> str:
        return f"{match[1]}\n```mermaid\n{diagram(match[2])}```\n{match[3]}"

    return re.sub(r"(<!-- diagram: (\w+) -->)\n.*?(<!-- end -->)", made, text, flags=re.DOTALL)


def _drawn(edges: set[Edge]) -> str:
    drawn: dict[tuple[str, str], dict[str, list[str]]] = {}
    for source, target, commanded, happened in sorted(edges):
        if source != target or commanded:
            drawn.setdefault((source, target), {}).setdefault(commanded, []).append(happened)
    names = sorted({name for ends in drawn for name in ends} - {START})
    lines = ["stateDiagram-v2", *(f"    {_identifier(name)} : {name}" for name in names)]
    for (source, target), labels in drawn.items():
        told = [" / ".join(filter(None, (_either(happened), commanded))) for commanded, happened in labels.items()]
        lines.append(f"    {_identifier(source)} --> {_identifier(target)} : {'<br/>'.join(told)}")
    return "\n".join(lines) + "\n"


def _either(happened: list[str]) -> str:
    """One or the other; where it makes no difference how much fills, that is not said."""
    said = [each for each in happened if not each.endswith(_IN_PART) or each.removesuffix(_IN_PART) not in happened]
    return ", ".join(said)


def _identifier(name: str) -> str:
    return name if name == START else re.sub(r"[^a-z0-9]+", "_", name)


# Going through all that may happen


Step = tuple[Situation, str, list[Command], Situation]


def _explored(spec: Spec) -> tuple[Situation, list[Command], list[Step]]:
    """How it begins, and each step that can follow, from each situation that differs by more than numbers."""
    state, commands = start(spec, NOW)
    first = Situation(state, timers=_running(frozenset(), None, commands))
    steps: list[Step] = []
    known = {_essence(first)}
    unseen = deque([first])
    while unseen:
        before = unseen.popleft()
        for happened, event in _happenings(before):
            surprises = before.surprises + _is_surprise(before.state, event)
            if surprises > MOST_SURPRISES:
                continue
            state, told = handle(before.state, event, NOW)
            replaces, timers = _unanswered(state, before.replaces, told), _running(before.timers, event, told)
            after = Situation(state, replaces, timers, surprises)
            steps.append((before, happened, told, after))
            essence = _essence(after)
            if essence not in known:
                known.add(essence)
                assert len(known) < _TOO_MANY, f"{spec.order_id} does not come back to where it was"
                if not is_finished(state):
                    unseen.append(after)
    return first, commands, steps


def _unanswered(state: State, replaces: Sequence[ReplaceOrder], told: Sequence[Command]) -> tuple[ReplaceOrder, ...]:
    waiting = {request.cl_ord_id for order in state.orders for request in order.requests}
    asked = [*replaces, *(each for each in told if isinstance(each, ReplaceOrder))]
    return tuple(each for each in asked if each.cl_ord_id in waiting)


def _running(timers: frozenset[str], event: Event | None, told: Sequence[Command]) -> frozenset[str]:
    if isinstance(event, TimerFired):
        timers -= {event.name}
    for each in told:
        if isinstance(each, SetTimer):
            timers |= {each.name}
        elif isinstance(each, CancelTimer):
            timers -= {each.name}
    return timers


def _essence(situation: Situation) -> Hashable:
    """What two situations have in common from which the same can follow: no names, no prices, no past."""
    state = situation.state
    traded: dict[tuple[Role, int], Decimal] = {}
    newest: dict[Slot, Hashable] = {}
    asked = {each.orig_cl_ord_id: each.quantity for each in situation.replaces}
    for order in state.orders:
        traded[order.role, order.leg] = traded.get((order.role, order.leg), Decimal(0)) + order.cum_quantity
        requests = tuple(each.kind for each in order.requests)
        about = (order.stage, order.leaves_quantity, requests, asked.get(order.cl_ord_id), order.setbacks > 0)
        newest[order.slot] = about
    return (
        situation.surprises,
        state.over,
        state.outcome,
        state.slice,
        tuple((leg.closing, leg.touched) for leg in state.legs),
        tuple(newest.items()),
        tuple(traded.items()),
        tuple((hold.name, hold.status, min(hold.failures, 3)) for hold in state.holds),
        tuple((watch.symbol, watch.below is None, watch.above is None, watch.is_used) for watch in state.watches),
        situation.timers,
    )


# What may happen

_IN_PART = " in part"


def _happenings(situation: Situation) -> Iterator[tuple[str, Event]]:
    """All that may happen next where everybody is honest: in words, and as the event that says so."""
    state = situation.state
    for order in state.orders:
        if not order.is_settled:
            yield from _reports(situation, order)
    for name in sorted(situation.timers):
        words = {VALID_UNTIL: "time is over", "slice": "slice is over"}.get(name, "time to try again")
        yield words, TimerFired(name=name)
    if state.over != "canceled":
        yield "user cancels", CancelRequested(mode="flatten")
    for watch in state.watches:
        for side, price in (("below", watch.below), ("above", watch.above)):
            if price is not None and not watch.is_used:
                yield (
                    f"price {side} is touched",
                    PriceTouched(symbol=watch.symbol, watch=watch.number, price=price, at=NOW),
                )


def _reports(situation: Situation, order: Order) -> Iterator[tuple[str, Event]]:
    name, current = _name(situation.state, order), order.cl_ord_id
    if order.is_open:
        if order.leaves_quantity > 1:
            yield f"{name} fills{_IN_PART}", _fill(order, Decimal(1))
        yield f"{name} fills", _fill(order, order.leaves_quantity)
    if order.stage is OrderStatus.PENDING_NEW:
        yield f"{name} is accepted", OrderAccepted(cl_ord_id=current, at=NOW)
        yield f"{name} is rejected", OrderRejected(cl_ord_id=current, reason="no", at=NOW)
    elif order.request is not None:
        yield _answer(situation, order, order.request)


def _answer(situation: Situation, order: Order, request: Request) -> tuple[str, Event]:
    name, current = _name(situation.state, order), order.cl_ord_id
    if not order.is_open:
        return f"{name} was over already", CancelRejected(
            cl_ord_id=request.cl_ord_id,
            orig_cl_ord_id=current,
            response_to=request.kind,
            reason_code=0,
            order_status="2",
            at=NOW,
        )
    if request.kind == "cancel":
        return f"{name} is cancelled", OrderCanceled(
            cl_ord_id=request.cl_ord_id, orig_cl_ord_id=current, cum_quantity=order.cum_quantity, at=NOW
        )
    asked = next(each for each in situation.replaces if each.cl_ord_id == request.cl_ord_id)
    return f"{name} is changed", OrderReplaced(
        cl_ord_id=request.cl_ord_id,
        orig_cl_ord_id=current,
        quantity=max(asked.quantity, order.cum_quantity),
        cum_quantity=order.cum_quantity,
        limit_price=asked.limit_price,
        stop_price=asked.stop_price,
        at=NOW,
    )


def _fill(order: Order, quantity: Decimal) -> OrderFilled:
    cum_quantity = order.cum_quantity + quantity
    return OrderFilled(
        cl_ord_id=order.cl_ord_id,
        exec_id=f"{order.cl_ord_id} {cum_quantity}",
        quantity=quantity,
        price=Decimal(100),
        cum_quantity=cum_quantity,
        leaves_quantity=order.quantity - cum_quantity,
        at=NOW,
    )


def _is_surprise(state: State, event: Event) -> bool:
    """Whether it takes an order off its way. One at a time is drawn: all that two together can lead to is too much."""
    match event:
        case OrderRejected() | CancelRequested():
            return True
        case TimerFired():
            return event.name == VALID_UNTIL
        case OrderFilled():
            return any(order.request is not None and order.answers_to(event.cl_ord_id) for order in state.orders)
        case _:
            return False


# In words


def _named(situation: Situation, detail: Detail) -> str:
    """What works, in words: the name of a state."""
    state = situation.state
    if is_finished(state):
        return END
    parts = {_how(state, order, detail) for order in state.orders if not order.is_settled}
    if parts:
        return ", ".join(sorted(parts))
    if any(not watch.is_used and (watch.below or watch.above) for watch in state.watches):
        return "waits for a price"
    return "waits for a timer" if situation.timers else "waits for a human"


def _how(state: State, order: Order, detail: Detail) -> str:
    is_exit = order.role in (Role.STOP, Role.TAKE_PROFIT)
    name = "exits" if is_exit and detail is Detail.GROUPS else _name(state, order)
    if order.request is not None and order.request.kind == "cancel":
        return f"{name} being cancelled"
    if detail is not Detail.ALL:
        return f"{name} working"
    if order.request is not None:
        return f"{name} being changed"
    return f"{name} sent" if order.stage is OrderStatus.PENDING_NEW else f"{name} working"


def _name(state: State, order: Order) -> str:
    role = order.role.replace("_", "-")
    return role if len(state.legs) == 1 else f"{role} {order.leg + 1}"


def _words(state: State, commands: Sequence[Command]) -> str:
    return ", ".join(dict.fromkeys(filter(None, (_command_in_words(state, each) for each in commands))))


def _command_in_words(state: State, command: Command) -> str:
    match command:
        case SubmitOrder():
            return f"submit {_of(state, command.cl_ord_id)}"
        case ReplaceOrder():
            return f"change {_of(state, command.cl_ord_id)}"
        case CancelOrder():
            return f"cancel {_of(state, command.cl_ord_id)}"
        case RaiseAlert():
            return f"alert {command.code}"
        case BlockSymbol():
            return "block the symbol"
        case Finish():
            return f"finish {command.outcome}"
        case WatchPrice():
            return "watch prices" if command.below is not None or command.above is not None else ""
        case SetTimer() | CancelTimer():
            return ""


def _of(state: State, cl_ord_id: str) -> str:
    return next(_name(state, order) for order in state.orders if order.answers_to(cl_ord_id))


# The command


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m trading.explain",
        description="Prints the state machine of a kind of order as a Mermaid diagram (stateDiagram-v2), made from the "
        "code. A state is named by what works; an arrow by what happens and, after a slash, what is commanded then. "
        "Drawn is what can happen to a small order where venue and market are honest, with at most "
        f"{MOST_SURPRISES} surprise (a rejection, a fill that crosses a request, a cancel, the end of its time).",
        epilog="GitHub draws Mermaid in Markdown; elsewhere, paste it into https://mermaid.live.",
    )
    parser.add_argument("kind", nargs="*", help=f"one or more of {', '.join(EXAMPLES)}")
    parser.add_argument("--list", action="store_true", help="print the kinds of orders there are")
    parser.add_argument("--write", metavar="FILE", type=Path, help="bring the diagrams in a document up to date")
    options = parser.parse_args(arguments)
    for kind in options.kind:
        if kind not in EXAMPLES:
            parser.error(f"kind: {kind!r}: must be one of {', '.join(EXAMPLES)}")
    if options.list:
        sys.stdout.write("".join(f"{kind}\n" for kind in EXAMPLES))
    elif options.write:
        if not options.write.is_file():
            parser.error(f"--write: '{options.write}': must be a file that exists, as docs/lifecycles.md")
        text = options.write.read_text(encoding="utf-8")
        options.write.write_text(with_diagrams(text), encoding="utf-8")
    elif options.kind:
        sys.stdout.write("\n".join(diagram(kind) for kind in options.kind))
    else:
        parser.error("kind: is needed; --list prints what there is, --help says more")


if __name__ == "__main__":
    main(sys.argv[1:])
