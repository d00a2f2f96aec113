"""Prompt packs: of a ``*.pack.json``, the prompts and the evals that a suite uses."""

from __future__ import annotations

from typing import Any

from duologue.config.positions import Mark, PlacedDict, PlacedList
from duologue.config.problems import Problems, shown
from duologue.config.yaml_reader import read
from duologue.errors import Position
from duologue.specs.checking import PackEvalSpec
from duologue.specs.paths import shown_path
from duologue.specs.suite import Suite
from duologue.suites.manifests.refusals import checked


def with_pack(suite: Suite, problems: Problems) -> Suite:
    """The suite with the evals of its pack before its own; of two with one id, the suite's own counts."""
    if suite.pack_file is None:
        return suite
    path = suite.path(suite.pack_file)
    if not path.is_file():
        return suite  # has been reported
    data = read(path, problems, shown_as=shown_path(path), asked_by=suite.place("pack_file"))
    evals = pack_evals(data, problems)
    own = {item.id for item in suite.pack_evals}
    made = suite.changed(pack_evals=(*(item for item in evals if item.id not in own), *suite.pack_evals))
    return made.within(suite.folder)


def pack_evals(data: Any, problems: Problems) -> list[PackEvalSpec]:
    """The evals of a pack."""
    if not isinstance(data, PlacedDict):
        if data is not None:
            place = getattr(data, "home", Mark("?", "", 1, 1, 1, 1))
            problems.error(place, f"found {shown(data)}; expected a prompt pack")
        return []
    items = data.get("evals", PlacedList(data.home))
    if not isinstance(items, PlacedList):
        problems.error(data.mark("evals"), f"found {shown(items)}; expected a list")
        return []
    made: list[PackEvalSpec] = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        spec = checked(PackEvalSpec, item, problems) if isinstance(item, PlacedDict) else None
        if not isinstance(item, PlacedDict):
            problems.error(items.mark(index), f"found {shown(item)}; expected an eval")
        if spec is None:
            continue
        if spec.id in seen:
            problems.error(spec.place("id") or Position("?"), f"two evals have the id '{spec.id}'; rename one")
        seen.add(spec.id)
        made.append(spec)
    return made
