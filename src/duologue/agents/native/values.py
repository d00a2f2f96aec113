"""Templates and what is filled into them: ``{{name}}`` for variables, ``{name}`` for what a test case varies."""

from __future__ import annotations

import re
from collections.abc import Mapping

from duologue.specs.prompt import Prompt
from duologue.specs.scenario import DEFAULT_REGION, Scenario
from duologue.suites.manifests.variables import PLACEHOLDER, values_for

MOST_PASSES = 10
"""How often a text is filled in, so that values may name other variables."""
LONGEST = 1_000_000
"""Characters that a text may grow to."""

_SAID = 150
_IN_LINE = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}|(?<!\{)\{([^{}]+)\}(?!\})")


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


def filled(template: str, values: Mapping[str, str]) -> str:
    """The text with its variables filled in, those within values included. What has no value stays as it is."""
    text = template
    for _ in range(MOST_PASSES):
        if "{{" not in text:
            return text
        after = PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
        if after == text or len(after) > LONGEST:
            return after
        text = after
    return text


def left_in(text: str) -> list[str]:
    """The names of variables that have no value, each once."""
    return list(dict.fromkeys(PLACEHOLDER.findall(text))) if "{{" in text else []


def filled_line(text: str, values: Mapping[str, str], perturbation: Mapping[str, str]) -> str:
    """A line of the user: variables and what the test case varies, in one pass. Unknown names stay as they are.

    Args:
        text: of a turn.
        values: for ``{{name}}``.
        perturbation: for ``{name}``.
    """
    if "{" not in text:
        return text

    def value(found: re.Match[str]) -> str:
        name, varied = found[1], found[2]
        return values.get(name, found[0]) if name else perturbation.get(varied, found[0])

    return _IN_LINE.sub(value, text)


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
