"""The message log: every message in and out, with time and direction, one line each, secrets masked.

    2013-10-07T13:30:00.072000Z > 8=FIX.4.4|9=65|35=A|34=1|49=DESK|52=20131007-13:30:00.072|56=VENUE|98=0|108=30|10=100|

`>` went out, `<` came in, and `|` stands for the delimiter. Bytes are Latin-1; a `|`, a backslash or a control
character within a value is written `\\x7c`, so that a message is one line and can be read back exactly. What happened
to the session otherwise stands in a file beside it. `python -m fix.show FILE` shows a log with the names of fields and
values.
"""

import logging
import re
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Protocol

from fix.message import SECRET_TAGS

_LOG = logging.getLogger(__name__)
_DATA = {95: 96, 1401: 1402, 1403: 1404}
"""Secrets that are data: their length is in the field before, and they may hold delimiters."""
_SECRET = re.compile(
    r"(?:^|(?<=\x01))(?:(?P<length>[0-9]+)=(?P<digits>[0-9]{1,7})\x01)?(?P<tag>"
    + "|".join(str(tag) for tag in sorted(SECRET_TAGS))
    + r")=(?P<value>[^\x01]*)"
)
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
        name = re.sub(r"[^A-Za-z0-9._-]", "_", session_id)
        self._largest_file = largest_file
        self._messages = RotatingFileHandler(
            folder / f"{name}.messages.log", maxBytes=largest_file, backupCount=keep, encoding="utf-8"
        )
        self._events = RotatingFileHandler(
            folder / f"{name}.events.log", maxBytes=largest_file, backupCount=keep, encoding="utf-8"
        )
        self.lost = 0
        """Lines that could not be written."""
        self._failing = False

    def sent(self, utc: datetime, frame: bytes) -> None:
        self._write(self._messages, f"{_time(utc)} > {to_line(frame)}\n")

    def received(self, utc: datetime, frame: bytes) -> None:
        self._write(self._messages, f"{_time(utc)} < {to_line(frame)}\n")

    def event(self, utc: datetime, text: str) -> None:
        self._write(self._events, f"{_time(utc)} {_escape(text)}\n")

    def flush(self) -> None:
        for handler in (self._messages, self._events):
            try:
                handler.flush()
                if handler.stream is not None and handler.stream.tell() > self._largest_file:
                    handler.doRollover()
            except (OSError, ValueError) as error:
                self._fail(error)

    def close(self) -> None:
        self.flush()
        self._messages.close()
        self._events.close()

    def _write(self, handler: RotatingFileHandler, line: str) -> None:
        try:
            assert handler.stream is not None
            handler.stream.write(line)
        except (OSError, ValueError) as error:
            self._fail(error)
        else:
            self._failing = False

    def _fail(self, error: Exception) -> None:
        self.lost += 1
        if not self._failing:
            _LOG.error("%s: the message log cannot be written: %s", self._messages.baseFilename, error)
        self._failing = True


def to_line(frame: bytes) -> str:
    """A message as text in one line, without its secrets."""
    return _escape(_mask(frame.decode("latin-1"))).replace("\x01", "|")


def from_line(line: str) -> bytes:
    """The bytes that `to_line` was given, where there was no secret in them."""
    plain = line.replace("|", "\x01")
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), plain).encode("latin-1", "replace")


def _escape(text: str) -> str:
    return _TO_ESCAPE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _mask(text: str) -> str:
    """Whatever the message is otherwise: of one that is garbled too, nothing secret is shown."""
    shown = []
    at = 0
    for secret in _SECRET.finditer(text):
        if secret.start() < at:
            continue  # within the data of one before
        value, end = secret.start("value"), secret.end()
        if int(secret["tag"]) in _DATA.values():
            length = int(secret["digits"]) if secret["length"] and _DATA.get(int(secret["length"])) else None
            # Where the length is not to be trusted, who knows where the secret ends.
            told = len(text) if length is None else value + length
            end = told if text[told : told + 1] == "\x01" else len(text)
        shown += [text[at:value], "***"]
        at = end
    return "".join([*shown, text[at:]])


def _time(utc: datetime) -> str:
    return f"{utc.isoformat(timespec='microseconds')[:26]}Z"
