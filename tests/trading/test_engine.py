"""What every lifecycle shares: what is asked of the venue, what is tried again, whom is told, and the end."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from tests.trading.desk import CLOSE, ENTRY, NOW, STOP, TAKE_PROFIT, Desk, bracket_spec, single_spec
from trading.commands import CancelOrder, ReplaceOrder, SubmitOrder
from trading.events import (
    AmendRequested,
    CancelRequested,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderNotSent,
    OrderRejected,
    PriceTouched,
    TimerFired,
    TradingHalted,
)
from trading.lifecycles import handle, start
from trading.orders import OrderType, Side, TimeInForce
from trading.retry import RetryPolicy
from trading.specs import Amendment, AtEnd, Leg, MultiLegSpec, OcoEntry, OcoSpec, Trail, TrailingSpec, TwapSpec

BREAKOUT = OcoSpec(
    order_id="oco-1",
    symbol="IBM",
    entries=(
        OcoEntry(side=Side.BUY, quantity=Decimal(10), order_type=OrderType.STOP, price=Decimal(3050)),
        OcoEntry(side=Side.SELL, quantity=Decimal(10), order_type=OrderType.STOP, price=Decimal(2950)),
    ),
)
SPREAD = MultiLegSpec(
    order_id="spread-1",
    legs=(
        Leg(symbol="A", side=Side.BUY, quantity=Decimal(100), price=Decimal(50)),
        Leg(symbol="B", side=Side.SELL, quantity=Decimal(100), price=Decimal(60)),
    ),
)


def amend(desk: Desk, **changes: int) -> None:
    values = {name: Decimal(value) for name, value in changes.items()}
    desk.do(AmendRequested(amendment=msgspec.convert(values, Amendment)))


# What is asked of the venue


def test_an_entry_is_sent_with_all_that_the_spec_says() -> None:
    _, commands = start(bracket_spec(valid_for=None, time_in_force=TimeInForce.DAY), NOW)
    assert commands == [
        SubmitOrder(
            cl_ord_id="bracket-1.e1",
            symbol="IBM",
            side=Side.BUY,
            quantity=Decimal(10),
            order_type=OrderType.LIMIT,
            limit_price=Decimal(3000),
            time_in_force=TimeInForce.DAY,
        )
    ]


def test_a_stop_entry_waits_for_its_price_at_the_venue() -> None:
    _, commands = start(bracket_spec(entry_type=OrderType.STOP, valid_for=None), NOW)
    assert commands == [
        SubmitOrder(
            cl_ord_id="bracket-1.e1",
            symbol="IBM",
            side=Side.BUY,
            quantity=Decimal(10),
            order_type=OrderType.STOP,
            stop_price=Decimal(3000),
        )
    ]


def test_exits_have_no_deadline_since_a_position_has_none() -> None:
    desk = Desk()
    desk.begin(bracket_spec())
    _, commands = handle(desk.state, desk.filled(ENTRY, 10), NOW)
    submits = [each for each in commands if isinstance(each, SubmitOrder)]
    assert [each.deadline for each in submits] == [None, None]


def test_a_replace_says_all_of_the_order_as_it_is_to_be(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    assert desk.sent(STOP).requests == [
        ReplaceOrder(
            cl_ord_id="bracket-1.s4",
            orig_cl_ord_id="bracket-1.s2",
            symbol="IBM",
            side=Side.SELL,
            quantity=Decimal(6),
            order_type=OrderType.STOP,
            stop_price=Decimal(2950),
        )
    ]


def test_a_cancel_says_which_order_it_is_about(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 10))
    assert desk.sent(STOP).requests == [
        CancelOrder(
            cl_ord_id="bracket-1.x4",
            orig_cl_ord_id="bracket-1.s2",
            symbol="IBM",
            side=Side.SELL,
            quantity=Decimal(10),
        )
    ]


def test_a_day_order_is_replaced_by_a_day_order(desk: Desk) -> None:
    desk.begin(single_spec(time_in_force=TimeInForce.DAY))
    desk.say(desk.accepted(ENTRY))
    amend(desk, limit_price=2990)
    request = desk.sent(ENTRY).requests[0]
    assert isinstance(request, ReplaceOrder)
    assert request.time_in_force is TimeInForce.DAY


def test_an_order_may_be_made_as_small_as_what_has_filled(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    amend(desk, quantity=4)
    assert desk.new()[2:] == ["cancel entry"], "no venue replaces an order by one that has nothing left"
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["finish filled"]


# What is tried again


def test_an_exit_that_cannot_be_made_larger_makes_room_for_a_larger_one(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(ENTRY, 6))
    desk.say(desk.replaced(TAKE_PROFIT))
    for _ in range(2):
        desk.say(desk.refused(STOP, 2, "0"))
        desk.fire("retry_replace_stop")
    desk.new()
    desk.say(desk.refused(STOP, 2, "0"))
    assert desk.new() == ["cancel stop", "alert REPLACE_REJECTED"]
    desk.say(desk.refused(STOP, 2, "0"))
    assert desk.new() == ["alert CANCEL_REJECTED", "timer retry_cancel_stop"], "not at once"
    desk.fire("retry_cancel_stop")
    assert desk.new() == ["cancel stop"]
    desk.say(desk.canceled(STOP))
    assert desk.new() == ["submit stop sell 10"]


def test_a_replace_that_succeeds_lets_the_next_one_be_refused_as_often_again(desk: Desk) -> None:
    desk.begin_long_10()
    for filled in (1, 2):
        desk.say(desk.filled(TAKE_PROFIT, filled))
        desk.new()
        for _ in range(2):
            desk.say(desk.refused(STOP, 2, "0"))
            assert desk.new() == ["alert REPLACE_REJECTED", "timer retry_replace_stop"]
            desk.fire("retry_replace_stop")
            assert desk.new() == [f"replace stop {desk.leaves(TAKE_PROFIT)}"]
        desk.say(desk.replaced(STOP))
        assert desk.new() == []


def test_what_has_filled_by_a_late_replace_is_no_overfill(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    amend(desk, quantity=7)
    desk.say(desk.refused(ENTRY, 2, "0"))
    desk.fire("retry_replace_entry")
    desk.new()
    desk.say(desk.filled(ENTRY, 7))
    desk.say(desk.replaced(ENTRY))
    assert desk.new() == ["finish filled"]


def test_a_refused_replace_waits_whatever_else_the_venue_does_to_the_order(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.refused(STOP, 2, "0"))
    desk.new()
    desk.say(desk.restated(STOP, 9))
    assert desk.new() == ["alert ORDER_RESTATED"]
    desk.fire("retry_replace_stop")
    assert desk.new() == ["replace stop 6"]


def test_a_timer_lets_only_that_be_tried_again_which_it_was_set_for(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.rejected(TAKE_PROFIT, "try later"))
    desk.say(desk.filled(ENTRY, 6))
    desk.say(desk.refused(STOP, 2, "0"))
    desk.new()
    desk.fire("retry_submit_take_profit")
    assert desk.new() == ["submit take_profit sell 10"]
    desk.fire("retry_replace_stop")
    assert desk.new() == ["replace stop 10"]


def test_orders_that_fail_together_do_not_come_back_together() -> None:
    again = []
    for order_id in ("one", "two"):
        desk = Desk()
        desk.begin(single_spec(order_id=order_id, retry=RetryPolicy(attempts=2)))
        desk.say(desk.rejected(ENTRY, "too busy"))
        again.append(desk.timers["retry_submit_entry"])
    assert again[0] != again[1]


def test_nothing_is_tried_again_after_the_time_that_the_policy_gives_it(desk: Desk) -> None:
    desk.begin(single_spec(valid_for=None, retry=RetryPolicy(attempts=10, delay=40, factor=1, within=60)))
    desk.say(desk.rejected(ENTRY, "too busy"))
    desk.fire("retry_submit_entry")
    desk.new()
    desk.say(desk.rejected(ENTRY, "too busy"))
    assert desk.new() == ["finish rejected"]


def test_a_cancel_is_asked_for_again_by_a_user_where_the_end_that_the_venue_told_of_does_not_come(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    desk.do(CancelRequested())
    desk.say(desk.refused(ENTRY, 0, "2"))
    assert desk.new()[2:] == ["cancel entry"]
    desk.do(CancelRequested())
    assert desk.new() == ["cancel entry"]


def test_what_the_venue_has_ended_is_not_sent_again_although_a_rejected_one_would_be(desk: Desk) -> None:
    desk.begin(single_spec(retry=RetryPolicy(attempts=3)))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.canceled_unasked(ENTRY))
    assert "submit entry buy 10" not in desk.new()[2:]
    assert desk.outcome == "canceled"


# Prices


def test_a_touch_that_changes_nothing_is_waited_for_again(desk: Desk) -> None:
    """Whoever watches prices tells of a watch once."""
    desk.begin(
        TrailingSpec(
            order_id="trail-1",
            symbol="IBM",
            side=Side.BUY,
            quantity=Decimal(10),
            entry_type=None,
            start_price=Decimal(3000),
            trail=Trail(amount=Decimal(50), step=Decimal(10), tick=Decimal(1)),
        )
    )
    assert desk.new() == ["submit stop sell 10", "watch above 3010"]
    early = PriceTouched(symbol="IBM", watch=1, price=Decimal(3009), at=desk.now)
    desk.do(early)
    assert desk.new() == ["watch above 3010"]
    assert desk.watches["IBM"].number == 2
    desk.do(early)
    assert desk.new() == [], "that watch is over"


# Whom is told


def test_a_report_of_an_unknown_order_is_told_with_its_name(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(OrderAccepted(cl_ord_id="bracket-1.e7", at=desk.now))
    assert "bracket-1 has no child bracket-1.e7: OrderAccepted(" in desk.alert_texts["UNKNOWN_CHILD"]


def test_a_report_under_an_id_of_the_venues_own_is_about_the_order_that_it_names(desk: Desk) -> None:
    desk.begin_long_10()
    stop = desk.sent(STOP).cl_ord_ids[0]
    desk.say(OrderCanceled(cl_ord_id="venue-7", orig_cl_ord_id=stop, cum_quantity=Decimal(0), at=desk.now))
    assert desk.new() == ["submit stop sell 10", "alert STOP_CANCELED"]
    assert desk.alert_texts["STOP_CANCELED"] == "bracket-1.s2 canceled: not asked for"


def test_a_refused_cancel_is_told_in_the_venues_words(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(STOP, 10))
    desk.say(desk.refused(TAKE_PROFIT, 2, "0"))
    text = "take_profit bracket-1.t3: no (CxlRejReason 2, OrdStatus 0)"
    assert desk.alert_texts["CANCEL_REJECTED"] == text


def test_a_refused_replace_is_told_in_the_venues_words(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.refused(STOP, 2, "0"))
    assert desk.alert_texts["REPLACE_REJECTED"] == "stop bracket-1.s2: no (CxlRejReason 2, OrdStatus 0)"


def test_a_stop_that_the_venue_does_not_know_is_told_in_its_words(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.refused(STOP, 1, "8"))
    assert desk.alert_texts["ORDER_UNKNOWN"] == "stop bracket-1.s2: no (CxlRejReason 1, OrdStatus 8)"
    assert desk.alert_texts["STOP_UNKNOWN"] == "bracket-1.s2 unknown: no"


@pytest.mark.parametrize(("reason", "told"), [("halted", "halted"), ("", "no reason given")])
def test_a_request_that_the_session_refuses_is_told_with_the_reason(desk: Desk, reason: str, told: str) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    desk.do(CancelRequested())
    desk.say(OrderRejected(cl_ord_id="single-1.x2", reason=reason, at=desk.now))
    assert desk.alert_texts["CANCEL_REJECTED"] == f"entry single-1.e1: {told}"


def test_a_request_that_never_left_is_told_with_what_became_of_it(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    desk.do(CancelRequested())
    desk.do(OrderNotSent(cl_ord_id="single-1.x2", reason="no session"))
    assert "no session" in desk.alert_texts["CANCEL_REJECTED"]


def test_a_restated_order_is_told_with_both_quantities(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.restated(STOP, 8))
    assert (
        desk.alert_texts["ORDER_RESTATED"] == "stop bracket-1.s2: quantity=8 stop=2950 instead of quantity=10 stop=2950"
    )


def test_a_busted_trade_is_told_with_its_numbers(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    trade = desk.filled(ENTRY, 10)
    desk.say(trade)
    desk.say(desk.busted(ENTRY, trade))
    assert desk.alert_texts["TRADE_BUSTED"] == "entry bracket-1.e1: 10 at 3000, ExecID T1"


def test_an_overfill_is_told_with_its_numbers(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.filled(ENTRY, 2))
    assert desk.alert_texts["OVERFILL"] == "entry single-1.e1: quantity=10 traded=12"


def test_a_refused_amendment_is_told_with_field_value_and_reason(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, quantity=20)
    assert desk.alert_texts["AMEND_REFUSED"] == "bracket-1: quantity: 20: is the entry's, which is over"


def test_an_order_that_was_not_sent_is_told_with_the_reason(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.do(OrderNotSent(cl_ord_id="single-1.e1", reason="no session until its deadline"))
    assert desk.alert_texts["ORDER_NOT_SENT"] == "single-1.e1: no session until its deadline"


def test_an_order_that_is_opened_again_is_told_with_what_was_and_what_is(desk: Desk) -> None:
    desk.begin_long_10()
    trade = desk.filled(TAKE_PROFIT, 10)
    desk.say(trade)
    desk.say(desk.canceled(STOP))
    desk.say(desk.busted(TAKE_PROFIT, trade))
    was, now = "entry=10 stop=0 take_profit=10", "entry=10 stop=0 take_profit=0"
    assert desk.alert_texts["REOPENED"] == f"bracket-1 had ended as take_profit: {was}; now {now}"


# The end


def test_an_end_says_what_each_role_has_traded(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 10))
    desk.say(desk.canceled(STOP))
    assert [each.text for each in desk.finishes] == ["entry=10 stop=0 take_profit=10"]


def test_an_end_says_what_each_leg_has_traded(desk: Desk) -> None:
    desk.begin(SPREAD)
    second = desk.sent(ENTRY, 1)
    desk.say(desk.filled(ENTRY, 100))
    desk.say(desk.filled(ENTRY, 100, of=second))
    assert [each.text for each in desk.finishes] == ["entry=100 entry_1=100"]


def test_an_end_says_what_all_slices_have_traded_together(desk: Desk) -> None:
    desk.begin(
        TwapSpec(
            order_id="twap-1",
            symbol="IBM",
            side=Side.BUY,
            quantity=Decimal(20),
            duration=60,
            slices=2,
            limit_price=Decimal(100),
            at_end=AtEnd.LEAVE,
        )
    )
    desk.say(desk.filled(ENTRY, 10))
    desk.fire("slice")
    desk.say(desk.filled(ENTRY, 10))
    assert [each.text for each in desk.finishes] == ["entry=20"]


def test_an_end_without_an_order_says_nothing_more() -> None:
    desk = Desk()
    desk.begin(single_spec(order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3100), synthetic=True))
    desk.do(CancelRequested())
    assert [each.text for each in desk.finishes] == [""]


def test_an_end_without_a_trade_says_the_venues_reason(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.rejected(ENTRY, "market closed"))
    assert [each.text for each in desk.finishes] == ["market closed"]


def test_a_price_that_is_corrected_after_the_end_changes_no_outcome(desk: Desk) -> None:
    desk.begin_long_10()
    trade = desk.filled(TAKE_PROFIT, 10)
    desk.say(trade)
    desk.say(desk.canceled(STOP))
    desk.new()
    desk.say(desk.corrected(trade, 10, 3049))
    assert desk.new() == []
    assert desk.outcome == "take_profit"


def test_what_is_halted_before_it_has_filled_ends_as_halted(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.do(TradingHalted())
    desk.say(desk.canceled(ENTRY))
    assert desk.new()[2:] == ["cancel entry", "finish halted"]


def test_what_the_venue_lets_expire_half_filled_ends_as_expired(desk: Desk) -> None:
    desk.begin(single_spec(time_in_force=TimeInForce.DAY))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(OrderExpired(cl_ord_id="single-1.e1", cum_quantity=Decimal(4), at=desk.now))
    assert desk.new()[-1] == "finish expired"


def test_flatten_keeps_what_an_entry_without_exits_has_filled(desk: Desk) -> None:
    desk.begin(BREAKOUT)
    desk.say(desk.accepted(ENTRY), desk.accepted(ENTRY, desk.sent(ENTRY, 1)))
    desk.say(desk.filled(ENTRY, 4, of=desk.sent(ENTRY, 0)))
    desk.do(CancelRequested(mode="flatten"))
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 0)), desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert "submit close sell 4" not in desk.new()
    assert desk.outcome == "canceled"


# What is told of an order


def test_a_summary_tells_of_the_leg_that_has_traded_and_of_every_order(desk: Desk) -> None:
    desk.begin(BREAKOUT)
    first, second = desk.sent(ENTRY, 0), desk.sent(ENTRY, 1)
    desk.say(desk.accepted(ENTRY, first), desk.accepted(ENTRY, second))
    desk.say(desk.filled(ENTRY, 10, 2949, of=second))
    desk.say(desk.canceled(ENTRY, first))
    assert msgspec.to_builtins(desk.summary) == {
        "outcome": "filled",
        "filled_quantity": "10",
        "average_price": "2949",
        "children": [
            {
                "cl_ord_ids": ["oco-1.e1"],
                "role": "entry",
                "leg": 0,
                "symbol": "IBM",
                "side": "buy",
                "quantity": "10",
                "cum_quantity": "0",
                "average_price": "0",
                "status": "canceled",
            },
            {
                "cl_ord_ids": ["oco-1.e2"],
                "role": "entry",
                "leg": 1,
                "symbol": "IBM",
                "side": "sell",
                "quantity": "10",
                "cum_quantity": "10",
                "average_price": "2949",
                "status": "filled",
            },
        ],
    }


def test_a_summary_of_what_has_not_traded_is_all_zero(desk: Desk) -> None:
    desk.begin(single_spec(order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3100), synthetic=True))
    assert desk.new() == ["watch above 3100", "timer valid_until"]
    summary = msgspec.to_builtins(desk.summary)
    assert summary == {"outcome": "", "filled_quantity": "0", "average_price": "0", "children": []}


def test_an_entry_that_is_kept_here_can_be_amended_and_keeps_its_time(desk: Desk) -> None:
    desk.begin(single_spec(order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3100), synthetic=True))
    amend(desk, quantity=5)
    assert desk.new()[2:] == []
    assert "valid_until" in desk.timers
    desk.touch(3100)
    assert desk.new()[0] == "submit entry buy 5"


@pytest.mark.parametrize("mode", ["once", "twice"])
def test_a_stop_whose_quantity_the_venue_changes_again_and_again_is_done_without(mode: str) -> None:
    desk = Desk("twice" if mode == "twice" else "once")
    desk.begin_long_10()
    for quantity in (9, 8):
        desk.say(desk.restated(STOP, quantity))
        desk.say(desk.replaced(STOP))
    desk.new()
    desk.say(desk.restated(STOP, 7))
    assert desk.new() == ["cancel stop", "cancel take_profit", "alert ORDER_RESTATED"]
    desk.say(desk.canceled(STOP), desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close sell 10"]
    desk.say(desk.filled(CLOSE, 10))
    assert desk.new() == ["finish closed"]


@pytest.mark.parametrize(("valid_for", "good_till", "seconds"), [(60, 90, 60), (90, 60, 60), (None, 60, 60)])
def test_of_two_times_the_sooner_one_counts(valid_for: int | None, good_till: int, seconds: int) -> None:
    desk = Desk()
    desk.begin(single_spec(valid_for=valid_for, good_till=NOW + timedelta(seconds=good_till)))
    assert desk.timers == {"valid_until": NOW + timedelta(seconds=seconds)}


def test_a_timer_that_nobody_has_set_is_no_price_that_was_touched(desk: Desk) -> None:
    desk.begin(single_spec(order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3100), synthetic=True))
    desk.new()
    desk.do(TimerFired(name="slice"))
    assert desk.new() == []


def test_while_a_stop_works_again_its_successors_take_profit_is_waited_for(desk: Desk) -> None:
    desk.begin_long_10()
    trade = desk.filled(STOP, 10)
    desk.say(trade)
    desk.say(desk.canceled(TAKE_PROFIT))
    desk.say(desk.filled(ENTRY, 3))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(STOP, 3))
    desk.new()
    desk.say(msgspec.structs.replace(desk.busted(STOP, trade), leaves_quantity=Decimal(10)))
    assert [said for said in desk.new() if said.startswith("submit")] == []
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit take_profit sell 10"]
