"""A venue that keeps its state goes on after any end, as if there had been none."""

import asyncio
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from fix.message import Message
from fix.orders import (
    MassStatusReqType,
    OrdType,
    Side,
    TimeInForce,
    new_order_single,
    order_cancel_request,
    order_mass_status_request,
)
from tests.venue.crashes import Fate, World
from tests.venue.desk import AT
from tests.venue.member import PATIENCE, Member, VenueProcess, quote, venue
from venue.inputs import DayEnded, OrderCanceled, OrderRestated, PricesCame, TradeBusted
from venue.prices import Quote


async def _killed(process: VenueProcess) -> None:
    process.process.kill()
    await asyncio.to_thread(process.process.wait, PATIENCE)


async def test_a_venue_that_was_killed_has_its_book_and_its_sessions_again(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with venue(tmp_path, *state) as process:
        member = Member("LIVES")
        await member.log_on(process)
        member.buy("e1", "X", 10, "100")
        member.buy("e1", "X", 10, "100")
        await member.report()
        await member.report()
        await process.prices(quote("X", "99", "100", "4"))
        await member.report()
        before = [await process.get(path) for path in ("/orders", "/executions", "/positions")]
        number = member.session.next_inbound
        await _killed(process)
    await asyncio.wait_for(member.connection.closed(), PATIENCE)
    with venue(tmp_path, *state) as process:
        assert [await process.get(path) for path in ("/orders", "/executions", "/positions")] == before
        seen = await process.get("/state")
        assert (seen["at"], seen["duplicates"]) == ("2013-10-07T13:30:00Z", ["e1"])
        (logon,) = await process.get("/logons")
        assert logon["ended_by"] == "the venue's process ended"
        assert logon["since"] <= logon["until"]
        await process.prices(quote("X", "99", "100", "6"))
        back = Member("LIVES", next_outbound=member.session.next_outbound, next_inbound=number)
        await back.log_on(process)
        fill = await back.report()
        assert (fill.exec_type.value, fill.ord_status.value, fill.cum_qty) == ("F", "2", Decimal(10))


# ---- at every step


def _buy(cl_ord_id: str, quantity: int, limit: str) -> Message:
    return _order(cl_ord_id, Side.BUY, quantity, limit)


def _order(cl_ord_id: str, side: Side, quantity: int, limit: str) -> Message:
    return new_order_single(
        cl_ord_id=cl_ord_id,
        symbol="X",
        side=side,
        order_qty=Decimal(quantity),
        ord_type=OrdType.LIMIT,
        price=Decimal(limit),
        time_in_force=TimeInForce.GTC,
        transact_time=AT,
    )


def _cancel(cl_ord_id: str, orig: str) -> Message:
    return order_cancel_request(cl_ord_id=cl_ord_id, orig_cl_ord_id=orig, symbol="X", side=Side.BUY, transact_time=AT)


def _quote(bid: str, ask: str, size: str) -> PricesCame:
    event = Quote(symbol="X", bid=Decimal(bid), ask=Decimal(ask), bid_size=Decimal(size), ask_size=Decimal(size))
    return PricesCame(received_at=AT, events=[event], at=AT)


def _live_through_a_day(folder: Path, fate: Fate) -> World:
    """All that can happen at a venue, and members that come and go."""
    world = World(folder, fate)
    world.happens(_quote("99", "101", "5"))
    world.sends("A", _buy("a1", 10, "100"), _buy("a2", 10, "90"), _buy("a1", 10, "100"))
    world.sends("B", _order("b1", Side.SELL, 4, "100"))
    world.sends("A", Message("B", [(148, "news")]), Message("D", [(11, "a3"), (55, "X")]), _cancel("a4", "a9"))
    world.leaves("W")
    world.sends("B", _order("b2", Side.SELL, 20, "103"))
    world.leaves("B")
    world.happens(_quote("103", "104", "7"))
    world.happens(OrderRestated(received_at=AT, cl_ord_id="a2", quantity=Decimal(8), session=None))
    world.happens(TradeBusted(received_at=AT, exec_id="E4"))
    world.happens(TradeBusted(received_at=AT, exec_id="E99"))
    world.comes_back("B")
    world.resets("A")
    world.sends("A", _cancel("a5", "a1"), _buy("a6", 3, "101"))
    world.comes_back("W")
    world.happens(OrderCanceled(received_at=AT, cl_ord_id="a2", session=None))
    world.resets("B")
    world.sends("B", _order("b3", Side.SELL, 1, "100"), _order("b4", Side.SELL, 1, "100"))
    world.happens(DayEnded(received_at=AT, at=AT))
    everything = order_mass_status_request(mass_status_req_id="m", mass_status_req_type=MassStatusReqType.ALL_ORDERS)
    world.sends("A", everything)
    return world


def test_whichever_step_it_dies_at_it_has_the_same_book_and_tells_each_member_each_thing_once(tmp_path: Path) -> None:
    undisturbed = _live_through_a_day(tmp_path / "undisturbed", Fate())
    assert [len(told) for told in undisturbed.told.values()] == [14, 8, 11]
    for step in range(undisturbed.fate.steps):
        world = _live_through_a_day(tmp_path / str(step), Fate([step]))
        assert world.kills == 1
        assert (world.told, world.book) == (undisturbed.told, undisturbed.book), f"it died at step {step}"


def test_whichever_step_of_a_reset_it_dies_at_the_session_goes_on(tmp_path: Path) -> None:
    def reset_under_way(folder: Path, fate: Fate) -> World:
        world = World(folder, fate)
        world.sends("A", _buy("a1", 1, "10"), _buy("a2", 1, "10"))
        world.resets("A", _buy("a3", 1, "10"))
        world.sends("A", _buy("a4", 1, "10"))
        return world

    for step in range(reset_under_way(tmp_path / "undisturbed", Fate()).fate.steps):
        told = reset_under_way(tmp_path / str(step), Fate([step])).told["A"]
        names = [dict(fields)[11] for _, fields in told]
        # What is on its way when the numbers begin again may be lost, of either side.
        assert names in (["a1", "a2", "a3", "a4"], ["a1", "a2", "a4"]), f"it died at step {step}"


@given(st.lists(st.integers(0, 30), min_size=2, max_size=12))
@settings(max_examples=40, deadline=None)
def test_however_often_it_dies_nobody_notices(dies_after: list[int]) -> None:
    with TemporaryDirectory() as folder:
        undisturbed = _live_through_a_day(Path(folder, "undisturbed"), Fate())
        world = _live_through_a_day(Path(folder, "dying"), Fate(dies_after))
        assert world.kills > 0
        assert (world.told, world.book) == (undisturbed.told, undisturbed.book)
