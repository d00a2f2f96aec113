"""PromptKit's arenas, read into the same suites as our own files. Their names and places in the files are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from duologue.compat.promptkit import resources
from duologue.compat.promptkit.arena import API_VERSION, ArenaReader
from duologue.compat.promptkit.arena_shapes import KINDS, LENIENT
from duologue.compat.promptkit.unsupported import drop_unsupported
from duologue.config.problems import PlacedDict, PlacedList, Problems
from duologue.config.spec import rebased
from duologue.specs.suite import Suite
from duologue.suites.manifests.loader import Draft, assembled, checked, only_here, opened
from duologue.suites.manifests.validate import validated

__all__ = ["API_VERSION", "read_suite"]

_SECTIONS = ("models", "agents", "scenarios", "personas", "prompts", "tools")
"""What ``config_dir`` applies to; recordings are relative to the files of their evals."""


@only_here("Arena", "Provider", "PromptConfig", "Eval")
def read_suite(path: Path, data: Any, problems: Problems) -> Suite | None:
    """The suite of an arena; a file with only one resource gives a suite of just that.

    Args:
        path: of the file.
        data: what it holds.
        problems: takes what is wrong.
    """
    found = opened(data, problems, api=None, kinds=list(KINDS))
    if found is None:
        return None
    kind, spec = found
    shape = checked(KINDS[kind], spec, problems, lenient=LENIENT)
    if shape is None:
        return None
    drop_unsupported(shape, problems)
    if kind != "Arena":
        return _alone(path, kind, spec, problems)
    reader = ArenaReader(spec=spec, folder=path.parent, problems=problems)
    draft = assembled(reader.suite(), path.parent, problems, broken=reader.broken)
    return validated(_rebased(draft, reader.base), problems)


def _rebased(draft: Draft, base: str) -> Draft:
    suite = draft.suite
    if suite is None or not base:
        return draft
    changes = {name: tuple(rebased(item, base) for item in getattr(suite, name)) for name in _SECTIONS}
    return Draft(suite=suite.changed(**changes).within(suite.folder), broken=draft.broken)


def _alone(path: Path, kind: str, spec: PlacedDict, problems: Problems) -> Suite | None:
    converted: dict[str, tuple[str, Any]] = {
        "Scenario": ("scenarios", lambda: resources.scenario(spec, problems, None)),
        "Provider": ("models", lambda: resources.model(spec, problems)),
        "Persona": ("personas", lambda: resources.persona(spec, problems)),
        "PromptConfig": ("prompts", lambda: resources.prompt(spec, problems, spec.get("name", kind))),
        "Tool": ("tools", lambda: resources.tool(spec)),
        "Eval": ("replays", lambda: resources.replay(spec, problems, "")),
    }
    section, convert = converted[kind]
    data = PlacedDict(spec.home, {"name": spec.get("name") or kind}, {"name": spec.home})
    data.put(section, PlacedList(spec.home, [convert()], [spec.home]), spec.home)
    return validated(assembled(data, path.parent, problems), problems, whole=False)
