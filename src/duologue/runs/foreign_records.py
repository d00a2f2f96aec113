"""Records of other programs' JSON. They are data of others: what has not the type that it should have, is missing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

Record = Mapping[str, Any]


def fields_of(value: object) -> Record:
    """The fields of an object; none of anything else."""
    return cast("Record", value) if isinstance(value, Mapping) else {}


def items_of(value: object) -> list[Any]:
    """The items of a list; none of anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def text_in(record: Record, name: str) -> str | None:
    """A text of a record; None if it is empty, missing or something else."""
    value = record.get(name)
    return value if isinstance(value, str) and value.strip() else None


def instant_in(record: Record, name: str) -> float | None:
    """An instant of a record: seconds since 1970; None if it has none. Without a time zone it is in UTC."""
    value = record.get(name)
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
