"""The rules of the session protocol, one table or test for each. What the peer sends is written by hand."""

from typing import Any, Literal

import pytest

from fix.codec import Decoder
from fix.config import SessionConfig, password
from fix.events import (
    Disconnect,
    LoggedOn,
    LoggedOut,
    MessageReceived,
    MessageRefused,
    NumbersReset,
    Rejected,
    SessionEvent,
)
from fix.message import FieldError, Message
from fix.session import NotLoggedOn, Session, State
from fix.store import MemoryStore
from tests.fix.wire import Side, body_of, brief, decode, frame, logged_on, order, refused

RESEND_FROM_2 = ("2", "2", "0")


def names(events: list[SessionEvent]) -> list[str | None]:
    """ClOrdID (11) of the messages received."""
    return [event.message.get(11) for event in events if isinstance(event, MessageReceived)]


def ended(events: list[SessionEvent]) -> str:
    """The reason of the end, which has to be there in both events."""
    logged_out, disconnect = events[-2:]
    assert isinstance(logged_out, LoggedOut)
    assert isinstance(disconnect, Disconnect)
    assert logged_out.reason == disconnect.reason
    return disconnect.reason


# Logon


def test_the_initiator_logs_on_first_with_its_interval_and_credentials() -> None:
    config = SessionConfig(
        "initiator", "SELF", "PEER", heartbeat_interval=7, logon_fields=password(lambda: ("desk", "hunter2"))
    )
    side = Side(config=config)
    assert side.session.connected(side.now) == []
    assert side.session.state is State.LOGON_SENT
    (logon,) = side.sends()
    assert brief([logon], 49, 56, 34) == [("A", "SELF", "PEER", "1")]
    assert body_of(logon) == [(98, "0"), (108, "7"), (553, "desk"), (554, "hunter2")]
    assert side.receives("A", 1, "98=0|108=7") == [LoggedOn()]
    assert side.sends() == []
    assert (side.session.next_outbound, side.session.next_inbound) == (2, 2)


def test_the_acceptor_waits_for_the_logon_and_answers_with_the_initiators_interval() -> None:
    side = Side("acceptor")
    side.session.connected(side.now)
    assert side.session.state is State.LOGON_AWAITED
    assert side.sends() == []
    assert side.receives("A", 1, "98=0|108=11") == [LoggedOn()]
    assert brief(side.sends(), 34, 108, 141) == [("A", "1", "11", None)]
    side.passes(11)
    assert brief(side.sends()) == [("0",)]


def test_credentials_are_asked_for_at_every_logon_and_a_failure_leaves_the_session_disconnected() -> None:
    passwords = iter(["first", "second"])
    config = SessionConfig("initiator", "SELF", "PEER", logon_fields=password(lambda: ("desk", next(passwords))))
    side = Side(config=config)
    for secret in ("first", "second"):
        side.session.connected(side.now)
        assert brief(side.sends(), 554) == [("A", secret)]
        side.session.disconnected(side.now)
    with pytest.raises(StopIteration):
        side.session.connected(side.now)
    assert side.session.state is State.DISCONNECTED
    assert side.session.next_outbound == 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("98=1|108=30", "tag 98 is '1'"),
        ("108=30", "tag 98 is None"),
        ("98=0", "tag 108 is None"),
        ("98=0|108=-1", "tag 108 is '-1'"),
        ("98=0|108=x", "tag 108 is 'x'"),
        ("98=0|108=30|58=", "tag 58 has no value"),
        ("98=0|108=30|554=wrong", "bad password"),
    ],
)
def test_a_wrong_logon_is_refused_with_its_reason_and_uses_up_its_number(body: str, reason: str) -> None:
    config = SessionConfig(
        "acceptor", "SELF", "PEER", authenticate=lambda logon: "bad password" if logon.get(554) == "wrong" else None
    )
    side = Side(config=config)
    side.session.connected(side.now)
    (disconnect,) = side.receives("A", 1, body)
    assert isinstance(disconnect, Disconnect)
    assert reason in disconnect.reason
    (logout,) = side.sends()
    assert reason in logout.require(58)
    assert (side.session.next_outbound, side.session.next_inbound) == (2, 2)


def test_a_refused_logon_resets_nothing() -> None:
    config = SessionConfig("acceptor", "SELF", "PEER", authenticate=lambda _: "no")
    side = Side(config=config, next_outbound=5, next_inbound=8)
    side.session.connected(side.now)
    side.receives("A", 1, "98=0|108=30|141=Y")
    assert (side.session.next_outbound, side.session.next_inbound) == (6, 8)


