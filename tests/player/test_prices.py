"""Price files: what is read, and what every wrong file is told."""

import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.prices import PriceFileError, Window, read_prices, survey
from trading.market import Bar, Tick

TICKS = "ts,symbol,bid,ask,bid_size,ask_size,last,last_size\n"
BARS = "date,symbol,open,high,low,close,volume\n"
GOOD_TICK = "2013-10-07T13:30:00.072Z,IBM,181.69,181.90,200,100,,\n"
GOOD_BAR = "2013-10-07,IBM,10,12,9,11,1000\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "prices.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


def test_ticks_are_read_with_what_is_unknown_left_out(write: Write) -> None:
    path = write(TICKS + GOOD_TICK + "2013-10-07T13:30:00.072Z,IBM,,,,,181.90,200\n")
    ts = datetime(2013, 10, 7, 13, 30, 0, 72000, tzinfo=UTC)
    assert list(read_prices(path)) == [
        Tick(
            ts=ts,
            symbol="IBM",
            bid=Decimal("181.69"),
            ask=Decimal("181.90"),
            bid_size=Decimal(200),
            ask_size=Decimal(100),
        ),
        Tick(ts=ts, symbol="IBM", last=Decimal("181.90"), last_size=Decimal(200)),
    ]


def test_a_bar_is_complete_at_the_close(write: Write) -> None:
    assert list(read_prices(write(BARS + GOOD_BAR))) == [
        Bar(
            ts=datetime(2013, 10, 7, 21, tzinfo=UTC),
            symbol="IBM",
            open=Decimal(10),
            high=Decimal(12),
            low=Decimal(9),
            close=Decimal(11),
            volume=Decimal(1000),
        )
    ]


def test_a_gzipped_file_reads_like_a_plain_one(write: Write) -> None:
    assert list(read_prices(write(TICKS + GOOD_TICK, "p.csv.gz"))) == list(read_prices(write(TICKS + GOOD_TICK)))


def test_a_byte_order_mark_and_carriage_returns_are_no_matter(write: Write) -> None:
    assert len(list(read_prices(write("\ufeff" + (BARS + GOOD_BAR).replace("\n", "\r\n"))))) == 1


def test_a_bid_above_its_ask_is_accepted(write: Write) -> None:
    (tick,) = read_prices(write(TICKS + "2014-05-01T04:00:00Z,EURUSD,1.2,1.1,,,,\n"))
    assert isinstance(tick, Tick)
    assert (tick.bid, tick.ask) == (Decimal("1.2"), Decimal("1.1"))


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        ("2013-10-07T13:30:00,IBM,1,2,,,,", "ts", "2013-10-07T13:30:00"),
        ("2013-10-07T13:30:00+02:00,IBM,1,2,,,,", "ts", "+02:00"),
        ("2013-10-07T25:30:00Z,IBM,1,2,,,,", "ts", "25:30"),
        ("2013-10-07T13:30:00.0000001Z,IBM,1,2,,,,", "ts", "0000001"),
        ("2013-10-07,IBM,1,2,,,,", "ts", "2013-10-07"),
        (",IBM,1,2,,,,", "ts", "''"),
        ("1381152600,IBM,1,2,,,,", "ts", "1381152600"),
        ("2013-10-07T13:29:59Z,IBM,1,2,,,,", "ts", "13:29:59"),
        ("2013-10-07T13:30:01Z,,1,2,,,,", "symbol", "''"),
        ("2013-10-07T13:30:01Z,EUR/USD,1,2,,,,", "symbol", "EUR/USD"),
        ("2013-10-07T13:30:01Z,IBM,abc,2,,,,", "bid", "abc"),
        ("2013-10-07T13:30:01Z,IBM,1,NaN,,,,", "ask", "NaN"),
        ("2013-10-07T13:30:01Z,IBM,1,Infinity,,,,", "ask", "Infinity"),
        ("2013-10-07T13:30:01Z,IBM,-1,2,,,,", "bid", "-1"),
        ("2013-10-07T13:30:01Z,IBM,0,2,,,,", "bid", "'0'"),
        ("2013-10-07T13:30:01Z,IBM,0.00,2,,,,", "bid", "0.00"),
        ("2013-10-07T13:30:01Z,IBM,1e2,2,,,,", "bid", "1e2"),
        ("2013-10-07T13:30:01Z,IBM,1_0,2,,,,", "bid", "1_0"),
        ("2013-10-07T13:30:01Z,IBM,١,2,,,,", "bid", "١"),
        ('2013-10-07T13:30:01Z,IBM,"1,000",2,,,,', "bid", "1,000"),
        ("2013-10-07T13:30:01Z,IBM,1,2,-5,,,", "bid_size", "-5"),
        ("2013-10-07T13:30:01Z,IBM,1,,,5,,", "ask_size", "5"),
        ("2013-10-07T13:30:01Z,IBM,,,,,,5", "bid", "''"),
        ("2013-10-07T13:30:01Z,IBM,,,,,0,5", "last", "'0'"),
        ("2013-10-07T13:30:01Z,IBM,,,,,1,x", "last_size", "x"),
    ],
)
def test_a_wrong_tick_is_named_by_file_line_column_and_value(write: Write, row: str, column: str, value: str) -> None:
    path = write(TICKS + GOOD_TICK + row + "\n")
    with pytest.raises(PriceFileError) as caught:
        list(read_prices(path))
    message = str(caught.value)
    assert f"{path}, line 3, column {column}: " in message
    assert value in message
    assert len(message.partition("is not right: ")[2]) > 10


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("2013-10-8,IBM,10,12,9,11,1", "date"),
        ("2013-13-08,IBM,10,12,9,11,1", "date"),
        ("20131008,IBM,10,12,9,11,1", "date"),
        ("2013-10-06,IBM,10,12,9,11,1", "date"),
        ("2013-10-07,IBM,10,12,9,11,1", "symbol"),
        ("2013-10-08,IBM,13,12,9,11,1", "high"),
        ("2013-10-08,IBM,10,12,9,13,1", "high"),
        ("2013-10-08,IBM,10,8,9,10,1", "high"),
        ("2013-10-08,IBM,10,12,10.5,11,1", "low"),
        ("2013-10-08,IBM,10,12,10,9,1", "low"),
        ("2013-10-08,IBM,,12,9,11,1", "open"),
        ("2013-10-08,IBM,10,12,0,11,1", "low"),
        ("2013-10-08,IBM,10,12,9,nan,1", "close"),
        ("2013-10-08,IBM,10,12,9,11,many", "volume"),
    ],
)
def test_a_wrong_bar_is_named_by_line_and_column(write: Write, row: str, column: str) -> None:
    path = write(BARS + GOOD_BAR + row + "\n")
    with pytest.raises(PriceFileError, match=f"line 3, column {column}: "):
        list(read_prices(path))


