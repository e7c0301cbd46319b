"""The orders of each kind that are tried against the venue, and how a list of numbers becomes one of their lives."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tests.trading.desk import bracket_spec, single_spec
from tests.trading.venue_model import Game
from trading.orders import OrderType, Side, TimeInForce
from trading.retry import RetryPolicy
from trading.specs import (
    AtEnd,
    Execution,
    FlattenSpec,
    IcebergSpec,
    Leg,
    MultiLegSpec,
    OcoEntry,
    OcoSpec,
    OnLegFailure,
    OtoSpec,
    Rung,
    ScaleSpec,
    Spec,
    Trail,
    TrailingSpec,
    TwapSpec,
)

MOST_MISCHIEF = 9


def play(kind: str, numbers: Sequence[int], *, thorough: bool = True) -> Game:
    """One life of an order; the first number says which order, and how much may go wrong.

    Where a promise is broken, the error is told with all that had happened. Not `thorough`: not every state is tried
    for all that should hold of states.
    """
    try:
        game = _begin(kind, numbers, thorough=thorough)
        _go_on(game, numbers)
    except Exception:
        # Once more, in words: they take time.
        game = _begin(kind, numbers, is_told=True)
        try:
            _go_on(game, numbers)
        except Exception as error:
            error.add_note("\n".join(game.story))
            raise
        raise
    return game


def _begin(kind: str, numbers: Sequence[int], *, thorough: bool = True, is_told: bool = False) -> Game:
    specs = PLAYS[kind]
    which, number = divmod(numbers[0] if numbers else 0, len(specs))
    which, mischief = divmod(which, MOST_MISCHIEF + 1)
    game = Game(specs[number], mischief, thorough=thorough, is_told=is_told)
    game.refuses_closes = kind == "flatten" and which % 4 == 3
    return game


def _go_on(game: Game, numbers: Sequence[int]) -> None:
    game.play(numbers[1:])
    game.finish()


def _changed(spec: Spec, **changes: object) -> Spec:
    return msgspec.structs.replace(spec, **changes)


_SHORT = {"side": Side.SELL, "stop_price": Decimal(3050), "take_profit_price": Decimal(2950)}
_AT_MARKET = {"entry_type": OrderType.MARKET, "entry_price": None}
_AT_STOP = {"entry_type": OrderType.STOP}
_RETRY = RetryPolicy(attempts=3)


def _brackets(**changes: object) -> list[Spec]:
    brackets = [
        bracket_spec(),
        bracket_spec(**_SHORT),
        bracket_spec(**_AT_MARKET, when_reopened="close"),
        bracket_spec(**_SHORT, **_AT_STOP, when_reopened="close", valid_for=None),
        bracket_spec(retry=_RETRY, time_in_force=TimeInForce.DAY),
    ]
    return [_changed(each, **changes) for each in brackets]


def _entry(side: Side, price: int, *, at_stop: bool = False, stop: int | None = None) -> OcoEntry:
    return OcoEntry(
        side=side,
        quantity=Decimal(10),
        order_type=OrderType.STOP if at_stop else OrderType.LIMIT,
        price=Decimal(price),
        exit_stop_price=None if stop is None else Decimal(stop),
        exit_take_profit_price=None if stop is None else Decimal(2 * price - stop),
    )


def _ocos(**changes: object) -> list[Spec]:
    buy, sell = Side.BUY, Side.SELL
    pairs = [
        (_entry(buy, 3050, at_stop=True, stop=3000), _entry(sell, 2950, at_stop=True, stop=3000)),
        (_entry(buy, 3050, at_stop=True), _entry(sell, 2950, at_stop=True)),
        (_entry(buy, 2950, stop=2920), _entry(buy, 3050, at_stop=True, stop=3000)),
        (_entry(sell, 3040), _entry(buy, 2960)),
    ]
    ocos = [OcoSpec(order_id="oco-1", symbol="IBM", entries=pair, valid_for=60) for pair in pairs]
    return [
        _changed(each, when_reopened="close" if number % 2 else "protect", **changes)
        for number, each in enumerate(ocos)
    ]


def _leg(symbol: str, side: Side, quantity: int, price: int | None = 50) -> Leg:
    at_market = price is None
    return Leg(
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        order_type=OrderType.MARKET if at_market else OrderType.LIMIT,
        price=None if price is None else Decimal(price),
        reference_price=Decimal(50) if at_market else None,
    )


_CHAINS = (
    (_leg("A", Side.BUY, 10), _leg("B", Side.SELL, 5)),
    (_leg("A", Side.BUY, 6), _leg("B", Side.SELL, 12, None), _leg("C", Side.BUY, 4)),
    (_leg("A", Side.SELL, 4), _leg("B", Side.SELL, 8)),
    (_leg("A", Side.BUY, 9), _leg("B", Side.SELL, 7), _leg("C", Side.BUY, 3)),
)


def _chains() -> list[Spec]:
    chains: list[Spec] = [OtoSpec(order_id="oto-1", orders=each, valid_for=60) for each in _CHAINS]
    return [
        *chains,
        OtoSpec(order_id="oto-1", orders=_CHAINS[2], lot=Decimal(4)),
        OtoSpec(order_id="oto-1", orders=_CHAINS[1], lot=Decimal(2), retry=_RETRY),
    ]


def _multi_legs() -> list[Spec]:
    pair = (_leg("A", Side.BUY, 10), _leg("B", Side.SELL, 10))
    all_at_once: list[Spec] = [
        MultiLegSpec(order_id="legs-1", legs=legs, on_leg_failure=policy, valid_for=60, retry=retry)
        for policy in OnLegFailure
        for legs, retry in ((pair, None), (_CHAINS[1], _RETRY), (_CHAINS[3], None))
    ]
    following: list[Spec] = [
        MultiLegSpec(
            order_id="legs-1",
            legs=legs,
            execution=Execution.LEAD_FOLLOW,
            on_leg_failure=policy,
            valid_for=60,
            lot=lot,
            retry=retry,
        )
        for policy in OnLegFailure
        for legs, lot, retry in (
            (_CHAINS[0], Decimal(1), None),
            (_CHAINS[1], Decimal(2), None),
            (_CHAINS[3], Decimal(1), _RETRY),
        )
    ]
    return [*all_at_once, *following, MultiLegSpec(order_id="legs-1", legs=pair, all_or_none=True)]


def _trailings(**changes: object) -> list[Spec]:
    held = TrailingSpec(
        order_id="trail-1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(10),
        entry_type=None,
        start_price=Decimal(3000),
        trail=Trail(amount=Decimal(50), step=Decimal(10), tick=Decimal(1)),
        valid_for=60,
    )
    entered = {"entry_type": OrderType.LIMIT, "entry_price": Decimal(3000), "start_price": None}
    percent = Trail(percent=Decimal("1.5"), tick=Decimal("0.5"))
    trailings = [
        held,
        _changed(held, side=Side.SELL, take_profit_price=Decimal(2900)),
        _changed(held, **entered, take_profit_price=Decimal(3080)),
        _changed(held, **entered, side=Side.SELL, trail=percent, when_reopened="close"),
        _changed(held, entry_type=OrderType.MARKET, start_price=None, trail=percent, take_profit_price=Decimal(3100)),
        _changed(held, entry_type=OrderType.STOP, entry_price=Decimal(3020), start_price=None),
    ]
    return [_changed(each, **changes) for each in trailings]


def _twaps() -> list[Spec]:
    twap = TwapSpec(
        order_id="twap-1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(20),
        duration=60,
        slices=4,
        limit_price=Decimal(3000),
    )
    at_market = {"limit_price": None, "reference_price": Decimal(3000)}
    return [
        twap,
        _changed(twap, at_end=AtEnd.CROSS),
        _changed(twap, **at_market, at_end=AtEnd.CROSS, lot=Decimal(2), side=Side.SELL),
        _changed(twap, quantity=Decimal(21), lot=Decimal(3), valid_for=50, retry=_RETRY),
    ]


def _icebergs() -> list[Spec]:
    iceberg = IcebergSpec(
        order_id="ice-1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(10),
        limit_price=Decimal(3000),
        display_quantity=Decimal(4),
    )
    return [iceberg, _changed(iceberg, side=Side.SELL, valid_for=60, retry=_RETRY)]


def _scales(**changes: object) -> list[Spec]:
    rungs = tuple(Rung(quantity=Decimal(each), price=Decimal(3000 - 10 * each)) for each in (2, 3, 4))
    ladder = ScaleSpec(
        order_id="scale-1",
        symbol="IBM",
        side=Side.BUY,
        rungs=rungs,
        stop_price=Decimal(2900),
        take_profit_price=Decimal(3100),
        valid_for=60,
    )
    short = {"side": Side.SELL, "stop_price": Decimal(3100), "take_profit_price": Decimal(2900)}
    scales = [ladder, _changed(ladder, **short, when_reopened="close"), _changed(ladder, retry=_RETRY, valid_for=None)]
    return [_changed(each, **changes) for each in scales]


def _flattens() -> list[Spec]:
    flatten = FlattenSpec(
        order_id="flat-1", symbol="IBM", side=Side.BUY, quantity=Decimal(10), reference_price=Decimal(3000)
    )
    return [flatten, _changed(flatten, side=Side.SELL, valid_for=60)]


def _stop_single(**changes: object) -> Spec:
    return single_spec(order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(3050), **changes)


PLAYS: dict[str, list[Spec]] = {
    "single": [
        single_spec(),
        _stop_single(side=Side.SELL),
        single_spec(order_type=OrderType.MARKET, limit_price=None),
        single_spec(retry=_RETRY, valid_for=None, time_in_force=TimeInForce.DAY),
    ],
    "single_synthetic": [
        _stop_single(synthetic=True),
        _stop_single(synthetic=True, side=Side.SELL, retry=_RETRY, valid_for=None),
    ],
    "bracket": _brackets(),
    "bracket_synthetic": _brackets(synthetic=True),
    "oco": _ocos(),
    "oco_synthetic": _ocos(synthetic=True),
    "oto": _chains(),
    "multi_leg": _multi_legs(),
    "trailing": _trailings(),
    "trailing_synthetic": _trailings(synthetic=True),
    "twap": _twaps(),
    "iceberg": _icebergs(),
    "scale": _scales(),
    "scale_synthetic": _scales(synthetic=True),
    "flatten": _flattens(),
}
"""The orders of each kind."""
