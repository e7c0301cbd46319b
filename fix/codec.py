"""Bytes to messages and back (FIX 4.4 volume 2, "Message format" and "Garbled messages").

`Decoder` finds the messages in a stream by BodyLength (9) and proves each by CheckSum (10), both on the bytes. What
fails is garbled: it is dropped without a word, and the search goes on at the next `8=FIX`; the hole in the sequence
numbers brings it back. What is whole but cannot be read cleanly (a tag that is no number, an empty value) comes out
with a `Defect`, so that the session can reject it under its own sequence number.

simplefix does the same work in five to ten times as long (bench/engines), so this is our own; tests hold both to the
same answers. The quick path leaves out nothing: what it does not fully understand goes through the slow one.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple
from zlib import adler32

import msgspec
import simplefix.data

from fix.message import Field, FieldError, Message

_SOH = "\x01"
_START = b"8=FIX"
_OPENING = re.compile(rb"8=FIX[^\x01=]{0,12}\x019=([0-9]{1,7})\x0135=")
_LONGEST_OPENING = 2 + 15 + 1 + 2 + 7 + 1 + 3
_TRAILERS = [b"10=%03d\x01" % check_sum for check_sum in range(256)]
_TRAILER_LENGTH = 7
_LONG_REST = 1 << 14

_HIGHEST_TAG = 999_999_999
_COMMON_TAGS = 10_000
"""Below are the tags of all versions, and most that two sides agree on."""
_LONGEST_SHAPE, _MOST_SHAPES = 100, 1000

_DATA_OF = {length: data for length, data in simplefix.data.RAW_DATA if length != data}
"""The data field that each length field says the length of. Data alone may hold a delimiter."""
_DATA_TAGS = frozenset(_DATA_OF.values())

HEADER_TAGS = frozenset(
    {8, 9, 34, 35, 43, 49, 50, 52, 56, 57, 90, 91, 97, 115, 116, 122, 128, 129, 142, 143, 144, 145, 212, 213, 347, 369}
    | {370, 627, 628, 629, 630, 1128, 1129, 1156}
)
_SESSION_TAGS = frozenset({8, 9, 10, 34, 35, 43, 49, 52, 56, 122, 369})
"""What the session alone says of a message that leaves."""


class Defect(NamedTuple):
    """Why a message that arrived whole cannot be taken: SessionRejectReason (373), RefTagID (371), text."""

    reason: int
    ref_tag: int | None
    text: str


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A message that arrived, what is wrong with it, and its bytes."""

    message: Message
    defect: Defect | None
    frame: bytes

    def __repr__(self) -> str:
        # Not the bytes: there may be secrets in them.
        return f"Decoded({self.message!r}, {self.defect!r})"


