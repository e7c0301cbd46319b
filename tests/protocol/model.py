"""The lease and outbox protocol of `gateway/` as a machine of small steps, for one order and two processes.

A step is what nothing can get in between of: one change in storage, one message on a connection, one decision in a
process. A process that is stopped and goes on is one that takes no step while others do; so every stop is among the
interleavings, and it only counts as a fault where the lease runs out meanwhile.

What time is to the protocol is two events: the lease may be taken (a candidate has seen the row unchanged for the lease
time), and, no later, its holder no longer holds it by its own clock. The order's deadline passes once, at any moment.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.protocol.rules import Rule

Phase = Literal["candidate", "taking", "took", "holds", "dead"]
Link = Literal["", "dialled", "on", "out"]  # out: asked to end; it neither sends nor reads any more
Stage = Literal[
    "",  # not known here
    "queued",  # claimed by this epoch, never left
    "uncertain",  # may have left: to be settled after the logon
    "asked",
    "unknown",  # to the venue
    "again",  # in the queue once more, with PossResend
    "sent",
    "done",
]
Item = tuple[
    str, int, int
]  # kind of report, its number (0: our own words), the journal's row once it is there (else 0)
Message = tuple[str, int, int]  # kind, number, and for a gap fill the number after it
Write = tuple[str, int, str]  # what, the epoch of its fence, and "" (under way), "done", "refused", "fenced"
Label = tuple[int, str]  # who, what
A, B, WORLD = 0, 1, 2

_BLOCK = 100
UNREPORTED = ("uncertain", "asked", "unknown", "again", "sent")
"""What the ledger has as `unreported`; also what it has queued, but that the venue cannot report on."""


class Process(NamedTuple):
    """One owner. Everything here is lost when it dies but for the bytes and the write that are on their way."""

    phase: Phase = "candidate"
    epoch: int = 0
    holds: bool = False  # by its own clock
    submission: str = "todo"  # the caller's activity here: todo, insert, claim, done
    stage: Stage = ""
    number: int = 0  # that the order was last sent under
    again: bool = False  # whether this epoch has sent it again
    next_out: int = 0
    next_in: int = 0
    processed: int = 0  # the cursor as it is to be written
    item: Item | None = None
    acknowledge: bool = False  # waits to be written
    write: Write | None = None
    hand: str = ""  # the message that has passed the check of the lease, and is about to be written to the socket
    link: Link = ""
    dials: int = 0  # how often it may still connect after its lease was taken
    resets: bool = False  # whether its next Logon begins the numbers again
    answered: bool = False  # the venue's ResendRequest on this connection
    # The connection, as the venue has it.
    open: bool = False
    accepted: bool = False
    wire: tuple[Message, ...] = ()
    gap: int = 0  # the first number that the venue misses
    logon: int = 0  # the number of the Logon
    old_reports: int = 0  # numbers up to here are resent on this connection
    readable: int = 0  # numbers up to here have arrived, where it is over

    @property
    def releases(self) -> bool:
        """Whether its last write, the lease's release, is on its way or has arrived."""
        return self.write is not None and self.write[0] == "release"


class World(NamedTuple):
    """Storage, venue and caller, and both processes."""

    owner: int
    epoch: int
    cursor: int
    unchanged: bool  # the lease row has not changed for the lease time
    row: str  # of the outbox: absent, pending, claimed (or sent, which is the same), given_up, acknowledged, dead
    journal: tuple[tuple[str, int], ...]  # kind and message
    woken: frozenset[int]  # the rows that the caller was told of
    known_rows: tuple[int, int]  # only without INSERT_UNDER_NEXT_NUMBER
    late: bool
    cancel: str  # the caller's cancel: "", read, bury, asked, done
    answered: bool  # the caller's submission was answered
    told_not_sent: bool
    current: int  # whose connection the venue's session is on
    expected: int  # by the venue
    effects: int
    known: bool  # the venue has the ClOrdID
    log: tuple[str, ...]  # what the venue has sent
    crashes: int
    stops: int
    cuts: int
    ends: int  # how often a holder may still be asked to end
    is_marked: bool  # the lease row says that the numbers are to begin again
    first: int  # the epoch whose numbers began at 1
    is_spoilt: bool  # a Logon with the numbers of before the reset was accepted after it
    processes: tuple[Process, Process]


