"""The documentation's apps under a real host process, and how a client of theirs talks to them."""

from pathlib import Path
from typing import Any

from tests.devhost.running import RunningHost

APPS = Path(__file__).resolve().parent


def serve(app: str, folder: Path, **settings: str) -> RunningHost:
    """A host that serves one of the apps, with its state in `folder`."""
    return RunningHost(APPS / app, folder, settings=settings)


def start(host: RunningHost, orchestrator: str, instance: str, given: Any = None) -> dict[str, str]:
    """Start an instance by the app's own HTTP function, as the documentation does; its management URLs."""
    status, links = host.call("POST", f"/api/orchestrators/{orchestrator}?instanceId={instance}", given)
    assert status == 202, links
    assert isinstance(links, dict)
    assert links["id"] == instance
    return links


def steps(host: RunningHost, instance: str) -> list[str]:
    """An instance's history in short: each event's type, and the name in it."""
    _, shown = host.call("GET", f"/runtime/webhooks/durabletask/instances/{instance}?showHistory=true")
    return [
        " ".join(filter(None, (event["EventType"], event.get("FunctionName") or event.get("Name"))))
        for event in shown["historyEvents"]
    ]
