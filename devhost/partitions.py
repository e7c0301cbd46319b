"""Which host serves which partition of a file, where several hosts serve one file.

As Azure Storage has it: each instance and each entity belongs to one of a fixed number of partitions, and each
partition is leased by one host at a time, which alone runs what belongs to it. The hosts share the partitions evenly. A
host that has too many ends what runs in a partition and gives it back; one that dies loses all; one that hangs loses
all when its lease is over. Whether a lease is still ours is looked at in every transaction: each change of hands is
counted in the file, and a transaction that finds the count changed reads who has what. So a host that was stopped for
longer than its lease and goes on finds out before it changes anything.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec

from devhost.store import HostRow, Store, Transaction

_RENEWALS = 3
"""How often within its time a lease is renewed."""
_LONGEST_PAUSE = 1.0
"""Seconds after which a host looks after its leases at the latest."""


class Timeouts(msgspec.Struct, frozen=True):
    """For how many seconds what a dead host had in its hands stays hidden, as in Azure Storage's queues."""

    message: float
    activity: float


class Balance(msgspec.Struct, frozen=True):
    """What a host has to change to have its share: partitions to take, and to give back."""

    take: tuple[int, ...] = ()
    give: tuple[int, ...] = ()


def balance(owners: Sequence[str | None], hosts: Sequence[str], me: str) -> Balance:
    """What `me`, one of `hosts`, takes and gives. `owners` has the owner of each partition, None for nobody.

    Shares differ by at most one, and those that have most now get the bigger ones, so that nothing moves without need.
    """
    held = {host: [number for number, owner in enumerate(owners) if owner == host] for host in hosts}
    ranking = sorted(hosts, key=lambda host: (-len(held[host]), host))
    least, bigger = divmod(len(owners), len(hosts))
    share = least + (ranking.index(me) < bigger)
    free = [number for number, owner in enumerate(owners) if owner is None]
    mine = held[me]
    return Balance(take=tuple(free[: max(share - len(mine), 0)]), give=tuple(mine[share:]))


class Lease:
    """A partition that this host serves. Once it is no longer `is_ours`, it never is again: another one is made."""

    def __init__(self, number: int, epoch: int) -> None:
        self.number = number
        self.epoch = epoch
        self.is_ours = True
        self.is_leaving = False
        self._at_work = 0

    @property
    def may_start(self) -> bool:
        """Whether something that belongs to the partition may begin."""
        return self.is_ours and not self.is_leaving

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing runs that belongs to the partition."""
        return self._at_work == 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The partition is not given back while the block runs."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1


class LeaseLostError(Exception):
    """Another host serves the partition by now: what was being done there is that one's to do."""


