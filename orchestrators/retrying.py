"""Retries of activities, written out: the SDK's own know one interval, no cap and no end but failure.

A retrying activity beside a cancelled timer in one `task_any` hangs or diverges (azure-functions-durable-python issue
603), so here an activity is awaited by itself, and so is the pause after its failure.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from orchestrators.waiting import Steps

LONGEST_PAUSE = 60
ATTEMPTS = 20
"""In one generation: a failing activity must not make its orchestrator's history long."""

bp = df.Blueprint()


class StillFailingError(Exception):
    """An activity has failed `ATTEMPTS` times: time for a new generation, which begins with a short history."""


def pause_after(failures: int) -> int:
    """Seconds to wait after so many failures in a row: 1, 2, 4, ... and never more than `LONGEST_PAUSE`."""
    return min(1 << min(failures - 1, 10), LONGEST_PAUSE)


def back_off(context: Any, failures: int) -> Steps:
    """Wait, by the machine's clock, before the next attempt."""
    with suppress(Exception):  # a pause that failed is over: what it was for has to go on
        yield context.call_sub_orchestrator("backoff", {"seconds": pause_after(failures)})


def patiently(context: Any, activity: str, payload: object) -> Steps:
    """Call an activity until it succeeds; its result. Raises StillFailingError."""
    for failures in range(1, ATTEMPTS + 1):
        try:
            result = yield context.call_activity(activity, payload)
        except Exception:  # what a failed activity raises has no type of its own; the host has logged it
            yield from back_off(context, failures)
        else:
            return result
    raise StillFailingError(activity)


@bp.orchestration_trigger(context_name="context")
def backoff(context: df.DurableOrchestrationContext) -> Steps:
    """One pause. An orchestration of its own, because in a replay of recorded prices the timers of all others are on
    the market's clock, and how long to leave a struggling storage alone has nothing to do with that."""
    seconds = context.get_input()["seconds"]
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))
