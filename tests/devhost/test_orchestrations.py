"""A host in real time: what the SDK's orchestrators, activities, entities and its client see."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.devhost.running import RunningHost, events, wait_until


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    folder = tmp_path_factory.mktemp("host")
    with RunningHost("basic", folder, settings={"NOTES": str(folder / "notes")}) as running:
        yield running


def notes(host: RunningHost) -> list[str]:
    path = host.folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


def test_activities_run_one_after_another(host: RunningHost) -> None:
    assert host.run("chain", "chain", 3) == 6


def test_fanned_out_activities_are_all_awaited(host: RunningHost) -> None:
    assert host.run("fan_out", "fan", 20) == 380


def test_an_entity_is_signalled_and_called_and_its_error_comes_back(host: RunningHost) -> None:
    assert host.run("count", "count", "k") == [7, "no such luck"]
    assert host.entity("counter", "k") == 7


def test_an_entity_that_destructs_itself_is_gone(host: RunningHost) -> None:
    status, _ = host.call("POST", "/durabletask/entities/Counter/gone?op=add", "4")
    assert status == 202
    wait_until(lambda: host.entity("counter", "gone") == 4, "the state")
    host.call("POST", "/durabletask/entities/counter/gone?op=delete")
    wait_until(lambda: host.entity("counter", "gone") is None, "the end of the entity")


def test_an_external_event_wins_over_a_timer(host: RunningHost) -> None:
    host.start("approval", "approval", 3600)
    host.wait_for_custom_status("approval", "waiting")
    assert host.raise_event("approval", "approve", {"by": "me"}) == 202
    assert host.wait_for("approval") == {"approved": {"by": "me"}}
    assert host.raise_event("approval", "approve") == 410
    assert host.raise_event("nobody", "approve") == 404


def test_a_timer_that_nobody_beats_fires(host: RunningHost) -> None:
    assert host.run("approval", "too-late", 0.05) == "timed out"


def test_event_names_match_without_regard_to_case_in_the_host(host: RunningHost) -> None:
    host.start("three_events", "items", None)
    for number in range(3):
        wait_until(lambda: host.status("items")["runtimeStatus"] == "Running", "the start")
        host.wait_until_idle()
        assert host.raise_event("items", "item", number) == 202
    assert host.wait_for("items") == [0, 1, 2]


def test_a_child_gives_its_output_and_its_failure_to_its_parent(host: RunningHost) -> None:
    first, error = host.run("parent", "parent", None)
    assert first == 13
    assert error.startswith("Orchestrator function 'broken' failed: broken on purpose")
    assert host.status("parent-child")["runtimeStatus"] == "Failed"
    assert "RuntimeError: broken on purpose" in host.log


def test_generations_follow_one_another(host: RunningHost) -> None:
    assert host.run("rounds", "rounds", 5) == "done"
    assert host.status("rounds")["customStatus"] == {"left": 0}


def test_a_retried_activity_fails_after_its_last_attempt(host: RunningHost) -> None:
    error = host.run("stubborn", "stubborn", "it")
    assert error.startswith("Activity function 'fail' failed:  ValueError: cannot do it")


def test_an_activity_that_does_not_exist_fails_its_orchestration(host: RunningHost) -> None:
    host.start("unknown_activity", "unknown", None)
    output = host.wait_for("unknown", "Failed")
    assert "Activity function 'nowhere' failed:" in output


def test_the_default_version_of_host_json_is_the_instances(host: RunningHost) -> None:
    assert host.run("version", "version") == "1.5"
    status, _ = host.call("POST", "/durabletask/orchestrators/version/version-2?version=2.0")
    assert status == 202
    assert host.wait_for("version-2") == "2.0"


def test_the_sdk_client_can_do_everything_against_this_host(host: RunningHost) -> None:
    status, answer = host.call("POST", "/api/client/by-client")
    assert status == 200, host.log
    assert answer == {
        "input": "3600",
        "listed": ["by-client"],
        "outcome": {"approved": {"by": "me"}},
        "state": 3,
        "purged": 1,
    }
    assert host.call("GET", "/durabletask/instances/by-client")[0] == 404


def test_a_check_status_response_leads_to_the_instance(host: RunningHost) -> None:
    status, links, headers = host.exchange("POST", "/api/start/chain?id=linked", 1)
    assert status == 202
    assert headers["Location"] == links["statusQueryGetUri"]
    path = links["statusQueryGetUri"].removeprefix(host.url)
    wait_until(lambda: host.call("GET", path)[0] == 200, "the end behind the link")
    assert host.call("GET", path)[1]["output"] == 4


def test_an_instance_that_runs_cannot_be_started_and_one_that_ended_can(host: RunningHost) -> None:
    host.start("approval", "twice", 3600)
    status, answer = host.call("POST", "/durabletask/orchestrators/approval/twice", "1")
    assert (status, answer["Message"][:25]) == (409, "An Orchestration instance")
    host.raise_event("twice", "approve", 1)
    assert host.wait_for("twice") == {"approved": 1}
    assert host.run("chain", "twice", 1) == 4


def test_a_start_may_wait_for_the_end(host: RunningHost) -> None:
    """The URL createAndWaitOnNewInstancePostUri of a client's binding."""
    start = "/runtime/webhooks/durabletask/orchestrators"
    assert host.call("POST", f"{start}/chain/waited?timeout=10&pollingInterval=0.05", "1") == (200, 4)
    assert host.call("POST", f"{start}/approval/not-waited?timeout=0.1&pollingInterval=0.05", "3600")[0] == 202
    status, answer = host.call("POST", f"{start}/unknown_activity/failing?timeout=10&pollingInterval=0.05")
    assert (status, answer["runtimeStatus"]) == (500, "Failed")
    assert host.call("POST", f"{start}/chain/wrong?timeout=soon", "1")[0] == 400


