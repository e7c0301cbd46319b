"""What may be at stake, and who gets it."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.exposure import (
    ExposureState,
    Limits,
    apply_bust,
    apply_fill,
    block,
    gross_exposure,
    release,
    reserve,
    symbol_exposure,
    unblock,
)
from trading.orders import Side

LIMITS = Limits(
    max_order_notional=Decimal(100_000), max_symbol_notional=Decimal(150_000), max_gross_notional=Decimal(200_000)
)


def reserved(state: ExposureState, order_id: str, quantity: int, symbol: str = "IBM") -> tuple[ExposureState, str]:
    state, decision = reserve(state, LIMITS, order_id, symbol, Side.BUY, Decimal(quantity), Decimal(100))
    assert decision.approved is (decision.reason == "")
    return state, decision.reason


def filled(
    state: ExposureState, order_id: str, quantity: int, *, entry: bool = True, price: int = 100
) -> ExposureState:
    side = Side.BUY if entry else Side.SELL
    return apply_fill(state, order_id, entry, "IBM", side, Decimal(quantity), Decimal(price))


def test_an_order_over_its_limit_is_denied_with_the_numbers() -> None:
    state, reason = reserved(ExposureState(), "a", 1200)
    assert reason == "MAX_NOTIONAL: order=120000 limit=100000"
    assert state == ExposureState()


def test_orders_and_position_of_a_symbol_count_together() -> None:
    state, _ = reserved(ExposureState(), "a", 900)
    state = filled(state, "a", 500)
    assert symbol_exposure(state, "IBM") == 90_000
    _, reason = reserved(state, "b", 700)
    assert reason == "MAX_SYMBOL_NOTIONAL: exposure=90000 order=70000 limit=150000"
    assert reserved(state, "b", 600)[1] == ""


def test_all_symbols_count_together() -> None:
    state, _ = reserved(ExposureState(), "a", 1000)
    state, _ = reserved(state, "b", 500, "MSFT")
    assert reserved(state, "c", 600, "AAPL")[1] == "MAX_GROSS_NOTIONAL: exposure=150000 order=60000 limit=200000"


def test_two_orders_of_60000_against_100000_leave_one() -> None:
    """Scenario 37."""
    limits = msgspec.structs.replace(LIMITS, max_gross_notional=Decimal(100_000))
    state, first = reserve(ExposureState(), limits, "a", "IBM", Side.BUY, Decimal(600), Decimal(100))
    state, second = reserve(state, limits, "b", "MSFT", Side.BUY, Decimal(600), Decimal(100))
    assert (first.approved, second.approved) == (True, False)


def test_asking_again_keeps_the_one_reservation() -> None:
    state, _ = reserved(ExposureState(), "a", 1000)
    assert reserved(state, "a", 1000) == (state, "")


def test_a_fill_turns_reservation_into_position() -> None:
    state, _ = reserved(ExposureState(), "a", 1000)
    state = filled(state, "a", 400, price=99)
    assert state.reservations["a"].quantity == 600
    assert gross_exposure(state) == 400 * 99 + 600 * 100


def test_an_overfill_uses_up_the_reservation_and_no_more() -> None:
    state, _ = reserved(ExposureState(), "a", 100)
    state = filled(state, "a", 150)
    assert state.reservations["a"].quantity == 0
    assert gross_exposure(state) == 15_000


def test_exits_use_no_reservation_and_reduce_the_position() -> None:
    state, _ = reserved(ExposureState(), "a", 100)
    state = filled(state, "a", 40)
    state = filled(state, "a", 40, entry=False, price=120)
    assert state.reservations["a"].quantity == 60
    assert gross_exposure(state) == 6_000
    assert state.positions["IBM"].realized_pnl == 800


def test_release_gives_back_what_is_left() -> None:
    state, _ = reserved(ExposureState(), "a", 100)
    state = filled(state, "a", 40)
    assert gross_exposure(release(state, "a")) == 4_000
    assert release(release(state, "a"), "a") == release(state, "a")


def test_a_busted_fill_changes_the_position_and_no_reservation() -> None:
    state, _ = reserved(ExposureState(), "a", 100)
    state = filled(state, "a", 100)
    state = apply_bust(state, "IBM", Side.BUY, Decimal(100), Decimal(100))
    assert gross_exposure(state) == 0
    assert state.reservations["a"].quantity == 0


def test_a_blocked_symbol_is_denied_until_it_is_unblocked() -> None:
    state = block(ExposureState(), "IBM", "DOUBLE_EXIT")
    assert reserved(state, "a", 1)[1] == "SYMBOL_BLOCKED: symbol=IBM reason=DOUBLE_EXIT"
    assert reserved(state, "a", 1, "MSFT")[1] == ""
    assert reserved(unblock(state, "IBM"), "a", 1)[1] == ""


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["IBM", "MSFT"]), st.integers(1, 1500), st.booleans()),
        max_size=20,
    )
)
def test_approved_orders_never_exceed_a_limit(steps: list[tuple[str, str, int, bool]]) -> None:
    state = ExposureState()
    for order_id, symbol, quantity, gives_back in steps:
        state, _ = reserved(state, order_id, quantity, symbol)
        if gives_back:
            state = release(state, order_id)
        assert gross_exposure(state) <= LIMITS.max_gross_notional
        assert symbol_exposure(state, symbol) <= LIMITS.max_symbol_notional
        assert msgspec.json.decode(msgspec.json.encode(state), type=ExposureState) == state


@pytest.mark.parametrize("side", Side)
def test_a_short_position_is_exposure_as_a_long_one_is(side: Side) -> None:
    state = apply_fill(ExposureState(), "a", True, "IBM", side, Decimal(10), Decimal(100))
    assert gross_exposure(state) == 1000
