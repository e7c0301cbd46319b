"""Our engine as one side, driven as `quickfix_side` is."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from fix.config import SessionConfig
from fix.dictionary import shipped
from fix.engine import Acceptor, Application, Initiator
from fix.events import MessageReceived, Rejected
from fix.log import FileLog
from fix.message import Message
from fix.reconnect import Pauses, Reconnect
from fix.session import NotLoggedOn, Session
from fix.sqlite_store import SqliteStore
from fix.tls import client_tls, server_tls
from fix.transport import Connection, read_clocks

_ORDER = ((21, "1"), (55, "IBM"), (54, "1"), (60, "20131007-13:30:00.072"), (38, "100"), (40, "2"), (44, "182.25"))


def say(**event: object) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


class Side(Application):
    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    def on_logon(self, connection: Connection) -> None:
        self.connection = connection
        say(event="logon")

    def on_logout(self, connection: Connection, reason: str) -> None:
        self.connection = None
        say(event="logout", reason=reason)

    def on_message(self, connection: Connection, received: MessageReceived) -> None:
        message = received.message
        say(event="message", type=message.msg_type, id=message.require(11), duplicate=received.possible_duplicate)

    def on_reject(self, connection: Connection, rejected: Rejected) -> None:
        say(event="reject", text=repr(rejected.message))

    async def send(self, prefix: str, first: int, count: int) -> None:
        for number in range(first, first + count):
            order = Message("D", [(11, f"{prefix}-{number}"), *_ORDER])
            while not self._sends(order):
                await asyncio.sleep(0.01)
            say(event="sent", id=f"{prefix}-{number}")
            if number % 20 == 0:
                await asyncio.sleep(0)

    def _sends(self, order: Message) -> bool:
        try:
            if self.connection is None:
                return False
            self.connection.send(order)
        except NotLoggedOn:
            return False
        return True


async def _run(options: dict[str, Any]) -> None:
    folder, role = Path(options["folder"]), options["role"]
    version = options["version"]
    dictionary = shipped(version)
    config = SessionConfig(
        role,
        "OURS",
        "QUICKFIX",
        version,
        heartbeat_interval=options.get("heartbeat", 30),
        dictionary=dictionary,
        reset_on_logon=role == "initiator" and bool(options.get("reset_on_logon")),
        resend_chunk=options.get("resend_chunk", 0),
        next_expected=bool(options.get("next_expected")),
    )
    store = SqliteStore(folder / "ours.db", config.session_id)
    log = FileLog(folder, config.session_id)
    side = Side()
    ending: asyncio.Task[None] | None = None
    if role == "initiator":
        tls = client_tls(ca_file=folder / "ca.pem") if options.get("tls") else None
        pauses = Reconnect([("127.0.0.1", options["port"])], Pauses(first=0.1, longest=0.5))
        initiator = Initiator(config, side, pauses, store=store, log=log, tls=tls)
        session = initiator.session
        ending = asyncio.create_task(initiator.run())
        say(event="ready", port=options["port"])
    else:
        context = None
        if options.get("tls"):
            context = server_tls(certificate=folder / "server.pem", key=folder / "server.key")
        acceptor = Acceptor([config], side, store_for=lambda _: store, log_for=lambda _: log, tls=context)
        await acceptor.listen("127.0.0.1", options["port"])
        session = acceptor.sessions[0]
        say(event="ready", port=acceptor.port)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        command = json.loads(line)
        if command["do"] == "stop":
            break
        _perform(command, side, session)
    if ending is not None:
        initiator.stop("bye")
        await ending
    else:
        acceptor.logout("bye")
        while side.connection is not None:
            await asyncio.sleep(0.01)
        await acceptor.close()
    store.close()
    log.close()


def _perform(command: dict[str, Any], side: Side, session: Session) -> None:
    match command["do"]:
        case "send":
            work = asyncio.get_running_loop().create_task(
                side.send(command["prefix"], command.get("first", 1), command["count"])
            )
            side.tasks.add(work)
            work.add_done_callback(side.tasks.discard)
        case "expect":
            session._next_inbound -= command["fewer"]
            say(event="done")
        case "skip":
            session._next_outbound += command["numbers"]
            say(event="done")
        case "reset":
            assert side.connection is not None
            side.connection._handle(session.reset(read_clocks()))
        case "numbers":
            say(event="numbers", sent=session.next_outbound, received=session.next_inbound)
        case "logout":
            assert side.connection is not None
            side.connection.logout("bye")


if __name__ == "__main__":
    asyncio.run(_run(json.loads(sys.argv[1])))
