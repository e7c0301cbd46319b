"""The order state change matrices of FIX 4.4 (volume 4, appendix D), row by row, as FIX messages.

A row is a message: its type (35), ClOrdID and OrigClOrdID, and of a report ExecType, OrdStatus, OrderQty, CumQty,
LeavesQty, LastQty. `D`, `F`, `G` and `H` are ours; `8` and `9` are the venue's. A row that begins with `|` is what may
come instead of the one below it, and ends its branch. What follows may be LastPx (`px`), AvgPx (`avg`), ExecID (`id`)
and the ExecRefID (`ref`) of the trade that is meant, the day, and a reason: 378 of a report, 103 of a reject, 102 of a
`9`.

After each row the order has the status, the cumulated quantity and what is left as the matrix says, and learns nothing
from the same message once more. Where we differ from the matrices, and why:

- Ours is the sender's view: a request is pending from when we send it until it is answered, not from when the venue
  says so. Reports that cross it leave the order pending, as does a fill that completes it: the answer is to come.
- A.1.b: a day order that is done for the day is over, and called expired as any other whose time has run out.
- B.1.f, G.1.a: an order that the venue does not know is neither refused nor accepted; whether it goes again is the
  session's to decide. Until then it is pending new, as it was.
- D.2.b: its row 7 has the quantity of a replace that is confirmed in row 8 only. We change it when it is confirmed.

Left out are E.1.a (an order by telephone) and L.1.b (an order for an amount of money): we send neither; and the last
rows of F.1.b, which are about another order.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from fix import orders as fix
from fix.message import Message
from gateway.translate import from_message
from trading.child import Order, OrderStatus, apply, ask
from trading.identity import Role
from trading.orders import OrderType, Side, TimeInForce

MATRICES = """
A.1.a Filled order
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 2000 8000 2000
8 X Trade PartiallyFilled 10000 3000 7000 1000
8 X Trade Filled 10000 10000 0 7000

A.1.b Part-filled day order, done for day
D X 10000 tif=day
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 2000 8000 2000
8 X Trade PartiallyFilled 10000 3000 7000 1000
8 X DoneForDay DoneForDay 10000 3000 0 0

B.1.a Cancel request issued for a zero-filled order
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
F Y,X
| 9 Y,X New
8 Y,X PendingCancel PendingCancel 10000 0 10000 0
| 9 Y,X New
8 Y,X Canceled Canceled 10000 0 0 0

B.1.b Cancel request issued for a part-filled order, executions occur whilst cancel request is active
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 2000 8000 2000
F Y,X
8 X Trade PartiallyFilled 10000 5000 5000 3000
| 9 Y,X PartiallyFilled
8 Y,X PendingCancel PendingCancel 10000 5000 5000 0
8 X Trade PendingCancel 10000 6000 4000 1000
| 9 Y,X PartiallyFilled
8 Y,X Canceled Canceled 10000 6000 0 0

B.1.c Cancel request issued for an order that becomes filled before cancel request can be accepted
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 2000 8000 2000
F Y,X
8 X Trade PartiallyFilled 10000 5000 5000 3000
| 9 Y,X PartiallyFilled
8 Y,X PendingCancel PendingCancel 10000 5000 5000 0
8 X Trade PendingCancel 10000 10000 0 5000
9 Y,X Filled reason=0

B.1.d Cancel request issued for an order that has not yet been acknowledged
D X 10000
F Y,X
| 9 Y,X PendingNew reason=2
8 Y,X PendingCancel PendingCancel 10000 0 10000 0
8 Y,X Canceled Canceled 10000 0 0 0

B.1.e Cancel request issued for an order that has not yet been acknowledged, the acknowledgment and the request cross
D X 10000
F Y,X
8 X New New 10000 0 10000 0
8 Y,X PendingCancel PendingCancel 10000 0 10000 0
8 Y,X Canceled Canceled 10000 0 0 0

