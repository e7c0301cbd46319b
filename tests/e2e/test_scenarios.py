"""Scenarios of the order lifecycles, end to end: host, FIX session and venue in processes of their own.

Numbers and quantities are those of the acceptance scenarios; the pure lifecycle has all of them in
`tests/trading/test_bracket_scenarios.py`.
"""

import pytest

from player.stack import Stack
from tests.e2e.desk import Desk

FILLED, CANCELED = "2", "4"


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


def test_10_the_take_profit_fills_3_while_its_cancel_is_pending_after_the_stop(stack: Stack) -> None:
    desk = Desk(stack, "TEN")
    desk.quote("2999", "3000")
    desk.place_bracket("scenario-10")
    desk.hold("F")
    desk.quote("2950", "2951")
    desk.quote("3050", "3051", bid_size="3")
    assert desk.venue_position() == desk.position() == "-3"
    assert desk.order("scenario-10")["outcome"] is None
    assert [placed["order_type"] for placed in desk.venue_orders()] == ["limit", "stop", "limit"]

    desk.end_faults()
    (closing,) = [placed for placed in desk.venue_orders() if placed["order_type"] == "market"]
    assert (closing["side"], closing["quantity"], closing["status"]) == ("buy", "3", FILLED)
    assert desk.order("scenario-10")["outcome"] == "double_exit"
    assert "DOUBLE_EXIT" in desk.alerts("scenario-10")
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


def test_18_a_stop_that_the_venue_has_is_not_sent_again_after_a_reconnect(stack: Stack) -> None:
    desk = Desk(stack, "EIGHTEEN")
    desk.quote("2999", "3001")
    desk.place_bracket("scenario-18")
    desk.hold_reports(t150="0", t40="3")
    desk.count("D", t40="3")
    desk.quote("2999", "3000")
    stop = _stop(desk)
    assert desk.status("scenario-18", stop) == "pending_new"

    desk.cut()
    assert desk.caught() == [[stop], [stop]]
    assert desk.status("scenario-18", stop) == "new"

    desk.end_faults()
    assert _stop(desk) == stop
    assert desk.working() == [("limit", "10"), ("stop", "10")]
    desk.quote("2950", "2951")
    assert desk.order("scenario-18")["outcome"] == "stop_loss"
    assert desk.position() == desk.venue_position() == "0"


def test_19_a_stop_that_the_venue_does_not_have_is_sent_again_under_its_clordid(stack: Stack) -> None:
    desk = Desk(stack, "NINETEEN")
    desk.quote("2999", "3001")
    desk.place_bracket("scenario-19")
    desk.lose("D", t40="3")
    desk.quote("2999", "3000")
    assert desk.working() == [("limit", "10")]
    ((stop,),) = desk.caught()
    desk.end_faults()

    desk.count("D", t40="3", t97="Y")
    desk.cut()
    assert desk.caught() == [[stop]]
    desk.end_faults()
    assert _stop(desk) == stop
    assert desk.working() == [("limit", "10"), ("stop", "10")]
    desk.quote("2950", "2951")
    assert desk.order("scenario-19")["outcome"] == "stop_loss"
    assert desk.position() == desk.venue_position() == "0"


def test_19_a_stop_that_the_question_about_it_has_overtaken_does_not_work_twice(stack: Stack) -> None:
    desk = Desk(stack, "OVERTAKEN")
    desk.quote("2999", "3001")
    desk.place_bracket("scenario-19-late")
    desk.hold("D", t40="3", t97="")
    desk.quote("2999", "3000")
    desk.cut()
    ((stop,),) = desk.caught()
    assert desk.working() == [("limit", "10"), ("stop", "10")]

    desk.end_faults()
    assert _stop(desk) == stop
    assert desk.working() == [("limit", "10"), ("stop", "10")]
    assert desk.alerts("scenario-19-late") == []


def _stop(desk: Desk) -> str:
    """The ClOrdID of the one stop that the venue ever had."""
    ((stop,),) = [placed["cl_ord_ids"] for placed in desk.venue_orders() if placed["order_type"] == "stop"]
    return str(stop)


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


def test_28_a_halt_lets_nothing_add_to_a_position_and_with_flatten_closes_them_all(stack: Stack) -> None:
    waiting, protected, bare = Desk(stack, "HALTA"), Desk(stack, "HALTB"), Desk(stack, "HALTC")
    waiting.quote("2999", "3001")
    waiting.place_bracket("scenario-28a")
    protected.quote("2999", "3000")
    protected.place_bracket("scenario-28b")
    bare.quote("99", "100")
    bare.place_at_market("scenario-28c", "buy", "6")
    assert (protected.position(), bare.position()) == ("10", "6")

    waiting.halt()
    assert waiting.order("scenario-28a")["outcome"] == "halted"
    assert waiting.working() == []
    assert protected.working() == [("limit", "10"), ("stop", "10")]
    bare.place_at_market("scenario-28d", "buy", "1")
    waiting.place_bracket("scenario-28e")
    assert bare.order("scenario-28d")["outcome"] == waiting.order("scenario-28e")["outcome"] == "denied"
    bare.place_at_market("scenario-28f", "sell", "2")
    assert bare.order("scenario-28f")["outcome"] == "filled"
    assert bare.position() == "4"

    waiting.halt(flatten=True)
    assert protected.order("scenario-28b")["outcome"] == "closed"
    assert protected.working() == []
    assert set(bare.positions().values()) == {"0"}
    assert bare.venue_position() == protected.venue_position() == "0"

    waiting.resume()
    waiting.place_bracket("scenario-28g")
    assert waiting.working() == [("limit", "10")]
    waiting.cancel("scenario-28g", "flatten")


