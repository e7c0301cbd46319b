"""What a lifecycle wants done. Imperative; carried out by the driver, one after another, in the order given."""

from datetime import datetime
from decimal import Decimal

import msgspec

from trading.orders import OrderType, Side, TimeInForce


class SubmitOrder(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Send a new order to the venue (NewOrderSingle, 35=D)."""

    cl_ord_id: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    deadline: datetime | None = None
    """An order that has not left by then is no longer wanted."""
    all_or_none: bool = False
    """ExecInst 18=G: it fills completely or not at all."""


class ReplaceOrder(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Change a working order (OrderCancelReplaceRequest, 35=G). `quantity` (38) is the whole order's."""

    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Cancel a working order (OrderCancelRequest, 35=F)."""

    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: Side
    quantity: Decimal


class SetTimer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Wake the lifecycle with `TimerFired(name)` at a time of the market's clock. Setting a name again replaces it."""

    name: str
    at: datetime


class CancelTimer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Nothing waits for this timer any more."""

    name: str


class WatchPrice(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Wake the lifecycle with `PriceTouched` when the symbol trades at `below` or under, or at `above` or over.

    An order has one watch for each symbol: a new one takes the old one's place, and one without prices ends it. Whose
    watch was touched gives a new one: what the market does until then is not lost, that one begins with it.
    """

    symbol: str
    number: int
    """Counts the order's watches, from 1."""
    below: Decimal | None = None
    above: Decimal | None = None
    side: Side | None = None
    """Of the exit that waits. A sale trades at the bid and is hurt by low prices, a purchase the other way round.

    None where entries wait: for `below` a sale, for `above` a purchase."""
    was_heard: bool = False
    """Whether the order has taken in what its watch before this one told it."""


class RaiseAlert(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Tell a human. `code` is for machines (`DOUBLE_EXIT`), `text` says what happened with its numbers."""

    code: str
    text: str


class BlockSymbol(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Deny new orders in a symbol until a human has looked and lifts it."""

    symbol: str
    reason: str


class Finish(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The order is over: no child works anywhere, nothing more is expected."""

    outcome: str
    """`take_profit`, `stop_loss`, `filled`, `rejected`, `expired_unfilled`, `canceled`, `not_sent`, `closed`, ..."""
    text: str = ""


VenueCommand = SubmitOrder | ReplaceOrder | CancelOrder
Command = VenueCommand | SetTimer | CancelTimer | WatchPrice | RaiseAlert | BlockSymbol | Finish
