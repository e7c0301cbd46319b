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
from trading.lifecycles.state import (
    ZERO,
    Closing,
    Hold,
    LegState,
    Plan,
    Slot,
    State,
    Terms,
    Verb,
    Want,
    Watch,
    hold_name,
    slot_name,
)
from trading.retry import RetryPolicy, next_attempt
from trading.specs import Amendment, Common, SpecError, amended, check_room

VALID_UNTIL = "valid_until"

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

REQUEST_POLICIES: dict[Verb, RetryPolicy] = {
    "replace": RetryPolicy(),
    "cancel": RetryPolicy(attempts=30),
    "await": RetryPolicy(attempts=10, delay=30),
}
"""For a cancel or a replace that the venue refused, and for a report that it has announced and not sent.

What has to go is asked to go as long as closing is tried.
"""

_FORGOTTEN_AFTER = timedelta(hours=1)
"""Failures with more between them are not in a row."""

Judgement = tuple[State, list[Command]]


def _no_judgement(before: State, state: State, spec: Any) -> Judgement:
    return state, []


def _no_heed(state: State, spec: Any, event: TimerFired | PriceTouched) -> Judgement:
    return state, []


def _nothing_at_first(state: State, spec: Any) -> list[Command]:
    return []


def _as_amended(before: State, state: State, spec: Any) -> State:
    return state


def _one_leg(spec: Any) -> tuple[LegState, ...]:
    return (LegState(),)


def _closes_nothing(spec: Any, leg: int) -> bool:
    return False


def closes_all(spec: Any, leg: int) -> bool:
    """For a kind of which a user's `flatten` closes every leg."""
    return True


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The rules of one kind of order. `Any` is its spec, as amended so far."""

    plan: Callable[[State, Any], Plan]
    """What should be."""
    outcome: Callable[[State, Any], str]
    """The name for how it went, of an order for which nothing more is to be done."""
    legs: Callable[[Any], tuple[LegState, ...]] = _one_leg
    """How the legs of a spec stand at the beginning."""
    judge: Callable[[State, State, Any], Judgement] = _no_judgement
    """What follows from a report besides quantities: given the state before and after it."""
    heed: Callable[[State, Any, TimerFired | PriceTouched], Judgement] = _no_heed
    """What follows from a timer of the kind's own, or a price that was waited for."""
    at_first: Callable[[State, Any], list[Command]] = _nothing_at_first
    """Timers of the kind's own."""
    amended: Callable[[State, State, Any], State] = _as_amended
    """What follows from an amendment besides the spec: given the state before and after it."""
    closes: Callable[[Any, int], bool] = _closes_nothing
    """Whether a user's `flatten` closes what a leg of the spec holds."""


def begin(kind: Kind, spec: Any, now: datetime) -> tuple[State, list[Command]]:
    """The state of an order that has just been approved, and what is to be done at first."""
    valid_until = _valid_until(spec, now)
    timed = valid_until is not None
    state = State(spec=spec, valid_until=valid_until, is_timed=timed, started_at=now, legs=kind.legs(spec))
    if valid_until is not None and valid_until <= now:
        state = replace(state, over="expired", is_timed=False)
    plan = kind.plan(state, spec)
    state, commands = _ask_for_difference(state, plan)
    if valid_until is not None and state.is_timed:
        commands.append(SetTimer(name=VALID_UNTIL, at=valid_until))
    state, end = _end(kind, state, state, plan)
    return state, [*commands, *([] if end else kind.at_first(state, spec)), *end]


