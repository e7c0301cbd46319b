"""Storage with tables and blobs for the tests of recording."""

from collections.abc import Iterator

import pytest

from player.azurite import azurite, connection_string, free_port


@pytest.fixture(scope="session")
def hub_storage() -> Iterator[str]:
    """The connection string of an Azurite with tables and blobs."""
    tables, blobs = free_port(), free_port()
    with azurite(tables), azurite(blobs, "blob"):
        yield connection_string(tables, blob_port=blobs)
