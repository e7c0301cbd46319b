"""The one rule by which a projection follows the journal: next in order is applied, a repeat ignored, a gap read up."""

from collections.abc import Callable

from trading.journal import JournalRow


class JournalGapError(Exception):
    """The journal did not give the rows that lead up to one that exists."""


def rows_to_apply(last_applied: int, row: JournalRow, read: Callable[[int], list[JournalRow]]) -> list[JournalRow]:
    """The rows to apply now, in order, when `row` of an order arrives and `last_applied` was the last one applied.

    `read(after)` gives the order's rows with a higher number than `after`, at least up to `row`'s. Raises
    `JournalGapError` if it does not: then nothing may be applied, and the wake-up has to be repeated.
    """
    if row.number <= last_applied:
        return []
    if row.number == last_applied + 1:
        return [row]
    rows = read(last_applied)
    numbers = [each.number for each in rows]
    wanted = list(range(last_applied + 1, max(row.number, last_applied + len(rows)) + 1))
    if numbers != wanted:
        raise JournalGapError(f"journal of {row.order_id} after {last_applied}: rows {numbers}, expected {wanted}")
    return rows
