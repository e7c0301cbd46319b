"""What is kept of what was sent."""

from fix.sent import Sent, SentMessages
from tests.fix.wire import order


def numbers(sent: SentMessages) -> list[int]:
    return [number for number, _ in sent.between(1, 100)]


def test_the_last_messages_are_kept_and_older_ones_forgotten() -> None:
    sent = SentMessages(keep=3)
    for number in range(1, 9):
        sent.add(number, Sent(order(str(number)), ""))
        assert numbers(sent)[-3:] == list(range(max(1, number - 2), number + 1))
        assert len(numbers(sent)) <= 6
    assert numbers(sent) == [4, 5, 6, 7, 8]
    assert [message.message.get(11) for _, message in sent.between(5, 6)] == ["5", "6"]


def test_a_reader_is_not_disturbed_by_what_is_forgotten_meanwhile() -> None:
    sent = SentMessages(keep=2)
    for number in range(1, 5):
        sent.add(number, Sent(order(str(number)), ""))
    reader = sent.between(1, 4)
    assert next(reader)[0] == 1
    sent.add(5, Sent(order("5"), ""))
    assert [number for number, _ in reader] == [2, 3, 4]
    sent.clear()
    assert numbers(sent) == []
