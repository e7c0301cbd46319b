"""What the property tests have found, each as the few reports that it takes."""

from decimal import Decimal

import msgspec

from tests.trading.desk import ENTRY, STOP, TAKE_PROFIT, Desk, Sent, single_spec
from trading.events import OrderReplaced, OrderRestated, TradingHalted
from trading.identity import Role
from trading.orders import Side
from trading.retry import RetryPolicy
from trading.specs import Execution, IcebergSpec, Leg, MultiLegSpec, OnLegFailure, OtoSpec


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


def test_a_halt_while_an_order_that_has_expired_is_cancelled_completes_nothing(desk: Desk) -> None:
    legs = (_leg("A", Side.BUY, 10), _leg("B", Side.SELL, 10))
    desk.begin(MultiLegSpec(order_id="legs-1", legs=legs, on_leg_failure=OnLegFailure.COMPLETE, valid_for=60))
    desk.say(desk.filled(ENTRY, 4, of=desk.sent(ENTRY, 0)))
    desk.fire("valid_until")
    desk.do(TradingHalted())
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 1)))
    desk.new()
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 0)))
    assert desk.new() == ["submit close sell 4", "alert LEG_FAILED"]


def test_a_bust_of_the_leading_leg_leaves_nothing_of_what_followed(desk: Desk) -> None:
    legs = (_leg("A", Side.BUY, 10), _leg("B", Side.SELL, 5))
    desk.begin(MultiLegSpec(order_id="legs-1", legs=legs, execution=Execution.LEAD_FOLLOW))
    trade = desk.filled(ENTRY, 10)
    desk.say(trade)
    desk.say(desk.filled(ENTRY, 5, of=desk.sent(ENTRY, 1)))
    assert desk.new()[-1] == "finish filled"
    desk.say(desk.busted(ENTRY, trade))
    assert desk.new() == [
        "submit close_1 buy 5",
        "alert TRADE_BUSTED",
        "alert LEG_FAILED",
        "alert REOPENED",
    ]


def test_a_following_order_that_the_venue_has_made_larger_is_brought_back_to_its_ratio(desk: Desk) -> None:
    desk.begin(OtoSpec(order_id="oto-1", orders=(_leg("A", Side.BUY, 10), _leg("B", Side.SELL, 5))))
    desk.say(desk.filled(ENTRY, 4))
    follower = desk.sent(ENTRY, 1)
    desk.say(desk.accepted(ENTRY, follower))
    assert desk.new()[-1] == "submit entry_1 sell 2"
    desk.say(_restated(desk, follower, 5))
    assert desk.new() == ["replace entry_1 2", "alert ORDER_RESTATED"]


def test_an_iceberg_of_which_a_bust_has_opened_a_part_again_shows_no_more(desk: Desk) -> None:
    desk.begin(
        IcebergSpec(
            order_id="ice-1",
            symbol="IBM",
            side=Side.BUY,
            quantity=Decimal(10),
            limit_price=Decimal(3000),
            display_quantity=Decimal(4),
        )
    )
    desk.say(desk.filled(ENTRY, 4))
    second, trade = desk.sent(ENTRY), desk.filled(ENTRY, 4)
    desk.say(trade)
    desk.say(desk.accepted(ENTRY))
    desk.new()
    desk.say(msgspec.structs.replace(desk.busted(ENTRY, trade), leaves_quantity=Decimal(4)))
    assert desk.new() == ["cancel entry", "alert TRADE_BUSTED"], "the 2 that work are not made 4"
    desk.say(desk.canceled(ENTRY, second))
    assert desk.new() == ["replace entry 4"]


def test_what_a_rejected_entry_has_filled_all_the_same_is_not_asked_for_again(desk: Desk) -> None:
    desk.begin(single_spec(retry=RetryPolicy(attempts=2)))
    first = desk.sent(ENTRY)
    desk.say(desk.rejected(ENTRY, "too many orders"))
    desk.say(desk.filled(ENTRY, 2))
    desk.new()
    desk.fire("retry_submit_entry")
    assert desk.new() == ["submit entry buy 8"]
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 1, of=first))
    assert desk.new() == ["replace entry 7"]


