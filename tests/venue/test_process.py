"""The venue as others see it: a process, FIX on a socket, HTTP."""

import asyncio
import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from fix.events import Disconnect, LoggedOut
from fix.message import Message
from fix.orders import (
    ExecutionReport,
    MassStatusReqType,
    Side,
    order_mass_status_request,
    order_status_request,
    read_business_message_reject,
    read_execution_report,
    read_order_cancel_reject,
)
from tests.fix.wire import frame
from tests.venue.desk import AT
from tests.venue.member import PASSWORD, PATIENCE, USER, Member, VenueProcess, command, quote, venue


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    """One venue for the tests of this module, each with its own CompID and symbol."""
    with venue(tmp_path_factory.mktemp("venue"), "--username", USER, "--password", PASSWORD) as process:
        yield process


# ---- start and end


async def test_it_logs_its_members_out_and_ends_on_sigterm(tmp_path: Path) -> None:
    with venue(tmp_path) as process:
        member = Member("TERM")
        await member.log_on(process)
        process.process.send_signal(signal.SIGTERM)
        assert isinstance(await member.event(), LoggedOut)
        assert isinstance(await member.event(), Disconnect)
        await asyncio.to_thread(process.process.wait, PATIENCE)
        assert process.process.returncode == 0
        assert "Traceback" not in process.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--control-port", "0"], "--fix-port"),
        (["--fix-port", "http", "--control-port", "0"], "'http' is not a port"),
        (["--fix-port", "0", "--control-port", "65536"], "'65536' is not a port"),
        (["--fix-port", "0", "--control-port", "0", "--username", "u"], "--username and --password go together"),
        (["--fix-port", "0", "--control-port", "0", "--port", "1"], "unrecognized arguments: --port"),
        (["--fix-port", "0", "--control-port", "0", "--drop-copy", "A="], "'A=' is not MEMBER=COPY"),
        (["--fix-port", "0", "--control-port", "0", "--drop-copy", "A=B", "--drop-copy", "A=C"], "named twice"),
        (["--fix-port", "0", "--control-port", "0", "--drop-copy", "A=B", "--drop-copy", "B=C"], "has no copy"),
        (["--fix-port", "0", "--control-port", "0", "--state", "/dev/null/x"], "--state /dev/null/x: "),
    ],
)
def test_wrong_arguments_end_it_with_one_line(arguments: list[str], said: str) -> None:
    _ends_with_one_line(arguments, said)


@pytest.mark.parametrize("option", ["--fix-port", "--control-port"])
def test_a_port_in_use_ends_it_with_one_line(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        other = "--control-port" if option == "--fix-port" else "--fix-port"
        _ends_with_one_line([option, port, other, "0"], f"{option} {port} is in use")


def _ends_with_one_line(arguments: list[str], said: str) -> None:
    ended = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("venue: ")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


# ---- logon


async def test_wrong_credentials_are_refused_and_only_the_user_is_named(exchange: VenueProcess) -> None:
    member = Member("LIAR", password="guessed")
    await member.connect(exchange)
    assert (await member.refused()).endswith(f": wrong credentials for user {USER}")
    log = exchange.log.read_text()
    assert "guessed" not in log
    assert PASSWORD not in log
    state = await exchange.get("/state")
    assert "FIX.4.4-VENUE-LIAR" not in [session["session"] for session in state["sessions"]]


async def test_a_logon_for_another_venue_is_not_answered(exchange: VenueProcess) -> None:
    member = Member("LOST", target="ELSEWHERE")
    await member.connect(exchange)
    await asyncio.wait_for(member.connection.closed(), PATIENCE)
    assert member.session.next_inbound == 1


async def test_a_new_logon_ends_the_old_connection_and_goes_on_with_the_numbers(exchange: VenueProcess) -> None:
    first = Member("TWICE")
    await first.log_on(exchange)
    first.buy("twice.e1", "TWICE", 1, "10")
    await first.report()
    second = Member("TWICE", next_outbound=first.session.next_outbound, next_inbound=first.session.next_inbound)
    await second.log_on(exchange)
    await asyncio.wait_for(first.connection.closed(), PATIENCE)
    second.buy("twice.e2", "TWICE", 1, "10")
    assert (await second.report()).cl_ord_id == "twice.e2"


async def test_bytes_that_come_on_the_old_connection_after_a_new_logon_change_nothing(exchange: VenueProcess) -> None:
    def said(msg_type: str, number: int, body: str) -> bytes:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.000")
        return frame(f"35={msg_type}|49=STALE|56=VENUE|34={number}|52={stamp}|{body}")

    order = "11=stale.e1|21=1|55=STALE|54=1|60=20131007-13:30:00|38=1|40=2|44=10|59=1"
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.fix_port)
    writer.write(said("A", 1, f"98=0|108=30|553={USER}|554={PASSWORD}"))
    assert b"35=A" in await asyncio.wait_for(reader.read(4096), PATIENCE)
    successor = Member("STALE", next_outbound=2, next_inbound=2)
    await successor.log_on(exchange)
    writer.write(said("D", 2, order) + said("D", 3, order))
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    successor.buy("stale.e2", "STALE", 1, "10")
    assert (await successor.report()).cl_ord_id == "stale.e2"
    (known,) = await exchange.get("/orders?session=FIX.4.4-VENUE-STALE")
    assert known["cl_ord_ids"] == ["stale.e2"]
    writer.close()


