"""How an epoch makes orders and requests its own: those that are handed in here, and those that it finds in the outbox.

Each is claimed in one transaction with the lease, and may leave only after that.
"""

import asyncio
import contextlib
import logging
from functools import partial

from azure.core.exceptions import AzureError

from gateway.calls import Calls
from gateway.lease import LeaseLostError, LeaseWriter, RowRefusedError
from gateway.leaving import Leaving, is_too_late
from gateway.ledger import Ledger
from gateway.line import Line
from gateway.outbox import Entry, Outbox, State, Stored
from storage.settings import Settings

_log = logging.getLogger("gateway.claiming")

_FIRST_POLL, _LONGEST_POLL = 0.1, 2.0


class Claiming:
    """One for each epoch, in its event loop. `run` has to be running; only `accepts` may be asked by any thread."""

    def __init__(
        self,
        *,
        settings: Settings,
        writer: LeaseWriter,
        outbox: Outbox,
        calls: Calls,
        line: Line,
        ledger: Ledger,
        leaving: Leaving,
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._outbox = outbox
        self._calls = calls
        self._line = line
        self._ledger = ledger
        self._leaving = leaving
        self._claiming: dict[str, asyncio.Task[State]] = {}
        self._look = asyncio.Event()
        self._looking = False
        self._closed = False

    @property
    def accepts(self) -> bool:
        """Whether an order may be handed in here, instead of being put into the outbox as pending."""
        return self._leaving.is_open and self._writer.holds

    @property
    def is_looking(self) -> bool:
        """Whether it looks into the outbox because there may be something, or is about to."""
        return self._look.is_set() or self._looking

    @property
    def is_claiming(self) -> bool:
        """Whether something that was handed in here is being written down."""
        return bool(self._claiming)

    def look_now(self) -> None:
        """There may be something new in the outbox."""
        self._look.set()

    async def accept(self, entry: Entry) -> State:
        """Claim an entry, so that it is sent; how far it has come. A repeat changes nothing.

        Raises:
            LeaseLostError: this process may not, or may no longer, claim.
        """
        if self._closed:
            raise LeaseLostError(f"{self._settings.session}: epoch {self._writer.lease.epoch} ends")
        cl_ord_id = entry.cl_ord_id
        state = self._ledger.state(cl_ord_id)
        if state is not None:
            return state
        claim = self._claiming.get(cl_ord_id)
        if claim is None:
            claim = asyncio.get_running_loop().create_task(self._claim_new(entry))
            self._claiming[cl_ord_id] = claim
            claim.add_done_callback(lambda _: self._claiming.pop(cl_ord_id))
        return await asyncio.shield(claim)

    async def claim(self, stored: Stored) -> None:
        """Claim what is in the outbox, so that it is sent. Raises RowRefusedError where it has changed since."""
        await self._writer.commit(*self._outbox.claiming(stored, self._writer.lease.epoch))
        self._leaving.take_up(stored.entry, poss_resend=False)

    async def claim_anew(self, stored: Stored) -> None:
        """The same of what an older connection may have sent, unless its report comes before that is written down."""
        await self._writer.commit(*self._outbox.claiming(stored, self._writer.lease.epoch))
        if self._ledger.unreported(stored.entry.cl_ord_id) is not None:
            _log.warning("%s: %s is to be sent again", self._settings.session, stored.entry.cl_ord_id)
            self._leaving.take_up(stored.entry, poss_resend=True)

    def close(self) -> None:
        """Nothing is claimed any more, but for what is being written down."""
        self._closed = True

    async def until_claimed(self) -> None:
        """Wait for what is being written down."""
        await asyncio.gather(*self._claiming.values(), return_exceptions=True)

    def end(self) -> list[asyncio.Task[State]]:
        """What is under way is to be cancelled."""
        self.close()
        return [*self._claiming.values()]

    async def run(self) -> None:
        """Look for what other processes have put into the outbox: often after there was something, else rarely.

        Without a session nothing is claimed; what is looked for then are cancels of what waits for one.
        """
        pause = _FIRST_POLL
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look.wait()
            if self._closed:
                return
            self._line.keep_numbers()
            self._leaving.flush()  # a second line behind its own timer: what waits is not forgotten
            self._looking = self._look.is_set()
            self._look.clear()
            if not self._leaving.is_open and not self._leaving.has_waiting:
                self._looking, pause = False, _LONGEST_POLL  # when orders may leave, it is told to look at once
                continue
            try:
                found = await self._calls.once(partial(self._outbox.unfinished, self._ledger.known))
            except AzureError as error:
                _log.warning("%s: the outbox could not be read: %s", self._settings.session, error)
                self._looking, pause = False, _LONGEST_POLL
                continue
            pending = [stored for stored in found if stored.entry.state == "pending"]
            for stored in pending:
                # Before any is claimed: an order that was given back may be there with its cancel, which is later.
                self._leaving.note_cancel(stored.entry.command)
            for stored in pending:
                if not self.accepts:
                    break
                await self._claim_pending(stored)
            has_news = self._leaving.is_open and (pending or self._looking)
            pause = _FIRST_POLL if has_news else min(2 * pause, _LONGEST_POLL)
            self._looking = False

    async def _claim_pending(self, stored: Stored) -> None:
        command = stored.entry.command
        try:
            # Whoever has asked for its cancel already waits to be told of it, and is: what is claimed is given up.
            if is_too_late(command, self._settings) and not self._ledger.was_cancelled(command.cl_ord_id):
                _log.warning("%s: %s is too late and not sent", self._settings.session, command.cl_ord_id)
                await self._writer.commit(*self._outbox.burying(stored))
            else:
                await self.claim(stored)
        except RowRefusedError:
            _log.info("%s: %s was taken back", self._settings.session, command.cl_ord_id)

    async def _claim_new(self, entry: Entry) -> State:
        try:
            await self._writer.commit(*self._outbox.claiming_new(entry, self._writer.lease.epoch))
        except RowRefusedError:
            stored = await self._calls.patiently(partial(self._outbox.read, entry.cl_ord_id))
            if stored is None:
                raise
            self._look.set()
            return stored.entry.state
        self._leaving.take_up(entry, poss_resend=False)
        return "sent" if self._ledger.sent_at(entry.cl_ord_id) else "claimed"
