"""Judges what a campaign left behind: compares each side's account with the others'. Pure.

Every check is a function whose docstring is the promise that it holds the system to; it gives what contradicts it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from gateway.outbox import Entry
from gateway.translate import named_in
from orchestrators.order import SHOWN_CHILDREN
from storage.alerts import Alert
from storage.orders import RegisteredOrder
from tests.chaos.facts import Disturbance, Facts, VenueLogon, VenueOrder, VenueTrade, Written
from trading.child import OrderStatus
from trading.commands import ReplaceOrder, SubmitOrder
from trading.events import (
    AmendRequested,
    CancelRequested,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    TradeBusted,
    TradeCorrected,
)
from trading.identity import LETTERS, Role, is_entry, order_id_of
from trading.instructions import InstructionRow
from trading.lifecycles import ChildSummary
from trading.messages import RecordDetail
from trading.orders import OrderType, Side
from trading.specs import BracketSpec, OcoSpec, OneSymbol, ScaleSpec, Spec, TrailingSpec
from trading.stakes import protects

ZERO = Decimal(0)
_SIDES = {Side.BUY: "1", Side.SELL: "2"}
_SIGNS = {"1": 1, "2": -1}
_WORKING = frozenset("01")
_PENDING = frozenset({OrderStatus.PENDING_NEW, OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_REPLACE})
_STATUSES = {
    OrderStatus.NEW: "0",
    OrderStatus.PARTIALLY_FILLED: "1",
    OrderStatus.FILLED: "2",
    OrderStatus.CANCELED: "4",
    OrderStatus.REJECTED: "8",
    OrderStatus.EXPIRED: "C",
}
"""What an order that is at rest says of its child, and OrdStatus (39) at the venue."""
_NEVER_THERE = frozenset({OrderStatus.NOT_SENT, OrderStatus.REJECTED})
"""What is said of a child that the venue does not have: one that was refused at its door is not in its book either."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must not be: which promise, whose, and the numbers."""

    kind: str
    subject: str
    text: str


class _Found(NamedTuple):
    subject: str
    text: str


Check = Callable[[Facts], Iterable[_Found]]


def audit(facts: Facts) -> list[Difference]:
    """Everything that contradicts a promise; empty where all of them hold."""
    return [difference for found in checked(facts).values() for difference in found]


def checked(facts: Facts) -> dict[str, list[Difference]]:
    """The checks by name, each with what it found."""
    return {
        check.__name__: [Difference(kind=check.__name__, subject=each.subject, text=each.text) for each in check(facts)]
        for check in CHECKS
    }


# Nothing is lost


def accepted_orders_are_registered(facts: Facts) -> Iterator[_Found]:
    """An order that a client has placed is accepted or refused for its own sake (400). One that is accepted is in the
    register, and stays known."""
    known = {order.order_id for order in facts.register}
    for promise in facts.promises:
        if promise.is_accepted and promise.order_id not in known:
            yield _Found(promise.order_id, f"was accepted ({promise.statuses}) and is not in the register")
        if promise.is_accepted and any(status in (404, 409) for status in promise.statuses):
            yield _Found(promise.order_id, f"was accepted and then not known as that order: {promise.statuses}")
        if not promise.statuses or max(promise.statuses) >= 500:
            yield _Found(promise.order_id, f"has no definite answer: {promise.statuses}")
        elif not promise.is_accepted and 400 not in promise.statuses:
            yield _Found(promise.order_id, f"was never accepted, nor refused for its own sake: {promise.statuses}")


def orders_end_or_are_looked_after(facts: Facts) -> Iterator[_Found]:
    """Each order has ended, and its orchestration with it; or its orchestration runs, and has seen all there is."""
    journal = _by_order(facts.journal)
    told = Counter(row.order_id for row in facts.instructions)
    for order in facts.register:
        standing = facts.standings.get(order.order_id)
        runtime = standing.runtime if standing else "missing"
        if order.record is not None:
            if runtime != "Completed":
                yield _Found(order.order_id, f"has ended as {order.record.outcome}; its orchestration is {runtime}")
            continue
        if standing is None or runtime != "Running":
            yield _Found(order.order_id, f"is open; its orchestration is {runtime}")
            continue
        live, last = standing.live, len(journal[order.order_id])
        if live.phase != "working":
            yield _Found(order.order_id, f"is open in phase {live.phase}")
        if live.seen < last or live.instructed < told[order.order_id]:
            text = f"has handled row {live.seen} of {last}, instruction {live.instructed} of {told[order.order_id]}"
            yield _Found(order.order_id, text)
        for child in live.children:
            if child.status in _PENDING:
                yield _Found(order.order_id, f"{child.cl_ord_ids[-1]} is {child.status}")


def instructions_are_kept(facts: Facts) -> Iterator[_Found]:
    """What a client was told is kept (202) stands in the order's instructions, which have no gaps."""
    kept = defaultdict(list)
    for row in facts.instructions:
        kept[row.order_id].append(row)
    for order_id, rows in kept.items():
        numbers = sorted(row.number for row in rows)
        if numbers != list(range(1, len(rows) + 1)):
            yield _Found(order_id, f"its instructions are numbered {numbers}")
    for promised in facts.promised_instructions:
        rows = kept[promised.order_id]
        if promised.kind == "amend":
            is_kept = any(row.number == promised.number and isinstance(row.instruction, AmendRequested) for row in rows)
        else:
            is_kept = any(
                isinstance(row.instruction, CancelRequested) and row.instruction.mode == promised.mode for row in rows
            )
        if not is_kept:
            name = f"amendment {promised.number}" if promised.kind == "amend" else f"cancel with {promised.mode}"
            yield _Found(promised.order_id, f"{name} was accepted and is not kept")


