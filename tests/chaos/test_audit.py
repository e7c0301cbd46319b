"""Each check of the audit finds what it is for, and nothing in what is as it should be."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gateway.outbox import Entry, State
from storage.alerts import Alert
from storage.orders import OrderRecord, RegisteredOrder
from tests.chaos import audit
from tests.chaos.facts import (
    Calm,
    Disturbance,
    Exposure,
    Facts,
    Promise,
    PromisedInstruction,
    Standing,
    TakeOver,
    VenueLogon,
    VenueOrder,
    VenueTrade,
    Written,
)
from trading.child import OrderStatus
from trading.commands import CancelOrder, SubmitOrder, VenueCommand
from trading.events import (
    AmendRequested,
    CancelRequested,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    TradeBusted,
    TradeCorrected,
    VenueEvent,
)
from trading.exposure import Reservation
from trading.identity import Role
from trading.instructions import InstructionRow
from trading.journal import JournalRow
from trading.lifecycles import ChildSummary
from trading.messages import LiveStatus, RecordDetail, Timing
from trading.orders import OrderType, Side
from trading.positions import Position
from trading.specs import Amendment, BracketSpec, SingleSpec, Spec
from trading.stakes import Stake

_BEGIN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_TEN = Decimal(10)
_SIDES = {Side.BUY: "1", Side.SELL: "2"}
_TYPES = {OrderType.MARKET: "1", OrderType.LIMIT: "2", OrderType.STOP: "3"}


def _after(seconds: float) -> datetime:
    return _BEGIN + timedelta(seconds=seconds)


def _bracket(order_id: str) -> BracketSpec:
    return BracketSpec(
        order_id=order_id,
        symbol="IBM",
        side=Side.BUY,
        quantity=_TEN,
        entry_price=Decimal(100),
        stop_price=Decimal(95),
        take_profit_price=Decimal(110),
    )


def _submit(cl_ord_id: str, side: Side, order_type: OrderType) -> SubmitOrder:
    return SubmitOrder(
        cl_ord_id=cl_ord_id,
        symbol="IBM",
        side=side,
        quantity=_TEN,
        order_type=order_type,
        limit_price=Decimal(100 if side is Side.BUY else 110) if order_type is OrderType.LIMIT else None,
        stop_price=Decimal(95) if order_type is OrderType.STOP else None,
    )


def _three(order_id: str) -> list[SubmitOrder]:
    return [
        _submit(f"{order_id}.e1", Side.BUY, OrderType.LIMIT),
        _submit(f"{order_id}.s2", Side.SELL, OrderType.STOP),
        _submit(f"{order_id}.t3", Side.SELL, OrderType.LIMIT),
    ]


def _entry(command: VenueCommand, state: State = "acknowledged") -> Entry:
    return Entry(order_id=command.cl_ord_id.partition(".")[0], command=command, at=_BEGIN, state=state, epoch=1)


def _at_venue(command: SubmitOrder, *, traded: int, status: str, at: float) -> VenueOrder:
    return VenueOrder(
        cl_ord_ids=[command.cl_ord_id],
        symbol=command.symbol,
        side=_SIDES[command.side],
        quantity=command.quantity,
        cum_quantity=Decimal(traded),
        leaves_quantity=command.quantity - traded if status in "01" else Decimal(0),
        status=status,
        order_type=_TYPES[command.order_type],
        limit_price=command.limit_price,
        stop_price=command.stop_price,
        received_at=_after(at),
    )


def _filled(cl_ord_id: str, exec_id: str, at: float) -> OrderFilled:
    return OrderFilled(
        cl_ord_id=cl_ord_id,
        exec_id=exec_id,
        quantity=_TEN,
        price=Decimal(100),
        cum_quantity=_TEN,
        leaves_quantity=Decimal(0),
        at=_after(at),
    )


def _row(number: int, message: int, side: Side, event: VenueEvent) -> Written:
    row = JournalRow(
        order_id=event.cl_ord_id.partition(".")[0],
        number=number,
        event=event,
        symbol="IBM",
        side=side,
        received_at=_BEGIN,
    )
    return Written(row=row, marks=(f"message|S|1|{message}",))


def _trade(cl_ord_id: str, exec_id: str, side: Side) -> VenueTrade:
    return VenueTrade(
        exec_id=exec_id,
        cl_ord_id=cl_ord_id,
        symbol="IBM",
        side=_SIDES[side],
        quantity=_TEN,
        price=Decimal(100),
    )


def _child(command: SubmitOrder, role: Role, traded: int, status: OrderStatus) -> ChildSummary:
    return ChildSummary(
        cl_ord_ids=[command.cl_ord_id],
        role=role,
        symbol="IBM",
        side=command.side,
        quantity=_TEN,
        cum_quantity=Decimal(traded),
        average_price=Decimal(100),
        status=status,
    )


def _registered(spec: Spec, record: OrderRecord | None = None) -> RegisteredOrder:
    return RegisteredOrder(
        order_id=spec.order_id,
        token="t",
        spec_json=msgspec.json.encode(spec).decode(),
        created_at=_BEGIN,
        record=record,
    )


def _record(outcome: str, filled: int, *children: ChildSummary) -> OrderRecord:
    detail = RecordDetail(last_number=0, timing=Timing(), children=list(children))
    return OrderRecord(
        outcome=outcome,
        filled_quantity=Decimal(filled),
        finished_at=_BEGIN,
        detail=msgspec.json.encode(detail).decode(),
    )


def _clean() -> Facts:
    """`over` has ended by its stop, `open` holds 10 with both exits, `late` was never sent."""
    over, opened = _three("over"), _three("open")
    cancel = CancelOrder(cl_ord_id="over.x4", orig_cl_ord_id="over.t3", symbol="IBM", side=Side.SELL, quantity=_TEN)
    late = _submit("late.e1", Side.BUY, OrderType.LIMIT)
    children = [
        _child(opened[0], Role.ENTRY, 10, OrderStatus.FILLED),
        _child(opened[1], Role.STOP, 0, OrderStatus.NEW),
        _child(opened[2], Role.TAKE_PROFIT, 0, OrderStatus.NEW),
    ]
    ended = [
        _child(over[0], Role.ENTRY, 10, OrderStatus.FILLED),
        _child(over[1], Role.STOP, 10, OrderStatus.FILLED),
        _child(over[2], Role.TAKE_PROFIT, 0, OrderStatus.CANCELED),
    ]
    canceled = OrderCanceled(cl_ord_id="over.x4", orig_cl_ord_id="over.t3", cum_quantity=Decimal(0), at=_after(6))
    late_spec = SingleSpec(
        order_id="late", symbol="IBM", side=Side.BUY, quantity=_TEN, limit_price=Decimal(100), valid_for=1
    )
    return Facts(
        promises=[Promise(order_id=order_id, statuses=(202, 200)) for order_id in ("over", "open", "late")],
        promised_instructions=[PromisedInstruction(order_id="open", kind="amend", number=1)],
        outbox=[*map(_entry, over), _entry(cancel), *map(_entry, opened), _entry(late, "dead")],
        journal=[
            _row(1, 1, Side.BUY, _filled("over.e1", "E1", at=1)),
            _row(2, 2, Side.SELL, OrderAccepted(cl_ord_id="over.s2", at=_after(2))),
            _row(3, 3, Side.SELL, OrderAccepted(cl_ord_id="over.t3", at=_after(2))),
            _row(4, 4, Side.SELL, _filled("over.s2", "E2", at=5)),
            _row(5, 5, Side.SELL, canceled),
            _row(1, 6, Side.BUY, _filled("open.e1", "E3", at=11)),
            _row(2, 7, Side.SELL, OrderAccepted(cl_ord_id="open.s2", at=_after(13))),
            _row(3, 8, Side.SELL, OrderAccepted(cl_ord_id="open.t3", at=_after(13))),
        ],
        register=[
            _registered(_bracket("over"), _record("stop_loss", 10, *ended)),
            _registered(_bracket("open")),
            _registered(late_spec, _record("not_sent", 0)),
        ],
        instructions=[
            InstructionRow(order_id="open", number=1, instruction=AmendRequested(amendment=Amendment(quantity=_TEN)))
        ],
        standings={
            "over": Standing(runtime="Completed"),
            "open": Standing(
                runtime="Running", live=LiveStatus(seen=3, instructed=1, phase="working", children=children)
            ),
            "late": Standing(runtime="Completed"),
        },
        positions=[Position(symbol="IBM", quantity=_TEN, average_price=Decimal(100))],
        exposure=Exposure(
            reservations={"open": Reservation(protected=True, held={"IBM": _TEN})},
            positions={"IBM": Position(symbol="IBM", quantity=_TEN, average_price=Decimal(100))},
        ),
        alerts=[_alert("AMEND_REFUSED")],
        venue_orders=[
            _at_venue(over[0], traded=10, status="2", at=0.5),
            _at_venue(over[1], traded=10, status="2", at=2),
            _at_venue(over[2], traded=0, status="4", at=2),
            _at_venue(opened[0], traded=10, status="2", at=10),
            _at_venue(opened[1], traded=0, status="0", at=13),
            _at_venue(opened[2], traded=0, status="0", at=13),
        ],
        venue_trades=[
            _trade("over.e1", "E1", Side.BUY),
            _trade("over.s2", "E2", Side.SELL),
            _trade("open.e1", "E3", Side.BUY),
        ],
        venue_positions={"IBM": _TEN},
        logons=[
            VenueLogon(session="S", number=1, since=_after(0), until=_after(3), ended_by="the peer logged out"),
            VenueLogon(session="S", number=101, since=_after(3), until=None),
        ],
        calms=[_CALM],
        take_over=_TAKE_OVER,
        lease=2,
        bound=20,
        bound_without_sweep=10,
    )


_CALM = Calm(since=_after(20), until=_after(21), logged_on_after=0.5, within=10)
_TAKE_OVER = TakeOver(killed="host-a", logged_on_after=3, healthy_after=4, within=6)


def _alert(code: str, text: str = "") -> Alert:
    return Alert(order_id="open", key=code, code=code, text=text, raised_at=_BEGIN)


def test_nothing_is_found_where_all_is_as_it_should_be() -> None:
    assert audit.audit(_clean()) == []


def _changed(index: int, field: str, **changes: Any) -> Callable[[Facts], Facts]:
    """The clean facts with one of a list's structs changed."""

    def change(facts: Facts) -> Facts:
        each = list(getattr(facts, field))
        each[index] = replace(each[index], **changes)
        return replace(facts, **{field: each})

    return change


