"""What a client may ask over HTTP, and how a request that is wrong is answered."""

import re
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec

from trading.identity import HALT_PREFIX
from trading.orders import OrderType, Side, TimeInForce
from trading.specs import BracketSpec, SingleSpec, Spec, SpecError, check

RESERVED = ("fix-session", HALT_PREFIX, "orphan-", "signals-", "sma-")
"""How the app's own instances, orders, orphans and signals are named: an order must not take one of these ids."""

_CHOICES = {
    "type": ("single", "bracket"),
    "side": tuple(Side),
    "order_type": tuple(OrderType),
    "entry_type": tuple(OrderType),
    "time_in_force": tuple(TimeInForce),
}

_Kind = TypeVar("_Kind")


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
    venue. `valid_for` is in seconds.
    """

    order_id: str = ""
    reference_price: Decimal | None = None


class BracketRequest(BracketSpec, frozen=True, kw_only=True, tag="bracket", forbid_unknown_fields=True):
    """An entry, and for what it fills a stop and a take-profit of which one cancels the other.

    `order_id` and `valid_for` as for a single order. The exposure limits judge the order at `entry_price`; a market
    entry at the higher of its two exit prices, between which it has to trade to make sense.
    """

    order_id: str = ""


OrderRequest = SingleRequest | BracketRequest


def read_order(body: bytes, generated_id: str) -> tuple[Spec, Decimal | None]:
    """The order of a request's body, and the reference price of a market order. Raises `BadRequestError`."""
    try:
        request = msgspec.json.decode(body, type=OrderRequest)
    except msgspec.ValidationError as error:
        raise _wrong_field(body, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error) from None
    _check_digits(request)
    spec, reference_price = _parts(request, generated_id)
    if spec.order_id.startswith(RESERVED):
        message = f"must not begin with {', '.join(RESERVED)}: these names are the app's own"
        raise BadRequestError("order_id", spec.order_id, message)
    try:
        check(spec)
    except SpecError as error:
        raise BadRequestError(error.field, _shown(error.value), error.message) from None
    return spec, reference_price


def _parts(request: OrderRequest, generated_id: str) -> tuple[Spec, Decimal | None]:
    if isinstance(request, BracketRequest):
        return _spec(BracketSpec, request, generated_id), None
    price = request.reference_price
    if request.order_type is not OrderType.MARKET:
        if price is not None:
            message = f"must be left out for a {request.order_type} order: its own price is what it is judged by"
            raise BadRequestError("reference_price", _shown(price), message)
    elif price is None or not price.is_finite() or price <= 0:
        message = "is needed for a market order, as a number above 0: its exposure is judged by it"
        raise BadRequestError("reference_price", _shown(price), message)
    return _spec(SingleSpec, request, generated_id), price


def _spec(kind: type[_Kind], request: OrderRequest, generated_id: str) -> _Kind:
    fields = {name: getattr(request, name) for name in kind.__struct_fields__}  # type: ignore[attr-defined]  # a Struct
    return kind(**fields | {"order_id": request.order_id or generated_id})


def _check_digits(request: OrderRequest) -> None:
    """A number of a million digits is a number above 0, and nothing that a venue should be sent."""
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if not isinstance(value, Decimal) or not value.is_finite():
            continue
        exponent = value.as_tuple().exponent
        if value.adjusted() > 14 or (isinstance(exponent, int) and exponent < -10):
            raise BadRequestError(name, str(value)[:40], "must have at most 15 digits before the point and 10 after it")


def _wrong_field(body: bytes, problem: str) -> BadRequestError:
    """`msgspec` names the place at the end of its text (``- at `$.quantity` ``), or the field within it."""
    message, _, place = problem.partition(" - at `$")
    field = place.strip("`.")
    if not field:
        named = re.search(r"(?:required|unknown) field `([^`]+)`", message)
        field = named[1] if named else "body"
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _not_json(error)
    value = given.get(field) if isinstance(given, dict) else None
    if field in _CHOICES:
        message = f"has to be one of {', '.join(_CHOICES[field])}"
    return BadRequestError(field, value, message)


def _not_json(error: Exception) -> BadRequestError:
    return BadRequestError("body", None, f"has to be a JSON object: {error}")


def _shown(value: object) -> Any:
    return msgspec.to_builtins(value)


class HaltRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A halt of all trading. With `flatten`, what is held is closed too. `reason` is for whoever looks later."""

    flatten: bool = False
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


def read_halt(body: bytes) -> HaltRequest:
    """What a halt's body asks for; an empty one asks for no more than the halt. Raises `BadRequestError`."""
    body = body or b"{}"
    try:
        return msgspec.json.decode(body, type=HaltRequest)
    except msgspec.ValidationError as error:
        raise _wrong_field(body, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error) from None
