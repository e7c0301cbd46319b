"""One slice of the FIX session's life."""

import asyncio

import azure.durable_functions as df

from gateway.gateway import gateway
from gateway.wake_ups import hold_session
from storage.settings import settings
from trading.messages import Payload, encoded

bp = df.Blueprint()


@bp.activity_trigger(input_name="payload")
@bp.durable_client_input(client_name="client")
async def run_session(payload: Payload, client: df.DurableOrchestrationClient) -> Payload:
    """Sees to it that this process's gateway runs, stays for a slice, and says how the session stands.

    The gateway lives on between slices, on a thread of its own. A slice ends with the session's hours; out of them it
    takes no time.
    """
    del payload
    hold_session(client)
    await asyncio.sleep(min(settings().slice_seconds, gateway().seconds_open()))
    return encoded(await asyncio.to_thread(gateway().status))
