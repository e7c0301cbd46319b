"""QuickFIX as one side: options as JSON in argv, commands as lines of JSON on stdin, what happens on stdout."""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import quickfix as fix

_ORDER = ((21, "1"), (55, "IBM"), (54, "1"), (60, "20131007-13:30:00.072"), (38, "100"), (40, "2"), (44, "182.25"))


def say(**event: object) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


class Application(fix.Application):
    def __init__(self) -> None:
        super().__init__()
        self.session: Any = None

    def onCreate(self, session: Any) -> None:
        self.session = session

    def onLogon(self, session: Any) -> None:
        say(event="logon")

    def onLogout(self, session: Any) -> None:
        say(event="logout")

    def toAdmin(self, message: Any, session: Any) -> None:
        pass

    def fromAdmin(self, message: Any, session: Any) -> None:
        if message.getHeader().getField(35) == "3":
            say(event="reject", text=message.toString())

    def toApp(self, message: Any, session: Any) -> None:
        pass

    def fromApp(self, message: Any, session: Any) -> None:
        header = message.getHeader()
        duplicate = header.isSetField(43) and header.getField(43) == "Y"
        say(event="message", type=header.getField(35), id=message.getField(11), duplicate=duplicate)

    def send(self, prefix: str, first: int, count: int) -> None:
        for number in range(first, first + count):
            order = fix.Message()
            order.getHeader().setField(35, "D")
            order.setField(11, f"{prefix}-{number}")
            for tag, value in _ORDER:
                order.setField(tag, value)
            fix.Session.sendToTarget(order, self.session)
            say(event="sent", id=f"{prefix}-{number}")


def settings_of(options: dict[str, Any]) -> str:
    folder, version = options["folder"], options["version"]
    initiator = options["role"] == "initiator"
    spec = Path(sys.prefix) / "share" / "quickfix"
    lines = {
        "ConnectionType": options["role"],
        "StartTime": "00:00:00",
        "EndTime": "00:00:00",
        "HeartBtInt": options.get("heartbeat", 30),
        "ReconnectInterval": 1,
        "FileStorePath": f"{folder}/quickfix",
        "UseDataDictionary": "Y",
        "SocketNodelay": "Y",
        "ResetOnLogon": "Y" if options.get("reset_on_logon") else "N",
        "SendNextExpectedMsgSeqNum": "Y" if options.get("next_expected") else "N",
    }
    if version == "FIXT.1.1":
        lines |= {"DefaultApplVerID": "FIX.5.0SP2", "TransportDataDictionary": spec / "FIXT11.xml"}
        lines |= {"AppDataDictionary": spec / "FIX50SP2.xml"}
    else:
        lines |= {"DataDictionary": spec / f"{version.replace('.', '')}.xml"}
    if options.get("tls"):
        kind = "Client" if initiator else "Server"
        lines |= {
            f"{kind}CertificateFile": f"{folder}/{kind.lower()}.pem",
            f"{kind}CertificateKeyFile": f"{folder}/{kind.lower()}.key",
            "CertificationAuthoritiesFile": f"{folder}/ca.pem",
            "SSLProtocol": "+TLSv1_2 +TLSv1_3",
        }
    session = {
        "BeginString": version,
        "SenderCompID": "QUICKFIX",
        "TargetCompID": "OURS",
        **(
            {"SocketConnectHost": "127.0.0.1", "SocketConnectPort": options["port"]}
            if initiator
            else {"SocketAcceptPort": options["port"]}
        ),
    }
    text = ["[DEFAULT]", *(f"{key}={value}" for key, value in lines.items())]
    return "\n".join([*text, "[SESSION]", *(f"{key}={value}" for key, value in session.items())]) + "\n"


def main() -> None:
    options = json.loads(sys.argv[1])
    path = Path(options["folder"]) / "quickfix.cfg"
    path.write_text(settings_of(options))
    settings = fix.SessionSettings(str(path))
    application = Application()
    kind = {
        ("initiator", False): "SocketInitiator",
        ("initiator", True): "SSLSocketInitiator",
        ("acceptor", False): "SocketAcceptor",
        ("acceptor", True): "SSLSocketAcceptor",
    }[options["role"], bool(options.get("tls"))]
    engine = getattr(fix, kind)(application, fix.FileStoreFactory(settings), settings)
    engine.start()
    say(event="ready", port=options["port"])
    for line in sys.stdin:
        command = json.loads(line)
        session = fix.Session.lookupSession(application.session)
        match command["do"]:
            case "send":
                work = (command["prefix"], command.get("first", 1), command["count"])
                threading.Thread(target=application.send, args=work, daemon=True).start()
            case "expect":  # as if it had lost what came from there on
                session.setNextTargetMsgSeqNum(session.getExpectedTargetNum() - command["fewer"])
                say(event="done")
            case "skip":  # as if numbers had been used that the other side never saw
                session.setNextSenderMsgSeqNum(session.getExpectedSenderNum() + command["numbers"])
                say(event="done")
            case "numbers":
                say(event="numbers", sent=session.getExpectedSenderNum(), received=session.getExpectedTargetNum())
            case "logout":
                session.logout("bye")
            case "logon":
                session.logon()
            case "stop":
                break
    session.logout("bye")
    deadline = time.monotonic() + 5
    while session.isLoggedOn() and time.monotonic() < deadline:
        time.sleep(0.01)
    engine.stop(True)


if __name__ == "__main__":
    main()
