"""The golden histories: every orchestrator, and every scenario that is also run end to end.

`make histories` (`python -m tests.replay.goldens`) records them into `tests/histories/`. Ids and times come from
counters and a virtual clock, so a recording differs from the last one only where an orchestrator, an entity or a
lifecycle does something else: that difference is to be reviewed.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import track

import orchestrators.retrying
from devhost.history import Status
from replay.environment import DurableTestEnvironment
from replay.history import History, write
from tests.replay.trading_world import Journals, World, trading, world
from tests.trading.desk import CLOSE, ENTRY, STOP, TAKE_PROFIT, single_spec
from trading.commands import CancelOrder, ReplaceOrder, SubmitOrder
from trading.events import CancelRequested, OrderReported
from trading.messages import Placement, Reported, VenueAnswer, encoded
from trading.orders import OrderType

FOLDER = Path(__file__).resolve().parents[1] / "histories"

Play = Callable[[DurableTestEnvironment, Journals], Awaitable[list[History]]]
_PLAYS: dict[str, tuple[Play, str]] = {}


def golden(note: str) -> Callable[[Play], Play]:
    """Registers a play under its name: its first history goes to `NAME.json`, a second one to `NAME-2.json`."""

    def register(play: Play) -> Play:
        _PLAYS[play.__name__.replace("_", "-")] = (play, note)
        return play

    return register


async def recorded() -> dict[str, History]:
    """All golden histories by the names of their files."""
    found: dict[str, History] = {}
    for name, (play, note) in track(
        list(_PLAYS.items()), "Recording", console=Console(stderr=True), transient=True, disable="CI" in os.environ
    ):
        async with trading() as (env, journals):
            for number, history in enumerate(await play(env, journals)):
                label = name if number == 0 else f"{name}-{number + 1}"
                found[label] = msgspec.structs.replace(history, note=note)
    return found


async def _filled(env: DurableTestEnvironment, journals: Journals, name: str) -> World:
    """A bracket whose entry has filled 10, both exits working."""
    played = world(env, journals, name)
    await played.place()
    await played.say(played.desk.accepted(ENTRY))
    await played.say(played.desk.filled(ENTRY, 10))
    await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT))
    return played


async def _filled_4(env: DurableTestEnvironment, journals: Journals, name: str) -> World:
    """A bracket whose entry has filled 4 of 10, exits for 4 working."""
    played = world(env, journals, name)
    await played.place()
    await played.say(played.desk.accepted(ENTRY))
    await played.say(played.desk.filled(ENTRY, 4))
    await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT))
    return played


def _ended(played: World, outcome: str) -> list[History]:
    output = msgspec.json.encode(played.env.output(played.order_id)).decode()
    assert f'"outcome":"{outcome}"' in output, f"{played.order_id} ended as {output}, not as {outcome}"
    return played.env.histories(played.order_id)


@golden("1: entry fills 10, take-profit fills 10; the stop is cancelled once")
async def scenario_01(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled(env, journals, "scenario-01")
    await played.say(played.desk.filled(TAKE_PROFIT, 10))
    await played.say(played.desk.canceled(STOP))
    return _ended(played, "take_profit")


@golden("2: entry fills 10, stop fills 10; the take-profit is cancelled once")
async def scenario_02(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled(env, journals, "scenario-02")
    await played.say(played.desk.filled(STOP, 10))
    await played.say(played.desk.canceled(TAKE_PROFIT))
    return _ended(played, "stop_loss")


@golden("3: entry fills 4, then is cancelled by the venue; stop 4 and take-profit 4 end it")
async def scenario_03(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled_4(env, journals, "scenario-03")
    await played.say(played.desk.canceled_unasked(ENTRY))
    await played.say(played.desk.filled(TAKE_PROFIT, 4))
    await played.say(played.desk.canceled(STOP))
    return _ended(played, "take_profit")


@golden("10: take-profit cancel pending, stop fills 10, then take-profit fills 3 late; one BUY 3 brings it back")
async def scenario_10(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled(env, journals, "scenario-10")
    await played.say(played.desk.filled(STOP, 10))
    await played.say(played.desk.filled(TAKE_PROFIT, 3))
    await played.say(played.desk.canceled(TAKE_PROFIT))
    await played.say(played.desk.accepted(CLOSE))
    await played.say(played.desk.filled(CLOSE, 3))
    return _ended(played, "double_exit")


@golden("12: stop and take-profit both fill 10; one BUY 10 brings it back, the symbol is blocked")
async def scenario_12(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled(env, journals, "scenario-12")
    await played.say(played.desk.filled(STOP, 10))
    await played.say(played.desk.filled(TAKE_PROFIT, 10))
    await played.say(played.desk.refused(TAKE_PROFIT, 0, "2"))
    await played.say(played.desk.accepted(CLOSE))
    await played.say(played.desk.filled(CLOSE, 10))
    return _ended(played, "double_exit")


@golden("18: connection lost with the stop unacknowledged; asked, the venue has it; nothing is sent again")
async def scenario_18(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "scenario-18")
    await played.place()
    await played.say(played.desk.accepted(ENTRY))
    await played.say(played.desk.filled(ENTRY, 10))
    stop = played.desk.sent(STOP).cl_ord_ids[0]
    await played.say(OrderReported(cl_ord_id=stop, exec_type="I", order_status="0", at=env.now))
    await played.say(played.desk.accepted(TAKE_PROFIT))
    await played.say(played.desk.filled(STOP, 10))
    await played.say(played.desk.canceled(TAKE_PROFIT))
    return _ended(played, "stop_loss")


@golden("19: the same, and the venue does not have it; the session sends it again under its ClOrdID, the order waits")
async def scenario_19(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "scenario-19")
    await played.place()
    await played.say(played.desk.accepted(ENTRY))
    await played.say(played.desk.filled(ENTRY, 10))
    stop = played.desk.sent(STOP).cl_ord_ids[0]
    await played.say(OrderReported(cl_ord_id=stop, exec_type="I", order_status="8", at=env.now))
    await played.say(played.desk.accepted(TAKE_PROFIT))
    await played.say(played.desk.accepted(STOP))
    await played.say(played.desk.filled(STOP, 10))
    await played.say(played.desk.canceled(TAKE_PROFIT))
    return _ended(played, "stop_loss")


@golden("20: the host dies twice between the entry's fill and the exits' submission; one stop, one take-profit")
async def scenario_20(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "scenario-20")
    await played.place()
    await played.say(played.desk.accepted(ENTRY))
    env.crash_when(lambda commit: commit.label == "activity send_to_venue scenario-20" and env.crashes < 2)
    await played.say(played.desk.filled(ENTRY, 10))
    assert env.crashes == 2
    assert sorted(each.role for each in played.desk.book[1:]) == sorted([STOP, TAKE_PROFIT])
    await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT))
    await played.say(played.desk.filled(STOP, 10))
    await played.say(played.desk.canceled(TAKE_PROFIT))
    return _ended(played, "stop_loss")


@golden("27: the user cancels before any fill")
async def scenario_27_before_any_fill(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "scenario-27a")
    await played.place()
    await played.say(played.desk.accepted(ENTRY))
    await played.cancel("flatten")
    await played.say(played.desk.canceled(ENTRY))
    return _ended(played, "canceled")


@golden("27: the user cancels with 4 filled, flatten: what remains is sold at market")
async def scenario_27_flatten(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled_4(env, journals, "scenario-27b")
    await played.cancel("flatten")
    for role in (ENTRY, STOP, TAKE_PROFIT):
        await played.say(played.desk.canceled(role))
    await played.say(played.desk.accepted(CLOSE))
    await played.say(played.desk.filled(CLOSE, 4))
    return _ended(played, "closed")


@golden("27: the user cancels with 4 filled, keep_exits: the exits for 4 go on")
async def scenario_27_keep_exits(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled_4(env, journals, "scenario-27c")
    await played.cancel("keep_exits")
    await played.say(played.desk.canceled(ENTRY))
    await played.say(played.desk.filled(TAKE_PROFIT, 4))
    await played.say(played.desk.canceled(STOP))
    return _ended(played, "take_profit")


@golden("28: a halt cancels each order: entries and nothing else, then, with flatten, the exits, and closes")
async def scenario_28(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled(env, journals, "scenario-28")
    await played.cancel("keep_exits")
    await played.cancel("flatten")
    await played.say(played.desk.canceled(STOP))
    await played.say(played.desk.canceled(TAKE_PROFIT))
    await played.say(played.desk.filled(CLOSE, 10))
    return _ended(played, "closed")


@golden("42: take-profit filled 10, order ended; the trade is busted, and the order goes on: stop filled 10")
async def scenario_42(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled(env, journals, "scenario-42")
    trade = played.desk.filled(TAKE_PROFIT, 10)
    await played.say(trade)
    await played.say(played.desk.canceled(STOP))
    before = _ended(played, "take_profit")
    await played.say(played.desk.busted(TAKE_PROFIT, trade), heard=False)
    assert env.entity_state("position", "IBM")["position"]["quantity"] == "10"
    assert played.env.histories("scenario-42") == before
    await played.resume()
    await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT))
    await played.say(played.desk.filled(STOP, 10))
    await played.say(played.desk.canceled(TAKE_PROFIT))
    return [*before, *_ended(played, "stop_loss")]


@golden("the bust comes before the order has ended: position and exits come back")
async def order_bust_before_the_end(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled(env, journals, "order-bust")
    trade = played.desk.filled(TAKE_PROFIT, 10)
    await played.say(trade)
    await played.say(played.desk.busted(TAKE_PROFIT, trade))
    return env.histories("order-bust")


@golden("exposure denies the order; it is recorded and nothing is sent")
async def order_denied(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-denied", quantity=Decimal(1_000_000))
    await played.place()
    assert journals.commands == {}
    return _ended(played, "denied")


@golden("a market order without a price to judge it by is denied")
async def order_without_a_price(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    spec = single_spec(order_id="order-no-price", order_type=OrderType.MARKET, limit_price=None, valid_for=None)
    played = World(env, spec, journals)
    await played.place()
    assert journals.commands == {}
    return _ended(played, "denied")


@golden("an order placed under an id that is not its own fails before anything is done for it")
async def order_under_a_wrong_id(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    placement = Placement(spec=world(env, journals, "order-right").spec)
    await env.start("order", encoded(placement), instance_id="order-wrong")
    await env.settle()
    assert env.status("order-wrong") is Status.FAILED
    return env.histories("order-wrong")


@golden("the entry never reaches the venue: its time was over before a session could send it")
async def order_not_sent(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-not-sent")
    journals.answers[SubmitOrder] = VenueAnswer(state="dead", not_sent=True)
    await played.place()
    return _ended(played, "not_sent")


@golden("the user cancels before the entry was sent: the outbox takes it back")
async def order_taken_back(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-taken-back")
    await played.place()
    journals.answers[CancelOrder] = VenueAnswer(state="dead", not_sent=True)
    await played.cancel("flatten")
    return _ended(played, "canceled")


@golden("the replace of the stop is refused before it is sent, for the entry's second fill")
async def order_replace_refused(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled_4(env, journals, "order-replace")
    journals.answers[ReplaceOrder] = VenueAnswer(refused="the chain of ClOrdIDs is too long")
    await played.say(played.desk.filled(ENTRY, 6))
    await played.say(played.desk.replaced(TAKE_PROFIT))
    return env.histories("order-replace")


@golden("a cancel that was not heard is read from the instructions; heard after all, it is nothing new")
async def order_reads_a_cancel(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-reads-cancel")
    await played.place()
    await played.say(played.desk.accepted(ENTRY))
    told = played.keep(CancelRequested())
    await played.wake()
    await played.hear(told)
    await played.say(played.desk.canceled(ENTRY))
    return _ended(played, "canceled")


@golden("the trade is busted while the order ends: it is not recorded as ended, and gets its exits again")
async def order_bust_at_the_end(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = await _filled(env, journals, "order-bust-end")
    trade = played.desk.filled(TAKE_PROFIT, 10)
    await played.say(trade)
    last = journals.append(played.spec, played.desk.canceled(STOP), env)
    journals.append(played.spec, played.desk.busted(TAKE_PROFIT, trade), env)
    await env.raise_event(played.order_id, "event", encoded(Reported(row=last)))
    await env.settle()
    assert env.status(played.order_id) is Status.RUNNING
    return env.histories(played.order_id)


@golden("an entity is not through with the order as it ends: a pause, and again")
async def order_entity_fails(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-entity-fails")
    await played.place()
    journals.failing["end_order"] = 1
    await played.say(played.desk.rejected(ENTRY, "unknown symbol"))
    await env.advance(timedelta(seconds=1))
    return _ended(played, "rejected")


@golden("handing in the entry fails six times, and the first alert of it fails, too")
async def order_alert_fails(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-alert-fails")
    journals.failing.update({"send_to_venue": 6, "raise_alerts": 1})
    await played.place()
    await env.advance(timedelta(minutes=2))
    await played.say(played.desk.rejected(ENTRY, "unknown symbol"))
    return _ended(played, "rejected")


@golden("another orchestration has taken the order's id")
async def order_duplicate(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    journals.tokens["order-duplicate"] = "somebody else's"
    played = world(env, journals, "order-duplicate")
    await played.place()
    return _ended(played, "duplicate")


@golden("the time limit runs out with the entry unfilled: one cancel, then the end")
async def order_expires(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-expires", valid_for=60)
    await played.place()
    await played.say(played.desk.accepted(ENTRY))
    await env.advance(timedelta(seconds=60))
    await played.say(played.desk.canceled(ENTRY))
    return _ended(played, "expired_unfilled")


@golden("handing in the entry fails five times: pauses between, one alert, then it goes on; and one such pause")
async def order_tries_again(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-tries-again")
    journals.failing["send_to_venue"] = 5
    await played.place()
    await env.advance(timedelta(seconds=40))
    await played.say(played.desk.rejected(ENTRY, "unknown symbol"))
    histories = _ended(played, "rejected")
    [created, *_] = [event for event in histories[-1].events if event.get("Name") == "backoff"]
    return [*histories, env.history(created["InstanceId"])]


@golden("a report arrives before the one before it, and one not at all: both are read from the journal")
async def order_reads_what_it_missed(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-reads")
    await played.place()
    await played.say(played.desk.accepted(ENTRY), heard=False)
    await played.say(played.desk.filled(ENTRY, 10))
    await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT), heard=False)
    await played.wake()
    await played.say(played.desk.filled(STOP, 10))
    await played.say(played.desk.canceled(TAKE_PROFIT))
    return _ended(played, "stop_loss")


@golden("an event that makes no sense is alerted on; the stop is restated and put right; the stop is refused, closed")
async def order_alerts(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-alerts")
    await played.place()
    await env.raise_event("order-alerts", "event", {"type": "dance"})
    await played.say(played.desk.accepted(ENTRY))
    await played.say(played.desk.filled(ENTRY, 10))
    await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT))
    await played.say(played.desk.restated(STOP, 8))
    await played.say(played.desk.replaced(STOP))
    await played.say(played.desk.canceled_unasked(TAKE_PROFIT))
    await played.say(played.desk.filled(STOP, 10))
    return env.histories("order-alerts")


@golden("fifty turns and more: the order goes on in a new generation, which reads before anything else")
async def order_generations(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    played = world(env, journals, "order-generations", quantity=Decimal(60))
    await played.place()
    await played.say(played.desk.accepted(ENTRY))
    await played.say(played.desk.filled(ENTRY, 1))
    await played.say(played.desk.accepted(STOP), played.desk.accepted(TAKE_PROFIT))
    for _ in range(12):
        await played.say(played.desk.filled(ENTRY, 1))
        await played.say(played.desk.replaced(STOP))
        await played.say(played.desk.replaced(TAKE_PROFIT))
    await played.say(played.desk.canceled_unasked(ENTRY))
    await played.say(played.desk.filled(STOP, 13))
    await played.say(played.desk.canceled(TAKE_PROFIT))
    return _ended(played, "stop_loss")


@golden("a batch that calls for two orders")
async def signal_pipeline(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    journals.placements = [encoded(Placement(spec=world(env, journals, f"signal-{number}").spec)) for number in (1, 2)]
    await env.start("signal_pipeline", _batch(), instance_id="signals-market-0")
    assert await env.result("signals-market-0") == {"orders": 2}
    return env.histories("signals-market-0")


@golden("a batch that calls for nothing, whose signals fail once: a pause, and again")
async def signal_pipeline_tries_again(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    journals.failing["generate_signals"] = 1
    await env.start("signal_pipeline", _batch(), instance_id="signals-market-0")
    assert await env.result("signals-market-0") == {"orders": 0}
    return env.histories("signals-market-0")


@golden("an activity that fails for a long time: an alert, and the next generation tries on")
async def signal_pipeline_alerts(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    journals.failing["generate_signals"] = orchestrators.retrying.ATTEMPTS + 1
    await env.start("signal_pipeline", _batch(), instance_id="signals-market-0")
    assert await env.result("signals-market-0") == {"orders": 0}
    return env.histories("signals-market-0")


@golden("a slice of the session; then one that fails, with the pause after it")
async def fix_session(env: DurableTestEnvironment, journals: Journals) -> list[History]:
    journals.slices = 1
    await env.start("fix_session", {}, instance_id="fix-session")
    await env.settle()
    return env.histories("fix-session")


def _batch() -> dict[str, object]:
    return {"hub": "market", "partition": "0", "received_at": "2026-01-05T14:30:00Z", "events": []}


def main() -> None:
    """Record all, and take away what is no longer recorded."""
    logging.getLogger("devhost").setLevel(logging.CRITICAL)  # activities fail on purpose
    found = asyncio.run(recorded())
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        if path.stem not in found:
            path.unlink()
    for name, history in found.items():
        write(FOLDER / f"{name}.json", history)
    sys.stdout.write(f"{len(found)} histories in {FOLDER.relative_to(Path.cwd())}: review with git diff\n")


if __name__ == "__main__":
    main()
