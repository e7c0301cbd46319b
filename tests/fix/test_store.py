"""What the stores keep, one table for both; and what is in the file after a process that was killed."""

import os
import resource
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fix.config import SessionConfig
from fix.events import MessageReceived
from fix.session import Reading, Session
from fix.sqlite_store import SqliteStore, StoreError
from fix.store import MemoryStore, Store
from tests.fix.wire import START, decode, frame, order

ROOT = Path(__file__).parents[2]
NAME = "FIX.4.4:SELF->PEER"
LATER = START + timedelta(days=1)


@pytest.fixture(params=["memory", "sqlite", "sqlite, power"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    file = SqliteStore(tmp_path / "store", NAME, survives="power" if request.param.endswith("power") else "process")
    yield file
    file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


# Both


def test_a_new_store_begins_at_1_and_has_nothing_to_resend(store: Store) -> None:
    assert (store.next_outbound, store.next_inbound, store.created) == (1, 1, None)
    assert list(store.between(1, 1000)) == []


def test_every_number_that_is_sent_moves_the_next_with_a_message_or_without(store: Store) -> None:
    store.sent(1, None)
    assert (store.next_outbound, store.next_inbound) == (2, 1)
    store.sent(2, b"two")
    assert (store.next_outbound, store.next_inbound) == (3, 1)
    store.sent(200, None)
    assert (store.next_outbound, store.next_inbound) == (201, 1)


def test_what_is_processed_moves_only_the_inbound_number(store: Store) -> None:
    store.processed(17)
    assert (store.next_outbound, store.next_inbound) == (1, 17)


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize(
    ("first", "last", "numbers"),
    [
        (1, 100, [2, 4, 7]),
        (2, 7, [2, 4, 7]),
        (2, 2, [2]),
        (3, 6, [4]),
        (5, 6, []),
        (1, 1, []),
        (8, 100, []),
        (7, 2, []),
    ],
)
def test_messages_come_back_by_number_in_order_with_both_ends(
    store: Store, commits: bool, first: int, last: int, numbers: list[int]
) -> None:
    for number in range(1, 8):
        store.sent(number, b"message \x01\x00\xff %d" % number if number in (2, 4, 7) else None)
        if commits:
            store.commit()
    assert list(store.between(first, last)) == [(number, b"message \x01\x00\xff %d" % number) for number in numbers]


def test_reading_goes_on_while_others_are_added(store: Store) -> None:
    # More than the file gives at once.
    for number in range(1, 1201):
        store.sent(number, b"%d" % number)
    read = []
    for number, data in store.between(3, 1200):
        read.append((number, data))
        store.sent(store.next_outbound, b"added")
        if number % 100 == 0:
            store.commit()
    assert read == [(number, b"%d" % number) for number in range(3, 1201)]
    assert len(list(store.between(1201, 10_000))) == len(read)


def test_a_reset_begins_again_at_1_and_forgets_what_was_sent(store: Store) -> None:
    store.created = START
    store.sent(1, b"committed")
    store.processed(9)
    store.commit()
    store.sent(2, b"not committed")
    store.reset(LATER)
    assert (store.next_outbound, store.next_inbound, store.created) == (1, 1, LATER)
    assert list(store.between(1, 100)) == []
    store.sent(1, b"anew")
    store.commit()
    assert list(store.between(1, 100)) == [(1, b"anew")]


def test_when_the_numbers_began_is_as_it_was_told(store: Store) -> None:
    store.created = START
    store.commit()
    assert store.created == START
    store.created = None
    store.commit()
    assert store.created is None


# MemoryStore


def test_a_memory_store_begins_where_it_is_told() -> None:
    store = MemoryStore(next_outbound=700, next_inbound=12, created=START)
    assert (store.next_outbound, store.next_inbound, store.created) == (700, 12, START)


@pytest.mark.parametrize("name", ["next_outbound", "next_inbound", "keep"])
@pytest.mark.parametrize("number", [0, -1])
def test_a_memory_store_says_which_number_is_below_1(name: str, number: int) -> None:
    wrong: dict[str, Any] = {name: number}
    with pytest.raises(ValueError, match=f"^{name} is {number}: .* 1"):
        MemoryStore(**wrong)


@given(keep=st.integers(1, 8), sent=st.lists(st.booleans(), max_size=60))
def test_a_memory_store_has_the_last_messages_and_at_most_as_many_before(keep: int, sent: list[bool]) -> None:
    store = MemoryStore(keep=keep)
    for number, is_message in enumerate(sent, start=1):
        store.sent(number, b"%d" % number if is_message else None)
    messages = [(number, b"%d" % number) for number, is_message in enumerate(sent, start=1) if is_message]
    kept = list(store.between(1, len(sent)))
    assert min(keep, len(messages)) <= len(kept) <= 2 * keep
    assert kept == messages[len(messages) - len(kept) :]
    assert store.next_outbound == len(sent) + 1


def test_what_a_memory_store_forgets_while_it_is_read_is_still_read() -> None:
    store = MemoryStore(keep=3)
    for number in range(1, 7):
        store.sent(number, b"%d" % number)
    read = []
    for number, _ in store.between(1, 6):
        read.append(number)
        store.sent(store.next_outbound, b"added")
    assert read == [1, 2, 3, 4, 5, 6]
    assert next(store.between(1, 100))[0] > 1


def test_a_memory_store_that_forgets_what_was_sent_keeps_its_numbers() -> None:
    store = MemoryStore(next_inbound=5, created=START)
    store.sent(1, b"one")
    store.forget_sent()
    assert list(store.between(1, 100)) == []
    assert (store.next_outbound, store.next_inbound, store.created) == (2, 5, START)


# SqliteStore


ACTIONS = st.one_of(
    st.tuples(st.just("sent"), st.integers(1, 3), st.none() | st.binary(max_size=20)),
    st.tuples(st.just("sent"), st.just(1), st.binary(max_size=20)),
    st.tuples(st.just("processed"), st.integers(1, 1000)),
    st.tuples(st.just("created"), st.datetimes(timezones=st.just(UTC)) | st.none()),
    st.tuples(st.just("reset"), st.datetimes(timezones=st.just(UTC))),
    st.tuples(st.just("commit")),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("between"), st.integers(1, 20), st.integers(1, 20)),
)


@given(st.lists(ACTIONS, max_size=25))
@settings(max_examples=60, deadline=None)
def test_a_file_says_at_all_times_what_memory_says(actions: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory, file = MemoryStore(), SqliteStore(Path(folder) / "store", NAME)
        for name, *values in actions:
            match name, values:
                case "reopen", []:
                    file.close()
                    file = SqliteStore(Path(folder) / "store", NAME)
                case "sent", [int() as step, data]:
                    number = memory.next_outbound + step - 1
                    for one in (memory, file):
                        one.sent(number, data)
                case "created", [at]:
                    memory.created = file.created = at
                case "between", [first, last]:
                    assert list(file.between(first, last)) == list(memory.between(first, last))
                case _:
                    for one in (memory, file):
                        getattr(one, name)(*values)
            for part in ("next_outbound", "next_inbound", "created"):
                assert getattr(file, part) == getattr(memory, part)
        assert list(file.between(1, 1000)) == list(memory.between(1, 1000))
        file.close()


@pytest.mark.parametrize("survives", ["process", "power"])
def test_a_file_that_is_opened_again_has_numbers_messages_and_beginning(
    path: Path, survives: Literal["process", "power"]
) -> None:
    store = SqliteStore(path, NAME, survives=survives)
    store.created = START
    store.sent(1, b"one")
    store.sent(2, None)
    store.processed(8)
    store.close()
    again = SqliteStore(path, NAME)
    assert (again.next_outbound, again.next_inbound, again.created) == (3, 8, START)
    assert list(again.between(1, 100)) == [(1, b"one")]
    again.close()


def test_a_reset_is_in_the_file_without_a_commit(path: Path) -> None:
    store = SqliteStore(path, NAME)
    store.sent(1, b"one")
    store.commit()
    store.reset(LATER)
    after_a_crash = copy_of(path)
    assert (after_a_crash.next_outbound, after_a_crash.created) == (1, LATER)
    assert list(after_a_crash.between(1, 100)) == []
    after_a_crash.close()
    store.close()


def test_what_was_told_since_the_commit_is_not_in_the_file_after_a_crash(path: Path) -> None:
    store = SqliteStore(path, NAME)
    store.sent(1, b"one")
    store.processed(4)
    store.commit()
    store.sent(2, b"two")
    store.processed(5)
    after_a_crash = copy_of(path)
    assert (after_a_crash.next_outbound, after_a_crash.next_inbound) == (2, 4)
    assert list(after_a_crash.between(1, 100)) == [(1, b"one")]
    after_a_crash.close()
    store.close()


def copy_of(path: Path) -> SqliteStore:
    """The store as a successor finds it when the process dies now."""
    copy = path.with_name("copy")
    for end in ("", "-wal"):
        Path(f"{copy}{end}").write_bytes(Path(f"{path}{end}").read_bytes())
    return SqliteStore(copy, NAME)


def test_another_sessions_file_is_refused_and_stays_its_owners(path: Path) -> None:
    store = SqliteStore(path, "FIX.4.4:DESK->VENUE")
    store.sent(1, b"one")
    store.close()
    with pytest.raises(StoreError) as caught:
        SqliteStore(path, NAME)
    assert str(caught.value) == f"{path} is the store of FIX.4.4:DESK->VENUE: {NAME} needs one of its own"
    # Though the error is still held, the file is free.
    again = SqliteStore(path, "FIX.4.4:DESK->VENUE")
    assert list(again.between(1, 100)) == [(1, b"one")]
    again.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    content = b"dear diary, " * 1000
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        SqliteStore(path, NAME)
    assert str(caught.value) == f"{path} cannot be used as the store of {NAME}: file is not a database"
    assert path.read_bytes() == content


@pytest.mark.parametrize("place", [".", "file/store"])
def test_what_cannot_be_a_file_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match=f"cannot be used as the store of {NAME}: "):
        SqliteStore(tmp_path / place, NAME)


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "new" / "folder" / "store", NAME).close()
    assert (tmp_path / "new" / "folder" / "store").exists()


