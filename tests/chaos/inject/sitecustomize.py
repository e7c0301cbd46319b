"""Faults inside a host's process, read by Python at its start because this folder is on PYTHONPATH.

`CHAOS_INSIDE` names a file of three numbers (`tests/chaos/inside.py`), which may change at any time:

- the offset of the wall clock in seconds: of `datetime.now`, which is all that the app and the host's market clock
  read. Monotonic clocks stay right. So does `time.time()`, by which the development host counts what Azure Storage
  would count: leases of partitions and invisible messages.
- the share of wake-ups (events raised, entities signalled) that are dropped, and of those that go out twice.
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

_FORMAT = "3d"
_CLIENT = "azure.durable_functions.models.DurableOrchestrationClient"


def _inject(path: str) -> None:
    with Path(path).open("rb") as file:
        numbers = mmap.mmap(file.fileno(), struct.calcsize(_FORMAT), access=mmap.ACCESS_READ)

    def read() -> tuple[float, float, float]:
        offset, drop, repeat = struct.unpack(_FORMAT, numbers[:])
        return offset, drop, repeat

    _shift_clock(lambda: read()[0])
    sys.meta_path.insert(0, _ClientFinder(read))


def _shift_clock(offset: Callable[[], float]) -> None:
    """Replace `datetime.now`, for everybody who has the class already, too."""
    genuine = datetime.__dict__["now"]

    def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        found: datetime = genuine.__get__(None, cls)(tz)
        return found + timedelta(seconds=offset())

    (attributes,) = gc.get_referents(datetime.__dict__)
    attributes["now"] = classmethod(now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))


class _ClientFinder(MetaPathFinder):
    """Waits for the SDK's client to be imported."""

    def __init__(self, read: Callable[[], tuple[float, float, float]]) -> None:
        self._read = read

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != _CLIENT:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ClientLoader(spec.loader, self._read)
        return spec


class _ClientLoader(Loader):
    def __init__(self, genuine: Any, read: Callable[[], tuple[float, float, float]]) -> None:
        self._genuine = genuine
        self._read = read

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._genuine.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        self._genuine.exec_module(module)
        client: Any = vars(module)["DurableOrchestrationClient"]
        for name in ("raise_event", "signal_entity"):
            setattr(client, name, _unreliable(getattr(client, name), self._read))


def _unreliable(
    genuine: Callable[..., Awaitable[None]], read: Callable[[], tuple[float, float, float]]
) -> Callable[..., Awaitable[None]]:
    async def call(*args: Any, **options: Any) -> None:
        _, drop, repeat = read()
        if random.random() < drop:
            return
        await genuine(*args, **options)
        if random.random() < repeat:
            await genuine(*args, **options)

    return call


if os.environ.get("CHAOS_INSIDE"):
    _inject(os.environ["CHAOS_INSIDE"])
