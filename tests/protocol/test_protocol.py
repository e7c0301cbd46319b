"""The session's protocol in every order in which things can happen; and that it needs each of its rules."""

import pytest

from tests.protocol.model import SCENARIOS, Scenario
from tests.protocol.rules import Rule
from tests.protocol.search import search, without

TWICE = "it took effect twice"
WORKS_AFTER_NOT_SENT = "it works, and the caller was told that it was not sent"
WORKS_AFTER_REFUSED = "it works, and the journal says that it will not"
TWO_ROWS = "a report was journalled twice"
FORGOTTEN = "it is forgotten: nothing more happens"
SPOILT = "after a reset, the numbers of before it have ended the session"

WITHOUT = {
    Rule.TAKE_ONLY_UNCHANGED: SPOILT,
    Rule.FENCED_WRITES: FORGOTTEN,
    Rule.STOP_BEFORE_EXPIRY: SPOILT,
    Rule.RECOVER_CLAIMS: FORGOTTEN,
    Rule.INSERT_ONCE: WORKS_AFTER_NOT_SENT,
    Rule.ONLY_PENDING_DIES: WORKS_AFTER_NOT_SENT,
    Rule.CLAIM_BEFORE_SEND: WORKS_AFTER_NOT_SENT,
    Rule.JOURNAL_IS_ASKED_FIRST: TWICE,
    Rule.ASK_BEFORE_RESEND: WORKS_AFTER_REFUSED,
    Rule.FRESH_ANSWERS: WORKS_AFTER_REFUSED,
    Rule.SAME_CLORDID: TWICE,
    Rule.ONLY_UNSENT_GIVEN_BACK: WORKS_AFTER_NOT_SENT,
    Rule.FENCED_SOCKET: SPOILT,
    Rule.GIVE_UP_BY_LEASE: WORKS_AFTER_REFUSED,
    Rule.LOGON_AT_BLOCK_END: WORKS_AFTER_REFUSED,
    Rule.ONLY_SENDER_RESENDS: FORGOTTEN,
    Rule.ONE_ROW_PER_REPORT: TWO_ROWS,
    Rule.INSERT_UNDER_NEXT_NUMBER: TWO_ROWS,
    Rule.JOURNAL_BEFORE_CURSOR: FORGOTTEN,
    Rule.WAKE_BEFORE_CURSOR: FORGOTTEN,
    Rule.WAKE_BEFORE_ACKNOWLEDGED: FORGOTTEN,
    Rule.REPEATED_ANSWER_WAKES: FORGOTTEN,
    Rule.VENUE_NEW_LOGON_ENDS_OLD: WORKS_AFTER_REFUSED,
    Rule.VENUE_REFUSES_REPEATS: TWICE,
    Rule.VENUE_RESENDS: FORGOTTEN,
}
"""What goes wrong first without each rule: another problem may be a slip of the model."""


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
    assert result.problem == WITHOUT[rule], f"{rule.name}: {result.problem or 'nothing'} in {result.states} states"
    assert result.steps
