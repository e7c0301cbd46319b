"""Orders, signals, alerts and secrets, on real storage."""

import logging
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Literal

import msgspec
import pytest
from azure.data.tables import TableEntity, UpdateMode
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.alerts import Alerts
from storage.instructions import Instructions
from storage.orders import OrderRecord, OrderRegister, RegisteredOrder
from storage.secrets import SecretsError, drop_copy_credentials, fix_credentials
from storage.settings import load
from storage.signals import SignalStore, StateChangedError, StrategyState
from storage.tables import Tables, pack, table_key, unpack
from tests.storage.test_settings import GOOD
from trading.events import AmendRequested, CancelRequested, TradingHalted
from trading.instructions import InstructionRow
from trading.messages import RecordDetail, Timing
from trading.specs import Amendment

AT = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
RECORD = OrderRecord(outcome="take_profit", filled_quantity=Decimal("10.50"), finished_at=AT, detail='{"a": 1}')


@pytest.fixture
def tables(storage_connection: str) -> Tables:
    """Tables of the test's own."""
    return Tables(storage_connection, prefix=f"T{uuid.uuid4().hex[:12]}")


def test_an_order_id_is_taken_once_and_a_repeat_knows_its_own(tables: Tables) -> None:
    register = OrderRegister(tables)
    assert register.register("sma-1", "token-a", '{"q": 1}', AT).ours
    assert register.register("sma-1", "token-a", '{"q": 1}', AT).ours
    rival = OrderRegister(tables).register("sma-1", "token-b", '{"q": 2}', AT)
    assert not rival.ours
    assert (rival.order.token, rival.order.spec_json) == ("token-a", '{"q": 1}')


def test_of_rivals_at_the_same_moment_one_has_the_order(tables: Tables) -> None:
    register = OrderRegister(tables)
    register.get("warm")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda token: register.register("sma-1", token, "{}", AT), "abcdefgh"))
    assert sum(one.ours for one in found) == 1
    assert len({one.order.token for one in found}) == 1


def test_open_orders_are_found_newest_first_until_they_are_finished(tables: Tables) -> None:
    register = OrderRegister(tables)
    for number in range(5):
        register.register(f"order-{number}", "t", "{}", AT + timedelta(minutes=number))
    register.finish("order-3", RECORD)
    assert [order.order_id for order in register.list(open_only=True)] == [
        "order-4",
        "order-2",
        "order-1",
        "order-0",
    ]
    assert [order.order_id for order in register.list(limit=2)] == ["order-4", "order-3"]
    finished = register.get("order-3")
    assert finished is not None
    assert finished.record == RECORD


def test_a_finished_order_that_is_registered_again_stays_finished(tables: Tables) -> None:
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    register.finish("sma-1", RECORD)
    again = register.register("sma-1", "t", "{}", AT)
    assert (again.ours, again.order.record) == (True, RECORD)
    # A repeat that had looked before the order was finished puts it back into the index: the list finds that out.
    tables.orders.upsert_entity({"PartitionKey": "open", "RowKey": table_key("sma-1")})
    tables.orders.upsert_entity({"PartitionKey": "open", "RowKey": table_key("never-came")})
    assert register.list(open_only=True) == []
    assert len(list(tables.orders.query_entities("PartitionKey eq 'open'"))) == 1


def ended_after(last_number: int, instructed: int = 0) -> OrderRecord:
    ended = RecordDetail(last_number=last_number, instructed=instructed, timing=Timing())
    detail = msgspec.json.encode(ended).decode()
    return OrderRecord(outcome="take_profit", finished_at=AT, detail=detail)


def test_which_orders_are_known(tables: Tables) -> None:
    OrderRegister(tables).register("sma-1", "t", "{}", AT)
    register = OrderRegister(tables)
    assert [register.is_known(name) for name in ("sma-1", "sma-1", "sma-2")] == [True, True, False]
    with pytest.raises(KeyError, match="sma-2"):
        register.finish("sma-2", RECORD)


def test_a_record_may_be_larger_than_one_property_holds(tables: Tables) -> None:
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    record = OrderRecord(outcome="filled", finished_at=AT, detail=f'"{random.Random(1).randbytes(200_000).hex()}"')
    register.finish("sma-1", record)
    order = register.get("sma-1")
    assert order is not None
    assert order.record == record


