"""Two writers of one order's journal, in every order of what they ask of storage."""

import itertools
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from azure.core.exceptions import ResourceExistsError

from gateway.journal import Journal, _Known
from storage.tables import Tables
from tests.gateway.test_journal import accepted, append, filled
from trading.journal import JournalRow

_ORDER = "order-1"
_REPORTS = ((5, accepted(_ORDER)), (6, filled(_ORDER, "E1")))
_TURNS = 10


class Table:
    """A journal in memory; `before` is called before each operation."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.before: Callable[[], None] = lambda: None

    def create_entity(self, entity: dict[str, Any]) -> None:
        self.before()
        if entity["RowKey"] in self.rows:
            raise ResourceExistsError("there is one")
        self.rows[entity["RowKey"]] = entity

    def query_entities(self, query: str) -> Iterator[dict[str, Any]]:
        self.before()
        after = re.findall("'([^']*)'", query)[1]
        return iter([self.rows[key] for key in sorted(self.rows) if key > after])


class Turns:
    """Lets threads go on one operation at a time, in a given order; who has nothing more to do is passed over."""

    def __init__(self, order: tuple[int, ...]) -> None:
        self._order = list(order)
        self._done: set[int] = set()
        self._changed = threading.Condition()

    def take(self, who: int) -> None:
        with self._changed:
            while True:
                while self._order and self._order[0] in self._done:
                    self._order.pop(0)
                if not self._order or self._order[0] == who:
                    break
                assert self._changed.wait(5)
            if self._order:
                self._order.pop(0)
            self._changed.notify_all()

    def end(self, who: int) -> None:
        with self._changed:
            self._done.add(who)
            self._changed.notify_all()


def tables(table: Table) -> Tables:
    class InMemory:
        journal = table

    return cast(Tables, InMemory())


def test_a_follower_and_the_one_it_followed_write_each_report_once_however_their_writes_meet() -> None:
    """Each with what it knows: the first was stopped between any two of its operations, and goes on at any time."""
    orders = [order for order in itertools.product((0, 1), repeat=_TURNS) if 3 <= sum(order) <= _TURNS - 3]
    for order in orders:
        table = Table()
        found = write_in_turns(table, order)
        rows = Journal(tables(table)).read(_ORDER)
        assert [row.number for row in rows] == [1, 2], order
        assert [row.event for row in rows] == [event for _, event in _REPORTS], order
        for number, _ in _REPORTS:
            assert found[0, number][0] == found[1, number][0], order
            assert found[0, number][1] + found[1, number][1] == 1, order


def write_in_turns(table: Table, order: tuple[int, ...]) -> dict[tuple[int, int], tuple[JournalRow, bool]]:
    """What each writer was answered for each report."""
    turns, who = Turns(order), threading.local()
    table.before = lambda: turns.take(who.am_i)
    found: dict[tuple[int, int], tuple[JournalRow, bool]] = {}

    def write(me: int) -> None:
        who.am_i = me
        journal = Journal(tables(table))
        for number, event in _REPORTS:
            found[me, number] = append(journal, _ORDER, event, number)
        turns.end(me)

    threads = [threading.Thread(target=write, args=(me,)) for me in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table.before = lambda: None
    return found


class Interrupted(_Known):
    """What a thread knows, which another one adds to just after its `turn`-th search."""

    def __init__(self, turn: int, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self._turns = itertools.count()
        self._turn = turn
        self._meanwhile = meanwhile

    def find(self, marks: list[str]) -> JournalRow | None:
        row = super().find(marks)
        if next(self._turns) == self._turn:
            self._meanwhile()
        return row


@pytest.mark.parametrize("turn", range(4))
def test_a_report_that_another_thread_of_the_process_writes_meanwhile_is_found(turn: int) -> None:
    """A thread of an epoch that is over still has it, and the process, holding the lease again, gets it again."""
    journal = Journal(tables(Table()))

    def write() -> None:
        for number, event in _REPORTS:
            append(journal, _ORDER, event, number)

    journal._known[_ORDER] = Interrupted(turn, write)
    write()
    assert [row.event for row in journal.read(_ORDER)] == [event for _, event in _REPORTS]
