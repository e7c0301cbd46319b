"""Settings are all checked at once, and secrets stay secret."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from storage.clock import ClockError, market_now
from storage.settings import Settings, SettingsError, load

GOOD = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "FIX_HOST": "127.0.0.1",
    "FIX_PORT": "9878",
    "FIX_SENDER_COMP_ID": "DESK",
    "FIX_TARGET_COMP_ID": "VENUE",
    "MAX_ORDER_NOTIONAL": "100000",
    "MAX_SYMBOL_NOTIONAL": "200000.50",
    "MAX_GROSS_NOTIONAL": "1e6",
}


def problems(**changes: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load({**GOOD, **changes})
    return raised.value.problems


def test_what_is_not_set_has_its_default() -> None:
    settings = load({**GOOD, "SMA_FAST": ""})
    assert settings.session == "FIX.4.4-DESK-VENUE"
    assert (settings.fix_port, settings.sequence_block, settings.lease_seconds) == (9878, 1000, 10)
    assert (settings.order_release, settings.sma_fast) == ("immediate", 10)
    assert (settings.fix_messages_per_second, settings.fix_repeated_clordid, settings.outbox_days) == (0, "refused", 7)
    assert settings.max_symbol_notional == Decimal("200000.50")
    assert "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;" in settings.storage_connection


def test_every_wrong_setting_is_named_at_once_with_what_would_be_right() -> None:
    with pytest.raises(SettingsError) as raised:
        load({"FIX_PORT": "port", "LEASE_SECONDS": "-1", "MAX_GROSS_NOTIONAL": "NaN", "FIX_SENDER_COMP_ID": "a|b"})
    text = str(raised.value)
    assert len(raised.value.problems) == 9
    for line in (
        "AzureWebJobsStorage: has to be set",
        "FIX_HOST: has to be set",
        "FIX_PORT=port: has to be a whole number from 1 to 65535",
        "FIX_SENDER_COMP_ID=a|b: may have letters",
        "LEASE_SECONDS=-1: has to be a number of seconds from 0.5 to 300",
        "MAX_GROSS_NOTIONAL=NaN: has to be a number above 0",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ORDER_RELEASE": "manual"}, "ORDER_RELEASE=manual: is for replays only"),
        ({"ORDER_RELEASE": "later"}, "ORDER_RELEASE=later: has to be immediate or manual"),
        ({"FIX_MESSAGES_PER_SECOND": "-5"}, "FIX_MESSAGES_PER_SECOND=-5: has to be a whole number from 0 to 100000"),
        ({"FIX_REPEATED_CLORDID": "maybe"}, "FIX_REPEATED_CLORDID=maybe: has to be refused or accepted"),
        ({"OUTBOX_DAYS": "0"}, "OUTBOX_DAYS=0: has to be a whole number from 1 to 3650"),
        ({"SMA_FAST": "30", "SMA_SLOW": "20"}, "SMA_FAST=30: has to be less than SMA_SLOW=20"),
        ({"FIX_USERNAME": "me"}, "FIX_PASSWORD: FIX_USERNAME and FIX_PASSWORD have to be set both"),
        ({"FIX_TARGET_COMP_ID": "DESK"}, "FIX_TARGET_COMP_ID=DESK: has to differ"),
        ({"KEY_VAULT_URI": "http://x"}, "KEY_VAULT_URI=http://x: has to be an address like https://"),
        ({"LEASE_SECONDS": "soon"}, "LEASE_SECONDS=soon: has to be a number of seconds"),
        ({"SMA_NOTIONAL": "much"}, "SMA_NOTIONAL=much: has to be a number above 0"),
        (
            {"KEY_VAULT_URI": "https://x", "FIX_USERNAME": "me", "FIX_PASSWORD": "pw"},
            "FIX_USERNAME=me: leave it out where KEY_VAULT_URI is set",
        ),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(changes: dict[str, str], told: str) -> None:
    (problem,) = problems(**changes)
    assert problem.startswith(told)


def test_a_venue_that_takes_a_cl_ord_id_twice_can_be_told() -> None:
    settings = load({**GOOD, "FIX_REPEATED_CLORDID": "accepted", "FIX_MESSAGES_PER_SECOND": "50", "OUTBOX_DAYS": "30"})
    assert (settings.fix_messages_per_second, settings.fix_repeated_clordid, settings.outbox_days) == (
        50,
        "accepted",
        30,
    )
    assert load({**GOOD, "FIX_REPEATED_CLORDID": "refused"}).fix_repeated_clordid == "refused"


def test_secrets_are_shown_to_nobody() -> None:
    connection = "AccountName=a;AccountKey=verysecret;"
    settings = load({**GOOD, "AzureWebJobsStorage": connection, "FIX_USERNAME": "me", "FIX_PASSWORD": "verysecret"})
    assert "verysecret" not in repr(settings)
    assert "verysecret" not in f"{settings}"
    assert "verysecret" not in str(problems(AzureWebJobsStorage="verysecret"))
    assert settings.fix_password == "verysecret"


def with_clock(path: Path | str) -> Settings:
    return load({**GOOD, "MARKET_CLOCK": str(path)})


def test_the_markets_time_is_the_files_or_the_systems(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("2013-10-07T15:30:00.072+02:00\n")
    assert market_now(with_clock(clock)) == datetime(2013, 10, 7, 13, 30, 0, 72_000, tzinfo=UTC)
    before = datetime.now(UTC)
    assert before <= market_now(with_clock("")) <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["", "soon", "2013-10-07T15:30:00"])
def test_a_clock_without_a_proper_time_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    clock = tmp_path / "clock"
    clock.write_text(text)
    with pytest.raises(ClockError, match=f"{clock}: holds"):
        market_now(with_clock(clock))
    with pytest.raises(ClockError, match="cannot be read"):
        market_now(with_clock(tmp_path / "nothing"))
