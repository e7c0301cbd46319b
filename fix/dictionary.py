"""What a version of FIX allows: fields and their values, messages, repeating groups; and holding a message to it.

A dictionary comes from a TOML file of our own form (`fix/dictionaries/`, which has those that are shipped) or from
QuickFIX's XML. Ours says a field in a line and a message in a sentence:

    [fields]
    54 = "Side CHAR 1:Buy 2:Sell"
    [blocks]
    OrderQtyData = "OrderQty CashOrderQty"
    [messages]
    D = "NewOrderSingle: ClOrdID! @OrderQtyData NoAllocs(AllocAccount AllocQty)"

`!` is required, `@` a block, and brackets hold what a group repeats, with the field that begins each entry first.

What is checked are the rules of the FIX session-level test cases, section 14; what is found is a `Defect` with its
SessionRejectReason (373).
"""

import re
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from fix.codec import Defect
from fix.message import SECRET_TAGS, Field, FieldError, Message
from fix.values import parse_timestamp

_SHIPPED = Path(__file__).parent / "dictionaries"
_MOST_SHAPES = 1000


class DictionaryError(Exception):
    """A file is no dictionary: which, where in it, and what would be right."""


class FieldType(NamedTuple):
    """A field: its name, its data type, and its values by what they mean (none: any of the type)."""

    tag: int
    name: str
    type: str
    values: dict[str, str]


class Member(NamedTuple):
    """A field's place in a message or in an entry of a group; `entry` is what the group repeats."""

    tag: int
    required: bool
    entry: "tuple[Member, ...]" = ()


class MessageType(NamedTuple):
    name: str
    members: tuple[Member, ...]


@dataclass
class _Layout:
    """A message's members and those of header and trailer, for quick use."""

    members: dict[int, Member]
    required: tuple[int, ...]
    shapes: dict[tuple[int, ...], list[tuple[int, Callable[[str], object]]]] = field(default_factory=dict)
    """Orders of tags that were found good before, with what is left to be looked at: the values of some."""


