"""The process's hold on the FIX session: a candidate for its lease, and where orders are handed in."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from functools import cache
from typing import Literal

import msgspec

from storage.secrets import Credentials, fix_credentials
from storage.settings import Settings, settings
from storage.tables import Tables
from trading.commands import VenueCommand
from trading.journal import JournalRow

Wake = Callable[[JournalRow], "Future[None]"]
"""Tells orchestrator and entities of a row; the future is done when all have it, and fails if it has to be repeated."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order that was handed in. `not_sent`: it never left and never will."""

    state: Literal["pending", "claimed", "sent", "acknowledged", "dead"]
    not_sent: bool = False


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the session stands. Numbers are 0 in a process that does not hold it.

    `next_outbound` counts what was written to the socket, `next_inbound` what was journalled and delivered; `held` are
    orders that wait for release(); `busy` is true while anything is under way inside; `activity` only goes up.
    """

    session: str
    owner: str
    epoch: int
    logged_on: bool
    next_outbound: int
    next_inbound: int
    held: int
    busy: bool
    activity: int
    text: str


class Gateway:
    """One for each process; `start` may be called again at any time, every method from any thread."""

    def __init__(self, settings: Settings, tables: Tables, credentials: Credentials | None) -> None:
        self._settings = settings

    def start(self, wake: Wake) -> None:
        """Become a candidate for the session's lease, or go on as one; `wake` replaces the one given before."""
        raise NotImplementedError

    def submit(self, order_id: str, command: VenueCommand, at: datetime) -> Submission:
        """Hand in an order, a replace or a cancel; `at` becomes its TransactTime (60).

        May be repeated with the same ClOrdID: it is sent once.
        """
        raise NotImplementedError

    def status(self) -> SessionStatus:
        raise NotImplementedError

    def release(self) -> int:
        """Send what is held, in the order of the ClOrdIDs; how many that were. For ORDER_RELEASE=manual."""
        raise NotImplementedError

    def stop(self) -> None:
        """Log out, give the lease back, and end the thread."""
        raise NotImplementedError


@cache
def gateway() -> Gateway:
    """The process's one, made from its settings. Raises SettingsError."""
    own = settings()
    return Gateway(own, Tables(own.storage_connection), fix_credentials(own))