def _with(field: str, *more: Any) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, **{field: [*getattr(facts, field), *more]})


def _without(field: str, index: int) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        each = list(getattr(facts, field))
        del each[index]
        return replace(facts, **{field: each})

    return change


def _standing(runtime: str, **changes: Any) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        live = replace(facts.standings["open"].live, **changes)
        return replace(facts, standings=facts.standings | {"open": Standing(runtime=runtime, live=live)})

    return change


def _reserving(**reservations: Reservation) -> Callable[[Facts], Facts]:
    return lambda facts: replace(
        facts, exposure=replace(facts.exposure, reservations=facts.exposure.reservations | reservations)
    )


_FLATTEN = InstructionRow(order_id="open", number=2, instruction=CancelRequested(mode="flatten"))
_LATE = _submit("late.e1", Side.BUY, OrderType.LIMIT)
_CONCLUDED = Written(
    row=_row(4, 0, Side.SELL, OrderRejected(cl_ord_id="open.s2", reason="no longer wanted", at=_BEGIN)).row,
    marks=("own|open.s2",),
)
_SECOND_STOP = _submit("open.s9", Side.SELL, OrderType.STOP)


_DENIED = replace(_record("denied", 0), text="SYMBOL_BLOCKED: symbol=IBM")
_CUT = Disturbance(kind="cut", since=_BEGIN - timedelta(seconds=90), until=_BEGIN - timedelta(seconds=80))
_DISPLACED = "a new Logon of this session came on another connection"


