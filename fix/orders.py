"""The order messages of FIX 4.4, typed: builders for who sends them, readers for who receives them.

D NewOrderSingle, F OrderCancelRequest, G OrderCancelReplaceRequest, H OrderStatusRequest, AF OrderMassStatusRequest,
q OrderMassCancelRequest, r OrderMassCancelReport, 8 ExecutionReport, 9 OrderCancelReject, j BusinessMessageReject; and
3 Reject, which only the session builds. Names, tags, what is required and the order of the fields are those of FIX 4.4
volume 4. A builder or reader raises `FieldError` (or `MissingTag`, which is one) naming the tag, the value and what
would be right.
"""

import re
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from fix.groups import (
    Group,
    boolean_field,
    build,
    date_field,
    expect_type,
    integer_field,
    number_field,
    optional_field,
    quantity_field,
    read_boolean,
    read_date,
    read_enum,
    read_integer,
    read_number,
    read_optional_enum,
    read_quantity,
    read_size,
    size_field,
    text_field,
)
from fix.message import Field, FieldError, Message, MissingTag
from fix.values import format_timestamp, parse_boolean, parse_decimal, parse_integer, parse_timestamp


class MsgType:
    """MsgType (35) of the messages here."""

    REJECT = "3"
    NEW_ORDER_SINGLE = "D"
    ORDER_CANCEL_REQUEST = "F"
    ORDER_CANCEL_REPLACE_REQUEST = "G"
    ORDER_STATUS_REQUEST = "H"
    ORDER_MASS_STATUS_REQUEST = "AF"
    ORDER_MASS_CANCEL_REQUEST = "q"
    ORDER_MASS_CANCEL_REPORT = "r"
    EXECUTION_REPORT = "8"
    ORDER_CANCEL_REJECT = "9"
    BUSINESS_MESSAGE_REJECT = "j"


class Side(StrEnum):
    """Side (54)."""

    BUY = "1"
    SELL = "2"
    BUY_MINUS = "3"
    SELL_PLUS = "4"
    SELL_SHORT = "5"
    SELL_SHORT_EXEMPT = "6"
    UNDISCLOSED = "7"
    """Of a report about no order; an order has another one."""


class OrdType(StrEnum):
    """OrdType (40)."""

    MARKET = "1"
    LIMIT = "2"
    STOP = "3"
    STOP_LIMIT = "4"


class TimeInForce(StrEnum):
    """TimeInForce (59)."""

    DAY = "0"
    GTC = "1"
    OPENING = "2"
    IOC = "3"
    FOK = "4"
    GTX = "5"
    GTD = "6"
    CLOSING = "7"


class ExecType(StrEnum):
    """ExecType (150): what this report is about."""

    NEW = "0"
    DONE_FOR_DAY = "3"
    CANCELED = "4"
    REPLACED = "5"
    PENDING_CANCEL = "6"
    STOPPED = "7"
    REJECTED = "8"
    SUSPENDED = "9"
    PENDING_NEW = "A"
    CALCULATED = "B"
    EXPIRED = "C"
    RESTATED = "D"
    PENDING_REPLACE = "E"
    TRADE = "F"
    TRADE_CORRECT = "G"
    TRADE_CANCEL = "H"
    ORDER_STATUS = "I"


class ExecTransType(StrEnum):
    """ExecTransType (20) of FIX 4.2, which 4.4 says with ExecType (150)."""

    NEW = "0"
    CANCEL = "1"
    CORRECT = "2"
    STATUS = "3"


class OrdStatus(StrEnum):
    """OrdStatus (39): how the order stands after it."""

    NEW = "0"
    PARTIALLY_FILLED = "1"
    FILLED = "2"
    DONE_FOR_DAY = "3"
    CANCELED = "4"
    REPLACED = "5"
    PENDING_CANCEL = "6"
    STOPPED = "7"
    REJECTED = "8"
    SUSPENDED = "9"
    PENDING_NEW = "A"
    CALCULATED = "B"
    EXPIRED = "C"
    ACCEPTED_FOR_BIDDING = "D"
    PENDING_REPLACE = "E"


class CxlRejResponseTo(StrEnum):
    """CxlRejResponseTo (434)."""

    CANCEL = "1"
    REPLACE = "2"


class MassStatusReqType(StrEnum):
    """MassStatusReqType (585): which orders the status is asked of."""

    SECURITY = "1"
    UNDERLYING_SECURITY = "2"
    PRODUCT = "3"
    CFI_CODE = "4"
    SECURITY_TYPE = "5"
    TRADING_SESSION = "6"
    ALL_ORDERS = "7"
    PARTY_ID = "8"


