"""docs/durable.md: each statement has its test, or says that it is a figure or the real host's."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SECTIONS = re.split(r"^## ", (ROOT / "docs" / "durable.md").read_text(), flags=re.MULTILINE)[1:]
_STATEMENTS = [
    pytest.param(line[2:], id=f"{section.split('.')[0]}-{number}")
    for section in _SECTIONS
    for number, line in enumerate(re.findall(r"^- .*$", section, flags=re.MULTILINE), 1)
]


@cache
def named_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("statement", _STATEMENTS)
def test_every_statement_has_its_test(statement: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", statement)
    assert named or "*(figure)*" in statement or "*(real host)*" in statement
    for path, name in named:
        assert name in named_in(path), f"{path} has no {name}"


def test_all_seven_sections_are_there() -> None:
    assert [section.split(".")[0] for section in _SECTIONS] == list("1234567")
