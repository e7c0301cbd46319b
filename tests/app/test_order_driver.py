"""The order driver through the SDK's own executor, its activities played by a small world in memory."""

import json
import random
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrators import order as driver
from tests.app.host import Host, OrchestrationFailedError
from trading import lifecycles
from trading.child import OrderStatus
from trading.commands import CancelOrder, ReplaceOrder, SubmitOrder
from trading.events import (
    AmendRequested,
    CancelRequested,
    Instruction,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderReplaced,
    PriceTouched,
    TradeBusted,
    TradingHalted,
    VenueEvent,
)
from trading.identity import Role
from trading.instructions import InstructionRow
from trading.journal import JournalRow
from trading.lifecycles import ChildSummary
from trading.messages import (
    Instructed,
    LiveStatus,
    Placement,
    Reported,
    VenueRequest,
    Woken,
    decoded,
    encoded,
)
from trading.orders import OrderType, Side
from trading.retry import RetryPolicy
from trading.specs import MOST_RUNGS, Amendment, BracketSpec, Rung, ScaleSpec, SingleSpec, Spec, SpecError

ORDER = "order-1"
BRACKET = BracketSpec(
    order_id=ORDER,
    symbol="IBM",
    side=Side.BUY,
    quantity=Decimal(10),
    entry_price=Decimal(3000),
    stop_price=Decimal(2950),
    take_profit_price=Decimal(3050),
)
SINGLE = SingleSpec(order_id=ORDER, symbol="IBM", side=Side.BUY, quantity=Decimal(10), limit_price=Decimal(3000))


class World:
    """Register, journal, exposure and venue as far as the driver sees them. `failing` names what raises how often."""

    def __init__(self, spec: Spec, *, reference_price: Decimal | None = None) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.journal: list[JournalRow] = []
        self.instructions: list[InstructionRow] = []
        self.ours = True
        self.wrong = ""
        self.decision: dict[str, Any] = {"approved": True, "reason": ""}
        self.failing: Counter[str] = Counter()
        self.slow: dict[str, timedelta] = {}
        self.answer: dict[str, Any] = {"state": "claimed"}
        self.after_release: list[VenueEvent] = []
        self.halted: TradingHalted | None = None
        self._order_id = spec.order_id
        self.start(encoded(Placement(spec=spec, reference_price=reference_price)))

    def start(self, given: Any) -> None:
        self.host = Host(driver.order._function._func, given, self._do, instance_id=self._order_id)

    def called(self, name: str) -> list[Any]:
        return [given for each, given in self.calls if each == name]

    def commands(self) -> list[Any]:
        return [decoded(plain, VenueRequest).command for given in self.called("send_to_venue") for plain in given]

    def alerts(self) -> list[Any]:
        return [alert for given in self.called("raise_alerts") for alert in given]

    def append(self, event: VenueEvent) -> JournalRow:
        row = JournalRow(
            order_id=ORDER,
            number=len(self.journal) + 1,
            event=event,
            symbol="IBM",
            side=Side.BUY,
            received_at=self.host.now,
            sent_at=self.host.now - timedelta(milliseconds=3),
        )
        self.journal.append(row)
        return row

    def report(self, *events: VenueEvent) -> None:
        """The venue says this, in the journal and then to the orchestration, which goes as far as it can."""
        for event in events:
            self.host.raise_event(encoded(Reported(row=self.append(event))))
        self.host.run()

    def keep(self, instruction: Instruction) -> InstructionRow:
        """Our own side tells the order something, and its event is lost, or raised later."""
        row = InstructionRow(order_id=ORDER, number=len(self.instructions) + 1, instruction=instruction)
        self.instructions.append(row)
        return row

    def tell(self, *instructions: Instruction) -> None:
        """Our own side tells the order something, and the orchestration goes as far as it can."""
        for instruction in instructions:
            self.host.raise_event(encoded(Instructed(row=self.keep(instruction))))
        self.host.run()

    def _do(self, name: str, given: Any) -> Any:
        if self.failing[name] > 0:
            self.failing[name] -= 1
            raise RuntimeError(f"{name} does not work")
        self.calls.append((name, given))
        self.host.now += self.slow.get(name, timedelta())
        match name:
            case "register_order":
                return {"ours": self.ours, "wrong": self.wrong}
            case "read_journal":
                rows = [encoded(row) for row in self.journal if row.number > given["after"]]
                told = self.instructions[given["after_instruction"] :]
                return {"rows": rows, "instructions": [encoded(row) for row in told]}
            case "send_to_venue":
                return [self.answer] * len(given)
            case "@exposure@main.reserve" | "@exposure@main.amend":
                return self.decision
            case "resume_order":
                return {"ours": self.ours}
            case "@exposure@main.reopen":
                return self.halted and encoded(self.halted)
            case "end_order":
                for event in self.after_release:
                    self.append(event)
                self.after_release = []
                told_more = given["instructed"] is not None and len(self.instructions) > given["instructed"]
                return {"behind": told_more or len(self.journal) > given["last_number"]}
            case "raise_alerts" | "watch_prices":
                return len(given)
            case "backoff":
                return None
        raise AssertionError(name)


