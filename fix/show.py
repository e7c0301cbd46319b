"""`python -m fix.show FILE...`: a message log with the names of fields and values."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

import simplefix.data

from fix.dictionary import Dictionary, shipped
from fix.log import escape, from_line, to_line
from fix.message import Message
from fix.values import parse_timestamp

_LINE = re.compile(r"(?P<before>.*?)(?P<direction>[<>]?) ?(?<![0-9])(?P<message>8=FIX.*)", re.DOTALL)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z|\d{8}-\d\d:\d\d:\d\d(?:\.\d+)?", re.ASCII)
_OURS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [<>] 8=FIX", re.ASCII)
_DATA_OF = dict(simplefix.data.RAW_DATA)
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
    # Whatever the terminal's encoding is: our logs are UTF-8, and others' may be anything.
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
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
                    "|".join(f"{tag}={escape(value)}" for tag, value in message.fields)
                    if options.raw
                    else describe(message)
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
        try:
            entry = _entry(text)
        except ValueError as error:
            print(f"{name}:{number}: {error}: {to_line(from_line(text))[:60]!r}", file=sys.stderr)
            continue
        yield entry


def _entry(text: str) -> tuple[datetime | None, str, Message]:
    """The time, the direction and the message of a line; raises `ValueError`."""
    match = _LINE.fullmatch(text)
    if match is None:
        raise ValueError("no message")
    time = _TIME.search(match["before"])
    try:
        utc = _parse_time(time[0]) if time else None
    except ValueError:
        raise ValueError("no such time") from None
    shown = match["message"]
    if not _OURS.match(text):
        # Other engines' logs have passwords in them.
        shown = to_line(from_line(shown))
    return utc, match["direction"], _message(shown)


def _message(text: str) -> Message:
    """Raises `ValueError`. Masked values have changed length and checksum: so these are not looked at."""
    plain = from_line(text).decode("latin-1").strip("\x01") + "\x01"
    fields: list[tuple[int, str]] = []
    at = 0
    while at < len(plain):
        stop = plain.index("\x01", at)
        digits, equals, value = plain[at:stop].partition("=")
        if not (equals and digits.isdecimal() and len(digits) < 10):
            raise ValueError("no message")
        tag = int(digits)
        if value != "***" and fields and _DATA_OF.get(fields[-1][0]) == tag:
            length = fields[-1][1]
            told = stop - len(value) + int(length) if length.isdecimal() and len(length) < 8 else stop
            if plain.startswith("\x01", told):
                value, stop = plain[told - int(length) : told], told
        fields.append((tag, value))
        at = stop + 1
    message = Message("", fields)
    return Message(message.get(35) or "", fields)


def describe(message: Message) -> str:
    """The message's name and number, and each field as `Side=1(Buy)`, in one line."""
    names = _names(message.get(8) or "")
    name = names.message_name(message.msg_type) if names else None
    fields = []
    for tag, value in message.fields:
        if tag in _HEADER_AND_TRAILER:
            continue
        meaning = names.value_name(tag, value) if names else None
        label = (names.field_name(tag) if names else None) or str(tag)
        fields.append(f"{label}={value}" + (f"({meaning})" if meaning else ""))
    route = f"{message.get(49) or '?'}>{message.get(56) or '?'}"
    return escape(f"{route} {message.get(34) or '?':>5} {name or message.msg_type:<26} {' '.join(fields)}".rstrip())


@lru_cache(maxsize=16)
def _names(begin_string: str) -> Dictionary | None:
    try:
        return shipped(begin_string)
    except ValueError:
        return None


def _parse_time(text: str) -> datetime:
    """A UTC time as logs have it, FIX's own form or ISO 8601; raises `ValueError`."""
    if text[8:9] == "-":
        return parse_timestamp(52, text)
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _time(text: str) -> datetime:
    try:
        return _parse_time(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: it must be one such as 2013-10-07T13:30 or 20131007-13:30:00.072, in UTC"
        ) from None


def _coloured(direction: str, colours: bool) -> str:
    if not colours:
        return direction
    return f"\033[{'32' if direction == '>' else '36'}m{direction}\033[0m"


if __name__ == "__main__":
    try:
        status = main()
        # Here, so that what is still to be written fails where it can be handled.
        sys.stdout.flush()
    except BrokenPipeError:
        # As when it is read by `head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
