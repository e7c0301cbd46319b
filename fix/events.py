"""What a session tells its application and its transport. Past tense, except `Disconnect`, which is an order."""

import msgspec

from fix.message import Message


class LoggedOn(msgspec.Struct, frozen=True):
    """Both Logons were exchanged: application messages may be sent."""


class MessageReceived(msgspec.Struct, frozen=True):
    """An application message, in order and each number once (for as long as the same `Session` goes on)."""

    message: Message
    number: int
    """MsgSeqNum (34)."""
    possible_duplicate: bool
    """PossDupFlag (43): sent before under the same number. It may have been received by a process that is gone."""
    possible_resend: bool
    """PossResend (97): its content may have been sent before under another number."""


class Rejected(msgspec.Struct, frozen=True):
    """The peer's session refused a message of ours (Reject, 35=3) and will not have it again."""

    ref_number: int
    """RefSeqNum (45): the number of our message."""
    message: Message
    number: int
    """MsgSeqNum (34) of the Reject itself."""


class MessageRefused(msgspec.Struct, frozen=True):
    """An application message that this session has rejected (35=3). Its number is used up, so it does not come again,
    and it may have been one that matters."""

    message: Message
    number: int
    """MsgSeqNum (34)."""
    reason: str


class NumbersReset(msgspec.Struct, frozen=True):
    """Both sides begin again at 1 (ResetSeqNumFlag, 141=Y): what an application knew of numbers is void."""


class LoggedOut(msgspec.Struct, frozen=True):
    """The session ended, by Logout or without. Follows every `LoggedOn` once; never comes without one."""

    reason: str


class Disconnect(msgspec.Struct, frozen=True):
    """The transport has to send what there is to send and then to close. A refused Logon is told by this alone."""

    reason: str


SessionEvent = LoggedOn | MessageReceived | MessageRefused | Rejected | NumbersReset | LoggedOut | Disconnect
