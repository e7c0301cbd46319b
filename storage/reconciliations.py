"""What came of comparing our open orders with the venue's, once for each logon: for people."""

from datetime import UTC, datetime

from storage.tables import Tables, delete_all, pack, table_key, unpack

_LAST = datetime(9999, 1, 1, tzinfo=UTC)


class Reconciliations:
    """Table `Reconciliations`, a partition for each session, the newest row first. May be shared by threads.

    A record is JSON, which only its writer and its reader have to agree on.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add(self, session: str, at: datetime, record: bytes) -> None:
        """Keep a record of a session, by its time. The same record may be kept again."""
        row = {"PartitionKey": table_key(session), "RowKey": _key(at), **pack("record", record)}
        self._tables.reconciliations.upsert_entity(row)

    def remove_before(self, session: str, before: datetime) -> int:
        """Take away the records of before that time; how many."""
        rows = self._tables.reconciliations.query_entities(
            f"PartitionKey eq '{table_key(session)}' and RowKey gt '{_key(before)}'", select=["PartitionKey", "RowKey"]
        )
        return delete_all(self._tables.reconciliations, rows)

    def list(self, session: str, limit: int) -> list[bytes]:
        """The last records of a session, newest first."""
        rows = self._tables.reconciliations.query_entities(
            f"PartitionKey eq '{table_key(session)}'", results_per_page=limit
        ).by_page()
        return [unpack("record", row) for row in next(rows, iter(()))]


def _key(at: datetime) -> str:
    return f"{int((_LAST - at).total_seconds() * 1000):015}"
