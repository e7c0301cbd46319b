"""The acceptance scenarios of brackets and single orders, by number, each in every manner of delivery.

BUY 10, entry limit 3000, stop 2950, take-profit 3050; flat before. Every report comes twice; reports said together come
in either order, with the same commands; and any two adjacent ones of different orders come swapped, with the same end
(`swapping`).
"""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from tests.trading.desk import (
    CLOSE,
    ENTRY,
    NOW,
    STOP,
    TAKE_PROFIT,
    Desk,
    bracket_spec,
    single_spec,
)
from trading.child import OrderStatus
from trading.commands import SubmitOrder
from trading.events import AmendRequested, CancelRequested, OrderNotSent, OrderReported
from trading.exposure import ExposureState, Limits, block, reserve
from trading.lifecycles import handle, start
from trading.orders import OrderType, Side
from trading.specs import Amendment
from trading.stakes import Stake


def test_01_the_take_profit_ends_it(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 10))
    assert desk.new() == ["cancel stop"]
    desk.say(desk.canceled(STOP))
    assert desk.new() == ["finish take_profit"]
    assert desk.position == 0
    assert desk.summary.filled_quantity == 10
    assert [each.status for each in desk.summary.children] == ["filled", "canceled", "filled"]


def test_02_the_stop_ends_it(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(STOP, 10))
    assert desk.new() == ["cancel take_profit"]
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["finish stop_loss"]
    assert desk.position == 0


def test_03_a_partly_filled_entry_that_the_venue_cancels_is_protected(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.canceled_unasked(ENTRY), desk.accepted(TAKE_PROFIT))
    assert desk.new()[2:] == ["submit stop sell 4", "submit take_profit sell 4"]
    assert desk.order(ENTRY).cum_quantity == 4
    assert desk.leaves(ENTRY) == 0
    assert desk.leaves(STOP) == desk.leaves(TAKE_PROFIT) == 4
    assert desk.position == 4
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.canceled(STOP))
    assert desk.new() == ["cancel stop", "finish take_profit"]
    assert desk.position == 0


def test_04_exits_grow_with_the_entry(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    assert desk.new()[2:] == ["submit stop sell 4", "submit take_profit sell 4"]
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(ENTRY, 6))
    assert desk.new() == ["replace stop 10", "replace take_profit 10"]
    desk.say(desk.replaced(STOP), desk.replaced(TAKE_PROFIT))
    assert desk.leaves(STOP) == desk.leaves(TAKE_PROFIT) == 10
    assert desk.new() == []


def test_04_exits_that_are_not_acknowledged_yet_grow_once_they_are(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.filled(ENTRY, 6))
    assert desk.new()[2:] == ["submit stop sell 4", "submit take_profit sell 4"]
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    assert Counter(desk.new()) == Counter(["replace stop 10", "replace take_profit 10"])


def test_04_fills_during_a_replace_lead_to_one_more_for_all_of_them(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 2))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    for quantity in (1, 3, 4):
        desk.say(desk.filled(ENTRY, quantity))
    assert desk.new()[4:] == ["replace stop 3", "replace take_profit 3"]
    desk.say(desk.replaced(STOP), desk.replaced(TAKE_PROFIT))
    assert Counter(desk.new()) == Counter(["replace stop 10", "replace take_profit 10"])


def test_05_an_entry_that_fills_on_after_its_exits_gets_new_ones(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.canceled(STOP))
    assert desk.new()[4:] == ["cancel stop"]
    assert desk.outcome == "(open)"
    desk.say(desk.filled(ENTRY, 6))
    assert desk.new() == ["submit stop sell 6", "submit take_profit sell 6"]
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(STOP, 6))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["cancel take_profit", "finish stop_loss"]
    assert desk.position == 0


def test_05_the_new_stop_waits_until_the_old_one_is_gone(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.filled(ENTRY, 6))
    assert desk.new()[4:] == ["cancel stop", "submit take_profit sell 6"]
    desk.say(desk.canceled(STOP), desk.accepted(TAKE_PROFIT))
    assert desk.new() == ["submit stop sell 6"]


