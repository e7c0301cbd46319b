"""From market data to orders: one run for each batch, one at a time for each partition of the hub.

The instance id, `signals-{hub}-{partition}`, sees to that: an id that is running cannot be started again.
"""

from contextlib import suppress

import azure.durable_functions as df

from orchestrators.retrying import StillFailingError, patiently
from orchestrators.waiting import Steps
from trading.messages import Alert, MarketBatch, decoded, encoded

bp = df.Blueprint()


@bp.orchestration_trigger(context_name="context")
def signal_pipeline(context: df.DurableOrchestrationContext) -> Steps:
    """Works out the signals of one batch and starts their orders. Input: `MarketBatch`. Result: how many there were.

    Both activities may be repeated: the same batch gives the same signals, and an order id is taken only once. So the
    run goes on until both have succeeded, and the partition waits for it: a batch left out would not come back.
    """
    batch = context.get_input()
    try:
        placements = yield from patiently(context, "generate_signals", batch)
        if placements:
            yield from patiently(context, "start_orders", placements)
    except StillFailingError as failing:
        alert = Alert(
            code="PIPELINE_FAILS",
            text=f"{failing} keeps failing and is tried on; the partition waits",
            order_id=context.instance_id,
            key=f"PIPELINE_FAILS-{_last_number(batch)}",
        )
        with suppress(Exception):  # the host has logged it; the next generation says it again
            yield context.call_activity("raise_alerts", [encoded(alert)])
        context.continue_as_new(batch)
        return None
    return {"orders": len(placements)}


def _last_number(batch: object) -> int:
    """Which batch it is, of its partition."""
    return max((each.number for each in decoded(batch, MarketBatch).events), default=0)
