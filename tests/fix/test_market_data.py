from collections.abc import Callable
from datetime import UTC, date, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix import market_data
from fix.codec import encode
from fix.dictionary import shipped
from fix.groups import Group, read_size, size_field
from fix.market_data import (
    MDEntryType,
    MDFullEntry,
    MDIncEntry,
    MDReqRejReason,
    MDUpdateAction,
    MDUpdateType,
    SubscriptionRequestType,
)
from fix.message import Field, FieldError, Message, MissingTag
from tests.fix.wire import decode, refusal

HEADER = [(49, "A"), (56, "B"), (34, "1"), (52, "20131007-13:30:00.072")]
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
PRICES = st.decimals("-1000", "1000000", places=5)
SIZES = st.decimals("0", "1000000000", places=2)
DATES = st.dates(date(1999, 1, 1), date(2100, 1, 1))
TIMES = st.times(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, fold=0))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def over_the_wire(message: Message, begin_string: str = "FIX.4.4") -> Message:
    """What arrives of it: a message that the dictionary finds nothing wrong with."""
    (received,) = decode(encode(begin_string, message.msg_type, HEADER, message.fields))
    assert shipped(begin_string).check(received) is None
    return received


# ---- the messages


@given(
    st.fixed_dictionaries(
        {
            "md_req_id": IDS,
            "subscription_request_type": st.sampled_from(SubscriptionRequestType),
            "market_depth": st.integers(0, 1000),
            "md_update_type": st.sampled_from(MDUpdateType),
            "md_entry_types": st.lists(st.sampled_from(MDEntryType), min_size=1, max_size=5).map(tuple),
            "symbols": st.lists(IDS, min_size=1, max_size=5).map(tuple),
        }
    )
)
def test_a_request_arrives_as_it_was_built(fields: dict[str, Any]) -> None:
    received = market_data.read_market_data_request(over_the_wire(market_data.market_data_request(**fields)))
    assert msgspec.structs.asdict(received) == fields


@pytest.mark.parametrize("kind", [SubscriptionRequestType.SNAPSHOT, SubscriptionRequestType.DISABLE_PREVIOUS])
def test_who_asks_for_no_updates_need_not_say_of_which_kind(kind: SubscriptionRequestType) -> None:
    message = request(subscription_request_type=kind, md_update_type=None)
    assert market_data.read_market_data_request(over_the_wire(message)).md_update_type is None


AMOUNTS = {
    "md_entry_px": PRICES,
    "md_entry_size": SIZES,
    "md_entry_date": maybe(DATES),
    "md_entry_time": maybe(TIMES),
}
FULL_ENTRIES = st.builds(MDFullEntry, md_entry_type=st.sampled_from(MDEntryType), **AMOUNTS)
INC_ENTRIES = st.builds(
    MDIncEntry,
    md_update_action=st.sampled_from(MDUpdateAction),
    md_entry_type=st.sampled_from(MDEntryType),
    md_entry_id=maybe(IDS),
    md_entry_ref_id=maybe(IDS),
    symbol=maybe(IDS),
    **AMOUNTS,
)
CHANGES = st.builds(
    MDIncEntry,
    md_update_action=st.sampled_from([MDUpdateAction.CHANGE, MDUpdateAction.DELETE]),
    md_entry_id=maybe(IDS),
    md_entry_size=maybe(SIZES),
)


@given(maybe(IDS), IDS, st.lists(FULL_ENTRIES, max_size=5))
def test_a_snapshot_arrives_as_it_was_built(md_req_id: str | None, symbol: str, entries: list[MDFullEntry]) -> None:
    fields: dict[str, Any] = {"md_req_id": md_req_id, "symbol": symbol, "entries": tuple(entries)}
    message = market_data.market_data_snapshot_full_refresh(**fields)
    received = market_data.read_market_data_snapshot_full_refresh(over_the_wire(message))
    assert msgspec.structs.asdict(received) == fields


