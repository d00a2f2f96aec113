"""What a list shows of an execution, made of its index."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from duologue.reports.html.execution_list import origin_of

Json = dict[str, Any]

_LONGEST = 300
_MOST = 2**53
"""What a page can count exactly."""
NO_TOTALS = {
    "cases": 0, "runs": 0, "passed": 0, "failed": 0, "undecided": 0, "errors": 0, "cancelled": 0, "not_run": 0,
}  # fmt: skip
NO_RATE = {
    "value": None, "low": 0.0, "high": 1.0, "passed": 0, "decided": 0, "undecided": 0, "errors": 0, "cancelled": 0,
    "confidence": 0.95,
}  # fmt: skip


def row_of(key: str, name: str, index: Mapping[str, Any]) -> Json:
    """A row of the list of executions; its shape is ``ExecutionRow`` of ``source.js``.

    Args:
        key: what the pages call the execution.
        name: of its folder.
        index: what :func:`duologue.runs.store.encoding.index_of` made, or what somebody else called like it.

    Raises:
        ValueError: a field is not what it has to be. One such row would keep the whole list from being sorted and
            shown.
    """
    spent = _object(_object(index, "spent"), "total")
    running = bool(index.get("running"))
    environment = _object(index, "environment")
    rates: Mapping[str, Any] = _object(_object(index, "rates"), "runs") if "rates" in index else {}
    return {
        "id": key,
        "name": name,
        "execution": _text(index, "id"),
        "suite": _text(index, "suite"),
        "started": _moment(index, "started_at"),
        "seconds": _number(index, "seconds"),
        "state": "running" if running else "interrupted" if index["interrupted"] else "ended",
        "exit": None if running else int(_number(index, "exit_code")),
        "totals": _numbers(_object(index, "totals"), NO_TOTALS),
        "rate": _numbers(rates, NO_RATE),
        "cost": _number(spent, "cost"),
        "unpriced": _number(spent, "unpriced"),
        "tokens": _number(spent, "input_tokens") + _number(spent, "output_tokens"),
        **origin_of(environment),
        "problem": None,
    }


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not isinstance(data[name], dict):
        raise _unexpected(data, name, "an object")
    return cast("Mapping[str, Any]", data[name])


def _text(data: Mapping[str, Any], name: str) -> str:
    if not isinstance(data[name], str):
        raise _unexpected(data, name, "text")
    return data[name]


def _moment(data: Mapping[str, Any], name: str) -> str:
    written = _text(data, name)
    try:
        found = datetime.fromisoformat(written)
        # All in one zone, so that they sort as text.
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as error:
        raise _unexpected(data, name, "a time in ISO 8601") from error


def _number(data: Mapping[str, Any], name: str) -> float:
    found = data[name]
    if isinstance(found, bool) or not isinstance(found, int | float) or abs(found) > _MOST or not math.isfinite(found):
        raise _unexpected(data, name, "a number")
    return found


def _numbers(data: Mapping[str, Any], defaults: Mapping[str, Any]) -> Json:
    """The numbers of an object; those that it does not have, or has as null where that is allowed, are the defaults."""
    return {
        name: default if data.get(name, default) is default else _number(data, name)
        for name, default in defaults.items()
    }


def _unexpected(data: Mapping[str, Any], name: str, expected: str) -> ValueError:
    return ValueError(f"index.json, {name}: found {str(data[name])[:60]!r}; expected {expected}")


def unreadable_row(key: str, name: str, problem: str, started: str) -> Json:
    """A row for results that cannot be read."""
    return {
        "id": key,
        "name": name,
        "execution": "",
        "suite": "",
        "started": started,
        "seconds": 0.0,
        "state": "unreadable",
        "exit": None,
        "totals": NO_TOTALS,
        "rate": NO_RATE,
        "cost": 0.0,
        "unpriced": 0,
        "tokens": 0,
        "commit": None,
        "who": None,
        "problem": problem[:_LONGEST],
    }
