"""Which agents, personas, regions and variants a scenario combines: the rules that plan and validation share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product
from math import prod

from duologue.specs.agents import Agent
from duologue.specs.scenario import DEFAULT_REGION, Scenario
from duologue.specs.suite import Suite

DEFAULT_GROUP = "default"

Perturbation = tuple[tuple[str, str], ...]
"""A value for each name, in the order in which the scenario has the names."""


def agents_of(suite: Suite, scenario: Scenario) -> list[Agent]:
    """The agents that a scenario rehearses, in the order of the suite.

    The scenario's own list; else the agents of its group; else, if the group has none, all agents. Of these, only
    those that have all capabilities that the scenario asks for; an agent that declares none is given the benefit.
    """
    if scenario.agents:
        chosen = [agent for agent in suite.agents if agent.name in scenario.agents]
    else:
        group = scenario.agent_group or DEFAULT_GROUP
        chosen = [agent for agent in suite.agents if agent.group == group] or list(suite.agents)
    needed = set(scenario.required_capabilities)
    return [agent for agent in chosen if not agent.capabilities or needed <= set(agent.capabilities)]


def regions_of(suite: Suite, scenario: Scenario) -> tuple[str, ...]:
    """The regions of a scenario: its own, else the suite's, else ``default``."""
    return tuple(dict.fromkeys(scenario.regions or suite.regions)) or (DEFAULT_REGION,)


def personas_of(scenario: Scenario) -> tuple[str | None, ...]:
    """The personas of a scenario; one None if the scenario leaves it to its turns."""
    return tuple(dict.fromkeys(scenario.personas)) or (None,)


def trials_of(suite: Suite, scenario: Scenario) -> int:
    """How often each test case of a scenario is repeated."""
    return scenario.trials or suite.trials


def perturbations_of(scenario: Scenario, *, most: int | None = None) -> list[Perturbation]:
    """Every combination of values, the last name varying fastest; one empty combination if there are none.

    Args:
        scenario: its turns have the values.
        most: stop after so many.
    """
    combinations = product(*[[(key, value) for value in given] for key, given in _varied(scenario).items()])
    return list(islice(combinations, most))


def number_of_perturbations(scenario: Scenario) -> int:
    """How many combinations there are, without making them."""
    return prod(len(given) for given in _varied(scenario).values())


def _varied(scenario: Scenario) -> dict[str, Sequence[str]]:
    """The values of each name; the first turn that has a name decides."""
    values: dict[str, Sequence[str]] = {}
    for turn in scenario.turns:
        for key, given in turn.perturbations.items():
            values.setdefault(key, given)
    return values


def personas_named(scenario: Scenario) -> set[str]:
    """Every persona that takes part in a scenario, whether it multiplies test cases or belongs to a turn."""
    return {*scenario.personas, *(turn.persona for turn in scenario.turns if turn.persona)}
