"""`make crash`: kills hosts of the documentation's apps at random instants, and says what came out otherwise.

  python -m tests.crashes --kills 500 --seed 1

Exit code 1, and the differences, if a run in which hosts were killed did not come to what the undisturbed run did.
"""

import argparse
import time

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.crashes.campaign import Report, campaign
from tests.crashes.loads import LOADS


def main() -> int:
    """Run the campaign."""
    arguments = _parser().parse_args()
    loads = tuple(load for load in LOADS if arguments.app in (None, load.app))
    console = Console()
    console.print(f"{arguments.kills} kills over {len(loads)} apps, seed {arguments.seed}")
    begin = time.monotonic()
    columns = (TextColumn("kills"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("kills", total=arguments.kills)
        reports = campaign(
            loads,
            arguments.kills,
            arguments.seed,
            parallel=arguments.parallel,
            size=arguments.size,
            killed=lambda: progress.advance(bar),
        )
    console.print(_table(reports))
    for report in reports:
        if report.problems:
            console.print(f"{report.app}:", style="bold red")
            for line in report.problems:
                console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    wrong = sum(bool(report.problems) for report in reports)
    kills = sum(report.kills.total() for report in reports)
    verdict = f"{wrong} apps came out otherwise" if wrong else "everything came out as in the undisturbed runs"
    console.print(f"{kills} kills in {time.monotonic() - begin:.0f} s, seed {arguments.seed}: {verdict}")
    return 1 if wrong else 0


def _table(reports: list[Report]) -> Table:
    moments = sorted({moment for report in reports for moment in report.kills})
    table = Table(title="kills by their moment", box=box.SIMPLE_HEAD, collapse_padding=True)
    for heading in ("app", "rounds", "two hosts", "instances", *moments, "result"):
        table.add_column(heading, no_wrap=True)
    for report in reports:
        result = "[red]differs[/red]" if report.problems else "equal"
        counts = (report.rounds, report.rounds_of_two, report.instances, *(report.kills[moment] for moment in moments))
        table.add_row(report.app, *map(str, counts), result)
    return table


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crashes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=_positive, default=500, metavar="N", help="how often (default: 500)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="decides the instants (default: 1)")
    parser.add_argument("--parallel", type=_positive, default=3, metavar="N", help="hosts at a time (default: 3)")
    parser.add_argument("--size", type=_positive, default=3, metavar="N", help="how much load (default: 3)")
    parser.add_argument("--app", choices=[load.app for load in LOADS], help="this app alone (default: all)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
