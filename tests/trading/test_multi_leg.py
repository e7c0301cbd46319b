"""Scenarios 32 to 34: spreads, what becomes of them when a leg fails, and legs that follow another one's fills."""

from decimal import Decimal

import msgspec
import pytest

from tests.trading.desk import CLOSE, ENTRY, Desk
from trading.commands import SubmitOrder
from trading.events import CancelRequested, TradingHalted
from trading.identity import Role
from trading.lifecycles import start
from trading.orders import OrderType, Side
from trading.retry import RetryPolicy
from trading.specs import Execution, Leg, MultiLegSpec, OnLegFailure

COMPLETION = Role.COMPLETION
SPREAD = MultiLegSpec(
    order_id="spread-1",
    legs=(
        Leg(symbol="A", side=Side.BUY, quantity=Decimal(100), price=Decimal(50)),
        Leg(symbol="B", side=Side.SELL, quantity=Decimal(100), price=Decimal(60)),
    ),
    valid_for=60,
)
RATIO = MultiLegSpec(
    order_id="ratio-1",
    legs=(
        Leg(symbol="A", side=Side.BUY, quantity=Decimal(200), price=Decimal(50)),
        Leg(symbol="B", side=Side.SELL, quantity=Decimal(100), price=Decimal(60)),
    ),
    execution=Execution.LEAD_FOLLOW,
)


def spread(policy: OnLegFailure) -> MultiLegSpec:
    return msgspec.structs.replace(SPREAD, on_leg_failure=policy)


def fail(desk: Desk, policy: OnLegFailure) -> None:
    """A fills 60, then B is rejected."""
    desk.begin(spread(policy))
    assert desk.new()[:2] == ["submit entry buy 100", "submit entry_1 sell 100"]
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 60))
    assert desk.new()[1:] == []
    desk.say(desk.rejected(ENTRY, "no short selling", desk.sent(ENTRY, 1)))


def test_32_both_legs_fill(desk: Desk) -> None:
    desk.begin(SPREAD)
    desk.say(desk.accepted(ENTRY), desk.accepted(ENTRY, desk.sent(ENTRY, 1)))
    desk.say(desk.filled(ENTRY, 100), desk.filled(ENTRY, 100, of=desk.sent(ENTRY, 1)))
    assert desk.new()[3:] == ["finish filled"]
    assert [desk.position_in(each) for each in "AB"] == [100, -100]


def test_32_unwind_sells_all_that_the_other_leg_filled(desk: Desk) -> None:
    fail(desk, OnLegFailure.UNWIND)
    assert desk.new() == ["cancel entry", "alert LEG_FAILED"]
    desk.say(desk.filled(ENTRY, 15))
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["submit close sell 75"]
    desk.say(desk.filled(CLOSE, 75))
    assert desk.new() == ["finish unwound"]
    assert [desk.position_in(each) for each in "AB"] == [0, 0]


def test_32_complete_sells_the_rest_at_market_and_more_for_late_fills(desk: Desk) -> None:
    fail(desk, OnLegFailure.COMPLETE)
    assert desk.new() == ["cancel entry", "submit completion_1 sell 60", "alert LEG_FAILED"]
    desk.say(desk.filled(ENTRY, 15))
    assert desk.new() == []
    desk.say(desk.filled(COMPLETION, 60, of=desk.sent(COMPLETION, 1)))
    assert desk.new() == ["submit completion_1 sell 15"]
    desk.say(desk.canceled(ENTRY), desk.filled(COMPLETION, 15, of=desk.sent(COMPLETION, 1)))
    assert desk.new() == ["finish completed"]
    assert [desk.position_in(each) for each in "AB"] == [75, -75]


def test_32_complete_that_is_refused_again_is_unwound(desk: Desk) -> None:
    fail(desk, OnLegFailure.COMPLETE)
    desk.new()
    desk.say(desk.rejected(COMPLETION, "no short selling", desk.sent(COMPLETION, 1)), desk.canceled(ENTRY))
    assert "alert COMPLETION_REFUSED" in desk.new()
    desk.say(desk.filled(CLOSE, 60))
    assert desk.new() == ["finish unwound"]
    assert [desk.position_in(each) for each in "AB"] == [0, 0]


