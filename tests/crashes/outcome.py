"""What a run came to, as text that two runs of the same inputs have in common: pure.

Left out is what differs between any two runs: times, execution ids, ids of requests.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Lines = list[str]
_TIMES = ("Timestamp", "ScheduledTime", "FireAt", "createdTime", "lastUpdatedTime")
_MASKS = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<guid>"),
    (re.compile(r"[0-9a-f]{32}"), "<execution>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[0-9.]*(Z|\+00:00)"), "<time>"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "<address>"),
)


def masked(text: str, more: Iterable[tuple[re.Pattern[str], str]] = ()) -> str:
    """The text without what differs between any two runs."""
    for pattern, name in (*_MASKS, *more):
        text = pattern.sub(name, text)
    return text


def instance_lines(
    status: Mapping[str, Any],
    history: Iterable[Mapping[str, Any]],
    shape: Callable[[Lines], Lines],
    mask: Callable[[str], str] = masked,
) -> Lines:
    """An instance: its status in one line, then its history as `shape` leaves it; each line as `mask` leaves it."""
    identifier = mask(status["instanceId"])
    events = [mask(_plain(event)) for event in history]
    return [mask(f"{identifier}: {_plain(status)}"), *(f"{identifier}   {event}" for event in shape(events))]


def in_order(events: Lines) -> Lines:
    """A history that is the same in every run."""
    return events


def in_any_order(events: Lines) -> Lines:
    """A history whose order is chance: what is done at the same time."""
    return sorted(events)


def of_kinds(events: Lines) -> Lines:
    """A history whose length is chance: what is done again and again until something happens outside."""
    return sorted(set(events))


def nothing_of(_: Lines) -> Lines:
    """A history of which any moment may be the last."""
    return []


def _plain(fields: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in fields.items() if key not in _TIMES}, sort_keys=True)
