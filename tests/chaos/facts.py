"""What a campaign left behind, told by all sides: who placed the orders, storage, the hosts, and the venue.

Times of the venue and of the campaign are the same machine's clock, which no fault changes; the hosts' own clocks may
have jumped, so nothing is judged by a time that a host wrote.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from gateway.outbox import Entry
from player.client import Client
from storage.alerts import Alert, Alerts
from storage.orders import OrderRegister, RegisteredOrder
from storage.tables import Tables
from trading.exposure import Reservation
from trading.instructions import InstructionRow
from trading.journal import JournalRow
from trading.messages import LiveStatus
from trading.positions import Position

_EVERY_ORDER = 1_000_000
_PAGE = 10_000


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What a client was told of an order that it placed, maybe several times: the HTTP statuses, in their order."""

    order_id: str
    statuses: tuple[int, ...]

    @property
    def is_accepted(self) -> bool:
        return any(200 <= status < 300 for status in self.statuses)


class PromisedInstruction(msgspec.Struct, frozen=True, kw_only=True):
    """A cancel or an amendment that a client was told is kept (202). `number` is the amendment's, as it was told."""

    order_id: str
    kind: Literal["cancel", "amend"]
    mode: str = ""
    number: int = 0


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the journal, with what a repeat of its report is recognised by."""

    row: JournalRow
    marks: tuple[str, ...]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an order's orchestration stands, by the host's status of it."""

    runtime: str
    live: LiveStatus = LiveStatus()


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the venue sees it. Side, status and type are FIX characters; `received_at` is the machine's time."""

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
    received_at: datetime | None = None


class VenueTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One order's side of a trade that stands."""

    exec_id: str
    cl_ord_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal


class VenueLogon(msgspec.Struct, frozen=True, kw_only=True):
    """One time that a member was logged on; `until` None: it still is. `number` is its Logon's MsgSeqNum."""

    session: str
    peer: str = ""
    number: int
    since: datetime
    until: datetime | None = None
    ended_by: str | None = None


class Disturbance(msgspec.Struct, frozen=True, kw_only=True):
    """A fault, and when it was on."""

    kind: str
    target: str = ""
    since: datetime
    until: datetime


class Calm(msgspec.Struct, frozen=True, kw_only=True):
    """A time after all faults were ended, and what came of it."""

    since: datetime
    """When everything was healed."""
    until: datetime
    logged_on_after: float | None
    """Seconds until all hosts answered and one was logged on; None: they were not within `within`."""
    unprotected: list[str] = []
    """The orders without a stop at its begin that still had none at its end."""
    within: float
    """For how many seconds each of the two was waited for."""


class TakeOver(msgspec.Struct, frozen=True, kw_only=True):
    """The last kill of the session's holder, when nothing else was disturbed any more."""

    killed: str
    logged_on_after: float | None
    """Seconds until another host was logged on; None: it was not within `within`."""
    healthy_after: float | None
    """Seconds from the healing until all hosts answered and one was logged on; None: they were not."""
    within: float
    """What is promised, with what the machine may add."""


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What the exposure entity counts: reservations by order id, positions by symbol."""

    reservations: dict[str, Reservation] = {}
    positions: dict[str, Position] = {}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is judged."""

    promises: list[Promise] = []
    promised_instructions: list[PromisedInstruction] = []
    outbox: list[Entry] = []
    journal: list[Written] = []
    register: list[RegisteredOrder] = []
    instructions: list[InstructionRow] = []
    standings: dict[str, Standing] = {}
    positions: list[Position] = []
    exposure: Exposure = Exposure()
    alerts: list[Alert] = []
    venue_orders: list[VenueOrder] = []
    venue_trades: list[VenueTrade] = []
    venue_positions: dict[str, Decimal] = {}
    venue_duplicates: list[str] = []
    """ClOrdIDs that the venue has refused because they had been used before, with no PossResend to say so."""
    logons: list[VenueLogon] = []
    disturbances: list[Disturbance] = []
    calms: list[Calm] = []
    take_over: TakeOver | None = None
    """None: not tried, for want of another host."""
    changed: list[str] = []
    """What has changed at rest, after the first look at which nothing contradicted a promise."""
    lease: float = 0.0
    """LEASE_SECONDS."""
    bound: float = float("inf")
    """Seconds for which a position may be without a stop while nothing is disturbed and a wake-up may have been lost;
    see `audit.bound`."""
    bound_without_sweep: float = float("inf")
    """The same where no wake-up was lost."""


def collect(
    *,
    host: Client,
    venue: Client,
    storage_connection: str,
    promises: Sequence[Promise],
    promised_instructions: Sequence[PromisedInstruction],
    disturbances: Sequence[Disturbance],
    calms: Sequence[Calm],
    take_over: TakeOver | None,
    lease: float,
    bound: float,
    bound_without_sweep: float,
) -> Facts:
    """Ask all sides; `host` is any of the hosts. What changes meanwhile looks like a difference."""
    tables = Tables(storage_connection)
    return Facts(
        promises=list(promises),
        promised_instructions=list(promised_instructions),
        outbox=list(_outbox(tables)),
        journal=list(_journal(tables)),
        register=sorted(OrderRegister(tables).list(limit=_EVERY_ORDER), key=lambda order: order.order_id),
        instructions=list(_instructions(tables)),
        standings=_standings(host),
        positions=msgspec.convert(host.get("/api/positions")["positions"], list[Position]),
        exposure=msgspec.convert(host.get("/api/exposure"), Exposure),
        alerts=Alerts(tables).list(),
        venue_orders=msgspec.convert(venue.get("/orders"), list[VenueOrder]),
        venue_trades=msgspec.convert(venue.get("/executions"), list[VenueTrade]),
        venue_positions=msgspec.convert(venue.get("/positions"), dict[str, Decimal]),
        venue_duplicates=venue.get("/state")["duplicates"],
        logons=msgspec.convert(venue.get("/logons"), list[VenueLogon]),
        disturbances=list(disturbances),
        calms=list(calms),
        take_over=take_over,
        lease=lease,
        bound=bound,
        bound_without_sweep=bound_without_sweep,
    )


def _outbox(tables: Tables) -> Iterator[Entry]:
    rows = tables.sessions.query_entities("RowKey ge 'o|' and RowKey lt 'o}'")
    return (msgspec.json.decode(row["entry"], type=Entry) for row in rows)


def _journal(tables: Tables) -> Iterator[Written]:
    for row in tables.journal.list_entities():
        yield Written(row=msgspec.json.decode(row["row"], type=JournalRow), marks=tuple(str(row["marks"]).split()))


def _instructions(tables: Tables) -> Iterator[InstructionRow]:
    rows = tables.orders.query_entities("RowKey ge 'i|' and RowKey lt 'i}'")
    return (msgspec.json.decode(row["row"], type=InstructionRow) for row in rows)


def _standings(host: Client) -> dict[str, Standing]:
    shown: list[dict[str, Any]] = host.get(f"/runtime/webhooks/durabletask/instances?showInput=false&top={_PAGE}")
    return {
        status["instanceId"]: Standing(
            runtime=status["runtimeStatus"], live=msgspec.convert(status["customStatus"] or {}, LiveStatus)
        )
        for status in shown
        if status["name"] == "order"
    }
