"""The golden histories are what today's code does; whether yesterday's fit it, the replays of the files say."""

import msgspec

from replay.history import read
from tests.replay.goldens import FOLDER, recorded

_AGAIN = "run 'make histories' and review the difference"


async def test_the_golden_histories_are_those_that_todays_code_records() -> None:
    found = await recorded()
    kept = {path.stem: read(path) for path in FOLDER.glob("*.json")}
    assert sorted(kept) == sorted(found), _AGAIN
    for name, history in found.items():
        fresh, golden = (msgspec.json.format(msgspec.json.encode(each)).decode() for each in (history, kept[name]))
        assert fresh == golden, f"{name}: {_AGAIN}"


def test_every_orchestrator_has_a_golden_history() -> None:
    recorded_names = {read(path).orchestrator for path in FOLDER.glob("*.json")}
    assert recorded_names == {"order", "backoff", "signal_pipeline", "fix_session"}
