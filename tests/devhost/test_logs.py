"""What the host logs: readable, and like Core Tools."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.devhost.running import RunningHost, wait_until

LEVEL = "AzureFunctionsJobHost__logging__logLevel__Function"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    folder = tmp_path_factory.mktemp("logs")
    with RunningHost("basic", folder, settings={"NOTES": str(folder / "notes")}) as running:
        yield running


def test_the_start_lists_http_functions_with_their_urls_and_the_others_by_trigger(host: RunningHost) -> None:
    assert f"\techo: [GET,PUT] {host.url}/api/echo/" in host.log
    assert "\tchain: orchestrationTrigger" in host.log
    assert "\tadd_one: activityTrigger" in host.log
    assert f"{host.url}/devhost" in host.log


def test_an_http_execution_is_told_with_reason_id_outcome_and_duration(host: RunningHost) -> None:
    assert host.call("GET", "/api/echo/fixed")[0] == 200
    wait_until(lambda: "Executed 'Functions.fixed'" in host.log, "the line")
    moment = r"\[\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z\] "
    found = re.search(moment + r"Executing 'Functions\.fixed' \(Reason='(.+)', Id=([0-9a-f-]{36})\)", host.log)
    assert found is not None
    assert re.search(rf"Executed 'Functions\.fixed' \(Succeeded, Id={found[2]}, Duration=\d+ms\)", host.log)


def test_a_failed_execution_is_told_with_the_functions_own_traceback(host: RunningHost) -> None:
    assert host.call("GET", "/api/bad")[0] == 500
    wait_until(lambda: "Executed 'Functions.bad' (Failed" in host.log, "the line")
    assert "ValueError: this function is bad" in host.log
    assert "ERROR: HTTP trigger bad raised" in host.log


def test_activities_are_told_only_when_everything_is(host: RunningHost, tmp_path: Path) -> None:
    host.run("chain", "quiet", 1)
    assert "Functions.add_one'" not in host.log
    with RunningHost("basic", tmp_path, "--verbose") as verbose:
        verbose.run("chain", "told", 1)
        for name in ("add_one", "chain"):
            assert f"Executed 'Functions.{name}' (Succeeded" in verbose.log


def test_the_level_of_executions_can_be_set_as_in_azure(tmp_path: Path) -> None:
    with RunningHost("basic", tmp_path, settings={LEVEL: "Warning"}) as host:
        assert host.call("GET", "/api/echo/fixed")[0] == 200
        assert "Executing" not in host.log


def test_a_level_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"logLevel\.Function is 'Loud', it must be one of trace, debug"):
        RunningHost("basic", tmp_path, settings={LEVEL: "Loud"})
