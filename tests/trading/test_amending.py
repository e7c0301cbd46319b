"""A user's amendments: the order is another from then on, and what works follows."""

from decimal import Decimal

import msgspec
import pytest

from tests.trading.desk import ENTRY, STOP, TAKE_PROFIT, Desk, bracket_spec, single_spec
from trading.events import AmendRequested, CancelRequested
from trading.lifecycles import refusal
from trading.retry import RetryPolicy
from trading.specs import Amendment, SpecError, amended


def amend(desk: Desk, **changes: int) -> None:
    values = {name: Decimal(value) for name, value in changes.items()}
    desk.do(AmendRequested(amendment=msgspec.convert(values, Amendment)))


def test_an_entry_is_replaced(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    amend(desk, entry_price=2990, quantity=8)
    assert desk.new()[2:] == ["replace entry 8 at 2990"]
    desk.say(desk.replaced(ENTRY))
    desk.say(desk.filled(ENTRY, 8))
    assert desk.new() == ["submit stop sell 8", "submit take_profit sell 8"]


def test_exits_are_moved_while_they_work(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, stop_price=2960, take_profit_price=3040)
    assert desk.new() == ["replace stop 10 at 2960", "replace take_profit 10 at 3040"]
    desk.say(desk.replaced(STOP), desk.replaced(TAKE_PROFIT))
    assert desk.new() == []


def test_an_amendment_during_a_replace_is_asked_for_after_the_answer(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    amend(desk, limit_price=2990)
    amend(desk, limit_price=2980)
    assert desk.new()[2:] == ["replace entry 10 at 2990"]
    desk.say(desk.replaced(ENTRY))
    assert desk.new() == ["replace entry 10 at 2980"]


def test_14_a_quantity_that_has_filled_before_the_replace_arrives_is_complete(desk: Desk) -> None:
    desk.begin(single_spec(quantity=Decimal(10000)))
    desk.say(desk.accepted(ENTRY))
    desk.new()
    amend(desk, quantity=7000)
    assert desk.new() == ["replace entry 7000"]
    desk.say(desk.filled(ENTRY, 7000))
    desk.say(desk.replaced(ENTRY))
    assert desk.new() == ["finish filled"]
    assert desk.summary.filled_quantity == 7000


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"quantity": 3}, "quantity: 3: must be at least 4, which has filled"),
        ({"take_profit_price": 2900}, "stop_price: 2950: must be below take_profit_price 2900"),
        ({"limit_price": 2900}, "limit_price: 2900: can be amended: quantity, entry_price"),
    ],
)
def test_an_amendment_that_cannot_be_is_refused_and_a_human_told(desk: Desk, changes: dict[str, int], why: str) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.filled(ENTRY, 4))
    before = desk.state.spec
    amend(desk, **changes)
    assert desk.new()[-1] == "alert AMEND_REFUSED"
    assert why in desk.alert_texts["AMEND_REFUSED"]
    assert desk.state.spec == before


def test_an_entry_that_is_over_is_not_amended(desk: Desk) -> None:
    desk.begin_long_10()
    amend(desk, quantity=20)
    assert desk.new() == ["alert AMEND_REFUSED"]
    assert "the entry's, which is over" in desk.alert_texts["AMEND_REFUSED"]


def test_an_order_that_is_being_cancelled_can_still_have_its_exits_moved(desk: Desk) -> None:
    desk.begin(bracket_spec())
    desk.say(desk.filled(ENTRY, 4))
    desk.say(desk.accepted(STOP), desk.accepted(TAKE_PROFIT))
    desk.do(CancelRequested(mode="keep_exits"))
    desk.new()
    amend(desk, entry_price=2990)
    assert desk.new() == ["alert AMEND_REFUSED"]
    amend(desk, stop_price=2960)
    assert desk.new() == ["replace stop 4 at 2960"]


def test_an_entry_whose_new_price_is_refused_goes_on_as_it_was(desk: Desk) -> None:
    desk.begin(single_spec())
    desk.say(desk.accepted(ENTRY))
    amend(desk, limit_price=2990)
    desk.new()
    for _ in range(2):
        desk.say(desk.refused(ENTRY, 2, "0"))
        desk.fire("retry_replace_entry")
    desk.say(desk.refused(ENTRY, 2, "0"))
    assert desk.new()[-1] == "alert REPLACE_REJECTED"
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["finish filled"]


def test_nothing_is_no_amendment() -> None:
    with pytest.raises(SpecError, match="amendment: empty: can be amended: quantity, limit_price, stop_price"):
        amended(single_spec(), Amendment())


def test_a_price_that_the_order_has_not_cannot_be_given_to_it() -> None:
    with pytest.raises(SpecError, match="stop_price: 2900: must be left out: the order has none"):
        amended(single_spec(), Amendment(stop_price=Decimal(2900)))


def test_a_rejected_entry_is_sent_again_where_the_order_says_so(desk: Desk) -> None:
    desk.begin(single_spec(retry=RetryPolicy(attempts=2, final=("unknown symbol",))))
    desk.say(desk.rejected(ENTRY, "exchange closed"))
    assert desk.new()[2:] == ["timer retry_submit_entry"]
    desk.fire("retry_submit_entry")
    assert desk.new() == ["submit entry buy 10"]
    desk.say(desk.rejected(ENTRY, "exchange closed"))
    assert desk.new() == ["finish rejected"]


def test_what_no_repetition_can_help_is_not_tried_again(desk: Desk) -> None:
    desk.begin(single_spec(retry=RetryPolicy(attempts=2, final=("unknown symbol",))))
    desk.say(desk.rejected(ENTRY, "Unknown Symbol XYZ"))
    assert desk.new()[2:] == ["finish rejected"]


def test_why_an_amendment_would_be_refused_is_said_before_it_is_made(desk: Desk) -> None:
    desk.begin_long_10()
    assert refusal(desk.state, Amendment(quantity=Decimal(20))) == "quantity: 20: is the entry's, which is over"
    assert refusal(desk.state, Amendment(stop_price=Decimal(2960))) == ""