def test_a_file_of_a_newer_form_is_refused_and_left_alone(path: Path) -> None:
    SqliteStore(path, NAME).close()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 2")
    file.close()
    content = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        SqliteStore(path, NAME)
    assert str(caught.value) == f"{path} is a store of form 2; this version reads form 1"
    assert path.read_bytes() == content


@pytest.mark.parametrize("version", [0, 1])
def test_a_database_of_something_else_is_refused_and_left_alone(path: Path, version: int) -> None:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE letters (recipient TEXT)")
        file.execute(f"PRAGMA user_version = {version}")
    file.close()
    content = path.read_bytes()
    with pytest.raises(StoreError, match=str(path)):
        SqliteStore(path, NAME)
    assert path.read_bytes() == content


def test_a_second_one_of_the_same_process_is_refused(path: Path) -> None:
    store = SqliteStore(path, NAME)
    with pytest.raises(StoreError, match="another process has it open"):
        SqliteStore(path, NAME)
    store.sent(1, b"one")
    store.close()
    again = SqliteStore(path, NAME)
    assert again.next_outbound == 2
    again.close()


def test_a_write_that_fails_is_told_and_made_up_for_when_there_is_room_again(path: Path) -> None:
    store = SqliteStore(path, NAME)
    store.sent(1, b"one")
    store.commit()
    store.sent(2, b"two" * 100_000)
    store.processed(7)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(sqlite3.Error, match=r"full|disk I/O"):
            store.commit()
        assert store.next_outbound == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.close()
    again = SqliteStore(path, NAME)
    assert list(again.between(1, 100)) == [(1, b"one"), (2, b"two" * 100_000)]
    assert (again.next_outbound, again.next_inbound) == (3, 7)
    again.close()


