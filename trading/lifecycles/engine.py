"""What all lifecycles share: learning what happened, and asking for the difference between what should be and what is.

A lifecycle says, at any time, which orders should work and which prices are waited for (`Plan`). It says so from what
is known and not from what has just happened, so an event that comes twice, late or in another order leads to the same.
This module knows what does work and what is unanswered, and asks the venue for the difference: never for more than one
order in a slot, nor with more than one request about an order in flight. What has changed meanwhile is asked for
after the answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from msgspec.structs import replace

from trading import child
from trading.child import Order, OrderStatus
from trading.commands import (
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
    AmendRequested,
    CancelRejected,
    CancelRequested,
    Event,
    OrderRejected,
    OrderRestated,
    PriceTouched,
    TimerFired,
    TradeBusted,
    TradingHalted,
)
from trading.identity import CANCEL_LETTER, LETTERS, Role, cl_ord_id
from trading.lifecycles.state import ZERO, Closing, Hold, LegState, Plan, Slot, State, Want, Watch, slot_name
from trading.retry import RetryPolicy, next_attempt
from trading.specs import Common, SpecError, amended

VALID_UNTIL = "valid_until"

Verb = Literal["submit", "replace", "cancel"]

_HOPELESS = ("unknown symbol", "not supported", "unsupported", "not authorized", "not permitted")
"""What venues say when no repetition can help."""

SUBMIT_POLICIES = {
    Role.ENTRY: RetryPolicy(attempts=1),
    Role.STOP: RetryPolicy(delay=0),
    Role.TAKE_PROFIT: RetryPolicy(final=_HOPELESS),
    Role.CLOSE: RetryPolicy(attempts=30),
    Role.COMPLETION: RetryPolicy(attempts=1),
}
"""For an order that the venue refused, or ended or changed unasked.

A stop waits for nothing; closing at market is tried for some two hours."""

REQUEST_POLICY = RetryPolicy()
"""For a cancel or a replace that the venue refused."""

Judgement = tuple[State, list[Command]]


def _no_judgement(before: State, after: State) -> Judgement:  # noqa: ARG001 - the shape of a judgement
    return after, []


def _no_heed(state: State, event: TimerFired | PriceTouched) -> Judgement:  # noqa: ARG001 - likewise
    return state, []


def _nothing_at_first(state: State) -> list[Command]:  # noqa: ARG001 - likewise
    return []


def _as_amended(before: State, after: State) -> State:  # noqa: ARG001 - likewise
    return after


def _one_leg(spec: Any) -> tuple[LegState, ...]:  # noqa: ARG001 - likewise
    return (LegState(),)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The rules of one kind of order."""

    plan: Callable[[State], Plan]
    """What should be."""
    outcome: Callable[[State], str]
    """The name for how it went, of an order for which nothing more is to be done."""
    legs: Callable[[Any], tuple[LegState, ...]] = _one_leg
    """How the legs of a spec stand at the beginning."""
    judge: Callable[[State, State], Judgement] = _no_judgement
    """What follows from a report besides quantities: given the state before and after it."""
    heed: Callable[[State, TimerFired | PriceTouched], Judgement] = _no_heed
    """What follows from a timer of the kind's own, or a price that was waited for."""
    at_first: Callable[[State], list[Command]] = _nothing_at_first
    """Timers of the kind's own."""
    amended: Callable[[State, State], State] = _as_amended
    """What follows from an amendment besides the spec: given the state before and after it."""
    closes: Callable[[Any, int], bool] = lambda spec, leg: False  # noqa: ARG005 - likewise
    """Whether a user's `flatten` closes what a leg of the spec holds."""


def begin(kind: Kind, spec: Any, now: datetime) -> tuple[State, list[Command]]:
    """The state of an order that has just been approved, and what is to be done at first."""
    state = State(spec=spec, valid_until=_valid_until(spec, now), started_at=now, legs=kind.legs(spec))
    state, commands = _ask_for_difference(state, kind.plan(state))
    if state.valid_until is not None:
        commands.append(SetTimer(name=VALID_UNTIL, at=state.valid_until))
    return _noting_timers(state, [*commands, *kind.at_first(state)])


