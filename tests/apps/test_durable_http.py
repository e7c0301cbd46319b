"""The durable HTTP app."""

import json
from pathlib import Path

from tests.apps.service import Service
from tests.apps.serving import serve, start, steps


def test_an_orchestrator_asks_a_site_itself(tmp_path: Path) -> None:
    with Service() as service, serve("durable_http", tmp_path) as host:
        service.answers["/site"] = {"it": "works"}
        start(host, "CheckSiteAvailable", "up", f"{service.url}/site")
        assert json.loads(host.wait_for("up")) == {"it": "works"}
        assert steps(host, "up") == [
            "ExecutionStarted CheckSiteAvailable",
            "TaskCompleted BuiltIn::HttpActivity",
            "ExecutionCompleted",
        ]
        start(host, "CheckSiteAvailable", "missing", f"{service.url}/nowhere")
        assert host.wait_for("missing") == f"{service.url}/nowhere is not available: 404"


def test_an_answer_of_202_is_asked_again_until_the_job_is_done(tmp_path: Path) -> None:
    with Service() as service, serve("durable_http", tmp_path) as host:
        start(host, "CheckSiteAvailable", "job", f"{service.url}/jobs/7")
        # The host polls before the instance ends, but this SDK's orchestrator has the first answer (its issue 380).
        assert json.loads(host.wait_for("job")) == {"job": "/jobs/7", "done": False}
        polls = steps(host, "job")
        assert polls.count("TaskCompleted BuiltIn::HttpActivity") == 4
        assert polls.count("TimerFired") == 3


def test_a_body_is_posted_and_a_refusal_fails_the_instance(tmp_path: Path) -> None:
    with Service() as service, serve("durable_http", tmp_path) as host:
        service.refusals["tulips"] = 400
        start(host, "PostOrder", "good", {"url": f"{service.url}/orders", "order": {"what": "roses"}})
        assert host.wait_for("good") == {"received": {"what": "roses"}}
        start(host, "PostOrder", "bad", {"url": f"{service.url}/orders", "order": {"what": "tulips"}})
        assert "the order was answered 400" in host.wait_for("bad", "Failed")
        assert service.posted("/orders") == [{"what": "roses"}, {"what": "tulips"}]