def test_a_failed_instance_is_a_server_error_only_if_that_is_asked_for(host: RunningHost) -> None:
    host.start("unknown_activity", "fails", None)
    host.wait_for("fails", "Failed")
    path = "/durabletask/instances/fails"
    assert host.call("GET", path)[0] == 200
    assert host.call("GET", f"{path}?returnInternalServerErrorOnFailure=true")[0] == 500


def test_entities_are_listed_by_name(host: RunningHost) -> None:
    for key in ("list-a", "list-b"):
        host.call("POST", f"/durabletask/entities/counter/{key}?op=add", "4")
    wait_until(lambda: host.entity("counter", "list-b") == 4, "the state")
    _, listed = host.call("GET", "/durabletask/entities/Counter?fetchState=true")
    found = {each["entityId"]["key"]: each["state"] for each in listed}
    assert (found["list-a"], found["list-b"]) == (4, 4)
    assert host.call("GET", "/durabletask/entities/nobody") == (200, [])
    assert all("state" not in each for each in host.call("GET", "/durabletask/entities/")[1])


@pytest.mark.parametrize("identifier", ["@me", "a%23b", "a%3Fb", "x" * 257])
def test_an_id_that_the_host_refuses_is_a_bad_request(host: RunningHost, identifier: str) -> None:
    status, answer = host.call("POST", f"/durabletask/orchestrators/chain/{identifier}", "1")
    assert status == 400
    assert "ID" in answer["ExceptionMessage"]


def test_an_unknown_orchestrator_is_a_bad_request(host: RunningHost) -> None:
    status, answer = host.call("POST", "/durabletask/orchestrators/nobody", "1")
    assert status == 400
    assert "'nobody'" in answer["ExceptionMessage"]


def test_a_body_that_is_not_json_is_a_bad_request(host: RunningHost) -> None:
    assert host.call("POST", "/durabletask/orchestrators/chain", b"{")[0] == 400


def test_a_terminated_instance_says_why(host: RunningHost) -> None:
    host.start("approval", "stopped", 3600)
    assert host.call("POST", "/durabletask/instances/stopped/terminate?reason=enough")[0] == 202
    assert host.wait_for("stopped", "Terminated") == "enough"
    assert host.call("POST", "/durabletask/instances/stopped/terminate?reason=again")[0] == 410


def test_a_suspended_instance_waits_with_its_events(host: RunningHost) -> None:
    host.start("approval", "asleep", 3600)
    assert host.call("POST", "/durabletask/instances/asleep/suspend?reason=night")[0] == 202
    host.wait_for("asleep", "Suspended")
    host.raise_event("asleep", "approve", 1)
    host.wait_until_idle()
    assert host.status("asleep")["runtimeStatus"] == "Suspended"
    assert host.call("POST", "/durabletask/instances/asleep/resume?reason=day")[0] == 202
    assert host.wait_for("asleep") == {"approved": 1}


