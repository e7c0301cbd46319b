"""Histories out of a development host's file and out of a real hub's tables, redacted or not, and the commands."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devhost.history import EventType
from devhost.matching import EntityMessage, Scheduled
from replay.apps import orchestrators
from replay.cli import main
from replay.history import History, read, write
from replay.hub import Hub
from replay.recording import RecordingError
from replay.redaction import redact
from replay.replayer import replay
from tests.devhost.running import RunningHost
from tests.replay import sample_app
from tests.replay.driving import EXECUTION, drive
from tests.replay.hub_writing import HubWriter

APP = "tests.replay.sample_app:app"
BASIC = "tests.devhost.apps.basic.function_app:app"
PURCHASE = {"buyer": "account-4711", "amount": 3, "items": ["x", "y"]}


@pytest.fixture
def function() -> Callable[[str], str]:
    return orchestrators(sample_app.app)["purchase"]


def buy(item: Scheduled) -> Any:
    return 5 if isinstance(item, EntityMessage) else "it"


@pytest.fixture
def purchase(function: Callable[[str], str]) -> History:
    return drive(function, "purchase", PURCHASE, do=buy, raised=[("approved", {"by": "Ms Approver"})], version="2.0")


# From a hub


def test_a_history_from_a_hub_replays(hub_storage: str, function: Callable[[str], str], purchase: History) -> None:
    writer = HubWriter(hub_storage, "Plain")
    writer.write(purchase, "i-1", execution_id=EXECUTION, left_over=3)
    history = Hub(hub_storage, "Plain").history("i-1")
    assert (history.orchestrator, history.version) == ("purchase", "2.0")
    assert [event["EventType"] for event in history.events] == [event["EventType"] for event in purchase.events]
    assert history.statuses[-1].value == purchase.statuses[-1].value
    assert replay(history, function) is None


def test_long_texts_come_from_their_blobs(hub_storage: str, function: Callable[[str], str]) -> None:
    long = drive(function, "purchase", {**PURCHASE, "items": ["x" * 2000]}, do=buy)
    HubWriter(hub_storage, "Long").write(long, "i-1", execution_id=EXECUTION)
    history = Hub(hub_storage, "Long").history("i-1")
    assert history.events[1]["Input"] == long.events[1]["Input"]
    assert replay(history, function) is None


def test_an_id_that_is_no_key_is_found_by_its_escaped_form(hub_storage: str, purchase: History) -> None:
    writer = HubWriter(hub_storage, "Escaped")
    for partition in ("a^0b^^c'd", "@account@k", "other"):
        writer.write(purchase, partition, execution_id=EXECUTION)
    hub = Hub(hub_storage, "Escaped")
    assert list(hub.instances()) == ["a/b^c'd", "other"]
    assert list(hub.instances("a/")) == ["a/b^c'd"]
    assert hub.history("a/b^c'd").instance_id == "a/b^c'd"


def test_what_is_not_there_is_told_with_what_is(hub_storage: str, purchase: History) -> None:
    HubWriter(hub_storage, "Here").write(purchase, "i-1", execution_id=EXECUTION)
    with pytest.raises(RecordingError, match=r"no instance 'i-2' in hub Here; hubs found: .*Here"):
        Hub(hub_storage, "Here").history("i-2")
    with pytest.raises(RecordingError, match=r"there is no hub Nowhere: no table NowhereInstances; hubs found: .*Here"):
        Hub(hub_storage, "Nowhere").history("i-1")


def test_a_hub_is_recorded_by_the_command(
    hub_storage: str,
    purchase: History,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    writer = HubWriter(hub_storage, "Command")
    for partition in ("i-1", "j-1"):
        writer.write(purchase, partition, execution_id=EXECUTION)
    monkeypatch.setenv("HubStorage", hub_storage)
    out = tmp_path / "i.json"
    common = ["--connection", "HubStorage", "--hub", "Command", "--app", APP]
    assert main(["record", "--instance", "i-1", *common, "--out", str(out), "--note", "as planned"]) == 0
    assert "today's code does the same" in capsys.readouterr().out
    assert read(out).note == "as planned"
    # The copy under another id names its child after the first one, which today's code does not.
    assert main(["record", "--all", "--prefix", "j", *common, "--out", str(tmp_path / "all")]) == 1
    assert "TODAY'S CODE DIFFERS" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["purchase-j-1.json"]


def test_a_connection_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "--instance", "i", "--hub", "H", "--connection", "NoSuchSetting", "--app", APP]) == 1
    assert "--connection NoSuchSetting: neither a connection string nor" in capsys.readouterr().err


# From a development host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    with RunningHost("basic", tmp_path_factory.mktemp("host")) as running:
        running.run("chain", "chain", 3)
        running.run("rounds", "rounds", 2)
        running.run("count", "count", "k")
        running.run("stubborn", "stubborn", "it")
        yield running


@pytest.mark.parametrize("instance", ["chain", "rounds", "count", "stubborn"])
def test_the_file_of_a_running_host_is_recorded_and_replays(host: RunningHost, instance: str, tmp_path: Path) -> None:
    out = tmp_path / f"{instance}.json"
    options = ["--db", str(host.folder / "devhost.db"), "--app", BASIC]
    assert main(["record", "--instance", instance, *options, "--out", str(out)]) == 0
    history = read(out)
    assert (history.orchestrator, history.instance_id) == (instance, instance)
    assert history.events[-2]["EventType"] == EventType.EXECUTION_COMPLETED
    assert main(["check", str(out), "--app", BASIC]) == 0


def test_an_instance_that_the_file_does_not_have_is_told_with_those_it_has(
    host: RunningHost, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "--instance", "nobody", "--db", str(host.folder / "devhost.db"), "--app", BASIC]) == 1
    assert "no instance 'nobody' in" in capsys.readouterr().err
    assert main(["record", "--instance", "nobody", "--db", str(host.folder / "no.db"), "--app", BASIC]) == 1
    assert "no.db does not exist" in capsys.readouterr().err


def test_all_instances_are_recorded_and_one_without_a_history_does_not_stop_the_others(
    host: RunningHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--db", str(host.folder / "devhost.db"), "--app", BASIC, "--out", str(tmp_path / "out")]
    assert main(["record", "--all", "--prefix", "c", *common]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["chain-chain.json", "count-count.json"]
    assert main(["record", "--all", "--prefix", "zzz", *common]) == 1
    assert "no instance begins with 'zzz'" in capsys.readouterr().err


def test_the_file_of_a_host_that_was_killed_is_read(tmp_path: Path) -> None:
    with RunningHost("basic", tmp_path) as running:
        running.run("chain", "chain", 3)
        running.kill()
    out = tmp_path / "out.json"
    assert (
        main(["record", "--instance", "chain", "--db", str(tmp_path / "devhost.db"), "--app", BASIC, "--out", str(out)])
        == 0
    )


def test_without_its_app_a_history_is_recorded_and_not_replayed(
    host: RunningHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    common = ["--db", str(host.folder / "devhost.db"), "--out", str(out)]
    assert main(["record", "--instance", "chain", *common, "--app", "nowhere:app"]) == 0
    shown = capsys.readouterr()
    assert "recorded only, not replayed: nowhere:app: nowhere cannot be imported" in shown.err
    assert "not replayed" in shown.out
    assert read(out).orchestrator == "chain"


# Redaction


def test_a_redacted_value_is_gone_everywhere_and_the_history_replays(
    function: Callable[[str], str], purchase: History
) -> None:
    hidden = redact(purchase, ["input.buyer", "*.by"])
    text = msgspec.json.encode(hidden).decode()
    assert "account-4711" not in text
    assert "Ms Approver" not in text
    assert text.count("@account@<redacted-1>") == 2  # the entity's key is the buyer's name
    assert replay(hidden, function) is None


def test_times_and_numbers_of_the_protocol_stay(purchase: History) -> None:
    hidden = redact(purchase, ["input.amount"])
    assert [event["EventId"] for event in hidden.events] == [event["EventId"] for event in purchase.events]
    assert [event["Timestamp"] for event in hidden.events] == [event["Timestamp"] for event in purchase.events]
    sent = next(event for event in hidden.events if event["EventType"] == EventType.EVENT_SENT)
    assert json.loads(json.loads(json.loads(sent["Input"])["input"])) == {"amount": "<redacted-1>"}


def test_a_path_that_names_nothing_is_refused(host: RunningHost, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--db", str(host.folder / "devhost.db"), "--app", BASIC, "--redact", "input.pasword"]
    assert main(["record", "--instance", "chain", *common]) == 1
    assert "--redact input.pasword: the history has nothing there" in capsys.readouterr().err


def test_a_value_that_the_orchestrator_depends_on_cannot_be_redacted(
    hub_storage: str, purchase: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    HubWriter(hub_storage, "Redacted").write(purchase, "i-1", execution_id=EXECUTION)
    out = tmp_path / "i.json"
    common = ["--connection", hub_storage, "--hub", "Redacted", "--app", APP, "--out", str(out)]
    # The entity answers with what is left, which the orchestrator compares with 0.
    assert main(["record", "--instance", "i-1", *common, "--redact", "result"]) == 1
    assert "the orchestrator depends on a value that --redact would replace" in capsys.readouterr().err
    assert not out.exists()
    assert main(["record", "--instance", "i-1", *common, "--redact", "input.buyer"]) == 0


# Checking


def test_a_check_shows_a_table_and_the_report_of_what_differs(
    purchase: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "good.json", purchase)
    changed = next(event for event in purchase.events if event["EventType"] == EventType.TASK_SCHEDULED)
    changed["Name"] = "weigh"
    write(tmp_path / "worse.json", purchase)
    (tmp_path / "zero.json").write_text("{}")
    assert main(["check", str(tmp_path), "--app", APP]) == 1
    out = capsys.readouterr().out
    assert "does the same" in out
    assert "activity 1 weigh: different name" in out
    assert "zero.json: is no recorded history" in out


def test_a_check_of_nothing_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path), "--app", APP]) == 1
    assert "there is no recorded history in" in capsys.readouterr().err