def flattened_orders_have_ended(facts: Facts) -> Iterator[_Found]:
    """An order that was told to end with `flatten` has ended."""
    told = {
        row.order_id
        for row in facts.instructions
        if isinstance(row.instruction, CancelRequested) and row.instruction.mode == "flatten"
    }
    for order in facts.register:
        if order.order_id in told and order.record is None:
            yield _Found(order.order_id, "was told to flatten and is open")


def outbox_is_settled(facts: Facts) -> Iterator[_Found]:
    """What became of everything that was handed in is known: it is acknowledged, or dead."""
    for entry in facts.outbox:
        if entry.state not in ("acknowledged", "dead"):
            yield _Found(entry.cl_ord_id, f"is {entry.state}, epoch {entry.epoch}")


def acknowledged_entries_are_answered(facts: Facts) -> Iterator[_Found]:
    """What the outbox calls acknowledged, the journal tells of; and an order among it is at the venue, or the journal
    says that it was refused."""
    at_venue = {name for order in facts.venue_orders for name in order.cl_ord_ids}
    told = {name for each in facts.journal for name in named_in(each.row.event)}
    refused = {each.row.event.cl_ord_id for each in facts.journal if isinstance(each.row.event, OrderRejected)}
    for entry in facts.outbox:
        if entry.state != "acknowledged":
            continue
        if entry.cl_ord_id not in told:
            yield _Found(entry.cl_ord_id, "is acknowledged, and no row of the journal names it")
        if isinstance(entry.command, SubmitOrder) and entry.cl_ord_id not in at_venue | refused:
            yield _Found(entry.cl_ord_id, "is acknowledged, not at the venue, and was not refused")


REACH_THE_VENUE = Decimal("0.6")
"""The least share of all orders that has to have traded or worked there: a campaign in which nothing is traded shows
nothing."""
MAY_BE_BLOCKED = Decimal("0.02")
"""The share of orders that may come in the moment between a double exit and its unblocking."""


def orders_reach_the_venue(facts: Facts) -> Iterator[_Found]:
    """Of the orders that were placed most have traded or worked at the venue, and hardly any was denied for a
    symbol that is blocked: it is unblocked within a second."""
    reached = {order_id_of(order.cl_ord_ids[0]) for order in facts.venue_orders if order.status != "8"}
    placed = {promise.order_id for promise in facts.promises}
    if len(placed & reached) < REACH_THE_VENUE * len(placed) or not placed:
        yield _Found("", f"of {len(placed)} orders {len(placed & reached)} have worked at the venue")
    blocked = [order for order in facts.register if order.record and "SYMBOL_BLOCKED" in order.record.text]
    if len(blocked) > MAY_BE_BLOCKED * len(placed):
        for order in blocked:
            yield _Found(order.order_id, f"was denied: {order.record.text if order.record else ''}")


# Nothing is doubled


def venue_orders_are_ours_once(facts: Facts) -> Iterator[_Found]:
    """Each ClOrdID at the venue belongs to one order there, and to one entry of the outbox that asked for it."""
    entries = {entry.cl_ord_id: entry for entry in facts.outbox}
    owners = Counter(name for order in facts.venue_orders for name in order.cl_ord_ids)
    for name, count in owners.items():
        if count > 1:
            yield _Found(name, f"goes with {count} orders at the venue")
        if name not in entries:
            yield _Found(name, "is at the venue, and the outbox does not have it")
    for order in facts.venue_orders:
        first, *later = order.cl_ord_ids
        for name, kind in [(first, SubmitOrder), *((name, ReplaceOrder) for name in later)]:
            if name in entries and not isinstance(entries[name].command, kind):
                yield _Found(name, f"is at the venue as {kind.__name__}, in the outbox as {entries[name].command}")


def slots_have_one_working_order(facts: Facts) -> Iterator[_Found]:
    """An order of one leg has never two entries, two stops or two take-profits that work at the venue."""
    specs = _specs(facts)
    working = Counter(
        (order_id, _letter(order))
        for order in facts.venue_orders
        if order.status in _WORKING and (order_id := order_id_of(order.cl_ord_ids[0])) is not None
    )
    for (order_id, letter), count in working.items():
        if count > 1 and isinstance(specs.get(order_id), OneSymbol):
            yield _Found(order_id, f"has {count} working orders of role {letter} at the venue")


def nothing_was_refused_as_repeated(facts: Facts) -> Iterator[_Found]:
    """The venue was never sent a ClOrdID again without PossResend."""
    return (_Found(name, "was sent again without PossResend, and refused") for name in facts.venue_duplicates)


def entries_do_not_exceed_their_order(facts: Facts) -> Iterator[_Found]:
    """Entries have traded no more than the order was for, at its largest."""
    largest: dict[str, Decimal] = {}
    for order_id, spec in _specs(facts).items():
        if isinstance(spec, OneSymbol):
            largest[order_id] = spec.quantity
    for row in facts.instructions:
        if isinstance(row.instruction, AmendRequested) and row.order_id in largest:
            quantity = row.instruction.amendment.quantity or ZERO
            largest[row.order_id] = max(largest[row.order_id], quantity)
    for order_id, traded in _entered(facts).items():
        if traded > largest.get(order_id, traded):
            yield _Found(order_id, f"is for {largest[order_id]}, and its entries have traded {traded}")


def sessions_never_overlap(facts: Facts) -> Iterator[_Found]:
    """The venue never had a member logged on twice at once."""
    for session, logons in _by_session(facts).items():
        for one, other in pairwise(logons):
            if one.until is None or one.until > other.since:
                yield _Found(session, f"was logged on {one.since} to {one.until}, and again at {other.since}")


def logons_follow_each_other(facts: Facts) -> Iterator[_Found]:
    """Each Logon has a higher number than the one before: whoever held the lease earlier has an earlier block of
    numbers, and does not log on after its successor."""
    for session, logons in _by_session(facts).items():
        for one, other in pairwise(logons):
            if other.number <= one.number:
                text = f"its Logon at {other.since} has number {other.number}, the one at {one.since} had {one.number}"
                yield _Found(session, text)


