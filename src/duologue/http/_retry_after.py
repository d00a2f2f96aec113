"""How long a server that is busy asks its clients to wait."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite


def retry_after(headers: Mapping[str, str] | None, now: float) -> float | None:
    """Seconds that the server asked to wait: ``retry-after-ms``, or ``Retry-After`` in seconds or as an HTTP date.

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
