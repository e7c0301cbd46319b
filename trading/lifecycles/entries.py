"""Entries: what of an order's quantity should still be at the venue."""

from decimal import Decimal

from trading.child import Order, OrderStatus
from trading.identity import Role
from trading.lifecycles.state import ZERO, Plan, State, Want, Watch
from trading.orders import OrderType, Side, TimeInForce


def entry(
    plan: Plan,
    state: State,
    *,
    symbol: str,
    side: Side,
    quantity: Decimal,
    order_type: OrderType,
    price: Decimal | None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    leg: int = 0,
    rung: int = 0,
    synthetic: bool = False,
    all_or_none: bool = False,
) -> None:
    """Add the entry that should work in a slot, or the price that it waits for; nothing once it has ended.

    `price` is a limit order's limit and a stop order's trigger.
    """
    if state.over or state.legs[leg].closing:
        return
    order = state.latest(Role.ENTRY, leg, rung)
    # What the venue has ended stays ended. What we have cancelled makes room for a right one, and what was rejected is
    # sent again by the order's own policy.
    if order is not None and order.is_settled and not (was_withdrawn(order) or will_be_sent_again(state, order)):
        return
    # Also what the venue has filled of one that it had rejected.
    leaves = max(ZERO, quantity - state.entered(leg, rung))
    is_stop = order_type is OrderType.STOP
    if synthetic and is_stop:
        assert price is not None, "checked: a stop order has its price"
        if Role.ENTRY not in state.legs[leg].touched:
            rises = side is Side.BUY
            watch = Watch(symbol=symbol, above=price if rises else None, below=None if rises else price)
            plan.prices.append(watch)
            plan.more_entries = True
            return
        order_type, price, is_stop = OrderType.MARKET, None, False
    plan.orders.append(
        Want(
            role=Role.ENTRY,
            leg=leg,
            rung=rung,
            symbol=symbol,
            side=side,
            leaves=leaves,
            order_type=order_type,
            limit_price=price if order_type is OrderType.LIMIT else None,
            stop_price=price if is_stop else None,
            time_in_force=time_in_force,
            all_or_none=all_or_none,
        )
    )


def has_ended_short(state: State, leg: int) -> bool:
    """Whether an entry of the leg has ended with something unfilled, and nobody here asked for it."""
    for order in state.orders:
        if order.role is not Role.ENTRY or order.leg != leg or order.is_open or not order.setbacks:
            continue
        if order.stage is not OrderStatus.FILLED and not will_be_sent_again(state, order):
            return True
    return False


def was_withdrawn(order: Order) -> bool:
    """Whether an order has ended because we have cancelled it."""
    return order.stage is OrderStatus.CANCELED and order.is_settled and not order.setbacks


def will_be_sent_again(state: State, order: Order) -> bool:
    """Whether an entry was rejected, and the order's own policy sends another one."""
    hold = state.hold("submit", Role.ENTRY, order.leg, order.rung)
    return order.stage is OrderStatus.REJECTED and hold is not None and hold.status != "given_up"


def unfilled_outcome(state: State) -> str:
    """The name for an order that has ended and traded nothing: by what became of its last entry."""
    entries = [order for order in state.orders if order.role is Role.ENTRY]
    if not entries:
        return _unfilled_by_us(state)
    match entries[-1].stage:
        case OrderStatus.REJECTED | OrderStatus.UNKNOWN as stage:
            return str(stage)
        case OrderStatus.NOT_SENT:
            return "canceled" if state.over == "canceled" else "not_sent"
        case OrderStatus.EXPIRED:
            return "expired_unfilled"
        case OrderStatus.FILLED:
            return "busted"
        case _:
            return _unfilled_by_us(state)


def _unfilled_by_us(state: State) -> str:
    return {"expired": "expired_unfilled", "halted": "halted"}.get(state.over, "canceled")


def entered_outcome(state: State, *, filled: bool) -> str:
    """The name for an order of entries alone, of which `filled` says whether all has traded."""
    if not any(order.cum_quantity for order in state.orders):
        return unfilled_outcome(state)
    if filled:
        return "filled"
    if state.over in ("expired", "halted"):
        return state.over
    return "expired" if any(order.stage is OrderStatus.EXPIRED for order in state.orders) else "canceled"
