"""The faults inside a host's process: what `inject/sitecustomize.py` reads, and the host's environment for it."""

import os
import struct
from collections.abc import Mapping
from pathlib import Path

_FORMAT, _COUNTS = "3d", "3q"
_FOLDER = Path(__file__).with_name("inject")


class Inside:
    """The wall clock and the wake-ups of one host, by way of a file that the host has mapped into its memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset = self.drop = self.repeat = 0.0
        path.write_bytes(struct.pack(_FORMAT, 0, 0, 0) + struct.pack(_COUNTS, 0, 0, 0))

    @property
    def environ(self) -> Mapping[str, str]:
        """What the host needs in its environment, besides what it has."""
        known = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([str(_FOLDER), *([known] if known else [])])
        return {"PYTHONPATH": path, "CHAOS_INSIDE": str(self._path)}

    def set(self, *, offset: float | None = None, drop: float | None = None, repeat: float | None = None) -> None:
        """Change what is given; the host sees it at once."""
        self.offset = self.offset if offset is None else offset
        self.drop = self.drop if drop is None else drop
        self.repeat = self.repeat if repeat is None else repeat
        with self._path.open("r+b") as file:
            file.write(struct.pack(_FORMAT, self.offset, self.drop, self.repeat))

    def effects(self) -> tuple[int, int, int]:
        """How often the host has read a wrong clock, dropped a wake-up, and repeated one."""
        clock, dropped, repeated = struct.unpack_from(_COUNTS, self._path.read_bytes(), struct.calcsize(_FORMAT))
        return clock, dropped, repeated
