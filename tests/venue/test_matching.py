"""What trades with what, at which price, and in which order."""

from decimal import Decimal

from tests.venue.desk import AT, BUY, DAY, FOK, GTC, IOC, SELL, Desk, execution, executions, fills, traded

# ---- against the touch


def test_an_arriving_limit_order_gets_the_price_of_the_touch() -> None:
    desk = Desk()
    desk.quote(99, 100)
    assert fills(desk.place("1", BUY, 10, limit=101)) == traded(("1", 10, 100))


def test_a_resting_limit_order_gets_its_own_limit() -> None:
    desk = Desk()
    desk.quote(99, 101)
    assert fills(desk.place("1", BUY, 10, limit=100)) == []
    assert fills(desk.quote(97, 98)) == traded(("1", 10, 100))


def test_a_limit_order_that_the_touch_only_reaches_trades() -> None:
    desk = Desk()
    desk.place("1", SELL, 10, limit=100)
    assert fills(desk.quote("99.99", 101)) == []
    assert fills(desk.quote(100, 101)) == traded(("1", 10, 100))


def test_a_known_size_is_used_up_until_the_next_touch() -> None:
    desk = Desk()
    desk.quote(99, 100, ask_size=15)
    assert fills(desk.place("1", BUY, 10, limit=100)) == traded(("1", 10, 100))
    assert fills(desk.place("2", BUY, 10, limit=100)) == traded(("2", 5, 100))
    assert fills(desk.place("3", BUY, 1)) == []
    assert fills(desk.quote(99, 100, ask_size=6)) == traded(("3", 1, 100), ("2", 5, 100))


def test_a_size_of_zero_is_nobody() -> None:
    desk = Desk()
    desk.quote(99, 100, ask_size=0)
    assert fills(desk.place("1", BUY, 10)) == []


def test_an_unknown_size_has_no_end() -> None:
    desk = Desk()
    desk.quote(99, 100)
    assert fills(desk.place("1", BUY, 1_000_000)) == traded(("1", 1_000_000, 100))


def test_a_print_replaces_both_sides_of_an_older_touch() -> None:
    desk = Desk()
    desk.quote(99, 101)
    desk.print(100, 7)
    assert fills(desk.place("1", BUY, 10)) == traded(("1", 7, 100))
    assert fills(desk.place("2", SELL, 10)) == traded(("2", 7, 100))


def test_a_quote_with_a_side_unknown_leaves_that_side_as_it_was() -> None:
    desk = Desk()
    desk.quote(98, 100)
    desk.quote(99, None)
    assert fills(desk.place("1", BUY, 10)) == traded(("1", 10, 100))
    assert fills(desk.place("2", SELL, 10)) == traded(("2", 10, 99))


def test_a_market_order_without_a_touch_rests_until_the_next() -> None:
    desk = Desk()
    assert executions(desk.place("1", BUY, 10)) == ["0/0"]
    assert fills(desk.quote(99, 100)) == traded(("1", 10, 100))


def test_partial_fills_carry_exact_totals() -> None:
    desk = Desk()
    desk.quote(99, 100, ask_size=4)
    desk.place("1", BUY, 10, limit=100)
    second = execution(desk.quote(97, "99.5", ask_size=3)[-1])
    assert (second.ord_status, str(second.cum_qty), str(second.leaves_qty), str(second.avg_px)) == (
        "1",
        "7",
        "3",
        "100",
    )
    third = execution(desk.quote(97, 98)[-1])
    assert (third.ord_status, str(third.cum_qty), str(third.leaves_qty), str(third.avg_px)) == ("2", "10", "0", "100")


def test_the_average_price_is_weighted_by_quantity() -> None:
    desk = Desk()
    desk.quote(99, "100.10", ask_size=1)
    desk.place("1", BUY, 3)
    assert execution(desk.quote(99, "100.40")[-1]).avg_px == Decimal("100.3")


# ---- time in force


def test_immediate_or_cancel_cancels_the_rest_at_once() -> None:
    desk = Desk()
    desk.quote(99, 100, ask_size=4)
    reports = desk.place("1", BUY, 10, limit=100, tif=IOC)
    assert executions(reports) == ["0/0", "F/1", "4/4"]
    assert (execution(reports[-1]).cum_qty, execution(reports[-1]).leaves_qty) == (Decimal(4), Decimal(0))
    assert desk.quote(99, 100) == []


