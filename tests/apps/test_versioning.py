"""The versioning app."""

import json
from pathlib import Path

from tests.apps.serving import serve, start
from tests.devhost.running import RunningHost


def test_old_instances_keep_the_old_steps_and_new_ones_take_the_new(tmp_path: Path) -> None:
    with serve("versioning", tmp_path) as host:
        path = "/runtime/webhooks/durabletask/orchestrators/ProcessOrderOrchestrator/old?version=1.0"
        assert host.call("POST", path, json.dumps("A1"))[0] == 202
        start(host, "ProcessOrderOrchestrator", "new", "B2")
        for instance in ("old", "new"):
            _pack(host, instance)
        assert host.wait_for("old") == ["validated A1", "paid A1", "shipped A1 by 2.0"]
        assert host.wait_for("new") == [
            "validated B2",
            "discounted B2",
            "paid B2 less the discount",
            "shipped B2 by 2.0",
        ]
        assert host.status("old")["customStatus"] == {"version": "1.0"}
        assert host.status("new")["customStatus"] == {"version": "2.0"}


def _pack(host: RunningHost, instance: str) -> None:
    path = f"/runtime/webhooks/durabletask/instances/{instance}/raiseEvent/packed"
    assert host.call("POST", path, True)[0] == 202
