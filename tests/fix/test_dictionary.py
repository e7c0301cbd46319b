"""What a dictionary lets through and what it refuses, by SessionRejectReason (373); and how it is read."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from fix.codec import Defect
from fix.dictionary import Dictionary, DictionaryError, FieldType, Member, MessageType, load, shipped
from fix.message import Field, Message

VERSIONS = ("FIX.4.2", "FIX.4.4", "FIXT.1.1")
HEADER = "8=FIX|9=5|35={}|49=A|56=B|34=7|52=20131007-13:30:00.072"
ORDER = "11=a|21=1|55=IBM|54=1|60=20131007-13:30:00|38=100|40=2|44=12.5"
REPORT = "37=1|17=2|150=0|39=0|55=IBM|54=1|151=0|14=0|6=0"


def fields(text: str) -> list[Field]:
    pairs = [one.partition("=") for one in text.split("|") if one]
    return [(int(tag), value) for tag, _, value in pairs]


def message(msg_type: str, body: str, *, header: str = HEADER, trailer: str = "10=000") -> Message:
    return Message(msg_type, fields(f"{header.format(msg_type)}|{body}|{trailer}"))


def verdict(defect: Defect | None) -> tuple[int, int | None] | None:
    return None if defect is None else (defect.reason, defect.ref_tag)


# What is refused


@pytest.mark.parametrize("version", VERSIONS)
def test_a_good_order_is_accepted_each_time(version: str) -> None:
    dictionary = shipped(version)
    assert dictionary.check(message("D", ORDER)) is None
    assert dictionary.check(message("D", ORDER)) is None


DEFECTS = [
    pytest.param(f"{ORDER}|4999=x", 0, 4999, id="a tag that is not known"),
    pytest.param(ORDER.replace("11=a|", ""), 1, 11, id="a required field is missing"),
    pytest.param(ORDER.replace("|40=2", ""), 1, 40, id="another required field is missing"),
    pytest.param(f"{ORDER}|7=1", 2, 7, id="a field of other messages"),
    pytest.param(f"{ORDER}|79=acc", 2, 79, id="a field of a group without the group"),
    pytest.param(f"{ORDER}|78=0|80=5", 2, 80, id="a field of a group of 0"),
    pytest.param(ORDER.replace("54=1", "54=Z"), 5, 54, id="a value that is none"),
    pytest.param(f"{ORDER}|18=1  6", 6, 18, id="a blank too many between values"),
    pytest.param(ORDER.replace("54=1", "54=10"), 6, 54, id="two characters for one"),
    pytest.param(ORDER.replace("38=100", "38=ten"), 6, 38, id="a quantity that is no number"),
    pytest.param(ORDER.replace("44=12.5", "44=1e5"), 6, 44, id="a price with an exponent"),
    pytest.param(ORDER.replace("60=20131007-13:30:00", "60=yesterday"), 6, 60, id="a time that is none"),
    pytest.param(f"{ORDER}|78=two|79=a|79=b", 6, 78, id="a group whose count is no number"),
    pytest.param(f"{ORDER}|11=b", 13, 11, id="a tag twice"),
    pytest.param(f"{ORDER}|78=1|79=a|80=5|78=1|79=b|80=5", 13, 78, id="a group twice"),
    pytest.param(f"{ORDER}|78=2|79=a|80=5|80=6|79=b", 13, 80, id="a tag twice in an entry"),
    pytest.param(f"{ORDER}|50=desk", 14, 50, id="a header field in the body"),
    pytest.param(f"{ORDER}|93=1|89=x|58=late", 14, 58, id="a body field in the trailer"),
    pytest.param(f"{ORDER}|78=1|80=5|79=a", 15, 80, id="an entry that begins with another field"),
    pytest.param(f"{ORDER}|78=2|79=a", 16, 78, id="a group with an entry too few"),
    pytest.param(f"{ORDER}|78=1|79=a|79=b", 16, 78, id="a group with an entry too many"),
    pytest.param(f"{ORDER}|78=0|79=a", 16, 78, id="a group of 0 with an entry"),
    pytest.param(f"{ORDER}|78=1", 16, 78, id="a group without entries"),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("body", "reason", "tag"), DEFECTS)
def test_each_defect_of_an_order_has_its_reason_and_tag(version: str, body: str, reason: int, tag: int) -> None:
    dictionary = shipped(version)
    # The second time, good messages of this kind are known.
    for _ in range(2):
        defect = dictionary.check(message("D", body))
        assert verdict(defect) == (reason, tag)
        assert defect is not None
        assert str(tag) in defect.text
        assert dictionary.check(message("D", ORDER)) is None


# FIX 5.0 SP2 has so many values of ExecInst (18) that the shipped dictionary lists none.
@pytest.mark.parametrize(("version", "tag"), [("FIX.4.2", 18), ("FIX.4.4", 18), ("FIX.4.4", 529), ("FIXT.1.1", 529)])
def test_each_of_several_values_has_to_be_one_of_the_fields(version: str, tag: int) -> None:
    dictionary = shipped(version)
    assert dictionary.check(message("D", f"{ORDER}|{tag}=1 6")) is None
    assert verdict(dictionary.check(message("D", f"{ORDER}|{tag}=1 ~"))) == (5, tag)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("header", "reason", "tag"),
    [
        (HEADER.replace("|34=7", ""), 1, 34),
        (HEADER.replace("|49=A", ""), 1, 49),
        (HEADER.replace("|52=20131007-13:30:00.072", ""), 1, 52),
        (HEADER.replace("34=7", "34=seven"), 6, 34),
        (f"{HEADER}|43=yes", 6, 43),
        (f"{HEADER}|49=C", 13, 49),
        (f"{HEADER}|11=a|57=x", 14, 57),
    ],
)
def test_each_defect_of_a_header_has_its_reason_and_tag(version: str, header: str, reason: int, tag: int) -> None:
    body = ORDER.removeprefix("11=a|") if "|11=a|" in header else ORDER
    for _ in range(2):
        assert verdict(shipped(version).check(message("D", body, header=header))) == (reason, tag)
        assert shipped(version).check(message("D", ORDER)) is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("382=1|375=A|337=t|437=5", None),
        ("382=2|375=A|437=5|375=B|337=t", None),
        ("382=0", None),
        ("382=1|375=A|437=5|337=t", (15, 337)),
        ("382=1|375=A|437=5|337=t|437=6", (15, 337)),
        ("382=1|375=A|437=five", (6, 437)),
        ("382=3|375=A|375=B", (16, 382)),
    ],
)
def test_a_group_is_held_to_the_order_of_its_fields(version: str, group: str, expected: tuple[int, int] | None) -> None:
    execution = "20=0|" if version == "FIX.4.2" else ""
    assert verdict(shipped(version).check(message("8", f"{REPORT}|{execution}{group}"))) == expected


@pytest.mark.parametrize(
    ("parties", "expected"),
    [
        ("453=0", None),
        ("453=1|448=A", None),
        ("453=1|448=A|447=D|452=1|802=2|523=x|803=1|523=y|803=2", None),
        ("453=2|448=A|802=1|523=x|448=B|447=D|802=2|523=x|523=y", None),
        ("453=2|448=A|802=0|448=B", None),
        ("453=1|448=A|802=2|523=x", (16, 802)),
        ("453=2|448=A|802=1|523=x|523=y|448=B", (16, 802)),
        ("453=2|448=A|802=1|523=x", (16, 453)),
        ("453=1|448=A|802=1|803=1|523=x", (15, 803)),
        ("453=1|448=A|802=1|523=x|803=1|452=1", (15, 452)),
        ("453=1|448=A|802=1|523=x|803=1|803=2", (13, 803)),
        ("453=1|448=A|802=1|523=x|803=one", (6, 803)),
        ("453=1|448=A|802=1|523=x|802=1|523=y", (13, 802)),
        ("453=1|523=x|448=A", (16, 453)),
        ("453=1|448=A|802=one|523=x", (6, 802)),
        ("453=one|448=A", (6, 453)),
        ("453=-1", (6, 453)),
        ("453=1|448=A|4999=x", (0, 4999)),
    ],
)
@pytest.mark.parametrize("version", ["FIX.4.4", "FIXT.1.1"])
def test_a_group_within_a_group_is_held_to_its_count_and_order(
    version: str, parties: str, expected: tuple[int, int] | None
) -> None:
    assert verdict(shipped(version).check(message("D", f"{ORDER}|{parties}"))) == expected


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("267=2|269=0|269=1|146=1|55=IBM", None),
        ("267=2|269=0|269=1", (1, 146)),
        ("267=2|269=0|269=1|146=2|55=IBM|55=MSFT", None),
        ("267=1|269=0|146=1|65=x|55=IBM", (15, 65)),
    ],
)
def test_a_required_group_has_to_be_there(group: str, expected: tuple[int, int] | None) -> None:
    request = f"262=a|263=1|264=1|{group}"
    assert verdict(shipped("FIX.4.2").check(message("V", request))) == expected


def test_what_an_entry_requires_is_missed_in_each_entry() -> None:
    dictionary = Dictionary(
        "OURS",
        {tag: FieldType(tag, f"F{tag}", kind, {}) for tag, kind in ((1, "NUMINGROUP"), (2, "STRING"), (3, "STRING"))},
        (),
        (),
        {"U": MessageType("Ours", (Member(1, False, (Member(2, True), Member(3, True))),))},
    )
    assert dictionary.check(Message("U", fields("1=2|2=a|3=b|2=c|3=d"))) is None
    assert verdict(dictionary.check(Message("U", fields("1=2|2=a|3=b|2=c")))) == (1, 3)
    assert verdict(dictionary.check(Message("U", fields("1=2|2=a|2=c|3=d")))) == (1, 3)
    assert dictionary.check(Message("U", [])) is None


def test_the_first_fault_in_the_order_of_the_fields_is_told() -> None:
    body = ORDER.replace("54=1", "54=Z").replace("38=100", "38=ten").replace("11=a|", "")
    assert verdict(shipped("FIX.4.4").check(message("D", f"{body}|4999=x"))) == (5, 54)


def test_a_type_that_is_not_known_is_not_looked_at() -> None:
    dictionary = shipped("FIX.4.4")
    assert not dictionary.is_known_type("U1")
    assert dictionary.is_known_type("D")
    assert dictionary.check(message("U1", "4999=x|4999=x")) is None


@pytest.mark.parametrize("tag", [554, 925])
def test_a_secret_is_not_in_what_is_said_of_it(tag: int) -> None:
    secret = FieldType(tag, "Secret", "INT", {"1": "One"})
    dictionary = Dictionary("OURS", {tag: secret}, (), (), {"U": MessageType("Ours", (Member(tag, False),))})
    for value, reason in (("hunter2", 6), ("77", 5)):
        defect = dictionary.check(Message("U", [(tag, value)]))
        assert defect is not None
        assert defect.reason == reason
        assert value not in repr(defect)
        assert "***" in defect.text


# User-defined fields

OURS = """
version = "OURS"
[fields]
11 = "ClOrdID STRING"
58 = "Text STRING"
5001 = "Desk INT 1:Rates 2:Credit"
5002 = "NoTags NUMINGROUP"
5003 = "Tag STRING"
5004 = "TagValue QTY"
[messages]
U = "Ours: ClOrdID! NoTags(Tag TagValue) Text"
U2 = "Others: Desk"
"""


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = tmp_path / "ours.toml"
    path.write_text(OURS)
    return path


@pytest.mark.parametrize(
    ("body", "loose", "strict"),
    [
        pytest.param("11=a|5000=x", None, (0, 5000), id="not known"),
        pytest.param("11=a|9999=x|20000=y|39999=z", None, (0, 9999), id="all ranges"),
        pytest.param("11=a|10000=x", (0, 10000), (0, 10000), id="above the first range"),
        pytest.param("11=a|19999=x", (0, 19999), (0, 19999), id="below the second range"),
        pytest.param("11=a|4999=x", (0, 4999), (0, 4999), id="below the first range"),
        pytest.param("11=a|5001=1", None, (2, 5001), id="of another message"),
        pytest.param("11=a|5001=1000", None, (2, 5001), id="of another message, of a value of our own"),
        pytest.param("11=a|5001=7", (5, 5001), (2, 5001), id="of another message, with a wrong value"),
        pytest.param("11=a|5001=x", (6, 5001), (2, 5001), id="of another message, with a wrong form"),
        pytest.param("5000=x|11=a|58=t", None, (0, 5000), id="first"),
        pytest.param("11=a|7000=2|7001=x|7001=y|58=t", None, (0, 7000), id="a group that is not known"),
        pytest.param("11=a|5002=1|5003=x|5004=1", None, None, id="in its place"),
        pytest.param("11=a|5003=x", (2, 5003), (2, 5003), id="of a group, without it"),
        pytest.param("11=a|5002=2|5003=x|5004=1", (16, 5002), (16, 5002), id="of a group that lacks an entry"),
        pytest.param("11=a|5002=1|5003=x|6000=y|5004=1|58=t", None, (0, 6000), id="within an entry"),
        pytest.param("11=a|5002=2|5003=x|6000=y|5003=z|6000=y", None, (16, 5002), id="in each entry"),
    ],
)
def test_a_user_defined_field_is_good_anywhere_unless_told_otherwise(
    ours: Path, body: str, loose: tuple[int, int] | None, strict: tuple[int, int] | None
) -> None:
    for dictionary, expected in ((load(ours), loose), (load(ours, strict_user_defined=True), strict)):
        for _ in range(2):
            assert verdict(dictionary.check(Message("U", fields(body)))) == expected


# Data types

TYPES: dict[str, tuple[list[str], list[str]]] = {
    "INT": (
        ["0", "-1", "0007", "9" * 18],
        ["1.0", "x", "+1", "-", "--1", "1 ", "9" * 19, "9" * 5000, "\xb2"],
    ),
    "LENGTH": (["0", "17"], ["-1", "1.5", "x", "\xb2", "9" * 5000]),
    "SEQNUM": (["1", "999999999"], ["-1", "x"]),
    "NUMINGROUP": (["0"], ["-1", "x", "9" * 5000]),
    "TAGNUM": (["35"], ["x", "-35"]),
    "DAYOFMONTH": (["1", "09", "31"], ["0", "32", "00", "x", "001"]),
    "FLOAT": (
        ["0", "12.50", "-12.5", "23.", ".5", "-.5", "00023.23"],
        ["1e5", ".", "-", "-.", "+1", "1,5", "1.2.3", "NaN"],
    ),
    "QTY": (["100", "0.25", "-1"], ["ten", "1 000"]),
    "PRICE": (["99.999", "-37.63"], ["$1", "1/2"]),
    "PRICEOFFSET": (["-0.01"], ["x"]),
    "AMT": (["1000000.00"], ["1_000"]),
    "PERCENTAGE": (["0.05"], ["5%"]),
    "CHAR": (["A", " ", "\xe9"], ["AB"]),
    "BOOLEAN": (["Y", "N"], ["y", "1", "YES", "true"]),
    "UTCTIMESTAMP": (
        ["20131007-13:30:00", "20131007-13:30:00.072", "20131007-13:30:00.072123456", "20161231-23:59:60"],
        [
            "20131007",
            "20131007-13:30",
            "20131307-13:30:00",
            "20130231-13:30:00",
            "20131007-24:00:00",
            "20131007 13:30:00",
        ],
    ),
    "UTCTIMEONLY": (
        ["13:30:00", "00:00:00.000", "23:59:60"],
        ["24:00:00", "13:30", "1:30:00", "13:60:00", "13:30:00."],
    ),
    "LOCALMKTTIME": (["09:30:00"], ["9:30", "25:00:00"]),
    "UTCDATE": (["20131007"], ["20131307", "2013-10-07", "20131032", "20131000", "131007"]),
    "UTCDATEONLY": (["20000229"], ["20131007-13:30:00", "00000"]),
    "LOCALMKTDATE": (["19991231"], ["tomorrow", "201310"]),
    "DATE": (["20131007"], ["20131007 "]),
    "MONTHYEAR": (
        ["201310", "20131007", "201310w1", "201310w5"],
        ["201313", "2013", "201310w0", "201310w6", "20131032"],
    ),
    "TZTIMEONLY": (
        ["07:39", "07:39Z", "07:39:30", "02:39-05", "15:39+08", "13:09+05:30", "07:39:30.123Z"],
        ["7:39", "24:00Z", "07:39X", "07:39+5", "20060901-07:39Z"],
    ),
    "TZTIMESTAMP": (
        ["20060901-07:39Z", "20060901-02:39:30-05", "20060901-15:39:00.123+08", "20060901-13:09+05:30"],
        ["07:39Z", "20061301-07:39Z", "2006-09-01T07:39Z", "20060901"],
    ),
    "MULTIPLEVALUESTRING": (["A", "A B", "AB C"], [" A", "A ", "A  B", " "]),
    "MULTIPLESTRINGVALUE": (["AB C"], ["AB  C"]),
    "MULTIPLECHARVALUE": (["A", "A B C"], ["AB", "A BC", "A  B", " "]),
    "STRING": (["anything", "\xff", " "], []),
    "CURRENCY": (["USD"], []),
    "COUNTRY": (["US"], []),
    "EXCHANGE": (["XNYS"], []),
    "LANGUAGE": (["en"], []),
    "DATA": (["a\x01b=c"], []),
    "XMLDATA": (["<a/>"], []),
}


def single(kind: str, values: dict[str, str] | None = None) -> Dictionary:
    """One message with one field."""
    field = FieldType(1, "Field", kind, values or {})
    return Dictionary("OURS", {1: field}, (), (), {"U": MessageType("Ours", (Member(1, False),))})


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, (good, _) in TYPES.items() for value in good])
def test_a_value_of_its_type_is_accepted(kind: str, value: str) -> None:
    dictionary = single(kind)
    assert dictionary.check(Message("U", [(1, value)])) is None
    assert dictionary.check(Message("U", [(1, value)])) is None


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, (_, bad) in TYPES.items() for value in bad])
def test_a_value_that_is_not_of_its_type_is_refused_before_and_after_a_good_one(kind: str, value: str) -> None:
    dictionary = single(kind)
    wrong = dictionary.check(Message("U", [(1, value)]))
    assert verdict(wrong) == (6, 1)
    assert wrong is not None
    assert kind in wrong.text
    assert dictionary.check(Message("U", [(1, TYPES[kind][0][0])])) is None
    assert dictionary.check(Message("U", [(1, value)])) == wrong


@pytest.mark.parametrize("kind", TYPES)
def test_an_empty_value_is_left_to_the_decoder_and_harms_nothing(kind: str) -> None:
    dictionary = single(kind)
    for value in ("", TYPES[kind][0][0], ""):
        assert dictionary.check(Message("U", [(1, value)])) is None


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("CHAR", "A", None),
        ("CHAR", "C", 5),
        ("STRING", "B", None),
        ("STRING", "A B", 5),
        ("MULTIPLEVALUESTRING", "A", None),
        ("MULTIPLEVALUESTRING", "A B", None),
        ("MULTIPLEVALUESTRING", "B A B", None),
        ("MULTIPLEVALUESTRING", "A C", 5),
        ("MULTIPLEVALUESTRING", "AB", 5),
        ("MULTIPLEVALUESTRING", " A", 6),
        ("MULTIPLEVALUESTRING", "A,B", 5),
        ("MULTIPLESTRINGVALUE", "A B", None),
        ("MULTIPLECHARVALUE", "B A", None),
        ("MULTIPLECHARVALUE", "B C", 5),
        ("MULTIPLECHARVALUE", "BA", 6),
        ("INT", "7", None),
        ("INT", "8", 5),
        ("INT", "07", 5),
        ("INT", "99", 5),
        ("INT", "099", 5),
        ("INT", "100", None),
        ("INT", "4711", None),
        ("INT", "-100", 5),
        ("INT", "seven", 6),
        ("INT", "1" * 5000, 6),
    ],
)
def test_a_value_of_a_field_with_values_is_one_of_them(kind: str, value: str, reason: int | None) -> None:
    dictionary = single(kind, {"7": "Seven"} if kind == "INT" else {"A": "First", "B": "Second"})
    for _ in range(2):
        defect = dictionary.check(Message("U", [(1, value)]))
        assert (defect and defect.reason) == reason
        assert dictionary.check(Message("U", [(1, "7" if kind == "INT" else "A")])) is None


# What was good once


def test_what_was_good_once_is_looked_at_again_for_its_values_its_order_and_repeats() -> None:
    dictionary = shipped("FIX.4.4")
    good = message("D", ORDER)
    assert dictionary.check(good) is None
    for tag, value, reason in ((54, "Z", 5), (38, "ten", 6), (60, "x", 6), (34, "x", 6)):
        changed = [(one, value if one == tag else was) for one, was in good.fields]
        assert verdict(dictionary.check(Message("D", changed))) == (reason, tag)
    assert verdict(dictionary.check(Message("D", [*good.fields[:-1], (11, "b"), good.fields[-1]]))) == (13, 11)
    assert verdict(dictionary.check(Message("D", [*good.fields[1:], good.fields[0]]))) == (14, 8)
    assert verdict(dictionary.check(Message("D", [one for one in good.fields if one[0] != 40]))) == (1, 40)
    assert dictionary.check(Message("D", [*good.fields[:7], *reversed(good.fields[7:-1]), good.fields[-1]])) is None
    assert dictionary.check(good) is None


def test_the_same_tags_in_a_message_of_another_type_are_another_matter() -> None:
    dictionary = shipped("FIX.4.4")
    assert dictionary.check(message("D", ORDER)) is None
    assert verdict(dictionary.check(Message("0", message("D", ORDER).fields))) == (2, 11)


def test_a_group_of_one_entry_that_was_good_is_counted_each_time() -> None:
    dictionary = shipped("FIX.4.4")
    assert dictionary.check(message("D", f"{ORDER}|453=1|448=A")) is None
    assert verdict(dictionary.check(message("D", f"{ORDER}|453=2|448=A"))) == (16, 453)
    assert verdict(dictionary.check(message("D", f"{ORDER}|453=0|448=A"))) == (16, 453)


def test_more_kinds_of_messages_than_are_remembered_are_all_answered() -> None:
    dictionary = single("INT")
    for tag in range(5000, 7500):
        assert dictionary.check(Message("U", [(1, "1"), (tag, "x")])) is None
    for tag in (5000, 6000, 7499):
        assert dictionary.check(Message("U", [(1, "1"), (tag, "x")])) is None
        assert verdict(dictionary.check(Message("U", [(1, "one"), (tag, "x")]))) == (6, 1)


# Messages of every kind

GOOD_VALUES = {kind: good for kind, (good, _) in TYPES.items()}
SEVERAL = ("MULTIPLEVALUESTRING", "MULTIPLESTRINGVALUE", "MULTIPLECHARVALUE")


@dataclass
class Part:
    """A field, or a group with its entries."""

    member: Member
    value: str
    entries: "list[list[Part]]"

    def fields(self) -> list[Field]:
        return [(self.member.tag, self.value), *(one for entry in self.entries for one in fields_of(entry))]


def fields_of(parts: list[Part]) -> list[Field]:
    return [one for part in parts for one in part.fields()]


@dataclass
class Sample:
    dictionary: Dictionary
    msg_type: str
    header: list[Part]
    body: list[Part]
    trailer: list[Part]

    def message(self) -> Message:
        return Message(self.msg_type, fields_of([*self.header, *self.body, *self.trailer]))

    def every_part(self) -> list[Part]:
        return [*self.header, *self.body, *self.trailer]


@st.composite
def values(draw: st.DrawFn, field: FieldType) -> str:
    if field.values and field.type in SEVERAL:
        return " ".join(draw(st.lists(st.sampled_from(sorted(field.values)), min_size=1, max_size=3)))
    if field.values:
        return draw(st.sampled_from(sorted(field.values)))
    return draw(st.sampled_from(GOOD_VALUES.get(field.type, ["x"])))


@st.composite
def parts(draw: st.DrawFn, dictionary: Dictionary, members: tuple[Member, ...], depth: int, first: bool) -> list[Part]:
    """Of the members, in their order, those that are required and some others."""
    chosen = draw(st.sets(st.integers(0, len(members) - 1), max_size=6)) if members else set()
    found = []
    for place, member in enumerate(members):
        if not (member.required or place in chosen or (first and place == 0)):
            continue
        if member.entry:
            count = draw(st.integers(0, 2 if depth < 3 else 0))
            entries = [draw(parts(dictionary, member.entry, depth + 1, True)) for _ in range(count)]
            found.append(Part(member, str(count), entries))
        else:
            found.append(Part(member, draw(values(dictionary.fields[member.tag])), []))
    return found


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    dictionary = shipped(draw(st.sampled_from(VERSIONS)))
    msg_type = draw(st.sampled_from(sorted(dictionary.messages)))
    header = draw(parts(dictionary, dictionary.header, 1, False))
    body = draw(parts(dictionary, dictionary.messages[msg_type].members, 0, False))
    return Sample(dictionary, msg_type, header, body, draw(parts(dictionary, dictionary.trailer, 1, False)))


@given(samples())
@settings(max_examples=150, deadline=None)
def test_a_message_that_is_built_by_the_dictionary_is_accepted(sample: Sample) -> None:
    event(f"groups: {min(3, sum(1 for part in sample.every_part() if part.entries))}")
    good = sample.message()
    assert sample.dictionary.check(good) is None
    assert sample.dictionary.check(Message(good.msg_type, good.fields)) is None


def tags_of(members: tuple[Member, ...]) -> set[int]:
    return {member.tag for member in members} | {tag for member in members for tag in tags_of(member.entry)}


KINDS = ("unknown", "missing", "of another", "value", "format", "repeated", "moved", "group order", "count")


@given(samples(), st.sampled_from(KINDS), st.data())
@settings(max_examples=300, deadline=None)
def test_a_message_with_one_fault_is_refused_with_its_reason_and_tag(
    sample: Sample, kind: str, data: st.DataObject
) -> None:
    dictionary, message_type = sample.dictionary, sample.dictionary.messages[sample.msg_type]
    assert dictionary.check(sample.message()) is None
    every = sample.every_part()

    def pick(found: list[Part]) -> Part:
        assume(found)
        return data.draw(st.sampled_from(found))

    def type_of(part: Part) -> FieldType:
        return dictionary.fields[part.member.tag]

    def refused(one: Message) -> tuple[int, int | None] | None:
        return verdict(dictionary.check(one))

    body_place = data.draw(st.integers(0, len(sample.body)))
    if kind in ("unknown", "of another"):
        members = (*dictionary.header, *message_type.members, *dictionary.trailer)
        other = sorted(tag for tag in dictionary.fields.keys() - tags_of(members) if tag < 5000)
        tag = 4999 if kind == "unknown" else data.draw(st.sampled_from(other))
        sample.body.insert(body_place, Part(Member(tag, False), "1", []))
        assert refused(sample.message()) == (0 if kind == "unknown" else 2, tag)
    elif kind == "missing":
        part = pick([one for one in every if one.member.required])
        for section in (sample.header, sample.body, sample.trailer):
            section[:] = [one for one in section if one is not part]
        assert refused(sample.message()) == (1, part.member.tag)
    elif kind == "value":
        part = pick([one for one in every if type_of(one).values])
        part.value = "-7" if type_of(part).type == "INT" else "~"
        assert refused(sample.message()) == (5, part.member.tag)
    elif kind == "format":
        part = pick([one for one in every if one.member.entry or TYPES.get(type_of(one).type, ([], []))[1]])
        part.value = "x!"
        assert refused(sample.message()) == (6, part.member.tag)
    elif kind == "repeated":
        part = pick(every)
        for section in (sample.header, sample.body, sample.trailer):
            if part in section:
                section.insert(section.index(part), part)
        assert refused(sample.message()) == (13, part.member.tag)
    elif kind == "moved":
        part = pick(sample.header)
        assume(sample.body)
        sample.header.remove(part)
        sample.body.insert(max(1, body_place), part)
        assert refused(sample.message()) == (14, part.member.tag)
    elif kind == "group order":
        part = pick([one for one in every if one.entries and len(one.entries[0]) > 1])
        entry = part.entries[0]
        entry[0], entry[1] = entry[1], entry[0]
        assert refused(sample.message()) == (15, entry[0].member.tag)
    else:
        part = pick([one for one in every if one.member.entry])
        part.value = str(data.draw(st.integers(0, 10**17).filter(lambda count: count != len(part.entries))))
        assert refused(sample.message()) == (16, part.member.tag)
    event(kind)


ANY_TAG = st.sampled_from(
    [8, 9, 10, 11, 34, 35, 38, 52, 54, 60, 78, 79, 80, 453, 448, 447, 802, 523, 803, 103, 18, 627]
)
ANY_VALUE = st.text(st.characters(max_codepoint=255), max_size=6) | st.sampled_from(
    ["1", "2", "0", "9" * 5000, "-", ""]
)


@given(
    st.sampled_from(VERSIONS),
    st.sampled_from("0D8AV"),
    st.lists(st.tuples(ANY_TAG | st.integers(1, 30_000), ANY_VALUE), max_size=15),
)
@settings(max_examples=200, deadline=None)
def test_nothing_that_arrives_makes_a_check_raise(version: str, msg_type: str, arrived: list[Field]) -> None:
    defect = shipped(version).check(Message(msg_type, arrived))
    # The required fields are never all there: SenderCompID (49) is none of the tags, unless by a rare chance.
    assert defect is not None or 49 in dict(arrived)


# Names


def test_names_of_fields_values_and_messages_can_be_looked_up() -> None:
    dictionary = shipped("FIX.4.4")
    assert dictionary.field_name(54) == "Side"
    assert dictionary.value_name(54, "1") == "Buy"
    assert dictionary.value_name(35, "D") == "NewOrderSingle"
    assert dictionary.message_name("8") == "ExecutionReport"
    unknown = (dictionary.field_name(4999), dictionary.value_name(4999, "1"), dictionary.value_name(54, "~"))
    assert unknown == (None, None, None)
    assert dictionary.message_name("U1") is None
    assert dictionary.value_name(35, "U1") is None


# The shipped ones


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_shipped_is_of_its_version_and_has_session_orders_and_market_data(version: str) -> None:
    dictionary = shipped(version)
    assert dictionary.version == version
    assert set("012345A89DFGHVWXYj") <= set(dictionary.messages)
    assert shipped(version) is dictionary


@pytest.mark.parametrize("version", ["FIX.4.3", "FIX.5.0", "fix.4.4", "", "../FIX44"])
def test_a_version_that_is_not_shipped_is_refused_with_those_that_are(version: str) -> None:
    with pytest.raises(ValueError, match="begin_string is") as caught:
        shipped(version)
    for known in (repr(version), *VERSIONS):
        assert known in str(caught.value)


# QuickFIX's XML

XML = """<?xml version="1.0"?>
<!-- small -->
<fix type="FIX" major="4" minor="4">
  <header>
    <field name="BeginString" required="Y"/>
    <group name="NoHops" required="N"><field name="HopCompID" required="N"/></group>
  </header>
  <messages>
    <message name="Order" msgtype="D" msgcat="app">
      <!-- within -->
      <field name="ClOrdID" required="Y"/>
      <component name="Parties" required="N"/>
      <component name="Quantity" required="Y"/>
      <field name="Side" required="Y"/>
      <field name="ExecInst" required="N"/>
      <field name="Solicited" required="N"/>
    </message>
    <message name="Empty" msgtype="0" msgcat="admin"/>
  </messages>
  <trailer><field name="CheckSum" required="Y"/></trailer>
  <components>
    <component name="Parties">
      <group name="NoParties" required="Y">
        <field name="PartyID" required="Y"/>
        <field name="PartyRole" required="N"/>
        <component name="PartySubs" required="N"/>
      </group>
    </component>
    <component name="PartySubs">
      <group name="NoPartySubs" required="N"><field name="PartySub" required="N"/></group>
    </component>
    <component name="Quantity"><field name="OrderQty" required="Y"/><field name="CashQty" required="N"/></component>
  </components>
  <fields>
    <field number="8" name="BeginString" type="STRING"/>
    <field number="10" name="CheckSum" type="STRING"/>
    <field number="35" name="MsgType" type="STRING"><value enum="D" description="ORDER"/></field>
    <field number="11" name="ClOrdID" type="STRING"/>
    <field number="18" name="ExecInst" type="MULTIPLEVALUESTRING"><value enum="1" description="NOT_HELD"/>
      <value enum="6" description="DO_NOT_INITIATE"/></field>
    <field number="38" name="OrderQty" type="qty"/>
    <field number="152" name="CashQty" type="QTY"/>
    <field number="54" name="Side" type="CHAR"><value enum="1" description="BUY"/><value enum="2"/></field>
    <field number="377" name="Solicited" type="BOOLEAN"><value enum="Y" description="YES"/></field>
    <field number="453" name="NoParties" type="NUMINGROUP"/>
    <field number="448" name="PartyID" type="STRING"/>
    <field number="452" name="PartyRole" type="INT"/>
    <field number="802" name="NoPartySubs" type="NUMINGROUP"/>
    <field number="523" name="PartySub" type="STRING"/>
    <field number="627" name="NoHops" type="NUMINGROUP"/>
    <field number="628" name="HopCompID" type="STRING"/>
  </fields>
