"""A ladder of entries with one protected position."""

from decimal import Decimal
from typing import Literal

import msgspec
import pytest

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


def test_a_stop_and_a_take_profit_that_both_fill_block_the_symbol(desk: Desk) -> None:
    begin(desk)
    desk.say(desk.filled(ENTRY, 2, of=desk.sent(ENTRY, 0, 0)))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.say(desk.filled(STOP, 2), desk.filled(TAKE_PROFIT, 2))
    assert "block IBM" in desk.new()


@pytest.mark.parametrize(("policy", "then"), [("close", "submit close sell 10"), ("protect", "submit stop sell 10")])
def test_what_a_bust_opens_again_is_closed_or_protected_as_the_order_says(
    desk: Desk, policy: Literal["protect", "close"], then: str
) -> None:
    desk.order_matters = "it is closed only if the bust comes after the end"
    desk.begin(msgspec.structs.replace(LADDER, when_reopened=policy))
    for rung in desk.book[:3]:
        desk.say(desk.filled(ENTRY, int(rung.quantity), of=rung))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    while desk.sent(STOP).requests or desk.sent(TAKE_PROFIT).requests:
        desk.say(desk.replaced(STOP), desk.replaced(TAKE_PROFIT))
    trade = desk.filled(TAKE_PROFIT, 10)
    desk.say(trade)
    desk.say(desk.canceled(STOP))
    assert desk.outcome == "take_profit"
    desk.new()
    desk.say(desk.busted(TAKE_PROFIT, trade))
    assert desk.new()[0] == then


@pytest.mark.parametrize(
    ("price", "then"),
    [(2950, ["submit close sell 10", "watch nothing"]), (3050, ["submit take_profit sell 10", "watch below 2950"])],
)
def test_exits_that_are_kept_here_are_sent_when_their_price_is_touched(desk: Desk, price: int, then: list[str]) -> None:
    desk.begin(msgspec.structs.replace(LADDER, synthetic=True))
    for rung in desk.book[:3]:
        desk.say(desk.filled(ENTRY, int(rung.quantity), of=rung))
    desk.new()
    desk.touch(price)
    assert desk.new() == then


def test_a_ladder_that_has_filled_one_takes_its_profit(desk: Desk) -> None:
    begin(desk)
    desk.say(desk.filled(ENTRY, 1, of=desk.sent(ENTRY, 0, 0)))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.do(CancelRequested(mode="keep_exits"))
    desk.say(*(desk.canceled(ENTRY, each) for each in desk.book[:3]))
    desk.say(desk.filled(TAKE_PROFIT, 1))
    desk.say(desk.canceled(STOP))
    assert desk.outcome == "take_profit"