def proceed(kind: Kind, before: State, event: Event, now: datetime) -> tuple[State, list[Command]]:
    """The state after an event, and what is to be done about it."""
    own = _OWN.get(type(event))
    state, told = _reported(kind, before, event, now) if own is None else own(kind, before, event)
    if state is before:
        return state, told
    if own is not None:
        state, consequences = kind.judge(before, state, state.spec)
        told += consequences
    if before.outcome:
        state = replace(state, outcome="")
    plan = kind.plan(state, state.spec)
    state, commands = _ask_for_difference(state, plan)
    until = state.valid_until
    is_entering = plan.more_entries or (bool(plan.orders) and plan.orders[0].role is Role.ENTRY)
    if until is not None and state.is_timed is not is_entering:
        state, timers = _limiting(state, plan, until)
        commands += timers
    state, end = _end(kind, before, state, plan)
    # The venue first: nobody is to wait for an alert to be written before a position is protected.
    return state, [*commands, *told, *end]


def _limiting(state: State, plan: Plan, until: datetime) -> Judgement:
    """The timer of what is unfilled runs as long as an entry may trade."""
    if state.is_timed is not (not state.over and _may_enter(state, plan)):
        # Where a busted trade has opened an entry again, its time is limited as before.
        state = replace(state, is_timed=not state.is_timed)
        return state, [SetTimer(name=VALID_UNTIL, at=until) if state.is_timed else CancelTimer(name=VALID_UNTIL)]
    return state, []


# What has happened


def _reported(kind: Kind, before: State, event: Any, now: datetime) -> Judgement:
    order = _find(before, event)
    if order is None:
        text = f"{before.spec.order_id} has no child {event.cl_ord_id}: {event}"
        return before, [RaiseAlert(code="UNKNOWN_CHILD", text=text)]
    after = child.apply(order, event)
    if after is order:
        return before, []
    state = _with_order(before, order, after)
    told: list[Command] = []
    if order.requests or order.ending:
        state, told = _answered(state, order, after, now)
    if (
        after.setbacks != order.setbacks
        or after.refused_cancels != order.refused_cancels
        or after.refused_replaces != order.refused_replaces
        or after.cum_quantity > after.quantity
        or (after.stage is OrderStatus.SUSPENDED and order.stage is not OrderStatus.SUSPENDED)
        or (after.venue_cum_quantity > after.cum_quantity and after.is_short_of_reports)
        or isinstance(event, TradeBusted | OrderRestated)
    ):
        state, set_back = _set_back(state, order, after, event, now)
        told += set_back
    if after.cum_quantity == order.cum_quantity and after.is_open and state.holds is before.holds:
        return state, told
    state, consequences = kind.judge(before, state, state.spec)
    return state, told + consequences


def _answered(state: State, before: Order, after: Order, now: datetime) -> Judgement:
    """A request was in flight, or a report announced: what its answer, or the order's end, means for the next one."""
    told: list[Command] = []
    if after.ending and not before.ending:
        state, timer = _held_off(state, "await", after, REQUEST_POLICIES["await"], "", now)
        told += timer
    elif before.ending and not after.ending and state.hold("await", *after.slot) is not None:
        name = hold_name("await", *after.slot)
        state = _without_hold(state, name)
        told.append(CancelTimer(name=_RETRY + name))
    if len(after.cl_ord_ids) > len(before.cl_ord_ids):
        state = _without_hold(state, hold_name("replace", *after.slot))
        terms = state.terms_of(*after.slot)
        if terms is not None and not terms.is_answered:
            state = _with_terms(state, replace(terms, is_answered=terms.changes_price))
            if (after.limit_price, after.stop_price) != (terms.limit_price, terms.stop_price):
                asked, has = terms.limit_price or terms.stop_price, after.limit_price or after.stop_price
                text = f"{after.role} {after.cl_ord_id}: asked for {asked}, the venue has {has}"
                told.append(RaiseAlert(code="PRICE_NOT_AS_ASKED", text=text))
    return state, told