_DISPLACED = "a new Logon of this session came on another connection"


def only_the_disturbed_are_displaced(facts: Facts) -> Iterator[_Found]:
    """A new Logon finds the old connection there only where its holder or its connection was disturbed within the
    lease time before."""
    for session, logons in _by_session(facts).items():
        for logon in logons:
            if logon.ended_by != _DISPLACED or logon.until is None:
                continue
            since = logon.until - timedelta(seconds=facts.lease)
            if not any(_leaves_a_connection(each, since, logon.until) for each in facts.disturbances):
                text = f"its connection from {logon.peer} was displaced at {logon.until}, undisturbed"
                yield _Found(session, text)


def _leaves_a_connection(fault: Disturbance, since: datetime, until: datetime) -> bool:
    """Whether it can have kept a holder or its connection from ending in time."""
    is_one = fault.kind in ("half_open", "late") or fault.target.startswith(("host", "azurite", "storage"))
    return is_one and fault.kind not in ("clock", "wake_ups") and fault.since <= until and fault.until >= since


def _by_session(facts: Facts) -> dict[str, list[VenueLogon]]:
    """The logons of each, in their order."""
    by_session = defaultdict(list)
    for logon in sorted(facts.logons, key=lambda logon: logon.since):
        by_session[logon.session].append(logon)
    return by_session


# Nothing works after `not_sent`


def what_was_not_sent_never_arrived(facts: Facts) -> Iterator[_Found]:
    """What is dead in the outbox, or was told to its order as not at the venue, is not at the venue."""
    at_venue = {name: order for order in facts.venue_orders for name in order.cl_ord_ids}
    for entry in facts.outbox:
        if entry.state == "dead" and entry.cl_ord_id in at_venue:
            yield _Found(entry.cl_ord_id, f"is dead in the outbox; {_shown(at_venue[entry.cl_ord_id])}")
    for each in facts.journal:
        event = each.row.event
        concluded = any(mark.startswith("own|") for mark in each.marks)
        if concluded and isinstance(event, OrderRejected) and event.cl_ord_id in at_venue:
            yield _Found(event.cl_ord_id, f"row {each.row.number}: {event.reason}; {_shown(at_venue[event.cl_ord_id])}")


# Everything is counted once


def journal_has_no_gaps(facts: Facts) -> Iterator[_Found]:
    """Each order's rows are numbered 1, 2, 3, and no report is in two of them."""
    for order_id, rows in _by_order(facts.journal).items():
        numbers = [each.row.number for each in rows]
        if numbers != list(range(1, len(rows) + 1)):
            yield _Found(order_id, f"its rows are numbered {numbers}")
        for mark, count in Counter(mark for each in rows for mark in each.marks).items():
            if count > 1:
                yield _Found(order_id, f"{mark} is in {count} rows")
    messages = Counter(mark for each in facts.journal for mark in each.marks if mark.startswith("message|"))
    for mark, count in messages.items():
        if count > 1:
            yield _Found(mark, f"one message of the venue is in {count} rows")


def trades_are_journalled_once(facts: Facts) -> Iterator[_Found]:
    """Each trade that stands at the venue is in the journal once, with its order, symbol, side, quantity and price; and
    the journal has no other."""
    at_venue = {
        trade.exec_id: (trade.cl_ord_id, trade.symbol, trade.side, trade.quantity, trade.price)
        for trade in facts.venue_trades
    }
    written: dict[str, list[tuple[str, str, str, Decimal, Decimal]]] = defaultdict(list)
    gone = set[str]()
    first = dict[str, str]()
    for each in sorted(facts.journal, key=lambda each: (each.row.order_id, each.row.number)):
        event, row = each.row.event, each.row
        if isinstance(event, TradeBusted):
            gone.add(first.get(event.ref_exec_id, event.ref_exec_id))
        if isinstance(event, TradeCorrected):  # to the venue it is the same trade, with other terms
            first[event.exec_id] = first.get(event.ref_exec_id, event.ref_exec_id)
            written[first[event.exec_id]].clear()
        if isinstance(event, OrderFilled | TradeCorrected):
            written[first.get(event.exec_id, event.exec_id)].append(
                (event.cl_ord_id, row.symbol, _SIDES[row.side], event.quantity, event.price)
            )
    for exec_id, trade in at_venue.items():
        if written[exec_id] != [trade]:
            yield _Found(exec_id, f"the venue has {_words(trade)}, the journal {[*map(_words, written[exec_id])]}")
    for exec_id, rows in written.items():
        if rows and exec_id not in at_venue and exec_id not in gone:
            yield _Found(exec_id, f"the journal has {[*map(_words, rows)]}, the venue does not")


def positions_agree(facts: Facts) -> Iterator[_Found]:
    """Of each symbol, position entity, exposure entity, journal and venue have the same position."""
    entity = {each.symbol: each.quantity for each in facts.positions}
    exposed = {symbol: position.quantity for symbol, position in facts.exposure.positions.items()}
    journal = _journalled_positions(facts)
    for symbol in sorted({*entity, *exposed, *journal, *facts.venue_positions}):
        accounts = {
            "position": entity.get(symbol, ZERO),
            "exposure": exposed.get(symbol, ZERO),
            "journal": journal.get(symbol, ZERO),
            "venue": facts.venue_positions.get(symbol, ZERO),
        }
        if len(set(accounts.values())) > 1:
            yield _Found(symbol, " ".join(f"{side}={quantity}" for side, quantity in accounts.items()))


