"""The journal on real storage: numbers without gaps, each report once, whoever writes."""

import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.journal import Journal, Origin
from storage.tables import Tables
from tests.gateway.conftest import AT
from trading.events import OrderAccepted, OrderFilled, TradeBusted, VenueEvent
from trading.journal import JournalRow
from trading.orders import Side


@pytest.fixture
def order_id() -> str:
    return f"order-{uuid.uuid4().hex}"


def append(
    journal: Journal, order_id: str, event: VenueEvent, number: int, generation: int = 1
) -> tuple[JournalRow, bool]:
    return journal.append(
        order_id,
        event,
        origin=Origin("FIX.4.4-A-B", generation, number),
        symbol="IBM",
        side=Side.BUY,
        received_at=AT,
    )


def accepted(order_id: str) -> OrderAccepted:
    return OrderAccepted(cl_ord_id=f"{order_id}.e1", at=AT)


def filled(order_id: str, exec_id: str, days: int = 0) -> OrderFilled:
    return OrderFilled(
        cl_ord_id=f"{order_id}.e1",
        exec_id=exec_id,
        quantity=Decimal("1.50"),
        price=Decimal("100.10"),
        cum_quantity=Decimal("1.50"),
        leaves_quantity=Decimal(0),
        at=AT + timedelta(days=days),
    )


def test_rows_are_numbered_from_one_and_read_back_as_they_were(tables: Tables, order_id: str) -> None:
    journal = Journal(tables)
    rows = [
        append(journal, order_id, accepted(order_id), 7)[0],
        append(journal, order_id, filled(order_id, "E/1"), 9)[0],
    ]
    assert [row.number for row in rows] == [1, 2]
    assert Journal(tables).read(order_id) == rows
    assert Journal(tables).read(order_id, after=1) == rows[1:]
    assert Journal(tables).read(order_id, after=2) == []
    assert [row for row in journal.all_rows() if row.order_id == order_id] == rows


def test_a_message_that_comes_again_gives_the_row_of_the_first_time(tables: Tables, order_id: str) -> None:
    first, _ = append(Journal(tables), order_id, accepted(order_id), 7)
    append(Journal(tables), order_id, filled(order_id, "E1"), 8)
    assert append(Journal(tables), order_id, accepted(order_id), 7) == (first, False)
    assert len(Journal(tables).read(order_id)) == 2


def test_the_same_number_after_a_reset_is_another_message(tables: Tables, order_id: str) -> None:
    journal = Journal(tables)
    append(journal, order_id, accepted(order_id), 7, generation=1)
    assert append(journal, order_id, accepted(order_id), 7, generation=2)[1]


def test_a_trade_is_recognised_by_its_exec_id_within_its_trading_day(tables: Tables, order_id: str) -> None:
    journal = Journal(tables)
    first, _ = append(journal, order_id, filled(order_id, "E1"), 7)
    assert append(journal, order_id, filled(order_id, "E1"), 8) == (first, False)
    assert append(journal, order_id, filled(order_id, "E1", days=1), 9)[1]
    bust = TradeBusted(
        cl_ord_id=f"{order_id}.e1", exec_id="E2", ref_exec_id="E1", quantity=Decimal(1), price=Decimal(1), at=AT
    )
    assert append(journal, order_id, bust, 10)[1]
    assert [row.number for row in journal.read(order_id)] == [1, 2, 3]


def test_concurrent_writers_leave_no_gap_and_no_double(tables: Tables, order_id: str) -> None:
    journals = [Journal(tables) for _ in range(4)]
    numbers = list(range(1, 13)) * 2

    def write(turn: tuple[int, int]) -> tuple[JournalRow, bool]:
        index, number = turn
        return append(journals[index % 4], order_id, filled(order_id, f"E{number}"), number)

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(write, enumerate(numbers)))
    rows = journals[0].read(order_id)
    assert [row.number for row in rows] == list(range(1, 13))
    assert len({row.event.exec_id for row in rows if isinstance(row.event, OrderFilled)}) == 12
    assert sum(is_new for _, is_new in results) == 12
    assert all(row in rows for row, _ in results)


_orders = itertools.count()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 5), st.integers(1, 3)), max_size=8))
def test_two_processes_in_any_order_write_each_report_once(
    tables: Tables, order_id: str, writes: list[tuple[int, int, int]]
) -> None:
    """Each write: which process, which message, and which trade it carries."""
    order_id = f"{order_id}-{next(_orders)}"
    journals = [Journal(tables), Journal(tables)]
    messages: set[int] = set()
    trades: set[int] = set()
    for process, message, trade in writes:
        row, is_new = append(journals[process], order_id, filled(order_id, f"E{trade}"), message)
        assert is_new == (message not in messages and trade not in trades)
        if is_new:
            messages.add(message)
            trades.add(trade)
        assert row in journals[1 - process].read(order_id)
    assert [row.number for row in journals[0].read(order_id)] == list(range(1, len(trades) + 1))