def _set_back(state: State, before: Order, after: Order, event: Event, now: datetime) -> Judgement:
    """The venue did what was not asked for, or not what was: whether to try again, and whom to tell."""
    told: list[Command] = list(_alerts_about(before, after, event))
    if after.setbacks > before.setbacks:
        if not after.is_open and after.role is not Role.ENTRY:
            text = f"{after.cl_ord_id} {after.stage}: {after.reason or 'not asked for'}"
            told.append(RaiseAlert(code=f"{after.role}_{after.stage}".upper(), text=text))
        if after.role is not Role.ENTRY or after.stage is OrderStatus.REJECTED:
            state, timer = _held_off(state, "submit", after, _submit_policy(state.spec, after.role), after.reason, now)
            told += timer
    verbs: list[tuple[Verb, int, int]] = [
        ("cancel", before.refused_cancels, after.refused_cancels),
        ("replace", before.refused_replaces, after.refused_replaces),
    ]
    for verb, earlier, count in verbs:
        if count > earlier:
            state, timer = _held_off(state, verb, after, REQUEST_POLICIES[verb], _reason(event), now)
            told += timer
    terms = state.terms_of(*after.slot)
    if terms is not None and state.is_given_up("replace", *after.slot):
        state = _with_terms(state, replace(terms, is_answered=True))
    return state, told


def _held_off(state: State, verb: Verb, order: Order, policy: RetryPolicy, reason: str, now: datetime) -> Judgement:
    name = hold_name(verb, *order.slot)
    last = state.hold(verb, *order.slot)
    in_a_row = last is not None and now - last.last <= _FORGOTTEN_AFTER
    failures, since = (last.failures + 1, last.since) if last is not None and in_a_row else (1, now)
    at = next_attempt(
        policy, failures=failures, since=since, reason=reason, key=f"{state.spec.order_id} {name}", now=now
    )
    status: Literal["waiting", "ready", "given_up"] = "given_up" if at is None else "ready" if at <= now else "waiting"
    hold = Hold(name=name, failures=failures, since=since, last=now, status=status)
    state = replace(state, holds=(*_without_hold(state, name).holds, hold))
    if at is None or status == "ready":
        return state, []
    return state, [SetTimer(name=_RETRY + name, at=at)]


_RETRY = "retry_"


def _timer_fired(kind: Kind, state: State, event: TimerFired) -> Judgement:
    if event.name == VALID_UNTIL:
        expired = replace(state, over=state.over or "expired", is_timed=False)
        # Judged at once: where nothing works, no report comes.
        return kind.judge(state, expired, state.spec)
    if event.name.startswith(_RETRY):
        return _ready_again(state, event.name.removeprefix(_RETRY))
    return kind.heed(state, state.spec, event)


def _ready_again(state: State, name: str) -> Judgement:
    holds = [replace(each, status="ready") if each.name == name else each for each in state.holds]
    state = replace(state, holds=tuple(holds))
    told: list[Command] = []
    for order in state.orders:
        if order.ending and hold_name("await", *order.slot) == name:
            # It is asked again, if only to be answered: nothing is to wait for ever for a report that got lost.
            text = f"{order.role} {order.cl_ord_id}: the venue says that it is over, and has not reported its end"
            told.append(RaiseAlert(code="REPORT_MISSING", text=text))
            state = _with_order(state, order, replace(order, ending=False))
    return state, told


def _cancel_requested(kind: Kind, state: State, event: CancelRequested) -> Judgement:
    state = _forgiving(replace(state, over="canceled"))
    return (_closing(kind, state, Closing.FLATTEN) if event.mode == "flatten" else state), []


def _trading_halted(kind: Kind, state: State, event: TradingHalted) -> Judgement:
    halted = replace(state, over=state.over or "halted", is_halted=True)
    if event.flatten:
        halted = _closing(kind, halted, Closing.HALTED)
    # Judged at once: where nothing works, no report comes.
    return kind.judge(state, halted, state.spec)


def _closing(kind: Kind, state: State, why: Closing) -> State:
    legs = tuple(
        replace(leg, closing=leg.closing or why) if kind.closes(state.spec, number) else leg
        for number, leg in enumerate(state.legs)
    )
    return replace(state, legs=legs)