def traded_quantities_agree(facts: Facts) -> Iterator[_Found]:
    """Of each order at the venue, the venue, the journal and the order itself have traded the same quantity."""
    by_name = {name: order.cl_ord_ids[0] for order in facts.venue_orders for name in order.cl_ord_ids}
    journal: dict[str, Decimal] = defaultdict(Decimal)
    for each in facts.journal:
        for name, quantity in _traded(each, facts):
            journal[by_name.get(name, name)] += quantity
    known = {
        name: child.cum_quantity
        for registered in facts.register
        for child in _children(registered, facts)
        for name in child.cl_ord_ids
    }
    shortened = {order_id for order_id, each in facts.standings.items() if len(each.live.children) >= SHOWN_CHILDREN}
    for order in facts.venue_orders:
        first = order.cl_ord_ids[0]
        if journal[first] != order.cum_quantity:
            yield _Found(first, f"has traded {order.cum_quantity}, by the journal {journal[first]}")
        own = known.get(order.cl_ord_ids[-1])
        if own is None and order.cum_quantity and order_id_of(first) not in shortened:
            yield _Found(first, f"has traded {order.cum_quantity}, and its order does not know of it")
        elif own is not None and own != order.cum_quantity:
            yield _Found(first, f"has traded {order.cum_quantity}, by its order {own}")


def children_agree(facts: Facts) -> Iterator[_Found]:
    """Each child of an order is at the venue as the order says, under its last ClOrdID: status, quantity, what is left
    of it. One that was never there is said to be rejected or not sent."""
    at_venue = {name: order for order in facts.venue_orders for name in order.cl_ord_ids}
    busted = {each.row.event.cl_ord_id for each in facts.journal if isinstance(each.row.event, TradeBusted)}
    for registered in facts.register:
        for child in _children(registered, facts):
            name, order = child.cl_ord_ids[-1], at_venue.get(child.cl_ord_ids[-1])
            if order is None:
                if child.status not in _NEVER_THERE:
                    yield _Found(name, f"is {child.status}, and not at the venue")
                continue
            if order.cl_ord_ids[-1] != name:
                yield _Found(name, f"is at the venue as {order.cl_ord_ids[-1]}")
            # How an order that is over is called after a trade of it was taken back is each side's own.
            if _STATUSES.get(child.status) != order.status and not busted.intersection(child.cl_ord_ids):
                yield _Found(name, f"is {child.status}; {_shown(order)}")
            left = child.quantity - child.cum_quantity if order.status in _WORKING else ZERO
            if (child.quantity, left) != (order.quantity, order.leaves_quantity):
                here = f"is for {child.quantity}, {left} left"
                yield _Found(name, f"{here}; at the venue for {order.quantity}, {order.leaves_quantity} left")


def prices_are_as_asked(facts: Facts) -> Iterator[_Found]:
    """What works at the venue has the prices that were last asked for, and a bracket's exits have the bracket's."""
    asked = {entry.cl_ord_id: entry.command for entry in facts.outbox}
    specs = _specs(facts)
    for order in facts.venue_orders:
        name, command = order.cl_ord_ids[-1], asked.get(order.cl_ord_ids[-1])
        if order.status not in _WORKING or not isinstance(command, SubmitOrder | ReplaceOrder):
            continue
        if (order.limit_price, order.stop_price) != (command.limit_price, command.stop_price):
            has = f"limit {order.limit_price} stop {order.stop_price}"
            yield _Found(
                name, f"has {has} at the venue, asked for limit {command.limit_price} stop {command.stop_price}"
            )
        order_id = order_id_of(name) or ""
        spec = specs.get(order_id)
        if order_id in facts.standings:
            spec = facts.standings[order_id].live.spec or spec
        if not isinstance(spec, BracketSpec):
            continue
        if _letter(order) == LETTERS[Role.STOP] and order.stop_price != spec.stop_price:
            yield _Found(name, f"has its stop at {order.stop_price}, the bracket at {spec.stop_price}")
        if _letter(order) == LETTERS[Role.TAKE_PROFIT] and order.limit_price != spec.take_profit_price:
            yield _Found(name, f"takes profit at {order.limit_price}, the bracket at {spec.take_profit_price}")


def records_agree(facts: Facts) -> Iterator[_Found]:
    """The record of an ended order of one symbol says what its entries have traded."""
    entered, specs = _entered(facts), _specs(facts)
    for order in facts.register:
        if order.record is None or not isinstance(specs[order.order_id], OneSymbol):
            continue
        if order.record.filled_quantity != entered[order.order_id]:
            text = f"its record says {order.record.filled_quantity}, its entries have traded {entered[order.order_id]}"
            yield _Found(order.order_id, text)


# Nothing is left unprotected, and nothing works that should not


def finished_orders_have_nothing_working(facts: Facts) -> Iterator[_Found]:
    """An order that has ended, or that nobody knows, has no order that works at the venue."""
    is_open = {order.order_id for order in facts.register if order.record is None}
    for order in facts.venue_orders:
        if order.status in _WORKING and order_id_of(order.cl_ord_ids[0]) not in is_open:
            yield _Found(order.cl_ord_ids[0], f"its order is not open; {_shown(order)}")


def finished_orders_that_protect_are_flat(facts: Facts) -> Iterator[_Found]:
    """An ended order that protects what it holds has closed all of it."""
    held, specs = _held(facts.venue_orders), _specs(facts)
    for order in facts.register:
        spec = specs[order.order_id]
        if order.record is not None and protects(spec):
            for symbol, quantity in held[order.order_id].items():
                if quantity:
                    yield _Found(order.order_id, f"has ended as {order.record.outcome} and holds {quantity} {symbol}")