async def test_a_logon_that_is_refused_leaves_the_session_that_is_on_alone(exchange: VenueProcess) -> None:
    member, liar = Member("ROBBED"), Member("ROBBED", password="guessed")
    await member.log_on(exchange)
    await liar.connect(exchange)
    await asyncio.wait_for(liar.connection.closed(), PATIENCE)
    member.buy("robbed.e1", "ROBBED", 1, "10")
    assert (await member.report()).cl_ord_id == "robbed.e1"
    assert [each["until"] for each in await exchange.get("/logons?session=FIX.4.4-VENUE-ROBBED")] == [None]


# ---- orders


async def test_an_order_is_placed_replaced_and_cancelled(exchange: VenueProcess) -> None:
    member = Member("LIFE")
    await member.log_on(exchange)
    member.buy("life.e1", "LIFE", 10, "99.50")
    member.replace("life.e2", "life.e1", "LIFE", 7, "99.25")
    member.cancel("life.x3", "life.e2", "LIFE")
    member.cancel("life.x4", "life.e2", "LIFE")
    reports = [await member.report() for _ in range(3)]
    assert [(report.exec_type.value, report.cl_ord_id, report.orig_cl_ord_id) for report in reports] == [
        ("0", "life.e1", None),
        ("5", "life.e2", "life.e1"),
        ("4", "life.x3", "life.e2"),
    ]
    assert reports[1].price == Decimal("99.25")
    reject = read_order_cancel_reject(await member.message())
    assert (reject.cxl_rej_reason, reject.ord_status.value, reject.cl_ord_id) == (0, "4", "life.x4")


async def test_prices_fill_orders_at_the_time_they_carry(exchange: VenueProcess) -> None:
    member = Member("FILL")
    await member.log_on(exchange)
    member.buy("fill.e1", "FILL", 10, "100")
    await member.report()
    assert await exchange.prices(quote("FILL", "99", "101")) == 0
    assert await exchange.prices(quote("FILL", "99", "100", "4"), at="2013-10-07T13:30:00.072Z") == 1
    first = await member.report()
    assert await exchange.prices({"kind": "trade", "symbol": "FILL", "price": "98.5", "size": None}) == 1
    second = await member.report()
    assert (first.exec_type.value, first.ord_status.value) == ("F", "1")
    assert (first.last_qty, first.last_px) == (Decimal(4), Decimal(100))
    assert first.transact_time == AT.replace(microsecond=72_000)
    assert (second.ord_status.value, second.cum_qty) == ("2", Decimal(10))
    assert (second.leaves_qty, second.avg_px) == (Decimal(0), Decimal(100))
    assert await exchange.get("/positions?session=FIX.4.4-VENUE-FILL") == {"FILL": "10"}
    trades = await exchange.get("/executions?session=FIX.4.4-VENUE-FILL")
    assert [(trade["cl_ord_id"], trade["quantity"], trade["price"]) for trade in trades] == [
        ("fill.e1", "4", "100"),
        ("fill.e1", "6", "100"),
    ]
    (order,) = await exchange.get("/orders?session=FIX.4.4-VENUE-FILL")
    assert (order["cl_ord_ids"], order["status"], order["cum_quantity"], order["leaves_quantity"]) == (
        ["fill.e1"],
        "2",
        "10",
        "0",
    )