def _forgiving(state: State) -> State:
    """Forget earlier setbacks, and stop waiting for ends that do not come: a human wants it tried again."""
    orders = tuple([replace(each, refused_cancels=0, refused_replaces=0, ending=False) for each in state.orders])
    return replace(state, orders=orders, holds=(), terms=())


def _amend_requested(kind: Kind, state: State, event: AmendRequested) -> Judgement:
    why_not = refusal(kind, state, event.amendment)
    if why_not:
        return state, [RaiseAlert(code="AMEND_REFUSED", text=f"{state.spec.order_id}: {why_not}")]
    spec = amended(state.spec, event.amendment, entered=bool(state.traded(Role.ENTRY)))
    # What was given up may be possible as it is wanted now.
    holds = tuple([each for each in state.holds if each.status != "given_up"])
    return kind.amended(state, replace(state, spec=spec, holds=holds, terms=()), spec), []


def refusal(kind: Kind, state: State, amendment: Amendment) -> str:
    """Why an order cannot be amended so; empty where it can."""
    try:
        amended(state.spec, amendment, entered=bool(state.traded(Role.ENTRY)))
        _check_room(kind, state, amendment)
    except SpecError as error:
        return str(error)
    return ""


def _check_room(kind: Kind, state: State, amendment: Amendment) -> None:
    is_over = bool(state.over) or not _may_enter(state, kind.plan(state, state.spec))
    check_room(state.spec, amendment, filled=state.traded(Role.ENTRY), over="which is over" if is_over else "")


def _price_touched(kind: Kind, state: State, event: PriceTouched) -> Judgement:
    """A touch of an earlier watch says nothing: what it was about has been looked at, and prices are watched on."""
    watch = next((each for each in state.watches if each.symbol == event.symbol), None)
    if watch is None or watch.number != event.watch or watch.is_used:
        return state, []
    used = replace(watch, is_used=True)
    state = replace(state, watches=tuple([used if each is watch else each for each in state.watches]))
    return kind.heed(state, state.spec, event)


_OWN: dict[type[Any], Callable[[Kind, State, Any], Judgement]] = {
    TimerFired: _timer_fired,
    CancelRequested: _cancel_requested,
    AmendRequested: _amend_requested,
    TradingHalted: _trading_halted,
    PriceTouched: _price_touched,
}
"""What does not come from the venue."""


# What is to be done


def _ask_for_difference(state: State, plan: Plan) -> Judgement:
    wanted = {(want.role, want.leg, want.rung): want for want in plan.orders}
    newest: dict[Slot, Order] = {}
    stale: list[Order] = []
    for order in state.orders:
        slot = order.role, order.leg, order.rung
        if slot not in wanted:
            if not order.is_settled:
                stale.append(order)
            continue
        earlier = newest.get(slot)
        if earlier is not None and not earlier.is_settled:
            if order.is_settled:
                # A busted trade has opened the earlier one again: it takes its place back.
                continue
            stale.append(earlier)
        newest[slot] = order
    commands: list[Command] = []
    for order in stale:
        if order.is_open and order.request is None and not order.ending and _may(state, "cancel", order.slot):
            state, command = _withdraw(state, order)
            commands.append(command)
    for slot, want in wanted.items():
        done = _steer(state, newest.get(slot), want)
        if done is not None:
            state = done[0]
            commands.append(done[1])
    if plan.prices or state.watches:
        state, watching = _watching(state, plan.prices)
        commands += watching
    return state, commands


