"""A campaign: orders are placed and prices move while faults come and go; then it is judged what is left behind."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import msgspec

from player.client import RefusedError, UnreachableError
from player.processes import ProcessError
from tests.chaos import audit
from tests.chaos.facts import Disturbance, Facts, VenueLogon, VenueOrder, collect
from tests.chaos.faults import LEASE_SECONDS, Fault, program
from tests.chaos.load import Load, Market, plans
from tests.chaos.system import System

_ROUND = 50
"""Faults, after which there is a calm: only then does it show how long recovery takes."""
_CALM_AT_MOST = 20.0
_ORDERS_PER_SECOND = 1.5
_ANSWERS_WITHIN = 60.0
_SETTLED_WITHIN = 180.0
_BETWEEN_LOOKS = 0.5
_SETTINGS = {"SMA_SLOW": "10000", "PYTHONFAULTHANDLER": "1"}
"""The strategy never gives a signal: the orders are the load's. A host that crashes by itself says where."""
_TIMINGS = audit.Timings(lease=LEASE_SECONDS, heartbeat=1, host_lease=5, visibility=5)
"""What `System` starts the hosts with."""


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done: from the seed come orders, prices and faults."""

    seed: int
    faults: int
    hosts: int = 2
    folder: Path
    """Everything that is written goes there."""
    orders: int = 2_000
    """At most so many: they are placed for as long as there are faults."""
    orders_per_second: float = _ORDERS_PER_SECOND


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Of durations in seconds."""

    count: int
    median: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    longest: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a campaign."""

    campaign: Campaign
    facts: Facts
    found: dict[str, list[audit.Difference]]
    """By check; all of them are there."""
    refusals: list[str]
    """Orders of the load that can be none: a mistake of its own."""
    injected: dict[str, int]
    """Faults by kind and target."""
    outcomes: dict[str, int]
    take_overs: Distribution
    """From the end of one session to the next, by the venue's log."""
    unprotected: Distribution
    calm: Distribution
    """The same, of each the longest stretch in which no fault was on."""
    seconds: float

    @property
    def is_clean(self) -> bool:
        return not self.refusals and not any(self.found.values())


Told = Callable[[str, int], None]
"""Hears what is being done, and how many faults are done."""


def run(campaign: Campaign, told: Told) -> Report:
    """Do it. Raises what the system raises."""
    begun = time.monotonic()
    told("starting", 0)
    with System(campaign.folder, hosts=campaign.hosts, settings=_SETTINGS, seed=campaign.seed) as system:
        facts, refusals = _carried_out(campaign, system, told)
    (campaign.folder / "facts.json").write_bytes(msgspec.json.encode(facts))
    return _report(campaign, facts, refusals, time.monotonic() - begun)


def _carried_out(campaign: Campaign, system: System, told: Told) -> tuple[Facts, list[str]]:
    market = Market(system.control_port, system.host_ports, campaign.seed)
    planned = plans(campaign.seed, campaign.orders, campaign.orders_per_second)
    load = Load(planned, market, system.host_ports, campaign.seed)
    market.move()
    load.start()
    try:
        protecting = {plan.order_id for plan in planned if plan.protects}
        _disturb(program(campaign.seed, campaign.faults), system, protecting, told)
        told("waiting for the answers", campaign.faults)
        load.stop_placing()
        load.wait_for_answers(_ANSWERS_WITHIN)
        load.wind_up(_open_orders(system))
        load.wait_for_answers(_ANSWERS_WITHIN)
    finally:
        load.stop()
    _until(market.rest, 10.0)
    told("settling", campaign.faults)
    facts = _settled(system, load)
    market.close()
    return facts, load.refusals


def _disturb(faults: Sequence[Fault], system: System, protecting: Collection[str], told: Told) -> None:
    """Inject one fault after another, with a calm after each round of them."""
    begun, paused = time.monotonic(), 0.0
    for done, fault in enumerate(faults):
        if done and done % _ROUND == 0:
            told("calm", done)
            paused += _calm(system, protecting)
        told(f"{fault.kind} {fault.target}", done)
        time.sleep(max(0.0, fault.at + paused - (time.monotonic() - begun)))
        system.inject(fault)
    told("healing", len(faults))
    _calm(system, protecting)