class MassCancelRequestType(StrEnum):
    """MassCancelRequestType (530): which orders shall be canceled."""

    SECURITY = "1"
    UNDERLYING_SECURITY = "2"
    PRODUCT = "3"
    CFI_CODE = "4"
    SECURITY_TYPE = "5"
    TRADING_SESSION = "6"
    ALL_ORDERS = "7"


class MassCancelResponse(StrEnum):
    """MassCancelResponse (531): which orders are canceled, or that none is."""

    REJECTED = "0"
    SECURITY = "1"
    UNDERLYING_SECURITY = "2"
    PRODUCT = "3"
    CFI_CODE = "4"
    SECURITY_TYPE = "5"
    TRADING_SESSION = "6"
    ALL_ORDERS = "7"


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What an order is, as NewOrderSingle and OrderCancelReplaceRequest say it.

    `exec_inst` are the values of ExecInst (18), one character each. Quantities are in the order's units: `min_qty` must
    be filled at once or nothing, `max_floor` is what may be shown. An order of TimeInForce GTD says when it ends:
    `expire_time`, or `expire_date`, the last day by the market's calendar.
    """

    cl_ord_id: str
    symbol: str
    side: Side
    order_qty: Decimal
    ord_type: OrdType
    price: Decimal | None
    stop_px: Decimal | None
    time_in_force: TimeInForce
    transact_time: datetime
    text: str
    poss_resend: bool
    account: str | None = None
    exec_inst: tuple[str, ...] = ()
    min_qty: Decimal | None = None
    max_floor: Decimal | None = None
    expire_date: date | None = None
    expire_time: datetime | None = None


class NewOrderSingle(OrderTerms, frozen=True, kw_only=True):
    """35=D."""


class OrderCancelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """35=F. `order_qty` is the order's quantity (38), None where it was not said."""

    cl_ord_id: str
    orig_cl_ord_id: str
    order_id: str | None
    symbol: str
    side: Side
    order_qty: Decimal | None
    transact_time: datetime
    text: str
    poss_resend: bool


class OrderCancelReplaceRequest(OrderTerms, frozen=True, kw_only=True):
    """35=G. `order_qty` is the whole order's quantity as it shall be, with what is filled of it.

    All terms of the order are said again: what is left out is no more wanted.
    """

    orig_cl_ord_id: str
    order_id: str | None


class OrderStatusRequest(msgspec.Struct, frozen=True, kw_only=True):
    """35=H. `ord_status_req_id` (790) comes back in the report that answers."""

    cl_ord_id: str
    order_id: str | None
    ord_status_req_id: str | None
    symbol: str
    side: Side
    poss_resend: bool


class OrderMassStatusRequest(msgspec.Struct, frozen=True, kw_only=True):
    """35=AF: asks for a report of each order that is meant. `mass_status_req_id` (584) comes back in each."""

    mass_status_req_id: str
    mass_status_req_type: MassStatusReqType
    account: str | None
    symbol: str | None
    side: Side | None
    poss_resend: bool


class OrderMassCancelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """35=q. Without `side`, orders of either side are meant."""

    cl_ord_id: str
    mass_cancel_request_type: MassCancelRequestType
    symbol: str | None
    side: Side | None
    transact_time: datetime
    text: str
    poss_resend: bool


class AffectedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of NoAffectedOrders (534). `orig_cl_ord_id` is "MANUAL" for an order that has no ClOrdID."""

    orig_cl_ord_id: str
    affected_order_id: str | None = None
    affected_secondary_order_id: str | None = None


class OrderMassCancelReport(msgspec.Struct, frozen=True, kw_only=True):
    """35=r: what becomes of an OrderMassCancelRequest; each order's end is reported on its own (35=8 or 9).

    `order_id` is the venue's identifier of the request. `cl_ord_id` is the request's, empty where none asked.
    `transact_time` as in `ExecutionReport`.
    """

    cl_ord_id: str
    order_id: str
    mass_cancel_request_type: MassCancelRequestType
    mass_cancel_response: MassCancelResponse
    mass_cancel_reject_reason: int | None
    total_affected_orders: int | None
    affected_orders: tuple[AffectedOrder, ...]
    symbol: str | None
    side: Side | None
    transact_time: datetime
    text: str
    poss_resend: bool


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True):
    """35=8. None is a field that the report does not have; `cl_ord_id` and `text` are then empty.

    `transact_time` is TransactTime (60), or SendingTime (52) of a report without one. Of the reports that answer an
    OrderMassStatusRequest, `tot_num_reports` (911) is how many they are, `last_rpt_requested` (912) whether it is the
    last. `copy_msg_indicator` (797) says that it is a drop copy of what another session was told.
    """

    order_id: str
    cl_ord_id: str
    orig_cl_ord_id: str | None
    ord_status_req_id: str | None
    exec_id: str
    exec_ref_id: str | None
    exec_type: ExecType
    ord_status: OrdStatus
    ord_rej_reason: int | None
    exec_restatement_reason: int | None
    symbol: str
    side: Side
    order_qty: Decimal | None
    ord_type: OrdType | None
    price: Decimal | None
    stop_px: Decimal | None
    time_in_force: TimeInForce | None
    last_qty: Decimal | None
    last_px: Decimal | None
    leaves_qty: Decimal
    cum_qty: Decimal
    avg_px: Decimal | None
    transact_time: datetime
    text: str
    poss_resend: bool
    mass_status_req_id: str | None = None
    tot_num_reports: int | None = None
    last_rpt_requested: bool | None = None
    account: str | None = None
    copy_msg_indicator: bool | None = None


class OrderCancelReject(msgspec.Struct, frozen=True, kw_only=True):
    """35=9. `transact_time` as in `ExecutionReport`."""

    order_id: str
    cl_ord_id: str
    orig_cl_ord_id: str
    ord_status: OrdStatus
    cxl_rej_response_to: CxlRejResponseTo
    cxl_rej_reason: int | None
    transact_time: datetime
    text: str
    poss_resend: bool


class BusinessMessageReject(msgspec.Struct, frozen=True, kw_only=True):
    """35=j. `ref_seq_num` is the MsgSeqNum of the message that is rejected, `business_reject_ref_id` its id (11)."""

    ref_seq_num: int | None
    ref_msg_type: str
    business_reject_ref_id: str | None
    business_reject_reason: int
    text: str


class SessionReject(msgspec.Struct, frozen=True, kw_only=True):
    """35=3: the peer's session refuses a message. `ref_seq_num` is that one's MsgSeqNum, `ref_tag_id` the field that is
    wrong, `session_reject_reason` (373) why, `text` what the peer says about it."""

    ref_seq_num: int
    ref_tag_id: int | None
    ref_msg_type: str | None
    session_reject_reason: int | None
    text: str


def new_order_single(
    *,
    cl_ord_id: str,
    symbol: str,
    side: Side,
    order_qty: Decimal,
    ord_type: OrdType,
    transact_time: datetime,
    price: Decimal | None = None,
    stop_px: Decimal | None = None,
    time_in_force: TimeInForce = TimeInForce.DAY,
    text: str = "",
    poss_resend: bool = False,
    account: str | None = None,
    exec_inst: tuple[str, ...] = (),
    min_qty: Decimal | None = None,
    max_floor: Decimal | None = None,
    expire_date: date | None = None,
    expire_time: datetime | None = None,
) -> Message:
    """35=D, handled automatically (21=1). TimeInForce GTD needs `expire_time` or `expire_date`; no other has them."""
    return build(
        MsgType.NEW_ORDER_SINGLE,
        _poss_resend(poss_resend),
        text_field(11, cl_ord_id),
        optional_field(1, account),
        (21, "1"),
        _exec_inst(exec_inst),
        size_field(110, min_qty),
        size_field(111, max_floor),
        text_field(55, symbol),
        (54, side.value),
        (60, format_timestamp(60, transact_time)),
        quantity_field(38, order_qty),
        *_type_and_prices(ord_type, price, stop_px),
        *_time_in_force(time_in_force, expire_date, expire_time),
        optional_field(58, text),
    )


def order_cancel_request(
    *,
    cl_ord_id: str,
    orig_cl_ord_id: str,
    symbol: str,
    side: Side,
    transact_time: datetime,
    order_qty: Decimal | None = None,
    order_id: str | None = None,
    text: str = "",
    poss_resend: bool = False,
) -> Message:
    """35=F."""
    return build(
        MsgType.ORDER_CANCEL_REQUEST,
        _poss_resend(poss_resend),
        text_field(41, orig_cl_ord_id),
        optional_field(37, order_id),
        text_field(11, cl_ord_id),
        text_field(55, symbol),
        (54, side.value),
        (60, format_timestamp(60, transact_time)),
        None if order_qty is None else quantity_field(38, order_qty),
        optional_field(58, text),
    )


def order_cancel_replace_request(
    *,
    cl_ord_id: str,
    orig_cl_ord_id: str,
    symbol: str,
    side: Side,
    order_qty: Decimal,
    ord_type: OrdType,
    transact_time: datetime,
    price: Decimal | None = None,
    stop_px: Decimal | None = None,
    time_in_force: TimeInForce = TimeInForce.DAY,
    order_id: str | None = None,
    text: str = "",
    poss_resend: bool = False,
    account: str | None = None,
    exec_inst: tuple[str, ...] = (),
    min_qty: Decimal | None = None,
    max_floor: Decimal | None = None,
    expire_date: date | None = None,
    expire_time: datetime | None = None,
) -> Message:
    """35=G, handled automatically (21=1). `expire_time` and `expire_date` as in `new_order_single`."""
    return build(
        MsgType.ORDER_CANCEL_REPLACE_REQUEST,
        _poss_resend(poss_resend),
        optional_field(37, order_id),
        text_field(41, orig_cl_ord_id),
        text_field(11, cl_ord_id),
        optional_field(1, account),
        (21, "1"),
        _exec_inst(exec_inst),
        size_field(110, min_qty),
        size_field(111, max_floor),
        text_field(55, symbol),
        (54, side.value),
        (60, format_timestamp(60, transact_time)),
        quantity_field(38, order_qty),
        *_type_and_prices(ord_type, price, stop_px),
        *_time_in_force(time_in_force, expire_date, expire_time),
        optional_field(58, text),
    )


def order_status_request(
    *,
    cl_ord_id: str,
    symbol: str,
    side: Side,
    order_id: str | None = None,
    ord_status_req_id: str | None = None,
    poss_resend: bool = False,
) -> Message:
    """35=H."""
    return build(
        MsgType.ORDER_STATUS_REQUEST,
        _poss_resend(poss_resend),
        optional_field(37, order_id),
        text_field(11, cl_ord_id),
        optional_field(790, ord_status_req_id),
        text_field(55, symbol),
        (54, side.value),
    )


def order_mass_status_request(
    *,
    mass_status_req_id: str,
    mass_status_req_type: MassStatusReqType,
    account: str | None = None,
    symbol: str | None = None,
    side: Side | None = None,
    poss_resend: bool = False,
) -> Message:
    """35=AF, of the orders of one security (`symbol`) or of all."""
    _check_scope(585, mass_status_req_type, symbol)
    return build(
        MsgType.ORDER_MASS_STATUS_REQUEST,
        _poss_resend(poss_resend),
        text_field(584, mass_status_req_id),
        (585, mass_status_req_type.value),
        optional_field(1, account),
        optional_field(55, symbol),
        optional_field(54, side),
    )


def order_mass_cancel_request(
    *,
    cl_ord_id: str,
    mass_cancel_request_type: MassCancelRequestType,
    transact_time: datetime,
    symbol: str | None = None,
    side: Side | None = None,
    text: str = "",
    poss_resend: bool = False,
) -> Message:
    """35=q, of the orders of one security (`symbol`) or of all. TransactTime is required of it (volume 4)."""
    _check_scope(530, mass_cancel_request_type, symbol)
    return build(
        MsgType.ORDER_MASS_CANCEL_REQUEST,
        _poss_resend(poss_resend),
        text_field(11, cl_ord_id),
        (530, mass_cancel_request_type.value),
        optional_field(55, symbol),
        optional_field(54, side),
        (60, format_timestamp(60, transact_time)),
        optional_field(58, text),
    )


def order_mass_cancel_report(
    *,
    order_id: str,
    mass_cancel_request_type: MassCancelRequestType,
    mass_cancel_response: MassCancelResponse,
    transact_time: datetime,
    cl_ord_id: str = "",
    mass_cancel_reject_reason: int | None = None,
    total_affected_orders: int | None = None,
    affected_orders: tuple[AffectedOrder, ...] = (),
    symbol: str | None = None,
    side: Side | None = None,
    text: str = "",
    poss_resend: bool = False,
) -> Message:
    """35=r. A rejection, and nothing else, has a `mass_cancel_reject_reason`."""
    rejected = mass_cancel_response is MassCancelResponse.REJECTED
    if rejected != (mass_cancel_reject_reason is not None):
        right = f"{'given' if rejected else 'left out'} for MassCancelResponse (531) {mass_cancel_response.value}"
        raise FieldError(532, mass_cancel_reject_reason, right)
    affected = [
        (
            text_field(41, order.orig_cl_ord_id),
            optional_field(535, order.affected_order_id),
            optional_field(536, order.affected_secondary_order_id),
        )
        for order in affected_orders
    ]
    return build(
        MsgType.ORDER_MASS_CANCEL_REPORT,
        _poss_resend(poss_resend),
        optional_field(11, cl_ord_id),
        text_field(37, order_id),
        (530, mass_cancel_request_type.value),
        (531, mass_cancel_response.value),
        integer_field(532, mass_cancel_reject_reason),
        integer_field(533, total_affected_orders),
        *(_AFFECTED_ORDERS.fields(affected) if affected else ()),
        optional_field(55, symbol),
        optional_field(54, side),
        (60, format_timestamp(60, transact_time)),
        optional_field(58, text),
    )


def execution_report(
    *,
    order_id: str,
    exec_id: str,
    exec_type: ExecType,
    ord_status: OrdStatus,
    symbol: str,
    side: Side,
    leaves_qty: Decimal,
    cum_qty: Decimal,
    avg_px: Decimal,
    transact_time: datetime,
    cl_ord_id: str = "",
    orig_cl_ord_id: str | None = None,
    ord_status_req_id: str | None = None,
    exec_ref_id: str | None = None,
    ord_rej_reason: int | None = None,
    exec_restatement_reason: int | None = None,
    order_qty: Decimal | None = None,
    ord_type: OrdType | None = None,
    price: Decimal | None = None,
    stop_px: Decimal | None = None,
    time_in_force: TimeInForce | None = None,
    last_qty: Decimal | None = None,
    last_px: Decimal | None = None,
    text: str = "",
    poss_resend: bool = False,
    mass_status_req_id: str | None = None,
    tot_num_reports: int | None = None,
    last_rpt_requested: bool | None = None,
    account: str | None = None,
    copy_msg_indicator: bool | None = None,
) -> Message:
    """35=8. A trade needs `last_qty` and `last_px`, a trade's cancel or correction also `exec_ref_id`."""
    if exec_type in _TRADES and (last_qty is None or last_px is None):
        raise FieldError(32, last_qty, f"given, with LastPx (31), in a report of ExecType {exec_type.value}")
    if exec_type in (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT) and not exec_ref_id:
        raise FieldError(19, exec_ref_id, f"the trade's ExecID in a report of ExecType {exec_type.value}")
    return build(
        MsgType.EXECUTION_REPORT,
        _poss_resend(poss_resend),
        text_field(37, order_id),
        optional_field(11, cl_ord_id),
        optional_field(41, orig_cl_ord_id),
        optional_field(790, ord_status_req_id),
        optional_field(584, mass_status_req_id),
        integer_field(911, tot_num_reports),
        boolean_field(912, last_rpt_requested),
        text_field(17, exec_id),
        optional_field(19, exec_ref_id),
        (150, exec_type.value),
        (39, ord_status.value),
        integer_field(103, ord_rej_reason),
        integer_field(378, exec_restatement_reason),
        optional_field(1, account),
        text_field(55, symbol),
        (54, side.value),
        number_field(38, order_qty),
        optional_field(40, ord_type),
        number_field(44, price),
        number_field(99, stop_px),
        optional_field(59, time_in_force),
        number_field(32, last_qty),
        number_field(31, last_px),
        number_field(151, leaves_qty),
        number_field(14, cum_qty),
        number_field(6, avg_px),
        (60, format_timestamp(60, transact_time)),
        optional_field(58, text),
        boolean_field(797, copy_msg_indicator),
    )