def _stopped(until: float) -> Disturbance:
    return Disturbance(kind="stop", target="host-a", since=_BEGIN, until=_after(until))


def _living(index: int, **changes: Any) -> Callable[[Facts], Facts]:
    """One child of the open order changed, as the order has it."""

    def change(facts: Facts) -> Facts:
        children = list(facts.standings["open"].live.children)
        children[index] = replace(children[index], **changes)
        return _standing("Running", children=children)(facts)

    return change


_PLANTED: list[tuple[audit.Check, Callable[[Facts], Facts], str]] = [
    (audit.accepted_orders_are_registered, _with("promises", Promise(order_id="x", statuses=(202,))), "register"),
    (audit.accepted_orders_are_registered, _changed(1, "promises", statuses=(202, 404)), "not known"),
    (audit.accepted_orders_are_registered, _changed(1, "promises", statuses=()), "no definite answer"),
    (audit.accepted_orders_are_registered, _changed(1, "promises", statuses=(409, 409)), "never accepted"),
    (audit.accepted_orders_are_registered, _changed(1, "promises", statuses=(404,)), "never accepted"),
    (audit.orders_end_or_are_looked_after, _standing("Failed"), "is Failed"),
    (audit.orders_end_or_are_looked_after, _standing("Running", seen=2), "row 2 of 3"),
    (audit.orders_end_or_are_looked_after, _standing("Running", instructed=0), "instruction 0 of 1"),
    (audit.orders_end_or_are_looked_after, _standing("Running", phase="ending"), "phase ending"),
    (
        audit.orders_end_or_are_looked_after,
        _standing("Running", children=[_child(_SECOND_STOP, Role.STOP, 0, OrderStatus.PENDING_NEW)]),
        "open.s9 is pending_new",
    ),
    (audit.instructions_are_kept, _without("instructions", 0), "amendment 1 was accepted"),
    (audit.instructions_are_kept, _changed(0, "instructions", number=2), "numbered [2]"),
    (
        audit.instructions_are_kept,
        _with("promised_instructions", PromisedInstruction(order_id="open", kind="cancel", mode="flatten")),
        "cancel with flatten",
    ),
    (audit.flattened_orders_have_ended, _with("instructions", _FLATTEN), "is open"),
    (audit.outbox_is_settled, _changed(0, "outbox", state="claimed"), "is claimed"),
    (audit.outbox_is_settled, _changed(0, "outbox", state="pending"), "is pending"),
    (audit.outbox_is_settled, _changed(0, "outbox", state="sent"), "is sent"),
    (audit.outbox_is_settled, _changed(0, "outbox", state="given_up"), "is given_up"),
    (audit.acknowledged_entries_are_answered, _without("journal", 6), "no row of the journal"),
    (audit.acknowledged_entries_are_answered, _without("venue_orders", 1), "not at the venue"),
    (
        audit.orders_reach_the_venue,
        _with("promises", Promise(order_id="more", statuses=(202,)), Promise(order_id="other", statuses=(202,))),
        "of 5 orders 2 have worked",
    ),
    (audit.orders_reach_the_venue, lambda facts: replace(facts, promises=[]), "of 0 orders 0 have worked"),
    (audit.orders_reach_the_venue, _changed(2, "register", record=_DENIED), "SYMBOL_BLOCKED"),
    (audit.venue_orders_are_ours_once, _without("outbox", 0), "the outbox does not have it"),
    (
        audit.venue_orders_are_ours_once,
        lambda facts: replace(facts, venue_orders=[*facts.venue_orders, facts.venue_orders[0]]),
        "2 orders at the venue",
    ),
    (
        audit.venue_orders_are_ours_once,
        _changed(0, "venue_orders", cl_ord_ids=["over.e1", "over.t3"]),
        "ReplaceOrder",
    ),
    (
        audit.slots_have_one_working_order,
        _with("venue_orders", _at_venue(_SECOND_STOP, traded=0, status="0", at=14)),
        "2 working orders of role s",
    ),
    (
        audit.nothing_was_refused_as_repeated,
        lambda facts: replace(facts, venue_duplicates=["open.e1"]),
        "without PossResend",
    ),
    (audit.entries_do_not_exceed_their_order, _changed(3, "venue_orders", cum_quantity=Decimal(11)), "is for 10"),
    (audit.sessions_never_overlap, _changed(0, "logons", until=_after(4)), "and again at"),
    (audit.sessions_never_overlap, _changed(0, "logons", until=None), "and again at"),
    (audit.logons_follow_each_other, _changed(1, "logons", number=1), "has number 1, "),
    (audit.only_the_disturbed_are_displaced, _changed(0, "logons", ended_by=_DISPLACED), "undisturbed"),
    (
        audit.only_the_disturbed_are_displaced,
        lambda facts: replace(_changed(0, "logons", ended_by=_DISPLACED)(facts), disturbances=[_stopped(until=0.9)]),
        "undisturbed",
    ),
    (
        audit.what_was_not_sent_never_arrived,
        _with("venue_orders", _at_venue(_LATE, traded=0, status="0", at=14)),
        "is dead in the outbox",
    ),
    (audit.what_was_not_sent_never_arrived, _with("journal", _CONCLUDED), "no longer wanted"),
    (audit.journal_has_no_gaps, _without("journal", 1), "numbered [1, 3, 4, 5]"),
    (audit.journal_has_no_gaps, _changed(1, "journal", marks=("message|S|1|1",)), "is in 2 rows"),
    (audit.journal_has_no_gaps, _changed(5, "journal", marks=("message|S|1|1",)), "one message of the venue"),
    (audit.trades_are_journalled_once, _without("journal", 0), "the journal []"),
    (audit.trades_are_journalled_once, _without("venue_trades", 0), "the venue does not"),
    (audit.trades_are_journalled_once, _changed(0, "venue_trades", price=Decimal(99)), "at 99"),
    (
        audit.trades_are_journalled_once,
        _with("journal", _row(6, 9, Side.BUY, _filled("over.e1", "E1", at=1))),
        "'over.e1 buy 10 IBM at 100', 'over.e1 buy 10 IBM at 100'",
    ),
    (audit.positions_agree, lambda facts: replace(facts, venue_positions={}), "venue=0"),
    (audit.positions_agree, _changed(0, "positions", quantity=Decimal(9)), "position=9"),
    (audit.traded_quantities_agree, _changed(3, "venue_orders", cum_quantity=Decimal(9)), "by the journal 10"),
    (
        audit.traded_quantities_agree,
        _standing(
            "Running",
            children=[_child(_submit("open.e1", Side.BUY, OrderType.LIMIT), Role.ENTRY, 7, OrderStatus.FILLED)],
        ),
        "by its order 7",
    ),
    (audit.traded_quantities_agree, _standing("Running", children=[]), "does not know of it"),
    (audit.children_agree, _changed(5, "venue_orders", status="4"), "is new; at the venue"),
    (audit.children_agree, _changed(5, "venue_orders", status="C"), "OrdStatus C"),
    (audit.children_agree, _changed(5, "venue_orders", cl_ord_ids=["open.t3", "open.t4"]), "at the venue as open.t4"),
    (audit.children_agree, _changed(5, "venue_orders", leaves_quantity=Decimal(8)), "at the venue for 10, 8 left"),
    (audit.children_agree, _without("venue_orders", 5), "is new, and not at the venue"),
    (audit.children_agree, _living(1, status=OrderStatus.CANCELED), "is canceled; at the venue"),
    (audit.children_agree, _living(1, status=OrderStatus.PENDING_CANCEL), "is pending_cancel; at the venue"),
    (audit.children_agree, _living(1, quantity=Decimal(9)), "is for 9"),
    (audit.prices_are_as_asked, _changed(4, "venue_orders", stop_price=Decimal(94)), "stop 94 at the venue"),
    (audit.prices_are_as_asked, _changed(5, "venue_orders", limit_price=Decimal(111)), "limit 111"),
    (
        audit.prices_are_as_asked,
        _standing("Running", spec=replace(_bracket("open"), stop_price=Decimal(96))),
        "has its stop at 95, the bracket at 96",
    ),
    (
        audit.prices_are_as_asked,
        _standing("Running", spec=replace(_bracket("open"), take_profit_price=Decimal(120))),
        "takes profit at 110, the bracket at 120",
    ),
    (
        audit.records_agree,
        _changed(0, "register", record=_record("stop_loss", 9)),
        "its record says 9, its entries have traded 10",
    ),
    (audit.finished_orders_have_nothing_working, _changed(2, "venue_orders", status="0"), "is not open"),
    (audit.finished_orders_that_protect_are_flat, _changed(1, "venue_orders", cum_quantity=Decimal(8)), "holds 2"),
    (audit.open_positions_have_their_exits, _changed(4, "venue_orders", status="4"), "stops for 0"),
    (audit.open_positions_have_their_exits, _changed(4, "venue_orders", leaves_quantity=Decimal(8)), "stops for 8"),
    (
        audit.open_positions_have_their_exits,
        _changed(5, "venue_orders", leaves_quantity=Decimal(8)),
        "profits for 8",
    ),
    (audit.open_positions_have_their_exits, _changed(5, "venue_orders", status="4"), "take-profits for 0"),
    (audit.exposure_forgets_what_has_ended, _reserving(over=Reservation()), "is not open"),
    (
        audit.exposure_forgets_what_has_ended,
        lambda facts: replace(facts, exposure=replace(facts.exposure, reservations={})),
        "no reservation",
    ),
    (audit.reservations_are_what_may_still_fill, _reserving(open=Reservation(held={})), "by exposure 0"),
    (
        audit.reservations_are_what_may_still_fill,
        _with("venue_orders", _at_venue(_submit("open.e9", Side.BUY, OrderType.LIMIT), traded=0, status="0", at=3)),
        "reserves 0, and entries work for 10",
    ),
    (audit.positions_are_protected_in_time, _changed(4, "venue_orders", received_at=_after(25)), "14.0 s of it"),
    (audit.positions_are_protected_in_time, _changed(0, "calms", unprotected=["open"]), "has no stop 10.0 s after"),
    (audit.session_comes_back, _changed(0, "calms", logged_on_after=None), "is not there 10.0 s after"),
    (
        audit.session_comes_back,
        lambda facts: replace(facts, take_over=replace(_TAKE_OVER, logged_on_after=None)),
        "no other host was logged on within 6.0 s",
    ),
    (
        audit.session_comes_back,
        lambda facts: replace(facts, take_over=replace(_TAKE_OVER, healthy_after=None)),
        "not all hosts answer",
    ),
    (audit.nothing_changes_at_rest, lambda facts: replace(facts, changed=["outbox: a became b"]), "a became b"),
    (audit.alerts_are_expected, _with("alerts", _alert("ORDER_UNATTENDED", "nobody")), "ORDER_UNATTENDED: nobody"),
    (audit.alerts_are_expected, _with("alerts", _alert("STOP_REJECTED", "price")), "STOP_REJECTED"),
    (audit.alerts_are_expected, _with("alerts", _alert("STOP_REJECTED", "SendingTime")), "STOP_REJECTED"),
    (audit.alerts_are_expected, _with("alerts", _alert("STOP_NOT_SENT")), "STOP_NOT_SENT"),
    (audit.alerts_are_expected, _with("alerts", _alert("CLOSE_NOT_SENT")), "CLOSE_NOT_SENT"),
    (audit.alerts_are_expected, _with("alerts", _alert("NO_SESSION")), "NO_SESSION"),
    (
        audit.alerts_are_expected,
        lambda facts: replace(_with("alerts", _alert("NO_SESSION"))(facts), disturbances=[_CUT]),
        "NO_SESSION",
    ),
    (audit.alerts_are_expected, _with("alerts", _alert("DOUBLE_EXIT")), "at the venue [] have traded"),
    (audit.alerts_are_expected, _with("alerts", _alert("BOTH_FILLED")), "at the venue ['open.e1'] have traded"),
]


