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
                wait_until(lambda: "TimerCreated" in steps(host, phone), "the timer")  # noqa: B023
                _answer(host, phone, given)
                wait_until(
                    lambda: steps(host, phone).count("EventRaised SmsChallengeResponse") > number,  # noqa: B023
                    "the answer to be taken in",
                )
            assert host.wait_for(phone) is verified
            assert steps(host, phone)[-1] == "ExecutionCompleted"


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
            wait_until(
                lambda: host.status(instance)["customStatus"] == "waiting for approval",  # noqa: B023
                "the workflow to wait",
            )
            path = f"/runtime/webhooks/durabletask/instances/{instance}/raiseEvent/ApprovalEvent"
            assert host.call("POST", path, {"approved": approved, "by": "Ann"})[0] == 202
            assert host.wait_for(instance) == said
            assert host.status(instance)["customStatus"] == ("approved" if approved else "rejected")
            assert host.call("POST", path, {"approved": approved, "by": "Ann"})[0] == 410
