"""Market data comes in: an Event Hub, whose messages are one `Tick` or one `Bar` each.

Orders that wait for a price are told, and then the signals of the batch are started.

Where this partition is, nobody need write down here. The truth is the strategy's state, which is stored together with
the last sequence number it has seen, and which leaves out what it has seen; and a watch, which knows what its order was
told, and of which messages. The cursors below only save the work for messages that come again; a process that has just
started knows none and loses nothing by it.
"""

import asyncio
import logging
import typing
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import azure.durable_functions as df
import azure.functions as func
import msgspec

from storage.services import alerts, watches
from storage.settings import settings
from storage.watches import Rule
from trading.market import MarketData, Tick
from trading.messages import MarketBatch, Numbered, encoded
from trading.specs import SpecError, check_symbol
from trading.watches import Arrival, Watch, judged
from triggers.instances import start
from triggers.instructing import tell

LARGE_BATCH = 1000
"""Messages. Below it nothing is conflated; host.json's `maxEventBatchSize` keeps ordinary batches far below it."""

_TRIES = 40
_BETWEEN_TRIES = 0.05

bp = df.Blueprint()
_log = logging.getLogger(__name__)
_cursors: dict[str, int] = {}
"""The last sequence number for which a pipeline was started in this process, by partition."""
_told: dict[str, int] = {}
"""The last one up to which orders that wait for a price were told."""


class UnreadableMessageError(ValueError):
    """A message is not a tick or a bar; says why."""


class PartitionBusyError(Exception):
    """The pipeline of the batch before still runs. The trigger's retry policy delivers this batch again."""


# Event Hubs moves its checkpoint past a batch that failed, so the policy repeats until it succeeds: -1 is "for ever".
@bp.retry(
    strategy="exponential_backoff",
    max_retry_count="-1",
    minimum_interval="00:00:01",
    maximum_interval="00:00:30",
)
@bp.event_hub_message_trigger(
    arg_name="events", event_hub_name="%MARKET_DATA_HUB%", connection="EventHubConnection", cardinality="many"
)
@bp.durable_client_input(client_name="client")
async def market_data(
    events: typing.List[func.EventHubEvent],  # noqa: UP006 - the worker refuses `list[...]` for a batch
    client: df.DurableOrchestrationClient,
) -> None:
    """Tells the orders whose prices were touched, and starts `signal_pipeline`, for what is new in the batch.

    Whichever of the two fails, the other is done; and the batch comes again.
    """
    received_at = datetime.now(UTC)
    partition = _partition(events)
    known = min(_cursors.get(partition, -1), _told.get(partition, -1))
    fresh = [event for event in events if _number(event) > known]
    if not fresh:
        return
    arrivals = await _decoded(fresh, partition)
    last = _number(fresh[-1])
    telling: Exception | None = None
    try:
        # First, since a position may be waiting for it.
        told = _told.get(partition, -1)
        await _tell_touched(client, partition, [arrival for arrival in arrivals if arrival.message.number > told])
        _told[partition] = last
    except Exception as error:
        _log.exception("partition %s: orders that wait for a price could not be told, the batch comes again", partition)
        telling = error
    seen = _cursors.get(partition, -1)
    unseen = conflated([arrival.message for arrival in arrivals if arrival.message.number > seen])
    if unseen:
        hub = settings().market_data_hub
        batch = MarketBatch(hub=hub, partition=partition, received_at=received_at, events=unseen)
        await _start(client, f"signals-{hub}-{partition}", batch)
    _cursors[partition] = last
    if telling is not None:
        raise telling


def decode(body: bytes) -> MarketData:
    """The tick or bar of one message. Raises `UnreadableMessageError`."""
    try:
        data = msgspec.json.decode(body, type=MarketData)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableMessageError(str(error)) from None
    if data.ts.tzinfo is None:
        raise UnreadableMessageError(f"ts={data.ts.isoformat()}: has to have its zone")
    try:
        # No order could be placed in it: better said here than by every signal that it gives.
        check_symbol(data.symbol)
    except SpecError as error:
        raise UnreadableMessageError(str(error)) from None
    for name in data.__struct_fields__:
        value = getattr(data, name)
        if isinstance(value, Decimal) and not (value.is_finite() and value >= 0):
            raise UnreadableMessageError(f"{name}={value}: has to be a number of at least 0")
    assert isinstance(data, MarketData)
    return data


