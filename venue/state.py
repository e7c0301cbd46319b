"""What a venue keeps of itself: nothing, or all in one SQLite file, so that it goes on after `kill -9` at any moment.

The file has every input in the order in which it was taken, each member's FIX numbers and sent messages, and which of
the messages that the inputs make have left. An input is written before anything is answered, with the number that it
uses up; a message is written, with its number and with the note that it has left, before its bytes are. So after a
crash the inputs make all messages again, and those that have not left wait for their member.

What is written outlives the process, not a machine that loses its power: nothing is flushed to the disk.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from fix.store import MemoryStore, Store
from venue.inputs import AnyInput, MemberAsked

_FORM = 1
_PAGE = 500
_TABLES = """
CREATE TABLE made_with (comp_id TEXT, copies TEXT);
CREATE TABLE inputs (number INTEGER PRIMARY KEY, entry BLOB);
CREATE TABLE members (comp_id TEXT PRIMARY KEY, outbound INTEGER, inbound INTEGER, created TEXT);
CREATE TABLE sent (comp_id TEXT, number INTEGER, frame BLOB, PRIMARY KEY (comp_id, number)) WITHOUT ROWID;
CREATE TABLE gone (comp_id TEXT, ordinal INTEGER, PRIMARY KEY (comp_id, ordinal)) WITHOUT ROWID;
CREATE TABLE logons (number INTEGER PRIMARY KEY, logon BLOB);
"""
_KILLED = "the venue's process ended"


class StateError(Exception):
    """The folder cannot be used as this venue's state: what it is, and what would be right."""


class Logon(msgspec.Struct, kw_only=True):
    """A member's session from its Logon to its end, by the machine's clock (UTC)."""

    session: str
    peer: str
    number: int = 0
    """MsgSeqNum (34) of its Logon."""
    since: datetime
    until: datetime | None = None
    """None while it is on. Of one that was on when the process was killed: when the next process began."""
    ended_by: str | None = None


class MemberState(Protocol):
    """Of one member."""

    @property
    def store(self) -> Store:
        """Of its FIX session."""
        ...

    @property
    def gone(self) -> set[int]:
        """Which of the messages for it have left, or were lost by a fault: the first is 1, in the order in which they
        were made. As it was at the start."""
        ...

    @property
    def resets(self) -> int:
        """How often the store was reset since the start."""
        ...

    def asked(self, entry: MemberAsked, resets: int) -> None:
        """A request is about to be taken. It came after so many resets: its number is one of these."""
        ...

    def sends(self, ordinal: int) -> None:
        """What the session is given next is this one."""
        ...

    def lost(self, ordinal: int) -> None:
        """This one will never leave."""
        ...


class State(Protocol):
    """What the venue's processes hand on."""

    def member_names(self) -> list[str]:
        """CompIDs of the members that there have been."""
        ...

    def inputs(self) -> Iterator[AnyInput]:
        """All that was taken, in order."""
        ...

    def logons(self) -> list[Logon]:
        """All of them, in order; none is on."""
        ...

    def member(self, comp_id: str) -> MemberState:
        """Called once for each."""
        ...

    def append(self, entry: AnyInput) -> None:
        """What no member has asked for is about to be taken."""
        ...

    def keep_logon(self, number: int, logon: Logon) -> None:
        """Its first word, or its last."""
        ...


# ---- nothing


class _ForgetfulMember:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.gone: set[int] = set()
        self.resets = 0

    def asked(self, entry: MemberAsked, resets: int) -> None:
        pass

    def sends(self, ordinal: int) -> None:
        pass

    def lost(self, ordinal: int) -> None:
        pass


class Forgetful:
    """A state that ends with the process."""

    def member_names(self) -> list[str]:
        return []

    def inputs(self) -> Iterator[AnyInput]:
        return iter(())

    def logons(self) -> list[Logon]:
        return []

    def member(self, comp_id: str) -> MemberState:  # noqa: ARG002 - all begin alike
        return _ForgetfulMember()

    def append(self, entry: AnyInput) -> None:
        pass

    def keep_logon(self, number: int, logon: Logon) -> None:
        pass


# ---- a file


