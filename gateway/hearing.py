"""What the venue says: each of its messages read, led to its order, and passed to whoever has to know.

A report may answer a question, may be about what waits here to leave again, and is for the journal in most cases.
"""

import contextlib
import logging
from datetime import UTC, datetime

from fix.events import MessageReceived, MessageRefused, Rejected
from fix.message import FieldError, Message
from fix.orders import MsgType, business_message_reject, read_business_message_reject
from fix.session import NotLoggedOn
from gateway import translate
from gateway.asking import Reconciler
from gateway.delivery import Received
from gateway.leaving import Leaving
from gateway.ledger import Ledger, remember
from gateway.outbox import Entry
from gateway.settling import Settling
from gateway.telling import Telling
from gateway.translate import Report
from storage.clock import market_now
from storage.settings import Settings
from trading.commands import SubmitOrder

_log = logging.getLogger("gateway.hearing")

_UNSUPPORTED_MESSAGE = 3  # BusinessRejectReason (380)


class Hearing:
    """One for each epoch, in its event loop."""

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        telling: Telling,
        leaving: Leaving,
        settling: Settling,
        reconciler: Reconciler,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._telling = telling
        self._leaving = leaving
        self._settling = settling
        self._reconciler = reconciler
        self._names: dict[str, str] = {}  # ClOrdIDs of ours by the venue's OrderID (37)
        self._has_list = False
        self._nameless: list[MessageReceived] = []  # reports of no order of ours, until the venue has listed its orders

    def logged_on(self) -> None:
        """The venue has yet to list its open orders."""
        self._has_list = False

    def has_listed(self) -> None:
        """The venue has named its open orders, or will not: whose the reports are that waited for that is known now."""
        self._has_list = True
        waiting, self._nameless = self._nameless, []
        for event in waiting:
            self.message(event)

    def message(self, event: MessageReceived) -> None:
        """An application message, in its order."""
        message, number = event.message, event.number
        try:
            report = translate.from_message(message, self._names)
            if report is not None and not self._has_list and not _is_ours(report):
                self._nameless.append(event)
            elif report is not None:
                self._on_report(number, report, resent=event.possible_duplicate)
            elif message.msg_type == MsgType.BUSINESS_MESSAGE_REJECT:
                reject = read_business_message_reject(message)
                cl_ord_id = reject.business_reject_ref_id or self._ledger.sent_as(reject.ref_seq_num).cl_ord_id
                text = reject.text or f"BusinessRejectReason (380) {reject.business_reject_reason}"
                self._on_refusal(number, reject.ref_msg_type, cl_ord_id, text)
            else:
                self._refuse(message, number)
        except FieldError as error:
            text = f"message {number} ({message.msg_type}) cannot be read: {error}"
            self._telling.alert(number, "UNREADABLE_MESSAGE", text)

    def refused_message(self, event: MessageRefused) -> None:
        """Our session has rejected a message of the venue's, which does not come again."""
        text = f"message {event.number} ({event.message.msg_type}) was rejected by our session: {event.reason}"
        self._telling.alert(event.number, "UNREADABLE_MESSAGE", text)

    def rejected(self, event: Rejected) -> None:
        """The venue's session has rejected a message of ours (35=3)."""
        text = event.message.get(58) or f"SessionRejectReason (373) {event.message.get(373)}"
        self._on_refusal(event.number, *self._ledger.sent_as(event.ref_number), text)

    def _on_report(self, number: int, report: Report, *, resent: bool = False) -> None:
        cl_ord_id = report.cl_ord_id
        named = _names(report)
        if report.name and report.order_id:
            remember(self._names, report.order_id, report.name)
        if report.standing is None:
            self._reconciler.reported(cl_ord_id, report.name, *named, resent=resent)
        elif not resent:
            self._reconciler.answered(number, report)
            if report.standing.request:
                self._telling.processed(number)
                return
        if report.kind in ("unknown", "unclear"):
            # What is resent answers an older question: the order may have been sent since. What may refuse either the
            # question or the order is no answer: it is asked about again.
            if not resent and report.kind == "unknown":
                self._settling.answer(report)
            self._telling.processed(number)
            return
        if report.kind != "event":
            self._settling.answer(report)
        if report.kind == "duplicate" and not self._ledger.was_sent_again(cl_ord_id):
            text = f"the venue had {cl_ord_id} before, from whomever"
            self._telling.tell_human("DUPLICATE_CLORDID", text, self._telling.key(number))
            refused = self._ledger.unreported(cl_ord_id)
            if refused is None or self._ledger.sent_at(cl_ord_id) is None:
                self._telling.processed(number)
                return
            report = self._refusal_of(refused, text)
            named = _names(report)
        reported = self._ledger.take_reported(named)
        if report.kind != "event" and any(not isinstance(one.command, SubmitOrder) for one in reported):
            self._settling.was_done_unheard()
        for one in reported:
            self._leaving.has_arrived(one.cl_ord_id)
        entry = next((one for one in reported if one.cl_ord_id == cl_ord_id), self._ledger.claimed(cl_ord_id))
        received = Received(
            report=report,
            origin=self._telling.origin(number),
            received_at=datetime.now(UTC),
            sent_at=self._ledger.sent_at(cl_ord_id),
            command=entry.command if entry and (report.kind == "event" or reported) else None,
        )
        self._telling.report(received, reported)

    def _refusal_of(self, entry: Entry, text: str) -> Report:
        """What it means that the venue has not taken an entry's message."""
        command = entry.command
        event = translate.refused(command, text, market_now(self._settings))
        return Report(kind="event", cl_ord_id=entry.cl_ord_id, event=event, symbol=command.symbol, side=command.side)

    def _on_refusal(self, number: int, msg_type: str, cl_ord_id: str, text: str) -> None:
        """The venue's session (35=3) or application (35=j) has refused a message of ours."""
        _log.warning("%s: the venue refuses %s: %s", self._settings.session, cl_ord_id or "a message", text)
        if msg_type == MsgType.ORDER_MASS_STATUS_REQUEST:
            self._reconciler.refused(text)
            self._telling.processed(number)
            return
        if msg_type == MsgType.ORDER_STATUS_REQUEST:
            self._reconciler.does_not_answer(cl_ord_id, text)
            self._settling.refuses_to_answer(cl_ord_id)
            self._telling.processed(number)
            return
        entry = self._ledger.claimed(cl_ord_id)
        if entry is None:
            text = f"message {number} refuses {cl_ord_id or 'a message'}: {text}"
            self._telling.alert(number, "MESSAGE_REFUSED", text)
            return
        self._on_report(number, self._refusal_of(entry, text))

    def _refuse(self, message: Message, number: int) -> None:
        """A type that we know nothing of (FIX 4.4 volume 2, BusinessMessageReject)."""
        _log.warning("%s: message %d is of unknown type %s", self._settings.session, number, message.msg_type)
        with contextlib.suppress(NotLoggedOn):
            self._leaving.send(
                business_message_reject(
                    ref_seq_num=number,
                    ref_msg_type=message.msg_type,
                    business_reject_reason=_UNSUPPORTED_MESSAGE,
                    text="unsupported message type",
                )
            )
        self._telling.processed(number)


def _names(report: Report) -> tuple[str, ...]:
    return translate.named_in(report.event) if report.event else (report.cl_ord_id,)


def _is_ours(report: Report) -> bool:
    """Whether a report says which order of ours it is about; answers do, and what refuses a request."""
    return bool(report.name) or report.kind != "event" or report.symbol is None
