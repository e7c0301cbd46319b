"""Breadth-first search through all that a model can do."""

import gc
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from tests.protocol.model import (
    FORGETFUL,
    HANDOVER,
    LATE,
    MUTE,
    REPLACE,
    RESET,
    RETURNS,
    SCENARIOS,
    WITHDRAWN,
    Label,
    Model,
    Scenario,
    World,
    is_good_end,
    start,
    violation,
)
from tests.protocol.rules import ALL, Rule

_SHOWN_BY = {
    Rule.TAKE_ONLY_UNCHANGED: RESET,
    Rule.STOP_BEFORE_EXPIRY: RESET,
    Rule.ONLY_PENDING_DIES: WITHDRAWN,
    Rule.CLAIM_BEFORE_SEND: WITHDRAWN,
    Rule.INSERT_ONCE: WITHDRAWN,
    Rule.JOURNAL_IS_ASKED_FIRST: FORGETFUL,
    Rule.ASK_BEFORE_RESEND: LATE,
    Rule.FRESH_ANSWERS: LATE,
    Rule.ONLY_UNSENT_GIVEN_BACK: HANDOVER,
    Rule.FENCED_SOCKET: RESET,
    Rule.GIVE_UP_BY_LEASE: LATE,
    Rule.LOGON_AT_BLOCK_END: RETURNS,
    Rule.ONLY_SENDER_RESENDS: MUTE,
    Rule.WAKE_BEFORE_ACKNOWLEDGED: LATE,
    Rule.REPEATED_ANSWER_WAKES: MUTE,
    Rule.VENUE_NEW_LOGON_ENDS_OLD: LATE,
}
"""Where the rule is seen to be needed; all others with a replace, the smallest."""


class Result(NamedTuple):
    """`problem` is empty where nothing is wrong; else `steps` is a shortest way to it."""

    scenario: Scenario
    states: int
    problem: str = ""
    steps: tuple[Label, ...] = ()
    last: World | None = None


def search(scenario: Scenario, rules: frozenset[Rule] = ALL, *, exclusive: bool = True) -> Result:
    """All states that can be reached; and whether from each of them a good end can be.

    `exclusive`: two processes must not take themselves for the holder, even if nothing comes of it.
    """
    gc.disable()  # nothing here goes in circles, and looking for it takes a third of the time
    try:
        return _search(scenario, rules, exclusive)
    finally:
        gc.enable()


def _search(scenario: Scenario, rules: frozenset[Rule], exclusive: bool) -> Result:
    model = Model(scenario, rules)
    first = start(scenario)
    numbers = {first: 0}
    worlds = [first]
    came_from: list[tuple[int, Label] | None] = [None]
    before: list[list[int]] = [[]]
    good: list[int] = []
    at = 0
    while at < len(worlds):
        world = worlds[at]
        is_end = True
        for is_fault, steps in ((False, model.steps(world)), (True, model.faults(world))):
            for label, after in steps:
                is_end = is_end and is_fault
                number = numbers.get(after)
                if number is None:
                    number = numbers[after] = len(worlds)
                    worlds.append(after)
                    came_from.append((at, label))
                    before.append([])
                    problem = violation(after, exclusive=exclusive)
                    if problem:
                        return Result(scenario, len(worlds), problem, _way(came_from, number), after)
                if not is_fault:
                    before[number].append(at)
        if is_end:
            if not is_good_end(world):
                problem = "it is forgotten: nothing more happens"
                return Result(scenario, len(worlds), problem, _way(came_from, at), world)
            good.append(at)
        at += 1
    stuck = _stuck(before, good)
    if stuck is not None:
        problem = "it is forgotten: what goes on leads nowhere"
        return Result(scenario, len(worlds), problem, _way(came_from, stuck), worlds[stuck])
    return Result(scenario, len(worlds))


def _stuck(before: list[list[int]], good: list[int]) -> int | None:
    """The first state from which no good end can be reached."""
    reaches = bytearray(len(before))
    waiting = deque(good)
    for number in good:
        reaches[number] = 1
    while waiting:
        for number in before[waiting.popleft()]:
            if not reaches[number]:
                reaches[number] = 1
                waiting.append(number)
    missing = reaches.find(0)
    return None if missing < 0 else missing


def _way(came_from: list[tuple[int, Label] | None], at: int) -> tuple[Label, ...]:
    labels: list[Label] = []
    while (origin := came_from[at]) is not None:
        at, label = origin
        labels.append(label)
    return tuple(reversed(labels))


def search_all(rules: frozenset[Rule] = ALL) -> Iterator[Result]:
    """Each scenario, as long as nothing is wrong."""
    for scenario in SCENARIOS:
        yield search(scenario, rules)


def without(rule: Rule) -> Result:
    """A counterexample to the protocol without this rule, in the scenario that has one.

    That two processes take themselves for the holder does not count: a rule is to be shown by what becomes of the order
    or of the session.
    """
    return search(_SHOWN_BY.get(rule, REPLACE), ALL - {rule}, exclusive=False)