def accepted(child: str) -> OrderAccepted:
    return OrderAccepted(cl_ord_id=f"{ORDER}.{child}", at=_AT)


def filled(child: str, quantity: int, *, of: int = 10, cum: int | None = None, price: int = 3000) -> OrderFilled:
    total = cum if cum is not None else quantity
    return OrderFilled(
        cl_ord_id=f"{ORDER}.{child}",
        exec_id=f"{child}-{total}",
        quantity=Decimal(quantity),
        price=Decimal(price),
        cum_quantity=Decimal(total),
        leaves_quantity=Decimal(of - total),
        at=_AT,
    )


def canceled(child: str, by: str | None, cum: int = 0) -> OrderCanceled:
    cl_ord_id = f"{ORDER}.{by or child}"
    orig = f"{ORDER}.{child}" if by else None
    return OrderCanceled(cl_ord_id=cl_ord_id, orig_cl_ord_id=orig, cum_quantity=Decimal(cum), at=_AT)


def replaced(command: ReplaceOrder) -> OrderReplaced:
    return OrderReplaced(
        cl_ord_id=command.cl_ord_id,
        orig_cl_ord_id=command.orig_cl_ord_id,
        quantity=command.quantity,
        cum_quantity=Decimal(0),
        limit_price=command.limit_price,
        stop_price=command.stop_price,
        at=_AT,
    )


_AT = World(SINGLE).host.now


def children(world: World) -> list[str]:
    """What was sent, as `e1`, `s2`, ..."""
    return [command.cl_ord_id.partition(".")[2] for command in world.commands()]


def test_a_bracket_goes_from_entry_to_take_profit() -> None:
    world = World(BRACKET)
    world.host.run()
    assert children(world) == ["e1"]
    assert world.host.custom_status["phase"] == "working"
    world.report(accepted("e1"), filled("e1", 10))
    assert children(world) == ["e1", "s2", "t3"]
    assert world.host.custom_status["seen"] == 2
    assert [child["role"] for child in world.host.custom_status["children"]] == ["entry", "stop", "take_profit"]
    world.report(accepted("s2"), accepted("t3"), filled("t3", 10, price=3050))
    assert children(world) == ["e1", "s2", "t3", "x4"]
    world.report(canceled("s2", "x4"))
    assert world.host.output["outcome"] == "take_profit"
    (recording,) = world.called("end_order")
    assert recording["outcome"] == "take_profit"
    assert recording["last_number"] == 6
    assert recording["summary"]["filled_quantity"] == "10"
    assert recording["timing"]["sent_at"] is not None
    assert recording["symbols"] == ["IBM"]
    assert world.alerts() == []


def test_a_denied_order_is_recorded_with_its_reason_and_never_sent() -> None:
    world = World(BRACKET)
    world.decision = {"approved": False, "reason": "MAX_NOTIONAL: order=30000 limit=100"}
    world.host.run()
    assert world.host.output == {"outcome": "denied", "text": "MAX_NOTIONAL: order=30000 limit=100"}
    (recording,) = world.called("end_order")
    assert (recording["outcome"], recording["symbols"]) == ("denied", [])
    assert world.commands() == []


def test_a_denial_stands_although_recording_it_fails_and_exposure_would_approve_by_then() -> None:
    world = World(BRACKET)
    world.decision = {"approved": False, "reason": "MAX_NOTIONAL: order=30000 limit=100"}
    world.failing["end_order"] = 2
    world.host.run()
    world.decision = {"approved": True, "reason": ""}
    world.host.run()
    assert world.host.output["outcome"] == "denied"
    assert len(world.called("@exposure@main.reserve")) == 1
    assert world.commands() == []


def test_an_order_id_that_another_orchestration_has_taken_ends_as_a_duplicate() -> None:
    world = World(BRACKET)
    world.ours = False
    world.host.run()
    assert world.host.output == {"outcome": "duplicate"}
    assert [name for name, _ in world.calls] == ["register_order"]


def test_an_order_whose_spec_is_wrong_is_denied_on_the_record() -> None:
    world = World(BRACKET)
    world.wrong = "quantity=10: must be more"
    world.host.run()
    assert world.host.output == {"outcome": "denied", "text": "WRONG_SPEC: quantity=10: must be more"}
    assert [name for name, _ in world.calls] == ["register_order", "end_order"]


def test_a_rule_that_is_newer_than_an_order_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(BRACKET)
    world.host.run()
    world.report(accepted("e1"))

    def stricter(spec: Spec) -> None:
        raise SpecError("quantity", spec, "must be more")

    for module in (driver, lifecycles):
        monkeypatch.setattr(module, "check", stricter, raising=False)
    world.report(filled("e1", 10))
    assert children(world) == ["e1", "s2", "t3"]