async def test_prices_that_carry_no_time_are_of_now(exchange: VenueProcess) -> None:
    member = Member("LIVE")
    await member.log_on(exchange)
    await exchange.prices(quote("LIVE", "99", "100"), at="2013-10-07T13:30:00Z")
    before = datetime.now(UTC)
    await exchange.prices(quote("LIVE", "99", "100"), at=None)
    member.buy("live.e1", "LIVE", 10, "98")
    accepted = await member.report()
    assert abs((accepted.transact_time - before).total_seconds()) < 60


async def test_a_bar_that_spans_both_exits_fills_the_stop_alone(exchange: VenueProcess) -> None:
    member = Member("BAR")
    await member.log_on(exchange)
    await exchange.prices({"kind": "trade", "symbol": "BAR", "price": "100", "size": None})
    member.place("bar.s1", "BAR", Side.SELL, 10, stop="95")
    member.place("bar.t2", "BAR", Side.SELL, 10, limit="105")
    await member.report()
    await member.report()
    bar = {"kind": "range", "symbol": "BAR", "low": "90", "high": "110"}
    assert await exchange.prices({**bar, "only": "stops"}) == 1
    stop = await member.report()
    assert (stop.cl_ord_id, stop.last_px) == ("bar.s1", Decimal(95))
    member.cancel("bar.x3", "bar.t2", "BAR", Side.SELL)
    assert (await member.report()).exec_type.value == "4"
    assert await exchange.prices({**bar, "only": "limits"}) == 0


async def test_two_members_trade_with_each_other(exchange: VenueProcess) -> None:
    seller, buyer = Member("SELLER"), Member("BUYER")
    await seller.log_on(exchange)
    await buyer.log_on(exchange)
    seller.place("s.e1", "PAIR", Side.SELL, 5, limit="50")
    await seller.report()
    buyer.buy("b.e1", "PAIR", 3, "51")
    assert [(await buyer.report()).exec_type.value for _ in range(2)] == ["0", "F"]
    sold = await seller.report()
    assert (sold.last_qty, sold.last_px, sold.leaves_qty) == (Decimal(3), Decimal(50), Decimal(2))


async def test_a_repeated_clordid_is_refused_and_a_possible_resend_is_told_the_status(exchange: VenueProcess) -> None:
    member = Member("AGAIN")
    await member.log_on(exchange)
    member.buy("again.e1", "AGAIN", 10, "100")
    member.buy("again.e1", "AGAIN", 10, "100")
    member.buy("again.e1", "AGAIN", 10, "100", poss_resend=True)
    reports = [await member.report() for _ in range(3)]
    assert [report.exec_type.value for report in reports] == ["0", "8", "I"]
    assert (reports[1].ord_rej_reason, reports[2].ord_status.value) == (6, "0")


async def test_the_status_of_an_order_is_told(exchange: VenueProcess) -> None:
    member = Member("ASK")
    await member.log_on(exchange)
    member.buy("ask.e1", "ASK", 10, "100")
    await member.report()
    for cl_ord_id in ("ask.e1", "ask.e2"):
        request = order_status_request(cl_ord_id=cl_ord_id, symbol="ASK", side=Side.BUY, ord_status_req_id="Q")
        member.connection.send(request)
    known, unknown = await member.report(), await member.report()
    assert (known.exec_type.value, known.ord_status.value, known.ord_status_req_id) == ("I", "0", "Q")
    assert (unknown.exec_type.value, unknown.ord_status.value, unknown.ord_rej_reason) == ("I", "8", 5)


