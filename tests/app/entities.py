"""An entity through the SDK's own handle, and an order's journal for it to follow, in Azurite."""

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import azure.durable_functions as df
import msgspec

import entities.exposure
import entities.position
from gateway.journal import Journal, Origin
from storage.orders import OrderRecord
from storage.services import order_register, tables
from trading.events import OrderAccepted, OrderFilled, TradeBusted, VenueEvent
from trading.journal import JournalRow
from trading.messages import OrderEnded, RecordDetail, Reserving, Timing, encoded
from trading.orders import Side
from trading.specs import Spec
from trading.stakes import Stake

AT = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
_HANDLES = {
    "position": entities.position.position._function._func,
    "exposure": entities.exposure.exposure._function._func,
}


class Entity:
    """One entity: its state between batches, as the host keeps it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.raw: str | None = None

    def batch(self, *operations: tuple[str, Any]) -> list[Any]:
        """The results, an exception's text as `{"error": text}`."""
        payload = {
            "self": {"name": self._name, "key": "main"},
            "exists": self.raw is not None,
            "state": self.raw,
            "batch": [
                {"name": name, "input": json.dumps(json.dumps(given)), "isSignal": True} for name, given in operations
            ],
        }
        answer = json.loads(_HANDLES[self._name](json.dumps(payload)))
        self.raw = answer["entityState"]
        results = [(each["isError"], json.loads(each["result"])) for each in answer["results"]]
        return [{"error": result} if failed else result for failed, result in results]

    @property
    def state(self) -> Any:
        assert self.raw is not None
        return json.loads(self.raw)


class Order:
    """An order's journal, written as the gateway writes it."""

    def __init__(self, *, symbol: str = "IBM", side: Side = Side.BUY) -> None:
        self.order_id = f"o-{uuid.uuid4().hex}"
        self._symbol = symbol
        self._side = side
        self._journal = Journal(tables())
        self._messages = 0

    def add(self, event: VenueEvent, side: Side | None = None, symbol: str = "") -> JournalRow:
        self._messages += 1
        row, _ = self._journal.append(
            self.order_id,
            event,
            origin=Origin(f"test-{self.order_id}", 0, self._messages),
            symbol=symbol or self._symbol,
            side=side or self._side,
            received_at=AT,
        )
        return row

    def accepted(self) -> JournalRow:
        return self.add(OrderAccepted(cl_ord_id=f"{self.order_id}.e1", at=AT))

    def filled(
        self, quantity: int, price: int, *, child: str = "e1", side: Side | None = None, symbol: str = ""
    ) -> JournalRow:
        event = OrderFilled(
            cl_ord_id=f"{self.order_id}.{child}",
            exec_id=f"{self.order_id}-{self._messages}",
            quantity=Decimal(quantity),
            price=Decimal(price),
            cum_quantity=Decimal(quantity),
            leaves_quantity=Decimal(0),
            at=AT,
        )
        return self.add(event, side, symbol)

    def busted(self, trade: JournalRow) -> JournalRow:
        event = trade.event
        assert isinstance(event, OrderFilled)
        bust = TradeBusted(
            cl_ord_id=event.cl_ord_id,
            exec_id=f"bust-{event.exec_id}",
            ref_exec_id=event.exec_id,
            quantity=event.quantity,
            price=event.price,
            at=AT,
        )
        return self.add(bust, trade.side, trade.symbol)

    def ended(self, last_number: int) -> dict[str, Any]:
        return encoded(OrderEnded(order_id=self.order_id, symbol=self._symbol, last_number=last_number))

    def register(self, spec: Spec) -> None:
        """In the register, as `register_order` does it."""
        order_register().register(self.order_id, "token", msgspec.json.encode(spec).decode(), AT)

    def finish(self, last_number: int) -> None:
        """In the register, as `end_order` does it."""
        register = order_register()
        register.register(self.order_id, "token", "{}", AT)
        detail = json.dumps(encoded(RecordDetail(last_number=last_number, timing=Timing())))
        register.finish(self.order_id, OrderRecord(outcome="filled", finished_at=AT, detail=detail))

    def reserving(
        self, quantity: int, price: int, *, reduce_only: bool = False, protected: bool = False
    ) -> dict[str, Any]:
        return encoded(
            Reserving(
                order_id=self.order_id,
                stakes=[Stake(symbol=self._symbol, side=self._side, quantity=Decimal(quantity), price=Decimal(price))],
                reduce_only=reduce_only,
                protected=protected,
            )
        )


def apply(row: JournalRow) -> tuple[str, Any]:
    return "apply", encoded(row)


class Client:
    """The durable client, with both entities behind it. Signals named in `losing` are lost, as when they fail."""

    def __init__(self) -> None:
        self.entities = {"position": Entity("position"), "exposure": Entity("exposure")}
        self.signals: list[tuple[str, str]] = []
        self.losing: set[str] = set()

    async def signal_entity(self, entity: df.EntityId, operation: str, given: Any) -> None:
        self.signals.append((entity.name, operation))
        if operation not in self.losing:
            self._entity(entity).batch((operation, given))

    async def read_entity_state(self, entity: df.EntityId) -> Any:
        raw = self._entity(entity).raw
        state = None if raw is None else msgspec.json.decode(raw)
        return type("State", (), {"entity_exists": raw is not None, "entity_state": state})()

    def _entity(self, entity: df.EntityId) -> Entity:
        return self.entities.get(f"{entity.name}/{entity.key}") or self.entities[entity.name]

    @property
    def position(self) -> str:
        return str(self.entities["position"].state["position"]["quantity"])

    @property
    def reservations(self) -> dict[str, Any]:
        reservations: dict[str, Any] = self.entities["exposure"].state["exposure"]["reservations"]
        return reservations