@pytest.mark.parametrize(
    ("spec", "reference_price", "price"),
    [
        (SINGLE, None, "3000"),
        (BRACKET, None, "3000"),
        (replace(BRACKET, entry_type=OrderType.MARKET, entry_price=None), None, "3050"),
        (replace(SINGLE, order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3100)), None, "3100"),
        (replace(SINGLE, order_type=OrderType.MARKET, limit_price=None), Decimal(3010), "3010"),
    ],
)
def test_exposure_is_judged_by_the_orders_own_price(spec: Spec, reference_price: Decimal | None, price: str) -> None:
    world = World(spec, reference_price=reference_price)
    world.host.run()
    assert world.called("@exposure@main.reserve")[0]["stakes"][0]["price"] == price


def test_a_market_order_without_a_reference_price_is_denied() -> None:
    world = World(replace(SINGLE, order_type=OrderType.MARKET, limit_price=None))
    world.host.run()
    assert world.host.output["outcome"] == "denied"
    assert world.host.output["text"].startswith("REFERENCE_PRICE")


def test_a_row_that_comes_twice_is_handled_once() -> None:
    world = World(BRACKET)
    world.host.run()
    world.report(accepted("e1"), filled("e1", 10))
    for row in world.journal:
        world.host.raise_event(encoded(Reported(row=row)))
    world.host.run()
    assert children(world) == ["e1", "s2", "t3"]
    assert world.called("read_journal") == []


def test_a_row_that_comes_too_early_makes_the_driver_read_those_before_it() -> None:
    world = World(BRACKET)
    world.host.run()
    world.append(accepted("e1"))
    world.report(filled("e1", 10))
    assert world.called("read_journal") == [{"order_id": ORDER, "after": 0, "after_instruction": 0}]
    assert children(world) == ["e1", "s2", "t3"]
    assert world.host.custom_status["seen"] == 2


def test_a_row_may_bring_those_before_it_along() -> None:
    world = World(BRACKET)
    world.host.run()
    rows = [world.append(event) for event in (accepted("e1"), filled("e1", 4), filled("e1", 6, cum=10))]
    for before, row in (([], rows[0]), (rows[:2], rows[2])):
        world.host.raise_event(encoded(Reported(row=row, before=before)))
    world.host.run()
    assert world.called("read_journal") == []
    assert world.host.custom_status["seen"] == 3
    assert [command.quantity for command in world.commands()[1:3]] == [4, 4]


def test_all_that_is_due_goes_to_the_venue_at_once_and_before_any_alert() -> None:
    world = World(BRACKET)
    world.host.run()
    world.report(accepted("e1"), filled("e1", 12))  # more than was ordered
    sent = [[plain["command"]["cl_ord_id"] for plain in given] for given in world.called("send_to_venue")]
    assert sent == [[f"{ORDER}.e1"], [f"{ORDER}.s2", f"{ORDER}.t3"]]
    names = [name for name, _ in world.calls]
    assert names.index("raise_alerts") > names.index("send_to_venue", names.index("send_to_venue") + 1)


def what_comes_before_the_stop(world: World) -> list[str]:
    """What was done from here on up to the stop's submission."""
    before = len(world.calls)
    world.host.run()
    names = [name for name, _ in world.calls[before:]]
    assert children(world) == ["e1", "s2", "t3"]
    return names[: names.index("send_to_venue")]


def test_a_stop_does_not_wait_for_an_amendment_that_exposure_cannot_be_asked_about() -> None:
    for in_one_read in (False, True):
        world = World(BRACKET)
        world.host.run()
        world.report(accepted("e1"))
        world.failing["@exposure@main.amend"] = 5
        row = world.keep(AmendRequested(amendment=Amendment(quantity=Decimal(20))))
        filling = world.append(filled("e1", 10))
        for event in [Woken()] if in_one_read else [Instructed(row=row), Reported(row=filling)]:
            world.host.raise_event(encoded(event))
        assert what_comes_before_the_stop(world) == (["read_journal"] if in_one_read else [])
        world.host.advance(300)
        world.host.run()


def test_a_stop_does_not_wait_for_an_alert_that_cannot_be_raised() -> None:
    world = World(BRACKET)
    world.host.run()
    world.report(accepted("e1"))
    world.failing["raise_alerts"] = 3
    world.host.raise_event("nothing that makes sense")
    world.host.raise_event(encoded(Reported(row=world.append(filled("e1", 10)))))
    assert what_comes_before_the_stop(world) == ["read_journal"]


def test_a_closing_order_does_not_wait_for_a_watch_that_fails() -> None:
    world = World(replace(BRACKET, synthetic=True))
    world.host.run()
    world.report(accepted("e1"))
    world.failing["watch_prices"] = 3
    world.report(filled("e1", 10))
    world.tell(CancelRequested(mode="flatten"))
    assert children(world) == ["e1", "c2"]
    assert world.called("backoff") == []


def test_a_watch_begins_when_the_order_wants_it_however_late_it_is_written() -> None:
    world = World(replace(BRACKET, synthetic=True))
    world.host.run()
    world.host.advance(5)
    world.failing["watch_prices"] = 1
    world.report(filled("e1", 10))
    world.host.advance(60)
    world.host.run()
    ((watching,),) = world.called("watch_prices")
    assert datetime.fromisoformat(watching["begins"]) == _AT + timedelta(seconds=5)


