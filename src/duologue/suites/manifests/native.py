"""Our own dialect: a suite file, the files that it names, and the suites that it includes.

Everything with a name is taken over from an included suite. So are its checks, for its own scenarios and replays, and
the settings of its agents and judges where the including suite has none. How a suite is launched (trials, regions,
defaults) is for the suite that is launched to say.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duologue.config.files import PATTERN, matching_files, shown_path
from duologue.config.problems import Mark, PlacedDict, PlacedList, Problems, shown
from duologue.config.spec import Spec, rebased, rebased_path
from duologue.config.templates import expand
from duologue.config.yaml_reader import read
from duologue.errors import ConfigurationError, Position
from duologue.specs.agents import Simulator
from duologue.specs.checks import CheckSpec
from duologue.specs.scenario import Scenario
from duologue.specs.suite import A2aAgent, McpServer, Replay, Suite
from duologue.suites.manifests.cases import FIELD, with_cases
from duologue.suites.manifests.loader import (
    API_VERSION,
    KINDS,
    SECTION_OF,
    SECTIONS,
    assembled,
    checked,
    closed,
    is_bare,
    opened,
)
from duologue.suites.manifests.validate import validated

_MOST_FILES = 5_000

_INCLUDED: dict[str, type[Spec]] = {
    **SECTIONS,
    "simulators": Simulator,
    "mcp_servers": McpServer,
    "a2a_agents": A2aAgent,
}
"""The lists of things with names."""
_SETTINGS = ("judge_defaults", "workflow", "pack_file")


def read_suite(path: Path, data: Any, problems: Problems) -> Suite | None:
    """The suite of a file in our dialect; a file with only one resource gives a suite of just that.

    Args:
        path: of the file.
        data: what it holds.
        problems: takes what is wrong.
    """
    found = opened(data, problems, api=API_VERSION, kinds=list(KINDS))
    if found is None:
        return None
    kind, spec = found
    if kind != "Suite":
        return _alone(path, kind, spec, problems)
    reading = _Reading(problems=problems, folder=path.parent)
    whole = reading.gathered(spec, path)
    draft = assembled(whole, path.parent, problems, broken=reading.broken)
    return validated(draft, problems)


def _alone(path: Path, kind: str, spec: PlacedDict, problems: Problems) -> Suite | None:
    """A suite of one resource. What it refers to is somewhere else, so nothing of that is looked at."""
    section = SECTION_OF[kind]
    home = spec.home
    data = PlacedDict(home, {"name": str(spec.get("name", kind))}, {"name": home})
    made = list(with_cases(spec, path.parent, problems)) if section == "scenarios" else [spec]
    data.put(section, PlacedList(home, made, [home] * len(made)), home)
    return validated(assembled(data, path.parent, problems), problems, whole=False)


@dataclass(kw_only=True)
class _Reading:
    """One suite with everything that it names."""

    problems: Problems
    folder: Path
    seen: list[Path] = field(default_factory=list[Path])
    open: list[Path] = field(default_factory=list[Path])
    broken: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    files: int = 0

    def gathered(self, spec: PlacedDict, path: Path) -> PlacedDict:
        """The suite's fields, with what it names in the place of the names."""
        self.open.append(path.resolve())
        whole = PlacedDict(spec.home, spec.without("include"), dict(spec.marks))
        for section in SECTIONS:
            if isinstance(spec.get(section), PlacedList):
                whole[section] = self._section(spec[section], section, path.parent)
        for text, mark in self._listed(spec, "include"):
            self._include(whole, text, mark, path.parent)
        self.open.pop()
        return whole

    def _section(self, items: PlacedList, section: str, folder: Path) -> PlacedList:
        made = PlacedList(items.home)
        for index, item in enumerate(items):
            text, mark = self._reference(item, items.mark(index))
            if text is None:
                self._add(made, item, items.mark(index), section, folder)
                continue
            for path in self._matching(text, mark, folder):
                resource = self._resource(path, section, mark.value())
                if resource is not None:
                    self._add(made, resource, mark, section, folder)
        return made

    def _add(self, made: PlacedList, item: Any, mark: Mark, section: str, folder: Path) -> None:
        """Add a resource; a scenario with a table becomes one scenario for each row."""
        if section != "scenarios" or not isinstance(item, PlacedDict) or FIELD not in item:
            made.add(item, mark)
            return
        before = len(self.problems.errors)
        for scenario in with_cases(item, folder, self.problems):
            made.add(scenario, mark)
        if len(self.problems.errors) > before and isinstance(item.get("name"), str):
            self.broken.setdefault(section, set()).add(item["name"])

    def _reference(self, item: Any, mark: Mark) -> tuple[str | None, Mark]:
        """The path that an item names, if it does: ``file: path``, or only the path."""
        if isinstance(item, str):
            return item, mark
        if isinstance(item, PlacedDict) and "file" in item:
            closed(item, ("file",), self.problems)
            if isinstance(item["file"], str):
                return item["file"], item.mark("file")
            self.problems.error(item.mark("file"), f"found {shown(item['file'])}; expected the path of a file")
        return None, mark

    def _matching(self, text: str, mark: Mark, folder: Path) -> list[Path]:
        try:
            written = expand(text)
        except ConfigurationError as error:
            self.problems.error(mark, str(error))
            return []
        if not PATTERN & set(written):
            return [folder / written]
        found = matching_files(folder, written)
        if not found:
            self.problems.error(mark, f"no file matches '{text}'")
        return found

    def _resource(self, path: Path, section: str, asked_by: Position) -> PlacedDict | None:
        self.files += 1
        if self.files > _MOST_FILES:
            self.problems.error(asked_by, f"the suite names more than {_MOST_FILES} files")
            return None
        data = read(path, self.problems, shown_as=shown_path(path), asked_by=asked_by)
        if data is None:
            return None
        kind = SECTIONS[section].__name__
        if is_bare(data):
            data.setdefault("name", path.name.split(".")[0])
            return data
        found = opened(data, self.problems, api=API_VERSION, kinds=[kind])
        return found[1] if found else None

    def _listed(self, spec: PlacedDict, key: str) -> list[tuple[str, Mark]]:
        items = spec.get(key)
        if items is None:
            return []
        if not isinstance(items, PlacedList) or not all(isinstance(item, str) for item in items):
            self.problems.error(spec.mark(key), f"found {shown(items)}; expected a list of paths")
            return []
        return [(item, items.mark(index)) for index, item in enumerate(items)]

    def _include(self, whole: PlacedDict, text: str, mark: Mark, folder: Path) -> None:
        for path in self._matching(text, mark, folder):
            real = path.resolve()
            if real in self.open:
                chain = " → ".join(item.name for item in [*self.open[self.open.index(real) :], real])
                self.problems.error(mark, f"this suite includes itself: {chain}")
            elif real not in self.seen:
                self.seen.append(real)
                self._included(whole, path, mark, folder)

    def _included(self, whole: PlacedDict, path: Path, mark: Mark, folder: Path) -> None:
        data = read(path, self.problems, shown_as=shown_path(path), asked_by=mark.value())
        found = opened(data, self.problems, api=API_VERSION, kinds=["Suite"]) if data is not None else None
        if found is None:
            return
        below = Path(os.path.relpath(path.parent, self.folder)).as_posix()
        inner = self.gathered(found[1], path)
        for section, model in _INCLUDED.items():
            items = inner.get(section)
            target = whole.setdefault(section, PlacedList(items.home)) if isinstance(items, PlacedList) else None
            if not isinstance(items, PlacedList) or not isinstance(target, PlacedList):
                continue
            checks = inner.get("checks") if section in {"scenarios", "replays"} else None
            for index, item in enumerate(items):
                resource = _with_checks(item, checks, self.problems)
                self._take_over(target, resource, items.mark(index), (section, model), below)
        _take_settings(whole, inner, Path(os.path.relpath(path.parent, folder)).as_posix())

    def _take_over(self, target: PlacedList, item: Any, mark: Mark, kind: tuple[str, type[Spec]], below: str) -> None:
        """Add a resource of an included suite; its paths become relative to this suite's folder."""
        section, model = kind
        if not isinstance(item, PlacedDict):
            target.add(item, mark)
            return
        made = checked(model, item, self.problems)
        if made is not None:
            target.add(rebased(made, below), mark)
        elif isinstance(item.get("name"), str):
            self.broken.setdefault(section, set()).add(item["name"])