@pytest.mark.parametrize("row", ["2013-10-07T13:30:01Z,IBM,1,2,,,", GOOD_TICK.strip() + ",9", "", "x"])
def test_a_row_with_a_wrong_number_of_columns_is_named(write: Write, row: str) -> None:
    with pytest.raises(PriceFileError, match=r"line 3: \d columns, but the header has 8"):
        list(read_prices(write(TICKS + GOOD_TICK + row + "\n")))


@pytest.mark.parametrize("header", ["time,price\n", "ts,symbol,bid,ask\n", GOOD_TICK])
def test_a_wrong_header_is_told_both_right_ones(write: Write, header: str) -> None:
    with pytest.raises(PriceFileError) as caught:
        survey(write(header + GOOD_TICK))
    assert "line 1" in str(caught.value)
    assert TICKS.strip() in str(caught.value)
    assert BARS.strip() in str(caught.value)


@pytest.mark.parametrize(("text", "says"), [("", "is empty"), (TICKS, "no rows after the header")])
def test_a_file_without_prices_is_refused(write: Write, text: str, says: str) -> None:
    with pytest.raises(PriceFileError, match=says):
        survey(write(text))


def test_a_missing_file_a_folder_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.csv.gz").mkdir()
    for name, says in [
        ("missing.csv", "no such file"),
        ("missing.csv.gz", "no such file"),
        ("folder.csv", "cannot be read"),
        ("folder.csv.gz", "cannot be read"),
        ("prices.parquet", r"ends in \.csv or \.csv\.gz"),
    ]:
        with pytest.raises(PriceFileError, match=says):
            survey(tmp_path / name)


def test_a_gzip_file_that_is_cut_off_is_refused_after_the_last_good_line(tmp_path: Path) -> None:
    whole = gzip.compress((TICKS + GOOD_TICK * 1000).encode())
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(whole[:-20])
    with pytest.raises(PriceFileError, match=r"after line \d+: the gzip file is damaged or cut off"):
        survey(path)


def test_a_gzip_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv.gz"
    path.write_text(TICKS + GOOD_TICK)
    with pytest.raises(PriceFileError, match="damaged or cut off"):
        survey(path)


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.csv"
    path.write_bytes(TICKS.encode() + b"\xff\xfe\x00\n")
    with pytest.raises(PriceFileError, match="not UTF-8"):
        survey(path)


def test_a_survey_counts_the_window_only(write: Write) -> None:
    rows = "".join(f"2013-10-{day:02},{symbol},10,12,9,11,1\n" for day in range(1, 11) for symbol in ("A", "B"))
    path = write(BARS + rows)
    window = Window(first_day=date(2013, 10, 3), last_day=date(2013, 10, 5))
    found = survey(path, window)
    assert (found.rows, found.first.day, found.last.day, found.symbols) == (6, 3, 5, ("A", "B"))
    assert survey(path, Window(limit=3)).rows == 3
    with pytest.raises(PriceFileError, match="no rows between 2014-01-01 and its end"):
        survey(path, Window(first_day=date(2014, 1, 1)))


@given(st.text(max_size=200))
def test_any_text_is_either_read_or_refused_by_name(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.csv"
        path.write_text(TICKS + GOOD_TICK + text, encoding="utf-8", newline="", errors="surrogatepass")
        try:
            rows = list(read_prices(path))
        except PriceFileError as error:
            assert str(path) in str(error)  # noqa: PT017  # either outcome is right
        else:
            assert rows