def test_a_watch_that_failed_is_tried_again() -> None:
    world = World(replace(BRACKET, synthetic=True))
    world.host.run()
    world.failing["watch_prices"] = 1
    world.report(accepted("e1"), filled("e1", 10))
    assert world.called("watch_prices") == []
    world.host.advance(1)
    world.host.run()
    assert len(world.called("watch_prices")) == 1


def test_an_alert_that_failed_is_raised_after_a_pause_whether_or_not_anything_happens() -> None:
    world = World(BRACKET)
    world.host.run()
    world.failing["raise_alerts"] = 8
    world.host.raise_event("nothing that makes sense")
    world.host.run()
    pauses = 0
    while world.host.next_timer is not None:
        pauses += 1
        world.host.advance((world.host.next_timer - world.host.now).total_seconds())
        world.host.run()
    assert pauses == 6  # from the fifth failure on each step raises an alert of its own as well
    assert [alert["code"] for alert in world.alerts()] == ["UNREADABLE_EVENT"]


def test_a_timer_of_the_orders_own_runs_out_during_a_pause() -> None:
    world = World(replace(BRACKET, valid_for=10))
    world.host.run()
    world.report(accepted("e1"))
    world.failing["raise_alerts"] = 100
    world.host.raise_event("nothing that makes sense")
    for _ in range(11):
        world.host.run()
        world.host.advance(1)
    world.host.run()
    assert children(world) == ["e1", "x2"]


def test_a_stop_that_is_kept_here_watches_its_price_and_is_sent_when_it_is_touched() -> None:
    spec = replace(SINGLE, order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3100), synthetic=True)
    world = World(spec)
    world.host.run()
    assert world.commands() == []
    ((watching,),) = world.called("watch_prices")
    assert watching["order_id"] == ORDER
    assert (watching["command"]["symbol"], watching["command"]["above"]) == ("IBM", "3100")
    number = watching["command"]["number"]
    world.tell(PriceTouched(symbol="IBM", watch=number, price=Decimal(3101), at=_AT))
    (command,) = world.commands()
    assert command.order_type is OrderType.MARKET


def test_an_amendment_replaces_what_works() -> None:
    world = World(BRACKET)
    world.host.run()
    world.report(accepted("e1"), filled("e1", 10), accepted("s2"), accepted("t3"))
    world.tell(AmendRequested(amendment=Amendment(stop_price=Decimal(2900))))
    assert isinstance(world.commands()[-1], ReplaceOrder)
    assert world.commands()[-1].stop_price == Decimal(2900)
    assert world.host.custom_status["instructed"] == 1


def test_a_timer_that_nobody_waits_for_is_not_set_again() -> None:
    world = World(replace(BRACKET, valid_for=60))
    world.host.run()
    world.report(accepted("e1"))
    assert world.host.next_timer is not None
    world.report(filled("e1", 10))
    assert world.host.next_timer is None


def test_a_wake_up_reads_what_was_missed() -> None:
    world = World(BRACKET)
    world.host.run()
    world.append(accepted("e1"))
    world.append(filled("e1", 10))
    world.host.raise_event(encoded(Woken()))
    world.host.run()
    assert children(world) == ["e1", "s2", "t3"]


def test_an_event_that_makes_no_sense_is_alerted_on_and_the_order_goes_on() -> None:
    world = World(BRACKET)
    world.host.run()
    for junk in ({"type": "report", "row": {"order_id": 7}}, "no object", {"type": "dance"}, None):
        world.host.raise_event(junk)
    world.host.run()
    assert {alert["code"] for alert in world.alerts()} == {"UNREADABLE_EVENT"}
    world.report(accepted("e1"), filled("e1", 10))
    assert children(world) == ["e1", "s2", "t3"]


def test_a_submit_that_fails_is_tried_until_it_succeeds_with_one_alert() -> None:
    world = World(BRACKET)
    world.failing["send_to_venue"] = 8
    world.host.run()
    assert children(world) == ["e1"]
    assert [pause["seconds"] for pause in world.called("backoff")] == [1, 2, 4, 8, 16, 32, 60, 60]
    (alert,) = world.alerts()
    assert alert["code"] == "STEP_FAILS"
    assert "send_to_venue" in alert["text"]


@pytest.mark.parametrize("told", [CancelRequested(), TradingHalted(number=1)])
def test_an_entry_that_could_not_be_sent_is_not_sent_without_its_cancel_after_a_halt_or_a_cancel(
    told: Instruction,
) -> None:
    world = World(BRACKET)
    world.failing["send_to_venue"] = 2
    world.keep(told)  # while the order pauses, and its event waits
    world.host.run()
    (sent,) = world.called("send_to_venue")
    assert [decoded(each, VenueRequest).command.cl_ord_id for each in sent] == [f"{ORDER}.e1", f"{ORDER}.x2"]