def test_06_a_rejected_entry_is_all_there_was(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.rejected(ENTRY, "unknown symbol"))
    assert desk.new() == ["submit entry buy 10", "timer valid_until", "finish rejected"]
    assert desk.finishes[0].text == "unknown symbol"


def test_07_an_entry_that_runs_out_of_time_is_cancelled(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    assert desk.timers == {"valid_until": NOW + timedelta(seconds=60)}
    desk.fire("valid_until")
    assert desk.new()[2:] == ["cancel entry"]
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["finish expired_unfilled"]


def test_08_a_fill_that_crosses_the_cancel_is_protected(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.fire("valid_until")
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.refused(ENTRY, 0, "2"), desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    assert desk.new()[2:] == ["cancel entry", "submit stop sell 10", "submit take_profit sell 10"]
    assert desk.order(ENTRY).status is OrderStatus.FILLED
    assert desk.leaves(STOP) == desk.leaves(TAKE_PROFIT) == 10


@pytest.mark.parametrize("order_status", ["", "2"])
def test_08_the_fill_may_be_reported_after_the_refusal(desk: Desk, order_status: str) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.fire("valid_until")
    desk.say(desk.refused(ENTRY, 0, order_status))
    assert desk.new()[2:] == ["cancel entry"]
    assert desk.outcome == "(open)"
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["submit stop sell 10", "submit take_profit sell 10"]


def test_09_a_partial_take_profit_shrinks_the_stop(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    assert desk.new() == ["replace stop 6"]
    desk.say(desk.replaced(STOP))
    assert desk.new() == []
    assert desk.leaves(STOP) == desk.leaves(TAKE_PROFIT) == 6


def test_cl_ord_ids_are_counted_without_gaps() -> None:
    desk = Desk()
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.replaced(STOP))
    desk.say(desk.filled(STOP, 6))
    assert desk.sent(ENTRY).cl_ord_ids == ["bracket-1.e1"]
    assert desk.sent(STOP).cl_ord_ids == ["bracket-1.s2", "bracket-1.s4"]
    assert desk.sent(TAKE_PROFIT).cl_ord_ids == ["bracket-1.t3"]
    assert [each.cl_ord_id for each in desk.sent(TAKE_PROFIT).requests] == ["bracket-1.x5"]


def test_10_a_late_fill_of_the_other_exit_is_bought_back(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(STOP, 10))
    assert desk.new() == ["cancel take_profit"]
    desk.say(desk.filled(TAKE_PROFIT, 3))
    assert desk.new() == ["alert DOUBLE_EXIT"]
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close buy 3"]
    desk.say(desk.accepted(CLOSE))
    desk.say(desk.filled(CLOSE, 3))
    assert desk.new() == ["finish double_exit"]
    assert desk.position == 0


def test_10_the_late_fill_may_come_after_the_end(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(STOP, 10))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["cancel take_profit", "finish stop_loss"]
    desk.say(desk.filled(TAKE_PROFIT, 3))
    assert desk.new() == ["submit close buy 3", "alert DOUBLE_EXIT", "alert REOPENED"]
    desk.say(desk.filled(CLOSE, 3))
    assert desk.new() == ["finish double_exit"]
    assert desk.position == 0


def test_11_a_stop_that_was_still_too_large_is_bought_back(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 3))
    assert desk.new() == ["replace stop 7"]
    desk.say(desk.filled(STOP, 10))
    assert desk.new() == ["cancel take_profit", "alert DOUBLE_EXIT"]
    desk.say(desk.refused(STOP, 0, "2"), desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close buy 3"]
    desk.say(desk.filled(CLOSE, 3))
    assert desk.new() == ["finish double_exit"]
    assert desk.position == 0


def test_12_two_full_exits_are_bought_back_with_exactly_one_order(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(STOP, 10), desk.filled(TAKE_PROFIT, 10))
    [cancel, *told] = desk.new()
    assert cancel.startswith("cancel")
    assert told == ["alert DOUBLE_EXIT", "block IBM"]
    asked = next(each for each in desk.book if each.requests)
    desk.say(desk.refused(asked.role, 0, "2"))
    assert desk.new() == ["submit close buy 10"]
    desk.say(desk.accepted(CLOSE))
    desk.say(desk.filled(CLOSE, 6))
    desk.say(desk.filled(CLOSE, 4))
    assert desk.new() == ["finish double_exit"]
    assert desk.position == 0


def test_12_the_symbol_is_denied_until_someone_lifts_it() -> None:
    limits = Limits(
        max_order_notional=Decimal(10**6), max_symbol_notional=Decimal(10**6), max_gross_notional=Decimal(10**6)
    )
    state = block(ExposureState(), "IBM", "DOUBLE_EXIT")
    stake = Stake(symbol="IBM", side=Side.BUY, quantity=Decimal(10), price=Decimal(3000))
    _, decision = reserve(state, limits, "next", [stake])
    assert decision.reason == "SYMBOL_BLOCKED: symbol=IBM reason=DOUBLE_EXIT"


def test_13_a_refused_replace_whose_stop_has_filled(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    assert desk.new() == ["replace stop 6"]
    desk.say(desk.refused(STOP, 0, "2"))
    assert desk.new() == []
    desk.say(desk.filled(STOP, 10))
    assert desk.new() == ["cancel take_profit", "alert DOUBLE_EXIT"]
    assert desk.order(STOP).status is OrderStatus.FILLED
    assert desk.order(STOP).cl_ord_ids == ("bracket-1.s2",)
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close buy 4"]
    desk.say(desk.filled(CLOSE, 4))
    assert desk.new() == ["finish double_exit"]
    assert desk.position == 0


def test_14_an_order_that_fills_to_its_new_quantity_is_complete(desk: Desk) -> None:
    desk.begin(bracket_spec(quantity=Decimal(10000)))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10000))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(TAKE_PROFIT, 3000))
    assert desk.new()[4:] == ["replace stop 7000"]
    desk.say(desk.filled(STOP, 7000))
    assert desk.new() == ["cancel take_profit"]
    desk.say(desk.replaced(STOP), desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["finish stop_loss"]
    assert desk.order(STOP).status is OrderStatus.FILLED
    assert desk.order(STOP).cum_quantity == 7000
    assert desk.position == 0


def test_15_pending_cancel_until_the_cancel_is_refused(desk: Desk) -> None:
    desk.begin(single_spec(quantity=Decimal(10000)))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 2000))
    desk.say(desk.filled(ENTRY, 3000))
    desk.do(CancelRequested())
    desk.say(OrderReported(cl_ord_id="single-1.x2", exec_type="6", order_status="6", at=desk.now))
    desk.say(desk.filled(ENTRY, 5000))
    assert desk.order(ENTRY).status is OrderStatus.PENDING_CANCEL
    assert desk.order(ENTRY).cum_quantity == 10000
    assert desk.new()[2:] == ["cancel entry"]
    desk.say(desk.refused(ENTRY, 0, "2"))
    assert desk.order(ENTRY).status is OrderStatus.FILLED
    assert desk.new() == ["finish filled"]