class Scenario(NamedTuple):
    """What is handed in, how the venue is, and the faults that may happen."""

    name: str
    is_order: bool = True
    may_be_late: bool = True
    may_be_withdrawn: bool = True
    mute: bool = False
    forgetful: bool = False
    is_handed_in_twice: bool = True
    crashes: int = 1
    stops: int = 1
    cuts: int = 0
    returns: int = 0
    """How often a process may connect after its lease was taken."""
    is_fenced: bool = True
    """Whether FENCED_SOCKET is there: it is taken away where something else is to hold without it."""
    ends: int = 0
    """How often a holder is asked to end."""
    is_reset: bool = False
    """Whether it is to end for a reset of the numbers."""


LATE = Scenario("an order whose time may run out", may_be_withdrawn=False)
WITHDRAWN = Scenario("an order that the caller may want back", may_be_late=False)
CUT = Scenario("an order whose connection may break", may_be_withdrawn=False, stops=0, cuts=1)
RETURNS = Scenario(
    "a stopped process that connects once more", may_be_withdrawn=False, is_handed_in_twice=False, crashes=0, returns=1,
    is_fenced=False,
)  # fmt: skip
HANDOVER = Scenario("a holder that is asked to end", may_be_late=False, stops=0, ends=1)
RESET = Scenario(
    "a reset, and a stopped process that connects once more", may_be_late=False, may_be_withdrawn=False,
    is_handed_in_twice=False, crashes=0, returns=1, ends=1, is_reset=True,
)  # fmt: skip
REPLACE = Scenario("a replace", is_order=False, may_be_late=False, may_be_withdrawn=False)
MUTE = Scenario("a venue that says nothing until asked", may_be_late=False, may_be_withdrawn=False, mute=True)
FORGETFUL = Scenario(
    "a venue that forgets what it has answered", may_be_late=False, may_be_withdrawn=False, forgetful=True
)
SCENARIOS = (LATE, WITHDRAWN, HANDOVER, RESET, CUT, RETURNS, REPLACE, MUTE, FORGETFUL)


def start(scenario: Scenario) -> World:
    """The first process holds the lease and is logged on."""
    # Where connections break, some numbers may be lost with them: here, those of three heartbeats.
    heartbeats: tuple[Message, ...] = (
        (("heartbeats", _BLOCK + 2, _BLOCK + 5),) if scenario.cuts or not scenario.is_fenced else ()
    )
    holder = Process(
        phase="holds", epoch=1, holds=True, next_out=_BLOCK + 5 if heartbeats else _BLOCK + 2, next_in=1,
        processed=1, link="on", dials=scenario.returns, wire=heartbeats,
        answered=True, open=True, accepted=True,
    )  # fmt: skip
    return World(
        owner=A, epoch=1, cursor=1, unchanged=False, row="absent", journal=(), woken=frozenset(),
        known_rows=(0, 0), late=False, cancel="", answered=False, told_not_sent=False, current=A,
        expected=_BLOCK + 2, effects=0, known=False, log=(), crashes=scenario.crashes, stops=scenario.stops,
        cuts=scenario.cuts, ends=scenario.ends, is_marked=False, first=0, is_spoilt=False,
        processes=(holder, Process(submission="todo" if scenario.is_handed_in_twice else "done")),
    )  # fmt: skip


def violation(world: World, *, exclusive: bool = True) -> str | None:
    """What must not be, in whatever state."""
    if world.effects > 1:
        return "it took effect twice"
    if world.effects and world.told_not_sent:
        return "it works, and the caller was told that it was not sent"
    if world.effects and any(kind == "refused" for kind, _ in world.journal):
        return "it works, and the journal says that it will not"
    if len(set(world.journal)) < len(world.journal):
        return "a report was journalled twice"
    if world.is_spoilt:
        return "after a reset, the numbers of before it have ended the session"
    if exclusive and all(one.phase == "holds" and one.holds and not one.releases for one in world.processes):
        return "two processes take themselves for the holder"
    return None


def is_good_end(world: World) -> bool:
    """Whether the caller knows what became of it, and it is so."""
    if world.effects:
        return any(kind in ("report", "known") and at in world.woken for at, (kind, _) in enumerate(world.journal, 1))
    return world.told_not_sent or any(
        kind == "refused" and at in world.woken for at, (kind, _) in enumerate(world.journal, 1)
    )


