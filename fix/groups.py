"""What the typed messages are made of, to build and to read: single fields and repeating groups.

`fix.orders` and `fix.market_data` are written with it. What builds a field gives None where the field is left out.
What is wrong raises `FieldError` (or `MissingTag`, which is one) with the SessionRejectReason (373) that fits.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from fix.message import Field, FieldError, Message, MissingTag
from fix.values import format_decimal, parse_boolean, parse_decimal, parse_integer

_BAD_FORMAT, _OUT_OF_ORDER, _MORE_THAN_ONCE, _WRONG_COUNT = 6, 15, 13, 16
"""SessionRejectReason (373)."""

_E = TypeVar("_E", bound=StrEnum)


class Group:
    """A repeating group: the tag that counts its entries, the tag that begins each, and the others that are read.

    An entry is given as a Message, so that it is read like one; and a group within it, of which it is told as `nested`,
    is read from it with `Group.read` again.

    An entry goes from the tag that begins it to the next such tag, the last entry to the last tag that is named here.
    Fields in between that are not named (user-defined, or of another version) stay in their entry and do no harm. So
    a tag that is named must not follow in the message outside the group. Whether a message has only what it may have,
    and in order, `fix.dictionary` tells.
    Source: FIX 4.4 volume 1, "Repeating groups".
    """

    def __init__(self, count: int, begins: int, *others: int, nested: Sequence["Group"] = ()) -> None:
        self.count = count
        self.begins = begins
        self._others = frozenset(others)
        self._tags: frozenset[int] = frozenset({begins, *others}).union(
            *({group.count} | group._tags for group in nested)
        )

    def read(self, message: Message) -> tuple[Message, ...]:
        """The entries; none where the group is not there.

        Raises `FieldError`: `MissingTag` where entries are there without their count, reason 16 for a count that is not
        the number of entries, 15 where the group does not begin as it must or an entry has a tag twice, 13 for a count
        that is there twice.
        """
        fields = message.fields
        counts = [at for at, (tag, _) in enumerate(fields) if tag == self.count]
        if not counts:
            if message.get(self.begins) is not None:
                raise MissingTag(self.count, message.msg_type)  # what is there is not left unread
            return ()
        said = fields[counts[0]][1]
        if len(counts) > 1:
            raise FieldError(self.count, said, f"there once, not {len(counts)} times", reason=_MORE_THAN_ONCE)
        number = parse_integer(self.count, said)
        entries = self._split(fields[counts[0] + 1 :])
        if len(entries) != number:
            raise FieldError(self.count, said, f"{len(entries)}, as many as entries follow", reason=_WRONG_COUNT)
        return tuple(Message(message.msg_type, entry) for entry in entries)

    def _split(self, fields: Sequence[Field]) -> list[list[Field]]:
        end = max((at for at, (tag, _) in enumerate(fields, 1) if tag in self._tags), default=0)
        entries: list[list[Field]] = []
        seen: set[int] = set()
        for tag, value in fields[:end]:
            if tag == self.begins:
                entries.append([])
                seen.clear()
            elif not entries:
                right = f"after tag {self.begins}, which begins each entry of group {self.count}"
                raise FieldError(tag, value, right, reason=_OUT_OF_ORDER)
            elif tag in self._others and tag in seen:
                raise FieldError(tag, value, f"once in an entry of group {self.count}", reason=_OUT_OF_ORDER)
            seen.add(tag)
            entries[-1].append((tag, value))
        return entries

    def fields(self, entries: Iterable[Sequence[Field | None]]) -> list[Field]:
        """The count and the entries, to be sent. Raises `FieldError` for an entry that does not begin as it must."""
        present = [[field for field in entry if field is not None] for entry in entries]
        for entry in present:
            if not entry or entry[0][0] != self.begins:
                raise FieldError(self.begins, None, f"first in each entry of group {self.count}", reason=_OUT_OF_ORDER)
        return [(self.count, str(len(present))), *(field for entry in present for field in entry)]


# ---- fields to be sent


def build(msg_type: str, *fields: Field | None) -> Message:
    """A message of the fields that are there."""
    return Message(msg_type, [field for field in fields if field is not None])


def text_field(tag: int, value: str) -> Field:
    """One that must have a value."""
    if not value:
        raise FieldError(tag, value, "a value")
    return (tag, value)


def optional_field(tag: int, value: str | None) -> Field | None:
    """Left out where there is no text; also for enumerations, which are text."""
    return (tag, str(value)) if value else None


def integer_field(tag: int, value: int | None) -> Field | None:
    return None if value is None else (tag, str(value))


def boolean_field(tag: int, value: bool | None) -> Field | None:
    return None if value is None else (tag, "Y" if value else "N")


def number_field(tag: int, value: Decimal | None) -> Field | None:
    return None if value is None else (tag, format_decimal(tag, value))


def quantity_field(tag: int, value: Decimal) -> Field:
    """One that must be there, and above 0."""
    text = format_decimal(tag, value)
    if value <= 0:
        raise FieldError(tag, text, "above 0")
    return (tag, text)


def size_field(tag: int, value: Decimal | None) -> Field | None:
    """A quantity that may be 0."""
    field = number_field(tag, value)
    if value is not None and value < 0:
        raise FieldError(tag, value, "0 or more")
    return field


def date_field(tag: int, value: date | None) -> Field | None:
    """LocalMktDate or UTCDateOnly: YYYYMMDD."""
    return None if value is None else (tag, f"{value.year:04}{value.month:02}{value.day:02}")


# ---- fields that were received


def expect_type(message: Message, msg_type: str) -> None:
    if message.msg_type != msg_type:
        raise FieldError(35, message.msg_type, f"{msg_type} here")


def read_enum(values: type[_E], tag: int, text: str) -> _E:
    try:
        return values(text)
    except ValueError:
        right = ", ".join(f"{value.value} ({value.name})" for value in values)
        raise FieldError(tag, text, f"one of {right}") from None


def read_optional_enum(message: Message, values: type[_E], tag: int) -> _E | None:
    text = message.get(tag)
    return None if text is None else read_enum(values, tag, text)


def read_integer(message: Message, tag: int) -> int | None:
    text = message.get(tag)
    return None if text is None else parse_integer(tag, text)


def read_boolean(message: Message, tag: int) -> bool | None:
    text = message.get(tag)
    return None if text is None else parse_boolean(tag, text)


def read_number(message: Message, tag: int) -> Decimal | None:
    text = message.get(tag)
    return None if text is None else parse_decimal(tag, text)


def read_size(message: Message, tag: int) -> Decimal | None:
    """One that is not below 0."""
    size = read_number(message, tag)
    if size is not None and size < 0:
        raise FieldError(tag, message.get(tag), "0 or more")
    return size


def read_quantity(message: Message, tag: int) -> Decimal:
    """One that must be there, and above 0."""
    text = message.require(tag)
    quantity = parse_decimal(tag, text)
    if quantity <= 0:
        raise FieldError(tag, text, "above 0")
    return quantity


_DATE = re.compile(r"\d{8}", re.ASCII)


def read_date(message: Message, tag: int) -> date | None:
    text = message.get(tag)
    if text is None:
        return None
    try:
        if _DATE.fullmatch(text):
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        pass
    raise FieldError(tag, text, "a date such as 20131007", reason=_BAD_FORMAT)
