"""`python -m tests.fuzz --frames 1000000 --seed 1`: mutated frames and streams against the FIX session core.

A failure says the run that found it; `--run` plays it again, alone.
"""

import argparse
import sys
from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fix.log import to_line
from tests.fuzz.campaign import KINDS, OUTCOMES, BrokenRun, Tally, campaign, play


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000, help="mutated frames; sound ones come on top")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same frames")
    parser.add_argument("--run", type=int, help="only the run of this number")
    options = parser.parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    tally = Tally()
    try:
        if options.run is not None:
            play(options.seed, options.run, tally)
        else:
            _show_progress(console, options.frames, options.seed, tally)
    except BrokenRun as broken:
        _show_broken(console, broken)
        return 1
    console.print(_table(tally))
    return 0


def _show_progress(console: Console, frames: int, seed: int, tally: Tally) -> None:
    columns = (TextColumn("mutated frames"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=frames)
        for number in campaign(frames, seed, tally):
            if number % 100 == 0:
                progress.update(task, completed=tally.mutated)
        progress.update(task, completed=tally.mutated)


def _table(tally: Tally) -> Table:
    table = Table(caption=f"{tally.delivered:,} messages delivered, {tally.sent:,} sent; nothing broken", box=SIMPLE)
    table.add_column("mutation", no_wrap=True)
    for heading in ("frames", *OUTCOMES):
        table.add_column(heading, justify="right")
    for kind in KINDS:
        counts = [tally.outcomes[kind, outcome] for outcome in OUTCOMES]
        table.add_row(kind, *(f"{count:,}" for count in (sum(counts), *counts)))
    totals = [sum(tally.outcomes[kind, outcome] for kind in KINDS[1:]) for outcome in OUTCOMES]
    table.add_section()
    table.add_row("all mutated", *(f"{count:,}" for count in (sum(totals), *totals)))
    return table


def _show_broken(console: Console, broken: BrokenRun) -> None:
    def show(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    show(f"{broken}\n{broken.config}\nWhat the peer wrote on this connection:")
    for piece in broken.pieces:
        show(f"{piece.kind:>25}  {to_line(piece.data)}")
    show(f"again: python -m tests.fuzz --seed {broken.seed} --run {broken.number}")


if __name__ == "__main__":
    sys.exit(main())
