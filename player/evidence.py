"""What a run left behind, told by three sides: the app's entities, its journal and order register, and the venue."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from gateway.journal import Journal
from player.stack import HUB, Stack
from storage.orders import OrderRegister, RegisteredOrder
from storage.tables import Tables, unpack
from trading.exposure import Reservation
from trading.journal import JournalRow
from trading.messages import Placement
from trading.positions import Position

_EVERY_ORDER = 1_000_000


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the venue sees it. `cl_ord_ids` is its chain, first to current; `status` is OrdStatus (39)."""

    cl_ord_ids: list[str]
    symbol: str
    side: str
    quantity: Decimal
    cum_quantity: Decimal
    leaves_quantity: Decimal
    status: str
    order_type: str
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class VenueTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade as the venue sees it."""

    exec_id: str
    cl_ord_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    at: str


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What the exposure entity counts: reservations by order id, positions by symbol."""

    reservations: dict[str, Reservation] = {}
    positions: dict[str, Position] = {}


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the invariants are checked on."""

    positions: list[Position]
    exposure: Exposure
    orchestrations: dict[str, str]
    """Runtime status by order id."""
    journal: list[JournalRow]
    register: list[RegisteredOrder]
    signals: dict[str, datetime | None]
    """The orders that the strategy's signals called for, each with when its tick had reached the host."""
    venue_orders: list[VenueOrder]
    venue_trades: list[VenueTrade]
    venue_positions: dict[str, Decimal]
    venue_duplicates: list[str] = []
    """ClOrdIDs that the venue has refused because they had been used before."""


def collect(stack: Stack) -> Evidence:
    """Ask all sides. The system has to be at rest."""
    tables = Tables(stack.storage_connection)
    register = sorted(OrderRegister(tables).list(limit=_EVERY_ORDER), key=lambda order: order.order_id)
    return Evidence(
        positions=msgspec.convert(stack.host.get("/api/positions")["positions"], list[Position]),
        exposure=msgspec.convert(stack.host.get("/api/exposure"), Exposure),
        orchestrations=_orchestrations(stack, (order.order_id for order in register)),
        journal=list(Journal(tables).all_rows()),
        register=register,
        signals=_signals(tables),
        venue_orders=msgspec.convert(stack.venue.get("/orders"), list[VenueOrder]),
        venue_trades=msgspec.convert(stack.venue.get("/executions"), list[VenueTrade]),
        venue_positions=msgspec.convert(stack.venue.get("/positions"), dict[str, Decimal]),
        venue_duplicates=stack.venue.get("/state")["duplicates"],
    )


def _orchestrations(stack: Stack, order_ids: Iterable[str]) -> dict[str, str]:
    status = {}
    for order_id in order_ids:
        answer = stack.host.get(f"/runtime/webhooks/durabletask/instances/{order_id}?showInput=false")
        status[order_id] = str(answer["runtimeStatus"])
    return status


def _signals(tables: Tables) -> dict[str, datetime | None]:
    """Each batch's signals are stored in a row of their own."""
    batches = tables.signals.query_entities(
        f"PartitionKey ge '{HUB}|' and PartitionKey lt '{HUB}}}' and RowKey ge 's|' and RowKey lt 's}}'"
    )
    placements = [
        each for batch in batches for each in msgspec.json.decode(unpack("data", batch), type=list[Placement])
    ]
    return {placement.spec.order_id: placement.received_at for placement in placements}