def test_fill_or_kill_trades_nothing_if_it_cannot_trade_all() -> None:
    desk = Desk()
    desk.quote(99, 100, ask_size=9)
    assert executions(desk.place("1", BUY, 10, limit=100, tif=FOK)) == ["0/0", "4/4"]
    assert executions(desk.place("2", BUY, 9, limit=100, tif=FOK)) == ["0/0", "F/2"]


def test_fill_or_kill_counts_touch_and_other_orders_together() -> None:
    desk = Desk()
    desk.quote(99, 100, ask_size=5)
    desk.place("own", SELL, 5, limit=100)
    desk.place("other", SELL, 4, limit=101, session="B")
    assert fills(desk.place("1", BUY, 10, limit=101, tif=FOK)) == []
    assert fills(desk.place("2", BUY, 9, limit=101, tif=FOK)) == traded(("2", 5, 100), ("other", 4, 101), ("2", 4, 101))


def test_fill_or_kill_at_market_takes_resting_market_orders_only_at_a_price() -> None:
    desk = Desk()
    desk.place("m", SELL, 5, session="B")
    desk.quote(None, 100, ask_size=2)
    assert fills(desk.place("1", BUY, 5, tif=FOK)) == []
    desk.quote(None, 100, ask_size=0)
    desk.place("l", SELL, 1, limit=100, session="B")
    assert fills(desk.place("2", BUY, 6, tif=FOK)) == traded(("m", 5, 100), ("2", 5, 100), ("l", 1, 100), ("2", 1, 100))


def test_nothing_immediate_trades_while_the_symbol_is_closed() -> None:
    desk = Desk()
    desk.quote(99, 100)
    desk.close()
    assert executions(desk.place("1", BUY, 10, tif=IOC)) == ["0/0", "4/4"]
    assert executions(desk.place("2", BUY, 10, limit=100, tif=FOK)) == ["0/0", "4/4"]


def test_the_end_of_the_day_expires_day_orders_only() -> None:
    desk = Desk()
    desk.place("day", BUY, 10, limit=100, tif=DAY)
    desk.place("stop", BUY, 10, stop=110, tif=DAY)
    desk.place("gtc", BUY, 10, limit=100, tif=GTC)
    reports = desk.exchange.end_of_day(AT)
    assert [execution(report).cl_ord_id for report in reports] == ["day", "stop"]
    assert all(execution(report).leaves_qty == 0 for report in reports)
    assert executions(reports) == ["C/C", "C/C"]
    assert fills(desk.quote(99, 100)) == traded(("gtc", 10, 100))


# ---- closed


def test_orders_rest_while_the_symbol_is_closed() -> None:
    desk = Desk()
    desk.quote(99, 100)
    desk.close()
    assert fills(desk.place("1", BUY, 10)) == []
    assert fills(desk.place("2", BUY, 10, limit=200)) == []
    assert fills(desk.place("3", SELL, 10, stop=300)) == []
    assert fills(desk.place("4", SELL, 10, limit=1, session="B")) == []
    assert desk.bar(1, 300, "stops") == desk.bar(1, 300, "limits") == []


def test_what_arrived_while_closed_trades_at_the_opening_price() -> None:
    desk = Desk()
    desk.close()
    desk.place("limit", BUY, 10, limit=102)
    desk.place("market", BUY, 10)
    assert fills(desk.print(98)) == traded(("market", 10, 98), ("limit", 10, 98))


def test_what_rested_before_the_close_trades_at_the_opening_price_like_all_others() -> None:
    desk = Desk()
    desk.quote(104, 105)
    desk.place("1", BUY, 10, limit=102)
    desk.close()
    assert fills(desk.print(98)) == traded(("1", 10, 98))


def test_orders_that_crossed_while_closed_trade_at_the_opening() -> None:
    desk = Desk()
    desk.close()
    desk.place("1", BUY, 10, limit=102)
    desk.place("2", SELL, 4, limit=101, session="B")
    assert fills(desk.quote(90, 110)) == traded(("2", 4, 101), ("1", 4, 101))


# ---- stops


