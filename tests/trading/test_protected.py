"""A protected leg in whichever place of an order, and entries that are sent again: also where it is not the first."""

from decimal import Decimal

import msgspec
import pytest

from tests.trading.desk import CLOSE, ENTRY, STOP, TAKE_PROFIT, Desk, bracket_spec
from trading.commands import BlockSymbol
from trading.events import CancelRequested, OrderRestated
from trading.lifecycles import handle
from trading.orders import OrderType, Side
from trading.retry import RetryPolicy
from trading.specs import Leg, MultiLegSpec, OcoEntry, OcoSpec, Rung, ScaleSpec, Trail, TrailingSpec

BREAKOUT = OcoSpec(
    order_id="oco-1",
    symbol="IBM",
    entries=(
        OcoEntry(
            side=Side.BUY,
            quantity=Decimal(10),
            order_type=OrderType.STOP,
            price=Decimal(3050),
            exit_stop_price=Decimal(3000),
            exit_take_profit_price=Decimal(3150),
        ),
        OcoEntry(
            side=Side.SELL,
            quantity=Decimal(10),
            order_type=OrderType.STOP,
            price=Decimal(2950),
            exit_stop_price=Decimal(3000),
            exit_take_profit_price=Decimal(2850),
        ),
    ),
)
SPREAD = MultiLegSpec(
    order_id="spread-1",
    legs=(
        Leg(symbol="A", side=Side.BUY, quantity=Decimal(100), price=Decimal(50)),
        Leg(symbol="B", side=Side.SELL, quantity=Decimal(100), price=Decimal(60)),
    ),
)


def short_by_the_second_entry(desk: Desk) -> None:
    """The second entry of an OCO has filled 10 and has its exits."""
    desk.begin(BREAKOUT)
    first, second = desk.sent(ENTRY, 0), desk.sent(ENTRY, 1)
    desk.say(desk.accepted(ENTRY, first), desk.accepted(ENTRY, second))
    desk.say(desk.filled(ENTRY, 10, of=second))
    desk.say(desk.canceled(ENTRY, first))
    assert desk.new()[2:] == ["cancel entry", "submit stop_1 buy 10", "submit take_profit_1 buy 10"]


# The second leg is protected as the first one is


def test_a_rejected_stop_of_the_second_leg_closes_it(desk: Desk) -> None:
    short_by_the_second_entry(desk)
    desk.say(desk.rejected(STOP, "price through", desk.sent(STOP, 1)))
    assert desk.new() == ["cancel take_profit_1", "alert STOP_REJECTED"]
    desk.say(desk.canceled(TAKE_PROFIT, desk.sent(TAKE_PROFIT, 1)))
    assert desk.new() == ["submit close_1 buy 10"]
    desk.say(desk.filled(CLOSE, 10, of=desk.sent(CLOSE, 1)))
    assert desk.new() == ["finish closed"]


def test_a_stop_of_the_second_leg_that_does_not_last_closes_it(desk: Desk) -> None:
    short_by_the_second_entry(desk)
    for _ in range(2):
        desk.say(desk.canceled_unasked(STOP, desk.sent(STOP, 1)))
        assert desk.new() == ["submit stop_1 buy 10", "alert STOP_CANCELED"]
    desk.say(desk.canceled_unasked(STOP, desk.sent(STOP, 1)))
    assert desk.new() == ["cancel take_profit_1", "alert STOP_CANCELED"]


def test_a_take_profit_of_the_second_leg_that_cannot_be_is_done_without(desk: Desk) -> None:
    short_by_the_second_entry(desk)
    desk.say(desk.rejected(TAKE_PROFIT, "limit orders not supported", desk.sent(TAKE_PROFIT, 1)))
    assert desk.new() == ["alert TAKE_PROFIT_REJECTED"]
    desk.say(desk.filled(STOP, 10, of=desk.sent(STOP, 1)))
    assert desk.new() == ["finish stop_loss"]


