from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix import orders
from fix.codec import encode
from fix.dictionary import shipped
from fix.message import Field, FieldError, Message, MissingTag
from fix.orders import (
    AffectedOrder,
    CxlRejResponseTo,
    ExecType,
    MassCancelRequestType,
    MassCancelResponse,
    MassStatusReqType,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from tests.fix.wire import decode, refusal

AT = datetime(2013, 10, 7, 13, 30, 0, 72_000, UTC)
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
QUANTITIES = st.decimals("0.000001", "1000000000", places=6)
PARTS = st.decimals("0", "1000000000", places=6)
DATES = st.dates(date(2000, 1, 1), date(2100, 1, 1))
PRICES = st.decimals("-1000", "1000000", places=5)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)


HEADER = [(49, "A"), (56, "B"), (34, "1"), (52, "20131007-13:30:00.072")]


def over_the_wire(message: Message) -> Message:
    """What arrives of it: a message that the dictionary of FIX 4.4 finds nothing wrong with."""
    (received,) = decode(encode("FIX.4.4", message.msg_type, HEADER, message.fields))
    defect = shipped("FIX.4.4").check(received)
    assert defect is None or defect.reason == 5, defect
    return received


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def type_and_prices(draw: st.DrawFn) -> dict[str, Any]:
    ord_type = draw(st.sampled_from(OrdType))
    return {
        "ord_type": ord_type,
        "price": draw(PRICES) if ord_type in (OrdType.LIMIT, OrdType.STOP_LIMIT) else None,
        "stop_px": draw(PRICES) if ord_type in (OrdType.STOP, OrdType.STOP_LIMIT) else None,
    }


@st.composite
def terms(draw: st.DrawFn) -> dict[str, Any]:
    """What an order may say besides, and how long it is good."""
    time_in_force = draw(st.sampled_from(TimeInForce))
    by_date = draw(st.booleans())
    ends = time_in_force is TimeInForce.GTD
    return {
        "time_in_force": time_in_force,
        "expire_date": draw(DATES) if ends and by_date else None,
        "expire_time": draw(TIMES) if ends and not by_date else None,
        "account": draw(maybe(IDS)),
        "exec_inst": tuple(draw(st.lists(st.sampled_from("156GMPa"), max_size=3))),
        "min_qty": draw(maybe(PARTS)),
        "max_floor": draw(maybe(PARTS)),
    }


COMMON = {"cl_ord_id": IDS, "symbol": IDS, "side": st.sampled_from(Side), "poss_resend": st.booleans()}
TEXT = st.just("") | IDS


@given(
    st.fixed_dictionaries(
        {
            **COMMON,
            "order_qty": QUANTITIES,
            "transact_time": TIMES,
            "text": TEXT,
        }
    ),
    type_and_prices(),
    terms(),
)
def test_a_new_order_arrives_as_it_was_built(
    fields: dict[str, Any], prices: dict[str, Any], terms: dict[str, Any]
) -> None:
    received = orders.read_new_order_single(over_the_wire(orders.new_order_single(**fields, **prices, **terms)))
    assert msgspec.structs.asdict(received) == {**fields, **prices, **terms}


@given(
    st.fixed_dictionaries(
        {
            **COMMON,
            "orig_cl_ord_id": IDS,
            "order_id": maybe(IDS),
            "order_qty": maybe(QUANTITIES),
            "transact_time": TIMES,
            "text": TEXT,
        }
    )
)
def test_a_cancel_arrives_as_it_was_built(fields: dict[str, Any]) -> None:
    received = orders.read_order_cancel_request(over_the_wire(orders.order_cancel_request(**fields)))
    assert msgspec.structs.asdict(received) == fields


