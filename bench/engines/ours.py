"""One side on this engine: `python -m bench.engines.ours server|client PORT memory|file COUNT DEPTH POLL_SECONDS`."""

import asyncio
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench.engines.load import FROM_ORDER, NEW_ORDER, REPORT, Client
from fix.config import SessionConfig
from fix.dictionary import shipped
from fix.events import LoggedOn, MessageReceived, SessionEvent
from fix.message import Message
from fix.polling import polling_loop
from fix.session import Session
from fix.sqlite_store import SqliteStore
from fix.store import MemoryStore, Store
from fix.transport import Connection, connect, serve


def _session(role: str, store: str, folder: str) -> Session:
    dictionary = shipped("FIX.4.4")
    if role == "server":
        config = SessionConfig("acceptor", "VENUE", "DESK", dictionary=dictionary)
    else:
        config = SessionConfig("initiator", "DESK", "VENUE", dictionary=dictionary)
    kept: Store = MemoryStore() if store == "memory" else SqliteStore(Path(folder) / "session.db", config.session_id)
    return Session(config, kept)


async def _serve(port: int, session: Session) -> None:
    def on_event(connection: Connection, event: SessionEvent) -> None:
        if isinstance(event, MessageReceived):
            order = event.message.first
            taken = [(tag, order[tag]) for tag in FROM_ORDER]
            connection.send(Message("8", [(17, f"E-{event.number}"), *taken, *REPORT]))

    await serve("127.0.0.1", port, lambda _sender, _target: session, on_event)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def _ask(port: int, session: Session, count: int, depth: int) -> None:
    done = asyncio.Event()

    def send(cl_ord_id: str) -> None:
        connection.send(Message("D", [(11, cl_ord_id), *NEW_ORDER]))

    client = Client(count, depth, send, done.set)

    def on_event(_connection: Connection, event: SessionEvent) -> None:
        if isinstance(event, MessageReceived):
            report = event.message.first
            client.answered(report[11], report[39])
        elif isinstance(event, LoggedOn):
            asyncio.get_running_loop().call_soon(client.start)

    connection = await connect("127.0.0.1", port, session, on_event)
    await done.wait()


def main() -> None:
    role, port, store, count, depth, poll = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        session = _session(role, store, folder)
        work = _serve(int(port), session) if role == "server" else _ask(int(port), session, int(count), int(depth))
        factory = partial(polling_loop, float(poll)) if float(poll) else None
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(work)


if __name__ == "__main__":
    main()
