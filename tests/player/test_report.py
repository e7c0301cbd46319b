"""The checks from three sides: each lets a sound run pass and names what is wrong with an unsound one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from player.evidence import Evidence, Exposure, VenueOrder, VenueTrade
from player.report import check, order_book, show, summarize
from storage.orders import OrderRecord, RegisteredOrder
from trading.events import OrderAccepted, OrderFilled, VenueEvent
from trading.exposure import Reservation
from trading.journal import JournalRow
from trading.orders import Side
from trading.positions import Position
from trading.stakes import Stake

NOON = datetime(2013, 10, 7, 12, tzinfo=UTC)
DETAIL = {
    "last_number": 3,
    "timing": {
        "received_at": NOON,
        "sent_at": NOON + timedelta(milliseconds=30),
        "acknowledged_at": NOON + timedelta(milliseconds=34),
    },
}


def _spec(order_id: str) -> str:
    spec = {"type": "bracket", "order_id": order_id, "symbol": "IBM", "side": "buy", "quantity": "10"}
    return msgspec.json.encode(spec).decode()


def _registered(order_id: str, outcome: str | None = None) -> RegisteredOrder:
    record = None
    if outcome:
        detail = msgspec.json.encode(DETAIL).decode()
        record = OrderRecord(outcome=outcome, filled_quantity=Decimal(10), finished_at=NOON, detail=detail)
    return RegisteredOrder(order_id=order_id, token="t", spec_json=_spec(order_id), created_at=NOON, record=record)


def _order(cl_ord_id: str, *, cum: int = 0, leaves: int = 0, status: str = "2") -> VenueOrder:
    return VenueOrder(
        cl_ord_ids=[cl_ord_id],
        symbol="IBM",
        side="1",
        quantity=Decimal(10),
        cum_quantity=Decimal(cum),
        leaves_quantity=Decimal(leaves),
        status=status,
        order_type="2",
    )


def _row(order_id: str, number: int, event: VenueEvent, side: Side = Side.BUY) -> JournalRow:
    sent_at = NOON + timedelta(milliseconds=30)
    return JournalRow(
        order_id=order_id,
        number=number,
        event=event,
        symbol="IBM",
        side=side,
        received_at=sent_at + timedelta(milliseconds=4 + number),
        sent_at=sent_at,
    )


def _fill(cl_ord_id: str, exec_id: str, quantity: int, price: int) -> OrderFilled:
    return OrderFilled(
        cl_ord_id=cl_ord_id,
        exec_id=exec_id,
        quantity=Decimal(quantity),
        price=Decimal(price),
        cum_quantity=Decimal(quantity),
        leaves_quantity=Decimal(0),
        at=NOON,
    )


def _trade(cl_ord_id: str, exec_id: str, quantity: int, price: int, side: str = "1") -> VenueTrade:
    return VenueTrade(
        exec_id=exec_id,
        cl_ord_id=cl_ord_id,
        symbol="IBM",
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        at="2013-10-07T12:00:00Z",
    )


def _sound() -> Evidence:
    """Three orders: `a` was bought and stopped out, `b` is bought and protected, `c` waits with 4 of 10 unfilled."""
    return Evidence(
        positions=[Position(symbol="IBM", quantity=Decimal(16), average_price=Decimal(100), realized_pnl=Decimal(-50))],
        exposure=Exposure(
            reservations={
                "c": Reservation(stakes=[Stake(symbol="IBM", side=Side.BUY, quantity=Decimal(4), price=Decimal(100))]),
            },
            positions={"IBM": Position(symbol="IBM", quantity=Decimal(16), average_price=Decimal(100))},
        ),
        orchestrations={"a": "Completed", "b": "Running", "c": "Running"},
        journal=[
            _row("a", 1, OrderAccepted(cl_ord_id="a.e1", at=NOON)),
            _row("a", 2, _fill("a.e1", "1", 10, 100)),
            _row("a", 3, _fill("a.s2", "2", 10, 95), Side.SELL),
            _row("b", 4, _fill("b.e1", "3", 10, 100)),
            _row("c", 5, _fill("c.e1", "4", 6, 100)),
        ],
        register=[_registered("a", "stop_loss"), _registered("b"), _registered("c")],
        signals=dict.fromkeys(("a", "b", "c"), NOON),
        venue_orders=[
            _order("a.e1", cum=10),
            _order("a.s2", cum=10),
            _order("a.t3", status="4"),
            _order("b.e1", cum=10),
            _order("b.s2", leaves=10, status="0"),
            _order("b.t3", leaves=10, status="0"),
            _order("c.e1", cum=6, leaves=4, status="1"),
            _order("c.s2", leaves=6, status="5"),
            _order("c.t3", leaves=6, status="5"),
        ],
        venue_trades=[
            _trade("a.e1", "1", 10, 100),
            _trade("a.s2", "2", 10, 95, "2"),
            _trade("b.e1", "3", 10, 100),
            _trade("c.e1", "4", 6, 100),
        ],
        venue_positions={"IBM": Decimal(16)},
    )


def test_a_sound_run_passes_every_check() -> None:
    assert check(_sound()) == {
        "positions_agree": [],
        "no_order_lost": [],
        "no_order_doubled": [],
        "every_fill_counted_once": [],
        "money_adds_up": [],
        "filled_entries_protected": [],
        "exposure_is_what_is_open": [],
        "orchestrations_at_rest": [],
    }


def _orders(evidence: Evidence, replaced: str, *instead: VenueOrder) -> dict[str, Any]:
    return {"venue_orders": [order for order in evidence.venue_orders if order.cl_ord_ids[0] != replaced] + [*instead]}


SOUND = _sound()


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        ({"venue_positions": {"IBM": Decimal(6)}}, "positions_agree", "IBM: entity=16 journal=16 venue=6"),
        ({"venue_positions": {}}, "positions_agree", "venue=0"),
        ({"signals": dict.fromkeys("abcd", NOON)}, "no_order_lost", "d: signalled, but not in the order register"),
        ({"signals": dict.fromkeys("ab", NOON)}, "no_order_lost", "c: in the order register, but no signal"),
        ({"venue_orders": []}, "no_order_lost", "b: in the order register and not denied, but not at the venue"),
        ({"venue_duplicates": ["a.s2"]}, "no_order_doubled", "a.s2: sent again as if it were new"),
        (
            {"positions": [msgspec.structs.replace(SOUND.positions[0], realized_pnl=Decimal(950))]},
            "money_adds_up",
            "IBM: realized less cost=-650.00000000 paid and received=-1650.00000000",
        ),
        ({"positions": []}, "positions_agree", "entity=0"),
        (_orders(SOUND, "", _order("a.e1", cum=10)), "no_order_doubled", "a.e1: 2 orders at the venue"),
        (_orders(SOUND, "", _order("z.e1")), "no_order_doubled", "z.e1: at the venue, but not in the order register"),
        (_orders(SOUND, "", _order("b.e4")), "no_order_doubled", "b: 2 entries"),
        (_orders(SOUND, "b.e1"), "no_order_doubled", "b: 0 entries at the venue, accepted by the journal"),
        (
            {"venue_trades": SOUND.venue_trades[:-1]},
            "every_fill_counted_once",
            "ExecID 4, 6 at 100: 1 times in the journal, 0",
        ),
        ({"journal": SOUND.journal + SOUND.journal[-1:]}, "every_fill_counted_once", "ExecID 4, 6 at 100: 2 times"),
        (_orders(SOUND, "b.s2"), "filled_entries_protected", "b: filled and not closed=10 stop=0 take-profit=10"),
        (
            _orders(SOUND, "c.t3", _order("c.t3", leaves=10, status="0")),
            "filled_entries_protected",
            "c: filled and not closed=6 stop=6 take-profit=10",
        ),
        (
            _orders(SOUND, "a.t3", _order("a.t3", leaves=10, status="0")),
            "filled_entries_protected",
            "a: closed, but stop=0 take-profit=10 still work",
        ),
        (
            {"exposure": Exposure(positions=SOUND.exposure.positions)},
            "exposure_is_what_is_open",
            "c: reserved=0 working=4",
        ),
        ({"exposure": Exposure(reservations=SOUND.exposure.reservations)}, "exposure_is_what_is_open", "journal=16"),
        (
            {"orchestrations": {"a": "Running", "b": "Running", "c": "Running"}},
            "orchestrations_at_rest",
            "a: recorded as stop_loss, orchestration Running",
        ),
        (
            {"orchestrations": {"a": "Completed", "b": "Failed", "c": "Running"}},
            "orchestrations_at_rest",
            "b: not recorded, orchestration Failed",
        ),
        (
            {"orchestrations": {"a": "Completed", "b": "Running"}},
            "orchestrations_at_rest",
            "c: not recorded, orchestration missing",
        ),
        (
            _orders(_sound(), "", _order("a.s9", leaves=1, status="0")),
            "orchestrations_at_rest",
            "a: recorded as stop_loss, orchestration Completed, works at the venue",
        ),
    ],
)
def test_what_is_wrong_is_found_and_named(changes: dict[str, Any], name: str, says: str) -> None:
    evidence = msgspec.structs.replace(_sound(), **changes)
    assert any(says in line for line in check(evidence)[name])


def test_the_summary_has_the_shape_that_was_promised() -> None:
    evidence = _sound()
    summary = summarize(evidence, check(evidence), rows=100, wall_s=1.23456)
    assert msgspec.to_builtins(summary) == {
        "ticks": 100,
        "signals": 3,
        "orders": {"total": 3, "by_outcome": {"stop_loss": 1, "working": 2}},
        "fills": 4,
        "positions": {"IBM": "16"},
        "realized_pnl": "-50",
        "latency_ms": {"tick_to_order": {"p50": 30.0, "p99": 30.0}, "order_to_ack": {"p50": 5.0, "p99": 5.0}},
        "invariants": dict.fromkeys(check(evidence), True),
        "wall_s": 1.235,
    }


def test_a_run_without_orders_has_no_latencies_and_holds() -> None:
    nothing = Evidence(
        positions=[],
        exposure=Exposure(),
        orchestrations={},
        journal=[],
        register=[],
        signals={},
        venue_orders=[],
        venue_trades=[],
        venue_positions={},
    )
    summary = summarize(nothing, check(nothing), rows=5, wall_s=1)
    assert summary.latency_ms.tick_to_order.p50 is None
    assert all(summary.invariants.values())


def test_the_order_book_does_not_depend_on_the_order_in_which_things_were_told() -> None:
    evidence = _sound()
    turned = msgspec.structs.replace(
        evidence, venue_orders=evidence.venue_orders[::-1], venue_trades=evidence.venue_trades[::-1]
    )
    book = order_book(evidence)
    assert msgspec.json.encode(book) == msgspec.json.encode(order_book(turned))
    assert [fill["cl_ord_id"] for fill in book[0]["fills"]] == ["a.e1", "a.s2"]


def test_the_report_shows_a_broken_invariant_with_its_numbers() -> None:
    evidence = msgspec.structs.replace(_sound(), venue_positions={"IBM": Decimal(6)})
    differences = check(evidence)
    out = StringIO()
    show(Console(file=out, width=100), summarize(evidence, differences, rows=100, wall_s=1), differences)
    assert "✗ positions by the entities" in out.getvalue()
    assert "IBM: entity=16 journal=16 venue=6" in out.getvalue()
    assert "✓ no order doubled" in out.getvalue()
