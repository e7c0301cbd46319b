"""The commands as one types them: what is wrong is said in one line, with an exit code."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from player.cli import main
from player.processes import free_port
from player.stack import ROOT


def _player(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "player", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--speed", "-1"], "'-1' is not a speed"),
        (["run", "--speed", "fast"], "'fast' is not a speed"),
        (["run", "--speed", "inf"], "'inf' is not a speed"),
        (["run", "--limit", "0"], "'0' is not a number of rows"),
        (["run", "--from", "2010"], "'2010' is not a day"),
        (["host", "--port", "70000"], "'70000' is not a port"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "required: COMMAND"),
    ],
)
def test_a_wrong_argument_is_named(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_missing_price_file_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    ended = _player("run", "--data", "missing.csv", "--out", str(tmp_path))
    assert (ended.returncode, ended.stderr) == (1, "run: missing.csv: no such file\n")


def test_a_price_file_is_checked_to_its_end_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("date,symbol,open,high,low,close,volume\n2013-10-07,A,1,1,1,1,1\n2013-10-08,A,1,1,1,x,1\n")
    ended = _player("run", "--data", str(path), "--out", str(tmp_path / "out"))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"run: {path}, line 3, column close: 'x' is not right: ")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "logs").exists()


@pytest.mark.parametrize("package", ["player", "venue", "devhost"])
def test_without_the_packages_it_says_how_to_get_them(package: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-S", "-m", package], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "run `make setup` first" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_make_names_the_python_that_it_needs(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    ended = subprocess.run(
        ["make", "setup", "PYTHON=no-such-python"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "Python 3.11 is needed and was not found (tried: no-such-python)" in ended.stderr


def test_make_without_a_target_lists_them() -> None:
    # The tests themselves may run under make, which tells a make below it so and has it print more.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    listed = subprocess.run(
        ["make"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True, env=environ
    ).stdout
    assert [line.split()[1] for line in listed.splitlines()] == [
        "help",
        "setup",
        "run",
        "host",
        "test",
        "bench",
        "bench-engines",
        "histories",
        "crash",
        "chaos",
        "interop",
        "fuzz",
        "lifecycles",
        "mutants",
        "lint",
    ]


@pytest.mark.parametrize("option", ["--port", "--venue-port"])
def test_a_port_in_use_is_named(tmp_path: Path, option: str) -> None:
    ports = {"--port": free_port(), "--venue-port": free_port()}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[option]))
        taken.listen()
        ended = _player("host", *(str(part) for pair in ports.items() for part in pair), "--out", str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr == (
        f"host: port {ports[option]} is in use: end what listens there, or take another with {option}\n"
    )


def test_an_output_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for command in ("run", "host"):
        ended = subprocess.run(
            [sys.executable, "-m", "player", command, "--out", str(tmp_path / "file" / "out")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        assert "nothing can be written there: Not a directory" in ended.stderr
        assert "Traceback" not in ended.stderr
