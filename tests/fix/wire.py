"""Bytes by hand, and one side of a session whose peer is the test."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from fix.codec import Decoder
from fix.config import SessionConfig
from fix.events import Disconnect, LoggedOn, MessageRefused, SessionEvent
from fix.message import Field, FieldError, Message
from fix.session import Reading, Session, State
from fix.store import MemoryStore

START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def frame(text: str, *, begin: str = "FIX.4.4", body_length: int | None = None, check_sum: str | None = None) -> bytes:
    """`35=0|49=A|...` as a message; length and checksum are right unless they are given."""
    body = text.strip("|").replace("|", "\x01").encode("latin-1") + b"\x01"
    head = f"8={begin}\x019={len(body) if body_length is None else body_length}\x01".encode()
    trailer = check_sum or f"{sum(head + body) % 256:03}"
    return head + body + f"10={trailer}\x01".encode()


def decode(data: bytes) -> list[Message]:
    decoder = Decoder()
    decoder.feed(data)
    messages = []
    while (decoded := decoder.next()) is not None:
        assert decoded.defect is None
        messages.append(decoded.message)
    return messages


def order(name: str) -> Message:
    """Some application message that can be told by its ClOrdID."""
    return Message("D", [(11, name), (55, "IBM")])


def refusal(read: Callable[[Message], object], message: Message) -> tuple[int, int]:
    """The tag and the SessionRejectReason (373) with which a message is not read."""
    with pytest.raises(FieldError) as caught:
        read(message)
    return caught.value.tag, caught.value.reason


async def until(condition: Callable[[], object], within: float = 10) -> None:
    """Wait for something to become true, by real time in seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


class Side:
    """Our session, SELF, and its peer, PEER, who is played by the test."""

    def __init__(
        self,
        role: Literal["initiator", "acceptor"] = "acceptor",
        *,
        next_outbound: int = 1,
        next_inbound: int = 1,
        config: SessionConfig | None = None,
    ) -> None:
        self.store = MemoryStore(next_outbound=next_outbound, next_inbound=next_inbound)
        self.session = Session(config or SessionConfig(role, "SELF", "PEER"), self.store)
        self.seconds = 0.0

    @property
    def now(self) -> Reading:
        return Reading(START + timedelta(seconds=self.seconds), 1000 + self.seconds)

    def stamp(self, offset: float = 0) -> str:
        return (self.now.utc + timedelta(seconds=offset)).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]

    def receives(self, msg_type: str, number: int | str, body: str = "", *, header: str = "") -> list[SessionEvent]:
        """A message of the peer's; `header` fields replace those that it has by itself, `49=` alone leaves it out."""
        fields = {"49": "PEER", "56": "SELF", "34": str(number), "52": self.stamp()}
        for field in filter(None, header.split("|")):
            tag, _, value = field.partition("=")
            fields[tag] = value
        text = "|".join([f"35={msg_type}", *(f"{tag}={value}" for tag, value in fields.items() if value), body])
        return self.session.receive(frame(text, begin=self.session.config.begin_string), self.now)

    def sends(self) -> list[Message]:
        data = b""
        while more := self.session.bytes_to_send():
            data += more
        return decode(data)

    def passes(self, seconds: float) -> list[SessionEvent]:
        """Time goes on, with a tick whenever one is due."""
        end = self.seconds + seconds
        events: list[SessionEvent] = []
        while (due := self.session.next_tick() - 1000) <= end:
            assert due > self.seconds or not events or not isinstance(events[-1], Disconnect)
            self.seconds = max(self.seconds, due)
            events += self.session.tick(self.now)
        self.seconds = end
        return events

    def logs_on(self, number: int = 1, body: str = "98=0|108=30") -> list[SessionEvent]:
        """Connect, and have the peer's Logon arrive."""
        if self.session.config.begin_string == "FIXT.1.1":
            body += "|1137=9"
        events = self.session.connected(self.now)
        events += self.receives("A", number, body)
        assert LoggedOn() in events
        assert self.session.state is State.IN_SESSION
        return events


def logged_on(
    role: Literal["initiator", "acceptor"] = "acceptor",
    *,
    next_outbound: int = 1,
    next_inbound: int = 1,
    config: SessionConfig | None = None,
) -> Side:
    """In session, with nothing left to send; the peer's next number is `next_inbound + 1`."""
    side = Side(role, next_outbound=next_outbound, next_inbound=next_inbound, config=config)
    side.logs_on(next_inbound)
    side.sends()
    return side


def brief(messages: Sequence[Message], *tags: int) -> list[tuple[str | None, ...]]:
    """MsgType and the tags asked for."""
    return [(message.msg_type, *(message.get(tag) for tag in tags)) for message in messages]


def body_of(message: Message) -> list[Field]:
    """Without what the session adds."""
    return [field for field in message.fields if field[0] not in (8, 9, 35, 49, 56, 34, 52, 43, 122, 10)]


def refused(events: list[SessionEvent]) -> list[int]:
    """The numbers of what was rejected, where nothing else has happened."""
    assert all(isinstance(event, MessageRefused) for event in events)
    return [event.number for event in events if isinstance(event, MessageRefused)]
