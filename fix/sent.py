"""The application messages that this process has sent, by number: what a ResendRequest can be answered with."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from fix.message import Message


class Sent(NamedTuple):
    message: Message
    sending_time: str
    """SendingTime (52) of the first sending, which a resend carries as OrigSendingTime (122)."""


class SentMessages:
    """Kept in memory, for as long as the process lives: after a crash nothing of it is left, and nothing is resent.

    The last `keep` messages are there, and up to as many before them; what is older is gap-filled like what was never
    sent, so that a session of many days does not fill the memory.
    """

    def __init__(self, keep: int = 10_000) -> None:
        self._keep = keep
        self._numbers: list[int] = []
        self._messages: list[Sent] = []

    def add(self, number: int, sent: Sent) -> None:
        """`number` is above every number before it."""
        if len(self._numbers) >= 2 * self._keep:
            # New lists, so that a reader of the old ones is not disturbed.
            self._numbers, self._messages = self._numbers[-self._keep :], self._messages[-self._keep :]
        self._numbers.append(number)
        self._messages.append(sent)

    def between(self, first: int, last: int) -> Iterator[tuple[int, Sent]]:
        """In order, both ends included; `last` was added before. May be read on while messages are added."""
        numbers, messages = self._numbers, self._messages
        position = bisect_left(numbers, first)
        while position < len(numbers) and numbers[position] <= last:
            yield numbers[position], messages[position]
            position += 1

    def clear(self) -> None:
        """Forget all: the numbers begin again."""
        self._numbers, self._messages = [], []
