"""The settings of the app: environment variables, all checked before anything starts.

`AzureWebJobsStorage` becomes `Settings.storage_connection`; every other setting keeps its name, in lower case.
"""

import os
from collections.abc import Callable, Mapping
from datetime import time
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar, cast
from zoneinfo import ZoneInfo

import msgspec

from fix.reconnect import Host
from fix.schedule import WEEKDAYS, Schedule
from fix.tls import TlsError, client_tls

T = TypeVar("T")

_AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)
"""What `UseDevelopmentStorage=true` stands for; Microsoft publishes this key, it is no secret."""


class Secret(str):
    """A text that shows itself to nobody who prints what contains it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class SettingsError(Exception):
    """One or more settings are missing or wrong; the text has one line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("wrong settings:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = problems


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Durations are seconds of the machine's clock, notionals are quantity times price."""

    storage_connection: Secret
    fix_host: str
    fix_port: int
    fix_backup_hosts: tuple[Host, ...] = ()
    """FIX_HOSTS: where to try, in this order, when `fix_host` cannot be logged on to."""
    fix_tls: Literal["off", "on"] = "off"
    fix_tls_ca_file: str = ""
    """Whose certificates are believed (PEM); empty: those that the machine believes."""
    fix_tls_certificate_file: str = ""
    """Ours (PEM, with its chain), where the venue asks for one; `fix_tls_key_file` is its key, if not in there."""
    fix_tls_key_file: str = ""
    fix_schedule: Schedule | None = None
    """FIX_HOURS, FIX_DAYS and FIX_TIME_ZONE: when the session may be logged on. None: always."""
    fix_sender_comp_id: str
    fix_target_comp_id: str
    fix_heartbeat_seconds: int = 30
    fix_username: str = ""
    fix_password: Secret = Secret("")
    key_vault_uri: str = ""
    """Where it is set, the FIX logon comes from there: secrets `fix-username` and `fix-password`, and of a drop copy
    `drop-copy-username` and `drop-copy-password`."""
    lease_seconds: float = 10
    slice_seconds: float = 60
    sequence_block: int = 1000
    fix_mass_status: Literal["yes", "no"] = "yes"
    """Whether the venue lists its open orders (35=AF); if not, each of ours is asked about after a logon (35=H)."""
    fix_messages_per_second: int = 0
    """The venue's limit of application messages, over any second; 0 for none."""
    fix_repeated_clordid: Literal["refused", "accepted"] = "refused"
    """What the venue does with a ClOrdID (11) that it has had before."""
    outbox_days: int = 7
    """For how long what is done stays in the outbox."""
    market_clock: str = ""
    """Development only: a file that holds the market's time; empty for the system's clock."""
    order_release: Literal["immediate", "manual"] = "immediate"
    max_order_notional: Decimal
    max_symbol_notional: Decimal
    max_gross_notional: Decimal
    sma_fast: int = 10
    sma_slow: int = 30
    sma_notional: Decimal = Decimal(10_000)
    sma_reward_ratio: Decimal = Decimal(2)
    sma_valid_for_seconds: int = 300
    market_data_hub: str = "market-data"
    drop_copy_sender_comp_id: str = ""
    """Empty: there is no drop copy. The other settings of one are empty or 0 where they are the trading session's."""
    drop_copy_target_comp_id: str = ""
    drop_copy_host: str = ""
    drop_copy_port: int = 0
    drop_copy_username: str = ""
    drop_copy_password: Secret = Secret("")
    drop_copy_patience_seconds: float = 30
    """How long a trade and its copy may wait for each other, and the drop copy be without a session."""

    @property
    def session(self) -> str:
        """The FIX session's name, as the session table's partition has it."""
        return f"FIX.4.4-{self.fix_sender_comp_id}-{self.fix_target_comp_id}"

    @property
    def drop_copy_session(self) -> str:
        """The drop copy session's name; empty where there is none."""
        if not self.drop_copy_sender_comp_id:
            return ""
        return f"FIX.4.4-{self.drop_copy_sender_comp_id}-{self.drop_copy_target}"

    @property
    def drop_copy_target(self) -> str:
        """TargetCompID (56) of the drop copy session."""
        return self.drop_copy_target_comp_id or self.fix_target_comp_id

    @property
    def drop_copy_hosts(self) -> tuple[Host, ...]:
        """Where the drop copy session can be logged on: where the trading session can, unless it is said otherwise."""
        if not (self.drop_copy_host or self.drop_copy_port):
            return self.fix_hosts
        return (Host(self.drop_copy_host or self.fix_host, self.drop_copy_port or self.fix_port),)

    @property
    def fix_hosts(self) -> tuple[Host, ...]:
        """Everywhere that the session can be logged on, the preferred one first."""
        return (Host(self.fix_host, self.fix_port), *self.fix_backup_hosts)


def load(environ: Mapping[str, str]) -> Settings:
    """Read and check the settings; an empty variable counts as one that is not set.

    Raises:
        SettingsError: names every wrong setting at once, with its value (never a secret's) and what would be right.
    """
    reader = _Reader(environ)
    settings = Settings(
        storage_connection=Secret(reader.get("AzureWebJobsStorage", _connection, secret=True)),
        fix_host=reader.get("FIX_HOST", _text),
        fix_port=reader.get("FIX_PORT", _whole(1, 65535)),
        fix_backup_hosts=reader.get("FIX_HOSTS", _hosts, default=()),
        fix_tls=reader.get("FIX_TLS", _tls, default="off"),
        fix_tls_ca_file=reader.get("FIX_TLS_CA_FILE", _text, default=""),
        fix_tls_certificate_file=reader.get("FIX_TLS_CERTIFICATE_FILE", _text, default=""),
        fix_tls_key_file=reader.get("FIX_TLS_KEY_FILE", _text, default=""),
        fix_schedule=_schedule(reader),
        fix_sender_comp_id=reader.get("FIX_SENDER_COMP_ID", _comp_id),
        fix_target_comp_id=reader.get("FIX_TARGET_COMP_ID", _comp_id),
        fix_heartbeat_seconds=reader.get("FIX_HEARTBEAT_SECONDS", _whole(0, 3600), default=30),
        fix_username=reader.get("FIX_USERNAME", _text, default=""),
        fix_password=Secret(reader.get("FIX_PASSWORD", _text, default="", secret=True)),
        key_vault_uri=reader.get("KEY_VAULT_URI", _https, default=""),
        lease_seconds=reader.get("LEASE_SECONDS", _seconds(0.5, 300), default=10.0),
        slice_seconds=reader.get("SLICE_SECONDS", _seconds(1, 240), default=60.0),
        sequence_block=reader.get("SEQUENCE_BLOCK", _whole(50, 1_000_000), default=1000),
        fix_mass_status=reader.get("FIX_MASS_STATUS", _yes_or_no, default="yes"),
        fix_messages_per_second=reader.get("FIX_MESSAGES_PER_SECOND", _whole(0, 100_000), default=0),
        fix_repeated_clordid=reader.get("FIX_REPEATED_CLORDID", _repeated_clordid, default="refused"),
        outbox_days=reader.get("OUTBOX_DAYS", _whole(1, 3650), default=7),
        market_clock=reader.get("MARKET_CLOCK", _text, default=""),
        order_release=reader.get("ORDER_RELEASE", _release, default="immediate"),
        max_order_notional=reader.get("MAX_ORDER_NOTIONAL", _amount),
        max_symbol_notional=reader.get("MAX_SYMBOL_NOTIONAL", _amount),
        max_gross_notional=reader.get("MAX_GROSS_NOTIONAL", _amount),
        sma_fast=reader.get("SMA_FAST", _whole(1, 10_000), default=10),
        sma_slow=reader.get("SMA_SLOW", _whole(2, 10_000), default=30),
        sma_notional=reader.get("SMA_NOTIONAL", _amount, default=Decimal(10_000)),
        sma_reward_ratio=reader.get("SMA_REWARD_RATIO", _amount, default=Decimal(2)),
        sma_valid_for_seconds=reader.get("SMA_VALID_FOR_SECONDS", _whole(1, 10_000_000), default=300),
        market_data_hub=reader.get("MARKET_DATA_HUB", _text, default="market-data"),
        drop_copy_sender_comp_id=reader.get("DROP_COPY_SENDER_COMP_ID", _comp_id, default=""),
        drop_copy_target_comp_id=reader.get("DROP_COPY_TARGET_COMP_ID", _comp_id, default=""),
        drop_copy_host=reader.get("DROP_COPY_HOST", _text, default=""),
        drop_copy_port=reader.get("DROP_COPY_PORT", _whole(1, 65535), default=0),
        drop_copy_username=reader.get("DROP_COPY_USERNAME", _text, default=""),
        drop_copy_password=Secret(reader.get("DROP_COPY_PASSWORD", _text, default="", secret=True)),
        drop_copy_patience_seconds=reader.get("DROP_COPY_PATIENCE_SECONDS", _seconds(1, 3600), default=30.0),
    )
    if not reader.problems:
        reader.problems += _contradictions(settings)
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


@cache
def settings() -> Settings:
    """The process's own settings, read once from its environment. Raises SettingsError."""
    return load(os.environ)


class _Reader:
    """Reads one setting after another and remembers what was wrong, so that all of it is told at once."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def get(self, name: str, parse: Callable[[str], T], *, default: T | None = None, secret: bool = False) -> T:
        value = self._environ.get(name, "").strip()
        if not value and default is not None:
            return default
        try:
            if not value:
                raise ValueError("has to be set")
            return parse(value)
        except ValueError as error:
            shown = "" if not value else "=***" if secret else f"={value}"
            self.problems.append(f"{name}{shown}: {error}")
            return cast(T, None)  # never used: load() raises before anybody sees it


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    if settings.sma_fast >= settings.sma_slow:
        problems.append(f"SMA_FAST={settings.sma_fast}: has to be less than SMA_SLOW={settings.sma_slow}")
    if settings.order_release == "manual" and not settings.market_clock:
        problems.append("ORDER_RELEASE=manual: is for replays only, where MARKET_CLOCK is set")
    if bool(settings.fix_username) != bool(settings.fix_password):
        missing = "FIX_PASSWORD" if settings.fix_username else "FIX_USERNAME"
        problems.append(f"{missing}: FIX_USERNAME and FIX_PASSWORD have to be set both or neither")
    if settings.key_vault_uri and settings.fix_username:
        problems.append(f"FIX_USERNAME={settings.fix_username}: leave it out where KEY_VAULT_URI is set")
    if settings.fix_sender_comp_id == settings.fix_target_comp_id:
        problems.append(f"FIX_TARGET_COMP_ID={settings.fix_target_comp_id}: has to differ from FIX_SENDER_COMP_ID")
    if len(set(settings.fix_hosts)) < len(settings.fix_hosts):
        shown = ",".join(f"{host.name}:{host.port}" for host in settings.fix_backup_hosts)
        problems.append(f"FIX_HOSTS={shown}: has to name each once, and not FIX_HOST and FIX_PORT again")
    return problems + _tls_problems(settings) + _drop_copy_contradictions(settings)


def _tls_problems(settings: Settings) -> list[str]:
    files = {
        "FIX_TLS_CA_FILE": settings.fix_tls_ca_file,
        "FIX_TLS_CERTIFICATE_FILE": settings.fix_tls_certificate_file,
        "FIX_TLS_KEY_FILE": settings.fix_tls_key_file,
    }
    if settings.fix_tls == "off":
        return [f"{name}={path}: leave it out where FIX_TLS is off" for name, path in files.items() if path]
    ca, certificate, key = (Path(path) if path else None for path in files.values())
    try:
        client_tls(ca_file=ca, certificate=certificate, key=key)
    except TlsError as error:
        return [f"FIX_TLS=on: {error}"]
    return []


def _drop_copy_contradictions(settings: Settings) -> list[str]:
    problems = []
    sender, username = settings.drop_copy_sender_comp_id, settings.drop_copy_username
    others = {
        "DROP_COPY_TARGET_COMP_ID": settings.drop_copy_target_comp_id,
        "DROP_COPY_HOST": settings.drop_copy_host,
        "DROP_COPY_PORT": settings.drop_copy_port,
        "DROP_COPY_USERNAME": username,
    }
    if not sender:
        problems += [
            f"{name}={value}: is for a drop copy, which DROP_COPY_SENDER_COMP_ID has to name"
            for name, value in others.items()
            if value
        ]
    if sender and settings.drop_copy_session == settings.session:
        problems.append(
            f"DROP_COPY_SENDER_COMP_ID={sender}: the drop copy has to be another session than the trading one"
        )
    if sender and sender == settings.drop_copy_target:
        problems.append(f"DROP_COPY_SENDER_COMP_ID={sender}: has to differ from the drop copy's TargetCompID")
    if bool(username) != bool(settings.drop_copy_password):
        missing = "DROP_COPY_PASSWORD" if username else "DROP_COPY_USERNAME"
        problems.append(f"{missing}: DROP_COPY_USERNAME and DROP_COPY_PASSWORD have to be set both or neither")
    if settings.key_vault_uri and username:
        problems.append(f"DROP_COPY_USERNAME={username}: leave it out where KEY_VAULT_URI is set")
    return problems


def _text(value: str) -> str:
    return value


def _connection(value: str) -> str:
    if value.lower().rstrip(";") == "usedevelopmentstorage=true":
        return _AZURITE
    if "AccountName=" not in value and "SharedAccessSignature=" not in value:
        raise ValueError("has to be a storage connection string (AccountName=...;AccountKey=...;...)")
    return value


def _comp_id(value: str) -> str:
    if not all(character.isascii() and (character.isalnum() or character in "_-.") for character in value):
        raise ValueError("may have letters, digits, '_', '-' and '.' only")
    return value


def _https(value: str) -> str:
    if not value.startswith("https://"):
        raise ValueError("has to be an address like https://NAME.vault.azure.net")
    return value


def _release(value: str) -> Literal["immediate", "manual"]:
    if value == "immediate":
        return "immediate"
    if value == "manual":
        return "manual"
    raise ValueError("has to be immediate or manual")


class _End(NamedTuple):
    """Of the session's hours: the time, and the day where they are a week's."""

    day: str
    at: time


_HOURS_ARE = "has to be like 17:05-17:00, each day, or like sun 17:05-fri 17:00, each week"


def _tls(value: str) -> Literal["off", "on"]:
    if value == "off":
        return "off"
    if value == "on":
        return "on"
    raise ValueError("has to be off or on")


def _hosts(value: str) -> tuple[Host, ...]:
    return tuple(_host(one.strip()) for one in value.split(","))


def _host(value: str) -> Host:
    name, _, port = value.strip().rpartition(":")
    if not (name and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError("has to be like host1:9878,host2:9878, ports from 1 to 65535")
    return Host(name.strip("[]"), int(port))


def _days(value: str) -> tuple[str, ...]:
    """`mon-fri`, or `mon,wed,fri`, or both; a range may go round the week's end."""
    found: list[str] = []
    for part in value.lower().split(","):
        first, _, last = (end.strip() for end in part.partition("-"))
        if first not in WEEKDAYS or (last or first) not in WEEKDAYS:
            raise ValueError(f"has to be days like mon-fri or mon,wed, of {', '.join(WEEKDAYS)}")
        count = (WEEKDAYS.index(last or first) - WEEKDAYS.index(first)) % 7 + 1
        found += [WEEKDAYS[(WEEKDAYS.index(first) + step) % 7] for step in range(count)]
    if len(set(found)) < len(found):
        raise ValueError("has to name each day once")
    return tuple(found)


def _hours(value: str) -> tuple[_End, ...]:
    ends = [_end(end.split()) for end in value.lower().split("-")]
    if len(ends) != 2 or bool(ends[0].day) != bool(ends[1].day):
        raise ValueError(_HOURS_ARE)
    return tuple(ends)


def _end(words: list[str]) -> _End:
    *days, at = words or [""]
    try:
        day = days[0] if days else ""
        if len(days) > 1 or (day and day not in WEEKDAYS):
            raise ValueError
        return _End(day, time.fromisoformat(at).replace(tzinfo=None))
    except ValueError:
        raise ValueError(_HOURS_ARE) from None


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError):
        raise ValueError("has to be a time zone that is known here, such as America/New_York") from None
    return value


