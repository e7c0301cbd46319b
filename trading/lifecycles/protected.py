"""A leg whose position is protected: a stop and a take-profit for what is open, or one order at market that ends it.

What should work follows from two numbers and one question:

- What is open: what the entries have traded less what the exits have. Each exit should have exactly that left to trade.
  So a fill of an entry makes both exits grow, a partial exit makes the other one shrink, and a complete one makes
  the other one go: nothing here knows of "one cancels the other".
- Is it negative, the exits have traded too much. Then the leg is `closing`.
- Closing for whatever reason, no order of the leg should work; and when none does and nothing is unanswered, what is
  open, long or short, is closed at market. Waiting for the last answer is what makes it one order. Only a touched stop
  that was kept here does not wait for the entry: the market runs away meanwhile.
"""

from collections.abc import Iterable
from decimal import Decimal

from trading.child import OrderStatus
from trading.commands import BlockSymbol, Command, RaiseAlert
from trading.events import PriceTouched, TimerFired
from trading.identity import Role
from trading.lifecycles.engine import Judgement, totals
from trading.lifecycles.entries import unfilled_outcome
from trading.lifecycles.state import ZERO, Closing, Plan, State, Want, Watch, with_leg
from trading.orders import OrderType, Side
from trading.specs import BracketSpec, ScaleSpec, TrailingSpec


def exits(
    plan: Plan,
    state: State,
    *,
    symbol: str,
    side: Side,
    stop_price: Decimal | None,
    take_profit_price: Decimal | None,
    leg: int = 0,
    synthetic: bool = False,
) -> None:
    """Add what protects the leg's position of this side, or what closes it.

    `stop_price` None: not known yet, for a position that trails.
    """
    if state.legs[leg].closing:
        close(plan, state, symbol=symbol, side=side, leg=leg)
        return
    open_quantity = state.open_quantity(leg, side)
    if open_quantity <= ZERO:
        return
    if stop_price is not None and synthetic:
        plan.prices.append(_beyond(symbol, stop_price, side.opposite, up=side is Side.SELL))
    elif stop_price is not None:
        plan.orders.append(
            Want(
                role=Role.STOP,
                leg=leg,
                symbol=symbol,
                side=side.opposite,
                leaves=open_quantity,
                order_type=OrderType.STOP,
                stop_price=stop_price,
            )
        )
    if take_profit_price is None or (state.holds and state.is_given_up("submit", Role.TAKE_PROFIT, leg)):
        return
    if synthetic and Role.TAKE_PROFIT not in state.legs[leg].touched:
        plan.prices.append(_beyond(symbol, take_profit_price, side.opposite, up=side is Side.BUY))
        return
    plan.orders.append(
        Want(
            role=Role.TAKE_PROFIT,
            leg=leg,
            symbol=symbol,
            side=side.opposite,
            leaves=open_quantity,
            order_type=OrderType.LIMIT,
            limit_price=take_profit_price,
        )
    )


def exits_of(plan: Plan, state: State, spec: BracketSpec | ScaleSpec) -> None:
    """Add what protects or closes the one position of an order with two exits."""
    exits(
        plan,
        state,
        symbol=spec.symbol,
        side=spec.side,
        stop_price=spec.stop_price,
        take_profit_price=spec.take_profit_price,
        synthetic=spec.synthetic,
    )


def judge_of(before: State, state: State, spec: BracketSpec | ScaleSpec | TrailingSpec) -> Judgement:
    """`judge` for an order with one position."""
    return judge(before, state, symbol=spec.symbol, side=spec.side, reopened_is_closed=spec.when_reopened == "close")


def touched_of(state: State, spec: BracketSpec | ScaleSpec, event: TimerFired | PriceTouched) -> Judgement:
    """`touched` for an order with one position and two exits."""
    if not isinstance(event, PriceTouched):
        return state, []
    stop, profit = spec.stop_price, spec.take_profit_price
    return touched(state, event.prices, side=spec.side, stop_price=stop, take_profit_price=profit), []


def outcome_of(state: State, spec: BracketSpec | ScaleSpec | TrailingSpec) -> str:
    """`outcome` for an order with one position, also where it never had one."""
    entered = state.traded(Role.ENTRY) or state.legs[0].held
    return outcome(state) if entered else unfilled_outcome(state)


def close(plan: Plan, state: State, *, symbol: str, side: Side, leg: int = 0) -> None:
    """Add the order at market that ends the leg's position, once nothing else of the leg can trade any more."""
    open_quantity = state.open_quantity(leg, side)
    if not open_quantity:
        return
    plan.more = True
    closing = state.latest(Role.CLOSE, leg)
    if closing is not None and not closing.is_settled:
        leaves, way = closing.leaves_quantity, closing.side
    elif state.is_given_up("submit", Role.CLOSE, leg) or not _nothing_else_works(state, leg):
        return
    else:
        leaves, way = abs(open_quantity), side.opposite if open_quantity > 0 else side
    want = Want(role=Role.CLOSE, leg=leg, symbol=symbol, side=way, leaves=leaves, order_type=OrderType.MARKET)
    plan.orders.append(want)


