"""A play told once more for each two reports of different orders that follow each other, with the two swapped.

The venue does what it did, in the order in which it did it; only the reports change places. What follows may be asked
for at another step then, or otherwise: so the play's later reports are made anew, as far as they still can be, the
venue answers whatever else was asked, and what has to be the same is the end. Reports of which the second answers what
the first one led to cannot change places.
"""

from typing import Any

from msgspec.structs import replace

from tests.trading.desk import Delivery, Desk, Move, Sent
from trading.commands import CancelOrder, ReplaceOrder
from trading.events import Event, OrderFilled, TimerFired
from trading.identity import Role

_AT_MARKET = (Role.CLOSE, Role.COMPLETION)
_MOST_ANSWERS = 100
_ANSWERS: dict[str, tuple[type, ...]] = {
    "canceled": (CancelOrder,),
    "replaced": (ReplaceOrder,),
    "refused": (CancelOrder, ReplaceOrder),
}
"""Which reports answer a request, and of what kind."""


def swap_each(played: Desk, since: int = 0) -> int:
    """Tell a play again, once for each swap that is possible, and compare the ends; how many there were.

    `since`: of moves from this one on.
    """
    assert played.spec is not None, "begin first"
    delivery: Delivery = "twice" if played.delivery.endswith("twice") else "once"
    straight = _Again(played, delivery, swap=None)
    end = straight.end()
    swaps = 0
    for number, move in enumerate(played.moves):
        if move.is_report and number >= since:
            again = _Again(played, delivery, swap=number)
            if again.has_swapped:
                swaps += 1
                assert again.end() == end, f"{move.event} and the next one swapped: {again.end()} not {end}"
    return swaps


class _Again:
    """The play on a desk of its own; `swap` is the move whose report waits for the next one."""

    def __init__(self, played: Desk, delivery: Delivery, swap: int | None) -> None:
        assert played.spec is not None
        self.desk = Desk(delivery)
        self.has_swapped = False
        self._played = played
        self._events: dict[int, Event] = {}
        """By the identity of the play's own."""
        self.desk.begin(played.spec)
        held: Event | None = None
        for number, move in enumerate(played.moves):
            self.desk.now = max(self.desk.now, move.at)
            event = self._again(move) if move.is_report or held is None else None
            if event is None and held is not None:
                self.desk.say(held)
                held, event = None, self._again(move)
            if event is None:
                continue
            self._events[id(move.event)] = event
            if number == swap:
                held = event
                continue
            if held is not None and self._is_of_the_same(held, event):
                self.desk.say(held)
                held = None
            if move.is_report:
                self.desk.say(event)
            else:
                self.desk.do(event)
            if held is not None:
                self.desk.say(held)
                held, self.has_swapped = None, True
        if held is not None:
            self.desk.say(held)
        self._settle()

    def end(self) -> tuple[object, ...]:
        """What is held, how it ended, and what works."""
        desk = self.desk
        symbols = sorted({each.symbol for each in desk.book})
        open_orders = [each for each in desk.state.orders if each.is_open]
        working = sorted((str(each.role), each.leg, each.rung, each.leaves_quantity) for each in open_orders)
        return [desk.position_in(symbol) for symbol in symbols], desk.outcome, working

    def _again(self, move: Move) -> Any:
        """The event of a move, made anew; None where the order, or the request that is answered, is not there."""
        desk = self.desk
        if move.made_by == "fire":
            assert isinstance(move.event, TimerFired)
            return move.event if desk.timers.pop(move.event.name, None) else None
        if not move.made_by:
            return move.event
        assert move.of is not None
        order = self._own(move.of)
        trades = [each for each in move.arguments if isinstance(each, OrderFilled)]
        if order is None or any(id(trade) not in self._events for trade in trades):
            return None
        wanted = _ANSWERS.get(move.made_by)
        if wanted and not (order.requests and isinstance(order.requests[-1], wanted)):
            return None
        arguments = [self._events[id(each)] if isinstance(each, OrderFilled) else each for each in move.arguments]
        return replace(getattr(desk, move.made_by)(*arguments, **move.named, of=order), **move.changes)

    def _own(self, sent: Sent) -> Sent | None:
        """An order of the play's as this desk has it: the first, second, ... of its slot."""
        theirs = [each for each in self._played.book if each.slot == sent.slot]
        own = [each for each in self.desk.book if each.slot == sent.slot]
        at = next(number for number, each in enumerate(theirs) if each is sent)
        return own[at] if at < len(own) else None

    def _is_of_the_same(self, one: Any, other: Any) -> bool:
        owners = [self.desk.owners.get(event.cl_ord_id) for event in (one, other)]
        return owners[0] is owners[1]

    def _settle(self) -> None:
        """The venue answers what is unanswered, and fills what is at market."""
        for _ in range(_MOST_ANSWERS):
            answer = next((event for sent in self.desk.book if (event := self._answer(sent)) is not None), None)
            if answer is None:
                return
            self.desk.say(answer)
        raise AssertionError(f"no end of it: {self.desk.log}")

    def _answer(self, sent: Sent) -> Event | None:
        desk, role = self.desk, sent.role
        if sent.requests and (sent.is_over or not sent.leaves):
            return desk.refused(role, 0, "4" if sent.is_over else "2", of=sent)
        if sent.requests:
            cancels = isinstance(sent.requests[-1], CancelOrder)
            return desk.canceled(role, of=sent) if cancels else desk.replaced(role, of=sent)
        if role in _AT_MARKET and sent.leaves and not sent.is_over:
            return desk.filled(role, int(sent.leaves), of=sent)
        return None
