"""The sample prices: scaled for splits, and a bar file like any other."""

from decimal import Decimal
from pathlib import Path

from player.prices import survey
from player.samples import sample_prices, scaled_bars


def _row(ticker: str, date: str, close: str, adjusted: str) -> dict[str, str]:
    high = str(Decimal(close) + 2)
    return {
        "Ticker": ticker,
        "Date": date,
        "Open": close,
        "High": high,
        "Low": close,
        "Close": close,
        "Volume": "1000",
        "Adj Close": adjusted,
    }


def test_a_split_does_not_look_like_a_crash() -> None:
    before, after = scaled_bars([_row("X", "2005-02-25", "90", "45"), _row("X", "2005-02-28", "46", "46")])
    assert before == ("2005-02-25", "X", "45.0000", "46.0000", "45.0000", "45.0000", "1000")
    assert after == ("2005-02-28", "X", "46.0000", "48.0000", "46.0000", "46.0000", "1000")


def test_symbols_are_merged_by_date() -> None:
    rows = [_row("A", "2000-01-03", "1", "1"), _row("A", "2000-01-04", "1", "1"), _row("B", "2000-01-03", "1", "1")]
    assert [(row[0], row[1]) for row in scaled_bars(rows)] == [
        ("2000-01-03", "A"),
        ("2000-01-03", "B"),
        ("2000-01-04", "A"),
    ]


def test_the_package_gives_a_valid_bar_file_of_five_stocks(tmp_path: Path) -> None:
    path = sample_prices(tmp_path)
    found = survey(path)
    assert found.daily
    assert found.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert found.rows == 12154
    written = path.stat().st_mtime_ns
    assert sample_prices(tmp_path).stat().st_mtime_ns == written