class Decoder:
    """Finds messages in a stream of bytes, however it is cut into pieces.

    Holds at most one message of `longest` body bytes and what was fed at once; a BodyLength above that is garbled.
    """

    def __init__(self, longest: int = 1 << 20) -> None:
        self._longest = longest
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self.dropped = 0
        """Bytes that were no message: garbled, or in between."""

    @property
    def waiting(self) -> int:
        """Bytes that are held until more come."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        rest = len(self._buffer) - self._at
        if not rest:
            self._buffer = data
        elif rest < _LONG_REST:
            self._buffer = self._buffer[self._at :] + data
        else:
            # What grows by many pieces is not copied with each of them.
            if isinstance(self._buffer, bytes) or self._at:
                self._buffer = bytearray(self._buffer[self._at :])
            self._buffer += data
        self._at = 0

    def give_up_waiting(self) -> None:
        """What has begun and does not end is garbled: look for the next message behind its mark."""
        if self.waiting:
            self._skip_garbled()

    def next(self) -> Decoded | None:
        """The next message, or None until more bytes come."""
        buffer = self._buffer
        while True:
            opening = _OPENING.match(buffer, self._at)
            if opening is None:
                if not self._find_start():
                    return None
                opening = _OPENING.match(buffer, self._at)
            if opening is None:
                if len(buffer) - self._at < _LONGEST_OPENING:
                    return None
                self._skip_garbled()
                continue
            body = opening.end() - len(b"35=")
            trailer = body + int(opening[1])
            end = trailer + _TRAILER_LENGTH
            if trailer - body > self._longest:
                self._skip_garbled()
                continue
            if len(buffer) < end:
                return None
            if buffer[trailer - 1] != 1 or not buffer.startswith(b"10=", trailer):
                self._skip_garbled()
                continue
            frame = bytes(buffer[self._at : end])
            proven = frame[:-_TRAILER_LENGTH]
            if not frame.endswith(_TRAILERS[check_sum(proven)]):
                self._skip_garbled()
                continue
            self._at = end
            return _parse(frame)

    def _find_start(self) -> bool:
        """Drop what is before the next `8=FIX`; False if there is none."""
        if self._buffer.startswith(_START, self._at):
            return True
        start = self._buffer.find(_START, self._at)
        if start < 0:
            # The last bytes may be the beginning of one.
            start = max(self._at, len(self._buffer) - len(_START) + 1)
            self._drop_until(start)
            return False
        self._drop_until(start)
        return True

    def _skip_garbled(self) -> None:
        # Only the mark, not the length: a BodyLength that is too long would swallow the messages after it.
        self._drop_until(self._at + len(_START))

    def _drop_until(self, position: int) -> None:
        self.dropped += position - self._at
        self._at = position


def decode_frame(frame: bytes) -> Message:
    """A whole message that is known to be good: one that was encoded here."""
    return _parse(frame).message


def check_sum(data: bytes) -> int:
    """The sum of all bytes, modulo 256 (volume 2, CheckSum).

    The low half of Adler-32 is that sum and 1, modulo 65521, which 256 bytes cannot reach, nor 512 of ASCII; and it is
    computed in C.
    """
    if len(data) <= 256 or (len(data) <= 512 and data.isascii()):
        return (adler32(data) - 1) & 0xFF
    return sum([adler32(data[start : start + 256]) - 1 for start in range(0, len(data), 256)]) & 0xFF


def encode(begin_string: str, msg_type: str, session_fields: Sequence[Field], fields: Sequence[Field]) -> bytes:
    """One message on the wire; `session_fields` (49, 56, 34, 52, ...) first, then header fields, then the body.

    Raises `FieldError` for a field that only the session may set and for a value that cannot be sent.
    """
    head = f"35={msg_type}" + "".join([f"\x01{tag}={value}" for tag, value in session_fields])
    if not (begin_string and msg_type and _can_be_sent(f"{begin_string}\x01{head}", 2 + len(session_fields))):
        _check_to_send([(8, begin_string), (35, msg_type), *session_fields])
    return assemble(f"8={begin_string}\x019=", head, fields)


def assemble(opening: str, head: str, fields: Sequence[Field]) -> bytes:
    """As `encode`, for who has made `8=...|9=` and `35=...|49=...|34=...` already and knows that they can be sent."""
    body = (head + _text_of(fields)).encode("latin-1")
    proven = f"{opening}{len(body)}\x01".encode("latin-1") + body
    return proven + _TRAILERS[check_sum(proven)]


_LOOKED_AT_CLOSELY = HEADER_TAGS | _SESSION_TAGS | _DATA_OF.keys()
_PREFIXES = {tag: f"\x01{tag}=" for tag in range(1, _COMMON_TAGS) if tag not in _LOOKED_AT_CLOSELY}
"""What stands before the value of each tag that may follow the header as it comes. What needs a closer look is not
in it: lengths of data too, and the rare tags."""


def _text_of(fields: Sequence[Field]) -> str:
    """`|tag=value` for each, header fields first, and the last delimiter."""
    pieces = []
    prefixes = _PREFIXES
    try:
        for tag, value in fields:
            pieces.append(prefixes[tag])
            pieces.append(value)
        pieces.append(_SOH)
        text = "".join(pieces)
        # As in _can_be_sent: one that ends with `=` gets the close look too.
        if text.isascii() and text.count(_SOH) == len(fields) + 1 and "=\x01" not in text:
            return text
    except (KeyError, TypeError):
        pass
    for tag, value in fields:
        if tag in _SESSION_TAGS:
            raise FieldError(tag, value, "left to the session")
    ordered = sorted(fields, key=lambda field: field[0] not in HEADER_TAGS)
    _check_to_send(ordered)
    return "".join([*(f"\x01{tag}={value}" for tag, value in ordered), _SOH])


def _can_be_sent(text: str, fields: int) -> bool:
    """Whether `|tag=value|tag=value` has no value that is empty, holds a delimiter or is not Latin-1.

    False may also be said of one that ends with `=`, or is Latin-1 beyond ASCII: the close look finds it good.
    """
    return text.isascii() and text.count(_SOH) == fields - 1 and "=\x01" not in text and not text.endswith("=")


def _check_to_send(fields: Sequence[Field]) -> None:
    length: Field | None = None
    for tag, value in fields:
        _check_field_to_send(tag, value)
        if length is not None and _DATA_OF[length[0]] == tag:
            if length[1] != str(len(value)):
                raise FieldError(length[0], length[1], f"{len(value)}, the length of the data after it ({tag})")
        elif _SOH in value:
            raise FieldError(tag, value, "without the delimiter (SOH), or data with its length in the field before")
        length = (tag, value) if tag in _DATA_OF else None


def _check_field_to_send(tag: int, value: str) -> None:
    if not isinstance(tag, int) or not 0 < tag <= _HIGHEST_TAG:
        raise FieldError(tag, value, f"a field whose tag is above 0, and at most {_HIGHEST_TAG}")
    if not isinstance(value, str):
        raise FieldError(tag, value, "text")
    if not value:
        raise FieldError(tag, value, "a value, or the field left out")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise FieldError(tag, value, "in characters of Latin-1, one byte for each") from None


def _tag(digits: str) -> int | None:
    # In Latin-1 only ASCII digits are decimal.
    return int(digits) if digits.isdecimal() and digits[0] != "0" and len(digits) <= len(str(_HIGHEST_TAG)) else None


_AS_JSON = msgspec.json.Decoder(dict[int, str])
_SHAPES: set[tuple[int, ...]] = set()
"""The tags of plain messages that came before: most are like one of these."""


def _parse(frame: bytes) -> Decoded:
    """A message is a JSON object in another punctuation, and msgspec reads those in C. It takes no number but in its
    shortest digits, no control characters, and nothing where keys and values do not alternate. What it does not take,
    or would take for something else, gets a closer look."""
    text = frame.decode("latin-1")
    if '"' in text or "\\" in text or "=\x01" in text:
        return _parse_slowly(frame, text)
    try:
        fields = _AS_JSON.decode('{"' + text[:-8].replace("=", '":"').replace(_SOH, '","') + '"}')
    except msgspec.DecodeError:
        return _parse_slowly(frame, text)
    tags = tuple(fields)
    if tags not in _SHAPES and not _is_plain(tags):
        return _parse_slowly(frame, text)
    if len(tags) == text.count("=") - 1:
        fields[10] = text[-4:-1]
        # The opening says that there is a MsgType.
        return Decoded(Message.of_single_fields(fields[35], fields), None, frame)
    tokens = text[:-1].replace("=", _SOH).split(_SOH)
    repeating = list(zip(map(int, tokens[::2]), tokens[1::2], strict=True))
    return Decoded(Message(tokens[5], repeating), None, frame)


def _is_plain(tags: tuple[int, ...]) -> bool:
    """Whether none of them is one that needs a closer look: data and their lengths, CheckSum before the end."""
    if not all(0 < tag <= _HIGHEST_TAG and tag != 10 and tag not in _DATA_OF and tag not in _DATA_TAGS for tag in tags):
        return False
    if len(tags) <= _LONGEST_SHAPE:
        if len(_SHAPES) >= _MOST_SHAPES:
            _SHAPES.clear()
        _SHAPES.add(tags)
    return True


def _parse_slowly(frame: bytes, text: str) -> Decoded:
    """What can be read of it, and the first thing that is wrong with it, if anything."""
    fields: list[Field] = []
    defects: list[Defect] = []
    at, end = 0, len(text) - _TRAILER_LENGTH
    while at < end:
        stop = text.index(_SOH, at)
        digits, equals, value = text[at:stop].partition("=")
        at = stop + 1
        tag = _tag(digits) if equals else None
        if tag is None:
            defects.append(Defect(0, None, f"invalid tag number {digits[:20]!r}"))
            continue
        if tag == 10:
            defects.append(Defect(14, 10, "CheckSum (10) is not the last field"))
        elif not value:
            defects.append(Defect(4, tag, f"tag {tag} has no value"))
        fields.append((tag, value))
        if tag in _DATA_OF and text.startswith(f"{_DATA_OF[tag]}=", at):
            start = text.index("=", at) + 1
            stop = start + int(value) if value.isdecimal() and len(value) < 8 else end
            if stop >= end or text[stop] != _SOH or stop == start:
                defects.append(Defect(6, None, "the length of a data field is wrong"))
            else:
                fields.append((_DATA_OF[tag], text[start:stop]))
                at = stop + 1
    fields.append((10, text[-4:-1]))
    return Decoded(Message(fields[2][1] if len(fields) > 3 else "", fields), _gravest(defects), frame)


def _gravest(defects: list[Defect]) -> Defect | None:
    """An empty value is the least of it: the rest of the message can be trusted."""
    return min(defects, key=lambda defect: defect.reason == 4, default=None)
