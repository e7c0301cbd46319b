"""The order register: which orders there are, whose each is, and how it ended."""

import heapq
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode

from storage.tables import Row, Tables, pack, table_key, unpack
from trading.messages import RecordDetail

_RECORD = "order"
_OPEN = "open"
_KNOWN_MAXIMUM = 100_000
_UNCHANGED = MatchConditions.IfNotModified


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How an order ended. `detail` is a `RecordDetail` as JSON."""

    outcome: str
    text: str = ""
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    finished_at: datetime
    detail: str = "{}"


class RegisteredOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the register; `record` is None as long as it is open. `created_at` is the market's time."""

    order_id: str
    token: str
    spec_json: str
    created_at: datetime
    record: OrderRecord | None = None
    taken_back: OrderRecord | None = None
    """The record of its last end, where it is open again."""

    def last_end(self) -> RecordDetail | None:
        """How it stood when it last ended, whether or not it is open again; None where it never has."""
        record = self.record or self.taken_back
        return None if record is None else msgspec.json.decode(record.detail, type=RecordDetail)

    def hears(self, instruction: int) -> bool:
        """Whether an instruction that is kept under this number was handled before the order's end, or will be.

        Of an order that is open, `end_order` sees it before a record stands.
        """
        ended = self.last_end()
        if ended is None:
            return True
        return instruction > ended.instructed if self.record is None else instruction <= ended.instructed


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """`ours`: the caller's token owns the order. `order` is what the register has, the caller's or the rival's."""

    ours: bool
    order: RegisteredOrder


