"""The app's real orchestrators and entities in the test environment; register, journal and venue are in memory."""

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from replay.environment import DurableTestEnvironment
from storage.settings import settings
from tests.trading.desk import Desk, bracket_spec
from trading.commands import VenueCommand, WatchPrice
from trading.events import CancelRequested, Instruction, VenueEvent
from trading.instructions import InstructionRow
from trading.journal import JournalRow
from trading.messages import (
    CancelMode,
    Instructed,
    News,
    Payload,
    Payloads,
    Placement,
    Reading,
    Recording,
    Registering,
    Reported,
    Resuming,
    VenueAnswer,
    VenueRequest,
    Watching,
    Woken,
    decoded,
    encoded,
    position_key,
)
from trading.specs import BracketSpec, Spec

ROOT = Path(__file__).resolve().parents[2]
_LIMITS = {"MAX_ORDER_NOTIONAL": "1000000", "MAX_SYMBOL_NOTIONAL": "1000000", "MAX_GROSS_NOTIONAL": "100000000"}


class World:
    """One order's world."""

    def __init__(self, env: DurableTestEnvironment, spec: Spec, journals: "Journals") -> None:
        self.env = env
        self.spec = spec
        self.desk = Desk()
        self.calls: list[tuple[str, Any]] = []
        self._journals = journals

    @property
    def order_id(self) -> str:
        return self.spec.order_id

    async def place(self) -> None:
        """The order arrives, and goes as far as it can."""
        placement = Placement(spec=self.spec, received_at=self.env.now)
        await self.env.start("order", encoded(placement), instance_id=self.order_id)
        await self.env.settle()

    async def say(self, *events: VenueEvent, heard: bool = True, counted: bool = True) -> None:
        """The venue reports: to the journal; if it is `heard`, to the orchestration; if `counted`, to the entities."""
        for event in events:
            row = self._journals.append(self.spec, event, self.env)
            if heard:
                await self.env.raise_event(self.order_id, "event", encoded(Reported(row=row)))
            if counted:
                for entity, key in (("position", position_key(row.symbol)), ("exposure", "main")):
                    await self.env.signal(entity, key, "apply", encoded(row))
            await self.env.settle()

    async def resume(self) -> None:
        """A trade has come after the order's end, and its orchestration is started again."""
        resumption = self._journals.records[self.order_id].resumption
        await self.env.start("order", resumption, instance_id=self.order_id)
        await self.env.settle()

    async def wake(self) -> None:
        """The sweep has found that something may have been missed."""
        await self.env.raise_event(self.order_id, "event", encoded(Woken()))
        await self.env.settle()

    async def cancel(self, mode: CancelMode) -> None:
        """A user wants the order to end."""
        await self.tell(CancelRequested(mode=mode))

    async def tell(self, instruction: Instruction) -> None:
        """Our own side tells the order something."""
        await self.hear(self.keep(instruction))

    def keep(self, instruction: Instruction) -> InstructionRow:
        """An instruction whose event is lost, or comes later by `hear`."""
        told = self._journals.instructions.setdefault(self.order_id, [])
        told.append(InstructionRow(order_id=self.order_id, number=len(told) + 1, instruction=instruction))
        return told[-1]

    async def hear(self, row: InstructionRow) -> None:
        """The event of an instruction comes."""
        await self.env.raise_event(self.order_id, "event", encoded(Instructed(row=row)))
        await self.env.settle()


