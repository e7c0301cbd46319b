"""Calls that block, from an event loop, in the threads that it has for them."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from azure.core.exceptions import AzureError

_log = logging.getLogger("gateway.calls")
T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class Calls:
    """Those of one epoch of `session`."""

    def __init__(self, session: str, pool: Executor) -> None:
        self._session = session
        self._pool = pool

    async def once(self, call: Callable[[], T]) -> T:
        """Raises what the call raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def patiently(self, call: Callable[[], T]) -> T:
        """Do it, however often storage has to be asked; the end of the epoch ends this too."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self.once(call)
            except AzureError as error:
                _log.warning("%s: storage failed, trying again: %s", self._session, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