# Other processes


def run_here(call: str, *arguments: Path) -> list[str]:
    """The command of a process that calls a function of this file."""
    code = f"import sys, pathlib; from {__name__} import *; {call}(*map(pathlib.Path, sys.argv[1:]))"
    return [sys.executable, "-c", code, *map(str, arguments)]


def open_and_say(path: Path) -> None:
    try:
        store = SqliteStore(path, NAME)
    except StoreError as error:
        print(error)
    else:
        print(f"opened at {store.next_outbound}")


def open_and_wait(path: Path) -> None:
    store = SqliteStore(path, NAME)
    print("open", flush=True)
    sys.stdin.read()
    store.close()


def test_a_second_process_is_refused_while_the_first_has_the_file(path: Path) -> None:
    store = SqliteStore(path, NAME)
    store.sent(1, b"one")
    command = run_here("open_and_say", path)
    second = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert second.stdout == f"{path} cannot be used as the store of {NAME}: another process has it open\n"
    store.sent(2, b"two")
    store.close()
    second = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert second.stdout == "opened at 3\n"


def test_the_file_of_a_process_that_was_killed_is_free_at_once(path: Path) -> None:
    with subprocess.Popen(
        run_here("open_and_wait", path), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match="another process has it open"):
            SqliteStore(path, NAME)
        process.kill()
        process.wait(timeout=60)
        store = SqliteStore(path, NAME)
    assert store.next_outbound == 1
    store.close()


