"""The sub-orchestrations app."""

from pathlib import Path

from tests.apps.service import Service
from tests.apps.serving import serve, start, steps
from tests.devhost.running import wait_until


def test_devices_are_provisioned_side_by_side(tmp_path: Path) -> None:
    with Service() as service, serve("sub_orchestrations", tmp_path, DEVICES_URL=f"{service.url}/devices") as host:
        start(host, "ProvisionNewDevices", "all", 3)
        wait_until(lambda: len(service.posts) == 3, "the devices to be told")
        for number in range(3):
            path = f"/runtime/webhooks/durabletask/instances/all:{number}/raiseEvent/DownloadCompletedAck"
            assert host.call("POST", path, True)[0] == 202
        assert host.wait_for("all") == [f"device-{number} is provisioned" for number in range(3)]
        child = "SubOrchestrationInstanceCompleted DeviceProvisioningOrchestration"
        assert steps(host, "all").count(child) == 3
        assert host.status("all:1")["output"] == "device-1 is provisioned"


def test_a_flow_that_fails_is_tried_again_and_given_up_after_three_times(tmp_path: Path) -> None:
    with Service() as service:
        service.answers["/devices?ping=dead"] = {"answer": "nothing"}
        service.answers["/devices?ping=slow"] = {"answer": "nothing"}
        settings = {"DEVICES_URL": f"{service.url}/devices", "RETRY_MILLISECONDS": "100"}
        with serve("sub_orchestrations", tmp_path, **settings) as host:
            start(host, "ProvisionStubbornDevice", "dead", "dead")
            output = host.wait_for("dead")
            assert output.startswith("given up: ")
            assert "dead answered nothing" in output
            assert service.asked.count("/devices?ping=dead") == 3
            assert sum(step.startswith("SubOrchestrationInstanceFailed") for step in steps(host, "dead")) == 3
            start(host, "ProvisionStubbornDevice", "slow", "slow")
            wait_until(lambda: "/devices?ping=slow" in service.asked, "the first try")
            service.answers["/devices?ping=slow"] = {"answer": "pong"}
            assert host.wait_for("slow") == "slow is connected"
