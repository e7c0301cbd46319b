"""What goes wrong on the way between a member and the exchange, when it is asked for.

The FIX sessions know nothing of it: to a session a message that is lost or held here has arrived, or was never sent. So
an order may be lost behind the venue's door, or be taken while nobody hears of it.

Faults end with the process. What one has lost stays lost. Where the venue keeps its state, a report that was held
leaves after the restart, like any that was made and not sent; a request that was held is lost: it never got in.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from fix.message import Message

Direction = Literal["inbound", "outbound"]
"""To the exchange, or from it."""
Action = Literal["lose", "hold", "count"]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What becomes of the messages of one direction that have all these values, by tag: `{"35": "D", "40": "3"}`.

    An empty value is that of a field that is not there.
    """

    direction: Direction
    action: Action
    """`hold` until all faults end; what is counted goes its way."""
    fields: dict[int, str]
    session: str | None = None
    """None: of any."""

    def is_about(self, direction: Direction, session: str, message: Message) -> bool:
        return (
            direction == self.direction
            and self.session in (None, session)
            and all(
                value == (message.msg_type if tag == _MSG_TYPE else message.get(tag) or "")
                for tag, value in self.fields.items()
            )
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

    def keep(self, direction: Direction, session: str, message: Message, let_go: Callable[[], None]) -> Action | None:
        """Why a message does not go its way now, or None where it does; `let_go` is called where it may later."""
        for caught in self.caught:
            fault = caught.fault
            if not fault.is_about(direction, session, message):
                continue
            caught.cl_ord_ids.append(message.get(_CL_ORD_ID) or "")
            if fault.action == "hold":
                self._held.append(let_go)
            if fault.action != "count":
                return fault.action
        return None

    def end(self) -> int:
        """All is well again: what was held goes its way, in its order; how many messages that were."""
        held, self._held = self._held, []
        self.caught.clear()
        for let_go in held:
            let_go()
        return len(held)


_MSG_TYPE, _CL_ORD_ID = 35, 11
