"""What the venue refuses, changes or leaves out: what is tried again, what is left alone, and what is told."""

from datetime import timedelta
from decimal import Decimal

import msgspec

from tests.trading.desk import CLOSE, ENTRY, STOP, TAKE_PROFIT, Desk, bracket_spec, single_spec
from trading.commands import ReplaceOrder
from trading.events import AmendRequested, CancelRequested, OrderReported, TradeBusted
from trading.orders import OrderType, Side
from trading.retry import RetryPolicy
from trading.specs import Amendment, IcebergSpec


def amend(desk: Desk, **changes: str) -> None:
    values = {name: Decimal(value) for name, value in changes.items()}
    desk.do(AmendRequested(amendment=msgspec.convert(values, Amendment)))


def refuse_three_times(desk: Desk, verb: str, role: str) -> None:
    order = next(each for each in reversed(desk.book) if each.role == role)
    for _ in range(2):
        desk.say(desk.refused(order.role, 2, "0"))
        desk.fire(f"retry_{verb}_{role}")
    desk.say(desk.refused(order.role, 2, "0"))


def test_a_price_that_the_venue_rounds_is_told_and_left_alone(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, stop_price="2960.003")
    assert desk.new() == ["replace stop 10 at 2960.003"]
    rounded = desk.replaced(STOP)
    desk.say(msgspec.structs.replace(rounded, stop_price=Decimal(2960)))
    assert desk.new() == ["alert PRICE_NOT_AS_ASKED"]
    text = "stop bracket-1.s4: asked for 2960.003, the venue has 2960"
    assert desk.alert_texts["PRICE_NOT_AS_ASKED"] == text
    desk.say(desk.filled(TAKE_PROFIT, 4))
    request = desk.new()
    assert request == ["replace stop 6 at 2960"], "a quantity is asked for at the price that the venue has"
    desk.say(desk.replaced(STOP))
    assert desk.new() == []
    assert desk.leaves(STOP) == 6
    amend(desk, stop_price="2961")
    assert desk.new() == ["replace stop 6 at 2961"]


def test_a_stop_whose_new_price_is_refused_goes_on_as_it_was(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, stop_price="2990")
    desk.new()
    refuse_three_times(desk, "replace", "stop")
    assert desk.new()[-1] == "alert REPLACE_REJECTED"
    assert desk.leaves(STOP) == 10
    assert not desk.sent(STOP).requests
    amend(desk, stop_price="2970")
    assert desk.new() == ["replace stop 10 at 2970"], "another price is asked for afresh"


def test_refusals_of_an_order_end_with_it(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    refuse_three_times(desk, "replace", "stop")
    desk.say(desk.canceled(STOP))
    desk.say(desk.accepted(STOP))
    desk.new()
    desk.say(desk.filled(TAKE_PROFIT, 1))
    assert desk.new() == ["replace stop 5"], "the new stop can be replaced"


def test_failures_with_more_than_an_hour_between_them_are_not_in_a_row(desk: Desk) -> None:
    desk.begin_long_10()
    for _ in range(5):
        desk.say(desk.canceled_unasked(STOP))
        assert desk.new() == ["submit stop sell 10", "alert STOP_CANCELED"]
        desk.say(desk.accepted(STOP))
        desk.now += timedelta(hours=2)


def test_three_failures_of_the_stop_in_a_row_close_the_position(desk: Desk) -> None:
    desk.begin_long_10()
    for _ in range(2):
        desk.say(desk.canceled_unasked(STOP))
        desk.say(desk.accepted(STOP))
    desk.say(desk.canceled_unasked(STOP))
    assert desk.new()[-2:] == ["cancel take_profit", "alert STOP_CANCELED"]


def test_an_end_that_was_announced_and_not_reported_is_asked_about_again(desk: Desk) -> None:
    desk.begin_long_10()
    desk.do(CancelRequested(mode="flatten"))
    desk.say(desk.canceled(STOP), desk.refused(TAKE_PROFIT, 0, "2"))
    assert desk.new() == ["cancel stop", "cancel take_profit"]
    desk.fire("retry_await_take_profit")
    assert desk.new() == ["cancel take_profit", "alert REPORT_MISSING"]
    text = "take_profit bracket-1.t3: the venue says that it is over, and has not reported its end"
    assert desk.alert_texts["REPORT_MISSING"] == text
    desk.say(desk.refused(TAKE_PROFIT, 0, "2"))
    desk.say(desk.filled(TAKE_PROFIT, 10))
    assert desk.new() == ["finish take_profit"]
    assert not desk.timers


def test_a_retried_entry_asks_for_what_the_rejected_one_has_not_filled(desk: Desk) -> None:
    desk.begin(single_spec(retry=RetryPolicy(attempts=3)))
    rejected = desk.sent(ENTRY)
    desk.say(desk.rejected(ENTRY, "closed"))
    desk.say(desk.filled(ENTRY, 4, of=rejected))
    desk.fire("retry_submit_entry")
    assert desk.new()[-1] == "submit entry buy 6"


def test_an_entry_that_cannot_be_made_smaller_is_cancelled_and_sent_again_for_the_rest(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 2))
    amend(desk, quantity="5")
    desk.new()
    refuse_three_times(desk, "replace", "entry")
    assert desk.new()[-2:] == ["cancel entry", "alert REPLACE_REJECTED"]
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["submit entry buy 3"]
    desk.say(desk.filled(ENTRY, 3))
    assert desk.new() == ["finish filled"]


