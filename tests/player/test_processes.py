"""Child processes: they are waited for, they say why they failed, and they never outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from player.processes import Process, ProcessError

_PARENT = """
import sys, time
from pathlib import Path
from player.processes import Process
child = Process("child", ["sleep", "60"], Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""


def _exists(pid: int) -> bool:
    try:
        # A zombie that nobody has waited for is as good as gone.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_it_is_waited_for_and_ended(tmp_path: Path) -> None:
    process = Process("child", _python("import time; print('ready', flush=True); time.sleep(60)"), tmp_path / "log")
    process.start()
    process.wait_until(lambda: process.has_written("ready"))
    assert process.is_running()
    process.stop()
    assert not process.is_running()
    assert not _exists(process.pid)


def test_one_that_ends_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    process = Process("the venue", _python("print('one'); print('port 7 in use'); raise SystemExit(3)"), tmp_path / "l")
    process.start()
    with pytest.raises(
        ProcessError, match=r"the venue ended before it was ready \(exit code 3\): one \| port 7 in use"
    ):
        process.wait_until(lambda: False)


def test_one_that_is_never_ready_is_told(tmp_path: Path) -> None:
    process = Process("the host", ["sleep", "60"], tmp_path / "log")
    process.start()
    with pytest.raises(ProcessError, match="the host is not ready after 0 s"):
        process.wait_until(lambda: False, within=0.1)
    process.stop()


def test_the_words_of_an_earlier_start_do_not_count(tmp_path: Path) -> None:
    process = Process("child", _python("print('ready')"), tmp_path / "log")
    process.start()
    process.wait_until(lambda: process.has_written("ready"))
    process.stop()
    again = Process("child", ["sleep", "60"], tmp_path / "log")
    again.start()
    assert not again.has_written("ready")
    again.stop()


def test_one_that_does_not_listen_to_reason_is_killed_with_its_children(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    )
    log = tmp_path / "log"
    process = Process("child", _python(code), log)
    process.start()
    process.wait_until(lambda: process.has_written("\n"))
    grandchild = int(log.read_text())
    process.stop(grace=0.1)
    assert not process.is_running()
    _until(lambda: not _exists(grandchild))


def test_it_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([*_python(_PARENT), str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert _exists(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    _until(lambda: not _exists(child))