def _steer(state: State, order: Order | None, want: Want) -> tuple[State, Command] | None:
    """What brings a slot to what is wanted in it: nothing while that is so, or while an answer is due."""
    if order is None or order.is_settled:
        held_off = order is not None and not _may(state, "submit", order.slot)
        return None if want.leaves <= ZERO or held_off else _place(state, want)
    if order.requests or order.ending or (order.is_rescaled and want.leaves > ZERO):
        # In other units than its spec since a split: what it should be now is for a person to say.
        return None
    is_of_kind = order.order_type is want.order_type and order.side is want.side
    terms = state.terms_of(*order.slot) if state.terms else None
    was_asked = terms is not None and (terms.limit_price, terms.stop_price) == (want.limit_price, want.stop_price)
    if terms is not None and was_asked and terms.is_answered:
        # The venue rounds prices, or refuses them: the order that works is better than none.
        want = replace(want, limit_price=order.limit_price, stop_price=order.stop_price)
    if (
        is_of_kind
        and order.leaves_quantity == want.leaves
        and order.limit_price == want.limit_price
        and order.stop_price == want.stop_price
    ):
        return None
    if is_of_kind and want.leaves > ZERO:
        is_new = terms is None or not was_asked or terms.quantity != order.cum_quantity + want.leaves
        hold = state.hold("replace", *order.slot)
        if hold is None or is_new or hold.status == "ready":
            return None if order.stage is OrderStatus.PENDING_NEW else _resize(state, order, want, terms)
        if hold.status == "waiting":
            return None
        # Where there is no changing it, one that is gone makes room for a right one: but nobody minds a small entry.
        if order.role is Role.ENTRY and want.leaves > order.leaves_quantity:
            return None
    return _withdraw(state, order) if _may(state, "cancel", order.slot) else None


def _may(state: State, verb: Verb, slot: Slot) -> bool:
    hold = state.hold(verb, *slot)
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
    if state.holds or state.terms:
        # They were about the order before.
        for verb in _ABOUT_ONE_ORDER:
            state = _without_hold(state, hold_name(verb, *order.slot))
        state = replace(state, terms=tuple([each for each in state.terms if each.slot != slot_name(*order.slot)]))
    return replace(state, orders=(*state.orders, order), issued=number), command


_ABOUT_ONE_ORDER: tuple[Verb, ...] = ("replace", "cancel", "await")


def _resize(state: State, order: Order, want: Want, last: Terms | None) -> tuple[State, Command]:
    """`want` has the order's own prices where the venue has answered for those that were asked for last."""
    keeps_prices = (
        last is not None
        and last.is_answered
        and (want.limit_price, want.stop_price)
        == (
            order.limit_price,
            order.stop_price,
        )
    )
    terms = Terms(
        slot=slot_name(*order.slot),
        limit_price=last.limit_price if last is not None and keeps_prices else want.limit_price,
        stop_price=last.stop_price if last is not None and keeps_prices else want.stop_price,
        quantity=order.cum_quantity + want.leaves,
        changes_price=(want.limit_price, want.stop_price) != (order.limit_price, order.stop_price),
        is_answered=keeps_prices,
    )
    if last != terms:
        state = _with_terms(_without_hold(state, hold_name("replace", *order.slot)), terms)
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
    return replace(_with_order(state, order, child.ask(order, kind, name)), issued=number), name


def _watching(state: State, prices: Sequence[Watch]) -> Judgement:
    """One watch for each symbol, for the nearest price on each side."""
    wanted: dict[str, Watch] = {}
    for each in prices:
        other = wanted.get(each.symbol, each)
        below, above = _nearest(max, other.below, each.below), _nearest(min, other.above, each.above)
        wanted[each.symbol] = Watch(symbol=each.symbol, below=below, above=above, side=other.side or each.side)
    known = {watch.symbol: watch for watch in state.watches}
    commands: list[Command] = []
    for symbol in [*known, *(each for each in wanted if each not in known)]:
        was, want = known.get(symbol, Watch(symbol=symbol)), wanted.get(symbol, Watch(symbol=symbol))
        if (was.below, was.above, was.side) == (want.below, want.above, want.side) and not was.is_used:
            continue
        known[symbol] = replace(want, number=was.number + 1)
        commands.append(
            WatchPrice(
                symbol=symbol,
                number=was.number + 1,
                below=want.below,
                above=want.above,
                side=want.side,
                was_heard=was.is_used,
            )
        )
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
    goes_on = plan.more or bool(plan.prices) or bool([want for want in plan.orders if want.leaves > ZERO])
    # An order whose executions were not all reported is over when a person says so.
    if goes_on or [order for order in state.orders if not order.is_settled or _misses_reports(state, order)]:
        return state, [_late("REOPENED", before, state)] if before.outcome else []
    if before.outcome and _traded(before) == _traded(state):
        return replace(state, outcome=before.outcome), []
    state = replace(state, outcome=kind.outcome(state, state.spec))
    told: list[Command] = [_late("LATE_FILL", before, state)] if before.outcome else []
    if state.outcome == "not_sent":
        told.append(RaiseAlert(code="ORDER_NOT_SENT", text=f"{state.orders[0].cl_ord_id}: {state.orders[0].reason}"))
    text = totals(state) if _traded(state) else state.orders[-1].reason if state.orders else ""
    return state, [*told, Finish(outcome=state.outcome, text=text)]


