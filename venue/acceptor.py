"""The exchange's members: a FIX session each, for as long as the venue's state lives.

What is reported to a member who is not logged on waits, and leaves in order after the next Logon; what was sent and got
lost is resent by the session.
"""

import asyncio
import contextlib
import hmac
import logging
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime

from fix.config import SessionConfig
from fix.events import Disconnect, LoggedOn, LoggedOut, MessageReceived, NumbersReset, Rejected, SessionEvent
from fix.message import Message
from fix.orders import MsgType
from fix.session import NotLoggedOn, Session
from fix.transport import Connection
from venue.exchange import ConflictError, NotFoundError
from venue.faults import Faults
from venue.inputs import AnyInput, MemberAsked
from venue.machine import Machine, Outgoing
from venue.state import Forgetful, Logon, MemberState, State

_log = logging.getLogger("venue.acceptor")


class Member:
    """A session, the connection it is logged on by, and what is still to be sent to it."""

    def __init__(self, config: SessionConfig, state: MemberState) -> None:
        self.session = Session(config, state.store)
        self.state = state
        self.connection: Connection | None = None
        self.has_logged_on = False
        self.logon = 0
        """Which is the last one in the list of all."""
        self.logon_number = 0
        """MsgSeqNum (34) of the last Logon that came with the right password."""
        self.resets = 0
        """How often its numbers have begun again, as far as we have heard."""
        self._made = 0
        self._waiting: deque[tuple[int, Message]] = deque()

    @property
    def name(self) -> str:
        return self.session.config.session_id

    def next_ordinal(self) -> int:
        """Of a message that was made for it."""
        self._made += 1
        return self._made

    def send(self, ordinal: int, message: Message) -> None:
        self._waiting.append((ordinal, message))
        self.flush()

    def flush(self) -> None:
        while self._waiting and self.connection is not None:
            ordinal, message = self._waiting[0]
            self.state.sends(ordinal)
            try:
                self.connection.send(message)
            except NotLoggedOn:
                return  # the session is ending: its LoggedOut is on the way, and what waits goes with the next Logon
            self._waiting.popleft()


