"""The FIX session's eternal orchestration: it keeps a process warm in which the session's gateway lives.

No more than that. The connection outlives the slices of `run_session`, and every warm process is a candidate for the
session's lease: when a machine dies, its activity stays invisible for a minute, and trading cannot wait for that. Out
of the session's hours nothing is kept warm.
"""

from datetime import UTC, datetime, timedelta

import azure.durable_functions as df

from orchestrators.waiting import Steps

PAUSE_AFTER_FAILURE = timedelta(seconds=5)
LONGEST_SLEEP = timedelta(minutes=30)
"""Out of hours another process is asked after so long: it may be the clock of the first that is wrong."""

bp = df.Blueprint()


@bp.orchestration_trigger(context_name="context")
def fix_session(context: df.DurableOrchestrationContext) -> Steps:
    """One slice after another, each in a generation of its own; out of hours, timers until the next begin."""
    try:
        status = yield context.call_activity("run_session", {})
        context.set_custom_status(status)
        opens_at = status.get("opens_at")
        if opens_at:
            at = datetime.fromisoformat(opens_at).astimezone(UTC)
            yield context.create_timer(min(at, context.current_utc_datetime + LONGEST_SLEEP))
    except Exception as error:  # a bare Exception, whatever went wrong; the host has logged it
        context.set_custom_status({"error": str(error)[:500]})
        yield context.create_timer(context.current_utc_datetime + PAUSE_AFTER_FAILURE)
    context.continue_as_new({})
