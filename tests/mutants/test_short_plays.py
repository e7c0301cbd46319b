"""A few of the plays of the property tests, always the same ones: for mutants, of which there are thousands."""

import random

import pytest

from tests.trading.plays import PLAYS, play

PLAYS_OF_A_KIND = 12


@pytest.mark.parametrize("kind", PLAYS)
def test_a_few_plays_of_every_kind_keep_their_promises(kind: str) -> None:
    numbers = random.Random(kind)
    for _ in range(PLAYS_OF_A_KIND):
        play(kind, [numbers.randrange(10**6) for _ in range(60)])