def proceed(kind: Kind, before: State, event: Event, now: datetime) -> tuple[State, list[Command]]:
    """The state after an event, and what is to be done about it."""
    state, told = _learn(kind, before, event, now)
    if state is before:
        return state, told
    if state.orders is not before.orders:
        state, consequences = kind.judge(before, state)
        told += consequences
    if before.outcome:
        state = replace(state, outcome="")
    plan = kind.plan(state)
    state, commands = _ask_for_difference(state, plan)
    if VALID_UNTIL in state.timers and not _may_enter(state, plan):
        commands.append(CancelTimer(name=VALID_UNTIL))
    state, end = _end(kind, before, state, plan)
    # The venue first: nobody is to wait for an alert to be written before a position is protected.
    return _noting_timers(state, [*commands, *told, *end])


# What has happened


def _learn(kind: Kind, state: State, event: Event, now: datetime) -> Judgement:
    match event:
        case TimerFired():
            return _timer_fired(kind, state, event)
        case CancelRequested():
            return _cancel_requested(kind, state, event)
        case AmendRequested():
            return _amend_requested(kind, state, event)
        case TradingHalted():
            return _trading_halted(kind, state, event)
        case PriceTouched():
            return _price_touched(kind, state, event)
        case _:
            return _reported(state, event, now)


def _reported(state: State, event: Any, now: datetime) -> Judgement:
    before = _find(state, event)
    if before is None:
        text = f"{state.spec.order_id} has no child {event.cl_ord_id}: {event}"
        return state, [RaiseAlert(code="UNKNOWN_CHILD", text=text)]
    after = child.apply(before, event)
    if after is before:
        return state, []
    orders = tuple([after if each is before else each for each in state.orders])
    state = replace(state, orders=orders)
    if (
        after.setbacks == before.setbacks
        and after.refused_cancels == before.refused_cancels
        and after.refused_replaces == before.refused_replaces
        and after.cum_quantity <= after.quantity
        and not isinstance(event, TradeBusted)
    ):
        return state, []
    return _set_back(state, before, after, event, now)


def _set_back(state: State, before: Order, after: Order, event: Event, now: datetime) -> Judgement:
    """The venue did what was not asked for, or not what was: whether to try again, and whom to tell."""
    told: list[Command] = list(_alerts_about(before, after, event))
    if after.setbacks > before.setbacks:
        if not after.is_open and after.role is not Role.ENTRY:
            text = f"{after.cl_ord_id} {after.stage}: {after.reason or 'not asked for'}"
            told.append(RaiseAlert(code=f"{after.role}_{after.stage}".upper(), text=text))
        state, timer = _held_off(state, "submit", after, _submit_policy(state.spec, after.role), after.reason, now)
        told += timer
    verbs: list[tuple[Verb, int, int]] = [
        ("cancel", before.refused_cancels, after.refused_cancels),
        ("replace", before.refused_replaces, after.refused_replaces),
    ]
    for verb, earlier, count in verbs:
        if count > earlier:
            state, timer = _held_off(state, verb, after, REQUEST_POLICY, _reason(event), now)
            told += timer
        elif count < earlier:
            state = _without_hold(state, _hold_name(verb, after.slot))
    return state, told


def _held_off(state: State, verb: Verb, order: Order, policy: RetryPolicy, reason: str, now: datetime) -> Judgement:
    name = _hold_name(verb, order.slot)
    last = state.hold(name)
    failures, since = (last.failures + 1, last.since) if last else (1, now)
    at = next_attempt(
        policy, failures=failures, since=since, reason=reason, key=f"{state.spec.order_id} {name}", now=now
    )
    status: Literal["waiting", "ready", "given_up"] = "given_up" if at is None else "ready" if at <= now else "waiting"
    hold = Hold(name=name, failures=failures, since=since, status=status)
    state = replace(state, holds=(*_without_hold(state, name).holds, hold))
    if at is None or status == "ready":
        return state, []
    return state, [SetTimer(name=_RETRY + name, at=at)]


_RETRY = "retry_"


def _timer_fired(kind: Kind, state: State, event: TimerFired) -> Judgement:
    state = replace(state, timers=tuple([name for name in state.timers if name != event.name]))
    if event.name == VALID_UNTIL:
        return replace(state, over=state.over or "expired"), []
    if event.name.startswith(_RETRY):
        hold = state.hold(event.name.removeprefix(_RETRY))
        if hold is None or hold.status != "waiting":
            return state, []
        holds = tuple([replace(each, status="ready") if each is hold else each for each in state.holds])
        return replace(state, holds=holds), []
    return kind.heed(state, event)


def _cancel_requested(kind: Kind, state: State, event: CancelRequested) -> Judgement:
    state = _forgiving(replace(state, over="canceled"))
    return (_closing(kind, state, Closing.FLATTEN) if event.mode == "flatten" else state), []