def test_the_exit_of_the_second_leg_that_traded_more_names_the_outcome(desk: Desk) -> None:
    short_by_the_second_entry(desk)
    desk.say(desk.accepted(STOP, desk.sent(STOP, 1)), desk.accepted(TAKE_PROFIT, desk.sent(TAKE_PROFIT, 1)))
    desk.say(desk.filled(TAKE_PROFIT, 4, of=desk.sent(TAKE_PROFIT, 1)))
    desk.say(desk.replaced(STOP, desk.sent(STOP, 1)))
    desk.say(desk.filled(STOP, 6, of=desk.sent(STOP, 1)))
    desk.say(desk.canceled(TAKE_PROFIT, desk.sent(TAKE_PROFIT, 1)))
    assert desk.new()[-1] == "finish stop_loss"


@pytest.mark.parametrize(("late", "blocked"), [(3, False), (10, True)])
def test_a_symbol_is_blocked_only_where_both_exits_of_the_second_leg_have_traded_in_full(
    late: int, blocked: bool
) -> None:
    desk = Desk()
    short_by_the_second_entry(desk)
    desk.say(desk.filled(STOP, 10, of=desk.sent(STOP, 1)))
    desk.say(desk.filled(TAKE_PROFIT, late, of=desk.sent(TAKE_PROFIT, 1)))
    assert ("block IBM" in desk.new()) == blocked


def test_flatten_closes_the_second_leg_also_where_that_is_asked_for_twice(desk: Desk) -> None:
    short_by_the_second_entry(desk)
    desk.do(CancelRequested(mode="flatten"))
    assert desk.new() == ["cancel stop_1", "cancel take_profit_1"]
    desk.do(CancelRequested(mode="flatten"))
    assert len(desk.state.legs) == 2
    desk.say(
        desk.canceled(STOP, desk.sent(STOP, 1)),
        desk.canceled(TAKE_PROFIT, desk.sent(TAKE_PROFIT, 1)),
    )
    assert desk.new() == ["submit close_1 buy 10"]
    desk.say(desk.rejected(CLOSE, "too busy", desk.sent(CLOSE, 1)))
    assert desk.new() == ["alert CLOSE_REJECTED", "timer retry_submit_close_1"]
    desk.fire("retry_submit_close_1")
    assert desk.new() == ["submit close_1 buy 10"]
    desk.say(desk.filled(CLOSE, 10, of=desk.sent(CLOSE, 1)))
    assert desk.new() == ["finish closed"]


def test_an_entry_of_the_second_leg_that_cannot_be_cancelled_does_not_keep_the_rest_from_being_closed(
    desk: Desk,
) -> None:
    desk.begin(BREAKOUT)
    first, second = desk.sent(ENTRY, 0), desk.sent(ENTRY, 1)
    desk.say(desk.accepted(ENTRY, first), desk.accepted(ENTRY, second))
    desk.say(desk.filled(ENTRY, 4, of=second))
    desk.do(CancelRequested(mode="flatten"))
    desk.say(desk.canceled(ENTRY, first))
    desk.say(desk.canceled(STOP, desk.sent(STOP, 1)), desk.canceled(TAKE_PROFIT, desk.sent(TAKE_PROFIT, 1)))
    for _ in range(2):
        desk.say(desk.refused(ENTRY, 2, "1", second))
        desk.fire("retry_cancel_entry_1")
    desk.new()
    desk.say(desk.refused(ENTRY, 2, "1", second))
    assert desk.new() == ["submit close_1 buy 4", "alert CANCEL_REJECTED", "timer retry_cancel_entry_1"]


# Double exits


def test_a_double_exit_is_told_with_its_numbers_and_the_reason_of_the_block(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(STOP, 10))
    late = desk.filled(TAKE_PROFIT, 10)
    _, commands = handle(desk.state, late, desk.now)
    blocks = [each for each in commands if isinstance(each, BlockSymbol)]
    assert blocks == [BlockSymbol(symbol="IBM", reason="DOUBLE_EXIT order=bracket-1")]
    desk.say(late)
    assert desk.alert_texts["DOUBLE_EXIT"] == "bracket-1: open=-10 entry=10 stop=10 take_profit=10"
    assert len(desk.state.legs) == 1


@pytest.mark.parametrize(("late", "blocked"), [(3, False), (10, True)])
def test_of_a_position_that_was_held_both_exits_have_to_trade_in_full_for_a_block(late: int, blocked: bool) -> None:
    desk = Desk()
    desk.begin(
        TrailingSpec(
            order_id="trail-1",
            symbol="IBM",
            side=Side.BUY,
            quantity=Decimal(10),
            entry_type=None,
            start_price=Decimal(3000),
            trail=Trail(amount=Decimal(50)),
            take_profit_price=Decimal(3200),
        )
    )
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(STOP, 10))
    desk.say(desk.filled(TAKE_PROFIT, late))
    assert ("block IBM" in desk.new()) == blocked


