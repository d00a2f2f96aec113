"""Variables of prompts that nobody gives a value, and values that refer to each other in a circle."""

from __future__ import annotations

import re
from collections.abc import Mapping

from duologue.config.positions import Position
from duologue.config.problems import Problems, listed
from duologue.specs.prompt import Prompt
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Suite

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
GIVEN_BY_ENGINE = frozenset({"region", "domain", "user_role", "user_context", "context_slot", "project_stage"})
"""Variables that a run always has a value for."""


def find_open_variables(suite: Suite, problems: Problems) -> None:
    """Warn of every scenario whose prompt would be left with an open variable: its runs end with an error."""
    used = {id(prompt): prompt for scenario in suite.scenarios for prompt in _prompts(suite, scenario)}
    for prompt in used.values():
        _find_circles(prompt, problems)
    for scenario in suite.scenarios:
        for prompt in _prompts(suite, scenario):
            _find_open(prompt, scenario, problems)


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
    wanted = dict.fromkeys(name for text in texts for name in PLACEHOLDER.findall(text))
    return required, [name for name in wanted if name not in known and name not in required]


def _is_used(name: str, prompt: Prompt) -> bool:
    return name in PLACEHOLDER.findall(prompt.system_template)


def _prompts(suite: Suite, scenario: Scenario) -> list[Prompt]:
    tasks = {scenario.prompt, *(agent.prompt for agent in suite.agents)} - {None}
    found = [suite.prompt_for(task) for task in sorted(filter(None, tasks))]
    return [prompt for prompt in found if prompt is not None]


def _find_open(prompt: Prompt, scenario: Scenario, problems: Problems) -> None:
    required, left = open_variables(prompt, scenario)
    place = scenario.place("prompt") or scenario.place() or Position("?")
    consequence = f"every run of scenario '{scenario.name}' will end with an error"
    if required:
        told = f"the prompt '{prompt.answers_to}' requires {listed(required)}, which has no value"
        problems.warning(place, f"{told}: {consequence}")
    if left:
        names = listed(f"{{{{{name}}}}}" for name in left)
        told = f"the prompt '{prompt.answers_to}' says {names}, which nothing gives a value"
        problems.warning(prompt.place("system_template") or place, f"{told}: {consequence}")


def _find_circles(prompt: Prompt, problems: Problems) -> None:
    circle = _circle(values_for(prompt))
    if circle:
        place = prompt.place("values") or prompt.place() or Position("?")
        problems.error(place, f"values refer to each other in a circle: {' → '.join(circle)}")


def _circle(values: Mapping[str, str]) -> list[str]:
    """The names of a circle, the first one again at the end; [] if there is none."""
    done: set[str] = set()
    for start in values:
        path: list[str] = []
        stack = [(start, iter(_names_in(values, start)))]
        path.append(start)
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.pop()
                done.add(name)
            elif following in path:
                return [*path[path.index(following) :], following]
            elif following not in done:
                stack.append((following, iter(_names_in(values, following))))
                path.append(following)
    return []


def _names_in(values: Mapping[str, str], name: str) -> list[str]:
    return [other for other in PLACEHOLDER.findall(values[name]) if other in values]
