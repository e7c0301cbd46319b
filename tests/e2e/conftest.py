"""One system for all end-to-end tests: starting it takes seconds. Each test has symbols and order ids of its own."""

from collections.abc import Iterator

import pytest

from player.stack import Stack, StackOptions, running

LIMITS = {
    "MAX_ORDER_NOTIONAL": "1000000",
    "MAX_SYMBOL_NOTIONAL": "1000000",
    "MAX_GROSS_NOTIONAL": "100000000",
}


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(StackOptions(out=tmp_path_factory.mktemp("e2e"), lockstep=True, settings=LIMITS)) as stack:
        yield stack
