"""The protocol's rules, and what happens without each.

python -m tests.protocol                        # a table: what was searched, and what was found
python -m tests.protocol --without SAME_CLORDID # the shortest way to what goes wrong, step by step
"""

import argparse
import sys
import time

from rich import box
from rich.console import Console
from rich.table import Table

from tests.protocol.model import WORLD, A
from tests.protocol.rules import Rule
from tests.protocol.search import Result, search_all, without

_WHO = {A: "A", 1 - A: "B", WORLD: " "}


def main() -> int:
    """Exit code 1 if the protocol has a counterexample, or a rule has none."""
    parser = argparse.ArgumentParser(prog="python -m tests.protocol", description=__doc__)
    parser.add_argument("--without", metavar="RULE", choices=[rule.name for rule in Rule], help="show a counterexample")
    name = parser.parse_args().without
    console = Console()
    if name is not None:
        result = without(Rule[name])
        console.print(f"without {Rule[name].value}", markup=False, highlight=False, soft_wrap=True)
        print_result(console, result)
        return 0 if result.problem else 1
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("without", "states", "seconds", "steps", "what goes wrong"):
        table.add_column(heading, no_wrap=heading == "without")
    wrong = False
    begun = time.monotonic()
    for result in search_all():
        wrong = wrong or bool(result.problem)
        seconds, begun = f"{time.monotonic() - begun:.1f}", time.monotonic()
        table.add_row(
            "nothing", f"{result.states}", seconds, "", f"{result.scenario.name}: {result.problem or 'nothing'}"
        )
        if result.problem:
            print_result(console, result)
    for rule in Rule:
        begun = time.monotonic()
        result = without(rule)
        wrong = wrong or not result.problem
        columns = (f"{result.states}", f"{time.monotonic() - begun:.1f}", f"{len(result.steps)}")
        table.add_row(rule.name, *columns, result.problem or "[red]nothing[/red]")
    console.print(table)
    return 1 if wrong else 0


def print_result(console: Console, result: Result) -> None:
    """The steps, one a line."""
    console.print(f"{result.scenario.name}: {result.states} states", highlight=False)
    for number, (who, what) in enumerate(result.steps, 1):
        console.print(f"{number:4} {_WHO[who]}  {what}", markup=False, highlight=False, soft_wrap=True)
    console.print(result.problem or "nothing goes wrong", style="bold")


if __name__ == "__main__":
    sys.exit(main())
