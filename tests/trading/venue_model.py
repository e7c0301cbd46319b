"""A venue that may do almost anything, and one order of whatever kind that plays against it.

The venue keeps the truth of its orders; what we were told of it so far is kept beside it, and what is asked of the
venue is held against that (`promises`). A list of numbers decides all that happens, so that a counterexample is short,
and `story` tells it in words: a line for each event, and below it what was commanded. Reports about one order stay in
order; of different orders any may come first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeVar

import msgspec

from tests.trading import promises
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
    VenueCommand,
    WatchPrice,
)
from trading.events import (
    AmendRequested,
    CancelRejected,
    CancelRequested,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderNotSent,
    OrderRejected,
    OrderReplaced,
    OrderReported,
    OrderRestated,
    PriceTouched,
    TimerFired,
    TradeBusted,
    TradeCorrected,
    TradingHalted,
    VenueEvent,
)
from trading.identity import Role
from trading.lifecycles import State, handle, is_finished, start
from trading.lifecycles.state import slot_name
from trading.orders import OrderType, Side, TimeInForce
from trading.specs import Amendment, Spec, Trail

ZERO = Decimal(0)
START = datetime(2024, 1, 2, 15, tzinfo=UTC)
MIDDLE = Decimal(3000)
"""Where prices begin."""

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(State)
_HAS_AN_ID = OrderAccepted | OrderFilled | OrderCanceled | OrderRejected | CancelRejected | TradeBusted | TradeCorrected
"""Reports that are known as repeats also when others came between; the journal recognises all of them."""


_NEVER_SENT = "never sent"
"""How an order has ended that the venue knows nothing of."""


@dataclass(frozen=True)
class Report:
    """What the venue says, and how the order stands by it."""

    event: VenueEvent
    is_open: bool
    quantity: Decimal
    cl_ord_id: str


@dataclass
class VenueOrder:
    """The truth about an order, and what we know of it.

    `inbox` is what the venue has not read yet, `outbox` what it said and nobody has heard yet.
    """

    role: Role
    leg: int
    rung: int
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    """The limit or the trigger."""
    ids: list[str]
    is_open: bool = False
    ended_as: str = ""
    """OrdStatus (39) of one that is over."""
    trades: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    cum: Decimal = ZERO
    inbox: list[VenueCommand] = field(default_factory=list)
    outbox: list[Report] = field(default_factory=list)
    heard: list[VenueEvent] = field(default_factory=list)
    is_silent: bool = False
    """Something that was sent about it is never answered."""
    known_open: bool = True
    known_quantity: Decimal = ZERO
    known_id: str = ""
    known_trades: dict[str, Decimal] = field(default_factory=dict)
    known_cum: Decimal = ZERO
    asked: set[str] = field(default_factory=set)
    """Requests that we have heard no answer to."""

    @property
    def name(self) -> str:
        return slot_name(self.role, self.leg, self.rung)

    @property
    def slot(self) -> tuple[Role, int, int]:
        return self.role, self.leg, self.rung

    @property
    def leaves(self) -> Decimal:
        return self.quantity - self.cum if self.is_open else ZERO

    @property
    def known_leaves(self) -> Decimal:
        return max(ZERO, self.known_quantity - self.known_cum) if self.known_open else ZERO


class Game:
    """One order's life. `mischief` is how often the venue, or we, may do what is out of the ordinary."""

    def __init__(self, spec: Spec, mischief: int, *, thorough: bool = True, is_told: bool = False) -> None:
        self.mischief = mischief
        self.thorough = thorough
        self.is_told = is_told
        self.now = START
        self.orders: list[VenueOrder] = []
        self.timers: dict[str, datetime] = {}
        self.fired: list[str] = []
        self.watches: dict[str, WatchPrice] = {}
        self.seen: set[tuple[str, int]] = set()
        """Watches that were touched, by symbol and number."""
        self.taken: set[tuple[str, int]] = set()
        """Watches of which the order has been told."""
        self.touches: list[PriceTouched] = []
        """Still to be told."""
        self.beyond: set[tuple[int, Role]] = set()
        """Of which leg and role a price was touched while it was waited for."""
        self.alerts: list[str] = []
        self.finishes: list[Finish] = []
        self.is_stopped = False
        """No entry is wanted any more: cancelled, halted, or out of time."""
        self.is_halted = False
        self.is_flattened = False
        self.was_forgiving = 0
        self.asked_stop: Decimal | None = None
        """Where a trailing stop was last asked to be."""
        self.refuses_closes = False
        self.names: set[str] = set()
        self.story: list[str] = []
        self.events = 0
        """How many the order was told."""
        self._serial = 0
        self._tell(_words(spec))
        self.state, commands = start(spec, self.now)
        self._tell_commands(commands)
        self._carry_out(commands)

    # What the test asks.

    @property
    def spec(self) -> Spec:
        """As amended so far."""
        return self.state.spec

    @property
    def is_quiet(self) -> bool:
        return not any(order.inbox or order.outbox for order in self.orders)

    @property
    def is_silent(self) -> bool:
        return any(order.is_silent for order in self.orders)

    def play(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            which, what = divmod(number, len(self._turns))
            for turn in (self._turns[what], *self._ordinary):
                if turn(self, which):
                    break

    def finish(self) -> None:
        """Let everything be answered, then let time and prices go on until the order ends, at last by a user's word."""
        self.calm_down()
        promises.check_quiet(self)
        self._run_out()
        if not is_finished(self.state):
            self.refuses_closes = False
            # Only what was refused too often, or works on, waits for a human.
            self._user_cancels("flatten")
            self.calm_down()
            promises.check_quiet(self)
            self._run_out()
        promises.check_end(self)

    def calm_down(self) -> None:
        """The venue answers everything as it should, and nothing trades, until there is nothing left to say."""
        while self._answer(0) or self._hear(0):
            pass

    def _run_out(self) -> None:
        for _ in range(150):
            if is_finished(self.state) or not (self._fire(0) or self._trade_out() or self._touch()):
                break
            self.calm_down()
            promises.check_quiet(self)

    def _trade_out(self) -> bool:
        open_ones = [
            order for order in self.orders if order.is_open and order.role in (Role.CLOSE, Role.STOP, Role.COMPLETION)
        ]
        for order in open_ones:
            self._trades(order, order.leaves)
        return bool(open_ones)

    def _touch(self) -> bool:
        """Let a price come that is waited for: on the side of the stop, so that it ends."""
        for watch in list(self.watches.values()):
            prices = [price for price in (watch.below, watch.above) if price is not None]
            if prices:
                is_short = getattr(self.spec, "side", Side.BUY) is Side.SELL
                self._moves(watch.symbol, prices[-1 if is_short else 0])
                return self._is_told_prices(0)
        return False

    # Turns: what may happen next. Each says whether it could be.

    def _answer(self, which: int) -> bool:
        order = _pick([order for order in self.orders if order.inbox], which)
        if order is None:
            return False
        self._answers(order, which)
        return True

    def _hear(self, which: int) -> bool:
        order = _pick([order for order in self.orders if order.outbox], which)
        if order is None:
            return False
        self._hears(order)
        return True

    def _trade(self, which: int) -> bool:
        open_ones = [order for order in self.orders if order.is_open and order.leaves]
        order = _pick(open_ones, which)
        if order is None:
            return False
        part = (order.leaves, *map(Decimal, (1, 3, 2, 1, 4)))[which // len(open_ones) % 6]
        self._trades(order, min(part, order.leaves))
        return True

    def _fire(self, which: int) -> bool:
        if not self.timers:
            return False
        names = sorted(self.timers, key=lambda name: self.timers[name])
        name = names[which % len(names)]
        # Early, where a clock is ahead of the one that set it.
        self.now = max(self.now, self.timers.pop(name) - timedelta(seconds=which % 3))
        self.fired.append(name)
        self._fires(name)
        return True

    def _fires(self, name: str) -> None:
        self._tell(f"timer {name}")
        if name == "valid_until":
            self.is_stopped = True
        self._deliver(TimerFired(name=name))

    def _is_told_prices(self, which: int) -> bool:
        if not self.touches:
            return False
        touch = self.touches.pop(which % len(self.touches))
        self._touches(touch)
        return True

    def _touches(self, touch: PriceTouched) -> None:
        self._tell(f"{touch.symbol} has touched {', '.join(map(str, touch.prices))} of watch {touch.watch}")
        watch = self.watches.get(touch.symbol)
        key = (touch.symbol, touch.watch)
        if watch is not None and watch.number == touch.watch and key not in self.taken:
            self.taken.add(key)
            self.beyond |= promises.beyond(self, touch)
        self._deliver(touch)

    def _price(self, which: int) -> bool:
        if not self.watches:
            return False
        symbol = sorted(self.watches)[which % len(self.watches)]
        steps = which // len(self.watches)
        self._moves(symbol, MIDDLE + (steps % 61 - 30) * Decimal("5.5"))
        return True

    def _moves(self, symbol: str, price: Decimal) -> None:
        self._tell(f"{symbol} trades at {price}")
        watch = self.watches[symbol]
        if (symbol, watch.number) in self.seen:
            # As long as it was not told of it, an order is told what came after it too.
            self.touches = [
                msgspec.structs.replace(each, then=(*each.then, price))
                if (each.symbol, each.watch) == (symbol, watch.number)
                else each
                for each in self.touches
            ]
            return
        if (watch.below is not None and price <= watch.below) or (watch.above is not None and price >= watch.above):
            self.seen.add((symbol, watch.number))
            self.touches.append(PriceTouched(symbol=symbol, watch=watch.number, price=price, at=self.now))

    def _rest(self, _: int) -> bool:
        self.calm_down()
        promises.check_quiet(self)
        return True

    def _user(self, which: int) -> bool:
        return self._mischief(self._USERS, which)

    def _venue(self, which: int) -> bool:
        return self._mischief(self._VENUES, which)

    def _mischief(self, deeds: "Sequence[Callable[[Game, VenueOrder, int], bool]]", which: int) -> bool:
        if self.mischief <= 0 or not self.orders:
            return False
        which, number = divmod(which, len(self.orders))
        order = self.orders[-1 - number]
        which, first = divmod(which, len(deeds))
        for deed in (*deeds[first:], *deeds[:first]):
            if deed(self, order, which):
                self.mischief -= 1
                return True
        return False

    # What our own side may do at any time.

    def _cancel(self, _: VenueOrder, which: int) -> bool:
        self._user_cancels("keep_exits" if which % 2 else "flatten")
        return True

    def _user_cancels(self, mode: Literal["flatten", "keep_exits"]) -> None:
        self._tell(f"the user cancels: {mode}")
        self.is_stopped = True
        self.is_flattened |= mode == "flatten"
        self.was_forgiving += 1
        self._deliver(CancelRequested(mode=mode))

    def _halt(self, _: VenueOrder, which: int) -> bool:
        flatten = which % 3 == 2
        self._tell(f"trading is halted{', positions closed' if flatten else ''}")
        self.is_stopped = self.is_halted = True
        self.is_flattened |= flatten
        self._deliver(TradingHalted(flatten=flatten))
        return True

    def _amend(self, _: VenueOrder, which: int) -> bool:
        which, choice = divmod(which, 10)
        quantity = (Decimal(1), Decimal(5), Decimal(12), Decimal(100), Decimal(-1))[which % 5]
        shift = Decimal(which % 41 - 20)
        amendments = (
            Amendment(quantity=quantity),
            Amendment(limit_price=MIDDLE + shift),
            Amendment(entry_price=MIDDLE + shift),
            Amendment(stop_price=MIDDLE - 60 + 2 * shift),
            Amendment(take_profit_price=MIDDLE + 60 + 2 * shift),
            Amendment(stop_price=MIDDLE + 60 + shift, take_profit_price=MIDDLE - 60 + shift),
            Amendment(display_quantity=Decimal(which % 7)),
            Amendment(trail=Trail(amount=70 + 2 * shift, step=Decimal(which % 3 * 5), tick=Decimal(1))),
            Amendment(quantity=quantity, limit_price=MIDDLE + shift, entry_price=MIDDLE + shift),
            Amendment(),
        )
        self._tell(f"the user amends: {amendments[choice]}")
        told = len(self.alerts)
        self._deliver(AmendRequested(amendment=amendments[choice]))
        wanted = amendments[choice].values()
        is_done = wanted and all(getattr(self.spec, name, None) == value for name, value in wanted.items())
        assert is_done or "AMEND_REFUSED" in self.alerts[told:], "an amendment came to nothing and nobody was told"
        return True

    def _stale_timer(self, _: VenueOrder, which: int) -> bool:
        name = _pick(self.fired, which)
        if name is None:
            return False
        # One that was set again has then fired early.
        self.timers.pop(name, None)
        self._fires(name)
        return True

    def _stale_touch(self, _: VenueOrder, which: int) -> bool:
        watch = _pick(list(self.watches.values()), which)
        if watch is None:
            return False
        number = max(0, watch.number - 1 - which % 3)
        price = MIDDLE + (which % 61 - 30) * 10
        self._touches(PriceTouched(symbol=watch.symbol, watch=number, price=price, at=self.now))
        return True

    _USERS = (_cancel, _amend, _stale_timer, _halt, _stale_touch, _amend)

    # What a venue may do that it should not. Each says whether it could.

    def _reject(self, order: VenueOrder, which: int) -> bool:
        if not order.inbox or not isinstance(order.inbox[0], SubmitOrder):
            return False
        order.inbox.pop(0)
        self._end(order, "8")
        reason = ("no", "Unknown symbol", "price is through", "")[which % 4]
        self._says(order, OrderRejected(cl_ord_id=order.ids[-1], reason=reason, at=self.now))
        return True

    def _never_leaves(self, order: VenueOrder, which: int) -> bool:
        if not order.inbox or order.outbox:
            return False
        request = order.inbox[-1]
        if isinstance(request, SubmitOrder) or which % 2:
            if not isinstance(order.inbox[0], SubmitOrder):
                return False
            order.inbox.clear()
            order.asked.clear()
            order.known_open = False
            self._end(order, _NEVER_SENT)
            request_id = order.ids[-1]
        else:
            order.inbox.pop()
            request_id = request.cl_ord_id
            order.asked.discard(request_id)
        event = OrderNotSent(cl_ord_id=request_id, reason="deadline")
        self._tell(f"{order.name}: {request_id} never leaves")
        self._deliver(event)
        return True

    def _refuse(self, order: VenueOrder, which: int) -> bool:
        if not order.inbox or isinstance(order.inbox[0], SubmitOrder) or not order.is_open:
            return False
        which, how = divmod(which, 5)
        status = ("1" if order.cum else "0", "5", "6", "E", "9")[which % 5]
        if how == 4:
            request = order.inbox.pop(0)
            self._says(order, OrderRejected(cl_ord_id=request.cl_ord_id, reason="business reject", at=self.now))
        else:
            self._refuses(order, (99, 0, 2, 3)[how], status)
        return True

    def _overtakes(self, order: VenueOrder, which: int) -> bool:
        """The cancel comes before the order itself."""
        if len(order.inbox) < 2 or not isinstance(order.inbox[0], SubmitOrder):
            return False
        order.inbox.insert(0, order.inbox.pop())
        self._refuses(order, 1, ("8", "")[which % 2])
        return True

    def _forgets(self, order: VenueOrder, which: int) -> bool:
        """Knows nothing of an order that it had acknowledged, when it is asked about it."""
        if not order.inbox or isinstance(order.inbox[0], SubmitOrder) or not order.is_open or not order.heard:
            return False
        self._end(order, "8")
        self._refuses(order, 1, ("8", "")[which % 2])
        return True

    def _keeps_silent(self, order: VenueOrder, which: int) -> bool:
        if not order.inbox or which % 3:
            return False
        lost = order.inbox.pop(0)
        order.is_silent = True
        self._tell(f"{order.name}: {lost.cl_ord_id} is never answered")
        return True

    def _cancels_instead(self, order: VenueOrder, _: int) -> bool:
        """Answers a replace by cancelling the order."""
        if not order.inbox or not isinstance(order.inbox[0], ReplaceOrder) or not order.is_open:
            return False
        self._cancels(order, order.inbox.pop(0))
        return True

    def _replaces_again(self, order: VenueOrder, _: int) -> bool:
        """Takes a replace of an order that has filled: it works again (C.1.c)."""
        request = order.inbox[0] if order.inbox else None
        if not isinstance(request, ReplaceOrder) or order.ended_as != "2" or request.quantity <= order.cum:
            return False
        self._replaces(order)
        return True

    def _cancels_unasked(self, order: VenueOrder, which: int) -> bool:
        if not order.is_open:
            return False
        expires = which % 3 == 2
        self._end(order, "C" if expires else "4")
        name = order.ids[-1]
        if expires:
            self._says(order, OrderExpired(cl_ord_id=name, cum_quantity=order.cum, at=self.now))
        else:
            self._says(order, OrderCanceled(cl_ord_id=name, cum_quantity=order.cum, at=self.now))
        return True

    def _restates(self, order: VenueOrder, which: int) -> bool:
        if not order.is_open and order.ended_as != "2":
            return False
        which, leaves = divmod(which, 13)
        if leaves == 0 and (not order.cum or not order.is_open):
            return False
        order.quantity = order.cum + leaves
        order.is_open, order.ended_as = True, ""
        self._complete(order)
        if which % 3 == 0:
            event: VenueEvent = OrderRestated(
                cl_ord_id=order.ids[-1],
                quantity=order.quantity,
                cum_quantity=order.cum,
                leaves_quantity=order.leaves,
                reason_code=(None, 1, 5)[which % 9 // 3],
                at=self.now,
            )
        else:
            if order.price is not None:
                order.price += which % 4
            is_limit = order.order_type is OrderType.LIMIT
            original = order.ids[-1]
            if which % 3 == 2:
                order.ids.append(f"venue-{self._next()}")
            event = OrderReplaced(
                cl_ord_id=order.ids[-1],
                orig_cl_ord_id=original,
                quantity=order.quantity,
                cum_quantity=order.cum,
                limit_price=order.price if is_limit else None,
                stop_price=None if is_limit else order.price,
                at=self.now,
            )
        self._says(order, event)
        return True

    def _trades_late(self, order: VenueOrder, which: int) -> bool:
        """A trade of an order that has ended, or for more than it has left."""
        if order.ended_as in ("", _NEVER_SENT) and not order.is_open:
            return False
        self._trades(order, order.leaves + 1 + which % 3, which)
        return True

    def _busts(self, order: VenueOrder, which: int) -> bool:
        trades = [name for name, (quantity, _) in order.trades.items() if quantity]
        if not trades:
            return False
        name = trades[which % len(trades)]
        quantity, price = order.trades[name]
        order.trades[name] = (ZERO, price)
        order.cum -= quantity
        is_again = self._is_again(order, which)
        event = TradeBusted(
            cl_ord_id=order.ids[-1],
            exec_id=f"B{self._next()}",
            ref_exec_id=name,
            quantity=quantity,
            price=price,
            leaves_quantity=order.leaves if is_again or which % 3 else None,
            at=self.now,
        )
        self._says(order, event)
        return True

    def _corrects(self, order: VenueOrder, which: int) -> bool:
        trades = [name for name, (quantity, _) in order.trades.items() if quantity]
        if not trades:
            return False
        name = trades[which % len(trades)]
        was, price = order.trades[name]
        quantity = max(Decimal(1), was + (1, 0, -1, -2)[which // 2 % 4])
        order.trades[name] = (quantity, price - 1)
        order.cum += quantity - was
        is_again = self._is_again(order, which)
        self._complete(order)
        event = TradeCorrected(
            cl_ord_id=order.ids[-1],
            exec_id=f"C{self._next()}",
            ref_exec_id=name,
            quantity=quantity,
            price=price - 1,
            leaves_quantity=order.leaves if is_again or which % 3 else None,
            at=self.now,
        )
        self._says(order, event)
        return True

    def _is_again(self, order: VenueOrder, which: int) -> bool:
        """Whether an order that was filled works again, because a trade of it was taken back (J.1.a)."""
        if order.ended_as != "2" or order.cum >= order.quantity or which % 2:
            return False
        order.is_open, order.ended_as = True, ""
        return True

    def _only_tells(self, order: VenueOrder, which: int) -> bool:
        if not order.is_open:
            return False
        told = "3796EBIA"[which % 8]
        if told in "3B" and order.time_in_force is TimeInForce.DAY:
            self._end(order, "3")
        status = ("1" if order.cum else "0") if told == "I" else told
        event = OrderReported(cl_ord_id=order.ids[-1], exec_type=told, order_status=status, at=self.now)
        self._says(order, event)
        return True

    def _repeats(self, order: VenueOrder, which: int) -> bool:
        if not order.heard:
            return False
        again = [order.heard[-1], *(event for event in order.heard if isinstance(event, _HAS_AN_ID))]
        event = again[which % len(again)]
        self._tell(f"again: {_words(event)}")
        self._deliver(event)
        return True

    def _names_a_stranger(self, order: VenueOrder, which: int) -> bool:
        event: VenueEvent = OrderFilled(
            cl_ord_id=f"{self.spec.order_id}.e{90 + which % 10}",
            exec_id=f"S{self._next()}",
            quantity=Decimal(5),
            price=MIDDLE,
            cum_quantity=Decimal(5),
            leaves_quantity=ZERO,
            at=self.now,
        )
        self._tell(f"a stranger: {_words(event)}")
        before = self.state
        told = len(self.alerts)
        self._deliver(event)
        assert self.state == before, "what is about nobody has changed something"
        assert self.alerts[told:] == ["UNKNOWN_CHILD"], "a report about nobody and nobody was told"
        return True

    _VENUES = (
        _reject,
        _refuse,
        _never_leaves,
        _cancels_unasked,
        _trades_late,
        _busts,
        _corrects,
        _restates,
        _repeats,
        _replaces_again,
        _cancels_instead,
        _overtakes,
        _forgets,
        _only_tells,
        _keeps_silent,
        _names_a_stranger,
        _trades_late,
        _restates,
        _cancels_unasked,
        _busts,
    )

    _turns: "Sequence[Callable[[Game, int], bool]]" = (
        _answer,
        _hear,
        _trade,
        _venue,
        _hear,
        _price,
        _is_told_prices,
        _answer,
        _fire,
        _hear,
        _user,
        _venue,
        _rest,
    )
    _ordinary: "Sequence[Callable[[Game, int], bool]]" = (_hear, _answer, _trade, _price)

    # How the venue does it.

    def _answers(self, order: VenueOrder, which: int) -> None:
        match order.inbox[0]:
            case SubmitOrder():
                if self.refuses_closes and order.role is Role.CLOSE:
                    self._reject(order, 0)
                    return
                order.inbox.pop(0)
                order.is_open = True
                if which % 5 == 4:  # the trade is the first that is heard of it
                    self._trades(order, min(Decimal(2), order.quantity))
                else:
                    self._says(order, OrderAccepted(cl_ord_id=order.ids[-1], at=self.now))
            case ReplaceOrder() if order.is_open:
                self._replaces(order)
            case CancelOrder() as request if order.is_open:
                order.inbox.pop(0)
                self._cancels(order, request)
            case _:
                self._refuses(order, *((0, order.ended_as), (1, "8"), (0, ""), (99, order.ended_as))[which % 4])

    def _replaces(self, order: VenueOrder) -> None:
        request = order.inbox.pop(0)
        assert isinstance(request, ReplaceOrder)
        order.quantity = max(request.quantity, order.cum)
        order.price = request.limit_price if order.order_type is OrderType.LIMIT else request.stop_price
        order.ids.append(request.cl_ord_id)
        order.is_open, order.ended_as = True, ""
        self._complete(order)
        event = OrderReplaced(
            cl_ord_id=request.cl_ord_id,
            orig_cl_ord_id=request.orig_cl_ord_id,
            quantity=order.quantity,
            cum_quantity=order.cum,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            at=self.now,
        )
        self._says(order, event)

    def _cancels(self, order: VenueOrder, request: VenueCommand) -> None:
        assert not isinstance(request, SubmitOrder)
        self._end(order, "4")
        event = OrderCanceled(
            cl_ord_id=request.cl_ord_id, orig_cl_ord_id=request.orig_cl_ord_id, cum_quantity=order.cum, at=self.now
        )
        self._says(order, event)

    def _refuses(self, order: VenueOrder, reason_code: int, status: str) -> None:
        request = order.inbox.pop(0)
        assert not isinstance(request, SubmitOrder)
        event = CancelRejected(
            cl_ord_id=request.cl_ord_id,
            orig_cl_ord_id=request.orig_cl_ord_id,
            response_to="cancel" if isinstance(request, CancelOrder) else "replace",
            reason_code=reason_code,
            reason="no",
            order_status=status,
            at=self.now,
        )
        self._says(order, event)

    def _trades(self, order: VenueOrder, quantity: Decimal, which: int = 0) -> None:
        exec_id = f"T{self._next()}"
        price = order.price or MIDDLE
        order.trades[exec_id] = (quantity, price)
        order.cum += quantity
        self._complete(order)
        event = OrderFilled(
            cl_ord_id=order.ids[-1 - which % len(order.ids)],
            exec_id=exec_id,
            quantity=quantity,
            price=price,
            cum_quantity=order.cum,
            leaves_quantity=order.leaves,
            at=self.now,
        )
        self._says(order, event)

    def _complete(self, order: VenueOrder) -> None:
        if order.is_open and order.cum >= order.quantity:
            self._end(order, "2")

    def _end(self, order: VenueOrder, status: str) -> None:
        order.is_open, order.ended_as = False, status

    def _says(self, order: VenueOrder, event: VenueEvent) -> None:
        self._tell(f"{order.name}: the venue says {_words(event)}")
        # One that has not come yet may still do so.
        order.outbox.append(Report(event, not order.ended_as, order.quantity, order.ids[-1]))

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    # What reaches the order, and what it asks for.

    def _hears(self, order: VenueOrder) -> None:
        report = order.outbox.pop(0)
        event = report.event
        order.heard.append(event)
        order.known_open, order.known_quantity, order.known_id = report.is_open, report.quantity, report.cl_ord_id
        trades = order.known_trades
        match event:
            case OrderFilled():
                trades[event.exec_id] = event.quantity
            case TradeBusted():
                trades[event.ref_exec_id] = ZERO
            case TradeCorrected():
                trades[event.ref_exec_id] = event.quantity
            case _:
                order.asked.discard(event.cl_ord_id)
        order.known_cum = sum(trades.values(), ZERO)
        self._tell(f"{order.name}: we hear {_words(event)}")
        self._deliver(event)

    def _deliver(self, event: Event) -> None:
        self.now += timedelta(milliseconds=1)
        self.events += 1
        before = self.state
        state, commands = handle(before, event, self.now)
        self._tell_commands(commands)
        if self.thorough or self.events % 4 == 0:
            assert handle(before, event, self.now) == (state, commands), "the same again is not the same"
            decoded = _DECODER.decode(_ENCODER.encode(state))
            assert decoded == state, "the state does not survive JSON"
            state = decoded if self.events % 3 == 0 else state
        self.state = state
        promises.check_step(self, before, event)
        if state.spec != before.spec and getattr(state.spec, "trail", None) != getattr(before.spec, "trail", None):
            self.asked_stop = None
        self._carry_out(commands)
        promises.check_waiting(self)
        if isinstance(event, VenueEvent):
            again, more = handle(self.state, event, self.now)
            assert again == self.state, f"a repeat has changed something: {event}"
            assert all(isinstance(each, RaiseAlert) and each.code == "UNKNOWN_CHILD" for each in more), (
                f"a repeat has commanded {more}"
            )

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case SubmitOrder():
                    self._receive(command)
                case ReplaceOrder() | CancelOrder():
                    self._ask(command)
                case SetTimer():
                    self.timers[command.name] = command.at
                case CancelTimer():
                    self.timers.pop(command.name, None)
                    self.fired.append(command.name)
                case WatchPrice():
                    last = self.watches.get(command.symbol)
                    assert command.number == (last.number if last else 0) + 1, "watches are counted without gaps"
                    self.watches[command.symbol] = command
                    promises.check_watch(self, command)
                case RaiseAlert():
                    self.alerts.append(command.code)
                case BlockSymbol():
                    assert self.alerts[-1] == "DOUBLE_EXIT", "a symbol is blocked and nobody was told why"
                case Finish():
                    self.finishes.append(command)
                    promises.check_finish(self)

    def _receive(self, command: SubmitOrder) -> None:
        self._name(command.cl_ord_id)
        own = next(each for each in self.state.orders if command.cl_ord_id in each.cl_ord_ids)
        order = VenueOrder(
            own.role,
            own.leg,
            own.rung,
            command.symbol,
            command.side,
            command.order_type,
            command.time_in_force,
            command.quantity,
            command.limit_price if command.order_type is OrderType.LIMIT else command.stop_price,
            [command.cl_ord_id],
            known_quantity=command.quantity,
            known_id=command.cl_ord_id,
        )
        promises.check_submit(self, order)
        order.inbox.append(command)
        self.orders.append(order)

    def _ask(self, command: ReplaceOrder | CancelOrder) -> None:
        self._name(command.cl_ord_id)
        order = next((each for each in self.orders if each.known_id == command.orig_cl_ord_id), None)
        assert order is not None, f"{command.orig_cl_ord_id} is no order's ClOrdID, or no more"
        assert not order.asked, f"a second request about {order.name}"
        assert order.known_open, f"a request about {order.name}, which is over"
        if isinstance(command, ReplaceOrder):
            promises.check_replace(self, order, command)
        else:
            promises.check_patience(self, order, "cancel")
        order.asked.add(command.cl_ord_id)
        order.inbox.append(command)

    def _name(self, cl_ord_id: str) -> None:
        assert cl_ord_id not in self.names, f"{cl_ord_id} twice"
        self.names.add(cl_ord_id)

    def _tell(self, line: str) -> None:
        if self.is_told:
            self.story.append(line)

    def _tell_commands(self, commands: list[Command]) -> None:
        if self.is_told:
            self.story.extend(f"    {_words(command)}" for command in commands)


_T = TypeVar("_T")


def _pick(those: Sequence[_T], which: int) -> _T | None:
    return those[which % len(those)] if those else None


def _words(what: msgspec.Struct) -> str:
    """`OrderFilled cl_ord_id=bracket-1.e1 quantity=10`: what it is, and the fields that it has."""
    values = [(name, getattr(what, name)) for name in what.__struct_fields__ if name != "at"]
    return " ".join([type(what).__name__, *(f"{name}={value}" for name, value in values if value not in (None, ""))])
