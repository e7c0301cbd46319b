"""What triggers, activities, orchestrators and entities say to each other.

All of it crosses a durable boundary as JSON: `encoded` before, `decoded` after. Money is a string on the way.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import msgspec

from trading.commands import VenueCommand, WatchPrice
from trading.exposure import Mode
from trading.instructions import InstructionRow
from trading.journal import JournalRow
from trading.lifecycles import ChildSummary, OrderSummary
from trading.market import MarketData
from trading.specs import Spec
from trading.stakes import Holding, Stake, holding, protects, stakes

if TYPE_CHECKING:
    Payload = dict[str, Any]
    Payloads = list[Payload]
else:
    # The Functions worker refuses an app with a generic annotation in an activity's signature.
    Payload = dict
    Payloads = list

_Message = TypeVar("_Message")

EXPOSURE_KEY = "main"
"""The key of the one exposure entity."""

CancelMode = Literal["flatten", "keep_exits"]


class Placement(msgspec.Struct, frozen=True, kw_only=True, tag="placement", tag_field="type"):
    """The input of an `order` orchestration: what is wanted, and when we found out."""

    spec: Spec
    reference_price: Decimal | None = None
    """The price that a market order's exposure is judged by; any other order is judged by a price of its own."""
    received_at: datetime | None = None
    """When the tick or the request that caused the order reached us, by the machine's clock."""

    def reserving(self) -> "Reserving":
        """What exposure is asked for. Raises `trading.stakes.NoPriceError` where nothing tells a price."""
        return Reserving(
            order_id=self.spec.order_id,
            stakes=stakes(self.spec, self.reference_price),
            reduce_only=self.spec.reduce_only,
            protected=protects(self.spec),
            holding=holding(self.spec),
        )


class Reported(msgspec.Struct, frozen=True, kw_only=True, tag="report", tag_field="type"):
    """The journal has a new row of the order: here is a copy, and of those that came just before it."""

    row: JournalRow
    before: list[JournalRow] = []


class Instructed(msgspec.Struct, frozen=True, kw_only=True, tag="instruction", tag_field="type"):
    """Our own side has told the order something: here is a copy of the row."""

    row: InstructionRow


class Woken(msgspec.Struct, frozen=True, kw_only=True, tag="wake", tag_field="type"):
    """Something may have been missed: read the journal and the instructions."""


OrderEvent = Reported | Instructed | Woken
"""The payload of the one external event, `event`, that an `order` orchestration waits for."""


class Registering(msgspec.Struct, frozen=True, kw_only=True):
    """The input of `register_order`. `token` tells this orchestration's own row from a rival's."""

    token: str
    spec: Spec
    created_at: datetime


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The input of `read_journal`: the numbers of the last journal row and the last instruction that are known."""

    order_id: str
    after: int
    after_instruction: int


class News(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `read_journal`: what the venue and our own side have said after the numbers asked for."""

    rows: list[JournalRow]
    instructions: list[InstructionRow] = []


class VenueRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One of the inputs of `send_to_venue`. `at` becomes TransactTime (60)."""

    order_id: str
    command: VenueCommand
    at: datetime


class VenueAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Its answer to one. `not_sent`: the order will never reach the venue. `refused`: no repetition can help."""

    state: str = ""
    not_sent: bool = False
    refused: str | None = None


class Watching(msgspec.Struct, frozen=True, kw_only=True):
    """One of the inputs of `watch_prices`."""

    order_id: str
    command: WatchPrice
    begins: datetime | None = None
    """When the lifecycle made the command, by the market's clock; None in what was written before there was this."""


class LiveStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The custom status of an `order` orchestration: how far it is, for the sweep and for whoever looks.

    `seen` and `instructed` are the last journal row and the last instruction that the lifecycle has handled,
    `filled_quantity` is what its entry has traded. Of each child there is the current ClOrdID only. `spec` is what the
    lifecycle has made of the order by its amendments, None while that is what it was placed as: without the last
    `undecided` of those instructions, about which exposure is still to be asked.
    """

    seen: int = 0
    instructed: int = 0
    phase: str = ""
    filled_quantity: Decimal = Decimal(0)
    children: list[ChildSummary] = []
    spec: Spec | None = None
    undecided: int = 0


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One of the inputs of `raise_alerts`. One alert for each `key`."""

    code: str
    text: str
    order_id: str
    key: str


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The entry's way, by the machine's clock."""

    received_at: datetime | None = None
    sent_at: datetime | None = None
    acknowledged_at: datetime | None = None


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """The input of `end_order`. `last_number` is the last journal row that the lifecycle has seen.

    `symbols` are those that the order has a part in: none for one that was denied, and that no entity knows.
    """

    order_id: str
    symbols: list[str]
    last_number: int
    outcome: str
    text: str
    timing: Timing
    finished_at: datetime
    """By the market's clock."""
    summary: OrderSummary | None = None
    """None for an order that was denied: it never had a lifecycle."""
    resumption: Payload | None = None
    """What its orchestration is started with again, should the venue say more of it; None likewise."""
    instructed: int | None = None
    """The last instruction that the lifecycle has handled; None likewise."""


class RecordDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What the register keeps of an ended order besides its outcome, as the record's `detail`.

    `last_number` is the last journal row that the lifecycle has seen: a trade that comes later opens the order again.
    """

    last_number: int
    instructed: int = 0
    """The last instruction that it has handled; 0 in a record of before, which does not say. Of an order that is open
    again: the last one that it will not hear any more."""
    timing: Timing
    children: list[ChildSummary] = []
    resumption: Payload | None = None
    """As in `Recording`."""

    @property
    def end(self) -> tuple[int, int]:
        """Which end of the order it is: of two, the later one is greater, since it has handled more."""
        return self.last_number, self.instructed

    def deaf_to(self, instruction: int) -> "RecordDetail":
        """The same end, from which an order that is opened again hears nothing that it was told up to here."""
        if instruction <= self.instructed:
            return self
        resumption = None if self.resumption is None else {**self.resumption, "instructed": instruction}
        return msgspec.structs.replace(self, instructed=instruction, resumption=resumption)


class Resuming(msgspec.Struct, frozen=True, kw_only=True):
    """The input of `resume_order`: the end that the orchestration goes on from, by its last journal row."""

    order_id: str
    last_number: int


class Reserving(msgspec.Struct, frozen=True, kw_only=True):
    """The input of the exposure entity's `reserve`, whose answer is a `Decision` about all the stakes together."""

    order_id: str
    stakes: list[Stake]
    reduce_only: bool = False
    protected: bool = False
    """What it holds gets exits of its own, or is closed by it."""
    holding: Holding | None = None
    """The position that it takes over, to protect or to close it."""


class Numbered(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the hub under its sequence number, which goes up by at least one within a partition."""

    number: int
    data: MarketData


class MarketBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The input of `signal_pipeline` and `generate_signals`: what a partition brought in one batch, in order."""

    hub: str
    partition: str
    received_at: datetime
    """When the batch reached the trigger, by the machine's clock."""
    events: list[Numbered]


class UnblockSymbol(msgspec.Struct, frozen=True, kw_only=True):
    """The input of the exposure entity's `unblock`: a human has looked, and new orders may come."""

    symbol: str
    reason: str | None = None
    """For which the symbol was blocked when the human looked. Where it is another one by now, it stays blocked."""


class AccountMode(msgspec.Struct, frozen=True, kw_only=True):
    """The input of the exposure entity's `set_mode`. `request` is an id of its own, to see when it was carried out."""

    mode: Mode
    reason: str = ""
    flatten: bool = False
    request: str
    after: str | None = None
    """The last request that the asker has seen carried out, empty for none: after any other, this one comes late."""


class Amending(msgspec.Struct, frozen=True, kw_only=True):
    """The input of the exposure entity's `amend`, whose answer is a `Decision`: `stakes` are those of the whole order,
    of which the entity knows what has filled."""

    order_id: str
    stakes: list[Stake]


class OrderEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The input of the entities' `catch_up`, `release` and `forget`: an order is over after this journal row.

    A position entity is told of its own symbol; the exposure entity looks at none.
    """

    order_id: str
    symbol: str
    last_number: int


class OrderReopened(msgspec.Struct, frozen=True, kw_only=True):
    """The input of the exposure entity's `reopen`: the venue has said more of an order that had ended."""

    order_id: str


def prepare() -> None:
    """Have the fields of all structs worked out now, on one thread: to be called before anything is decoded.

    msgspec does it when a type is first used. Where two threads come to that at once, one of them finds it half done,
    and the process crashes (seen with 0.22): as when a process that has just started is given several orders.
    """
    for kind in _all_kinds(msgspec.Struct):
        with suppress(TypeError):  # one that holds what nobody decodes, such as a task
            msgspec.json.Decoder(kind)


def _all_kinds(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in kind.__subclasses__():
        yield each
        yield from _all_kinds(each)


def encoded(message: msgspec.Struct) -> Payload:
    """The message as plain JSON values, which is all that crosses a durable boundary."""
    plain: Payload = msgspec.to_builtins(message)
    return plain


@overload
def decoded(payload: object, kind: type[_Message]) -> _Message: ...


@overload
def decoded(payload: object, kind: Any) -> Any: ...


def decoded(payload: object, kind: Any) -> Any:
    """The message in `payload`; `msgspec.ValidationError` if it is none.

    What the Python client sends arrives as a JSON string, encoded once or twice (azure-functions-durable-python 295).
    """
    while isinstance(payload, str):
        payload = json.loads(payload)
    return msgspec.convert(payload, kind)


def position_key(symbol: str) -> str:
    """The key of a symbol's position entity: instance ids take no `/ \\ # ?` and the SDK splits them at `@`."""
    return re.sub(r"[^A-Za-z0-9._-]", lambda found: f"~{ord(found[0]):X}~", symbol)
