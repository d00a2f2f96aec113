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
    return list(dict.fromkeys([*own_entry_points(group), *(point.name for point in entry_points(group=group))]))


def load_registered(group: str, name: str) -> Any:
    """The object that is registered under a name; None if there is none.

    Raises:
        TargetError: the package that registers it cannot be imported, or lacks the object.
    """
    point = own_entry_points(group).get(name) or next(iter(entry_points(group=group, name=name)), None)
    return None if point is None else load_entry_point(point)


def load_entry_point(point: EntryPoint) -> Any:
    """The object that an entry point names; a module where it names no object.

    Raises:
        TargetError: it cannot be imported, or the object is missing.
    """
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise TargetError(
            f"cannot load '{point.name}' ({point.value}, entry point group {point.group}): {error}"
        ) from error


@lru_cache
def own_entry_points(group: str) -> dict[str, EntryPoint]:
    """The entry points of Duologue itself in a group, by name. Costs no look at other packages."""
    try:
        return {point.name: point for point in distribution(_OWN).entry_points.select(group=group)}
    except PackageNotFoundError:  # run from a copy of the source that is not installed
        return {}


def other_entry_points(group: str) -> list[EntryPoint]:
    """The entry points of other packages in a group. Reads the metadata of every installed package."""
    own = own_entry_points(group)
    return [point for point in entry_points(group=group) if point.name not in own or own[point.name] != point]


def make_importable(folder: Path) -> None:
    """Let Python import the modules of a folder, as it does for the folder of a script, until the process ends."""
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.insert(0, place)