async def test_a_mass_status_is_answered_on_the_wire(exchange: VenueProcess) -> None:
    member = Member("MASS")
    await member.log_on(exchange)
    everything = order_mass_status_request(mass_status_req_id="M1", mass_status_req_type=MassStatusReqType.ALL_ORDERS)
    member.connection.send(everything)
    none = await member.report()
    assert (none.symbol, none.side, none.cl_ord_id) == ("[N/A]", Side.UNDISCLOSED, "")
    assert (none.order_id, none.mass_status_req_id, none.tot_num_reports) == ("NONE", "M1", 0)
    assert none.last_rpt_requested
    member.buy("mass.e1", "MASS", 10, "100")
    member.buy("mass.e2", "MASS2", 10, "100")
    member.connection.send(everything)
    reports = [await member.report() for _ in range(4)][2:]
    assert [(each.cl_ord_id, each.tot_num_reports, each.last_rpt_requested) for each in reports] == [
        ("mass.e1", 2, False),
        ("mass.e2", 2, True),
    ]
    one = order_mass_status_request(
        mass_status_req_id="M2", mass_status_req_type=MassStatusReqType.SECURITY, symbol="MASS2"
    )
    member.connection.send(one)
    assert (await member.report()).cl_ord_id == "mass.e2"


@pytest.mark.parametrize(
    ("message", "reason", "said"),
    [
        (Message("B", [(148, "news")]), 3, "MsgType (35) B is not supported"),
        (Message("D", [(11, "odd.e1"), (55, "ODD")]), 5, "tag 40"),
        (Message("AF", [(584, "odd.m1"), (585, "2")]), 0, "tag 585 is '2': it must be 1 (SECURITY) or 7"),
        (Message("AF", [(584, "odd.m1"), (585, "7"), (1, "mine")]), 0, "tag 1 is 'mine'"),
        (Message("F", [(11, "odd.x1"), (41, "odd.e1"), (55, "ODD"), (54, "5"), (60, "20131007-13:30:00")]), 0, "BUY"),
    ],
)
async def test_a_message_it_cannot_use_is_refused_with_the_reason(
    exchange: VenueProcess, message: Message, reason: int, said: str
) -> None:
    member = Member(f"ODD{message.msg_type}{len(message.fields)}{reason}")
    await member.log_on(exchange)
    member.connection.send(message)
    reject = read_business_message_reject(await member.message())
    assert (reject.business_reject_reason, reject.ref_seq_num, reject.ref_msg_type) == (reason, 2, message.msg_type)
    assert said in reject.text


# ---- connections that end


async def test_what_happens_while_a_member_is_away_is_reported_after_its_next_logon(exchange: VenueProcess) -> None:
    member = Member("AWAY")
    await member.log_on(exchange)
    member.buy("away.e1", "AWAY", 10, "100")
    await member.report()
    await member.log_out()
    assert await exchange.prices(quote("AWAY", "99", "100", "4"), quote("AWAY", "99", "100", "6")) == 2
    back = Member("AWAY", next_outbound=member.session.next_outbound, next_inbound=member.session.next_inbound)
    await back.log_on(exchange)
    fills = [await back.report(), await back.report()]
    assert [(fill.last_qty, fill.cum_qty) for fill in fills] == [(Decimal(4), Decimal(4)), (Decimal(6), Decimal(10))]


async def test_what_a_member_lost_is_resent_from_the_number_it_asks_for(exchange: VenueProcess) -> None:
    member = Member("LOSS")
    await member.log_on(exchange)
    cursor = member.session.next_inbound
    member.buy("loss.e1", "LOSS", 10, "100")
    await member.report()
    await exchange.prices(quote("LOSS", "99", "100"))
    await member.report()
    member.connection.close()
    await asyncio.wait_for(member.connection.closed(), PATIENCE)
    successor = Member("LOSS", next_outbound=1000, next_inbound=cursor)
    await successor.log_on(exchange)
    again = [await successor.received(), await successor.received()]
    assert [(each.number, each.possible_duplicate) for each in again] == [(cursor, True), (cursor + 1, True)]
    assert [read_execution_report(each.message).exec_type.value for each in again] == ["0", "F"]


# ---- control


