"""`make chaos`: kills, stops and disturbs everything that runs while orders are traded, and says what came out wrong.

  python -m tests.chaos --faults 200 --seed 1

Two hosts and more share one storage; beside them a venue, a TCP proxy before it, and Azurite behind a proxy, each in a
process of its own. Orders of several kinds are placed over HTTP at any host, amended, cancelled, and asked for again;
prices move, so that entries, stops and take-profits fill. Meanwhile faults are injected: kill -9 and SIGSTOP of any
process, connections that are cut, half-open or slow, bytes that arrive late, a storage that fails, throttles or loses
answers, clocks that jump, wake-ups that are lost or come twice.

Afterwards everything is healed, about half of what is open is cancelled, and as soon as all has come to rest the order
register, outbox, journal, positions, exposure, alerts and what clients were told are compared with each other and with
the venue's own book. Exit code 1 on any difference; then the folder with all logs is kept.

The seed decides orders, prices and faults, but not what the machine does in them: it does not repeat a run exactly.
"""

import argparse
import random
import shutil
import tempfile
from pathlib import Path

from rich import box
from rich.columns import Columns
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.chaos.campaign import SWEPT, Campaign, Distribution, Report, run

_SHOWN = 200


def main() -> int:
    """Run the campaign."""
    arguments = _parser().parse_args()
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    console = Console()
    console.print(f"{arguments.faults} faults, {arguments.hosts} hosts, seed {seed}")
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(seed=seed, faults=arguments.faults, hosts=arguments.hosts, folder=folder, rest=SWEPT)
    columns = (
        TextColumn("faults"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    is_clean = False
    try:
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("faults", total=arguments.faults, what="")
            report = run(campaign, lambda what, done: progress.update(bar, completed=done, what=what))
        _show(console, report)
        is_clean = report.is_clean
    finally:
        if is_clean and arguments.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"logs and facts.json: {folder}", soft_wrap=True)
    if not is_clean:
        console.print(f"again with: make chaos FAULTS={arguments.faults} SEED={seed}", soft_wrap=True)
    return 0 if is_clean else 1


def _show(console: Console, report: Report) -> None:
    facts = report.facts
    outcomes = _table(f"{len(facts.register)} orders", ("outcome", "orders"), report.outcomes)
    injected = _table(f"{len(facts.disturbances)} faults", ("fault", "times"), report.injected)
    checks = _table(
        "checks", ("check", "differences"), {name.replace("_", " "): len(found) for name, found in report.found.items()}
    )
    console.print(Columns([outcomes, injected, checks], padding=(0, 4)))
    times = Table("seconds", "times", "median", "p90", "p99", "longest", box=box.SIMPLE_HEAD)
    times.add_row("without a session", *_cells(report.take_overs))
    times.add_row("a position without its stop", *_cells(report.unprotected))
    times.add_row("of that, longest calm stretch", *_cells(report.calm))
    times.add_row("its stop, from the healing on", *_cells(report.healed))
    console.print(times)
    if (last := facts.take_over) is not None and last.logged_on_after is not None:
        console.print(f"{last.killed} was killed at the end: another host was on after {last.logged_on_after:.2f} s")
    console.print(
        f"at the venue {len(facts.venue_orders)} orders, {len(facts.venue_trades)} trades, {len(facts.logons)} logons;"
        f" in the journal {len(facts.journal)} rows"
    )
    console.print(
        f"a position may be calm without its stop for {facts.bound_without_sweep:.0f} s, and for {facts.bound:.0f} s"
        " where wake-ups were lost"
    )
    differences = [difference for found in report.found.values() for difference in found]
    for text in report.refusals:
        console.print(f"the load asks for what cannot be an order: {text}", markup=False, soft_wrap=True)
    for each in differences[:_SHOWN]:
        console.print(f"{each.kind}: {each.subject}: {each.text}", markup=False, highlight=False, soft_wrap=True)
    if len(differences) > _SHOWN:
        console.print(f"and {len(differences) - _SHOWN} more")
    verdict = f"{len(differences)} differences" if differences else "nothing lost, nothing doubled, nothing unprotected"
    console.print(f"{report.seconds:.0f} s, seed {report.campaign.seed}: {verdict}")


def _table(title: str, headings: tuple[str, str], counts: dict[str, int]) -> Table:
    table = Table(*headings, title=title, box=box.SIMPLE_HEAD)
    for name, count in counts.items():
        table.add_row(name, str(count))
    return table


def _cells(distribution: Distribution) -> list[str]:
    values = (distribution.median, distribution.p90, distribution.p99, distribution.longest)
    return [str(distribution.count), *(f"{value:.2f}" for value in values)]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=_positive, default=200, metavar="N", help="how many (default: 200)")
    parser.add_argument("--seed", type=int, metavar="N", help="decides orders, prices and faults (default: any)")
    parser.add_argument("--hosts", type=_positive, default=2, metavar="N", help="how many (default: 2)")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="where to write, and to keep it (default: kept if it fails)"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
