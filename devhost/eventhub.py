"""Event Hub triggers: the host's own way in for batches, their delivery, retries and checkpoints.

What is posted is stored as one batch for each function that listens to the hub (split where it is longer than the
host's maximum), and delivered in the order in which it came, one batch at a time for each function and partition. A
batch is forgotten when its function has had it: that is the checkpoint. As Event Hubs has it, a batch whose retries
have all failed is forgotten too. Of several hosts, the owner of function and partition delivers, whoever was posted to.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from azure.functions.eventhub import EventHubTriggerConverter
from azure.functions.meta import Datum

from devhost.app import App, Function, Kind
from devhost.history import stamp
from devhost.ownership import Ownership, SoleOwner
from devhost.scheduler import Scheduler, Work
from devhost.store import BatchRow, Store, Transaction
from devhost.worker import FunctionFailedError, Worker

_LOG = logging.getLogger("devhost")


class HubEvent(msgspec.Struct, frozen=True):
    """One event of a partition. `enqueued_time` is ISO-8601, `body` JSON text."""

    sequence_number: int
    enqueued_time: str
    body: str


class IncomingEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as it is posted; its body is any JSON value."""

    sequence_number: int
    enqueued_time: Annotated[datetime, msgspec.Meta(tz=True)]
    body: msgspec.Raw


class IncomingBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is posted: events of one partition, in the order of their sequence numbers."""

    events: list[IncomingEvent]
    partition: str = "0"


class Stored(msgspec.Struct, frozen=True):
    """What became of a post: how many events are new, and how many were stored before."""

    stored: int
    ignored: int


class UnknownHubError(Exception):
    """No function listens to the hub."""


class OrderError(ValueError):
    """The events of a post are not in the order of their sequence numbers."""


class _Text(msgspec.Struct, frozen=True):
    string: list[str]


class _Bytes(msgspec.Struct, frozen=True):
    bytes: list[bytes]


class EventHubs:
    """The hubs that the app's functions listen to."""

    def __init__(
        self,
        app: App,
        store: Store,
        scheduler: Scheduler,
        worker: Worker,
        *,
        maximum_batch: int,
        background: Sequence[str],
        ownership: Ownership | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._store = store
        self._scheduler = scheduler
        self._worker = worker
        self._maximum_batch = maximum_batch
        self._background = {name.lower() for name in background}
        self._functions = {function.name: function for function in app.of(Kind.EVENT_HUB)}
        self._waiting: dict[tuple[str, str], deque[BatchRow]] = {}
        self._ownership = ownership or SoleOwner()
        self._seen_through = 0

    @property
    def hubs(self) -> set[str]:
        """The names of the hubs."""
        return {str(function.trigger["eventHubName"]) for function in self._functions.values()}

    def recover(self) -> None:
        """Deliver what an earlier process stored and did not deliver, and from now on what other hosts store for us."""
        for name in sorted({row.function for row in self._store.batches()} - set(self._functions)):
            _LOG.warning("batches for %s wait: the app has no such Event Hub trigger now", name)
        self._look()
        self._ownership.watch(self._look)

    def _look(self) -> None:
        """Take up all that is ours, and drop what has become another host's."""
        for key in [key for key in self._waiting if not self._ownership.owns(_key(*key))]:
            for row in self._waiting.pop(key):
                self._scheduler.release(row)
        self._take_up(after=0)

    def _take_up(self, after: int) -> None:
        for row in self._store.batches(after):
            self._seen_through = max(self._seen_through, row.number)
            queue = self._waiting.get((row.function, row.partition))
            is_new = not queue or row.number > queue[-1].number
            if is_new and self._ownership.owns(_key(row.function, row.partition)):
                self._enqueue(row)

    def post(self, hub: str, batch: IncomingBatch) -> Stored:
        """Store events; an event whose sequence number is not above the partition's highest was stored before.

        Raises UnknownHubError and OrderError.
        """
        functions = [each for each in self._functions.values() if each.trigger["eventHubName"] == hub]
        if not functions:
            known = ", ".join(sorted(self.hubs)) or "none"
            raise UnknownHubError(f"no function listens to the hub '{hub}'; hubs are: {known}")
        numbers = [event.sequence_number for event in batch.events]
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            raise OrderError("the events' sequence_number must rise from one to the next")
        with self._store.transaction(f"events for hub {hub}") as tx:
            through = self._store.stored_through(hub, batch.partition)
            new = [
                HubEvent(event.sequence_number, stamp(event.enqueued_time), bytes(event.body).decode())
                for event in batch.events
                if through is None or event.sequence_number > through
            ]
            for function in functions:
                self._add(tx, function, batch.partition, new)
            if new:
                tx.set_stored_through(hub, batch.partition, new[-1].sequence_number)
        self._take_up(after=self._seen_through)
        return Stored(stored=len(new), ignored=len(batch.events) - len(new))

    def _add(self, tx: Transaction, function: Function, partition: str, events: list[HubEvent]) -> None:
        size = self._maximum_batch if function.trigger.get("cardinality", "MANY").upper() == "MANY" else 1
        for begin in range(0, len(events), size):
            text = msgspec.json.encode(events[begin : begin + size]).decode()
            tx.add_batch(BatchRow(tx.number(), function.name, partition, text))

    def _enqueue(self, row: BatchRow) -> None:
        function = self._functions.get(row.function)
        if function is None:
            return
        queue = self._waiting.setdefault((row.function, row.partition), deque())
        queue.append(row)
        if len(queue) == 1:
            self._submit(function, row, retry=0)
        elif function.name.lower() not in self._background:
            self._scheduler.hold(row, _label(row))

    def _submit(self, function: Function, row: BatchRow, retry: int) -> None:
        if function.name.lower() in self._background:
            self._scheduler.submit_background(_label(row), lambda: self._deliver(function, row, retry))
        else:
            self._scheduler.submit(Work.BATCH, _label(row), lambda: self._deliver(function, row, retry))
            self._scheduler.release(row)

    async def _deliver(self, function: Function, row: BatchRow, retry: int) -> None:
        key = _key(row.function, row.partition)
        if not self._ownership.owns(key) or not self._has_turn(row):
            return
        with self._ownership.working(key):
            try:
                await self._worker.call(function, decode(function, row), retry)
            except FunctionFailedError as failure:
                _LOG.error("Event Hub trigger %s raised", function.name, exc_info=failure.__cause__)
                if function.retry is not None and not 0 <= function.retry.maximum_retries <= retry:
                    if function.name.lower() not in self._background:
                        self._scheduler.hold(row, f"retry of {_label(row)}")
                    self._loop.call_later(function.retry.delay(retry + 1), self._submit, function, row, retry + 1)
                    return
                _LOG.error("%s: given up; the checkpoint passes it", _label(row))
            with self._store.transaction(f"checkpoint of {_label(row)}") as tx:
                tx.delete_batch(row.number)
        if self._has_turn(row):
            queue = self._waiting[row.function, row.partition]
            queue.popleft()
            if queue:
                self._submit(function, queue[0], retry=0)

    def _has_turn(self, row: BatchRow) -> bool:
        """Whether the batch is the next of its partition, which may have gone to another host meanwhile."""
        queue = self._waiting.get((row.function, row.partition))
        return bool(queue) and queue is not None and queue[0] is row


def _key(function: str, partition: str) -> str:
    return f"hub:{function}:{partition}"


def decode(function: Function, row: BatchRow) -> Any:
    """What the function gets for a batch: one event or a list of them, made as the worker makes them."""
    events = msgspec.json.decode(row.events, type=list[HubEvent])
    is_binary = function.trigger.get("dataType") == "BINARY"
    if function.trigger.get("cardinality", "MANY").upper() != "MANY":
        body = events[0].body
        if function.takes_text:
            return body
        return EventHubTriggerConverter.decode(
            Datum(body, "string"), trigger_metadata=_single(function, row, events[0])
        )
    bodies = [event.body for event in events]
    if is_binary:
        data = Datum(_Bytes([body.encode() for body in bodies]), "collection_bytes")
    else:
        data = Datum(_Text(bodies), "collection_string")
    return EventHubTriggerConverter.decode(data, trigger_metadata=_many(function, row, events))


def _many(function: Function, row: BatchRow, events: Sequence[HubEvent]) -> dict[str, Datum]:
    properties = [_properties(event) for event in events]
    arrays = {
        "SystemPropertiesArray": properties,
        "SequenceNumberArray": [event.sequence_number for event in events],
        "OffsetArray": [str(event.sequence_number) for event in events],
        "EnqueuedTimeUtcArray": [event.enqueued_time for event in events],
        "PartitionKeyArray": [None for _ in events],
        "PropertiesArray": [{} for _ in events],
        "PartitionContext": _context(function, row),
    }
    return {name: _json(value) for name, value in arrays.items()}


def _single(function: Function, row: BatchRow, event: HubEvent) -> dict[str, Datum]:
    return {
        "SystemProperties": _json(_properties(event)),
        "Properties": _json({}),
        "SequenceNumber": Datum(event.sequence_number, "int"),
        "Offset": Datum(str(event.sequence_number), "string"),
        "EnqueuedTimeUtc": Datum(event.enqueued_time, "string"),
        "PartitionContext": _json(_context(function, row)),
    }


def _properties(event: HubEvent) -> dict[str, Any]:
    return {
        "SequenceNumber": event.sequence_number,
        "Offset": str(event.sequence_number),
        "PartitionKey": None,
        "EnqueuedTimeUtc": event.enqueued_time,
    }


def _context(function: Function, row: BatchRow) -> dict[str, Any]:
    return {
        "FullyQualifiedNamespace": "devhost",
        "EventHubName": function.trigger["eventHubName"],
        "ConsumerGroup": function.trigger.get("consumerGroup") or "$Default",
        "PartitionId": row.partition,
    }


def _json(value: Any) -> Datum:
    return Datum(msgspec.json.encode(value).decode(), "json")


def _label(row: BatchRow) -> str:
    return f"Event Hub batch {row.number} of {row.function}"
