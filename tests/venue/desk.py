"""A trader's desk at an exchange: short ways to say what happens in a test, and to read what came of it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from venue.exchange import Exchange
from venue.orders import OrderType, Side, TimeInForce
from venue.prices import Close, MarketEvent, Print, Quote, Range
from venue.records import (
    AskMassStatus,
    AskStatus,
    CancelOrder,
    ExecType,
    ExecutionReport,
    NewOrder,
    OrderCancelReject,
    ReplaceOrder,
    Report,
)

AT = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
SYMBOL = "IBM"

BUY, SELL = Side.BUY, Side.SELL
DAY, GTC, IOC, FOK = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK

Number = str | int | Decimal
Fills = list[tuple[str, Decimal, Decimal]]


class Desk:
    """One exchange and one symbol. `session` is the member who asks: "A" where nothing else is said."""

    def __init__(self) -> None:
        self.exchange = Exchange()

    def place(
        self,
        cl_ord_id: str,
        side: Side,
        quantity: Number,
        *,
        limit: Number | None = None,
        stop: Number | None = None,
        tif: TimeInForce = GTC,
        session: str = "A",
        poss_resend: bool = False,
    ) -> list[Report]:
        request = NewOrder(
            cl_ord_id=cl_ord_id,
            symbol=SYMBOL,
            side=side,
            quantity=Decimal(quantity),
            order_type=_order_type(limit, stop),
            limit_price=_decimal(limit),
            stop_price=_decimal(stop),
            time_in_force=tif,
            poss_resend=poss_resend,
        )
        return self.exchange.new_order(session, request, AT)

    def replace(
        self,
        cl_ord_id: str,
        orig: str,
        side: Side,
        quantity: Number,
        *,
        limit: Number | None = None,
        stop: Number | None = None,
        session: str = "A",
        poss_resend: bool = False,
    ) -> list[Report]:
        request = ReplaceOrder(
            cl_ord_id=cl_ord_id,
            orig_cl_ord_id=orig,
            symbol=SYMBOL,
            side=side,
            quantity=Decimal(quantity),
            order_type=_order_type(limit, stop),
            limit_price=_decimal(limit),
            stop_price=_decimal(stop),
            poss_resend=poss_resend,
        )
        return self.exchange.replace(session, request, AT)

    def cancel(
        self, cl_ord_id: str, orig: str, side: Side, *, session: str = "A", poss_resend: bool = False
    ) -> list[Report]:
        request = CancelOrder(
            cl_ord_id=cl_ord_id, orig_cl_ord_id=orig, symbol=SYMBOL, side=side, poss_resend=poss_resend
        )
        return self.exchange.cancel(session, request, AT)

    def status(self, cl_ord_id: str, side: Side, *, session: str = "A") -> list[Report]:
        request = AskStatus(cl_ord_id=cl_ord_id, ord_status_req_id="Q1", symbol=SYMBOL, side=side)
        return self.exchange.status(session, request, AT)

    def mass_status(self, symbol: str | None = None, side: Side | None = None, *, session: str = "A") -> list[Report]:
        request = AskMassStatus(mass_status_req_id="M1", symbol=symbol, side=side)
        return self.exchange.mass_status(session, request, AT)

    def quote(
        self,
        bid: Number | None,
        ask: Number | None,
        *,
        bid_size: Number | None = None,
        ask_size: Number | None = None,
    ) -> list[Report]:
        return self.happens(
            Quote(
                symbol=SYMBOL,
                bid=_decimal(bid),
                ask=_decimal(ask),
                bid_size=_decimal(bid_size),
                ask_size=_decimal(ask_size),
            )
        )

    def print(self, price: Number, size: Number | None = None) -> list[Report]:
        return self.happens(Print(symbol=SYMBOL, price=Decimal(price), size=_decimal(size)))

    def bar(self, low: Number, high: Number, only: Literal["stops", "limits"]) -> list[Report]:
        return self.happens(Range(symbol=SYMBOL, low=Decimal(low), high=Decimal(high), only=only))

    def close(self) -> list[Report]:
        return self.happens(Close(symbol=SYMBOL))

    def happens(self, event: MarketEvent) -> list[Report]:
        return self.exchange.prices([event], AT)


def fills(reports: list[Report]) -> Fills:
    """ClOrdID, LastQty and LastPx of the trades among the reports."""
    return [
        (report.cl_ord_id or "", report.last_qty or Decimal(0), report.last_px or Decimal(0))
        for report in reports
        if isinstance(report, ExecutionReport) and report.exec_type is ExecType.TRADE
    ]


def traded(*trades: tuple[str, Number, Number]) -> Fills:
    return [(cl_ord_id, Decimal(quantity), Decimal(price)) for cl_ord_id, quantity, price in trades]


def executions(reports: list[Report]) -> list[str]:
    """`ExecType/OrdStatus` of each report."""
    return [f"{report.exec_type.value}/{report.ord_status.value}" for report in map(execution, reports)]


def execution(report: Report) -> ExecutionReport:
    assert isinstance(report, ExecutionReport), report
    return report


def cancel_reject(reports: list[Report]) -> OrderCancelReject:
    (report,) = reports
    assert isinstance(report, OrderCancelReject), report
    return report


def _order_type(limit: Number | None, stop: Number | None) -> OrderType:
    if limit is not None:
        return OrderType.LIMIT
    return OrderType.STOP if stop is not None else OrderType.MARKET


def _decimal(value: Number | None) -> Decimal | None:
    return None if value is None else Decimal(value)
