"""What lifecycles do about an order that was over and that the venue, when asked, lists as open."""

from decimal import Decimal

import msgspec
import pytest

from tests.trading.desk import CLOSE, ENTRY, STOP, TAKE_PROFIT, Desk, bracket_spec, single_spec
from trading.events import OrderRestated
from trading.identity import Role


@pytest.fixture
def desk() -> Desk:
    return Desk()


def listed(desk: Desk, role: Role) -> OrderRestated:
    """The venue's open orders have this one, of which it had said that it was over."""
    order = desk.sent(role)
    order.is_over = False
    return OrderRestated(
        cl_ord_id=order.cl_ord_ids[-1],
        quantity=order.quantity,
        cum_quantity=order.cum_quantity,
        leaves_quantity=order.leaves,
        is_listed=True,
        at=desk.now,
    )


def test_an_entry_that_works_again_after_its_orders_end_is_cancelled(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    desk.fire("valid_until")
    desk.say(desk.canceled(ENTRY))
    assert desk.outcome == "expired_unfilled"
    desk.new()
    desk.say(listed(desk, ENTRY))
    assert desk.outcome == "(open)"
    assert "cancel entry" in desk.new()
    desk.say(desk.canceled(ENTRY))
    assert desk.outcome == "expired_unfilled"


def test_an_exit_that_works_again_after_the_position_is_closed_is_cancelled(desk: Desk) -> None:
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 10))
    desk.say(desk.canceled(STOP))
    assert desk.outcome == "take_profit"
    desk.new()
    desk.say(listed(desk, STOP))
    assert "cancel stop" in desk.new()
    desk.say(desk.canceled(STOP))
    assert (desk.outcome, desk.position) == ("take_profit", Decimal(0))


def test_what_an_entry_fills_that_works_again_is_protected(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.fire("valid_until")
    desk.say(desk.canceled(ENTRY))
    desk.new()
    desk.say(listed(desk, ENTRY))
    desk.say(desk.filled(ENTRY, 10))
    commands = desk.new()
    assert "submit stop sell 10" in commands
    assert "submit take_profit sell 10" in commands
    assert not any(CLOSE in command for command in commands)


def test_a_stop_that_works_again_beside_its_successor_is_not_one_too_many(desk: Desk) -> None:
    desk.begin_long_10()
    first = desk.sent(STOP)
    desk.say(desk.canceled_unasked(STOP))
    for name in [name for name in desk.timers if name.startswith("retry_")]:
        desk.fire(name)
    desk.say(desk.accepted(STOP))
    assert desk.sent(STOP) is not first
    desk.new()
    again = msgspec.structs.replace(listed(desk, STOP), cl_ord_id=first.cl_ord_ids[-1])
    desk.say(again)
    assert [command for command in desk.new() if command.startswith("cancel stop")] == ["cancel stop"]
