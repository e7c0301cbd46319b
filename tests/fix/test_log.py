import logging
from datetime import UTC, datetime, timedelta, timezone
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.config import SessionConfig
from fix.log import FileLog, from_line, to_line
from fix.session import Session
from tests.fix.wire import Side, frame, order

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NOW = datetime(2013, 10, 7, 13, 30, 0, 72000, tzinfo=UTC)
SECRET = "tOpS3cReT"


def lines_of(folder: Path, kind: str = "messages") -> list[str]:
    return (folder / f"S.{kind}.log").read_text(encoding="utf-8").splitlines()


# One line, read back exactly


@given(st.binary())
def test_any_bytes_are_one_printable_line(data: bytes) -> None:
    line = to_line(data)
    assert len(line.splitlines()) <= 1
    assert all(character >= " " and not "\x7f" <= character <= "\x9f" for character in line)


@given(st.binary().filter(lambda data: not any(tag in data for tag in (b"96=", b"554=", b"925=", b"1402=", b"1404="))))
def test_a_line_reads_back_as_the_bytes_that_were_logged(data: bytes) -> None:
    assert from_line(to_line(data)) == data


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"35=D\x0111=a\x01", "35=D|11=a|"),
        (b"58=a|b\x01", r"58=a\x7cb|"),
        (rb"58=a\x7cb" + b"\x01", r"58=a\x5cx7cb|"),
        (b"58=a\r\nb\x1b[31m\x01", r"58=a\x0d\x0ab\x1b[31m|"),
        (b"58=caf\xe9 \x85\x01", r"58=café \x85|"),
    ],
)
def test_what_would_break_a_line_is_escaped(data: bytes, line: str) -> None:
    assert to_line(data) == line
    assert from_line(line) == data


# Secrets


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("553=me|554=tOpS3cReT|10=1|", "553=me|554=***|10=1|"),
        ("554=tOpS3cReT|925=tOpS3cReT|98=0|", "554=***|925=***|98=0|"),
        ("95=9|96=tOpS3cReT|98=0|", "95=9|96=***|98=0|"),
        ("95=13|96=ab|tOpS3cReT|98=0|", "95=13|96=***"),
        ("95=12|96=ab|tOpS3cReT|98=0|", "95=12|96=***|98=0|"),
        ("1401=9|1402=tOpS3cReT|1403=9|1404=tOpS3cReT|98=0|", "1401=9|1402=***|1403=9|1404=***|98=0|"),
        # The length of another field is none.
        ("1401=2|96=ab|tOpS3cReT|98=0|", "1401=2|96=***"),
        ("96=tOpS3cReT|98=0|", "96=***"),
        ("95=2|58=x|96=ab|tOpS3cReT|", "95=2|58=x|96=***"),
        # The length lies.
        ("95=2|96=ab|tOpS3cReT|98=0|", "95=2|96=***"),
        ("95=999|96=tOpS3cReT|98=0|", "95=999|96=***"),
        ("95=99999999|96=tOpS3cReT|98=0|", "95=99999999|96=***"),
        # Garbled.
        ("554=ab|tOpS3cReT|98=0|", "554=***|98=0|"),
        ("49=X~554=tOpS3cReT|98=0|", "49=X~554=***|98=0|"),
        ("49=XA96=tOpS3cReT|98=0|", "49=XA96=***"),
        ("0554=tOpS3cReT|98=0|", "0554=***|98=0|"),
        ("554=tOpS3cReT", "554=***"),
        # No secrets.
        ("1554=a|5540=b|396=c|98=0|", "1554=a|5540=b|396=c|98=0|"),
        ("11=dGVzd96==|98=0|", "11=dGVzd96==|98=0|"),
    ],
)
def test_the_value_of_a_secret_is_masked(data: str, line: str) -> None:
    assert to_line(data.replace("|", "\x01").encode()) == line


_PLAIN = st.text(st.sampled_from("abcXYZ ~=\x01\x02\xff0123456789"), max_size=30)


@given(before=_PLAIN, after=_PLAIN, tag=st.sampled_from(["554", "925", "0554", "96", "1402", "1404"]))
def test_no_secret_is_shown_wherever_its_field_stands_and_whatever_is_around_it(
    before: str, after: str, tag: str
) -> None:
    text = f"{before}\x01{tag}={SECRET}{after}"
    assert SECRET not in to_line(text.encode("latin-1"))


