"""What the property tests have found, each as the few reports that it takes."""

from decimal import Decimal

import msgspec

from tests.trading.desk import ENTRY, STOP, TAKE_PROFIT, Desk


def test_a_stop_that_a_bust_has_opened_again_is_not_doubled(desk: Desk) -> None:
    desk.begin_long_10()
    trade = desk.filled(STOP, 10)
    desk.say(trade)
    desk.say(desk.canceled(TAKE_PROFIT))
    desk.say(desk.filled(ENTRY, 3))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(STOP, 3))
    assert desk.new()[-1] == "cancel take_profit"
    bust = msgspec.structs.replace(desk.busted(STOP, trade), leaves_quantity=Decimal(10))
    desk.say(bust)
    assert [said for said in desk.new() if "stop" in said] == [], "the first one works again, for what is open"
    assert desk.state.of(STOP)[0].leaves_quantity == 10
