"""The command line: `python -m devhost start`."""

import argparse
import asyncio
import atexit
import logging
import os
import re
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

from devhost import logs
from devhost.app import LoadError
from devhost.clock import ClockError, utc_now
from devhost.configuration import ConfigurationError
from devhost.history import parse_stamp
from devhost.host import Host, HostArguments, PortError
from devhost.schedules import ScheduleError
from devhost.store import StoreError

_WRONG_USE = 2
_EXIT_SECONDS = 0.8
_DESCRIPTION = """Runs an azure-functions app (Python, v2 model: function_app.py) with Durable Functions.

It serves the app's HTTP, timer, queue and Event Hub triggers and runs its orchestrators, activities and entities.
All state is in one SQLite file: after any end, kill -9 included, the next start goes on where the last one was.
Several hosts may serve one file. http://127.0.0.1:PORT/devhost shows instances and their histories in a browser.

  python -m devhost start                        the app in this folder, on port 7071
  python -m devhost start --app ../other --port 0    another app, on a free port
"""


def main() -> int:
    """Run the command until it is told to end. Returns 2 if it could not start; one line then says why."""
    arguments = _parser().parse_args()
    logs.configure(verbose=arguments.verbose)
    try:
        settings = dict(_setting(text) for text in arguments.set)
        host_arguments = HostArguments(
            folder=arguments.app.resolve(),
            port=arguments.port,
            database=(arguments.db or arguments.app / ".devhost" / "devhost.db").resolve(),
            virtual_clock=arguments.virtual_clock.resolve() if arguments.virtual_clock else None,
            virtual_time=arguments.virtual_time,
            real_time=tuple(arguments.real_time),
            background=tuple(arguments.background),
            settings=settings,
            visibility_timeouts=arguments.visibility_timeouts,
            enable_auth=arguments.enable_auth,
        )
        asyncio.run(_run(host_arguments))
    except (ConfigurationError, LoadError, ScheduleError, StoreError, PortError, ClockError) as error:
        logging.getLogger("devhost").debug("why the host cannot start", exc_info=error.__cause__)
        sys.stderr.write(f"devhost: {error}\n")
        return _WRONG_USE
    _run_exit_handlers(_EXIT_SECONDS)
    # As the Functions host ends its worker: what threads of the app still do is not waited for.
    os._exit(0)


def _run_exit_handlers(seconds: float) -> None:
    """What the app has registered with `atexit` runs, for that long at most."""
    handlers = threading.Thread(target=atexit._run_exitfuncs, name="exit handlers", daemon=True)
    handlers.start()
    handlers.join(seconds)
    if handlers.is_alive():
        logging.getLogger("devhost").warning("the app's exit handlers take over %.1f s: they are cut off", seconds)


async def _run(arguments: HostArguments) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    host = Host(arguments)
    await host.start()
    sys.stdout.write(f"devhost: listening on {host.base_url}\n")
    sys.stdout.flush()
    await stop.wait()
    await host.stop()


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_:.-]*", name):
        raise ConfigurationError(f"--set {text}: it must be NAME=VALUE")
    return name, value


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port: 0 to 65535, 0 for a free one")
    return int(text)


def _moment(text: str) -> datetime:
    try:
        return parse_stamp(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time: write 2026-01-31T09:30:00Z") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devhost", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    start = commands.add_parser(
        "start",
        help="serve a function app",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    start.add_argument("--app", type=Path, default=Path(), metavar="DIR", help="the app's folder (default: this one)")
    start.add_argument("--port", type=_port, default=7071, help="port on 127.0.0.1 (default: 7071; 0: a free one)")
    start.add_argument(
        "--db", type=Path, metavar="FILE", help="the host's state (default: .devhost/devhost.db in the app's folder)"
    )
    start.add_argument(
        "--virtual-clock",
        type=Path,
        metavar="FILE",
        help="lockstep: the time of orchestrators stands still until POST /devhost/clock sets it; FILE always shows it."
        " Work then runs one at a time, in the same order in every run",
    )
    start.add_argument(
        "--virtual-time",
        nargs="?",
        type=_moment,
        const=utc_now(),
        metavar="START",
        help="the time of orchestrators begins at START (ISO-8601; default: now) and skips to the next timer whenever"
        " nothing else is left to do. Work then runs one at a time. A later start goes on where the clock stood",
    )
    start.add_argument(
        "--real-time",
        action="append",
        default=[],
        metavar="ORCHESTRATOR",
        help="its instances have the system's clock although the others' is virtual; may be given several times",
    )
    start.add_argument(
        "--background",
        action="append",
        default=[],
        metavar="FUNCTION",
        help="runs in real time beside everything else, and does not count as work; may be given several times",
    )
    start.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting; it wins over the environment, which wins over local.settings.json; may be given several times",
    )
    start.add_argument(
        "--visibility-timeouts",
        action="store_true",
        help="what a dead host had in its hands stays hidden as in Azure Storage: partitions for the lease's time,"
        " messages and activities for host.json's controlQueueVisibilityTimeout and workItemQueueVisibilityTimeout",
    )
    start.add_argument(
        "--enable-auth",
        action="store_true",
        help="ask for access keys as in Azure; they are made at the first start and kept beside the host's state, in"
        " FILE.keys.json. Without it every request is let through, as by Core Tools",
    )
    start.add_argument("--verbose", action="store_true", help="log every execution, and what stops the start")
    return parser