@given(before=_PLAIN.filter(lambda text: not text[-1:].isdecimal()), tag=st.sampled_from(["554", "925", "96", "1402"]))
def test_no_secret_is_shown_where_the_delimiter_before_it_was_lost(before: str, tag: str) -> None:
    assert SECRET not in to_line(f"{before}{tag}={SECRET}\x0110=000\x01".encode("latin-1"))


@given(
    data=st.lists(st.sampled_from(["a", "=", "1", "\x01"]), max_size=12).map("".join),
    field=st.sampled_from([(95, 96), (1401, 1402), (1403, 1404)]),
)
def test_no_secret_is_shown_that_holds_delimiters(data: str, field: tuple[int, int]) -> None:
    value = f"{data}{SECRET}{data}"
    line = to_line(f"35=A\x01{field[0]}={len(value)}\x01{field[1]}={value}\x01108=30\x0110=000\x01".encode())
    assert line == f"35=A|{field[0]}={len(value)}|{field[1]}=***|108=30|10=000|"


@given(
    data=st.lists(st.sampled_from(["a", "=", "\x01", "\x01\x01"]), max_size=12).map("".join),
    length=st.one_of(st.integers(-5, 40).map(str), st.text("0123456789x", max_size=9)),
)
def test_no_secret_is_shown_whose_length_lies(data: str, length: str) -> None:
    text = f"35=A\x0195={length}\x0196={data}{SECRET}\x01108=30\x0110=000\x01"
    assert SECRET not in to_line(text.encode())


def test_no_secret_is_shown_in_an_event(tmp_path: Path) -> None:
    log = FileLog(tmp_path, "S")
    log.event(NOW, f"refused: 554={SECRET}")
    log.close()
    assert lines_of(tmp_path, "events") == ["2013-10-07T13:30:00.072000Z refused: 554=***"]


# Files


def test_messages_and_events_are_apart_with_time_and_direction(tmp_path: Path) -> None:
    log = FileLog(tmp_path, "S")
    log.sent(NOW, b"35=0\x01")
    log.received(NOW, b"35=1\x01")
    log.event(NOW, "a\x01line\nbreak \ud800")
    log.flush()
    assert lines_of(tmp_path) == ["2013-10-07T13:30:00.072000Z > 35=0|", "2013-10-07T13:30:00.072000Z < 35=1|"]
    assert lines_of(tmp_path, "events") == [r"2013-10-07T13:30:00.072000Z a|line\x0abreak \ud800"]


def test_times_are_in_utc(tmp_path: Path) -> None:
    log = FileLog(tmp_path, "S")
    log.sent(NOW.astimezone(timezone(timedelta(hours=2))), b"35=0\x01")
    log.close()
    assert lines_of(tmp_path) == ["2013-10-07T13:30:00.072000Z > 35=0|"]


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"utc is 2013-10-07T13:30:00\.072000: it must be a time with a time zone"):
        FileLog(tmp_path, "S").sent(NOW.replace(tzinfo=None), b"35=0\x01")


def test_sessions_whose_names_are_alike_have_their_own_files(tmp_path: Path) -> None:
    for name in ("A/B", "A_B", "../up", "A B"):
        log = FileLog(tmp_path / "log", name)
        log.event(NOW, name)
        log.close()
    assert len(list((tmp_path / "log").glob("*.events.log"))) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_log_goes_on_where_it_was(tmp_path: Path) -> None:
    for name in ("1", "2"):
        log = FileLog(tmp_path, "S")
        log.event(NOW, name)
        log.close()
    assert [line[-1] for line in lines_of(tmp_path, "events")] == ["1", "2"]


def test_what_is_told_after_the_end_is_written_too(tmp_path: Path) -> None:
    log = FileLog(tmp_path, "S")
    log.close()
    log.event(NOW, "late")
    log.close()
    assert len(lines_of(tmp_path, "events")) == 1
    assert log.lost == 0


def test_as_many_files_are_kept_as_were_asked_for(tmp_path: Path) -> None:
    log = FileLog(tmp_path, "S", largest_file=100, keep=3)
    for number in range(20):
        log.sent(NOW, b"34=%d\x01" % number)
        log.flush()
    log.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["S.events.log", *(f"S.messages.log{end}" for end in ("", ".1", ".2", ".3"))]
    kept = [line for end in (".3", ".2", ".1", "") for line in (tmp_path / f"S.messages.log{end}").open()]
    assert [line.split("34=")[1] for line in kept] == [f"{number}|\n" for number in range(20 - len(kept), 20)]
    assert all((tmp_path / name).stat().st_size <= 100 for name in names)


