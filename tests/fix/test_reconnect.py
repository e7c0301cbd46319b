from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.reconnect import Attempt, Host, Pauses, Reconnect

A, B, C = Host("a", 1), Host("b", 2), Host("c", 3)
REFUSED = None
SHORT, STABLE = 4.9, 5.0
"""How long a session was logged on, to either side of `Pauses.stable_after`."""


class NoChance(Random):
    """Takes nothing off the pauses."""

    def random(self) -> float:
        return 0.0


def attempts(reconnect: Reconnect, outcomes: Sequence[float | None]) -> list[Attempt]:
    """What is tried while attempts come to this: `REFUSED`, or the seconds that a session was logged on."""
    tried = []
    for outcome in outcomes:
        tried.append(reconnect.next())
        if outcome is None:
            reconnect.failed()
        else:
            reconnect.ended(outcome)
    return [*tried, reconnect.next()]


@pytest.mark.parametrize(
    ("hosts", "outcomes", "expected"),
    [
        pytest.param([A], [], [(A, 0)], id="the first attempt is at once"),
        pytest.param(
            [A], [REFUSED] * 4, [(A, 0), (A, 1), (A, 2), (A, 4), (A, 5)], id="one host: from the first refusal"
        ),
        pytest.param(
            [A, B, C],
            [REFUSED] * 7,
            [(A, 0), (B, 0), (C, 0), (A, 1), (B, 0), (C, 0), (A, 2), (B, 0)],
            id="every host once, then a pause that grows by the round",
        ),
        pytest.param([A], [STABLE, STABLE], [(A, 0), (A, 1), (A, 1)], id="after a stable session the pause is short"),
        pytest.param([A], [REFUSED] * 4 + [STABLE], [(A, 0), (A, 1), (A, 2), (A, 4), (A, 5), (A, 1)], id="short again"),
        pytest.param([A], [SHORT] * 4, [(A, 0), (A, 1), (A, 2), (A, 4), (A, 5)], id="Logon and Logout, over and over"),
        pytest.param(
            [A], [REFUSED, SHORT, REFUSED], [(A, 0), (A, 1), (A, 2), (A, 4)], id="a short session resets none"
        ),
        pytest.param(
            [A, B],
            [STABLE, REFUSED, REFUSED],
            [(A, 0), (A, 1), (B, 0), (A, 2)],
            id="a session begins a new round of the hosts",
        ),
        pytest.param(
            [A, B],
            [REFUSED, SHORT, REFUSED, SHORT],
            [(A, 0), (B, 0), (A, 1), (B, 0), (A, 2)],
            id="short sessions and refusals in turn",
        ),
    ],
)
def test_what_is_tried_and_after_what_pause(
    hosts: list[Host], outcomes: list[float | None], expected: list[tuple[Host, float]]
) -> None:
    reconnect = Reconnect(hosts, Pauses(first=1, longest=5), random=NoChance())
    assert attempts(reconnect, outcomes) == expected


def test_a_session_that_was_not_stable_is_a_failure_of_its_host() -> None:
    tried = attempts(Reconnect([A, B], Pauses(first=1), random=NoChance()), [SHORT, SHORT, SHORT])
    assert tried == [(A, 0), (B, 0), (A, 1), (B, 0)]


@pytest.mark.parametrize(("return_to_first", "expected"), [(True, A), (False, C)])
def test_after_a_session_comes_the_first_host_or_the_one_it_had(return_to_first: bool, expected: Host) -> None:
    reconnect = Reconnect([A, B, C], return_to_first=return_to_first)
    tried = attempts(reconnect, [REFUSED, REFUSED, STABLE])
    assert [attempt.host for attempt in tried] == [A, B, C, expected]


def test_a_round_that_begins_in_the_middle_goes_on_with_the_first_host() -> None:
    reconnect = Reconnect([A, B, C], Pauses(first=1), return_to_first=False, random=NoChance())
    tried = attempts(reconnect, [REFUSED, STABLE, REFUSED, REFUSED, REFUSED])
    assert tried == [(A, 0), (B, 0), (B, 1), (C, 0), (A, 0), (B, 2)]


def test_it_is_returned_to_the_first_host_where_nothing_is_said() -> None:
    assert attempts(Reconnect([A, B]), [REFUSED, STABLE])[-1].host == A


