"""What is shown over HTTP."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from gateway.reconcile import Reconciliation
from trading.exposure import Limits, Mode, Reservation
from trading.instructions import InstructionRow
from trading.journal import JournalRow
from trading.lifecycles import ChildSummary
from trading.messages import CancelMode, Timing
from trading.positions import Position
from trading.specs import Spec


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to placing an order."""

    order_id: str


class Cancelling(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to cancelling an order."""

    order_id: str
    mode: CancelMode


class AmendmentNoted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to amending an order: the number of the instruction, and what the order is to be."""

    order_id: str
    number: int
    spec: Spec


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order: what is asked for, how it stands, its children, what the venue and our own side have said to it.

    `spec` is the order as amended, without what the order has refused. `phase` is `registering`, `reserving`,
    `denied`, `working`, `ending` or `ended`, and `resuming` where an order that had ended goes on; `unattended` is one
    whose orchestration has died. From `outcome` on, fields are null until the end.
    """

    order_id: str
    spec: Spec
    created_at: datetime
    phase: str
    children: list[ChildSummary] = []
    journal: list[JournalRow] = []
    instructions: list[InstructionRow] = []
    outcome: str | None = None
    text: str | None = None
    filled_quantity: Decimal | None = None
    average_price: Decimal | None = None
    finished_at: datetime | None = None
    timing: Timing | None = None


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """An order in a list, as it was placed. `outcome` is null while it is open."""

    order_id: str
    spec: Spec
    created_at: datetime
    outcome: str | None = None


class OrderList(msgspec.Struct, frozen=True, kw_only=True):
    """Orders, newest first."""

    orders: list[OrderLine]


class PositionLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of a symbol; short where `quantity` is negative. `average_price` is 0 when flat."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    realized_pnl: Decimal


class PositionList(msgspec.Struct, frozen=True, kw_only=True):
    """A position for each symbol that was ever traded."""

    positions: list[PositionLine]


class ExposureView(msgspec.Struct, frozen=True, kw_only=True):
    """What is at stake: reservations by order, positions and blocked symbols by symbol, the sum, the limits."""

    reservations: dict[str, Reservation]
    positions: dict[str, Position]
    blocked: dict[str, str]
    gross: Decimal
    limits: Limits


class ReconciliationList(msgspec.Struct, frozen=True, kw_only=True):
    """Comparisons of the venue's open orders with ours, one for each logon, newest first."""

    reconciliations: list[Reconciliation]


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """How many held orders were let go."""

    released: int


class ResetView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the FIX session's numbers are still to begin again at 1, by an operator's wish."""

    wanted: bool


class HaltView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether trading is halted: `mode` is `reducing` then, else `open`.

    `number` counts the halts: it is that of the one that is on, or of the last one.
    """

    mode: Mode
    reason: str
    flatten: bool
    """Whether the halt that is on also closes what is held."""
    number: int


class Halted(HaltView, frozen=True, kw_only=True):
    """The answer to a halt. `told` is how many open orders were told.

    `unattended` are open orders that were told and cannot hear it, since their orchestration has died: a human has to
    look after what they have at the venue.

    The rest is about `flatten`. `closing` names by symbol the order that closes what no other order does. `waiting` are
    the symbols in which an order may still trade that has no exits of its own, `blocked` those in which new orders are
    denied: after that order's end, or the unblocking, the sweep closes what is held of either, as does asking again.
    """

    told: int
    unattended: list[str] = []
    closing: dict[str, str] = {}
    waiting: list[str] = []
    blocked: list[str] = []


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong: the field, its value, and what would be right."""

    field: str
    value: Any
    message: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every 4xx of this interface, and of a 503 that it answers itself."""

    error: Problem
