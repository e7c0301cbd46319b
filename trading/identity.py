"""Names: an order's id, and the ClOrdIDs of its children, `{order_id}.{letter}{number}`."""

import hashlib
import re
from enum import StrEnum

ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""An order's id is its orchestration's instance id and a table key; it has no dot."""


class Role(StrEnum):
    """What a child is for."""

    ENTRY = "entry"
    STOP = "stop"
    TAKE_PROFIT = "take_profit"
    CLOSE = "close"
    COMPLETION = "completion"
    """Brings a leg at market up to the others."""


LETTERS = {Role.ENTRY: "e", Role.STOP: "s", Role.TAKE_PROFIT: "t", Role.CLOSE: "c", Role.COMPLETION: "m"}
CANCEL_LETTER = "x"
HALT_PREFIX = "halt-"
"""How the orders begin that close positions when trading is halted."""
ORPHAN_PREFIX = "orphan-"
"""How the names begin under which orders are journalled that nobody here knows."""
_LONGEST_ORDER_ID = 64


def cl_ord_id(order_id: str, letter: str, number: int) -> str:
    return f"{order_id}.{letter}{number}"


def order_id_of(cl_ord_id: str) -> str | None:
    """The order a ClOrdID belongs to, or None where it cannot be one of ours."""
    order_id, dot, _ = cl_ord_id.partition(".")
    return order_id if dot and ORDER_ID.fullmatch(order_id) else None


def is_entry(cl_ord_id: str) -> bool:
    """Whether a ClOrdID is an entry's, or completes one: what it fills uses up the order's reservation."""
    return cl_ord_id.partition(".")[2].startswith((LETTERS[Role.ENTRY], LETTERS[Role.COMPLETION]))


def orphan_order_id(cl_ord_id: str) -> str:
    """The name under which an execution of an order that nobody knows is journalled."""
    return ORPHAN_PREFIX + re.sub(r"[^A-Za-z0-9_-]", "_", cl_ord_id)


def halt_order_id(halt: int, symbol: str, attempt: int = 1) -> str:
    """The order that closes a symbol's position in a halt: of each halt, symbol and attempt there is one."""
    again = f"_{attempt}" if attempt > 1 else ""
    safe = re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):02x}", symbol)
    order_id = f"{HALT_PREFIX}{halt}{again}-{safe}"
    if len(order_id) <= _LONGEST_ORDER_ID:
        return order_id
    return f"{HALT_PREFIX}{halt}{again}-{hashlib.sha256(symbol.encode()).hexdigest()[:32]}"


_OF_A_HALT = re.compile(rf"{HALT_PREFIX}(\d+)(?:_\d+)?-.+")


def halt_of(order_id: str) -> int | None:
    """The number of the halt in which an order is to close a position; None for any other order."""
    found = _OF_A_HALT.fullmatch(order_id)
    return int(found[1]) if found else None
