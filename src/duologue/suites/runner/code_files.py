"""The files of code that decide results: modules of own checks and agents, and the programs of tools.

A module counts with the file that it is in. What it imports in turn is not looked at.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, cast

from duologue.config.entry_points import make_importable


def check_types_in(written: object) -> Iterator[str]:
    """Every type of a check in the written data of specs, also of checks within the parameters of others."""
    if isinstance(written, dict):
        for name, value in cast("dict[str, object]", written).items():
            if name == "type" and isinstance(value, str):
                yield value
            else:
                yield from check_types_in(value)
    elif isinstance(written, list | tuple):
        for item in cast("Iterable[object]", written):
            yield from check_types_in(item)


def files_of_check(kind: str, folder: Path) -> list[Path]:
    """The files of the code of a check of your own, or of another package; none for a type of the catalogue.

    Args:
        kind: the type, as the suite writes it.
        folder: of the suite, whose modules can be imported.
    """
    from duologue.checks.registry import registered_type

    found = set[Path]()
    if (name := kind.rpartition(":")[0]) and (path := module_file(name, folder)):
        found.add(path)
    if (target := registered_type(kind, folder)) is not None:
        # A package may only pass on what one of its modules defines.
        module = getattr(inspect.unwrap(target), "__module__", None) or ""
        if module.partition(".")[0] != __name__.partition(".")[0] and (path := module_file(module, folder)):
            found.add(path)
    return sorted(found)


def module_file(name: str, folder: Path) -> Path | None:
    """The file of a module, or one that is named itself; None if it has none, or is not there."""
    if name.endswith(".py"):
        return _file(str(folder / name))
    loaded = sys.modules.get(name)
    if loaded is not None:
        return _file(getattr(loaded, "__file__", None))
    make_importable(folder)
    found: ModuleSpec | None = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):  # find_spec of importlib would run the packages around the module
        found = _spec(".".join(parts[:end]), found.submodule_search_locations if found else None)
        if found is None or (end < len(parts) and found.submodule_search_locations is None):
            return None
    return _file(found.origin) if found else None


def _spec(name: str, places: Sequence[str] | None) -> ModuleSpec | None:
    specs = (finder.find_spec(name, places) for finder in sys.meta_path)
    return next((spec for spec in specs if spec is not None), None)


def _file(path: Any) -> Path | None:
    return Path(path) if isinstance(path, str) and Path(path).is_file() else None


def program_files(command: str | None, args: Iterable[str], folder: Path) -> list[Path]:
    """The files that a command line names: a script that is started, and what is handed to it."""
    words = [word for word in (command, *args) if word and not word.startswith("-")]
    return [path for word in words if not Path(word).is_absolute() and (path := _file(str(folder / word)))]