def open_positions_have_their_exits(facts: Facts) -> Iterator[_Found]:
    """What an open order holds that protects it has stops for exactly that, and take-profits where it asks for them."""
    held, specs, working = _held(facts.venue_orders), _specs(facts), _working(facts.venue_orders)
    for order in facts.register:
        spec = specs[order.order_id]
        if order.record is not None or not protects(spec):
            continue
        symbol = spec.symbol if isinstance(spec, BracketSpec | TrailingSpec | OcoSpec | ScaleSpec) else ""
        quantity = held[order.order_id].get(symbol, ZERO)
        stops = -working[order.order_id, symbol, LETTERS[Role.STOP]]
        profits = -working[order.order_id, symbol, LETTERS[Role.TAKE_PROFIT]]
        if stops != quantity or profits != (quantity if _takes_profit(spec) else ZERO):
            yield _Found(order.order_id, f"holds {quantity} {symbol}: stops for {stops}, take-profits for {profits}")


def _takes_profit(spec: Spec) -> bool:
    if isinstance(spec, OcoSpec):
        return any(entry.exit_take_profit_price is not None for entry in spec.entries)
    return isinstance(spec, BracketSpec | TrailingSpec | ScaleSpec) and spec.take_profit_price is not None


def exposure_forgets_what_has_ended(facts: Facts) -> Iterator[_Found]:
    """Exposure has a reservation of each open order that trades, and of no other."""
    is_open = {order.order_id for order in facts.register if order.record is None}
    for order_id in facts.exposure.reservations.keys() - is_open:
        yield _Found(order_id, "has a reservation, and is not open")
    for order_id in is_open - facts.exposure.reservations.keys():
        yield _Found(order_id, "is open, and has no reservation")


def reservations_are_what_may_still_fill(facts: Facts) -> Iterator[_Found]:
    """What exposure reserves for an open order's entry is at least what works of it at the venue, and it counts as held
    what the order holds."""
    held = _held(facts.venue_orders)
    entering: dict[str, Decimal] = defaultdict(Decimal)
    for order in facts.venue_orders:
        order_id = order_id_of(order.cl_ord_ids[0])
        if order_id is not None and order.status in _WORKING and is_entry(order.cl_ord_ids[0]):
            entering[order_id] += order.leaves_quantity
    for order_id, reservation in facts.exposure.reservations.items():
        reserved = sum((stake.quantity for stake in reservation.stakes), ZERO)
        if reserved < entering[order_id]:
            yield _Found(order_id, f"reserves {reserved}, and entries work for {entering[order_id]}")
        for symbol in {*reservation.held, *held[order_id]}:
            own, counted = held[order_id].get(symbol, ZERO), reservation.held.get(symbol, ZERO)
            if own != counted:
                yield _Found(order_id, f"holds {own} {symbol}, by exposure {counted}")


def positions_are_protected_in_time(facts: Facts) -> Iterator[_Found]:
    """While nothing is disturbed, no position is without its stop for longer than the stated bound."""
    for gap in unprotected(facts):
        seconds, bound_of_it = longest_calm(gap, facts), bound_of(gap, facts)
        if seconds > bound_of_it:
            text = f"{gap.quantity} without a stop from {gap.since} to {gap.until or 'the end'}: {seconds:.1f} s of it"
            yield _Found(gap.order_id, f"{text} undisturbed, the bound is {bound_of_it:.1f} s")
        elif gap.until is None:
            yield _Found(gap.order_id, f"{gap.quantity} are without a stop since {gap.since}")
    for calm in facts.calms:
        for order_id in calm.unprotected:
            yield _Found(order_id, f"has no stop {calm.within:.1f} s after all was healed at {calm.since}")


def session_comes_back(facts: Facts) -> Iterator[_Found]:
    """When all is healed, every host answers and one is logged on within the bound; and when its holder is then killed,
    another is logged on within the lease time and two seconds."""
    for calm in facts.calms:
        if calm.logged_on_after is None:
            yield _Found("", f"is not there {calm.within:.1f} s after all was healed at {calm.since}")
    last = facts.take_over
    if last is not None and last.logged_on_after is None:
        yield _Found(last.killed, f"was killed, and no other host was logged on within {last.within:.1f} s")
    if last is not None and last.healthy_after is None:
        yield _Found(last.killed, "was killed and started again, and not all hosts answer with one logged on")


def nothing_changes_at_rest(facts: Facts) -> Iterator[_Found]:
    """What was once as it should be stays as it is: nothing is still under way, and no sweep finds anything."""
    return (_Found("", text) for text in facts.changed)


def changes(before: Facts, after: Facts) -> list[str]:
    """What differs between two looks at a system in which nothing should be under way."""
    found: list[str] = []
    for name in ("register", "outbox", "journal", "instructions", "venue_orders", "venue_trades", "standings"):
        one, other = _keyed(getattr(before, name)), _keyed(getattr(after, name))
        found += [
            f"{name}: {one.get(key, 'nothing')} became {other.get(key, 'nothing')}"
            for key in sorted(one.keys() | other.keys())
            if one.get(key) != other.get(key)
        ]
    if before.venue_positions != after.venue_positions:
        found.append(f"venue_positions: {before.venue_positions} became {after.venue_positions}")
    return found


def _keyed(account: Any) -> dict[str, Any]:
    """An account by what names its parts, whatever order they came in."""
    if isinstance(account, dict):
        return account
    return {_key(each): each for each in account}


def _key(each: Any) -> str:
    match each:
        case Entry():
            return each.cl_ord_id
        case Written():
            return f"{each.row.order_id} {each.row.number:06}"
        case InstructionRow():
            return f"{each.order_id} {each.number:06}"
        case VenueOrder():
            return each.cl_ord_ids[0]
        case VenueTrade():
            return f"{each.exec_id} {each.cl_ord_id}"
        case _:
            return str(each.order_id)