async def test_every_logon_is_told_with_its_end(exchange: VenueProcess) -> None:
    before = datetime.now(UTC)
    first = Member("LOGONS")
    await first.log_on(exchange)
    second = Member("LOGONS", next_outbound=first.session.next_outbound, next_inbound=first.session.next_inbound)
    await second.log_on(exchange)
    await second.log_out()
    third = Member("LOGONS", next_outbound=second.session.next_outbound, next_inbound=second.session.next_inbound)
    await third.log_on(exchange)
    logons = await exchange.get("/logons?session=FIX.4.4-VENUE-LOGONS")
    assert [each["ended_by"] for each in logons] == [
        "a new Logon of this session came on another connection",
        "the peer logged out",
        None,
    ]
    times = [datetime.fromisoformat(each[name]) for each in logons for name in ("since", "until") if each[name]]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= datetime.now(UTC)
    assert logons[2]["until"] is None
    assert all(each["peer"].startswith("127.0.0.1:") for each in logons)
    assert [each["number"] for each in logons] == [1, 2, 4]  # number 3 was a Logout


async def test_orders_and_executions_carry_the_machines_time(exchange: VenueProcess) -> None:
    member = Member("CLOCKS")
    await member.log_on(exchange)
    await exchange.prices(quote("CLOCKS", "99", "100"), at="2013-10-07T13:30:00Z")
    before = datetime.now(UTC)
    member.buy("clocks.e1", "CLOCKS", 10, "100")
    await member.report()
    await member.report()
    (order,) = await exchange.get("/orders?session=FIX.4.4-VENUE-CLOCKS")
    (execution,) = await exchange.get("/executions?session=FIX.4.4-VENUE-CLOCKS")
    assert before <= datetime.fromisoformat(order["received_at"]) <= datetime.now(UTC)
    assert execution["executed_at"] == order["received_at"]
    assert execution["at"] == "2013-10-07T13:30:00Z"


async def test_state_shows_the_sessions_numbers(exchange: VenueProcess) -> None:
    member = Member("STATE")
    await member.log_on(exchange)
    member.buy("state.e1", "STATE", 10, "100")
    await member.report()
    state = await exchange.get("/state")
    (session,) = [each for each in state["sessions"] if each["session"] == "FIX.4.4-VENUE-STATE"]
    assert session == {
        "session": "FIX.4.4-VENUE-STATE",
        "logged_on": True,
        "next_inbound": member.session.next_outbound,
        "next_outbound": member.session.next_inbound,
    }
    assert state["orders"] >= state["working"] >= 1


async def test_the_venue_cancels_and_busts_unasked(exchange: VenueProcess) -> None:
    member = Member("UNASKED")
    await member.log_on(exchange)
    member.buy("unasked.e1", "UNASKED", 10, "100")
    await member.report()
    await exchange.prices(quote("UNASKED", "99", "100", "4"))
    trade = await member.report()
    assert await exchange.post("/orders/unasked.e1/cancel") == {"sent": 1}
    cancel = await member.report()
    assert (cancel.exec_type.value, cancel.cl_ord_id, cancel.orig_cl_ord_id, cancel.cum_qty) == (
        "4",
        "unasked.e1",
        None,
        Decimal(4),
    )
    assert await exchange.post(f"/trades/{trade.exec_id}/bust") == {"sent": 1}
    bust = await member.report()
    assert (bust.exec_type.value, bust.exec_ref_id, bust.cum_qty) == ("H", trade.exec_id, Decimal(0))
    assert "has ended" in (await exchange.post("/orders/unasked.e1/cancel", expected=409))["error"]
    assert trade.exec_id in (await exchange.post(f"/trades/{trade.exec_id}/bust", expected=404))["error"]
    assert "none.e1" in (await exchange.post("/orders/none.e1/cancel", expected=404))["error"]


async def test_the_venue_corrects_and_restates_unasked(exchange: VenueProcess) -> None:
    member = Member("RESTATES")
    await member.log_on(exchange)
    member.buy("restates.e1", "RESTATES", 10, "100")
    await member.report()
    await exchange.prices(quote("RESTATES", "99", "100", "4"))
    trade = await member.report()
    assert await exchange.post("/orders/restates.e1/restate", {"quantity": "8"}) == {"sent": 1}
    restated = await member.report()
    assert (restated.exec_type.value, restated.order_qty, restated.exec_restatement_reason) == ("D", Decimal(8), 8)
    correction = {"quantity": "4", "price": "99"}
    assert await exchange.post(f"/trades/{trade.exec_id}/correct", correction) == {"sent": 1}
    corrected = await member.report()
    assert (corrected.exec_type.value, corrected.exec_ref_id, corrected.last_px) == ("G", trade.exec_id, Decimal(99))