</fix>
"""


@pytest.fixture
def xml(tmp_path: Path) -> Path:
    path = tmp_path / "small.xml"
    path.write_text(XML)
    return path


def test_an_xml_is_read_with_components_groups_values_and_what_is_required(xml: Path) -> None:
    dictionary = load(xml)
    assert dictionary.version == "FIX.4.4"
    assert dictionary.header == (Member(8, True), Member(627, False, (Member(628, False),)))
    assert dictionary.trailer == (Member(10, True),)
    # What a component that is not required requires, is not required.
    parties = Member(453, False, (Member(448, True), Member(452, False), Member(802, False, (Member(523, False),))))
    quantity = (Member(38, True), Member(152, False))
    end = (Member(54, True), Member(18, False), Member(377, False))
    assert dictionary.messages == {
        "D": MessageType("Order", (Member(11, True), parties, *quantity, *end)),
        "0": MessageType("Empty", ()),
    }
    assert dictionary.fields[54] == FieldType(54, "Side", "CHAR", {"1": "BUY", "2": ""})
    assert dictionary.fields[38] == FieldType(38, "OrderQty", "QTY", {})
    # Booleans are Y or N whatever is listed, and a MsgType is one of the messages.
    assert dictionary.fields[377].values == dictionary.fields[35].values == {}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("11=a|453=1|448=A|452=1|802=1|523=x|38=5|54=1|18=1 6", None),
        ("11=a|38=5|54=2|377=N", None),
        ("627=1|628=X|11=a|38=5|54=2", None),
        ("11=a|54=1", (1, 38)),
        ("11=a|38=5|54=3", (5, 54)),
        ("11=a|38=five|54=1", (6, 38)),
        ("11=a|453=1|452=1|38=5|54=1", (15, 452)),
        ("11=a|453=1|448=A|802=2|523=x|38=5|54=1", (16, 802)),
    ],
)
def test_a_message_is_held_to_what_the_xml_says(xml: Path, body: str, expected: tuple[int, int] | None) -> None:
    assert verdict(load(xml).check(Message("D", fields(f"8=FIX.4.4|{body}|10=000")))) == expected


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("</fix>", "", "no element found"),
        (XML, "", "no element found"),
        ("<fix ", "<fax ", "mismatched tag"),
        ("<fields>", "<felds>", "mismatched tag"),
        (' major="4"', "", "has no attribute major"),
        ('msgtype="D" ', "", "has no attribute msgtype"),
        ('<message name="Order" ', "<message ", "has no attribute name"),
        ('enum="1" description="BUY"', 'description="BUY"', "has no attribute enum"),
        ('type="CHAR"', "", "has no attribute type"),
        ('number="54"', "", "has no attribute number"),
        ('number="54"', 'number="Side"', "has the number 'Side'"),
        ('<field name="Side" required="Y"/>', '<field name="Seite"/>', "field Seite, of Order, is missing"),
        ('<field name="PartyID" required="Y"/>', '<field name="Partei"/>', "field Partei, of NoParties, is missing"),
        ('<component name="PartySubs">', '<component name="Subs">', "component PartySubs, of NoParties, is missing"),
        ('<field name="HopCompID" required="N"/>', "", "group NoHops repeats nothing"),
        (
            '<field name="PartySub" required="N"/>',
            '<field name="PartySub"/><component name="PartySubs"/>',
            "is within itself",
        ),
    ],
)
def test_an_xml_that_is_no_dictionary_is_refused_with_file_and_fault(xml: Path, old: str, new: str, fault: str) -> None:
    assert old in XML
    xml.write_text(XML.replace(old, new, 1))
    with pytest.raises(DictionaryError) as caught:
        load(xml)
    assert str(caught.value).startswith(f"{xml}: ")
    assert fault in str(caught.value)


@pytest.mark.parametrize("section", ["header", "messages", "trailer", "fields"])
def test_an_xml_without_one_of_its_sections_is_refused_by_name(tmp_path: Path, section: str) -> None:
    sections = "".join(f"<{one}/>" for one in ("header", "messages", "trailer", "fields") if one != section)
    path = tmp_path / "without.xml"
    path.write_text(f'<fix major="4" minor="4">{sections}</fix>')
    with pytest.raises(DictionaryError, match=f"^{path}: <{section}> is missing$"):
        load(path)


def test_an_xml_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.xml"
    path.write_text("<html/>")
    with pytest.raises(DictionaryError, match=f"^{path}: the root element is <html>: it must be <fix>$"):
        load(path)


# Our own form

TOML = """
version = "FIX.4.4"
header = "BeginString! NoHops(HopCompID)"
trailer = "CheckSum!"
[blocks]
Parties = "NoParties!(PartyID! PartyRole @PartySubs)"
PartySubs = "NoPartySubs(PartySub)"
Quantity = "OrderQty! CashQty"
[messages]
D = '''
Order: ClOrdID! @Parties @Quantity!
Side! ExecInst Solicited'''
0 = "Empty:"
[fields]
8 = "BeginString STRING"
10 = "CheckSum STRING"
35 = "MsgType STRING"
11 = "ClOrdID STRING"
18 = "ExecInst MULTIPLEVALUESTRING 1:NOT_HELD 6:DO_NOT_INITIATE"
38 = "OrderQty QTY"
152 = "CashQty QTY"
54 = '''
Side CHAR 1:BUY
2:'''
377 = "Solicited BOOLEAN"
453 = "NoParties NUMINGROUP"
448 = "PartyID STRING"
452 = "PartyRole INT"
802 = "NoPartySubs NUMINGROUP"
523 = "PartySub STRING"
627 = "NoHops NUMINGROUP"
628 = "HopCompID STRING"
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(TOML)
    return path


