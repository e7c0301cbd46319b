"""Scenario 31: BUY stop 3050 or SELL stop 2950; one fills, and the other is cancelled."""

from decimal import Decimal
from typing import Literal

import msgspec
import pytest

from tests.trading.desk import CLOSE, ENTRY, STOP, TAKE_PROFIT, Desk
from trading.events import CancelRequested
from trading.orders import OrderType, Side
from trading.retry import RetryPolicy
from trading.specs import OcoEntry, OcoSpec

BREAKOUT = OcoSpec(
    order_id="oco-1",
    symbol="IBM",
    entries=(
        OcoEntry(side=Side.BUY, quantity=Decimal(10), order_type=OrderType.STOP, price=Decimal(3050)),
        OcoEntry(side=Side.SELL, quantity=Decimal(10), order_type=OrderType.STOP, price=Decimal(2950)),
    ),
)
PROTECTED = msgspec.structs.replace(
    BREAKOUT,
    entries=(
        msgspec.structs.replace(
            BREAKOUT.entries[0], exit_stop_price=Decimal(3000), exit_take_profit_price=Decimal(3150)
        ),
        msgspec.structs.replace(
            BREAKOUT.entries[1], exit_stop_price=Decimal(3000), exit_take_profit_price=Decimal(2850)
        ),
    ),
)


def begin(desk: Desk, spec: OcoSpec = BREAKOUT) -> None:
    desk.begin(spec)
    assert desk.new() == ["submit entry buy 10", "submit entry_1 sell 10"]
    desk.say(desk.accepted(ENTRY), desk.accepted(ENTRY, desk.sent(ENTRY, 1)))


def test_31_one_fills_4_and_the_other_is_cancelled(desk: Desk) -> None:
    begin(desk)
    desk.say(desk.filled(ENTRY, 4))
    assert desk.new() == ["cancel entry_1"]
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.outcome == "(open)"
    desk.say(desk.filled(ENTRY, 6))
    assert desk.new() == ["finish filled"]
    assert desk.position == 10


def test_31_the_other_way_round(desk: Desk) -> None:
    begin(desk)
    desk.say(desk.filled(ENTRY, 10, of=desk.sent(ENTRY, 1)))
    assert desk.new() == ["cancel entry"]
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["finish filled"]
    assert desk.position == -10


def test_31_what_filled_is_protected_by_its_own_exits(desk: Desk) -> None:
    begin(desk, PROTECTED)
    desk.say(desk.filled(ENTRY, 4, of=desk.sent(ENTRY, 1)))
    assert desk.new() == ["cancel entry", "submit stop_1 buy 4", "submit take_profit_1 buy 4"]
    desk.say(
        desk.canceled(ENTRY),
        desk.accepted(STOP, desk.sent(STOP, 1)),
        desk.accepted(TAKE_PROFIT, desk.sent(TAKE_PROFIT, 1)),
    )
    desk.say(desk.filled(TAKE_PROFIT, 4, of=desk.sent(TAKE_PROFIT, 1)))
    assert desk.new() == ["cancel stop_1"]
    desk.say(desk.canceled(STOP, desk.sent(STOP, 1)))
    assert desk.outcome == "(open)", "the rest of the entry still works"
    desk.do(CancelRequested(mode="keep_exits"))
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.new() == ["cancel entry_1", "finish take_profit"]
    assert desk.position == 0


def test_31_if_both_fill_the_one_reported_second_is_closed(desk: Desk) -> None:
    desk.order_matters = "the one reported second is closed"
    begin(desk)
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.filled(ENTRY, 10, of=desk.sent(ENTRY, 1)))
    assert desk.new() == ["cancel entry_1", "alert BOTH_FILLED"]
    desk.say(desk.refused(ENTRY, 0, "2", desk.sent(ENTRY, 1)))
    assert desk.new() == ["submit close_1 buy 10"]
    desk.say(desk.filled(CLOSE, 10, of=desk.sent(CLOSE, 1)))
    assert desk.new() == []
    desk.say(desk.filled(ENTRY, 6))
    assert desk.new() == ["finish both_filled"]
    assert desk.position == 10


