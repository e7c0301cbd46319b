"""Records histories from a development host's file."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from devhost.history import Event, Status, decode_all
from devhost.store import EpisodeRow, InstanceRow
from replay.history import History, StatusAt


class RecordingError(Exception):
    """There is nothing to record; the message names file or hub, table and instance, and what there is instead."""


def history_of(row: InstanceRow, episodes: Sequence[EpisodeRow], note: str = "") -> History:
    """The history of one generation of an instance, as the development host keeps it: with the custom status that the
    orchestrator itself has set in each episode, not one that an earlier generation has left."""
    events: list[Event] = []
    statuses = []
    for number, episode in enumerate(episodes):
        events += decode_all(episode.events)
        statuses.append(StatusAt(episode=number, value=_value(episode.custom_status)))
    return History(
        orchestrator=row.name,
        instance_id=row.id,
        version=row.version,
        parent_instance_id=row.parent_id,
        note=note,
        events=events,
        statuses=statuses,
    )


class HostFile:
    """A development host's file, which may be in use; it is only read. Raises RecordingError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def history(self, instance_id: str) -> History:
        """The history of an instance's present generation."""
        with _opened(self._path) as connection:
            row = _instance(connection, self._path, instance_id)
            query = "SELECT events, custom_status FROM history WHERE instance_id = ? ORDER BY episode"
            episodes = [EpisodeRow(*found) for found in connection.execute(query, (instance_id,))]
        if not episodes:
            raise RecordingError(f"{self._path}: instance '{instance_id}' has no history yet: it is {row.status.text}")
        return history_of(row, episodes)

    def instances(self, prefix: str = "") -> list[str]:
        """The ids of the instances that begin so."""
        with _opened(self._path) as connection:
            query = "SELECT id FROM instance WHERE substr(id, 1, ?) = ? ORDER BY id"
            return [str(row[0]) for row in connection.execute(query, (len(prefix), prefix))]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise RecordingError(f"{path} does not exist: name the development host's database with --db")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise RecordingError(f"{path} cannot be read as a development host's database: {error}") from None


def _instance(connection: sqlite3.Connection, path: Path, instance_id: str) -> InstanceRow:
    fields = InstanceRow.__struct_fields__
    query = f"SELECT {', '.join(fields)} FROM instance WHERE id = ?"
    found = connection.execute(query, (instance_id,)).fetchone()
    if found is None:
        total = connection.execute("SELECT COUNT(*) FROM instance").fetchone()[0]
        some = [str(row[0]) for row in connection.execute("SELECT id FROM instance ORDER BY id LIMIT 5")]
        there = f"it has {total}: {', '.join(some)}{', ...' if total > len(some) else ''}" if total else "it has none"
        raise RecordingError(f"no instance '{instance_id}' in {path}; {there}")
    values = dict(zip(fields, found, strict=True))
    return msgspec.convert({**values, "status": Status(values["status"])}, InstanceRow)


def _value(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
