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
from functools import cache
from itertools import starmap
from pathlib import Path
from typing import NamedTuple

from fix.codec import Defect
from fix.message import SECRET_TAGS, Field, FieldError, Message
from fix.values import parse_timestamp

_SHIPPED = Path(__file__).parent / "dictionaries"
_MOST_SHAPES = 1000
_MOST_REMEMBERED = 10_000


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
    tags: frozenset[int]
    """Those of groups too."""
    shapes: dict[tuple[int, ...], list[tuple[int, Callable[[str], object]]]] = field(default_factory=dict)
    """Orders of tags that were found good before, with what is left to be looked at: the values of some."""


class Dictionary:
    """`strict_user_defined`: user-defined fields (5000 to 9999, and from 20000) are only good where the dictionary has
    them; otherwise anywhere, also within groups and more than once."""

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
        self._quick = {tag: _quick_check(one) for tag, one in fields.items() if one.values or one.type in _FITS}
        self._header_tags = frozenset(member.tag for member in header)
        self._trailer_tags = frozenset(member.tag for member in trailer)
        self._layouts = {
            msg_type: _Layout(
                {member.tag: member for member in (*header, *message.members, *trailer)},
                tuple(member.tag for member in (*header, *message.members, *trailer) if member.required),
                frozenset(_tags_of((*header, *message.members, *trailer))),
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
        seen: set[int] = set()
        section = 0
        at = 0
        try:
            fields = message.fields
            if not self._strict_user_defined and any(map(_is_user_defined, message.first)):
                fields = self._with_a_place(fields, layout)
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
                if member.entry:
                    at = self._check_group(fields, at, member, value)
            for tag in layout.required:
                if tag not in seen:
                    raise _DefectError(1, tag, f"tag {tag} ({self.field_name(tag)}) is missing")
        except _DefectError as error:
            return error.defect
        return None

    def _with_a_place(self, fields: tuple[Field, ...], layout: _Layout) -> tuple[Field, ...]:
        """Without the user-defined fields that are good anywhere; of those, only the values are held to something."""
        placed = []
        for one in fields:
            tag = one[0]
            if tag in layout.tags or not _is_user_defined(tag):
                placed.append(one)
            else:
                self._check_value(*one)
        return tuple(placed)

    def _member(self, tag: int, layout: _Layout, msg_type: str) -> Member:
        """The tag's place in the message."""
        member = layout.members.get(tag)
        if member is None:
            if tag not in self.fields:
                raise _DefectError(0, tag, f"tag {tag} is not known in {self.version}")
            raise _DefectError(2, tag, f"tag {tag} ({self.field_name(tag)}) is not of a message of type {msg_type}")
        return member

    def _check_group(self, fields: tuple[Field, ...], at: int, group: Member, says: str) -> int:
        """Where the group that begins at `at` ends."""
        count = int(says) if _is_natural(says) else -1
        begins = group.entry[0].tag
        places = {member.tag: place for place, member in enumerate(group.entry)}
        if count > 0 and at < len(fields) and fields[at][0] != begins and fields[at][0] in places:
            tag = fields[at][0]
            raise _DefectError(15, tag, f"tag {tag} begins an entry of group {group.tag}: it must be tag {begins}")
        entries = 0
        while at < len(fields) and fields[at][0] == begins:
            entries += 1
            at = self._check_entry(fields, at, group, places)
        if entries != count:
            raise _DefectError(16, group.tag, f"group {group.tag} has {entries} entries, and says {says}")
        return at

    def _check_entry(self, fields: tuple[Field, ...], at: int, group: Member, places: dict[int, int]) -> int:
        last = -1
        seen = set()
        while at < len(fields):
            tag, value = fields[at]
            place = places.get(tag)
            if place is None or (place == 0 and last >= 0):
                break
            if tag in seen:
                raise _DefectError(13, tag, f"tag {tag} is there more than once in an entry of group {group.tag}")
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


def _is_user_defined(tag: int) -> bool:
    return 5000 <= tag < 10_000 or tag >= 20_000


def _tags_of(members: tuple[Member, ...]) -> Iterator[int]:
    for member in members:
        yield member.tag
        yield from _tags_of(member.entry)


# ---- data types (FIX 4.4 volume 1, "FIX Field Data Types")

_MONTH = re.compile(r"[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01]|w[1-5])?")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,12})?")
_ZONED_TIME = re.compile(
    r"([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60)(\.[0-9]{1,12})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)
_DAY_OF_MONTH = re.compile(r"0?[1-9]|[12][0-9]|3[01]")
# As many digits as fix.values reads, so that what is let through can be read; and Python refuses to read thousands.
_is_int = re.compile(r"-?[0-9]{1,18}").fullmatch
_is_natural = re.compile(r"[0-9]{1,18}").fullmatch


class _Remembered(dict[str, bool]):
    """Whether values have a form: the same prices, sizes and times come again and again. Of what is no such value,
    nothing large is kept."""

    def __init__(self, fits: Callable[[str], bool]) -> None:
        super().__init__()
        self._fits = fits

    def __missing__(self, value: str) -> bool:
        fits = self._fits(value)
        if len(value) <= 40:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[value] = fits
        return fits


def _is_float(value: str) -> bool:
    return value.removeprefix("-").replace(".", "", 1).isdecimal()


def _is_date(value: str) -> bool:
    return len(value) == 8 and _is_timestamp(f"{value}-00:00:00")


def _is_zoned_timestamp(value: str) -> bool:
    return _is_date(value[:8]) and value[8:9] == "-" and _ZONED_TIME.fullmatch(value, 9) is not None


def _is_timestamp(value: str) -> bool:
    try:
        parse_timestamp(0, value)
    except FieldError:
        return False
    return True


_FITS: dict[str, Callable[[str], object]] = {
    "INT": _is_int,
    **dict.fromkeys(("LENGTH", "SEQNUM", "NUMINGROUP", "TAGNUM"), _is_natural),
    "DAYOFMONTH": _DAY_OF_MONTH.fullmatch,
    **dict.fromkeys(("FLOAT", "QTY", "PRICE", "PRICEOFFSET", "AMT", "PERCENTAGE"), _Remembered(_is_float).__getitem__),
    "CHAR": lambda value: len(value) == 1,
    "BOOLEAN": frozenset("YN").__contains__,
    "UTCTIMESTAMP": _Remembered(_is_timestamp).__getitem__,
    **dict.fromkeys(("UTCTIMEONLY", "LOCALMKTTIME"), _TIME.fullmatch),
    **dict.fromkeys(("UTCDATE", "UTCDATEONLY", "LOCALMKTDATE", "DATE"), _is_date),
    "MONTHYEAR": _MONTH.fullmatch,
    **dict.fromkeys(("MULTIPLEVALUESTRING", "MULTIPLESTRINGVALUE"), re.compile("[^ ]+( [^ ]+)*").fullmatch),
    "MULTIPLECHARVALUE": re.compile("[^ ]( [^ ])*").fullmatch,
    "TZTIMEONLY": _ZONED_TIME.fullmatch,
    "TZTIMESTAMP": _is_zoned_timestamp,
}
"""By type, whether a value has its form; what is not here is text or data. `DATE` is what 4.2 calls a LocalMktDate."""

_SEVERAL = frozenset({"MULTIPLEVALUESTRING", "MULTIPLESTRINGVALUE", "MULTIPLECHARVALUE"})
_COUNTS = frozenset({"NUMINGROUP", "INT"})
"""Of the field before a group; `INT` is what 4.2 has."""
_TYPES = frozenset(
    {"STRING", "CURRENCY", "COUNTRY", "EXCHANGE", "LANGUAGE", "DATA", "XMLDATA", "XID", "XIDREF", *_FITS}
)


def _quick_check(one: FieldType) -> Callable[[str], object]:
    """Whether a value is good, in one call."""
    if not one.values:
        return _FITS[one.type]
    values = frozenset(one.values)
    if one.type in _SEVERAL:
        return lambda value: values.issuperset(value.split(" "))
    if one.type == "INT":
        # From 5.0 on, numbers from 100 are for the two sides to agree on ("Reserved100Plus"). In earlier versions
        # venues
        # do the same, and a reason that is not known is no reason to refuse a report.
        return lambda value: value in values or (_is_natural(value) and len(value.lstrip("0")) >= 3)
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
        return _read_xml(path) if path.suffix == ".xml" else _read_toml(path)
    except (OSError, ET.ParseError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DictionaryError(f"{path}: cannot be read as a dictionary: {error}") from error
    except KeyError as error:
        raise DictionaryError(f"{path}: {error.args[0]} is missing") from error
    except ValueError as error:
        raise DictionaryError(f"{path}: {error}") from error
    except RecursionError as error:
        raise DictionaryError(f"{path}: a block or component is within itself") from error


_WORD = re.compile(r"[@A-Za-z0-9_]+!?|[()]|\S")


def _read_toml(path: Path) -> _Source:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    fields = {one.tag: one for one in starmap(_toml_field, _lines(content["fields"], "fields").items())}
    tags = {one.name: tag for tag, one in fields.items()}
    blocks = _lines(content.get("blocks", {}), "blocks")

    def members(words: Iterator[str], required: bool = True, *, group: str = "") -> Iterator[Member]:
        """Until the end or the group's closing bracket. What is required in a block that is not itself, is not."""
        pending: Member | None = None
        for word in words:
            if word == "(":
                if pending is None or pending.entry or fields[pending.tag].type not in _COUNTS:
                    raise ValueError("a bracket must follow the name of a group")
                name = fields[pending.tag].name
                pending = pending._replace(entry=_entry(name, members(words, group=name)))
                continue
            if pending is not None:
                yield pending
                pending = None
            if word == ")":
                if not group:
                    raise ValueError("a bracket closes that was not opened")
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
        if group:
            raise ValueError(f"the bracket of group {group} is not closed")
        if pending is not None:
            yield pending

    def layout(where: str, text: str) -> tuple[Member, ...]:
        try:
            return tuple(members(iter(_WORD.findall(text))))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    messages = {}
    for msg_type, text in _lines(content.get("messages", {}), "messages").items():
        name, _, body = text.partition(":")
        messages[msg_type] = MessageType(name, layout(f"message {msg_type}", body))
    header, trailer = (layout(end, _line(content.get(end, ""), end)) for end in ("header", "trailer"))
    return _Source(_line(content["version"], "version"), fields, header, trailer, messages)


def _line(text: object, name: str) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{name} is {text!r}: it must be a text")
    return text


def _lines(table: object, name: str) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(line, str) for line in table.values()):
        raise ValueError(f"[{name}] must be a table with a text for each key")
    return table


def _toml_field(tag: str, line: str) -> FieldType:
    words = line.split()
    if not _is_natural(tag) or len(words) < 2 or words[1] not in _TYPES:
        raise ValueError(f"field {tag} is {line!r}: it must be a number with a name and one of FIX's data types")
    name, kind, *values = words
    split = [value.partition(":") for value in values]
    return FieldType(int(tag), name, kind, {value: meaning for value, _, meaning in split})


def _entry(group: str, members: Iterator[Member]) -> tuple[Member, ...]:
    entry = tuple(members)
    if not entry:
        raise ValueError(f"group {group} repeats nothing: it must have a field")
    return entry


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
        number = _attribute(element, "number")
        if not _is_natural(number):
            raise ValueError(f"<field {element.attrib}> has the number {number!r}: it must be a tag")
        tag = int(number)
        values = {_attribute(value, "enum"): value.get("description", "") for value in element if value.tag == "value"}
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
                yield Member(tags[name], must, _entry(name, members(element)))
            else:
                yield Member(tags[name], must)

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
