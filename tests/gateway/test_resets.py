"""Both sides begin again at 1 when an operator wants it, whatever dies on the way; and nobody else makes them."""

from concurrent.futures import Future

import pytest

from fix.transport import read_clocks
from gateway.gateway import Gateway
from gateway.lease import ROW_KEY
from gateway.resets import explained
from storage.tables import Row
from tests.gateway.conftest import AT, Stalled, World, entry_order, until
from tests.gateway.test_takeover import steal
from trading.journal import JournalRow


def change_lease(world: World, **values: object) -> None:
    row: Row = world.tables.sessions.get_entity(world.session, ROW_KEY)
    world.tables.sessions.update_entity({**row, **values})


def has_begun_again(world: World, gateway: Gateway, generation: int) -> bool:
    status = gateway.status()
    return status.logged_on and not status.busy and status.generation == generation and not status.reset_wanted


def test_a_reset_begins_the_numbers_at_one_on_both_sides_and_a_new_generation(world: World) -> None:
    gateway = world.logged_on()
    first, second = world.order(), world.order()
    gateway.submit(first, entry_order(first), AT)
    until(lambda: world.woken)
    gateway.reset()
    until(lambda: has_begun_again(world, gateway, 2))
    logon = world.venue.logon_messages[-1]
    assert (logon.require(34), logon.get(141)) == ("1", "Y")
    assert not gateway.reset_is_wanted()
    gateway.submit(second, entry_order(second), AT)
    # Its report has the number that the first order's had.
    until(lambda: world.journal.read(second))
    assert len(world.venue.sent(f"{first}.e1")) == len(world.venue.sent(f"{second}.e1")) == 1
    lease = world.lease()
    assert (lease.generation, lease.block_start, lease.reset, lease.window_epoch) == (2, 1, False, 1)


def test_a_reset_that_another_process_is_asked_for_is_found_by_the_holder(world: World) -> None:
    world.venue.refuse = "MsgSeqNum too low, expecting 57 but received 1"
    holder = world.gateway()
    until(lambda: "POST /api/session/reset" in holder.status().text)
    elsewhere = Gateway(world.settings, world.tables, None)
    for _ in range(2):
        elsewhere.reset()
    assert elsewhere.reset_is_wanted()
    until(lambda: holder.status().generation == 2 and holder.status().reset_wanted)
    until(lambda: world.venue.logon_messages[-1].get(141) == "Y")
    world.venue.refuse = None
    until(lambda: has_begun_again(world, holder, 2))
    assert not elsewhere.reset_is_wanted()


def test_a_session_that_comes_again_after_a_reset_does_not_reset_again(world: World) -> None:
    gateway = world.logged_on()
    gateway.reset()
    until(lambda: has_begun_again(world, gateway, 2))
    world.venue.cut()
    until(lambda: world.venue.logons == 3 and gateway.status().logged_on)
    assert world.venue.logon_messages[-1].get(141) is None
    gateway.stop()
    world.logged_on()
    assert world.venue.logon_messages[-1].get(141) is None
    assert world.lease().generation == 2


def test_a_reset_outlives_the_holder_that_was_to_do_it(world: World) -> None:
    """It dies with the request stored, and nothing done."""
    first = world.logged_on()
    first.stop()
    first.reset()
    second = world.gateway()
    until(lambda: has_begun_again(world, second, 2))
    assert world.venue.logon_messages[-1].get(141) == "Y"


@pytest.mark.parametrize("venue_has_answered", [False, True])
def test_a_holder_that_dies_between_its_reset_and_the_answer_is_followed_by_another_reset(
    world: World, venue_has_answered: bool
) -> None:
    """Nobody knows by which numbers the venue counts; a report of its first answer must not hide one of the second."""
    first = world.logged_on()
    first.stop()
    change_lease(world, reset=True)
    if venue_has_answered:
        second = world.gateway()
        until(lambda: has_begun_again(world, second, 2))
        second.stop()
        change_lease(world, reset=True)  # as if its last write had not come through
    else:
        world.venue.refuse = "not now"
        second = world.gateway()
        until(lambda: world.venue.logon_messages[-1].get(141) == "Y")
        second.stop()
        world.venue.refuse = None
    assert world.lease().reset
    third = world.gateway()
    until(lambda: has_begun_again(world, third, 3))
    assert world.venue.logon_messages[-1].get(141) == "Y"
    order_id = world.order()
    third.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.journal.read(order_id))