B.1.f Cancel request issued for an unknown order
D X 10000
F Y,X
9 Y,X Rejected reason=1

C.1.a Zero-filled order, cancel/replace request issued to increase order qty
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
G Y,X 11000
| 9 Y,X New
8 Y,X PendingReplace PendingReplace 10000 0 10000 0
| 9 Y,X New
8 Y,X Replace New 11000 0 11000 0
8 Y Trade PartiallyFilled 11000 1000 10000 1000
8 Y Trade PartiallyFilled 11000 3000 8000 2000

C.1.b Part-filled order, cancel/replace request to increase order qty, execution occurs whilst order is pending replace
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
G Y,X 12000
| 9 Y,X PartiallyFilled
8 Y,X PendingReplace PendingReplace 10000 1000 9000 0
8 X Trade PendingReplace 10000 1100 8900 100
| 9 Y,X PartiallyFilled
8 Y,X Replace PartiallyFilled 12000 1100 10900 0
8 Y Trade Filled 12000 12000 0 10900

C.1.c Filled order, followed by cancel/replace request to increase order quantity
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade Filled 10000 10000 0 10000
G Y,X 12000
| 9 Y,X Filled
8 Y,X PendingReplace PendingReplace 10000 10000 0 0
| 9 Y,X Filled
8 Y,X Replace PartiallyFilled 12000 10000 2000 0
8 Y Trade Filled 12000 12000 0 2000

C.2.a Cancel/replace request (not for quantity change) is rejected as a fill has occurred
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
G Y,X 10000
8 X Trade Filled 10000 10000 0 9000
9 Y,X Filled reason=0

C.3.a Replace request sent whilst execution is being reported, the order qty exceeds the cum qty; replaced then filled
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
G Y,X 8000
8 X Trade PartiallyFilled 10000 1500 8500 500
| 9 Y,X PartiallyFilled
8 Y,X PendingReplace PendingReplace 10000 1500 8500 0
8 X Trade PendingReplace 10000 1600 8400 100
| 9 Y,X PartiallyFilled
8 Y,X Replace PartiallyFilled 8000 1600 6400 0
8 Y Trade Filled 8000 8000 0 6400

C.3.b Replace request sent whilst execution is being reported, the order qty equals the cum qty: amended to cum qty
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
G Y,X 7000
8 X Trade PartiallyFilled 10000 7000 3000 7000
8 Y,X Replace Filled 7000 7000 0 0

C.3.c Replace request sent whilst execution is being reported, the order qty is below cum qty: amended to cum qty
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
G Y,X 7000
8 X Trade PartiallyFilled 10000 8000 2000 8000
8 Y,X Replace Filled 8000 8000 0 0

D.1.a One cancel/replace request is issued which is accepted, another one is issued which is also accepted
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
G Y,X 8000
8 Y,X PendingReplace PendingReplace 10000 1000 9000 0
8 X Trade PendingReplace 10000 1500 8500 500
8 Y,X Replace PartiallyFilled 8000 1500 6500 0
8 Y Trade PartiallyFilled 8000 3500 4500 2000
G Z,Y 6000
8 Z,Y PendingReplace PendingReplace 8000 3500 4500 0
8 Y Trade PendingReplace 8000 4000 4000 500
8 Z,Y Replace PartiallyFilled 6000 4000 2000 0
8 Z Trade Filled 6000 6000 0 2000

D.1.b One cancel/replace request is rejected before order becomes pending replace, then another one is accepted
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
G Y,X 8000
9 Y,X PartiallyFilled
8 X Trade PartiallyFilled 10000 1500 8500 500
8 X Trade PartiallyFilled 10000 3500 6500 2000
G Z,X 6000
8 Z,X PendingReplace PendingReplace 10000 3500 6500 0
8 Z,X Replace PartiallyFilled 6000 3500 2500 0
8 Z Trade PartiallyFilled 6000 5000 1000 1500

