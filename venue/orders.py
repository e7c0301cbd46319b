"""An order as the venue keeps it, and what a trade does to it."""

from dataclasses import dataclass, field
from decimal import Context, Decimal
from enum import StrEnum
from typing import NamedTuple

_ZERO = Decimal(0)
_AVERAGE = Context(prec=18)
"""An average price is exact as far as 18 digits go."""


class Side(StrEnum):
    """Side (54)."""

    BUY = "1"
    SELL = "2"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for what adds to a position, -1 for what takes from it."""
        return 1 if self is Side.BUY else -1

    def accepts(self, price: Decimal, limit: Decimal | None) -> bool:
        """Whether an order of this side with this limit (None: any price) may trade at `price`."""
        return limit is None or (limit - price) * self.sign >= 0

    def prefers(self, price: Decimal, other: Decimal) -> bool:
        """Whether `price` is strictly better than `other` for an order of this side."""
        return (other - price) * self.sign > 0


class OrderType(StrEnum):
    """OrdType (40)."""

    MARKET = "1"
    LIMIT = "2"
    STOP = "3"


class TimeInForce(StrEnum):
    """TimeInForce (59)."""

    DAY = "0"
    GTC = "1"
    IOC = "3"
    FOK = "4"


class OrderStatus(StrEnum):
    """OrdStatus (39). The venue answers every request at once, so an order is never pending."""

    NEW = "0"
    PARTIALLY_FILLED = "1"
    FILLED = "2"
    CANCELED = "4"
    REJECTED = "8"
    EXPIRED = "C"


_WORKING = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


@dataclass(eq=False, slots=True, kw_only=True)
class Order:
    """One order through all its replaces. `cl_ord_ids` are the ClOrdIDs it has gone by, the current one last."""

    session: str
    order_id: str
    cl_ord_ids: list[str]
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    status: OrderStatus = OrderStatus.NEW
    reject_reason: int | None = None
    """OrdRejReason (103) of a rejected order."""
    cum_quantity: Decimal = _ZERO
    traded_value: Decimal = field(default=_ZERO, repr=False)
    is_triggered: bool = False
    """A stop whose price was reached: it trades as a market order from then on."""
    priority: int = 0
    """Lower trades first at the same price. The book gives it."""
    is_queued: bool = False
    """Arrived while the symbol was closed: it enters with the next touch."""

    @property
    def cl_ord_id(self) -> str:
        return self.cl_ord_ids[-1]

    @property
    def is_working(self) -> bool:
        return self.status in _WORKING

    @property
    def waits_for_trigger(self) -> bool:
        return self.order_type is OrderType.STOP and not self.is_triggered

    @property
    def leaves_quantity(self) -> Decimal:
        return self.quantity - self.cum_quantity if self.is_working else _ZERO

    @property
    def average_price(self) -> Decimal:
        return _AVERAGE.divide(self.traded_value, self.cum_quantity) if self.cum_quantity else _ZERO

    def fill(self, quantity: Decimal, price: Decimal) -> "Fill":
        self.cum_quantity += quantity
        self.traded_value += quantity * price
        self.status = OrderStatus.FILLED if self.cum_quantity == self.quantity else OrderStatus.PARTIALLY_FILLED
        return Fill(self, quantity, price, self.cum_quantity, self.leaves_quantity, self.average_price, self.status)

    def bust(self, quantity: Decimal, price: Decimal) -> None:
        """Take a trade back. A working order has the quantity open again; a finished one stays finished.

        A filled order that lost a trade is not filled, and it does not come back to life: it counts as cancelled.
        """
        self._count(-quantity, price)

    def correct(self, quantity: Decimal, price: Decimal, *, was_quantity: Decimal, was_price: Decimal) -> None:
        """Let a trade be another one; else as `bust`."""
        self.traded_value += was_quantity * (price - was_price)
        self._count(quantity - was_quantity, price)

    def _count(self, more: Decimal, price: Decimal) -> None:
        self.cum_quantity += more
        self.traded_value += more * price
        if self.status is OrderStatus.FILLED and self.cum_quantity < self.quantity:
            self.status = OrderStatus.CANCELED
        elif self.is_working:
            self.status = OrderStatus.PARTIALLY_FILLED if self.cum_quantity else OrderStatus.NEW


class Fill(NamedTuple):
    """An order's side of a trade, with the order's totals as they were right after it."""

    order: Order
    quantity: Decimal
    price: Decimal
    cum_quantity: Decimal
    leaves_quantity: Decimal
    average_price: Decimal
    status: OrderStatus