@given(maybe(IDS), IDS, INC_ENTRIES, st.lists(INC_ENTRIES | CHANGES, max_size=5))
def test_an_incremental_refresh_arrives_as_it_was_built(
    md_req_id: str | None, symbol: str, first: MDIncEntry, others: list[MDIncEntry]
) -> None:
    entries = (msgspec.structs.replace(first, symbol=symbol), *others)
    message = market_data.market_data_incremental_refresh(md_req_id=md_req_id, entries=entries)
    received = market_data.read_market_data_incremental_refresh(over_the_wire(message))
    assert received == market_data.MarketDataIncrementalRefresh(md_req_id=md_req_id, entries=entries)


@given(
    st.fixed_dictionaries(
        {"md_req_id": IDS, "md_req_rej_reason": maybe(st.sampled_from(MDReqRejReason)), "text": st.just("") | IDS}
    )
)
def test_a_request_reject_arrives_as_it_was_built(fields: dict[str, Any]) -> None:
    message = market_data.market_data_request_reject(**fields)
    received = market_data.read_market_data_request_reject(over_the_wire(message))
    assert msgspec.structs.asdict(received) == fields


BID = MDFullEntry(md_entry_type=MDEntryType.BID, md_entry_px=Decimal("1.5"), md_entry_size=Decimal(7))


def test_an_entry_of_a_snapshot_can_have_an_id_for_peers_who_have_agreed_on_it() -> None:
    entry = msgspec.structs.replace(BID, md_entry_id="b1")
    message = market_data.market_data_snapshot_full_refresh(symbol="IBM", entries=[entry, BID])
    (received,) = decode(encode("FIX.4.4", "W", HEADER, message.fields))
    assert market_data.read_market_data_snapshot_full_refresh(received).entries == (entry, BID)


def test_the_fields_of_an_entry_are_in_the_order_of_the_dictionary() -> None:
    entry = MDIncEntry(
        md_update_action=MDUpdateAction.NEW,
        md_entry_type=MDEntryType.BID,
        md_entry_id="b2",
        md_entry_ref_id="b1",
        symbol="IBM",
        md_entry_px=Decimal("1.5"),
        md_entry_size=Decimal(7),
        md_entry_date=date(2013, 10, 7),
        md_entry_time=time(13, 30, 0, 72_000, UTC),
    )
    message = market_data.market_data_incremental_refresh(md_req_id="r1", entries=[entry])
    assert message.fields == (
        (262, "r1"),
        (268, "1"),
        (279, "0"),
        (269, "0"),
        (278, "b2"),
        (280, "b1"),
        (55, "IBM"),
        (270, "1.5"),
        (271, "7"),
        (272, "20131007"),
        (273, "13:30:00.072"),
    )


def test_a_request_has_its_groups_one_after_the_other() -> None:
    assert request().fields == (
        (262, "r1"),
        (263, "1"),
        (264, "0"),
        (265, "1"),
        (267, "2"),
        (269, "0"),
        (269, "1"),
        (146, "2"),
        (55, "IBM"),
        (55, "MSFT"),
    )


# ---- what is refused


def request(**changed: Any) -> Message:
    fields: dict[str, Any] = {
        "md_req_id": "r1",
        "subscription_request_type": SubscriptionRequestType.SNAPSHOT_AND_UPDATES,
        "market_depth": 0,
        "md_update_type": MDUpdateType.INCREMENTAL_REFRESH,
        "md_entry_types": (MDEntryType.BID, MDEntryType.OFFER),
        "symbols": ("IBM", "MSFT"),
    }
    return market_data.market_data_request(**{**fields, **changed})


@pytest.mark.parametrize(
    ("changed", "tag", "what"),
    [
        ({"md_req_id": ""}, 262, "a value"),
        ({"market_depth": -1}, 264, "a number of levels"),
        ({"md_update_type": None}, 265, r"type V with SubscriptionRequestType \(263\) 1"),
        ({"md_entry_types": ()}, 267, "1 or more"),
        ({"symbols": ()}, 146, "1 or more"),
        ({"symbols": ("IBM", "")}, 55, "a value"),
    ],
)
def test_a_request_that_is_wrong_is_not_built(changed: dict[str, Any], tag: int, what: str) -> None:
    with pytest.raises(FieldError, match=what) as caught:
        request(**changed)
    assert caught.value.tag == tag


NEW_BID = MDIncEntry(
    md_update_action=MDUpdateAction.NEW,
    md_entry_type=MDEntryType.BID,
    symbol="IBM",
    md_entry_px=Decimal(1),
    md_entry_size=Decimal(1),
)


