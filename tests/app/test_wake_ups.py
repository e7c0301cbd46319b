"""What the gateway's wake-ups do, and what the sweep does where one was lost."""

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df
import msgspec
import pytest

from activities.register import register_order, resume_order
from fix.schedule import Schedule
from gateway import wake_ups
from gateway.journal import Journal, Origin
from gateway.outbox import Entry, Outbox, State
from gateway.wake_ups import tell
from storage.alerts import Alert
from storage.orders import OrderRecord, OrderRegister
from storage.services import alerts, instructions, order_register, tables
from storage.settings import settings
from trading.child import OrderStatus
from trading.commands import SubmitOrder
from trading.events import (
    CancelRequested,
    OrderAccepted,
    OrderFilled,
    OrderReplaced,
    OrderReported,
    OrderRestated,
    VenueEvent,
)
from trading.identity import Role
from trading.journal import JournalRow
from trading.lifecycles import ChildSummary
from trading.messages import CancelMode, LiveStatus, RecordDetail, Registering, Resuming, Timing, encoded
from trading.orders import OrderType, Side
from trading.specs import SingleSpec
from triggers import instructing, session, sweep

pytestmark = pytest.mark.usefixtures("app")
_MODES: tuple[CancelMode, ...] = ("keep_exits", "flatten")
AT = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
Running, Failed = df.OrchestrationRuntimeStatus.Running, df.OrchestrationRuntimeStatus.Failed
Completed = df.OrchestrationRuntimeStatus.Completed


class Client:
    """The durable client, as far as it is used here. `failing` is the text that `raise_event` fails with;
    `running_instead`: nothing can be started."""

    def __init__(
        self, *, failing: str = "", status: Any = Running, live: LiveStatus | None = None, running_instead: bool = False
    ) -> None:
        self.started: list[tuple[str, Any]] = []
        self.tried = 0
        self._running_instead = running_instead
        self.signals: list[tuple[str, str, int]] = []
        self.events: list[tuple[str, str]] = []
        self.exposure: Any = None
        self.forgotten: list[str] = []
        self.reopened: list[str] = []
        self.updated = AT
        self._failing = failing
        self._status = status
        self._live = live or LiveStatus()

    async def read_entity_state(self, entity: df.EntityId) -> Any:
        return type("State", (), {"entity_exists": self.exposure is not None, "entity_state": self.exposure})()

    async def signal_entity(self, entity: df.EntityId, operation: str, given: Any) -> None:
        if operation == "forget":
            self.forgotten.append(given["order_id"])
            return
        if operation == "reopen":
            self.reopened.append(given["order_id"])
            return
        self.signals.append((f"{entity.name}/{entity.key}", operation, given["number"]))

    async def raise_event(self, instance_id: str, name: str, payload: Any) -> None:
        if self._failing:
            raise Exception(self._failing)  # what the SDK raises
        assert name == "event"
        self.events.append((instance_id, payload["type"]))

    async def start_new(self, name: str, instance_id: str, given: Any) -> None:
        assert name == "order"
        self.tried += 1
        if self._running_instead:
            raise Exception("409")  # as the SDK
        self.started.append((instance_id, given))

    async def get_status(self, instance_id: str) -> Any:
        return SimpleNamespace(
            runtime_status=self._status, custom_status=encoded(self._live), last_updated_time=self.updated
        )


def an_order_id() -> str:
    return f"w-{uuid.uuid4().hex}"


def row(order_id: str, event: VenueEvent, number: int = 1) -> JournalRow:
    return JournalRow(
        order_id=order_id, number=number, event=event, symbol="EUR/USD", side=Side.BUY, received_at=datetime.now(UTC)
    )


def fill(order_id: str) -> OrderFilled:
    return OrderFilled(
        cl_ord_id=f"{order_id}.e1",
        exec_id=f"x-{order_id}",
        quantity=Decimal(4),
        price=Decimal(100),
        cum_quantity=Decimal(4),
        leaves_quantity=Decimal(0),
        at=AT,
    )


def accepted(order_id: str) -> OrderAccepted:
    return OrderAccepted(cl_ord_id=f"{order_id}.e1", at=AT)


