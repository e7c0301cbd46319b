"""What a session must not forget from one connection to the next: its numbers, and what it could be asked to resend.

`MemoryStore` lives as long as the process; `fix.sqlite_store.SqliteStore` survives it. Another one is anything with
these methods. The order of writing is the session's: the message first, then the counter, then the wire.
"""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from typing import Protocol


class Store(Protocol):
    """Kept for one session. None of its methods may be called by two threads at once."""

    created: datetime | None
    """When the numbers began, None before the first connection; written down with the next `commit`."""

    @property
    def next_outbound(self) -> int:
        """MsgSeqNum (34) of the next message to send, as last told."""
        ...

    @property
    def next_inbound(self) -> int:
        """MsgSeqNum (34) of the first message that the application is not done with."""
        ...

    def sent(self, number: int, frame: bytes | None) -> None:
        """`number`, above every one before it, is used up; by an application message, if there is a frame."""
        ...

    def processed(self, next_inbound: int) -> None:
        """Everything below the number is done with."""
        ...

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Application messages by number, both ends included, as far as they are kept. May be read on while others are
        added."""
        ...

    def reset(self, created: datetime) -> None:
        """Both numbers begin again at 1; nothing that was sent can be resent."""
        ...

    def commit(self) -> None:
        """What was told until now outlives a crash as far as the store promises. Called before bytes are sent."""
        ...


class MemoryStore:
    """Lives as long as the process. After a crash nothing of it is left: whoever begins again has to know the numbers
    (the gateway reserves them in blocks), and what was sent before is gap-filled.

    The last `keep` messages are there, and up to as many before them; what is older is gap-filled like what was never
    sent, so that a session of many days does not fill the memory.
    """

    def __init__(
        self, *, next_outbound: int = 1, next_inbound: int = 1, created: datetime | None = None, keep: int = 10_000
    ) -> None:
        for name, number in (("next_outbound", next_outbound), ("next_inbound", next_inbound)):
            if number < 1:
                raise ValueError(f"{name} is {number}: sequence numbers begin at 1")
        if keep < 1:
            raise ValueError(f"keep is {keep}: it must be at least 1")
        self.created = created
        self.next_outbound = next_outbound
        self.next_inbound = next_inbound
        self._keep = keep
        self._numbers: list[int] = []
        self._frames: list[bytes] = []

    def sent(self, number: int, frame: bytes | None) -> None:
        self.next_outbound = number + 1
        if frame is None:
            return
        if len(self._numbers) >= 2 * self._keep:
            # New lists, so that a reader of the old ones is not disturbed.
            self._numbers, self._frames = self._numbers[-self._keep :], self._frames[-self._keep :]
        self._numbers.append(number)
        self._frames.append(frame)

    def processed(self, next_inbound: int) -> None:
        self.next_inbound = next_inbound

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        numbers, frames = self._numbers, self._frames
        position = bisect_left(numbers, first)
        while position < len(numbers) and numbers[position] <= last:
            yield numbers[position], frames[position]
            position += 1

    def reset(self, created: datetime) -> None:
        self.created = created
        self.next_outbound = self.next_inbound = 1
        self.forget_sent()

    def forget_sent(self) -> None:
        """Nothing of it can be resent any more; the numbers stay."""
        self._numbers, self._frames = [], []

    def commit(self) -> None:
        """There is nothing to survive."""
