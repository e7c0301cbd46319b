"""A campaign: orders are placed and prices move while faults come and go; then it is judged what is left behind."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec

from player.client import RefusedError, UnreachableError
from player.processes import ProcessError
from player.report import percentile
from tests.chaos import audit
from tests.chaos.facts import Calm, Disturbance, Facts, TakeOver, VenueLogon, VenueOrder, collect
from tests.chaos.faults import HOLDER, LEASE_SECONDS, Fault, program
from tests.chaos.load import Load, Market, plans
from tests.chaos.system import TRADING_SESSION, Effects, System

_ROUND = 50
"""Faults, after which there is a calm: only then does it show how long recovery takes."""
_ORDERS_PER_SECOND = 0.6
_ANSWERS_WITHIN = 60.0
_SETTLED_WITHIN = 180.0
_BETWEEN_LOOKS, _BETWEEN_QUESTIONS = 0.5, 0.1
_TAKE_OVER, _SLACK = 2.0, 2.0
"""Seconds for logging on, which are promised beyond the lease time, and what a busy machine may add."""
_SETTINGS = {"SMA_SLOW": "10000", "PYTHONFAULTHANDLER": "1"}
"""The strategy never gives a signal: the orders are the load's. A host that crashes by itself says where."""
_TIMINGS = audit.Timings(lease=LEASE_SECONDS, heartbeat=1, host_lease=5, visibility=5)
"""What `System` starts the hosts with."""
SWEPT = _TIMINGS.sweep


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
    rest: float = 3.0
    """Seconds after which what was clean is looked at again. `SWEPT` is long enough for what a sweep would find."""
    program: tuple[Fault, ...] = ()
    """What is broken; none: as many `faults` as are wanted, from the seed."""


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
    healed: Distribution
    """From the healing of everything until each position had a stop that had none then."""
    seconds: float
    effects: dict[str, Effects] = {}
    """Faults by kind: how many there were, and how many of them had an effect."""
    died: list[str] = []
    """Processes that have ended by themselves."""

    @property
    def is_clean(self) -> bool:
        return not self.refusals and not self.died and not any(self.found.values())


Told = Callable[[str, int], None]
"""Hears what is being done, and how many faults are done."""


def run(campaign: Campaign, told: Told) -> Report:
    """Do it. Raises what the system raises."""
    begun = time.monotonic()
    told("starting", 0)
    with System(campaign.folder, hosts=campaign.hosts, settings=_SETTINGS, seed=campaign.seed) as system:
        facts, refusals = _carried_out(campaign, system, told)
        effects, died = system.effects(), list(system.died)
    (campaign.folder / "facts.json").write_bytes(msgspec.json.encode(facts))
    report = _report(campaign, facts, refusals, time.monotonic() - begun)
    return msgspec.structs.replace(report, effects=effects, died=died)


def _carried_out(campaign: Campaign, system: System, told: Told) -> tuple[Facts, list[str]]:
    market = Market(system.control_port, system.host_ports, campaign.seed)
    planned = plans(campaign.seed, campaign.orders, campaign.orders_per_second)
    load = Load(planned, market, system.host_ports, campaign.seed)
    market.move()
    load.start()
    try:
        protecting = {plan.order_id for plan in planned if plan.protects}
        faults = campaign.program or program(campaign.seed, campaign.faults)
        calms = _disturb(faults, system, protecting, told)
        told("killing the holder once more", campaign.faults)
        take_over = _killed_once_more(system) if len(system.names) > 1 else None
        told("waiting for the answers", campaign.faults)
        load.stop_placing()
        rests_from = time.monotonic() + max(float(plan.body.get("valid_for", 0)) for plan in planned)
        load.wait_for_answers(_ANSWERS_WITHIN)
        load.wind_up(_open_orders(system))
        load.wait_for_answers(_ANSWERS_WITHIN)
    finally:
        load.stop()
    _until(market.rest, 10.0)
    told("settling", campaign.faults)
    # Before that the time of an order may still run out, and it ends as it should.
    time.sleep(max(0.0, rests_from - time.monotonic()))
    facts = _settled(campaign, partial(_look, system, load, calms, take_over))
    market.close()
    return facts, load.refusals


def _disturb(faults: Sequence[Fault], system: System, protecting: Collection[str], told: Told) -> list[Calm]:
    """Inject one fault after another, with a calm after each round of them; the calms."""
    begun, paused = time.monotonic(), 0.0
    calms: list[Calm] = []
    for done, fault in enumerate(faults):
        if done and done % _ROUND == 0:
            told("calm", done)
            before = time.monotonic()
            calms.append(_calm(system, protecting))
            paused += time.monotonic() - before
        told(f"{fault.kind} {fault.target}", done)
        time.sleep(max(0.0, fault.at + paused - (time.monotonic() - begun)))
        system.inject(fault)
    told("healing", len(faults))
    return [*calms, _calm(system, protecting)]