class Dictionary:
    """`strict_user_defined`: user-defined fields (5000 to 9999, and from 20000) are only good where the dictionary has
    them; otherwise anywhere."""

    def __init__(
        self,
        version: str,
        fields: dict[int, FieldType],
        header: tuple[Member, ...],
        trailer: tuple[Member, ...],
        messages: dict[str, MessageType],
        *,
        strict_user_defined: bool = False,
    ) -> None:
        self.version = version
        self.fields = fields
        self.header = header
        self.trailer = trailer
        self.messages = messages
        self._strict_user_defined = strict_user_defined
        self._fits = {tag: _FITS[one.type] for tag, one in fields.items() if one.type in _FITS}
        self._quick = {
            tag: _quick_check(one, may_be_agreed=version.startswith("FIXT"))
            for tag, one in fields.items()
            if one.values or one.type in _FITS
        }
        self._header_tags = frozenset(member.tag for member in header)
        self._trailer_tags = frozenset(member.tag for member in trailer)
        self._layouts = {
            msg_type: _Layout(
                {member.tag: member for member in (*header, *message.members, *trailer)},
                tuple(member.tag for member in (*header, *message.members, *trailer) if member.required),
            )
            for msg_type, message in messages.items()
        }

    def is_known_type(self, msg_type: str) -> bool:
        """Whether it has messages of this MsgType (35)."""
        return msg_type in self._layouts

    def field_name(self, tag: int) -> str | None:
        found = self.fields.get(tag)
        return found.name if found else None

    def value_name(self, tag: int, value: str) -> str | None:
        """What an enumerated value means."""
        if tag == 35:
            return self.message_name(value)
        found = self.fields.get(tag)
        return found.values.get(value) if found else None

    def message_name(self, msg_type: str) -> str | None:
        found = self.messages.get(msg_type)
        return found.name if found else None

    def check(self, message: Message) -> Defect | None:
        """What is wrong with a received message, its first fault in the order of its fields; None for a good one, and
        for one of a type that is not known."""
        layout = self._layouts.get(message.msg_type)
        if layout is None:
            return None
        if not message.has_repeats:
            first = message.first
            checks = layout.shapes.get(tuple(first))
            if checks is not None:
                for tag, check in checks:
                    if not check(first[tag]):
                        break
                else:
                    return None
        defect = self._check_closely(message, layout)
        if defect is None and not message.has_repeats:
            self._remember_shape(tuple(message.first), layout)
        return defect

    def _remember_shape(self, tags: tuple[int, ...], layout: _Layout) -> None:
        """That these tags in this order are good. Of groups, more than the tags would have to be known."""
        if any(tag in layout.members and layout.members[tag].entry for tag in tags):
            return
        if len(layout.shapes) >= _MOST_SHAPES:
            layout.shapes.clear()
        layout.shapes[tags] = [(tag, self._quick[tag]) for tag in tags if tag in self._quick]

    def _check_closely(self, message: Message, layout: _Layout) -> Defect | None:
        fields = message.fields
        seen: set[int] = set()
        section = 0
        at = 0
        try:
            while at < len(fields):
                tag, value = fields[at]
                member = self._member(tag, layout, message.msg_type)
                here = 0 if tag in self._header_tags else 2 if tag in self._trailer_tags else 1
                if here < section:
                    raise _DefectError(14, tag, f"tag {tag} is out of its order: header, body, trailer")
                section = here
                if tag in seen:
                    raise _DefectError(13, tag, f"tag {tag} is there more than once")
                seen.add(tag)
                self._check_value(tag, value)
                at += 1
                if member is not None and member.entry:
                    at = self._check_group(fields, at, member, value)
            for tag in layout.required:
                if tag not in seen:
                    raise _DefectError(1, tag, f"tag {tag} ({self.field_name(tag)}) is missing")
        except _DefectError as error:
            return error.defect
        return None

    def _member(self, tag: int, layout: _Layout, msg_type: str) -> Member | None:
        """The tag's place in the message, None for a user-defined one that is good anywhere."""
        member = layout.members.get(tag)
        if member is None and not self._is_good_anywhere(tag):
            if tag not in self.fields:
                raise _DefectError(0, tag, f"tag {tag} is not known in {self.version}")
            raise _DefectError(2, tag, f"tag {tag} ({self.field_name(tag)}) is not of a message of type {msg_type}")
        return member

    def _is_good_anywhere(self, tag: int) -> bool:
        return not self._strict_user_defined and (5000 <= tag < 10_000 or tag >= 20_000)

    def _check_group(self, fields: tuple[Field, ...], at: int, group: Member, digits: str) -> int:
        """Where the group that begins at `at` ends."""
        # A message has not room for so many entries, nor Python patience for so many digits.
        count = int(digits) if len(digits) < 10 else -1
        begins = group.entry[0].tag
        places = {member.tag: place for place, member in enumerate(group.entry)}
        if count and at < len(fields) and fields[at][0] != begins and fields[at][0] in places:
            raise _DefectError(15, fields[at][0], f"an entry of group {group.tag} must begin with tag {begins}")
        entries = 0
        while at < len(fields) and fields[at][0] == begins:
            entries += 1
            at = self._check_entry(fields, at, group, places)
        if entries != count:
            raise _DefectError(16, group.tag, f"group {group.tag} has {entries} entries, and says {digits[:20]}")
        return at

    def _check_entry(self, fields: tuple[Field, ...], at: int, group: Member, places: dict[int, int]) -> int:
        last = -1
        seen = set()
        while at < len(fields):
            tag, value = fields[at]
            place = places.get(tag)
            if place is None and last >= 0 and self._is_good_anywhere(tag):
                at += 1
                continue
            if place is None or (place == 0 and last >= 0):
                break
            if place <= last:
                raise _DefectError(15, tag, f"tag {tag} is out of its order in group {group.tag}")
            last = place
            seen.add(tag)
            self._check_value(tag, value)
            at += 1
            member = group.entry[place]
            if member.entry:
                at = self._check_group(fields, at, member, value)
        for member in group.entry:
            if member.required and member.tag not in seen:
                raise _DefectError(1, member.tag, f"tag {member.tag} is missing in an entry of group {group.tag}")
        return at

    def _check_value(self, tag: int, value: str) -> None:
        found = self.fields.get(tag)
        if found is None or not value:
            return
        shown = "***" if tag in SECRET_TAGS else repr(value)
        fits = self._fits.get(tag)
        if fits is not None and not fits(value):
            raise _DefectError(6, tag, f"tag {tag} is {shown}: it must be of type {found.type}")
        if found.values and not self._quick[tag](value):
            raise _DefectError(5, tag, f"tag {tag} is {shown}: it is none of the values of {found.name}")


class _DefectError(Exception):
    def __init__(self, reason: int, tag: int, text: str) -> None:
        super().__init__(text)
        self.defect = Defect(reason, tag, text)


# ---- data types (FIX 4.4 volume 1, "FIX Field Data Types")

