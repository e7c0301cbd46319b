"""Mutants of the code by mutmut: what they changed, and which of the survivors are accepted."""

import ast
import difflib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SURVIVED = 0
_UNTESTED = frozenset({5, 33})
"""How mutmut says that no test runs the code (exit codes, as are the others)."""


@dataclass(frozen=True)
class Change:
    """What a mutant changed: of a function (`engine._steer`, `state.State.latest`), these lines into those."""

    function: str
    was: str
    now: str


@dataclass(frozen=True)
class Mutant:
    """`killed` is None for one that was not tried."""

    module: str
    change: Change
    killed: bool | None


def read_mutants(folder: Path) -> Iterator[Mutant]:
    """All mutants of a package, from what mutmut wrote beside its modules."""
    for results in sorted(folder.glob("*.py.meta")):
        module = results.name.removesuffix(".py.meta")
        codes: dict[str, int | None] = json.loads(results.read_text())["exit_code_by_key"]
        sources = _functions((folder / f"{module}.py").read_text())
        for key, code in codes.items():
            name = key.rpartition(".")[2]
            killed = None if code is None else code != _SURVIVED and code not in _UNTESTED
            yield Mutant(module, _change(module, name, sources), killed)


def read_accepted(file: Path) -> dict[Change, str]:
    """The survivors that are accepted, each with its reason. Raises `ValueError` for one that is listed wrongly."""
    accepted: dict[Change, str] = {}
    for number, each in enumerate(tomllib.loads(file.read_text()).get("survivor", []), 1):
        fields = {"function", "was", "now", "reason"}
        if set(each) != fields or not each["reason"].strip():
            raise ValueError(f"{file}: survivor {number}: {each}: must have {', '.join(sorted(fields))}, and a reason")
        accepted[Change(each["function"], each["was"], each["now"])] = each["reason"]
    return accepted


def _functions(source: str) -> dict[str, list[str]]:
    """The lines of every function of a module by its name, without indentation and without the name."""
    lines = [line.strip() for line in source.splitlines()]
    functions = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            first, *rest = lines[node.lineno - 1 : node.end_lineno]
            functions[node.name] = [first.replace(node.name, "", 1), *rest]
    return functions


def _change(module: str, name: str, sources: dict[str, list[str]]) -> Change:
    """mutmut names a mutant of `f` as `x_f__mutmut_7`, and of a method as `xǁClassǁf__mutmut_7`."""
    function = name.rpartition("__mutmut_")[0]
    lines = list(difflib.unified_diff(sources[f"{function}__mutmut_orig"], sources[name], n=0, lineterm=""))[2:]
    was, now = (" ".join(line[1:] for line in lines if line.startswith(sign)) for sign in "-+")
    spoken = function.replace("ǁ", ".").removeprefix("x.").removeprefix("x_")
    return Change(f"{module}.{spoken}", was, now)
