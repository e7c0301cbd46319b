"""The entities through the SDK's own handle, batch by batch, with journal and register in Azurite."""

import json
from decimal import Decimal

import msgspec
import pytest

from storage.services import order_register
from tests.app.entities import AT, Entity, Order, apply
from trading.events import OrderFilled, TradeBusted, TradeCorrected, TradingHalted
from trading.exposure import ExposureState, unprotected
from trading.journal import JournalRow
from trading.messages import AccountMode, Amending, encoded, position_key
from trading.orders import Side
from trading.specs import BracketSpec, SingleSpec
from trading.stakes import Holding, Stake

pytestmark = pytest.mark.usefixtures("app")


def test_a_position_counts_each_row_once_and_fills_a_gap_from_the_journal() -> None:
    order, entity = Order(), Entity("position")
    rows = [order.accepted(), order.filled(4, 3000), order.filled(6, 3010)]
    assert entity.batch(apply(rows[0]), apply(rows[2]), apply(rows[1]), apply(rows[2])) == [None] * 4
    assert entity.state["position"]["quantity"] == "10"
    assert entity.state["position"]["average_price"] == "3006"
    assert entity.state["applied"] == {order.order_id: 3}


def test_a_position_flips_and_keeps_what_it_realized() -> None:
    order, entity = Order(), Entity("position")
    entity.batch(apply(order.filled(10, 100)), apply(order.filled(15, 110, child="s2", side=Side.SELL)))
    held = entity.state["position"]
    assert (held["quantity"], held["average_price"], held["realized_pnl"]) == ("-5", "110", "100")


def test_a_busted_trade_is_taken_back_and_a_corrected_one_replaced() -> None:
    order, entity = Order(), Entity("position")
    first = order.filled(10, 3000)
    assert isinstance(first.event, OrderFilled)
    corrected = TradeCorrected(
        cl_ord_id=first.event.cl_ord_id,
        exec_id="corrected",
        ref_exec_id=first.event.exec_id,
        quantity=Decimal(8),
        price=Decimal(2999),
        at=AT,
    )
    entity.batch(apply(first), apply(order.add(corrected)))
    assert entity.state["position"]["quantity"] == "8"
    assert Decimal(entity.state["position"]["average_price"]) == 2999
    busted = TradeBusted(
        cl_ord_id=first.event.cl_ord_id,
        exec_id="busted",
        ref_exec_id="corrected",
        quantity=Decimal(8),
        price=Decimal(2999),
        at=AT,
    )
    entity.batch(apply(order.add(busted)))
    assert entity.state["position"]["quantity"] == "0"


def test_an_operation_that_fails_changes_nothing_and_the_rest_of_the_batch_goes_on() -> None:
    order, entity = Order(), Entity("position")
    row = order.filled(10, 3000)
    missing = JournalRow(
        order_id=f"{order.order_id}x", number=5, event=row.event, symbol="IBM", side=Side.BUY, received_at=AT
    )
    results = entity.batch(("apply", {"number": 1}), ("dance", {}), apply(missing), apply(row))
    assert ["error" in (result or {}) for result in results] == [True, True, True, False]
    assert entity.state["applied"] == {order.order_id: 1}
    assert entity.state["position"]["quantity"] == "10"


def test_an_ended_order_is_forgotten_and_a_late_row_of_it_still_counts_once() -> None:
    order, entity = Order(), Entity("position")
    rows = [order.accepted(), order.filled(10, 3000)]
    entity.batch(apply(rows[0]))
    entity.batch(("catch_up", order.ended(2)))  # it had missed a row
    order.finish(2)
    entity.batch(("forget", order.ended(2)))
    assert entity.state["position"]["quantity"] == "10"
    assert entity.state["applied"] == {}
    late = order.filled(3, 3000)
    entity.batch(apply(rows[0]), apply(rows[1]), apply(late), apply(late))
    assert entity.state["position"]["quantity"] == "13"
    assert entity.state["applied"] == {order.order_id: 3}


def test_rows_that_arrive_only_after_the_order_has_caught_up_and_ended_count_once() -> None:
    order, position, exposure = Order(), Entity("position"), Entity("exposure")
    rows = [order.accepted(), order.filled(10, 3000)]
    position.batch(("catch_up", order.ended(2)))
    exposure.batch(("release", order.ended(2)))
    order.finish(2)
    for entity in (position, exposure):
        entity.batch(apply(rows[0]), apply(rows[1]), ("forget", order.ended(2)), apply(rows[1]))
    assert position.state["position"]["quantity"] == "10"
    assert exposure.state["exposure"]["positions"]["IBM"]["quantity"] == "10"


