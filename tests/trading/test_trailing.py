"""Scenario 35: a stop that follows the price; distance 50, step 10, LONG 10 from 3000."""

from decimal import Decimal
from typing import Literal

import msgspec
import pytest

from tests.trading.desk import CLOSE, ENTRY, STOP, TAKE_PROFIT, Desk
from trading.events import AmendRequested, CancelRequested, PriceTouched
from trading.orders import OrderType, Side
from trading.specs import Amendment, Trail, TrailingSpec

HELD = TrailingSpec(
    order_id="trail-1",
    symbol="IBM",
    side=Side.BUY,
    quantity=Decimal(10),
    entry_type=None,
    start_price=Decimal(3000),
    trail=Trail(amount=Decimal(50), step=Decimal(10), tick=Decimal(1)),
)
ENTERED = msgspec.structs.replace(
    HELD, entry_type=OrderType.LIMIT, entry_price=Decimal(3000), start_price=None, take_profit_price=Decimal(3200)
)


def begin(desk: Desk) -> None:
    desk.begin(HELD)
    assert desk.new() == ["submit stop sell 10", "watch above 3010"]
    assert desk.sent(STOP).price == 2950
    desk.say(desk.accepted(STOP))


def test_35_the_stop_follows_never_down_and_never_by_less_than_the_step(desk: Desk) -> None:
    begin(desk)
    desk.touch(3005)
    assert desk.new() == []
    desk.touch(3012)
    assert desk.new() == ["replace stop 10 at 2962", "watch above 3022"]
    desk.say(desk.replaced(STOP))
    desk.touch(3060)
    assert desk.new() == ["replace stop 10 at 3010", "watch above 3070"]
    desk.say(desk.replaced(STOP))
    desk.touch(3030)
    assert desk.new() == []
    desk.touch(3009)
    desk.say(desk.filled(STOP, 10, 3009))
    assert desk.new() == ["watch nothing", "finish stop_loss"]
    assert desk.position == -10, "on top of the 10 that were held: flat"


def test_35_one_replace_is_in_flight_at_a_time(desk: Desk) -> None:
    begin(desk)
    desk.touch(3012)
    assert desk.new() == ["replace stop 10 at 2962", "watch above 3022"]
    desk.touch(3060)
    assert desk.new() == ["watch above 3070"]
    desk.say(desk.replaced(STOP))
    assert desk.new() == ["replace stop 10 at 3010"]
    desk.say(desk.replaced(STOP))
    assert desk.new() == []


def test_a_touch_that_comes_late_does_not_move_it_again(desk: Desk) -> None:
    begin(desk)
    desk.touch(3060)
    desk.new()
    desk.do(PriceTouched(symbol="IBM", watch=1, price=Decimal(3100), at=desk.now))
    desk.do(PriceTouched(symbol="XYZ", watch=2, price=Decimal(3100), at=desk.now))
    assert desk.new() == []


def test_it_trails_from_what_the_entry_paid(desk: Desk) -> None:
    desk.begin(ENTERED)
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4, 2990))
    assert desk.new() == [
        "submit entry buy 10",
        "submit stop sell 4",
        "submit take_profit sell 4",
        "watch above 3000",
    ]
    assert desk.sent(STOP).price == 2940
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(ENTRY, 6, 3000))
    assert desk.new() == ["replace stop 10 at 2946", "replace take_profit 10", "watch above 3006"]
    desk.say(desk.replaced(STOP), desk.replaced(TAKE_PROFIT))
    desk.say(desk.filled(TAKE_PROFIT, 10))
    assert desk.new() == ["cancel stop", "watch nothing"]
    desk.say(desk.canceled(STOP))
    assert desk.new() == ["finish take_profit"]
    assert desk.position == 0


def test_until_the_stop_has_moved_it_follows_the_entrys_average_price(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(ENTERED, take_profit_price=None))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 1, 2900))
    desk.say(desk.accepted(STOP))
    assert desk.sent(STOP).price == 2850
    desk.new()
    last = desk.filled(ENTRY, 9, 3000)
    desk.say(last)
    assert desk.new() == ["replace stop 10 at 2940", "watch above 3000"]
    desk.say(desk.replaced(STOP))
    desk.say(desk.corrected(last, 9, 3100))
    assert desk.new() == ["replace stop 10 at 3030", "watch above 3090"]


def test_once_the_stop_has_moved_it_follows_the_best_price_alone(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(ENTERED, take_profit_price=None))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4, 3000))
    desk.say(desk.accepted(STOP))
    desk.touch(3060)
    desk.say(desk.replaced(STOP))
    desk.new()
    desk.say(desk.filled(ENTRY, 6, 2990))
    assert desk.new() == ["replace stop 10"]