def test_our_form_says_the_same_as_the_xml(toml: Path, xml: Path) -> None:
    ours, theirs = load(toml), load(xml)
    assert ours.version == theirs.version
    assert ours.fields == theirs.fields
    assert ours.header == theirs.header
    assert ours.trailer == theirs.trailer
    assert ours.messages == theirs.messages


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('version = "FIX.4.4"', "", "version is missing"),
        ("[fields]", "[felds]", "fields is missing"),
        ("[fields]", "[fields", "cannot be read as a dictionary"),
        ('"BeginString STRING"', '"BeginString"', "field 8 is 'BeginString': it must be"),
        ('"BeginString STRING"', '"BeginString STRIN"', "field 8 is 'BeginString STRIN': it must be"),
        ('"BeginString STRING"', '""', "field 8 is '': it must be"),
        ('8 = "BeginString STRING"', '8x = "BeginString STRING"', "field 8x is 'BeginString STRING': it must be"),
        ('8 = "BeginString STRING"', "8 = 1", "[fields] must be a table with a text for each key"),
        ('0 = "Empty:"', "0 = []", "[messages] must be a table with a text for each key"),
        ('Quantity = "OrderQty! CashQty"', "Quantity = 1", "[blocks] must be a table with a text for each key"),
        ('trailer = "CheckSum!"', "trailer = 10", "trailer is 10: it must be a text"),
        ('version = "FIX.4.4"', "version = 4.4", "version is 4.4: it must be a text"),
        ("Side! ExecInst", "Seite! ExecInst", "message D: field Seite is missing"),
        ("Side! ExecInst", "Side!, ExecInst", "message D: field , is missing"),
        ("@Quantity!", "@Quantum!", "message D: block Quantum is missing"),
        ("(PartySub)", "(PartySob)", "message D: field PartySob is missing"),
        ('"CheckSum!"', '"Sum!"', "trailer: field Sum is missing"),
        ("NoHops(HopCompID)", "NoHops(HopCompID", "header: the bracket of group NoHops is not closed"),
        ("NoHops(HopCompID)", "HopCompID)", "header: a bracket closes that was not opened"),
        ("NoHops(HopCompID)", "(HopCompID)", "header: a bracket must follow the name of a group"),
        ("BeginString! NoHops", "(NoHops", "header: a bracket must follow the name of a group"),
        ("NoHops(HopCompID)", "NoHops(HopCompID)(HopCompID)", "header: a bracket must follow the name of a group"),
        ("NoHops(HopCompID)", "NoHops()", "header: group NoHops repeats nothing"),
        ("(PartySub)", "(PartySub @Parties)", "is within itself"),
    ],
)
def test_a_file_of_our_form_with_a_fault_is_refused_with_file_and_fault(
    toml: Path, old: str, new: str, fault: str
) -> None:
    assert old in TOML
    toml.write_text(TOML.replace(old, new, 1))
    with pytest.raises(DictionaryError) as caught:
        load(toml)
    assert str(caught.value).startswith(f"{toml}: ")
    assert fault in str(caught.value)


