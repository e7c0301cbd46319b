"""How a projection follows the journal."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.events import OrderAccepted
from trading.journal import JournalRow
from trading.orders import Side
from trading.projection import JournalGapError, rows_to_apply

AT = datetime(2024, 1, 2, tzinfo=UTC)


def row(number: int) -> JournalRow:
    event = OrderAccepted(cl_ord_id="o.e1", at=AT)
    return JournalRow(order_id="o", number=number, event=event, symbol="IBM", side=Side.BUY, received_at=AT)


def unread(after: int) -> list[JournalRow]:
    raise AssertionError(f"nothing after {after} had to be read")


def test_the_next_row_is_applied_without_reading() -> None:
    assert rows_to_apply(6, row(7), unread) == [row(7)]


@pytest.mark.parametrize("number", [1, 6, 7])
def test_a_repeat_is_ignored(number: int) -> None:
    assert rows_to_apply(7, row(number), unread) == []


def test_30_report_7_before_report_6_reads_both_and_6_is_then_a_repeat() -> None:
    """Scenario 30."""
    journal = [row(number) for number in range(1, 8)]
    assert rows_to_apply(5, row(7), lambda after: journal[after:]) == [row(6), row(7)]
    assert rows_to_apply(7, row(6), unread) == []


@pytest.mark.parametrize("found", [[], [7], [6], [6, 8], [7, 6]])
def test_a_journal_with_a_hole_is_not_applied(found: list[int]) -> None:
    with pytest.raises(JournalGapError, match="journal of o after 5"):
        rows_to_apply(5, row(7), lambda _: [row(number) for number in found])


@given(st.lists(st.integers(1, 10)))
def test_wake_ups_in_any_order_apply_every_row_once(numbers: list[int]) -> None:
    journal = [row(number) for number in range(1, 11)]
    applied: list[int] = []
    for number in numbers:
        rows = rows_to_apply(len(applied), journal[number - 1], lambda after: journal[after:])
        applied.extend(each.number for each in rows)
        assert applied == list(range(1, len(applied) + 1))
        assert len(applied) >= number
