"""Everything that docs/fix.md says of speed, as JSON lines. Ratios are within this run: seconds differ by machine."""

import json
import os
import socket
import statistics
import subprocess
import sys
import timeit
import tracemalloc
from collections.abc import Callable

import simplefix

from bench.engines.load import FROM_ORDER, NEW_ORDER, REPORT
from fix.codec import Decoder, encode
from fix.config import SessionConfig
from fix.dictionary import shipped
from fix.events import MessageReceived
from fix.message import Field, Message
from fix.session import Session
from fix.transport import read_clocks

_HEADER = [(49, "DESK"), (56, "VENUE"), (34, "1234"), (52, "20131007-13:30:00.072")]
_ROUNDS = 5
_IN_FLIGHT = 64
_POLL_SECONDS = "0.0005"


def main() -> None:
    for name, msg_type, fields in (
        ("NewOrderSingle", "D", [(11, "ORD-1"), *NEW_ORDER]),
        ("ExecutionReport", "8", [(17, "E-1"), *((tag, "100") for tag in FROM_ORDER), *REPORT]),
    ):
        _codec(name, msg_type, fields)
    _round_trips("memory", depth=1, count=5000)
    _round_trips("memory", depth=_IN_FLIGHT, count=30_000)
    _round_trips("file", depth=1, count=3000)
    _round_trips("file", depth=_IN_FLIGHT, count=30_000)
    _memory()


def _say(benchmark: str, **figures: object) -> None:
    print(json.dumps({"benchmark": benchmark, **figures}), flush=True)


def _codec(name: str, msg_type: str, fields: list[Field]) -> None:
    frame = encode("FIX.4.4", msg_type, _HEADER, fields)
    decoder = Decoder()

    def decode() -> object:
        decoder.feed(frame)
        return decoder.next()

    def encode_simplefix() -> bytes:
        message = simplefix.FixMessage()
        message.append_pair(8, "FIX.4.4")
        message.append_pair(35, msg_type)
        for tag, value in (*_HEADER, *fields):
            message.append_pair(tag, value)
        return bytes(message.encode())

    def decode_simplefix() -> object:
        parser = simplefix.FixParser()
        parser.append_buffer(frame)
        return parser.get_message()

    assert encode_simplefix() == frame
    encoded = [_per_second(lambda: encode("FIX.4.4", msg_type, _HEADER, fields)), _per_second(encode_simplefix)]
    decoded = [_per_second(decode), _per_second(decode_simplefix)]
    for what, (ours, simple), wanted in (("encode", encoded, 5), ("decode", decoded, 8)):
        ratio = round(ours / simple, 1)
        _say(
            f"{what}_{name}",
            fields=frame.count(b"\x01"),
            per_second=round(ours),
            simplefix_per_second=round(simple),
            ratio=ratio,
            wanted=f"at least {wanted}",
            met=ratio >= wanted,
        )


def _per_second(work: Callable[[], object], times: int = 5000) -> float:
    return times / min(timeit.repeat(work, number=times, repeat=5))


def _round_trips(store: str, *, depth: int, count: int) -> None:
    """Order to report and back, each engine on both sides in turn, client and server on a core of their own; the
    middle of some rounds of each."""
    variants = {"quickfix": ("theirs", "0"), "ours": ("ours", "0"), "ours_polling": ("ours", _POLL_SECONDS)}
    runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    for _ in range(_ROUNDS):
        for variant, (module, poll) in variants.items():
            runs[variant].append(_run(module, store, count, depth, poll))
    middle = {
        variant: {figure: statistics.median(run[figure] for run in of) for figure in of[0]}
        for variant, of in runs.items()
    }
    theirs = middle["quickfix"]
    if depth == 1:
        ratios = {
            variant: round(middle[variant]["p50_us"] / theirs["p50_us"], 2) for variant in ("ours", "ours_polling")
        }
        wanted, met = "p50 at most 0.7 of QuickFIX's", ratios["ours_polling"] <= 0.7
    else:
        ratios = {
            variant: round(middle[variant]["round_trips_per_second"] / theirs["round_trips_per_second"], 2)
            for variant in ("ours", "ours_polling")
        }
        least = 3 if store == "memory" else 2
        wanted, met = f"throughput at least {least} times QuickFIX's", max(ratios.values()) >= least
    told: dict[str, object] = {"wanted": wanted, "met": met}
    if store == "file" and depth == 1:
        told = {}
    _say(f"round_trip_{store}_{depth}_in_flight", **middle, ratios=ratios, **told)


def _run(module: str, store: str, count: int, depth: int, poll: str) -> dict[str, float]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])

    def command(role: str) -> list[str]:
        return [sys.executable, "-m", f"bench.engines.{module}", role, port, store, str(count), str(depth), poll]

    # Without it the kernel often puts both on one core, for either engine, and what is measured is that.
    cores = sorted(os.sched_getaffinity(0))
    with subprocess.Popen(command("server"), stdout=subprocess.PIPE, text=True) as server:
        os.sched_setaffinity(server.pid, {cores[0]})
        assert server.stdout is not None
        while server.stdout.readline() != "ready\n":
            assert server.poll() is None, f"the server of {module} did not start"
        try:
            with subprocess.Popen(command("client"), stdout=subprocess.PIPE, text=True) as client:
                os.sched_setaffinity(client.pid, {cores[-1]})
                answer, _ = client.communicate(timeout=300)
        finally:
            server.kill()
    figures: dict[str, float] = json.loads(answer.strip().splitlines()[-1])
    return figures


def _memory(messages: int = 1_000_000) -> None:
    """What two sessions hold after a million messages each way, against what they held after the first tenth."""
    dictionary = shipped("FIX.4.4")
    desk = Session(SessionConfig("initiator", "DESK", "VENUE", dictionary=dictionary))
    venue = Session(SessionConfig("acceptor", "VENUE", "DESK", dictionary=dictionary))
    for session in (desk, venue):
        session.connected(read_clocks())
    venue.receive(desk.bytes_to_send(), read_clocks())
    desk.receive(venue.bytes_to_send(), read_clocks())
    tracemalloc.start()
    held = []
    for number in range(1, messages + 1):
        desk.send(Message("D", [(11, f"ORD-{number}"), *NEW_ORDER]), read_clocks())
        if number % 50 == 0:
            for event in venue.receive(desk.bytes_to_send(), read_clocks()):
                assert isinstance(event, MessageReceived)
                venue.processed(event.number)
                taken = [(tag, event.message.first[tag]) for tag in FROM_ORDER]
                venue.send(Message("8", [(17, "E-1"), *taken, *REPORT]), read_clocks())
            for event in desk.receive(venue.bytes_to_send(), read_clocks()):
                assert isinstance(event, MessageReceived)
                desk.processed(event.number)
        if number % (messages // 10) == 0:
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    growth = round(held[-1] / held[0], 2)
    _say(
        "memory_of_a_million_messages",
        megabytes_after_each_tenth=[round(size / 1e6, 1) for size in held],
        ratio=growth,
        wanted="flat: at most 1.1",
        met=growth <= 1.1,
    )


if __name__ == "__main__":
    main()
