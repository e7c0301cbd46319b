"""The command line: `python -m player run` and `python -m player host`."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import FrameType

from rich.console import Console

from player.azurite import AzuriteError
from player.client import RefusedError, UnreachableError
from player.feed import FeedError
from player.host import HostOptions, host
from player.prices import PriceFileError, Window
from player.processes import ProcessError
from player.replay import ReplayOptions, replay
from player.stack import ROOT, StackError

_ERRORS = (PriceFileError, StackError, ProcessError, FeedError, AzuriteError, RefusedError, UnreachableError)


class _Terminated(BaseException):
    """SIGTERM or SIGHUP: like Ctrl-C, it lets everything be cleaned up on the way out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0; 1 where the run failed or an invariant is false; 2 where the command line is wrong."""
    options = _parser().parse_args(arguments)
    console = Console()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _on_termination)
    try:
        if options.command == "run":
            return 0 if replay(_replay_options(options), console) else 1
        host(HostOptions(port=options.port, venue_port=options.venue_port, out=options.out), console)
    except _ERRORS as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except _Terminated:
        return 143
    return 0


def _on_termination(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not cut the cleaning up short
    raise _Terminated


def _replay_options(options: argparse.Namespace) -> ReplayOptions:
    window = Window(first_day=options.first_day, last_day=options.last_day, limit=options.limit)
    return ReplayOptions(data=options.data, speed=options.speed, window=window, out=options.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m player", description="Runs the whole system on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="replay recorded prices through the whole system and report what was traded",
        description="Starts Azurite, the venue and the host, replays prices, prints the report, ends what it started. "
        "Writes summary.json, orders.json and the logs to the output folder. "
        "Exit code 0 if every invariant holds, 1 if not or if the run failed.",
    )
    run.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="a .csv or .csv.gz file: ticks (ts,symbol,bid,ask,bid_size,ask_size,last,last_size) or daily bars "
        "(date,symbol,open,high,low,close,volume); default: daily bars of five US stocks from 2011-03-01 on",
    )
    run.add_argument(
        "--speed",
        type=_speed,
        default=0.0,
        metavar="N",
        help="1 is real time, 60 sixty times that; 0, the default, is as fast as it goes, in lockstep",
    )
    run.add_argument("--limit", type=_limit, metavar="N", help="replay only the first N rows")
    run.add_argument("--from", type=_day, dest="first_day", metavar="DATE", help="first day to replay, like 2010-03-01")
    run.add_argument("--to", type=_day, dest="last_day", metavar="DATE", help="last day to replay")
    run.add_argument("--out", type=Path, default=ROOT / "out", metavar="DIR", help="output folder (default: out)")
    serve = commands.add_parser(
        "host",
        help="start the system and leave it running to talk to",
        description="Starts Azurite, the venue with a price for DEMO, and the host; Ctrl-C ends them. "
        "It begins with nothing each time, since the venue forgets its orders when it ends.",
    )
    serve.add_argument("--port", type=_port, default=7071, metavar="N", help="the host's port (default: 7071)")
    serve.add_argument(
        "--venue-port", type=_port, default=7072, metavar="N", help="the port to move prices by (default: 7072)"
    )
    serve.add_argument(
        "--out",
        type=Path,
        default=ROOT / ".devhost",
        metavar="DIR",
        help="folder of logs and state (default: .devhost)",
    )
    return parser


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a speed: 0, or a number above it such as 1 or 60")
    return speed


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows: a whole number above 0")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day: it is written like 2010-03-01") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a whole number from 1 to 65535")
    return int(text)
