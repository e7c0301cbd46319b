"""A host on a virtual clock: what runs when, in which order, and when it is idle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.devhost.running import RunningHost, events, wait_until


def lockstep(folder: Path) -> RunningHost:
    return RunningHost(
        "basic",
        folder,
        "--virtual-clock",
        str(folder / "clock"),
        "--real-time",
        "real_alarm",
        "--background",
        "watch_gate",
        "--background",
        "tick",
        settings={"NOTES": str(folder / "notes")},
    )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    with lockstep(tmp_path_factory.mktemp("lockstep")) as running:
        yield running


def clock(host: RunningHost) -> dict[str, str | None]:
    _, shown = host.call("GET", "/devhost/clock")
    assert isinstance(shown, dict)
    return shown


def test_the_clock_begins_before_all_data(host: RunningHost) -> None:
    assert clock(host) == {"now": "1970-01-01T00:00:00.000000Z", "next_timer": None}
    assert (host.folder / "clock").read_text() == "1970-01-01T00:00:00.000000Z\n"


def test_timers_fire_when_the_clock_is_set_and_not_before(host: RunningHost) -> None:
    assert host.call("POST", "/devhost/clock", {"now": "2013-10-07T13:30:00Z"})[0] == 200
    host.start("alarm", "alarm", 60)
    host.start("alarm", "later", 90)
    host.wait_until_idle()
    assert clock(host)["next_timer"] == "2013-10-07T13:31:00.000000Z"
    host.call("POST", "/devhost/clock", {"now": "2013-10-07T13:30:59Z"})
    host.wait_until_idle()
    assert host.status("alarm")["runtimeStatus"] == "Running"
    _, answer = host.call("POST", "/devhost/clock?wait=10", {"now": "2013-10-07T13:31:00Z"})
    assert answer == {"now": "2013-10-07T13:31:00.000000Z", "idle": True}
    assert host.status("alarm")["output"] == ["2013-10-07T13:30:00+00:00", "2013-10-07T13:31:00+00:00"]
    assert clock(host)["next_timer"] == "2013-10-07T13:31:30.000000Z"
    assert (host.folder / "clock").read_text() == "2013-10-07T13:31:00.000000Z\n"


def test_a_timer_of_ten_days_fires_in_pieces_of_three(host: RunningHost) -> None:
    host.call("POST", "/devhost/clock", {"now": "2013-11-01T00:00:00Z"})
    host.start("alarm", "long", 10 * 86400)
    host.wait_until_idle()
    fired = []
    while (due := clock(host)["next_timer"]) is not None:
        fired.append(due[:10])
        host.call("POST", "/devhost/clock?wait=10", {"now": due})
    assert fired == ["2013-11-04", "2013-11-07", "2013-11-11"]
    assert host.status("long")["output"] == ["2013-11-01T00:00:00+00:00", "2013-11-11T00:00:00+00:00"]


def test_the_clock_does_not_go_back(host: RunningHost) -> None:
    host.call("POST", "/devhost/clock", {"now": "2014-01-01T00:00:00Z"})
    assert host.call("POST", "/devhost/clock", {"now": "2014-01-01T00:00:00Z"})[0] == 200
    status, answer = host.call("POST", "/devhost/clock", {"now": "2013-12-31T00:00:00Z"})
    assert (status, "cannot go back" in answer["error"]) == (409, True)


@pytest.mark.parametrize("body", [{"now": "noon"}, {"now": "2014-01-01T00:00:00"}, {}, [], {"now": None, "x": 1}])
def test_a_wrong_time_is_refused(host: RunningHost, body: object) -> None:
    status, answer = host.call("POST", "/devhost/clock", body)
    assert (status, "the body is wrong" in answer["error"]) == (400, True)


def test_a_timer_of_a_cancelled_wait_is_not_waited_for(host: RunningHost) -> None:
    host.start("approval", "approved", 3600)
    host.wait_until_idle()
    assert clock(host)["next_timer"] is not None
    host.raise_event("approved", "approve", 1)
    host.wait_until_idle()
    assert host.status("approved")["output"] == {"approved": 1}
    assert clock(host)["next_timer"] is None


def test_a_timer_that_is_already_due_fires_at_once(host: RunningHost) -> None:
    host.start("alarm", "past", -5)
    host.wait_until_idle()
    assert host.status("past")["runtimeStatus"] == "Completed"


def test_real_time_instances_fire_by_themselves_and_keep_the_host_busy(host: RunningHost) -> None:
    host.start("real_alarm", "real", 0.3)
    _, answer = host.call("GET", "/devhost/idle")
    assert not answer["idle"]
    wait_until(lambda: "timer 0 of real" in host.call("GET", "/devhost/idle")[1]["busy"], "the timer")
    assert clock(host)["next_timer"] is None
    host.wait_until_idle()
    assert str(host.status("real")["output"]) > "2020"


def test_background_work_does_not_count(host: RunningHost) -> None:
    gate = host.folder / "watch"
    host.start("watch", "watch", str(gate))
    host.wait_until_idle()
    assert host.status("watch")["runtimeStatus"] == "Running"
    assert host.run("chain", "beside", 1) == 4
    gate.touch()
    assert host.wait_for("watch") == "watched"


def test_idle_tells_what_is_left_to_do(host: RunningHost) -> None:
    gate = host.folder / "gate"
    host.start("gated", "gated", str(gate))
    wait_until(lambda: host.call("GET", "/devhost/idle")[1]["busy"] == ["activity gate of gated"], "the activity")
    status, answer = host.call("GET", "/devhost/idle?wait=0.05")
    assert (status, answer["idle"], answer["work"]) == (200, False, 1)
    gate.touch()
    host.wait_until_idle()
    assert host.status("gated")["output"] == "open"
    assert host.call("GET", "/devhost/idle?wait=soon")[0] == 400


def test_an_entity_works_beside_an_activity_that_may_wait_for_it(host: RunningHost) -> None:
    gate = host.folder / "beside"
    host.start("gated", "waits", str(gate))
    wait_until(lambda: host.call("GET", "/devhost/idle")[1]["busy"] == ["activity gate of waits"], "the activity")
    host.call("POST", "/durabletask/entities/counter/beside?op=add", "4")
    wait_until(lambda: host.entity("counter", "beside") == 4, "the entity", seconds=2)
    assert host.status("waits")["runtimeStatus"] == "Running"
    gate.touch()
    host.wait_until_idle()


def test_a_posted_batch_answers_when_all_that_it_caused_is_done(host: RunningHost) -> None:
    _, answer = host.call("POST", "/devhost/eventhubs/market/events?wait=10", events(100, partition="9", value=5))
    assert answer["idle"]
    assert host.status("batch-100")["output"] == 8


def orders_of_work(folder: Path) -> list[str]:
    with lockstep(folder) as host:
        for number in range(3):
            host.call("POST", "/devhost/eventhubs/market/events?wait=10", events(number * 10 + 1, value="start 5"))
        return [line for line in (folder / "notes").read_text().splitlines() if not line.startswith("batch")]


def test_the_same_inputs_give_the_same_order_of_work_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = orders_of_work(tmp_path / "one")
    assert first == orders_of_work(tmp_path / "two")
    assert first[:10] == [f"1-{n} a" for n in range(5)] + [f"1-{n} b" for n in range(5)]


def test_a_restarted_host_has_its_clock_its_timers_and_its_batches(tmp_path: Path) -> None:
    with lockstep(tmp_path) as host:
        host.call("POST", "/devhost/clock", {"now": "2013-10-07T13:30:00Z"})
        host.start("alarm", "alarm", 60)
        host.start("gated", "gated", str(tmp_path / "gate"))
        wait_until((tmp_path / "notes").exists, "the activity")
        host.call("POST", "/devhost/eventhubs/market/events", events(1, 2, value=1))
        host.kill()
    (tmp_path / "clock").unlink()
    (tmp_path / "gate").touch()
    with lockstep(tmp_path) as host:
        assert (tmp_path / "clock").read_text() == "2013-10-07T13:30:00.000000Z\n"
        host.wait_until_idle()
        assert host.status("gated")["output"] == "open"
        assert host.status("batch-1")["output"] == 4
        assert clock(host) == {"now": "2013-10-07T13:30:00.000000Z", "next_timer": "2013-10-07T13:31:00.000000Z"}
        status, answer = host.call("POST", "/devhost/eventhubs/market/events", events(1, 2, value=1))
        assert (status, answer["stored"], answer["ignored"]) == (202, 0, 2)
        host.call("POST", "/devhost/clock", {"now": "2013-10-07T13:31:00Z"})
        host.wait_until_idle()
        assert host.status("alarm")["runtimeStatus"] == "Completed"
    assert [line for line in (tmp_path / "notes").read_text().splitlines() if line.startswith("batch")] == [
        "batch 0 [1, 2] 14:30"
    ]
