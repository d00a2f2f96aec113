"""Durations as people write them: ``500ms``, ``30s``, ``5m30s``, ``1h``."""

from __future__ import annotations

from duologue.config.patterns import late

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
"""The regular expression that every duration matches, for JSON Schemas."""
DURATION_EXAMPLES = ("500ms", "30s", "5m30s", "1h")

_WHOLE = late(DURATION_PATTERN)
_STEP = late(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_text(seconds: float) -> str:
    """So many seconds as a duration: ``3`` is ``3s``, and 0.5 is ``500ms``."""
    if seconds == int(seconds):
        return f"{int(seconds)}s"
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".") + "ms"


def parse_duration(text: str) -> float:
    """The seconds of a duration such as ``5m30s``.

    Raises:
        ValueError: the text is not a duration, or is zero. The message says what is expected.
    """
    seconds = (
        sum(float(number) * _UNITS[unit] for number, unit in _STEP.findall(text)) if _WHOLE.fullmatch(text) else 0.0
    )
    if seconds <= 0:
        raise ValueError("a duration such as 500ms, 30s, 5m30s or 1h")
    return seconds