# ---- drop copy


async def test_a_copy_member_is_told_in_order_what_the_member_is_told_also_what_it_missed(tmp_path: Path) -> None:
    with venue(tmp_path, "--drop-copy", "DESK=WATCH") as process:
        desk, watch, other = Member("DESK"), Member("WATCH"), Member("OTHER")
        await desk.log_on(process)
        await other.log_on(process)
        other.buy("e0", "X", 10, "90")
        await other.report()
        desk.buy("e1", "X", 10, "100")
        told = [await desk.report()]
        await watch.log_on(process)
        await process.prices(quote("X", "99", "100", "4"))
        desk.cancel("x2", "e1", "X")
        told += [await desk.report(), await desk.report()]
        copies = [await watch.report() for _ in range(3)]
        assert [each.copy_msg_indicator for each in told] == [None, None, None]
        assert copies == [msgspec.structs.replace(each, copy_msg_indicator=True) for each in told]


async def test_a_copy_member_may_ask_for_nothing(tmp_path: Path) -> None:
    with venue(tmp_path, "--drop-copy", "DESK=WATCH") as process:
        watch = Member("WATCH")
        await watch.log_on(process)
        watch.buy("e1", "X", 10, "100")
        reject = read_business_message_reject(await watch.message())
        assert (reject.business_reject_reason, reject.ref_msg_type, reject.business_reject_ref_id) == (6, "D", "e1")
        assert reject.text == "a drop copy session is told, and cannot ask"
        assert await process.get("/orders") == []


async def test_a_fault_may_be_about_one_session_so_that_copies_alone_are_lost(tmp_path: Path) -> None:
    with venue(tmp_path, "--drop-copy", "DESK=WATCH") as process:
        desk, watch = Member("DESK"), Member("WATCH")
        await desk.log_on(process)
        await watch.log_on(process)
        session = "FIX.4.4-VENUE-WATCH"
        fault = {"direction": "outbound", "action": "lose", "fields": {"11": "e1"}, "session": session}
        await process.post("/faults", fault)
        desk.buy("e1", "X", 10, "90")
        desk.buy("e2", "X", 10, "90")
        assert [(await desk.report()).cl_ord_id for _ in range(2)] == ["e1", "e2"]
        assert (await watch.report()).cl_ord_id == "e2"
        assert await process.get("/faults") == [{"fault": fault, "cl_ord_ids": ["e1"]}]


# ---- faults


async def test_an_order_may_be_lost_behind_the_session(exchange: VenueProcess) -> None:
    member = Member("LOSES")
    await member.log_on(exchange)
    fault = {"direction": "inbound", "action": "lose", "fields": {"35": "D", "55": "LOSES"}}
    await exchange.post("/faults", fault)
    member.buy("loses.e1", "LOSES", 10, "100")
    member.buy("loses.e2", "KEEPS", 10, "100")
    assert (await member.report()).cl_ord_id == "loses.e2"
    assert await exchange.get("/faults") == [{"fault": fault, "cl_ord_ids": ["loses.e1"]}]
    assert await exchange.delete("/faults") == {"released": 0}
    member.buy("loses.e1", "LOSES", 10, "100", poss_resend=True)
    assert (await member.report()).exec_type.value == "0"


async def test_an_order_may_be_taken_and_its_acknowledgement_held_until_faults_end(exchange: VenueProcess) -> None:
    member = Member("HOLDS")
    await member.log_on(exchange)
    await exchange.post("/faults", {"direction": "outbound", "action": "hold", "fields": {"150": "0", "55": "HOLDS"}})
    await exchange.post("/faults", {"direction": "inbound", "action": "count", "fields": {"11": "holds.e2"}})
    member.buy("holds.e1", "HOLDS", 10, "100")
    member.buy("holds.e2", "HOLDS", 10, "100")
    await exchange.prices(quote("HOLDS", "99", "100"))
    assert [(await member.report()).exec_type.value for _ in range(2)] == ["F", "F"]
    assert [caught["cl_ord_ids"] for caught in await exchange.get("/faults")] == [
        ["holds.e1", "holds.e2"],
        ["holds.e2"],
    ]
    assert await exchange.delete("/faults") == {"released": 2}
    assert [(await member.report()).cl_ord_id for _ in range(2)] == ["holds.e1", "holds.e2"]
    assert await exchange.get("/faults") == []


