"""The commands `python -m replay record` and `python -m replay check`."""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from replay.apps import DEFAULT, AppError, orchestrators
from replay.history import History, HistoryError, read, write
from replay.hub import Hub
from replay.recording import HostFile, RecordingError
from replay.redaction import redact, unmatched
from replay.replayer import ReplayError, replay_history
from replay.report import WIDTH

HISTORIES = Path("tests/histories")
_DATABASE = Path(".devhost/devhost.db")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the process's exit code: 0 all well, 1 a difference or nothing found, 2 wrongly called."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return _check(options) if options.command == "check" else _record(options, parser)
    except (RecordingError, HistoryError, AppError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m replay",
        description="Records histories of orchestrations, and replays them against today's code. See docs/replay.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    record = commands.add_parser(
        "record",
        help="write the history of an instance to a file, and replay it once",
        description="Writes the history of an instance's present generation to a file, from a development host's"
        " database (--db) or from a task hub in Azure Storage (--hub), which are only read. Then replays it once and"
        " says whether today's code does the same; if not, exits with 1.",
    )
    which = record.add_mutually_exclusive_group(required=True)
    which.add_argument("--instance", metavar="ID", help="the instance")
    which.add_argument("--all", action="store_true", help="all instances, or with --prefix those that begin so")
    record.add_argument("--prefix", default="", metavar="P", help="with --all: how the instances' ids begin")
    record.add_argument("--db", type=Path, metavar="FILE", help=f"a development host's database (default: {_DATABASE})")
    record.add_argument("--hub", metavar="NAME", help="a task hub: the tables NAMEHistory and NAMEInstances")
    record.add_argument(
        "--connection",
        default="AzureWebJobsStorage",
        metavar="STRING",
        help="with --hub: the storage account's connection string, or the environment variable that holds it"
        " (default: AzureWebJobsStorage)",
    )
    record.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"where to (with --all a folder; default: {HISTORIES}/ORCHESTRATOR-INSTANCE.json)",
    )
    record.add_argument(
        "--redact",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="values to replace everywhere by placeholders: input.password, *.account; begins with input, result,"
        " event, output, status or *",
    )
    record.add_argument("--note", default="", metavar="TEXT", help="what this history shows, for those who review it")
    check = commands.add_parser(
        "check",
        help="replay recorded histories, as the pytest plugin does",
        description="Replays recorded histories against today's code; exits with 1 if one differs.",
    )
    check.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help=f"files or folders (default: {HISTORIES})",
        default=[HISTORIES],
    )
    for command in (record, check):
        command.add_argument("--app", default=DEFAULT, metavar="MODULE:NAME", help=f"the app (default: {DEFAULT})")
    return parser


def _record(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if options.hub and options.db:
        parser.error("--db and --hub: a history is in one of them")
    if options.prefix and not options.all:
        parser.error("--prefix goes with --all")
    if options.all and options.out is not None and options.out.suffix == ".json":
        parser.error("--out: with --all, name a folder")
    try:
        app: Any = orchestrators(options.app)
    except AppError as error:
        print(f"replay: recorded only, not replayed: {error}", file=sys.stderr)
        app = None
    source = _source(options)
    if not options.all:
        history = source.history(options.instance)
        _check_paths(unmatched(history, options.redact), "the history has nothing")
        return 0 if _keep(history, options, app) else 1
    total = good = 0
    never = options.redact
    for instance_id in source.instances(options.prefix):
        total += 1
        try:
            history = source.history(instance_id)
        except (
            RecordingError
        ) as error:  # one that has not begun, or is gone meanwhile: the others are wanted all the same
            print(f"replay: {error}", file=sys.stderr)
            continue
        never = unmatched(history, never)
        good += _keep(history, options, app)
    if not total:
        raise RecordingError(f"no instance begins with '{options.prefix}'")
    _check_paths(never, "no history has anything")
    return 0 if good == total else 1


def _check_paths(paths: Sequence[str], who: str) -> None:
    if paths:
        raise RecordingError(f"--redact {' '.join(paths)}: {who} there")


class _Source(Protocol):
    """Where histories are."""

    def history(self, instance_id: str) -> History: ...

    def instances(self, prefix: str) -> Iterable[str]: ...


def _source(options: argparse.Namespace) -> _Source:
    if options.hub:
        return Hub(_connection_string(options.connection), options.hub)
    return HostFile(options.db or _DATABASE)


def _connection_string(given: str) -> str:
    if "=" in given:
        return given
    found = os.environ.get(given)
    if not found:
        raise RecordingError(
            f"--connection {given}: neither a connection string nor the name of an environment variable that is set"
        )
    return found


def _path(options: argparse.Namespace, history: History) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{history.orchestrator}-{history.instance_id}") + ".json"
    if options.out is None:
        return HISTORIES / name
    out: Path = options.out
    return out / name if options.all else out


def _keep(history: History, options: argparse.Namespace, app: Any) -> bool:
    """Write one history, and say whether today's code agrees with it; without an app, it is taken to."""
    path = _path(options, history)
    kept = msgspec.structs.replace(redact(history, options.redact) if options.redact else history, note=options.note)
    difference = _difference(kept, app)
    if difference is not None and options.redact and _difference(history, app) is None:
        print(difference)
        print(
            f"replay: {path} is not written: the orchestrator depends on a value that --redact would replace; with it"
            " today's code agrees, without it, it does not",
            file=sys.stderr,
        )
        return False
    write(path, kept)
    verdict = "today's code does the same" if difference is None else "TODAY'S CODE DIFFERS"
    if app is None:
        verdict = "not replayed"
    print(f"{path}: {kept.orchestrator}, {len(kept.events)} events; {verdict}")
    if difference is not None:
        print(difference)
    return difference is None


def _difference(history: History, app: Any) -> str | None:
    if app is None:
        return None
    try:
        replay_history(history, app)
    except ReplayError as error:
        return str(error)
    return None


def _check(options: argparse.Namespace) -> int:
    files = [file for path in options.files for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        named = ", ".join(str(path) for path in options.files)
        raise RecordingError(f"there is no recorded history in {named}: record one with `python -m replay record`")
    app = orchestrators(options.app)
    table = Table("history", "orchestrator", "version", "events", "ms", "today's code")
    problems = []
    for file in files:
        row, problem = _checked(file, app)
        table.add_row(*map(escape, row), "[green]does the same[/]" if problem is None else "[red]DIFFERS[/]")
        if problem is not None:
            problems.append(problem)
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
    for problem in problems:
        print(f"\n{problem}")
    return 1 if problems else 0


def _checked(file: Path, app: Any) -> tuple[list[str], str | None]:
    """A file's row of the table, and the report if it differs or cannot be read."""
    try:
        history = read(file)
    except HistoryError as error:
        return [file.name, "", "", "", ""], str(error)
    begin = time.perf_counter()
    problem = None
    try:
        replay_history(file, app)
    except (ReplayError, HistoryError) as error:
        problem = str(error)
    taken = f"{(time.perf_counter() - begin) * 1000:.0f}"
    return [file.name, history.orchestrator, history.version or "", str(len(history.events)), taken], problem