@pytest.mark.parametrize(("check", "plant", "says"), _PLANTED)
def test_a_difference_is_found(check: audit.Check, plant: Callable[[Facts], Facts], says: str) -> None:
    found = audit.checked(plant(_clean()))[check.__name__]
    assert any(says in difference.text for difference in found), found


def test_a_refusal_of_our_own_making_is_expected() -> None:
    alert = _alert("STOP_REJECTED", "stop open.s2: not at the venue and no longer wanted: it was asked to be cancelled")
    assert audit.audit(_with("alerts", alert)(_clean())) == []


def test_a_holder_that_was_stopped_may_be_displaced() -> None:
    facts = _changed(0, "logons", ended_by=_DISPLACED)(_clean())
    disturbed = replace(facts, disturbances=[_stopped(until=1.1)])
    assert audit.checked(disturbed)["only_the_disturbed_are_displaced"] == []


def test_both_exits_may_be_told_where_both_have_traded_at_the_venue() -> None:
    facts = _with("alerts", _alert("DOUBLE_EXIT"))(_clean())
    facts = _with("venue_trades", _trade("open.s2", "E4", Side.SELL), _trade("open.t3", "E5", Side.SELL))(facts)
    assert audit.checked(facts)["alerts_are_expected"] == []


@pytest.mark.parametrize("code", ["DOUBLE_EXIT", "LATE_FILL"])
def test_what_a_trade_has_brought_about_may_be_told_also_where_it_was_taken_back(code: str) -> None:
    busted = TradeBusted(
        cl_ord_id="open.s2", exec_id="E6", ref_exec_id="E4", quantity=Decimal(10), price=Decimal(90), at=_BEGIN
    )
    facts = _with("alerts", _alert(code))(_clean())
    facts = _with("venue_trades", _trade("open.t3", "E5", Side.SELL))(facts)
    facts = _with("journal", _row(9, 9, Side.SELL, busted))(facts)
    assert audit.checked(facts)["alerts_are_expected"] == []


