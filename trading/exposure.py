"""Exposure: what the open positions cost, plus what approved orders may still add to them. Notionals throughout."""

from decimal import Decimal

import msgspec

from trading import positions
from trading.orders import Side
from trading.positions import Position

ZERO = Decimal(0)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one order, one symbol and everything together may come to, in the account's currency."""

    max_order_notional: Decimal
    max_symbol_notional: Decimal
    max_gross_notional: Decimal


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What an approved order has not filled yet, at the price it was judged by."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal

    @property
    def notional(self) -> Decimal:
        return self.quantity * self.price


class ExposureState(msgspec.Struct, frozen=True, kw_only=True):
    """`reservations` by order id, `positions` and `blocked` (the reason) by symbol."""

    reservations: dict[str, Reservation] = {}
    positions: dict[str, Position] = {}
    blocked: dict[str, str] = {}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` is empty when approved, else `CODE: key=value ...` with the numbers it was judged by."""

    approved: bool
    reason: str = ""


APPROVED = Decision(approved=True)


def symbol_exposure(state: ExposureState, symbol: str) -> Decimal:
    position = state.positions.get(symbol)
    held = abs(position.quantity) * position.average_price if position else ZERO
    return held + sum((each.notional for each in state.reservations.values() if each.symbol == symbol), ZERO)


def gross_exposure(state: ExposureState) -> Decimal:
    held = sum((abs(each.quantity) * each.average_price for each in state.positions.values()), ZERO)
    return held + sum((each.notional for each in state.reservations.values()), ZERO)


def reserve(
    state: ExposureState, limits: Limits, order_id: str, symbol: str, side: Side, quantity: Decimal, price: Decimal
) -> tuple[ExposureState, Decision]:
    """Approve an order and set its notional aside, or deny it. An order that has its reservation keeps it.

    `price` is the order's limit, or for an order at market the reference price that comes with the request.
    """
    if order_id in state.reservations:
        return state, APPROVED
    reservation = Reservation(symbol=symbol, side=side, quantity=quantity, price=price)
    reason = _reason_to_deny(state, limits, reservation)
    if reason:
        return state, Decision(approved=False, reason=reason)
    return _with_reservation(state, order_id, reservation), APPROVED


def _reason_to_deny(state: ExposureState, limits: Limits, wanted: Reservation) -> str:
    if wanted.symbol in state.blocked:
        return f"SYMBOL_BLOCKED: symbol={wanted.symbol} reason={state.blocked[wanted.symbol]}"
    order = wanted.notional
    if order > limits.max_order_notional:
        return f"MAX_NOTIONAL: order={_money(order)} limit={_money(limits.max_order_notional)}"
    for code, exposed, limit in (
        ("MAX_SYMBOL_NOTIONAL", symbol_exposure(state, wanted.symbol), limits.max_symbol_notional),
        ("MAX_GROSS_NOTIONAL", gross_exposure(state), limits.max_gross_notional),
    ):
        if exposed + order > limit:
            return f"{code}: exposure={_money(exposed)} order={_money(order)} limit={_money(limit)}"
    return ""


def apply_fill(
    state: ExposureState,
    order_id: str,
    role_is_entry: bool,
    symbol: str,
    side: Side,
    quantity: Decimal,
    price: Decimal,
) -> ExposureState:
    """Count a trade: an entry's turns reservation into position, an exit's only changes the position."""
    state = _with_position(state, positions.apply_fill(_position(state, symbol), side, quantity, price))
    reservation = state.reservations.get(order_id)
    if not role_is_entry or reservation is None:
        return state
    left = max(ZERO, reservation.quantity - quantity)
    return _with_reservation(state, order_id, msgspec.structs.replace(reservation, quantity=left))


def apply_bust(state: ExposureState, symbol: str, side: Side, quantity: Decimal, price: Decimal) -> ExposureState:
    """Take a trade back. A reservation it had used stays used: the order gets no second chance at that quantity."""
    return _with_position(state, positions.apply_bust(_position(state, symbol), side, quantity, price))


def release(state: ExposureState, order_id: str) -> ExposureState:
    """Give back what an order has not used. An order without a reservation has nothing to give back."""
    left = {key: value for key, value in state.reservations.items() if key != order_id}
    return msgspec.structs.replace(state, reservations=left)


def block(state: ExposureState, symbol: str, reason: str) -> ExposureState:
    """Deny new orders in a symbol until `unblock`."""
    return msgspec.structs.replace(state, blocked=state.blocked | {symbol: reason})


def unblock(state: ExposureState, symbol: str) -> ExposureState:
    """Let new orders in a symbol through again."""
    return msgspec.structs.replace(state, blocked={key: why for key, why in state.blocked.items() if key != symbol})


def _position(state: ExposureState, symbol: str) -> Position:
    return state.positions.get(symbol, Position(symbol=symbol))


def _with_position(state: ExposureState, position: Position) -> ExposureState:
    return msgspec.structs.replace(state, positions=state.positions | {position.symbol: position})


def _with_reservation(state: ExposureState, order_id: str, reservation: Reservation) -> ExposureState:
    return msgspec.structs.replace(state, reservations=state.reservations | {order_id: reservation})


def _money(amount: Decimal) -> str:
    """For people: to the cent, without the digits that an average price leaves."""
    return f"{amount:.2f}".rstrip("0").rstrip(".")
