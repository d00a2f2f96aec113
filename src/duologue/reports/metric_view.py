"""What metrics say of one conversation, as plain data for reports: the details of a ``metrics`` check, in fewer words.

The details are read as they were stored. What is no list of grades is left to the plain view of details.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from duologue.journal.events import CheckEvaluated

_KIND = "metrics"


def grades_of(item: CheckEvaluated) -> dict[str, Any] | None:
    """The grades that a check has given; None for a check of another kind, or one that gave none."""
    if item.kind.rpartition(":")[2] != _KIND or not isinstance(item.details.get("metrics"), list):
        return None
    details = item.details
    weights = details.get("weights")
    shares = cast("dict[str, object]", weights) if isinstance(weights, dict) else {}
    return {
        "score": _number(details.get("score")),
        "threshold": _number(details.get("threshold")) or 0,
        "judge": details.get("judge", ""),
        "metrics": [_metric(grade, shares) for grade in _objects(details, "metrics")],
        "outcomes": [_expected(grade, grade.get("outcome"), "met") for grade in _objects(details, "outcomes")],
        "toolCalls": [_expected(grade, _called(grade), "made") for grade in _objects(details, "tool_calls")],
    }


def _metric(grade: Mapping[str, Any], shares: Mapping[str, object]) -> dict[str, Any]:
    return {
        "title": grade.get("title") or grade.get("metric", ""),
        "tier": grade.get("tier", ""),
        "score": _number(grade.get("score")),
        "label": str(grade.get("label", "")),
        "binary": grade.get("score_type") == "binary",
        "share": _number(shares.get(str(grade.get("metric")))),
        "code": grade.get("failure_code"),
        "why": grade.get("reason", ""),
        **_places(grade),
    }


def _expected(grade: Mapping[str, Any], name: object, came_about: str) -> dict[str, Any]:
    return {
        "name": str(name or ""),
        "met": bool(grade.get(came_about)),
        "why": grade.get("reason", ""),
        **_places(grade),
    }


def _called(grade: Mapping[str, Any]) -> object:
    expected = grade.get("expected")
    return cast("dict[str, Any]", expected).get("tool") if isinstance(expected, dict) else ""


def _places(grade: Mapping[str, Any]) -> dict[str, Any]:
    return {"cites": grade.get("message_ids") or [], "turns": grade.get("turns") or []}


def _objects(details: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
    found = details.get(name)
    items = cast("list[object]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None
