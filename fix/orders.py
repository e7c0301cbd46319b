"""The order messages of FIX 4.4, typed: builders for who sends them, readers for who receives them.

D NewOrderSingle, F OrderCancelRequest, G OrderCancelReplaceRequest, H OrderStatusRequest, 8 ExecutionReport,
9 OrderCancelReject, j BusinessMessageReject. Names, tags and what is required are those of FIX 4.4 volume 4. A builder
or reader raises `FieldError` (or `MissingTag`, which is one) naming the tag, the value and what would be right.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import msgspec

from fix.message import Field, FieldError, Message
from fix.values import format_decimal, format_timestamp, parse_boolean, parse_decimal, parse_integer, parse_timestamp


class MsgType:
    """MsgType (35) of the messages here."""

    NEW_ORDER_SINGLE = "D"
    ORDER_CANCEL_REQUEST = "F"
    ORDER_CANCEL_REPLACE_REQUEST = "G"
    ORDER_STATUS_REQUEST = "H"
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


class NewOrderSingle(msgspec.Struct, frozen=True, kw_only=True):
    """35=D."""

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


class OrderCancelReplaceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """35=G. `order_qty` is the whole order's quantity as it shall be, with what is filled of it."""

    cl_ord_id: str
    orig_cl_ord_id: str
    order_id: str | None
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


