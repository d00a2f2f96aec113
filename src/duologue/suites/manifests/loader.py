"""Load a suite: find the main file, read it, and let the reader of its dialect build the suite.

Readers are registered as entry points in the group ``duologue.dialects``: the name is the ``apiVersion``, the object a
:data:`Reader`. Duologue registers its own readers there, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from duologue.config.entry_points import load_registered, registered_names
from duologue.config.paths import shown_path
from duologue.config.positions import Mark, PlacedDict
from duologue.config.problems import Problems, listed, nearest, report, shown
from duologue.config.yaml_reader import read
from duologue.errors import Position, Problem
from duologue.frozen import frozen
from duologue.specs.suite import Suite

GROUP = "duologue.dialects"

Reader = Callable[[Path, Any, Problems], "Suite | None"]
"""Makes a suite of the path and the placed data of its main file. A file with a single resource gives a suite with
nothing but that resource."""

MAIN_FILES = ("suite.yaml", "suite.yml", "duologue.yaml", "config.arena.yaml", "arena.yaml")
"""What a folder's main file may be called, beside ``*.suite.yaml`` and ``*.arena.yaml``."""


@frozen
class Report:
    """What was found out about the files of a suite.

    Attributes:
        path: the main file.
        suite: what could be understood; it may only be used if ``ok``.
        problems: errors and warnings, by file and line.
    """

    path: Path
    suite: Suite | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Those that keep the suite from being used."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is not as its author may think."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    @property
    def ok(self) -> bool:
        """Whether the suite can be used."""
        return self.suite is not None and not self.errors

    def __str__(self) -> str:
        return report(self.problems)


def validate(path: str | Path) -> Report:
    """Everything that is wrong with the files of a suite, found without running anything.

    Args:
        path: the main file of a suite, its folder, or the file of a single resource. A resource by itself is checked
            by itself: what it refers to is not looked up.
    """
    problems = Problems()
    main = _main_file(Path(path), problems)
    suite = _read(main, problems) if main else None
    return Report(path=main or Path(path), suite=suite, problems=problems.in_order())


def load(path: str | Path) -> Suite:
    """The suite of a file or folder.

    Raises:
        SuiteError: something is wrong with it; the error has all of it, each with file, line, column and field.
    """
    return usable(validate(path))


def usable(found: Report) -> Suite:
    """The suite of a report.

    Raises:
        SuiteError: the report has errors.
    """
    problems = Problems()
    for problem in found.errors:
        problems.error(problem.position, problem.message)
    problems.raise_errors()
    if found.suite is None:
        problems.error(Position(str(found.path)), "no suite could be read")
        problems.raise_errors()
    assert found.suite is not None
    return found.suite


def _read(path: Path, problems: Problems) -> Suite | None:
    data = read(path, problems, shown_as=shown_path(path))
    if data is None:
        return None
    version = data.get("apiVersion") if isinstance(data, PlacedDict) else None
    reader = reader_of(version) if isinstance(version, str) else None
    if reader is None:
        problems.error(_place(data), _unknown(data, version))
        return None
    return reader(path, data, problems)


def _place(data: Any) -> Mark:
    if isinstance(data, PlacedDict):
        return data.mark("apiVersion")
    return getattr(data, "home", Mark("?", "", 1, 1, 1, 1))


def _unknown(data: Any, version: Any) -> str:
    known = known_versions()
    if not isinstance(data, PlacedDict):
        return f"found {shown(data)}; expected a manifest that begins with apiVersion: {known[0]}"
    if "apiVersion" not in data:
        hint = next((key for key in data if nearest("apiVersion", [key])), None)
        meant = f" The field '{hint}' may be meant." if hint else ""
        return f"the field 'apiVersion' is missing; expected one of {listed(known)}.{meant}"
    hint = nearest(version, known) if isinstance(version, str) else ""
    return f"found {shown(version)}; expected one of {listed(known)}{hint}"


def main_files(folder: Path) -> list[Path]:
    """The files of a folder that look like a suite's main file."""
    names = sorted(item.name for item in folder.iterdir())
    endings = (".suite.yaml", ".arena.yaml")
    return [folder / name for name in names if name in MAIN_FILES or name.endswith(endings)]


def _main_file(path: Path, problems: Problems) -> Path | None:
    """The file itself, or the one main file of a folder."""
    try:
        if not path.is_dir():
            return path
        paths = main_files(path)
    except (OSError, ValueError) as error:
        problems.error(Position(str(path)), f"the folder cannot be read: {error}")
        return None
    if len(paths) == 1:
        return paths[0]
    found = [item.name for item in paths]
    what = f"several suites: {listed(found)}; say which" if found else f"no suite; expected one of {listed(MAIN_FILES)}"
    problems.error(Position(shown_path(path)), f"the folder has {what}")
    return None


def known_versions() -> list[str]:
    """Every ``apiVersion`` that can be read."""
    return registered_names(GROUP)


def reader_of(version: str) -> Reader | None:
    """The reader for an ``apiVersion``; None if there is none.

    Raises:
        TargetError: the package that registers it cannot be loaded.
    """
    return cast("Reader | None", load_registered(GROUP, version))
