import pytest
import simplefix
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from fix.codec import HEADER_TAGS, Decoded, Decoder, Defect, check_sum, encode
from fix.message import Field, FieldError, Message
from tests.fix.wire import decode, frame

LENGTH_TAGS = {length for length, data in simplefix.data.RAW_DATA if length != data}
HEARTBEAT = "35=0|49=PEER|56=SELF|34=7|52=20131007-13:30:00.000"


def read(data: bytes) -> list[Decoded]:
    decoder = Decoder()
    decoder.feed(data)
    decoded = []
    while (one := decoder.next()) is not None:
        decoded.append(one)
    return decoded


def numbers(data: bytes) -> list[str | None]:
    return [decoded.message.get(34) for decoded in read(data)]


def test_a_message_is_written_in_the_order_of_the_header() -> None:
    data = encode("FIX.4.4", "D", [(49, "A"), (34, "1")], [(11, "x"), (97, "Y"), (55, "IBM")])
    assert data.replace(b"\x01", b"|") == b"8=FIX.4.4|9=32|35=D|49=A|34=1|97=Y|11=x|55=IBM|10=072|"


def test_what_was_written_is_read() -> None:
    data = encode("FIX.4.4", "D", [(49, "A"), (34, "1")], [(11, "x"), (58, "é=|")])
    (message,) = decode(data)
    assert message.msg_type == "D"
    assert message.fields[:5] == ((8, "FIX.4.4"), (9, "27"), (35, "D"), (49, "A"), (34, "1"))
    assert message.get(58) == "é=|"


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ((58, ""), "a value"),
        ((58, "a\x01b"), "delimiter"),
        ((58, "€"), "Latin-1"),
        ((0, "x"), "above 0"),
        ((34, "9"), "left to the session"),
        ((43, "Y"), "left to the session"),
        ((10, "000"), "left to the session"),
    ],
)
def test_what_cannot_be_sent_is_refused(field: Field, what: str) -> None:
    with pytest.raises(FieldError, match=what):
        encode("FIX.4.4", "D", [], [field])


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ([(95, "2"), (96, "abc")], "3, the length of the data after it"),
        ([(95, "3"), (96, "a\x01")], "2, the length"),
        ([(95, "03"), (96, "abc")], "3, the length"),
        ([(95, "x"), (96, "abc")], "3, the length"),
        ([(354, "4"), (355, "é")], "1, the length"),
        ([(96, "a\x01b")], "without the delimiter"),
        ([(95, "3"), (58, "x"), (96, "a\x01b")], "without the delimiter"),
        ([(95, "3"), (355, "a\x01b")], "without the delimiter"),
        ([(10**9, "x")], "at most 999999999"),
        ([(58, None)], "text"),
        ([("58", "x")], "above 0"),
    ],
)
def test_what_the_other_side_could_not_read_is_refused(fields: list[Field], what: str) -> None:
    with pytest.raises(FieldError, match=what):
        encode("FIX.4.4", "B", [], fields)