def test_what_an_order_of_many_executions_goes_on_from_fits(tables: Tables) -> None:
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    executions = [
        {"quantity": "1", "price": f"{3000 + number % 100}.5", "at": (AT + timedelta(seconds=number)).isoformat()}
        for number in range(20_000)
    ]
    detail = RecordDetail(last_number=7, timing=Timing(), resumption={"executions": executions})
    record = OrderRecord(outcome="filled", finished_at=AT, detail=msgspec.json.encode(detail).decode())
    register.finish("sma-1", record)
    order = register.get("sma-1")
    assert order is not None
    assert order.last_end() == detail


def test_an_order_of_before_is_read(tables: Tables) -> None:
    order = RegisteredOrder(order_id="old-1", token="t", spec_json="{}", created_at=AT)
    row = {"PartitionKey": "old-1", "RowKey": "order", **pack("order", msgspec.json.encode(order))}
    tables.orders.create_entity(row)
    assert OrderRegister(tables).get("old-1") == order


def test_a_record_of_before_has_an_end() -> None:
    assert msgspec.json.decode(b'{"last_number": 5, "timing": {}}', type=RecordDetail).end == (5, 0)


def test_an_order_that_was_not_over_after_all_is_open_again_and_found_as_such(tables: Tables) -> None:
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    record = ended_after(7)
    register.finish("sma-1", record)
    assert register.list(open_only=True) == []
    for _ in range(2):
        register.reopen("sma-1", 7)
    (order,) = register.list(open_only=True)
    assert (order.order_id, order.record, order.taken_back) == ("sma-1", None, record)
    ended = order.last_end()
    assert ended is not None
    assert ended.last_number == 7
    with pytest.raises(KeyError, match="sma-2"):
        register.reopen("sma-2", 7)


def test_a_record_is_taken_back_only_where_it_is_of_the_end_that_is_meant(tables: Tables) -> None:
    """Somebody slow has seen the end of before: meanwhile the order was opened, and has ended again."""
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    register.finish("sma-1", ended_after(9))
    register.reopen("sma-1", 7)
    order = register.get("sma-1")
    assert order is not None
    assert order.record == ended_after(9)
    assert register.list(open_only=True) == []
    register.finish("sma-1", ended_after(9, 3))
    register.reopen("sma-1", 9, 2)
    assert register.list(open_only=True) == []


@pytest.mark.parametrize("is_open_again", [False, True])
def test_the_record_of_a_later_end_stays_where_somebody_slow_comes_with_an_earlier_one(
    tables: Tables, is_open_again: bool
) -> None:
    """Whoever goes by the last end would otherwise count the rows between the two once more."""
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    register.finish("sma-1", ended_after(9))
    if is_open_again:
        register.reopen("sma-1", 9)
    before = register.get("sma-1")
    register.finish("sma-1", ended_after(7))
    assert register.get("sma-1") == before
    assert open_ids(tables) == (["sma-1"] if is_open_again else [])


def test_an_end_that_comes_again_when_the_order_is_open_again_is_not_written(tables: Tables) -> None:
    """A process stopped before it wrote the record goes on: another has written it, and more was said since."""
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    register.finish("sma-1", ended_after(5, 2))
    register.reopen("sma-1", 5, 2)
    before = register.get("sma-1")
    register.finish("sma-1", ended_after(5, 2))
    assert register.get("sma-1") == before
    assert open_ids(tables) == ["sma-1"]
    register.finish("sma-1", ended_after(5, 3))
    assert open_ids(tables) == []


ENDS = st.tuples(st.integers(0, 2), st.integers(0, 2))


@settings(deadline=None, max_examples=30)
@given(steps=st.lists(st.tuples(st.sampled_from(["finish", "reopen"]), ENDS), max_size=8))
def test_an_order_never_goes_back_to_an_earlier_end(
    storage_connection: str, steps: list[tuple[Literal["finish", "reopen"], tuple[int, int]]]
) -> None:
    """Whoever comes when: the last end is the latest that was written, and the order is open where that was taken
    back."""
    register = OrderRegister(_tables(storage_connection))
    order_id = f"sma-{uuid.uuid4().hex}"
    register.register(order_id, "t", "{}", AT)
    last: tuple[int, int] | None = None
    is_open = True
    for step, end in steps:
        if step == "finish":
            register.finish(order_id, ended_after(*end))
            if last is None or end > last:
                last, is_open = end, False
        else:
            register.reopen(order_id, *end)
            is_open = is_open or end == last
        order = register.get(order_id)
        assert order is not None
        ended = order.last_end()
        assert (ended and ended.end, order.record is None) == (last, is_open)


