"""Between the domain's words and FIX: commands to messages, the venue's reports to events. Pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

import msgspec

from fix import orders as fix
from fix.message import Message, MissingTag
from trading.commands import CancelOrder, ReplaceOrder, SubmitOrder, VenueCommand
from trading.events import (
    CancelRejected,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderReported,
    OrderRestated,
    TradeBusted,
    TradeCorrected,
    VenueEvent,
)
from trading.identity import order_id_of
from trading.orders import OrderType, Side, TimeInForce

_SIDES = {Side.BUY: fix.Side.BUY, Side.SELL: fix.Side.SELL}
_BUYS = frozenset({fix.Side.BUY, fix.Side.BUY_MINUS})
_TYPES = {
    OrderType.MARKET: fix.OrdType.MARKET,
    OrderType.LIMIT: fix.OrdType.LIMIT,
    OrderType.STOP: fix.OrdType.STOP,
}
_TIMES_IN_FORCE = {
    TimeInForce.DAY: fix.TimeInForce.DAY,
    TimeInForce.GTC: fix.TimeInForce.GTC,
    TimeInForce.IOC: fix.TimeInForce.IOC,
    TimeInForce.FOK: fix.TimeInForce.FOK,
}
_TOLD = frozenset(
    {
        fix.OrdStatus.PENDING_NEW,
        fix.OrdStatus.ACCEPTED_FOR_BIDDING,
        fix.OrdStatus.STOPPED,
        fix.OrdStatus.SUSPENDED,
        fix.OrdStatus.DONE_FOR_DAY,
        fix.OrdStatus.CALCULATED,
    }
)
"""How an open order may stand that neither has just begun to work nor is over."""
_PENDING = frozenset({fix.OrdStatus.PENDING_CANCEL, fix.OrdStatus.PENDING_REPLACE})
_ABOUT_REQUESTS = frozenset({fix.ExecType.CANCELED, fix.ExecType.PENDING_CANCEL, fix.ExecType.PENDING_REPLACE})
_ALL_OR_NONE = "G"  # ExecInst (18)
_UNKNOWN_ORDER = 5  # OrdRejReason (103)
_DUPLICATE_ORDER = 6  # OrdRejReason (103)
_OF_THE_QUESTION = frozenset({None, 0, 99})
"""OrdRejReasons (103) that may be about a question as well as about its order: none, the venue's choice, other."""
_DUPLICATE_CL_ORD_ID = 6  # CxlRejReason (102)


_NO_NAMES: Mapping[str, str] = MappingProxyType({})
_ENDED = frozenset({fix.OrdStatus.FILLED, fix.OrdStatus.CANCELED, fix.OrdStatus.REJECTED, fix.OrdStatus.EXPIRED})


