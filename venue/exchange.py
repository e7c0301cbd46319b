"""The exchange: every symbol's book, every member's orders, and what becomes of each request.

No I/O and no clock: `at` is the market's time, and every change returns the reports it causes, in the order in which
they are to leave. Equal calls give equal reports: OrderIDs and ExecIDs are counters.

A member is a FIX session, named by a string. ClOrdIDs are unique within one for as long as the exchange lives. An order
may be named by any ClOrdID it has gone by. A cancel or replace that is rejected leaves no trace, so its ClOrdID is
still free. A replace changes quantity and prices only; the order keeps its place in the queue if its quantity is not
raised and its prices stay.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from venue.book import Book, Liquidity, Match
from venue.orders import Fill, Order, OrderStatus, OrderType, TimeInForce
from venue.prices import Close, MarketEvent, Print, Quote, Range
from venue.records import (
    AskMassStatus,
    AskStatus,
    CancelOrder,
    CxlRejReason,
    CxlRejResponseTo,
    ExecType,
    ExecutionReport,
    NewOrder,
    OrderCancelReject,
    OrdRejReason,
    ReplaceOrder,
    Report,
)

_ZERO = Decimal(0)
_NO_ORDER = "NONE"
"""OrderID (37) of a report about no order the exchange has (FIX 4.4, OrderCancelReject)."""
_STATUS_EXEC_ID = "0"
"""ExecID (17) of an order status report (FIX 4.4, ExecID)."""
_MARKET_OPTION = 8
"""ExecRestatementReason (378)."""


class NotFoundError(LookupError):
    """No order goes by this ClOrdID, or no trade that still counts has this ExecID."""


class ConflictError(Exception):
    """The order has ended, or orders of several sessions go by the ClOrdID."""


@dataclass(eq=False, slots=True, kw_only=True)
class Trade:
    """One order's side of a trade. `counter_exec_id` is the other side's where that is an order too."""

    exec_id: str
    order: Order
    cl_ord_id: str
    quantity: Decimal
    price: Decimal
    at: datetime
    counter_exec_id: str | None = None


class _Refusal(NamedTuple):
    reason: OrdRejReason
    text: str


class Exchange:
    """All state of the venue but its FIX sessions'."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self._working: list[Order] = []  # and some that have ended since it was last looked at
        self._books: dict[str, Book] = {}
        self._known: dict[tuple[str, str], Order] = {}  # by session and every ClOrdID, also an accepted cancel's own
        self._trades: dict[str, Trade] = {}
        self._last_exec_id = 0
        self.duplicates: list[str] = []
        """ClOrdIDs that were refused because they had been used, with no PossResend to say so."""

    # ---- requests

    def new_order(self, session: str, request: NewOrder, at: datetime) -> list[Report]:
        """ExecType 0 and what it trades, or 8. What IOC and FOK leave is cancelled at once."""
        known = self._known.get((session, request.cl_ord_id))
        if known is not None and request.poss_resend:
            return [self._status_report(known, request.cl_ord_id, at)]
        if known is not None:
            self.duplicates.append(request.cl_ord_id)
            text = f"ClOrdID (11) {request.cl_ord_id} was used before"
            return [self._rejection(session, request, _NO_ORDER, _Refusal(OrdRejReason.DUPLICATE_ORDER, text), at)]
        order = self._register(session, request)
        refusal = _refusal(request)
        if refusal is not None:
            order.status, order.reject_reason = OrderStatus.REJECTED, refusal.reason
            return [self._rejection(session, request, order.order_id, refusal, at)]
        return [self._report(order, ExecType.NEW, at), *self._enter(order, at)]

    def cancel(self, session: str, request: CancelOrder, at: datetime) -> list[Report]:
        """ExecType 4, or an OrderCancelReject."""
        found = self._to_change(session, request, CxlRejResponseTo.CANCEL, at)
        if not isinstance(found, Order):
            return [found]
        self._known[session, request.cl_ord_id] = found
        self._end(found, OrderStatus.CANCELED)
        return [self._report(found, ExecType.CANCELED, at, names=(request.cl_ord_id, request.orig_cl_ord_id))]

    def replace(self, session: str, request: ReplaceOrder, at: datetime) -> list[Report]:
        """ExecType 5 under the new ClOrdID and what the order then trades, or an OrderCancelReject.

        A quantity that is filled already, or less, ends the order: its quantity is then what it has filled.
        """
        found = self._to_change(session, request, CxlRejResponseTo.REPLACE, at)
        if not isinstance(found, Order):
            return [found]
        refusal = _refusal(request) or _changed_type(found, request)
        if refusal is not None:
            return [
                self._cancel_reject(
                    session, request, CxlRejResponseTo.REPLACE, found, CxlRejReason.OTHER, refusal.text, at
                )
            ]
        self._known[session, request.cl_ord_id] = found
        previous = found.cl_ord_id
        found.cl_ord_ids.append(request.cl_ord_id)
        names = (request.cl_ord_id, previous)
        keeps_place = request.quantity <= found.quantity and (request.limit_price, request.stop_price) == (
            found.limit_price,
            found.stop_price,
        )
        if request.quantity <= found.cum_quantity:
            self._end(found, OrderStatus.FILLED)
            found.quantity = found.cum_quantity
            return [self._report(found, ExecType.REPLACED, at, names=names)]
        if keeps_place:
            found.quantity = request.quantity
            return [self._report(found, ExecType.REPLACED, at, names=names)]
        self._book(found.symbol).remove(found)
        found.quantity, found.limit_price, found.stop_price = request.quantity, request.limit_price, request.stop_price
        return [self._report(found, ExecType.REPLACED, at, names=names), *self._enter(found, at)]

    def status(self, session: str, request: AskStatus, at: datetime) -> list[Report]:
        """ExecType I with the ClOrdID that was asked about; OrdRejReason 5 if the exchange does not know it."""
        known = self._known.get((session, request.cl_ord_id))
        if known is not None:
            report = self._status_report(known, request.cl_ord_id, at)
            return [msgspec.structs.replace(report, ord_status_req_id=request.ord_status_req_id)]
        return [
            ExecutionReport(
                session=session,
                cl_ord_id=request.cl_ord_id,
                ord_status_req_id=request.ord_status_req_id,
                order_id=_NO_ORDER,
                exec_id=_STATUS_EXEC_ID,
                exec_type=ExecType.ORDER_STATUS,
                ord_status=OrderStatus.REJECTED,
                ord_rej_reason=OrdRejReason.UNKNOWN_ORDER,
                symbol=request.symbol,
                side=request.side,
                leaves_qty=_ZERO,
                cum_qty=_ZERO,
                avg_px=_ZERO,
                transact_time=at,
                text=f"no order goes by ClOrdID (11) {request.cl_ord_id}",
            )
        ]

    def mass_status(self, session: str, request: AskMassStatus, at: datetime) -> list[Report]:
        """ExecType I for each open order of the member that is meant, oldest first; where there is none, one report
        that says so (FIX 4.4 volume 4, OrderMassStatusRequest)."""
        orders = [
            order
            for order in self.working
            if order.session == session
            and request.symbol in (None, order.symbol)
            and request.side in (None, order.side)
        ]
        reports = [self._status_report(order, order.cl_ord_id, at) for order in orders]
        return [
            msgspec.structs.replace(
                report,
                mass_status_req_id=request.mass_status_req_id,
                tot_num_reports=len(orders),
                last_rpt_requested=number >= len(orders),
            )
            for number, report in enumerate(reports or [_no_open_order(session, request, at)], start=1)
        ]

    # ---- what the market and the venue do

    def prices(self, events: Iterable[MarketEvent], at: datetime) -> list[Report]:
        """Let the market move, event by event, and working orders trade."""
        return [report for event in events for report in self._fills(self._apply(event), at)]

    def end_of_day(self, at: datetime) -> list[Report]:
        """Expire what was good for the day."""
        reports: list[Report] = []
        for order in self.working:
            if order.time_in_force is TimeInForce.DAY:
                self._end(order, OrderStatus.EXPIRED)
                reports.append(self._report(order, ExecType.EXPIRED, at))
        return reports

    def cancel_unasked(self, cl_ord_id: str, at: datetime, session: str | None = None) -> list[Report]:
        """Cancel a member's order on the venue's own account. Raises `NotFoundError` or `ConflictError`."""
        order = self._named(cl_ord_id, session)
        if not order.is_working:
            raise ConflictError(f"order {cl_ord_id} has ended: OrdStatus (39) {order.status}")
        self._end(order, OrderStatus.CANCELED)
        return [self._report(order, ExecType.CANCELED, at, text="cancelled by the venue")]

    def restate(self, cl_ord_id: str, quantity: Decimal, at: datetime, session: str | None = None) -> list[Report]:
        """Change a working order's quantity on the venue's own account; it keeps its place in the queue.

        Raises `NotFoundError`, or `ConflictError` where the order has ended or has traded as much.
        """
        order = self._named(cl_ord_id, session)
        if not order.is_working:
            raise ConflictError(f"order {cl_ord_id} has ended: OrdStatus (39) {order.status}")
        if quantity <= order.cum_quantity:
            raise ConflictError(f"quantity is {quantity}: order {cl_ord_id} has traded {order.cum_quantity}")
        order.quantity = quantity
        report = self._report(order, ExecType.RESTATED, at, text="restated by the venue")
        return [msgspec.structs.replace(report, exec_restatement_reason=_MARKET_OPTION)]

    def correct(self, exec_id: str, quantity: Decimal, price: Decimal, at: datetime) -> list[Report]:
        """Let a trade be for another quantity and price, for both sides where both are orders.

        Raises `NotFoundError`, or `ConflictError` where that is more than an order asked for, or would end it.
        """
        trades = self._sides_of(exec_id)
        for trade in trades:
            order, total = trade.order, trade.order.cum_quantity - trade.quantity + quantity
            if total > order.quantity or (total == order.quantity and order.is_working):
                raise ConflictError(
                    f"quantity is {quantity}: with it order {order.cl_ord_id} has traded {total} of {order.quantity}"
                )
        return [self._correct(trade, quantity, price, at) for trade in trades]

    def bust(self, exec_id: str, at: datetime) -> list[Report]:
        """Take a trade back, for both sides where both are orders. Raises `NotFoundError`."""
        trades = self._sides_of(exec_id)
        for trade in trades:
            del self._trades[trade.exec_id]
        return [self._bust(trade, at) for trade in trades]

    # ---- views

    @property
    def working(self) -> list[Order]:
        """Orders that can still trade, oldest first."""
        self._working = [order for order in self._working if order.is_working]
        return self._working.copy()

    @property
    def trades(self) -> list[Trade]:
        """Every trade that was not busted, in the order in which they happened."""
        return list(self._trades.values())

    def positions(self, session: str | None = None) -> dict[str, Decimal]:
        """By symbol, what a member (None: all together) has bought less what it has sold, where that is not 0."""
        positions: dict[str, Decimal] = {}
        for order in self.orders:
            if session is None or order.session == session:
                signed = order.cum_quantity * order.side.sign
                positions[order.symbol] = positions.get(order.symbol, _ZERO) + signed
        return {symbol: quantity for symbol, quantity in sorted(positions.items()) if quantity}

    # ---- orders

    def _register(self, session: str, request: NewOrder) -> Order:
        order = Order(
            session=session,
            order_id=f"O{len(self.orders) + 1}",
            cl_ord_ids=[request.cl_ord_id],
            symbol=request.symbol,
            side=request.side,
            quantity=request.quantity,
            order_type=request.order_type,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            time_in_force=request.time_in_force,
        )
        self.orders.append(order)
        self._working.append(order)
        self._known[session, request.cl_ord_id] = order
        return order

    def _enter(self, order: Order, at: datetime) -> Iterator[Report]:
        """Let an order that is new or has lost its place trade, then rest or end."""
        book = self._book(order.symbol)
        if order.time_in_force is not TimeInForce.FOK or book.can_fill(order):
            yield from self._fills(book.take(order), at)
        if not order.is_working:
            return
        if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            order.status = OrderStatus.CANCELED
            yield self._report(order, ExecType.CANCELED, at, text=f"{order.time_in_force.name}: not filled at once")
        else:
            book.rest(order)

    def _end(self, order: Order, status: OrderStatus) -> None:
        self._book(order.symbol).remove(order)
        order.status = status

    def _to_change(
        self, session: str, request: CancelOrder | ReplaceOrder, response_to: CxlRejResponseTo, at: datetime
    ) -> Order | Report:
        """The working order a request is about, or the answer why not."""
        answered = self._known.get((session, request.cl_ord_id))
        order = self._known.get((session, request.orig_cl_ord_id))
        if answered is not None and request.poss_resend:
            return self._status_report(answered, request.cl_ord_id, at)
        if answered is not None:
            self.duplicates.append(request.cl_ord_id)
            reason, text = CxlRejReason.DUPLICATE_CL_ORD_ID, f"ClOrdID (11) {request.cl_ord_id} was used before"
        elif order is None:
            reason, text = CxlRejReason.UNKNOWN_ORDER, f"no order goes by OrigClOrdID (41) {request.orig_cl_ord_id}"
        elif (request.symbol, request.side) != (order.symbol, order.side):
            reason = CxlRejReason.OTHER
            text = f"the order is Symbol (55) {order.symbol}, Side (54) {order.side}"
        elif not order.is_working:
            reason, text = CxlRejReason.TOO_LATE, f"the order has ended: {order.status.name.lower()}"
        else:
            return order
        return self._cancel_reject(session, request, response_to, order, reason, text, at)

    def _named(self, cl_ord_id: str, session: str | None) -> Order:
        found = [
            order
            for order in self.orders
            if cl_ord_id in order.cl_ord_ids and (session is None or order.session == session)
        ]
        if not found:
            raise NotFoundError(f"no order goes by ClOrdID (11) {cl_ord_id}")
        if len(found) > 1:
            sessions = ", ".join(order.session for order in found)
            raise ConflictError(
                f"orders of several sessions go by ClOrdID (11) {cl_ord_id}: {sessions}; name the session"
            )
        return found[0]

    # ---- trades

    def _book(self, symbol: str) -> Book:
        return self._books.setdefault(symbol, Book())

    def _apply(self, event: MarketEvent) -> list[Match]:
        book = self._book(event.symbol)
        match event:
            case Quote(bid=bid, ask=ask):
                return book.set_touch(
                    bid=None if bid is None else Liquidity(bid, event.bid_size),
                    ask=None if ask is None else Liquidity(ask, event.ask_size),
                )
            case Print(price=price, size=size):
                return book.set_touch(bid=Liquidity(price, size), ask=Liquidity(price, size))
            case Range(low=low, high=high, only="stops"):
                return book.range_stops(low, high)
            case Range(low=low, high=high):
                return book.range_limits(low, high)
            case Close():
                book.close()
                return []

    def _fills(self, matches: Iterable[Match], at: datetime) -> Iterator[Report]:
        for match in matches:
            trades = [self._record(fill, at) for fill in match]
            if len(trades) == 2:
                trades[0].counter_exec_id, trades[1].counter_exec_id = trades[1].exec_id, trades[0].exec_id
            for fill, trade in zip(match, trades, strict=True):
                yield self._fill_report(fill, trade)

    def _record(self, fill: Fill, at: datetime) -> Trade:
        trade = Trade(
            exec_id=self._next_exec_id(),
            order=fill.order,
            cl_ord_id=fill.order.cl_ord_id,
            quantity=fill.quantity,
            price=fill.price,
            at=at,
        )
        self._trades[trade.exec_id] = trade
        return trade

    def _sides_of(self, exec_id: str) -> list[Trade]:
        trade = self._trades.get(exec_id)
        if trade is None:
            raise NotFoundError(f"no trade has the ExecID (17) {exec_id}")
        return [trade] if trade.counter_exec_id is None else [trade, self._trades[trade.counter_exec_id]]

    def _correct(self, trade: Trade, quantity: Decimal, price: Decimal, at: datetime) -> Report:
        trade.order.correct(quantity, price, was_quantity=trade.quantity, was_price=trade.price)
        trade.quantity, trade.price = quantity, price
        return msgspec.structs.replace(
            self._report(trade.order, ExecType.TRADE_CORRECT, at, text="trade corrected by the venue"),
            exec_ref_id=trade.exec_id,
            last_qty=quantity,
            last_px=price,
        )

    def _bust(self, trade: Trade, at: datetime) -> Report:
        trade.order.bust(trade.quantity, trade.price)
        return msgspec.structs.replace(
            self._report(trade.order, ExecType.TRADE_CANCEL, at, text="trade busted by the venue"),
            exec_ref_id=trade.exec_id,
            last_qty=trade.quantity,
            last_px=trade.price,
        )

    # ---- reports

    def _next_exec_id(self) -> str:
        self._last_exec_id += 1
        return f"E{self._last_exec_id}"

    def _report(
        self,
        order: Order,
        exec_type: ExecType,
        at: datetime,
        *,
        names: tuple[str, str | None] | None = None,
        text: str | None = None,
        exec_id: str | None = None,
    ) -> ExecutionReport:
        """A report with the order's totals as they are now. `names`: ClOrdID and OrigClOrdID if not the order's own."""
        cl_ord_id, orig_cl_ord_id = names or (order.cl_ord_id, None)
        return ExecutionReport(
            session=order.session,
            cl_ord_id=cl_ord_id,
            orig_cl_ord_id=orig_cl_ord_id,
            order_id=order.order_id,
            exec_id=exec_id or self._next_exec_id(),
            exec_type=exec_type,
            ord_status=order.status,
            symbol=order.symbol,
            side=order.side,
            order_type=order.order_type,
            order_qty=order.quantity,
            price=order.limit_price,
            stop_px=order.stop_price,
            time_in_force=order.time_in_force,
            leaves_qty=order.leaves_quantity,
            cum_qty=order.cum_quantity,
            avg_px=order.average_price,
            transact_time=at,
            text=text,
        )

    def _fill_report(self, fill: Fill, trade: Trade) -> Report:
        return msgspec.structs.replace(
            self._report(fill.order, ExecType.TRADE, trade.at, exec_id=trade.exec_id),
            ord_status=fill.status,
            last_qty=fill.quantity,
            last_px=fill.price,
            leaves_qty=fill.leaves_quantity,
            cum_qty=fill.cum_quantity,
            avg_px=fill.average_price,
        )

    def _status_report(self, order: Order, asked: str, at: datetime) -> ExecutionReport:
        orig_cl_ord_id = None if asked in order.cl_ord_ids else order.cl_ord_id
        report = self._report(order, ExecType.ORDER_STATUS, at, names=(asked, orig_cl_ord_id), exec_id=_STATUS_EXEC_ID)
        return msgspec.structs.replace(report, ord_rej_reason=order.reject_reason)

    def _rejection(self, session: str, request: NewOrder, order_id: str, refusal: _Refusal, at: datetime) -> Report:
        return ExecutionReport(
            session=session,
            cl_ord_id=request.cl_ord_id,
            order_id=order_id,
            exec_id=self._next_exec_id(),
            exec_type=ExecType.REJECTED,
            ord_status=OrderStatus.REJECTED,
            ord_rej_reason=refusal.reason,
            symbol=request.symbol,
            side=request.side,
            order_type=request.order_type,
            order_qty=request.quantity,
            price=request.limit_price,
            stop_px=request.stop_price,
            time_in_force=request.time_in_force,
            leaves_qty=_ZERO,
            cum_qty=_ZERO,
            avg_px=_ZERO,
            transact_time=at,
            text=refusal.text,
        )

    def _cancel_reject(
        self,
        session: str,
        request: CancelOrder | ReplaceOrder,
        response_to: CxlRejResponseTo,
        order: Order | None,
        reason: CxlRejReason,
        text: str,
        at: datetime,
    ) -> Report:
        return OrderCancelReject(
            session=session,
            cl_ord_id=request.cl_ord_id,
            orig_cl_ord_id=request.orig_cl_ord_id,
            order_id=_NO_ORDER if order is None else order.order_id,
            ord_status=OrderStatus.REJECTED if order is None else order.status,
            cxl_rej_reason=reason,
            cxl_rej_response_to=response_to,
            transact_time=at,
            text=text,
        )


