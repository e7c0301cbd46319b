"""A venue that keeps its state goes on after any end, as if there had been none."""

import asyncio
from decimal import Decimal
from pathlib import Path

from tests.venue.member import PATIENCE, Member, VenueProcess, quote, venue


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