# What is opened again


def test_where_it_is_to_be_closed_a_trade_that_is_taken_back_after_the_end_leads_to_a_close(desk: Desk) -> None:
    desk.order_matters = "it is closed only if the bust comes after the end"
    desk.begin(bracket_spec(when_reopened="close"))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    trade = desk.filled(TAKE_PROFIT, 10)
    desk.say(trade)
    desk.say(desk.canceled(STOP))
    desk.new()
    desk.say(desk.busted(TAKE_PROFIT, trade))
    assert desk.new() == ["submit close sell 10", "alert TRADE_BUSTED", "alert REOPENED"]
    desk.say(desk.filled(CLOSE, 10))
    assert desk.new() == ["finish closed"]


def test_a_price_that_is_corrected_after_the_end_closes_nothing(desk: Desk) -> None:
    desk.begin(bracket_spec(when_reopened="close"))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    trade = desk.filled(TAKE_PROFIT, 10)
    desk.say(trade)
    desk.say(desk.canceled(STOP))
    desk.say(desk.corrected(trade, 10, 3049))
    assert desk.outcome == "take_profit"
    desk.say(desk.busted(TAKE_PROFIT, trade))
    assert desk.new()[-3:] == ["submit close sell 10", "alert TRADE_BUSTED", "alert REOPENED"]


def test_a_touched_stop_stays_the_reason_when_its_close_is_taken_back(desk: Desk) -> None:
    desk.begin(bracket_spec(synthetic=True, when_reopened="close", valid_for=None))
    desk.say(desk.filled(ENTRY, 10))
    desk.touch(2949)
    trade = desk.filled(CLOSE, 10)
    desk.say(trade)
    assert desk.new()[-1] == "finish stop_loss"
    desk.say(desk.busted(CLOSE, trade))
    desk.say(desk.filled(CLOSE, 10))
    assert desk.new()[-1] == "finish stop_loss"


# Kept here


def test_of_a_short_position_the_stop_is_waited_for_above_and_the_take_profit_below(desk: Desk) -> None:
    desk.begin(
        bracket_spec(
            synthetic=True,
            valid_for=None,
            side=Side.SELL,
            stop_price=Decimal(3050),
            take_profit_price=Decimal(2940),
        )
    )
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new()[-1] == "watch below 2940 above 3050"
    desk.touch(3051)
    assert desk.new() == ["submit close buy 10", "watch nothing"]


def test_a_take_profit_close_above_the_stop_is_a_take_profit(desk: Desk) -> None:
    desk.begin(
        bracket_spec(synthetic=True, valid_for=None, stop_price=Decimal("2999.5"), take_profit_price=Decimal("3000.5"))
    )
    desk.say(desk.filled(ENTRY, 10))
    desk.new()
    desk.touch("3000.5")
    assert desk.new() == ["submit take_profit sell 10", "watch below 2999.5"]


def test_a_position_of_one_is_closed_on_the_right_side(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 1))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.do(CancelRequested(mode="flatten"))
    desk.say(desk.canceled(ENTRY), desk.canceled(STOP), desk.canceled(TAKE_PROFIT))
    assert desk.new()[-1] == "submit close sell 1"


def test_a_stop_that_is_refused_when_nothing_is_open_leaves_the_entry_alone(desk: Desk) -> None:
    desk.order_matters = "a stop that is refused when something is open ends the entry"
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.rejected(TAKE_PROFIT, "try later"))
    desk.fire("retry_submit_take_profit")
    desk.say(desk.filled(TAKE_PROFIT, 4))
    assert desk.new()[-1] == "cancel stop"
    desk.say(desk.rejected(STOP, "price through"))
    assert desk.new() == []


# Entries that are sent again