def _trading_halted(kind: Kind, state: State, event: TradingHalted) -> Judgement:
    state = replace(state, over=state.over or "halted", is_halted=True)
    return (_closing(kind, state, Closing.HALTED) if event.flatten else state), []


def _closing(kind: Kind, state: State, why: Closing) -> State:
    legs = tuple(
        replace(leg, closing=leg.closing or why) if kind.closes(state.spec, number) else leg
        for number, leg in enumerate(state.legs)
    )
    return replace(state, legs=legs)


def _forgiving(state: State) -> State:
    """Forget earlier setbacks, and stop waiting for ends that do not come: a human wants it tried again."""
    orders = tuple([replace(each, refused_cancels=0, refused_replaces=0, ending=False) for each in state.orders])
    return replace(state, orders=orders, holds=())


def _amend_requested(kind: Kind, state: State, event: AmendRequested) -> Judgement:
    try:
        spec = amended(state.spec, event.amendment)
        _check_room(kind, state, event)
    except SpecError as error:
        return state, [RaiseAlert(code="AMEND_REFUSED", text=f"{state.spec.order_id}: {error}")]
    return kind.amended(state, replace(state, spec=spec)), []


_OF_THE_ENTRY = ("quantity", "limit_price", "entry_price", "display_quantity")


def _check_room(kind: Kind, state: State, event: AmendRequested) -> None:
    """Raise `SpecError` where the order has gone too far for the amendment."""
    amendment = event.amendment
    filled = state.traded(Role.ENTRY)
    if amendment.quantity is not None and amendment.quantity < filled:
        raise SpecError("quantity", amendment.quantity, f"must be at least {filled}, which has filled")
    is_over = bool(state.over) or not _may_enter(state, kind.plan(state))
    for field in _OF_THE_ENTRY:
        value = getattr(amendment, field)
        if value is not None and is_over:
            raise SpecError(field, value, "is the entry's, which is over")


def _price_touched(kind: Kind, state: State, event: PriceTouched) -> Judgement:
    """A touch of an earlier watch says nothing: what it was about has been looked at, and prices are watched on."""
    watch = next((each for each in state.watches if each.symbol == event.symbol), None)
    if watch is None or watch.number != event.watch or watch.is_used:
        return state, []
    used = replace(watch, is_used=True)
    state = replace(state, watches=tuple([used if each is watch else each for each in state.watches]))
    return kind.heed(state, event)


# What is to be done


def _ask_for_difference(state: State, plan: Plan) -> Judgement:
    newest: dict[Slot, Order] = {}
    stale: list[Order] = []
    for order in state.orders:
        slot = order.slot
        if slot in newest and not newest[slot].is_settled:
            if order.is_settled:
                # A busted trade has opened the earlier one again: it takes its place back.
                continue
            stale.append(newest[slot])
        newest[slot] = order
    commands: list[Command] = []
    wanted = {(want.role, want.leg, want.rung): want for want in plan.orders} if plan.orders else {}
    for slot, order in newest.items():
        if slot not in wanted and not order.is_settled:
            stale.append(order)
    for order in stale:
        if order.is_open and order.request is None and not order.ending and _may(state, "cancel", order.slot):
            state, command = _withdraw(state, order)
            commands.append(command)
    for slot, want in wanted.items():
        state, step = _steer(state, newest.get(slot), want)
        commands += step
    if plan.prices or state.watches:
        state, step = _watching(state, plan.prices)
        commands += step
    return state, commands


def _steer(state: State, order: Order | None, want: Want) -> Judgement:
    """What brings a slot to what is wanted in it: nothing while that is so, or while an answer is due."""
    if order is None or order.is_settled:
        slot = (want.role, want.leg, want.rung)
        if want.leaves <= 0 or (order is not None and not _may(state, "submit", slot)):
            return state, []
        return _one(_place(state, want))
    if order.request is not None or order.ending or not order.is_open:
        return state, []
    is_of_kind = order.order_type is want.order_type and order.side is want.side
    if (
        is_of_kind
        and order.leaves_quantity == want.leaves
        and order.limit_price == want.limit_price
        and order.stop_price == want.stop_price
    ):
        return state, []
    if is_of_kind and want.leaves > 0 and not state.is_given_up(_hold_name("replace", order.slot)):
        if order.stage is OrderStatus.PENDING_NEW or not _may(state, "replace", order.slot):
            return state, []
        return _one(_resize(state, order, want))
    # Where there is no changing it, one that is gone makes room for a right one: but nobody minds a small entry.
    if order.role is Role.ENTRY and is_of_kind and want.leaves >= order.leaves_quantity:
        return state, []
    return _one(_withdraw(state, order)) if _may(state, "cancel", order.slot) else (state, [])