def test_an_instance_suspended_before_its_first_step_takes_it_later(host: RunningHost) -> None:
    host.start("approval", "early", 3600)
    host.call("POST", "/durabletask/instances/early/suspend?reason=early")
    host.wait_for("early", "Suspended")
    _, shown = host.call("GET", "/durabletask/instances/early?showHistory=true")
    assert shown["historyEvents"][0]["EventType"] == "ExecutionStarted"
    host.call("POST", "/durabletask/instances/early/resume?reason=now")
    host.raise_event("early", "approve", 2)
    assert host.wait_for("early") == {"approved": 2}


def test_a_restarted_instance_has_the_same_input(host: RunningHost) -> None:
    host.run("chain", "again", 5)
    status, answer = host.call("POST", "/durabletask/instances/again/restart?restartWithNewInstanceId=true")
    assert status == 202
    assert answer["id"] != "again"
    assert host.wait_for(answer["id"]) == 8


def test_instances_are_listed_by_prefix_status_and_page(host: RunningHost) -> None:
    for number in range(5):
        host.run("chain", f"page-{number}", 0)
    path = "/runtime/webhooks/durabletask/instances?instanceIdPrefix=page-&runtimeStatus=Completed,Failed"
    status, listed = host.call("GET", path)
    assert (status, [each["instanceId"] for each in listed]) == (200, [f"page-{n}" for n in range(5)])
    _, page, headers = host.exchange("GET", f"{path}&top=2")
    assert [each["instanceId"] for each in page] == ["page-0", "page-1"]
    assert headers["x-ms-continuation-token"] == "page-1"
    assert host.call("GET", f"{path}&runtimeStatus=Lost")[0] == 200
    status, answer = host.call("GET", "/durabletask/instances?runtimeStatus=Lost")
    assert (status, "'Lost'" in answer["Message"]) == (400, True)


def test_history_and_input_are_shown_when_asked_for(host: RunningHost) -> None:
    host.run("chain", "shown", 1)
    _, plain = host.call("GET", "/durabletask/instances/shown?showInput=false")
    assert plain["input"] is None
    assert "historyEvents" not in plain
    _, full = host.call("GET", "/durabletask/instances/shown?showHistory=true&showHistoryOutput=true")
    kinds = [each["EventType"] for each in full["historyEvents"]]
    assert kinds == ["ExecutionStarted", *["TaskCompleted"] * 3, "ExecutionCompleted"]
    assert [each["Result"] for each in full["historyEvents"][1:]] == ["2", "3", "4", "4"]
    assert full["historyEvents"][1]["FunctionName"] == "add_one"


def test_purging_takes_what_has_ended_only(host: RunningHost) -> None:
    host.run("chain", "purged", 1)
    host.start("approval", "kept", 3600)
    assert host.call("DELETE", "/durabletask/instances/purged") == (200, {"instancesDeleted": 1})
    assert host.call("DELETE", "/durabletask/instances/kept")[0] == 404
    assert host.call("DELETE", "/durabletask/instances/?createdTimeFrom=2100-01-01T00:00:00Z")[0] == 404
    assert host.call("DELETE", "/durabletask/instances/")[0] == 400


def test_http_functions_get_route_query_and_body_and_give_status_and_headers(host: RunningHost) -> None:
    status, answer, headers = host.exchange("PUT", "/api/echo/word/7?a=b", {"x": 1})
    assert (status, headers["X-Kind"], headers["Content-Type"]) == (201, "echo", "application/json")
    assert answer == {"route": {"word": "word", "number": "7"}, "query": {"a": "b"}, "body": '{"x": 1}'}
    assert host.call("GET", "/api/echo/word")[1]["route"] == {"word": "word"}
    assert host.call("GET", "/api/echo/word/seven")[0] == 404
    assert host.call("POST", "/api/echo/word")[0] == 405
    assert host.call("GET", "/api/echo/fixed") == (200, "literal")


def test_an_http_function_that_raises_is_a_server_error_with_its_traceback_in_the_log(host: RunningHost) -> None:
    assert host.call("GET", "/api/bad") == (500, None)
    assert "ValueError: this function is bad" in host.log
    assert "devhost/worker.py" not in host.log


