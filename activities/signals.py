"""From market data to signals, and from signals to orders."""

from collections.abc import Sequence

import azure.durable_functions as df
import msgspec

from storage.services import signal_store
from storage.settings import settings
from storage.signals import StateChangedError
from trading.market import MarketData
from trading.messages import MarketBatch, Payload, Payloads, Placement, decoded, encoded
from trading.signals.sma import SmaConfig, SmaState, on_batch

_ATTEMPTS = 5

bp = df.Blueprint()


@bp.activity_trigger(input_name="payload")
def generate_signals(payload: Payload) -> Payloads:
    """The orders that this batch calls for, as a list of `Placement`. A repeat gives the same.

    State and signals are stored under the batch's last sequence number in one transaction. What the state has seen
    already is left out, whatever the trigger knew.
    """
    batch = decoded(payload, MarketBatch)
    for _ in range(_ATTEMPTS):
        try:
            return [encoded(placement) for placement in _placements(batch)]
        except StateChangedError:
            continue  # a repeat of this very activity runs beside it: look at what it has stored
    raise StateChangedError(f"partition {batch.partition}: its state changed {_ATTEMPTS} times while it was worked on")


@bp.activity_trigger(input_name="payload")
@bp.durable_client_input(client_name="client")
async def start_orders(payload: Payloads, client: df.DurableOrchestrationClient) -> int:
    """Starts an `order` orchestration for each placement; how many. One that is known already is left alone."""
    for plain in payload:
        placement = decoded(plain, Placement)
        await start_order(client, placement)
    return len(payload)


async def start_order(client: df.DurableOrchestrationClient, placement: Placement) -> None:
    """Start the order's orchestration unless there is one. Whether the id is free the register decides, not this."""
    order_id = placement.spec.order_id
    try:
        await client.start_new("order", order_id, encoded(placement))
    except Exception:  # the SDK has no exception of its own for 409
        if not await client.get_status(order_id):
            raise


def _placements(batch: MarketBatch) -> Sequence[Placement]:
    last = batch.events[-1].number
    store = signal_store()
    state = store.load(batch.partition)
    if state.last_sequence_number >= last:
        stored = store.signals(batch.partition, last)
        # A batch that was cut otherwise the first time: its orders were started before this one was let in.
        return msgspec.json.decode(stored, type=list[Placement]) if stored is not None else []
    unseen: list[MarketData] = [event.data for event in batch.events if event.number > state.last_sequence_number]
    memory = msgspec.json.decode(state.data, type=SmaState) if state.data else SmaState()
    memory, signals = on_batch(_config(), memory, unseen)
    placements = [Placement(spec=signal.spec, received_at=batch.received_at) for signal in signals]
    stored_signals = msgspec.json.encode(placements) if placements else None
    store.save(batch.partition, state, last, msgspec.json.encode(memory), stored_signals)
    return placements


def _config() -> SmaConfig:
    own = settings()
    return SmaConfig(
        fast=own.sma_fast,
        slow=own.sma_slow,
        notional=own.sma_notional,
        reward_ratio=own.sma_reward_ratio,
        valid_for=own.sma_valid_for_seconds,
    )
