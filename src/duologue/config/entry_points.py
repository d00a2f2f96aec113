"""Code that is found by name: extensions that packages register as entry points, and modules beside a suite.

Duologue registers its own dialects, formats, models and observers in the same groups as any other package. Its own
entry points are looked up first, in its own metadata; those of other packages only when nothing there has the name,
because that reads the metadata of every installed package.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import Any

from duologue.errors import TargetError

_OWN = "duologue"


def registered_names(group: str) -> list[str]:
    """The names in a group such as ``duologue.dialects``: our own first, then those of other packages."""
    return list(dict.fromkeys([*_own(group), *(point.name for point in entry_points(group=group))]))


def load_registered(group: str, name: str) -> Any:
    """The object that is registered under a name; None if there is none.

    Raises:
        TargetError: the package that registers it cannot be imported, or lacks the object.
    """
    point = _own(group).get(name) or next(iter(entry_points(group=group, name=name)), None)
    if point is None:
        return None
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise TargetError(f"cannot load '{name}' ({point.value}, entry point group {group}): {error}") from error


def make_importable(folder: Path) -> None:
    """Let Python import the modules of a folder, as it does for the folder of a script, until the process ends."""
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.insert(0, place)


@lru_cache
def _own(group: str) -> dict[str, EntryPoint]:
    try:
        return {point.name: point for point in distribution(_OWN).entry_points.select(group=group)}
    except PackageNotFoundError:  # run from a copy of the source that is not installed
        return {}