@given(
    st.fixed_dictionaries(
        {
            **COMMON,
            "orig_cl_ord_id": IDS,
            "order_id": maybe(IDS),
            "order_qty": QUANTITIES,
            "transact_time": TIMES,
            "text": TEXT,
        }
    ),
    type_and_prices(),
    terms(),
)
def test_a_replace_arrives_as_it_was_built(
    fields: dict[str, Any], prices: dict[str, Any], terms: dict[str, Any]
) -> None:
    message = orders.order_cancel_replace_request(**fields, **prices, **terms)
    received = orders.read_order_cancel_replace_request(over_the_wire(message))
    assert msgspec.structs.asdict(received) == {**fields, **prices, **terms}


@given(st.fixed_dictionaries({**COMMON, "order_id": maybe(IDS), "ord_status_req_id": maybe(IDS)}))
def test_a_status_request_arrives_as_it_was_built(fields: dict[str, Any]) -> None:
    received = orders.read_order_status_request(over_the_wire(orders.order_status_request(**fields)))
    assert msgspec.structs.asdict(received) == fields


@given(
    st.fixed_dictionaries(
        {
            **COMMON,
            "order_id": IDS,
            "orig_cl_ord_id": maybe(IDS),
            "ord_status_req_id": maybe(IDS),
            "exec_id": IDS,
            "exec_ref_id": IDS,
            "exec_type": st.sampled_from(ExecType),
            "ord_status": st.sampled_from(OrdStatus),
            "ord_rej_reason": maybe(st.integers(0, 99)),
            "exec_restatement_reason": maybe(st.integers(0, 99)),
            "order_qty": maybe(QUANTITIES),
            "ord_type": maybe(st.sampled_from(OrdType)),
            "price": maybe(PRICES),
            "stop_px": maybe(PRICES),
            "time_in_force": maybe(st.sampled_from(TimeInForce)),
            "last_qty": QUANTITIES,
            "last_px": PRICES,
            "leaves_qty": QUANTITIES,
            "cum_qty": QUANTITIES,
            "avg_px": PRICES,
            "transact_time": TIMES,
            "text": TEXT,
            "mass_status_req_id": maybe(IDS),
            "tot_num_reports": maybe(st.integers(0, 10_000)),
            "last_rpt_requested": maybe(st.booleans()),
            "copy_msg_indicator": maybe(st.booleans()),
            "account": maybe(IDS),
        }
    )
)
def test_an_execution_report_arrives_as_it_was_built(fields: dict[str, Any]) -> None:
    received = orders.read_execution_report(over_the_wire(orders.execution_report(**fields)))
    assert msgspec.structs.asdict(received) == fields


@given(
    st.fixed_dictionaries(
        {
            "order_id": IDS,
            "cl_ord_id": IDS,
            "orig_cl_ord_id": IDS,
            "ord_status": st.sampled_from(OrdStatus),
            "cxl_rej_response_to": st.sampled_from(CxlRejResponseTo),
            "cxl_rej_reason": maybe(st.integers(0, 99)),
            "transact_time": TIMES,
            "text": TEXT,
            "poss_resend": st.booleans(),
        }
    )
)
def test_a_cancel_reject_arrives_as_it_was_built(fields: dict[str, Any]) -> None:
    received = orders.read_order_cancel_reject(over_the_wire(orders.order_cancel_reject(**fields)))
    assert msgspec.structs.asdict(received) == fields


@given(
    st.fixed_dictionaries(
        {
            "mass_status_req_id": IDS,
            "account": maybe(IDS),
            "side": maybe(st.sampled_from(Side)),
            "poss_resend": st.booleans(),
        }
    ),
    st.just({"mass_status_req_type": MassStatusReqType.ALL_ORDERS, "symbol": None})
    | IDS.map(lambda symbol: {"mass_status_req_type": MassStatusReqType.SECURITY, "symbol": symbol}),
)
def test_a_mass_status_request_arrives_as_it_was_built(fields: dict[str, Any], scope: dict[str, Any]) -> None:
    message = orders.order_mass_status_request(**fields, **scope)
    received = orders.read_order_mass_status_request(over_the_wire(message))
    assert msgspec.structs.asdict(received) == {**fields, **scope}


