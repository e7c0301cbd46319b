"""A trailing stop: it follows the best price since the entry at its distance, and once it has moved, one way only.

Where the venue has stops, the stop works there and is replaced as prices move: never by less than the step, and never
with a second replace before the first is answered. Where it has none, the stop is kept here until it is touched. Prices
are not looked at as they come: the next one that matters is waited for.
"""

from decimal import Decimal

from trading.events import PriceTouched, TimerFired
from trading.identity import Role
from trading.lifecycles import protected
from trading.lifecycles.engine import Judgement, Kind, closes_all
from trading.lifecycles.entries import entry
from trading.lifecycles.state import ZERO, LegState, Plan, State, Watch, with_leg
from trading.orders import OrderType, Side
from trading.specs import TrailingSpec


def _legs(spec: TrailingSpec) -> tuple[LegState, ...]:
    if spec.entry_type is not None or spec.start_price is None:
        return (LegState(),)
    stop = _stop_for(spec, spec.start_price)
    return (LegState(held=spec.quantity, best_price=spec.start_price, stop_price=stop),)


def _plan(state: State, spec: TrailingSpec) -> Plan:
    leg = state.legs[0]
    plan = Plan()
    if spec.entry_type is not None:
        entry(
            plan,
            state,
            symbol=spec.symbol,
            side=spec.side,
            quantity=spec.quantity,
            order_type=spec.entry_type,
            price=spec.entry_price,
            time_in_force=spec.time_in_force,
            synthetic=spec.synthetic,
        )
    protected.exits(
        plan,
        state,
        symbol=spec.symbol,
        side=spec.side,
        stop_price=leg.stop_price,
        take_profit_price=spec.take_profit_price,
        synthetic=spec.synthetic,
    )
    if leg.stop_price is not None and not leg.closing and state.open_quantity(0, spec.side) > 0:
        plan.prices.append(_next_move(spec, leg.stop_price))
    return plan


def _next_move(spec: TrailingSpec, stop_price: Decimal) -> Watch:
    price = spec.trail.price_that_moves(stop_price, spec.side)
    rises = spec.side is Side.BUY
    return Watch(
        symbol=spec.symbol, above=price if rises else None, below=None if rises else price, side=spec.side.opposite
    )


def _judge(before: State, state: State, spec: TrailingSpec) -> Judgement:
    if _entered(state) != _entered(before):
        had, paid = _paid(before, spec), _paid(state, spec)
        # Until the stop has moved, it is where the entry's fills put it.
        if paid is not None and (had is None or state.legs[0].best_price == had):
            state = _from(state, spec, paid)
    return protected.judge_of(before, state, spec)


def _entered(state: State) -> list[Decimal]:
    """What the entry has paid for what it has traded: it changes with each fill, bust and correction."""
    return [order.value for order in state.of(Role.ENTRY)]


def _paid(state: State, spec: TrailingSpec) -> Decimal | None:
    """The average price of what is open, which is what was bought last; None where nothing is."""
    left = open_quantity = state.open_quantity(0, spec.side)
    if open_quantity <= ZERO or not any(_entered(state)):
        return None
    value = ZERO
    for order in reversed(state.of(Role.ENTRY)):
        for execution in reversed(order.executions):
            quantity = min(left, execution.quantity)
            left -= quantity
            value += quantity * execution.price
    return value / (open_quantity - left)


def _heed(state: State, spec: TrailingSpec, event: TimerFired | PriceTouched) -> Judgement:
    if isinstance(event, PriceTouched):
        if spec.synthetic and spec.entry_type is OrderType.STOP:
            state = protected.touched_entry(state, event.prices, side=spec.side, entry_price=spec.entry_price)
        # One after another: a price may touch the stop that the one before it has moved.
        for price in event.prices:
            state = _at(state, spec, price)
    return state, []


def _at(state: State, spec: TrailingSpec, price: Decimal) -> State:
    leg = state.legs[0]
    if leg.best_price is None or leg.stop_price is None or leg.closing:
        return state
    sign = spec.side.sign
    best, stop = leg.best_price, leg.stop_price
    if sign * (price - best) > 0:
        best = price
    moved = _stop_for(spec, price)
    if sign * (moved - stop) >= max(spec.trail.step, spec.trail.tick):
        stop = moved
    if (best, stop) != (leg.best_price, leg.stop_price):
        state = with_leg(state, 0, best_price=best, stop_price=stop)
    if not spec.synthetic:
        return state
    return protected.touched(state, [price], side=spec.side, stop_price=stop, take_profit_price=spec.take_profit_price)


def _amended(before: State, state: State, spec: TrailingSpec) -> State:
    """With another distance the stop belongs elsewhere, also further away: that is what was asked for."""
    best = state.legs[0].best_price
    is_moved = isinstance(before.spec, TrailingSpec) and before.spec.trail != spec.trail
    return _from(state, spec, best) if is_moved and best is not None else state


def _from(state: State, spec: TrailingSpec, price: Decimal) -> State:
    return with_leg(state, 0, best_price=price, stop_price=_stop_for(spec, price))


def _stop_for(spec: TrailingSpec, price: Decimal) -> Decimal:
    """Where the stop belongs: at least a tick, also where the distance is more than the price."""
    return max(spec.trail.stop_for(price, spec.side), spec.trail.tick)


KIND = Kind(
    plan=_plan,
    outcome=protected.outcome_of,
    legs=_legs,
    judge=_judge,
    heed=_heed,
    amended=_amended,
    closes=closes_all,
)
