"""A suite to files in our dialect: a folder with a file for each larger resource, or all of it in one file.

Reading the files gives the same suite again. References to the environment stay references. Files that a suite reads,
such as answers of mock models and recordings, are copied with it or referred to where they are.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from duologue.config.files import PATTERN, matching_files, write_atomic
from duologue.config.spec import Resource, rebased, written_paths
from duologue.config.templates import missing_variables
from duologue.config.yaml_writer import yaml_text
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Suite
from duologue.suites.manifests.loader import API_VERSION, SECTIONS

MAIN = "suite.yaml"
"""The main file of a folder."""

_OWN_FILES = ("scenarios", "personas", "prompts", "tools", "replays")
"""Sections whose resources are large enough for files of their own."""
_COPIED = frozenset(
    {
        "mock_file",
        "recording_file",
        "file_path",
        "path",
        "mock_template_file",
        "mock_parts",
        "pack_file",
        "pack",
        "recording",
        "schema_file",
    }
)
"""Fields with files that belong to a suite. Code, folders and keys stay where they are."""
_LONGEST_NAME = 80
_HEAD = ("name", "labels", "annotations")


@frozen
class Written:
    """What was written.

    Attributes:
        main: the main file of the suite.
        files: every file, the main file first.
        copied: those of them that are copies of files that the suite reads.
        left: paths of the suite that lead to where the suite came from.
    """

    main: Path
    files: tuple[Path, ...]
    copied: tuple[Path, ...]
    left: tuple[str, ...]


def write_suite(suite: Suite, target: Path, *, replace: bool = False) -> Written:
    """Write a suite as files.

    Args:
        suite: what to write.
        target: a folder, made if it is not there, which then holds all that the suite needs; or a file ``*.yaml`` for
            a suite in one file, whose paths lead to where the suite came from.
        replace: whether files that exist are replaced.

    Returns:
        Which files there are now.

    Raises:
        ConfigurationError: files exist, or a value of the suite cannot be written.
    """
    is_one_file = target.suffix in {".yaml", ".yml"}
    folder = target.parent if is_one_file else target
    copies = {} if is_one_file else dict(_files_of(suite, folder))
    moved, left = _moved(suite, folder, {written for written, _ in copies.values()})
    texts = {target.name: suite_text(moved)} if is_one_file else as_files(moved)
    places = [*(folder / name for name in texts), *copies]
    if not replace:
        _require_new(places)
    for name, text in texts.items():
        write_atomic(folder / name, text)
    for path, (_, source) in copies.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()  # what it leads to stays as it is
        shutil.copyfile(source, path)
    return Written(main=places[0], files=tuple(places), copied=tuple(copies), left=tuple(left))


def _require_new(places: Sequence[Path]) -> None:
    there = [str(path) for path in places if os.path.lexists(path)]
    if there:
        more = f" and {len(there) - 5} more" if len(there) > 5 else ""
        told = f"{', '.join(there[:5])}{more}: there already; nothing was written"
        raise ConfigurationError(f"{told}. Choose another name, or replace with --force")


def suite_text(suite: Suite) -> str:
    """All of a suite in the text of one file."""
    return yaml_text(_framed("Suite", suite.written()))


def write_scenarios(scenarios: Sequence[Scenario], folder: Path, *, replace: bool = False) -> list[Path]:
    """Write each scenario to a file of its own, ``folder/NAME.yaml``; see :func:`write_resources`."""
    return write_resources(scenarios, folder, replace=replace)


def write_resources(resources: Sequence[Resource], folder: Path, *, replace: bool = False) -> list[Path]:
    """Write each resource to a file of its own, ``folder/NAME.yaml``.

    Raises:
        ConfigurationError: one of the files exists, and ``replace`` is False. Nothing was written.
    """
    parts: dict[str, str] = {}
    for resource in resources:
        parts[_free_path("", resource.name, parts)] = resource_text(resource)
    paths = [folder / name.removeprefix("/") for name in parts]
    if not replace:
        _require_new(paths)
    for path, text in zip(paths, parts.values(), strict=True):
        write_atomic(path, text)
    return paths


def scenario_text(scenario: Scenario) -> str:
    """A scenario as the text of its file."""
    return yaml_text(_framed("Scenario", scenario.written()))


def as_files(suite: Suite) -> dict[str, str]:
    """The texts of a suite's files by their paths, ``suite.yaml`` first."""
    whole = suite.written()
    parts: dict[str, str] = {}
    for section in _OWN_FILES:
        kind = SECTIONS[section].__name__
        paths: list[str] = []
        for item in whole.get(section, ()):
            paths.append(_free_path(section, str(item["name"]), parts))
            parts[paths[-1]] = yaml_text(_framed(kind, item))
        if paths:
            whole[section] = paths
    return {MAIN: yaml_text(_framed("Suite", whole)), **parts}


def resource_text(resource: Resource) -> str:
    """A resource in the text of a file of its own."""
    return yaml_text(_framed(type(resource).__name__, resource.written()))


def _framed(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {key: data[key] for key in _HEAD if key in data},
        "spec": {key: value for key, value in data.items() if key not in _HEAD},
    }


def _free_path(section: str, name: str, taken: dict[str, str]) -> str:
    """A path for a resource, whatever its name is, that no other has, also where case does not count."""
    slug = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:_LONGEST_NAME] or "unnamed"
    known = {path.lower() for path in taken}
    path, count = f"{section}/{slug}.yaml", 1
    while path.lower() in known:
        count += 1
        path = f"{section}/{slug}-{count}.yaml"
    return path


def _files_of(suite: Suite, folder: Path) -> Iterator[tuple[Path, tuple[str, Path]]]:
    """Where each file that belongs to a suite is copied to: the path in the suite, and the file itself."""
    for _, field, written in written_paths(suite):
        if field not in _COPIED or missing_variables(written) or not _is_below(written):
            continue
        is_pattern = PATTERN & set(written) and field == "recording"
        found = matching_files(suite.folder, written) if is_pattern else [suite.path(written)]
        for source in found:
            target = folder / os.path.relpath(source, suite.folder)
            if source.is_file() and source.resolve() != target.resolve():
                yield target, (written, source)


def _is_below(written: str) -> bool:
    path = os.path.normpath(written)
    return not (Path(path).is_absolute() or path.startswith("..") or "${" in written)


def _moved(suite: Suite, folder: Path, copied: set[str]) -> tuple[Suite, list[str]]:
    """The suite as its files say it when they are in another folder, and the paths that lead out of that."""
    back = Path(os.path.relpath(suite.folder.resolve(), folder.resolve())).as_posix()
    if back == ".":
        return suite, []
    moved = rebased(suite, back, but=copied)
    before, after = (list(written_paths(item)) for item in (suite, moved))
    left = [new for (_, _, old), (_, _, new) in zip(before, after, strict=True) if old != new]
    return moved, list(dict.fromkeys(left))