@pytest.mark.parametrize(
    ("begin_string", "msg_type", "session_fields"),
    [
        ("", "D", []),
        ("FIX\x014.4", "D", []),
        ("FIX.4.4", "", []),
        ("FIX.4.4", "D\x0111=x", []),
        ("FIX.4.4", "D", [(49, "")]),
        ("FIX.4.4", "D", [(49, "a\x01b")]),
        ("FIX.4.4", "D", [(49, "€")]),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(begin_string: str, msg_type: str, session_fields: list[Field]) -> None:
    with pytest.raises(FieldError, match=r"tag (8|35|49) is"):
        encode(begin_string, msg_type, session_fields, [])


def test_a_secret_is_not_shown_by_what_refuses_it() -> None:
    with pytest.raises(FieldError) as refused:
        encode("FIX.4.4", "A", [], [(554, "hunter\x012")])
    assert "hunter" not in str(refused.value)


def test_raw_data_may_hold_delimiters() -> None:
    data = encode("FIX.4.4", "B", [(34, "1")], [(95, "9"), (96, "a\x0110=000\x01")])
    (message,) = decode(data)
    assert message.get(96) == "a\x0110=000\x01"


@pytest.mark.parametrize(
    "garbled",
    [
        frame(HEARTBEAT, check_sum="000"),
        frame(HEARTBEAT, check_sum="1"),
        frame(HEARTBEAT, body_length=3),
        frame(HEARTBEAT, body_length=53),
        frame(HEARTBEAT, body_length=60),
        frame(HEARTBEAT, body_length=9_999_999),
        frame(HEARTBEAT).replace(b"9=", b"9=x"),
        frame(HEARTBEAT).replace(b"9=", b"9=-"),
        frame(HEARTBEAT).replace(b"35=0\x01", b""),
        frame("49=PEER|35=0|56=SELF"),
        b"8=FIX\x0135=0\x0110=000\x01",
        b"8=FIX.4.4\x019=9\x0135=0\x0158=x10=201\x01",
        b"\x01\x01\x01",
        b"8=FI8=FIX8=",
        b"8=FIX.4.4.4.4.4.4.4.4.4.4.4.4\x019=5\x0135=0\x0110=163\x01",
    ],
)
def test_a_garbled_message_is_dropped_and_the_next_one_read(garbled: bytes) -> None:
    good = frame(HEARTBEAT.replace("34=7", "34=8"))
    # Two of them: what is cut short may only be found out when more has come.
    assert numbers(garbled + good + good) == ["8", "8"]


def test_a_length_that_swallows_the_next_message_loses_only_its_own() -> None:
    good = frame(HEARTBEAT.replace("34=7", "34=8"))
    for too_long in range(1, len(good) + 1):
        stream = frame(HEARTBEAT, body_length=len(HEARTBEAT) + 1 + too_long) + good + good
        assert numbers(stream)[:1] == ["8"], too_long


@pytest.mark.parametrize(
    ("text", "defect"),
    [
        ("35=0|34=7|58=|112=x", Defect(4, 58, "tag 58 has no value")),
        ("35=0|34=7|x=1", Defect(0, None, "invalid tag number 'x'")),
        ("35=0|34=7|-5=1", Defect(0, None, "invalid tag number '-5'")),
        ("35=0|34=7|0=1", Defect(0, None, "invalid tag number '0'")),
        ("35=0|34=7|1_1=1", Defect(0, None, "invalid tag number '1_1'")),
        ("35=0|34=7|058=1", Defect(0, None, "invalid tag number '058'")),
        ("35=0|34=7|nothing", Defect(0, None, "invalid tag number 'nothing'")),
        ("35=0|10=000|34=7", Defect(14, 10, "CheckSum (10) is not the last field")),
        ("35=0|34=7|95=500|96=x", Defect(6, None, "the length of a data field is wrong")),
        ("35=0|34=7|95=x|96=x", Defect(6, None, "the length of a data field is wrong")),
    ],
)
def test_a_whole_message_that_cannot_be_read_comes_with_its_number_and_its_defect(text: str, defect: Defect) -> None:
    (decoded,) = read(frame(text))
    message, found = decoded.message, decoded.defect
    assert message.get(34) == "7"
    assert message.msg_type == "0"
    assert found == defect


VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255), min_size=1, max_size=12)
FIELDS = st.lists(st.tuples(st.integers(1000, 1100), VALUES), max_size=8)
MESSAGES = st.builds(Message, st.sampled_from(["D", "8", "AE", "U1"]), FIELDS)


@given(st.lists(MESSAGES, max_size=5), st.data())
@settings(max_examples=100)
def test_bytes_cut_anywhere_give_the_same_messages(messages: list[Message], data: st.DataObject) -> None:
    noise = st.binary(max_size=20).filter(lambda junk: b"8" not in junk)
    stream = b""
    for message in messages:
        stream += data.draw(noise) + encode("FIX.4.4", message.msg_type, [(34, "1")], message.fields)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    decoder = Decoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        decoder.feed(stream[start:end])
        while (decoded := decoder.next()) is not None:
            assert decoded.defect is None
            found.append((decoded.message.msg_type, decoded.message.fields[4:-1]))
    assert found == [(message.msg_type, message.fields) for message in messages]


