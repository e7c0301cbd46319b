"""Scenario 36 and its relatives: TWAP and iceberg, orders that go to the venue in slices."""

from decimal import Decimal

import msgspec
import pytest

from tests.trading.desk import ENTRY, Desk
from trading.events import AmendRequested, CancelRequested, TimerFired
from trading.orders import Side
from trading.specs import Amendment, AtEnd, IcebergSpec, TwapSpec

TWAP = TwapSpec(
    order_id="twap-1",
    symbol="IBM",
    side=Side.BUY,
    quantity=Decimal(100),
    duration=600,
    slices=5,
    limit_price=Decimal(3000),
)
ICEBERG = IcebergSpec(
    order_id="ice-1",
    symbol="IBM",
    side=Side.BUY,
    quantity=Decimal(50),
    display_quantity=Decimal(20),
    limit_price=Decimal(3000),
)


def two_slices(desk: Desk, at_end: AtEnd = AtEnd.LEAVE) -> None:
    """Slice 1 fills 20, slice 2 fills 12 of 20."""
    desk.begin(msgspec.structs.replace(TWAP, at_end=at_end))
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 20))
    assert desk.new() == ["submit entry buy 20", "timer slice"]
    assert (desk.timers["slice"] - desk.state.started_at).total_seconds() == 120
    desk.fire("slice")
    assert desk.new() == ["submit entry buy 20", "timer slice"]
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 12))


def test_36_the_next_slice_asks_for_what_is_due_once_the_cancel_is_confirmed(desk: Desk) -> None:
    two_slices(desk)
    desk.fire("slice")
    assert desk.new() == ["cancel entry", "timer slice"]
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["submit entry buy 28"]


def test_36_a_fill_that_crosses_the_cancel_is_not_asked_for_again(desk: Desk) -> None:
    two_slices(desk)
    desk.fire("slice")
    desk.say(desk.filled(ENTRY, 8))
    assert desk.new() == ["cancel entry", "timer slice"]
    desk.say(desk.refused(ENTRY, 0, "2"))
    assert desk.new() == ["submit entry buy 20"]


@pytest.mark.parametrize(("at_end", "outcome"), [(AtEnd.CROSS, "filled"), (AtEnd.LEAVE, "expired")])
def test_36_at_the_end_the_rest_is_crossed_or_left(desk: Desk, at_end: AtEnd, outcome: str) -> None:
    two_slices(desk, at_end)
    for due in (28, 48, 68):
        desk.fire("slice")
        desk.say(desk.canceled(ENTRY))
        assert desk.sent(ENTRY).quantity == due
        desk.say(desk.accepted(ENTRY))
    desk.new()
    assert (desk.timers["slice"] - desk.state.started_at).total_seconds() == 600
    desk.fire("slice")
    desk.say(desk.canceled(ENTRY))
    if at_end is AtEnd.CROSS:
        assert desk.new() == ["cancel entry", "submit entry buy 68"]
        assert desk.order(ENTRY).order_type == "market"
        desk.say(desk.filled(ENTRY, 68))
    assert desk.outcome == outcome
    assert desk.position == (100 if at_end is AtEnd.CROSS else 32)


def test_36_it_ends_as_soon_as_all_is_filled(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(TWAP, quantity=Decimal(5)))
    for _ in range(4):
        desk.say(desk.filled(ENTRY, 1))
        desk.fire("slice")
    desk.say(desk.filled(ENTRY, 1))
    assert desk.new()[-1] == "finish filled"


def test_slices_are_in_lots(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(TWAP, quantity=Decimal(60), lot=Decimal(5), slices=5))
    sent = [desk.sent(ENTRY).quantity]
    for _ in range(4):
        desk.say(desk.filled(ENTRY, int(desk.sent(ENTRY).quantity)))
        desk.fire("slice")
        sent.append(desk.sent(ENTRY).quantity)
    assert sent == [10, 10, 15, 10, 15]


def test_a_slice_that_is_refused_is_made_up_by_the_next(desk: Desk) -> None:
    desk.begin(TWAP)
    desk.say(desk.rejected(ENTRY, "price band"))
    assert desk.new()[2:] == ["alert SLICE_REJECTED"]
    desk.fire("slice")
    assert desk.new() == ["submit entry buy 40", "timer slice"]


def test_a_cancel_ends_the_slices(desk: Desk) -> None:
    two_slices(desk)
    desk.do(CancelRequested())
    desk.say(desk.canceled(ENTRY))
    assert desk.new() == ["cancel entry", "finish canceled"]
    assert desk.position == 32


def test_another_limit_holds_for_the_slice_that_works_and_the_next_ones(desk: Desk) -> None:
    two_slices(desk)
    desk.do(AmendRequested(amendment=Amendment(limit_price=Decimal(3001))))
    assert desk.new() == ["replace entry 20 at 3001"]
    desk.say(desk.replaced(ENTRY))
    desk.fire("slice")
    desk.say(desk.canceled(ENTRY))
    assert desk.sent(ENTRY).price == 3001


