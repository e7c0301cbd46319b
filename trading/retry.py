"""When what the venue refused is tried again."""

import zlib
from datetime import datetime, timedelta

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exponential backoff with a cap, a jitter that is the same at every replay, and three ways to be over."""

    attempts: int = 3
    """In all, the first one included."""
    delay: float = 1
    """Seconds before the second attempt; 0 for at once, always."""
    factor: float = 2
    longest: float = 300
    """Seconds: no delay is longer, the jitter aside."""
    jitter: float = 0.1
    """Up to this share of a delay is added to it."""
    within: int | None = None
    """Seconds from the first refusal, after which nothing is tried again."""
    final: tuple[str, ...] = ()
    """What the venue's reason contains, in whatever case, when no repetition can help."""


def next_attempt(
    policy: RetryPolicy, *, failures: int, since: datetime, reason: str, key: str, now: datetime
) -> datetime | None:
    """When to try again after so many failures in a row, the first of them at `since`; None for never.

    `key` seeds the jitter: what failed together is not to come back together.
    """
    if failures >= policy.attempts or any(each.lower() in reason.lower() for each in policy.final):
        return None
    if not policy.delay:
        return now
    delay = min(policy.delay * policy.factor ** (failures - 1), policy.longest)
    share = zlib.crc32(f"{key} {failures}".encode()) / 2**32
    at = now + timedelta(seconds=delay * (1 + policy.jitter * share))
    if policy.within is not None and at > since + timedelta(seconds=policy.within):
        return None
    return at