def register(order_id: str, *, ended_after: int | None = None) -> None:
    order_register().register(order_id, "token", "{}", AT)
    if ended_after is not None:
        detail = json.dumps(encoded(RecordDetail(last_number=ended_after, timing=Timing())))
        order_register().finish(order_id, OrderRecord(outcome="filled", finished_at=AT, detail=detail))


def alerts_of(order_id: str) -> list[Alert]:
    return alerts().list(order_id)


async def test_a_row_goes_to_both_entities_and_then_to_the_order() -> None:
    order_id, client = an_order_id(), Client()
    register(order_id)
    await tell(client, [row(order_id, fill(order_id))])
    assert client.signals == [("position/EUR~2F~USD", "apply", 1), ("exposure/main", "apply", 1)]
    assert client.events == [(order_id, "report")]
    assert alerts_of(order_id) == []


async def test_of_an_order_that_never_ended_a_trade_reads_no_more_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    order_id, client = an_order_id(), Client()
    register(order_id)
    with monkeypatch.context() as patch:
        patch.delattr(OrderRegister, "get")
        await tell(client, [row(order_id, fill(order_id))])
    assert client.events == [(order_id, "report")]


async def test_rows_that_go_together_reach_the_entities_one_by_one_and_the_order_at_once() -> None:
    order_id, client = an_order_id(), Client()
    register(order_id, ended_after=1)
    await tell(client, [row(order_id, accepted(order_id)), row(order_id, fill(order_id), number=2)])
    assert [(entity, number) for entity, _, number in client.signals] == [
        ("position/EUR~2F~USD", 1),
        ("exposure/main", 1),
        ("position/EUR~2F~USD", 2),
        ("exposure/main", 2),
    ]
    assert client.events == [(order_id, "report")]
    assert [alert.code for alert in alerts_of(order_id)] == ["LATE_EXECUTION"]


@pytest.mark.parametrize("answer", ["No instance with ID o found.", "Instance with ID o is gone: either completed"])
async def test_a_trade_after_the_orders_end_is_alerted_on_once(answer: str) -> None:
    order_id, client = an_order_id(), Client(failing=answer)
    register(order_id, ended_after=2)
    for _ in range(2):
        await tell(client, [row(order_id, fill(order_id), number=3)])
    (alert,) = alerts_of(order_id)
    assert alert.code == "LATE_EXECUTION"
    assert "after the order had ended as filled" in alert.text


async def test_a_trade_that_an_ending_orchestration_accepted_and_never_handled_is_alerted_on() -> None:
    order_id, client = an_order_id(), Client()
    register(order_id, ended_after=2)
    await tell(client, [row(order_id, fill(order_id), number=3)])
    assert [alert.code for alert in alerts_of(order_id)] == ["LATE_EXECUTION"]


RESUMPTION = {"type": "progress", "phase": "resuming"}


def ended(order_id: str, last_number: int = 2) -> None:
    """In the register, as `end_order` does it for an order that had a lifecycle."""
    register(order_id)
    detail = encoded(RecordDetail(last_number=last_number, timing=Timing(), resumption=RESUMPTION))
    record = OrderRecord(outcome="filled", finished_at=AT, detail=json.dumps(detail))
    order_register().finish(order_id, record)


def is_open(order_id: str) -> bool:
    order = order_register().get(order_id)
    assert order is not None
    return order.record is None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake_ups, "PATIENCE", 0.1)
    monkeypatch.setattr(wake_ups, "_FIRST_PAUSE", 0.01)


async def test_42_a_trade_after_the_orders_end_opens_it_again_from_there() -> None:
    order_id, client = an_order_id(), Client(failing="Instance with ID o is gone", status=Completed)
    ended(order_id)
    await tell(client, [row(order_id, fill(order_id), number=3)])
    assert is_open(order_id)
    assert client.started == [(order_id, RESUMPTION)]
    assert client.reopened == [order_id]
    assert [alert.code for alert in alerts_of(order_id)] == ["LATE_EXECUTION"]
    # As the gateway does it where the process died before it knew of this.
    await tell(client, [row(order_id, fill(order_id), number=3)])
    assert client.started == [(order_id, RESUMPTION)] * 2
    assert len(alerts_of(order_id)) == 1


