"""The eternal orchestrations app."""

from pathlib import Path

from tests.apps.serving import serve, start
from tests.devhost.running import wait_until


def test_the_cleanup_runs_again_and_again_until_it_is_terminated(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    settings = {"CLEANUP_FOLDER": str(scratch), "CLEANUP_SECONDS": "0.05"}
    with serve("eternal", tmp_path, **settings) as host:
        assert host.call("POST", "/api/cleanup")[0] == 202
        for name in ("a.tmp", "b.tmp"):
            (scratch / name).touch()
            wait_until(lambda: not list(scratch.iterdir()), "the file to be gone")
        assert host.call("POST", "/api/cleanup") == (409, "An instance with ID 'StaticId' already exists.")
        path = "/runtime/webhooks/durabletask/instances/StaticId/terminate?reason=enough"
        assert host.call("POST", path)[0] == 202
        assert host.wait_for("StaticId", "Terminated") == "enough"
        assert host.call("POST", "/api/cleanup")[0] == 202


def test_a_counter_lives_in_its_own_input_until_it_is_told_to_end(tmp_path: Path) -> None:
    with serve("eternal", tmp_path) as host:
        start(host, "E3_Counter", "counter", 40)
        for operation, then in (("incr", 41), ("incr", 42), ("decr", 41)):
            path = "/runtime/webhooks/durabletask/instances/counter/raiseEvent/operation"
            assert host.call("POST", path, operation)[0] == 202
            host.wait_for_custom_status("counter", then)
            assert host.status("counter")["input"] == str(then)
        host.call("POST", path, "end")
        assert host.wait_for("counter") == 41


def test_one_that_does_not_continue_ends(tmp_path: Path) -> None:
    with serve("eternal", tmp_path) as host:
        start(host, "Countdown", "rocket", 5)
        assert host.wait_for("rocket") == "lift-off"
        assert host.status("rocket")["input"] == "1"
