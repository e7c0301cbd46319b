"""A recorded history: one generation of one orchestration instance, as a JSON document that people review in diffs."""

from pathlib import Path
from typing import Any

import msgspec

from devhost.history import Event

FORMAT = 1


class HistoryError(Exception):
    """A file is no recorded history; the message names the file, the field and what would be right."""


class StatusAt(msgspec.Struct, frozen=True, kw_only=True):
    """The custom status after an episode; episodes are counted from 0, the value is any JSON value."""

    episode: int
    value: Any


class History(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One generation of an instance, from its ExecutionStarted to its end, or as far as it has come.

    `events` are those of the protocol (DURABLE.md, section 7), by episodes: OrchestratorStarted, what came in, what
    was scheduled, OrchestratorCompleted. A generation that ended by continuing as new ends with a ContinueAsNew event
    (`EventType` 16) whose `Input` is the next generation's input as JSON text. `statuses` holds those custom statuses
    that are known: all from a development host, only the last one from a real task hub. `carried_status` is the one
    that the generation began with, which stays until the orchestrator sets one.
    """

    format: int = FORMAT
    orchestrator: str
    instance_id: str
    version: str | None = None
    parent_instance_id: str | None = None
    note: str = ""
    events: list[Event]
    statuses: list[StatusAt] = []
    carried_status: Any = None


def read(path: Path) -> History:
    """The history in a file. Raises HistoryError."""
    try:
        history = msgspec.json.decode(path.read_bytes(), type=History)
    except OSError as error:
        raise HistoryError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise HistoryError(f"{path}: is no recorded history: {error}") from None
    if history.format != FORMAT:
        raise HistoryError(f"{path}: format is {history.format}, this version reads {FORMAT}: record it again")
    return history


def write(path: Path, history: History) -> None:
    """Write a history so that a diff shows what changed: indented, keys in the order of the protocol."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(history), indent=1)
    path.write_bytes(text + b"\n")
