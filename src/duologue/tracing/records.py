"""One finished operation of an agent, as plain data: what is kept of a span, and what a judge is shown of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from duologue.messages import JsonValue

MAX_TEXT = 32_768
"""Characters that are kept of one text in an attribute."""
MAX_ITEMS = 256
"""Attributes, or items of one attribute, that are kept."""
MAX_DEPTH = 16
"""How deep values within values are kept."""


@dataclass(frozen=True, kw_only=True)
class SpanRecord:
    """One finished operation inside the agent.

    Attributes:
        span_id, parent_id: hexadecimal; None for a span without a parent.
        name: of the operation.
        start: seconds since 1970.
        seconds: how long it took.
        error: why it failed; None if it did not.
        attributes: whatever was recorded with it: plain JSON data.
    """

    span_id: str
    parent_id: str | None = None
    name: str
    start: float = 0.0
    seconds: float = 0.0
    error: str | None = None
    attributes: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    @property
    def size(self) -> int:
        """About how many bytes it takes to keep."""
        return 400 + len(self.name) + len(self.error or "") + _size(self.attributes)


def plain_attributes(attributes: Mapping[str, object] | None) -> dict[str, JsonValue]:
    """The attributes of a span as JSON data, long texts and lists cut."""
    return {cut(name): plain_value(value) for name, value in islice((attributes or {}).items(), MAX_ITEMS)}


def plain_value(value: object, depth: int = 0) -> JsonValue:
    """A value of an attribute as JSON data."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        return _container(cast("Mapping[object, object] | Sequence[object]", value), depth)
    return cut(str(value))


def _container(value: Mapping[object, object] | Sequence[object], depth: int) -> JsonValue:
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {cut(str(key)): plain_value(item, depth + 1) for key, item in islice(value.items(), MAX_ITEMS)}
    return [plain_value(part, depth + 1) for part in islice(value, MAX_ITEMS)]


def cut(text: str) -> str:
    """A text of at most ``MAX_TEXT`` characters."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _size(value: JsonValue) -> int:
    if isinstance(value, str):
        return 50 + len(value)
    if isinstance(value, dict):
        items = cast("dict[str, JsonValue]", value)
        return 50 + sum(len(name) + _size(item) for name, item in items.items())
    return 50 + sum(map(_size, cast("list[JsonValue]", value))) if isinstance(value, list) else 30
