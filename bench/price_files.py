"""How fast a price file is read and checked, and turned into the steps of a replay."""

import json
import tempfile
import time
from pathlib import Path

from player.prices import read_prices
from player.samples import sample_prices
from player.steps import steps


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = sample_prices(Path(folder))
        started = time.perf_counter()
        rows = sum(1 for _ in read_prices(path))
        read = time.perf_counter() - started
        started = time.perf_counter()
        count = sum(1 for _ in steps(read_prices(path)))
        stepped = time.perf_counter() - started
    print(json.dumps({"benchmark": "read_bar_file", "rows": rows, "rows_per_s": round(rows / read)}))
    print(json.dumps({"benchmark": "read_and_step_bar_file", "steps": count, "steps_per_s": round(count / stepped)}))


if __name__ == "__main__":
    main()
