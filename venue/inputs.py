"""All that ever changes the venue, as plain records that go to JSON and back: what members ask, the market and the
venue's own doings. `received_at` is the machine's time (UTC); the market's own comes with its prices.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from venue.prices import MarketEvent


class Input(msgspec.Struct, frozen=True, kw_only=True, tag_field="input"):
    """What all of them have."""

    received_at: datetime


class MemberAsked(Input, frozen=True, kw_only=True, tag="member_asked"):
    """An application message of a member, with all its fields as they came; `number` is its MsgSeqNum (34)."""

    session: str
    number: int
    msg_type: str
    fields: tuple[tuple[int, str], ...]


class PricesCame(Input, frozen=True, kw_only=True, tag="prices_came"):
    """`at` is the market's time from then on; None: it is the machine's."""

    events: list[MarketEvent]
    at: datetime | None


class DayEnded(Input, frozen=True, kw_only=True, tag="day_ended"):
    at: datetime


class OrderCanceled(Input, frozen=True, kw_only=True, tag="order_canceled"):
    """By the venue, unasked. `session` says whose where several use the ClOrdID."""

    cl_ord_id: str
    session: str | None


class OrderRestated(Input, frozen=True, kw_only=True, tag="order_restated"):
    cl_ord_id: str
    quantity: Decimal
    session: str | None


class TradeBusted(Input, frozen=True, kw_only=True, tag="trade_busted"):
    exec_id: str


class TradeCorrected(Input, frozen=True, kw_only=True, tag="trade_corrected"):
    exec_id: str
    quantity: Decimal
    price: Decimal


AnyInput = MemberAsked | PricesCame | DayEnded | OrderCanceled | OrderRestated | TradeBusted | TradeCorrected
