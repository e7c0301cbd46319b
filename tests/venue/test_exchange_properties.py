"""What holds after any sequence of orders, requests and prices."""

from collections.abc import Callable
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.venue.desk import AT, BUY, DAY, FOK, GTC, IOC, SELL, SYMBOL, Desk
from venue.exchange import ConflictError
from venue.orders import Order, OrderStatus, OrderType, Side
from venue.prices import MarketEvent, Quote
from venue.records import ExecType, ExecutionReport, Report

Action = Callable[[Desk, int], list[Report]]
"""What happens at a desk; the number makes its ClOrdID."""

_prices = st.integers(95, 105).map(Decimal)
_quantities = st.integers(1, 20).map(Decimal)
_sizes = st.none() | st.integers(0, 30).map(Decimal)
_sides = st.sampled_from([BUY, SELL])


@st.composite
def _places(draw: st.DrawFn, sessions: tuple[str, ...]) -> Action:
    side, quantity, price, session = draw(_sides), draw(_quantities), draw(_prices), draw(st.sampled_from(sessions))
    kind = draw(st.sampled_from(list(OrderType)))
    tif = draw(st.sampled_from([DAY, GTC] if kind is OrderType.STOP else [DAY, GTC, IOC, FOK]))
    return lambda desk, number: desk.place(
        f"{number}",
        side,
        quantity,
        limit=price if kind is OrderType.LIMIT else None,
        stop=price if kind is OrderType.STOP else None,
        tif=tif,
        session=session,
    )


@st.composite
def _changes(draw: st.DrawFn) -> Action:
    """A replace or cancel of any order so far, finished or not."""
    index, quantity, price, is_cancel = draw(st.integers(0, 50)), draw(_quantities), draw(_prices), draw(st.booleans())

    def change(desk: Desk, number: int) -> list[Report]:
        if not desk.exchange.orders:
            return []
        order = desk.exchange.orders[index % len(desk.exchange.orders)]
        if is_cancel:
            return desk.cancel(f"{number}", order.cl_ord_id, order.side, session=order.session)
        return desk.replace(
            f"{number}",
            order.cl_ord_id,
            order.side,
            quantity,
            limit=price if order.order_type is OrderType.LIMIT else None,
            stop=price if order.order_type is OrderType.STOP else None,
            session=order.session,
        )

    return change


@st.composite
def _quotes(draw: st.DrawFn) -> Action:
    bid, spread = draw(_prices), draw(st.integers(0, 3))
    bid_size, ask_size = draw(_sizes), draw(_sizes)
    one_sided = draw(st.sampled_from([None, None, None, BUY, SELL]))
    return lambda desk, _: desk.quote(
        None if one_sided is BUY else bid,
        None if one_sided is SELL else bid + spread,
        bid_size=bid_size,
        ask_size=ask_size,
    )


@st.composite
def _ranges(draw: st.DrawFn) -> Action:
    low, height = draw(_prices), draw(st.integers(0, 5))

    def bar(desk: Desk, _: int) -> list[Report]:
        return desk.bar(low, low + height, "stops") + desk.bar(low, low + height, "limits")

    return bar


@st.composite
def _busts(draw: st.DrawFn) -> Action:
    index = draw(st.integers(0, 50))

    def bust(desk: Desk, _: int) -> list[Report]:
        trades = desk.exchange.trades
        return desk.exchange.bust(trades[index % len(trades)].exec_id, AT) if trades else []

    return bust


@st.composite
def _corrections(draw: st.DrawFn) -> Action:
    index, quantity, price = draw(st.integers(0, 50)), draw(st.integers(1, 20)), draw(_prices)

    def correct(desk: Desk, _: int) -> list[Report]:
        trades = desk.exchange.trades
        if not trades:
            return []
        try:
            return desk.exchange.correct(trades[index % len(trades)].exec_id, Decimal(quantity), Decimal(price), AT)
        except ConflictError:
            return []

    return correct


@st.composite
def _restatements(draw: st.DrawFn) -> Action:
    index, quantity = draw(st.integers(0, 50)), draw(st.integers(1, 20))

    def restate(desk: Desk, _: int) -> list[Report]:
        working = desk.exchange.working
        if not working:
            return []
        order = working[index % len(working)]
        try:
            return desk.exchange.restate(order.cl_ord_id, Decimal(quantity), AT, order.session)
        except ConflictError:
            return []

    return restate


def _actions(sessions: tuple[str, ...], *, busts: bool = False) -> st.SearchStrategy[list[Action]]:
    prints = st.builds(lambda price, size: lambda desk, _: desk.print(price, size), _prices, _sizes)
    closes: st.SearchStrategy[Action] = st.just(lambda desk, _: desk.close())
    ends: st.SearchStrategy[Action] = st.just(lambda desk, _: desk.exchange.end_of_day(AT))
    places = _places(sessions)
    kinds = [places, places, places, _changes(), _quotes(), _quotes(), prints, _ranges(), closes, ends]
    return st.lists(st.one_of(*kinds, *([_busts(), _corrections(), _restatements()] if busts else [])), max_size=30)


def _play(actions: list[Action]) -> tuple[Desk, list[Report]]:
    desk = Desk()
    reports = [report for number, action in enumerate(actions) for report in action(desk, number)]
    return desk, reports


def _trades(reports: list[Report]) -> list[ExecutionReport]:
    return [report for report in reports if isinstance(report, ExecutionReport) and report.exec_type is ExecType.TRADE]