@pytest.mark.parametrize(
    ("changed", "tag", "what"),
    [
        ({"md_entry_type": None}, 269, "type X in a new entry"),
        ({"md_entry_px": None}, 270, "an entry of MDEntryType 0"),
        ({"md_entry_size": None}, 271, "an entry of MDEntryType 0"),
        ({"md_entry_type": MDEntryType.TRADE_VOLUME, "md_entry_px": None, "md_entry_size": None}, 271, "MDEntryType B"),
        ({"md_entry_px": Decimal("NaN")}, 270, "finite"),
        ({"symbol": None}, 55, r"whose first entry is new \(279=0\) and has no MDEntryRefID"),
        ({"md_entry_time": time(13, 30)}, 273, "time of day in UTC"),
        ({"md_entry_time": time(13, 30, tzinfo=timezone(timedelta(hours=1)))}, 273, "time of day in UTC"),
    ],
)
def test_a_new_entry_that_is_wrong_is_not_built(changed: dict[str, Any], tag: int, what: str) -> None:
    entry = msgspec.structs.replace(NEW_BID, **changed)
    with pytest.raises(FieldError, match=what) as caught:
        market_data.market_data_incremental_refresh(entries=[entry])
    assert caught.value.tag == tag


def test_only_the_first_entry_must_say_its_instrument() -> None:
    entries = (NEW_BID, msgspec.structs.replace(NEW_BID, symbol=None))
    message = market_data.market_data_incremental_refresh(entries=entries)
    assert market_data.read_market_data_incremental_refresh(over_the_wire(message)).entries == entries


@pytest.mark.parametrize(
    "entry",
    [
        MDFullEntry(md_entry_type=MDEntryType.IMBALANCE),
        MDFullEntry(md_entry_type=MDEntryType.TRADE_VOLUME, md_entry_size=Decimal(9)),
        MDFullEntry(md_entry_type=MDEntryType.INDEX_VALUE, md_entry_px=Decimal(9)),
    ],
)
def test_an_entry_needs_only_what_its_type_has(entry: MDFullEntry) -> None:
    message = market_data.market_data_snapshot_full_refresh(symbol="IBM", entries=[entry])
    assert market_data.read_market_data_snapshot_full_refresh(over_the_wire(message)).entries == (entry,)


def test_an_incremental_refresh_of_nothing_is_none() -> None:
    with pytest.raises(FieldError, match="tag 268 is 0: it must be 1 or more"):
        market_data.market_data_incremental_refresh(entries=[])


def test_an_entry_may_arrive_without_its_size() -> None:
    message = Message("W", [(55, "IBM"), (268, "1"), (269, "0"), (270, "1.5")])
    assert market_data.read_market_data_snapshot_full_refresh(message).entries[0].md_entry_size is None


W, X = market_data.read_market_data_snapshot_full_refresh, market_data.read_market_data_incremental_refresh
V, Y = market_data.read_market_data_request, market_data.read_market_data_request_reject
ASKED: list[Field] = [(262, "r1"), (263, "0"), (264, "0")]


