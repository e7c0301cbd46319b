"""Bytes to messages and back (FIX 4.4 volume 2, "Message format" and "Garbled messages").

`Decoder` finds the messages in a stream by BodyLength (9) and proves each by CheckSum (10), both on the bytes. What
fails is garbled: it is dropped without a word, and the search goes on at the next `8=FIX`; the hole in the sequence
numbers brings it back. What is whole but cannot be read cleanly (a tag that is no number, an empty value) comes out
with a `Defect`, so that the session can reject it under its own sequence number.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import simplefix
import simplefix.data
import simplefix.errors

from fix.message import Field, FieldError, Message

_SOH = b"\x01"
_START = b"8=FIX"
_OPENING = re.compile(rb"8=FIX[^\x01=]{0,12}\x019=([0-9]{1,7})\x0135=")
_LONGEST_OPENING = 2 + 15 + 1 + 2 + 7 + 1 + 3
_TRAILER = re.compile(rb"10=([0-9]{3})\x01")
_TRAILER_LENGTH = 7
_DATA_TAGS = frozenset(simplefix.data.RAW_DATA_TAGS)

_HEADER_TAGS = frozenset(
    {8, 9, 34, 35, 43, 49, 50, 52, 56, 57, 90, 91, 97, 115, 116, 122, 128, 129, 142, 143, 144, 145, 212, 213, 347, 369}
)
_SESSION_TAGS = frozenset({8, 9, 10, 34, 35, 43, 49, 52, 56, 122})
"""What the session alone says of a message that leaves."""


class Defect(NamedTuple):
    """Why a message that arrived whole cannot be taken: SessionRejectReason (373), RefTagID (371), text."""

    reason: int
    ref_tag: int | None
    text: str


class Decoded(NamedTuple):
    message: Message
    defect: Defect | None


class Decoder:
    """Finds messages in a stream of bytes, however it is cut into pieces.

    Holds at most one message of `longest` body bytes and what was fed at once; a BodyLength above that is garbled.
    """

    def __init__(self, longest: int = 1 << 20) -> None:
        self._longest = longest
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Decoded | None:
        """The next message, or None until more bytes come."""
        while self._at_start():
            opening = _OPENING.match(self._buffer)
            if opening is None:
                if len(self._buffer) < _LONGEST_OPENING:
                    return None
                self._skip_garbled()
                continue
            body = opening.end() - len(b"35=")
            trailer = body + int(opening[1])
            end = trailer + _TRAILER_LENGTH
            if trailer - body > self._longest:
                self._skip_garbled()
                continue
            if len(self._buffer) < end:
                return None
            frame = bytes(self._buffer[:end])
            if not _is_proven(frame, trailer):
                self._skip_garbled()
                continue
            del self._buffer[:end]
            return _parse(frame)
        return None

    def _at_start(self) -> bool:
        """Drop what is before the next `8=FIX`; False if there is none."""
        start = self._buffer.find(_START)
        if start < 0:
            # The last bytes may be the beginning of one.
            del self._buffer[: max(0, len(self._buffer) - len(_START) + 1)]
            return False
        del self._buffer[:start]
        return True

    def _skip_garbled(self) -> None:
        # Only the mark, not the length: a BodyLength that is too long would swallow the messages after it.
        del self._buffer[: len(_START)]


def encode(begin_string: str, msg_type: str, session_fields: Sequence[Field], fields: Sequence[Field]) -> bytes:
    """One message on the wire; `session_fields` (49, 56, 34, 52, ...) first, then header fields, then the body.

    Raises `FieldError` for a field that only the session may set and for a value that cannot be sent.
    """
    message = simplefix.FixMessage()
    message.append_pair(8, _value_to_send(8, begin_string))
    message.append_pair(35, _value_to_send(35, msg_type))
    for tag, value in session_fields:
        message.append_pair(tag, _value_to_send(tag, value))
    for tag, value in fields:
        if tag in _SESSION_TAGS:
            raise FieldError(tag, value, "left to the session")
        if tag in _HEADER_TAGS:
            message.append_pair(tag, _value_to_send(tag, value))
    for tag, value in fields:
        if tag not in _HEADER_TAGS:
            message.append_pair(tag, _value_to_send(tag, value))
    return bytes(message.encode())


def _value_to_send(tag: int, value: str) -> bytes:
    if tag <= 0:
        raise FieldError(tag, value, "a field whose tag is above 0")
    if not value:
        raise FieldError(tag, value, "a value, or the field left out")
    if "\x01" in value and tag not in _DATA_TAGS:
        raise FieldError(tag, value, "without the delimiter (SOH)")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise FieldError(tag, value, "in characters of Latin-1, one byte for each") from None


def _is_proven(frame: bytes, trailer: int) -> bool:
    check_sum = _TRAILER.fullmatch(frame, trailer)
    return check_sum is not None and frame[trailer - 1] == 1 and sum(frame[:trailer]) % 256 == int(check_sum[1])


def _parse(frame: bytes) -> Decoded:
    parser = simplefix.FixParser(allow_empty_values=True)
    parser.append_buffer(frame)
    try:
        parsed = parser.get_message()
    except simplefix.errors.ParsingError:
        parsed = None
    # simplefix takes ` 5`, `+5`, `1_0` and `05` for numbers and ends at the first 10: what it read has to say the same
    # bytes again.
    if parsed is None or b"".join(tag + b"=" + value + _SOH for tag, value in parsed.pairs) != frame:
        return _parse_defective(frame)
    fields = tuple((int(tag), value.decode("latin-1")) for tag, value in parsed.pairs)
    if min(fields)[0] <= 0:
        return _parse_defective(frame)
    empty = next((tag for tag, value in fields if not value), None)
    defect = None if empty is None else Defect(4, empty, f"tag {empty} has no value")
    return Decoded(Message(parsed.message_type.decode("latin-1"), fields), defect)


def _parse_defective(frame: bytes) -> Decoded:
    """What can be read of it, for the header's sake, and what is wrong with it."""
    fields: list[Field] = []
    defect: Defect | None = None
    for piece in frame[:-1].split(_SOH):
        tag, equals, value = piece.decode("latin-1").partition("=")
        if equals and tag.isascii() and tag.isdigit() and not tag.startswith("0") and len(tag) < 10:
            fields.append((int(tag), value))
        elif defect is None:
            defect = Defect(0, None, f"invalid tag number {tag[:20]!r}")
    if defect is None and any(tag == 10 for tag, _ in fields[:-1]):
        defect = Defect(14, 10, "CheckSum (10) is not the last field")
    msg_type = next((value for tag, value in fields if tag == 35), "")
    return Decoded(Message(msg_type, fields), defect or Defect(6, None, "the length of a data field is wrong"))
