"""Prices that open orders wait for, by symbol."""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode
from msgspec.structs import replace

from storage.clock import PRECISION, time_of
from storage.tables import Row, Tables, table_key
from trading.events import PriceTouched
from trading.watches import Watch, succeeding

Rule = Callable[[Watch], tuple[Watch, PriceTouched | None]]
"""What becomes of a watch, and what its order is to be told."""

_UNCHANGED = MatchConditions.IfNotModified


class Watches:
    """Table `Watches`: a partition for each symbol, a row for each order. May be shared by threads.

    A watch without prices stays in the table, so that one that is written late finds its number, until `remove`.

    All that wait are read at once: most symbols have no watch, and a query for each would hold up the prices of all.
    What was read is good for `time_to_live` seconds, or until this process writes: so another process's watch begins no
    later than that. 0 reads every time.
    """

    def __init__(self, tables: Tables, time_to_live: float) -> None:
        self._tables = tables
        self._time_to_live = time_to_live
        self._lock = threading.Lock()
        self._read: tuple[float, dict[str, list[Watch]]] | None = None
        self._changes = 0

    def put(self, watch: Watch, *, was_heard: bool = False) -> None:
        """Let the watch take the place of an older one of its order; where it has no prices, nothing is waited for.

        May be repeated: the same changes nothing, and an older one never takes a newer one's place. What the older one
        has collected goes on with the watch; `was_heard` says whether the order knows what the older one has told it.

        It begins now at the latest, by storage's clock: a machine whose clock is ahead would blind a stop otherwise.
        """
        try:
            while not self._put(watch, was_heard=was_heard):
                pass
        finally:
            self._forget()

    def judge(self, watch: Watch, rule: Rule) -> PriceTouched | None:
        """Change the order's watch in this symbol by the rule; what its order is to be told by that.

        The rule is asked of the watch as it now is, which may be another than the one that was read: `waiting` may be
        late.
        """
        try:
            while True:
                row = self._find(watch)
                if row is None:
                    return None
                now = _read(row)
                after, touch = rule(now)
                if after == now or self._replace(after, row):
                    return touch
        finally:
            self._forget()

    def waiting(self, symbol: str) -> list[Watch]:
        """The watches of a symbol, by order id."""
        now = time.monotonic()
        with self._lock:
            changes = self._changes
            read = self._read
        if read is not None and now - read[0] < self._time_to_live:
            return read[1].get(symbol, [])
        watches: dict[str, list[Watch]] = {}
        for row in self._tables.watches.query_entities("number gt 0"):
            watch = _read(row)
            watches.setdefault(watch.symbol, []).append(watch)
        with self._lock:
            if changes == self._changes:  # else this may be from before what was written meanwhile
                self._read = now, watches
        return watches.get(symbol, [])

    def remove(self, is_past: Callable[[str], bool]) -> int:
        """Take away the watches without prices whose order is past; how many. One that changes meanwhile stays."""
        rows = self._tables.watches.query_entities("number eq 0")
        return sum(self._delete(row) for row in rows if is_past(_read(row).order_id))

    def _put(self, watch: Watch, *, was_heard: bool) -> bool:
        """False where somebody else was faster: look again."""
        dates: list[datetime | None] = []
        row = self._find(watch, lambda answer: dates.append(time_of(answer.http_response.headers.get("Date"))))
        now = next((date for date in reversed(dates) if date is not None), None)
        if now is not None and watch.begins is not None:
            watch = replace(watch, begins=min(watch.begins, now + PRECISION))
        if row is None:
            return self._create(watch)
        before = _read(row)
        return before.number >= watch.number or self._replace(succeeding(watch, before, was_heard=was_heard), row)

    def _find(self, watch: Watch, hear: Callable[[Any], None] | None = None) -> TableEntity | None:
        try:
            return self._tables.watches.get_entity(
                table_key(watch.symbol), table_key(watch.order_id), raw_response_hook=hear
            )
        except ResourceNotFoundError:
            return None

    def _create(self, watch: Watch) -> bool:
        try:
            self._tables.watches.create_entity(_row(watch))
        except ResourceExistsError:
            return False
        return True

    def _replace(self, watch: Watch, before: TableEntity) -> bool:
        etag = before.metadata["etag"]
        try:
            self._tables.watches.update_entity(
                _row(watch), mode=UpdateMode.REPLACE, etag=etag, match_condition=_UNCHANGED
            )
        except (ResourceModifiedError, ResourceNotFoundError):
            return False
        return True

    def _delete(self, row: TableEntity) -> bool:
        try:
            self._tables.watches.delete_entity(row, etag=row.metadata["etag"], match_condition=_UNCHANGED)
        except (ResourceModifiedError, ResourceNotFoundError):
            return False
        return True

    def _forget(self) -> None:
        with self._lock:
            self._changes += 1
            self._read = None


def _read(row: TableEntity) -> Watch:
    return msgspec.json.decode(row["watch"], type=Watch)


def _row(watch: Watch) -> Row:
    # A column for queries: 0 where nothing is waited for, and the market data need not read it. Older rows always wait.
    return {
        "PartitionKey": table_key(watch.symbol),
        "RowKey": table_key(watch.order_id),
        "number": watch.number if watch.waits else 0,
        "watch": msgspec.json.encode(watch).decode(),
    }
