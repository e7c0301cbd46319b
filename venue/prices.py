"""What the replayed market does: the events of `POST /prices`. A size of None is unknown and taken as unlimited."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

_Symbol = Annotated[str, msgspec.Meta(min_length=1)]


class Quote(msgspec.Struct, frozen=True, kw_only=True, tag="quote", tag_field="kind", forbid_unknown_fields=True):
    """Best bid and offer. A price of None: not known, so that side stays as it was."""

    symbol: _Symbol
    bid: Decimal | None
    ask: Decimal | None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None

    def __post_init__(self) -> None:
        _check_price("bid", self.bid)
        _check_price("ask", self.ask)
        _check_size("bid_size", self.bid_size)
        _check_size("ask_size", self.ask_size)


class Print(msgspec.Struct, frozen=True, kw_only=True, tag="trade", tag_field="kind", forbid_unknown_fields=True):
    """A trade in the market: both sides of the touch are at its price from then on, each with its size."""

    symbol: _Symbol
    price: Decimal
    size: Decimal | None = None

    def __post_init__(self) -> None:
        _check_price("price", self.price)
        _check_size("size", self.size)


class Range(msgspec.Struct, frozen=True, kw_only=True, tag="range", tag_field="kind", forbid_unknown_fields=True):
    """Within a bar the price moved through [low, high]: for stops or for limit orders only. Takes the touch away."""

    symbol: _Symbol
    low: Decimal
    high: Decimal
    only: Literal["stops", "limits"]

    def __post_init__(self) -> None:
        _check_price("low", self.low)
        _check_price("high", self.high)
        if self.low > self.high:
            raise ValueError(f"`low` is {self.low}, `high` is {self.high}: low must not be above high")


class Close(msgspec.Struct, frozen=True, kw_only=True, tag="close", tag_field="kind", forbid_unknown_fields=True):
    """The symbol's market closes until its next quote or trade."""

    symbol: _Symbol


MarketEvent = Quote | Print | Range | Close


def _check_price(name: str, price: Decimal | None) -> None:
    if price is not None and not (price.is_finite() and price > 0):
        raise ValueError(f"`{name}` is {price}: a price is a number above 0")


def _check_size(name: str, size: Decimal | None) -> None:
    if size is not None and not (size.is_finite() and size >= 0):
        raise ValueError(f"`{name}` is {size}: a size is a number, 0 or more, or null where it is not known")