@pytest.mark.parametrize(("msg_type", "body"), [("5", "58=go away"), ("3", "45=1|58=go away")])
def test_a_refusal_of_our_logon_ends_the_connection_and_uses_up_its_number(msg_type: str, body: str) -> None:
    side = Side("initiator")
    side.session.connected(side.now)
    side.sends()
    assert side.receives(msg_type, 1, body) == [Disconnect("the Logon was refused: go away")]
    assert side.sends() == []
    assert side.session.next_inbound == 2


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_any_other_first_message_ends_the_connection_without_an_answer(role: str) -> None:
    side = Side("initiator" if role == "initiator" else "acceptor")
    side.session.connected(side.now)
    side.sends()
    assert side.receives("D", 1, "11=a") == [Disconnect("the first message was of type D, not a Logon")]
    assert side.sends() == []
    assert side.session.next_inbound == 1


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_a_logon_with_a_number_too_low_is_answered_with_a_logout_naming_both(role: str) -> None:
    side = Side("initiator" if role == "initiator" else "acceptor", next_inbound=8)
    side.session.connected(side.now)
    side.sends()
    text = "MsgSeqNum too low, expecting 8 but received 5"
    assert side.receives("A", 5, "98=0|108=30") == [Disconnect(text)]
    assert brief(side.sends(), 58) == [("5", text)]
    assert side.session.next_inbound == 8


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_a_logon_with_a_number_too_high_is_accepted_and_then_the_gap_asked_for(role: str) -> None:
    side = Side("initiator" if role == "initiator" else "acceptor", next_inbound=2)
    side.session.connected(side.now)
    if role == "initiator":
        side.sends()
    assert side.receives("A", 5, "98=0|108=30") == [LoggedOn()]
    assert brief(side.sends(), 7, 16)[-1] == RESEND_FROM_2
    assert names(side.receives("D", 2, "11=missed", header=f"43=Y|122={side.stamp()}")) == ["missed"]
    side.receives("4", 3, "123=Y|36=6", header=f"43=Y|122={side.stamp()}")
    assert side.session.next_inbound == 6
    assert names(side.receives("D", 6, "11=new")) == ["new"]


def test_without_a_logon_in_time_the_connection_ends() -> None:
    for role in ("initiator", "acceptor"):
        side = Side("initiator" if role == "initiator" else "acceptor")
        side.session.connected(side.now)
        assert side.passes(9.9) == []
        assert side.passes(0.2) == [Disconnect("no Logon within 10 s")]


def test_a_second_logon_is_rejected_and_uses_up_its_number() -> None:
    side = logged_on()
    assert side.receives("A", 2, "98=0|108=30") == []
    assert brief(side.sends(), 45, 373) == [("3", "2", "99")]
    assert side.session.next_inbound == 3


# Header, in its order of checks


@pytest.mark.parametrize(
    ("header", "reason", "tag", "ends"),
    [
        ("49=", "1", "49", False),
        ("56=", "1", "56", False),
        ("52=", "1", "52", False),
        ("49=OTHER", "9", "49", True),
        ("56=OTHER", "9", "56", True),
        ("52=yesterday", "6", "52", False),
        ("52=20131007-13:27:59.999", "10", "52", True),
        ("52=20131007-13:32:00.001", "10", "52", True),
        ("43=X", "6", "43", False),
        ("43=Y", "1", "122", False),
        ("43=Y|122=x", "6", "122", False),
        ("43=Y|122=20131007-13:30:00.001", "10", "122", True),
    ],
)
def test_a_wrong_header_is_rejected_and_uses_up_its_number(header: str, reason: str, tag: str, ends: bool) -> None:
    side = logged_on()
    assert refused(side.receives("D", 2, "11=a", header=header)) == [2]
    sent = side.sends()
    assert brief(sent[:1], 45, 371, 372, 373) == [("3", "2", tag, "D", reason)]
    assert brief(sent[1:]) == ([("5",)] if ends else [])
    assert side.session.state is (State.LOGOUT_SENT if ends else State.IN_SESSION)
    assert side.session.next_inbound == 3


@pytest.mark.parametrize("header", ["52=20131007-13:28:00.000", "52=20131007-13:32:00.000"])
def test_a_sending_time_just_within_the_limit_is_taken(header: str) -> None:
    side = logged_on()
    assert names(side.receives("D", 2, "11=a", header=header)) == ["a"]


def test_a_header_field_that_comes_twice_is_rejected() -> None:
    side = logged_on()
    assert refused(side.receives("D", 2, "11=a|34=3")) == [2]
    assert brief(side.sends(), 371, 373) == [("3", "34", "13")]


def test_a_wrong_begin_string_ends_the_session_without_a_reject() -> None:
    side = logged_on()
    data = frame(f"35=0|49=PEER|56=SELF|34=2|52={side.stamp()}", begin="FIX.4.2")
    assert "BeginString" in ended(side.session.receive(data, side.now))
    assert brief(side.sends()) == [("5",)]


@pytest.mark.parametrize("number", ["", "x", "1.5"])
def test_a_message_without_a_number_ends_the_session(number: str) -> None:
    side = logged_on()
    assert "tag 34" in ended(side.receives("D", number, "11=a"))
    assert brief(side.sends()) == [("5",)]


def test_a_garbled_message_is_ignored_and_its_number_asked_for_with_the_next() -> None:
    side = logged_on()
    text = f"35=D|49=PEER|56=SELF|34=2|52={side.stamp()}|11=a"
    assert side.session.receive(frame(text, check_sum="999"), side.now) == []
    assert side.sends() == []
    assert side.session.next_inbound == 2
    assert side.receives("D", 3, "11=b") == []
    assert brief(side.sends(), 7, 16) == [RESEND_FROM_2]


@pytest.mark.parametrize(
    ("body", "reason", "tag"), [("11=", "4", "11"), ("11=a|x=1", "0", None), ("11=a|95=99|96=x", "6", None)]
)
def test_a_message_that_cannot_be_read_is_rejected_and_uses_up_its_number(
    body: str, reason: str, tag: str | None
) -> None:
    side = logged_on()
    assert refused(side.receives("D", 2, body)) == [2]
    assert brief(side.sends(), 45, 371, 372, 373) == [("3", "2", tag, "D", reason)]
    assert names(side.receives("D", 3, "11=b")) == ["b"]


