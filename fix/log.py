"""The message log: every message in and out, with time and direction, one line each, secrets masked.

    2013-10-07T13:30:00.072000Z > 8=FIX.4.4|9=65|35=A|34=1|49=DESK|52=20131007-13:30:00.072|56=VENUE|98=0|108=30|10=100|

`>` went out, `<` came in, and `|` stands for the delimiter. Bytes are Latin-1; a `|`, a backslash or a control
character within a value is written `\\x7c`, so that a message is one line and can be read back exactly. What happened
to the session otherwise stands in a file beside it. `python -m fix.show FILE` shows a log with the names of fields and
values.
"""

import logging
import re
from contextlib import suppress
from datetime import UTC, datetime
from io import SEEK_END, FileIO
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from fix.message import SECRET_TAGS

_LOG = logging.getLogger(__name__)
_MOST_PENDING = 1 << 16
"""Characters that wait for `flush` at most."""

_LENGTH_OF = {96: 95, 1402: 1401, 1404: 1403}
"""Secrets that are data: their length is in the field before, and they may hold delimiters."""
_TAG = "|".join(str(tag) for tag in sorted(SECRET_TAGS))
_MAY_BE_SECRET = re.compile(rf"(?:{_TAG})=")
_SECRET = re.compile(rf"(?:\A|[^0-9])0*(?P<tag>{_TAG})=")
_FIELD_BEFORE = re.compile(r"(?:\A|\x01)(?P<tag>[0-9]{1,4})=(?P<value>[0-9]{1,7})\Z")
_LONGEST_FIELD_BEFORE = 1 + 4 + 1 + 7
_FIELD_ENDS = re.compile(r"\x01(?=[0-9]+=|\Z)")
_PADDING = re.compile(r"=?(?:\x01|\Z)")
_TO_ESCAPE = re.compile(r"[\x00\x02-\x1f\x7f-\x9f|\\]")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


class Log(Protocol):
    """Where a session tells what went over the wire."""

    def sent(self, utc: datetime, frame: bytes) -> None: ...

    def received(self, utc: datetime, frame: bytes) -> None: ...

    def event(self, utc: datetime, text: str) -> None:
        """Something that is not a message."""
        ...

    def flush(self) -> None:
        """Make what was told readable. Called once for what is sent together."""
        ...


class FileLog:
    """Messages and events of one session in two files, `<session>.messages.log` and `<session>.events.log`.

    A file that has grown to `largest_file` bytes is put aside, and the last `keep` of them are kept. A folder that
    cannot be written is an `OSError` at once. A disk that fails later does not end the session: what could not be
    written is counted, and said through `logging` once until writing works again.
    """

    def __init__(self, folder: Path, session_id: str, *, largest_file: int = 16 << 20, keep: int = 10) -> None:
        if largest_file < 1 or keep < 1:
            raise ValueError(f"largest_file is {largest_file} and keep is {keep}: both must be at least 1")
        folder.mkdir(parents=True, exist_ok=True)
        name = quote(session_id, safe="")
        self._messages = _LineFile(folder / f"{name}.messages.log", largest_file, keep)
        self._events = _LineFile(folder / f"{name}.events.log", largest_file, keep)

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return self._messages.lost + self._events.lost

    def sent(self, utc: datetime, frame: bytes) -> None:
        self._messages.add(f"{_time(utc)} > {to_line(frame)}\n")

    def received(self, utc: datetime, frame: bytes) -> None:
        self._messages.add(f"{_time(utc)} < {to_line(frame)}\n")

    def event(self, utc: datetime, text: str) -> None:
        self._events.add(f"{_time(utc)} {escape(_mask(text))}\n")

    def flush(self) -> None:
        self._messages.flush()
        self._events.flush()

    def close(self) -> None:
        """Write what waits. What is told after this opens the files again."""
        self._messages.close()
        self._events.close()


