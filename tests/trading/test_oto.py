"""One triggers the other: chains of orders."""

from decimal import Decimal

import msgspec
import pytest

from tests.trading.desk import ENTRY, Desk
from trading.commands import SubmitOrder
from trading.events import CancelRequested
from trading.lifecycles import start
from trading.orders import Side
from trading.retry import RetryPolicy
from trading.specs import Execution, Leg, MultiLegSpec, OtoSpec

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


RETRIED = (
    msgspec.structs.replace(CHAIN, retry=RetryPolicy(attempts=2, delay=60)),
    MultiLegSpec(
        order_id="legs-1",
        legs=CHAIN.orders[:2],
        execution=Execution.LEAD_FOLLOW,
        retry=RetryPolicy(attempts=2, delay=60),
    ),
)


@pytest.mark.parametrize("spec", RETRIED, ids=["oto", "lead_follow"])
def test_a_part_that_is_rejected_is_sent_again_in_its_place_when_its_retry_is_due(
    desk: Desk, spec: OtoSpec | MultiLegSpec
) -> None:
    desk.begin(spec)
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 40))
    assert desk.new()[-1] == "submit entry_1 sell 20"
    desk.say(desk.rejected(ENTRY, "busy", desk.sent(ENTRY, 1)))
    assert desk.new() == ["timer retry_submit_entry_1"], "nothing is sent at once"
    desk.say(desk.filled(ENTRY, 20))
    assert desk.new() == ["submit entry_1 sell 10"], "only what follows from the new fill"
    desk.fire("retry_submit_entry_1")
    assert desk.new() == ["submit entry_1 sell 20"]
    assert desk.sent(ENTRY, 1).rung == 0
    desk.say(desk.filled(ENTRY, 40))
    assert desk.new() == ["submit entry_1 sell 20"]
    parts = [desk.sent(ENTRY, 1, rung) for rung in range(3)]
    assert [part.quantity for part in parts] == [20, 10, 20]


@pytest.mark.parametrize("spec", RETRIED, ids=["oto", "lead_follow"])
def test_a_part_that_is_rejected_at_every_retry_ends_the_order(desk: Desk, spec: OtoSpec | MultiLegSpec) -> None:
    desk.begin(spec)
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 40))
    desk.say(desk.rejected(ENTRY, "busy", desk.sent(ENTRY, 1)))
    desk.fire("retry_submit_entry_1")
    desk.new()
    desk.say(desk.rejected(ENTRY, "busy", desk.sent(ENTRY, 1)))
    assert desk.new()[0] == "cancel entry"
    assert len(desk.state.of(ENTRY, 1)) == 2


def test_a_part_that_waits_for_its_retry_shrinks_with_what_it_follows(desk: Desk) -> None:
    desk.begin(RETRIED[0])
    desk.say(desk.accepted(ENTRY))
    trade = desk.filled(ENTRY, 40)
    desk.say(trade)
    desk.say(desk.filled(ENTRY, 20))
    first = desk.sent(ENTRY, 1, 0)
    desk.say(desk.rejected(ENTRY, "busy", first))
    desk.say(desk.filled(ENTRY, 10, of=desk.sent(ENTRY, 1, 1)))
    desk.say(msgspec.structs.replace(desk.busted(ENTRY, trade), leaves_quantity=Decimal(80)))
    desk.say(desk.filled(ENTRY, 10))
    desk.new()
    desk.fire("retry_submit_entry_1")
    assert desk.new() == ["submit entry_1 sell 5"]


def test_what_a_rejected_part_trades_late_is_not_asked_for_again(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(RETRIED[0], lot=Decimal(5)))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 40))
    first = desk.sent(ENTRY, 1)
    desk.say(desk.rejected(ENTRY, "busy", first))
    desk.say(desk.filled(ENTRY, 7, of=first))
    desk.new()
    desk.fire("retry_submit_entry_1")
    assert desk.new() == ["submit entry_1 sell 10"], "3 are less than a lot, and are carried"
    desk.say(desk.filled(ENTRY, 10, of=desk.sent(ENTRY, 1, 0)))
    desk.new()
    desk.say(desk.filled(ENTRY, 4))
    assert desk.new() == ["submit entry_1 sell 5"]


def test_a_chain_is_broken_also_where_its_first_order_has_filled_and_says_what_each_has_traded(desk: Desk) -> None:
    desk.begin(CHAIN)
    desk.say(desk.filled(ENTRY, 100))
    desk.say(desk.rejected(ENTRY, "no short selling", desk.sent(ENTRY, 1)))
    assert desk.new()[-1] == "finish broken"
    assert desk.alert_texts["CHAIN_BROKEN"] == "chain-1: order 1 ended short; entry=100 entry_1=0"


def test_a_part_that_was_taken_back_with_what_it_followed_breaks_no_chain(desk: Desk) -> None:
    desk.begin(CHAIN)
    desk.say(desk.accepted(ENTRY))
    trade = desk.filled(ENTRY, 40)
    desk.say(trade)
    desk.say(desk.accepted(ENTRY, desk.sent(ENTRY, 1)))
    desk.say(desk.busted(ENTRY, trade))
    assert "cancel entry_1" in desk.new()
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.new() == []


def test_orders_of_a_chain_may_fill_in_parts_and_have_the_limits_of_their_own(desk: Desk) -> None:
    desk.begin(CHAIN)
    _, commands = start(CHAIN, desk.now)
    assert [each.all_or_none for each in commands if isinstance(each, SubmitOrder)] == [False]
    desk.say(desk.filled(ENTRY, 40))
    assert desk.order(ENTRY, 1).limit_price == 60


def test_a_later_part_that_waits_for_its_retry_is_not_sent_beside_it(desk: Desk) -> None:
    desk.begin(RETRIED[0])
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 40))
    desk.say(desk.filled(ENTRY, 20))
    desk.new()
    desk.say(desk.rejected(ENTRY, "busy", desk.sent(ENTRY, 1, 1)))
    assert desk.new() == ["timer retry_submit_entry_1_1"]


def test_what_a_rejected_part_trades_late_does_not_hold_up_the_next_part(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(RETRIED[0], lot=Decimal(5)))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 40))
    first = desk.sent(ENTRY, 1)
    desk.say(desk.rejected(ENTRY, "busy", first))
    desk.say(desk.filled(ENTRY, 7, of=first))
    desk.new()
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["submit entry_1 sell 5"]