D.1.c One cancel/replace request is rejected after it is in pending replace, then another one is accepted
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
G Y,X 8000
8 Y,X PendingReplace PendingReplace 10000 1000 9000 0
8 X Trade PendingReplace 10000 1500 8500 500
9 Y,X PartiallyFilled
8 X Trade PartiallyFilled 10000 3500 6500 2000
G Z,X 6000
8 Z,X PendingReplace PendingReplace 10000 3500 6500 0
8 Z,X Replace PartiallyFilled 6000 3500 2500 0
8 Z Trade PartiallyFilled 6000 5000 1000 1500

D.2.a One cancel/replace request is issued followed immediately by another, broker processes sequentially
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
G Y,X 8000
G Z,Y 7000
8 Y,X PendingReplace PendingReplace 10000 1000 9000 0
8 Y,X Replace PartiallyFilled 8000 1000 7000 0
8 Z,Y PendingReplace PendingReplace 8000 1000 7000 0
8 Z,Y Replace PartiallyFilled 7000 1000 6000 0
8 Z Trade Filled 7000 7000 0 6000

D.2.b One cancel/replace request followed immediately by another, broker processes pending replaces before replaces
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
G Y,X 8000
G Z,Y 7000
8 Y,X PendingReplace PendingReplace 10000 1000 9000 0
8 Z,X PendingReplace PendingReplace 8000 1000 7000->9000 0
8 Y,X Replace PendingReplace 8000 1000 7000 0
8 Z,Y Replace PartiallyFilled 7000 1000 6000 0
8 Z Trade Filled 7000 7000 0 6000

D.2.c One cancel/replace request is issued followed immediately by another, both are rejected
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
G Y,X 8000
G Z,Y 7000
9 Y,X PartiallyFilled
9 Z,X PartiallyFilled
8 X Trade Filled 10000 10000 0 9000

D.2.d One cancel/replace request followed immediately by another, broker rejects the second as order is pending replace
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
G Y,X 8000
G Z,Y 7000
8 Y,X PendingReplace PendingReplace 10000 1000 9000 0
9 Z,X PendingReplace reason=3
8 Y,X Replace PartiallyFilled 8000 1000 7000 0
8 Y Trade PartiallyFilled 8000 3000 5000 2000

E.1.b Unsolicited cancel of a part-filled order
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
8 X Canceled Canceled 10000 1000 0 0 reason=2

E.1.c Unsolicited replacement of a part-filled order
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Restated New 11000 0 11000 0 reason=2
8 X Trade PartiallyFilled 11000 1000 10000 1000
8 X Restated PartiallyFilled 12000 1000 11000 0 reason=2

E.1.d Unsolicited reduction of order quantity by sell-side
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Restated New 9000 0 9000 0 reason=5
8 X Trade Filled 9000 9000 0 9000

F.1.a Order rejected due to duplicate ClOrdID
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
D X 15000
8 X Rejected PartiallyFilled 10000 1000 9000 0 reason=6

F.1.b Poss resend and duplicate ClOrdID
D X 10000
8 X New New 10000 0 10000 0
D X 10000
8 X OrderStatus New 10000 0 10000 0
D X 20000
8 X Rejected New 10000 0 10000 0 reason=6

F.1.c Order rejected because the order has already been verbally submitted
D X 10000
8 X Rejected Rejected 10000 0 0 0 reason=7

G.1.a Order status request rejected for unknown order
D X 10000
H X
8 X OrderStatus Rejected 10000 0 0->10000 0 reason=5

G.1.b Transmitting a CMS-style "Nothing Done" in response to a status request
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
H X
8 X OrderStatus New 10000 0 10000 0

G.1.c Order sent, immediately followed by a status request; subsequent status requests sent during life of order
D X 10000
H X
8 X OrderStatus PendingNew 10000 0 10000 0
8 X New New 10000 0 10000 0
H X
8 X OrderStatus New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 2000 8000 2000
H X
8 X OrderStatus PartiallyFilled 10000 2000 8000 0
G Y,X 12000
8 Y,X PendingReplace PendingReplace 10000 2000 8000 0
H Y
8 Y,X OrderStatus PendingReplace 10000 2000 8000 0
8 Y,X Replace PartiallyFilled 12000 2000 10000 0
8 Y Trade Filled 12000 12000 0 10000
H Y
8 Y OrderStatus Filled 12000 12000 0 0

