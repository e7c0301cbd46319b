"""The timers app."""

from pathlib import Path

from tests.apps.service import Service
from tests.apps.serving import serve, start, steps


def test_a_bill_goes_out_a_day_and_a_quote_cancels_its_timeout(tmp_path: Path) -> None:
    with Service() as service:
        settings = {"BILLING_URL": f"{service.url}/billing", "DAY_SECONDS": "0.05"}
        with serve("timers", tmp_path, **settings) as host:
            start(host, "BillingIssuer", "bills", 4)
            start(host, "TryGetQuote", "quote", "MSFT")
            assert host.wait_for("bills") == "4 bills"
            assert service.posted("/billing") == [{"instance": "bills", "day": day} for day in range(4)]
            assert steps(host, "bills") == [
                "ExecutionStarted BillingIssuer",
                *["TimerCreated", "TimerFired", "TaskCompleted SendBillingEvent"] * 4,
                "ExecutionCompleted",
            ]
            assert host.wait_for("quote") == "MSFT at 101.5"
            assert "TimerFired" not in steps(host, "quote")
