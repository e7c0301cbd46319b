"""A venue that dies at a chosen step, and members that live on: no sockets and no processes, so that each step can be
tried.

A step is a change of the venue's file, or bytes that leave for a member. All of the venue dies but its file.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from fix.config import SessionConfig
from fix.events import Disconnect, MessageReceived, SessionEvent
from fix.message import Field, Message
from fix.session import Reading, Session
from fix.transport import Connection
from tests.venue.desk import AT
from venue.acceptor import Acceptor
from venue.exchange import ConflictError, NotFoundError
from venue.inputs import AnyInput
from venue.state import StateFile

NOW = Reading(AT, 0.0)
_NUMBERED_BY_LOGONS = {8, 9, 35, 34, 49, 56, 52, 43, 122, 10, 45}
"""What the session gives to a message, and RefSeqNum: other numbers where there was another Logon."""


class Killed(BaseException):
    """The venue's process is gone."""


class Fate:
    """After how many steps the venue dies, and after how many more the next one, and so on; then none does."""

    def __init__(self, dies_after: Sequence[int] = ()) -> None:
        self._dies_after = list(dies_after)
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if not self._dies_after:
            return
        if self._dies_after[0] == 0:
            self._dies_after.pop(0)
            raise Killed
        self._dies_after[0] -= 1


class _DyingState(StateFile):
    def __init__(self, folder: Path, copies: dict[str, str], fate: Fate) -> None:
        self._fate = fate
        super().__init__(folder, "VENUE", copies, datetime.now(UTC))

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        self._fate.step()
        return super().writing()


class Wire:
    """A member, and its connection to the venue where it has one: what the acceptor sees of a `Connection`."""

    def __init__(self, comp_id: str, fate: Fate) -> None:
        config = SessionConfig(role="initiator", sender_comp_id=comp_id, target_comp_id="VENUE")
        self.member = Session(config)
        self.is_away = False
        self.peer = comp_id
        self.told: list[tuple[str, Sequence[Field]]] = []
        """The body of each application message of the venue's, in order."""
        self._fate = fate
        self._is_delivering = False

    def connect(self, acceptor: Acceptor) -> None:
        session = acceptor.session_for(self.peer, "VENUE")
        assert session is not None
        self.session = session
        self._is_delivering = False
        self.session.connected(NOW)
        self.member.connected(NOW)

    def send(self, message: Message) -> int:
        number = self.session.send(message, NOW)
        if not self._is_delivering:
            self.flush()
        return number

    def on_end(self, tell: Callable[[Any], None]) -> None:
        pass

    def hear(self, acceptor: Acceptor) -> bool:
        """What the member has to say, if anything; in the order in which a `Connection` does it."""
        data = self.member.bytes_to_send(NOW)
        if not data:
            return False
        events = self.session.receive(data, NOW)
        self.flush()
        self._is_delivering = True
        for event in events:
            assert not isinstance(event, Disconnect), event
            acceptor.on_event(cast(Connection, self), event)
            if isinstance(event, MessageReceived):
                self.session.processed(event.number)
        self._is_delivering = False
        self.flush()
        return True

    def flush(self) -> None:
        while data := self.session.bytes_to_send(NOW):
            self._fate.step()
            for event in self.member.receive(data, NOW):
                assert not isinstance(event, Disconnect), event
                if isinstance(event, MessageReceived):
                    fields = [field for field in event.message.fields if field[0] not in _NUMBERED_BY_LOGONS]
                    self.told.append((event.message.msg_type, fields))
                    self.member.processed(event.number)


class World:
    """A venue and its members A, B and W; W has drop copies of what A is told."""

    def __init__(self, folder: Path, fate: Fate) -> None:
        self.fate = fate
        self.kills = 0
        self._folder = folder
        self._wires = {name: Wire(name, fate) for name in ("A", "B", "W")}
        self._state: StateFile | None = None
        self._survive(self._begin)

    @property
    def told(self) -> dict[str, list[tuple[str, Sequence[Field]]]]:
        return {name: wire.told for name, wire in self._wires.items()}

    @property
    def book(self) -> list[str]:
        """Orders and trades, and what was refused as a duplicate."""
        exchange = self.acceptor.machine.exchange
        orders = [repr(order) for order in exchange.orders]
        return [*orders, *(repr(trade) for trade in exchange.trades), *exchange.duplicates]

    def happens(self, entry: AnyInput) -> None:
        """By the control API, whose caller asks again where it had no answer and the venue does not show it."""
        taken = self._taken()
        try:
            self._take(entry)
        except Killed:
            self._begin_again()
            if self._taken() == taken:
                self.happens(entry)

    def sends(self, name: str, *messages: Message) -> None:
        """All of them in one write."""
        wire = self._wires[name]
        for message in messages:
            wire.member.send(message, NOW)
        self._survive(self._settle)

    def resets(self, name: str, *just_before: Message) -> None:
        """Both sides of a session begin again at 1, on the heels of the messages."""
        wire = self._wires[name]
        for message in just_before:
            wire.member.send(message, NOW)
        wire.member.reset(NOW)
        self._survive(self._settle)

    def leaves(self, name: str) -> None:
        """Its connection ends."""
        wire = self._wires[name]
        wire.is_away = True
        wire.member.disconnected(NOW)
        self._survive(lambda: self._hear(wire, wire.session.disconnected(NOW)))

    def comes_back(self, name: str) -> None:
        wire = self._wires[name]
        wire.is_away = False
        wire.connect(self.acceptor)
        self._survive(self._settle)

    def _take(self, entry: AnyInput) -> None:
        try:
            self.acceptor.take(entry)
        except (ConflictError, NotFoundError):
            return
        self._settle()

    def _survive(self, go_on: Callable[[], None]) -> None:
        try:
            go_on()
        except Killed:
            self._begin_again()

    def _begin(self) -> None:
        self._state = _DyingState(self._folder, {"A": "W"}, self.fate)
        self.acceptor = Acceptor("VENUE", self._state, copies={"A": "W"})
        for wire in self._wires.values():
            if not wire.is_away:
                wire.connect(self.acceptor)
        self._settle()

    def _begin_again(self) -> None:
        """As often as it takes."""
        while True:
            self.kills += 1
            if self._state is not None:
                self._state.close()
            for wire in self._wires.values():
                wire.member.disconnected(NOW)
            try:
                self._begin()
            except Killed:
                continue
            return

    def _settle(self) -> None:
        """Until nobody has anything to say."""
        wires = [wire for wire in self._wires.values() if not wire.is_away]
        while any(wire.hear(self.acceptor) for wire in wires):
            pass

    def _hear(self, wire: Wire, events: list[SessionEvent]) -> None:
        for event in events:
            self.acceptor.on_event(cast(Connection, wire), event)

    def _taken(self) -> int:
        assert self._state is not None
        return sum(1 for _ in self._state.inputs())