def test_a_completion_that_the_venue_has_made_smaller_is_unwound(desk: Desk) -> None:
    legs = (_leg("A", Side.BUY, 10), _leg("B", Side.SELL, 10))
    desk.begin(MultiLegSpec(order_id="legs-1", legs=legs, on_leg_failure=OnLegFailure.COMPLETE))
    desk.say(desk.accepted(ENTRY, desk.sent(ENTRY, 0)))
    desk.say(desk.filled(ENTRY, 6, of=desk.sent(ENTRY, 0)))
    desk.say(desk.rejected(ENTRY, "no short selling", desk.sent(ENTRY, 1)))
    completion = desk.sent(Role.COMPLETION, 1)
    desk.say(desk.canceled(ENTRY, desk.sent(ENTRY, 0)))
    desk.say(_restated(desk, completion, 4))
    completion.quantity = Decimal(4)
    desk.new()
    desk.say(desk.filled(Role.COMPLETION, 4, of=completion))
    assert desk.new() == ["submit close sell 6", "submit close_1 buy 4", "alert COMPLETION_REFUSED"]


def test_a_leg_that_is_sent_again_has_not_failed_where_the_other_one_has_filled(desk: Desk) -> None:
    legs = (_leg("A", Side.BUY, 10), _leg("B", Side.SELL, 10))
    desk.begin(MultiLegSpec(order_id="legs-1", legs=legs, retry=RetryPolicy(attempts=2)))
    desk.say(desk.filled(ENTRY, 10, of=desk.sent(ENTRY, 0)))
    desk.new()
    desk.say(desk.rejected(ENTRY, "too many orders", desk.sent(ENTRY, 1)))
    assert desk.new() == ["timer retry_submit_entry_1"]
    desk.fire("retry_submit_entry_1")
    assert desk.new() == ["submit entry_1 sell 10"]


def test_a_spread_whose_time_runs_out_while_nothing_works_is_unwound(desk: Desk) -> None:
    legs = (_leg("A", Side.BUY, 10), _leg("B", Side.SELL, 10))
    desk.begin(MultiLegSpec(order_id="legs-1", legs=legs, valid_for=60, retry=RetryPolicy(attempts=3, delay=90)))
    desk.say(desk.filled(ENTRY, 10, of=desk.sent(ENTRY, 0)))
    desk.say(desk.rejected(ENTRY, "too many orders", desk.sent(ENTRY, 1)))
    desk.new()
    desk.fire("valid_until")
    assert desk.new() == ["submit close sell 10", "alert LEG_FAILED"]


def _restated(desk: Desk, order: Sent, quantity: int) -> OrderRestated:
    return OrderRestated(
        cl_ord_id=order.cl_ord_ids[-1],
        quantity=Decimal(quantity),
        cum_quantity=order.cum_quantity,
        leaves_quantity=quantity - order.cum_quantity,
        at=desk.now,
    )


def _leg(symbol: str, side: Side, quantity: int) -> Leg:
    return Leg(symbol=symbol, side=side, quantity=Decimal(quantity), price=Decimal(50))


def test_a_part_that_waits_for_its_retry_gives_way_before_one_that_works() -> None:
    desk = Desk()
    a = Leg(symbol="A", side=Side.BUY, quantity=Decimal(12), price=Decimal(50))
    b = Leg(symbol="B", side=Side.SELL, quantity=Decimal(12), price=Decimal(60))
    desk.begin(OtoSpec(order_id="chain-1", orders=(a, b), lot=Decimal(4), retry=RetryPolicy(attempts=3)))
    desk.say(desk.filled(ENTRY, 4))
    first = desk.sent(ENTRY, 1)
    desk.say(desk.filled(ENTRY, 8, of=desk.sent(ENTRY)))
    second = desk.sent(ENTRY, 1)
    desk.say(desk.accepted(ENTRY, first))
    desk.say(desk.rejected(ENTRY, "no", second))
    desk.new()
    larger = OrderReplaced(
        cl_ord_id="venue-1",
        orig_cl_ord_id=first.cl_ord_ids[-1],
        quantity=Decimal(5),
        cum_quantity=Decimal(0),
        limit_price=Decimal(60),
        at=desk.now,
    )
    first.cl_ord_ids.append("venue-1")
    desk.say(larger)
    desk.fire("retry_submit_entry_1_1")
    asked = [each for each in desk.new() if each.startswith("submit entry_1")]
    assert asked == ["submit entry_1 sell 4"], "5 may still fill, 8 more would be 13"