@pytest.mark.parametrize("name", ["position", "exposure"])
def test_a_batch_that_the_host_carries_out_again_counts_as_it_did_the_first_time(name: str) -> None:
    order, entity = Order(), Entity(name)
    rows = [order.accepted(), order.filled(10, 3000)]
    ending = "catch_up" if name == "position" else "release"
    batch = [apply(rows[0]), apply(rows[1]), (ending, order.ended(2)), ("forget", order.ended(2))]
    before = entity.raw
    entity.batch(*batch)
    committed = entity.raw
    entity.raw = before  # the worker died before the host had the new state
    entity.batch(*batch)
    assert entity.raw == committed


def test_an_order_of_which_more_was_applied_than_is_recorded_is_not_forgotten() -> None:
    order, entity = Order(), Entity("position")
    rows = [order.accepted(), order.filled(10, 3000)]
    order.finish(1)
    entity.batch(apply(rows[0]), apply(rows[1]), ("forget", order.ended(1)), apply(rows[1]))
    assert entity.state["position"]["quantity"] == "10"
    assert entity.state["applied"] == {order.order_id: 2}


@pytest.mark.parametrize("name", ["position", "exposure"])
def test_42_an_order_that_is_open_again_counts_from_its_last_end(name: str) -> None:
    order, entity = Order(), Entity(name)
    rows = [order.accepted(), order.filled(10, 3000)]
    entity.batch(apply(rows[0]), apply(rows[1]))
    order.finish(2)
    entity.batch(("forget", order.ended(2)))
    order_register().reopen(order.order_id, 2)
    late = order.filled(3, 3000)
    entity.batch(apply(rows[1]), apply(late), apply(late))
    position = entity.state["position"] if name == "position" else entity.state["exposure"]["positions"]["IBM"]
    assert position["quantity"] == "13"


@pytest.mark.parametrize("forgotten", ["before", "late", "not at all"])
def test_42_what_an_order_holds_that_is_open_again_is_its_own_to_protect(forgotten: str) -> None:
    order, entity = Order(), Entity("exposure")
    spec = BracketSpec(
        order_id=order.order_id,
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(10),
        entry_price=Decimal(3000),
        stop_price=Decimal(2950),
        take_profit_price=Decimal(3050),
    )
    order.register(spec)
    entity.batch(("reserve", order.reserving(10, 3000, protected=True)))
    entity.batch(apply(order.filled(10, 3000)), apply(order.filled(10, 3050, child="t3", side=Side.SELL)))
    entity.batch(("release", order.ended(2)))
    order.finish(2)
    forget = ("forget", order.ended(2))
    if forgotten == "before":
        entity.batch(forget)
    order.filled(3, 2960, child="s2", side=Side.SELL)
    for _ in range(2):
        entity.batch(("reopen", {"order_id": order.order_id}))
    if forgotten == "late":
        entity.batch(forget)
    reservation = entity.state["exposure"]["reservations"][order.order_id]
    assert (reservation["stakes"], reservation["protected"], reservation["held"]) == ([], True, {"IBM": "-3"})
    assert entity.state["exposure"]["positions"]["IBM"]["quantity"] == "-3"
    entity.batch(("release", order.ended(3)), ("forget", order.ended(3)))
    assert entity.state["exposure"]["reservations"] == {}


def test_a_bust_gives_back_what_the_trade_had_realized() -> None:
    order, entity = Order(), Entity("position")
    entity.batch(apply(order.filled(10, 3000)))
    exit_ = order.filled(10, 3050, child="t3", side=Side.SELL)
    entity.batch(apply(exit_))
    assert entity.state["position"]["realized_pnl"] == "500"
    assert isinstance(exit_.event, OrderFilled)
    busted = TradeBusted(
        cl_ord_id=exit_.event.cl_ord_id,
        exec_id="busted",
        ref_exec_id=exit_.event.exec_id,
        quantity=Decimal(10),
        price=Decimal(3050),
        at=AT,
    )
    entity.batch(apply(order.add(busted, Side.SELL)))
    held = entity.state["position"]
    assert (held["quantity"], held["average_price"], Decimal(held["realized_pnl"])) == ("10", "3000", Decimal(0))


def test_of_two_orders_of_60000_against_a_limit_of_100000_exactly_one_is_approved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from storage.settings import settings

    monkeypatch.setenv("MAX_GROSS_NOTIONAL", "100000")
    settings.cache_clear()
    first, second, entity = Order(), Order(symbol="AAPL"), Entity("exposure")
    results = entity.batch(
        ("reserve", first.reserving(600, 100)),
        ("reserve", second.reserving(600, 100)),
        ("reserve", first.reserving(600, 100)),
    )
    assert [result["approved"] for result in results] == [True, False, True]
    assert results[1]["reason"] == "MAX_GROSS_NOTIONAL: exposure=60000 order=60000 limit=100000"


