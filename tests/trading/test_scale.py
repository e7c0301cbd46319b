"""A ladder of entries with one protected position."""

from decimal import Decimal

from tests.trading.desk import CLOSE, ENTRY, STOP, TAKE_PROFIT, Desk
from trading.events import AmendRequested, CancelRequested
from trading.orders import Side
from trading.specs import Amendment, Rung, ScaleSpec

LADDER = ScaleSpec(
    order_id="scale-1",
    symbol="IBM",
    side=Side.BUY,
    rungs=(
        Rung(quantity=Decimal(2), price=Decimal(3000)),
        Rung(quantity=Decimal(3), price=Decimal(2990)),
        Rung(quantity=Decimal(5), price=Decimal(2980)),
    ),
    stop_price=Decimal(2950),
    take_profit_price=Decimal(3050),
)


def begin(desk: Desk) -> None:
    desk.begin(LADDER)
    assert desk.new() == ["submit entry buy 2", "submit entry buy 3", "submit entry buy 5"]
    assert [each.price for each in desk.book] == [3000, 2990, 2980]
    desk.say(*(desk.accepted(ENTRY, each) for each in desk.book))


def test_the_exits_are_for_all_that_the_rungs_have_filled(desk: Desk) -> None:
    begin(desk)
    desk.say(desk.filled(ENTRY, 2, of=desk.sent(ENTRY, 0, 0)))
    assert desk.new() == ["submit stop sell 2", "submit take_profit sell 2"]
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(ENTRY, 1, of=desk.sent(ENTRY, 0, 1)))
    assert desk.new() == ["replace stop 3", "replace take_profit 3"]
    desk.say(desk.replaced(STOP), desk.replaced(TAKE_PROFIT))
    desk.say(desk.filled(ENTRY, 2, of=desk.sent(ENTRY, 0, 1)), desk.filled(ENTRY, 5, of=desk.sent(ENTRY, 0, 2)))
    desk.say(desk.replaced(STOP), desk.replaced(TAKE_PROFIT))
    while any(each.requests for each in desk.book):
        desk.say(desk.replaced(STOP), desk.replaced(TAKE_PROFIT))
    assert desk.leaves(STOP) == desk.leaves(TAKE_PROFIT) == 10
    desk.say(desk.filled(STOP, 10))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert desk.outcome == "stop_loss"
    assert desk.position == 0
    assert desk.summary.average_price == Decimal("2987")


def test_a_rung_that_is_refused_leaves_the_others(desk: Desk) -> None:
    begin(desk)
    desk.say(desk.canceled_unasked(ENTRY, desk.sent(ENTRY, 0, 1)))
    assert desk.new() == []
    assert [order.leaves_quantity for order in desk.state.orders] == [2, 0, 5]


def test_flatten_cancels_every_rung_and_closes_what_they_filled(desk: Desk) -> None:
    begin(desk)
    desk.say(desk.filled(ENTRY, 2, of=desk.sent(ENTRY, 0, 0)))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.do(CancelRequested(mode="flatten"))
    assert desk.new()[2:] == ["cancel entry", "cancel entry", "cancel stop", "cancel take_profit"]
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 0, 1)), desk.canceled(ENTRY, desk.sent(ENTRY, 0, 2)))
    desk.say(desk.canceled(STOP), desk.canceled(TAKE_PROFIT))
    assert desk.new() == ["submit close sell 2"]
    desk.say(desk.filled(CLOSE, 2))
    assert desk.new() == ["finish closed"]


def test_its_exits_can_be_moved(desk: Desk) -> None:
    begin(desk)
    desk.say(desk.filled(ENTRY, 2, of=desk.sent(ENTRY, 0, 0)))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.new()
    desk.do(AmendRequested(amendment=Amendment(stop_price=Decimal(2960))))
    assert desk.new() == ["replace stop 2 at 2960"]


def test_unfilled_rungs_end_with_the_order() -> None:
    desk = Desk()
    begin(desk)
    desk.do(CancelRequested())
    desk.say(*(desk.canceled(ENTRY, each) for each in desk.book))
    assert desk.outcome == "canceled"
