"""A single order from its start to its end."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from tests.trading.desk import DELIVERIES, ENTRY, Desk, single_spec
from trading.commands import SubmitOrder
from trading.events import CancelRequested, OrderExpired, OrderFilled, OrderNotSent
from trading.identity import orphan_order_id
from trading.lifecycles import start
from trading.orders import OrderType, TimeInForce


@pytest.fixture(params=DELIVERIES)
def desk(request: pytest.FixtureRequest) -> Desk:
    desk = Desk(request.param)
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    return desk


def test_it_is_filled(desk: Desk) -> None:
    desk.say(desk.filled(ENTRY, 4))
    assert desk.outcome == "(open)"
    desk.say(desk.filled(ENTRY, 6, 2999))
    assert desk.new()[2:] == ["finish filled"]
    assert desk.summary.filled_quantity == 10
    assert desk.summary.average_price == Decimal("2999.4")


def test_it_is_sent_as_asked() -> None:
    spec = single_spec(
        order_type=OrderType.STOP,
        limit_price=None,
        stop_price=Decimal(2950),
        time_in_force=TimeInForce.DAY,
        valid_for=None,
    )
    _, commands = start(spec, Desk().now)
    assert commands == [
        SubmitOrder(
            cl_ord_id="single-1.e1",
            symbol="IBM",
            side=spec.side,
            quantity=Decimal(10),
            order_type=OrderType.STOP,
            stop_price=Decimal(2950),
            time_in_force=TimeInForce.DAY,
        )
    ]


def test_its_time_runs_out_half_filled(desk: Desk) -> None:
    desk.say(desk.filled(ENTRY, 4))
    desk.fire("valid_until")
    desk.say(desk.canceled(ENTRY))
    assert desk.new()[2:] == ["cancel entry", "finish expired"]
    assert desk.position == 4


def test_its_time_runs_out_unfilled(desk: Desk) -> None:
    desk.fire("valid_until")
    desk.say(desk.canceled(ENTRY))
    assert desk.new()[2:] == ["cancel entry", "finish expired_unfilled"]


def test_the_venue_expires_it(desk: Desk) -> None:
    desk.say(OrderExpired(cl_ord_id="single-1.e1", cum_quantity=Decimal(0), at=desk.now))
    assert desk.new()[2:] == ["finish expired_unfilled"]


def test_a_user_cancels_what_is_unfilled_and_keeps_the_rest(desk: Desk) -> None:
    desk.say(desk.filled(ENTRY, 4))
    desk.do(CancelRequested(mode="flatten"))
    desk.do(CancelRequested(mode="flatten"))
    desk.say(desk.canceled(ENTRY))
    assert desk.new()[2:] == ["cancel entry", "finish canceled"]
    assert desk.position == 4


def test_a_user_cancels_before_it_has_left() -> None:
    desk = Desk()
    desk.begin(single_spec())
    desk.do(CancelRequested())
    desk.do(OrderNotSent(cl_ord_id="single-1.e1", reason="cancelled before it was sent"))
    assert desk.new()[2:] == ["cancel entry", "finish canceled"]


def test_a_refused_cancel_is_asked_for_again_but_not_for_ever(desk: Desk) -> None:
    desk.do(CancelRequested())
    for _ in range(29):
        desk.say(desk.refused(ENTRY, 2, "0"))
        desk.fire("retry_cancel_entry")
    desk.say(desk.refused(ENTRY, 2, "0"))
    tried = ["cancel entry", "alert CANCEL_REJECTED", "timer retry_cancel_entry"]
    assert desk.new()[2:] == [*(29 * tried), "cancel entry", "alert CANCEL_REJECTED"]
    desk.do(CancelRequested())
    assert desk.new() == ["cancel entry"]


def test_a_report_of_an_order_that_was_never_sent_is_told() -> None:
    desk = Desk()
    desk.begin(single_spec())
    state = desk.state
    desk.say(
        OrderFilled(
            cl_ord_id="single-1.e9",
            exec_id="T1",
            quantity=Decimal(1),
            price=Decimal(1),
            cum_quantity=Decimal(1),
            leaves_quantity=Decimal(0),
            at=desk.now,
        )
    )
    assert desk.new()[2:] == ["alert UNKNOWN_CHILD"]
    assert desk.state == state


def test_29_nothing_is_sent_for_an_execution_of_an_order_nobody_knows(desk: Desk) -> None:
    before = desk.state
    desk.new()
    stranger = desk.filled(ENTRY, 3)
    desk.say(msgspec.structs.replace(stranger, cl_ord_id="somebody-else.e1"))
    assert set(desk.new()) == {"alert UNKNOWN_CHILD"}
    assert desk.state == before
    assert orphan_order_id("somebody-else.e1") == "orphan-somebody-else_e1"


@pytest.mark.parametrize("seconds", [0, 60])
def test_an_order_whose_time_is_over_before_it_begins_is_not_sent(seconds: int) -> None:
    desk = Desk()
    desk.begin(single_spec(valid_for=None, good_till=desk.now - timedelta(seconds=seconds)))
    assert desk.new() == ["finish expired_unfilled"]