def test_a_blocking_call_on_the_workers_loop_does_not_stall_the_host(host: RunningHost) -> None:
    thread = threading.Thread(target=lambda: host.call("GET", "/api/stall?seconds=1"))
    thread.start()
    try:
        assert host.run("chain", "beside", 1) == 4
        assert thread.is_alive()
    finally:
        thread.join()


def test_timer_triggers_run_every_second(host: RunningHost) -> None:
    wait_until(lambda: (host.entity("counter", "ticks") or 0) >= 2, "two ticks")


def test_a_timer_trigger_can_be_run_by_hand(host: RunningHost) -> None:
    status, _ = host.call("POST", "/admin/functions/tick", {"input": ""})
    assert status == 202
    assert host.call("POST", "/admin/functions/nobody", {"input": ""})[0] == 404
    assert host.call("POST", "/admin/functions/tick", b"")[0] == 400


def test_admin_endpoints_answer(host: RunningHost) -> None:
    assert host.call("GET", "/admin/host/ping") == (200, None)
    assert host.call("GET", "/admin/host/status")[1]["state"] == "Running"
    _, functions = host.call("GET", "/admin/functions")
    chain = next(each for each in functions if each["name"] == "chain")
    assert chain["config"]["bindings"][0]["type"] == "orchestrationTrigger"


def test_event_hub_batches_are_split_delivered_in_order_and_stored_once(host: RunningHost) -> None:
    status, answer = host.call("POST", "/devhost/eventhubs/market/events?wait=10", events(*range(1, 7), value=1))
    assert (status, answer["stored"], answer["ignored"]) == (202, 6, 0)
    status, answer = host.call("POST", "/devhost/eventhubs/market/events?wait=10", events(5, 6, 7, value=1))
    assert (status, answer["stored"], answer["ignored"]) == (202, 1, 2)
    wait_until(lambda: len([n for n in notes(host) if n.startswith("batch 0")]) == 3, "three batches")
    assert [each for each in notes(host) if each.startswith("batch 0")] == [
        "batch 0 [1, 2, 3, 4] 14:30",
        "batch 0 [5, 6] 14:30",
        "batch 0 [7] 14:30",
    ]
    assert host.wait_for("batch-1") == 4


def test_a_batch_that_fails_is_tried_again_and_then_given_up(host: RunningHost) -> None:
    host.call("POST", "/devhost/eventhubs/market/events", events(1, partition="1", value="fail"))
    host.call("POST", "/devhost/eventhubs/market/events", events(2, partition="1", value=0))
    wait_until(lambda: "batch 1 [2] 14:30" in notes(host), "the next batch")
    assert [each for each in notes(host) if each.startswith("batch 1")] == [
        "batch 1 [1] 14:30",
        "batch 1 [1] 14:30",
        "batch 1 [1] 14:30",
        "batch 1 [2] 14:30",
    ]
    assert "given up" in host.log


@pytest.mark.parametrize(
    ("hub", "body", "status", "named"),
    [
        ("nowhere", events(1), 404, "market"),
        ("market", events(9, 8), 400, "sequence_number"),
        ("market", {"events": [{"sequence_number": "x"}]}, 400, "sequence_number"),
        ("market", b"", 400, "body"),
    ],
)
def test_events_that_cannot_be_taken_are_refused(
    host: RunningHost, hub: str, body: object, status: int, named: str
) -> None:
    code, answer = host.call("POST", f"/devhost/eventhubs/{hub}/events", body)
    assert code == status
    assert named in json.dumps(answer)


def test_a_clock_of_real_time_cannot_be_set(host: RunningHost) -> None:
    status, answer = host.call("POST", "/devhost/clock", {"now": "2030-01-01T00:00:00Z"})
    assert (status, "--virtual-clock" in answer["error"]) == (409, True)
    assert host.call("GET", "/devhost/clock") == (200, {"now": None, "next_timer": None})


def test_the_host_stops_within_three_seconds_while_an_activity_runs(tmp_path: Path) -> None:
    with RunningHost("basic", tmp_path, settings={"NOTES": str(tmp_path / "notes")}) as host:
        host.start("gated", "gated", str(tmp_path / "never"))
        wait_until(lambda: bool(notes(host)), "the activity")
        assert host.stop() < 3
        assert host.process.returncode == 0
        assert "Traceback" not in host.log