def _no_open_order(session: str, request: AskMassStatus, at: datetime) -> ExecutionReport:
    return ExecutionReport(
        session=session,
        cl_ord_id=None,
        order_id=_NO_ORDER,
        exec_id=_STATUS_EXEC_ID,
        exec_type=ExecType.ORDER_STATUS,
        ord_status=OrderStatus.REJECTED,
        ord_rej_reason=OrdRejReason.UNKNOWN_ORDER,
        symbol=request.symbol,
        side=request.side,
        leaves_qty=_ZERO,
        cum_qty=_ZERO,
        avg_px=_ZERO,
        transact_time=at,
        text="no order is open",
    )


def _refusal(request: NewOrder | ReplaceOrder) -> _Refusal | None:
    """Why the exchange does not take such an order; None if it does."""
    wants_limit = request.order_type is OrderType.LIMIT
    wants_stop = request.order_type is OrderType.STOP
    if request.quantity <= 0:
        return _Refusal(OrdRejReason.INCORRECT_QUANTITY, f"OrderQty (38) is {request.quantity}: must be above 0")
    for tag, price, is_wanted in (
        ("Price (44)", request.limit_price, wants_limit),
        ("StopPx (99)", request.stop_price, wants_stop),
    ):
        if is_wanted and (price is None or price <= 0):
            return _Refusal(OrdRejReason.OTHER, f"{tag} is {price}: this order type needs one above 0")
        if not is_wanted and price is not None:
            return _Refusal(OrdRejReason.UNSUPPORTED_CHARACTERISTIC, f"{tag} is {price}: this order type has none")
    if wants_stop and isinstance(request, NewOrder) and request.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        text = f"TimeInForce (59) is {request.time_in_force}: a stop order waits, so it is for the day (0) or GTC (1)"
        return _Refusal(OrdRejReason.UNSUPPORTED_CHARACTERISTIC, text)
    return None


def _changed_type(order: Order, request: ReplaceOrder) -> _Refusal | None:
    if request.order_type is order.order_type:
        return None
    text = f"OrdType (40) is {request.order_type}: a replace cannot change it from {order.order_type}"
    return _Refusal(OrdRejReason.OTHER, text)
