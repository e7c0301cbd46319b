"""What may be at stake, and who gets it."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.exposure import (
    ExposureState,
    Limits,
    Mode,
    amend,
    apply_bust,
    apply_fill,
    block,
    forget,
    gross_exposure,
    release,
    reserve,
    set_mode,
    symbol_exposure,
    unblock,
    unprotected,
    unsettled,
    working_to_reduce,
)
from trading.orders import Side
from trading.stakes import Holding, Stake

LIMITS = Limits(
    max_order_notional=Decimal(100_000), max_symbol_notional=Decimal(150_000), max_gross_notional=Decimal(200_000)
)


B, S = Side.BUY, Side.SELL


def stake(quantity: int, side: Side = Side.BUY, *, symbol: str = "IBM", price: int = 100) -> Stake:
    return Stake(symbol=symbol, side=side, quantity=Decimal(quantity), price=Decimal(price))


def reserved(state: ExposureState, order_id: str, quantity: int, symbol: str = "IBM") -> tuple[ExposureState, str]:
    state, decision = reserve(state, LIMITS, order_id, [stake(quantity, symbol=symbol)])
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


def test_37_of_two_orders_of_60000_against_100000_one_is_approved() -> None:
    """Scenario 37."""
    limits = msgspec.structs.replace(LIMITS, max_gross_notional=Decimal(100_000))
    state, first = reserve(ExposureState(), limits, "a", [stake(600)])
    state, second = reserve(state, limits, "b", [stake(600, symbol="MSFT")])
    assert (first.approved, second.approved) == (True, False)


def test_asking_again_keeps_the_one_reservation() -> None:
    state, _ = reserved(ExposureState(), "a", 1000)
    assert reserved(state, "a", 1000) == (state, "")


def test_a_fill_turns_reservation_into_position() -> None:
    state, _ = reserved(ExposureState(), "a", 1000)
    state = filled(state, "a", 400, price=99)
    assert state.reservations["a"].stakes[0].quantity == 600
    assert gross_exposure(state) == 400 * 99 + 600 * 100


def test_an_overfill_uses_up_the_reservation_and_no_more() -> None:
    state, _ = reserved(ExposureState(), "a", 100)
    state = filled(state, "a", 150)
    assert state.reservations["a"].stakes[0].quantity == 0
    assert gross_exposure(state) == 15_000


def test_exits_use_no_reservation_and_reduce_the_position() -> None:
    state, _ = reserved(ExposureState(), "a", 100)
    state = filled(state, "a", 40)
    state = filled(state, "a", 40, entry=False, price=120)
    assert state.reservations["a"].stakes[0].quantity == 60
    assert gross_exposure(state) == 6_000
    assert state.positions["IBM"].realized_pnl == 800


def test_release_gives_back_what_is_left() -> None:
    state, _ = reserved(ExposureState(), "a", 100)
    state = filled(state, "a", 40)
    assert gross_exposure(release(state, "a")) == 4_000
    assert release(release(state, "a"), "a") == release(state, "a")
    assert forget(release(state, "a"), "a").reservations == {}
    assert release(ExposureState(), "a") == ExposureState()


def test_a_busted_fill_changes_the_position_and_no_reservation() -> None:
    state, _ = reserved(ExposureState(), "a", 100)
    state = filled(state, "a", 100)
    state = apply_bust(state, "a", "IBM", Side.BUY, Decimal(100), Decimal(100))
    assert gross_exposure(state) == 0
    assert state.reservations["a"].stakes[0].quantity == 0


def test_a_blocked_symbol_is_denied_until_it_is_unblocked() -> None:
    state = block(ExposureState(), "IBM", "DOUBLE_EXIT")
    assert reserved(state, "a", 1)[1] == "SYMBOL_BLOCKED: symbol=IBM reason=DOUBLE_EXIT"
    assert reserved(state, "a", 1, "MSFT")[1] == ""
    assert reserved(unblock(state, "IBM"), "a", 1)[1] == ""


def test_only_the_block_that_was_seen_is_lifted() -> None:
    state = block(ExposureState(), "IBM", "first")
    assert unblock(state, "IBM", "first").blocked == {}
    again = block(state, "IBM", "second")
    assert unblock(again, "IBM", "first") == again
    assert unblock(unblock(again, "IBM", "second"), "IBM", "first").blocked == {}


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
            state = forget(release(state, order_id), order_id)
        assert gross_exposure(state) <= LIMITS.max_gross_notional
        assert symbol_exposure(state, symbol) <= LIMITS.max_symbol_notional
        assert msgspec.json.decode(msgspec.json.encode(state), type=ExposureState) == state


@pytest.mark.parametrize("side", Side)
def test_a_short_position_is_exposure_as_a_long_one_is(side: Side) -> None:
    state = apply_fill(ExposureState(), "a", True, "IBM", side, Decimal(10), Decimal(100))
    assert gross_exposure(state) == 1000


# Several stakes


def test_all_legs_of_an_order_are_judged_together_and_reserved_at_once_or_not_at_all() -> None:
    legs = [stake(600), stake(600, S, symbol="MSFT")]
    state, decision = reserve(ExposureState(), LIMITS, "a", legs)
    assert decision.reason == "MAX_NOTIONAL: order=120000 limit=100000"
    assert state == ExposureState()
    state, _ = reserved(state, "b", 1000)
    state, _ = reserved(state, "c", 500, "AAPL")
    _, decision = reserve(state, LIMITS, "a", [stake(300), stake(300, S, symbol="MSFT")])
    assert decision.reason == "MAX_GROSS_NOTIONAL: exposure=150000 order=60000 limit=200000"
    _, decision = reserve(state, LIMITS, "a", [stake(10, S, symbol="MSFT"), stake(501)])
    assert decision.reason == "MAX_SYMBOL_NOTIONAL: exposure=100000 order=50100 limit=150000 symbol=IBM"
    state, decision = reserve(state, LIMITS, "a", [stake(100), stake(100, S, symbol="MSFT")])
    assert decision.approved
    assert gross_exposure(state) == 170_000


def test_an_order_is_denied_if_any_of_its_symbols_is_blocked() -> None:
    state = block(ExposureState(), "MSFT", "DOUBLE_EXIT")
    _, decision = reserve(state, LIMITS, "a", [stake(1), stake(1, S, symbol="MSFT")])
    assert decision.reason == "SYMBOL_BLOCKED: symbol=MSFT reason=DOUBLE_EXIT"


def test_an_entrys_fill_uses_up_the_leg_of_its_symbol_and_side() -> None:
    legs = [stake(100), stake(100, S), stake(50, symbol="MSFT")]
    state, _ = reserve(ExposureState(), LIMITS, "a", legs)
    state = apply_fill(state, "a", True, "IBM", S, Decimal(30), Decimal(100))
    assert [each.quantity for each in state.reservations["a"].stakes] == [100, 70, 50]


def test_a_fill_beyond_a_rung_goes_on_with_the_next() -> None:
    state, _ = reserve(ExposureState(), LIMITS, "a", [stake(100), stake(100, price=90), stake(100, price=80)])
    state = filled(state, "a", 150)
    assert [each.quantity for each in state.reservations["a"].stakes] == [0, 50, 100]


# Reduce-only


def held(quantity: int, symbol: str = "IBM") -> ExposureState:
    """A position that no order looks after; short below 0."""
    side = B if quantity > 0 else S
    return apply_fill(ExposureState(), "before", True, symbol, side, Decimal(abs(quantity)), Decimal(100))


def denial(state: ExposureState, *stakes: Stake, holding: Holding | None = None) -> str:
    """Why an order that may only reduce is denied; empty where it is approved."""
    return reserve(state, LIMITS, "asked", stakes, reduce_only=True, holding=holding)[1].reason


def bracket(state: ExposureState, filled_quantity: int, *, of: int = 10, side: Side = B) -> ExposureState:
    """An open protected order that has filled so much."""
    state, decision = reserve(state, LIMITS, "bracket", [stake(of, side)], protected=True)
    assert decision.approved
    return apply_fill(state, "bracket", True, "IBM", side, Decimal(filled_quantity), Decimal(100))


def test_38_an_order_that_may_only_reduce_is_denied_beyond_the_position() -> None:
    assert denial(held(10), stake(15, S)) == "REDUCE_ONLY: order=15 position=10"
    assert denial(held(10), stake(10, S)) == ""
    assert denial(held(-10), stake(15, B)) == "REDUCE_ONLY: order=15 position=-10"
    assert denial(held(-10), stake(10, B)) == ""


def test_38_the_same_holds_for_all_orders_while_the_account_is_reducing() -> None:
    state = set_mode(held(10), "reducing", "", "1")
    assert reserve(state, LIMITS, "a", [stake(15, S)])[1].reason == "REDUCE_ONLY: order=15 position=10"
    state, decision = reserve(state, LIMITS, "a", [stake(6, S)])
    assert decision.approved
    assert reserve(state, LIMITS, "b", [stake(5, S)])[1].reason == "REDUCE_ONLY: order=5 position=10 working=6"
    state = set_mode(state, "open", "", "2")
    assert reserve(state, LIMITS, "b", [stake(5, S)])[1].reason == "REDUCE_ONLY_WORKS: order=5 position=10 working=6"
    assert reserve(state, LIMITS, "b", [stake(4, S)])[1].approved


def test_38_working_exits_count_against_the_position_a_stop_and_take_profit_pair_once() -> None:
    state = bracket(held(4), 6)
    assert denial(state, stake(15, S)) == "REDUCE_ONLY: order=15 position=10 working=6"
    assert denial(state, stake(5, S)) == "REDUCE_ONLY: order=5 position=10 working=6"
    assert denial(state, stake(4, S)) == ""


def test_exits_that_have_filled_work_no_more() -> None:
    state = bracket(held(4), 6)
    state = apply_fill(state, "bracket", False, "IBM", S, Decimal(2), Decimal(110))
    assert denial(state, stake(5, S)) == "REDUCE_ONLY: order=5 position=8 working=4"


def test_busts_and_corrections_keep_what_works_right() -> None:
    state = apply_bust(bracket(held(4), 6), "bracket", "IBM", B, Decimal(6), Decimal(100))
    assert working_to_reduce(state, "IBM") == 0
    corrected = apply_fill(state, "bracket", False, "IBM", B, Decimal(5), Decimal(100))
    assert working_to_reduce(corrected, "IBM") == 5


def test_what_an_order_that_may_only_reduce_is_to_take_away_no_other_order_takes() -> None:
    state, _ = reserve(held(10), LIMITS, "reducer", [stake(10, S)], reduce_only=True)
    reason = reserve(state, LIMITS, "other", [stake(5, S)])[1].reason
    assert reason == "REDUCE_ONLY_WORKS: order=5 position=10 working=10"
    assert reserve(state, LIMITS, "other", [stake(5, B)])[1].approved, "it adds"
    assert reserve(release(state, "reducer"), LIMITS, "other", [stake(5, S)])[1].approved


def test_orders_that_may_do_anything_share_what_one_that_may_only_reduce_leaves() -> None:
    state, _ = reserve(held(10), LIMITS, "reducer", [stake(4, S)], reduce_only=True)
    state, decision = reserve(state, LIMITS, "first", [stake(5, S)])
    assert decision.approved
    reason = reserve(state, LIMITS, "second", [stake(2, S)])[1].reason
    assert reason == "REDUCE_ONLY_WORKS: order=2 position=10 working=9"
    assert amend(state, LIMITS, "first", [stake(6, S)], {})[1].approved
    reason = amend(state, LIMITS, "first", [stake(7, S)], {})[1].reason
    assert reason == "REDUCE_ONLY_WORKS: order=7 position=10 working=4"


def test_entries_against_the_position_count_before_one_that_may_only_reduce() -> None:
    state, _ = reserve(held(10), LIMITS, "entry", [stake(6, S)])
    assert denial(state, stake(5, S)) == "REDUCE_ONLY: order=5 position=10 working=6"
    assert denial(state, stake(4, S)) == ""


def test_in_a_halt_and_for_what_is_held_no_entry_is_waited_for() -> None:
    state, _ = reserve(held(10), LIMITS, "entry", [stake(6, S)])
    assert denial(state, holding=Holding(symbol="IBM", side=B, quantity=Decimal(10))) == ""
    assert denial(set_mode(state, "reducing", "news", "1"), stake(10, S)) == ""


def test_exits_of_the_other_side_do_not_work_to_reduce_a_position() -> None:
    state = bracket(held(10), 3, of=3, side=S)
    assert denial(state, stake(7, S)) == ""


def test_the_leaves_of_open_orders_that_may_only_reduce_count_against_the_position() -> None:
    state, _ = reserve(held(10), LIMITS, "reducer", [stake(6, S)], reduce_only=True)
    assert denial(state, stake(5, S)) == "REDUCE_ONLY: order=5 position=10 working=6"
    state = apply_fill(state, "reducer", True, "IBM", S, Decimal(4), Decimal(100))
    assert denial(state, stake(5, S)) == "REDUCE_ONLY: order=5 position=6 working=2"
    assert denial(forget(release(state, "reducer"), "reducer"), stake(5, S)) == ""


def test_an_order_of_the_positions_own_side_is_denied_and_so_is_any_without_a_position() -> None:
    assert denial(held(10), stake(5, B)) == "REDUCE_ONLY: order=5 position=10 side=buy"
    assert denial(ExposureState(), stake(5, B)) == "REDUCE_ONLY: order=5 position=0"


def test_the_rungs_of_a_ladder_are_judged_together_and_each_symbol_by_its_own_position() -> None:
    assert denial(held(10), stake(6, S), stake(6, S, price=110)) == "REDUCE_ONLY: order=12 position=10"
    assert denial(held(10), stake(6, S), stake(6, S, symbol="MSFT")) == "REDUCE_ONLY: order=6 position=0 symbol=MSFT"


def test_an_order_that_only_reduces_puts_nothing_at_stake_and_is_held_to_no_limit() -> None:
    state = held(2000)
    assert gross_exposure(state) == LIMITS.max_gross_notional
    state, decision = reserve(state, LIMITS, "reducer", [stake(2000, S)], reduce_only=True)
    assert decision.approved
    assert gross_exposure(state) == LIMITS.max_gross_notional


def test_an_order_that_takes_over_a_position_works_for_all_of_it_until_it_is_closed() -> None:
    holding = Holding(symbol="IBM", side=B, quantity=Decimal(10))
    assert denial(held(8), holding=holding) == "REDUCE_ONLY: order=10 position=8"
    state, decision = reserve(held(10), LIMITS, "flatten", [], protected=True, holding=holding)
    assert decision.approved
    assert denial(state, stake(1, S)) == "REDUCE_ONLY: order=1 position=10 working=10"
    state = apply_fill(state, "flatten", False, "IBM", S, Decimal(7), Decimal(100))
    assert denial(state, stake(1, S)) == "REDUCE_ONLY: order=1 position=3 working=3"
    state = apply_bust(state, "flatten", "IBM", S, Decimal(7), Decimal(100))
    assert working_to_reduce(state, "IBM") == 10


# Halts


def test_a_request_that_is_repeated_after_a_later_one_changes_nothing() -> None:
    halted = set_mode(ExposureState(), "reducing", "news", "1")
    open_again = set_mode(halted, "open", "", "2")
    assert set_mode(open_again, "reducing", "news", "1") == open_again


def test_a_request_that_comes_after_one_its_asker_had_not_seen_changes_nothing() -> None:
    halted = set_mode(ExposureState(), "reducing", "news", "1", after="")
    resumed = set_mode(halted, "open", "", "3", after="1")
    halted_again = set_mode(resumed, "reducing", "more news", "4", after="3")
    assert set_mode(halted_again, "open", "", "2", after="1") == halted_again
    assert set_mode(resumed, "reducing", "", "2", flatten=True, after="1") == resumed
    assert set_mode(resumed, "reducing", "", "2", flatten=True, after="") == resumed


def test_a_resumption_that_comes_after_the_halt_was_asked_for_once_more_changes_nothing() -> None:
    halted = set_mode(ExposureState(), "reducing", "news", "1", after="")
    confirmed = set_mode(halted, "reducing", "news", "3", after="1")
    assert set_mode(confirmed, "open", "", "2", after="1") == confirmed


def test_a_request_of_before_says_nothing_of_what_its_asker_had_seen_and_is_carried_out() -> None:
    halted = set_mode(ExposureState(), "reducing", "news", "1", after="")
    assert set_mode(halted, "open", "", "2").account.mode == "open"


@given(st.lists(st.tuples(st.sampled_from(["open", "reducing"]), st.booleans(), st.integers(0, 3)), max_size=12))
def test_what_is_carried_out_was_asked_for_by_one_who_had_seen_all_before_it(
    arrivals: list[tuple[Mode, bool, int]],
) -> None:
    state, seen = ExposureState(), [""]
    for number, (mode, flatten, behind) in enumerate(arrivals):
        after = seen[max(0, len(seen) - 1 - behind)]
        was, state = state, set_mode(state, mode, "", str(number), flatten=flatten, after=after)
        if after == seen[-1]:
            assert (state.account.mode, state.account.last_request) == (mode, str(number))
            assert set_mode(state, mode, "", str(number), flatten=flatten, after=after) == state, "a repeat"
            seen.append(str(number))
        else:
            assert state == was


def test_a_halt_that_is_on_stays_the_one_it_is() -> None:
    state = set_mode(ExposureState(), "reducing", "news", "1")
    state = set_mode(state, "reducing", "other news", "2")
    account = state.account
    assert (account.mode, account.reason, account.halts, account.requests) == ("reducing", "news", 1, ("1", "2"))
    account = set_mode(set_mode(state, "open", "", "3"), "reducing", "again", "4").account
    assert (account.mode, account.reason, account.halts) == ("reducing", "again", 2)


def test_a_halt_that_is_to_close_what_is_held_stays_so_until_it_is_over() -> None:
    state = set_mode(ExposureState(), "reducing", "news", "1")
    assert not state.account.flatten
    state = set_mode(set_mode(state, "reducing", "", "2", flatten=True), "reducing", "", "3")
    assert state.account.flatten
    assert not set_mode(state, "open", "", "4").account.flatten
    assert set_mode(state, "open", "", "4").account.halts == 1


HELD = Holding(symbol="IBM", side=B, quantity=Decimal(10))


@pytest.mark.parametrize(
    ("order_id", "modes", "reason"),
    [
        ("halt-1-IBM", ["reducing"], ""),
        ("halt-1_2-IBM", ["reducing", "reducing"], ""),
        ("halt-2-IBM", ["reducing", "open", "reducing"], ""),
        ("halt-1-IBM", ["reducing", "open"], "HALT_OVER: halt=1 mode=open number=1"),
        ("halt-1_2-IBM", ["reducing", "open"], "HALT_OVER: halt=1 mode=open number=1"),
        ("halt-1-IBM", ["reducing", "open", "reducing"], "HALT_OVER: halt=1 mode=reducing number=2"),
        ("other", ["reducing", "open"], ""),
        ("other", ["reducing", "open", "reducing"], ""),
    ],
)
def test_an_order_that_closes_in_a_halt_is_approved_while_that_halt_is_on(
    order_id: str, modes: list[Mode], reason: str
) -> None:
    state = held(10)
    for number, mode in enumerate(modes):
        state = set_mode(state, mode, "", str(number), flatten=mode == "reducing")
    after, decision = reserve(state, LIMITS, order_id, [], protected=True, holding=HELD)
    assert (decision.approved, decision.reason) == (reason == "", reason)
    assert (after == state) is not decision.approved


def test_an_order_that_was_approved_to_close_in_a_halt_keeps_its_reservation_when_the_halt_is_over() -> None:
    state = set_mode(held(10), "reducing", "", "1", flatten=True)
    state, _ = reserve(state, LIMITS, "halt-1-IBM", [], protected=True, holding=HELD)
    state = set_mode(state, "open", "", "2")
    again, decision = reserve(state, LIMITS, "halt-1-IBM", [], protected=True, holding=HELD)
    assert decision.approved
    assert again == state


def test_what_no_open_order_protects_or_closes_is_unprotected() -> None:
    state = bracket(held(4), 6)
    assert unprotected(state) == [Holding(symbol="IBM", side=B, quantity=Decimal(4))]
    assert unprotected(bracket(ExposureState(), 6)) == []
    assert unprotected(held(-3)) == [Holding(symbol="IBM", side=S, quantity=Decimal(3))]
    assert unprotected(release(state, "bracket")) == unprotected(state)


def test_symbols_are_unsettled_while_an_order_without_exits_is_open_in_them() -> None:
    state, _ = reserve(held(4), LIMITS, "spread", [stake(1), stake(1, S, symbol="MSFT")])
    assert unsettled(state) == {"IBM", "MSFT"}
    assert unsettled(forget(state, "spread")) == set()
    assert unsettled(bracket(held(4), 6)) == set()


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["plain 1", "plain 2", "reducer 1", "reducer 2"]),
            st.sampled_from([B, S]),
            st.integers(1, 8),
        ),
        max_size=25,
    ),
    st.integers(-10, 10).filter(bool),
)
def test_orders_that_may_only_reduce_never_turn_a_position_whatever_fills(
    steps: list[tuple[str, Side, int]], position: int
) -> None:
    state = held(position)
    for order_id, side, quantity in steps:
        is_reducer = "reducer" in order_id
        if order_id not in state.reservations:
            state, _ = reserve(state, LIMITS, order_id, [stake(quantity, side)], reduce_only=is_reducer)
        else:
            entry = state.reservations[order_id].stakes[0]
            filled_quantity = min(entry.quantity, Decimal(quantity))
            state = apply_fill(state, order_id, True, "IBM", entry.side, filled_quantity, Decimal(100))
            if is_reducer and filled_quantity:
                assert state.positions["IBM"].quantity * entry.side.sign <= 0
            if filled_quantity == entry.quantity:
                state = forget(state, order_id)
        assert msgspec.json.decode(msgspec.json.encode(state), type=ExposureState) == state


def test_an_amendment_is_judged_with_all_that_is_at_stake_besides() -> None:
    state, _ = reserved(ExposureState(), "first", 600)
    state, _ = reserved(state, "second", 500)
    after, decision = amend(state, LIMITS, "second", [stake(950)], {})
    assert decision.reason == "MAX_SYMBOL_NOTIONAL: exposure=60000 order=95000 limit=150000"
    assert after == state
    after, decision = amend(state, LIMITS, "second", [stake(900)], {})
    assert decision.approved
    assert gross_exposure(after) == 150_000


def test_what_an_order_has_filled_counts_against_its_own_limit_when_it_is_amended() -> None:
    state, _ = reserved(ExposureState(), "first", 600)
    state = filled(state, "first", 400)
    after, decision = amend(state, LIMITS, "first", [stake(1100)], {("IBM", B): Decimal(400)})
    assert decision.reason == "MAX_NOTIONAL: order=110000 limit=100000"
    after, decision = amend(state, LIMITS, "first", [stake(1000)], {("IBM", B): Decimal(400)})
    assert decision.approved
    assert after.reservations["first"].stakes == [stake(600)]
    assert amend(after, LIMITS, "first", [stake(1000)], {("IBM", B): Decimal(400)}) == (after, decision), "asked again"


def test_an_amendment_that_makes_an_order_smaller_is_approved_whatever_is_at_stake() -> None:
    state, _ = reserved(ExposureState(), "first", 600)
    small = msgspec.structs.replace(LIMITS, max_order_notional=Decimal(1), max_gross_notional=Decimal(1))
    after, decision = amend(block(state, "IBM", "why"), small, "first", [stake(500)], {})
    assert decision.approved
    assert gross_exposure(after) == 60_000, "the venue has not agreed yet"
    assert amend(block(state, "IBM", "why"), LIMITS, "first", [stake(601)], {})[1].reason.startswith("SYMBOL_")


def test_an_order_that_was_amended_counts_as_the_larger_of_what_it_was_and_is_to_be_until_it_ends() -> None:
    state, _ = reserved(ExposureState(), "first", 600)
    for quantity, price in ((500, 100), (600, 90)):
        state, decision = amend(state, LIMITS, "first", [stake(quantity, price=price)], {})
        assert decision.approved
        assert state.reservations["first"].stakes == [stake(600)]
    state, decision = amend(state, LIMITS, "first", [stake(700, price=90)], {})
    assert decision.approved
    assert state.reservations["first"].stakes == [stake(700)], "700 at 90, or before that 600 at 100"
    state = filled(state, "first", 600)
    assert gross_exposure(state) == 70_000
    assert gross_exposure(release(state, "first")) == 60_000


def test_an_order_that_reduces_works_for_all_it_was_until_it_ends_also_when_it_is_amended_to_less() -> None:
    state, _ = reserve(held(10), LIMITS, "reducer", [stake(6, S)], reduce_only=True)
    state, decision = amend(state, LIMITS, "reducer", [stake(2, S)], {})
    assert decision.approved
    assert denial(state, stake(5, S)) == "REDUCE_ONLY: order=5 position=10 working=6"


def test_an_order_that_may_only_reduce_is_not_amended_beyond_the_position() -> None:
    state = filled(reserved(ExposureState(), "first", 10)[0], "first", 10)
    state, decision = reserve(forget(state, "first"), LIMITS, "second", [stake(6, S)], reduce_only=True)
    assert decision.approved
    assert amend(state, LIMITS, "second", [stake(11, S)], {})[1].reason == "REDUCE_ONLY: order=11 position=10"
    assert amend(state, LIMITS, "second", [stake(10, S)], {})[1].approved


def test_nothing_is_made_larger_while_the_account_is_reducing() -> None:
    state, _ = reserved(ExposureState(), "first", 10)
    state = set_mode(state, "reducing", "news", "r1")
    assert amend(state, LIMITS, "first", [stake(11)], {})[1].reason == "REDUCE_ONLY: order=11 position=0"
