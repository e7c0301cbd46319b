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
from trading.orders import OrderType, Side, TimeInForce

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


def told(exec_type: str, order_status: str, cl_ord_id: str = "o.s1", orig: str | None = None) -> OrderReported:
    return OrderReported(
        cl_ord_id=cl_ord_id, orig_cl_ord_id=orig, exec_type=exec_type, order_status=order_status, at=AT
    )


def restated(quantity: int, cum: int = 0, leaves: int | None = None, reason_code: int | None = None) -> OrderRestated:
    return OrderRestated(
        cl_ord_id="o.s1",
        quantity=Decimal(quantity),
        cum_quantity=Decimal(cum),
        leaves_quantity=Decimal(quantity - cum if leaves is None else leaves),
        reason_code=reason_code,
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


LARGE = msgspec.structs.replace(NEW, quantity=Decimal(10000))
WORKING = after(ACCEPTED)
CANCELING = ask(WORKING, "cancel", "o.x2")
REPLACING = ask(WORKING, "replace", "o.x2")


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], OrderStatus.PENDING_NEW),
        ([ACCEPTED], OrderStatus.NEW),
        ([told("A", "A")], OrderStatus.PENDING_NEW),
        ([told("I", "0")], OrderStatus.NEW),
        ([told("0", "D")], OrderStatus.ACCEPTED_FOR_BIDDING),
        ([told("0", "D"), ACCEPTED], OrderStatus.NEW),
        ([ACCEPTED, told("0", "D")], OrderStatus.NEW),
        ([ACCEPTED, told("7", "7")], OrderStatus.STOPPED),
        ([ACCEPTED, told("7", "7"), fill(4)], OrderStatus.STOPPED),
        ([ACCEPTED, told("9", "9")], OrderStatus.SUSPENDED),
        ([ACCEPTED, told("9", "9"), ACCEPTED], OrderStatus.NEW),
        ([ACCEPTED, told("9", "9"), fill(4)], OrderStatus.PARTIALLY_FILLED),
        ([ACCEPTED, told("3", "3")], OrderStatus.DONE_FOR_DAY),
        ([ACCEPTED, told("3", "3"), EXPIRED], OrderStatus.EXPIRED),
        ([ACCEPTED, told("3", "3"), fill(4)], OrderStatus.PARTIALLY_FILLED),
        ([ACCEPTED, told("B", "B")], OrderStatus.CALCULATED),
        ([fill(10), told("B", "B")], OrderStatus.FILLED),
        ([ACCEPTED, told("6", "6")], OrderStatus.PENDING_CANCEL),
        ([ACCEPTED, told("6", "6"), told("3", "6")], OrderStatus.DONE_FOR_DAY),
        ([ACCEPTED, told("6", "6"), fill(4)], OrderStatus.PENDING_CANCEL),
        ([ACCEPTED, told("6", "6"), CANCELED_UNASKED], OrderStatus.CANCELED),
        ([ACCEPTED, told("E", "E"), told("I", "1")], OrderStatus.NEW),
        ([ACCEPTED, told("I", "2")], OrderStatus.NEW),
        ([CANCELED_UNASKED, told("9", "9")], OrderStatus.CANCELED),
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
    order = after(ACCEPTED, restated(8), restated(8))
    assert order.leaves_quantity == 8
    assert order.setbacks == 1
    assert after(ACCEPTED, fill(8), restated(8)).status is OrderStatus.FILLED


def test_a_restatement_to_less_than_was_traded_completes_the_order() -> None:
    order = after(ACCEPTED, fill(6), restated(4, 6, 0))
    assert (order.status, int(order.quantity), int(order.leaves_quantity)) == (OrderStatus.FILLED, 6, 0)


def test_what_may_still_trade_goes_before_a_quantity_that_contradicts_it() -> None:
    assert after(ACCEPTED, fill(6), restated(4, 6, 4)).leaves_quantity == 4


def test_a_renewal_and_a_new_price_are_no_setbacks() -> None:
    renewed = after(ACCEPTED, told("3", "3"), restated(10, reason_code=1))
    assert (renewed.status, renewed.setbacks) == (OrderStatus.NEW, 0)
    repriced = apply(WORKING, msgspec.structs.replace(restated(10, reason_code=3), stop_price=Decimal(2960)))
    assert (repriced.stop_price, repriced.setbacks) == (Decimal(2960), 0)


def test_a_restatement_opens_a_filled_order_again_only_if_it_knows_of_all_trades() -> None:
    filled = after(ACCEPTED, fill(10))
    assert after(restated(12, 10), of=filled).leaves_quantity == 2
    assert after(restated(12, 4), of=filled) is filled
    assert after(restated(10, 10), of=filled) is filled
    canceled = after(ACCEPTED, CANCELED_UNASKED)
    assert after(restated(12), of=canceled) is canceled