class OrderStatusRequest(msgspec.Struct, frozen=True, kw_only=True):
    """35=H. `ord_status_req_id` (790) comes back in the report that answers."""

    cl_ord_id: str
    order_id: str | None
    ord_status_req_id: str | None
    symbol: str
    side: Side
    poss_resend: bool


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True):
    """35=8. None is a field that the report does not have; `cl_ord_id` and `text` are then empty.

    `transact_time` is TransactTime (60), or SendingTime (52) of a report without one.
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
) -> Message:
    """35=D, handled automatically (21=1)."""
    _check_prices(ord_type, price, stop_px)
    return _build(
        MsgType.NEW_ORDER_SINGLE,
        _poss_resend(poss_resend),
        _text(11, cl_ord_id),
        (21, "1"),
        _text(55, symbol),
        (54, side.value),
        (60, format_timestamp(60, transact_time)),
        _quantity(38, order_qty),
        (40, ord_type.value),
        _number(44, price),
        _number(99, stop_px),
        (59, time_in_force.value),
        _optional(58, text),
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
    return _build(
        MsgType.ORDER_CANCEL_REQUEST,
        _poss_resend(poss_resend),
        _text(41, orig_cl_ord_id),
        _optional(37, order_id),
        _text(11, cl_ord_id),
        _text(55, symbol),
        (54, side.value),
        (60, format_timestamp(60, transact_time)),
        None if order_qty is None else _quantity(38, order_qty),
        _optional(58, text),
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
) -> Message:
    """35=G, handled automatically (21=1)."""
    _check_prices(ord_type, price, stop_px)
    return _build(
        MsgType.ORDER_CANCEL_REPLACE_REQUEST,
        _poss_resend(poss_resend),
        _optional(37, order_id),
        _text(41, orig_cl_ord_id),
        _text(11, cl_ord_id),
        (21, "1"),
        _text(55, symbol),
        (54, side.value),
        (60, format_timestamp(60, transact_time)),
        _quantity(38, order_qty),
        (40, ord_type.value),
        _number(44, price),
        _number(99, stop_px),
        (59, time_in_force.value),
        _optional(58, text),
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
    return _build(
        MsgType.ORDER_STATUS_REQUEST,
        _poss_resend(poss_resend),
        _optional(37, order_id),
        _text(11, cl_ord_id),
        _optional(790, ord_status_req_id),
        _text(55, symbol),
        (54, side.value),
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
) -> Message:
    """35=8. A trade needs `last_qty` and `last_px`, a trade's cancel or correction also `exec_ref_id`."""
    if exec_type in _TRADES and (last_qty is None or last_px is None):
        raise FieldError(32, last_qty, f"given, with LastPx (31), in a report of ExecType {exec_type.value}")
    if exec_type in (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT) and not exec_ref_id:
        raise FieldError(19, exec_ref_id, f"the trade's ExecID in a report of ExecType {exec_type.value}")
    return _build(
        MsgType.EXECUTION_REPORT,
        _poss_resend(poss_resend),
        _text(37, order_id),
        _optional(11, cl_ord_id),
        _optional(41, orig_cl_ord_id),
        _optional(790, ord_status_req_id),
        _text(17, exec_id),
        _optional(19, exec_ref_id),
        (150, exec_type.value),
        (39, ord_status.value),
        _integer(103, ord_rej_reason),
        _integer(378, exec_restatement_reason),
        _text(55, symbol),
        (54, side.value),
        _number(38, order_qty),
        _optional(40, ord_type.value if ord_type else None),
        _number(44, price),
        _number(99, stop_px),
        _optional(59, time_in_force.value if time_in_force else None),
        _number(32, last_qty),
        _number(31, last_px),
        _number(151, leaves_qty),
        _number(14, cum_qty),
        _number(6, avg_px),
        (60, format_timestamp(60, transact_time)),
        _optional(58, text),
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
    return _build(
        MsgType.ORDER_CANCEL_REJECT,
        _poss_resend(poss_resend),
        _text(37, order_id),
        _text(11, cl_ord_id),
        _text(41, orig_cl_ord_id),
        (39, ord_status.value),
        (60, format_timestamp(60, transact_time)),
        (434, cxl_rej_response_to.value),
        _integer(102, cxl_rej_reason),
        _optional(58, text),
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
    return _build(
        MsgType.BUSINESS_MESSAGE_REJECT,
        _integer(45, ref_seq_num),
        _text(372, ref_msg_type),
        _optional(379, business_reject_ref_id),
        _integer(380, business_reject_reason),
        _optional(58, text),
    )


def read_new_order_single(message: Message) -> NewOrderSingle:
    """35=D. TimeInForce is Day where it is not said."""
    _expect(message, MsgType.NEW_ORDER_SINGLE)
    ord_type, price, stop_px = _read_type_and_prices(message)
    return NewOrderSingle(
        cl_ord_id=message.require(11),
        symbol=message.require(55),
        side=_read_enum(Side, 54, message.require(54)),
        order_qty=_read_quantity(message, 38),
        ord_type=ord_type,
        price=price,
        stop_px=stop_px,
        time_in_force=_read_enum(TimeInForce, 59, message.get(59) or TimeInForce.DAY.value),
        transact_time=parse_timestamp(60, message.require(60)),
        text=message.get(58) or "",
        poss_resend=_read_poss_resend(message),
    )


def read_order_cancel_request(message: Message) -> OrderCancelRequest:
    """35=F."""
    _expect(message, MsgType.ORDER_CANCEL_REQUEST)
    return OrderCancelRequest(
        cl_ord_id=message.require(11),
        orig_cl_ord_id=message.require(41),
        order_id=message.get(37),
        symbol=message.require(55),
        side=_read_enum(Side, 54, message.require(54)),
        order_qty=_read_number(message, 38),
        transact_time=parse_timestamp(60, message.require(60)),
        text=message.get(58) or "",
        poss_resend=_read_poss_resend(message),
    )


def read_order_cancel_replace_request(message: Message) -> OrderCancelReplaceRequest:
    """35=G. TimeInForce is Day where it is not said."""
    _expect(message, MsgType.ORDER_CANCEL_REPLACE_REQUEST)
    ord_type, price, stop_px = _read_type_and_prices(message)
    return OrderCancelReplaceRequest(
        cl_ord_id=message.require(11),
        orig_cl_ord_id=message.require(41),
        order_id=message.get(37),
        symbol=message.require(55),
        side=_read_enum(Side, 54, message.require(54)),
        order_qty=_read_quantity(message, 38),
        ord_type=ord_type,
        price=price,
        stop_px=stop_px,
        time_in_force=_read_enum(TimeInForce, 59, message.get(59) or TimeInForce.DAY.value),
        transact_time=parse_timestamp(60, message.require(60)),
        text=message.get(58) or "",
        poss_resend=_read_poss_resend(message),
    )


def read_order_status_request(message: Message) -> OrderStatusRequest:
    """35=H."""
    _expect(message, MsgType.ORDER_STATUS_REQUEST)
    return OrderStatusRequest(
        cl_ord_id=message.require(11),
        order_id=message.get(37),
        ord_status_req_id=message.get(790),
        symbol=message.require(55),
        side=_read_enum(Side, 54, message.require(54)),
        poss_resend=_read_poss_resend(message),
    )


def read_execution_report(message: Message) -> ExecutionReport:
    """35=8."""
    _expect(message, MsgType.EXECUTION_REPORT)
    exec_type = _read_enum(ExecType, 150, message.require(150))
    ord_type = message.get(40)
    time_in_force = message.get(59)
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
        ord_status=_read_enum(OrdStatus, 39, message.require(39)),
        ord_rej_reason=_read_integer(message, 103),
        exec_restatement_reason=_read_integer(message, 378),
        symbol=message.require(55),
        side=_read_enum(Side, 54, message.require(54)),
        order_qty=_read_number(message, 38),
        ord_type=None if ord_type is None else _read_enum(OrdType, 40, ord_type),
        price=_read_number(message, 44),
        stop_px=_read_number(message, 99),
        time_in_force=None if time_in_force is None else _read_enum(TimeInForce, 59, time_in_force),
        last_qty=_read_number(message, 32),
        last_px=_read_number(message, 31),
        leaves_qty=parse_decimal(151, message.require(151)),
        cum_qty=parse_decimal(14, message.require(14)),
        avg_px=_read_number(message, 6),
        transact_time=_read_transact_time(message),
        text=message.get(58) or "",
        poss_resend=_read_poss_resend(message),
    )


def read_order_cancel_reject(message: Message) -> OrderCancelReject:
    """35=9."""
    _expect(message, MsgType.ORDER_CANCEL_REJECT)
    return OrderCancelReject(
        order_id=message.require(37),
        cl_ord_id=message.require(11),
        orig_cl_ord_id=message.require(41),
        ord_status=_read_enum(OrdStatus, 39, message.require(39)),
        cxl_rej_response_to=_read_enum(CxlRejResponseTo, 434, message.require(434)),
        cxl_rej_reason=_read_integer(message, 102),
        transact_time=_read_transact_time(message),
        text=message.get(58) or "",
        poss_resend=_read_poss_resend(message),
    )


def read_business_message_reject(message: Message) -> BusinessMessageReject:
    """35=j."""
    _expect(message, MsgType.BUSINESS_MESSAGE_REJECT)
    return BusinessMessageReject(
        ref_seq_num=_read_integer(message, 45),
        ref_msg_type=message.require(372),
        business_reject_ref_id=message.get(379),
        business_reject_reason=parse_integer(380, message.require(380)),
        text=message.get(58) or "",
    )


_TRADES = frozenset({ExecType.TRADE, ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT})
_LIMITED = frozenset({OrdType.LIMIT, OrdType.STOP_LIMIT})
_STOPPED = frozenset({OrdType.STOP, OrdType.STOP_LIMIT})

_E = TypeVar("_E", bound=StrEnum)


def _build(msg_type: str, *fields: Field | None) -> Message:
    return Message(msg_type, _present(fields))


def _present(fields: Iterable[Field | None]) -> list[Field]:
    return [field for field in fields if field is not None]


def _poss_resend(poss_resend: bool) -> Field | None:
    return (97, "Y") if poss_resend else None


def _text(tag: int, value: str) -> Field:
    if not value:
        raise FieldError(tag, value, "a value")
    return (tag, value)


def _optional(tag: int, value: str | None) -> Field | None:
    return (tag, value) if value else None


def _integer(tag: int, value: int | None) -> Field | None:
    return None if value is None else (tag, str(value))


def _number(tag: int, value: Decimal | None) -> Field | None:
    return None if value is None else (tag, format_decimal(tag, value))


def _quantity(tag: int, value: Decimal) -> Field:
    text = format_decimal(tag, value)
    if value <= 0:
        raise FieldError(tag, text, "above 0")
    return (tag, text)


def _check_prices(ord_type: OrdType, price: Decimal | None, stop_px: Decimal | None) -> None:
    if (ord_type in _LIMITED) != (price is not None):
        raise FieldError(44, price, f"{'given' if price is None else 'left out'} for OrdType {ord_type.value}")
    if (ord_type in _STOPPED) != (stop_px is not None):
        raise FieldError(99, stop_px, f"{'given' if stop_px is None else 'left out'} for OrdType {ord_type.value}")


def _expect(message: Message, msg_type: str) -> None:
    if message.msg_type != msg_type:
        raise FieldError(35, message.msg_type, f"{msg_type} here")


def _read_enum(values: type[_E], tag: int, text: str) -> _E:
    try:
        return values(text)
    except ValueError:
        right = ", ".join(f"{value.value} ({value.name})" for value in values)
        raise FieldError(tag, text, f"one of {right}") from None


def _read_type_and_prices(message: Message) -> tuple[OrdType, Decimal | None, Decimal | None]:
    ord_type = _read_enum(OrdType, 40, message.require(40))
    if ord_type in _LIMITED:
        message.require(44)
    if ord_type in _STOPPED:
        message.require(99)
    return ord_type, _read_number(message, 44), _read_number(message, 99)


def _read_number(message: Message, tag: int) -> Decimal | None:
    text = message.get(tag)
    return None if text is None else parse_decimal(tag, text)


def _read_integer(message: Message, tag: int) -> int | None:
    text = message.get(tag)
    return None if text is None else parse_integer(tag, text)


def _read_quantity(message: Message, tag: int) -> Decimal:
    text = message.require(tag)
    quantity = parse_decimal(tag, text)
    if quantity <= 0:
        raise FieldError(tag, text, "above 0")
    return quantity


def _read_poss_resend(message: Message) -> bool:
    return parse_boolean(97, message.get(97) or "N")


def _read_transact_time(message: Message) -> datetime:
    text = message.get(60)
    return parse_timestamp(60, text) if text is not None else parse_timestamp(52, message.require(52))