def test_an_application_message_that_is_rejected_is_told_once_and_is_under_way_until_it_was_heard_of() -> None:
    side = logged_on()
    (event,) = side.receives("8", 2, "11=a", header="52=yesterday")
    assert isinstance(event, MessageRefused)
    assert (event.number, event.message.get(11)) == (2, "a")
    assert event.reason.startswith("tag 52 is 'yesterday'")
    assert (side.session.next_inbound, side.session.next_unprocessed) == (3, 2)
    side.session.processed(2)
    assert side.session.next_unprocessed == 3
    # Neither what was had already, nor what is still to come in its turn, nor what is the session's own.
    assert side.receives("8", 2, "11=a", header="52=yesterday") == []
    assert side.receives("8", 9, "11=b", header="52=yesterday") == []
    assert side.receives("0", 3, header="52=yesterday") == []
    assert brief(side.sends(), 45) == [("3", number) for number in ("2", "2", "9", "3")]


def test_a_reject_goes_back_the_way_the_message_came() -> None:
    side = logged_on()
    side.receives("D", 2, "11=", header="115=FIRM|116=TRADER|144=HERE|128=DESK")
    (reject,) = side.sends()
    routes = [reject.get(tag) for tag in (128, 129, 145, 115)]
    assert routes == ["FIRM", "TRADER", "HERE", "DESK"]


# Numbers


def test_messages_arrive_in_order_with_their_marks() -> None:
    side = logged_on()
    (plain,) = side.receives("D", 2, "11=a")
    (duplicate,) = side.receives("D", 3, "11=b", header=f"43=Y|122={side.stamp(-60)}")
    (resend,) = side.receives("D", 4, "11=c", header="97=Y")
    marks = [
        (event.number, event.possible_duplicate, event.possible_resend)
        for event in (plain, duplicate, resend)
        if isinstance(event, MessageReceived)
    ]
    assert marks == [(2, False, False), (3, True, False), (4, False, True)]


def test_a_gap_is_asked_for_once_and_handled_in_order() -> None:
    side = logged_on()
    assert side.receives("D", 4, "11=c") == []
    assert side.receives("D", 5, "11=d") == []
    assert brief(side.sends(), 7, 16) == [RESEND_FROM_2]
    resent = f"43=Y|122={side.stamp()}"
    assert names(side.receives("D", 2, "11=a", header=resent)) == ["a"]
    assert names(side.receives("D", 3, "11=b", header=resent)) == ["b", "c", "d"]
    # The end of an open-ended resend is what was here already.
    assert names(side.receives("D", 4, "11=c", header=resent)) == []
    assert names(side.receives("D", 5, "11=d", header=resent)) == []
    assert names(side.receives("D", 6, "11=e")) == ["e"]
    assert side.sends() == []


def test_a_gap_behind_a_gap_is_asked_for_when_its_turn_comes() -> None:
    side = logged_on()
    side.receives("D", 3, "11=b")
    side.receives("D", 5, "11=d")
    assert brief(side.sends(), 7) == [("2", "2")]
    resent = f"43=Y|122={side.stamp()}"
    assert names(side.receives("D", 2, "11=a", header=resent)) == ["a", "b"]
    assert brief(side.sends(), 7) == [("2", "4")]
    assert names(side.receives("D", 4, "11=c", header=resent)) == ["c", "d"]


def test_what_waits_behind_a_gap_is_bounded_and_asked_for_again() -> None:
    side = logged_on()
    total = 10_050
    for number in range(3, total + 1):
        side.receives("D", number, f"11={number}")
    assert brief(side.sends(), 7) == [("2", "2")]
    delivered = names(side.receives("D", 2, "11=2", header=f"43=Y|122={side.stamp()}"))
    assert delivered == [str(number) for number in range(2, 10_003)]
    delivered += names(side.receives("D", total + 1, "11=last"))
    assert brief(side.sends(), 7) == [("2", "10003")]


def test_a_number_too_low_ends_the_session_naming_both() -> None:
    side = logged_on(next_inbound=7)
    text = "MsgSeqNum too low, expecting 8 but received 3"
    assert ended(side.receives("D", 3, "11=a")) == text
    assert brief(side.sends(), 58) == [("5", text)]
    assert side.session.next_inbound == 8
    assert side.session.state is State.CLOSING
    assert side.receives("D", 8, "11=b") == [], "what arrives after the end is not looked at"


def test_a_duplicate_with_a_number_too_low_is_dropped_silently() -> None:
    side = logged_on(next_inbound=7)
    for msg_type, body in (("D", "11=a"), ("5", ""), ("1", "112=x"), ("4", "123=Y|36=20")):
        assert side.receives(msg_type, 3, body, header=f"43=Y|122={side.stamp()}") == []
    assert side.sends() == []
    assert side.session.next_inbound == 8


def test_a_gap_that_is_not_filled_is_asked_for_again_and_at_last_ends_the_session() -> None:
    # A garbled request, for one, is gap-filled by the peer when it finds out, and never answered.
    config = SessionConfig("acceptor", "SELF", "PEER", logon_timeout=5)
    side = Side(config=config)
    side.logs_on(1, "98=0|108=0")
    side.receives("D", 4, "11=c")
    assert brief(side.sends(), 7)[-1] == ("2", "2")
    assert side.passes(31) == []
    assert brief(side.sends(), 7) == [("2", "2")]
    side.receives("D", 2, "11=a", header=f"43=Y|122={side.stamp()}")
    side.passes(31)
    assert side.sends() == [], "it moves, so it is given more time"
    side.passes(60)
    assert brief(side.sends(), 7) == [("2", "3"), ("2", "3")]
    assert "were asked for 3 times" in ended(side.passes(31))


# Resend requests from the peer


def resent(side: Side, first: int, last: int, number: int = 2) -> list[tuple[str | None, ...]]:
    """MsgType, number, PossDup, new number of a gap fill and ClOrdID of what a ResendRequest brings."""
    assert side.receives("2", number, f"7={first}|16={last}") == []
    return brief(side.sends(), 34, 43, 36, 11)


