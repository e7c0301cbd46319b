"""What goes wrong on the way between a member and the exchange, when it is asked for.

The FIX sessions know nothing of it: to a session a message that is lost or held here has arrived, or was never sent. So
an order may be lost behind the venue's door, or be taken while nobody hears of it.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from fix.message import Message

Direction = Literal["inbound", "outbound"]
"""To the exchange, or from it."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of the messages of one direction that have all these values, by tag: `{"35": "D", "40": "3"}`.

    An empty value is that of a field that is not there.
    """

    direction: Direction
    action: Literal["lose", "hold", "count"]
    """`hold` until all faults end; what is counted goes its way."""
    fields: dict[int, str]

    def is_about(self, direction: Direction, message: Message) -> bool:
        return direction == self.direction and all(
            value == (message.msg_type if tag == _MSG_TYPE else message.get(tag) or "")
            for tag, value in self.fields.items()
        )


class Caught(msgspec.Struct, frozen=True):
    """A fault and the ClOrdIDs (11) of the messages that it was about, in the order in which they came."""

    fault: Fault
    cl_ord_ids: list[str]


class Faults:
    """The faults that are on. A message that several are about goes by the first one that keeps it."""

    def __init__(self) -> None:
        self.caught: list[Caught] = []
        self._held: list[Callable[[], None]] = []

    def add(self, fault: Fault) -> None:
        self.caught.append(Caught(fault, []))

    def keep(self, direction: Direction, message: Message, let_go: Callable[[], None]) -> bool:
        """Whether a message does not go its way now; `let_go` is called where it may later."""
        for caught in self.caught:
            if not caught.fault.is_about(direction, message):
                continue
            caught.cl_ord_ids.append(message.get(_CL_ORD_ID) or "")
            if caught.fault.action == "hold":
                self._held.append(let_go)
            if caught.fault.action != "count":
                return True
        return False

    def end(self) -> int:
        """All is well again: what was held goes its way, in its order; how many messages that were."""
        held, self._held = self._held, []
        self.caught.clear()
        for let_go in held:
            let_go()
        return len(held)


_MSG_TYPE, _CL_ORD_ID = 35, 11
