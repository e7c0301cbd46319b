"""Closing a position that is held, and scenario 28: a halt of the account."""

from decimal import Decimal

import pytest

from tests.trading.desk import CLOSE, ENTRY, STOP, TAKE_PROFIT, Desk, bracket_spec, single_spec
from trading.events import CancelRequested, TradingHalted
from trading.orders import Side
from trading.specs import FlattenSpec


def flatten(side: Side = Side.BUY) -> FlattenSpec:
    return FlattenSpec(
        order_id="flat-1", symbol="IBM", side=side, quantity=Decimal(10), reference_price=Decimal(3000), valid_for=60
    )


@pytest.mark.parametrize(("held", "way"), [(Side.BUY, "sell"), (Side.SELL, "buy")])
def test_it_is_closed_at_market(desk: Desk, held: Side, way: str) -> None:
    desk.begin(flatten(held))
    desk.say(desk.accepted(CLOSE))
    desk.say(desk.filled(CLOSE, 4))
    desk.say(desk.filled(CLOSE, 6))
    assert desk.new() == [f"submit close {way} 10", "timer valid_until", "finish closed"]


def test_what_the_venue_does_not_fill_is_tried_again(desk: Desk) -> None:
    desk.begin(flatten())
    desk.say(desk.filled(CLOSE, 4))
    desk.say(desk.canceled_unasked(CLOSE))
    assert desk.new()[2:] == ["alert CLOSE_CANCELED", "timer retry_submit_close"]
    desk.fire("retry_submit_close")
    assert desk.new() == ["submit close sell 6"]


def test_a_cancel_ends_it(desk: Desk) -> None:
    desk.begin(flatten())
    desk.say(desk.accepted(CLOSE))
    desk.do(CancelRequested())
    desk.say(desk.canceled(CLOSE))
    assert desk.new()[2:] == ["cancel close", "finish canceled"]


def test_its_time_can_run_out(desk: Desk) -> None:
    desk.begin(flatten())
    desk.say(desk.rejected(CLOSE, "closed"))
    desk.fire("valid_until")
    assert desk.new()[-1] == "finish expired"


def test_28_a_halt_cancels_entries_and_leaves_exits(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.new()
    desk.do(TradingHalted())
    assert desk.new() == ["cancel entry"]
    desk.say(desk.canceled(ENTRY))
    assert desk.leaves(STOP) == desk.leaves(TAKE_PROFIT) == 4
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.say(desk.canceled(STOP))
    assert desk.outcome == "take_profit"


def test_28_a_halt_with_flatten_closes_the_position(desk: Desk) -> None:
    desk.begin_long_10()
    desk.do(TradingHalted(flatten=True))
    assert desk.new() == ["cancel stop", "cancel take_profit"]
    desk.say(desk.canceled(STOP), desk.canceled(TAKE_PROFIT))
    desk.say(desk.filled(CLOSE, 10))
    assert desk.new() == ["submit close sell 10", "finish closed"]
    assert desk.position == 0


def test_28_a_halt_ends_a_single_order_and_keeps_what_it_filled(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.filled(ENTRY, 4))
    desk.do(TradingHalted(flatten=True))
    desk.say(desk.canceled(ENTRY))
    assert desk.new()[2:] == ["cancel entry", "finish halted"]
    assert desk.position == 4


def test_what_trades_too_much_is_brought_back_also_after_a_cancel(desk: Desk) -> None:
    desk.begin(flatten())
    desk.say(desk.accepted(CLOSE))
    desk.do(CancelRequested())
    desk.say(desk.filled(CLOSE, 12))
    desk.say(desk.refused(CLOSE, 0, "2"))
    assert "alert DOUBLE_EXIT" in desk.log
    desk.say(desk.filled(CLOSE, 2))
    assert desk.new()[-2:] == ["submit close buy 2", "finish double_exit"]
    assert desk.position == -10, "on top of the 10 that were held: flat"


def test_a_cancel_of_what_has_closed_in_part_ends_as_canceled(desk: Desk) -> None:
    desk.begin(flatten())
    desk.say(desk.filled(CLOSE, 4))
    desk.do(CancelRequested())
    desk.say(desk.canceled(CLOSE))
    assert desk.new()[-1] == "finish canceled"