def _one(done: tuple[State, Command]) -> Judgement:
    return done[0], [done[1]]


def _may(state: State, verb: Verb, slot: Slot) -> bool:
    if not state.holds:
        return True
    hold = state.hold(_hold_name(verb, slot))
    return hold is None or hold.status == "ready"


def _place(state: State, want: Want) -> tuple[State, Command]:
    number = state.issued + 1
    name = cl_ord_id(state.spec.order_id, LETTERS[want.role], number)
    order = Order(
        role=want.role,
        leg=want.leg,
        rung=want.rung,
        cl_ord_ids=(name,),
        symbol=want.symbol,
        side=want.side,
        quantity=want.leaves,
        order_type=want.order_type,
        limit_price=want.limit_price,
        stop_price=want.stop_price,
        time_in_force=want.time_in_force,
    )
    command = SubmitOrder(
        cl_ord_id=name,
        symbol=want.symbol,
        side=want.side,
        quantity=want.leaves,
        order_type=want.order_type,
        limit_price=want.limit_price,
        stop_price=want.stop_price,
        time_in_force=want.time_in_force,
        deadline=state.valid_until if want.role is Role.ENTRY else None,
        all_or_none=want.all_or_none,
    )
    return replace(state, orders=(*state.orders, order), issued=number), command


def _resize(state: State, order: Order, want: Want) -> tuple[State, Command]:
    state, name = _asked(state, order, "replace", LETTERS[order.role])
    command = ReplaceOrder(
        cl_ord_id=name,
        orig_cl_ord_id=order.cl_ord_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.cum_quantity + want.leaves,
        order_type=order.order_type,
        limit_price=want.limit_price,
        stop_price=want.stop_price,
        time_in_force=order.time_in_force,
    )
    return state, command


def _withdraw(state: State, order: Order) -> tuple[State, Command]:
    state, name = _asked(state, order, "cancel", CANCEL_LETTER)
    command = CancelOrder(
        cl_ord_id=name,
        orig_cl_ord_id=order.cl_ord_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
    )
    return state, command


def _asked(state: State, order: Order, kind: Literal["cancel", "replace"], letter: str) -> tuple[State, str]:
    number = state.issued + 1
    name = cl_ord_id(state.spec.order_id, letter, number)
    after = child.ask(order, kind, name)
    orders = tuple([after if each is order else each for each in state.orders])
    return replace(state, orders=orders, issued=number), name


def _watching(state: State, prices: Sequence[Watch]) -> Judgement:
    """One watch for each symbol, for the nearest price on each side."""
    wanted: dict[str, Watch] = {}
    for each in prices:
        below = _nearest(max, wanted.get(each.symbol, each).below, each.below)
        above = _nearest(min, wanted.get(each.symbol, each).above, each.above)
        wanted[each.symbol] = Watch(symbol=each.symbol, below=below, above=above)
    known = {watch.symbol: watch for watch in state.watches}
    commands: list[Command] = []
    for symbol in [*known, *(each for each in wanted if each not in known)]:
        was, want = known.get(symbol, Watch(symbol=symbol)), wanted.get(symbol, Watch(symbol=symbol))
        if (was.below, was.above) == (want.below, want.above) and not was.is_used:
            continue
        known[symbol] = replace(want, number=was.number + 1)
        commands.append(WatchPrice(symbol=symbol, number=was.number + 1, below=want.below, above=want.above))
    return (replace(state, watches=tuple(known.values())) if commands else state), commands


def _nearest(
    nearer: Callable[[Decimal, Decimal], Decimal], one: Decimal | None, other: Decimal | None
) -> Decimal | None:
    if one is None or other is None:
        return one if other is None else other
    return nearer(one, other)


# The end


def _end(kind: Kind, before: State, state: State, plan: Plan) -> Judgement:
    """Whether the order is over; where it was before, whether it is over again, with a word about what came late."""
    is_over = not plan.more and not plan.prices and _is_settled(state)
    if is_over:
        for want in plan.orders:
            if want.leaves > 0:
                is_over = False
    if not is_over:
        return state, [_late("REOPENED", before, state)] if before.outcome else []
    if before.outcome and _traded(before) == _traded(state):
        return replace(state, outcome=before.outcome), []
    state = replace(state, outcome=kind.outcome(state))
    told: list[Command] = [_late("LATE_FILL", before, state)] if before.outcome else []
    if state.outcome == "not_sent":
        told.append(RaiseAlert(code="ORDER_NOT_SENT", text=f"{state.orders[0].cl_ord_id}: {state.orders[0].reason}"))
    text = totals(state) if _traded(state) else state.orders[-1].reason if state.orders else ""
    return state, [*told, Finish(outcome=state.outcome, text=text)]


