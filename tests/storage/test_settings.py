"""Settings are all checked at once, and secrets stay secret."""

from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest

from fix.schedule import Schedule
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
    assert settings.fix_mass_status == "yes"
    assert load({**GOOD, "FIX_MASS_STATUS": "no"}).fix_mass_status == "no"
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
        ({"FIX_MASS_STATUS": "maybe"}, "FIX_MASS_STATUS=maybe: has to be yes or no"),
        ({"ORDER_RELEASE": "later"}, "ORDER_RELEASE=later: has to be immediate or manual"),
        ({"FIX_MESSAGES_PER_SECOND": "-5"}, "FIX_MESSAGES_PER_SECOND=-5: has to be a whole number from 0 to 100000"),
        ({"FIX_REPEATED_CLORDID": "maybe"}, "FIX_REPEATED_CLORDID=maybe: has to be refused or accepted"),
        ({"OUTBOX_DAYS": "0"}, "OUTBOX_DAYS=0: has to be a whole number from 1 to 3650"),
        ({"SMA_FAST": "30", "SMA_SLOW": "20"}, "SMA_FAST=30: has to be less than SMA_SLOW=20"),
        ({"FIX_USERNAME": "me"}, "FIX_PASSWORD: FIX_USERNAME and FIX_PASSWORD have to be set both"),
        ({"FIX_TARGET_COMP_ID": "DESK"}, "FIX_TARGET_COMP_ID=DESK: has to differ"),
        ({"KEY_VAULT_URI": "http://x"}, "KEY_VAULT_URI=http://x: has to be an address like https://"),
        ({"LEASE_SECONDS": "soon"}, "LEASE_SECONDS=soon: has to be a number of seconds"),
        ({"FIX_HOSTS": "b:1,c"}, "FIX_HOSTS=b:1,c: has to be like host1:9878,host2:9878"),
        ({"FIX_HOSTS": "127.0.0.1:9878"}, "FIX_HOSTS=127.0.0.1:9878: has to name each once"),
        ({"FIX_TLS": "yes"}, "FIX_TLS=yes: has to be off or on"),
        ({"FIX_TLS_CA_FILE": "ca.pem"}, "FIX_TLS_CA_FILE=ca.pem: leave it out where FIX_TLS is off"),
        ({"FIX_TLS": "on", "FIX_TLS_CA_FILE": "/no/ca.pem"}, "FIX_TLS=on: ca_file is /no/ca.pem: it cannot be read"),
        ({"FIX_TLS": "on", "FIX_TLS_KEY_FILE": "key.pem"}, "FIX_TLS=on: certificate is missing"),
        ({"FIX_HOURS": "always"}, "FIX_HOURS=always: has to be like 17:05-17:00, each day"),
        ({"FIX_HOURS": "sun 17:05-17:00"}, "FIX_HOURS=sun 17:05-17:00: has to be like 17:05-17:00, each day"),
        ({"FIX_HOURS": "25:00-17:00"}, "FIX_HOURS=25:00-17:00: has to be like 17:05-17:00, each day"),
        ({"FIX_HOURS": "17:05-17:00", "FIX_DAYS": "workdays"}, "FIX_DAYS=workdays: has to be days like mon-fri"),
        ({"FIX_HOURS": "17:05-17:00", "FIX_DAYS": "mon-wed,tue"}, "FIX_DAYS=mon-wed,tue: has to name each day once"),
        ({"FIX_DAYS": "mon"}, "FIX_DAYS=mon: leave it out where FIX_HOURS is not set"),
        ({"FIX_HOURS": "sun 17:05-fri 17:00", "FIX_DAYS": "mon"}, "FIX_DAYS=mon: leave it out where FIX_HOURS names"),
        ({"FIX_HOURS": "8:00-17:00"}, "FIX_HOURS=8:00-17:00: has to be like 17:05-17:00"),
        ({"FIX_TIME_ZONE": "New York"}, "FIX_TIME_ZONE=New York: has to be a time zone that is known here"),
        ({"SMA_NOTIONAL": "much"}, "SMA_NOTIONAL=much: has to be a number above 0"),
        (
            {"KEY_VAULT_URI": "https://x", "FIX_USERNAME": "me", "FIX_PASSWORD": "pw"},
            "FIX_USERNAME=me: leave it out where KEY_VAULT_URI is set",
        ),
        ({"DROP_COPY_PORT": "1234"}, "DROP_COPY_PORT=1234: is for a drop copy, which DROP_COPY_SENDER_COMP_ID has to"),
        (
            {"DROP_COPY_SENDER_COMP_ID": "DESK"},
            "DROP_COPY_SENDER_COMP_ID=DESK: the drop copy has to be another session",
        ),
        ({"DROP_COPY_SENDER_COMP_ID": "VENUE"}, "DROP_COPY_SENDER_COMP_ID=VENUE: has to differ from the drop copy's"),
        ({"DROP_COPY_SENDER_COMP_ID": "A|"}, "DROP_COPY_SENDER_COMP_ID=A|: may have letters, digits"),
        ({"DROP_COPY_PASSWORD": "pw"}, "DROP_COPY_USERNAME: DROP_COPY_USERNAME and DROP_COPY_PASSWORD have to be set"),
        ({"DROP_COPY_PATIENCE_SECONDS": "0"}, "DROP_COPY_PATIENCE_SECONDS=0: has to be a number of seconds from 1 to"),
        (
            {
                "DROP_COPY_SENDER_COMP_ID": "COPY",
                "DROP_COPY_USERNAME": "me",
                "DROP_COPY_PASSWORD": "pw",
                "KEY_VAULT_URI": "https://x",
            },
            "DROP_COPY_USERNAME=me: leave it out where KEY_VAULT_URI is set",
        ),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(changes: dict[str, str], told: str) -> None:
    (problem,) = problems(**changes)
    assert problem.startswith(told)