def test_a_sell_stop_is_triggered_when_the_bid_reaches_it() -> None:
    desk = Desk()
    desk.place("1", SELL, 10, stop=95)
    assert fills(desk.quote("95.01", 96)) == []
    assert fills(desk.quote(95, 96)) == traded(("1", 10, 95))


def test_a_buy_stop_is_triggered_when_the_ask_reaches_it() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, stop=105)
    assert fills(desk.quote(104, "104.99")) == []
    assert fills(desk.quote(104, 105)) == traded(("1", 10, 105))


def test_a_stop_that_the_touch_gapped_over_gets_the_touch() -> None:
    desk = Desk()
    desk.quote(99, 100)
    desk.place("1", SELL, 10, stop=95)
    assert fills(desk.quote(90, 91)) == traded(("1", 10, 90))


def test_a_stop_whose_price_is_already_through_trades_on_arrival() -> None:
    desk = Desk()
    desk.quote(99, 100)
    assert fills(desk.place("1", SELL, 10, stop=99)) == traded(("1", 10, 99))
    assert fills(desk.place("2", BUY, 10, stop=100)) == traded(("2", 10, 100))


def test_a_triggered_stop_that_finds_too_little_goes_on_as_a_market_order() -> None:
    desk = Desk()
    desk.place("1", SELL, 10, stop=95)
    assert fills(desk.quote(95, 96, bid_size=4)) == traded(("1", 4, 95))
    assert fills(desk.quote(97, 98)) == traded(("1", 6, 97))


def test_the_stop_that_the_price_reaches_first_trades_first() -> None:
    desk = Desk()
    desk.place("low", SELL, 10, stop=94)
    desk.place("high", SELL, 10, stop=96)
    assert fills(desk.quote(93, 94, bid_size=15)) == traded(("high", 10, 93), ("low", 5, 93))


def test_a_triggered_stop_takes_a_better_order_before_the_touch() -> None:
    desk = Desk()
    desk.quote(99, 100)
    desk.place("bid", BUY, 4, limit=96, session="B")
    desk.place("1", SELL, 10, stop=95)
    assert fills(desk.quote(90, 97)) == traded(("bid", 4, 96), ("1", 4, 96), ("1", 6, 90))


# ---- ranges


def test_a_range_fills_a_stop_inside_at_its_stop_price() -> None:
    desk = Desk()
    desk.print(100)
    desk.place("sell", SELL, 10, stop=95)
    desk.place("buy", BUY, 10, stop=105)
    desk.place("far", SELL, 10, stop=89)
    assert fills(desk.bar(90, 110, "stops")) == traded(("sell", 10, 95), ("buy", 10, 105))


def test_a_range_that_lies_beyond_a_stop_fills_it_at_its_nearest_price() -> None:
    desk = Desk()
    desk.place("sell", SELL, 10, stop=95)
    desk.place("buy", BUY, 10, stop=85)
    assert fills(desk.bar(90, 92, "stops")) == traded(("sell", 10, 92), ("buy", 10, 90))


def test_a_range_fills_a_limit_inside_at_its_limit_and_takes_the_touch_away() -> None:
    desk = Desk()
    desk.quote(100, 101)
    desk.place("buy", BUY, 10, limit=95)
    desk.place("sell", SELL, 10, limit=105)
    desk.place("far", SELL, 10, limit=111)
    assert desk.bar(90, 110, "stops") == []
    assert fills(desk.bar(90, 110, "limits")) == traded(("buy", 10, 95), ("sell", 10, 105))
    assert fills(desk.place("1", BUY, 10)) == []
    assert fills(desk.print(104)) == traded(("1", 10, 104))


def test_a_stop_that_came_with_an_entry_filled_in_the_bar_is_looked_at_in_that_bar() -> None:
    desk = Desk()
    desk.print(102)
    desk.place("entry", BUY, 10, limit=99)
    assert desk.bar(90, 103, "stops") == []
    assert fills(desk.bar(90, 103, "limits")) == traded(("entry", 10, 99))
    desk.place("stop", SELL, 10, stop=95)
    assert fills(desk.place("profit", SELL, 10, limit="99.5")) == []
    assert fills(desk.bar(90, 103, "stops")) == traded(("stop", 10, 95))


