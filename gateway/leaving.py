"""What leaves for the venue, and what does not after all.

Orders and requests that this epoch has claimed wait here for their turn (`sending`), for the venue's limit (`throttle`)
and for a session; questions about orders take turns with them. What is no longer wanted by then is given up: that is
written down under the lease, and then told.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from fix.message import Message
from fix.orders import MsgType
from fix.session import NotLoggedOn
from gateway import translate
from gateway.asking import Reconciler
from gateway.lease import LeaseLostError, LeaseWriter
from gateway.ledger import Ledger, Sent
from gateway.line import Line
from gateway.outbox import Entry, Outbox
from gateway.sending import SendQueue, urgency_of
from gateway.telling import Telling
from gateway.throttle import Throttle
from storage.clock import market_now
from storage.settings import Settings
from trading.commands import CancelOrder, SubmitOrder, VenueCommand

_LOOK_AGAIN = 0.5
"""Seconds after which what waits is looked at again: whose time runs out is told so, even where the market's clock is
set by somebody."""
_SHORTEST_PAUSE = 0.001


class _Outgoing(msgspec.Struct, frozen=True):
    entry: Entry
    poss_resend: bool = False


class _Question(msgspec.Struct, frozen=True):
    """A message about orders, which waits for its turn; `asked` is done when it has left."""

    message: Message
    cl_ord_id: str
    asked: "asyncio.Future[None]"


class Leaving:
    """One for each epoch, in its event loop. Orders leave when it is open, questions whenever there is a session."""

    def __init__(
        self,
        *,
        settings: Settings,
        writer: LeaseWriter,
        outbox: Outbox,
        line: Line,
        ledger: Ledger,
        telling: Telling,
        reconciler: Reconciler,
        on_activity: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._outbox = outbox
        self._line = line
        self._ledger = ledger
        self._telling = telling
        self._reconciler = reconciler
        self._on_activity = on_activity
        self._is_open = False
        self._closed = False
        self._queue = SendQueue[_Outgoing]()  # claimed by this epoch and not sent
        self._held: dict[str, _Outgoing] = {}  # the same, waiting for release()
        self._questions: deque[_Question] = deque()
        self._asked_last = False
        self._being_sent: VenueCommand | None = None
        self._throttle = Throttle(settings.fix_messages_per_second, time.monotonic())
        self._again: asyncio.TimerHandle | None = None
        self._giving_up: dict[asyncio.Task[None], str] = {}  # the lane of each
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Has the error because of which something could not be given up: the epoch cannot go on."""

    @property
    def is_open(self) -> bool:
        """Whether what is handed in leaves at once. May be asked by any thread."""
        return self._is_open

    @property
    def has_waiting(self) -> bool:
        """Whether anything waits that does not wait for release()."""
        return len(self._queue) > 0

    @property
    def is_giving_up(self) -> bool:
        return bool(self._giving_up)

    @property
    def held(self) -> int:
        """How many wait for release()."""
        return len(self._held)

    def waits(self, cl_ord_id: str) -> bool:
        """Whether it has not left yet, of what this epoch has claimed."""
        return cl_ord_id in self._queue or cl_ord_id in self._held

    # When orders leave

    def open(self) -> None:
        """Have orders leave from here on, while there is a session."""
        self._is_open = not self._closed and self._line.logged_on
        self.flush()

    def shut(self) -> None:
        """There is no session: no order leaves until it is open again."""
        self._is_open = False

    def disconnected(self) -> None:
        """The same, and who waits for a question to leave need not wait any longer."""
        self.shut()
        for question in self._questions:
            if not question.asked.done():
                question.asked.set_exception(NotLoggedOn(f"{self._settings.session}: the connection has ended"))
        self._questions.clear()

    def close(self) -> None:
        """No order leaves any more, in this epoch."""
        self._closed = True
        self.shut()

    def end(self) -> list[asyncio.Future[Any]]:
        """Nothing happens by itself any more. What is under way is to be cancelled."""
        self.close()
        self._look_again(None)
        return [self.failure, *self._giving_up]

    async def until_given_up(self) -> None:
        while self._giving_up:  # each may bring others of its order along
            await asyncio.wait([*self._giving_up])

    def take_back(self) -> list[Entry]:
        """Take out all that waits; of that, what has never left."""
        unsent = [one.entry for one in (*self._queue.take_all(), *self._held.values()) if not one.poss_resend]
        self._held.clear()
        return unsent

    # What waits

    def take_up(self, entry: Entry, *, poss_resend: bool) -> None:
        """The row says that the entry is ours: from here on it may leave. `poss_resend`: it may have left before."""
        entry = msgspec.structs.replace(entry, state="claimed", epoch=self._writer.lease.epoch)
        self._ledger.note_taken_up(entry)
        self.note_cancel(entry.command)
        outgoing = _Outgoing(entry, poss_resend)
        if self._settings.order_release == "manual":
            self._held[entry.cl_ord_id] = outgoing
        elif not self._writer.holds or not self._conclude_if_unwanted(outgoing):
            self._enqueue(outgoing)
        self._on_activity()
        self.flush()

    def release(self) -> int:
        """Send what is held, in the order of the ClOrdIDs; how many that were."""
        if not self._is_open:
            return 0
        released = sorted(self._held.values(), key=lambda outgoing: outgoing.entry.place)
        self._held.clear()
        for outgoing in released:
            self._enqueue(outgoing)
        self.flush()
        return len(released)

    def has_arrived(self, cl_ord_id: str) -> None:
        """The venue has spoken of it: it need not leave again, if it waits for that."""
        waiting = self._queue.get(cl_ord_id) or self._held.get(cl_ord_id)
        if waiting is not None and waiting.poss_resend:
            self._queue.remove(cl_ord_id)
            self._held.pop(cl_ord_id, None)

    def note_cancel(self, command: VenueCommand) -> None:
        """An order that waits and is asked to be cancelled need not wait for its turn to be told."""
        if isinstance(command, CancelOrder):
            self._ledger.note_cancelled(command.orig_cl_ord_id)
            cancelled = self._queue.get(command.orig_cl_ord_id)
            if cancelled is not None and self._writer.holds:
                self._conclude_if_unwanted(cancelled)

    async def send_when_room(self, message: Message, cl_ord_id: str) -> None:
        """Send a question about orders when it is its turn; that about all of them, for which orders wait, is the next.

        Raises:
            fix.session.NotLoggedOn: there is no session, or it ends before that.
        """
        if not self._line.logged_on:
            raise NotLoggedOn(f"{self._settings.session} is not logged on")
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        question = _Question(message, cl_ord_id, asked)
        if message.msg_type == MsgType.ORDER_MASS_STATUS_REQUEST:
            self._questions.appendleft(question)
        else:
            self._questions.append(question)
        self.flush()
        await asked

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

    # What leaves

    def flush(self) -> None:
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

    def send(self, message: Message, cl_ord_id: str = "") -> int:
        """Send at once; its number. Raises `fix.session.NotLoggedOn`."""
        number = self._line.send(message)
        self._ledger.note_leaving(number, Sent(message.msg_type, cl_ord_id))
        if message.msg_type != MsgType.ORDER_STATUS_REQUEST:
            self._reconciler.sent(*filter(None, (message.get(11), message.get(41))))
        self.count()
        self._line.keep_numbers()
        return number

    def count(self) -> None:
        """A message leaves, and counts against the venue's limit."""
        self._throttle.note(time.monotonic())

    def may_write(self) -> bool:
        """Asked at the socket: the process may have been stopped since the order was looked at."""
        return self._writer.holds and (self._being_sent is None or not is_too_late(self._being_sent, self._settings))

    @property
    def _orders_may_leave(self) -> bool:
        return self._is_open and self._queue.first(held_back=self._held_back) is not None

    @property
    def _held_back(self) -> frozenset[str]:
        """The lanes of what is given up: the next may be a cancel of just that, whose answer would come first."""
        return frozenset(self._giving_up.values())

    def _send_question(self) -> None:
        question = self._questions[0]
        if not question.asked.done():  # who has asked may have gone
            self.send(question.message, question.cl_ord_id)
            question.asked.set_result(None)
            self._asked_last = True
        self._questions.popleft()

    def _send_order(self) -> None:
        outgoing = self._queue.first(held_back=self._held_back)
        if outgoing is None or self._conclude_if_unwanted(outgoing):
            return
        entry = outgoing.entry
        cl_ord_id = entry.cl_ord_id
        message = translate.to_message(entry.command, entry.at, poss_resend=outgoing.poss_resend)
        self._being_sent = entry.command
        try:
            number = self.send(message, cl_ord_id)
        finally:
            self._being_sent = None
        self._asked_last = False
        self._queue.take(held_back=self._held_back)
        if outgoing.poss_resend:
            self._ledger.note_sent_again(cl_ord_id)
        sent_at = datetime.now(UTC)
        entry = msgspec.structs.replace(entry, state="sent", number=number, sent_at=sent_at)
        self._ledger.note_sent(entry, sent_at, time.monotonic())
        self._writer.later(*self._outbox.noting_sent(entry))
        self._on_activity()

    def _look_again(self, pause: float | None) -> None:
        """Come back to what waits after so many seconds, or when an order's time runs out; None: not by itself."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if pause is None or self._closed:
            return
        deadline = self._queue.next_deadline()
        pause = min(pause, _LOOK_AGAIN)
        if deadline is not None:
            pause = min(pause, (deadline - market_now(self._settings)).total_seconds())
        self._again = asyncio.get_running_loop().call_later(max(pause, _SHORTEST_PAUSE), self.flush)

    # What does not leave

    def reason_against(self, command: VenueCommand) -> str:
        """Why a command is no longer wanted; empty where it is."""
        if is_too_late(command, self._settings):
            return "its time is over"
        if isinstance(command, SubmitOrder):
            return "it was asked to be cancelled" if self._ledger.was_cancelled(command.cl_ord_id) else ""
        return "the order it is about has not left" if self._ledger.has_never_left(command.orig_cl_ord_id) else ""

    def _conclude_late(self) -> None:
        if self._queue.next_deadline() is not None and self._writer.holds:
            for outgoing in self._queue.late(market_now(self._settings)):
                self._conclude_if_unwanted(outgoing)

    def _conclude_if_unwanted(self, outgoing: _Outgoing) -> bool:
        reason = self.reason_against(outgoing.entry.command)
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
        self._ledger.note_concluded(entry.cl_ord_id, may_have_left=outgoing.poss_resend)
        giving_up = asyncio.get_running_loop().create_task(self._give_up(entry, reason))
        self._giving_up[giving_up] = self._lane(entry)
        giving_up.add_done_callback(self._gave_up)

    def _gave_up(self, task: asyncio.Task[None]) -> None:
        del self._giving_up[task]
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.failure.done():
            self.failure.set_exception(error)
        self.flush()

    async def _give_up(self, entry: Entry, reason: str) -> None:
        """Nobody is told by whom the lease has left meanwhile: the next holder may have sent it."""
        entry = msgspec.structs.replace(entry, reason=reason)
        with contextlib.suppress(LeaseLostError):
            await self._writer.commit(*self._outbox.giving_up(entry))
            self._telling.given_up(entry)
            for other in self._queue.lane(self._lane(entry)):
                # By then it may have gone with another.
                if other.entry.order_id == entry.order_id and other.entry.cl_ord_id in self._queue:
                    self._conclude_if_unwanted(other)


def is_too_late(command: VenueCommand, settings: Settings) -> bool:
    """Whether the market's clock has reached the time by which an order had to leave."""
    return (
        isinstance(command, SubmitOrder) and command.deadline is not None and market_now(settings) >= command.deadline
    )