def test_16_a_rejected_stop_closes_the_position(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.rejected(STOP, "price already through"), desk.accepted(TAKE_PROFIT))
    assert desk.new()[4:] == ["cancel take_profit", "alert STOP_REJECTED"]
    assert "price already through" in desk.alert_texts["STOP_REJECTED"]
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close sell 10"]
    desk.say(desk.filled(CLOSE, 10))
    assert desk.new() == ["finish closed"]
    assert desk.position == 0


def test_16_only_what_the_take_profit_left_is_closed(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.accepted(TAKE_PROFIT), desk.rejected(STOP, "price already through"))
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new()[-1] == "submit close sell 6"


def test_16_closing_is_tried_again_when_it_is_refused(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.rejected(STOP, "price already through"))
    desk.say(desk.canceled(TAKE_PROFIT))
    desk.new()
    for _ in range(29):
        desk.say(desk.rejected(CLOSE, "closed"))
        assert desk.new() == ["alert CLOSE_REJECTED", "timer retry_submit_close"]
        desk.fire("retry_submit_close")
        assert desk.new() == ["submit close sell 10"]
    desk.say(desk.rejected(CLOSE, "closed"))
    assert desk.new() == ["alert CLOSE_REJECTED"]
    assert desk.outcome == "(open)"
    desk.do(CancelRequested(mode="flatten"))
    assert desk.new() == ["submit close sell 10"]


