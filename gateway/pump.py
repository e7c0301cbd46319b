"""What the holder of the lease does for as long as it holds it: one epoch of the session.

It puts the parts together, and ends them in order, so that nothing leaves once the lease is given back:

    line      connections to the venue, and sequence numbers
    ledger    what is known of what was claimed
    claiming  orders and requests are made this epoch's own
    leaving   what was claimed is sent, or given up; questions too
    settling  what an older epoch has claimed is asked about, and perhaps sent again
    hearing   what the venue says
    telling   to the journal, to whoever waits for an order, to humans
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from fix.events import LoggedOn, LoggedOut, MessageReceived, MessageRefused, Rejected, SessionEvent
from fix.message import Message
from gateway.asking import Reconciler
from gateway.calls import Calls
from gateway.claiming import Claiming
from gateway.delivery import Delivery, Recorder, Wake
from gateway.hearing import Hearing
from gateway.journal import Origin
from gateway.lease import Held, Lease, LeaseWriter
from gateway.leaving import Leaving
from gateway.ledger import Ledger
from gateway.line import Ends, Line, Reserve
from gateway.outbox import Entry, Outbox, State
from gateway.resets import RESET_PATH, ResetRequests, marked
from gateway.settling import Settling
from gateway.telling import Telling
from storage.reconciliations import Reconciliations
from storage.secrets import Credentials
from storage.settings import Settings
from storage.tables import Tables

_log = logging.getLogger("gateway.pump")
T = TypeVar("T")

_DRAIN_TIMEOUT = 2.0
_ADMINISTRATIVE_RESERVE = 10
"""Numbers of a block that are left to heartbeats and the like while the next block is being reserved."""
_ENDS_SLOWLY = 10.0
"""Seconds after the Logout after which a human is told that the epoch cannot end."""


class Pump:
    """One epoch. Everything but `accepts`, `holds` and `has_claimed` belongs to the thread of its event loop."""

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
        self._on_activity = on_activity
        self._on_text = on_text
        self._resets = ResetRequests(tables, settings.session)
        self._ending = asyncio.Event()
        self._asked_to_reset = False
        self._calls = calls = Calls(settings.session, pool)
        self._writer = writer = LeaseWriter(
            tables.sessions, settings.session, held, lease_seconds=settings.lease_seconds
        )
        self._line = line = Line(
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
            writer=writer,
            calls=calls,
            reserve=Reserve(
                least=_ADMINISTRATIVE_RESERVE, few=max(settings.sequence_block / 2, _ADMINISTRATIVE_RESERVE)
            ),
        )
        self._ledger = ledger = Ledger()
        self._delivery = delivery = Delivery(wake, pool, self._processed)
        self._telling = telling = Telling(
            settings=settings,
            writer=writer,
            line=line,
            outbox=outbox,
            recorder=recorder,
            delivery=delivery,
            on_activity=on_activity,
        )
        self._reconciler = reconciler = Reconciler(
            settings=settings, recorder=recorder, records=Reconciliations(tables), delivery=delivery, epoch=self
        )
        self._leaving = leaving = Leaving(
            settings=settings,
            writer=writer,
            outbox=outbox,
            line=line,
            ledger=ledger,
            telling=telling,
            reconciler=reconciler,
            on_activity=on_activity,
        )
        self._claiming = claiming = Claiming(
            settings=settings, writer=writer, outbox=outbox, calls=calls, line=line, ledger=ledger, leaving=leaving
        )
        self._settling = settling = Settling(
            settings=settings,
            writer=writer,
            outbox=outbox,
            recorder=recorder,
            calls=calls,
            ledger=ledger,
            telling=telling,
            leaving=leaving,
            claiming=claiming,
            reconciler=reconciler,
        )
        self._hearing = Hearing(
            settings=settings, ledger=ledger, telling=telling, leaving=leaving, settling=settling, reconciler=reconciler
        )

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
    def holds(self) -> bool:
        """Whether the lease is still held; may be asked by any thread."""
        return self._writer.holds

    @property
    def logged_on(self) -> bool:
        return self._line.logged_on

    @property
    def accepts(self) -> bool:
        """Whether an order may be handed in here, instead of being put into the outbox as pending."""
        return self._claiming.accepts

    @property
    def ready(self) -> bool:
        """Whether what is handed in leaves at once."""
        return self._leaving.is_open

    @property
    def busy(self) -> bool:
        """Whether anything is under way that does not wait for release() or for a connection."""
        asking = not self.ready or self._reconciler.busy
        recovering = self.logged_on and (asking or self._claiming.is_looking)
        unsent = self.logged_on and self._leaving.has_waiting
        writing = self._claiming.is_claiming or self._leaving.is_giving_up
        return recovering or unsent or writing or self._line.has_under_way or self._delivery.busy

    @property
    def held(self) -> int:
        return self._leaving.held

    @property
    def next_outbound(self) -> int:
        return self._line.next_outbound

    @property
    def next_inbound(self) -> int:
        return self._line.next_inbound

    def has_claimed(self, cl_ord_id: str) -> bool:
        return self._ledger.has_claimed(cl_ord_id)

    def tell_unanswered(self, patience: float) -> None:
        """Tell a human, once for each, of what was sent and not reported for so many seconds."""
        for cl_ord_id in self._ledger.take_unanswered(time.monotonic() - patience):
            text = f"{cl_ord_id} was sent {patience:.0f} s ago or more, and the venue has not said anything of it"
            self._telling.tell_human("UNANSWERED", text, f"unanswered-{cl_ord_id}")

    def look_now(self, entry: Entry) -> None:
        """This is new in the outbox."""
        self._leaving.note_cancel(entry.command)
        self._claiming.look_now()

    async def accept(self, entry: Entry) -> State:
        """Claim an entry, so that it is sent; how far it has come. A repeat changes nothing.

        Raises:
            LeaseLostError: this process may not, or may no longer, claim.
        """
        return await self._claiming.accept(entry)

    def release(self) -> int:
        """Send what is held, in the order of the ClOrdIDs; how many that were."""
        return self._leaving.release()

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
        claiming = asyncio.create_task(self._claiming.run())
        tasks = [writer, lease, connecting, claiming, asyncio.create_task(self._delivery.run())]
        stop = asyncio.create_task(stopping.wait())
        end = asyncio.create_task(self._ending.wait())
        resting: asyncio.Task[None] | None = None
        telling: asyncio.TimerHandle | None = None
        try:
            watched: list[asyncio.Future[Any]] = [*tasks, self._leaving.failure, stop, end]
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self._close()
            await self._end_session()
            # Before the lease goes: a connection that is only being made would log on after that.
            await self._hang_up(connecting)
            if end.done():
                resting = asyncio.create_task(self._rest(claiming))
                telling = asyncio.get_running_loop().call_later(_ENDS_SLOWLY, self._tell_slow_end)
                watched = [writer, lease, self._leaving.failure, stop, resting]
                done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            self._writer.advance_inbound(self.next_inbound)
            self._writer.give_back()
            await writer
        finally:
            if telling is not None:
                telling.cancel()
            everything: list[asyncio.Future[Any]] = [*tasks, stop, end]
            everything += [*self._line.end("the session's lease is over"), *self._claiming.end(), *self._leaving.end()]
            everything += [resting] if resting else []
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def _connect(self) -> None:
        await self._settling.take_over()
        await self._line.stay_connected()

    # The end

    def _close(self) -> None:
        """From here on nothing is claimed and no order leaves, and no further connection is made."""
        self._claiming.close()
        self._leaving.close()
        self._line.close()

    async def _end_session(self) -> None:
        """Log out, and let what has come until then go its way."""
        patience = min(_DRAIN_TIMEOUT, self._settings.lease_seconds / 3)
        deadline = time.monotonic() + patience
        await self._line.log_out(patience)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await self._line.until_all_processed()

    async def _hang_up(self, connecting: "asyncio.Task[None]") -> None:
        """From here on there is no connection, and there will be none."""
        connecting.cancel()
        await asyncio.wait([connecting])
        self._line.hang_up("the epoch ends")

    async def _rest(self, claiming: "asyncio.Task[None]") -> None:
        """After the Logout: what has come is journalled and delivered, what was given up is told, and what has not left
        is pending again.

        The next numbers may be those of the session's next hours. By then the venue may have forgotten these, and of an
        order that is claimed nobody could say whether it had left.
        """
        self.has_listed()  # no list is to come any more
        self._claiming.look_now()
        await claiming
        await self._claiming.until_claimed()
        await self._leaving.until_given_up()
        unsent = self._leaving.take_back()
        await asyncio.gather(*(self._writer.commit(*self._outbox.giving_back(entry)) for entry in unsent))
        await self._line.until_all_processed()
        await self._delivery.until_idle()  # what was given up is told, too: the next epoch may begin days later
        if self._asked_to_reset:
            await self._writer.commit(self._resets.taking_up(), change=marked)

    def _tell_slow_end(self) -> None:
        """The session stays out until this is over, also in its next hours."""
        text = f"logged out for {_ENDS_SLOWLY:g} s or more, and the session cannot end nor begin again: "
        if self._line.has_under_way:
            text += f"message {self.next_inbound} of the venue is not yet journalled and delivered; the log says why"
        else:
            text += "what has not left could not be written back, or told, yet; the log says why"
        self.say(text)
        self._telling.tell_human("SESSION_ENDS_SLOWLY", text, f"ends-slowly-{self.epoch}")

    # What the line asks and tells

    def may_write(self) -> bool:
        return self._leaving.may_write()

    def may_resend(self, message: Message) -> bool:
        return self._settling.may_resend(message)

    def on_event(self, event: SessionEvent) -> None:
        match event:
            case LoggedOn():
                _log.info("%s: logged on, epoch %d", self._settings.session, self.epoch)
                self._hearing.logged_on()
            case LoggedOut():
                self._leaving.shut()
            case MessageReceived():
                self._on_activity()
                self._hearing.message(event)
            case MessageRefused():
                self._on_activity()
                self._hearing.refused_message(event)
            case Rejected():
                self._on_activity()
                self._hearing.rejected(event)
            case _:
                pass

    async def while_logged_on(self) -> None:
        await self._settling.run()

    def on_end(self) -> None:
        self._leaving.disconnected()

    def on_room(self) -> None:
        self._leaving.flush()

    def say(self, text: str) -> None:
        self._on_text(text)
        if text:
            _log.warning("%s: %s", self._settings.session, text)

    # What the reconciliation asks

    @property
    def in_flight(self) -> frozenset[str]:
        """The ClOrdIDs of what was claimed, and of which the venue has said nothing yet."""
        return self._ledger.unreported_ids

    def has_listed(self) -> None:
        """The venue has named its open orders, or will not."""
        self._hearing.has_listed()

    async def send_when_room(self, message: Message, cl_ord_id: str) -> None:
        """Raises `fix.session.NotLoggedOn`."""
        await self._leaving.send_when_room(message, cl_ord_id)

    async def patiently(self, call: Callable[[], T]) -> T:
        return await self._calls.patiently(call)

    def origin(self, number: int) -> Origin:
        return self._telling.origin(number)

    # What the delivery tells

    def _processed(self, number: int) -> None:
        self._telling.processed(number)