def order_cancel_reject(
    *,
    order_id: str,
    cl_ord_id: str,
    orig_cl_ord_id: str,
    ord_status: OrdStatus,
    cxl_rej_response_to: CxlRejResponseTo,
    transact_time: datetime,
    cxl_rej_reason: int | None = None,
    text: str = "",
    poss_resend: bool = False,
) -> Message:
    """35=9. Of an unknown order, `order_id` is "NONE" and `ord_status` rejected (volume 4, OrderCancelReject)."""
    return build(
        MsgType.ORDER_CANCEL_REJECT,
        _poss_resend(poss_resend),
        text_field(37, order_id),
        text_field(11, cl_ord_id),
        text_field(41, orig_cl_ord_id),
        (39, ord_status.value),
        (60, format_timestamp(60, transact_time)),
        (434, cxl_rej_response_to.value),
        integer_field(102, cxl_rej_reason),
        optional_field(58, text),
    )


def business_message_reject(
    *,
    ref_msg_type: str,
    business_reject_reason: int,
    ref_seq_num: int | None = None,
    business_reject_ref_id: str | None = None,
    text: str = "",
) -> Message:
    """35=j: for a message that the session can read and the application cannot; reason 3 is an unknown MsgType."""
    return build(
        MsgType.BUSINESS_MESSAGE_REJECT,
        integer_field(45, ref_seq_num),
        text_field(372, ref_msg_type),
        optional_field(379, business_reject_ref_id),
        integer_field(380, business_reject_reason),
        optional_field(58, text),
    )