_DAY = re.compile(r"0?[1-9]|[12][0-9]|3[01]")
_MONTH = re.compile(r"[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01]|w[1-5])?")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,12})?")
_ZONED_TIME = re.compile(
    r"([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60)(\.[0-9]{1,12})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)


def _is_date(value: str) -> bool:
    return len(value) == 8 and _is_timestamp(f"{value}-00:00:00")


def _is_zoned_timestamp(value: str) -> bool:
    return _is_date(value[:8]) and value[8:9] == "-" and _ZONED_TIME.fullmatch(value, 9) is not None


def _is_int(value: str) -> bool:
    return value.isdecimal() or (value[0] == "-" and value[1:].isdecimal())


# The same prices, sizes and times come again and again.
@lru_cache(maxsize=1 << 14)
def _is_float(value: str) -> bool:
    return value.replace(".", "", 1).isdecimal() or (value[0] == "-" and value[1:].replace(".", "", 1).isdecimal())


@lru_cache(maxsize=1 << 12)
def _is_timestamp(value: str) -> bool:
    try:
        parse_timestamp(0, value)
    except FieldError:
        return False
    return True


_FITS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("INT",), _is_int),
    **dict.fromkeys(("LENGTH", "SEQNUM", "NUMINGROUP", "TAGNUM"), str.isdecimal),
    "DAYOFMONTH": _DAY.fullmatch,
    **dict.fromkeys(("FLOAT", "QTY", "PRICE", "PRICEOFFSET", "AMT", "PERCENTAGE"), _is_float),
    "CHAR": lambda value: len(value) == 1,
    "BOOLEAN": frozenset("YN").__contains__,
    "UTCTIMESTAMP": _is_timestamp,
    **dict.fromkeys(("UTCTIMEONLY", "LOCALMKTTIME"), _TIME.fullmatch),
    **dict.fromkeys(("UTCDATE", "UTCDATEONLY", "LOCALMKTDATE", "DATE"), _is_date),
    "MONTHYEAR": _MONTH.fullmatch,
    "TZTIMEONLY": _ZONED_TIME.fullmatch,
    "TZTIMESTAMP": _is_zoned_timestamp,
}
"""By type, whether a value has its form; what is not here is text or data. `DATE` is what 4.2 calls a LocalMktDate."""

_TEXT = frozenset(
    {"STRING", "CURRENCY", "COUNTRY", "EXCHANGE", "DATA", "XMLDATA", "LANGUAGE", "XID", "XIDREF"}
    | {"MULTIPLEVALUESTRING", "MULTIPLESTRINGVALUE", "MULTIPLECHARVALUE"}
)
"""Types of any form."""
_SEVERAL = frozenset({"MULTIPLEVALUESTRING", "MULTIPLESTRINGVALUE", "MULTIPLECHARVALUE"})


def _quick_check(one: FieldType, *, may_be_agreed: bool) -> Callable[[str], object]:
    """Whether a value is good, in one call. `may_be_agreed`: from FIX 5.0 on, numbers from 100 are for the two sides to
    agree on ("Reserved100Plus")."""
    if not one.values:
        return _FITS[one.type]
    values = frozenset(one.values)
    if one.type in _SEVERAL:
        return lambda value: values.issuperset(value.split(" "))
    if one.type == "INT" and may_be_agreed:
        return lambda value: value in values or (value.isdecimal() and len(value.lstrip("0")) >= 3)
    return values.__contains__


# ---- reading dictionaries


@cache
def shipped(begin_string: str) -> Dictionary:
    """One of those that come with the engine, for the session and the messages of orders and market data.

    FIX.4.2, FIX.4.4, or FIXT.1.1 with the messages of FIX 5.0 SP2. Raises `ValueError` for another.
    """
    if begin_string == "FIXT.1.1":
        return load(_SHIPPED / "FIXT11.toml", _SHIPPED / "FIX50SP2.toml")
    path = _SHIPPED / f"{begin_string.replace('.', '')}.toml"
    if begin_string not in ("FIX.4.2", "FIX.4.4"):
        raise ValueError(f"begin_string is {begin_string!r}: there are dictionaries of FIX.4.2, FIX.4.4 and FIXT.1.1")
    return load(path)


def load(path: Path, application: Path | None = None, *, strict_user_defined: bool = False) -> Dictionary:
    """Read a dictionary, `.xml` being QuickFIX's form and all else ours. With FIXT.1.1, `application` has the messages
    of the FIX version that it carries. Raises `DictionaryError`."""
    source = _read(path)
    version, fields, messages = source.version, source.fields, source.messages
    if application is not None:
        carried = _read(application)
        fields, messages = carried.fields | fields, carried.messages | messages
    return Dictionary(version, fields, source.header, source.trailer, messages, strict_user_defined=strict_user_defined)


class _Source(NamedTuple):
    version: str
    fields: dict[int, FieldType]
    header: tuple[Member, ...]
    trailer: tuple[Member, ...]
    messages: dict[str, MessageType]


