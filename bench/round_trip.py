"""What a request of the player costs: a round trip to the venue's control port over the kept connection."""

import json
import sys
import tempfile
import time
from pathlib import Path

from player.client import Client
from player.processes import Process, free_port

_REQUESTS = 2000


def main() -> None:
    port = free_port()
    command = [sys.executable, "-m", "venue", "--fix-port", "0", "--control-port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        venue = Process("the venue", command, Path(folder) / "venue.log")
        venue.start()
        try:
            venue.wait_until(lambda: venue.has_written("venue: FIX on"))
            client = Client(port)
            taken = []
            for _ in range(_REQUESTS):
                started = time.perf_counter()
                client.get("/state")
                taken.append((time.perf_counter() - started) * 1000)
            client.close()
        finally:
            venue.stop()
    taken.sort()
    p50, p99 = (round(taken[len(taken) * percent // 100], 3) for percent in (50, 99))
    print(json.dumps({"benchmark": "control_round_trip", "requests": _REQUESTS, "p50_ms": p50, "p99_ms": p99}))


if __name__ == "__main__":
    main()
