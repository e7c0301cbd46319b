"""What a client may ask over HTTP, and how a request that is wrong is answered."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec

from trading.identity import HALT_PREFIX
from trading.orders import OrderType, Side, TimeInForce
from trading.specs import (
    Amendment,
    AtEnd,
    BracketSpec,
    Common,
    Execution,
    FlattenSpec,
    IcebergSpec,
    MultiLegSpec,
    OcoSpec,
    OnLegFailure,
    OtoSpec,
    ScaleSpec,
    SingleSpec,
    Spec,
    SpecError,
    TrailingSpec,
    TwapSpec,
    check,
    check_amendment,
    check_digits,
)

RESERVED = ("fix-session", HALT_PREFIX, "orphan-", "signals-", "sma-")
"""How the app's own instances, orders, orphans and signals are named: an order must not take one of these ids."""

FIRST_YEAR, LAST_YEAR = 2000, 2999
"""Of a time in a request. A time at the end of the calendar cannot be written in another zone."""

_Wanted = TypeVar("_Wanted")


class BadRequestError(Exception):
    """A 400: which field, what it was, and what would be right."""

    def __init__(self, field: str, value: Any, message: str) -> None:
        super().__init__(f"{field}={value}: {message}")
        self.field = field
        self.value = value
        self.message = message


class SingleRequest(SingleSpec, frozen=True, kw_only=True, tag="single", forbid_unknown_fields=True):
    """One order, sent and followed to its end.

    `order_id` is the client's own, 1 to 64 letters, digits, `_` or `-`: the same request may be sent again, and places
    one order. It is generated where left out. `reference_price` is required for a market order and for no other: the
    price at which the exposure limits judge it, the worst that it may be expected to trade at. It limits nothing at the
    venue. `valid_for` is in seconds, `good_till` a time with its zone: what is unfilled then is cancelled.
    `reduce_only`: approved only as far as it makes a position smaller. `synthetic`: a stop that is kept here until its
    price is touched. All of this goes for every kind of order that has the field.
    """

    order_id: str = ""
    reference_price: Decimal | None = None


class BracketRequest(BracketSpec, frozen=True, kw_only=True, tag="bracket", forbid_unknown_fields=True):
    """An entry, and for what it fills a stop and a take-profit of which one cancels the other.

    The exposure limits judge it at `entry_price`; a market entry at the higher of its two exit prices, between which it
    has to trade to make sense.
    """

    order_id: str = ""


class OcoRequest(OcoSpec, frozen=True, kw_only=True, tag="oco", forbid_unknown_fields=True):
    """Two entries in one symbol: as soon as one trades, the other is cancelled.

    With both exit prices, what an entry fills is protected as a bracket's is.
    """

    order_id: str = ""


class OtoRequest(OtoSpec, frozen=True, kw_only=True, tag="oto", forbid_unknown_fields=True):
    """A chain of two to eight orders: what one fills is what the next is sent for, in the ratio of their quantities."""

    order_id: str = ""


class MultiLegRequest(MultiLegSpec, frozen=True, kw_only=True, tag="multi_leg", forbid_unknown_fields=True):
    """Two to eight legs at once, or the first leading and the others following; their quantities are the ratio.

    `on_leg_failure` says what becomes of the other legs' fills where a leg does not fill: `unwind`, `complete`, `keep`.
    """

    order_id: str = ""


class TrailingRequest(TrailingSpec, frozen=True, kw_only=True, tag="trailing", forbid_unknown_fields=True):
    """A position whose stop follows the best price since its entry, never away from it.

    `entry_type` null: the position is held already and trails from `start_price`. `reference_price` is required for a
    market entry and for no other, as for a single order.
    """

    order_id: str = ""
    reference_price: Decimal | None = None


class TwapRequest(TwapSpec, frozen=True, kw_only=True, tag="twap", forbid_unknown_fields=True):
    """A quantity over `duration` seconds in `slices` of one size; what a slice has not filled goes to the next."""

    order_id: str = ""


class IcebergRequest(IcebergSpec, frozen=True, kw_only=True, tag="iceberg", forbid_unknown_fields=True):
    """A limit order of which the venue never sees more than `display_quantity`."""

    order_id: str = ""


class ScaleRequest(ScaleSpec, frozen=True, kw_only=True, tag="scale", forbid_unknown_fields=True):
    """A ladder of limit entries, and one stop and one take-profit for all that they have filled."""

    order_id: str = ""


class FlattenRequest(FlattenSpec, frozen=True, kw_only=True, tag="flatten", forbid_unknown_fields=True):
    """Closes a position that is held, at market. `side` and `quantity` are the position's."""

    order_id: str = ""


class HaltRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A halt of all trading. With `flatten`, what is held is closed too. `reason` is for whoever looks later."""

    flatten: bool = False
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


OrderRequest = (
    SingleRequest
    | BracketRequest
    | OcoRequest
    | OtoRequest
    | MultiLegRequest
    | TrailingRequest
    | TwapRequest
    | IcebergRequest
    | ScaleRequest
    | FlattenRequest
)
SPECS: dict[type[Common], type[Spec]] = {
    SingleRequest: SingleSpec,
    BracketRequest: BracketSpec,
    OcoRequest: OcoSpec,
    OtoRequest: OtoSpec,
    MultiLegRequest: MultiLegSpec,
    TrailingRequest: TrailingSpec,
    TwapRequest: TwapSpec,
    IcebergRequest: IcebergSpec,
    ScaleRequest: ScaleSpec,
    FlattenRequest: FlattenSpec,
}
"""What each kind of request asks for."""

_CHOICES = {
    "type": tuple(str(spec.__struct_config__.tag) for spec in SPECS),
    "side": tuple(Side),
    "order_type": tuple(OrderType),
    "entry_type": tuple(OrderType),
    "time_in_force": tuple(TimeInForce),
    "execution": tuple(Execution),
    "on_leg_failure": tuple(OnLegFailure),
    "at_end": tuple(AtEnd),
}


def read_order(body: bytes, generated_id: str) -> tuple[Spec, Decimal | None]:
    """The order of a request's body, and the reference price of a market entry. Raises `BadRequestError`."""
    request: OrderRequest = _decoded(body, OrderRequest)
    reference_price = _reference_price(request)
    spec = msgspec.convert(request, SPECS[type(request)], from_attributes=True)
    spec = msgspec.structs.replace(
        spec, order_id=request.order_id or generated_id, good_till=_good_till(request.good_till)
    )
    if spec.order_id.startswith(RESERVED):
        message = f"must not begin with {', '.join(RESERVED)}: these names are the app's own"
        raise BadRequestError("order_id", spec.order_id, message)
    try:
        check(spec)
    except SpecError as error:
        raise as_bad_request(error) from None
    return spec, reference_price


def read_amendment(body: bytes) -> Amendment:
    """The amendment of a request's body. Raises `BadRequestError` for what would be wrong of any order."""
    amendment: Amendment = _decoded(body, Amendment)
    try:
        check_amendment(amendment)
    except SpecError as error:
        raise as_bad_request(error) from None
    return amendment


def read_halt(body: bytes) -> HaltRequest:
    """What a halt's body asks for; an empty one asks for no more than the halt. Raises `BadRequestError`."""
    request: HaltRequest = _decoded(body or b"{}", HaltRequest)
    return request


def as_bad_request(error: SpecError) -> BadRequestError:
    """What a spec's error is to a client."""
    return BadRequestError(error.field, msgspec.to_builtins(error.value), error.message)


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        request = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _wrong_field(body, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error) from None
    plain = msgspec.json.decode(body)
    try:
        for field, number in _numbers(request, ""):
            _check_written(field, _found(plain, _steps(field)))
            check_digits(field, number)
    except SpecError as error:
        raise as_bad_request(error) from None
    return request


def _good_till(at: datetime | None) -> datetime | None:
    """The time in UTC, as all that is kept; `check` says what is wrong of one without a zone."""
    if at is None or at.tzinfo is None:
        return at
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        message = f"must be a time from the year {FIRST_YEAR} to {LAST_YEAR}"
        raise BadRequestError("good_till", msgspec.to_builtins(at), message)
    return at.astimezone(UTC)


def _reference_price(request: OrderRequest) -> Decimal | None:
    """The price of a market entry that the order itself has no other price for."""
    match request:
        case SingleRequest():
            entry_type: OrderType | None = request.order_type
        case TrailingRequest():
            entry_type = request.entry_type
        case _:
            return None
    price = request.reference_price
    if entry_type is not OrderType.MARKET:
        if price is not None:
            kind = f"a {entry_type} order" if entry_type else "a position that is held"
            message = f"must be left out for {kind}: it is judged by a price of its own"
            raise BadRequestError("reference_price", msgspec.to_builtins(price), message)
    elif price is None or not price.is_finite() or price <= 0:
        message = "is needed for a market order, as a number above 0: its exposure is judged by it"
        raise BadRequestError("reference_price", msgspec.to_builtins(price), message)
    return price


def _numbers(value: object, field: str) -> Iterator[tuple[str, Decimal]]:
    """All numbers of a request, each with the name of its field, such as `legs[1].quantity`."""
    if isinstance(value, Decimal):
        yield field, value
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from _numbers(each, f"{field}[{index}]")
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _numbers(getattr(value, name), f"{field}.{name}" if field else name)


_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def _check_written(field: str, value: object) -> None:
    """A string is a number as JSON has them: `Decimal` would take `1_0` too, and the digits of any script."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise BadRequestError(field, value, "has to be a decimal number, as in 3000.25")


def _wrong_field(body: bytes, problem: str) -> BadRequestError:
    """`msgspec` names the place at the end of its text (``- at `$.legs[1].quantity` ``), and a field that is missing
    or unknown at its beginning."""
    message, _, place = problem.partition(" - at `$")
    path = _steps(place)
    named = re.search(r"(?:required|unknown) field `([^`]+)`", message)
    if named:
        path.append(named[1])
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _not_json(error)
    if not path:
        return BadRequestError("body", None, message)
    value = _found(value, path)
    if path[-1] in _CHOICES:
        message = f"has to be one of {', '.join(_CHOICES[path[-1]])}"
    field = "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in path).removeprefix(".")
    return BadRequestError(field, value, message)


def _steps(place: str) -> list[str]:
    """The way to a field: `legs[1].quantity` is `legs`, `1`, `quantity`."""
    return re.findall(r"[^.\[\]`]+", place)


def _found(value: Any, path: list[str]) -> Any:
    for step in path:
        value = _within(value, step)
    return value


def _within(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isdigit() and int(step) < len(value):
        return value[int(step)]
    return None


def _not_json(error: Exception) -> BadRequestError:
    return BadRequestError("body", None, f"has to be a JSON object: {error}")