def test_resent_messages_are_what_they_were_with_a_new_sending_time() -> None:
    side = logged_on()
    before = side.stamp()
    number = side.session.send(Message("D", [(97, "Y"), (11, "a"), (55, "IBM")]), side.now)
    (original,) = side.sends()
    side.seconds += 20
    side.receives("2", 2, f"7={number}|16={number}")
    (again,) = side.sends()
    assert body_of(again) == body_of(original) == [(97, "Y"), (11, "a"), (55, "IBM")]
    assert brief([again], 34, 43, 52, 122) == [("D", str(number), "Y", side.stamp(), before)]


def test_runs_of_administrative_messages_become_one_gap_fill() -> None:
    side = logged_on()  # 1 is the Logon
    side.session.send(order("a"), side.now)  # 2
    for number in (2, 3):
        side.receives("1", number, "112=x")  # 3, 4
    side.session.send(order("b"), side.now)  # 5
    side.receives("1", 4, "112=x")  # 6
    side.sends()
    assert resent(side, 1, 0, 5) == [
        ("4", "1", "Y", "2", None),
        ("D", "2", "Y", None, "a"),
        ("4", "3", "Y", "5", None),
        ("D", "5", "Y", None, "b"),
        ("4", "6", "Y", "7", None),
    ]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (2, 2, [("D", "2", "Y", None, "a")]),
        (1, 2, [("4", "1", "Y", "2", None), ("D", "2", "Y", None, "a")]),
        (1, 1, [("4", "1", "Y", "2", None)]),
        (3, 0, [("D", "3", "Y", None, "b")]),
        (3, 999_999, [("D", "3", "Y", None, "b")]),
    ],
)
def test_a_resend_keeps_to_the_range_asked_for(first: int, last: int, expected: list[tuple[str | None, ...]]) -> None:
    side = logged_on()
    side.session.send(order("a"), side.now)
    side.session.send(order("b"), side.now)
    side.sends()
    assert resent(side, first, last) == expected


def test_a_new_process_gap_fills_everything_that_it_did_not_send_itself() -> None:
    side = logged_on("initiator", next_outbound=1001, next_inbound=50)
    side.session.send(order("a"), side.now)
    side.sends()
    assert resent(side, 17, 0, 51) == [("4", "17", "Y", "1002", None), ("D", "1002", "Y", None, "a")]


def test_a_resend_request_right_after_our_logon_is_answered() -> None:
    side = Side("initiator", next_outbound=1001)
    side.session.connected(side.now)
    side.sends()
    logon = f"35=A|49=PEER|56=SELF|34=1|52={side.stamp()}|98=0|108=30"
    request = f"35=2|49=PEER|56=SELF|34=2|52={side.stamp()}|7=990|16=0"
    assert side.session.receive(frame(logon) + frame(request), side.now) == [LoggedOn()]
    assert brief(side.sends(), 34, 123, 36) == [("4", "990", "Y", "1002")]


def test_a_resend_request_that_is_too_high_itself_is_answered_at_once_and_only_once() -> None:
    side = logged_on()
    side.session.send(order("a"), side.now)
    side.sends()
    assert resent(side, 2, 2, 4) == [("2", "3", None, None, None), ("D", "2", "Y", None, "a")]
    side.receives("4", 2, "123=Y|36=4", header="43=Y")
    assert side.session.next_inbound == 5
    assert side.sends() == []


@pytest.mark.parametrize(
    ("body", "reason", "tag"),
    [
        ("16=0", "1", "7"),
        ("7=1", "1", "16"),
        ("7=x|16=0", "6", "7"),
        ("7=0|16=0", "5", "7"),
        ("7=2|16=1", "5", "16"),
        ("7=4|16=0", "5", "7"),
    ],
)
def test_a_wrong_resend_request_is_rejected(body: str, reason: str, tag: str) -> None:
    side = logged_on()
    side.session.send(order("a"), side.now)
    side.session.send(order("b"), side.now)
    side.sends()
    assert side.receives("2", 2, body) == []
    assert brief(side.sends(), 371, 373) == [("3", tag, reason)]


def test_what_the_application_does_not_let_go_again_is_gap_filled() -> None:
    stale = {"b", "c", "e"}
    config = SessionConfig("acceptor", "SELF", "PEER", may_resend=lambda message: message.get(11) not in stale)
    side = logged_on(config=config)
    for name in "abcde":
        side.session.send(order(name), side.now)
    side.sends()
    side.receives("2", 2, "7=2|16=0")
    # It is asked as the message would leave, not before.
    stale.remove("e")
    assert brief(side.sends(), 34, 36, 11) == [
        ("D", "2", None, "a"),
        ("4", "3", "5", None),
        ("D", "5", None, "d"),
        ("D", "6", None, "e"),
    ]


def test_a_large_resend_is_made_in_pieces_and_new_messages_go_between() -> None:
    side = logged_on()
    for number in range(2000):
        side.session.send(order(f"o{number}"), side.now)
    side.sends()
    side.receives("2", 2, "7=1|16=0")
    first = side.session.bytes_to_send()
    assert 0 < len(first) < 100_000
    assert side.session.waiting_bytes == 0
    side.session.send(order("new"), side.now)
    assert b"11=new\x01" in side.session.bytes_to_send()
    rest = side.sends()
    assert rest[-1].get(11) == "o1999"


