"""One triggers the other: a chain of orders, each sent for what the one before it has filled, in their ratio.

The first one may end half filled: the others fill up to that. Another one that the venue ends, or refuses as often as
the order's policy sends it, breaks the chain: nothing more is entered, what has filled is kept, and a human is told.
"""

from msgspec.structs import replace

from trading.commands import Command, RaiseAlert
from trading.identity import Role
from trading.lifecycles.engine import Judgement, Kind, totals
from trading.lifecycles.entries import entered_outcome, has_ended_short
from trading.lifecycles.following import following, leading
from trading.lifecycles.state import LegState, Plan, State
from trading.specs import OtoSpec


def _plan(state: State, spec: OtoSpec) -> Plan:
    plan = Plan()
    leading(plan, state, spec.orders[0], number=0)
    for number in range(1, len(spec.orders)):
        led = spec.orders[number - 1]
        following(plan, state, spec.orders[number], number=number, led=led, by=number - 1, lot=spec.lot)
    return plan


def _judge(before: State, state: State, spec: OtoSpec) -> Judgement:
    commands: list[Command] = []
    for number in range(1, len(spec.orders)):
        if not state.over and has_ended_short(state, number):
            text = f"{state.spec.order_id}: order {number} ended short; {totals(state)}"
            commands.append(RaiseAlert(code="CHAIN_BROKEN", text=text))
            state = replace(state, over="failed")
    return state, commands


def _outcome(state: State, spec: OtoSpec) -> str:
    orders = spec.orders
    filled = all(state.traded(Role.ENTRY, number) >= each.quantity for number, each in enumerate(orders))
    outcome = entered_outcome(state, filled=filled)
    return "broken" if state.over == "failed" and not filled else outcome


def _legs(spec: OtoSpec) -> tuple[LegState, ...]:
    return tuple([LegState() for _ in spec.orders])


KIND = Kind(plan=_plan, outcome=_outcome, legs=_legs, judge=_judge)
