"""Every kind of order against a venue that does almost anything: what it promises holds, whatever comes when."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.plays import PLAYS, play

NUMBERS = st.lists(st.integers(0, 10**6), max_size=60)


@pytest.mark.parametrize("kind", PLAYS)
def test_whatever_the_venue_does_the_order_keeps_its_promises(kind: str) -> None:
    @settings(max_examples=300, deadline=None)
    @given(numbers=NUMBERS)
    def holds(numbers: list[int]) -> None:
        play(kind, numbers)

    holds()