@pytest.mark.parametrize("name", ["missing.toml", "missing.xml"])
def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DictionaryError, match=f"^{tmp_path / name}: cannot be read as a dictionary"):
        load(tmp_path / name)


@pytest.mark.parametrize("name", ["binary.toml", "binary.xml"])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DictionaryError, match=f"^{path}: cannot be read as a dictionary"):
        load(path)


def test_a_session_dictionary_carries_the_messages_of_another(tmp_path: Path, toml: Path) -> None:
    session = tmp_path / "session.toml"
    session.write_text(
        """
        version = "FIXT.1.1"
        header = "BeginString!"
        [messages]
        1 = "TestRequest: TestReqID!"
        [fields]
        8 = "BeginString STRING"
        112 = "TestReqID STRING"
        """
    )
    dictionary = load(session, toml)
    assert dictionary.version == "FIXT.1.1"
    assert set(dictionary.messages) == {"1", "D", "0"}
    # Header and trailer are the session's.
    assert dictionary.check(Message("D", fields("8=FIXT.1.1|11=a|38=5|54=1"))) is None
    assert verdict(dictionary.check(Message("1", fields("8=FIXT.1.1")))) == (1, 112)
    with pytest.raises(DictionaryError, match="none"):
        load(session, tmp_path / "none.toml")
