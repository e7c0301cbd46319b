"""The instance management app: its client functions, and the built-in webhooks."""

from pathlib import Path

from tests.apps.service import Service
from tests.apps.serving import serve, start, steps
from tests.devhost.running import RunningHost, wait_until

HOOKS = "/runtime/webhooks/durabletask/instances"


def test_client_functions_manage_instances(tmp_path: Path) -> None:
    with serve("instance_management", tmp_path) as host:
        start(host, "WaitForApproval", "a")
        host.wait_for_custom_status("a", "waiting")
        status = host.call("GET", "/api/status/a")[1]
        assert (status["name"], status["runtimeStatus"], status["customStatus"]) == (
            "WaitForApproval",
            "Running",
            "waiting",
        )
        assert host.call("POST", "/api/suspend/a")[0] == 202
        host.wait_for("a", "Suspended")
        assert host.call("POST", "/api/raise/a/Approval", "Ann")[0] == 202
        assert host.call("GET", "/api/status?runtimeStatus=Suspended") == (200, ["a"])
        assert host.call("POST", "/api/resume/a")[0] == 202
        # The SDK's client encodes a payload twice (DURABLE.md, section 3).
        assert host.wait_for("a") == 'Hello "Ann"!'
        assert sorted(steps(host, "a")) == [
            "EventRaised Approval",
            "ExecutionCompleted",
            "ExecutionResumed",
            "ExecutionStarted WaitForApproval",
            "ExecutionSuspended",
            "TaskCompleted Hello",
        ]
        assert host.call("POST", "/api/restart/a") == (202, "restarted")
        wait_until(lambda: host.status("a")["runtimeStatus"] == "Running", "the instance to run again")
        assert host.call("POST", "/api/terminate/a")[0] == 202
        assert host.wait_for("a", "Terminated") == "Found a bug"
        assert host.call("GET", "/api/all") == (200, {"a": "Terminated"})
        assert host.call("POST", "/api/purge/a") == (200, 1)
        assert host.call("GET", "/api/all") == (200, {})


def test_a_client_function_waits_for_the_end_or_hands_out_urls(tmp_path: Path) -> None:
    with serve("instance_management", tmp_path) as host:
        assert host.call("POST", "/api/orchestrators/HelloWorld/wait?instanceId=quick") == (200, "Hello world!")
        code, links = host.call("POST", "/api/orchestrators/WaitForApproval/wait?instanceId=slow&timeout=300")
        assert code == 202
        assert links["statusQueryGetUri"].startswith(f"{host.url}{HOOKS}/slow?")


def test_a_failed_instance_is_rewound_to_what_failed(tmp_path: Path) -> None:
    with Service() as service, serve("instance_management", tmp_path, COURIER_URL=f"{service.url}/courier") as host:
        service.refusals["parcel-7"] = 503
        start(host, "DeliverParcel", "parcel-7")
        assert "503" in host.wait_for("parcel-7", "Failed")
        service.refusals.clear()
        assert host.call("POST", "/api/rewind/parcel-7") == (202, "rewound")
        assert host.wait_for("parcel-7") == "delivered"
        assert service.posted("/courier") == ["parcel-7", "parcel-7"]
        found = steps(host, "parcel-7")
        assert found.count("TaskCompleted Hello") == 1
        assert found.count("TaskCompleted Deliver") == 1
        assert host.call("POST", f"{HOOKS}/parcel-7/rewind?reason=again")[0] == 410


def test_the_webhooks_manage_instances(tmp_path: Path) -> None:
    with serve("instance_management", tmp_path) as host:
        links = start(host, "WaitForApproval", "a")
        payload = host.call("GET", "/api/payload/a")[1]
        assert payload["statusQueryGetUri"] == links["statusQueryGetUri"]
        assert _follow(host, "GET", links["statusQueryGetUri"]) == 202
        assert _follow(host, "POST", links["suspendPostUri"].replace("{text}", "pause")) == 202
        host.wait_for("a", "Suspended")
        assert _follow(host, "POST", links["resumePostUri"].replace("{text}", "go")) == 202
        assert _follow(host, "POST", links["sendEventPostUri"].replace("{eventName}", "Approval"), "Bob") == 202
        assert host.wait_for("a") == "Hello Bob!"
        assert _follow(host, "GET", links["statusQueryGetUri"]) == 200
        for uri in ("terminatePostUri", "suspendPostUri", "resumePostUri"):
            assert _follow(host, "POST", links[uri].replace("{text}", "late")) == 410
        assert _follow(host, "DELETE", links["purgeHistoryDeleteUri"]) == 200
        assert _follow(host, "GET", links["statusQueryGetUri"]) == 404
        assert host.call("POST", f"{HOOKS}/a/raiseEvent/Approval", "x")[0] == 404
        links = start(host, "WaitForApproval", "b")
        assert _follow(host, "POST", links["terminatePostUri"].replace("{text}", "enough")) == 202
        assert host.wait_for("b", "Terminated") == "enough"


def _follow(host: RunningHost, method: str, url: str, body: object = None) -> int:
    assert url.startswith(host.url)
    return host.call(method, url.removeprefix(host.url), body)[0]
