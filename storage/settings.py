"""The settings of the app: environment variables, all checked before anything starts.

`AzureWebJobsStorage` becomes `Settings.storage_connection`; every other setting keeps its name, in lower case.
"""

import os
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Literal, TypeVar, cast

import msgspec

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
    fix_sender_comp_id: str
    fix_target_comp_id: str
    fix_heartbeat_seconds: int = 30
    fix_username: str = ""
    fix_password: Secret = Secret("")
    key_vault_uri: str = ""
    """Where it is set, the FIX logon comes from there: secrets `fix-username` and `fix-password`."""
    lease_seconds: float = 10
    slice_seconds: float = 60
    sequence_block: int = 1000
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

    @property
    def session(self) -> str:
        """The FIX session's name, as the session table's partition has it."""
        return f"FIX.4.4-{self.fix_sender_comp_id}-{self.fix_target_comp_id}"


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
        fix_sender_comp_id=reader.get("FIX_SENDER_COMP_ID", _comp_id),
        fix_target_comp_id=reader.get("FIX_TARGET_COMP_ID", _comp_id),
        fix_heartbeat_seconds=reader.get("FIX_HEARTBEAT_SECONDS", _whole(0, 3600), default=30),
        fix_username=reader.get("FIX_USERNAME", _text, default=""),
        fix_password=Secret(reader.get("FIX_PASSWORD", _text, default="", secret=True)),
        key_vault_uri=reader.get("KEY_VAULT_URI", _https, default=""),
        lease_seconds=reader.get("LEASE_SECONDS", _seconds(0.5, 300), default=10.0),
        slice_seconds=reader.get("SLICE_SECONDS", _seconds(1, 240), default=60.0),
        sequence_block=reader.get("SEQUENCE_BLOCK", _whole(50, 1_000_000), default=1000),
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
