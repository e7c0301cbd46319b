"""The throttle: exact over any second, whenever it is asked."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle import Throttle

GAPS = st.lists(st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 3)), max_size=120)


@given(limit=st.integers(1, 7), gaps=GAPS)
def test_never_more_leave_than_allowed_in_any_window_of_one_second(limit: int, gaps: list[float]) -> None:
    throttle, now, left = Throttle(limit, 998.0), 1000.0, list[float]()
    for gap in gaps:
        now += gap
        if throttle.wait(now) == 0:
            throttle.note(now)
            left.append(now)
    assert all(later - earlier >= 1 for earlier, later in zip(left, left[limit:], strict=False))


@given(limit=st.integers(1, 7), gaps=GAPS)
def test_who_waits_as_long_as_told_may_leave_and_nobody_waits_without_need(limit: int, gaps: list[float]) -> None:
    throttle, now, left = Throttle(limit, 998.0), 1000.0, list[float]()
    for gap in gaps:
        now += gap
        wait = throttle.wait(now)
        assert (wait == 0) == (sum(now - one < 1 for one in left) < limit)
        now += wait + (1e-6 if wait else 0)
        assert throttle.wait(now) == 0
        throttle.note(now)
        left.append(now)


def test_what_could_not_wait_is_made_up_for() -> None:
    throttle = Throttle(2, 0.0)
    for _ in range(5):
        throttle.note(10.0)
    assert throttle.wait(10.5) == 0.5
    assert throttle.wait(11.0) == 0


def test_without_a_limit_nothing_waits() -> None:
    throttle = Throttle(0, 0.0)
    for _ in range(1000):
        throttle.note(0.0)
    assert throttle.wait(0.0) == 0


def test_a_successor_begins_as_if_its_predecessor_had_used_up_the_limit() -> None:
    throttle = Throttle(3, 10.0)
    assert throttle.wait(10.25) == 0.75
    for _ in range(3):
        assert throttle.wait(11.0) == 0
        throttle.note(11.0)
    assert throttle.wait(11.0) == 1
