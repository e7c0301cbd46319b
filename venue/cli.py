"""`python -m venue`: a simulated exchange, FIX for its members and HTTP for whoever plays the market. Loopback only.

Prints one line to stdout when ready and logs to stderr. Ends on SIGTERM and SIGINT with exit code 0; wrong arguments
and ports in use end it with one line and exit code 2.
"""

import argparse
import asyncio
import errno
import logging
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from aiohttp import web

from fix.session import State
from fix.transport import Server, serve
from venue.acceptor import Acceptor
from venue.control import Control, SessionState
from venue.state import StateError, StateFile

_HOST = "127.0.0.1"


class StartError(Exception):
    """The venue cannot start as it was told to."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise StartError(f"{message} (python -m venue --help says more)")


def main(arguments: list[str]) -> int:
    try:
        asyncio.run(_run(_parse(arguments)))
    except StartError as error:
        sys.stderr.write(f"venue: {error}\n")
        return 2
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m venue", description="A simulated exchange: FIX 4.4 acceptor and matching engine.")
    parser.add_argument("--fix-port", type=_port, required=True, metavar="N", help="where members log on; 0: any")
    parser.add_argument("--control-port", type=_port, required=True, metavar="N", help="the HTTP API; 0: any")
    parser.add_argument("--username", metavar="U", help="what members must log on with; without it anyone may")
    parser.add_argument("--password", metavar="P")
    parser.add_argument("--comp-id", default="VENUE", metavar="ID", help="the venue's own CompID (default: VENUE)")
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="what it keeps, to go on after a crash; without it, nothing is kept"
    )
    parser.add_argument(
        "--drop-copy",
        type=_copy,
        action="append",
        default=[],
        metavar="MEMBER=COPY",
        help="member COPY is sent every ExecutionReport that MEMBER is, and may ask for nothing; may be given again",
    )
    options = parser.parse_args(arguments)
    if bool(options.username) != bool(options.password):
        parser.error("--username and --password go together: give both or neither")
    if not options.comp_id:
        parser.error("argument --comp-id: is empty, must be the venue's CompID")
    members, copies = [member for member, _ in options.drop_copy], [copy for _, copy in options.drop_copy]
    if len(set(members)) != len(members):
        parser.error("argument --drop-copy: a member is named twice: each has one copy")
    if set(members) & set(copies):
        parser.error("argument --drop-copy: a copy has no copy: name members that trade before the =")
    return options


def _copy(text: str) -> tuple[str, str]:
    member, _, copy = text.partition("=")
    if not all(name and name.isascii() and name.isprintable() for name in (member, copy)):
        raise argparse.ArgumentTypeError(f"{text!r} is not MEMBER=COPY: the CompIDs of two members")
    return member, copy


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a whole number from 0 to 65535")
    return int(text)


async def _run(options: argparse.Namespace) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, ending.set)

    copies = dict(options.drop_copy)
    credentials = (options.username, options.password) if options.username else None
    try:
        state = None if options.state is None else StateFile(options.state, options.comp_id, copies, datetime.now(UTC))
    except StateError as error:
        raise StartError(f"--state {options.state}: {error}") from None
    acceptor = Acceptor(options.comp_id, state, copies=copies, credentials=credentials)
    try:
        server = await serve(_HOST, options.fix_port, acceptor.session_for, acceptor.on_event)
    except OSError as error:
        raise _cannot_listen("--fix-port", options.fix_port, error) from None
    control = Control(
        acceptor.machine,
        acceptor.take,
        lambda: _sessions(acceptor),
        lambda: acceptor.logons,
        acceptor.faults,
        acceptor.cut,
    )
    runner = web.AppRunner(control.application(), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, _HOST, options.control_port).start()
        except OSError as error:
            raise _cannot_listen("--control-port", options.control_port, error) from None
        sys.stdout.write(f"venue: FIX on {server.port}, control on {runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await ending.wait()
    finally:
        await runner.cleanup()
        await _log_out(server)
        if state is not None:
            state.close()


async def _log_out(server: Server) -> None:
    connections = server.connections
    server.logout("the venue closes")
    for connection in connections:
        await connection.closed()
    await server.close()


def _sessions(acceptor: Acceptor) -> list[SessionState]:
    return [
        SessionState(
            session=member.name,
            logged_on=member.session.state is State.IN_SESSION,
            next_inbound=member.session.next_inbound,
            next_outbound=member.session.next_outbound,
        )
        for member in acceptor.members
    ]


def _cannot_listen(option: str, port: int, error: OSError) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(f"{option} {port} is in use by another process: choose a free port")
    return StartError(f"{option} {port}: {error.strerror}")
