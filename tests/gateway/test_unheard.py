"""Requests that the venue has carried out, and of which nothing came back."""

import pytest

from fix import orders as fix
from tests.gateway.conftest import AT, World, cancel_order, entry_order, until
from trading.events import OrderAccepted, OrderCanceled


@pytest.mark.parametrize("honours_resend", [True, False])
def test_what_a_cancel_has_done_unheard_is_found_out_in_the_session_that_sends_it_again(
    world: World, honours_resend: bool
) -> None:
    """The venue says that it had the cancel before, and not what became of it."""
    world.venue.honours_resend = honours_resend
    first = world.logged_on()
    order_id = world.order()
    name, request = f"{order_id}.e1", f"{order_id}.x2"
    first.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.events(order_id))
    world.venue.mute.add(request)
    first.submit(order_id, cancel_order(order_id, request, name), AT)
    until(lambda: world.venue.sent(request))
    first.stop()
    world.venue.statuses[name] = {"ord_status": fix.OrdStatus.CANCELED}
    world.logged_on()
    until(lambda: len(world.events(order_id)) == 2)
    assert [type(event) for event in world.events(order_id)] == [OrderAccepted, OrderCanceled]
    assert [message.get(97) for message in world.venue.sent(request)] == [None, "Y"]
    until(lambda: world.state(request) == "acknowledged")
    assert world.venue.logons == 2
