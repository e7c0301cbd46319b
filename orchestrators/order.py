"""The driver of an order: carries out what the order's lifecycle decides, and tells it what happened.

It has no trading rule of its own, and the lifecycle knows nothing of Azure. Everything is in `Progress`, which is
JSON, and everything happens in turns. A turn is one step: an effect, or waiting for an event. It changes `Progress`
only after its effect has succeeded, and every effect may be repeated; so a turn that failed is simply taken again after
a pause, and between any two turns the orchestration may continue as new.

What goes to the venue goes first, and what has arrived is heard before anything else is done: a position does not wait
for its stop because exposure, the alerts or the watches are struggling. So the pause after a failure of one of those is
spent listening.

What the venue says is in the execution journal before this orchestration hears of it, and what our own side tells the
order is in its instructions. So no event is needed for anything but speed: each generation but the first begins by
reading both, since `continue_as_new` from Python drops the events that were delivered and not yet consumed.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import azure.durable_functions as df
import msgspec
from msgspec.structs import replace

from orchestrators.retrying import back_off, pause_after
from orchestrators.waiting import Inbox, Steps
from trading import lifecycles
from trading.commands import (
    BlockSymbol,
    CancelOrder,
    CancelTimer,
    Command,
    Finish,
    RaiseAlert,
    SetTimer,
    SubmitOrder,
    VenueCommand,
    WatchPrice,
)
from trading.events import AmendRequested, CancelRejected, Event, OrderNotSent, PriceTouched, TimerFired, TradingHalted
from trading.exposure import Decision
from trading.identity import is_entry
from trading.instructions import InstructionRow
from trading.journal import JournalRow
from trading.messages import (
    EXPOSURE_KEY,
    Alert,
    Amending,
    Instructed,
    LiveStatus,
    News,
    OrderEvent,
    OrderReopened,
    Payload,
    Payloads,
    Placement,
    Reading,
    Recording,
    Registering,
    Reported,
    Resuming,
    Timing,
    VenueAnswer,
    VenueRequest,
    Watching,
    decoded,
    encoded,
)
from trading.specs import amended
from trading.stakes import NoPriceError, stakes, symbols

TURNS = 50
"""Of one generation. A turn leaves three or four events in the history, and a replay costs some 60 microseconds for
each: 200 events are 12 ms an episode. A bracket that goes as planned takes about 15 turns, so it never needs a second
one."""

SHOWN_CHILDREN = 12
"""In the custom status, which fails the orchestration if it is longer than 16 KiB."""

LATE = timedelta(seconds=1)
"""An answer that took longer may have been overtaken by what the order was told."""

ALERT_AFTER = 5
"""Failures of one step in a row: half a minute, by the pauses between them."""

_EXPOSURE = df.EntityId("exposure", EXPOSURE_KEY)

bp = df.Blueprint()


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A command not carried out yet. `at` is when the lifecycle made it, `number` counts the order's commands."""

    number: int
    at: datetime
    command: VenueCommand | WatchPrice | RaiseAlert | BlockSymbol


class Progress(msgspec.Struct, kw_only=True, tag="progress", tag_field="type"):
    """All that a generation hands to the next."""

    placement: Placement
    token: str
    phase: Literal["registering", "reserving", "denied", "working", "resuming"] = "registering"
    state: lifecycles.State | None = None
    seen: int = 0
    """The last journal row that the lifecycle has handled."""
    instructed: int = 0
    """The last instruction that it has handled."""
    reopened: bool = False
    """Exposure has to hear that the order is open, of which it may have forgotten all."""
    amendments: list[AmendRequested | PriceTouched] = []
    """Asked for by the user, and not approved yet; and the touched prices that came after them."""
    behind: bool = False
    """Journal and instructions have to be read before anything else."""
    timers: dict[str, datetime] = {}
    due: list[Due] = []
    commands: int = 0
    finish: Finish | None = None
    timing: Timing
    failures: int = 0
    """In a row, of the step that is to be done next."""
    paused_until: datetime | None = None
    """When what failed is to be tried again, where it is nothing that the venue has to hear of."""
    alerted: bool = False
    """Whether those failures have been told to a human."""


class _StepFailedError(Exception):
    """An effect did not succeed; the turn is to be taken again."""