def test_the_session_may_be_told_missing_shortly_after_a_fault() -> None:
    shortly = replace(_CUT, until=_BEGIN - timedelta(seconds=50))
    facts = replace(_with("alerts", _alert("NO_SESSION"))(_clean()), disturbances=[shortly])
    assert audit.checked(facts)["alerts_are_expected"] == []


def test_where_clocks_have_jumped_a_time_outside_of_the_campaign_says_nothing() -> None:
    jumped = Disturbance(kind="clock", since=_after(5), until=_after(6))
    facts = replace(_with("alerts", _alert("NO_SESSION"))(_clean()), disturbances=[jumped])
    assert audit.checked(facts)["alerts_are_expected"] == []


def test_a_campaign_whose_only_order_never_reached_the_venue_is_not_clean() -> None:
    clean = _clean()
    late = [order for order in clean.register if order.order_id == "late"]
    dead = [entry for entry in clean.outbox if entry.state == "dead"]
    facts = Facts(promises=[clean.promises[2]], register=late, outbox=dead, standings={"late": clean.standings["late"]})
    assert [difference.kind for difference in audit.audit(facts)] == ["orders_reach_the_venue"]


def test_every_check_is_shown_to_find_something() -> None:
    assert {check for check, _, _ in _PLANTED} == set(audit.CHECKS)


