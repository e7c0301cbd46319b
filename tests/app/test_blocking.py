"""Letting new orders in a symbol come again, over HTTP."""

from typing import Any

import azure.durable_functions as df
import azure.functions as func
import msgspec
import pytest

from tests.app import entities
from trading.commands import BlockSymbol
from trading.messages import encoded
from triggers import orders


class Client(entities.Client):
    """What is said while it is `deaf` is `late`."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf = False
        self.late: list[tuple[str, Any]] = []

    async def signal_entity(self, entity: df.EntityId, operation: str, given: Any) -> None:
        if self.deaf:
            self.late.append((operation, given))
        else:
            await super().signal_entity(entity, operation, given)

    def block(self, symbol: str, reason: str) -> None:
        self.entities["exposure"].batch(("block", encoded(BlockSymbol(symbol=symbol, reason=reason))))

    @property
    def blocked(self) -> dict[str, str]:
        blocked: dict[str, str] = self.entities["exposure"].state["exposure"]["blocked"]
        return blocked


@pytest.fixture
def client(app: None) -> Client:
    return Client()


async def unblock(client: Client, symbol: str) -> tuple[int, Any]:
    function: Any = orders.unblock_symbol
    request = func.HttpRequest("DELETE", "/api/exposure/blocked", params={"symbol": symbol}, body=b"")
    # As it is written, under what the SDK has wrapped around it for its own client.
    response = await function._function._func.__wrapped__(request, client)
    return response.status_code, msgspec.json.decode(response.get_body())


async def test_a_symbol_is_unblocked_and_the_answer_says_what_it_had_been_blocked_for(client: Client) -> None:
    client.block("IBM", "DOUBLE_EXIT order=a")
    client.block("MSFT", "DOUBLE_EXIT order=b")
    assert await unblock(client, "IBM") == (202, {"symbol": "IBM", "reason": "DOUBLE_EXIT order=a"})
    assert client.blocked == {"MSFT": "DOUBLE_EXIT order=b"}
    status, answer = await unblock(client, "IBM")
    assert (status, answer["error"]["field"], answer["error"]["value"]) == (404, "symbol", "IBM")


async def test_an_unblocking_that_comes_late_leaves_what_the_symbol_was_blocked_for_since(client: Client) -> None:
    client.block("IBM", "DOUBLE_EXIT order=a")
    client.deaf = True
    assert (await unblock(client, "IBM"))[0] == 202
    client.deaf = False
    assert (await unblock(client, "IBM"))[0] == 202
    client.block("IBM", "DOUBLE_EXIT order=b")
    client.entities["exposure"].batch(*client.late)
    assert client.blocked == {"IBM": "DOUBLE_EXIT order=b"}


async def test_an_unblocking_of_before_that_names_no_reason_is_carried_out(client: Client) -> None:
    client.block("IBM", "DOUBLE_EXIT order=a")
    client.entities["exposure"].batch(("unblock", {"symbol": "IBM"}))
    assert client.blocked == {}
