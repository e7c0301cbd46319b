"""FIX messages become requests of the exchange, its reports become FIX messages.

What is read raises `FieldError` naming the field, also for what FIX knows and this venue does not have.
"""

from enum import StrEnum
from typing import TypeVar

from fix import orders as fix_orders
from fix.message import FieldError, Message
from venue.orders import OrderType, Side, TimeInForce
from venue.records import AskMassStatus, AskStatus, CancelOrder, ExecutionReport, NewOrder, ReplaceOrder, Report

_SCOPES = (fix_orders.MassStatusReqType.SECURITY, fix_orders.MassStatusReqType.ALL_ORDERS)
_NO_SYMBOL = "[N/A]"
"""Symbol (55) is required of a report, also of one about no order (FIX 4.4, Symbol)."""


# ---- from FIX


_E = TypeVar("_E", bound=StrEnum)


def _narrow(values: type[_E], tag: int, value: StrEnum) -> _E:
    """FIX knows more sides, types and times in force than this venue."""
    try:
        return values(value.value)
    except ValueError:
        right = ", ".join(f"{value.value} ({value.name})" for value in values)
        raise FieldError(tag, value.value, f"one of {right} at this venue") from None


def read_new_order(message: Message) -> NewOrder:
    request = fix_orders.read_new_order_single(message)
    return NewOrder(
        cl_ord_id=request.cl_ord_id,
        symbol=request.symbol,
        side=_narrow(Side, 54, request.side),
        quantity=request.order_qty,
        order_type=_narrow(OrderType, 40, request.ord_type),
        limit_price=request.price,
        stop_price=request.stop_px,
        time_in_force=_narrow(TimeInForce, 59, request.time_in_force),
        poss_resend=request.poss_resend,
    )


def read_cancel(message: Message) -> CancelOrder:
    request = fix_orders.read_order_cancel_request(message)
    return CancelOrder(
        cl_ord_id=request.cl_ord_id,
        orig_cl_ord_id=request.orig_cl_ord_id,
        symbol=request.symbol,
        side=_narrow(Side, 54, request.side),
        poss_resend=request.poss_resend,
    )


def read_replace(message: Message) -> ReplaceOrder:
    request = fix_orders.read_order_cancel_replace_request(message)
    return ReplaceOrder(
        cl_ord_id=request.cl_ord_id,
        orig_cl_ord_id=request.orig_cl_ord_id,
        symbol=request.symbol,
        side=_narrow(Side, 54, request.side),
        quantity=request.order_qty,
        order_type=_narrow(OrderType, 40, request.ord_type),
        limit_price=request.price,
        stop_price=request.stop_px,
        poss_resend=request.poss_resend,
    )


def read_status_request(message: Message) -> AskStatus:
    request = fix_orders.read_order_status_request(message)
    return AskStatus(
        cl_ord_id=request.cl_ord_id,
        ord_status_req_id=request.ord_status_req_id,
        symbol=request.symbol,
        side=_narrow(Side, 54, request.side),
    )


def read_mass_status_request(message: Message) -> AskMassStatus:
    """Of all orders or of one security; the venue keeps no accounts."""
    request = fix_orders.read_order_mass_status_request(message)
    scope = request.mass_status_req_type
    if scope not in _SCOPES:
        raise FieldError(585, scope.value, "1 (SECURITY) or 7 (ALL_ORDERS) at this venue")
    if request.account is not None:
        raise FieldError(1, request.account, "left out: this venue keeps no accounts")
    return AskMassStatus(
        mass_status_req_id=request.mass_status_req_id,
        symbol=request.symbol,
        side=None if request.side is None else _narrow(Side, 54, request.side),
    )


# ---- to FIX


def to_message(report: Report, *, is_copy: bool = False) -> Message:
    if isinstance(report, ExecutionReport):
        return fix_orders.execution_report(
            order_id=report.order_id,
            cl_ord_id=report.cl_ord_id or "",
            orig_cl_ord_id=report.orig_cl_ord_id,
            ord_status_req_id=report.ord_status_req_id,
            exec_id=report.exec_id,
            exec_ref_id=report.exec_ref_id,
            exec_type=fix_orders.ExecType(report.exec_type.value),
            ord_status=fix_orders.OrdStatus(report.ord_status.value),
            ord_rej_reason=report.ord_rej_reason,
            exec_restatement_reason=report.exec_restatement_reason,
            symbol=report.symbol or _NO_SYMBOL,
            side=fix_orders.Side.UNDISCLOSED if report.side is None else fix_orders.Side(report.side.value),
            order_qty=report.order_qty,
            ord_type=None if report.order_type is None else fix_orders.OrdType(report.order_type.value),
            price=report.price,
            stop_px=report.stop_px,
            time_in_force=None if report.time_in_force is None else fix_orders.TimeInForce(report.time_in_force.value),
            last_qty=report.last_qty,
            last_px=report.last_px,
            leaves_qty=report.leaves_qty,
            cum_qty=report.cum_qty,
            avg_px=report.avg_px,
            transact_time=report.transact_time,
            text=report.text or "",
            mass_status_req_id=report.mass_status_req_id,
            tot_num_reports=report.tot_num_reports,
            last_rpt_requested=report.last_rpt_requested,
            copy_msg_indicator=is_copy or None,
        )
    return fix_orders.order_cancel_reject(
        order_id=report.order_id,
        cl_ord_id=report.cl_ord_id,
        orig_cl_ord_id=report.orig_cl_ord_id,
        ord_status=fix_orders.OrdStatus(report.ord_status.value),
        cxl_rej_response_to=fix_orders.CxlRejResponseTo(report.cxl_rej_response_to.value),
        cxl_rej_reason=report.cxl_rej_reason,
        transact_time=report.transact_time,
        text=report.text,
    )