def test_chance_is_the_one_that_is_given() -> None:
    once, again = (attempts(Reconnect([A], random=Random(7)), [REFUSED] * 9) for _ in range(2))
    assert once == again
    assert once != attempts(Reconnect([A], random=Random(8)), [REFUSED] * 9)


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ([], "hosts is empty"),
        ([("", 1)], "hosts has '', 1: it must be a name"),
        ([A, ("b", 0)], "hosts has 'b', 0: .* from 1 to 65535"),
        ([("a", -1)], "hosts has 'a', -1"),
        ([("a", 65536)], "hosts has 'a', 65536"),
        ([("a", "9880")], "hosts has 'a', '9880'"),
        ([A, B, ("a", 1)], "hosts has 'a', 1 twice"),
    ],
)
def test_hosts_that_cannot_be_are_refused(hosts: list[tuple[str, int]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Reconnect(hosts)


def test_the_least_and_the_greatest_port_and_one_name_with_two_ports_are_taken() -> None:
    tried = attempts(Reconnect([("a", 1), ("a", 65535)]), [REFUSED])
    assert [attempt.host for attempt in tried] == [("a", 1), ("a", 65535)]


@pytest.mark.parametrize("name", ["first", "longest", "stable_after"])
@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_cannot_be_is_refused_by_name(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {seconds}: it must be more than 0 seconds, and finite"):
        Pauses(**{name: seconds})


def test_a_longest_pause_below_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match="longest is 1: it must be at least first, which is 2"):
        Pauses(first=2, longest=1)
    assert Pauses(first=2, longest=2).longest == 2


HOSTS = st.integers(1, 5).map(lambda count: [Host(f"host{number}", 9880) for number in range(count)])
PAUSES = st.tuples(st.floats(0.001, 10), st.floats(1, 100), st.floats(0.001, 60)).map(
    lambda drawn: Pauses(first=drawn[0], longest=drawn[0] * drawn[1], stable_after=drawn[2])
)
OUTCOMES = st.lists(st.none() | st.floats(0, 120), max_size=40)
RANDOMS = st.integers(0, 1000).map(Random)


@given(HOSTS, PAUSES, OUTCOMES, RANDOMS, st.booleans())
def test_a_host_is_never_tried_twice_without_a_pause(
    hosts: list[Host], pauses: Pauses, outcomes: list[float | None], random: Random, return_to_first: bool
) -> None:
    since_pause: set[Host] = set()
    for attempt in attempts(Reconnect(hosts, pauses, return_to_first=return_to_first, random=random), outcomes):
        if attempt.pause:
            since_pause.clear()
        assert attempt.host not in since_pause
        since_pause.add(attempt.host)


@given(HOSTS, PAUSES, OUTCOMES, RANDOMS, st.booleans())
def test_a_pause_is_between_three_quarters_of_the_first_and_the_longest(
    hosts: list[Host], pauses: Pauses, outcomes: list[float | None], random: Random, return_to_first: bool
) -> None:
    tried = attempts(Reconnect(hosts, pauses, return_to_first=return_to_first, random=random), outcomes)
    assert all(pauses.first * 0.75 <= pause <= pauses.longest for _host, pause in tried if pause)


@given(HOSTS, PAUSES, OUTCOMES, RANDOMS, st.booleans())
def test_while_none_works_every_host_is_tried_within_as_many_attempts_as_there_are(
    hosts: list[Host], pauses: Pauses, outcomes: list[float | None], random: Random, return_to_first: bool
) -> None:
    reconnect = Reconnect(hosts, pauses, return_to_first=return_to_first, random=random)
    attempts(reconnect, outcomes)
    tried = attempts(reconnect, [REFUSED] * (len(hosts) - 1))
    assert sorted(attempt.host for attempt in tried) == sorted(hosts)


@given(HOSTS, PAUSES, OUTCOMES, st.booleans())
def test_without_a_stable_session_the_pause_never_gets_shorter(
    hosts: list[Host], pauses: Pauses, outcomes: list[float | None], return_to_first: bool
) -> None:
    unstable = [outcome if outcome is None else min(outcome, pauses.stable_after / 2) for outcome in outcomes]
    reconnect = Reconnect(hosts, pauses, return_to_first=return_to_first, random=NoChance())
    waited = [pause for _host, pause in attempts(reconnect, unstable) if pause]
    assert waited == sorted(waited)


@given(HOSTS, PAUSES, OUTCOMES, st.booleans())
def test_after_a_stable_session_the_pause_is_the_first_again(
    hosts: list[Host], pauses: Pauses, outcomes: list[float | None], return_to_first: bool
) -> None:
    reconnect = Reconnect(hosts, pauses, return_to_first=return_to_first, random=NoChance())
    assert attempts(reconnect, [*outcomes, pauses.stable_after])[-1].pause == pauses.first
