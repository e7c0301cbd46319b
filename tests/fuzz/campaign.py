"""Mutated frames and streams against the session core: never an exception, never a wrong sequence number accepted.

A run is one session with settings that are drawn, and a peer that says what peers say: most of it in order, some of it
again, too early or too late, and much of it damaged. Streams are split anywhere. Some sessions have hours, and a day
ends in the midst of the run; some keep their numbers in a file, and their process is killed between two connections.
The same seed and number give the same run. What is held to be right is read off the bytes here, not asked of the code
that is tried: see `_Watch`.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fix.codec import Decoder
from fix.config import VERSIONS, SessionConfig
from fix.dictionary import shipped
from fix.events import Disconnect, LoggedOn, LoggedOut, MessageReceived, NumbersReset, SessionEvent
from fix.message import Message
from fix.schedule import Schedule
from fix.session import Reading, Session, State
from fix.sqlite_store import SqliteStore
from fix.store import MemoryStore, Store
from tests.fix.wire import START

_SOH = "\x01"
_MUTATED_SHARE = 0.6
_FILE_SHARE = 0.05
_BATCHES = 14
_MOST_WAITING = (1 << 20) + (1 << 12)
_DEAD_END = 10**17
"""Above such a number, MsgSeqNum has soon more digits than are read: nothing is left to try."""

OUTCOMES = ("taken", "rejected", "kept", "ended", "ignored", "dropped", "unread")
"""Of a frame: its number was used up; it was answered by a Reject; it waits for its turn; it ended the session; nothing
came of it; it was garbled; the session was over before it."""
SOUND = "none"
"""The kind of mutation of a frame that was left as it was."""

Fields = list[tuple[str, str]]


class Breach(Exception):  # noqa: N818 - what was found, not an error of the campaign
    """Something that must never be was there."""


class BrokenRun(Exception):  # noqa: N818 - as above
    """A run that found something: how to have it again, and what the peer had said on the last connection."""

    def __init__(self, seed: int, number: int, what: str, config: SessionConfig, pieces: "list[Piece]") -> None:
        super().__init__(f"seed {seed}, run {number}: {what}")
        self.seed = seed
        self.number = number
        self.what = what
        self.config = config
        self.pieces = pieces


@dataclass(frozen=True)
class Piece:
    """What the peer wrote at once: a frame, or what a mutation left of it."""

    kind: str
    data: bytes


@dataclass
class Tally:
    """What came of the frames."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind of mutation and outcome."""
    delivered: int = 0
    sent: int = 0
    """Messages that the session said."""

    @property
    def mutated(self) -> int:
        return sum(count for (kind, _), count in self.outcomes.items() if kind != SOUND)


def campaign(frames: int, seed: int, tally: Tally) -> Iterator[int]:
    """Runs until so many mutated frames went in; gives the number of each run. Raises `BrokenRun`."""
    number = 0
    while tally.mutated < frames:
        play(seed, number, tally)
        yield number
        number += 1


def play(seed: int, number: int, tally: Tally) -> None:
    """One run; raises `BrokenRun`."""
    run = _Run(Random(f"{seed}/{number}"), tally)
    try:
        run.play()
    except Exception as error:
        what = str(error) if isinstance(error, Breach) else f"{type(error).__name__}: {error}"
        raise BrokenRun(seed, number, what, run.config, run.watch.pieces) from error
    finally:
        run.close()


# What a peer says


def frame(begin_string: str, fields: Fields) -> bytes:
    """The fields from MsgType (35) on, with the length and the checksum that are right for them."""
    return _enclose(begin_string, "".join([f"{tag}={value}\x01" for tag, value in fields]).encode("latin-1"))


def _enclose(begin_string: str, body: bytes) -> bytes:
    proven = f"8={begin_string}\x019={len(body)}\x01".encode() + body
    return proven + f"10={sum(proven) % 256:03}\x01".encode()


