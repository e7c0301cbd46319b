"""What docs/fix.md says, held to the tests."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "docs" / "fix.md").read_text(encoding="utf-8")
TESTS = {
    name
    for path in (ROOT / "tests" / "fix").glob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
}
SCENARIOS = set(re.findall(r"^def (test_\w+)", (ROOT / "tests/fix/test_scenarios.py").read_text(), re.MULTILINE))


def test_every_rule_names_tests_that_are_there() -> None:
    rows = [row for row in RULES.splitlines() if row.startswith("| ") and "`test_" in row]
    named = set(re.findall(r"`(test_\w+)`", RULES))
    assert len(rows) > 60
    assert named - TESTS == set()


def test_every_session_level_test_case_is_in_the_table() -> None:
    assert SCENARIOS - set(re.findall(r"`(test_\w+)`", RULES)) == set()


def test_the_examples_are_short() -> None:
    for name in ("initiator", "acceptor"):
        lines = (ROOT / "examples" / f"{name}.py").read_text().splitlines()
        code = [line for line in lines if line.strip() and not line.startswith(("import ", "from ", '"""'))]
        assert len(code) <= 35, f"examples/{name}.py has {len(code)} lines besides its imports"