def _with_checks(item: Any, checks: Any, problems: Problems) -> Any:
    """A scenario or replay with the checks of its suite behind its own; anything else as it is."""
    if not isinstance(checks, PlacedList) or not checks:
        return item
    if isinstance(item, (Scenario, Replay)):  # of a suite that the included one includes
        made = [checked(CheckSpec, check, problems) for check in checks]
        return item.changed(checks=(*item.checks, *(check for check in made if check is not None)))
    if not isinstance(item, PlacedDict):
        return item
    own = item.get("checks", PlacedList(checks.home))
    if not isinstance(own, PlacedList):
        return item
    joined = PlacedList(own.home, [*own, *checks], [*own.marks, *checks.marks])
    whole = PlacedDict(item.home, item, dict(item.marks))
    whole.put("checks", joined, item.mark("checks") if "checks" in item else checks.home)
    return whole


def _take_settings(whole: PlacedDict, inner: PlacedDict, below: str) -> None:
    """Take over how agents and judges work, and the evals of packs.

    Args:
        whole: the including suite.
        inner: the included one.
        below: the folder of the included suite, from that of the including one: the pack is there.
    """
    for key in _SETTINGS:
        if key in inner and key not in whole:
            value = inner[key]
            is_path = key == "pack_file" and isinstance(value, str)
            whole.put(key, rebased_path(value, below) if is_path else value, inner.mark(key))
    evals, mine = inner.get("pack_evals"), whole.get("pack_evals")
    if isinstance(evals, PlacedList) and (mine is None or isinstance(mine, PlacedList)):
        mine = mine if mine is not None else PlacedList(evals.home)
        known = {item.get("id") for item in mine if isinstance(item, PlacedDict)}
        for index, item in enumerate(evals):
            if not isinstance(item, PlacedDict) or item.get("id") not in known:
                mine.add(item, evals.mark(index))
        whole.put("pack_evals", mine, evals.home)