@given(
    st.fixed_dictionaries(
        {
            "cl_ord_id": IDS,
            "side": maybe(st.sampled_from(Side)),
            "transact_time": TIMES,
            "text": TEXT,
            "poss_resend": st.booleans(),
        }
    ),
    st.just({"mass_cancel_request_type": MassCancelRequestType.ALL_ORDERS, "symbol": None})
    | IDS.map(lambda symbol: {"mass_cancel_request_type": MassCancelRequestType.SECURITY, "symbol": symbol}),
)
def test_a_mass_cancel_arrives_as_it_was_built(fields: dict[str, Any], scope: dict[str, Any]) -> None:
    message = orders.order_mass_cancel_request(**fields, **scope)
    received = orders.read_order_mass_cancel_request(over_the_wire(message))
    assert msgspec.structs.asdict(received) == {**fields, **scope}


AFFECTED = st.builds(
    AffectedOrder,
    orig_cl_ord_id=IDS,
    affected_order_id=maybe(IDS),
    affected_secondary_order_id=maybe(IDS),
)


@given(
    st.fixed_dictionaries(
        {
            "cl_ord_id": st.just("") | IDS,
            "order_id": IDS,
            "mass_cancel_request_type": st.sampled_from(MassCancelRequestType),
            "total_affected_orders": maybe(st.integers(0, 10_000)),
            "affected_orders": st.lists(AFFECTED, max_size=5).map(tuple),
            "symbol": maybe(IDS),
            "side": maybe(st.sampled_from(Side)),
            "transact_time": TIMES,
            "text": TEXT,
            "poss_resend": st.booleans(),
        }
    ),
    st.sampled_from(MassCancelResponse),
)
def test_a_mass_cancel_report_arrives_as_it_was_built(fields: dict[str, Any], response: MassCancelResponse) -> None:
    reason = 99 if response is MassCancelResponse.REJECTED else None
    fields |= {"mass_cancel_response": response, "mass_cancel_reject_reason": reason}
    received = orders.read_order_mass_cancel_report(over_the_wire(orders.order_mass_cancel_report(**fields)))
    assert msgspec.structs.asdict(received) == fields


def test_a_session_reject_is_read() -> None:
    fields: list[Field] = [(45, "7"), (371, "38"), (372, "D"), (373, "5"), (58, "no such quantity")]
    received = orders.read_session_reject(over_the_wire(Message("3", fields)))
    assert msgspec.structs.asdict(received) == {
        "ref_seq_num": 7,
        "ref_tag_id": 38,
        "ref_msg_type": "D",
        "session_reject_reason": 5,
        "text": "no such quantity",
    }


def test_a_session_reject_need_only_say_which_message_it_is_about() -> None:
    assert orders.read_session_reject(Message("3", [(45, "7")])) == orders.SessionReject(
        ref_seq_num=7, ref_tag_id=None, ref_msg_type=None, session_reject_reason=None, text=""
    )
    with pytest.raises(MissingTag, match="tag 45"):
        orders.read_session_reject(Message("3", [(58, "no")]))


def test_a_business_reject_arrives_as_it_was_built() -> None:
    fields: dict[str, Any] = {
        "ref_seq_num": 7,
        "ref_msg_type": "U1",
        "business_reject_ref_id": "a.e1",
        "business_reject_reason": 3,
        "text": "unsupported message type",
    }
    received = orders.read_business_message_reject(over_the_wire(orders.business_message_reject(**fields)))
    assert msgspec.structs.asdict(received) == fields


def test_poss_resend_is_a_header_field() -> None:
    message = new_order(poss_resend=True)
    tags = [tag for tag, _ in over_the_wire(message).fields]
    assert tags.index(97) < tags.index(11)
    assert orders.read_new_order_single(message).poss_resend


def new_order(**changed: Any) -> Message:
    fields: dict[str, Any] = {
        "cl_ord_id": "a.e1",
        "symbol": "IBM",
        "side": Side.BUY,
        "order_qty": Decimal(100),
        "ord_type": OrdType.MARKET,
        "transact_time": AT,
    }
    return orders.new_order_single(**{**fields, **changed})


