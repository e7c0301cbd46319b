"""Two processes of the app on one storage: one that is asked to end hands the session over; a reset is anybody's to
ask for. Real hosts, a venue in this process."""

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.devhost.running import RunningHost, wait_until
from tests.gateway.counterparty import Counterparty

ROOT = Path(__file__).resolve().parents[2]


class Desk:
    def __init__(self, hosts: list[RunningHost], venue: Counterparty) -> None:
        self.first, self.second = hosts
        self.venue = venue

    def status(self, host: RunningHost) -> Any:
        return host.call("GET", "/api/session")[1]


@pytest.fixture
def desk(tmp_path: Path, storage_connection: str) -> Iterator[Desk]:
    client = f"C{uuid.uuid4().hex[:10].upper()}"
    venue = Counterparty(client)
    settings = {
        "AzureWebJobsStorage": storage_connection,
        "FIX_PORT": str(venue.port),
        "FIX_SENDER_COMP_ID": client,
        "FIX_TARGET_COMP_ID": "VENUE",
        # Nobody waits for this lease to run out.
        "LEASE_SECONDS": "60",
    }
    with ExitStack() as stack:
        stack.callback(venue.close)
        hosts: list[RunningHost] = []
        for _ in range(2):
            hosts.append(stack.enter_context(RunningHost(ROOT, tmp_path, settings=settings)))
            wait_until(lambda: venue.online, "the session is logged on")
        desk = Desk(hosts, venue)
        wait_until(lambda: desk.status(desk.second)["owner"] != "", "the second is a candidate by its warm-up")
        yield desk


def test_a_host_that_is_asked_to_end_hands_the_session_over_within_two_seconds(desk: Desk) -> None:
    held, waiting = desk.status(desk.first), desk.status(desk.second)
    assert held["logged_on"]
    assert not waiting["logged_on"]
    assert (waiting["owner"], waiting["epoch"]) == (held["owner"], held["epoch"])
    # However long the rest of the host takes to end: what counts is how long nobody is logged on.
    desk.first.process.terminate()
    wait_until(lambda: not desk.venue.online, "the first logs out")
    begun = time.monotonic()
    wait_until(lambda: desk.venue.logons == 2, "the second logs on")
    assert time.monotonic() - begun < 2
    wait_until(lambda: desk.status(desk.second)["logged_on"], "it is ready")
    assert desk.status(desk.second)["epoch"] == held["epoch"] + 1


def test_a_reset_may_be_asked_of_a_host_that_does_not_hold_the_session(desk: Desk) -> None:
    assert desk.second.call("GET", "/api/session/reset") == (200, {"wanted": False})
    assert desk.second.call("POST", "/api/session/reset") == (202, {"wanted": True})
    assert desk.second.call("POST", "/api/session/drop-copy/reset")[0] == 409  # there is none
    wait_until(lambda: desk.venue.logons == 2, "there is a new Logon", seconds=20)
    logon = desk.venue.logon_messages[-1]
    assert (logon.require(34), logon.get(141)) == ("1", "Y")
    wait_until(lambda: desk.first.call("GET", "/api/session/reset")[1] == {"wanted": False}, "it is answered")
    statuses = [desk.status(desk.first), desk.status(desk.second)]
    wait_until(lambda: {desk.status(host)["generation"] for host in (desk.first, desk.second)} == {2}, str(statuses))
