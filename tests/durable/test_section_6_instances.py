"""Section 6, instances: what other tests do not show (docs/durable.md has all)."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import azure.durable_functions as df
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.durable_functions.models.utils import http_utils

from devhost.instances import InvalidIdError, check_instance_id
from devhost.worker import binding_of
from tests.devhost.running import RunningHost


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    folder = tmp_path_factory.mktemp("instances")
    with RunningHost("basic", folder, settings={"NOTES": str(folder / "notes")}) as running:
        yield running


@pytest.fixture
async def client(host: RunningHost) -> AsyncIterator[Any]:
    yield df.DurableOrchestrationClient(binding_of(host.url, "hub"))
    await http_utils._close_session()


@pytest.mark.parametrize("identifier", ["x" * 257, "a/b", "a\\b", "a#b", "a?b", "a\x01b", "a\x7fb", "a\x85b", "@a"])
def test_ids_that_are_refused(identifier: str) -> None:
    """At most 256 characters; no / \\ # ?, no control characters, no leading @."""
    with pytest.raises(InvalidIdError):
        check_instance_id(identifier)


@pytest.mark.parametrize("identifier", ["x" * 256, "a@b", "a b", "ä", "a:b"])
def test_ids_that_are_not_refused(identifier: str) -> None:
    """Everything else may be one."""
    check_instance_id(identifier)


async def test_the_history_comes_as_history_events_and_the_sdk_does_not_see_it(host: RunningHost, client: Any) -> None:
    """Absent showInput means yes; history comes back as historyEvents, and the SDK's .history stays None."""
    host.run("chain", "seen", 1)
    assert host.call("GET", "/durabletask/instances/seen")[1]["input"] == "1"
    assert host.call("GET", "/durabletask/instances/seen?showInput=false")[1]["input"] is None
    assert len(host.call("GET", "/durabletask/instances/seen?showHistory=true")[1]["historyEvents"]) == 5
    status = await client.get_status("seen", show_history=True)
    assert status.history is None


async def test_restart_returns_a_dict(host: RunningHost, client: Any) -> None:
    """Not an id."""
    host.run("chain", "once", 1)
    answer = await client.restart("once", restart_with_new_instance_id=True)
    assert isinstance(answer, dict)
    assert host.wait_for(answer["id"]) == 4


async def test_a_start_that_is_refused_without_exception_message_raises_a_key_error() -> None:
    """A failed start_new without ExceptionMessage in the body raises KeyError, not what went wrong."""

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"Message": "no"}, status=400)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", refuse)
    async with TestServer(application) as server:
        client = df.DurableOrchestrationClient(binding_of(str(server.make_url("")).rstrip("/"), "hub"))
        with pytest.raises(KeyError, match="ExceptionMessage"):
            await client.start_new("order")
    await http_utils._close_session()


async def test_this_host_says_what_went_wrong(client: Any) -> None:
    """So a client of this host hears it."""
    with pytest.raises(Exception, match="'nobody' doesn't exist"):
        await client.start_new("nobody")
