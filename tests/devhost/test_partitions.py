"""How partitions are shared out: a pure function, whatever the hosts and whoever has what."""

from hypothesis import given
from hypothesis import strategies as st

from devhost.partitions import balance

_hosts = st.lists(st.sampled_from("abcdef"), min_size=1, unique=True).map(sorted)


@st.composite
def _situations(draw: st.DrawFn) -> tuple[list[str | None], list[str]]:
    hosts = draw(_hosts)
    owners = draw(st.lists(st.sampled_from([None, *hosts]), min_size=1, max_size=16))
    return owners, hosts


def _round(owners: list[str | None], hosts: list[str]) -> list[str | None]:
    """Each host in turn takes and gives what it should."""
    after = list(owners)
    for me in hosts:
        plan = balance(after, hosts, me)
        for number in plan.take:
            assert after[number] is None
            after[number] = me
        for number in plan.give:
            assert after[number] == me
            after[number] = None
    return after


@given(_situations())
def test_in_three_rounds_every_partition_has_an_owner_and_shares_differ_by_one_at_most(
    situation: tuple[list[str | None], list[str]],
) -> None:
    owners, hosts = situation
    for _ in range(3):
        owners = _round(owners, hosts)
    assert None not in owners
    shares = [owners.count(host) for host in hosts]
    assert max(shares) - min(shares) <= 1


@given(_situations())
def test_what_is_balanced_does_not_move(situation: tuple[list[str | None], list[str]]) -> None:
    owners, hosts = situation
    for _ in range(3):
        owners = _round(owners, hosts)
    assert _round(owners, hosts) == owners


@given(_situations())
def test_no_host_takes_and_gives_at_once(situation: tuple[list[str | None], list[str]]) -> None:
    owners, hosts = situation
    for me in hosts:
        plan = balance(owners, hosts, me)
        assert not (plan.take and plan.give)


def test_a_host_alone_takes_all_and_a_second_one_gets_half() -> None:
    assert balance([None] * 4, ["a"], "a").take == (0, 1, 2, 3)
    assert balance(["a"] * 4, ["a", "b"], "a").give == (2, 3)
    assert balance(["a"] * 4, ["a", "b"], "b").take == ()
    assert balance(["a", "a", None, None], ["a", "b"], "b").take == (2, 3)
