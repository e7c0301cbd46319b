"""The durable engine: orchestrations, activities and entities on the store.

What happens is decided by one transaction each: starting an instance, an episode of an orchestrator, a batch of an
entity, the end of an activity, the firing of timers. So the process may die at any moment: what was committed is not
done again, and what was not runs again. What memory holds of the file, and what several hosts of one file have to do
with each other, is in devhost/taskhub.py.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from uuid import uuid4

import msgspec

from devhost import advice, entities, history
from devhost.activities import Activities, unknown
from devhost.advice import Advice
from devhost.app import App, Function, Kind
from devhost.clock import MarketClock
from devhost.configuration import HostOptions
from devhost.history import Event, EventType, Status, parse_stamp, stamp
from devhost.instances import (
    EngineError,
    Entity,
    Instance,
    NoInstanceError,
    NotFailedError,
    OverError,
    UnknownFunctionError,
    check_instance_id,
)
from devhost.matching import (
    Activity,
    Answer,
    Completed,
    ContinuedAsNew,
    EntityMessage,
    Failed,
    Outcome,
    Plan,
    Scheduled,
    SubOrchestration,
    Timer,
    match,
)
from devhost.partitions import LeaseLostError, Partitions
from devhost.rewinding import rewound
from devhost.scheduler import Scheduler, Work
from devhost.store import ActivityRow, EpisodeRow, InstanceRow, MessageRow, Store, TimerRow
from devhost.taskhub import TaskHub, Unit
from devhost.timers import Timers
from devhost.worker import FunctionFailedError, Worker

_LOG = logging.getLogger("devhost")
_MAXIMUM_ENTITY_BATCH = 50
_DAY = 86400.0
_POLL = 0.015
"""Seconds between two looks for what other hosts have written."""
_POLL_ALONE = 0.25
_CONTROLS = (EventType.EXECUTION_SUSPENDED, EventType.EXECUTION_RESUMED)
_PAYLOAD_TAIL = (
    ',"upperSchemaVersion":1,"upperSchemaVersionNew":2,"longRunningTimerIntervalDuration":"3.00:00:00",'
    '"maximumShortTimerDuration":"6.00:00:00","defaultHttpAsyncRequestSleepTimeMillseconds":30000}'
)


class Engine:
    """Runs an app's orchestrations on a store. All methods are called on the host's event loop.

    Instances of the orchestrators named in `real_time` have the system's clock where the market's is virtual; the
    functions named in `background` have it too, run beside everything else, and do not count as work. `on_generation`
    is told of each generation that ends by continuing as new, whose history is then gone: the instance as it was, and
    its episodes. `new_id` makes the ids of executions and of instances that were given none.
    """

    def __init__(
        self,
        app: App,
        store: Store,
        clock: MarketClock,
        scheduler: Scheduler,
        worker: Worker,
        options: HostOptions,
        *,
        real_time: Sequence[str] = (),
        background: Sequence[str] = (),
        partitions: Partitions | None = None,
        on_generation: Callable[[InstanceRow, list[EpisodeRow]], None] | None = None,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._app = app
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._worker = worker
        self._options = options
        self._real_time = {name.lower() for name in real_time}
        self._background = {name.lower() for name in background}
        self._on_generation = on_generation
        self._new_id = new_id
        self._functions = {(each.kind, each.durable_name.lower()): each for each in app.functions}
        self._timers = Timers(scheduler, self._fire)
        self._partitions = partitions or Partitions(store)
        self._activities = Activities(
            {name: each for (kind, name), each in self._functions.items() if kind is Kind.ACTIVITY},
            scheduler,
            worker,
            limit=options.maximum_concurrent_activities if store.is_shared else None,
            background=self._background,
            done=self._activity_done,
        )
        self._hub = TaskHub(
            store,
            clock,
            self._partitions,
            self._functions,
            real_time=self._real_time,
            background=self._background,
            new_id=new_id,
            run_instance=self._queue_episode,
            run_entity=self._queue_entity,
            add_timer=self._add_timer,
            keep_timers_of=self._timers.keep_those_of,
        )
        self._looking: asyncio.Task[None] | None = None

    # What is asked from outside

    def start(self, name: str, instance_id: str | None, input_text: str | None, version: str | None = None) -> str:
        """Start an instance; its id. An id whose instance has ended is taken again."""
        if (Kind.ORCHESTRATOR, name.lower()) not in self._functions:
            raise UnknownFunctionError(unknown(name, "orchestrator"))
        identifier = instance_id or self._new_id()
        check_instance_id(identifier)
        with self._hub.unit(f"start {identifier}") as unit:
            self._hub.create(unit, name, identifier, input_text, version or self._options.default_version)
        return identifier

    def raise_event(self, instance_id: str, name: str, input_text: str) -> None:
        """Give an external event to an instance that has not ended."""
        with self._hub.unit(f"event {name} for {instance_id}") as unit:
            now = self._hub.now(self._hub.find_open(instance_id))
            self._hub.post(unit, instance_id, history.event_raised(now, name, input_text))

    def terminate(self, instance_id: str, reason: str) -> None:
        """End an instance."""
        with self._hub.unit(f"terminate {instance_id}") as unit:
            now = self._hub.now(self._hub.find_open(instance_id))
            self._hub.post(unit, instance_id, history.execution_terminated(now, reason))

    def suspend(self, instance_id: str, reason: str) -> None:
        """Let an instance's events wait until it is resumed."""
        with self._hub.unit(f"suspend {instance_id}") as unit:
            now = self._hub.now(self._hub.find_open(instance_id))
            self._hub.post(unit, instance_id, history.execution_suspended(now, reason))

    def resume(self, instance_id: str, reason: str) -> None:
        """End a suspension."""
        with self._hub.unit(f"resume {instance_id}") as unit:
            now = self._hub.now(self._hub.find_open(instance_id))
            self._hub.post(unit, instance_id, history.execution_resumed(now, reason))

    def restart(self, instance_id: str, *, new_id: bool) -> str:
        """Start an instance's orchestrator again with the same input; the id of what was started."""
        row = self._store.instance(instance_id)
        if row is None:
            raise NoInstanceError(f"No instance with ID '{instance_id}' was found.")
        return self.start(row.name, None if new_id else instance_id, row.input, row.version)

    def rewind(self, instance_id: str, reason: str) -> None:
        """Let a failed instance go on from before its failure. Raises NoInstanceError, OverError, NotFailedError."""
        with self._hub.unit(f"rewind {instance_id}") as unit:
            row = self._store.instance(instance_id)
            if row is None:
                raise NoInstanceError(f"No instance with ID '{instance_id}' was found.")
            if row.status in (Status.COMPLETED, Status.TERMINATED, Status.CANCELED):
                raise OverError(
                    f"Instance with ID '{instance_id}' is over and has not failed: it is {row.status.text}."
                )
            if row.status is not Status.FAILED:
                raise NotFailedError(f"Instance with ID '{instance_id}' has not failed: it is {row.status.text}.")
            self._rewind(unit, row, reason)

    def _rewind(self, unit: Unit, row: InstanceRow, reason: str) -> None:
        """The deepest of the instances that have failed are woken; those above them hear from their children."""
        old = self._store.history(row.id)
        new, names = rewound([history.decode_all(episode.events) for episode in old])
        statuses = [episode.custom_status for episode in old]
        unit.tx.replace_history(
            row.id, [EpisodeRow(_stored(events), status) for events, status in zip(new, statuses, strict=True)]
        )
        now = self._clock.now()
        unit.tx.put_instance(msgspec.structs.replace(row, status=Status.RUNNING, updated=stamp(now), output=None))
        children = [found for found in map(self._store.instance, names) if found and found.status is Status.FAILED]
        for child in children:
            self._rewind(unit, child, reason)
        if not children:
            self._hub.put(unit, row.id, history.generic(now, f"Rewound: {reason}"), row.execution_id)

    def purge(self, instance_ids: Sequence[str]) -> int:
        """Forget those of the instances that have ended; how many."""
        with self._hub.unit("purge") as unit:
            rows = [self._store.instance(each) for each in instance_ids]
            over = [row.id for row in rows if row is not None and row.status.is_over]
            for instance_id in over:
                unit.tx.delete_instance(instance_id)
        return len(over)

    def signal_entity(self, name: str, key: str, operation: str, input_text: str | None) -> None:
        """Send an operation to an entity; nobody gets its result."""
        if (Kind.ENTITY, name.lower()) not in self._functions:
            raise UnknownFunctionError(unknown(name, "entity"))
        request = entities.Request(op=operation, signal=True, id=str(uuid4()), input=input_text)
        with self._hub.unit(f"signal {entities.entity_id(name, key)}") as unit:
            self._hub.post(unit, entities.entity_id(name, key), msgspec.to_builtins(request))

    def set_clock(self, moment: datetime) -> None:
        """Set the virtual clock and fire what is due by then. Raises ClockError."""
        self._clock.check(moment)
        due = self._timers.due_by(moment)
        with self._hub.unit("clock") as unit:
            self._clock.keep(unit.tx, moment)
            unit.after.append(lambda: self._clock.show(moment))
            for timer in due:
                self._fire_one(unit, timer, moment)

    def next_virtual_timer(self) -> datetime | None:
        """When the next timer on the virtual clock is due."""
        return self._timers.next_virtual()

    async def skip_time(self) -> None:
        """Whenever nothing is left to do, set the virtual clock to the next timer; without end."""
        while True:
            await self._timers.wait_for_virtual()
            await self._scheduler.wait_until_idle(_DAY)
            due = self.next_virtual_timer()
            if due is not None and self._scheduler.is_idle:
                self.set_clock(max(due, self._clock.now()))

    # Start and stop

    def recover(self) -> None:
        """Take our share of the file's partitions, and go on with what is open in them."""
        self._look()
        if self._store.is_shared:
            self._looking = asyncio.get_running_loop().create_task(self._look_for_ever())

    def stop(self) -> None:
        """Fire no more timers, and look no more at what other hosts do."""
        self._timers.stop()
        if self._looking is not None:
            self._looking.cancel()

    def leave(self) -> None:
        """Give everything back to the other hosts, once nothing runs any more."""
        with self._hub.unit("leave") as unit:
            self._partitions.leave(unit.tx)
        self._partitions.close()

    # Other hosts

    async def _look_for_ever(self) -> None:
        seen = self._store.data_version()
        while True:
            await asyncio.sleep(_POLL if self._partitions.has_company() else _POLL_ALONE)
            version = self._store.data_version()
            if version == seen and not self._partitions.needs_care():
                continue
            seen = version
            try:
                self._look()
            except sqlite3.Error:
                _LOG.exception("looking at what other hosts have done: it will be tried again")

    def _look(self) -> None:
        """Take in what others have written, and look after leases and activities."""
        with self._hub.unit("look") as unit:
            self._hub.tend(unit)
            self._claim(unit)

    def _queue_episode(self, instance: Instance) -> None:
        if instance.is_queued:
            return
        instance.is_queued = True
        label = f"orchestrator {instance.row.name} of {instance.row.id}"
        if instance.background:
            self._scheduler.submit_background(label, lambda: self._episode(instance))
        else:
            self._scheduler.submit(Work.EPISODE, label, lambda: self._episode(instance))

    def _queue_entity(self, identifier: str, entity: Entity) -> None:
        if entity.is_queued:
            return
        entity.is_queued = True
        name, _ = entities.name_and_key(identifier)
        if name.lower() in self._background:
            self._scheduler.submit_background(f"entity {identifier}", lambda: self._entity_batch(identifier, entity))
        else:
            self._scheduler.submit(Work.ENTITY, f"entity {identifier}", lambda: self._entity_batch(identifier, entity))

    # Episodes

    async def _episode(self, instance: Instance) -> None:
        if not instance.lease.may_start:
            return
        with instance.lease.at_work():
            try:
                await self._take_in(instance, list(instance.inbox))
            except LeaseLostError as error:
                _LOG.warning("%s", error)
                return
        instance.is_queued = False
        if instance.inbox and instance.row.status is not Status.SUSPENDED:
            self._queue_episode(instance)

    async def _take_in(self, instance: Instance, messages: list[MessageRow]) -> None:
        row = instance.row
        fitting = [each for each in messages if each.execution_id in (None, row.execution_id)]
        terminated = next((m for m in fitting if m.event["EventType"] == EventType.EXECUTION_TERMINATED), None)
        if terminated is not None:
            self._terminate(instance, terminated.event)
            return
        controls = [m for m in fitting if m.event["EventType"] in _CONTROLS]
        is_suspended = row.status is Status.SUSPENDED
        if controls:
            is_suspended = controls[-1].event["EventType"] == EventType.EXECUTION_SUSPENDED
        if is_suspended and row.status is Status.PENDING:
            # A history begins with the start, so the start comes first; the suspension's turn is the next episode.
            messages = messages[:1]
            fitting = messages
        elif is_suspended:
            self._suspend(instance, controls)
            return
        if not fitting:
            self._discard(instance, messages)
            return
        now = self._hub.now(instance)
        new = [history.orchestrator_started(now), *(each.event for each in fitting)]
        answer = await self._ask(instance, new)
        plan = match([*instance.events, *new], answer, row.name, row.execution_id)
        self._advise(instance, advice.of_plan(plan))
        self._carry_out(instance, messages, new, answer, plan, now)

    def _discard(self, instance: Instance, messages: list[MessageRow]) -> None:
        """Answers to an earlier generation or execution, which nobody waits for."""
        with self._hub.unit(f"episode {instance.row.id}", instance.lease) as unit:
            unit.tx.delete_messages(instance.row.id, [each.place for each in messages])
        instance.inbox.take_out(messages)

    async def _ask(self, instance: Instance, new: list[Event]) -> Answer:
        row = instance.row
        if instance.function is None:
            return Answer(is_done=False, error=unknown(row.name, "orchestrator"))
        events = ",".join(history.encode(event) for event in new)
        if instance.played:
            events = f"{instance.played},{events}"
        identity = msgspec.json.encode(
            {"instanceId": row.id, "isReplaying": bool(instance.played), "parentInstanceId": row.parent_id}
        ).decode()
        payload = f'{{"history":[{events}],"input":{row.input or "null"},{identity[1:-1]}{_PAYLOAD_TAIL}'
        episode = await self._worker.orchestrator(instance.function, payload)
        if episode.error is not None:
            _LOG.error("orchestrator %s of %s raised", row.name, row.id, exc_info=episode.error)
        self._advise(instance, episode.advice)
        return episode.answer

    def _advise(self, instance: Instance, found: Sequence[Advice]) -> None:
        """Warn the author, once of each thing."""
        for each in found:
            if each.code not in instance.advised:
                instance.advised.add(each.code)
                _LOG.warning("%s of orchestrator %s: %s: %s", instance.row.id, instance.row.name, each.code, each.text)

    def _carry_out(
        self,
        instance: Instance,
        messages: list[MessageRow],
        new: list[Event],
        answer: Answer,
        plan: Plan,
        now: datetime,
    ) -> None:
        with self._hub.unit(f"episode {instance.row.id}", instance.lease) as unit:
            unit.tx.delete_messages(instance.row.id, [each.place for each in messages])
            unit.after.append(lambda: instance.inbox.take_out(messages))
            events = list(new)
            for item in plan.scheduled:
                if isinstance(item, Timer) and item.id in plan.cancelled_timers:
                    events.append(history.timer_created(now, item.id, item.fire_at))
                else:
                    events.append(self._schedule(unit, instance, item, now))
            self._cancel_timers(unit, instance, plan.cancelled_timers)
            custom_status = answer.custom_status or (
                instance.row.custom_status if instance.row.generation > 1 else None
            )
            if isinstance(plan.outcome, ContinuedAsNew):
                if self._on_generation is not None:
                    next_input = _as_input(plan.outcome.input)
                    events += [history.continued_as_new(now, next_input), history.orchestrator_completed(now)]
                    episodes = [
                        *self._store.history(instance.row.id),
                        EpisodeRow(_stored(events), answer.custom_status),
                    ]
                    unit.after.append(partial(self._on_generation, instance.row, episodes))
                self._begin_generation(unit, instance, messages, plan.outcome, custom_status, now)
                return
            row = msgspec.structs.replace(
                instance.row, status=Status.RUNNING, updated=stamp(now), custom_status=custom_status
            )
            if plan.outcome is not None:
                row = self._end(unit, instance, row, plan.outcome, events, now)
            events.append(history.orchestrator_completed(now))
            self._write(unit, instance, row, events, answer.custom_status)

    def _write(
        self, unit: Unit, instance: Instance, row: InstanceRow, events: list[Event], custom_status: str | None = None
    ) -> None:
        text = _stored(events)
        unit.tx.append_history(row.id, instance.episodes, EpisodeRow(text, custom_status))
        unit.tx.put_instance(row)

        def learn() -> None:
            instance.row = row
            instance.remember(text)

        unit.after.append(learn)

    def _schedule(self, unit: Unit, instance: Instance, item: Scheduled, now: datetime) -> Event:
        row = instance.row
        match item:
            case Activity():
                activity = ActivityRow(unit.tx.number(), row.id, row.execution_id, item.id, item.name, item.input)
                self._add_activity(unit, activity)
                return history.task_scheduled(now, item.id, item.name, item.input)
            case Timer():
                timer = TimerRow(unit.tx.number(), row.id, row.execution_id, item.id, stamp(item.fire_at))
                unit.tx.add_timer(timer)
                unit.after.append(lambda: self._add_timer(timer))
                return history.timer_created(now, item.id, item.fire_at)
            case SubOrchestration():
                return self._schedule_child(unit, row, item, now)
            case EntityMessage():
                return self._send_to_entity(unit, row, item, now)

    def _schedule_child(self, unit: Unit, parent: InstanceRow, item: SubOrchestration, now: datetime) -> Event:
        child_id = item.instance_id or f"{parent.execution_id}:{item.id:04x}"
        input_text = _as_input(item.input)
        version = item.version or self._options.default_version
        problem = None
        if (Kind.ORCHESTRATOR, item.name.lower()) not in self._functions:
            problem = f"Orchestrator function '{item.name}' failed: {unknown(item.name, 'orchestrator')}"
        else:
            try:
                check_instance_id(child_id)
                self._hub.create(unit, item.name, child_id, input_text, version, (parent, item.id))
            except EngineError as error:
                problem = f"Orchestrator function '{item.name}' failed: {error}"
        if problem is not None:
            failed = history.sub_orchestration_failed(now, item.id, problem, "")
            self._hub.post(unit, parent.id, failed, parent.execution_id)
        return history.sub_orchestration_created(now, item.id, item.name, child_id, version, input_text)

    def _send_to_entity(self, unit: Unit, sender: InstanceRow, item: EntityMessage, now: datetime) -> Event:
        request = entities.request_of(item, sender.id, sender.execution_id)
        name, _ = entities.name_and_key(item.entity_id)
        if (Kind.ENTITY, name.lower()) in self._functions:
            self._hub.post(unit, item.entity_id, msgspec.to_builtins(request))
        elif item.is_signal:
            _LOG.error("orchestrator %s of %s: %s", sender.name, sender.id, unknown(name, "entity"))
        else:
            error = entities.Result(is_error=True, result=msgspec.json.encode(unknown(name, "entity")).decode())
            answer = history.event_raised(now, item.request_id, entities.response(error))
            self._hub.post(unit, sender.id, answer, sender.execution_id)
        return history.event_sent(now, item.id, item.entity_id, msgspec.to_builtins(request))

    def _begin_generation(
        self,
        unit: Unit,
        instance: Instance,
        taken: list[MessageRow],
        outcome: ContinuedAsNew,
        custom_status: str | None,
        now: datetime,
    ) -> None:
        """The new generation's first events go in front of what has arrived since the old one took in its messages."""
        old = instance.row
        row = msgspec.structs.replace(
            old,
            execution_id=self._new_id(),
            generation=old.generation + 1,
            status=Status.RUNNING,
            updated=stamp(now),
            input=_as_input(outcome.input),
            custom_status=custom_status,
        )
        unit.tx.clear_history(old.id)
        unit.tx.put_instance(row)
        opening: list[tuple[str | None, Event]] = [
            (row.execution_id, self._hub.started(row, now)),
            *((None, event) for event in outcome.carried),
        ]
        places = {message.place for message in taken}
        waiting = [message for message in instance.inbox if message.place not in places]
        unit.tx.delete_messages(old.id, [message.place for message in waiting])
        opening += [(message.execution_id, message.event) for message in waiting]
        messages = [MessageRow(old.id, unit.tx.number(), execution_id, event) for execution_id, event in opening]
        hidden_until = self._partitions.message_hidden_until()
        for message in messages:
            unit.tx.add_message(message, history.encode(message.event), hidden_until)

        def learn() -> None:
            instance.row = row
            instance.forget()
            instance.inbox.clear()
            for message in messages:
                instance.inbox.add(message)

        unit.after.append(learn)

    def _end(
        self, unit: Unit, instance: Instance, row: InstanceRow, outcome: Outcome, events: list[Event], now: datetime
    ) -> InstanceRow:
        match outcome:
            case Completed(output=output):
                row = msgspec.structs.replace(row, status=Status.COMPLETED, output=output)
            case Failed(message=message):
                _LOG.error("instance %s of %s failed: %s", row.id, row.name, message.strip().splitlines()[0])
                row = msgspec.structs.replace(row, status=Status.FAILED, output=msgspec.json.encode(message).decode())
            case ContinuedAsNew():
                raise AssertionError("a generation that continues does not end")
        return self._close(unit, instance, row, events, now)

    def _close(
        self, unit: Unit, instance: Instance, row: InstanceRow, events: list[Event], now: datetime
    ) -> InstanceRow:
        events.append(history.execution_completed(now, row.status, row.output))
        unit.tx.clear_waiting(row.id)
        unit.after.append(lambda: self._dismiss(instance))
        if row.parent_id is not None and row.parent_task_id is not None:
            if row.status is Status.COMPLETED:
                told = history.sub_orchestration_completed(now, row.parent_task_id, row.output)
            else:
                reason = msgspec.json.decode(row.output or '""', type=str)
                told = history.sub_orchestration_failed(now, row.parent_task_id, reason, "")
            self._hub.post(unit, row.parent_id, told, row.parent_execution_id)
        return row

    def _dismiss(self, instance: Instance) -> None:
        self._timers.remove_all(instance.row.id)
        instance.inbox.clear()
        if self._hub.instances.get(instance.row.id) is instance:
            del self._hub.instances[instance.row.id]

    def _terminate(self, instance: Instance, event: Event) -> None:
        now = self._hub.now(instance)
        reason = msgspec.json.encode(event["Input"]).decode()
        row = msgspec.structs.replace(instance.row, status=Status.TERMINATED, updated=stamp(now), output=reason)
        events = [history.orchestrator_started(now), event]
        with self._hub.unit(f"episode {instance.row.id}", instance.lease) as unit:
            row = self._close(unit, instance, row, events, now)
            events.append(history.orchestrator_completed(now))
            self._write(unit, instance, row, events)

    def _suspend(self, instance: Instance, controls: list[MessageRow]) -> None:
        """Take in what suspends; everything else waits."""
        if not controls:
            return
        now = self._hub.now(instance)
        row = msgspec.structs.replace(instance.row, status=Status.SUSPENDED, updated=stamp(now))
        events = [history.orchestrator_started(now), *(each.event for each in controls)]
        events.append(history.orchestrator_completed(now))
        with self._hub.unit(f"episode {instance.row.id}", instance.lease) as unit:
            unit.tx.delete_messages(row.id, [each.place for each in controls])
            self._write(unit, instance, row, events)
        instance.inbox.take_out(controls)

    # Entities

    async def _entity_batch(self, identifier: str, entity: Entity) -> None:
        if not entity.lease.may_start:
            return
        with entity.lease.at_work():
            try:
                await self._operations(identifier, entity, list(entity.inbox)[:_MAXIMUM_ENTITY_BATCH])
            except LeaseLostError as error:
                _LOG.warning("%s", error)
                return
        entity.is_queued = False
        if entity.inbox:
            self._queue_entity(identifier, entity)

    async def _operations(self, identifier: str, entity: Entity, messages: list[MessageRow]) -> None:
        requests = [entities.read_request(each.event) for each in messages]
        name, _ = entities.name_and_key(identifier)
        function = self._functions.get((Kind.ENTITY, name.lower()))
        answer = await self._operate(function, identifier, entity.state, requests)
        state = answer.entity_state if answer.entity_exists else None
        now = self._clock.now()
        with self._hub.unit(f"entity {identifier}", entity.lease) as unit:
            unit.tx.delete_messages(identifier, [each.place for each in messages])
            if state is not None:
                unit.tx.put_entity(identifier, state, stamp(now))
            elif entity.state is not None:
                unit.tx.delete_entity(identifier)
            for request, result in zip(requests, answer.results, strict=True):
                if result.is_error:
                    _LOG.error("entity %s: operation '%s' failed: %s", identifier, request.op, result.result)
                if request.parent is not None:
                    told = history.event_raised(now, request.id, entities.response(result))
                    self._hub.post(unit, request.parent, told, request.parent_execution)
        entity.state = state
        entity.inbox.take_out(messages)

    async def _operate(
        self, function: Function | None, identifier: str, state: str | None, requests: list[entities.Request]
    ) -> entities.BatchAnswer:
        if function is None:
            return entities.failed(unknown(identifier, "entity"), len(requests), state)
        try:
            text = await self._worker.entity(function, entities.batch(identifier, state, requests))
            return entities.read_answer(text, len(requests))
        except FunctionFailedError as failure:
            _LOG.error("entity %s raised", identifier, exc_info=failure.__cause__)
            return entities.failed(str(failure), len(requests), state)
        except ValueError as error:
            return entities.failed(f"the entity's answer cannot be read: {error}", len(requests), state)

    # Activities

    def _add_activity(self, unit: Unit, activity: ActivityRow) -> None:
        """Store an activity; it is ours to run if there is a slot, else whoever has one claims it."""
        needs_slot = self._activities.needs_slot(activity)
        if needs_slot and self._activities.free_slots(unit.claimed) == 0:
            unit.tx.add_activity(activity, None, None)
            return
        unit.claimed += needs_slot
        unit.tx.add_activity(activity, self._partitions.me, self._partitions.activity_hidden_until())
        unit.after.append(lambda: self._activities.submit(activity))

    def _claim(self, unit: Unit) -> None:
        """Take on activities that no host runs, as many as there are slots."""
        slots = self._activities.free_slots(unit.claimed)
        if slots == 0:
            return
        for activity in unit.tx.free_activities(slots):
            unit.claimed += self._activities.needs_slot(activity)
            unit.tx.claim_activity(activity.number, self._partitions.me, self._partitions.activity_hidden_until())
            unit.after.append(partial(self._activities.submit, activity))

    def _activity_done(self, activity: ActivityRow, result: str | None, reason: str | None) -> None:
        now = self._hub.now(self._hub.instances.get(activity.instance_id))
        if reason is None:
            event = history.task_completed(now, activity.task_id, result)
        else:
            event = history.task_failed(now, activity.task_id, reason, "")
        with self._hub.unit(f"activity {activity.name} {activity.instance_id}") as unit:
            if unit.tx.delete_activity(activity.number, self._partitions.me):
                self._hub.post(unit, activity.instance_id, event, activity.execution_id)
            self._claim(unit)

    # Timers

    def _add_timer(self, timer: TimerRow) -> None:
        instance = self._hub.instances.get(timer.instance_id)
        if instance is None:
            return
        if self._clock.is_virtual and not instance.real_time:
            self._timers.add_virtual(timer)
            if parse_stamp(timer.fire_at) <= self._clock.now():
                self._fire([timer])
        else:
            # A timer of real time is waited for, where the market's time is virtual: nothing else would make it fire.
            self._timers.add_real(timer, is_work=self._clock.is_virtual and not instance.background)

    def _cancel_timers(self, unit: Unit, instance: Instance, task_ids: Sequence[int]) -> None:
        """The real host lets a cancelled timer fire into nothing; here it is forgotten: no orchestrator can tell."""
        for task_id in task_ids:
            timer = self._timers.find(instance.row.id, task_id)
            if timer is not None:
                unit.tx.delete_timer(timer.number)
                unit.after.append(partial(self._timers.remove, timer))

    def _fire(self, timers: Sequence[TimerRow]) -> None:
        with self._hub.unit("timers") as unit:
            for timer in timers:
                # Its partition may have gone to another host just now, which fires it.
                instance = self._hub.instances.get(timer.instance_id)
                if instance is not None:
                    self._fire_one(unit, timer, self._hub.now(instance))

    def _fire_one(self, unit: Unit, timer: TimerRow, now: datetime) -> None:
        unit.tx.delete_timer(timer.number)
        event = history.timer_fired(now, timer.task_id, parse_stamp(timer.fire_at))
        self._hub.post(unit, timer.instance_id, event, timer.execution_id)
        unit.after.append(lambda: self._timers.remove(timer))


def _as_input(text: str | None) -> str | None:
    """An action's input as an orchestrator gets it: JSON of the JSON text, as the SDK has it."""
    return None if text is None else msgspec.json.encode(text).decode()


def _stored(events: list[Event]) -> str:
    return ",".join(history.encode({**event, "IsPlayed": True}) for event in events)
