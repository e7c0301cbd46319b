"""Requests to the venue: each is handed to this process's gateway, which sends it once however often it is handed in.

Each of these also makes the process a candidate for the session's lease, so that every process that does an order's
work can take the session over.
"""

import asyncio

import azure.durable_functions as df

from activities.wake_ups import hold_session
from fix.message import FieldError
from gateway.gateway import gateway
from trading.messages import Payload, VenueAnswer, VenueRequest, decoded, encoded

bp = df.Blueprint()


@bp.activity_trigger(input_name="payload")
@bp.durable_client_input(client_name="client")
async def submit_order(payload: Payload, client: df.DurableOrchestrationClient) -> Payload:
    """A new order (NewOrderSingle, 35=D): `VenueAnswer`."""
    hold_session(client)
    return await asyncio.to_thread(_hand_in, payload)


@bp.activity_trigger(input_name="payload")
@bp.durable_client_input(client_name="client")
async def replace_order(payload: Payload, client: df.DurableOrchestrationClient) -> Payload:
    """A change of a working order (OrderCancelReplaceRequest, 35=G): `VenueAnswer`."""
    hold_session(client)
    return await asyncio.to_thread(_hand_in, payload)


@bp.activity_trigger(input_name="payload")
@bp.durable_client_input(client_name="client")
async def cancel_order(payload: Payload, client: df.DurableOrchestrationClient) -> Payload:
    """A cancel (OrderCancelRequest, 35=F): `VenueAnswer`. `not_sent` says that its order never left and never will."""
    hold_session(client)
    return await asyncio.to_thread(_hand_in, payload)


def _hand_in(payload: Payload) -> Payload:
    request = decoded(payload, VenueRequest)
    try:
        submission = gateway().submit(request.order_id, request.command, request.at)
    except FieldError as error:
        return encoded(VenueAnswer(refused=str(error)))
    return encoded(VenueAnswer(state=submission.state, not_sent=submission.not_sent))
