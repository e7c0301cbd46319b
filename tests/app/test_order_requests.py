"""What is answered about an order whose orchestration is about to end, or has died. The rest of HTTP: `test_http`."""

import uuid
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import msgspec
import pytest

from storage.orders import OrderRecord
from storage.services import instructions, order_register
from tests.app.entities import AT
from tests.app.test_http import BRACKET
from trading.messages import LiveStatus, Payload, Placement, RecordDetail, Timing, encoded
from triggers import orders
from triggers.requests import read_order

pytestmark = pytest.mark.usefixtures("app")
Running, Failed = df.OrchestrationRuntimeStatus.Running, df.OrchestrationRuntimeStatus.Failed
Completed = df.OrchestrationRuntimeStatus.Completed


class Client:
    """The durable client, of whose host one instance is asked for; it hears of nothing."""

    def __init__(self, runtime_status: Any, phase: str = "working") -> None:
        self._runtime_status = runtime_status
        self._phase = phase
        self.events: list[str] = []

    async def get_status(self, instance_id: str, **_: object) -> Any:
        spec, _price = read_order(msgspec.json.encode({**BRACKET, "order_id": instance_id}), "")
        return SimpleNamespace(
            name="order",
            runtime_status=self._runtime_status,
            custom_status=encoded(LiveStatus(phase=self._phase)),
            created_time=AT,
            input_=encoded(Placement(spec=spec)),
        )

    async def raise_event(self, instance_id: str, name: str, payload: Any) -> None:
        self.events.append(instance_id)


async def ask(client: Client, method: str, order_id: str) -> tuple[int, Any]:
    functions: dict[str, Any] = {
        "GET": orders.show_order,
        "PATCH": orders.amend_placed_order,
        "DELETE": orders.cancel_placed_order,
    }
    body = b'{"stop_price": "1"}' if method == "PATCH" else b""
    request = func.HttpRequest(method, f"/api/orders/{order_id}", body=body, route_params={"id": order_id})
    response = await functions[method]._function._func.__wrapped__(request, client)
    return response.status_code, msgspec.json.decode(response.get_body())


def an_order(*, resumption: Payload | None = None, ended: bool = False) -> str:
    """One of the register: open, or opened again after its end."""
    order_id = f"r-{uuid.uuid4().hex}"
    spec, _ = read_order(msgspec.json.encode({**BRACKET, "order_id": order_id}), "")
    order_register().register(order_id, "token", msgspec.json.encode(spec).decode(), AT)
    if ended:
        finish(order_id, resumption=resumption)
        order_register().reopen(order_id, 1)
    return order_id


def finish(order_id: str, *, instructed: int = 0, resumption: Payload | None = None) -> None:
    detail = RecordDetail(last_number=1, instructed=instructed, timing=Timing(), resumption=resumption)
    record = OrderRecord(outcome="filled", finished_at=AT, detail=msgspec.json.encode(detail).decode())
    order_register().finish(order_id, record)


@pytest.mark.parametrize("phase", ["ending", "denied"])
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_an_order_that_is_about_to_end_is_told_nothing_more(method: str, phase: str) -> None:
    order_id = an_order()
    status, answer = await ask(Client(Running, phase), method, order_id)
    assert (status, answer["error"]["message"]) == (409, "the order is about to end")
    assert instructions().read(order_id) == []


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_an_order_whose_orchestration_has_died_is_told_nothing_and_named_so(method: str) -> None:
    for order_id in (an_order(), f"r-{uuid.uuid4().hex}"):
        status, answer = await ask(Client(Failed), method, order_id)
        assert status == 409
        assert answer["error"]["message"] == "its orchestration is Failed: the order is open, and nobody looks after it"
        assert instructions().read(order_id) == []


async def test_an_instance_that_failed_before_it_came_to_the_register_is_unattended() -> None:
    for runtime_status, phase in ((Failed, "unattended"), (Running, "registering")):
        status, answer = await ask(Client(runtime_status, "registering"), "GET", f"r-{uuid.uuid4().hex}")
        assert (status, answer["phase"]) == (200, phase)


async def test_an_order_that_was_opened_again_and_is_yet_to_be_started_is_told_and_shown_as_resuming() -> None:
    order_id = an_order(ended=True, resumption={"type": "progress"})
    client = Client(Completed, "ending")
    assert (await ask(client, "GET", order_id))[1]["phase"] == "resuming"
    assert (await ask(client, "DELETE", order_id))[0] == 202
    assert len(instructions().read(order_id)) == 1


@pytest.mark.parametrize(("heard", "expected"), [(False, 409), (True, 202)])
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_what_an_order_is_told_as_it_ends_is_refused_unless_it_has_heard_it(
    monkeypatch: pytest.MonkeyPatch, method: str, heard: bool, expected: int
) -> None:
    """It was open when it was looked for, and its end was recorded before the instruction was kept, or just after."""
    order_id, client = an_order(), Client(Running)
    append = instructions().append

    def crossed(order_id: str, instruction: Any) -> Any:
        row = append(order_id, instruction)
        finish(order_id, instructed=row.number if heard else 0)
        return row

    monkeypatch.setattr(instructions(), "append", crossed)
    status, answer = await ask(client, method, order_id)
    assert status == expected
    if not heard:
        assert answer["error"]["message"] == "the order has ended: filled"
        assert client.events == []


async def test_what_came_before_an_order_was_opened_again_is_refused_and_what_comes_after_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order_id = an_order()
    append = instructions().append

    def crossed(order_id: str, instruction: Any) -> Any:
        row = append(order_id, instruction)
        finish(order_id, resumption={"type": "progress"})
        order_register().reopen(order_id, 1, deaf_to=row.number)
        return row

    with monkeypatch.context() as patch:
        patch.setattr(instructions(), "append", crossed)
        assert (await ask(Client(Running), "DELETE", order_id))[0] == 409
    assert (await ask(Client(Running), "DELETE", order_id))[0] == 202
