"""A FIX session without I/O, the same for initiator and acceptor: FIX 4.2, 4.4, and FIXT 1.1.

Bytes and clock readings go in; bytes to send and events come out. Rules: FIX 4.4 volume 2 ("FIX session protocol") and
the FIX session-level test cases; where engines differ, the choice is said at the place.

State          left by                                   to             allowed
-------------  ----------------------------------------  -------------  ---------------------------------------------
DISCONNECTED   connected(), initiator                    LOGON_SENT     connected
               connected(), acceptor                     LOGON_AWAITED
LOGON_SENT     Logon                                     IN_SESSION     receive, tick, logout, disconnected
               Logout, any other message, a wrong        CLOSING
               Logon, logon_timeout, logout()
LOGON_AWAITED  Logon                                     IN_SESSION     receive, tick, logout, disconnected
               any other message, a wrong Logon,         CLOSING
               logon_timeout, logout()
IN_SESSION     Logout (answered), number too low,        CLOSING        send, receive, tick, logout, disconnected
               wrong BeginString, silence
               logout(), wrong CompID or SendingTime     LOGOUT_SENT
LOGOUT_SENT    Logout, logout_timeout                    CLOSING        receive, tick, disconnected; messages that
                                                                        still come are handled and delivered
CLOSING        disconnected()                            DISCONNECTED   disconnected; what arrives is not looked at
any            disconnected()                            DISCONNECTED

A hole in the numbers is no state of its own: it can be there in IN_SESSION and in LOGOUT_SENT. While it is, what comes
too early waits and is handled in order once the peer has resent or gap-filled what is missing.

CLOSING and DISCONNECTED are also where a session is outside its schedule: `connected` then ends at once, and `tick`
logs out at the window's end (`out_of_hours` tells).

What is kept from one connection to the next is in the store: both numbers, and the application messages that were sent.
So after a reconnect the peer can have resent what got lost. What the store does not have is gap-filled.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

from fix.codec import Decoded, Decoder, Defect, assemble, decode_frame
from fix.config import LogonRequest, SessionConfig
from fix.events import (
    Disconnect,
    LoggedOn,
    LoggedOut,
    MessageReceived,
    MessageRefused,
    NumbersReset,
    Rejected,
    SessionEvent,
)
from fix.log import Log
from fix.message import Field, FieldError, Message
from fix.store import MemoryStore, Store
from fix.values import format_timestamp, parse_boolean, parse_integer, parse_timestamp

_HEARTBEAT, _TEST_REQUEST, _RESEND_REQUEST, _REJECT = "0", "1", "2", "3"
_SEQUENCE_RESET, _LOGOUT, _LOGON = "4", "5", "A"
_ADMINISTRATIVE = frozenset({_HEARTBEAT, _TEST_REQUEST, _RESEND_REQUEST, _REJECT, _SEQUENCE_RESET, _LOGOUT, _LOGON})

_SESSIONS_OWN = frozenset({8, 9, 35, 49, 56, 34, 52, 43, 122, 369, 10})
"""What a message that is sent again gets anew."""
_MSG_TYPE = re.compile(r"[0-9A-Za-z]|[A-D][0-9A-Za-z]|U[!-<>-~]{0,19}")
"""MsgTypes that a version of FIX may know, and the users' own. Any other is no MsgType."""
_HIGHEST_REASON_OF_4_2 = 11
_UNSUPPORTED_MESSAGE_TYPE = 3
_ONCE = frozenset({8, 9, 35, 49, 56, 34, 52, 43, 97, 122})
"""Header fields that decide how a message is handled: of two values, neither can be trusted."""
_REVERSE_ROUTES = ((115, 128), (116, 129), (144, 145), (128, 115), (129, 116), (145, 144))

_SILENCE_UNTIL_TEST = 1.2
_SILENCE_UNTIL_END = 2.4
"""In heartbeat intervals (volume 2, TestRequest: "some reasonable transmission time" on top of the interval)."""
_MOST_EARLY = 10_000
"""Messages that wait for a gap to be filled. Beyond that they are dropped, and asked for when their turn comes."""
_MOST_EARLY_BYTES = 1 << 24
"""As many bytes of them at most."""
_MOST_REQUESTS = 3
"""Times that one gap is asked for, when asking brings nothing."""
_GAP_PATIENCE = 30.0
"""Seconds between them, where heartbeats are off and give no interval."""
_RESEND_PIECE = 1 << 16
"""Bytes of resent messages that are made at once, so that a request for everything does not fill the memory."""
_LONGEST_TEXT = 200
_MOST_DIGITS = 18
"""Of a MsgSeqNum."""


class NotLoggedOn(Exception):  # noqa: N818 - a state of affairs, told to the caller
    """An application message cannot be sent now. It was not stored and will not leave later."""


class Reading(NamedTuple):
    """The clocks: `utc` for what is written into messages, `monotonic` (seconds) for every duration."""

    utc: datetime
    monotonic: float


class State(Enum):
    DISCONNECTED = "disconnected"
    LOGON_SENT = "logon_sent"
    LOGON_AWAITED = "logon_awaited"
    IN_SESSION = "in_session"
    LOGOUT_SENT = "logout_sent"
    CLOSING = "closing"


