"""`python -m fix.show FILE...`: a message log with the names of fields and values."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from fix.dictionary import Dictionary, shipped
from fix.log import from_line
from fix.message import Message

_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z|\d{8}-\d\d:\d\d:\d\d(?:\.\d+)?)?"
    r"[ :]*(?P<direction>[<>]?) ?(?P<message>8=FIX.*)"
)
_HEADER_AND_TRAILER = frozenset({8, 9, 35, 34, 49, 56, 52, 10})
_HEARTBEATS = frozenset({"0", "1"})
_ORDER_IDS = (11, 41, 37)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fix.show",
        description="Show a log of FIX messages with the names of fields and values.",
        epilog="Reads this engine's logs, and others that have a message in each line, with | or the delimiter itself.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a message log; - is standard input")
    parser.add_argument("--type", metavar="D,8", default="", help="only messages of these types (35)")
    parser.add_argument("--order", metavar="ID", help="only messages whose ClOrdID, OrigClOrdID or OrderID it is")
    parser.add_argument("--from", dest="since", metavar="TIME", type=_time, help="only from this UTC time on")
    parser.add_argument("--to", dest="until", metavar="TIME", type=_time, help="only up to this UTC time")
    parser.add_argument("--all", action="store_true", help="also heartbeats and test requests")
    parser.add_argument("--raw", action="store_true", help="tags and values as they are")
    options = parser.parse_args(arguments)
    types = frozenset(filter(None, options.type.split(",")))
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for name in options.files:
        try:
            lines = sys.stdin if name == "-" else Path(name).open(encoding="utf-8", errors="replace")  # noqa: SIM115
        except OSError as error:
            print(f"{name} cannot be read: {error.strerror}", file=sys.stderr)
            return 2
        with lines:
            for time, direction, message in _read(name, lines):
                if not _is_wanted(message, time, types, options):
                    continue
                shown = (
                    "|".join(f"{tag}={value}" for tag, value in message.fields) if options.raw else describe(message)
                )
                when = time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if time else " " * 23
                print(f"{when} {_coloured(direction or ' ', colours)} {shown}")
    return 0


def _is_wanted(message: Message, time: datetime | None, types: frozenset[str], options: argparse.Namespace) -> bool:
    if types:
        if message.msg_type not in types:
            return False
    elif message.msg_type in _HEARTBEATS and not options.all:
        return False
    if options.order and options.order not in [message.get(tag) for tag in _ORDER_IDS]:
        return False
    if time is None:
        return not (options.since or options.until)
    return not ((options.since and time < options.since) or (options.until and time > options.until))


def _read(name: str, lines: TextIO) -> Iterator[tuple[datetime | None, str, Message]]:
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\n")
        if not text.strip():
            continue
        match = _LINE.match(text)
        message = _message(match["message"]) if match else None
        if match is None or message is None:
            print(f"{name}:{number}: no message: {text[:60]!r}", file=sys.stderr)
            continue
        yield _parse_time(match["time"]), match["direction"], message


def _message(text: str) -> Message | None:
    # Masked values have changed length and checksum: so these are not looked at.
    fields = []
    for piece in from_line(text).decode("latin-1").strip("\x01").split("\x01"):
        tag, equals, value = piece.partition("=")
        if not (equals and tag.isdecimal()):
            return None
        fields.append((int(tag), value))
    return Message(dict(fields).get(35, ""), fields)


def describe(message: Message) -> str:
    """The message's name and number, and each field as `Side=1 Buy`."""
    names = _names(message)
    name = names.message_name(message.msg_type) if names else None
    fields = []
    for tag, value in message.fields:
        if tag in _HEADER_AND_TRAILER:
            continue
        meaning = names.value_name(tag, value) if names else None
        label = (names.field_name(tag) if names else None) or str(tag)
        fields.append(f"{label}={value}" + (f"({meaning})" if meaning else ""))
    route = f"{message.get(49) or '?'}>{message.get(56) or '?'}"
    return f"{route} {message.get(34) or '?':>5} {name or message.msg_type:<26} {' '.join(fields)}".rstrip()


def _names(message: Message) -> Dictionary | None:
    try:
        return shipped(message.get(8) or "")
    except ValueError:
        return None


def _parse_time(text: str | None) -> datetime | None:
    if not text:
        return None
    iso = text if "T" in text else f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[9:]}"
    return _time(iso)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _coloured(direction: str, colours: bool) -> str:
    if not colours:
        return direction
    return f"\033[{'32' if direction == '>' else '36'}m{direction}\033[0m"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        # As when it is read by `head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
