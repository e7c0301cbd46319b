"""Requests to the venue: each is handed to this process's gateway, which sends it once however often it is handed in.

This also makes the process a candidate for the session's lease, so that every process that does an order's work can
take the session over.
"""

import asyncio

import azure.durable_functions as df

from fix.message import FieldError
from gateway.gateway import Submission, gateway
from gateway.outbox import Entry
from gateway.wake_ups import hold_session
from trading.messages import Payloads, VenueAnswer, VenueRequest, decoded, encoded

bp = df.Blueprint()


@bp.activity_trigger(input_name="payload")
@bp.durable_client_input(client_name="client")
async def send_to_venue(payload: Payloads, client: df.DurableOrchestrationClient) -> Payloads:
    """Hands in orders (35=D), replaces (35=G) and cancels (35=F), in their order: a `VenueAnswer` for each.

    Where one fails, others may have been handed in. All may be repeated.
    """
    hold_session(client)
    requests = [decoded(plain, VenueRequest) for plain in payload]
    entries = [Entry(order_id=each.order_id, command=each.command, at=each.at) for each in requests]
    answers = await asyncio.to_thread(gateway().submit_all, entries)
    return [encoded(_answer(each)) for each in answers]


def _answer(submission: Submission | FieldError) -> VenueAnswer:
    if isinstance(submission, FieldError):
        return VenueAnswer(refused=str(submission))
    return VenueAnswer(state=submission.state, not_sent=submission.not_sent)