def _misses_reports(state: State, order: Order) -> bool:
    return order.is_short_of_reports and state.over != "canceled"


def _late(code: str, before: State, state: State) -> RaiseAlert:
    text = f"{state.spec.order_id} had ended as {before.outcome}: {totals(before)}; now {totals(state)}"
    return RaiseAlert(code=code, text=text)


def _may_enter(state: State, plan: Plan) -> bool:
    if plan.more_entries or [want for want in plan.orders if want.role is Role.ENTRY]:
        return True
    return bool([order for order in state.orders if order.role is Role.ENTRY and not order.is_settled])


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
    name = event.cl_ord_id
    for order in state.orders:
        if name in order.cl_ord_ids or name in order.asked_ids:
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
    if after.is_rescaled and not before.is_rescaled:
        alerts.append(("ORDER_RESCALED", f"{name}: {_terms_in_words(after)} instead of {_terms_in_words(before)}"))
    if after.is_short_of_reports and not before.is_short_of_reports:
        told, traded = after.venue_cum_quantity, after.cum_quantity
        alerts.append(("CUM_MISMATCH", f"{name}: the venue says that {told} have traded, and has reported {traded}"))
    if after.stage is OrderStatus.SUSPENDED and before.stage is not OrderStatus.SUSPENDED:
        alerts.append(("ORDER_SUSPENDED", f"{name}: it may not trade until the venue says otherwise"))
    if after.stage is OrderStatus.UNKNOWN and before.is_open:
        alerts.append(("ORDER_UNKNOWN", f"{name}: {_reason(event)}"))
    if after.refused_replaces > before.refused_replaces:
        alerts.append(("REPLACE_REJECTED", f"{name}: {_reason(event)}"))
    if isinstance(event, OrderRestated):
        was, now = _terms_in_words(before), _terms_in_words(after)
        if was != now:
            alerts.append(("ORDER_RESTATED", f"{name}: {now} instead of {was}"))
    return [RaiseAlert(code=code, text=text) for code, text in alerts]


def _terms_in_words(order: Order) -> str:
    prices = [f"{name}={price}" for name, price in (("limit", order.limit_price), ("stop", order.stop_price)) if price]
    return " ".join([f"quantity={order.quantity}", *prices])


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


def _with_order(state: State, before: Order, after: Order) -> State:
    return replace(state, orders=tuple([after if each is before else each for each in state.orders]))


def _with_terms(state: State, terms: Terms) -> State:
    return replace(state, terms=(*(each for each in state.terms if each.slot != terms.slot), terms))


def _without_hold(state: State, name: str) -> State:
    return replace(state, holds=tuple([each for each in state.holds if each.name != name]))


def _valid_until(spec: Common, now: datetime) -> datetime | None:
    by_duration = None if spec.valid_for is None else now + timedelta(seconds=spec.valid_for)
    if by_duration is None or spec.good_till is None:
        return by_duration or spec.good_till
    return min(by_duration, spec.good_till)
