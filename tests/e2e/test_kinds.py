"""Each other kind of order once, end to end; the pure lifecycles have the rest in `tests/trading/`."""

from decimal import Decimal

from player.stack import Stack
from tests.e2e.desk import Desk


def test_oco_the_entry_that_trades_cancels_the_other(stack: Stack) -> None:
    desk = Desk(stack, "OCO")
    desk.quote("2999", "3001")
    entries = [
        {"side": "buy", "quantity": "10", "order_type": "stop", "price": "3050"},
        {"side": "sell", "quantity": "10", "order_type": "stop", "price": "2950"},
    ]
    desk.place({"type": "oco", "order_id": "oco-1", "symbol": "OCO", "entries": entries})
    assert desk.working() == [("stop", "10"), ("stop", "10")]

    desk.quote("3049", "3050", ask_size="4")
    assert desk.sent() == ["buy stop 10 partially_filled", "sell stop 10 canceled"]
    assert desk.order("oco-1")["outcome"] is None
    assert desk.position() == desk.venue_position() == "4"

    desk.quote("3049", "3052")
    order = desk.order("oco-1")
    assert (order["outcome"], order["filled_quantity"]) == ("filled", "10")
    assert Decimal(order["average_price"]) == Decimal("3051.2")
    assert [child["status"] for child in order["children"]] == ["filled", "canceled"]
    assert desk.position() == desk.venue_position() == "10"


def test_oto_what_one_order_fills_is_what_the_next_is_sent_for(stack: Stack) -> None:
    first, second = Desk(stack, "FIRST"), Desk(stack, "SECOND")
    first.quote("49", "50", ask_size="40")
    second.quote("30", "31")
    orders = [
        {"symbol": "FIRST", "side": "buy", "quantity": "100", "price": "50"},
        {"symbol": "SECOND", "side": "sell", "quantity": "50", "price": "30"},
    ]
    first.place({"type": "oto", "order_id": "oto-1", "orders": orders})
    assert second.sent() == ["sell limit 20 filled"]
    first.quote("49", "50")
    assert second.sent() == ["sell limit 20 filled", "sell limit 30 filled"]
    order = first.order("oto-1")
    assert (order["outcome"], order["filled_quantity"]) == ("filled", "100")
    assert (first.position(), second.position()) == ("100", "-50")
    assert (first.venue_position(), second.venue_position()) == ("100", "-50")


def test_multi_leg_what_one_leg_has_filled_is_unwound_when_the_other_fails(stack: Stack) -> None:
    first, second = Desk(stack, "LEGA"), Desk(stack, "LEGB")
    first.quote("49", "50", ask_size="60")
    second.quote("29", "31")
    legs = [
        {"symbol": "LEGA", "side": "buy", "quantity": "100", "price": "50"},
        {"symbol": "LEGB", "side": "sell", "quantity": "100", "price": "30"},
    ]
    first.place({"type": "multi_leg", "order_id": "spread-1", "legs": legs, "on_leg_failure": "unwind"})
    assert (first.position(), first.working(), second.working()) == ("60", [("limit", "40")], [("limit", "100")])

    second.cancel_by_venue(second.venue_orders()[0]["cl_ord_ids"][0])
    assert first.sent() == ["buy limit 100 canceled", "sell market 60 filled"]
    assert second.sent() == ["sell limit 100 canceled"]
    order = first.order("spread-1")
    assert (order["outcome"], order["filled_quantity"]) == ("unwound", "60")
    assert [(child["symbol"], child["cum_quantity"]) for child in order["children"]] == [
        ("LEGA", "60"),
        ("LEGB", "0"),
        ("LEGA", "60"),
    ]
    assert "LEG_FAILED" in first.alerts("spread-1")
    assert first.position() == first.venue_position() == second.position() == "0"


def test_35_trailing_the_stop_at_the_venue_follows_the_market_data(stack: Stack) -> None:
    desk = Desk(stack, "TRAIL")
    desk.quote("2999", "3000")
    desk.place(
        {
            "type": "trailing",
            "order_id": "trailing-1",
            "symbol": "TRAIL",
            "side": "buy",
            "quantity": "10",
            "entry_price": "3000",
            "trail": {"amount": "50", "step": "10"},
        }
    )
    stops = [desk.stop_price()]
    for price in ("3005", "3012", "3060", "3030"):
        desk.tick(price)
        stops.append(desk.stop_price())
    assert stops == ["2950", "2950", "2962", "3010", "3010"]
    assert desk.working() == [("stop", "10")]

    desk.tick("3009")
    order = desk.order("trailing-1")
    assert (order["outcome"], order["filled_quantity"], order["average_price"]) == ("stop_loss", "10", "3000")
    assert desk.sent() == ["buy limit 10 filled", "sell stop 10 filled"]
    assert desk.position() == desk.venue_position() == "0"


def test_a_synthetic_bracket_keeps_its_exits_here_until_market_data_touch_its_stop(stack: Stack) -> None:
    desk = Desk(stack, "SYNTH")
    desk.quote("2999", "3000")
    desk.place_bracket("synthetic-1", synthetic=True)
    desk.tick("2951")
    assert desk.sent() == ["buy limit 10 filled"]
    assert desk.order("synthetic-1")["outcome"] is None

    desk.tick("2950")
    assert desk.sent() == ["buy limit 10 filled", "sell market 10 filled"]
    assert desk.order("synthetic-1")["outcome"] == "stop_loss"
    assert desk.position() == desk.venue_position() == "0"


