"""The exchange's members: a FIX session each, for as long as the venue lives.

FIX messages become requests of the exchange, its reports become FIX messages. What is reported to a member who is not
logged on waits, and leaves in order after the next Logon; what was sent and got lost is resent by the session.
"""

import hmac
import logging
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from fix import orders as fix_orders
from fix.config import SessionConfig
from fix.events import Disconnect, LoggedOn, LoggedOut, MessageReceived, Rejected, SessionEvent
from fix.message import FieldError, Message, MissingTag
from fix.orders import MsgType
from fix.session import NotLoggedOn, Session
from fix.transport import Connection
from venue.clock import MarketClock
from venue.exchange import Exchange
from venue.faults import Faults
from venue.orders import OrderType, Side, TimeInForce
from venue.records import AskStatus, CancelOrder, ExecutionReport, NewOrder, ReplaceOrder, Report

_log = logging.getLogger("venue.acceptor")

_UNSUPPORTED_MESSAGE = 3
_FIELD_MISSING = 5
_OTHER = 0
"""BusinessRejectReason (380)."""


@dataclass(eq=False)
class Member:
    """A session, the connection it is logged on by, and what is still to be sent to it."""

    session: Session
    connection: Connection | None = None
    waiting: deque[Message] = field(default_factory=deque)
    has_logged_on: bool = False

    @property
    def name(self) -> str:
        return self.session.config.session_id

    def send(self, message: Message) -> None:
        self.waiting.append(message)
        self.flush()

    def flush(self) -> None:
        while self.waiting and self.connection is not None:
            try:
                self.connection.send(self.waiting[0])
            except NotLoggedOn:
                return  # the session is ending: its LoggedOut is on the way, and what waits goes with the next Logon
            self.waiting.popleft()