def read_new_order_single(message: Message) -> NewOrderSingle:
    """35=D. TimeInForce is Day where it is not said."""
    expect_type(message, MsgType.NEW_ORDER_SINGLE)
    return NewOrderSingle(**_read_terms(message))


def read_order_cancel_request(message: Message) -> OrderCancelRequest:
    """35=F."""
    expect_type(message, MsgType.ORDER_CANCEL_REQUEST)
    return OrderCancelRequest(
        cl_ord_id=message.require(11),
        orig_cl_ord_id=message.require(41),
        order_id=message.get(37),
        symbol=message.require(55),
        side=read_enum(Side, 54, message.require(54)),
        order_qty=read_number(message, 38),
        transact_time=parse_timestamp(60, message.require(60)),
        text=message.get(58) or "",
        poss_resend=_read_poss_resend(message),
    )


def read_order_cancel_replace_request(message: Message) -> OrderCancelReplaceRequest:
    """35=G. TimeInForce is Day where it is not said."""
    expect_type(message, MsgType.ORDER_CANCEL_REPLACE_REQUEST)
    return OrderCancelReplaceRequest(
        orig_cl_ord_id=message.require(41), order_id=message.get(37), **_read_terms(message)
    )


def read_order_status_request(message: Message) -> OrderStatusRequest:
    """35=H."""
    expect_type(message, MsgType.ORDER_STATUS_REQUEST)
    return OrderStatusRequest(
        cl_ord_id=message.require(11),
        order_id=message.get(37),
        ord_status_req_id=message.get(790),
        symbol=message.require(55),
        side=read_enum(Side, 54, message.require(54)),
        poss_resend=_read_poss_resend(message),
    )