def test_a_request_for_what_is_being_resent_starts_it_over_once() -> None:
    side = logged_on()
    for number in range(2000):
        side.session.send(order(f"o{number}"), side.now)
    side.sends()
    for number in range(2, 12):
        side.receives("2", number, "7=1|16=0")
    assert len(side.sends()) == 2001


# Gap fill and reset


def test_a_gap_fill_moves_the_expected_number() -> None:
    side = logged_on()
    assert side.receives("4", 2, "123=Y|36=7") == []
    assert side.session.next_inbound == 7


def test_a_gap_fill_with_a_number_too_high_waits_for_its_turn() -> None:
    side = logged_on()
    side.receives("4", 3, "123=Y|36=10")
    assert brief(side.sends(), 7, 16) == [RESEND_FROM_2]
    assert names(side.receives("D", 2, "11=a", header=f"43=Y|122={side.stamp()}")) == ["a"]
    assert side.session.next_inbound == 10


def test_a_gap_fill_with_a_number_too_low_ends_the_session() -> None:
    side = logged_on(next_inbound=7)
    assert "too low" in ended(side.receives("4", 3, "123=Y|36=20"))


def test_what_was_received_within_a_gap_fill_is_not_dropped() -> None:
    side = logged_on()
    side.receives("D", 4, "11=c")
    side.receives("D", 6, "11=e")
    assert names(side.receives("4", 2, "123=Y|36=9", header="43=Y")) == ["c", "e"]
    assert side.session.next_inbound == 9


def test_gap_fills_within_gap_fills_are_no_burden() -> None:
    side = logged_on()
    for number in range(3, 9000):
        side.receives("4", number, "123=Y|36=50000")
    assert side.receives("4", 2, "123=Y|36=60000") == []
    assert side.session.next_inbound == 60_000


@pytest.mark.parametrize("new", ["2", "1", "0", "x", ""])
def test_a_gap_fill_that_goes_back_is_rejected(new: str) -> None:
    side = logged_on()
    side.receives("4", 2, f"123=Y|36={new}")
    assert brief(side.sends(), 371) == [("3", "36")]
    assert side.session.next_inbound == 3


def test_a_reset_counts_whatever_its_own_number_is() -> None:
    for number in (1, 2, 900):
        side = logged_on()
        assert side.receives("4", number, "123=N|36=70") == []
        assert side.session.next_inbound == 70
        assert side.sends() == []


def test_a_reset_drops_what_waits_below_it_and_takes_what_is_there() -> None:
    side = logged_on()
    side.receives("D", 5, "11=old")
    side.receives("D", 9, "11=new")
    assert names(side.receives("4", 1, "36=9")) == ["new"]
    assert side.session.next_inbound == 10


@pytest.mark.parametrize(("body", "reason"), [("123=N|36=1", "5"), ("36=x", "6"), ("123=N", "1"), ("36=", "4")])
def test_a_reset_that_goes_back_or_nowhere_is_rejected_and_changes_nothing(body: str, reason: str) -> None:
    side = logged_on()
    assert side.receives("4", 2, body) == []
    assert brief(side.sends(), 371, 373) == [("3", "36", reason)]
    assert side.session.next_inbound == 2


# ResetSeqNumFlag


def test_the_acceptor_resets_at_logon_when_asked_to_and_forgets_what_it_sent() -> None:
    side = logged_on()
    side.session.send(order("a"), side.now)
    side.session.disconnected(side.now)
    assert side.logs_on(1, "98=0|108=30|141=Y") == [NumbersReset(), LoggedOn()]
    assert brief(side.sends(), 34, 141) == [("A", "1", "Y")]
    assert (side.session.next_outbound, side.session.next_inbound) == (2, 2)
    side.receives("1", 2, "112=x")
    side.sends()
    assert resent(side, 1, 0, 3) == [("4", "1", "Y", "3", None)]


def test_a_reset_in_mid_session_forgets_what_waited() -> None:
    side = logged_on()
    side.receives("D", 3, "11=old")
    side.receives("A", 1, "98=0|108=30|141=Y")
    assert names(side.receives("D", 2, "11=a")) == ["a"]
    assert names(side.receives("D", 3, "11=b")) == ["b"]


def test_a_reset_in_mid_session_is_answered_and_the_session_goes_on() -> None:
    side = logged_on()
    side.session.send(order("a"), side.now)
    side.sends()
    assert side.receives("A", 1, "98=0|108=30|141=Y") == [NumbersReset()]
    assert brief(side.sends(), 34, 141) == [("A", "1", "Y")]
    assert names(side.receives("D", 2, "11=b")) == ["b"]
    assert side.session.send(order("c"), side.now) == 2


def test_a_reset_that_does_not_begin_at_one_is_refused() -> None:
    side = Side(next_inbound=3)
    side.session.connected(side.now)
    (disconnect,) = side.receives("A", 5, "98=0|108=30|141=Y")
    assert "must be 1" in str(disconnect)
    assert side.session.next_inbound == 3


def test_the_initiator_resets_before_every_logon_where_it_is_set_so() -> None:
    config = SessionConfig("initiator", "SELF", "PEER", reset_on_logon=True)
    side = Side(config=config, next_outbound=9, next_inbound=9)
    for _ in range(2):
        assert side.session.connected(side.now) == [NumbersReset()]
        assert brief(side.sends(), 34, 141) == [("A", "1", "Y")]
        assert side.receives("A", 1, "98=0|108=30|141=Y") == [LoggedOn()]
        assert side.session.send(order("a"), side.now) == 2
        assert names(side.receives("D", 2, "11=b")) == ["b"]
        side.session.disconnected(side.now)