@bp.orchestration_trigger(context_name="context")
def order(context: df.DurableOrchestrationContext) -> Steps:
    """Drives one order from its placement to its end. Input: `Placement`; a later generation's: `Progress`.

    An order that had ended goes on from the `Progress` that was kept with its record.
    """
    driver = _Driver(context)
    for _ in range(TURNS):
        result = yield from driver.turn()
        if result is not None:
            return result
    context.continue_as_new(encoded(driver.handed_on()))
    return None


class _Driver:
    def __init__(self, context: Any) -> None:
        self._context = context
        self._inbox = Inbox(context, "event")
        given: Placement | Progress = decoded(context.get_input(), Placement | Progress)
        if isinstance(given, Placement):
            timing = Timing(received_at=given.received_at)
            given = Progress(placement=given, token=context.new_uuid(), timing=timing)
        self._progress = given
        self._order_id = given.placement.spec.order_id
        if self._order_id != context.instance_id:
            raise ValueError(f"order_id={self._order_id}: has to be the instance id, {context.instance_id}")

    def handed_on(self) -> Progress:
        """What the next generation starts from. It may have missed events, so it has to read, and at once."""
        self._fall_behind()
        return self._progress

    def turn(self) -> Steps:
        """One step; the order's result when it was the last one, else None."""
        progress = self._progress
        self._show()
        if progress.phase == "working" and not self._sends() and self._listens():
            yield from self._listen()
            return None
        try:
            result = yield from self._step()
        except _StepFailedError as failure:
            progress.failures += 1
            yield from self._report_failure(str(failure))
            yield from self._pause()
            return None
        if progress.paused_until is None:
            progress.failures = 0
            progress.alerted = False
        return result

    def _step(self) -> Steps:
        progress = self._progress
        if progress.phase == "registering":
            return (yield from self._register())
        if progress.phase == "reserving":
            return (yield from self._reserve())
        if progress.phase == "denied":
            return (yield from self._deny())
        if progress.phase == "resuming":
            return (yield from self._resume())
        if self._sends():
            return (yield from self._send())
        if progress.behind:
            return (yield from self._catch_up())
        if self._is_due(WatchPrice):
            return (yield from self._watch())
        if self._is_due(BlockSymbol):
            return (yield from self._block())
        if progress.reopened:
            return (yield from self._reopen())
        if progress.amendments:
            return (yield from self._amend())
        if self._is_due(RaiseAlert):
            return (yield from self._alert())
        assert progress.finish is not None
        return (yield from self._end(progress.finish))

    def _sends(self) -> bool:
        return self._is_due(VenueCommand)

    def _is_due(self, kind: Any) -> bool:
        return any(isinstance(due.command, kind) for due in self._progress.due)

    def _is_entry_due(self) -> bool:
        commands = [due.command for due in self._progress.due]
        return any(isinstance(each, SubmitOrder) and is_entry(each.cl_ord_id) for each in commands)

    def _listens(self) -> bool:
        """Whether something has arrived, or nothing can be done before something does."""
        progress = self._progress
        has_work = (
            progress.behind or progress.reopened or progress.due or progress.amendments or progress.finish is not None
        )
        return self._inbox.has_arrived() or progress.paused_until is not None or not has_work

    def _pause(self) -> Steps:
        """After a failure. Of what only our own side waits for, the order goes on listening, by the market's clock: the
        pause has to be given up for an event, and `back_off` cannot be without holding up what comes after."""
        progress = self._progress
        is_ours = progress.due or progress.reopened or progress.amendments
        if progress.phase == "working" and is_ours and not self._sends() and not progress.behind:
            progress.paused_until = self._now() + timedelta(seconds=pause_after(progress.failures))
            touched = [each for each in progress.amendments if isinstance(each, PriceTouched)]
            progress.amendments = [each for each in progress.amendments if isinstance(each, AmendRequested)]
            for each in touched:
                self._tell(each)
        else:
            yield from back_off(self._context, progress.failures)

    # The beginning

    def _register(self) -> Steps:
        progress = self._progress
        registering = Registering(token=progress.token, spec=progress.placement.spec, created_at=self._now())
        registration = yield from self._do("register_order", encoded(registering))
        if not registration["ours"]:
            return {"outcome": "duplicate"}
        # Found by the activity, so that a replay finds it again, whatever the rules are by then.
        wrong = registration.get("wrong", "")
        if wrong:
            self._denied(f"WRONG_SPEC: {wrong}")
            return None
        progress.phase = "reserving"
        return None

    def _reserve(self) -> Steps:
        progress = self._progress
        try:
            wanted = progress.placement.reserving()
        except NoPriceError as missing:
            self._denied(str(missing))
            return None
        asked_at = self._now()
        decided = decoded((yield from self._ask(_EXPOSURE, "reserve", wanted)), Decision)
        if not decided.approved:
            self._denied(decided.reason)
            return None
        progress.phase = "working"
        progress.state, commands = lifecycles.begin(progress.placement.spec, self._now())
        self._take(commands)
        if self._now() - asked_at > LATE:
            yield from self._catch_up()
        return None

    def _denied(self, reason: str) -> None:
        # A denial stands, whatever becomes of recording it: asked again, exposure might approve.
        self._progress.phase = "denied"
        self._progress.finish = Finish(outcome="denied", text=reason)

    def _deny(self) -> Steps:
        finish = self._progress.finish
        assert finish is not None
        yield from self._record(finish, ())
        return _result(finish)

    def _resume(self) -> Steps:
        """Open the order again that had ended: the venue has said more of it."""
        progress = self._progress
        resuming = Resuming(order_id=self._order_id, last_number=progress.seen)
        if not (yield from self._do("resume_order", encoded(resuming)))["ours"]:
            return {"outcome": "duplicate"}
        progress.phase = "working"
        progress.reopened = True
        return None

    # The work

    def _reopen(self) -> Steps:
        """What the order holds is its own to protect or to close. Exposure may have forgotten nothing of it.

        It also knows of a halt that was not told to the order, as it was over.
        """
        answer = yield from self._ask(_EXPOSURE, "reopen", OrderReopened(order_id=self._order_id))
        self._progress.reopened = False
        halted = decoded(answer, TradingHalted | None)
        if halted is not None:
            self._tell(halted)

    def _listen(self) -> Steps:
        progress = self._progress
        name, at = min(progress.timers.items(), key=lambda timer: timer[1], default=("", None))
        until = min((each for each in (at, progress.paused_until) if each is not None), default=None)
        # Also where the time has come already: the host fires the timer at once, and until then what arrived is heard.
        payload = yield from self._inbox.receive(until=until)
        if payload is None:
            if progress.paused_until is not None and progress.paused_until <= self._now():
                progress.paused_until = None
            if at is not None and at <= self._now():
                del progress.timers[name]
                self._tell(TimerFired(name=name))
            return
        try:
            event: OrderEvent = decoded(payload, OrderEvent)
        except ValueError as error:  # not JSON, or not one of these
            # Anyone with the system key can raise an event. Whatever it was meant to say, nothing is lost by reading.
            self._add(RaiseAlert(code="UNREADABLE_EVENT", text=f"an event was not understood: {error}"))
            self._fall_behind()
            return
        if isinstance(event, Reported):
            for row in (*event.before, event.row):
                self._report(row)
        elif isinstance(event, Instructed):
            self._instruct(event.row)
        else:
            self._fall_behind()

    def _catch_up(self) -> Steps:
        progress = self._progress
        reading = Reading(order_id=self._order_id, after=progress.seen, after_instruction=progress.instructed)
        news = decoded((yield from self._do("read_journal", encoded(reading))), News)
        progress.behind = False
        for row in news.rows:
            self._report(row)
        for told in news.instructions:
            self._instruct(told)

    def _report(self, row: JournalRow) -> None:
        """Tell the lifecycle what the venue said, once and in order."""
        progress = self._progress
        if not self._is_next(row.number, progress.seen):
            return
        progress.seen = row.number
        if progress.timing.sent_at is None and row.sent_at is not None:
            progress.timing = Timing(
                received_at=progress.timing.received_at, sent_at=row.sent_at, acknowledged_at=row.received_at
            )
        self._tell(row.event)

    def _instruct(self, row: InstructionRow) -> None:
        """Tell the lifecycle what our own side says, likewise.

        What comes after an amendment that waits for exposure waits with it, but for a cancel and a halt. A stop that is
        touched waits no longer than exposure answers: while something fails, nothing is held back.
        """
        progress = self._progress
        if not self._is_next(row.number, progress.instructed):
            return
        progress.instructed = row.number
        told = row.instruction
        holds_back = bool(progress.amendments) and progress.paused_until is None
        if isinstance(told, AmendRequested) or (isinstance(told, PriceTouched) and holds_back):
            progress.amendments.append(told)
        else:
            self._tell(told)

    def _amend(self) -> Steps:
        """Tell the lifecycle of the first amendment, once exposure has approved what the order is to be."""
        asked = self._progress.amendments[0]
        reason = ""
        if isinstance(asked, AmendRequested):
            reason = yield from self._refusal(asked)
        del self._progress.amendments[0]
        if reason:
            self._add(RaiseAlert(code="AMEND_REFUSED", text=f"{self._order_id}: {reason}"))
        else:
            self._tell(asked)

    def _refusal(self, asked: AmendRequested) -> Steps:
        """Why exposure does not approve of an amendment; empty where it does."""
        progress = self._progress
        assert progress.state is not None
        wanted = _amending(progress.state, asked, progress.placement.reference_price)
        if wanted is None:
            return ""
        return decoded((yield from self._ask(_EXPOSURE, "amend", wanted)), Decision).reason

    def _is_next(self, number: int, last: int) -> bool:
        """Whether it is a row's turn: a repeat is ignored, a gap is read up."""
        if number > last + 1:
            self._fall_behind()
        return number == last + 1

    def _fall_behind(self) -> None:
        """Something was missed: read, whatever else has failed just now."""
        self._progress.behind = True
        self._progress.paused_until = None

    def _send(self) -> Steps:
        """Hand in what is due. An entry that could not be handed in at once may be wanted no longer: the order may have
        been cancelled since, or trading halted. So what it was told is heard first; an exit waits for nothing."""
        if self._progress.failures and self._is_entry_due():
            yield from self._catch_up()
        requests = {
            due.number: VenueRequest(order_id=self._order_id, command=due.command, at=due.at)
            for due in self._progress.due
            if isinstance(due.command, VenueCommand)
        }
        answers = yield from self._do("send_to_venue", _all_encoded(requests.values()))
        self._done(requests)
        for request, answer in zip(requests.values(), decoded(answers, list[VenueAnswer]), strict=True):
            if answer.not_sent or answer.refused is not None:
                self._tell(_consequence(request.command, answer.refused, self._now()))

    def _watch(self) -> Steps:
        watchings = {
            due.number: Watching(order_id=self._order_id, command=due.command, begins=due.at)
            for due in self._progress.due
            if isinstance(due.command, WatchPrice)
        }
        yield from self._do("watch_prices", _all_encoded(watchings.values()))
        self._done(watchings)

    def _block(self) -> Steps:
        blocks = {due.number: due.command for due in self._progress.due if isinstance(due.command, BlockSymbol)}
        for command in blocks.values():
            yield from self._ask(_EXPOSURE, "block", command)
        self._done(blocks)

    def _alert(self) -> Steps:
        alerts = {
            due.number: Alert(
                code=due.command.code,
                text=due.command.text,
                order_id=self._order_id,
                key=f"{due.command.code}-{due.number}",
            )
            for due in self._progress.due
            if isinstance(due.command, RaiseAlert)
        }
        yield from self._do("raise_alerts", _all_encoded(alerts.values()))
        self._done(alerts)

    def _done(self, numbers: Collection[int]) -> None:
        """These commands are carried out."""
        self._progress.due = [due for due in self._progress.due if due.number not in numbers]

    # The end

    def _end(self, finish: Finish) -> Steps:
        if (yield from self._record(finish, symbols(self._progress.placement.spec))):
            # More was said meanwhile, and an end that was recorded before may have been taken back.
            self._fall_behind()
            self._progress.reopened = True
            return None
        return _result(finish)

    def _record(self, finish: Finish, symbols: Sequence[str]) -> Steps:
        """Write the order's record, once the entities of `symbols` have all of it; whether more was said by then."""
        progress = self._progress
        recording = Recording(
            order_id=self._order_id,
            symbols=list(symbols),
            last_number=progress.seen,
            outcome=finish.outcome,
            text=finish.text,
            timing=progress.timing,
            finished_at=self._now(),
            summary=None if progress.state is None else lifecycles.summary(progress.state),
            resumption=None if progress.state is None else encoded(replace(progress, phase="resuming", behind=True)),
            instructed=None if progress.state is None else progress.instructed,
        )
        recorded = yield from self._do("end_order", encoded(recording))
        return recorded["behind"]

    # What all of them use

    def _tell(self, event: Event) -> None:
        progress = self._progress
        assert progress.state is not None
        progress.state, commands = lifecycles.handle(progress.state, event, self._now())
        self._take(commands)
        if not lifecycles.is_finished(progress.state):
            progress.finish = None

    def _take(self, commands: Sequence[Command]) -> None:
        progress = self._progress
        for command in commands:
            if isinstance(command, SetTimer):
                progress.timers[command.name] = command.at
            elif isinstance(command, CancelTimer):
                progress.timers.pop(command.name, None)
            elif isinstance(command, Finish):
                progress.finish = command
            else:
                self._add(command)

    def _add(self, command: VenueCommand | WatchPrice | RaiseAlert | BlockSymbol) -> None:
        progress = self._progress
        progress.commands += 1
        progress.due.append(Due(number=progress.commands, at=self._now(), command=command))
        if not isinstance(command, RaiseAlert):
            progress.paused_until = None  # it has not failed yet

    def _do(self, activity: str, given: Payload | Payloads) -> Steps:
        try:
            return (yield self._context.call_activity(activity, given))
        except Exception as error:  # the SDK raises a bare Exception for an activity that failed
            raise _StepFailedError(f"{activity}: {error}") from None

    def _ask(self, entity: df.EntityId, operation: str, message: msgspec.Struct) -> Steps:
        try:
            return (yield self._context.call_entity(entity, operation, encoded(message)))
        except Exception as error:  # likewise
            raise _StepFailedError(f"{entity.name} {operation}: {error}") from None

    def _report_failure(self, what: str) -> Steps:
        progress = self._progress
        if progress.failures < ALERT_AFTER or progress.alerted:
            return
        text = f"failed {progress.failures} times in a row and is tried on: {what}"
        key = f"STEP_FAILS-{progress.commands}-{progress.seen}"
        alert = Alert(code="STEP_FAILS", text=text, order_id=self._order_id, key=key)
        try:
            yield self._context.call_activity("raise_alerts", [encoded(alert)])
        except Exception:  # what fails the step may fail the alert: it is raised after the next failure then
            return
        progress.alerted = True

    def _show(self) -> None:
        progress = self._progress
        phase = "ending" if progress.finish is not None and not progress.due else progress.phase
        summary = None if progress.state is None else lifecycles.summary(progress.state)
        children = summary.children if summary else []
        placed = progress.placement.spec
        # A child that was often replaced has a long chain of ClOrdIDs: the current one will do.
        shown = [replace(child, cl_ord_ids=child.cl_ord_ids[-1:]) for child in children[-SHOWN_CHILDREN:]]
        status = LiveStatus(
            seen=progress.seen,
            instructed=progress.instructed,
            phase=phase,
            filled_quantity=summary.filled_quantity if summary else Decimal(0),
            children=shown,
            spec=None if progress.state is None or progress.state.spec == placed else progress.state.spec,
            undecided=len(progress.amendments),
        )
        self._context.set_custom_status(encoded(status))

    def _now(self) -> datetime:
        now: datetime = self._context.current_utc_datetime
        return now.astimezone(UTC)


