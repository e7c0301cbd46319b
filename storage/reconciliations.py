"""What came of comparing our open orders with the venue's, once for each logon: for people."""

from datetime import UTC, datetime

from storage.tables import Tables, pack, table_key, unpack

_LAST = datetime(9999, 1, 1, tzinfo=UTC)


class Reconciliations:
    """Table `Reconciliations`, a partition for each session, the newest row first. May be shared by threads.

    A record is JSON, which only its writer and its reader have to agree on.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add(self, session: str, at: datetime, record: bytes) -> None:
        """Keep a record of a session, by its time. The same record may be kept again."""
        key = f"{int((_LAST - at).total_seconds() * 1000):015}"
        row = {"PartitionKey": table_key(session), "RowKey": key, **pack("record", record)}
        self._tables.reconciliations.upsert_entity(row)

    def list(self, session: str, limit: int) -> list[bytes]:
        """The last records of a session, newest first."""
        rows = self._tables.reconciliations.query_entities(
            f"PartitionKey eq '{table_key(session)}'", results_per_page=limit
        ).by_page()
        return [unpack("record", row) for row in next(rows, iter(()))]
