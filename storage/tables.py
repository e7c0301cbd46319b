"""Azure Tables: the app's tables, and what their rows' keys and values may be."""

import logging
import threading
from collections.abc import Iterable, Mapping
from itertools import groupby, islice
from typing import Any

import requests
from azure.core import MatchConditions
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient, TableServiceClient, TableTransactionError, UpdateMode
from requests.adapters import HTTPAdapter

_CONNECTIONS = 64  # as many threads as may use the tables at once without waiting for each other
_CHUNK = 60 * 1024  # a property holds 64 KiB at most
_LARGEST_TRANSACTION = 100
_MAXIMUM_CHUNKS = 15  # a row holds 1 MiB at most

Row = dict[str, Any]
Operation = tuple[str, Row] | tuple[str, Row, dict[str, Any]]
"""One change of a transaction: see `creating`, `replacing`, `merging`, `deleting`."""

logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)


class Tables:
    """The app's tables in one storage account. Each is created when it is first used; may be shared by threads.

    `prefix` is put before the names, so that several systems can share an account.
    """

    def __init__(self, connection_string: str, prefix: str = "") -> None:
        connections = requests.Session()
        for scheme in ("http://", "https://"):
            connections.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._service = TableServiceClient.from_connection_string(
            connection_string,
            transport=RequestsTransport(session=connections, session_owner=False),
            connection_timeout=5,
            read_timeout=10,
            retry_total=4,
            retry_backoff_factor=0.2,
            retry_backoff_max=3,
        )
        self._prefix = prefix
        self._clients: dict[str, TableClient] = {}
        self._creating = threading.Lock()

    @property
    def sessions(self) -> TableClient:
        return self._table("Sessions")

    @property
    def journal(self) -> TableClient:
        return self._table("Journal")

    @property
    def orders(self) -> TableClient:
        return self._table("Orders")

    @property
    def signals(self) -> TableClient:
        return self._table("Signals")

    @property
    def watches(self) -> TableClient:
        return self._table("Watches")

    @property
    def alerts(self) -> TableClient:
        return self._table("Alerts")

    @property
    def reconciliations(self) -> TableClient:
        return self._table("Reconciliations")

    def _table(self, name: str) -> TableClient:
        client = self._clients.get(name)
        if client is not None:
            return client
        with self._creating:
            if name not in self._clients:
                self._clients[name] = self._service.create_table_if_not_exists(self._prefix + name)
            return self._clients[name]


def creating(row: Row) -> Operation:
    """Insert the row; fails where there is one."""
    return ("create", row)


def replacing(row: Row, etag: str) -> Operation:
    """Put the row in the place of the one that has this ETag; fails where it has changed."""
    return ("update", row, {"mode": UpdateMode.REPLACE, "etag": etag, "match_condition": MatchConditions.IfNotModified})


def merging(row: Row) -> Operation:
    """Change the properties that `row` has, whatever the others are; fails where there is no such row."""
    return ("update", row, {"mode": UpdateMode.MERGE})


def deleting(partition: str, key: str, etag: str = "") -> Operation:
    """Take the row away; fails where there is none, and where there is another than the one that has this ETag."""
    row = {"PartitionKey": partition, "RowKey": key}
    return (
        ("delete", row, {"etag": etag, "match_condition": MatchConditions.IfNotModified}) if etag else ("delete", row)
    )


def delete_all(client: TableClient, rows: Iterable[Mapping[str, Any]]) -> int:
    """Take rows away that come partition by partition, a hundred in a transaction; how many. Where one of a hundred has
    gone meanwhile, these hundred stay."""
    removed = 0
    for partition, group in groupby(rows, lambda row: str(row["PartitionKey"])):
        while batch := [deleting(partition, str(row["RowKey"])) for row in islice(group, _LARGEST_TRANSACTION)]:
            try:
                client.submit_transaction(batch)
            except TableTransactionError as error:
                if error.status_code != 404:
                    raise
            else:
                removed += len(batch)
    return removed


def table_key(text: str) -> str:
    """`text` as a part of a row's key: what a key may not have (`/ \\ # ?`, control characters) is written `_2f`."""
    return "".join(
        character
        if character.isascii() and (character.isalnum() or character in "-.:")
        else "".join(f"_{byte:02x}" for byte in character.encode())
        for character in text
    )


def pack(name: str, data: bytes) -> Row:
    """`data` as properties `name0`, `name1`, ... of a row, since one property holds no more than 64 KiB.

    Raises:
        ValueError: more than a row can hold.
    """
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    if len(chunks) > _MAXIMUM_CHUNKS:
        raise ValueError(f"{name}: {len(data)} bytes are more than a table's row holds ({_CHUNK * _MAXIMUM_CHUNKS})")
    return {f"{name}{index}": chunk for index, chunk in enumerate(chunks)}


def unpack(name: str, row: Mapping[str, Any]) -> bytes:
    """What `pack` had put into the row."""
    data = bytearray()
    for index in range(_MAXIMUM_CHUNKS):
        chunk = row.get(f"{name}{index}")
        if chunk is None:
            break
        data += chunk
    return bytes(data)
