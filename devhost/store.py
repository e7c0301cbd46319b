"""The host's state: one SQLite file, which alone decides what has happened.

The file is in WAL mode with `synchronous=NORMAL`: what a transaction committed is in the operating system's hands, so
it survives the process's death at any moment (`kill -9`); only a crash of the machine may lose the last transactions,
and never leaves half of one. FULL would buy safety from power cuts, which a development host does not need, for a
disk flush in each episode.

Several hosts may serve one file. What belongs to an instance or an entity lies in a *partition*, by its id; which host
serves which partition is in the file as well (devhost/partitions.py). Every transaction takes the file's one write lock
when it begins, so what it reads stays true until it is committed.
"""

import fcntl
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zlib import crc32

import msgspec

from devhost.history import Event, Status

_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instance (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT, execution_id TEXT NOT NULL, generation INTEGER NOT NULL,
  status INTEGER NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL, input TEXT, output TEXT, custom_status TEXT,
  parent_id TEXT, parent_execution_id TEXT, parent_task_id INTEGER, partition INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS instance_open ON instance (partition) WHERE status IN (0, 6, 7);
CREATE TABLE IF NOT EXISTS history (
  instance_id TEXT, episode INTEGER, events TEXT NOT NULL, custom_status TEXT,
  PRIMARY KEY (instance_id, episode)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (
  target TEXT, place INTEGER, execution_id TEXT, event TEXT NOT NULL, partition INTEGER NOT NULL, hidden_until REAL,
  PRIMARY KEY (target, place)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS message_new ON message (partition, place);
CREATE TABLE IF NOT EXISTS activity (
  number INTEGER PRIMARY KEY, instance_id TEXT NOT NULL, execution_id TEXT NOT NULL, task_id INTEGER NOT NULL,
  name TEXT NOT NULL, input TEXT, owner TEXT, hidden_until REAL);
CREATE INDEX IF NOT EXISTS activity_free ON activity (number) WHERE owner IS NULL;
CREATE TABLE IF NOT EXISTS timer (
  number INTEGER PRIMARY KEY, instance_id TEXT NOT NULL, execution_id TEXT NOT NULL, task_id INTEGER NOT NULL,
  fire_at TEXT NOT NULL, partition INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS timer_instance ON timer (instance_id);
CREATE TABLE IF NOT EXISTS entity (id TEXT PRIMARY KEY, state TEXT NOT NULL, updated TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hub_batch (
  number INTEGER PRIMARY KEY, function TEXT NOT NULL, partition TEXT NOT NULL, events TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hub_partition (
  hub TEXT, partition TEXT, stored_through INTEGER NOT NULL, PRIMARY KEY (hub, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schedule (function TEXT PRIMARY KEY, last TEXT, next TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS host (id TEXT PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partition (number INTEGER PRIMARY KEY, owner TEXT, epoch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS head (only INTEGER PRIMARY KEY CHECK (only = 0), number INTEGER NOT NULL,
  handovers INTEGER NOT NULL);
"""
_SCHEMA_VERSION = "3"
_BUSY_SECONDS = 600.0
"""How long a transaction waits for other hosts' transactions. They take less than a millisecond; but a process that is
stopped within one keeps all others waiting until it goes on or dies, and none of them may give up its work then."""
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


class PartitionRow(msgspec.Struct, frozen=True):
    """Which host serves a partition, None for nobody; the epoch counts the changes."""

    number: int
    owner: str | None
    epoch: int


class HostRow(msgspec.Struct, frozen=True):
    """A host that serves the file; what it holds is its own until `expires`, seconds since 1970."""

    id: str
    expires: float


class ScheduleRow(msgspec.Struct, frozen=True):
    """When a timer trigger last ran and is to run next; ISO-8601 with Z."""

    function: str
    last: str | None
    next: str


_INSTANCE_FIELDS = InstanceRow.__struct_fields__
_INSTANCE_COLUMNS = ", ".join(_INSTANCE_FIELDS)
_INSERT_INSTANCE = (
    f"INSERT OR REPLACE INTO instance ({_INSTANCE_COLUMNS}, partition)"
    f" VALUES ({', '.join('?' for _ in _INSTANCE_FIELDS)}, ?)"
)
_ACTIVITY_COLUMNS = ", ".join(ActivityRow.__struct_fields__)
_TIMER_COLUMNS = ", ".join(TimerRow.__struct_fields__)


class Transaction:
    """What one transaction changes. Made by `Store.transaction`."""

    def __init__(self, connection: sqlite3.Connection, partition_of: Callable[[str], int]) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._partition_of = partition_of
        self.last_number, self.handovers = self._execute("SELECT number, handovers FROM head").fetchone()
        self._first_number = self.last_number

    def number(self) -> int:
        """The next number: they rise through all that all hosts of the file do."""
        self.last_number += 1
        return int(self.last_number)

    def keep_numbers(self) -> None:
        """Let the next transaction go on behind the numbers that this one has taken."""
        if self.last_number != self._first_number:
            self._execute("UPDATE head SET number = ?", (self.last_number,))

    def set_setting(self, name: str, value: str) -> None:
        """Keep a single value of the host's own."""
        self._execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    def put_instance(self, row: InstanceRow) -> None:
        """Insert an instance or replace it."""
        self._execute(_INSERT_INSTANCE, (*msgspec.structs.astuple(row), self._partition_of(row.id)))

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

    def replace_history(self, instance_id: str, episodes: Sequence[EpisodeRow]) -> None:
        """Put other episodes in the place of those that there are."""
        self.clear_history(instance_id)
        for number, episode in enumerate(episodes):
            self.append_history(instance_id, number, episode)

    def clear_history(self, instance_id: str) -> None:
        """Forget the history, as a new generation begins."""
        self._execute("DELETE FROM history WHERE instance_id = ?", (instance_id,))

    def clear_waiting(self, instance_id: str) -> None:
        """Forget the messages to an instance and its timers."""
        self._execute("DELETE FROM message WHERE target = ?", (instance_id,))
        self._execute("DELETE FROM timer WHERE instance_id = ?", (instance_id,))

    def add_message(self, row: MessageRow, text: str, hidden_until: float | None = None) -> None:
        """Store a message; `text` is its event's JSON."""
        self._execute(
            "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)",
            (row.target, row.place, row.execution_id, text, self._partition_of(row.target), hidden_until),
        )

    def hide_message(self, target: str, place: int, until: float) -> None:
        """Let a successor of the target's host not see a message before then, seconds since 1970."""
        self._execute("UPDATE message SET hidden_until = ? WHERE target = ? AND place = ?", (until, target, place))

    def hide_messages(self, partitions: Sequence[int], until: float | None) -> None:
        """Let a successor of these partitions' host not see their messages before then; None: at once."""
        self._executemany(
            "UPDATE message SET hidden_until = ? WHERE partition = ?", [(until, each) for each in partitions]
        )

    def delete_messages(self, target: str, places: Sequence[int]) -> None:
        """Forget messages that were taken in."""
        self._executemany("DELETE FROM message WHERE target = ? AND place = ?", [(target, place) for place in places])

    def add_activity(self, row: ActivityRow, owner: str | None, hidden_until: float | None) -> None:
        """Store an activity that is to run; `owner` is the host that runs it, None if one has to be found."""
        self._execute(
            "INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*msgspec.structs.astuple(row), owner, hidden_until)
        )

    def free_activities(self, limit: int) -> list[ActivityRow]:
        """Activities that no host runs, in the order in which they were scheduled; -1 for all."""
        query = f"SELECT {_ACTIVITY_COLUMNS} FROM activity WHERE owner IS NULL ORDER BY number LIMIT ?"
        return [ActivityRow(*row) for row in self._execute(query, (limit,))]

    def claim_activity(self, number: int, owner: str | None, hidden_until: float | None) -> None:
        """Say which host runs an activity."""
        self._execute("UPDATE activity SET owner = ?, hidden_until = ? WHERE number = ?", (owner, hidden_until, number))

    def hide_activities(self, owner: str, until: float) -> None:
        """Nobody takes a host's activities over before then."""
        self._execute("UPDATE activity SET hidden_until = ? WHERE owner = ?", (until, owner))

    def free_lost_activities(self, now: float) -> None:
        """Let others run what a host ran that is gone, unless it is hidden."""
        self._execute(
            "UPDATE activity SET owner = NULL, hidden_until = NULL WHERE owner IS NOT NULL"
            " AND owner NOT IN (SELECT id FROM host) AND (hidden_until IS NULL OR hidden_until <= ?)",
            (now,),
        )

    def delete_activity(self, number: int, owner: str) -> bool:
        """Forget an activity that has completed. False if another host has taken it over, whose completion counts."""
        return self._execute("DELETE FROM activity WHERE number = ? AND owner = ?", (number, owner)).rowcount > 0

    def put_host(self, row: HostRow) -> None:
        """A host lives, and keeps what it holds."""
        self._execute("INSERT OR REPLACE INTO host VALUES (?, ?)", msgspec.structs.astuple(row))

    def remove_host(self, host: str) -> None:
        """A host is gone: its partitions are nobody's."""
        self._execute("DELETE FROM host WHERE id = ?", (host,))
        if self._execute("UPDATE partition SET owner = NULL WHERE owner = ?", (host,)).rowcount:
            self._hand_over()

    def set_owner(self, partition: int, owner: str | None) -> None:
        """Give a partition to a host, or to nobody."""
        self._execute("UPDATE partition SET owner = ?, epoch = epoch + 1 WHERE number = ?", (owner, partition))
        self._hand_over()

    def _hand_over(self) -> None:
        self._execute("UPDATE head SET handovers = handovers + 1")
        self.handovers += 1

    def add_timer(self, row: TimerRow) -> None:
        """Store a timer."""
        self._execute(
            "INSERT INTO timer VALUES (?, ?, ?, ?, ?, ?)",
            (*msgspec.structs.astuple(row), self._partition_of(row.instance_id)),
        )

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
    """The open file, which one thread uses.

    A `shared` file may be open in several hosts; otherwise this one needs it for itself. `partition_count` is for a new
    file, and fixed in it. `before_commit` and `after_commit` are called with each transaction's label: what the former
    raises undoes the transaction. Tests end a host there. Raises StoreError if the file cannot be opened, is in use by
    a host that it cannot be shared with, or is not such a file.
    """

    def __init__(
        self,
        path: Path,
        *,
        shared: bool = False,
        partition_count: int = 4,
        before_commit: Callable[[str], None] | None = None,
        after_commit: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self.is_shared = shared
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._lock = _lock(path, shared=shared)
        try:
            with _alone(path.with_name(path.name + ".opening")):
                self._connection = sqlite3.connect(
                    path, isolation_level=None, cached_statements=256, timeout=_BUSY_SECONDS
                )
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.execute("PRAGMA wal_autocheckpoint=4000")
                self._check_version(path)
                self._connection.executescript(_SCHEMA)
                self._fill(partition_count)
        except sqlite3.Error as error:
            self._lock.close()
            raise StoreError(f"cannot use {path} as the host's database: {error}") from None
        except StoreError:
            self._lock.close()
            raise
        self.partition_count = int(self.setting("partitions") or 0)

    def _check_version(self, path: Path) -> None:
        if self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'setting'").fetchone() is None:
            return
        version = self.setting("schema")
        if version != _SCHEMA_VERSION:
            raise StoreError(
                f"{path} has the tables of another version of the host ({version}, not {_SCHEMA_VERSION}): delete it"
            )

    def _fill(self, partition_count: int) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        execute("INSERT OR IGNORE INTO head VALUES (0, 0, 0)")
        if self.setting("schema") is None:
            execute("INSERT INTO setting VALUES ('schema', ?), ('partitions', ?)", (_SCHEMA_VERSION, partition_count))
            for number in range(partition_count):
                execute("INSERT INTO partition VALUES (?, NULL, 0)", (number,))
        execute("COMMIT")

    def close(self) -> None:
        """Close the file; the next host may open it."""
        self._connection.close()
        self._lock.close()

    def partition_of(self, identifier: str) -> int:
        """The partition of an instance, of an entity, or of anything that is named."""
        return crc32(identifier.encode()) % self.partition_count

    def data_version(self) -> int:
        """A number that changes when another host has changed the file."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def transaction(self, label: str) -> Iterator[Transaction]:
        """A transaction that commits when the block ends, and changes nothing if it raises. `label` says what for."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            tx = Transaction(self._connection, self.partition_of)
            yield tx
            tx.keep_numbers()
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

    def open_instances(self, partitions: Sequence[int]) -> list[InstanceRow]:
        """The instances of these partitions that have not ended."""
        query = (
            f"SELECT {_INSTANCE_COLUMNS} FROM instance"
            f" WHERE status IN {_STATUSES_OPEN} AND partition IN ({_list(partitions)})"
        )
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

    def newest_instances(
        self, *, prefix: str, name: str, status: Status | None, before: tuple[str, str] | None, limit: int
    ) -> list[InstanceRow]:
        """Instances that fit all that is given, by the time of their creation, the newest first, and by id.

        `before` is time and id of the last one of the page before.
        """
        conditions, values = ["substr(id, 1, ?) = ?", "instr(lower(name), lower(?))"], [len(prefix), prefix, name]
        if before is not None:
            conditions.append("(created < ? OR (created = ? AND id > ?))")
            values += [before[0], *before]
        if status is not None:
            conditions.append("status = ?")
            values.append(int(status))
        where = " AND ".join(conditions)
        query = f"SELECT {_INSTANCE_COLUMNS} FROM instance WHERE {where} ORDER BY created DESC, id LIMIT ?"
        return [_instance(row) for row in self._connection.execute(query, (*values, limit))]

    def children(self, instance_id: str) -> list[str]:
        """The ids of an instance's children, in the order in which they were started."""
        query = "SELECT id FROM instance WHERE parent_id = ? ORDER BY created, parent_task_id"
        return [str(row[0]) for row in self._connection.execute(query, (instance_id,))]

    def history(self, instance_id: str) -> list[EpisodeRow]:
        """The history of an instance's present generation, by episodes."""
        query = "SELECT events, custom_status FROM history WHERE instance_id = ? ORDER BY episode"
        return [EpisodeRow(*row) for row in self._connection.execute(query, (instance_id,))]

    def messages(self, partitions: Sequence[int], after: int = 0) -> list[tuple[MessageRow, float | None]]:
        """The messages of these partitions behind a place, in the order in which they came; and until when each is
        hidden."""
        query = (
            "SELECT target, place, execution_id, event, hidden_until FROM message"
            f" WHERE partition IN ({_list(partitions)}) AND place > ? ORDER BY place"
        )
        return [
            (MessageRow(target, place, execution_id, msgspec.json.decode(event, type=Event)), hidden_until)
            for target, place, execution_id, event, hidden_until in self._connection.execute(query, (after,))
        ]

    def has_message(self, target: str, place: int) -> bool:
        """Whether a message still waits."""
        query = "SELECT 1 FROM message WHERE target = ? AND place = ?"
        return self._connection.execute(query, (target, place)).fetchone() is not None

    def timers(self, partitions: Sequence[int]) -> list[TimerRow]:
        """The timers of these partitions that have not fired."""
        query = f"SELECT {_TIMER_COLUMNS} FROM timer WHERE partition IN ({_list(partitions)}) ORDER BY number"
        return [TimerRow(*row) for row in self._connection.execute(query)]

    def hosts(self) -> list[HostRow]:
        """The hosts that serve the file, or have died in it."""
        return [HostRow(*row) for row in self._connection.execute("SELECT id, expires FROM host ORDER BY id")]

    def partitions(self) -> list[PartitionRow]:
        """All partitions."""
        query = "SELECT number, owner, epoch FROM partition ORDER BY number"
        return [PartitionRow(*row) for row in self._connection.execute(query)]

    def entity(self, entity_id: str) -> str | None:
        """An entity's state, a JSON text."""
        row = self._connection.execute("SELECT state FROM entity WHERE id = ?", (entity_id,)).fetchone()
        return None if row is None else str(row[0])

    def entities(self, text: str, limit: int) -> list[tuple[str, str, str]]:
        """Id, state and last update of the entities whose id contains the text, by id."""
        query = "SELECT id, state, updated FROM entity WHERE instr(id, ?) ORDER BY id LIMIT ?"
        return [(str(row[0]), str(row[1]), str(row[2])) for row in self._connection.execute(query, (text, limit))]

    def batches(self, after: int = 0) -> list[BatchRow]:
        """The batches behind a number that have not been delivered, in the order in which they came."""
        query = "SELECT * FROM hub_batch WHERE number > ? ORDER BY number"
        return [BatchRow(*row) for row in self._connection.execute(query, (after,))]

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


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)


def _lock(path: Path, *, shared: bool) -> IO[bytes]:
    lock = _open_lock(path, path.with_name(path.name + ".lock"))
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        problem = (
            "belongs to a host with virtual time that is running, which needs it for itself"
            if shared
            else "belongs to a host that is running, and virtual time needs it for itself"
        )
        raise StoreError(f"{path} {problem}: stop that one, or give another file with --db") from None
    return lock


@contextmanager
def _alone(lock_path: Path) -> Iterator[None]:
    """Two hosts that begin at once do not make the tables at once."""
    with _open_lock(lock_path, lock_path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_lock(path: Path, lock_path: Path) -> IO[bytes]:
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        return lock_path.open("ab")
    except OSError as error:
        raise StoreError(f"cannot use {path} as the host's database: {error.strerror}: {error.filename}") from None