def test_36_twap_what_a_slice_has_not_filled_goes_to_the_next(stack: Stack) -> None:
    desk = Desk(stack, "TWAP")
    desk.quote("2999", "3000", ask_size="20")
    desk.place(
        {
            "type": "twap",
            "order_id": "twap-1",
            "symbol": "TWAP",
            "side": "buy",
            "quantity": "100",
            "duration": 600,
            "slices": 5,
            "limit_price": "3000",
        }
    )
    assert desk.sent() == ["buy limit 20 filled"]
    desk.quote("2999", "3000", ask_size="12")
    desk.wait(120)
    assert desk.sent()[1:] == ["buy limit 20 partially_filled"]
    desk.wait(120)
    assert desk.sent()[1:] == ["buy limit 20 canceled", "buy limit 28 new"]
    desk.quote("2999", "3000")
    desk.wait(240)
    assert desk.sent()[3:] == ["buy limit 20 filled", "buy limit 20 filled"]

    order = desk.order("twap-1")
    assert (order["outcome"], order["filled_quantity"]) == ("filled", "100")
    assert desk.position() == desk.venue_position() == "100"


def test_iceberg_the_venue_never_sees_more_than_is_to_be_shown(stack: Stack) -> None:
    desk = Desk(stack, "ICE")
    desk.quote("2999", "3001")
    desk.place(
        {
            "type": "iceberg",
            "order_id": "iceberg-1",
            "symbol": "ICE",
            "side": "buy",
            "quantity": "10",
            "limit_price": "3000",
            "display_quantity": "4",
        }
    )
    assert desk.working() == [("limit", "4")]
    desk.quote("2999", "3000", ask_size="5")
    assert desk.sent() == ["buy limit 4 filled", "buy limit 4 partially_filled"]
    assert desk.working() == [("limit", "3")]
    desk.quote("2999", "3000")
    assert desk.sent() == ["buy limit 4 filled", "buy limit 4 filled", "buy limit 2 filled"]

    order = desk.order("iceberg-1")
    assert (order["outcome"], order["filled_quantity"], order["average_price"]) == ("filled", "10", "3000")
    assert desk.position() == desk.venue_position() == "10"


def test_scale_one_pair_of_exits_for_what_all_rungs_have_filled(stack: Stack) -> None:
    desk = Desk(stack, "SCALE")
    desk.quote("2999", "3001")
    desk.place(
        {
            "type": "scale",
            "order_id": "scale-1",
            "symbol": "SCALE",
            "side": "buy",
            "rungs": [{"quantity": "4", "price": "3000"}, {"quantity": "6", "price": "2990"}],
            "stop_price": "2950",
            "take_profit_price": "3050",
        }
    )
    desk.quote("2999", "3000")
    assert desk.working() == [("limit", "4"), ("limit", "6"), ("stop", "4")]
    desk.quote("2989", "2990")
    assert desk.working() == [("limit", "10"), ("stop", "10")]
    assert desk.position() == desk.venue_position() == "10"

    desk.quote("3050", "3051")
    order = desk.order("scale-1")
    assert (order["outcome"], order["filled_quantity"], order["average_price"]) == ("take_profit", "10", "2994")
    assert desk.working() == []
    assert desk.position() == desk.venue_position() == "0"


def test_flatten_closes_what_is_held(stack: Stack) -> None:
    desk = Desk(stack, "FLAT")
    desk.quote("99", "100")
    desk.place_at_market("flatten-before", "buy", "5")
    flatten = {"type": "flatten", "symbol": "FLAT", "side": "buy", "quantity": "5", "reference_price": "100"}
    desk.place(flatten | {"order_id": "flatten-1"})
    assert desk.sent() == ["buy market 5 filled", "sell market 5 filled"]
    assert desk.order("flatten-1")["outcome"] == "closed"
    assert desk.position() == desk.venue_position() == "0"

    desk.place(flatten | {"order_id": "flatten-2"})
    assert desk.order("flatten-2")["outcome"] == "denied"


def test_an_amendment_that_the_fills_overtake_leaves_what_is_left_of_it(stack: Stack) -> None:
    desk = Desk(stack, "AMEND")
    desk.quote("2999", "3000", ask_size="4")
    order = {"type": "single", "order_id": "amend-1", "symbol": "AMEND", "side": "buy", "quantity": "10"}
    desk.place(order | {"limit_price": "3000"})
    desk.hold("G")
    desk.amend("amend-1", quantity="7")
    assert desk.order("amend-1")["children"][0]["status"] == "pending_replace"
    desk.quote("2999", "3000", ask_size="2")
    assert desk.working() == [("limit", "4")]

    desk.end_faults()
    assert desk.working() == [("limit", "1")]
    assert desk.order("amend-1")["spec"]["quantity"] == "7"
    desk.quote("2999", "3000")
    amended = desk.order("amend-1")
    assert (amended["outcome"], amended["filled_quantity"]) == ("filled", "7")
    assert len(amended["children"][0]["cl_ord_ids"]) == 2
    assert desk.position() == desk.venue_position() == "7"
