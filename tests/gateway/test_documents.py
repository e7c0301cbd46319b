"""What docs/gateway.md and docs/chaos.md say, held to the tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
}


def test_every_test_that_the_manual_names_is_where_it_says() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", MANUAL)
    assert len(named) > 100
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert missing == []


@pytest.mark.parametrize("document", ["chaos", "gateway"])
def test_every_test_that_is_named_is_there(document: str) -> None:
    text = (ROOT / "docs" / f"{document}.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?:`|::)(test_\w+)`", text)) - TESTS == set()


def test_every_promise_names_what_shows_it() -> None:
    tables = re.findall(r"^\| promise \|.*\n\|[-|]+\n((?:\|.*\n)+)", MANUAL, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 60
    unshown = [row for row in rows if "tests/" not in row.rstrip("| ").rpartition(" | ")[2]]
    assert [row for row in unshown if not row.rstrip("| ").endswith("the same")] == []


def test_every_setting_of_the_session_is_in_the_manual() -> None:
    settings = (ROOT / "storage" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'"((?:FIX|DROP_COPY|LEASE|OUTBOX|SEQUENCE|SLICE)_[A-Z_]+)"', settings))
    assert len(read) > 20
    assert read - set(re.findall(r"`([A-Z_]+)`", MANUAL)) == set()


def test_every_method_that_manual_and_protocol_name_is_where_they_say() -> None:
    methods: dict[str, set[str]] = {}
    for path in (path for package in ("gateway", "fix", "storage") for path in (ROOT / package).glob("*.py")):
        for body in re.split(r"^class ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name = re.match(r"\w+", body)
            assert name is not None
            methods.setdefault(name[0], set()).update(re.findall(r"^    (?:async )?def (\w+)\(", body, re.MULTILINE))
    protocol = [ROOT / "tests" / "protocol" / name for name in ("README.md", "model.py", "rules.py")]
    texts = [MANUAL, *(path.read_text(encoding="utf-8") for path in protocol)]
    named = {pair for text in texts for pair in re.findall(r"[`\"]([A-Z]\w+)\.(_?[a-z]\w*)[`:]", text)}
    assert len(named) > 20
    assert {(owner, method) for owner, method in named if method not in methods.get(owner, set())} == set()
