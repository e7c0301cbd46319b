"""`python -m tests.interop`: our engine against QuickFIX in both roles, over sockets, in processes that are killed."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Literal

from rich.console import Console
from rich.table import Table

from tests.interop.world import InteropError, Side, World

Role = Literal["initiator", "acceptor"]
VERSIONS = ("FIX.4.2", "FIX.4.4", "FIXT.1.1")


def both_ways(world: World) -> list[tuple[Side, Side, str]]:
    return [(world.ours, world.theirs, "A"), (world.theirs, world.ours, "B")]


def send_both_ways(world: World, count: int, *, first: int = 1) -> None:
    """Orders from each side to the other at once, until all are there."""
    for sender, _, prefix in both_ways(world):
        sender.tell("send", prefix=prefix, first=first, count=count)
    for sender, receiver, prefix in both_ways(world):
        world.until_all_received(sender, receiver, prefix, first + count - 1)


def logon_orders_logout(role: Role, version: str) -> str:
    with World(role, version) as world:
        send_both_ways(world, 10)
        world.ours.stop()
        world.theirs.until(lambda: not world.theirs.is_logged_on, "to log out")
        world.theirs.stop()
        return "10 orders each way"


def many_messages(role: Role, version: str) -> str:
    with World(role, version) as world:
        send_both_ways(world, 10_000)
        _same_numbers(world)
        return "10,000 messages each way at once"


def gaps(role: Role, version: str) -> str:
    """Each side loses what it had, and each side has numbers that the other never saw."""
    with World(role, version) as world:
        send_both_ways(world, 50)
        for sender, receiver, prefix in both_ways(world):
            receiver.ask("expect", "done", fewer=20)
            sender.tell("send", prefix=prefix, first=51, count=10)
            world.until_all_received(sender, receiver, prefix, 60)
            again = [one for one in receiver.received(prefix) if one["duplicate"]]
            if len(again) < 19:
                raise InteropError(f"{receiver.name} was resent {len(again)} messages, not some 20")
        for sender, receiver, prefix in both_ways(world):
            sender.ask("skip", "done", numbers=15)
            sender.tell("send", prefix=prefix, first=61, count=10)
            world.until_all_received(sender, receiver, prefix, 70)
        _same_numbers(world)
        return "resent and gap-filled, both ways"


def gaps_in_chunks(role: Role, version: str) -> str:
    with World(role, version, resend_chunk=7) as world:
        world.theirs.tell("send", prefix="B", count=60)
        world.until_all_received(world.theirs, world.ours, "B", 60)
        world.ours.ask("expect", "done", fewer=40)
        world.theirs.tell("send", prefix="B", first=61, count=10)
        world.until_all_received(world.theirs, world.ours, "B", 70)
        _same_numbers(world)
        return "40 missing, asked for 7 at a time"


def next_expected(role: Role, version: str) -> str:
    """A gap found at the Logon, closed without a ResendRequest (789)."""
    with World(role, version, next_expected=True) as world:
        send_both_ways(world, 30)
        world.ours.kill()
        world.theirs.until(lambda: not world.theirs.is_logged_on, "to notice")
        world.theirs.tell("send", prefix="B", first=31, count=20)
        world.theirs.until_sent("B", 50)
        world.ours.start()
        world.until_logged_on()
        world.until_all_received(world.theirs, world.ours, "B", 50)
        _same_numbers(world)
        return "20 sent while away, resent by 789"


def reset_at_logon(role: Role, version: str) -> str:
    with World(role, version, reset_on_logon=True) as world:
        send_both_ways(world, 10)
        initiator = world.ours if role == "initiator" else world.theirs
        initiator.kill()
        initiator.start()
        world.until_logged_on()
        initiator.until(lambda: initiator.ask("numbers", "numbers")["sent"] == 2, "to begin at 1")
        send_both_ways(world, 10, first=11)
        _same_numbers(world)
        return "1 again at the second Logon"


def reset_in_session(role: Role, version: str) -> str:
    """Our side asks for it (141=Y) while messages go both ways before and after."""
    with World(role, version) as world:
        send_both_ways(world, 10)
        world.ours.tell("reset")
        world.ours.until(lambda: world.ours.ask("numbers", "numbers")["received"] == 2, "to begin at 1")
        send_both_ways(world, 10, first=11)
        _same_numbers(world)
        return "141=Y in session"


def heartbeats(role: Role, version: str) -> str:
    """Several intervals of silence, and the session lives."""
    with World(role, version, heartbeat=1) as world:
        before = world.ours.ask("numbers", "numbers")
        world.ours.until(
            lambda: world.ours.ask("numbers", "numbers")["received"] >= before["received"] + 4, "to hear heartbeats"
        )
        if any(one["event"] == "logout" for one in [*world.ours.events, *world.theirs.events]):
            raise InteropError("a session ended in silence")
        return "4 intervals of silence"


def tls(role: Role, version: str) -> str:
    with World(role, version, tls=True) as world:
        send_both_ways(world, 500)
        world.ours.stop()
        world.theirs.stop()
        return "certificates checked, 500 orders each way"


def killed(who: Literal["ours", "theirs"]) -> Callable[[Role, str], str]:
    def scenario(role: Role, version: str) -> str:
        count, kills = 3000, 3
        with World(role, version) as world:
            victim, other = (world.ours, world.theirs) if who == "ours" else (world.theirs, world.ours)
            mine, yours = ("A", "B") if who == "ours" else ("B", "A")
            other.tell("send", prefix=yours, count=count)
            for kill in range(1, kills + 1):
                first = len(victim.sent(mine)) + 1
                victim.tell("send", prefix=mine, first=first, count=count - first + 1)
                victim.until_sent(mine, count * kill // (kills + 2))
                victim.kill()
                other.until(lambda: not other.is_logged_on, "to notice")
                victim.start()
                world.until_logged_on()
            # What was about to be sent when it died may have been, or not: it is sent again under its name.
            first = len(victim.sent(mine)) + 1
            victim.tell("send", prefix=mine, first=first, count=count - first + 1)
            world.until_all_received(other, victim, yours, count)
            _received_once_or_sent_again(other, mine, count, kills)
            return f"killed {kills} times in {count} messages each way"

    return scenario


def _received_once_or_sent_again(receiver: Side, prefix: str, count: int, kills: int) -> None:
    """At each kill, one message may have left that the victim had not yet said to be sent: so the test sent it
    twice."""
    receiver.until(lambda: len({one["id"] for one in receiver.received(prefix)}) >= count, f"to receive {count}")
    fresh = [one["id"] for one in receiver.received(prefix) if not one["duplicate"]]
    if len(fresh) > count + kills:
        raise InteropError(f"{receiver.name} received {len(fresh) - count} messages twice, after {kills} kills")


def _same_numbers(world: World) -> None:
    def agree() -> bool:
        ours, theirs = (side.ask("numbers", "numbers") for side in (world.ours, world.theirs))
        return bool(ours["sent"] == theirs["received"] and ours["received"] == theirs["sent"])

    world.ours.until(agree, "to agree with QuickFIX about the numbers")


SCENARIOS: dict[str, Callable[[Role, str], str]] = {
    "logon, orders, logout": logon_orders_logout,
    "10,000 messages": many_messages,
    "gaps": gaps,
    "gaps in chunks": gaps_in_chunks,
    "next expected (789)": next_expected,
    "reset at logon": reset_at_logon,
    "reset in session": reset_in_session,
    "heartbeats": heartbeats,
    "TLS": tls,
    "we are killed": killed("ours"),
    "QuickFIX is killed": killed("theirs"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios whose name has this in it")
    parser.add_argument("--version", choices=VERSIONS, help="one version of FIX")
    options = parser.parse_args()
    console = Console()
    table = Table("scenario", "version", "we are", "result", "seconds", title="Our engine and QuickFIX 1.16")
    failed = 0
    for name, scenario in SCENARIOS.items():
        if options.only not in name:
            continue
        for version in VERSIONS:
            if options.version not in (None, version) or (name.startswith("next") and version == "FIX.4.2"):
                continue
            roles: tuple[Role, Role] = ("initiator", "acceptor")
            for role in roles:
                began = time.monotonic()
                try:
                    result = scenario(role, version)
                except InteropError as error:
                    failed += 1
                    result = f"[red]{error}[/red]"
                took = time.monotonic() - began
                console.print(f"{name}, {version}, {role}: {result} ({took:.1f} s)", soft_wrap=True)
                table.add_row(name, version, role, result, f"{took:.1f}")
    console.print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
