"""What becomes of requests: ids, duplicates, replaces, cancels, order status, busts."""

from decimal import Decimal

import pytest

from tests.venue.desk import (
    AT,
    BUY,
    FOK,
    IOC,
    SELL,
    SYMBOL,
    Desk,
    cancel_reject,
    execution,
    executions,
    fills,
    traded,
)
from venue.exchange import ConflictError, NotFoundError
from venue.orders import TimeInForce


def test_an_accepted_order_is_reported_as_new_with_all_its_terms() -> None:
    (report,) = map(execution, Desk().place("1", BUY, 10, limit="99.5"))
    assert (report.exec_type, report.ord_status, report.order_id, report.exec_id) == ("0", "0", "O1", "E1")
    assert (report.order_qty, report.price, report.leaves_qty) == (Decimal(10), Decimal("99.5"), Decimal(10))
    assert report.transact_time == AT


def test_a_clordid_that_was_used_before_is_refused_and_changes_nothing() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    (report,) = map(execution, desk.place("1", BUY, 10, limit=99))
    assert (report.exec_type, report.ord_status, report.ord_rej_reason) == ("8", "8", 6)
    assert len(desk.exchange.orders) == 1
    assert fills(desk.quote(98, 99)) == traded(("1", 10, 99))


def test_a_possible_resend_of_a_known_order_is_answered_with_its_status() -> None:
    desk = Desk()
    desk.quote(98, 99, ask_size=4)
    desk.place("1", BUY, 10, limit=99)
    (report,) = map(execution, desk.place("1", BUY, 10, limit=99, poss_resend=True))
    assert (report.exec_type, report.ord_status, report.cum_qty, report.exec_id) == ("I", "1", Decimal(4), "0")
    assert len(desk.exchange.orders) == 1


def test_a_possible_resend_of_an_unknown_order_is_an_order() -> None:
    assert executions(Desk().place("1", BUY, 10, limit=99, poss_resend=True)) == ["0/0"]


def test_two_sessions_may_use_the_same_clordid() -> None:
    desk = Desk()
    assert executions(desk.place("1", BUY, 10, limit=99)) == ["0/0"]
    assert executions(desk.place("1", BUY, 10, limit=99, session="B")) == ["0/0"]


@pytest.mark.parametrize(
    ("quantity", "limit", "stop", "tif", "reason"),
    [
        (0, 99, None, IOC, 13),
        (-1, None, None, IOC, 13),
        (10, 0, None, IOC, 99),
        (10, None, 90, IOC, 11),
        (10, None, 90, FOK, 11),
        (10, 99, 90, IOC, 11),
    ],
)
def test_an_order_the_exchange_cannot_take_is_rejected(
    quantity: int, limit: int | None, stop: int | None, tif: TimeInForce, reason: int
) -> None:
    desk = Desk()
    (report,) = map(execution, desk.place("1", BUY, quantity, limit=limit, stop=stop, tif=tif))
    assert (report.exec_type, report.ord_status, report.ord_rej_reason) == ("8", "8", reason)
    (asked,) = map(execution, desk.status("1", BUY))
    assert (asked.exec_type, asked.ord_status, asked.ord_rej_reason) == ("I", "8", reason)


# ---- cancel


def test_a_cancel_is_confirmed_under_its_own_id_and_ends_the_order() -> None:
    desk = Desk()
    desk.quote(98, 99, ask_size=4)
    desk.place("1", BUY, 10, limit=99)
    (report,) = map(execution, desk.cancel("x", "1", BUY))
    assert (report.exec_type, report.ord_status, report.cl_ord_id, report.orig_cl_ord_id) == ("4", "4", "x", "1")
    assert (report.cum_qty, report.leaves_qty) == (Decimal(4), Decimal(0))
    assert desk.quote(98, 99) == []


def test_a_stop_that_waits_can_be_cancelled() -> None:
    desk = Desk()
    desk.place("1", SELL, 10, stop=90)
    assert executions(desk.cancel("x", "1", SELL)) == ["4/4"]
    assert desk.quote(80, 81) == []


def test_a_cancel_of_a_finished_order_is_too_late() -> None:
    desk = Desk()
    desk.quote(98, 99)
    desk.place("1", BUY, 10, limit=99)
    reject = cancel_reject(desk.cancel("x", "1", BUY))
    assert (reject.cxl_rej_reason, reject.ord_status, reject.cxl_rej_response_to) == (0, "2", "1")
    assert (reject.cl_ord_id, reject.orig_cl_ord_id, reject.order_id) == ("x", "1", "O1")


def test_a_cancel_of_an_unknown_order_says_so() -> None:
    reject = cancel_reject(Desk().cancel("x", "1", BUY))
    assert (reject.cxl_rej_reason, reject.ord_status, reject.order_id) == (1, "8", "NONE")


