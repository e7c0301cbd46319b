"""Commands to messages and reports to events, without any session."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix import orders as fix
from fix.message import FieldError, Message
from gateway.outbox import Entry
from gateway.translate import Report, from_message, mass_status_request, refused, status_request, to_message
from trading.commands import CancelOrder, ReplaceOrder, SubmitOrder
from trading.events import (
    CancelRejected,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderReported,
    OrderRestated,
    TradeBusted,
    TradeCorrected,
    VenueEvent,
)
from trading.identity import order_id_of, orphan_order_id
from trading.orders import OrderType, Side, TimeInForce

AT = datetime(2013, 10, 7, 13, 30, 0, 72_000, tzinfo=UTC)
quantities = st.decimals(Decimal("0.0001"), Decimal(10**9), places=4)
prices = st.decimals(Decimal("-1000"), Decimal(10**6), places=4)


@given(quantities, prices, prices, st.sampled_from(Side), st.sampled_from(OrderType), st.sampled_from(TimeInForce))
def test_an_order_arrives_as_it_was_meant(
    quantity: Decimal, limit: Decimal, stop: Decimal, side: Side, kind: OrderType, time_in_force: TimeInForce
) -> None:
    fields: dict[str, Any] = {
        "cl_ord_id": "a.e1",
        "symbol": "IBM",
        "side": side,
        "quantity": quantity,
        "order_type": kind,
        "limit_price": limit if kind is OrderType.LIMIT else None,
        "stop_price": stop if kind is OrderType.STOP else None,
        "time_in_force": time_in_force,
    }
    order = fix.read_new_order_single(to_message(SubmitOrder(**fields), AT, poss_resend=True))
    replace = fix.read_order_cancel_replace_request(
        to_message(ReplaceOrder(**{**fields, "cl_ord_id": "a.e2", "orig_cl_ord_id": "a.e1"}), AT)
    )
    assert (order.cl_ord_id, order.poss_resend, order.transact_time) == ("a.e1", True, AT)
    assert (replace.cl_ord_id, replace.orig_cl_ord_id, replace.poss_resend) == ("a.e2", "a.e1", False)
    for message in (order, replace):
        assert message.side.name == side.name
        assert message.ord_type.name == kind.name
        assert message.time_in_force.name == time_in_force.name
        assert (message.order_qty, message.price, message.stop_px) == (
            quantity,
            fields["limit_price"],
            fields["stop_price"],
        )


def test_all_or_none_is_an_instruction_of_its_own() -> None:
    order = SubmitOrder(
        cl_ord_id="a.e1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(3),
        order_type=OrderType.MARKET,
        all_or_none=True,
    )
    assert fix.read_new_order_single(to_message(order, AT)).exec_inst == ("G",)
    plain = msgspec.structs.replace(order, all_or_none=False)
    assert fix.read_new_order_single(to_message(plain, AT)).exec_inst == ()


def test_a_cancel_and_a_question_name_the_order() -> None:
    cancel = CancelOrder(cl_ord_id="a.x2", orig_cl_ord_id="a.e1", symbol="IBM", side=Side.SELL, quantity=Decimal(3))
    request = fix.read_order_cancel_request(to_message(cancel, AT))
    assert (request.cl_ord_id, request.orig_cl_ord_id, request.side) == ("a.x2", "a.e1", fix.Side.SELL)
    assert fix.read_order_status_request(status_request("a.e1", "IBM", Side.SELL)).cl_ord_id == "a.e1"
    everything = fix.read_order_mass_status_request(mass_status_request("7-1"))
    assert (everything.mass_status_req_id, everything.mass_status_req_type.value) == ("7-1", "7")


def report(exec_type: fix.ExecType, status: fix.OrdStatus, **fields: Any) -> Message:
    values: dict[str, Any] = {
        "order_id": "V1",
        "exec_id": "E1",
        "exec_type": exec_type,
        "ord_status": status,
        "symbol": "IBM",
        "side": fix.Side.SELL,
        "leaves_qty": Decimal(6),
        "cum_qty": Decimal(4),
        "avg_px": Decimal(10),
        "transact_time": AT,
        "cl_ord_id": "a.e1",
        **fields,
    }
    return fix.execution_report(**values)


TYPE, STATUS = fix.ExecType, fix.OrdStatus
TRADE = {"last_qty": Decimal(4), "last_px": Decimal("10.5")}


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (report(TYPE.NEW, STATUS.NEW), OrderAccepted(cl_ord_id="a.e1", at=AT)),
        (
            report(TYPE.TRADE, STATUS.PARTIALLY_FILLED, **TRADE),
            OrderFilled(
                cl_ord_id="a.e1",
                exec_id="E1",
                quantity=Decimal(4),
                price=Decimal("10.5"),
                cum_quantity=Decimal(4),
                leaves_quantity=Decimal(6),
                at=AT,
            ),
        ),
        (
            report(TYPE.CANCELED, STATUS.CANCELED, text="halted"),
            OrderCanceled(cl_ord_id="a.e1", cum_quantity=Decimal(4), reason="halted", at=AT),
        ),
        (
            report(TYPE.REPLACED, STATUS.NEW, cl_ord_id="a.e2", orig_cl_ord_id="a.e1", stop_px=Decimal(9)),
            OrderReplaced(
                cl_ord_id="a.e2",
                orig_cl_ord_id="a.e1",
                quantity=Decimal(10),
                cum_quantity=Decimal(4),
                stop_price=Decimal(9),
                at=AT,
            ),
        ),
        (
            report(TYPE.REJECTED, STATUS.REJECTED, text="no", ord_rej_reason=3),
            OrderRejected(cl_ord_id="a.e1", reason="no", at=AT),
        ),
        (
            report(TYPE.EXPIRED, STATUS.EXPIRED),
            OrderExpired(cl_ord_id="a.e1", cum_quantity=Decimal(4), at=AT),
        ),
        (
            report(TYPE.DONE_FOR_DAY, STATUS.DONE_FOR_DAY),
            OrderReported(cl_ord_id="a.e1", exec_type="3", order_status="3", at=AT),
        ),
        (
            report(TYPE.RESTATED, STATUS.NEW, order_qty=Decimal(8), price=Decimal(9), exec_restatement_reason=3),
            OrderRestated(
                cl_ord_id="a.e1",
                quantity=Decimal(8),
                cum_quantity=Decimal(4),
                leaves_quantity=Decimal(6),
                limit_price=Decimal(9),
                reason_code=3,
                at=AT,
            ),
        ),
        (
            report(TYPE.TRADE_CANCEL, STATUS.NEW, exec_ref_id="E0", **TRADE),
            TradeBusted(
                cl_ord_id="a.e1",
                exec_id="E1",
                ref_exec_id="E0",
                quantity=Decimal(4),
                price=Decimal("10.5"),
                leaves_quantity=Decimal(6),
                at=AT,
            ),
        ),
        (
            report(TYPE.TRADE_CORRECT, STATUS.NEW, exec_ref_id="E0", **TRADE),
            TradeCorrected(
                cl_ord_id="a.e1",
                exec_id="E1",
                ref_exec_id="E0",
                quantity=Decimal(4),
                price=Decimal("10.5"),
                leaves_quantity=Decimal(6),
                at=AT,
            ),
        ),
        (
            report(TYPE.PENDING_CANCEL, STATUS.PENDING_CANCEL, cl_ord_id="a.x2", orig_cl_ord_id="a.e1"),
            OrderReported(cl_ord_id="a.x2", orig_cl_ord_id="a.e1", exec_type="6", order_status="6", at=AT),
        ),
        (
            report(TYPE.NEW, STATUS.ACCEPTED_FOR_BIDDING),
            OrderReported(cl_ord_id="a.e1", exec_type="0", order_status="D", at=AT),
        ),
        (
            report(TYPE.STOPPED, STATUS.STOPPED, **TRADE),
            OrderReported(cl_ord_id="a.e1", exec_type="7", order_status="7", at=AT),
        ),
    ],
)
def test_each_report_is_its_event(message: Message, event: VenueEvent) -> None:
    answer = from_message(message)
    assert answer is not None
    assert msgspec.structs.replace(answer, order_id="", name="") == Report(
        kind="event", cl_ord_id=event.cl_ord_id, event=event, symbol="IBM", side=Side.SELL
    )


@pytest.mark.parametrize(
    ("status", "kind", "event"),
    [
        (STATUS.NEW, "known", OrderAccepted),
        (STATUS.PARTIALLY_FILLED, "known", OrderAccepted),
        (STATUS.PENDING_NEW, "known", OrderReported),
        (STATUS.SUSPENDED, "known", OrderReported),
        (STATUS.DONE_FOR_DAY, "known", OrderReported),
        (STATUS.PENDING_CANCEL, "known", OrderAccepted),
        (STATUS.CANCELED, "known", OrderCanceled),
        (STATUS.EXPIRED, "known", OrderExpired),
    ],
)
def test_an_answer_about_a_known_order_is_its_status(status: fix.OrdStatus, kind: str, event: type[VenueEvent]) -> None:
    answer = from_message(report(TYPE.ORDER_STATUS, status))
    assert answer is not None
    assert answer.kind == kind
    assert isinstance(answer.event, event)


@pytest.mark.parametrize(
    ("reason", "kind"), [(1, "known"), (3, "known"), (5, "unknown"), (None, "unclear"), (0, "unclear"), (99, "unclear")]
)
def test_an_answer_that_rejects_is_about_the_order_only_where_the_reason_can_be_of_nothing_else(
    reason: int | None, kind: str
) -> None:
    """A rejection that was reported is resent before the answer; what is left may refuse the question (a limit)."""
    answer = from_message(report(TYPE.ORDER_STATUS, STATUS.REJECTED, ord_rej_reason=reason))
    assert answer is not None
    assert answer.kind == kind
    assert isinstance(answer.event, OrderRejected) == (kind == "known")


def test_an_unknown_order_and_a_duplicate_are_no_events() -> None:
    unknown = from_message(report(TYPE.ORDER_STATUS, STATUS.REJECTED, ord_rej_reason=5))
    duplicate = from_message(report(TYPE.REJECTED, STATUS.REJECTED, ord_rej_reason=6))
    assert unknown is not None
    assert duplicate is not None
    assert (unknown.kind, unknown.event, duplicate.kind, duplicate.event) == ("unknown", None, "duplicate", None)


def test_a_cancel_reject_says_what_it_answers() -> None:
    fields: dict[str, Any] = {
        "order_id": "V1",
        "cl_ord_id": "a.x2",
        "orig_cl_ord_id": "a.e1",
        "ord_status": STATUS.FILLED,
        "cxl_rej_response_to": fix.CxlRejResponseTo.CANCEL,
        "transact_time": AT,
        "text": "too late",
    }
    answer = from_message(fix.order_cancel_reject(**fields, cxl_rej_reason=0))
    assert answer is not None
    assert answer.event == CancelRejected(
        cl_ord_id="a.x2",
        orig_cl_ord_id="a.e1",
        response_to="cancel",
        reason_code=0,
        reason="too late",
        order_status="2",
        at=AT,
    )
    duplicate = from_message(fix.order_cancel_reject(**fields, cxl_rej_reason=6))
    assert duplicate == Report(kind="duplicate", cl_ord_id="a.x2")


def test_what_is_refused_is_told_in_the_commands_terms() -> None:
    replace = ReplaceOrder(
        cl_ord_id="a.s3",
        orig_cl_ord_id="a.s2",
        symbol="IBM",
        side=Side.SELL,
        quantity=Decimal(1),
        order_type=OrderType.MARKET,
    )
    event = refused(replace, "no", AT)
    assert event == CancelRejected(cl_ord_id="a.s3", orig_cl_ord_id="a.s2", response_to="replace", reason="no", at=AT)


def test_a_report_without_cl_ord_id_goes_by_the_venues_order_id() -> None:
    answer = from_message(report(TYPE.TRADE, STATUS.FILLED, cl_ord_id="", **TRADE))
    assert answer is not None
    assert answer.cl_ord_id == "V1"


def test_a_change_under_an_id_of_the_venues_own_goes_by_the_order_it_is_about() -> None:
    foreign = from_message(report(TYPE.REPLACED, STATUS.NEW, cl_ord_id="DESK1", orig_cl_ord_id="a.e1"))
    assert foreign is not None
    assert isinstance(foreign.event, OrderReplaced)
    assert (foreign.cl_ord_id, foreign.event.cl_ord_id) == ("a.e1", "DESK1")
    stranger = from_message(report(TYPE.REPLACED, STATUS.NEW, cl_ord_id="DESK1", orig_cl_ord_id="DESK0"))
    assert stranger is not None
    assert stranger.cl_ord_id == "DESK1"


def test_other_messages_are_no_reports_and_malformed_ones_say_what_is_wrong() -> None:
    assert from_message(Message("B", [])) is None
    with pytest.raises(FieldError, match="tag 150"):
        from_message(Message("8", [(11, "a.e1"), (150, "?")]))


def test_names() -> None:
    assert (order_id_of("sma-IBM-1.e1"), order_id_of("foreign")) == ("sma-IBM-1", None)
    assert orphan_order_id("a/b.c é") == "orphan-a_b_c__"


def test_entries_leave_by_order_and_counter() -> None:
    def entry(cl_ord_id: str) -> Entry:
        cancel = CancelOrder(cl_ord_id=cl_ord_id, orig_cl_ord_id="-", symbol="IBM", side=Side.BUY, quantity=Decimal(1))
        return Entry(order_id=order_id_of(cl_ord_id) or "", command=cancel, at=AT + timedelta(seconds=1))

    ids = ["b.e1", "a.x10", "a.e1", "a.s2"]
    assert [one.cl_ord_id for one in sorted(map(entry, ids), key=lambda one: one.place)] == [
        "a.e1",
        "a.s2",
        "a.x10",
        "b.e1",
    ]