def _read(path: Path) -> _Source:
    try:
        source = _read_xml(path) if path.suffix == ".xml" else _read_toml(path)
        for one in source.fields.values():
            if one.type not in _FITS and one.type not in _TEXT:
                raise ValueError(f"field {one.tag} ({one.name}) is of type {one.type}, which is not known")
        return source
    except RecursionError as error:
        raise DictionaryError(f"{path}: a block is part of itself") from error
    except AttributeError as error:
        raise DictionaryError(f"{path}: a field or a message must be one text: {error}") from error
    except (OSError, ET.ParseError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DictionaryError(f"{path}: cannot be read as a dictionary: {error}") from error
    except KeyError as error:
        raise DictionaryError(f"{path}: {error.args[0]} is missing") from error
    except ValueError as error:
        raise DictionaryError(f"{path}: {error}") from error


_WORD = re.compile(r"[@A-Za-z0-9_]+!?|[()]|\S")


def _read_toml(path: Path) -> _Source:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    fields = {}
    for tag, line in content["fields"].items():
        if not tag.isdecimal() or len(line.split()) < 2:
            raise ValueError(f"field {tag} is {line!r}: it must be a number and a text such as 'Account STRING'")
        name, kind, *values = line.split()
        split = [value.partition(":") for value in values]
        fields[int(tag)] = FieldType(int(tag), name, kind, {value: meaning for value, _, meaning in split})
    tags = {one.name: tag for tag, one in fields.items()}
    blocks = content.get("blocks", {})

    def members(words: Iterator[str], required: bool = True) -> Iterator[Member]:
        """Until the end or the closing bracket. What is required in a block that is not itself, is not."""
        pending: Member | None = None
        for word in words:
            if word == "(":
                if pending is None:
                    raise ValueError("a bracket must follow the name of a group")
                pending = pending._replace(entry=tuple(members(words)))
                continue
            if pending is not None:
                yield pending
                pending = None
            if word == ")":
                return
            name, must = word.removesuffix("!"), word.endswith("!")
            if name.startswith("@"):
                if name[1:] not in blocks:
                    raise ValueError(f"block {name[1:]} is missing")
                yield from members(iter(_WORD.findall(blocks[name[1:]])), required and must)
            elif name in tags:
                pending = Member(tags[name], required and must)
            else:
                raise ValueError(f"field {name} is missing")
        if pending is not None:
            yield pending

    def layout(text: str) -> tuple[Member, ...]:
        return tuple(members(iter(_WORD.findall(text))))

    messages = {}
    for msg_type, text in content.get("messages", {}).items():
        name, colon, body = text.partition(":")
        if not colon or text.count("(") != text.count(")"):
            raise ValueError(f"message {msg_type} must be a name, a colon and its fields, with brackets that match")
        messages[msg_type] = MessageType(name, layout(body))
    header, trailer = layout(content.get("header", "")), layout(content.get("trailer", ""))
    return _Source(content["version"], fields, header, trailer, messages)


def _read_xml(path: Path) -> _Source:
    root = ET.parse(path).getroot()
    if root.tag != "fix":
        raise ValueError(f"the root element is <{root.tag}>: it must be <fix>")

    def section(name: str) -> ET.Element:
        found = root.find(name)
        if found is None:
            raise ValueError(f"<{name}> is missing")
        return found

    fields = {}
    for element in section("fields"):
        tag = int(_attribute(element, "number"))
        values = {
            _attribute(value, "enum"): _attribute(value, "description") for value in element if value.tag == "value"
        }
        kind = _attribute(element, "type").upper()
        if kind == "BOOLEAN" or tag == 35:
            values = {}
        fields[tag] = FieldType(tag, _attribute(element, "name"), kind, values)
    tags = {one.name: tag for tag, one in fields.items()}
    components = {_attribute(element, "name"): element for element in root.iterfind("components/component")}

    def members(parent: ET.Element, required: bool = True) -> Iterator[Member]:
        for element in parent:
            name = _attribute(element, "name")
            must = required and element.get("required", "N") == "Y"
            if element.tag == "component":
                if name not in components:
                    raise ValueError(f"component {name}, of {parent.get('name')}, is missing")
                yield from members(components[name], must)
            elif name not in tags:
                raise ValueError(f"field {name}, of {parent.get('name')}, is missing")
            elif element.tag == "group":
                entry = tuple(members(element))
                if not entry:
                    raise ValueError(f"group {name}, of {parent.get('name')}, has no fields")
                yield Member(tags[name], must, entry)
            elif element.tag == "field":
                yield Member(tags[name], must)
            else:
                raise ValueError(f"<{element.tag}> in {parent.get('name')}: it must be a field, group or component")

    messages = {
        _attribute(element, "msgtype"): MessageType(_attribute(element, "name"), tuple(members(element)))
        for element in section("messages")
    }
    version = f"{root.get('type', 'FIX')}.{_attribute(root, 'major')}.{_attribute(root, 'minor')}"
    return _Source(version, fields, tuple(members(section("header"))), tuple(members(section("trailer"))), messages)


def _attribute(element: ET.Element, name: str) -> str:
    value = element.get(name)
    if value is None:
        raise ValueError(f"<{element.tag} {element.attrib}> has no attribute {name}")
    return value
