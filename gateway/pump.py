"""What the holder of the lease does for as long as it holds it: one epoch of the session.

It keeps the connection, sends what its epoch has claimed and nothing else, finds what other processes have put into the
outbox, asks the venue about what an older epoch may or may not have sent, and hands the venue's reports to the journal.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections import ChainMap, deque
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
from azure.core.exceptions import AzureError

from fix.events import LoggedOn, LoggedOut, MessageReceived, MessageRefused, Rejected, SessionEvent
from fix.message import FieldError, Message
from fix.orders import MsgType, business_message_reject, read_business_message_reject
from fix.session import NotLoggedOn
from gateway import translate
from gateway.asking import Reconciler
from gateway.calls import Calls
from gateway.delivery import Delivery, Received, Recorder, Wake
from gateway.journal import Origin
from gateway.lease import Held, Lease, LeaseLostError, LeaseWriter, RowRefusedError
from gateway.line import Ends, Line, Reserve
from gateway.outbox import UNCERTAIN, Entry, Outbox, State, Stored
from gateway.resets import RESET_PATH, ResetRequests, marked
from gateway.sending import SendQueue, urgency_of
from gateway.throttle import Throttle
from gateway.translate import Report
from storage.clock import market_now
from storage.reconciliations import Reconciliations
from storage.secrets import Credentials
from storage.settings import Settings
from storage.tables import Tables
from trading.commands import CancelOrder, SubmitOrder, VenueCommand
from trading.identity import order_id_of, orphan_order_id

_log = logging.getLogger("gateway.pump")
T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

_FIRST_POLL, _LONGEST_POLL = 0.1, 2.0
_ANSWER_TIMEOUT = 5.0
_TRIES = 3
"""Questions without an answer after which a human is told, and nothing else waits for it any more."""
_DRAIN_TIMEOUT = 2.0
_REMEMBERED = 10_000
_ADMINISTRATIVE_RESERVE = 10
"""Numbers of a block that are left to heartbeats and the like while the next block is being reserved."""
_LOOK_AGAIN = 0.5
"""Seconds after which what waits is looked at again: whose time runs out is told so, even where the market's clock is
set by somebody."""
_SHORTEST_PAUSE = 0.001
_ENDS_SLOWLY = 10.0
"""Seconds after the Logout after which a human is told that the epoch cannot end."""
_UNSUPPORTED_MESSAGE = 3  # BusinessRejectReason (380)


class _Outgoing(msgspec.Struct, frozen=True):
    entry: Entry
    poss_resend: bool = False


class _Question(msgspec.Struct, frozen=True):
    """A message about orders, which waits for its turn; `asked` is done when it has left."""

    message: Message
    cl_ord_id: str
    asked: "asyncio.Future[None]"


class Pump:
    """One epoch. Everything but `accepts` and `has_claimed` belongs to the thread of its event loop."""

    def __init__(
        self,
        *,
        settings: Settings,
        tables: Tables,
        outbox: Outbox,
        recorder: Recorder,
        credentials: Credentials | None,
        held: Held,
        wake: Wake,
        pool: Executor,
        on_activity: Callable[[], None],
        on_text: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._recorder = recorder
        self._calls = Calls(settings.session, pool)
        self._on_activity = on_activity
        self._on_text = on_text
        self._writer = LeaseWriter(tables.sessions, settings.session, held, lease_seconds=settings.lease_seconds)
        self._resets = ResetRequests(tables, settings.session)
        self._ending = asyncio.Event()
        self._asked_to_reset = False
        self._line = Line(
            Ends(
                session=settings.session,
                sender=settings.fix_sender_comp_id,
                target=settings.fix_target_comp_id,
                hosts=settings.fix_hosts,
                credentials=credentials,
                reset_path=RESET_PATH,
            ),
            self,
            settings=settings,
            writer=self._writer,
            calls=self._calls,
            reserve=Reserve(
                least=_ADMINISTRATIVE_RESERVE, few=max(settings.sequence_block / 2, _ADMINISTRATIVE_RESERVE)
            ),
        )
        self._delivery = Delivery(wake, pool, self._on_processed)
        self._reconciler = Reconciler(
            settings=settings,
            recorder=recorder,
            records=Reconciliations(tables),
            delivery=self._delivery,
            epoch=self,
        )
        self._has_list = False
        self._done_unheard = asyncio.Event()
        self._names: dict[str, str] = {}  # ClOrdIDs of ours by the venue's OrderID (37)
        self._nameless: list[MessageReceived] = []  # reports of no order of ours, until the venue has listed its orders
        self._ready = False
        self._closing = False
        self._look = asyncio.Event()
        self._looking = False
        self._entries: dict[str, Entry] = {}  # what this epoch has claimed lately
        self._claiming: dict[str, asyncio.Task[State]] = {}
        self._unreported: dict[str, Entry] = {}  # claimed, by this epoch or an older one, and nothing heard of it yet
        self._queue = SendQueue[_Outgoing]()  # claimed by this epoch and not sent
        self._questions: deque[_Question] = deque()
        self._asked_last = False
        self._leaving: VenueCommand | None = None
        self._throttle = Throttle(settings.fix_messages_per_second, time.monotonic())
        self._again: asyncio.TimerHandle | None = None
        self._held: dict[str, _Outgoing] = {}  # claimed by this epoch, waiting for release()
        self._sent: dict[str, datetime] = {}
        self._waiting: dict[str, float] = {}  # when what was not yet reported was sent, the oldest first
        self._sent_numbers: dict[int, tuple[str, str]] = {}  # MsgType and ClOrdID
        self._cancelled: dict[str, None] = {}  # orders that were asked to be cancelled
        self._never_left: dict[str, None] = {}  # what this epoch has claimed, and concluded without having sent it
        self._sent_again: set[str] = set()
        self._answers: dict[str, asyncio.Future[Report | None]] = {}
        self._giving_up: dict[asyncio.Task[None], str] = {}  # the lane of each
        # Has the error that something has ended with beside `run`.
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # What the gateway asks

    @property
    def epoch(self) -> int:
        return self._writer.lease.epoch

    @property
    def lease(self) -> Lease:
        return self._writer.lease

    @property
    def will_reset(self) -> bool:
        """Whether this epoch ends for a reset of the numbers."""
        return self._asked_to_reset

    @property
    def logged_on(self) -> bool:
        return self._line.logged_on

    @property
    def accepts(self) -> bool:
        """Whether an order may be handed in here, instead of being put into the outbox as pending."""
        return self._ready and self._writer.holds and not self._closing

    @property
    def ready(self) -> bool:
        """Whether what is handed in leaves at once."""
        return self._ready

    @property
    def busy(self) -> bool:
        """Whether anything is under way that does not wait for release() or for a connection."""
        asking = not self._ready or self._reconciler.busy
        recovering = self.logged_on and (asking or self._look.is_set() or self._looking)
        unsent = self.logged_on and len(self._queue) > 0
        writing = bool(self._claiming or self._giving_up)
        return recovering or unsent or writing or self._line.has_under_way or self._delivery.busy

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def next_outbound(self) -> int:
        return self._line.next_outbound

    @property
    def next_inbound(self) -> int:
        return self._line.next_inbound

    def has_claimed(self, cl_ord_id: str) -> bool:
        return cl_ord_id in self._entries

    def tell_unanswered(self, patience: float) -> None:
        """Tell a human, once for each, of what was sent and not reported for so many seconds."""
        while self._waiting:
            cl_ord_id, sent = next(iter(self._waiting.items()))
            if time.monotonic() - sent < patience:
                return
            del self._waiting[cl_ord_id]
            if cl_ord_id in self._unreported:
                text = f"{cl_ord_id} was sent {patience:.0f} s ago or more, and the venue has not said anything of it"
                self._tell("UNANSWERED", text, f"unanswered-{cl_ord_id}")

    def look_now(self, entry: Entry) -> None:
        """This is new in the outbox."""
        self._note_cancel(entry.command)
        self._look.set()

    async def accept(self, entry: Entry) -> State:
        """Claim an entry, so that it is sent; how far it has come. A repeat changes nothing.

        Raises:
            LeaseLostError: this process may not, or may no longer, claim.
        """
        if self._closing:
            raise LeaseLostError(f"{self._settings.session}: epoch {self.epoch} ends")
        cl_ord_id = entry.cl_ord_id
        if cl_ord_id in self._entries:
            if cl_ord_id not in self._unreported:
                return "acknowledged"
            return "sent" if cl_ord_id in self._sent else "claimed"
        claim = self._claiming.get(cl_ord_id)
        if claim is None:
            claim = asyncio.get_running_loop().create_task(self._claim_new(entry))
            self._claiming[cl_ord_id] = claim
            claim.add_done_callback(lambda _: self._claiming.pop(cl_ord_id))
        return await asyncio.shield(claim)

    def release(self) -> int:
        """Send what is held, in the order of the ClOrdIDs; how many that were."""
        if not self._ready:
            return 0
        released = sorted(self._held.values(), key=lambda outgoing: outgoing.entry.place)
        self._held.clear()
        for outgoing in released:
            self._enqueue(outgoing)
        self._flush()
        return len(released)

    def end(self, *, reset: bool = False) -> None:
        """Have `run` log out and give the lease back when all that has come is journalled and delivered, however long
        that takes: the venue will not send it again. With `reset`, the next epoch begins the numbers again."""
        self._asked_to_reset |= reset
        self._ending.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Live through the epoch, until `stopping` is set: then log out and give the lease back, soon. Or until `end`.

        Raises:
            LeaseLostError: the epoch ended by itself. Nothing is sent after that.
        """
        writer = asyncio.create_task(self._writer.run())
        lease, connecting = asyncio.create_task(self._writer.watch()), asyncio.create_task(self._connect())
        polling = asyncio.create_task(self._poll())
        tasks = [writer, lease, connecting, polling, asyncio.create_task(self._delivery.run())]
        stop = asyncio.create_task(stopping.wait())
        end = asyncio.create_task(self._ending.wait())
        resting: asyncio.Task[None] | None = None
        telling: asyncio.TimerHandle | None = None
        try:
            watched: list[asyncio.Future[Any]] = [*tasks, self._broken, stop, end]
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self._close()
            await self._end_session()
            # Before the lease goes: a connection that is only being made would log on after that.
            await self._hang_up(connecting)
            if end.done():
                resting = asyncio.create_task(self._rest(polling))
                telling = asyncio.get_running_loop().call_later(_ENDS_SLOWLY, self._tell_slow_end)
                watched = [writer, lease, self._broken, stop, resting]
                done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            self._writer.advance_inbound(self.next_inbound)
            self._writer.give_back()
            await writer
        finally:
            self._close()
            self._look_again(None)
            if telling is not None:
                telling.cancel()
            self._line.end("the session's lease is over")
            everything: list[asyncio.Future[Any]] = [*tasks, self._broken, stop, end]
            everything += [*self._claiming.values(), *self._giving_up]
            everything += [resting] if resting else []
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    def _close(self) -> None:
        """From here on nothing is claimed and no order leaves."""
        self._closing = True
        self._ready = False
        self._line.close()

    # What the reconciliation asks

    @property
    def in_flight(self) -> frozenset[str]:
        """The ClOrdIDs of what was claimed, and of which the venue has said nothing yet."""
        return frozenset(self._unreported)

    def has_listed(self) -> None:
        """The venue has named its open orders, or will not: whose the reports are that waited for that is known now."""
        self._has_list = True
        waiting, self._nameless = self._nameless, []
        for event in waiting:
            self._on_message(event)

    async def _rest(self, polling: "asyncio.Task[None]") -> None:
        """After the Logout: what has come is journalled and delivered, and what has not left is pending again.

        The next numbers may be those of the session's next hours. By then the venue may have forgotten these, and of an
        order that is claimed nobody could say whether it had left.
        """
        self.has_listed()  # no list is to come any more
        self._look.set()
        await polling
        await asyncio.gather(*self._claiming.values(), return_exceptions=True)
        while self._giving_up:  # each may bring others of its order along
            await asyncio.wait([*self._giving_up])
        unsent = [one.entry for one in (*self._queue.take_all(), *self._held.values()) if not one.poss_resend]
        self._held.clear()
        await asyncio.gather(*(self._writer.commit(*self._outbox.giving_back(entry)) for entry in unsent))
        await self._line.until_all_processed()
        if self._asked_to_reset:
            await self._writer.commit(self._resets.taking_up(), change=marked)

    def _tell_slow_end(self) -> None:
        """The session stays out until this is over, also in its next hours."""
        text = f"logged out for {_ENDS_SLOWLY:g} s or more, and the session cannot end nor begin again: "
        if self._line.has_under_way:
            text += f"message {self.next_inbound} of the venue is not yet journalled and delivered; the log says why"
        else:
            text += "what has not left could not be written back yet; storage does not take it"
        self.say(text)
        self._tell("SESSION_ENDS_SLOWLY", text, f"ends-slowly-{self.epoch}")

    # The connection

    async def _connect(self) -> None:
        for stored in await self.patiently(self._outbox.unfinished):
            if stored.entry.state in UNCERTAIN:
                self._unreported[stored.entry.cl_ord_id] = stored.entry
            elif stored.entry.state == "given_up":
                self._tell_given_up(stored.entry)
        await self._line.stay_connected()

    async def _end_session(self) -> None:
        """Log out, and let what has come until then go its way."""
        patience = min(_DRAIN_TIMEOUT, self._settings.lease_seconds / 3)
        deadline = time.monotonic() + patience
        await self._line.log_out(patience)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._line.until_all_processed(), max(0.0, deadline - time.monotonic()))

    async def _hang_up(self, connecting: "asyncio.Task[None]") -> None:
        """From here on there is no connection, and there will be none."""
        connecting.cancel()
        await asyncio.wait([connecting])
        self._line.hang_up("the epoch ends")

    # What the line asks and tells

    def on_event(self, event: SessionEvent) -> None:
        match event:
            case LoggedOn():
                _log.info("%s: logged on, epoch %d", self._settings.session, self.epoch)
                self._has_list = False
            case LoggedOut():
                self._ready = False
            case MessageReceived():
                self._on_activity()
                self._on_message(event)
            case MessageRefused():
                self._on_activity()
                text = f"message {event.number} ({event.message.msg_type}) was rejected by our session: {event.reason}"
                self._alert(event.number, "UNREADABLE_MESSAGE", text)
            case Rejected():
                self._on_activity()
                text = event.message.get(58) or f"SessionRejectReason (373) {event.message.get(373)}"
                self._on_refusal(event.number, *self._sent_numbers.get(event.ref_number, ("", "")), text)
            case _:
                pass

    def on_end(self) -> None:
        """Who waits for a question to leave need not wait any longer."""
        self._ready = False
        for question in self._questions:
            if not question.asked.done():
                question.asked.set_exception(NotLoggedOn(f"{self._settings.session}: the connection has ended"))
        self._questions.clear()

    def on_room(self) -> None:
        self._flush()

    def say(self, text: str) -> None:
        self._on_text(text)
        if text:
            _log.warning("%s: %s", self._settings.session, text)

    # After a logon

    async def while_logged_on(self) -> None:
        """Settle what became of everything that was claimed and not reported, before anything else is sent.

        Where the venue does not answer, the rest does not wait for ever: the question stays open in the background.
        Beside the orders that leave then, the venue's open orders are compared with ours. They are compared again where
        a request that was sent again turns out to have come the first time: the venue does not say what became of it,
        and the comparison before that had to leave its order out.
        """
        settling = [asyncio.create_task(self._settle(entry)) for entry in self._unreported.values()]
        try:
            if settling:
                await asyncio.wait(settling, timeout=_TRIES * _ANSWER_TIMEOUT)
            self._done_unheard.clear()
            await self._reconciler.ask()
            self._ready = True
            self._look.set()
            self._flush()
            await asyncio.gather(self._reconciler.compare(), *settling)
            while True:
                await self._done_unheard.wait()
                self._done_unheard.clear()
                await self._reconciler.ask()
                await self._reconciler.compare()
        finally:
            for task in settling:
                task.cancel()
            self._answers.clear()
            self._reconciler.stop()

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
        cancelled is not sent (`_flush`).
        """
        cl_ord_id = entry.cl_ord_id
        is_order = isinstance(entry.command, SubmitOrder)
        may_have_left = cl_ord_id not in self._queue and cl_ord_id not in self._held
        if may_have_left and await self._is_told(entry):
            return
        if may_have_left and is_order and not await self._is_unknown(entry):
            return
        if may_have_left and is_order and entry.epoch < self._writer.lease.window_epoch:
            self._tell_uncertain(entry, "since the venue may have forgotten what it did in the hours before these")
            return
        if is_order and await self.patiently(partial(self._recorder.cancel_was_asked, entry)):
            _remember(self._cancelled, cl_ord_id, None)
        if may_have_left and self._may_double(entry.command):
            self._tell_uncertain(entry, "which does not have it and would take it twice: it is not sent again")
        elif may_have_left:
            await self._send_again(entry)

    def _may_double(self, command: VenueCommand) -> bool:
        """Whether the venue might do again what it has done, if it got the command again."""
        accepted = self._settings.fix_repeated_clordid == "accepted"
        return accepted and not isinstance(command, CancelOrder) and not self._reason_against(command)

    async def _is_told(self, entry: Entry) -> bool:
        row = await self.patiently(partial(self._recorder.told, entry))
        if row is not None and entry.cl_ord_id in self._unreported:
            del self._unreported[entry.cl_ord_id]
            self._delivery.take(None, entry.order_id, lambda: row, partial(self._acknowledge, entry))
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
            if entry.cl_ord_id not in self._unreported:
                break
            command = entry.command
            question = translate.status_request(command.cl_ord_id, command.symbol, command.side)
            await self.send_when_room(question, command.cl_ord_id)
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
            stored = await self.patiently(partial(self._outbox.read, entry.cl_ord_id))
            if stored is None or stored.entry.state not in UNCERTAIN or entry.cl_ord_id not in self._unreported:
                return
            _log.warning("%s: sending %s again", self._settings.session, entry.cl_ord_id)
            with contextlib.suppress(RowRefusedError):
                await self._claim(stored, poss_resend=True)
                return

    def may_resend(self, message: Message) -> bool:
        """Whether a message may leave again because the venue asks for its number.

        What is not reported and still wanted may. An order that is not is settled after the next logon.
        """
        if message.msg_type == MsgType.ORDER_MASS_STATUS_REQUEST:
            return self._reconciler.is_asking(message.require(584))
        cl_ord_id = message.get(11)
        if cl_ord_id is not None and not self._may_resend_about(message.msg_type, cl_ord_id):
            return False
        self._throttle.note(time.monotonic())
        return True

    def _may_resend_about(self, msg_type: str, cl_ord_id: str) -> bool:
        if msg_type == MsgType.ORDER_STATUS_REQUEST:
            return cl_ord_id in self._answers
        entry = self._unreported.get(cl_ord_id)
        if entry is None or self._reason_against(entry.command):
            return False
        self._sent_again.add(cl_ord_id)
        return True

    def _reason_against(self, command: VenueCommand) -> str:
        """Why a command is no longer wanted; empty where it is."""
        if is_too_late(command, self._settings):
            return "its time is over"
        if isinstance(command, SubmitOrder):
            return "it was asked to be cancelled" if command.cl_ord_id in self._cancelled else ""
        return "the order it is about has not left" if command.orig_cl_ord_id in self._never_left else ""

    def _note_cancel(self, command: VenueCommand) -> None:
        """An order that waits and is asked to be cancelled need not wait for its turn to be told."""
        if isinstance(command, CancelOrder):
            _remember(self._cancelled, command.orig_cl_ord_id, None)
            cancelled = self._queue.get(command.orig_cl_ord_id)
            if cancelled is not None and self._writer.holds:
                self._conclude_if_unwanted(cancelled)

    def _conclude_if_unwanted(self, outgoing: _Outgoing) -> bool:
        reason = self._reason_against(outgoing.entry.command)
        if reason:
            self._conclude(outgoing, reason)
        return bool(reason)

    def _conclude(self, outgoing: _Outgoing, reason: str) -> None:
        """What the venue does not have will not leave any more: whoever waits for it is told.

        It is not called dead: that is for what no process has claimed. Requests about what certainly never left go with
        it, since the venue could only say that it knows no such order. Those about what may have left once leave all
        the same: should the venue have the order after all, it is better cancelled.
        """
        entry = outgoing.entry
        self._queue.remove(entry.cl_ord_id)
        self._unreported.pop(entry.cl_ord_id, None)
        if not outgoing.poss_resend:
            _remember(self._never_left, entry.cl_ord_id, None)
        giving_up = asyncio.get_running_loop().create_task(self._give_up(entry, reason))
        self._giving_up[giving_up] = self._lane(entry)
        giving_up.add_done_callback(self._gave_up)

    def _gave_up(self, task: asyncio.Task[None]) -> None:
        del self._giving_up[task]
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._broken.done():
            self._broken.set_exception(error)
        self._flush()

    async def _give_up(self, entry: Entry, reason: str) -> None:
        """Nobody is told by whom the lease has left meanwhile: the next holder may have sent it."""
        entry = msgspec.structs.replace(entry, reason=reason)
        with contextlib.suppress(LeaseLostError):
            await self._writer.commit(*self._outbox.giving_up(entry))
            self._tell_given_up(entry)
            for other in self._queue.lane(self._lane(entry)):
                # By then it may have gone with another.
                if other.entry.order_id == entry.order_id and other.entry.cl_ord_id in self._queue:
                    self._conclude_if_unwanted(other)

    def _tell_given_up(self, entry: Entry) -> None:
        text = f"not at the venue and no longer wanted: {entry.reason}"
        _log.warning("%s: %s is %s", self._settings.session, entry.cl_ord_id, text)
        event = translate.refused(entry.command, text, market_now(self._settings))
        record = partial(self._recorder.conclude, entry, event)
        self._delivery.take(None, entry.order_id, record, partial(self._acknowledge, entry))

    def _tell_uncertain(self, entry: Entry, why: str) -> None:
        self._waiting.pop(entry.cl_ord_id, None)
        text = f"{entry.cl_ord_id} may or may not be at the venue, {why}"
        self._tell("UNCERTAIN_ORDER", text, entry.cl_ord_id)

    # Claiming and sending

    async def _poll(self) -> None:
        """Look for what other processes have put into the outbox: often after there was something, else rarely.

        Without a session nothing is claimed; what is looked for then are cancels of what waits for one.
        """
        pause = _FIRST_POLL
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look.wait()
            if self._closing:
                return
            self._line.keep_numbers()
            self._flush()  # a second line behind its own timer: what waits is not forgotten
            self._looking = self._look.is_set()
            self._look.clear()
            if not self._ready and not self._queue:
                self._looking, pause = False, _LONGEST_POLL  # `while_logged_on` has it look at once
                continue
            known = ChainMap(self._entries, self._unreported)
            try:
                found = await self._calls.once(partial(self._outbox.unfinished, known))
            except AzureError as error:
                _log.warning("%s: the outbox could not be read: %s", self._settings.session, error)
                self._looking, pause = False, _LONGEST_POLL
                continue
            pending = [stored for stored in found if stored.entry.state == "pending"]
            for stored in pending:
                # Before any is claimed: an order that was given back may be there with its cancel, which is later.
                self._note_cancel(stored.entry.command)
            for stored in pending:
                if not self.accepts:
                    break
                await self._claim_pending(stored)
            has_news = self._ready and (pending or self._looking)
            pause = _FIRST_POLL if has_news else min(2 * pause, _LONGEST_POLL)
            self._looking = False

    async def _claim_pending(self, stored: Stored) -> None:
        command = stored.entry.command
        try:
            # Whoever has asked for its cancel already waits to be told of it, and is: what is claimed is given up.
            if is_too_late(command, self._settings) and command.cl_ord_id not in self._cancelled:
                _log.warning("%s: %s is too late and not sent", self._settings.session, command.cl_ord_id)
                await self._writer.commit(*self._outbox.burying(stored))
            else:
                await self._claim(stored)
        except RowRefusedError:
            _log.info("%s: %s was taken back", self._settings.session, command.cl_ord_id)

    async def _claim(self, stored: Stored, *, poss_resend: bool = False) -> None:
        await self._writer.commit(*self._outbox.claiming(stored, self.epoch))
        self._take_up(stored.entry, poss_resend=poss_resend)

    async def _claim_new(self, entry: Entry) -> State:
        try:
            await self._writer.commit(*self._outbox.claiming_new(entry, self.epoch))
        except RowRefusedError:
            stored = await self.patiently(partial(self._outbox.read, entry.cl_ord_id))
            if stored is None:
                raise
            self._look.set()
            return stored.entry.state
        self._take_up(entry, poss_resend=False)
        return "sent" if entry.cl_ord_id in self._sent else "claimed"

    def _take_up(self, entry: Entry, *, poss_resend: bool) -> None:
        """The row says that the entry is ours: from here on it may leave."""
        entry = msgspec.structs.replace(entry, state="claimed", epoch=self.epoch)
        _remember(self._entries, entry.cl_ord_id, entry)
        self._unreported[entry.cl_ord_id] = entry
        self._note_cancel(entry.command)
        outgoing = _Outgoing(entry, poss_resend)
        if self._settings.order_release == "manual":
            self._held[entry.cl_ord_id] = outgoing
        elif not self._writer.holds or not self._conclude_if_unwanted(outgoing):
            self._enqueue(outgoing)
        self._on_activity()
        self._flush()

    def _lane(self, entry: Entry) -> str:
        """What keeps its own order: each order's messages, and in a replay in lockstep all that is released."""
        return entry.order_id if self._settings.order_release == "immediate" else ""

    def _enqueue(self, outgoing: _Outgoing) -> None:
        entry = outgoing.entry
        command = entry.command
        self._queue.add(
            entry.cl_ord_id,
            outgoing,
            lane=self._lane(entry),
            place=entry.place,
            urgency=urgency_of(command),
            deadline=command.deadline if isinstance(command, SubmitOrder) else None,
        )

    def _flush(self) -> None:
        """Send what may leave now. Orders and questions about orders take turns, orders among themselves as their queue
        says. What is no longer wanted does not leave: its order is told so, as soon as that is known."""
        self._conclude_late()
        while self._writer.holds and self._line.peer_reads and (self._questions or self._orders_may_leave):
            pause = self._throttle.wait(time.monotonic())
            if pause:
                self._look_again(pause)
                return
            if not self._line.has_room:
                self._line.keep_numbers()
                break
            try:
                if self._questions and not (self._asked_last and self._orders_may_leave):
                    self._send_question()
                else:
                    self._send_order()
            except NotLoggedOn:
                break
        self._look_again(_LOOK_AGAIN if self._queue or self._questions else None)

    @property
    def _orders_may_leave(self) -> bool:
        return self._ready and not self._closing and self._queue.first(held_back=self._held_back) is not None

    @property
    def _held_back(self) -> frozenset[str]:
        """The lanes of what is given up: the next may be a cancel of just that, whose answer would come first."""
        return frozenset(self._giving_up.values())

    def _send_question(self) -> None:
        question = self._questions[0]
        if not question.asked.done():  # who has asked may have gone
            self._transmit(question.message, question.cl_ord_id)
            question.asked.set_result(None)
            self._asked_last = True
        self._questions.popleft()

    def _send_order(self) -> None:
        outgoing = self._queue.first(held_back=self._held_back)
        if outgoing is None or self._conclude_if_unwanted(outgoing):
            return
        entry = outgoing.entry
        cl_ord_id = entry.cl_ord_id
        self._leaving = entry.command
        try:
            number = self._transmit(
                translate.to_message(entry.command, entry.at, poss_resend=outgoing.poss_resend), cl_ord_id
            )
        finally:
            self._leaving = None
        self._asked_last = False
        self._queue.take(held_back=self._held_back)
        if outgoing.poss_resend:
            self._sent_again.add(cl_ord_id)
        sent_at = datetime.now(UTC)
        entry = msgspec.structs.replace(entry, state="sent", number=number, sent_at=sent_at)
        _remember(self._entries, cl_ord_id, entry)
        self._unreported[cl_ord_id] = entry
        self._writer.later(*self._outbox.noting_sent(entry))
        _remember(self._sent, cl_ord_id, sent_at)
        self._waiting.pop(cl_ord_id, None)
        self._waiting[cl_ord_id] = time.monotonic()
        self._on_activity()

    def _conclude_late(self) -> None:
        if self._queue.next_deadline() is not None and self._writer.holds:
            for outgoing in self._queue.late(market_now(self._settings)):
                self._conclude_if_unwanted(outgoing)

    def _look_again(self, pause: float | None) -> None:
        """Come back to what waits after so many seconds, or when an order's time runs out; None: not by itself."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if pause is None or self._closing:
            return
        deadline = self._queue.next_deadline()
        pause = min(pause, _LOOK_AGAIN)
        if deadline is not None:
            pause = min(pause, (deadline - market_now(self._settings)).total_seconds())
        self._again = asyncio.get_running_loop().call_later(max(pause, _SHORTEST_PAUSE), self._flush)

    async def send_when_room(self, message: Message, cl_ord_id: str) -> None:
        """Send a question about orders when it is its turn; that about all of them, for which orders wait, is the next.

        Raises:
            fix.session.NotLoggedOn: there is no session, or it ends before that.
        """
        if not self.logged_on:
            raise NotLoggedOn(f"{self._settings.session} is not logged on")
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        question = _Question(message, cl_ord_id, asked)
        if message.msg_type == MsgType.ORDER_MASS_STATUS_REQUEST:
            self._questions.appendleft(question)
        else:
            self._questions.append(question)
        self._flush()
        await asked

    def _transmit(self, message: Message, cl_ord_id: str) -> int:
        number = self._line.send(message)
        _remember(self._sent_numbers, number, (message.msg_type, cl_ord_id))
        if message.msg_type != MsgType.ORDER_STATUS_REQUEST:
            self._reconciler.sent(*filter(None, (message.get(11), message.get(41))))
        self._throttle.note(time.monotonic())
        self._line.keep_numbers()
        return number

    def may_write(self) -> bool:
        """Asked at the socket: the process may have been stopped since the order was looked at."""
        return self._writer.holds and (self._leaving is None or not is_too_late(self._leaving, self._settings))

    # What the venue says

    def _on_message(self, event: MessageReceived) -> None:
        message, number = event.message, event.number
        try:
            report = translate.from_message(message, self._names)
            if report is not None and not self._has_list and not _is_ours(report):
                self._nameless.append(event)
            elif report is not None:
                self._on_report(number, report, resent=event.possible_duplicate)
            elif message.msg_type == MsgType.BUSINESS_MESSAGE_REJECT:
                reject = read_business_message_reject(message)
                _, cl_ord_id = self._sent_numbers.get(reject.ref_seq_num or 0, ("", ""))
                text = reject.text or f"BusinessRejectReason (380) {reject.business_reject_reason}"
                self._on_refusal(number, reject.ref_msg_type, reject.business_reject_ref_id or cl_ord_id, text)
            else:
                self._refuse(message, number)
        except FieldError as error:
            self._alert(number, "UNREADABLE_MESSAGE", f"message {number} ({message.msg_type}) cannot be read: {error}")

    def _on_report(self, number: int, report: Report, *, resent: bool = False) -> None:
        cl_ord_id = report.cl_ord_id
        if report.name and report.order_id:
            _remember(self._names, report.order_id, report.name)
        if report.standing is None:
            self._reconciler.reported(cl_ord_id, report.name, *_names(report), resent=resent)
        elif not resent:
            self._reconciler.answered(number, report)
            if report.standing.request:
                self._on_processed(number)
                return
        if report.kind in ("unknown", "unclear"):
            # What is resent answers an older question: the order may have been sent since. What may refuse either the
            # question or the order is no answer: it is asked about again.
            if not resent and report.kind == "unknown":
                self._answer(report)
            self._on_processed(number)
            return
        if report.kind != "event":
            self._answer(report)
        if report.kind == "duplicate" and cl_ord_id not in self._sent_again:
            text = f"the venue had {cl_ord_id} before, from whomever"
            self._tell("DUPLICATE_CLORDID", text, f"message-{self._writer.lease.generation}-{number}")
            refused = self._unreported.get(cl_ord_id)
            if refused is None or cl_ord_id not in self._sent:
                self._on_processed(number)
                return
            report = self._refusal_of(refused, text)
        named = _names(report)
        reported = [self._unreported.pop(name) for name in named if name in self._unreported]
        if report.kind != "event" and any(not isinstance(one.command, SubmitOrder) for one in reported):
            self._done_unheard.set()
        for one in reported:
            self._waiting.pop(one.cl_ord_id, None)
            waiting = self._queue.get(one.cl_ord_id) or self._held.get(one.cl_ord_id)
            if waiting is not None and waiting.poss_resend:
                self._queue.remove(one.cl_ord_id)  # it had arrived the first time
                self._held.pop(one.cl_ord_id, None)
        entry = next((one for one in reported if one.cl_ord_id == cl_ord_id), self._entries.get(cl_ord_id))
        received = Received(
            report=report,
            origin=self.origin(number),
            received_at=datetime.now(UTC),
            sent_at=self._sent.get(cl_ord_id),
            command=entry.command if entry and (report.kind == "event" or reported) else None,
        )
        self._delivery.take(
            number,
            order_id_of(cl_ord_id) or orphan_order_id(cl_ord_id),
            partial(self._recorder.record, received),
            partial(self._acknowledge, *reported),
        )

    def _answer(self, report: Report | None, cl_ord_id: str = "") -> None:
        """Give the answer, None for a refusal, to whoever has asked about the order."""
        asked = self._answers.pop(report.cl_ord_id if report else cl_ord_id, None)
        if asked is not None and not asked.done():
            asked.set_result(report)

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
            self._on_processed(number)
            return
        if msg_type == MsgType.ORDER_STATUS_REQUEST:
            self._reconciler.does_not_answer(cl_ord_id, text)
            self._answer(None, cl_ord_id)
            self._on_processed(number)
            return
        entry = self._entries.get(cl_ord_id)
        if entry is None:
            self._alert(number, "MESSAGE_REFUSED", f"message {number} refuses {cl_ord_id or 'a message'}: {text}")
            return
        self._on_report(number, self._refusal_of(entry, text))

    def _refuse(self, message: Message, number: int) -> None:
        """A type that we know nothing of (FIX 4.4 volume 2, BusinessMessageReject)."""
        _log.warning("%s: message %d is of unknown type %s", self._settings.session, number, message.msg_type)
        with contextlib.suppress(NotLoggedOn):
            self._transmit(
                business_message_reject(
                    ref_seq_num=number,
                    ref_msg_type=message.msg_type,
                    business_reject_reason=_UNSUPPORTED_MESSAGE,
                    text="unsupported message type",
                ),
                "",
            )
        self._on_processed(number)

    def _alert(self, number: int, code: str, text: str) -> None:
        key = f"message-{self._writer.lease.generation}-{number}"
        self._delivery.take(number, "", partial(self._recorder.alert, code, text, key))

    def _tell(self, code: str, text: str, key: str) -> None:
        """Tell a human, once for each `key`, of what no message of the venue has brought about by itself."""
        self._delivery.take(None, "", partial(self._recorder.alert, code, text, key))

    def _acknowledge(self, *entries: Entry) -> None:
        for entry in entries:
            self._writer.later(*self._outbox.acknowledging(entry))

    def _on_processed(self, number: int) -> None:
        self._line.processed(number)
        self._on_activity()

    def origin(self, number: int) -> Origin:
        return Origin(self._settings.session, self._writer.lease.generation, number)

    async def patiently(self, call: Callable[[], T]) -> T:
        return await self._calls.patiently(call)


def _names(report: Report) -> tuple[str, ...]:
    return translate.named_in(report.event) if report.event else (report.cl_ord_id,)


def _is_ours(report: Report) -> bool:
    """Whether a report says which order of ours it is about; answers do, and what refuses a request."""
    return bool(report.name) or report.kind != "event" or report.symbol is None


def is_too_late(command: VenueCommand, settings: Settings) -> bool:
    """Whether the market's clock has reached the time by which an order had to leave."""
    return (
        isinstance(command, SubmitOrder) and command.deadline is not None and market_now(settings) >= command.deadline
    )


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep the latest; what is older than all that can matter is forgotten."""
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