class OrderRegister:
    """Table `Orders`: a row for each order in a partition of its own, and an index of the open ones in another."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._known: dict[str, None] = {}

    def register(self, order_id: str, token: str, spec_json: str, created_at: datetime) -> Registration:
        """Take the order id, once and for all. A repeat with the same token finds that it has it already."""
        order = RegisteredOrder(order_id=order_id, token=token, spec_json=spec_json, created_at=created_at)
        existing = self.get(order_id)
        if existing is None:
            # The index comes first: whatever is registered was put into it, wherever the process dies.
            self._put_into_index(order_id)
            try:
                self._tables.orders.create_entity(_order_row(order))
                existing = order
            except ResourceExistsError:
                existing = _order(self._required_row(order_id))
        self._remember(order_id)
        return Registration(ours=existing.token == token, order=existing)

    def finish(self, order_id: str, record: OrderRecord) -> None:
        """Write how the order ended. The record of a later end stays: who comes with an earlier one was held up.
        Likewise an order stays open that was opened again after this very end.

        Raises:
            KeyError: nobody registered this order.
        """
        while True:
            row = self._required_row(order_id)
            order = _order(row)
            if _is_late(order, record):
                return
            entry = self._index_entry(order_id)
            if self._replace(row, msgspec.structs.replace(order, record=record, taken_back=None)):
                break
        if entry is not None:
            self._take_out_of_index(entry)

    def reopen(self, order_id: str, last_number: int, instructed: int = 0, *, deaf_to: int = 0) -> None:
        """Take the record back of the end with this row and this instruction: more has been said. Any other stays.

        What the order was told up to `deaf_to` was refused, as it had ended: it will not hear it.

        Whoever sees the record before it is taken back may take the order out of the index, where it was put first in
        case that the process dies in between; so it is put there once more afterwards.

        Raises:
            KeyError: nobody registered this order.
        """
        self._put_into_index(order_id)
        if self._take_back(order_id, (last_number, instructed), deaf_to):
            self._put_into_index(order_id)

    def _take_back(self, order_id: str, end: tuple[int, int], deaf_to: int) -> bool:
        """Whether the order is open now."""
        while True:
            row = self._required_row(order_id)
            order = _order(row)
            if order.record is None:
                return True
            ended = order.last_end()
            if ended is None or ended.end != end:
                return False
            detail = msgspec.json.encode(ended.deaf_to(deaf_to)).decode()
            taken_back = msgspec.structs.replace(order.record, detail=detail)
            if self._replace(row, msgspec.structs.replace(order, record=None, taken_back=taken_back)):
                return True

    def _replace(self, row: TableEntity, order: RegisteredOrder) -> bool:
        """Whether the row was still as it was read."""
        try:
            self._tables.orders.update_entity(
                _order_row(order),
                mode=UpdateMode.REPLACE,
                etag=row.metadata["etag"],
                match_condition=_UNCHANGED,
            )
        except ResourceModifiedError:
            return False
        return True

    def get(self, order_id: str) -> RegisteredOrder | None:
        row = self._row(order_id)
        return None if row is None else _order(row)

    def has_ended(self, order_id: str) -> bool:
        """Whether the order has ever ended, also where it is open again by now; False of one that nobody registered.

        Cheaper than `get`: what the order is and goes on from is not read.
        """
        try:
            row = self._tables.orders.get_entity(table_key(order_id), _RECORD, select=["has_ended"])
        except ResourceNotFoundError:
            return False
        return bool(row.get("has_ended", True))  # rows of before do not say it: then `get` has to

    def list(self, *, open_only: bool = False, limit: int = 1000) -> list[RegisteredOrder]:
        """Orders, newest first. Open ones are found by their index; for all of them the whole table is read."""
        orders = self._open_orders() if open_only else self._all_orders()
        return heapq.nlargest(limit, orders, key=lambda order: (order.created_at, order.order_id))

    def is_known(self, order_id: str) -> bool:
        """Whether the order was ever registered. A yes is remembered, since orders are never taken out again."""
        if order_id in self._known:
            return True
        if self.get(order_id) is None:
            return False
        self._remember(order_id)
        return True

    def _open_orders(self) -> Iterator[RegisteredOrder]:
        for entry in self._tables.orders.query_entities(f"PartitionKey eq '{_OPEN}'"):
            try:
                order = _order(self._tables.orders.get_entity(entry["RowKey"], _RECORD))
            except ResourceNotFoundError:
                continue  # its registration is under way, or died before it had the order
            if order.record is None:
                yield order
            else:
                self._take_out_of_index(entry)  # a late repeat of its registration had put it back

    def _all_orders(self) -> Iterator[RegisteredOrder]:
        return (_order(row) for row in self._tables.orders.query_entities(f"RowKey eq '{_RECORD}'"))

    def _row(self, order_id: str) -> TableEntity | None:
        try:
            return self._tables.orders.get_entity(table_key(order_id), _RECORD)
        except ResourceNotFoundError:
            return None

    def _put_into_index(self, order_id: str) -> None:
        self._tables.orders.upsert_entity({"PartitionKey": _OPEN, "RowKey": table_key(order_id)})

    def _index_entry(self, order_id: str) -> TableEntity | None:
        try:
            return self._tables.orders.get_entity(_OPEN, table_key(order_id))
        except ResourceNotFoundError:
            return None

    def _take_out_of_index(self, entry: TableEntity) -> None:
        """Unless it was put there again since `entry` was read: the order may have been opened again."""
        with suppress(ResourceModifiedError, ResourceNotFoundError):
            self._tables.orders.delete_entity(entry, etag=entry.metadata["etag"], match_condition=_UNCHANGED)

    def _required_row(self, order_id: str) -> TableEntity:
        row = self._row(order_id)
        if row is None:
            raise KeyError(f"order {order_id} is not in the register")
        return row

    def _remember(self, order_id: str) -> None:
        self._known[order_id] = None
        if len(self._known) > _KNOWN_MAXIMUM:
            self._known.pop(next(iter(self._known)), None)


def _is_late(order: RegisteredOrder, record: OrderRecord) -> bool:
    """Whether the order has ended later than `record` knows of, or has been opened again since that end."""
    ended = order.last_end()
    if ended is None:
        return False
    end = msgspec.json.decode(record.detail, type=RecordDetail).end
    return ended.end > end or (order.record is None and ended.end == end)


def _order_row(order: RegisteredOrder) -> Row:
    return {
        "PartitionKey": table_key(order.order_id),
        "RowKey": _RECORD,
        "token": order.token,
        "created_at": order.created_at.astimezone(UTC).isoformat(),
        "outcome": order.record.outcome if order.record else "",
        "has_ended": (order.record or order.taken_back) is not None,
        # What an order goes on from has each of its executions: thousands of them would not fit otherwise.
        **pack("order", zlib.compress(msgspec.json.encode(order))),
    }


def _order(row: Row) -> RegisteredOrder:
    data = unpack("order", row)
    plain = data if data.startswith(b"{") else zlib.decompress(data)  # rows of before are not compressed
    return msgspec.json.decode(plain, type=RegisteredOrder)
