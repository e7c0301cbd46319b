"""Between the domain's words and FIX: commands to messages, the venue's reports to events. Pure."""

from datetime import datetime
from decimal import Decimal
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
_ALL_OR_NONE = "G"  # ExecInst (18)
_UNKNOWN_ORDER = 5  # OrdRejReason (103)
_DUPLICATE_ORDER = 6  # OrdRejReason (103)
_DUPLICATE_CL_ORD_ID = 6  # CxlRejReason (102)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One report of the venue.

    `kind` is what it is to us: `event` tells something new; `known` and `unknown` answer a question about an order
    (150=I); `duplicate` says that this ClOrdID was used before, so that what had been sent under it did arrive. Of a
    known order `event` is what its status amounts to, for a journal that has nothing of it. Symbol and side are None
    where the message has none (35=9).
    """

    kind: Literal["event", "known", "unknown", "duplicate"]
    cl_ord_id: str
    event: VenueEvent | None = None
    symbol: str | None = None
    side: Side | None = None


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


def status_request(command: VenueCommand) -> Message:
    """OrderStatusRequest (35=H) about an order that may or may not have arrived."""
    return fix.order_status_request(
        cl_ord_id=command.cl_ord_id, symbol=command.symbol, side=_SIDES[command.side], poss_resend=False
    )


def from_message(message: Message) -> Report | None:
    """What a report says; None for a message that is none. Raises `fix.message.FieldError` where it is malformed."""
    if message.msg_type == fix.MsgType.EXECUTION_REPORT:
        return _from_execution(fix.read_execution_report(message))
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


def _from_execution(report: fix.ExecutionReport) -> Report:
    # A report that carries no ClOrdID (11) is about an order that came to the venue another way.
    report = msgspec.structs.replace(report, cl_ord_id=report.cl_ord_id or report.order_id)
    kind: Literal["event", "known", "unknown", "duplicate"] = "event"
    if report.exec_type is fix.ExecType.ORDER_STATUS:
        unknown = report.ord_status is fix.OrdStatus.REJECTED and report.ord_rej_reason == _UNKNOWN_ORDER
        kind = "unknown" if unknown else "known"
    elif report.exec_type is fix.ExecType.REJECTED and report.ord_rej_reason == _DUPLICATE_ORDER:
        kind = "duplicate"
    event = _status_event(report) if kind == "known" else _event(report) if kind == "event" else None
    side = Side.BUY if report.side in _BUYS else Side.SELL
    return Report(kind=kind, cl_ord_id=_ours(report), event=event, symbol=report.symbol, side=side)


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
