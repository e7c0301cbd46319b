"""The invariants of brackets and single orders against a venue that does almost anything, in any order."""

from decimal import Decimal

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.trading.desk import bracket_spec, single_spec
from tests.trading.venue_model import Game
from trading.identity import Role
from trading.lifecycles import is_finished
from trading.orders import Side
from trading.specs import BracketSpec

CHOICES = st.lists(st.integers(0, 10**6), max_size=60)
SPECS = st.sampled_from(
    [bracket_spec(), bracket_spec(side=Side.SELL, stop_price=Decimal(3050), take_profit_price=Decimal(2950))]
)


@settings(max_examples=400, deadline=None)
@given(spec=SPECS, choices=CHOICES, mischief=st.integers(0, 6))
def test_whatever_the_venue_does_the_position_is_protected_and_ends_flat(
    spec: BracketSpec, choices: list[int], mischief: int
) -> None:
    game = Game(spec, mischief)
    try:
        game.play(choices)
        game.calm_down()
        game.check_quiet()
        game.fire_timers()
        game.check_quiet()
        for role in (Role.CLOSE, Role.STOP):
            game.trade_out(role)
        if not is_finished(game.state):
            # Only what was refused too often waits for a human.
            game.ask_to_flatten()
            game.trade_out(Role.CLOSE)
            game.fire_timers()
        assert is_finished(game.state)
        assert game.position == 0
        assert not any(order.is_open for order in game.orders)
        closes = sum(order.role is Role.CLOSE for order in game.orders)
        assert mischief or closes <= 1, "what two exits traded too much is closed with one order"
    finally:
        note("\n".join(game.story))


@settings(max_examples=100, deadline=None)
@given(choices=CHOICES, mischief=st.integers(0, 6))
def test_whatever_the_venue_does_a_single_order_ends_with_all_its_trades_counted(
    choices: list[int], mischief: int
) -> None:
    game = Game(single_spec(), mischief)
    try:
        game.play(choices)
        game.calm_down()
        game.fire_timers()
        game.trade_out(Role.ENTRY)
        assert is_finished(game.state)
        assert game.state.children.traded(Role.ENTRY) == game.position
        assert not any(order.is_open for order in game.orders)
    finally:
        note("\n".join(game.story))
