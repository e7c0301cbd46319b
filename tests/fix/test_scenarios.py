"""The FIX session-level test cases, under their numbers: in FIX 4.2, 4.4 and FIXT 1.1, as initiator and as acceptor.

Each test is one row of the table in docs/fix.md. `side` is our session, logged on; its peer is played by hand. What is
sent to it is held to the dictionary of its version.
"""

from collections.abc import Sequence
from typing import Any, Literal

import pytest

from fix.config import VERSIONS, LogonRequest, SessionConfig
from fix.dictionary import shipped
from fix.events import Disconnect, LoggedOn, LoggedOut, MessageReceived, Rejected
from fix.message import Message
from fix.session import NotLoggedOn, State
from tests.fix.wire import Side, body_of, brief, frame, refused

Role = Literal["initiator", "acceptor"]

ORDER = "11=a|21=1|55=IBM|54=1|60=20131007-13:30:00|38=100|40=2|44=182.25"
RESENT = "43=Y|122=20131007-13:30:00"


def make(version: str, role: Role, **changed: Any) -> Side:
    config = SessionConfig(role, "SELF", "PEER", version, dictionary=shipped(version), **changed)
    return Side(config=config)


def make_logged_on(version: str, role: Role, **changed: Any) -> Side:
    side = make(version, role, **changed)
    side.logs_on()
    side.sends()
    return side


