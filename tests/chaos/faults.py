"""What is broken, when, and for how long: a program of faults that follows from its seed alone."""

import random
from collections.abc import Callable
from typing import Literal

import msgspec

Kind = Literal[
    "kill",
    "stop",
    "cut",
    "half_open",
    "delay",
    "late",
    "storage_errors",
    "storage_throttle",
    "storage_slow",
    "lost_answers",
    "lost_requests",
    "clock",
    "wake_ups",
]
HOSTS = ("host-a", "host-b")
HOLDER = "holder"
"""Whichever host holds the session's lease when the fault begins."""
ALL_HOSTS = "hosts"
LEASE_SECONDS = 2.0
"""The lease time that the program is made for: it stops processes for shorter and for longer than this."""

_GAP = (0.3, 1.3)
_CALM_EVERY, _CALM_SECONDS = 6, 3.5


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that breaks. `at` and `duration` are seconds, `at` from the program's begin.

    What the parameters are depends on the kind:

    - kill (SIGKILL; started again at the end): `again`, seconds after which it is killed once more while it starts
    - stop (SIGSTOP, SIGCONT at the end): none
    - cut (a FIX connection's both ends closed): none
    - half_open (bytes of the connections that exist vanish; at the end they are dead): `direction` out, in, both
    - delay (bytes are held): `direction`, `seconds`
    - late (what the host has sent is held, and its end is closed after `seconds`): `release`, when what was held
      arrives: before_logon, just before the next connection's Logon, or at_end
    - storage_errors, storage_throttle, storage_slow, lost_answers, lost_requests: `share` of the requests,
      `host` whose requests (none: everybody's), for storage_slow `seconds`
    - clock (the host's wall clock is wrong): `offset` in seconds
    - wake_ups: `drop` and `repeat`, the share of the wake-ups to which that happens
    """

    at: float
    kind: Kind
    target: str
    duration: float = 0.0
    parameters: dict[str, float | str] = {}


Draw = Callable[[random.Random], Fault]


def program(seed: int, count: int) -> list[Fault]:
    """`count` faults of all kinds, in the order of their time, with a calm now and then.

    They are dealt like cards: no kind waits longer than two decks for its turn.
    """
    rng = random.Random(seed)
    faults: list[Fault] = []
    deck: list[Draw] = []
    at = 0.0
    for number in range(count):
        if not deck:
            deck = [draw for draw, copies in _CARDS for _ in range(copies)]
            rng.shuffle(deck)
        at += _between(rng, *_GAP)
        if number % _CALM_EVERY == _CALM_EVERY - 1:
            at += _CALM_SECONDS
        faults.append(msgspec.structs.replace(deck.pop()(rng), at=round(at, 3)))
    return faults


def _between(rng: random.Random, low: float, high: float) -> float:
    return round(rng.uniform(low, high), 3)


def _kill(target: str, longest: float = 2.0) -> Draw:
    def draw(rng: random.Random) -> Fault:
        again: dict[str, float | str] = {"again": _between(rng, 0.05, 2.0)} if rng.random() < 0.2 else {}
        duration = rng.choice((0.0, _between(rng, 0.0, longest)))
        return Fault(at=0, kind="kill", target=target, duration=duration, parameters=again)

    return draw


def _stop(target: str, low: float, high: float) -> Draw:
    return lambda rng: Fault(at=0, kind="stop", target=target, duration=_between(rng, low, high))


def _short(target: str) -> Draw:
    return _stop(target, 0.1, LEASE_SECONDS * 0.7)


def _long(target: str) -> Draw:
    return _stop(target, LEASE_SECONDS * 1.1, LEASE_SECONDS * 2.2)


def _cut(rng: random.Random) -> Fault:
    return Fault(at=0, kind="cut", target="fix-proxy")


def _half_open(rng: random.Random) -> Fault:
    direction = rng.choice(("out", "in", "both"))
    parameters: dict[str, float | str] = {"direction": direction}
    return Fault(at=0, kind="half_open", target="fix-proxy", duration=_between(rng, 0.5, 4.0), parameters=parameters)


def _delay(rng: random.Random) -> Fault:
    parameters: dict[str, float | str] = {
        "direction": rng.choice(("out", "in", "both")),
        "seconds": _between(rng, 0.05, 2.0),
    }
    return Fault(at=0, kind="delay", target="fix-proxy", duration=_between(rng, 0.5, 3.0), parameters=parameters)


def _late(rng: random.Random) -> Fault:
    parameters: dict[str, float | str] = {
        "seconds": _between(rng, 0.1, 1.0),
        "release": rng.choice(("before_logon", "at_end")),
    }
    return Fault(at=0, kind="late", target="fix-proxy", duration=_between(rng, 1.5, 4.0), parameters=parameters)


def _storage(kind: Kind) -> Draw:
    """Nothing goes through for as long as a lease only where another host may take over; else it is shorter."""

    def draw(rng: random.Random) -> Fault:
        share = rng.choice((0.1, 0.3, 0.5, 1.0))
        parameters: dict[str, float | str] = {"share": share}
        host = rng.choice((None, HOLDER, *HOSTS))
        if host is not None:
            parameters["host"] = host
        if kind == "storage_slow":
            parameters["seconds"] = _between(rng, 0.1, 1.5)
        longest = LEASE_SECONDS * (0.5 if host is None and share == 1 else 1.3)
        return Fault(
            at=0, kind=kind, target="storage-proxy", duration=_between(rng, 0.3, longest), parameters=parameters
        )

    return draw


def _clock(rng: random.Random) -> Fault:
    offset = rng.choice((-1, 1)) * rng.choice((_between(rng, 1, 100), _between(rng, 130, 600), 3600.0, 86400.0))
    return Fault(
        at=0,
        kind="clock",
        target=rng.choice((HOLDER, *HOSTS)),
        duration=_between(rng, 0.5, 3.0),
        parameters={"offset": offset},
    )


def _wake_ups(rng: random.Random) -> Fault:
    drop, repeat = rng.choice(((0.1, 0.0), (0.0, 0.5), (0.1, 0.3)))
    return Fault(
        at=0,
        kind="wake_ups",
        target=ALL_HOSTS,
        duration=_between(rng, 1.0, 4.0),
        parameters={"drop": drop, "repeat": repeat},
    )


_CARDS: tuple[tuple[Draw, int], ...] = (
    (_kill(HOLDER), 5),
    (_kill("host-a"), 2),
    (_kill("host-b"), 2),
    (_kill(ALL_HOSTS), 2),
    (_kill("venue"), 3),
    (_kill("fix-proxy"), 2),
    (_kill("azurite", longest=1.0), 2),
    (_short(HOLDER), 2),
    (_long(HOLDER), 4),
    (_long("host-a"), 1),
    (_long("host-b"), 1),
    (_short(ALL_HOSTS), 1),
    (_long(ALL_HOSTS), 1),
    (_short("venue"), 1),
    (_long("venue"), 1),
    (_short("fix-proxy"), 1),
    (_long("fix-proxy"), 1),
    (_short("azurite"), 1),
    (_long("azurite"), 1),
    (_cut, 4),
    (_half_open, 5),
    (_delay, 4),
    (_late, 5),
    (_storage("storage_errors"), 3),
    (_storage("storage_throttle"), 3),
    (_storage("storage_slow"), 3),
    (_storage("lost_answers"), 4),
    (_storage("lost_requests"), 3),
    (_clock, 4),
    (_wake_ups, 4),
)
"""What is dealt, and how many of it. The sum is the deck, of which two make up 200 faults: 80 at most, then."""
