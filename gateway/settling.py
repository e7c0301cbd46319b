"""What a new epoch does with what an older one has claimed: asks the venue, and sends again what it does not have.

The same after each logon with what this epoch has sent itself and heard nothing of. Orders leave when it is settled;
then the venue's open orders are compared with ours (`asking`).
"""

import asyncio
import contextlib
import itertools
import logging
from functools import partial

from fix.message import Message
from fix.orders import MsgType
from gateway import translate
from gateway.asking import Reconciler
from gateway.calls import Calls
from gateway.claiming import Claiming
from gateway.delivery import Recorder
from gateway.lease import LeaseWriter, RowRefusedError
from gateway.leaving import Leaving
from gateway.ledger import Ledger
from gateway.outbox import UNCERTAIN, Entry, Outbox
from gateway.telling import Telling
from gateway.translate import Report
from storage.settings import Settings
from trading.commands import CancelOrder, SubmitOrder, VenueCommand

_log = logging.getLogger("gateway.settling")

_ANSWER_TIMEOUT = 5.0
_TRIES = 3
"""Questions without an answer after which a human is told, and nothing else waits for it any more."""


class Settling:
    """One for each epoch, in its event loop: `take_over` once, `run` after each logon."""

    def __init__(
        self,
        *,
        settings: Settings,
        writer: LeaseWriter,
        outbox: Outbox,
        recorder: Recorder,
        calls: Calls,
        ledger: Ledger,
        telling: Telling,
        leaving: Leaving,
        claiming: Claiming,
        reconciler: Reconciler,
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._outbox = outbox
        self._recorder = recorder
        self._calls = calls
        self._ledger = ledger
        self._telling = telling
        self._leaving = leaving
        self._claiming = claiming
        self._reconciler = reconciler
        self._answers: dict[str, asyncio.Future[Report | None]] = {}
        self._done_unheard = asyncio.Event()

    async def take_over(self) -> None:
        """Find what older epochs have claimed, or given up and perhaps not told."""
        for stored in await self._calls.patiently(self._outbox.unfinished):
            if stored.entry.state in UNCERTAIN:
                self._ledger.note_taken_over(stored.entry)
            elif stored.entry.state == "given_up":
                self._telling.given_up(stored.entry)

    async def run(self) -> None:
        """Settle what became of everything that was claimed and not reported, before anything else is sent.

        Where the venue does not answer, the rest does not wait for ever: the question stays open in the background.
        Beside the orders that leave then, the venue's open orders are compared with ours. They are compared again where
        a request that was sent again turns out to have come the first time: the venue does not say what became of it,
        and the comparison before that had to leave its order out.

        Raises:
            fix.session.NotLoggedOn: the session has ended.
        """
        settling = [asyncio.create_task(self._settle(entry)) for entry in self._ledger.all_unreported]
        try:
            if settling:
                await asyncio.wait(settling, timeout=_TRIES * _ANSWER_TIMEOUT)
            self._done_unheard.clear()
            await self._reconciler.ask()
            self._claiming.look_now()
            self._leaving.open()
            await asyncio.gather(self._reconciler.compare(), *settling)
            while True:
                await self._done_unheard.wait()
                self._done_unheard.clear()
                await self._reconciler.ask()
                await self._reconciler.compare()
        finally:
            for task in settling:
                task.cancel()
            await asyncio.gather(*settling, return_exceptions=True)
            self._answers.clear()
            self._reconciler.stop()

    # What the venue says

    def answer(self, report: Report) -> None:
        """Give the answer to whoever has asked about the order."""
        self._give_answer(report.cl_ord_id, report)

    def refuses_to_answer(self, cl_ord_id: str) -> None:
        """The venue refuses the question about the order."""
        self._give_answer(cl_ord_id, None)

    def was_done_unheard(self) -> None:
        """A request had come the first time; what became of it nobody has said."""
        self._done_unheard.set()

    def may_resend(self, message: Message) -> bool:
        """Whether a message may leave again because the venue asks for its number.

        What is not reported and still wanted may. An order that is not is settled after the next logon.
        """
        may = self._is_still_to_leave(message)
        if may:
            self._leaving.count()
        return may

    def _is_still_to_leave(self, message: Message) -> bool:
        if message.msg_type == MsgType.ORDER_MASS_STATUS_REQUEST:
            return self._reconciler.is_asking(message.require(584))
        cl_ord_id = message.get(11)
        if cl_ord_id is None:
            return True
        if message.msg_type == MsgType.ORDER_STATUS_REQUEST:
            return cl_ord_id in self._answers
        entry = self._ledger.unreported(cl_ord_id)
        if entry is None or self._leaving.reason_against(entry.command):
            return False
        self._ledger.note_sent_again(cl_ord_id)
        return True

    def _give_answer(self, cl_ord_id: str, answer: Report | None) -> None:
        asked = self._answers.pop(cl_ord_id, None)
        if asked is not None and not asked.done():
            asked.set_result(answer)

    # One entry

    async def _settle(self, entry: Entry) -> None:
        """Find out what became of an entry, and put it into the queue again if the venue does not have it.

        - What the journal tells of, the venue has: the acknowledgement was not written down, and perhaps not delivered.
        - An order that may have left is asked about. The question has a higher number than all that was sent or can be
          resent, so that "unknown" is the venue's last word on it.
        - An order of earlier hours of the session is not sent again: the venue may have done it then, and know nothing
          of it now, not even that its ClOrdID was used. A human has to find out.
        - Requests are not asked about, and sent again: the venue knows them by their ClOrdID.
        - Where the venue takes one ClOrdID twice, only cancels are sent again, which can do no more than cancel: of all
          else that is still wanted a human is told, and its order waits.

        A cancel that another process has put into the outbox is looked for, since an order that was asked to be
        cancelled is not sent (`Leaving.flush`).
        """
        cl_ord_id = entry.cl_ord_id
        is_order = isinstance(entry.command, SubmitOrder)
        may_have_left = not self._leaving.waits(cl_ord_id)
        if may_have_left and await self._is_told(entry):
            return
        if may_have_left and is_order and not await self._is_unknown(entry):
            return
        if may_have_left and is_order and entry.epoch < self._writer.lease.window_epoch:
            self._tell_uncertain(entry, "since the venue may have forgotten what it did in the hours before these")
            return
        if is_order and await self._calls.patiently(partial(self._recorder.cancel_was_asked, entry)):
            self._ledger.note_cancelled(cl_ord_id)
        if may_have_left and self._may_double(entry.command):
            self._tell_uncertain(entry, "which does not have it and would take it twice: it is not sent again")
        elif may_have_left:
            await self._send_again(entry)

    def _may_double(self, command: VenueCommand) -> bool:
        """Whether the venue might do again what it has done, if it got the command again."""
        accepted = self._settings.fix_repeated_clordid == "accepted"
        return accepted and not isinstance(command, CancelOrder) and not self._leaving.reason_against(command)

    async def _is_told(self, entry: Entry) -> bool:
        row = await self._calls.patiently(partial(self._recorder.told, entry))
        if row is not None and self._ledger.take_reported([entry.cl_ord_id]):
            self._telling.known(entry, row)
        return row is not None

    async def _is_unknown(self, entry: Entry) -> bool:
        """Whether the venue says that it does not have the order; it may take its time."""
        answer = await self._ask(entry)
        if answer is None:
            self._tell_uncertain(entry, "and the venue does not answer questions")
        return answer is not None and answer.kind == "unknown"

    async def _ask(self, entry: Entry) -> Report | None:
        """The venue's answer to what it knows of an order; None where it refuses to be asked."""
        for times in itertools.count(1):
            answer: asyncio.Future[Report | None] = asyncio.get_running_loop().create_future()
            self._answers[entry.cl_ord_id] = answer
            if self._ledger.unreported(entry.cl_ord_id) is None:
                break
            command = entry.command
            question = translate.status_request(command.cl_ord_id, command.symbol, command.side)
            await self._leaving.send_when_room(question, command.cl_ord_id)
            done, _ = await asyncio.wait([answer], timeout=_ANSWER_TIMEOUT)
            if done:
                return answer.result()
            _log.warning("%s: no answer about %s, asking again", self._settings.session, entry.cl_ord_id)
            if times == _TRIES:
                self._tell_uncertain(entry, f"and the venue has not answered {times} questions about it")
        return Report(kind="known", cl_ord_id=entry.cl_ord_id)

    async def _send_again(self, entry: Entry) -> None:
        """Unless its report comes meanwhile. That the row has changed may be because its sending was written down."""
        while True:
            stored = await self._calls.patiently(partial(self._outbox.read, entry.cl_ord_id))
            is_reported = self._ledger.unreported(entry.cl_ord_id) is None
            if stored is None or stored.entry.state not in UNCERTAIN or is_reported:
                return
            with contextlib.suppress(RowRefusedError):
                await self._claiming.claim_anew(stored)
                return

    def _tell_uncertain(self, entry: Entry, why: str) -> None:
        self._ledger.note_told(entry.cl_ord_id)
        text = f"{entry.cl_ord_id} may or may not be at the venue, {why}"
        self._telling.tell_human("UNCERTAIN_ORDER", text, entry.cl_ord_id)
