"""What a lifecycle knows, whatever its kind: its orders, how its legs stand, what it waits for."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

from trading.child import Order
from trading.identity import Role
from trading.orders import OrderType, Side, TimeInForce
from trading.specs import Spec

ZERO = Decimal(0)

Verb = Literal["submit", "replace", "cancel", "await"]
"""`await`: a report that the venue has announced by refusing a request as too late."""

Slot = tuple[Role, int, int]
"""Role, leg and rung: the place of one order that works. One that takes another's place comes after it has ended."""


class Closing(StrEnum):
    """Why what a leg holds is being closed at market."""

    FLATTEN = "flatten"
    HALTED = "halted"
    STOP_TOUCHED = "stop_touched"
    STOP_REJECTED = "stop_rejected"
    STOP_FAILED = "stop_failed"
    DOUBLE_EXIT = "double_exit"
    BUSTED = "busted"
    BOTH_FILLED = "both_filled"
    LEG_FAILED = "leg_failed"
    REOPENED = "reopened"


class LegState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One leg of a lifecycle, besides its orders. Most lifecycles have one."""

    held: Decimal = ZERO
    """What is held since before the order: it is to be protected or closed as if the entry had filled it."""
    closing: Closing | None = None
    touched: tuple[Role, ...] = ()
    """The roles whose price was touched, of orders that are kept here until then."""
    stop_price: Decimal | None = None
    """Where a trailing stop belongs now."""
    best_price: Decimal | None = None
    """What it trails from."""


class Hold(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that the venue refused, by name (`submit_take_profit`)."""

    name: str
    failures: int
    """In a row: with less than an hour between them."""
    since: datetime
    last: datetime
    status: Literal["waiting", "ready", "given_up"]
    """For its timer; to be tried again; not to be tried again before a human asks for it."""


class Terms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a replace has asked for, by the slot of its order."""

    slot: str
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    quantity: Decimal
    changes_price: bool = True
    """Not only the quantity."""
    is_answered: bool = False
    """The venue has done what it would: it may have changed the prices, or refused them for good."""


class Watch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Prices of a symbol that are waited for; `number` counts them."""

    symbol: str
    number: int = 0
    below: Decimal | None = None
    above: Decimal | None = None
    side: Side | None = None
    """Of the exit that waits; None where entries do."""
    is_used: bool = False
    """It was touched: nobody waits for its prices any more."""


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One order of whatever kind. It goes to JSON and back without loss."""

    spec: Spec
    """As amended so far."""
    started_at: datetime
    valid_until: datetime | None = None
    """When what is unfilled is no longer wanted."""
    legs: tuple[LegState, ...]
    orders: tuple[Order, ...] = ()
    """All that were ever sent, oldest first."""
    issued: int = 0
    """How many ClOrdIDs, those of requests included."""
    over: str = ""
    """Why no entry is wanted any more: `expired`, `canceled`, `halted`, `failed`."""
    is_halted: bool = False
    """Trading was halted: nothing may be added to a position, whatever else has ended the entries."""
    holds: tuple[Hold, ...] = ()
    terms: tuple[Terms, ...] = ()
    """Of the last replace in each slot."""
    watches: tuple[Watch, ...] = ()
    is_timed: bool = False
    """Whether the timer of `valid_until` runs."""
    slice: int = 0
    """Of a TWAP: how many are over."""
    outcome: str = ""
    """Empty until the order is over, and again where something late has opened it."""

    def latest(self, role: Role, leg: int = 0, rung: int = 0) -> Order | None:
        """The newest order of a slot."""
        for order in reversed(self.orders):
            if order.role is role and order.leg == leg and order.rung == rung:
                return order
        return None

    def of(self, role: Role, leg: int = 0) -> list[Order]:
        """A leg's orders of a role, oldest first."""
        return [order for order in self.orders if order.role is role and order.leg == leg]

    def terms_of(self, role: Role, leg: int = 0, rung: int = 0) -> Terms | None:
        if not self.terms:
            return None
        name = slot_name(role, leg, rung)
        return next((each for each in self.terms if each.slot == name), None)

    def traded(self, role: Role, leg: int = 0) -> Decimal:
        total = ZERO
        for order in self.orders:
            if order.role is role and order.leg == leg:
                total += order.cum_quantity
        return total

    def entered(self, leg: int, rung: int) -> Decimal:
        """What all the entries that one slot has had have traded."""
        total = ZERO
        for order in self.orders:
            if order.role is Role.ENTRY and order.leg == leg and order.rung == rung:
                total += order.cum_quantity
        return total

    def open_quantity(self, leg: int, side: Side) -> Decimal:
        """What a leg holds, above 0 on this side: what its entries have traded, and what was held, less its exits."""
        total = self.legs[leg].held
        for order in self.orders:
            if order.leg == leg and order.cum_quantity:
                total = total + order.cum_quantity if order.side is side else total - order.cum_quantity
        return total

    def hold(self, verb: Verb, role: Role, leg: int = 0, rung: int = 0) -> Hold | None:
        """What the venue has refused of a slot, if anything."""
        if not self.holds:
            return None
        name = hold_name(verb, role, leg, rung)
        for hold in self.holds:
            if hold.name == name:
                return hold
        return None

    def is_given_up(self, verb: Verb, role: Role, leg: int = 0, rung: int = 0) -> bool:
        hold = self.hold(verb, role, leg, rung)
        return hold is not None and hold.status == "given_up"


class Want(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """In this slot an order should work, with `leaves` left to trade."""

    role: Role
    leg: int = 0
    rung: int = 0
    symbol: str
    side: Side
    leaves: Decimal
    order_type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    all_or_none: bool = False


class Plan(msgspec.Struct, kw_only=True, gc=False):
    """What should be: the orders that work, the prices that are waited for. What it does not name should not be."""

    orders: list[Want] = []
    prices: list[Watch] = []
    more: bool = False
    """Whether the order is not over even if nothing works: more is to come, or a human has to do something."""
    more_entries: bool = False
    """Whether entries may be wanted later that are not yet."""


def with_leg(state: State, leg: int, **changes: object) -> State:
    """The state with these fields of a leg changed."""
    after = msgspec.structs.replace(state.legs[leg], **changes)
    return msgspec.structs.replace(state, legs=(*state.legs[:leg], after, *state.legs[leg + 1 :]))


def slot_name(role: Role, leg: int, rung: int) -> str:
    """A slot in the names of timers and holds: `stop`, `entry_1`, `entry_0_2`."""
    return f"{role}_{leg}_{rung}" if rung else f"{role}_{leg}" if leg else role.value


def hold_name(verb: Verb, role: Role, leg: int = 0, rung: int = 0) -> str:
    return f"{verb}_{slot_name(role, leg, rung)}"