@pytest.fixture(params=[(version, role) for version in VERSIONS for role in ("initiator", "acceptor")], ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[str, Role]:
    version, role = request.param
    return version, role


@pytest.fixture
def side(case: tuple[str, Role]) -> Side:
    return make_logged_on(*case)


@pytest.fixture
def connected(case: tuple[str, Role]) -> Side:
    """Connected, our Logon sent if we are the initiator, nothing received."""
    side = make(*case)
    side.session.connected(side.now)
    return side


def logon_of(side: Side, **changed: str) -> str:
    fields = {"98": "0", "108": "30"}
    if side.session.config.begin_string == "FIXT.1.1":
        fields["1137"] = "9"
    return "|".join(f"{tag}={value}" for tag, value in (fields | changed).items() if value)


def delivered(events: Sequence[object]) -> list[int]:
    return [event.number for event in events if isinstance(event, MessageReceived)]


def rejects(side: Side, reason: int, tag: int | None, number: int = 2, msg_type: str = "D") -> None:
    """One Reject was sent; the number of what it rejects is used up, and the session goes on."""
    (reject,) = side.sends()
    told = None if side.session.config.begin_string == "FIX.4.2" and reason > 11 else str(reason)
    assert brief([reject], 45, 371, 372, 373) == [("3", str(number), None if tag is None else str(tag), msg_type, told)]
    assert reject.get(58)
    assert side.session.next_inbound == number + 1
    assert delivered(side.receives("D", number + 1, ORDER)) == [number + 1]


def ends(side: Side, events: Sequence[object], text: str) -> None:
    """A Logout that says why was sent, and the connection is to be closed."""
    assert isinstance(events[-1], Disconnect)
    assert text in events[-1].reason
    assert text in side.sends()[-1].require(58)


# 1: Logon


def test_1b_the_initiator_logs_on_and_is_in_session_with_the_answer(case: tuple[str, Role]) -> None:
    version, _ = case
    side = make(version, "initiator")
    side.session.connected(side.now)
    (logon,) = side.sends()
    assert brief([logon], 8, 34, 49, 56, 98, 108) == [("A", version, "1", "SELF", "PEER", "0", "30")]
    assert logon.get(1137) == ("9" if version == "FIXT.1.1" else None)
    assert side.receives("A", 1, logon_of(side)) == [LoggedOn()]


def test_1s_the_acceptor_answers_a_valid_logon(case: tuple[str, Role]) -> None:
    version, _ = case
    side = make(version, "acceptor")
    side.session.connected(side.now)
    assert side.receives("A", 1, logon_of(side, **{"108": "17"})) == [LoggedOn()]
    (logon,) = side.sends()
    assert brief([logon], 34, 98, 108) == [("A", "1", "0", "17")]


def test_1a_a_logon_with_a_number_too_high_is_answered_and_then_the_gap_asked_for(connected: Side) -> None:
    if connected.session.config.role == "initiator":
        connected.sends()
    assert connected.receives("A", 5, logon_of(connected)) == [LoggedOn()]
    sent = connected.sends()
    assert brief(sent[-1:], 7, 16) == [("2", "1", "0")]
    assert [message.msg_type for message in sent[:-1]] == (["A"] if connected.session.config.role == "acceptor" else [])


def test_1b_a_second_connection_of_the_session_is_not_the_sessions(side: Side) -> None:
    with pytest.raises(RuntimeError, match="has a connection already"):
        side.session.connected(side.now)


@pytest.mark.parametrize("header", ["49=OTHER", "56=OTHER"])
def test_1c_a_logon_with_a_wrong_comp_id_ends_the_connection(connected: Side, header: str) -> None:
    connected.sends()
    (event,) = connected.receives("A", 1, logon_of(connected), header=header)
    assert isinstance(event, Disconnect)
    assert connected.session.state is State.CLOSING


def test_1d_a_logon_with_a_sending_time_out_of_range_ends_the_connection(connected: Side) -> None:
    connected.sends()
    events = connected.receives("A", 1, logon_of(connected), header=f"52={connected.stamp(-121)}")
    ends(connected, events, "tag 52")


def test_1d_a_logon_of_another_version_ends_the_connection(connected: Side) -> None:
    connected.sends()
    other = "FIX.4.4" if connected.session.config.begin_string == "FIX.4.2" else "FIX.4.2"
    text = f"35=A|49=PEER|56=SELF|34=1|52={connected.stamp()}|{logon_of(connected)}"
    ends(connected, connected.session.receive(frame(text, begin=other), connected.now), "BeginString (8)")


def test_1d_a_logon_with_a_wrong_length_is_ignored(connected: Side) -> None:
    connected.sends()
    text = f"35=A|49=PEER|56=SELF|34=1|52={connected.stamp()}|{logon_of(connected)}"
    data = frame(text, begin=connected.session.config.begin_string, body_length=7)
    assert connected.session.receive(data, connected.now) == []
    assert connected.sends() == []


@pytest.mark.parametrize("changed", [{"98": ""}, {"108": ""}, {"98": "5"}, {"108": "-5"}])
def test_1d_a_logon_with_a_wrong_body_ends_the_connection(connected: Side, changed: dict[str, str]) -> None:
    connected.sends()
    (tag,) = changed
    ends(connected, connected.receives("A", 1, logon_of(connected, **changed)), f"tag {tag}")
    assert connected.session.next_inbound == 2


def test_1d_a_logon_of_fixt_without_a_default_application_version_ends_the_connection(connected: Side) -> None:
    connected.sends()
    events = connected.receives("A", 1, "98=0|108=30")
    if connected.session.config.begin_string == "FIXT.1.1":
        ends(connected, events, "tag 1137")
    else:
        assert events == [LoggedOn()]


def test_1e_any_other_first_message_ends_the_connection(connected: Side) -> None:
    connected.sends()
    (event,) = connected.receives("D", 1, ORDER)
    assert event == Disconnect("the first message was of type D, not a Logon")
    assert connected.sends() == []


# 2: the header of what arrives


def test_2a_a_message_with_the_expected_number_is_taken(side: Side) -> None:
    assert delivered(side.receives("D", 2, ORDER)) == [2]
    assert side.session.next_inbound == 3


def test_2b_a_number_too_high_brings_a_resend_request_and_waits(side: Side) -> None:
    assert side.receives("D", 4, ORDER) == []
    assert brief(side.sends(), 7, 16) == [("2", "2", "0")]
    assert delivered(side.receives("D", 2, ORDER, header=RESENT)) == [2]
    assert delivered(side.receives("D", 3, ORDER, header=RESENT)) == [3, 4]


def test_2c_a_number_too_low_without_poss_dup_ends_the_session(side: Side) -> None:
    ends(side, side.receives("D", 1, ORDER), "expecting 2 but received 1")


def test_2d_a_garbled_message_is_ignored_and_uses_up_no_number(side: Side) -> None:
    text = f"35=D|49=PEER|56=SELF|34=2|52={side.stamp()}|{ORDER}"
    version = side.session.config.begin_string
    for data in (frame(text, begin=version, check_sum="999"), frame(text, begin=version)[:-8] + b"\x01"):
        assert side.session.receive(data, side.now) == []
    assert side.sends() == []
    assert delivered(side.receives("D", 2, ORDER)) == [2]


def test_2e_a_duplicate_that_was_received_is_ignored(side: Side) -> None:
    side.receives("D", 2, ORDER)
    assert side.receives("D", 2, ORDER, header=RESENT) == []
    assert side.sends() == []


def test_2e_a_duplicate_that_was_not_received_is_taken(side: Side) -> None:
    (event,) = side.receives("D", 2, ORDER, header=RESENT)
    assert isinstance(event, MessageReceived)
    assert event.possible_duplicate


def test_2f_a_duplicate_that_claims_to_be_older_than_its_first_sending_ends_the_session(side: Side) -> None:
    assert refused(side.receives("D", 2, ORDER, header="43=Y|122=20131007-13:30:01")) == [2]
    reject, logout = side.sends()
    assert brief([reject, logout], 371, 373)[0] == ("3", "122", "10")
    assert logout.msg_type == "5"
    assert side.session.next_inbound == 3


def test_2g_a_duplicate_without_its_original_time_is_rejected(side: Side) -> None:
    assert refused(side.receives("D", 2, ORDER, header="43=Y")) == [2]
    rejects(side, 1, 122)


def test_2i_another_begin_string_ends_the_session_without_a_reject(side: Side) -> None:
    version = "FIX.4.4" if side.session.config.begin_string == "FIX.4.2" else "FIX.4.2"
    text = f"35=D|49=PEER|56=SELF|34=2|52={side.stamp()}|{ORDER}"
    ends(side, side.session.receive(frame(text, begin=version), side.now), "BeginString (8)")


@pytest.mark.parametrize("tag", [49, 56])
def test_2k_a_wrong_comp_id_is_rejected_and_ends_the_session(side: Side, tag: int) -> None:
    assert refused(side.receives("D", 2, ORDER, header=f"{tag}=OTHER")) == [2]
    sent = side.sends()
    assert brief(sent, 371, 373)[0] == ("3", str(tag), "9")
    assert [message.msg_type for message in sent] == ["3", "5"]
    assert side.session.state is State.LOGOUT_SENT


@pytest.mark.parametrize("wrong_by", [-30, -1, 1, 30])
def test_2m_a_wrong_body_length_is_ignored(side: Side, wrong_by: int) -> None:
    text = f"35=D|49=PEER|56=SELF|34=2|52={side.stamp()}|{ORDER}"
    data = frame(text, begin=side.session.config.begin_string, body_length=len(text) + 1 + wrong_by)
    assert side.session.receive(data, side.now) == []
    # Until more has come, one that is too long may still be on its way.
    events = side.receives("D", 2, ORDER) + side.receives("D", 3, ORDER)
    assert delivered(events) == [2, 3] or brief(side.sends(), 7) == [("2", "2")]


@pytest.mark.parametrize("offset", [-121, 121])
def test_2o_a_sending_time_out_of_range_is_rejected_and_ends_the_session(side: Side, offset: int) -> None:
    assert refused(side.receives("D", 2, ORDER, header=f"52={side.stamp(offset)}")) == [2]
    sent = side.sends()
    assert brief(sent, 371, 373)[0] == ("3", "52", "10")
    assert [message.msg_type for message in sent] == ["3", "5"]


@pytest.mark.parametrize("msg_type", ["*", "ZZZ", "d-"])
def test_2q_a_msg_type_that_is_none_is_rejected(side: Side, msg_type: str) -> None:
    assert side.receives(msg_type, 2, "11=a") == []
    rejects(side, 11, 35, msg_type=msg_type)


@pytest.mark.parametrize("msg_type", ["C", "AE", "U7"])
def test_2r_a_msg_type_that_is_not_supported_gets_a_business_reject(side: Side, msg_type: str) -> None:
    assert side.receives(msg_type, 2, "11=a") == []
    assert brief(side.sends(), 45, 372, 380) == [("j", "2", msg_type, "3")]
    assert side.session.next_inbound == 3


def test_2t_the_first_three_fields_out_of_order_are_ignored(side: Side) -> None:
    body = f"49=PEER|35=D|56=SELF|34=2|52={side.stamp()}|{ORDER}"
    assert side.session.receive(frame(body, begin=side.session.config.begin_string), side.now) == []
    assert side.sends() == []
    assert delivered(side.receives("D", 2, ORDER)) == [2]


# 3: the trailer


@pytest.mark.parametrize("check_sum", ["000", "1", "12", "1234", "abc", ""])
def test_3b_a_wrong_checksum_is_ignored(side: Side, check_sum: str) -> None:
    text = f"35=D|49=PEER|56=SELF|34=2|52={side.stamp()}|{ORDER}"
    good = frame(text, begin=side.session.config.begin_string)
    data = good[:-4] + check_sum.encode() + b"\x01"
    assert data != good
    assert side.session.receive(data, side.now) == []
    assert delivered(side.receives("D", 2, ORDER)) == [2]


def test_3c_a_message_without_its_end_is_ignored_once_the_next_comes(side: Side) -> None:
    text = f"35=D|49=PEER|56=SELF|34=2|52={side.stamp()}|{ORDER}"
    cut = frame(text, begin=side.session.config.begin_string)[:-20]
    events = side.session.receive(cut, side.now) + side.receives("D", 2, ORDER) + side.receives("D", 3, ORDER)
    assert delivered(events) == [2, 3]


# 4 to 6: heartbeats


def test_4a_a_heartbeat_is_sent_after_an_interval_of_silence(side: Side) -> None:
    side.passes(29)
    assert side.sends() == []
    side.passes(1)
    assert brief(side.sends(), 112) == [("0", None)]


def test_4b_a_test_request_is_answered_with_its_id(side: Side) -> None:
    side.receives("1", 2, "112=HELLO")
    assert brief(side.sends(), 112) == [("0", "HELLO")]


def test_5_a_heartbeat_is_taken(side: Side) -> None:
    assert side.receives("0", 2) == []
    assert side.session.next_inbound == 3
    assert side.sends() == []


def test_6_silence_brings_a_test_request_and_then_the_end(side: Side) -> None:
    side.passes(36)
    assert [message.msg_type for message in side.sends()] == ["0", "1"]
    events = side.passes(36)
    assert isinstance(events[-1], Disconnect)
    assert "nothing received for" in events[-1].reason


# 7: Reject


def test_7_a_reject_is_taken_and_told(side: Side) -> None:
    (event,) = side.receives("3", 2, "45=1|58=no")
    assert isinstance(event, Rejected)
    assert (event.ref_number, event.number) == (1, 2)
    assert side.session.next_inbound == 3


# 8: resend requests


def order() -> Message:
    return Message("D", [(11, "x"), (55, "IBM")])


def test_8_application_messages_are_resent_as_they_were(side: Side) -> None:
    for _ in range(2):
        side.session.send(order(), side.now)
    side.sends()
    side.passes(3)
    side.receives("2", 2, "7=2|16=0")
    again = side.sends()
    assert brief(again, 34, 43, 122, 52) == [
        ("D", str(number), "Y", "20131007-13:30:00.000", "20131007-13:30:03.000") for number in (2, 3)
    ]
    assert [body_of(message) for message in again] == [list(order().fields)] * 2


def test_8_administrative_messages_become_one_gap_fill(side: Side) -> None:
    side.receives("1", 2, "112=a")
    side.receives("1", 3, "112=b")
    side.sends()
    side.receives("2", 4, "7=1|16=0")
    assert brief(side.sends(), 34, 43, 123, 36) == [("4", "1", "Y", "Y", "4")]


def test_8_of_both_the_order_is_kept(side: Side) -> None:
    side.session.send(order(), side.now)
    side.receives("1", 2, "112=a")
    side.session.send(order(), side.now)
    side.sends()
    side.receives("2", 3, "7=1|16=0")
    assert brief(side.sends(), 34, 36) == [("4", "1", "2"), ("D", "2", None), ("4", "3", "4"), ("D", "4", None)]


def test_8_an_end_beyond_what_was_sent_is_clipped(side: Side) -> None:
    side.session.send(order(), side.now)
    side.sends()
    side.receives("2", 2, "7=2|16=999999")
    assert brief(side.sends(), 34) == [("D", "2")]


# 10: SequenceReset, gap fill


def test_10a_a_gap_fill_with_a_number_too_high_brings_a_resend_request(side: Side) -> None:
    assert side.receives("4", 4, "123=Y|36=7", header=RESENT) == []
    assert brief(side.sends(), 7, 16) == [("2", "2", "0")]
    side.receives("4", 2, "123=Y|36=4", header=RESENT)
    assert side.session.next_inbound == 7


def test_10b_a_gap_fill_moves_the_expected_number(side: Side) -> None:
    side.receives("4", 2, "123=Y|36=20", header=RESENT)
    assert side.session.next_inbound == 20
    assert delivered(side.receives("D", 20, ORDER)) == [20]


def test_10c_a_gap_fill_that_was_received_is_ignored(side: Side) -> None:
    side.receives("D", 2, ORDER)
    assert side.receives("4", 2, "123=Y|36=20", header=RESENT) == []
    assert side.session.next_inbound == 3


def test_10d_a_gap_fill_with_a_number_too_low_ends_the_session(side: Side) -> None:
    side.receives("D", 2, ORDER)
    ends(side, side.receives("4", 2, "123=Y|36=20"), "expecting 3 but received 2")


@pytest.mark.parametrize("new", [1, 2])
def test_10e_a_gap_fill_that_goes_back_is_rejected(side: Side, new: int) -> None:
    side.receives("4", 2, f"123=Y|36={new}", header=RESENT)
    rejects(side, 5, 36, msg_type="4")


# 11: SequenceReset, reset


def test_11a_a_reset_to_a_higher_number_is_taken_whatever_its_own(side: Side) -> None:
    side.receives("4", 77, "123=N|36=50")
    assert side.session.next_inbound == 50
    assert side.sends() == []


def test_11b_a_reset_to_the_expected_number_is_taken(side: Side) -> None:
    side.receives("4", 1, "36=2")
    assert side.session.next_inbound == 2
    assert side.sends() == []


def test_11c_a_reset_to_a_lower_number_is_rejected_and_changes_nothing(side: Side) -> None:
    side.receives("D", 2, ORDER)
    side.receives("4", 3, "123=N|36=1")
    assert brief(side.sends(), 371, 373) == [("3", "36", "5")]
    assert side.session.next_inbound == 3


# 12 and 13: Logout


def test_12_our_logout_waits_for_its_answer(side: Side) -> None:
    assert side.session.logout(side.now, "done") == []
    assert brief(side.sends(), 58) == [("5", "done")]
    events = side.receives("5", 2)
    assert [type(event) for event in events] == [LoggedOut, Disconnect]
    assert side.sends() == []


def test_12_a_logout_that_is_not_answered_ends_all_the_same(side: Side) -> None:
    side.session.logout(side.now)
    side.sends()
    events = side.passes(2.1)
    assert [type(event) for event in events] == [LoggedOut, Disconnect]


def test_13b_a_logout_is_answered(side: Side) -> None:
    events = side.receives("5", 2, "58=bye")
    assert [type(event) for event in events] == [LoggedOut, Disconnect]
    assert brief(side.sends()) == [("5",)]


# 14: the body


def test_14a_a_tag_that_does_not_exist_is_rejected(side: Side) -> None:
    side.receives("D", 2, ORDER + "|3999=x")
    rejects(side, 0, 3999)


@pytest.mark.parametrize("tag", [40, 54, 60])
def test_14b_a_required_field_that_is_missing_is_rejected(side: Side, tag: int) -> None:
    body = "|".join(field for field in ORDER.split("|") if not field.startswith(f"{tag}="))
    side.receives("D", 2, body)
    rejects(side, 1, tag)


def test_14c_a_tag_that_is_not_of_this_message_is_rejected(side: Side) -> None:
    side.receives("D", 2, ORDER + "|41=b")
    rejects(side, 2, 41)


def test_14d_a_tag_without_a_value_is_rejected(side: Side) -> None:
    side.receives("D", 2, ORDER + "|58=")
    rejects(side, 4, 58)


@pytest.mark.parametrize(("tag", "value"), [(54, "X"), (40, "Z"), (21, "9")])
def test_14e_a_value_that_is_none_of_the_enumeration_is_rejected(side: Side, tag: int, value: str) -> None:
    body = "|".join(f"{tag}={value}" if field.startswith(f"{tag}=") else field for field in ORDER.split("|"))
    side.receives("D", 2, body)
    rejects(side, 5, tag)


@pytest.mark.parametrize(("tag", "value"), [(38, "+200.00"), (44, "1e5"), (60, "yesterday"), (38, "a")])
def test_14f_a_value_of_the_wrong_format_is_rejected(side: Side, tag: int, value: str) -> None:
    body = "|".join(f"{tag}={value}" if field.startswith(f"{tag}=") else field for field in ORDER.split("|"))
    side.receives("D", 2, body)
    rejects(side, 6, tag)


@pytest.mark.parametrize(("body", "tag"), [(f"{ORDER}|50=SUB", 50), (f"11=a|93=1|89=x|{ORDER[5:]}", 21)])
def test_14g_header_body_and_trailer_out_of_order_are_rejected(side: Side, body: str, tag: int) -> None:
    side.receives("D", 2, body)
    rejects(side, 14, tag)


@pytest.mark.parametrize("tag", [55, 54])
def test_14h_a_tag_that_is_there_twice_is_rejected(side: Side, tag: int) -> None:
    value = next(field for field in ORDER.split("|") if field.startswith(f"{tag}="))
    side.receives("D", 2, f"{ORDER}|{value}")
    rejects(side, 13, tag)


def test_14h_a_header_field_that_is_there_twice_is_rejected(side: Side) -> None:
    side.receives("D", 2, f"{ORDER}|34=3")
    rejects(side, 13, 34)


def test_14i_a_group_with_another_count_is_rejected(side: Side) -> None:
    for number, count in ((2, 1), (4, 3)):
        side.receives("D", number, f"{ORDER}|78={count}|79=A|80=1|79=B|80=2")
        rejects(side, 16, 78, number)


@pytest.mark.parametrize("group", ["78=2|80=1|79=A|79=B|80=2", "78=1|80=1"])
def test_14j_a_group_out_of_order_is_rejected(side: Side, group: str) -> None:
    side.receives("D", 2, f"{ORDER}|{group}")
    rejects(side, 15, 80)


def test_14k_a_delimiter_within_a_data_field_is_no_delimiter(side: Side) -> None:
    (event,) = side.receives("D", 2, f"{ORDER}|354=3|355=a|b")
    assert isinstance(event, MessageReceived)
    assert event.message.get(355) == "a\x01b"


def test_14l_a_data_field_of_the_wrong_length_is_rejected(side: Side) -> None:
    side.receives("D", 2, f"{ORDER}|354=500|355=ab")
    rejects(side, 6, None)


def test_14_a_user_defined_field_is_taken(side: Side) -> None:
    assert delivered(side.receives("D", 2, f"{ORDER}|5001=x|20001=y")) == [2]


@pytest.mark.parametrize(
    ("msg_type", "body", "reason", "tag"), [("0", "55=IBM", 2, 55), ("1", "", 1, 112), ("2", "7=x|16=0", 6, 7)]
)
def test_14_session_messages_are_held_to_the_same_rules(
    side: Side, msg_type: str, body: str, reason: int, tag: int
) -> None:
    side.receives(msg_type, 2, body)
    rejects(side, reason, tag, msg_type=msg_type)


# 15: order of fields


def test_15_body_and_header_fields_may_come_in_any_order(side: Side) -> None:
    body = "|".join(reversed(ORDER.split("|")))
    text = f"35=D|52={side.stamp()}|34=2|56=SELF|49=PEER|{body}"
    data = frame(text, begin=side.session.config.begin_string)
    assert delivered(side.session.receive(data, side.now)) == [2]


# 16: messages while there is no session


def test_16_what_cannot_be_sent_is_refused_and_does_not_leave_later(case: tuple[str, Role]) -> None:
    side = make(*case)
    with pytest.raises(NotLoggedOn):
        side.session.send(order(), side.now)
    side.logs_on()
    assert "D" not in [message.msg_type for message in side.sends()]


def test_16_what_was_lost_with_the_connection_is_resent_after_the_next(side: Side) -> None:
    side.session.send(order(), side.now)
    side.sends()
    side.session.disconnected(side.now)
    side.logs_on(2)
    side.sends()
    side.receives("2", 3, "7=2|16=0")
    assert ("D", "2", "Y") in brief(side.sends(), 34, 43)


# 18: third parties


def test_18_a_reject_goes_back_to_whom_it_concerns(side: Side) -> None:
    side.receives("D", 2, f"{ORDER}|58=", header="115=FIRM|116=TRADER|128=DESK|129=HAND")
    (reject,) = side.sends()
    assert [reject.get(tag) for tag in (128, 129, 115, 116)] == ["FIRM", "TRADER", "DESK", "HAND"]


# 19: PossResend


@pytest.mark.parametrize("header", ["97=Y", "97=N"])
def test_19_a_possible_resend_is_told_to_the_application_which_knows_its_orders(side: Side, header: str) -> None:
    (event,) = side.receives("D", 2, ORDER, header=header)
    assert isinstance(event, MessageReceived)
    assert event.possible_resend == (header == "97=Y")


# 20: both ask at once


def test_20_a_resend_request_that_is_too_high_is_answered_before_its_own_gap_is_filled(side: Side) -> None:
    side.session.send(order(), side.now)
    side.sends()
    side.receives("2", 5, "7=1|16=0")
    assert brief(side.sends(), 34, 7) == [("2", "3", "2"), ("4", "1", None), ("D", "2", None)]


# 21: groups of nothing


def test_21_a_group_of_no_entries_is_taken(side: Side) -> None:
    assert delivered(side.receives("D", 2, f"{ORDER}|78=0")) == [2]


# Resets


def test_a_reset_in_session_is_answered_and_the_connection_stays(case: tuple[str, Role]) -> None:
    version, role = case
    side = make_logged_on(version, role, reset_on_logon=role == "initiator")
    side.receives("D", 2, ORDER)
    side.receives("A", 1, logon_of(side) + "|141=Y")
    assert brief(side.sends(), 34, 141) == [("A", "1", "Y")]
    assert delivered(side.receives("D", 2, ORDER)) == [2]


def test_our_reset_in_session_counts_from_the_answer_on(side: Side) -> None:
    side.receives("D", 2, ORDER)
    side.session.reset(side.now)
    assert brief(side.sends(), 34, 141) == [("A", "1", "Y")]
    # What was under way still has its old number.
    assert delivered(side.receives("D", 3, ORDER)) == [3]
    side.receives("A", 1, logon_of(side) + "|141=Y")
    assert side.sends() == []
    assert (side.session.next_inbound, side.session.next_outbound) == (2, 2)
    assert delivered(side.receives("D", 2, ORDER)) == [2]


# What only the later versions have


def test_369_says_what_was_processed_last(case: tuple[str, Role]) -> None:
    side = make_logged_on(*case, last_processed=True)
    side.receives("1", 2, "112=a")
    side.receives("D", 3, ORDER)
    side.session.send(order(), side.now)
    assert brief(side.sends(), 369) == [("0", "2"), ("D", "3")]


def test_369_of_a_logon_that_answers_is_the_logon_answered(case: tuple[str, Role]) -> None:
    version, _ = case
    side = make(version, "acceptor", last_processed=True)
    side.logs_on()
    assert brief(side.sends(), 369) == [("A", "1")]


def test_789_is_said_and_suppresses_the_resend_request(case: tuple[str, Role]) -> None:
    version, role = case
    if version == "FIX.4.2":
        with pytest.raises(ValueError, match="789"):
            make(version, role, next_expected=True)
        return
    side = make(version, role, next_expected=True)
    side.session.connected(side.now)
    ours = side.session.next_outbound
    side.receives("A", 5, f"{logon_of(side)}|789={ours}")
    assert brief(side.sends(), 789) == [("A", "1")]
    assert delivered(side.receives("D", 1, ORDER, header=RESENT)) == [1]
    side.receives("4", 2, "123=Y|36=5", header=RESENT)
    assert side.session.next_inbound == 6
    assert side.sends() == []


def test_789_below_what_was_sent_is_resent_from_without_being_asked(case: tuple[str, Role]) -> None:
    version, role = case
    if version == "FIX.4.2":
        return
    side = make(version, role, next_expected=True)
    side.logs_on(1, "98=0|108=30|789=1" if role == "acceptor" else "98=0|108=30|789=2")
    for _ in range(2):
        side.session.send(order(), side.now)
    side.sends()
    side.session.disconnected(side.now)
    # The peer had the Logon and the first of the two.
    side.logs_on(2, "98=0|108=30|789=3")
    assert ("D", "3", "Y") in brief(side.sends(), 34, 43)


def test_789_above_what_was_sent_ends_the_session(case: tuple[str, Role]) -> None:
    version, role = case
    if version == "FIX.4.2":
        return
    side = make(version, role, next_expected=True)
    side.session.connected(side.now)
    side.sends()
    ends(side, side.receives("A", 1, f"{logon_of(side)}|789=50"), "tag 789")


def test_resend_requests_in_chunks_ask_for_the_next_when_the_last_is_filled(case: tuple[str, Role]) -> None:
    side = make_logged_on(*case, resend_chunk=3)
    side.receives("D", 10, ORDER)
    assert brief(side.sends(), 7, 16) == [("2", "2", "4")]
    side.receives("D", 2, ORDER, header=RESENT)
    side.receives("D", 3, ORDER, header=RESENT)
    assert side.sends() == []
    side.receives("D", 4, ORDER, header=RESENT)
    assert brief(side.sends(), 7, 16) == [("2", "5", "7")]
    # A gap fill may go beyond the chunk.
    side.receives("4", 5, "123=Y|36=9", header=RESENT)
    assert brief(side.sends(), 7, 16) == [("2", "9", "9")]
    assert delivered(side.receives("D", 9, ORDER, header=RESENT)) == [9, 10]
    assert side.sends() == []


# The Logon's own


def test_a_logon_can_be_signed_with_what_it_says() -> None:
    """As venues have it that take a signature of the header in RawData (95, 96)."""
    seen: list[LogonRequest] = []

    def sign(request: LogonRequest) -> list[tuple[int, str]]:
        seen.append(request)
        signature = "|".join(map(str, request))
        return [(95, str(len(signature))), (96, signature), (553, "desk")]

    side = Side(config=SessionConfig("initiator", "SELF", "PEER", logon_fields=sign))
    side.session.connected(side.now)
    (logon,) = side.sends()
    (request,) = seen
    assert request == ("SELF", "PEER", 1, logon.get(52))
    assert logon.get(96) == f"SELF|PEER|1|{logon.get(52)}"
    assert "SELF|PEER" not in repr(logon)


def test_a_password_can_be_encrypted_and_changed() -> None:
    fields = [(553, "desk"), (1400, "101"), (1401, "4"), (1402, "\x01ab\xff"), (925, "next")]
    side = Side(config=SessionConfig("initiator", "SELF", "PEER", logon_fields=lambda _: fields))
    side.session.connected(side.now)
    (logon,) = side.sends()
    assert body_of(logon)[2:] == fields
    assert "next" not in repr(logon)


def test_what_was_under_way_at_a_reset_is_not_taken_for_what_came_after(side: Side) -> None:
    """A message that the application is done with only after the reset, and one of the same number after it."""
    assert delivered(side.receives("D", 2, ORDER)) == [2]
    side.session.reset(side.now)
    assert delivered(side.receives("D", 3, ORDER)) == [3]
    side.receives("A", 1, logon_of(side) + "|141=Y")
    assert (side.session.next_unprocessed, side.session.next_inbound) == (2, 2)
    assert delivered(side.receives("D", 2, ORDER)) == [2]
    side.session.processed(2)
    side.session.processed(3)
    assert side.store.next_inbound == side.session.next_unprocessed == 2
    side.session.processed(2)
    assert side.store.next_inbound == side.session.next_unprocessed == 3
