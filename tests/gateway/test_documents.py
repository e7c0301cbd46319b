"""What docs/gateway.md says, held to the tests."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")


def test_every_test_that_the_manual_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", MANUAL)
    assert len(named) > 20
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert missing == []


def test_every_promise_names_what_shows_it() -> None:
    _, _, promises = MANUAL.partition("\n| promise | rests on | shown by |\n")
    rows = [row for row in promises.partition("\n\n")[0].splitlines()[1:] if row]
    assert len(rows) > 8
    assert [row for row in rows if "::test_" not in row.split("|")[3]] == []
