"""`python -m tests.trading.campaign --runs 100000`: every kind of order against a venue that does almost anything.

The same promises as in `test_properties`, with random numbers. A failure is told as a story of as few events as were
found to break the promise, with the numbers that play it again.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from random import Random

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.trading.plays import PLAYS, play

LONGEST = 80
"""Numbers of one run, at most."""
_CHUNK = 500
_SHRINKING = 20.0
"""Seconds that are spent on making a counterexample short."""


@dataclass
class Tally:
    """What came of the runs of one kind."""

    runs: int = 0
    orders: int = 0
    events: int = 0
    alerts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0

    def add(self, other: "Tally") -> None:
        self.runs += other.runs
        self.orders += other.orders
        self.events += other.events
        self.alerts += other.alerts
        self.outcomes += other.outcomes
        self.seconds += other.seconds


@dataclass
class Broken:
    """A run that broke a promise."""

    kind: str
    number: int
    numbers: list[int]


@dataclass
class Part:
    """Some runs of one kind: `count` of them from `first` on."""

    kind: str
    seed: int
    first: int
    count: int


def numbers_of(kind: str, seed: int, number: int) -> list[int]:
    """What decides a run."""
    random = Random(f"{seed} {kind} {number}")
    return [random.randrange(10**6) for _ in range(random.randrange(1, LONGEST))]


def carry_out(part: Part) -> tuple[Part, Tally, Broken | None]:
    """Play a part of the campaign, up to the first run that breaks a promise."""
    tally, started = Tally(), time.perf_counter()
    broken = None
    for number in range(part.first, part.first + part.count):
        numbers = numbers_of(part.kind, part.seed, number)
        try:
            game = play(part.kind, numbers, thorough=False)
        except Exception:
            broken = Broken(part.kind, number, numbers)
            break
        tally.runs += 1
        tally.orders += len(game.orders)
        tally.events += game.events
        tally.alerts += len(game.alerts)
        tally.outcomes[game.state.outcome or "(open)"] += 1
    tally.seconds = time.perf_counter() - started
    return part, tally, broken


def shrunk(numbers: Sequence[int], breaks: Callable[[Sequence[int]], bool]) -> list[int]:
    """Fewer and smaller numbers that break a promise too."""
    shortest, until = list(numbers), time.monotonic() + _SHRINKING
    is_better = True
    while is_better and time.monotonic() < until:
        is_better = False
        for candidate in _smaller(shortest):
            if breaks(candidate):
                shortest, is_better = candidate, True
                break
            if time.monotonic() > until:
                break
    return shortest


def _smaller(numbers: list[int]) -> Iterator[list[int]]:
    for size in (16, 8, 4, 2, 1):
        for start in range(1, len(numbers), size):
            yield numbers[:start] + numbers[start + size :]
    for index, number in enumerate(numbers):
        # What is done stays the same where only the remainder counts.
        for smaller in sorted({number % 13, number // 2, number - 13} - {number}):
            if 0 <= smaller < number:
                yield [*numbers[:index], smaller, *numbers[index + 1 :]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trading.campaign", description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same runs")
    parser.add_argument("--kind", choices=sorted(PLAYS), help="only this one")
    parser.add_argument("--numbers", help="play these again instead, as a failure has told them: 3,14,15 (with --kind)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many play at a time")
    options = parser.parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    if options.numbers is not None:
        if options.kind is None:
            parser.error("--numbers: needs --kind too: which order they are the life of")
        return _again(console, options.kind, [int(each) for each in options.numbers.split(",")])
    if options.runs < 1:
        parser.error(f"--runs: {options.runs}: must be at least 1")
    kinds = [options.kind] if options.kind else list(PLAYS)
    tallies, broken = _show_progress(console, kinds, options.runs, options.seed, options.processes)
    if broken is not None:
        _show_broken(console, broken, options.seed)
        return 1
    console.print(_table(tallies))
    return 0


def _show_progress(
    console: Console, kinds: list[str], runs: int, seed: int, processes: int
) -> tuple[dict[str, Tally], Broken | None]:
    parts = iter(
        Part(kind, seed, first, min(_CHUNK, runs - first)) for kind in kinds for first in range(0, runs, _CHUNK)
    )
    tallies = {kind: Tally() for kind in kinds}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ProcessPoolExecutor(processes) as pool, Progress(*columns, console=console) as progress:
        task = progress.add_task("runs", total=runs * len(kinds))
        waiting = {pool.submit(carry_out, part) for part in islice(parts, 2 * processes)}
        while waiting:
            done: set[Future[tuple[Part, Tally, Broken | None]]]
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                part, tally, broken = future.result()
                tallies[part.kind].add(tally)
                progress.update(task, advance=tally.runs, description=part.kind)
                if broken is not None:
                    pool.shutdown(wait=False, cancel_futures=True)
                    return tallies, broken
                waiting |= {pool.submit(carry_out, each) for each in islice(parts, 1)}
    return tallies, None


def _table(tallies: dict[str, Tally]) -> Table:
    table = Table(caption="no promise was broken", box=SIMPLE)
    table.add_column("kind", no_wrap=True)
    for heading in ("runs", "venue orders", "events", "alerts", "runs/s"):
        table.add_column(heading, justify="right")
    table.add_column("ended most often as")
    for kind, tally in tallies.items():
        most = ", ".join(f"{outcome} {count:,}" for outcome, count in tally.outcomes.most_common(3))
        counts = (tally.runs, tally.orders, tally.events, tally.alerts, round(tally.runs / (tally.seconds or 1)))
        table.add_row(kind, *(f"{count:,}" for count in counts), most)
    return table


def _show_broken(console: Console, broken: Broken, seed: int) -> None:
    what = _failure(broken.kind, broken.numbers)
    numbers = shrunk(broken.numbers, lambda numbers: _is_same(what, _failure(broken.kind, numbers)))
    _again(console, broken.kind, numbers)
    again = ",".join(str(number) for number in numbers)
    _show(
        console,
        f"seed {seed}, kind {broken.kind}, run {broken.number}\n"
        f"again: python -m tests.trading.campaign --kind {broken.kind} --numbers {again}",
    )


def _failure(kind: str, numbers: Sequence[int]) -> Exception | None:
    try:
        play(kind, numbers, thorough=False)
    except Exception as error:
        return error
    return None


def _is_same(one: Exception | None, other: Exception | None) -> bool:
    """Whether two failures are of the same promise: raised in the same line."""
    return other is not None and type(one) is type(other) and _line(one) == _line(other)


def _line(error: Exception | None) -> tuple[str, int] | None:
    trace = error.__traceback__ if error else None
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno


def _again(console: Console, kind: str, numbers: Sequence[int]) -> int:
    error = _failure(kind, numbers)
    if error is None:
        _show(console, f"{kind}: no promise was broken")
        return 0
    for note in getattr(error, "__notes__", []):
        _show(console, note)
    _show(console, f"\nBroken: {type(error).__name__}: {error}")
    return 1


def _show(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