def test_an_exit_that_could_not_be_sent_waits_for_nothing() -> None:
    world = World(BRACKET)
    world.host.run()
    world.failing.update({"send_to_venue": 1, "read_journal": 10})
    world.report(accepted("e1"), filled("e1", 10))
    assert children(world) == ["e1", "s2", "t3"]


def test_an_approval_that_comes_late_is_no_longer_one_after_a_halt() -> None:
    world = World(BRACKET)
    world.slow["@exposure@main.reserve"] = timedelta(seconds=50)
    world.keep(TradingHalted(number=1))
    world.host.run()
    (sent,) = world.called("send_to_venue")
    assert [decoded(each, VenueRequest).command.cl_ord_id for each in sent] == [f"{ORDER}.e1", f"{ORDER}.x2"]


def test_what_fails_for_hours_makes_new_generations_and_no_long_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "TURNS", 10)
    world = World(BRACKET)
    world.failing.update({"register_order": 12, "@exposure@main.reserve": 12, "send_to_venue": 12, "raise_alerts": 3})
    world.host.run()
    assert children(world) == ["e1"]
    assert world.host.generation >= 3
    assert world.host.longest_history < 120
    tokens = {given["token"] for given in world.called("register_order")}
    assert len(tokens) == 1


def test_an_order_keeps_its_token_over_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "TURNS", 2)
    world = World(BRACKET)
    world.failing["register_order"] = 3
    world.host.run()
    assert world.host.generation >= 2
    assert len({given["token"] for given in world.called("register_order")}) == 1


def test_valid_for_cancels_what_has_not_filled_at_the_time_of_the_market() -> None:
    world = World(replace(BRACKET, valid_for=60))
    world.host.run()
    world.report(accepted("e1"))
    world.host.advance(59)
    world.host.run()
    assert children(world) == ["e1"]
    world.host.advance(1)
    world.host.run()
    assert children(world) == ["e1", "x2"]
    request = decoded(world.called("send_to_venue")[1][0], VenueRequest)
    assert request.at == world.host.now
    world.report(canceled("e1", "x2"))
    assert world.host.output["outcome"] == "expired_unfilled"


def test_what_arrived_before_the_time_was_up_is_heard_first() -> None:
    world = World(replace(BRACKET, valid_for=60))
    world.host.run()
    world.host.raise_event(encoded(Reported(row=world.append(accepted("e1")))))
    world.host.raise_event(encoded(Reported(row=world.append(filled("e1", 10)))))
    world.host.advance(61)
    world.host.run()
    assert [type(command) for command in world.commands()] == [SubmitOrder] * 3


def test_a_cancel_of_an_order_that_never_left_ends_it() -> None:
    world = World(SINGLE)
    world.answer = {"state": "pending"}
    world.host.run()
    world.answer = {"state": "dead", "not_sent": True}
    world.tell(CancelRequested())
    assert world.host.output["outcome"] == "canceled"
    assert [type(command) for command in world.commands()] == [SubmitOrder, CancelOrder]


def test_a_request_that_can_never_be_sent_is_told_to_the_lifecycle_and_not_tried_again() -> None:
    world = World(SINGLE)
    world.answer = {"refused": "tag 38 is 'x': it must be a number"}
    world.host.run()
    assert world.host.output["outcome"] == "not_sent"
    assert children(world) == ["e1"]
    assert [alert["code"] for alert in world.alerts()] == ["ORDER_NOT_SENT"]


def test_a_cancel_that_was_lost_with_its_event_is_read_by_the_next_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "TURNS", 4)
    world = World(SINGLE)
    world.host.run()
    world.keep(CancelRequested())  # its event went down with the generation before
    generation = world.host.generation
    world.report(accepted("e1"))
    while world.host.generation == generation:
        world.host.raise_event(encoded(Reported(row=world.journal[0])))
        world.host.run()
    assert children(world) == ["e1", "x2"]


def test_an_instruction_is_handled_once_and_flatten_may_follow_keep_exits() -> None:
    world = World(BRACKET)
    world.host.run()
    world.report(accepted("e1"), filled("e1", 4))
    assert children(world) == ["e1", "s2", "t3"]
    row = world.keep(CancelRequested(mode="keep_exits"))
    for _ in range(2):
        world.host.raise_event(encoded(Instructed(row=row)))
    world.host.run()
    assert children(world) == ["e1", "s2", "t3", "x4"]
    assert world.host.custom_status["instructed"] == 1
    world.report(accepted("s2"), accepted("t3"))
    world.tell(CancelRequested(mode="flatten"))
    assert children(world) == ["e1", "s2", "t3", "x4", "x5", "x6"]
    assert world.host.custom_status["instructed"] == 2
    assert world.called("read_journal") == []


def test_an_instruction_that_comes_too_early_makes_the_driver_read_those_before_it() -> None:
    world = World(BRACKET)
    world.host.run()
    world.keep(CancelRequested(mode="keep_exits"))
    world.tell(CancelRequested(mode="flatten"))
    assert len(world.called("read_journal")) == 1
    assert world.host.custom_status["instructed"] == 2
    assert children(world) == ["e1", "x2"]


