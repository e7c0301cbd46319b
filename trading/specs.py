"""What a strategy or a user asks for: the input of an order's lifecycle.

One spec for each kind of order; `check` says what is wrong with one, `amended` what it becomes by a user's amendment.
All prices are in the instrument's currency, all durations in seconds of the market's clock.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Literal, TypeVar

import msgspec

from trading.identity import ORDER_ID
from trading.orders import OrderType, Side, TimeInForce
from trading.retry import RetryPolicy

MOST_LEGS = 8
MOST_RUNGS = 20
MOST_SLICES = 200


class Common(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every kind of order has."""

    order_id: str
    valid_for: int | None = None
    """Seconds of the market's clock after which what is unfilled is cancelled."""
    good_till: datetime | None = None
    """A time with its zone after which what is unfilled is cancelled, if that is sooner."""
    reduce_only: bool = False
    """Approved only as far as it makes a position smaller."""
    retry: RetryPolicy | None = None
    """Whether an entry that the venue has rejected is sent again; None for never."""


class OneSymbol(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order in one symbol. `side` is the entry's; exits are on the other."""

    symbol: str
    side: Side
    quantity: Decimal


class SingleSpec(OneSymbol, frozen=True, kw_only=True, tag="single", forbid_unknown_fields=True):
    """One order, sent and followed to its end."""

    order_type: OrderType = OrderType.LIMIT
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    synthetic: bool = False
    """A stop that is kept here until its price is touched, for a venue that has none; then it is sent at market."""


class BracketSpec(OneSymbol, frozen=True, kw_only=True, tag="bracket", forbid_unknown_fields=True):
    """An entry, and for what it fills a stop and a take-profit of which one cancels the other."""

    entry_type: OrderType = OrderType.LIMIT
    entry_price: Decimal | None = None
    """The limit of a limit entry, the trigger of a stop entry, None for a market entry."""
    stop_price: Decimal
    take_profit_price: Decimal | None = None
    """None: the stop is the only exit."""
    time_in_force: TimeInForce = TimeInForce.GTC
    """The entry's; exits are good till cancelled."""
    synthetic: bool = False
    """The exits are kept here until their prices are touched, for a venue that has no stops."""
    when_reopened: Literal["protect", "close"] = "protect"
    """What is done about a trade that is busted, or comes late, after the end: new exits, or an end at market."""


class OcoEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of two entries. With exit prices, which both have or neither, its fills are protected as a bracket's are."""

    side: Side
    quantity: Decimal
    order_type: OrderType = OrderType.LIMIT
    price: Decimal
    """The limit of a limit order, the trigger of a stop order."""
    time_in_force: TimeInForce = TimeInForce.GTC
    """The entry's; exits are good till cancelled."""
    exit_stop_price: Decimal | None = None
    exit_take_profit_price: Decimal | None = None


class OcoSpec(Common, frozen=True, kw_only=True, tag="oco", forbid_unknown_fields=True):
    """Two entries in one symbol: as soon as one trades, the other is cancelled."""

    symbol: str
    entries: tuple[OcoEntry, OcoEntry]
    synthetic: bool = False
    """Stops, of entries and exits, and take-profits are kept here until their prices are touched."""
    when_reopened: Literal["protect", "close"] = "protect"
    """What is done about a trade that is busted, or comes late, after the end: new exits, or an end at market."""


class Leg(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several orders that belong together."""

    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType = OrderType.LIMIT
    price: Decimal | None = None
    """The limit of a limit order, the trigger of a stop order, None for an order at market."""
    reference_price: Decimal | None = None
    """Of an order at market: the price that its exposure is judged by."""
    time_in_force: TimeInForce = TimeInForce.GTC


class OtoSpec(Common, frozen=True, kw_only=True, tag="oto", forbid_unknown_fields=True):
    """A chain: what one order fills, in its ratio to the next one's quantity, is what the next is sent for."""

    orders: tuple[Leg, ...]
    lot: Decimal = Decimal(1)
    """No order is for less, or for anything between its multiples; the remainder is carried."""


class Execution(StrEnum):
    """How the legs of an order are sent."""

    SIMULTANEOUS = "simultaneous"
    LEAD_FOLLOW = "lead_follow"


class OnLegFailure(StrEnum):
    """What becomes of the other legs' fills when a leg does not fill."""

    UNWIND = "unwind"
    COMPLETE = "complete"
    KEEP = "keep"


class MultiLegSpec(Common, frozen=True, kw_only=True, tag="multi_leg", forbid_unknown_fields=True):
    """Two to eight legs; their quantities are the ratio. The first one leads where the others follow."""

    legs: tuple[Leg, ...]
    execution: Execution = Execution.SIMULTANEOUS
    on_leg_failure: OnLegFailure = OnLegFailure.UNWIND
    all_or_none: bool = False
    """Each leg fills completely or not at all (ExecInst 18=G), where the venue has it."""
    lot: Decimal = Decimal(1)
    """No order of a following leg is for less, or for anything between its multiples; the remainder is carried."""


class Trail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a trailing stop stays behind the best price: an amount, or a percentage of the price."""

    amount: Decimal | None = None
    percent: Decimal | None = None
    step: Decimal = Decimal(0)
    """The stop is not moved by less."""
    tick: Decimal = Decimal("0.01")
    """The stop's price is a multiple, rounded away from the market."""

    def stop_for(self, price: Decimal, side: Side) -> Decimal:
        """Where the stop of a position of this side belongs when the best price is `price`."""
        distance = price * self.percent / 100 if self.amount is None and self.percent is not None else self.amount
        assert distance is not None, "checked: one of amount and percent is given"
        rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
        ticks = ((price - side.sign * distance) / self.tick).to_integral_value(rounding)
        return ticks * self.tick

    def price_that_moves(self, stop: Decimal, side: Side) -> Decimal:
        """From which price on the stop is to be moved from where it is."""
        step = -(-max(self.step, self.tick) // self.tick) * self.tick
        moved = stop + side.sign * step
        if self.amount is not None:
            return moved + side.sign * self.amount
        assert self.percent is not None, "checked: one of amount and percent is given"
        return moved / (1 - side.sign * self.percent / 100)


class TrailingSpec(OneSymbol, frozen=True, kw_only=True, tag="trailing", forbid_unknown_fields=True):
    """A position whose stop follows the best price since its entry, and never goes back unless it is amended.

    `entry_type` None: the position is held already, and trails from `start_price`.
    """

    entry_type: OrderType | None = OrderType.LIMIT
    entry_price: Decimal | None = None
    start_price: Decimal | None = None
    """From where it trails: given for a position that is held already, else the entry's average price."""
    trail: Trail
    take_profit_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    synthetic: bool = False
    """The exits are kept here until their prices are touched, for a venue that has no stops."""
    when_reopened: Literal["protect", "close"] = "protect"
    """What is done about a trade that is busted, or comes late, after the end: new exits, or an end at market."""


class AtEnd(StrEnum):
    """What becomes of what a TWAP has not filled by its end."""

    CROSS = "cross"
    LEAVE = "leave"


class TwapSpec(OneSymbol, frozen=True, kw_only=True, tag="twap", forbid_unknown_fields=True):
    """A quantity over time, in slices of the same size; what a slice has not filled goes to the next."""

    duration: int
    """Seconds from the first slice to the end of the last."""
    slices: int
    limit_price: Decimal | None = None
    """None: each slice goes at market."""
    reference_price: Decimal | None = None
    """Where there is no limit: the price that the exposure is judged by."""
    at_end: AtEnd = AtEnd.LEAVE
    lot: Decimal = Decimal(1)
    time_in_force: TimeInForce = TimeInForce.GTC
    """Of each slice, and of what is crossed at the end."""


class IcebergSpec(OneSymbol, frozen=True, kw_only=True, tag="iceberg", forbid_unknown_fields=True):
    """A limit order of which the venue never sees more than `display_quantity`."""

    limit_price: Decimal
    display_quantity: Decimal
    time_in_force: TimeInForce = TimeInForce.GTC
    """Of each order that is shown: after one of which the venue ends a part, none follows."""


class Rung(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One limit entry of a ladder."""

    quantity: Decimal
    price: Decimal


class ScaleSpec(Common, frozen=True, kw_only=True, tag="scale", forbid_unknown_fields=True):
    """A ladder of limit entries, and one stop and one take-profit for all that they have filled."""

    symbol: str
    side: Side
    rungs: tuple[Rung, ...]
    stop_price: Decimal
    take_profit_price: Decimal
    time_in_force: TimeInForce = TimeInForce.GTC
    """The entries'; exits are good till cancelled."""
    synthetic: bool = False
    """The exits are kept here until their prices are touched, for a venue that has no stops."""
    when_reopened: Literal["protect", "close"] = "protect"
    """What is done about a trade that is busted, or comes late, after the end: new exits, or an end at market."""


class FlattenSpec(OneSymbol, frozen=True, kw_only=True, tag="flatten", forbid_unknown_fields=True):
    """Closes a position that is held, at market. `side` and `quantity` are the position's."""

    reference_price: Decimal
    """The price that the exposure is judged by."""


Spec = (
    SingleSpec
    | BracketSpec
    | OcoSpec
    | OtoSpec
    | MultiLegSpec
    | TrailingSpec
    | TwapSpec
    | IcebergSpec
    | ScaleSpec
    | FlattenSpec
)


class Amendment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a user wants changed of an open order: the new values; None is left as it is.

    `no_take_profit` takes the take-profit away.
    """

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    entry_price: Decimal | None = None
    stop_price: Decimal | None = None
    take_profit_price: Decimal | None = None
    no_take_profit: bool = False
    trail: Trail | None = None
    display_quantity: Decimal | None = None

    def values(self) -> dict[str, "Decimal | Trail | bool"]:
        """What is to be changed, by its field's name."""
        given = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in given if value is not None and value is not False}


class SpecError(ValueError):
    """A spec that must not become an order: which field, what it was, and what would be right."""

    def __init__(self, field: str, value: object, message: str) -> None:
        super().__init__(f"{field}: {value!s}: {message}")
        self.field = field
        self.value = value
        self.message = message


AMENDABLE: dict[type[Common], tuple[str, ...]] = {
    SingleSpec: ("quantity", "limit_price", "stop_price"),
    BracketSpec: ("quantity", "entry_price", "stop_price", "take_profit_price", "no_take_profit"),
    OcoSpec: (),
    OtoSpec: (),
    MultiLegSpec: (),
    TrailingSpec: ("quantity", "entry_price", "take_profit_price", "no_take_profit", "trail"),
    TwapSpec: ("limit_price",),
    IcebergSpec: ("quantity", "limit_price", "display_quantity"),
    ScaleSpec: ("stop_price", "take_profit_price"),
    FlattenSpec: (),
}
"""What of each kind of order can be amended while it is open."""

_Spec = TypeVar("_Spec", bound=Common)


def amended(spec: _Spec, amendment: Amendment, *, entered: bool = False) -> _Spec:
    """The spec with the amendment's values.

    `entered`: the entry is over, or has filled something. Where it was is history then, and an exit may go beyond it,
    such as a stop to where nothing is lost any more.

    Raises `SpecError` where this kind of order has no such field to amend, or where the result would be wrong.
    """
    fields = AMENDABLE[type(spec)]
    changes: dict[str, object] = {**amendment.values()}
    right = f"can be amended: {', '.join(fields)}" if fields else "nothing of this kind of order can be amended"
    if not changes:
        raise SpecError("amendment", "empty", right)
    _check_one_take_profit(amendment)
    for name, value in changes.items():
        if name not in fields:
            raise SpecError(name, value, right)
        # One exit may come and go; any other price belongs to the kind of order that it is.
        has_it = getattr(spec, "take_profit_price" if name == "no_take_profit" else name) is not None
        if not has_it and name != "take_profit_price":
            raise SpecError(name, value, "must be left out: the order has none")
    if changes.pop("no_take_profit", False):
        changes["take_profit_price"] = None
    after = msgspec.structs.replace(spec, **changes)
    is_held = isinstance(after, TrailingSpec) and after.entry_type is None
    check(after, entered=entered or is_held)
    return after


_OF_EXITS = ("stop_price", "take_profit_price", "no_take_profit", "trail")


def check_room(spec: Common, amendment: Amendment, *, filled: Decimal, over: str) -> None:
    """Raise `SpecError` where an order has gone too far for an amendment.

    `filled` is what its entries have traded, `over` says of the entry why there is none to amend (`which is complete`);
    it is empty where there is one.
    """
    if amendment.quantity is not None and amendment.quantity < filled:
        raise SpecError("quantity", amendment.quantity, f"must be at least {filled}, which has filled")
    for name, value in amendment.values().items():
        if over and (isinstance(spec, SingleSpec) or name not in _OF_EXITS):
            raise SpecError(name, value, f"is the entry's, {over}")


def check_amendment(amendment: Amendment) -> None:
    """Raise `SpecError` for what would be wrong of any order."""
    if not amendment.values():
        fields = ", ".join(amendment.__struct_fields__)
        raise SpecError("amendment", "empty", f"must have a value for at least one of {fields}")
    _check_one_take_profit(amendment)
    for name, value in amendment.values().items():
        if isinstance(value, Trail):
            _check_trail(value)
        elif isinstance(value, Decimal):
            _check_positive(name, value)


def _check_one_take_profit(amendment: Amendment) -> None:
    if amendment.no_take_profit and amendment.take_profit_price is not None:
        raise SpecError("no_take_profit", True, "must be left out where there is a take_profit_price")


def check(spec: Common, *, entered: bool = False) -> None:
    """Raise `SpecError` for the first field that is wrong. `entered` as in `amended`."""
    if not ORDER_ID.fullmatch(spec.order_id):
        raise SpecError("order_id", spec.order_id, "must be 1 to 64 letters, digits, '_' or '-'")
    if spec.valid_for is not None and not 1 <= spec.valid_for <= _LONGEST_VALID_FOR:
        raise SpecError("valid_for", spec.valid_for, f"must be 1 to {_LONGEST_VALID_FOR} seconds, or left out")
    if spec.good_till is not None and spec.good_till.tzinfo is None:
        raise SpecError("good_till", spec.good_till, "must have its zone, as in 2030-01-02T15:04:05Z")
    if spec.retry is not None:
        _check_retry(spec.retry)
    if isinstance(spec, OneSymbol | OcoSpec | ScaleSpec):
        check_symbol(spec.symbol)
    if isinstance(spec, OneSymbol):
        _check_positive("quantity", spec.quantity)
    _CHECKS[type(spec)](spec)
    if not entered and type(spec) in _CHECKS_OF_ENTERING:
        _CHECKS_OF_ENTERING[type(spec)](spec)


def check_time(spec: Common, now: datetime) -> None:
    """Raise `SpecError` for an order that is placed when its time is over already. `now` is the market's clock."""
    if spec.good_till is not None and spec.good_till <= now:
        raise SpecError("good_till", spec.good_till, f"must be after {now.isoformat()}, which is now")


def check_digits(field: str, number: Decimal) -> None:
    """Raise `SpecError` for a number of a million digits: no venue should be sent it, and it cannot be divided."""
    exponent = number.as_tuple().exponent
    if number.is_finite() and (number.adjusted() > 14 or (isinstance(exponent, int) and exponent < -10)):
        raise SpecError(field, str(number)[:40], "must have at most 15 digits before the point and 10 after it")


def check_symbol(symbol: str, field: str = "symbol") -> None:
    """Raise `SpecError` for what cannot be traded under this name."""
    if not _SYMBOL.fullmatch(symbol):
        raise SpecError(field, symbol, "must be 1 to 32 letters, digits, or any of . _ - : = ^ + /")


_LONGEST_VALID_FOR = 10 * 365 * 24 * 60 * 60
_LONGEST_TWAP = 7 * 24 * 60 * 60
_MOST_FINAL = 10
_LONGEST_FINAL = 50
_SYMBOL = re.compile(r"[A-Za-z0-9._:=^+/-]{1,32}")


def _check_retry(retry: RetryPolicy) -> None:
    for field, value, least, most in (
        ("attempts", retry.attempts, 1, 100),
        ("delay", retry.delay, 0, 86400),
        ("factor", retry.factor, 1, 10),
        ("longest", retry.longest, 0, 86400),
        ("jitter", retry.jitter, 0, 1),
        ("within", retry.within if retry.within is not None else 1, 1, _LONGEST_VALID_FOR),
    ):
        if not least <= value <= most:
            raise SpecError(f"retry.{field}", value, f"must be {least} to {most}")
    # What an order is goes into the status of its orchestration, which is short.
    if len(retry.final) > _MOST_FINAL or any(len(each) > _LONGEST_FINAL for each in retry.final):
        message = f"must be at most {_MOST_FINAL} texts of at most {_LONGEST_FINAL} characters"
        raise SpecError("retry.final", f"{len(retry.final)} texts", message)


def _check_single(spec: SingleSpec) -> None:
    _check_price("limit_price", spec.limit_price, needed=spec.order_type is OrderType.LIMIT, order_type=spec.order_type)
    _check_price("stop_price", spec.stop_price, needed=spec.order_type is OrderType.STOP, order_type=spec.order_type)
    if spec.synthetic and spec.order_type is not OrderType.STOP:
        raise SpecError("synthetic", spec.synthetic, "must be left out: only a stop order can be kept until its price")


def _check_bracket(spec: BracketSpec) -> None:
    _check_entry_price(spec.entry_type, spec.entry_price)
    _check_exits(spec.side, spec.stop_price, spec.take_profit_price)


def _check_entering_bracket(spec: BracketSpec) -> None:
    if spec.entry_type is OrderType.MARKET and spec.take_profit_price is None:
        message = "is needed for a market order: the exposure limits judge it at the higher of its exits' prices"
        raise SpecError("take_profit_price", None, message)
    _check_between("entry_price", spec.entry_price, spec.side, spec.stop_price, spec.take_profit_price)


def _check_oco(spec: OcoSpec) -> None:
    for number, entry in enumerate(spec.entries):
        where = f"entries[{number}]."
        _check_positive(where + "quantity", entry.quantity)
        _check_positive(where + "price", entry.price)
        if entry.order_type is OrderType.MARKET:
            raise SpecError(where + "order_type", entry.order_type, "must be limit or stop: at market both would trade")
        stop, profit = entry.exit_stop_price, entry.exit_take_profit_price
        if (stop is None) != (profit is None):
            missing = "exit_stop_price" if stop is None else "exit_take_profit_price"
            raise SpecError(where + missing, None, "is needed too: exits come as a pair, or not at all")
        if stop is not None and profit is not None:
            names = (where + "exit_stop_price", where + "exit_take_profit_price")
            _check_exits(entry.side, stop, profit, *names)
            _check_between(where + "price", entry.price, entry.side, stop, profit, *names)
    bare = [number for number, entry in enumerate(spec.entries) if entry.exit_stop_price is None]
    if len(bare) == 1:
        # Whether an order protects what it holds is one answer: by it a halt that flattens decides what it closes.
        message = "is needed too: both entries have exits, or neither has"
        raise SpecError(f"entries[{bare[0]}].exit_stop_price", None, message)


def _check_oto(spec: OtoSpec) -> None:
    _check_legs("orders", spec.orders, spec.lot)


def _check_multi_leg(spec: MultiLegSpec) -> None:
    _check_legs("legs", spec.legs, spec.lot)
    follows = spec.execution is Execution.LEAD_FOLLOW
    if spec.all_or_none and follows:
        raise SpecError("all_or_none", spec.all_or_none, "must be left out where legs follow: they are sent in parts")


def _check_legs(field: str, legs: Sequence[Leg], lot: Decimal) -> None:
    if not 2 <= len(legs) <= MOST_LEGS:
        raise SpecError(field, f"{len(legs)} of them", f"must be 2 to {MOST_LEGS}")
    _check_lot(lot)
    for number, leg in enumerate(legs):
        where = f"{field}[{number}]."
        check_symbol(leg.symbol, where + "symbol")
        _check_positive(where + "quantity", leg.quantity)
        check_digits(where + "quantity", leg.quantity)
        if leg.quantity % lot:
            raise SpecError(where + "quantity", leg.quantity, f"must be a multiple of lot {lot}")
        at_market = leg.order_type is OrderType.MARKET
        _check_price(where + "price", leg.price, needed=not at_market, order_type=leg.order_type)
        _check_price(where + "reference_price", leg.reference_price, needed=at_market, order_type=leg.order_type)


def _check_lot(lot: Decimal) -> None:
    _check_positive("lot", lot)
    check_digits("lot", lot)


def _check_trailing(spec: TrailingSpec) -> None:
    if spec.entry_type is None:
        if spec.entry_price is not None:
            raise SpecError("entry_price", spec.entry_price, "must be left out where entry_type is null: it is held")
        if spec.start_price is None:
            raise SpecError("start_price", None, "is needed for a position that is held: from there it trails")
        _check_positive("start_price", spec.start_price)
    else:
        _check_entry_price(spec.entry_type, spec.entry_price)
        if spec.start_price is not None:
            message = "must be left out where there is an entry: it trails from the entry's average price"
            raise SpecError("start_price", spec.start_price, message)
    _check_trail(spec.trail)
    if spec.take_profit_price is not None:
        _check_positive("take_profit_price", spec.take_profit_price)


def _check_entering_trailing(spec: TrailingSpec) -> None:
    start, profit = spec.start_price or spec.entry_price, spec.take_profit_price
    if start is None:
        return
    if spec.trail.stop_for(start, spec.side) <= 0:
        raise SpecError("trail", spec.trail.amount, f"must leave the stop above 0 when the price is {start}")
    if profit is not None and spec.side.sign * (profit - start) <= 0:
        higher = "above" if spec.side is Side.BUY else "below"
        raise SpecError("take_profit_price", profit, f"must be {higher} {start}, where it trails from")


def _check_trail(trail: Trail) -> None:
    if (trail.amount is None) == (trail.percent is None):
        raise SpecError("trail", f"amount {trail.amount} percent {trail.percent}", "must have one of the two")
    _check_positive("trail.tick", trail.tick)
    if not trail.step.is_finite() or trail.step < 0:
        raise SpecError("trail.step", trail.step, "must be a number of at least 0")
    if trail.amount is not None:
        _check_positive("trail.amount", trail.amount)
    if trail.percent is not None:
        _check_positive("trail.percent", trail.percent)
        if trail.percent >= 100:
            raise SpecError("trail.percent", trail.percent, "must be below 100")


def _check_twap(spec: TwapSpec) -> None:
    if not 2 <= spec.slices <= MOST_SLICES:
        raise SpecError("slices", spec.slices, f"must be 2 to {MOST_SLICES}")
    if not spec.slices <= spec.duration <= _LONGEST_TWAP:
        raise SpecError(
            "duration", spec.duration, f"must be {spec.slices} (a second a slice) to {_LONGEST_TWAP} seconds"
        )
    kind = OrderType.MARKET if spec.limit_price is None else OrderType.LIMIT
    if spec.limit_price is not None:
        _check_positive("limit_price", spec.limit_price)
    _check_price("reference_price", spec.reference_price, needed=kind is OrderType.MARKET, order_type=kind)
    _check_lot(spec.lot)
    check_digits("quantity", spec.quantity)
    if spec.quantity % spec.lot or spec.quantity < spec.slices * spec.lot:
        message = f"must be a multiple of lot {spec.lot}, and at least {spec.slices * spec.lot}: a lot for each slice"
        raise SpecError("quantity", spec.quantity, message)


def _check_iceberg(spec: IcebergSpec) -> None:
    _check_positive("limit_price", spec.limit_price)
    _check_positive("display_quantity", spec.display_quantity)
    if spec.display_quantity > spec.quantity:
        raise SpecError("display_quantity", spec.display_quantity, f"must be at most quantity {spec.quantity}")
    if spec.display_quantity * MOST_SLICES < spec.quantity:
        least = spec.quantity / MOST_SLICES
        raise SpecError(
            "display_quantity", spec.display_quantity, f"must be at least {least}: {MOST_SLICES} orders in all"
        )


def _check_scale(spec: ScaleSpec) -> None:
    if not 1 <= len(spec.rungs) <= MOST_RUNGS:
        raise SpecError("rungs", f"{len(spec.rungs)} of them", f"must be 1 to {MOST_RUNGS}")
    _check_exits(spec.side, spec.stop_price, spec.take_profit_price)
    for number, rung in enumerate(spec.rungs):
        _check_positive(f"rungs[{number}].quantity", rung.quantity)
        _check_positive(f"rungs[{number}].price", rung.price)


def _check_entering_scale(spec: ScaleSpec) -> None:
    for number, rung in enumerate(spec.rungs):
        _check_between(f"rungs[{number}].price", rung.price, spec.side, spec.stop_price, spec.take_profit_price)


def _check_flatten(spec: FlattenSpec) -> None:
    _check_positive("reference_price", spec.reference_price)


_CHECKS: dict[type[Common], Callable[..., None]] = {
    SingleSpec: _check_single,
    BracketSpec: _check_bracket,
    OcoSpec: _check_oco,
    OtoSpec: _check_oto,
    MultiLegSpec: _check_multi_leg,
    TrailingSpec: _check_trailing,
    TwapSpec: _check_twap,
    IcebergSpec: _check_iceberg,
    ScaleSpec: _check_scale,
    FlattenSpec: _check_flatten,
}

_CHECKS_OF_ENTERING: dict[type[Common], Callable[..., None]] = {
    BracketSpec: _check_entering_bracket,
    TrailingSpec: _check_entering_trailing,
    ScaleSpec: _check_entering_scale,
}
"""How an entry's price and its exits' go together: of no matter any more once it has filled something."""


def _check_entry_price(entry_type: OrderType, entry_price: Decimal | None) -> None:
    _check_price("entry_price", entry_price, needed=entry_type is not OrderType.MARKET, order_type=entry_type)


def _check_exits(
    side: Side,
    stop: Decimal,
    profit: Decimal | None,
    stop_name: str = "stop_price",
    profit_name: str = "take_profit_price",
) -> None:
    _check_positive(stop_name, stop)
    if profit is None:
        return
    _check_positive(profit_name, profit)
    if side.sign * (profit - stop) <= 0:
        lower = "below" if side is Side.BUY else "above"
        raise SpecError(stop_name, stop, f"must be {lower} {profit_name} {profit} to protect a {side} order")


def _check_between(
    field: str,
    price: Decimal | None,
    side: Side,
    stop: Decimal,
    profit: Decimal | None,
    stop_name: str = "stop_price",
    profit_name: str = "take_profit_price",
) -> None:
    """The entry's price is between its exits'."""
    if price is None:
        return
    lower, higher = ("below", "above") if side is Side.BUY else ("above", "below")
    if side.sign * (price - stop) <= 0:
        raise SpecError(stop_name, stop, f"must be {lower} {field} {price} for a {side} order")
    if profit is not None and side.sign * (profit - price) <= 0:
        raise SpecError(profit_name, profit, f"must be {higher} {field} {price} for a {side} order")


def _check_price(field: str, value: Decimal | None, *, needed: bool, order_type: OrderType) -> None:
    if needed and value is None:
        raise SpecError(field, value, f"is needed for a {order_type} order")
    if not needed and value is not None:
        raise SpecError(field, value, f"must be left out for a {order_type} order")
    if value is not None:
        _check_positive(field, value)


def _check_positive(field: str, value: Decimal) -> None:
    if not value.is_finite() or value <= 0:
        raise SpecError(field, value, "must be a number above 0")
