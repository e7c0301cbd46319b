"""How many events a second the lifecycles take in, in pure form: for each kind of order, and for brackets alone.

Each kind's order is played to its end once by a venue that does what it is asked; what it said is then told to fresh
orders of the same kind again and again. Prints one JSON line. `events_per_second` is that of brackets, `wanted` what it
should be at least; times are the process's own, the best of some rounds.
"""

import json
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trading.commands import CancelOrder, Command, ReplaceOrder, SetTimer, SubmitOrder, WatchPrice
from trading.events import Event, OrderAccepted, OrderCanceled, OrderFilled, OrderReplaced, PriceTouched, TimerFired
from trading.identity import LETTERS, Role
from trading.lifecycles import State, handle, is_finished, start
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

_WANTED = 100_000
_ORDERS = 1000
_ROUNDS = 7
_TOUCHES = 3
"""How often the price rises before a trailing stop's order is left to its exits."""

_NOW = datetime(2024, 1, 2, 15, tzinfo=UTC)
_TEN = Decimal(10)
_LEGS = (
    Leg(symbol="A", side=Side.BUY, quantity=_TEN, price=Decimal(50)),
    Leg(symbol="B", side=Side.SELL, quantity=_TEN, price=Decimal(60)),
)
_SPECS: list[Spec] = [
    SingleSpec(order_id="bench", symbol="IBM", side=Side.BUY, quantity=_TEN, limit_price=Decimal(3000)),
    BracketSpec(
        order_id="bench",
        symbol="IBM",
        side=Side.BUY,
        quantity=_TEN,
        entry_price=Decimal(3000),
        stop_price=Decimal(2950),
        take_profit_price=Decimal(3050),
    ),
    OcoSpec(
        order_id="bench",
        symbol="IBM",
        entries=(
            OcoEntry(side=Side.BUY, quantity=_TEN, order_type=OrderType.STOP, price=Decimal(3050)),
            OcoEntry(side=Side.SELL, quantity=_TEN, order_type=OrderType.STOP, price=Decimal(2950)),
        ),
    ),
    OtoSpec(order_id="bench", orders=_LEGS),
    MultiLegSpec(order_id="bench", legs=_LEGS),
    TrailingSpec(
        order_id="bench",
        symbol="IBM",
        side=Side.BUY,
        quantity=_TEN,
        entry_price=Decimal(3000),
        trail=Trail(amount=Decimal(50), step=_TEN),
        take_profit_price=Decimal(3200),
    ),
    TwapSpec(
        order_id="bench",
        symbol="IBM",
        side=Side.BUY,
        quantity=_TEN,
        duration=600,
        slices=5,
        limit_price=Decimal(3000),
    ),
    IcebergSpec(
        order_id="bench",
        symbol="IBM",
        side=Side.BUY,
        quantity=_TEN,
        display_quantity=Decimal(3),
        limit_price=Decimal(3000),
    ),
    ScaleSpec(
        order_id="bench",
        symbol="IBM",
        side=Side.BUY,
        rungs=(Rung(quantity=Decimal(5), price=Decimal(3000)), Rung(quantity=Decimal(5), price=Decimal(2990))),
        stop_price=Decimal(2950),
        take_profit_price=Decimal(3050),
    ),
    FlattenSpec(order_id="bench", symbol="IBM", side=Side.BUY, quantity=_TEN, reference_price=Decimal(3000)),
]


def _takes_profit(cl_ord_id: str) -> bool:
    """Whether a ClOrdID is a take-profit's."""
    return cl_ord_id.partition(".")[2].startswith(LETTERS[Role.TAKE_PROFIT])


