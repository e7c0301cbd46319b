"""What a human has to know: each alert is kept once, and logged when it is new."""

import logging
from datetime import UTC, datetime

import msgspec
from azure.core.exceptions import ResourceExistsError

from storage.tables import Tables, table_key

_log = logging.getLogger("alerts")


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """`raised_at` is the machine's time; `key` tells one alert from another of the same order."""

    order_id: str
    key: str
    code: str
    text: str
    raised_at: datetime


class Alerts:
    """Table `Alerts`, one partition for each order."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def raise_alert(self, code: str, text: str, order_id: str, key: str) -> bool:
        """Keep the alert, once for each key of an order; whether it was new. `order_id` may be a session's name."""
        alert = Alert(order_id=order_id, key=key, code=code, text=text, raised_at=datetime.now(UTC))
        try:
            self._tables.alerts.create_entity(
                {
                    "PartitionKey": table_key(order_id),
                    "RowKey": table_key(key),
                    "alert": msgspec.json.encode(alert).decode(),
                }
            )
        except ResourceExistsError:
            return False
        _log.error("%s %s: %s", code, order_id, text)
        return True

    def list(self, order_id: str | None = None) -> list[Alert]:
        """The alerts of one order, or all there are."""
        wanted = None if order_id is None else f"PartitionKey eq '{table_key(order_id)}'"
        rows = self._tables.alerts.query_entities(wanted) if wanted else self._tables.alerts.list_entities()
        return [msgspec.json.decode(row["alert"], type=Alert) for row in rows]