@pytest.mark.parametrize(
    ("changed", "tag", "what"),
    [
        ({"cl_ord_id": ""}, 11, "a value"),
        ({"symbol": ""}, 55, "a value"),
        ({"order_qty": Decimal(0)}, 38, "above 0"),
        ({"order_qty": Decimal("NaN")}, 38, "finite"),
        ({"order_qty": Decimal("-Infinity")}, 38, "finite"),
        ({"price": Decimal(1)}, 44, "left out for OrdType 1"),
        ({"ord_type": OrdType.LIMIT}, 44, "given for OrdType 2"),
        ({"ord_type": OrdType.STOP}, 99, "given for OrdType 3"),
        ({"ord_type": OrdType.STOP_LIMIT, "price": Decimal(1)}, 99, "given for OrdType 4"),
        ({"ord_type": OrdType.LIMIT, "price": Decimal(1), "stop_px": Decimal(1)}, 99, "left out for OrdType 2"),
        ({"transact_time": datetime(2013, 10, 7)}, 60, "time zone"),  # noqa: DTZ001 - the point of it
        ({"exec_inst": ("G", "")}, 18, "one letter or digit"),
        ({"exec_inst": ("GM",)}, 18, "one letter or digit"),
        ({"min_qty": Decimal(-1)}, 110, "0 or more"),
        ({"max_floor": Decimal(-1)}, 111, "0 or more"),
        ({"max_floor": Decimal("sNaN")}, 111, "finite"),
        ({"time_in_force": TimeInForce.GTD}, 126, r"given for TimeInForce 6, or ExpireDate \(432\) is"),
        ({"time_in_force": TimeInForce.GTD, "expire_time": AT, "expire_date": AT.date()}, 126, "not both"),
        ({"expire_time": AT}, 126, "left out for TimeInForce 0"),
        ({"time_in_force": TimeInForce.GTC, "expire_date": AT.date()}, 432, "left out for TimeInForce 1"),
    ],
)
def test_an_order_that_is_wrong_is_not_built(changed: dict[str, Any], tag: int, what: str) -> None:
    with pytest.raises(FieldError, match=what) as caught:
        new_order(**changed)
    assert caught.value.tag == tag


@pytest.mark.parametrize(
    ("tag", "value", "what"),
    [
        (54, "B", r"one of 1 \(BUY\), 2 \(SELL\)"),
        (40, "K", r"one of 1 \(MARKET\)"),
        (59, "9", r"one of 0 \(DAY\)"),
        (38, "0", "above 0"),
        (38, "1e2", "without exponent"),
        (60, "today", "UTC time"),
        (97, "1", "Y or N"),
        (55, None, "present in a message of type D"),
        (11, None, "present in a message of type D"),
        (60, None, "present in a message of type D"),
        (40, "2", "present in a message of type D"),
        (40, "3", "present in a message of type D"),
        (59, "6", r"present in a message of type D with TimeInForce 6 and no ExpireDate \(432\)"),
    ],
)
def test_an_order_that_is_wrong_is_not_read(tag: int, value: str | None, what: str) -> None:
    good = new_order(poss_resend=True)
    fields = [
        (field, value if field == tag else old) for field, old in good.fields if not (field == tag and value is None)
    ]
    with pytest.raises(FieldError, match=what):
        orders.read_new_order_single(Message("D", [(field, text) for field, text in fields if text is not None]))


@pytest.mark.parametrize(
    ("tag", "value", "what", "reason"),
    [
        (18, "G  6", "a space between", 6),
        (18, "GM", "a space between", 6),
        (110, "-1", "0 or more", 5),
        (111, "some", "without exponent", 6),
        (126, "20131007", "UTC time", 6),
        (432, "2013-10-07", "a date such as 20131007", 6),
        (432, "20131307", "a date such as 20131007", 6),
    ],
)
def test_terms_of_an_order_that_are_wrong_are_not_read(tag: int, value: str, what: str, reason: int) -> None:
    with pytest.raises(FieldError, match=what) as caught:
        orders.read_new_order_single(Message("D", [*new_order().fields, (tag, value)]))
    assert (caught.value.tag, caught.value.reason) == (tag, reason)


