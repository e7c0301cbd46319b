"""What one side of a session is set to. A setting that cannot work is refused when it is made, by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fix.dictionary import Dictionary
from fix.message import Field, Message
from fix.schedule import Schedule

VERSIONS = ("FIX.4.2", "FIX.4.4", "FIXT.1.1")
"""BeginString (8) of the versions that the session speaks. FIXT.1.1 carries FIX 5.0 and its service packs."""


class LogonRequest(NamedTuple):
    """The Logon that is about to leave, for who signs it."""

    sender_comp_id: str
    target_comp_id: str
    number: int
    sending_time: str


LogonFields = Callable[[LogonRequest], Sequence[Field]]


def password(credentials: Callable[[], tuple[str, str]]) -> LogonFields:
    """Username (553) and Password (554), asked for at each Logon, for `SessionConfig.logon_fields`."""

    def fields(_request: LogonRequest) -> Sequence[Field]:
        username, secret = credentials()
        return [(553, username), (554, secret)]

    return fields


@dataclass(frozen=True)
class SessionConfig:
    """One side of a session; all times in seconds."""

    role: Literal["initiator", "acceptor"]
    sender_comp_id: str
    target_comp_id: str
    begin_string: str = "FIX.4.4"
    default_appl_ver_id: str = "9"
    """DefaultApplVerID (1137) of FIXT.1.1, which alone has it; 9 is FIX 5.0 SP2."""
    heartbeat_interval: int = 30
    """The initiator's, HeartBtInt (108); 0 turns heartbeats off. An acceptor takes what the initiator says."""
    logon_fields: LogonFields | None = field(default=None, repr=False)
    """Initiator: what its Logon says besides, such as `password(...)`, a signature in RawData (95, 96) or an encrypted
    password (1400 to 1402). Asked for at each Logon; what it raises, whoever connects gets."""
    authenticate: Callable[[Message], str | None] | None = field(default=None, repr=False)
    """Acceptor: why this Logon is refused, or None."""
    may_resend: Callable[[Message], bool] | None = field(default=None, repr=False)
    """Whether an application message that the peer asks for may leave again, asked when it would; without it, all may.
    What may not is gap-filled (volume 2, ResendRequest: the sender may choose not to resend, as for a stale order)."""
    reset_on_logon: bool = False
    """Initiator: begin at 1 with every Logon (141=Y). Without it a reset that the acceptor wants is refused."""
    next_expected: bool = False
    """Say NextExpectedMsgSeqNum (789) in the Logon, and resend by the peer's without being asked (FIX 4.4 on)."""
    last_processed: bool = False
    """Say LastMsgSeqNumProcessed (369) in every message: the last number that came in order."""
    resend_chunk: int = 0
    """Messages asked for by one ResendRequest; 0 asks for all at once (16=0)."""
    sending_time_digits: Literal[3, 6] = 3
    """Of the second's fraction in SendingTime (52): milliseconds, or microseconds where the peer takes them."""
    schedule: Schedule | None = None
    """When the session may be logged on; its numbers begin again with each window. None: always."""
    dictionary: Dictionary | None = field(default=None, repr=False)
    """What messages are held to. None: only the session's own rules are kept."""
    validate: Literal["all", "session"] = "all"
    """What is held to the dictionary. `session` leaves application messages to the application: a message that is
    rejected has used up its number and does not come again, and an ExecutionReport with a field too many is still one.
    """
    logon_timeout: float = 10
    logout_timeout: float = 2
    maximum_time_difference: float = 120
    """Between SendingTime (52) and our clock, both ways."""
    mistimed: Literal["reject", "end"] = "reject"
    """What becomes of a message whose SendingTime (52) cannot be right. `reject` (volume 2) uses its number up: it does
    not come again. `end` ends the session and leaves it: it comes again after the next Logon, and when it was sent at
    first (122) does not matter. That is for whoever cannot do without any message: it may be one's own clock that is
    wrong."""

    def __post_init__(self) -> None:
        if self.role not in ("initiator", "acceptor"):
            raise ValueError(f"role is {self.role!r}: it must be 'initiator' or 'acceptor'")
        if self.begin_string not in VERSIONS:
            raise ValueError(f"begin_string is {self.begin_string!r}: it must be one of {', '.join(VERSIONS)}")
        for name in ("sender_comp_id", "target_comp_id", "default_appl_ver_id"):
            value = getattr(self, name)
            if not (isinstance(value, str) and value and value.isascii() and value.isprintable()):
                raise ValueError(f"{name} is {value!r}: it must be printable ASCII, at least one character")
        for name, off in (("heartbeat_interval", "off"), ("resend_chunk", "everything at once")):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} is {value!r}: it must be a whole number, 0 ({off}) or more")
        for name in ("logon_timeout", "logout_timeout", "maximum_time_difference"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be more than 0 seconds")
        for name, allowed in (
            ("sending_time_digits", (3, 6)),
            ("validate", ("all", "session")),
            ("mistimed", ("reject", "end")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be {allowed[0]!r} or {allowed[1]!r}")
        if self.next_expected and self.begin_string == "FIX.4.2":
            raise ValueError("next_expected is True: NextExpectedMsgSeqNum (789) is there from FIX.4.4 on")
        if self.dictionary is not None and self.dictionary.version != self.begin_string:
            raise ValueError(f"dictionary is of {self.dictionary.version}: it must be of {self.begin_string}")
        if self.role == "acceptor":
            for name in ("logon_fields", "reset_on_logon"):
                if getattr(self, name):
                    raise ValueError(f"{name} is set: it is for an initiator, this is an acceptor")
        elif self.authenticate is not None:
            raise ValueError("authenticate is set: it is for an acceptor, this is an initiator")

    @property
    def session_id(self) -> str:
        return f"{self.begin_string}-{self.sender_comp_id}-{self.target_comp_id}"
