"""`python -m tests.mutants`: changes the lifecycles in thousands of small ways, and sees whether a test notices.

A mutant that no test kills is a rule that no test holds. It fails below 90 % killed, and for every survivor that is not
accepted, with a reason, in tests/mutants/survivors.toml. mutmut makes the mutants and runs the tests of trading/, in
a copy of both under out/mutants.
"""

import argparse
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from tests.mutants.mutants import Change, Mutant, read_accepted, read_mutants

ROOT = Path(__file__).parents[2]
WORK = ROOT / "out" / "mutants"
ACCEPTED = ROOT / "tests" / "mutants" / "survivors.toml"
MUTATED = Path("trading/lifecycles")
LEAST_KILLED = 90
"""Percent."""

_LEFT_OUT = {"test_explain.py", "test_lifecycles_manual.py", "test_properties.py"}
"""A diagram notices any change, but does not say what is wrong. Of the properties there is a short run instead."""

CONFIGURATION = """
[tool.mutmut]
source_paths = ["{source}"]
also_copy = ["trading", "tests"]
pytest_add_cli_args = ["-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = {tests}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    modules = sorted(each.stem for each in (ROOT / MUTATED).glob("*.py"))
    parser.add_argument("--only", metavar="MODULE", nargs="*", choices=modules, help=f"some of {', '.join(modules)}")
    parser.add_argument("--processes", type=int, default=2, help="how many mutants are tried at a time (2)")
    options = parser.parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    _copy()
    only: list[str] = options.only or modules
    package = MUTATED.as_posix().replace("/", ".")
    names = [f"{package}.x*" if module == "__init__" else f"{package}.{module}.*" for module in only]
    mutmut = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(options.processes), *names]
    subprocess.run(mutmut, cwd=WORK, check=True)
    tried = [each for each in read_mutants(WORK / "mutants" / MUTATED) if each.killed is not None]
    return _judge(console, tried, read_accepted(ACCEPTED), only)


def _copy() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    for folder in ("trading", "tests/trading", "tests/mutants"):
        shutil.copytree(ROOT / folder, WORK / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (WORK / "tests" / "__init__.py").touch()
    tests = [
        str(test.relative_to(ROOT)) for test in sorted((ROOT / "tests" / "trading").glob("test_*.py")) if _counts(test)
    ]
    tests.append("tests/mutants/test_short_plays.py")
    (WORK / "pyproject.toml").write_text(CONFIGURATION.format(source=MUTATED, tests=tests))


def _counts(test: Path) -> bool:
    """Whether a file's tests are about lifecycles, and quick ones that say what is right."""
    text = test.read_text()
    return test.name not in _LEFT_OUT and ("trading.lifecycles" in text or "tests.trading.desk" in text)


def _judge(console: Console, tried: list[Mutant], accepted: dict[Change, str], only: list[str]) -> int:
    survivors = Counter(each.change for each in tried if not each.killed)
    console.print(_table(tried, accepted))
    share = 100 * sum(1 for each in tried if each.killed) / max(1, len(tried))
    console.print(f"{share:.1f} % of {len(tried)} mutants killed")
    wrong = [each for each in survivors if each not in accepted]
    for each in wrong:
        console.print(f"[red]not killed[/] {each.function}", highlight=False)
        console.print(f"    - {each.was}\n    + {each.now}", highlight=False, markup=False)
    stale = [each for each in accepted if each not in survivors and each.function.partition(".")[0] in only]
    for each in stale:
        console.print(f"[red]accepted, but killed or gone[/] {each.function}", highlight=False)
        console.print(f"    - {each.was}\n    + {each.now}", highlight=False, markup=False)
    if share < LEAST_KILLED:
        console.print(f"[red]at least {LEAST_KILLED} % must be killed[/]")
    return 1 if wrong or stale or share < LEAST_KILLED else 0


def _table(tried: list[Mutant], accepted: dict[Change, str]) -> Table:
    table = Table("module", box=SIMPLE)
    for heading in ("mutants", "killed", "accepted", "not killed"):
        table.add_column(heading, justify="right")
    for module in sorted({each.module for each in tried}):
        own = [each for each in tried if each.module == module]
        alive = [each for each in own if not each.killed]
        listed = sum(1 for each in alive if each.change in accepted)
        numbers = (len(own), len(own) - len(alive), listed, len(alive) - listed)
        table.add_row(module, *(str(number) for number in numbers))
    return table


if __name__ == "__main__":
    sys.exit(main())