class Partitions:
    """The leases of one host. `timeouts` hides what a dead host had; without, others see at once that it is dead.

    A store that is not shared belongs to this host alone, and so do all partitions.
    """

    def __init__(self, store: Store, *, lease_seconds: float = 30.0, timeouts: Timeouts | None = None) -> None:
        self._store = store
        self._lease_seconds = lease_seconds
        self.timeouts = timeouts
        self.me = f"{os.getpid()}-{uuid4().hex[:8]}"
        self._presence = _Presence(store.path, self.me) if store.is_shared else None
        self._leases: dict[int, Lease] = {}
        self._handovers = 0
        self._renew_at = 0.0
        self._hide_at = 0.0
        self._watchers: list[Callable[[], None]] = []

    def lease_of(self, identifier: str) -> Lease | None:
        """The lease of the partition that something belongs to, if it is ours."""
        return self._leases.get(self._store.partition_of(identifier))

    @property
    def numbers(self) -> list[int]:
        """The partitions that are ours."""
        return list(self._leases)

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever a lease came or went."""
        self._watchers.append(changed)

    def tell(self) -> None:
        """Call the watchers."""
        for changed in self._watchers:
            changed()

    def lost(self, tx: Transaction) -> list[Lease]:
        """The leases that others have taken from us; every transaction asks this before anything else."""
        if tx.handovers == self._handovers:
            return []
        self._handovers = tx.handovers
        rows = self._store.partitions()
        gone = [each for each in self._leases.values() if rows[each.number].owner != self.me]
        self.drop(gone)
        return gone

    def drop(self, leases: Sequence[Lease]) -> None:
        """These are no longer ours."""
        for lease in leases:
            lease.is_ours = False
            del self._leases[lease.number]

    def has_company(self) -> bool:
        """Whether another host has the file open, or had it and is not buried yet."""
        return self._presence is not None and len(self._store.hosts()) > 1

    def needs_care(self) -> bool:
        """Whether `care` would change anything."""
        now = time.time()
        if now >= self._renew_at or any(self._is_gone(host, now) for host in self._store.hosts()):
            return True
        plan = self._balance()
        leaving = [self._leases[number] for number in plan.give]
        return bool(plan.take) or any(not each.is_leaving or each.is_at_rest for each in leaving)

    def care(self, tx: Transaction) -> list[Lease]:
        """Renew our leases, bury the dead, and take our share; what was taken counts once `add` is told after the
        commit. What is too much for us leaves, and is given back when it is at rest."""
        now = time.time()
        tx.put_host(HostRow(self.me, now + self._lease_seconds))
        for host in self._store.hosts():
            if self._is_gone(host, now):
                tx.remove_host(host.id)
                if self._presence is not None:
                    self._presence.bury(host.id)
        tx.free_lost_activities(now)
        self._hide(tx, now)
        plan = self._balance()
        for number in plan.give:
            self._leases[number].is_leaving = True
        rows = self._store.partitions()
        for number in plan.take:
            tx.set_owner(number, self.me)
        self._renew_at = now + min(self._lease_seconds / _RENEWALS, _LONGEST_PAUSE)
        return [Lease(number, rows[number].epoch + 1) for number in plan.take]

    def add(self, leases: Sequence[Lease]) -> None:
        """These were taken."""
        self._leases.update((lease.number, lease) for lease in leases)

    def give_back(self, tx: Transaction) -> list[Lease]:
        """Let go of what leaves and is at rest; those leases, for `drop` after the commit."""
        given = [lease for lease in self._leases.values() if lease.is_leaving and lease.is_at_rest]
        for lease in given:
            tx.set_owner(lease.number, None)
        if self.timeouts is not None:
            tx.hide_messages([lease.number for lease in given], None)
        return given

    def leave(self, tx: Transaction) -> None:
        """Give everything back, and be gone."""
        if self.timeouts is not None:
            tx.hide_messages(self.numbers, None)
            tx.hide_activities(self.me, 0)
        tx.remove_host(self.me)
        tx.free_lost_activities(time.time())

    def close(self) -> None:
        """Let others see that this host is gone."""
        if self._presence is not None:
            self._presence.close()

    def message_hidden_until(self) -> float | None:
        """Until when a message that this host takes up is hidden from a successor."""
        return None if self.timeouts is None else time.time() + self.timeouts.message

    def activity_hidden_until(self) -> float | None:
        """Until when an activity that this host takes up is hidden from a successor."""
        return None if self.timeouts is None else time.time() + self.timeouts.activity

    def _hide(self, tx: Transaction, now: float) -> None:
        """Renew, as long as we live, what hides the things in our hands."""
        if self.timeouts is None or now < self._hide_at:
            return
        self._hide_at = now + min(self.timeouts.message, self.timeouts.activity) / _RENEWALS
        tx.hide_messages(self.numbers, now + self.timeouts.message)
        tx.hide_activities(self.me, now + self.timeouts.activity)

    def _balance(self) -> Balance:
        owners = [row.owner for row in self._store.partitions()]
        hosts = {host.id for host in self._store.hosts()} | {self.me}
        return balance(owners, sorted(hosts), self.me)

    def _is_gone(self, host: HostRow, now: float) -> bool:
        if host.id == self.me:
            return False
        if self._presence is None or host.expires <= now:
            return True
        return self.timeouts is None and self._presence.is_dead(host.id)


class _Presence:
    """A lock on a file of the host's own beside the database, by which others see at once that its process is gone."""

    def __init__(self, database: Path, host: str) -> None:
        self._folder = database.with_name(database.name + ".hosts")
        self._folder.mkdir(exist_ok=True)
        self._path = self._folder / host
        self._lock = self._path.open("ab")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def is_dead(self, host: str) -> bool:
        """Whether that host's process has ended."""
        try:
            with (self._folder / host).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True

    def bury(self, host: str) -> None:
        """Remove a dead host's file; a hanging one keeps its own."""
        if self.is_dead(host):
            (self._folder / host).unlink(missing_ok=True)

    def close(self) -> None:
        """The host is gone."""
        self._path.unlink(missing_ok=True)
        self._lock.close()
