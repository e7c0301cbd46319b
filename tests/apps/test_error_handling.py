"""The error handling app."""

from pathlib import Path

from tests.apps.service import Service
from tests.apps.serving import serve, start, steps


def test_a_transfer_that_cannot_be_credited_is_refunded(tmp_path: Path) -> None:
    with Service() as service, serve("error_handling", tmp_path, BANK_URL=f"{service.url}/bank") as host:
        service.refusals["closed"] = 404
        for instance, destination, outcome in (("good", "b", "transferred"), ("bad", "closed", "refunded")):
            transfer = {"sourceAccount": "a", "destinationAccount": destination, "amount": 7}
            start(host, "TransferFunds", instance, transfer)
            assert host.wait_for(instance) == outcome
        booked = [(path.rpartition("/")[2], body["account"]) for path, body in service.posts]
        assert booked == [("debit", "a"), ("credit", "b"), ("debit", "a"), ("credit", "closed"), ("credit", "a")]
        assert [step for step in steps(host, "bad") if step.startswith("Task")] == [
            "TaskCompleted DebitAccount",
            "TaskFailed CreditAccount",
            "TaskCompleted CreditAccount",
        ]


def test_an_activity_is_tried_three_times(tmp_path: Path) -> None:
    with Service() as service:
        service.answers["/bank/flaky?name=broken"] = {"fails": True}
        service.answers["/bank/flaky?name=sound"] = {"fails": False}
        settings = {"BANK_URL": f"{service.url}/bank", "RETRY_MILLISECONDS": "50"}
        with serve("error_handling", tmp_path, **settings) as host:
            start(host, "CallFlakyFunctionWithRetry", "broken", "broken")
            start(host, "CallFlakyFunctionWithRetry", "sound", "sound")
            assert host.wait_for("sound") == "sound worked"
            failure = host.wait_for("broken", "Failed")
            assert failure.startswith("Orchestrator function 'CallFlakyFunctionWithRetry' failed: ")
            assert "broken failed" in failure
            assert service.asked.count("/bank/flaky?name=broken") == 3


def test_an_activity_has_a_timeout(tmp_path: Path) -> None:
    with Service() as service:
        service.answers["/bank/flaky"] = {"fails": False}
        service.delays["/bank/flaky?name=slow"] = 1.5
        settings = {"BANK_URL": f"{service.url}/bank", "TIMEOUT_SECONDS": "0.7"}
        with serve("error_handling", tmp_path, **settings) as host:
            start(host, "CallFlakyFunctionWithTimeout", "slow", "slow")
            start(host, "CallFlakyFunctionWithTimeout", "quick", "quick")
            assert host.wait_for("quick") is True
            assert host.wait_for("slow") is False
            # It ends only when the activity that it no longer waits for has ended.
            assert steps(host, "slow")[-2] == "TaskCompleted FlakyFunction"