_STUBBORN = 3
"""Refused cancels, after which an entry is no longer waited for."""


def _nothing_else_works(state: State, leg: int) -> bool:
    for order in state.orders:
        if order.leg != leg or order.is_settled:
            continue
        if order.role is not Role.ENTRY:
            return False
        # What an entry adds is closed then. A stop that is kept here waits for none, nor does anybody for one that
        # cannot be cancelled; else the entry's end is waited for, so that it is one order that closes.
        hurries = state.legs[leg].closing is Closing.STOP_TOUCHED
        refused = state.hold("cancel", *order.slot)
        if not hurries and (refused is None or refused.failures < _STUBBORN):
            return False
    return True


def judge(before: State, state: State, *, symbol: str, side: Side, leg: int = 0, reopened_is_closed: bool) -> Judgement:
    """What follows from a report besides quantities: whether the leg is to be closed, and whom to tell."""
    commands: list[Command] = []
    now = state.open_quantity(leg, side)
    if now < ZERO and now < before.open_quantity(leg, side):
        exited = [role for role in (Role.STOP, Role.TAKE_PROFIT, Role.CLOSE) if state.traded(role, leg)]
        entered = state.traded(Role.ENTRY, leg)
        if entered < before.traded(Role.ENTRY, leg):
            state = with_leg(state, leg, closing=state.legs[leg].closing or Closing.BUSTED)
        else:
            commands.append(RaiseAlert(code="DOUBLE_EXIT", text=f"{state.spec.order_id}: open={now} {totals(state)}"))
            state = with_leg(state, leg, closing=Closing.DOUBLE_EXIT)
            if -now >= entered + state.legs[leg].held and len(exited) > 1:
                # Not a cancel that came late: two exits have traded in full. Something is wrong at the venue or here.
                commands.append(BlockSymbol(symbol=symbol, reason=f"DOUBLE_EXIT order={state.spec.order_id}"))
    closing = state.legs[leg].closing
    if closing is None:
        if state.holds and now > ZERO:
            stop = state.latest(Role.STOP, leg)
            if stop is not None and stop.stage is OrderStatus.REJECTED and stop.setbacks:
                closing = Closing.STOP_REJECTED
            elif state.is_given_up("submit", Role.STOP, leg):
                closing = Closing.STOP_FAILED
        if closing is None and before.outcome and reopened_is_closed and now != before.open_quantity(leg, side):
            closing = Closing.REOPENED
        if closing is not None:
            state = with_leg(state, leg, closing=closing)
    return state, commands


def touched(
    state: State,
    prices: Iterable[Decimal],
    *,
    side: Side,
    stop_price: Decimal | None,
    take_profit_price: Decimal | None,
    leg: int = 0,
) -> State:
    """The state after the market was at these prices, one after another, where the leg's exits are kept here."""
    if state.legs[leg].closing or state.open_quantity(leg, side) <= ZERO:
        return state
    for price in prices:
        if stop_price is not None and side.sign * (price - stop_price) <= 0:
            return with_leg(state, leg, closing=Closing.STOP_TOUCHED)
        if take_profit_price is not None and side.sign * (price - take_profit_price) >= 0:
            state = _with_touched(state, Role.TAKE_PROFIT, leg)
    return state


def touched_entry(state: State, prices: Iterable[Decimal], *, side: Side, entry_price: Decimal | None) -> State:
    """The state after the market was at these prices, where a stop entry is kept here until its trigger's is."""
    if entry_price is None or not any(side.sign * (price - entry_price) >= 0 for price in prices):
        return state
    return _with_touched(state, Role.ENTRY)


def _with_touched(state: State, role: Role, leg: int = 0) -> State:
    before = state.legs[leg].touched
    return state if role in before else with_leg(state, leg, touched=(*before, role))


def outcome(state: State, leg: int = 0) -> str:
    """How a protected leg that has entered, or was held, came to its end."""
    closing = state.legs[leg].closing
    if closing in (Closing.DOUBLE_EXIT, Closing.BOTH_FILLED):
        return "double_exit" if closing is Closing.DOUBLE_EXIT else "both_filled"
    if state.traded(Role.CLOSE, leg):
        return "stop_loss" if closing is Closing.STOP_TOUCHED else "closed"
    took_profit = state.traded(Role.TAKE_PROFIT, leg) > state.traded(Role.STOP, leg)
    return "take_profit" if took_profit else "stop_loss"


def _beyond(symbol: str, price: Decimal, side: Side, *, up: bool) -> Watch:
    return Watch(symbol=symbol, above=price if up else None, below=None if up else price, side=side)