def application_bodies(begin_string: str) -> list[tuple[str, Fields]]:
    """Messages of orders that are good by the shipped dictionary, with groups, data fields and more than ASCII."""
    old = begin_string == "FIX.4.2"
    time = "60=20131007-13:30:00"
    group = "78=2|79=one|80=5|79=two|80=7" if old else "453=2|448=DESK|447=D|452=1|448=FIRM|447=D|452=3"
    report = "37=o1|17=e1|55=IBM|54=1|38=100|14=0|151=100|6=0|150=0|39=0" + ("|20=0" if old else "")
    texts = [
        ("D", f"11=a1|21=1|55=IBM|54=1|38=100|40=2|44=12.25|59=0|{time}|58=caf\xe9 = 1"),
        ("D", f"11=a2|21=1|55=IBM|54=2|40=1|38=3|{time}|{group}"),
        ("D", f"11=a3|21=1|55=IBM|54=1|38=1|40=1|{time}|20100=own|354=9|355=x^y=^z=^!"),
        ("8", f"{report}|11=a1|60=20131007-13:30:00.123456"),
        ("8", f"{report}|58=done|30=XNYS|5001=mine"),
        ("F", f"41=a1|11=c1|55=IBM|54=1|38=100|{time}"),
        ("G", f"41=a1|11=r1|21=1|55=IBM|54=1|38=50|40=2|44=12.5|{time}"),
        ("9", "37=o1|11=c1|41=a1|39=2|434=1|102=0|58=too late"),
    ]
    return [(msg_type, _fields(text)) for msg_type, text in texts]


def _fields(text: str) -> Fields:
    """`^` stands for the delimiter within data."""
    pairs = [piece.partition("=") for piece in text.split("|")]
    return [(tag, value.replace("^", _SOH)) for tag, _, value in pairs]


_APPLICATION = {version: application_bodies(version) for version in VERSIONS}
_UNKNOWN_TYPES = ("B", "U1", "ZZ", "W", "d\x02", "?")


# Mutations. Those of fields leave a frame whose length and checksum are right: what reads it has to look closer.

_VALUES: tuple[str, ...] = (
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "A",
    "D",
    "8",
    "Y",
    "N",
    "PEER",
    "SELF",
    "x",
    " ",
    "=",
    "a=b",
    "\xff\xfe",
    "IBM",
)
_VALUES += ("20131007-13:30:00", "20131007-13:30:00.000", "20131007-25:00:00", "99991231-23:59:59", "00000000-00:00:00")
_VALUES += ("1.5", "00", "007", "+1", "1_0", "\xb2", "\x00", "*", "FIX.4.4", "1 2", "12:00:00", "20131332")
_HUGE: tuple[str, ...] = (
    "999999999999999999",
    "1000000000000000000",
    "9" * 30,
    "9" * 5000,
    "1" + "0" * 400,
    "4294967296",
    "100000",
)
_HUGE += ("0" * 50 + "7", "1e400", "2147483648", "9" * 4299 + ".5")
_ODD_TAGS = ("0", "-5", "x", "058", "", "10", "8", "9", "35", "99999999999", "3000", "5000", "20000", "1_1", "\xb2")
_KNOWN_TAGS: tuple[str, ...] = (
    "7",
    "16",
    "34",
    "36",
    "43",
    "45",
    "49",
    "50",
    "52",
    "56",
    "58",
    "78",
    "89",
    "90",
    "91",
    "93",
    "95",
    "96",
)
_KNOWN_TAGS += (
    "97",
    "108",
    "112",
    "115",
    "122",
    "123",
    "141",
    "347",
    "369",
    "453",
    "554",
    "627",
    "789",
    "1128",
    "1137",
)


def _somewhere(random: Random, fields: Fields) -> int:
    return int(random.random() * len(fields))


def _set(random: Random, fields: Fields, values: Sequence[str]) -> None:
    at = _somewhere(random, fields)
    fields[at] = (fields[at][0], random.choice(values))


def _negate(random: Random, fields: Fields) -> None:
    numeric = [at for at, (_, value) in enumerate(fields) if value.isdecimal()]
    at = random.choice(numeric) if numeric else 0
    fields[at] = (fields[at][0], random.choice([f"-{fields[at][1]}", "-1", "-0", "--1", "-"]))


