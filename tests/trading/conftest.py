"""What the tests of lifecycles share."""

from collections.abc import Iterator

import pytest

from tests.trading.desk import DELIVERIES, Desk
from tests.trading.swapping import swap_each


@pytest.fixture(params=DELIVERIES)
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A desk for each manner in which reports may come: as they were sent, twice, swapped.

    Swapped, those that are said together come in the other order; and when the test has passed, its play is told again
    with any two swapped.
    """
    desk = Desk(request.param)
    yield desk
    if desk.delivery.startswith("swapped") and desk.spec is not None and not desk.order_matters:
        swap_each(desk)
