"""A small JSON client over one kept connection: what the player and its reports talk to the processes with."""

import http.client
import time
from collections.abc import Callable
from typing import Any

import msgspec

_KEPT_FOR = 10.0
"""Seconds after which an unused connection is not used again: the other side may have closed it."""
_NOT_NOW = frozenset({502, 503, 504})


class UnreachableError(Exception):
    """No answer came: nobody listens, or the connection broke; it is not known whether the request had its effect."""


class RefusedError(Exception):
    """An answer other than 2xx."""

    def __init__(self, request: str, status: int, body: str) -> None:
        super().__init__(f"{request}: {status} {body.strip()[:500]}")
        self.status = status


class Client:
    """Requests to one process of the loopback interface, one at a time.

    With `retry_for`, a request is repeated for so many seconds until it has an answer; `before_retry` is called each
    time and may raise. Only for requests that may be repeated.
    """

    def __init__(
        self,
        port: int,
        *,
        retry_for: float = 0.0,
        before_retry: Callable[[], None] = lambda: None,
        timeout: float = 60.0,
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self._retry_for = retry_for
        self._before_retry = before_retry
        self._last_used = 0.0

    def get(self, path: str) -> Any:
        return self._request("GET", path, None)

    def post(self, path: str, body: Any = None) -> Any:
        return self._request("POST", path, b"" if body is None else msgspec.json.encode(body))

    def patch(self, path: str, body: Any) -> Any:
        return self._request("PATCH", path, msgspec.json.encode(body))

    def delete(self, path: str) -> Any:
        return self._request("DELETE", path, None)

    def close(self) -> None:
        self._connection.close()

    def _request(self, method: str, path: str, body: bytes | None) -> Any:
        deadline = time.monotonic() + self._retry_for
        while True:
            try:
                status, answer = self._once(method, path, body)
                if status not in _NOT_NOW or time.monotonic() >= deadline:
                    break
            except UnreachableError:
                if time.monotonic() >= deadline:
                    raise
            self._before_retry()
            time.sleep(0.05)
        if not 200 <= status < 300:
            raise RefusedError(f"{method} {path}", status, answer.decode(errors="replace"))
        return msgspec.json.decode(answer) if answer else None

    def _once(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        if time.monotonic() - self._last_used > _KEPT_FOR:
            self._connection.close()
        try:
            self._connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise UnreachableError(f"{method} http://127.0.0.1:{self._connection.port}{path}: {error!r}") from error
        self._last_used = time.monotonic()
        return response.status, answer