def live(path: Path) -> None:
    """Log on and send orders as fast as it goes, until killed. Says in lines what leaves, and which messages of the
    peer the application is done with, before the session is told so."""
    session = Session(SessionConfig("initiator", "SELF", "PEER"), SqliteStore(path, NAME))
    now = Reading(START, 0.0)
    numbers = count(session.next_inbound)

    def say(line: str) -> None:
        os.write(1, f"{line}\n".encode())

    def hear(msg_type: str, number: int, body: str) -> list[int]:
        head = f"35={msg_type}|49=PEER|56=SELF|34={number}|52=20131007-13:30:00.000"
        events = session.receive(frame(f"{head}|{body}"), now)
        return [event.number for event in events if isinstance(event, MessageReceived)]

    def write() -> None:
        while data := session.bytes_to_send():
            say(f"wire {data.hex()}")

    session.connected(now)
    write()
    logon = next(numbers)
    say(f"done {logon}")
    hear("A", logon, "98=0|108=30")
    waiting: deque[int] = deque()
    for turn in count():
        waiting += hear("8", next(numbers), f"37={turn}")
        while waiting and turn % 3:
            say(f"done {waiting[0]}")
            session.processed(waiting.popleft())
        for _ in range(turn % 4):
            session.send(order(f"{session.next_unprocessed}/{turn}"), now)
        write()


def lines_until_killed(path: Path, characters: int) -> list[str]:
    """What a process said that was killed as soon as it had said so much."""
    said = bytearray()
    deadline = time.monotonic() + 60
    with subprocess.Popen(run_here("live", path), cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while len(said) < characters:
            left = deadline - time.monotonic()
            assert left > 0, f"after a minute it has said no more than {len(said)} characters"
            if select.select([process.stdout], [], [], left)[0]:
                more = os.read(process.stdout.fileno(), 1 << 16)
                assert more, f"it ended by itself after {len(said)} characters"
                said += more
        process.kill()
        said += process.stdout.read()
        assert process.wait(timeout=60) == -signal.SIGKILL
    return said.decode().split("\n")[:-1]


def test_what_left_before_the_process_was_killed_is_in_the_file(path: Path) -> None:
    wire: dict[int, bytes] = {}
    done = 0
    # One life after another with the same file.
    for characters in (1, 3_000, 40_000, 400_000, 900):
        certainly_done = 1
        for line in lines_until_killed(path, characters):
            what, text = line.split(" ")
            if what == "done":
                done = max(done, int(text))
                continue
            for message in decode(bytes.fromhex(text)):
                number = int(message.require(34))
                assert number not in wire, "a number was used twice"
                wire[number] = frame("|".join(f"{tag}={value}" for tag, value in message.fields[2:-1]))
                if message.msg_type == "D":
                    certainly_done = int(message.require(11).split("/")[0])
        store = SqliteStore(path, NAME)
        kept = dict(store.between(1, 1 << 60))
        assert {number: data for number, data in wire.items() if b"\x0135=D\x01" in data}.items() <= kept.items()
        assert all(b"\x0134=%d\x01" % number in data for number, data in kept.items())
        assert store.next_outbound > max(wire, default=0)
        assert certainly_done <= store.next_inbound <= done + 1
        assert store.created == START
        store.close()
    assert len(wire) > 100
    assert done > 100


def test_what_a_killed_process_left_can_be_resent_by_its_successor(path: Path) -> None:
    lines = lines_until_killed(path, 20_000)
    sent = [message for line in lines if line.startswith("wire ") for message in decode(bytes.fromhex(line[5:]))]
    names = [message.require(11) for message in sent if message.msg_type == "D"]
    store = SqliteStore(path, NAME)
    session = Session(SessionConfig("initiator", "SELF", "PEER"), store)
    now = Reading(START, 0.0)
    session.connected(now)
    head = "49=PEER|56=SELF|52=20131007-13:30:00.000"
    session.receive(frame(f"35=A|{head}|34={session.next_inbound}|98=0|108=30"), now)
    assert session.bytes_to_send()
    session.receive(frame(f"35=2|{head}|34={session.next_inbound}|7=1|16=0"), now)
    resent = b""
    while data := session.bytes_to_send():
        resent += data
    orders = [message for message in decode(resent) if message.msg_type == "D"]
    assert [message.require(11) for message in orders][: len(names)] == names
    assert {message.get(43) for message in orders} == {"Y"}
    store.close()
