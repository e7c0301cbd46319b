"""What each kind of order puts at stake."""

from decimal import Decimal

import msgspec
import pytest

from trading.orders import OrderType, Side
from trading.specs import (
    BracketSpec,
    FlattenSpec,
    IcebergSpec,
    Leg,
    MultiLegSpec,
    OcoEntry,
    OcoSpec,
    OtoSpec,
    Rung,
    ScaleSpec,
    SingleSpec,
    Spec,
    SpecError,
    Trail,
    TrailingSpec,
    TwapSpec,
    check,
)
from trading.stakes import Holding, NoPriceError, Stake, holding, protects, stakes, symbols

B, S = Side.BUY, Side.SELL
MARKET, LIMIT, STOP = OrderType.MARKET, OrderType.LIMIT, OrderType.STOP


def D(number: int) -> Decimal:  # noqa: N802 - it stands for Decimal
    return Decimal(number)


def single(order_type: OrderType, limit: int | None = None, stop: int | None = None) -> SingleSpec:
    return SingleSpec(
        order_id="o",
        symbol="IBM",
        side=B,
        quantity=D(10),
        order_type=order_type,
        limit_price=None if limit is None else D(limit),
        stop_price=None if stop is None else D(stop),
    )


def bracket(
    entry_type: OrderType, entry: int | None, *, side: Side = B, stop: int = 90, profit: int | None = 110
) -> Spec:
    return BracketSpec(
        order_id="o",
        symbol="IBM",
        side=side,
        quantity=D(10),
        entry_type=entry_type,
        entry_price=None if entry is None else D(entry),
        stop_price=D(stop),
        take_profit_price=None if profit is None else D(profit),
    )


def oco(*, exits: bool) -> OcoSpec:
    buy = OcoEntry(side=B, quantity=D(4), order_type=STOP, price=D(110))
    sell = OcoEntry(side=S, quantity=D(5), order_type=STOP, price=D(90))
    if exits:
        buy = msgspec.structs.replace(buy, exit_stop_price=D(100), exit_take_profit_price=D(120))
        sell = msgspec.structs.replace(sell, exit_stop_price=D(100), exit_take_profit_price=D(80))
    return OcoSpec(order_id="o", symbol="IBM", entries=(buy, sell))


LEGS = (
    Leg(symbol="IBM", side=B, quantity=D(10), price=D(100)),
    Leg(symbol="MSFT", side=S, quantity=D(20), order_type=MARKET, reference_price=D(50)),
    Leg(symbol="IBM", side=S, quantity=D(5), order_type=STOP, price=D(90)),
)


def trailing(entry_type: OrderType | None, *, entry: int | None = None, start: int | None = None) -> TrailingSpec:
    return TrailingSpec(
        order_id="o",
        symbol="IBM",
        side=B,
        quantity=D(10),
        entry_type=entry_type,
        entry_price=None if entry is None else D(entry),
        start_price=None if start is None else D(start),
        trail=Trail(amount=D(5)),
    )


def twap(limit: int | None, reference: int | None) -> TwapSpec:
    return TwapSpec(
        order_id="o",
        symbol="IBM",
        side=S,
        quantity=D(10),
        duration=100,
        slices=5,
        limit_price=None if limit is None else D(limit),
        reference_price=None if reference is None else D(reference),
    )


ICEBERG = IcebergSpec(order_id="o", symbol="IBM", side=B, quantity=D(10), limit_price=D(100), display_quantity=D(2))
SCALE = ScaleSpec(
    order_id="o",
    symbol="IBM",
    side=B,
    rungs=(Rung(quantity=D(4), price=D(100)), Rung(quantity=D(6), price=D(95))),
    stop_price=D(90),
    take_profit_price=D(110),
)
FLATTEN = FlattenSpec(order_id="o", symbol="IBM", side=B, quantity=D(10), reference_price=D(100))