def test_what_the_entry_fills_after_the_stop_has_filled_trails_from_its_own_price(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(ENTERED, take_profit_price=None))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4, 3000))
    desk.say(desk.accepted(STOP))
    desk.touch(3100)
    desk.say(desk.replaced(STOP))
    desk.say(desk.filled(STOP, 4, 3050))
    desk.new()
    desk.say(desk.filled(ENTRY, 2, 2980))
    desk.say(desk.accepted(STOP))
    assert desk.new() == ["submit stop sell 2", "watch above 2990"]
    assert desk.sent(STOP).price == 2930
    desk.say(desk.filled(ENTRY, 4, 2995))
    assert desk.new() == ["replace stop 6 at 2940", "watch above 3000"]


def test_a_position_that_is_held_again_by_a_bust_keeps_its_stop(desk: Desk) -> None:
    begin(desk)
    desk.touch(3100)
    desk.say(desk.replaced(STOP))
    trade = desk.filled(STOP, 10, 3050)
    desk.say(trade)
    desk.say(desk.busted(STOP, trade))
    assert "submit stop sell 10" in desk.new()
    assert desk.sent(STOP).price == 3050


def test_the_stop_is_never_below_a_tick(desk: Desk) -> None:
    wide = Trail(amount=Decimal(99), tick=Decimal("0.5"))
    desk.begin(msgspec.structs.replace(ENTERED, entry_price=Decimal(100), trail=wide))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 10, 50))
    assert desk.sent(STOP).price == Decimal("0.5")
    desk.say(desk.accepted(STOP))
    desk.touch(100)
    assert desk.new()[-2:] == ["replace stop 10 at 1.0", "watch above 100.5"]


def test_an_entry_that_never_fills_waits_for_no_price(desk: Desk) -> None:
    desk.begin(ENTERED)
    desk.say(desk.accepted(ENTRY))
    desk.do(CancelRequested())
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["submit entry buy 10", "cancel entry", "finish canceled"]


def test_a_short_position_is_the_mirror_image(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(HELD, side=Side.SELL))
    assert desk.new() == ["submit stop buy 10", "watch below 2990"]
    assert desk.sent(STOP).price == 3050
    desk.say(desk.accepted(STOP))
    desk.touch(2985)
    assert desk.new() == ["replace stop 10 at 3035", "watch below 2975"]


@pytest.mark.parametrize(("held", "exit_side"), [(Side.BUY, Side.SELL), (Side.SELL, Side.BUY)])
@pytest.mark.parametrize("synthetic", [False, True])
def test_prices_are_waited_for_where_the_position_could_be_closed(
    held: Side, exit_side: Side, *, synthetic: bool
) -> None:
    desk = Desk()
    desk.begin(msgspec.structs.replace(HELD, side=held, synthetic=synthetic))
    assert desk.watches["IBM"].side is exit_side


def test_a_new_watch_says_whether_the_touch_before_it_was_heard(desk: Desk) -> None:
    begin(desk)
    said = [desk.watches["IBM"].was_heard]
    desk.touch(3012)
    said.append(desk.watches["IBM"].was_heard)
    desk.do(AmendRequested(amendment=Amendment(trail=Trail(amount=Decimal(50), step=Decimal(20), tick=Decimal(1)))))
    said.append(desk.watches["IBM"].was_heard)
    assert said == [False, True, False]
    assert desk.watches["IBM"].number == 3


@pytest.mark.parametrize(
    ("side", "stop", "watch", "price", "moved"),
    [(Side.BUY, 2970, "above", "3010.11", 2980), (Side.SELL, 3030, "below", "2990.08", 3020)],
)
def test_it_may_trail_by_a_percentage(side: Side, stop: int, watch: str, price: str, moved: int) -> None:
    desk = Desk()
    trail = Trail(percent=Decimal(1), step=Decimal(10), tick=Decimal(1))
    desk.begin(msgspec.structs.replace(HELD, side=side, trail=trail))
    assert desk.sent(STOP).price == stop
    assert desk.new()[1].startswith(f"watch {watch} {price[:5]}")
    desk.say(desk.accepted(STOP))
    desk.touch(price)
    assert desk.new()[0] == f"replace stop 10 at {moved}"


def test_the_stop_is_a_multiple_of_the_tick_away_from_the_market() -> None:
    trail = Trail(percent=Decimal(1), tick=Decimal("0.25"))
    assert trail.stop_for(Decimal("100.13"), Side.BUY) == Decimal("99.00")
    assert trail.stop_for(Decimal("100.13"), Side.SELL) == Decimal("101.25")