def _swap(random: Random, fields: Fields) -> None:
    one, other = _somewhere(random, fields), _somewhere(random, fields)
    fields[one], fields[other] = fields[other], fields[one]


def _repeat(random: Random, fields: Fields) -> None:
    tag, value = random.choice(fields)
    fields.insert(_somewhere(random, fields) + 1, (tag, random.choice([value, value, random.choice(_VALUES)])))


def _leave_out(random: Random, fields: Fields) -> None:
    if len(fields) > 1:
        del fields[_somewhere(random, fields)]


def _add(random: Random, fields: Fields) -> None:
    tag = random.choice(_ODD_TAGS if random.random() < 0.4 else _KNOWN_TAGS)
    fields.insert(_somewhere(random, fields) + 1, (tag, random.choice(_VALUES)))


def _change_number(random: Random, fields: Fields) -> None:
    for at, (tag, value) in enumerate(fields):
        if tag in ("34", "36", "7", "16", "789") and value.isdecimal() and random.random() < 0.7:
            fields[at] = (tag, str(max(0, int(value) + random.choice((-100, -2, -1, 1, 2, 3, 50)))))


def _change_time(random: Random, fields: Fields) -> None:
    times = [at for at, (tag, _) in enumerate(fields) if tag in ("52", "122", "60")]
    at = random.choice(times) if times else 0
    second = f"{random.randrange(60):02}"
    fields[at] = (fields[at][0], random.choice(["20131007-13:29:", "20131007-11:00:", "20131008-13:30:", "x"]) + second)


FIELD_MUTATIONS: dict[str, Callable[[Random, Fields], None]] = {
    "value changed": lambda random, fields: _set(random, fields, _VALUES),
    "huge number": lambda random, fields: _set(random, fields, _HUGE),
    "negative number": _negate,
    "empty value": lambda random, fields: _set(random, fields, ("",)),
    "fields swapped": _swap,
    "tag repeated": _repeat,
    "field left out": _leave_out,
    "field added": _add,
    "sequence number changed": _change_number,
    "time changed": _change_time,
}


def _flip(random: Random, data: bytearray) -> None:
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        data[int(random.random() * len(data))] ^= 1 << random.randrange(8)


def _delete(random: Random, data: bytearray) -> None:
    at = int(random.random() * len(data))
    del data[at : at + random.choice((1, 1, 2, 7, 40))]


def _insert(random: Random, data: bytearray) -> None:
    at = int(random.random() * (len(data) + 1))
    data[at:at] = random.choice([b"\x01", b"=", b"8=FIX", b"10=000\x01", b"\x0134=1\x01", random.randbytes(3)])


def _double(random: Random, data: bytearray) -> None:
    at = int(random.random() * len(data))
    data[at:at] = data[at : at + random.choice((1, 2, 10, len(data)))]


def _cut(random: Random, data: bytearray) -> None:
    del data[int(random.random() * len(data)) :]


def _glue(random: Random, data: bytearray) -> None:
    """Its beginning, then all of it."""
    data[0:0] = data[: int(random.random() * len(data))]


def _change_check_sum(random: Random, data: bytearray) -> None:
    data[-4:-1] = f"{(int(data[-4:-1]) + random.randrange(1, 256)) % 256:03}".encode()


def _change_length(random: Random, data: bytearray) -> None:
    """The checksum is made right again, so that the length alone is wrong."""
    at = data.index(b"\x019=") + 3
    end = data.index(b"\x01", at)
    length = int(data[at:end])
    wrong = random.choice(
        [length - 1, length + 1, length - 7, length + random.randrange(2, 300), 0, 1_000_000, 1 << 21]
    )
    data[at:end] = str(max(0, wrong)).encode()
    data[-4:-1] = f"{sum(data[:-7]) % 256:03}".encode()


def _flip_and_make_right(random: Random, data: bytearray) -> None:
    at = data.index(b"\x0135=") + 1
    body = data[at:-7]
    random.choice([_flip, _flip, _delete, _double, _insert])(random, body)
    begin_string = bytes(data[2 : data.index(1)]).decode()
    data[:] = _enclose(begin_string, bytes(body))


