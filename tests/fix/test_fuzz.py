"""The campaign of `python -m tests.fuzz` in short, and that it finds what it is there to find."""

from collections.abc import Callable
from random import Random

import pytest

from fix.codec import Decoded, Decoder
from fix.config import VERSIONS
from fix.dictionary import shipped
from fix.message import Message
from fix.schedule import Schedule
from fix.session import Session
from fix.sqlite_store import SqliteStore
from tests.fuzz import campaign as fuzz
from tests.fuzz.__main__ import main


def run_all(frames: int = 8000, seed: int = 1) -> fuzz.Tally:
    tally = fuzz.Tally()
    for _ in fuzz.campaign(frames, seed, tally):
        pass
    return tally


def test_mutated_frames_break_nothing_and_each_kind_of_them_comes_to_something() -> None:
    tally = run_all()
    assert tally.mutated >= 8000
    assert tally.delivered > 1000
    assert tally.sent > 1000
    assert {kind for kind, _ in tally.outcomes} == set(fuzz.KINDS)
    assert {outcome for _, outcome in tally.outcomes} == set(fuzz.OUTCOMES)
    # Whose checksum or length is wrong is never taken.
    for kind in ("wrong checksum", "wrong length", "cut short"):
        assert {outcome for one, outcome in tally.outcomes if one == kind} <= {"dropped", "unread"}


def test_the_same_seed_gives_the_same_campaign() -> None:
    assert run_all(500, seed=7) == run_all(500, seed=7)
    assert run_all(500, seed=7) != run_all(500, seed=8)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_mutated_is_good_by_the_dictionary_before(version: str) -> None:
    header = [("49", "PEER"), ("56", "SELF"), ("34", "1"), ("52", "20131007-13:30:00")]
    bodies = fuzz.application_bodies(version)
    assert {msg_type for msg_type, _ in bodies} == {"D", "8", "F", "G", "9"}
    for msg_type, body in bodies:
        decoder = Decoder()
        decoder.feed(fuzz.frame(version, [("35", msg_type), *header, *body]))
        decoded = decoder.next()
        assert decoded is not None
        assert decoded.defect is None
        assert shipped(version).check(decoded.message) is None


@pytest.mark.parametrize("kind", [*fuzz.FIELD_MUTATIONS, *fuzz.BYTE_MUTATIONS])
def test_each_mutation_changes_frames_and_never_fails(kind: str) -> None:
    changed = 0
    for seed in range(200):
        random = Random(seed)
        header = [("35", "8"), ("49", "PEER"), ("56", "SELF"), ("34", "5"), ("52", "20131007-13:30:00")]
        fields = header + random.choice(fuzz.application_bodies("FIX.4.4"))[1]
        sound = fuzz.frame("FIX.4.4", fields)
        if kind in fuzz.FIELD_MUTATIONS:
            fuzz.FIELD_MUTATIONS[kind](random, fields)
            changed += fuzz.frame("FIX.4.4", fields) != sound
        else:
            data = bytearray(sound)
            fuzz.BYTE_MUTATIONS[kind](random, data)
            changed += data != sound
    assert changed > 100


def drops_the_check_of_numbers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Session, "_keep_early", Session._take)


def counts_one_too_many(patch: pytest.MonkeyPatch) -> None:
    take = Session._take

    def takes(self: Session, decoded: Decoded, number: int) -> None:
        take(self, decoded, number)
        self._next_inbound += 1

    patch.setattr(Session, "_take", takes)


def raises_now_and_then(patch: pytest.MonkeyPatch) -> None:
    def answers(self: Session, message: Message, number: int) -> None:
        raise ZeroDivisionError(number)

    patch.setattr(Session, "_answer_test_request", answers)


def forgets_to_say_a_reset(patch: pytest.MonkeyPatch) -> None:
    def resets(self: Session) -> None:
        self._next_outbound = self._next_inbound = 1

    patch.setattr(Session, "_reset_numbers", resets)


def takes_any_check_sum(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("fix.codec._TRAILERS", [b"\x01"] * 256)


def skips_a_number(patch: pytest.MonkeyPatch) -> None:
    def logs_out(self: Session, text: str = "") -> None:
        self._next_outbound += 1
        self._transmit("5", [])

    patch.setattr(Session, "_transmit_logout", logs_out)


def goes_on_with_yesterdays_numbers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Schedule, "same_window", lambda *_: True)


def sends_what_is_not_in_the_file(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SqliteStore, "commit", lambda _: None)


@pytest.mark.parametrize(
    ("breaks", "found"),
    [
        (drops_the_check_of_numbers, "nothing had it"),
        (counts_one_too_many, "nothing had it"),
        (raises_now_and_then, "ZeroDivisionError"),
        (forgets_to_say_a_reset, "nobody was told|was next"),
        (takes_any_check_sum, "a garbled frame was taken|it was no message that was sent"),
        (skips_a_number, "was next"),
        (goes_on_with_yesterdays_numbers, "numbers of the one before"),
        (sends_what_is_not_in_the_file, "and the file has"),
    ],
)
def test_a_session_that_is_broken_is_found_out(
    breaks: Callable[[pytest.MonkeyPatch], None], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    with pytest.raises(fuzz.BrokenRun, match=found) as broken:
        run_all()
    with pytest.raises(fuzz.BrokenRun, match=found):
        fuzz.play(broken.value.seed, broken.value.number, fuzz.Tally())


def test_the_command_shows_what_came_of_the_frames(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--frames", "200", "--seed", "3"]) == 0
    shown = capsys.readouterr().out
    for kind in fuzz.KINDS:
        assert kind in shown
    assert "nothing broken" in shown


def test_the_command_shows_a_failure_with_all_that_repeats_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raises_now_and_then(monkeypatch)
    assert main(["--frames", "2000", "--seed", "3"]) == 1
    shown = capsys.readouterr().out
    assert "ZeroDivisionError" in shown
    assert "|35=1|49=PEER|" in shown
    again = shown.splitlines()[-1].split("tests.fuzz ")[1].split()
    assert main(again) == 1
