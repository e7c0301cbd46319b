"""The prices that are replayed by default: daily bars of five US stocks from the PyPI package bokeh-sampledata."""

import csv
import gzip
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from player.prices import BAR_COLUMNS, PriceFileError

_PACKAGE = "bokeh-sampledata"
_FILE = "bokeh_sampledata/_data/stocks.csv.gz"
_FOUR_DECIMALS = Decimal("0.0001")


def sample_prices(folder: Path) -> Path:
    """The path of the sample bar file in `folder`; it is made from the installed package where it is missing.

    The package's data file is read without importing the package, whose dependencies are not installed.
    """
    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError:
        raise PriceFileError("the sample prices are not installed: run `make setup`, or name a file: DATA=…") from None
    target = folder / f"us_stocks_daily_{package.version}.csv"
    if target.exists():
        return target
    source = Path(str(package.locate_file(_FILE)))
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished")
    try:
        with gzip.open(source, "rt", newline="") as rows, unfinished.open("w", newline="") as bars:
            writer = csv.writer(bars, lineterminator="\n")
            writer.writerow(BAR_COLUMNS)
            writer.writerows(scaled_bars(csv.DictReader(rows)))
    except FileNotFoundError:
        raise PriceFileError(f"{source}: no such file; reinstall the package {_PACKAGE}") from None
    unfinished.replace(target)
    return target


def scaled_bars(rows: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, ...]]:
    """Rows of the package's file as rows of a bar file: by date, then symbol, prices scaled by adjusted over raw close.

    Unscaled, a split looks like a crash: Apple's close falls from 88.99 to 44.86 on 2005-02-28.
    """
    for row in sorted(rows, key=lambda row: (row["Date"], row["Ticker"])):
        factor = Decimal(row["Adj Close"]) / Decimal(row["Close"])
        scaled = (
            str((Decimal(row[name]) * factor).quantize(_FOUR_DECIMALS)) for name in ("Open", "High", "Low", "Close")
        )
        yield (row["Date"], row["Ticker"], *scaled, row["Volume"])