class _Venue:
    """Accepts what it is sent, and trades it in two parts; stops and take-profits when nothing else is left to do."""

    def __init__(self, spec: Spec) -> None:
        self.events: list[Event] = []
        self._due: deque[Event] = deque()
        self._quantities: dict[str, Decimal] = {}
        self._resting: dict[str, SubmitOrder | ReplaceOrder] = {}
        self._timers: list[str] = []
        self._watch: WatchPrice | None = None
        self._trades = 0
        self._touches = 0
        state, commands = start(spec, _NOW)
        self._hear(commands)
        while not is_finished(state):
            state = self._tell(state, self._due.popleft() if self._due else self._what_moves_it_on())

    def _tell(self, state: State, event: Event) -> State:
        self.events.append(event)
        state, commands = handle(state, event, _NOW + timedelta(seconds=len(self.events)))
        self._hear(commands)
        return state

    def _what_moves_it_on(self) -> Event:
        if self._watch is not None and self._watch.above is not None and self._touches < _TOUCHES:
            watch, self._watch = self._watch, None
            self._touches += 1
            return PriceTouched(symbol=watch.symbol, watch=watch.number, price=watch.above or Decimal(0), at=_NOW)
        if self._timers:
            return TimerFired(name=self._timers.pop())
        cl_ord_id, order = min(self._resting.items(), key=lambda item: item[1].order_type)
        return self._trade(cl_ord_id, order.quantity)

    def _hear(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case SubmitOrder():
                    self._due.append(OrderAccepted(cl_ord_id=command.cl_ord_id, at=_NOW))
                    self._quantities[command.cl_ord_id] = command.quantity
                    if command.order_type is OrderType.STOP or _takes_profit(command.cl_ord_id):
                        self._resting[command.cl_ord_id] = command
                    else:
                        half = (command.quantity / 2).to_integral_value()
                        self._due.extend(
                            self._trade(command.cl_ord_id, each) for each in (half, command.quantity - half) if each
                        )
                case ReplaceOrder():
                    self._replace(command)
                case CancelOrder():
                    self._resting.pop(command.orig_cl_ord_id, None)
                    if self._quantities.get(command.orig_cl_ord_id):
                        self._due.append(self._canceled(command))
                case SetTimer(name="slice"):
                    self._timers.append(command.name)
                case WatchPrice():
                    self._watch = command

    def _replace(self, command: ReplaceOrder) -> None:
        self._resting.pop(command.orig_cl_ord_id, None)
        self._resting[command.cl_ord_id] = command
        self._quantities[command.cl_ord_id] = command.quantity
        replaced = OrderReplaced(
            cl_ord_id=command.cl_ord_id,
            orig_cl_ord_id=command.orig_cl_ord_id,
            quantity=command.quantity,
            cum_quantity=Decimal(0),
            limit_price=command.limit_price,
            stop_price=command.stop_price,
            at=_NOW,
        )
        self._due.append(replaced)

    def _canceled(self, command: CancelOrder) -> OrderCanceled:
        return OrderCanceled(
            cl_ord_id=command.cl_ord_id, orig_cl_ord_id=command.orig_cl_ord_id, cum_quantity=Decimal(0), at=_NOW
        )

    def _trade(self, cl_ord_id: str, quantity: Decimal) -> OrderFilled:
        self._trades += 1
        self._resting.pop(cl_ord_id, None)
        self._quantities[cl_ord_id] -= quantity
        return OrderFilled(
            cl_ord_id=cl_ord_id,
            exec_id=f"T{self._trades}",
            quantity=quantity,
            price=Decimal(3000),
            cum_quantity=quantity,
            leaves_quantity=self._quantities[cl_ord_id],
            at=_NOW,
        )


def _rate(spec: Spec) -> float:
    events = _Venue(spec).events
    best = 0.0
    for _ in range(_ROUNDS):
        spent = 0.0
        for _ in range(_ORDERS):
            state, _ = start(spec, _NOW)
            began = time.process_time_ns()
            for event in events:
                state, _ = handle(state, event, _NOW)
            spent += time.process_time_ns() - began
        assert is_finished(state), spec
        best = max(best, _ORDERS * len(events) * 1e9 / spent)
    return best


def main() -> None:
    rates = {str(type(spec).__struct_config__.tag): round(_rate(spec)) for spec in _SPECS}
    line = {
        "benchmark": "lifecycles",
        "events_per_second": rates["bracket"],
        "wanted": _WANTED,
        "by_kind": rates,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