BYTE_MUTATIONS: dict[str, Callable[[Random, bytearray], None]] = {
    "bit flipped": _flip,
    "bytes deleted": _delete,
    "bytes inserted": _insert,
    "bytes doubled": _double,
    "cut short": _cut,
    "glued to its beginning": _glue,
    "wrong checksum": _change_check_sum,
    "wrong length": _change_length,
    "bytes changed, made right": _flip_and_make_right,
}

KINDS = (SOUND, *FIELD_MUTATIONS, *BYTE_MUTATIONS)


# The run


class _Run:
    def __init__(self, random: Random, tally: Tally) -> None:
        self.random = random
        self.day_ends = START + timedelta(seconds=random.choice((1, 10, 60))) if random.random() < 0.2 else None
        """And the next begins."""
        self.config = self._config()
        self.watch = _Watch(self.config, tally)
        self.folder = TemporaryDirectory() if random.random() < _FILE_SHARE else None
        self.store = self._open_store()
        if random.random() < 0.3:
            self.store.sent(6, None)
        if random.random() < 0.3:
            self.store.processed(5)
        self.store.created = self.numbers_begun = START
        self.store.commit()
        self._begin()
        self.seconds = 0.0
        self.number = self.session.next_inbound
        """The peer's next one."""

    def _open_store(self) -> MemoryStore | SqliteStore:
        return SqliteStore(Path(self.folder.name) / "store", self.config.session_id) if self.folder else MemoryStore()

    def _begin(self) -> None:
        self.session = Session(self.config, self.store, self.watch)
        self.watch.session = self.session

    def _config(self) -> SessionConfig:
        random = self.random
        role = random.choice(("initiator", "acceptor"))
        version = random.choice(VERSIONS)
        return SessionConfig(
            "initiator" if role == "initiator" else "acceptor",
            "SELF",
            "PEER",
            version,
            reset_on_logon=role == "initiator" and random.random() < 0.3,
            next_expected=version != "FIX.4.2" and random.random() < 0.3,
            last_processed=random.random() < 0.3,
            resend_chunk=random.choice((0, 0, 2)),
            dictionary=shipped(version) if random.random() < 0.5 else None,
            validate="all" if random.random() < 0.7 else "session",
            schedule=Schedule(self.day_ends.time(), self.day_ends.time()) if self.day_ends else None,
        )

    @property
    def now(self) -> Reading:
        return Reading(START + timedelta(seconds=self.seconds), 1000 + self.seconds)

    def play(self) -> None:
        for _ in range(_BATCHES):
            if self.session.next_inbound > _DEAD_END:
                break
            if self.session.state is State.DISCONNECTED:
                self._connect()
            self._deliver([*self._catches_up(), *(self._piece() for _ in range(self.random.randint(1, 4)))])
            self._acts()
            self._passes_time()
        self._disconnect()

    def close(self) -> None:
        if isinstance(self.store, SqliteStore):
            self.store._file.close()
        if self.folder:
            self.folder.cleanup()

    def _kill(self) -> None:
        """The process that has the file, and begin again with what is in it."""
        if isinstance(self.store, SqliteStore):
            self.store._file.close()
            self.store = self._open_store()
            self.watch.checks_store(self.store)
            self._begin()

    def _connect(self) -> None:
        random = self.random
        if random.random() < 0.5:
            self._kill()
        session = self.session
        new_day = self.day_ends is not None and self.numbers_begun < self.day_ends <= self.now.utc
        self.watch.connects()
        events = session.connected(self.now)
        _hold(NumbersReset() in events or not new_day, "a day began with the numbers of the one before")
        self._told(events)
        # Either is as a peer may have it: what was lost is asked for, what was skipped is not missed.
        self.number = session.next_inbound + random.choice((0, 0, 0, 2))
        if random.random() < 0.2:
            self._deliver([self._piece()])
        if session.state is State.DISCONNECTED:
            return
        reset = self.config.reset_on_logon or (self.config.role == "acceptor" and random.random() < 0.2)
        if reset:
            self.number = 1
        self._deliver([self._mutated("A", self._logon(reset), 0.3)])

    def _logon(self, reset: bool) -> Fields:
        fields = [("98", "0"), ("108", self.random.choice(("30", "30", "5", "0")))]
        if self.random.random() < 0.3:
            fields += [("95", "7"), ("96", "a\x0158=b=")]
        if reset:
            fields.append(("141", "Y"))
        if self.config.next_expected:
            fields.append(("789", str(1 if reset else self.session.next_outbound - self.random.choice((0, 0, 1)))))
        if self.config.begin_string == "FIXT.1.1":
            fields.append(("1137", "9"))
        elif self.config.begin_string == "FIX.4.4":
            fields += [("553", "desk"), ("554", "secret")]
        return fields

    def _catches_up(self) -> list[Piece]:
        """The answer to what the session may have asked for."""
        missing = self.session.next_inbound
        if missing > self.number:
            self.number = missing
        chance = self.random.random()
        if missing == self.number or chance < 0.2:
            return []
        if chance < 0.6:
            filled = [("123", "Y"), ("36", str(self.number))]
            return [self._as_it_is("4", missing, filled, again=True)]
        numbers = range(missing, min(self.number, missing + 4))
        resent = [(number, *self._application()) for number in numbers]
        return [self._as_it_is(msg_type, number, body, again=True) for number, msg_type, body in resent]

    def _application(self) -> tuple[str, Fields]:
        return self.random.choice(_APPLICATION[self.config.begin_string])

    def _piece(self) -> Piece:
        return self._mutated(*self._message(), _MUTATED_SHARE)

    def _message(self) -> tuple[str, Fields]:
        """MsgType and body."""
        random, number, sent = self.random, self.number, self.session.next_outbound
        chance = random.random()
        if chance < 0.55:
            return self._application()
        if chance < 0.63:
            return "0", [] if random.random() < 0.5 else [("112", "TEST-3")]
        if chance < 0.70:
            return "1", [("112", "are you there?")]
        if chance < 0.80:
            first = random.randint(1, sent + 1)
            return "2", [("7", str(first)), ("16", str(random.choice((0, 0, first, first + 3, sent + 50))))]
        if chance < 0.85:
            return "3", [("45", str(random.randint(1, sent))), ("373", "5"), ("58", "no")]
        if chance < 0.91:
            return "4", [("123", "Y"), ("36", str(number + random.choice((1, 1, 2, 5))))]
        if chance < 0.93:
            return "4", [("123", "N"), ("36", str(number + random.choice((0, 1, 4))))]
        if chance < 0.95:
            return "5", [("58", "bye")] if random.random() < 0.5 else []
        if chance < 0.97:
            return "A", self._logon(reset=random.random() < 0.7)
        return random.choice(_UNKNOWN_TYPES), [("95", "4"), ("96", "a\x01=b"), ("58", "news")]

    def _mutated(self, msg_type: str, body: Fields, share: float) -> Piece:
        random = self.random
        number = 1 if msg_type == "A" and ("141", "Y") in body else self.number
        self.number = number + 1
        if msg_type == "4" and body[1][1].isdecimal():
            self.number = max(self.number, int(body[1][1]))
        chance = random.random()
        if chance < 0.03:
            number = max(1, number - random.randint(1, 3))
        again = chance < 0.06
        if random.random() >= share:
            return self._as_it_is(msg_type, number, body, again=again)
        fields = self._header(msg_type, number, again) + body
        kind = random.choice(KINDS[1:])
        if kind in FIELD_MUTATIONS:
            FIELD_MUTATIONS[kind](random, fields)
            return Piece(kind, frame(self.config.begin_string, fields))
        data = bytearray(frame(self.config.begin_string, fields))
        BYTE_MUTATIONS[kind](random, data)
        return Piece(kind, bytes(data))

    def _as_it_is(self, msg_type: str, number: int, body: Fields, *, again: bool) -> Piece:
        return Piece(SOUND, frame(self.config.begin_string, self._header(msg_type, number, again) + body))

    def _header(self, msg_type: str, number: int, again: bool) -> Fields:
        stamp = _stamp(self.now.utc)
        fields = [("35", msg_type), ("49", "PEER"), ("56", "SELF"), ("34", str(number)), ("52", stamp)]
        if again:
            fields += [("43", "Y"), ("122", stamp)]
        if self.random.random() < 0.1:
            fields += [("115", "CLIENT"), ("97", "N"), ("57", "DESK")]
        return fields

    def _deliver(self, pieces: list[Piece]) -> None:
        """The stream, split anywhere."""
        random = self.random
        stream = b"".join([piece.data for piece in pieces])
        self.watch.writes(pieces)
        cuts = sorted([int(random.random() * len(stream)) for _ in range(random.choice((0, 0, 1, 2, 5)))])
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            if self.session.state is State.DISCONNECTED:
                break
            if start < end:
                self._told(self.session.receive(stream[start:end], self.now))
        waiting = self.session._decoder.waiting
        _hold(waiting <= _MOST_WAITING, f"{waiting} bytes are held")
        if waiting > 2000:
            # A length that lies; the session finds out by the silence.
            self._goes_on(100)

    def _told(self, events: list[SessionEvent]) -> None:
        self.watch.checks(events)
        self._drain()
        if NumbersReset() in events:
            self.numbers_begun = self.now.utc
        for event in events:
            if isinstance(event, MessageReceived) and self.random.random() < 0.9:
                self.session.processed(event.number)
        if any(isinstance(event, Disconnect) for event in events):
            self._disconnect()

    def _drain(self) -> None:
        while data := self.session.bytes_to_send():
            self.watch.checks_sent(data)
        self.watch.checks_next_outbound()

    def _disconnect(self) -> None:
        if self.session.state is not State.DISCONNECTED:
            self.watch.checks(self.session.disconnected(self.now))
        self.watch.disconnects()

    def _acts(self) -> None:
        """The application, now and then."""
        chance = self.random.random()
        if self.session.state is State.IN_SESSION and chance < 0.3:
            msg_type, body = self._application()
            self.session.send(Message(msg_type, [(int(tag), value) for tag, value in body]), self.now)
            self._drain()
        elif self.session.state is State.IN_SESSION and chance < 0.32:
            self.watch.asks_for_reset()
            self._told(self.session.reset(self.now))
        elif chance > 0.99:
            self._told(self.session.logout(self.now, "enough"))
        elif chance > 0.98:
            self._disconnect()

    def _passes_time(self) -> None:
        chance = self.random.random()
        if chance < 0.5:
            self.seconds += chance
        elif chance < 0.55:
            self._goes_on(self.random.choice((3, 15, 40, 80)))

    def _goes_on(self, seconds: float) -> None:
        """With a tick whenever one is due, and with nothing from the peer."""
        end = self.seconds + seconds
        while (due := self.session.next_tick() - 1000) <= end and self.session.state is not State.DISCONNECTED:
            self.seconds = max(self.seconds, due)
            self._told(self.session.tick(self.now))
        self.seconds = end


