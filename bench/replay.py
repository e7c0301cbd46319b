"""The whole system: how many rows it replays a second in lockstep, and how long an order takes on its way."""

import json
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console

from player.prices import Window
from player.replay import ReplayOptions, replay
from player.report import Summary

_ROWS = 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        sound = replay(ReplayOptions(out=out, window=Window(limit=_ROWS)), Console(quiet=True))
        summary = msgspec.json.decode((out / "summary.json").read_bytes(), type=Summary)
    line = {
        "benchmark": "replay_daily_bars",
        "rows": summary.ticks,
        "rows_per_s": round(summary.ticks / summary.wall_s, 1),
        "orders": summary.orders.total,
        "fills": summary.fills,
        "latency_ms": msgspec.to_builtins(summary.latency_ms),
        "invariants_hold": sound,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