def test_the_initiator_refuses_a_reset_that_it_did_not_ask_for() -> None:
    side = Side("initiator", next_inbound=5)
    side.session.connected(side.now)
    (disconnect,) = side.receives("A", 1, "98=0|108=30|141=Y")
    assert "141" in str(disconnect)
    assert side.session.next_inbound == 5
    side = logged_on("initiator", next_inbound=5)
    assert "141" in ended(side.receives("A", 1, "98=0|108=30|141=Y"))
    assert side.session.next_inbound == 6


# Heartbeats


def test_a_heartbeat_follows_an_interval_without_sending() -> None:
    side = logged_on()
    side.seconds += 20
    side.receives("0", 2)
    side.session.send(order("a"), side.now)
    side.sends()
    side.passes(29.9)
    assert side.sends() == []
    side.passes(0.2)
    assert brief(side.sends(), 112) == [("0", None)]


def test_a_test_request_is_answered_with_its_id_verbatim() -> None:
    side = logged_on()
    side.receives("1", 2, "112= what=ever ")
    assert brief(side.sends(), 112) == [("0", " what=ever ")]


def test_a_test_request_without_an_id_is_rejected() -> None:
    side = logged_on()
    side.receives("1", 2)
    assert brief(side.sends(), 371, 373) == [("3", "112", "1")]


def test_silence_brings_a_test_request_and_then_the_end() -> None:
    side = logged_on()
    side.passes(35.9)
    assert brief(side.sends()) == [("0",)]
    side.passes(0.2)
    assert brief(side.sends()) == [("1",)]
    side.passes(35.8)
    assert brief(side.sends()) == [("0",)]
    assert ended(side.passes(0.2)) == "nothing received for 72.0 s"
    assert side.sends() == []


def test_anything_received_clears_a_test_request() -> None:
    side = logged_on()
    side.passes(40)
    assert "1" in [message.msg_type for message in side.sends()]
    side.receives("D", 2, "11=a")
    side.passes(35.9)
    assert side.session.state is State.IN_SESSION
    assert "1" not in [message.msg_type for message in side.sends()]
    side.passes(0.2)
    assert brief(side.sends()) == [("1",)]


def test_an_interval_of_zero_turns_heartbeats_off() -> None:
    side = Side()
    side.logs_on(1, "98=0|108=0")
    side.sends()
    assert side.session.next_tick() == float("inf")
    assert side.passes(100_000) == []
    assert side.sends() == []


def test_silence_is_not_held_against_the_peer_while_nobody_listens() -> None:
    side = logged_on()
    for _ in range(20):
        side.seconds += 30
        assert side.session.tick(side.now, reading=False) == []
    assert set(brief(side.sends())) == {("0",)}


# Logout


def test_a_logout_is_answered_and_ends_the_session() -> None:
    side = logged_on()
    assert ended(side.receives("5", 2, "58=bye")) == "bye"
    assert brief(side.sends()) == [("5",)]
    assert side.session.next_inbound == 3
    assert side.session.disconnected(side.now) == []


@pytest.mark.parametrize("number", [1, 9])
def test_a_logout_is_answered_whatever_its_number(number: int) -> None:
    side = logged_on()
    ended(side.receives("5", number))
    assert brief(side.sends()) == [("5",)]
    assert side.session.next_inbound == 2


def test_our_logout_waits_for_its_answer_and_takes_what_still_comes() -> None:
    side = logged_on()
    assert side.session.logout(side.now, "end of day") == []
    assert brief(side.sends(), 58) == [("5", "end of day")]
    assert side.session.state is State.LOGOUT_SENT
    assert names(side.receives("D", 2, "11=late")) == ["late"]
    assert ended(side.receives("5", 3)) == "the peer logged out"
    assert side.sends() == []


def test_our_logout_without_an_answer_ends_after_two_seconds() -> None:
    side = logged_on()
    side.session.logout(side.now)
    assert side.passes(1.9) == []
    assert ended(side.passes(0.2)) == "no answer to Logout within 2 s"


def test_a_logout_before_the_logon_just_ends_the_connection() -> None:
    side = Side("initiator")
    side.session.connected(side.now)
    assert side.session.logout(side.now, "never mind") == [Disconnect("never mind")]


def test_a_logout_text_can_be_anything() -> None:
    side = logged_on()
    side.session.logout(side.now, "€\x01\n" + "x" * 1000)
    assert brief(side.sends(), 58) == [("5", "???" + "x" * 197)]


# The application's side


@pytest.mark.parametrize("state", [State.DISCONNECTED, State.LOGON_SENT, State.LOGOUT_SENT, State.CLOSING])
def test_without_a_session_a_message_is_refused_and_never_leaves_later(state: State) -> None:
    side = Side("initiator")
    if state is State.LOGON_SENT:
        side.session.connected(side.now)
    if state in (State.LOGOUT_SENT, State.CLOSING):
        side.logs_on()
        side.session.logout(side.now)
    if state is State.CLOSING:
        side.receives("5", 2)
    assert side.session.state is state
    number = side.session.next_outbound
    with pytest.raises(NotLoggedOn, match=f"FIX.4.4-SELF-PEER is {state.value}"):
        side.session.send(order("a"), side.now)
    assert side.session.next_outbound == number
    side.session.disconnected(side.now)
    side.logs_on(side.session.next_inbound)
    side.sends()
    fills = resent(side, 1, 0, side.session.next_inbound)
    assert [fill[0] for fill in fills] == ["4"]


@pytest.mark.parametrize("message", [Message("0"), Message("A"), Message("D", [(34, "1")]), Message("D", [(11, "")])])
def test_what_cannot_be_sent_is_refused_and_uses_up_no_number(message: Message) -> None:
    side = logged_on()
    with pytest.raises(FieldError):
        side.session.send(message, side.now)
    assert side.session.next_outbound == 2
    assert side.sends() == []


