"""A venue that may do almost anything, and the bracket that plays against it.

The venue keeps the truth of its orders. A list of numbers decides what happens next, so that a counterexample is short,
and `story` tells it in words. Reports about one order stay in order; of different orders any may come first.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Literal

import msgspec
from trading.lifecycles.children import PATIENCE

from trading.commands import (
    BlockSymbol,
    CancelOrder,
    Command,
    Finish,
    RaiseAlert,
    ReplaceOrder,
    SetTimer,
    SubmitOrder,
    VenueCommand,
)
from trading.events import (
    CancelRejected,
    CancelRequested,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderNotSent,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    TimerFired,
    TradeBusted,
    TradeCorrected,
    VenueEvent,
)
from trading.identity import LETTERS, Role
from trading.lifecycles import State, handle, start
from trading.lifecycles.bracket import BracketState
from trading.specs import Spec

ROLES = {letter: role for role, letter in LETTERS.items()}
ZERO = Decimal(0)
Action = tuple[str, Callable[[], None]]


@dataclass
class VenueOrder:
    """The truth about an order. `inbox` is what it has not read yet, `outbox` what it said and nobody has heard yet."""

    role: Role
    sign: int
    quantity: Decimal
    ids: list[str]
    is_open: bool = False
    ended_as: str = ""
    trades: dict[str, Decimal] = field(default_factory=dict)
    inbox: list[VenueCommand] = field(default_factory=list)
    outbox: list[VenueEvent] = field(default_factory=list)
    heard: list[VenueEvent] = field(default_factory=list)

    @property
    def cum(self) -> Decimal:
        return sum(self.trades.values(), ZERO)

    @property
    def leaves(self) -> Decimal:
        return self.quantity - self.cum if self.is_open else ZERO


class Game:
    """One order's life. `mischief` is how many things the venue may do that it should not."""

    def __init__(self, spec: Spec, mischief: int) -> None:
        self.spec = spec
        self.mischief = mischief
        self.now = datetime(2024, 1, 2, tzinfo=UTC)
        self.orders: list[VenueOrder] = []
        self.timers: dict[str, datetime] = {}
        self.alerts: list[str] = []
        self.finishes: list[Finish] = []
        self.story: list[str] = []
        self.counted: dict[str, dict[str, Decimal]] = {}
        self._serial = 0
        self.state: State
        self.state, commands = start(spec, self.now)
        self._carry_out(commands)

    # What the test asks.

    @property
    def position(self) -> Decimal:
        return sum((order.sign * order.cum for order in self.orders), ZERO) * self.spec.side.sign

    @property
    def is_quiet(self) -> bool:
        return not any(order.inbox or order.outbox for order in self.orders)

    def play(self, choices: list[int]) -> None:
        for choice in choices:
            which, kind = divmod(choice, 6)
            mischievous = self._mischievous(which) if self.mischief and kind == 5 else []
            actions = mischievous or self._honest() + (self._own() if kind == 4 else [])
            if actions:
                self._act(actions[which % len(actions)])

    def calm_down(self) -> None:
        """The venue answers everything as it should, and nothing trades, until there is nothing left to say."""
        while actions := self._answers()[:1] + self._deliveries()[:1]:
            self._act(actions[0])

    def fire_timers(self) -> None:
        while self.timers:
            self._fire(min(self.timers, key=lambda name: self.timers[name]))
            self.calm_down()

    def trade_out(self, role: Role) -> None:
        for order in self.orders:
            if order.role is role and order.is_open:
                self._trade(order, order.leaves)
        self.calm_down()

    def ask_to_flatten(self) -> None:
        self._deliver(CancelRequested(mode="flatten"))
        self.calm_down()

    # What may happen.

    def _honest(self) -> list[Action]:
        trades = [
            action
            for order in self.orders
            if order.is_open
            for action in (
                (f"{order.role} fills", partial(self._trade, order, order.leaves)),
                (f"{order.role} fills 1", partial(self._trade, order, min(Decimal(1), order.leaves))),
                (f"{order.role} fills 3", partial(self._trade, order, min(Decimal(3), order.leaves))),
            )
        ]
        return self._answers() + self._deliveries() + trades

    def _answers(self) -> list[Action]:
        return [
            (f"venue takes {type(order.inbox[0]).__name__} of {order.role}", partial(self._answer, order))
            for order in self.orders
            if order.inbox
        ]

    def _deliveries(self) -> list[Action]:
        return [(f"we hear {order.outbox[0]}", partial(self._hear, order)) for order in self.orders if order.outbox]

    def _own(self) -> list[Action]:
        return [(f"timer {name}", partial(self._fire, name)) for name in list(self.timers)]

    def _mischievous(self, choice: int) -> list[Action]:
        actions: list[Action] = []
        for order in self.orders:
            request = order.inbox[0] if order.inbox else None
            if isinstance(request, SubmitOrder):
                actions.append((f"{order.role} is rejected", partial(self._reject, order)))
                actions.append((f"{order.role} never leaves", partial(self._never_leaves, order)))
            elif request is not None:
                actions.append((f"{order.role}'s request refused", partial(self._refuse, order, 99, "0")))
            if isinstance(request, ReplaceOrder) and order.ended_as == "2" and request.quantity > order.cum:
                actions.append((f"{order.role} is replaced again", partial(self._replace, order)))
            if order.is_open:
                actions.append((f"{order.role} is cancelled unasked", partial(self._cancel_unasked, order)))
                actions.append((f"{order.role} is restated", partial(self._restate, order, choice % 7)))
            if order.ended_as in {"2", "4"}:
                actions.append((f"{order.role} fills 2 late", partial(self._trade, order, Decimal(2))))
            for exec_id, quantity in list(order.trades.items())[-1:]:
                if quantity:
                    actions.append((f"{exec_id} is busted", partial(self._bust, order, exec_id)))
                    actions.append((f"{exec_id} is corrected", partial(self._correct, order, exec_id)))
            actions.extend((f"again: {event}", partial(self._deliver, event)) for event in order.heard[-2:])
        for mode in ("flatten", "keep_exits"):
            actions.append((f"user cancels: {mode}", partial(self._deliver, CancelRequested(mode=mode))))

        def spent(action: Callable[[], None]) -> Callable[[], None]:
            def act() -> None:
                self.mischief -= 1
                action()

            return act

        return [(what, spent(action)) for what, action in actions]

    # How the venue does it.

    def _answer(self, order: VenueOrder) -> None:
        match order.inbox[0]:
            case SubmitOrder():
                order.inbox.pop(0)
                order.is_open = True
                order.outbox.append(OrderAccepted(cl_ord_id=order.ids[-1], at=self.now))
            case ReplaceOrder() if order.is_open:
                self._replace(order)
            case CancelOrder() as request if order.is_open:
                order.inbox.pop(0)
                self._end(order, "4")
                order.outbox.append(
                    OrderCanceled(
                        cl_ord_id=request.cl_ord_id,
                        orig_cl_ord_id=request.orig_cl_ord_id,
                        cum_quantity=order.cum,
                        at=self.now,
                    )
                )
            case _:
                known = self._next() % 3
                self._refuse(order, 1 if known == 0 else 0, "" if known == 1 else order.ended_as)

    def _replace(self, order: VenueOrder) -> None:
        request = order.inbox.pop(0)
        assert isinstance(request, ReplaceOrder)
        order.quantity = max(request.quantity, order.cum)
        order.ids.append(request.cl_ord_id)
        order.is_open, order.ended_as = True, ""
        order.outbox.append(
            OrderReplaced(
                cl_ord_id=request.cl_ord_id,
                orig_cl_ord_id=request.orig_cl_ord_id,
                quantity=order.quantity,
                cum_quantity=order.cum,
                at=self.now,
            )
        )
        self._complete(order)

    def _refuse(self, order: VenueOrder, reason_code: int, status: str) -> None:
        request = order.inbox.pop(0)
        assert not isinstance(request, SubmitOrder)
        response_to: Literal["cancel", "replace"] = "cancel" if isinstance(request, CancelOrder) else "replace"
        order.outbox.append(
            CancelRejected(
                cl_ord_id=request.cl_ord_id,
                orig_cl_ord_id=request.orig_cl_ord_id,
                response_to=response_to,
                reason_code=reason_code,
                reason="no",
                order_status=status,
                at=self.now,
            )
        )

    def _reject(self, order: VenueOrder) -> None:
        order.inbox.pop(0)
        self._end(order, "8")
        order.outbox.append(OrderRejected(cl_ord_id=order.ids[-1], reason="no", at=self.now))

    def _never_leaves(self, order: VenueOrder) -> None:
        order.inbox.clear()
        self._end(order, "8")
        self._deliver(OrderNotSent(cl_ord_id=order.ids[-1], reason="deadline"))

    def _cancel_unasked(self, order: VenueOrder) -> None:
        self._end(order, "4")
        order.outbox.append(OrderCanceled(cl_ord_id=order.ids[-1], cum_quantity=order.cum, at=self.now))

    def _restate(self, order: VenueOrder, leaves: int) -> None:
        order.quantity = order.cum + leaves + 1
        order.outbox.append(
            OrderRestated(
                cl_ord_id=order.ids[-1],
                quantity=order.quantity,
                cum_quantity=order.cum,
                leaves_quantity=order.leaves,
                at=self.now,
            )
        )

    def _trade(self, order: VenueOrder, quantity: Decimal) -> None:
        exec_id = f"T{self._next()}"
        order.trades[exec_id] = quantity
        self._complete(order)
        order.outbox.append(
            OrderFilled(
                cl_ord_id=order.ids[-1],
                exec_id=exec_id,
                quantity=quantity,
                price=Decimal(3000),
                cum_quantity=order.cum,
                leaves_quantity=order.leaves,
                at=self.now,
            )
        )

    def _bust(self, order: VenueOrder, exec_id: str) -> None:
        quantity = order.trades[exec_id]
        order.trades[exec_id] = ZERO
        order.outbox.append(
            TradeBusted(
                cl_ord_id=order.ids[-1],
                exec_id=f"B{self._next()}",
                ref_exec_id=exec_id,
                quantity=quantity,
                price=Decimal(3000),
                at=self.now,
            )
        )

    def _correct(self, order: VenueOrder, exec_id: str) -> None:
        order.trades[exec_id] += 1
        self._complete(order)
        order.outbox.append(
            TradeCorrected(
                cl_ord_id=order.ids[-1],
                exec_id=f"C{self._next()}",
                ref_exec_id=exec_id,
                quantity=order.trades[exec_id],
                price=Decimal(2999),
                at=self.now,
            )
        )

    def _complete(self, order: VenueOrder) -> None:
        if order.is_open and order.cum >= order.quantity:
            self._end(order, "2")

    def _end(self, order: VenueOrder, status: str) -> None:
        order.is_open, order.ended_as = False, status

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    # What reaches the bracket, and what it must then be like.

    def _act(self, action: Action) -> None:
        self.story.append(action[0])
        action[1]()

    def _fire(self, name: str) -> None:
        self.now = max(self.now, self.timers.pop(name))
        self._deliver(TimerFired(name=name))

    def _hear(self, order: VenueOrder) -> None:
        event = order.outbox.pop(0)
        order.heard.append(event)
        counted = self.counted.setdefault(order.ids[0], {})
        match event:
            case OrderFilled():
                counted[event.exec_id] = event.quantity
            case TradeBusted():
                counted[event.ref_exec_id] = ZERO
            case TradeCorrected():
                counted[event.ref_exec_id] = event.quantity
        self._deliver(event)

    def _deliver(self, event: Event) -> None:
        self.now += timedelta(milliseconds=1)
        before = self.state
        self.state, commands = handle(before, event, self.now)
        assert msgspec.json.decode(msgspec.json.encode(self.state), type=State) == self.state
        for was, child in zip(before.children.orders, self.state.children.orders, strict=False):
            if not isinstance(event, TradeBusted | TradeCorrected):
                assert child.cum_quantity >= was.cum_quantity, "filled quantity fell"
        for child in self.state.children.orders:
            counted = sum(self.counted.get(child.cl_ord_ids[0], {}).values(), ZERO)
            assert child.cum_quantity == counted, f"{child.cl_ord_id} has {child.cum_quantity}, was told of {counted}"
        self._carry_out(commands)

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            self.story.append(f"    {command}")
            match command:
                case SubmitOrder():
                    self._receive(command)
                case ReplaceOrder() | CancelOrder():
                    order = next(each for each in self.orders if command.orig_cl_ord_id in each.ids)
                    unanswered = [each for each in order.inbox if not isinstance(each, SubmitOrder)]
                    unheard = [each for each in order.outbox if isinstance(each, CancelRejected | OrderReplaced)]
                    assert not [*unanswered, *unheard], f"a second request about the {order.role}"
                    order.inbox.append(command)
                case SetTimer():
                    self.timers[command.name] = command.at
                case RaiseAlert():
                    self.alerts.append(command.code)
                case BlockSymbol():
                    assert self.alerts[-1] == "DOUBLE_EXIT", "a symbol is blocked and nobody was told why"
                case Finish():
                    self.finishes.append(command)
                    self._check_end()

    def _receive(self, command: SubmitOrder) -> None:
        role = ROLES[command.cl_ord_id.partition(".")[2][0]]
        assert not any(each.role is role and each.is_open for each in self.orders), f"a second {role} that works"
        assert command.quantity > 0
        if role is Role.CLOSE:
            exits = [each for each in self.orders if each.role in (Role.STOP, Role.TAKE_PROFIT)]
            assert not any(each.is_open for each in exits), "closed while an exit works"
        order = VenueOrder(role, command.side.sign, command.quantity, [command.cl_ord_id])
        order.inbox.append(command)
        self.orders.append(order)

    def _check_end(self) -> None:
        assert not any(order.is_open for order in self.orders), "finished while an order works"
        assert not any(order.inbox for order in self.orders), "finished while a request is under way"
        known = sum((order.side.sign * order.cum_quantity for order in self.state.children.orders), ZERO)
        assert isinstance(self.state, BracketState) is False or known == 0, "finished with a position"

    def check_quiet(self) -> None:
        """What has to hold when the venue has answered everything and everything was heard."""
        state = self.state
        assert isinstance(state, BracketState)
        assert self.is_quiet
        assert state.open_quantity == self.position
        exits = [order for order in self.orders if order.is_open and order.role in (Role.STOP, Role.TAKE_PROFIT)]
        stuck = any(order.refused_cancels >= PATIENCE for order in state.children.orders)
        if state.closing:
            assert stuck or not exits
            closing = any(order.is_open for order in self.orders if order.role is Role.CLOSE)
            waiting = Role.CLOSE in state.held
            assert stuck or not self.position or closing or waiting, "neither protected nor being closed"
            return
        for order in exits:
            assert stuck or order.leaves == self.position, f"{order.role} for {order.leaves}, open {self.position}"
        if self.position:
            assert any(order.role is Role.STOP for order in exits), "a position without a stop"
