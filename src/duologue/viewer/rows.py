"""What a list shows of an execution, made of its index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_COMMITS = ("commit", "git_commit", "revision", "GITHUB_SHA", "CI_COMMIT_SHA")
_PEOPLE = ("who", "user", "GITHUB_ACTOR", "GITLAB_USER_LOGIN")
_LONGEST = 300
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
        index: what :func:`duologue.runs.store.encoding.index_of` made.
    """
    spent = index["spent"]["total"]
    running = bool(index.get("running"))
    return {
        "id": key,
        "name": name,
        "execution": index["id"],
        "suite": index["suite"],
        "started": index["started_at"],
        "seconds": index["seconds"],
        "state": "running" if running else "interrupted" if index["interrupted"] else "ended",
        "exit": None if running else index["exit_code"],
        "totals": {**NO_TOTALS, **index["totals"]},
        "rate": {name: index["rates"]["runs"].get(name, value) for name, value in NO_RATE.items()}
        if "rates" in index
        else NO_RATE,
        "cost": spent["cost"],
        "unpriced": spent["unpriced"],
        "tokens": spent["input_tokens"] + spent["output_tokens"],
        "commit": _first(index["environment"], _COMMITS),
        "who": _first(index["environment"], _PEOPLE),
        "problem": None,
    }


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


def _first(environment: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    found = next((environment[name] for name in names if environment.get(name)), None)
    return None if found is None else str(found)


def matches(row: Mapping[str, Any], words: str) -> bool:
    """Whether all words are in what a row shows."""
    whole = " ".join(str(row[name] or "") for name in ("name", "suite", "execution", "state", "commit", "who")).lower()
    return all(word in whole for word in words.lower().split())
