"""Several legs that belong together: all at once, or one that leads and others that follow its fills.

A leg that ends short of its quantity, unasked, has failed, unless the order's own policy sends it again. So have all of
them where the order's time is over, or trading was halted, and what they have filled is not in their ratio. What then
works is cancelled, and the policy decides; a user's cancel closes or keeps what has filled, and asks no policy:

- `unwind`: what every leg has filled is closed at market, each leg once nothing of it is unanswered;
- `complete`: at market, legs get what brings them up to the one that has filled most, and more for its late fills; a
  leg that the venue refuses again means `unwind`, and so does a trading halt, which lets nothing be added;
- `keep`: what has filled is kept, and a human is told.
"""

from decimal import Decimal

from msgspec.structs import replace

from trading.child import OrderStatus
from trading.commands import Command, RaiseAlert
from trading.identity import Role
from trading.lifecycles import protected
from trading.lifecycles.engine import Judgement, Kind, closes_all, totals
from trading.lifecycles.entries import entered_outcome, has_ended_short, will_be_sent_again
from trading.lifecycles.following import following, in_lots, leading
from trading.lifecycles.state import ZERO, Closing, LegState, Plan, State, Want, with_leg
from trading.orders import OrderType
from trading.specs import Execution, MultiLegSpec, OnLegFailure


def _plan(state: State, spec: MultiLegSpec) -> Plan:
    plan = Plan()
    if not state.over:
        _enter(plan, state, spec)
        return plan
    if _is_closing(state):
        for number, leg in enumerate(spec.legs):
            protected.close(plan, state, symbol=leg.symbol, side=leg.side, leg=number)
    elif _has_failed(state, spec) and _policy(state, spec) is OnLegFailure.COMPLETE:
        _complete(plan, state, spec)
    return plan


def _enter(plan: Plan, state: State, spec: MultiLegSpec) -> None:
    leading(plan, state, spec.legs[0], number=0, all_or_none=spec.all_or_none)
    for number, leg in enumerate(spec.legs[1:], 1):
        if spec.execution is Execution.LEAD_FOLLOW:
            following(plan, state, leg, number=number, led=spec.legs[0], by=0, lot=spec.lot)
        else:
            leading(plan, state, leg, number=number, all_or_none=spec.all_or_none)


def _complete(plan: Plan, state: State, spec: MultiLegSpec) -> None:
    """Each leg that is behind: one order at market at a time, once what it had before is gone."""
    behind = _behind(state, spec)
    for number, leg in enumerate(spec.legs):
        last = state.latest(Role.COMPLETION, number)
        if last is not None and not last.is_settled:
            leaves = last.leaves_quantity
        elif behind[number] and all(order.is_settled for order in state.of(Role.ENTRY, number)):
            leaves = behind[number]
        else:
            continue
        plan.orders.append(
            Want(
                role=Role.COMPLETION,
                leg=number,
                symbol=leg.symbol,
                side=leg.side,
                leaves=leaves,
                order_type=OrderType.MARKET,
            )
        )


def _behind(state: State, spec: MultiLegSpec) -> list[Decimal]:
    """What each leg lacks of the share of its quantity that the leg which is furthest has filled."""
    entered = [_entered(state, number) for number in range(len(spec.legs))]
    most, whole = max(
        ((min(filled, leg.quantity), leg.quantity) for filled, leg in zip(entered, spec.legs, strict=True)),
        key=lambda each: each[0] / each[1],
    )
    # Multiplied first: a third of three is one, and three thirds as decimals are not.
    return [
        max(ZERO, in_lots(leg.quantity * most / whole - filled, spec.lot))
        for filled, leg in zip(entered, spec.legs, strict=True)
    ]


def _entered(state: State, number: int) -> Decimal:
    return state.traded(Role.ENTRY, number) + state.traded(Role.COMPLETION, number)