def test_an_iceberg_that_is_to_show_less_than_it_has_filled_goes_on_with_the_next_slice(desk: Desk) -> None:
    desk.begin(
        IcebergSpec(
            order_id="ice-1",
            symbol="IBM",
            side=Side.BUY,
            quantity=Decimal(50),
            display_quantity=Decimal(20),
            limit_price=Decimal(3000),
        )
    )
    desk.say(desk.filled(ENTRY, 15))
    amend(desk, display_quantity="10")
    assert desk.new() == ["submit entry buy 20", "cancel entry"]
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["submit entry buy 10"]


def test_an_order_whose_quantity_the_venue_made_smaller_and_filled_is_filled(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.restated(ENTRY, 8))
    desk.say(desk.filled(ENTRY, 8))
    for order in desk.book:
        if order.requests:
            desk.say(desk.refused(ENTRY, 0, "2"))
    assert desk.outcome == "filled"


def test_an_entry_that_a_busted_trade_opens_again_ends_at_its_time_as_before(desk: Desk) -> None:
    desk.begin(bracket_spec())
    trade = desk.filled(ENTRY, 10)
    desk.say(trade)
    assert "valid_until" not in desk.timers
    busted = desk.busted(ENTRY, trade)
    assert isinstance(busted, TradeBusted)
    desk.say(msgspec.structs.replace(busted, leaves_quantity=Decimal(10)))
    desk.fire("valid_until")
    assert "cancel entry" in desk.new()


def test_a_suspended_exit_is_told(desk: Desk) -> None:
    desk.begin_long_10()
    stop = desk.sent(STOP).cl_ord_ids[-1]
    desk.say(OrderReported(cl_ord_id=stop, exec_type="9", order_status="9", at=desk.now))
    assert desk.new() == ["alert ORDER_SUSPENDED"]


def test_a_close_waits_for_an_exit_that_the_venue_refuses_to_cancel_as_long_as_closing_is_tried(desk: Desk) -> None:
    desk.begin(bracket_spec(valid_for=None))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.rejected(STOP, "price already through"), desk.accepted(TAKE_PROFIT))
    for _ in range(10):
        desk.say(desk.refused(TAKE_PROFIT, 2, "0"))
        desk.fire("retry_cancel_take_profit")
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new()[-1] == "submit close sell 10"
    desk.say(desk.filled(CLOSE, 10))
    assert desk.outcome == "closed"


def test_a_price_that_the_venue_changes_is_asked_back_once_and_then_left_alone(desk: Desk) -> None:
    desk.begin_long_10()
    restated = msgspec.structs.replace(desk.restated(STOP, 10), stop_price=Decimal(2960))
    desk.say(restated)
    assert desk.new() == ["replace stop 10", "alert ORDER_RESTATED"]
    desk.say(desk.replaced(STOP))
    restated = msgspec.structs.replace(desk.restated(STOP, 10), stop_price=Decimal(2960))
    desk.say(restated)
    assert desk.new() == ["alert ORDER_RESTATED"]
    assert desk.order(STOP).stop_price == 2960


def test_an_order_of_which_the_venue_counts_more_than_it_has_reported_is_not_over(desk: Desk) -> None:
    desk.begin(bracket_spec(valid_for=None))
    desk.say(desk.accepted(ENTRY))
    desk.say(msgspec.structs.replace(desk.canceled_unasked(ENTRY), cum_quantity=Decimal(4)))
    assert desk.new()[1:] == ["alert CUM_MISMATCH"]
    assert desk.outcome == "(open)"
    desk.say(desk.filled(ENTRY, 4))
    assert desk.new() == ["submit stop sell 4", "submit take_profit sell 4"]


def test_executions_that_are_never_reported_are_waited_for_until_a_person_ends_it(desk: Desk) -> None:
    desk.begin(single_spec(valid_for=None))
    desk.say(msgspec.structs.replace(desk.canceled_unasked(ENTRY), cum_quantity=Decimal(4)))
    assert desk.outcome == "(open)"
    desk.do(CancelRequested())
    assert desk.outcome == "canceled"