def test_a_reject_of_ours_is_told_to_the_application() -> None:
    side = logged_on()
    number = side.session.send(order("a"), side.now)
    (event,) = side.receives("3", 2, f"45={number}|371=55|372=D|373=5|58=what is IBM?")
    assert isinstance(event, Rejected)
    assert event.ref_number == number
    assert event.message.get(58) == "what is IBM?"


def test_a_business_reject_is_an_application_message() -> None:
    side = logged_on()
    (event,) = side.receives("j", 2, "45=2|372=D|380=3")
    assert isinstance(event, MessageReceived)


def test_a_lost_connection_is_told_once_and_only_of_a_session() -> None:
    side = logged_on()
    assert side.session.disconnected(side.now) == [LoggedOut("the connection was lost")]
    side.session.connected(side.now)
    assert side.session.disconnected(side.now) == []


def test_after_a_reconnect_the_numbers_go_on_and_what_got_lost_is_resent() -> None:
    side = logged_on("initiator")
    side.session.send(order("lost"), side.now)
    side.session.disconnected(side.now)
    assert side.sends() == [], "bytes of the old connection do not leave by the new one"
    side.logs_on(2)
    assert brief(side.sends(), 34) == [("A", "3")]
    assert resent(side, 2, 0, 3) == [("D", "2", "Y", None, "lost"), ("4", "3", "Y", "4", None)]


def test_a_session_holds_one_connection_at_a_time() -> None:
    side = logged_on()
    with pytest.raises(RuntimeError, match="has a connection already"):
        side.session.connected(side.now)
    side.session.disconnected(side.now)
    with pytest.raises(RuntimeError, match="no connection"):
        side.session.receive(b"", side.now)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"sender_comp_id": ""}, "sender_comp_id is ''"),
        ({"target_comp_id": "A\x01B"}, "target_comp_id"),
        ({"begin_string": ""}, "begin_string"),
        ({"heartbeat_interval": -1}, "heartbeat_interval is -1"),
        ({"logon_timeout": 0}, "logon_timeout is 0"),
        ({"logout_timeout": -1}, "logout_timeout is -1"),
        ({"maximum_time_difference": 0}, "maximum_time_difference is 0"),
        ({"mistimed": "drop"}, "mistimed is 'drop'"),
    ],
)
def test_a_wrong_setting_is_refused_at_once(changed: dict[str, object], what: str) -> None:
    settings: dict[str, Any] = {"role": "initiator", "sender_comp_id": "A", "target_comp_id": "B", **changed}
    with pytest.raises(ValueError, match=what):
        SessionConfig(**settings)


def test_sequence_numbers_begin_at_one() -> None:
    with pytest.raises(ValueError, match="next_inbound is 0"):
        MemoryStore(next_inbound=0)
    with pytest.raises(ValueError, match="next_outbound is 0"):
        MemoryStore(next_outbound=0)


def test_no_password_is_in_what_a_session_shows() -> None:
    config = SessionConfig("initiator", "SELF", "PEER", logon_fields=password(lambda: ("desk", "hunter2")))
    side = Side(config=config)
    side.session.connected(side.now)
    assert "hunter2" not in repr(side.session) + repr(config) + repr(side.sends())
    assert config.session_id == "FIX.4.4-SELF-PEER"


def test_the_clock_difference_that_is_allowed_can_be_set() -> None:
    side = logged_on(config=SessionConfig("acceptor", "SELF", "PEER", maximum_time_difference=1))
    assert names(side.receives("D", 2, "11=a", header=f"52={side.stamp(-0.9)}")) == ["a"]
    assert refused(side.receives("D", 3, "11=b", header=f"52={side.stamp(-1.1)}")) == [3]
    assert brief(side.sends()) == [("3",), ("5",)]


def test_a_message_whose_time_cannot_be_right_may_be_left_for_the_next_logon() -> None:
    side = logged_on(config=SessionConfig("initiator", "SELF", "PEER", mistimed="end"))
    events = side.receives("8", 2, "11=a", header=f"52={side.stamp(-86400)}")
    assert [type(event) for event in events] == [LoggedOut, Disconnect]
    assert brief(side.sends()) == [("5",)]
    assert side.receives("8", 3, "11=b") == []
    side.session.disconnected(side.now)
    assert side.session.next_inbound == 2
    side.logs_on(4)
    assert brief(side.sends(), 7, 16)[-1] == ("2", "2", "0")
    assert names(side.receives("8", 2, "11=a", header=f"43=Y|122={side.stamp(86400)}")) == ["a"]


# Found in reading


def test_a_reset_by_a_logon_that_fails_its_checks_changes_nothing() -> None:
    for body, header in (("141=Y", ""), ("98=0|108=30|141=Y", f"43=Y|122={Side().stamp()}")):
        side = logged_on(next_outbound=50, next_inbound=60)
        events = side.receives("A", 1, body, header=header)
        assert NumbersReset() not in events
        assert side.session.next_inbound >= 61
        assert side.session.next_outbound >= 50


def reset_and_cut_off(role: Literal["initiator", "acceptor"]) -> Side:
    """The connection is lost before the peer answers, and there is a new one."""
    side = logged_on(role, next_outbound=50, next_inbound=60)
    side.session.reset(side.now)
    side.sends()
    side.session.disconnected(side.now)
    side.session.connected(side.now)
    return side


