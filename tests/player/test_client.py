"""The JSON client: what is repeated, and what is told."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from player.client import Client, RefusedError, UnreachableError
from player.processes import free_port


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: ClassVar[list[tuple[int, bytes]]] = []
    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.answers.pop(0)
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    _Handler.answers, _Handler.bodies = [], []
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_json_goes_out_and_comes_back(server: HTTPServer) -> None:
    _Handler.answers = [(200, b'{"sent": 1}'), (202, b"")]
    client = Client(server.server_port)
    assert client.post("/prices", {"at": "now"}) == {"sent": 1}
    assert client.post("/end") is None
    client.close()
    assert _Handler.bodies == [b'{"at":"now"}', b""]


def test_a_refusal_has_the_request_the_status_and_the_reason(server: HTTPServer) -> None:
    _Handler.answers = [(400, b'{"error": "quantity: -1"}')]
    client = Client(server.server_port)
    with pytest.raises(RefusedError, match=r"POST /api/orders: 400 .*quantity: -1"):
        client.post("/api/orders", {})
    client.close()


def test_a_request_is_not_repeated_unless_it_was_said_that_it_may(server: HTTPServer) -> None:
    _Handler.answers = [(0, b""), (200, b"1")]
    client = Client(server.server_port)
    with pytest.raises(UnreachableError, match=r"POST http://127\.0\.0\.1"):
        client.post("/prices", {})
    client.close()
    assert len(_Handler.bodies) == 1


def test_a_request_that_may_is_repeated_until_there_is_an_answer(server: HTTPServer) -> None:
    _Handler.answers = [(0, b""), (503, b"starting"), (200, b"7")]
    revived: list[int] = []
    client = Client(server.server_port, retry_for=5, before_retry=lambda: revived.append(1))
    assert client.post("/events", [1]) == 7
    client.close()
    assert len(revived) == 2
    assert _Handler.bodies == [b"[1]"] * 3


def test_nobody_there_is_an_error_after_the_deadline() -> None:
    tries: list[int] = []
    client = Client(free_port(), retry_for=0.2, before_retry=lambda: tries.append(1))
    with pytest.raises(UnreachableError, match="refused"):
        client.get("/idle")
    assert tries
