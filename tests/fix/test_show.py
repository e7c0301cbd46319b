import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.log import from_line, to_line
from fix.message import Message
from fix.show import describe, main

ORDER = "8=FIX.4.4|9=1|35=D|49=DESK|56=VENUE|34=2|52=x|11=first|55=IBM|54=1|10=000|"
CANCEL = "8=FIX.4.4|9=1|35=F|49=DESK|56=VENUE|34=3|52=x|11=second|41=first|54=1|10=000|"
REPORT = "8=FIX.4.4|9=1|35=8|49=VENUE|56=DESK|34=2|52=x|37=first|39=2|10=000|"
HEARTBEAT = "8=FIX.4.4|9=1|35=0|49=VENUE|56=DESK|34=4|52=x|10=000|"
LOG = [
    f"2013-10-07T13:30:00.072000Z > {ORDER}",
    f"2013-10-07T13:30:01.000000Z > {CANCEL}",
    f"2013-10-07T13:30:02.000000Z < {REPORT}",
    f"2013-10-07T13:30:03.000000Z < {HEARTBEAT}",
]
SHOWN_ORDER = "DESK>VENUE     2 NewOrderSingle             ClOrdID=first Symbol=IBM Side=1(Buy)"
NO_TIME = " " * 23


def write(folder: Path, *lines: str) -> str:
    path = folder / "log"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def shown(folder: Path, capsys: pytest.CaptureFixture[str], *lines: str, options: tuple[str, ...] = ()) -> list[str]:
    """What is printed for a log of these lines, all of them good."""
    assert main([*options, write(folder, *lines)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out.splitlines()


def types(lines: list[str]) -> list[str]:
    return [line[26:].split()[2] for line in lines]


@pytest.mark.parametrize(
    ("line", "time", "direction"),
    [
        (LOG[0], "2013-10-07 13:30:00.072", ">"),
        (LOG[0].replace(">", "<", 1), "2013-10-07 13:30:00.072", "<"),
        (f"20131007-13:30:00.072 : {ORDER}", "2013-10-07 13:30:00.072", " "),
        (f"20131007-13:30:00.072345678 : {ORDER}", "2013-10-07 13:30:00.072", " "),
        (f"20131007-13:30:00: {ORDER}".replace("|", "\x01"), "2013-10-07 13:30:00.000", " "),
        (f"20161231-23:59:60.5 : {ORDER}", "2016-12-31 23:59:59.500", " "),
        (ORDER, NO_TIME, " "),
        (ORDER.replace("|", "\x01"), NO_TIME, " "),
        (f"[20131007-13:30:00.072] INFO desk > {ORDER}", "2013-10-07 13:30:00.072", ">"),
        (f"some other engine: {ORDER}\r", NO_TIME, " "),
    ],
)
def test_a_line_of_any_log_is_shown_with_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, time: str, direction: str
) -> None:
    assert shown(tmp_path, capsys, line) == [f"{time} {direction} {SHOWN_ORDER}"]


@pytest.mark.parametrize(
    ("begin_string", "shown_as"),
    [
        ("FIX.4.2", "NewOrderSingle             ClOrdID=first 20001=x"),
        ("FIXT.1.1", "NewOrderSingle             ClOrdID=first 20001=x"),
        ("FIX.9.9", "D                          11=first 20001=x"),
    ],
)
def test_what_has_no_name_keeps_its_number(begin_string: str, shown_as: str) -> None:
    fields = [(8, begin_string), (35, "D"), (49, "A"), (56, "B"), (34, "2"), (11, "first"), (20001, "x")]
    assert describe(Message("D", fields)) == f"A>B     2 {shown_as}"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (r"58=a\x1b[31m\x0ab\x7cc|", r"Text=a\x1b[31m\x0ab\x7cc"),
        ("58=café|", "Text=café"),
        ("58=a=b|", "Text=a=b"),
        ("354=5|355=a|1=b|", "EncodedTextLen=5 EncodedText=a|1=b"),
        ("354=99|355=a|58=b|", "EncodedTextLen=99 EncodedText=a Text=b"),
        ("95=9|96=***|58=b|", "RawDataLength=9 RawData=*** Text=b"),
    ],
)
def test_a_value_is_shown_in_one_line_without_what_a_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: str, text: str
) -> None:
    line = f"2013-10-07T13:30:00.072000Z > 8=FIX.4.4|35=D|{fields}10=000|"
    assert shown(tmp_path, capsys, line) == [f"2013-10-07 13:30:00.072 > ?>?     ? {'NewOrderSingle':<26} {text}"]


@given(st.lists(st.tuples(st.integers(1, 9999), st.text(st.characters(max_codepoint=255), min_size=1)), max_size=5))
def test_any_message_is_shown_in_one_printable_line(fields: list[tuple[int, str]]) -> None:
    text = describe(Message("D", [(8, "FIX.4.4"), (35, "D"), *fields]))
    assert all(character >= " " and not "\x7f" <= character <= "\x9f" for character in text)


