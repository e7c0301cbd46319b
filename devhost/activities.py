"""Runs activities, no more at once than the host may.

An activity belongs to no partition: any host with a free slot runs it. How it ended is for the engine to store.
"""

import logging
from collections.abc import Callable, Mapping

from devhost import durable_http
from devhost.app import Function
from devhost.scheduler import Scheduler, Work
from devhost.store import ActivityRow
from devhost.worker import FunctionFailedError, Worker

_LOG = logging.getLogger("devhost")


class Activities:
    """The activities that this host has taken on.

    `functions` are by lower-case name; those in `background` take no slot. `limit` is how many are taken on at once,
    None where this host takes on all there are. `done` is told how each ended: its result's JSON text, or else why it
    failed.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        scheduler: Scheduler,
        worker: Worker,
        *,
        limit: int | None,
        background: set[str],
        done: Callable[[ActivityRow, str | None, str | None], None],
    ) -> None:
        self._functions = functions
        self._scheduler = scheduler
        self._worker = worker
        self._limit = limit
        self._background = background
        self._done = done
        self._taken = 0

    def free_slots(self, promised: int = 0) -> int:
        """How many more may be taken on when so many are promised already; -1 for any number."""
        return -1 if self._limit is None else max(self._limit - self._taken - promised, 0)

    def needs_slot(self, activity: ActivityRow) -> bool:
        """Whether it counts."""
        return activity.name.lower() not in self._background

    def submit(self, activity: ActivityRow) -> None:
        """Run one that this host has claimed."""
        label = f"activity {activity.name} of {activity.instance_id}"
        if self.needs_slot(activity):
            self._taken += 1
            self._scheduler.submit(Work.ACTIVITY, label, lambda: self._run(activity))
        else:
            self._scheduler.submit_background(label, lambda: self._run(activity))

    async def _run(self, activity: ActivityRow) -> None:
        function = self._functions.get(activity.name.lower())
        failed = f"Activity function '{activity.name}' failed:  "
        reason = result = None
        if function is None and activity.name != durable_http.ACTIVITY:
            reason = failed + unknown(activity.name, "activity")
        else:
            try:
                if function is None:
                    result = await durable_http.perform(activity.input or "")
                else:
                    result = await self._worker.activity(function, activity.input)
            except durable_http.RequestFailedError as failure:
                reason = failed + str(failure)
            except FunctionFailedError as failure:
                _LOG.error("activity %s of %s raised", activity.name, activity.instance_id, exc_info=failure.__cause__)
                reason = failed + str(failure)
        if self.needs_slot(activity):
            self._taken -= 1
        self._done(activity, result, reason)


def unknown(name: str, noun: str) -> str:
    """The host's words for a function that there is not."""
    return f"The function '{name}' doesn't exist, is disabled, or is not an {noun} function."