def _stamp(utc: datetime) -> str:
    return f"{utc:%Y%m%d-%H:%M:%S}.{utc.microsecond // 1000:03}"


def _hold(condition: bool, breach: str) -> None:
    if not condition:
        raise Breach(breach)


_OPENING = re.compile(rb"8=[^\x01]+\x019=([0-9]+)\x01")
_ADMINISTRATIVE = frozenset("012345A")


class _Watch:
    """Holds the session to what must be.

    It is the session's message log: so it is told of each frame that the session took for whole, just before that is
    handled. The numbers may then only grow as far as frames account for them: each number is one of a frame that came
    on this connection, or within a gap fill or a reset that did. They go back only with a reset that was announced.
    """

    session: Session

    def __init__(self, config: SessionConfig, tally: Tally) -> None:
        self._config = config
        self._tally = tally
        self._dictionary = shipped(config.begin_string)
        self.pieces: list[Piece] = []
        """Of this connection."""
        self._starts: list[int] = []
        self._outcomes: dict[int, str] = {}
        self._stream = bytearray()
        self._at = 0
        self._handled: bytes | None = None
        self._piece = 0
        self._expected = 0
        self._said: list[str] = []
        self._seen: set[int] = set()
        self._filled: list[tuple[int, int]] = []
        self._spans: list[tuple[int, int]] = []
        """Numbers that were used up by each frame, since events were last looked at."""
        self._went_back = False
        self._reset_asked = False
        self._resets_told = 0
        self._logged_on = False
        self._decoder = Decoder()
        self._next_outbound: int | None = None

    # What the run says

    def connects(self) -> None:
        self.pieces, self._starts, self._outcomes = [], [], {}
        self._stream.clear()
        self._at = 0
        self._seen.clear()
        self._filled.clear()
        self._decoder = Decoder()
        self._next_outbound = self.session.next_outbound
        self._resets_told = 0

    def disconnects(self) -> None:
        ended = max((at for at, outcome in self._outcomes.items() if outcome == "ended"), default=len(self.pieces))
        for at, piece in enumerate(self.pieces):
            outcome = self._outcomes.get(at) or ("dropped" if at < ended else "unread")
            self._tally.outcomes[piece.kind, outcome] += 1
        self.pieces, self._outcomes = [], {}
        self._reset_asked = False

    def writes(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self._starts.append(len(self._stream))
            self._stream += piece.data
        self.pieces += pieces

    def asks_for_reset(self) -> None:
        self._reset_asked = True

    # What the session tells its log

    def received(self, utc: datetime, frame: bytes) -> None:
        self._settle()
        at = self._stream.find(frame, self._at)
        _hold(at >= 0, f"a frame was not received like this, or not in this order: {frame!r}")
        self._at = at + len(frame)
        opening = _OPENING.match(frame)
        whole = opening is not None and len(frame) == opening.end() + int(opening[1]) + 7
        _hold(whole and frame[-7:] == b"10=%03d\x01" % (sum(frame[:-7]) % 256), f"a garbled frame was taken: {frame!r}")
        self._handled, self._piece = frame, bisect_right(self._starts, at) - 1
        self._expected = self.session.next_inbound
        self._said.clear()

    def sent(self, utc: datetime, frame: bytes) -> None:
        self._said.append(frame[frame.index(b"\x0135=") + 4 :].split(b"\x01", 1)[0].decode("latin-1"))

    def event(self, utc: datetime, text: str) -> None:
        """Garbled bytes are seen by what is missing."""

    def flush(self) -> None:
        """There is nothing to write."""

    # What is checked

    def _settle(self) -> None:
        """The frame before was handled."""
        frame = self._handled
        if frame is None:
            return
        self._handled = None
        before, after = self._expected, self.session.next_inbound
        number, new = _integer(frame, 34), _integer(frame, 36)
        msg_type = _value(frame, 35)
        if after < before:
            resets = msg_type == b"A" and _value(frame, 141) == b"Y" and (number, after) == (1, 2)
            _hold(resets, f"the expected number went back from {before} to {after}")
            self._went_back = True
            self._seen.clear()
            self._filled.clear()
        else:
            if number is not None:
                self._seen.add(number)
            if msg_type == b"4" and new is not None:
                if _value(frame, 123) == b"Y" and number is not None:
                    self._filled.append((number, new))
                elif after > before:
                    self._filled.append((before, new))
            self._account_for(before, after)
            self._spans.append((before, after))
        self._outcomes[self._piece] = self._outcome(before, after, number)

    def _account_for(self, number: int, after: int) -> None:
        while number < after:
            filled = max((end for start, end in self._filled if start <= number), default=0)
            _hold(number in self._seen or filled > number, f"number {number} was used up, and nothing had it")
            number = max(number + 1, filled)
        # Not for good: another gap fill under the same numbers has to be seen anew.
        self._filled = [(start, end) for start, end in self._filled if end > after]

    def _outcome(self, before: int, after: int, number: int | None) -> str:
        if self.session.state is State.CLOSING or "5" in self._said:
            return "ended"
        if "3" in self._said or "j" in self._said:
            return "rejected"
        if after != before:
            return "taken"
        return "kept" if number is not None and number > before else "ignored"

    def checks(self, events: list[SessionEvent]) -> None:
        """What came of bytes or of time."""
        self._settle()
        if self._went_back:
            announced = self._reset_asked or any(isinstance(event, NumbersReset) for event in events)
            _hold(announced, "numbers went back, and nobody was told")
            self._went_back = self._reset_asked = False
        if not self._logged_on and LoggedOn() not in events and self.session.state is State.CLOSING:
            _hold(NumbersReset() not in events, "numbers were reset by a Logon that was refused")
        spans = iter(self._spans)
        low = high = 0
        for event in events:
            if isinstance(event, MessageReceived):
                while not low <= event.number < high:
                    low, high = next(spans, (-1, -1))
                    _hold(high >= 0, f"message {event.number} was given out of turn or twice")
                low = event.number + 1
                self._check_message(event)
            elif isinstance(event, NumbersReset):
                self._resets_told += 1
            elif isinstance(event, LoggedOn | LoggedOut):
                _hold(self._logged_on is isinstance(event, LoggedOut), f"{event!r} was told twice or alone")
                self._logged_on = isinstance(event, LoggedOn)
        self._spans.clear()
        _hold(self.session.next_unprocessed <= self.session.next_inbound, "what did not come is under way")

    def _check_message(self, event: MessageReceived) -> None:
        self._tally.delivered += 1
        message, config = event.message, self._config
        _hold(int(message.require(34)) == event.number, f"{message!r} was given as number {event.number}")
        _hold(message.msg_type not in _ADMINISTRATIVE, f"{message!r} was given to the application")
        to = (message.get(8), message.get(49), message.get(56))
        _hold(to == (config.begin_string, config.target_comp_id, config.sender_comp_id), f"{message!r} is not for us")
        if config.dictionary is not None and config.validate == "all":
            defect = config.dictionary.check(message)
            _hold(defect is None, f"{message!r} was given, and has {defect!r}")

    def checks_sent(self, data: bytes) -> None:
        """What the session says: whole, good by the dictionary, its numbers in order."""
        self._decoder.feed(data)
        while (decoded := self._decoder.next()) is not None:
            message = decoded.message
            self._tally.sent += 1
            defect = decoded.defect or self._dictionary.check(message)
            _hold(defect is None, f"{message!r} was sent, and has {defect!r}")
            _hold((message.get(49), message.get(56)) == ("SELF", "PEER"), f"{message!r} was sent to nobody")
            number = int(message.require(34))
            assert self._next_outbound is not None
            if message.get(43) == "Y":
                _hold(number < self._next_outbound, f"{message!r} was resent, and never sent")
            else:
                if number == 1 and self._resets_told:
                    self._next_outbound = 1
                    self._resets_told -= 1
                _hold(number == self._next_outbound, f"{message!r} was sent, and {self._next_outbound} was next")
                self._next_outbound = number + 1
        _hold(not (self._decoder.waiting or self._decoder.dropped), f"it was no message that was sent: {data!r}")

    def checks_store(self, store: Store) -> None:
        """What a process that was killed leaves: all that was sent is counted, and what was not done with comes."""
        expected = self.session.next_outbound
        _hold(store.next_outbound == expected, f"{expected} was next, and the file has {store.next_outbound}")
        expected = self.session.next_unprocessed
        _hold(store.next_inbound <= expected, f"{expected} was next to be done, and the file has {store.next_inbound}")

    def checks_next_outbound(self) -> None:
        expected = self.session.next_outbound
        if expected == 1 and self._resets_told:
            self._next_outbound = 1
            self._resets_told -= 1
        _hold(self._next_outbound == expected, f"{expected} is said to be next, but {self._next_outbound} is")


def _value(frame: bytes, tag: int) -> bytes | None:
    """The first of the tag, as plainly as it can be read."""
    _, found, rest = frame.partition(b"\x01%d=" % tag)
    return rest.partition(b"\x01")[0] if found else None


def _integer(frame: bytes, tag: int) -> int | None:
    value = _value(frame, tag)
    return int(value) if value is not None and value.isdigit() and len(value) <= 18 else None