def test_32_complete_brings_a_leg_up_to_a_share_that_is_no_decimal(desk: Desk) -> None:
    legs = tuple(msgspec.structs.replace(leg, quantity=Decimal(30)) for leg in SPREAD.legs)
    desk.begin(msgspec.structs.replace(spread(OnLegFailure.COMPLETE), legs=legs))
    desk.say(desk.filled(ENTRY, 10))
    desk.say(desk.rejected(ENTRY, "no short selling", desk.sent(ENTRY, 1)))
    assert "submit completion_1 sell 10" in desk.new()


def test_32_keep_tells_a_human_and_keeps_what_filled(desk: Desk) -> None:
    fail(desk, OnLegFailure.KEEP)
    assert desk.new() == ["cancel entry", "alert LEG_FAILED"]
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["finish kept"]
    assert desk.position_in("A") == 60


def test_33_a_following_leg_is_sent_as_the_lead_fills(desk: Desk) -> None:
    desk.begin(RATIO)
    assert desk.new() == ["submit entry buy 200"]
    desk.say(desk.accepted(ENTRY))
    for filled, sent in ((50, 25), (70, 35), (80, 40)):
        desk.say(desk.filled(ENTRY, filled))
        assert desk.new() == [f"submit entry_1 sell {sent}"]
    for rung, sent in enumerate((25, 35, 40)):
        desk.say(desk.filled(ENTRY, sent, of=desk.sent(ENTRY, 1, rung)))
    assert desk.new() == ["finish filled"]
    assert [desk.position_in(each) for each in "AB"] == [200, -100]


def test_33_no_leg_order_is_smaller_than_the_lot_and_the_remainder_is_carried(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(RATIO, lot=Decimal(10)))
    desk.say(desk.accepted(ENTRY))
    desk.new()
    for filled, commands in ((18, []), (4, ["submit entry_1 sell 10"]), (58, ["submit entry_1 sell 30"]), (19, [])):
        desk.say(desk.filled(ENTRY, filled))
        assert desk.new() == commands
    desk.say(desk.filled(ENTRY, 101))
    assert desk.new() == ["submit entry_1 sell 60"]


def test_33_a_following_leg_that_fails_is_unwound_with_its_lead(desk: Desk) -> None:
    desk.begin(RATIO)
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 50))
    desk.say(desk.filled(ENTRY, 25, of=desk.sent(ENTRY, 1)))
    desk.say(desk.filled(ENTRY, 70))
    desk.say(desk.rejected(ENTRY, "halted", desk.sent(ENTRY, 1)))
    assert desk.new()[3:] == ["cancel entry", "submit close_1 buy 25", "alert LEG_FAILED"]
    desk.say(desk.canceled(ENTRY), desk.filled(CLOSE, 25, of=desk.sent(CLOSE, 1)))
    desk.say(desk.filled(CLOSE, 120))
    assert desk.new() == ["submit close sell 120", "finish unwound"]
    assert [desk.position_in(each) for each in "AB"] == [0, 0]


def test_33_a_lead_that_a_bust_has_put_behind_fails_also_while_its_follower_waits_for_a_retry(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(RATIO, retry=RetryPolicy(attempts=2, delay=60)))
    desk.say(desk.accepted(ENTRY))
    trade = desk.filled(ENTRY, 140)
    desk.say(desk.filled(ENTRY, 60))
    desk.say(desk.rejected(ENTRY, "busy", desk.sent(ENTRY, 1)))
    desk.say(trade)
    desk.say(desk.filled(ENTRY, 70, of=desk.sent(ENTRY, 1)))
    desk.new()
    desk.say(desk.busted(ENTRY, trade))
    assert "alert LEG_FAILED" in desk.new()