def test_an_instruction_is_not_lost_by_an_order_that_is_yet_to_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for turns, failures in ((50, 0), (50, 3), (2, 3)):
        monkeypatch.setattr(driver, "TURNS", turns)
        world = World(SINGLE)
        world.failing["register_order"] = failures
        world.tell(CancelRequested())
        assert children(world) == ["e1", "x2"]
        assert world.host.custom_status["instructed"] == 1


def test_an_amendment_that_adds_is_told_to_the_lifecycle_only_if_exposure_approves() -> None:
    world = World(BRACKET)
    world.host.run()
    world.report(accepted("e1"), filled("e1", 4))
    world.decision = {"approved": False, "reason": "MAX_NOTIONAL: order=60000 limit=50000"}
    world.tell(AmendRequested(amendment=Amendment(quantity=Decimal(20))))
    assert [alert["text"] for alert in world.alerts()] == [f"{ORDER}: MAX_NOTIONAL: order=60000 limit=50000"]
    assert not [each for each in world.commands() if isinstance(each, ReplaceOrder)]
    world.decision = {"approved": True, "reason": ""}
    world.tell(AmendRequested(amendment=Amendment(quantity=Decimal(12))))
    asked = world.called("@exposure@main.amend")[-1]
    assert [each["quantity"] for each in asked["stakes"]] == ["12"]
    assert [each.quantity for each in world.commands() if isinstance(each, ReplaceOrder)] == [Decimal(12)]


def test_exposure_is_asked_about_more_also_where_an_exit_goes_beyond_the_entry() -> None:
    world = World(BRACKET)
    world.host.run()
    world.report(accepted("e1"), filled("e1", 4))
    world.tell(AmendRequested(amendment=Amendment(quantity=Decimal(20), stop_price=Decimal(3001))))
    assert len(world.called("@exposure@main.amend")) == 1


def test_the_status_shows_what_the_order_has_become_and_not_what_it_has_refused() -> None:
    world = World(SINGLE)
    world.host.run()
    world.report(accepted("e1"), filled("e1", 6))
    world.tell(AmendRequested(amendment=Amendment(quantity=Decimal(5))))
    world.tell(AmendRequested(amendment=Amendment(limit_price=Decimal(2990))))
    status = decoded(world.host.custom_status, LiveStatus)
    assert (status.spec, status.undecided) == (replace(SINGLE, limit_price=Decimal(2990)), 0)


def synthetic_and_filled() -> tuple[World, int]:
    """A bracket whose stop at 2950 is kept here, and the number of the watch for it."""
    world = World(replace(BRACKET, synthetic=True))
    world.host.run()
    world.report(accepted("e1"), filled("e1", 10))
    number: int = world.called("watch_prices")[-1][-1]["command"]["number"]
    return world, number


def touched(number: int) -> PriceTouched:
    return PriceTouched(symbol="IBM", watch=number, price=Decimal(2949), at=_AT)


def test_a_price_that_is_touched_after_an_amendment_of_the_stop_is_told_after_it() -> None:
    world, number = synthetic_and_filled()
    world.keep(AmendRequested(amendment=Amendment(stop_price=Decimal(2900))))
    world.keep(touched(number))
    world.host.raise_event(encoded(Woken()))
    world.host.run()
    assert children(world) == ["e1"]
    assert world.called("watch_prices")[-1][-1]["command"]["below"] == "2900"


def test_a_price_that_is_touched_waits_for_no_amendment_that_exposure_cannot_be_asked_about() -> None:
    for late in (False, True):
        world = World(replace(BRACKET, synthetic=True))
        world.host.run()
        world.report(accepted("e1"), filled("e1", 4))
        number = world.called("watch_prices")[-1][-1]["command"]["number"]
        world.failing["@exposure@main.amend"] = 2
        world.keep(AmendRequested(amendment=Amendment(quantity=Decimal(20))))
        if late:
            world.host.raise_event(encoded(Woken()))
            world.host.run()
            world.tell(touched(number))
        else:
            world.keep(touched(number))
            world.host.raise_event(encoded(Woken()))
            world.host.run()
        assert children(world) == ["e1", "x2", "c3"]
        assert not world.called("@exposure@main.amend")


def test_a_cancel_waits_for_no_amendment() -> None:
    world = World(BRACKET)
    world.host.run()
    world.report(accepted("e1"))
    world.failing["@exposure@main.amend"] = 2
    world.tell(AmendRequested(amendment=Amendment(quantity=Decimal(20))), CancelRequested())
    assert children(world) == ["e1", "x2"]


def test_exposure_is_not_asked_about_exits() -> None:
    world = World(BRACKET)
    world.host.run()
    world.report(accepted("e1"), filled("e1", 10), accepted("s2"), accepted("t3"))
    world.tell(AmendRequested(amendment=Amendment(stop_price=Decimal(2960))))
    assert not world.called("@exposure@main.amend")
    assert [each.stop_price for each in world.commands() if isinstance(each, ReplaceOrder)] == [Decimal(2960)]