async def test_what_an_order_was_told_after_its_end_is_not_heard_when_it_is_opened_again() -> None:
    order_id, client = an_order_id(), Client(failing="Instance with ID o is gone", status=Completed)
    ended(order_id)
    instructions().append(order_id, CancelRequested())
    await tell(client, [row(order_id, fill(order_id), number=3)])
    expected = [(order_id, RESUMPTION | {"instructed": 1})]
    assert client.started == expected
    # What it is told from now on it hears, whoever starts it.
    instructions().append(order_id, CancelRequested())
    await tell(client, [row(order_id, fill(order_id), number=3)])
    await sweep._look_after(client, order_id)
    assert client.started == expected * 3


def restated(order_id: str, leaves: int) -> OrderRestated:
    quantity, cum = Decimal(10 + leaves), Decimal(10)
    return OrderRestated(
        cl_ord_id=f"{order_id}.e1", quantity=quantity, cum_quantity=cum, leaves_quantity=Decimal(leaves), at=AT
    )


def replaced(order_id: str, leaves: int) -> OrderReplaced:
    name, quantity, cum = f"{order_id}.e1", Decimal(10 + leaves), Decimal(10)
    return OrderReplaced(cl_ord_id=name, orig_cl_ord_id=name, quantity=quantity, cum_quantity=cum, at=AT)


@pytest.mark.parametrize("report", [restated, replaced])
@pytest.mark.parametrize("leaves", [0, 2])
async def test_a_report_that_a_child_works_again_opens_its_order_again(report: Any, leaves: int) -> None:
    order_id, client = an_order_id(), Client(failing="Instance with ID o is gone", status=Completed)
    ended(order_id)
    await tell(client, [row(order_id, report(order_id, leaves), number=3)])
    assert is_open(order_id) == (leaves > 0)
    assert client.started == ([(order_id, RESUMPTION)] if leaves else [])
    assert alerts_of(order_id) == []  # the lifecycle tells of it


async def test_an_order_that_runs_again_or_has_ended_once_more_is_left_alone() -> None:
    order_id = an_order_id()
    ended(order_id)
    client = Client(running_instead=True, live=LiveStatus(phase="working"))
    await tell(client, [row(order_id, fill(order_id), number=3)])
    assert client.tried == 1
    ended(order_id, 3)
    await tell(client, [row(order_id, fill(order_id), number=3)])
    assert (client.tried, is_open(order_id)) == (1, False)


async def test_an_orchestration_that_is_just_ending_is_waited_for_beside_the_wake_ups_of_others() -> None:
    order_id = an_order_id()
    ended(order_id)
    client = Client(running_instead=True, live=LiveStatus(phase="ending"))
    await tell(client, [row(order_id, fill(order_id), number=3)])
    assert (client.tried, client.started, is_open(order_id)) == (1, [], True)
    client._running_instead = False
    await asyncio.gather(*wake_ups._resuming)
    assert client.started == [(order_id, RESUMPTION)]
    assert [alert.code for alert in alerts_of(order_id)] == ["LATE_EXECUTION"]


@pytest.mark.usefixtures("impatient")
async def test_an_orchestration_that_does_not_end_is_left_to_the_sweep() -> None:
    order_id = an_order_id()
    ended(order_id)
    client = Client(running_instead=True, live=LiveStatus(phase="ending"))
    await tell(client, [row(order_id, fill(order_id), number=3)])
    await asyncio.gather(*wake_ups._resuming)
    assert client.tried > 1
    assert client.started == []
    client = Client(status=Completed)
    await sweep._look_after(client, order_id)
    assert client.started == [(order_id, RESUMPTION)]


async def test_an_order_opened_again_whose_orchestration_has_failed_is_alerted_on_and_not_started_for_ever() -> None:
    order_id, client = an_order_id(), Client(status=Failed)
    ended(order_id)
    order_register().reopen(order_id, 2)
    await sweep._look_after(client, order_id)
    assert client.started == []
    assert [alert.code for alert in alerts_of(order_id)] == ["ORDER_UNATTENDED"]


async def test_a_start_that_fails_is_the_gateways_to_repeat() -> None:
    order_id = an_order_id()
    ended(order_id)
    with pytest.raises(Exception, match="409"):
        await tell(Client(running_instead=True, status=Completed), [row(order_id, fill(order_id), number=3)])