def test_what_is_uncertain_is_asked_about_after_a_reset(world: World, stalled: Stalled) -> None:
    order_id = world.order()
    cl_ord_id = f"{order_id}.e1"
    world.venue.mute.add(cl_ord_id)
    stalled.gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.venue.sent(cl_ord_id, "D"))
    stalled.stall()
    elsewhere = Gateway(world.settings, world.tables, None)
    elsewhere.reset()
    successor = world.gateway()
    until(lambda: has_begun_again(world, successor, 2))
    assert world.venue.sent(cl_ord_id, "H")
    assert len(world.venue.sent(cl_ord_id, "D")) == 1
    until(lambda: world.state(cl_ord_id) == "acknowledged")


def test_a_reset_waits_until_what_has_come_is_delivered(world: World) -> None:
    """After it, the venue would not send it again."""
    stuck = True

    def wake(rows: list[JournalRow]) -> "Future[None]":
        if stuck:
            raise ConnectionError("nobody there")
        return world.wake(rows)

    gateway = world.gateway(wake)
    until(lambda: gateway.status().logged_on)
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.journal.read(order_id))
    gateway.reset()
    until(lambda: not world.venue.online)
    assert gateway.status().reset_wanted
    assert gateway.reset_is_wanted()
    assert not gateway.status().logged_on
    stuck = False
    until(lambda: has_begun_again(world, gateway, 2))
    assert world.woken[: len(world.journal.read(order_id))] == world.journal.read(order_id)


def test_a_reset_is_not_lost_with_a_lease_that_is_stolen_meanwhile(world: World) -> None:
    gateway = world.logged_on()
    elsewhere = Gateway(world.settings, world.tables, None)
    elsewhere.reset()
    steal(world, released=True)
    until(lambda: has_begun_again(world, gateway, 2))


def test_a_reset_that_the_venue_begins_is_refused_and_a_human_learns_the_way_out(world: World) -> None:
    """What it had still to send again would be dropped unseen; and no number is used that is not written down."""
    gateway = world.logged_on()
    before = world.lease()

    def begin_again() -> None:
        assert world.venue.connection is not None
        world.venue.connection._handle(world.venue.session.reset(read_clocks()))

    world.venue.call(begin_again)
    until(lambda: "ResetSeqNumFlag (141) was not asked for" in gateway.status().text)
    assert "POST /api/session/reset has both sides begin again at 1" in gateway.status().text
    assert world.lease().generation == before.generation
    gateway.reset()
    until(lambda: has_begun_again(world, gateway, before.generation + 1))


def test_numbers_that_the_venue_skips_are_not_waited_for(world: World) -> None:
    """SequenceReset in its Reset mode (123=N) leads forward only: no number means two messages."""
    gateway = world.logged_on()

    def skip() -> None:
        session = world.venue.session
        session._transmit("4", [(123, "N"), (36, "500")])
        session._next_outbound = 500
        assert world.venue.connection is not None
        world.venue.connection._flush()

    world.venue.call(skip)
    until(lambda: gateway.status().next_inbound == 500)
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.woken)
    gateway.stop()
    assert world.lease().inbound == world.venue.session.next_outbound
    assert world.lease().generation == 1


@pytest.mark.parametrize(
    "reason",
    [
        "the Logon was refused: MsgSeqNum too low, expecting 57 but received 2",
        "MsgSeqNum too low, expecting 7 but received 3",
        "the Logon was refused: Sequence number lower than expected",
        "ResetSeqNumFlag (141) was not asked for and is not agreed",
    ],
)
def test_why_the_venues_numbers_do_not_fit_is_told_with_both_numbers_and_the_way_out(reason: str) -> None:
    text = explained(reason, sent=2, expected=9)
    assert text.startswith(reason)
    assert "our Logon had MsgSeqNum 2, the next of the venue's had to be 9; POST /api/session/reset" in text


@pytest.mark.parametrize("reason", ["connection refused", "the Logon was refused: wrong password", "no answer"])
def test_another_reason_is_told_as_it_is(reason: str) -> None:
    assert explained(reason, sent=2, expected=9) == reason
