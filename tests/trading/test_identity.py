"""Names of orders and of their children."""

import pytest

from trading.identity import cl_ord_id, halt_of, halt_order_id, is_entry, order_id_of, orphan_order_id


def test_a_cl_ord_id_names_its_order() -> None:
    assert cl_ord_id("sma-IBM", "e", 1) == "sma-IBM.e1"
    assert order_id_of("sma-IBM.e1") == "sma-IBM"


@pytest.mark.parametrize("stranger", ["manual", "", ".e1", "with space.e1"])
def test_a_strangers_cl_ord_id_names_no_order(stranger: str) -> None:
    assert order_id_of(stranger) is None


def test_only_an_entry_is_one() -> None:
    assert is_entry("o.e1")
    assert not any(is_entry(each) for each in ("o.s2", "o.t3", "o.c4", "o.x5", "e1"))


def test_an_orphan_gets_a_name_that_storage_takes() -> None:
    assert orphan_order_id("A/B #1.é") == "orphan-A_B__1__"


@pytest.mark.parametrize("halt", [1, 3, 12])
@pytest.mark.parametrize("attempt", [1, 2, 10])
@pytest.mark.parametrize("symbol", ["IBM", "7", "7-IBM", "EUR/USD", "A_B", "^" * 32])
def test_the_id_of_an_order_that_closes_in_a_halt_names_the_halt(halt: int, attempt: int, symbol: str) -> None:
    assert halt_of(halt_order_id(halt, symbol, attempt)) == halt


@pytest.mark.parametrize(
    "order_id", ["sma-IBM-1", "halt", "halt-", "halt-IBM", "halt-1", "a-halt-1-IBM", "halt-1_x-IBM"]
)
def test_any_other_id_names_no_halt(order_id: str) -> None:
    assert halt_of(order_id) is None
