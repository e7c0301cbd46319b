"""The venue without its sessions: inputs in, FIX messages for its members out.

No I/O and no clock. Equal inputs give equal messages, so what is kept of the inputs brings a venue that was killed
back to where it was.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from fix import orders as fix_orders
from fix.message import FieldError, Message, MissingTag
from fix.orders import MsgType
from venue import translate
from venue.exchange import Exchange
from venue.inputs import (
    AnyInput,
    DayEnded,
    MemberAsked,
    OrderCanceled,
    OrderRestated,
    PricesCame,
    TradeBusted,
    TradeCorrected,
)
from venue.records import ExecType, ExecutionReport, Report

_UNSUPPORTED_MESSAGE = 3
_FIELD_MISSING = 5
_NOT_AUTHORIZED = 6
_OTHER = 0
"""BusinessRejectReason (380)."""


class Outgoing(NamedTuple):
    """A message, and the session of the member it is for."""

    session: str
    message: Message


class Machine:
    """The exchange, the market's time, and when the machine's clock saw what.

    `copies` are the drop copies, by session: to which session each of a member's ExecutionReports goes, too. That one
    only listens.
    """

    def __init__(self, copies: Mapping[str, str] | None = None) -> None:
        self.exchange = Exchange()
        self._copies = copies or {}
        self._copied_to = frozenset(self._copies.values())
        self.market_time: datetime | None = None
        """The time that came with the last prices; None where none came with them: then it is the machine's. A replay
        says what time it is, so that two runs on the same data report the same times."""
        self._received_at: dict[str, datetime] = {}
        self._executed_at: dict[str, datetime] = {}

    @property
    def received_at(self) -> Mapping[str, datetime]:
        """When the venue had an order, by OrderID, by the machine's clock."""
        return self._received_at

    @property
    def executed_at(self) -> Mapping[str, datetime]:
        """When a trade was made, by ExecID, by the machine's clock."""
        return self._executed_at

    def take(self, entry: AnyInput) -> list[Outgoing]:
        """What members are told of it, in the order in which it is to leave.

        Raises `NotFoundError` and `ConflictError` where the venue was to do what cannot be done; nothing has changed
        then.
        """
        known_orders = len(self.exchange.orders)
        if isinstance(entry, MemberAsked):
            outgoing = self._answer(entry)
        else:
            outgoing = self._reported(self._happen(entry), entry.received_at)
        for order in self.exchange.orders[known_orders:]:
            self._received_at[order.order_id] = entry.received_at
        return outgoing

    def _happen(self, entry: AnyInput) -> list[Report]:
        exchange = self.exchange
        match entry:
            case PricesCame(events=events, at=at):
                self.market_time = at
                return exchange.prices(events, self._now(entry))
            case DayEnded(at=at):
                self.market_time = at
                return exchange.end_of_day(at)
            case OrderCanceled(cl_ord_id=cl_ord_id, session=session):
                return exchange.cancel_unasked(cl_ord_id, self._now(entry), session)
            case OrderRestated(cl_ord_id=cl_ord_id, quantity=quantity, session=session):
                return exchange.restate(cl_ord_id, quantity, self._now(entry), session)
            case TradeBusted(exec_id=exec_id):
                return exchange.bust(exec_id, self._now(entry))
            case TradeCorrected(exec_id=exec_id, quantity=quantity, price=price):
                return exchange.correct(exec_id, quantity, price, self._now(entry))
            case MemberAsked():
                raise AssertionError("members are answered")

    def _answer(self, asked: MemberAsked) -> list[Outgoing]:
        message = Message(asked.msg_type, asked.fields)
        if asked.session in self._copied_to:
            return [_refusal(asked, message, _NOT_AUTHORIZED, "a drop copy session is told, and cannot ask")]
        try:
            reports = self._ask_exchange(asked.session, message, self._now(asked))
        except FieldError as error:
            return [_refusal(asked, message, _FIELD_MISSING if isinstance(error, MissingTag) else _OTHER, str(error))]
        if reports is None:
            return [_refusal(asked, message, _UNSUPPORTED_MESSAGE, f"MsgType (35) {asked.msg_type} is not supported")]
        return self._reported(reports, asked.received_at)

    def _ask_exchange(self, session: str, message: Message, at: datetime) -> list[Report] | None:
        """The exchange's reports; None for a message it does not know. Raises `FieldError`."""
        exchange = self.exchange
        match message.msg_type:
            case MsgType.NEW_ORDER_SINGLE:
                return exchange.new_order(session, translate.read_new_order(message), at)
            case MsgType.ORDER_CANCEL_REQUEST:
                return exchange.cancel(session, translate.read_cancel(message), at)
            case MsgType.ORDER_CANCEL_REPLACE_REQUEST:
                return exchange.replace(session, translate.read_replace(message), at)
            case MsgType.ORDER_STATUS_REQUEST:
                return exchange.status(session, translate.read_status_request(message), at)
            case MsgType.ORDER_MASS_STATUS_REQUEST:
                return exchange.mass_status(session, translate.read_mass_status_request(message), at)
            case _:
                return None

    def _reported(self, reports: list[Report], received_at: datetime) -> list[Outgoing]:
        for report in reports:
            if isinstance(report, ExecutionReport) and report.exec_type is ExecType.TRADE:
                self._executed_at[report.exec_id] = received_at
        return [outgoing for report in reports for outgoing in self._told(report)]

    def _told(self, report: Report) -> Iterator[Outgoing]:
        yield Outgoing(report.session, translate.to_message(report))
        if isinstance(report, ExecutionReport) and report.session in self._copies:
            yield Outgoing(self._copies[report.session], translate.to_message(report, is_copy=True))

    def _now(self, entry: AnyInput) -> datetime:
        return self.market_time or entry.received_at


def _refusal(asked: MemberAsked, message: Message, reason: int, text: str) -> Outgoing:
    refusal = fix_orders.business_message_reject(
        ref_msg_type=message.msg_type,
        business_reject_reason=reason,
        ref_seq_num=asked.number,
        business_reject_ref_id=message.get(11),
        text=text,
    )
    return Outgoing(asked.session, refusal)