async def test_a_cut_connection_ends_without_a_word_and_the_session_goes_on_with_the_next(
    exchange: VenueProcess,
) -> None:
    member = Member("CUT")
    await member.log_on(exchange)
    assert await exchange.post("/cut?session=FIX.4.4-VENUE-CUT") == {"sessions": ["FIX.4.4-VENUE-CUT"]}
    await asyncio.wait_for(member.connection.closed(), PATIENCE)
    assert await exchange.post("/cut?session=FIX.4.4-VENUE-CUT") == {"sessions": []}
    again = Member("CUT", next_outbound=member.session.next_outbound, next_inbound=member.session.next_inbound)
    await again.log_on(exchange)
    again.buy("cut.e1", "CUT", 1, "10")
    assert (await again.report()).cl_ord_id == "cut.e1"


async def test_the_end_of_the_day_is_told(exchange: VenueProcess) -> None:
    assert await exchange.post("/end_of_day", {"at": "2013-10-07T20:00:00Z"}) == {"sent": 0}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/prices", {"at": "2013-10-07T13:30:00Z"}, "`events`"),
        ("/prices", {"at": "2013-10-07T13:30:00", "events": []}, "timezone"),
        ("/prices", {"at": "2013-10-07T13:30:00Z", "events": [quote("X", "9o", None)]}, "$.events[0].bid"),
        ("/prices", {"at": "2013-10-07T13:30:00Z", "events": [quote("X", "-1", None)]}, "`bid` is -1"),
        ("/prices", {"at": "2013-10-07T13:30:00Z", "events": [quote("X", "NaN", None)]}, "`bid` is NaN"),
        ("/prices", {"at": "2013-10-07T13:30:00Z", "events": [quote("X", "1", "2", "-3")]}, "`bid_size` is -3"),
        ("/prices", {"at": "2013-10-07T13:30:00Z", "events": [{"kind": "rumour", "symbol": "X"}]}, "'rumour'"),
        (
            "/prices",
            {
                "at": "2013-10-07T13:30:00Z",
                "events": [{"kind": "range", "symbol": "X", "low": "2", "high": "1", "only": "stops"}],
            },
            "`low` is 2",
        ),
        ("/end_of_day", {}, "`at`"),
        ("/faults", {"direction": "sideways", "action": "lose", "fields": {}}, "'sideways'"),
        ("/trades/E1/correct", {"quantity": "1", "price": "0"}, "`price` is 0"),
        ("/orders/x/restate", {"quantity": "-1"}, "`quantity` is -1"),
        ("/end_of_day", None, "truncated"),
    ],
)
async def test_a_bad_request_is_told_which_field_is_wrong(
    exchange: VenueProcess, path: str, body: Any, field: str
) -> None:
    assert field in (await exchange.post(path, body, expected=400))["error"]


async def test_a_path_that_is_not_there_is_answered_with_json(exchange: VenueProcess) -> None:
    async with aiohttp.ClientSession() as http, http.get(exchange.url("/nothing")) as response:
        assert (response.status, await response.json()) == (404, {"error": "GET /nothing: Not Found"})


async def test_two_venues_that_see_the_same_report_the_same(tmp_path: Path) -> None:
    assert await _session_of_a_day(tmp_path) == await _session_of_a_day(tmp_path)


async def _session_of_a_day(folder: Path) -> list[ExecutionReport]:
    with venue(folder) as process:
        await process.prices(quote("DAY", "99", "101"), at="2013-10-07T13:30:00Z")
        member = Member("DAY")
        await member.log_on(process)
        member.buy("day.e1", "DAY", 10, "100")
        member.place("day.e2", "DAY", Side.SELL, 3)
        reports = [await member.report() for _ in range(3)]
        await process.prices(quote("DAY", "98", "99", "7"), at="2013-10-07T13:31:00Z")
        return [*reports, await member.report()]
