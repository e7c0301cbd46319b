"""What the engine keeps in memory of an open instance or entity, and the ways in which a request can be refused."""

from collections import deque
from collections.abc import Collection, Iterator

from devhost import history
from devhost.app import Function
from devhost.history import Event, EventType
from devhost.partitions import Lease
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


class NotFailedError(EngineError):
    """Only an instance that has failed can be rewound."""


class Inbox:
    """Messages that wait, in the order in which they came: of their places, but a generation's start before all."""

    def __init__(self) -> None:
        self._messages: deque[MessageRow] = deque()

    def __iter__(self) -> Iterator[MessageRow]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: MessageRow) -> None:
        """One more; it may come later than others behind it, if it was hidden."""
        if self._messages and self._messages[-1].place > message.place:
            self._messages = deque(sorted([*self._messages, message], key=_order))
        else:
            self._messages.append(message)

    def take_out(self, messages: Collection[MessageRow]) -> None:
        """These were taken in."""
        places = {message.place for message in messages}
        self._messages = deque(message for message in self._messages if message.place not in places)

    def clear(self) -> None:
        """All are gone."""
        self._messages.clear()


def _order(message: MessageRow) -> tuple[bool, int]:
    return message.event.get("EventType") != EventType.EXECUTION_STARTED, message.place


class Instance:
    """An orchestration that has not ended, in memory."""

    def __init__(
        self, row: InstanceRow, function: Function | None, lease: Lease, *, real_time: bool, background: bool
    ) -> None:
        self.row = row
        self.function = function
        self.lease = lease
        self.real_time = real_time
        self.background = background
        self.events: list[Event] = []
        self.played = ""
        self.episodes = 0
        self.inbox = Inbox()
        self.is_queued = False
        self.advised: set[str] = set()
        """Codes of the warnings that its author has had."""

    @property
    def has_begun(self) -> bool:
        """Whether the generation's start is in the history or waits: without it, nothing else can be taken in."""
        return self.episodes > 0 or any(each.event["EventType"] == EventType.EXECUTION_STARTED for each in self.inbox)

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

    def __init__(self, state: str | None, lease: Lease) -> None:
        self.state = state
        self.lease = lease
        self.inbox = Inbox()
        self.is_queued = False


def check_instance_id(instance_id: str) -> None:
    """Raises InvalidIdError if the host refuses such an id (DURABLE.md, section 6)."""
    if len(instance_id) > _MAXIMUM_ID:
        raise InvalidIdError(f"Instance IDs must be at most {_MAXIMUM_ID} characters, this one has {len(instance_id)}.")
    if instance_id.startswith("@"):
        raise InvalidIdError("Orchestration instance IDs must not start with '@'.")
    if any(each in "/\\#?" or ord(each) < 32 or 127 <= ord(each) < 160 for each in instance_id):
        raise InvalidIdError("Instance IDs must not contain '/', '\\', '#', '?', or control characters.")
