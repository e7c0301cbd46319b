"""What an epoch knows of what was claimed."""

from datetime import timedelta

import msgspec

from gateway import ledger
from gateway.ledger import Ledger, Sent, remember
from tests.gateway.conftest import AT
from tests.gateway.test_waiting import entry

ORDER, OTHER = entry("order-1"), entry("order-2")
ONE, TWO = ORDER.cl_ord_id, OTHER.cl_ord_id


def sent(book: Ledger, now: float = 0.0) -> None:
    book.note_sent(msgspec.structs.replace(ORDER, state="sent", number=5), AT, now)


def test_an_entry_is_claimed_then_sent_then_acknowledged() -> None:
    book = Ledger()
    assert book.state(ONE) is None
    book.note_taken_up(ORDER)
    assert book.state(ONE) == "claimed"
    sent(book)
    assert (book.state(ONE), book.sent_at(ONE)) == ("sent", AT)
    assert [each.number for each in book.take_reported([ONE, TWO])] == [5]
    assert (book.state(ONE), book.unreported(ONE)) == ("acknowledged", None)
    assert book.take_reported([ONE]) == []


def test_what_an_older_epoch_has_claimed_is_unreported_and_not_claimed_by_this_one() -> None:
    book = Ledger()
    book.note_taken_over(ORDER)
    assert book.all_unreported == [ORDER]
    assert (book.state(ONE), book.has_claimed(ONE), book.claimed(ONE)) == (None, False, None)
    assert (ONE in book.known, TWO in book.known) == (True, False)


def test_what_is_sent_and_not_reported_is_unanswered_once() -> None:
    book = Ledger()
    sent(book, now=10)
    assert book.take_unanswered(since=9) == []
    assert book.take_unanswered(since=10) == [ONE]
    assert book.take_unanswered(since=10) == []
    sent(book, now=20)
    book.note_told(ONE)
    assert book.take_unanswered(since=20) == []
    sent(book, now=30)
    book.take_reported([ONE])
    assert book.take_unanswered(since=30) == []


def test_only_what_cannot_have_left_has_never_left() -> None:
    book = Ledger()
    book.note_taken_up(ORDER)
    book.note_taken_up(OTHER)
    book.note_concluded(ONE, may_have_left=True)
    book.note_concluded(TWO, may_have_left=False)
    assert (book.has_never_left(ONE), book.has_never_left(TWO)) == (False, True)
    assert book.all_unreported == []


def test_what_left_under_a_number_is_known_and_under_any_other_is_empty() -> None:
    book = Ledger()
    book.note_leaving(7, Sent("D", ONE))
    assert book.sent_as(7) == ("D", ONE)
    assert book.sent_as(8) == book.sent_as(None) == ("", "")


def test_the_latest_are_remembered() -> None:
    memory: dict[int, timedelta] = {}
    for number in range(ledger._REMEMBERED + 3):
        remember(memory, number, timedelta(number))
    assert (len(memory), next(iter(memory))) == (ledger._REMEMBERED, 3)
