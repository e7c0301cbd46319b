"""`make chaos` in short: everything is disturbed while orders are traded, and no promise is broken."""

from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign, run
from tests.chaos.faults import ALL_HOSTS, HOLDER, Fault, Kind


def _fault(at: float, kind: Kind, target: str, duration: float = 0.0, **parameters: float | str) -> Fault:
    return Fault(at=at, kind=kind, target=target, duration=duration, parameters=parameters)


_PROGRAM = (
    _fault(1.0, "kill", HOLDER, 0.3),
    _fault(4.0, "lost_answers", "storage-proxy", 2.0, share=0.3),
    _fault(5.0, "cut", "fix-proxy"),
    _fault(6.0, "wake_ups", ALL_HOSTS, 1.0, drop=0.3, repeat=0.3),
    _fault(7.0, "stop", HOLDER, 3.0),
    _fault(10.5, "half_open", "fix-proxy", 1.5, direction="both"),
    _fault(12.5, "kill", "venue", 0.2),
    _fault(14.5, "storage_errors", "storage-proxy", 2.5, share=1.0, host=HOLDER),
    _fault(17.3, "late", "fix-proxy", 2.5, seconds=1.2, release="before_logon"),  # a heartbeat and more
    _fault(20.0, "clock", HOLDER, 1.5, offset=-600.0),
    _fault(22.0, "kill", "azurite", 0.3),
)
"""One of each kind that matters; the holder is stopped for longer than its lease."""


@pytest.mark.timeout(600)  # above all that is waited for: a difference is to be shown, not a timeout
def test_nothing_is_lost_doubled_or_unprotected_whatever_fails(tmp_path: Path) -> None:
    campaign = Campaign(seed=7, faults=len(_PROGRAM), program=_PROGRAM, orders=40, orders_per_second=2, folder=tmp_path)
    done: list[int] = []
    report = run(campaign, lambda _what, count: done.append(count))
    assert done[-1] == len(_PROGRAM)
    assert report.refusals == []
    assert report.died == []
    assert [difference for found in report.found.values() for difference in found] == []
    assert len(report.facts.register) >= 25
    assert {kind: effects.injected - effects.effective for kind, effects in report.effects.items()} == dict.fromkeys(
        {fault.kind for fault in _PROGRAM}, 0
    )