@given(st.data())
@settings(max_examples=200)
def test_damage_never_raises_and_never_depends_on_how_the_bytes_were_cut(data: st.DataObject) -> None:
    stream = bytearray(b"".join(frame(HEARTBEAT.replace("34=7", f"34={number}")) for number in range(1, 5)))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(stream) - 1))
        stream[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    whole = read(bytes(stream))
    decoder = Decoder()
    piecewise = []
    for byte in stream:
        decoder.feed(bytes([byte]))
        while (decoded := decoder.next()) is not None:
            piecewise.append(decoded)
    assert piecewise == whole


def test_what_waits_is_bounded_by_the_longest_message() -> None:
    decoder = Decoder(longest=1000)
    decoder.feed(b"8=FIX.4.4\x019=1001\x0135=0\x01" + b"x" * 900)
    assert decoder.next() is None
    decoder.feed(b"y" * 5000)
    assert decoder.next() is None
    assert decoder.waiting < 10


# simplefix, another's work, gives the same answers

SESSION_FIELDS: list[Field] = [(49, "DESK"), (56, "VENUE"), (34, "7"), (52, "20131007-13:30:00.072")]
NO_DELIMITER = st.characters(min_codepoint=0, max_codepoint=255, exclude_characters="\x01")
TEXTS = st.one_of(
    st.text(NO_DELIMITER, min_size=1, max_size=20),
    st.text(st.sampled_from("=|8FIX10\xe9\x00\x7f\xff"), min_size=1, max_size=12),
    st.builds("{}=".format, st.text(NO_DELIMITER, max_size=5)),
)
DATA = st.text(st.characters(max_codepoint=255) | st.sampled_from("\x01="), min_size=1, max_size=20)
# Lengths of data stand with their data alone, CheckSum is the codec's. Of 41101 simplefix says that it is both.
BODY_TAGS = st.one_of(
    st.integers(1, 1100),
    st.integers(2990, 3010),
    st.integers(3001, 9999),
    st.integers(20_000, 99_999),
    st.just(999_999_999),
    st.sampled_from([11, 55, 58, 79, 80, 96, 448]),
).filter(lambda tag: tag not in HEADER_TAGS and tag not in {*LENGTH_TAGS, 10, 41101})
SINGLE = st.tuples(BODY_TAGS, TEXTS).map(lambda field: [field])
WITH_LENGTH = st.tuples(st.sampled_from(sorted(simplefix.data.RAW_DATA)), DATA).map(
    lambda drawn: [(drawn[0][0], str(len(drawn[1]))), (drawn[0][1], drawn[1])]
)
REPEATED = st.tuples(BODY_TAGS, st.lists(TEXTS, min_size=2, max_size=4)).map(
    lambda drawn: [(drawn[0], value) for value in drawn[1]]
)
BODIES = st.lists(SINGLE | WITH_LENGTH.filter(lambda pair: pair[0][0] in LENGTH_TAGS) | REPEATED, max_size=8).map(
    lambda parts: [field for part in parts for field in part]
)
"""Fields as they may stand in a body, and SecureData and XmlData, which are of the header."""


def by_simplefix(begin_string: str, msg_type: str, fields: list[Field]) -> bytes:
    message = simplefix.FixMessage()
    message.append_pair(8, begin_string.encode("latin-1"))
    message.append_pair(35, msg_type.encode("latin-1"))
    for tag, value in fields:
        message.append_pair(tag, value.encode("latin-1"))
    encoded: bytes = message.encode()
    return encoded


def header_first(fields: list[Field]) -> list[Field]:
    return [field for field in fields if field[0] in HEADER_TAGS] + [
        field for field in fields if field[0] not in HEADER_TAGS
    ]


@given(st.sampled_from(["FIX.4.2", "FIX.4.4", "FIXT.1.1"]), st.sampled_from(["D", "8", "AE", "U1"]), BODIES)
@example("FIX.4.4", "D", [(58, "=")])
@example("FIX.4.4", "D", [(58, "a="), (58, "b=c"), (20_000, "\xff"), (95, "3"), (96, "\x01=\x01")])
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_what_simplefix_writes_and_reads(
    begin_string: str, msg_type: str, body: list[Field]
) -> None:
    data = encode(begin_string, msg_type, SESSION_FIELDS, body)
    assert data == by_simplefix(begin_string, msg_type, [*SESSION_FIELDS, *header_first(body)])
    (decoded,) = read(data)
    assert decoded.defect is None
    assert list(decoded.message.fields) == read_by_simplefix(data)
    assert list(decoded.message.fields[3:-1]) == [*SESSION_FIELDS, *header_first(body)]


def read_by_simplefix(data: bytes) -> list[Field]:
    parser = simplefix.FixParser()
    parser.append_buffer(data)
    message = parser.get_message()
    return [(int(tag), value.decode("latin-1")) for tag, value in message.pairs]


ANY_FIELDS = st.lists(
    st.tuples(st.integers(-3, 60) | BODY_TAGS | st.sampled_from([95, 96, 10, 34, 10**9]), DATA | TEXTS)
)


@given(ANY_FIELDS)
@settings(max_examples=200, deadline=None)
def test_what_is_accepted_for_sending_can_be_read_again(fields: list[Field]) -> None:
    try:
        data = encode("FIX.4.4", "D", SESSION_FIELDS, fields)
    except FieldError as error:
        event(f"refused: {error.expected[:20]}")
        return
    (decoded,) = read(data)
    assert decoded.defect is None
    assert list(decoded.message.fields[7:-1]) == header_first(fields)


@given(st.lists(st.tuples(st.sampled_from([11, 34, 58, 96, 20_000, 3001]), TEXTS), max_size=8), st.data())
@settings(max_examples=200, deadline=None)
def test_a_good_frame_of_anybody_gives_the_fields_that_simplefix_finds(
    fields: list[Field], data: st.DataObject
) -> None:
    whole = by_simplefix("FIX.4.4", "D", fields)
    (decoded,) = read(whole)
    assert decoded.defect is None
    assert list(decoded.message.fields) == read_by_simplefix(whole)


def test_a_length_counts_only_for_the_data_right_after_it() -> None:
    # The fields of each pair stand together (volume 1, data); simplefix would use the length for a later one.
    (decoded,) = read(frame("35=B|95=5|58=x|96=abc"))
    assert decoded.defect is None
    assert decoded.message.fields[3:-1] == ((95, "5"), (58, "x"), (96, "abc"))


@given(st.binary(max_size=3000))
def test_the_checksum_is_the_sum_of_all_bytes(data: bytes) -> None:
    assert check_sum(data) == sum(data) % 256


@pytest.mark.parametrize("byte", [0, 1, 0x7E, 0x7F, 0x80, 0xFF])
def test_the_checksum_is_right_for_every_length(byte: int) -> None:
    for length in range(3001):
        assert check_sum(bytes([byte]) * length) == byte * length % 256, length