def test_34_neither_fills_in_time(desk: Desk) -> None:
    desk.begin(SPREAD)
    desk.say(desk.accepted(ENTRY), desk.accepted(ENTRY, desk.sent(ENTRY, 1)))
    desk.new()
    desk.fire("valid_until")
    assert desk.new() == ["cancel entry", "cancel entry_1"]
    desk.say(desk.canceled(ENTRY), desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.new() == ["finish expired_unfilled"]


@pytest.mark.parametrize(
    ("policy", "commands"),
    [
        (OnLegFailure.UNWIND, ["alert LEG_FAILED", "submit close sell 100", "finish unwound"]),
        (OnLegFailure.COMPLETE, ["alert LEG_FAILED", "submit completion_1 sell 100", "finish completed"]),
        (OnLegFailure.KEEP, ["alert LEG_FAILED", "finish kept"]),
    ],
)
def test_34_a_fill_that_crosses_the_cancel_falls_under_the_policy(
    desk: Desk, policy: OnLegFailure, commands: list[str]
) -> None:
    desk.begin(spread(policy))
    desk.say(desk.accepted(ENTRY), desk.accepted(ENTRY, desk.sent(ENTRY, 1)))
    desk.fire("valid_until")
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    desk.say(desk.refused(ENTRY, 0, "2"))
    desk.new()
    desk.say(desk.filled(ENTRY, 100))
    for role, leg in ((CLOSE, 0), (COMPLETION, 1)):
        if desk.state.of(role, leg):
            desk.say(desk.filled(role, 100, of=desk.sent(role, leg)))
    assert sorted(desk.new()) == sorted(commands)


def test_34_a_third_of_one_leg_alone_is_unwound_when_time_is_over(desk: Desk) -> None:
    legs = tuple(msgspec.structs.replace(leg, quantity=Decimal(3)) for leg in SPREAD.legs)
    desk.begin(msgspec.structs.replace(SPREAD, legs=legs))
    desk.say(desk.filled(ENTRY, 1))
    desk.fire("valid_until")
    desk.new()
    desk.say(desk.canceled(ENTRY), desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert sorted(desk.new()) == ["alert LEG_FAILED", "submit close sell 1"]


def test_34_fills_in_ratio_are_kept(desk: Desk) -> None:
    desk.begin(SPREAD)
    desk.say(desk.filled(ENTRY, 40), desk.filled(ENTRY, 40, of=desk.sent(ENTRY, 1)))
    desk.fire("valid_until")
    desk.say(desk.canceled(ENTRY), desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.outcome == "expired"
    assert "alert LEG_FAILED" not in desk.new()
    assert [desk.position_in(each) for each in "AB"] == [40, -40]


def test_a_users_flatten_closes_every_leg(desk: Desk) -> None:
    desk.begin(SPREAD)
    desk.say(desk.filled(ENTRY, 40), desk.filled(ENTRY, 30, of=desk.sent(ENTRY, 1)))
    desk.do(CancelRequested(mode="flatten"))
    desk.new()
    desk.say(desk.canceled(ENTRY), desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert sorted(desk.new()) == ["submit close sell 40", "submit close_1 buy 30"]
    desk.say(desk.filled(CLOSE, 40), desk.filled(CLOSE, 30, of=desk.sent(CLOSE, 1)))
    assert desk.new() == ["finish closed"]


def test_a_users_cancel_that_keeps_keeps_what_filled(desk: Desk) -> None:
    desk.begin(SPREAD)
    desk.say(desk.filled(ENTRY, 40))
    desk.do(CancelRequested(mode="keep_exits"))
    desk.say(desk.canceled(ENTRY), desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert desk.outcome == "canceled"
    assert desk.position_in("A") == 40


def test_a_halt_unwinds_also_what_was_to_be_completed(desk: Desk) -> None:
    desk.begin(spread(OnLegFailure.COMPLETE))
    desk.say(desk.filled(ENTRY, 40))
    desk.do(TradingHalted())
    desk.new()
    desk.say(desk.canceled(ENTRY), desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    assert sorted(desk.new()) == ["alert LEG_FAILED", "submit close sell 40"]


def test_all_or_none_is_asked_of_the_venue() -> None:
    _, commands = start(msgspec.structs.replace(SPREAD, all_or_none=True), Desk().now)
    assert [each.all_or_none for each in commands if isinstance(each, SubmitOrder)] == [True, True]


def test_a_leg_at_market_is_sent_at_market() -> None:
    market = Leg(
        symbol="B", side=Side.SELL, quantity=Decimal(100), order_type=OrderType.MARKET, reference_price=Decimal(60)
    )
    _, commands = start(msgspec.structs.replace(SPREAD, legs=(SPREAD.legs[0], market)), Desk().now)
    sent = [each for each in commands if isinstance(each, SubmitOrder)]
    assert [(each.order_type, each.limit_price) for each in sent] == [(OrderType.LIMIT, 50), (OrderType.MARKET, None)]