@pytest.mark.parametrize("options", [(), ("--raw",)])
@pytest.mark.parametrize("fields", ["553=me|554=tOpS3cReT|", "95=9|96=tOpS3cReT|", "95=3|96=a|tOpS3cReT|"])
@pytest.mark.parametrize(
    "start", ["20131007-13:30:00.072 : 8=FIX.4.4|35=A|", "> 8=FIX.4.4|35=A|", "8=FIX.4.4|", "log "]
)
def test_a_secret_in_another_engines_log_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], start: str, fields: str, options: tuple[str, ...]
) -> None:
    main([*options, write(tmp_path, f"{start}{fields}")])
    printed = capsys.readouterr()
    assert "***" in printed.out + printed.err
    assert "tOpS3cReT" not in printed.out + printed.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ["NewOrderSingle", "OrderCancelRequest", "ExecutionReport"]),
        (("--all",), ["NewOrderSingle", "OrderCancelRequest", "ExecutionReport", "Heartbeat"]),
        (("--type", "D,8"), ["NewOrderSingle", "ExecutionReport"]),
        (("--type", "0"), ["Heartbeat"]),
        (("--order", "first"), ["NewOrderSingle", "OrderCancelRequest", "ExecutionReport"]),
        (("--order", "second"), ["OrderCancelRequest"]),
        (("--order", "third"), []),
        (("--from", "2013-10-07T13:30:01"), ["OrderCancelRequest", "ExecutionReport"]),
        (("--from", "20131007-13:30:01.001"), ["ExecutionReport"]),
        (("--to", "2013-10-07T13:30:01Z"), ["NewOrderSingle", "OrderCancelRequest"]),
        (("--to", "2013-10-07T15:30:00.5+02:00"), ["NewOrderSingle"]),
        (("--type", "F,D", "--order", "first", "--from", "2013-10-07T13:30:01"), ["OrderCancelRequest"]),
    ],
)
def test_only_what_is_asked_for_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], expected: list[str]
) -> None:
    assert types(shown(tmp_path, capsys, *LOG, options=options)) == expected


def test_a_message_without_a_time_is_in_no_span_of_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(tmp_path, capsys, ORDER, options=("--from", "2000-01-01")) == []


def test_raw_messages_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = to_line(b"8=FIX.4.4\x0135=B\x0158=a|b\\\xe9\n\x0110=000\x01")
    raw = shown(tmp_path, capsys, f"2013-10-07T13:30:00.072000Z > {line}", options=("--raw",))
    assert raw == [f"2013-10-07 13:30:00.072 > {line.removesuffix('|')}"]
    assert from_line(raw[0][26:]) == from_line(line.removesuffix("|"))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("rubbish", "no message: 'rubbish'"),
        ("108=FIX|1=2|", "no message: '108=FIX|1=2|'"),
        ("8=FIX.4.4|x=1|", "no message: '8=FIX.4.4|x=1|'"),
        ("8=FIX.4.4|rest|", "no message: '8=FIX.4.4|rest|'"),
        (f"8=FIX|{'9' * 5000}=1|", f"no message: '8=FIX|{'9' * 54}'"),
        (
            f"2013-13-45T00:00:00Z > {ORDER}",
            "no such time: '2013-13-45T00:00:00Z > 8=FIX.4.4|9=1|35=D|49=DESK|56=VENUE|3'",
        ),
    ],
)
def test_a_bad_line_is_said_with_its_number_and_the_others_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, error: str
) -> None:
    name = write(tmp_path, ORDER, "", line, CANCEL)
    assert main([name]) == 0
    printed = capsys.readouterr()
    assert printed.err == f"{name}:3: {error}\n"
    assert types(printed.out.splitlines()) == ["NewOrderSingle", "OrderCancelRequest"]


@given(st.text(max_size=60))
def test_no_line_is_a_traceback(text: str) -> None:
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(f"{text}\n8=FIX.4.4|35=D|{text}\n{text}{ORDER}"))
        patch.setattr("sys.stdout", output)
        patch.setattr("sys.stderr", errors)
        assert main(["-"]) == 0
    assert output.getvalue() or errors.getvalue()


def test_a_missing_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing")
    assert main([missing]) == 2
    assert capsys.readouterr().err == f"{missing} cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "the following arguments are required: FILE"),
        (("--nothing", "-"), "unrecognized arguments: --nothing"),
        (("--from", "noon", "-"), "argument --from: 'noon' is no time: it must be one such as 2013-10-07T13:30"),
        (("--to", "20131307-00:00:00", "-"), "argument --to: '20131307-00:00:00' is no time"),
    ],
)
def test_a_wrong_option_is_said(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], error: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert error in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_colour", "coloured"), [(None, True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_colour: str | None, coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour:
        monkeypatch.setenv("NO_COLOR", no_colour)
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    assert main([write(tmp_path, *LOG)]) == 0
    assert ("\x1b[" in terminal.getvalue()) is coloured


# As a command

COMMAND = [sys.executable, "-m", "fix.show"]


def test_standard_input_may_be_in_any_encoding() -> None:
    given = b"8=FIX.4.4|35=B|58=caf\xe9|\n" + "8=FIX.4.4|35=B|58=café|\n".encode()
    ended = subprocess.run(
        [*COMMAND, "-"], input=given, capture_output=True, env={"PYTHONIOENCODING": "ascii"}, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert [line.split(b"Text=")[1] for line in ended.stdout.splitlines()] == [b"caf?", rb"caf\xe9"]


@pytest.mark.parametrize("lines", [1, 5000])
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, lines: int) -> None:
    name = write(tmp_path, *LOG[:1] * lines)
    # Buffered, as it is unless the environment says otherwise: then even the end of the program writes.
    process = subprocess.Popen([*COMMAND, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={})
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait(60) == 0
