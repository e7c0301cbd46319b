"""What a strategy knows: its state for each partition of the market data hub, and the signals of each batch."""

import msgspec
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableTransactionError

from storage.tables import Row, Tables, creating, pack, replacing, table_key, unpack

_STATE = "state"


class StateChangedError(Exception):
    """Another run has stored a newer state: load it and look again."""


class StrategyState(msgspec.Struct, frozen=True, kw_only=True):
    """The state after the batch that ended with `last_sequence_number` (-1: there was none yet)."""

    last_sequence_number: int = -1
    data: bytes = b""
    etag: str = ""


class SignalStore:
    """Table `Signals`: state and signals are stored together, so that a repeated batch gives the signals it gave."""

    def __init__(self, tables: Tables, hub: str) -> None:
        self._tables = tables
        self._hub = hub

    def load(self, partition: str) -> StrategyState:
        try:
            row = self._tables.signals.get_entity(self._key(partition), _STATE)
        except ResourceNotFoundError:
            return StrategyState()
        return StrategyState(
            last_sequence_number=int(row["last_sequence_number"]),
            data=unpack("data", row),
            etag=str(row.metadata["etag"]),
        )

    def signals(self, partition: str, last_sequence_number: int) -> bytes | None:
        """The signals of the batch that ended with this number; None where that batch was never stored."""
        try:
            row = self._tables.signals.get_entity(self._key(partition), _batch_key(last_sequence_number))
        except ResourceNotFoundError:
            return None
        return unpack("data", row)

    def save(
        self, partition: str, previous: StrategyState, last_sequence_number: int, data: bytes, signals: bytes
    ) -> None:
        """Store the state and the signals of one batch; `previous` is the state that it was worked out from.

        Raises:
            StateChangedError: one was stored since `previous` was loaded, by another run or by an earlier try of this
                call whose answer was lost. Load again, and look whether the batch has its signals now.
        """
        key = self._key(partition)
        state: Row = {
            "PartitionKey": key,
            "RowKey": _STATE,
            "last_sequence_number": str(last_sequence_number),
            **pack("data", data),
        }
        batch: Row = {"PartitionKey": key, "RowKey": _batch_key(last_sequence_number), **pack("data", signals)}
        try:
            change = replacing(state, previous.etag) if previous.etag else creating(state)
            self._tables.signals.submit_transaction([change, creating(batch)])
        except TableTransactionError as error:
            if error.status_code in (404, 409, 412):
                raise StateChangedError(f"{self._hub}/{partition}: its state was stored by another run") from None
            raise

    def _key(self, partition: str) -> str:
        return f"{table_key(self._hub)}|{table_key(partition)}"


def _batch_key(last_sequence_number: int) -> str:
    return f"s|{last_sequence_number:020}"
