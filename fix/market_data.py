"""The market data messages of FIX 4.4, typed: builders for who sends them, readers for who receives them.

V MarketDataRequest, W MarketDataSnapshotFullRefresh, X MarketDataIncrementalRefresh, Y MarketDataRequestReject. Names,
tags, what is required and the order of the fields are those of FIX 4.4 volume 3 ("Market data"). Prices are in the
instrument's currency, sizes in its units, times in UTC. A builder or reader raises `FieldError` (or `MissingTag`, which
is one) naming the tag, the value and what would be right.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from fix.groups import (
    Group,
    build,
    date_field,
    expect_type,
    number_field,
    optional_field,
    read_date,
    read_enum,
    read_number,
    read_optional_enum,
    read_size,
    size_field,
    text_field,
)
from fix.message import Field, FieldError, Message, MissingTag
from fix.values import format_timestamp, parse_integer, parse_timestamp


class MsgType:
    """MsgType (35) of the messages here."""

    MARKET_DATA_REQUEST = "V"
    MARKET_DATA_SNAPSHOT_FULL_REFRESH = "W"
    MARKET_DATA_INCREMENTAL_REFRESH = "X"
    MARKET_DATA_REQUEST_REJECT = "Y"


class SubscriptionRequestType(StrEnum):
    """SubscriptionRequestType (263)."""

    SNAPSHOT = "0"
    SNAPSHOT_AND_UPDATES = "1"
    DISABLE_PREVIOUS = "2"


class MDUpdateType(StrEnum):
    """MDUpdateType (265): whether updates are snapshots (W) or changes (X)."""

    FULL_REFRESH = "0"
    INCREMENTAL_REFRESH = "1"


class MDEntryType(StrEnum):
    """MDEntryType (269)."""

    BID = "0"
    OFFER = "1"
    TRADE = "2"
    INDEX_VALUE = "3"
    OPENING_PRICE = "4"
    CLOSING_PRICE = "5"
    SETTLEMENT_PRICE = "6"
    TRADING_SESSION_HIGH_PRICE = "7"
    TRADING_SESSION_LOW_PRICE = "8"
    TRADING_SESSION_VWAP_PRICE = "9"
    IMBALANCE = "A"
    TRADE_VOLUME = "B"
    OPEN_INTEREST = "C"


class MDUpdateAction(StrEnum):
    """MDUpdateAction (279)."""

    NEW = "0"
    CHANGE = "1"
    DELETE = "2"


class MDReqRejReason(StrEnum):
    """MDReqRejReason (281)."""

    UNKNOWN_SYMBOL = "0"
    DUPLICATE_MD_REQ_ID = "1"
    INSUFFICIENT_BANDWIDTH = "2"
    INSUFFICIENT_PERMISSIONS = "3"
    UNSUPPORTED_SUBSCRIPTION_REQUEST_TYPE = "4"
    UNSUPPORTED_MARKET_DEPTH = "5"
    UNSUPPORTED_MD_UPDATE_TYPE = "6"
    UNSUPPORTED_AGGREGATED_BOOK = "7"
    UNSUPPORTED_MD_ENTRY_TYPE = "8"
    UNSUPPORTED_TRADING_SESSION_ID = "9"
    UNSUPPORTED_SCOPE = "A"
    UNSUPPORTED_OPEN_CLOSE_SETTLE_FLAG = "B"
    UNSUPPORTED_MD_IMPLICIT_DELETE = "C"


class MarketDataRequest(msgspec.Struct, frozen=True, kw_only=True):
    """35=V. `market_depth` (264) is how many levels of the book: 0 all of it, 1 the best.

    `md_req_id` is the request's, new for each, or the one whose updates shall end (DISABLE_PREVIOUS).
    """

    md_req_id: str
    subscription_request_type: SubscriptionRequestType
    market_depth: int
    md_update_type: MDUpdateType | None
    md_entry_types: tuple[MDEntryType, ...]
    symbols: tuple[str, ...]


class MDFullEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of NoMDEntries (268) in a snapshot. `md_entry_time` is a time of day in UTC.

    MDEntryID (278) has its place there only from FIX 5.0 on: in 4.4, it is for peers who have agreed on it.
    """

    md_entry_type: MDEntryType
    md_entry_px: Decimal | None = None
    md_entry_size: Decimal | None = None
    md_entry_id: str | None = None
    md_entry_date: date | None = None
    md_entry_time: time | None = None