def test_an_iceberg_shows_no_more_than_its_display_quantity(desk: Desk) -> None:
    desk.begin(ICEBERG)
    assert desk.new() == ["submit entry buy 20"]
    desk.say(desk.filled(ENTRY, 15))
    assert desk.new() == []
    desk.say(desk.filled(ENTRY, 5))
    assert desk.new() == ["submit entry buy 20"]
    desk.say(desk.filled(ENTRY, 20))
    assert desk.new() == ["submit entry buy 10"]
    desk.say(desk.filled(ENTRY, 10))
    assert desk.new() == ["finish filled"]
    assert desk.summary.filled_quantity == 50


def test_an_iceberg_that_the_venue_cancels_shows_nothing_more(desk: Desk) -> None:
    desk.begin(ICEBERG)
    desk.say(desk.filled(ENTRY, 20))
    desk.say(desk.canceled_unasked(ENTRY))
    assert desk.new()[2:] == ["finish canceled"]
    assert desk.position == 20


def test_an_overfilled_slice_makes_the_last_one_smaller(desk: Desk) -> None:
    desk.begin(ICEBERG)
    desk.say(desk.filled(ENTRY, 25))
    assert desk.new()[1:] == ["submit entry buy 20", "alert OVERFILL"]
    desk.say(desk.filled(ENTRY, 20))
    assert desk.new() == ["submit entry buy 5"]


def test_an_iceberg_can_be_made_smaller_than_what_it_shows(desk: Desk) -> None:
    desk.begin(ICEBERG)
    desk.say(desk.filled(ENTRY, 20))
    desk.say(desk.accepted(ENTRY))
    desk.new()
    desk.do(AmendRequested(amendment=Amendment(quantity=Decimal(30))))
    assert desk.new() == ["replace entry 10"]


def test_a_part_of_the_last_slice_of_an_iceberg_changes_nothing(desk: Desk) -> None:
    desk.begin(ICEBERG)
    desk.say(desk.filled(ENTRY, 20))
    desk.say(desk.filled(ENTRY, 20))
    assert desk.order(ENTRY).limit_price == 3000
    desk.new()
    desk.say(desk.filled(ENTRY, 4))
    assert desk.new() == []


def test_an_iceberg_shows_also_a_last_share_and_then_its_time_is_no_longer_limited(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(ICEBERG, quantity=Decimal(21), valid_for=60))
    desk.say(desk.filled(ENTRY, 20))
    assert desk.new()[-1] == "submit entry buy 1"
    assert "valid_until" in desk.timers
    desk.say(desk.filled(ENTRY, 1))
    assert desk.new() == ["finish filled"]
    assert "valid_until" not in desk.timers


def test_a_refused_slice_is_told_once_and_in_the_venues_words(desk: Desk) -> None:
    desk.begin(TWAP)
    desk.say(desk.rejected(ENTRY, "price band"))
    assert desk.alert_texts["SLICE_REJECTED"] == "twap-1.e1: price band; its quantity goes to the next slice"
    desk.new()
    desk.do(CancelRequested())
    assert desk.new() == ["finish rejected"]


def test_only_its_own_timer_ends_a_slice_and_only_while_one_is_on(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(TWAP, slices=2, at_end=AtEnd.CROSS))
    desk.new()
    desk.do(TimerFired(name="another"))
    assert desk.new() == []
    for due in (100, 100):
        desk.fire("slice")
        desk.say(desk.canceled(ENTRY))
        assert desk.new()[-1] == f"submit entry buy {due}"
    desk.do(TimerFired(name="slice"))
    assert desk.new() == []


def test_slices_of_which_nothing_fills_end_as_expired_unfilled(desk: Desk) -> None:
    desk.begin(msgspec.structs.replace(TWAP, slices=2, at_end=AtEnd.LEAVE))
    for _ in range(2):
        desk.fire("slice")
        desk.say(desk.canceled(ENTRY))
    assert desk.new()[-1] == "finish expired_unfilled"


def test_a_later_slice_whose_new_price_was_refused_for_good_is_made_larger_at_the_price_that_works(desk: Desk) -> None:
    desk.begin(ICEBERG)
    trade = desk.filled(ENTRY, 20)
    desk.say(trade)
    desk.say(desk.filled(ENTRY, 20))
    desk.say(desk.accepted(ENTRY))
    desk.do(AmendRequested(amendment=Amendment(limit_price=Decimal(2990))))
    for _ in range(2):
        desk.say(desk.refused(ENTRY, 2, "0"))
        desk.fire("retry_replace_entry_0_2")
    desk.say(desk.refused(ENTRY, 2, "0"))
    desk.new()
    desk.say(desk.busted(ENTRY, trade))
    assert desk.new() == ["replace entry 20", "alert TRADE_BUSTED"]
