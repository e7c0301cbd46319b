"""What the tests of lifecycles share."""

import pytest

from tests.trading.desk import DELIVERIES, Desk


@pytest.fixture(params=DELIVERIES)
def desk(request: pytest.FixtureRequest) -> Desk:
    """A desk for each manner in which reports may come: as they were sent, twice, swapped."""
    return Desk(request.param)
