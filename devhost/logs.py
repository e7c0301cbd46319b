"""The host's log, in the manner of Core Tools: one line a record, its time in UTC in front, colours on a terminal only.

`logging.logLevel` of host.json is honoured for the category `Function`, whose lines tell of each execution. Activities,
orchestrators and entities run by the thousand, so their executions are told with `--verbose` only.
"""

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from devhost.app import Function, Kind

_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
_EXECUTIONS = logging.getLogger("devhost.function")
_BY_THE_THOUSAND = (Kind.ACTIVITY, Kind.ORCHESTRATOR, Kind.ENTITY)
_REASONS = {
    Kind.HTTP: "This function was programmatically called via the host APIs.",
    Kind.TIMER: "Timer fired",
    Kind.EVENT_HUB: "(null)",
}
_COLOURS = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31m"}
_PLAIN = "\x1b[0m"


class _Formatter(logging.Formatter):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__("[%(asctime)s.%(msecs)03dZ] %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime
        self._is_terminal = is_terminal

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno < logging.WARNING:
            return text
        if self._is_terminal:
            return f"{_COLOURS[record.levelno]}{text}{_PLAIN}"
        moment, _, rest = text.partition("] ")
        return f"{moment}] {record.levelname}: {rest}"


def configure(*, verbose: bool) -> None:
    """Set the log up, before anything is known of the app."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(sys.stderr.isatty()))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    # The SDK warns of each event that arrives before somebody waits for it, and of its own JSON codec.
    warnings.filterwarnings("ignore", message="Potential duplicate Task completion")
    logging.getLogger("azure.functions.DurableFunctions").setLevel(logging.DEBUG if verbose else logging.WARNING)
    for chatty in ("azure", "asyncio", "aiohttp.access", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.INFO if verbose else logging.WARNING)


def set_function_level(name: str) -> None:
    """From which level on executions are told: a level's name as in host.json. With `--verbose` all are."""
    is_verbose = logging.getLogger().level <= logging.DEBUG
    _EXECUTIONS.setLevel(logging.DEBUG if is_verbose else _LEVELS[name.lower()])


@contextmanager
def execution(function: Function) -> Iterator[None]:
    """Tell that a function begins and how it ended."""
    level = logging.DEBUG if function.kind in _BY_THE_THOUSAND else logging.INFO
    if not _EXECUTIONS.isEnabledFor(level):
        yield
        return
    identifier = uuid4()
    reason = _REASONS.get(function.kind, "(null)")
    _EXECUTIONS.log(level, "Executing 'Functions.%s' (Reason='%s', Id=%s)", function.name, reason, identifier)
    begun = time.monotonic()
    outcome = "Failed"
    try:
        yield
        outcome = "Succeeded"
    finally:
        took = (time.monotonic() - begun) * 1000
        _EXECUTIONS.log(
            level, "Executed 'Functions.%s' (%s, Id=%s, Duration=%.0fms)", function.name, outcome, identifier, took
        )


def banner(http: list[tuple[str, str, str]], others: list[tuple[str, str]]) -> str:
    """The list of functions as Core Tools prints it: HTTP functions with methods and URL, the others by trigger."""
    lines = ["", "Functions:", ""]
    lines += [f"\t{name}: [{methods}] {url}\n" for name, methods, url in sorted(http)]
    lines += [f"\t{name}: {trigger}\n" for name, trigger in sorted(others)]
    return "\n".join(lines)
