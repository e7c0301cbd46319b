"""A store in a file of its own, which outlives the process."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

_SCHEMA = 1
_PAGE = 500


class StoreError(Exception):
    """The file cannot be used as this session's store: what it is, and what would be right."""


class SqliteStore:
    """Numbers and sent messages in one SQLite file, since the last reset all of them.

    What a crash leaves:

    - A process that dies (`kill -9`) loses nothing of what was committed, and the session commits before bytes leave.
      So whatever the peer can have seen is there, and can be resent.
    - The inbound number is written with what is sent next. It may be behind; then the peer sends again what the
      application has had: each message at least once, never skipped.
    - With `survives="power"` the same holds for a machine that loses its power, at the price of a disk flush for each
      write: some hundred writes a second instead of some ten thousand.

    One process at a time: a second one that opens the file gets a `StoreError`, and so does a session of another name.
    """

    def __init__(self, path: Path, session_id: str, *, survives: Literal["process", "power"] = "process") -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
            try:
                self._open(session_id, survives)
            except BaseException:
                # The file is free again at once, not only when nobody looks at the error any more.
                self._file.close()
                raise
        except (sqlite3.Error, OSError) as error:
            why = "another process has it open" if "locked" in str(error) else str(error)
            raise StoreError(f"{path} cannot be used as the store of {session_id}: {why}") from error
        outbound, inbound, created = self._file.execute("SELECT outbound, inbound, created FROM numbers").fetchone()
        self.next_outbound = outbound
        self.next_inbound = inbound
        self._created = datetime.fromisoformat(created) if created else None
        self._unwritten: list[tuple[int, bytes]] = []
        self._changed = False

    def _open(self, session_id: str, survives: Literal["process", "power"]) -> None:
        self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._file.execute(f"PRAGMA synchronous = {'FULL' if survives == 'power' else 'OFF'}")
        self._file.execute("BEGIN IMMEDIATE")
        self._prepare(session_id)
        self._file.execute("COMMIT")
        # Last, because it is written into the file: one that is not ours stays as it was.
        self._file.execute("PRAGMA journal_mode = WAL")

    def _prepare(self, session_id: str) -> None:
        (version,) = self._file.execute("PRAGMA user_version").fetchone()
        if version not in (0, _SCHEMA):
            raise StoreError(f"{self._path} is a store of form {version}; this version reads form {_SCHEMA}")
        if version == 0:
            (tables,) = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables:
                raise StoreError(f"{self._path} is a database of something else: {session_id} needs a file of its own")
            self._file.execute("CREATE TABLE numbers (session TEXT, outbound INTEGER, inbound INTEGER, created TEXT)")
            self._file.execute("CREATE TABLE sent (number INTEGER PRIMARY KEY, frame BLOB)")
            self._file.execute("INSERT INTO numbers VALUES (?, 1, 1, '')", (session_id,))
            self._file.execute(f"PRAGMA user_version = {_SCHEMA}")
        (found,) = self._file.execute("SELECT session FROM numbers").fetchone()
        if found != session_id:
            raise StoreError(f"{self._path} is the store of {found}: {session_id} needs one of its own")

    @property
    def created(self) -> datetime | None:
        return self._created

    @created.setter
    def created(self, at: datetime | None) -> None:
        self._created = at
        self._changed = True

    def sent(self, number: int, frame: bytes | None) -> None:
        self.next_outbound = number + 1
        self._changed = True
        if frame is not None:
            self._unwritten.append((number, frame))

    def processed(self, next_inbound: int) -> None:
        self.next_inbound = next_inbound
        self._changed = True

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        self.commit()
        while True:
            page = self._file.execute(
                "SELECT number, frame FROM sent WHERE number BETWEEN ? AND ? ORDER BY number LIMIT ?",
                (first, last, _PAGE),
            ).fetchall()
            if not page:
                return
            yield from page
            first = page[-1][0] + 1

    def reset(self, created: datetime) -> None:
        self.next_outbound = self.next_inbound = 1
        self._created = created
        self._unwritten.clear()
        self._write(forget=True)

    def commit(self) -> None:
        if self._changed:
            self._write()

    def close(self) -> None:
        """Write what is not yet written and give the file free."""
        try:
            self.commit()
        finally:
            self._file.close()

    def _write(self, *, forget: bool = False) -> None:
        created = self._created.isoformat() if self._created else ""
        file = self._file
        file.execute("BEGIN")
        try:
            if forget:
                file.execute("DELETE FROM sent")
            if self._unwritten:
                file.executemany("INSERT INTO sent VALUES (?, ?)", self._unwritten)
            file.execute(
                "UPDATE numbers SET outbound = ?, inbound = ?, created = ?",
                (self.next_outbound, self.next_inbound, created),
            )
            file.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself where the disk was full.
            if file.in_transaction:
                file.execute("ROLLBACK")
            raise
        self._unwritten.clear()
        self._changed = False