def test_an_order_that_the_venue_lists_as_open_is_open_whatever_it_was() -> None:
    listed = msgspec.structs.replace(restated(10), is_listed=True)
    for ended in (after(ACCEPTED, CANCELED_UNASKED), after(ACCEPTED, fill(4), CANCELED_UNASKED)):
        opened = after(listed, of=ended)
        assert opened.is_open
        assert opened.leaves_quantity == 10 - opened.cum_quantity
    # What has traded is what was reported, also where the venue says otherwise.
    filled = after(ACCEPTED, fill(10))
    assert after(msgspec.structs.replace(restated(10, 4, 6), is_listed=True), of=filled) is filled
    working = after(ACCEPTED)
    assert after(listed, of=working) is working


def test_a_split_changes_the_units_of_what_was_traded_and_not_its_value() -> None:
    order = after(ACCEPTED, fill(4), restated(20, 8, reason_code=0))
    assert (int(order.cum_quantity), int(order.leaves_quantity), int(order.average_price)) == (8, 12, 1475)
    assert after(BUST, of=order).cum_quantity == 0
    assert after(BUST, of=order).value == 0


def test_a_split_that_is_reported_again_after_another_fill_is_done_once() -> None:
    split = restated(20, 8, reason_code=0)
    order = after(ACCEPTED, fill(4), split, fill(2, "T2", 1475, leaves=10), split)
    assert (int(order.cum_quantity), int(order.leaves_quantity), int(order.average_price)) == (10, 10, 1475)
    second = msgspec.structs.replace(restated(40, 20, reason_code=0), at=AT + timedelta(days=1))
    assert after(second, second, of=order).cum_quantity == 20


def test_an_order_in_other_units_says_so_also_where_nothing_has_traded() -> None:
    assert not after(ACCEPTED, restated(8)).is_rescaled
    order = after(ACCEPTED, restated(20, reason_code=0))
    assert order.is_rescaled
    assert order.leaves_quantity == 20


def ended(kind: type[OrderCanceled | OrderExpired], cum: int) -> OrderCanceled | OrderExpired:
    return kind(cl_ord_id="o.s1", cum_quantity=Decimal(cum), at=AT)


@pytest.mark.parametrize("kind", [OrderCanceled, OrderExpired])
def test_an_order_that_ends_with_more_traded_than_was_told_is_short_of_reports(
    kind: type[OrderCanceled | OrderExpired],
) -> None:
    order = after(ACCEPTED, fill(2), ended(kind, 6))
    assert order.is_short_of_reports
    assert order.venue_cum_quantity == 6
    assert not after(ACCEPTED, fill(6), ended(kind, 6)).is_short_of_reports
    assert not after(fill(4, "T2", leaves=0), of=order).is_short_of_reports


def test_a_fill_that_knows_of_another_tells_what_is_missing_once_the_order_is_over() -> None:
    last = msgspec.structs.replace(fill(6, leaves=0), cum_quantity=Decimal(10))
    assert after(ACCEPTED, last).is_short_of_reports
    assert not after(ACCEPTED, msgspec.structs.replace(last, leaves_quantity=Decimal(1))).is_short_of_reports


@pytest.mark.parametrize("change", [BUST, CORRECTION])
def test_what_the_venue_takes_back_is_not_missing(change: Event) -> None:
    order = after(ACCEPTED, fill(4), ended(OrderCanceled, 4), change)
    assert not order.is_short_of_reports
    assert not after(fill(4), ended(OrderCanceled, 4), of=order).is_short_of_reports
    short = after(ACCEPTED, fill(4), ended(OrderCanceled, 6), change)
    assert short.venue_cum_quantity - short.cum_quantity == 2


def test_a_split_is_no_missing_report() -> None:
    order = after(ACCEPTED, fill(4), restated(5, 2, reason_code=0), fill(3, "T2", leaves=0))
    assert not order.is_short_of_reports


def test_a_day_order_that_is_done_for_the_day_has_ended_and_another_goes_on() -> None:
    day = msgspec.structs.replace(WORKING, time_in_force=TimeInForce.DAY)
    for report in (told("3", "3"), told("B", "B")):
        assert not after(report, of=day).is_open
        assert after(report, of=day).setbacks == 1
        assert after(report, of=WORKING).leaves_quantity == 10


@pytest.mark.parametrize(("time_in_force", "ending"), [(TimeInForce.DAY, True), (TimeInForce.GTC, False)])
def test_a_refusal_of_what_is_done_for_the_day_means_the_end_of_a_day_order(
    time_in_force: TimeInForce, ending: bool
) -> None:
    order = after(refusal(0, "3"), of=msgspec.structs.replace(CANCELING, time_in_force=time_in_force))
    assert order.ending is ending