EXPECTED_ALERTS = {
    "AMEND_REFUSED": "an amendment crosses a fill",
    "CANCEL_REJECTED": "a cancel crosses a fill",
    "COMPLETION_REFUSED": "a leg cannot be completed",
    "LEG_FAILED": "a leg ends short",
    "ORDER_NOT_SENT": "its time was over before there was a session, or it was cancelled",
    "REPLACE_REJECTED": "a replace crosses a fill",
    "STOP_CANCELED": "the venue cancels unasked",
    "TAKE_PROFIT_CANCELED": "the same",
    "TRADE_BUSTED": "the venue takes a trade back",
}
"""What prices and clients bring about by themselves, and why."""
ALERTS_OF_FAULTS = {
    "DROP_COPY_DOWN": "the session is away for long, or never stays",
    "LATE_EXECUTION": "a trade was reported late",
    "LATE_FILL": "the same",
    "MASS_STATUS_REFUSED": "the venue's list of open orders is under way for long",
    "MESSAGE_REFUSED": "a clock that jumped makes the venue refuse messages",
    "NO_ANSWER": "the venue's answers are under way for long",
    "NO_SESSION": "the session is away for long",
    "PIPELINE_FAILS": "storage failed",
    "RECONCILE_FAILED": "storage failed",
    "RECONCILE_INCOMPLETE": "the venue's answers are under way for long",
    "RECONCILE_UNANSWERED": "the same",
    "REOPENED": "a trade was reported late",
    "REPORT_MISSING": "a report is under way for long",
    "SESSION_ENDS_SLOWLY": "storage failed",
    "STEP_FAILS": "storage failed",
    "UNANSWERED": "the venue's answers are under way for long",
    "UNCERTAIN_ORDER": "the same",
}
"""What is told of the session, of storage and of what comes late: only where a fault was on shortly before."""
_TWICE = {
    "DOUBLE_EXIT": frozenset({LETTERS[Role.STOP], LETTERS[Role.TAKE_PROFIT], LETTERS[Role.CLOSE]}),
    "BOTH_FILLED": frozenset({LETTERS[Role.ENTRY]}),
}
"""What is told of an order of which two orders of these roles have traded."""
_TOLD_WITHIN = timedelta(seconds=60)
"""The longest patience after which something is told: that of the session's absence."""


def alerts_are_expected(facts: Facts) -> Iterator[_Found]:
    """Nobody was told of anything that faults and prices cannot have brought about."""
    traded = defaultdict(set)
    by_name = {name: order for order in facts.venue_orders for name in order.cl_ord_ids}
    taken_back = [each.row.event.cl_ord_id for each in facts.journal if isinstance(each.row.event, TradeBusted)]
    for name in (*(trade.cl_ord_id for trade in facts.venue_trades), *taken_back):
        if name in by_name:
            traded[order_id_of(name)].add(by_name[name].cl_ord_ids[0])
    changed = set(map(order_id_of, taken_back))
    for alert in facts.alerts:
        if alert.code == "LATE_FILL" and alert.order_id in changed:
            continue
        if alert.code in _TWICE:
            names = {name for name in traded[alert.order_id] if name.partition(".")[2][:1] in _TWICE[alert.code]}
            if len(names) < 2:
                yield _Found(alert.order_id, f"{alert.code}: {alert.text}; at the venue {sorted(names)} have traded")
        elif not _is_expected(alert, facts):
            yield _Found(alert.order_id, f"{alert.code}: {alert.text}")


def _is_expected(alert: Alert, facts: Facts) -> bool:
    if alert.code in EXPECTED_ALERTS:
        return True
    if alert.code in ALERTS_OF_FAULTS:
        return _was_disturbed(alert, facts)
    is_refused = alert.code.endswith("_REJECTED")
    if is_refused and "SendingTime" in alert.text:
        return any(each.kind == "clock" for each in facts.disturbances)
    return is_refused and "no longer wanted" in alert.text


def _was_disturbed(alert: Alert, facts: Facts) -> bool:
    """Whether a fault was on shortly before. Where clocks have jumped the host's may have told any time, and nothing
    can be said of one that lies outside of the campaign."""
    at, on = alert.raised_at, facts.disturbances
    if any(each.since <= at <= each.until + _TOLD_WITHIN for each in on):
        return True
    jumped = any(each.kind == "clock" for each in on)
    return jumped and not min(each.since for each in on) <= at <= _last_instant(facts)


CHECKS: tuple[Check, ...] = (
    accepted_orders_are_registered,
    orders_end_or_are_looked_after,
    instructions_are_kept,
    flattened_orders_have_ended,
    outbox_is_settled,
    acknowledged_entries_are_answered,
    orders_reach_the_venue,
    venue_orders_are_ours_once,
    slots_have_one_working_order,
    nothing_was_refused_as_repeated,
    entries_do_not_exceed_their_order,
    sessions_never_overlap,
    logons_follow_each_other,
    only_the_disturbed_are_displaced,
    what_was_not_sent_never_arrived,
    journal_has_no_gaps,
    trades_are_journalled_once,
    positions_agree,
    traded_quantities_agree,
    children_agree,
    prices_are_as_asked,
    records_agree,
    finished_orders_have_nothing_working,
    finished_orders_that_protect_are_flat,
    open_positions_have_their_exits,
    exposure_forgets_what_has_ended,
    reservations_are_what_may_still_fill,
    positions_are_protected_in_time,
    session_comes_back,
    nothing_changes_at_rest,
    alerts_are_expected,
)


# How long positions were without a stop


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that the bound is made of, in seconds."""

    lease: float
    """LEASE_SECONDS."""
    heartbeat: float
    """FIX_HEARTBEAT_SECONDS."""
    host_lease: float
    """For how long a development host that hangs keeps its partitions (`leaseInterval`)."""
    visibility: float
    """For how long the messages and activities of a dead host are hidden: the longer of the two visibility timeouts."""
    longest_reconnect: float = 15.0
    """The longest pause between two tries to connect."""
    storage: float = 10.0
    """For how long a request to storage waits for an answer that does not come."""
    sweep: float = 75.0
    """The sweep's period, and for how long a row has to be overdue."""


