"""Two sessions and a bad line between them: whatever happens to it, each message arrives once and in order."""

from datetime import timedelta
from typing import Literal

from hypothesis import event, given, settings
from hypothesis import strategies as st

from fix.config import SessionConfig
from fix.events import Disconnect, MessageReceived, NumbersReset, SessionEvent
from fix.session import NotLoggedOn, Reading, Session, State
from fix.store import MemoryStore
from tests.fix.wire import START, Side, order

DESK, VENUE = 0, 1


class Line:
    """The sessions, the bytes on their way and what each application was given. Time is what the test says."""

    def __init__(self) -> None:
        self.sessions = [
            Session(SessionConfig("initiator", "DESK", "VENUE", heartbeat_interval=10)),
            Session(SessionConfig("acceptor", "VENUE", "DESK")),
        ]
        self.pipes = [bytearray(), bytearray()]  # by who wrote into them
        self.sent: list[list[str]] = [[], []]
        self.received: list[list[str]] = [[], []]
        self.seconds = 0.0
        self.connect()

    @property
    def now(self) -> Reading:
        return Reading(START + timedelta(seconds=self.seconds), self.seconds)

    def connect(self) -> None:
        for side in (VENUE, DESK):
            self.take(side, self.sessions[side].connected(self.now))

    def take(self, side: int, events: list[SessionEvent]) -> None:
        while data := self.sessions[side].bytes_to_send():
            self.pipes[side] += data
        for one in events:
            if isinstance(one, MessageReceived):
                self.received[side].append(one.message.require(11))
        if any(isinstance(one, Disconnect) for one in events):
            self.deliver(side, len(self.pipes[side]))
            self.cut()

    def send(self, side: int) -> None:
        name = f"{side}-{len(self.sent[side])}"
        try:
            self.sessions[side].send(order(name), self.now)
        except NotLoggedOn:
            return
        self.sent[side].append(name)
        self.take(side, [])

    def deliver(self, side: int, count: int) -> None:
        data = bytes(self.pipes[side][:count])
        del self.pipes[side][:count]
        other = 1 - side
        if data and self.sessions[other].state is not State.DISCONNECTED:
            self.take(other, self.sessions[other].receive(data, self.now))

    def cut(self) -> None:
        """What is on its way is lost."""
        for side in (DESK, VENUE):
            self.pipes[side].clear()
            if self.sessions[side].state is not State.DISCONNECTED:
                self.take(side, self.sessions[side].disconnected(self.now))

    def garble(self, side: int, position: int) -> None:
        if self.pipes[side]:
            # Always upwards, so that no two of them keep a checksum right.
            position %= len(self.pipes[side])
            self.pipes[side][position] += 1

    def lose_desk(self) -> None:
        """The desk's process dies; the next one knows the inbound cursor and begins at a new block of numbers."""
        self.cut()
        old = self.sessions[DESK]
        block_end = (old.next_outbound // 100 + 1) * 100
        self.sessions[DESK] = Session(old.config, MemoryStore(next_outbound=block_end, next_inbound=old.next_inbound))

    def wait(self, seconds: float) -> None:
        end = self.seconds + seconds
        while (due := min(session.next_tick() for session in self.sessions)) <= end:
            self.seconds = max(self.seconds, due)
            for side in (DESK, VENUE):
                self.take(side, self.sessions[side].tick(self.now))
        self.seconds = end

    def settle(self) -> None:
        """The line is good from now on, and time enough passes."""
        for _ in range(60):
            if self.sessions[DESK].state is State.DISCONNECTED:
                self.connect()
            self.empty_pipes()
            self.wait(3)
        self.empty_pipes()
        assert [session.state for session in self.sessions] == [State.IN_SESSION, State.IN_SESSION]

    def empty_pipes(self) -> None:
        while self.pipes[DESK] or self.pipes[VENUE]:
            for side in (DESK, VENUE):
                self.deliver(side, len(self.pipes[side]))


SIDES = st.sampled_from([DESK, VENUE])
ACTIONS = st.one_of(
    st.tuples(st.just("send"), SIDES),
    st.tuples(st.just("send"), SIDES),
    st.tuples(st.just("deliver"), SIDES, st.integers(1, 300)),
    st.tuples(st.just("deliver"), SIDES, st.just(1 << 30)),
    st.tuples(st.just("garble"), SIDES, st.integers(0, 1000)),
    st.tuples(st.just("cut")),
    st.tuples(st.just("connect")),
    st.tuples(st.just("wait"), st.integers(1, 15)),
)


def perform(line: Line, action: tuple[str, ...]) -> None:
    name, *arguments = action
    if name != "connect" or line.sessions[DESK].state is State.DISCONNECTED:
        getattr(line, name)(*arguments)


def play(actions: list[tuple[str, ...]]) -> Line:
    line = Line()
    # A session at first, so that not every run is about the Logon.
    for side in (DESK, VENUE):
        line.deliver(side, 1 << 30)
    for action in actions:
        perform(line, action)
    line.settle()
    return line


@given(st.lists(ACTIONS, max_size=60))
@settings(max_examples=150, deadline=None)
def test_over_a_line_that_garbles_and_breaks_every_message_arrives_once_and_in_order(
    actions: list[tuple[str, ...]],
) -> None:
    line = play(actions)
    event(f"messages: {min(sum(map(len, line.sent)), 10)}")
    assert line.received[VENUE] == line.sent[DESK]
    assert line.received[DESK] == line.sent[VENUE]
    assert line.sessions[DESK].next_outbound == line.sessions[VENUE].next_inbound
    assert line.sessions[VENUE].next_outbound == line.sessions[DESK].next_inbound


@given(st.lists(ACTIONS | st.tuples(st.just("lose_desk")), max_size=60))
@settings(max_examples=100, deadline=None)
def test_a_process_that_dies_loses_nothing_that_was_sent_to_it_and_repeats_nothing(
    actions: list[tuple[str, ...]],
) -> None:
    line = play(actions)
    assert line.received[DESK] == line.sent[VENUE]
    # What the dead process had sent and the line had lost is gone; the outbox knows. Nothing comes twice or late.
    arrived = iter(line.sent[DESK])
    assert all(name in arrived for name in line.received[VENUE])
    assert len(set(line.received[VENUE])) == len(line.received[VENUE])


NUMBERS = st.integers(-2, 40).map(str)
STAMPS = st.sampled_from(["20131007-13:30:00.000", "20131007-13:29:59.000", "20131007-10:00:00", "x"])
VALUES = NUMBERS | STAMPS | st.sampled_from(["Y", "N", "SELF", "PEER", "\xff", ""])
TAGS = st.sampled_from([7, 16, 36, 43, 45, 52, 97, 98, 108, 112, 115, 122, 123, 141, 34, 49, 10, 95, 96, 0, 5000])
JUNK = st.lists(st.tuples(TAGS, VALUES).map(lambda field: f"{field[0]}={field[1]}") | st.just("x"), max_size=4)
ODD_MESSAGES = st.tuples(
    st.sampled_from("012345AD8") | st.just(""), NUMBERS, STAMPS | st.just("20131007-13:30:00"), JUNK
)


@given(st.sampled_from(["initiator", "acceptor"]), st.booleans(), st.lists(ODD_MESSAGES, max_size=12))
@settings(max_examples=250, deadline=None)
def test_nothing_that_a_peer_says_makes_a_session_raise_or_go_back(
    role: Literal["initiator", "acceptor"], begun: bool, messages: list[tuple[str, str, str, list[str]]]
) -> None:
    side = Side(role)
    side.session.connected(side.now)
    if begun:
        side.receives("A", 1, "98=0|108=30")
        side.session.send(order("a"), side.now)
    for msg_type, number, stamp, junk in messages:
        before = side.session.next_inbound
        events = side.receives(msg_type, number, "|".join(junk), header=f"52={stamp}")
        assert side.session.next_inbound >= before or NumbersReset() in events
        received = [one.number for one in events if isinstance(one, MessageReceived)]
        assert received == sorted(set(received))
        assert all(before <= one < side.session.next_inbound for one in received)
        for sent in side.sends():
            assert sent.msg_type in "0123458AD"
        side.passes(7)
