"""The function chaining app."""

from pathlib import Path

from tests.apps.serving import serve, start, steps


def test_one_function_after_another(tmp_path: Path) -> None:
    with serve("function_chaining", tmp_path) as host:
        links = start(host, "E1_HelloSequence", "hello")
        assert host.wait_for("hello") == ["Hello Tokyo!", "Hello Seattle!", "Hello London!"]
        assert steps(host, "hello") == [
            "ExecutionStarted E1_HelloSequence",
            *["TaskCompleted E1_SayHello"] * 3,
            "ExecutionCompleted",
        ]
        code, shown = host.call("GET", links["statusQueryGetUri"].removeprefix(host.url))
        assert (code, shown["runtimeStatus"], shown["name"]) == (200, "Completed", "E1_HelloSequence")


def test_each_output_is_the_next_input_and_a_failure_is_caught(tmp_path: Path) -> None:
    with serve("function_chaining", tmp_path) as host:
        start(host, "Chaining", "good", 4)
        start(host, "Chaining", "bad", -4)
        assert host.wait_for("good") == "the result is 50"
        assert host.status("good")["customStatus"] == {"done": "F2", "value": 50}
        assert "Activity function 'F3' failed:  ValueError: -30 is below zero" in host.wait_for("bad")
        assert host.status("bad")["customStatus"] == "failed"
        assert "TaskFailed F3" in steps(host, "bad")