@pytest.mark.parametrize(
    ("build", "tag", "what"),
    [
        ({"mass_cancel_request_type": MassCancelRequestType.SECURITY}, 55, "given where tag 530 is 1"),
        ({"mass_cancel_request_type": MassCancelRequestType.ALL_ORDERS, "symbol": "IBM"}, 55, "left out where"),
        ({"mass_cancel_request_type": MassCancelRequestType.PRODUCT}, 530, r"1 \(SECURITY\) or 7 \(ALL_ORDERS\)"),
        ({"mass_cancel_request_type": MassCancelRequestType.ALL_ORDERS, "cl_ord_id": ""}, 11, "a value"),
    ],
)
def test_a_mass_cancel_that_could_mean_other_orders_is_not_built(build: dict[str, Any], tag: int, what: str) -> None:
    with pytest.raises(FieldError, match=what) as caught:
        orders.order_mass_cancel_request(**{"cl_ord_id": "c1", "transact_time": AT, **build})
    assert caught.value.tag == tag


@pytest.mark.parametrize(
    ("scope", "tag"),
    [
        ({"mass_status_req_type": MassStatusReqType.SECURITY}, 55),
        ({"mass_status_req_type": MassStatusReqType.ALL_ORDERS, "symbol": "IBM"}, 55),
        ({"mass_status_req_type": MassStatusReqType.PARTY_ID}, 585),
        ({"mass_status_req_type": MassStatusReqType.ALL_ORDERS, "mass_status_req_id": ""}, 584),
    ],
)
def test_a_mass_status_request_that_could_mean_other_orders_is_not_built(scope: dict[str, Any], tag: int) -> None:
    with pytest.raises(FieldError) as caught:
        orders.order_mass_status_request(**{"mass_status_req_id": "s1", **scope})
    assert caught.value.tag == tag


MASS_STATUS: list[Field] = [(584, "s1"), (585, "7")]
MASS_CANCEL: list[Field] = [(11, "c1"), (530, "7"), (60, "20131007-13:30:00")]
MASS_CANCELED: list[Field] = [(37, "V1"), (530, "7"), (531, "7"), (60, "20131007-13:30:00")]


