"""The rows beside the drop copy's lease: trades of the journal that await their copy, and copies without a trade.

    t|KEY   a trade of which no copy has come, put there before the trade is journalled
    u|KEY   a copy of which a human was told that the journal does not have it
    outage  of which a human was told, until it is over

KEY is order, trading day and ExecID. A trade and its copy are forgotten when they meet.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError

from gateway.matching import Copy, Trade
from storage.tables import Operation, Tables, creating, delete_all, deleting, table_key
from trading.journal import JournalRow

_log = logging.getLogger("gateway.copies")

_OUTAGE = "outage"
_IMPATIENT: dict[str, Any] = {"retry_total": 0, "connection_timeout": 1, "read_timeout": 1}
"""Trading does not wait longer than two seconds for what only the drop copy wants to know."""


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that the journal did not have, and when a human was told, by the machine's clock."""

    key: str
    copy: Copy
    told_at: datetime


class Copies:
    """The drop copy's partition of table `Sessions`. May be shared by threads; its holder writes by operations."""

    def __init__(self, tables: Tables, session: str) -> None:
        self._tables = tables
        self._session = session

    def expect(self, row: JournalRow) -> Callable[[], None] | None:
        """Note that a copy of this trade has to come; to be called before it is journalled. How to take that back,
        where it was not noted already: for who then finds that the journal has the trade, whose copy may have come.

        Where storage does not take it the trade is not held up: that no copy came of it would then not be noticed.
        """
        key = f"t|{key_of(row.order_id, row.event)}"
        try:
            self._tables.sessions.create_entity(
                {"PartitionKey": self._session, "RowKey": key, "row": msgspec.json.encode(row).decode()}, **_IMPATIENT
            )
        except ResourceExistsError:
            return None
        except AzureError as error:
            _log.warning("%s: nobody will notice if no copy comes of %s: %s", self._session, key, error)
            return None
        return partial(self._no_longer_expect, key)

    def _no_longer_expect(self, key: str) -> None:
        try:
            self._tables.sessions.delete_entity(self._session, key, **_IMPATIENT)
        except AzureError as error:
            _log.warning("%s: a human may be told that no copy came of %s: %s", self._session, key, error)

    def read(self) -> tuple[dict[str, JournalRow], list[Unknown]]:
        """Trades without a copy, as they were about to be journalled, by their keys; and copies without a trade."""
        wanted = f"PartitionKey eq '{self._session}' and RowKey ge 't|' and RowKey lt 'v'"
        expected: dict[str, JournalRow] = {}
        unknown = []
        for entity in self._tables.sessions.query_entities(wanted):
            kind, _, key = str(entity["RowKey"]).partition("|")
            if kind == "t":
                expected[key] = msgspec.json.decode(entity["row"], type=JournalRow)
            else:
                unknown.append(msgspec.json.decode(entity["row"], type=Unknown))
        return expected, unknown

    def noted_at(self, key: str) -> datetime | None:
        """When a copy of the trade began to be expected, by the clock of storage; None where none is any more."""
        try:
            return self._tables.sessions.get_entity(self._session, f"t|{key}").metadata["timestamp"]
        except ResourceNotFoundError:
            return None

    def met(self, key: str) -> Operation:
        """The trade's copy has come, or a human was told that it has not. Refused where nothing expects it."""
        return deleting(self._session, f"t|{key}")

    def keeping(self, unknown: Unknown) -> Operation:
        """A human was told of the copy. Refused where one was before."""
        row = msgspec.json.encode(unknown).decode()
        return creating({"PartitionKey": self._session, "RowKey": f"u|{unknown.key}", "row": row})

    def forgetting(self, unknown: Unknown) -> Operation:
        return deleting(self._session, f"u|{unknown.key}")

    def outage(self) -> str | None:
        """Since when the drop copy has been out, where a human has to know; None where it is not."""
        try:
            return str(self._tables.sessions.get_entity(self._session, _OUTAGE)["since"])
        except ResourceNotFoundError:
            return None

    def beginning_outage(self) -> tuple[str, Operation]:
        """The outage, and how it is kept. Refused where there is one."""
        since = datetime.now(UTC).isoformat(timespec="milliseconds")
        return since, creating({"PartitionKey": self._session, "RowKey": _OUTAGE, "since": since})

    def ending_outage(self) -> Operation:
        return deleting(self._session, _OUTAGE)


def forget_before(tables: Tables, before: datetime) -> int:
    """Take away the trades that have awaited their copies since before that time, by the clock of storage; how many.

    Of whatever drop copy session: there may be none any more. Goes through the whole table.
    """
    rows = tables.sessions.query_entities(
        "RowKey ge 't|' and RowKey lt 't}' and Timestamp lt @before",
        parameters={"before": before},
        select=["PartitionKey", "RowKey"],
    )
    return delete_all(tables.sessions, rows)


def key_of(order_id: str, event: object) -> str:
    """A trade's key; the parts of it are as in the journal."""
    assert isinstance(event, Trade), "nothing else is matched"
    return f"{table_key(order_id)}|{event.at.date().isoformat()}|{table_key(event.exec_id)}"
