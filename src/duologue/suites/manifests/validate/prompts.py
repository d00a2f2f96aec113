"""Variables of prompts that nobody gives a value, and values that refer to each other in a circle."""

from __future__ import annotations

from collections.abc import Mapping

from duologue.config.problems import Problems, listed
from duologue.config.templates import placeholders
from duologue.errors import Position
from duologue.specs.prompts import Prompt, open_variables, values_for
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Suite


def find_open_variables(suite: Suite, problems: Problems) -> None:
    """Warn of every scenario whose prompt would be left with an open variable: its runs end with an error."""
    used = {id(prompt): prompt for scenario in suite.scenarios for prompt in _prompts(suite, scenario)}
    for prompt in used.values():
        _find_circles(prompt, problems)
    for scenario in suite.scenarios:
        for prompt in _prompts(suite, scenario):
            _find_open(prompt, scenario, problems)


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
    return [other for other in placeholders(values[name]) if other in values]
