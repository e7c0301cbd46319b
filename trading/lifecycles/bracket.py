"""A bracket: an entry, and for what it has filled a stop and a take-profit of which one cancels the other.

After every event the bracket compares what should work with what does, and asks for the difference. What should work
follows from two numbers and one question:

- What is open: what the entry has traded less what the exits have. Each exit should have exactly that left to trade.
  So a fill of the entry makes both exits grow, a partial exit makes the other one shrink, and a complete one makes
  the other one go: nothing here knows of "one cancels the other".
- Is it negative, the exits have traded too much. Then the bracket is `closing`.
- Closing for whatever reason, no order should work; and when none does and nothing is unanswered, what is open, long or
  short, is closed at market. Waiting for the last answer is what makes it one order.

Never is there more than one order for a role that works or may come to, nor more than one request about it: what has
changed meanwhile is asked for after the answer. The bracket ends when nothing is open, works or is unanswered; a late
report opens it again.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from trading.child import Order, OrderStatus
from trading.commands import BlockSymbol, Command, Finish, RaiseAlert, SetTimer
from trading.events import CancelRequested, Event, TimerFired
from trading.identity import Role
from trading.lifecycles.children import PATIENCE, ZERO, Children, Place, Step, forgive, learn, steer, take
from trading.lifecycles.single import ending, unfilled_outcome, valid_for_timer, valid_until
from trading.orders import OrderType
from trading.specs import BracketSpec

CLOSE_PATIENCE = 30
"""How often closing at market is tried: with the growing delays between, for some two hours."""

LONGEST_DELAY = timedelta(minutes=5)
"""Between tries of what the venue refuses."""

_RETRIED = {Role.TAKE_PROFIT: PATIENCE, Role.CLOSE: CLOSE_PATIENCE}
"""What is tried again after a while when the venue has refused it, and how often in all."""


class Closing(StrEnum):
    """Why the position is being closed at market."""

    FLATTEN = "flatten"
    STOP_REJECTED = "stop_rejected"
    STOP_FAILED = "stop_failed"
    DOUBLE_EXIT = "double_exit"


class BracketState(msgspec.Struct, frozen=True, kw_only=True, tag="bracket"):
    """`over` is why the entry is no longer wanted: empty, `expired` or `canceled`. `outcome` is empty until the end."""

    spec: BracketSpec
    children: Children
    over: str = ""
    closing: Closing | None = None
    held: tuple[Role, ...] = ()
    """Refused by the venue, and not tried again before a timer has run out."""
    outcome: str = ""

    @property
    def open_quantity(self) -> Decimal:
        """What is to be protected; negative when the exits have traded more than the entry."""
        return self.spec.side.sign * self.children.position()


def start(spec: BracketSpec, now: datetime) -> tuple[BracketState, list[Command]]:
    entry = Place(
        role=Role.ENTRY,
        symbol=spec.symbol,
        side=spec.side,
        quantity=spec.quantity,
        order_type=spec.entry_type,
        limit_price=spec.entry_price if spec.entry_type is OrderType.LIMIT else None,
        stop_price=spec.entry_price if spec.entry_type is OrderType.STOP else None,
        time_in_force=spec.time_in_force,
        deadline=valid_until(spec, now),
    )
    children, commands = take(Children(order_id=spec.order_id), [entry])
    return BracketState(spec=spec, children=children), commands + valid_for_timer(spec, now)


def handle(state: BracketState, event: Event, now: datetime) -> tuple[BracketState, list[Command]]:
    before = state
    children, alerts = learn(state.children, event)
    state = _heed(msgspec.structs.replace(state, children=children), event)
    state, consequences = _judge(before, state, now)
    children, commands = take(state.children, _difference(state))
    state = msgspec.structs.replace(state, children=children)
    state, end = _end(state)
    # The venue first: nobody is to wait for an alert to be written before a position is protected.
    return state, [*commands, *alerts, *consequences, *end]


def _heed(state: BracketState, event: Event) -> BracketState:
    """What our own side wants: timers, and users."""
    match event:
        case TimerFired(name="valid_for"):
            return msgspec.structs.replace(state, over=state.over or "expired")
        case TimerFired():
            held = tuple(role for role in state.held if event.name != _retry_timer(role))
            return msgspec.structs.replace(state, held=held)
        case CancelRequested(mode="flatten"):
            closing = state.closing or Closing.FLATTEN
            return msgspec.structs.replace(
                state, over="canceled", closing=closing, held=(), children=forgive(state.children)
            )
        case CancelRequested():
            return msgspec.structs.replace(state, over="canceled", held=(), children=forgive(state.children))
    return state


def _judge(before: BracketState, state: BracketState, now: datetime) -> tuple[BracketState, list[Command]]:
    """What follows from what was learnt, besides quantities: whether to close, what to try again, whom to tell."""
    commands: list[Command] = []
    if state.open_quantity < min(ZERO, before.open_quantity):
        commands.append(RaiseAlert(code="DOUBLE_EXIT", text=_totals(state)))
        state = msgspec.structs.replace(state, closing=Closing.DOUBLE_EXIT)
        if -state.open_quantity >= state.children.traded(Role.ENTRY):
            # Not a cancel that came late: both exits have traded in full, and something is wrong at the venue or here.
            reason = f"DOUBLE_EXIT order={state.spec.order_id}"
            commands.append(BlockSymbol(symbol=state.spec.symbol, reason=reason))
    for role in (Role.STOP, Role.TAKE_PROFIT, Role.CLOSE):
        order = state.children.latest(role)
        if order is None or order.is_open or state.children.setbacks(role) <= before.children.setbacks(role):
            continue
        commands.append(RaiseAlert(code=f"{role}_{order.stage}".upper(), text=_loss(state, order)))
        if role is Role.STOP and order.stage is OrderStatus.REJECTED:
            state = msgspec.structs.replace(state, closing=state.closing or Closing.STOP_REJECTED)
        if state.children.setbacks(role) < _RETRIED.get(role, 0):
            delay = timedelta(seconds=2 ** (state.children.setbacks(role) - 1))
            commands.append(SetTimer(name=_retry_timer(role), at=now + min(delay, LONGEST_DELAY)))
            state = msgspec.structs.replace(state, held=(*state.held, role))
    if state.children.setbacks(Role.STOP) >= PATIENCE:
        state = msgspec.structs.replace(state, closing=state.closing or Closing.STOP_FAILED)
    if before.outcome and state.open_quantity != before.open_quantity:
        text = f"it had ended as {before.outcome}: {_totals(state)}"
        commands.append(RaiseAlert(code="REOPENED", text=text))
        state = msgspec.structs.replace(state, outcome="")
    return state, commands


def _difference(state: BracketState) -> list[Step]:
    """What should work less what does."""
    entry = state.children.orders[0]
    wanted = ZERO if state.over or state.closing else entry.leaves_quantity
    return [*steer(entry, wanted), *_exit(state, Role.STOP), *_exit(state, Role.TAKE_PROFIT), *_close(state)]


def _exit(state: BracketState, role: Role) -> list[Step]:
    order = state.children.latest(role)
    given_up = state.children.setbacks(role) >= PATIENCE
    leaves = ZERO if state.closing or given_up else max(ZERO, state.open_quantity)
    if not leaves or role in state.held:
        return steer(order, leaves)
    is_stop = role is Role.STOP
    place = Place(
        role=role,
        symbol=state.spec.symbol,
        side=state.spec.side.opposite,
        quantity=leaves,
        order_type=OrderType.STOP if is_stop else OrderType.LIMIT,
        stop_price=state.spec.stop_price if is_stop else None,
        limit_price=None if is_stop else state.spec.take_profit_price,
    )
    return steer(order, leaves, place)


def _close(state: BracketState) -> list[Step]:
    if not state.closing or not state.open_quantity or Role.CLOSE in state.held:
        return []
    if state.children.setbacks(Role.CLOSE) >= CLOSE_PATIENCE:
        return []
    entry, *others = state.children.orders
    # An entry that cannot be cancelled may add to the position, and that is closed then: it is no reason to wait.
    if not all(order.is_settled for order in others) or not (entry.is_settled or entry.refused_cancels >= PATIENCE):
        return []
    side = state.spec.side.opposite if state.open_quantity > 0 else state.spec.side
    return [
        Place(
            role=Role.CLOSE,
            symbol=state.spec.symbol,
            side=side,
            quantity=abs(state.open_quantity),
            order_type=OrderType.MARKET,
        )
    ]


def _end(state: BracketState) -> tuple[BracketState, list[Command]]:
    if state.outcome or state.open_quantity or not state.children.is_settled:
        return state, []
    outcome = _outcome(state)
    state = msgspec.structs.replace(state, outcome=outcome)
    entry = state.children.orders[0]
    if not entry.cum_quantity:
        return state, ending(entry, outcome)
    return state, [Finish(outcome=outcome, text=_totals(state))]


def _outcome(state: BracketState) -> str:
    if state.closing is Closing.DOUBLE_EXIT:
        return "double_exit"
    entry, children = state.children.orders[0], state.children
    if not entry.cum_quantity:
        return unfilled_outcome(entry, state.over)
    if children.traded(Role.CLOSE):
        return "closed"
    took_profit = children.traded(Role.TAKE_PROFIT) > children.traded(Role.STOP)
    return "take_profit" if took_profit else "stop_loss"


def _totals(state: BracketState) -> str:
    traded = {role: state.children.traded(role) for role in Role}
    return " ".join(f"{role}={quantity}" for role, quantity in traded.items()) + f" open={state.open_quantity}"


def _loss(state: BracketState, order: Order) -> str:
    return f"{order.cl_ord_id} {order.stage}: {order.reason or 'not asked for'}; {_totals(state)}"


def _retry_timer(role: Role) -> str:
    return f"retry_{role}"
