"""The values of the placeholders in prompts and lines of a script."""

from __future__ import annotations

from duologue.specs.prompts import Prompt, values_for
from duologue.specs.scenario import DEFAULT_REGION, Scenario

_SAID = 150


def all_values(prompt: Prompt | None, scenario: Scenario, region: str) -> dict[str, str]:
    """Everything that a template can name.

    The later of these wins: what the scenario tells about the user, defaults of the prompt, the region, values of the
    prompt, variables of the scenario.

    Args:
        prompt: None for none.
        scenario: that is played.
        region: of the test case; ``default`` stands for none, so that a variable of that name keeps its default.
    """
    values = {**_told_by(scenario), "region": region}
    if prompt is None:
        return {**values, **scenario.variables}
    defaults = {item.name: str(item.default) for item in prompt.variables if item.default is not None}
    given = values_for(prompt, scenario)
    if region != DEFAULT_REGION and "region" not in {**prompt.values, **scenario.variables}:
        defaults["region"] = region
        given["region"] = region
    return {**values, **defaults, **given}


def _told_by(scenario: Scenario) -> dict[str, str]:
    background = scenario.background
    role = (background and background.user_role) or "user"
    return {
        "domain": (background and background.domain) or "general",
        "user_role": role,
        "user_context": role,
        "project_stage": (background and background.project_stage) or "",
        "context_slot": _context(scenario),
    }


def _context(scenario: Scenario) -> str:
    """The situation, and the beginning of what the user says first if that is written down."""
    first = next((turn for turn in scenario.turns), None)
    said = (first.content or " ".join(part.text or "" for part in first.parts)).strip() if first else ""
    wants = f"User wants to: {said[:_SAID]}" if said else ""
    return ". ".join(part for part in (scenario.description.strip().rstrip("."), wants) if part)
