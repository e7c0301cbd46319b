"""Today's orchestrators do what the golden histories (tests/histories) say that they did."""

from replay.plugin import RecordedHistory


def test_todays_code_does_what_is_recorded(recorded_history: RecordedHistory) -> None:
    recorded_history.replay()