def test_a_reservation_for_what_may_still_fill_is_no_difference() -> None:
    stake = Stake(symbol="IBM", side=Side.BUY, quantity=_TEN, price=Decimal(100))
    more = Reservation(stakes=[stake], protected=True, held={"IBM": _TEN})
    assert audit.audit(_reserving(open=more)(_clean())) == []


# How long positions are without a stop


def test_a_position_is_unprotected_from_its_execution_until_the_venue_has_the_stop() -> None:
    first, second = audit.unprotected(_clean())
    assert (first.order_id, first.since, first.until, first.quantity) == ("over", _after(1), _after(2), _TEN)
    assert (second.order_id, second.since, second.until) == ("open", _after(11), _after(13))


def test_a_position_that_is_closed_needs_no_stop_any_more() -> None:
    facts = _changed(1, "venue_orders", received_at=_after(4.9))(_clean())
    first, _ = audit.unprotected(facts)
    assert (first.since, first.until) == (_after(1), _after(4.9))


def test_a_stop_that_goes_leaves_the_position_unprotected_until_a_closing_order_is_there() -> None:
    gone = OrderCanceled(cl_ord_id="open.x4", orig_cl_ord_id="open.s2", cum_quantity=Decimal(0), at=_after(20))
    close = _submit("open.c5", Side.SELL, OrderType.MARKET)
    facts = _with("journal", _row(4, 9, Side.SELL, gone))(_clean())
    assert audit.unprotected(facts)[-1].until is None
    assert "are without a stop since" in audit.checked(facts)["positions_are_protected_in_time"][0].text

    facts = _with("outbox", _entry(close))(facts)
    facts = _with("venue_orders", _at_venue(close, traded=0, status="0", at=21))(facts)
    assert (audit.unprotected(facts)[-1].since, audit.unprotected(facts)[-1].until) == (_after(20), _after(21))