def test_a_venue_that_tells_of_our_request_tells_nothing_new() -> None:
    pending = told("6", "6", "o.x2", "o.s1")
    assert after(pending, of=CANCELING) is CANCELING
    answered = after(refusal(2, "0"), of=CANCELING)
    assert after(pending, of=answered) is answered
    replaced = after(REPLACED, of=REPLACING)
    assert after(told("E", "E", "o.x2", "o.s1"), of=replaced) is replaced
    assert after(told("E", "E", "o.x2"), of=replaced).status is OrderStatus.PENDING_REPLACE


def test_a_replace_that_nobody_asked_for_changes_the_order_under_its_id_or_the_venues_own() -> None:
    for orig in ("", "o.s1"):
        own = msgspec.structs.replace(REPLACED, cl_ord_id="o.s1", orig_cl_ord_id=orig)
        order = after(own, own, of=WORKING)
        assert (order.cl_ord_ids, int(order.leaves_quantity), order.setbacks) == (("o.s1",), 6, 1)
    foreign = msgspec.structs.replace(REPLACED, cl_ord_id="DESK1")
    order = after(foreign, foreign, of=CANCELING)
    assert (order.cl_ord_ids, int(order.leaves_quantity), order.setbacks) == (("o.s1", "DESK1"), 6, 1)
    assert order.status is OrderStatus.PENDING_CANCEL


@pytest.mark.parametrize("condition", ["7", "9"])
def test_new_terms_do_not_end_a_suspension_or_a_guarantee(condition: str) -> None:
    held = after(told(condition, condition), of=WORKING)
    assert after(restated(8), of=held).stage is held.stage
    assert after(REPLACED, of=ask(held, "replace", "o.x2")).status is held.stage


def test_a_repeated_confirmation_of_an_earlier_replace_changes_nothing() -> None:
    order = after(REPLACED, of=REPLACING)
    second = msgspec.structs.replace(REPLACED, cl_ord_id="o.s3", orig_cl_ord_id="o.x2", quantity=Decimal(5))
    order = after(second, of=ask(order, "replace", "o.s3"))
    assert after(REPLACED, second, of=order) is order


def test_a_replace_that_the_venue_answers_with_a_cancel_is_answered() -> None:
    order = after(CANCELED, of=REPLACING)
    assert (order.status, order.is_settled, order.setbacks) == (OrderStatus.CANCELED, True, 1)


def test_an_unasked_cancel_leaves_a_replace_to_be_answered() -> None:
    order = after(CANCELED_UNASKED, of=REPLACING)
    assert (order.status, int(order.leaves_quantity)) == (OrderStatus.PENDING_REPLACE, 0)
    assert after(refusal(0, "4", "replace"), of=order).is_settled


def test_chained_requests_are_answered_one_by_one_and_a_refused_one_leaves_no_id() -> None:
    chained = ask(ask(REPLACING, "replace", "o.s3", chained=True), "cancel", "o.x4", chained=True)
    assert chained.status is OrderStatus.PENDING_CANCEL
    third = msgspec.structs.replace(REPLACED, cl_ord_id="o.s3", orig_cl_ord_id="o.x2", quantity=Decimal(5))
    middle = msgspec.structs.replace(refusal(2, "E", "replace"), cl_ord_id="o.s3")
    last = msgspec.structs.replace(refusal(2, "0"), cl_ord_id="o.x4")
    order = after(REPLACED, middle, last, of=chained)
    assert (order.cl_ord_ids, order.status, int(order.leaves_quantity)) == (("o.s1", "o.x2"), OrderStatus.NEW, 6)
    assert (order.refused_replaces, order.refused_cancels) == (1, 1)
    first = after(refusal(2, "E", "replace"), third, last, of=chained)
    assert (first.cl_ord_ids, int(first.leaves_quantity)) == (("o.s1", "o.s3"), 5)


@pytest.mark.parametrize("change", [BUST, CORRECTION])
def test_a_changed_trade_opens_a_filled_order_again_where_the_venue_says_that_it_works(
    change: TradeBusted | TradeCorrected,
) -> None:
    filled = after(ACCEPTED, fill(4), fill(6, "T2"))
    assert after(change, of=filled).status is OrderStatus.FILLED
    works = msgspec.structs.replace(change, leaves_quantity=Decimal(1))
    assert after(works, of=filled).status is OrderStatus.PARTIALLY_FILLED
    canceled = after(ACCEPTED, fill(4), CANCELED_UNASKED)
    assert after(works, of=canceled).status is OrderStatus.CANCELED


