"""A FIX message as an application sees it: a type and fields in order."""

from collections.abc import Iterator, Sequence

SECRET_TAGS = frozenset({96, 554, 925})
"""RawData, Password and NewPassword: never shown."""

Field = tuple[int, str]


class FieldError(ValueError):
    """A field has a value it must not have. `reason` is a SessionRejectReason (373)."""

    def __init__(self, tag: int, value: object, expected: str, *, reason: int = 5) -> None:
        shown = "***" if tag in SECRET_TAGS else repr(value)
        super().__init__(f"tag {tag} is {shown}: it must be {expected}")
        self.tag = tag
        self.value = value
        self.expected = expected
        self.reason = reason


class MissingTag(FieldError):  # noqa: N818 - the field's own term, as in SessionRejectReason 1
    """A field that is required is not there."""

    def __init__(self, tag: int, msg_type: str) -> None:
        super().__init__(tag, None, f"present in a message of type {msg_type}", reason=1)


class Message:
    """MsgType (35) and the other fields, in order; immutable.

    A message that was received has all its fields, with those of header and trailer (8, 9, 35, 34, ..., 10). One that
    is to be sent has its body and, where wanted, header fields that are not the session's own (97, 50, 57, 115, ...).
    Values are text, one character for one byte (Latin-1), so that what was received can be had again exactly.
    """

    __slots__ = ("_first", "fields", "msg_type")

    msg_type: str
    fields: tuple[Field, ...]
    _first: dict[int, str]

    def __init__(self, msg_type: str, fields: Sequence[Field] = ()) -> None:
        object.__setattr__(self, "msg_type", msg_type)
        object.__setattr__(self, "fields", tuple(fields))
        # Of a tag that repeats (a group), the first counts.
        object.__setattr__(self, "_first", dict(reversed(self.fields)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Message does not change: {name}")

    def __reduce__(self) -> tuple[type["Message"], tuple[str, tuple[Field, ...]]]:
        return Message, (self.msg_type, self.fields)

    def get(self, tag: int) -> str | None:
        """The first value of the tag, or None."""
        return self._first.get(tag)

    def require(self, tag: int) -> str:
        """The first value of the tag; raises `MissingTag`."""
        value = self.get(tag)
        if value is None:
            raise MissingTag(tag, self.msg_type)
        return value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self.msg_type == other.msg_type and self.fields == other.fields

    def __hash__(self) -> int:
        return hash((self.msg_type, self.fields))

    def __repr__(self) -> str:
        return f"Message({self.msg_type!r}, {'|'.join(self._shown())!r})"

    def _shown(self) -> Iterator[str]:
        for tag, value in self.fields:
            yield f"{tag}={'***' if tag in SECRET_TAGS else value}"
