"""When a request that failed is sent again, and after how long. What failed is told by ``duologue.models.failures``."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter that gives way to what the provider asks for.

    Attributes:
        attempts: requests that are sent at most, the first included.
        first_wait: seconds before the second request; each further wait is twice as long.
        longest_wait: seconds that one wait may take. A provider that asks for a longer one is not asked again: sending
            the request sooner than it said would only be refused.
    """

    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 60.0

    def wait(self, sent: int, asked: float | None, chance: random.Random) -> float | None:
        """Seconds until the next request, or None to give up.

        Args:
            sent: requests sent so far.
            asked: seconds that the provider asked to wait, if it did.
            chance: spreads the callers, so that they do not all come back at the same moment.
        """
        if sent >= self.attempts:
            return None
        backoff = min(self.first_wait * 2 ** (sent - 1), self.longest_wait)
        if asked is None:
            return backoff * (0.5 + 0.5 * chance.random())
        if asked > self.longest_wait:
            return None
        return min(asked + self.first_wait * chance.random(), self.longest_wait)


def retry_after(headers: Mapping[str, str] | None, now: float) -> float | None:
    """Seconds that the provider asked to wait: ``retry-after-ms``, or ``Retry-After`` in seconds or as an HTTP date.

    Args:
        headers: of the response, their names in lower case.
        now: seconds since 1970, to compare a date with.
    """
    if not headers:
        return None
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    return seconds if seconds is not None or text is None else _until(text, now)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None


def _until(text: str, now: float) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        # RFC 9110 §5.6.7: the asctime form names no zone and means UTC.
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
