"""One side on QuickFIX's Python binding: `python -m bench.engines.theirs server|client PORT memory|file COUNT
DEPTH`."""

import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import quickfix as fix

from bench.engines.load import FROM_ORDER, NEW_ORDER, REPORT, Client

_SETTINGS = """[DEFAULT]
ConnectionType={kind}
StartTime=00:00:00
EndTime=00:00:00
HeartBtInt=30
ReconnectInterval=1
SocketNodelay=Y
UseDataDictionary=Y
DataDictionary={dictionary}
FileStorePath={folder}
[SESSION]
BeginString=FIX.4.4
SenderCompID={ours}
TargetCompID={theirs}
SocketAcceptPort={port}
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
"""


def _message(msg_type: str, *fields: tuple[int, str]) -> Any:
    message = fix.Message()
    message.getHeader().setField(35, msg_type)
    for tag, value in fields:
        message.setField(tag, value)
    return message


class _Quiet(fix.Application):
    def onCreate(self, session: Any) -> None:
        pass

    def onLogon(self, session: Any) -> None:
        pass

    def onLogout(self, session: Any) -> None:
        pass

    def toAdmin(self, message: Any, session: Any) -> None:
        pass

    def fromAdmin(self, message: Any, session: Any) -> None:
        pass

    def toApp(self, message: Any, session: Any) -> None:
        pass


class _Server(_Quiet):
    reports = 0

    def fromApp(self, message: Any, session: Any) -> None:
        self.reports += 1
        taken = [(tag, message.getField(tag)) for tag in FROM_ORDER]
        fix.Session.sendToTarget(_message("8", (17, f"E-{self.reports}"), *taken, *REPORT), session)


class _Desk(_Quiet):
    def __init__(self, count: int, depth: int) -> None:
        super().__init__()
        self.done = threading.Event()
        self.logged_on = threading.Event()
        self._session: Any = None
        self.client = Client(count, depth, self._send, self.done.set)

    def _send(self, cl_ord_id: str) -> None:
        fix.Session.sendToTarget(_message("D", (11, cl_ord_id), *NEW_ORDER), self._session)

    def onLogon(self, session: Any) -> None:
        self._session = session
        self.logged_on.set()

    def fromApp(self, message: Any, session: Any) -> None:
        self.client.answered(message.getField(11), message.getField(39))


def main() -> None:
    role, port, store, count, depth = sys.argv[1:6]
    serves = role == "server"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings"
        ours, theirs = ("VENUE", "DESK") if serves else ("DESK", "VENUE")
        dictionary = Path(sys.prefix) / "share" / "quickfix" / "FIX44.xml"
        kind = "acceptor" if serves else "initiator"
        path.write_text(
            _SETTINGS.format(kind=kind, dictionary=dictionary, folder=folder, ours=ours, theirs=theirs, port=port)
        )
        settings = fix.SessionSettings(str(path))
        factory = fix.MemoryStoreFactory() if store == "memory" else fix.FileStoreFactory(settings)
        if serves:
            acceptor = fix.SocketAcceptor(_Server(), factory, settings)
            acceptor.start()
            print("ready", flush=True)
            threading.Event().wait()
        else:
            desk = _Desk(int(count), int(depth))
            initiator = fix.SocketInitiator(desk, factory, settings)
            initiator.start()
            desk.logged_on.wait(10)
            desk.client.start()
            desk.done.wait(120)
            initiator.stop(True)


if __name__ == "__main__":
    main()