def test_a_clordid_that_was_used_is_remembered_as_a_duplicate_unless_it_says_so_itself() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=95)
    assert desk.exchange.duplicates == []
    desk.place("1", BUY, 10, limit=95)
    desk.cancel("1", "1", BUY)
    desk.cancel("1", "1", BUY, poss_resend=True)
    assert desk.exchange.duplicates == ["1", "1"]


def test_a_bar_that_spans_both_exits_fills_the_stop() -> None:
    desk = Desk()
    desk.print(100)
    desk.place("stop", SELL, 10, stop=95)
    desk.place("profit", SELL, 10, limit=105)
    assert fills(desk.bar(90, 110, "stops")) == traded(("stop", 10, 95))
    assert executions(desk.cancel("x", "profit", SELL)) == ["4/4"]
    assert desk.bar(90, 110, "limits") == []


def test_an_order_that_arrives_within_a_bar_does_not_trade_in_its_range() -> None:
    desk = Desk()
    desk.print(100)
    desk.place("entry", BUY, 10, stop=105)
    assert fills(desk.bar(90, 110, "stops")) == traded(("entry", 10, 105))
    desk.place("stop", SELL, 10, stop=95)
    desk.place("profit", SELL, 10, limit=108)
    assert desk.bar(90, 110, "limits") == []
    assert fills(desk.bar(90, 110, "stops")) == traded(("stop", 10, 95))


def test_the_same_range_on_another_day_reaches_what_arrived_within_the_first() -> None:
    desk = Desk()
    desk.bar(90, 110, "stops")
    desk.place("profit", SELL, 10, limit=108)
    desk.bar(90, 110, "limits")
    desk.print(100)
    assert fills(desk.bar(90, 110, "limits")) == traded(("profit", 10, 108))


# ---- between orders


def test_an_arriving_order_trades_with_another_sessions_at_the_resting_limit() -> None:
    desk = Desk()
    desk.place("rest", SELL, 10, limit=100, session="B")
    assert fills(desk.place("1", BUY, 4, limit=105)) == traded(("rest", 4, 100), ("1", 4, 100))


def test_orders_of_one_session_do_not_trade_with_each_other() -> None:
    desk = Desk()
    desk.place("rest", SELL, 10, limit=100)
    assert fills(desk.place("1", BUY, 10, limit=105)) == []
    assert fills(desk.place("2", SELL, 10, limit=103, session="B")) == traded(("1", 10, 105), ("2", 10, 105))


def test_better_prices_come_first_then_earlier_orders() -> None:
    desk = Desk()
    desk.place("late best", SELL, 1, limit=101, session="B")
    desk.place("worse", SELL, 1, limit=102, session="B")
    desk.place("first", SELL, 1, limit=100, session="B")
    desk.place("second", SELL, 1, limit=100, session="C")
    bought = fills(desk.place("1", BUY, 4, limit=102))
    assert [fill[0] for fill in bought[::2]] == ["first", "second", "late best", "worse"]


def test_touch_and_book_are_taken_in_price_order_the_touch_first() -> None:
    desk = Desk()
    desk.quote(90, 101, ask_size=2)
    desk.place("better", SELL, 2, limit=100, session="B")
    desk.place("equal", SELL, 2, limit=101, session="B")
    assert fills(desk.place("1", BUY, 6)) == traded(
        ("better", 2, 100), ("1", 2, 100), ("1", 2, 101), ("equal", 2, 101), ("1", 2, 101)
    )


def test_a_resting_market_order_trades_first_and_at_the_best_limit_there_is() -> None:
    desk = Desk()
    desk.place("limit", SELL, 5, limit=98, session="B")
    desk.place("market", SELL, 5, session="B")
    assert fills(desk.place("1", BUY, 7, limit=100)) == traded(
        ("market", 5, 98), ("1", 5, 98), ("limit", 2, 98), ("1", 2, 98)
    )


def test_a_resting_market_order_alone_pays_the_arriving_limit() -> None:
    desk = Desk()
    desk.place("market", BUY, 5, session="B")
    assert fills(desk.place("none", SELL, 5, tif=IOC)) == []
    assert fills(desk.place("1", SELL, 5, limit=100)) == traded(("market", 5, 100), ("1", 5, 100))
