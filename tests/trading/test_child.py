"""What one order learns from reports: stages, requests in flight, executions."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.child import Order, OrderStatus, apply, ask
from trading.events import (
    CancelRejected,
    CancelRequested,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderNotSent,
    OrderRejected,
    OrderReplaced,
    OrderReported,
    OrderRestated,
    TradeBusted,
    TradeCorrected,
)
from trading.identity import Role
from trading.orders import OrderType, Side

AT = datetime(2024, 1, 2, tzinfo=UTC)
NEW = Order(
    role=Role.STOP,
    cl_ord_ids=("o.s1",),
    symbol="IBM",
    side=Side.SELL,
    quantity=Decimal(10),
    order_type=OrderType.STOP,
    stop_price=Decimal(2950),
)


def fill(quantity: int, exec_id: str = "T1", price: int = 2950, leaves: int | None = None) -> OrderFilled:
    return OrderFilled(
        cl_ord_id="o.s1",
        exec_id=exec_id,
        quantity=Decimal(quantity),
        price=Decimal(price),
        cum_quantity=Decimal(quantity),
        leaves_quantity=Decimal(10 - quantity if leaves is None else leaves),
        at=AT,
    )


def refusal(
    reason_code: int | None, order_status: str = "", kind: Literal["cancel", "replace"] = "cancel"
) -> CancelRejected:
    return CancelRejected(
        cl_ord_id="o.x2",
        orig_cl_ord_id="o.s1",
        response_to=kind,
        reason_code=reason_code,
        order_status=order_status,
        at=AT,
    )


ACCEPTED = OrderAccepted(cl_ord_id="o.s1", at=AT)
CANCELED = OrderCanceled(cl_ord_id="o.x2", orig_cl_ord_id="o.s1", cum_quantity=Decimal(0), at=AT)
CANCELED_UNASKED = OrderCanceled(cl_ord_id="o.s1", cum_quantity=Decimal(0), at=AT)
REPLACED = OrderReplaced(
    cl_ord_id="o.x2",
    orig_cl_ord_id="o.s1",
    quantity=Decimal(6),
    cum_quantity=Decimal(0),
    stop_price=Decimal(2940),
    at=AT,
)
REJECTED = OrderRejected(cl_ord_id="o.s1", reason="no", at=AT)
EXPIRED = OrderExpired(cl_ord_id="o.s1", cum_quantity=Decimal(0), at=AT)
BUST = TradeBusted(cl_ord_id="o.s1", exec_id="B1", ref_exec_id="T1", quantity=Decimal(4), price=Decimal(2950), at=AT)
CORRECTION = TradeCorrected(
    cl_ord_id="o.s1", exec_id="C1", ref_exec_id="T1", quantity=Decimal(3), price=Decimal(2949), at=AT
)
NOT_SENT = OrderNotSent(cl_ord_id="o.s1", reason="deadline")


def after(*events: Event, of: Order = NEW) -> Order:
    for event in events:
        of = apply(of, event)
    return of


WORKING = after(ACCEPTED)
CANCELING = ask(WORKING, "cancel", "o.x2")
REPLACING = ask(WORKING, "replace", "o.x2")


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], OrderStatus.PENDING_NEW),
        ([ACCEPTED], OrderStatus.NEW),
        ([OrderReported(cl_ord_id="o.s1", exec_type="A", order_status="A", at=AT)], OrderStatus.PENDING_NEW),
        ([OrderReported(cl_ord_id="o.s1", exec_type="I", order_status="0", at=AT)], OrderStatus.NEW),
        ([fill(4)], OrderStatus.PARTIALLY_FILLED),
        ([ACCEPTED, fill(4)], OrderStatus.PARTIALLY_FILLED),
        ([ACCEPTED, fill(10)], OrderStatus.FILLED),
        ([ACCEPTED, fill(4, leaves=0)], OrderStatus.FILLED),
        ([fill(10), ACCEPTED], OrderStatus.FILLED),
        ([REJECTED], OrderStatus.REJECTED),
        ([ACCEPTED, EXPIRED], OrderStatus.EXPIRED),
        ([ACCEPTED, CANCELED_UNASKED], OrderStatus.CANCELED),
        ([ACCEPTED, CANCELED_UNASKED, fill(10)], OrderStatus.CANCELED),
        ([fill(10), CANCELED_UNASKED], OrderStatus.FILLED),
        ([NOT_SENT], OrderStatus.NOT_SENT),
        ([ACCEPTED, NOT_SENT], OrderStatus.NEW),
        ([fill(10), BUST], OrderStatus.FILLED),
        ([CancelRequested()], OrderStatus.PENDING_NEW),
    ],
)
def test_reports_lead_to_a_status(events: list[Event], status: OrderStatus) -> None:
    assert after(*events).status is status


def test_a_fill_counts_once_by_its_exec_id() -> None:
    order = after(ACCEPTED, fill(4), fill(4), fill(3, "T2", 2951))
    assert order.cum_quantity == 7
    assert order.leaves_quantity == 3
    assert order.average_price == (4 * Decimal(2950) + 3 * Decimal(2951)) / 7


def test_an_exec_id_of_another_day_is_another_trade_and_a_bust_means_the_latest_of_its_id() -> None:
    tomorrow = AT + timedelta(days=1)
    order = after(fill(4), msgspec.structs.replace(fill(6, leaves=0), at=tomorrow))
    assert order.cum_quantity == 10
    assert apply(order, msgspec.structs.replace(BUST, at=tomorrow)).cum_quantity == 4


def test_a_fill_after_the_end_and_an_overfill_count() -> None:
    assert after(ACCEPTED, CANCELED_UNASKED, fill(3)).cum_quantity == 3
    assert after(ACCEPTED, fill(10), fill(6, "T2")).cum_quantity == 16


@pytest.mark.parametrize("events", [[fill(4), BUST], [BUST, fill(4)], [fill(4), BUST, BUST], [fill(4), BUST, fill(4)]])
def test_a_busted_trade_does_not_count_in_whatever_order_it_is_told(events: list[Event]) -> None:
    assert after(ACCEPTED, *events).cum_quantity == 0


@pytest.mark.parametrize("events", [[fill(4), CORRECTION], [CORRECTION, fill(4)], [fill(4), CORRECTION, CORRECTION]])
def test_a_corrected_trade_counts_as_corrected(events: list[Event]) -> None:
    order = after(ACCEPTED, *events)
    assert order.cum_quantity == 3
    assert order.average_price == 2949


def test_a_correction_may_itself_be_corrected_or_busted() -> None:
    second = TradeCorrected(
        cl_ord_id="o.s1", exec_id="C2", ref_exec_id="C1", quantity=Decimal(5), price=Decimal(2948), at=AT
    )
    bust = TradeBusted(
        cl_ord_id="o.s1", exec_id="B1", ref_exec_id="C2", quantity=Decimal(5), price=Decimal(2948), at=AT
    )
    assert after(fill(4), CORRECTION, second, CORRECTION).cum_quantity == 5
    assert after(fill(4), CORRECTION, second, bust).cum_quantity == 0


def test_a_correction_can_complete_an_order() -> None:
    larger = TradeCorrected(
        cl_ord_id="o.s1", exec_id="C1", ref_exec_id="T1", quantity=Decimal(10), price=Decimal(2950), at=AT
    )
    assert after(ACCEPTED, fill(4), larger).status is OrderStatus.FILLED


def test_a_request_lies_over_the_status_until_it_is_answered() -> None:
    assert CANCELING.status is OrderStatus.PENDING_CANCEL
    assert REPLACING.status is OrderStatus.PENDING_REPLACE
    filled = after(fill(10), of=CANCELING)
    assert filled.status is OrderStatus.PENDING_CANCEL
    assert not filled.is_settled
    assert after(refusal(0, "2"), of=filled).status is OrderStatus.FILLED
    assert after(refusal(0, "2"), of=filled).is_settled


def test_a_second_request_must_wait() -> None:
    with pytest.raises(AssertionError, match="already waits"):
        ask(CANCELING, "replace", "o.s3")


def test_a_confirmed_cancel_ends_the_order_and_is_no_setback() -> None:
    order = after(CANCELED, of=CANCELING)
    assert order.status is OrderStatus.CANCELED
    assert order.setbacks == 0


def test_a_cancel_of_the_venues_own_leaves_ours_to_be_answered() -> None:
    order = after(CANCELED_UNASKED, of=CANCELING)
    assert not order.is_open
    assert order.status is OrderStatus.PENDING_CANCEL
    assert after(refusal(1), of=order).status is OrderStatus.CANCELED


@pytest.mark.parametrize(("events", "setbacks"), [([CANCELED_UNASKED], 1), ([EXPIRED], 1), ([REJECTED], 1)])
def test_an_end_that_nobody_asked_for_is_a_setback(events: list[Event], setbacks: int) -> None:
    assert after(*events, *events, of=WORKING).setbacks == setbacks


def test_a_confirmed_replace_continues_the_chain() -> None:
    order = after(REPLACED, REPLACED, of=REPLACING)
    assert order.cl_ord_ids == ("o.s1", "o.x2")
    assert order.status is OrderStatus.NEW
    assert order.quantity == 6
    assert order.stop_price == 2940


def test_a_confirmed_replace_keeps_or_changes_the_limit() -> None:
    limit = msgspec.structs.replace(REPLACING, limit_price=Decimal(3050))
    assert after(REPLACED, of=limit).limit_price == 3050
    moved = msgspec.structs.replace(REPLACED, limit_price=Decimal(3040))
    assert after(moved, of=limit).limit_price == 3040


def test_a_confirmed_replace_makes_up_for_what_was_refused_before() -> None:
    order = after(refusal(2, "0", "replace"), of=REPLACING)
    order = after(REPLACED, of=ask(order, "replace", "o.x2"))
    assert order.refused_replaces == 0
    assert not after(REPLACED, of=after(refusal(0, "2"), of=REPLACING)).ending


def test_a_replace_to_what_is_filled_already_completes_the_order() -> None:
    assert after(fill(6), REPLACED, of=REPLACING).status is OrderStatus.FILLED


def test_a_confirmed_replace_opens_a_filled_order_again() -> None:
    larger = OrderReplaced(
        cl_ord_id="o.x2", orig_cl_ord_id="o.s1", quantity=Decimal(14), cum_quantity=Decimal(10), at=AT
    )
    order = after(fill(10), larger, of=REPLACING)
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert order.leaves_quantity == 4
    assert order.stop_price == 2950


@pytest.mark.parametrize(("reason_code", "order_status"), [(0, ""), (0, "2"), (0, "4"), (2, "2"), (None, "4")])
def test_a_refusal_because_the_order_is_over_waits_for_the_report_of_it(
    reason_code: int | None, order_status: str
) -> None:
    order = after(refusal(reason_code, order_status), of=CANCELING)
    assert order.is_open
    assert order.ending
    assert not after(fill(10), of=order).ending


@pytest.mark.parametrize(("reason_code", "order_status"), [(0, "0"), (0, "1"), (2, "0"), (3, "6"), (None, "")])
def test_a_refusal_of_an_order_that_works_leaves_it_as_it_was(reason_code: int | None, order_status: str) -> None:
    canceling = after(refusal(reason_code, order_status), of=CANCELING)
    assert canceling.status is OrderStatus.NEW
    assert not canceling.ending
    assert (canceling.refused_cancels, canceling.refused_replaces) == (1, 0)
    replacing = after(refusal(reason_code, order_status, "replace"), of=REPLACING)
    assert replacing.status is OrderStatus.NEW
    assert (replacing.refused_cancels, replacing.refused_replaces) == (0, 1)


def test_an_order_that_has_ended_is_not_about_to_end() -> None:
    assert not after(refusal(0, "4"), CANCELED_UNASKED, of=CANCELING).ending


def test_a_rejected_message_that_was_answered_before_changes_nothing() -> None:
    order = after(refusal(2, "0"), of=CANCELING)
    assert after(OrderRejected(cl_ord_id="o.x2", reason="late", at=AT), of=order) == order


def test_what_has_not_traded_has_no_average_price() -> None:
    assert NEW.average_price == 0


def test_a_refusal_of_another_request_changes_nothing() -> None:
    other = CancelRejected(cl_ord_id="o.x9", orig_cl_ord_id="o.s1", response_to="cancel", at=AT)
    assert after(other, of=CANCELING) == CANCELING
    assert after(other) == NEW


def test_an_acknowledged_order_that_the_venue_does_not_know_is_over() -> None:
    assert after(refusal(1, "8"), of=CANCELING).status is OrderStatus.UNKNOWN


def test_a_cancel_that_overtook_its_order_can_be_asked_for_again() -> None:
    order = after(refusal(1, "8"), of=ask(NEW, "cancel", "o.x2"))
    assert order.status is OrderStatus.PENDING_NEW
    assert order.ending
    assert not after(ACCEPTED, of=order).ending


def test_a_rejected_request_message_is_a_refusal() -> None:
    rejected = OrderRejected(cl_ord_id="o.x2", reason="tag 38", at=AT)
    assert after(rejected, of=CANCELING).refused_cancels == 1
    assert after(rejected, of=REPLACING).refused_replaces == 1


def test_what_never_left_has_no_request_in_flight() -> None:
    order = after(NOT_SENT, of=ask(NEW, "cancel", "o.x2"))
    assert order.status is OrderStatus.NOT_SENT
    assert order.setbacks == 0
    assert order.is_settled


def test_a_request_that_never_left_is_a_refusal() -> None:
    assert after(OrderNotSent(cl_ord_id="o.x2", reason=""), of=REPLACING).refused_replaces == 1


def test_a_restatement_is_known_and_counted_once() -> None:
    restated = OrderRestated(
        cl_ord_id="o.s1", quantity=Decimal(8), cum_quantity=Decimal(0), leaves_quantity=Decimal(8), at=AT
    )
    order = after(ACCEPTED, restated, restated)
    assert order.leaves_quantity == 8
    assert order.setbacks == 1
    assert after(ACCEPTED, fill(8), restated).status is OrderStatus.FILLED


REPORTS: list[Event] = [
    ACCEPTED, fill(4), fill(10, "T2"), CANCELED, CANCELED_UNASKED, REPLACED, REJECTED, EXPIRED, BUST, CORRECTION,
    NOT_SENT, refusal(0), refusal(1), refusal(2),
]  # fmt: skip


@given(st.lists(st.sampled_from(REPORTS)), st.sampled_from([NEW, CANCELING, REPLACING]))
def test_no_report_is_refused_and_a_repeat_changes_nothing(events: list[Event], order: Order) -> None:
    for event in events:
        order = apply(order, event)
        assert apply(order, event) == order
        assert order.leaves_quantity >= 0
        assert order.answers_to(order.cl_ord_id)