IBM_10_AT_100 = [("IBM", B, 10, 100)]
LEGS_AT_STAKE = [("IBM", B, 10, 100), ("MSFT", S, 20, 50), ("IBM", S, 5, 90)]
AT_STAKE: dict[str, tuple[Spec, list[tuple[str, Side, int, int]]]] = {
    "a limit order by its limit": (single(LIMIT, limit=100), IBM_10_AT_100),
    "a stop order by its stop": (single(STOP, stop=100), IBM_10_AT_100),
    "a market order by the reference": (single(MARKET), [("IBM", B, 10, 77)]),
    "a bracket by its entry": (bracket(LIMIT, 100), IBM_10_AT_100),
    "a market bracket by its higher exit": (bracket(MARKET, None), [("IBM", B, 10, 110)]),
    "a short market bracket too": (bracket(MARKET, None, side=S, stop=110, profit=90), [("IBM", S, 10, 110)]),
    "a bracket with a stop alone by its entry": (bracket(LIMIT, 100, profit=None), IBM_10_AT_100),
    "an OCO by both entries": (oco(exits=False), [("IBM", B, 4, 110), ("IBM", S, 5, 90)]),
    "an OTO by all its orders": (OtoSpec(order_id="o", orders=LEGS), LEGS_AT_STAKE),
    "legs by each": (MultiLegSpec(order_id="o", legs=LEGS), LEGS_AT_STAKE),
    "trailing by its entry": (trailing(LIMIT, entry=100), IBM_10_AT_100),
    "trailing at market by the reference": (trailing(MARKET), [("IBM", B, 10, 77)]),
    "trailing what is held: nothing": (trailing(None, start=100), []),
    "a TWAP by its limit": (twap(100, None), [("IBM", S, 10, 100)]),
    "a TWAP at market by its reference": (twap(None, 99), [("IBM", S, 10, 99)]),
    "an iceberg by all of it": (ICEBERG, IBM_10_AT_100),
    "a ladder by each rung": (SCALE, [("IBM", B, 4, 100), ("IBM", B, 6, 95)]),
    "a flatten: nothing": (FLATTEN, []),
}


@pytest.mark.parametrize("what", AT_STAKE)
def test_every_entry_is_at_stake_at_the_price_it_is_judged_by(what: str) -> None:
    spec, expected = AT_STAKE[what]
    check(spec)
    assert stakes(spec, D(77)) == [
        Stake(symbol=symbol, side=side, quantity=D(quantity), price=D(price))
        for symbol, side, quantity, price in expected
    ]


@pytest.mark.parametrize("spec", [single(MARKET), trailing(MARKET)], ids=["single", "trailing"])
def test_an_order_at_market_without_a_reference_price_is_refused(spec: Spec) -> None:
    with pytest.raises(NoPriceError, match=r"^REFERENCE_PRICE: IBM market order without a reference_price$"):
        stakes(spec, None)


def test_a_market_bracket_whose_take_profit_was_taken_away_after_its_fill_has_a_price_all_the_same() -> None:
    assert [stake.price for stake in stakes(bracket(MARKET, None, profit=None), None)] == [D(90)]


def test_symbols_come_once_each_in_their_order() -> None:
    assert symbols(OtoSpec(order_id="o", orders=LEGS)) == ["IBM", "MSFT"]
    assert symbols(MultiLegSpec(order_id="o", legs=LEGS[::-1])) == ["IBM", "MSFT"]
    assert symbols(oco(exits=True)) == symbols(SCALE) == symbols(FLATTEN) == ["IBM"]


def test_what_gets_exits_of_its_own_or_is_being_closed_is_protected() -> None:
    protected = (
        bracket(LIMIT, 100),
        oco(exits=True),
        trailing(LIMIT, entry=100),
        trailing(None, start=100),
        SCALE,
        FLATTEN,
    )
    assert all(protects(spec) for spec in protected)
    plain = (single(LIMIT, limit=1), oco(exits=False), MultiLegSpec(order_id="o", legs=LEGS), twap(100, None), ICEBERG)
    assert not any(protects(spec) for spec in plain)


@pytest.mark.parametrize("bare", [0, 1])
def test_an_oco_of_which_one_entry_alone_has_exits_is_refused(bare: int) -> None:
    check(oco(exits=True))
    entries = list(oco(exits=True).entries)
    entries[bare] = oco(exits=False).entries[bare]
    spec = msgspec.structs.replace(oco(exits=True), entries=tuple(entries))
    right = "None: is needed too: both entries have exits, or neither has"
    with pytest.raises(SpecError, match=rf"^entries\[{bare}\]\.exit_stop_price: {right}$"):
        check(spec)
    assert not protects(spec), "one that was begun before: a halt that flattens waits for its end"


def test_a_position_that_is_held_is_taken_over_by_a_flatten_and_by_a_trailing_stop_without_entry() -> None:
    held = Holding(symbol="IBM", side=B, quantity=D(10))
    assert holding(FLATTEN) == holding(trailing(None, start=100)) == held
    assert holding(trailing(LIMIT, entry=100)) is None
    assert holding(SCALE) is None
