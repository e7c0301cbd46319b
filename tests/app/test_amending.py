"""Whether an open order can be amended, as far as HTTP can say."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from trading.child import OrderStatus
from trading.events import AmendRequested, CancelRequested, Instruction, PriceTouched, TradingHalted
from trading.identity import Role
from trading.instructions import InstructionRow
from trading.lifecycles import ChildSummary
from trading.messages import LiveStatus
from trading.orders import Side
from trading.specs import Amendment, BracketSpec, SingleSpec, Spec, SpecError, TwapSpec
from triggers.amending import what_it_becomes, what_it_is

ONE: dict[str, Any] = {"order_id": "o", "symbol": "IBM", "side": Side.BUY, "quantity": Decimal(10)}
BRACKET = BracketSpec(**ONE, entry_price=Decimal(3000), stop_price=Decimal(2950), take_profit_price=Decimal(3050))
SINGLE = SingleSpec(**ONE, limit_price=Decimal(3000))
AT = datetime(2026, 1, 5, tzinfo=UTC)
TWAP = TwapSpec(**ONE, limit_price=Decimal(3000), duration=60, slices=2)


def amendment(**values: int) -> Amendment:
    return msgspec.convert(values, Amendment)


def rows(*instructions: Instruction) -> list[InstructionRow]:
    return [
        InstructionRow(order_id="o", number=number, instruction=each) for number, each in enumerate(instructions, 1)
    ]


def live(filled: int = 0, status: OrderStatus = OrderStatus.NEW) -> LiveStatus:
    entry = ChildSummary(
        cl_ord_ids=["o.e1"],
        role=Role.ENTRY,
        side=Side.BUY,
        quantity=Decimal(10),
        cum_quantity=Decimal(filled),
        average_price=Decimal(0),
        status=status,
    )
    return LiveStatus(phase="working", filled_quantity=Decimal(filled), children=[entry])


def test_an_amendment_builds_on_those_before_it() -> None:
    earlier = rows(AmendRequested(amendment=amendment(take_profit_price=3100)))
    after = what_it_becomes(BRACKET, earlier, live(), amendment(entry_price=3060))
    assert after == replace(BRACKET, take_profit_price=Decimal(3100), entry_price=Decimal(3060))
    with pytest.raises(SpecError, match="take_profit_price"):
        what_it_becomes(BRACKET, [], live(), amendment(entry_price=3060))


def test_what_the_lifecycle_has_refused_is_no_longer_looked_at() -> None:
    told = rows(AmendRequested(amendment=amendment(quantity=5)))
    now = replace(live(6), spec=SINGLE, instructed=1)
    assert what_it_is(SINGLE, told, now) == SINGLE
    after = what_it_becomes(SINGLE, told, now, amendment(limit_price=2990))
    assert after == replace(SINGLE, limit_price=Decimal(2990))


def test_what_is_still_to_be_heard_or_decided_counts_as_far_as_it_can_be_made() -> None:
    told = rows(
        AmendRequested(amendment=amendment(quantity=5)),
        AmendRequested(amendment=amendment(quantity=6)),
        PriceTouched(symbol="IBM", watch=1, price=Decimal(1), at=AT),
        AmendRequested(amendment=amendment(stop_price=3100)),
        AmendRequested(amendment=amendment(stop_price=2960)),
    )
    now = replace(live(), spec=BRACKET, instructed=3, undecided=1)
    assert what_it_is(BRACKET, told, now) == replace(BRACKET, quantity=Decimal(6), stop_price=Decimal(2960))
    assert what_it_is(BRACKET, told, replace(now, instructed=5, undecided=0)) == BRACKET


def test_an_exit_may_go_beyond_the_entry_once_that_has_filled_something() -> None:
    assert what_it_becomes(BRACKET, [], live(4), amendment(stop_price=3000)) == replace(
        BRACKET, stop_price=Decimal(3000)
    )
    with pytest.raises(SpecError, match="must be below entry_price 3000"):
        what_it_becomes(BRACKET, [], live(), amendment(stop_price=3000))


@pytest.mark.parametrize(
    ("spec", "told", "now", "wanted", "field", "says"),
    [
        (
            SINGLE,
            (),
            live(),
            amendment(take_profit_price=1),
            "take_profit_price",
            "can be amended: quantity",
        ),
        (SINGLE, (), live(), amendment(stop_price=1), "stop_price", "must be left out: the order has none"),
        (BRACKET, (CancelRequested(mode="keep_exits"),), live(), amendment(stop_price=2900), "id", "told to end"),
        (BRACKET, (), live(4), amendment(quantity=3), "quantity", "must be at least 4"),
        (BRACKET, (), live(10, OrderStatus.FILLED), amendment(quantity=12), "quantity", "which is complete: 10"),
        (BRACKET, (TradingHalted(),), live(4), amendment(quantity=12), "quantity", "trading was halted"),
        (BRACKET, (), live(4, OrderStatus.EXPIRED), amendment(entry_price=2990), "entry_price", "which is expired"),
        (SINGLE, (), live(4, OrderStatus.CANCELED), amendment(limit_price=2990), "limit_price", "is canceled"),
    ],
)
def test_what_cannot_be_amended_is_refused_with_the_reason(
    spec: Spec, told: tuple[Instruction, ...], now: LiveStatus, wanted: Amendment, field: str, says: str
) -> None:
    with pytest.raises(SpecError) as refused:
        what_it_becomes(spec, rows(*told), now, wanted)
    assert refused.value.field == field
    assert says in refused.value.message


def test_exits_can_be_amended_when_the_entry_is_complete_or_trading_is_halted() -> None:
    told = rows(TradingHalted(), PriceTouched(symbol="IBM", watch=1, price=Decimal(1), at=AT))
    after = what_it_becomes(BRACKET, told, live(10, OrderStatus.FILLED), amendment(stop_price=2900))
    assert after == replace(BRACKET, stop_price=Decimal(2900))


def test_a_quantity_may_be_brought_down_to_what_has_filled() -> None:
    assert what_it_becomes(BRACKET, [], live(4), amendment(quantity=4)) == replace(BRACKET, quantity=Decimal(4))


def test_a_slice_that_is_over_does_not_end_the_order_that_is_sent_in_slices() -> None:
    after = what_it_becomes(TWAP, [], live(4, OrderStatus.CANCELED), amendment(limit_price=3010))
    assert after == replace(TWAP, limit_price=Decimal(3010))