class StateFile:
    """A state in a folder of its own.

    One process at a time. Raises `StateError` for a second one, and for a venue of another CompID or with other drop
    copies: its inputs would make other messages than those that have left.
    """

    def __init__(self, folder: Path, comp_id: str, copies: Mapping[str, str], now: datetime) -> None:
        path = folder / "venue.sqlite"
        made_with = (comp_id, " ".join(f"{member}={copy}" for member, copy in sorted(copies.items())))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, isolation_level=None, timeout=0)
            try:
                self._open(path, made_with, now)
            except BaseException:
                self._file.close()
                raise
        except (sqlite3.Error, OSError) as error:
            why = "another process has it open" if "locked" in str(error) else str(error)
            raise StateError(f"{path} cannot be used: {why}") from error

    def _open(self, path: Path, made_with: tuple[str, str], now: datetime) -> None:
        self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._file.execute("PRAGMA synchronous = OFF")
        with self.writing() as file:
            (form,) = file.execute("PRAGMA user_version").fetchone()
            if form not in (0, _FORM):
                raise StateError(f"{path} is of form {form}; this version reads form {_FORM}: use an empty folder")
            if form == 0:
                for table in _TABLES.split(";\n"):
                    file.execute(table)
                file.execute("INSERT INTO made_with VALUES (?, ?)", made_with)
                file.execute(f"PRAGMA user_version = {_FORM}")
            found = file.execute("SELECT comp_id, copies FROM made_with").fetchone()
            if found != made_with:
                raise StateError(
                    f"{path} is of a venue with --comp-id {found[0]} and --drop-copy {found[1] or '(none)'}: "
                    "begin with the same, or with an empty folder"
                )
            for number, logon in enumerate(self.logons()):
                if logon.until is None:
                    logon.until, logon.ended_by = max(now, logon.since), _KILLED
                    file.execute("UPDATE logons SET logon = ? WHERE number = ?", (msgspec.json.encode(logon), number))
        # Last, because it is written into the file: one that is not ours stays as it was.
        self._file.execute("PRAGMA journal_mode = WAL")

    def close(self) -> None:
        self._file.close()

    def member_names(self) -> list[str]:
        return [comp_id for (comp_id,) in self._file.execute("SELECT comp_id FROM members ORDER BY rowid")]

    def inputs(self) -> Iterator[AnyInput]:
        decoder = msgspec.json.Decoder(AnyInput)
        for (entry,) in self._file.execute("SELECT entry FROM inputs ORDER BY number"):
            yield decoder.decode(entry)

    def logons(self) -> list[Logon]:
        rows = self._file.execute("SELECT logon FROM logons ORDER BY number")
        return [msgspec.json.decode(logon, type=Logon) for (logon,) in rows]

    def member(self, comp_id: str) -> MemberState:
        return _KeptMember(self, comp_id)

    def append(self, entry: AnyInput) -> None:
        with self.writing() as file:
            self.insert(file, entry)

    @staticmethod
    def insert(file: sqlite3.Connection, entry: AnyInput) -> None:
        file.execute("INSERT INTO inputs (entry) VALUES (?)", (msgspec.json.encode(entry),))

    def keep_logon(self, number: int, logon: Logon) -> None:
        with self.writing() as file:
            file.execute("INSERT OR REPLACE INTO logons VALUES (?, ?)", (number, msgspec.json.encode(logon)))

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """All of it or nothing."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield self._file
            self._file.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself where the disk was full.
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        return self._file.execute(query, values).fetchall()


class _KeptMember:
    """A member's state, and the store of its session, in the venue's file."""

    def __init__(self, state: StateFile, comp_id: str) -> None:
        self._state = state
        self._comp_id = comp_id
        with state.writing() as file:
            file.execute("INSERT OR IGNORE INTO members VALUES (?, 1, 1, '')", (comp_id,))
            outbound, inbound, created = file.execute(
                "SELECT outbound, inbound, created FROM members WHERE comp_id = ?", (comp_id,)
            ).fetchone()
            gone = file.execute("SELECT ordinal FROM gone WHERE comp_id = ?", (comp_id,)).fetchall()
        self.gone = {ordinal for (ordinal,) in gone}
        self.resets = 0
        self.next_outbound: int = outbound
        self.next_inbound: int = inbound
        self._created = datetime.fromisoformat(created) if created else None
        self._sending: int | None = None
        self._unwritten: list[tuple[int, bytes]] = []
        self._left: list[int] = []
        self._changed = False

    @property
    def store(self) -> Store:
        return self

    def asked(self, entry: MemberAsked, resets: int) -> None:
        """With the request goes its number: one that was taken does not come again after a crash."""
        following = entry.number + 1 if resets == self.resets else 1
        with self._state.writing() as file:
            self._state.insert(file, entry)
            file.execute("UPDATE members SET inbound = max(inbound, ?) WHERE comp_id = ?", (following, self._comp_id))
        self.next_inbound = max(self.next_inbound, following)

    def sends(self, ordinal: int) -> None:
        self._sending = ordinal

    def lost(self, ordinal: int) -> None:
        with self._state.writing() as file:
            file.execute("INSERT INTO gone VALUES (?, ?)", (self._comp_id, ordinal))

    # fix.store.Store

    @property
    def created(self) -> datetime | None:
        return self._created

    @created.setter
    def created(self, at: datetime | None) -> None:
        self._created, self._changed = at, True

    def sent(self, number: int, frame: bytes | None) -> None:
        self.next_outbound, self._changed = number + 1, True
        if frame is not None:
            self._unwritten.append((number, frame))
            if self._sending is not None:
                self._left.append(self._sending)
            self._sending = None

    def processed(self, next_inbound: int) -> None:
        self.next_inbound, self._changed = next_inbound, True

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        self.commit()
        while page := self._state.rows(
            "SELECT number, frame FROM sent WHERE comp_id = ? AND number BETWEEN ? AND ? ORDER BY number LIMIT ?",
            self._comp_id,
            first,
            last,
            _PAGE,
        ):
            for number, frame in page:
                assert isinstance(number, int)
                assert isinstance(frame, bytes)
                yield number, frame
                first = number + 1

    def reset(self, created: datetime) -> None:
        self.resets += 1
        self.next_outbound = self.next_inbound = 1
        self._created = created
        self._unwritten.clear()
        self._write(forget=True)

    def commit(self) -> None:
        if self._changed:
            self._write()

    def _write(self, *, forget: bool = False) -> None:
        created = self._created.isoformat() if self._created else ""
        comp_id = self._comp_id
        with self._state.writing() as file:
            if forget:
                file.execute("DELETE FROM sent WHERE comp_id = ?", (comp_id,))
            file.executemany("INSERT INTO sent VALUES (?, ?, ?)", [(comp_id, *sent) for sent in self._unwritten])
            file.executemany("INSERT INTO gone VALUES (?, ?)", [(comp_id, ordinal) for ordinal in self._left])
            file.execute(
                "UPDATE members SET outbound = ?, inbound = ?, created = ? WHERE comp_id = ?",
                (self.next_outbound, self.next_inbound, created, comp_id),
            )
        self._unwritten.clear()
        self._left.clear()
        self._changed = False
