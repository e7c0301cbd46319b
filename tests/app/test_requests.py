"""What may be asked over HTTP: every kind of order, amendments, and what is wrong with either."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from trading.specs import Amendment, BracketSpec, SingleSpec, Trail
from triggers.requests import SPECS, BadRequestError, read_amendment, read_order

ONE = {"symbol": "IBM", "side": "buy", "quantity": "10"}
EXITS = {"stop_price": "2950", "take_profit_price": "3050"}
LEG = {**ONE, "price": "3000"}
RIGHT: dict[str, dict[str, Any]] = {
    "single": {**ONE, "limit_price": "3000"},
    "bracket": {**ONE, **EXITS, "entry_price": "3000"},
    "oco": {
        "symbol": "IBM",
        "entries": [
            {"side": "buy", "quantity": "10", "order_type": "stop", "price": "3050"},
            {"side": "sell", "quantity": "10", "order_type": "stop", "price": "2950"},
        ],
    },
    "oto": {"orders": [LEG, LEG]},
    "multi_leg": {"legs": [LEG, {**ONE, "order_type": "market", "reference_price": "5"}], "on_leg_failure": "complete"},
    "trailing": {**ONE, "entry_price": "3000", "trail": {"amount": "50", "step": "10"}},
    "twap": {**ONE, "limit_price": "3000", "duration": 600, "slices": 5},
    "iceberg": {**ONE, "limit_price": "3000", "display_quantity": "2"},
    "scale": {"symbol": "IBM", "side": "buy", "rungs": [{"quantity": "4", "price": "3000"}], **EXITS},
    "flatten": {**ONE, "reference_price": "3000"},
}


def read(kind: str, **changes: Any) -> Any:
    body = {"type": kind, **RIGHT[kind], **changes}
    return read_order(msgspec.json.encode(body), generated_id="made-up")


@pytest.mark.parametrize("kind", RIGHT)
def test_every_kind_of_order_can_be_placed_with_an_id_or_without(kind: str) -> None:
    spec, reference_price = read(kind)
    assert type(spec) in SPECS.values()
    assert spec.__struct_config__.tag == kind
    assert (spec.order_id, reference_price) == ("made-up", None)
    assert read(kind, order_id="mine", reduce_only=True)[0] == msgspec.structs.replace(
        spec, order_id="mine", reduce_only=True
    )


def test_all_kinds_are_tried_here() -> None:
    assert {spec.__struct_config__.tag for spec in SPECS.values()} == set(RIGHT)


@pytest.mark.parametrize(
    ("kind", "changes", "field", "value"),
    [
        ("multi_leg", {"legs": [LEG, {**LEG, "quantity": "0"}]}, "legs[1].quantity", "0"),
        ("multi_leg", {"legs": [LEG, {**LEG, "quantity": "many"}]}, "legs[1].quantity", "many"),
        ("multi_leg", {"legs": [LEG, {**LEG, "quantity": "1e20"}]}, "legs[1].quantity", "1E+20"),
        ("multi_leg", {"legs": [LEG, {"symbol": "IBM", "side": "buy"}]}, "legs[1].quantity", None),
        ("multi_leg", {"legs": [LEG, {**LEG, "lot": "1"}]}, "legs[1].lot", "1"),
        ("multi_leg", {"legs": [LEG, {**LEG, "side": "hold"}]}, "legs[1].side", "hold"),
        ("multi_leg", {"legs": [LEG, {**LEG, "symbol": "I B M"}]}, "legs[1].symbol", "I B M"),
        ("multi_leg", {"legs": [LEG]}, "legs", "1 of them"),
        ("multi_leg", {"legs": 7}, "legs", 7),
        ("multi_leg", {"on_leg_failure": "panic"}, "on_leg_failure", "panic"),
        ("oto", {"orders": [LEG, 7]}, "orders[1]", 7),
        ("oco", {"entries": [{"side": "buy"}]}, "entries[0].quantity", None),
        ("oco", {"entries": []}, "entries", []),
        ("scale", {"rungs": [{"quantity": "4", "price": "2900"}]}, "stop_price", "2950"),
        ("trailing", {"trail": {"amount": "50", "percent": "1"}}, "trail", "amount 50 percent 1"),
        ("trailing", {"trail": {"amount": "-1"}}, "trail.amount", "-1"),
        ("trailing", {"trail": {"amount": "x"}}, "trail.amount", "x"),
        ("trailing", {"entry_type": "market", "entry_price": None}, "reference_price", None),
        ("trailing", {"reference_price": "3000"}, "reference_price", "3000"),
        ("single", {"order_type": "market", "limit_price": None}, "reference_price", None),
        ("single", {"order_type": "market", "limit_price": None, "reference_price": "0"}, "reference_price", "0"),
        ("single", {"good_till": "2030-01-02T15:04:05"}, "good_till", "2030-01-02T15:04:05"),
        ("single", {"good_till": "0001-01-01T00:00:00+14:00"}, "good_till", "0001-01-01T00:00:00+14:00"),
        ("single", {"good_till": "9999-12-31T23:59:59-12:00"}, "good_till", "9999-12-31T23:59:59-12:00"),
        ("single", {"good_till": "tomorrow"}, "good_till", "tomorrow"),
        ("twap", {"limit_price": None}, "reference_price", None),
        ("iceberg", {"display_quantity": "11"}, "display_quantity", "11"),
        ("flatten", {"reference_price": "Infinity"}, "reference_price", "Infinity"),
    ],
)
def test_what_is_wrong_is_named_also_within(kind: str, changes: dict[str, Any], field: str, value: object) -> None:
    with pytest.raises(BadRequestError) as wrong:
        read(kind, **changes)
    assert (wrong.value.field, wrong.value.value) == (field, value)
    assert wrong.value.message


@pytest.mark.parametrize("written", ["1_0", "١٠", " 10", "１０", "10\n", "0x10", "1 0"])
def test_a_number_is_written_as_json_has_them(written: str) -> None:
    for kind, changes, field in (
        ("single", {"quantity": written}, "quantity"),
        ("trailing", {"trail": {"amount": written}}, "trail.amount"),
        ("scale", {"rungs": [{"quantity": "4", "price": written}]}, "rungs[0].price"),
    ):
        with pytest.raises(BadRequestError) as wrong:
            read(kind, **changes)
        assert (wrong.value.field, wrong.value.value) == (field, written)


@pytest.mark.parametrize("written", ["10", "+10", "10.0", "10.", "1e1", "1.0E+1", 10, 10.0])
def test_a_number_may_be_a_string_or_not(written: object) -> None:
    spec, _ = read("single", quantity=written)
    assert isinstance(spec, SingleSpec)
    assert spec.quantity == 10


def test_a_market_entry_that_trails_has_the_price_that_it_is_judged_by() -> None:
    _, price = read("trailing", entry_type="market", entry_price=None, reference_price="3010")
    assert price == Decimal(3010)


def test_a_time_in_any_zone_is_kept_in_utc() -> None:
    spec, _ = read("single", good_till="2030-01-02T15:04:05-05:00")
    assert spec.good_till is not None
    assert spec.good_till.isoformat() == "2030-01-02T20:04:05+00:00"


def test_an_unknown_kind_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadRequestError, match="has to be one of single, bracket, oco, oto, multi_leg, trailing, twap"):
        read_order(b'{"type": "moon"}', "made-up")


def test_an_amendment_has_the_new_values() -> None:
    assert read_amendment(b'{"quantity": "12", "stop_price": null}') == Amendment(quantity=Decimal(12))
    assert read_amendment(b'{"trail": {"percent": 2}}') == Amendment(trail=Trail(percent=Decimal(2)))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b"{}", "amendment"),
        (b'{"quantity": null}', "amendment"),
        (b'{"quantity": "0"}', "quantity"),
        (b'{"quantity": "NaN"}', "quantity"),
        (b'{"quantity": "1e-30"}', "quantity"),
        (b'{"symbol": "IBM"}', "symbol"),
        (b'{"trail": {}}', "trail"),
        (b'{"trail": {"percent": 100}}', "trail.percent"),
        (b'{"trail": {"percent": "1e99"}}', "trail.percent"),
        (b'{"trail": {"speed": 1}}', "trail.speed"),
    ],
)
def test_an_amendment_that_is_wrong_of_any_order_is_named(body: bytes, field: str) -> None:
    with pytest.raises(BadRequestError) as wrong:
        read_amendment(body)
    assert wrong.value.field == field


def test_a_request_is_the_spec_and_nothing_else() -> None:
    spec, _ = read("bracket", order_id="mine")
    assert type(spec) is BracketSpec
    assert not hasattr(spec, "reference_price")
