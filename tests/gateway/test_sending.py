"""The queue of what waits to be sent: an order's own order, priority, fairness, and nothing lost or doubled."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sending import OPENING_SHARE, SendQueue, Urgency, urgency_of
from trading.commands import CancelOrder, ReplaceOrder, SubmitOrder
from trading.orders import OrderType, Side

AT = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
PROTECTS, OPENS = Urgency

Message = tuple[str, int, Urgency]
"""Order, number within the order, urgency."""

MESSAGES = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(Urgency)), max_size=60).map(
    lambda drawn: [(lane, number, urgency) for number, (lane, urgency) in enumerate(drawn)]
)


def key_of(message: Message) -> str:
    return f"{message[0]}.{message[1]}"


def put(queue: SendQueue[Message], *messages: Message) -> None:
    for message in messages:
        lane, number, urgency = message
        key = key_of(message)
        queue.add(key, message, lane=lane, place=(lane, number, key), urgency=urgency)


def drained(queue: SendQueue[Message]) -> list[Message]:
    taken = []
    while queue:
        first = queue.first()
        taken.append(queue.take())
        assert taken[-1] == first
    assert queue.first() is None
    return taken


@given(messages=MESSAGES, taking=st.lists(st.booleans(), max_size=60))
def test_nothing_is_lost_or_doubled_and_each_order_keeps_its_own_order(
    messages: list[Message], taking: list[bool]
) -> None:
    queue, taken, waiting = SendQueue[Message](), list[Message](), list(messages)
    for take in taking:
        if take and queue:
            taken.append(queue.take())
        elif not take and waiting:
            put(queue, waiting.pop(0))
    put(queue, *waiting)
    taken += drained(queue)
    assert sorted(taken) == sorted(messages)
    for lane in "abcdef":
        numbers = [number for name, number, _ in taken if name == lane]
        assert numbers == sorted(numbers)


@given(messages=MESSAGES, removed=st.sets(st.integers(0, 59)))
def test_what_is_taken_out_does_not_leave_and_the_others_do(messages: list[Message], removed: set[int]) -> None:
    queue = SendQueue[Message]()
    put(queue, *messages)
    for message in messages:
        if message[1] in removed:
            assert queue.remove(key_of(message)) == message
            assert key_of(message) not in queue
    assert queue.remove("nobody.1") is None
    assert sorted(drained(queue)) == sorted(message for message in messages if message[1] not in removed)


@given(messages=MESSAGES, held_back=st.sets(st.sampled_from("abcdef")))
def test_lanes_that_are_held_back_wait_and_all_of_the_others_leave(
    messages: list[Message], held_back: set[str]
) -> None:
    queue, others = SendQueue[Message](), SendQueue[Message]()
    put(queue, *messages)
    put(others, *(message for message in messages if message[0] not in held_back))
    taken = []
    while (first := queue.first(held_back=held_back)) is not None:
        taken.append(queue.take(held_back=held_back))
        assert taken[-1] == first
    with pytest.raises(LookupError):
        queue.take(held_back=held_back)
    assert {lane: [one for one in taken if one[0] == lane] for lane in "abcdef"} == {
        lane: others.lane(lane) for lane in "abcdef"
    }
    assert sorted(drained(queue)) == sorted(message for message in messages if message[0] in held_back)


@given(messages=MESSAGES)
def test_orders_that_have_something_protecting_come_first_but_for_the_share_of_those_that_open(
    messages: list[Message],
) -> None:
    queue = SendQueue[Message]()
    put(queue, *messages)
    in_a_row = 0
    while queue:
        waiting = {lane: [urgency for _, _, urgency in queue.lane(lane)] for lane in "abcdef"}
        protecting = {lane for lane, urgencies in waiting.items() if PROTECTS in urgencies}
        opening = {lane for lane, urgencies in waiting.items() if urgencies} - protecting
        lane, _, _ = queue.take()
        if protecting and opening:
            assert (lane in opening) == (in_a_row == OPENING_SHARE - 1)
            in_a_row = in_a_row + 1 if lane in protecting else 0
        else:
            in_a_row = 0


@given(messages=MESSAGES)
def test_orders_of_one_urgency_take_turns(messages: list[Message]) -> None:
    """Between two messages of one order, no other gets two."""
    queue = SendQueue[Message]()
    put(queue, *((lane, number, PROTECTS) for lane, number, _ in messages))
    waiting = Counter(lane for lane, _, _ in messages)
    since: dict[str, Counter[str]] = {lane: Counter() for lane in waiting}
    for lane, _, _ in drained(queue):
        waiting[lane] -= 1
        since[lane].clear()
        for other in since:
            if other != lane and waiting[other]:
                since[other][lane] += 1
                assert since[other][lane] == 1


def test_a_flood_of_exits_leaves_one_in_five_to_entries() -> None:
    queue = SendQueue[Message]()
    put(queue, *((f"exit{number}", number, PROTECTS) for number in range(40)))
    put(queue, *((f"entry{number}", 100 + number, OPENS) for number in range(3)))
    assert [place for place, (_, _, urgency) in enumerate(drained(queue)) if urgency is OPENS] == [4, 9, 14]


def test_a_cancel_takes_what_its_order_has_waiting_before_it_along() -> None:
    queue = SendQueue[Message]()
    put(queue, ("a", 1, OPENS), ("b", 1, OPENS), ("b", 2, PROTECTS), ("c", 1, PROTECTS))
    assert drained(queue) == [("b", 1, OPENS), ("c", 1, PROTECTS), ("b", 2, PROTECTS), ("a", 1, OPENS)]


def test_what_comes_late_takes_its_place_in_its_order() -> None:
    queue = SendQueue[Message]()
    put(queue, ("a", 2, PROTECTS), ("a", 1, PROTECTS), ("a", 2, PROTECTS))
    assert drained(queue) == [("a", 1, PROTECTS), ("a", 2, PROTECTS)]


def test_whose_time_runs_out_is_told_once_while_it_waits() -> None:
    queue = SendQueue[str]()
    for number, lane in enumerate("abcd"):
        deadline = AT + timedelta(seconds=number)
        queue.add(lane, lane, lane=lane, place=(lane, 1, lane), deadline=deadline if lane != "d" else None)
    assert queue.next_deadline() == AT
    queue.remove("a")
    assert queue.next_deadline() == AT + timedelta(seconds=1)
    assert queue.late(AT + timedelta(seconds=1)) == ["b"]
    assert queue.late(AT + timedelta(hours=1)) == ["c"]
    assert queue.late(AT + timedelta(hours=1)) == []
    assert queue.next_deadline() is None
    with pytest.raises(LookupError):
        SendQueue[str]().take()


@pytest.mark.parametrize(
    ("child", "urgency"),
    [("e1", OPENS), ("s2", PROTECTS), ("t3", PROTECTS), ("c4", PROTECTS), ("m5", PROTECTS), ("", PROTECTS)],
)
def test_only_entries_open(child: str, urgency: Urgency) -> None:
    name = f"order-1.{child}"
    order = SubmitOrder(cl_ord_id=name, symbol="IBM", side=Side.BUY, quantity=Decimal(1), order_type=OrderType.MARKET)
    assert urgency_of(order) is urgency
    replace = ReplaceOrder(
        cl_ord_id=name,
        orig_cl_ord_id="order-1.e0",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(1),
        order_type=OrderType.MARKET,
    )
    assert urgency_of(replace) is PROTECTS
    cancel = CancelOrder(cl_ord_id=name, orig_cl_ord_id="order-1.e0", symbol="IBM", side=Side.BUY, quantity=Decimal(1))
    assert urgency_of(cancel) is PROTECTS