class _LineFile:
    """Lines at the end of a file, put aside by size. Raises `OSError` when it is made, and never again."""

    def __init__(self, path: Path, largest: int, keep: int) -> None:
        self._path = path
        self._largest = largest
        self._keep = keep
        self._lines: list[str] = []
        self._waiting = 0
        self._failing = False
        self._file: FileIO | None = self._open()
        self.lost = 0

    def add(self, line: str) -> None:
        self._lines.append(line)
        self._waiting += len(line)
        if self._waiting >= _MOST_PENDING:
            self.flush()

    def flush(self) -> None:
        if not self._lines:
            return
        lines, self._lines, self._waiting = self._lines, [], 0
        try:
            self._append("".join(lines).encode("utf-8", "backslashreplace"))
        except OSError as error:
            # What is not written now is not kept: a disk that stays full would fill the memory too.
            self.lost += len(lines)
            if not self._failing:
                _LOG.error("%s cannot be written: %s", self._path, error)
            self._failing = True
        else:
            self._failing = False

    def close(self) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, data: bytes) -> None:
        file = self._open() if self._file is None else self._file
        self._file = file
        size = file.seek(0, SEEK_END)
        if size and size + len(data) > self._largest:
            file = self._begin_next(file)
            size = 0
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            # Half a line would spoil the next one.
            with suppress(OSError):
                file.truncate(size)
            raise

    def _begin_next(self, file: FileIO) -> FileIO:
        self._file = None
        file.close()
        for number in range(self._keep, 0, -1):
            older = self._aside(number - 1)
            if older.exists():
                older.replace(self._aside(number))
        self._file = self._open()
        return self._file

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _open(self) -> FileIO:
        return FileIO(self._path, "a")


def to_line(frame: bytes) -> str:
    """A message as text in one line, without its secrets."""
    return escape(_mask(frame.decode("latin-1")))


def from_line(line: str) -> bytes:
    """The bytes that `to_line` was given, where there was no secret in them."""
    plain = line.replace("|", "\x01")
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), plain).encode("latin-1", "replace")


def escape(text: str) -> str:
    """Text in one line, as it stands in a log: nothing in it that a terminal would obey."""
    return _TO_ESCAPE.sub(lambda match: f"\\x{ord(match[0]):02x}", text).replace("\x01", "|")


def _mask(text: str) -> str:
    """Without the value of any secret whose tag can be read, whatever the message is otherwise.

    Rather too much than too little: of a message that is garbled, what else stands there may go with it.
    """
    # Most messages have none, and this is the quicker look.
    if _MAY_BE_SECRET.search(text) is None:
        return text
    shown = []
    at = 0
    while (secret := _SECRET.search(text, at)) is not None:
        start = secret.end()
        shown.append(text[at:start])
        begins_field = secret[0][0] == "\x01" or not secret.start()
        if int(secret["tag"]) in _LENGTH_OF and not begins_field and _PADDING.match(text, start):
            at = start  # Base64 that happens to end so, not a field
            continue
        shown.append("***")
        at = _end_of_secret(text, secret)
    return "".join([*shown, text[at:]])


def _end_of_secret(text: str, secret: re.Match[str]) -> int:
    tag, start = int(secret["tag"]), secret.end()
    if tag not in _LENGTH_OF:
        end = _FIELD_ENDS.search(text, start)
        return end.start() if end else len(text)
    before = None
    if secret[0][0] == "\x01":
        before = _FIELD_BEFORE.search(text[max(0, secret.start() - _LONGEST_FIELD_BEFORE) : secret.start()])
    if before is not None and int(before["tag"]) == _LENGTH_OF[tag]:
        told = start + int(before["value"])
        if _FIELD_ENDS.match(text, told):
            return told
    # Where the length is not to be trusted, who knows where the secret ends.
    return len(text)


def _time(utc: datetime) -> str:
    if utc.tzinfo is not UTC:
        if utc.utcoffset() is None:
            raise ValueError(f"utc is {utc.isoformat()}: it must be a time with a time zone")
        utc = utc.astimezone(UTC)
    return f"{utc.isoformat(timespec='microseconds')[:26]}Z"
