"""The session's protocol in every order in which things can happen; and that it needs each of its rules."""

import pytest

from tests.protocol.model import SCENARIOS, Scenario
from tests.protocol.rules import Rule
from tests.protocol.search import search, without


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_an_order_takes_effect_at_most_once_is_never_forgotten_and_never_works_after_not_sent(
    scenario: Scenario,
) -> None:
    result = search(scenario)
    assert result.problem == "", result.steps
    assert result.states > 5_000


@pytest.mark.parametrize("rule", Rule, ids=lambda rule: rule.name)
def test_without_any_one_of_its_rules_the_protocol_fails(rule: Rule) -> None:
    result = without(rule)
    assert result.problem, f"{rule.name} is not needed in {result.states} states"
    assert result.steps
