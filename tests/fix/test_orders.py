from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix import orders
from fix.codec import encode
from fix.message import FieldError, Message, MissingTag
from fix.orders import CxlRejResponseTo, ExecType, OrdStatus, OrdType, Side, TimeInForce
from tests.fix.wire import decode

AT = datetime(2013, 10, 7, 13, 30, 0, 72_000, UTC)
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
QUANTITIES = st.decimals("0.000001", "1000000000", places=6)
PRICES = st.decimals("-1000", "1000000", places=5)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)


def over_the_wire(message: Message) -> Message:
    (received,) = decode(encode("FIX.4.4", message.msg_type, [(49, "A"), (56, "B"), (34, "1")], message.fields))
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


COMMON = {"cl_ord_id": IDS, "symbol": IDS, "side": st.sampled_from(Side), "poss_resend": st.booleans()}
TEXT = st.just("") | IDS


@given(
    st.fixed_dictionaries(
        {
            **COMMON,
            "order_qty": QUANTITIES,
            "time_in_force": st.sampled_from(TimeInForce),
            "transact_time": TIMES,
            "text": TEXT,
        }
    ),
    type_and_prices(),
)
def test_a_new_order_arrives_as_it_was_built(fields: dict[str, Any], prices: dict[str, Any]) -> None:
    received = orders.read_new_order_single(over_the_wire(orders.new_order_single(**fields, **prices)))
    assert msgspec.structs.asdict(received) == {**fields, **prices}


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
            "time_in_force": st.sampled_from(TimeInForce),
            "transact_time": TIMES,
            "text": TEXT,
        }
    ),
    type_and_prices(),
)
def test_a_replace_arrives_as_it_was_built(fields: dict[str, Any], prices: dict[str, Any]) -> None:
    message = orders.order_cancel_replace_request(**fields, **prices)
    received = orders.read_order_cancel_replace_request(over_the_wire(message))
    assert msgspec.structs.asdict(received) == {**fields, **prices}


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
    ],
)
def test_an_order_that_is_wrong_is_not_read(tag: int, value: str | None, what: str) -> None:
    good = new_order(poss_resend=True)
    fields = [
        (field, value if field == tag else old) for field, old in good.fields if not (field == tag and value is None)
    ]
    with pytest.raises(FieldError, match=what):
        orders.read_new_order_single(Message("D", [(field, text) for field, text in fields if text is not None]))


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