def read_order_mass_status_request(message: Message) -> OrderMassStatusRequest:
    """35=AF."""
    expect_type(message, MsgType.ORDER_MASS_STATUS_REQUEST)
    scope = read_enum(MassStatusReqType, 585, message.require(585))
    return OrderMassStatusRequest(
        mass_status_req_id=message.require(584),
        mass_status_req_type=scope,
        account=message.get(1),
        symbol=_read_scope_symbol(message, 585, scope),
        side=read_optional_enum(message, Side, 54),
        poss_resend=_read_poss_resend(message),
    )


def read_order_mass_cancel_request(message: Message) -> OrderMassCancelRequest:
    """35=q."""
    expect_type(message, MsgType.ORDER_MASS_CANCEL_REQUEST)
    scope = read_enum(MassCancelRequestType, 530, message.require(530))
    return OrderMassCancelRequest(
        cl_ord_id=message.require(11),
        mass_cancel_request_type=scope,
        symbol=_read_scope_symbol(message, 530, scope),
        side=read_optional_enum(message, Side, 54),
        transact_time=parse_timestamp(60, message.require(60)),
        text=message.get(58) or "",
        poss_resend=_read_poss_resend(message),
    )


def read_order_mass_cancel_report(message: Message) -> OrderMassCancelReport:
    """35=r. A rejection is one also without MassCancelRejectReason (532)."""
    expect_type(message, MsgType.ORDER_MASS_CANCEL_REPORT)
    return OrderMassCancelReport(
        cl_ord_id=message.get(11) or "",
        order_id=message.require(37),
        mass_cancel_request_type=read_enum(MassCancelRequestType, 530, message.require(530)),
        mass_cancel_response=read_enum(MassCancelResponse, 531, message.require(531)),
        mass_cancel_reject_reason=read_integer(message, 532),
        total_affected_orders=read_integer(message, 533),
        affected_orders=tuple(
            AffectedOrder(
                orig_cl_ord_id=entry.require(41),
                affected_order_id=entry.get(535),
                affected_secondary_order_id=entry.get(536),
            )
            for entry in _AFFECTED_ORDERS.read(message)
        ),
        symbol=message.get(55),
        side=read_optional_enum(message, Side, 54),
        transact_time=_read_transact_time(message),
        text=message.get(58) or "",
        poss_resend=_read_poss_resend(message),
    )