def test_what_a_split_has_put_into_other_units_is_left_to_a_person(desk: Desk) -> None:
    desk.begin_long_10()
    split = msgspec.structs.replace(desk.restated(STOP, 20), stop_price=Decimal(1475), reason_code=0)
    desk.say(split)
    assert desk.new() == ["alert ORDER_RESCALED", "alert ORDER_RESTATED"]
    assert desk.leaves(STOP) == 20
    desk.do(CancelRequested(mode="flatten"))
    assert "cancel stop" in desk.new()


def test_a_stop_may_go_to_where_nothing_is_lost_any_more(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, stop_price="3010")
    assert desk.new() == ["replace stop 10 at 3010"]


def test_failures_with_exactly_an_hour_between_them_are_in_a_row(desk: Desk) -> None:
    desk.begin_long_10()
    first = desk.now
    for hours in range(3):
        desk.now = first + timedelta(hours=hours)
        desk.say(desk.canceled_unasked(STOP))
        if hours < 2:
            desk.say(desk.accepted(STOP))
    assert desk.new()[-2:] == ["cancel take_profit", "alert STOP_CANCELED"], "the third one closes"


def test_a_quantity_is_asked_for_at_the_price_that_works_where_another_price_was_refused_for_good(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, stop_price="2990")
    refuse_three_times(desk, "replace", "stop")
    desk.new()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    assert desk.new() == ["replace stop 6"]
    request = desk.sent(STOP).requests[0]
    assert isinstance(request, ReplaceOrder)
    assert request.stop_price == 2950


def test_another_quantity_may_be_refused_as_often_as_the_one_before(desk: Desk) -> None:
    desk.order_matters = "refusals are counted until another quantity is wanted"
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 1))
    for _ in range(2):
        desk.say(desk.refused(STOP, 2, "0"))
        desk.fire("retry_replace_stop")
    desk.say(desk.filled(TAKE_PROFIT, 1))
    desk.new()
    desk.say(desk.refused(STOP, 2, "0"))
    assert desk.new() == ["replace stop 8", "alert REPLACE_REJECTED"]
    desk.say(desk.refused(STOP, 2, "0"))
    assert desk.new() == ["alert REPLACE_REJECTED", "timer retry_replace_stop"]


def test_a_retry_of_one_order_does_not_end_the_wait_for_the_report_of_another(desk: Desk) -> None:
    desk.begin_long_10()
    desk.do(CancelRequested(mode="flatten"))
    desk.say(desk.refused(STOP, 2, "0"), desk.refused(TAKE_PROFIT, 0, "2"))
    desk.new()
    desk.fire("retry_cancel_stop")
    assert desk.new() == ["cancel stop"]


def test_who_keeps_the_exits_has_a_refused_price_asked_for_again(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, stop_price="2990")
    refuse_three_times(desk, "replace", "stop")
    desk.new()
    desk.do(CancelRequested(mode="keep_exits"))
    assert desk.new() == ["replace stop 10 at 2990"]


def test_who_amends_has_a_refused_price_asked_for_again(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, stop_price="2990")
    refuse_three_times(desk, "replace", "stop")
    desk.new()
    amend(desk, stop_price="2990")
    assert desk.new() == ["replace stop 10 at 2990"]


def test_a_take_profit_that_was_given_up_is_sent_again_with_an_amended_price(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.accepted(STOP), desk.rejected(TAKE_PROFIT, "not supported"))
    desk.new()
    amend(desk, take_profit_price="3060")
    assert desk.new() == ["submit take_profit sell 10"]


def test_what_waits_to_be_tried_again_still_waits_after_an_amendment(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.accepted(STOP), desk.rejected(TAKE_PROFIT, "try later"))
    desk.new()
    amend(desk, stop_price="2960")
    assert desk.new() == ["replace stop 10 at 2960"]
    desk.fire("retry_submit_take_profit")
    assert desk.new() == ["submit take_profit sell 10"]


def test_a_limit_that_the_venue_rounds_is_left_alone_also_where_the_quantity_changes(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, take_profit_price="3060.003")
    desk.say(msgspec.structs.replace(desk.replaced(TAKE_PROFIT), limit_price=Decimal(3060)))
    desk.new()
    desk.say(desk.filled(STOP, 4))
    assert desk.new() == ["replace take_profit 6 at 3060"]
    desk.say(desk.replaced(TAKE_PROFIT))
    assert desk.new() == []