def test_a_drop_copy_is_where_the_trading_session_is_unless_it_is_said_otherwise() -> None:
    assert load(GOOD).drop_copy_session == ""
    settings = load({**GOOD, "DROP_COPY_SENDER_COMP_ID": "COPY"})
    assert (settings.drop_copy_session, settings.drop_copy_hosts) == ("FIX.4.4-COPY-VENUE", settings.fix_hosts)
    assert settings.drop_copy_patience_seconds == 30
    settings = load(
        {
            **GOOD,
            "DROP_COPY_SENDER_COMP_ID": "COPY",
            "DROP_COPY_TARGET_COMP_ID": "BACK",
            "DROP_COPY_HOST": "back",
            "DROP_COPY_PORT": "1",
        }
    )
    assert (settings.drop_copy_session, settings.drop_copy_hosts) == ("FIX.4.4-COPY-BACK", (("back", 1),))


def test_a_session_has_no_hours_unless_they_are_set() -> None:
    assert load(GOOD).fix_schedule is None
    assert load({**GOOD, "FIX_TIME_ZONE": "America/New_York"}).fix_schedule is None


def test_hours_are_of_a_day_or_of_a_week() -> None:
    daily = load({**GOOD, "FIX_HOURS": "17:05-17:00", "FIX_DAYS": "Sun-Thu", "FIX_TIME_ZONE": "America/New_York"})
    days = ("sun", "mon", "tue", "wed", "thu")
    assert daily.fix_schedule == Schedule.daily(time(17, 5), time(17), "America/New_York", days=days)
    weekly = load({**GOOD, "FIX_HOURS": "Sun 17:05 - Fri 17:00:30"})
    assert weekly.fix_schedule == Schedule.weekly("sun", time(17, 5), "fri", time(17, 0, 30))


def test_the_first_host_is_tried_first_and_the_others_in_their_order() -> None:
    assert load(GOOD).fix_hosts == (("127.0.0.1", 9878),)
    hosts = load({**GOOD, "FIX_HOSTS": "second:9879, [::1]:9880"}).fix_hosts
    assert hosts == (("127.0.0.1", 9878), ("second", 9879), ("::1", 9880))


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