def _all_encoded(messages: Iterable[msgspec.Struct]) -> Payloads:
    return [encoded(message) for message in messages]


def _amending(state: lifecycles.State, asked: AmendRequested, reference_price: Decimal | None) -> Amending | None:
    """What exposure is to be asked about an amendment; None where it is none of its business."""
    if lifecycles.refusal(state, asked.amendment):
        return None  # the lifecycle says so itself
    entered = bool(lifecycles.summary(state).filled_quantity)
    after = stakes(amended(state.spec, asked.amendment, entered=entered), reference_price)
    if after == stakes(state.spec, reference_price):
        return None
    return Amending(order_id=state.spec.order_id, stakes=after)


def _result(finish: Finish) -> dict[str, str]:
    return {"outcome": finish.outcome, "text": finish.text}


def _consequence(command: VenueCommand, refused: str | None, now: datetime) -> Event:
    """What a request that will never reach the venue means to the lifecycle."""
    if isinstance(command, SubmitOrder):
        return OrderNotSent(cl_ord_id=command.cl_ord_id, reason=refused or "no longer wanted before it was sent")
    if isinstance(command, CancelOrder) and refused is None:
        return OrderNotSent(cl_ord_id=command.orig_cl_ord_id, reason="cancelled before it was sent")
    return CancelRejected(
        cl_ord_id=command.cl_ord_id,
        orig_cl_ord_id=command.orig_cl_ord_id,
        response_to="cancel" if isinstance(command, CancelOrder) else "replace",
        reason=refused or "not sent",
        at=now,
    )
