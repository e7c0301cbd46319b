"""The outside services of the apps, on loopback: a server that records what is posted and answers what it was told to.

`GET path` answers the JSON that `answers` has for the longest prefix of path and query; `POST path` is recorded, and
answered 200, or with the status that `refusals` has for a text that is in the body. `GET /jobs/X` is answered 202, and
its status at `/jobs/X/status` 202 twice and then 200.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


class Service:
    """A running server; a context manager that ends it."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.refusals: dict[str, int] = {}
        self.delays: dict[str, float] = {}
        """Seconds before a path's answer."""
        self.posts: list[tuple[str, Any]] = []
        """Path and decoded body of each post, in the order in which they came."""
        self.asked: list[str] = []
        """Path and query of each GET."""
        self._jobs: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def posted(self, path: str) -> list[Any]:
        """The bodies posted to a path."""
        return [body for where, body in self.posts if where == path]

    def answer(self, path: str) -> Any:
        """What a GET gets; None if nothing is known of it."""
        self.asked.append(path)
        time.sleep(max((seconds for start, seconds in self.delays.items() if path.startswith(start)), default=0))
        fitting = [start for start in self.answers if path.startswith(start)]
        return self.answers[max(fitting, key=len)] if fitting else None

    def job(self, name: str) -> int:
        """How often a job's status must still be asked before it is done."""
        left = self._jobs.get(name, 2)
        self._jobs[name] = left - 1
        return left


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)
            if path.startswith("/jobs/"):
                status = path if path.endswith("/status") else f"{path}/status"
                left = service.job(path) if path == status else 1
                headers = {"Location": f"{service.url}{status}", "Retry-After": "0"} if left > 0 else {}
                self._send(202 if left > 0 else 200, {"job": path, "done": left <= 0}, headers)
                return
            found = service.answer(path)
            self._send(404 if found is None else 200, found)

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            service.posts.append((self.path, json.loads(data)))
            status = next((code for text, code in service.refusals.items() if text in data.decode()), 200)
            self._send(status, {"received": json.loads(data)})

        def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(body).encode()
            try:
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                # The asker was killed meanwhile.
                self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Nothing: what came is recorded."""

    return Handler
