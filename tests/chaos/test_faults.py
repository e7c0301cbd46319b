"""The program of faults."""

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.faults import ALL_HOSTS, HOLDER, HOSTS, LEASE_SECONDS, Kind, program

_TARGETS = {*HOSTS, HOLDER, ALL_HOSTS, "venue", "fix-proxy", "storage-proxy", "azurite"}


@given(st.integers(0, 2**32))
def test_a_seed_gives_the_same_program_again(seed: int) -> None:
    assert program(seed, 50) == program(seed, 50)


def test_another_seed_gives_another_program() -> None:
    assert program(1, 50) != program(2, 50)


@given(st.integers(0, 2**32))
def test_every_kind_is_among_200_faults_and_all_but_the_storage_proxy_are_killed_and_stopped(seed: int) -> None:
    faults = program(seed, 200)
    assert len(faults) == 200
    assert {fault.kind for fault in faults} == set(typing.get_args(Kind))
    for kind in ("kill", "stop"):
        hit = {fault.target for fault in faults if fault.kind == kind}
        assert hit == {HOLDER, "host-a", "host-b", ALL_HOSTS, "venue", "fix-proxy", "azurite"}


@given(st.integers(0, 2**32))
def test_faults_come_in_the_order_of_their_time_and_200_of_them_within_five_minutes(seed: int) -> None:
    faults = program(seed, 200)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert faults[-1].at + faults[-1].duration < 300
    assert {fault.target for fault in faults} <= _TARGETS


@pytest.mark.parametrize("seed", range(5))
def test_what_is_late_arrives_before_the_next_logon_and_after_it(seed: int) -> None:
    late = [fault.parameters["release"] for fault in program(seed, 200) if fault.kind == "late"]
    assert set(late) == {"before_logon", "at_end"}


@pytest.mark.parametrize("seed", range(5))
def test_the_holder_is_stopped_for_shorter_and_for_longer_than_the_lease(seed: int) -> None:
    stops = [fault.duration for fault in program(seed, 200) if (fault.kind, fault.target) == ("stop", HOLDER)]
    assert min(stops) < LEASE_SECONDS < max(stops)


def test_a_longer_program_begins_as_a_shorter_one() -> None:
    assert program(7, 200)[:30] == program(7, 30)
