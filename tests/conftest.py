"""Fixtures that several folders of tests share."""

from collections.abc import Iterator

import pytest

from player.azurite import azurite, connection_string, free_port

pytest_plugins = ["replay.plugin"]


@pytest.fixture(scope="session")
def storage_connection() -> Iterator[str]:
    """The connection string of an Azurite that runs for the whole test session, its data in memory."""
    port = free_port()
    with azurite(port):
        yield connection_string(port)