class MarketDataSnapshotFullRefresh(msgspec.Struct, frozen=True, kw_only=True):
    """35=W: all of one instrument that was asked for. `md_req_id` is None where nobody asked; no entries: no market."""

    md_req_id: str | None
    symbol: str
    entries: tuple[MDFullEntry, ...]


class MDIncEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of NoMDEntries (268) in an incremental refresh.

    A new one without `symbol` and `md_entry_ref_id` is of the instrument of the entry before it (volume 3). A changed
    one has the `md_entry_id` that it is known by, or a new one and the old as `md_entry_ref_id`.
    """

    md_update_action: MDUpdateAction
    md_entry_type: MDEntryType | None = None
    md_entry_id: str | None = None
    md_entry_ref_id: str | None = None
    symbol: str | None = None
    md_entry_px: Decimal | None = None
    md_entry_size: Decimal | None = None
    md_entry_date: date | None = None
    md_entry_time: time | None = None


class MarketDataIncrementalRefresh(msgspec.Struct, frozen=True, kw_only=True):
    """35=X: what has changed, to be applied in the order of the entries."""

    md_req_id: str | None
    entries: tuple[MDIncEntry, ...]


class MarketDataRequestReject(msgspec.Struct, frozen=True, kw_only=True):
    """35=Y."""

    md_req_id: str
    md_req_rej_reason: MDReqRejReason | None
    text: str


def market_data_request(
    *,
    md_req_id: str,
    subscription_request_type: SubscriptionRequestType,
    market_depth: int,
    md_entry_types: tuple[MDEntryType, ...],
    symbols: tuple[str, ...],
    md_update_type: MDUpdateType | None = None,
) -> Message:
    """35=V. Who asks for updates says of which kind."""
    _check_request(subscription_request_type, md_update_type, market_depth)
    return build(
        MsgType.MARKET_DATA_REQUEST,
        text_field(262, md_req_id),
        (263, subscription_request_type.value),
        (264, str(market_depth)),
        optional_field(265, md_update_type),
        *_at_least_one(_ENTRY_TYPES, [[(269, entry_type.value)] for entry_type in md_entry_types]),
        *_at_least_one(_SYMBOLS, [[text_field(55, symbol)] for symbol in symbols]),
    )


def market_data_snapshot_full_refresh(
    *, symbol: str, entries: Iterable[MDFullEntry], md_req_id: str | None = None
) -> Message:
    """35=W. An entry has a price, unless it is an imbalance, a volume or an open interest; and a size, if it is a bid,
    an offer, a trade, a volume or an open interest (volume 3)."""
    return build(
        MsgType.MARKET_DATA_SNAPSHOT_FULL_REFRESH,
        optional_field(262, md_req_id),
        text_field(55, symbol),
        *_FULL_ENTRIES.fields(_full_entry(entry) for entry in entries),
    )


def market_data_incremental_refresh(*, entries: Iterable[MDIncEntry], md_req_id: str | None = None) -> Message:
    """35=X. A new entry says its type, and its price and size as in a snapshot; the first also of which instrument."""
    given = tuple(entries)
    _check_first(given)
    return build(
        MsgType.MARKET_DATA_INCREMENTAL_REFRESH,
        optional_field(262, md_req_id),
        *_at_least_one(_INC_ENTRIES, [_inc_entry(entry) for entry in given]),
    )


def market_data_request_reject(
    *, md_req_id: str, md_req_rej_reason: MDReqRejReason | None = None, text: str = ""
) -> Message:
    """35=Y."""
    return build(
        MsgType.MARKET_DATA_REQUEST_REJECT,
        text_field(262, md_req_id),
        optional_field(281, md_req_rej_reason),
        optional_field(58, text),
    )


def read_market_data_request(message: Message) -> MarketDataRequest:
    """35=V."""
    expect_type(message, MsgType.MARKET_DATA_REQUEST)
    subscription = read_enum(SubscriptionRequestType, 263, message.require(263))
    update_type = read_optional_enum(message, MDUpdateType, 265)
    depth = parse_integer(264, message.require(264))
    _check_request(subscription, update_type, depth)
    return MarketDataRequest(
        md_req_id=message.require(262),
        subscription_request_type=subscription,
        market_depth=depth,
        md_update_type=update_type,
        md_entry_types=tuple(
            read_enum(MDEntryType, 269, entry.require(269)) for entry in _read_at_least_one(_ENTRY_TYPES, message)
        ),
        symbols=tuple(entry.require(55) for entry in _read_at_least_one(_SYMBOLS, message)),
    )


def read_market_data_snapshot_full_refresh(message: Message) -> MarketDataSnapshotFullRefresh:
    """35=W. An entry may be without a size."""
    expect_type(message, MsgType.MARKET_DATA_SNAPSHOT_FULL_REFRESH)
    message.require(268)
    return MarketDataSnapshotFullRefresh(
        md_req_id=message.get(262),
        symbol=message.require(55),
        entries=tuple(_read_full_entry(entry) for entry in _FULL_ENTRIES.read(message)),
    )


def read_market_data_incremental_refresh(message: Message) -> MarketDataIncrementalRefresh:
    """35=X. An entry may be without a size."""
    expect_type(message, MsgType.MARKET_DATA_INCREMENTAL_REFRESH)
    entries = tuple(_read_inc_entry(entry) for entry in _read_at_least_one(_INC_ENTRIES, message))
    _check_first(entries)
    return MarketDataIncrementalRefresh(md_req_id=message.get(262), entries=entries)


def read_market_data_request_reject(message: Message) -> MarketDataRequestReject:
    """35=Y."""
    expect_type(message, MsgType.MARKET_DATA_REQUEST_REJECT)
    return MarketDataRequestReject(
        md_req_id=message.require(262),
        md_req_rej_reason=read_optional_enum(message, MDReqRejReason, 281),
        text=message.get(58) or "",
    )


_ENTRY_TYPES = Group(267, 269)
_SYMBOLS = Group(146, 55)
_FULL_ENTRIES = Group(268, 269, 278, 270, 271, 272, 273)
_INC_ENTRIES = Group(268, 279, 269, 278, 280, 55, 270, 271, 272, 273)

_WITHOUT_PRICE = frozenset({MDEntryType.IMBALANCE, MDEntryType.TRADE_VOLUME, MDEntryType.OPEN_INTEREST})
_WITH_SIZE = frozenset(
    {MDEntryType.BID, MDEntryType.OFFER, MDEntryType.TRADE, MDEntryType.TRADE_VOLUME, MDEntryType.OPEN_INTEREST}
)
_SOME_DAY = date(2000, 1, 1)
"""What a time of day needs, to be handled as the timestamp that it is a part of."""


def _at_least_one(group: Group, entries: list[list[Field | None]]) -> list[Field]:
    if not entries:
        raise FieldError(group.count, 0, "1 or more")
    return group.fields(entries)


def _read_at_least_one(group: Group, message: Message) -> tuple[Message, ...]:
    said = message.require(group.count)
    entries = group.read(message)
    if not entries:
        raise FieldError(group.count, said, "1 or more")
    return entries


def _full_entry(entry: MDFullEntry) -> list[Field | None]:
    _check_price(entry.md_entry_type, entry.md_entry_px)
    _check_size(entry.md_entry_type, entry.md_entry_size)
    return [(269, entry.md_entry_type.value), optional_field(278, entry.md_entry_id), *_amounts(entry)]


def _inc_entry(entry: MDIncEntry) -> list[Field | None]:
    if entry.md_update_action is MDUpdateAction.NEW:
        _check_new(entry)
        _check_size(entry.md_entry_type, entry.md_entry_size)
    return [
        (279, entry.md_update_action.value),
        optional_field(269, entry.md_entry_type),
        optional_field(278, entry.md_entry_id),
        optional_field(280, entry.md_entry_ref_id),
        optional_field(55, entry.symbol),
        *_amounts(entry),
    ]


def _amounts(entry: MDFullEntry | MDIncEntry) -> list[Field | None]:
    return [
        number_field(270, entry.md_entry_px),
        size_field(271, entry.md_entry_size),
        date_field(272, entry.md_entry_date),
        _time_field(273, entry.md_entry_time),
    ]


def _read_full_entry(entry: Message) -> MDFullEntry:
    entry_type, price = read_enum(MDEntryType, 269, entry.require(269)), read_number(entry, 270)
    _check_price(entry_type, price)
    return MDFullEntry(
        md_entry_type=entry_type,
        md_entry_px=price,
        md_entry_size=read_size(entry, 271),
        md_entry_id=entry.get(278),
        md_entry_date=read_date(entry, 272),
        md_entry_time=_read_time(entry, 273),
    )


def _read_inc_entry(message: Message) -> MDIncEntry:
    entry = MDIncEntry(
        md_update_action=read_enum(MDUpdateAction, 279, message.require(279)),
        md_entry_type=read_optional_enum(message, MDEntryType, 269),
        md_entry_id=message.get(278),
        md_entry_ref_id=message.get(280),
        symbol=message.get(55),
        md_entry_px=read_number(message, 270),
        md_entry_size=read_size(message, 271),
        md_entry_date=read_date(message, 272),
        md_entry_time=_read_time(message, 273),
    )
    if entry.md_update_action is MDUpdateAction.NEW:
        _check_new(entry)
    return entry


# What volume 3 has "conditionally required"


def _check_request(subscription: SubscriptionRequestType, update_type: MDUpdateType | None, market_depth: int) -> None:
    if subscription is SubscriptionRequestType.SNAPSHOT_AND_UPDATES and update_type is None:
        raise MissingTag(265, "V with SubscriptionRequestType (263) 1")
    if market_depth < 0:
        raise FieldError(264, market_depth, "0 for the whole book, or a number of levels")


def _check_first(entries: tuple[MDIncEntry, ...]) -> None:
    """The first, if new, says its instrument: there is none before it to have it from."""
    for entry in entries[:1]:
        if entry.md_update_action is MDUpdateAction.NEW and not entry.symbol and not entry.md_entry_ref_id:
            raise MissingTag(55, "X whose first entry is new (279=0) and has no MDEntryRefID (280)")


def _check_new(entry: MDIncEntry) -> None:
    if entry.md_entry_type is None:
        raise MissingTag(269, "X in a new entry (279=0)")
    _check_price(entry.md_entry_type, entry.md_entry_px)


def _check_price(entry_type: MDEntryType, price: Decimal | None) -> None:
    if price is None and entry_type not in _WITHOUT_PRICE:
        raise MissingTag(270, f"W or X in an entry of MDEntryType {entry_type.value}")


def _check_size(entry_type: MDEntryType | None, size: Decimal | None) -> None:
    if size is None and entry_type in _WITH_SIZE:
        raise MissingTag(271, f"W or X in an entry of MDEntryType {entry_type}")


def _time_field(tag: int, at: time | None) -> Field | None:
    """UTCTimeOnly, in milliseconds."""
    if at is None:
        return None
    if at.utcoffset() != timedelta(0):
        raise FieldError(tag, at.isoformat(), "a time of day in UTC")
    return (tag, format_timestamp(tag, datetime.combine(_SOME_DAY, at, UTC))[9:])


def _read_time(message: Message, tag: int) -> time | None:
    text = message.get(tag)
    if text is None:
        return None
    try:
        return parse_timestamp(tag, f"20000101-{text}").timetz()
    except FieldError:
        raise FieldError(tag, text, "a UTC time of day such as 13:30:00.072", reason=6) from None