def test_what_is_not_flushed_does_not_fill_the_memory(tmp_path: Path) -> None:
    log = FileLog(tmp_path, "S")
    for _ in range(3):
        log.received(NOW, b"58=" + b"x" * 30_000 + b"\x01")
    assert (tmp_path / "S.messages.log").stat().st_size > 60_000
    log.close()


@pytest.mark.parametrize(("largest_file", "keep"), [(0, 1), (1, 0), (-1, 1)])
def test_limits_below_one_are_refused(tmp_path: Path, largest_file: int, keep: int) -> None:
    with pytest.raises(ValueError, match=f"largest_file is {largest_file} and keep is {keep}"):
        FileLog(tmp_path, "S", largest_file=largest_file, keep=keep)


def test_a_folder_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        FileLog(tmp_path / "file" / "log", "S")


# A disk that fails


class Disk(FileIO):
    """A file whose disk takes `room` bytes more and is full then."""

    room = 1 << 30

    def write(self, data: "ReadableBuffer", /) -> int:
        view = memoryview(data)
        taken = min(view.nbytes, Disk.room)
        if not taken:
            raise OSError(28, "No space left on device")
        Disk.room -= taken
        return super().write(view[:taken])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> type[Disk]:
    monkeypatch.setattr("fix.log.FileIO", Disk)
    monkeypatch.setattr(Disk, "room", 1 << 30)
    return Disk


def test_a_full_disk_is_told_once_counted_and_got_over(
    tmp_path: Path, disk: type[Disk], caplog: pytest.LogCaptureFixture
) -> None:
    log = FileLog(tmp_path, "S")
    disk.room = 50
    for number in range(4):
        for _ in range(5):
            log.sent(NOW, b"34=%d\x01" % number)
        log.flush()
    assert log.lost == 20
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.ERROR
    assert "S.messages.log cannot be written: [Errno 28] No space left on device" in caplog.text
    disk.room = 1 << 30
    log.sent(NOW, b"34=9\x01")
    log.close()
    # No half line before it.
    assert lines_of(tmp_path) == ["2013-10-07T13:30:00.072000Z > 34=9|"]
    disk.room = 0
    log.sent(NOW, b"34=10\x01")
    log.close()
    assert len(caplog.records) == 2


def test_a_file_that_cannot_be_put_aside_does_not_end_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> Path:
        raise PermissionError(13, "Permission denied")

    log = FileLog(tmp_path, "S", largest_file=50)
    log.sent(NOW, b"34=1\x01")
    log.flush()
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", refuse)
        for _ in range(2):
            log.sent(NOW, b"34=2\x01")
            log.flush()
    assert log.lost == 2
    assert len(caplog.records) == 1
    log.sent(NOW, b"34=3\x01")
    log.close()
    assert lines_of(tmp_path) == ["2013-10-07T13:30:00.072000Z > 34=3|"]
    assert (tmp_path / "S.messages.log.1").read_text() == "2013-10-07T13:30:00.072000Z > 34=1|\n"


# With a session


def session_with_log(folder: Path) -> tuple[Side, FileLog]:
    log = FileLog(folder, "S")
    side = Side()
    side.session = Session(SessionConfig("acceptor", "SELF", "PEER"), side.store, log)
    return side, log


def test_a_session_logs_a_logon_and_an_order(tmp_path: Path) -> None:
    side, log = session_with_log(tmp_path)
    side.logs_on(body=f"98=0|108=30|553=me|554={SECRET}")
    side.session.send(order("first"), side.now)
    side.sends()
    log.close()
    shown = [line.split(" ", 1)[1] for line in lines_of(tmp_path)]
    assert [(line[0], line.split("|35=")[1][0]) for line in shown] == [("<", "A"), (">", "A"), (">", "D")]
    assert "|553=me|554=***|" in shown[0]
    assert "|11=first|" in shown[2]


def test_no_frame_of_the_peers_makes_the_log_raise(tmp_path: Path) -> None:
    side, log = session_with_log(tmp_path)
    side.session.connected(side.now)
    side.session.receive(frame(f"35=A|49=PEER|56=SELF|34=1|{'9' * 5000}=1|96={SECRET}"), side.now)
    log.close()
    assert len(lines_of(tmp_path)) >= 1
    assert SECRET not in (tmp_path / "S.messages.log").read_text()
