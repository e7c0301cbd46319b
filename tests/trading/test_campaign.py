"""The campaign of lifecycles tells what broke a promise, in few events, and how to have it again."""

import pytest

from tests.trading import promises
from tests.trading.campaign import main, numbers_of, shrunk


def test_a_campaign_that_breaks_no_promise_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", "3", "--kind", "single", "--processes", "1"]) == 0
    assert "no promise was broken" in capsys.readouterr().out


def test_a_broken_promise_is_told_as_a_short_story(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check_finish(game: object) -> None:
        raise AssertionError("nothing ever ends")

    monkeypatch.setattr(promises, "check_finish", check_finish)
    assert main(["--runs", "3", "--kind", "single", "--processes", "1"]) == 1
    story = capsys.readouterr().out
    assert "SubmitOrder cl_ord_id=single-1.e1" in story
    assert "Broken: AssertionError: nothing ever ends" in story
    again = story.splitlines()[-1]
    assert again.startswith("again: python -m tests.trading.campaign --kind single --numbers ")
    assert main(again.removeprefix("again: python -m tests.trading.campaign ").split()) == 1


def test_the_same_seed_gives_the_same_runs() -> None:
    assert numbers_of("twap", 1, 7) == numbers_of("twap", 1, 7) != numbers_of("twap", 2, 7)


def test_a_counterexample_is_made_short() -> None:
    def breaks(numbers: object) -> bool:
        assert isinstance(numbers, list)
        return any(number % 13 == 5 for number in numbers[1:])

    assert shrunk([900, 1, 2, 70000, 5 + 13 * 999, 3, 4], breaks) in ([0, 5], [900 % 13, 5])


def test_runs_below_1_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--runs", "0"])
    assert "--runs: 0: must be at least 1" in capsys.readouterr().err
