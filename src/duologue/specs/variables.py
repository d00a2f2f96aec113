"""Values of the variables of a prompt, and which of them are missing."""

from __future__ import annotations

from duologue.config.templates import placeholders
from duologue.specs.prompt import Prompt
from duologue.specs.scenario import Scenario

GIVEN_BY_ENGINE = frozenset({"region", "domain", "user_role", "user_context", "context_slot", "project_stage"})
"""Variables that a run always has a value for."""


def values_for(prompt: Prompt, scenario: Scenario | None = None) -> dict[str, str]:
    """The values of a prompt's variables: defaults, then the prompt's own values, then the scenario's."""
    defaults = {item.name: str(item.default) for item in prompt.variables if item.default is not None}
    return {**defaults, **prompt.values, **(scenario.variables if scenario else {})}


def open_variables(prompt: Prompt, scenario: Scenario | None = None) -> tuple[list[str], list[str]]:
    """What has no value: required variables, and names that only the template knows.

    Returns:
        Names of required variables, names of placeholders that are left.
    """
    values = values_for(prompt, scenario)
    known = {*values, *GIVEN_BY_ENGINE, *(fragment.name for fragment in prompt.fragments)}
    required = [item.name for item in prompt.variables if item.required and item.name not in known]
    texts = [prompt.system_template, *(value for name, value in values.items() if _is_used(name, prompt))]
    wanted = dict.fromkeys(name for text in texts for name in placeholders(text))
    return required, [name for name in wanted if name not in known and name not in required]


def _is_used(name: str, prompt: Prompt) -> bool:
    return name in placeholders(prompt.system_template)