def test_16_the_tries_grow_apart_up_to_five_minutes() -> None:
    desk = Desk()
    desk.begin(bracket_spec())
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.rejected(STOP, "price already through"))
    desk.say(desk.canceled(TAKE_PROFIT))
    delays = []
    for _ in range(10):
        asked_at = desk.now
        desk.say(desk.rejected(CLOSE, "closed"))
        delays.append((desk.timers["retry_submit_close"] - asked_at).total_seconds())
        desk.fire("retry_submit_close")
    planned = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert all(least <= delay <= 1.1 * least for delay, least in zip(delays, planned, strict=True))


def test_17_a_rejected_take_profit_is_tried_again_and_then_done_without(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.accepted(STOP), desk.rejected(TAKE_PROFIT, "price band"))
    assert desk.new()[4:] == ["alert TAKE_PROFIT_REJECTED", "timer retry_submit_take_profit"]
    desk.fire("retry_submit_take_profit")
    desk.say(desk.rejected(TAKE_PROFIT, "price band"))
    assert desk.new() == ["submit take_profit sell 10", "alert TAKE_PROFIT_REJECTED", "timer retry_submit_take_profit"]
    desk.fire("retry_submit_take_profit")
    desk.say(desk.rejected(TAKE_PROFIT, "price band"))
    assert desk.new() == ["submit take_profit sell 10", "alert TAKE_PROFIT_REJECTED"]
    assert desk.leaves(STOP) == 10
    desk.say(desk.filled(STOP, 10))
    assert desk.new() == ["finish stop_loss"]


