# The SDK's decorators are untyped, and the functions under them have no bodies.
# mypy: disable-error-code="untyped-decorator,empty-body"
"""Section 1, what makes the host accept a function app: what other tests do not show (docs/durable.md has all)."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pytest
from azure.functions.eventhub import EventHubTriggerConverter
from azure.functions.meta import Datum

from devhost.app import App, LoadError, examine
from devhost.worker import Worker, binding_of
from tests.devhost.running import RunningHost, events

HOST_JSON = json.dumps({"version": "2.0"})


def app_in(folder: Path, source: str) -> Path:
    (folder / "function_app.py").write_text(source)
    (folder / "host.json").write_text(HOST_JSON)
    return folder


def refused(folder: Path, source: str) -> str:
    with pytest.raises(AssertionError) as caught:
        RunningHost(str(app_in(folder, source)), folder)
    return str(caught.value)


def test_one_bad_function_and_the_app_has_none_at_all(tmp_path: Path) -> None:
    """One bad function and the app has no functions at all: the host does not start, and says which one it is."""
    source = (
        "import azure.durable_functions as df\n"
        "app = df.DFApp()\n"
        "@app.activity_trigger(input_name='value')\n"
        "def good(value: int) -> int:\n    return value\n"
        "@app.activity_trigger(input_name='value')\n"
        "def bad(value: 'int | None') -> int:\n    return 1\n"
    )
    told = refused(tmp_path, source)
    assert "bad: the parameter 'value' has the annotation int | None" in told


def test_two_app_objects_are_refused(tmp_path: Path) -> None:
    """Rejected: two app objects."""
    told = refused(tmp_path, "import azure.functions as func\napp = func.FunctionApp()\nother = func.FunctionApp()\n")
    assert "function_app.py has 2 function apps" in told


def examined(declare: Callable[[Any], object]) -> App:
    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    declare(app)
    return examine(app.get_functions())


@pytest.mark.parametrize("name", ["the_value", "the__value"])
def test_a_binding_name_with_underscores_is_refused(name: str) -> None:
    """Hosts older than 4.1038 refuse a single underscore in a binding's name, every host two in a row."""

    def declare(app: Any) -> None:
        namespace: dict[str, Any] = {}
        exec(f"def work({name}: int) -> None: ...", namespace)  # the parameter's name is the case
        app.activity_trigger(input_name=name)(namespace["work"])

    with pytest.raises(LoadError, match="hosts refuse underscores"):
        examined(declare)


def test_route_parameters_may_have_underscores_and_blueprints_are_registered() -> None:
    """Accepted: blueprints, and route parameters with underscores."""
    blueprint = df.Blueprint()

    @blueprint.route(route="things/{the_id}")
    def thing(req: func.HttpRequest) -> func.HttpResponse: ...

    def declare(app: Any) -> None:
        app.register_functions(blueprint)

    assert [each.name for each in examined(declare).functions] == ["thing"]


def test_the_decoder_of_a_batch_fails_on_the_metadata_of_a_single_event() -> None:
    """A MANY trigger gets its metadata as SystemPropertiesArray; invoked through /admin/functions a real host sends a
    single event's metadata, on which the decoder fails (host issue 8878)."""
    single = {"SystemProperties": Datum('{"SequenceNumber": 1}', "json")}
    batch = Datum(SimpleNamespace(string=['{"a": 1}']), "collection_string")
    with pytest.raises(UnboundLocalError, match="body"):
        EventHubTriggerConverter.decode(batch, trigger_metadata=single)


def test_so_events_have_a_way_in_of_their_own(tmp_path: Path) -> None:
    """Whatever feeds events by hand needs its own way in."""
    with RunningHost("basic", tmp_path, settings={"NOTES": str(tmp_path / "notes")}) as host:
        assert host.call("POST", "/admin/functions/on_events", {"input": "[]"})[0] == 400
        status, answer = host.call("POST", "/devhost/eventhubs/market/events?wait=10", events(1, value=1))
        assert (status, answer["stored"]) == (202, 1)


async def test_asynchronous_functions_share_one_loop_and_synchronous_ones_a_pool_of_threads() -> None:
    """`async def` functions share the worker's one event loop: a blocking call in one stalls all. Synchronous functions
    run on a thread pool of a size that can be set."""
    worker = Worker(2, binding_of("http://127.0.0.1:1", "hub"))
    threads: set[str] = set()
    together = threading.Barrier(2, timeout=10)

    def declare(app: Any) -> None:
        @app.activity_trigger(input_name="value")
        async def loop(value: str) -> str:
            return threading.current_thread().name

        @app.activity_trigger(input_name="value")
        def pool(value: str) -> str:
            threads.add(threading.current_thread().name)
            together.wait()
            return value

        @app.activity_trigger(input_name="value")
        async def blocking(value: str) -> float:
            time.sleep(0.2)  # noqa: ASYNC251  # it is what blocks
            return time.monotonic()

    functions = {each.name: each for each in examined(declare).functions}
    try:
        on_loop = await asyncio.gather(*(worker.activity(functions["loop"], "1") for _ in range(3)))
        assert len(set(on_loop)) == 1
        await asyncio.gather(*(worker.activity(functions["pool"], "1") for _ in range(2)))
        assert len(threads) == 2
        first, beside = await asyncio.gather(
            worker.activity(functions["blocking"], "1"), worker.activity(functions["blocking"], "1")
        )
        assert abs(float(first) - float(beside)) >= 0.2
    finally:
        await worker.stop(1)