def _judge(before: State, state: State, spec: MultiLegSpec) -> Judgement:
    commands: list[Command] = []
    numbers = range(len(spec.legs))
    if not state.over and _fails(state, spec):
        state = replace(state, over="failed")
    if not _is_closing(state) and _has_failed(state, spec):
        policy = _policy(state, spec)
        refused = policy is OnLegFailure.COMPLETE and any(_was_refused(state, spec, number) for number in numbers)
        if refused or not _has_failed(before, spec):
            code = "COMPLETION_REFUSED" if refused else "LEG_FAILED"
            commands.append(RaiseAlert(code=code, text=f"{spec.order_id}: {policy}; {totals(state)}"))
        if refused or policy is OnLegFailure.UNWIND:
            for number in numbers:
                state = with_leg(state, number, closing=Closing.LEG_FAILED)
    for number, leg in enumerate(spec.legs):
        if state.legs[number].closing:
            state, told = protected.judge(
                before, state, symbol=leg.symbol, side=leg.side, leg=number, reopened_is_closed=False
            )
            commands += told
    return state, commands


def _fails(state: State, spec: MultiLegSpec) -> bool:
    """Whether a leg has ended short of its quantity while all were to fill."""
    numbers = range(len(spec.legs))
    if any(has_ended_short(state, number) for number in numbers):
        return True
    if not _none_works(state):
        return False
    # The venue may have made an order smaller, or busted its trade: then it is filled, and still short. What follows is
    # sent for what it lacks, but nothing brings a leader up to it.
    unled = numbers if spec.execution is Execution.SIMULTANEOUS else (0,)
    behind = _behind(state, spec)
    return any(behind[number] and not _is_retried(state, number) for number in unled)


def _has_failed(state: State, spec: MultiLegSpec) -> bool:
    if state.over == "failed":
        return True
    return state.over in ("expired", "halted") and _none_works(state) and any(_behind(state, spec))


def _none_works(state: State) -> bool:
    return all(order.is_settled for order in state.orders if order.role is Role.ENTRY)


def _is_retried(state: State, number: int) -> bool:
    order = state.latest(Role.ENTRY, number)
    return order is not None and will_be_sent_again(state, order)


def _policy(state: State, spec: MultiLegSpec) -> OnLegFailure:
    policy = spec.on_leg_failure
    return OnLegFailure.UNWIND if policy is OnLegFailure.COMPLETE and state.is_halted else policy


def _is_closing(state: State) -> bool:
    return any(leg.closing for leg in state.legs)


def _was_refused(state: State, spec: MultiLegSpec, number: int) -> bool:
    sent = state.of(Role.COMPLETION, number)
    if any(order.is_settled and order.stage is not OrderStatus.FILLED for order in sent):
        return True
    # After one that the venue has made larger or smaller, none is sent either.
    is_over = all(order.is_settled for order in sent) and state.is_given_up("submit", Role.COMPLETION, number)
    return is_over and bool(_behind(state, spec)[number])


def _outcome(state: State, spec: MultiLegSpec) -> str:
    closing = {leg.closing for leg in state.legs}
    if Closing.DOUBLE_EXIT in closing:
        return "double_exit"
    if not any(order.cum_quantity for order in state.orders):
        rejected = any(order.stage is OrderStatus.REJECTED for order in state.orders)
        return "rejected" if rejected else entered_outcome(state, filled=False)
    if closing != {None}:
        return "unwound" if Closing.LEG_FAILED in closing else "closed"
    if any(order.role is Role.COMPLETION for order in state.orders):
        return "completed"
    if all(_entered(state, number) >= leg.quantity for number, leg in enumerate(spec.legs)):
        return "filled"
    return "kept" if _has_failed(state, spec) and any(_behind(state, spec)) else entered_outcome(state, filled=False)


def _legs(spec: MultiLegSpec) -> tuple[LegState, ...]:
    return tuple([LegState() for _ in spec.legs])


KIND = Kind(
    plan=_plan,
    outcome=_outcome,
    legs=_legs,
    judge=_judge,
    closes=closes_all,
)
