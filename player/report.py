"""Judges a run by what it left behind, and says what was traded. Pure but for the printing.

The three sides are the app's entities, its execution journal with the order register, and the venue. Every invariant is
checked where two of them tell of the same thing; a check that fails says which numbers differ.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from rich.box import SIMPLE
from rich.columns import Columns
from rich.console import Console
from rich.table import Table

from player.evidence import Evidence, VenueOrder
from trading.events import OrderAccepted, OrderFilled, TradeBusted, TradeCorrected
from trading.identity import LETTERS, Role, is_entry, order_id_of
from trading.journal import JournalRow

ZERO = Decimal(0)
_WORKING = frozenset({"0", "1", "5", "6", "A", "D", "E"})
_OPEN = "working"

_BUY = "1"
"""Side (54), as the venue says it."""
_ROUNDING = Decimal("0.000001")

Differences = list[str]


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds; None where nothing was measured."""

    p50: float | None
    p99: float | None


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """By the machine's clock: from a tick's arrival to its entry's departure, and from there to the venue's answer."""

    tick_to_order: Percentiles
    order_to_ack: Percentiles


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """`working` is the outcome of an order that is not over."""

    total: int
    by_outcome: dict[str, int]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`out/summary.json`. Quantities and money are decimals, written as strings."""

    ticks: int
    signals: int
    orders: Orders
    fills: int
    positions: dict[str, Decimal]
    realized_pnl: Decimal
    latency_ms: Latencies
    invariants: dict[str, bool]
    wall_s: float


def check(evidence: Evidence) -> dict[str, Differences]:
    """The invariants by name, each with what contradicts it: nothing where it holds."""
    checks: dict[str, Callable[[Evidence], Differences]] = {
        "positions_agree": _positions_agree,
        "no_order_lost": _no_order_lost,
        "no_order_doubled": _no_order_doubled,
        "every_fill_counted_once": _every_fill_counted_once,
        "money_adds_up": _money_adds_up,
        "filled_entries_protected": _filled_entries_protected,
        "exposure_is_what_is_open": _exposure_is_what_is_open,
        "orchestrations_at_rest": _orchestrations_at_rest,
    }
    return {name: find(evidence) for name, find in checks.items()}


def summarize(evidence: Evidence, differences: dict[str, Differences], *, rows: int, wall_s: float) -> Summary:
    """What a run traded, in numbers. `rows` is how many rows of the price file were fed."""
    outcomes = Counter(order.record.outcome if order.record else _OPEN for order in evidence.register)
    return Summary(
        ticks=rows,
        signals=len(evidence.signals),
        orders=Orders(total=len(evidence.register), by_outcome=dict(sorted(outcomes.items()))),
        fills=len(evidence.venue_trades),
        positions={each.symbol: each.quantity for each in sorted(evidence.positions, key=lambda each: each.symbol)},
        realized_pnl=_money(sum((each.realized_pnl for each in evidence.positions), ZERO)),
        latency_ms=Latencies(tick_to_order=_tick_to_order(evidence), order_to_ack=_order_to_ack(evidence)),
        invariants={name: not found for name, found in differences.items()},
        wall_s=round(wall_s, 3),
    )


def order_book(evidence: Evidence) -> list[dict[str, Any]]:
    """Every order with its children and fills, without anything that differs from run to run."""
    children, fills = defaultdict(list), defaultdict(list)
    for order in evidence.venue_orders:
        children[order_id_of(order.cl_ord_ids[0])].append(order)
    for trade in evidence.venue_trades:
        fills[order_id_of(trade.cl_ord_id)].append(trade)
    return [
        {
            "order_id": order.order_id,
            "spec": msgspec.json.decode(order.spec_json),
            "outcome": order.record.outcome if order.record else _OPEN,
            "text": order.record.text if order.record else "",
            "children": sorted(children[order.order_id], key=lambda child: child.cl_ord_ids),
            "fills": [
                {"cl_ord_id": fill.cl_ord_id, "side": fill.side, "quantity": fill.quantity, "price": fill.price}
                for fill in sorted(fills[order.order_id], key=lambda fill: (fill.cl_ord_id, fill.quantity, fill.price))
            ],
        }
        for order in evidence.register
    ]


def show(console: Console, summary: Summary, differences: dict[str, Differences]) -> None:
    """Print the report."""
    orders = Table("outcome", "orders", title=f"{summary.signals} signals, {summary.orders.total} orders", box=SIMPLE)
    for outcome, count in summary.orders.by_outcome.items():
        orders.add_row(outcome, str(count))
    positions = Table("symbol", "position", title="Positions", box=SIMPLE)
    for symbol, quantity in summary.positions.items():
        positions.add_row(symbol, f"{quantity:f}")
    latency = Table("ms", "p50", "p99", title="Latencies", box=SIMPLE)
    latency.add_row("tick to order", *_shown(summary.latency_ms.tick_to_order))
    latency.add_row("order to ack", *_shown(summary.latency_ms.order_to_ack))
    console.print(Columns([orders, positions, latency], padding=(0, 4)))
    console.print(
        f"{summary.ticks} rows, {summary.fills} fills, realized P&L {summary.realized_pnl:.2f}, {summary.wall_s:.1f} s"
    )
    for name, found in differences.items():
        console.print(f"{'[red]✗[/red]' if found else '[green]✓[/green]'} {_IN_WORDS[name]}")
        for line in found:
            console.print(f"    {line}", highlight=False, markup=False)


_IN_WORDS = {
    "positions_agree": "positions by the entities = by the journal = by the venue's book",
    "no_order_lost": "no order lost: every signal became one order, denied or at the venue",
    "no_order_doubled": "no order doubled: one ClOrdID, one order at the venue, and none was sent twice",
    "every_fill_counted_once": "every trade of the venue stands in the journal, once, at its price",
    "money_adds_up": "realized P&L is what the venue's trades have paid and received",
    "filled_entries_protected": "every filled entry had both exits, or was closed",
    "exposure_is_what_is_open": "exposure is what open positions and working entries need",
    "orchestrations_at_rest": "every order's orchestration has ended, or waits for a working order",
}


def _shown(percentiles: Percentiles) -> tuple[str, str]:
    p50, p99 = percentiles.p50, percentiles.p99
    return ("-" if p50 is None else f"{p50:.1f}", "-" if p99 is None else f"{p99:.1f}")


# ---- invariants


def _positions_agree(evidence: Evidence) -> Differences:
    entities = {each.symbol: each.quantity for each in evidence.positions}
    journal = _journal_positions(evidence.journal)
    venue = evidence.venue_positions
    return [
        f"{symbol}: entity={entities.get(symbol, ZERO):f} journal={journal.get(symbol, ZERO):f} "
        f"venue={venue.get(symbol, ZERO):f}"
        for symbol in sorted({*entities, *journal, *venue})
        if not entities.get(symbol, ZERO) == journal.get(symbol, ZERO) == venue.get(symbol, ZERO)
    ]


def _no_order_lost(evidence: Evidence) -> Differences:
    registered = {order.order_id for order in evidence.register}
    found = [f"{order_id}: signalled, but not in the order register" for order_id in {*evidence.signals} - registered]
    found += [f"{order_id}: in the order register, but no signal" for order_id in registered - {*evidence.signals}]
    at_venue = {order_id_of(order.cl_ord_ids[0]) for order in evidence.venue_orders}
    accepted = {row.order_id for row in evidence.journal if isinstance(row.event, OrderAccepted)}
    found += [f"{order_id}: accepted by the journal, but not at the venue" for order_id in accepted - at_venue]
    denied = {order.order_id for order in evidence.register if order.record and order.record.outcome == "denied"}
    missing = registered - denied - at_venue
    found += [f"{order_id}: in the order register and not denied, but not at the venue" for order_id in missing]
    return sorted(found)


def _money_adds_up(evidence: Evidence) -> Differences:
    """What was paid and received is what was realized less what the open position has cost.

    And an order's record tells what its entry has traded.
    """
    cash: dict[str, Decimal] = defaultdict(Decimal)
    entered: dict[str, Decimal] = defaultdict(Decimal)
    for trade in evidence.venue_trades:
        amount = trade.quantity * trade.price
        cash[trade.symbol] += -amount if trade.side == _BUY else amount
        if is_entry(trade.cl_ord_id):
            entered[order_id_of(trade.cl_ord_id) or ""] += trade.quantity
    found = []
    for each in evidence.positions:
        counted = each.realized_pnl - each.quantity * each.average_price
        if abs(counted - cash[each.symbol]) > _ROUNDING:
            found.append(f"{each.symbol}: realized less cost={counted:.8f} paid and received={cash[each.symbol]:.8f}")
    for order in evidence.register:
        if order.record is not None and order.record.filled_quantity != entered[order.order_id]:
            traded = entered[order.order_id]
            found.append(f"{order.order_id}: recorded filled={order.record.filled_quantity:f} traded={traded:f}")
    return found


def _no_order_doubled(evidence: Evidence) -> Differences:
    times = Counter(cl_ord_id for order in evidence.venue_orders for cl_ord_id in order.cl_ord_ids)
    found = [f"{cl_ord_id}: {count} orders at the venue" for cl_ord_id, count in times.items() if count > 1]
    found += [f"{cl_ord_id}: sent again as if it were new" for cl_ord_id in evidence.venue_duplicates]
    registered = {order.order_id for order in evidence.register}
    found += [
        f"{order.cl_ord_ids[0]}: at the venue, but not in the order register"
        for order in evidence.venue_orders
        if order_id_of(order.cl_ord_ids[0]) not in registered
    ]
    at_venue = Counter(order_id_of(order.cl_ord_ids[0]) for order in evidence.venue_orders if _is_entry(order))
    accepted = {row.order_id for row in evidence.journal if isinstance(row.event, OrderAccepted | OrderFilled)}
    found += [
        f"{order_id}: {at_venue[order_id]} entries at the venue, "
        f"{'accepted' if order_id in accepted else 'not accepted'} by the journal"
        for order_id in registered
        if at_venue[order_id] > 1 or (order_id in accepted and not at_venue[order_id])
    ]
    return found


def _every_fill_counted_once(evidence: Evidence) -> Differences:
    journal = Counter((each.exec_id, each.quantity, each.price) for each in _journal_trades(evidence.journal))
    venue = Counter(
        (each.exec_id, each.quantity if each.side == _BUY else -each.quantity, each.price)
        for each in evidence.venue_trades
    )
    return [
        f"ExecID {trade[0]}, {trade[1]:f} at {trade[2]:f}: {journal[trade]} times in the journal, "
        f"{venue[trade]} times at the venue"
        for trade in sorted({*journal, *venue})
        if journal[trade] != 1 or venue[trade] != 1
    ]


def _filled_entries_protected(evidence: Evidence) -> Differences:
    found = []
    for order_id, children in _brackets(evidence).items():
        entered = sum((child.cum_quantity for child in children if _is_entry(child)), ZERO)
        exits = [child for child in children if not _is_entry(child)]
        left = entered - sum((child.cum_quantity for child in exits), ZERO)
        stops, targets = (_working(exits, role) for role in (Role.STOP, Role.TAKE_PROFIT))
        if left == 0:
            # Whatever still worked would open a position that nobody wants.
            if stops or targets:
                found.append(f"{order_id}: closed, but stop={stops:f} take-profit={targets:f} still work")
        elif not stops == targets == left:
            found.append(f"{order_id}: filled and not closed={left:f} stop={stops:f} take-profit={targets:f}")
    return found


def _exposure_is_what_is_open(evidence: Evidence) -> Differences:
    journal = _journal_positions(evidence.journal)
    counted = {symbol: each.quantity for symbol, each in evidence.exposure.positions.items()}
    found = [
        f"{symbol}: exposure entity={counted.get(symbol, ZERO):f} journal={journal.get(symbol, ZERO):f}"
        for symbol in sorted({*journal, *counted})
        if counted.get(symbol, ZERO) != journal.get(symbol, ZERO)
    ]
    needed = {
        order_id_of(order.cl_ord_ids[0]) or "": order.leaves_quantity
        for order in evidence.venue_orders
        if _is_entry(order) and _is_working(order)
    }
    reserved = {
        order_id: quantity
        for order_id, each in evidence.exposure.reservations.items()
        if (quantity := sum((stake.quantity for stake in each.stakes), ZERO))
    }
    found += [
        f"{order_id}: reserved={reserved.get(order_id, ZERO):f} working={needed.get(order_id, ZERO):f}"
        for order_id in sorted({*needed, *reserved})
        if reserved.get(order_id, ZERO) != needed.get(order_id, ZERO)
    ]
    return found


def _orchestrations_at_rest(evidence: Evidence) -> Differences:
    working = {order_id_of(order.cl_ord_ids[0]) for order in evidence.venue_orders if _is_working(order)}
    found = []
    for order in evidence.register:
        status = evidence.orchestrations.get(order.order_id, "missing")
        if order.record is not None and (status != "Completed" or order.order_id in working):
            what = "works at the venue" if order.order_id in working else "is over"
            found.append(f"{order.order_id}: recorded as {order.record.outcome}, orchestration {status}, {what}")
        if order.record is None and (status != "Running" or order.order_id not in working):
            what = "works" if order.order_id in working else "has nothing that works"
            found.append(f"{order.order_id}: not recorded, orchestration {status}, {what} at the venue")
    return found


# ---- what they are made of


class _Trade(msgspec.Struct, frozen=True):
    exec_id: str
    symbol: str
    quantity: Decimal
    """Negative where it was sold."""
    price: Decimal


def _journal_trades(journal: Sequence[JournalRow]) -> list[_Trade]:
    """The trades that stand: neither busted nor replaced by a correction."""
    gone = {row.event.ref_exec_id for row in journal if isinstance(row.event, TradeBusted | TradeCorrected)}
    return [
        _Trade(row.event.exec_id, row.symbol, row.side.sign * row.event.quantity, row.event.price)
        for row in journal
        if isinstance(row.event, OrderFilled | TradeCorrected) and row.event.exec_id not in gone
    ]


def _journal_positions(journal: Sequence[JournalRow]) -> dict[str, Decimal]:
    positions: dict[str, Decimal] = defaultdict(Decimal)
    for trade in _journal_trades(journal):
        positions[trade.symbol] += trade.quantity
    return positions


def _brackets(evidence: Evidence) -> dict[str, list[VenueOrder]]:
    brackets: dict[str, list[VenueOrder]] = {
        order.order_id: [] for order in evidence.register if msgspec.json.decode(order.spec_json)["type"] == "bracket"
    }
    for order in evidence.venue_orders:
        order_id = order_id_of(order.cl_ord_ids[0])
        if order_id in brackets:
            brackets[order_id].append(order)
    return brackets


def _is_entry(order: VenueOrder) -> bool:
    return is_entry(order.cl_ord_ids[0])


def _is_working(order: VenueOrder) -> bool:
    return order.status in _WORKING and order.leaves_quantity > 0


def _working(exits: Sequence[VenueOrder], role: Role) -> Decimal:
    """What orders of this role still may trade."""
    return sum(
        (
            child.leaves_quantity
            for child in exits
            if child.cl_ord_ids[0].partition(".")[2].startswith(LETTERS[role]) and _is_working(child)
        ),
        ZERO,
    )


def _tick_to_order(evidence: Evidence) -> Percentiles:
    sent: dict[str, datetime] = {}
    for row in evidence.journal:
        if row.sent_at is not None:
            sent[row.order_id] = min(row.sent_at, sent.get(row.order_id, row.sent_at))
    received = evidence.signals.items()
    return _percentiles([_ms(at, sent[order_id]) for order_id, at in received if at is not None and order_id in sent])


def _order_to_ack(evidence: Evidence) -> Percentiles:
    accepted = (row for row in evidence.journal if isinstance(row.event, OrderAccepted))
    return _percentiles([_ms(row.sent_at, row.received_at) for row in accepted if row.sent_at])


def _money(amount: Decimal) -> Decimal:
    """Without the last digits that an average price leaves, and without needless zeros."""
    return Decimal(f"{round(amount, 8).normalize():f}")


def _ms(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1000


def _percentiles(values: list[float]) -> Percentiles:
    ordered = sorted(values)
    if not ordered:
        return Percentiles(p50=None, p99=None)
    return Percentiles(p50=round(percentile(ordered, 50), 3), p99=round(percentile(ordered, 99), 3))


def percentile(ordered: Sequence[float], percent: int) -> float:
    """By nearest rank: a value that was measured, not one between two."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