def test_18_a_stop_that_turns_out_to_be_at_the_venue_is_not_sent_again(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    stop = desk.sent(STOP).cl_ord_ids[0]
    desk.say(OrderReported(cl_ord_id=stop, exec_type="I", order_status="0", at=desk.now), desk.accepted(TAKE_PROFIT))
    assert desk.order(STOP).status is OrderStatus.NEW
    desk.say(desk.accepted(STOP))
    assert desk.new()[2:] == ["submit stop sell 10", "submit take_profit sell 10"]


def test_19_a_stop_that_the_venue_does_not_have_is_left_to_the_session(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    stop = desk.sent(STOP).cl_ord_ids[0]
    desk.say(OrderReported(cl_ord_id=stop, exec_type="I", order_status="8", at=desk.now), desk.accepted(TAKE_PROFIT))
    desk.say(desk.accepted(STOP))
    assert desk.new()[2:] == ["submit stop sell 10", "submit take_profit sell 10"]
    assert desk.leaves(STOP) == 10


def test_20_the_same_fill_handled_again_gives_the_same_exits() -> None:
    first, second = Desk(), Desk()
    for desk in (first, second):
        desk.begin(bracket_spec())
        desk.say(desk.accepted(ENTRY))
    fill = first.filled(ENTRY, 10)
    commands = [handle(desk.state, fill, NOW)[1] for desk in (first, first, second)]
    assert commands[0] == commands[1] == commands[2]
    assert [each.cl_ord_id for each in commands[0] if isinstance(each, SubmitOrder)] == ["bracket-1.s2", "bracket-1.t3"]


def test_21_a_late_fill_of_a_take_profit_that_was_taken_away_counts(desk: Desk) -> None:
    desk.begin_long_10()
    desk.do(AmendRequested(amendment=Amendment(no_take_profit=True)))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["cancel take_profit"]
    desk.say(desk.filled(TAKE_PROFIT, 3))
    assert desk.new() == ["replace stop 7"]
    desk.say(desk.replaced(STOP))
    order = desk.order(TAKE_PROFIT)
    assert order.status is OrderStatus.CANCELED
    assert order.cum_quantity == 3
    assert order.leaves_quantity == 0
    assert desk.leaves(STOP) == 7
    desk.say(desk.filled(STOP, 7))
    assert desk.new() == ["finish stop_loss"]
    assert desk.position == 0


def test_21_a_late_fill_of_a_take_profit_that_the_venue_cancelled_counts(desk: Desk) -> None:
    desk.begin_long_10()
    old = desk.sent(TAKE_PROFIT)
    desk.say(desk.canceled_unasked(TAKE_PROFIT))
    desk.say(desk.filled(TAKE_PROFIT, 3, of=old))
    assert desk.new() == ["alert TAKE_PROFIT_CANCELED", "timer retry_submit_take_profit", "replace stop 7"]
    desk.say(desk.replaced(STOP))
    assert desk.leaves(STOP) == 7
    desk.fire("retry_submit_take_profit")
    assert desk.new() == ["submit take_profit sell 7"]


def test_a_take_profit_that_is_given_again_is_for_what_is_open(desk: Desk) -> None:
    desk.begin(bracket_spec(take_profit_price=None))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.accepted(STOP))
    assert desk.new()[2:] == ["submit stop sell 10"]
    desk.do(AmendRequested(amendment=Amendment(take_profit_price=Decimal(3050))))
    assert desk.new() == ["submit take_profit sell 10"]


def test_22_a_busted_trade_of_a_cancelled_order_never_was(desk: Desk) -> None:
    desk.begin(single_spec(quantity=Decimal(10000)))
    desk.say(desk.accepted(ENTRY))
    trade = desk.filled(ENTRY, 5000, 50)
    desk.say(trade)
    desk.do(CancelRequested())
    desk.say(desk.canceled(ENTRY))
    assert desk.new()[2:] == ["cancel entry", "finish canceled"]
    desk.say(desk.busted(ENTRY, trade))
    assert desk.new() == ["alert TRADE_BUSTED", "alert LATE_FILL", "finish canceled"]
    assert desk.order(ENTRY).cum_quantity == 0
    assert desk.order(ENTRY).status is OrderStatus.CANCELED
    desk.say(desk.filled(ENTRY, 4000, 51))
    assert desk.order(ENTRY).cum_quantity == 4000
    assert desk.order(ENTRY).average_price == 51
    assert desk.order(ENTRY).status is OrderStatus.CANCELED
    assert desk.position == 4000


def test_23_a_corrected_price_changes_the_average_and_no_exit(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    trade = desk.filled(ENTRY, 10)
    desk.say(trade)
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.new()
    desk.say(desk.corrected(trade, 10, 2999))
    assert desk.new() == []
    assert desk.order(ENTRY).cum_quantity == 10
    assert desk.summary.average_price == 2999


def test_24_an_overfill_is_counted_and_bought_back(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.replaced(STOP))
    desk.say(desk.filled(TAKE_PROFIT, 6))
    assert desk.new() == ["replace stop 6", "cancel stop"]
    desk.say(desk.filled(TAKE_PROFIT, 6))
    assert desk.new() == ["alert OVERFILL", "alert DOUBLE_EXIT"]
    assert desk.order(TAKE_PROFIT).cum_quantity == 16
    assert desk.position == -6
    desk.say(desk.canceled(STOP))
    assert desk.new() == ["submit close buy 6"]
    desk.say(desk.filled(CLOSE, 6))
    assert desk.new() == ["finish double_exit"]
    assert desk.position == 0


def test_25_a_stop_that_the_venue_cancels_is_placed_again(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.canceled_unasked(STOP))
    assert desk.new() == ["submit stop sell 10", "alert STOP_CANCELED"]
    desk.say(desk.rejected(STOP, "no more stops"))
    assert desk.new() == ["cancel take_profit", "alert STOP_REJECTED"]
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close sell 10"]


def test_25_a_stop_that_does_not_last_closes_the_position(desk: Desk) -> None:
    desk.begin_long_10()
    for _ in range(2):
        desk.say(desk.canceled_unasked(STOP))
        assert desk.new() == ["submit stop sell 10", "alert STOP_CANCELED"]
        desk.say(desk.accepted(STOP))
    desk.say(desk.canceled_unasked(STOP))
    assert desk.new() == ["cancel take_profit", "alert STOP_CANCELED"]
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close sell 10"]


def test_26_a_restated_stop_is_brought_back(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.restated(STOP, 8))
    assert desk.leaves(STOP) == 8
    assert desk.new() == ["replace stop 10", "alert ORDER_RESTATED"]
    desk.say(desk.replaced(STOP))
    assert desk.leaves(STOP) == 10
    assert desk.new() == []


@pytest.mark.parametrize("mode", ["flatten", "keep_exits"])
def test_27_a_user_cancels_before_any_fill(desk: Desk, mode: str) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.do(msgspec.convert({"type": "CancelRequested", "mode": mode}, CancelRequested))
    desk.say(desk.canceled(ENTRY))
    assert desk.new()[2:] == ["cancel entry", "finish canceled"]


def test_27_a_user_flattens_with_4_filled(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.new()
    desk.do(CancelRequested(mode="flatten"))
    assert desk.new() == ["cancel entry", "cancel stop", "cancel take_profit"]
    desk.say(desk.canceled(ENTRY), desk.canceled(STOP))
    assert desk.new() == []
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close sell 4"]
    assert desk.sent(CLOSE).quantity == 4
    desk.say(desk.filled(CLOSE, 4))
    assert desk.new() == ["finish closed"]
    assert desk.position == 0


def test_27_a_user_keeps_the_exits_with_4_filled(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.new()
    desk.do(CancelRequested(mode="keep_exits"))
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["cancel entry"]
    assert desk.leaves(STOP) == desk.leaves(TAKE_PROFIT) == 4
    desk.say(desk.filled(STOP, 4))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["cancel take_profit", "finish stop_loss"]


def test_40_an_order_that_never_left_ends_as_not_sent(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.fire("valid_until")
    desk.do(OrderNotSent(cl_ord_id="bracket-1.e1", reason="no session until its deadline"))
    assert desk.new()[2:] == ["cancel entry", "alert ORDER_NOT_SENT", "finish not_sent"]


def test_40_an_entry_that_may_have_left_is_unknown_until_the_venue_was_asked(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.fire("valid_until")
    assert desk.new()[2:] == ["cancel entry"]
    desk.say(desk.refused(ENTRY, 1, "8"))
    assert "finish not_sent" not in desk.new(), "the cancel may have overtaken it"
    assert desk.outcome == "(open)"
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["submit stop sell 10", "submit take_profit sell 10"]


def test_40_the_entry_carries_its_deadline() -> None:
    for spec in (bracket_spec(), single_spec()):
        submit = start(spec, NOW)[1][0]
        assert isinstance(submit, SubmitOrder)
        assert submit.deadline == NOW + timedelta(seconds=60)


def test_41_what_was_filled_in_time_goes_on(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.new()
    desk.fire("valid_until")
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["cancel entry"]
    assert desk.leaves(STOP) == desk.leaves(TAKE_PROFIT) == 4


def test_42_a_bust_after_the_end_is_protected_again(desk: Desk) -> None:
    desk.begin_long_10()
    trade = desk.filled(TAKE_PROFIT, 10)
    desk.say(trade)
    desk.say(desk.canceled(STOP))
    assert desk.new() == ["cancel stop", "finish take_profit"]
    desk.say(desk.busted(TAKE_PROFIT, trade))
    assert desk.new() == [
        "submit stop sell 10",
        "submit take_profit sell 10",
        "alert TRADE_BUSTED",
        "alert REOPENED",
    ]
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(STOP, 10))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["cancel take_profit", "finish stop_loss"]
    assert desk.position == 0


def test_42_a_bust_after_the_end_is_closed_where_the_order_says_so(desk: Desk) -> None:
    desk.order_matters = "it is closed only if the bust comes after the end"
    desk.begin(bracket_spec(when_reopened="close"))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    trade = desk.filled(TAKE_PROFIT, 10)
    desk.say(trade)
    desk.say(desk.canceled(STOP))
    assert desk.new()[-1] == "finish take_profit"
    desk.say(desk.busted(TAKE_PROFIT, trade))
    assert "submit close sell 10" in desk.new()
    desk.say(desk.filled(CLOSE, 10))
    assert desk.new() == ["finish closed"]
    assert desk.position == 0


@pytest.mark.parametrize(("took_profit", "outcome"), [(4, "stop_loss"), (5, "stop_loss"), (6, "take_profit")])
def test_the_exit_that_traded_more_names_the_outcome(took_profit: int, outcome: str) -> None:
    desk = Desk()
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, took_profit))
    desk.say(desk.replaced(STOP))
    desk.say(desk.filled(STOP, 10 - took_profit))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.outcome == outcome


def test_exits_that_cannot_be_changed_make_room_for_new_ones(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    assert desk.new() == ["replace stop 6"]
    for _ in range(2):
        desk.say(desk.refused(STOP, 2, "0"))
        assert desk.new() == ["alert REPLACE_REJECTED", "timer retry_replace_stop"]
        desk.fire("retry_replace_stop")
        assert desk.new() == ["replace stop 6"]
    desk.say(desk.refused(STOP, 2, "0"))
    assert desk.new() == ["cancel stop", "alert REPLACE_REJECTED"]
    desk.say(desk.canceled(STOP))
    assert desk.new() == ["submit stop sell 6"]


def test_an_exit_that_cannot_be_cancelled_is_asked_to_go_for_two_hours_and_then_left_to_a_human(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(STOP, 10))
    assert desk.new() == ["cancel take_profit"]
    begun = desk.now
    for _ in range(29):
        desk.say(desk.refused(TAKE_PROFIT, 2, "0"))
        assert desk.new() == ["alert CANCEL_REJECTED", "timer retry_cancel_take_profit"]
        desk.fire("retry_cancel_take_profit")
        assert desk.new() == ["cancel take_profit"]
    assert timedelta(hours=1.5) < desk.now - begun < timedelta(hours=2.5)
    desk.say(desk.refused(TAKE_PROFIT, 2, "0"))
    assert desk.new() == ["alert CANCEL_REJECTED"]
    assert desk.outcome == "(open)"
    desk.do(CancelRequested(mode="flatten"))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["cancel take_profit", "finish stop_loss"]


def test_an_entry_that_cannot_be_cancelled_does_not_keep_the_rest_from_being_closed(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.do(CancelRequested(mode="flatten"))
    desk.say(desk.canceled(STOP), desk.canceled(TAKE_PROFIT))
    desk.new()
    for _ in range(2):
        desk.say(desk.refused(ENTRY, 2, "1"))
        desk.fire("retry_cancel_entry")
    desk.say(desk.refused(ENTRY, 2, "1"))
    assert desk.new().count("submit close sell 4") == 1
    desk.say(desk.filled(CLOSE, 4))
    desk.say(desk.filled(ENTRY, 6))
    assert desk.new() == ["submit close sell 6"]
    desk.say(desk.filled(CLOSE, 6))
    assert desk.new() == ["finish closed"]
    assert desk.position == 0


def test_a_take_profit_that_does_not_last_is_done_without(desk: Desk) -> None:
    desk.begin_long_10()
    for _ in range(2):
        desk.say(desk.canceled_unasked(TAKE_PROFIT))
        desk.fire("retry_submit_take_profit")
        desk.say(desk.accepted(TAKE_PROFIT))
    assert (
        desk.new() == ["alert TAKE_PROFIT_CANCELED", "timer retry_submit_take_profit", "submit take_profit sell 10"] * 2
    )
    desk.say(desk.restated(TAKE_PROFIT, 7))
    assert desk.new() == ["cancel take_profit", "alert ORDER_RESTATED"]
    desk.say(desk.canceled(TAKE_PROFIT))
    desk.say(desk.filled(STOP, 10))
    assert desk.new() == ["finish stop_loss"]


def test_an_acknowledged_stop_that_the_venue_does_not_know_is_placed_again(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.refused(STOP, 1, "8"))
    assert desk.new() == ["replace stop 6", "submit stop sell 6", "alert ORDER_UNKNOWN", "alert STOP_UNKNOWN"]


def test_a_busted_entry_takes_its_exits_with_it(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    trade = desk.filled(ENTRY, 10)
    desk.say(trade)
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.new()
    desk.say(desk.busted(ENTRY, trade))
    assert desk.new() == ["cancel stop", "cancel take_profit", "alert TRADE_BUSTED"]
    desk.say(desk.canceled(STOP), desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["finish busted"]


def test_a_short_bracket_is_the_mirror_image(desk: Desk) -> None:
    desk.begin(bracket_spec(side=Side.SELL, stop_price=Decimal(3050), take_profit_price=Decimal(2950)))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    assert desk.new()[2:] == ["submit stop buy 10", "submit take_profit buy 10"]
    desk.say(desk.filled(STOP, 10), desk.filled(TAKE_PROFIT, 2))
    assert desk.new().count("alert DOUBLE_EXIT") == 1
    for each in [each for each in desk.book if each.requests]:
        status = "4" if each.leaves else "2"
        desk.say(desk.canceled(each.role) if status == "4" else desk.refused(each.role, 0, status))
    assert desk.new() == ["submit close sell 2"]


def test_the_exits_are_a_stop_and_a_limit_at_the_asked_prices() -> None:
    desk = Desk()
    desk.begin(bracket_spec())
    _, commands = handle(desk.state, desk.filled(ENTRY, 10), NOW)
    stop, take_profit = (each for each in commands if isinstance(each, SubmitOrder))
    assert (stop.order_type, stop.stop_price, stop.limit_price) == (OrderType.STOP, Decimal(2950), None)
    assert (take_profit.order_type, take_profit.stop_price, take_profit.limit_price) == (
        OrderType.LIMIT,
        None,
        Decimal(3050),
    )


def test_an_entry_that_is_busted_after_its_take_profit_is_no_double_exit(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    entered = desk.filled(ENTRY, 10)
    desk.say(entered)
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(TAKE_PROFIT, 10))
    desk.say(desk.canceled(STOP))
    desk.new()
    desk.say(desk.busted(ENTRY, entered))
    assert desk.new() == ["submit close buy 10", "alert TRADE_BUSTED", "alert REOPENED"]
    desk.say(desk.filled(CLOSE, 10))
    assert desk.new() == ["finish busted"]
    assert desk.position == 0


def test_one_exit_that_trades_after_the_entry_was_busted_blocks_nothing(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    entered = desk.filled(ENTRY, 10)
    desk.say(entered)
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.busted(ENTRY, entered))
    desk.new()
    desk.say(desk.filled(TAKE_PROFIT, 10))
    desk.say(desk.refused(TAKE_PROFIT, 0, "2"), desk.canceled(STOP))
    assert desk.new() == ["alert DOUBLE_EXIT", "submit close buy 10"]
