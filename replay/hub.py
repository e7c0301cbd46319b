"""Reads histories from a real task hub: the tables and blobs of DurableTask.AzureStorage.

Facts of its AzureTableTrackingStore: the history table's partition is the escaped instance id, its row keys are the
events' places as 16 hexadecimal digits, besides a row `sentinel`; the first row names the present execution, and rows
of an earlier one may follow it. Columns are the event's properties by their .NET names, `_Timestamp` for `Timestamp`,
enumerations and objects as texts. A long text is empty in the row, and `<Property>BlobName` names a gzip-compressed
blob in the container `<hub>-largemessages`.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.data.tables import TableClient, TableServiceClient
from azure.storage.blob import ContainerClient

from devhost.history import Event, EventType, Status, stamp
from replay.history import History, StatusAt
from replay.recording import RecordingError

_EVENT_TYPES = {
    "ExecutionStarted": 0,
    "ExecutionCompleted": 1,
    "ExecutionFailed": 2,
    "ExecutionTerminated": 3,
    "TaskScheduled": 4,
    "TaskCompleted": 5,
    "TaskFailed": 6,
    "SubOrchestrationInstanceCreated": 7,
    "SubOrchestrationInstanceCompleted": 8,
    "SubOrchestrationInstanceFailed": 9,
    "TimerCreated": 10,
    "TimerFired": 11,
    "OrchestratorStarted": 12,
    "OrchestratorCompleted": 13,
    "EventSent": 14,
    "EventRaised": 15,
    "ContinueAsNew": 16,
    "GenericEvent": 17,
    "HistoryState": 18,
    "ExecutionSuspended": 19,
    "ExecutionResumed": 20,
    "ExecutionRewound": 21,
}
_KEYS: Mapping[int, tuple[str, ...]] = {
    0: ("Name", "Version", "Input", "OrchestrationInstance", "ParentInstance", "Tags", "ScheduledStartTime"),
    1: ("OrchestrationStatus", "Result", "FailureDetails"),
    3: ("Input",),
    4: ("Name", "Version", "Input"),
    5: ("TaskScheduledId", "Result"),
    6: ("TaskScheduledId", "Reason", "Details"),
    7: ("Name", "Version", "InstanceId", "Input"),
    8: ("TaskScheduledId", "Result"),
    9: ("TaskScheduledId", "Reason", "Details"),
    10: ("FireAt",),
    11: ("TimerId", "FireAt"),
    14: ("InstanceId", "Name", "Input"),
    15: ("Name", "Input"),
    16: ("OrchestrationStatus", "Result"),
    19: ("Reason",),
    20: ("Reason",),
}
"""Which properties of an event the host sends to the SDK (DURABLE.md, section 7). The SDK wants them, also as null."""

_OBJECTS = ("OrchestrationInstance", "ParentInstance", "Tags", "FailureDetails")
_SENTINEL = "sentinel"
_ESCAPED = {"^": "^^", "/": "^0", "\\": "^1", "#": "^2", "?": "^3"}
_PAGE = 500


class Hub:
    """A task hub in a storage account, for reading. Raises RecordingError where it or an instance is not there."""

    def __init__(self, connection_string: str, name: str) -> None:
        self._connection_string = connection_string
        self._name = name
        try:
            self._service = TableServiceClient.from_connection_string(connection_string, retry_total=2)
        except ValueError as error:
            raise RecordingError(f"the connection string cannot be used: {error}") from None

    def history(self, instance_id: str) -> History:
        """The history of an instance's present generation."""
        row = self._instance(instance_id)
        events = list(self._events(instance_id))
        if not events:
            raise RecordingError(
                f"instance '{instance_id}' has no rows in table {self._name}History: its status is "
                f"{row.get('RuntimeStatus')}"
            )
        begun = next((event for event in events if event["EventType"] == EventType.EXECUTION_STARTED), {})
        parent = (begun.get("ParentInstance") or {}).get("OrchestrationInstance") or {}
        status = _parsed(row.get("CustomStatus"))
        last = sum(1 for event in events if event["EventType"] == EventType.ORCHESTRATOR_STARTED) - 1
        return History(
            orchestrator=str(begun.get("Name") or row.get("Name")),
            instance_id=instance_id,
            version=begun.get("Version") or None,
            parent_instance_id=parent.get("InstanceId"),
            events=events,
            statuses=[StatusAt(episode=last, value=status)],
            # It may be what an earlier generation has left: the hub does not say.
            carried_status=status,
        )

    def instances(self, prefix: str = "") -> Iterator[str]:
        """The ids of the instances that begin so, entities left out."""
        table = self._table("Instances")
        escaped = _escape(prefix)
        query = "PartitionKey ge @first and PartitionKey lt @last"
        parameters = {"first": escaped, "last": escaped + "\uffff"}
        for row in self._rows(table, query, parameters, select=["PartitionKey"]):
            instance_id = _unescape(str(row["PartitionKey"]))
            if not instance_id.startswith("@"):
                yield instance_id

    def _instance(self, instance_id: str) -> Mapping[str, Any]:
        query, parameters = "PartitionKey eq @partition", {"partition": _escape(instance_id)}
        for row in self._rows(self._table("Instances"), query, parameters):
            return row
        raise RecordingError(f"no instance '{instance_id}' in hub {self._name}; {self._hubs_found()}")

    def _events(self, instance_id: str) -> Iterator[Event]:
        query, parameters = "PartitionKey eq @partition", {"partition": _escape(instance_id)}
        execution_id = None
        for row in self._rows(self._table("History"), query, parameters):
            execution_id = execution_id or row.get("ExecutionId")
            if row["RowKey"] == _SENTINEL:
                continue
            if row.get("ExecutionId") != execution_id:
                return  # what is left of an earlier generation
            yield self._event(row)

    def _event(self, row: Mapping[str, Any]) -> Event:
        name = str(row.get("EventType"))
        kind = _EVENT_TYPES.get(name)
        if kind is None:
            raise RecordingError(
                f"table {self._name}History, partition {row['PartitionKey']}, row {row['RowKey']}: unknown EventType "
                f"'{name}'"
            )
        event: Event = {
            "EventType": kind,
            "EventId": int(_plain(row.get("EventId", -1))),
            "IsPlayed": True,
            "Timestamp": _plain(row["_Timestamp"]),
        }
        for key in _KEYS.get(kind, ()):
            value = self._text(row, key)
            if key in _OBJECTS:
                value = _parsed(value)
            elif key == "OrchestrationStatus":
                value = next((int(status) for status in Status if status.text == value), value)
            event[key] = value
        return event

    def _text(self, row: Mapping[str, Any], key: str) -> Any:
        blob = row.get(f"{key}BlobName")
        if not blob:
            return _plain(row.get(key))
        container = f"{self._name.lower()}-largemessages"
        try:
            client = ContainerClient.from_connection_string(self._connection_string, container, retry_total=2)
            with client:
                packed = client.download_blob(blob).readall()
            return gzip.decompress(packed).decode()
        except ResourceNotFoundError:
            raise RecordingError(
                f"the blob {blob} in container {container} is gone, which row {row['RowKey']} of table "
                f"{self._name}History names for {key}"
            ) from None
        except (AzureError, ValueError, OSError) as error:
            raise RecordingError(f"the blob {blob} in container {container} cannot be read: {_said(error)}") from None

    def _table(self, kind: str) -> TableClient:
        return self._service.get_table_client(f"{self._name}{kind}")

    def _rows(
        self, table: TableClient, query: str, parameters: dict[str, str], select: list[str] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        try:
            yield from table.query_entities(query, parameters=parameters, select=select, results_per_page=_PAGE)
        except ResourceNotFoundError:
            raise RecordingError(
                f"there is no hub {self._name}: no table {table.table_name}; {self._hubs_found()}"
            ) from None
        except AzureError as error:
            raise RecordingError(f"table {table.table_name} cannot be read: {_said(error)}") from None

    def _hubs_found(self) -> str:
        try:
            tables = {table.name for table in self._service.list_tables()}
        except AzureError as error:
            return f"the account's tables cannot be listed: {_said(error)}"
        hubs = sorted(
            name.removesuffix("History")
            for name in tables
            if name.endswith("History") and name.removesuffix("History") + "Instances" in tables
        )
        return f"hubs found: {', '.join(hubs) or 'none'}"


def _escape(instance_id: str) -> str:
    """An instance id as a partition key (KeySanitation)."""
    return "".join(
        _ESCAPED.get(each) or (f"^{chr(0xC0 + ord(each))}" if _is_control(each) else each) for each in instance_id
    )


def _unescape(key: str) -> str:
    back = {escaped[1]: each for each, escaped in _ESCAPED.items()}
    text, escaping = [], False
    for each in key:
        if escaping:
            text.append(back.get(each) or chr(ord(each) - 0xC0 if ord(each) >= 0xC0 else ord(each)))
            escaping = False
        elif each == "^":
            escaping = True
        else:
            text.append(each)
    return "".join(text)


def _is_control(each: str) -> bool:
    return ord(each) <= 0x1F or 0x7F <= ord(each) <= 0x9F


def _plain(value: Any) -> Any:
    """A column's value as JSON has it; a time keeps its seven digits."""
    if isinstance(value, datetime):
        return getattr(value, "tables_service_value", "") or stamp(value)
    if isinstance(value, tuple):
        return value[0]  # a 64-bit number, with its type
    return value


def _parsed(text: Any) -> Any:
    if not isinstance(text, str) or not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _said(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
