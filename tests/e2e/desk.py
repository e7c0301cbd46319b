"""The whole system as a trader meets it: prices move, orders are placed over HTTP, and it is looked at from outside."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from gateway.journal import Journal, Origin
from player.feed import Feed
from player.stack import HUB, Stack
from player.steps import Step
from storage.alerts import Alerts
from storage.tables import Tables
from trading.events import OrderFilled
from trading.journal import JournalRow
from trading.messages import EXPOSURE_KEY, Reported, encoded, position_key
from trading.orders import Side

_WITHIN = 30.0
_TYPES = {"1": "market", "2": "limit", "3": "stop"}
_STATUSES = {"0": "new", "1": "partially_filled", "2": "filled", "4": "canceled", "8": "rejected"}
_SIDES = {"1": "buy", "2": "sell"}
_NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


class Desk:
    """One symbol of a running system in lockstep: everything is quiet after each call, unless it says otherwise."""

    def __init__(self, stack: Stack, symbol: str) -> None:
        self._stack = stack
        self._feed = Feed(stack.host, stack.venue, HUB)
        self._ticks = 0
        self.symbol = symbol

    def quote(self, bid: str, ask: str, *, bid_size: str | None = None, ask_size: str | None = None) -> None:
        sizes = {"bid_size": bid_size, "ask_size": ask_size}
        self._prices({"kind": "quote", "symbol": self.symbol, "bid": bid, "ask": ask, **sizes})
        self._feed.settle()

    def tick(self, price: str) -> None:
        """A trade in the market: at the venue, and then in the market data that comes in through the Event Hub."""
        self._prices({"kind": "trade", "symbol": self.symbol, "price": price, "size": None})
        self._feed.settle()
        self._ticks += 1
        data = {"kind": "tick", "ts": msgspec.to_builtins(_NOON), "symbol": self.symbol, "last": price}
        event = {"enqueued_time": msgspec.to_builtins(_NOON), "body": data, "sequence_number": self._ticks}
        self._stack.host.post(f"/devhost/eventhubs/{HUB}/events", {"partition": self.symbol, "events": [event]})
        self._feed.settle()

    def wait(self, seconds: int) -> None:
        """Let the market's clock go on; what is due meanwhile is done in its order."""
        now = datetime.fromisoformat(self._stack.host.get("/devhost/clock")["now"])
        for _ in self._feed.in_lockstep([Step(at=now + timedelta(seconds=seconds), prices=[], batch=[])]):
            pass

    def sweep_both_ways(self, low: str, high: str) -> None:
        """The price moves through stops and limits before anyone can cancel anything."""
        for only in ("stops", "limits"):
            self._prices({"kind": "range", "symbol": self.symbol, "low": low, "high": high, "only": only})
        self._feed.settle()

    def place_bracket(self, order_id: str, **changes: object) -> None:
        """BUY 10, entry limit 3000, stop 2950, take-profit 3050, unless `changes` say otherwise."""
        body: dict[str, object] = {
            "type": "bracket",
            "order_id": order_id,
            "symbol": self.symbol,
            "side": "buy",
            "quantity": "10",
            "entry_type": "limit",
            "entry_price": "3000",
            "stop_price": "2950",
            "take_profit_price": "3050",
        }
        self.place(body | changes)

    def place(self, body: Mapping[str, object]) -> None:
        self._stack.host.post("/api/orders", body)
        self._feed.settle()

    def place_at_market(self, order_id: str, side: str, quantity: str) -> None:
        order = {"type": "single", "order_id": order_id, "symbol": self.symbol, "side": side, "quantity": quantity}
        self.place(order | {"order_type": "market", "reference_price": "100"})

    def amend(self, order_id: str, **values: str) -> None:
        self._stack.host.patch(f"/api/orders/{order_id}", values)
        self._feed.settle()

    def halt(self, *, flatten: bool = False) -> None:
        """For all symbols."""
        self._stack.host.post("/api/halt", {"flatten": flatten})
        self._feed.settle()

    def resume(self) -> None:
        self._stack.host.delete("/api/halt")
        self._feed.settle()

    def cancel(self, order_id: str, mode: str) -> None:
        self._stack.host.delete(f"/api/orders/{order_id}?mode={mode}")
        self._feed.settle()

    def unblock(self) -> None:
        """Let new orders in the symbol come again."""
        self._stack.host.delete(f"/api/exposure/blocked?symbol={self.symbol}")
        self._feed.settle()

    def cancel_by_venue(self, cl_ord_id: str) -> None:
        self._stack.venue.post(f"/orders/{cl_ord_id}/cancel")
        self._feed.settle()

    def bust_by_venue(self, exec_id: str, *, settle: bool = True) -> None:
        self._stack.venue.post(f"/trades/{exec_id}/bust")
        if settle:
            self._feed.settle()

    def correct_by_venue(self, exec_id: str, quantity: str, price: str) -> None:
        self._stack.venue.post(f"/trades/{exec_id}/correct", {"quantity": quantity, "price": price})
        self._feed.settle()

    def restate_by_venue(self, cl_ord_id: str, quantity: str) -> None:
        self._stack.venue.post(f"/orders/{cl_ord_id}/restate", {"quantity": quantity})
        self._feed.settle()

    def venue_trades(self) -> list[dict[str, Any]]:
        """The symbol's trades at the venue that stand, in the order in which they happened."""
        return [trade for trade in self._stack.venue.get("/executions") if trade["symbol"] == self.symbol]

    # What goes wrong at the venue, until `end_faults`

    def lose(self, msg_type: str, **fields: str) -> None:
        """Messages to the venue about the symbol are lost there; `fields` by tag, as in `t40="3"`."""
        self._fault("inbound", "lose", msg_type, fields)

    def hold(self, msg_type: str, **fields: str) -> None:
        """Messages to the venue about the symbol are held back there."""
        self._fault("inbound", "hold", msg_type, fields)

    def hold_reports(self, **fields: str) -> None:
        """Execution reports about the symbol are held back at the venue."""
        self._fault("outbound", "hold", "8", fields)

    def count(self, msg_type: str, **fields: str) -> None:
        """Messages to the venue about the symbol are only counted."""
        self._fault("inbound", "count", msg_type, fields)

    def caught(self) -> list[list[str]]:
        """For each fault the ClOrdIDs of the messages that it was about."""
        return [caught["cl_ord_ids"] for caught in self._stack.venue.get("/faults")]

    def end_faults(self) -> None:
        self._stack.venue.delete("/faults")
        self._feed.settle()

    def cut(self) -> None:
        """The session's connection breaks, and the next is made."""
        self._stack.venue.post("/cut")
        self._feed.settle()

    def _fault(self, direction: str, action: str, msg_type: str, fields: dict[str, str]) -> None:
        tags = {tag.removeprefix("t"): value for tag, value in fields.items()}
        tags |= {"35": msg_type, "55": self.symbol}
        self._stack.venue.post("/faults", {"direction": direction, "action": action, "fields": tags})

    def kill_host_while_orders_are_held(self, at_least: int) -> None:
        """kill -9 the host while so many orders wait in it to be sent; the next call starts it again."""
        self._until(lambda: self._stack.host.get("/api/session")["held"] >= at_least, f"{at_least} orders are held")
        os.kill(self._stack.host_process.pid, signal.SIGKILL)
        self._until(lambda: not self._stack.host_process.is_running(), "the host is dead")

    def prices_without_settling(self, bid: str, ask: str) -> None:
        unknown = {"bid_size": None, "ask_size": None}
        self._prices({"kind": "quote", "symbol": self.symbol, "bid": bid, "ask": ask, **unknown})

    def settle(self) -> None:
        self._feed.settle()

    def order(self, order_id: str) -> dict[str, Any]:
        """What GET /api/orders/{id} says."""
        shown: dict[str, Any] = self._stack.host.get(f"/api/orders/{order_id}")
        return shown

    def status(self, order_id: str, cl_ord_id: str) -> str:
        """How one of the order's children stands, by what the order knows."""
        children = self.order(order_id)["children"]
        (status,) = [child["status"] for child in children if child["cl_ord_ids"][-1] == cl_ord_id]
        return str(status)

    def position(self) -> str:
        """The position that the entity holds."""
        return self.positions().get(self.symbol, "0")

    def positions(self) -> dict[str, str]:
        """Of all symbols."""
        return {held["symbol"]: held["quantity"] for held in self._stack.host.get("/api/positions")["positions"]}

    def venue_position(self) -> str:
        held: str = self._stack.venue.get("/positions").get(self.symbol, "0")
        return held

    def venue_orders(self) -> list[dict[str, Any]]:
        """The symbol's orders as the venue has them, in the order it got them; types and sides by name."""
        return [
            order | {"order_type": _TYPES[order["order_type"]], "side": _SIDES[order["side"]]}
            for order in self._stack.venue.get("/orders")
            if order["symbol"] == self.symbol
        ]

    def working(self) -> list[tuple[str, str]]:
        """Type and what is left of each order that works at the venue, by type."""
        return sorted(
            (order["order_type"], order["leaves_quantity"])
            for order in self.venue_orders()
            if order["status"] in ("0", "1", "5")
        )

    def sent(self) -> list[str]:
        """The symbol's orders at the venue, in the order it got them: `buy limit 10 filled`."""
        return [
            f"{order['side']} {order['order_type']} {order['quantity']} {_STATUSES[order['status']]}"
            for order in self.venue_orders()
        ]

    def stop_price(self) -> str:
        """Of the one stop that works at the venue."""
        (price,) = [order["stop_price"] for order in self.venue_orders() if order["order_type"] == "stop"]
        return str(price)

    def journal(self, order_id: str) -> list[JournalRow]:
        return Journal(Tables(self._stack.storage_connection)).read(order_id)

    def journal_fill(self, order_id: str, cl_ord_id: str, *, quantity: str, cum: str, exec_id: str) -> JournalRow:
        """Write a fill of a BUY 10 at 3000 down as a gateway does, and tell nobody."""
        filled = OrderFilled(
            cl_ord_id=cl_ord_id,
            exec_id=exec_id,
            quantity=Decimal(quantity),
            price=Decimal(3000),
            cum_quantity=Decimal(cum),
            leaves_quantity=10 - Decimal(cum),
            at=_NOON,
        )
        row, _ = Journal(Tables(self._stack.storage_connection)).append(
            order_id,
            filled,
            origin=Origin("elsewhere", 1, int(cum)),
            symbol=self.symbol,
            side=Side.BUY,
            received_at=datetime.now(UTC),
        )
        return row

    def tell(self, row: JournalRow) -> None:
        """Tell position, exposure and the order of a row of the journal."""
        durable = "/runtime/webhooks/durabletask"
        for entity in (f"position/{position_key(row.symbol)}", f"exposure/{EXPOSURE_KEY}"):
            self._stack.host.post(f"{durable}/entities/{entity}?op=apply", encoded(row))
        self._stack.host.post(f"{durable}/instances/{row.order_id}/raiseEvent/event", encoded(Reported(row=row)))
        self._feed.settle()

    def alerts(self, order_id: str) -> list[str]:
        """The codes of the alerts raised about an order."""
        return [alert.code for alert in Alerts(Tables(self._stack.storage_connection)).list(order_id)]

    def _prices(self, event: dict[str, object]) -> None:
        self._stack.venue.post("/prices", {"at": msgspec.to_builtins(_NOON), "events": [event]})

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _WITHIN
        while not holds():
            assert time.monotonic() < deadline, f"not within {_WITHIN:.0f} s: {what}"
            time.sleep(0.02)