def read_execution_report(message: Message) -> ExecutionReport:
    """35=8, of FIX 4.4 and of 4.2; what 4.2 says otherwise is given as 4.4 says it.

    FIX 4.2 (its volume 1, ExecutionReport) has ExecTransType (20), required, and ExecType (150) tells how the order
    stands after it. It is such a report if its BeginString (8) is FIX.4.2, or if it has tag 20:

    20          150           `exec_type`
    ----------  ------------  ------------------------------------------
    0 new       1, 2 (fills)  TRADE; LastShares (32) is `last_qty`
    0 new       any other     the same as in 4.4
    1 cancel    any           TRADE_CANCEL, of the trade in ExecRefID (19)
    2 correct   any           TRADE_CORRECT, of the trade in ExecRefID
    3 status    any           ORDER_STATUS
    """
    expect_type(message, MsgType.EXECUTION_REPORT)
    exec_type = _read_exec_type(message)
    if exec_type in _TRADES:
        message.require(32)
        message.require(31)
    return ExecutionReport(
        order_id=message.require(37),
        cl_ord_id=message.get(11) or "",
        orig_cl_ord_id=message.get(41),
        ord_status_req_id=message.get(790),
        exec_id=message.require(17),
        exec_ref_id=message.get(19),
        exec_type=exec_type,
        ord_status=read_enum(OrdStatus, 39, message.require(39)),
        ord_rej_reason=read_integer(message, 103),
        exec_restatement_reason=read_integer(message, 378),
        symbol=message.require(55),
        side=read_enum(Side, 54, message.require(54)),
        order_qty=read_number(message, 38),
        ord_type=read_optional_enum(message, OrdType, 40),
        price=read_number(message, 44),
        stop_px=read_number(message, 99),
        time_in_force=read_optional_enum(message, TimeInForce, 59),
        last_qty=read_number(message, 32),
        last_px=read_number(message, 31),
        leaves_qty=parse_decimal(151, message.require(151)),
        cum_qty=parse_decimal(14, message.require(14)),
        avg_px=read_number(message, 6),
        transact_time=_read_transact_time(message),
        text=message.get(58) or "",
        poss_resend=_read_poss_resend(message),
        mass_status_req_id=message.get(584),
        tot_num_reports=read_integer(message, 911),
        last_rpt_requested=read_boolean(message, 912),
        account=message.get(1),
        copy_msg_indicator=read_boolean(message, 797),
    )


def read_order_cancel_reject(message: Message) -> OrderCancelReject:
    """35=9."""
    expect_type(message, MsgType.ORDER_CANCEL_REJECT)
    return OrderCancelReject(
        order_id=message.require(37),
        cl_ord_id=message.require(11),
        orig_cl_ord_id=message.require(41),
        ord_status=read_enum(OrdStatus, 39, message.require(39)),
        cxl_rej_response_to=read_enum(CxlRejResponseTo, 434, message.require(434)),
        cxl_rej_reason=read_integer(message, 102),
        transact_time=_read_transact_time(message),
        text=message.get(58) or "",
        poss_resend=_read_poss_resend(message),
    )


def read_business_message_reject(message: Message) -> BusinessMessageReject:
    """35=j."""
    expect_type(message, MsgType.BUSINESS_MESSAGE_REJECT)
    return BusinessMessageReject(
        ref_seq_num=read_integer(message, 45),
        ref_msg_type=message.require(372),
        business_reject_ref_id=message.get(379),
        business_reject_reason=parse_integer(380, message.require(380)),
        text=message.get(58) or "",
    )


def read_session_reject(message: Message) -> SessionReject:
    """35=3. Before FIX 4.2 it has only `ref_seq_num` and `text`."""
    expect_type(message, MsgType.REJECT)
    return SessionReject(
        ref_seq_num=parse_integer(45, message.require(45)),
        ref_tag_id=read_integer(message, 371),
        ref_msg_type=message.get(372),
        session_reject_reason=read_integer(message, 373),
        text=message.get(58) or "",
    )


_AFFECTED_ORDERS = Group(534, 41, 535, 536)

_FILLS_OF_4_2 = frozenset({"1", "2"})
"""ExecType (150): partial fill, and fill."""
_MEANING_IN_4_4 = {
    ExecTransType.CANCEL: ExecType.TRADE_CANCEL,
    ExecTransType.CORRECT: ExecType.TRADE_CORRECT,
    ExecTransType.STATUS: ExecType.ORDER_STATUS,
}

_SECURITY, _ALL_ORDERS = "1", "7"
"""Of MassStatusReqType (585) and MassCancelRequestType (530) alike."""
_INSTRUCTION = re.compile("[0-9A-Za-z]")

_TRADES = frozenset({ExecType.TRADE, ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT})
_LIMITED = frozenset({OrdType.LIMIT, OrdType.STOP_LIMIT})
_STOPPED = frozenset({OrdType.STOP, OrdType.STOP_LIMIT})


def _poss_resend(poss_resend: bool) -> Field | None:
    return (97, "Y") if poss_resend else None


def _type_and_prices(ord_type: OrdType, price: Decimal | None, stop_px: Decimal | None) -> list[Field | None]:
    if (ord_type in _LIMITED) != (price is not None):
        raise FieldError(44, price, f"{'given' if price is None else 'left out'} for OrdType {ord_type.value}")
    if (ord_type in _STOPPED) != (stop_px is not None):
        raise FieldError(99, stop_px, f"{'given' if stop_px is None else 'left out'} for OrdType {ord_type.value}")
    return [(40, ord_type.value), number_field(44, price), number_field(99, stop_px)]


