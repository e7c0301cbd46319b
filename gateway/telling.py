"""Who is told what: the journal and whoever waits for an order, what became of it; a human, what they cannot handle.

What is told may have been the last that is to be known of an entry, which is then acknowledged.
"""

import logging
from collections.abc import Callable
from functools import partial

from gateway import translate
from gateway.delivery import Delivery, Received, Recorder
from gateway.journal import Origin
from gateway.lease import LeaseWriter
from gateway.line import Line
from gateway.outbox import Entry, Outbox
from storage.clock import market_now
from storage.settings import Settings
from trading.identity import order_id_of, orphan_order_id
from trading.journal import JournalRow

_log = logging.getLogger("gateway.telling")


class Telling:
    """One for each epoch, in its event loop."""

    def __init__(
        self,
        *,
        settings: Settings,
        writer: LeaseWriter,
        line: Line,
        outbox: Outbox,
        recorder: Recorder,
        delivery: Delivery,
        on_activity: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._line = line
        self._outbox = outbox
        self._recorder = recorder
        self._delivery = delivery
        self._on_activity = on_activity

    def origin(self, number: int) -> Origin:
        return Origin(self._settings.session, self._writer.lease.generation, number)

    # Of a message of the venue's

    def report(self, received: Received, answered: list[Entry]) -> None:
        """It is about an order; and the first word about the entries `answered`."""
        cl_ord_id = received.report.cl_ord_id
        self._delivery.take(
            received.origin.number,
            order_id_of(cl_ord_id) or orphan_order_id(cl_ord_id),
            partial(self._recorder.record, received),
            partial(self._acknowledge, *answered),
        )

    def alert(self, number: int, code: str, text: str) -> None:
        """It says what a human has to know, and nobody else."""
        self._delivery.take(number, "", partial(self._recorder.alert, code, text, self.key(number)))

    def key(self, number: int) -> str:
        """That by which a human is told of the message once."""
        return f"message-{self._writer.lease.generation}-{number}"

    def processed(self, number: int) -> None:
        """It need not be told, or has been."""
        self._line.processed(number)
        self._on_activity()

    # Of what no message brings again

    def known(self, entry: Entry, row: JournalRow) -> None:
        """The journal tells of it already; perhaps whoever waits for it was not told."""
        self._delivery.take(None, entry.order_id, lambda: row, partial(self._acknowledge, entry))

    def given_up(self, entry: Entry) -> None:
        """It will not leave any more, for the reason that it has; that is written down."""
        text = f"not at the venue and no longer wanted: {entry.reason}"
        _log.warning("%s: %s is %s", self._settings.session, entry.cl_ord_id, text)
        event = translate.refused(entry.command, text, market_now(self._settings))
        record = partial(self._recorder.conclude, entry, event)
        self._delivery.take(None, entry.order_id, record, partial(self._acknowledge, entry))

    def tell_human(self, code: str, text: str, key: str) -> None:
        """Once for each `key`."""
        self._delivery.take(None, "", partial(self._recorder.alert, code, text, key))

    def _acknowledge(self, *entries: Entry) -> None:
        for entry in entries:
            self._writer.later(*self._outbox.acknowledging(entry))
