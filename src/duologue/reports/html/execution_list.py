"""What a list of executions shows and is searched by, whichever store they are in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duologue.config.origin import COMMIT_VARIABLES, PERSON_VARIABLES

_COMMITS = ("commit", "git_commit", "revision", *COMMIT_VARIABLES)
_PEOPLE = ("who", "user", *PERSON_VARIABLES)
_LONGEST = 300
_SEARCHED = ("name", "suite", "execution", "state", "commit", "who")


def origin_of(environment: Mapping[str, Any]) -> dict[str, str | None]:
    """Of which commit an execution is, and who began it, as far as its environment says so."""
    return {"commit": _first(environment, _COMMITS), "who": _first(environment, _PEOPLE)}


def _first(environment: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    found = next((environment[name] for name in names if environment.get(name)), None)
    return None if found is None else str(found)[:_LONGEST]


def matches(row: Mapping[str, Any], words: str) -> bool:
    """Whether all words are in what a row shows."""
    whole = " ".join(str(row.get(name) or "") for name in _SEARCHED).lower()
    return all(word in whole for word in words.lower().split())