def test_31_of_two_that_are_protected_the_second_is_closed_and_the_first_keeps_its_exits(desk: Desk) -> None:
    begin(desk, PROTECTED)
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["cancel entry_1", "submit stop sell 10", "submit take_profit sell 10"]
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(ENTRY, 3, of=desk.sent(ENTRY, 1)))
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.new() == ["alert BOTH_FILLED", "submit close_1 buy 3"]
    desk.say(desk.filled(CLOSE, 3, of=desk.sent(CLOSE, 1)))
    assert desk.leaves(STOP) == desk.leaves(TAKE_PROFIT) == 10
    desk.say(desk.filled(STOP, 10))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["cancel take_profit", "finish both_filled"]
    assert desk.position == 0


def test_a_cancel_takes_both_back(desk: Desk) -> None:
    begin(desk)
    desk.do(CancelRequested())
    assert desk.new() == ["cancel entry", "cancel entry_1"]
    desk.say(desk.canceled(ENTRY), desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.new() == ["finish canceled"]
    assert desk.position == 0


def test_a_refused_entry_leaves_the_other_one(desk: Desk) -> None:
    desk.begin(BREAKOUT)
    desk.say(desk.rejected(ENTRY, "price already through"), desk.accepted(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.new()[2:] == []
    desk.say(desk.filled(ENTRY, 10, of=desk.sent(ENTRY, 1)))
    assert desk.new() == ["finish filled"]


def test_stops_of_a_venue_without_stops_are_sent_at_market_when_their_price_is_touched(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(PROTECTED, synthetic=True))
    assert desk.new() == ["watch below 2950 above 3050"]
    desk.touch(3049)
    assert desk.new() == []
    desk.touch(3052)
    assert desk.new() == ["submit entry buy 10", "watch nothing"]
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["watch below 3000 above 3150"]
    desk.touch(2999)
    assert desk.new() == ["submit close sell 10", "watch nothing"]
    desk.say(desk.filled(CLOSE, 10))
    assert desk.new() == ["finish stop_loss"]
    assert desk.position == 0


def test_of_two_that_are_kept_here_the_touched_one_silences_the_other_while_it_may_trade(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(BREAKOUT, synthetic=True))
    desk.touch(3051)
    assert desk.new() == ["watch below 2950 above 3050", "submit entry buy 10", "watch nothing"]
    desk.touch(2949)
    assert desk.new() == []
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["finish filled"]


def test_of_two_that_are_kept_here_the_other_waits_again_when_the_touched_one_is_refused(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(BREAKOUT, synthetic=True))
    desk.touch(3051)
    desk.say(desk.rejected(ENTRY, "halted"))
    assert desk.new()[1:] == ["submit entry buy 10", "watch nothing", "watch below 2950"]
    desk.touch(2949)
    assert desk.new() == ["submit entry_1 sell 10", "watch nothing"]


def test_of_prices_that_come_together_the_first_entry_that_is_touched_is_sent(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(BREAKOUT, synthetic=True))
    desk.touch(2949, 3051)
    assert desk.new()[1:] == ["submit entry_1 sell 10", "watch nothing"]


def test_31_a_second_fill_is_told_with_what_each_leg_has_traded(desk: Desk) -> None:
    desk.order_matters = "the one reported second is closed"
    begin(desk)
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.filled(ENTRY, 10, of=desk.sent(ENTRY, 1)))
    assert desk.alert_texts["BOTH_FILLED"] == "oco-1: entry=4 entry_1=10"


@pytest.mark.parametrize(("policy", "then"), [("close", "submit close sell 10"), ("protect", "submit stop sell 10")])
def test_what_a_bust_opens_again_is_closed_or_protected_as_the_order_says(
    desk: Desk, policy: Literal["protect", "close"], then: str
) -> None:
    desk.order_matters = "it is closed only if the bust comes after the end"
    begin(desk, msgspec.structs.replace(PROTECTED, when_reopened=policy))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    trade = desk.filled(TAKE_PROFIT, 10)
    desk.say(trade)
    desk.say(desk.canceled(STOP))
    assert desk.outcome == "take_profit"
    desk.new()
    desk.say(desk.busted(TAKE_PROFIT, trade))
    assert desk.new()[0] == then


def test_the_second_of_two_that_are_kept_here_takes_its_own_profit(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(PROTECTED, synthetic=True))
    desk.touch(2950)
    assert desk.new()[1:] == ["submit entry_1 sell 10", "watch nothing"]
    desk.say(desk.filled(ENTRY, 10, of=desk.sent(ENTRY, 1)))
    assert desk.new() == ["watch below 2850 above 3000"]
    desk.touch(2850)
    assert desk.new() == ["submit take_profit_1 buy 10", "watch above 3000"]
    desk.say(desk.filled(TAKE_PROFIT, 10, of=desk.sent(TAKE_PROFIT, 1)))
    assert desk.outcome == "take_profit"


def test_an_entry_that_is_kept_here_is_sent_at_its_very_price(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(BREAKOUT, synthetic=True))
    desk.touch(3050)
    assert desk.new()[1:] == ["submit entry buy 10", "watch nothing"]
    desk.say(desk.accepted(ENTRY))
    assert desk.new() == [], "while it may trade, the other one is silent"


def test_a_limit_entry_works_on_beside_one_that_was_kept_here_and_touched(desk: Desk) -> None:
    limit = OcoEntry(side=Side.SELL, quantity=Decimal(10), order_type=OrderType.LIMIT, price=Decimal(3100))
    desk.begin(msgspec.structs.replace(BREAKOUT, entries=(BREAKOUT.entries[0], limit), synthetic=True))
    assert desk.new() == ["submit entry_1 sell 10", "watch above 3050"]
    desk.say(desk.accepted(ENTRY, desk.sent(ENTRY, 1)))
    desk.touch(3050)
    assert desk.new() == ["submit entry buy 10", "watch nothing"]
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["cancel entry_1"]


def test_of_two_that_are_kept_here_the_first_waits_again_when_the_second_is_refused(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(BREAKOUT, synthetic=True))
    desk.touch(2950)
    desk.say(desk.rejected(ENTRY, "halted", desk.sent(ENTRY, 1)))
    assert desk.new()[1:] == ["submit entry_1 sell 10", "watch nothing", "watch above 3050"]


def test_of_two_that_are_kept_here_the_other_stays_silent_while_the_touched_one_waits_for_its_retry(
    desk: Desk,
) -> None:
    desk.begin(msgspec.structs.replace(BREAKOUT, synthetic=True, retry=RetryPolicy(attempts=3)))
    desk.touch(2950)
    desk.say(desk.rejected(ENTRY, "busy", desk.sent(ENTRY, 1)))
    assert desk.new()[1:] == ["submit entry_1 sell 10", "watch nothing", "timer retry_submit_entry_1"]
    desk.fire("retry_submit_entry_1")
    assert desk.new() == ["submit entry_1 sell 10"]


def test_an_entry_that_is_busted_after_its_exit_is_not_counted_as_filled(desk: Desk) -> None:
    begin(desk, PROTECTED)
    trade = desk.filled(ENTRY, 10)
    desk.say(trade)
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(STOP, 10))
    desk.say(desk.canceled(TAKE_PROFIT))
    desk.say(desk.busted(ENTRY, trade))
    desk.do(CancelRequested())
    desk.say(desk.filled(CLOSE, 10))
    if desk.sent(ENTRY, 1).requests:
        desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.outcome == "canceled"
    assert desk.position == 0
