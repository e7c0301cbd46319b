"""Writes a history into storage as DurableTask.AzureStorage would have: see replay/hub.py for the facts."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from devhost.history import Status, parse_stamp
from replay.history import History

_NAMES = {
    0: "ExecutionStarted",
    1: "ExecutionCompleted",
    4: "TaskScheduled",
    5: "TaskCompleted",
    6: "TaskFailed",
    7: "SubOrchestrationInstanceCreated",
    8: "SubOrchestrationInstanceCompleted",
    9: "SubOrchestrationInstanceFailed",
    10: "TimerCreated",
    11: "TimerFired",
    12: "OrchestratorStarted",
    13: "OrchestratorCompleted",
    14: "EventSent",
    15: "EventRaised",
}
_TIMES = ("FireAt",)
_OBJECTS = ("OrchestrationInstance", "ParentInstance", "Tags")
_LONGEST = 500
"""Characters of a text that stays in its row: the real limit is 30,000, and tests are short."""


class HubWriter:
    """One task hub. `partition` is the escaped instance id."""

    def __init__(self, connection_string: str, name: str) -> None:
        tables = TableServiceClient.from_connection_string(connection_string)
        self._history = tables.create_table_if_not_exists(f"{name}History")
        self._instances = tables.create_table_if_not_exists(f"{name}Instances")
        blobs = BlobServiceClient.from_connection_string(connection_string)
        self._blobs = blobs.get_container_client(f"{name.lower()}-largemessages")
        if not self._blobs.exists():
            self._blobs.create_container()

    def write(self, history: History, partition: str, *, execution_id: str, left_over: int = 0) -> None:
        """Write an instance; `left_over` rows of an earlier, longer generation follow its own."""
        for place, event in enumerate(history.events):
            self._history.upsert_entity(self._row(event, partition, f"{place:016X}", execution_id))
        for place in range(len(history.events), len(history.events) + left_over):
            row = self._row(history.events[-1], partition, f"{place:016X}", "0" * 32)
            self._history.upsert_entity(row)
        self._history.upsert_entity({"PartitionKey": partition, "RowKey": "sentinel", "ExecutionId": execution_id})
        begun = history.events[1]
        instance = {
            "PartitionKey": partition,
            "RowKey": "",
            "ExecutionId": execution_id,
            "Name": begun["Name"],
            "Version": begun.get("Version") or "",
            "RuntimeStatus": "Running",
            "CustomStatus": json.dumps(history.statuses[-1].value) if history.statuses else "null",
            "Input": begun["Input"],
        }
        self._instances.upsert_entity(instance)

    def _row(self, event: Mapping[str, Any], partition: str, key: str, execution_id: str) -> dict[str, Any]:
        row = {
            "PartitionKey": partition,
            "RowKey": key,
            "ExecutionId": execution_id,
            "EventType": _NAMES[event["EventType"]],
            "EventId": event["EventId"],
            "IsPlayed": False,
            "_Timestamp": parse_stamp(event["Timestamp"]),
        }
        for name, value in event.items():
            if name in row or name == "Timestamp" or value is None:
                continue
            row.update(self._columns(name, value, f"{partition}-{key}-{name}"))
        return row

    def _columns(self, name: str, value: Any, blob: str) -> dict[str, Any]:
        if name in _TIMES:
            return {name: parse_stamp(value)}
        if name in _OBJECTS:
            return {name: json.dumps(value)}
        if name == "OrchestrationStatus":
            return {name: Status(value).text}
        if isinstance(value, str) and len(value) > _LONGEST:
            self._blobs.upload_blob(blob, gzip.compress(value.encode()), overwrite=True)
            return {name: "", f"{name}BlobName": blob}
        return {name: value}