def test_an_order_is_registered_also_where_its_spec_is_wrong_and_that_is_said() -> None:
    for quantity, wrong in ((Decimal(10), ""), (Decimal(0), "quantity")):
        order_id = an_order_id()
        spec = SingleSpec(order_id=order_id, symbol="IBM", side=Side.BUY, quantity=quantity, limit_price=Decimal(100))
        answer = register_order._function._func(encoded(Registering(token="t", spec=spec, created_at=AT)))
        assert answer["ours"]
        assert answer["wrong"].partition(":")[0] == wrong
        assert is_open(order_id)


async def test_the_register_gives_an_order_to_the_orchestration_of_its_last_end() -> None:
    order_id = an_order_id()
    ended(order_id, 5)
    resume = resume_order._function._func
    assert resume(encoded(Resuming(order_id=order_id, last_number=2))) == {"ours": False}
    assert resume(encoded(Resuming(order_id=order_id, last_number=5))) == {"ours": False}, "nobody has opened it"
    assert not is_open(order_id)
    order_register().reopen(order_id, 5)
    for _ in range(2):
        assert resume(encoded(Resuming(order_id=order_id, last_number=5))) == {"ours": True}
    assert is_open(order_id)
    assert resume(encoded(Resuming(order_id=an_order_id(), last_number=5))) == {"ours": False}


async def test_what_the_order_had_seen_or_what_is_no_trade_is_not_alerted_on_when_it_comes_again() -> None:
    order_id, client = an_order_id(), Client(failing="Instance with ID o is gone")
    register(order_id, ended_after=2)
    await tell(client, [row(order_id, fill(order_id), number=2)])
    await tell(client, [row(order_id, accepted(order_id), number=3)])
    assert alerts_of(order_id) == []


async def test_a_trade_of_an_order_that_nobody_knows_counts_and_is_told_by_the_gateway_alone() -> None:
    order_id, client = an_order_id(), Client(failing="No instance with ID o found.")
    await tell(client, [row(order_id, fill(order_id))])
    assert len(client.signals) == 2
    assert alerts_of(order_id) == []


async def test_any_other_failure_is_the_gateways_to_repeat() -> None:
    order_id = an_order_id()
    register(order_id)
    with pytest.raises(Exception, match="unrecognized status code 500"):
        await tell(Client(failing="Webhook returned unrecognized status code 500"), [row(order_id, fill(order_id))])


def journalled(order_id: str, ago: timedelta, event: VenueEvent | None = None, number: int = 1) -> None:
    Journal(tables()).append(
        order_id,
        event or accepted(order_id),
        origin=Origin(f"s-{order_id}", 0, number),
        symbol="IBM",
        side=Side.BUY,
        received_at=datetime.now(UTC) - ago,
    )


async def test_the_sweep_wakes_an_order_whose_journal_has_long_been_ahead() -> None:
    order_id, client = an_order_id(), Client()
    register(order_id)
    journalled(order_id, ago=timedelta(minutes=1))
    await sweep._look_after(client, order_id)
    assert client.events == [(order_id, "wake")]


async def test_the_sweep_leaves_an_order_in_peace_that_has_seen_all_or_was_told_just_now() -> None:
    seen, fresh = an_order_id(), an_order_id()
    for order_id, ago in ((seen, timedelta(minutes=1)), (fresh, timedelta(seconds=1))):
        register(order_id)
        journalled(order_id, ago)
    client = Client(live=LiveStatus(seen=1))
    await sweep._look_after(client, seen)
    assert client.events == []
    client = Client()
    await sweep._look_after(client, fresh)
    assert client.events == []


async def test_the_sweep_wakes_an_order_that_has_not_heard_of_an_instruction() -> None:
    order_id = an_order_id()
    register(order_id)
    for number, mode in enumerate(_MODES, start=1):
        assert instructions().append(order_id, CancelRequested(mode=mode)).number == number
    client = Client(live=LiveStatus(instructed=2))
    await sweep._look_after(client, order_id)
    assert client.events == []
    client = Client(live=LiveStatus(instructed=1))
    await sweep._look_after(client, order_id)
    assert client.events == [(order_id, "wake")]


