"""Names of orders and of their children."""

import pytest

from trading.identity import cl_ord_id, is_entry, order_id_of, orphan_order_id


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
