"""What users have asked open orders to do: kept beside the order's row, so that a lost event loses nothing."""

from typing import Literal, cast

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import UpdateMode

from storage.tables import Tables, table_key

_CANCEL = "cancel"

CancelMode = Literal["flatten", "keep_exits"]


class CancelRequests:
    """A row in the order's partition of table `Orders`; the last request stands, but `flatten` is never taken back."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def ask(self, order_id: str, mode: CancelMode) -> CancelMode:
        """Keep the request; what stands now."""
        row = {"PartitionKey": table_key(order_id), "RowKey": _CANCEL, "mode": mode}
        if mode == "flatten":
            self._tables.orders.upsert_entity(row, mode=UpdateMode.REPLACE)
            return mode
        try:
            self._tables.orders.create_entity(row)
        except ResourceExistsError:
            return self.asked(order_id) or mode
        return mode

    def asked(self, order_id: str) -> CancelMode | None:
        """What stands, if anything was asked for."""
        try:
            row = self._tables.orders.get_entity(table_key(order_id), _CANCEL)
        except ResourceNotFoundError:
            return None
        return cast(CancelMode, row["mode"])
