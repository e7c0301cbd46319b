"""The main job: recorded prices through the whole system, then the report."""

import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from player import report
from player.evidence import collect
from player.feed import Feed, Progress
from player.prices import PriceFile, Window, read_prices, survey
from player.samples import sample_prices
from player.stack import HUB, ROOT, Stack, StackOptions, running, writable
from player.steps import steps

DEFAULT_FIRST_DAY = date(2011, 3, 1)
"""Where the sample prices begin to be replayed: then a warm `make run` takes well below a minute on 2 cores."""

_USUAL = {
    "MAX_ORDER_NOTIONAL": "20000",
    "MAX_SYMBOL_NOTIONAL": "50000",
    "MAX_GROSS_NOTIONAL": "200000",
    "SMA_NOTIONAL": "10000",
    "SMA_REWARD_RATIO": "2",
}
_DAY = 24 * 60 * 60
_FOR_BARS = {"SMA_FAST": "10", "SMA_SLOW": "30", "SMA_VALID_FOR_SECONDS": str(5 * _DAY)}
_FOR_TICKS = {"SMA_FAST": "50", "SMA_SLOW": "200", "SMA_VALID_FOR_SECONDS": "60"}


class ReplayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay, how fast, and where to write. `speed` 0 is lockstep, 1 real time, 60 sixty times that."""

    data: Path | None = None
    """The sample prices where None."""
    speed: float = 0
    window: Window = Window()
    out: Path
    settings: dict[str, str] = {}
    """Settings of the app that differ from a replay's usual ones."""


def replay(
    options: ReplayOptions, console: Console, on_progress: Callable[[Stack, Progress], None] = lambda _s, _p: None
) -> bool:
    """Run it, print the report, write `summary.json` and `orders.json`; whether all invariants hold.

    Raises `PriceFileError`, `StackError`, `ProcessError`, `FeedError`, `AzuriteError`, and what the client raises.
    """
    started = time.monotonic()
    path, window = options.data, options.window
    if path is None:
        path = sample_prices(writable(options.out) / "data")
        window = msgspec.structs.replace(window, first_day=window.first_day or DEFAULT_FIRST_DAY)
    prices = survey(path, window)
    console.print(_what(prices, options.speed), soft_wrap=True)
    with running(_stack_options(options, prices)) as stack:
        feed = Feed(stack.host, stack.venue, HUB)
        batches = steps(read_prices(path, window))
        progress = feed.in_real_time(batches, options.speed) if options.speed else feed.in_lockstep(batches)
        rows = _follow(stack, prices, progress, console, on_progress)
        evidence = collect(stack)
        if stack.restarts:
            console.print(f"The host died and was started again {stack.restarts} times")
    differences = report.check(evidence)
    summary = report.summarize(evidence, differences, rows=rows, wall_s=time.monotonic() - started)
    _write(options.out / "summary.json", summary)
    _write(options.out / "orders.json", report.order_book(evidence))
    report.show(console, summary, differences)
    return all(summary.invariants.values())


def _stack_options(options: ReplayOptions, prices: PriceFile) -> StackOptions:
    strategy = dict(_FOR_BARS if prices.daily else _FOR_TICKS)
    if options.speed:
        # The order's timers run on the system's clock then, and the data goes by faster than that.
        valid_for = int(strategy["SMA_VALID_FOR_SECONDS"]) / options.speed
        strategy["SMA_VALID_FOR_SECONDS"] = str(max(1, round(valid_for)))
    return StackOptions(
        out=options.out, lockstep=options.speed == 0, settings={**_USUAL, **strategy, **options.settings}
    )


def _what(prices: PriceFile, speed: float) -> str:
    kind = "daily bars" if prices.daily else "ticks"
    pace = f"{speed:g} times real time" if speed else "as fast as it goes"
    path = prices.path.relative_to(ROOT) if prices.path.is_relative_to(ROOT) else prices.path
    return (
        f"Replaying {prices.rows} {kind} of {', '.join(prices.symbols)} from {prices.first:%Y-%m-%d %H:%M} "
        f"to {prices.last:%Y-%m-%d %H:%M} UTC ({path}), {pace}"
    )


def _follow(
    stack: Stack,
    prices: PriceFile,
    progress: Iterator[Progress],
    console: Console,
    on_progress: Callable[[Stack, Progress], None],
) -> int:
    columns = (
        TextColumn("{task.fields[at]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[orders]} orders"),
        TimeElapsedColumn(),
    )
    rows = 0
    with Bar(*columns, console=console, transient=True, refresh_per_second=4) as bar:
        task = bar.add_task("", total=prices.rows, at=f"{prices.first:%Y-%m-%d %H:%M:%S}", orders=0)
        for step in progress:
            rows = step.rows
            bar.update(task, completed=rows, at=f"{step.at:%Y-%m-%d %H:%M:%S}", orders=step.orders)
            on_progress(stack, step)
    return rows


def _write(path: Path, content: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content, order="deterministic"), indent=2) + b"\n")
