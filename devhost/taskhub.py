"""This host's part of the task hub: what it keeps in memory of the file, and how anything gets into either.

The file decides. Memory holds a copy of what is open (histories, messages) in the partitions that this host has leased
(devhost/partitions.py); it is made from the file when a partition is taken, and changed only after a commit. Messages
are numbered through all hosts of the file: so each transaction begins by reading what others have posted to us behind
the last number we know of, and by looking whether a lease of ours has gone to another host. Then what was done under
it is not committed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from devhost import entities, history
from devhost.app import Function, Kind
from devhost.clock import MarketClock, utc_now
from devhost.history import Event, Status, stamp
from devhost.instances import AlreadyRunningError, Entity, Instance, NoInstanceError, OverError
from devhost.partitions import Lease, LeaseLostError, Partitions
from devhost.store import EpisodeRow, InstanceRow, MessageRow, Store, TimerRow, Transaction

_LOG = logging.getLogger("devhost")


class Unit:
    """A transaction and what memory has to learn once it is committed."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self.after: list[Callable[[], object]] = []
        self.claimed = 0


class TaskHub:
    """The instances, entities and messages of one host's partitions.

    `run_instance` and `run_entity` are called when something has come in for one, `add_timer` for each timer of a
    partition that was taken, and `keep_timers_of` with the instances that are left when one was lost.
    """

    def __init__(
        self,
        store: Store,
        clock: MarketClock,
        partitions: Partitions,
        functions: Mapping[tuple[Kind, str], Function],
        *,
        real_time: set[str],
        background: set[str],
        new_id: Callable[[], str],
        run_instance: Callable[[Instance], None],
        run_entity: Callable[[str, Entity], None],
        add_timer: Callable[[TimerRow], None],
        keep_timers_of: Callable[[Collection[str]], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._partitions = partitions
        self._functions = functions
        self._real_time = real_time
        self._background = background
        self._new_id = new_id
        self._run_instance = run_instance
        self._run_entity = run_entity
        self._add_timer = add_timer
        self._keep_timers_of = keep_timers_of
        self._loop = asyncio.get_running_loop()
        self._known = 0
        self.instances: dict[str, Instance] = {}
        """Those that have not ended."""
        self._entities: dict[str, Entity] = {}

    def tend(self, unit: Unit) -> None:
        """Look after our leases: take what is our share, and give back what is too much."""
        if not self._partitions.needs_care():
            return
        taken = self._partitions.care(unit.tx)
        if taken:
            self._load(unit, taken)
        self._loop.call_soon(self._partitions.tell)
        given = self._partitions.give_back(unit.tx)
        if given:
            unit.after.append(lambda: self._partitions.drop(given))
            unit.after.append(lambda: self._forget(given))

    def _load(self, unit: Unit, leases: list[Lease]) -> None:
        """Read what belongs to partitions that we take."""
        lease_of = {lease.number: lease for lease in leases}
        numbers = list(lease_of)
        rows = [(row, self._store.history(row.id)) for row in self._store.open_instances(numbers)]
        messages = self._store.messages(numbers)
        timers = self._store.timers(numbers)

        def learn() -> None:
            self._partitions.add(leases)
            for row, episodes in rows:
                self._admit(row, episodes)
            for message, hidden_until in messages:
                delay = (hidden_until or 0) - time.time()
                if delay > 0 and self._partitions.timeouts is not None:
                    self._loop.call_later(
                        delay, self._deliver_late, lease_of[self._store.partition_of(message.target)], message
                    )
                else:
                    self._deliver(message)
            for timer in timers:
                self._add_timer(timer)
            self._tell("takes", leases)

        unit.after.append(learn)

    def _forget(self, leases: list[Lease]) -> None:
        """Memory of what belongs to partitions that are no longer ours."""
        self.instances = {key: each for key, each in self.instances.items() if each.lease.is_ours}
        self._entities = {key: each for key, each in self._entities.items() if each.lease.is_ours}
        self._keep_timers_of(self.instances)
        self._tell("no longer has", leases)

    def _tell(self, what: str, leases: list[Lease]) -> None:
        if self._store.is_shared:
            numbers = ", ".join(str(lease.number) for lease in leases)
            _LOG.info("host %s %s partition %s of %s", self._partitions.me, what, numbers, self._store.partition_count)

    def _catch_up(self, tx: Transaction) -> None:
        lost = self._partitions.lost(tx)
        if lost:
            self._forget(lost)
            # Not at once: whoever hears of it may want a transaction of its own.
            self._loop.call_soon(self._partitions.tell)
        if tx.last_number == self._known:
            return
        hidden_until = self._partitions.message_hidden_until()
        for message, _ in self._store.messages(self._partitions.numbers, after=self._known):
            if hidden_until is not None:
                tx.hide_message(message.target, message.place, hidden_until)
            self._deliver(message)
        self._known = tx.last_number
        if self._store.is_shared:
            self._loop.call_soon(self._partitions.tell)

    @contextmanager
    def unit(self, label: str, lease: Lease | None = None) -> Iterator[Unit]:
        """A transaction; one for what belongs to a lease fails with LeaseLostError where that is no longer ours."""
        with self._store.transaction(label) as tx:
            self._catch_up(tx)
            if lease is not None and not lease.is_ours:
                raise LeaseLostError(f"{label}: partition {lease.number} has gone to another host, which does it again")
            unit = Unit(tx)
            yield unit
        self._known = unit.tx.last_number
        for learn in unit.after:
            learn()

    def now(self, instance: Instance | None) -> datetime:
        """The time as an instance sees it; None is one that another host has, or an entity."""
        return utc_now() if instance is not None and instance.real_time else self._clock.now()

    def find_open(self, instance_id: str) -> Instance | None:
        """The instance, None if another host has it. Raises NoInstanceError and OverError."""
        instance = self.instances.get(instance_id)
        if instance is not None:
            return instance
        row = self._store.instance(instance_id)
        if row is None:
            raise NoInstanceError(f"No instance with ID '{instance_id}' was found.")
        if row.status.is_over:
            raise OverError(f"Instance with ID '{instance_id}' is over.")
        return None

    def _admit(self, row: InstanceRow, episodes: Sequence[EpisodeRow] = ()) -> Instance | None:
        lease = self._partitions.lease_of(row.id)
        if lease is None:
            return None
        name = row.name.lower()
        background = name in self._background
        instance = Instance(
            row,
            self._functions.get((Kind.ORCHESTRATOR, name)),
            lease,
            real_time=background or name in self._real_time,
            background=background,
        )
        for episode in episodes:
            instance.remember(episode.events)
        self.instances[row.id] = instance
        return instance

    def create(
        self,
        unit: Unit,
        name: str,
        instance_id: str,
        input_text: str | None,
        version: str | None,
        parent: tuple[InstanceRow, int] | None = None,
    ) -> None:
        """Make an instance that is to run. Raises AlreadyRunningError if the last one of that id has not ended."""
        existing = self._store.instance(instance_id)
        if existing is not None and not existing.status.is_over:
            raise AlreadyRunningError(
                f"An Orchestration instance with the status {existing.status.text} already exists."
            )
        real_time = name.lower() in self._real_time | self._background
        now = utc_now() if real_time else self._clock.now()
        row = InstanceRow(
            id=instance_id,
            name=name,
            version=version,
            execution_id=self._new_id(),
            generation=1,
            status=Status.PENDING,
            created=stamp(now),
            updated=stamp(now),
            input=input_text,
            parent_id=parent[0].id if parent else None,
            parent_execution_id=parent[0].execution_id if parent else None,
            parent_task_id=parent[1] if parent else None,
        )
        if existing is not None:
            unit.tx.delete_instance(instance_id)
        unit.tx.put_instance(row)
        unit.after.append(lambda: self._admit(row))
        self.put(unit, instance_id, self.started(row, now), row.execution_id)

    def started(self, row: InstanceRow, now: datetime) -> Event:
        """The event with which an instance or a new generation of it begins."""
        return history.execution_started(
            now,
            name=row.name,
            version=row.version,
            input_text=row.input,
            instance_id=row.id,
            execution_id=row.execution_id,
            parent_instance_id=row.parent_id,
        )

    def post(self, unit: Unit, target: str, event: Event, execution_id: str | None = None) -> None:
        """Send a message; one for an instance or an execution that is over is dropped, as the real host drops it."""
        if not entities.is_entity(target):
            instance = self.instances.get(target)
            row = instance.row if instance is not None else self._store.instance(target)
            if row is None or row.status.is_over or execution_id not in (None, row.execution_id):
                return
        self.put(unit, target, event, execution_id)

    def put(self, unit: Unit, target: str, event: Event, execution_id: str | None) -> None:
        """Send a message to an instance that is known to be open, or to an entity."""
        message = MessageRow(target, unit.tx.number(), execution_id, event)
        is_ours = self._partitions.lease_of(target) is not None
        hidden_until = self._partitions.message_hidden_until() if is_ours else None
        unit.tx.add_message(message, history.encode(event), hidden_until)
        if is_ours:
            unit.after.append(lambda: self._deliver(message))

    def _deliver(self, message: MessageRow) -> None:
        """Let a stored message be taken in, if its target is ours."""
        lease = self._partitions.lease_of(message.target)
        if lease is None:
            return
        if entities.is_entity(message.target):
            entity = self._entities.get(message.target)
            if entity is None:
                entity = self._entities[message.target] = Entity(self._store.entity(message.target), lease)
            entity.inbox.add(message)
            self._run_entity(message.target, entity)
            return
        instance = self.instances.get(message.target) or self._find(message.target)
        if instance is None:
            return
        instance.inbox.add(message)
        if instance.has_begun:
            self._run_instance(instance)

    def _find(self, instance_id: str) -> Instance | None:
        """An instance that another host has started for us."""
        row = self._store.instance(instance_id)
        return None if row is None or row.status.is_over else self._admit(row, self._store.history(instance_id))

    def _deliver_late(self, lease: Lease, message: MessageRow) -> None:
        """Deliver what was hidden when we took its partition, if it is still there to be delivered."""
        if lease.is_ours and self._store.has_message(message.target, message.place):
            self._deliver(message)