@pytest.mark.parametrize(
    ("read", "message", "tag", "reason"),
    [
        (V, Message("V", ASKED), 267, 1),
        (V, Message("V", [*ASKED, (267, "1"), (269, "0")]), 146, 1),
        (V, Message("V", [*ASKED, (267, "0"), (146, "1"), (55, "IBM")]), 267, 5),
        (V, Message("V", [*ASKED, (267, "2"), (269, "0"), (146, "1"), (55, "IBM")]), 267, 16),
        (V, Message("V", [*ASKED, (267, "1"), (269, "Z"), (146, "1"), (55, "IBM")]), 269, 5),
        (V, Message("V", [*ASKED, (267, "1"), (269, "0"), (146, "1"), (65, "WI"), (55, "IBM")]), 65, 15),
        (V, Message("V", [*ASKED[1:], (267, "1"), (269, "0"), (146, "1"), (55, "IBM")]), 262, 1),
        (V, Message("V", [(263, "1"), *ASKED[2:]]), 265, 1),
        (V, Message("V", [(263, "3"), *ASKED[2:]]), 263, 5),
        (V, Message("V", [(263, "0"), (264, "-1")]), 264, 5),
        (V, Message("V", [(263, "0"), (264, "all")]), 264, 6),
        (W, Message("W", [(55, "IBM")]), 268, 1),
        (W, Message("W", [(268, "0")]), 55, 1),
        (W, Message("W", [(55, "IBM"), (268, "1"), (269, "0")]), 270, 1),
        (W, Message("W", [(55, "IBM"), (268, "1"), (269, "Z"), (270, "1")]), 269, 5),
        (W, Message("W", [(55, "IBM"), (268, "1"), (270, "1.5"), (269, "0")]), 270, 15),
        (W, Message("W", [(55, "IBM"), (268, "1"), (269, "0"), (270, "1,5")]), 270, 6),
        (W, Message("W", [(55, "IBM"), (268, "1"), (269, "0"), (270, "1"), (272, "7 Oct")]), 272, 6),
        (W, Message("W", [(55, "IBM"), (268, "1"), (269, "0"), (270, "1"), (273, "25:00:00")]), 273, 6),
        (W, Message("W", [(55, "IBM"), (268, "1"), (269, "0"), (270, "1"), (273, "00:00:00-00:00:00")]), 273, 6),
        (X, Message("X", []), 268, 1),
        (X, Message("X", [(268, "0")]), 268, 5),
        (X, Message("X", [(268, "1"), (269, "0"), (279, "0")]), 269, 15),
        (X, Message("X", [(268, "1"), (279, "3")]), 279, 5),
        (X, Message("X", [(268, "1"), (279, "0"), (55, "IBM")]), 269, 1),
        (X, Message("X", [(268, "1"), (279, "0"), (269, "0"), (55, "IBM")]), 270, 1),
        (X, Message("X", [(268, "1"), (279, "0"), (269, "0"), (270, "1")]), 55, 1),
        (Y, Message("Y", []), 262, 1),
        (Y, Message("Y", [(262, "r1"), (281, "Z")]), 281, 5),
        (Y, Message("X", [(262, "r1")]), 35, 5),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(
    read: Callable[[Message], object], message: Message, tag: int, reason: int
) -> None:
    assert refusal(read, message) == (tag, reason)


# ---- groups

PAIRS = Group(10_000, 10_001, 10_002, 10_003)


@given(
    st.lists(
        st.tuples(IDS, st.none() | IDS, st.none() | IDS, st.lists(st.tuples(st.integers(5000, 5005), IDS), max_size=3)),
        max_size=6,
    ),
    st.lists(st.tuples(st.integers(6000, 6005), IDS), max_size=3),
)
def test_entries_are_read_as_they_were_written_whatever_else_is_with_them(
    entries: list[tuple[str, str | None, str | None, list[Field]]], after: list[Field]
) -> None:
    written = [
        [(10_001, first), *unknown, *([(10_002, one)] if one else []), *([(10_003, two)] if two else [])]
        for first, one, two, unknown in entries
    ]
    message = Message("W", [(55, "IBM"), *PAIRS.fields(written), *after])
    named = [[field for field in entry.fields if field[0] in (10_001, 10_002, 10_003)] for entry in PAIRS.read(message)]
    assert named == [[field for field in entry if field[0] >= 10_000] for entry in written]


def test_a_group_that_is_not_there_has_no_entries() -> None:
    assert PAIRS.read(Message("W", [(55, "IBM")])) == ()
    assert PAIRS.read(Message("W", [(10_000, "0"), (55, "IBM")])) == ()


def test_a_field_that_is_not_named_stays_with_its_entry_and_one_after_the_group_does_not() -> None:
    fields = [(10_000, "2"), (10_001, "a"), (5001, "x"), (10_001, "b"), (5002, "y"), (10_002, "c"), (58, "after")]
    assert PAIRS.read(Message("W", fields)) == (
        Message("W", [(10_001, "a"), (5001, "x")]),
        Message("W", [(10_001, "b"), (5002, "y"), (10_002, "c")]),
    )


def test_a_group_in_an_entry_is_read_from_the_entry() -> None:
    alternatives = Group(454, 455, 456)
    legs = Group(555, 600, 623, nested=[alternatives])
    fields = [
        *((555, "2"), (600, "A"), (454, "2"), (455, "1"), (456, "x"), (455, "2"), (456, "y"), (623, "1")),
        *((600, "B"), (623, "2"), (454, "1"), (455, "3"), (456, "z"), (58, "after")),
    ]
    first, second = legs.read(Message("V", fields))
    assert (first.get(623), second.get(623)) == ("1", "2")
    assert [entry.fields for entry in alternatives.read(first)] == [((455, "1"), (456, "x")), ((455, "2"), (456, "y"))]
    assert [entry.fields for entry in alternatives.read(second)] == [((455, "3"), (456, "z"))]


@pytest.mark.parametrize(
    ("fields", "tag", "reason", "what"),
    [
        ([(10_000, "2"), (10_001, "a")], 10_000, 16, "tag 10000 is '2': it must be 1, as many as entries follow"),
        ([(10_000, "1"), (10_001, "a"), (10_001, "b")], 10_000, 16, "it must be 2, as many as entries follow"),
        ([(10_000, "0"), (10_001, "a")], 10_000, 16, "it must be 1,"),
        ([(10_000, "1"), (58, "t")], 10_000, 16, "it must be 0,"),
        ([(10_000, "-1")], 10_000, 16, "it must be 0,"),
        ([(10_000, "two"), (10_001, "a")], 10_000, 6, "a whole number"),
        ([(10_000, "1"), (10_002, "a"), (10_001, "b")], 10_002, 15, "after tag 10001, which begins each entry"),
        ([(10_000, "1"), (5001, "a"), (10_001, "b")], 5001, 15, "after tag 10001, which begins each entry"),
        ([(10_000, "1"), (10_001, "a"), (10_002, "b"), (10_002, "c")], 10_002, 15, "once in an entry of group 10000"),
        ([(10_000, "1"), (10_001, "a"), (10_000, "1")], 10_000, 13, "there once, not 2 times"),
    ],
)
def test_a_group_that_is_wrong_is_refused_with_its_reason(
    fields: list[Field], tag: int, reason: int, what: str
) -> None:
    with pytest.raises(FieldError, match=what) as caught:
        PAIRS.read(Message("W", fields))
    assert (caught.value.tag, caught.value.reason) == (tag, reason)


@pytest.mark.parametrize("entry", [[], [None], [(10_002, "a"), (10_001, "b")]])
def test_an_entry_that_does_not_begin_as_it_must_is_not_written(entry: list[Field | None]) -> None:
    with pytest.raises(FieldError, match="tag 10001 is None: it must be first in each entry of group 10000"):
        PAIRS.fields([entry])


@pytest.mark.parametrize("begin_string", ["FIX.4.2", "FIX.4.4"])
def test_market_data_is_also_that_of_fix_4_2(begin_string: str) -> None:
    updates = market_data.market_data_incremental_refresh(md_req_id="r1", entries=[NEW_BID, NEW_BID])
    assert X(over_the_wire(updates, begin_string)).entries == (NEW_BID, NEW_BID)
    assert V(over_the_wire(request(), begin_string)).symbols == ("IBM", "MSFT")
    snapshot = market_data.market_data_snapshot_full_refresh(symbol="IBM", entries=[BID])
    assert W(over_the_wire(snapshot, begin_string)).entries == (BID,)


def test_the_price_that_is_missing_is_said_to_be() -> None:
    with pytest.raises(MissingTag, match="tag 270 is None: it must be present in a message of type W or X in an entry"):
        W(Message("W", [(55, "IBM"), (268, "1"), (269, "0")]))


def test_entries_without_their_count_are_not_left_unread() -> None:
    with pytest.raises(MissingTag, match="tag 268"):
        Group(268, 269, 270).read(Message("W", [(55, "IBM"), (269, "0"), (270, "1")]))
    assert Group(268, 269, 270).read(Message("W", [(55, "IBM")])) == ()


def test_a_size_below_0_is_neither_made_nor_read() -> None:
    with pytest.raises(FieldError, match=r"tag 271 is .*-5.*: it must be 0 or more"):
        size_field(271, Decimal(-5))
    with pytest.raises(FieldError, match="tag 271 is '-5': it must be 0 or more"):
        read_size(Message("W", [(271, "-5")]), 271)
    assert read_size(Message("W", [(271, "0")]), 271) == 0
