"""The blueprints app."""

from pathlib import Path

from tests.apps.serving import serve, steps


def test_functions_of_a_blueprint_run_under_the_names_they_were_given(tmp_path: Path) -> None:
    with serve("blueprints", tmp_path) as host:
        assert host.call("GET", "/api/live") == (200, "alive")
        _, functions = host.call("GET", "/admin/functions")
        names = {function["name"] for function in functions}
        assert names == {"start_orchestrator", "my_orchestrator", "greet", "greeting_counter", "Liveness-1"}
        assert host.call("POST", "/api/startOrchestrator?instanceId=b", ["Rome", "Oslo"])[0] == 202
        assert host.wait_for("b") == {"greetings": ["Hello Rome!", "Hello Oslo!"], "lastSeen": True}
        assert "TaskCompleted say_hello" in steps(host, "b")
        assert host.entity("greeting_counter", "all") == 2
