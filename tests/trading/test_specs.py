"""Specs that are refused, and what is said about them."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from tests.trading.desk import NOW, bracket_spec, single_spec
from trading.lifecycles import start
from trading.orders import OrderType, Side
from trading.retry import RetryPolicy
from trading.specs import (
    Amendment,
    Common,
    Leg,
    OtoSpec,
    Rung,
    ScaleSpec,
    Spec,
    SpecError,
    Trail,
    TrailingSpec,
    TwapSpec,
    amended,
    check,
    check_amendment,
    check_time,
)


def twap(*, quantity: str = "1000000", lot: str = "1") -> TwapSpec:
    return TwapSpec(
        order_id="twap-1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(quantity),
        limit_price=Decimal(3000),
        duration=60,
        slices=5,
        lot=Decimal(lot),
    )


def legs(*, quantity: str = "1000000", lot: str = "1") -> OtoSpec:
    leg = Leg(symbol="IBM", side=Side.BUY, quantity=Decimal(quantity), price=Decimal(3000))
    return OtoSpec(order_id="oto-1", orders=(leg, leg), lot=Decimal(lot))


@pytest.mark.parametrize(
    "spec",
    [
        bracket_spec(),
        bracket_spec(symbol="EUR/USD", valid_for=None),
        bracket_spec(entry_type=OrderType.MARKET, entry_price=None),
        bracket_spec(entry_type=OrderType.STOP),
        bracket_spec(take_profit_price=None),
        twap(quantity="1E+14", lot="1E-10"),
        legs(quantity="1E+14", lot="1E-10"),
        bracket_spec(side=Side.SELL, stop_price=Decimal(3050), take_profit_price=Decimal(2950)),
        single_spec(),
        single_spec(order_type=OrderType.MARKET, limit_price=None),
        single_spec(order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(2)),
    ],
)
def test_a_right_spec_passes(spec: Spec) -> None:
    check(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (bracket_spec(order_id="a.b"), "order_id: a.b: must be 1 to 64 letters, digits, '_' or '-'"),
        (bracket_spec(order_id="a" * 65), f"order_id: {'a' * 65}: must be 1 to 64 letters, digits, '_' or '-'"),
        (bracket_spec(symbol="I BM"), "symbol: I BM: must be 1 to 32 letters, digits, or any of . _ - : = ^ + /"),
        (bracket_spec(quantity=Decimal(0)), "quantity: 0: must be a number above 0"),
        (bracket_spec(quantity=Decimal("NaN")), "quantity: NaN: must be a number above 0"),
        (single_spec(quantity=Decimal("Infinity")), "quantity: Infinity: must be a number above 0"),
        (bracket_spec(valid_for=0), "valid_for: 0: must be 1 to 315360000 seconds, or left out"),
        (
            twap(lot="1E-25"),
            "lot: 1E-25: must have at most 15 digits before the point and 10 after it",
        ),
        (
            twap(quantity="1E+15"),
            "quantity: 1E+15: must have at most 15 digits before the point and 10 after it",
        ),
        (
            legs(lot="1E-25"),
            "lot: 1E-25: must have at most 15 digits before the point and 10 after it",
        ),
        (
            legs(quantity="1E-11"),
            "orders[0].quantity: 1E-11: must have at most 15 digits before the point and 10 after it",
        ),
        (
            bracket_spec(retry=RetryPolicy(final=("closed", "x" * 51))),
            "retry.final: 2 texts: must be at most 10 texts of at most 50 characters",
        ),
        (bracket_spec(entry_price=None), "entry_price: None: is needed for a limit order"),
        (bracket_spec(entry_type=OrderType.MARKET), "entry_price: 3000: must be left out for a market order"),
        (bracket_spec(stop_price=Decimal(-1)), "stop_price: -1: must be a number above 0"),
        (bracket_spec(take_profit_price=Decimal(0)), "take_profit_price: 0: must be a number above 0"),
        (bracket_spec(stop_price=Decimal(3000)), "stop_price: 3000: must be below entry_price 3000 for a buy order"),
        (
            bracket_spec(take_profit_price=Decimal(2990)),
            "take_profit_price: 2990: must be above entry_price 3000 for a buy order",
        ),
        (
            bracket_spec(side=Side.SELL),
            "stop_price: 2950: must be above take_profit_price 3050 to protect a sell order",
        ),
        (
            bracket_spec(entry_type=OrderType.MARKET, entry_price=None, stop_price=Decimal(3050)),
            "stop_price: 3050: must be below take_profit_price 3050 to protect a buy order",
        ),
        (
            bracket_spec(take_profit_price=None, stop_price=Decimal(3001)),
            "stop_price: 3001: must be below entry_price 3000 for a buy order",
        ),
        (
            bracket_spec(entry_type=OrderType.MARKET, entry_price=None, take_profit_price=None),
            "take_profit_price: None: is needed for a market order: "
            "the exposure limits judge it at the higher of its exits' prices",
        ),
        (single_spec(limit_price=None), "limit_price: None: is needed for a limit order"),
        (single_spec(limit_price=Decimal(0)), "limit_price: 0: must be a number above 0"),
        (single_spec(stop_price=Decimal(1)), "stop_price: 1: must be left out for a limit order"),
    ],
)
def test_a_wrong_spec_is_refused_with_field_value_and_what_is_right(spec: Spec, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        check(spec)
    assert str(refused.value) == message
    assert message.startswith(f"{refused.value.field}: {refused.value.value}: {refused.value.message}")


def test_an_order_whose_time_is_over_already_is_refused() -> None:
    spec = bracket_spec(good_till=NOW)
    check_time(spec, NOW - timedelta(seconds=1))
    check_time(bracket_spec(), NOW)
    with pytest.raises(SpecError, match=r"^good_till: .*: must be after 2024-01-02T15:00:00\+00:00, which is now$"):
        check_time(spec, NOW)


def test_no_order_starts_from_a_wrong_spec() -> None:
    with pytest.raises(SpecError):
        start(bracket_spec(quantity=Decimal(0)), NOW)


TRAILING = TrailingSpec(
    order_id="trailing-1",
    symbol="IBM",
    side=Side.BUY,
    quantity=Decimal(10),
    entry_price=Decimal(3000),
    trail=Trail(amount=Decimal(50)),
    take_profit_price=Decimal(3050),
)
SCALE = ScaleSpec(
    order_id="scale-1",
    symbol="IBM",
    side=Side.BUY,
    rungs=(Rung(quantity=Decimal(10), price=Decimal(3000)),),
    stop_price=Decimal(2950),
    take_profit_price=Decimal(3050),
)


@pytest.mark.parametrize(
    ("spec", "amendment"),
    [
        (bracket_spec(), Amendment(stop_price=Decimal(3000))),
        (bracket_spec(), Amendment(stop_price=Decimal(3010))),
        (bracket_spec(), Amendment(take_profit_price=Decimal(2990))),
        (SCALE, Amendment(stop_price=Decimal(3010))),
        (TRAILING, Amendment(take_profit_price=Decimal(2990))),
        (TRAILING, Amendment(trail=Trail(amount=Decimal(3001)))),
        (bracket_spec(entry_type=OrderType.MARKET, entry_price=None), Amendment(no_take_profit=True)),
    ],
)
def test_once_entered_an_exit_may_go_beyond_the_entry_but_not_before(spec: Common, amendment: Amendment) -> None:
    amended(spec, amendment, entered=True)
    with pytest.raises(SpecError):
        amended(spec, amendment)


def test_once_entered_the_exits_are_still_checked_against_each_other() -> None:
    with pytest.raises(SpecError, match="stop_price: 3050: must be below take_profit_price 3050"):
        amended(bracket_spec(), Amendment(stop_price=Decimal(3050)), entered=True)


def test_a_position_that_is_held_may_take_its_profit_anywhere_beyond_its_stop() -> None:
    held = replace(TRAILING, entry_type=None, entry_price=None, start_price=Decimal(3000))
    assert amended(held, Amendment(take_profit_price=Decimal(2990))).take_profit_price == 2990


def test_a_take_profit_is_taken_away_and_given_again() -> None:
    for spec in (bracket_spec(), TRAILING):
        without = amended(spec, Amendment(no_take_profit=True))
        assert without == replace(spec, take_profit_price=None)
        assert amended(without, Amendment(take_profit_price=Decimal(3050))) == spec


@pytest.mark.parametrize(
    ("spec", "amendment", "message"),
    [
        (
            bracket_spec(),
            Amendment(no_take_profit=True, take_profit_price=Decimal(3060)),
            "no_take_profit: True: must be left out where there is a take_profit_price",
        ),
        (
            bracket_spec(take_profit_price=None),
            Amendment(no_take_profit=True),
            "no_take_profit: True: must be left out: the order has none",
        ),
        (
            SCALE,
            Amendment(no_take_profit=True),
            "no_take_profit: True: can be amended: stop_price, take_profit_price",
        ),
        (bracket_spec(), Amendment(quantity=Decimal(0)), "quantity: 0: must be a number above 0"),
    ],
)
def test_an_amendment_that_cannot_be_is_refused(spec: Common, amendment: Amendment, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        amended(spec, amendment)
    assert str(refused.value) == message


def test_no_order_can_lose_its_take_profit_and_be_given_one_at_once() -> None:
    with pytest.raises(SpecError, match="no_take_profit"):
        check_amendment(Amendment(no_take_profit=True, take_profit_price=Decimal(1)))
    check_amendment(Amendment(no_take_profit=True))