@pytest.mark.parametrize(("symbol", "when_reopened"), [("FORTYTWO", "protect"), ("FORTYTWOB", "close")])
def test_42_a_take_profit_that_is_busted_after_the_end_opens_the_order_again(
    stack: Stack, symbol: str, when_reopened: str
) -> None:
    desk = Desk(stack, symbol)
    order_id = f"scenario-42-{when_reopened}"
    desk.quote("2999", "3000")
    desk.place_bracket(order_id, when_reopened=when_reopened)
    desk.quote("3050", "3051")
    assert desk.order(order_id)["outcome"] == "take_profit"
    assert desk.position() == "0"
    desk.quote("2999", "3000")

    desk.bust_by_venue(desk.venue_trades()[-1]["exec_id"])
    assert {"LATE_EXECUTION", "TRADE_BUSTED", "REOPENED"} <= set(desk.alerts(order_id))
    if when_reopened == "protect":
        assert desk.order(order_id)["outcome"] is None
        assert desk.working() == [("limit", "10"), ("stop", "10")]
        assert desk.position() == desk.venue_position() == "10"
        desk.quote("2950", "2951")

    order = desk.order(order_id)
    assert order["outcome"] == ("stop_loss" if when_reopened == "protect" else "closed")
    assert order["filled_quantity"] == "10"
    assert desk.working() == []
    assert desk.position() == desk.venue_position() == "0"
    ids = [cl_ord_id for placed in desk.venue_orders() for cl_ord_id in placed["cl_ord_ids"]]
    assert len(ids) == len(set(ids)) == (5 if when_reopened == "protect" else 4)


def test_42_the_host_dies_while_a_busted_trade_opens_the_order_again(stack: Stack) -> None:
    desk = Desk(stack, "FORTYTWOC")
    desk.quote("2999", "3000")
    desk.place_bracket("scenario-42-dies")
    desk.quote("3050", "3051")
    desk.quote("2999", "3000")
    desk.bust_by_venue(desk.venue_trades()[-1]["exec_id"], settle=False)
    desk.kill_host_while_orders_are_held(0)
    desk.kill_host_while_orders_are_held(0)
    desk.settle()

    assert desk.working() == [("limit", "10"), ("stop", "10")]
    assert desk.position() == desk.venue_position() == "10"
    assert desk.order("scenario-42-dies")["outcome"] is None
    desk.quote("2950", "2951")
    assert desk.order("scenario-42-dies")["outcome"] == "stop_loss"
    assert desk.position() == desk.venue_position() == "0"


def test_23_26_what_the_venue_corrects_and_restates_is_followed_and_brought_back(stack: Stack) -> None:
    desk = Desk(stack, "UNASKED")
    desk.quote("2999", "3000")
    desk.place_bracket("scenario-23")
    desk.correct_by_venue(desk.venue_trades()[0]["exec_id"], "10", "2999")
    entry = desk.order("scenario-23")["children"][0]
    assert (entry["cum_quantity"], entry["average_price"]) == ("10", "2999")
    assert [placed["status"] for placed in desk.venue_orders()[1:]] == ["0", "0"]

    desk.restate_by_venue(_stop(desk), "8")
    assert desk.working() == [("limit", "10"), ("stop", "10")]
    assert "ORDER_RESTATED" in desk.alerts("scenario-23")
    desk.quote("2950", "2951")
    assert desk.order("scenario-23")["outcome"] == "stop_loss"
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


def test_30_report_3_arrives_before_report_2_which_is_read_from_the_journal(stack: Stack) -> None:
    """A process had journalled a fill and died before it told anybody; the next fill is the first that is heard of."""
    desk = Desk(stack, "THIRTY")
    desk.quote("2999", "3001")
    desk.place_bracket("scenario-30")
    (accepted,) = desk.journal("scenario-30")
    entry = accepted.event.cl_ord_id
    unheard = desk.journal_fill("scenario-30", entry, quantity="4", cum="4", exec_id="thirty-1")
    heard = desk.journal_fill("scenario-30", entry, quantity="6", cum="10", exec_id="thirty-2")
    assert (unheard.number, heard.number) == (2, 3)

    for row in (heard, heard, unheard):
        desk.tell(row)
    first, *_ = desk.order("scenario-30")["children"]
    assert (first["role"], first["cum_quantity"]) == ("entry", "10")
    assert desk.position() == "10"
    assert [placed for placed in desk.sent() if placed.startswith("sell")] == [
        "sell stop 10 new",
        "sell limit 10 new",
    ]