@dataclass
class _Gap:
    """A hole in what was received that the peer was asked to fill."""

    up_to: int
    """The number that showed it: with that one handled, the hole is filled."""
    expected: int
    """The first number missing when we last looked."""
    asked_at: float
    times: int
    asked_to: int = 0
    """The end of what was asked for; 0 is everything."""


@dataclass
class _Resend:
    first: int
    last: int
    frames: Iterator[bytes]


class Session:
    """One FIX session over any number of connections, one after another.

    `next_outbound` and `next_inbound` are the MsgSeqNum of the next message to send and to receive. Methods that take
    `now` need its monotonic clock to never go back. None of them raises for anything the peer does; what the store
    raises, they do.
    """

    def __init__(self, config: SessionConfig, store: Store | None = None, log: Log | None = None) -> None:
        self.config = config
        self._store = MemoryStore() if store is None else store
        self._log = log
        self._next_outbound = self._store.next_outbound
        self._next_inbound = self._store.next_inbound
        self._under_way: dict[int, None] = {}
        self._void: Counter[int] = Counter()  # under way when the numbers were reset: theirs mean nothing any more
        self._sender, self._target = config.sender_comp_id, config.target_comp_id
        self._check = config.dictionary.check if config.dictionary else None
        self._says_processed = config.last_processed
        self._sent_types: set[str] = set()  # that were found good
        self._judged = b""
        self._validates_all = config.validate == "all"
        self._known_types = config.dictionary.messages.keys() if config.dictionary and self._validates_all else None
        # What stands at the beginning and in the middle of every message.
        self._opening = f"8={config.begin_string}\x019="
        self._comp_ids = f"\x0149={config.sender_comp_id}\x0156={config.target_comp_id}\x0134="
        self._state = State.DISCONNECTED
        self._interval = config.heartbeat_interval
        self._now: Reading
        self._stamped: Reading | None = None
        self._stamp = ""
        self._good_stamp = ""  # a SendingTime found good, by this reading of the clock
        self._good_at: Reading | None = None
        self._deadline = inf
        self._window_ends: datetime | None = None
        self._reset_asked = False
        self._last_sent = 0.0
        self._last_received = 0.0
        self._test_pending = False
        self._decoder = Decoder()
        self._outbound = bytearray()
        self._resends: deque[_Resend] = deque()
        self._early: dict[int, Decoded | None] = {}  # None: only its number is still to be used up
        self._early_order: list[int] = []  # a heap of its numbers
        self._early_bytes = 0
        self._gap: _Gap | None = None
        self._filled_to = 0  # by gap fills: every number below counts as received
        self._events: list[SessionEvent] = []
        # A Logout, and what resets the numbers, is handled before its number is looked at.
        self._actions: dict[str, Callable[[Message, int], None]] = {
            _HEARTBEAT: lambda _message, _number: None,
            _TEST_REQUEST: self._answer_test_request,
            _RESEND_REQUEST: self._answer_resend_request,
            _REJECT: self._note_reject,
            _SEQUENCE_RESET: self._fill_gap,
            _LOGON: self._refuse_second_logon,
        }

    def __repr__(self) -> str:
        return (
            f"<Session {self.config.session_id} {self._state.value}, "
            f"next out {self._next_outbound}, next in {self._next_inbound}>"
        )

    @property
    def state(self) -> State:
        return self._state

    @property
    def next_outbound(self) -> int:
        return self._next_outbound

    @property
    def next_inbound(self) -> int:
        return self._next_inbound

    @property
    def next_unprocessed(self) -> int:
        """The number of the first message that the application is not done with: where a successor begins."""
        return next(iter(self._under_way), self._next_inbound)

    @property
    def has_under_way(self) -> bool:
        """Whether the application was given messages that it is not done with."""
        return bool(self._under_way)

    def out_of_hours(self, utc: datetime) -> bool:
        """Whether the schedule does not allow the session to be logged on."""
        schedule = self.config.schedule
        return schedule is not None and schedule.window_at(utc) is None

    # What the transport and the application call

    def connected(self, now: Reading) -> list[SessionEvent]:
        """A connection is there. The initiator's Logon is then among the bytes to send."""
        if self._state is not State.DISCONNECTED:
            raise RuntimeError(f"{self!r} has a connection already")
        config = self.config
        self._now = now
        self._last_sent = self._last_received = now.monotonic
        if self.out_of_hours(now.utc):
            self._close("out of session hours")
            return self._take_events()
        begins_again = self._begins_again(now.utc)
        asks_for_reset = config.reset_on_logon or self._reset_asked
        resets = asks_for_reset or begins_again
        # First what may fail, so that a session without its secrets stays disconnected.
        number = 1 if resets else self._next_outbound
        request = LogonRequest(config.sender_comp_id, config.target_comp_id, number, self._sending_time())
        logon_fields = config.logon_fields(request) if config.logon_fields else ()
        if resets:
            self._reset_numbers()
        elif self._store.created is None:
            self._store.created = now.utc
        self._deadline = now.monotonic + config.logon_timeout
        if config.role == "acceptor":
            self._state = State.LOGON_AWAITED
        else:
            self._state = State.LOGON_SENT
            self._send_logon(reset=asks_for_reset, fields=logon_fields)
        return self._take_events()

    def _begins_again(self, utc: datetime) -> bool:
        """Whether the numbers are of an earlier window: the session's hours began anew, seen or in a downtime."""
        schedule, created = self.config.schedule, self._store.created
        self._window_ends = None
        if schedule is None:
            return False
        window = schedule.window_at(utc)
        self._window_ends = window.end if window else None
        return created is not None and not schedule.same_window(created, utc)

    def receive(self, data: bytes, now: Reading) -> list[SessionEvent]:
        """Bytes from the peer, cut anyhow."""
        if self._state is State.DISCONNECTED:
            raise RuntimeError(f"{self!r} has no connection to receive from")
        self._now = now
        if self._state is not State.CLOSING:
            self._decoder.feed(data)
        self._handle_all()
        return self._take_events()

    def _handle_all(self) -> None:
        """What is there as whole messages."""
        now = self._now
        while self._state is not State.CLOSING:
            decoded = self._decoder.next()
            if decoded is None:
                break
            if self._log is not None:
                self._log.received(now.utc, decoded.frame)
            self._last_received = now.monotonic
            self._test_pending = False
            self._handle(decoded)
        if self._log is not None:
            if self._decoder.dropped:
                self._log.event(now.utc, f"{self._decoder.dropped} bytes that are no message were ignored")
            self._log.flush()
        self._decoder.dropped = 0
        if not self._under_way and not self._reset_asked:
            self._store.processed(self._next_inbound)

    def processed(self, *numbers: int) -> None:
        """The application is done with messages (`MessageReceived`, `MessageRefused`, `Rejected`). What it is not done
        with comes again after a crash, as a possible duplicate: each at least once."""
        for number in numbers:
            if self._void[number]:
                self._void[number] -= 1
            else:
                self._under_way.pop(number, None)
        if not self._reset_asked:
            self._store.processed(self.next_unprocessed)

    def give_back(self) -> None:
        """What the application is not done with is to come again: the next Logon asks for it. For a session whose
        connection is over or ends."""
        self._next_inbound = self.next_unprocessed
        self._under_way.clear()

    def judge(self, logon: Decoded, now: Reading) -> str | None:
        """Why a Logon that comes on another connection would be refused, or None. Nothing changes by it: anyone could
        end a session otherwise."""
        message, before = logon.message, self._now
        self._now = now
        try:
            if message.get(8) != self.config.begin_string:
                raise FieldError(8, message.get(8), self.config.begin_string)
            number = parse_integer(34, message.require(34))
            self._check_header(message)
            self._check_logon(logon)
            if message.get(141) == "Y":
                refusal = self._refuses_reset(number)
            else:
                refusal = self._too_low(number) if number < self._next_inbound else None
        except (FieldError, _LogonRefusedError) as error:
            refusal = str(error)
        finally:
            self._now = before
        self._judged = b"" if refusal else logon.frame
        return refusal

    def send(self, message: Message, now: Reading) -> int:
        """Send an application message; its MsgSeqNum. Raises `NotLoggedOn`, or `FieldError` for what cannot be sent."""
        if self._state is not State.IN_SESSION:
            raise NotLoggedOn(f"{self.config.session_id} is {self._state.value}")
        msg_type = message.msg_type
        if msg_type not in self._sent_types:
            if msg_type in _ADMINISTRATIVE or not msg_type.isascii() or not _MSG_TYPE.fullmatch(msg_type):
                raise FieldError(35, msg_type, "an application message's")
            self._sent_types.add(msg_type)
        self._now = now
        return self._transmit(msg_type, message.fields, keep=True)

    def reset(self, now: Reading) -> list[SessionEvent]:
        """Have both sides begin again at 1 without ending the session (ResetSeqNumFlag, 141=Y). What was sent cannot be
        resent any more. Raises `NotLoggedOn`."""
        if self._state is not State.IN_SESSION:
            raise NotLoggedOn(f"{self.config.session_id} is {self._state.value}")
        self._now = now
        # What the peer has under way still counts by the old numbers: ours for it change with its answer.
        inbound = self._next_inbound
        # The store has 1 until then: after a crash all the peer sends is asked for, whatever it counts by.
        self._reset_numbers()
        self._next_inbound = inbound
        self._reset_asked = True
        self._send_logon(reset=True)
        return self._take_events()

    def tick(self, now: Reading, *, reading: bool = True) -> list[SessionEvent]:
        """Do what is due: heartbeats, test requests, timeouts. `reading` False: the transport does not listen just
        now (its application has not kept up), so silence says nothing about the peer."""
        self._now = now
        if not reading:
            self._last_received = now.monotonic
            if self._gap is not None:
                self._gap.asked_at = now.monotonic
        if now.monotonic >= self._deadline:
            self._close(
                f"no answer to Logout within {self.config.logout_timeout:g} s"
                if self._state is State.LOGOUT_SENT
                else f"no Logon within {self.config.logon_timeout:g} s"
            )
        if self._state is State.IN_SESSION and self._window_ends is not None and now.utc >= self._window_ends:
            self._begin_logout("the session's hours are over")
        if self._state is State.IN_SESSION:
            self._watch_gap()
            self._watch_silence()
        return self._take_events()

    def next_tick(self) -> float:
        """When `tick` has something to do, by the monotonic clock; infinity if never."""
        if self._state is not State.IN_SESSION:
            return self._deadline
        due = inf if self._gap is None else self._gap.asked_at + self._gap_patience()
        if self._window_ends is not None:
            due = min(due, self._now.monotonic + max(0.0, (self._window_ends - self._now.utc).total_seconds()))
        if self._interval:
            due = min(due, self._last_sent + self._interval, self._silence_ends())
        return due

    def logout(self, now: Reading, text: str = "") -> list[SessionEvent]:
        """End the session; without one, the connection. The peer has `logout_timeout` to answer."""
        self._now = now
        if self._state is State.IN_SESSION:
            self._begin_logout(text)
        elif self._state in (State.LOGON_SENT, State.LOGON_AWAITED):
            self._close(text or "ended before the Logon was answered")
        return self._take_events()

    def disconnected(self, now: Reading) -> list[SessionEvent]:
        """The connection is gone, whoever closed it."""
        self._now = now
        if self._state in (State.IN_SESSION, State.LOGOUT_SENT):
            self._events.append(LoggedOut("the connection was lost"))
        self._state = State.DISCONNECTED
        self._deadline = inf
        self._test_pending = False
        self._decoder = Decoder()
        self._outbound.clear()
        self._forget_recovery()
        if self._reset_asked and self.config.role == "acceptor":
            # Nobody knows whether the peer has begun again. From 1 on all it sends is asked for, whatever it counts by.
            self._reset_asked = False
            self._begin_inbound(1)
        return self._take_events()

    def save(self) -> None:
        """Have the store and the log write what they were told. `bytes_to_send` does it too."""
        self._store.commit()
        if self._log is not None:
            self._log.flush()

    def bytes_to_send(self, now: Reading | None = None) -> bytes:
        """What is to be written now. Call until it is empty; while the peer does not read, do not call.

        What it gives is in the store by then. `now` is for what is resent, which is made as it leaves.
        """
        if now is not None and self._resends:
            self._now = now
        if self._outbound:
            self._store.commit()
        data, self._outbound = self._outbound, bytearray()
        while self._resends and len(data) < _RESEND_PIECE:
            frame = next(self._resends[0].frames, None)
            if frame is None:
                self._resends.popleft()
            else:
                data += frame
        if data and self._log is not None:
            self._log.flush()
        return bytes(data)

    @property
    def waiting_bytes(self) -> int:
        """How much `bytes_to_send` holds by now, without resends, which are made as they leave."""
        return len(self._outbound)

    # What arrives: header, then number, then body (FIX.md's order of checks; volume 2, "Message recovery")

    def _handle(self, decoded: Decoded) -> None:
        message = decoded.message
        first = message.first
        if first.get(8) != self.config.begin_string:
            self._end(f"BeginString (8) is {first.get(8)!r}, it must be {self.config.begin_string}")
            return
        digits = first.get(34, "")
        if not digits.isdecimal() or len(digits) > _MOST_DIGITS:
            # Without a number it cannot even be rejected.
            self._end(f"tag 34 is {first.get(34)!r}: it must be a number of digits alone")
            return
        number = int(digits)
        try:
            possible_duplicate = self._check_header(message)
        except FieldError as error:
            self._refuse_header(message, number, error)
            return
        state, msg_type = self._state, message.msg_type
        if state is State.LOGON_SENT or state is State.LOGON_AWAITED:
            self._handle_first(decoded, number)
        elif msg_type == _SEQUENCE_RESET and first.get(123) != "Y":
            self._handle_reset(decoded)
        elif msg_type == _LOGON and first.get(141) == "Y" and not possible_duplicate:
            self._handle_reset_request(decoded, number)
        elif possible_duplicate and number < self._next_inbound:
            return  # had it already
        elif msg_type == _LOGOUT:
            self._handle_logout(message, number)
        elif number < self._next_inbound:
            self._end(self._too_low(number))
        elif number > self._next_inbound:
            self._keep_early(decoded, number)
        else:
            self._take(decoded, number)
            if self._gap is not None or self._early or self._filled_to > self._next_inbound:
                self._take_early()

    def _check_header(self, message: Message) -> bool:
        """Whether it is a possible duplicate; raises `FieldError`."""
        first = message.first
        if message.has_repeats:
            tags = [tag for tag, _ in message.fields if tag in _ONCE]
            if len(tags) != len(set(tags)):
                repeated = next(tag for tag in tags if tags.count(tag) > 1)
                raise FieldError(repeated, message.get(repeated), "there once", reason=13)
        if first.get(49) != self._target:
            raise FieldError(49, message.require(49), self._target, reason=9)
        if first.get(56) != self._sender:
            raise FieldError(56, message.require(56), self._sender, reason=9)
        stamp = first.get(52) or message.require(52)
        if stamp == self._good_stamp and self._good_at is self._now and 43 not in first:
            return False
        sending_time = parse_timestamp(52, stamp)
        if abs((sending_time - self._now.utc).total_seconds()) > self.config.maximum_time_difference:
            limit = f"within {self.config.maximum_time_difference:g} s of {format_timestamp(52, self._now.utc)}"
            raise FieldError(52, message.get(52), limit, reason=10)
        self._good_stamp, self._good_at = stamp, self._now
        if 43 not in first or not parse_boolean(43, first[43]):
            return False
        # Gap fills of many engines carry 43=Y without 122, and nothing depends on it there.
        if message.msg_type != _SEQUENCE_RESET or 122 in first:
            original = parse_timestamp(122, message.require(122))
            if original > sending_time and self.config.mistimed == "reject":
                raise FieldError(122, message.get(122), f"not after SendingTime {message.get(52)}", reason=10)
        return True

    def _refuse_header(self, message: Message, number: int, error: FieldError) -> None:
        ends = error.reason in (9, 10)
        is_logged_on = self._state in (State.IN_SESSION, State.LOGOUT_SENT)
        if error.reason == 10 and is_logged_on and self.config.mistimed == "end":
            self._end(str(error))
            return
        is_its_turn = number == self._next_inbound
        self._use_up(number)
        if self._state in (State.LOGON_SENT, State.LOGON_AWAITED):
            self._end(str(error))
            return
        self._reject(message, error)
        if is_its_turn:
            self._tell_refused(message, number, str(error))
        if ends and self._state is State.IN_SESSION:
            self._begin_logout(str(error))
        self._take_early()

    def _handle_first(self, decoded: Decoded, number: int) -> None:
        message = decoded.message
        if message.msg_type in (_LOGOUT, _REJECT) and self._state is State.LOGON_SENT:
            self._use_up(number)
            self._close(f"the Logon was refused: {message.get(58) or 'without a reason'}")
            return
        if message.msg_type != _LOGON:
            # Volume 2, "Logon": the first message has to be one; the connection ends without an answer.
            self._close(f"the first message was of type {message.msg_type}, not a Logon")
            return
        try:
            interval = self._check_logon(decoded)
        except _LogonRefusedError as refused:
            self._use_up(number)
            self._end(str(refused))
            return
        reset = message.get(141) == "Y"
        if reset and (refusal := self._refuses_reset(number)):
            self._end(refusal)
            return
        acceptor = self.config.role == "acceptor"
        begins_again = reset and acceptor
        sent = 0 if begins_again else self._next_outbound - (1 if acceptor else 2)
        try:
            wanted = self._wanted_from(message, sent + (1 if acceptor else 2))
        except FieldError as error:
            if not begins_again:
                self._use_up(number)
            self._end(str(error))
            return
        if begins_again:
            self._reset_numbers()
        if number < self._next_inbound:
            self._end(self._too_low(number))
            return
        early = number > self._next_inbound
        self._use_up(number)
        self._interval = interval
        if acceptor:
            self._send_logon(reset=reset)
        self._state = State.IN_SESSION
        self._reset_asked = False
        self._deadline = inf
        self._events.append(LoggedOn())
        if wanted is not None and wanted <= sent:
            self._resends.append(_Resend(wanted, sent, self._resend(wanted, sent)))
        if early:
            self._wait(number, None)
            # Who reads our 789 resends by itself.
            self._ask_for_gap(number, ask=wanted is None)

    def _wanted_from(self, logon: Message, highest: int) -> int | None:
        """NextExpectedMsgSeqNum (789), where both sides use it; raises `FieldError`."""
        if not self.config.next_expected or logon.get(789) is None:
            return None
        wanted = parse_integer(789, logon.require(789))
        if not 1 <= wanted <= highest:
            raise FieldError(789, logon.get(789), f"from 1 to {highest}, the next number that is sent")
        return wanted

    def _check_logon(self, decoded: Decoded, *, authenticated: bool = False) -> int:
        """Its heartbeat interval."""
        defect = self._defect_of(decoded)
        if defect is not None:
            raise _LogonRefusedError(defect.text)
        message = decoded.message
        try:
            if message.require(98) != "0":
                raise FieldError(98, message.get(98), "0, no encryption")
            interval = parse_integer(108, message.require(108))
            if interval < 0:
                raise FieldError(108, message.get(108), "0 (off) or more seconds")
            if self.config.begin_string == "FIXT.1.1":
                message.require(1137)
        except FieldError as error:
            raise _LogonRefusedError(str(error)) from None
        if self.config.role == "initiator":
            return self.config.heartbeat_interval
        # Asked once for each Logon: it may be about a password that is good only once. What was judged good is that for
        # the one time that it then comes.
        good, self._judged = decoded.frame == self._judged, b""
        if self.config.authenticate is not None and not authenticated and not good:
            refusal = self.config.authenticate(message)
            if refusal is not None:
                raise _LogonRefusedError(refusal)
        return interval

    def _handle_reset(self, decoded: Decoded) -> None:
        """SequenceReset in its Reset mode (123=N): its own number says nothing, 36 is the next one."""
        message, defect = decoded.message, self._defect_of(decoded)
        if defect is not None:
            self._send_reject(message, defect.reason, defect.ref_tag, defect.text)
            return
        try:
            new = parse_integer(36, message.require(36))
            if new < self._next_inbound:
                raise FieldError(36, message.get(36), f"at least {self._next_inbound}, the number expected")
        except FieldError as error:
            self._reject(message, error)
            return
        self._next_inbound = new
        for void in [number for number in self._early if number < new]:
            waiting = self._early.pop(void)
            self._early_bytes -= len(waiting.frame) if waiting else 0
        self._take_early()

    def _handle_reset_request(self, decoded: Decoded, number: int) -> None:
        """Logon with ResetSeqNumFlag (141=Y) in mid-session: answered in kind, the connection stays."""
        try:
            self._interval = self._check_logon(decoded, authenticated=True)
        except _LogonRefusedError as refused:
            self._end(str(refused))
            return
        if self._reset_asked and number == 1:
            self._reset_asked = False
            self._begin_inbound(2)
            return
        refusal = self._refuses_reset(number)
        if refusal:
            self._end(refusal)
            return
        self._reset_numbers()
        self._begin_inbound(2)
        self._send_logon(reset=True)

    def _begin_inbound(self, expected: int) -> None:
        self._forget_under_way()
        self._forget_early()
        self._next_inbound = expected

    def _refuses_reset(self, number: int) -> str | None:
        if self.config.role == "initiator" and not (self.config.reset_on_logon or self._reset_asked):
            # Taking it would drop, unseen, whatever the peer had still to resend.
            return "ResetSeqNumFlag (141) was not asked for and is not agreed"
        if number != 1:
            return f"MsgSeqNum (34) is {number}: with ResetSeqNumFlag (141) it must be 1"
        return None

    def _handle_logout(self, message: Message, number: int) -> None:
        """Taken whatever its number: what may be missing before it is asked for after the next Logon."""
        self._use_up(number)
        reason = message.get(58) or "the peer logged out"
        if self._state is State.IN_SESSION:
            self._transmit_logout()
        self._close(reason)

    def _keep_early(self, decoded: Decoded, number: int) -> None:
        answered = decoded.message.msg_type == _RESEND_REQUEST and self._defect_of(decoded) is None
        if number not in self._early and len(self._early) < _MOST_EARLY and self._early_bytes < _MOST_EARLY_BYTES:
            self._wait(number, None if answered else decoded)
        if answered:
            # At once: were both sides to wait for their own gap first, they would wait for ever.
            self._perform(decoded.message, number, self._answer_resend_request)
        self._ask_for_gap(number)

    def _wait(self, number: int, decoded: Decoded | None) -> None:
        self._early[number] = decoded
        heappush(self._early_order, number)
        self._early_bytes += len(decoded.frame) if decoded else 0

    def _next_early(self) -> int | None:
        """The lowest number that waits."""
        while self._early_order and self._early_order[0] not in self._early:
            heappop(self._early_order)
        return self._early_order[0] if self._early_order else None

    def _take_early(self) -> None:
        """Handle what waited, as far as it is its turn.

        What waited within a gap fill is handled too, though the peer would not send it again: it was truly sent. Other
        engines drop it, and with it executions that were received.
        """
        while self._state is not State.CLOSING:
            number = self._next_inbound
            if number in self._early:
                decoded = self._early.pop(number)
                if decoded is None:
                    self._next_inbound = number + 1
                else:
                    self._early_bytes -= len(decoded.frame)
                    self._take(decoded, number)
            elif number < self._filled_to:
                self._next_inbound = min(self._next_early() or self._filled_to, self._filled_to)
            else:
                break
        gap = self._gap
        if gap is not None and self._next_inbound > gap.up_to:
            self._gap = None
        elif gap is not None and gap.asked_to and self._next_inbound > gap.asked_to:
            self._request_resend(gap)
        if self._gap is None and self._state is not State.CLOSING and (early := self._next_early()) is not None:
            self._ask_for_gap(early)

    def _take(self, decoded: Decoded, number: int) -> None:
        """A message in its turn. Its number is used up, also if its body is then rejected."""
        message = decoded.message
        self._next_inbound = number + 1
        defect = self._defect_of(decoded)
        if defect is not None:
            self._send_reject(message, defect.reason, defect.ref_tag, defect.text)
            self._tell_refused(message, number, defect.text)
            return
        msg_type = message.msg_type
        action = self._actions.get(msg_type)
        if action is not None:
            self._perform(message, number, action)
        elif self._known_types is None or msg_type in self._known_types:
            self._under_way[number] = None
            first = message.first
            self._events.append(MessageReceived(message, number, first.get(43) == "Y", first.get(97) == "Y"))
        else:
            self._refuse_type(message)

    def _defect_of(self, decoded: Decoded) -> Defect | None:
        if decoded.defect is not None or self._check is None:
            return decoded.defect
        if not self._validates_all and decoded.message.msg_type not in _ADMINISTRATIVE:
            return None
        return self._check(decoded.message)

    def _tell_refused(self, message: Message, number: int, reason: str) -> None:
        if message.msg_type not in _ADMINISTRATIVE:
            self._under_way[number] = None
            self._events.append(MessageRefused(message, number, reason))

    def _refuse_type(self, message: Message) -> None:
        """Of a type that is none, or none of ours (volume 2, "Reject" and "Business Message Reject")."""
        msg_type = message.msg_type
        if not _MSG_TYPE.fullmatch(msg_type):
            self._send_reject(message, 11, 35, f"invalid MsgType (35) {msg_type!r}")
            return
        text = f"MsgType (35) {msg_type} is not supported"
        fields = [(45, message.require(34)), (372, msg_type), (380, str(_UNSUPPORTED_MESSAGE_TYPE)), (58, text)]
        self._transmit("j", [*self._way_back(message), *fields], keep=True)

    def _perform(self, message: Message, number: int, action: Callable[[Message, int], None]) -> None:
        try:
            action(message, number)
        except FieldError as error:
            self._reject(message, error)

    def _answer_test_request(self, message: Message, _number: int) -> None:
        self._transmit(_HEARTBEAT, [(112, message.require(112))])

    def _answer_resend_request(self, message: Message, _number: int) -> None:
        first = parse_integer(7, message.require(7))
        last = parse_integer(16, message.require(16))
        sent = self._next_outbound - 1
        if not 1 <= first <= sent:
            raise FieldError(7, message.get(7), f"from 1 to {sent}, the last number sent")
        if last != 0 and last < first:
            raise FieldError(16, message.get(16), "0 or not below BeginSeqNo (7)")
        last = sent if last == 0 else min(last, sent)
        # What is being resent and asked for again is resent once: requests that overlap become one.
        for resend in [other for other in self._resends if other.first <= last and first <= other.last]:
            self._resends.remove(resend)
            first, last = min(first, resend.first), max(last, resend.last)
        self._resends.append(_Resend(first, last, self._resend(first, last)))

    def _note_reject(self, message: Message, number: int) -> None:
        self._events.append(Rejected(parse_integer(45, message.require(45)), message, number))
        self._under_way[number] = None

    def _refuse_second_logon(self, message: Message, _number: int) -> None:
        if message.get(43) != "Y":
            raise FieldError(35, message.msg_type, "another type: the session is logged on", reason=99)

    def _fill_gap(self, message: Message, number: int) -> None:
        new = parse_integer(36, message.require(36))
        if new <= number:
            raise FieldError(36, message.get(36), f"above its own number, {number}")
        self._filled_to = max(self._filled_to, new)

    # What leaves

    def _transmit(self, msg_type: str, fields: Sequence[Field], *, keep: bool = False) -> int:
        number = self._next_outbound
        frame = self._frame(msg_type, number, "", fields)
        self._store.sent(number, frame if keep else None)
        self._outbound += frame
        self._next_outbound = number + 1
        self._last_sent = self._now.monotonic
        return number

    def _frame(self, msg_type: str, number: int, duplicate: str, fields: Sequence[Field]) -> bytes:
        head = f"35={msg_type}{self._comp_ids}{number}\x0152={self._sending_time()}{duplicate}"
        if self._says_processed:
            head += f"\x01369={self._next_inbound - 1}"
        frame = assemble(self._opening, head, fields)
        if self._log is not None:
            self._log.sent(self._now.utc, frame)
        return frame

    def _duplicate_frame(self, msg_type: str, number: int, sending_time: str, fields: Sequence[Field]) -> bytes:
        self._last_sent = self._now.monotonic
        return self._frame(msg_type, number, f"\x0143=Y\x01122={sending_time}", fields)

    def _sending_time(self) -> str:
        if self._stamped is not self._now:
            self._stamped = self._now
            self._stamp = format_timestamp(52, self._now.utc, self.config.sending_time_digits)
        return self._stamp

    def _send_logon(self, *, reset: bool, fields: Sequence[Field] = ()) -> None:
        logon: list[Field] = [(98, "0"), (108, str(self._interval))]
        if reset:
            logon.append((141, "Y"))
        if self.config.next_expected:
            logon.append((789, str(self._next_inbound)))
        if self.config.begin_string == "FIXT.1.1":
            logon.append((1137, self.config.default_appl_ver_id))
        self._transmit(_LOGON, [*logon, *fields])

    def _resend(self, first: int, last: int) -> Iterator[bytes]:
        """Application messages as they were; each run of anything else as one gap fill."""
        number = first
        may_resend = self.config.may_resend
        for sent_number, frame in self._store.between(first, last):
            sent = decode_frame(frame)
            if may_resend is not None and not may_resend(sent):
                continue
            if sent_number > number:
                yield self._gap_fill(number, sent_number)
            fields = [field for field in sent.fields if field[0] not in _SESSIONS_OWN]
            yield self._duplicate_frame(sent.msg_type, sent_number, sent.require(52), fields)
            number = sent_number + 1
        if number <= last:
            yield self._gap_fill(number, last + 1)

    def _gap_fill(self, number: int, new: int) -> bytes:
        return self._duplicate_frame(_SEQUENCE_RESET, number, self._sending_time(), [(123, "Y"), (36, str(new))])

    def _reject(self, message: Message, error: FieldError) -> None:
        self._send_reject(message, error.reason, error.tag or None, str(error))

    def _send_reject(self, message: Message, reason: int, ref_tag: int | None, text: str) -> None:
        fields = [*self._way_back(message), (45, message.require(34))]
        if ref_tag is not None:
            fields.append((371, str(ref_tag)))
        if message.msg_type:
            fields.append((372, _sayable(message.msg_type)))
        if self.config.begin_string != "FIX.4.2" or reason <= _HIGHEST_REASON_OF_4_2:
            fields.append((373, str(reason)))
        self._transmit(_REJECT, [*fields, (58, _sayable(text))])

    def _way_back(self, message: Message) -> list[Field]:
        """Who it was from and for, turned round (volume 2, "Third party message routing")."""
        return [(ours, route) for theirs, ours in _REVERSE_ROUTES if (route := message.get(theirs))]

    def _begin_logout(self, text: str) -> None:
        self._transmit_logout(text)
        self._state = State.LOGOUT_SENT
        self._deadline = self._now.monotonic + self.config.logout_timeout

    def _transmit_logout(self, text: str = "") -> None:
        self._transmit(_LOGOUT, [(58, _sayable(text))] if text else [])

    def _end(self, text: str) -> None:
        """Logout without waiting for its answer."""
        if self._state is not State.LOGOUT_SENT:
            self._transmit_logout(text)
        self._close(text)

    def _close(self, reason: str) -> None:
        if self._state in (State.IN_SESSION, State.LOGOUT_SENT):
            self._events.append(LoggedOut(reason))
        self._events.append(Disconnect(reason))
        self._state = State.CLOSING
        self._deadline = inf
        self._forget_recovery()

    # Numbers, gaps, silence

    def _too_low(self, number: int) -> str:
        return f"MsgSeqNum too low, expecting {self._next_inbound} but received {number}"

    def _use_up(self, number: int) -> None:
        if number == self._next_inbound:
            self._next_inbound += 1

    def _reset_numbers(self) -> None:
        self._next_outbound = self._next_inbound = 1
        self._forget_under_way()
        self._store.reset(self._now.utc)
        self._forget_recovery()
        self._events.append(NumbersReset())

    def _forget_under_way(self) -> None:
        self._void = +self._void
        self._void.update(list(self._under_way))
        self._under_way.clear()

    def _forget_recovery(self) -> None:
        self._resends.clear()
        self._forget_early()

    def _forget_early(self) -> None:
        self._early.clear()
        self._early_order.clear()
        self._early_bytes = 0
        self._gap = None
        self._filled_to = 0

    def _ask_for_gap(self, up_to: int, *, ask: bool = True) -> None:
        if self._gap is not None:
            return
        self._gap = _Gap(up_to, self._next_inbound, self._now.monotonic, times=0)
        if ask:
            self._request_resend(self._gap)

    def _request_resend(self, gap: _Gap) -> None:
        """Ask for what is missing: all of it at once, or the next chunk. The open end (16=0) has in it whatever was
        sent meanwhile, so that the gap needs no second request."""
        chunk = self.config.resend_chunk
        if self._next_inbound > gap.expected:
            gap.expected, gap.times = self._next_inbound, 0
        gap.asked_at = self._now.monotonic
        gap.times += 1
        gap.asked_to = min(gap.expected + chunk, gap.up_to) - 1 if chunk else 0
        self._transmit(_RESEND_REQUEST, [(7, str(gap.expected)), (16, str(gap.asked_to))])

    def _gap_patience(self) -> float:
        return self._interval or _GAP_PATIENCE

    def _watch_gap(self) -> None:
        """A request can get lost like any message, and the peer gap-fills it when it finds out: then nobody waits for
        anybody. So a gap that does not move is asked for again, some times."""
        gap = self._gap
        if gap is None or self._now.monotonic < gap.asked_at + self._gap_patience():
            return
        if self._next_inbound > gap.expected:
            gap.expected, gap.asked_at, gap.times = self._next_inbound, self._now.monotonic, 1
        elif gap.times < _MOST_REQUESTS:
            self._request_resend(gap)
        else:
            self._end(f"messages from {gap.expected} were asked for {gap.times} times and did not come")

    def _silence_ends(self) -> float:
        factor = _SILENCE_UNTIL_END if self._test_pending else _SILENCE_UNTIL_TEST
        return self._last_received + factor * self._interval

    def _watch_silence(self) -> None:
        if not self._interval or self._state is not State.IN_SESSION:
            return
        now = self._now.monotonic
        if now >= self._silence_ends():
            if self._test_pending:
                self._close(f"nothing received for {now - self._last_received:.1f} s")
                return
            if self._decoder.waiting:
                # A message that has not ended in all this time: its BodyLength may be wrong, and have swallowed others.
                self._decoder.give_up_waiting()
                self._handle_all()
                if self._last_received == now or self._state is not State.IN_SESSION:
                    return
            self._test_pending = True
            self._transmit(_TEST_REQUEST, [(112, f"TEST-{self._next_outbound}")])
        if now >= self._last_sent + self._interval:
            self._transmit(_HEARTBEAT, [])

    def _take_events(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events


class _LogonRefusedError(Exception):
    """Why a Logon is not accepted."""


def _sayable(text: str) -> str:
    """What can stand in Text (58), whatever it was made from."""
    printable = "".join(character if character.isprintable() else "?" for character in text[:_LONGEST_TEXT])
    return printable.encode("latin-1", "replace").decode("latin-1")