def test_a_reset_of_ours_that_the_connection_takes_away_is_asked_for_again_by_the_initiator() -> None:
    side = reset_and_cut_off("initiator")
    assert brief(side.sends(), 34, 141) == [("A", "1", "Y")]
    assert LoggedOn() in side.receives("A", 1, "98=0|108=30|141=Y")
    assert (side.session.next_outbound, side.session.next_inbound) == (2, 2)


def test_a_reset_of_ours_that_the_connection_takes_away_leaves_the_acceptor_asking_for_everything() -> None:
    side = reset_and_cut_off("acceptor")
    assert LoggedOn() in side.receives("A", 2, "98=0|108=30")
    assert brief(side.sends(), 7) == [("A", None), ("2", "1")]


def test_a_crash_before_a_reset_of_ours_is_answered_leaves_the_acceptor_asking_for_everything() -> None:
    side = logged_on("acceptor", next_outbound=50, next_inbound=60)
    side.session.reset(side.now)
    (event,) = side.receives("D", 61, "11=a")
    assert isinstance(event, MessageReceived)
    side.session.processed(event.number)
    side.receives("0", 62)
    assert (side.store.next_outbound, side.store.next_inbound) == (2, 1)
    side.session = Session(side.session.config, side.store)
    side.session.connected(side.now)
    assert LoggedOn() in side.receives("A", 2, "98=0|108=30")
    assert brief(side.sends(), 7) == [("A", None), ("2", "1")]


def test_a_gap_is_not_asked_for_while_nobody_reads_what_fills_it() -> None:
    side = logged_on()
    side.receives("D", 5, "11=late")
    side.sends()
    for _ in range(6):
        side.seconds += 30
        side.session.tick(side.now, reading=False)
    assert "2" not in [message.msg_type for message in side.sends()]
    assert side.session.state is State.IN_SESSION


def test_what_is_given_back_comes_again_after_the_next_logon() -> None:
    side = logged_on()
    for number in (2, 3, 4):
        side.receives("D", number, f"11={number}")
    side.session.processed(2)
    side.session.give_back()
    side.session.disconnected(side.now)
    assert (side.session.next_inbound, side.store.next_inbound) == (3, 3)
    side.logs_on(5)
    assert brief(side.sends(), 7)[-1] == ("2", "3")


def test_a_body_length_far_too_long_does_not_outlast_an_interval() -> None:
    side = logged_on()
    text = f"35=D|49=PEER|56=SELF|34=2|52={side.stamp()}|11=a"
    side.session.receive(frame(text, body_length=90_000), side.now)
    assert side.receives("0", 3) == [], "for all that is known it belongs to the long one"
    side.passes(36)
    assert ("2", "2") in brief(side.sends(), 7)
    side.passes(36)
    assert side.session.state is State.IN_SESSION


def test_requests_that_overlap_are_answered_once() -> None:
    side = logged_on()
    for number in range(100):
        side.session.send(order(str(number)), side.now)
    side.sends()
    for number in range(50):
        side.receives("2", 2 + number, f"7={2 + number}|16=0")
    again = side.sends()
    assert brief(again, 34) == [("D", str(number)) for number in range(2, 102)]


def test_what_waits_behind_a_gap_is_bounded_in_bytes() -> None:
    side = logged_on()
    for number in range(3, 60):
        side.receives("D", number, f"11={number}|58={'x' * 500_000}")
    assert side.session._early_bytes < (1 << 24) + 1_000_000
    assert names(side.receives("D", 2, "11=2"))[-1] != "59"


@pytest.mark.parametrize("msg_type", ["", "D\x0111=EVIL", "U\x0111=EVIL", "U=", "€", "ä", "D=E", "toolong"])
def test_a_msg_type_that_is_none_is_not_sent(msg_type: str) -> None:
    side = logged_on()
    with pytest.raises(FieldError, match="tag 35"):
        side.session.send(Message(msg_type, [(11, "a")]), side.now)
    assert side.sends() == []


def test_what_is_resent_late_says_when_it_is_sent() -> None:
    side = logged_on()
    side.session.send(order("a"), side.now)
    side.sends()
    side.receives("2", 2, "7=2|16=0")
    side.seconds += 100
    (again,) = decode(side.session.bytes_to_send(side.now))
    assert again.get(52) == side.stamp()


def test_a_logon_that_was_judged_is_authenticated_once_and_a_refused_one_every_time() -> None:
    asked: list[str] = []

    def authenticate(logon: Message) -> str | None:
        asked.append(logon.get(554) or "")
        return None if logon.get(554) == "right" else "wrong password"

    side = Side(config=SessionConfig("acceptor", "SELF", "PEER", authenticate=authenticate))
    side.session.connected(side.now)

    def logon(secret: str) -> bytes:
        return frame(f"35=A|49=PEER|56=SELF|34=1|52={side.stamp()}|98=0|108=30|554={secret}")

    def judged(data: bytes) -> str | None:
        decoder = Decoder()
        decoder.feed(data)
        decoded = decoder.next()
        assert decoded is not None
        return side.session.judge(decoded, side.now)

    assert judged(logon("wrong")) == "wrong password"
    assert isinstance(side.session.receive(logon("wrong"), side.now)[-1], Disconnect)
    assert asked == ["wrong", "wrong"]
    side = Side(config=SessionConfig("acceptor", "SELF", "PEER", authenticate=authenticate))
    side.session.connected(side.now)
    assert judged(logon("right")) is None
    assert LoggedOn() in side.session.receive(logon("right"), side.now)
    assert asked[2:] == ["right"]
    side.session.disconnected(side.now)
    side.session.connected(side.now)
    side.receives("A", 2, "98=0|108=30|554=right")
    assert asked[2:] == ["right", "right"]