def conflated(events: Sequence[Numbered]) -> list[Numbered]:
    """What to hand on: all of it, unless the batch is large; then of a symbol's quotes in a row only the last.

    Only quotes without a trade are left out, and never across a trade or a bar of the symbol. The last message of the
    batch stays, since its number is the batch's.
    """
    if len(events) < LARGE_BATCH:
        return list(events)
    kept = []
    superseded: set[str] = set()
    for event in reversed(events):
        data = event.data
        is_quote = isinstance(data, Tick) and data.last is None
        if is_quote and data.symbol in superseded:
            continue
        if is_quote:
            superseded.add(data.symbol)
        else:
            superseded.discard(data.symbol)
        kept.append(event)
    return kept[::-1]


async def _tell_touched(client: df.DurableOrchestrationClient, partition: str, arrivals: Sequence[Arrival]) -> None:
    """Tell each order whose price was touched what the market did from then on."""
    by_symbol: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        by_symbol.setdefault(arrival.message.data.symbol, []).append(arrival)
    telling = []
    for symbol, theirs in by_symbol.items():
        rule = partial(judged, partition=partition, arrivals=theirs)
        for watch in await asyncio.to_thread(watches().waiting, symbol):
            # Nearly always nothing: then storage need not be asked.
            if rule(watch) != (watch, None):
                telling.append(_tell_one(client, watch, rule))
    told = await asyncio.gather(*telling, return_exceptions=True)
    for failure in told:
        if isinstance(failure, BaseException):
            raise failure  # the others have been told


async def _tell_one(client: df.DurableOrchestrationClient, watch: Watch, rule: Rule) -> None:
    touch = await asyncio.to_thread(watches().judge, watch, rule)
    if touch is not None:
        await tell(client, watch.order_id, touch)


async def _decoded(events: Sequence[func.EventHubEvent], partition: str) -> list[Arrival]:
    arrivals = []
    for event in events:
        number = _number(event)
        try:
            message = Numbered(number=number, data=decode(event.get_body()))
        except UnreadableMessageError as error:
            _log.error("partition %s message %s is left out: %s", partition, number, error)
            source = f"market-data-{partition}"
            text = f"message {number} of partition {partition} is left out: {error}"
            await asyncio.to_thread(alerts().raise_alert, "UNREADABLE_MESSAGE", text, source, f"message-{number}")
        else:
            arrivals.append(Arrival(message=message, at=_came_at(event, message.data)))
    return arrivals


async def _start(client: df.DurableOrchestrationClient, instance_id: str, batch: MarketBatch) -> None:
    """Start the pipeline, after the one before has ended. Raises `PartitionBusyError`."""
    for _ in range(_TRIES):
        if await start(client, "signal_pipeline", instance_id, encoded(batch)):
            return
        await asyncio.sleep(_BETWEEN_TRIES)
    raise PartitionBusyError(f"{instance_id} still runs after {_TRIES * _BETWEEN_TRIES:g} s: the batch will come again")


def _partition(events: Sequence[func.EventHubEvent]) -> str:
    """The batch's partition: a batch never has two. It stands in the metadata that all events of a batch share."""
    context = (events[0].metadata or {}).get("PartitionContext")
    if isinstance(context, str):
        context = msgspec.json.decode(context)
    if not isinstance(context, dict) or "PartitionId" not in context:
        raise ValueError(f"PartitionContext={context!r}: the host has to say which partition a batch is from")
    return str(context["PartitionId"])


def _came_at(event: func.EventHubEvent, data: MarketData) -> datetime | None:
    """When a message came, by the market's clock: that of the data in a lockstep replay, else the system's.

    Then it is the hub that says so. What the data say of themselves would not do: a source may be late or have its
    clock wrong, and recorded prices that are replayed at a pace of their own are years old.
    """
    if settings().market_clock:
        return data.ts
    at: datetime | None = event.enqueued_time
    return at and at.replace(tzinfo=UTC)


def _number(event: func.EventHubEvent) -> int:
    number = event.sequence_number
    if number is None:
        raise ValueError("an event of the hub has no sequence number: the host has sent no SystemPropertiesArray")
    return number
