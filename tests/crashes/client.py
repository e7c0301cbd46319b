"""A client of a host that may be dead: it asks again until it is answered, and does nothing twice.

A request whose answer was lost may have been carried out. So before it is repeated the client looks: an instance that
exists was started; an event that is in a history, or whose instance has ended, was raised.
"""

import http.client
import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

HOOKS = "/runtime/webhooks/durabletask"
_PAUSE = 0.03


class StuckError(Exception):
    """The system did not get where it has to in time; the message says where it was to go."""


class Client:
    """Talks to whatever host listens on one of the ports. Raises StuckError once `seconds` are over."""

    def __init__(self, ports: Sequence[int], seconds: float) -> None:
        self._ports = deque(ports)
        self._deadline = time.monotonic() + seconds

    # One request

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask once, each time on the next port. Raises OSError or HTTPException if there is no answer."""
        self._ports.rotate()
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[0], timeout=10)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, quote(path, safe="/?&=@:"), data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(text) if text else None
        except ValueError:
            return response.status, text.decode()

    def get(self, path: str) -> tuple[int, Any]:
        """Ask until there is an answer: asking changes nothing."""
        while True:
            try:
                return self.ask("GET", path)
            except (OSError, http.client.HTTPException):
                self._pause(f"an answer to GET {path}")

    def do(self, path: str, body: Any, *, is_done: Callable[[], bool], method: str = "POST") -> None:
        """Ask for a change until it is acknowledged, or seen."""
        while True:
            try:
                status, answer = self.ask(method, path, body)
            except (OSError, http.client.HTTPException):
                self._pause(f"an answer to {method} {path}")
                self.settle()
                if is_done():
                    return
                continue
            if status >= 400 and not is_done():
                raise AssertionError(f"{method} {path} was answered {status}: {answer}")
            return

    # What a client of instances does

    def start(self, orchestrator: str, instance: str, given: Any = None, version: str = "") -> None:
        """Start an instance, its input as the SDK's client writes it."""
        query = f"?version={version}" if version else ""
        body = None if given is None else json.dumps(given)
        self.do(f"{HOOKS}/orchestrators/{orchestrator}/{instance}{query}", body, is_done=lambda: self.exists(instance))

    def raise_event(self, instance: str, name: str, data: Any, *, is_taken: Callable[[], bool] | None = None) -> None:
        """Raise an event. Without `is_taken`, its name and data must be unlike those of the instance's other events."""
        path = f"{HOOKS}/instances/{instance}/raiseEvent/{name}"
        self.do(path, data, is_done=is_taken or (lambda: self._has_event(instance, name, data)))

    def signal(self, entity: str, key: str, operation: str, given: Any, *, then: Any) -> None:
        """Signal an entity that nobody else signals now, and whose state is `then` afterwards."""
        path = f"{HOOKS}/entities/{entity}/{key}?op={operation}"
        self.do(path, json.dumps(given), is_done=lambda: self.entity(entity, key) == then)

    def terminate(self, instance: str) -> None:
        """End an instance."""
        path = f"{HOOKS}/instances/{instance}/terminate?reason=enough"
        self.do(path, None, is_done=lambda: self.is_over(instance))
        self.wait(lambda: self.is_over(instance), f"{instance} to end")

    def suspend(self, instance: str) -> None:
        """Suspend an instance, and wait until it is."""
        path = f"{HOOKS}/instances/{instance}/suspend?reason=pause"
        self.do(path, None, is_done=lambda: self.runtime_status(instance) == "Suspended")
        self.wait(lambda: self.runtime_status(instance) == "Suspended", f"{instance} to be suspended")

    def resume(self, instance: str) -> None:
        """Resume an instance, and wait until it is."""
        path = f"{HOOKS}/instances/{instance}/resume?reason=go"
        self.do(path, None, is_done=lambda: self.runtime_status(instance) != "Suspended")
        self.wait(lambda: self.runtime_status(instance) != "Suspended", f"{instance} to be resumed")

    def rewind(self, instance: str) -> None:
        """Let a failed instance go on from what failed."""
        path = f"{HOOKS}/instances/{instance}/rewind?reason=repaired"
        self.do(path, None, is_done=lambda: self.runtime_status(instance) != "Failed")

    def purge(self, instance: str) -> None:
        """Forget an instance."""
        self.do(f"{HOOKS}/instances/{instance}", None, is_done=lambda: not self.exists(instance), method="DELETE")

    def status(self, instance: str) -> dict[str, Any]:
        """An instance's status, with an empty one's name for one that does not exist."""
        code, answer = self.get(f"{HOOKS}/instances/{instance}")
        return dict(answer) if code < 300 else {"runtimeStatus": "", "customStatus": None, "input": None}

    def exists(self, instance: str) -> bool:
        """Whether there is such an instance."""
        return bool(self.runtime_status(instance))

    def runtime_status(self, instance: str) -> str:
        """An instance's status in a word."""
        return str(self.status(instance)["runtimeStatus"])

    def is_over(self, instance: str) -> bool:
        """Whether an instance has ended."""
        return self.runtime_status(instance) in ("Completed", "Failed", "Terminated")

    def history(self, instance: str) -> list[dict[str, Any]]:
        """An instance's history as the API shows it; empty if there is no such instance."""
        query = "showHistory=true&showHistoryOutput=true"
        code, answer = self.get(f"{HOOKS}/instances/{instance}?{query}")
        return list(answer["historyEvents"]) if code < 300 else []

    def entity(self, name: str, key: str) -> Any:
        """An entity's state, None if it does not exist."""
        code, answer = self.get(f"{HOOKS}/entities/{name}/{key}")
        return answer if code == 200 else None

    def instances(self) -> list[dict[str, Any]]:
        """All instances."""
        _, answer = self.get(f"{HOOKS}/instances?top=100000")
        return list(answer)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the condition holds, whatever dies meanwhile."""
        while not condition():
            self._pause(what)

    def wait_until_failed(self, *instances: str) -> None:
        """Wait until these have failed."""
        self.wait(lambda: all(self.runtime_status(instance) == "Failed" for instance in instances), "all to fail")

    def wait_until_over(self, *instances: str) -> None:
        """Wait until these have ended."""
        for instance in instances:
            self.wait(partial(self.is_over, instance), f"{instance} to end")

    def has_custom_status(self, instance: str, status: Any) -> bool:
        """Whether an instance has set this as its custom status."""
        return bool(self.status(instance)["customStatus"] == status)

    def wait_for_custom_status(self, instance: str, status: Any) -> None:
        """Wait until an instance has set this as its custom status."""
        self.wait(lambda: self.has_custom_status(instance, status), f"{instance} to have the custom status {status}")

    def settle(self) -> None:
        """Wait until nothing is left to do but what timers and people will bring, by what the hosts say that answer."""
        self.wait(lambda: all(self._says_idle() for _ in range(len(self._ports))), "the hosts to be idle")

    def _says_idle(self) -> bool:
        return bool(self.get("/devhost/idle?wait=1")[1]["idle"])

    def _has_event(self, instance: str, name: str, data: Any) -> bool:
        return self.is_over(instance) or any(
            event["EventType"] == "EventRaised" and event.get("Name") == name and json.loads(event["Input"]) == data
            for event in self.history(instance)
        )

    def _pause(self, what: str) -> None:
        if time.monotonic() > self._deadline:
            raise StuckError(f"waited in vain for {what}")
        time.sleep(_PAUSE)
