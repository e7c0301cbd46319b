"""What the engine keeps in memory of an open instance or entity, and the ways in which a request can be refused."""

from collections import deque

from devhost import history
from devhost.app import Function
from devhost.history import Event
from devhost.store import InstanceRow, MessageRow

_MAXIMUM_ID = 256


class EngineError(Exception):
    """A request that cannot be carried out; the message is for the one who asked."""


class UnknownFunctionError(EngineError):
    """The app has no such orchestrator or entity."""


class InvalidIdError(EngineError):
    """An instance id that the host refuses."""


class AlreadyRunningError(EngineError):
    """An instance of that id has not ended."""


class NoInstanceError(EngineError):
    """There is no instance of that id."""


class OverError(EngineError):
    """The instance has ended."""


class Instance:
    """An orchestration that has not ended, in memory."""

    def __init__(self, row: InstanceRow, function: Function | None, *, real_time: bool, background: bool) -> None:
        self.row = row
        self.function = function
        self.real_time = real_time
        self.background = background
        self.events: list[Event] = []
        self.played = ""
        self.episodes = 0
        self.inbox: deque[MessageRow] = deque()
        self.is_queued = False
        self.advised: set[str] = set()
        """Codes of the warnings that its author has had."""

    def remember(self, events: str) -> None:
        """Add an episode's events, as they are stored."""
        self.events.extend(history.decode_all(events))
        self.played = f"{self.played},{events}" if self.played else events
        self.episodes += 1

    def forget(self) -> None:
        """A new generation has begun."""
        self.events.clear()
        self.played = ""
        self.episodes = 0


class Entity:
    """An entity that was asked for something, in memory. `state` is JSON text, None if it does not exist."""

    def __init__(self, state: str | None) -> None:
        self.state = state
        self.inbox: deque[MessageRow] = deque()
        self.is_queued = False


def check_instance_id(instance_id: str) -> None:
    """Raises InvalidIdError if the host refuses such an id (DURABLE.md, section 6)."""
    if len(instance_id) > _MAXIMUM_ID:
        raise InvalidIdError(f"Instance IDs must be at most {_MAXIMUM_ID} characters, this one has {len(instance_id)}.")
    if instance_id.startswith("@"):
        raise InvalidIdError("Orchestration instance IDs must not start with '@'.")
    if any(each in "/\\#?" or ord(each) < 32 or 127 <= ord(each) < 160 for each in instance_id):
        raise InvalidIdError("Instance IDs must not contain '/', '\\', '#', '?', or control characters.")
