"""The aggregator app."""

from pathlib import Path

from tests.apps.serving import serve, start, steps
from tests.devhost.running import wait_until


def test_an_entity_adds_up_what_it_is_sent(tmp_path: Path) -> None:
    with serve("aggregator", tmp_path) as host:
        assert host.call("GET", "/api/Counter/k") == (404, "no such counter")
        for amount in range(1, 6):
            assert host.call("POST", f"/api/Counter/k?amount={amount}")[0] == 202
        wait_until(lambda: host.call("GET", "/api/Counter/k") == (200, 15), "the sum")
        assert host.call("GET", "/runtime/webhooks/durabletask/entities/Counter/k") == (200, 15)
        host.call("POST", "/api/Counter/k?op=reset")
        wait_until(lambda: host.entity("counter", "k") == 0, "the reset")
        host.call("POST", "/api/Counter/k?op=delete")
        wait_until(lambda: host.entity("counter", "k") is None, "the entity to be gone")


def test_an_orchestrator_signals_and_calls(tmp_path: Path) -> None:
    with serve("aggregator", tmp_path) as host:
        start(host, "AddAndRead", "sum", {"key": "s", "amounts": [1, 2, 3]})
        assert host.wait_for("sum") == 106
        found = steps(host, "sum")
        assert sum(step.startswith("EventSent") for step in found) == 5
        assert sum(step.startswith("EventRaised") for step in found) == 4
