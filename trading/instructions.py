"""What our own side has told an open order, numbered without gaps, and what the order is by that."""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from trading.events import AmendRequested, Instruction
from trading.specs import Common, SpecError, amended

_Spec = TypeVar("_Spec", bound=Common)


class InstructionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction. `order_id` and `number` (1, 2, 3, ...) are its key."""

    order_id: str
    number: int
    instruction: Instruction
    at: datetime | None = None
    """When it was kept, by the machine's clock; None in a row from before rows had it."""


def as_amended(spec: _Spec, rows: Sequence[InstructionRow]) -> _Spec:
    """The spec with every amendment that could be made, one after another. What cannot be made changes nothing."""
    for row in rows:
        if isinstance(row.instruction, AmendRequested):
            with contextlib.suppress(SpecError):
                spec = amended(spec, row.instruction.amendment)
    return spec
