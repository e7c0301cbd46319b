"""What happened. Past tense; what the venue reported (`VenueEvent`) and what came from our own side.

`cl_ord_id` is ClOrdID (11) as the report carries it: for the answer to a replace or a cancel that is the request's own
id, and `orig_cl_ord_id` (41) names the order it was about. `at` is TransactTime (60): the market's clock.
"""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from trading.specs import Amendment


class OrderAccepted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """ExecType 0: the order works at the venue."""

    cl_ord_id: str
    at: datetime


class OrderFilled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """ExecType F: a trade. `quantity` and `price` are LastQty (32) and LastPx (31), then the venue's totals."""

    cl_ord_id: str
    exec_id: str
    quantity: Decimal
    price: Decimal
    cum_quantity: Decimal
    leaves_quantity: Decimal
    at: datetime


class OrderCanceled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """ExecType 4. `orig_cl_ord_id` is None where nobody asked for it."""

    cl_ord_id: str
    orig_cl_ord_id: str | None = None
    cum_quantity: Decimal
    reason: str = ""
    at: datetime


class OrderReplaced(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """ExecType 5: the order goes on as `cl_ord_id` with this quantity (38) and these prices.

    Where nobody asked for it, `orig_cl_ord_id` is empty or `cl_ord_id` itself, or `cl_ord_id` is the venue's own.
    """

    cl_ord_id: str
    orig_cl_ord_id: str
    quantity: Decimal
    cum_quantity: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    at: datetime


class OrderRejected(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """ExecType 8, or a session or business reject of the order's message."""

    cl_ord_id: str
    reason: str
    at: datetime


class OrderExpired(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """ExecType C: its time in force is over."""

    cl_ord_id: str
    cum_quantity: Decimal
    at: datetime


class OrderRestated(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """ExecType D: the venue changed the order by itself, or put it in force again.

    `quantity` is OrderQty (38) as it now is, as are the prices; a price that is None is as it was.
    """

    cl_ord_id: str
    quantity: Decimal
    cum_quantity: Decimal
    leaves_quantity: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reason_code: int | None = None
    """ExecRestatementReason (378): 0 a corporate action (CumQty is in new units then), 1 renewal, 5 partial decline."""
    is_listed: bool = False
    """The venue was asked, after all that it had said before, and lists the order as one that works."""
    at: datetime


class CancelRejected(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """OrderCancelReject (35=9). `order_status` is OrdStatus (39) as its FIX character: how the venue sees the order."""

    cl_ord_id: str
    orig_cl_ord_id: str
    response_to: Literal["cancel", "replace"]
    reason_code: int | None = None
    """CxlRejReason (102): 0 too late to cancel, 1 unknown order, 6 duplicate ClOrdID."""
    reason: str = ""
    order_status: str = ""
    at: datetime


class TradeBusted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """ExecType H: the trade `ref_exec_id` (19) never was. `quantity` and `price` are that trade's."""

    cl_ord_id: str
    exec_id: str
    ref_exec_id: str
    quantity: Decimal
    price: Decimal
    leaves_quantity: Decimal | None = None
    """LeavesQty (151) after it: not 0 where a filled order works again. None where that is not known."""
    at: datetime


class TradeCorrected(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """ExecType G: the trade `ref_exec_id` (19) was for `quantity` at `price` instead."""

    cl_ord_id: str
    exec_id: str
    ref_exec_id: str
    quantity: Decimal
    price: Decimal
    leaves_quantity: Decimal | None = None
    """LeavesQty (151) after it: not 0 where a filled order works again. None where that is not known."""
    at: datetime


class OrderReported(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Any other report: how the order stands. `exec_type` (150) and `order_status` (39) are FIX characters.

    Pending new, cancel and replace (A, 6, E), done for day (3), stopped (7), suspended (9), calculated (B); and status
    (I). `orig_cl_ord_id` as in `OrderCanceled`.
    """

    cl_ord_id: str
    orig_cl_ord_id: str | None = None
    exec_type: str
    order_status: str
    text: str = ""
    at: datetime


class TimerFired(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A timer of the lifecycle's own ran out."""

    name: str


class OrderNotSent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The order was taken back before it left: the venue never saw it and never will."""

    cl_ord_id: str
    reason: str


class CancelRequested(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The user wants the order to end: `flatten` what was filled, or `keep_exits` for it."""

    mode: Literal["flatten", "keep_exits"] = "flatten"


class AmendRequested(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The user wants the order to be another from now on."""

    amendment: Amendment


class TradingHalted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Nothing is to be added to any position of the account; with `flatten`, what is held is to be closed."""

    flatten: bool = False
    number: int = 0
    """Of the halt: an order that was open in several hears of each."""


class PriceTouched(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A price that was waited for (`WatchPrice`) has come: the market has been at `price`, and `then` went on.

    `at` is the market's time of the last of them.
    """

    symbol: str
    watch: int
    """The number of the watch that it answers. A late one answers an earlier watch."""
    price: Decimal
    then: tuple[Decimal, ...] = ()
    """Where it turned after that, in order, as far as it is known already."""
    at: datetime

    @property
    def prices(self) -> tuple[Decimal, ...]:
        return (self.price, *self.then)


VenueEvent = (
    OrderAccepted
    | OrderFilled
    | OrderCanceled
    | OrderReplaced
    | OrderRejected
    | OrderExpired
    | OrderRestated
    | CancelRejected
    | TradeBusted
    | TradeCorrected
    | OrderReported
)
Instruction = CancelRequested | AmendRequested | TradingHalted | PriceTouched
"""What our own side tells an open order: kept in its instructions, numbered as the journal is."""
Event = VenueEvent | Instruction | TimerFired | OrderNotSent
