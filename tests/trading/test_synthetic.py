"""Stops and take-profits for a venue that has none: kept here, sent when their price is touched."""

from decimal import Decimal

from tests.trading.desk import CLOSE, ENTRY, TAKE_PROFIT, Desk, bracket_spec, single_spec
from trading.events import AmendRequested, CancelRequested, PriceTouched
from trading.orders import OrderType, Side
from trading.specs import Amendment, Trail, TrailingSpec


def long_10(desk: Desk) -> None:
    desk.begin(bracket_spec(synthetic=True, valid_for=None))
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["submit entry buy 10", "watch below 2950 above 3050"]


def test_a_touched_stop_is_closed_at_market(desk: Desk) -> None:
    long_10(desk)
    desk.touch(2951)
    assert desk.new() == []
    desk.touch(2949)
    assert desk.new() == ["submit close sell 10", "watch nothing"]
    desk.say(desk.filled(CLOSE, 10))
    assert desk.new() == ["finish stop_loss"]
    assert desk.position == 0


def test_a_touched_take_profit_is_sent_as_a_limit_and_the_stop_is_waited_for_on(desk: Desk) -> None:
    long_10(desk)
    desk.touch(3050)
    assert desk.new() == ["submit take_profit sell 10", "watch below 2950"]
    desk.say(desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.touch(2950)
    assert desk.new() == ["cancel take_profit", "watch nothing"]
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close sell 6"]
    desk.say(desk.filled(CLOSE, 6))
    assert desk.new() == ["finish stop_loss"]


def test_a_touched_stop_does_not_wait_for_the_cancel_of_the_rest_of_the_entry(desk: Desk) -> None:
    desk.begin(bracket_spec(synthetic=True, valid_for=None))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.touch(2950)
    assert desk.new()[2:] == ["cancel entry", "submit close sell 4", "watch nothing"]
    desk.say(desk.filled(ENTRY, 2))
    desk.say(desk.filled(CLOSE, 4))
    assert desk.new() == ["submit close sell 2"], "what the entry added is closed too"
    desk.say(desk.canceled(ENTRY))
    desk.say(desk.filled(CLOSE, 2))
    assert desk.new() == ["finish stop_loss"]
    assert desk.position == 0


def test_a_moved_stop_is_waited_for_where_it_then_is(desk: Desk) -> None:
    long_10(desk)
    desk.do(AmendRequested(amendment=Amendment(stop_price=Decimal(2900))))
    assert desk.new() == ["watch below 2900 above 3050"]
    desk.do(PriceTouched(symbol="IBM", watch=1, price=Decimal(2949), at=desk.now))
    assert desk.new() == [], "a touch of the watch before"


def test_a_stop_entry_is_sent_at_market_when_it_is_touched(desk: Desk) -> None:
    spec = single_spec(order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3050), synthetic=True)
    desk.begin(spec)
    assert desk.new() == ["watch above 3050", "timer valid_until"]
    desk.touch(3051)
    assert desk.new() == ["submit entry buy 10", "watch nothing"]
    assert desk.order(ENTRY).order_type is OrderType.MARKET
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["finish filled"]


def test_a_sell_stop_waits_for_a_price_below(desk: Desk) -> None:
    spec = single_spec(
        side=Side.SELL, order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(2950), synthetic=True
    )
    desk.begin(spec)
    assert desk.new()[0] == "watch below 2950"


def test_a_stop_entry_that_is_cancelled_before_it_was_sent_leaves_nothing(desk: Desk) -> None:
    spec = single_spec(order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3050), synthetic=True)
    desk.begin(spec)
    desk.do(CancelRequested())
    assert desk.new()[2:] == ["watch nothing", "finish canceled"]


def test_a_stop_entry_whose_time_runs_out_was_never_sent(desk: Desk) -> None:
    spec = single_spec(order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3050), synthetic=True)
    desk.begin(spec)
    desk.fire("valid_until")
    assert desk.new()[2:] == ["watch nothing", "finish expired_unfilled"]


def test_of_prices_that_come_together_the_stop_ends_it_whatever_comes_before_and_after(desk: Desk) -> None:
    long_10(desk)
    desk.touch(3051, 2949, 3060)
    assert desk.new() == ["submit close sell 10", "watch nothing"]


def test_of_prices_that_come_together_those_after_the_take_profit_change_nothing_between_the_exits(desk: Desk) -> None:
    long_10(desk)
    desk.touch(3051, 2951)
    assert desk.new() == ["submit take_profit sell 10", "watch below 2950"]


def test_a_brackets_stop_entry_is_kept_here_too(desk: Desk) -> None:
    entry = {"entry_type": OrderType.STOP, "entry_price": Decimal(3010)}
    desk.begin(bracket_spec(synthetic=True, valid_for=None, **entry))
    assert desk.new() == ["watch above 3010"]
    desk.touch(3011, 2940, 3055)
    assert desk.new() == ["submit entry buy 10", "watch nothing"], "its exits begin with what it fills"
    assert desk.order(ENTRY).order_type is OrderType.MARKET
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["watch below 2950 above 3050"]
    desk.touch(2949)
    assert desk.new() == ["submit close sell 10", "watch nothing"]


def test_a_trailing_orders_stop_entry_is_kept_here_too(desk: Desk) -> None:
    desk.begin(
        TrailingSpec(
            order_id="trail-1",
            symbol="IBM",
            side=Side.SELL,
            quantity=Decimal(10),
            entry_type=OrderType.STOP,
            entry_price=Decimal(2990),
            trail=Trail(amount=Decimal(50), step=Decimal(10), tick=Decimal(1)),
            synthetic=True,
        )
    )
    assert desk.new() == ["watch below 2990"]
    desk.touch(2989)
    assert desk.new() == ["submit entry sell 10", "watch nothing"]
    desk.say(desk.filled(ENTRY, 10, 2985))
    assert desk.new() == ["watch below 2975 above 3035"]
