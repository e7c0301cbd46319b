"""Requests to the venue: each is handed to this process's gateway, which sends it once however often it is handed in.

This also makes the process a candidate for the session's lease, so that every process that does an order's work can
take the session over.
"""

import asyncio

import azure.durable_functions as df

from activities.wake_ups import hold_session
from fix.message import FieldError
from gateway.gateway import gateway
from trading.messages import Payloads, VenueAnswer, VenueRequest, decoded, encoded

bp = df.Blueprint()


@bp.activity_trigger(input_name="payload")
@bp.durable_client_input(client_name="client")
async def send_to_venue(payload: Payloads, client: df.DurableOrchestrationClient) -> Payloads:
    """Hands in orders (35=D), replaces (35=G) and cancels (35=F), one after another: a `VenueAnswer` for each.

    Where one fails, those before it are handed in, and all may be repeated.
    """
    hold_session(client)
    requests = [decoded(plain, VenueRequest) for plain in payload]
    return await asyncio.to_thread(lambda: [encoded(_hand_in(request)) for request in requests])


def _hand_in(request: VenueRequest) -> VenueAnswer:
    try:
        submission = gateway().submit(request.order_id, request.command, request.at)
    except FieldError as error:
        return VenueAnswer(refused=str(error))
    return VenueAnswer(state=submission.state, not_sent=submission.not_sent)
