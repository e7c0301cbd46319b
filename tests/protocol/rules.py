"""The protocol's rules, each of which can be taken away: where it stands in the code, and what it is against."""

from enum import Enum


class Rule(Enum):
    """Rules of `gateway/` first, then what is assumed of the venue (`VENUE_…`)."""

    TAKE_ONLY_UNCHANGED = "Candidate._take: the lease row is replaced only under the ETag that was seen"
    FENCED_WRITES = "LeaseWriter._submit: every write of the holder carries the lease row under its ETag"
    STOP_BEFORE_EXPIRY = "LeaseWriter.holds: the holder stops before anybody may follow, by its own clock"
    RECOVER_CLAIMS = "Settling.take_over: what an older epoch has claimed is taken up"
    INSERT_ONCE = "Outbox.insert: there is one row for a ClOrdID, whoever hands it in, and how often"
    ONLY_PENDING_DIES = "Outbox.burying: only a row that is pending may become dead"
    CLAIM_BEFORE_SEND = "Claiming.claim: no byte leaves before the row says that this epoch has claimed it"
    JOURNAL_IS_ASKED_FIRST = "Settling._is_told: what the journal tells of is neither asked about nor sent again"
    ASK_BEFORE_RESEND = "Settling._is_unknown: an order that may have left is asked about"
    FRESH_ANSWERS = "Hearing._on_report: `unknown` that is resent answers an older question"
    SAME_CLORDID = "Settling._send_again: what leaves again does so under its ClOrdID"
    ONLY_UNSENT_GIVEN_BACK = "Pump._rest: only what has never left becomes pending again"
    FENCED_SOCKET = "FencedSession: the lease is looked at in the last call before the socket"
    GIVE_UP_BY_LEASE = "Leaving._give_up: what will not leave any more is written down by the holder before it is told"
    LOGON_AT_BLOCK_END = "Candidate._take: a successor begins beyond all numbers of its predecessor"
    ONLY_SENDER_RESENDS = "Settling.may_resend: what this process has not sent is gap-filled"
    ONE_ROW_PER_REPORT = "Journal.append: a report that has a row gets no second one"
    INSERT_UNDER_NEXT_NUMBER = "Journal._insert: whoever inserts row n knows all rows before it"
    JOURNAL_BEFORE_CURSOR = "Delivery.run: the inbound cursor passes a report when it is journalled"
    WAKE_BEFORE_CURSOR = "Delivery.run: ... and delivered"
    WAKE_BEFORE_ACKNOWLEDGED = "Delivery.run: what no message brings again is acknowledged when it is delivered"
    REPEATED_ANSWER_WAKES = "Recorder.record: an answer that was journalled is delivered again when it comes again"
    VENUE_NEW_LOGON_ENDS_OLD = "a new Logon ends the old connection, and what arrives there later is dropped"
    VENUE_REFUSES_REPEATS = "a ClOrdID that the venue has is refused"
    VENUE_RESENDS = "what the venue has sent it sends again when it is asked for"


ALL = frozenset(Rule)
