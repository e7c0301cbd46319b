"""Scenarios of the order lifecycles, end to end: host, FIX session and venue in processes of their own.

Numbers and quantities are those of the acceptance scenarios; the pure lifecycle has all of them in
`tests/trading/test_bracket_scenarios.py`.
"""

from collections.abc import Iterator

import pytest

from player.stack import Stack, StackOptions, running
from tests.e2e.desk import Desk

FILLED, CANCELED = "2", "4"
LIMITS = {
    "MAX_ORDER_NOTIONAL": "1000000",
    "MAX_SYMBOL_NOTIONAL": "1000000",
    "MAX_GROSS_NOTIONAL": "100000000",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(StackOptions(out=tmp_path_factory.mktemp("e2e"), lockstep=True, settings=LIMITS)) as stack:
        yield stack


def test_01_the_take_profit_fills_and_the_stop_is_cancelled_once(stack: Stack) -> None:
    desk = Desk(stack, "ONE")
    desk.quote("2999", "3001")
    desk.place_bracket("scenario-01")
    assert desk.working() == [("limit", "10")]

    desk.quote("2999", "3000")
    assert desk.working() == [("limit", "10"), ("stop", "10")]

    desk.quote("3050", "3051")
    order = desk.order("scenario-01")
    assert (order["outcome"], order["filled_quantity"]) == ("take_profit", "10")
    assert [placed["status"] for placed in desk.venue_orders() if placed["order_type"] == "stop"] == [CANCELED]
    assert desk.working() == []
    assert desk.position() == desk.venue_position() == "0"


def test_02_the_stop_fills_and_the_take_profit_is_cancelled_once(stack: Stack) -> None:
    desk = Desk(stack, "TWO")
    desk.quote("2999", "3000")
    desk.place_bracket("scenario-02")
    desk.quote("2950", "2951")

    assert desk.order("scenario-02")["outcome"] == "stop_loss"
    assert [(placed["order_type"], placed["status"]) for placed in desk.venue_orders()[1:]] == [
        ("stop", FILLED),
        ("limit", CANCELED),
    ]
    assert desk.position() == desk.venue_position() == "0"


def test_03_a_partly_filled_entry_that_the_venue_cancels_keeps_exits_for_what_filled(stack: Stack) -> None:
    desk = Desk(stack, "THREE")
    desk.quote("2999", "3000", ask_size="4")
    desk.place_bracket("scenario-03")
    entry = desk.venue_orders()[0]["cl_ord_ids"][0]
    desk.cancel_by_venue(entry)

    placed = desk.venue_orders()[0]
    assert (placed["cum_quantity"], placed["leaves_quantity"], placed["status"]) == ("4", "0", CANCELED)
    assert desk.working() == [("limit", "4"), ("stop", "4")]
    assert desk.position() == desk.venue_position() == "4"

    desk.quote("3050", "3051")
    assert desk.order("scenario-03")["outcome"] == "take_profit"
    assert desk.working() == []
    assert desk.position() == desk.venue_position() == "0"


def test_12_stop_and_take_profit_both_fill_and_one_market_order_brings_it_back_to_flat(stack: Stack) -> None:
    desk = Desk(stack, "TWELVE")
    desk.quote("2999", "3000")
    desk.place_bracket("scenario-12")
    desk.sweep_both_ways("2940", "3060")
    assert desk.venue_position() == "-10"
    desk.quote("2999", "3000")

    closing = [placed for placed in desk.venue_orders() if placed["order_type"] == "market"]
    assert [(placed["side"], placed["quantity"], placed["status"]) for placed in closing] == [("buy", "10", FILLED)]
    assert desk.position() == desk.venue_position() == "0"
    assert "DOUBLE_EXIT" in desk.alerts("scenario-12")

    desk.place_bracket("scenario-12-next")
    assert desk.order("scenario-12-next")["outcome"] == "denied"
    desk.unblock()
    desk.place_bracket("scenario-12-later")
    assert desk.order("scenario-12-later")["outcome"] is None


def test_20_the_host_dies_twice_between_the_entrys_fill_and_the_exits(stack: Stack) -> None:
    desk = Desk(stack, "TWENTY")
    desk.quote("2999", "3001")
    desk.place_bracket("scenario-20")
    desk.prices_without_settling("2999", "3000")
    desk.kill_host_while_orders_are_held(2)
    desk.kill_host_while_orders_are_held(0)
    desk.settle()

    assert desk.working() == [("limit", "10"), ("stop", "10")]
    ids = [cl_ord_id for placed in desk.venue_orders() for cl_ord_id in placed["cl_ord_ids"]]
    assert len(ids) == len(set(ids)) == 3
    assert [row.number for row in desk.journal("scenario-20")] == list(range(1, len(desk.journal("scenario-20")) + 1))

    desk.quote("2950", "2951")
    assert desk.order("scenario-20")["outcome"] == "stop_loss"
    assert desk.position() == desk.venue_position() == "0"


def test_27_a_cancel_before_any_fill_leaves_nothing(stack: Stack) -> None:
    desk = Desk(stack, "SEVENA")
    desk.quote("2999", "3001")
    desk.place_bracket("scenario-27a")
    desk.cancel("scenario-27a", "flatten")

    assert desk.order("scenario-27a")["outcome"] == "canceled"
    assert desk.working() == []


def test_27_a_cancel_with_four_filled_flattens_at_market(stack: Stack) -> None:
    desk = Desk(stack, "SEVENB")
    desk.quote("2999", "3000", ask_size="4")
    desk.place_bracket("scenario-27b")
    desk.cancel("scenario-27b", "flatten")

    assert desk.working() == []
    assert desk.position() == desk.venue_position() == "0"


def test_27_a_cancel_that_keeps_the_exits_ends_only_the_entry(stack: Stack) -> None:
    desk = Desk(stack, "SEVENC")
    desk.quote("2999", "3000", ask_size="4")
    desk.place_bracket("scenario-27c")
    desk.cancel("scenario-27c", "keep_exits")

    assert desk.working() == [("limit", "4"), ("stop", "4")]
    assert desk.position() == desk.venue_position() == "4"