class Acceptor:
    """`session_for` and `on_event` are what `fix.transport.serve` needs. Without `credentials` anyone may log on."""

    def __init__(
        self, exchange: Exchange, clock: MarketClock, comp_id: str, credentials: tuple[str, str] | None = None
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._comp_id = comp_id
        self._credentials = credentials
        self.faults = Faults()
        self._members: dict[str, Member] = {}  # by the member's CompID
        self._by_session: dict[str, Member] = {}  # by session id

    @property
    def members(self) -> list[Member]:
        """Those who have been logged on."""
        return [member for member in self._members.values() if member.has_logged_on]

    def session_for(self, sender: str, target: str) -> Session | None:
        """The session of a CompID, a new one for a new CompID; None where the Logon is meant for another venue."""
        if target != self._comp_id or not sender:
            return None
        member = self._members.get(sender)
        if member is None:
            config = SessionConfig(
                role="acceptor",
                sender_comp_id=self._comp_id,
                target_comp_id=sender,
                authenticate=self._authenticate,
            )
            member = Member(Session(config))
            self._members[sender] = self._by_session[member.name] = member
        return member.session

    def on_event(self, connection: Connection, event: SessionEvent) -> None:
        member = self._by_session[connection.session.config.session_id]
        match event:
            case LoggedOn():
                _log.info("%s logged on from %s", member.name, connection.peer)
                member.connection, member.has_logged_on = connection, True
                member.flush()
            case MessageReceived():
                if not self.faults.keep("inbound", event.message, lambda: self._answer(member, event)):
                    self._answer(member, event)
            case LoggedOut(reason):
                _log.info("%s logged out: %s", member.name, reason)
                member.connection = None
            case Disconnect(reason):
                _log.info("%s: the connection from %s is closed: %s", member.name, connection.peer, reason)
            case Rejected(ref_number, message):
                _log.error("%s rejected our message %d: %s", member.name, ref_number, message.get(58))

    def deliver(self, reports: list[Report]) -> int:
        """Send each report to the member it is for; how many FIX messages that are."""
        for report in reports:
            self._send(self._by_session[report.session], _to_message(report))
        return len(reports)

    def cut(self, session: str | None = None) -> list[str]:
        """End connections, of all members or of one, without a word; whose."""
        cut = []
        for member in self.members:
            if member.connection is not None and session in (None, member.name):
                cut.append(member.name)
                member.connection.abort("cut by the venue")
        return cut

    def _send(self, member: Member, message: Message) -> None:
        if not self.faults.keep("outbound", message, lambda: member.send(message)):
            member.send(message)

    def _authenticate(self, logon: Message) -> str | None:
        username = logon.get(553)
        if self._credentials is None:
            return None
        if username is None:
            return "no Username (553)"
        expected = "\0".join(self._credentials)
        given = "\0".join((username, logon.get(554) or ""))
        if hmac.compare_digest(expected.encode(), given.encode()):
            return None
        return f"wrong credentials for user {username}"

    def _answer(self, member: Member, received: MessageReceived) -> None:
        message = received.message
        try:
            reports = self._ask_exchange(member.name, message)
        except FieldError as error:
            reason = _FIELD_MISSING if isinstance(error, MissingTag) else _OTHER
            self._refuse(member, received, reason, str(error))
            return
        if reports is None:
            self._refuse(member, received, _UNSUPPORTED_MESSAGE, f"MsgType (35) {message.msg_type} is not supported")
            return
        self.deliver(reports)

    def _refuse(self, member: Member, received: MessageReceived, reason: int, text: str) -> None:
        message = received.message
        _log.warning("%s: message %d (35=%s) refused: %s", member.name, received.number, message.msg_type, text)
        member.send(
            fix_orders.business_message_reject(
                ref_msg_type=message.msg_type,
                business_reject_reason=reason,
                ref_seq_num=received.number,
                business_reject_ref_id=message.get(11),
                text=text,
            )
        )

    def _ask_exchange(self, session: str, message: Message) -> list[Report] | None:
        """The exchange's reports; None for a message it does not know. Raises `FieldError`."""
        at = self._clock.now()
        match message.msg_type:
            case MsgType.NEW_ORDER_SINGLE:
                return self._exchange.new_order(session, _read_new_order(message), at)
            case MsgType.ORDER_CANCEL_REQUEST:
                return self._exchange.cancel(session, _read_cancel(message), at)
            case MsgType.ORDER_CANCEL_REPLACE_REQUEST:
                return self._exchange.replace(session, _read_replace(message), at)
            case MsgType.ORDER_STATUS_REQUEST:
                return self._exchange.status(session, _read_status_request(message), at)
            case _:
                return None


# ---- from FIX


_E = TypeVar("_E", bound=StrEnum)


def _narrow(values: type[_E], tag: int, value: StrEnum) -> _E:
    """FIX knows more sides, types and times in force than this venue."""
    try:
        return values(value.value)
    except ValueError:
        right = ", ".join(f"{value.value} ({value.name})" for value in values)
        raise FieldError(tag, value.value, f"one of {right} at this venue") from None


def _read_new_order(message: Message) -> NewOrder:
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


def _read_cancel(message: Message) -> CancelOrder:
    request = fix_orders.read_order_cancel_request(message)
    return CancelOrder(
        cl_ord_id=request.cl_ord_id,
        orig_cl_ord_id=request.orig_cl_ord_id,
        symbol=request.symbol,
        side=_narrow(Side, 54, request.side),
        poss_resend=request.poss_resend,
    )


def _read_replace(message: Message) -> ReplaceOrder:
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


def _read_status_request(message: Message) -> AskStatus:
    request = fix_orders.read_order_status_request(message)
    return AskStatus(
        cl_ord_id=request.cl_ord_id,
        ord_status_req_id=request.ord_status_req_id,
        symbol=request.symbol,
        side=_narrow(Side, 54, request.side),
    )


# ---- to FIX


def _to_message(report: Report) -> Message:
    if isinstance(report, ExecutionReport):
        return fix_orders.execution_report(
            order_id=report.order_id,
            cl_ord_id=report.cl_ord_id,
            orig_cl_ord_id=report.orig_cl_ord_id,
            ord_status_req_id=report.ord_status_req_id,
            exec_id=report.exec_id,
            exec_ref_id=report.exec_ref_id,
            exec_type=fix_orders.ExecType(report.exec_type.value),
            ord_status=fix_orders.OrdStatus(report.ord_status.value),
            ord_rej_reason=report.ord_rej_reason,
            exec_restatement_reason=report.exec_restatement_reason,
            symbol=report.symbol,
            side=fix_orders.Side(report.side.value),
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