async def test_an_instruction_is_kept_whether_or_not_its_event_comes_through() -> None:
    order_id, client = an_order_id(), Client()
    first = await instructing.tell(client, order_id, CancelRequested(mode="keep_exits"))
    assert client.events == [(order_id, "instruction")]
    second = await instructing.tell(Client(failing="Instance with ID o is gone"), order_id, CancelRequested())
    assert instructions().read(order_id) == [first, second]


async def test_an_instruction_whose_event_fails_wakes_the_order_soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructing, "_PAUSES", (0.0, 0.0, 0.0))
    order_id, client = an_order_id(), Client(failing="Webhook returned unrecognized status code 503")
    raise_event, tried = client.raise_event, 0

    async def comes_back(*given: Any) -> None:
        nonlocal tried
        tried += 1
        if tried == 3:
            client._failing = ""
        await raise_event(*given)

    monkeypatch.setattr(client, "raise_event", comes_back)
    await instructing.tell(client, order_id, CancelRequested())
    assert (tried, client.events) == (3, [(order_id, "instruction")])


async def test_the_sweep_alerts_on_an_open_order_whose_orchestration_has_died() -> None:
    order_id, client = an_order_id(), Client(status=Failed)
    register(order_id)
    for _ in range(2):
        await sweep._look_after(client, order_id)
    (alert,) = alerts_of(order_id)
    assert alert.code == "ORDER_UNATTENDED"
    assert "Failed" in alert.text
    assert client.events == []


async def test_an_orchestration_that_dies_once_more_is_alerted_on_once_more() -> None:
    order_id, client = an_order_id(), Client(status=Failed)
    register(order_id)
    for day in range(2):
        client.updated = AT + timedelta(days=day)
        for _ in range(2):
            await sweep._look_after(client, order_id)
    assert [alert.code for alert in alerts_of(order_id)] == ["ORDER_UNATTENDED"] * 2


async def test_an_order_whose_orchestration_is_missing_is_alerted_on_once_for_each_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order_id, client = an_order_id(), Client()

    async def missing(_: str) -> None:
        return None

    monkeypatch.setattr(client, "get_status", missing)
    register(order_id)
    for _ in range(2):
        await sweep._look_after(client, order_id)
    register(order_id, ended_after=2)
    order_register().reopen(order_id, 2)
    for _ in range(2):
        await sweep._look_after(client, order_id)
    assert [alert.code for alert in alerts_of(order_id)] == ["ORDER_UNATTENDED"] * 2


async def test_an_order_that_ended_while_the_sweep_looked_is_no_reason_for_an_alert() -> None:
    order_id = an_order_id()
    register(order_id, ended_after=1)
    await sweep._look_after(Client(status=df.OrchestrationRuntimeStatus.Completed), order_id)
    assert alerts_of(order_id) == []


def pending_child(order_id: str, status: OrderStatus = OrderStatus.PENDING_NEW) -> LiveStatus:
    zero = Decimal(0)
    child = ChildSummary(
        cl_ord_ids=[f"{order_id}.e1"],
        role=Role.ENTRY,
        side=Side.BUY,
        quantity=Decimal(10),
        cum_quantity=zero,
        average_price=zero,
        status=status,
    )
    return LiveStatus(seen=100, children=[child])


def handed_in(order_id: str, state: State = "pending") -> None:
    command = SubmitOrder(
        cl_ord_id=f"{order_id}.e1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(10),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(100),
    )
    Outbox(tables(), settings().session).insert(Entry(order_id=order_id, command=command, at=AT, state=state))


async def test_the_sweep_alerts_once_on_a_submission_that_nothing_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = an_order_id()
    register(order_id)
    handed_in(order_id)
    client = Client(live=pending_child(order_id))
    await sweep._look_after(client, order_id)
    assert alerts_of(order_id) == []
    monkeypatch.setattr(sweep, "PATIENCE", timedelta(seconds=-1))
    for _ in range(2):
        await sweep._look_after(client, order_id)
    (alert,) = alerts_of(order_id)
    assert (alert.code, alert.key) == ("NO_ANSWER", f"NO_ANSWER-{order_id}.e1")
    assert alert.text.startswith(f"{order_id}.e1: no answer of the venue since 20")