H.1.a GTC order partially filled, restated (renewed) and partially filled the following day
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 2000 8000 2000
8 X DoneForDay DoneForDay 10000 2000 8000 0
8 X Restated PartiallyFilled 10000 2000 8000 0 day=2 reason=1
8 X Trade PartiallyFilled 10000 3000 7000 1000 day=2

H.1.b GTC order with partial fill, a 2:1 stock split then a partial fill and fill the following day
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 2000 8000 2000 px=50 avg=50
8 X DoneForDay DoneForDay 10000 2000 8000 0
8 X Restated PartiallyFilled 20000 4000 16000 0 day=2 reason=0 avg=25
8 X Trade PartiallyFilled 20000 9000 11000 5000 day=2 px=25 avg=25
8 X Trade Filled 20000 20000 0 11000 day=2 px=25 avg=25

H.1.c GTC order partially filled, restated (renewed) and canceled the following day
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 2000 8000 2000
8 X DoneForDay DoneForDay 10000 2000 8000 0
8 X Restated PartiallyFilled 10000 2000 8000 0 day=2 reason=1
F Y,X
| 9 Y,X PartiallyFilled day=2
8 Y,X PendingCancel PendingCancel 10000 2000 8000 0 day=2
| 9 Y,X PartiallyFilled day=2
8 Y,X Canceled Canceled 10000 2000 0 0 day=2

H.1.d GTC order partially filled, restated (renewed) followed by replace request to increase quantity
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 2000 8000 2000
8 X DoneForDay DoneForDay 10000 2000 8000 0
8 X Restated PartiallyFilled 10000 2000 8000 0 day=2 reason=1
G Y,X 15000
| 9 Y,X PartiallyFilled day=2
8 Y,X PendingReplace PendingReplace 10000 2000 8000 0 day=2
8 X Trade PendingReplace 10000 3000 7000 1000 day=2
| 9 Y,X PartiallyFilled day=2
8 Y,X Replace PartiallyFilled 15000 3000 12000 0 day=2

I.1.a Fill or Kill order cannot be filled
D X 10000 tif=fok
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Canceled Canceled 10000 0 0 0

I.1.b Immediate or Cancel order that cannot be immediately hit
D X 10000 tif=ioc
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000
8 X Canceled Canceled 10000 1000 0 0

J.1.a Filled order, followed by correction and cancellation of executions
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000 px=100 avg=100 id=C
8 X Trade Filled 10000 10000 0 9000 px=110 avg=109 id=D
8 X TradeCancel PartiallyFilled 10000 9000 1000 1000 px=100 avg=110 id=E ref=C
8 X TradeCorrect PartiallyFilled 10000 9000 1000 9000 px=100 avg=100 id=F ref=D
8 X Trade Filled 10000 10000 0 1000 px=120 avg=102 id=G
8 X TradeCorrect Filled 10000 10000 0 9000 px=120 avg=120 id=H ref=F
G Y,X 12000
8 Y,X PendingReplace PendingReplace 10000 10000 0 0 avg=120
8 Y,X Replace PartiallyFilled 12000 10000 2000 0 avg=120
8 Y TradeCorrect PartiallyFilled 12000 10500 1500 9500 px=120 avg=120 id=K ref=H

J.1.b A canceled order followed by a busted execution and a new execution
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 5000 5000 5000 px=50 avg=50 id=B
F Y,X
8 Y,X PendingCancel PendingCancel 10000 5000 5000 0
8 Y,X Canceled Canceled 10000 5000 0 0
8 X TradeCancel Canceled 10000 0 0 5000 px=50 avg=0 id=E ref=B
8 X Trade Canceled 10000 4000 0 4000 px=51 avg=51 id=F

