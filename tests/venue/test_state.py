"""A venue that keeps its state goes on after any end, as if there had been none."""

import asyncio
import random
from contextlib import AbstractContextManager, ExitStack
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fix.events import LoggedOn, MessageReceived, SessionEvent
from fix.message import Message
from fix.orders import (
    ExecutionReport,
    MassStatusReqType,
    OrdType,
    Side,
    TimeInForce,
    new_order_single,
    order_cancel_request,
    order_mass_status_request,
    read_execution_report,
)
from tests.venue.crashes import Fate, World
from tests.venue.desk import AT
from tests.venue.member import PATIENCE, Member, VenueProcess, quote, venue
from venue.inputs import DayEnded, OrderCanceled, OrderRestated, PricesCame, TradeBusted
from venue.prices import Quote
from venue.state import StateError, StateFile


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


async def test_a_venue_that_ends_in_good_form_goes_on_the_same_way(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with venue(tmp_path, *state) as process:
        member = Member("ENDS")
        await member.log_on(process)
        member.buy("e1", "X", 10, "100")
        await member.report()
        process.process.terminate()
        await asyncio.to_thread(process.process.wait, PATIENCE)
        assert process.process.returncode == 0
        assert "Traceback" not in process.log.read_text()
    await asyncio.wait_for(member.connection.closed(), PATIENCE)
    with venue(tmp_path, *state) as process:
        assert [order["cl_ord_ids"] for order in await process.get("/orders")] == [["e1"]]
        (logon,) = await process.get("/logons")
        assert logon["ended_by"] == "the peer logged out"
        session = member.session
        back = Member("ENDS", next_outbound=session.next_outbound, next_inbound=session.next_inbound)
        await back.log_on(process)
        back.cancel("e2", "e1", "X")
        assert (await back.report()).exec_type.value == "4"


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


# ---- a real process and real kills


class _Day:
    """A member that trades by a script, at a venue that is killed after some of its requests."""

    def __init__(self, folder: Path, kills: dict[int, float]) -> None:
        self._folder = folder
        self._kills = kills
        self._running = ExitStack()
        self._member = Member("SCRIPT")
        self.told: list[ExecutionReport] = []

    async def run(self) -> dict[str, Any]:
        """What the venue has in the end, but for the machine's times."""
        self._process = self._running.enter_context(self._venue())
        try:
            await self._process.prices(quote("X", "99", "100"))
            await self._log_on()
            for number in range(60):
                expected = len(self.told) + self._ask(number)
                if number in self._kills:
                    # No wait for anything: it is to die in the middle of whatever it does then.
                    await asyncio.sleep(self._kills[number])
                    await self._kill_and_begin_again()
                while len(self.told) < expected:
                    self._note(await self._member.event())
            seen = {path: await self._process.get(path) for path in ("/orders", "/executions", "/positions")}
            self.logons = await self._process.get("/logons")
        finally:
            self._running.close()
        for each in (*seen["/orders"], *seen["/executions"]):
            each.pop("received_at", None)
            each.pop("executed_at", None)
        return seen

    def _ask(self, number: int) -> int:
        """How many reports it makes."""
        match number % 4:
            case 0:
                self._member.buy(f"s{number}", "X", number + 1, "90")
                return 1
            case 1:
                self._member.replace(f"s{number}", f"s{number - 1}", "X", number + 5, "91")
                return 1
            case 2:
                self._member.cancel(f"s{number}", f"s{number - 1}", "X")
                return 1
            case _:
                self._member.place(f"s{number}", "X", Side.BUY, number)
                return 2

    def _venue(self) -> AbstractContextManager[VenueProcess]:
        return venue(self._folder, "--state", str(self._folder / "state"))

    async def _kill_and_begin_again(self) -> None:
        await _killed(self._process)
        await asyncio.wait_for(self._member.connection.closed(), PATIENCE)
        self._running.close()
        self._process = self._running.enter_context(self._venue())
        await self._log_on()

    async def _log_on(self) -> None:
        await self._member.connect(self._process)
        while not isinstance(event := await self._member.event(), LoggedOn):
            self._note(event)

    def _note(self, event: SessionEvent) -> None:
        if isinstance(event, MessageReceived):
            self.told.append(read_execution_report(event.message))


async def test_a_process_that_is_killed_again_and_again_trades_like_one_that_lives(tmp_path: Path) -> None:
    undisturbed = _Day(tmp_path / "undisturbed", {})
    chance = random.Random(6)
    often_killed = _Day(tmp_path / "killed", {number: chance.random() * 0.004 for number in range(2, 60, 5)})
    (tmp_path / "undisturbed").mkdir()
    (tmp_path / "killed").mkdir()
    assert await often_killed.run() == await undisturbed.run()
    assert often_killed.told == undisturbed.told
    ends = [logon["ended_by"] for logon in often_killed.logons]
    assert ends == ["the venue's process ended"] * 12 + [None]
    times = [logon[name] for logon in often_killed.logons for name in ("since", "until") if logon[name]]
    assert times == sorted(times), "two logons at once"


async def test_what_a_fault_has_lost_stays_lost_and_a_report_that_was_held_leaves_after_a_restart(
    tmp_path: Path,
) -> None:
    state = ("--state", str(tmp_path / "state"))
    with venue(tmp_path, *state) as process:
        member = Member("FAULTY")
        await member.log_on(process)
        for action, direction, name in (
            ("lose", "outbound", "lost"),
            ("hold", "outbound", "held"),
            ("hold", "inbound", "kept out"),
        ):
            await process.post("/faults", {"direction": direction, "action": action, "fields": {"11": name}})
        for name in ("lost", "held", "kept out", "told"):
            member.buy(name, "X", 1, "90")
        assert (await member.report()).cl_ord_id == "told"
        number = member.session.next_inbound
        await _killed(process)
    await asyncio.wait_for(member.connection.closed(), PATIENCE)
    with venue(tmp_path, *state) as process:
        back = Member("FAULTY", next_outbound=member.session.next_outbound, next_inbound=number)
        await back.log_on(process)
        assert (await back.report()).cl_ord_id == "held"
        back.buy("kept out", "X", 1, "90")
        assert (await back.report()).cl_ord_id == "kept out"
        assert [order["cl_ord_ids"] for order in await process.get("/orders")] == [
            ["lost"],
            ["held"],
            ["told"],
            ["kept out"],
        ]


# ---- whose file it is


def test_a_folder_is_for_one_process_and_one_set_of_drop_copies(tmp_path: Path) -> None:
    state = StateFile(tmp_path, "VENUE", {"A": "W"}, AT)
    with pytest.raises(StateError, match="another process has it open"):
        StateFile(tmp_path, "VENUE", {"A": "W"}, AT)
    state.close()
    with pytest.raises(
        StateError, match=r"is of a venue with --comp-id VENUE and --drop-copy A=W: begin with the same"
    ):
        StateFile(tmp_path, "VENUE", {"A": "B"}, AT)
    with pytest.raises(StateError, match=r"is of a venue with --comp-id VENUE"):
        StateFile(tmp_path, "OTHER", {"A": "W"}, AT)
    StateFile(tmp_path, "VENUE", {"A": "W"}, AT).close()


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "venue.sqlite").write_text("a diary, and no database at all: " * 100)
    with pytest.raises(StateError, match=r"venue\.sqlite cannot be used: file is not a database"):
        StateFile(tmp_path, "VENUE", {}, AT)
    assert (tmp_path / "venue.sqlite").read_text().startswith("a diary")
