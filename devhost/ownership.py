"""Which of the hosts that serve one file looks after a thing that only one may do.

A thing is named by a text: `timer:NAME`, `hub:FUNCTION:PARTITION`, an instance's or an entity's id. It has one owner
at any time, or none for a moment while it changes hands.
"""

from collections.abc import Callable
from typing import Protocol


class Ownership(Protocol):
    """What a trigger asks before it starts anything."""

    def owns(self, key: str) -> bool:
        """Whether this host looks after the thing of that name now."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` on the host's loop whenever this host has gained or lost something."""


class SoleOwner:
    """The ownership of a host that has its file for itself."""

    def owns(self, key: str) -> bool:  # noqa: ARG002
        """Everything is ours."""
        return True

    def watch(self, changed: Callable[[], None]) -> None:
        """Nothing ever changes."""
