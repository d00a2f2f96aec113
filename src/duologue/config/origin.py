"""Of which commit an execution is, and who began it: as the build says, else from Git's own files.

No program is started, and outside a build nobody is named: results are passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from duologue.config.patterns import late

COMMIT_VARIABLES = ("GITHUB_SHA", "CI_COMMIT_SHA")
PERSON_VARIABLES = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN")
_COMMIT = late(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LONGEST = 8_000_000
"""Bytes of the file of packed references that are read."""


def origin(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """``commit`` and ``who``, as far as they are known.

    Args:
        folder: of the suite.
        environment: the variables of the process.
    """
    commit = next((environment[name] for name in COMMIT_VARIABLES if environment.get(name)), None) or commit_of(folder)
    who = next((environment[name] for name in PERSON_VARIABLES if environment.get(name)), None)
    return {name: value for name, value in (("commit", commit), ("who", who)) if value}


def commit_of(folder: Path) -> str | None:
    """The commit that is checked out in a folder, or in one above it; None if that cannot be told.

    Changes that are not committed are not seen.
    """
    try:
        top = folder.resolve()
        place = next((found for each in (top, *top.parents) if (found := each / ".git").exists()), None)
        return None if place is None else _checked_out(place)
    except (OSError, ValueError):
        return None


def _checked_out(place: Path) -> str | None:
    if place.is_file():  # a worktree or a submodule: it says where its files are
        place = place.parent / _read(place).removeprefix("gitdir:").strip()
    head = _read(place / "HEAD")
    if not head.startswith("ref:"):
        return _commit(head)
    reference = head.removeprefix("ref:").strip()
    shared = place / "commondir"
    common = place / _read(shared) if shared.is_file() else place
    for folder in (place, common):
        if (file := folder / reference).is_file():
            return _commit(_read(file))
    packed = common / "packed-refs"
    lines = _read(packed, _LONGEST).splitlines() if packed.is_file() else []
    return next((_commit(line.partition(" ")[0]) for line in lines if line.endswith(f" {reference}")), None)


def _read(path: Path, longest: int = 4096) -> str:
    with path.open("rb") as file:
        return file.read(longest).decode("utf-8", "replace").strip()


def _commit(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None
