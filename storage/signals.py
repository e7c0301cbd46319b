"""What a strategy knows: its state for each partition of the market data hub, and the signals of each batch."""

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode

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
    """Table `Signals`: state and signals are stored together, so that a repeated batch gives the signals it gave.

    The latest state is kept in memory: where another process has stored a newer one, saving fails and says so.
    """

    def __init__(self, tables: Tables, hub: str) -> None:
        self._tables = tables
        self._hub = hub
        self._latest: dict[str, StrategyState] = {}

    def load(self, partition: str) -> StrategyState:
        """The state to work from: as good as the last one stored, until `save` says otherwise."""
        if partition not in self._latest:
            self._latest[partition] = self._stored(partition)
        return self._latest[partition]

    def _stored(self, partition: str) -> StrategyState:
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
        """The signals of the batch that ended with this number; None where it gave none or was never stored."""
        try:
            row = self._tables.signals.get_entity(self._key(partition), _batch_key(last_sequence_number))
        except ResourceNotFoundError:
            return None
        return unpack("data", row)

    def save(
        self, partition: str, previous: StrategyState, last_sequence_number: int, data: bytes, signals: bytes | None
    ) -> None:
        """Store the state after one batch, and the batch's signals if it gave any.

        `previous` is the state that it was worked out from.

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
        # Gone until this has succeeded: after a failure nobody knows what is stored.
        self._latest.pop(partition, None)
        try:
            if signals is None:
                etag = self._save_alone(state, previous.etag)
            else:
                batch = {"PartitionKey": key, "RowKey": _batch_key(last_sequence_number), **pack("data", signals)}
                etag = self._save_with(state, previous.etag, batch)
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            raise StateChangedError(f"{self._hub}/{partition}: its state was stored by another run") from None
        except TableTransactionError as error:
            if error.status_code in (404, 409, 412):
                raise StateChangedError(f"{self._hub}/{partition}: its state was stored by another run") from None
            raise
        self._latest[partition] = StrategyState(last_sequence_number=last_sequence_number, data=data, etag=etag)

    def _save_alone(self, state: Row, etag: str) -> str:
        # Most batches give no signal, and a transaction costs four times as much as a single write.
        if not etag:
            return str(self._tables.signals.create_entity(state)["etag"])
        unchanged = MatchConditions.IfNotModified
        written = self._tables.signals.update_entity(
            state, mode=UpdateMode.REPLACE, etag=etag, match_condition=unchanged
        )
        return str(written["etag"])

    def _save_with(self, state: Row, etag: str, batch: Row) -> str:
        change = replacing(state, etag) if etag else creating(state)
        return str(self._tables.signals.submit_transaction([change, creating(batch)])[0]["etag"])

    def _key(self, partition: str) -> str:
        return f"{table_key(self._hub)}|{table_key(partition)}"


def _batch_key(last_sequence_number: int) -> str:
    return f"s|{last_sequence_number:020}"