def test_another_distance_moves_the_stop_to_where_it_then_belongs(desk: Desk) -> None:
    begin(desk)
    desk.touch(3060)
    desk.say(desk.replaced(STOP))
    desk.new()
    wider = Trail(amount=Decimal(80), step=Decimal(10), tick=Decimal(1))
    desk.do(AmendRequested(amendment=Amendment(trail=wider)))
    assert desk.new() == ["replace stop 10 at 2980"]


def test_where_the_venue_has_no_stops_it_is_kept_here(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(HELD, synthetic=True, take_profit_price=Decimal(3200)))
    assert desk.new() == ["watch below 2950 above 3010"]
    desk.touch(3060)
    assert desk.new() == ["watch below 3010 above 3070"]
    desk.touch(3200)
    assert desk.new() == ["submit take_profit sell 10", "watch below 3150 above 3210"]
    desk.say(desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(TAKE_PROFIT, 4))
    desk.touch(3149)
    assert desk.new() == ["cancel take_profit", "watch nothing"]
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close sell 6"]
    desk.say(desk.filled(CLOSE, 6))
    assert desk.new() == ["finish stop_loss"]


def test_flatten_closes_what_is_held(desk: Desk) -> None:
    begin(desk)
    desk.do(CancelRequested(mode="flatten"))
    assert desk.new() == ["cancel stop", "watch nothing"]
    desk.say(desk.canceled(STOP))
    desk.say(desk.filled(CLOSE, 10))
    assert desk.new() == ["submit close sell 10", "finish closed"]


def test_of_prices_that_come_together_a_stop_kept_here_moves_to_the_best_and_is_then_touched(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(HELD, synthetic=True))
    desk.touch(3012, 3060, 2940, 3005)
    assert desk.new() == ["watch below 2950 above 3010", "submit close sell 10", "watch nothing"]
    assert desk.state.legs[0].stop_price == 3010


def test_of_prices_that_come_together_the_best_moves_a_stop_that_works_at_the_venue(desk: Desk) -> None:
    begin(desk)
    desk.touch(3012, 3060, 3005)
    assert desk.new() == ["replace stop 10 at 3010", "watch above 3070"]


def test_a_low_that_came_before_the_best_price_touches_no_stop_that_was_not_there_yet(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(HELD, synthetic=True))
    desk.touch(3012, 2970, 3060)
    assert desk.new()[1:] == ["watch below 3010 above 3070"]


def test_a_stop_whose_move_is_refused_is_asked_for_its_next_move_at_once(desk: Desk) -> None:
    begin(desk)
    desk.touch(3012)
    desk.say(desk.refused(STOP, 2, "0"))
    assert "timer retry_replace_stop" in desk.new()
    desk.touch(3060)
    assert desk.new() == ["replace stop 10 at 3010", "watch above 3070"]


@pytest.mark.parametrize(("prices", "stop"), [((3060, 3030), 3000), ((3060, 3061), 3001)])
def test_another_distance_is_from_the_best_price_there_was(desk: Desk, prices: tuple[int, int], stop: int) -> None:
    begin(desk)
    desk.touch(*prices)
    desk.say(desk.replaced(STOP))
    desk.new()
    wider = Trail(amount=Decimal(60), step=Decimal(10), tick=Decimal(1))
    desk.do(AmendRequested(amendment=Amendment(trail=wider)))
    assert f"replace stop 10 at {stop}" in desk.new()


@pytest.mark.parametrize(("policy", "then"), [("close", "submit close sell 10"), ("protect", "submit stop sell 10")])
def test_what_a_bust_opens_again_is_closed_or_protected_as_the_order_says(
    desk: Desk, policy: Literal["protect", "close"], then: str
) -> None:
    desk.begin(msgspec.structs.replace(HELD, when_reopened=policy))
    trade = desk.filled(STOP, 10)
    desk.say(trade)
    assert desk.new()[-1] == "finish stop_loss"
    desk.say(desk.busted(STOP, trade))
    assert desk.new()[0] == then


def test_another_take_profit_does_not_move_the_stop(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(HELD, take_profit_price=Decimal(3200)))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.touch(3012)
    desk.say(desk.replaced(STOP))
    desk.touch(3029)
    desk.say(desk.replaced(STOP))
    desk.do(PriceTouched(symbol="IBM", watch=desk.watches["IBM"].number, price=Decimal(3033), at=desk.now))
    desk.new()
    desk.do(AmendRequested(amendment=Amendment(take_profit_price=Decimal(3190))))
    assert desk.new() == ["replace take_profit 10 at 3190"]
