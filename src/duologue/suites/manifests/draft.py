"""Placed data of all resources to one suite, whatever the dialect was: each resource by itself, then all together.

A resource that is refused is left out, so that its mistake does not hide those of the others. Its name is remembered,
so that what refers to it is not called a mistake as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError, create_model

from duologue.config.positions import PlacedDict, PlacedList
from duologue.config.problems import Problems, shown
from duologue.config.spec import Resource
from duologue.specs.agents import Agent, Judge, Model, Persona
from duologue.specs.prompts import Prompt, Tool
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Replay, Suite
from duologue.suites.manifests.unsupported_fields import checked

SECTIONS: dict[str, type[Resource]] = {
    "agents": Agent,
    "models": Model,
    "scenarios": Scenario,
    "replays": Replay,
    "personas": Persona,
    "judges": Judge,
    "prompts": Prompt,
    "tools": Tool,
}
"""The lists of resources that a suite has."""
KINDS: dict[str, type[Resource]] = {"Suite": Suite, **{model.__name__: model for model in SECTIONS.values()}}
"""Every kind of manifest."""
SECTION_OF = {model.__name__: section for section, model in SECTIONS.items()}


@dataclass(kw_only=True)
class Draft:
    """A suite that is being put together.

    Attributes:
        suite: as far as it could be understood; None if it could not.
        broken: names of resources that were refused, by section.
    """

    suite: Suite | None
    broken: dict[str, set[str]] = field(default_factory=dict[str, set[str]])


def assembled(
    data: PlacedDict, folder: Path, problems: Problems, *, broken: Mapping[str, set[str]] | None = None
) -> Draft:
    """The suite of placed data in which every section holds its resources themselves.

    Args:
        data: the suite's own fields, with the sections.
        folder: what paths are relative to.
        problems: takes what is wrong.
        broken: names of resources that were refused before.
    """
    draft = Draft(suite=None, broken=dict(broken or {}))
    whole = PlacedDict(data.home, data, data.marks)
    for section, model in SECTIONS.items():
        if section in data:
            whole[section] = _resources(data, section, model, draft, problems)
    suite = _of_checked(whole) or checked(Suite, whole, problems) or _tolerant(whole)
    draft.suite = suite.within(folder) if suite else None
    return draft


def _resources(
    data: PlacedDict, section: str, model: type[Resource], draft: Draft, problems: Problems
) -> tuple[Resource, ...]:
    items = data[section]
    if not isinstance(items, PlacedList):
        problems.error(data.mark(section), f"found {shown(items)}; expected a list")
        return ()
    made: list[Resource] = []
    for index, item in enumerate(items):
        if isinstance(item, model):
            made.append(item)
            continue
        if not isinstance(item, PlacedDict):
            problems.error(items.mark(index), f"found {shown(item)}; expected a mapping")
            continue
        resource = checked(model, item, problems)
        name = item.get("name")
        if resource is not None:
            made.append(resource)
        elif isinstance(name, str):
            draft.broken.setdefault(section, set()).add(name)
    return tuple(made)


def _of_checked(data: PlacedDict) -> Suite | None:
    """The suite of resources that were checked one by one; None if one of its own fields is refused."""
    try:
        made = _own_fields().model_validate(data)
    except ValidationError:
        return None
    suite = Suite.model_construct(made.model_fields_set, **vars(made))
    return suite.written_in(data)


@cache
def _own_fields() -> type[Suite]:
    """A suite that takes its resources as they are. The schema of all of them together takes long to build."""
    resources: dict[str, Any] = dict.fromkeys(SECTIONS, (Any, ()))
    return create_model("Suite", __base__=Suite, **resources)


def _tolerant(data: PlacedDict) -> Suite | None:
    """The suite without those of its own fields that were refused, so that the rest can be looked at."""
    rest = PlacedDict(data.home, data, data.marks)
    try:
        return Suite.model_validate(rest)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            rest.pop(str(item["loc"][0]) if item["loc"] else "", None)
    rest.setdefault("name", "?")
    try:
        return Suite.model_validate(rest)
    except ValidationError:
        return None
