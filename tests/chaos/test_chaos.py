"""`make chaos` in short: everything is disturbed while orders are traded, and no promise is broken."""

from pathlib import Path

from tests.chaos.campaign import Campaign, run


def test_nothing_is_lost_doubled_or_unprotected_whatever_fails(tmp_path: Path) -> None:
    campaign = Campaign(seed=7, faults=8, orders=20, orders_per_second=3, folder=tmp_path)
    done: list[int] = []
    report = run(campaign, lambda _what, count: done.append(count))
    assert done[-1] == 8
    assert report.refusals == []
    assert [difference for found in report.found.values() for difference in found] == []
    assert len(report.facts.register) >= 10
    assert len(report.facts.disturbances) == 8 + 1  # the holder is killed once more at the end