def _late(code: str, before: State, state: State) -> RaiseAlert:
    text = f"{state.spec.order_id} had ended as {before.outcome}: {totals(before)}; now {totals(state)}"
    return RaiseAlert(code=code, text=text)


def _is_settled(state: State) -> bool:
    return all(order.is_settled for order in state.orders)


def _may_enter(state: State, plan: Plan) -> bool:
    if plan.more_entries:
        return True
    for want in plan.orders:
        if want.role is Role.ENTRY:
            return True
    return any(order.role is Role.ENTRY and not order.is_settled for order in state.orders)


def _traded(state: State) -> list[Decimal]:
    return [order.cum_quantity for order in state.orders if order.cum_quantity]


def totals(state: State) -> str:
    """What the orders of each role and leg have traded together: for people."""
    traded: dict[str, Decimal] = {}
    for order in state.orders:
        name = slot_name(order.role, order.leg, 0)
        traded[name] = traded.get(name, ZERO) + order.cum_quantity
    return " ".join([f"{name}={quantity}" for name, quantity in traded.items()])


# What all of them use


def _find(state: State, event: Any) -> Order | None:
    """The order that a report is about, by any ClOrdID it ever had."""
    for order in state.orders:
        if order.answers_to(event.cl_ord_id):
            return order
    original = getattr(event, "orig_cl_ord_id", None)
    if original is not None:
        for order in state.orders:
            if order.answers_to(original):
                return order
    return None


def _alerts_about(before: Order, after: Order, event: Event) -> list[RaiseAlert]:
    """Where a report is out of the ordinary for any order, whatever it is for."""
    name = f"{after.role} {after.cl_ord_id}"
    alerts = []
    if after.cum_quantity > max(before.cum_quantity, after.quantity):
        alerts.append(("OVERFILL", f"{name}: quantity={after.quantity} traded={after.cum_quantity}"))
    if isinstance(event, TradeBusted) and before.executions != after.executions:
        alerts.append(("TRADE_BUSTED", f"{name}: {event.quantity} at {event.price}, ExecID {event.ref_exec_id}"))
    if after.refused_cancels > before.refused_cancels:
        alerts.append(("CANCEL_REJECTED", f"{name}: {_reason(event)}"))
    if after.stage is OrderStatus.UNKNOWN and before.is_open:
        alerts.append(("ORDER_UNKNOWN", f"{name}: {_reason(event)}"))
    if after.refused_replaces > before.refused_replaces:
        alerts.append(("REPLACE_REJECTED", f"{name}: {_reason(event)}"))
    if isinstance(event, OrderRestated) and after.quantity != before.quantity:
        alerts.append(("ORDER_RESTATED", f"{name}: quantity={after.quantity} instead of {before.quantity}"))
    return [RaiseAlert(code=code, text=text) for code, text in alerts]


def _reason(event: Event) -> str:
    match event:
        case CancelRejected():
            return f"{event.reason} (CxlRejReason {event.reason_code}, OrdStatus {event.order_status})"
        case OrderRejected():
            return event.reason or "no reason given"
        case _:
            return str(event)


def _submit_policy(spec: Common, role: Role) -> RetryPolicy:
    return spec.retry if role is Role.ENTRY and spec.retry is not None else SUBMIT_POLICIES[role]


def _hold_name(verb: Verb, slot: Slot) -> str:
    return f"{verb}_{slot_name(*slot)}"


def _without_hold(state: State, name: str) -> State:
    return replace(state, holds=tuple([each for each in state.holds if each.name != name]))


def _noting_timers(state: State, commands: list[Command]) -> Judgement:
    for command in commands:
        if isinstance(command, SetTimer | CancelTimer):
            timers = [name for name in state.timers if name != command.name]
            if isinstance(command, SetTimer):
                timers.append(command.name)
            state = replace(state, timers=tuple(timers))
    return state, commands


def _valid_until(spec: Common, now: datetime) -> datetime | None:
    by_duration = None if spec.valid_for is None else now + timedelta(seconds=spec.valid_for)
    if by_duration is None or spec.good_till is None:
        return by_duration or spec.good_till
    return min(by_duration, spec.good_till)
