"""That plays are really told again with their reports swapped, and that another end is noticed."""

import pytest

from tests.trading.desk import ENTRY, STOP, TAKE_PROFIT, Desk, bracket_spec
from tests.trading.swapping import swap_each
from trading.events import CancelRequested


def test_the_fills_of_two_exits_change_places() -> None:
    desk = Desk()
    desk.begin_long_10()
    before = len(desk.moves)
    desk.say(desk.filled(TAKE_PROFIT, 3))
    desk.say(desk.filled(STOP, 10))
    assert swap_each(desk, since=before) == 1


def test_what_answers_the_report_before_it_stays_behind_it() -> None:
    desk = Desk()
    desk.begin_long_10()
    before = len(desk.moves)
    desk.say(desk.filled(STOP, 10))
    desk.say(desk.canceled(TAKE_PROFIT))
    assert swap_each(desk, since=before) == 0


def test_reports_between_which_we_have_done_something_keep_their_places() -> None:
    desk = Desk()
    desk.begin(bracket_spec())
    desk.say(desk.accepted(ENTRY))
    desk.say(desk.filled(ENTRY, 4))
    before = len(desk.moves)
    desk.say(desk.accepted(STOP))
    desk.do(CancelRequested(mode="keep_exits"))
    desk.say(desk.filled(TAKE_PROFIT, 4))
    assert swap_each(desk, since=before) == 0


def test_another_end_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.begin_long_10()
    desk.say(desk.filled(TAKE_PROFIT, 3))
    desk.say(desk.filled(STOP, 10))
    monkeypatch.setattr(Desk, "outcome", property(lambda desk: desk.log[4]))
    with pytest.raises(AssertionError, match="swapped"):
        swap_each(desk)