class Model:
    """The steps that are possible in a state, under some of the rules."""

    def __init__(self, scenario: Scenario, rules: frozenset[Rule]) -> None:
        self._scenario = scenario
        self._rules = rules
        self._fenced = Rule.FENCED_WRITES in rules
        self._fenced_socket = Rule.FENCED_SOCKET in rules and scenario.is_fenced
        self._ends_old = Rule.VENUE_NEW_LOGON_ENDS_OLD in rules

    def steps(self, world: World) -> Iterator[tuple[Label, World]]:
        """What must happen sooner or later, if nothing else does."""
        for me, process in enumerate(world.processes):
            yield from self._writes(world, me, process)
            yield from self._venue(world, me, process)
            if process.phase == "dead":
                continue
            if process.hand:
                yield self._to_the_socket(world, me, process)
                continue
            yield from self._submits(world, me, process)
            if process.phase == "holds":
                yield from self._holds(world, me, process)
            else:
                yield from self._takes(world, me, process)
        yield from self._cancels(world)
        if world.first:
            yield from self._sweeps(world)
        owner = world.processes[world.owner]
        if not world.unchanged and not owner.holds:
            run_out = _with(world, world.owner, _run_out(owner))._replace(unchanged=True)
            yield (WORLD, "the lease row has not changed for the lease time"), run_out

    def faults(self, world: World) -> Iterator[tuple[Label, World]]:
        """What may happen."""
        owner = world.processes[world.owner]
        if world.stops and owner.holds and not world.unchanged:
            slow = _run_out(owner) if Rule.STOP_BEFORE_EXPIRY in self._rules else owner
            yield (
                (world.owner, "stands still, or storage does, until its lease has run out"),
                _with(world, world.owner, slow)._replace(stops=world.stops - 1, unchanged=True),
            )
        for me, process in enumerate(world.processes):
            if world.crashes and process.phase not in ("candidate", "dead"):
                dead = Process(
                    phase="dead", write=process.write if process.write and not process.write[2] else None,
                    open=process.open, accepted=process.accepted, wire=process.wire, gap=process.gap,
                    logon=process.logon,
                )  # fmt: skip
                yield (me, "dies"), _with(world, me, dead)._replace(crashes=world.crashes - 1)
            if world.cuts and process.open and process.phase == "holds" and not process.hand:
                cut = process._replace(open=False, wire=(), readable=process.next_in - 1)
                yield (
                    (me, "loses its connection, and what was on its way"),
                    _with(world, me, cut)._replace(cuts=world.cuts - 1),
                )
            is_its_turn = process.epoch > 1 or not self._scenario.is_reset
            if world.ends and process.phase == "holds" and process.holds and not process.hand and is_its_turn:
                yield (me, "is asked to end: it logs out"), self._logs_out(world, me, process)
        if self._scenario.may_be_late and not world.late:
            yield (WORLD, "the order's time is over"), world._replace(late=True)
        if self._scenario.may_be_withdrawn and not world.cancel and world.answered and not world.told_not_sent:
            yield self._withdraws(world)
        if self._scenario.forgetful and world.known and ("report" in world.log or "known" in world.log):
            yield (WORLD, "the venue forgets the order"), world._replace(known=False)

    # The caller

    def _submits(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """`Gateway.submit`: the activity runs in both processes, at any time."""
        if process.submission == "todo":
            if world.late or not self._accepts(process):
                yield self._inserts(world, me, process, "dead" if world.late else "pending")
            elif process.stage:
                step = "is handed in what it knows"
                yield (me, step), _with(world, me, process._replace(submission="done"))._replace(answered=True)
            elif process.write is None:
                claiming = process._replace(submission="claim", write=("claim new", process.epoch, ""))
                yield (me, "is handed it in, and claims it"), _with(world, me, claiming)
        elif process.submission == "insert":
            yield self._inserts(world, me, process, "pending")

    def _inserts(self, world: World, me: int, process: Process, row: str) -> tuple[Label, World]:
        is_free = world.row == "absent" or (Rule.INSERT_ONCE not in self._rules and world.row != row)
        step = f"puts it into the outbox as {row}" if is_free else f"finds it in the outbox: {world.row}"
        world = _with(world, me, process._replace(submission="done"))
        return (me, step), _answered(world._replace(row=row) if is_free else world)

    def _accepts(self, process: Process) -> bool:
        return (
            process.phase == "holds"
            and process.holds
            and process.link == "on"
            and process.stage not in ("uncertain", "asked", "unknown")
        )

    def _cancels(self, world: World) -> Iterator[tuple[Label, World]]:
        """`Outbox.withdraw`: once the caller wants it back, at the latest when its time is over."""
        if not world.cancel and world.late and world.answered and not world.told_not_sent:
            yield self._withdraws(world)
        elif world.cancel == "bury":
            if world.row == "pending" or Rule.ONLY_PENDING_DIES not in self._rules:
                yield (WORLD, "the caller's order is dead"), _answered(world._replace(row="dead", cancel="done"))
            else:
                yield self._withdraws(world)

    def _withdraws(self, world: World) -> tuple[Label, World]:
        if world.row == "dead":
            return (WORLD, "the caller wants it back, and finds it dead"), _answered(world)._replace(cancel="done")
        if world.row == "pending":
            return (WORLD, "the caller wants it back, finds it pending, and is to bury it"), world._replace(
                cancel="bury"
            )
        step = f"the caller wants it back, and finds it {world.row}: its cancel is handed in"
        return (WORLD, step), world._replace(cancel="asked")

    def _sweeps(self, world: World) -> Iterator[tuple[Label, World]]:
        """`triggers.sweep.sweep_orders`. Only after a reset, when the venue sends nothing again; without one, each
        wake-up has to come by itself."""
        untold = frozenset(range(1, len(world.journal) + 1)) - world.woken
        if untold:
            yield (
                (WORLD, "the sweep tells the caller of what is journalled"),
                world._replace(woken=world.woken | untold),
            )

    # The lease

    def _takes(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """`Candidate.look` and `Settling.take_over`."""
        if process.phase == "candidate" and world.unchanged:
            if Rule.TAKE_ONLY_UNCHANGED in self._rules:
                yield self._takes_it(world, me, process)
            else:
                yield (me, "may take the lease, and asks for it"), _with(world, me, process._replace(phase="taking"))
        elif process.phase == "taking":
            yield self._takes_it(world, me, process)
        elif process.phase == "took":
            yield self._loads(world, me, process)

    def _takes_it(self, world: World, me: int, process: Process) -> tuple[Label, World]:
        """The write arrives; from then on nobody else changes what is claimed, so it may as well be read at once."""
        epoch = world.epoch + 1
        took = process._replace(phase="took", epoch=epoch, holds=True)
        label = (me, f"takes the lease, epoch {epoch}")
        first = epoch if world.is_marked else world.first
        world = _with(world, me, took)._replace(owner=me, epoch=epoch, unchanged=False, first=first)
        if self._fenced:
            return label, self._loads(world, me, took)[1]
        return label, world

    def _loads(self, world: World, me: int, process: Process) -> tuple[Label, World]:
        start = _BLOCK * (process.epoch - world.first if Rule.LOGON_AT_BLOCK_END in self._rules else 1) + 1
        fresh = Process(
            phase="holds", epoch=process.epoch, holds=process.holds, submission=process.submission,
            next_out=start, next_in=world.cursor, processed=world.cursor, dials=self._scenario.returns,
            resets=world.is_marked,
            open=process.open, accepted=process.accepted, wire=process.wire, gap=process.gap, logon=process.logon,
        )  # fmt: skip
        if world.row == "claimed" and Rule.RECOVER_CLAIMS in self._rules:
            fresh = fresh._replace(stage="uncertain")
        elif world.row == "given_up":
            fresh = fresh._replace(stage="done", item=("refused", 0, 0))
        return (me, f"reads what is claimed, and finds it {world.row}"), _with(world, me, fresh)

    def _ends(self, process: Process) -> Process:
        """`Pump.run` has raised LeaseLostError: what was being claimed goes through the outbox."""
        submission = "insert" if process.submission == "claim" else process.submission
        return Process(
            submission=submission, write=process.write if process.write and not process.write[2] else None,
            open=process.open, accepted=process.accepted, wire=process.wire, gap=process.gap, logon=process.logon,
        )  # fmt: skip

    def _holds(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        if not process.holds:
            yield (me, "notices that its lease is over"), _with(world, me, self._ends(process))
        elif world.owner != me or world.epoch != process.epoch:
            yield (me, "learns from a renewal that it was followed"), _with(world, me, self._ends(process))
        yield from self._connects(world, me, process)
        yield from self._settles(world, me, process)
        yield from self._sends(world, me, process)
        yield from self._reads(world, me, process)
        yield from self._delivers(world, me, process)
        yield from self._rests(world, me, process)
        yield from self._hears_of_its_write(world, me, process)

    # The end of an epoch that is asked to end

    def _logs_out(self, world: World, me: int, process: Process) -> World:
        """`Pump._end_session`. What it reads after its Logout it may as well have read before; what it has written to
        its connection may still arrive."""
        return _with(world, me, process._replace(link="out"))._replace(ends=world.ends - 1)

    def _rests(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """`Pump._rest` and `LeaseWriter.give_back`.

        A process that ends gives nothing back, and may release the lease before all that has come is delivered.
        """
        if process.link != "out" or process.write is not None:
            return
        returns = process.stage == "queued"
        if Rule.ONLY_UNSENT_GIVEN_BACK not in self._rules:
            returns = process.stage in ("queued", *UNREPORTED)
        if returns:
            back = process._replace(stage="", number=0, write=("give back", process.epoch, ""))
            yield (me, "gives it back"), _with(world, me, back)
        if self._scenario.is_reset and not world.is_marked and process.item is None:
            marking = process._replace(write=("mark for a reset", process.epoch, ""))
            yield (me, "is done, and marks the lease for a reset"), _with(world, me, marking)
        releasing = process._replace(write=("release", process.epoch, ""))
        yield (me, "releases the lease"), _with(world, me, releasing)

    # Writes of the holder

    def _writes(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """Storage carries out what is under way, also for a process that has died."""
        write = process.write
        if write is None or write[2]:
            return
        what, epoch, _ = write
        step = f"write arrives: {what}"
        if self._fenced and (world.owner != me or world.epoch != epoch):
            yield (
                (me, f"{step}: the lease is another's"),
                _with(world, me, process._replace(write=(what, epoch, "fenced"))),
            )
            return
        if what == "release":
            done = _with(world, me, process._replace(write=(what, epoch, "done")))
            yield (me, step), done._replace(unchanged=True)
            return
        expected, becomes = {
            "claim new": ("absent", "claimed"),
            "claim": ("pending", "claimed"),
            "claim again": ("claimed", "claimed"),
            "bury": ("pending", "dead"),
            "give up": ("claimed", "given_up"),
            "give back": (world.row, "pending"),
            "mark for a reset": (world.row, world.row),
        }[what]
        if world.row != expected:
            yield (me, f"{step}: refused"), _with(world, me, process._replace(write=(what, epoch, "refused")))
            return
        done = _with(world, me, process._replace(write=(what, epoch, "done")))
        is_marked = world.is_marked or what == "mark for a reset"
        yield (me, step), done._replace(row=becomes, unchanged=False, is_marked=is_marked)

    def _hears_of_its_write(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        if process.write is None or not process.write[2]:
            return
        what, _, outcome = process.write
        step = f"hears of its write: {what} {outcome}"
        if outcome == "fenced" or what == "release":
            yield (me, step), _with(world, me, self._ends(process))
            return
        # The write has put off the end of the lease.
        process = process._replace(write=None, holds=process.holds or outcome == "done")
        outcome = outcome.partition(" ")[0]
        if what == "claim new":
            process = process._replace(submission="done")
            if outcome == "done":
                process = process._replace(stage="queued")
            world = _answered(world)
        elif what == "claim" and outcome == "done" and not process.stage:
            process = process._replace(stage="queued")
        elif what == "claim again" and outcome == "done":
            process = process._replace(stage="again")
        elif what == "give up" and outcome == "done":
            process = process._replace(item=("refused", 0, 0))
        yield (me, step), _with(world, me, process)

    def _may_write(self, world: World, me: int, process: Process) -> bool:
        return not self._fenced or (world.owner == me and world.epoch == process.epoch)

    # The connection

    def _connects(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """`Line._one_connection`. A stopped process may do this long after its lease is over."""
        is_lawful = world.owner == me and world.epoch == process.epoch
        may_dial = (is_lawful or process.dials) and (process.holds or not self._fenced_socket)
        if process.link == "" and may_dial:
            number = 1 if process.resets else process.next_out
            dialled = process._replace(
                link="dialled", dials=process.dials - (not is_lawful), next_out=number + 1,
                open=True, accepted=False, wire=(("logon", number, int(process.resets)),), gap=0,
                logon=number, answered=False, readable=0,
            )  # fmt: skip
            if process.stage in ("sent", "asked", "unknown"):
                dialled = dialled._replace(stage="uncertain")
            yield (me, f"connects and sends its Logon, number {number}"), _with(world, me, dialled)
        elif process.link in ("dialled", "on") and not process.open and self._has_read_all(world, process):
            yield (me, "notices that its connection is over"), _with(world, me, process._replace(link=""))
        elif self._scenario.mute and process.stage == "sent" and process.open and not process.wire and world.known:
            # A human is told (`Pump.tell_unanswered`); no later than at the day's end there is another connection.
            cut = process._replace(open=False, readable=len(world.log))
            yield (WORLD, "the connection ends"), _with(world, me, cut)
        elif process.link == "dialled" and process.accepted and process.resets:
            if self._may_write(world, me, process):
                begun = _with(world, me, process._replace(resets=False))._replace(is_marked=False, unchanged=False)
                yield (me, "writes that the numbers have begun again"), begun
        elif process.link == "dialled" and process.accepted:
            yield (me, "is logged on"), _with(world, me, process._replace(link="on", answered=not process.gap))
        elif process.link == "on" and not process.answered and process.open:
            for step, resent in self._fills_gap(world, process):
                answering = process._replace(answered=True, wire=process.wire + resent)
                yield (me, step), _with(world, me, answering._replace(again=process.again or "order" in step))

    def _fills_gap(self, world: World, process: Process) -> Iterator[tuple[str, tuple[Message, ...]]]:
        """`Session._resend` and `Settling.may_resend`; whether it is still wanted is asked of this process's clock."""
        number = process.number
        is_own = number >= process.gap and process.stage in UNREPORTED
        if Rule.ONLY_SENDER_RESENDS not in self._rules and process.stage in UNREPORTED and not number:
            is_own, number = True, process.gap
        if is_own:
            before: tuple[Message, ...] = (("fill", process.gap, number),) if number > process.gap else ()
            after: tuple[Message, ...] = (("fill", number + 1, process.logon),) if number + 1 < process.logon else ()
            yield "resends the order, as the venue asks", (*before, ("order", number, 0), *after)
        if not is_own or world.late:
            yield "fills the gap that the venue asks for", (("fill", process.gap, process.logon),)

    def _has_read_all(self, world: World, process: Process) -> bool:
        return process.link == "dialled" or process.next_in > self._readable(world, process)

    def _readable(self, world: World, process: Process) -> int:
        return len(world.log) if process.open else process.readable

    # After a logon

    def _settles(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """`Settling._settle`."""
        if process.link != "on":
            return
        if process.stage == "uncertain":
            if world.journal and Rule.JOURNAL_IS_ASKED_FIRST in self._rules:
                if process.item is None:
                    told = process._replace(stage="done", item=(world.journal[-1][0], 0, len(world.journal)))
                    yield (me, "finds it in the journal"), _with(world, me, self._acknowledged_early(told))
            elif self._scenario.is_order and Rule.ASK_BEFORE_RESEND in self._rules:
                asking = _put(process._replace(stage="asked"), "question")
                yield (me, "asks about it"), _with(world, me, asking)
            else:
                yield (me, "has it to be sent again"), _with(world, me, process._replace(stage="unknown"))
        elif process.stage == "unknown" and process.write is None and world.row == "claimed":
            claiming = process._replace(write=("claim again", process.epoch, ""))
            yield (me, "claims it again"), _with(world, me, claiming)

    def _acknowledged_early(self, process: Process) -> Process:
        if Rule.WAKE_BEFORE_ACKNOWLEDGED in self._rules:
            return process
        return process._replace(acknowledge=True)

    # Claiming and sending

    def _sends(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """`Claiming.run` and `Leaving.flush`."""
        if process.link != "on" or not process.holds:
            return
        if process.stage == "" and world.row == "pending" and process.write is None:
            if world.late:
                burying = process._replace(write=("bury", process.epoch, ""))
                yield (me, "finds it in the outbox, too late, and buries it"), _with(world, me, burying)
            else:
                claiming = process._replace(write=("claim", process.epoch, ""))
                if Rule.CLAIM_BEFORE_SEND not in self._rules:
                    claiming = claiming._replace(stage="queued")
                yield (me, "finds it in the outbox, and claims it"), _with(world, me, claiming)
        elif process.stage in ("queued", "again"):
            if world.late or world.cancel == "asked":
                yield from self._gives_up(world, me, process)
            # Also when it is late, or the cancel is there: by another clock, or a moment ago, it was not.
            hand = "order" if process.stage == "queued" else "order again"
            yield (me, "is about to send it"), _with(world, me, process._replace(hand=hand))

    def _gives_up(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        if Rule.GIVE_UP_BY_LEASE not in self._rules:
            if process.item is None:
                given_up = process._replace(stage="done", item=("refused", 0, 0))
                yield (me, "does not send it, since it is no longer wanted"), _with(world, me, given_up)
        elif process.write is None:
            giving_up = process._replace(stage="done", write=("give up", process.epoch, ""))
            yield (me, "does not send it, since it is no longer wanted"), _with(world, me, giving_up)

    def _to_the_socket(self, world: World, me: int, process: Process) -> tuple[Label, World]:
        again = process.hand == "order again"
        kind = "another order" if again and Rule.SAME_CLORDID not in self._rules else "order"
        number = process.next_out
        sent = _put(process._replace(hand="", stage="sent", number=number, again=process.again or again), kind)
        return (me, f"writes it to its connection, number {number}"), _with(world, me, sent)

    # What the venue says

    def _reads(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """`Hearing.message`, one message after the other."""
        number = process.next_in
        if process.link != "on" or process.item is not None or number > self._readable(world, process):
            return
        kind = world.log[number - 1]
        is_resent = number <= process.old_reports
        step = f"reads message {number}: {kind}" + (" (resent)" if is_resent else "")
        read = process._replace(next_in=number + 1)
        if is_resent and Rule.VENUE_RESENDS not in self._rules:
            yield (
                (me, f"hears that message {number} is not resent"),
                _with(world, me, read._replace(processed=number + 1)),
            )
            return
        if Rule.JOURNAL_BEFORE_CURSOR not in self._rules:
            read = read._replace(processed=number + 1)
        if kind == "unknown":
            is_answer = process.stage == "asked" and not (is_resent and Rule.FRESH_ANSWERS in self._rules)
            read = read._replace(processed=number + 1, stage="unknown" if is_answer else process.stage)
        elif kind == "repeated":
            is_unreported = process.stage in UNREPORTED
            if process.again:
                read = read._replace(processed=number + 1, acknowledge=process.acknowledge or is_unreported)
                read = read._replace(stage="done" if is_unreported else process.stage)
            elif is_unreported and process.number:
                read = read._replace(stage="done", item=("refused", number, 0))
            else:
                read = read._replace(processed=number + 1)
        else:
            is_unreported = process.stage in UNREPORTED
            read = read._replace(stage="done" if is_unreported else process.stage, item=(kind, number, 0))
        yield (me, step), _with(world, me, read)

    def _delivers(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """`Recorder.record` or `conclude`, then the wake-up, then the cursor; and what is written later."""
        if process.item is not None:
            kind, number, at = process.item
            if not at:
                yield self._journals(world, me, process, kind, number)
            else:
                delivered = process._replace(item=None)
                if number:
                    delivered = delivered._replace(processed=number + 1)
                else:
                    delivered = delivered._replace(acknowledge=world.row in ("claimed", "given_up"))
                woken = _with(world, me, delivered)._replace(woken=world.woken | {at})
                yield (me, f"tells the caller of row {at}"), woken
        if self._may_write(world, me, process) and not process.releases:
            yield from self._writes_later(world, me, process)

    def _writes_later(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """`LeaseWriter.later` and `advance_inbound`: in one write, unless there is too much for one."""
        is_between = process.item is None or process.item[1] < process.processed
        moves = process.processed > world.cursor and is_between
        if not moves and not process.acknowledge:
            return
        row = "acknowledged" if process.acknowledge and world.row in ("claimed", "given_up") else world.row
        cursor = process.processed if moves else world.cursor
        written = _with(world, me, process._replace(acknowledge=False))
        step = f"writes that it is done with all before message {cursor}"
        yield (me, f"{step}: {row}"), written._replace(row=row, cursor=cursor, unchanged=False)
        if self._scenario.forgetful and moves and process.acknowledge:
            yield (me, step), world._replace(cursor=cursor, unchanged=False)

    def _journals(self, world: World, me: int, process: Process, kind: str, number: int) -> tuple[Label, World]:
        row = (kind, number)
        refreshed = Rule.INSERT_UNDER_NEXT_NUMBER in self._rules
        seen = world.journal if refreshed else world.journal[: world.known_rows[me]]
        at = seen.index(row) + 1 if row in seen and Rule.ONE_ROW_PER_REPORT in self._rules else 0
        if kind == "known" and not at and world.journal:
            # Not news: the order's own reports are there.
            return self._no_news(world, me, process, number)
        if kind == "known" and at and Rule.REPEATED_ANSWER_WAKES not in self._rules:
            return self._no_news(world, me, process, number)
        step = f"finds its {kind} as row {at}"
        if not at:
            world = world._replace(journal=(*world.journal, row))
            at = len(world.journal)
            step = f"journals: {kind}, row {at}"
        if not refreshed:
            known = (at, world.known_rows[B]) if me == A else (world.known_rows[A], at)
            world = world._replace(known_rows=known)
        journalled = process._replace(item=(kind, number, at))
        if number and world.row == "claimed":
            journalled = journalled._replace(acknowledge=True)
        if number and Rule.WAKE_BEFORE_CURSOR not in self._rules:
            journalled = journalled._replace(processed=number + 1)
        if not number:
            journalled = self._acknowledged_early(journalled)
        return (me, step), _with(world, me, journalled)

    def _no_news(self, world: World, me: int, process: Process, number: int) -> tuple[Label, World]:
        done = process._replace(item=None, processed=number + 1, acknowledge=world.row == "claimed")
        return (me, "finds that it is no news"), _with(world, me, done)

    # The venue

    def _venue(self, world: World, me: int, process: Process) -> Iterator[tuple[Label, World]]:
        """The venue handles the message whose turn it is; what is early waits, what is late is dropped."""
        if not process.wire:
            return
        if process.wire[0][0] == "logon":
            yield self._venue_logs_on(world, me, process)
            return
        if world.current != me:
            # Only without VENUE_NEW_LOGON_ENDS_OLD: a session of its own, with numbers of its own.
            kind, _, _ = process.wire[0]
            handled = _with(world, me, process._replace(wire=process.wire[1:]))
            yield (WORLD, f"the venue handles from the old connection: {kind}"), self._venue_handles(handled, kind)
            return
        for index, (kind, number, after) in enumerate(process.wire):
            if number <= world.expected:
                rest = process._replace(wire=process.wire[:index] + process.wire[index + 1 :])
                handled = _with(world, me, rest)
                if number < world.expected:
                    yield (WORLD, f"the venue drops message {number}, which it has had"), handled
                    return
                handled = handled._replace(expected=after or number + 1)
                yield (WORLD, f"the venue handles message {number}: {kind}"), self._venue_handles(handled, kind)
                return

    def _venue_logs_on(self, world: World, me: int, process: Process) -> tuple[Label, World]:
        _, number, resets = process.wire[0]
        if number < world.expected and not resets:
            refused = process._replace(open=False, accepted=False, wire=(), readable=0)
            return (WORLD, f"the venue refuses Logon {number}: too low"), _with(world, me, refused)
        if self._ends_old:
            world = _with(world, 1 - me, _ended(world, world.processes[1 - me]))
        if resets:
            # Numbers of the venue are never used twice here, so as the journal knows them: with their generation.
            begun = process._replace(
                accepted=True, wire=process.wire[1:], next_in=len(world.log) + 1, processed=len(world.log) + 1
            )
            world = _with(world, me, begun)._replace(current=me, expected=number + 1, cursor=len(world.log) + 1)
            return (WORLD, "the venue accepts the Logon, and begins its numbers again"), world
        gap = world.expected if number > world.expected else 0
        wire: tuple[Message, ...] = process.wire[1:]
        if gap:
            wire = (("early logon", number, 0), *wire)
        if world.first and not world.is_marked and process.epoch < world.first:
            world = world._replace(is_spoilt=True)
        accepted = process._replace(accepted=True, wire=wire, gap=gap, old_reports=len(world.log))
        world = _with(world, me, accepted)._replace(current=me)
        if not gap:
            world = world._replace(expected=number + 1)
        return (WORLD, f"the venue accepts Logon {number}" + (f", and asks for {gap} on" if gap else "")), world

    def _venue_handles(self, world: World, kind: str) -> World:
        if kind == "question":
            return world._replace(log=(*world.log, "known" if world.known else "unknown"))
        if kind == "order" and world.known and Rule.VENUE_REFUSES_REPEATS in self._rules:
            return world._replace(log=(*world.log, "repeated"))
        if kind in ("order", "another order"):
            log = world.log if self._scenario.mute else (*world.log, "report")
            return world._replace(effects=world.effects + 1, known=True, log=log)
        return world


def _ended(world: World, process: Process) -> Process:
    """Its connection, after the venue has ended it: it may still read what it was sent before."""
    if not process.open:
        return process
    readable = len(world.log) if process.accepted and process.phase != "dead" else 0
    return process._replace(open=False, accepted=False, wire=(), readable=readable)


def _run_out(process: Process) -> Process:
    """By its clock; the lease time counts from before its last write, whether it has heard of that or not."""
    write = process.write
    if write is not None and write[2] == "done":
        write = (write[0], write[1], "done long ago")
    return process._replace(holds=False, write=write)


def _put(process: Process, kind: str) -> Process:
    """A message of the next number; nobody hears it where the connection is over."""
    message = (kind, process.next_out, 0)
    wire = (*process.wire, message) if process.open else process.wire
    return process._replace(next_out=process.next_out + 1, wire=wire)


def _answered(world: World) -> World:
    """The caller's activity answers with the state of the row."""
    return world._replace(answered=True, told_not_sent=world.told_not_sent or world.row == "dead")


def _with(world: World, me: int, process: Process) -> World:
    """The world with this process in it; what no step will look at any more is always the same."""
    if process.phase != "holds" and not process.wire and process.open:
        process = process._replace(open=False, accepted=False, gap=0, logon=0)
    if process.stage == "done" and (process.number or process.again):
        process = process._replace(number=0, again=False)
    if process.answered and process.logon:
        process = process._replace(gap=0, logon=0)
    if process.old_reports and process.next_in > process.old_reports:
        process = process._replace(old_reports=0)
    first, second = world.processes
    return world._replace(processes=(process, second) if me == A else (first, process))
