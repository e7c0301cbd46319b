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
    """Kept in memory, for as long as the process lives: after a crash nothing of it is left, and nothing is resent."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._messages: list[Sent] = []

    def add(self, number: int, sent: Sent) -> None:
        """`number` is above every number before it."""
        self._numbers.append(number)
        self._messages.append(sent)

    def between(self, first: int, last: int) -> Iterator[tuple[int, Sent]]:
        """In order, both ends included. May be read on while messages are added."""
        position = bisect_left(self._numbers, first)
        while position < len(self._numbers) and self._numbers[position] <= last:
            yield self._numbers[position], self._messages[position]
            position += 1

    def clear(self) -> None:
        """Forget all: the numbers begin again. New lists, so that a reader of the old ones is not disturbed."""
        self._numbers, self._messages = [], []
