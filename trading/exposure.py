"""Exposure: what the open positions cost, plus what approved orders may still add to them. Notionals throughout.

Beside it the count of what works to make each position smaller, by which an order that may only reduce is judged.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec.structs import replace

from trading import positions
from trading.events import TradingHalted
from trading.identity import halt_of
from trading.orders import Side
from trading.positions import Position
from trading.stakes import Holding, Stake

ZERO = Decimal(0)

Mode = Literal["open", "reducing"]
"""Of the account: whether orders may add to positions, or only take from them."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one order, one symbol and everything together may come to, in the account's currency."""

    max_order_notional: Decimal
    max_symbol_notional: Decimal
    max_gross_notional: Decimal


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """An approved order, from its approval to its end."""

    stakes: list[Stake] = []
    """What its entries have not filled yet."""
    reduce_only: bool = False
    """It was approved because it reduces: it puts nothing at stake, and counts against the positions it reduces."""
    protected: bool = False
    """What it holds has exits of its own, or is being closed by it."""
    held: dict[str, Decimal] = {}
    """By symbol, what it has traded and what it took over, below 0 when short."""

    @property
    def symbols(self) -> list[str]:
        return list(dict.fromkeys([*(stake.symbol for stake in self.stakes), *self.held]))

    def notional(self, symbol: str | None = None) -> Decimal:
        """What it may still add to a symbol's exposure, or to that of all."""
        if self.reduce_only:
            return ZERO
        return sum((each.notional for each in self.stakes if symbol in (None, each.symbol)), ZERO)

    def reduces(self, symbol: str, side: Side) -> Decimal:
        """How much of a position of this side it is about to take away: a stop and take-profit pair counts once."""
        working = max(ZERO, side.sign * self.held.get(symbol, ZERO)) if self.protected else ZERO
        if self.reduce_only:
            stakes = (each for each in self.stakes if each.symbol == symbol and each.side is not side)
            working += sum((each.quantity for each in stakes), ZERO)
        return working


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whether trading is halted, and since which halt."""

    mode: Mode = "open"
    reason: str = ""
    """Of the halt, in the words of who asked for it."""
    flatten: bool = False
    """Whether this halt also closes what is held. Once it was asked for, it stays so until the halt is over."""
    halts: int = 0
    """How many there were: the number of the one that is on, or of the last one."""
    requests: tuple[str, ...] = ()
    """The last requests that were carried out."""

    @property
    def last_request(self) -> str:
        """Empty where there was none. It stands for all that has been carried out: each request's id is its own."""
        return self.requests[-1] if self.requests else ""


