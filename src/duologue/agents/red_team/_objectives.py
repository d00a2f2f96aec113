"""Objectives of attacks to start with, by category, each with the published list that its risk comes from.

They are worded for any agent that serves customers, and the scenario's description makes them concrete. Objectives of
your own, about your own rules and data, find more.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, TypeAdapter

from duologue.errors import ConfigurationError


class Objective(BaseModel):
    """What an attack is to achieve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Identifier, such as ``system_prompt_leak-1``."""
    category: str
    """The kind of risk."""
    text: str
    """The objective, in a sentence."""
    source: str = ""
    """The published list of risks that it comes from, with the entry."""


def objectives(category: str | None = None) -> tuple[Objective, ...]:
    """The objectives that come with the package.

    Args:
        category: only objectives of this category; None for all.

    Raises:
        ConfigurationError: there is no such category.
    """
    if category is None:
        return _all()
    found = tuple(item for item in _all() if item.category == category)
    if not found:
        raise ConfigurationError(f"no objectives in the category '{category}'; known: {', '.join(categories())}")
    return found


def categories() -> tuple[str, ...]:
    """The categories, in the order of the list."""
    return tuple(dict.fromkeys(item.category for item in _all()))


def objective(id: str) -> Objective:
    """The objective with that id.

    Raises:
        ConfigurationError: there is none.
    """
    for item in _all():
        if item.id == id:
            return item
    raise ConfigurationError(f"no objective '{id}'; ids look like '{_all()[0].id}', see duologue's objectives()")


@cache
def _all() -> tuple[Objective, ...]:
    text = files("duologue.agents.red_team").joinpath("objectives.json").read_text("utf-8")
    return TypeAdapter(tuple[Objective, ...]).validate_json(text)