def test_an_operation_without_a_result_does_not_give_the_one_before_its_own() -> None:
    order, entity = Order(), Entity("exposure")
    results = entity.batch(("reserve", order.reserving(10, 100)), apply(order.accepted()))
    assert results == [{"approved": True, "reason": ""}, None]


def test_a_release_counts_what_was_missed_before_it_gives_back_the_rest() -> None:
    order, entity = Order(), Entity("exposure")
    entity.batch(("reserve", order.reserving(10, 3000)))
    order.accepted()
    order.filled(4, 3000)
    entity.batch(("release", order.ended(2)))
    assert entity.state["exposure"]["reservations"][order.order_id]["stakes"] == []
    assert entity.state["exposure"]["positions"]["IBM"]["quantity"] == "4"
    entity.batch(("release", order.ended(2)), ("forget", order.ended(2)))
    assert entity.state["exposure"]["reservations"] == {}
    assert entity.state["exposure"]["positions"]["IBM"]["quantity"] == "4"


def test_an_exits_fill_uses_no_reservation() -> None:
    order, entity = Order(), Entity("exposure")
    entity.batch(
        ("reserve", order.reserving(10, 3000)),
        apply(order.filled(4, 3000)),
        apply(order.filled(4, 3050, child="t3", side=Side.SELL)),
    )
    assert entity.state["exposure"]["reservations"][order.order_id]["stakes"][0]["quantity"] == "6"
    assert entity.state["exposure"]["positions"]["IBM"]["quantity"] == "0"


def test_38_what_works_to_reduce_a_position_counts_against_an_order_that_may_only_reduce() -> None:
    protected, other, entity = Order(), Order(), Entity("exposure")
    entity.batch(("reserve", protected.reserving(6, 3000, protected=True)), ("reserve", other.reserving(4, 3000)))
    trade = protected.filled(6, 3000)
    entity.batch(apply(trade), apply(other.filled(4, 3000)))

    def denial(quantity: int) -> str:
        asked = Order(side=Side.SELL).reserving(quantity, 3000, reduce_only=True)
        return str(entity.batch(("reserve", asked))[0]["reason"])

    assert denial(15) == "REDUCE_ONLY: order=15 position=10 working=6"
    assert isinstance(trade.event, OrderFilled)
    corrected = TradeCorrected(
        cl_ord_id=trade.event.cl_ord_id,
        exec_id="corrected",
        ref_exec_id=trade.event.exec_id,
        quantity=Decimal(5),
        price=Decimal(3000),
        at=AT,
    )
    entity.batch(apply(protected.add(corrected)))
    assert denial(15) == "REDUCE_ONLY: order=15 position=9 working=5"
    busted = TradeBusted(
        cl_ord_id=trade.event.cl_ord_id,
        exec_id="busted",
        ref_exec_id="corrected",
        quantity=Decimal(5),
        price=Decimal(3000),
        at=AT,
    )
    entity.batch(apply(protected.add(busted)))
    assert denial(15) == "REDUCE_ONLY: order=15 position=4"


def test_while_trading_is_halted_only_what_reduces_is_approved() -> None:
    order, entity = Order(), Entity("exposure")
    entity.batch(("reserve", order.reserving(10, 100)), apply(order.filled(10, 100)))
    halt = encoded(AccountMode(mode="reducing", reason="news", request="1"))
    resume = encoded(AccountMode(mode="open", request="2"))
    results = entity.batch(
        ("set_mode", halt),
        ("reserve", Order().reserving(1, 100)),
        ("reserve", Order(side=Side.SELL).reserving(15, 100)),
        ("reserve", Order(side=Side.SELL).reserving(4, 100)),
        ("set_mode", resume),
        ("reserve", Order().reserving(1, 100)),
    )
    assert [result and result["reason"] for result in results] == [
        None,
        "REDUCE_ONLY: order=1 position=10 side=buy",
        "REDUCE_ONLY: order=15 position=10",
        "",
        None,
        "",
    ]
    assert entity.state["exposure"]["account"] == {
        "mode": "open",
        "reason": "",
        "flatten": False,
        "halts": 1,
        "requests": ["1", "2"],
    }