def test_another_sessions_order_is_unknown() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    assert cancel_reject(desk.cancel("x", "1", BUY, session="B")).cxl_rej_reason == 1


def test_a_cancel_under_a_used_clordid_is_refused() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    reject = cancel_reject(desk.cancel("1", "1", BUY))
    assert (reject.cxl_rej_reason, reject.ord_status) == (6, "0")


def test_a_cancel_that_names_the_wrong_side_is_refused() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    assert cancel_reject(desk.cancel("x", "1", SELL)).cxl_rej_reason == 99


def test_a_possible_resend_of_a_cancel_that_was_done_is_answered_with_the_status() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    desk.cancel("x", "1", BUY)
    (report,) = map(execution, desk.cancel("x", "1", BUY, poss_resend=True))
    assert (report.exec_type, report.ord_status, report.cl_ord_id, report.orig_cl_ord_id) == ("I", "4", "x", "1")


def test_a_rejected_cancel_leaves_its_clordid_free() -> None:
    desk = Desk()
    desk.cancel("x", "1", BUY)
    desk.place("1", BUY, 10, limit=99)
    assert executions(desk.cancel("x", "1", BUY, poss_resend=True)) == ["4/4"]


# ---- replace


def test_a_replace_goes_on_under_the_new_id() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    (report,) = map(execution, desk.replace("2", "1", BUY, 7, limit=98))
    assert (report.exec_type, report.ord_status, report.cl_ord_id, report.orig_cl_ord_id) == ("5", "0", "2", "1")
    assert (report.order_qty, report.price, report.order_id) == (Decimal(7), Decimal(98), "O1")
    assert fills(desk.quote(97, 98)) == traded(("2", 7, 98))


def test_an_order_can_be_named_by_any_id_it_has_gone_by() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    desk.replace("2", "1", BUY, 8, limit=99)
    desk.replace("3", "1", BUY, 7, limit=99)
    assert desk.exchange.orders[0].cl_ord_ids == ["1", "2", "3"]
    assert executions(desk.cancel("x", "2", BUY)) == ["4/4"]


def test_only_a_smaller_quantity_at_the_same_price_keeps_its_place() -> None:
    for quantity, limit, first in ((5, 99, "2"), (10, 99, "2"), (11, 99, "other"), (10, "98.9", "other")):
        desk = Desk()
        desk.place("1", BUY, 10, limit=99)
        desk.place("other", BUY, 10, limit=99)
        desk.replace("2", "1", BUY, quantity, limit=limit)
        assert fills(desk.quote(98, "98.9", ask_size=1))[0][0] == first


def test_a_replace_to_a_price_that_is_there_trades_at_once_at_the_touch() -> None:
    desk = Desk()
    desk.quote(98, 100)
    desk.place("1", BUY, 10, limit=99)
    reports = desk.replace("2", "1", BUY, 10, limit=101)
    assert executions(reports) == ["5/0", "F/2"]
    assert fills(reports) == traded(("2", 10, 100))


def test_a_replaced_stop_waits_for_its_new_price() -> None:
    desk = Desk()
    desk.quote(99, 100)
    desk.place("1", SELL, 10, stop=95)
    assert executions(desk.replace("2", "1", SELL, 6, stop=97)) == ["5/0"]
    assert fills(desk.quote(97, 98)) == traded(("2", 6, 97))


@pytest.mark.parametrize("quantity", [4, 3])
def test_a_replace_to_what_is_filled_or_less_ends_the_order(quantity: int) -> None:
    desk = Desk()
    desk.quote(98, 99, ask_size=4)
    desk.place("1", BUY, 10, limit=99)
    (report,) = map(execution, desk.replace("2", "1", BUY, quantity, limit=99))
    assert (report.exec_type, report.ord_status, report.order_qty) == ("5", "2", Decimal(4))
    assert (report.cum_qty, report.leaves_qty) == (Decimal(4), Decimal(0))
    assert desk.quote(98, 99) == []


def test_a_replace_of_a_filled_order_is_too_late() -> None:
    desk = Desk()
    desk.quote(98, 99)
    desk.place("1", BUY, 10, limit=99)
    reject = cancel_reject(desk.replace("2", "1", BUY, 6, limit=99))
    assert (reject.cxl_rej_reason, reject.ord_status, reject.cxl_rej_response_to) == (0, "2", "2")
    assert desk.exchange.orders[0].cl_ord_ids == ["1"]


def test_a_replace_cannot_change_the_order_type() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    reject = cancel_reject(desk.replace("2", "1", BUY, 10, stop=101))
    assert (reject.cxl_rej_reason, reject.ord_status) == (99, "0")
    assert fills(desk.quote(98, 99)) == traded(("1", 10, 99))