ReportKind = Literal["event", "known", "unknown", "unclear", "duplicate"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an order stands at the venue, asked for by us (150=I).

    `cl_ord_id` (11) and `orig_cl_ord_id` (41) are as the venue has them. `request` is the question's MassStatusReqID
    (584), empty where one order was asked about; `total` (911) is how many reports answer it, `is_last` (912) whether
    this is the last of them.
    """

    order_id: str
    cl_ord_id: str
    orig_cl_ord_id: str | None = None
    symbol: str
    side: Side
    is_open: bool
    status: str
    """OrdStatus (39) as its FIX character."""
    quantity: Decimal
    cum_quantity: Decimal
    leaves_quantity: Decimal
    average_price: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    text: str = ""
    request: str = ""
    total: int | None = None
    is_last: bool = False
    at: datetime


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One report of the venue.

    `kind` is what it is to us: `event` tells something new; `known` and `unknown` answer a question about an order
    (150=I), `unclear` may refuse either the question or the order; `duplicate` says that this ClOrdID was used before,
    so that what had been sent under it did arrive. Of a known order `event` is what its status amounts to, for a
    journal that has nothing of it, and `standing` is all that it says. Symbol and side are None where the message has
    none (35=9).
    """

    kind: ReportKind
    cl_ord_id: str
    event: VenueEvent | None = None
    symbol: str | None = None
    side: Side | None = None
    order_id: str = ""
    """OrderID (37): the venue's own name of the order."""
    name: str = ""
    """The ClOrdID of ours that the order goes by after this, where the report says so."""
    standing: Standing | None = None


def to_message(command: VenueCommand, at: datetime, *, poss_resend: bool = False) -> Message:
    """The message that carries out a command. Raises `fix.message.FieldError` for one that FIX does not allow."""
    match command:
        case SubmitOrder():
            return fix.new_order_single(
                cl_ord_id=command.cl_ord_id,
                symbol=command.symbol,
                side=_SIDES[command.side],
                order_qty=command.quantity,
                ord_type=_TYPES[command.order_type],
                price=command.limit_price,
                stop_px=command.stop_price,
                time_in_force=_TIMES_IN_FORCE[command.time_in_force],
                exec_inst=(_ALL_OR_NONE,) if command.all_or_none else (),
                transact_time=at,
                poss_resend=poss_resend,
            )
        case ReplaceOrder():
            return fix.order_cancel_replace_request(
                cl_ord_id=command.cl_ord_id,
                orig_cl_ord_id=command.orig_cl_ord_id,
                symbol=command.symbol,
                side=_SIDES[command.side],
                order_qty=command.quantity,
                ord_type=_TYPES[command.order_type],
                price=command.limit_price,
                stop_px=command.stop_price,
                time_in_force=_TIMES_IN_FORCE[command.time_in_force],
                transact_time=at,
                poss_resend=poss_resend,
            )
        case CancelOrder():
            return fix.order_cancel_request(
                cl_ord_id=command.cl_ord_id,
                orig_cl_ord_id=command.orig_cl_ord_id,
                symbol=command.symbol,
                side=_SIDES[command.side],
                order_qty=command.quantity,
                transact_time=at,
                poss_resend=poss_resend,
            )


def status_request(cl_ord_id: str, symbol: str, side: Side) -> Message:
    """OrderStatusRequest (35=H): whether the venue has an order, and how it stands."""
    return fix.order_status_request(cl_ord_id=cl_ord_id, symbol=symbol, side=_SIDES[side], poss_resend=False)


def mass_status_request(request: str) -> Message:
    """OrderMassStatusRequest (35=AF) about all open orders."""
    return fix.order_mass_status_request(
        mass_status_req_id=request, mass_status_req_type=fix.MassStatusReqType.ALL_ORDERS
    )


def from_message(message: Message, names: Mapping[str, str] = _NO_NAMES) -> Report | None:
    """What a report says; None for a message that is none. Raises `fix.message.FieldError` where it is malformed.

    `names` has the ClOrdIDs of ours by OrderID (37): for reports that name none of ours, as of what nobody asked for.
    """
    if message.msg_type == fix.MsgType.EXECUTION_REPORT:
        return _from_execution(fix.read_execution_report(message), names)
    if message.msg_type == fix.MsgType.ORDER_CANCEL_REJECT:
        return _from_cancel_reject(fix.read_order_cancel_reject(message))
    return None


def named_in(event: VenueEvent) -> tuple[str, ...]:
    """The ClOrdIDs of ours that a report says the venue has got: what it answers, and the order that this was about."""
    if isinstance(event, OrderCanceled | OrderReplaced) and event.orig_cl_ord_id:
        return event.cl_ord_id, event.orig_cl_ord_id
    return (event.cl_ord_id,)


def refused(command: VenueCommand, reason: str, at: datetime) -> VenueEvent:
    """The event where the venue's session or application layer has refused the command's message (35=3, 35=j)."""
    if isinstance(command, SubmitOrder):
        return OrderRejected(cl_ord_id=command.cl_ord_id, reason=reason, at=at)
    return CancelRejected(
        cl_ord_id=command.cl_ord_id,
        orig_cl_ord_id=command.orig_cl_ord_id,
        response_to="cancel" if isinstance(command, CancelOrder) else "replace",
        reason=reason,
        at=at,
    )


def _from_execution(report: fix.ExecutionReport, names: Mapping[str, str]) -> Report:
    report = _named(report, names)
    name = _name(report)
    # One that carries no ClOrdID (11) is about an order that came to the venue another way.
    report = msgspec.structs.replace(report, cl_ord_id=report.cl_ord_id or report.order_id)
    kind: ReportKind = "event"
    if report.exec_type is fix.ExecType.ORDER_STATUS:
        kind = _answer(report)
    elif report.exec_type is fix.ExecType.REJECTED and report.ord_rej_reason == _DUPLICATE_ORDER:
        kind = "duplicate"
    event = _status_event(report) if kind == "known" else _event(report) if kind == "event" else None
    side = Side.BUY if report.side in _BUYS else Side.SELL
    return Report(
        kind=kind,
        cl_ord_id=_ours(report),
        event=event,
        symbol=report.symbol,
        side=side,
        order_id=report.order_id,
        name=name if kind in ("event", "known") else "",
        standing=_standing(report, side) if report.exec_type is fix.ExecType.ORDER_STATUS else None,
    )


def _answer(report: fix.ExecutionReport) -> Literal["known", "unknown", "unclear"]:
    if report.ord_status is not fix.OrdStatus.REJECTED:
        return "known"
    if report.ord_rej_reason == _UNKNOWN_ORDER:
        return "unknown"
    return "unclear" if report.ord_rej_reason in _OF_THE_QUESTION else "known"


def _named(report: fix.ExecutionReport, names: Mapping[str, str]) -> fix.ExecutionReport:
    """The report with a ClOrdID of ours, where it has none and its OrderID (37) is known."""
    ours = names.get(report.order_id)
    if ours is None or order_id_of(_ours(report)) is not None:
        return report
    if report.exec_type is fix.ExecType.REPLACED and report.cl_ord_id:
        return msgspec.structs.replace(report, orig_cl_ord_id=ours)
    return msgspec.structs.replace(report, cl_ord_id=ours, orig_cl_ord_id=None)


def _name(report: fix.ExecutionReport) -> str:
    """The ClOrdID of ours that the order goes by; a request's own is none as long as it is not carried out."""
    orig = report.orig_cl_ord_id
    is_request = report.exec_type in _ABOUT_REQUESTS or report.ord_status in _PENDING
    name = orig if orig and is_request and order_id_of(orig) else _ours(report)
    return name if order_id_of(name) else ""


def _standing(report: fix.ExecutionReport, side: Side) -> Standing:
    return Standing(
        order_id=report.order_id,
        cl_ord_id=report.cl_ord_id,
        orig_cl_ord_id=report.orig_cl_ord_id,
        symbol=report.symbol,
        side=side,
        is_open=report.ord_status not in _ENDED,
        status=report.ord_status.value,
        quantity=_order_quantity(report),
        cum_quantity=report.cum_qty,
        leaves_quantity=report.leaves_qty,
        average_price=report.avg_px,
        limit_price=report.price,
        stop_price=report.stop_px,
        text=report.text,
        request=report.mass_status_req_id or "",
        total=report.tot_num_reports,
        is_last=bool(report.last_rpt_requested),
        at=report.transact_time,
    )


def _ours(report: fix.ExecutionReport) -> str:
    """The ClOrdID that leads to the order: of one changed unasked, ours may be in OrigClOrdID (41) only."""
    orig = report.orig_cl_ord_id
    if orig and order_id_of(report.cl_ord_id) is None and order_id_of(orig) is not None:
        return orig
    return report.cl_ord_id


def _from_cancel_reject(reject: fix.OrderCancelReject) -> Report:
    if reject.cxl_rej_reason == _DUPLICATE_CL_ORD_ID:
        return Report(kind="duplicate", cl_ord_id=reject.cl_ord_id)
    event = CancelRejected(
        cl_ord_id=reject.cl_ord_id,
        orig_cl_ord_id=reject.orig_cl_ord_id,
        response_to="cancel" if reject.cxl_rej_response_to is fix.CxlRejResponseTo.CANCEL else "replace",
        reason_code=reject.cxl_rej_reason,
        reason=reject.text,
        order_status=reject.ord_status.value,
        at=reject.transact_time,
    )
    return Report(kind="event", cl_ord_id=reject.cl_ord_id, event=event)


def _event(report: fix.ExecutionReport) -> VenueEvent:
    cl_ord_id, at = report.cl_ord_id, report.transact_time
    match report.exec_type:
        case fix.ExecType.NEW if report.ord_status is not fix.OrdStatus.ACCEPTED_FOR_BIDDING:
            return OrderAccepted(cl_ord_id=cl_ord_id, at=at)
        case fix.ExecType.TRADE:
            quantity, price = _trade(report)
            return OrderFilled(
                cl_ord_id=cl_ord_id,
                exec_id=report.exec_id,
                quantity=quantity,
                price=price,
                cum_quantity=report.cum_qty,
                leaves_quantity=report.leaves_qty,
                at=at,
            )
        case fix.ExecType.TRADE_CANCEL | fix.ExecType.TRADE_CORRECT:
            quantity, price = _trade(report)
            kind = TradeBusted if report.exec_type is fix.ExecType.TRADE_CANCEL else TradeCorrected
            return kind(
                cl_ord_id=cl_ord_id,
                exec_id=report.exec_id,
                ref_exec_id=report.exec_ref_id or "",
                quantity=quantity,
                price=price,
                leaves_quantity=report.leaves_qty,
                at=at,
            )
        case fix.ExecType.CANCELED:
            return _canceled(report)
        case fix.ExecType.REPLACED:
            return OrderReplaced(
                cl_ord_id=cl_ord_id,
                orig_cl_ord_id=report.orig_cl_ord_id or "",
                quantity=_order_quantity(report),
                cum_quantity=report.cum_qty,
                limit_price=report.price,
                stop_price=report.stop_px,
                at=at,
            )
        case fix.ExecType.REJECTED:
            return OrderRejected(cl_ord_id=cl_ord_id, reason=report.text, at=at)
        case fix.ExecType.EXPIRED:
            return OrderExpired(cl_ord_id=cl_ord_id, cum_quantity=report.cum_qty, at=at)
        case fix.ExecType.RESTATED:
            return OrderRestated(
                cl_ord_id=cl_ord_id,
                quantity=_order_quantity(report),
                cum_quantity=report.cum_qty,
                leaves_quantity=report.leaves_qty,
                limit_price=report.price,
                stop_price=report.stop_px,
                reason_code=report.exec_restatement_reason,
                at=at,
            )
        case _:
            return _reported(report)


def _status_event(report: fix.ExecutionReport) -> VenueEvent:
    match report.ord_status:
        case fix.OrdStatus.REJECTED:
            return OrderRejected(cl_ord_id=report.cl_ord_id, reason=report.text, at=report.transact_time)
        case fix.OrdStatus.CANCELED:
            return _canceled(report)
        case fix.OrdStatus.EXPIRED:
            return OrderExpired(cl_ord_id=report.cl_ord_id, cum_quantity=report.cum_qty, at=report.transact_time)
        case status if status in _TOLD:
            return _reported(report)
        case _:
            return OrderAccepted(cl_ord_id=report.cl_ord_id, at=report.transact_time)


def _canceled(report: fix.ExecutionReport) -> OrderCanceled:
    return OrderCanceled(
        cl_ord_id=report.cl_ord_id,
        orig_cl_ord_id=report.orig_cl_ord_id,
        cum_quantity=report.cum_qty,
        reason=report.text,
        at=report.transact_time,
    )


def _reported(report: fix.ExecutionReport) -> OrderReported:
    return OrderReported(
        cl_ord_id=report.cl_ord_id,
        orig_cl_ord_id=report.orig_cl_ord_id,
        exec_type=report.exec_type.value,
        order_status=report.ord_status.value,
        text=report.text,
        at=report.transact_time,
    )


def _trade(report: fix.ExecutionReport) -> tuple[Decimal, Decimal]:
    if report.last_qty is None or report.last_px is None:
        raise MissingTag(32 if report.last_qty is None else 31, fix.MsgType.EXECUTION_REPORT)
    return report.last_qty, report.last_px


def _order_quantity(report: fix.ExecutionReport) -> Decimal:
    # OrderQty (38) is not required; for an order that works it is what is filled and what is open.
    return report.order_qty if report.order_qty is not None else report.cum_qty + report.leaves_qty