@pytest.mark.parametrize(
    ("read", "message", "tag", "reason"),
    [
        (orders.read_order_mass_status_request, Message("AF", MASS_STATUS[1:]), 584, 1),
        (orders.read_order_mass_status_request, Message("AF", MASS_STATUS[:1]), 585, 1),
        (orders.read_order_mass_status_request, Message("AF", [(584, "s1"), (585, "1")]), 55, 1),
        (orders.read_order_mass_status_request, Message("AF", [(584, "s1"), (585, "9")]), 585, 5),
        (orders.read_order_mass_status_request, Message("AF", [*MASS_STATUS, (54, "B")]), 54, 5),
        (orders.read_order_mass_cancel_request, Message("q", MASS_CANCEL[1:]), 11, 1),
        (orders.read_order_mass_cancel_request, Message("q", MASS_CANCEL[:2]), 60, 1),
        (orders.read_order_mass_cancel_request, Message("q", [(11, "c1"), (530, "1"), *MASS_CANCEL[2:]]), 55, 1),
        (orders.read_order_mass_cancel_request, Message("q", [(11, "c1"), (530, "A"), *MASS_CANCEL[2:]]), 530, 5),
        (orders.read_order_mass_cancel_report, Message("r", MASS_CANCELED[1:]), 37, 1),
        (orders.read_order_mass_cancel_report, Message("r", [*MASS_CANCELED[:2], *MASS_CANCELED[3:]]), 531, 1),
        (orders.read_order_mass_cancel_report, Message("r", [*MASS_CANCELED, (532, "no")]), 532, 6),
        (orders.read_order_mass_cancel_report, Message("r", [*MASS_CANCELED, (534, "2"), (41, "a")]), 534, 16),
        (orders.read_order_mass_cancel_report, Message("r", [*MASS_CANCELED, (534, "1"), (535, "a")]), 535, 15),
        (orders.read_order_mass_cancel_report, Message("q", MASS_CANCEL), 35, 5),
        (orders.read_session_reject, Message("3", [(45, "x")]), 45, 6),
        (orders.read_session_reject, Message("3", [(45, "7"), (373, "x")]), 373, 6),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(
    read: Callable[[Message], object], message: Message, tag: int, reason: int
) -> None:
    assert refusal(read, message) == (tag, reason)


@pytest.mark.parametrize(
    ("response", "reason", "what"),
    [
        (MassCancelResponse.REJECTED, None, "given for"),
        (MassCancelResponse.ALL_ORDERS, 0, "left out for"),
    ],
)
def test_a_mass_cancel_report_says_why_if_and_only_if_it_rejects(
    response: MassCancelResponse, reason: int | None, what: str
) -> None:
    with pytest.raises(FieldError, match=f"tag 532 is {reason}: it must be {what}"):
        orders.order_mass_cancel_report(
            order_id="V1",
            mass_cancel_request_type=MassCancelRequestType.ALL_ORDERS,
            mass_cancel_response=response,
            mass_cancel_reject_reason=reason,
            transact_time=AT,
        )


def test_an_order_without_time_in_force_is_for_the_day() -> None:
    fields = [field for field in new_order(time_in_force=TimeInForce.GTC).fields if field[0] != 59]
    assert orders.read_new_order_single(Message("D", fields)).time_in_force is TimeInForce.DAY


REPORT = [
    (37, "1"),
    (17, "x1"),
    (150, "F"),
    (39, "1"),
    (55, "IBM"),
    (54, "1"),
    (151, "60"),
    (14, "40"),
    (52, "20131007-13:30:00"),
]


@pytest.mark.parametrize("exec_type", ExecType)
def test_each_exec_type_arrives_with_what_it_needs(exec_type: ExecType) -> None:
    trade = exec_type in (ExecType.TRADE, ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT)
    fields: dict[str, Any] = {"last_qty": Decimal(40), "last_px": Decimal("12.5")} if trade else {}
    if exec_type in (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT):
        fields["exec_ref_id"] = "x0"
    received = over_the_wire(
        orders.execution_report(
            order_id="1",
            exec_id="x1",
            exec_type=exec_type,
            ord_status=OrdStatus.NEW,
            symbol="IBM",
            side=Side.BUY,
            leaves_qty=Decimal(60),
            cum_qty=Decimal(40),
            avg_px=Decimal("12.5"),
            transact_time=AT,
            **fields,
        )
    )
    assert received.get(150) == exec_type.value
    report = msgspec.structs.asdict(orders.read_execution_report(received))
    assert {name: report[name] for name in ("exec_type", *fields)} == {"exec_type": exec_type, **fields}


TRADED: list[Field] = [(32, "40"), (31, "12.5")]
PLAIN_4_2 = "03456789ABCDE"


@pytest.mark.parametrize("begins", [[(8, "FIX.4.2")], []])
@pytest.mark.parametrize(
    ("exec_trans_type", "exec_type", "meaning"),
    [
        ("0", "1", ExecType.TRADE),
        ("0", "2", ExecType.TRADE),
        *(("0", value, ExecType(value)) for value in PLAIN_4_2),
        *(("1", value, ExecType.TRADE_CANCEL) for value in ("0", "1", "2")),
        *(("2", value, ExecType.TRADE_CORRECT) for value in ("0", "1", "2")),
        *(("3", value, ExecType.ORDER_STATUS) for value in ("1", "2", *PLAIN_4_2)),
    ],
)
def test_a_report_of_fix_4_2_has_the_meaning_of_4_4(
    begins: list[Field], exec_trans_type: str, exec_type: str, meaning: ExecType
) -> None:
    fields = [field for field in REPORT if field[0] != 150]
    message = Message("8", [*begins, *fields, *TRADED, (20, exec_trans_type), (150, exec_type), (19, "x0")])
    report = orders.read_execution_report(message)
    assert (report.exec_type, report.last_qty, report.last_px) == (meaning, Decimal(40), Decimal("12.5"))


@pytest.mark.parametrize(
    ("changed", "tag", "reason"),
    [
        ({8: "FIX.4.2", 20: None}, 20, 1),  # a status could be taken for a fill
        ({20: "4"}, 20, 5),
        ({150: "Z"}, 150, 5),
        ({20: "3", 150: "Z"}, 150, 5),
        ({32: None}, 32, 1),
        ({31: None}, 31, 1),
        ({20: "1", 32: None}, 32, 1),
        ({20: "1", 19: None}, 19, 1),
        ({20: "2", 19: None}, 19, 1),
        ({8: "FIX.4.4", 20: None}, 150, 5),
    ],
)
def test_a_report_of_fix_4_2_that_lacks_something_is_not_read(
    changed: dict[int, str | None], tag: int, reason: int
) -> None:
    fields = {**dict(REPORT), **dict(TRADED), 19: "x0", 20: "0", 150: "1", **changed}
    message = Message("8", [(key, value) for key, value in fields.items() if value is not None])
    assert refusal(orders.read_execution_report, message) == (tag, reason)


def test_a_status_report_of_fix_4_2_needs_no_trade() -> None:
    report = orders.read_execution_report(Message("8", [(8, "FIX.4.2"), (20, "3"), *REPORT]))
    assert (report.exec_type, report.last_qty) == (ExecType.ORDER_STATUS, None)


def whole_messages() -> list[Message]:
    """One of each, with all that a builder can put in."""
    common: dict[str, Any] = {"symbol": "IBM", "side": Side.BUY, "poss_resend": True}
    order: dict[str, Any] = {
        **common,
        "cl_ord_id": "a",
        "order_qty": Decimal(9),
        "ord_type": OrdType.STOP_LIMIT,
        "price": Decimal(1),
        "stop_px": Decimal(2),
        "time_in_force": TimeInForce.GTD,
        "transact_time": AT,
        "text": "t",
        "account": "A1",
        "exec_inst": ("G",),
        "min_qty": Decimal(1),
        "max_floor": Decimal(2),
    }
    request = {**common, "cl_ord_id": "b", "order_id": "1"}
    cancel = {**request, "orig_cl_ord_id": "a", "transact_time": AT, "text": "t"}
    trade: dict[str, Any] = {
        **cancel,
        "ord_status_req_id": "s",
        "mass_status_req_id": "m",
        "tot_num_reports": 1,
        "last_rpt_requested": True,
        "exec_id": "x1",
        "exec_ref_id": "x0",
        "exec_type": ExecType.TRADE_CORRECT,
        "ord_status": OrdStatus.NEW,
        "ord_rej_reason": 99,
        "exec_restatement_reason": 1,
        "account": "A1",
        "order_qty": Decimal(9),
        "ord_type": OrdType.LIMIT,
        "price": Decimal(1),
        "stop_px": Decimal(2),
        "time_in_force": TimeInForce.DAY,
        **dict.fromkeys(("last_qty", "last_px", "leaves_qty", "cum_qty", "avg_px"), Decimal(1)),
    }
    affected = AffectedOrder(orig_cl_ord_id="a", affected_order_id="1", affected_secondary_order_id="2")
    return [
        orders.new_order_single(**order, expire_date=AT.date()),
        orders.new_order_single(**order, expire_time=AT),
        orders.order_cancel_replace_request(**order, orig_cl_ord_id="0", order_id="1", expire_date=AT.date()),
        orders.order_cancel_request(**cancel, order_qty=Decimal(9)),
        orders.order_status_request(**request, ord_status_req_id="s"),
        orders.execution_report(**trade),
        orders.order_cancel_reject(
            order_id="1",
            cl_ord_id="b",
            orig_cl_ord_id="a",
            ord_status=OrdStatus.NEW,
            cxl_rej_response_to=CxlRejResponseTo.CANCEL,
            transact_time=AT,
            cxl_rej_reason=0,
            text="t",
        ),
        orders.order_mass_status_request(
            **common, mass_status_req_id="m", mass_status_req_type=MassStatusReqType.SECURITY, account="A1"
        ),
        orders.order_mass_cancel_request(
            **common,
            cl_ord_id="c",
            mass_cancel_request_type=MassCancelRequestType.SECURITY,
            transact_time=AT,
            text="t",
        ),
        orders.order_mass_cancel_report(
            **common,
            cl_ord_id="c",
            order_id="1",
            mass_cancel_request_type=MassCancelRequestType.SECURITY,
            mass_cancel_response=MassCancelResponse.REJECTED,
            mass_cancel_reject_reason=99,
            total_affected_orders=2,
            affected_orders=(affected, affected),
            transact_time=AT,
            text="t",
        ),
        orders.business_message_reject(
            ref_msg_type="D", business_reject_reason=0, ref_seq_num=1, business_reject_ref_id="a", text="t"
        ),
    ]


@pytest.mark.parametrize("message", whole_messages(), ids=lambda message: str(message.msg_type))
def test_the_body_is_in_the_order_of_the_dictionary(message: Message) -> None:
    members = shipped("FIX.4.4").messages[message.msg_type].members
    places = [tag for member in members for tag in (member.tag, *(entry.tag for entry in member.entry))]
    tags = list(dict.fromkeys(tag for tag, _ in message.fields if tag != 97))
    assert tags == sorted(tags, key=places.index)
    assert shipped("FIX.4.4").check(over_the_wire(message)) is None


def test_a_report_with_the_least_a_venue_may_send_is_read() -> None:
    report = orders.read_execution_report(Message("8", [*REPORT, (32, "40"), (31, "12.5")]))
    assert report.cl_ord_id == ""
    assert report.avg_px is None
    assert report.last_px == Decimal("12.5")
    assert report.transact_time == AT.replace(microsecond=0)


def test_a_trade_without_quantity_or_price_is_no_trade() -> None:
    with pytest.raises(MissingTag, match="tag 32"):
        orders.read_execution_report(Message("8", REPORT))
    with pytest.raises(MissingTag, match="tag 31"):
        orders.read_execution_report(Message("8", [*REPORT, (32, "40")]))


@pytest.mark.parametrize(
    ("changed", "tag"),
    [
        ({"exec_type": ExecType.TRADE}, 32),
        ({"exec_type": ExecType.TRADE_CANCEL, "last_qty": Decimal(1), "last_px": Decimal(1)}, 19),
        ({"exec_type": ExecType.TRADE_CORRECT, "last_qty": Decimal(1), "last_px": Decimal(1)}, 19),
        ({"exec_id": ""}, 17),
        ({"order_id": ""}, 37),
    ],
)
def test_a_report_that_lacks_what_its_exec_type_needs_is_not_built(changed: dict[str, Any], tag: int) -> None:
    fields: dict[str, Any] = {
        "order_id": "1",
        "exec_id": "x1",
        "exec_type": ExecType.NEW,
        "ord_status": OrdStatus.NEW,
        "symbol": "IBM",
        "side": Side.BUY,
        "leaves_qty": Decimal(100),
        "cum_qty": Decimal(0),
        "avg_px": Decimal(0),
        "transact_time": AT,
    }
    with pytest.raises(FieldError) as caught:
        orders.execution_report(**{**fields, **changed})
    assert caught.value.tag == tag


def test_a_reader_refuses_a_message_of_another_type() -> None:
    with pytest.raises(FieldError, match="tag 35 is 'D': it must be F here"):
        orders.read_order_cancel_request(new_order())
