"""Positions at average cost."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.orders import Side
from trading.positions import Position, apply_bust, apply_fill

FLAT = Position(symbol="IBM")
TINY = Decimal("1e-9")
Trade = tuple[Side, Decimal, Decimal]
TRADES = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.integers(1, 50).map(Decimal),
        st.decimals(1, 100, places=2),
    ),
    max_size=20,
)


def after(trades: list[tuple[Side, int, int]]) -> Position:
    return filled([(side, Decimal(quantity), Decimal(price)) for side, quantity, price in trades])


def filled(trades: list[Trade]) -> Position:
    position = FLAT
    for side, quantity, price in trades:
        position = apply_fill(position, side, quantity, price)
    return position


B, S = Side.BUY, Side.SELL


@pytest.mark.parametrize(
    ("trades", "quantity", "average_price", "realized_pnl"),
    [
        ([], 0, 0, 0),
        ([(B, 10, 100)], 10, 100, 0),
        ([(B, 10, 100), (B, 30, 104)], 40, 103, 0),
        ([(B, 10, 100), (S, 4, 110)], 6, 100, 40),
        ([(B, 10, 100), (S, 10, 90)], 0, 0, -100),
        ([(B, 10, 100), (S, 15, 110)], -5, 110, 100),
        ([(S, 10, 100)], -10, 100, 0),
        ([(S, 10, 100), (S, 10, 110)], -20, 105, 0),
        ([(S, 10, 100), (B, 4, 90)], -6, 100, 40),
        ([(S, 10, 100), (B, 12, 90)], 2, 90, 100),
    ],
)
def test_trades_lead_to_a_position(
    trades: list[tuple[Side, int, int]], quantity: int, average_price: int, realized_pnl: int
) -> None:
    position = after(trades)
    assert position.quantity == quantity
    assert position.average_price == average_price
    assert position.realized_pnl == realized_pnl


@given(TRADES)
def test_money_is_neither_made_nor_lost_by_counting(trades: list[Trade]) -> None:
    position = filled(trades)
    paid = sum((side.sign * quantity * price for side, quantity, price in trades), Decimal(0))
    assert position.quantity == sum(side.sign * quantity for side, quantity, _ in trades)
    assert abs(position.quantity * position.average_price - position.realized_pnl - paid) < TINY


@given(TRADES, st.tuples(st.sampled_from(Side), st.integers(1, 50).map(Decimal), st.decimals(1, 100, places=2)))
def test_a_bust_of_the_last_trade_undoes_it(trades: list[Trade], last: Trade) -> None:
    before = filled(trades)
    busted = apply_bust(apply_fill(before, *last), *last)
    assert busted.quantity == before.quantity
    assert abs(busted.average_price - before.average_price) < TINY
    assert abs(busted.realized_pnl - before.realized_pnl) < TINY


@given(TRADES.filter(bool), st.data())
def test_a_bust_of_any_trade_gives_its_quantity_and_money_back(trades: list[Trade], data: st.DataObject) -> None:
    busted = data.draw(st.sampled_from(trades))
    position = apply_bust(filled(trades), *busted)
    left = list(trades)
    left.remove(busted)
    paid = sum((side.sign * quantity * price for side, quantity, price in left), Decimal(0))
    assert position.quantity == sum(side.sign * quantity for side, quantity, _ in left)
    assert abs(position.quantity * position.average_price - position.realized_pnl - paid) < TINY


def corrected(position: Position, side: Side, *, was: int, now: int) -> Position:
    """A trade of 10 at `was` is corrected to 10 at `now`: taken back, and counted as it should have been."""
    position = apply_bust(position, side, Decimal(10), Decimal(was))
    return apply_fill(position, side, Decimal(10), Decimal(now))


def test_a_corrected_entry_changes_the_average_price() -> None:
    """Scenario 23."""
    position = corrected(after([(B, 10, 3000)]), B, was=3000, now=2999)
    assert (position.quantity, position.average_price, position.realized_pnl) == (
        Decimal(10),
        Decimal(2999),
        Decimal(0),
    )


def test_23_the_profit_follows_a_corrected_entry() -> None:
    position = corrected(after([(B, 10, 3000)]), B, was=3000, now=2999)
    position = apply_fill(position, S, Decimal(10), Decimal(3050))
    assert (position.quantity, position.realized_pnl) == (Decimal(0), Decimal(510))


def test_a_corrected_exit_changes_the_realized_profit() -> None:
    position = after([(B, 10, 3000), (S, 10, 3050)])
    position = corrected(position, S, was=3050, now=3040)
    assert position.quantity == 0
    assert position.realized_pnl == 400


def test_a_busted_exit_brings_the_position_back_at_its_price() -> None:
    """Scenario 42."""
    position = apply_bust(after([(B, 10, 3000), (S, 10, 3050)]), S, Decimal(10), Decimal(3050))
    assert (position.quantity, position.average_price, position.realized_pnl) == (
        Decimal(10),
        Decimal(3000),
        Decimal(0),
    )


def test_realized_profit_carries_no_tail_of_division() -> None:
    position = after([(B, 1, 10), (B, 2, 11), (S, 3, 11)])
    assert position.realized_pnl == 1
