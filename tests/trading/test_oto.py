"""One triggers the other: chains of orders."""

from decimal import Decimal

from tests.trading.desk import ENTRY, Desk
from trading.events import CancelRequested
from trading.orders import Side
from trading.specs import Leg, OtoSpec

CHAIN = OtoSpec(
    order_id="chain-1",
    orders=(
        Leg(symbol="A", side=Side.BUY, quantity=Decimal(100), price=Decimal(50)),
        Leg(symbol="B", side=Side.SELL, quantity=Decimal(50), price=Decimal(60)),
        Leg(symbol="C", side=Side.BUY, quantity=Decimal(100), price=Decimal(70)),
    ),
)


def test_each_order_is_sent_for_what_the_one_before_has_filled(desk: Desk) -> None:
    desk.begin(CHAIN)
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 41))
    assert desk.new() == ["submit entry buy 100", "submit entry_1 sell 20"]
    desk.say(desk.filled(ENTRY, 20, of=desk.sent(ENTRY, 1)))
    assert desk.new() == ["submit entry_2 buy 40"]
    desk.say(desk.filled(ENTRY, 59))
    assert desk.new() == ["submit entry_1 sell 30"]
    desk.say(desk.filled(ENTRY, 30, of=desk.sent(ENTRY, 1)), desk.filled(ENTRY, 40, of=desk.sent(ENTRY, 2)))
    assert desk.new() == ["submit entry_2 buy 60"]
    desk.say(desk.filled(ENTRY, 60, of=desk.sent(ENTRY, 2)))
    assert desk.new() == ["finish filled"]
    assert [desk.position_in(symbol) for symbol in "ABC"] == [100, -50, 100]


def test_a_first_order_that_is_rejected_is_all_there_was(desk: Desk) -> None:
    desk.begin(CHAIN)
    desk.say(desk.rejected(ENTRY, "unknown symbol"))
    assert desk.new() == ["submit entry buy 100", "finish rejected"]


def test_a_link_that_is_rejected_breaks_the_chain(desk: Desk) -> None:
    desk.begin(CHAIN)
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 40))
    desk.say(desk.rejected(ENTRY, "no short selling", desk.sent(ENTRY, 1)))
    assert desk.new()[2:] == ["cancel entry", "alert CHAIN_BROKEN"]
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["finish broken"]
    assert desk.position_in("A") == 40


def test_a_first_order_that_the_venue_cancels_half_filled_lets_the_rest_of_the_chain_fill(desk: Desk) -> None:
    desk.begin(CHAIN)
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 40))
    desk.say(desk.canceled_unasked(ENTRY))
    desk.say(desk.filled(ENTRY, 20, of=desk.sent(ENTRY, 1)))
    desk.say(desk.filled(ENTRY, 40, of=desk.sent(ENTRY, 2)))
    assert desk.position_in("C") == 40
    assert desk.outcome == "canceled"


def test_a_cancel_takes_back_what_works_and_keeps_what_filled(desk: Desk) -> None:
    desk.begin(CHAIN)
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 40))
    desk.do(CancelRequested())
    desk.say(desk.canceled(ENTRY), desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.new()[2:] == ["cancel entry", "cancel entry_1", "finish canceled"]