def test_a_replace_to_no_quantity_is_refused() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    assert cancel_reject(desk.replace("2", "1", BUY, 0, limit=99)).cxl_rej_reason == 99


# ---- status


def test_an_order_status_is_reported_under_the_id_that_was_asked_for() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    desk.replace("2", "1", BUY, 8, limit=99)
    (report,) = map(execution, desk.status("1", BUY))
    assert (report.exec_type, report.ord_status, report.cl_ord_id, report.order_qty) == ("I", "0", "1", Decimal(8))
    assert report.ord_status_req_id == "Q1"


def test_the_status_of_an_unknown_order_is_rejected_with_reason_5() -> None:
    (report,) = map(execution, Desk().status("1", BUY))
    assert (report.exec_type, report.ord_status, report.ord_rej_reason, report.order_id) == ("I", "8", 5, "NONE")


def test_a_mass_status_tells_of_each_open_order_and_says_which_is_the_last() -> None:
    desk = Desk()
    desk.quote(98, 99, ask_size=4)
    desk.place("filled", BUY, 1, limit=99)
    desk.place("partly", BUY, 10, limit=99)
    desk.place("waits", SELL, 10, stop=90)
    desk.place("canceled", BUY, 10, limit=97)
    desk.cancel("x", "canceled", BUY)
    desk.place("old", BUY, 10, limit=97)
    desk.replace("new", "old", BUY, 8, limit=96)
    desk.place("another's", BUY, 10, limit=97, session="B")
    reports = [execution(report) for report in desk.mass_status()]
    assert [(each.cl_ord_id, each.exec_type, each.ord_status, each.leaves_qty, each.exec_id) for each in reports] == [
        ("partly", "I", "1", Decimal(7), "0"),
        ("waits", "I", "0", Decimal(10), "0"),
        ("new", "I", "0", Decimal(8), "0"),
    ]
    assert [(each.mass_status_req_id, each.tot_num_reports, each.last_rpt_requested) for each in reports] == [
        ("M1", 3, False),
        ("M1", 3, False),
        ("M1", 3, True),
    ]


def test_a_mass_status_may_be_about_one_symbol_or_one_side() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    desk.place("2", SELL, 10, limit=101)
    assert [execution(each).cl_ord_id for each in desk.mass_status(SYMBOL, SELL)] == ["2"]
    (report,) = map(execution, desk.mass_status("OTHER"))
    assert (report.symbol, report.tot_num_reports) == ("OTHER", 0)


def test_a_mass_status_that_finds_no_open_order_says_so_in_one_report() -> None:
    desk = Desk()
    desk.place("another's", BUY, 10, limit=97, session="B")
    (report,) = map(execution, desk.mass_status())
    assert (report.exec_type, report.ord_status, report.ord_rej_reason) == ("I", "8", 5)
    assert (report.order_id, report.exec_id, report.cl_ord_id) == ("NONE", "0", None)
    assert (report.mass_status_req_id, report.tot_num_reports, report.last_rpt_requested) == ("M1", 0, True)


# ---- what the venue does unasked


def test_an_unasked_cancel_names_no_request() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    (report,) = map(execution, desk.exchange.cancel_unasked("1", AT))
    assert (report.exec_type, report.ord_status, report.cl_ord_id, report.orig_cl_ord_id) == ("4", "4", "1", None)
    with pytest.raises(ConflictError, match="1 has ended"):
        desk.exchange.cancel_unasked("1", AT)
    with pytest.raises(NotFoundError, match="none"):
        desk.exchange.cancel_unasked("none", AT)


def test_an_unasked_cancel_of_an_id_that_two_sessions_use_needs_the_session() -> None:
    desk = Desk()
    desk.place("1", BUY, 10, limit=99)
    desk.place("1", BUY, 10, limit=99, session="B")
    with pytest.raises(ConflictError, match="A, B"):
        desk.exchange.cancel_unasked("1", AT)
    assert execution(desk.exchange.cancel_unasked("1", AT, "B")[0]).session == "B"


def test_a_busted_trade_of_a_filled_order_takes_position_and_totals_back_and_leaves_it_ended() -> None:
    desk = Desk()
    desk.quote(98, 99)
    desk.place("1", BUY, 10, limit=99)
    (report,) = map(execution, desk.exchange.bust("E2", AT))
    assert (report.exec_type, report.ord_status, report.exec_ref_id, report.exec_id) == ("H", "4", "E2", "E3")
    assert (report.last_qty, report.last_px) == (Decimal(10), Decimal(99))
    assert (report.cum_qty, report.leaves_qty, report.avg_px) == (Decimal(0), Decimal(0), Decimal(0))
    assert (desk.exchange.positions(), desk.exchange.trades) == ({}, [])
    with pytest.raises(NotFoundError, match="E2"):
        desk.exchange.bust("E2", AT)