class Acceptor:
    """`session_for` and `on_event` are what `fix.transport.serve` needs. Without `credentials` anyone may log on.

    `copies` are the drop copies, by CompID: who is told, too, what a member is.
    """

    def __init__(
        self,
        comp_id: str,
        state: State | None = None,
        *,
        copies: Mapping[str, str] | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self._comp_id = comp_id
        self._credentials = credentials
        self._state = state or Forgetful()
        self.faults = Faults()
        self._members: dict[str, Member] = {}  # by the member's CompID
        self._by_session: dict[str, Member] = {}  # by session id
        named = {self._member(member).name: self._member(copy).name for member, copy in (copies or {}).items()}
        self.machine = Machine(named)
        self.logons = self._state.logons()
        self._go_on()

    def _go_on(self) -> None:
        """From where the process before has ended."""
        for comp_id in self._state.member_names():
            self._member(comp_id)
        for logon in self.logons:
            self._by_session[logon.session].has_logged_on = True
        taken = 0
        for entry in self._state.inputs():
            taken += 1
            with contextlib.suppress(NotFoundError, ConflictError):  # it was said then
                for outgoing in self.machine.take(entry):
                    member = self._by_session[outgoing.session]
                    ordinal = member.next_ordinal()
                    if ordinal not in member.state.gone:
                        member.send(ordinal, outgoing.message)
        if taken:
            _log.info("goes on after %d requests and events", taken)

    @property
    def members(self) -> list[Member]:
        """Those who have been logged on."""
        return [member for member in self._members.values() if member.has_logged_on]

    def session_for(self, sender: str, target: str) -> Session | None:
        """The session of a CompID, a new one for a new CompID; None where the Logon is meant for another venue."""
        if target != self._comp_id or not sender:
            return None
        return self._member(sender).session

    def _member(self, comp_id: str) -> Member:
        member = self._members.get(comp_id)
        if member is None:
            config = SessionConfig(
                role="acceptor",
                sender_comp_id=self._comp_id,
                target_comp_id=comp_id,
                authenticate=lambda logon: self._authenticate(comp_id, logon),
            )
            member = Member(config, self._state.member(comp_id))
            self._members[comp_id] = self._by_session[member.name] = member
        return member

    def on_event(self, connection: Connection, event: SessionEvent) -> None:
        member = self._by_session[connection.session.config.session_id]
        match event:
            case LoggedOn():
                _log.info("%s logged on from %s", member.name, connection.peer)
                member.connection, member.has_logged_on = connection, True
                self._logon_begins(member, connection)
                member.flush()
            case MessageReceived():
                self._receive(member, event)
            case NumbersReset():
                member.resets += 1
            case LoggedOut(reason):
                _log.info("%s logged out: %s", member.name, reason)
                member.connection = None
                self._logon_ends(member, reason)
            case Disconnect(reason):
                _log.info("%s: the connection from %s is closed: %s", member.name, connection.peer, reason)
            case Rejected(ref_number, message):
                _log.error("%s rejected our message %d: %s", member.name, ref_number, message.get(58))

    def take(self, entry: AnyInput) -> int:
        """Do it, and send what members are told of it; how many FIX messages that are.

        Raises `NotFoundError` and `ConflictError` where the venue was to do what cannot be done.
        """
        self._state.append(entry)
        return self._deliver(self.machine.take(entry))

    def cut(self, session: str | None = None) -> list[str]:
        """End connections, of all members or of one, without a word; whose."""
        cut = []
        for member in self.members:
            if member.connection is not None and session in (None, member.name):
                cut.append(member.name)
                member.connection.abort("cut by the venue")
        return cut

    def _logon_begins(self, member: Member, connection: Connection) -> None:
        number = member.logon = len(self.logons)
        logon = Logon(session=member.name, peer=connection.peer, number=member.logon_number, since=datetime.now(UTC))
        self.logons.append(logon)
        self._state.keep_logon(number, logon)

        def say_why(closed: "asyncio.Future[str]") -> None:
            # The connection knows more of its end than the session.
            logon.ended_by = str(closed.exception() or closed.result())
            self._state.keep_logon(number, logon)

        connection.on_end(say_why)

    def _logon_ends(self, member: Member, reason: str) -> None:
        logon = self.logons[member.logon]
        logon.until, logon.ended_by = datetime.now(UTC), reason
        self._state.keep_logon(member.logon, logon)

    def _receive(self, member: Member, received: MessageReceived) -> None:
        message, resets = received.message, member.resets
        entry = MemberAsked(
            received_at=datetime.now(UTC),
            session=member.name,
            number=received.number,
            msg_type=message.msg_type,
            fields=message.fields,
        )

        def answer() -> None:
            member.state.asked(entry, resets)
            self._deliver(self.machine.take(entry))

        if not self.faults.keep("inbound", member.name, message, answer):
            answer()

    def _deliver(self, messages: list[Outgoing]) -> int:
        """Each to the member it is for; how many."""
        for outgoing in messages:
            self._send(self._by_session[outgoing.session], outgoing.message)
        return len(messages)

    def _send(self, member: Member, message: Message) -> None:
        if message.msg_type == MsgType.BUSINESS_MESSAGE_REJECT:
            refused = message.get(45), message.get(372), message.get(58)
            _log.warning("%s: message %s (35=%s) refused: %s", member.name, *refused)
        ordinal = member.next_ordinal()
        kept = self.faults.keep("outbound", member.name, message, lambda: member.send(ordinal, message))
        if kept is None:
            member.send(ordinal, message)
        elif kept == "lose":
            member.state.lost(ordinal)

    def _authenticate(self, comp_id: str, logon: Message) -> str | None:
        refusal = self._refusal(logon)
        if refusal is None:
            self._members[comp_id].logon_number = int(logon.get(34) or 0)
        return refusal

    def _refusal(self, logon: Message) -> str | None:
        username = logon.get(553)
        if self._credentials is None:
            return None
        if username is None:
            return "no Username (553)"
        expected = "\0".join(self._credentials)
        given = "\0".join((username, logon.get(554) or ""))
        if hmac.compare_digest(expected.encode(), given.encode()):
            return None
        return f"wrong credentials for user {username}"
