"""Faults inside a host's process, read by Python at its start because this folder is on PYTHONPATH.

`CHAOS_INSIDE` names a file (`tests/chaos/inside.py`) that begins with three numbers, which may change at any time:

- the offset of the wall clock in seconds: of `datetime.now`, which is all that the app and the host's market clock
  read. Monotonic clocks stay right. So does `time.time()`, by which the development host counts what Azure Storage
  would count: leases of partitions and invisible messages.
- the share of wake-ups (events raised, entities signalled) that are dropped, and of those that go out twice.

Behind them stands how often each had an effect: reads of a wrong clock, wake-ups dropped, and wake-ups repeated.
"""

import ctypes
import gc
import mmap
import os
import random
import struct
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_FORMAT, _COUNTS = "3d", "3q"
_CLOCK, _DROPPED, _REPEATED = range(3)
_CLIENT = "azure.durable_functions.models.DurableOrchestrationClient"


_Read = Callable[[], tuple[float, float, float]]
_Count = Callable[[int], None]


def _inject(path: str) -> None:
    with Path(path).open("r+b") as file:
        numbers = mmap.mmap(file.fileno(), struct.calcsize(_FORMAT) + struct.calcsize(_COUNTS))

    def read() -> tuple[float, float, float]:
        offset, drop, repeat = struct.unpack_from(_FORMAT, numbers)
        return offset, drop, repeat

    def count(which: int) -> None:
        at = struct.calcsize(_FORMAT) + which * 8
        (before,) = struct.unpack_from("q", numbers, at)
        struct.pack_into("q", numbers, at, before + 1)

    _shift_clock(lambda: read()[0], lambda: count(_CLOCK))
    sys.meta_path.insert(0, _ClientFinder(read, count))


def _shift_clock(offset: Callable[[], float], count: Callable[[], None]) -> None:
    """Replace `datetime.now`, for everybody who has the class already, too."""
    genuine = datetime.__dict__["now"]

    def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        found: datetime = genuine.__get__(None, cls)(tz)
        seconds = offset()
        if seconds:
            count()
        return found + timedelta(seconds=seconds)

    (attributes,) = gc.get_referents(datetime.__dict__)
    attributes["now"] = classmethod(now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))


class _ClientFinder(MetaPathFinder):
    """Waits for the SDK's client to be imported."""

    def __init__(self, read: _Read, count: _Count) -> None:
        self._read, self._count = read, count

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != _CLIENT:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ClientLoader(spec.loader, self._read, self._count)
        return spec


class _ClientLoader(Loader):
    def __init__(self, genuine: Any, read: _Read, count: _Count) -> None:
        self._genuine = genuine
        self._read, self._count = read, count

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._genuine.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        self._genuine.exec_module(module)
        client: Any = vars(module)["DurableOrchestrationClient"]
        for name in ("raise_event", "signal_entity"):
            setattr(client, name, _unreliable(getattr(client, name), self._read, self._count))


def _unreliable(genuine: Callable[..., Awaitable[None]], read: _Read, count: _Count) -> Callable[..., Awaitable[None]]:
    async def call(*args: Any, **options: Any) -> None:
        _, drop, repeat = read()
        if random.random() < drop:
            count(_DROPPED)
            return
        await genuine(*args, **options)
        if random.random() < repeat:
            count(_REPEATED)
            await genuine(*args, **options)

    return call


if os.environ.get("CHAOS_INSIDE"):
    _inject(os.environ["CHAOS_INSIDE"])