def _time_in_force(
    time_in_force: TimeInForce, expire_date: date | None, expire_time: datetime | None
) -> list[Field | None]:
    """Volume 4: ExpireTime (126) and ExpireDate (432) are conditionally required, one of them, for GTD."""
    if time_in_force is TimeInForce.GTD:
        if (expire_date is None) == (expire_time is None):
            raise FieldError(126, expire_time, "given for TimeInForce 6, or ExpireDate (432) is, and not both")
    else:
        for tag, value in ((126, expire_time), (432, expire_date)):
            if value is not None:
                raise FieldError(tag, value.isoformat(), f"left out for TimeInForce {time_in_force.value}")
    return [
        (59, time_in_force.value),
        date_field(432, expire_date),
        None if expire_time is None else (126, format_timestamp(126, expire_time)),
    ]


def _check_scope(tag: int, scope: StrEnum, symbol: str | None) -> None:
    if scope not in (_SECURITY, _ALL_ORDERS):
        # Without the fields that name a product, a session, ..., the request would be about more than is meant.
        raise FieldError(tag, scope.value, "1 (SECURITY) or 7 (ALL_ORDERS): what others refer to is not built here")
    if (scope == _SECURITY) != bool(symbol):
        raise FieldError(55, symbol, f"{'left out' if symbol else 'given'} where tag {tag} is {scope.value}")


def _exec_inst(values: tuple[str, ...]) -> Field | None:
    for value in values:
        if not _INSTRUCTION.fullmatch(value):
            raise FieldError(18, value, "one letter or digit for each instruction")
    return (18, " ".join(values)) if values else None


def _read_terms(message: Message) -> dict[str, Any]:
    """The fields of `OrderTerms`."""
    ord_type, price, stop_px = _read_type_and_prices(message)
    time_in_force, expire_date, expire_time = _read_time_in_force(message)
    return {
        "cl_ord_id": message.require(11),
        "symbol": message.require(55),
        "side": read_enum(Side, 54, message.require(54)),
        "order_qty": read_quantity(message, 38),
        "ord_type": ord_type,
        "price": price,
        "stop_px": stop_px,
        "time_in_force": time_in_force,
        "transact_time": parse_timestamp(60, message.require(60)),
        "text": message.get(58) or "",
        "poss_resend": _read_poss_resend(message),
        "account": message.get(1),
        "exec_inst": _read_exec_inst(message),
        "min_qty": read_size(message, 110),
        "max_floor": read_size(message, 111),
        "expire_date": expire_date,
        "expire_time": expire_time,
    }


def _read_type_and_prices(message: Message) -> tuple[OrdType, Decimal | None, Decimal | None]:
    ord_type = read_enum(OrdType, 40, message.require(40))
    if ord_type in _LIMITED:
        message.require(44)
    if ord_type in _STOPPED:
        message.require(99)
    return ord_type, read_number(message, 44), read_number(message, 99)


def _read_time_in_force(message: Message) -> tuple[TimeInForce, date | None, datetime | None]:
    time_in_force = read_enum(TimeInForce, 59, message.get(59) or TimeInForce.DAY.value)
    expire_date, expire_time = read_date(message, 432), message.get(126)
    if time_in_force is TimeInForce.GTD and expire_date is None and expire_time is None:
        raise MissingTag(126, f"{message.msg_type} with TimeInForce 6 and no ExpireDate (432)")
    return time_in_force, expire_date, None if expire_time is None else parse_timestamp(126, expire_time)


def _read_exec_inst(message: Message) -> tuple[str, ...]:
    text = message.get(18)
    if text is None:
        return ()
    values = tuple(text.split(" "))
    if not all(map(_INSTRUCTION.fullmatch, values)):
        raise FieldError(18, text, "letters and digits, each an instruction, with a space between", reason=6)
    return values


def _read_scope_symbol(message: Message, tag: int, scope: StrEnum) -> str | None:
    symbol = message.get(55)
    if symbol is None and scope == _SECURITY:
        raise MissingTag(55, f"{message.msg_type} with tag {tag} being {scope.value}")
    return symbol


def _read_exec_type(message: Message) -> ExecType:
    exec_type, exec_trans_type = message.require(150), message.get(20)
    if exec_trans_type is None and message.get(8) != "FIX.4.2":
        return read_enum(ExecType, 150, exec_type)
    transaction = read_enum(ExecTransType, 20, message.require(20))
    meaning = ExecType.TRADE if exec_type in _FILLS_OF_4_2 else read_enum(ExecType, 150, exec_type)
    if transaction in (ExecTransType.CANCEL, ExecTransType.CORRECT):
        message.require(19)
    return _MEANING_IN_4_4.get(transaction, meaning)


def _read_poss_resend(message: Message) -> bool:
    return parse_boolean(97, message.get(97) or "N")


def _read_transact_time(message: Message) -> datetime:
    text = message.get(60)
    return parse_timestamp(60, text) if text is not None else parse_timestamp(52, message.require(52))
