"""Which of the hosts that serve one file looks after a thing that only one may do.

A thing is named by a text: `timer:NAME`, `hub:FUNCTION:PARTITION`, an instance's or an entity's id. It has one owner
at any time, or none for a moment while it changes hands.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from devhost.partitions import Partitions


class Ownership(Protocol):
    """What a trigger asks before it starts anything."""

    def owns(self, key: str) -> bool:
        """Whether this host looks after the thing of that name now."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` on the host's loop whenever this host has gained or lost something, or another host may have
        written something for it."""

    def working(self, key: str) -> AbstractContextManager[None]:
        """The thing is not given to another host while the block runs, unless this one is taken for dead."""


class SoleOwner:
    """The ownership of a host that has its file for itself."""

    def owns(self, key: str) -> bool:  # noqa: ARG002
        """Everything is ours."""
        return True

    def watch(self, changed: Callable[[], None]) -> None:
        """Nothing ever changes."""

    def working(self, key: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Nothing is ever given away."""
        return nullcontext()


class LeasedOwner:
    """The ownership of one of several hosts: a thing belongs to whoever has the partition that its name falls into."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    def owns(self, key: str) -> bool:
        """Whether its partition is ours, and stays so."""
        lease = self._partitions.lease_of(key)
        return lease is not None and lease.may_start

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` when a lease came or went, or another host has written something."""
        self._partitions.watch(changed)

    def working(self, key: str) -> AbstractContextManager[None]:
        """The partition is not given back while the block runs."""
        lease = self._partitions.lease_of(key)
        return nullcontext() if lease is None else lease.at_work()