def test_an_order_that_is_opened_again_is_told_of_the_halt_that_is_on() -> None:
    order, entity = Order(), Entity("exposure")
    halt = encoded(AccountMode(mode="reducing", flatten=True, request="1"))
    reopen = ("reopen", {"order_id": order.order_id})
    results = entity.batch(reopen, ("set_mode", halt), reopen, ("reopen", {"order_id": "halt-1-IBM"}))
    assert results[0] is results[1] is results[3] is None
    assert msgspec.convert(results[2], TradingHalted) == TradingHalted(flatten=True, number=1)


def test_what_an_order_has_filled_counts_when_it_is_amended_whether_or_not_the_order_knows_of_it_yet() -> None:
    order, entity = Order(), Entity("exposure")
    entity.batch(("reserve", order.reserving(10, 100)), apply(order.filled(4, 100)))
    order.filled(3, 100)  # nobody has heard of it
    whole = [Stake(symbol="IBM", side=Side.BUY, quantity=Decimal(20), price=Decimal(100))]
    amending = encoded(Amending(order_id=order.order_id, stakes=whole))
    for _ in range(2):
        assert entity.batch(("amend", amending)) == [{"approved": True, "reason": ""}]
        state = msgspec.convert(entity.state["exposure"], ExposureState)
        assert state.positions["IBM"].quantity == 7
        assert [each.quantity for each in state.reservations[order.order_id].stakes] == [13]


def test_what_an_exit_has_filled_leaves_an_amended_entry_as_it_is_and_a_trade_that_was_busted_counts_no_more() -> None:
    order, entity = Order(), Entity("exposure")
    trade = order.filled(4, 100)
    order.filled(4, 110, child="t3", side=Side.SELL)
    entity.batch(("reserve", order.reserving(10, 100, protected=True)), apply(trade))
    assert isinstance(trade.event, OrderFilled)
    busted = TradeBusted(
        cl_ord_id=trade.event.cl_ord_id,
        exec_id="bust",
        ref_exec_id=trade.event.exec_id,
        quantity=Decimal(4),
        price=Decimal(100),
        at=AT,
    )
    whole = [Stake(symbol="IBM", side=Side.BUY, quantity=Decimal(20), price=Decimal(100))]
    amending = encoded(Amending(order_id=order.order_id, stakes=whole))

    def left() -> list[str]:
        entity.batch(("amend", amending))
        return [each["quantity"] for each in entity.state["exposure"]["reservations"][order.order_id]["stakes"]]

    assert left() == ["16"]
    order.add(busted)
    assert left() == ["20"]


def test_a_state_of_before_there_were_several_stakes_is_read_and_knows_who_protects_what_is_held() -> None:
    bracket, single, entity = Order(), Order(), Entity("exposure")
    bracket.register(
        BracketSpec(
            order_id=bracket.order_id,
            symbol="IBM",
            side=Side.BUY,
            quantity=Decimal(10),
            entry_price=Decimal(3000),
            stop_price=Decimal(2950),
            take_profit_price=Decimal(3050),
        )
    )
    single.register(
        SingleSpec(
            order_id=single.order_id,
            symbol="IBM",
            side=Side.BUY,
            quantity=Decimal(10),
            limit_price=Decimal(3000),
        )
    )
    for order in (bracket, single):
        order.filled(4, 3000)
    late = bracket.filled(2, 3000)
    old = {"symbol": "IBM", "side": "buy", "quantity": "6", "price": "3000"}
    position = {"symbol": "IBM", "quantity": "8", "average_price": "3000", "realized_pnl": "0"}
    entity.raw = json.dumps(
        {
            "exposure": {
                "reservations": {bracket.order_id: old, single.order_id: old},
                "positions": {"IBM": position},
                "blocked": {"MSFT": "DOUBLE_EXIT"},
            },
            "applied": {bracket.order_id: 1, single.order_id: 1},
        }
    )
    entity.batch(apply(late))
    state = msgspec.convert(entity.state["exposure"], ExposureState)
    assert state.blocked == {"MSFT": "DOUBLE_EXIT"}
    assert [each.quantity for each in state.reservations[bracket.order_id].stakes] == [4]
    assert [each.quantity for each in state.reservations[single.order_id].stakes] == [6]
    assert unprotected(state) == [Holding(symbol="IBM", side=Side.BUY, quantity=Decimal(4))]


@pytest.mark.parametrize("symbol", ["EUR/USD", "A@B", "X#Y?", "plain", "ünï"])
def test_a_symbols_key_is_a_legal_instance_id_and_its_own(symbol: str) -> None:
    key = position_key(symbol)
    assert not set(key) & set("/\\#?@")
    assert (key == symbol) == (symbol == "plain")