def _calm(system: System, protecting: Collection[str]) -> float:
    """Heal everything, and wait until the session is there and each position protected, or for long enough to show
    that it is not; how long that took."""
    begun = time.monotonic()
    system.heal_all()
    with suppress(ProcessError):  # how long it takes is judged by what it leaves unprotected
        system.wait_until_healthy(_CALM_AT_MOST)
    _until(lambda: _is_protected(system, protecting), _CALM_AT_MOST)
    return time.monotonic() - begun


def _is_protected(system: System, order_ids: Collection[str]) -> bool:
    """Whether of these orders none holds anything without a stop or a closing order for it."""
    try:
        orders = msgspec.convert(system.venue.get("/orders"), list[VenueOrder])
    except (UnreachableError, RefusedError):
        return False
    return not audit.uncovered(orders).intersection(order_ids)


def _open_orders(system: System) -> list[str]:
    shown = system.hosts[0].get("/api/orders?open=true&limit=1000")["orders"]
    return [order["order_id"] for order in shown]


def _settled(system: System, load: Load) -> Facts:
    """The facts once nothing contradicts a promise any more, or after all patience."""
    deadline = time.monotonic() + _SETTLED_WITHIN
    while True:
        try:
            facts = collect(
                host=system.hosts[0],
                venue=system.venue,
                storage_connection=system.storage_connection,
                promises=load.promises(),
                promised_instructions=load.promised_instructions(),
                disturbances=_disturbances(system),
                lease=LEASE_SECONDS,
                bound=audit.bound(_TIMINGS),
            )
        except (UnreachableError, RefusedError):
            if time.monotonic() > deadline:
                raise
        else:
            if time.monotonic() > deadline or not audit.audit(facts):
                return facts
        time.sleep(_BETWEEN_LOOKS)


def _disturbances(system: System) -> list[Disturbance]:
    """What was broken when; what still is, until now."""
    now = datetime.now(UTC)
    return [
        Disturbance(kind=each.fault.kind, target=each.what, since=each.since, until=each.until or now)
        for each in system.log
    ]


def _until(holds: Callable[[], bool], within: float) -> bool:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_BETWEEN_LOOKS)
    return True


def _report(campaign: Campaign, facts: Facts, refusals: list[str], seconds: float) -> Report:
    gaps = audit.unprotected(facts)
    injected = Counter(f"{each.kind} {each.target}".strip() for each in facts.disturbances)
    outcomes = Counter(order.record.outcome if order.record else "open" for order in facts.register)
    return Report(
        campaign=campaign,
        facts=facts,
        found=audit.checked(facts),
        refusals=refusals,
        injected=dict(sorted(injected.items())),
        outcomes=dict(sorted(outcomes.items())),
        take_overs=distribution(_absences(facts.logons)),
        unprotected=distribution([audit.seconds_in_all(gap, facts) for gap in gaps]),
        calm=distribution([audit.longest_calm(gap, facts) for gap in gaps]),
        seconds=seconds,
    )


def _absences(logons: Sequence[VenueLogon]) -> list[float]:
    """Seconds between the end of each logon and the next."""
    in_order = sorted(logons, key=lambda logon: logon.since)
    ends: list[tuple[datetime, datetime]] = [
        (one.until, other.since) for one, other in pairwise(in_order) if one.until is not None
    ]
    return [max(0.0, (since - until).total_seconds()) for until, since in ends]


def distribution(seconds: Sequence[float]) -> Distribution:
    """Of these durations."""
    if not seconds:
        return Distribution(count=0)
    in_order = sorted(seconds)

    def quantile(part: float) -> float:
        return in_order[min(len(in_order) - 1, int(part * len(in_order)))]

    return Distribution(
        count=len(in_order),
        median=statistics.median(in_order),
        p90=quantile(0.9),
        p99=quantile(0.99),
        longest=in_order[-1],
    )