def test_what_the_venue_says_while_the_record_is_written_still_counts() -> None:
    world = World(SINGLE)
    world.host.run()
    world.report(accepted("e1"))
    world.after_release = [filled("e1", 3)]
    world.tell(CancelRequested())
    world.report(canceled("e1", "x2"))
    first, second = world.called("end_order")
    assert (first["last_number"], second["last_number"]) == (2, 3)
    assert second["summary"]["filled_quantity"] == "3"
    assert "LATE_FILL" in {alert["code"] for alert in world.alerts()}
    # Had the first end been recorded, up to its answer, exposure would have forgotten the order.
    assert world.called("@exposure@main.reopen") == [{"order_id": ORDER}]


def test_an_amendment_that_comes_when_the_order_is_about_to_end_is_refused_and_not_forgotten() -> None:
    world = World(SINGLE)
    world.host.run()
    world.report(accepted("e1"))
    told = world.keep(AmendRequested(amendment=Amendment(quantity=Decimal(20))))
    world.host.raise_event(encoded(Reported(row=world.append(filled("e1", 10)))))
    world.host.run()
    assert world.host.output["outcome"] == "filled"
    assert world.called("end_order")[-1]["instructed"] == told.number
    assert [alert["code"] for alert in world.alerts()] == ["AMEND_REFUSED"]


def test_an_order_that_was_denied_ends_whatever_it_was_told() -> None:
    world = World(BRACKET)
    world.decision = {"approved": False, "reason": "MAX_NOTIONAL: order=30000 limit=100"}
    world.keep(CancelRequested())
    world.host.run()
    assert world.host.output["outcome"] == "denied"
    assert world.called("end_order")[-1]["instructed"] is None


def test_an_order_under_another_instance_id_is_refused_before_anything_is_done() -> None:
    world = World(SINGLE)
    host = Host(driver.order._function._func, encoded(Placement(spec=SINGLE)), world._do, instance_id="another")
    with pytest.raises(OrchestrationFailedError, match="has to be the instance id"):
        host.run()
    assert world.calls == []


def test_many_partial_fills_leave_status_and_history_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "TURNS", 15)
    world = World(replace(BRACKET, quantity=Decimal(30)))
    world.host.run()
    world.report(accepted("e1"))
    answered = 1
    for cum in range(1, 31):
        world.report(filled("e1", 1, of=30, cum=cum))
        for command in world.commands()[answered:]:
            replacing = isinstance(command, ReplaceOrder)
            world.report(replaced(command) if replacing else accepted(command.cl_ord_id.partition(".")[2]))
        answered = len(world.commands())
    assert answered > 50
    assert world.host.custom_status["seen"] == len(world.journal)
    assert [child["quantity"] for child in world.host.custom_status["children"]] == ["30", "30", "30"]
    assert {len(child["cl_ord_ids"]) for child in world.host.custom_status["children"]} == {1}
    assert world.host.longest_history < 150


def test_the_longest_custom_status_is_within_what_the_host_allows() -> None:
    number = Decimal("123456789012345.1234567890")
    child = ChildSummary(
        cl_ord_ids=["o" * 64 + ".t1234567"],
        role=Role.TAKE_PROFIT,
        symbol="S" * 32,
        side=Side.SELL,
        quantity=number,
        cum_quantity=number,
        average_price=Decimal(1) / 3,
        status=OrderStatus.PARTIALLY_FILLED,
    )
    status = LiveStatus(
        seen=10**8,
        instructed=10**8,
        phase="registering",
        filled_quantity=number,
        children=[child] * driver.SHOWN_CHILDREN,
        spec=ScaleSpec(
            order_id="o" * 64,
            symbol="S" * 32,
            side=Side.SELL,
            rungs=(Rung(quantity=number, price=number),) * MOST_RUNGS,
            stop_price=number,
            take_profit_price=number,
            retry=RetryPolicy(final=("r" * 50,) * 10),
        ),
        undecided=10**3,
    )
    assert len(json.dumps(encoded(status)).encode("utf-16-le")) < 16 * 1024


def test_an_ordinary_bracket_needs_one_generation() -> None:
    world = World(replace(BRACKET, valid_for=60))
    world.host.run()
    world.report(accepted("e1"))
    for cum in (2, 4, 6, 8, 10):
        world.report(filled("e1", 2, cum=cum))
    assert world.host.generation == 0


