"""A FIX message as an application sees it: a type and fields in order."""

from collections.abc import Callable, Iterator, Sequence

SECRET_TAGS = frozenset({96, 554, 925, 1402, 1404})
"""RawData, Password, NewPassword and the encrypted forms of both: never shown."""

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

    __slots__ = ("_fields", "_first", "msg_type")

    msg_type: str
    # One of the two is there, the other made when it is asked for: what is only passed on needs but one.
    _fields: tuple[Field, ...] | None
    _first: dict[int, str] | None

    def __init__(self, msg_type: str, fields: Sequence[Field] = ()) -> None:
        _set_msg_type(self, msg_type)
        _set_fields(self, tuple(fields))
        _set_first(self, None)

    @staticmethod
    def of_single_fields(msg_type: str, fields: dict[int, str]) -> "Message":
        """One in which each tag is there once; the dictionary is the message's from then on."""
        message = _new(Message)
        _set_msg_type(message, msg_type)
        _set_fields(message, None)
        _set_first(message, fields)
        return message

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Message does not change: {name}")

    def __reduce__(self) -> tuple[type["Message"], tuple[str, tuple[Field, ...]]]:
        return Message, (self.msg_type, self.fields)

    @property
    def fields(self) -> tuple[Field, ...]:
        fields = self._fields
        if fields is None:
            assert self._first is not None
            fields = tuple(self._first.items())
            _set_fields(self, fields)
        return fields

    @property
    def first(self) -> dict[int, str]:
        """The first value of each tag (of one that repeats, in a group, the others do not count). Not to be changed."""
        first = self._first
        if first is None:
            first = dict(self.fields)
            if len(first) != len(self.fields):
                first = dict(reversed(self.fields))
            _set_first(self, first)
        return first

    @property
    def has_repeats(self) -> bool:
        """Whether a tag is there more than once, as in a group."""
        return self._fields is not None and len(self._fields) != len(self.first)

    def get(self, tag: int) -> str | None:
        """The first value of the tag, or None."""
        return self.first.get(tag)

    def require(self, tag: int) -> str:
        """The first value of the tag; raises `MissingTag`."""
        value = (self._first or self.first).get(tag)
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


_new = object.__new__
# Past __setattr__, and quicker: every message goes through here.
_slots = vars(Message)
_set_msg_type: Callable[[Message, str], None] = _slots["msg_type"].__set__
_set_fields: Callable[[Message, tuple[Field, ...] | None], None] = _slots["_fields"].__set__
_set_first: Callable[[Message, dict[int, str] | None], None] = _slots["_first"].__set__
