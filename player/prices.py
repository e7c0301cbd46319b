"""Reads recorded prices: the two CSV formats, plain or gzipped, row by row and in time order.

Ticks: `ts,symbol,bid,ask,bid_size,ask_size,last,last_size`, ISO-8601 UTC, empty where unknown. A bid above its ask is
accepted: consolidated feeds have them. Daily bars: `date,symbol,open,high,low,close,volume`.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import IO, NoReturn

import msgspec

from trading.market import Bar, MarketData, Tick

TICK_COLUMNS = ("ts", "symbol", "bid", "ask", "bid_size", "ask_size", "last", "last_size")
BAR_COLUMNS = ("date", "symbol", "open", "high", "low", "close", "volume")
MARKET_CLOSE = time(21, 0, tzinfo=UTC)
"""When a daily bar is complete: 16:00 in New York in winter, kept all year for simplicity."""

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,12})?", re.ASCII)
_SYMBOL = re.compile(r"[A-Za-z0-9._-]{1,20}", re.ASCII)
_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class PriceFileError(Exception):
    """A price file that cannot be used: which file, where in it, what stands there, and what would be right."""


class PriceFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a complete reading of a price file, or of the part asked for, has found."""

    path: Path
    daily: bool
    """Daily bars; ticks otherwise."""
    rows: int
    first: datetime
    last: datetime
    symbols: tuple[str, ...]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a price file to replay: from and to are days of UTC and both belong to it."""

    first_day: date | None = None
    last_day: date | None = None
    limit: int | None = None
    """At most so many rows."""


EVERYTHING = Window()


def survey(path: Path, window: Window = EVERYTHING) -> PriceFile:
    """Read the file's window once to the end, so that what is wrong in it is found before anything starts.

    Raises `PriceFileError`, also where the window holds no row.
    """
    rows = 0
    first = last = None
    symbols: set[str] = set()
    price: MarketData | None = None
    for price in read_prices(path, window):
        rows += 1
        first = first or price.ts
        last = price.ts
        symbols.add(price.symbol)
    if price is None or first is None or last is None:
        asked = f" between {window.first_day or 'its start'} and {window.last_day or 'its end'}"
        raise PriceFileError(f"{path}: no rows{asked if window.first_day or window.last_day else ' after the header'}")
    return PriceFile(
        path=path, daily=isinstance(price, Bar), rows=rows, first=first, last=last, symbols=tuple(sorted(symbols))
    )


def read_prices(path: Path, window: Window = EVERYTHING) -> Iterator[MarketData]:
    """The rows of a price file, checked one by one; raises `PriceFileError` at the first that is wrong."""
    yielded = 0
    if window.limit is not None and window.limit <= 0:
        return
    for price in _read_all(path):
        day = price.ts.date()
        if window.first_day is not None and day < window.first_day:
            continue
        if window.last_day is not None and day > window.last_day:
            return
        yield price
        yielded += 1
        if yielded == window.limit:
            return


def _read_all(path: Path) -> Iterator[MarketData]:
    with _open(path) as lines:
        rows = csv.reader(lines, strict=True)
        try:
            header = tuple(next(rows, ()))
            parse = _parser(path, header)
            for row in rows:
                yield parse(_Row(path, rows.line_num, header, row))
        except UnicodeDecodeError as error:
            raise PriceFileError(f"{path}, after line {rows.line_num}: not UTF-8 text ({error.reason})") from None
        except csv.Error as error:
            raise PriceFileError(f"{path}, line {rows.line_num}: not CSV ({error})") from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise PriceFileError(
                f"{path}, after line {rows.line_num}: the gzip file is damaged or cut off ({error})"
            ) from None
        except OSError as error:
            raise PriceFileError(f"{path}: cannot be read ({error.strerror or error})") from None


def _open(path: Path) -> IO[str]:
    if not path.name.endswith((".csv", ".csv.gz")):
        raise PriceFileError(f"{path}: a price file's name ends in .csv or .csv.gz")
    try:
        if path.name.endswith(".gz"):
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise PriceFileError(f"{path}: no such file") from None
    except OSError as error:
        raise PriceFileError(f"{path}: cannot be read ({error.strerror or error})") from None


class _Row:
    """One row with its place in the file, so that whatever is wrong in it can be named."""

    def __init__(self, path: Path, line: int, header: tuple[str, ...], values: list[str]) -> None:
        self._path = path
        self._line = line
        self._header = header
        self._values = values
        if len(values) != len(header):
            raise PriceFileError(f"{path}, line {line}: {len(values)} columns, but the header has {len(header)}")

    def fail(self, column: str, right: str) -> NoReturn:
        value = self._values[self._header.index(column)]
        raise PriceFileError(f"{self._path}, line {self._line}, column {column}: {value!r} is not right: {right}")

    def symbol(self) -> str:
        value = self._values[1]
        if not _SYMBOL.fullmatch(value):
            self.fail("symbol", "a symbol is 1 to 20 letters, digits, '.', '_' or '-'")
        return value

    def price(self, index: int) -> Decimal:
        value = self._values[index]
        if not _NUMBER.fullmatch(value) or not (number := Decimal(value)):
            self.fail(self._header[index], "a price is a plain decimal number above zero, such as 181.69")
        return number

    def size(self, index: int) -> Decimal:
        value = self._values[index]
        if not _NUMBER.fullmatch(value):
            self.fail(self._header[index], "a size is a plain decimal number, zero or more, such as 200")
        return Decimal(value)

    def price_or_none(self, index: int) -> Decimal | None:
        return self.price(index) if self._values[index] else None

    def size_or_none(self, index: int, of: Decimal | None) -> Decimal | None:
        if not self._values[index]:
            return None
        if of is None:
            self.fail(self._header[index], "a size needs the price it belongs to")
        return self.size(index)

    def time(self) -> datetime:
        value = self._values[0]
        right = "a time is ISO-8601 in UTC with at most microseconds, such as 2013-10-07T13:30:00.072Z"
        if not _UTC_TIME.fullmatch(value):
            self.fail("ts", right)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail("ts", right)
        if moment.utcoffset() is None or moment.utcoffset():
            self.fail("ts", right)
        return moment.astimezone(UTC)

    def date(self) -> date:
        value = self._values[0]
        right = "a date is written like 2013-10-07"
        if not _DATE.fullmatch(value):
            self.fail("date", right)
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail("date", right)


def _parser(path: Path, header: tuple[str, ...]) -> Callable[[_Row], MarketData]:
    if header == TICK_COLUMNS:
        return _tick_parser()
    if header == BAR_COLUMNS:
        return _bar_parser()
    if not header:
        raise PriceFileError(f"{path}: the file is empty; its first line has to be a header")
    raise PriceFileError(
        f"{path}, line 1: the header is {','.join(header)[:200]!r}; "
        f"it has to be {','.join(TICK_COLUMNS)!r} (ticks) or {','.join(BAR_COLUMNS)!r} (daily bars)"
    )


def _tick_parser() -> Callable[[_Row], Tick]:
    previous: datetime | None = None

    def parse(row: _Row) -> Tick:
        nonlocal previous
        ts = row.time()
        if previous is not None and ts < previous:
            row.fail("ts", f"rows are in time order, and the row before has {previous.isoformat()}")
        previous = ts
        symbol = row.symbol()
        bid, ask, last = row.price_or_none(2), row.price_or_none(3), row.price_or_none(6)
        if bid is None and ask is None and last is None:
            row.fail("bid", "a tick has at least one of bid, ask and last")
        return Tick(
            ts=ts,
            symbol=symbol,
            bid=bid,
            ask=ask,
            bid_size=row.size_or_none(4, bid),
            ask_size=row.size_or_none(5, ask),
            last=last,
            last_size=row.size_or_none(7, last),
        )

    return parse


def _bar_parser() -> Callable[[_Row], Bar]:
    previous: date | None = None
    symbols_of_day: set[str] = set()

    def parse(row: _Row) -> Bar:
        nonlocal previous
        day = row.date()
        symbol = row.symbol()
        if previous is not None and day < previous:
            row.fail("date", f"rows are in time order, and the row before has {previous}")
        if day != previous:
            symbols_of_day.clear()
        if symbol in symbols_of_day:
            row.fail("symbol", f"a symbol has one bar a day, and this is the second of {day}")
        symbols_of_day.add(symbol)
        previous = day
        opened, high, low, closed = row.price(2), row.price(3), row.price(4), row.price(5)
        if high < max(opened, low, closed):
            row.fail("high", f"the high is the highest of open={opened} low={low} close={closed}")
        if low > min(opened, closed):
            row.fail("low", f"the low is the lowest of open={opened} high={high} close={closed}")
        return Bar(
            ts=datetime.combine(day, MARKET_CLOSE),
            symbol=symbol,
            open=opened,
            high=high,
            low=low,
            close=closed,
            volume=row.size_or_none(6, closed),
        )

    return parse