def test_a_rejected_rung_is_sent_again_where_the_order_says_so(desk: Desk) -> None:
    desk.begin(
        ScaleSpec(
            order_id="scale-1",
            symbol="IBM",
            side=Side.BUY,
            rungs=(
                Rung(quantity=Decimal(2), price=Decimal(3000)),
                Rung(quantity=Decimal(3), price=Decimal(2990)),
            ),
            stop_price=Decimal(2950),
            take_profit_price=Decimal(3050),
            retry=RetryPolicy(attempts=2),
        )
    )
    second = desk.sent(ENTRY, 0, 1)
    desk.say(desk.accepted(ENTRY, desk.sent(ENTRY, 0, 0)), desk.rejected(ENTRY, "too busy", second))
    assert desk.new()[2:] == ["timer retry_submit_entry_0_1"]
    desk.fire("retry_submit_entry_0_1")
    assert desk.new() == ["submit entry buy 3"]
    desk.say(desk.rejected(ENTRY, "too busy", desk.sent(ENTRY, 0, 1)))
    assert desk.new() == []


def test_a_rejected_leg_that_is_sent_again_has_not_failed_yet(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(SPREAD, retry=RetryPolicy(attempts=2)))
    desk.say(desk.accepted(ENTRY), desk.rejected(ENTRY, "too busy", desk.sent(ENTRY, 1)))
    assert desk.new()[2:] == ["timer retry_submit_entry_1"]
    desk.fire("retry_submit_entry_1")
    assert desk.new() == ["submit entry_1 sell 100"]
    desk.say(desk.rejected(ENTRY, "too busy", desk.sent(ENTRY, 1)))
    assert desk.new() == ["cancel entry", "alert LEG_FAILED"]


def test_a_leg_that_the_venue_restates_has_not_failed(desk: Desk) -> None:
    desk.begin(SPREAD)
    first, second = desk.sent(ENTRY, 0), desk.sent(ENTRY, 1)
    desk.say(desk.accepted(ENTRY, first), desk.accepted(ENTRY, second))
    desk.new()
    desk.say(desk.restated(ENTRY, 90))
    assert desk.new() == ["replace entry 100", "alert ORDER_RESTATED"]
    desk.say(desk.replaced(ENTRY))
    desk.say(desk.filled(ENTRY, 100, of=first))
    desk.say(desk.filled(ENTRY, 100, of=second))
    assert desk.new() == ["finish filled"]


def test_a_rung_that_cannot_be_cancelled_does_not_keep_the_rest_from_being_closed(desk: Desk) -> None:
    desk.begin(
        ScaleSpec(
            order_id="scale-1",
            symbol="IBM",
            side=Side.BUY,
            rungs=(
                Rung(quantity=Decimal(2), price=Decimal(3000)),
                Rung(quantity=Decimal(3), price=Decimal(2990)),
            ),
            stop_price=Decimal(2950),
            take_profit_price=Decimal(3050),
        )
    )
    first, second = desk.sent(ENTRY, 0, 0), desk.sent(ENTRY, 0, 1)
    desk.say(desk.accepted(ENTRY, first), desk.accepted(ENTRY, second))
    desk.say(desk.filled(ENTRY, 2, of=first))
    desk.do(CancelRequested(mode="flatten"))
    desk.say(desk.canceled(STOP), desk.canceled(TAKE_PROFIT))
    for _ in range(2):
        desk.say(desk.refused(ENTRY, 2, "0", second))
        desk.fire("retry_cancel_entry_0_1")
    desk.new()
    desk.say(desk.refused(ENTRY, 2, "0", second))
    assert desk.new() == ["submit close sell 2", "alert CANCEL_REJECTED", "timer retry_cancel_entry_0_1"]


def test_a_take_profit_of_the_second_leg_that_does_not_last_is_taken_back(desk: Desk) -> None:
    short_by_the_second_entry(desk)
    desk.say(desk.accepted(STOP, desk.sent(STOP, 1)))
    for _ in range(2):
        desk.say(desk.canceled_unasked(TAKE_PROFIT, desk.sent(TAKE_PROFIT, 1)))
        desk.fire("retry_submit_take_profit_1")
    order = desk.sent(TAKE_PROFIT, 1)
    desk.say(desk.accepted(TAKE_PROFIT, order))
    desk.new()
    desk.say(
        OrderRestated(
            cl_ord_id=order.cl_ord_ids[-1],
            quantity=Decimal(7),
            cum_quantity=Decimal(0),
            leaves_quantity=Decimal(7),
            at=desk.now,
        )
    )
    assert desk.new() == ["cancel take_profit_1", "alert ORDER_RESTATED"]
