"""A reset of the session's numbers that an operator asks for, and how the operator learns that one is needed.

    asked for (a row of its own) ──> wanted (lease row) ──> answered

Any process may be asked: it writes the row. The holder finds it, logs out, lets everything that has come be journalled
and delivered, and in one transaction takes the row away and marks the lease; then it gives the lease back. Whoever
takes a lease that is marked begins a generation of numbers at 1 and says so in its Logon (141=Y). When the venue has
answered, the mark goes, before anything is sent. A process that dies on the way leaves the row or the mark behind.
"""

import re
from datetime import UTC, datetime

import msgspec
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from gateway.lease import ROW_KEY, Lease
from storage.tables import Operation, Row, Tables, deleting

_KEY = "reset"
_NUMBERS_DIFFER = re.compile(r"seq.*(too low|lower|less|expect)", re.IGNORECASE)
_NOT_AGREED = "ResetSeqNumFlag (141) was not asked for"
RESET_PATH = "/api/session/reset"
DROP_COPY_RESET_PATH = "/api/session/drop-copy/reset"


class ResetRequests:
    """The row `reset` in the session's partition of table `Sessions`. Calls block; may be shared by threads."""

    def __init__(self, tables: Tables, session: str) -> None:
        self._tables = tables
        self._session = session

    def ask(self) -> None:
        """Ask for a reset; nothing changes where one is still to come already."""
        if self.is_wanted():
            return
        row = {"PartitionKey": self._session, "RowKey": _KEY, "asked_at": datetime.now(UTC).isoformat()}
        try:
            self._tables.sessions.create_entity(row)
        except ResourceExistsError:
            return

    def is_asked(self) -> bool:
        """Whether one is asked for that no holder has taken up."""
        return self._row(_KEY) is not None

    def is_wanted(self) -> bool:
        """Whether one is asked for, or marked in the lease and not yet answered."""
        # The request first: it goes with the transaction that marks the lease.
        return self.is_asked() or bool((self._row(ROW_KEY) or {}).get("reset"))

    def taking_up(self) -> Operation:
        """For the holder, in the transaction that marks the lease."""
        return deleting(self._session, _KEY)

    def _row(self, key: str) -> Row | None:
        try:
            return self._tables.sessions.get_entity(self._session, key)
        except ResourceNotFoundError:
            return None


def marked(lease: Lease) -> Lease:
    return msgspec.structs.replace(lease, reset=True)


def answered(lease: Lease) -> Lease:
    return msgspec.structs.replace(lease, reset=False)


def explained(reason: str, *, sent: int, expected: int, reset_path: str = RESET_PATH) -> str:
    """Why there is no session; where both sides count differently, with both numbers and the way out. Pure.

    `sent` is the number of our Logon, `expected` the one that the venue's had to have.
    """
    if not _NUMBERS_DIFFER.search(reason) and _NOT_AGREED not in reason:
        return reason
    way_out = f"POST {reset_path} has both sides begin again at 1"
    return f"{reason} (our Logon had MsgSeqNum {sent}, the next of the venue's had to be {expected}; {way_out})"