def test_what_a_bust_has_taken_back_needs_no_stop() -> None:
    busted = TradeBusted(
        cl_ord_id="open.e1", exec_id="E4", ref_exec_id="E3", quantity=_TEN, price=Decimal(100), at=_after(12)
    )
    gap = audit.unprotected(_with("journal", _row(4, 9, Side.BUY, busted))(_clean()))[-1]
    assert (gap.since, gap.until) == (_after(11), _after(12))


def test_a_corrected_trade_is_to_the_venue_the_same_with_other_terms() -> None:
    corrected = TradeCorrected(
        cl_ord_id="open.e1", exec_id="E4", ref_exec_id="E3", quantity=_TEN, price=Decimal(101), at=_after(14)
    )
    facts = _with("journal", _row(4, 9, Side.BUY, corrected))(_clean())
    (difference,) = audit.checked(facts)["trades_are_journalled_once"]
    assert difference.subject == "E3"
    assert audit.checked(_changed(2, "venue_trades", price=Decimal(101))(facts))["trades_are_journalled_once"] == []


def test_only_time_in_which_nothing_is_disturbed_counts_against_the_bound() -> None:
    facts = _changed(4, "venue_orders", received_at=_after(25))(_clean())
    gap = audit.unprotected(facts)[-1]
    assert (audit.seconds_in_all(gap, facts), audit.longest_calm(gap, facts)) == (14, 14)

    on = [
        Disturbance(kind="kill", since=_after(8), until=_after(12)),
        Disturbance(kind="cut", since=_after(18), until=_after(19)),
        Disturbance(kind="stop", since=_after(18.5), until=_after(20)),
        Disturbance(kind="cut", since=_after(30), until=_after(31)),
    ]
    disturbed = replace(facts, disturbances=on)
    assert audit.longest_calm(gap, disturbed) == 6  # from 12 to 18
    assert audit.checked(disturbed)["positions_are_protected_in_time"] == []


