"""The control API: prices in, the exchange's books out, and what a venue does unasked. HTTP with JSON.

Answers are 200 with JSON. What is wrong with a request is said as `{"error": "..."}`: 400 for the request itself, 404
for an order or trade that is not there, 409 for one that is not in a state for it. Decimals are strings. `?session=`
narrows orders, executions and positions to one member, and says whose order to cancel where two use one ClOrdID.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web

from venue.exchange import ConflictError, NotFoundError
from venue.faults import Fault, Faults
from venue.inputs import (
    AnyInput,
    DayEnded,
    OrderCanceled,
    OrderRestated,
    PricesCame,
    TradeBusted,
    TradeCorrected,
)
from venue.machine import Machine
from venue.prices import MarketEvent
from venue.state import Logon

_log = logging.getLogger("venue.control")

_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_LARGEST_REQUEST = 64 * 1024 * 1024


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /prices`. Without `at` they are live prices: of now, by the machine's clock."""

    events: list[MarketEvent]
    at: _Time | None = None


class EndOfDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /end_of_day`."""

    at: _Time


class Restatement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /orders/{cl_ord_id}/restate`: the order's new quantity."""

    quantity: Decimal

    def __post_init__(self) -> None:
        _check_positive("quantity", self.quantity)


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /trades/{exec_id}/correct`: what the trade was really for."""

    quantity: Decimal
    price: Decimal

    def __post_init__(self) -> None:
        _check_positive("quantity", self.quantity)
        _check_positive("price", self.price)


class Released(msgspec.Struct, frozen=True):
    """How many messages that were held went their way."""

    released: int


class Cut(msgspec.Struct, frozen=True):
    """The sessions whose connection was cut."""

    sessions: list[str]


class Sent(msgspec.Struct, frozen=True):
    """How many FIX messages a request caused."""

    sent: int


class SessionState(msgspec.Struct, frozen=True):
    """A member's session as the venue sees it: the numbers it expects and sends next."""

    session: str
    logged_on: bool
    next_inbound: int
    next_outbound: int


class State(msgspec.Struct, frozen=True):
    """The answer of `GET /state`."""

    at: datetime
    sessions: list[SessionState]
    orders: int
    working: int
    duplicates: list[str]
    """ClOrdIDs that were refused because they had been used before."""


class OrderView(msgspec.Struct, frozen=True):
    """An order of `GET /orders`; side, status and the like as their FIX characters. `received_at` is the machine's
    time."""

    session: str
    cl_ord_ids: list[str]
    order_id: str
    symbol: str
    side: str
    quantity: str
    cum_quantity: str
    leaves_quantity: str
    status: str
    order_type: str
    limit_price: str | None
    stop_price: str | None
    time_in_force: str
    received_at: datetime


class ExecutionView(msgspec.Struct, frozen=True):
    """One order's side of a trade, of `GET /executions`. A trade that was busted is not there. `at` is the market's
    time, `executed_at` the machine's."""

    session: str
    exec_id: str
    cl_ord_id: str
    symbol: str
    side: str
    quantity: str
    price: str
    at: datetime
    executed_at: datetime


class BadRequestError(Exception):
    """The request itself is wrong."""


class Control:
    """The HTTP application. `take` has the venue do something, tells its members, and says how many messages that were;
    `cut` ends the connections of all members or of one, and says whose."""

    def __init__(
        self,
        machine: Machine,
        take: Callable[[AnyInput], int],
        sessions: Callable[[], list[SessionState]],
        logons: Callable[[], list[Logon]],
        faults: Faults,
        cut: Callable[[str | None], list[str]],
    ) -> None:
        self._machine = machine
        self._exchange = machine.exchange
        self._take = take
        self._sessions = sessions
        self._logons = logons
        self._faults = faults
        self._cut_connections = cut

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_errors_as_json], client_max_size=_LARGEST_REQUEST)
        application.add_routes(
            [
                web.post("/prices", self._prices),
                web.post("/end_of_day", self._end_of_day),
                web.get("/state", self._state),
                web.get("/logons", self._show_logons),
                web.get("/orders", self._orders),
                web.get("/executions", self._executions),
                web.get("/positions", self._positions),
                web.post("/orders/{cl_ord_id}/cancel", self._cancel),
                web.post("/orders/{cl_ord_id}/restate", self._restate),
                web.post("/trades/{exec_id}/bust", self._bust),
                web.post("/trades/{exec_id}/correct", self._correct),
                web.post("/faults", self._add_fault),
                web.get("/faults", self._show_faults),
                web.delete("/faults", self._end_faults),
                web.post("/cut", self._cut),
            ]
        )
        return application

    async def _prices(self, request: web.Request) -> web.Response:
        prices = _decode(await request.read(), Prices)
        return self._done(PricesCame(received_at=_now(), events=prices.events, at=prices.at))

    async def _end_of_day(self, request: web.Request) -> web.Response:
        end = _decode(await request.read(), EndOfDay)
        return self._done(DayEnded(received_at=_now(), at=end.at))

    async def _state(self, _request: web.Request) -> web.Response:
        exchange = self._exchange
        orders, working = len(exchange.orders), len(exchange.working)
        at = self._machine.market_time or _now()
        return _json(State(at, self._sessions(), orders, working, exchange.duplicates))

    async def _show_logons(self, request: web.Request) -> web.Response:
        session = request.query.get("session")
        return _json([logon for logon in self._logons() if session in (None, logon.session)])

    async def _orders(self, request: web.Request) -> web.Response:
        session = request.query.get("session")
        views = [
            OrderView(
                session=order.session,
                cl_ord_ids=order.cl_ord_ids,
                order_id=order.order_id,
                symbol=order.symbol,
                side=order.side.value,
                quantity=_text(order.quantity),
                cum_quantity=_text(order.cum_quantity),
                leaves_quantity=_text(order.leaves_quantity),
                status=order.status.value,
                order_type=order.order_type.value,
                limit_price=None if order.limit_price is None else _text(order.limit_price),
                stop_price=None if order.stop_price is None else _text(order.stop_price),
                time_in_force=order.time_in_force.value,
                received_at=self._machine.received_at[order.order_id],
            )
            for order in self._exchange.orders
            if session is None or order.session == session
        ]
        return _json(views)

    async def _executions(self, request: web.Request) -> web.Response:
        session = request.query.get("session")
        views = [
            ExecutionView(
                session=trade.order.session,
                exec_id=trade.exec_id,
                cl_ord_id=trade.cl_ord_id,
                symbol=trade.order.symbol,
                side=trade.order.side.value,
                quantity=_text(trade.quantity),
                price=_text(trade.price),
                at=trade.at,
                executed_at=self._machine.executed_at[trade.exec_id],
            )
            for trade in self._exchange.trades
            if session is None or trade.order.session == session
        ]
        return _json(views)

    async def _positions(self, request: web.Request) -> web.Response:
        positions = self._exchange.positions(request.query.get("session"))
        return _json({symbol: _text(quantity) for symbol, quantity in positions.items()})

    async def _cancel(self, request: web.Request) -> web.Response:
        cl_ord_id, session = request.match_info["cl_ord_id"], request.query.get("session")
        answer = self._done(OrderCanceled(received_at=_now(), cl_ord_id=cl_ord_id, session=session))
        _log.info("order %s is cancelled by the venue", cl_ord_id)
        return answer

    async def _bust(self, request: web.Request) -> web.Response:
        exec_id = request.match_info["exec_id"]
        answer = self._done(TradeBusted(received_at=_now(), exec_id=exec_id))
        _log.info("trade %s is busted", exec_id)
        return answer

    async def _restate(self, request: web.Request) -> web.Response:
        cl_ord_id, session = request.match_info["cl_ord_id"], request.query.get("session")
        quantity = _decode(await request.read(), Restatement).quantity
        answer = self._done(OrderRestated(received_at=_now(), cl_ord_id=cl_ord_id, quantity=quantity, session=session))
        _log.info("order %s is restated to %s", cl_ord_id, quantity)
        return answer

    async def _correct(self, request: web.Request) -> web.Response:
        exec_id = request.match_info["exec_id"]
        wanted = _decode(await request.read(), Correction)
        answer = self._done(
            TradeCorrected(received_at=_now(), exec_id=exec_id, quantity=wanted.quantity, price=wanted.price)
        )
        _log.info("trade %s is corrected to %s at %s", exec_id, wanted.quantity, wanted.price)
        return answer

    async def _add_fault(self, request: web.Request) -> web.Response:
        fault = _decode(await request.read(), Fault)
        self._faults.add(fault)
        _log.info("from now on: %s", fault)
        return _json(fault)

    async def _show_faults(self, _request: web.Request) -> web.Response:
        return _json(self._faults.caught)

    async def _end_faults(self, _request: web.Request) -> web.Response:
        released = self._faults.end()
        _log.info("no faults any more; %d held messages go their way", released)
        return _json(Released(released))

    async def _cut(self, request: web.Request) -> web.Response:
        return _json(Cut(self._cut_connections(request.query.get("session"))))

    def _done(self, entry: AnyInput) -> web.Response:
        return _json(Sent(self._take(entry)))


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadRequestError as error:
        return _json({"error": str(error)}, status=400)
    except NotFoundError as error:
        return _json({"error": str(error)}, status=404)
    except ConflictError as error:
        return _json({"error": str(error)}, status=409)
    except web.HTTPException as error:
        return _json({"error": f"{request.method} {request.path}: {error.reason}"}, status=error.status)


def _now() -> datetime:
    return datetime.now(UTC)


def _check_positive(name: str, value: Decimal) -> None:
    if not (value.is_finite() and value > 0):
        raise ValueError(f"`{name}` is {value}: has to be a number above 0")


_T = TypeVar("_T")


def _decode(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise BadRequestError(str(error)) from None


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)


def _text(value: Decimal) -> str:
    return format(value.normalize(), "f")