def bound(timings: Timings, *, with_sweep: bool = True) -> float:
    """For how long a position may be without its stop while nothing is disturbed.

    The steps may come one after another, each at its longest: a request to storage that was under way is given up; the
    lease of a holder that has died runs out, and another takes it (2 s); a connection that is dead without having been
    closed is noticed (two heartbeats and what they may be late); the pause before the next try runs out; the partitions
    of a host that hangs are given away, and at the same time what a dead one had in its hands becomes visible; and
    where a wake-up was lost, the sweep comes by (without it: where none was).
    """
    noticed = 2.4 * timings.heartbeat + 1
    durable = max(timings.host_lease, timings.visibility)
    return (
        timings.storage
        + timings.lease
        + 2
        + noticed
        + timings.longest_reconnect
        + durable
        + (timings.sweep if with_sweep else 0)
    )


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which something of what an order holds had no stop and no closing order at the venue."""

    order_id: str
    symbol: str
    since: datetime
    until: datetime | None
    """None: it has none yet."""
    quantity: Decimal
    """The most that was without one."""


class _Happened(NamedTuple):
    """What changes at an instant: what is held, and what a stop or a closing order is there for."""

    at: datetime
    order_id: str
    symbol: str
    held: Decimal
    """More of it, below 0 for less."""
    name: str
    """The first ClOrdID of the stop or closing order that changes; empty where none does."""
    leaves: Decimal
    """What it changes by, signed as what it trades."""


def unprotected(facts: Facts) -> list[Gap]:
    """Each time that something of what a protecting order holds had neither stop nor closing order, by the venue's
    clock: from the execution on, to when the venue had received the order."""
    specs = {order_id: spec for order_id, spec in _specs(facts).items() if protects(spec)}
    by_order = defaultdict(list)
    for each in _happenings(facts):
        if each.order_id in specs:
            by_order[each.order_id, each.symbol].append(each)
    gaps: list[Gap] = []
    for (order_id, symbol), happenings in by_order.items():
        gaps += _gaps(order_id, symbol, sorted(happenings, key=lambda each: each.at))
    return sorted(gaps, key=lambda gap: gap.since)


def _gaps(order_id: str, symbol: str, happenings: Sequence[_Happened]) -> Iterator[Gap]:
    held, leaves = ZERO, dict[str, Decimal]()
    since, most = None, ZERO
    for index, each in enumerate(happenings):
        held += each.held
        if each.name:
            leaves[each.name] = leaves.get(each.name, ZERO) + each.leaves
        if index + 1 < len(happenings) and happenings[index + 1].at == each.at:
            continue  # what happens at once is one thing
        covered = sum(leaves.values(), ZERO)
        without = max(ZERO, abs(held + covered)) if held * (held + covered) > 0 else ZERO
        if without and since is None:
            since, most = each.at, without
        elif without:
            most = max(most, without)
        elif since is not None:
            yield Gap(order_id=order_id, symbol=symbol, since=since, until=each.at, quantity=most)
            since = None
    if since is not None:
        yield Gap(order_id=order_id, symbol=symbol, since=since, until=None, quantity=most)


_COVERS = frozenset({LETTERS[Role.STOP], LETTERS[Role.CLOSE]})


def _happenings(facts: Facts) -> Iterator[_Happened]:
    """Each stop and closing order is there from when the venue had received it until it ends; a fill takes from it what
    it takes from the position."""
    by_name = {name: order for order in facts.venue_orders for name in order.cl_ord_ids}
    asked = {entry.cl_ord_id: entry.command for entry in facts.outbox}
    left: dict[str, Decimal] = {}
    for order in facts.venue_orders:
        first = order.cl_ord_ids[0]
        order_id, command = order_id_of(first), asked.get(first)
        is_cover = _letter(order) in _COVERS and order.status != "8"
        if order_id is None or not is_cover or order.received_at is None or not isinstance(command, SubmitOrder):
            continue
        left[first] = command.quantity
        signed = _SIGNS[order.side] * command.quantity
        yield _Happened(order.received_at, order_id, order.symbol, ZERO, first, signed)
    for each in sorted(facts.journal, key=lambda each: (each.row.order_id, each.row.number)):
        event, row = each.row.event, each.row
        name = getattr(event, "orig_cl_ord_id", None) or event.cl_ord_id
        venue_order = by_name.get(name)
        if venue_order is None:
            continue
        first, sign = venue_order.cl_ord_ids[0], _SIGNS[venue_order.side]
        is_cover = first in left
        if isinstance(event, OrderFilled):
            if is_cover:
                left[first] -= event.quantity
            change = -sign * event.quantity if is_cover else ZERO
            yield _Happened(
                event.at, row.order_id, row.symbol, sign * event.quantity, first if is_cover else "", change
            )
        elif isinstance(event, TradeBusted):
            yield _Happened(event.at, row.order_id, row.symbol, -sign * event.quantity, "", ZERO)
        elif is_cover and isinstance(event, OrderReplaced):
            change = event.quantity - event.cum_quantity - left[first]
            left[first] += change
            yield _Happened(event.at, row.order_id, row.symbol, ZERO, first, sign * change)
        elif is_cover and isinstance(event, OrderCanceled):
            change, left[first] = -left[first], ZERO
            yield _Happened(event.at, row.order_id, row.symbol, ZERO, first, sign * change)


def uncovered(orders: Sequence[VenueOrder]) -> set[str]:
    """The orders that hold something for which neither a stop nor a closing order works at the venue."""
    working = _working(orders)
    return {
        order_id
        for order_id, holdings in _held(orders).items()
        for symbol, held in holdings.items()
        if held * (held + sum((working[order_id, symbol, letter] for letter in _COVERS), ZERO)) > 0
    }


def seconds_in_all(gap: Gap, facts: Facts) -> float:
    """How long it was; one that has no end lasts until the last thing that happened."""
    return ((gap.until or _last_instant(facts)) - gap.since).total_seconds()


def longest_calm(gap: Gap, facts: Facts) -> float:
    """Its longest stretch in seconds in which no fault was on: recovery begins anew with each fault."""
    until = gap.until or _last_instant(facts)
    longest, calm_since = timedelta(0), gap.since
    for disturbance in sorted(facts.disturbances, key=lambda each: each.since):
        if disturbance.until <= calm_since:
            continue
        if disturbance.since >= until:
            break
        longest = max(longest, disturbance.since - calm_since)
        calm_since = disturbance.until
    return max(longest, until - calm_since).total_seconds()


def bound_of(gap: Gap, facts: Facts) -> float:
    """Which bound holds for it: with the sweep only where wake-ups were lost while it lasted."""
    until = gap.until or _last_instant(facts)
    is_woken = not any(
        each.kind == "wake_ups" and each.since <= until and each.until >= gap.since for each in facts.disturbances
    )
    return facts.bound_without_sweep if is_woken else facts.bound


def after_healing(facts: Facts) -> list[float]:
    """Of each position that had no stop when everything was healed, the seconds from then on until it had one."""
    gaps = unprotected(facts)
    return [
        (until - calm.since).total_seconds()
        for calm in facts.calms
        for gap in gaps
        if gap.since <= calm.since < (until := gap.until or _last_instant(facts))
    ]


def _last_instant(facts: Facts) -> datetime:
    instants = [each.row.event.at for each in facts.journal]
    instants += [logon.until or logon.since for logon in facts.logons]
    instants += [each.until for each in facts.disturbances]
    instants += [each.until for each in facts.calms]
    return max(instants)


# What the checks share


def _by_order(journal: Iterable[Written]) -> dict[str, list[Written]]:
    rows = defaultdict(list)
    for each in journal:
        rows[each.row.order_id].append(each)
    for order_rows in rows.values():
        order_rows.sort(key=lambda each: each.row.number)
    return rows


def _specs(facts: Facts) -> dict[str, Spec]:
    return {order.order_id: msgspec.json.decode(order.spec_json, type=Spec) for order in facts.register}


def _children(order: RegisteredOrder, facts: Facts) -> list[ChildSummary]:
    if order.record is not None:
        return msgspec.json.decode(order.record.detail, type=RecordDetail).children
    standing = facts.standings.get(order.order_id)
    return standing.live.children if standing else []


def _entered(facts: Facts) -> dict[str, Decimal]:
    """What each order's entries have traded at the venue."""
    entered: dict[str, Decimal] = defaultdict(Decimal)
    for order in facts.venue_orders:
        order_id = order_id_of(order.cl_ord_ids[0])
        if order_id is not None and is_entry(order.cl_ord_ids[0]):
            entered[order_id] += order.cum_quantity
    return entered


