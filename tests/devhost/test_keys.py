"""Access keys: asked for with `--enable-auth`, and only then."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost.configuration import ConfigurationError
from devhost.keys import keys_in
from tests.devhost.running import RunningHost


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    with RunningHost("locked", tmp_path_factory.mktemp("locked"), "--enable-auth") as running:
        yield running


@pytest.fixture(scope="module")
def keys(host: RunningHost) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((host.folder / "devhost.db.keys.json").read_text())
    return kept


@pytest.mark.parametrize(
    ("path", "opened_by"),
    [
        ("/api/open", {"none", "wrong", "own", "other", "host", "system", "master"}),
        ("/api/closed", {"own", "host", "master"}),
        ("/api/own", {"master"}),
        ("/runtime/webhooks/durabletask/instances", {"system", "master"}),
        ("/admin/functions", {"master"}),
        ("/admin/host/status", {"master"}),
        ("/admin/host/keys", {"master"}),
        ("/admin/host/ping", {"none", "wrong", "own", "other", "host", "system", "master"}),
        ("/durabletask/instances", {"none", "wrong", "own", "other", "host", "system", "master"}),
    ],
)
def test_each_path_opens_to_its_keys_and_to_no_other(
    host: RunningHost, keys: dict[str, Any], path: str, opened_by: set[str]
) -> None:
    codes = {
        "none": "",
        "wrong": "?code=guess",
        "own": f"?code={keys['functions']['for_some']}",
        "other": f"?code={keys['functions']['for_all']}",
        "host": f"?code={keys['host']}",
        "system": f"?code={keys['system']}",
        "master": f"?code={keys['master']}",
    }
    opened = {name for name, code in codes.items() if host.call("GET", path + code)[0] == 200}
    assert opened == opened_by
    for refused in codes.keys() - opened_by:
        assert host.call("GET", path + codes[refused])[0] == 401


def test_a_key_may_come_as_a_header(host: RunningHost, keys: dict[str, Any]) -> None:
    status, _, _ = host.exchange("GET", "/api/closed", headers={"x-functions-key": keys["host"]})
    assert status == 200


def test_the_urls_that_an_app_hands_out_carry_the_extensions_key(host: RunningHost, keys: dict[str, Any]) -> None:
    status, answer = host.call("POST", "/api/start")
    assert status == 202
    assert keys["system"] in answer["statusQueryGetUri"]
    assert keys["master"] not in json.dumps(answer)
    host.wait_for("short")
    assert host.call("GET", answer["statusQueryGetUri"].removeprefix(host.url))[1]["output"] == "done"


def test_the_master_key_shows_the_others(host: RunningHost, keys: dict[str, Any]) -> None:
    code = f"?code={keys['master']}"
    assert host.call("GET", f"/admin/host/keys{code}")[1]["keys"] == [{"name": "default", "value": keys["host"]}]
    shown = host.call("GET", f"/admin/functions/for_some/keys{code}")[1]["keys"]
    assert shown == [{"name": "default", "value": keys["functions"]["for_some"]}]
    assert host.call("GET", f"/admin/functions/nobody/keys{code}")[0] == 404
    system = host.call("GET", f"/admin/host/systemkeys/durabletask_extension{code}")[1]
    assert system == {"name": "durabletask_extension", "value": keys["system"]}


def test_keys_are_kept_readable_for_their_owner_alone_and_never_logged(host: RunningHost, keys: dict[str, Any]) -> None:
    path = host.folder / "devhost.db.keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for key in (keys["master"], keys["host"], keys["system"], *keys["functions"].values()):
        assert key not in host.log


def test_without_the_option_every_request_is_let_through(tmp_path: Path) -> None:
    with RunningHost("locked", tmp_path) as host:
        for path in ("/api/open", "/api/closed", "/api/own", "/admin/functions"):
            assert host.call("GET", path)[0] == 200
    assert not (tmp_path / "devhost.db.keys.json").exists()


def test_keys_stay_the_same_and_a_new_function_gets_its_own(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first = keys_in(path, ["a"])
    second = keys_in(path, ["a", "b"])
    assert (second.master, second.functions["a"]) == (first.master, first.functions["a"])
    assert second.functions["b"] != first.functions["a"]
    assert keys_in(path, ["a", "b"]) == second


def test_a_file_that_holds_no_keys_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("{}")
    with pytest.raises(ConfigurationError, match=r"keys\.json does not hold this host's keys"):
        keys_in(path, [])
