"""docs/lifecycles.md is held to the code: diagrams, examples, fields and defaults, alerts, scenarios."""

import ast
import re
from pathlib import Path

import msgspec
import pytest

from trading.child import OrderStatus
from trading.explain import EXAMPLES, with_diagrams
from trading.identity import Role
from trading.lifecycles import KINDS
from trading.specs import AMENDABLE, Common, Spec, check

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs" / "lifecycles.md").read_text(encoding="utf-8")
SPECS: dict[str, type[Common]] = {str(kind.__struct_config__.tag): kind for kind in KINDS}
DEPLOYED = ("trading", "gateway", "storage", "orchestrators", "activities", "entities", "triggers")
NO_ALERTS = {"CLOCK_BOOTTIME", "DELETE", "DROP_COPY_SENDER_COMP_ID", "ORDER_RELEASE", "PATCH"}
"""What else is written in capitals in the code."""


def section(title: str) -> str:
    """What stands under a heading."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,3}} |\Z)", MANUAL, re.DOTALL | re.MULTILINE)
    assert found, f"docs/lifecycles.md has no heading {title!r}"
    return found[2]


def rows(text: str) -> list[list[str]]:
    """The rows of the tables in a text, without the headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row, after in zip(cells, [*cells[1:], []], strict=True) if "---" not in row and "---" not in after]


def test_the_diagrams_are_those_of_the_code() -> None:
    assert re.findall(r"<!-- diagram: (\w+) -->", MANUAL) == list(EXAMPLES)
    assert with_diagrams(MANUAL) == MANUAL, "run: python -m trading.explain --write docs/lifecycles.md"


@pytest.mark.parametrize("kind", SPECS)
def test_every_example_can_be_placed(kind: str) -> None:
    examples = re.findall(r"```json\n(.*?)```", section(kind), re.DOTALL)
    assert len(examples) == 1
    spec: Common = msgspec.json.decode(examples[0], type=Spec)
    assert type(spec) is SPECS[kind]
    check(spec)


@pytest.mark.parametrize("kind", ["", *SPECS])
def test_every_field_is_told_with_its_default(kind: str) -> None:
    told = {
        name: default
        for names, default, _ in rows(section(kind or "What all kinds have"))
        for name in re.findall(r"`(\w+)`", names)
    }
    common = {field.name for field in msgspec.structs.fields(Common)}
    fields = msgspec.structs.fields(SPECS[kind] if kind else Common)
    right = {field.name: default_of(field) for field in fields if not kind or field.name not in common}
    if not kind:
        right["order_id"] = "made up"
    assert told == right


def default_of(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    match field.default:
        case None:
            return "none"
        case bool():
            return str(field.default).lower()
        case str():
            return f"`{field.default}`"
        case _:
            return str(field.default)


@pytest.mark.parametrize("kind", SPECS)
def test_what_can_be_amended_is_told(kind: str) -> None:
    fields = AMENDABLE[SPECS[kind]]
    told = re.search(r"\*\*Amend\*\*:\s+(.*?)(?:\s\*\*|\n-)", section(kind), re.DOTALL)
    assert told
    names = tuple(re.findall(r"`(\w+)`", told[1]))
    assert names == fields
    assert fields or told[1].startswith("nothing")


def test_every_alert_is_told() -> None:
    told = [code for row in rows(section("Alerts")) for code in re.findall(r"`(\w+…?)`", row[0])]
    assert told == sorted(told), "by the alphabet"
    assert set(told) == alerts()


def alerts() -> set[str]:
    """The codes in the sources: what is written in capitals there; and those made of a role and an end."""
    codes = {f"{role}_…".upper() for role in Role if role is not Role.ENTRY}
    for file in (file for folder in DEPLOYED for file in sorted((ROOT / folder).rglob("*.py"))):
        if file.name == "settings.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and re.fullmatch(r"[A-Z]{5,}|[A-Z]+(_[A-Z]+)+", text):
                codes.add(text)
    return codes - NO_ALERTS


def test_the_ends_that_alerts_are_made_of_are_told() -> None:
    ends = re.search(r"what became of the order: ([^.]*)\.", section("Alerts"))
    assert ends
    over = {OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED, OrderStatus.NOT_SENT, OrderStatus.UNKNOWN}
    assert set(re.findall(r"`(\w+)`", ends[1])) == {str(status).upper() for status in over}


def test_every_scenario_has_its_tests() -> None:
    told = rows(section("Scenarios and their tests"))
    assert [row[0] for row in told] == [str(number) for number in range(1, 43)]
    for number, _, *cells in told:
        assert cells[0] != "", number
        for cell in cells:
            for file, test in re.findall(r"`([\w/]+)::(\w+)`", cell):
                source = (ROOT / "tests" / f"{file}.py").read_text(encoding="utf-8")
                assert re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), f"{number}: no {test} in {file}"
            assert cell in ("", "to come") or re.fullmatch(r"`[\w/]+::\w+`", cell), f"{number}: {cell}"