class Journals:
    """Register, journals, alerts and the venue's ears, as the activities see them."""

    def __init__(self) -> None:
        self.rows: dict[str, list[JournalRow]] = {}
        self.instructions: dict[str, list[InstructionRow]] = {}
        self.tokens: dict[str, str] = {}
        self.records: dict[str, Recording] = {}
        self.failing: Counter[str] = Counter()
        """How often yet the activities so named fail; `entities` when an entity reads the journal."""
        self.desks: dict[str, Desk] = {}
        self.commands: dict[str, VenueCommand] = {}
        self.answers: dict[type[VenueCommand], VenueAnswer] = {}
        """What the next command of a type is answered with, which then does not reach the venue."""
        self.watches: dict[tuple[str, str], WatchPrice] = {}
        """The last of each order and symbol."""
        self.placements: Payloads = []
        self.slices = 0
        """How many slices of the session go well before the first that fails."""
        self.started: Payloads = []

    def append(self, spec: Spec, event: VenueEvent, env: DurableTestEnvironment) -> JournalRow:
        rows = self.rows.setdefault(spec.order_id, [])
        row = JournalRow(
            order_id=spec.order_id,
            number=len(rows) + 1,
            event=msgspec.structs.replace(event, at=env.now),
            symbol=self.commands[event.cl_ord_id].symbol,
            side=self.commands[event.cl_ord_id].side,
            received_at=env.now,
            sent_at=env.now,
        )
        rows.append(row)
        return row

    def activities(self) -> Mapping[str, Any]:
        return {
            "register_order": self._register,
            "resume_order": self._resume,
            "read_journal": self._read,
            "end_order": self._end,
            "raise_alerts": self._alert,
            "send_to_venue": self._send,
            "watch_prices": self._watch,
            "generate_signals": self._signals,
            "start_orders": self._start,
            "run_session": self._slice,
        }

    # As `gateway.journal.Journal` and `storage.orders.OrderRegister` have it, for the entities.

    def read(self, order_id: str, *, after: int = 0) -> list[JournalRow]:
        self._fails("entities")
        return self._rows(order_id, after)

    def get(self, order_id: str) -> None:
        """No order's record is needed: the entities have applied all rows by signals."""

    def _rows(self, order_id: str, after: int) -> list[JournalRow]:
        return [row for row in self.rows.get(order_id, []) if row.number > after]

    def _fails(self, name: str) -> None:
        if self.failing[name] > 0:
            self.failing[name] -= 1
            raise OSError("storage is not there")

    def _register(self, given: Payload) -> Payload:
        self._fails("register_order")
        wanted = decoded(given, Registering)
        return {"ours": self.tokens.setdefault(wanted.spec.order_id, wanted.token) == wanted.token}

    def _resume(self, given: Payload) -> Payload:
        wanted = decoded(given, Resuming)
        return {"ours": self.records[wanted.order_id].last_number == wanted.last_number}

    def _read(self, given: Payload) -> Payload:
        self._fails("read_journal")
        wanted = decoded(given, Reading)
        rows = self._rows(wanted.order_id, wanted.after)
        told = self.instructions.get(wanted.order_id, [])[wanted.after_instruction :]
        return encoded(News(rows=rows, instructions=told))

    def _end(self, given: Payload) -> Payload:
        """What the entities are told as an order ends, `tests/app/test_ending.py` looks at."""
        self._fails("end_order")
        recording = decoded(given, Recording)
        if self._rows(recording.order_id, recording.last_number):
            return {"behind": True}
        self.records[recording.order_id] = recording
        return {"behind": False}

    def _alert(self, given: Payloads) -> int:
        self._fails("raise_alerts")
        return len(given)

    def _send(self, given: Payloads) -> Payloads:
        self._fails("send_to_venue")
        return [encoded(self._hand_in(decoded(plain, VenueRequest))) for plain in given]

    def _hand_in(self, request: VenueRequest) -> VenueAnswer:
        answer = self.answers.pop(type(request.command), None)
        if answer is not None:
            return answer
        # As the outbox: what is handed in again is there already.
        if self.commands.setdefault(request.command.cl_ord_id, request.command) is request.command:
            self.desks[request.order_id].carry_out([request.command])
        return VenueAnswer(state="claimed")

    def _watch(self, given: Payloads) -> int:
        self._fails("watch_prices")
        for plain in given:
            wanted = decoded(plain, Watching)
            self.watches[wanted.order_id, wanted.command.symbol] = wanted.command
        return len(given)

    def _signals(self, given: Payload) -> Payloads:
        self._fails("generate_signals")
        return self.placements

    def _start(self, given: Payloads) -> int:
        self._fails("start_orders")
        self.started += given
        return len(given)

    def _slice(self, given: Payload) -> Payload:
        if self.slices == 0:
            raise OSError("storage is not there")
        self.slices -= 1
        return {"session": "FIX.4.4:DESK->VENUE", "logged_on": True}


@asynccontextmanager
async def trading() -> AsyncIterator[tuple[DurableTestEnvironment, Journals]]:
    """The app in a test environment, with its settings and everything that it would find in storage."""
    journals = Journals()
    with _settings(), _storage(journals):
        import function_app

        async with DurableTestEnvironment(
            function_app.app, activities=journals.activities(), host_json=json.loads((ROOT / "host.json").read_text())
        ) as env:
            yield env, journals


def world(env: DurableTestEnvironment, journals: Journals, order_id: str, **changes: Any) -> World:
    """The world of one bracket: BUY 10, entry limit 3000, stop 2950, take-profit 3050, without a time limit."""
    spec: BracketSpec = bracket_spec(**{"order_id": order_id, "valid_for": None, **changes})
    made = World(env, spec, journals)
    journals.desks[order_id] = made.desk
    return made


@contextmanager
def _settings() -> Iterator[None]:
    values = json.loads((ROOT / "local.settings.json").read_text())["Values"]
    settings.cache_clear()
    with mock.patch.dict(os.environ, {**values, **_LIMITS}):
        yield
    settings.cache_clear()


@contextmanager
def _storage(journals: Journals) -> Iterator[None]:
    with (
        mock.patch("entities.following.Journal", return_value=journals),
        mock.patch("entities.following.tables"),
        mock.patch("entities.following.order_register", return_value=journals),
    ):
        yield
