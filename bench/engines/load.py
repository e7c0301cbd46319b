"""What both engines are asked to carry: orders of 18 fields, reports of 27."""

import json
import statistics
import sys
import time
from collections.abc import Callable

NEW_ORDER = (
    (1, "ACC-1"), (21, "1"), (55, "IBM"), (54, "1"), (60, "20131007-13:30:00.072"), (38, "100"), (40, "2"),
    (44, "182.25"), (59, "0"), (58, "a bracket's entry"),
)  # fmt: skip
"""Besides ClOrdID (11)."""

REPORT = (
    (37, "O-20131007-000123"), (150, "F"), (39, "2"), (1, "ACC-1"), (40, "2"), (59, "0"), (15, "USD"), (32, "100"),
    (31, "182.25"), (30, "XNYS"), (151, "0"), (14, "100"), (6, "182.25"), (60, "20131007-13:30:00.072"), (58, "filled"),
)  # fmt: skip
"""Besides ExecID (17) and what is taken from the order."""

FROM_ORDER = (11, 55, 54, 38, 44)


class Client:
    """Keeps `depth` orders under way until `count` are answered, then prints what that took."""

    def __init__(self, count: int, depth: int, send: Callable[[str], None], done: Callable[[], None]) -> None:
        self._count = count
        self._depth = depth
        self._send = send
        self._done = done
        self._sent_at: dict[str, float] = {}
        self._taken: list[float] = []
        self._next = 0
        self._began = 0.0

    def start(self) -> None:
        self._began = time.perf_counter()
        for _ in range(self._depth):
            self._one()

    def _one(self) -> None:
        self._next += 1
        cl_ord_id = f"ORD-{self._next}"
        self._sent_at[cl_ord_id] = time.perf_counter()
        self._send(cl_ord_id)

    def answered(self, cl_ord_id: str, status: str) -> None:
        now = time.perf_counter()
        assert status == "2"
        self._taken.append(now - self._sent_at.pop(cl_ord_id))
        if len(self._taken) == self._count:
            self._report(now)
            self._done()
        elif self._next < self._count:
            self._one()

    def _report(self, now: float) -> None:
        taken = sorted(self._taken)
        json.dump(
            {
                "p50_us": round(statistics.median(taken) * 1e6, 1),
                "p99_us": round(taken[len(taken) * 99 // 100] * 1e6, 1),
                "round_trips_per_second": round(self._count / (now - self._began)),
            },
            sys.stdout,
        )
        sys.stdout.write("\n")
        sys.stdout.flush()