def test_14_a_replace_to_what_has_filled_meanwhile_completes_the_order() -> None:
    order = ask(after(ACCEPTED, of=LARGE), "replace", "o.x2")
    order = after(fill(7000, leaves=3000), of=order)
    assert (order.status, int(order.leaves_quantity)) == (OrderStatus.PENDING_REPLACE, 3000)
    order = after(msgspec.structs.replace(REPLACED, quantity=Decimal(7000), cum_quantity=Decimal(7000)), of=order)
    assert (order.status, int(order.cum_quantity), order.is_settled) == (OrderStatus.FILLED, 7000, True)


def test_15_a_cancel_stays_pending_until_it_is_refused() -> None:
    order = after(ACCEPTED, fill(2000, "T1", leaves=8000), fill(3000, "T2", leaves=5000), of=LARGE)
    order = after(told("6", "6", "o.x2", "o.s1"), fill(5000, "T3", leaves=0), of=ask(order, "cancel", "o.x2"))
    assert (order.status, int(order.cum_quantity)) == (OrderStatus.PENDING_CANCEL, 10000)
    assert after(refusal(0, "2"), of=order).status is OrderStatus.FILLED


def test_21_a_late_fill_of_a_cancelled_order_counts() -> None:
    order = after(CANCELED, fill(3, leaves=0), of=CANCELING)
    assert (order.status, int(order.cum_quantity), int(order.leaves_quantity)) == (OrderStatus.CANCELED, 3, 0)


def test_22_a_busted_trade_of_a_cancelled_order_never_was_and_a_later_one_counts() -> None:
    order = after(ACCEPTED, fill(5000, price=50, leaves=5000), CANCELED_UNASKED, of=LARGE)
    order = after(msgspec.structs.replace(BUST, quantity=Decimal(5000), price=Decimal(50)), of=order)
    assert (order.status, int(order.cum_quantity), int(order.average_price)) == (OrderStatus.CANCELED, 0, 0)
    order = after(fill(4000, "T2", 51, leaves=0), of=order)
    assert (order.status, int(order.cum_quantity), int(order.average_price)) == (OrderStatus.CANCELED, 4000, 51)


def test_23_a_corrected_price_changes_the_average_only() -> None:
    order = after(ACCEPTED, fill(10, price=3000), msgspec.structs.replace(CORRECTION, quantity=Decimal(10)))
    assert (order.status, int(order.cum_quantity), int(order.average_price)) == (OrderStatus.FILLED, 10, 2949)


def test_24_an_overfill_counts_and_leaves_nothing() -> None:
    order = after(ACCEPTED, fill(10), fill(6, "T2", leaves=0))
    assert (order.status, int(order.cum_quantity), int(order.leaves_quantity)) == (OrderStatus.FILLED, 16, 0)


def test_26_a_restated_quantity_is_what_is_left() -> None:
    assert after(ACCEPTED, restated(8)).leaves_quantity == 8


TINY = Decimal("1e-9")
"""What is lost where a split divides a trade."""

REPORTS: list[Event] = [
    ACCEPTED, fill(4), fill(10, "T2"), CANCELED, CANCELED_UNASKED, REPLACED, REJECTED, EXPIRED, BUST, CORRECTION,
    NOT_SENT, refusal(0), refusal(1), refusal(2), refusal(0, "3"), told("6", "6", "o.x2", "o.s1"), CancelRequested(),
    restated(8), restated(12, 10), restated(20, 8, reason_code=0),
    msgspec.structs.replace(REPLACED, cl_ord_id="o.s1"), msgspec.structs.replace(REPLACED, cl_ord_id="DESK1"),
    msgspec.structs.replace(BUST, leaves_quantity=Decimal(6)), msgspec.structs.replace(CORRECTION, exec_id="C2"),
    *(told(status, status) for status in "0123456789ABCDE"),
]  # fmt: skip


@given(
    st.lists(st.sampled_from(REPORTS)),
    st.sampled_from([NEW, CANCELING, REPLACING, ask(REPLACING, "cancel", "o.x3", chained=True)]),
    st.sampled_from(TimeInForce),
)
def test_no_report_is_refused_and_a_repeat_changes_nothing(
    events: list[Event], order: Order, time_in_force: TimeInForce
) -> None:
    order = msgspec.structs.replace(order, time_in_force=time_in_force)
    for event in events:
        order = apply(order, event)
        assert apply(order, event) is order
        assert order.leaves_quantity >= 0
        assert order.is_open == bool(order.leaves_quantity)
        assert order.is_settled == (not order.is_open and order.request is None)
        assert order.answers_to(order.cl_ord_id)
        assert abs(order.cum_quantity - sum(each.quantity for each in order.executions)) < TINY
        assert abs(order.value - sum(each.quantity * each.price for each in order.executions)) < TINY
        assert set(order.executed.values()) == set(range(len(order.executions)))
        assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order