def test_a_price_that_the_venue_changes_with_a_quantity_is_told_and_asked_back(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.new()
    desk.say(msgspec.structs.replace(desk.replaced(STOP), stop_price=Decimal(2960)))
    assert desk.new() == ["replace stop 6", "alert PRICE_NOT_AS_ASKED"]


def test_a_stop_order_whose_cancel_is_asked_for_is_not_amended_any_more(desk: Desk) -> None:
    desk.begin(single_spec(order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3100)))
    desk.say(desk.accepted(ENTRY))
    desk.do(CancelRequested())
    amend(desk, stop_price="3110")
    assert desk.alert_texts["AMEND_REFUSED"] == "single-1: stop_price: 3110: is the entry's, which is over"


def test_the_time_of_an_entry_runs_until_its_cancel_is_confirmed(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.rejected(STOP, "price already through"), desk.accepted(TAKE_PROFIT))
    assert "cancel entry" in desk.new()
    assert "valid_until" in desk.timers
    desk.say(desk.canceled(ENTRY))
    assert "valid_until" not in desk.timers


def test_a_restated_limit_order_is_told_with_its_limit(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.restated(TAKE_PROFIT, 8))
    text = "take_profit bracket-1.t3: quantity=8 limit=3050 instead of quantity=10 limit=3050"
    assert desk.alert_texts["ORDER_RESTATED"] == text


def test_an_announced_end_is_no_longer_waited_for_where_it_comes_as_one_that_nobody_asked_for(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.refused(STOP, 0, "2"))
    assert "retry_await_stop" in desk.timers
    desk.say(desk.canceled_unasked(STOP))
    assert "retry_await_stop" not in desk.timers


def test_an_announced_end_is_waited_for_also_after_another_part_has_filled(desk: Desk) -> None:
    desk.begin_long_10()
    desk.do(CancelRequested(mode="flatten"))
    desk.say(desk.refused(TAKE_PROFIT, 0, "2"))
    desk.say(desk.filled(TAKE_PROFIT, 4))
    assert "retry_await_take_profit" in desk.timers
    desk.fire("retry_await_take_profit")
    assert desk.new()[-2:] == ["cancel take_profit", "alert REPORT_MISSING"]


def test_a_replace_that_was_confirmed_may_be_refused_as_often_again_for_the_same_quantity(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    for _ in range(2):
        desk.say(desk.refused(STOP, 2, "0"))
        desk.fire("retry_replace_stop")
    desk.say(desk.replaced(STOP))
    desk.new()
    desk.say(desk.restated(STOP, 10))
    assert desk.new() == ["replace stop 6", "alert ORDER_RESTATED"]
    desk.say(desk.refused(STOP, 2, "0"))
    assert desk.new() == ["alert REPLACE_REJECTED", "timer retry_replace_stop"]


def test_an_order_in_other_units_is_cancelled_where_a_person_wants_no_more_than_has_filled(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.sent(ENTRY).cum_quantity = Decimal(8)
    desk.say(msgspec.structs.replace(desk.restated(ENTRY, 20), limit_price=Decimal(1500), reason_code=0))
    desk.new()
    amend(desk, quantity="8")
    assert desk.new() == ["cancel entry"]


def test_an_entry_that_cannot_be_made_larger_works_on_as_it_is(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    amend(desk, quantity="12")
    refuse_three_times(desk, "replace", "entry")
    assert desk.new()[-1] == "alert REPLACE_REJECTED"
    assert not desk.sent(ENTRY).requests
    assert desk.leaves(ENTRY) == 10


def test_a_refused_cancel_of_an_order_that_is_gone_does_not_hold_up_that_of_the_next_one(desk: Desk) -> None:
    desk.begin_long_10()
    take_away = AmendRequested(amendment=Amendment(no_take_profit=True))
    desk.do(take_away)
    desk.say(desk.refused(TAKE_PROFIT, 2, "0"))
    assert desk.new() == ["cancel take_profit", "alert CANCEL_REJECTED", "timer retry_cancel_take_profit"]
    desk.say(desk.canceled_unasked(TAKE_PROFIT))
    amend(desk, take_profit_price="3060")
    desk.fire("retry_submit_take_profit")
    assert desk.new()[-1] == "submit take_profit sell 10"
    desk.say(desk.accepted(TAKE_PROFIT))
    desk.do(take_away)
    assert desk.new() == ["cancel take_profit"]


def test_the_rounded_price_of_an_order_that_is_gone_says_nothing_of_the_next_one(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, stop_price="2960.003")
    desk.say(msgspec.structs.replace(desk.replaced(STOP), stop_price=Decimal(2960)))
    desk.say(desk.canceled_unasked(STOP))
    desk.say(desk.accepted(STOP))
    desk.new()
    desk.say(msgspec.structs.replace(desk.restated(STOP, 10), stop_price=Decimal(2960)))
    assert desk.new() == ["replace stop 10", "alert ORDER_RESTATED"]