def _schedule(reader: _Reader) -> Schedule | None:
    hours: tuple[_End, ...] = reader.get("FIX_HOURS", _hours, default=())
    days: tuple[str, ...] = reader.get("FIX_DAYS", _days, default=())
    zone = reader.get("FIX_TIME_ZONE", _zone, default="UTC")
    if days and not hours:
        reader.problems.append(f"FIX_DAYS={','.join(days)}: leave it out where FIX_HOURS is not set")
    if not (hours and zone):
        return None
    start, end = hours
    if not start.day:
        return Schedule.daily(start.at, end.at, zone, days=days or ())
    if days:
        reader.problems.append(f"FIX_DAYS={','.join(days)}: leave it out where FIX_HOURS names its days itself")
    return Schedule.weekly(start.day, start.at, end.day, end.at, zone)


def _yes_or_no(value: str) -> Literal["yes", "no"]:
    if value == "yes":
        return "yes"
    if value == "no":
        return "no"
    raise ValueError("has to be yes or no")


def _repeated_clordid(value: str) -> Literal["refused", "accepted"]:
    if value == "refused":
        return "refused"
    if value == "accepted":
        return "accepted"
    raise ValueError("has to be refused or accepted")


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit() and lowest <= int(value) <= highest):
            raise ValueError(f"has to be a whole number from {lowest} to {highest}")
        return int(value)

    return parse


def _seconds(lowest: float, highest: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        problem = f"has to be a number of seconds from {lowest:g} to {highest:g}"
        try:
            number = float(value)
        except ValueError:
            raise ValueError(problem) from None
        if not lowest <= number <= highest:
            raise ValueError(problem)
        return number

    return parse


def _amount(value: str) -> Decimal:
    problem = "has to be a number above 0"
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(problem) from None
    if not number.is_finite() or number <= 0:
        raise ValueError(problem)
    return number