class ExposureState(msgspec.Struct, frozen=True, kw_only=True):
    """`reservations` by order id, `positions` and `blocked` (the reason) by symbol."""

    reservations: dict[str, Reservation] = {}
    positions: dict[str, Position] = {}
    blocked: dict[str, str] = {}
    account: Account = Account()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` is empty when approved, else `CODE: key=value ...` with the numbers it was judged by."""

    approved: bool
    reason: str = ""


APPROVED = Decision(approved=True)


def symbol_exposure(state: ExposureState, symbol: str) -> Decimal:
    position = _position(state, symbol)
    held = abs(position.quantity) * position.average_price
    return held + sum((each.notional(symbol) for each in state.reservations.values()), ZERO)


def gross_exposure(state: ExposureState) -> Decimal:
    held = sum((abs(each.quantity) * each.average_price for each in state.positions.values()), ZERO)
    return held + sum((each.notional() for each in state.reservations.values()), ZERO)


# Approving


def reserve(
    state: ExposureState,
    limits: Limits,
    order_id: str,
    stakes: Sequence[Stake],
    *,
    reduce_only: bool = False,
    protected: bool = False,
    holding: Holding | None = None,
) -> tuple[ExposureState, Decision]:
    """Approve an order with all its stakes, or deny it with all of them. One that has its reservation keeps it.

    An order that may only reduce (`reduce_only`, one that takes over a `holding`, and any while the account is
    reducing) has to be on the other side of the position, and for no more than nothing else works to take away. It
    puts nothing at stake, so it is held to no limit: whoever has reached one must still be able to get out. While it
    is open, no other order is approved for what it is to take away.

    An order that closes what is held in a halt has to come while that halt is on.
    """
    if order_id in state.reservations:
        return state, APPROVED
    wanted = Reservation(
        stakes=list(stakes),
        reduce_only=reduce_only or holding is not None or state.account.mode == "reducing",
        protected=protected,
        held={holding.symbol: holding.side.sign * holding.quantity} if holding else {},
    )
    reason = (
        _reason_its_halt_is_over(state.account, order_id)
        or _reason_it_is_blocked(state, wanted)
        or (
            _reason_it_adds(state, wanted)
            if wanted.reduce_only
            else _reason_it_takes_from_reducers(state, wanted) or _reason_it_is_too_much(state, limits, wanted)
        )
    )
    if reason:
        return state, Decision(approved=False, reason=reason)
    return _with_reservation(state, order_id, wanted), APPROVED


Filled = Mapping[tuple[str, Side], Decimal]
"""What an order's entries have traded in each symbol on each side."""


def amend(
    state: ExposureState, limits: Limits, order_id: str, stakes: Sequence[Stake], filled: Filled
) -> tuple[ExposureState, Decision]:
    """Approve what a user wants an open order to be, or deny it; the reservation it has stays then.

    `stakes` are the whole order's, `filled` is what the trades that are counted here come to. What makes the order
    smaller is always approved, but frees nothing before its end: until the venue has agreed it may fill as it was, and
    what the venue agrees to is not looked for here. Asking again changes nothing.
    """
    reservation = state.reservations.get(order_id, Reservation())
    left = list(stakes)
    for (symbol, side), quantity in filled.items():
        left = _less(left, symbol, side, quantity)
    larger = [_larger(*pair) for pair in zip(reservation.stakes or left, left, strict=True)]
    wanted = replace(reservation, stakes=larger, held={})
    if _at_stake(wanted) > _at_stake(reservation):
        others = forget(state, order_id)
        whole = replace(wanted, stakes=list(stakes))
        reason = _reason_it_is_blocked(state, wanted) or (
            _reason_it_adds(others, wanted)
            if wanted.reduce_only or state.account.mode == "reducing"
            else _reason_it_takes_from_reducers(others, wanted)
            or _reason_the_order_is_too_large(limits, whole)
            or _reason_it_is_too_much(others, limits, wanted)
        )
        if reason:
            return state, Decision(approved=False, reason=reason)
    return _with_reservation(state, order_id, replace(reservation, stakes=larger)), APPROVED


def _larger(was: Stake, is_to_be: Stake) -> Stake:
    quantity, price = max(was.quantity, is_to_be.quantity), max(was.price, is_to_be.price)
    return replace(is_to_be, quantity=quantity, price=price)


def _at_stake(reservation: Reservation) -> tuple[Decimal, Decimal]:
    quantity = sum((each.quantity for each in reservation.stakes), ZERO)
    return reservation.notional(), quantity if reservation.reduce_only else ZERO


def _reason_its_halt_is_over(account: Account, order_id: str) -> str:
    # Whoever placed it may have been held up since, and what is held now may have been bought after the halt.
    number = halt_of(order_id)
    if number is None or (account.mode == "reducing" and account.halts == number):
        return ""
    return f"HALT_OVER: halt={number} mode={account.mode} number={account.halts}"


def _reason_it_is_blocked(state: ExposureState, wanted: Reservation) -> str:
    for symbol in wanted.symbols:
        if symbol in state.blocked:
            return f"SYMBOL_BLOCKED: symbol={symbol} reason={state.blocked[symbol]}"
    return ""


def _reason_it_adds(state: ExposureState, wanted: Reservation) -> str:
    # In a halt entries are being cancelled, and what is held already is to be protected or closed: nobody is to wait
    # for an entry then.
    waits_for_entries = state.account.mode == "open" and not wanted.held
    for (symbol, side), order in _orders(wanted).items():
        position = _position(state, symbol).quantity
        numbers = f"REDUCE_ONLY: order={_plain(order)} position={_plain(position)}"
        if position * side.sign > 0:
            return f"{numbers} side={side}{_which(wanted, symbol)}"
        working = working_to_reduce(state, symbol)
        if waits_for_entries:
            working += _entering_against(state, symbol)
        if order > abs(position) - working:
            return f"{numbers}{f' working={_plain(working)}' if working else ''}{_which(wanted, symbol)}"
    return ""


def _reason_it_takes_from_reducers(state: ExposureState, wanted: Reservation) -> str:
    """Of an order that may do anything: what it may not, take away what one that may only reduce was approved for."""
    for (symbol, side), order in _orders(wanted).items():
        position = _position(state, symbol).quantity
        if position * side.sign >= 0 or not any(
            each.reduce_only and each.reduces(symbol, side.opposite) for each in state.reservations.values()
        ):
            continue
        working = working_to_reduce(state, symbol) + _entering_against(state, symbol)
        if order > abs(position) - working:
            numbers = f"order={_plain(order)} position={_plain(position)} working={_plain(working)}"
            return f"REDUCE_ONLY_WORKS: {numbers}{_which(wanted, symbol)}"
    return ""


def _orders(wanted: Reservation) -> dict[tuple[str, Side], Decimal]:
    """What an order is for in all, by symbol and side."""
    orders: dict[tuple[str, Side], Decimal] = {}
    for stake in wanted.stakes:
        key = stake.symbol, stake.side
        orders[key] = orders.get(key, ZERO) + stake.quantity
    for symbol, held in wanted.held.items():
        orders[symbol, Side.SELL if held > 0 else Side.BUY] = abs(held)
    return orders


def _entering_against(state: ExposureState, symbol: str) -> Decimal:
    """What open entries on the other side of a symbol's position may take away from it, and more."""
    sign = _position(state, symbol).quantity
    stakes = (stake for each in state.reservations.values() if not each.reduce_only for stake in each.stakes)
    return sum((each.quantity for each in stakes if each.symbol == symbol and sign * each.side.sign < 0), ZERO)


def _reason_the_order_is_too_large(limits: Limits, wanted: Reservation) -> str:
    whole = wanted.notional()
    if whole > limits.max_order_notional:
        return f"MAX_NOTIONAL: order={_money(whole)} limit={_money(limits.max_order_notional)}"
    return ""


def _reason_it_is_too_much(state: ExposureState, limits: Limits, wanted: Reservation) -> str:
    reason = _reason_the_order_is_too_large(limits, wanted)
    if reason:
        return reason
    whole = wanted.notional()
    for symbol in wanted.symbols:
        exposed, order, limit = symbol_exposure(state, symbol), wanted.notional(symbol), limits.max_symbol_notional
        if exposed + order > limit:
            numbers = f"exposure={_money(exposed)} order={_money(order)} limit={_money(limit)}"
            return f"MAX_SYMBOL_NOTIONAL: {numbers}{_which(wanted, symbol)}"
    exposed, limit = gross_exposure(state), limits.max_gross_notional
    if exposed + whole > limit:
        return f"MAX_GROSS_NOTIONAL: exposure={_money(exposed)} order={_money(whole)} limit={_money(limit)}"
    return ""


def _which(wanted: Reservation, symbol: str) -> str:
    """Where an order is in several symbols: the one that its numbers are about."""
    return f" symbol={symbol}" if len(wanted.symbols) > 1 else ""


# Following what became of the orders


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
    if reservation is None:
        return state
    reservation = _holding(reservation, symbol, side.sign * quantity)
    if role_is_entry:
        reservation = replace(reservation, stakes=_less(reservation.stakes, symbol, side, quantity))
    return _with_reservation(state, order_id, reservation)


def apply_bust(
    state: ExposureState, order_id: str, symbol: str, side: Side, quantity: Decimal, price: Decimal
) -> ExposureState:
    """Take a trade back. A reservation it had used stays used: the order gets no second chance at that quantity."""
    state = _with_position(state, positions.apply_bust(_position(state, symbol), side, quantity, price))
    reservation = state.reservations.get(order_id)
    if reservation is None:
        return state
    return _with_reservation(state, order_id, _holding(reservation, symbol, -side.sign * quantity))


def _holding(reservation: Reservation, symbol: str, more: Decimal) -> Reservation:
    return replace(reservation, held=reservation.held | {symbol: reservation.held.get(symbol, ZERO) + more})


def _less(stakes: Sequence[Stake], symbol: str, side: Side, filled: Decimal) -> list[Stake]:
    """The stakes after a fill: where several are of its symbol and side, the first ones are used up first."""
    left = []
    for stake in stakes:
        used = min(stake.quantity, filled) if (stake.symbol, stake.side) == (symbol, side) else ZERO
        filled -= used
        left.append(replace(stake, quantity=stake.quantity - used) if used else stake)
    return left


def release(state: ExposureState, order_id: str) -> ExposureState:
    """Give back what an order has not used. What it holds stays its own until `forget`: it may be opened again."""
    reservation = state.reservations.get(order_id)
    return state if reservation is None else _with_reservation(state, order_id, replace(reservation, stakes=[]))


def forget(state: ExposureState, order_id: str) -> ExposureState:
    """The order is over for good."""
    left = {key: value for key, value in state.reservations.items() if key != order_id}
    return replace(state, reservations=left)


# What people decide


def block(state: ExposureState, symbol: str, reason: str) -> ExposureState:
    """Deny new orders in a symbol until `unblock`."""
    return replace(state, blocked=state.blocked | {symbol: reason})


def unblock(state: ExposureState, symbol: str, reason: str | None = None) -> ExposureState:
    """Let new orders in a symbol through again, unless it is blocked for another `reason` than a human has seen.

    None: whatever it is blocked for.
    """
    if reason is not None and state.blocked.get(symbol) != reason:
        return state
    return replace(state, blocked={key: why for key, why in state.blocked.items() if key != symbol})


_REMEMBERED_REQUESTS = 20


def set_mode(
    state: ExposureState,
    mode: Mode,
    reason: str,
    request: str,
    *,
    flatten: bool = False,
    after: str | None = None,
) -> ExposureState:
    """Halt trading, or let it go on. A halt that is on stays the one it is; `request` is the asker's own id.

    `after` is the last request that the asker has seen carried out. Where another one has been carried out since, this
    one comes late: it changes nothing, or it would undo what was asked for after it. None: nobody has looked.
    """
    account = state.account
    if request in account.requests:
        return state  # a repeat must not halt again what was let go on meanwhile
    if after is not None and after != account.last_request:
        return state
    if mode != account.mode:
        halts = account.halts + (1 if mode == "reducing" else 0)
        account = replace(account, mode=mode, reason=reason if mode == "reducing" else "", flatten=False, halts=halts)
    if mode == "reducing" and flatten:
        account = replace(account, flatten=True)
    requests = (*account.requests, request)[-_REMEMBERED_REQUESTS:]
    return replace(state, account=replace(account, requests=requests))


def halt(account: Account) -> TradingHalted | None:
    """What open orders are to hear; None while trading is not halted."""
    if account.mode == "open":
        return None
    return TradingHalted(flatten=account.flatten, number=account.halts)


# What open orders do to positions


def working_to_reduce(state: ExposureState, symbol: str) -> Decimal:
    """How much of a symbol's position open orders work to take away."""
    position = _position(state, symbol).quantity
    side = Side.BUY if position > 0 else Side.SELL
    return sum((each.reduces(symbol, side) for each in state.reservations.values()), ZERO) if position else ZERO


def unprotected(state: ExposureState) -> list[Holding]:
    """What is held and no open order protects or closes, by symbol."""
    found = []
    for symbol, position in sorted(state.positions.items()):
        left = abs(position.quantity) - working_to_reduce(state, symbol)
        if left > 0:
            side = Side.BUY if position.quantity > 0 else Side.SELL
            found.append(Holding(symbol=symbol, side=side, quantity=left))
    return found


def unsettled(state: ExposureState) -> set[str]:
    """The symbols in which an open order without exits trades: what it leaves behind is known when it has ended."""
    return {symbol for each in state.reservations.values() if not each.protected for symbol in each.symbols}


def _position(state: ExposureState, symbol: str) -> Position:
    return state.positions.get(symbol, Position(symbol=symbol))


def _with_position(state: ExposureState, position: Position) -> ExposureState:
    return replace(state, positions=state.positions | {position.symbol: position})


def _with_reservation(state: ExposureState, order_id: str, reservation: Reservation) -> ExposureState:
    return replace(state, reservations=state.reservations | {order_id: reservation})


def _money(amount: Decimal) -> str:
    """For people: to the cent, without the digits that an average price leaves."""
    return f"{amount:.2f}".rstrip("0").rstrip(".")


def _plain(quantity: Decimal) -> str:
    return f"{quantity.normalize():f}"
