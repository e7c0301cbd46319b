import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fix.codec import Decoded, Decoder, Defect, encode
from fix.message import Field, FieldError, Message
from tests.fix.wire import decode, frame

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
