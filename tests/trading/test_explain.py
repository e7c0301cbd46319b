"""The diagrams of lifecycles, made from the code."""

import re
from collections import deque
from pathlib import Path

import pytest

from trading.explain import EXAMPLES, MOST_STATES, diagram, main, with_diagrams
from trading.lifecycles import KINDS


def test_there_is_an_example_of_every_kind_of_order() -> None:
    assert {type(spec) for spec in EXAMPLES.values()} == set(KINDS)
    assert [spec.__struct_config__.tag for spec in EXAMPLES.values()] == list(EXAMPLES)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_diagram_is_small_whole_and_the_same_every_time(kind: str) -> None:
    drawn = diagram(kind)
    assert drawn == diagram(kind)
    lines = drawn.splitlines()
    assert lines[0] == "stateDiagram-v2"
    names = {line.split(" : ")[0].strip() for line in lines[1:] if " --> " not in line}
    assert len(names) <= MOST_STATES
    arrows = [re.fullmatch(r"    (\S+) --> (\S+)(?: : .+)?", line) for line in lines if " --> " in line]
    follows: dict[str, set[str]] = {}
    for arrow in arrows:
        assert arrow is not None, drawn
        follows.setdefault(arrow[1], set()).add(arrow[2])
    assert {name for source, targets in follows.items() for name in (source, *targets)} == {"[*]", *names}
    reached, unseen = set[str](), deque(["[*]"])
    while unseen:
        for target in follows.get(unseen.popleft(), ()):
            if target not in reached:
                reached.add(target)
                unseen.append(target)
    assert reached == {"[*]", *names}, "every state can be come to, and the end"


def test_a_bracket_is_drawn_with_what_matters_of_it() -> None:
    drawn = diagram("bracket")
    for arrow in (
        "[*] --> entry_working : submit entry",
        "entry_working --> entry_being_cancelled : time is over, user cancels / cancel entry",
        "entry_working --> entry_working_exits_working : entry fills in part / submit stop, submit take-profit",
        "close_working --> waits_for_a_timer : close is rejected / alert CLOSE_REJECTED",
    ):
        assert f"    {arrow}\n" in drawn
    assert "stop fills, take-profit fills / alert DOUBLE_EXIT, block the symbol" in drawn
    assert "stop is rejected / cancel take-profit, alert STOP_REJECTED" in drawn


def test_the_command_prints_diagrams(capsys: pytest.CaptureFixture[str]) -> None:
    main(["single", "flatten"])
    assert capsys.readouterr().out == diagram("single") + "\n" + diagram("flatten")


def test_the_command_lists_the_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--list"])
    assert capsys.readouterr().out.split() == list(EXAMPLES)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["brackett"], "kind: 'brackett': must be one of single, bracket, oco,"),
        ([], "kind: is needed; --list prints what there is"),
        (["--write", "no/such.md"], "--write: 'no/such.md': must be a file that exists"),
    ],
)
def test_the_command_says_what_would_be_right(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert why in capsys.readouterr().err


def test_a_document_gets_its_diagrams(tmp_path: Path) -> None:
    document = tmp_path / "lifecycles.md"
    document.write_text("One\n\n<!-- diagram: single -->\nold\n<!-- end -->\n\nTwo\n", encoding="utf-8")
    main(["--write", str(document)])
    text = document.read_text(encoding="utf-8")
    drawn = f"<!-- diagram: single -->\n```mermaid\n{diagram('single')}```\n<!-- end -->"
    assert text == f"One\n\n{drawn}\n\nTwo\n"
    assert with_diagrams(text) == text