@cache
def _tables(storage_connection: str) -> Tables:
    return Tables(storage_connection, prefix=f"T{uuid.uuid4().hex[:12]}")


def test_an_end_that_is_overtaken_while_it_is_written_gives_way_to_the_later_one(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    write = tables.orders.update_entity

    def overtaken(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(tables.orders, "update_entity", write)
        register.finish("sma-1", ended_after(9))
        return write(*arguments, **options)

    monkeypatch.setattr(tables.orders, "update_entity", overtaken)
    register.finish("sma-1", ended_after(7))
    order = register.get("sma-1")
    assert order is not None
    assert order.record == ended_after(9)


def open_ids(tables: Tables) -> list[str]:
    return [order.order_id for order in OrderRegister(tables).list(open_only=True)]


def test_an_order_that_is_opened_again_while_somebody_lists_the_open_ones_stays_among_them(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    register.finish("sma-1", ended_after(7))
    read = register._required_row

    def listed(order_id: str) -> TableEntity:
        row = read(order_id)
        assert open_ids(tables) == []  # and takes what it finds ended out of the index
        return row

    monkeypatch.setattr(register, "_required_row", listed)
    register.reopen("sma-1", 7)
    assert open_ids(tables) == ["sma-1"]


@pytest.mark.parametrize("function", ["finish", "list"])
def test_an_order_that_is_opened_again_before_its_end_has_left_the_index_stays_in_it(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    take_out = register._take_out_of_index

    def later(entry: TableEntity) -> None:
        OrderRegister(tables).reopen("sma-1", 7)
        take_out(entry)

    if function == "list":
        register.finish("sma-1", ended_after(7))
        register._put_into_index("sma-1")
    monkeypatch.setattr(register, "_take_out_of_index", later)
    if function == "list":
        assert register.list(open_only=True) == []
    else:
        register.finish("sma-1", ended_after(7))
    assert open_ids(tables) == ["sma-1"]


def test_an_order_may_be_finished_twice(tables: Tables) -> None:
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    for _ in range(2):
        register.finish("sma-1", ended_after(7))
    assert open_ids(tables) == []


def test_a_record_that_changes_while_it_is_taken_back_stays(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    register = OrderRegister(tables)
    register.register("sma-1", "t", "{}", AT)
    register.finish("sma-1", ended_after(7))
    write = tables.orders.update_entity

    def overtaken(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(tables.orders, "update_entity", write)
        register.finish("sma-1", ended_after(9))
        return write(*arguments, **options)

    monkeypatch.setattr(tables.orders, "update_entity", overtaken)
    register.reopen("sma-1", 7)
    order = register.get("sma-1")
    assert order is not None
    assert order.record == ended_after(9)


def test_a_batch_that_is_repeated_gives_the_signals_it_gave(tables: Tables) -> None:
    store = SignalStore(tables, "market-data")
    state = store.load("0")
    assert state == StrategyState()
    store.save("0", state, 41, b"state-41", b"[]")
    store.save("0", store.load("0"), 57, b"state-57", b"[1]")
    store.save("0", store.load("0"), 58, b"state-58", None)
    for one in (store, SignalStore(tables, "market-data")):
        assert (one.load("0").last_sequence_number, one.load("0").data) == (58, b"state-58")
    assert [store.signals("0", number) for number in (41, 57, 58)] == [b"[]", b"[1]", None]
    assert store.load("1") == SignalStore(tables, "other").load("0") == StrategyState()


def test_a_state_that_somebody_else_has_changed_is_not_overwritten(tables: Tables) -> None:
    store = SignalStore(tables, "market-data")
    empty = store.load("0")
    store.save("0", empty, 41, b"first", b"[1]")
    with pytest.raises(StateChangedError, match="market-data/0"):
        store.save("0", empty, 42, b"second", b"[2]")
    current = store.load("0")
    store.save("0", current, 43, b"third", b"[3]")
    with pytest.raises(StateChangedError):
        store.save("0", current, 44, b"fourth", b"[4]")
    assert store.load("0").data == b"third"
    assert store.signals("0", 44) is None


@pytest.mark.parametrize("signals", [None, b"[5]"])
def test_a_process_that_remembers_an_older_state_is_told_and_finds_the_newer_one(
    tables: Tables, signals: bytes | None
) -> None:
    here, there = SignalStore(tables, "market-data"), SignalStore(tables, "market-data")
    here.save("0", here.load("0"), 41, b"first", None)
    there.save("0", there.load("0"), 42, b"second", None)
    with pytest.raises(StateChangedError):
        here.save("0", here.load("0"), 43, b"from the first", signals)
    assert here.load("0").data == b"second"
    here.save("0", here.load("0"), 43, b"third", signals)
    assert there.signals("0", 43) == signals


def test_that_an_order_has_ended_is_known_without_reading_what_it_goes_on_from(tables: Tables) -> None:
    register = OrderRegister(tables)
    detail = msgspec.json.encode(RecordDetail(last_number=2, timing=Timing())).decode()
    record = OrderRecord(outcome="filled", finished_at=datetime.now(UTC), detail=detail)
    assert not register.has_ended("sma-1")
    register.register("sma-1", "token", "{}", datetime.now(UTC))
    assert not register.has_ended("sma-1")
    register.finish("sma-1", record)
    assert register.has_ended("sma-1")
    register.reopen("sma-1", 2)
    assert register.has_ended("sma-1"), "once, though it is open again"
    row = tables.orders.get_entity(table_key("sma-1"), "order")
    del row["has_ended"]
    tables.orders.update_entity(row, mode=UpdateMode.REPLACE)
    assert register.has_ended("sma-1"), "a row of before may be of one that has"


def test_instructions_are_numbered_without_gaps_whoever_writes_them(tables: Tables) -> None:
    first, second = Instructions(tables), Instructions(tables)
    assert first.append("sma-1", CancelRequested(mode="keep_exits")).number == 1
    assert second.append("sma-1", TradingHalted()).number == 2
    assert first.append("sma-1", CancelRequested()).number == 3
    assert [row.number for row in second.read("sma-1")] == [1, 2, 3]
    assert [row.instruction for row in first.read("sma-1", after=1)] == [TradingHalted(), CancelRequested()]
    assert first.read("sma-2") == []


def test_an_instruction_says_when_it_was_given_unless_it_is_of_before_they_did(tables: Tables) -> None:
    instructions, before = Instructions(tables), datetime.now(UTC)
    row = instructions.append("sma-1", CancelRequested())
    assert row.at is not None
    assert before <= row.at <= datetime.now(UTC)
    assert instructions.read("sma-1") == [row]
    old = b'{"order_id":"sma-1","number":2,"instruction":{"type":"TradingHalted","flatten":true}}'
    assert msgspec.json.decode(old, type=InstructionRow).at is None


def test_an_instruction_may_be_given_again_also_by_who_has_missed_what_came_between(
    tables: Tables,
) -> None:
    first, second = Instructions(tables), Instructions(tables)
    wanted = [AmendRequested(amendment=Amendment(quantity=Decimal(number))) for number in (5, 6)]
    assert [first.append("sma-1", each).number for each in wanted] == [1, 2]
    assert second.append("sma-1", wanted[0]).number == 3
    assert first.append("sma-1", wanted[0]).number == 4


def test_an_insert_whose_answer_was_lost_finds_what_it_has_written(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    instructions = Instructions(tables)
    insert = instructions._insert

    def lose_answer(row: InstructionRow, token: str) -> bool:
        insert(row, token)
        return insert(row, token)

    monkeypatch.setattr(instructions, "_insert", lose_answer)
    assert [instructions.append("sma-1", CancelRequested()).number for _ in range(2)] == [1, 2]
    assert len(instructions.read("sma-1")) == 2


def test_instructions_of_the_same_moment_are_all_kept(tables: Tables) -> None:
    instructions = Instructions(tables)
    instructions.read("warm")
    wanted = [AmendRequested(amendment=Amendment(quantity=Decimal(number))) for number in range(1, 9)]
    with ThreadPoolExecutor(4) as threads:
        rows = list(threads.map(lambda one: instructions.append("sma-1", one), wanted))
    assert sorted(row.number for row in rows) == list(range(1, 9))
    assert [row.instruction for row in rows] == wanted
    assert instructions.read("sma-1") == sorted(rows, key=lambda row: row.number)


def test_instructions_are_no_orders_and_an_order_is_no_instruction(tables: Tables) -> None:
    register, instructions = OrderRegister(tables), Instructions(tables)
    instructions.append("sma-1", CancelRequested())
    assert register.get("sma-1") is None
    register.register("sma-1", "t", "{}", AT)
    assert len(register.list()) == len(instructions.read("sma-1")) == 1


def test_an_alert_is_kept_once_for_each_key_and_logged_when_new(
    tables: Tables, caplog: pytest.LogCaptureFixture
) -> None:
    alerts = Alerts(tables)
    with caplog.at_level(logging.ERROR, "alerts"):
        assert alerts.raise_alert("DOUBLE_EXIT", "position=-3", "sma-1", "k/1")
        assert not alerts.raise_alert("DOUBLE_EXIT", "position=-3", "sma-1", "k/1")
        assert alerts.raise_alert("ORPHAN", "text", "sma-2", "k/1")
    assert caplog.messages == ["DOUBLE_EXIT sma-1: position=-3", "ORPHAN sma-2: text"]
    assert [(alert.code, alert.text) for alert in alerts.list("sma-1")] == [("DOUBLE_EXIT", "position=-3")]
    assert len(alerts.list()) == 2


@dataclass
class Secret:
    value: str | None


class Vault:
    """What SecretClient would be."""

    def __init__(self, **secrets: str) -> None:
        self.secrets = secrets

    def get_secret(self, name: str) -> Secret:
        return Secret(self.secrets.get(name.replace("-", "_")))


def test_credentials_come_from_key_vault_at_each_call_or_from_the_settings() -> None:
    assert fix_credentials(load(GOOD)) is None
    local = fix_credentials(load({**GOOD, "FIX_USERNAME": "me", "FIX_PASSWORD": "pw"}))
    assert local is not None
    assert local() == ("me", "pw")
    vault = Vault(fix_username="desk", fix_password="one")
    credentials = fix_credentials(load({**GOOD, "KEY_VAULT_URI": "https://x.vault.azure.net"}), vault)
    assert credentials is not None
    assert credentials() == ("desk", "one")
    vault.secrets["fix_password"] = "two"
    assert credentials() == ("desk", "two")
    vault.secrets.clear()
    with pytest.raises(SecretsError, match="fix-username"):
        credentials()


def test_a_drop_copys_credentials_are_its_own() -> None:
    assert drop_copy_credentials(load({**GOOD, "FIX_USERNAME": "me", "FIX_PASSWORD": "pw"})) is None
    copied = {**GOOD, "DROP_COPY_SENDER_COMP_ID": "COPY"}
    assert drop_copy_credentials(load(copied)) is None
    local = drop_copy_credentials(load({**copied, "DROP_COPY_USERNAME": "me", "DROP_COPY_PASSWORD": "pw"}))
    assert local is not None
    assert local() == ("me", "pw")
    vault = Vault(drop_copy_username="copy", drop_copy_password="one")
    credentials = drop_copy_credentials(load({**copied, "KEY_VAULT_URI": "https://x.vault.azure.net"}), vault)
    assert credentials is not None
    assert credentials() == ("copy", "one")


def test_the_key_vault_client_accepts_its_address() -> None:
    assert fix_credentials(load({**GOOD, "KEY_VAULT_URI": "https://x.vault.azure.net"})) is not None


@given(st.binary(max_size=200_000))
def test_what_is_packed_is_unpacked(data: bytes) -> None:
    assert unpack("data", pack("data", data)) == data


def test_what_a_row_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="state: 2000000 bytes"):
        pack("state", bytes(2_000_000))


@given(st.text(), st.text())
def test_keys_are_allowed_and_tell_everything_apart(one: str, other: str) -> None:
    keys = table_key(one), table_key(other)
    assert (keys[0] == keys[1]) == (one == other)
    assert not set("/\\#?'|% ") & set(keys[0])
