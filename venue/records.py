"""What members ask of the exchange and what it reports: FIX 4.4's messages as plain records, without the session.

`session` says whose order it is. Fields are named after FIX's; `transact_time` is the market's clock.
"""

from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

import msgspec

from venue.orders import OrderStatus, OrderType, Side, TimeInForce

# ---- requests


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """NewOrderSingle (35=D). With `poss_resend` (97=Y) a ClOrdID that is known is asked about, not refused."""

    cl_ord_id: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    poss_resend: bool = False


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True):
    """OrderCancelRequest (35=F)."""

    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: Side
    poss_resend: bool = False


class ReplaceOrder(msgspec.Struct, frozen=True, kw_only=True):
    """OrderCancelReplaceRequest (35=G): new quantity and prices. Everything else stays as it was."""

    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    poss_resend: bool = False


class AskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """OrderStatusRequest (35=H). `ord_status_req_id` (790) comes back in the answer."""

    cl_ord_id: str
    ord_status_req_id: str | None = None
    symbol: str
    side: Side


class AskMassStatus(msgspec.Struct, frozen=True, kw_only=True):
    """OrderMassStatusRequest (35=AF): a report of each open order, or of those of one symbol, or of one side.
    `mass_status_req_id` (584) comes back in each."""

    mass_status_req_id: str
    symbol: str | None = None
    side: Side | None = None


# ---- reports


class ExecType(StrEnum):
    """ExecType (150)."""

    NEW = "0"
    CANCELED = "4"
    REPLACED = "5"
    REJECTED = "8"
    EXPIRED = "C"
    TRADE = "F"
    RESTATED = "D"
    TRADE_CORRECT = "G"
    TRADE_CANCEL = "H"
    ORDER_STATUS = "I"


class OrdRejReason(IntEnum):
    """OrdRejReason (103)."""

    UNKNOWN_ORDER = 5
    DUPLICATE_ORDER = 6
    UNSUPPORTED_CHARACTERISTIC = 11
    INCORRECT_QUANTITY = 13
    OTHER = 99


class CxlRejReason(IntEnum):
    """CxlRejReason (102)."""

    TOO_LATE = 0
    UNKNOWN_ORDER = 1
    DUPLICATE_CL_ORD_ID = 6
    OTHER = 99


class CxlRejResponseTo(StrEnum):
    """CxlRejResponseTo (434)."""

    CANCEL = "1"
    REPLACE = "2"


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True):
    """ExecutionReport (35=8). Without ClOrdID, symbol and side it says that there is no order that was asked about."""

    session: str
    cl_ord_id: str | None
    orig_cl_ord_id: str | None = None
    ord_status_req_id: str | None = None
    order_id: str
    exec_id: str
    exec_ref_id: str | None = None
    exec_type: ExecType
    ord_status: OrderStatus
    ord_rej_reason: OrdRejReason | None = None
    exec_restatement_reason: int | None = None
    symbol: str | None
    side: Side | None
    order_type: OrderType | None = None
    order_qty: Decimal | None = None
    price: Decimal | None = None
    stop_px: Decimal | None = None
    time_in_force: TimeInForce | None = None
    last_qty: Decimal | None = None
    last_px: Decimal | None = None
    leaves_qty: Decimal
    cum_qty: Decimal
    avg_px: Decimal
    transact_time: datetime
    text: str | None = None
    mass_status_req_id: str | None = None
    tot_num_reports: int | None = None
    last_rpt_requested: bool | None = None


class OrderCancelReject(msgspec.Struct, frozen=True, kw_only=True):
    """OrderCancelReject (35=9)."""

    session: str
    cl_ord_id: str
    orig_cl_ord_id: str
    order_id: str
    ord_status: OrderStatus
    cxl_rej_reason: CxlRejReason
    cxl_rej_response_to: CxlRejResponseTo
    transact_time: datetime
    text: str


Report = ExecutionReport | OrderCancelReject