@pytest.mark.parametrize("seed", range(40))
def test_wake_ups_lost_doubled_and_late_change_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue that fills and cancels; wake-ups in any order, failing activities, generations of any length."""
    chance = random.Random(seed)
    monkeypatch.setattr(driver, "TURNS", chance.choice([2, 3, 5, 50]))
    world = World(BRACKET)
    answered: set[str] = set()
    steps = 0
    world.host.run()
    while not world.host.ended:
        steps += 1
        assert steps < 500
        world.failing[chance.choice(["send_to_venue", "raise_alerts", "read_journal", "end_order", "backoff"])] += 1
        for event in _venue_answers(world, answered, chance):
            row = world.append(event)
            for _ in range(chance.choice([0, 1, 1, 2])):
                world.host.raise_event(encoded(Reported(row=row)))
        if chance.random() < 0.3 and world.journal:
            world.host.raise_event(encoded(Reported(row=chance.choice(world.journal))))
        if chance.random() < 0.2:
            world.host.raise_event(encoded(Woken()))
        for _ in range(chance.randint(1, 6)):
            if not world.host.ended:
                chance.choice([world.host.episode, world.host.complete_one, world.host.run])()
        world.host.advance(60)
    assert world.host.output["outcome"] == "take_profit"
    ids = [command.cl_ord_id for command in world.commands()]
    assert len(set(ids)) == len(set(children(world)))
    recording = world.called("end_order")[-1]
    assert recording["last_number"] == len(world.journal)
    assert recording["summary"]["filled_quantity"] == "10"


def busted(child: str, trade: OrderFilled) -> TradeBusted:
    return TradeBusted(
        cl_ord_id=f"{ORDER}.{child}",
        exec_id=f"bust-{trade.exec_id}",
        ref_exec_id=trade.exec_id,
        quantity=trade.quantity,
        price=trade.price,
        at=_AT,
    )


def ended_in_profit() -> World:
    """A bracket whose take-profit has filled, and then that trade was busted."""
    world = World(BRACKET)
    world.host.run()
    trade = filled("t3", 10, price=3050)
    world.report(accepted("e1"), filled("e1", 10), accepted("s2"), accepted("t3"), trade, canceled("s2", "x4"))
    assert world.host.output["outcome"] == "take_profit"
    world.append(busted("t3", trade))
    return world


def test_an_order_that_is_opened_again_while_trading_is_halted_asks_for_its_entry_back() -> None:
    for halted, asked in ((None, ["e1"]), (TradingHalted(number=3), ["e1", "x2"])):
        world = World(SINGLE)
        world.host.run()
        world.report(accepted("e1"), filled("e1", 10))
        assert world.host.ended
        bust = TradeBusted(
            cl_ord_id=f"{ORDER}.e1",
            exec_id="bust",
            ref_exec_id="e1-10",
            quantity=Decimal(10),
            price=Decimal(3000),
            leaves_quantity=Decimal(10),
            at=world.host.now,
        )
        world.append(bust)
        world.halted = halted
        world.start(world.called("end_order")[-1]["resumption"])
        world.host.run()
        assert children(world) == asked
        assert not world.host.ended


def test_42_an_order_whose_trade_is_busted_after_its_end_goes_on_from_what_was_kept() -> None:
    world = ended_in_profit()
    world.failing["@exposure@main.reopen"] += 1
    world.start(world.called("end_order")[-1]["resumption"])
    world.host.run()
    world.host.advance(10)
    world.host.run()
    assert [given["last_number"] for given in world.called("resume_order")] == [6]
    assert world.called("@exposure@main.reopen") == [{"order_id": ORDER}]
    assert children(world)[4:] == ["s5", "t6"]
    assert [alert["code"] for alert in world.alerts()] == ["TRADE_BUSTED", "REOPENED"]
    assert not world.host.ended
    world.report(accepted("s5"), accepted("t6"), filled("s5", 10, price=2950), canceled("t6", "x7"))
    assert world.host.output["outcome"] == "stop_loss"
    assert world.called("end_order")[-1]["last_number"] == 11
    assert len({alert["key"] for alert in world.alerts()}) == len(world.alerts())


def test_an_orchestration_that_was_started_again_too_late_does_nothing() -> None:
    world = ended_in_profit()
    resumption = world.called("end_order")[-1]["resumption"]
    world.ours = False
    world.calls.clear()
    world.start(resumption)
    world.host.run()
    assert world.host.output == {"outcome": "duplicate"}
    assert [name for name, _ in world.calls] == ["resume_order"]


def test_an_order_that_was_denied_has_nothing_to_go_on_from() -> None:
    world = World(BRACKET)
    world.decision = {"approved": False, "reason": "MAX_NOTIONAL: order=30000 limit=1"}
    world.host.run()
    assert world.called("end_order")[-1]["resumption"] is None


def _venue_answers(world: World, answered: set[str], chance: random.Random) -> list[VenueEvent]:
    """The venue's answers to what it has not answered yet: entry filled, then take-profit filled, stop cancelled."""
    events: list[VenueEvent] = []
    for command in world.commands():
        if command.cl_ord_id in answered or chance.random() < 0.3:
            continue
        answered.add(command.cl_ord_id)
        child = command.cl_ord_id.partition(".")[2]
        if isinstance(command, CancelOrder):
            events.append(canceled(command.orig_cl_ord_id.partition(".")[2], child))
        elif isinstance(command, ReplaceOrder):
            events.append(replaced(command))
        elif child.startswith("e"):
            events += [accepted(child), filled(child, 10)]
        elif child.startswith("s"):
            events.append(accepted(child))
        else:
            events += [accepted(child), filled(child, 10, price=3050)]
    return events