def test_the_bound_is_the_sum_of_what_may_come_one_after_another() -> None:
    timings = audit.Timings(lease=2, heartbeat=1, host_lease=5, visibility=8)
    assert audit.bound(timings) == pytest.approx(10 + 2 + 2 + 3.4 + 15 + 8 + 75)
    assert audit.bound(timings, with_sweep=False) == pytest.approx(10 + 2 + 2 + 3.4 + 15 + 8)


def test_the_longer_bound_is_for_positions_whose_wake_ups_may_have_been_lost() -> None:
    facts = _changed(4, "venue_orders", received_at=_after(25))(_clean())
    lost = Disturbance(kind="wake_ups", since=_after(10), until=_after(12))
    assert audit.checked(replace(facts, disturbances=[lost]))["positions_are_protected_in_time"] == []

    before = replace(lost, until=_after(10.5))
    (found,) = audit.checked(replace(facts, disturbances=[before]))["positions_are_protected_in_time"]
    assert "the bound is 10.0 s" in found.text


def test_what_had_no_stop_when_all_was_healed_is_measured_from_then_on() -> None:
    facts = _changed(4, "venue_orders", received_at=_after(25))(_clean())
    assert audit.after_healing(facts) == [5]
    assert audit.after_healing(replace(facts, calms=[replace(_CALM, since=_after(26))])) == []


@pytest.mark.parametrize(
    "change",
    [
        _changed(5, "venue_orders", status="4"),
        _without("venue_trades", 0),
        _with("journal", _CONCLUDED),
        _changed(0, "outbox", number=7),
        _standing("Running", seen=4),
        _without("register", 2),
        _changed(0, "instructions", number=2),
        lambda facts: replace(facts, venue_positions={}),
    ],
)
def test_what_changes_at_rest_is_found(change: Callable[[Facts], Facts]) -> None:
    assert audit.changes(_clean(), change(_clean()))


def test_nothing_has_changed_where_the_accounts_come_in_another_order() -> None:
    clean = _clean()
    other = replace(
        clean, outbox=clean.outbox[::-1], journal=clean.journal[::-1], venue_orders=clean.venue_orders[::-1]
    )
    assert audit.changes(clean, other) == []
