"""Queue triggers, queue and blob bindings and the warm-up, on Azurite."""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient, QueueServiceClient

from player.azurite import azurite, connection_string, free_port
from tests.devhost.running import RunningHost, wait_until


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    """The connection string of an Azurite with blobs and queues."""
    blob_port, queue_port = free_port(), free_port()
    with azurite(blob_port, "blob"), azurite(queue_port, "queue"):
        tables = connection_string(1, blob_port=blob_port)
        yield f"{tables}QueueEndpoint=http://127.0.0.1:{queue_port}/devstoreaccount1;"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[RunningHost]:
    with start(tmp_path_factory.mktemp("storage"), storage) as running:
        yield running


def start(folder: Path, storage: str, queue: str = "orders") -> RunningHost:
    settings = {"NOTES": str(folder / "notes"), "AzureWebJobsStorage": storage, "IN_QUEUE": queue}
    return RunningHost("storage", folder, settings=settings)


def notes(host: RunningHost) -> list[str]:
    path = host.folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


def queue(storage: str, name: str) -> QueueClient:
    return QueueServiceClient.from_connection_string(storage).get_queue_client(name)


def send(storage: str, name: str, *orders: dict[str, object]) -> None:
    client = queue(storage, name)
    try:
        client.get_queue_properties()
    except ResourceNotFoundError:
        client.create_queue()
    for order in orders:
        client.send_message(base64.b64encode(json.dumps(order).encode()).decode())


def waiting(storage: str, name: str) -> list[str]:
    """The texts in a queue, hidden ones left out."""
    try:
        return sorted(base64.b64decode(each.content).decode() for each in queue(storage, name).peek_messages(32))
    except ResourceNotFoundError:
        return []


def test_the_warm_up_runs_once_and_before_anything_else(host: RunningHost) -> None:
    assert notes(host)[0] == "warm"
    assert notes(host).count("warm") == 1


def test_messages_are_handled_once_and_outputs_are_written(host: RunningHost, storage: str) -> None:
    send(storage, "orders", *({"n": n, "customer": "ann"} for n in range(20)))
    wait_until(lambda: len(waiting(storage, "confirmed")) == 20, "the confirmations")
    assert waiting(storage, "confirmed") == sorted(f"order {n}" for n in range(20))
    assert Counter(note for note in notes(host) if "try" in note) == {f"order {n} try 1": 1 for n in range(20)}
    blobs = BlobServiceClient.from_connection_string(storage).get_container_client("receipts")
    names = [blob.name for blob in blobs.list_blobs()]
    assert len(names) == 20
    assert all(name.startswith("ann/") for name in names)
    wait_until(lambda: queue(storage, "orders").get_queue_properties().approximate_message_count == 0, "an empty queue")


def test_a_message_that_keeps_failing_is_tried_again_and_then_set_aside(host: RunningHost, storage: str) -> None:
    send(storage, "orders", {"n": 99, "customer": "bob", "bad": True})
    wait_until(lambda: len(waiting(storage, "orders-poison")) == 1, "the poison message")
    assert json.loads(waiting(storage, "orders-poison")[0])["n"] == 99
    assert [note for note in notes(host) if note.startswith("order 99")] == ["order 99 try 1", "order 99 try 2"]
    assert "ValueError: a bad order" in host.log


def test_a_message_that_its_bindings_cannot_use_fails_too(host: RunningHost, storage: str) -> None:
    send(storage, "orders", {"n": 98})
    wait_until(lambda: len(waiting(storage, "orders-poison")) == 2, "the poison message")
    assert "'receipts/{customer}/{rand-guid}.txt' wants {customer}, which the trigger does not know" in host.log


def test_a_blob_is_written_and_read_by_a_route_parameter(host: RunningHost) -> None:
    assert host.call("GET", "/api/notes/mine")[0] == 404
    assert host.call("PUT", "/api/notes/mine", b"hello") == (200, "put")
    assert host.call("GET", "/api/notes/mine") == (200, "hello")


def test_an_output_that_cannot_be_written_fails_the_function(host: RunningHost) -> None:
    assert host.call("PUT", "/api/notes/other?unfit=1", b"hello")[0] == 500
    assert "the output 'told' cannot be a object" in host.log
    assert host.call("POST", "/api/lost")[0] == 500
    assert "wants {nobody}, which the trigger does not know; it knows nothing" in host.log


def test_a_queue_trigger_can_be_run_by_hand(host: RunningHost, storage: str) -> None:
    order = json.dumps({"n": 55, "customer": "eve"})
    assert host.call("POST", "/admin/functions/take_order", {"input": order})[0] == 202
    wait_until(lambda: "order 55" in waiting(storage, "confirmed"), "the confirmation")
    assert host.call("POST", "/admin/functions/put_note", {"input": ""})[0] == 400


def test_the_message_of_a_killed_host_comes_back(tmp_path: Path, storage: str) -> None:
    send(storage, "later", {"n": 7, "customer": "ann", "hang": True})
    with start(tmp_path, storage, "later") as host:
        wait_until(lambda: "order 7 try 1" in notes(host), "the first try")
        host.kill()
    (tmp_path / "gate").touch()
    with start(tmp_path, storage, "later") as host:
        wait_until(lambda: "order 7 try 2" in notes(host), "the second try", seconds=30)
        wait_until(lambda: "order 7" in waiting(storage, "confirmed"), "the confirmation")


def test_a_storage_that_does_not_answer_is_told_once(tmp_path: Path) -> None:
    nobody = f"{connection_string(1, blob_port=1)}QueueEndpoint=http://127.0.0.1:1/devstoreaccount1;"
    with start(tmp_path, nobody) as host:
        wait_until(lambda: "its storage does not answer, tried again" in host.log, "the warning", seconds=30)
        assert host.call("GET", "/admin/host/ping")[0] == 200


def test_a_connection_that_is_not_set_keeps_the_host_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AzureWebJobsStorage", raising=False)
    with pytest.raises(AssertionError, match="'AzureWebJobsStorage' names a setting that does not exist"):
        RunningHost("storage", tmp_path, settings={"NOTES": str(tmp_path / "notes")})