J.1.c GTC order partially filled, restated (renewed) and partially filled the following day, with corrections of both
D X 10000
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 2000 8000 2000 id=B
8 X DoneForDay DoneForDay 10000 2000 8000 0
8 X Restated PartiallyFilled 10000 2000 8000 0 day=2 reason=1
8 X Trade PartiallyFilled 10000 3000 7000 1000 day=2 id=E
8 X TradeCorrect PartiallyFilled 10000 2500 7500 1500 day=2 id=F ref=B
8 X TradeCorrect PartiallyFilled 10000 2000 8000 500 day=2 id=G ref=E

K.1.a Trading halt, reinstate
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Suspended Suspended 10000 0 10000 0
8 X New New 10000 0 10000 0
8 X Trade PartiallyFilled 10000 1000 9000 1000

K.1.b Trading halt, cancel
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Canceled Canceled 10000 0 0 0 reason=6

L.1.a Transmitting a guarantee of execution prior to execution
D X 10000
| 8 X Rejected Rejected 10000 0 0 0
8 X New New 10000 0 10000 0
8 X Stopped Stopped 10000 0 10000 1000 px=50.10
8 X Trade Stopped 10000 1000 9000 1000 px=50
"""

DIFFERENT = {
    ("A.1.b", OrderStatus.DONE_FOR_DAY): OrderStatus.EXPIRED,
    ("B.1.f", OrderStatus.REJECTED): OrderStatus.PENDING_NEW,
    ("G.1.a", OrderStatus.REJECTED): OrderStatus.PENDING_NEW,
}
"""What we call a status of a matrix by another name; the reasons are above."""

DAY_1 = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
PENDING = {"F": OrderStatus.PENDING_CANCEL, "G": OrderStatus.PENDING_REPLACE}


class Row:
    """A line of a matrix, taken apart."""

    def __init__(self, line: str, number: int) -> None:
        words = [word for word in line.split() if "=" not in word]
        self.more = dict(word.split("=") for word in line.split() if "=" in word)
        self.kind, ids, *self.rest = words
        self.cl_ord_id, *others = (f"o.{each}" for each in ids.split(","))
        self.orig_cl_ord_id = others[0] if others else None
        self.at = DAY_1 + timedelta(days=int(self.more.get("day", "1")) - 1, seconds=number)
        self.exec_id = self.more.get("id", f"E{number}")
        self.reason = int(self.more["reason"]) if "reason" in self.more else None

    @property
    def status(self) -> fix.OrdStatus:
        return fix.OrdStatus[_enumerated(self.rest[1 if self.kind == "8" else 0])]

    @property
    def exec_type(self) -> fix.ExecType:
        return fix.ExecType[_enumerated({"Replace": "Replaced"}.get(self.rest[0], self.rest[0]))]

    def quantity(self, column: int) -> Decimal:
        """OrderQty, CumQty, LeavesQty or LastQty of a report, as the venue says it."""
        return Decimal(self.rest[2 + column].partition("->")[0])

    @property
    def leaves_to_us(self) -> Decimal:
        said, _, ours = self.rest[4].partition("->")
        return Decimal(ours or said)


def _enumerated(name: str) -> str:
    return re.sub("(?<!^)(?=[A-Z])", "_", name).upper()


def message(row: Row) -> Message:
    if row.kind == "9":
        return fix.order_cancel_reject(
            order_id="V1",
            cl_ord_id=row.cl_ord_id,
            orig_cl_ord_id=row.orig_cl_ord_id or "",
            ord_status=row.status,
            cxl_rej_response_to=fix.CxlRejResponseTo.CANCEL,
            transact_time=row.at,
            cxl_rej_reason=2 if row.reason is None else row.reason,
        )
    of_reject = row.exec_type is fix.ExecType.REJECTED or row.status is fix.OrdStatus.REJECTED
    return fix.execution_report(
        order_id="V1",
        exec_id=row.exec_id,
        exec_type=row.exec_type,
        ord_status=row.status,
        symbol="IBM",
        side=fix.Side.BUY,
        order_qty=row.quantity(0),
        cum_qty=row.quantity(1),
        leaves_qty=row.quantity(2),
        last_qty=row.quantity(3),
        last_px=Decimal(row.more.get("px", "50")),
        avg_px=Decimal(row.more.get("avg", "50")),
        transact_time=row.at,
        cl_ord_id=row.cl_ord_id,
        orig_cl_ord_id=row.orig_cl_ord_id,
        exec_ref_id=row.more.get("ref"),
        ord_rej_reason=row.reason if of_reject else None,
        exec_restatement_reason=None if of_reject else row.reason,
    )


def branches() -> Iterator[tuple[str, list[str]]]:
    """Each way through each matrix: its number, and its rows."""
    for matrix in MATRICES.strip().split("\n\n"):
        title, *lines = matrix.splitlines()
        number = title.split()[0]
        way: list[str] = []
        for line in lines:
            if line.startswith("| "):
                yield number, [*way, line[2:]]
            else:
                way.append(line)
        yield number, way


def placed(row: Row) -> Order:
    return Order(
        role=Role.ENTRY,
        cl_ord_ids=(row.cl_ord_id,),
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(row.rest[0]),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(50),
        time_in_force=TimeInForce(row.more.get("tif", "gtc")),
    )


@pytest.mark.parametrize(
    ("number", "lines"), [pytest.param(number, lines, id=f"{number}-{len(lines)}") for number, lines in branches()]
)
def test_an_order_goes_through_the_states_of_the_matrix(number: str, lines: list[str]) -> None:
    rows = [Row(line, place) for place, line in enumerate(lines, 1)]
    order = placed(rows[0])
    status, cum_quantity, leaves_quantity = OrderStatus.PENDING_NEW, Decimal(0), order.quantity
    waiting: dict[str, str] = {}
    for row in rows[1:]:
        match row.kind:
            case "F" | "G":
                order = ask(order, "cancel" if row.kind == "F" else "replace", row.cl_ord_id, chained=bool(waiting))
                waiting[row.cl_ord_id] = row.kind
            case "8" | "9":
                report = from_message(message(row))
                assert report is not None
                if report.event is not None:
                    order = apply(order, report.event)
                    assert apply(order, report.event) is order
                if row.kind == "9" or row.exec_type in {fix.ExecType.CANCELED, fix.ExecType.REPLACED}:
                    waiting.pop(row.cl_ord_id, None)
                status = OrderStatus[row.status.name]
                status = DIFFERENT.get((number, status), status)
                if row.kind == "8":
                    cum_quantity, leaves_quantity = row.quantity(1), row.leaves_to_us
        expected = PENDING["F" if "F" in waiting.values() else "G"] if waiting else status
        assert (order.status, order.cum_quantity, order.leaves_quantity) == (expected, cum_quantity, leaves_quantity)
        assert order.is_settled == (not leaves_quantity and not waiting)
        if row.kind == "8" and row.exec_type is fix.ExecType.REPLACED:
            assert order.cl_ord_id == row.cl_ord_id
        if "avg" in row.more:
            assert order.average_price == Decimal(row.more["avg"])
        assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order


def test_every_matrix_that_is_about_orders_like_ours_is_here() -> None:
    counts = {"A.1": 2, "B.1": 6, "C.1": 3, "C.2": 1, "C.3": 3, "D.1": 3, "D.2": 4, "E.1": 4, "F.1": 3, "G.1": 3}
    counts |= {"H.1": 4, "I.1": 2, "J.1": 3, "K.1": 2, "L.1": 2}
    numbers = {f"{group}.{'abcdef'[place]}" for group, count in counts.items() for place in range(count)}
    assert {number for number, _ in branches()} == numbers - {"E.1.a", "L.1.b"}
