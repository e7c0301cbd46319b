"""How long orders are good for: entries as their spec says, in every kind that has some; exits until cancelled."""

from typing import TypeVar

import msgspec
import pytest

from tests.trading.desk import ENTRY, Desk
from tests.trading.plays import PLAYS
from trading.orders import TimeInForce
from trading.specs import MultiLegSpec, OcoSpec, OtoSpec, Spec

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
KINDS = [kind for kind in PLAYS if kind != "flatten" and not kind.endswith("synthetic")]


@pytest.mark.parametrize("kind", KINDS)
def test_entries_are_good_for_as_long_as_their_spec_says_and_exits_until_cancelled(desk: Desk, kind: str) -> None:
    entering = PLAYS[kind][2 if kind == "trailing" else 0]
    desk.begin(good_for_a_day(entering))
    first = desk.sent(ENTRY, 0)
    desk.say(desk.filled(ENTRY, int(first.quantity), of=first))
    assert len(desk.state.orders) > (kind not in ("single", "twap"))
    for order in desk.state.orders:
        right = TimeInForce.DAY if order.role is ENTRY else TimeInForce.GTC
        assert order.time_in_force is right, order.cl_ord_id


def good_for_a_day(spec: Spec) -> Spec:
    match spec:
        case OcoSpec():
            return msgspec.structs.replace(spec, entries=tuple(_of_a_day(each) for each in spec.entries))
        case OtoSpec():
            return msgspec.structs.replace(spec, orders=tuple(_of_a_day(each) for each in spec.orders))
        case MultiLegSpec():
            return msgspec.structs.replace(spec, legs=tuple(_of_a_day(each) for each in spec.legs))
        case _:
            return _of_a_day(spec)


def _of_a_day(what: _Struct) -> _Struct:
    return msgspec.structs.replace(what, time_in_force=TimeInForce.DAY)