async def test_a_trade_of_an_ended_order_that_nobody_was_told_of_is_told_within_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process went on writing it down after its epoch was over, and with new numbers the venue does not resend it."""
    told, failing, complete, denied = (an_order_id() for _ in range(4))
    for order_id in (told, failing, complete):
        ended(order_id, last_number=1)
        journalled(order_id, timedelta(hours=2))
        handed_in(order_id, "dead")
        if order_id != complete:
            journalled(order_id, timedelta(hours=1), fill(order_id), number=2)
    register(denied, ended_after=0)
    handed_in(denied, "dead")
    client = Client(failing="Instance with ID o is gone", status=Completed)
    start = client.start_new

    async def start_new(name: str, instance_id: str, given: Any) -> None:
        if instance_id == failing:
            raise OSError("storage is not there")
        await start(name, instance_id, given)

    async def get_status(instance_id: str) -> Any:
        raise OSError("storage is not there")

    monkeypatch.setattr(client, "start_new", start_new)
    monkeypatch.setattr(client, "get_status", get_status)
    for _ in range(2):
        await session.purge_outbox._function._func.client_function(None, client)
        assert [each for each in client.started if each[0] in (told, complete, denied)] == [(told, RESUMPTION)]
    assert is_open(told)
    assert not is_open(complete)
    assert {number for entity, _, number in client.signals if entity == "position/IBM"} >= {2}
    assert [alert.code for alert in alerts_of(told)] == ["LATE_EXECUTION"]


async def test_out_of_hours_nobody_is_told_of_an_order_that_waits_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    later = Schedule.daily((now + timedelta(hours=2)).time(), (now + timedelta(hours=3)).time())
    closed = msgspec.structs.replace(settings(), fix_schedule=later)
    monkeypatch.setattr(sweep, "settings", lambda: closed)
    monkeypatch.setattr(sweep, "PATIENCE", timedelta(seconds=-1))
    order_id = an_order_id()
    register(order_id)
    handed_in(order_id)
    await sweep._look_after(Client(live=pending_child(order_id)), order_id)
    assert alerts_of(order_id) == []


async def test_the_sweep_alerts_on_an_answer_that_has_long_been_pending_and_on_none_that_came() -> None:
    for last, codes in (("6", ["NO_ANSWER"]), ("0", [])):
        order_id = an_order_id()
        register(order_id)
        for number, exec_type in enumerate(("6", last), start=1):
            reported = OrderReported(cl_ord_id=f"{order_id}.x2", exec_type=exec_type, order_status="6", at=AT)
            journalled(order_id, timedelta(minutes=2), reported, number)
        await sweep._look_after(Client(live=pending_child(order_id, OrderStatus.PENDING_CANCEL)), order_id)
        assert [alert.code for alert in alerts_of(order_id)] == codes


async def test_the_sweep_has_exposure_forget_what_has_ended_and_nothing_else() -> None:
    ended, ahead, still_open, unknown = (an_order_id() for _ in range(4))
    register(ended, ended_after=2)
    register(ahead, ended_after=2)
    register(still_open)
    client = Client()
    client.exposure = {
        "exposure": {"reservations": {each: {} for each in (ended, ahead, still_open, unknown)}},
        "applied": {ended: 2, ahead: 3, still_open: 1},
    }
    await sweep._let_go(client)
    assert client.forgotten == [ended]


async def test_the_sweep_looks_after_every_order_whatever_fails_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, client = an_order_id(), an_order_id(), Client()
    for order_id in (one, other):
        register(order_id, ended_after=2)
    client.exposure = {"exposure": {"reservations": {one: {}, other: {}}}, "applied": {}}
    get, done = sweep._end_of, list[str]()

    def failing(order_id: str) -> Any:
        if order_id == one:
            raise OSError("storage is not there")
        return get(order_id)

    async def looked_after(client: Any, order_id: str) -> None:
        done.append(order_id)

    async def fails(client: Any) -> None:
        done.append("halt")
        raise OSError("storage is not there")

    monkeypatch.setattr(sweep, "_end_of", failing)
    monkeypatch.setattr(sweep, "keep_halt", fails)
    monkeypatch.setattr(sweep, "_look_after", looked_after)
    open_one = an_order_id()
    register(open_one)
    await sweep.sweep_orders._function._func.client_function(None, client)
    assert done[-1] == "halt"
    assert open_one in done[:-1]
    assert client.forgotten == [other]