def _held(orders: Iterable[VenueOrder]) -> dict[str, dict[str, Decimal]]:
    """By order and symbol, what an order holds by what its orders at the venue have traded; below 0 when short."""
    held: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for order in orders:
        order_id = order_id_of(order.cl_ord_ids[0])
        if order_id is not None:
            held[order_id][order.symbol] += _SIGNS[order.side] * order.cum_quantity
    return held


def _working(orders: Iterable[VenueOrder]) -> dict[tuple[str, str, str], Decimal]:
    """By order, symbol and role, what works at the venue, signed as what it trades."""
    working: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for order in orders:
        order_id = order_id_of(order.cl_ord_ids[0])
        if order_id is not None and order.status in _WORKING:
            working[order_id, order.symbol, _letter(order)] += _SIGNS[order.side] * order.leaves_quantity
    return working


def _traded(each: Written, facts: Facts) -> Iterator[tuple[str, Decimal]]:
    """What a row of the journal adds to what an order has traded, by ClOrdID."""
    event = each.row.event
    if isinstance(event, OrderFilled):
        yield event.cl_ord_id, event.quantity
    elif isinstance(event, TradeBusted):
        yield event.cl_ord_id, -event.quantity
    elif isinstance(event, TradeCorrected):
        yield event.cl_ord_id, event.quantity - _corrected(event, facts)


def _corrected(event: TradeCorrected, facts: Facts) -> Decimal:
    """The quantity that a correction replaces."""
    for each in facts.journal:
        earlier = each.row.event
        if isinstance(earlier, OrderFilled | TradeCorrected) and earlier.exec_id == event.ref_exec_id:
            return earlier.quantity
    return ZERO


def _journalled_positions(facts: Facts) -> dict[str, Decimal]:
    positions: dict[str, Decimal] = defaultdict(Decimal)
    for each in facts.journal:
        for _, quantity in _traded(each, facts):
            positions[each.row.symbol] += each.row.side.sign * quantity
    return positions


def _letter(order: VenueOrder) -> str:
    """What the order is for, by its ClOrdIDs."""
    return order.cl_ord_ids[0].partition(".")[2][:1]


def _shown(order: VenueOrder) -> str:
    type_name = {"1": OrderType.MARKET, "2": OrderType.LIMIT, "3": OrderType.STOP}.get(order.order_type, "?")
    side = "buy" if order.side == "1" else "sell"
    numbers = f"{side} {type_name} {order.quantity} {order.symbol} traded {order.cum_quantity}"
    return f"at the venue: {numbers} OrdStatus {order.status}"


def _words(trade: tuple[str, str, str, Decimal, Decimal]) -> str:
    cl_ord_id, symbol, side, quantity, price = trade
    return f"{cl_ord_id} {'buy' if side == '1' else 'sell'} {quantity} {symbol} at {price}"
