"""A bracket on the table: plays a venue's reports to it by hand, and keeps book of what it commanded.

The book is the desk's own, made from commands only, so that a test does not ask the code under test what it sent.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import msgspec

from trading.child import Order
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
    Event,
    Instruction,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderNotSent,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    PriceTouched,
    TimerFired,
    TradeBusted,
    TradeCorrected,
)
from trading.identity import LETTERS, Role
from trading.lifecycles import OrderSummary, State, handle, is_finished, start, summary
from trading.lifecycles.state import Slot, slot_name
from trading.orders import Side
from trading.specs import BracketSpec, SingleSpec, Spec

NOW = datetime(2024, 1, 2, 15, tzinfo=UTC)
Delivery = Literal["once", "twice", "swapped", "swapped and twice"]
DELIVERIES: tuple[Delivery, ...] = ("once", "twice", "swapped", "swapped and twice")
ENTRY, STOP, TAKE_PROFIT, CLOSE = Role.ENTRY, Role.STOP, Role.TAKE_PROFIT, Role.CLOSE
NAMES = {letter: role for role, letter in LETTERS.items()}


def bracket_spec(**changes: object) -> BracketSpec:
    """BUY 10, entry limit 3000, stop 2950, take-profit 3050, good for a minute."""
    spec = BracketSpec(
        order_id="bracket-1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(10),
        entry_price=Decimal(3000),
        stop_price=Decimal(2950),
        take_profit_price=Decimal(3050),
        valid_for=60,
    )
    return msgspec.structs.replace(spec, **changes)


def single_spec(**changes: object) -> SingleSpec:
    spec = SingleSpec(
        order_id="single-1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(10),
        limit_price=Decimal(3000),
        valid_for=60,
    )
    return msgspec.structs.replace(spec, **changes)


@dataclass
class Sent:
    """An order as the venue has it."""

    role: Role
    leg: int
    rung: int
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    cl_ord_ids: list[str]
    cum_quantity: Decimal = Decimal(0)
    requests: list[ReplaceOrder | CancelOrder] = field(default_factory=list)
    is_over: bool = False
    """The venue has ended it otherwise than by filling it."""

    @property
    def slot(self) -> Slot:
        return self.role, self.leg, self.rung

    @property
    def name(self) -> str:
        """The role, and the leg where it is not the first."""
        return slot_name(self.role, self.leg, 0)

    @property
    def leaves(self) -> Decimal:
        return max(Decimal(0), self.quantity - self.cum_quantity)


@dataclass
class Move:
    """What a test has done with the desk, so that it can be done again with another (`swapping`)."""

    at: datetime
    event: Event
    """What was delivered, or made to be."""
    made_by: str = ""
    """The method of the desk that makes such a report, `fire`, or nothing: the event is as it is."""
    of: Sent | None = None
    """The order that it is about, and how it was made besides."""
    arguments: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    """What the test has changed in the report."""
    is_report: bool = True


_P = ParamSpec("_P")
_E = TypeVar("_E", bound=Event)


def _said(make: "Callable[Concatenate[Desk, _P], _E]") -> "Callable[Concatenate[Desk, _P], _E]":
    """For a report that the venue makes: how it was made is remembered."""

    @wraps(make)
    def remembered(desk: "Desk", /, *args: _P.args, **kwargs: _P.kwargs) -> _E:
        at, event = desk.now, make(desk, *args, **kwargs)
        arguments = tuple(each for each in args if not isinstance(each, Sent))
        named = {name: each for name, each in kwargs.items() if name != "of"}
        of = desk.owners[getattr(event, "cl_ord_id", "")]
        desk.made.append(Move(at, event, make.__name__, of, arguments, named))
        return event

    return remembered


class Desk:
    def __init__(self, delivery: Delivery = "once") -> None:
        self.delivery = delivery
        self.now = NOW
        self.book: list[Sent] = []
        self.owners: dict[str, Sent] = {}
        """Whose a ClOrdID is: an order's, or that of a request about it."""
        self.spec: Spec | None = None
        self.made: list[Move] = []
        """The reports that were made, and are yet to be delivered."""
        self.moves: list[Move] = []
        self.order_matters = ""
        """Why the end is another where reports are swapped."""
        self.log: list[str] = []
        self.finishes: list[Finish] = []
        self.alert_texts: dict[str, str] = {}
        self.timers: dict[str, datetime] = {}
        self.watches: dict[str, WatchPrice] = {}
        self._trades = 0
        self._state: State | None = None

    @property
    def state(self) -> State:
        assert self._state is not None, "begin first"
        return self._state

    def begin(self, spec: Spec) -> None:
        self.spec = spec
        self._state, commands = start(spec, self.now)
        self.carry_out(commands)

    def begin_long_10(self) -> None:
        """The bracket's entry filled 10 at 3000, both exits working."""
        self.begin(bracket_spec())
        self.say(self.accepted(ENTRY))
        self.say(self.filled(ENTRY, 10))
        self.say(self.accepted(STOP), self.accepted(TAKE_PROFIT))
        assert self.new() == [
            "submit entry buy 10",
            "timer valid_until",
            "submit stop sell 10",
            "submit take_profit sell 10",
        ]

    def say(self, *reports: Event) -> None:
        """Deliver reports that follow each other, in this desk's manner."""
        self.moves += [self._move(event) for event in reports]
        events = list(reports)
        if self.delivery.startswith("swapped"):
            events.reverse()
        for event in events:
            for _ in range(2 if self.delivery.endswith("twice") else 1):
                self._deliver(event)

    def do(self, event: TimerFired | Instruction | OrderNotSent) -> None:
        """Deliver what comes from our own side."""
        self.moves.append(Move(self.now, event, is_report=False))
        self._deliver(event)

    def fire(self, name: str) -> None:
        """Let a timer run out."""
        self.now = max(self.now, self.timers.pop(name))
        fired = TimerFired(name=name)
        self.moves.append(Move(self.now, fired, "fire", is_report=False))
        self._deliver(fired)

    def new(self) -> list[str]:
        """What was commanded since this was last asked, but for what only keeps watch over time."""
        log, self.log = self.log, []
        return log

    def order(self, role: Role, leg: int = 0) -> Order:
        """The newest order of a role in a leg, as we have it."""
        return self.state.of(role, leg)[-1]

    def leaves(self, role: Role, leg: int = 0) -> Decimal:
        """What we believe that it has left to trade."""
        return self.order(role, leg).leaves_quantity

    def sent(self, role: Role, leg: int = 0, rung: int | None = None) -> Sent:
        """The newest order of a role in a leg, or of a rung of it, as the venue has it."""
        return next(
            each for each in reversed(self.book) if each.role is role and each.leg == leg and rung in (None, each.rung)
        )

    def touch(self, price: int | str, *then: int, symbol: str = "IBM") -> None:
        """Let the market trade at prices; the watch of the symbol, if any, is told where it waits for the first."""
        watch = self.watches.get(symbol)
        at = Decimal(price)
        if watch is None:
            return
        if (watch.below is not None and at <= watch.below) or (watch.above is not None and at >= watch.above):
            went = tuple(map(Decimal, then))
            self.do(PriceTouched(symbol=symbol, watch=watch.number, price=at, then=went, at=self.now))

    @property
    def position(self) -> Decimal:
        return sum((each.side.sign * each.cum_quantity for each in self.book), Decimal(0))

    def position_in(self, symbol: str) -> Decimal:
        return sum((each.side.sign * each.cum_quantity for each in self.book if each.symbol == symbol), Decimal(0))

    @property
    def outcome(self) -> str:
        return self.summary.outcome if is_finished(self.state) else "(open)"

    @property
    def summary(self) -> OrderSummary:
        return summary(self.state)

    # What the venue may say.

    @_said
    def accepted(self, role: Role, of: Sent | None = None) -> OrderAccepted:
        return OrderAccepted(cl_ord_id=(of or self.sent(role)).cl_ord_ids[-1], at=self.now)

    @_said
    def filled(self, role: Role, quantity: int, price: int | None = None, of: Sent | None = None) -> OrderFilled:
        order = of or self.sent(role)
        order.cum_quantity += quantity
        self._trades += 1
        return OrderFilled(
            cl_ord_id=order.cl_ord_ids[-1],
            exec_id=f"T{self._trades}",
            quantity=Decimal(quantity),
            price=order.price if price is None else Decimal(price),
            cum_quantity=order.cum_quantity,
            leaves_quantity=order.leaves,
            at=self.now,
        )

    @_said
    def replaced(self, role: Role, of: Sent | None = None) -> OrderReplaced:
        order = of or self.sent(role)
        request = order.requests.pop()
        assert isinstance(request, ReplaceOrder)
        order.quantity = request.quantity
        order.price = request.limit_price or request.stop_price or order.price
        order.cl_ord_ids.append(request.cl_ord_id)
        return OrderReplaced(
            cl_ord_id=request.cl_ord_id,
            orig_cl_ord_id=request.orig_cl_ord_id,
            quantity=request.quantity,
            cum_quantity=order.cum_quantity,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            at=self.now,
        )

    @_said
    def canceled(self, role: Role, of: Sent | None = None) -> OrderCanceled:
        order = of or self.sent(role)
        request = order.requests.pop()
        assert isinstance(request, CancelOrder)
        order.is_over = True
        return OrderCanceled(
            cl_ord_id=request.cl_ord_id,
            orig_cl_ord_id=request.orig_cl_ord_id,
            cum_quantity=order.cum_quantity,
            at=self.now,
        )

    @_said
    def canceled_unasked(self, role: Role, of: Sent | None = None) -> OrderCanceled:
        order = of or self.sent(role)
        order.is_over = True
        return OrderCanceled(
            cl_ord_id=order.cl_ord_ids[-1], cum_quantity=order.cum_quantity, reason="by the venue", at=self.now
        )

    @_said
    def rejected(self, role: Role, reason: str, of: Sent | None = None) -> OrderRejected:
        order = of or self.sent(role)
        order.is_over = True
        return OrderRejected(cl_ord_id=order.cl_ord_ids[-1], reason=reason, at=self.now)

    @_said
    def refused(self, role: Role, reason_code: int, order_status: str = "", of: Sent | None = None) -> CancelRejected:
        request = (of or self.sent(role)).requests.pop()
        return CancelRejected(
            cl_ord_id=request.cl_ord_id,
            orig_cl_ord_id=request.orig_cl_ord_id,
            response_to="cancel" if isinstance(request, CancelOrder) else "replace",
            reason_code=reason_code,
            reason="no",
            order_status=order_status,
            at=self.now,
        )

    @_said
    def restated(self, role: Role, quantity: int, of: Sent | None = None) -> OrderRestated:
        order = of or self.sent(role)
        order.quantity = Decimal(quantity)
        return OrderRestated(
            cl_ord_id=order.cl_ord_ids[-1],
            quantity=order.quantity,
            cum_quantity=order.cum_quantity,
            leaves_quantity=order.leaves,
            at=self.now,
        )

    @_said
    def busted(self, role: Role, trade: OrderFilled, of: Sent | None = None) -> TradeBusted:
        del of  # the trade tells
        order = next(each for each in self.book if trade.cl_ord_id in each.cl_ord_ids)
        order.cum_quantity -= trade.quantity
        return TradeBusted(
            cl_ord_id=trade.cl_ord_id,
            exec_id=f"{trade.exec_id}-bust",
            ref_exec_id=trade.exec_id,
            quantity=trade.quantity,
            price=trade.price,
            at=self.now,
        )

    @_said
    def corrected(self, trade: OrderFilled, quantity: int, price: int, of: Sent | None = None) -> TradeCorrected:
        del of  # the trade tells
        return TradeCorrected(
            cl_ord_id=trade.cl_ord_id,
            exec_id=f"{trade.exec_id}-correction",
            ref_exec_id=trade.exec_id,
            quantity=Decimal(quantity),
            price=Decimal(price),
            at=self.now,
        )

    def _move(self, event: Event) -> Move:
        """How a report was made, and what a test has changed in it; one that it has made alone is as it is."""
        alike = [move for move in self.made if type(move.event) is type(event)]
        made = next((move for move in alike if move.event is event), None)
        name = getattr(event, "cl_ord_id", None)
        made = made or next((move for move in alike if getattr(move.event, "cl_ord_id", None) == name), None)
        if made is None:
            return Move(self.now, event)
        self.made = [move for move in self.made if move is not made]
        was = msgspec.structs.asdict(made.event)
        made.changes = {name: value for name, value in msgspec.structs.asdict(event).items() if value != was[name]}
        return made

    def _deliver(self, event: Event) -> None:
        before = self.state
        self._state, commands = handle(before, event, self.now)
        again = msgspec.json.decode(msgspec.json.encode(self._state), type=State)
        assert again == self._state, "the state survives JSON"
        assert handle(before, event, self.now) == (self._state, commands), "the same again is the same"
        self.now += timedelta(milliseconds=1)
        self.carry_out(commands)

    def carry_out(self, commands: Iterable[Command]) -> None:
        """Take commands as the venue would get them."""
        for command in commands:
            if said := self._carry_out_one(command):
                self.log.append(said)

    def _carry_out_one(self, command: Command) -> str:
        match command:
            case SubmitOrder():
                role, leg, rung = self._slot(command.cl_ord_id)
                price = command.limit_price or command.stop_price or Decimal(3000)
                sent = Sent(role, leg, rung, command.symbol, command.side, command.quantity, price, [command.cl_ord_id])
                self.book.append(sent)
                self.owners[command.cl_ord_id] = sent
                return f"submit {sent.name} {command.side} {command.quantity}"
            case ReplaceOrder():
                order = self._ask(command)
                price = command.limit_price or command.stop_price or order.price
                at = f" at {price}" if price != order.price else ""
                return f"replace {order.name} {command.quantity}{at}"
            case CancelOrder():
                return f"cancel {self._ask(command).name}"
            case SetTimer():
                self.timers[command.name] = command.at
                return "" if command.name.startswith("retry_await_") else f"timer {command.name}"
            case CancelTimer():
                del self.timers[command.name]
                return ""
            case WatchPrice():
                self.watches[command.symbol] = command
                levels = [
                    f"{side} {price}" for side, price in (("below", command.below), ("above", command.above)) if price
                ]
                return " ".join(["watch", *(levels or ["nothing"])])
            case RaiseAlert():
                self.alert_texts[command.code] = command.text
                return f"alert {command.code}"
            case BlockSymbol():
                return f"block {command.symbol}"
            case Finish():
                self.finishes.append(command)
                return f"finish {command.outcome}"

    def _slot(self, cl_ord_id: str) -> Slot:
        """Where the order belongs; of a desk that only hears commands, by its ClOrdID's letter."""
        if self._state is None:
            return NAMES[cl_ord_id.partition(".")[2][0]], 0, 0
        return next(order.slot for order in self._state.orders if cl_ord_id in order.cl_ord_ids)

    def _ask(self, request: ReplaceOrder | CancelOrder) -> Sent:
        order = next(each for each in self.book if each.cl_ord_ids[-1] == request.orig_cl_ord_id)
        assert not order.requests, f"{order.role} has a request in flight already"
        order.requests.append(request)
        self.owners[request.cl_ord_id] = order
        return order
