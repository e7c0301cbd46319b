"""The host's state: one SQLite file, which alone decides what has happened.

The file is in WAL mode with `synchronous=NORMAL`: what a transaction committed is in the operating system's hands, so
it survives the process's death at any moment (`kill -9`); only a crash of the machine may lose the last transactions,
and never leaves half of one. FULL would buy safety from power cuts, which a development host does not need, for a
disk flush in each episode.
"""

import fcntl
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from devhost.history import Event, Status

_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instance (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT, execution_id TEXT NOT NULL, generation INTEGER NOT NULL,
  status INTEGER NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL, input TEXT, output TEXT, custom_status TEXT,
  parent_id TEXT, parent_execution_id TEXT, parent_task_id INTEGER);
CREATE INDEX IF NOT EXISTS instance_open ON instance (status) WHERE status IN (0, 6, 7);
CREATE TABLE IF NOT EXISTS history (
  instance_id TEXT, episode INTEGER, events TEXT NOT NULL, custom_status TEXT,
  PRIMARY KEY (instance_id, episode)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (
  target TEXT, place INTEGER, execution_id TEXT, event TEXT NOT NULL, PRIMARY KEY (target, place)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS activity (
  number INTEGER PRIMARY KEY, instance_id TEXT NOT NULL, execution_id TEXT NOT NULL, task_id INTEGER NOT NULL,
  name TEXT NOT NULL, input TEXT);
CREATE TABLE IF NOT EXISTS timer (
  number INTEGER PRIMARY KEY, instance_id TEXT NOT NULL, execution_id TEXT NOT NULL, task_id INTEGER NOT NULL,
  fire_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entity (id TEXT PRIMARY KEY, state TEXT NOT NULL, updated TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hub_batch (
  number INTEGER PRIMARY KEY, function TEXT NOT NULL, partition TEXT NOT NULL, events TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hub_partition (
  hub TEXT, partition TEXT, stored_through INTEGER NOT NULL, PRIMARY KEY (hub, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schedule (function TEXT PRIMARY KEY, last TEXT, next TEXT NOT NULL) WITHOUT ROWID;
"""
_SCHEMA_VERSION = "2"
_STATUSES_OPEN = "(0, 6, 7)"
"""Running, Pending, Suspended: what the partial index holds."""


class StoreError(Exception):
    """The file cannot be used; the message says why."""


class InstanceRow(msgspec.Struct, frozen=True):
    """An orchestration instance. Times are ISO-8601 with Z; input, output and custom status are JSON text."""

    id: str
    name: str
    version: str | None
    execution_id: str
    generation: int
    status: Status
    created: str
    updated: str
    input: str | None
    output: str | None = None
    custom_status: str | None = None
    parent_id: str | None = None
    parent_execution_id: str | None = None
    parent_task_id: int | None = None


class EpisodeRow(msgspec.Struct, frozen=True):
    """What one episode added to a history: a JSON text of events without the list's brackets, and the custom status, as
    JSON text, if the orchestrator has set one in this generation."""

    events: str
    custom_status: str | None


class MessageRow(msgspec.Struct, frozen=True):
    """Something that waits for an instance or an entity: a history event, or an entity's request.

    `execution_id` names the one execution that it is for; None is for whichever is there.
    """

    target: str
    place: int
    execution_id: str | None
    event: Event


class ActivityRow(msgspec.Struct, frozen=True):
    """An activity that has not completed."""

    number: int
    instance_id: str
    execution_id: str
    task_id: int
    name: str
    input: str | None


class TimerRow(msgspec.Struct, frozen=True):
    """A timer that has not fired; `fire_at` is ISO-8601 with Z."""

    number: int
    instance_id: str
    execution_id: str
    task_id: int
    fire_at: str


class BatchRow(msgspec.Struct, frozen=True):
    """A batch of Event Hub events that a function has not had; `events` is the JSON text of a list."""

    number: int
    function: str
    partition: str
    events: str


class ScheduleRow(msgspec.Struct, frozen=True):
    """When a timer trigger last ran and is to run next; ISO-8601 with Z."""

    function: str
    last: str | None
    next: str


_INSTANCE_FIELDS = InstanceRow.__struct_fields__
_INSTANCE_COLUMNS = ", ".join(_INSTANCE_FIELDS)
_INSERT_INSTANCE = f"INSERT OR REPLACE INTO instance VALUES ({', '.join('?' for _ in _INSTANCE_FIELDS)})"


class Transaction:
    """What one transaction changes. Made by `Store.transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany

    def set_setting(self, name: str, value: str) -> None:
        """Keep a single value of the host's own."""
        self._execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    def put_instance(self, row: InstanceRow) -> None:
        """Insert an instance or replace it."""
        self._execute(_INSERT_INSTANCE, msgspec.structs.astuple(row))

    def delete_instance(self, instance_id: str) -> None:
        """Forget an instance with all that belongs to it."""
        self._execute("DELETE FROM instance WHERE id = ?", (instance_id,))
        self.clear_history(instance_id)
        self.clear_waiting(instance_id)

    def append_history(self, instance_id: str, number: int, episode: EpisodeRow) -> None:
        """Add what an episode has added; episodes are counted from 0."""
        self._execute(
            "INSERT INTO history VALUES (?, ?, ?, ?)", (instance_id, number, episode.events, episode.custom_status)
        )

    def clear_history(self, instance_id: str) -> None:
        """Forget the history, as a new generation begins."""
        self._execute("DELETE FROM history WHERE instance_id = ?", (instance_id,))

    def clear_waiting(self, instance_id: str) -> None:
        """Forget the messages to an instance and its timers."""
        self._execute("DELETE FROM message WHERE target = ?", (instance_id,))
        self._execute("DELETE FROM timer WHERE instance_id = ?", (instance_id,))

    def add_message(self, row: MessageRow, text: str) -> None:
        """Store a message; `text` is its event's JSON."""
        self._execute("INSERT INTO message VALUES (?, ?, ?, ?)", (row.target, row.place, row.execution_id, text))

    def delete_messages(self, target: str, places: Sequence[int]) -> None:
        """Forget messages that were taken in."""
        self._executemany("DELETE FROM message WHERE target = ? AND place = ?", [(target, place) for place in places])

    def add_activity(self, row: ActivityRow) -> None:
        """Store an activity that is to run."""
        self._execute("INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(row))

    def delete_activity(self, number: int) -> None:
        """Forget an activity that has completed."""
        self._execute("DELETE FROM activity WHERE number = ?", (number,))

    def add_timer(self, row: TimerRow) -> None:
        """Store a timer."""
        self._execute("INSERT INTO timer VALUES (?, ?, ?, ?, ?)", msgspec.structs.astuple(row))

    def delete_timer(self, number: int) -> None:
        """Forget a timer that fired or was cancelled."""
        self._execute("DELETE FROM timer WHERE number = ?", (number,))

    def put_entity(self, entity_id: str, state: str, updated: str) -> None:
        """Set an entity's state, a JSON text."""
        self._execute("INSERT OR REPLACE INTO entity VALUES (?, ?, ?)", (entity_id, state, updated))

    def delete_entity(self, entity_id: str) -> None:
        """Forget an entity's state."""
        self._execute("DELETE FROM entity WHERE id = ?", (entity_id,))

    def add_batch(self, row: BatchRow) -> None:
        """Store a batch of events for a function."""
        self._execute("INSERT INTO hub_batch VALUES (?, ?, ?, ?)", msgspec.structs.astuple(row))

    def delete_batch(self, number: int) -> None:
        """The function has had the batch: its checkpoint."""
        self._execute("DELETE FROM hub_batch WHERE number = ?", (number,))

    def set_stored_through(self, hub: str, partition: str, sequence_number: int) -> None:
        """The highest sequence number that was ever stored for a partition."""
        self._execute("INSERT OR REPLACE INTO hub_partition VALUES (?, ?, ?)", (hub, partition, sequence_number))

    def put_schedule(self, row: ScheduleRow) -> None:
        """Set a timer trigger's last and next run."""
        self._execute("INSERT OR REPLACE INTO schedule VALUES (?, ?, ?)", msgspec.structs.astuple(row))


class Store:
    """The open file. One thread uses it, and one process: a second one is refused.

    `before_commit` and `after_commit` are called with each transaction's label: what the former raises undoes the
    transaction. Tests end a host there. Raises StoreError if the file cannot be opened, belongs to a running host, or
    is not such a file.
    """

    def __init__(
        self,
        path: Path,
        *,
        before_commit: Callable[[str], None] | None = None,
        after_commit: Callable[[str], None] | None = None,
    ) -> None:
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._lock = _lock(path)
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("PRAGMA wal_autocheckpoint=4000")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StoreError(f"cannot use {path} as the host's database: {error}") from None
        version = self.setting("schema")
        if version is None:
            with self.transaction("schema") as tx:
                tx.set_setting("schema", _SCHEMA_VERSION)
        elif version != _SCHEMA_VERSION:
            raise StoreError(
                f"{path} has the tables of another version of the host ({version}, not {_SCHEMA_VERSION}): delete it"
            )

    def close(self) -> None:
        """Close the file; the next host may open it."""
        self._connection.close()
        self._lock.close()

    @contextmanager
    def transaction(self, label: str) -> Iterator[Transaction]:
        """A transaction that commits when the block ends, and changes nothing if it raises. `label` says what for."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield Transaction(self._connection)
            if self._before_commit is not None:
                self._before_commit(label)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        if self._after_commit is not None:
            self._after_commit(label)

    def setting(self, name: str) -> str | None:
        """A value kept by `set_setting`."""
        row = self._connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def instance(self, instance_id: str) -> InstanceRow | None:
        """An instance by its id."""
        query = f"SELECT {_INSTANCE_COLUMNS} FROM instance WHERE id = ?"
        row = self._connection.execute(query, (instance_id,)).fetchone()
        return None if row is None else _instance(row)

    def open_instances(self) -> list[InstanceRow]:
        """The instances that have not ended."""
        query = f"SELECT {_INSTANCE_COLUMNS} FROM instance WHERE status IN {_STATUSES_OPEN}"
        return [_instance(row) for row in self._connection.execute(query)]

    def instances(
        self,
        *,
        prefix: str = "",
        after: str = "",
        created_from: str | None = None,
        created_to: str | None = None,
        statuses: Sequence[Status] = (),
        limit: int,
    ) -> list[InstanceRow]:
        """Instances in the order of their ids, from behind `after`, that fit all that is given."""
        conditions, values = ["id > ?", "substr(id, 1, ?) = ?"], [after, len(prefix), prefix]
        if prefix:
            # The same again as a range, which the index serves.
            conditions.append("id BETWEEN ? AND ?")
            values.extend((prefix, prefix + "\U0010ffff"))
        if created_from is not None:
            conditions.append("created >= ?")
            values.append(created_from)
        if created_to is not None:
            conditions.append("created <= ?")
            values.append(created_to)
        if statuses:
            conditions.append(f"status IN ({', '.join('?' for _ in statuses)})")
            values.extend(int(status) for status in statuses)
        where = " AND ".join(conditions)
        query = f"SELECT {_INSTANCE_COLUMNS} FROM instance WHERE {where} ORDER BY id LIMIT ?"
        return [_instance(row) for row in self._connection.execute(query, (*values, limit))]

    def history(self, instance_id: str) -> list[EpisodeRow]:
        """The history of an instance's present generation, by episodes."""
        query = "SELECT events, custom_status FROM history WHERE instance_id = ? ORDER BY episode"
        return [EpisodeRow(*row) for row in self._connection.execute(query, (instance_id,))]

    def messages(self) -> list[MessageRow]:
        """All messages in the order in which they came."""
        query = "SELECT target, place, execution_id, event FROM message ORDER BY place"
        return [
            MessageRow(target, place, execution_id, msgspec.json.decode(event, type=Event))
            for target, place, execution_id, event in self._connection.execute(query)
        ]

    def activities(self) -> list[ActivityRow]:
        """The activities that have not completed, in the order in which they were scheduled."""
        return [ActivityRow(*row) for row in self._connection.execute("SELECT * FROM activity ORDER BY number")]

    def timers(self) -> list[TimerRow]:
        """The timers that have not fired."""
        return [TimerRow(*row) for row in self._connection.execute("SELECT * FROM timer ORDER BY number")]

    def entity(self, entity_id: str) -> str | None:
        """An entity's state, a JSON text."""
        row = self._connection.execute("SELECT state FROM entity WHERE id = ?", (entity_id,)).fetchone()
        return None if row is None else str(row[0])

    def batches(self) -> list[BatchRow]:
        """The batches that have not been delivered, in the order in which they came."""
        return [BatchRow(*row) for row in self._connection.execute("SELECT * FROM hub_batch ORDER BY number")]

    def stored_through(self, hub: str, partition: str) -> int | None:
        """The highest sequence number that was ever stored for a partition."""
        query = "SELECT stored_through FROM hub_partition WHERE hub = ? AND partition = ?"
        row = self._connection.execute(query, (hub, partition)).fetchone()
        return None if row is None else int(row[0])

    def schedule(self, function: str) -> ScheduleRow | None:
        """A timer trigger's last and next run."""
        row = self._connection.execute("SELECT * FROM schedule WHERE function = ?", (function,)).fetchone()
        return None if row is None else ScheduleRow(*row)


def _instance(row: tuple[object, ...]) -> InstanceRow:
    return msgspec.convert(dict(zip(_INSTANCE_FIELDS, row, strict=True)), InstanceRow)


def _lock(path: Path) -> IO[bytes]:
    lock_path = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_path.open("ab")
    except OSError as error:
        raise StoreError(f"cannot use {path} as the host's database: {error.strerror}: {error.filename}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(f"{path} belongs to a host that is running: stop it, or give another file with --db") from None
    return lock