def _calm(system: System, protecting: Collection[str]) -> Calm:
    """Heal everything, and wait for the session and until each position has a stop that had none."""
    system.heal_all()
    since = datetime.now(UTC)
    within = audit.bound(_TIMINGS, with_sweep=any(each.fault.kind == "wake_ups" for each in system.log))
    logged_on_after = _healthy_after(system, within)
    left = set(protecting)

    def are_protected() -> bool:
        # Prices move: what has been protected once is not waited for again.
        left.intersection_update(_uncovered(system, left))
        return not left

    _until(are_protected, max(0.0, within - (datetime.now(UTC) - since).total_seconds()))
    return Calm(
        since=since,
        until=datetime.now(UTC),
        logged_on_after=logged_on_after,
        unprotected=sorted(left),
        within=within,
    )


def _uncovered(system: System, order_ids: Collection[str]) -> Collection[str]:
    """Which of these orders hold something without a stop or a closing order for it; all where nobody can say."""
    try:
        return audit.uncovered(msgspec.convert(system.venue.get("/orders"), list[VenueOrder]))
    except (UnreachableError, RefusedError):
        return order_ids


def _healthy_after(system: System, within: float) -> float | None:
    try:
        return system.wait_until_healthy(within)
    except ProcessError:
        return None


def _killed_once_more(system: System) -> TakeOver:
    """Kill the holder while all is well, and see how long it takes another to log on."""
    within = LEASE_SECONDS + _TAKE_OVER + _SLACK
    fault = Fault(at=0, kind="kill", target=HOLDER, duration=within)
    killed = system.inject(fault).what
    others = [name for name in system.names if name != killed]

    def is_logged_on(name: str) -> bool:
        status = system.status(name)
        return status is not None and status.logged_on

    logged_on_after = _until(lambda: any(map(is_logged_on, others)), within)
    system.heal_all()
    healthy_after = _healthy_after(system, audit.bound(_TIMINGS, with_sweep=False))
    return TakeOver(killed=killed, logged_on_after=logged_on_after, healthy_after=healthy_after, within=within)


def _open_orders(system: System) -> list[str]:
    shown = system.hosts[0].get("/api/orders?open=true&limit=1000")["orders"]
    return [order["order_id"] for order in shown]


def _look(system: System, load: Load, calms: Sequence[Calm], take_over: TakeOver | None) -> Facts:
    return collect(
        host=system.hosts[0],
        venue=system.venue,
        storage_connection=system.storage_connection,
        promises=load.promises(),
        promised_instructions=load.promised_instructions(),
        disturbances=_disturbances(system),
        calms=calms,
        take_over=take_over,
        lease=LEASE_SECONDS,
        bound=audit.bound(_TIMINGS),
        bound_without_sweep=audit.bound(_TIMINGS, with_sweep=False),
    )


def _settled(campaign: Campaign, look: Callable[[], Facts]) -> Facts:
    """The facts once nothing contradicts a promise any more, and how they have changed by the end of a rest; or the
    facts after all patience."""
    first = _first_clean(look)
    if audit.audit(first):
        return first
    time.sleep(campaign.rest)
    second = look()
    return msgspec.structs.replace(second, changed=audit.changes(first, second))


def _first_clean(look: Callable[[], Facts]) -> Facts:
    """The facts as soon as they are clean, or after all patience."""
    deadline = time.monotonic() + _SETTLED_WITHIN
    while True:
        try:
            facts = look()
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


def _until(holds: Callable[[], bool], within: float) -> float | None:
    """After how many seconds it was so; None: not within so many."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > within:
            return None
        time.sleep(_BETWEEN_QUESTIONS)
    return time.monotonic() - begun


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
        take_overs=distribution(_absences([logon for logon in facts.logons if logon.session == TRADING_SESSION])),
        unprotected=distribution([audit.seconds_in_all(gap, facts) for gap in gaps]),
        calm=distribution([audit.longest_calm(gap, facts) for gap in gaps]),
        healed=distribution(audit.after_healing(facts)),
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

    return Distribution(
        count=len(in_order),
        median=percentile(in_order, 50),
        p90=percentile(in_order, 90),
        p99=percentile(in_order, 99),
        longest=in_order[-1],
    )