def test_a_busted_trade_of_a_working_order_opens_its_quantity_again() -> None:
    desk = Desk()
    desk.quote(98, 99, ask_size=4)
    desk.place("1", BUY, 10, limit=99)
    (report,) = map(execution, desk.exchange.bust("E2", AT))
    assert (report.ord_status, report.cum_qty, report.leaves_qty) == ("0", Decimal(0), Decimal(10))
    assert fills(desk.quote(98, 99)) == traded(("1", 10, 99))


def test_a_bust_takes_back_both_sides_of_a_trade_between_orders() -> None:
    desk = Desk()
    desk.place("rest", SELL, 10, limit=99, session="B")
    desk.place("1", BUY, 10, limit=99)
    assert desk.exchange.positions("A") == {"IBM": Decimal(10)}
    busts = [execution(report) for report in desk.exchange.bust(desk.exchange.trades[1].exec_id, AT)]
    assert [(bust.session, bust.exec_type) for bust in busts] == [("A", "H"), ("B", "H")]
    assert desk.exchange.positions("A") == desk.exchange.positions("B") == {}


def test_a_corrected_trade_of_a_filled_order_changes_its_totals_and_leaves_it_ended() -> None:
    desk = Desk()
    desk.quote(98, 99)
    desk.place("1", BUY, 10, limit=99)
    (report,) = map(execution, desk.exchange.correct("E2", Decimal(10), Decimal(98), AT))
    assert (report.exec_type, report.ord_status, report.exec_ref_id, report.exec_id) == ("G", "2", "E2", "E3")
    assert (report.last_qty, report.last_px, report.avg_px) == (Decimal(10), Decimal(98), Decimal(98))
    (report,) = map(execution, desk.exchange.correct("E2", Decimal(4), Decimal(97), AT))
    assert (report.ord_status, report.cum_qty, report.leaves_qty, report.avg_px) == (
        "4",
        Decimal(4),
        Decimal(0),
        Decimal(97),
    )
    assert desk.exchange.positions() == {"IBM": Decimal(4)}


def test_a_correction_is_for_both_sides_of_a_trade_between_orders() -> None:
    desk = Desk()
    desk.place("rest", SELL, 10, limit=99, session="B")
    desk.place("1", BUY, 10, limit=99)
    exec_id = desk.exchange.trades[1].exec_id
    corrections = [execution(report) for report in desk.exchange.correct(exec_id, Decimal(6), Decimal(99), AT)]
    assert [(each.session, each.exec_type, each.cum_qty) for each in corrections] == [
        ("A", "G", Decimal(6)),
        ("B", "G", Decimal(6)),
    ]
    assert desk.exchange.positions("A") == {"IBM": Decimal(6)}


def test_a_correction_to_more_than_an_order_asked_for_is_refused() -> None:
    desk = Desk()
    desk.quote(98, 99, ask_size=4)
    desk.place("1", BUY, 10, limit=99)
    with pytest.raises(ConflictError, match="has traded 11 of 10"):
        desk.exchange.correct("E2", Decimal(11), Decimal(99), AT)
    with pytest.raises(ConflictError, match="has traded 10 of 10"):
        desk.exchange.correct("E2", Decimal(10), Decimal(99), AT)
    with pytest.raises(NotFoundError, match="E9"):
        desk.exchange.correct("E9", Decimal(1), Decimal(99), AT)


def test_a_restated_order_works_on_with_its_new_quantity() -> None:
    desk = Desk()
    desk.quote(98, 99, ask_size=4)
    desk.place("1", BUY, 10, limit=99)
    (report,) = map(execution, desk.exchange.restate("1", Decimal(8), AT))
    assert (report.exec_type, report.ord_status, report.exec_restatement_reason) == ("D", "1", 8)
    assert (report.order_qty, report.cum_qty, report.leaves_qty) == (Decimal(8), Decimal(4), Decimal(4))
    assert fills(desk.quote(98, 99)) == traded(("1", 4, 99))
    with pytest.raises(ConflictError, match="has ended"):
        desk.exchange.restate("1", Decimal(9), AT)


def test_an_order_is_not_restated_to_what_it_has_traded() -> None:
    desk = Desk()
    desk.quote(98, 99, ask_size=4)
    desk.place("1", BUY, 10, limit=99)
    with pytest.raises(ConflictError, match="order 1 has traded 4"):
        desk.exchange.restate("1", Decimal(4), AT)
