"""The real thing on a small tick file: all processes, over FIX, in lockstep."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from player.feed import Progress
from player.prices import TICK_COLUMNS
from player.replay import ReplayOptions, replay
from player.stack import ROOT, Stack, StackError

ROWS = 300
QUICK = {"SMA_FAST": "4", "SMA_SLOW": "12", "SMA_VALID_FOR_SECONDS": "10"}


@pytest.fixture(scope="module")
def ticks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random walk of quotes of two symbols, the same each time."""
    path = tmp_path_factory.mktemp("ticks") / "walk.csv"
    choose = random.Random(7)
    mids = {"ABC": Decimal("50.00"), "XYZ": Decimal("20.00")}
    at = datetime(2024, 3, 1, 14, 30, tzinfo=UTC)
    lines = [",".join(TICK_COLUMNS)]
    for _ in range(ROWS):
        at += timedelta(milliseconds=choose.choice((0, 400, 1000)))
        symbol = choose.choice(list(mids))
        mids[symbol] += Decimal(choose.choice((-3, -2, -1, 1, 2, 3))) / 100
        mid = mids[symbol]
        size = choose.choice(("", "100", "1000"))
        ts = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
        lines.append(f"{ts},{symbol},{mid - Decimal('0.01')},{mid},{size},{size},,")
    path.write_text("\n".join(lines) + "\n")
    return path


def _replay(ticks: Path, out: Path, on_progress: Callable[[Stack, Progress], None] = lambda _s, _p: None) -> bool:
    options = ReplayOptions(data=ticks, out=out, settings=QUICK)
    return replay(options, Console(stderr=True), on_progress)


def _read(path: Path) -> Any:
    return msgspec.json.decode(path.read_bytes())


@pytest.mark.timeout(300)  # three whole runs
def test_two_runs_agree_in_every_order_and_a_killed_host_loses_and_doubles_nothing(ticks: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_in_the_middle(stack: Stack, progress: Progress) -> None:
        if progress.rows > ROWS * (len(killed) + 1) // 3 and len(killed) < 2:
            killed.append(stack.host_process.pid)
            os.kill(stack.host_process.pid, signal.SIGKILL)

    assert _replay(ticks, tmp_path / "one")
    assert _replay(ticks, tmp_path / "two")
    assert _replay(ticks, tmp_path / "killed", kill_in_the_middle)

    first = _read(tmp_path / "one" / "summary.json")
    assert first["ticks"] == ROWS
    assert first["signals"] >= 10
    assert first["fills"] >= 10
    assert len(killed) == 2
    orders = (tmp_path / "one" / "orders.json").read_text()
    assert (tmp_path / "two" / "orders.json").read_text() == orders
    assert (tmp_path / "killed" / "orders.json").read_text() == orders


def test_a_run_that_is_told_to_end_leaves_no_process_behind(ticks: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "player", "run", "--data", str(ticks), "--out", str(tmp_path)]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = tmp_path / "logs" / "host.log"
    _until(lambda: log.exists() and "listening on" in log.read_text())
    children = _children(run.pid)
    assert len(children) == 3
    run.send_signal(signal.SIGTERM)
    assert run.wait(15) == 143
    _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


def test_a_venue_that_refuses_the_logon_fails_the_run_with_its_reason(ticks: Path, tmp_path: Path) -> None:
    options = ReplayOptions(data=ticks, out=tmp_path, settings={**QUICK, "FIX_PASSWORD": "wrong"})
    with pytest.raises(StackError, match=r"does not log on: .*\w"):
        replay(options, Console(stderr=True))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
