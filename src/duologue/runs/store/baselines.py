"""Results folders that have a name, to compare others with: ``.duologue/baselines.json`` in the project.

Executions in a database have baselines of their own; see ``duologue baseline --database``.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from duologue.config.files import project_folder, write_atomic
from duologue.config.problems import hint
from duologue.errors import ConfigurationError, ResultsError
from duologue.frozen import frozen
from duologue.runs.store.reader import find_execution

_FILE = Path(".duologue") / "baselines.json"
DEFAULT = "default"
"""The name where none is given."""


@frozen
class FolderBaseline:
    """A results folder with a name.

    Attributes:
        name: what it is called.
        folder: relative to the project, or absolute where it lies elsewhere.
        execution: id of its execution, so that another one in the same folder is noticed.
        suite: name of its suite.
        set_at: when, as ISO 8601.
    """

    name: str
    folder: str
    execution: str
    suite: str
    set_at: str

    def path(self, project: Path) -> Path:
        """Where the folder is."""
        return project / self.folder


def set_baseline(name: str, folder: Path, *, now: float, here: Path | None = None) -> FolderBaseline:
    """Give a results folder a name; a baseline that had it has it no longer.

    Args:
        name: any text without control characters.
        folder: of an execution.
        now: seconds since 1970.
        here: a folder in the project; None for the current one.

    Raises:
        ConfigurationError: the folder holds no execution that is over, or the name is no name.
        ResultsError: the file cannot be written.
    """
    if not name.strip() or not name.isprintable():
        raise ConfigurationError(f"the name of a baseline: found {name!r}; expected a word such as main")
    found = find_execution(folder)
    if found.execution.running:
        raise ConfigurationError(f"{folder} holds an execution that is still running; wait until it is over")
    project = project_folder(here or Path.cwd())
    place = found.folder.absolute()
    inside = place.is_relative_to(project)
    made = FolderBaseline(
        name=name,
        folder=os.fspath(place.relative_to(project)) if inside else os.fspath(place),
        execution=found.execution.id,
        suite=found.execution.suite,
        set_at=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
    )
    held = {item.name: item for item in read_baselines(project)}
    _write(project, {**held, name: made})
    return made


def delete_baseline(name: str, here: Path | None = None) -> None:
    """Forget a baseline. Its results stay.

    Raises:
        ConfigurationError: there is none of that name.
        ResultsError: the file cannot be written.
    """
    project = project_folder(here or Path.cwd())
    held = {item.name: item for item in read_baselines(project)}
    if name not in held:
        raise ConfigurationError(f"there is no baseline '{name}'{hint(name, held)}")
    _write(project, {key: item for key, item in held.items() if key != name})


def _write(project: Path, held: dict[str, FolderBaseline]) -> None:
    data = {key: {**vars(item)} for key, item in sorted(held.items())}
    try:
        write_atomic(project / _FILE, json.dumps(data, indent=2) + "\n")
    except OSError as error:
        raise ResultsError(f"{project / _FILE} cannot be written: {error.strerror or error}") from error


def read_baselines(here: Path | None = None) -> list[FolderBaseline]:
    """All baselines of a project, by name.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    path = project_folder(here or Path.cwd()) / _FILE
    try:
        data: object = json.loads(path.read_bytes())
        values = cast("dict[str, dict[str, Any]]", data)
        return [FolderBaseline(**{key: str(value) for key, value in item.items()}) for item in values.values()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} is not a list of baselines: {error}; set them again or remove it") from error


def baseline_named(name: str, here: Path | None = None) -> tuple[FolderBaseline, Path]:
    """A baseline and its folder.

    Raises:
        ConfigurationError: there is none of that name, or its folder holds another execution by now.
    """
    project = project_folder(here or Path.cwd())
    held = {item.name: item for item in read_baselines(project)}
    if name not in held:
        known = f" There is {', '.join(sorted(held))}." if held else ""
        raise ConfigurationError(
            f"there is no folder and no baseline '{name}'{hint(name, held)}{known} Set one: "
            f"duologue baseline set FOLDER --name {name}"
        )
    found = held[name]
    path = found.path(project)
    if find_execution(path).execution.id != found.execution:
        raise ConfigurationError(
            f"the baseline '{name}' was the execution {found.execution} in {path}, and there is another one now; set "
            f"it again: duologue baseline set {path} --name {name}"
        )
    return found, path