@given(_actions(("A", "B", "C"), busts=True))
@settings(max_examples=150, deadline=None)
def test_trades_positions_and_orders_agree(actions: list[Action]) -> None:
    desk, _ = _play(actions)
    position = Decimal(0)
    for order in desk.exchange.orders:
        trades = [trade for trade in desk.exchange.trades if trade.order is order]
        value = sum((trade.quantity * trade.price for trade in trades), start=Decimal(0))
        assert order.cum_quantity == sum(trade.quantity for trade in trades)
        assert abs(order.average_price * order.cum_quantity - value) < Decimal("1e-12")
        assert 0 <= order.cum_quantity <= order.quantity
        assert order.leaves_quantity == (order.quantity - order.cum_quantity if order.is_working else 0)
        assert order.is_working == (order.leaves_quantity > 0)
        position += order.cum_quantity * order.side.sign
    assert desk.exchange.positions().get(SYMBOL, Decimal(0)) == position


@given(_actions(("A", "B", "C"), busts=True))
@settings(max_examples=100, deadline=None)
def test_the_last_report_of_an_order_says_how_it_stands(actions: list[Action]) -> None:
    desk, reports = _play(actions)
    last = {report.order_id: report for report in reports if isinstance(report, ExecutionReport)}
    for order in desk.exchange.orders:
        report = last[order.order_id]
        assert (report.ord_status, report.cum_qty, report.leaves_qty, report.avg_px) == (
            order.status,
            order.cum_quantity,
            order.leaves_quantity,
            order.average_price,
        )
    exec_ids = [report.exec_id for report in reports if isinstance(report, ExecutionReport)]
    assert len(set(exec_ids)) == len(exec_ids)


@given(_actions(("A", "B", "C")))
@settings(max_examples=100, deadline=None)
def test_no_order_trades_through_its_limit(actions: list[Action]) -> None:
    _, reports = _play(actions)
    for trade in _trades(reports):
        assert trade.last_px is not None
        assert trade.side is not None
        assert trade.side.accepts(trade.last_px, trade.price)


@given(_actions(("A", "B", "C")), _quotes())
@settings(max_examples=150, deadline=None)
def test_after_a_quote_no_order_rests_that_could_trade(actions: list[Action], quote: Action) -> None:
    desk, _ = _play(actions)
    reports = desk.happens(event := _quote_of(quote))
    for side, price, size in ((BUY, event.ask, event.ask_size), (SELL, event.bid, event.bid_size)):
        used = sum((trade.last_qty or 0 for trade in _trades(reports) if trade.side is side), start=Decimal(0))
        working = [order for order in desk.exchange.orders if order.is_working and order.side is side]
        if price is not None and (size is None or used < size):
            assert not [order for order in working if _could_trade(order, price)]
    for buy in _working_limits(desk, BUY):
        for sell in _working_limits(desk, SELL):
            assert buy.session == sell.session or not BUY.accepts(_limit(sell), _limit(buy))


@given(_actions(("A",)), _quotes())
@settings(max_examples=150, deadline=None)
def test_a_quote_trades_by_price_then_time_and_never_more_than_its_size(actions: list[Action], quote: Action) -> None:
    desk, _ = _play(actions)
    event = _quote_of(quote)
    waiting = [order for order in desk.exchange.orders if order.is_working and order.order_type is OrderType.LIMIT]
    ranks = {order.order_id: (-_limit(order) * order.side.sign, order.priority) for order in waiting}
    reports = desk.happens(event)
    for side, size in ((BUY, event.ask_size), (SELL, event.bid_size)):
        trades = [trade for trade in _trades(reports) if trade.side is side]
        assert size is None or sum((trade.last_qty or 0 for trade in trades), start=Decimal(0)) <= size
        in_turn = [ranks[trade.order_id] for trade in trades if trade.order_id in ranks]
        assert in_turn == sorted(in_turn)
        passed_over = [ranks[order.order_id] for order in waiting if order.is_working and order.side is side]
        assert not in_turn or not passed_over or in_turn[-1] <= min(passed_over)


@given(_actions(("A", "B"), busts=True))
@settings(max_examples=50, deadline=None)
def test_the_same_again_gives_the_same_reports(actions: list[Action]) -> None:
    assert _play(actions)[1] == _play(actions)[1]


@given(_actions(("A", "B", "C")))
@settings(max_examples=100, deadline=None)
def test_what_is_immediate_never_rests_and_a_killed_order_traded_nothing(actions: list[Action]) -> None:
    desk, _ = _play(actions)
    for order in desk.exchange.orders:
        if order.time_in_force in (IOC, FOK):
            assert not order.is_working
        if order.time_in_force is FOK:
            assert order.status is OrderStatus.FILLED or order.cum_quantity == 0


def _quote_of(quote: Action) -> Quote:
    """The event that an action brings to the exchange."""
    seen: list[MarketEvent] = []

    class _Listener(Desk):
        def happens(self, event: MarketEvent) -> list[Report]:
            seen.append(event)
            return []

    quote(_Listener(), 0)
    (event,) = seen
    assert isinstance(event, Quote)
    return event


def _working_limits(desk: Desk, side: Side) -> list[Order]:
    return [
        order
        for order in desk.exchange.orders
        if order.is_working and order.side is side and order.order_type is OrderType.LIMIT
    ]


def _could_trade(order: Order, price: Decimal) -> bool:
    if order.waits_for_trigger:
        return order.stop_price is not None and order.side.opposite.accepts(price, order.stop_price)
    return order.side.accepts(price, order.limit_price)


def _limit(order: Order) -> Decimal:
    assert order.limit_price is not None
    return order.limit_price
