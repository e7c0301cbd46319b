"""The human interaction app."""

from pathlib import Path

from tests.apps.service import Service
from tests.apps.serving import serve, start, steps
from tests.devhost.running import RunningHost, wait_until


def test_a_phone_is_verified_by_its_code_within_three_answers_and_a_time(tmp_path: Path) -> None:
    with Service() as service, serve("human_interaction", tmp_path, SMS_URL=f"{service.url}/sms") as host:
        for phone, wrong, verified in (("p1", 1, True), ("p2", 3, False)):
            start(host, "E4_SmsPhoneVerification", phone, phone)
            wait_until(lambda: len(service.posts) > 0, "the message")
            code = int(service.posts.pop()[1]["body"].split()[-1])
            for number in range(min(wrong + 1, 3)):
                given = number if number < wrong else code
                _wait_for_step(host, phone, "TimerCreated")
                _answer(host, phone, given)
                _wait_for_step(host, phone, "EventRaised SmsChallengeResponse", number + 1)
            assert host.wait_for(phone) is verified
            assert steps(host, phone)[-1] == "ExecutionCompleted"


def _wait_for_step(host: RunningHost, instance: str, step: str, times: int = 1) -> None:
    wait_until(lambda: steps(host, instance).count(step) >= times, f"{step} of {instance}, {times} times")


def _answer(host: RunningHost, instance: str, given: int) -> None:
    path = f"/runtime/webhooks/durabletask/instances/{instance}/raiseEvent/SmsChallengeResponse"
    assert host.call("POST", path, given)[0] == 202


def test_nobody_answers_in_time(tmp_path: Path) -> None:
    with Service() as service:
        settings = {"SMS_URL": f"{service.url}/sms", "CHALLENGE_SECONDS": "0.2", "APPROVAL_SECONDS": "0.2"}
        with serve("human_interaction", tmp_path, **settings) as host:
            start(host, "E4_SmsPhoneVerification", "phone", "+3")
            start(host, "ApprovalWorkflow", "holiday", {"manager": "Ann", "what": "a holiday"})
            assert host.wait_for("phone") is False
            assert host.wait_for("holiday") == "escalated"
            assert host.status("holiday")["customStatus"] == "escalated"
            assert {"to": "the director", "body": "Ann did not answer: a holiday"} in service.posted("/sms")


def test_a_request_is_approved_or_rejected(tmp_path: Path) -> None:
    with Service() as service, serve("human_interaction", tmp_path, SMS_URL=f"{service.url}/sms") as host:
        for instance, approved, said in (("a", True, "Ann said yes"), ("b", False, "Ann said no")):
            start(host, "ApprovalWorkflow", instance, {"manager": "Ann", "what": "a car"})
            host.wait_for_custom_status(instance, "waiting for approval")
            path = f"/runtime/webhooks/durabletask/instances/{instance}/raiseEvent/ApprovalEvent"
            assert host.call("POST", path, {"approved": approved, "by": "Ann"})[0] == 202
            assert host.wait_for(instance) == said
            assert host.status(instance)["customStatus"] == ("approved" if approved else "rejected")
            assert host.call("POST", path, {"approved": approved, "by": "Ann"})[0] == 410
